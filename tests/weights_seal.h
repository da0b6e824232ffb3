/* Gives a spoiled weights file a valid header again, so that tests and fuzzers get past the checksum. Written from
 * docs/formats.md, not from the library.
 */
#ifndef EXA_TEST_WEIGHTS_SEAL_H
#define EXA_TEST_WEIGHTS_SEAL_H

#include "exaconn/hash.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* `bytes`: 512 bytes of room for the header, then the payload. */
static inline void weights_seal(unsigned char *bytes, size_t size) {
    char hex[EXA_SHA256_HEX_BYTES];
    uint64_t payload = size - 512;

    memset(bytes, 0, 512);
    memcpy(bytes, "EXAWTS\r\n\1\0\0\0\0\2", 14);
    memcpy(bytes + 16, &payload, 8);
    if (exa_sha256(bytes + 512, size - 512, hex) != EXA_OK) abort();
    for (int i = 0; i < 32; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], 0};
        bytes[24 + i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    uint32_t crc = exa_crc32c(0, bytes, 508);
    memcpy(bytes + 508, &crc, 4);
}
#endif
