/* Separable filters, exact distance transform and noisy peaks (see the header for the arithmetic they must follow).
 *
 * Filters along z and y work on bundles of LANES neighbouring lines at once, so that memory is read in whole cache
 * lines and the inner loops vectorise; a bundle is copied to a padded double buffer, filtered, and written back.
 */
#include "exaconn/image_filter.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 16, PEAK_RADIUS = 3, PEAK_WINDOW = 2 * PEAK_RADIUS + 1 };

typedef enum symmetry { SYMMETRIC, ANTISYMMETRIC } symmetry;

/* ---- 1-D correlation along one axis -------------------------------------------------------------------------- */

typedef struct correlation {
    float *data;
    exa_coord shape[3];
    int axis;
    symmetry kind;
    int radius;
    const double *half; /* half[0] centre, half[j] the weight at distance j on the left side */
    exa_coord length, stride;
    size_t buffer_values;
    double *buffers; /* one per member */
    size_t bundles_per_plane;
} correlation;

/* Index of the mirrored sample: ... 1 0 | 0 1 ... n-1 | n-1 n-2 ... for any distance. */
static exa_coord mirror(exa_coord i, exa_coord n) {
    exa_coord period = 2 * n;
    i %= period;
    if (i < 0) i += period;
    return i < n ? i : period - 1 - i;
}

static void load_bundle(const correlation *c, const float *first, exa_coord lane_stride, int lanes,
                        double *buffer) {
    double *middle = buffer + (size_t)c->radius * LANES;

    for (exa_coord i = 0; i < c->length; i++) {
        const float *from = first + i * c->stride;
        double *to = middle + i * LANES;
        for (int l = 0; l < lanes; l++) to[l] = from[l * lane_stride];
    }
    for (exa_coord i = 1; i <= c->radius; i++) {
        memcpy(middle - i * LANES, middle + mirror(-i, c->length) * LANES, sizeof(double) * LANES);
        memcpy(middle + (c->length - 1 + i) * LANES, middle + mirror(c->length - 1 + i, c->length) * LANES,
               sizeof(double) * LANES);
    }
}

static void correlate_sample(const correlation *c, const double *centre, double *restrict sum) {
    for (int l = 0; l < LANES; l++) sum[l] = centre[l] * c->half[0];
    for (int j = c->radius; j >= 1; j--) {
        const double *left = centre - j * LANES, *right = centre + j * LANES;
        const double weight = c->half[j];
        if (c->kind == SYMMETRIC) {
            for (int l = 0; l < LANES; l++) sum[l] += (left[l] + right[l]) * weight;
        } else {
            for (int l = 0; l < LANES; l++) sum[l] += (left[l] - right[l]) * weight;
        }
    }
}

static void correlate_bundle(void *context, size_t item, int member) {
    correlation *c = context;
    double *buffer = c->buffers + (size_t)member * c->buffer_values, sum[LANES];
    size_t plane = item / c->bundles_per_plane, bundle = item % c->bundles_per_plane;
    /* Lines along x are bundled over y; lines along y and z over x. */
    int across = c->axis == 2 ? 1 : 2;
    exa_coord lane_stride = across == 2 ? 1 : c->shape[2];
    exa_coord plane_stride = c->axis == 0 ? c->shape[2] : c->shape[1] * c->shape[2];
    exa_coord begin = (exa_coord)bundle * LANES, left = c->shape[across] - begin;
    int lanes = left < LANES ? (int)left : LANES;
    float *first = c->data + (exa_coord)plane * plane_stride + begin * lane_stride;

    load_bundle(c, first, lane_stride, lanes, buffer);
    for (exa_coord i = 0; i < c->length; i++) {
        float *to = first + i * c->stride;
        correlate_sample(c, buffer + (i + c->radius) * LANES, sum);
        for (int l = 0; l < lanes; l++) to[l * lane_stride] = (float)sum[l];
    }
}

