/* Averages and majorities over boxes of voxels that are covered in part. */
#include "exaconn/resample.h"

#include "exaconn/cpu.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SLAB_PLANES = 64 }; /* of the source, read at once; more if one voxel of the result needs more */

/* What output voxel i covers of the source on one axis. */
typedef struct cover {
    exa_coord first;
    int count;
    double *weight; /* [count]; of the whole: parts of a source voxel */
} cover;

typedef struct axis {
    cover *covers; /* owned; one block with the weights */
    exa_coord n;
} axis;

static exa_status make_axis(exa_coord source, double scale, exa_coord n, axis *out) {
    size_t most = (size_t)ceil(scale) + 2;
    char *block = NULL;

    EXA_TRY(exa_calloc((size_t)n, sizeof(cover) + most * sizeof(double), "resampling", &block));
    out->covers = (cover *)(void *)block;
    out->n = n;
    double *weights = (double *)(void *)(block + (size_t)n * sizeof(cover));
    for (exa_coord i = 0; i < n; i++) {
        double low = (double)i * scale, high = low + scale;
        cover *c = &out->covers[i];
        if (high > (double)source) high = (double)source;
        c->first = (exa_coord)floor(low);
        c->weight = weights + (size_t)i * most;
        for (exa_coord v = c->first; v < source && (double)v < high - 1e-9 && c->count < (int)most; v++) {
            double begin = fmax(low, (double)v), end = fmin(high, (double)v + 1);
            c->weight[c->count++] = fmax(end - begin, 0);
        }
        if (c->count == 0) { /* a last sliver */
            c->first = source - 1;
            c->weight[c->count++] = 1;
        }
    }
    return EXA_OK;
}

typedef struct axes {
    axis a[3];
} axes;

static void free_axes(axes *x) {
    for (int a = 0; a < 3; a++) free(x->a[a].covers);
}

static exa_status make_axes(const exa_coord source[3], const double scale[3], const exa_coord shape[3], axes *out) {
    for (int a = 0; a < 3; a++) {
        exa_status st = make_axis(source[a], scale[a], shape[a], &out->a[a]);
        if (st == EXA_OK) continue;
        free_axes(out);
        return st;
    }
    return EXA_OK;
}

/* ---- one voxel ---------------------------------------------------------------------------------- */

/* `from` begins at plane `z0` of the source, whose planes have `height` x `width` voxels. */
typedef struct source {
    const uint8_t *image;
    const exa_segid *labels;
    exa_coord z0, height, width;
} source;

static uint8_t average(const source *s, const cover *z, const cover *y, const cover *x) {
    double sum = 0, total = 0;

    for (int k = 0; k < z->count; k++) {
        for (int j = 0; j < y->count; j++) {
            const uint8_t *row =
                s->image + ((z->first + k - s->z0) * s->height + y->first + j) * s->width + x->first;
            double weight = z->weight[k] * y->weight[j];
            for (int i = 0; i < x->count; i++) {
                sum += weight * x->weight[i] * row[i];
                total += weight * x->weight[i];
            }
        }
    }
    return (uint8_t)(sum / total + 0.5);
}

typedef struct vote {
    exa_segid label;
    double weight;
} vote;

static exa_segid majority(const source *s, const cover *z, const cover *y, const cover *x, vote *votes) {
    int count = 0, best = 0;

    for (int k = 0; k < z->count; k++) {
        for (int j = 0; j < y->count; j++) {
            const exa_segid *row =
                s->labels + ((z->first + k - s->z0) * s->height + y->first + j) * s->width + x->first;
            for (int i = 0, v = 0; i < x->count; i++) {
                double weight = z->weight[k] * y->weight[j] * x->weight[i];
                if (v >= count || votes[v].label != row[i]) /* else as the voxel before */
                    for (v = 0; v < count && votes[v].label != row[i];) v++;
                if (v == count) votes[count++] = (vote){row[i], 0};
                votes[v].weight += weight;
            }
        }
    }
    for (int v = 1; v < count; v++) {
        double lead = votes[v].weight - votes[best].weight;
        if (lead > 1e-9 || (lead > -1e-9 && votes[v].label < votes[best].label)) best = v;
    }
    return votes[best].label;
}

