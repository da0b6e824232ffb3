/* Reads a LevelDB-style sorted string table that is wholly in memory.
 *
 *   data block ... | metaindex block | index block | footer (48 bytes)
 *   block   = entries, restart array (uint32 each), restart count (uint32); then a trailer: type, masked CRC-32C
 *   entry   = varint shared, varint fresh, varint value size; fresh key bytes; value
 *   footer  = metaindex handle, index handle (varint offset, varint size), zeros to 40 bytes, magic (uint64)
 */
#ifndef EXA_WEIGHTS_SSTABLE_INTERNAL_H
#define EXA_WEIGHTS_SSTABLE_INTERNAL_H

#include "exaconn/status.h"

#include <stddef.h>
#include <stdint.h>

#include "cursor_internal.h"

/* Longest key accepted, without a terminator. */
#define EXA_SSTABLE_MAX_KEY 4096

/* Called for each entry in strictly ascending key order; `key` is zero-terminated but may hold zeros itself. */
typedef exa_status exa_sstable_visit(void *context, const char *key, size_t key_size, exa_cursor value);

/* Checks and visits everything; errors do not name the file (the caller does, by exa_error_context). */
exa_status exa_sstable_scan(const void *data, size_t size, exa_sstable_visit *visit, void *context);

/* A stored CRC as computed from the data's (LevelDB stores it rotated and offset). */
uint32_t exa_crc32c_mask(uint32_t crc);

#endif
