/* The mask is read plane by plane, in whatever integer type it is stored. */
#include "exaconn/mask.h"

#include <stdlib.h>

static exa_status read_plane(const exa_job *job, const exa_inputs *in, const exa_box *box, exa_coord z,
                             exa_segid *values, uint8_t *excluded) {
    const bool exclude_nonzero = job->mask.exclude_values == EXA_JOB_MASK_NONZERO;
    size_t n = (size_t)(box->shape[1] * box->shape[2]);
    exa_box plane = *box;

    for (int a = 0; a < 3; a++) plane.start[a] += in->mask.box.start[a] - in->box.start[a];
    plane.start[0] += z;
    plane.shape[0] = 1;
    EXA_TRY(exa_volume_read(in->mask.volume, &plane, EXA_U64, values));
    for (size_t i = 0; i < n; i++) excluded[i] = (values[i] != 0) == exclude_nonzero;
    return EXA_OK;
}

exa_status exa_mask_read(const exa_job *job, const exa_inputs *in, const exa_box *box, uint8_t *excluded) {
    size_t n = (size_t)(box->shape[1] * box->shape[2]);
    exa_segid *values = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(n, sizeof *values, "a mask plane", &values));
    for (exa_coord z = 0; z < box->shape[0]; z++)
        EXA_GOTO(done, read_plane(job, in, box, z, values, excluded + (size_t)z * n));
done:
    free(values);
    return st;
}

/* Voxels of `part` that are not excluded. */
static int64_t count_in(const uint8_t *excluded, const exa_box *box, const exa_box *part) {
    int64_t count = 0;

    for (exa_coord row = 0; row < part->shape[0] * part->shape[1]; row++) {
        const uint8_t *from = excluded + exa_box_index(box, part->start[0] + row / part->shape[1],
                                                       part->start[1] + row % part->shape[1], part->start[2]);
        for (exa_coord x = 0; x < part->shape[2]; x++) count += !from[x];
    }
    return count;
}

exa_status exa_mask_count(const exa_job *job, const exa_inputs *in, const exa_chunk_grid *grid, exa_chunkid k,
                          exa_mask_counts *counts) {
    const exa_box box = exa_chunk_grid_box(grid, k), core = exa_chunk_grid_core(grid, k);
    uint8_t *excluded = NULL;
    int64_t voxels;
    exa_status st = EXA_OK;

    EXA_TRY(exa_box_voxels(&box, &voxels));
    EXA_TRY(exa_alloc((size_t)voxels, 1, "the mask of a chunk", &excluded));
    EXA_GOTO(done, exa_mask_read(job, in, &box, excluded));
    counts->included = count_in(excluded, &box, &box);
    counts->core_included = count_in(excluded, &box, &core);
done:
    free(excluded);
    return st;
}
