/* Columns of numbers in HDF5. All ranks create and write together; who has no more rows takes part with none. */
#include "exaconn/column_file.h"

#include "exaconn/box.h"
#include "exaconn/comm_mpi.h"
#include "exaconn/file.h"
#include "exaconn/hdf5_library.h"
#include "exaconn/reduce.h"

#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PIECE_ROWS = 1 << 21 }; /* of one collective write: MPI counts bytes in int */

struct exa_column_file {
    char path[EXA_PATH_BYTES];
    char temporary[EXA_PATH_BYTES]; /* "" when reading, or once it is committed */
    hid_t file, transfer;
};

static hid_t stored_type(exa_column_type type) {
    return type == EXA_COLUMN_U64   ? H5T_STD_U64LE
           : type == EXA_COLUMN_I64 ? H5T_STD_I64LE
           : type == EXA_COLUMN_F32 ? H5T_IEEE_F32LE
                                    : H5T_IEEE_F64LE;
}

static hid_t memory_type(exa_column_type type) {
    return type == EXA_COLUMN_U64   ? H5T_NATIVE_UINT64
           : type == EXA_COLUMN_I64 ? H5T_NATIVE_INT64
           : type == EXA_COLUMN_F32 ? H5T_NATIVE_FLOAT
                                    : H5T_NATIVE_DOUBLE;
}

/* ---- attributes ---------------------------------------------------------------------------------------------- */

