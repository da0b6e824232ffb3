/* Writes a generation by all ranks together.
 *
 *   rank 0       the file under its temporary name: texts, attributes, empty datasets
 *   all ranks    open it, and in lock-step write pieces of whole storage chunks; a filtered parallel write is
 *                collective in HDF5 1.10, so a rank with less to write takes part with nothing selected
 *   all ranks    close it, read back what another rank wrote
 *   rank 0       fsync, rename
 *
 * What fails on one rank is agreed on before the next collective call, so that nobody waits for it. Within one
 * call of HDF5 that cannot be done: a full disk, the likeliest cause, is looked for before. */
#include "generation_internal.h"
#include "journal_internal.h"

#include "exaconn/box.h"
#include "exaconn/comm_mpi.h"
#include "exaconn/file.h"
#include "exaconn/log.h"
#include "exaconn/version.h"
#include "exaconn/zstd_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { SMALLEST_STORAGE = 1 << 14, LARGEST_STORAGE = 1 << 22, DETAILS_STORAGE = 1 << 16, PIECE = 32 << 20 };

typedef struct writer {
    exa_generation_source *source;
    const char *path;
    char temporary[EXA_PATH_BYTES]; /* the same on all ranks */
    uint64_t run;
    uint64_t first, end;                   /* this rank's rows */
    size_t storage_bytes[EXA_CHUNK_PARTS]; /* of a storage chunk */
    uint64_t elements[EXA_CHUNK_PARTS];
    unsigned char *piece; /* owned; PIECE bytes */
    hid_t file, transfer;
} writer;

/* ---- who writes what where ----------------------------------------------------------------------------------- */

static uint64_t row_bytes(const exa_generation_row *r) {
    return r->size[0] + r->size[1] + r->size[2];
}

void exa_generation_share(const exa_generation_row *rows, uint64_t count, int rank, int size, uint64_t *first,
                          uint64_t *end) {
    double all = 0, before = 0;

    for (uint64_t i = 0; i < count; i++) all += (double)row_bytes(&rows[i]);
    *first = *end = count;
    for (uint64_t i = 0; i < count; i++) {
        double middle = before + (double)row_bytes(&rows[i]) / 2;
        int whose = all > 0 ? (int)(middle / all * size) : 0;
        before += (double)row_bytes(&rows[i]);
        if (whose >= rank && *first == count) *first = i;
        if (whose > rank) {
            *end = i;
            break;
        }
    }
}

/* A power of two that holds the largest part, within limits: small runs stay small. */
static size_t storage_bytes_of(const exa_generation_source *s, exa_chunk_part p) {
    uint64_t largest = 0;
    size_t bytes = SMALLEST_STORAGE;

    if (p == EXA_CHUNK_DETAILS) return DETAILS_STORAGE;
    for (uint64_t i = 0; i < s->count; i++) largest = s->rows[i].size[p] > largest ? s->rows[i].size[p] : largest;
    while (bytes < LARGEST_STORAGE && bytes < largest) bytes *= 2;
    return bytes;
}

static void lay_out(writer *w) {
    for (int p = 0; p < EXA_CHUNK_PARTS; p++) {
        uint64_t at = 0;
        w->storage_bytes[p] = storage_bytes_of(w->source, (exa_chunk_part)p);
        for (uint64_t i = 0; i < w->source->count; i++) {
            exa_generation_row *r = &w->source->rows[i];
            r->at[p] = at / exa_generation_element[p];
            at += (r->size[p] + w->storage_bytes[p] - 1) / w->storage_bytes[p] * w->storage_bytes[p];
        }
        w->elements[p] = at / exa_generation_element[p];
    }
    exa_generation_share(w->source->rows, w->source->count, exa_comm_rank(), exa_comm_size(), &w->first, &w->end);
}

/* Collective writes of a part: as many as the rank with the most pieces has. */
static uint64_t count_steps(const writer *w, exa_chunk_part p) {
    uint64_t most = 0;

    for (int r = 0; r < exa_comm_size(); r++) {
        uint64_t first, end, pieces = 0;
        exa_generation_share(w->source->rows, w->source->count, r, exa_comm_size(), &first, &end);
        for (; first < end; first++) pieces += (w->source->rows[first].size[p] + PIECE - 1) / PIECE;
        most = pieces > most ? pieces : most;
    }
    return most;
}

