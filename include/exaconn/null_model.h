/* Random graphs to compare with: what would be seen if only some properties of the graph were given and all else
 * were chance.
 *
 * A replica is a function of (graph, model, seed, replica number) alone, whoever makes it.
 */
#ifndef EXACONN_NULL_MODEL_H
#define EXACONN_NULL_MODEL_H

#include "exaconn/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_null_model {
    EXA_NULL_CONFIGURATION, /* every node keeps its in- and its out-degree; undirected: its degree */
    EXA_NULL_MUTUAL,        /* and its number of mutual partners */
    EXA_NULL_ERDOS_RENYI,   /* nodes and number of connections are kept */
    EXA_NULL_DISTANCE,      /* in- and out-degrees, and how many connections there are of each length */
    EXA_NULL_MODELS
} exa_null_model;

extern const char *const exa_null_model_names[EXA_NULL_MODELS]; /* "configuration", ... */
extern const char *const exa_null_model_keeps[EXA_NULL_MODELS]; /* what it keeps, for people */

#define EXA_NULL_LENGTH_CLASSES 12 /* of the distance model: as many connections in each */

typedef struct exa_null_options {
    double swaps; /* tried for each connection; the distance model tries 20 times as many */
    uint64_t seed;
    const double *position_nm; /* borrowed; [nodes, 3] for the distance model */
} exa_null_options;

/* `done` (may be NULL): swaps made. Weights are all 1. */
exa_status exa_null_make(const exa_graph *g, exa_null_model model, const exa_null_options *options,
                         uint64_t replica, exa_graph *out, uint64_t *done);

#ifdef __cplusplus
}
#endif
#endif
