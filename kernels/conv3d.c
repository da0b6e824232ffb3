/* 3-D convolution: the plain reference (the specification of the vectorised kernels), plans, weight packing and the
 * choice of the instruction set at run time.
 */
#include "exaconn/conv3d.h"

#include "conv3d_simd.h"

#include <assert.h>
#include <string.h>

#define TILE 3                /* outputs of a Winograd tile per axis */
#define POINTS (TILE + 3 - 1) /* and its transformed inputs */
#define ALIGN_FLOATS 16       /* 64 bytes */

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

static const exa_conv3d_simd *simd_of(exa_isa isa) {
#ifdef EXA_SIMD_X86
    if (isa == EXA_ISA_AVX512) return &exa_conv3d_simd_avx512;
    if (isa == EXA_ISA_AVX2) return &exa_conv3d_simd_avx2;
#endif
    return isa == EXA_ISA_PORTABLE ? &exa_conv3d_simd_portable : NULL;
}

exa_isa exa_conv3d_isa(exa_isa isa) {
    return isa == EXA_ISA_AUTO ? exa_cpu_best_isa() : isa;
}

int exa_conv3d_stride(exa_isa isa, int channels) {
    const exa_conv3d_simd *simd = simd_of(isa);
    return (int)round_up((size_t)channels, simd ? (size_t)simd->vector_floats : ALIGN_FLOATS);
}

static int tiles(int voxels) {
    return (voxels + TILE - 1) / TILE;
}

exa_winograd_scratch exa_winograd_scratch_of(const exa_conv3d_plan *plan) {
    size_t in_line = (size_t)plan->grid[2] * (size_t)plan->in_stride;
    size_t in_tiles = (size_t)tiles(plan->shape[2]) * (size_t)plan->in_stride;
    size_t out_tiles = (size_t)tiles(plan->shape[2]) * (size_t)plan->out_stride;
    exa_winograd_scratch s;

    s.ring = round_up(POINTS * POINTS * in_line, ALIGN_FLOATS);
    s.points = round_up(POINTS * in_line, ALIGN_FLOATS);
    s.in = round_up(POINTS * in_tiles, ALIGN_FLOATS);
    s.product = round_up(POINTS * out_tiles, ALIGN_FLOATS);
    s.lines = round_up(POINTS * TILE * out_tiles, ALIGN_FLOATS);
    s.planes = round_up(POINTS * TILE * TILE * out_tiles, ALIGN_FLOATS);
    s.total = s.ring + s.points + s.in + s.product + s.lines + s.planes;
    return s;
}

static void plan_sizes(exa_conv3d_plan *plan) {
    size_t weights = (size_t)plan->cin * (size_t)plan->out_stride;
    size_t points = plan->kind == EXA_CONV3D_WINOGRAD ? POINTS * POINTS * POINTS : 27;

    plan->packed_floats =
        round_up((size_t)plan->out_stride, ALIGN_FLOATS) + round_up(points * weights, ALIGN_FLOATS);
    plan->scratch_floats = plan->kind == EXA_CONV3D_WINOGRAD ? exa_winograd_scratch_of(plan).total : 0;
    plan->rows = plan->kind == EXA_CONV3D_WINOGRAD ? (size_t)tiles(plan->shape[0]) * (size_t)tiles(plan->shape[1])
                                                   : (size_t)plan->shape[0] * (size_t)plan->shape[1];
}

