/* The phantom's voxels, a tile of 256 at a time: plain loops over arrays that the compiler vectorises for each
 * instruction set. No contraction, no reassociation: the same bits everywhere (cmake/ExaKernels.cmake).
 */
#include "phantom_tile_simd.h"

#include <string.h>

#define TILE_CAT2(a, b) a##b
#define TILE_CAT(a, b) TILE_CAT2(a, b)
#define N EXA_TILE_VOXELS
#define FAR 1e15f /* its square is still finite */

static inline float sqrt_of(float v) {
    return __builtin_sqrtf(v);
}
static inline float smaller(float a, float b) {
    return a < b ? a : b;
}
static inline float larger(float a, float b) {
    return a > b ? a : b;
}
static inline float clamp01(float v) {
    return smaller(larger(v, 0.0f), 1.0f);
}

/* Stated as bit operations, for a conditional store of an old value would become a masked store behind a branch. */
static inline int32_t choose(bool wins, int32_t yes, int32_t no) {
    int32_t mask = -(int32_t)wins;
    return (yes & mask) | (no & ~mask);
}
static inline float choose_float(bool wins, float yes, float no) {
    union {
        float f;
        int32_t i;
    } a = {yes}, b = {no};
    a.i = choose(wins, a.i, b.i);
    return a.f;
}

/* Keeps the compiler from vectorising across rows, which would transpose; a row is what a vector holds. */
#define ROW_BY_ROW(pointer)                                                                                        \
    __asm__ volatile("" : "+r"(pointer));                                                                          \
    _Pragma("GCC unroll 1")

/* ---- what is near -------------------------------------------------------------------------------------------- */

static void distances(const exa_tubes *t, const int32_t *restrict from, size_t count, const float center[3],
                      float *restrict out) {
    const float *restrict az = t->a[0], *restrict ay = t->a[1], *restrict ax = t->a[2];
    const float *restrict bz = t->b[0], *restrict by = t->b[1], *restrict bx = t->b[2];
    const float *restrict bb = t->bb, *restrict r = t->r, *restrict dr = t->dr;
    const float cz = center[0], cy = center[1], cx = center[2];

#define DISTANCE(j)                                                                                                \
    do {                                                                                                           \
        float z = cz - az[j], y = cy - ay[j], x = cx - ax[j];                                                      \
        float along = clamp01((z * bz[j] + y * by[j] + x * bx[j]) / larger(bb[j], 1e-6f));                         \
        float dz = z - along * bz[j], dy = y - along * by[j], dx = x - along * bx[j];                              \
        out[i] = sqrt_of(dz * dz + dy * dy + dx * dx) - larger(r[j], r[j] + dr[j]);                                \
    } while (0)
    if (!from) {
        for (size_t i = 0; i < count; i++) DISTANCE(i);
    } else {
        for (size_t i = 0; i < count; i++) DISTANCE(from[i]);
    }
#undef DISTANCE
}

/* ---- who owns a voxel ---------------------------------------------------------------------------------------- */

enum { ROWS = EXA_TILE_Z * EXA_TILE_Y, PLANE = EXA_TILE_Y * EXA_TILE_X };

typedef struct field {
    float z[ROWS], y[ROWS], x[EXA_TILE_X]; /* voxel centres, nm */
    float along[ROWS], square[ROWS];       /* a tube's terms that are the same for a row */
    float first[N];                        /* the smallest value */
    float second[N];                       /* the smallest of another object */
    float organelle[N];                    /* distance to the owner's nearest mitochondrion, negative inside */
    float edge[N];                         /* distance to the owner's border */
    float own[N], own_organelle[N];
    float grey[N], square_distance[N];
    int32_t object[N], claimant[N];
} __attribute__((aligned(64))) field;

static void place_voxels(const exa_tile_style *s, const exa_tile *t, field *f) {
    for (int i = 0; i < ROWS; i++) {
        f->z[i] = t->origin[0] + (float)(i / EXA_TILE_Y) * s->voxel_nm[0];
        f->y[i] = t->origin[1] + (float)(i % EXA_TILE_Y) * s->voxel_nm[1];
    }
    for (int i = 0; i < EXA_TILE_X; i++) f->x[i] = t->origin[2] + (float)i * s->voxel_nm[2];
}

