/* Faces counted row by row: where they are (exaconn/contact_row.h), then which pairs are there. */
#include "exaconn/contact.h"

#include "exaconn/contact_row.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1 << 10, CACHED = 1 << 10 };

/* Counts by pair of labels: an open-addressing table of numbers of pairs, and in front of it a small cache, in
 * which nearly every face finds its pair at once. */
typedef struct pairs {
    uint32_t *slot; /* owned; number of a pair; 0 = free */
    size_t slots;   /* a power of two, at least twice the count */
    uint64_t *key;  /* owned; by number: smaller label << 32 | larger one; [0] is unused */
    uint64_t (*faces)[3];
    size_t count, key_capacity, faces_capacity;
    uint64_t cached_key[CACHED]; /* as the labels were met, in any order; 0 = none */
    uint32_t cached[CACHED];
} pairs;

/* Fibonacci hashing. */
static size_t find(const pairs *p, uint64_t key) {
    size_t s = (size_t)(key * 0x9E3779B97F4A7C15u >> 32) & (p->slots - 1);

    while (p->slot[s] && p->key[p->slot[s]] != key) s = (s + 1) & (p->slots - 1);
    return s;
}

static exa_status widen(pairs *p) {
    uint32_t *slot;

    EXA_TRY(exa_calloc(2 * p->slots, sizeof *slot, "pairs of segments", &slot));
    free(p->slot);
    p->slot = slot;
    p->slots *= 2;
    for (size_t i = 1; i < p->count; i++) p->slot[find(p, p->key[i])] = (uint32_t)i;
    return EXA_OK;
}

static exa_status add_pair(pairs *p, uint64_t key) {
    EXA_CHECK(p->count < UINT32_MAX, EXA_ERR_RANGE,
              "a chunk has more than 2^32 pairs of segments. Hint: use smaller chunks");
    EXA_TRY(exa_grow(&p->key, &p->key_capacity, sizeof *p->key, p->count + 1, "pairs of segments"));
    EXA_TRY(exa_grow(&p->faces, &p->faces_capacity, sizeof *p->faces, p->count + 1, "pairs of segments"));
    memset(p->faces[p->count], 0, sizeof *p->faces);
    p->key[p->count++] = key;
    return EXA_OK;
}

/* What the cache does not have. */
static exa_status look_up(pairs *p, uint32_t a, uint32_t b, size_t cell) {
    const uint64_t key = a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
    size_t s = find(p, key);

    if (!p->slot[s]) {
        if (2 * p->count >= p->slots) {
            EXA_TRY(widen(p));
            s = find(p, key);
        }
        EXA_TRY(add_pair(p, key));
        p->slot[s] = (uint32_t)(p->count - 1);
    }
    p->cached_key[cell] = (uint64_t)a << 32 | b;
    p->cached[cell] = p->slot[s];
    return EXA_OK;
}

static exa_status count_row(pairs *p, const uint32_t *at, size_t n, const uint32_t *a, const uint32_t *b,
                            int axis) {
    for (size_t k = 0; k < n; k++) {
        const uint32_t p1 = a[at[k]], p2 = b[at[k]];
        const size_t cell = (p1 * 0x9E3779B1u + p2 * 0x85EBCA77u) >> 22;
        if (p->cached_key[cell] != ((uint64_t)p1 << 32 | p2)) EXA_TRY(look_up(p, p1, p2, cell));
        p->faces[p->cached[cell]][axis]++;
    }
    return EXA_OK;
}

static exa_status count_core(const exa_contact_chunk *c, pairs *p, uint32_t *at) {
    const exa_coord *shape = c->box.shape, *core = c->core.shape;
    const size_t step[3] = {(size_t)(shape[1] * shape[2]), (size_t)shape[2], 1};
    const size_t along = (size_t)(core[2] < shape[2] ? core[2] : core[2] - 1); /* faces across x in a row */

    for (exa_coord z = 0; z < core[0]; z++) {
        for (exa_coord y = 0; y < core[1]; y++) {
            const uint32_t *row = c->labels + (size_t)z * step[0] + (size_t)y * step[1];
            const size_t n[3] = {z + 1 < shape[0] ? (size_t)core[2] : 0, y + 1 < shape[1] ? (size_t)core[2] : 0,
                                 along};
            for (int axis = 0; axis < 3; axis++) {
                if (n[axis] == 0) continue;
                EXA_TRY(count_row(p, at, exa_contact_row_list(c->isa, row, row + step[axis], n[axis], at), row,
                                  row + step[axis], axis));
            }
        }
    }
    return EXA_OK;
}

static int by_pair(const void *a, const void *b) {
    const exa_contact *p = a, *q = b;

    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

static exa_status take_list(const pairs *p, const exa_segid *ids, exa_contact **list, size_t *count) {
    exa_contact *made;

    EXA_TRY(exa_alloc(p->count, sizeof *made, "the contacts of a chunk", &made));
    for (size_t i = 1; i < p->count; i++) {
        exa_segid a = ids[p->key[i] >> 32], b = ids[(uint32_t)p->key[i]];
        made[i - 1] = (exa_contact){.a = a < b ? a : b, .b = a < b ? b : a};
        memcpy(made[i - 1].faces, p->faces[i], sizeof p->faces[i]);
    }
    *count = p->count - 1;
    if (*count) qsort(made, *count, sizeof *made, by_pair);
    *list = made;
    return EXA_OK;
}

exa_status exa_contact_count(const exa_contact_chunk *chunk, exa_contact **list, size_t *count) {
    pairs *p = NULL;
    uint32_t *at = NULL;
    exa_status st;

    EXA_GOTO(done, exa_calloc(1, sizeof *p, "pairs of segments", &p));
    p->slots = FIRST_SLOTS;
    EXA_GOTO(done, exa_calloc(p->slots, sizeof *p->slot, "pairs of segments", &p->slot));
    EXA_GOTO(done, add_pair(p, 0)); /* number 0: none */
    EXA_GOTO(done, exa_alloc((size_t)chunk->box.shape[2] + 64, sizeof *at, "a row", &at));
    EXA_GOTO(done, count_core(chunk, p, at));
    st = take_list(p, chunk->ids, list, count);
done:
    if (p) {
        free(p->slot);
        free(p->key);
        free(p->faces);
    }
    free(p);
    free(at);
    return st;
}

double exa_contact_area(const uint64_t faces[3], const double size[3]) {
    return (double)faces[0] * (size[1] * size[2]) + (double)faces[1] * (size[0] * size[2]) +
           (double)faces[2] * (size[0] * size[1]);
}
