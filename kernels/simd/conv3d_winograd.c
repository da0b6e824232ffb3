/* Winograd convolution F(3x3x3, 3x3x3): 125 products per tile and channel pair instead of 729 (Winograd 1980; Lavin and
 * Gray 2016; the matrices are in conv3d_simd.h).
 *
 * The unit of work is a row of tiles along x. Transforms are shared between neighbours where they overlap:
 *
 *   input rows y (5 planes) --z,x--> ring of 5 rows [pz][px][tile][C]     3 new rows per row of tiles
 *   for each pz, px:  ring --y--> point [py][tile][C]                     stays in L1
 *                     5 products [tiles x Cin] * [Cin x Cout]             weights stream from L2, read straight on
 *                     --y--> rows [yo][px][tile][C]
 *   for each pz:      rows --x--> planes [pz][yo][x][C]
 *   planes --z--> bias, residual, relu --> 9 output rows, clipped to the data
 */
#include "simd.h"

#define POINTS 5
#define TILE 3

typedef struct work {
    const exa_conv3d_plan *plan;
    const exa_conv3d_args *args;
    const float *weights; /* [pz][px][py][packed matrix] */
    size_t tiles;         /* along x */
    size_t in_line, out_line; /* floats of [tiles][channels] */
    float *ring, *point, *product, *rows, *planes;
} work;

/* B^T; see conv3d_simd.h. */
SIMD_INLINE void input_points(const vec d[POINTS], vec v[POINTS]) {
    v[0] = (d[0] - d[3]) + 1.5f * (d[1] - d[2]);
    v[1] = (d[1] + d[3]) + 2.5f * d[2];
    v[2] = (d[2] + d[3]) - 2.0f * d[1];
    v[3] = d[3] - 0.5f * (d[1] + d[2]);
    v[4] = (d[4] - d[1]) + 1.5f * (d[3] - d[2]);
}

/* A^T. */
SIMD_INLINE void output_points(const vec m[POINTS], vec y[TILE]) {
    y[0] = (m[0] + m[1]) + (m[2] + m[3]);
    y[1] = (m[1] - 0.5f * m[2]) - 2.0f * m[3];
    y[2] = 0.25f * m[2] + (4.0f * m[3] + (m[1] + m[4]));
}

SIMD_INLINE void load_z(const float *in, size_t plane, bool relu_in, vec v[POINTS]) {
    vec d[POINTS];
    SIMD_UNROLL
    for (int i = 0; i < POINTS; i++) {
        d[i] = load(in + (size_t)i * plane);
        if (relu_in) d[i] = relu(d[i]);
    }
    input_points(d, v);
}

/* One input row of five planes, transformed along z and x, for one vector of channels. The window holds the
 * z-transformed columns under a tile; two of its five columns serve the next tile too. */
SIMD_INLINE void ring_row_vector(const work *w, const float *in, size_t plane, bool relu_in, float *out) {
    size_t stride = (size_t)w->plan->in_stride, line = w->in_line;
    vec window[POINTS][POINTS], column[POINTS]; /* window[x][pz] */

    load_z(in, plane, relu_in, window[0]);
    load_z(in + stride, plane, relu_in, window[1]);
#pragma GCC unroll 1
    for (size_t t = 0; t < w->tiles; t++) {
        const float *at = in + t * TILE * stride;
        SIMD_UNROLL
        for (int x = 2; x < POINTS; x++) load_z(at + (size_t)x * stride, plane, relu_in, window[x]);
        SIMD_UNROLL
        for (int pz = 0; pz < POINTS; pz++) {
            vec v[POINTS];
            SIMD_UNROLL
            for (int x = 0; x < POINTS; x++) column[x] = window[x][pz];
            input_points(column, v);
            SIMD_UNROLL
            for (int px = 0; px < POINTS; px++) store(out + (size_t)(pz * POINTS + px) * line + t * stride, v[px]);
        }
        SIMD_UNROLL
        for (int pz = 0; pz < POINTS; pz++) {
            window[0][pz] = window[3][pz];
            window[1][pz] = window[4][pz];
        }
    }
}

