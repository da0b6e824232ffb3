/* What is known of the chunks of a run: every finished chunk in the journals and generations of this and of earlier
 * starts.
 *
 * In a journal a chunk is several records that follow each other: its labels, its object probabilities if there
 * are any, and last its details, the caller's bytes; with these it counts. Opening takes what the generations have
 * (exaconn/generation.h), the newest first, and replays all journals on top; to put chunks, a journal is begun.
 * What is read is checked: a chunk that is damaged in one place is read from the next older one, with a warning.
 * docs/formats.md has the bytes.
 *
 * One thread at a time.
 */
#ifndef EXACONN_CHUNK_STORE_H
#define EXACONN_CHUNK_STORE_H

#include "exaconn/chunk_grid.h"
#include "exaconn/generation.h"
#include "exaconn/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_chunk_store exa_chunk_store;

#define EXA_CHUNK_STORE_MOST ((uint64_t)1 << 28) /* chunks */

typedef struct exa_chunk_record {
    exa_chunkid chunk;
    const int32_t *labels;      /* of the chunk's box, [z, y, x]; 1 .. objects, 0 = background; borrowed */
    const uint8_t *probability; /* the same voxels, or NULL; borrowed */
    const void *details;        /* borrowed */
    size_t details_size;
} exa_chunk_record;

typedef struct exa_chunk_store_report {
    uint64_t journals, records;                /* read */
    uint64_t generations, damaged_generations; /* used; of no use at all */
    uint64_t damaged;                          /* places, a cut end not counted */
    uint64_t cut;                              /* journals that end in the middle of a record */
    uint64_t again;                            /* chunks that were there more than once */
} exa_chunk_store_report;

/* Opens the folder of journals, created if need be, and that of generations (NULL: there are none), of the run that
 * `run_sha256` stands for. With `replay` it knows what is in them; damage is logged as a warning and costs the
 * chunks that it hits, files of another run are EXA_ERR_CHECKPOINT. Of the generations the tables are looked at;
 * exa_chunk_store_check reads the rest. Without, the store only takes chunks, and knows of none. */
exa_status exa_chunk_store_open(const char *journals, const char *checkpoints, const char *run_sha256,
                                const exa_chunk_grid *grid, bool replay, exa_chunk_store **out);

/* Removes the journals of a folder if none of them has a record and there is no generation; *empty tells. */
exa_status exa_chunk_store_clear(const char *journals, const char *checkpoints, bool *empty);
void exa_chunk_store_close(exa_chunk_store **store);

/* An epoch that no journal in the folder has, if they were replayed. */
uint32_t exa_chunk_store_next_epoch(const exa_chunk_store *store);

/* Begins the journal that chunks are put into: one for each rank and epoch. */
exa_status exa_chunk_store_begin(exa_chunk_store *store, uint32_t epoch, uint32_t rank, int zstd_level);

const exa_chunk_store_report *exa_chunk_store_get_report(const exa_chunk_store *store);
uint64_t exa_chunk_store_count(const exa_chunk_store *store); /* different chunks that are there */
/* What a part of all of them takes on disk; in generations, its share. */
uint64_t exa_chunk_store_part_bytes(const exa_chunk_store *store, exa_chunk_part part);
bool exa_chunk_store_has(const exa_chunk_store *store, exa_chunkid k);

/* Appends a chunk, after exa_chunk_store_begin. When it returns EXA_OK, the chunk is on disk. A chunk that is there
 * already is replaced. */
exa_status exa_chunk_store_put(exa_chunk_store *store, const exa_chunk_record *record);

/* Appends what is finished of a chunk in work, the caller's bytes; on disk when it returns EXA_OK. */
exa_status exa_chunk_store_put_progress(exa_chunk_store *store, exa_chunkid k, const void *bytes, size_t size);

/* The next of these parts that earlier starts have put of a chunk that is not there, in the order they were put;
 * *next begins at 0. *bytes (transferred) is NULL after the last one. An error is about that part alone. */
exa_status exa_chunk_store_progress(exa_chunk_store *store, exa_chunkid k, size_t *next, void **bytes,
                                    size_t *size);

/* Reads what was put: labels (int32 of the chunk's box), probability (EXA_ERR_RANGE if there is none), details
 * (transferred, free() it). The chunk must be there. */
exa_status exa_chunk_store_labels(exa_chunk_store *store, exa_chunkid k, int32_t *labels);
exa_status exa_chunk_store_probability(exa_chunk_store *store, exa_chunkid k, uint8_t *probability);
exa_status exa_chunk_store_details(exa_chunk_store *store, exa_chunkid k, void **details, size_t *size);

/* Gives what rank 0's store knows to the stores of all ranks, so that all can read; once, a second call does
 * nothing. Collective; nothing may have been put into rank 0's store. */
exa_status exa_chunk_store_share(exa_chunk_store *store);

/* Reads all chunks that lie in generations, each rank its part, and forgets what is damaged: on rank 0 a chunk is
 * there afterwards only if all of it is whole. (Journals are read when they are replayed.) If there is a generation
 * it shares first. Collective. */
exa_status exa_chunk_store_check(exa_chunk_store *store);

#ifdef __cplusplus
}
#endif
#endif
