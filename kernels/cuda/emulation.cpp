/* The emulated GPU, as C sees it. */
#include "cuda/emulation.h"

#include "cuda/lane.cuh"

#include <stdlib.h>

void exa_emulation_seed(uint64_t seed) {
    exa_emu::set_seed(seed);
}

void exa_emulation_enqueue(void *stream, void (*function)(void *data), void *data) {
    if (cudaLaunchHostFunc(static_cast<cudaStream_t>(stream), function, data) != cudaSuccess) abort();
}