/* Grid row y (halo counted) of the tile layer tz into its slot of the ring. */
static void ring_row(const work *w, size_t tz, size_t y) {
    const exa_conv3d_plan *plan = w->plan;
    size_t stride = (size_t)plan->in_stride, line = (size_t)plan->grid[2] * stride;
    size_t plane = (size_t)plan->grid[1] * line;
    const float *in = w->args->in + tz * TILE * plane + y * line;
    float *out = w->ring + y % POINTS * (POINTS * POINTS * w->in_line);

    for (size_t c = 0; c < stride; c += EXA_SIMD_FLOATS) {
        if (w->args->relu_in) {
            ring_row_vector(w, in + c, plane, true, out + c);
        } else {
            ring_row_vector(w, in + c, plane, false, out + c);
        }
    }
}

/* The y transform at one (pz, px): five ring rows to five lines. */
static void transform_y(const work *w, size_t ty, size_t pzx) {
    const float *from[POINTS];
    for (size_t i = 0; i < POINTS; i++) {
        from[i] = w->ring + ((ty * TILE + i) % POINTS * (POINTS * POINTS) + pzx) * w->in_line;
    }
    for (size_t i = 0; i < w->in_line; i += EXA_SIMD_FLOATS) {
        vec d[POINTS], v[POINTS];
        SIMD_UNROLL
        for (int j = 0; j < POINTS; j++) d[j] = load(from[j] + i);
        input_points(d, v);
        SIMD_UNROLL
        for (int j = 0; j < POINTS; j++) store(w->point + (size_t)j * w->in_line + i, v[j]);
    }
}

typedef struct product_block {
    const float *a, *weights;
    float *out;
    size_t lda, ldc, K;
} product_block;

SIMD_INLINE void product_tile(const int M, const int N, const product_block *p) {
    vec acc[SIMD_ROWS][SIMD_BLOCK];

    SIMD_UNROLL
    for (int m = 0; m < M; m++) {
        SIMD_UNROLL
        for (int n = 0; n < N; n++) acc[m][n] = (vec){0};
    }
    multiply_block(acc, p->a, p->lda, p->weights, p->K, M, N, 1024);
    SIMD_UNROLL
    for (int m = 0; m < M; m++) {
        SIMD_UNROLL
        for (int n = 0; n < N; n++) store(p->out + (size_t)m * p->ldc + (size_t)n * EXA_SIMD_FLOATS, acc[m][n]);
    }
}

static __attribute__((noinline)) void product_dispatch(int m, int n, const product_block *p) {
    SIMD_DISPATCH(m, n, product_tile, p)
}

/* out [tiles x Cout] = in [tiles x Cin] * weights. */
static void multiply(const work *w, const float *in, const float *weights, float *out) {
    const exa_conv3d_plan *plan = w->plan;
    int vectors = plan->out_stride / EXA_SIMD_FLOATS, blocks = block_count((int)w->tiles);
    product_block p = {.lda = (size_t)plan->in_stride, .ldc = (size_t)plan->out_stride, .K = (size_t)plan->cin};

    for (int v = 0; v < vectors; v += SIMD_BLOCK) {
        size_t channel = (size_t)v * EXA_SIMD_FLOATS;
        int n = vectors - v < SIMD_BLOCK ? vectors - v : SIMD_BLOCK;
        p.weights = weights + channel * p.K;
        for (int b = 0; b < blocks; b++) {
            int first = block_first((int)w->tiles, blocks, b), end = block_first((int)w->tiles, blocks, b + 1);
            p.a = in + (size_t)first * p.lda;
            p.out = out + (size_t)first * p.ldc + channel;
            product_dispatch(end - first, n, &p);
        }
    }
}

static void untransform_y(const work *w, size_t px) {
    size_t line = w->out_line;
    for (size_t i = 0; i < line; i += EXA_SIMD_FLOATS) {
        vec m[POINTS], y[TILE];
        SIMD_UNROLL
        for (int j = 0; j < POINTS; j++) m[j] = load(w->product + (size_t)j * line + i);
        output_points(m, y);
        SIMD_UNROLL
        for (int j = 0; j < TILE; j++) store(w->rows + ((size_t)j * POINTS + px) * line + i, y[j]);
    }
}

