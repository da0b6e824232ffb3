/* Paths and files the careful way. */
#ifndef EXACONN_FILE_H
#define EXACONN_FILE_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_PATH_BYTES 4096

bool exa_file_exists(const char *path);
bool exa_file_is_directory(const char *path);

/* Whether both exist and are one file, whatever they are called. */
bool exa_file_same(const char *a, const char *b);

/* Joins with one '/'; EXA_ERR_RANGE if it does not fit EXA_PATH_BYTES. */
exa_status exa_path_join(char out[EXA_PATH_BYTES], const char *directory, const char *name);

/* The last component; borrowed from `path`. */
const char *exa_path_basename(const char *path);

/* mkdir -p; existing is fine. */
exa_status exa_file_make_directories(const char *path);

/* Whole file into a fresh zero-terminated buffer (transferred, free() it). Refuses more than max_bytes. */
exa_status exa_file_read_all(const char *path, size_t max_bytes, char **data, size_t *size);

/* path.tmp-PID, write, fsync, close, rename, fsync the folder: readers see the old or the whole new content. */
exa_status exa_file_write_atomic(const char *path, const void *data, size_t size);

/* The second half of an atomic write made by other means (HDF5, libpng): fsync temporary, rename over final, fsync
 * the folder. On failure the temporary file is removed. */
exa_status exa_file_commit(const char *temporary, const char *final_path);

/* Makes the name of a new or renamed file durable: fsync of the folder it lies in. */
exa_status exa_file_sync_parent(const char *path);

/* "final.tmp-PID" for use with exa_file_commit. */
exa_status exa_file_temporary_name(char out[EXA_PATH_BYTES], const char *final_path);

/* Files in a folder whose names end in `suffix`, and their bytes together; EXA_ERR_IO without such a folder. */
exa_status exa_file_folder_size(const char *folder, const char *suffix, uint64_t *bytes, uint64_t *files);

/* Takes room for `bytes` in an existing file beyond what it has, without making it longer, where the file system
 * can; EXA_ERR_IO if there is less. exa_file_trim gives back what was not needed. */
exa_status exa_file_reserve(const char *path, uint64_t bytes);
void exa_file_trim(const char *path);

#ifdef __cplusplus
}
#endif
#endif