/* own = min(own, value of tube j). With p - a = v and its part along the tube t = clamp(v.b / b.b), the distance is
 * the root of v.v - t (2 v.b - t b.b); what is the same for a row of voxels is computed once. */
static inline __attribute__((always_inline)) void add_tube(const exa_tubes *tubes, size_t j, field *restrict f,
                                                           const bool is_first, const bool has_organelle) {
    const float az = tubes->a[0][j], ay = tubes->a[1][j], ax = tubes->a[2][j];
    const float bz = tubes->b[0][j], by = tubes->b[1][j], bx = tubes->b[2][j];
    const float bb = tubes->bb[j], inverse = bb > 0.0f ? 1.0f / bb : 0.0f;
    const float r = tubes->r[j], dr = tubes->dr[j], organelle = tubes->organelle[j];

    for (int i = 0; i < ROWS; i++) {
        float z = f->z[i] - az, y = f->y[i] - ay;
        f->along[i] = z * bz + y * by;
        f->square[i] = z * z + y * y;
    }
    for (int i = 0; i < ROWS; i++) {
        const float row_along = f->along[i], row_square = f->square[i];
        float *restrict own = f->own + i * EXA_TILE_X, *restrict inner = f->own_organelle + i * EXA_TILE_X;
        ROW_BY_ROW(own)
        for (int k = 0; k < EXA_TILE_X; k++) {
            float x = f->x[k] - ax, vb = row_along + x * bx, vv = row_square + x * x;
            float t = clamp01(vb * inverse), d = sqrt_of(larger(vv - t * (vb + vb - t * bb), 0.0f));
            float v = d - (r + t * dr);
            own[k] = is_first ? v : smaller(own[k], v);
            if (has_organelle) inner[k] = smaller(inner[k], d - organelle);
        }
    }
}

/* Squared distances from a point. */
static void square_distances(const field *restrict f, const float center[3], float *restrict out) {
    for (int i = 0; i < ROWS; i++) {
        float z = f->z[i] - center[0], y = f->y[i] - center[1], row = z * z + y * y;
        float *restrict to = out + i * EXA_TILE_X;
        ROW_BY_ROW(to)
        for (int k = 0; k < EXA_TILE_X; k++) {
            float x = f->x[k] - center[2];
            to[k] = row + x * x;
        }
    }
}

/* The object whose value stands in `own` takes the voxels where it is smallest. */
static inline __attribute__((always_inline)) void add_object(field *restrict f, int32_t object,
                                                             const bool has_organelle) {
    for (int i = 0; i < N; i++) {
        float v = f->own[i], first = f->first[i], inner = has_organelle ? f->own_organelle[i] : FAR;
        bool wins = v < first;
        float second = smaller(f->second[i], larger(first, v));
        f->second[i] = second;
        f->first[i] = smaller(first, v);
        f->organelle[i] = choose_float(wins, inner, f->organelle[i]);
        f->object[i] = choose(wins, object, f->object[i]);
    }
}

/* Tubes [k, end) of the near ones are one object's. Returns whether mitochondria were drawn, which only images
 * want. */
static bool add_group(const exa_tile *t, size_t k, size_t end, bool image, field *f) {
    const exa_tubes *tubes = t->tubes;
    int32_t object = tubes->object[t->near[k]];
    bool any = false;

    for (size_t i = k; image && i < end; i++) any = any || tubes->organelle[t->near[i]] > 0.0f;
    if (any) {
        for (int i = 0; i < N; i++) f->own[i] = f->own_organelle[i] = FAR;
        for (; k < end; k++) {
            size_t j = (size_t)t->near[k];
            if (tubes->organelle[j] > 0.0f) {
                add_tube(tubes, j, f, false, true);
            } else {
                add_tube(tubes, j, f, false, false);
            }
        }
        add_object(f, object, true);
        return true;
    }
    add_tube(tubes, (size_t)t->near[k++], f, true, false);
    for (; k < end; k++) add_tube(tubes, (size_t)t->near[k], f, false, false);
    add_object(f, object, false);
    return false;
}

