/* Skeletons of segments: a tree for each connected part of a voxel mask, and nodes along it at a spacing.
 *
 * After TEASAR (Sato et al. 2000): the root is a voxel farthest from another; paths to the farthest voxels not yet
 * covered follow, drawn to the middle of the mask by the distance to its surface; each covers what lies within
 * twice that distance and a little more. The result depends on nothing but the mask. docs/segclr.md has the
 * constants.
 */
#ifndef EXACONN_SKELETON_H
#define EXACONN_SKELETON_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_skeleton_node {
    exa_coord at[3];  /* zyx, a voxel of the mask */
    int64_t parent;   /* a node before this one; -1: a root */
    double length_nm; /* of the path to it; 0 for a root */
    double radius_nm; /* distance to the surface */
} exa_skeleton_node;

/* Nodes of the voxels of `labels` [z, y, x], of shape `shape`, that are `id`, all of which lie in `box`. Neighbours
 * on the tree are about `spacing_nm` apart; every connected part has a node. *nodes is transferred, free() it;
 * positions are those of `labels`. EXA_ERR_RANGE if the box has more than 2^31 - 1 voxels. */
exa_status exa_skeleton_nodes(const exa_segid *labels, const exa_coord shape[3], const exa_box *box, exa_segid id,
                              const double voxel_nm[3], double spacing_nm, exa_skeleton_node **nodes,
                              size_t *count);

#ifdef __cplusplus
}
#endif
#endif
