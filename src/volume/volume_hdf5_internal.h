/* Shared by the parts of the HDF5 backend: its list of what a file holds. */
#ifndef EXA_VOLUME_HDF5_INTERNAL_H
#define EXA_VOLUME_HDF5_INTERNAL_H

#include "exaconn/box.h"
#include "exaconn/hdf5_library.h"
#include "exaconn/status.h"
#include "exaconn/volume.h"

#include <hdf5.h>

/* The element type, EXA_DTYPE_NONE for one that is no voxel. *is_signed for the integers that need a sign check. */
exa_dtype exa_hdf5_dtype(hid_t type, bool *is_signed);

/* "uint8", or what a type that is no voxel is called ("float64", "string", ...). */
void exa_hdf5_type_text(hid_t type, char out[32]);

/* The 3-D datasets of an open file. */
exa_status exa_hdf5_list(hid_t file, const char *path, exa_volume_list *catalog);

/* EXA_ERR_CONFIG: `dataset` is not in the file; says which are, and which name is nearest. */
exa_status exa_hdf5_missing(hid_t file, const char *path, const char *dataset);

#endif
