/* Canvases on a GPU as their two sources share them: canvas_gpu.cu (slots, launches) and canvas_gpu_peaks.cu (seeds). */
#ifndef EXA_CANVAS_GPU_INTERNAL_CUH
#define EXA_CANVAS_GPU_INTERNAL_CUH

#include "cuda/lane.cuh"

#include "exaconn/canvas_gpu.h"

#include <stdlib.h>

#include "cuda/canvas_kernels.cuh"

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
        return EXA_FAIL(EXA_ERR_MEMORY, "the GPU has no memory left for %s. Hint: smaller chunks, fewer "
                        "compute.canvases, or fewer ranks on this GPU", what);
    return EXA_FAIL(EXA_ERR_DEVICE, "GPU: %s: %s", what, cudaGetErrorString(error));
}

#define GPU(call, what) exa_canvas_gpu_status((call), (what))

#endif
