/* The seed policies. Peaks: Sobel gradient magnitude, compared with its own Gaussian average, gives edges; seeds
 * are the points farthest from them. Two float arrays and one byte array are all it needs; the distance map reuses
 * one. */
#include "exaconn/seed.h"
#include "exaconn/image_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PEAKS_SIGMA = 49.0 / 6.0; /* google/ffn PolicyPeaks */

void exa_seed_get(const exa_seed_list *list, size_t i, exa_coord zyx[3]) {
    uint64_t at = list->wide ? ((const uint64_t *)list->index)[i] : ((const uint32_t *)list->index)[i];
    uint64_t row = at / (uint64_t)list->shape[2];

    zyx[2] = (exa_coord)(at % (uint64_t)list->shape[2]);
    zyx[1] = (exa_coord)(row % (uint64_t)list->shape[1]);
    zyx[0] = (exa_coord)(row / (uint64_t)list->shape[1]);
}

void exa_seed_list_free(exa_seed_list *list) {
    free(list->index);
    *list = (exa_seed_list){0};
}

const char *exa_seed_policy_name(exa_seed_policy policy) {
    static const char *const names[] = {"peaks", "max", "grid3d", "list"};
    return names[policy];
}

static exa_status reserve(exa_seed_list *list, size_t capacity) {
    size_t size = list->wide ? 8 : 4, bytes;
    void *grown;

    if (capacity <= list->capacity) return EXA_OK;
    EXA_TRY(exa_size_mul(capacity, size, &bytes));
    grown = realloc(list->index, bytes);
    EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu bytes for %zu seeds. Hint: segment a smaller box", bytes,
              capacity);
    list->index = grown;
    list->capacity = capacity;
    return EXA_OK;
}

static exa_status append(exa_seed_list *list, exa_coord z, exa_coord y, exa_coord x) {
    uint64_t at = ((uint64_t)z * (uint64_t)list->shape[1] + (uint64_t)y) * (uint64_t)list->shape[2] + (uint64_t)x;

    if (list->count == list->capacity) EXA_TRY(reserve(list, list->capacity ? list->capacity * 2 : 1024));
    if (list->wide) {
        ((uint64_t *)list->index)[list->count++] = at;
    } else {
        ((uint32_t *)list->index)[list->count++] = (uint32_t)at;
    }
    return EXA_OK;
}

static exa_status append_peak(void *context, exa_coord z, exa_coord y, exa_coord x) {
    return append(context, z, y, x);
}

/* ---- peaks --------------------------------------------------------------------------------------------------- */

typedef struct plane_job {
    const exa_image *image;
    const uint8_t *excluded;
    float *a, *b;
    uint8_t *edge;
    int axis;
} plane_job;

static size_t plane_voxels(const exa_image *image) {
    return (size_t)(image->shape[1] * image->shape[2]);
}

static void fill_normalised(void *context, size_t z, int member) {
    plane_job *job = context;
    (void)member;
    exa_image_box(job->image, (const exa_coord[3]){(exa_coord)z, 0, 0},
                  (const exa_coord[3]){1, job->image->shape[1], job->image->shape[2]},
                  job->b + z * plane_voxels(job->image));
}

static void add_square(void *context, size_t z, int member) {
    plane_job *job = context;
    size_t n = plane_voxels(job->image);
    float *a = job->a + z * n;
    const float *b = job->b + z * n;
    (void)member;
    for (size_t i = 0; i < n; i++) {
        float square = b[i] * b[i];
        a[i] = job->axis == 0 ? square : a[i] + square;
    }
}

static void root_and_copy(void *context, size_t z, int member) {
    plane_job *job = context;
    size_t n = plane_voxels(job->image);
    (void)member;
    for (size_t i = z * n; i < (z + 1) * n; i++) job->b[i] = job->a[i] = sqrtf(job->a[i]);
}

