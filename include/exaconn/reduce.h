/* Records moved among the ranks, and sums of them by key.
 *
 * A record is any plain struct of a fixed size. For exa_reduce_by_key it begins with its key, one uint64 or two:
 * the neuron a statistic belongs to, the pair a connection joins. What is summed merges in the node first, so that
 * each node sends a key once; then every rank gets its range of keys. No rank ever holds the whole, and the records
 * of rank 0, 1, ... one after the other are sorted by key. As combining is associative and commutative (integers,
 * minima, maxima), the result is the same for any number of ranks and nodes.
 */
#ifndef EXACONN_REDUCE_H
#define EXACONN_REDUCE_H

#include "exaconn/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_reduction {
    size_t size;                                /* bytes of a record, key included */
    void (*combine)(void *into, const void *r); /* of the same key; must be associative and commutative */
    int ranks_per_node;                         /* 0 = as the machine is; else pretended, for tests */
    int key_words;                              /* uint64 in a key, the first one first: 1 or 2; 0 = 1 */
} exa_reduction;

/* Sums the records of all ranks by key. *records (malloc'd, *count of them, in any order, a key any number of
 * times) is replaced by this rank's share of the result, sorted; free() it. On failure *records is freed and NULL.
 * Collective. */
exa_status exa_reduce_by_key(const exa_reduction *reduction, void **records, size_t *count);

/* Sends counts[r] records, which follow each other in `records`, to each rank r; *received (transferred, free() it)
 * holds what was sent to this one, in order of the senders. Collective. */
exa_status exa_exchange(const void *records, size_t size, const size_t *counts, void **received,
                        size_t *received_count);

/* Sums in place of `count` numbers over all ranks. Collective. */
exa_status exa_sum_all(uint64_t *values, size_t count);

/* The largest of all ranks' numbers. Collective. */
exa_status exa_max_all(uint64_t *value);

/* What the ranks before this one have together, and what all have. Collective. */
exa_status exa_sum_before(uint64_t mine, uint64_t *before, uint64_t *total);

#ifdef __cplusplus
}
#endif
#endif
