/* TEASAR-like skeletons. Work is in the segment's box with one voxel of nothing around it, so that no neighbour
 * needs a check; voxels are numbered in it. Of equal distances the lower number comes first, everywhere.
 */
#include "exaconn/skeleton.h"

#include "exaconn/image_filter.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COVER_SCALE 2.0     /* a path's voxel covers this many times its distance to the surface, */
#define COVER_SPACINGS 0.25 /* and this many spacings more */
#define PULL 100.0          /* how much longer a step at the surface counts than one in the middle */

typedef struct heap_item {
    double key;
    uint32_t voxel;
} heap_item;

typedef struct work {
    int32_t shape[3]; /* with the rim */
    int32_t step[26]; /* to the neighbours */
    double step_nm[26];
    uint8_t *mask;        /* 1 in the segment, 2 once a path covers it */
    int32_t *distance2;   /* to the surface, voxels squared */
    double *cost, *along; /* of the penalised search; plain distance from the root */
    uint32_t *back;       /* towards the root; itself there */
    int64_t *node;        /* of the skeleton: 0 = not on it, else 1 + its place in `path` */
    heap_item *heap;
    size_t heap_count, heap_capacity;
    uint32_t *path; /* voxels of the skeleton, each after its parent */
    size_t path_count, path_capacity;
    size_t voxels;
    double mean_nm;
} work;

/* ---- a heap of voxels by distance ---------------------------------------------------------------- */

static bool before(const heap_item *a, const heap_item *b) {
    return a->key < b->key || (a->key == b->key && a->voxel < b->voxel);
}

static exa_status heap_push(work *w, double key, uint32_t voxel) {
    size_t i = w->heap_count++;
    heap_item item = {key, voxel};

    EXA_TRY(exa_grow(&w->heap, &w->heap_capacity, sizeof *w->heap, w->heap_count, "a skeleton"));
    for (; i > 0 && before(&item, &w->heap[(i - 1) / 2]); i = (i - 1) / 2) w->heap[i] = w->heap[(i - 1) / 2];
    w->heap[i] = item;
    return EXA_OK;
}

static heap_item heap_pop(work *w) {
    heap_item top = w->heap[0], last = w->heap[--w->heap_count];
    size_t i = 0;

    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->heap_count) break;
        if (child + 1 < w->heap_count && before(&w->heap[child + 1], &w->heap[child])) child++;
        if (!before(&w->heap[child], &last)) break;
        w->heap[i] = w->heap[child];
        i = child;
    }
    w->heap[i] = last;
    return top;
}

/* ---- searches ----------------------------------------------------------------------------------- */

/* Distances from `from` through the mask into `cost`, which must be infinite there. With `most` > 0 steps near the
 * surface count for more and `back` is set. *last receives the voxel farthest away. */
static exa_status search(work *w, uint32_t from, double most, double *cost, uint32_t *last) {
    w->heap_count = 0;
    cost[from] = 0;
    *last = from;
    if (most > 0) w->back[from] = from;
    EXA_TRY(heap_push(w, 0, from));
    while (w->heap_count > 0) {
        heap_item item = heap_pop(w);
        if (item.key > cost[item.voxel]) continue; /* found a shorter way since */
        if (item.key > cost[*last]) *last = item.voxel;
        for (int k = 0; k < 26; k++) {
            uint32_t to = (uint32_t)((int64_t)item.voxel + w->step[k]);
            if (!w->mask[to]) continue;
            double length = w->step_nm[k];
            if (most > 0) {
                double depth = 1 - sqrt((double)w->distance2[to]) / most;
                double d2 = depth * depth, d4 = d2 * d2;
                length *= 1 + PULL * d4 * d4;
            }
            if (!(item.key + length < cost[to])) continue;
            cost[to] = item.key + length;
            if (most > 0) w->back[to] = item.voxel;
            EXA_TRY(heap_push(w, cost[to], to));
        }
    }
    return EXA_OK;
}

