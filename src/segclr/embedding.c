/* Embeddings of segments. Every rank reads the volume at the network's voxel size, and takes a stretch of the
 * segments, in the order of their ids, of about an even share of the voxels.
 */
#include "exaconn/embedding.h"

#include "embedding_internal.h"

#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/file.h"
#include "exaconn/log.h"
#include "exaconn/phantom.h"
#include "exaconn/reduce.h"
#include "exaconn/segclr_net.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_SECONDS = 30, BATCH_PER_THREAD = 2 };

void exa_embedding_defaults(exa_embedding_options *o) {
    *o = (exa_embedding_options){.spacing_nm = 1500, .aggregate_nm = 10000, .min_voxels = 1, .threads = 1};
}

/* ---- patches and means -------------------------------------------------------------------------- */

double exa_embedding_patch(const exa_resampled *v, exa_segid id, const exa_coord at[3], const exa_coord patch[3],
                           double scale, float *out) {
    exa_coord begin[3], end[3];
    float value[256];
    size_t inside = 1, all = 1;

    for (int i = 0; i < 256; i++) value[i] = (float)(i * scale);
    for (int a = 0; a < 3; a++) { /* the part of the patch that the volume has, in the patch's voxels */
        exa_coord first = at[a] - patch[a] / 2;
        begin[a] = first < 0 ? -first : 0;
        end[a] = first + patch[a] > v->shape[a] ? v->shape[a] - first : patch[a];
        inside *= (size_t)(end[a] - begin[a]);
        all *= (size_t)patch[a];
    }
    memset(out, 0, all * sizeof *out);
    for (exa_coord z = begin[0]; z < end[0]; z++) {
        for (exa_coord y = begin[1]; y < end[1]; y++) {
            exa_coord vz = at[0] - patch[0] / 2 + z, vy = at[1] - patch[1] / 2 + y;
            size_t row = (size_t)((vz * v->shape[1] + vy) * v->shape[2] + at[2] - patch[2] / 2 + begin[2]);
            float *to = out + (z * patch[1] + y) * patch[2] + begin[2];
            for (exa_coord x = 0; x < end[2] - begin[2]; x++)
                if (v->labels[row + (size_t)x] == id) to[x] = value[v->image[row + (size_t)x]];
        }
    }
    return 1 - (double)inside / (double)all;
}

/* Nodes within reach of one, found along the tree's edges. */
typedef struct walker {
    const exa_skeleton_node *nodes;
    size_t count;
    size_t *child, *sibling; /* 1 + index, 0 = none */
    double *distance;        /* negative: not reached */
    size_t *found;
    size_t found_count;
} walker;

static void reach(walker *w, size_t node, double distance, double radius) {
    if (distance > radius || w->distance[node] >= 0) return;
    w->distance[node] = distance;
    w->found[w->found_count++] = node;
}

static int size_order(const void *pa, const void *pb) {
    size_t a = *(const size_t *)pa, b = *(const size_t *)pb;
    return (a > b) - (a < b);
}

static void find_along_path(walker *w, size_t from, double radius) {
    w->found_count = 0;
    reach(w, from, 0, radius);
    for (size_t i = 0; i < w->found_count; i++) {
        size_t at = w->found[i];
        const exa_skeleton_node *n = &w->nodes[at];
        if (n->parent >= 0) reach(w, (size_t)n->parent, w->distance[at] + n->length_nm, radius);
        for (size_t c = w->child[at]; c; c = w->sibling[c - 1])
            reach(w, c - 1, w->distance[at] + w->nodes[c - 1].length_nm, radius);
    }
    for (size_t i = 0; i < w->found_count; i++) w->distance[w->found[i]] = -1;
    qsort(w->found, w->found_count, sizeof *w->found, size_order);
}

