/* Rows, types and names of generations. */
#include "generation_internal.h"

#include "exaconn/little_endian.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const exa_generation_dataset[EXA_CHUNK_PARTS] = {"/labels", "/probability", "/details"};
const size_t exa_generation_element[EXA_CHUNK_PARTS] = {4, 1, 1};

hid_t exa_generation_element_type(exa_chunk_part part) {
    return part == EXA_CHUNK_LABELS ? H5T_STD_I32LE : H5T_STD_U8LE;
}

bool exa_generation_set_format(hid_t access) {
    return H5Pset_libver_bounds(access, H5F_LIBVER_V110, H5F_LIBVER_V110) >= 0;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

typedef enum field_kind { U64, I64, U32 } field_kind;

static const struct field {
    const char *name;
    size_t offset;
    field_kind kind;
} fields[] = {
    {"chunk", 0, U64},
    {"status", 8, U32},
    {"start_z", 16, I64},
    {"start_y", 24, I64},
    {"start_x", 32, I64},
    {"shape_z", 40, I64},
    {"shape_y", 48, I64},
    {"shape_x", 56, I64},
    {"labels_at", 64, U64},
    {"labels_bytes", 72, U64},
    {"probability_at", 80, U64},
    {"probability_bytes", 88, U64},
    {"details_at", 96, U64},
    {"details_bytes", 104, U64},
    {"labels_crc32c", 112, U32},
    {"probability_crc32c", 116, U32},
    {"details_crc32c", 120, U32},
    {"row_crc32c", 140, U32},
};

hid_t exa_generation_row_type(void) {
    hid_t type = H5Tcreate(H5T_COMPOUND, EXA_GENERATION_ROW_BYTES);

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        H5Tinsert(type, fields[i].name, fields[i].offset,
                  fields[i].kind == U64   ? H5T_STD_U64LE
                  : fields[i].kind == I64 ? H5T_STD_I64LE
                                          : H5T_STD_U32LE);
    return type;
}

/* The run's number is part of what the CRC is of: a row of another run proves nothing. */
static uint32_t row_crc(const unsigned char *row, uint64_t run) {
    unsigned char number[8];

    exa_store_le64(number, run);
    return exa_crc32c(exa_crc32c(0, number, sizeof number), row, EXA_GENERATION_ROW_BYTES - 4);
}

void exa_generation_pack_row(const exa_generation_row *r, uint64_t run,
                             unsigned char out[EXA_GENERATION_ROW_BYTES]) {
    memset(out, 0, EXA_GENERATION_ROW_BYTES);
    exa_store_le64(out, r->chunk);
    exa_store_le32(out + 8, EXA_GENERATION_DONE);
    for (int i = 0; i < 3; i++) {
        exa_store_le64(out + 16 + 8 * i, (uint64_t)r->box.start[i]);
        exa_store_le64(out + 40 + 8 * i, (uint64_t)r->box.shape[i]);
        exa_store_le64(out + 64 + 16 * i, r->at[i]);
        exa_store_le64(out + 72 + 16 * i, r->size[i]);
        exa_store_le32(out + 112 + 4 * i, r->crc[i]);
    }
    exa_store_le32(out + 140, row_crc(out, run));
}

void exa_generation_unpack_row(const unsigned char in[EXA_GENERATION_ROW_BYTES], uint64_t run,
                               exa_generation_row *r) {
    *r = (exa_generation_row){.chunk = exa_load_le64(in)};
    for (int i = 0; i < 3; i++) {
        r->box.start[i] = (int64_t)exa_load_le64(in + 16 + 8 * i);
        r->box.shape[i] = (int64_t)exa_load_le64(in + 40 + 8 * i);
        r->at[i] = exa_load_le64(in + 64 + 16 * i);
        r->size[i] = exa_load_le64(in + 72 + 16 * i);
        r->crc[i] = exa_load_le32(in + 112 + 4 * i);
    }
    r->whole = exa_load_le32(in + 140) == row_crc(in, run) && exa_load_le32(in + 8) == EXA_GENERATION_DONE;
}

exa_status exa_generation_check_part(const char *path, const exa_generation_row *row, exa_chunk_part part,
                                     const void *bytes) {
    EXA_CHECK(exa_crc32c(0, bytes, (size_t)row->size[part]) == row->crc[part], EXA_ERR_CORRUPT,
              "the generation '%s' has damaged %s of chunk %llu", path, exa_generation_dataset[part] + 1,
              (unsigned long long)row->chunk);
    return EXA_OK;
}

/* ---- names --------------------------------------------------------------------------------------------------- */

void exa_generation_name(uint64_t number, char out[32]) {
    snprintf(out, 32, "gen-%06llu.h5", (unsigned long long)number);
}

bool exa_generation_parse_name(const char *name, uint64_t *number) {
    char again[32];
    unsigned long long n;

    if (sscanf(name, "gen-%llu.h5", &n) != 1 || n == 0) return false;
    exa_generation_name(n, again);
    *number = n;
    return strcmp(name, again) == 0;
}

static int by_number(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

exa_status exa_generation_list(const char *folder, uint64_t **numbers, size_t *count) {
    DIR *d = opendir(folder);
    struct dirent *file;
    uint64_t *list = NULL, number;
    size_t n = 0;
    exa_status st = EXA_OK;

    *numbers = NULL;
    *count = 0;
    EXA_CHECK(d || errno == ENOENT, EXA_ERR_IO, "cannot read the folder '%s': %s", folder, strerror(errno));
    while (d && (file = readdir(d)) != NULL) {
        uint64_t *grown;
        if (!exa_generation_parse_name(file->d_name, &number)) continue;
        grown = realloc(list, (n + 1) * sizeof *grown);
        EXA_CHECK_GOTO(done, grown, EXA_ERR_MEMORY, "cannot allocate the list of generations");
        list = grown;
        list[n++] = number;
    }
    if (n) qsort(list, n, sizeof *list, by_number);
    *numbers = list;
    *count = n;
    list = NULL;
done:
    free(list);
    if (d) closedir(d);
    return st;
}