exa_status exa_conv3d_plan_init(exa_conv3d_kind kind, exa_isa isa, const int shape_zyx[3], int cin, int cout,
                                int in_stride, exa_conv3d_plan *plan) {
    isa = exa_conv3d_isa(isa);
    const exa_conv3d_simd *simd = simd_of(isa);
    EXA_CHECK(simd && exa_cpu_has(isa), EXA_ERR_UNSUPPORTED,
              "this processor (or this build) has no '%s' instructions. Hint: use auto", exa_isa_name(isa));
    EXA_CHECK(cin >= 1 && cout >= 1 && shape_zyx[0] >= 1 && shape_zyx[1] >= 1 && shape_zyx[2] >= 1, EXA_ERR_RANGE,
              "convolution of %d x %d x %d voxels, %d -> %d channels", shape_zyx[0], shape_zyx[1], shape_zyx[2],
              cin, cout);
    exa_conv3d_plan p = {.kind = kind, .isa = isa, .cin = cin, .cout = cout};
    p.in_stride = in_stride ? in_stride : exa_conv3d_stride(isa, cin);
    p.out_stride = exa_conv3d_stride(isa, cout);
    EXA_CHECK(p.in_stride >= cin && (kind != EXA_CONV3D_WINOGRAD || p.in_stride % simd->vector_floats == 0),
              EXA_ERR_RANGE, "convolution of %d channels with a voxel stride of %d", cin, p.in_stride);
    for (int a = 0; a < 3; a++) {
        p.shape[a] = shape_zyx[a];
        p.grid[a] = TILE * tiles(shape_zyx[a]) + 2;
    }
    plan_sizes(&p);
    *plan = p;
    return EXA_OK;
}

size_t exa_conv3d_grid_voxels(const exa_conv3d_plan *plan) {
    return (size_t)plan->grid[0] * (size_t)plan->grid[1] * (size_t)plan->grid[2];
}

size_t exa_conv3d_grid_index(const exa_conv3d_plan *plan, int z, int y, int x) {
    return ((size_t)(z + 1) * (size_t)plan->grid[1] + (size_t)(y + 1)) * (size_t)plan->grid[2] + (size_t)(x + 1);
}

/* Place of weight (ci, co) in a packed [cin x out_stride] matrix: blocks of `block` output vectors, each
 * [cin][vectors of the block], so that the innermost loop of a kernel reads straight on. */
static size_t packed_index(const exa_conv3d_plan *plan, int ci, int co) {
    const exa_conv3d_simd *simd = simd_of(plan->isa);
    int width = simd->vector_floats * simd->block_vectors;
    int first = co / width * width;
    int here = plan->out_stride - first < width ? plan->out_stride - first : width;

    if (plan->kind == EXA_CONV3D_REFERENCE) return (size_t)ci * (size_t)plan->out_stride + (size_t)co;
    return (size_t)first * (size_t)plan->cin + (size_t)ci * (size_t)here + (size_t)(co - first);
}

/* G of conv3d_simd.h: row i is (1, p, p^2) / prod_{j != i}(p_i - p_j) up to a sign, the last is infinity's. */
static const double winograd_g[POINTS][3] = {
    {1, 0, 0}, {2.0 / 9, 2.0 / 9, 2.0 / 9}, {8.0 / 9, -4.0 / 9, 2.0 / 9}, {-1.0 / 9, 2.0 / 9, -4.0 / 9}, {0, 0, 1}};

/* The weights of one (ci, co) pair, [kz][ky][kx] to points [pz][py][px], along each axis in turn, in double. */
static void winograd_weight(const double g[27], double u[POINTS * POINTS * POINTS]) {
    double z[POINTS][3][3] = {0}, zy[POINTS][POINTS][3] = {0};

    memset(u, 0, POINTS * POINTS * POINTS * sizeof *u);
    for (int pz = 0; pz < POINTS; pz++)
        for (int k = 0; k < 3; k++)
            for (int yx = 0; yx < 9; yx++) z[pz][yx / 3][yx % 3] += winograd_g[pz][k] * g[k * 9 + yx];
    for (int pz = 0; pz < POINTS; pz++)
        for (int py = 0; py < POINTS; py++)
            for (int k = 0; k < 3; k++)
                for (int x = 0; x < 3; x++) zy[pz][py][x] += winograd_g[py][k] * z[pz][k][x];
    for (int pzy = 0; pzy < POINTS * POINTS; pzy++)
        for (int px = 0; px < POINTS; px++)
            for (int k = 0; k < 3; k++)
                u[pzy * POINTS + px] += winograd_g[px][k] * zy[pzy / POINTS][pzy % POINTS][k];
}

