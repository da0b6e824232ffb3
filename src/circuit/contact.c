/* Faces counted row by row: a bit for each (exaconn/contact_row.h), then runs of faces of the same pair. */
#include "exaconn/contact.h"

#include "exaconn/contact_row.h"
#include "exaconn/hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1 << 10 };

typedef struct pair {
    uint64_t key; /* smaller label << 32 | larger one; 0 = free */
    uint64_t faces[3];
} pair;

/* Counts by pair of labels, in an open-addressing table. */
typedef struct pairs {
    pair *slot;              /* owned */
    size_t slots, count;     /* slots: a power of two, at least twice the count */
    uint32_t last_a, last_b; /* the pair met last */
    pair *last;              /* borrowed from slot */
} pairs;

static uint64_t key_of(uint32_t a, uint32_t b) {
    return a < b ? (uint64_t)a << 32 | b : (uint64_t)b << 32 | a;
}

static pair *find(const pairs *p, uint64_t key) {
    size_t s = (size_t)exa_hash_u64(key) & (p->slots - 1);

    while (p->slot[s].key && p->slot[s].key != key) s = (s + 1) & (p->slots - 1);
    return &p->slot[s];
}

static exa_status widen(pairs *p) {
    pairs larger = {.slots = 2 * p->slots, .count = p->count};

    EXA_TRY(exa_calloc(larger.slots, sizeof *larger.slot, "pairs of segments", &larger.slot));
    for (size_t s = 0; s < p->slots; s++)
        if (p->slot[s].key) *find(&larger, p->slot[s].key) = p->slot[s];
    free(p->slot);
    *p = larger;
    return EXA_OK;
}

/* Makes the pair the last one. */
static exa_status turn_to(pairs *p, uint32_t a, uint32_t b) {
    const uint64_t key = key_of(a, b);

    if (2 * p->count >= p->slots) EXA_TRY(widen(p));
    p->last = find(p, key);
    p->count += p->last->key == 0;
    p->last->key = key;
    p->last_a = a;
    p->last_b = b;
    return EXA_OK;
}

static exa_status count_row(pairs *p, const uint64_t *bits, size_t words, const uint32_t *a, const uint32_t *b,
                            int axis) {
    for (size_t w = 0; w < words; w++) {
        for (uint64_t left = bits[w]; left; left &= left - 1) {
            size_t i = 64 * w + (size_t)__builtin_ctzll(left);
            if (a[i] != p->last_a || b[i] != p->last_b) EXA_TRY(turn_to(p, a[i], b[i]));
            p->last->faces[axis]++;
        }
    }
    return EXA_OK;
}

static exa_status count_core(const exa_contact_chunk *c, pairs *p, uint64_t *bits) {
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
                exa_contact_row(c->isa, row, row + step[axis], n[axis], bits);
                EXA_TRY(count_row(p, bits, EXA_CONTACT_ROW_WORDS(n[axis]), row, row + step[axis], axis));
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
    size_t n = 0;

    EXA_TRY(exa_alloc(p->count, sizeof *made, "the contacts of a chunk", &made));
    for (size_t s = 0; s < p->slots; s++) {
        const pair *from = &p->slot[s];
        exa_segid a = ids[from->key >> 32], b = ids[(uint32_t)from->key];
        if (!from->key) continue;
        made[n] = (exa_contact){.a = a < b ? a : b, .b = a < b ? b : a};
        memcpy(made[n++].faces, from->faces, sizeof from->faces);
    }
    if (n) qsort(made, n, sizeof *made, by_pair);
    *list = made;
    *count = n;
    return EXA_OK;
}

exa_status exa_contact_count(const exa_contact_chunk *chunk, exa_contact **list, size_t *count) {
    pairs p = {.slots = FIRST_SLOTS};
    uint64_t *bits = NULL;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc(p.slots, sizeof *p.slot, "pairs of segments", &p.slot));
    EXA_GOTO(done, exa_alloc(EXA_CONTACT_ROW_WORDS((size_t)chunk->box.shape[2]), sizeof *bits, "a row", &bits));
    EXA_GOTO(done, count_core(chunk, &p, bits));
    st = take_list(&p, chunk->ids, list, count);
done:
    free(p.slot);
    free(bits);
    return st;
}

double exa_contact_area(const uint64_t faces[3], const double size[3]) {
    return (double)faces[0] * (size[1] * size[2]) + (double)faces[1] * (size[0] * size[2]) +
           (double)faces[2] * (size[0] * size[1]);
}
