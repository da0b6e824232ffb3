/* One small loop per pair of types, made by macros, found in a table.
 *
 * Loads and stores go through memcpy because in-place widening reads elements that are not aligned to their type.
 */
#include "voxel_convert_internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef size_t convert_function(const char *source, char *target, size_t n);

#define CONVERT(from_name, from, to_name, to, refuse)                                                              \
    static size_t from_name##_to_##to_name(const char *source, char *target, size_t n) {                           \
        for (size_t i = 0; i < n; i++) {                                                                           \
            from v;                                                                                                \
            to w;                                                                                                  \
            memcpy(&v, source + i * sizeof v, sizeof v);                                                           \
            if (refuse) return i;                                                                                  \
            w = (to)v;                                                                                             \
            memcpy(target + i * sizeof w, &w, sizeof w);                                                           \
        }                                                                                                          \
        return n;                                                                                                  \
    }

/* A float is an integer of the type if it lies in [0, 2^bits) and has no fraction; NaN fails the comparison. The
 * cast to uint64 comes after the range test, where it is defined. */
#define NOT_UNSIGNED(limit) (!(v >= 0.0f && v < (limit)) || (float)(uint64_t)v != v)

CONVERT(u8, uint8_t, u16, uint16_t, 0)
CONVERT(u8, uint8_t, u32, uint32_t, 0)
CONVERT(u8, uint8_t, u64, uint64_t, 0)
CONVERT(u8, uint8_t, f32, float, 0)
CONVERT(u16, uint16_t, u8, uint8_t, v > UINT8_MAX)
CONVERT(u16, uint16_t, u32, uint32_t, 0)
CONVERT(u16, uint16_t, u64, uint64_t, 0)
CONVERT(u16, uint16_t, f32, float, 0)
CONVERT(u32, uint32_t, u8, uint8_t, v > UINT8_MAX)
CONVERT(u32, uint32_t, u16, uint16_t, v > UINT16_MAX)
CONVERT(u32, uint32_t, u64, uint64_t, 0)
CONVERT(u32, uint32_t, f32, float, 0)
CONVERT(u64, uint64_t, u8, uint8_t, v > UINT8_MAX)
CONVERT(u64, uint64_t, u16, uint16_t, v > UINT16_MAX)
CONVERT(u64, uint64_t, u32, uint32_t, v > UINT32_MAX)
CONVERT(u64, uint64_t, f32, float, 0)
CONVERT(f32, float, u8, uint8_t, NOT_UNSIGNED(0x1p8f))
CONVERT(f32, float, u16, uint16_t, NOT_UNSIGNED(0x1p16f))
CONVERT(f32, float, u32, uint32_t, NOT_UNSIGNED(0x1p32f))
CONVERT(f32, float, u64, uint64_t, NOT_UNSIGNED(0x1p64f))

static convert_function *const functions[6][6] = {
    [EXA_U8] = {[EXA_U16] = u8_to_u16, [EXA_U32] = u8_to_u32, [EXA_U64] = u8_to_u64, [EXA_F32] = u8_to_f32},
    [EXA_U16] = {[EXA_U8] = u16_to_u8, [EXA_U32] = u16_to_u32, [EXA_U64] = u16_to_u64, [EXA_F32] = u16_to_f32},
    [EXA_U32] = {[EXA_U8] = u32_to_u8, [EXA_U16] = u32_to_u16, [EXA_U64] = u32_to_u64, [EXA_F32] = u32_to_f32},
    [EXA_U64] = {[EXA_U8] = u64_to_u8, [EXA_U16] = u64_to_u16, [EXA_U32] = u64_to_u32, [EXA_F32] = u64_to_f32},
    [EXA_F32] = {[EXA_U8] = f32_to_u8, [EXA_U16] = f32_to_u16, [EXA_U32] = f32_to_u32, [EXA_U64] = f32_to_u64},
};

size_t exa_voxel_convert(exa_dtype from, const void *source, exa_dtype to, void *target, size_t n) {
    if (from == to) {
        memmove(target, source, n * exa_dtype_size(from));
        return n;
    }
    return functions[from][to](source, target, n);
}

size_t exa_voxel_convert_in_place(exa_dtype from, exa_dtype to, void *buffer, size_t n) {
    size_t gap = n * (exa_dtype_size(to) - exa_dtype_size(from));
    return exa_voxel_convert(from, (const char *)buffer + gap, to, buffer, n);
}

void exa_voxel_text(exa_dtype dtype, const void *data, size_t i, char out[40]) {
    if (dtype == EXA_F32) {
        float v;
        memcpy(&v, (const char *)data + i * sizeof v, sizeof v);
        snprintf(out, 40, "%.9g", (double)v);
    } else {
        uint64_t v = 0;
        size_t size = exa_dtype_size(dtype);
        memcpy(&v, (const char *)data + i * size, size); /* little-endian hosts only, as all of exaconn */
        snprintf(out, 40, "%" PRIu64, v);
    }
}
