/* Canvases on a GPU, of builds without CUDA; canvas_gpu.cu and canvas_gpu_peaks.cu have the other half. */
#include "exa_build_info.h"

#include "exaconn/canvas_gpu.h"

#if !EXA_HAVE_CUDA

#define NO_CUDA "this build has no CUDA. Hint: configure with -DEXA_ENABLE_CUDA=ON, or use the CPU"

exa_status exa_canvas_gpu_create(const exa_canvas_gpu_options *options, exa_canvas_gpu **out) {
    (void)options, (void)out;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

void exa_canvas_gpu_destroy(exa_canvas_gpu **gpu) {
    (void)gpu;
}

exa_status exa_canvas_gpu_load(exa_canvas_gpu *gpu, int slot, const exa_canvas_gpu_canvas *canvas) {
    (void)gpu, (void)slot, (void)canvas;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_canvas_gpu_run(exa_canvas_gpu *gpu, const int *slots, int count) {
    (void)gpu, (void)slots, (void)count;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

const exa_canvas_gpu_state *exa_canvas_gpu_state_of(const exa_canvas_gpu *gpu, int slot) {
    (void)gpu, (void)slot;
    return NULL;
}

const exa_canvas_gpu_options *exa_canvas_gpu_options_of(const exa_canvas_gpu *gpu) {
    (void)gpu;
    return NULL;
}

const exa_canvas_gpu_state *exa_canvas_gpu_states(const exa_canvas_gpu *gpu) {
    (void)gpu;
    return NULL;
}

exa_status exa_canvas_gpu_fetch(exa_canvas_gpu *gpu, int slot, int32_t *segmentation, uint8_t *probability) {
    (void)gpu, (void)slot, (void)segmentation, (void)probability;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_canvas_gpu_peaks(exa_canvas_gpu *gpu, const exa_canvas_gpu_image *image, const uint8_t *excluded,
                                double sigma, const exa_coord margin[3], exa_canvas_gpu_peaks_trace *trace,
                                void **seeds, size_t *count) {
    (void)gpu, (void)image, (void)excluded, (void)sigma, (void)margin, (void)trace, (void)seeds, (void)count;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

#else

/* ISO C wants a declaration in every file. */
typedef int exa_canvas_gpu_is_in_canvas_gpu_cu;

#endif
