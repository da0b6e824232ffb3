/* A bounds-checked walk over untrusted bytes: little-endian integers, LEB128 varints, protobuf fields.
 *
 * Every function returns false, and leaves the outputs alone, when the bytes do not hold what is asked for.
 */
#ifndef EXA_WEIGHTS_CURSOR_INTERNAL_H
#define EXA_WEIGHTS_CURSOR_INTERNAL_H

#include "exaconn/little_endian.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct exa_cursor {
    const unsigned char *p, *end;
} exa_cursor;

static inline size_t exa_cursor_left(const exa_cursor *c) {
    return (size_t)(c->end - c->p);
}

static inline exa_cursor exa_cursor_make(const void *data, size_t size) {
    exa_cursor c = {(const unsigned char *)data, (const unsigned char *)data + size};
    return c;
}

/* At most ten bytes; bits beyond the 64th are refused. */
static inline bool exa_cursor_varint(exa_cursor *c, uint64_t *value) {
    uint64_t v = 0;
    const unsigned char *p = c->p;
    for (int shift = 0; shift < 70 && p < c->end; shift += 7) {
        unsigned char byte = *p++;
        if (shift == 63 && byte > 1) return false;
        v |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80) {
            c->p = p;
            *value = v;
            return true;
        }
    }
    return false;
}

static inline bool exa_cursor_bytes(exa_cursor *c, uint64_t size, exa_cursor *out) {
    if (size > exa_cursor_left(c)) return false;
    *out = exa_cursor_make(c->p, (size_t)size);
    c->p += size;
    return true;
}

/* One protobuf field: varint and fixed values in `value`, a length-delimited one in `bytes`. */
typedef struct exa_proto_field {
    uint64_t value;
    exa_cursor bytes;
    uint32_t number;
    enum { EXA_PROTO_VARINT = 0, EXA_PROTO_FIXED64 = 1, EXA_PROTO_BYTES = 2, EXA_PROTO_FIXED32 = 5 } wire;
} exa_proto_field;

static inline bool exa_cursor_field(exa_cursor *c, exa_proto_field *field) {
    uint64_t tag, size;
    exa_proto_field f = {0, {NULL, NULL}, 0, EXA_PROTO_VARINT};

    if (!exa_cursor_varint(c, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1FFFFFFF) return false;
    f.number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case EXA_PROTO_VARINT:
        if (!exa_cursor_varint(c, &f.value)) return false;
        break;
    case EXA_PROTO_FIXED64:
        f.wire = EXA_PROTO_FIXED64;
        if (!exa_cursor_bytes(c, 8, &f.bytes)) return false;
        f.value = exa_load_le64(f.bytes.p);
        break;
    case EXA_PROTO_BYTES:
        f.wire = EXA_PROTO_BYTES;
        if (!exa_cursor_varint(c, &size) || !exa_cursor_bytes(c, size, &f.bytes)) return false;
        break;
    case EXA_PROTO_FIXED32:
        f.wire = EXA_PROTO_FIXED32;
        if (!exa_cursor_bytes(c, 4, &f.bytes)) return false;
        f.value = exa_load_le32(f.bytes.p);
        break;
    default: return false; /* groups are not used */
    }
    *field = f;
    return true;
}

#endif