static exa_status correlate(float *data, const exa_coord shape[3], int axis, symmetry kind, int radius,
                            const double *half, exa_pool *pool) {
    correlation c = {.data = data, .axis = axis, .kind = kind, .radius = radius, .half = half};
    int across = axis == 2 ? 1 : 2, outer = axis == 0 ? 1 : 0;
    size_t members = (size_t)exa_pool_threads(pool);

    if (shape[0] == 0 || shape[1] == 0 || shape[2] == 0) return EXA_OK;
    memcpy(c.shape, shape, sizeof c.shape);
    c.length = shape[axis];
    c.stride = axis == 0 ? shape[1] * shape[2] : axis == 1 ? shape[2] : 1;
    c.buffer_values = (size_t)(c.length + 2 * radius) * LANES;
    c.bundles_per_plane = (size_t)(shape[across] + LANES - 1) / LANES;
    EXA_TRY(exa_calloc(members * c.buffer_values, sizeof(double), "filter lines", &c.buffers));
    exa_pool_for(pool, (size_t)shape[outer] * c.bundles_per_plane, correlate_bundle, &c);
    free(c.buffers);
    return EXA_OK;
}

exa_status exa_filter_sobel(float *data, const exa_coord shape[3], int axis, exa_pool *pool) {
    static const double derivative[2] = {0.0, -1.0}, smooth[2] = {2.0, 1.0};

    EXA_TRY(correlate(data, shape, axis, ANTISYMMETRIC, 1, derivative, pool));
    for (int other = 0; other < 3; other++) {
        if (other != axis) EXA_TRY(correlate(data, shape, other, SYMMETRIC, 1, smooth, pool));
    }
    return EXA_OK;
}

/* Sum of the 2r+1 weights in the order numpy adds up to 128 doubles: eight interleaved partial sums, then the rest.
 */
static double numpy_sum(const double *v, int n) {
    double r[8], total;
    int i;

    if (n < 8) {
        total = 0.0;
        for (i = 0; i < n; i++) total += v[i];
        return total;
    }
    memcpy(r, v, sizeof r);
    for (i = 8; i + 8 <= n; i += 8) {
        for (int k = 0; k < 8; k++) r[k] += v[i + k];
    }
    total = ((r[0] + r[1]) + (r[2] + r[3])) + ((r[4] + r[5]) + (r[6] + r[7]));
    for (; i < n; i++) total += v[i];
    return total;
}

exa_status exa_filter_gaussian_weights(double sigma, double half[EXA_FILTER_RADIUS_MOST + 1], int *radius) {
    double weights[2 * EXA_FILTER_RADIUS_MOST + 1], total;
    const int r = (int)(4.0 * sigma + 0.5);

    EXA_CHECK(sigma > 0.0 && r <= EXA_FILTER_RADIUS_MOST, EXA_ERR_RANGE, "Gaussian sigma %g is outside (0, 15]",
              sigma);
    for (int i = -r; i <= r; i++) weights[i + r] = exp(-0.5 / (sigma * sigma) * (double)(i * i));
    total = numpy_sum(weights, 2 * r + 1);
    for (int j = 0; j <= r; j++) half[j] = weights[r - j] / total;
    *radius = r;
    return EXA_OK;
}

exa_status exa_filter_gaussian(float *data, const exa_coord shape[3], double sigma, exa_pool *pool) {
    double half[EXA_FILTER_RADIUS_MOST + 1];
    int radius;

    EXA_TRY(exa_filter_gaussian_weights(sigma, half, &radius));
    for (int axis = 0; axis < 3; axis++) EXA_TRY(correlate(data, shape, axis, SYMMETRIC, radius, half, pool));
    return EXA_OK;
}

/* ---- exact Euclidean distance: lower envelope of parabolas, axis by axis (Meijster et al. 2000) -------------- */

enum { NO_EDGE = INT32_MAX, MAX_AXIS = 26000 };

typedef struct distance {
    const uint8_t *edge;
    int32_t *d2;
    exa_coord shape[3];
    int axis;
    exa_coord length, stride;
    size_t lines_per_plane;
    int32_t *values; /* per member: the line, then the envelope's sites and its region starts */
    atomic_bool any;
} distance;