/* All voxels of the part that `seed` is in, in `list` (grown), by a flood. */
static exa_status gather_part(work *w, uint32_t seed, uint8_t *seen, uint32_t **list, size_t *capacity,
                              size_t *count) {
    *count = 0;
    seen[seed] = 1;
    EXA_TRY(exa_grow(list, capacity, sizeof **list, 1, "a skeleton"));
    (*list)[(*count)++] = seed;
    for (size_t i = 0; i < *count; i++) {
        for (int k = 0; k < 26; k++) {
            uint32_t to = (uint32_t)((int64_t)(*list)[i] + w->step[k]);
            if (!w->mask[to] || seen[to]) continue;
            seen[to] = 1;
            EXA_TRY(exa_grow(list, capacity, sizeof **list, *count + 1, "a skeleton"));
            (*list)[(*count)++] = to;
        }
    }
    return EXA_OK;
}

/* ---- paths -------------------------------------------------------------------------------------- */

/* What lies near a voxel of a path needs none of its own. */
static void cover(work *w, uint32_t voxel, double reach_vx) {
    int32_t plane = w->shape[1] * w->shape[2], line = w->shape[2], r = (int32_t)reach_vx;
    int32_t z = (int32_t)(voxel / (uint32_t)plane), y = (int32_t)(voxel / (uint32_t)line) % w->shape[1];
    int32_t x = (int32_t)(voxel % (uint32_t)line);
    double square = reach_vx * reach_vx;

    for (int32_t dz = z < r ? -z : -r; dz <= r && z + dz < w->shape[0]; dz++) {
        for (int32_t dy = y < r ? -y : -r; dy <= r && y + dy < w->shape[1]; dy++) {
            for (int32_t dx = x < r ? -x : -r; dx <= r && x + dx < w->shape[2]; dx++) {
                int64_t near = (int64_t)voxel + (int64_t)dz * plane + dy * line + dx;
                /* Another part of the segment, which only runs beside this one, was not reached yet. */
                bool here = w->mask[near] == 1 && isfinite(w->along[near]);
                if (here && (double)(dz * dz + dy * dy + dx * dx) <= square) w->mask[near] = 2;
            }
        }
    }
}

/* From `tip` back to the skeleton; its voxels join the skeleton from there outward. */
static exa_status add_path(work *w, uint32_t tip, double extra_vx) {
    size_t first = w->path_count, n = 0;
    uint32_t at = tip;

    for (; w->node[at] == 0; at = w->back[at]) {
        EXA_TRY(exa_grow(&w->path, &w->path_capacity, sizeof *w->path, w->path_count + 1, "a skeleton"));
        w->path[w->path_count++] = at;
        n++;
        if (w->back[at] == at) break;
    }
    for (size_t i = 0; i < n / 2; i++) {
        uint32_t swap = w->path[first + i];
        w->path[first + i] = w->path[first + n - 1 - i];
        w->path[first + n - 1 - i] = swap;
    }
    for (size_t i = first; i < first + n; i++) {
        w->node[w->path[i]] = (int64_t)i + 1;
        w->mask[w->path[i]] = 2;
        cover(w, w->path[i], COVER_SCALE * sqrt((double)w->distance2[w->path[i]]) + extra_vx);
    }
    return EXA_OK;
}

typedef struct by_distance {
    double along;
    uint32_t voxel;
} by_distance;

static int farther_first(const void *pa, const void *pb) {
    const by_distance *a = pa, *b = pb;
    if (a->along != b->along) return a->along > b->along ? -1 : 1;
    return a->voxel < b->voxel ? -1 : a->voxel > b->voxel;
}

/* The skeleton of one part. */
static exa_status trace_part(work *w, const uint32_t *list, size_t count, double extra_vx) {
    uint32_t root, last;
    double most = 0;
    by_distance *order = NULL;
    exa_status st = EXA_OK;

    for (size_t i = 0; i < count; i++) most = fmax(most, sqrt((double)w->distance2[list[i]]));
    EXA_TRY(search(w, list[0], 0, w->cost, &root));
    EXA_TRY(search(w, root, 0, w->along, &last));
    for (size_t i = 0; i < count; i++) w->cost[list[i]] = INFINITY;
    EXA_TRY(search(w, root, most, w->cost, &last));
    EXA_TRY(exa_alloc(count, sizeof *order, "a skeleton", &order));
    for (size_t i = 0; i < count; i++) order[i] = (by_distance){w->along[list[i]], list[i]};
    qsort(order, count, sizeof *order, farther_first);
    EXA_GOTO(done, add_path(w, root, 0));
    for (size_t i = 0; i < count; i++)
        if (w->mask[order[i].voxel] == 1) EXA_GOTO(done, add_path(w, order[i].voxel, extra_vx));
done:
    free(order);
    return st;
}

