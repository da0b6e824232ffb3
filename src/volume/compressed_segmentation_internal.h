/* Neuroglancer's compressed_segmentation: labels by small blocks, each with a table of its distinct values and as
 * few bits a voxel as that table needs. docs/formats.md says what lies where.
 */
#ifndef EXA_COMPRESSED_SEGMENTATION_INTERNAL_H
#define EXA_COMPRESSED_SEGMENTATION_INTERNAL_H

#include "exaconn/box.h"

#define EXA_COMPRESSED_SEGMENTATION_BLOCK 8 /* on each axis, of what we write */

/* Encodes labels [z, y, x], dense. *out is transferred (free() it); the same labels give the same bytes. */
exa_status exa_compressed_segmentation_encode(const uint64_t *labels, const exa_coord shape[3], unsigned char **out,
                                              size_t *size);

/* Decodes into `labels`, elements of 4 or 8 bytes. EXA_ERR_CORRUPT for what points outside itself. */
exa_status exa_compressed_segmentation_decode(const unsigned char *data, size_t size, const exa_coord shape[3],
                                              const exa_coord block[3], size_t element, void *labels);

#endif