static void mark_edges(void *context, size_t z, int member) {
    plane_job *job = context;
    size_t n = plane_voxels(job->image);
    (void)member;
    for (size_t i = z * n; i < (z + 1) * n; i++) {
        job->edge[i] = job->a[i] > job->b[i] || (job->excluded && job->excluded[i]);
    }
}

/* Leaves the gradient magnitude in a and its Gaussian average in b. */
static exa_status gradient_and_average(plane_job *job, exa_pool *pool) {
    const exa_coord *shape = job->image->shape;
    size_t planes = (size_t)shape[0];

    for (job->axis = 0; job->axis < 3; job->axis++) {
        exa_pool_for(pool, planes, fill_normalised, job);
        EXA_TRY(exa_filter_sobel(job->b, shape, job->axis, pool));
        exa_pool_for(pool, planes, add_square, job);
    }
    exa_pool_for(pool, planes, root_and_copy, job);
    return exa_filter_gaussian(job->b, shape, PEAKS_SIGMA, pool);
}

static exa_status make_peaks(const exa_image *image, const uint8_t *excluded, const exa_coord fov[3],
                             exa_pool *pool, exa_seed_trace *trace, exa_seed_list *list) {
    plane_job job = {.image = image, .excluded = excluded};
    size_t n = (size_t)image->shape[0] * plane_voxels(image);
    const exa_coord margin[3] = {fov[0] / 2, fov[1] / 2, fov[2] / 2};
    bool any = false;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_alloc(n, sizeof(float), "the seed gradient", &job.a));
    EXA_GOTO(done, exa_alloc(n, sizeof(float), "the smoothed seed gradient", &job.b));
    EXA_GOTO(done, exa_alloc(n, 1, "the seed edge mask", &job.edge));
    EXA_GOTO(done, gradient_and_average(&job, pool));
    exa_pool_for(pool, (size_t)image->shape[0], mark_edges, &job);
    if (trace && trace->gradient) memcpy(trace->gradient, job.a, n * sizeof(float));
    if (trace && trace->smooth) memcpy(trace->smooth, job.b, n * sizeof(float));
    if (trace && trace->edge) memcpy(trace->edge, job.edge, n);
    free(job.b);
    job.b = NULL;
    /* The gradient is no longer needed: its memory holds the distances from here on. */
    int32_t *distance2 = (int32_t *)(void *)job.a;
    EXA_GOTO(done, exa_filter_distance2(job.edge, image->shape, pool, distance2, &any));
    if (trace && trace->distance2) memcpy(trace->distance2, distance2, n * sizeof(int32_t));
    if (any) EXA_GOTO(done, exa_filter_noisy_peaks(distance2, image->shape, margin, append_peak, list));
done:
    free(job.a);
    free(job.b);
    free(job.edge);
    return st;
}

/* ---- max ----------------------------------------------------------------------------------------------------- */

typedef struct bright {
    float value;
    uint64_t at;
} bright;

static int brighter_first(const void *pa, const void *pb) {
    const bright *a = pa, *b = pb;
    if (a->value != b->value) return a->value > b->value ? -1 : 1;
    return a->at > b->at ? -1 : a->at < b->at;
}

/* Integer types: a counting sort over the value range, no memory beyond the list itself. */
static exa_status max_by_counting(const exa_image *image, const exa_box *inner, exa_seed_list *list) {
    size_t values = image->dtype == EXA_U8 ? 256 : 65536, *next;
    const uint8_t *u8 = image->raw;
    const uint16_t *u16 = image->raw;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(values + 1, sizeof(size_t), "intensity counts", &next));
    for (int pass = 0; pass < 2; pass++) {
        for (exa_coord z = inner->start[0] + inner->shape[0] - 1; z >= inner->start[0]; z--) {
            for (exa_coord y = inner->start[1] + inner->shape[1] - 1; y >= inner->start[1]; y--) {
                for (exa_coord x = inner->start[2] + inner->shape[2] - 1; x >= inner->start[2]; x--) {
                    size_t at = (size_t)((z * image->shape[1] + y) * image->shape[2] + x);
                    size_t v = values - 1 - (image->dtype == EXA_U8 ? u8[at] : u16[at]);
                    if (pass == 0) {
                        next[v + 1]++;
                    } else if (list->wide) {
                        ((uint64_t *)list->index)[next[v]++] = at;
                    } else {
                        ((uint32_t *)list->index)[next[v]++] = (uint32_t)at;
                    }
                }
            }
        }
        if (pass == 0) {
            for (size_t v = 0; v < values; v++) next[v + 1] += next[v];
            EXA_GOTO(done, reserve(list, next[values]));
            list->count = next[values];
        }
    }
