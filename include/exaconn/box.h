/* Boxes, shapes and element types. Axis order is z, y, x everywhere, x fastest in memory. */
#ifndef EXACONN_BOX_H
#define EXACONN_BOX_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int64_t exa_coord;  /* voxels */
typedef uint64_t exa_segid; /* 0 = background */

typedef struct exa_box {
    exa_coord start[3]; /* zyx, first voxel */
    exa_coord shape[3]; /* zyx, voxels */
} exa_box;

typedef enum exa_dtype { EXA_DTYPE_NONE = 0, EXA_U8, EXA_U16, EXA_U32, EXA_U64, EXA_F32 } exa_dtype;

/* Bytes of one element; 0 for EXA_DTYPE_NONE. */
size_t exa_dtype_size(exa_dtype dtype);
const char *exa_dtype_name(exa_dtype dtype); /* "uint8", ... as numpy says it */

/* True if every voxel of `inner` lies in `outer`. Shapes must be >= 0. No overflow for any int64 input. */
bool exa_box_inside(const exa_box *inner, const exa_box *outer);

/* For qsort and bsearch of ids. */
int exa_segid_order(const void *a, const void *b);

/* Where the voxel z, y, x, which lies in `box`, stands in a dense array [z, y, x] of the box. */
static inline size_t exa_box_index(const exa_box *box, exa_coord z, exa_coord y, exa_coord x) {
    return (size_t)(((z - box->start[0]) * box->shape[1] + y - box->start[1]) * box->shape[2] + x - box->start[2]);
}

/* The common part; shape 0 on an axis where there is none. */
exa_box exa_box_intersect(const exa_box *a, const exa_box *b);

/* Product of the shape, EXA_ERR_RANGE if negative or beyond 2^63-1. */
exa_status exa_box_voxels(const exa_box *box, int64_t *voxels);

/* count * size in bytes, EXA_ERR_RANGE if it does not fit size_t. */
exa_status exa_size_mul(size_t count, size_t size, size_t *bytes);

/* malloc/calloc with the library's error ("cannot allocate 1.2 GiB for the object map"); bytes 0 gives 1 byte.
 * `what` names the use. The result is 64-byte aligned; free() it. */
exa_status exa_alloc(size_t count, size_t size, const char *what, void *pointer_out);
exa_status exa_calloc(size_t count, size_t size, const char *what, void *pointer_out);

/* Zeroed floats on huge pages where the system grants them, for what is walked through over and over; `bytes_out`
 * receives what they take. Free with free(). */
exa_status exa_huge_calloc(size_t floats, const char *what, float **out, size_t *bytes_out);

/* Room for `wanted` items of `size` bytes in the array that `array` points to (by realloc), doubling *capacity;
 * `what` names them in the error. */
exa_status exa_grow(void *array, size_t *capacity, size_t size, size_t wanted, const char *what);

/* "1.2 GiB" into `out`; returns out. */
const char *exa_format_bytes(double bytes, char out[32]);

#ifdef __cplusplus
}
#endif
#endif
