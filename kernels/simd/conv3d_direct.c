/* Direct 3x3x3 convolution: a register block of output voxels along x times output vectors, summed over 27 taps and
 * the input channels, then bias and the fused ending. Also the head, and the table of this build.
 *
 * Weights are 110 KB for 32 -> 32 channels: they stream from L2, which costs nothing measurable.
 */
#include "simd.h"

typedef struct direct_row {
    const exa_conv3d_plan *plan;
    const exa_conv3d_args *args;
    const float *weights; /* of the output vectors of this block, tap 0 */
    size_t voxel;         /* grid voxel of the row's first output */
    size_t channel;       /* first output channel of the block */
} direct_row;

SIMD_INLINE void direct_block(const int M, const int N, const direct_row *row) {
    const exa_conv3d_plan *plan = row->plan;
    size_t stride = (size_t)plan->in_stride, line = (size_t)plan->grid[2] * stride;
    size_t plane = line * (size_t)plan->grid[1], matrix = (size_t)plan->cin * (size_t)plan->out_stride;
    const float *in = row->args->in + row->voxel * stride - plane - line - stride;
    vec acc[SIMD_ROWS][SIMD_BLOCK];

    SIMD_UNROLL
    for (int m = 0; m < M; m++) {
        SIMD_UNROLL
        for (int n = 0; n < N; n++)
            acc[m][n] = load(row->args->packed + row->channel + (size_t)n * EXA_SIMD_FLOATS);
    }
#pragma GCC unroll 1
    for (size_t tap = 0; tap < 27; tap++) {
        const float *from = in + tap / 9 * plane + tap / 3 % 3 * line + tap % 3 * stride;
        multiply_block(acc, from, stride, row->weights + tap * matrix, (size_t)plan->cin, M, N);
    }
    SIMD_UNROLL
    for (int m = 0; m < M; m++) {
        size_t at = (row->voxel + (size_t)m) * (size_t)plan->out_stride + row->channel;
        SIMD_UNROLL
        for (int n = 0; n < N; n++) finish(row->args, at + (size_t)n * EXA_SIMD_FLOATS, acc[m][n]);
    }
}

static __attribute__((noinline)) void direct_dispatch(int m, int n, const direct_row *row) {
    SIMD_DISPATCH(m, n, direct_block, row)
}

static size_t bias_floats(const exa_conv3d_plan *plan) {
    return ((size_t)plan->out_stride + 15) / 16 * 16;
}

static void direct_run(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end) {
    const float *weights = args->packed + bias_floats(plan);
    int vectors = plan->out_stride / EXA_SIMD_FLOATS, width = plan->shape[2], blocks = block_count(width);

    for (size_t r = begin; r < end; r++) {
        size_t first =
            exa_conv3d_grid_index(plan, (int)(r / (size_t)plan->shape[1]), (int)(r % (size_t)plan->shape[1]), 0);
        for (int v = 0; v < vectors; v += SIMD_BLOCK) {
            size_t channel = (size_t)v * EXA_SIMD_FLOATS;
            int n = vectors - v < SIMD_BLOCK ? vectors - v : SIMD_BLOCK;
            for (int b = 0; b < blocks; b++) {
                int x = block_first(width, blocks, b), x_end = block_first(width, blocks, b + 1);
                direct_row row = {plan, args, weights + channel * (size_t)plan->cin, first + (size_t)x, channel};
                direct_dispatch(x_end - x, n, &row);
            }
        }
    }
}

static void head_run(const float *in, int stride, const float *weights, float bias, const float *add, size_t count,
                     float *out) {
    for (size_t i = 0; i < count; i++) {
        const float *voxel = in + i * (size_t)stride;
        vec sum = {0};
        float total = bias;
        for (int c = 0; c < stride; c += EXA_SIMD_FLOATS) sum += relu(load(voxel + c)) * load(weights + c);
        for (int lane = 0; lane < EXA_SIMD_FLOATS; lane++) total += sum[lane];
        out[i] = add[i] + total;
    }
}

const exa_conv3d_simd SIMD_CAT(exa_conv3d_simd_, EXA_SIMD_NAME) = {
    .vector_floats = EXA_SIMD_FLOATS,
    .block_vectors = SIMD_BLOCK,
    .direct = direct_run,
    .winograd = SIMD_CAT(exa_winograd_run_, EXA_SIMD_NAME),
    .head = head_run,
};
