/* The sorted string table: see sstable_internal.h for the layout.
 *
 * Blocks must follow one another without overlap and keys must ascend, so one pass over a hostile file costs no
 * more than its own size, however its handles and shared prefixes are arranged.
 */
#include "sstable_internal.h"

#include "exaconn/hash.h"

#include <string.h>

#define FOOTER_BYTES 48
#define TRAILER_BYTES 5
#define TABLE_MAGIC 0xdb4775248b80fb57u
#define DAMAGED "Hint: the file is damaged or incomplete; copy it from its source again"

typedef struct block_handle {
    uint64_t offset, size;
} block_handle;

typedef struct table {
    const unsigned char *data;
    uint64_t size; /* without the footer */
    uint64_t used; /* end of the last block that was read */
    exa_sstable_visit *visit;
    void *context;
    char last_key[EXA_SSTABLE_MAX_KEY + 1]; /* of the last visited entry */
    size_t last_key_size;
    int visited; /* 0 = none yet */
} table;

uint32_t exa_crc32c_mask(uint32_t crc) {
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8u;
}

static exa_status read_handle(exa_cursor *c, block_handle *handle) {
    EXA_CHECK(exa_cursor_varint(c, &handle->offset) && exa_cursor_varint(c, &handle->size), EXA_ERR_FORMAT,
              "malformed block handle. " DAMAGED);
    return EXA_OK;
}

/* Checks the trailer and returns the entries (without the restart array). */
static exa_status open_block(const table *t, block_handle h, const char *what, exa_cursor *entries) {
    EXA_CHECK(t->size >= TRAILER_BYTES && h.size <= t->size - TRAILER_BYTES &&
                  h.offset <= t->size - TRAILER_BYTES - h.size,
              EXA_ERR_FORMAT, "%s block at byte %llu of size %llu is not inside the file. " DAMAGED, what,
              (unsigned long long)h.offset, (unsigned long long)h.size);
    const unsigned char *block = t->data + h.offset, *trailer = block + h.size;
    uint32_t found = exa_crc32c_mask(exa_crc32c(0, block, (size_t)h.size + 1));
    EXA_CHECK(found == exa_load_le32(trailer + 1), EXA_ERR_CORRUPT,
              "checksum of the %s block at byte %llu is %08x, stored is %08x. " DAMAGED, what,
              (unsigned long long)h.offset, (unsigned)found, (unsigned)exa_load_le32(trailer + 1));
    EXA_CHECK(trailer[0] == 0, EXA_ERR_UNSUPPORTED,
              "%s block is compressed (type %d). Hint: save the checkpoint with TensorFlow's own Saver, which does "
              "not compress the index",
              what, trailer[0]);
    EXA_CHECK(h.size >= 4, EXA_ERR_FORMAT, "%s block of %llu bytes has no restart array. " DAMAGED, what,
              (unsigned long long)h.size);
    uint64_t restarts = exa_load_le32(trailer - 4);
    EXA_CHECK(restarts <= (h.size - 4) / 4, EXA_ERR_FORMAT,
              "%s block has an impossible restart count %llu. " DAMAGED, what, (unsigned long long)restarts);
    *entries = exa_cursor_make(block, (size_t)(h.size - 4 - 4 * restarts));
    return EXA_OK;
}

/* The next entry of a block; `key` holds the previous key on entry and this one on return. */
static exa_status next_entry(exa_cursor *entries, char *key, size_t *key_size, exa_cursor *value) {
    uint64_t shared, fresh, value_size;
    exa_cursor bytes, stored;

    EXA_CHECK(exa_cursor_varint(entries, &shared) && exa_cursor_varint(entries, &fresh) &&
                  exa_cursor_varint(entries, &value_size) && exa_cursor_bytes(entries, fresh, &bytes) &&
                  exa_cursor_bytes(entries, value_size, &stored) && shared <= *key_size,
              EXA_ERR_FORMAT, "malformed table entry. " DAMAGED);
    EXA_CHECK(fresh <= EXA_SSTABLE_MAX_KEY - shared, EXA_ERR_UNSUPPORTED, "a name is longer than %d bytes",
              EXA_SSTABLE_MAX_KEY);
    memcpy(key + shared, bytes.p, (size_t)fresh);
    *key_size = (size_t)(shared + fresh);
    key[*key_size] = '\0';
    *value = stored;
    return EXA_OK;
}

static bool ascends(const table *t, const char *key, size_t key_size) {
    size_t common = key_size < t->last_key_size ? key_size : t->last_key_size;
    int order = memcmp(t->last_key, key, common);
    return !t->visited || order < 0 || (order == 0 && t->last_key_size < key_size);
}

static exa_status scan_data_block(table *t, block_handle handle) {
    char key[EXA_SSTABLE_MAX_KEY + 1];
    size_t key_size = 0;
    exa_cursor entries, value;

    EXA_CHECK(handle.offset >= t->used, EXA_ERR_FORMAT, "data blocks overlap at byte %llu. " DAMAGED,
              (unsigned long long)handle.offset);
    EXA_TRY(open_block(t, handle, "data", &entries));
    t->used = handle.offset + handle.size + TRAILER_BYTES;
    while (exa_cursor_left(&entries) > 0) {
        EXA_TRY(next_entry(&entries, key, &key_size, &value));
        EXA_CHECK(ascends(t, key, key_size), EXA_ERR_FORMAT, "names are not in ascending order. " DAMAGED);
        EXA_TRY(t->visit(t->context, key, key_size, value));
        memcpy(t->last_key, key, key_size + 1);
        t->last_key_size = key_size;
        t->visited = 1;
    }
    return EXA_OK;
}

static exa_status scan_index_block(table *t, block_handle handle) {
    char key[EXA_SSTABLE_MAX_KEY + 1];
    size_t key_size = 0;
    exa_cursor entries, value;

    EXA_TRY(open_block(t, handle, "index", &entries));
    while (exa_cursor_left(&entries) > 0) {
        block_handle block = {0, 0};
        EXA_TRY(next_entry(&entries, key, &key_size, &value));
        EXA_TRY(read_handle(&value, &block));
        EXA_TRY(scan_data_block(t, block));
    }
    return EXA_OK;
}

exa_status exa_sstable_scan(const void *data, size_t size, exa_sstable_visit *visit, void *context) {
    table t = {.data = data, .visit = visit, .context = context};
    block_handle metaindex = {0, 0}, index = {0, 0};
    exa_cursor footer, unused;

    EXA_CHECK(size >= FOOTER_BYTES, EXA_ERR_FORMAT, "%zu bytes are too few for a checkpoint index. " DAMAGED, size);
    t.size = size - FOOTER_BYTES;
    uint64_t magic = exa_load_le64(t.data + size - 8);
    EXA_CHECK(
        magic == TABLE_MAGIC, EXA_ERR_FORMAT,
        "ends with %016llx instead of the table mark %016llx. Hint: this is not the .index of a TensorFlow V2 "
        "checkpoint, or it was cut short",
        (unsigned long long)magic, (unsigned long long)TABLE_MAGIC);
    footer = exa_cursor_make(t.data + t.size, FOOTER_BYTES - 8);
    EXA_TRY(read_handle(&footer, &metaindex));
    EXA_TRY(read_handle(&footer, &index));
    for (; exa_cursor_left(&footer) > 0; footer.p++)
        EXA_CHECK(*footer.p == 0, EXA_ERR_FORMAT, "the footer's padding is not zero. " DAMAGED);
    EXA_TRY(open_block(&t, metaindex, "metaindex", &unused));
    return scan_index_block(&t, index);
}
