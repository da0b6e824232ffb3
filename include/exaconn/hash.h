/* CRC-32C (Castagnoli, as in iSCSI, RFC 3720 B.4), SHA-256 (FIPS 180-4, by libcrypto), and a hash of integers. */
#ifndef EXACONN_HASH_H
#define EXACONN_HASH_H

#include "exaconn/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Continues from `crc` (0 to begin). Not masked. */
uint32_t exa_crc32c(uint32_t crc, const void *data, size_t size);

/* For hash tables and colours: a bijection in which every bit depends on every other (SplitMix64's, of z + its
 * increment; Steele, Lea and Flood 2014). */
static inline uint64_t exa_hash_u64(uint64_t z) {
    z += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

#define EXA_SHA256_HEX_BYTES 65 /* 64 digits and the terminator */

exa_status exa_sha256(const void *data, size_t size, char hex[EXA_SHA256_HEX_BYTES]);

/* SHA-256 of a file's bytes from `offset` to its end. */
exa_status exa_sha256_file(const char *path, uint64_t offset, char hex[EXA_SHA256_HEX_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
