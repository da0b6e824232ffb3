/* The journal of a rank: an append-only file of records, so that what was computed survives the death of anything.
 *
 * A rank writes one journal in each epoch (each start of the run) and never appends to an old one. A record belongs
 * to a chunk and has a kind and a payload, both the caller's; it is compressed, and its header and its payload
 * carry CRCs. Only after exa_journal_sync has returned may anybody be told that a record exists.
 *
 * Reading finds every record that is whole. Damage costs the records it hits and no others: each header says which
 * run, epoch and rank it belongs to and proves itself, so that after a damaged one the next can be searched for.
 * docs/formats.md has the bytes.
 *
 * A journal or reader is used by one thread at a time.
 */
#ifndef EXACONN_JOURNAL_H
#define EXACONN_JOURNAL_H

#include "exaconn/chunk_grid.h"
#include "exaconn/hash.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_journal exa_journal;
typedef struct exa_journal_reader exa_journal_reader;

/* Whose records these are. */
typedef struct exa_journal_owner {
    char run_sha256[EXA_SHA256_HEX_BYTES]; /* of what decides the run's result: job, weights, plan */
    uint32_t epoch, rank;
} exa_journal_owner;

#define EXA_JOURNAL_RECORD_MAX ((size_t)1 << 40) /* bytes of a payload */

typedef struct exa_journal_record {
    exa_chunkid chunk;
    uint64_t size;        /* bytes of the payload */
    uint64_t stored_size; /* as it lies in the file */
    uint64_t offset;      /* of the record in the file */
    uint64_t sequence;    /* number of the record in its journal, from 0 */
    uint32_t kind, epoch, rank;
    uint32_t stored_crc; /* CRC-32C of the stored bytes */
    bool compressed;     /* by zstd */
} exa_journal_record;

/* What a reader has met that is not a whole record. */
typedef struct exa_journal_damage {
    uint64_t regions;      /* separate places */
    uint64_t bytes;        /* skipped */
    uint64_t first_offset; /* where it began */
    uint64_t tail_bytes;   /* at the end: a record that was being written when its writer died */
    bool header;           /* the file's own header is damaged (its records may well be whole) */
} exa_journal_damage;

/* Creates the file `path` and makes it durable; one that exists is EXA_ERR_CHECKPOINT and left alone. `zstd_level`
 * 0 stores without compression. */
exa_status exa_journal_create(const char *path, const exa_journal_owner *owner, int zstd_level,
                              exa_journal **journal);

/* Appends a record; `record`, if not NULL, is what a reader would say of it. It is durable after the next
 * exa_journal_sync. If it cannot be written (disk full), what was
 * written of it is taken back, the journal stays usable, and the call may be repeated. */
exa_status exa_journal_append(exa_journal *journal, uint32_t kind, exa_chunkid chunk, const void *payload,
                              size_t size, exa_journal_record *record);

/* fdatasync. If it fails nobody knows what of the last records is on disk, and a second call might wrongly succeed:
 * the journal refuses everything from then on, and the records since the last success belong into a new one. */
exa_status exa_journal_sync(exa_journal *journal);

uint64_t exa_journal_bytes(const exa_journal *journal); /* so far in the file */

/* Closes without syncing. */
void exa_journal_close(exa_journal **journal);

/* Opens a journal to read what is in it now. One of another run than `run_sha256` is EXA_ERR_CHECKPOINT. A file
 * whose own header is damaged or not there yet is opened nevertheless, and records of that run are taken from it.
 * With NULL a journal of any run is opened, a damaged header is EXA_ERR_CORRUPT, and a file without one
 * EXA_ERR_FORMAT. */
exa_status exa_journal_open(const char *path, const char *run_sha256, exa_journal_reader **reader);
void exa_journal_reader_close(exa_journal_reader **reader);

/* The owner, as the header has it; run_sha256 is "" if the header is damaged. */
const exa_journal_owner *exa_journal_reader_owner(const exa_journal_reader *reader);

/* The next whole record; its CRCs have been checked. *end is true, and `record` untouched, after the last one. */
exa_status exa_journal_next(exa_journal_reader *reader, exa_journal_record *record, bool *end);

/* Reads the payload of a record that exa_journal_next gave (of this file; of this opening or another) into
 * `payload`, record->size bytes. What changed on disk since is EXA_ERR_CORRUPT. */
exa_status exa_journal_load(exa_journal_reader *reader, const exa_journal_record *record, void *payload);

/* Of what exa_journal_next has passed. */
const exa_journal_damage *exa_journal_reader_damage(const exa_journal_reader *reader);

#ifdef __cplusplus
}
#endif
#endif
