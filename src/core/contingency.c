/* A hash map with open addressing, read off in sorted order. */
#include "exaconn/contingency.h"

#include "exaconn/hash.h"

#include <stdlib.h>
#include <string.h>

struct exa_contingency {
    exa_contingency_pair *slots; /* owned; count 0 = free; capacity is a power of two, at most half full */
    size_t capacity, used;
};

enum { FIRST_CAPACITY = 4096 };

exa_status exa_contingency_create(exa_contingency **out) {
    exa_contingency *t;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *t, "a table of overlaps", &t));
    t->capacity = FIRST_CAPACITY;
    st = exa_calloc(t->capacity, sizeof *t->slots, "a table of overlaps", &t->slots);
    if (st != EXA_OK) {
        free(t);
        return st;
    }
    *out = t;
    return EXA_OK;
}

void exa_contingency_destroy(exa_contingency **table) {
    if (!*table) return;
    free((*table)->slots);
    free(*table);
    *table = NULL;
}

static exa_contingency_pair *find_slot(exa_contingency_pair *slots, size_t capacity, exa_segid a, exa_segid b) {
    size_t i = (size_t)exa_hash_u64(exa_hash_u64(a) + b) & (capacity - 1);
    while (slots[i].count && (slots[i].a != a || slots[i].b != b)) i = (i + 1) & (capacity - 1);
    return &slots[i];
}

static exa_status grow(exa_contingency *t) {
    size_t capacity = 2 * t->capacity;
    exa_contingency_pair *slots;

    EXA_TRY(exa_calloc(capacity, sizeof *slots, "a table of overlaps", &slots));
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slots[i].count) *find_slot(slots, capacity, t->slots[i].a, t->slots[i].b) = t->slots[i];
    free(t->slots);
    t->slots = slots;
    t->capacity = capacity;
    return EXA_OK;
}

exa_status exa_contingency_add(exa_contingency *t, exa_segid a, exa_segid b, uint64_t n) {
    exa_contingency_pair *slot = find_slot(t->slots, t->capacity, a, b);

    if (n == 0) return EXA_OK;
    if (slot->count == 0) {
        if (2 * (t->used + 1) > t->capacity) {
            EXA_TRY(grow(t));
            slot = find_slot(t->slots, t->capacity, a, b);
        }
        slot->a = a;
        slot->b = b;
        t->used++;
    }
    slot->count += n;
    return EXA_OK;
}

/* ---- sorted tables ------------------------------------------------------------------------------------------- */

static int by_label(const void *a, const void *b) {
    exa_segid x = ((const exa_contingency_total *)a)->label, y = ((const exa_contingency_total *)b)->label;
    return (x > y) - (x < y);
}

static int by_labels(const void *a, const void *b) {
    const exa_contingency_pair *p = a, *q = b;
    if (p->a != q->a) return p->a < q->a ? -1 : 1;
    return (p->b > q->b) - (p->b < q->b);
}

/* Sorts and adds up equal labels; returns how many are left. */
static size_t merge_totals(exa_contingency_total *totals, size_t n) {
    size_t kept = 0;

    qsort(totals, n, sizeof *totals, by_label);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && totals[kept - 1].label == totals[i].label) {
            totals[kept - 1].count += totals[i].count;
        } else {
            totals[kept++] = totals[i];
        }
    }
    return kept;
}

exa_status exa_contingency_tables_make(const exa_contingency *t, exa_contingency_tables *tables) {
    exa_contingency_tables made = {0};
    exa_status st = EXA_OK;
    size_t n = 0;

    EXA_GOTO(fail, exa_alloc(t->used, sizeof *made.pairs, "sorted overlaps", &made.pairs));
    EXA_GOTO(fail, exa_alloc(t->used, sizeof *made.of_a, "label sizes", &made.of_a));
    EXA_GOTO(fail, exa_alloc(t->used, sizeof *made.of_b, "label sizes", &made.of_b));
    for (size_t i = 0; i < t->capacity; i++)
        if (t->slots[i].count) made.pairs[n++] = t->slots[i];
    qsort(made.pairs, n, sizeof *made.pairs, by_labels);
    for (size_t i = 0; i < n; i++) {
        made.of_a[i] = (exa_contingency_total){made.pairs[i].a, made.pairs[i].count};
        made.of_b[i] = (exa_contingency_total){made.pairs[i].b, made.pairs[i].count};
    }
    made.pair_count = n;
    made.a_count = merge_totals(made.of_a, n);
    made.b_count = merge_totals(made.of_b, n);
    *tables = made;
    return EXA_OK;
fail:
    exa_contingency_tables_destroy(&made);
    return st;
}

void exa_contingency_tables_destroy(exa_contingency_tables *tables) {
    free(tables->pairs);
    free(tables->of_a);
    free(tables->of_b);
    memset(tables, 0, sizeof *tables);
}

const exa_contingency_total *exa_contingency_find(const exa_contingency_total *totals, size_t n, exa_segid label) {
    const exa_contingency_total key = {label, 0};

    return n ? bsearch(&key, totals, n, sizeof *totals, by_label) : NULL;
}

uint64_t exa_contingency_total_of(const exa_contingency_total *totals, size_t n, exa_segid label) {
    const exa_contingency_total *found = exa_contingency_find(totals, n, label);
    return found ? found->count : 0;
}
