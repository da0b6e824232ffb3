/* The bytes of a journal; docs/formats.md is their specification. */
#ifndef EXA_JOURNAL_INTERNAL_H
#define EXA_JOURNAL_INTERNAL_H

#include "exaconn/journal.h"

#define EXA_JOURNAL_MAGIC "EXAJRN\r\n"
#define EXA_JOURNAL_VERSION 1
#define EXA_JOURNAL_FILE_HEADER 64
#define EXA_JOURNAL_RECORD_MAGIC "EXAR"
#define EXA_JOURNAL_RECORD_HEADER 80

/* EXA_ERR_RANGE if run_sha256 is not 64 hexadecimal digits. */
exa_status exa_journal_pack_owner(const exa_journal_owner *owner, unsigned char header[EXA_JOURNAL_FILE_HEADER]);

/* EXA_ERR_FORMAT: not ours; EXA_ERR_CORRUPT: ours once; EXA_ERR_UNSUPPORTED: of a newer version. No messages. */
exa_status exa_journal_unpack_owner(const unsigned char header[EXA_JOURNAL_FILE_HEADER], exa_journal_owner *owner);

exa_status exa_journal_pack_record(const exa_journal_owner *owner, const exa_journal_record *record,
                                   unsigned char header[EXA_JOURNAL_RECORD_HEADER]);

/* False if these are not the bytes of a whole header of a record of `run`. Leaves record->offset alone. */
bool exa_journal_unpack_record(const unsigned char header[EXA_JOURNAL_RECORD_HEADER], uint64_t run,
                               exa_journal_record *record);

/* What stands for the run in its records: the first 8 bytes of its SHA-256. */
exa_status exa_journal_run_number(const char *run_sha256, uint64_t *run);

#endif
