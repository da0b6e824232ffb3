/* Random numbers by counter: Philox4x32-10 (Salmon, Moraes, Dror and Shaw, SC 2011).
 *
 * The i-th number of a stream is a function of (key, stream, i) alone: whoever computes it, on whatever rank or
 * thread, gets the same bits, and nothing has to be carried along.
 */
#ifndef EXACONN_PHILOX_H
#define EXACONN_PHILOX_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The block cipher itself: ten rounds over the counter. */
void exa_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* 128 random bits: the i-th of a stream. */
void exa_philox(uint64_t key, uint64_t stream, uint64_t i, uint64_t out[2]);

/* 64 random bits to [0, bound), bound > 0. The bias is below bound / 2^64. */
static inline uint64_t exa_philox_below(uint64_t bits, uint64_t bound) {
    __extension__ typedef unsigned __int128 wide;
    return (uint64_t)(((wide)bits * bound) >> 64);
}

/* To [0, 1), with 53 bits. */
static inline double exa_philox_unit(uint64_t bits) {
    return (double)(bits >> 11) * 0x1p-53;
}

#ifdef __cplusplus
}
#endif
#endif
