/* Element-wise conversion between the five voxel types, with the checks that exaconn/volume.h promises. */
#ifndef EXA_VOXEL_CONVERT_INTERNAL_H
#define EXA_VOXEL_CONVERT_INTERNAL_H

#include "exaconn/box.h"

/* Converts `n` elements; returns n, or the index of the first value that `to` cannot hold (elements before it are
 * converted). The buffers may overlap only as in exa_voxel_convert_in_place. */
size_t exa_voxel_convert(exa_dtype from, const void *source, exa_dtype to, void *target, size_t n);

/* `buffer` has room for n elements of `to`, which is not narrower than `from`; the n source elements stand at its
 * end. Works forward: element i is read before any byte of it is overwritten. */
size_t exa_voxel_convert_in_place(exa_dtype from, exa_dtype to, void *buffer, size_t n);

/* The i-th element as text, for messages. */
void exa_voxel_text(exa_dtype dtype, const void *data, size_t i, char out[40]);

#endif
