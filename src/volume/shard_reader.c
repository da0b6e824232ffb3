/* Reads chunks out of shard files: shard index, minishard index, chunk; every offset is checked against the file.
 *
 * The last files and minishard indices stay at hand, as neighbouring chunks share them.
 */
#include "exaconn/little_endian.h"
#include "gzip_internal.h"
#include "shard_file_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INDICES = 64, LARGEST_INDEX_BYTES = 1 << 28 };

typedef struct minishard {
    bool known;
    uint64_t shard, number;
    unsigned char *rows; /* owned; three of `count` numbers, made absolute; NULL = it holds no chunk */
    size_t count;
} minishard;

struct exa_shard_reader {
    exa_shard_spec spec;
    int fd;                /* -1 = none open */
    uint64_t shard, bytes; /* of the open file */
    minishard cache[INDICES];
    char folder[EXA_PATH_BYTES], path[EXA_PATH_BYTES];
};

exa_status exa_shard_reader_create(const char *folder, const exa_shard_spec *spec, exa_shard_reader **out) {
    exa_shard_reader *r;

    EXA_TRY(exa_calloc(1, sizeof *r, "the reader of shards", &r));
    r->spec = *spec;
    r->fd = -1;
    memcpy(r->folder, folder, strlen(folder) + 1);
    *out = r;
    return EXA_OK;
}

void exa_shard_reader_destroy(exa_shard_reader **reader) {
    exa_shard_reader *r = *reader;

    if (!r) return;
    if (r->fd >= 0) close(r->fd);
    for (int i = 0; i < INDICES; i++) free(r->cache[i].rows);
    free(r);
    *reader = NULL;
}

/* Leaves fd at -1 where there is no such file. */
static exa_status open_shard(exa_shard_reader *r, uint64_t shard) {
    struct stat info;

    if (r->fd >= 0 && r->shard == shard) return EXA_OK;
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
    EXA_TRY(exa_shard_path(r->folder, &r->spec, shard, r->path));
    r->fd = open(r->path, O_RDONLY | O_CLOEXEC);
    if (r->fd < 0 && errno == ENOENT) return EXA_OK;
    EXA_CHECK(r->fd >= 0, EXA_ERR_IO, "cannot open '%s': %s", r->path, strerror(errno));
    EXA_CHECK(fstat(r->fd, &info) == 0, EXA_ERR_IO, "cannot examine '%s': %s", r->path, strerror(errno));
    r->shard = shard;
    r->bytes = (uint64_t)info.st_size;
    return EXA_OK;
}