/* Distances along x, which need no envelope: one sweep each way. */
static void distance_row(void *context, size_t row, int member) {
    distance *d = context;
    exa_coord n = d->shape[2];
    const uint8_t *edge = d->edge + (exa_coord)row * n;
    int32_t *out = d->d2 + (exa_coord)row * n;
    exa_coord last = -1;
    (void)member;

    for (exa_coord x = 0; x < n; x++) {
        if (edge[x]) last = x;
        out[x] = last < 0 ? NO_EDGE : (int32_t)(x - last);
    }
    if (last < 0) return;
    atomic_store_explicit(&d->any, true, memory_order_relaxed);
    for (exa_coord x = n - 1; x >= 0; x--) {
        if (edge[x]) last = x;
        if (last >= x && last - x < out[x]) out[x] = (int32_t)(last - x);
    }
    for (exa_coord x = 0; x < n; x++) out[x] *= out[x];
}

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* Minimum over sites u of f[u] + (i-u)^2 for every i. */
static void distance_line(void *context, size_t line, int member) {
    distance *d = context;
    exa_coord n = d->length, plane = (exa_coord)(line / d->lines_per_plane);
    exa_coord column = (exa_coord)(line % d->lines_per_plane);
    exa_coord plane_stride = d->axis == 0 ? d->shape[2] : d->shape[1] * d->shape[2];
    int32_t *base = d->d2 + plane * plane_stride + column;
    int32_t *f = d->values + (size_t)member * 3 * (size_t)n, *site = f + n, *start = site + n;
    exa_coord q = -1;

    for (exa_coord i = 0; i < n; i++) f[i] = base[i * d->stride];
    for (exa_coord u = 0; u < n; u++) {
        int64_t from = 0;
        if (f[u] == NO_EDGE) continue;
        while (q >= 0) {
            int64_t s = site[q];
            /* First i at which the parabola of u is below that of s. */
            from = 1 + floor_div((int64_t)u * u - s * s + f[u] - f[s], 2 * (u - s));
            if (from > start[q]) break;
            q--;
        }
        if (q < 0) from = 0;
        if (from >= n) continue;
        q++;
        site[q] = (int32_t)u;
        start[q] = (int32_t)from;
    }
    if (q < 0) return;
    for (exa_coord i = n - 1; i >= 0; i--) {
        int64_t away = i - site[q];
        base[i * d->stride] = (int32_t)(away * away + f[site[q]]);
        if (q > 0 && i == start[q]) q--;
    }
}

exa_status exa_filter_distance2(const uint8_t *edge, const exa_coord shape[3], exa_pool *pool, int32_t *distance2,
                                bool *any_edge) {
    distance d = {.edge = edge, .d2 = distance2};
    size_t members = (size_t)exa_pool_threads(pool), longest;

    for (int a = 0; a < 3; a++) {
        EXA_CHECK(shape[a] <= MAX_AXIS, EXA_ERR_RANGE,
                  "axis %c has %lld voxels; distances are computed for at most %d. Hint: segment a smaller box",
                  "zyx"[a], (long long)shape[a], MAX_AXIS);
    }
    memcpy(d.shape, shape, sizeof d.shape);
    atomic_init(&d.any, false);
    longest = (size_t)(shape[0] > shape[1] ? shape[0] : shape[1]);
    EXA_TRY(exa_alloc(members * 3 * longest, sizeof(int32_t), "distance lines", &d.values));
    exa_pool_for(pool, (size_t)(shape[0] * shape[1]), distance_row, &d);
    for (int axis = 1; axis >= 0; axis--) {
        d.axis = axis;
        d.length = shape[axis];
        d.stride = axis == 0 ? shape[1] * shape[2] : shape[2];
        d.lines_per_plane = (size_t)shape[2];
        exa_pool_for(pool, (size_t)(shape[1 - axis] * shape[2]), distance_line, &d);
    }
    free(d.values);
    *any_edge = atomic_load(&d.any);
    return EXA_OK;
}

/* ---- MT19937 (Matsumoto and Nishimura 1998) ------------------------------------------------------------------ */

void exa_mt19937_seed(exa_mt19937 *g, uint32_t seed) {
    g->state[0] = seed;
    for (uint32_t i = 1; i < 624; i++) {
        g->state[i] = 1812433253u * (g->state[i - 1] ^ (g->state[i - 1] >> 30)) + i;
    }
    g->next = 624;
}

static void mt19937_refill(exa_mt19937 *g) {
    for (int i = 0; i < 624; i++) {
        uint32_t y = (g->state[i] & 0x80000000u) | (g->state[(i + 1) % 624] & 0x7fffffffu);
        g->state[i] = g->state[(i + 397) % 624] ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
    }
    g->next = 0;
}

