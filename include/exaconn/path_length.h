/* Shortest paths: how many connections from a node to another, over all ordered pairs, or from a sample of sources.
 */
#ifndef EXACONN_PATH_LENGTH_H
#define EXACONN_PATH_LENGTH_H

#include "exaconn/graph.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_PATH_BINS 64 /* pairs at 63 or more steps share the last bin; their sum is exact all the same */

typedef struct exa_path_lengths {
    uint64_t pairs, sum;          /* ordered pairs of different nodes that a path joins; steps of all of them */
    uint64_t bins[EXA_PATH_BINS]; /* pairs by steps */
    uint32_t longest, sources;    /* steps; where paths began */
    bool sampled;
    double mean;      /* sum / pairs; NaN without pairs */
    double low, high; /* of the mean, 95 %: by the spread over sources; both the mean if not sampled */
} exa_path_lengths;

/* `sources` of the nodes, drawn without replacement by (seed, stream); 0 or all = every node. With `share_of` ranks
 * each does a share and all get the same result: collective then. Integers are summed, so the result is the same
 * for any number of threads and ranks. */
typedef struct exa_path_options {
    uint32_t sources;
    uint64_t seed, stream;
    bool share_among_ranks;
} exa_path_options;

exa_status exa_path_lengths_of(const exa_graph *g, const exa_path_options *options, exa_pool *pool,
                               exa_path_lengths *out);

#ifdef __cplusplus
}
#endif
#endif
