/* Reads a generation. HDF5 checks its own metadata; what it hands out is checked against the rows here. */
#include "generation_internal.h"
#include "journal_internal.h"

#include "exaconn/box.h"
#include "exaconn/file.h"
#include "exaconn/zstd_filter.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct exa_generation {
    char path[EXA_PATH_BYTES];
    exa_generation_info info;
    exa_generation_row *rows; /* owned */
    hid_t file, data[EXA_CHUNK_PARTS];
    uint64_t elements[EXA_CHUNK_PARTS]; /* of a dataset; 0: it is not there */
    size_t storage_bytes[EXA_CHUNK_PARTS];
    uint64_t run; /* the first bytes of its SHA-256, in the CRC of each row */
    uint64_t file_bytes;
};

/* ---- attributes and texts ------------------------------------------------------------------------------------ */

static exa_status read_attribute(const exa_generation *g, const char *name, hid_t type, void *value) {
    hid_t attribute = H5Aopen(g->file, name, H5P_DEFAULT), space;
    bool one;
    exa_status st = EXA_OK;

    if (attribute < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "'%s' has no attribute '%s'", g->path, name);
    space = H5Aget_space(attribute);
    one = H5Sget_simple_extent_npoints(space) == 1;
    H5Sclose(space);
    if (!one || H5Aread(attribute, type, value) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read the attribute '%s' of '%s'", name, g->path);
    H5Aclose(attribute);
    return st;
}

/* Fixed-length text of at most size-1 bytes. */
static exa_status read_text(const exa_generation *g, const char *name, size_t size, char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    exa_status st;

    H5Tset_size(type, size);
    H5Tset_cset(type, H5T_CSET_UTF8);
    memset(text, 0, size);
    st = read_attribute(g, name, type, text);
    text[size - 1] = '\0';
    H5Tclose(type);
    return st;
}

static exa_status read_info(exa_generation *g, const char *run_sha256) {
    exa_generation_info *i = &g->info;
    char format[64] = "";
    uint32_t version = 0;

    EXA_CHECK(H5Aexists(g->file, "format") > 0, EXA_ERR_FORMAT, "'%s' is no checkpoint generation", g->path);
    EXA_TRY(read_text(g, "format", sizeof format, format));
    EXA_CHECK(strcmp(format, EXA_GENERATION_FORMAT) == 0, EXA_ERR_FORMAT, "'%s' is no checkpoint generation",
              g->path);
    EXA_TRY(read_attribute(g, "version", H5T_NATIVE_UINT32, &version));
    EXA_CHECK(version == EXA_GENERATION_VERSION, EXA_ERR_UNSUPPORTED,
              "the generation '%s' is of format version %u. Hint: use a newer exaconn", g->path, version);
    EXA_TRY(read_text(g, "run_sha256", sizeof i->run_sha256, i->run_sha256));
    EXA_CHECK(
        !run_sha256 || strcmp(run_sha256, i->run_sha256) == 0, EXA_ERR_CHECKPOINT,
        "the generation '%s' belongs to another run (%.12s..., not %.12s...). Hint: every run has a folder of "
        "its own",
        g->path, i->run_sha256, run_sha256);
    EXA_TRY(read_text(g, "weights_sha256", sizeof i->weights_sha256, i->weights_sha256));
    EXA_TRY(read_text(g, "made_by", sizeof i->made_by, i->made_by));
    EXA_TRY(read_attribute(g, "generation", H5T_NATIVE_UINT64, &i->number));
    EXA_TRY(read_attribute(g, "epoch", H5T_NATIVE_UINT32, &i->epoch));
    EXA_TRY(read_attribute(g, "chunks", H5T_NATIVE_UINT64, &i->chunks));
    return exa_journal_run_number(i->run_sha256, &g->run);
}

/* A whole dataset of bytes as text. */
static exa_status read_bytes(exa_generation *g, const char *name, char **text) {
    hid_t set = H5Dopen2(g->file, name, H5P_DEFAULT), space;
    hssize_t n;
    char *bytes = NULL;
    exa_status st = EXA_OK;

    if (set < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "'%s' has no %s", g->path, name);
    space = H5Dget_space(set);
    n = H5Sget_simple_extent_npoints(space);
    H5Sclose(space);
    EXA_CHECK_GOTO(done, n >= 0 && (uint64_t)n <= g->file_bytes, EXA_ERR_FORMAT, "'%s' has an impossible %s",
                   g->path, name);
    EXA_GOTO(done, exa_calloc((size_t)n + 1, 1, "a text of a generation", &bytes));
    if (n > 0 && H5Dread(set, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, bytes) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read %s of '%s'", name, g->path);
done:
    H5Dclose(set);
    if (st == EXA_OK) {
        *text = bytes;
    } else {
        free(bytes);
    }
    return st;
}

exa_status exa_generation_identity(exa_generation *g, char **text) {
    char sha256[EXA_SHA256_HEX_BYTES];
    exa_status st;

    EXA_TRY(exa_hdf5_enter());
    st = read_bytes(g, "/identity", text);
    exa_hdf5_leave();
    EXA_TRY(st);
    st = exa_sha256(*text, strlen(*text), sha256);
    if (st == EXA_OK && strcmp(sha256, g->info.run_sha256) != 0)
        st = EXA_FAIL(EXA_ERR_CORRUPT, "'%s' has a damaged /identity", g->path);
    if (st != EXA_OK) free(*text);
    return st;
}

exa_status exa_generation_job(exa_generation *g, char **json) {
    uint32_t crc = 0;
    exa_status st;

    EXA_TRY(exa_hdf5_enter());
    st = read_attribute(g, "job_crc32c", H5T_NATIVE_UINT32, &crc);
    if (st == EXA_OK) st = read_bytes(g, "/job", json);
    exa_hdf5_leave();
    EXA_TRY(st);
    if (crc == exa_crc32c(0, *json, strlen(*json))) return EXA_OK;
    free(*json);
    return EXA_FAIL(EXA_ERR_CORRUPT, "'%s' has a damaged /job", g->path);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static bool has_class(hid_t set, H5T_class_t wanted, size_t size) {
    hid_t type = H5Dget_type(set);
    bool is = type >= 0 && H5Tget_class(type) == wanted && H5Tget_size(type) == size;

    if (type >= 0) H5Tclose(type);
    return is;
}

static hssize_t points_of(hid_t set) {
    hid_t space = H5Dget_space(set);
    hssize_t n = space >= 0 && H5Sget_simple_extent_ndims(space) == 1 ? H5Sget_simple_extent_npoints(space) : -1;

    if (space >= 0) H5Sclose(space);
    return n;
}

/* A row that proves itself, but does not fit the datasets, is none. */
static bool row_fits(const exa_generation *g, const exa_generation_row *r) {
    for (int p = 0; p < EXA_CHUNK_PARTS; p++) {
        uint64_t n = r->size[p] / exa_generation_element[p];
        if (r->size[p] && (n > g->elements[p] || r->at[p] > g->elements[p] - n)) return false;
    }
    return true;
}

static exa_status read_rows(exa_generation *g) {
    hid_t set = H5Dopen2(g->file, "/chunks", H5P_DEFAULT), type = exa_generation_row_type();
    unsigned char *packed = NULL;
    hssize_t n = -1;
    exa_status st = EXA_OK;

    if (set < 0) st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "'%s' has no table of chunks", g->path);
    if (st != EXA_OK) goto done;
    n = points_of(set);
    EXA_CHECK_GOTO(done,
                   n >= 0 && (uint64_t)n <= g->file_bytes / EXA_GENERATION_ROW_BYTES &&
                       has_class(set, H5T_COMPOUND, EXA_GENERATION_ROW_BYTES),
                   EXA_ERR_FORMAT, "the table of chunks of '%s' is not one", g->path);
    EXA_GOTO(done, exa_calloc((size_t)n, sizeof *g->rows, "the table of a generation", &g->rows));
    EXA_GOTO(done, exa_alloc((size_t)n, EXA_GENERATION_ROW_BYTES, "the table of a generation", &packed));
    if (n > 0 && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, packed) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read the table of chunks of '%s'", g->path);
    g->info.rows = (uint64_t)n;
    for (hssize_t i = 0; st == EXA_OK && i < n; i++) {
        exa_generation_unpack_row(packed + i * EXA_GENERATION_ROW_BYTES, g->run, &g->rows[i]);
        g->rows[i].whole = g->rows[i].whole && row_fits(g, &g->rows[i]);
        g->info.damaged_rows += !g->rows[i].whole;
    }
done:
    free(packed);
    H5Tclose(type);
    if (set >= 0) H5Dclose(set);
    return st;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static exa_status open_part(exa_generation *g, exa_chunk_part p) {
    hid_t properties;
    hsize_t chunk = 0;
    hssize_t n;
    bool chunked;

    if (H5Lexists(g->file, exa_generation_dataset[p], H5P_DEFAULT) <= 0) return EXA_OK;
    g->data[p] = H5Dopen2(g->file, exa_generation_dataset[p], H5P_DEFAULT);
    if (g->data[p] < 0)
        return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot open %s of '%s'", exa_generation_dataset[p], g->path);
    n = points_of(g->data[p]);
    properties = H5Dget_create_plist(g->data[p]);
    chunked = H5Pget_layout(properties) == H5D_CHUNKED && H5Pget_chunk(properties, 1, &chunk) == 1;
    H5Pclose(properties);
    EXA_CHECK(chunked && n >= 0 && has_class(g->data[p], H5T_INTEGER, exa_generation_element[p]), EXA_ERR_FORMAT,
              "%s of '%s' is not what it should be", exa_generation_dataset[p], g->path);
    g->elements[p] = (uint64_t)n;
    g->storage_bytes[p] = (size_t)chunk * exa_generation_element[p];
    return EXA_OK;
}

static exa_status open_file(exa_generation *g, const char *path) {
    struct stat info;
    htri_t is_hdf5;

    EXA_CHECK(strlen(path) < sizeof g->path, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, path);
    memcpy(g->path, path, strlen(path) + 1);
    EXA_CHECK(stat(path, &info) == 0 && access(path, R_OK) == 0, EXA_ERR_IO, "cannot open '%s': %s", path,
              strerror(errno));
    EXA_CHECK(S_ISREG(info.st_mode), EXA_ERR_FORMAT, "'%s' is no ordinary file", path);
    g->file_bytes = (uint64_t)info.st_size;
    is_hdf5 = H5Fis_hdf5(path);
    EXA_CHECK(is_hdf5 > 0, EXA_ERR_FORMAT, "'%s' is not an HDF5 file", path);
    g->file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (g->file < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot open '%s'", path);
    return EXA_OK;
}

static exa_status open_all(exa_generation *g, const char *path, const char *run_sha256) {
    EXA_TRY(open_file(g, path));
    EXA_TRY(read_info(g, run_sha256));
    for (int p = 0; p < EXA_CHUNK_PARTS; p++) EXA_TRY(open_part(g, (exa_chunk_part)p));
    return read_rows(g);
}

exa_status exa_generation_open(const char *path, const char *run_sha256, exa_generation **out) {
    exa_generation *g = NULL;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *g, "a generation", &g));
    g->file = H5I_INVALID_HID;
    for (int p = 0; p < EXA_CHUNK_PARTS; p++) g->data[p] = H5I_INVALID_HID;
    st = exa_hdf5_enter();
    if (st == EXA_OK) {
        st = open_all(g, path, run_sha256);
        exa_hdf5_leave();
    }
    if (st == EXA_OK) {
        *out = g;
    } else {
        exa_generation_close(&g);
    }
    return st;
}

uint64_t exa_generation_stored_bytes(exa_generation *g, exa_chunk_part part) {
    uint64_t bytes;

    if (g->data[part] < 0) return 0;
    exa_hdf5_lock();
    bytes = H5Dget_storage_size(g->data[part]);
    exa_hdf5_leave();
    return bytes;
}

void exa_generation_close(exa_generation **generation) {
    exa_generation *g = *generation;

    if (!g) return;
    exa_hdf5_lock();
    for (int p = 0; p < EXA_CHUNK_PARTS; p++)
        if (g->data[p] >= 0) H5Dclose(g->data[p]);
    if (g->file >= 0) H5Fclose(g->file);
    exa_hdf5_leave();
    free(g->rows);
    free(g);
    *generation = NULL;
}

const exa_generation_info *exa_generation_get_info(const exa_generation *g) {
    return &g->info;
}

const exa_generation_row *exa_generation_rows(const exa_generation *g) {
    return g->rows;
}

/* ---- parts --------------------------------------------------------------------------------------------------- */

static exa_status read_part(exa_generation *g, const exa_generation_row *row, exa_chunk_part part, void *bytes) {
    const hsize_t start = row->at[part], count = row->size[part] / exa_generation_element[part];
    hid_t space = H5Dget_space(g->data[part]), memory = H5Screate_simple(1, &count, NULL);
    herr_t rc = space < 0 || memory < 0 ? -1 : 0;
    exa_status st = EXA_OK;

    exa_zstd_filter_expect(g->storage_bytes[part]);
    if (rc >= 0) rc = H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL);
    if (rc >= 0) rc = H5Dread(g->data[part], exa_generation_element_type(part), memory, space, H5P_DEFAULT, bytes);
    if (rc < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_CORRUPT, "cannot read %s of chunk %llu in '%s'",
                           exa_generation_dataset[part] + 1, (unsigned long long)row->chunk, g->path);
    exa_zstd_filter_expect(0);
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    return st;
}

exa_status exa_generation_read(exa_generation *g, uint64_t row, exa_chunk_part part, void *bytes) {
    const exa_generation_row *r = &g->rows[row];
    exa_status st;

    EXA_CHECK(r->whole, EXA_ERR_CORRUPT, "row %llu of the generation '%s' is damaged", (unsigned long long)row,
              g->path);
    if (r->size[part] == 0) return EXA_OK;
    EXA_TRY(exa_hdf5_enter());
    st = read_part(g, r, part, bytes);
    exa_hdf5_leave();
    EXA_TRY(st);
    return exa_generation_check_part(g->path, r, part, bytes);
}

exa_status exa_generation_read_all(exa_generation *g, uint64_t *damaged) {
    *damaged = 0;
    for (uint64_t i = 0; i < g->info.rows; i++) {
        exa_status st = g->rows[i].whole ? EXA_OK : EXA_ERR_CORRUPT;
        for (int p = 0; st == EXA_OK && p < EXA_CHUNK_PARTS; p++) {
            void *bytes = NULL;
            EXA_TRY(exa_alloc((size_t)g->rows[i].size[p], 1, "a part of a chunk", &bytes));
            st = exa_generation_read(g, i, (exa_chunk_part)p, bytes);
            free(bytes);
        }
        *damaged += st != EXA_OK;
    }
    return EXA_OK;
}
