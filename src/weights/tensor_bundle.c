/* TensorFlow V2 checkpoints: a table of BundleEntryProto records (.index) over raw tensors (.data-...).
 *
 *   ""    -> BundleHeaderProto { 1: num_shards  2: endianness  3: VersionDef{ 1: producer 2: min_consumer 3: bad }
 * } NAME  -> BundleEntryProto  { 1: dtype  2: TensorShapeProto{ 2: Dim{ 1: size } 3: unknown_rank } 3: shard_id  4:
 * offset  5: size  6: crc32c (fixed32, masked)  7: slices }
 *
 * Field numbers and DataType values are TensorFlow's public protocol (tensor_bundle.proto, types.proto).
 */
#include "exaconn/tensor_bundle.h"

#include "exaconn/box.h"
#include "exaconn/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sstable_internal.h"

#define MAX_INDEX_BYTES ((size_t)64 << 20)
#define MAX_NAME_BYTES ((size_t)64 << 20) /* of all names: shared prefixes may say more than the file holds */
#define MAX_SHARDS 4096
#define VERIFY_BYTES ((size_t)1 << 20) /* read at a time */
#define BUNDLE_VERSION 1               /* of the protocol this reader follows */
#define DAMAGED "Hint: the checkpoint is damaged or incomplete; copy it from its source again"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "tensors are used as they are stored: little-endian");

typedef struct entry {
    char *name; /* owned */
    uint64_t offset, size, elements;
    int64_t shape[EXA_TENSOR_MAX_RANK];
    int rank;
    uint32_t shard, crc;
    int dtype;
} entry;

struct exa_tensor_bundle {
    char prefix[EXA_PATH_BYTES - 32]; /* leaves room for ".data-SSSSS-of-NNNNN" */
    entry *entries;                   /* owned, in name order */
    size_t count, capacity, name_bytes;
    uint64_t *shard_bytes; /* owned, [shards]; UINT64_MAX = not looked at yet */
    uint32_t shards;       /* 0 = no header yet */
};

/* Bytes of one element of TensorFlow's DataType, 0 for those without a fixed size or unknown to us. */
static unsigned dtype_bytes(int dtype) {
    switch (dtype) {
    case 4:
    case 6:
    case 10:
    case 11:
    case 12: return 1; /* uint8 int8 bool qint8 quint8 */
    case 5:
    case 14:
    case 15:
    case 16:
    case 17:
    case 19: return 2; /* int16 bfloat16 qint16 quint16 uint16 half */
    case 1:
    case 3:
    case 13:
    case 22: return 4; /* float int32 qint32 uint32 */
    case 2:
    case 8:
    case 9:
    case 23: return 8;  /* double complex64 int64 uint64 */
    case 18: return 16; /* complex128 */
    default: return 0;
    }
}

static exa_tensor_type tensor_type(int dtype) {
    return dtype == 1   ? EXA_TENSOR_F32
           : dtype == 3 ? EXA_TENSOR_I32
           : dtype == 9 ? EXA_TENSOR_I64
                        : EXA_TENSOR_OTHER;
}

static void shard_path(const exa_tensor_bundle *b, uint32_t shard, char out[EXA_PATH_BYTES]) {
    snprintf(out, EXA_PATH_BYTES, "%s.data-%05u-of-%05u", b->prefix, (unsigned)shard, (unsigned)b->shards);
}

/* ---- the index ---------------------------------------------------------------------------------- */

static exa_status parse_versions(exa_cursor bytes) {
    exa_proto_field f;
    while (exa_cursor_left(&bytes) > 0) {
        EXA_CHECK(exa_cursor_field(&bytes, &f), EXA_ERR_FORMAT, "malformed version record. " DAMAGED);
        bool too_new = f.number == 2 && f.wire == EXA_PROTO_VARINT && f.value > BUNDLE_VERSION;
        bool bad = f.number == 3 && f.wire == EXA_PROTO_VARINT && f.value == BUNDLE_VERSION;
        EXA_CHECK(
            !too_new && !bad, EXA_ERR_UNSUPPORTED,
            "written for readers of another bundle version (%s %llu, this one reads version %d). Hint: save it "
            "with TensorFlow 1.x or 2.x",
            bad ? "excluded version" : "at least", (unsigned long long)f.value, BUNDLE_VERSION);
    }
    return EXA_OK;
}

