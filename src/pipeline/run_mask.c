/* What the mask leaves of each missing chunk, looked at by all ranks before any chunk is given out. */
#include "run_internal.h"

#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/mask.h"
#include "exaconn/reduce.h"

#include <stdlib.h>
#include <string.h>

typedef struct weight {
    exa_chunkid chunk;
    uint64_t included;
} weight;

typedef struct weights {
    weight *list; /* owned */
    size_t count, capacity;
} weights;

/* Chunks that are not in rank 0's store, one byte each, on all ranks. */
static exa_status share_missing(const exa_run_work *w, uint8_t **missing) {
    const size_t n = (size_t)w->grid.chunks;

    EXA_TRY(exa_comm_agree(exa_calloc(n, 1, "the list of chunks", missing)));
    for (exa_chunkid k = 0; exa_comm_rank() == 0 && k < n; k++) (*missing)[k] = !exa_chunk_store_has(w->store, k);
    return exa_comm_broadcast(*missing, n);
}

/* A chunk without a voxel to segment, as if it had been segmented. */
static exa_status put_empty(exa_run_work *w, exa_chunkid k) {
    const exa_box box = exa_chunk_grid_box(&w->grid, k), core = exa_chunk_grid_core(&w->grid, k);
    const exa_canvas_counters none = {0};
    exa_chunk_record record = {.chunk = k};
    int64_t voxels, core_voxels;
    void *nothing = NULL, *details = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_box_voxels(&box, &voxels));
    EXA_TRY(exa_box_voxels(&core, &core_voxels));
    EXA_TRY(exa_calloc((size_t)voxels, sizeof(int32_t), "the labels of a chunk", &nothing));
    EXA_GOTO(done, exa_run_pack_details(&none, NULL, 0, core_voxels, false, &details, &record.details_size));
    record.labels = nothing;
    record.probability = w->job->segmentation.probability_map ? nothing : NULL;
    record.details = details;
    EXA_GOTO(done, exa_chunk_store_put(w->store, &record));
done:
    free(details);
    free(nothing);
    return st;
}

/* This rank's stretch of the curve. */
static exa_status weigh(exa_run_work *w, const uint8_t *missing, weights *out) {
    const uint64_t rank = (uint64_t)exa_comm_rank(), size = (uint64_t)exa_comm_size(), n = w->grid.chunks;

    for (exa_chunkid k = n * rank / size; k < n * (rank + 1) / size; k++) {
        exa_mask_counts counts;
        if (!missing[k]) continue;
        EXA_TRY(exa_run_check_stop(w));
        EXA_TRY(exa_mask_count(w->job, &w->inputs, &w->grid, k, &counts));
        if (counts.included == 0) EXA_TRY(put_empty(w, k));
        EXA_TRY(exa_grow(&out->list, &out->capacity, sizeof *out->list, out->count + 1, "the costs of chunks"));
        out->list[out->count++] = (weight){k, (uint64_t)counts.included};
    }
    return EXA_OK;
}

/* On rank 0: what each chunk costs. */
static exa_status keep(exa_run_work *w, const weight *list, size_t count) {
    EXA_TRY(exa_alloc((size_t)w->grid.chunks, sizeof *w->included, "the costs of chunks", &w->included));
    memset(w->included, 0xFF, (size_t)w->grid.chunks * sizeof *w->included);
    for (size_t i = 0; i < count; i++) {
        w->included[list[i].chunk] = list[i].included;
        w->chunks_empty += list[i].included == 0;
    }
    if (w->chunks_empty) EXA_INFO("mask: %llu chunks have nothing to segment", (unsigned long long)w->chunks_empty);
    return EXA_OK;
}

static exa_status gather(exa_run_work *w, const weights *mine) {
    size_t *counts = NULL, received;
    void *list = NULL;
    exa_status st = exa_calloc((size_t)exa_comm_size(), sizeof *counts, "an exchange", &counts);

    EXA_GOTO(done, exa_comm_agree(st));
    counts[0] = mine->count;
    EXA_GOTO(done, exa_exchange(mine->list, sizeof *mine->list, counts, &list, &received));
    st = exa_comm_agree(exa_comm_rank() == 0 ? keep(w, list, received) : EXA_OK);
done:
    free(list);
    free(counts);
    return st;
}

exa_status exa_run_weigh_chunks(exa_run_work *w) {
    uint8_t *missing = NULL;
    weights mine = {0};
    exa_status st = EXA_OK;

    if (!w->inputs.mask.volume) return EXA_OK;
    EXA_GOTO(done, share_missing(w, &missing));
    EXA_GOTO(done, exa_comm_agree(weigh(w, missing, &mine)));
    st = gather(w, &mine);
done:
    free(missing);
    free(mine.list);
    return st;
}
