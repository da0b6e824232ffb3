/* The tree of exaconn/union_tree.h.
 *
 *   level 1     0 <- 1      2 <- 3      4 <- 5      6        rank r - s receives from rank r when r mod 2s = s,
 *   level 2     0 <------- 2            4 <------- 6         s = 1, 2, 4, ...; then it stands for the range of both
 *   level 4     0 <-------------------- 4
 *
 * What goes up are records (mine, root, other): an edge from `mine`, whose set is called `root` so far, to `other`
 * outside the range. Both ends of an edge send one, so that where the two ranges become one, both roots are known.
 * Each rank keeps a single union-find for all it learns on the way up; on the way down it learns the final names of
 * the roots it sent, and can tell its children.
 *
 * A rank that fails keeps to the protocol with empty messages that carry its status, so that nobody waits for ever.
 */
#include "exaconn/union_tree.h"

#include "exaconn/comm_mpi.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct record {
    exa_segid mine, root, other;
} record;

typedef struct list {
    void *items; /* owned */
    size_t count;
} list;

#define MOST_LEVELS 32

typedef struct tree {
    int rank, size;
    const exa_segid *first;
    exa_union_find *sets; /* owned */
    list carried;         /* records that lead out of the range so far; their roots are set when they are sent */
    list roots;           /* ids: the different roots sent to the parent, sorted */
    struct {
        int rank;
        list roots; /* ids: the different roots that it sent, sorted */
    } child[MOST_LEVELS];
    int children;
    int parent; /* -1 at the top */
    exa_union_tree_counters counters;
} tree;

enum { TAG = 7301, MOST_ITEMS = 1 << 26 };

static void release_list(list *l) {
    free(l->items);
    *l = (list){0};
}

