/* Where flood filling starts: lists of seeds in the order they are tried.
 *
 * The policies carry google/ffn's names and orders (ffn/inference/seed.py). Each lists only points whose FOV fits
 * the canvas: at least fov/2 voxels from both ends of every axis.
 */
#ifndef EXACONN_SEED_H
#define EXACONN_SEED_H

#include "exaconn/image.h"
#include "exaconn/pool.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_seed_policy {
    EXA_SEED_PEAKS = 0, /* local maxima of the distance to image edges (PolicyPeaks); the published default */
    EXA_SEED_MAX,       /* every voxel, brightest first; equal ones from the last in C order (PolicyMax) */
    EXA_SEED_GRID3D,    /* grids of spacing `step`, one after the other at each offset (PolicyGrid3d) */
    EXA_SEED_LIST       /* given by the user, in the order given */
} exa_seed_policy;

typedef struct exa_seed_options {
    exa_seed_policy policy;
    exa_coord step[3];        /* grid3d */
    const exa_coord *offsets; /* grid3d; borrowed; the same offset on all three axes, as in the reference */
    int offset_count;
    const exa_coord *points; /* list: zyx triples within the canvas, borrowed */
    size_t point_count;
} exa_seed_options;

/* Seeds as linear C-order indices of the canvas: 4 bytes a seed (8 in a canvas of 2^32 voxels and more). */
typedef struct exa_seed_list {
    size_t count, capacity;
    exa_coord shape[3];
    bool wide;
    void *index; /* owned: uint32_t or, if wide, uint64_t */
} exa_seed_list;

void exa_seed_get(const exa_seed_list *list, size_t i, exa_coord zyx[3]);
void exa_seed_list_free(exa_seed_list *list);

/* Intermediate arrays of the peaks policy, for tests; NULL members are not filled. All [z, y, x] of the canvas. */
typedef struct exa_seed_trace {
    float *gradient, *smooth;
    uint8_t *edge;
    int32_t *distance2;
} exa_seed_trace;

/* `excluded` (borrowed, 1 = excluded, may be NULL) counts as edge for the peaks, as in the reference; for the other
 * policies the canvas skips excluded seeds. Peak memory of the peaks policy: 9 bytes a voxel beside image and mask.
 * Listed points outside the canvas are EXA_ERR_RANGE with the point; those whose FOV does not fit are left out
 * and counted in *too_near (may be NULL). */
exa_status exa_seed_make(const exa_seed_options *options, const exa_image *image, const uint8_t *excluded,
                         const exa_coord fov[3], exa_pool *pool, exa_seed_trace *trace, exa_seed_list *list,
                         size_t *too_near);

/* Bytes of a list of exa_seed_make for images of `shape` and smaller ones: the most, or of the policy peaks, whose
 * number the image decides, what is rarely exceeded (a seed for each hundred voxels). */
uint64_t exa_seed_list_bytes(const exa_seed_options *options, const exa_coord shape[3], const exa_coord fov[3]);

const char *exa_seed_policy_name(exa_seed_policy policy);

#ifdef __cplusplus
}
#endif
#endif