static void untransform_x(const work *w, size_t pz) {
    size_t stride = (size_t)w->plan->out_stride, line = w->out_line;
    for (size_t yo = 0; yo < TILE; yo++) {
        const float *from = w->rows + yo * POINTS * line;
        float *to = w->planes + (pz * TILE + yo) * TILE * line;
        for (size_t t = 0; t < w->tiles; t++) {
            for (size_t c = 0; c < stride; c += EXA_SIMD_FLOATS) {
                vec m[POINTS], y[TILE];
                SIMD_UNROLL
                for (int j = 0; j < POINTS; j++) m[j] = load(from + (size_t)j * line + t * stride + c);
                output_points(m, y);
                SIMD_UNROLL
                for (int j = 0; j < TILE; j++) store(to + (t * TILE + (size_t)j) * stride + c, y[j]);
            }
        }
    }
}

/* Along z, bias and the fused ending: the output rows (tz, ty), those that lie in the data. */
static void untransform_z(const work *w, size_t tz, size_t ty) {
    const exa_conv3d_plan *plan = w->plan;
    size_t stride = (size_t)plan->out_stride, layer = TILE * TILE * w->out_line;
    size_t plane = (size_t)plan->grid[1] * (size_t)plan->grid[2] * stride;
    int depth = plan->shape[0] - (int)tz * TILE, height = plan->shape[1] - (int)ty * TILE;

    for (int yo = 0; yo < TILE && yo < height; yo++) {
        const float *from = w->planes + (size_t)yo * TILE * w->out_line;
        size_t at = exa_conv3d_grid_index(plan, (int)tz * TILE, (int)ty * TILE + yo, 0) * stride;
        for (size_t x = 0; x < (size_t)plan->shape[2]; x++) {
            for (size_t c = 0; c < stride; c += EXA_SIMD_FLOATS) {
                vec m[POINTS], y[TILE], bias = load(w->args->packed + c);
                SIMD_UNROLL
                for (int j = 0; j < POINTS; j++) m[j] = load(from + (size_t)j * layer + x * stride + c);
                output_points(m, y);
                finish(w->args, at + x * stride + c, y[0] + bias);
                if (depth > 1) finish(w->args, at + plane + x * stride + c, y[1] + bias);
                if (depth > 2) finish(w->args, at + 2 * plane + x * stride + c, y[2] + bias);
            }
        }
    }
}

static void tile_row(const work *w, size_t tz, size_t ty) {
    size_t matrix = (size_t)w->plan->cin * (size_t)w->plan->out_stride;

    for (size_t pz = 0; pz < POINTS; pz++) {
        for (size_t px = 0; px < POINTS; px++) {
            size_t pzx = pz * POINTS + px;
            transform_y(w, ty, pzx);
            for (size_t py = 0; py < POINTS; py++) {
                multiply(w, w->point + py * w->in_line, w->weights + (pzx * POINTS + py) * matrix,
                         w->product + py * w->out_line);
            }
            untransform_y(w, px);
        }
        untransform_x(w, pz);
    }
    untransform_z(w, tz, ty);
}

void SIMD_CAT(exa_winograd_run_, EXA_SIMD_NAME)(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin,
                                                size_t end, float *scratch) {
    exa_winograd_scratch s = exa_winograd_scratch_of(plan);
    size_t height = ((size_t)plan->shape[1] + TILE - 1) / TILE;
    work w = {.plan = plan, .args = args, .tiles = ((size_t)plan->shape[2] + TILE - 1) / TILE};

    w.weights = args->packed + ((size_t)plan->out_stride + 15) / 16 * 16;
    w.in_line = w.tiles * (size_t)plan->in_stride;
    w.out_line = w.tiles * (size_t)plan->out_stride;
    w.ring = scratch;
    w.point = w.ring + s.ring;
    w.product = w.point + s.point;
    w.rows = w.product + s.point;
    w.planes = w.rows + s.rows;
    for (size_t r = begin; r < end; r++) {
        size_t tz = r / height, ty = r % height;
        size_t fresh = r == begin || ty == 0 ? 0 : POINTS - TILE; /* the ring still holds the rows before */
        for (size_t i = fresh; i < POINTS; i++) ring_row(&w, tz, ty * TILE + i);
        tile_row(&w, tz, ty);
    }
}
