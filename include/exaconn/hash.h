/* CRC-32C (Castagnoli, as in iSCSI, RFC 3720 B.4) and SHA-256 (FIPS 180-4, by libcrypto). */
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

#define EXA_SHA256_HEX_BYTES 65 /* 64 digits and the terminator */

exa_status exa_sha256(const void *data, size_t size, char hex[EXA_SHA256_HEX_BYTES]);

/* SHA-256 of a file's bytes from `offset` to its end. */
exa_status exa_sha256_file(const char *path, uint64_t offset, char hex[EXA_SHA256_HEX_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
