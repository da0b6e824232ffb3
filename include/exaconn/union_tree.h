/* Union-find over all ranks: one name for each set of supervoxels, though no rank ever holds all of them.
 *
 * The ranks form a binary tree over the ranges of ids they own, which are stretches of the chunk curve. A rank
 * joins what lies in its own range; only what is joined to ids outside goes up, and at each level the two halves
 * become one range. The smallest ids come down again the same way. What a rank holds is its own ids and the surface
 * of its part of the tree. Root = smallest id, so the result depends on nothing but the edges.
 */
#ifndef EXACONN_UNION_TREE_H
#define EXACONN_UNION_TREE_H

#include "exaconn/union_find.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What it took, on this rank. */
typedef struct exa_union_tree_counters {
    uint64_t edges;    /* with an end in this rank's range */
    uint64_t sent;     /* records to the parent */
    uint64_t received; /* records from children */
} exa_union_tree_counters;

/* The rank, of `ranks`, whose range has the id: the last one whose first id is not larger. */
int exa_union_tree_owner(const exa_segid *first, int ranks, exa_segid id);

/* Joins the ends of the edges that all ranks give, wherever their ids belong (an edge may be given more than once),
 * and returns the roots of those ids that were joined to anything and lie in this rank's range. `first` has one
 * entry more than there are ranks and is the same on all: rank r owns the ids first[r] <= id < first[r+1].
 * EXA_ERR_RANGE, on all ranks, if an id belongs to nobody. `counters` may be NULL. Collective over all ranks;
 * without MPI, of this process alone. */
exa_status exa_union_tree(const exa_edge *edges, size_t count, const exa_segid *first, exa_mapping *mapping,
                          exa_union_tree_counters *counters);

#ifdef __cplusplus
}
#endif
#endif
