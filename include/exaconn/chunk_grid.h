/* The chunks of a volume: where each one lies, what it is called, what its segments are called.
 *
 * A chunk is the unit of scheduling, of durability and of FFN inference. Its core is its own: cores tile the box.
 * Its box is the core and a halo around it, so that the boxes of neighbours overlap and their segments can be
 * matched.
 *
 * Chunks are numbered along a Hilbert curve over the grid, so that consecutive numbers are near each other at every
 * scale. Nothing is ever listed: number and position follow from each other in a few hundred operations, for any
 * extents. The curve is that of the smallest power-of-two cube around the grid, in the order of Hamilton and
 * Rau-Chaplin (2008, "Compact Hilbert indices"), without the chunks outside the grid; what lies before a chunk is
 * found by counting the clipped sub-cubes before it, so that numbers have no gaps.
 *
 * Plain data without owned memory; thread safe.
 */
#ifndef EXACONN_CHUNK_GRID_H
#define EXACONN_CHUNK_GRID_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef uint64_t exa_chunkid; /* 0 .. chunks-1, along the curve */

typedef struct exa_chunk_grid {
    exa_box box;        /* what is cut, in voxels of the volume */
    exa_coord core[3];  /* zyx voxels of a chunk's core; the last one on an axis may be smaller */
    exa_coord halo[3];  /* zyx voxels read around it on each side, where the box goes on */
    exa_coord least[3]; /* zyx voxels that a chunk's box has at least */
    int64_t count[3];   /* zyx chunks */
    exa_chunkid chunks; /* their product */
    int levels;         /* 2^levels is the smallest power of two that no count exceeds */
    int local_bits;     /* of a supervoxel id, see exa_supervoxel_make */
} exa_chunk_grid;

/* `core` > 0, `halo` >= 0 and `least` >= 0 (the FOV) are zyx voxels, `objects_max` the most segments a chunk can
 * have. EXA_ERR_RANGE, saying which and what to do, if the box is smaller than `least` or if chunks and segments
 * together do not fit ids of 64 bits. */
exa_status exa_chunk_grid_make(const exa_box *box, const exa_coord core[3], const exa_coord halo[3],
                               const exa_coord least[3], uint64_t objects_max, exa_chunk_grid *grid);

/* Position zyx in the grid of chunk `k` < chunks, and the chunk at a position inside the grid. */
void exa_chunk_grid_position(const exa_chunk_grid *grid, exa_chunkid k, int64_t at[3]);
exa_chunkid exa_chunk_grid_at(const exa_chunk_grid *grid, const int64_t at[3]);

/* The chunk `offset` (zyx chunks) from `k`; false, and nothing written, if the grid ends before. */
bool exa_chunk_grid_neighbour(const exa_chunk_grid *grid, exa_chunkid k, const int offset[3],
                              exa_chunkid *neighbour);

/* Core and box of chunk `k`, in voxels of the volume. A box of less than `least` voxels on an axis is extended,
 * first towards 0. */
exa_box exa_chunk_grid_core(const exa_chunk_grid *grid, exa_chunkid k);
exa_box exa_chunk_grid_box(const exa_chunk_grid *grid, exa_chunkid k);

/* The largest extents that the box of a chunk can have, and the voxels of such a box; EXA_ERR_RANGE beyond 2^63-1.
 */
void exa_chunk_grid_shape_max(const exa_chunk_grid *grid, exa_coord shape[3]);
exa_status exa_chunk_grid_voxels_max(const exa_chunk_grid *grid, int64_t *voxels);

/* The id that segment `local` (from 1) of chunk `k` has in the whole volume: k * 2^local_bits + local. It needs no
 * communication and depends on nothing but the grid. EXA_ERR_RANGE if `local` has more bits than that. */
exa_status exa_supervoxel_make(const exa_chunk_grid *grid, exa_chunkid k, uint64_t local, exa_segid *id);
exa_chunkid exa_supervoxel_chunk(const exa_chunk_grid *grid, exa_segid id);
uint64_t exa_supervoxel_local(const exa_chunk_grid *grid, exa_segid id);

#ifdef __cplusplus
}
#endif
#endif
