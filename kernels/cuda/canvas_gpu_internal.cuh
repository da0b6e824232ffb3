/* Canvases on a GPU as their two sources share them: canvas_gpu.cu (slots, launches) and canvas_gpu_peaks.cu
 * (seeds). */
#ifndef EXA_CANVAS_GPU_INTERNAL_CUH
#define EXA_CANVAS_GPU_INTERNAL_CUH

#include "cuda/lane.cuh"

#include "exaconn/canvas_gpu.h"

#include <stdlib.h>

namespace canvas_gpu {

/* A queued position: 21 bits an axis. */
typedef unsigned long long packed;

/* Where a slot's canvas lies. All pointers are to the device's memory. */
struct slot {
    exa_canvas_gpu_state *state;
    const void *raw;
    const float *table; /* [256] */
    float *map;
    int32_t *segmentation;
    uint8_t *probability; /* nullptr without a map */
    packed *queue;
    unsigned *done; /* a bit for each cell */
    const void *seeds;
    int64_t seed_count;
    float mean, stddev;
    int32_t shape[3], cells[3];
    int32_t bytes; /* of a raw voxel */
    int32_t wide;
};

struct rules {
    int32_t fov[3], margin[3], deltas[3];
    float init_logit, pad_logit, move_logit, segment_logit;
    double face_logit;
    float disco;
    int64_t min_segment_size;
    int32_t min_boundary_dist[3];
    int64_t max_seeds, max_objects, max_steps;
    const float *quantum; /* device, [255] */
};

} // namespace canvas_gpu

/* What a slot owns in the device's memory. */
struct exa_canvas_gpu_buffers {
    void *raw;
    float *map, *table;
    int32_t *segmentation;
    uint8_t *probability;
    canvas_gpu::packed *queue;
    unsigned *done;
    void *seeds;
    size_t seeds_bytes; /* grows with need */
};

struct exa_canvas_gpu {
    exa_canvas_gpu_options options;
    canvas_gpu::rules rules;
    cudaStream_t stream;
    float *quantum;
    exa_canvas_gpu_state *states; /* device, [slots] */
    exa_canvas_gpu_state *seen;   /* host, pinned, [slots]: as they were after the last load or run */
    canvas_gpu::slot *slots;      /* device, [slots] */
    int *batch;                   /* device, [slots]: the slots of the launch */
    int *batch_host;              /* pinned */
    float *input, *logits;
    unsigned *overflow;
    exa_canvas_gpu_buffers *buffers; /* host, [slots] */
    canvas_gpu::slot *views;         /* host copies of `slots` */
    int *waiting;                    /* host, [slots]: of do_exactly */
    cudaGraphExec_t *graphs;         /* host, [n]: options.steps steps of n canvases; made when first wanted */
    void *work;                      /* of the peaks; device */
};

/* A CUDA result as a status, with what was tried. */
static inline exa_status exa_canvas_gpu_status(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return EXA_OK;
    (void)cudaGetLastError();
    if (error == cudaErrorMemoryAllocation)
        return EXA_FAIL(EXA_ERR_MEMORY,
                        "the GPU has no memory left for %s. Hint: smaller chunks, fewer "
                        "compute.canvases, or fewer ranks on this GPU",
                        what);
    return EXA_FAIL(EXA_ERR_DEVICE, "GPU: %s: %s", what, cudaGetErrorString(error));
}

#define GPU(call, what) exa_canvas_gpu_status((call), (what))

#endif
