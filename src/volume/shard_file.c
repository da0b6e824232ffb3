/* Chunk numbers and the writer of shard files. */
#include "shard_file_internal.h"

#include "exaconn/little_endian.h"
#include "gzip_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- numbers ------------------------------------------------------------------------------------------------- */

/* Bit i of an axis is used while some cell has it: 2^i < cells. x comes first. */
static bool has_bit(const exa_coord grid[3], int axis, int i) {
    return i < 63 && ((exa_coord)1 << i) < grid[axis];
}

exa_status exa_morton_bits(const exa_coord grid[3], int *bits) {
    *bits = 0;
    for (int i = 0; i < 63; i++)
        for (int a = 2; a >= 0; a--) *bits += has_bit(grid, a, i);
    EXA_CHECK(*bits <= 64, EXA_ERR_RANGE, "a grid of %lld x %lld x %lld chunks needs more than 64 bits",
              (long long)grid[0], (long long)grid[1], (long long)grid[2]);
    return EXA_OK;
}

uint64_t exa_morton_encode(const exa_coord grid[3], const exa_coord cell[3]) {
    uint64_t code = 0;
    int j = 0;

    for (int i = 0; i < 63 && j < 64; i++)
        for (int a = 2; a >= 0; a--)
            if (has_bit(grid, a, i)) code |= ((uint64_t)cell[a] >> i & 1) << j++;
    return code;
}

void exa_morton_decode(const exa_coord grid[3], uint64_t code, exa_coord cell[3]) {
    int j = 0;

    for (int a = 0; a < 3; a++) cell[a] = 0;
    for (int i = 0; i < 63 && j < 64; i++)
        for (int a = 2; a >= 0; a--)
            if (has_bit(grid, a, i)) cell[a] |= (exa_coord)(code >> j++ & 1) << i;
}

static int clamp(int value, int low, int high) {
    return value < low ? low : value > high ? high : value;
}

/* A file of 2^9 chunks is 512^3 voxels where all axes are long. Small volumes are cut into about 16 files, so that
 * several ranks have work; huge ones into files of up to 2^15 chunks, so that there are not too many. */
void exa_shard_choose(int bits, int gzip_level, exa_shard_spec *spec) {
    int inside = bits <= 26 ? clamp(bits - 4, 3, 9) : clamp(bits - 17, 9, 15);

    if (inside > bits) inside = bits;
    *spec = (exa_shard_spec){.preshift_bits = clamp(inside, 0, 6), .gzip_index = true, .gzip_data = gzip_level > 0};
    spec->minishard_bits = inside - spec->preshift_bits;
    spec->shard_bits = bits - inside;
}

static uint32_t rotate(uint32_t v, int by) {
    return v << by | v >> (32 - by);
}

static uint32_t finish_mix(uint32_t h) {
    h = (h ^ h >> 16) * 0x85ebca6bu;
    h = (h ^ h >> 13) * 0xc2b2ae35u;
    return h ^ h >> 16;
}

/* MurmurHash3_x86_128 (A. Appleby) of 8 bytes with seed 0: no whole block of 16, only the tail; its low 64 bits. */
static uint64_t murmur(uint64_t key) {
    enum { LENGTH = 8 };
    uint32_t h1, h2, h3 = LENGTH, h4 = LENGTH;

    h2 = rotate((uint32_t)(key >> 32) * 0xab0e9789u, 16) * 0x38b34ae5u ^ LENGTH;
    h1 = rotate((uint32_t)key * 0x239b961bu, 15) * 0xab0e9789u ^ LENGTH;
    h1 += h2 + h3 + h4;
    h2 += h1, h3 += h1, h4 += h1;
    h1 = finish_mix(h1), h2 = finish_mix(h2), h3 = finish_mix(h3), h4 = finish_mix(h4);
    h1 += h2 + h3 + h4;
    h2 += h1;
    return (uint64_t)h2 << 32 | h1;
}

uint64_t exa_shard_hash(const exa_shard_spec *s, uint64_t chunk) {
    uint64_t shifted = s->preshift_bits < 64 ? chunk >> s->preshift_bits : 0;
    return s->murmur ? murmur(shifted) : shifted;
}

static uint64_t low_bits(uint64_t value, int bits) {
    return bits < 64 ? value & (((uint64_t)1 << bits) - 1) : value;
}

uint64_t exa_shard_of(const exa_shard_spec *s, uint64_t chunk) {
    uint64_t hash = exa_shard_hash(s, chunk);
    return s->minishard_bits < 64 ? low_bits(hash >> s->minishard_bits, s->shard_bits) : 0;
}

