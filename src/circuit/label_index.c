/* An open-addressing table from ids to numbers; runs of one id are looked up once. */
#include "exaconn/label_index.h"

#include "exaconn/contact_row.h"
#include "exaconn/hash.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_SLOTS = 1 << 12, BLOCK = 2048 /* ids whose runs are found at once */ };

struct exa_label_index {
    exa_isa isa;
    uint32_t *slot; /* owned; number of the id that hashes there; 0 = free */
    size_t slots;   /* a power of two, at least twice the numbers */
    exa_segid *ids; /* owned; [0] = 0 */
    size_t count, capacity;
};

exa_status exa_label_index_create(exa_isa isa, exa_label_index **out) {
    exa_label_index *x;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *x, "an index of labels", &x));
    x->isa = isa;
    x->slots = FIRST_SLOTS;
    EXA_GOTO(done, exa_calloc(x->slots, sizeof *x->slot, "an index of labels", &x->slot));
    EXA_GOTO(done, exa_grow(&x->ids, &x->capacity, sizeof *x->ids, 1, "an index of labels"));
    x->ids[0] = 0;
    x->count = 1;
    *out = x;
    x = NULL;
done:
    exa_label_index_destroy(&x);
    return st;
}

void exa_label_index_destroy(exa_label_index **index) {
    exa_label_index *x = *index;

    if (!x) return;
    free(x->slot);
    free(x->ids);
    free(x);
    *index = NULL;
}

void exa_label_index_clear(exa_label_index *x) {
    memset(x->slot, 0, x->slots * sizeof *x->slot);
    x->count = 1;
}

/* The slot of the id, or the free one where it belongs. */
static size_t find(const exa_label_index *x, exa_segid id) {
    size_t s = (size_t)exa_hash_u64(id) & (x->slots - 1);

    while (x->slot[s] && x->ids[x->slot[s]] != id) s = (s + 1) & (x->slots - 1);
    return s;
}

static exa_status widen(exa_label_index *x) {
    uint32_t *slot;

    EXA_TRY(exa_calloc(2 * x->slots, sizeof *slot, "an index of labels", &slot));
    free(x->slot);
    x->slot = slot;
    x->slots *= 2;
    for (size_t i = 1; i < x->count; i++) x->slot[find(x, x->ids[i])] = (uint32_t)i;
    return EXA_OK;
}

static exa_status number_of(exa_label_index *x, exa_segid id, uint32_t *number) {
    size_t s;

    *number = 0;
    if (id == 0) return EXA_OK;
    s = find(x, id);
    if (!x->slot[s]) {
        EXA_CHECK(x->count < INT32_MAX, EXA_ERR_RANGE,
                  "a chunk has more than 2^31 segments. Hint: use smaller chunks");
        EXA_TRY(exa_grow(&x->ids, &x->capacity, sizeof *x->ids, x->count + 1, "an index of labels"));
        if (2 * x->count >= x->slots) {
            EXA_TRY(widen(x));
            s = find(x, id);
        }
        x->ids[x->count] = id;
        x->slot[s] = (uint32_t)x->count++;
    }
    *number = x->slot[s];
    return EXA_OK;
}

static exa_status apply_run(exa_label_index *x, const exa_segid *ids, size_t begin, size_t end, uint32_t *numbers) {
    uint32_t number;

    EXA_TRY(number_of(x, ids[begin], &number));
    for (size_t i = begin; i < end; i++) numbers[i] = number;
    return EXA_OK;
}

static exa_status apply_block(exa_label_index *x, const exa_segid *ids, size_t n, uint32_t *numbers) {
    uint64_t bits[EXA_CONTACT_ROW_WORDS(BLOCK)];
    size_t begin = 0;

    exa_contact_row_change(x->isa, ids, n, bits);
    for (size_t w = 0; w < EXA_CONTACT_ROW_WORDS(n); w++) {
        for (uint64_t left = bits[w]; left; left &= left - 1) {
            size_t end = 64 * w + (size_t)__builtin_ctzll(left);
            EXA_TRY(apply_run(x, ids, begin, end, numbers));
            begin = end;
        }
    }
    return apply_run(x, ids, begin, n, numbers);
}

exa_status exa_label_index_apply(exa_label_index *x, const exa_segid *ids, size_t n, uint32_t *numbers) {
    for (size_t i = 0; i < n; i += BLOCK)
        EXA_TRY(apply_block(x, ids + i, n - i < BLOCK ? n - i : BLOCK, numbers + i));
    return EXA_OK;
}

const exa_segid *exa_label_index_ids(const exa_label_index *x, size_t *count) {
    *count = x->count;
    return x->ids;
}
