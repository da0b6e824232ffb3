/* A text table that all ranks write: the header, then the rows of rank 0, of rank 1, and so on, as one file.
 *
 * Rows are spooled to disk, so that a table may be larger than memory. The file has its name only when it is whole.
 */
#ifndef EXACONN_TABLE_H
#define EXACONN_TABLE_H

#include "exaconn/status.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_table exa_table;

/* Begins the table `path`; `header` is its first line, without the line feed. Collective. */
exa_status exa_table_create(const char *path, const char *header, exa_table **out);

/* Where this rank prints its rows; borrowed. Errors of printing are found by the commit. */
FILE *exa_table_rows(exa_table *table);

/* Puts the rows of all ranks together, syncs and renames. Collective; the table can only be closed afterwards. */
exa_status exa_table_commit(exa_table *table);

/* Removes what was not committed. Accepts NULL inside. Not collective. */
void exa_table_close(exa_table **table);

#ifdef __cplusplus
}
#endif
#endif
