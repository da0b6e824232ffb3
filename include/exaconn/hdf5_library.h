/* What every module with HDF5 code of its own shares: the library's lock, the zstd filter, its errors as ours.
 *
 * HDF5 as distributions package it is not thread safe: every use stands between exa_hdf5_enter and exa_hdf5_leave.
 * The lock guards the chunk size that the zstd filter is told to expect (exaconn/zstd_filter.h), too. A collective
 * operation holds it while it waits for the other ranks: no thread of a rank may want HDF5 meanwhile and be what
 * the others wait for.
 */
#ifndef EXACONN_HDF5_LIBRARY_H
#define EXACONN_HDF5_LIBRARY_H

#include "exaconn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Takes the lock; switches HDF5's own printing of errors off and registers our filter (both idempotent). On an
 * error the lock is not held. */
exa_status exa_hdf5_enter(void);

/* The lock alone, for closing what exa_hdf5_enter let open. */
void exa_hdf5_lock(void);

void exa_hdf5_leave(void);

/* Records "<message>: <innermost text of the HDF5 error stack>" and returns the status that the stack suggests:
 * EXA_ERR_CORRUPT if a filter failed, EXA_ERR_IO if the system reported an error, else `otherwise`. Must follow the
 * failed HDF5 call at once: the next call empties the stack. */
exa_status exa_hdf5_error(exa_status otherwise, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
#define EXA_HDF5_FAIL(otherwise, ...) exa_hdf5_error((otherwise), __FILE__, __LINE__, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
