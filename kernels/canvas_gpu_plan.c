/* What canvases on a GPU take of its memory: arithmetic alone, so that a job can be planned anywhere. */
#include "exaconn/canvas_gpu.h"

#include "canvas_gpu_layout.h"

/* The largest number of cells of delta voxels that a flood can be in; a canvas adds two on each axis, as its seed
 * may lie anywhere in a cell. */
static uint64_t count_cells(const exa_canvas_gpu_options *o) {
    uint64_t cells = 1;

    for (int a = 0; a < 3; a++)
        cells *= (uint64_t)(o->voxels[a] / (o->rules.deltas[a] > 0 ? o->rules.deltas[a] : 1) + 2);
    return cells;
}

void exa_canvas_gpu_lay_out(const exa_canvas_gpu_options *o, exa_canvas_gpu_layout *l) {
    const uint64_t cells = count_cells(o), fov = (uint64_t)(o->rules.fov[0] * o->rules.fov[1] * o->rules.fov[2]);

    l->voxels = (uint64_t)o->voxels[0] * (uint64_t)o->voxels[1] * (uint64_t)o->voxels[2];
    l->raw = l->voxels * exa_dtype_size(o->dtype);
    l->map = l->voxels * 4;
    l->segmentation = l->voxels * 4;
    l->probability = o->probability_map ? l->voxels : 0;
    l->queue = (6 * cells + 1) * 8; /* each step marks a cell done and queues six moves at most */
    l->done = (cells + 31) / 32 * 4;
    l->seeds = o->seeds_bytes;
    l->input = fov * 8 * (uint64_t)o->slots;
    l->logits = fov * 4 * (uint64_t)o->slots;
    l->work = o->seeds ? 3 * exa_canvas_gpu_align(l->voxels * 4) + exa_canvas_gpu_align(l->voxels) +
                             exa_canvas_gpu_align((l->voxels / EXA_CANVAS_GPU_BLOCK + 2) * 8) +
                             exa_canvas_gpu_align(l->raw) + 4096
                       : 0;
}

exa_status exa_canvas_gpu_plan(const exa_canvas_gpu_options *o, exa_canvas_gpu_memory *memory) {
    const exa_coord most = (exa_coord)1 << 21; /* a queued position holds 21 bits of each coordinate */
    const exa_box box = {{0, 0, 0}, {o->voxels[0], o->voxels[1], o->voxels[2]}};
    exa_canvas_gpu_layout l;
    int64_t voxels;

    for (int a = 0; a < 3; a++) {
        EXA_CHECK(o->voxels[a] > 0 && o->voxels[a] <= most, EXA_ERR_RANGE,
                  "axis %c of a chunk has %lld voxels; a GPU takes at most %lld. Hint: smaller chunks", "zyx"[a],
                  (long long)o -> voxels[a], (long long)most);
    }
    EXA_TRY(exa_box_voxels(&box, &voxels));
    EXA_CHECK(o->slots > 0 && o->steps > 0 && o->steps <= EXA_CANVAS_GPU_RECORDS, EXA_ERR_INTERNAL,
              "%d slots, %d steps", o->slots, o->steps);
    exa_canvas_gpu_lay_out(o, &l);
    memory->slot_bytes =
        exa_canvas_gpu_align(l.raw) + exa_canvas_gpu_align(l.map) + exa_canvas_gpu_align(l.segmentation) +
        exa_canvas_gpu_align(l.probability) + exa_canvas_gpu_align(l.queue) + exa_canvas_gpu_align(l.done) +
        exa_canvas_gpu_align(l.seeds) + sizeof(exa_canvas_gpu_state) + (l.input + l.logits) / (uint64_t)o->slots;
    memory->shared_bytes = l.work + (1u << 20);
    return EXA_OK;
}