static void find_straight(walker *w, const double *p, size_t from, double radius) {
    w->found_count = 0;
    for (size_t i = 0; i < w->count; i++) {
        double sum = 0;
        for (int a = 0; a < 3; a++) sum += pow(p[3 * i + (size_t)a] - p[3 * from + (size_t)a], 2);
        if (sum <= radius * radius) w->found[w->found_count++] = i;
    }
}

static exa_status begin_walk(walker *w) {
    EXA_TRY(exa_calloc(w->count, sizeof *w->child, "means", &w->child));
    EXA_TRY(exa_calloc(w->count, sizeof *w->sibling, "means", &w->sibling));
    EXA_TRY(exa_calloc(w->count, sizeof *w->distance, "means", &w->distance));
    EXA_TRY(exa_calloc(w->count, sizeof *w->found, "means", &w->found));
    for (size_t i = w->count; i-- > 0;) {
        w->distance[i] = -1;
        if (w->nodes[i].parent < 0) continue;
        w->sibling[i] = w->child[w->nodes[i].parent];
        w->child[w->nodes[i].parent] = i + 1;
    }
    return EXA_OK;
}

exa_status exa_embedding_means(const exa_skeleton_node *nodes, const double *positions_nm, size_t count,
                               const float *embeddings, int floats, double radius_nm,
                               exa_embedding_distance distance, float *means, uint64_t *averaged) {
    walker w = {.nodes = nodes, .count = count};
    exa_status st;

    EXA_GOTO(done, begin_walk(&w));
    for (size_t i = 0; i < count; i++) {
        if (distance == EXA_EMBEDDING_PATH) {
            find_along_path(&w, i, radius_nm);
        } else {
            find_straight(&w, positions_nm, i, radius_nm);
        }
        for (size_t f = 0; f < (size_t)floats; f++) {
            double sum = 0;
            for (size_t k = 0; k < w.found_count; k++) sum += (double)embeddings[w.found[k] * (size_t)floats + f];
            means[i * (size_t)floats + f] = (float)(sum / (double)w.found_count);
        }
        averaged[i] = w.found_count;
    }
done:
    free(w.child);
    free(w.sibling);
    free(w.distance);
    free(w.found);
    return st;
}

/* ---- segments ----------------------------------------------------------------------------------- */

static void widen(exa_embedding_segment *s, exa_coord z, exa_coord y, exa_coord x) {
    const exa_coord at[3] = {z, y, x};
    for (int a = 0; a < 3; a++) {
        exa_coord end = s->box.start[a] + s->box.shape[a];
        if (s->voxels == 0 || at[a] < s->box.start[a]) {
            s->box.shape[a] = s->voxels == 0 ? 1 : end - at[a];
            s->box.start[a] = at[a];
        } else if (at[a] >= end) {
            s->box.shape[a] = at[a] + 1 - s->box.start[a];
        }
    }
    s->voxels++;
}

static exa_status list_segments(const exa_resampled *v, exa_embedding_segment **out, size_t *count) {
    exa_label_set set = {.ids = NULL};
    exa_embedding_segment *list = NULL, *last = NULL;
    size_t at = 0;
    exa_status st;

    EXA_GOTO(done, exa_label_set_add(&set, v->labels, (size_t)(v->shape[0] * v->shape[1] * v->shape[2])));
    exa_label_set_finish(&set);
    EXA_GOTO(done, exa_calloc(set.count, sizeof *list, "segments", &list));
    for (size_t i = 0; i < set.count; i++) list[i].id = set.ids[i];
    for (exa_coord z = 0; z < v->shape[0]; z++) {
        for (exa_coord y = 0; y < v->shape[1]; y++) {
            for (exa_coord x = 0; x < v->shape[2]; x++, at++) {
                if (v->labels[at] == 0) continue;
                if (!last || last->id != v->labels[at])
                    last = &list[(exa_segid *)bsearch(&v->labels[at], set.ids, set.count, sizeof *set.ids,
                                                      exa_segid_order) -
                                 set.ids];
                widen(last, z, y, x);
            }
        }
    }
    *out = list;
    *count = set.count;
done:
    free(set.ids);
    return st;
}