int exa_union_tree_owner(const exa_segid *first, int ranks, exa_segid id) {
    int low = 0, high = ranks - 1;

    while (low < high) {
        int middle = (low + high + 1) / 2;
        if (first[middle] <= id) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static int owner_of(const tree *t, exa_segid id) {
    return exa_union_tree_owner(t->first, t->size, id);
}

/* ---- edges to their owners ----------------------------------------------------------------------------------- */

static exa_status check_edges(const tree *t, const exa_edge *edges, size_t count) {
    exa_segid least = t->first[0], end = t->first[t->size];

    for (size_t i = 0; i < count; i++) {
        exa_segid low = edges[i].a < edges[i].b ? edges[i].a : edges[i].b;
        exa_segid high = edges[i].a < edges[i].b ? edges[i].b : edges[i].a;
        EXA_CHECK(low != 0 && low >= least && high < end, EXA_ERR_RANGE,
                  "an edge joins supervoxels %llu and %llu, but ids go from %llu to below %llu",
                  (unsigned long long)edges[i].a, (unsigned long long)edges[i].b, (unsigned long long)least,
                  (unsigned long long)end);
    }
    return EXA_OK;
}

/* Puts a copy of each edge for each of its owners in order of rank; counts[rank] of them. */
static exa_status sort_by_owner(const tree *t, const exa_edge *edges, size_t count, int *counts, list *sorted) {
    size_t *next = NULL, total = 0;
    exa_edge *out = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc((size_t)t->size + 1, sizeof *next, "edges per rank", &next));
    for (int pass = 0; pass < 2; pass++) { /* count, then place */
        for (size_t i = 0; i < count; i++) {
            int a = owner_of(t, edges[i].a), b = owner_of(t, edges[i].b);
            if (pass == 1) out[next[a]] = edges[i];
            next[a]++;
            if (a == b) continue;
            if (pass == 1) out[next[b]] = edges[i];
            next[b]++;
        }
        if (pass == 1) break;
        for (int r = 0; r < t->size; r++) {
            size_t n = next[r];
            counts[r] = (int)n;
            next[r] = total;
            total += n;
        }
        EXA_CHECK_GOTO(done, total <= INT32_MAX, EXA_ERR_RANGE,
                       "%zu edges on one rank are too many. Hint: use more ranks", total);
        EXA_GOTO(done, exa_alloc(total, sizeof *out, "edges to be sent", &out));
    }
    *sorted = (list){out, total};
done:
    free(next);
    return st;
}

static exa_status displace(const int *counts, int n, int *displacements, size_t *total) {
    *total = 0;
    for (int r = 0; r < n; r++) {
        displacements[r] = (int)*total;
        *total += (size_t)counts[r];
        EXA_CHECK(*total <= INT32_MAX, EXA_ERR_RANGE, "%zu edges for one rank are too many. Hint: use more ranks",
                  *total);
    }
    return EXA_OK;
}

/* Collective: sends `mine`, grouped by rank, and gets what the others have for this rank. */
static exa_status swap_edges(const tree *t, const list *mine, int *counts, list *theirs) {
    size_t n = (size_t)t->size, total;
    int *sent_at = counts + n, *incoming = counts + 2 * n, *received_at = counts + 3 * n;
    MPI_Datatype edge;
    exa_status st;

    MPI_Alltoall(counts, 1, MPI_INT, incoming, 1, MPI_INT, exa_comm_mpi());
    st = displace(counts, t->size, sent_at, &total);
    if (st == EXA_OK) st = displace(incoming, t->size, received_at, &total);
    if (st == EXA_OK) st = exa_alloc(total, sizeof(exa_edge), "edges from other ranks", &theirs->items);
    EXA_TRY(exa_comm_agree(st));
    MPI_Type_contiguous(2, MPI_UINT64_T, &edge);
    MPI_Type_commit(&edge);
    MPI_Alltoallv(mine->items, counts, sent_at, edge, theirs->items, incoming, received_at, edge, exa_comm_mpi());
    MPI_Type_free(&edge);
    theirs->count = total;
    return EXA_OK;
}

/* Collective: every edge comes to the owners of its ends. */
static exa_status route(tree *t, const exa_edge *edges, size_t count, list *routed) {
    list sorted = {0};
    int *counts = NULL; /* sent and where, received and where */
    exa_status st = check_edges(t, edges, count);

    if (st == EXA_OK) st = exa_calloc(4 * (size_t)t->size, sizeof *counts, "edges per rank", &counts);
    if (st == EXA_OK) st = sort_by_owner(t, edges, count, counts, &sorted);
    st = exa_comm_agree(st);
    if (st == EXA_OK && t->size > 1) {
        st = swap_edges(t, &sorted, counts, routed);
    } else if (st == EXA_OK) {
        *routed = sorted;
        sorted.items = NULL;
    }
    release_list(&sorted);
    free(counts);
    return st;
}

/* ---- records ------------------------------------------------------------------------------------------------- */

/* Joins the edges inside the range and keeps the others as records. */
static exa_status begin(tree *t, const list *routed) {
    const exa_edge *edges = routed->items;
    record *kept;

    t->counters.edges = routed->count;
    EXA_TRY(exa_union_find_create(0, &t->sets));
    EXA_TRY(exa_alloc(routed->count, sizeof *kept, "edges to other ranks", &kept));
    t->carried.items = kept;
    for (size_t i = 0; i < routed->count; i++) {
        bool a = owner_of(t, edges[i].a) == t->rank, b = owner_of(t, edges[i].b) == t->rank;
        if (a && b) {
            EXA_TRY(exa_union_find_join(t->sets, edges[i].a, edges[i].b));
        } else {
            kept[t->carried.count++] = a ? (record){.mine = edges[i].a, .other = edges[i].b}
                                         : (record){.mine = edges[i].b, .other = edges[i].a};
        }
    }
    return EXA_OK;
}

/* The different roots of records, sorted. Both ends of a message make the same list from it. */
static exa_status list_roots(const list *records, list *roots) {
    const record *r = records->items;
    exa_segid *ids = NULL;
    size_t kept = 0;

    EXA_TRY(exa_alloc(records->count, sizeof *ids, "supervoxels at the surface", &ids));
    for (size_t i = 0; i < records->count; i++) ids[i] = r[i].root;
    if (records->count) qsort(ids, records->count, sizeof *ids, exa_segid_order);
    for (size_t i = 0; i < records->count; i++) {
        if (i == 0 || ids[i] != ids[kept - 1]) ids[kept++] = ids[i];
    }
    *roots = (list){ids, kept};
    return EXA_OK;
}

/* Takes what a child sent and makes one range of ranks [rank, end) of both. */
static exa_status absorb(tree *t, const list *records, int end) {
    const record *r = records->items;
    size_t n = t->carried.count, kept = 0;
    record *all;

    EXA_TRY(exa_alloc(n + records->count, sizeof *all, "edges to other ranks", &all));
    if (n) memcpy(all, t->carried.items, n * sizeof *all);
    release_list(&t->carried);
    t->carried.items = all;
    for (size_t i = 0; i < records->count; i++) {
        EXA_TRY(exa_union_find_join(t->sets, r[i].mine, r[i].root));
        all[n++] = r[i];
    }
    for (size_t i = 0; i < n; i++) {
        int owner = owner_of(t, all[i].other);
        if (owner >= t->rank && owner < end) {
            EXA_TRY(exa_union_find_join(t->sets, all[i].mine, all[i].other));
        } else {
            all[kept++] = all[i];
        }
    }
    t->carried.count = kept;
    return EXA_OK;
}

/* ---- messages ------------------------------------------------------------------------------------------------ */

/* First a count and a status, then the items in pieces. */
static void send_list(const list *l, int words, exa_status st, int to) {
    uint64_t head[2] = {st == EXA_OK ? l->count : 0, (uint64_t)st};
    const uint64_t *at = l->items;

    MPI_Send(head, 2, MPI_UINT64_T, to, TAG, exa_comm_mpi());
    for (size_t left = (size_t)head[0] * (size_t)words; left > 0;) {
        int n = left < MOST_ITEMS ? (int)left : MOST_ITEMS;
        MPI_Send(at, n, MPI_UINT64_T, to, TAG, exa_comm_mpi());
        at += n;
        left -= (size_t)n;
    }
}

/* The memory for what comes must be there: a message once begun is received to its end, so without it the process
 * gives up. */
static exa_status receive_list(list *l, int words, int from) {
    uint64_t head[2], *at;
    exa_status st;

    MPI_Recv(head, 2, MPI_UINT64_T, from, TAG, exa_comm_mpi(), MPI_STATUS_IGNORE);
    st = exa_alloc((size_t)head[0], (size_t)words * sizeof *at, "supervoxels from another rank", &at);
    if (st != EXA_OK) {
        fprintf(stderr, "exaconn: %s\n", exa_error_last()->message);
        MPI_Abort(exa_comm_mpi(), 1);
    }
    *l = (list){at, (size_t)head[0]};
    for (size_t left = l->count * (size_t)words; left > 0;) {
        int n = left < MOST_ITEMS ? (int)left : MOST_ITEMS;
        MPI_Recv(at, n, MPI_UINT64_T, from, TAG, exa_comm_mpi(), MPI_STATUS_IGNORE);
        at += n;
        left -= (size_t)n;
    }
    EXA_CHECK(head[1] == EXA_OK, (exa_status)head[1], "rank %d failed; its own message says why", from);
    return EXA_OK;
}

/* ---- up and down --------------------------------------------------------------------------------------------- */

/* Names what leads out of the range as it is known here, and gives it to the parent. */
static exa_status hand_up(tree *t, exa_status st) {
    record *r = t->carried.items;

    if (st == EXA_OK) {
        for (size_t i = 0; i < t->carried.count; i++) r[i].root = exa_union_find_root(t->sets, r[i].mine);
        st = list_roots(&t->carried, &t->roots);
    }
    send_list(&t->carried, 3, st, t->parent);
    t->counters.sent = t->carried.count;
    release_list(&t->carried);
    return st;
}

static exa_status take_from_child(tree *t, int child, int end, exa_status st) {
    list records = {0};
    exa_status got = receive_list(&records, 3, child);

    if (st == EXA_OK) st = got;
    t->counters.received += records.count;
    t->child[t->children].rank = child;
    if (st == EXA_OK) st = list_roots(&records, &t->child[t->children].roots);
    if (st == EXA_OK) st = absorb(t, &records, end);
    t->children++;
    release_list(&records);
    return st;
}

static exa_status go_up(tree *t, exa_status st) {
    t->parent = -1;
    for (int s = 1; s < t->size; s *= 2) {
        int end = t->rank + 2 * s < t->size ? t->rank + 2 * s : t->size;
        if (t->rank % (2 * s) == s) {
            t->parent = t->rank - s;
            return hand_up(t, st);
        }
        if (t->rank + s < t->size) st = take_from_child(t, t->rank + s, end, st);
    }
    return st;
}

/* The final names of the roots that were sent. */
static exa_status learn(tree *t, exa_status st) {
    const exa_segid *sent = t->roots.items, *final;
    list names = {0};
    exa_status got = receive_list(&names, 1, t->parent);

    if (st == EXA_OK) st = got;
    final = names.items;
    for (size_t i = 0; st == EXA_OK && i < names.count; i++) st = exa_union_find_join(t->sets, sent[i], final[i]);
    release_list(&names);
    return st;
}

static exa_status go_down(tree *t, exa_status st) {
    if (t->parent >= 0) st = learn(t, st);
    for (int c = t->children - 1; c >= 0; c--) {
        list *roots = &t->child[c].roots;
        exa_segid *ids = roots->items;
        for (size_t i = 0; st == EXA_OK && i < roots->count; i++) ids[i] = exa_union_find_root(t->sets, ids[i]);
        send_list(roots, 1, st, t->child[c].rank);
        release_list(roots);
    }
    return st;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* Leaves of a mapping the ids that this rank owns. */
static void keep_own(const tree *t, exa_mapping *m) {
    size_t kept = 0;

    for (size_t i = 0; i < m->count; i++) {
        if (m->id[i] < t->first[t->rank] || m->id[i] >= t->first[t->rank + 1]) continue;
        m->id[kept] = m->id[i];
        m->root[kept++] = m->root[i];
    }
    m->count = kept;
}

exa_status exa_union_tree(const exa_edge *edges, size_t count, const exa_segid *first, exa_mapping *mapping,
                          exa_union_tree_counters *counters) {
    tree t = {.rank = exa_comm_rank(), .size = exa_comm_size(), .first = first};
    list routed = {0};
    exa_mapping made = {0};
    exa_status st;

    st = route(&t, edges, count, &routed);
    if (st != EXA_OK) { /* on all ranks */
        release_list(&routed);
        return st;
    }
    st = begin(&t, &routed);
    release_list(&routed);
    st = go_up(&t, st);
    st = go_down(&t, st);
    if (st == EXA_OK) st = exa_union_find_mapping(t.sets, &made);
    exa_union_find_destroy(&t.sets);
    release_list(&t.carried);
    release_list(&t.roots);
    st = exa_comm_agree(st);
    if (st != EXA_OK) {
        exa_mapping_destroy(&made);
        return st;
    }
    keep_own(&t, &made);
    *mapping = made;
    if (counters) *counters = t.counters;
    return EXA_OK;
}
