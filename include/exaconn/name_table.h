/* Names and the numbers they have: whoever comes first gets 0, then 1, ... */
#ifndef EXACONN_NAME_TABLE_H
#define EXACONN_NAME_TABLE_H

#include "exaconn/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_NAME_ABSENT UINT32_MAX

typedef struct exa_name_table {
    char *text;     /* owned; the names one after the other, terminated */
    uint64_t *at;   /* owned; [count] where each begins */
    uint32_t *hash; /* owned; [slots] number + 1, 0 = free */
    size_t text_size, text_room, at_room, slots;
    uint32_t count;
} exa_name_table; /* starts zeroed */

uint32_t exa_name_table_find(const exa_name_table *t, const char *name); /* EXA_NAME_ABSENT if there is none */
exa_status exa_name_table_add(exa_name_table *t, const char *name, uint32_t *number); /* or the one it has */

static inline const char *exa_name_table_name(const exa_name_table *t, uint32_t number) {
    return t->text + t->at[number];
}

/* Gives numbers anew: whole numbers by value, then other names by their bytes; new_number has [count]. */
exa_status exa_name_table_sort(exa_name_table *t, uint32_t *new_number);

void exa_name_table_destroy(exa_name_table *t);

#ifdef __cplusplus
}
#endif
#endif