/* Leaves those that are large enough and this rank's. */
static void take_share(exa_embedding_rows *rows, int64_t min_voxels, exa_embedding_facts *facts) {
    uint64_t all = 0, before = 0, size = (uint64_t)exa_comm_size(), rank = (uint64_t)exa_comm_rank();
    size_t kept = 0;

    for (size_t i = 0; i < rows->segment_count; i++)
        if (rows->segments[i].voxels >= (uint64_t)min_voxels) all += rows->segments[i].voxels;
    for (size_t i = 0; i < rows->segment_count; i++) {
        exa_embedding_segment s = rows->segments[i];
        if (s.voxels < (uint64_t)min_voxels) {
            facts->small_segments++;
            continue;
        }
        facts->segments++;
        if ((uint64_t)((double)before / (double)all * (double)size) == rank) rows->segments[kept++] = s;
        before += s.voxels;
    }
    rows->segment_count = kept;
}

static exa_status make_nodes(const exa_resampled *v, double spacing_nm, exa_embedding_rows *rows) {
    size_t capacity = 0;

    for (size_t i = 0; i < rows->segment_count; i++) {
        exa_embedding_segment *s = &rows->segments[i];
        exa_skeleton_node *nodes;
        size_t count;
        EXA_TRY(exa_skeleton_nodes(v->labels, v->shape, &s->box, s->id, v->voxel_nm, spacing_nm, &nodes, &count));
        exa_status st = exa_grow(&rows->node, &capacity, sizeof *rows->node, rows->count + count, "nodes");
        if (st == EXA_OK) memcpy(rows->node + rows->count, nodes, count * sizeof *nodes);
        free(nodes);
        EXA_TRY(st);
        s->first = rows->count;
        s->nodes = count;
        rows->count += count;
    }
    return EXA_OK;
}

static exa_status make_columns(const exa_resampled *v, exa_embedding_rows *r) {
    size_t n = r->count, floats = (size_t)r->floats;

    EXA_TRY(exa_calloc(3 * n, sizeof *r->position_nm, "nodes", &r->position_nm));
    EXA_TRY(exa_calloc(n, sizeof *r->segment, "nodes", &r->segment));
    EXA_TRY(exa_calloc(n, sizeof *r->number, "nodes", &r->number));
    EXA_TRY(exa_calloc(n, sizeof *r->outside, "nodes", &r->outside));
    EXA_TRY(exa_calloc(n, sizeof *r->averaged, "nodes", &r->averaged));
    EXA_TRY(exa_calloc(n * floats, sizeof *r->embedding, "embeddings", &r->embedding));
    EXA_TRY(exa_calloc(n * floats, sizeof *r->mean, "embeddings", &r->mean));
    for (size_t i = 0; i < r->segment_count; i++) {
        const exa_embedding_segment *s = &r->segments[i];
        for (size_t k = 0; k < s->nodes; k++) {
            size_t row = s->first + k;
            r->segment[row] = s->id;
            r->number[row] = k;
            for (int a = 0; a < 3; a++)
                r->position_nm[3 * row + (size_t)a] =
                    v->origin_nm[a] + ((double)r->node[row].at[a] + 0.5) * v->voxel_nm[a];
        }
    }
    return EXA_OK;
}

/* ---- the network -------------------------------------------------------------------------------- */

typedef struct gather {
    const exa_resampled *volume;
    const exa_segclr_model *model;
    exa_embedding_rows *rows;
    size_t first;
    float **patch;
} gather;

static void gather_body(void *context, size_t i, int member) {
    const gather *g = context;
    size_t row = g->first + i;
    (void)member;
    g->rows->outside[row] = exa_embedding_patch(g->volume, g->rows->segment[row], g->rows->node[row].at,
                                                g->model->patch, g->model->input_scale, g->patch[i]);
}

