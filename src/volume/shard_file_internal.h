/* Files that hold many chunks each (neuroglancer_uint64_sharded_v1), and the numbers of chunks in them.
 *
 *   [shard index: for each minishard, where its index lies][chunks ...][minishard indices ...]
 *
 * A chunk's number is the compressed Morton code of its place in the grid. With the identity hash the low bits,
 * preshift + minishard, count the chunks of one file, so that a file is an aligned block of the grid.
 */
#ifndef EXA_SHARD_FILE_INTERNAL_H
#define EXA_SHARD_FILE_INTERNAL_H

#include "exaconn/box.h"
#include "exaconn/file.h"

typedef struct exa_shard_spec {
    bool murmur; /* hash murmurhash3_x86_128 instead of identity */
    int preshift_bits, minishard_bits, shard_bits;
    bool gzip_index, gzip_data;
} exa_shard_spec;

/* Bits of the largest number in a grid (z, y, x chunks); EXA_ERR_RANGE beyond 64. */
exa_status exa_morton_bits(const exa_coord grid[3], int *bits);
uint64_t exa_morton_encode(const exa_coord grid[3], const exa_coord cell[3]);
void exa_morton_decode(const exa_coord grid[3], uint64_t code, exa_coord cell[3]); /* maybe outside the grid */

/* Bits that make a file of a grid with `bits`: enough files for many ranks, but not too many of them. */
void exa_shard_choose(int bits, int gzip_level, exa_shard_spec *spec);

uint64_t exa_shard_hash(const exa_shard_spec *spec, uint64_t chunk);
uint64_t exa_shard_of(const exa_shard_spec *spec, uint64_t chunk);
exa_status exa_shard_path(const char *folder, const exa_shard_spec *spec, uint64_t shard, char out[EXA_PATH_BYTES]);

/* ---- writing ------------------------------------------------------------------------------------------------- */

typedef struct exa_shard_writer exa_shard_writer;

/* Makes the file of `shard` under a temporary name; commit syncs and renames it, destroy without commit removes it.
 * Chunks come by ascending number, hash identity. The same chunks give the same bytes. */
exa_status exa_shard_writer_create(const char *folder, const exa_shard_spec *spec, int gzip_level, uint64_t shard,
                                   exa_shard_writer **out);
exa_status exa_shard_writer_add(exa_shard_writer *writer, uint64_t chunk, const void *data, size_t size);
exa_status exa_shard_writer_commit(exa_shard_writer *writer);
void exa_shard_writer_destroy(exa_shard_writer **writer);

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct exa_shard_reader exa_shard_reader;

exa_status exa_shard_reader_create(const char *folder, const exa_shard_spec *spec, exa_shard_reader **out);

/* A chunk as it was added, of at most `most` bytes; *data (transferred) is NULL where there is none. Damage is
 * EXA_ERR_CORRUPT with the file's name. */
exa_status exa_shard_reader_get(exa_shard_reader *reader, uint64_t chunk, size_t most, unsigned char **data,
                                size_t *size);
void exa_shard_reader_destroy(exa_shard_reader **reader);

#endif