/* `size` bytes at `offset`, which must lie in the file. */
static exa_status read_at(const exa_shard_reader *r, uint64_t offset, size_t size, void *data) {
    char *to = data;

    EXA_CHECK(offset <= r->bytes && size <= r->bytes - offset, EXA_ERR_CORRUPT,
              "'%s' is damaged: it refers to bytes %llu to %llu but has %llu", r->path, (unsigned long long)offset,
              (unsigned long long)(offset + size), (unsigned long long)r->bytes);
    while (size > 0) {
        ssize_t n = pread(r->fd, to, size, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK(n > 0, EXA_ERR_IO, "cannot read '%s': %s", r->path, n < 0 ? strerror(errno) : "it was cut");
        to += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return EXA_OK;
}

/* A stored block, expanded if it is compressed; `most` bounds both. */
static exa_status read_block(const exa_shard_reader *r, bool gzip, uint64_t offset, uint64_t size, size_t most,
                             unsigned char **out, size_t *out_size) {
    unsigned char *stored = NULL;
    exa_status st = EXA_OK;

    EXA_CHECK(size <= most + most / 8 + 1024, EXA_ERR_CORRUPT, "'%s' is damaged: a block of it has %llu bytes",
              r->path, (unsigned long long)size);
    EXA_TRY(exa_alloc((size_t)size, 1, "a block of a shard", &stored));
    EXA_GOTO(done, read_at(r, offset, (size_t)size, stored));
    if (!gzip) {
        *out = stored;
        *out_size = (size_t)size;
        return EXA_OK;
    }
    st = exa_gzip_unpack(stored, (size_t)size, most, out, out_size);
    if (st != EXA_OK) exa_error_context(st, "'%s' is damaged at byte %llu", r->path, (unsigned long long)offset);
done:
    free(stored);
    return st;
}

/* From differences to numbers and places in the file, checked. */
static exa_status make_absolute(const exa_shard_reader *r, uint64_t base, minishard *m) {
    uint64_t chunk = 0, offset = base;

    for (size_t i = 0; i < m->count; i++) {
        unsigned char *number = m->rows + 8 * i, *place = number + 8 * m->count, *size = place + 8 * m->count;
        uint64_t gap = exa_load_le64(number), bytes = exa_load_le64(size);
        bool repeated = i > 0 && (gap == 0 || chunk + gap < chunk);
        chunk += gap;
        offset += exa_load_le64(place);
        EXA_CHECK(!repeated && offset <= r->bytes && bytes <= r->bytes - offset, EXA_ERR_CORRUPT,
                  "'%s' is damaged: the index of its chunks refers to what is not there", r->path);
        exa_store_le64(number, chunk);
        exa_store_le64(place, offset);
        offset += bytes;
    }
    return EXA_OK;
}

static exa_status load_minishard(exa_shard_reader *r, uint64_t number, minishard *m) {
    const uint64_t base = (uint64_t)16 << r->spec.minishard_bits;
    unsigned char where[16];
    uint64_t begin, end;
    size_t size = 0;

    EXA_CHECK(r->bytes >= base, EXA_ERR_CORRUPT, "'%s' is damaged: it ends within its index", r->path);
    EXA_TRY(read_at(r, 16 * number, sizeof where, where));
    begin = exa_load_le64(where);
    end = exa_load_le64(where + 8);
    if (begin == end) return EXA_OK;
    EXA_CHECK(begin < end && end <= r->bytes - base, EXA_ERR_CORRUPT,
              "'%s' is damaged: its index refers to what is not there", r->path);
    EXA_TRY(read_block(r, r->spec.gzip_index, base + begin, end - begin, LARGEST_INDEX_BYTES, &m->rows, &size));
    m->count = size / 24;
    EXA_CHECK(size % 24 == 0, EXA_ERR_CORRUPT, "'%s' is damaged: an index of its chunks has %zu bytes", r->path,
              size);
    return make_absolute(r, base, m);
}

static exa_status find_minishard(exa_shard_reader *r, uint64_t shard, uint64_t number, minishard **out) {
    minishard *m = &r->cache[(shard * 31 + number) % INDICES];

    *out = m;
    if (m->known && m->shard == shard && m->number == number) return EXA_OK;
    free(m->rows);
    *m = (minishard){.shard = shard, .number = number};
    EXA_TRY(open_shard(r, shard));
    if (r->fd >= 0) EXA_TRY(load_minishard(r, number, m));
    m->known = true;
    return EXA_OK;
}

exa_status exa_shard_reader_get(exa_shard_reader *r, uint64_t chunk, size_t most, unsigned char **data,
                                size_t *size) {
    const uint64_t shard = exa_shard_of(&r->spec, chunk), hash = exa_shard_hash(&r->spec, chunk);
    const uint64_t mask = ((uint64_t)1 << r->spec.minishard_bits) - 1;
    minishard *m;
    size_t low = 0, high;

    *data = NULL;
    EXA_TRY(find_minishard(r, shard, hash & mask, &m));
    for (high = m->count; low < high;) {
        size_t middle = low + (high - low) / 2;
        if (exa_load_le64(m->rows + 8 * middle) < chunk) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == m->count || exa_load_le64(m->rows + 8 * low) != chunk) return EXA_OK;
    EXA_TRY(open_shard(r, shard));
    EXA_CHECK(r->fd >= 0, EXA_ERR_IO, "'%s' has gone", r->path);
    return read_block(r, r->spec.gzip_data, exa_load_le64(m->rows + 8 * (m->count + low)),
                      exa_load_le64(m->rows + 8 * (2 * m->count + low)), most, data, size);
}
