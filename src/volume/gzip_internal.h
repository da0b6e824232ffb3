/* gzip of blocks in memory. The same bytes for the same input: no name, no time. */
#ifndef EXA_GZIP_INTERNAL_H
#define EXA_GZIP_INTERNAL_H

#include "exaconn/status.h"

#include <stddef.h>

/* *out is transferred (free() it). */
exa_status exa_gzip_pack(const void *data, size_t size, int level, unsigned char **out, size_t *out_size);

/* EXA_ERR_CORRUPT for what is no whole gzip member or has more than `most` bytes inside; the caller's message names
 * the place. *out is transferred. */
exa_status exa_gzip_unpack(const void *data, size_t size, size_t most, unsigned char **out, size_t *out_size);

#endif
