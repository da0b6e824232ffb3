/* Where a row of labels touches another: one bit for each pair of different segments.
 *
 * Labels are dense numbers of 32 bits, 0 = background. All instruction sets give the same bits.
 */
#ifndef EXACONN_CONTACT_ROW_H
#define EXACONN_CONTACT_ROW_H

#include "exaconn/cpu.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Words of 64 bits that `n` bits take. */
#define EXA_CONTACT_ROW_WORDS(n) (((n) + 63) / 64)

/* Bit i of `bits` [EXA_CONTACT_ROW_WORDS(n)] is set if a[i] and b[i] differ and neither is 0; the bits behind n are
 * clear. `b` may be a + 1 (neighbours along the row). */
void exa_contact_row(exa_isa isa, const uint32_t *a, const uint32_t *b, size_t n, uint64_t *bits);

/* The same as positions in ascending order; returns how many. `at` has room for n + 64. */
size_t exa_contact_row_list(exa_isa isa, const uint32_t *a, const uint32_t *b, size_t n, uint32_t *at);

/* Bit i of `bits` is set if ids[i] and ids[i - 1] differ; bit 0 and the bits behind n are clear. */
void exa_contact_row_change(exa_isa isa, const uint64_t *ids, size_t n, uint64_t *bits);

#ifdef __cplusplus
}
#endif
#endif
