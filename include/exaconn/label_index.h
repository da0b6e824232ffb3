/* Segment ids of any size as dense numbers: 1, 2, ... in the order they are met, 0 for 0. For one chunk after
 * another. Memory: about 24 bytes for each different id. One thread at a time.
 */
#ifndef EXACONN_LABEL_INDEX_H
#define EXACONN_LABEL_INDEX_H

#include "exaconn/box.h"
#include "exaconn/cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_label_index exa_label_index;

exa_status exa_label_index_create(exa_isa isa, exa_label_index **out);
void exa_label_index_destroy(exa_label_index **index);

/* Forgets all ids. */
void exa_label_index_clear(exa_label_index *index);

/* The numbers of `n` ids. EXA_ERR_RANGE beyond 2^31 - 1 different ids. */
exa_status exa_label_index_apply(exa_label_index *index, const exa_segid *ids, size_t n, uint32_t *numbers);

/* The id of each number, [0] being 0, and how many numbers there are, 0 included; borrowed until the next call. */
const exa_segid *exa_label_index_ids(const exa_label_index *index, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
