/* Volumes in HDF5 files: any 3-D dataset of integers or float32 is read; what we write is chunked and, if asked,
 * compressed by zstd.
 *
 * Every entry takes the library's lock (exaconn/hdf5_library.h). No MPI is used here: a file is opened by each rank
 * for itself, and a file being written belongs to one process.
 */
#include "exaconn/comm_mpi.h"
#include "exaconn/file.h"
#include "exaconn/hdf5_library.h"
#include "exaconn/zstd_filter.h"

#include "volume_hdf5_internal.h"
#include "volume_internal.h"

#include <errno.h>
#include <hdf5.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Enough for a few of the usual 64^3 chunks of uint64, so that neighbouring boxes do not decompress them again. */
#define CHUNK_CACHE_BYTES ((size_t)16 << 20)
#define CHUNK_CACHE_SLOTS ((size_t)1009)
#define LARGEST_CHUNK_BYTES ((int64_t)UINT32_MAX)

typedef struct hdf5_volume {
    hid_t file, dataset;
    hid_t memory_type; /* owned */
    exa_dtype dtype;
    bool is_signed;
    size_t expected_chunk_bytes; /* what a zstd frame must hold; 0 = not known */
    char path[EXA_PATH_BYTES];
    char name[EXA_PATH_BYTES];      /* of the dataset */
    char temporary[EXA_PATH_BYTES]; /* where it is being written; empty when reading */
    bool shared;                    /* written by all ranks together */
} hdf5_volume;

/* ---- opening ------------------------------------------------------------------------------------------------- */

