/* What a test in C asks of the emulated GPU (lane_host.h). */
#ifndef EXA_CUDA_EMULATION_H
#define EXA_CUDA_EMULATION_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Of all orders drawn from now on. */
void exa_emulation_seed(uint64_t seed);

/* Calls function(data) when the stream comes to it; recorded into a graph, at each of its launches. */
void exa_emulation_enqueue(void *stream, void (*function)(void *data), void *data);

#ifdef __cplusplus
}
#endif
#endif
