/* Without the guard one distributed union-find does it all. Where segments came out too large, their candidates and
 * the sizes of their supervoxels are gathered, each segment on one rank, joined there in the order of the scores,
 * and the union-find is done again with what was accepted. Only such segments are ever gathered. */
#include "exaconn/agglomeration.h"

#include "exaconn/comm.h"
#include "exaconn/reduce.h"
#include "exaconn/union_tree.h"

#include <stdlib.h>
#include <string.h>

typedef struct size_record {
    exa_segid id;
    uint64_t voxels;
} size_record;

typedef struct work {
    exa_candidate *candidates; /* borrowed */
    size_t count;
    const exa_segment *supervoxels;
    size_t supervoxel_count;
    const exa_segid *first;
    const exa_agglomeration_options *options;
    exa_mapping *mapping; /* as it is so far */
    exa_segid *large;     /* owned; the segments beyond the limit, sorted, on all ranks alike */
    size_t large_count;
    exa_candidate *contested; /* owned; of the large segments this rank decides on */
    size_t contested_count;
    size_record *sizes; /* owned; of their supervoxels, sorted by id */
    size_t size_count;
} work;

/* ---- segments beyond the limit ------------------------------------------------------------------------------- */

static void add_size(void *into, const void *record) {
    ((size_record *)into)->voxels += ((const size_record *)record)->voxels;
}

static int by_id(const void *a, const void *b) {
    exa_segid x, y;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

/* Gives the `count` ids of each rank to all. */
static exa_status share_ids(const exa_segid *mine, size_t count, exa_segid **all, size_t *all_count) {
    size_t ranks = (size_t)exa_comm_size(), *counts = NULL;
    exa_segid *copies = NULL;
    exa_status st = exa_alloc(ranks, sizeof *counts, "an exchange", &counts);

    if (st == EXA_OK) st = exa_alloc(ranks * count, sizeof *copies, "ids for all ranks", &copies);
    EXA_GOTO(done, exa_comm_agree(st));
    for (size_t r = 0; r < ranks; r++) {
        counts[r] = count;
        if (count) memcpy(copies + r * count, mine, count * sizeof *mine);
    }
    EXA_GOTO(done, exa_exchange(copies, sizeof *copies, counts, (void **)all, all_count));
    if (*all_count) qsort(*all, *all_count, sizeof **all, by_id);
done:
    free(copies);
    free(counts);
    return st;
}

static exa_status find_large(work *w) {
    const exa_reduction sums = {.size = sizeof(size_record), .combine = add_size};
    size_t count = w->supervoxel_count, kept = 0;
    size_record *list;
    exa_segid *ids;
    void *records = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_comm_agree(exa_alloc(count, sizeof *list, "sizes of segments", &records)));
    list = records;
    for (size_t i = 0; i < count; i++)
        list[i] = (size_record){exa_mapping_root(w->mapping, w->supervoxels[i].id), w->supervoxels[i].voxels};
    EXA_TRY(exa_reduce_by_key(&sums, &records, &count));
    list = records;
    ids = records; /* in place: never ahead of what is read */
    for (size_t i = 0; i < count; i++) {
        size_record r = list[i];
        if (r.voxels > w->options->max_voxels) ids[kept++] = r.id;
    }
    st = share_ids(ids, kept, &w->large, &w->large_count);
    free(records);
    return st;
}

/* Which of the large segments `id` belongs to, or SIZE_MAX. */
static size_t large_of(const work *w, exa_segid id) {
    exa_segid root = exa_mapping_root(w->mapping, id);
    const exa_segid *at = w->large_count ? bsearch(&root, w->large, w->large_count, sizeof root, by_id) : NULL;
    return at ? (size_t)(at - w->large) : SIZE_MAX;
}

/* ---- gathering them ------------------------------------------------------------------------------------------ */

typedef exa_segid id_of_record(const void *record);

static exa_segid id_of_candidate(const void *record) {
    return ((const exa_candidate *)record)->a;
}

static exa_segid id_of_supervoxel(const void *record) {
    return ((const exa_segment *)record)->id;
}

