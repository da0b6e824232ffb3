/* Sets of supervoxels that belong together, each named by its smallest id.
 *
 * Ids are any nonzero 64-bit numbers; an id that was never joined is a set of its own and takes no memory. The
 * result depends on what was joined, not on the order. Memory: 18 to 34 bytes for each different id. One thread at
 * a time.
 */
#ifndef EXACONN_UNION_FIND_H
#define EXACONN_UNION_FIND_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_union_find exa_union_find;

/* Two supervoxels that belong together. */
typedef struct exa_edge {
    exa_segid a, b;
} exa_edge;

/* What id becomes what. */
typedef struct exa_mapping {
    exa_segid *id;   /* owned; sorted, no id twice */
    exa_segid *root; /* owned; the smallest id of its set */
    size_t count;
} exa_mapping;

/* `expected` different ids make it large enough from the start; it grows. */
exa_status exa_union_find_create(size_t expected, exa_union_find **out);
void exa_union_find_destroy(exa_union_find **sets);

/* Makes one set of the sets of a and b. EXA_ERR_RANGE if an id is 0, the background. */
exa_status exa_union_find_join(exa_union_find *sets, exa_segid a, exa_segid b);

/* The smallest id of the set of `id`; `id` itself if it was never joined. */
exa_segid exa_union_find_root(exa_union_find *sets, exa_segid id);

/* All ids that were joined to anything, also those that are roots. */
exa_status exa_union_find_mapping(exa_union_find *sets, exa_mapping *mapping);
void exa_mapping_destroy(exa_mapping *mapping);

/* The root of `id`, or `id` if the mapping does not have it. */
exa_segid exa_mapping_root(const exa_mapping *mapping, exa_segid id);

#ifdef __cplusplus
}
#endif
#endif