static exa_status open_file(hdf5_volume *v) {
    htri_t is_hdf5;

    EXA_CHECK(access(v->path, F_OK) == 0, EXA_ERR_IO, "cannot open '%s': %s", v->path, strerror(errno));
    EXA_CHECK(!exa_file_is_directory(v->path), EXA_ERR_CONFIG, "'%s' is a folder, not an HDF5 file", v->path);
    EXA_CHECK(access(v->path, R_OK) == 0, EXA_ERR_IO, "cannot open '%s': %s", v->path, strerror(errno));
    is_hdf5 = H5Fis_hdf5(v->path);
    if (is_hdf5 < 0) return EXA_HDF5_FAIL(EXA_ERR_IO, "cannot read '%s'", v->path);
    EXA_CHECK(is_hdf5, EXA_ERR_FORMAT, "'%s' is not an HDF5 file", v->path);
    v->file = H5Fopen(v->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (v->file < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot open '%s'", v->path);
    return EXA_OK;
}

/* A file named without a dataset means its only one. */
static exa_status choose_dataset(hdf5_volume *v) {
    exa_volume_list catalog;

    if (v->name[strspn(v->name, "/")]) return EXA_OK;
    EXA_TRY(exa_hdf5_list(v->file, v->path, &catalog));
    if (catalog.count != 1) return exa_hdf5_missing(v->file, v->path, "");
    memcpy(v->name, catalog.name[0], sizeof catalog.name[0]);
    return EXA_OK;
}

exa_status exa_volume_hdf5_list(const char *path, exa_volume_list *list) {
    hdf5_volume v = {.file = H5I_INVALID_HID, .dataset = H5I_INVALID_HID};
    exa_status st;

    EXA_CHECK(strlen(path) < sizeof v.path, EXA_ERR_RANGE, "the path is too long (%zu bytes)", strlen(path));
    memcpy(v.path, path, strlen(path) + 1);
    EXA_TRY(exa_hdf5_enter());
    st = open_file(&v);
    if (st == EXA_OK) st = exa_hdf5_list(v.file, path, list);
    if (v.file >= 0) H5Fclose(v.file);
    exa_hdf5_leave();
    return st;
}

static hid_t access_list(void) {
    hid_t list = H5Pcreate(H5P_DATASET_ACCESS);
    if (list >= 0) H5Pset_chunk_cache(list, CHUNK_CACHE_SLOTS, CHUNK_CACHE_BYTES, 1.0);
    return list;
}

static exa_status open_dataset(hdf5_volume *v) {
    hid_t object = H5Oopen(v->file, v->name, H5P_DEFAULT), list;
    H5I_type_t kind;

    if (object < 0) return exa_hdf5_missing(v->file, v->path, v->name);
    kind = H5Iget_type(object);
    H5Oclose(object);
    EXA_CHECK(kind != H5I_GROUP, EXA_ERR_CONFIG, "'%s' in '%s' is a group, not a dataset", v->name, v->path);
    list = access_list();
    v->dataset = H5Dopen2(v->file, v->name, list);
    if (v->dataset < 0) {
        exa_status st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot open dataset '%s' of '%s'", v->name, v->path);
        H5Pclose(list);
        return st;
    }
    H5Pclose(list);
    return EXA_OK;
}

/* HDF5 converts byte order only: the type in memory is the native one of the same size and sign. An 8-bit
 * enumeration (h5py's bool) is taken as it is stored. */
static hid_t memory_type_of(hid_t file_type, exa_dtype dtype, bool is_signed) {
    static const int bits[] = {0, 8, 16, 32, 64, 32};

    if (dtype == EXA_F32) return H5Tcopy(H5T_NATIVE_FLOAT);
    if (H5Tget_class(file_type) == H5T_ENUM) return H5Tcopy(file_type);
    switch (bits[dtype]) {
    case 8: return H5Tcopy(is_signed ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8);
    case 16: return H5Tcopy(is_signed ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16);
    case 32: return H5Tcopy(is_signed ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32);
    default: return H5Tcopy(is_signed ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64);
    }
}

static exa_status inspect_type(hdf5_volume *v, exa_volume_info *info) {
    hid_t type = H5Dget_type(v->dataset);

    if (type < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read the type of '%s' in '%s'", v->name, v->path);
    v->dtype = exa_hdf5_dtype(type, &v->is_signed);
    exa_hdf5_type_text(type, info->type_name);
    v->memory_type = v->dtype == EXA_DTYPE_NONE ? H5I_INVALID_HID : memory_type_of(type, v->dtype, v->is_signed);
    H5Tclose(type);
    EXA_CHECK(v->dtype != EXA_DTYPE_NONE, EXA_ERR_UNSUPPORTED,
              "dataset '%s' of '%s' has elements of type %s; voxels are uint8, uint16, uint32, uint64 or float32",
              v->name, v->path, info->type_name);
    return EXA_OK;
}

static exa_status inspect_shape(hdf5_volume *v, exa_volume_info *info) {
    hid_t space = H5Dget_space(v->dataset);
    hsize_t dims[H5S_MAX_RANK];
    exa_box all = {{0, 0, 0}, {0, 0, 0}};
    int64_t voxels;
    int rank;

    if (space < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read the shape of '%s' in '%s'", v->name, v->path);
    rank = H5Sget_simple_extent_dims(space, dims, NULL);
    H5Sclose(space);
    EXA_CHECK(rank == 3, EXA_ERR_CONFIG, "dataset '%s' of '%s' has %d dimensions; a volume has 3 (z, y, x)",
              v->name, v->path, rank);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(dims[a] <= INT64_MAX, EXA_ERR_FORMAT, "dataset '%s' of '%s' has an impossible extent", v->name,
                  v->path);
        info->shape[a] = all.shape[a] = (exa_coord)dims[a];
    }
    return exa_box_voxels(&all, &voxels);
}

static const char *filter_name(H5Z_filter_t id) {
    switch (id) {
    case H5Z_FILTER_DEFLATE: return "gzip";
    case H5Z_FILTER_SZIP: return "szip";
    case H5Z_FILTER_NBIT: return "nbit";
    case H5Z_FILTER_SCALEOFFSET: return "scaleoffset";
    case EXA_ZSTD_FILTER_ID: return "zstd";
    case 32000: return "lzf";
    case 32001: return "blosc";
    case 32004: return "lz4";
    case 32008: return "bitshuffle";
    case 32026: return "blosc2";
    default: return NULL; /* shuffle and checksums do not compress */
    }
}

/* Names the compression, refuses what this HDF5 cannot undo, and learns what a zstd frame must hold: the chunk's
 * bytes, if nothing before it in the pipeline changes the size. */
static exa_status inspect_filters(hdf5_volume *v, hid_t properties, size_t chunk_bytes, exa_volume_info *info) {
    bool same_size = true;

    snprintf(info->compression, sizeof info->compression, "none");
    for (int i = 0, n = H5Pget_nfilters(properties); i < n; i++) {
        unsigned flags, config;
        size_t no_values = 0;
        char text[64] = "";
        H5Z_filter_t id =
            H5Pget_filter2(properties, (unsigned)i, &flags, &no_values, NULL, sizeof text, text, &config);
        const char *known = filter_name(id);

        if (known) snprintf(info->compression, sizeof info->compression, "%s", known);
        EXA_CHECK(
            H5Zfilter_avail(id) > 0, EXA_ERR_UNSUPPORTED,
            "dataset '%s' of '%s' is compressed with %s (HDF5 filter %d), which this HDF5 library cannot undo. "
            "Hint: point HDF5_PLUGIN_PATH to a plugin for it, or rewrite the dataset with gzip or zstd",
            v->name, v->path, known ? known : text, (int)id);
        if (id == EXA_ZSTD_FILTER_ID && same_size) v->expected_chunk_bytes = chunk_bytes;
        if (id != H5Z_FILTER_SHUFFLE) same_size = false;
    }
    return EXA_OK;
}

static exa_status inspect_storage(hdf5_volume *v, exa_volume_info *info) {
    hid_t properties = H5Dget_create_plist(v->dataset);
    hsize_t dims[3];
    size_t chunk_bytes = exa_dtype_size(v->dtype);
    exa_status st = EXA_OK;

    if (properties < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot inspect '%s' in '%s'", v->name, v->path);
    snprintf(info->compression, sizeof info->compression, "none");
    if (H5Pget_layout(properties) == H5D_CHUNKED && H5Pget_chunk(properties, 3, dims) == 3) {
        for (int a = 0; a < 3; a++) {
            info->chunk[a] = (exa_coord)dims[a];
            chunk_bytes *= (size_t)dims[a];
        }
        st = inspect_filters(v, properties, chunk_bytes, info);
    }
    H5Pclose(properties);
    info->stored_bytes = H5Dget_storage_size(v->dataset);
    return st;
}

static exa_status read_doubles(hdf5_volume *v, const char *name, double *values, int count, bool *found) {
    hid_t attribute = H5I_INVALID_HID, space = H5I_INVALID_HID, type = H5I_INVALID_HID;
    H5T_class_t class;
    exa_status st = EXA_OK;

    *found = false;
    if (H5Aexists(v->dataset, name) <= 0) return EXA_OK;
    attribute = H5Aopen(v->dataset, name, H5P_DEFAULT);
    if (attribute < 0) return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot open attribute '%s' of '%s'", name, v->path);
    space = H5Aget_space(attribute);
    type = H5Aget_type(attribute);
    class = H5Tget_class(type);
    if (H5Sget_simple_extent_npoints(space) == count && (class == H5T_FLOAT || class == H5T_INTEGER)) {
        if (H5Aread(attribute, H5T_NATIVE_DOUBLE, values) < 0) {
            st = EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot read attribute '%s' of '%s'", name, v->path);
        } else {
            *found = true;
        }
    }
    if (type >= 0) H5Tclose(type);
    if (space >= 0) H5Sclose(space);
    H5Aclose(attribute);
    return st;
}

/* Ours, the sample data's, and CREMI's name for the same thing (nm, zyx). */
static exa_status inspect_voxel_size(hdf5_volume *v, exa_volume_info *info) {
    static const char *const names[] = {"voxel_size_nm", "voxel_size_nm_zyx", "resolution"};
    bool found = false;

    for (size_t i = 0; i < sizeof names / sizeof *names && !found; i++)
        EXA_TRY(read_doubles(v, names[i], info->voxel_size_nm, 3, &found));
    return EXA_OK;
}

static exa_status open_all(hdf5_volume *v, exa_volume_info *info) {
    EXA_TRY(open_file(v));
    EXA_TRY(choose_dataset(v));
    EXA_TRY(open_dataset(v));
    EXA_TRY(inspect_shape(v, info));
    EXA_TRY(inspect_type(v, info));
    EXA_TRY(inspect_storage(v, info));
    info->dtype = v->dtype;
    return inspect_voxel_size(v, info);
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

/* Closes what is open; false if HDF5 could not (then the file is not whole). */
static bool close_ids(hdf5_volume *v) {
    bool ok = true;

    if (v->memory_type >= 0) H5Tclose(v->memory_type);
    if (v->dataset >= 0) ok = H5Dclose(v->dataset) >= 0 && ok;
    if (v->file >= 0) ok = H5Fclose(v->file) >= 0 && ok;
    v->memory_type = v->dataset = v->file = H5I_INVALID_HID;
    return ok;
}

static void close_volume(void *self) {
    hdf5_volume *v = self;

    exa_hdf5_lock();
    close_ids(v);
    if (v->temporary[0]) unlink(v->temporary);
    exa_hdf5_leave();
    free(v);
}

static exa_status new_self(const char *path, const char *dataset, hdf5_volume **out) {
    hdf5_volume *v;

    EXA_TRY(exa_calloc(1, sizeof *v, "an HDF5 volume", &v));
    v->file = v->dataset = v->memory_type = H5I_INVALID_HID;
    snprintf(v->path, sizeof v->path, "%s", path);
    snprintf(v->name, sizeof v->name, "%s%s", *dataset && *dataset != '/' ? "/" : "", dataset);
    *out = v;
    return EXA_OK;
}

exa_status exa_volume_hdf5_open(const char *path, const char *dataset, exa_volume_info *info, void **self) {
    hdf5_volume *v;
    exa_status st;

    EXA_TRY(new_self(path, dataset, &v));
    st = exa_hdf5_enter();
    if (st == EXA_OK) {
        st = open_all(v, info);
        exa_hdf5_leave();
    }
    if (st == EXA_OK) {
        *self = v;
    } else {
        close_volume(v);
    }
    return st;
}

/* What fails on one of the ranks that write together fails on all. */
static exa_status agree(const hdf5_volume *v, exa_status st) {
    return v->shared ? exa_comm_agree(st) : st;
}

/* ---- creating ------------------------------------------------------------------------------------------------ */

/* All ranks must name the same file: rank 0's process number is in it. */
static exa_status name_temporary(hdf5_volume *v) {
    exa_status st;

    if (!v->shared) return exa_file_temporary_name(v->temporary, v->path);
    st = exa_comm_rank() == 0 ? exa_file_temporary_name(v->temporary, v->path) : EXA_OK;
    EXA_TRY(exa_comm_agree(st));
    return exa_comm_broadcast(v->temporary, sizeof v->temporary);
}

static exa_status create_file(hdf5_volume *v) {
    hid_t list = H5P_DEFAULT;
    exa_status st = EXA_OK;

    EXA_CHECK(!exa_file_is_directory(v->path), EXA_ERR_CONFIG, "cannot write '%s': it is a folder", v->path);
    EXA_TRY(name_temporary(v));
    if (v->shared) {
        list = H5Pcreate(H5P_FILE_ACCESS);
        H5Pset_fapl_mpio(list, exa_comm_mpi(), MPI_INFO_NULL);
    }
    v->file = H5Fcreate(v->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, list);
    if (v->file < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot create '%s'", v->temporary);
    if (v->shared) H5Pclose(list);
    if (st != EXA_OK) v->temporary[0] = '\0';
    return st;
}

/* No time stamps, so that equal voxels make equal files. */
static bool set_properties(hid_t properties, const exa_volume_create_options *o) {
    const hsize_t chunk[3] = {(hsize_t)o->chunk[0], (hsize_t)o->chunk[1], (hsize_t)o->chunk[2]};
    const unsigned level = (unsigned)o->zstd_level;

    if (H5Pset_obj_track_times(properties, false) < 0 || H5Pset_chunk(properties, 3, chunk) < 0) return false;
    return level == 0 || H5Pset_filter(properties, EXA_ZSTD_FILTER_ID, H5Z_FLAG_MANDATORY, 1, &level) >= 0;
}

static hid_t file_type_of(exa_dtype dtype) {
    switch (dtype) {
    case EXA_U8: return H5T_STD_U8LE;
    case EXA_U16: return H5T_STD_U16LE;
    case EXA_U32: return H5T_STD_U32LE;
    case EXA_U64: return H5T_STD_U64LE;
    default: return H5T_IEEE_F32LE;
    }
}

static exa_status create_dataset(hdf5_volume *v, const exa_volume_create_options *o) {
    const hsize_t dims[3] = {(hsize_t)o->shape[0], (hsize_t)o->shape[1], (hsize_t)o->shape[2]};
    hid_t space = H5Screate_simple(3, dims, NULL), properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t links = H5Pcreate(H5P_LINK_CREATE), list = access_list();
    exa_status st = EXA_OK;

    H5Pset_create_intermediate_group(links, 1);
    if (set_properties(properties, o))
        v->dataset = H5Dcreate2(v->file, v->name, file_type_of(o->dtype), space, links, properties, list);
    if (v->dataset < 0) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot create dataset '%s' in '%s'", v->name, v->temporary);
    H5Pclose(list);
    H5Pclose(links);
    H5Pclose(properties);
    H5Sclose(space);
    return st;
}

static exa_status write_doubles(hdf5_volume *v, const char *name, const double *values, int count) {
    const hsize_t n = (hsize_t)count;
    hid_t space = H5Screate_simple(1, &n, NULL);
    hid_t attribute = H5Acreate2(v->dataset, name, H5T_IEEE_F64LE, space, H5P_DEFAULT, H5P_DEFAULT);
    exa_status st = EXA_OK;

    if (attribute < 0 || H5Awrite(attribute, H5T_NATIVE_DOUBLE, values) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write attribute '%s' of '%s'", name, v->path);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return st;
}

static exa_status create_all(hdf5_volume *v, const exa_volume_create_options *o, exa_volume_info *info) {
    exa_box chunk = {{0, 0, 0}, {o->chunk[0], o->chunk[1], o->chunk[2]}}, all = {{0, 0, 0}, {0, 0, 0}};
    int64_t voxels;

    memcpy(all.shape, o->shape, sizeof all.shape);
    EXA_TRY(exa_box_voxels(&all, &voxels));
    EXA_TRY(exa_box_voxels(&chunk, &voxels));
    EXA_CHECK(voxels <= LARGEST_CHUNK_BYTES / (int64_t)exa_dtype_size(o->dtype), EXA_ERR_RANGE,
              "a chunk of %lld voxels is more than the 4 GiB that HDF5 allows in '%s'", (long long)voxels, v->path);
    EXA_TRY(create_file(v));
    EXA_TRY(create_dataset(v, o));
    EXA_TRY(inspect_type(v, info));
    if (o->zstd_level > 0) v->expected_chunk_bytes = (size_t)voxels * exa_dtype_size(o->dtype);
    /* Agreed on before HDF5 is called again: what follows is collective. */
    if (v->shared && o->expected_bytes)
        EXA_TRY(agree(v, exa_comm_rank() == 0 ? exa_file_reserve(v->temporary, o->expected_bytes) : EXA_OK));
    if (o->voxel_size_nm[0] > 0) EXA_TRY(write_doubles(v, "voxel_size_nm", o->voxel_size_nm, 3));
    return EXA_OK;
}

exa_status exa_volume_hdf5_create(const char *path, const char *dataset, const exa_volume_create_options *options,
                                  exa_volume_info *info, void **self) {
    hdf5_volume *v;
    exa_status st;

    EXA_TRY(new_self(path, dataset, &v));
    v->shared = options->shared && exa_comm_size() > 1;
    st = exa_hdf5_enter();
    if (st == EXA_OK) {
        st = agree(v, create_all(v, options, info));
        exa_hdf5_leave();
    }
    if (st != EXA_OK) {
        close_volume(v);
        return st;
    }
    info->dtype = options->dtype;
    memcpy(info->shape, options->shape, sizeof info->shape);
    memcpy(info->chunk, options->chunk, sizeof info->chunk);
    memcpy(info->voxel_size_nm, options->voxel_size_nm, sizeof info->voxel_size_nm);
    snprintf(info->compression, sizeof info->compression, "%s", options->zstd_level > 0 ? "zstd" : "none");
    *self = v;
    return EXA_OK;
}

static exa_status commit(void *self) {
    hdf5_volume *v = self;
    const bool mine = !v->shared || exa_comm_rank() == 0;
    exa_status st = EXA_OK;

    EXA_TRY(exa_hdf5_enter());
    if (H5Fflush(v->file, H5F_SCOPE_GLOBAL) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write '%s' to disk", v->temporary);
    if (!close_ids(v) && st == EXA_OK) st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot close '%s'", v->temporary);
    st = agree(v, st);
    if (mine && v->shared) exa_file_trim(v->temporary);
    if (mine && st == EXA_OK) {
        st = exa_file_commit(v->temporary, v->path);
    } else if (mine) {
        unlink(v->temporary);
    }
    v->temporary[0] = '\0';
    exa_hdf5_leave();
    return agree(v, st);
}

/* ---- voxels and attributes ----------------------------------------------------------------------------------- */

static exa_status describe_failure(const hdf5_volume *v, const exa_box *box, const char *verb) {
    return EXA_HDF5_FAIL(
        EXA_ERR_FORMAT, "cannot %s dataset '%s' of '%s' at %lld,%lld,%lld (%lld x %lld x %lld voxels, z,y,x)", verb,
        v->name, v->path, (long long)box->start[0], (long long)box->start[1], (long long)box->start[2],
        (long long)box->shape[0], (long long)box->shape[1], (long long)box->shape[2]);
}

/* H5Dread or H5Dwrite of one box; a failed call is described before the cleanup empties HDF5's error stack. */
static exa_status transfer(hdf5_volume *v, const exa_box *box, void *into, const void *from) {
    const hsize_t start[3] = {(hsize_t)box->start[0], (hsize_t)box->start[1], (hsize_t)box->start[2]};
    const hsize_t count[3] = {(hsize_t)box->shape[0], (hsize_t)box->shape[1], (hsize_t)box->shape[2]};
    hid_t space = H5Dget_space(v->dataset), memory = H5Screate_simple(3, count, NULL);
    hid_t list = v->shared ? H5Pcreate(H5P_DATASET_XFER) : H5P_DEFAULT;
    exa_status st = EXA_OK;
    herr_t rc = space < 0 || memory < 0 ? -1 : 0;

    if (v->shared) H5Pset_dxpl_mpio(list, H5FD_MPIO_COLLECTIVE); /* HDF5 wants it where there are filters */

    exa_zstd_filter_expect(v->expected_chunk_bytes);
    if (rc >= 0 && count[0] * count[1] * count[2] == 0) {
        rc = H5Sselect_none(space) < 0 || H5Sselect_none(memory) < 0 ? -1 : 0;
    } else if (rc >= 0) {
        rc = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL);
    }
    if (rc >= 0 && into) rc = H5Dread(v->dataset, v->memory_type, memory, space, H5P_DEFAULT, into);
    if (rc >= 0 && from) rc = H5Dwrite(v->dataset, v->memory_type, memory, space, list, from);
    if (rc < 0) st = describe_failure(v, box, into ? "read" : "write");
    exa_zstd_filter_expect(0);
    if (v->shared) H5Pclose(list);
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    return st;
}

/* Signed voxels are handed on as unsigned ones of the same size, so none may be negative. */
static exa_status check_signs(const hdf5_volume *v, const exa_box *box, const void *data) {
    size_t size = exa_dtype_size(v->dtype), n = (size_t)(box->shape[0] * box->shape[1] * box->shape[2]);
    const signed char *top = (const signed char *)data + size - 1;

    for (size_t i = 0; i < n; i++) {
        EXA_CHECK(
            top[i * size] >= 0, EXA_ERR_RANGE,
            "dataset '%s' of '%s' holds negative voxels (within the %lld x %lld x %lld at %lld,%lld,%lld, z,y,x); "
            "exaconn works on unsigned ones. Hint: rewrite it with an offset that makes all voxels positive",
            v->name, v->path, (long long)box->shape[0], (long long)box->shape[1], (long long)box->shape[2],
            (long long)box->start[0], (long long)box->start[1], (long long)box->start[2]);
    }
    return EXA_OK;
}

static exa_status read_box(void *self, const exa_box *box, void *data) {
    hdf5_volume *v = self;
    exa_status st;

    EXA_TRY(exa_hdf5_enter());
    st = transfer(v, box, data, NULL);
    exa_hdf5_leave();
    return st == EXA_OK && v->is_signed ? check_signs(v, box, data) : st;
}

static exa_status write_box(void *self, const exa_box *box, const void *data) {
    const char nothing = 0; /* of a rank that takes part without a voxel */
    exa_status st;

    EXA_TRY(exa_hdf5_enter());
    st = agree(self, transfer(self, box, NULL, data ? data : &nothing));
    exa_hdf5_leave();
    return st;
}

static exa_status set_text(void *self, const char *name, const char *text) {
    hdf5_volume *v = self;
    hid_t type, space, attribute;
    exa_status st = EXA_OK;

    EXA_TRY(exa_hdf5_enter());
    type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(text) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    space = H5Screate(H5S_SCALAR);
    attribute = H5Acreate2(v->dataset, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (attribute < 0 || H5Awrite(attribute, type, text) < 0)
        st = EXA_HDF5_FAIL(EXA_ERR_IO, "cannot write attribute '%s' of '%s'", name, v->path);
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    H5Tclose(type);
    exa_hdf5_leave();
    return agree(v, st);
}

static exa_status set_doubles(void *self, const char *name, const double *values, int count) {
    exa_status st;

    EXA_TRY(exa_hdf5_enter());
    st = write_doubles(self, name, values, count);
    exa_hdf5_leave();
    return agree(self, st);
}

static exa_status get_doubles(void *self, const char *name, double *values, int count, bool *found) {
    exa_status st;

    EXA_TRY(exa_hdf5_enter());
    st = read_doubles(self, name, values, count, found);
    exa_hdf5_leave();
    return st;
}

const exa_volume_backend exa_volume_hdf5_backend = {
    .format = "hdf5",
    .read = read_box,
    .write = write_box,
    .commit = commit,
    .set_text = set_text,
    .set_doubles = set_doubles,
    .get_doubles = get_doubles,
    .close = close_volume,
};
