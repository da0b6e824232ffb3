/* 3-D convolution: the plain reference (the specification of the vectorised kernels), plans, weight packing and the
 * choice of the instruction set at run time.
 *
 * How much a kernel does at once follows from the size of its weights: those it goes over again and again should
 * stay in the L2 cache of a core, the rest stream past as seldom as possible. Sums are made in one order all the
 * same, so no result depends on it.
 */
#include "exaconn/conv3d.h"

#include "conv3d_simd.h"

#include <assert.h>
#include <string.h>

#define TILE 3                /* outputs of a Winograd tile per axis */
#define POINTS (TILE + 3 - 1) /* and its transformed inputs */
#define ALIGN_FLOATS 16       /* 64 bytes */

#define CACHE_FLOATS ((size_t)64 << 10) /* of weights that are read once per row without loss: 256 KiB of L2 */
#define PASS_FLOATS ((size_t)32 << 10)  /* of weights of one pass over a block of rows */
#define FEW_TILES 5
#define BLOCK_FLOATS ((size_t)16 << 10) /* of unfinished sums of a block of rows */

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
    size_t rows = (size_t)plan->block_rows;
    size_t in_line = (size_t)plan->grid[2] * (size_t)plan->in_stride;
    size_t in_tiles = rows * (size_t)tiles(plan->shape[2]) * (size_t)plan->in_stride;
    size_t out_tiles = rows * (size_t)tiles(plan->shape[2]) * (size_t)plan->out_stride;
    exa_winograd_scratch s;

    s.ring = round_up((TILE * rows + POINTS - TILE) * POINTS * in_line, ALIGN_FLOATS);
    s.points = round_up(rows * POINTS * in_line, ALIGN_FLOATS);
    s.in = round_up(POINTS * in_tiles, ALIGN_FLOATS);
    s.product = round_up(POINTS * out_tiles, ALIGN_FLOATS);
    s.lines = round_up(POINTS * TILE * out_tiles, ALIGN_FLOATS);
    s.planes = round_up(POINTS * TILE * TILE * out_tiles, ALIGN_FLOATS);
    s.total = s.ring + s.points + s.in + s.product + s.lines + s.planes;
    return s;
}

/* How DIRECT cuts its work: see the top. `block` is the floats of a register block's output channels. */
static void plan_direct(exa_conv3d_plan *plan, size_t block) {
    int taps = plan->kernel * plan->kernel * plan->kernel;
    bool in_line = plan->in_stride == plan->cin;
    size_t row_floats = (size_t)plan->shape[2] * block;

    plan->runs = in_line ? plan->kernel * plan->kernel : taps;
    plan->run_floats = in_line ? plan->kernel * plan->cin : plan->cin;
    plan->pass_runs = plan->runs;
    plan->block_rows = 1;
    if ((size_t)taps * (size_t)plan->cin * (size_t)plan->out_stride <= CACHE_FLOATS) return;
    size_t fit = PASS_FLOATS / ((size_t)plan->run_floats * block);
    if (fit < (size_t)plan->runs) plan->pass_runs = fit ? (int)fit : 1;
    size_t rows = BLOCK_FLOATS / row_floats, all = (size_t)plan->shape[0] * (size_t)plan->shape[1];
    plan->block_rows = (int)(rows < 1 ? 1 : rows > all ? all : rows);
    plan->scratch_floats = plan->pass_runs < plan->runs ? (size_t)plan->block_rows * row_floats : 0;
}

/* WINOGRAD's weights are 125/27 of DIRECT's: wide layers of few tiles go over them for several tile rows at once
 * (bench_segclr --layers: 9^3 x 256 takes half the time so; from 6 tiles on one row at a time is faster, as more of
 * what it works on stays in L2). */