static bool find_owners(const exa_tile *t, bool image, field *f) {
    const int32_t *object = t->tubes->object;
    bool mitochondria = false;

    for (int i = 0; i < N; i++) {
        f->first[i] = f->second[i] = f->organelle[i] = FAR;
        f->object[i] = -1;
    }
    for (size_t k = 0, end; k < t->near_count; k = end) {
        for (end = k + 1; end < t->near_count && object[t->near[end]] == object[t->near[k]];) end++;
        mitochondria |= add_group(t, k, end, image, f);
    }
    for (int i = 0; i < N; i++) f->edge[i] = (f->second[i] - f->first[i]) * 0.5f;
    return mitochondria;
}

static inline void claim(field *restrict f, int i, float value, int32_t object) {
    float margin = value - f->first[i]; /* positive: the tubes keep the voxel, this far from the border */
    bool takes = margin < 0.0f;

    f->edge[i] = takes ? -margin : smaller(f->edge[i], margin);
    f->object[i] = choose(takes, object, f->object[i]);
    f->organelle[i] = choose_float(takes, FAR, f->organelle[i]);
}

/* What is deeper in the gaps between tubes than a threshold: glia near an astrocyte, else no tissue. */
static void fill_gaps(const exa_tile_style *s, const exa_tile *t, field *restrict f) {
    if (t->glia_count == 0) {
        for (int i = 0; i < N; i++) claim(f, i, s->tissue_nm, -1);
        return;
    }
    for (int i = 0; i < N; i++) f->own[i] = s->tissue_nm;
    for (int i = 0; i < N; i++) f->claimant[i] = -1;
    for (int g = 0; g < t->glia_count; g++) {
        const exa_tile_glia a = t->glia[g];
        square_distances(f, a.center, f->square_distance);
        for (int i = 0; i < N; i++) {
            float dd = f->square_distance[i], d = sqrt_of(dd);
            float v = smaller(d - a.ball_radius, a.core + a.curve * dd);
            bool nearer = d < a.reach && v < f->own[i];
            f->claimant[i] = choose(nearer, a.object, f->claimant[i]);
            f->own[i] = choose_float(nearer, v, f->own[i]);
        }
    }
    for (int i = 0; i < N; i++) claim(f, i, f->own[i], f->claimant[i]);
}

/* Half the difference of two values overstates a membrane where both objects lie on about the same side (it changes
 * slowly there): divided by its steepest change it is a distance again. Per axis the larger step to a neighbour in
 * the tile counts, as across a border the two cancel. */
static void steepest(const float *restrict edge, float *restrict square, int stride, int extent, float inverse) {
    for (int at = 0; at < N / stride; at++) {
        const float *here = edge + at * stride, *low = at % extent > 0 ? here - stride : here;
        const float *high = at % extent < extent - 1 ? here + stride : here;
        float *restrict to = square + at * stride;
        ROW_BY_ROW(to)
        for (int i = 0; i < stride; i++) {
            float a = here[i] - low[i], b = high[i] - here[i];
            to[i] += larger(a * a, b * b) * (inverse * inverse);
        }
    }
}

/* Along x the neighbours are in the row itself. */
static void steepest_x(const float *restrict edge, float *restrict square, float inverse) {
    float row[EXA_TILE_X + 2];

    for (int at = 0; at < ROWS; at++) {
        const float *here = edge + at * EXA_TILE_X;
        float *restrict to = square + at * EXA_TILE_X;
        row[0] = here[0];
        memcpy(row + 1, here, sizeof(float) * EXA_TILE_X);
        row[EXA_TILE_X + 1] = here[EXA_TILE_X - 1];
        ROW_BY_ROW(to)
        for (int i = 0; i < EXA_TILE_X; i++) {
            float a = row[i + 1] - row[i], b = row[i + 2] - row[i + 1];
            to[i] += larger(a * a, b * b) * (inverse * inverse);
        }
    }
}

static void sharpen(const exa_tile_style *s, field *restrict f) {
    for (int i = 0; i < N; i++) f->square_distance[i] = 0.0f;
    steepest(f->edge, f->square_distance, PLANE, EXA_TILE_Z, 1.0f / s->voxel_nm[0]);
    steepest(f->edge, f->square_distance, EXA_TILE_X, EXA_TILE_Y, 1.0f / s->voxel_nm[1]);
    steepest_x(f->edge, f->square_distance, 1.0f / s->voxel_nm[2]);
    for (int i = 0; i < N; i++) {
        float slope = sqrt_of(f->square_distance[i]);
        f->edge[i] = f->edge[i] / smaller(larger(slope, 0.2f), 1.0f);
    }
}

