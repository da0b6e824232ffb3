/* A 3-D array of voxels behind one interface, whatever holds it (HDF5 now; Zarr, N5, Neuroglancer precomputed and
 * the phantom join as further backends without callers noticing).
 *
 * A volume is named by a URL-like string: "file.h5:/path/to/dataset". Boxes are z, y, x in voxels of the volume.
 * A volume is used by one thread at a time.
 */
#ifndef EXACONN_VOLUME_H
#define EXACONN_VOLUME_H

#include "exaconn/box.h"
#include "exaconn/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_volume exa_volume;

typedef struct exa_volume_info {
    const char *name;   /* as given to open; borrowed from the volume */
    const char *format; /* "hdf5" */
    exa_dtype dtype;
    exa_coord shape[3];      /* zyx */
    exa_coord chunk[3];      /* zyx storage chunk; 0 = contiguous */
    double voxel_size_nm[3]; /* zyx; 0 = the volume does not say */
    uint64_t stored_bytes;   /* on disk, 0 if unknown */
    char compression[32];    /* "none", "gzip", "zstd", ... */
    char type_name[32];      /* of the stored elements: "int8" where dtype, which they are read as, is uint8 */
} exa_volume_info;

/* Opens for reading. Errors name the file and dataset and, for a dataset that is not there, list those that are. A
 * name without dataset opens the file's only 3-D dataset. Signed integers are read as the unsigned type of their
 * size, a negative voxel being refused when it is met; 8-bit enumerations (h5py's bool) are uint8. */
exa_status exa_volume_open(const char *name, exa_volume **out);

typedef struct exa_volume_create_options {
    exa_dtype dtype;
    exa_coord shape[3];
    exa_coord chunk[3];      /* 0,0,0 = 64^3 clipped to the shape */
    double voxel_size_nm[3]; /* 0 = not written */
    int zstd_level;          /* 0 = no compression, else 1..19; HDF5 filter 32015 */
    uint64_t expected_bytes; /* of a shared volume: room on disk that is taken beforehand, as nobody knows what HDF5
                                does on several ranks when there is none; 0 = not known */
    bool shared;             /* made by all ranks together: creating, describing, writing and committing are
                                collective then, closing too */
} exa_volume_create_options;

/* Makes "file.h5:/dataset" under a temporary name; exa_volume_commit fsyncs and renames it into place, so that a
 * file that looks whole is whole. Closing without commit removes it. The folder must exist. */
exa_status exa_volume_create(const char *name, const exa_volume_create_options *options, exa_volume **out);
exa_status exa_volume_commit(exa_volume *volume);

/* Text, number and number-list attributes on a volume being created (kept with the dataset). */
exa_status exa_volume_set_attribute_text(exa_volume *volume, const char *name, const char *text);
exa_status exa_volume_set_attribute_doubles(exa_volume *volume, const char *name, const double *values, int count);

/* Up to `count` numbers of a stored attribute; *found is false, and `values` untouched, if there is no such
 * attribute or it does not hold exactly `count` numbers. */
exa_status exa_volume_get_attribute_doubles(exa_volume *volume, const char *name, double *values, int count,
                                            bool *found);

/* Where the volume lies in the one it was cut from: its attribute "offset_zyx_vx" (whole voxels, may be negative).
 * 0,0,0 and *found = false without one. */
exa_status exa_volume_get_offset(exa_volume *volume, exa_coord offset[3], bool *found);

exa_status exa_volume_get_info(const exa_volume *volume, exa_volume_info *info);

/* Reads `box` into `data` [z, y, x], dense, converted to `dtype`: integer widening, integer -> float32 and float32
 * -> float32 are exact or rounded once; a conversion that could lose values (uint64 -> uint32, float -> integer) is
 * checked value by value and refused. EXA_ERR_RANGE for a box that is not inside. */
exa_status exa_volume_read(exa_volume *volume, const exa_box *box, exa_dtype dtype, void *data);

/* Writes `box` from `data` [z, y, x] of `dtype` (converted as above). Of a shared volume each rank writes a box of
 * its own, without a voxel if it has none (data may be NULL then), of the volume's type; boxes must not overlap. */
exa_status exa_volume_write(exa_volume *volume, const exa_box *box, exa_dtype dtype, const void *data);

#define EXA_VOLUME_LIST_MAX 12

/* The 3-D datasets of a container file. */
typedef struct exa_volume_list {
    int count;                           /* of all; only the first EXA_VOLUME_LIST_MAX are named */
    char name[EXA_VOLUME_LIST_MAX][256]; /* "/raw" */
    char text[EXA_VOLUME_LIST_MAX][64];  /* "250x250x250 uint8" */
} exa_volume_list;

/* Lists what volumes the file at `path` holds. */
exa_status exa_volume_list_file(const char *path, exa_volume_list *list);

/* Idempotent; accepts NULL inside. */
void exa_volume_close(exa_volume **volume);

/* True if the name looks like a volume name ("x.h5:/y", "x.hdf5:y"); splits it. `dataset` may be empty. */
exa_status exa_volume_split_name(const char *name, char *path, size_t path_bytes, char *dataset,
                                 size_t dataset_bytes);

#ifdef __cplusplus
}
#endif
#endif
