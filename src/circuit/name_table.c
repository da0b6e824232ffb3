/* Open addressing over numbers; the text of all names is one block. */
#include "exaconn/name_table.h"

#include "exaconn/box.h"
#include "exaconn/hash.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(const char *name) {
    uint64_t h = 0xcbf29ce484222325u;

    for (; *name; name++) h = (h ^ (unsigned char)*name) * 0x100000001b3u;
    return exa_hash_u64(h);
}

static size_t slot_of(const exa_name_table *t, const char *name) {
    size_t i = hash_of(name) & (t->slots - 1);

    while (t->hash[i] && strcmp(exa_name_table_name(t, t->hash[i] - 1), name) != 0) i = (i + 1) & (t->slots - 1);
    return i;
}

uint32_t exa_name_table_find(const exa_name_table *t, const char *name) {
    size_t i;

    if (t->slots == 0) return EXA_NAME_ABSENT;
    i = slot_of(t, name);
    return t->hash[i] ? t->hash[i] - 1 : EXA_NAME_ABSENT;
}

static exa_status rehash(exa_name_table *t, size_t slots) {
    uint32_t *fresh;

    EXA_TRY(exa_calloc(slots, sizeof *fresh, "a table of names", &fresh));
    free(t->hash);
    t->hash = fresh;
    t->slots = slots;
    for (uint32_t k = 0; k < t->count; k++) t->hash[slot_of(t, exa_name_table_name(t, k))] = k + 1;
    return EXA_OK;
}

exa_status exa_name_table_add(exa_name_table *t, const char *name, uint32_t *number) {
    size_t length = strlen(name) + 1, i;

    if ((size_t)t->count * 2 >= t->slots) EXA_TRY(rehash(t, t->slots ? 2 * t->slots : 1024));
    i = slot_of(t, name);
    if (t->hash[i]) {
        *number = t->hash[i] - 1;
        return EXA_OK;
    }
    EXA_CHECK(t->count < UINT32_MAX - 1, EXA_ERR_UNSUPPORTED, "more than 2^32 names");
    EXA_TRY(exa_grow(&t->text, &t->text_room, 1, t->text_size + length, "names"));
    EXA_TRY(exa_grow(&t->at, &t->at_room, sizeof *t->at, (size_t)t->count + 1, "names"));
    memcpy(t->text + t->text_size, name, length);
    t->at[t->count] = t->text_size;
    t->text_size += length;
    *number = t->count++;
    t->hash[i] = *number + 1;
    return EXA_OK;
}

/* ---- order --------------------------------------------------------------------------------------------------- */

typedef struct ranked {
    const char *name;
    size_t length; /* of a whole number; 0 for other names */
    uint32_t number;
} ranked;

static size_t digits_of(const char *name) {
    size_t n = strspn(name, "0123456789");
    return name[n] == '\0' ? n : 0;
}

/* Ids have no leading zeros (edge_list.c), so more digits are a larger number. */
static int by_name(const void *a, const void *b) {
    const ranked *x = a, *y = b;
    if ((x->length > 0) != (y->length > 0)) return x->length ? -1 : 1;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return strcmp(x->name, y->name);
}

exa_status exa_name_table_sort(exa_name_table *t, uint32_t *new_number) {
    ranked *order = NULL;
    uint64_t *at = NULL;
    exa_status st;

    EXA_GOTO(done, exa_alloc(t->count, sizeof *order, "an order of names", &order));
    EXA_GOTO(done, exa_alloc(t->count, sizeof *at, "an order of names", &at));
    for (uint32_t k = 0; k < t->count; k++) {
        const char *name = exa_name_table_name(t, k);
        order[k] = (ranked){name, digits_of(name), k};
    }
    qsort(order, t->count, sizeof *order, by_name);
    for (uint32_t k = 0; k < t->count; k++) {
        at[k] = t->at[order[k].number];
        new_number[order[k].number] = k;
    }
    if (t->count) memcpy(t->at, at, t->count * sizeof *at);
    st = t->count ? rehash(t, t->slots) : EXA_OK;
done:
    free(order);
    free(at);
    return st;
}

void exa_name_table_destroy(exa_name_table *t) {
    free(t->text);
    free(t->at);
    free(t->hash);
    memset(t, 0, sizeof *t);
}
