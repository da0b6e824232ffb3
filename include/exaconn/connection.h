/* Synapses, pairs of segments, connections, neurons: the records from which a connectome is added up.
 *
 * Each begins with its key and is combined with others of that key by exaconn/reduce.h; all numbers are integers.
 */
#ifndef EXACONN_CONNECTION_H
#define EXACONN_CONNECTION_H

#include "exaconn/box.h"
#include "exaconn/synapse_table.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Flags of a synapse beside those of its row in the table (exa_synapse_row). */
enum {
    EXA_SYNAPSE_OUTSIDE = 1 << 8,    /* a position is outside the segmentation */
    EXA_SYNAPSE_DUPLICATE = 1 << 9,  /* an earlier row says the same */
    EXA_SYNAPSE_UNKNOWN_ID = 1 << 10 /* an id that no segment has */
};

/* What became of a row. */
typedef enum exa_synapse_state {
    EXA_SYNAPSE_ACCEPTED = 0,
    EXA_SYNAPSE_WAS_INVALID,
    EXA_SYNAPSE_WAS_NONE,
    EXA_SYNAPSE_WITHOUT_DIRECTION,
    EXA_SYNAPSE_WITHOUT_POSITION,
    EXA_SYNAPSE_WAS_OUTSIDE,
    EXA_SYNAPSE_WAS_DUPLICATE,
    EXA_SYNAPSE_WITHOUT_SEGMENT, /* no segment at a position, or no id */
    EXA_SYNAPSE_OF_UNKNOWN_ID,
    EXA_SYNAPSE_IS_AUTAPSE, /* and autapses are not wanted */
    EXA_SYNAPSE_STATES
} exa_synapse_state;

extern const char *const exa_synapse_state_names[EXA_SYNAPSE_STATES]; /* "accepted", "invalid", ... */

typedef struct exa_synapse {
    uint64_t row;                    /* of the table, from 0 */
    uint64_t line;                   /* see exa_synapse_row */
    exa_segid pre, post;             /* in the segmentation, or of the table where there is none; 0 = nobody */
    exa_segid table_pre, table_post; /* as the table says; 0 = it does not */
    exa_coord pre_at[3], post_at[3]; /* zyx voxels of the volume; 0 without EXA_SYNAPSE_POINTS */
    uint64_t synapses, kind;         /* see exa_synapse_row */
    uint64_t flags;
} exa_synapse;

/* Parts of one row come from several places, each with zeros for what it does not know. */
void exa_synapse_combine(void *into, const void *synapse);

exa_synapse_state exa_synapse_judge(const exa_synapse *synapse, bool autapses);

/* Two segments, a <= b: what touches and what connects them. */
typedef struct exa_pair {
    exa_segid a, b;
    uint64_t faces[3], sites;
    uint64_t forward, backward; /* synapses from a to b, from b to a */
} exa_pair;
void exa_pair_combine(void *into, const void *pair);

typedef struct exa_connection {
    exa_segid pre, post;
    uint64_t synapses, faces[3]; /* of the contact of the two, whichever way */
} exa_connection;
void exa_connection_combine(void *into, const void *connection);

typedef struct exa_neuron {
    exa_segid id;
    uint64_t voxels, synapses_in, synapses_out, partners_in, partners_out;
    uint64_t contacts, sites, faces[3]; /* other segments it touches, patches, faces */
    uint64_t named;                     /* by synapses that were accepted */
} exa_neuron;
void exa_neuron_combine(void *into, const void *neuron);

/* The segment at voxel `at`, or the nearest labelled voxel's whose centre is at most `radius_nm` away; of several
 * as near the first in the order of z, y, x. 0 if there is none. `labels` [z, y, x] of `box`, which holds all
 * voxels of the volume within the radius. */
exa_segid exa_synapse_nearest(const exa_segid *labels, const exa_box *box, const exa_coord at[3],
                              const double voxel_size_nm[3], double radius_nm);

#ifdef __cplusplus
}
#endif
#endif