static exa_status parse_header(exa_tensor_bundle *b, exa_cursor bytes) {
    uint64_t shards = 0, endianness = 0;
    exa_proto_field f;

    while (exa_cursor_left(&bytes) > 0) {
        EXA_CHECK(exa_cursor_field(&bytes, &f), EXA_ERR_FORMAT, "malformed bundle header. " DAMAGED);
        if (f.number == 1 && f.wire == EXA_PROTO_VARINT) shards = f.value;
        if (f.number == 2 && f.wire == EXA_PROTO_VARINT) endianness = f.value;
        if (f.number == 3 && f.wire == EXA_PROTO_BYTES) EXA_TRY(parse_versions(f.bytes));
    }
    EXA_CHECK(endianness == 0, EXA_ERR_UNSUPPORTED,
              "tensors are stored big-endian. Hint: save the checkpoint again on "
              "a little-endian machine");
    EXA_CHECK(shards >= 1 && shards <= MAX_SHARDS, EXA_ERR_FORMAT,
              "names %llu data files; 1 to %d are possible. " DAMAGED, (unsigned long long)shards, MAX_SHARDS);
    EXA_TRY(exa_alloc((size_t)shards, sizeof *b->shard_bytes, "the list of data files", &b->shard_bytes));
    for (uint64_t s = 0; s < shards; s++) b->shard_bytes[s] = UINT64_MAX;
    b->shards = (uint32_t)shards;
    return EXA_OK;
}

static exa_status parse_shape(exa_cursor bytes, entry *e) {
    exa_proto_field f, d;

    while (exa_cursor_left(&bytes) > 0) {
        EXA_CHECK(exa_cursor_field(&bytes, &f), EXA_ERR_FORMAT, "malformed shape. " DAMAGED);
        EXA_CHECK(f.number != 3 || f.value == 0, EXA_ERR_UNSUPPORTED, "shape of unknown rank");
        if (f.number != 2 || f.wire != EXA_PROTO_BYTES) continue;
        EXA_CHECK(e->rank < EXA_TENSOR_MAX_RANK, EXA_ERR_UNSUPPORTED, "more than %d dimensions",
                  EXA_TENSOR_MAX_RANK);
        uint64_t extent = 0;
        while (exa_cursor_left(&f.bytes) > 0) {
            EXA_CHECK(exa_cursor_field(&f.bytes, &d), EXA_ERR_FORMAT, "malformed dimension. " DAMAGED);
            if (d.number == 1 && d.wire == EXA_PROTO_VARINT) extent = d.value;
        }
        EXA_CHECK(extent <= INT64_MAX && !__builtin_mul_overflow(e->elements, extent, &e->elements), EXA_ERR_FORMAT,
                  "impossible dimension %llu. " DAMAGED, (unsigned long long)extent);
        e->shape[e->rank++] = (int64_t)extent;
    }
    return EXA_OK;
}

static exa_status parse_entry(exa_cursor bytes, entry *e) {
    exa_proto_field f;
    uint64_t dtype = 0, shard = 0;

    e->elements = 1;
    while (exa_cursor_left(&bytes) > 0) {
        EXA_CHECK(exa_cursor_field(&bytes, &f), EXA_ERR_FORMAT, "malformed record. " DAMAGED);
        EXA_CHECK(f.number != 7, EXA_ERR_UNSUPPORTED,
                  "is stored in slices (a partitioned variable). Hint: save the checkpoint without partitioners");
        if (f.number == 2 && f.wire == EXA_PROTO_BYTES) EXA_TRY(parse_shape(f.bytes, e));
        if (f.number == 6 && f.wire == EXA_PROTO_FIXED32) e->crc = (uint32_t)f.value;
        if (f.wire != EXA_PROTO_VARINT) continue;
        if (f.number == 1) dtype = f.value;
        if (f.number == 3) shard = f.value;
        if (f.number == 4) e->offset = f.value;
        if (f.number == 5) e->size = f.value;
    }
    EXA_CHECK(dtype >= 1 && dtype <= INT32_MAX && shard <= UINT32_MAX, EXA_ERR_FORMAT,
              "impossible type %llu or data file %llu. " DAMAGED, (unsigned long long)dtype,
              (unsigned long long)shard);
    e->dtype = (int)dtype;
    e->shard = (uint32_t)shard;
    return EXA_OK;
}