/* ---- nodes at a spacing -------------------------------------------------------------------------- */

static void position(const work *w, uint32_t voxel, exa_coord at[3]) {
    uint32_t line = (uint32_t)w->shape[2], plane = line * (uint32_t)w->shape[1];
    at[0] = (exa_coord)(voxel / plane);
    at[1] = (exa_coord)(voxel / line % (uint32_t)w->shape[1]);
    at[2] = (exa_coord)(voxel % line);
}

static double step_length(const work *w, const double voxel_nm[3], uint32_t a, uint32_t b) {
    exa_coord pa[3], pb[3];
    double sum = 0;
    position(w, a, pa);
    position(w, b, pb);
    for (int i = 0; i < 3; i++) sum += pow((double)(pa[i] - pb[i]) * voxel_nm[i], 2);
    return sqrt(sum);
}

/* Walks the skeleton from its roots. A voxel becomes a node where a spacing has passed since the last one, and
 * where a path ends half a spacing or more after it. */
static exa_status choose_nodes(const work *w, const exa_box *box, const double voxel_nm[3], double spacing_nm,
                               exa_skeleton_node **nodes, size_t *count) {
    size_t n = w->path_count, used = 0, capacity = 0;
    int64_t *owner = NULL;
    uint32_t *children = NULL;
    double *since = NULL;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc(n, sizeof *owner, "a skeleton", &owner));
    EXA_GOTO(done, exa_calloc(n, sizeof *since, "a skeleton", &since));
    EXA_GOTO(done, exa_calloc(n, sizeof *children, "a skeleton", &children));
    for (size_t i = 0; i < n; i++)
        if (w->back[w->path[i]] != w->path[i]) children[w->node[w->back[w->path[i]]] - 1]++;
    for (size_t i = 0; i < n; i++) {
        uint32_t voxel = w->path[i], back = w->back[voxel];
        bool root = back == voxel;
        size_t parent = root ? 0 : (size_t)w->node[back] - 1;
        since[i] = root ? 0 : since[parent] + step_length(w, voxel_nm, voxel, back);
        owner[i] = root ? -1 : owner[parent];
        if (!root && since[i] < (children[i] == 0 ? spacing_nm / 2 : spacing_nm)) continue;
        EXA_GOTO(done, exa_grow(nodes, &capacity, sizeof **nodes, used + 1, "a skeleton's nodes"));
        exa_skeleton_node *node = &(*nodes)[used];
        *node = (exa_skeleton_node){.parent = owner[i], .length_nm = since[i]};
        node->radius_nm = sqrt((double)w->distance2[voxel]) * w->mean_nm;
        position(w, voxel, node->at);
        for (int a = 0; a < 3; a++) node->at[a] += box->start[a] - 1;
        owner[i] = (int64_t)used++;
        since[i] = 0;
    }
    *count = used;
done:
    free(owner);
    free(since);
    free(children);
    return st;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static void make_steps(work *w, const double voxel_nm[3]) {
    int n = 0;
    for (int z = -1; z <= 1; z++) {
        for (int y = -1; y <= 1; y++) {
            for (int x = -1; x <= 1; x++) {
                if (z == 0 && y == 0 && x == 0) continue;
                w->step[n] = (z * w->shape[1] + y) * w->shape[2] + x;
                w->step_nm[n++] = sqrt(pow(z * voxel_nm[0], 2) + pow(y * voxel_nm[1], 2) + pow(x * voxel_nm[2], 2));
            }
        }
    }
}

