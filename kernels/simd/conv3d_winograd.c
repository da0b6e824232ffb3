/* Winograd convolution F(3x3x3, 3x3x3): 125 products per tile and channel pair instead of 729 (Winograd 1980; Lavin
 * and Gray 2016; the matrices are in conv3d_simd.h).
 *
 * The unit of work is a row of tiles along x; with wide weights, several neighbours along y (a group), so that each
 * weight that comes from memory serves more tiles. The transforms of one axis are done as early as neighbours can
 * share them:
 *
 *   5 planes of input rows --z--> ring of 5 rows [pz][x][C]      3 new rows per row of tiles; lives in L2
 *   each pz:      5 ring rows --y--> points [py][x][C]           from here on all but the weights stays in L1
 *   each pz, py:  points --x--> tiles [px][tile][C]
 *                 5 products [tiles x Cin] * [Cin x Cout]        weights stream from L2, read straight on
 *                 --x--> lines [py][x][C]
 *   each pz:      lines --y--> planes [pz][yo][x][C]
 *   planes --z--> bias, residual, relu --> 9 output rows, clipped to the data
 */
#include "simd.h"

#define POINTS 5
#define TILE 3

typedef struct work {
    const exa_conv3d_plan *plan;
    const exa_conv3d_args *args;
    const float *weights;       /* [pz][py][px][packed matrix] */
    size_t tiles;               /* along x */
    size_t group, ring_rows;    /* tile rows at once, at most; input rows for them */
    size_t in_line;             /* floats of a grid row of the input */
    size_t out_line;            /* floats of 3 * tiles output voxels */
    size_t in_row, out_row;     /* floats of [tiles][channels] */
    size_t in_tiles, out_tiles; /* floats of [group][tiles][channels] */
    float *ring, *points, *in, *product, *lines, *planes;
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

/* Five streams of `count` floats, `from_step` apart, to five of transformed values. */
SIMD_INLINE void transform_streams(const float *const from[POINTS], float *to, size_t to_step, size_t count,
                                   const bool relu_in) {
    for (size_t i = 0; i < count; i += EXA_SIMD_FLOATS) {
        vec d[POINTS], v[POINTS];
        SIMD_UNROLL
        for (int j = 0; j < POINTS; j++) {
            d[j] = load(from[j] + i);
            if (relu_in) d[j] = relu(d[j]);
        }
        input_points(d, v);
        SIMD_UNROLL
        for (int j = 0; j < POINTS; j++) store(to + (size_t)j * to_step + i, v[j]);
    }
}

/* Grid row y at pz in the ring. */
SIMD_INLINE float *ring_line(const work *w, size_t y, size_t pz) {
    return w->ring + (y % w->ring_rows * POINTS + pz) * w->in_line;
}

/* Grid row y (halo counted) of the tile layer tz into its slot of the ring. */
static void transform_z(const work *w, size_t tz, size_t y) {
    size_t plane = (size_t)w->plan->grid[1] * w->in_line;
    const float *from[POINTS];

    for (size_t i = 0; i < POINTS; i++) from[i] = w->args->in + (tz * TILE + i) * plane + y * w->in_line;
    if (w->args->relu_in) {
        transform_streams(from, ring_line(w, y, 0), w->in_line, w->in_line, true);
    } else {
        transform_streams(from, ring_line(w, y, 0), w->in_line, w->in_line, false);
    }
}

/* Tile row `g` of the group that begins at ty. */
static void transform_y(const work *w, size_t ty, size_t g, size_t pz) {
    const float *from[POINTS];

    for (size_t i = 0; i < POINTS; i++) from[i] = ring_line(w, (ty + g) * TILE + i, pz);
    transform_streams(from, w->points + g * POINTS * w->in_line, w->in_line, w->in_line, false);
}

static void transform_x(const work *w, size_t g, size_t py) {
    size_t stride = (size_t)w->plan->in_stride;
    const float *from = w->points + (g * POINTS + py) * w->in_line;
    float *to = w->in + g * w->in_row;
    for (size_t t = 0; t < w->tiles; t++) {
        for (size_t c = 0; c < stride; c += EXA_SIMD_FLOATS) {
            vec d[POINTS], v[POINTS];
            SIMD_UNROLL
            for (int j = 0; j < POINTS; j++) d[j] = load(from + (t * TILE + (size_t)j) * stride + c);
            input_points(d, v);
            SIMD_UNROLL
            for (int j = 0; j < POINTS; j++) store(to + (size_t)j * w->in_tiles + t * stride + c, v[j]);
        }
    }
}

/* One register block at the five points px of a (pz, py). */
typedef struct product_block {
    const float *in, *weights; /* at px = 0 */
    float *out;
    size_t in_tiles, out_tiles, matrix;
    size_t in_stride, out_stride, K;
} product_block;

SIMD_INLINE void product_tile(const int M, const int N, const product_block *p) {
    const float *in = p->in, *weights = p->weights;
    float *out = p->out;
#pragma GCC unroll 1
    for (size_t px = 0; px < POINTS; px++) {
        vec acc[SIMD_ROWS][SIMD_BLOCK];
        SIMD_UNROLL
        for (int m = 0; m < M; m++) {
            SIMD_UNROLL
            for (int n = 0; n < N; n++) acc[m][n] = (vec){0};
        }
        multiply_block(acc, in, p->in_stride, weights, p->K, M, N);
        SIMD_UNROLL
        for (int m = 0; m < M; m++) {
            SIMD_UNROLL
            for (int n = 0; n < N; n++)
                store(out + (size_t)m * p->out_stride + (size_t)n * EXA_SIMD_FLOATS, acc[m][n]);
        }
        in += p->in_tiles;
        out += p->out_tiles;
        weights += p->matrix;
    }
}

static __attribute__((noinline)) void product_dispatch(int m, int n, const product_block *p) {
    SIMD_DISPATCH(m, n, product_tile, p)
}

/* At the points (pz, py): product [px][tiles x Cout] = in [px][tiles x Cin] * weights [px]. */
static void multiply(const work *w, int tiles, size_t pz, size_t py) {
    const exa_conv3d_plan *plan = w->plan;
    int vectors = plan->out_stride / EXA_SIMD_FLOATS, blocks = block_count(tiles);
    product_block p = {.in_tiles = w->in_tiles,
                       .out_tiles = w->out_tiles,
                       .K = (size_t)plan->cin,
                       .in_stride = (size_t)plan->in_stride,
                       .out_stride = (size_t)plan->out_stride};
    const float *weights;

    p.matrix = p.K * p.out_stride;
    weights = w->weights + (pz * POINTS + py) * POINTS * p.matrix;
    for (int v = 0; v < vectors; v += SIMD_BLOCK) {
        size_t channel = (size_t)v * EXA_SIMD_FLOATS;
        int n = vectors - v < SIMD_BLOCK ? vectors - v : SIMD_BLOCK;
        p.weights = weights + channel * p.K;
        for (int b = 0; b < blocks; b++) {
            size_t first = (size_t)block_first(tiles, blocks, b);
            p.in = w->in + first * p.in_stride;
            p.out = w->product + first * p.out_stride + channel;
            product_dispatch(block_first(tiles, blocks, b + 1) - (int)first, n, &p);
        }
    }
}

static void untransform_x(const work *w, size_t g, size_t py) {
    size_t stride = (size_t)w->plan->out_stride;
    const float *from = w->product + g * w->out_row;
    float *to = w->lines + (g * POINTS + py) * w->out_line;
    for (size_t t = 0; t < w->tiles; t++) {
        for (size_t c = 0; c < stride; c += EXA_SIMD_FLOATS) {
            vec m[POINTS], y[TILE];
            SIMD_UNROLL
            for (int j = 0; j < POINTS; j++) m[j] = load(from + (size_t)j * w->out_tiles + t * stride + c);
            output_points(m, y);
            SIMD_UNROLL
            for (int j = 0; j < TILE; j++) store(to + (t * TILE + (size_t)j) * stride + c, y[j]);
        }
    }
}

static void untransform_y(const work *w, size_t g, size_t pz) {
    const float *from = w->lines + g * POINTS * w->out_line;
    float *to = w->planes + (g * POINTS + pz) * TILE * w->out_line;
    for (size_t i = 0; i < w->out_line; i += EXA_SIMD_FLOATS) {
        vec m[POINTS], y[TILE];
        SIMD_UNROLL
        for (int j = 0; j < POINTS; j++) m[j] = load(from + (size_t)j * w->out_line + i);
        output_points(m, y);
        SIMD_UNROLL
        for (int j = 0; j < TILE; j++) store(to + (size_t)j * w->out_line + i, y[j]);
    }
}

/* Along z, bias and the fused ending: the output rows (tz, ty), the group's g-th, those that lie in the data. */
static void untransform_z(const work *w, size_t tz, size_t ty, size_t g) {
    const exa_conv3d_plan *plan = w->plan;
    size_t stride = (size_t)plan->out_stride, layer = TILE * w->out_line;
    size_t plane = (size_t)plan->grid[1] * (size_t)plan->grid[2] * stride;
    int depth = plan->shape[0] - (int)tz * TILE, height = plan->shape[1] - (int)ty * TILE;

    for (int yo = 0; yo < TILE && yo < height; yo++) {
        const float *from = w->planes + (g * POINTS * TILE + (size_t)yo) * w->out_line;
        size_t at = exa_conv3d_grid_index(plan, (int)tz * TILE, (int)ty * TILE + yo, 0) * stride;
        for (size_t x = 0; x < (size_t)plan->shape[2]; x++) {
            for (size_t c = 0; c < stride; c += EXA_SIMD_FLOATS) {
                vec m[POINTS], y[TILE], bias = load(w->args->packed + c);
                SIMD_UNROLL
                for (int j = 0; j < POINTS; j++) m[j] = load(from + (size_t)j * layer + x * stride + c);
                output_points(m, y);
                finish(plan, w->args, at + x * stride + c, c, y[0] + bias);
                if (depth > 1) finish(plan, w->args, at + plane + x * stride + c, c, y[1] + bias);
                if (depth > 2) finish(plan, w->args, at + 2 * plane + x * stride + c, c, y[2] + bias);
            }
        }
    }
}

/* `rows` tile rows from ty on. */
static void tile_rows(const work *w, size_t tz, size_t ty, size_t rows) {
    for (size_t pz = 0; pz < POINTS; pz++) {
        for (size_t g = 0; g < rows; g++) transform_y(w, ty, g, pz);
        for (size_t py = 0; py < POINTS; py++) {
            for (size_t g = 0; g < rows; g++) transform_x(w, g, py);
            multiply(w, (int)(rows * w->tiles), pz, py);
            for (size_t g = 0; g < rows; g++) untransform_x(w, g, py);
        }
        for (size_t g = 0; g < rows; g++) untransform_y(w, g, pz);
    }
    for (size_t g = 0; g < rows; g++) untransform_z(w, tz, ty + g, g);
}

static work begin_work(const exa_conv3d_plan *plan, const exa_conv3d_args *args, float *scratch) {
    exa_winograd_scratch s = exa_winograd_scratch_of(plan);
    work w = {.plan = plan, .args = args, .tiles = ((size_t)plan->shape[2] + TILE - 1) / TILE};

    w.group = (size_t)plan->block_rows;
    w.ring_rows = TILE * w.group + POINTS - TILE;
    w.weights = args->packed + ((size_t)plan->out_stride + 15) / 16 * 16;
    w.in_line = (size_t)plan->grid[2] * (size_t)plan->in_stride;
    w.in_row = w.tiles * (size_t)plan->in_stride;
    w.out_row = w.tiles * (size_t)plan->out_stride;
    w.in_tiles = w.group * w.in_row;
    w.out_tiles = w.group * w.out_row;
    w.out_line = TILE * w.out_row;
    w.ring = scratch;
    w.points = w.ring + s.ring;
    w.in = w.points + s.points;
    w.product = w.in + s.in;
    w.lines = w.product + s.product;
    w.planes = w.lines + s.lines;
    return w;
}

void SIMD_CAT(exa_winograd_run_, EXA_SIMD_NAME)(const exa_conv3d_plan *plan, const exa_conv3d_args *args,
                                                size_t begin, size_t end, float *scratch) {
    size_t height = ((size_t)plan->shape[1] + TILE - 1) / TILE, rows;
    work w = begin_work(plan, args, scratch);

    for (size_t r = begin; r < end; r += rows) {
        size_t tz = r / height, ty = r % height;
        size_t fresh = r == begin || ty == 0 ? 0 : POINTS - TILE; /* the ring still holds the rows before */
        rows = w.group < height - ty ? w.group : height - ty;
        if (rows > end - r) rows = end - r;
        for (size_t i = fresh; i < TILE * rows + POINTS - TILE; i++) transform_z(&w, tz, ty * TILE + i);
        tile_rows(&w, tz, ty, rows);
    }
}