static exa_status look_at_shard(exa_tensor_bundle *b, uint32_t shard) {
    char path[EXA_PATH_BYTES];
    struct stat info;

    if (b->shard_bytes[shard] != UINT64_MAX) return EXA_OK;
    shard_path(b, shard, path);
    EXA_CHECK(stat(path, &info) == 0, EXA_ERR_IO,
              "cannot open its data file '%s': %s. Hint: the .index needs its %u data file(s) beside it", path,
              strerror(errno), (unsigned)b->shards);
    EXA_CHECK(S_ISREG(info.st_mode), EXA_ERR_IO, "its data file '%s' is not a regular file", path);
    b->shard_bytes[shard] = (uint64_t)info.st_size;
    return EXA_OK;
}

static exa_status check_place(exa_tensor_bundle *b, const entry *e) {
    unsigned each = dtype_bytes(e->dtype);
    uint64_t expected = 0;

    EXA_CHECK(e->shard < b->shards, EXA_ERR_FORMAT, "is in data file %u of only %u. " DAMAGED, (unsigned)e->shard,
              (unsigned)b->shards);
    EXA_CHECK(each == 0 || (!__builtin_mul_overflow(e->elements, (uint64_t)each, &expected) && expected == e->size),
              EXA_ERR_FORMAT, "has %llu elements of %u bytes but stores %llu bytes. " DAMAGED,
              (unsigned long long)e->elements, each, (unsigned long long)e->size);
    EXA_TRY(look_at_shard(b, e->shard));
    uint64_t have = b->shard_bytes[e->shard];
    EXA_CHECK(e->offset <= have && e->size <= have - e->offset, EXA_ERR_CORRUPT,
              "lies at bytes %llu + %llu of a data file of only %llu bytes. " DAMAGED,
              (unsigned long long)e->offset, (unsigned long long)e->size, (unsigned long long)have);
    return EXA_OK;
}

static exa_status append(exa_tensor_bundle *b, const entry *e, const char *name, size_t name_size) {
    entry fresh = *e;

    EXA_CHECK(name_size <= MAX_NAME_BYTES - b->name_bytes, EXA_ERR_UNSUPPORTED,
              "tensor names of more than %zu bytes", MAX_NAME_BYTES);
    if (b->count == b->capacity) {
        size_t capacity = b->capacity ? 2 * b->capacity : 64;
        entry *grown = realloc(b->entries, capacity * sizeof *grown);
        EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu bytes for the list of tensors",
                  capacity * sizeof *grown);
        b->entries = grown;
        b->capacity = capacity;
    }
    EXA_TRY(exa_alloc(name_size + 1, 1, "a tensor's name", &fresh.name));
    memcpy(fresh.name, name, name_size + 1);
    b->name_bytes += name_size;
    b->entries[b->count++] = fresh;
    return EXA_OK;
}

static exa_status visit_entry(void *context, const char *key, size_t key_size, exa_cursor value) {
    exa_tensor_bundle *b = context;
    entry e = {0};

    if (key_size == 0) return parse_header(b, value);
    EXA_CHECK(b->shards > 0, EXA_ERR_FORMAT,
              "the index has no bundle header. Hint: this is a table, but not the .index "
              "of a TensorFlow V2 checkpoint");
    for (size_t i = 0; i < key_size; i++)
        EXA_CHECK((unsigned char)key[i] >= 0x20 && key[i] != 0x7F, EXA_ERR_UNSUPPORTED,
                  "a tensor's name has control characters, as slices of partitioned variables have. Hint: save the "
                  "checkpoint without partitioners");
    exa_status st = parse_entry(value, &e);
    if (st == EXA_OK) st = check_place(b, &e);
    if (st != EXA_OK) return exa_error_context(st, "tensor '%.200s'", key);
    return append(b, &e, key, key_size);
}