static void plan_winograd(exa_conv3d_plan *plan, int group) {
    size_t weights = (size_t)POINTS * POINTS * POINTS * (size_t)plan->cin * (size_t)plan->out_stride;
    int across = tiles(plan->shape[2]), down = tiles(plan->shape[1]);

    if (group == 0) group = weights > 4 * CACHE_FLOATS && across < FEW_TILES ? down : 1;
    plan->block_rows = group < down ? group : down;
    plan->scratch_floats = exa_winograd_scratch_of(plan).total;
}

static void plan_sizes(exa_conv3d_plan *plan, const exa_conv3d_simd *simd, int group) {
    bool winograd = plan->kind == EXA_CONV3D_WINOGRAD;
    size_t weights = (size_t)plan->cin * (size_t)plan->out_stride, kernel = (size_t)plan->kernel;
    size_t points = winograd ? POINTS * POINTS * POINTS : kernel * kernel * kernel;

    plan->packed_floats =
        round_up((size_t)plan->out_stride, ALIGN_FLOATS) + round_up(points * weights, ALIGN_FLOATS);
    plan->rows = winograd ? (size_t)tiles(plan->shape[0]) * (size_t)tiles(plan->shape[1])
                          : (size_t)plan->shape[0] * (size_t)plan->shape[1];
    if (winograd) {
        plan_winograd(plan, group);
    } else {
        plan_direct(plan, (size_t)simd->vector_floats * (size_t)simd->block_vectors);
    }
    if (plan->kind == EXA_CONV3D_REFERENCE) plan->scratch_floats = 0;
}

static exa_status check_layer(exa_conv3d_kind kind, const exa_conv3d_layer *l) {
    EXA_CHECK(l->cin >= 1 && l->cout >= 1 && l->in_shape[0] >= 1 && l->in_shape[1] >= 1 && l->in_shape[2] >= 1,
              EXA_ERR_RANGE, "convolution of %d x %d x %d voxels, %d -> %d channels", l->in_shape[0],
              l->in_shape[1], l->in_shape[2], l->cin, l->cout);
    EXA_CHECK((l->kernel == 1 || l->kernel == 3 || l->kernel == 7) && (l->stride == 1 || l->stride == 2) &&
                  (kind != EXA_CONV3D_WINOGRAD || (l->kernel == 3 && l->stride == 1)),
              EXA_ERR_RANGE, "a convolution of %d^3 with stride %d", l->kernel, l->stride);
    for (int a = 0; a < 3; a++)
        EXA_CHECK(l->stride == 1 || l->in_shape[a] % 2 == 1, EXA_ERR_RANGE,
                  "a convolution with stride 2 over %d voxels; an odd number is expected", l->in_shape[a]);
    return EXA_OK;
}

exa_status exa_conv3d_plan_layer(exa_conv3d_kind kind, exa_isa isa, const exa_conv3d_layer *layer,
                                 exa_conv3d_plan *plan) {
    isa = exa_conv3d_isa(isa);
    const exa_conv3d_simd *simd = simd_of(isa);
    EXA_CHECK(simd && exa_cpu_has(isa), EXA_ERR_UNSUPPORTED,
              "this processor (or this build) has no '%s' instructions. Hint: use auto", exa_isa_name(isa));
    EXA_TRY(check_layer(kind, layer));
    exa_conv3d_plan p = {.kind = kind, .isa = isa, .cin = layer->cin, .cout = layer->cout};
    p.kernel = layer->kernel;
    p.stride = layer->stride;
    p.in_stride = layer->in_stride ? layer->in_stride : exa_conv3d_stride(isa, layer->cin);
    p.out_stride = exa_conv3d_stride(isa, layer->cout);
    EXA_CHECK(p.in_stride >= p.cin && (kind != EXA_CONV3D_WINOGRAD || p.in_stride % simd->vector_floats == 0),
              EXA_ERR_RANGE, "convolution of %d channels with a voxel stride of %d", p.cin, p.in_stride);
    p.in_halo = p.kernel == 7 ? 3 : 1;
    p.out_halo = layer->tight ? 0 : 1;
    for (int a = 0; a < 3; a++) {
        p.in_shape[a] = layer->in_shape[a];
        p.in_grid[a] = p.in_halo == 3 ? p.in_shape[a] + 6 : TILE * tiles(p.in_shape[a]) + 2;
        p.shape[a] = (p.in_shape[a] - 1) / p.stride + 1;
        p.grid[a] = layer->tight ? p.shape[a] : TILE * tiles(p.shape[a]) + 2;
    }
    plan_sizes(&p, simd, layer->group);
    *plan = p;
    return EXA_OK;
}

