/* Rows of labels compared 64 at a time: a loop that the compiler vectorises makes one byte for each, and eight
 * bytes become eight bits by a multiplication that gathers their lowest bits in the highest byte.
 */
#include "contact_row_simd.h"

#include <string.h>

#define ROW_CAT2(a, b) a##b
#define ROW_CAT(a, b) ROW_CAT2(a, b)

static uint64_t gather(const uint8_t flags[64]) {
    uint64_t word = 0;

    for (int i = 0; i < 8; i++) {
        uint64_t eight;
        memcpy(&eight, flags + 8 * i, sizeof eight); /* little-endian: byte k becomes bit k */
        word |= eight * 0x0102040810204080u >> 56 << 8 * i;
    }
    return word;
}

static void row(const uint32_t *restrict a, const uint32_t *restrict b, size_t n, uint64_t *restrict bits) {
    uint8_t flags[64];
    size_t i = 0;

    for (; i + 64 <= n; i += 64) {
        for (size_t k = 0; k < 64; k++)
            flags[k] = (uint8_t)((a[i + k] != b[i + k]) & (a[i + k] != 0) & (b[i + k] != 0));
        bits[i / 64] = gather(flags);
    }
    if (i == n) return;
    memset(flags, 0, sizeof flags);
    for (size_t k = 0; i + k < n; k++)
        flags[k] = (uint8_t)((a[i + k] != b[i + k]) & (a[i + k] != 0) & (b[i + k] != 0));
    bits[i / 64] = gather(flags);
}

static size_t change(const uint64_t *ids, size_t begin, size_t n) {
    size_t i = begin;

    for (; i + 16 <= n; i += 16) {
        uint64_t differs = 0;
        for (size_t k = 0; k < 16; k++) differs |= ids[i + k] ^ ids[i + k - 1];
        if (differs) break;
    }
    while (i < n && ids[i] == ids[i - 1]) i++;
    return i;
}

const exa_contact_row_simd ROW_CAT(exa_contact_row_simd_, EXA_SIMD_NAME) = {row, change};