static void log_progress(size_t done, size_t all, double seconds, double *logged) {
    if (seconds < *logged + LOG_SECONDS) return;
    *logged = seconds;
    EXA_INFO("%zu of %zu nodes, %.2f a second", done, all, (double)done / seconds);
}

static exa_status embed_rows(exa_segclr_net *net, const exa_resampled *v, const exa_segclr_model *m, exa_pool *pool,
                             exa_embedding_rows *rows, double *seconds) {
    size_t batch = (size_t)(BATCH_PER_THREAD * exa_pool_threads(pool));
    size_t voxels = (size_t)(m->patch[0] * m->patch[1] * m->patch[2]);
    float **patch = NULL, **to = NULL, *floats = NULL;
    double begin = exa_clock_now(), logged = 0;
    exa_status st;

    EXA_GOTO(done, exa_calloc(batch, sizeof *patch, "patches", &patch));
    EXA_GOTO(done, exa_calloc(batch, sizeof *to, "patches", &to));
    EXA_GOTO(done, exa_alloc(batch * voxels, sizeof *floats, "patches", &floats));
    for (size_t i = 0; i < batch; i++) patch[i] = floats + i * voxels;
    for (size_t first = 0; first < rows->count; first += batch) {
        size_t n = rows->count - first < batch ? rows->count - first : batch;
        gather g = {v, m, rows, first, patch};
        exa_pool_for(pool, n, gather_body, &g);
        for (size_t i = 0; i < n; i++) to[i] = rows->embedding + (first + i) * (size_t)rows->floats;
        EXA_GOTO(done, exa_segclr_net_embed(net, n, (const float *const *)patch, to));
        log_progress(first + n, rows->count, exa_clock_now() - begin, &logged);
    }
    *seconds = exa_clock_now() - begin;
done:
    free(patch);
    free(to);
    free(floats);
    return st;
}

static exa_status aggregate(const exa_embedding_options *o, exa_embedding_rows *r) {
    for (size_t i = 0; i < r->segment_count; i++) {
        const exa_embedding_segment *s = &r->segments[i];
        size_t at = s->first * (size_t)r->floats;
        EXA_TRY(exa_embedding_means(r->node + s->first, r->position_nm + 3 * s->first, s->nodes, r->embedding + at,
                                    r->floats, o->aggregate_nm, o->distance, r->mean + at, r->averaged + s->first));
    }
    return EXA_OK;
}