static size_t most_votes(const axes *x) {
    size_t n = 1;
    for (int a = 0; a < 3; a++) {
        int most = 1;
        for (exa_coord i = 0; i < x->a[a].n; i++)
            if (x->a[a].covers[i].count > most) most = x->a[a].covers[i].count;
        n *= (size_t)most;
    }
    return n;
}

/* ---- arrays ------------------------------------------------------------------------------------- */

typedef struct job {
    const axes *axes;
    source from;
    exa_coord first_plane;
    uint8_t *image;    /* NULL, or the result's */
    exa_segid *labels; /* NULL, or the result's */
    vote *votes;       /* [members][most] */
    size_t most;
} job;

static void row_body(void *context, size_t row, int member) {
    const job *j = context;
    const axis *y = &j->axes->a[1], *x = &j->axes->a[2];
    exa_coord plane = j->first_plane + (exa_coord)row / y->n, line = (exa_coord)row % y->n;
    const cover *cz = &j->axes->a[0].covers[plane], *cy = &y->covers[line];
    size_t at = (size_t)((plane * y->n + line) * x->n);

    for (exa_coord i = 0; i < x->n; i++) {
        if (j->image) j->image[at + (size_t)i] = average(&j->from, cz, cy, &x->covers[i]);
        if (j->labels)
            j->labels[at + (size_t)i] =
                majority(&j->from, cz, cy, &x->covers[i], j->votes + (size_t)member * j->most);
    }
}

static exa_status resample(const source *from, const exa_coord shape[3], const double scale[3],
                           const exa_coord out_shape[3], uint8_t *image, exa_segid *labels) {
    axes x = {0};
    job j = {.axes = &x, .from = *from, .image = image, .labels = labels};

    EXA_TRY(make_axes(shape, scale, out_shape, &x));
    j.most = most_votes(&x);
    exa_status st = exa_alloc(j.most, sizeof *j.votes, "resampling", &j.votes);
    for (size_t row = 0; st == EXA_OK && row < (size_t)(out_shape[0] * out_shape[1]); row++) row_body(&j, row, 0);
    free(j.votes);
    free_axes(&x);
    return st;
}

exa_status exa_resample_image(const uint8_t *from, const exa_coord shape[3], const double scale[3],
                              const exa_coord out_shape[3], uint8_t *out) {
    source s = {from, NULL, 0, shape[1], shape[2]};
    return resample(&s, shape, scale, out_shape, out, NULL);
}

exa_status exa_resample_labels(const exa_segid *from, const exa_coord shape[3], const double scale[3],
                               const exa_coord out_shape[3], exa_segid *out) {
    source s = {NULL, from, 0, shape[1], shape[2]};
    return resample(&s, shape, scale, out_shape, NULL, out);
}

/* ---- the labels there are ----------------------------------------------------------------------- */

void exa_label_set_finish(exa_label_set *s) {
    size_t unique = 0;

    if (s->count) qsort(s->ids, s->count, sizeof *s->ids, exa_segid_order);
    for (size_t k = 0; k < s->count; k++)
        if (unique == 0 || s->ids[unique - 1] != s->ids[k]) s->ids[unique++] = s->ids[k];
    s->count = unique;
}

exa_status exa_label_set_add(exa_label_set *s, const exa_segid *labels, size_t count) {
    for (size_t i = 0; i < count; i++) { /* one for each run of equal ones */
        if (labels[i] == 0 || (i > 0 && labels[i] == labels[i - 1])) continue;
        if (s->count == s->capacity) {
            exa_label_set_finish(s);
            EXA_TRY(exa_grow(&s->ids, &s->capacity, sizeof *s->ids, 2 * s->count + 1024, "segment ids"));
        }
        s->ids[s->count++] = labels[i];
    }
    return EXA_OK;
}

/* ---- volumes ------------------------------------------------------------------------------------ */

/* The planes of the result from `first` on whose source planes make one slab. */
static exa_coord planes_of_slab(const axis *z, exa_coord first) {
    exa_coord end = first + 1;
    while (end < z->n && z->covers[end].first + z->covers[end].count - z->covers[first].first <= SLAB_PLANES) end++;
    return end;
}

