/* Bytes of the arrays of a canvas on a GPU; canvas_gpu.cu allocates what canvas_gpu_plan.c counts. */
#ifndef EXA_CANVAS_GPU_LAYOUT_H
#define EXA_CANVAS_GPU_LAYOUT_H

#include "exaconn/canvas_gpu.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { EXA_CANVAS_GPU_BLOCK = 1024 }; /* voxels in which peaks are counted together */

typedef struct exa_canvas_gpu_layout {
    uint64_t voxels;
    uint64_t raw, map, segmentation, probability, queue, done, seeds; /* of a slot */
    uint64_t input, logits;                                           /* of all slots */
    uint64_t work;                                                    /* of the peaks */
} exa_canvas_gpu_layout;

void exa_canvas_gpu_lay_out(const exa_canvas_gpu_options *options, exa_canvas_gpu_layout *layout);

static inline uint64_t exa_canvas_gpu_align(uint64_t bytes) {
    return (bytes + 255) / 256 * 256;
}

#ifdef __cplusplus
}
#endif
#endif