static bool takes_part(const void *record, bool candidates) {
    return !candidates || ((const exa_candidate *)record)->joined;
}

/* Sends the records of large segments to the ranks that decide on them. */
static exa_status gather(const work *w, const void *list, size_t count, size_t size, bool candidates,
                         void **received, size_t *received_count) {
    id_of_record *id_of = candidates ? id_of_candidate : id_of_supervoxel;
    size_t ranks = (size_t)exa_comm_size(), *counts = NULL, *at = NULL, sent = 0;
    const char *from = list;
    char *out = NULL;
    exa_status st = exa_calloc(ranks, sizeof *counts, "an exchange", &counts);

    if (st == EXA_OK) st = exa_calloc(ranks, sizeof *at, "an exchange", &at);
    EXA_GOTO(done, exa_comm_agree(st));
    for (int pass = 0; pass < 2; pass++) { /* count, then sort by receiver */
        for (size_t i = 0; i < count; i++) {
            size_t n = large_of(w, id_of(from + i * size));
            if (n == SIZE_MAX || !takes_part(from + i * size, candidates)) continue;
            if (pass == 0)
                counts[n % ranks]++, sent++;
            else
                memcpy(out + at[n % ranks]++ * size, from + i * size, size);
        }
        if (pass == 1) break;
        for (size_t r = 1; r < ranks; r++) at[r] = at[r - 1] + counts[r - 1];
        EXA_GOTO(done, exa_comm_agree(exa_alloc(sent, size, "records of large segments", &out)));
    }
    st = exa_exchange(out, size, counts, received, received_count);
done:
    free(out);
    free(at);
    free(counts);
    return st;
}

static exa_status gather_all(work *w) {
    exa_segment *segments = NULL;
    exa_status st;

    EXA_TRY(gather(w, w->candidates, w->count, sizeof *w->candidates, true, (void **)&w->contested,
                   &w->contested_count));
    EXA_TRY(gather(w, w->supervoxels, w->supervoxel_count, sizeof *segments, false, (void **)&segments,
                   &w->size_count));
    st = exa_alloc(w->size_count, sizeof *w->sizes, "sizes of supervoxels", &w->sizes);
    for (size_t i = 0; st == EXA_OK && i < w->size_count; i++)
        w->sizes[i] = (size_record){segments[i].id, segments[i].voxels};
    if (st == EXA_OK && w->size_count) qsort(w->sizes, w->size_count, sizeof *w->sizes, by_id);
    free(segments);
    return exa_comm_agree(st);
}

/* ---- deciding ------------------------------------------------------------------------------------------------ */

static int best_first(const void *a, const void *b) {
    const exa_candidate *x = a, *y = b;
    double one = exa_candidate_jaccard(x), two = exa_candidate_jaccard(y);

    if (one != two) return one > two ? -1 : 1;
    if (x->shared != y->shared) return x->shared > y->shared ? -1 : 1;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

static size_t top_of(size_t *parent, size_t i) {
    while (parent[i] != i) i = parent[i] = parent[parent[i]];
    return i;
}

static exa_status index_of(const work *w, exa_segid id, size_t *index) {
    const size_record *at = w->size_count ? bsearch(&id, w->sizes, w->size_count, sizeof *w->sizes, by_id) : NULL;

    EXA_CHECK(at, EXA_ERR_FORMAT, "supervoxel %llu is in a candidate but has no voxels in its chunk",
              (unsigned long long)id);
    *index = (size_t)(at - w->sizes);
    return EXA_OK;
}

/* Joins what the limit allows; the rest is marked as refused. */
static exa_status decide(work *w) {
    size_t *parent = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(w->size_count, sizeof *parent, "large segments", &parent));
    for (size_t i = 0; i < w->size_count; i++) parent[i] = i;
    if (w->contested_count) qsort(w->contested, w->contested_count, sizeof *w->contested, best_first);
    for (size_t i = 0; i < w->contested_count; i++) {
        exa_candidate *c = &w->contested[i];
        size_t a, b;
        EXA_GOTO(done, index_of(w, c->a, &a));
        EXA_GOTO(done, index_of(w, c->b, &b));
        a = top_of(parent, a);
        b = top_of(parent, b);
        if (a == b) continue;
        c->refused = w->sizes[a].voxels + w->sizes[b].voxels > w->options->max_voxels;
        c->joined = !c->refused;
        if (c->refused) continue;
        parent[b] = a;
        w->sizes[a].voxels += w->sizes[b].voxels;
    }
done:
    free(parent);
    return st;
}

