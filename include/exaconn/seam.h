/* Where chunks overlap: which of their segments may be one object (exaconn/overlap.h), chunk by chunk.
 *
 * A chunk is matched with its three neighbours at larger coordinates; those at edges and corners follow through
 * these. So every pair of neighbours is matched once, and what is found belongs to the chunk at the smaller
 * coordinates.
 */
#ifndef EXACONN_SEAM_H
#define EXACONN_SEAM_H

#include "exaconn/chunk_grid.h"
#include "exaconn/overlap.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_seam_source {
    const exa_chunk_grid *grid; /* borrowed */
    exa_coord rim[3];           /* see exa_overlap_region */
    /* Gives the labels of a chunk: int32 of its box [z, y, x], 1 .. 2^local_bits-1, 0 or less = background. */
    exa_status (*labels)(void *context, exa_chunkid k, int32_t *labels);
    void *context;
} exa_seam_source;

typedef struct exa_candidate_list {
    exa_candidate *list; /* owned: free() */
    size_t count, capacity;
} exa_candidate_list;

/* Appends the candidates between chunk `k`, whose labels are `here`, and its neighbours; `there` has room for the
 * labels of any chunk (exa_chunk_grid_voxels_max). In order of axis z, y, x, then of ids. */
exa_status exa_seam_candidates(const exa_seam_source *source, exa_chunkid k, const int32_t *here, int32_t *there,
                               exa_candidate_list *candidates);

#ifdef __cplusplus
}
#endif
#endif