static exa_status put_attribute(exa_column_file *f, const char *name, hid_t stored, hid_t type, hsize_t n,
                                const void *value) {
    hid_t space = n ? H5Screate_simple(1, &n, NULL) : H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(f->file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT);
    exa_status st = EXA_OK;

    if (attribute < 0 || H5Awrite(attribute, type, value) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write the attribute '%s' of '%s'", name, f->temporary);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return st;
}

static exa_status put_text(exa_column_file *f, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    exa_status st;

    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    st = put_attribute(f, name, type, type, 0, text);
    H5Tclose(type);
    return st;
}

exa_status exa_column_file_put_text(exa_column_file *f, const char *name, const char *text) {
    exa_status st;

    exa_hdf5_lock();
    st = put_text(f, name, text);
    exa_hdf5_leave();
    return exa_comm_agree(st);
}

exa_status exa_column_file_put_integer(exa_column_file *f, const char *name, uint64_t value) {
    exa_status st;

    exa_hdf5_lock();
    st = put_attribute(f, name, H5T_STD_U64LE, H5T_NATIVE_UINT64, 0, &value);
    exa_hdf5_leave();
    return exa_comm_agree(st);
}

exa_status exa_column_file_put_reals(exa_column_file *f, const char *name, const double *values, int count) {
    exa_status st;

    exa_hdf5_lock();
    st = put_attribute(f, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, (hsize_t)count, values);
    exa_hdf5_leave();
    return exa_comm_agree(st);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static exa_status name_file(exa_column_file *f, const char *path) {
    int n = snprintf(f->path, sizeof f->path, "%s", path);

    EXA_CHECK(n >= 0 && n < (int)sizeof f->path - 32, EXA_ERR_RANGE, "the path '%.80s...' is too long", path);
    return exa_comm_rank() == 0 ? exa_file_temporary_name(f->temporary, path) : EXA_OK;
}

static exa_status create_file(exa_column_file *f, const char *format) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    exa_status st = EXA_OK;

    f->transfer = H5Pcreate(H5P_DATASET_XFER);
    if (exa_comm_size() > 1) {
        H5Pset_fapl_mpio(access, exa_comm_mpi(), MPI_INFO_NULL);
        H5Pset_dxpl_mpio(f->transfer, H5FD_MPIO_COLLECTIVE);
    }
    f->file = H5Fcreate(f->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    if (f->file < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot create '%s'", f->temporary);
    H5Pclose(access);
    return st == EXA_OK ? put_text(f, "format", format) : st;
}

exa_status exa_column_file_create(const char *path, const char *format, exa_column_file **out) {
    exa_column_file *f = NULL;
    exa_status st = exa_calloc(1, sizeof *f, "a table", &f);

    if (st == EXA_OK) {
        f->file = f->transfer = H5I_INVALID_HID;
        st = name_file(f, path);
    }
    if (st == EXA_OK) {
        st = exa_hdf5_enter();
        if (st == EXA_OK) exa_hdf5_leave();
    }
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_comm_broadcast(f->temporary, sizeof f->temporary));
    exa_hdf5_lock();
    st = create_file(f, format);
    exa_hdf5_leave();
    EXA_GOTO(done, exa_comm_agree(st));
    *out = f;
    f = NULL;
done:
    exa_column_file_close(&f);
    return st;
}

/* `rows` rows, which may be none, of each rank. */
static exa_status write_piece(exa_column_file *f, hid_t set, exa_column_type type, int width, uint64_t at,
                              size_t rows, const void *data) {
    const hsize_t start[2] = {at, 0}, count[2] = {rows, (hsize_t)width};
    hid_t space = H5Dget_space(set), memory;
    exa_status st = EXA_OK;

    memory = rows ? H5Screate_simple(2, count, NULL) : H5Scopy(space);
    if (rows) {
        H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    } else {
        H5Sselect_none(space);
        H5Sselect_none(memory);
    }
    if (H5Dwrite(set, memory_type(type), memory, space, f->transfer, data) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write '%s'", f->temporary);
    H5Sclose(memory);
    H5Sclose(space);
    return st;
}

/* A column of one number a row has one dimension. */
static hid_t create_set(exa_column_file *f, const char *name, exa_column_type type, int width, uint64_t rows) {
    const hsize_t shape[2] = {rows, (hsize_t)width};
    hid_t space = H5Screate_simple(width > 1 ? 2 : 1, shape, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set;

    H5Pset_obj_track_times(properties, false);
    /* As several ranks would have it, so that the bytes do not tell how many there were. */
    H5Pset_alloc_time(properties, H5D_ALLOC_TIME_EARLY);
    H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER);
    set = H5Dcreate2(f->file, name, stored_type(type), space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
    return set;
}

exa_status exa_column_file_write(exa_column_file *f, const char *name, exa_column_type type, int width,
                                 const void *data, size_t rows) {
    const size_t item = type == EXA_COLUMN_F32 ? 4 : 8;
    uint64_t before, total, most = rows;
    exa_status st = EXA_OK;
    hid_t set;

    EXA_TRY(exa_sum_before(rows, &before, &total));
    EXA_TRY(exa_max_all(&most));
    exa_hdf5_lock();
    set = create_set(f, name, type, width, total);
    if (set < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot create '%s' in '%s'", name, f->temporary);
    exa_hdf5_leave();
    EXA_TRY(exa_comm_agree(st));
    for (uint64_t done = 0; st == EXA_OK && done < most; done += PIECE_ROWS) {
        size_t n = done >= rows ? 0 : rows - done < PIECE_ROWS ? (size_t)(rows - done) : PIECE_ROWS;
        exa_hdf5_lock();
        st = write_piece(f, set, type, width, before + done, n,
                         n ? (const char *)data + done * (size_t)width * item : NULL);
        exa_hdf5_leave();
        st = exa_comm_agree(st);
    }
    exa_hdf5_lock();
    H5Dclose(set);
    exa_hdf5_leave();
    return st;
}

exa_status exa_column_file_commit(exa_column_file *f) {
    exa_status st = EXA_OK;

    exa_hdf5_lock();
    if (H5Fclose(f->file) < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write '%s'", f->temporary);
    f->file = H5I_INVALID_HID;
    exa_hdf5_leave();
    EXA_TRY(exa_comm_agree(st));
    st = exa_comm_agree(exa_comm_rank() == 0 ? exa_file_commit(f->temporary, f->path) : EXA_OK);
    f->temporary[0] = '\0';
    return st;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static exa_status get_text(exa_column_file *f, const char *name, char *text, size_t size, bool *found) {
    hid_t attribute, type = H5I_INVALID_HID, space = H5I_INVALID_HID, wanted = H5Tcopy(H5T_C_S1);
    exa_status st = EXA_OK;

    *found = false;
    H5Tset_size(wanted, size);
    attribute = H5Aexists(f->file, name) > 0 ? H5Aopen(f->file, name, H5P_DEFAULT) : H5I_INVALID_HID;
    if (attribute < 0) goto done;
    type = H5Aget_type(attribute);
    space = H5Aget_space(attribute);
    H5Tset_cset(wanted, H5Tget_cset(type));
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) || H5Tget_size(type) > size ||
        H5Sget_simple_extent_npoints(space) != 1 || H5Aread(attribute, wanted, text) < 0) {
        st = EXA_FAIL(EXA_ERR_FORMAT, "the attribute '%s' of '%s' is no text of at most %zu bytes", name, f->path,
                      size - 1);
        goto done;
    }
    text[size - 1] = '\0';
    *found = true;
done:
    H5Tclose(wanted);
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    if (attribute >= 0) H5Aclose(attribute);
    return st;
}

exa_status exa_column_file_get_text(exa_column_file *f, const char *name, char *text, size_t size, bool *found) {
    exa_status st;

    exa_hdf5_lock();
    st = get_text(f, name, text, size, found);
    exa_hdf5_leave();
    return st;
}

exa_status exa_column_file_get_reals(exa_column_file *f, const char *name, double *values, int count, bool *found) {
    hid_t attribute, space = H5I_INVALID_HID;
    exa_status st = EXA_OK;

    *found = false;
    exa_hdf5_lock();
    attribute = H5Aexists(f->file, name) > 0 ? H5Aopen(f->file, name, H5P_DEFAULT) : H5I_INVALID_HID;
    if (attribute >= 0) {
        space = H5Aget_space(attribute);
        if (H5Sget_simple_extent_npoints(space) != count || H5Aread(attribute, H5T_NATIVE_DOUBLE, values) < 0)
            st = EXA_FAIL(EXA_ERR_FORMAT, "the attribute '%s' of '%s' is not %d numbers", name, f->path, count);
        else
            *found = true;
        H5Sclose(space);
        H5Aclose(attribute);
    }
    exa_hdf5_leave();
    return st;
}

static exa_status open_file(exa_column_file *f, const char *format) {
    char there[64] = "";
    bool found;

    f->file = H5Fopen(f->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (f->file < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot open '%s'", f->path);
    EXA_TRY(get_text(f, "format", there, sizeof there, &found));
    EXA_CHECK(found && strcmp(there, format) == 0, EXA_ERR_FORMAT,
              "'%s' is no '%s': its attribute \"format\" is '%s'", f->path, format, there);
    return EXA_OK;
}

exa_status exa_column_file_open(const char *path, const char *format, exa_column_file **out) {
    exa_column_file *f;
    exa_status st;

    EXA_CHECK(strlen(path) < sizeof f->path, EXA_ERR_RANGE, "the path '%.80s...' is too long", path);
    EXA_CHECK(exa_file_exists(path), EXA_ERR_IO, "there is no file '%s'", path);
    EXA_TRY(exa_calloc(1, sizeof *f, "a table", &f));
    memcpy(f->path, path, strlen(path) + 1);
    f->file = f->transfer = H5I_INVALID_HID;
    st = exa_hdf5_enter();
    if (st == EXA_OK) {
        st = open_file(f, format);
        exa_hdf5_leave();
    }
    if (st != EXA_OK) exa_column_file_close(&f);
    *out = f;
    return st;
}

/* Whether numbers of this class are what is asked for; unsigned ones are not read into signed ones beyond 63 bits
 * nor negative ones into unsigned: HDF5 would clip them silently. */
static bool type_fits(hid_t type, exa_column_type wanted) {
    if (wanted == EXA_COLUMN_F64 || wanted == EXA_COLUMN_F32) return H5Tget_class(type) == H5T_FLOAT;
    if (H5Tget_class(type) != H5T_INTEGER) return false;
    if (wanted == EXA_COLUMN_U64) return H5Tget_sign(type) == H5T_SGN_NONE;
    return H5Tget_sign(type) == H5T_SGN_2 || H5Tget_size(type) < 8;
}

static exa_status look_at(exa_column_file *f, const char *name, exa_column_type wanted, int width, hid_t set,
                          uint64_t *rows) {
    hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    hsize_t shape[2] = {0, 0};
    int dimensions = H5Sget_simple_extent_ndims(space);
    bool fits = dimensions == (width > 1 ? 2 : 1) && type_fits(type, wanted);

    if (fits) H5Sget_simple_extent_dims(space, shape, NULL);
    H5Tclose(type);
    H5Sclose(space);
    EXA_CHECK(fits && (width == 1 || shape[1] == (hsize_t)width), EXA_ERR_FORMAT,
              "'%s' of '%s' is not a column of %d %s a row", name, f->path, width,
              wanted == EXA_COLUMN_U64   ? "unsigned integers"
              : wanted == EXA_COLUMN_I64 ? "integers"
                                         : "real numbers");
    *rows = shape[0];
    return EXA_OK;
}

exa_status exa_column_file_rows(exa_column_file *f, const char *name, exa_column_type type, int width,
                                uint64_t *rows, bool *found) {
    exa_status st = EXA_OK;
    hid_t set;

    *found = false;
    exa_hdf5_lock();
    set = H5Lexists(f->file, name, H5P_DEFAULT) > 0 ? H5Dopen2(f->file, name, H5P_DEFAULT) : H5I_INVALID_HID;
    if (set >= 0) {
        *found = true;
        st = look_at(f, name, type, width, set, rows);
        H5Dclose(set);
    }
    exa_hdf5_leave();
    return st;
}

exa_status exa_column_file_read(exa_column_file *f, const char *name, exa_column_type type, int width,
                                uint64_t from, size_t rows, void *data) {
    const hsize_t start[2] = {from, 0}, count[2] = {rows, (hsize_t)width};
    exa_status st = EXA_OK;
    hid_t set, space, memory;

    if (rows == 0) return EXA_OK;
    exa_hdf5_lock();
    set = H5Dopen2(f->file, name, H5P_DEFAULT);
    space = H5Dget_space(set);
    memory = H5Screate_simple(2, count, NULL);
    if (set < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(set, memory_type(type), memory, space, H5P_DEFAULT, data) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read '%s' of '%s'", name, f->path);
    H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    if (set >= 0) H5Dclose(set);
    exa_hdf5_leave();
    return st;
}

void exa_column_file_close(exa_column_file **file) {
    exa_column_file *f = *file;

    if (!f) return;
    exa_hdf5_lock();
    if (f->file >= 0) H5Fclose(f->file);
    if (f->transfer >= 0) H5Pclose(f->transfer);
    exa_hdf5_leave();
    if (f->temporary[0] && exa_comm_rank() == 0) remove(f->temporary);
    free(f);
    *file = NULL;
}