/* ---- what became of it --------------------------------------------------------------------------------------- */

static int by_ends(const void *a, const void *b) {
    const exa_edge *x = a, *y = b;
    if (x->a != y->a) return x->a < y->a ? -1 : 1;
    return (x->b > y->b) - (x->b < y->b);
}

/* Tells the owners which of their candidates were refused. */
static exa_status return_refused(work *w) {
    size_t ranks = (size_t)exa_comm_size(), *counts = NULL, n = 0, received;
    exa_edge *out = NULL, *in = NULL;
    exa_status st = exa_calloc(ranks, sizeof *counts, "an exchange", &counts);

    if (st == EXA_OK) st = exa_alloc(w->contested_count, sizeof *out, "refused candidates", &out);
    EXA_GOTO(done, exa_comm_agree(st));
    for (size_t i = 0; i < w->contested_count; i++) {
        if (!w->contested[i].refused) continue;
        out[n++] = (exa_edge){w->contested[i].a, w->contested[i].b};
        counts[exa_union_tree_owner(w->first, (int)ranks, w->contested[i].a)]++;
    }
    if (n) qsort(out, n, sizeof *out, by_ends); /* by a, hence by owner */
    EXA_GOTO(done, exa_exchange(out, sizeof *out, counts, (void **)&in, &received));
    if (received) qsort(in, received, sizeof *in, by_ends);
    for (size_t i = 0; i < w->count && received; i++) {
        exa_candidate *c = &w->candidates[i];
        const exa_edge edge = {c->a, c->b};
        if (!c->joined || !bsearch(&edge, in, received, sizeof edge, by_ends)) continue;
        c->joined = false;
        c->refused = true;
    }
done:
    free(in);
    free(out);
    free(counts);
    return st;
}

static exa_status join_all(work *w) {
    exa_edge *edges = NULL;
    size_t n = 0;
    exa_status st;

    EXA_TRY(exa_comm_agree(exa_alloc(w->count, sizeof *edges, "joined candidates", &edges)));
    for (size_t i = 0; i < w->count; i++)
        if (w->candidates[i].joined) edges[n++] = (exa_edge){w->candidates[i].a, w->candidates[i].b};
    exa_mapping_destroy(w->mapping);
    st = exa_union_tree(edges, n, w->first, w->mapping, NULL);
    free(edges);
    return st;
}

static exa_status guard(work *w) {
    EXA_TRY(find_large(w));
    if (w->large_count == 0) return EXA_OK; /* the same on all ranks */
    EXA_TRY(gather_all(w));
    EXA_TRY(exa_comm_agree(decide(w)));
    EXA_TRY(return_refused(w));
    return join_all(w);
}

exa_status exa_agglomerate(exa_candidate *candidates, size_t count, const exa_segment *supervoxels,
                           size_t supervoxel_count, const exa_segid *first,
                           const exa_agglomeration_options *options, exa_mapping *mapping) {
    exa_mapping made = {0};
    work w = {.candidates = candidates,
              .count = count,
              .supervoxels = supervoxels,
              .supervoxel_count = supervoxel_count,
              .first = first,
              .options = options,
              .mapping = &made};
    exa_status st;

    for (size_t i = 0; i < count; i++) {
        candidates[i].joined = exa_candidate_passes(&candidates[i], &options->overlap);
        candidates[i].refused = false;
    }
    st = join_all(&w);
    if (st == EXA_OK && options->max_voxels > 0) st = guard(&w);
    free(w.large);
    free(w.contested);
    free(w.sizes);
    if (st == EXA_OK) {
        *mapping = made;
    } else {
        exa_mapping_destroy(&made);
    }
    return st;
}
