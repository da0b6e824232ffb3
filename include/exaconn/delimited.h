/* A text table in memory, row by row: comma, tab or semicolon between fields, the columns' names in the first line.
 *
 * Blanks around a field are no part of it. A field may stand in double quotes, with "" for one inside. Empty lines
 * and lines that begin with # are skipped. Every row has as many fields as the first line; what is wrong is said
 * with file and line.
 */
#ifndef EXACONN_DELIMITED_H
#define EXACONN_DELIMITED_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_DELIMITED_MAX_COLUMNS 256
#define EXA_DELIMITED_MAX_LINE ((size_t)1 << 20)

typedef struct exa_delimited {
    const char *name; /* borrowed; of the file, in messages */
    char *text;       /* borrowed; changed while it is read */
    size_t size, at;
    uint64_t line; /* of the row last read, from 1 */
    int columns;
    char separator;
    const char *header[EXA_DELIMITED_MAX_COLUMNS]; /* borrowed from the text */
    const char *field[EXA_DELIMITED_MAX_COLUMNS];  /* of the row last read; borrowed from the text */
} exa_delimited;

/* Reads the first line. text[size] must be writable (exa_file_read_all leaves a terminator there). */
exa_status exa_delimited_begin(exa_delimited *d, const char *name, char *text, size_t size);

/* The next row; *more is false behind the last. */
exa_status exa_delimited_next(exa_delimited *d, bool *more);

/* The column of that name, in upper or lower case; -1 if there is none. */
int exa_delimited_column(const exa_delimited *d, const char *name);

/* The names of all columns, "a, b, c", cut where `out` ends; returns `out`. */
const char *exa_delimited_columns(const exa_delimited *d, char *out, size_t bytes);

/* A field as a finite number. */
exa_status exa_delimited_number(const exa_delimited *d, int column, double *out);

#ifdef __cplusplus
}
#endif
#endif
