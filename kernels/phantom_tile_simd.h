/* What phantom_tile.c needs from each instruction-set build of kernels/simd/phantom_tile_simd.c. */
#ifndef EXA_PHANTOM_TILE_SIMD_H
#define EXA_PHANTOM_TILE_SIMD_H

#include "exaconn/phantom_tile.h"

typedef struct exa_phantom_tile_simd {
    void (*distances)(const exa_tubes *tubes, const int32_t *from, size_t count, const float center[3], float *out);
    void (*paint)(const exa_tile_style *style, const exa_tile *tile, int32_t *object, uint8_t *image);
} exa_phantom_tile_simd;

extern const exa_phantom_tile_simd exa_phantom_tile_simd_portable;
#ifdef EXA_SIMD_X86
extern const exa_phantom_tile_simd exa_phantom_tile_simd_avx2;
extern const exa_phantom_tile_simd exa_phantom_tile_simd_avx512;
#endif

#endif
