/* The table behind exaconn/chunk_store.h, shared by what fills it (replay), spreads it (share) and reads it. */
#ifndef EXA_CHUNK_STORE_INTERNAL_H
#define EXA_CHUNK_STORE_INTERNAL_H

#include "exaconn/chunk_store.h"
#include "exaconn/file.h"
#include "exaconn/generation.h"
#include "exaconn/journal.h"

/* Kinds of journal records: exa_chunk_part + 1, and what is finished of a chunk in work. */
enum { LABELS = 1, PROBABILITY = 2, DETAILS = 3, PROGRESS = 4 };

/* Where a chunk is: the number of a journal below FIRST_GENERATION, of a generation from there on, or: */
enum { OWN = UINT32_MAX - 1, ABSENT = UINT32_MAX };
#define FIRST_GENERATION ((uint32_t)1 << 31)

typedef struct chunk_entry {
    exa_journal_record part[EXA_CHUNK_PARTS]; /* in a journal; of a generation only the sizes */
    uint64_t row;                             /* in a generation */
    uint32_t source;
    bool has_probability;
} chunk_entry;

typedef struct stored_generation {
    uint64_t number;
    exa_generation *open; /* owned; NULL until needed */
    bool refused;         /* it cannot be opened */
} stored_generation;

typedef struct stored_journal {
    char *name;                 /* owned */
    uint64_t used;              /* when it was used last */
    exa_journal_reader *reader; /* owned; opened when needed */
    bool other;                 /* it has records that are no parts of chunks */
} stored_journal;

/* A part of a chunk that is not there as a whole. */
typedef struct stored_progress {
    uint32_t journal;
    exa_journal_record record;
} stored_progress;

struct exa_chunk_store {
    bool shared; /* all ranks know what rank 0 does */
    char folder[EXA_PATH_BYTES], checkpoints[EXA_PATH_BYTES], own_path[EXA_PATH_BYTES];
    exa_chunk_grid grid;
    exa_journal_owner owner;
    exa_chunk_store_report report;
    chunk_entry *entries; /* owned; of the chunks; NULL: it only takes chunks */
    uint64_t count;
    stored_journal *journals; /* owned; of earlier starts, in the order of their names */
    size_t journal_count, journal_capacity;
    stored_generation *generations; /* owned; ascending */
    size_t generation_count;
    stored_progress *progress; /* owned; as they were journaled */
    size_t progress_count, progress_capacity;
    uint64_t now;
    exa_journal *own;            /* owned; of this start */
    exa_journal_reader *reading; /* owned; of `own`, opened again when it has grown */
    uint64_t reading_bytes;
};

/* chunk_store_replay.c */
exa_status exa_chunk_store_replay(exa_chunk_store *s);
exa_status exa_chunk_store_list_journals(exa_chunk_store *s);
exa_status exa_chunk_store_voxels(const exa_chunk_store *s, exa_chunkid k, uint64_t *voxels);
void exa_chunk_store_take(exa_chunk_store *s, const chunk_entry *found, exa_chunkid k);
bool exa_chunk_store_row_fits(const exa_chunk_store *s, const exa_generation_row *row);
void exa_chunk_store_entry_of_row(const exa_generation_row *row, uint64_t index, uint32_t source, chunk_entry *e);

/* chunk_store.c */
exa_status exa_chunk_store_generation(exa_chunk_store *s, size_t i, exa_generation **generation);
exa_status exa_chunk_store_load(exa_chunk_store *s, exa_chunkid k, exa_chunk_part part, void *to);

/* Reads all of a chunk and forgets what is damaged: afterwards it is whole, or not there. */
exa_status exa_chunk_store_check_chunk(exa_chunk_store *s, exa_chunkid k);

#endif
