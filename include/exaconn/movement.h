/* FaceMax movement: where a field of view goes next (google/ffn movement.py; FFN_SEMANTICS D).
 *
 * Pure functions on one FOV of logits. The pieces that need a whole canvas (queue, done cells) are in canvas.c.
 */
#ifndef EXACONN_MOVEMENT_H
#define EXACONN_MOVEMENT_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EXA_MOVEMENT_MAX = 6 };

typedef struct exa_move {
    float score;         /* logit of the face's maximum */
    exa_coord offset[3]; /* zyx from the FOV's centre */
} exa_move;

/* The moves offered by logits [z, y, x] of shape `fov`: for each axis with a positive delta, the maximum (first in
 * C order) of both faces of the box centre +- deltas, if it is not below `threshold` (a double: the reference does
 * not round it). Equal (score, offset) pairs appear once; order: score, then dz, dy, dx, all descending. Returns
 * how many. */
int exa_movement_face_max(const float *logits, const exa_coord fov[3], const exa_coord deltas[3], double threshold,
                          exa_move moves[EXA_MOVEMENT_MAX]);

/* The cell of a position relative to an object's start: floor((position - start + delta/2) / delta), delta >= 1. */
exa_coord exa_movement_cell(exa_coord position, exa_coord start, exa_coord delta);

#ifdef __cplusplus
}
#endif
#endif