exa_status exa_conv3d_plan_init(exa_conv3d_kind kind, exa_isa isa, const int shape_zyx[3], int cin, int cout,
                                int in_stride, exa_conv3d_plan *plan) {
    exa_conv3d_layer layer = {{shape_zyx[0], shape_zyx[1], shape_zyx[2]}, 3, 1, cin, cout, in_stride, 0, false};
    return exa_conv3d_plan_layer(kind, isa, &layer, plan);
}

static size_t volume_of(const int grid[3]) {
    return (size_t)grid[0] * (size_t)grid[1] * (size_t)grid[2];
}

static size_t index_of(const int grid[3], int halo, int z, int y, int x) {
    return ((size_t)(z + halo) * (size_t)grid[1] + (size_t)(y + halo)) * (size_t)grid[2] + (size_t)(x + halo);
}

size_t exa_conv3d_grid_voxels(const exa_conv3d_plan *plan) {
    return volume_of(plan->grid);
}

size_t exa_conv3d_in_grid_voxels(const exa_conv3d_plan *plan) {
    return volume_of(plan->in_grid);
}

size_t exa_conv3d_grid_index(const exa_conv3d_plan *plan, int z, int y, int x) {
    return index_of(plan->grid, plan->out_halo, z, y, x);
}

size_t exa_conv3d_in_index(const exa_conv3d_plan *plan, int z, int y, int x) {
    return index_of(plan->in_grid, plan->in_halo, z, y, x);
}

size_t exa_conv3d_first_tap(const exa_conv3d_plan *plan, int z, int y, int x) {
    int reach = plan->kernel / 2, s = plan->stride;
    return exa_conv3d_in_index(plan, z * s - reach, y * s - reach, x * s - reach);
}

/* Place of weight (k, co) in a packed [depth x out_stride] matrix: blocks of `block` output vectors, each
 * [depth][vectors of the block], so that the innermost loop of a kernel reads straight on. */
