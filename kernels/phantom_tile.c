/* The choice of the instruction set, and the selection of what is near. */
#include "exaconn/phantom_tile.h"

#include "phantom_tile_simd.h"

static const exa_phantom_tile_simd *simd_of(exa_isa isa) {
    if (isa == EXA_ISA_AUTO) isa = exa_cpu_best_isa();
#ifdef EXA_SIMD_X86
    if (isa == EXA_ISA_AVX512) return &exa_phantom_tile_simd_avx512;
    if (isa == EXA_ISA_AVX2) return &exa_phantom_tile_simd_avx2;
#endif
    return &exa_phantom_tile_simd_portable;
}

size_t exa_tile_cull(exa_isa isa, const exa_tubes *tubes, const int32_t *from, size_t from_count,
                     const float center[3], float reach, float *scratch, int32_t *out) {
    size_t count = from ? from_count : tubes->count, kept = 0;
    float smallest = 1e30f;

    simd_of(isa)->distances(tubes, from, count, center, scratch);
    for (size_t i = 0; i < count; i++) {
        /* Radii change along a tube: what is certainly as near counts, against what is possibly nearer. */
        float change = tubes->dr[from ? (size_t)from[i] : i];
        float surely = scratch[i] + (change < 0.0f ? -change : change);
        smallest = surely < smallest ? surely : smallest;
    }
    for (size_t i = 0; i < count; i++) {
        out[kept] = from ? from[i] : (int32_t)i;
        kept += scratch[i] <= smallest + reach;
    }
    return kept;
}

void exa_tile_paint(exa_isa isa, const exa_tile_style *style, const exa_tile *tile, int32_t *object,
                    uint8_t *image) {
    simd_of(isa)->paint(style, tile, object, image);
}
