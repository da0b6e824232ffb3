/* Raw voxels, excluded voxels and an initial segmentation, read into the canvas's box. */
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/exclusion.h"
#include "exaconn/log.h"
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
    const exa_inputs *in = &w->inputs;
    double began = exa_clock_now();

    EXA_TRY(exa_alloc((size_t)in->voxels, exa_dtype_size(in->dtype), "the raw image", &w->raw));
    EXA_TRY(exa_volume_read(in->volume, &in->box, in->dtype, w->raw));
    if (in->dtype == EXA_F32) EXA_TRY(check_finite(w));
    EXA_TRY(exa_image_init(&w->image, w->raw, in->dtype, in->box.shape, in->model->image_mean,
                           in->model->image_stddev));
    w->times.read_s += exa_clock_now() - began;
    return EXA_OK;
}

/* A second volume of the job, of the same shape as the first. */
static exa_status open_companion(const exa_run_work *w, const char *name, const char *key, exa_volume **volume) {
    exa_volume_info info;
    exa_status st;

    st = exa_volume_open(name, volume);
    if (st != EXA_OK) return exa_error_context(st, "%s", key);
    EXA_TRY(exa_volume_get_info(*volume, &info));
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(
            info.shape[a] == w->inputs.info.shape[a], EXA_ERR_RANGE,
            "%s: '%s' has shape (%lld, %lld, %lld), the raw volume (%lld, %lld, %lld). Hint: both must cover the "
            "same voxels",
            key, name, (long long)info.shape[0], (long long)info.shape[1], (long long)info.shape[2],
            (long long)w->inputs.info.shape[0], (long long)w->inputs.info.shape[1],
            (long long)w->inputs.info.shape[2]);
    }
    return EXA_OK;
}

/* Slab by slab, so that a mask of any integer type costs one byte a voxel. */
static exa_status read_mask(exa_run_work *w, exa_volume *mask) {
    const exa_box *box = &w->inputs.box;
    const bool exclude_nonzero = w->job->mask.exclude_values == EXA_JOB_MASK_NONZERO;
    size_t plane = (size_t)(box->shape[1] * box->shape[2]);
    uint64_t *values = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(plane, sizeof *values, "a mask plane", &values));
    for (exa_coord z = 0; z < box->shape[0]; z++) {
        exa_box slab = *box;
        slab.start[0] += z;
        slab.shape[0] = 1;
        EXA_GOTO(done, exa_volume_read(mask, &slab, EXA_U64, values));
        for (size_t i = 0; i < plane; i++) {
            w->excluded[(size_t)z * plane + i] = (values[i] != 0) == exclude_nonzero;
        }
    }
done:
    free(values);
    return st;
}

exa_status exa_run_load_exclusion(exa_run_work *w) {
    double began = exa_clock_now();
    exa_volume *mask = NULL;
    int64_t added;
    exa_status st = EXA_OK;

    if (!w->job->mask.volume && !w->job->skip_zero_raw) return EXA_OK;
    EXA_TRY(exa_calloc((size_t)w->inputs.voxels, 1, "the exclusion mask", &w->excluded));
    if (w->job->mask.volume) {
        EXA_GOTO(done, open_companion(w, w->job->mask.volume, "mask.volume", &mask));
        EXA_GOTO(done, read_mask(w, mask));
    }
    if (w->job->skip_zero_raw) EXA_GOTO(done, exa_exclusion_add_zero_raw(&w->image, w->excluded, &added));
    for (int64_t i = 0; i < w->inputs.voxels; i++) w->excluded_voxels += w->excluded[i];
    EXA_INFO("excluded %lld of %lld voxels (%.1f %%)", (long long)w->excluded_voxels, (long long)w->inputs.voxels,
             100.0 * (double)w->excluded_voxels / (double)w->inputs.voxels);
done:
    exa_volume_close(&mask);
    w->times.exclude_s += exa_clock_now() - began;
    return st;
}

