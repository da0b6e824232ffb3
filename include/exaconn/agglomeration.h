/* From candidates to segments, over all ranks: which candidates are joined, and what every supervoxel is called.
 *
 * Candidates that pass the thresholds are joined, unless a guard forbids it: a segment must not grow beyond
 * `max_voxels`. Where it would, the candidates of that segment are taken one by one, best first (Jaccard index,
 * then shared voxels, then the smaller ids), and one that would exceed the limit is refused; so the outcome does
 * not depend on ranks or order.
 */
#ifndef EXACONN_AGGLOMERATION_H
#define EXACONN_AGGLOMERATION_H

#include "exaconn/overlap.h"
#include "exaconn/segment.h"
#include "exaconn/union_find.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_agglomeration_options {
    exa_overlap_options overlap;
    uint64_t max_voxels; /* of a segment; 0 = no limit. Larger supervoxels stay as they are */
} exa_agglomeration_options;

/* The candidates of all ranks, each with the rank that owns its `a`, and all supervoxels, sorted by id, each with
 * the rank that owns it (`first` as for exa_union_tree). Sets joined and refused of each candidate; *mapping gives
 * the segments of this rank's supervoxels that were joined to anything. A candidate's supervoxels must be among
 * those given if there is a limit. Collective. */
exa_status exa_agglomerate(exa_candidate *candidates, size_t count, const exa_segment *supervoxels,
                           size_t supervoxel_count, const exa_segid *first,
                           const exa_agglomeration_options *options, exa_mapping *mapping);

#ifdef __cplusplus
}
#endif
#endif