/* ---- the empty file, on rank 0 ------------------------------------------------------------------------------- */

static exa_status put_attribute(const writer *w, const char *name, hid_t stored, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(w->file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    exa_status st = EXA_OK;

    if (attribute < 0 || H5Awrite(attribute, type, value) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write the attribute '%s' of '%s'", name, w->temporary);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return st;
}

static exa_status put_text(const writer *w, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    exa_status st;

    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    st = put_attribute(w, name, type, type, text);
    H5Tclose(type);
    return st;
}

static exa_status put_bytes(const writer *w, const char *name, const char *text) {
    const hsize_t n = strlen(text);
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t set = H5Dcreate2(w->file, name, H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    exa_status st = EXA_OK;

    if (set < 0 || H5Dwrite(set, H5T_STD_U8LE, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write %s of '%s'", name, w->temporary);
    if (set >= 0) H5Dclose(set);
    H5Sclose(space);
    return st;
}

static exa_status put_header(const writer *w) {
    const exa_generation_info *i = &w->source->info;
    const exa_version *v = exa_version_get();
    const uint32_t version = EXA_GENERATION_VERSION, epoch = i->epoch,
                   crc = exa_crc32c(0, w->source->job, strlen(w->source->job));
    char made_by[64];

    snprintf(made_by, sizeof made_by, "exaconn %s (%s)", v->version, v->commit);
    EXA_TRY(put_text(w, "format", EXA_GENERATION_FORMAT));
    EXA_TRY(put_attribute(w, "version", H5T_STD_U32LE, H5T_NATIVE_UINT32, &version));
    EXA_TRY(put_attribute(w, "generation", H5T_STD_U64LE, H5T_NATIVE_UINT64, &i->number));
    EXA_TRY(put_attribute(w, "epoch", H5T_STD_U32LE, H5T_NATIVE_UINT32, &epoch));
    EXA_TRY(put_attribute(w, "chunks", H5T_STD_U64LE, H5T_NATIVE_UINT64, &i->chunks));
    EXA_TRY(put_attribute(w, "job_crc32c", H5T_STD_U32LE, H5T_NATIVE_UINT32, &crc));
    EXA_TRY(put_text(w, "run_sha256", i->run_sha256));
    EXA_TRY(put_text(w, "weights_sha256", i->weights_sha256));
    EXA_TRY(put_text(w, "made_by", made_by));
    EXA_TRY(put_bytes(w, "/identity", w->source->identity));
    return put_bytes(w, "/job", w->source->job);
}

static exa_status put_dataset(const writer *w, const char *name, hid_t type, hsize_t n, hsize_t storage) {
    const unsigned level = (unsigned)w->source->zstd_level;
    hid_t space = H5Screate_simple(1, &n, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set = H5I_INVALID_HID;
    bool ok = H5Pset_obj_track_times(properties, false) >= 0;
    exa_status st = EXA_OK;

    if (storage)
        ok = ok && H5Pset_chunk(properties, 1, &storage) >= 0 &&
             H5Pset_filter(properties, EXA_ZSTD_FILTER_ID, H5Z_FLAG_MANDATORY, 1, &level) >= 0;
    if (ok) set = H5Dcreate2(w->file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    if (set < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot create %s in '%s'", name, w->temporary);
    if (set >= 0) H5Dclose(set);
    H5Pclose(properties);
    H5Sclose(space);
    return st;
}

static exa_status put_datasets(const writer *w) {
    hid_t type = exa_generation_row_type();
    exa_status st = put_dataset(w, "/chunks", type, w->source->count, 0);

    H5Tclose(type);
    for (int p = 0; st == EXA_OK && p < EXA_CHUNK_PARTS; p++) {
        if (w->elements[p] == 0) continue;
        st = put_dataset(w, exa_generation_dataset[p], exa_generation_element_type((exa_chunk_part)p),
                         w->elements[p], w->storage_bytes[p] / exa_generation_element[p]);
    }
    return st;
}

/* Closes the file; what is still to be written may fail now. */
static exa_status close_file(writer *w, exa_status st) {
    herr_t rc = w->file >= 0 ? H5Fclose(w->file) : 0;

    w->file = H5I_INVALID_HID;
    if (rc < 0 && st == EXA_OK) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write '%s'", w->temporary);
    return st;
}

static exa_status create_file(writer *w) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    exa_status st = EXA_OK;

    exa_generation_set_format(access);
    w->file = H5Fcreate(w->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (w->file < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot create '%s'", w->temporary);
    H5Pclose(access);
    if (st == EXA_OK) st = put_header(w);
    if (st == EXA_OK) st = put_datasets(w);
    return close_file(w, st);
}

/* About what it takes. */
static uint64_t needed_bytes(const writer *w) {
    uint64_t needed = w->source->stored_bytes;

    for (int p = 0; p < EXA_CHUNK_PARTS; p++)
        needed += 512 * (w->elements[p] * exa_generation_element[p] / w->storage_bytes[p]);
    return needed + w->source->count * EXA_GENERATION_ROW_BYTES + (1 << 16);
}

static exa_status no_room(const writer *w, const char *why) {
    char text[32];

    return EXA_FAIL(EXA_ERR_IO,
                    "no room for the checkpoint '%s', which takes about %s: %s. Hint: make room there; nothing is "
                    "lost, the journals hold all finished chunks",
                    w->path, exa_format_bytes((double)needed_bytes(w), text), why);
}

/* What HDF5 does on a full disk, on several ranks at once, is better not found out. */
static exa_status check_room(const writer *w) {
    struct statvfs info;
    char folder[EXA_PATH_BYTES], text[32], why[64];
    double room;

    snprintf(folder, sizeof folder, "%.*s", (int)(exa_path_basename(w->path) - w->path), w->path);
    if (statvfs(*folder ? folder : ".", &info) != 0) return EXA_OK; /* it will be seen */
    room = (double)info.f_bavail * (double)info.f_frsize;
    if ((double)needed_bytes(w) <= room) return EXA_OK;
    snprintf(why, sizeof why, "%s are free", exa_format_bytes(room, text));
    return no_room(w, why);
}

/* Takes the room beforehand, where the file system can. */
static exa_status reserve(const writer *w) {
    exa_status st = EXA_OK;

    if (exa_comm_size() > 1) st = exa_file_reserve(w->temporary, needed_bytes(w));
    return st == EXA_OK ? EXA_OK : no_room(w, exa_error_last()->message);
}

/* ---- all ranks ----------------------------------------------------------------------------------------------- */

static exa_status open_file(writer *w) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    exa_status st = EXA_OK;

    exa_generation_set_format(access);
    w->transfer = H5Pcreate(H5P_DATASET_XFER);
    if (exa_comm_size() > 1) {
        H5Pset_fapl_mpio(access, exa_comm_mpi(), MPI_INFO_NULL);
        H5Pset_dxpl_mpio(w->transfer, H5FD_MPIO_COLLECTIVE);
    }
    w->file = H5Fopen(w->temporary, H5F_ACC_RDWR, access);
    if (w->file < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot open '%s' to write it", w->temporary);
    H5Pclose(access);
    return st;
}

/* `n` elements, which may be none, of each rank. */
static exa_status write_piece(const writer *w, hid_t set, hid_t type, uint64_t at, uint64_t n, const void *bytes) {
    const hsize_t start = at, count = n;
    hid_t space = H5Dget_space(set), memory;
    herr_t rc;
    exa_status st = EXA_OK;

    memory = n ? H5Screate_simple(1, &count, NULL) : H5Scopy(space);
    if (n) {
        H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, NULL, &count, NULL);
    } else {
        H5Sselect_none(space);
        H5Sselect_none(memory);
    }
    rc = H5Dwrite(set, type, memory, space, w->transfer, bytes);
    if (rc < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write '%s'", w->temporary);
    H5Sclose(memory);
    H5Sclose(space);
    return st;
}

/* What one rank has still to write of a part. */
typedef struct feed {
    exa_chunk_part part;
    uint64_t row, done;   /* bytes of the row that are written */
    unsigned char *bytes; /* owned; of the row, once loaded */
} feed;

static exa_status load_row(writer *w, feed *f) {
    exa_generation_row *r = &w->source->rows[f->row];

    f->done = 0;
    EXA_TRY(exa_alloc((size_t)r->size[f->part], 1, "a part of a chunk", &f->bytes));
    EXA_TRY(w->source->read(w->source->context, f->row, f->part, f->bytes));
    r->crc[f->part] = exa_crc32c(0, f->bytes, (size_t)r->size[f->part]);
    return EXA_OK;
}

/* The next piece into w->piece, filled up with zeros to whole storage chunks: HDF5 then need not read what is
 * there. *elements is 0 if nothing is left. */
static exa_status next_piece(writer *w, feed *f, uint64_t *at, uint64_t *elements) {
    const size_t storage = w->storage_bytes[f->part];
    const exa_generation_row *r;
    size_t n, padded;

    *at = *elements = 0;
    while (f->row < w->end && w->source->rows[f->row].size[f->part] == 0) f->row++;
    if (f->row >= w->end) return EXA_OK;
    if (!f->bytes) EXA_TRY(load_row(w, f));
    r = &w->source->rows[f->row];
    n = r->size[f->part] - f->done < PIECE ? (size_t)(r->size[f->part] - f->done) : PIECE;
    padded = (n + storage - 1) / storage * storage;
    memcpy(w->piece, f->bytes + f->done, n);
    memset(w->piece + n, 0, padded - n);
    *at = r->at[f->part] + f->done / exa_generation_element[f->part];
    *elements = padded / exa_generation_element[f->part];
    f->done += n;
    if (f->done < r->size[f->part]) return EXA_OK;
    free(f->bytes);
    f->bytes = NULL;
    f->row++;
    return EXA_OK;
}

/* The lock is given up between the pieces: a part may come from another generation. */
static exa_status write_part(writer *w, exa_chunk_part p) {
    feed f = {.part = p, .row = w->first};
    uint64_t at = 0, n = 0;
    hid_t set;
    exa_status st;

    exa_hdf5_lock();
    set = H5Dopen2(w->file, exa_generation_dataset[p], H5P_DEFAULT);
    st = set < 0 ? EXA_HDF5_FAIL(EXA_ERR_IO, "cannot open %s of '%s'", exa_generation_dataset[p], w->temporary)
                 : EXA_OK;
    exa_hdf5_leave();
    for (uint64_t left = count_steps(w, p); left > 0; left--) {
        if (st == EXA_OK) st = next_piece(w, &f, &at, &n);
        if ((st = exa_comm_agree(st)) != EXA_OK) break;
        exa_hdf5_lock();
        exa_zstd_filter_expect(w->storage_bytes[p]);
        st = write_piece(w, set, exa_generation_element_type(p), at, n, w->piece);
        exa_zstd_filter_expect(0);
        exa_hdf5_leave();
    }
    free(f.bytes);
    exa_hdf5_lock();
    if (set >= 0) H5Dclose(set);
    exa_hdf5_leave();
    return exa_comm_agree(st);
}

static exa_status write_rows(writer *w) {
    hid_t set = H5Dopen2(w->file, "/chunks", H5P_DEFAULT), type = exa_generation_row_type();
    unsigned char *packed = NULL;
    exa_status st = EXA_OK;

    if (set < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot open the table of '%s'", w->temporary);
    if (st == EXA_OK)
        st = exa_alloc((size_t)(w->end - w->first), EXA_GENERATION_ROW_BYTES, "the table of a generation", &packed);
    st = exa_comm_agree(st);
    for (uint64_t i = w->first; st == EXA_OK && i < w->end; i++)
        exa_generation_pack_row(&w->source->rows[i], w->run, packed + (i - w->first) * EXA_GENERATION_ROW_BYTES);
    if (st == EXA_OK) st = write_piece(w, set, type, w->first, w->end - w->first, packed);
    free(packed);
    H5Tclose(type);
    if (set >= 0) H5Dclose(set);
    return st;
}

static exa_status write_content(writer *w) {
    exa_status st = EXA_OK;

    for (int p = 0; st == EXA_OK && p < EXA_CHUNK_PARTS; p++)
        if (w->elements[p]) st = write_part(w, (exa_chunk_part)p);
    exa_hdf5_lock();
    st = exa_comm_agree(st == EXA_OK ? write_rows(w) : st);      /* before the next collective call */
    if (st == EXA_OK && H5Fflush(w->file, H5F_SCOPE_GLOBAL) < 0) /* on each rank an fsync, through MPI */
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write '%s' to disk", w->temporary);
    st = close_file(w, exa_comm_agree(st));
    exa_hdf5_leave();
    return exa_comm_agree(st);
}

/* ---- reading it back ----------------------------------------------------------------------------------------- */

static exa_status read_back_row(exa_generation *g, const exa_generation_row *want, uint64_t i) {
    const exa_generation_row *r = &exa_generation_rows(g)[i];

    EXA_CHECK(r->whole && r->chunk == want->chunk && memcmp(r->size, want->size, sizeof r->size) == 0 &&
                  memcmp(r->at, want->at, sizeof r->at) == 0,
              EXA_ERR_CORRUPT, "chunk %llu has another row than the one written", (unsigned long long)want->chunk);
    for (int p = 0; p < EXA_CHUNK_PARTS; p++) {
        void *bytes = NULL;
        exa_status st;
        EXA_TRY(exa_alloc((size_t)r->size[p], 1, "a part of a chunk", &bytes));
        st = exa_generation_read(g, i, (exa_chunk_part)p, bytes);
        free(bytes);
        EXA_TRY(st);
    }
    return EXA_OK;
}

static exa_status read_back(const writer *w) {
    const exa_generation_source *s = w->source;
    exa_generation *g = NULL;
    uint64_t first, end;
    exa_status st;

    exa_generation_share(s->rows, s->count, (exa_comm_rank() + 1) % exa_comm_size(), exa_comm_size(), &first, &end);
    st = exa_generation_open(w->temporary, s->info.run_sha256, &g);
    if (st == EXA_OK && exa_generation_get_info(g)->rows != s->count)
        st = EXA_FAIL(EXA_ERR_CORRUPT, "it has another number of chunks");
    for (uint64_t i = first; st == EXA_OK && i < end; i++) st = read_back_row(g, &s->rows[i], i);
    exa_generation_close(&g);
    if (st == EXA_OK) return EXA_OK;
    return exa_error_context(st, "the checkpoint '%s' does not read back as it was written", w->path);
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_status begin(writer *w) {
    exa_status st;

    EXA_TRY(exa_journal_run_number(w->source->info.run_sha256, &w->run));
    EXA_TRY(exa_alloc(PIECE, 1, "a piece of a checkpoint", &w->piece));
    if (exa_comm_rank() != 0) return EXA_OK;
    EXA_TRY(exa_file_temporary_name(w->temporary, w->path));
    EXA_TRY(check_room(w));
    EXA_TRY(exa_hdf5_enter());
    st = create_file(w);
    exa_hdf5_leave();
    return st == EXA_OK ? reserve(w) : st;
}

static exa_status write_all(writer *w) {
    exa_status st;

    EXA_TRY(exa_comm_broadcast(w->temporary, sizeof w->temporary));
    st = exa_hdf5_enter();
    if (st == EXA_OK) {
        st = open_file(w);
        exa_hdf5_leave();
    }
    st = exa_comm_agree(st);
    if (st == EXA_OK) {
        st = write_content(w);
    }
    exa_hdf5_lock();
    close_file(w, st);
    if (w->transfer >= 0) H5Pclose(w->transfer);
    exa_hdf5_leave();
    EXA_TRY(st);
    EXA_TRY(exa_comm_agree(read_back(w)));
    if (exa_comm_rank() == 0) exa_file_trim(w->temporary);
    return exa_comm_agree(exa_comm_rank() == 0 ? exa_file_commit(w->temporary, w->path) : EXA_OK);
}

exa_status exa_generation_write(const char *path, exa_generation_source *source) {
    writer w = {.source = source, .path = path, .file = H5I_INVALID_HID, .transfer = H5I_INVALID_HID};
    exa_status st;

    lay_out(&w);
    st = exa_comm_agree(begin(&w));
    if (st == EXA_OK) st = write_all(&w);
    if (st != EXA_OK && exa_comm_rank() == 0 && w.temporary[0]) unlink(w.temporary);
    free(w.piece);
    return st;
}
