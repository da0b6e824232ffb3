/* Face maxima, their order, and the cells that say which positions count as the same. */
#include "exaconn/movement.h"

#include <stdbool.h>
#include <stdlib.h>

/* First maximum of the face offset[axis] = side * deltas[axis], the other offsets within +- deltas. */
static exa_move face_maximum(const float *logits, const exa_coord fov[3], const exa_coord deltas[3], int axis,
                             int side) {
    const exa_coord stride[3] = {fov[1] * fov[2], fov[2], 1};
    const exa_coord middle = fov[0] / 2 * stride[0] + fov[1] / 2 * stride[1] + fov[2] / 2;
    const int u = axis == 0 ? 1 : 0, v = axis == 2 ? 1 : 2; /* the other axes, ascending */
    const exa_coord fixed = side * deltas[axis];
    const float *face = logits + middle + fixed * stride[axis];
    exa_move best = {.score = face[-deltas[u] * stride[u] - deltas[v] * stride[v]]};
    exa_coord best_u = -deltas[u], best_v = -deltas[v];

    for (exa_coord i = -deltas[u]; i <= deltas[u]; i++) {
        for (exa_coord j = -deltas[v]; j <= deltas[v]; j++) {
            float value = face[i * stride[u] + j * stride[v]];
            if (value > best.score) {
                best.score = value;
                best_u = i;
                best_v = j;
            }
        }
    }
    best.offset[axis] = fixed;
    best.offset[u] = best_u;
    best.offset[v] = best_v;
    return best;
}

static int descending(const void *pa, const void *pb) {
    const exa_move *a = pa, *b = pb;
    if (a->score != b->score) return a->score > b->score ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        if (a->offset[i] != b->offset[i]) return a->offset[i] > b->offset[i] ? -1 : 1;
    }
    return 0;
}

int exa_movement_face_max(const float *logits, const exa_coord fov[3], const exa_coord deltas[3], double threshold,
                          exa_move moves[EXA_MOVEMENT_MAX]) {
    int count = 0, kept = 0;

    for (int axis = 0; axis < 3; axis++) {
        if (deltas[axis] <= 0) continue;
        for (int side = -1; side <= 1; side += 2) {
            exa_move move = face_maximum(logits, fov, deltas, axis, side);
            if (!((double)move.score < threshold)) moves[count++] = move;
        }
    }
    qsort(moves, (size_t)count, sizeof *moves, descending);
    for (int i = 0; i < count; i++) {
        if (kept == 0 || descending(&moves[kept - 1], &moves[i]) != 0) moves[kept++] = moves[i];
    }
    return kept;
}

exa_coord exa_movement_cell(exa_coord position, exa_coord start, exa_coord delta) {
    exa_coord d = delta > 0 ? delta : 1, n = position - start + d / 2;
    return n >= 0 ? n / d : -((-n + d - 1) / d);
}
