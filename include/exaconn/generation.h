/* A generation: one checkpoint file with every finished chunk of a run, written by all ranks together.
 *
 * It is HDF5, so that others read it (h5py with hdf5plugin): /chunks, a table of what is where with a checksum of
 * each row, and of each chunk's parts; /labels, /probability and /details, one after another for all chunks;
 * /identity and /job, what the run is. Each chunk's parts begin at a storage chunk of their own, so that no two
 * ranks ever write the same one. docs/formats.md has the rest.
 *
 * Nothing read from a generation is believed: HDF5's own metadata carry checksums, rows and parts ours.
 * A generation is used by one thread at a time.
 */
#ifndef EXACONN_GENERATION_H
#define EXACONN_GENERATION_H

#include "exaconn/chunk_grid.h"
#include "exaconn/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_generation exa_generation;

typedef enum exa_chunk_part {
    EXA_CHUNK_LABELS = 0,  /* int32 of the chunk's box */
    EXA_CHUNK_PROBABILITY, /* uint8 of the same voxels; of some runs */
    EXA_CHUNK_DETAILS,     /* bytes */
    EXA_CHUNK_PARTS
} exa_chunk_part;

/* A row of /chunks. */
typedef struct exa_generation_row {
    exa_chunkid chunk;
    exa_box box;                    /* in voxels of the volume */
    uint64_t size[EXA_CHUNK_PARTS]; /* bytes; probability 0: there is none */
    uint64_t at[EXA_CHUNK_PARTS];   /* first element in the part's dataset */
    uint32_t crc[EXA_CHUNK_PARTS];  /* CRC-32C of the bytes, little-endian */
    bool whole;                     /* false: the row is damaged, and nothing else of it is true */
} exa_generation_row;

typedef struct exa_generation_info {
    uint64_t number;       /* of the generation, from 1 */
    uint64_t chunks, rows; /* of the run; in here */
    uint32_t epoch;        /* the last start of the run that it holds chunks of */
    char run_sha256[EXA_SHA256_HEX_BYTES];
    char weights_sha256[EXA_SHA256_HEX_BYTES]; /* "" if not known */
    char made_by[64];
    uint64_t damaged_rows;
} exa_generation_info;

/* Opens to read. EXA_ERR_CHECKPOINT: of another run than `run_sha256` (NULL: any will do); EXA_ERR_FORMAT: HDF5,
 * but no generation; EXA_ERR_CORRUPT, EXA_ERR_FORMAT or EXA_ERR_IO: it cannot be used. */
exa_status exa_generation_open(const char *path, const char *run_sha256, exa_generation **out);
void exa_generation_close(exa_generation **generation);

const exa_generation_info *exa_generation_get_info(const exa_generation *generation);
const exa_generation_row *exa_generation_rows(const exa_generation *generation); /* info.rows; sorted by chunk */

/* What a part of all rows takes on disk. */
uint64_t exa_generation_stored_bytes(exa_generation *generation, exa_chunk_part part);

/* The bytes of a part of row number `row`, row->size[part] of them; EXA_ERR_CORRUPT if they are not those that were
 * written. */
exa_status exa_generation_read(exa_generation *generation, uint64_t row, exa_chunk_part part, void *bytes);

/* Reads all of it; *damaged rows are not whole, or have a part that is not. */
exa_status exa_generation_read_all(exa_generation *generation, uint64_t *damaged);

/* The text the run's SHA-256 is of, and the effective job: fresh (free()). */
exa_status exa_generation_identity(exa_generation *generation, char **text);
exa_status exa_generation_job(exa_generation *generation, char **json);

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* Where the content comes from; the same rows on every rank. */
typedef struct exa_generation_source {
    exa_generation_info info;   /* without rows, made_by, damaged_rows */
    const char *identity, *job; /* borrowed; needed on rank 0 */
    exa_generation_row *rows;   /* borrowed; chunk (ascending), box and size are given, the rest is filled in */
    uint64_t count;
    uint64_t stored_bytes; /* about what it takes on disk, to be refused before there is no room; 0 = not known */
    int zstd_level;        /* 1 .. 19 */
    /* The bytes of a part of row `row`, which is one of this rank's own share. */
    exa_status (*read)(void *context, uint64_t row, exa_chunk_part part, void *bytes);
    void *context;
} exa_generation_source;

/* Writes `path` under a temporary name, reads all of it back (each rank what another one wrote), compares every
 * checksum, and only then renames it into place. Collective: it fails on all ranks or on none, and then nothing is
 * left of it. A rank needs memory for the largest part of a chunk and two pieces of 32 MiB. */
exa_status exa_generation_write(const char *path, exa_generation_source *source);

/* The rows whose content is `rank`'s of `size` to write: [*first, *end), neighbours along the curve, so that all
 * have about as many bytes. */
void exa_generation_share(const exa_generation_row *rows, uint64_t count, int rank, int size, uint64_t *first,
                          uint64_t *end);

/* ---- the folder ---------------------------------------------------------------------------------------------- */

/* "gen-000012.h5" and back; false if it is not such a name. */
void exa_generation_name(uint64_t number, char out[32]);
bool exa_generation_parse_name(const char *name, uint64_t *number);

/* The numbers of the generations in a folder, ascending (transferred); none if there is no such folder. */
exa_status exa_generation_list(const char *folder, uint64_t **numbers, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
