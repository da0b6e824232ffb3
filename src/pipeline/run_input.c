/* Raw voxels, excluded voxels and an initial segmentation, read into the canvas's box. */
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/exclusion.h"
#include "exaconn/log.h"
#include "exaconn/mask.h"
#include "exaconn/volume.h"

#include <math.h>
#include <stdlib.h>

static exa_status check_finite(const exa_run_work *w) {
    const float *raw = w->raw;
    const exa_coord *n = w->inputs.box.shape, *start = w->inputs.box.start;

    for (int64_t i = 0; i < w->inputs.voxels; i++) {
        EXA_CHECK(isfinite(raw[i]), EXA_ERR_FORMAT,
                  "'%s' is not finite (%g) at voxel (%lld, %lld, %lld). Hint: clean "
                  "the volume, or choose a box without such voxels",
                  w->job->volume, (double)raw[i], (long long)(start[0] + i / (n[1] * n[2])),
                  (long long)(start[1] + i / n[2] % n[1]), (long long)(start[2] + i % n[2]));
    }
    return EXA_OK;
}

exa_status exa_run_load_raw(exa_run_work *w) {
    exa_inputs *in = &w->inputs;
    double began = exa_clock_now();

    EXA_TRY(exa_alloc((size_t)in->voxels, exa_dtype_size(in->dtype), "the raw image", &w->raw));
    EXA_TRY(exa_volume_read(in->volume, &in->box, in->dtype, w->raw));
    if (in->dtype == EXA_F32) EXA_TRY(check_finite(w));
    EXA_TRY(exa_image_init(&w->image, w->raw, in->dtype, in->box.shape, in->model->image_mean,
                           in->model->image_stddev));
    w->times.read_s += exa_clock_now() - began;
    return EXA_OK;
}

/* One plane of a companion's labels, whatever integer type it holds. */
static exa_status read_plane(const exa_companion *c, exa_coord z, exa_segid *labels) {
    exa_box plane = c->box;

    plane.start[0] += z;
    plane.shape[0] = 1;
    return exa_volume_read(c->volume, &plane, EXA_U64, labels);
}

exa_status exa_run_load_exclusion(exa_run_work *w) {
    double began = exa_clock_now();
    int64_t added;
    exa_status st = EXA_OK;

    if (!w->job->mask.volume && !w->job->skip_zero_raw) return EXA_OK;
    EXA_TRY(exa_calloc((size_t)w->inputs.voxels, 1, "the exclusion mask", &w->excluded));
    if (w->inputs.mask.volume) EXA_GOTO(done, exa_mask_read(w->job, &w->inputs, &w->inputs.box, w->excluded));
    if (w->job->skip_zero_raw) EXA_GOTO(done, exa_exclusion_add_zero_raw(&w->image, w->excluded, &added));
    w->excluded_voxels = 0;
    for (int64_t i = 0; i < w->inputs.voxels; i++) w->excluded_voxels += w->excluded[i];
    if (w->store) goto done; /* a chunk */
    EXA_INFO("excluded %lld of %lld voxels (%.1f %%)", (long long)w->excluded_voxels, (long long)w->inputs.voxels,
             100.0 * (double)w->excluded_voxels / (double)w->inputs.voxels);
done:
    w->times.exclude_s += exa_clock_now() - began;
    return st;
}

/* Sorts the ids gathered so far and drops repetitions. */
static void fold_ids(exa_run_work *w) {
    size_t kept = 0;

    if (w->initial_count) qsort(w->initial_ids, w->initial_count, sizeof *w->initial_ids, exa_segid_order);
    for (size_t k = 0; k < w->initial_count; k++) {
        if (k == 0 || w->initial_ids[k] != w->initial_ids[kept - 1]) w->initial_ids[kept++] = w->initial_ids[k];
    }
    w->initial_count = kept;
}

/* Adds the distinct nonzero ids of one plane to w->initial_ids. */
static exa_status collect_ids(exa_run_work *w, const exa_segid *labels, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (labels[i] == 0 || (i > 0 && labels[i] == labels[i - 1])) continue;
        if (w->initial_count == w->initial_capacity) {
            fold_ids(w); /* objects recur in every row: folding keeps this near their number */
            if (w->initial_count * 2 >= w->initial_capacity) {
                size_t capacity = w->initial_capacity ? w->initial_capacity * 2 : 65536;
                exa_segid *grown = realloc(w->initial_ids, capacity * sizeof *grown);
                EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu ids of the initial segmentation", capacity);
                w->initial_ids = grown;
                w->initial_capacity = capacity;
            }
        }
        w->initial_ids[w->initial_count++] = labels[i];
    }
    return EXA_OK;
}

static exa_status check_ids(exa_run_work *w) {
    fold_ids(w);
    EXA_CHECK(w->initial_count < INT32_MAX / 2, EXA_ERR_RANGE, "initial_segmentation has %zu objects in this box",
              w->initial_count);
    w->next_global = w->initial_count ? w->initial_ids[w->initial_count - 1] + 1 : 1;
    EXA_CHECK(
        w->next_global != 0 && w->next_global <= UINT64_MAX - INT32_MAX, EXA_ERR_RANGE,
        "initial_segmentation holds the id %llu: new objects are numbered after the largest one, and there is no "
        "room. Hint: renumber its objects",
        (unsigned long long)(w->next_global - 1));
    return EXA_OK;
}

/* Canvas ids 1, 2, ... in the order of the volume's ids. */
static void number_ids(const exa_run_work *w, const exa_segid *labels, int32_t *local, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const exa_segid *hit;
        if (i > 0 && labels[i] == labels[i - 1]) {
            local[i] = local[i - 1];
            continue;
        }
        hit =
            labels[i] ? bsearch(&labels[i], w->initial_ids, w->initial_count, sizeof *hit, exa_segid_order) : NULL;
        local[i] = hit ? (int32_t)(hit - w->initial_ids) + 1 : 0;
    }
}

/* Plane by plane, twice: which ids there are, then what they are called in the canvas. */
exa_status exa_run_load_initial(exa_run_work *w) {
    const exa_coord *n = w->inputs.box.shape;
    size_t plane = (size_t)(n[1] * n[2]);
    double began = exa_clock_now();
    exa_segid *labels = NULL;
    int32_t *local = NULL;
    exa_status st = EXA_OK;

    w->next_global = 1;
    if (!w->inputs.initial.volume) return EXA_OK;
    EXA_GOTO(done, exa_alloc(plane, sizeof *labels, "a plane of the initial segmentation", &labels));
    EXA_GOTO(done, exa_alloc(plane, sizeof *local, "a plane of the initial segmentation", &local));
    for (exa_coord z = 0; z < n[0]; z++) {
        EXA_GOTO(done, read_plane(&w->inputs.initial, z, labels));
        EXA_GOTO(done, collect_ids(w, labels, plane));
    }
    EXA_GOTO(done, check_ids(w));
    for (exa_coord z = 0; z < n[0]; z++) {
        EXA_GOTO(done, read_plane(&w->inputs.initial, z, labels));
        number_ids(w, labels, local, plane);
        EXA_GOTO(done, exa_canvas_set_initial(w->canvas, z, 1, local, (int32_t)w->initial_count + 1));
    }
    EXA_INFO("initial segmentation: %zu objects in the box; new ids from %llu", w->initial_count,
             (unsigned long long)w->next_global);
done:
    free(labels);
    free(local);
    w->times.read_s += exa_clock_now() - began;
    return st;
}
