/* How often each pair of labels of two segmentations meets: the sparse contingency table that scores and stitching
 * are made from. Voxels are counted in any order and any pieces; what is read off is sorted, so it depends on the
 * counts alone. Memory: about 50 bytes for each different pair. One thread at a time.
 */
#ifndef EXACONN_CONTINGENCY_H
#define EXACONN_CONTINGENCY_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_contingency exa_contingency;

typedef struct exa_contingency_pair {
    exa_segid a, b;
    uint64_t count; /* voxels */
} exa_contingency_pair;

typedef struct exa_contingency_total {
    exa_segid label;
    uint64_t count; /* voxels */
} exa_contingency_total;

/* All arrays are owned. */
typedef struct exa_contingency_tables {
    exa_contingency_pair *pairs; /* sorted by a, then b */
    exa_contingency_total *of_a; /* of the labels of a, sorted */
    exa_contingency_total *of_b; /* of the labels of b, sorted */
    size_t pair_count, a_count, b_count;
} exa_contingency_tables;

exa_status exa_contingency_create(exa_contingency **out);
void exa_contingency_destroy(exa_contingency **table);

/* Counts `n` voxels that have label a in one and b in the other. */
exa_status exa_contingency_add(exa_contingency *table, exa_segid a, exa_segid b, uint64_t n);

exa_status exa_contingency_tables_make(const exa_contingency *table, exa_contingency_tables *tables);
void exa_contingency_tables_destroy(exa_contingency_tables *tables);

/* The entry of `label` in sorted totals; NULL if it is not there. */
const exa_contingency_total *exa_contingency_find(const exa_contingency_total *totals, size_t n, exa_segid label);

/* The count of `label` in sorted totals; 0 if it is not there. */
uint64_t exa_contingency_total_of(const exa_contingency_total *totals, size_t n, exa_segid label);

#ifdef __cplusplus
}
#endif
#endif