static exa_status read_slabs(exa_volume *image, const exa_coord place[3], exa_volume *labels, const exa_box *box,
                             const axes *x, exa_pool *pool, job *j, exa_label_set *set) {
    const axis *z = &x->a[0];
    uint8_t *raw = NULL;
    exa_segid *ids = NULL;
    exa_status st = EXA_OK;

    for (exa_coord first = 0, end; first < z->n; first = end) {
        exa_box slab = *box, of_image;
        end = planes_of_slab(z, first);
        slab.start[0] += z->covers[first].first;
        slab.shape[0] = z->covers[end - 1].first + z->covers[end - 1].count - z->covers[first].first;
        size_t voxels = (size_t)slab.shape[0] * (size_t)slab.shape[1] * (size_t)slab.shape[2];
        free(raw);
        free(ids);
        raw = NULL;
        ids = NULL;
        EXA_GOTO(done, exa_alloc(voxels, sizeof *raw, "a slab of the image", &raw));
        EXA_GOTO(done, exa_alloc(voxels, sizeof *ids, "a slab of the segmentation", &ids));
        of_image = slab;
        for (int a = 0; a < 3; a++) of_image.start[a] += place[a];
        EXA_GOTO(done, exa_volume_read(image, &of_image, EXA_U8, raw));
        EXA_GOTO(done, exa_volume_read(labels, &slab, EXA_U64, ids));
        EXA_GOTO(done, exa_label_set_add(set, ids, voxels));
        j->from = (source){raw, ids, z->covers[first].first, slab.shape[1], slab.shape[2]};
        j->first_plane = first;
        exa_pool_for(pool, (size_t)((end - first) * x->a[1].n), row_body, j);
    }
done:
    free(raw);
    free(ids);
    return st;
}

exa_status exa_resample_read(exa_volume *image, const exa_coord place[3], exa_volume *labels, const exa_box *box,
                             const double source_nm[3], const double voxel_nm[3], exa_pool *pool,
                             exa_resampled *out) {
    exa_resampled r = {.image = NULL};
    exa_label_set set = {.ids = NULL};
    axes x = {0};
    job j = {.axes = &x};
    double scale[3];
    size_t voxels = 1;
    exa_status st;

    for (int a = 0; a < 3; a++) {
        scale[a] = voxel_nm[a] / source_nm[a];
        r.voxel_nm[a] = voxel_nm[a];
        r.origin_nm[a] = (double)box->start[a] * source_nm[a];
        r.shape[a] = (exa_coord)floor((double)box->shape[a] / scale[a] + 1e-6);
        EXA_CHECK(r.shape[a] >= 1, EXA_ERR_RANGE,
                  "the box is %g nm on axis %c, less than one voxel of the network (%g nm)",
                  (double)box->shape[a] * source_nm[a], "zyx"[a], voxel_nm[a]);
        voxels *= (size_t)r.shape[a];
    }
    EXA_TRY(make_axes(box->shape, scale, r.shape, &x));
    j.most = most_votes(&x);
    EXA_GOTO(done, exa_alloc((size_t)exa_pool_threads(pool) * j.most, sizeof *j.votes, "resampling", &j.votes));
    EXA_GOTO(done, exa_alloc(voxels, sizeof *r.image, "the image at the network's voxel size", &r.image));
    EXA_GOTO(done, exa_alloc(voxels, sizeof *r.labels, "the labels at the network's voxel size", &r.labels));
    j.image = r.image;
    j.labels = r.labels;
    EXA_GOTO(done, read_slabs(image, place, labels, box, &x, pool, &j, &set));
    exa_label_set_finish(&set);
    r.segments = set.count;
    *out = r;
    r = (exa_resampled){.image = NULL};
done:
    exa_resampled_free(&r);
    free(set.ids);
    free(j.votes);
    free_axes(&x);
    return st;
}

void exa_resampled_free(exa_resampled *r) {
    free(r->image);
    free(r->labels);
    r->image = NULL;
    r->labels = NULL;
}
