/* How the chance and the weight of a connection depend on the distance between two neurons. */
#ifndef EXACONN_DISTANCE_PROFILE_H
#define EXACONN_DISTANCE_PROFILE_H

#include "exaconn/graph.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_DISTANCE_BINS 24

typedef struct exa_distance_profile {
    double width_nm;                       /* of a bin; the last ends at the diagonal of the box around all nodes */
    uint32_t bins;                         /* up to the last in which there are pairs */
    uint64_t pairs[EXA_DISTANCE_BINS];     /* ordered pairs of different nodes */
    uint64_t connected[EXA_DISTANCE_BINS]; /* of which one connects to the other */
    double weight[EXA_DISTANCE_BINS];      /* mean of connections; NaN without any */
    double weight_sd[EXA_DISTANCE_BINS];
    double mean_nm;   /* of connections */
    double length_nm; /* lambda of P(d) = P0 exp(-d / lambda), fitted to ln P, bins weighted by connections; NaN
                         where that does not fall */
} exa_distance_profile;

/* position_nm: [nodes, 3]. All pairs are looked at, by all ranks and threads together. Collective. */
exa_status exa_distance_profile_of(const exa_graph *g, const double *position_nm, exa_pool *pool,
                                   exa_distance_profile *out);

#ifdef __cplusplus
}
#endif
#endif