/* ---- how bright it is ---------------------------------------------------------------------------------------- */

/* 1 at v = 0, falling smoothly to 0 at |v| = width. */
static inline float bump(float v, float inverse_width) {
    float x = v * inverse_width, y = larger(1.0f - x * x, 0.0f);
    return y * y;
}

/* Texture between its values at every fourth voxel. */
static void add_texture(const exa_tile_style *s, const exa_tile *t, field *restrict f) {
    float line[6][EXA_TILE_X]; /* at the six rows that have values */

    for (int k = 0; k < 6; k++) {
        const float *v = t->texture + 3 * k;
        for (int x = 0; x < EXA_TILE_X; x++)
            line[k][x] = (v[x / 4] + (float)(x % 4) * 0.25f * (v[x / 4 + 1] - v[x / 4])) * s->texture;
    }
    for (int i = 0; i < ROWS; i++) {
        const int z = i / EXA_TILE_Y, y = i % EXA_TILE_Y;
        const float wz = (float)z * 0.25f, wy = (float)(y % 4) * 0.25f;
        const float *low = line[y / 4], *high = line[3 + y / 4];
        float *restrict grey = f->grey + i * EXA_TILE_X;
        ROW_BY_ROW(grey)
        for (int x = 0; x < EXA_TILE_X; x++) {
            float a = low[x] + wy * (low[x + EXA_TILE_X] - low[x]);
            float b = high[x] + wy * (high[x + EXA_TILE_X] - high[x]);
            grey[x] += a + wz * (b - a);
        }
    }
}

/* Dark matrix between two darker membranes; cristae follow the texture that is added later. */
static void draw_mitochondria(const exa_tile_style *s, field *restrict f) {
    const float rim = 1.0f / (s->membrane_nm * 0.75f), room = s->membrane_nm * 0.75f;
    for (int i = 0; i < N; i++) {
        bool inside = f->organelle[i] < 0.0f && f->edge[i] > room;
        float near_rim = f->edge[i] > room ? bump(f->organelle[i], rim) : 0.0f;
        float cristae = f->grey[i] + 2.0f * (f->grey[i] - 150.0f); /* the object's texture, stronger */
        float matrix = smaller(larger(cristae - 45.0f, 85.0f), 120.0f);
        f->grey[i] = choose_float(inside, matrix, f->grey[i]) - 45.0f * near_rim;
    }
}

static void draw_nucleus(const exa_tile_style *s, const float center[3], float radius, int32_t object,
                         field *restrict f) {
    const float rim = 1.0f / s->membrane_nm;

    square_distances(f, center, f->square_distance);
    for (int i = 0; i < N; i++) {
        float d = sqrt_of(f->square_distance[i]) - radius;
        bool mine = f->object[i] == object;
        float chromatin = 1.5f * (f->grey[i] - 150.0f) + 162.0f;
        float grey = choose_float(mine && d < 0.0f, chromatin, f->grey[i]);
        f->grey[i] = grey - (mine ? 70.0f * bump(d, rim) : 0.0f);
    }
}

/* The density under the membrane, on both sides. */
static void draw_density(const exa_tile_style *s, field *restrict f, float inverse) {
    const float rim = 1.0f / (1.6f * s->membrane_nm);
    for (int i = 0; i < N; i++) {
        float near = larger(1.0f - f->square_distance[i] * inverse, 0.0f);
        f->grey[i] -= 40.0f * near * bump(f->edge[i], rim);
    }
}

