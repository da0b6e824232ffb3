/* libFuzzer harness of the TensorFlow checkpoint reader.
 *
 *   input = mode byte, uint32 size of the index, index, data file
 *   mode odd: the checksums of the index's blocks are made right first, so that the bytes behind them are reached
 *
 * Everything that opens is listed and read; the files live in /dev/shm.
 */
#include "exaconn/log.h"
#include "exaconn/tensor_bundle.h"

#include "weights/cursor_internal.h"
#include "weights/sstable_internal.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char prefix[64], index_path[80], data_path[96];

static void remove_files(void) {
    unlink(index_path);
    unlink(data_path);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    exa_log_set_level(EXA_LOG_ERROR);
    snprintf(prefix, sizeof prefix, "/dev/shm/exa-fuzz-%ld", (long)getpid());
    snprintf(index_path, sizeof index_path, "%s.index", prefix);
    snprintf(data_path, sizeof data_path, "%s.data-00000-of-00001", prefix);
    atexit(remove_files);
    return 0;
}

/* Makes the block's stored checksum right; returns its contents, or an empty cursor if it is not inside. */
static exa_cursor repair_block(unsigned char *index, size_t size, exa_cursor *handle) {
    uint64_t offset, length;
    if (size < 53 || !exa_cursor_varint(handle, &offset) || !exa_cursor_varint(handle, &length) ||
        length > size - 53 || offset > size - 53 - length)
        return exa_cursor_make(index, 0);
    uint32_t crc = exa_crc32c_mask(exa_crc32c(0, index + offset, length + 1));
    memcpy(index + offset + length + 1, &crc, sizeof crc);
    return exa_cursor_make(index + offset, length);
}

static void repair(unsigned char *index, size_t size) {
    if (size < 53) return;
    exa_cursor footer = exa_cursor_make(index + size - 48, 40);
    repair_block(index, size, &footer);
    exa_cursor block = repair_block(index, size, &footer), fresh, value;
    /* Data blocks may overlap the index block: two rounds settle what can be settled. */
    for (int entries = 0; entries < 1000 && exa_cursor_left(&block) > 0; entries++) {
        uint64_t shared, fresh_size, value_size;
        if (!exa_cursor_varint(&block, &shared) || !exa_cursor_varint(&block, &fresh_size) ||
            !exa_cursor_varint(&block, &value_size) || !exa_cursor_bytes(&block, fresh_size, &fresh) ||
            !exa_cursor_bytes(&block, value_size, &value))
            break;
        repair_block(index, size, &value);
    }
    footer = exa_cursor_make(index + size - 48, 40);
    repair_block(index, size, &footer);
    repair_block(index, size, &footer);
}

static void put(const char *path, const void *bytes, size_t size) {
    FILE *f = fopen(path, "wb");
    assert(f && fwrite(bytes, 1, size, f) == size);
    fclose(f);
}

static void read_tensor(exa_tensor_bundle *b, size_t i, size_t data_size) {
    exa_tensor_info info;
    size_t found;
    assert(exa_tensor_bundle_info(b, i, &info) == EXA_OK);
    assert(exa_tensor_bundle_find(b, info.name, &found) == EXA_OK && found == i);
    assert(info.rank >= 0 && info.rank <= EXA_TENSOR_MAX_RANK && info.bytes <= data_size);
    if (info.type == EXA_TENSOR_OTHER) return;
    assert(info.elements <= data_size / 4);
    void *values = malloc(info.elements * 8 + 1);
    exa_status a = exa_tensor_bundle_read_f32(b, info.name, values, info.elements);
    exa_status c = exa_tensor_bundle_read_i64(b, info.name, values, info.elements);
    assert(a != EXA_OK || c != EXA_OK);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exa_tensor_bundle *b = NULL;
    if (size < 5) return 0;
    size_t index_size = exa_load_le32(data + 1);
    if (index_size > size - 5) index_size = size - 5;
    unsigned char *index = malloc(index_size + 1);
    memcpy(index, data + 5, index_size);
    if (data[0] & 1) repair(index, index_size);
    put(index_path, index, index_size);
    put(data_path, data + 5 + index_size, size - 5 - index_size);
    free(index);
    exa_status st = exa_tensor_bundle_open(prefix, &b);
    if (st == EXA_OK) {
        for (size_t i = 0; i < exa_tensor_bundle_count(b); i++) read_tensor(b, i, size);
        exa_tensor_bundle_close(&b);
    } else {
        assert(b == NULL && exa_error_last()->status == st && exa_error_last()->message[0]);
        assert(st != EXA_ERR_INTERNAL && st != EXA_ERR_MEMORY);
    }
    return 0;
}
