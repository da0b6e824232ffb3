/* Direct convolution: a register block of output voxels along x times output vectors, summed over the taps and the
 * input channels, then bias and the fused ending. Also the head, maxima, and the table of this build.
 *
 * Where a grid's voxels hold the input channels and nothing else, the taps of a line along x are one long product:
 * a 7x7x7 stem of one channel then has 49 products of 7 instead of 343 of 1.
 *
 * Weights that fit into L2 (110 KB for 32 -> 32 channels) stream from there, row by row of outputs. Larger ones are
 * cut: the output vectors of one register block at a time, and of their taps as many as stay in cache while a block
 * of rows passes by; the unfinished sums wait in scratch.
 */
#include "simd.h"

typedef struct direct_row {
    const exa_conv3d_plan *plan;
    const exa_conv3d_args *args;
    const float *in;      /* the first output's, under the first tap */
    const float *weights; /* of the output vectors of this block, run 0 */
    float *sums;          /* unfinished: [outputs][SIMD_BLOCK vectors] */
    size_t voxel;         /* grid voxel of the row's first output */
    size_t channel;       /* first output channel of the block */
    int first_run, end_run;
} direct_row;

SIMD_INLINE void begin_sums(const int M, const int N, const direct_row *row, vec acc[SIMD_ROWS][SIMD_BLOCK]) {
    const float *bias = row->args->packed + row->channel;

    SIMD_UNROLL
    for (int m = 0; m < M; m++) {
        SIMD_UNROLL
        for (int n = 0; n < N; n++)
            acc[m][n] = row->first_run == 0 ? load(bias + (size_t)n * EXA_SIMD_FLOATS)
                                            : load(row->sums + (size_t)(m * SIMD_BLOCK + n) * EXA_SIMD_FLOATS);
    }
}

SIMD_INLINE void end_sums(const int M, const int N, const direct_row *row, vec acc[SIMD_ROWS][SIMD_BLOCK]) {
    const exa_conv3d_plan *plan = row->plan;
    bool last = row->end_run == plan->runs;

    SIMD_UNROLL
    for (int m = 0; m < M; m++) {
        size_t at = (row->voxel + (size_t)m) * (size_t)plan->out_stride + row->channel;
        SIMD_UNROLL
        for (int n = 0; n < N; n++) {
            size_t more = (size_t)n * EXA_SIMD_FLOATS;
            if (last) {
                finish(plan, row->args, at + more, row->channel + more, acc[m][n]);
            } else {
                store(row->sums + (size_t)(m * SIMD_BLOCK + n) * EXA_SIMD_FLOATS, acc[m][n]);
            }
        }
    }
}

SIMD_INLINE void direct_block(const int M, const int N, const direct_row *row) {
    const exa_conv3d_plan *plan = row->plan;
    size_t stride = (size_t)plan->in_stride, line = (size_t)plan->in_grid[2] * stride;
    size_t plane = line * (size_t)plan->in_grid[1], matrix = (size_t)plan->run_floats * (size_t)plan->out_stride;
    int along_x = plan->runs == plan->kernel * plan->kernel ? 1 : plan->kernel;
    int kx = row->first_run % along_x, ky = row->first_run / along_x % plan->kernel;
    int kz = row->first_run / (along_x * plan->kernel);
    const float *weights = row->weights + (size_t)row->first_run * matrix;
    vec acc[SIMD_ROWS][SIMD_BLOCK];

    begin_sums(M, N, row, acc);
#pragma GCC unroll 1
    for (int run = row->first_run; run < row->end_run; run++) {
        const float *from = row->in + (size_t)kz * plane + (size_t)ky * line + (size_t)kx * stride;
        multiply_block(acc, from, stride * (size_t)plan->stride, weights, (size_t)plan->run_floats, M, N);
        weights += matrix;
        if (++kx < along_x) continue;
        kx = 0;
        if (++ky < plan->kernel) continue;
        ky = 0;
        kz++;
    }
    end_sums(M, N, row, acc);
}

static __attribute__((noinline)) void direct_dispatch(int m, int n, const direct_row *row) {
    SIMD_DISPATCH(m, n, direct_block, row)
}

static size_t bias_floats(const exa_conv3d_plan *plan) {
    return ((size_t)plan->out_stride + 15) / 16 * 16;
}

/* All outputs of one row; `row` brings channel, weights and runs. */
static void direct_line(direct_row *row, int n, size_t r, float *sums) {
    const exa_conv3d_plan *plan = row->plan;
    int z = (int)(r / (size_t)plan->shape[1]), y = (int)(r % (size_t)plan->shape[1]);
    int width = plan->shape[2], blocks = block_count(width);

    for (int b = 0; b < blocks; b++) {
        int x = block_first(width, blocks, b), x_end = block_first(width, blocks, b + 1);
        row->in = row->args->in + exa_conv3d_first_tap(plan, z, y, x) * (size_t)plan->in_stride;
        row->voxel = exa_conv3d_grid_index(plan, z, y, x);
        row->sums = sums ? sums + (size_t)x * SIMD_BLOCK * EXA_SIMD_FLOATS : NULL;
        direct_dispatch(x_end - x, n, row);
    }
}

static void direct_run(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end,
                       float *scratch) {
    const float *weights = args->packed + bias_floats(plan);
    int vectors = plan->out_stride / EXA_SIMD_FLOATS;
    size_t block = (size_t)plan->block_rows;
    size_t row_floats = (size_t)plan->shape[2] * SIMD_BLOCK * EXA_SIMD_FLOATS;

    for (size_t first = begin; first < end; first += block) {
        size_t last = end - first < block ? end : first + block;
        for (int v = 0; v < vectors; v += SIMD_BLOCK) {
            int n = vectors - v < SIMD_BLOCK ? vectors - v : SIMD_BLOCK;
            direct_row row = {.plan = plan, .args = args, .channel = (size_t)v * EXA_SIMD_FLOATS};
            row.weights = weights + row.channel * (size_t)plan->run_floats;
            for (int run = 0; run < plan->runs; run += plan->pass_runs) {
                row.first_run = run;
                row.end_run = plan->runs - run < plan->pass_runs ? plan->runs : run + plan->pass_runs;
                for (size_t r = first; r < last; r++)
                    direct_line(&row, n, r, scratch ? scratch + (r - first) * row_floats : NULL);
            }
        }
    }
}

static void max_run(const float *const *in, int window, size_t count, float *out) {
    for (size_t i = 0; i < count; i += EXA_SIMD_FLOATS) {
        vec most = load(in[0] + i);
        for (int k = 1; k < window; k++) {
            vec v = load(in[k] + i);
            most = (vec)(((vec_mask)v & (v > most)) | ((vec_mask)most & ~(v > most)));
        }
        store(out + i, most);
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
    .max = max_run,
};
