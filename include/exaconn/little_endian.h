/* Little-endian integers in bytes, as all our files hold them, on any machine. */
#ifndef EXACONN_LITTLE_ENDIAN_H
#define EXACONN_LITTLE_ENDIAN_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline uint32_t exa_load_le32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t exa_load_le64(const unsigned char *p) {
    return exa_load_le32(p) | (uint64_t)exa_load_le32(p + 4) << 32;
}

static inline void exa_store_le32(unsigned char *p, uint32_t value) {
    for (int i = 0; i < 4; i++) p[i] = (unsigned char)(value >> 8 * i);
}

static inline void exa_store_le64(unsigned char *p, uint64_t value) {
    exa_store_le32(p, (uint32_t)value);
    exa_store_le32(p + 4, (uint32_t)(value >> 32));
}

#ifdef __cplusplus
}
#endif
#endif