static exa_status classify(const exa_segclr_classifier *c, exa_embedding_rows *r) {
    size_t classes;

    if (!c) return EXA_OK;
    classes = (size_t)exa_segclr_classifier_classes(c);
    EXA_TRY(exa_calloc(r->count, sizeof *r->prediction, "classes", &r->prediction));
    EXA_TRY(exa_calloc(r->count * classes, sizeof *r->probability, "classes", &r->probability));
    for (size_t i = 0; i < r->count; i++)
        EXA_TRY(exa_segclr_classifier_predict(c, r->mean + i * (size_t)r->floats, &r->prediction[i],
                                              r->probability + i * classes));
    return EXA_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

typedef struct inputs {
    exa_volume *image, *labels;
    exa_segclr_model *model;
    exa_segclr_classifier *classifier;
    exa_box box;         /* in voxels of the labels */
    exa_coord offset[3]; /* of the labels, in the volume that they were made from */
    exa_coord place[3];  /* of the labels, in the image */
    double voxel_nm[3];
} inputs;

static exa_status find_voxel_size(const exa_embedding_options *o, const exa_volume_info *image,
                                  const exa_volume_info *labels, double nm[3]) {
    for (int a = 0; a < 3; a++) {
        nm[a] = o->voxel_nm[a] > 0 ? o->voxel_nm[a] : image->voxel_size_nm[a];
        if (!(nm[a] > 0)) nm[a] = labels->voxel_size_nm[a];
        EXA_CHECK(
            nm[a] > 0, EXA_ERR_CONFIG,
            "neither '%s' nor '%s' says how large its voxels are, and the network wants a patch of so many nm. "
            "Hint: --voxel-size Z,Y,X in nm",
            image->name, labels->name);
        EXA_CHECK(o->voxel_nm[a] > 0 || !(labels->voxel_size_nm[a] > 0) ||
                      fabs(labels->voxel_size_nm[a] - nm[a]) < 1e-3 * nm[a],
                  EXA_ERR_CONFIG,
                  "the voxels of '%s' are %g nm on axis %c, those of '%s' %g nm. Hint: say which is "
                  "right with --voxel-size",
                  image->name, nm[a], "zyx"[a], labels -> name, labels -> voxel_size_nm[a]);
    }
    return EXA_OK;
}

/* Where the labels lie: in the volume they were made from, and in the image, which may be another part of it. An
 * image that does not say where it lies is that whole volume, or of the same voxels if it has their shape. */
static exa_status find_place(const exa_embedding_options *o, const exa_volume_info *image,
                             const exa_volume_info *labels, inputs *in) {
    exa_box whole = {{0, 0, 0}, {0, 0, 0}}, part = whole;
    exa_coord of_image[3];
    bool found, placed;

    EXA_TRY(exa_volume_get_offset(in->labels, in->offset, &found));
    if (o->offset) memcpy(in->offset, o->offset, sizeof in->offset);
    EXA_TRY(exa_volume_get_offset(in->image, of_image, &placed));
    bool same = memcmp(image->shape, labels->shape, sizeof image->shape) == 0;
    if (same && (!placed || !(found || o->offset))) memcpy(of_image, in->offset, sizeof of_image);
    for (int a = 0; a < 3; a++) part.start[a] = in->place[a] = in->offset[a] - of_image[a];
    memcpy(whole.shape, image->shape, sizeof whole.shape);
    memcpy(part.shape, labels->shape, sizeof part.shape);
    EXA_CHECK(
        exa_box_inside(&part, &whole), EXA_ERR_CONFIG,
        "'%s' is %lld x %lld x %lld voxels (z,y,x) and does not cover '%s' of %lld x %lld x %lld at its voxel "
        "%lld,%lld,%lld. Hint: give the image of the same voxels or a larger one; --offset Z,Y,X says where "
        "the segmentation begins if its offset_zyx_vx is missing or wrong",
        image->name, (long long)image->shape[0], (long long)image->shape[1], (long long)image->shape[2],
        labels->name, (long long)labels->shape[0], (long long)labels->shape[1], (long long)labels->shape[2],
        (long long)part.start[0], (long long)part.start[1], (long long)part.start[2]);
    EXA_CHECK(same || found || placed || o->offset, EXA_ERR_CONFIG,
              "'%s' is %lld x %lld x %lld voxels (z,y,x) but '%s' is %lld x %lld x %lld, and no attribute "
              "offset_zyx_vx says where it lies. Hint: image and segmentation must be of the same voxels, or say "
              "where it begins with --offset Z,Y,X",
              image->name, (long long)image->shape[0], (long long)image->shape[1], (long long)image->shape[2],
              labels->name, (long long)labels->shape[0], (long long)labels->shape[1], (long long)labels->shape[2]);
    return EXA_OK;
}

/* The whole segmentation, or --box, which counts from where offsets do. */
static exa_status find_box(const exa_embedding_options *o, const exa_volume_info *labels, inputs *in) {
    exa_box whole = {{0, 0, 0}, {0, 0, 0}};

    memcpy(whole.shape, labels->shape, sizeof whole.shape);
    in->box = o->box ? *o->box : whole;
    for (int a = 0; o->box && a < 3; a++) in->box.start[a] -= in->offset[a];
    EXA_CHECK(exa_box_inside(&in->box, &whole), EXA_ERR_CONFIG,
              "--box is not inside '%s', which has voxels %lld,%lld,%lld to %lld,%lld,%lld (z,y,x)", labels->name,
              (long long)in->offset[0], (long long)in->offset[1], (long long)in->offset[2],
              (long long)(in->offset[0] + whole.shape[0] - 1), (long long)(in->offset[1] + whole.shape[1] - 1),
              (long long)(in->offset[2] + whole.shape[2] - 1));
    return EXA_OK;
}

/* Whether two names of volumes in files are of one dataset; a name without dataset means the file's only one. */
static bool same_dataset(const char *a, const char *b) {
    char path[2][EXA_PATH_BYTES], dataset[2][EXA_PATH_BYTES];
    const char *set[2], *name[2] = {a, b};

    if (strcmp(a, b) == 0) return true;
    for (int i = 0; i < 2; i++) {
        if (strncmp(name[i], EXA_PHANTOM_PREFIX, strlen(EXA_PHANTOM_PREFIX)) == 0) return false;
        if (exa_volume_split_name(name[i], path[i], EXA_PATH_BYTES, dataset[i], EXA_PATH_BYTES) != EXA_OK)
            return false; /* no HDF5 file; the volume could be opened */
        set[i] = dataset[i] + strspn(dataset[i], "/");
    }
    return exa_file_same(path[0], path[1]) && (!*set[0] || !*set[1] || strcmp(set[0], set[1]) == 0);
}

static exa_status check_kinds(const exa_volume_info *image, const exa_volume_info *labels) {
    bool phantom = strcmp(labels->format, "phantom") == 0 && labels->dtype == EXA_U8;
    size_t bare = strlen(labels->name);

    if (bare > 5 && strcmp(labels->name + bare - 5, ":/raw") == 0) bare -= 5;
    EXA_CHECK(!phantom, EXA_ERR_CONFIG, "'%s' is the image of a phantom, no segmentation. Hint: %.*s:/labels",
              labels->name, (int)bare, labels->name);
    EXA_CHECK(!same_dataset(image->name, labels->name), EXA_ERR_CONFIG,
              "'%s' is both the image and the segmentation. Hint: --image is what was segmented, SEGMENTATION the "
              "labels: exaconn embed out/segmentation.h5:/segmentation --image em.h5:/raw",
              image->name);
    EXA_CHECK(image->dtype == EXA_U8, EXA_ERR_CONFIG,
              "the image '%s' is %s; SegCLR networks are trained on uint8. Hint: convert it first", image->name,
              exa_dtype_name(image->dtype));
    EXA_CHECK(labels->dtype != EXA_F32, EXA_ERR_CONFIG, "'%s' is float32, which is no segmentation", labels->name);
    return EXA_OK;
}

static exa_status open_inputs(const exa_embedding_options *o, inputs *in) {
    exa_volume_info image, labels;

    EXA_TRY(exa_segclr_model_read(o->weights, &in->model));
    if (o->classifier)
        EXA_TRY(exa_segclr_classifier_read(o->classifier, in->model->geometry.embedding, &in->classifier));
    EXA_TRY(exa_volume_open(o->image, &in->image));
    EXA_TRY(exa_volume_open(o->segmentation, &in->labels));
    EXA_TRY(exa_volume_get_info(in->image, &image));
    EXA_TRY(exa_volume_get_info(in->labels, &labels));
    EXA_TRY(check_kinds(&image, &labels));
    EXA_TRY(find_place(o, &image, &labels, in));
    EXA_TRY(find_box(o, &labels, in));
    return find_voxel_size(o, &image, &labels, in->voxel_nm);
}

static void close_inputs(inputs *in) {
    exa_segclr_model_destroy(&in->model);
    exa_segclr_classifier_destroy(&in->classifier);
    exa_volume_close(&in->image);
    exa_volume_close(&in->labels);
}

static void free_rows(exa_embedding_rows *r) {
    free(r->node);
    free(r->position_nm);
    free(r->segment);
    free(r->number);
    free(r->outside);
    free(r->embedding);
    free(r->mean);
    free(r->averaged);
    free(r->prediction);
    free(r->probability);
    free(r->segments);
}

static void log_segments(const exa_embedding_options *o, const exa_embedding_facts *f) {
    EXA_INFO("%" PRIu64 " segments; %" PRIu64 " smaller than %lld voxels and %" PRIu64
             " that vanish at the network's voxel size left out",
             f->segments, f->small_segments, (long long)o->min_voxels, f->vanished);
    if (f->segments == 0)
        EXA_WARN(
            "no segment is left to embed: the table has no rows. Hint: look at the segmentation, --voxel-size, "
            "--box and --min-voxels");
}

static exa_status make_rows(const exa_embedding_options *o, inputs *in, const exa_resampled *v, exa_pool *pool,
                            exa_embedding_rows *rows, exa_embedding_facts *facts) {
    exa_segclr_net *net = NULL;
    exa_status st;

    rows->floats = in->model->geometry.embedding;
    EXA_TRY(list_segments(v, &rows->segments, &rows->segment_count));
    facts->vanished = v->segments - rows->segment_count;
    take_share(rows, o->min_voxels, facts);
    if (exa_comm_rank() == 0) log_segments(o, facts);
    EXA_TRY(make_nodes(v, o->spacing_nm, rows));
    EXA_TRY(make_columns(v, rows));
    EXA_INFO("%zu nodes in %zu segments", rows->count, rows->segment_count);
    EXA_TRY(exa_segclr_net_create(in->model, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, pool, &net));
    snprintf(facts->description, sizeof facts->description, "%s", exa_segclr_net_description(net));
    st = embed_rows(net, v, in->model, pool, rows, &facts->seconds);
    exa_segclr_net_destroy(&net);
    EXA_TRY(st);
    EXA_TRY(aggregate(o, rows));
    return classify(in->classifier, rows);
}

static exa_status run_alone(const exa_embedding_options *o, inputs *in, exa_embedding_rows *rows,
                            exa_embedding_facts *facts) {
    exa_resampled v = {.image = NULL};
    exa_pool *pool = NULL;
    exa_status st;

    EXA_TRY(open_inputs(o, in));
    EXA_TRY(exa_pool_create(o->threads, false, &pool));
    EXA_GOTO(done, exa_resample_read(in->image, in->place, in->labels, &in->box, in->voxel_nm,
                                     in->model->resolution_nm, pool, &v));
    for (int a = 0; a < 3; a++) v.origin_nm[a] += (double)in->offset[a] * in->voxel_nm[a];
    memcpy(facts->shape, v.shape, sizeof facts->shape);
    snprintf(facts->network, sizeof facts->network, "%s", in->model->source);
    EXA_GOTO(done, make_rows(o, in, &v, pool, rows, facts));
done:
    exa_resampled_free(&v);
    exa_pool_destroy(&pool);
    return st;
}

exa_status exa_embedding_run(const exa_embedding_options *o, exa_embedding_facts *facts) {
    exa_embedding_rows rows = {.count = 0};
    exa_embedding_facts f = {.nodes = 0};
    inputs in = {.image = NULL};
    exa_status st;

    EXA_GOTO(done, exa_embedding_try_output(o)); /* before hours of work */
    EXA_GOTO(done, exa_comm_agree(run_alone(o, &in, &rows, &f)));
    f.nodes = rows.count;
    EXA_GOTO(done, exa_sum_all(&f.nodes, 1));
    EXA_GOTO(done, exa_embedding_write(o, in.model, in.classifier, in.voxel_nm, in.offset, &f, &rows));
    *facts = f;
done:
    free_rows(&rows);
    close_inputs(&in);
    return st;
}
