/* Union-find over sparse ids. The slots of an open hash table are the nodes, so that a set is followed without
 * looking anything up: only the ids named by a caller are hashed. The larger id always points to the smaller; paths
 * are halved as they are walked, which alone keeps them short (Tarjan and van Leeuwen 1984). */
#include "exaconn/union_find.h"

#include "exaconn/hash.h"

#include <stdlib.h>
#include <string.h>

struct exa_union_find {
    exa_segid *id;    /* owned; 0 = free slot */
    uint32_t *parent; /* owned; slot, its own if it is a root */
    size_t capacity;  /* power of two, at most two thirds used */
    size_t used;
};

#define MOST_SLOTS ((size_t)1 << 32) /* a slot is named by 32 bits */

static exa_status allocate(exa_union_find *u, size_t capacity) {
    EXA_CHECK(capacity <= MOST_SLOTS, EXA_ERR_RANGE,
              "more than 2.8 billion supervoxels to be joined in one process. Hint: use more ranks");
    EXA_TRY(exa_calloc(capacity, sizeof *u->id, "the sets of supervoxels", &u->id));
    EXA_TRY(exa_alloc(capacity, sizeof *u->parent, "the sets of supervoxels", &u->parent));
    u->capacity = capacity;
    u->used = 0;
    return EXA_OK;
}

static void release(exa_union_find *u) {
    free(u->id);
    free(u->parent);
}

exa_status exa_union_find_create(size_t expected, exa_union_find **out) {
    exa_union_find *u = NULL;
    size_t capacity = 1024;
    exa_status st = EXA_OK;

    while (capacity < MOST_SLOTS && capacity / 3 * 2 < expected) capacity *= 2;
    EXA_TRY(exa_calloc(1, sizeof *u, "the sets of supervoxels", &u));
    EXA_GOTO(fail, allocate(u, capacity));
    *out = u;
    return EXA_OK;
fail:
    exa_union_find_destroy(&u);
    return st;
}

void exa_union_find_destroy(exa_union_find **sets) {
    if (!*sets) return;
    release(*sets);
    free(*sets);
    *sets = NULL;
}

/* The slot of `id`, or the free one where it belongs. */
static size_t slot_of(const exa_union_find *u, exa_segid id) {
    size_t i = (size_t)exa_hash_u64(id) & (u->capacity - 1);
    while (u->id[i] && u->id[i] != id) i = (i + 1) & (u->capacity - 1);
    return i;
}

static size_t insert(exa_union_find *u, exa_segid id) {
    size_t i = slot_of(u, id);

    if (u->id[i]) return i;
    u->id[i] = id;
    u->parent[i] = (uint32_t)i;
    u->used++;
    return i;
}

static size_t root_of(exa_union_find *u, size_t i) {
    while (u->parent[i] != i) {
        u->parent[i] = u->parent[u->parent[i]];
        i = u->parent[i];
    }
    return i;
}

/* The same sets in twice the slots. */
static exa_status grow(exa_union_find *u) {
    exa_union_find larger = {0};
    exa_status st = allocate(&larger, 2 * u->capacity);

    if (st != EXA_OK) {
        release(&larger);
        return st;
    }
    for (size_t i = 0; i < u->capacity; i++) {
        if (!u->id[i]) continue;
        size_t node = insert(&larger, u->id[i]), root = insert(&larger, u->id[root_of(u, i)]);
        larger.parent[node] = (uint32_t)root;
    }
    release(u);
    *u = larger;
    return EXA_OK;
}

exa_status exa_union_find_join(exa_union_find *u, exa_segid a, exa_segid b) {
    size_t root_a, root_b;

    EXA_CHECK(a != 0 && b != 0, EXA_ERR_RANGE, "supervoxel 0 is the background and belongs to nothing");
    if (u->used + 2 > u->capacity / 3 * 2) EXA_TRY(grow(u));
    root_a = root_of(u, insert(u, a));
    root_b = root_of(u, insert(u, b));
    if (u->id[root_a] < u->id[root_b]) {
        u->parent[root_b] = (uint32_t)root_a;
    } else {
        u->parent[root_a] = (uint32_t)root_b;
    }
    return EXA_OK;
}

exa_segid exa_union_find_root(exa_union_find *u, exa_segid id) {
    size_t i = slot_of(u, id);
    return u->id[i] ? u->id[root_of(u, i)] : id;
}

/* ---- mapping ------------------------------------------------------------------------------------------------- */

exa_status exa_union_find_mapping(exa_union_find *u, exa_mapping *mapping) {
    exa_mapping m = {0};
    exa_status st = EXA_OK;

    EXA_GOTO(fail, exa_alloc(u->used, sizeof *m.id, "the mapping of supervoxels", &m.id));
    EXA_GOTO(fail, exa_alloc(u->used, sizeof *m.root, "the mapping of supervoxels", &m.root));
    for (size_t i = 0; i < u->capacity; i++) {
        if (u->id[i]) m.id[m.count++] = u->id[i];
    }
    qsort(m.id, m.count, sizeof *m.id, exa_segid_order);
    for (size_t i = 0; i < m.count; i++) m.root[i] = exa_union_find_root(u, m.id[i]);
    *mapping = m;
    return EXA_OK;
fail:
    exa_mapping_destroy(&m);
    return st;
}

void exa_mapping_destroy(exa_mapping *mapping) {
    free(mapping->id);
    free(mapping->root);
    memset(mapping, 0, sizeof *mapping);
}

exa_segid exa_mapping_root(const exa_mapping *m, exa_segid id) {
    const exa_segid *found = m->count ? bsearch(&id, m->id, m->count, sizeof *m->id, exa_segid_order) : NULL;
    return found ? m->root[found - m->id] : id;
}