done:
    free(next);
    return st;
}

static exa_status max_by_sorting(const exa_image *image, const exa_box *inner, size_t count, exa_seed_list *list) {
    const float *raw = image->raw;
    bright *all;
    size_t n = 0;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(count, sizeof *all, "voxels sorted by brightness", &all));
    for (exa_coord z = inner->start[0]; z < inner->start[0] + inner->shape[0]; z++) {
        for (exa_coord y = inner->start[1]; y < inner->start[1] + inner->shape[1]; y++) {
            for (exa_coord x = inner->start[2]; x < inner->start[2] + inner->shape[2]; x++) {
                size_t at = (size_t)((z * image->shape[1] + y) * image->shape[2] + x);
                if (raw[at] == raw[at]) all[n++] = (bright){raw[at], at};
            }
        }
    }
    qsort(all, n, sizeof *all, brighter_first);
    EXA_GOTO(done, reserve(list, n));
    for (size_t i = 0; i < n; i++) {
        uint64_t row = all[i].at / (uint64_t)image->shape[2];
        EXA_GOTO(done, append(list, (exa_coord)(row / (uint64_t)image->shape[1]),
                              (exa_coord)(row % (uint64_t)image->shape[1]),
                              (exa_coord)(all[i].at % (uint64_t)image->shape[2])));
    }
done:
    free(all);
    return st;
}

static exa_status make_max(const exa_image *image, const exa_box *inner, exa_seed_list *list) {
    int64_t count;

    EXA_TRY(exa_box_voxels(inner, &count));
    if (count == 0) return EXA_OK;
    if (image->dtype == EXA_F32) return max_by_sorting(image, inner, (size_t)count, list);
    return max_by_counting(image, inner, list);
}

/* ---- grid and list ------------------------------------------------------------------------------------------- */

static bool is_inner(const exa_box *inner, const exa_coord zyx[3]) {
    for (int a = 0; a < 3; a++) {
        if (zyx[a] < inner->start[a] || zyx[a] >= inner->start[a] + inner->shape[a]) return false;
    }
    return true;
}

static exa_status make_grid(const exa_seed_options *o, const exa_image *image, const exa_box *inner,
                            exa_seed_list *list) {
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(o->step[a] > 0, EXA_ERR_RANGE, "seeds.step must be positive on every axis");
    }
    for (int k = 0; k < o->offset_count; k++) {
        exa_coord first = o->offsets[k];
        EXA_CHECK(first >= 0, EXA_ERR_RANGE, "seeds.offsets[%d] is negative (%lld)", k, (long long)first);
        for (exa_coord z = first; z < image->shape[0]; z += o->step[0]) {
            for (exa_coord y = first; y < image->shape[1]; y += o->step[1]) {
                for (exa_coord x = first; x < image->shape[2]; x += o->step[2]) {
                    const exa_coord zyx[3] = {z, y, x};
                    if (is_inner(inner, zyx)) EXA_TRY(append(list, z, y, x));
                }
            }
        }
    }
    return EXA_OK;
}