/* Tensors never share bytes, so together they fit their files: reading them all is bounded too. */
static exa_status check_total(const exa_tensor_bundle *b) {
    uint64_t tensors = 0, files = 0;

    EXA_CHECK(b->shards > 0, EXA_ERR_FORMAT, "the index has no bundle header. " DAMAGED);
    for (uint32_t s = 0; s < b->shards; s++)
        if (b->shard_bytes[s] != UINT64_MAX) files += b->shard_bytes[s];
    for (size_t i = 0; i < b->count; i++)
        EXA_CHECK(!__builtin_add_overflow(tensors, b->entries[i].size, &tensors) && tensors <= files,
                  EXA_ERR_FORMAT, "the tensors overlap in the data files. " DAMAGED);
    return EXA_OK;
}

static exa_status set_prefix(exa_tensor_bundle *b, const char *path) {
    static const char suffix[] = ".index";
    size_t length = strlen(path), tail = sizeof suffix - 1;

    if (length > tail && strcmp(path + length - tail, suffix) == 0) length -= tail;
    EXA_CHECK(length < sizeof b->prefix, EXA_ERR_RANGE, "path longer than %zu bytes: '%.80s...'",
              sizeof b->prefix - 1, path);
    memcpy(b->prefix, path, length);
    b->prefix[length] = '\0';
    return EXA_OK;
}

static exa_status read_index(exa_tensor_bundle *b) {
    char path[EXA_PATH_BYTES], *data = NULL;
    size_t size = 0;

    snprintf(path, sizeof path, "%s.index", b->prefix);
    EXA_CHECK(
        exa_file_exists(path), EXA_ERR_IO,
        "cannot open checkpoint index '%s': %s. Hint: name the checkpoint by what its files have in common, for "
        "example model.ckpt-1000 for model.ckpt-1000.index and model.ckpt-1000.data-00000-of-00001",
        path, strerror(errno));
    EXA_TRY(exa_file_read_all(path, MAX_INDEX_BYTES, &data, &size));
    exa_status st = exa_sstable_scan(data, size, visit_entry, b);
    free(data);
    if (st == EXA_OK) st = check_total(b);
    return st == EXA_OK ? st : exa_error_context(st, "checkpoint index '%s'", path);
}

exa_status exa_tensor_bundle_open(const char *path, exa_tensor_bundle **out) {
    exa_tensor_bundle *b = NULL;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *b, "a checkpoint", &b));
    EXA_GOTO(fail, set_prefix(b, path));
    EXA_GOTO(fail, read_index(b));
    *out = b;
    return EXA_OK;
fail:
    exa_tensor_bundle_close(&b);
    return st;
}

void exa_tensor_bundle_close(exa_tensor_bundle **bundle) {
    exa_tensor_bundle *b = *bundle;
    if (!b) return;
    for (size_t i = 0; i < b->count; i++) free(b->entries[i].name);
    free(b->entries);
    free(b->shard_bytes);
    free(b);
    *bundle = NULL;
}

/* ---- the tensors -------------------------------------------------------------------------------- */

size_t exa_tensor_bundle_count(const exa_tensor_bundle *bundle) {
    return bundle->count;
}

const char *exa_tensor_bundle_prefix(const exa_tensor_bundle *bundle) {
    return bundle->prefix;
}

exa_status exa_tensor_bundle_info(const exa_tensor_bundle *bundle, size_t i, exa_tensor_info *info) {
    EXA_CHECK(i < bundle->count, EXA_ERR_RANGE, "checkpoint '%s' has %zu tensors, no number %zu", bundle->prefix,
              bundle->count, i);
    const entry *e = &bundle->entries[i];
    exa_tensor_info result = {.name = e->name,
                              .elements = e->elements,
                              .bytes = e->size,
                              .rank = e->rank,
                              .type = tensor_type(e->dtype),
                              .tf_dtype = e->dtype};
    memcpy(result.shape, e->shape, sizeof result.shape);
    *info = result;
    return EXA_OK;
}