/* Vesicles of 45 nm in the presynaptic neurite, one in most cells of a 54 nm lattice. */
static void draw_vesicles(const exa_tile_style *s, const exa_tile *t, int32_t pre, field *restrict f,
                          float inverse) {
    const float cell = 54.0f, ring = 16.0f, rim = 1.0f / 14.0f, jitter = 0.0007f;

    for (int i = 0; i < N; i++) {
        bool cloud = f->object[i] == pre && f->square_distance[i] * inverse < 9.0f && f->edge[i] > s->membrane_nm;
        int32_t vz = t->vesicle_origin[0] + (i >> 6), vy = t->vesicle_origin[1] + (i >> 3 & 7);
        int32_t vx = t->vesicle_origin[2] + (i & 7);
        float pz = (float)vz * s->voxel_nm[0] / cell, py = (float)vy * s->voxel_nm[1] / cell;
        float px = (float)vx * s->voxel_nm[2] / cell;
        int32_t cz = (int32_t)pz, cy = (int32_t)py, cx = (int32_t)px;
        uint32_t h = exa_tile_mix(
            s->vesicle_key ^ exa_tile_mix((uint32_t)cz ^ exa_tile_mix((uint32_t)cy ^ exa_tile_mix((uint32_t)cx))));
        float dz = pz - (float)cz - 0.5f - ((float)(int32_t)(h & 255u) - 127.5f) * jitter;
        float dy = py - (float)cy - 0.5f - ((float)(int32_t)(h >> 8 & 255u) - 127.5f) * jitter;
        float dx = px - (float)cx - 0.5f - ((float)(int32_t)(h >> 16 & 255u) - 127.5f) * jitter;
        float d = sqrt_of(dz * dz + dy * dy + dx * dx) * cell;
        f->grey[i] -= cloud && (h >> 24) < 180u ? 38.0f * bump(d - ring, rim) : 0.0f;
    }
}

static void draw_synapse(const exa_tile_style *s, const exa_tile *t, const exa_tile_synapse *synapse, field *f) {
    const float inverse = 1.0f / (synapse->radius * synapse->radius);
    float nearest = FAR;
    int32_t pre_voxels = 0;

    square_distances(f, synapse->center, f->square_distance);
    for (int i = 0; i < N; i++) {
        nearest = smaller(nearest, f->square_distance[i]);
        pre_voxels += f->object[i] == synapse->pre;
    }
    if (nearest * inverse < 1.0f) draw_density(s, f, inverse);
    if (pre_voxels > 0) draw_vesicles(s, t, synapse->pre, f, inverse);
}

static void finish_image(const exa_tile_style *s, const exa_tile *t, field *restrict f, uint8_t *restrict image) {
    const float membrane = 1.0f / s->membrane_nm, noise = s->noise * (1.0f / 147.8f); /* sd of the sum below */

    for (int z = 0; z < EXA_TILE_Z; z++) {
        const float gain = t->gain[z], offset = t->offset[z];
        for (int i = z * PLANE; i < (z + 1) * PLANE; i++) {
            float grey = larger(f->grey[i] - 95.0f * bump(f->edge[i], membrane), 38.0f);
            uint32_t h = exa_tile_mix(t->noise_key + (uint32_t)i * 0x9e3779b9u);
            int32_t sum = (int32_t)((h & 255u) + (h >> 8 & 255u) + (h >> 16 & 255u) + (h >> 24)) - 510;
            grey = 128.0f + (grey - 128.0f) * gain + offset + (float)sum * noise;
            image[i] = (uint8_t)(int32_t)(smaller(larger(grey, 0.0f), 255.0f) + 0.5f);
        }
    }
}

static void paint(const exa_tile_style *s, const exa_tile *t, int32_t *object, uint8_t *image) {
    field f;
    bool mitochondria;

    place_voxels(s, t, &f);
    mitochondria = find_owners(t, image != NULL, &f);
    fill_gaps(s, t, &f);
    for (int i = 0; i < N; i++) object[i] = f.object[i];
    if (!image) return;
    sharpen(s, &f);
    for (int i = 0; i < N; i++) f.grey[i] = t->grey[f.object[i]];
    add_texture(s, t, &f);
    if (mitochondria) draw_mitochondria(s, &f);
    for (int k = 0; k < t->soma_count; k++)
        draw_nucleus(s, t->soma[k].center, t->soma[k].nucleus_radius, t->soma[k].object, &f);
    for (int k = 0; k < t->glia_count; k++)
        draw_nucleus(s, t->glia[k].center, t->glia[k].nucleus_radius, t->glia[k].object, &f);
    for (int k = 0; k < t->synapse_count; k++) draw_synapse(s, t, &t->synapse[k], &f);
    finish_image(s, t, &f, image);
}

const exa_phantom_tile_simd TILE_CAT(exa_phantom_tile_simd_, EXA_SIMD_NAME) = {distances, paint};