void exa_conv3d_pack(const exa_conv3d_plan *plan, const float *weights, const float *biases, float *packed) {
    size_t matrix = (size_t)plan->cin * (size_t)plan->out_stride;
    size_t pairs = (size_t)plan->cin * (size_t)plan->cout;
    float *u = packed + round_up((size_t)plan->out_stride, ALIGN_FLOATS);

    memset(packed, 0, plan->packed_floats * sizeof *packed);
    memcpy(packed, biases, (size_t)plan->cout * sizeof *packed);
    for (int ci = 0; ci < plan->cin; ci++) {
        for (int co = 0; co < plan->cout; co++) {
            const float *w = weights + (size_t)ci * (size_t)plan->cout + (size_t)co;
            float *to = u + packed_index(plan, ci, co);
            double g[27], points[POINTS * POINTS * POINTS];
            for (size_t k = 0; k < 27; k++) g[k] = (double)w[k * pairs];
            if (plan->kind == EXA_CONV3D_WINOGRAD) {
                winograd_weight(g, points);
                for (size_t p = 0; p < POINTS * POINTS * POINTS; p++) to[p * matrix] = (float)points[p];
            } else {
                for (size_t k = 0; k < 27; k++) to[k * matrix] = w[k * pairs];
            }
        }
    }
}

/* ---- the specification -------------------------------------------------------------------------- */

static float relu(float x) {
    return x > 0 ? x : 0;
}

static float reference_sum(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t voxel, int co) {
    const float *weights = args->packed + round_up((size_t)plan->out_stride, ALIGN_FLOATS);
    size_t plane = (size_t)plan->grid[1] * (size_t)plan->grid[2], line = (size_t)plan->grid[2];
    float sum = args->packed[co];

    for (size_t tap = 0; tap < 27; tap++) {
        /* The grid's halo makes the first neighbour (-1, -1, -1) a valid voxel. */
        size_t neighbour = voxel - plane - line - 1 + tap / 9 * plane + tap / 3 % 3 * line + tap % 3;
        const float *in = args->in + neighbour * (size_t)plan->in_stride;
        const float *w = weights + tap * (size_t)plan->cin * (size_t)plan->out_stride;
        for (int ci = 0; ci < plan->cin; ci++) {
            float value = args->relu_in ? relu(in[ci]) : in[ci];
            sum += value * w[(size_t)ci * (size_t)plan->out_stride + (size_t)co];
        }
    }
    return sum;
}

static void reference_run(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
        int z = (int)(row / (size_t)plan->shape[1]), y = (int)(row % (size_t)plan->shape[1]);
        for (int x = 0; x < plan->shape[2]; x++) {
            size_t voxel = exa_conv3d_grid_index(plan, z, y, x);
            for (int co = 0; co < plan->cout; co++) {
                size_t at = voxel * (size_t)plan->out_stride + (size_t)co;
                float sum = reference_sum(plan, args, voxel, co);
                if (args->add_out) sum += args->out[at];
                args->out[at] = args->relu_out ? relu(sum) : sum;
                if (args->out_relu) args->out_relu[at] = relu(sum);
            }
        }
    }
}

/* ---- dispatch ----------------------------------------------------------------------------------- */

void exa_conv3d_run(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end,
                    float *scratch) {
    assert(args->in != args->out);
    switch (plan->kind) {
    case EXA_CONV3D_REFERENCE: reference_run(plan, args, begin, end); return;
    case EXA_CONV3D_DIRECT:
        assert(!args->relu_in);
        simd_of(plan->isa)->direct(plan, args, begin, end);
        return;
    case EXA_CONV3D_WINOGRAD: simd_of(plan->isa)->winograd(plan, args, begin, end, scratch); return;
    }
}

void exa_conv3d_head(exa_isa isa, const float *in, int stride, const float *weights, float bias, const float *add,
                     size_t count, float *out) {
    simd_of(isa)->head(in, stride, weights, bias, add, count, out);
}