exa_status exa_shard_path(const char *folder, const exa_shard_spec *s, uint64_t shard, char out[EXA_PATH_BYTES]) {
    char name[40];

    snprintf(name, sizeof name, "%0*llx.shard", s->shard_bits ? (s->shard_bits + 3) / 4 : 1,
             (unsigned long long)shard);
    return exa_path_join(out, folder, name);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

typedef struct entry {
    uint64_t chunk, offset, size; /* offset from the end of the shard index */
} entry;

struct exa_shard_writer {
    exa_shard_spec spec;
    int gzip_level;
    uint64_t end;   /* of what is written, from the end of the shard index */
    FILE *file;     /* owned */
    entry *entries; /* owned */
    size_t count, capacity;
    char path[EXA_PATH_BYTES], temporary[EXA_PATH_BYTES]; /* temporary "" once committed */
};

static size_t index_bytes(const exa_shard_spec *s) {
    return (size_t)16 << s->minishard_bits;
}

static exa_status put(exa_shard_writer *w, const void *data, size_t size) {
    EXA_CHECK(fwrite(data, 1, size, w->file) == size, EXA_ERR_IO, "cannot write '%s': %s", w->path,
              strerror(errno));
    return EXA_OK;
}

exa_status exa_shard_writer_create(const char *folder, const exa_shard_spec *spec, int gzip_level, uint64_t shard,
                                   exa_shard_writer **out) {
    exa_shard_writer *w = NULL;
    unsigned char *zeros = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *w, "the writer of a shard", &w));
    w->spec = *spec;
    w->gzip_level = gzip_level;
    EXA_GOTO(done, exa_shard_path(folder, spec, shard, w->path));
    EXA_GOTO(done, exa_file_temporary_name(w->temporary, w->path));
    w->file = fopen(w->temporary, "wbe");
    EXA_CHECK_GOTO(done, w->file, EXA_ERR_IO, "cannot create '%s': %s", w->temporary, strerror(errno));
    EXA_GOTO(done, exa_calloc(index_bytes(spec), 1, "a shard index", &zeros));
    EXA_GOTO(done, put(w, zeros, index_bytes(spec)));
    *out = w;
    w = NULL;
done:
    free(zeros);
    exa_shard_writer_destroy(&w);
    return st;
}

/* Writes a block, compressed if asked for, and tells where. */
static exa_status put_block(exa_shard_writer *w, bool gzip, const void *data, size_t size, uint64_t *offset,
                            uint64_t *stored) {
    unsigned char *packed = NULL;
    exa_status st = EXA_OK;

    if (gzip) EXA_TRY(exa_gzip_pack(data, size, w->gzip_level > 0 ? w->gzip_level : 6, &packed, &size));
    EXA_GOTO(done, put(w, packed ? packed : data, size));
    *offset = w->end;
    *stored = size;
    w->end += size;
done:
    free(packed);
    return st;
}

exa_status exa_shard_writer_add(exa_shard_writer *w, uint64_t chunk, const void *data, size_t size) {
    entry e = {.chunk = chunk};

    EXA_CHECK(!w->spec.murmur && (w->count == 0 || chunk > w->entries[w->count - 1].chunk), EXA_ERR_INTERNAL,
              "chunk %llu out of order in '%s'", (unsigned long long)chunk, w->path);
    EXA_TRY(exa_grow(&w->entries, &w->capacity, sizeof e, w->count + 1, "chunks of a shard"));
    EXA_TRY(put_block(w, w->spec.gzip_data, data, size, &e.offset, &e.size));
    w->entries[w->count++] = e;
    return EXA_OK;
}

/* Three rows: numbers, gaps before the chunks, sizes; numbers and gaps as differences. */
static void fill_minishard(const entry *e, size_t n, unsigned char *out) {
    for (size_t i = 0; i < n; i++) {
        exa_store_le64(out + 8 * i, i ? e[i].chunk - e[i - 1].chunk : e[0].chunk);
        exa_store_le64(out + 8 * (n + i), i ? e[i].offset - (e[i - 1].offset + e[i - 1].size) : e[0].offset);
        exa_store_le64(out + 8 * (2 * n + i), e[i].size);
    }
}

/* The chunks of a minishard lie together: numbers ascend, and its bits stand above those within it. */
static exa_status put_minishards(exa_shard_writer *w, unsigned char *index, unsigned char *rows) {
    for (size_t first = 0, end; first < w->count; first = end) {
        const uint64_t number = low_bits(exa_shard_hash(&w->spec, w->entries[first].chunk), w->spec.minishard_bits);
        uint64_t offset, size;
        for (end = first + 1; end < w->count; end++)
            if (low_bits(exa_shard_hash(&w->spec, w->entries[end].chunk), w->spec.minishard_bits) != number) break;
        fill_minishard(w->entries + first, end - first, rows);
        EXA_TRY(put_block(w, w->spec.gzip_index, rows, 24 * (end - first), &offset, &size));
        exa_store_le64(index + 16 * number, offset);
        exa_store_le64(index + 16 * number + 8, offset + size);
    }
    return EXA_OK;
}

exa_status exa_shard_writer_commit(exa_shard_writer *w) {
    unsigned char *index = NULL, *rows = NULL;
    int closed;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc(index_bytes(&w->spec), 1, "a shard index", &index));
    EXA_GOTO(done, exa_alloc(w->count, 24, "a minishard index", &rows));
    EXA_GOTO(done, put_minishards(w, index, rows));
    EXA_CHECK_GOTO(done, fseek(w->file, 0, SEEK_SET) == 0, EXA_ERR_IO, "cannot write '%s': %s", w->path,
                   strerror(errno));
    EXA_GOTO(done, put(w, index, index_bytes(&w->spec)));
    closed = fclose(w->file);
    w->file = NULL;
    EXA_CHECK_GOTO(done, closed == 0, EXA_ERR_IO, "cannot write '%s': %s", w->path, strerror(errno));
    st = exa_file_commit(w->temporary, w->path);
    w->temporary[0] = '\0';
done:
    free(rows);
    free(index);
    return st;
}

void exa_shard_writer_destroy(exa_shard_writer **writer) {
    exa_shard_writer *w = *writer;

    if (!w) return;
    if (w->file) fclose(w->file);
    if (w->temporary[0]) unlink(w->temporary);
    free(w->entries);
    free(w);
    *writer = NULL;
}
