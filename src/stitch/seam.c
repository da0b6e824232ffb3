/* The overlap of two chunks as two arrays of ids, and what they have in common. */
#include "exaconn/seam.h"

#include <stdlib.h>
#include <string.h>

/* Ids of the part `region` of a chunk's labels. */
static exa_status extract(const exa_chunk_grid *grid, exa_chunkid k, const int32_t *labels, const exa_box *region,
                          exa_segid *ids) {
    exa_box box = exa_chunk_grid_box(grid, k);

    for (exa_coord row = 0; row < region->shape[0] * region->shape[1]; row++) {
        const int32_t *from = labels + exa_box_index(&box, region->start[0] + row / region->shape[1],
                                                     region->start[1] + row % region->shape[1], region->start[2]);
        for (exa_coord x = 0; x < region->shape[2]; x++, ids++) {
            *ids = 0;
            if (from[x] > 0) EXA_TRY(exa_supervoxel_make(grid, k, (uint64_t)from[x], ids));
        }
    }
    return EXA_OK;
}

static exa_status append(exa_candidate_list *to, const exa_candidate *list, size_t count) {
    EXA_TRY(exa_grow(&to->list, &to->capacity, sizeof *list, to->count + count, "candidates of stitching"));
    if (count) memcpy(to->list + to->count, list, count * sizeof *list);
    to->count += count;
    return EXA_OK;
}

static exa_status match(const exa_seam_source *s, exa_chunkid k, exa_chunkid other, const int32_t *here,
                        int32_t *there, exa_candidate_list *candidates) {
    exa_box one = exa_chunk_grid_box(s->grid, k), two = exa_chunk_grid_box(s->grid, other);
    exa_box region = exa_overlap_region(&one, &two, &s->grid->box, s->rim);
    exa_candidate *list = NULL;
    exa_segid *a = NULL, *b = NULL;
    size_t count;
    int64_t voxels;
    exa_status st = EXA_OK;

    EXA_TRY(exa_box_voxels(&region, &voxels));
    if (voxels == 0) return EXA_OK;
    EXA_TRY(s->labels(s->context, other, there));
    EXA_TRY(exa_alloc((size_t)voxels, sizeof *a, "the overlap of two chunks", &a));
    EXA_GOTO(done, exa_alloc((size_t)voxels, sizeof *b, "the overlap of two chunks", &b));
    EXA_GOTO(done, extract(s->grid, k, here, &region, a));
    EXA_GOTO(done, extract(s->grid, other, there, &region, b));
    EXA_GOTO(done, exa_overlap_candidates(a, b, (size_t)voxels, &list, &count));
    st = append(candidates, list, count);
done:
    free(list);
    free(a);
    free(b);
    return st;
}

exa_status exa_seam_candidates(const exa_seam_source *s, exa_chunkid k, const int32_t *here, int32_t *there,
                               exa_candidate_list *candidates) {
    for (int axis = 0; axis < 3; axis++) {
        const int offset[3] = {axis == 0, axis == 1, axis == 2};
        exa_chunkid other;
        if (exa_chunk_grid_neighbour(s->grid, k, offset, &other))
            EXA_TRY(match(s, k, other, here, there, candidates));
    }
    return EXA_OK;
}
