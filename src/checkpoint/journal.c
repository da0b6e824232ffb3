/* The journal: a file header, then records of a header and a payload each. journal_format.c knows the bytes; here
 * they are written. The idea: the file always ends with a whole record, because what was written in part is cut off
 * again. */
#include "exaconn/journal.h"
#include "journal_internal.h"

#include "exaconn/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>
#include <zstd.h>

struct exa_journal {
    char path[EXA_PATH_BYTES];
    exa_journal_owner owner;
    int fd;
    bool broken;  /* nobody knows what is on disk */
    uint64_t end; /* of the last whole record */
    uint64_t sequence;
    int zstd_level;
    ZSTD_CCtx *zstd; /* owned; NULL without compression */
    void *buffer;    /* owned; holds a compressed payload */
    size_t buffer_size;
};

/* Writes header and payload at `offset`, whole or with an error. */
static exa_status write_at(const exa_journal *j, uint64_t offset, const void *header, size_t header_size,
                           const void *payload, size_t size) {
    struct iovec parts[2] = {{(void *)header, header_size},
                             {(void *)payload, size}}; /* pwritev does not write them */
    struct iovec *part = parts;
    int count = size ? 2 : 1;

    while (count > 0) {
        ssize_t n = pwritev(j->fd, part, count, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK(n > 0, EXA_ERR_IO, "cannot write the journal '%s': %s", j->path,
                  strerror(n < 0 ? errno : ENOSPC));
        offset += (uint64_t)n;
        while (count > 0 && (size_t)n >= part->iov_len) {
            n -= (ssize_t)part->iov_len;
            part++;
            count--;
        }
        if (count == 0) break;
        part->iov_base = (char *)part->iov_base + n;
        part->iov_len -= (size_t)n;
    }
    return EXA_OK;
}

static exa_status begin_file(exa_journal *j) {
    unsigned char header[EXA_JOURNAL_FILE_HEADER];

    EXA_TRY(exa_journal_pack_owner(&j->owner, header));
    EXA_TRY(write_at(j, 0, header, sizeof header, NULL, 0));
    EXA_TRY(exa_journal_sync(j));
    EXA_TRY(exa_file_sync_parent(j->path));
    j->end = sizeof header;
    return EXA_OK;
}

static exa_status open_new(exa_journal *j, const char *path) {
    EXA_CHECK(strlen(path) < sizeof j->path, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, path);
    memcpy(j->path, path, strlen(path) + 1);
    if (j->zstd_level > 0) {
        j->zstd = ZSTD_createCCtx();
        EXA_CHECK(j->zstd, EXA_ERR_MEMORY, "cannot allocate a compressor for the journal '%s'", path);
        ZSTD_CCtx_setParameter(j->zstd, ZSTD_c_compressionLevel, j->zstd_level);
    }
    j->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    EXA_CHECK(j->fd >= 0 || errno != EEXIST, EXA_ERR_CHECKPOINT,
              "the journal '%s' exists already; journals of an earlier start are never written again", path);
    EXA_CHECK(j->fd >= 0, EXA_ERR_IO, "cannot create the journal '%s': %s", path, strerror(errno));
    return EXA_OK;
}

exa_status exa_journal_create(const char *path, const exa_journal_owner *owner, int zstd_level,
                              exa_journal **journal) {
    exa_journal *j = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *j, "a journal", &j));
    j->owner = *owner;
    j->zstd_level = zstd_level;
    j->fd = -1;
    EXA_GOTO(fail, open_new(j, path));
    EXA_GOTO(fail, begin_file(j));
    *journal = j;
    return EXA_OK;
fail:
    if (j->fd >= 0) unlink(path);
    exa_journal_close(&j);
    return st;
}

/* The payload as it is to be stored, in record->stored_size bytes: compressed if that is shorter. */
static exa_status compress(exa_journal *j, const void *payload, exa_journal_record *record, const void **stored) {
    size_t bound, written;

    *stored = payload;
    record->stored_size = record->size;
    if (!j->zstd || record->size == 0) return EXA_OK;
    bound = ZSTD_compressBound((size_t)record->size);
    if (bound > j->buffer_size) {
        free(j->buffer);
        j->buffer = NULL;
        j->buffer_size = 0;
        EXA_TRY(exa_alloc(bound, 1, "a journal record", &j->buffer));
        j->buffer_size = bound;
    }
    written = ZSTD_compress2(j->zstd, j->buffer, bound, payload, (size_t)record->size);
    EXA_CHECK(!ZSTD_isError(written), EXA_ERR_INTERNAL, "zstd cannot compress a record of chunk %llu: %s",
              (unsigned long long)record->chunk, ZSTD_getErrorName(written));
    if (written >= record->size) return EXA_OK;
    *stored = j->buffer;
    record->stored_size = written;
    record->compressed = true;
    return EXA_OK;
}

static exa_status check_usable(const exa_journal *j) {
    EXA_CHECK(
        !j->broken, EXA_ERR_CHECKPOINT,
        "the journal '%s' failed before and takes no more records. Hint: start the run again; it goes on in a "
        "new journal",
        j->path);
    return EXA_OK;
}

exa_status exa_journal_append(exa_journal *j, uint32_t kind, exa_chunkid chunk, const void *payload, size_t size,
                              exa_journal_record *written) {
    exa_journal_record record = {.chunk = chunk,
                                 .size = size,
                                 .offset = j->end,
                                 .sequence = j->sequence,
                                 .kind = kind,
                                 .epoch = j->owner.epoch,
                                 .rank = j->owner.rank};
    unsigned char header[EXA_JOURNAL_RECORD_HEADER];
    const void *stored;
    exa_status st;

    EXA_TRY(check_usable(j));
    EXA_CHECK(size <= EXA_JOURNAL_RECORD_MAX, EXA_ERR_RANGE, "a record of %zu bytes is too large for a journal",
              size);
    EXA_TRY(compress(j, payload, &record, &stored));
    record.stored_crc = exa_crc32c(0, stored, (size_t)record.stored_size);
    EXA_TRY(exa_journal_pack_record(&j->owner, &record, header));
    st = write_at(j, j->end, header, sizeof header, stored, (size_t)record.stored_size);
    if (st != EXA_OK) {
        if (ftruncate(j->fd, (off_t)j->end) != 0) j->broken = true;
        return st;
    }
    j->end += sizeof header + record.stored_size;
    j->sequence++;
    if (written) *written = record;
    return EXA_OK;
}

exa_status exa_journal_sync(exa_journal *j) {
    EXA_TRY(check_usable(j));
    if (fdatasync(j->fd) == 0) return EXA_OK;
    j->broken = true;
    return EXA_FAIL(EXA_ERR_IO, "cannot sync the journal '%s' to disk: %s", j->path, strerror(errno));
}

uint64_t exa_journal_bytes(const exa_journal *j) {
    return j->end;
}

void exa_journal_close(exa_journal **journal) {
    exa_journal *j = *journal;

    if (!j) return;
    if (j->fd >= 0) close(j->fd);
    ZSTD_freeCCtx(j->zstd);
    free(j->buffer);
    free(j);
    *journal = NULL;
}
