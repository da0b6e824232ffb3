/* Reads a journal, whatever happened to it. The idea: a header that proves itself is a place to go on from, so
 * after anything that is no whole record the next such header is searched for. */
#include "journal_internal.h"

#include "exaconn/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#define BUFFER_BYTES ((size_t)1 << 20)

struct exa_journal_reader {
    char path[EXA_PATH_BYTES];
    exa_journal_owner owner;
    exa_journal_damage damage;
    int fd;
    uint64_t run;
    uint64_t size;         /* of the file when it was opened */
    uint64_t at;           /* where the next record is expected */
    unsigned char *buffer; /* owned; BUFFER_BYTES */
};

/* Reads `size` bytes that are there. */
static exa_status read_at(const exa_journal_reader *r, uint64_t offset, void *to, size_t size) {
    char *p = to;

    while (size > 0) {
        ssize_t n = pread(r->fd, p, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK(n >= 0, EXA_ERR_IO, "cannot read the journal '%s': %s", r->path, strerror(errno));
        EXA_CHECK(n > 0, EXA_ERR_CORRUPT, "the journal '%s' became shorter while it was read", r->path);
        p += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return EXA_OK;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* The verdict on the file's own header. */
static exa_status read_owner(exa_journal_reader *r, exa_status *verdict) {
    unsigned char header[EXA_JOURNAL_FILE_HEADER];

    *verdict = EXA_ERR_CORRUPT;
    if (r->size < sizeof header) return EXA_OK;
    EXA_TRY(read_at(r, 0, header, sizeof header));
    *verdict = exa_journal_unpack_owner(header, &r->owner);
    return EXA_OK;
}

static exa_status check_owner(exa_journal_reader *r, const char *run_sha256) {
    exa_status verdict;

    EXA_TRY(read_owner(r, &verdict));
    EXA_CHECK(verdict != EXA_ERR_UNSUPPORTED, EXA_ERR_UNSUPPORTED,
              "the journal '%s' is of a newer format. Hint: use a newer exaconn", r->path);
    /* A file that is too short was being created when its writer died. */
    r->damage.header = verdict != EXA_OK && r->size >= EXA_JOURNAL_FILE_HEADER;
    if (verdict == EXA_OK) {
        EXA_CHECK(
            !run_sha256 || strcmp(run_sha256, r->owner.run_sha256) == 0, EXA_ERR_CHECKPOINT,
            "the journal '%s' belongs to another run (%.12s..., not %.12s...). Hint: every run has a folder of "
            "its own",
            r->path, r->owner.run_sha256, run_sha256);
        return exa_journal_run_number(r->owner.run_sha256, &r->run);
    }
    EXA_CHECK(run_sha256 || verdict != EXA_ERR_FORMAT, EXA_ERR_FORMAT,
              "'%s' is not a journal (its first bytes are not \"EXAJRN\")", r->path);
    EXA_CHECK(
        run_sha256, EXA_ERR_CORRUPT,
        "the header of the journal '%s' is damaged, so nobody knows which run it belongs to. Hint: a run that "
        "resumes takes its records from it nevertheless",
        r->path);
    return exa_journal_run_number(run_sha256, &r->run);
}

static exa_status open_file(exa_journal_reader *r, const char *path) {
    struct stat info;

    EXA_CHECK(strlen(path) < sizeof r->path, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, path);
    memcpy(r->path, path, strlen(path) + 1);
    r->fd = open(path, O_RDONLY | O_CLOEXEC);
    EXA_CHECK(r->fd >= 0, EXA_ERR_IO, "cannot open the journal '%s': %s", path, strerror(errno));
    EXA_CHECK(fstat(r->fd, &info) == 0, EXA_ERR_IO, "cannot examine '%s': %s", path, strerror(errno));
    EXA_CHECK(S_ISREG(info.st_mode), EXA_ERR_FORMAT, "'%s' is not a journal: it is no ordinary file", path);
    r->size = (uint64_t)info.st_size;
    return EXA_OK;
}

exa_status exa_journal_open(const char *path, const char *run_sha256, exa_journal_reader **reader) {
    exa_journal_reader *r = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *r, "a journal reader", &r));
    r->fd = -1;
    EXA_GOTO(fail, open_file(r, path));
    EXA_GOTO(fail, check_owner(r, run_sha256));
    r->at = *r->owner.run_sha256 == '\0' ? 0 : EXA_JOURNAL_FILE_HEADER; /* bytes may be missing or too many */
    *reader = r;
    return EXA_OK;
fail:
    exa_journal_reader_close(&r);
    return st;
}

void exa_journal_reader_close(exa_journal_reader **reader) {
    exa_journal_reader *r = *reader;

    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    free(r->buffer);
    free(r);
    *reader = NULL;
}

const exa_journal_owner *exa_journal_reader_owner(const exa_journal_reader *reader) {
    return &reader->owner;
}

const exa_journal_damage *exa_journal_reader_damage(const exa_journal_reader *reader) {
    return &reader->damage;
}

/* ---- one record after another -------------------------------------------------------------------------------- */

static exa_status stored_crc(exa_journal_reader *r, const exa_journal_record *record, uint32_t *crc) {
    uint64_t at = record->offset + EXA_JOURNAL_RECORD_HEADER, left = record->stored_size;

    *crc = 0;
    while (left > 0) {
        size_t n = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        EXA_TRY(read_at(r, at, r->buffer, n));
        *crc = exa_crc32c(*crc, r->buffer, n);
        at += n;
        left -= n;
    }
    return EXA_OK;
}

static bool fits(const exa_journal_reader *r, const exa_journal_record *record) {
    return record->stored_size <= r->size - record->offset - EXA_JOURNAL_RECORD_HEADER;
}

/* The record that begins at `offset`, if a whole one does. */
static exa_status examine(exa_journal_reader *r, uint64_t offset, exa_journal_record *record, bool *whole) {
    unsigned char header[EXA_JOURNAL_RECORD_HEADER];
    exa_journal_record found = {.offset = offset};
    uint32_t crc;

    *whole = false;
    if (offset > r->size || r->size - offset < sizeof header) return EXA_OK;
    EXA_TRY(read_at(r, offset, header, sizeof header));
    if (!exa_journal_unpack_record(header, r->run, &found) || !fits(r, &found)) return EXA_OK;
    EXA_TRY(stored_crc(r, &found, &crc));
    *whole = crc == found.stored_crc;
    if (*whole) *record = found;
    return EXA_OK;
}

/* The first place from `offset` on where a record's magic stands; the file's size if there is none. */
static exa_status find_magic(exa_journal_reader *r, uint64_t *offset) {
    const size_t length = strlen(EXA_JOURNAL_RECORD_MAGIC);

    while (r->size - *offset >= EXA_JOURNAL_RECORD_HEADER) {
        uint64_t left = r->size - *offset;
        size_t n = left < BUFFER_BYTES ? (size_t)left : BUFFER_BYTES;
        const unsigned char *hit;
        EXA_TRY(read_at(r, *offset, r->buffer, n));
        hit = memmem(r->buffer, n, EXA_JOURNAL_RECORD_MAGIC, length);
        if (hit) {
            *offset += (uint64_t)(hit - r->buffer);
            return EXA_OK;
        }
        *offset += n - (length - 1); /* a magic may lie across the end of the buffer */
    }
    *offset = r->size;
    return EXA_OK;
}

/* From a place where no whole record begins to the next where one does, or to the end. */
static exa_status search(exa_journal_reader *r, exa_journal_record *record, bool *end) {
    uint64_t from = r->at, offset = from;
    bool whole = false;

    while (!whole) {
        offset++;
        if (offset < r->size) EXA_TRY(find_magic(r, &offset));
        if (offset >= r->size) break;
        EXA_TRY(examine(r, offset, record, &whole));
    }
    *end = !whole;
    if (!whole) {
        r->damage.tail_bytes = r->size - from;
        r->at = r->size;
        return EXA_OK;
    }
    if (r->damage.regions++ == 0) r->damage.first_offset = from;
    r->damage.bytes += offset - from;
    return EXA_OK;
}

exa_status exa_journal_next(exa_journal_reader *r, exa_journal_record *record, bool *end) {
    exa_journal_record found;
    bool whole;

    *end = r->at >= r->size;
    if (*end) return EXA_OK;
    if (!r->buffer) EXA_TRY(exa_alloc(BUFFER_BYTES, 1, "a buffer for journals", &r->buffer));
    EXA_TRY(examine(r, r->at, &found, &whole));
    if (!whole) {
        EXA_TRY(search(r, &found, end));
        if (*end) return EXA_OK;
    }
    r->at = found.offset + EXA_JOURNAL_RECORD_HEADER + found.stored_size;
    *record = found;
    return EXA_OK;
}

/* ---- payloads ------------------------------------------------------------------------------------------------ */

static exa_status decompress(const exa_journal_reader *r, const exa_journal_record *record, const void *stored,
                             void *payload) {
    size_t n = ZSTD_decompress(payload, (size_t)record->size, stored, (size_t)record->stored_size);

    EXA_CHECK(!ZSTD_isError(n) && n == record->size, EXA_ERR_CORRUPT,
              "the journal '%s' has a record of chunk %llu at byte %llu that does not decompress: %s", r->path,
              (unsigned long long)record->chunk, (unsigned long long)record->offset,
              ZSTD_isError(n) ? ZSTD_getErrorName(n) : "it is too short");
    return EXA_OK;
}

exa_status exa_journal_load(exa_journal_reader *r, const exa_journal_record *record, void *payload) {
    void *stored = payload;
    exa_status st = EXA_OK;

    EXA_CHECK(record->offset <= r->size && r->size - record->offset >= EXA_JOURNAL_RECORD_HEADER && fits(r, record),
              EXA_ERR_CORRUPT, "the journal '%s' has %llu bytes: no record can be at byte %llu", r->path,
              (unsigned long long)r->size, (unsigned long long)record->offset);
    if (record->compressed) EXA_TRY(exa_alloc((size_t)record->stored_size, 1, "a journal record", &stored));
    EXA_GOTO(done, read_at(r, record->offset + EXA_JOURNAL_RECORD_HEADER, stored, (size_t)record->stored_size));
    EXA_CHECK_GOTO(done, exa_crc32c(0, stored, (size_t)record->stored_size) == record->stored_crc, EXA_ERR_CORRUPT,
                   "the journal '%s' has a damaged record of chunk %llu at byte %llu", r->path,
                   (unsigned long long)record->chunk, (unsigned long long)record->offset);
    if (record->compressed) EXA_GOTO(done, decompress(r, record, stored, payload));
done:
    if (record->compressed) free(stored);
    return st;
}
