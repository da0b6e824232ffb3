/* A table in an HDF5 file: one dataset for each column, written by all ranks, read by h5py and every other program.
 *
 * A column has rows of one number or of several (z, y, x; the floats of an embedding). The root group carries
 * attributes, "format" among them, which says what the table is. Contiguous and uncompressed. docs/formats.md has
 * the columns of each format.
 */
#ifndef EXACONN_COLUMN_FILE_H
#define EXACONN_COLUMN_FILE_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_column_file exa_column_file;

typedef enum exa_column_type { EXA_COLUMN_U64, EXA_COLUMN_I64, EXA_COLUMN_F64, EXA_COLUMN_F32 } exa_column_type;

/* ---- writing: collective ---- */

/* Makes the file under a temporary name. */
exa_status exa_column_file_create(const char *path, const char *format, exa_column_file **out);

/* Attributes of the root; the same on all ranks. */
exa_status exa_column_file_put_text(exa_column_file *file, const char *name, const char *text);
exa_status exa_column_file_put_integer(exa_column_file *file, const char *name, uint64_t value);
exa_status exa_column_file_put_reals(exa_column_file *file, const char *name, const double *values, int count);

/* A column: `rows` rows of `width` numbers (1 or more) of this rank, after those of the ranks before it. */
exa_status exa_column_file_write(exa_column_file *file, const char *name, exa_column_type type, int width,
                                 const void *data, size_t rows);

/* Syncs and renames; the file can only be closed afterwards. */
exa_status exa_column_file_commit(exa_column_file *file);

/* ---- reading: by each process alone ---- */

/* EXA_ERR_FORMAT if the file is no such table. */
exa_status exa_column_file_open(const char *path, const char *format, exa_column_file **out);

/* The attribute, or *found = false. EXA_ERR_FORMAT if it is of another kind or does not fit. */
exa_status exa_column_file_get_text(exa_column_file *file, const char *name, char *text, size_t size, bool *found);
exa_status exa_column_file_get_reals(exa_column_file *file, const char *name, double *values, int count,
                                     bool *found);

/* Rows of a column, or *found = false. EXA_ERR_FORMAT if its numbers are not of this type (integers of any size
 * are taken for U64 and I64 as far as they fit) or its rows not of this width. */
exa_status exa_column_file_rows(exa_column_file *file, const char *name, exa_column_type type, int width,
                                uint64_t *rows, bool *found);
exa_status exa_column_file_read(exa_column_file *file, const char *name, exa_column_type type, int width,
                                uint64_t from, size_t rows, void *data);

/* Accepts NULL inside. Removes what was not committed. Not collective where anything failed. */
void exa_column_file_close(exa_column_file **file);

#ifdef __cplusplus
}
#endif
#endif