static int compare_ids(const void *pa, const void *pb) {
    exa_segid a = *(const exa_segid *)pa, b = *(const exa_segid *)pb;
    return a < b ? -1 : a > b;
}

/* Sorts the ids gathered so far and drops repetitions. */
static void fold_ids(exa_run_work *w) {
    size_t kept = 0;

    if (w->initial_count) qsort(w->initial_ids, w->initial_count, sizeof *w->initial_ids, compare_ids);
    for (size_t k = 0; k < w->initial_count; k++) {
        if (k == 0 || w->initial_ids[k] != w->initial_ids[kept - 1]) w->initial_ids[kept++] = w->initial_ids[k];
    }
    w->initial_count = kept;
}

/* The distinct nonzero ids of `labels`, ascending, into w->initial_ids. */
static exa_status collect_ids(exa_run_work *w, const exa_segid *labels, size_t n) {
    size_t capacity = 0;

    for (size_t i = 0; i < n; i++) {
        if (labels[i] == 0 || (i > 0 && labels[i] == labels[i - 1])) continue;
        if (w->initial_count == capacity) {
            fold_ids(w); /* objects recur in every row: folding keeps this near their number */
            if (w->initial_count * 2 >= capacity) {
                capacity = capacity ? capacity * 2 : 65536;
                exa_segid *grown = realloc(w->initial_ids, capacity * sizeof *grown);
                EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu ids of the initial segmentation", capacity);
                w->initial_ids = grown;
            }
        }
        w->initial_ids[w->initial_count++] = labels[i];
    }
    fold_ids(w);
    return EXA_OK;
}

/* Canvas ids 1, 2, ... in the order of the volume ids. */
static exa_status number_ids(exa_run_work *w, const exa_segid *labels, int32_t *local) {
    size_t kept = w->initial_count;

    EXA_CHECK(kept < INT32_MAX / 2, EXA_ERR_RANGE, "the initial segmentation has %zu objects in this box", kept);
    for (int64_t i = 0; i < w->inputs.voxels; i++) {
        const exa_segid *hit;
        if (labels[i] == 0) {
            local[i] = 0;
            continue;
        }
        hit = bsearch(&labels[i], w->initial_ids, kept, sizeof *hit, compare_ids);
        local[i] = (int32_t)(hit - w->initial_ids) + 1;
    }
    w->next_global = kept ? w->initial_ids[kept - 1] + 1 : 1;
    return EXA_OK;
}

exa_status exa_run_load_initial(exa_run_work *w) {
    double began = exa_clock_now();
    exa_volume *volume = NULL;
    exa_segid *labels = NULL;
    int32_t *local = NULL;
    exa_status st = EXA_OK;

    w->next_global = 1;
    if (!w->job->initial_segmentation) return EXA_OK;
    EXA_GOTO(done, open_companion(w, w->job->initial_segmentation, "initial_segmentation", &volume));
    EXA_GOTO(done, exa_alloc((size_t)w->inputs.voxels, sizeof *labels, "the initial segmentation", &labels));
    EXA_GOTO(done, exa_alloc((size_t)w->inputs.voxels, sizeof *local, "the initial segmentation", &local));
    EXA_GOTO(done, exa_volume_read(volume, &w->inputs.box, EXA_U64, labels));
    EXA_GOTO(done, collect_ids(w, labels, (size_t)w->inputs.voxels));
    EXA_GOTO(done, number_ids(w, labels, local));
    EXA_GOTO(done, exa_canvas_set_initial(w->canvas, local, (int32_t)w->initial_count + 1));
    EXA_INFO("initial segmentation: %zu objects in the box; new ids from %llu", w->initial_count,
             (unsigned long long)w->next_global);
done:
    exa_volume_close(&volume);
    free(labels);
    free(local);
    w->times.read_s += exa_clock_now() - began;
    return st;
}