exa_status exa_tensor_bundle_expect(const exa_tensor_bundle *bundle, size_t i, const char *name,
                                    const int64_t *shape, int rank) {
    exa_tensor_info info;

    EXA_TRY(exa_tensor_bundle_info(bundle, i, &info));
    EXA_CHECK(info.type == EXA_TENSOR_F32, EXA_ERR_UNSUPPORTED,
              "tensor '%s' is of TensorFlow type %d, not float32 (1)", name, info.tf_dtype);
    EXA_CHECK(info.rank == rank, EXA_ERR_FORMAT, "tensor '%s' has %d dimensions instead of %d", name, info.rank,
              rank);
    for (int a = 0; a < rank; a++)
        EXA_CHECK(info.shape[a] == shape[a], EXA_ERR_FORMAT,
                  "tensor '%s' has extent %lld on axis %d instead of %lld", name, (long long)info.shape[a], a,
                  (long long)shape[a]);
    return EXA_OK;
}

exa_status exa_tensor_bundle_find(const exa_tensor_bundle *bundle, const char *name, size_t *i) {
    size_t lo = 0, hi = bundle->count;

    while (lo < hi) {
        size_t middle = lo + (hi - lo) / 2;
        int order = strcmp(bundle->entries[middle].name, name);
        if (order == 0) {
            *i = middle;
            return EXA_OK;
        }
        if (order < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    return EXA_FAIL(EXA_ERR_RANGE, "checkpoint '%s' has no tensor '%s'", bundle->prefix, name);
}

static exa_status read_exactly(int fd, const char *path, uint64_t offset, char *data, uint64_t size) {
    while (size > 0) {
        ssize_t n = pread(fd, data, size < ((uint64_t)1 << 30) ? (size_t)size : (size_t)1 << 30, (off_t)offset);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK(n >= 0, EXA_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
        EXA_CHECK(n > 0, EXA_ERR_IO, "'%s' became shorter while it was read", path);
        data += n;
        offset += (uint64_t)n;
        size -= (uint64_t)n;
    }
    return EXA_OK;
}

static exa_status open_shard(const exa_tensor_bundle *b, uint32_t shard, char path[EXA_PATH_BYTES], int *fd) {
    shard_path(b, shard, path);
    *fd = open(path, O_RDONLY | O_CLOEXEC);
    EXA_CHECK(*fd >= 0, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    return EXA_OK;
}

static exa_status check_crc(const entry *e, const char *path, uint32_t crc) {
    uint32_t found = exa_crc32c_mask(crc);
    EXA_CHECK(found == e->crc, EXA_ERR_CORRUPT, "'%s': checksum of tensor '%s' is %08x, stored is %08x. " DAMAGED,
              path, e->name, (unsigned)found, (unsigned)e->crc);
    return EXA_OK;
}

/* All bytes of `e` into `data`, their checksum compared. */
static exa_status read_entry(const exa_tensor_bundle *b, const entry *e, void *data) {
    char path[EXA_PATH_BYTES];
    int fd;

    EXA_TRY(open_shard(b, e->shard, path, &fd));
    exa_status st = read_exactly(fd, path, e->offset, data, e->size);
    close(fd);
    if (st != EXA_OK) return st;
    return check_crc(e, path, exa_crc32c(0, data, (size_t)e->size));
}

/* The checksum of `e`, a piece of it in memory at a time. */
static exa_status verify_entry(const exa_tensor_bundle *b, const entry *e, char *piece) {
    char path[EXA_PATH_BYTES];
    uint32_t crc = 0;
    int fd;
    exa_status st = EXA_OK;

    if (dtype_bytes(e->dtype) == 0) return EXA_OK;
    EXA_TRY(open_shard(b, e->shard, path, &fd));
    for (uint64_t at = 0, n; at < e->size && st == EXA_OK; at += n) {
        n = e->size - at < VERIFY_BYTES ? e->size - at : VERIFY_BYTES;
        st = read_exactly(fd, path, e->offset + at, piece, n);
        if (st == EXA_OK) crc = exa_crc32c(crc, piece, (size_t)n);
    }
    close(fd);
    return st == EXA_OK ? check_crc(e, path, crc) : st;
}

/* A data file ends where its last tensor ends. */
static exa_status check_end(const exa_tensor_bundle *b, uint32_t shard) {
    char path[EXA_PATH_BYTES];
    uint64_t end = 0;

    if (b->shard_bytes[shard] == UINT64_MAX) return EXA_OK; /* without tensors */
    for (size_t i = 0; i < b->count; i++)
        if (b->entries[i].shard == shard && b->entries[i].offset + b->entries[i].size > end)
            end = b->entries[i].offset + b->entries[i].size;
    shard_path(b, shard, path);
    EXA_CHECK(b->shard_bytes[shard] == end, EXA_ERR_CORRUPT,
              "'%s': %llu bytes follow its last tensor, which ends at byte %llu. " DAMAGED, path,
              (unsigned long long)(b->shard_bytes[shard] - end), (unsigned long long)end);
    return EXA_OK;
}

exa_status exa_tensor_bundle_verify(const exa_tensor_bundle *bundle) {
    char *piece = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(VERIFY_BYTES, 1, "verifying a checkpoint", &piece));
    for (size_t i = 0; i < bundle->count && st == EXA_OK; i++)
        st = verify_entry(bundle, &bundle->entries[i], piece);
    for (uint32_t s = 0; s < bundle->shards && st == EXA_OK; s++) st = check_end(bundle, s);
    free(piece);
    return st;
}

static exa_status find_for_reading(const exa_tensor_bundle *b, const char *name, size_t elements,
                                   const entry **out) {
    size_t i;

    EXA_TRY(exa_tensor_bundle_find(b, name, &i));
    EXA_CHECK(b->entries[i].elements == elements, EXA_ERR_RANGE,
              "checkpoint '%s': tensor '%s' has %llu elements, not %zu", b->prefix, name,
              (unsigned long long)b->entries[i].elements, elements);
    *out = &b->entries[i];
    return EXA_OK;
}

exa_status exa_tensor_bundle_read_f32(exa_tensor_bundle *bundle, const char *name, float *data, size_t elements) {
    const entry *e;

    EXA_TRY(find_for_reading(bundle, name, elements, &e));
    EXA_CHECK(tensor_type(e->dtype) == EXA_TENSOR_F32, EXA_ERR_UNSUPPORTED,
              "checkpoint '%s': tensor '%s' is of TensorFlow type %d, not float32 (1)", bundle->prefix, name,
              e->dtype);
    return read_entry(bundle, e, data);
}

exa_status exa_tensor_bundle_read_i64(exa_tensor_bundle *bundle, const char *name, int64_t *data, size_t elements) {
    const entry *e;

    EXA_TRY(find_for_reading(bundle, name, elements, &e));
    exa_tensor_type type = tensor_type(e->dtype);
    if (type == EXA_TENSOR_I64) return read_entry(bundle, e, data);
    EXA_CHECK(type == EXA_TENSOR_I32, EXA_ERR_UNSUPPORTED,
              "checkpoint '%s': tensor '%s' is of TensorFlow type %d, not int32 (3) or int64 (9)", bundle->prefix,
              name, e->dtype);
    EXA_TRY(read_entry(bundle, e, data));
    for (size_t i = elements; i-- > 0;) { /* widened in place, from the end */
        int32_t narrow;
        memcpy(&narrow, (const char *)data + i * sizeof narrow, sizeof narrow);
        data[i] = narrow;
    }
    return EXA_OK;
}

exa_status exa_tensor_bundle_sha256(const exa_tensor_bundle *bundle, char hex[EXA_SHA256_HEX_BYTES]) {
    char path[EXA_PATH_BYTES], *list = NULL;
    size_t line = EXA_SHA256_HEX_BYTES; /* digits and a newline */
    exa_status st = EXA_OK;

    shard_path(bundle, 0, path);
    if (bundle->shards == 1) return exa_sha256_file(path, 0, hex);
    EXA_TRY(exa_alloc(bundle->shards, line, "the digests of the data files", &list));
    for (uint32_t s = 0; s < bundle->shards; s++) {
        shard_path(bundle, s, path);
        EXA_GOTO(done, exa_sha256_file(path, 0, list + s * line));
        list[(s + 1) * line - 1] = '\n';
    }
    st = exa_sha256(list, bundle->shards * line, hex);
done:
    free(list);
    return st;
}
