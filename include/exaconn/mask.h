/* A job's mask volume, chunk by chunk: what of a chunk there is to segment. A chunk whose whole box is masked out
 * is done without ever being given to anybody; the cost of the others is what the mask leaves of them. */
#ifndef EXACONN_MASK_H
#define EXACONN_MASK_H

#include "exaconn/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads the mask over `box` (inside inputs->box) into `excluded` [z, y, x]: 1 where the job excludes the voxel.
 * Only for a job with a mask. Needs one plane of uint64 beside. */
exa_status exa_mask_read(const exa_job *job, const exa_inputs *inputs, const exa_box *box, uint8_t *excluded);

typedef struct exa_mask_counts {
    int64_t included;      /* voxels of the chunk's box that are left */
    int64_t core_included; /* of its core */
} exa_mask_counts;

exa_status exa_mask_count(const exa_job *job, const exa_inputs *inputs, const exa_chunk_grid *grid, exa_chunkid k,
                          exa_mask_counts *counts);

#ifdef __cplusplus
}
#endif
#endif