static exa_status make_list(const exa_seed_options *o, const exa_image *image, const exa_box *inner,
                            exa_seed_list *list, size_t *too_near) {
    for (size_t i = 0; i < o->point_count; i++) {
        const exa_coord *p = o->points + 3 * i;
        for (int a = 0; a < 3; a++) {
            EXA_CHECK(p[a] >= 0 && p[a] < image->shape[a], EXA_ERR_RANGE,
                      "seed %zu (%lld, %lld, %lld) lies outside the box of %lld x %lld x %lld voxels", i,
                      (long long)p[0], (long long)p[1], (long long)p[2], (long long)image->shape[0],
                      (long long)image->shape[1], (long long)image->shape[2]);
        }
        if (is_inner(inner, p)) {
            EXA_TRY(append(list, p[0], p[1], p[2]));
        } else if (too_near) {
            (*too_near)++;
        }
    }
    return EXA_OK;
}

/* Inner points of a grid on one axis. */
static uint64_t grid_points(exa_coord first, exa_coord step, exa_coord low, exa_coord high) {
    uint64_t before_low = low > first ? (uint64_t)((low - first - 1) / step + 1) : 0,
             before_high = high > first ? (uint64_t)((high - first - 1) / step + 1) : 0;
    return before_high > before_low ? before_high - before_low : 0;
}

static uint64_t count_grid(const exa_seed_options *o, const exa_coord shape[3], const exa_coord fov[3]) {
    uint64_t count = 0;

    for (int k = 0; k < o->offset_count; k++) {
        uint64_t points = 1;
        for (int a = 0; a < 3; a++)
            points *=
                o->step[a] > 0 ? grid_points(o->offsets[k], o->step[a], fov[a] / 2, shape[a] - fov[a] / 2) : 0;
        count += points;
    }
    return count;
}

uint64_t exa_seed_list_bytes(const exa_seed_options *options, const exa_coord shape[3], const exa_coord fov[3]) {
    uint64_t voxels = 1, inner = 1, count = 0;

    for (int a = 0; a < 3; a++) {
        voxels *= (uint64_t)shape[a];
        inner *= shape[a] > 2 * (fov[a] / 2) ? (uint64_t)(shape[a] - 2 * (fov[a] / 2)) : 0;
    }
    switch (options->policy) {
    case EXA_SEED_PEAKS: count = voxels / 100; break;
    case EXA_SEED_MAX: count = inner; break;
    case EXA_SEED_GRID3D: count = count_grid(options, shape, fov); break;
    case EXA_SEED_LIST: count = options->point_count; break;
    }
    return count * (voxels > UINT32_MAX ? 8 : 4);
}

exa_status exa_seed_make(const exa_seed_options *options, const exa_image *image, const uint8_t *excluded,
                         const exa_coord fov[3], exa_pool *pool, exa_seed_trace *trace, exa_seed_list *list,
                         size_t *too_near) {
    exa_box inner, all = {{0, 0, 0}, {image->shape[0], image->shape[1], image->shape[2]}};
    exa_seed_list made = {0};
    int64_t voxels;
    exa_status st = EXA_OK;

    EXA_TRY(exa_box_voxels(&all, &voxels));
    if (too_near) *too_near = 0;
    memcpy(made.shape, image->shape, sizeof made.shape);
    made.wide = voxels > (int64_t)UINT32_MAX;
    for (int a = 0; a < 3; a++) {
        inner.start[a] = fov[a] / 2;
        inner.shape[a] = image->shape[a] > 2 * (fov[a] / 2) ? image->shape[a] - 2 * (fov[a] / 2) : 0;
    }
    switch (options->policy) {
    case EXA_SEED_PEAKS: st = make_peaks(image, excluded, fov, pool, trace, &made); break;
    case EXA_SEED_MAX: st = make_max(image, &inner, &made); break;
    case EXA_SEED_GRID3D: st = make_grid(options, image, &inner, &made); break;
    case EXA_SEED_LIST: st = make_list(options, image, &inner, &made, too_near); break;
    }
    if (st != EXA_OK) {
        exa_seed_list_free(&made);
        return st;
    }
    *list = made;
    return EXA_OK;
}
