/* What the readers of synapse tables share: synapse_table.c opens, synapse_csv.c, synapse_json.c and synapse_hdf5.c
 * read. */
#ifndef EXA_SYNAPSE_TABLE_INTERNAL_H
#define EXA_SYNAPSE_TABLE_INTERNAL_H

#include "exaconn/synapse_table.h"

#define EXA_SYNAPSE_LINE_MAX ((size_t)1 << 20) /* bytes of a line */

typedef struct exa_synapse_reader {
    exa_status (*next)(void *state, exa_synapse_row *row, bool *end);
    void (*close)(void *state); /* accepts NULL */
    void *state;                /* owned */
    bool points;
    exa_synapse_units units;
    double voxel_size_nm[3]; /* of its voxels, as the file says; 0 = it does not */
} exa_synapse_reader;

/* Each takes the stream over, on an error too. */
exa_status exa_synapse_csv_open(FILE *stream, const char *origin, const exa_synapse_options *options,
                                exa_synapse_reader *reader);
exa_status exa_synapse_json_open(FILE *stream, const char *origin, const exa_synapse_options *options,
                                 exa_synapse_reader *reader);
exa_status exa_synapse_hdf5_open(const char *path, const exa_synapse_options *options, exa_synapse_reader *reader);

/* Text as a number: digits alone, up to 2^64 - 1. `where` ("'f.csv', line 3, column 'id'") is for the message. */
exa_status exa_synapse_parse_id(const char *text, const char *where, exa_segid *id);

/* "" and nan are NAN, anything that is no number is an error. */
exa_status exa_synapse_parse_real(const char *text, const char *where, double *value);

#endif
