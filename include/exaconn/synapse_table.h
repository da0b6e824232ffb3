/* Tables of synapses that others made, row by row: who is before, who behind, and where.
 *
 * A table has points (of each synapse, in its partners), ids of the partners, or both; connection tables have ids
 * and how many synapses a row stands for. Units and the order of axes are never guessed: the format fixes them, the
 * file says them, or the caller does. What cannot be read at all (a missing column, text where a number belongs, an
 * id beyond 64 bits, a truncated file, a line over 1 MiB) is an error that names the line; what can be read but not
 * used (no position, no partner, marked invalid) is flagged in its row, so that it is counted. docs/circuits.md has
 * the formats.
 */
#ifndef EXACONN_SYNAPSE_TABLE_H
#define EXACONN_SYNAPSE_TABLE_H

#include "exaconn/box.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_synapse_format {
    EXA_SYNAPSES_EXACONN_CSV = 0, /* as `exaconn phantom --synapses` writes it */
    EXA_SYNAPSES_EXACONN_HDF5,    /* as `exaconn connectome` writes it */
    EXA_SYNAPSES_FLYEM_JSON,
    EXA_SYNAPSES_CAVE_CSV,
    EXA_SYNAPSES_CODEX_CSV,
    EXA_SYNAPSES_NEUPRINT_CSV,
    EXA_SYNAPSES_SYCONN_CSV,
    EXA_SYNAPSE_FORMATS
} exa_synapse_format;

/* "exaconn-csv", ..., ended by NULL; as command line and job name them. */
extern const char *const exa_synapse_format_names[];

typedef enum exa_synapse_units {
    EXA_SYNAPSE_UNITS_UNSAID = 0,
    EXA_SYNAPSE_VOXELS,
    EXA_SYNAPSE_NM
} exa_synapse_units;
typedef enum exa_synapse_axes { EXA_SYNAPSE_AXES_UNSAID = 0, EXA_SYNAPSE_ZYX, EXA_SYNAPSE_XYZ } exa_synapse_axes;

typedef struct exa_synapse_options {
    exa_synapse_format format;
    exa_synapse_units units;
    exa_synapse_axes axes;   /* of lists of three numbers; columns carry their axis in their name */
    double voxel_size_nm[3]; /* zyx; of the voxels that the table counts in; 0 = not given */
} exa_synapse_options;

enum {
    EXA_SYNAPSE_POINTS = 1,       /* both positions are given */
    EXA_SYNAPSE_NO_POSITION = 2,  /* a position is missing or no number */
    EXA_SYNAPSE_NO_DIRECTION = 4, /* the table does not tell which side is before */
    EXA_SYNAPSE_INVALID = 8,      /* the table itself says that it is none */
    EXA_SYNAPSE_NONE = 16         /* the row stands for no synapse */
};

typedef struct exa_synapse_row {
    uint64_t line;                /* of a text file, from 1; of others the row, from 1 */
    exa_segid pre, post;          /* 0 = the table does not say */
    double pre_at[3], post_at[3]; /* zyx, in the table's units */
    uint64_t synapses;            /* that the row stands for */
    uint64_t kind;                /* tells rows of one pair apart (a neuropil); 0 if there is nothing to tell */
    double size, confidence;      /* as the table has them; NAN = it does not */
    unsigned flags;
} exa_synapse_row;

typedef struct exa_synapse_table exa_synapse_table;

exa_status exa_synapse_table_open(const char *path, const exa_synapse_options *options, exa_synapse_table **out);

/* The same from an open text file, which is taken over; `origin` names it in messages. Not for HDF5. */
exa_status exa_synapse_table_open_stream(FILE *stream, const char *origin, const exa_synapse_options *options,
                                         exa_synapse_table **out);

/* Whether its rows have points, and in which units: VOXELS or NM. */
bool exa_synapse_table_has_points(const exa_synapse_table *table);
exa_synapse_units exa_synapse_table_units(const exa_synapse_table *table);

/* zyx nm of the voxels it counts in, as the file itself says (exaconn-hdf5); 0 where it does not. Borrowed. */
const double *exa_synapse_table_voxel_size_nm(const exa_synapse_table *table);

/* The next row; *end is true, and `row` untouched, after the last one. */
exa_status exa_synapse_table_next(exa_synapse_table *table, exa_synapse_row *row, bool *end);

void exa_synapse_table_close(exa_synapse_table **table);

#define EXA_SYNAPSE_HDF5_FORMAT "exaconn synapses"

#ifdef __cplusplus
}
#endif
#endif