static exa_status make_mask(work *w, const exa_segid *labels, const exa_coord shape[3], const exa_box *box,
                            exa_segid id) {
    const exa_coord padded[3] = {w->shape[0], w->shape[1], w->shape[2]};
    uint8_t *outside;
    bool any;

    EXA_TRY(exa_alloc(w->voxels, 1, "a skeleton", &outside));
    memset(outside, 1, w->voxels);
    for (exa_coord z = 0; z < box->shape[0]; z++) {
        for (exa_coord y = 0; y < box->shape[1]; y++) {
            const exa_segid *row =
                labels + ((box->start[0] + z) * shape[1] + box->start[1] + y) * shape[2] + box->start[2];
            size_t at = (size_t)(((z + 1) * padded[1] + y + 1) * padded[2] + 1);
            for (exa_coord x = 0; x < box->shape[2]; x++) {
                w->mask[at + (size_t)x] = row[x] == id;
                outside[at + (size_t)x] = row[x] != id;
            }
        }
    }
    exa_status st = exa_filter_distance2(outside, padded, NULL, w->distance2, &any);
    free(outside);
    return st;
}

static exa_status allocate(work *w) {
    EXA_TRY(exa_calloc(w->voxels, sizeof *w->mask, "a skeleton", &w->mask));
    EXA_TRY(exa_alloc(w->voxels, sizeof *w->distance2, "a skeleton", &w->distance2));
    EXA_TRY(exa_alloc(w->voxels, sizeof *w->cost, "a skeleton", &w->cost));
    EXA_TRY(exa_alloc(w->voxels, sizeof *w->along, "a skeleton", &w->along));
    EXA_TRY(exa_alloc(w->voxels, sizeof *w->back, "a skeleton", &w->back));
    EXA_TRY(exa_calloc(w->voxels, sizeof *w->node, "a skeleton", &w->node));
    for (size_t i = 0; i < w->voxels; i++) w->cost[i] = w->along[i] = INFINITY;
    return EXA_OK;
}

static exa_status trace_all(work *w, double extra_vx) {
    uint8_t *seen = NULL;
    uint32_t *list = NULL;
    size_t capacity = 0, count;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(w->voxels, 1, "a skeleton", &seen));
    for (size_t i = 0; i < w->voxels; i++) {
        if (!w->mask[i] || seen[i]) continue;
        EXA_GOTO(done, gather_part(w, (uint32_t)i, seen, &list, &capacity, &count));
        EXA_GOTO(done, trace_part(w, list, count, extra_vx));
    }
done:
    free(seen);
    free(list);
    return st;
}

exa_status exa_skeleton_nodes(const exa_segid *labels, const exa_coord shape[3], const exa_box *box, exa_segid id,
                              const double voxel_nm[3], double spacing_nm, exa_skeleton_node **nodes,
                              size_t *count) {
    work w = {.voxels = 1};
    exa_status st = EXA_OK;

    *nodes = NULL;
    *count = 0;
    for (int a = 0; a < 3; a++) {
        w.voxels *= (size_t)(box->shape[a] + 2);
        EXA_CHECK(
            w.voxels < (size_t)INT32_MAX, EXA_ERR_RANGE,
            "segment %llu fills a box of %lld x %lld x %lld voxels; skeletons go up to 2^31. Hint: embed a part "
            "of the volume with --box",
            (unsigned long long)id, (long long)box->shape[0], (long long)box->shape[1], (long long)box->shape[2]);
        w.shape[a] = (int32_t)box->shape[a] + 2;
    }
    w.mean_nm = cbrt(voxel_nm[0] * voxel_nm[1] * voxel_nm[2]);
    make_steps(&w, voxel_nm);
    EXA_GOTO(done, allocate(&w));
    EXA_GOTO(done, make_mask(&w, labels, shape, box, id));
    EXA_GOTO(done, trace_all(&w, COVER_SPACINGS * spacing_nm / w.mean_nm));
    EXA_GOTO(done, choose_nodes(&w, box, voxel_nm, spacing_nm, nodes, count));
done:
    free(w.mask);
    free(w.distance2);
    free(w.cost);
    free(w.along);
    free(w.back);
    free(w.node);
    free(w.heap);
    free(w.path);
    if (st != EXA_OK) {
        free(*nodes);
        *nodes = NULL;
    }
    return st;
}
