/* What is known of a segment without its voxels: how many there are, where they lie, what they took.
 *
 * The same record serves a label of a chunk, a supervoxel, and the segment that supervoxels were joined to; records
 * of one id are added up (integers, so that the order does not matter).
 */
#ifndef EXACONN_SEGMENT_H
#define EXACONN_SEGMENT_H

#include "exaconn/box.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_segment {
    exa_segid id; /* first, see exaconn/reduce.h */
    uint64_t voxels, supervoxels, chunks;
    uint64_t steps; /* of the network, to find it */
    exa_coord first[3],
        last[3];        /* zyx corners of its bounding box, in voxels of the volume; first > last if empty */
    uint64_t sum[3][2]; /* of its voxels' coordinates from the volume's start: low and high 64 bits */
} exa_segment;

/* Scans the labels of `box` [z, y, x] for their parts inside `core`. *list (transferred, free() it) has a record
 * for each label 1 .. *largest of the whole box, with the label as its id; chunks and supervoxels are 1 for those
 * with a voxel in the core, steps are 0. */
exa_status exa_segment_scan(const int32_t *labels, const exa_box *box, const exa_box *core, exa_segment **list,
                            size_t *largest);

/* Adds a record of the same id, as exa_reduce_by_key wants it. */
void exa_segment_combine(void *into, const void *segment);

#define EXA_SEGMENT_COLUMNS                                                                                        \
    "voxels,start_z,start_y,start_x,shape_z,shape_y,shape_x,centroid_z,centroid_y,centroid_x"

/* Prints these columns; the centroid in hundredths of a voxel, rounded down. The segment has voxels. */
void exa_segment_print(FILE *f, const exa_segment *segment);

#ifdef __cplusplus
}
#endif
#endif