static size_t packed_index(const exa_conv3d_plan *plan, size_t k, size_t depth, int co) {
    const exa_conv3d_simd *simd = simd_of(plan->isa);
    int width = simd->vector_floats * simd->block_vectors;
    int first = co / width * width;
    int here = plan->out_stride - first < width ? plan->out_stride - first : width;

    if (plan->kind == EXA_CONV3D_REFERENCE) return k * (size_t)plan->out_stride + (size_t)co;
    return (size_t)first * depth + k * (size_t)here + (size_t)(co - first);
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

static void pack_winograd(const exa_conv3d_plan *plan, const float *weights, float *u) {
    size_t matrix = (size_t)plan->cin * (size_t)plan->out_stride, cin = (size_t)plan->cin;
    size_t pairs = cin * (size_t)plan->cout;

    for (size_t ci = 0; ci < cin; ci++) {
        for (int co = 0; co < plan->cout; co++) {
            const float *w = weights + ci * (size_t)plan->cout + (size_t)co;
            float *to = u + packed_index(plan, ci, cin, co);
            double g[27], points[POINTS * POINTS * POINTS];
            for (size_t k = 0; k < 27; k++) g[k] = (double)w[k * pairs];
            winograd_weight(g, points);
            for (size_t p = 0; p < POINTS * POINTS * POINTS; p++) to[p * matrix] = (float)points[p];
        }
    }
}

static void pack_taps(const exa_conv3d_plan *plan, const float *weights, float *u) {
    size_t cin = (size_t)plan->cin, cout = (size_t)plan->cout, kernel = (size_t)plan->kernel;
    size_t depth = plan->kind == EXA_CONV3D_REFERENCE ? cin : (size_t)plan->run_floats;

    for (size_t k = 0; k < kernel * kernel * kernel * cin; k++) {
        float *run = u + k / depth * depth * (size_t)plan->out_stride;
        for (size_t co = 0; co < cout; co++)
            run[packed_index(plan, k % depth, depth, (int)co)] = weights[k * cout + co];
    }
}

void exa_conv3d_pack(const exa_conv3d_plan *plan, const float *weights, const float *biases, float *packed) {
    float *u = packed + round_up((size_t)plan->out_stride, ALIGN_FLOATS);

    memset(packed, 0, plan->packed_floats * sizeof *packed);
    memcpy(packed, biases, (size_t)plan->cout * sizeof *packed);
    if (plan->kind == EXA_CONV3D_WINOGRAD) {
        pack_winograd(plan, weights, u);
    } else {
        pack_taps(plan, weights, u);
    }
}

/* ---- the specification -------------------------------------------------------------------------- */

static float relu(float x) {
    return x > 0 ? x : 0;
}

/* `from` is the input voxel under the first tap of output voxel `co`'s sum. */
static float reference_sum(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t from, int co) {
    const float *weights = args->packed + round_up((size_t)plan->out_stride, ALIGN_FLOATS);
    size_t plane = (size_t)plan->in_grid[1] * (size_t)plan->in_grid[2], line = (size_t)plan->in_grid[2];
    size_t kernel = (size_t)plan->kernel;
    float sum = args->packed[co];

    for (size_t tap = 0; tap < kernel * kernel * kernel; tap++) {
        size_t neighbour = from + tap / (kernel * kernel) * plane + tap / kernel % kernel * line + tap % kernel;
        const float *in = args->in + neighbour * (size_t)plan->in_stride;
        const float *w = weights + tap * (size_t)plan->cin * (size_t)plan->out_stride;
        for (int ci = 0; ci < plan->cin; ci++) {
            float value = args->relu_in ? relu(in[ci]) : in[ci];
            sum += value * w[(size_t)ci * (size_t)plan->out_stride + (size_t)co];
        }
    }
    return sum;
}

static void reference_finish(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t at, int co,
                             float sum) {
    if (args->affine) sum = relu(sum) * args->affine[co] + args->affine[plan->out_stride + co];
    if (args->add_out) sum += args->out[at];
    args->out[at] = args->relu_out ? relu(sum) : sum;
    if (args->out_relu) args->out_relu[at] = relu(sum);
}

static void reference_run(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end) {
    for (size_t row = begin; row < end; row++) {
        int z = (int)(row / (size_t)plan->shape[1]), y = (int)(row % (size_t)plan->shape[1]);
        for (int x = 0; x < plan->shape[2]; x++) {
            size_t voxel = exa_conv3d_grid_index(plan, z, y, x), from = exa_conv3d_first_tap(plan, z, y, x);
            for (int co = 0; co < plan->cout; co++) {
                float sum = reference_sum(plan, args, from, co);
                reference_finish(plan, args, voxel * (size_t)plan->out_stride + (size_t)co, co, sum);
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
        simd_of(plan->isa)->direct(plan, args, begin, end, scratch);
        return;
    case EXA_CONV3D_WINOGRAD: simd_of(plan->isa)->winograd(plan, args, begin, end, scratch); return;
    }
}

void exa_conv3d_head(exa_isa isa, const float *in, int stride, const float *weights, float bias, const float *add,
                     size_t count, float *out) {
    simd_of(isa)->head(in, stride, weights, bias, add, count, out);
}

void exa_conv3d_max(exa_isa isa, const float *const *in, int window, size_t count, float *out) {
    simd_of(isa)->max(in, window, count, out);
}
