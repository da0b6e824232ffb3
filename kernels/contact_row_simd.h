/* What contact_row.c needs from each instruction-set build of kernels/simd/contact_row_simd.c. */
#ifndef EXA_CONTACT_ROW_SIMD_H
#define EXA_CONTACT_ROW_SIMD_H

#include "exaconn/contact_row.h"

typedef struct exa_contact_row_simd {
    void (*row)(const uint32_t *a, const uint32_t *b, size_t n, uint64_t *bits);
    size_t (*list)(const uint32_t *a, const uint32_t *b, size_t n, uint32_t *at);
    void (*change)(const uint64_t *ids, size_t n, uint64_t *bits);
} exa_contact_row_simd;

extern const exa_contact_row_simd exa_contact_row_simd_portable;
#ifdef EXA_SIMD_X86
extern const exa_contact_row_simd exa_contact_row_simd_avx2;
extern const exa_contact_row_simd exa_contact_row_simd_avx512;
#endif

#endif
