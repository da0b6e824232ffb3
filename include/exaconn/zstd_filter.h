/* The zstd filter of HDF5 (registered id 32015), so that files written here open in h5py with hdf5plugin and files
 * compressed there open here. exa_hdf5_enter registers it.
 */
#ifndef EXACONN_ZSTD_FILTER_H
#define EXACONN_ZSTD_FILTER_H

#include "exaconn/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_ZSTD_FILTER_ID 32015

/* Makes the filter known to the HDF5 library of this process. Idempotent; like all of HDF5 not thread safe. With
 * H5Pset_filter, cd_values[0] is the level (1..19; 3 if absent). */
exa_status exa_zstd_filter_register(void);

/* From now on a stored chunk must decompress to exactly `bytes`; 0 lifts this (then at most HDF5's 4 GiB per
 * chunk). HDF5 itself does not check, and would read beyond a chunk that came out too short. */
void exa_zstd_filter_expect(size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