static uint32_t mt19937_u32(exa_mt19937 *g) {
    uint32_t y;
    if (g->next == 624) mt19937_refill(g);
    y = g->state[g->next++];
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

double exa_mt19937_double(exa_mt19937 *g) {
    uint32_t high = mt19937_u32(g) >> 5, low = mt19937_u32(g) >> 6;
    return (high * 67108864.0 + low) / 9007199254740992.0;
}

/* ---- noisy peaks --------------------------------------------------------------------------------------------- */

typedef struct peak_planes {
    exa_coord ny, nx;
    double *value[PEAK_WINDOW];   /* the last seven planes */
    double *box_max[PEAK_WINDOW]; /* their 7 x 7 maxima */
    double *row_max;              /* scratch plane */
    exa_mt19937 noise;
} peak_planes;

static void fill_plane(peak_planes *p, const int32_t *d2, int slot) {
    double *v = p->value[slot];
    for (exa_coord i = 0; i < p->ny * p->nx; i++) {
        v[i] = (double)(float)sqrt((double)d2[i]) + exa_mt19937_double(&p->noise) * 1e-4;
    }
}

/* Maxima over 7 x 7 windows for the voxels at least PEAK_RADIUS from the plane's border; others are left unset. */
static void maximise_plane(peak_planes *p, int slot) {
    const double *v = p->value[slot];
    double *out = p->box_max[slot];
    exa_coord nx = p->nx;

    for (exa_coord y = 0; y < p->ny; y++) {
        const double *row = v + y * nx;
        double *to = p->row_max + y * nx;
        for (exa_coord x = PEAK_RADIUS; x + PEAK_RADIUS < nx; x++) {
            double m = row[x - PEAK_RADIUS];
            for (int k = -PEAK_RADIUS + 1; k <= PEAK_RADIUS; k++) m = row[x + k] > m ? row[x + k] : m;
            to[x] = m;
        }
    }
    for (exa_coord y = PEAK_RADIUS; y + PEAK_RADIUS < p->ny; y++) {
        double *to = out + y * nx;
        memcpy(to, p->row_max + (y - PEAK_RADIUS) * nx, sizeof(double) * (size_t)nx);
        for (int k = -PEAK_RADIUS + 1; k <= PEAK_RADIUS; k++) {
            const double *row = p->row_max + (y + k) * nx;
            for (exa_coord x = 0; x < nx; x++) to[x] = row[x] > to[x] ? row[x] : to[x];
        }
    }
}

static bool is_peak(const peak_planes *p, exa_coord z, exa_coord i) {
    double v = p->value[z % PEAK_WINDOW][i];
    for (int k = 0; k < PEAK_WINDOW; k++) {
        if (p->box_max[k][i] > v) return false;
    }
    return v > 0.0;
}

static exa_status report_plane(const peak_planes *p, exa_coord z, const exa_coord shape[3],
                               const exa_coord margin[3], exa_filter_found *found, void *context) {
    if (z < margin[0] || z + margin[0] >= shape[0]) return EXA_OK;
    for (exa_coord y = margin[1]; y + margin[1] < shape[1]; y++) {
        for (exa_coord x = margin[2]; x + margin[2] < shape[2]; x++) {
            if (is_peak(p, z, y * shape[2] + x)) EXA_TRY(found(context, z, y, x));
        }
    }
    return EXA_OK;
}

exa_status exa_filter_noisy_peaks(const int32_t *distance2, const exa_coord shape[3], const exa_coord margin[3],
                                  exa_filter_found *found, void *context) {
    peak_planes p = {.ny = shape[1], .nx = shape[2]};
    exa_coord edge[3];
    size_t plane = (size_t)(shape[1] * shape[2]);
    double *memory = NULL;
    exa_status st = EXA_OK;

    for (int a = 0; a < 3; a++) {
        edge[a] = margin[a] > PEAK_RADIUS ? margin[a] : PEAK_RADIUS;
        if (shape[a] < PEAK_WINDOW) return EXA_OK;
    }
    EXA_TRY(exa_calloc((2 * PEAK_WINDOW + 1) * plane, sizeof(double), "seed peaks", &memory));
    for (int k = 0; k < PEAK_WINDOW; k++) {
        p.value[k] = memory + (size_t)k * plane;
        p.box_max[k] = memory + (size_t)(PEAK_WINDOW + k) * plane;
    }
    p.row_max = memory + 2 * PEAK_WINDOW * plane;
    exa_mt19937_seed(&p.noise, 42);
    for (exa_coord z = 0; z < shape[0]; z++) {
        int slot = (int)(z % PEAK_WINDOW);
        fill_plane(&p, distance2 + z * (exa_coord)plane, slot);
        maximise_plane(&p, slot);
        if (z >= PEAK_WINDOW - 1) {
            EXA_GOTO(done, report_plane(&p, z - PEAK_RADIUS, shape, edge, found, context));
        }
    }
done:
    free(memory);
    return st;
}
