/* The choice of the instruction set. */
#include "exaconn/contact_row.h"

#include "contact_row_simd.h"

static const exa_contact_row_simd *simd_of(exa_isa isa) {
    if (isa == EXA_ISA_AUTO) isa = exa_cpu_best_isa();
#ifdef EXA_SIMD_X86
    if (isa == EXA_ISA_AVX512) return &exa_contact_row_simd_avx512;
    if (isa == EXA_ISA_AVX2) return &exa_contact_row_simd_avx2;
#endif
    return &exa_contact_row_simd_portable;
}

void exa_contact_row(exa_isa isa, const uint32_t *a, const uint32_t *b, size_t n, uint64_t *bits) {
    simd_of(isa)->row(a, b, n, bits);
}

size_t exa_contact_row_list(exa_isa isa, const uint32_t *a, const uint32_t *b, size_t n, uint32_t *at) {
    return simd_of(isa)->list(a, b, n, at);
}

void exa_contact_row_change(exa_isa isa, const uint64_t *ids, size_t n, uint64_t *bits) {
    simd_of(isa)->change(ids, n, bits);
}
