/* Clustering by its three definitions, which differ enough that a number without its name says little. */
#ifndef EXACONN_CLUSTERING_H
#define EXACONN_CLUSTERING_H

#include "exaconn/graph.h"
#include "exaconn/triad.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_clustering {
    double
        transitivity; /* 3 * triangles / paths of two connections, of the undirected view; NaN without such paths */
    double local;     /* Watts and Strogatz: mean over nodes of the density among their neighbours, undirected;
                         0 for a node with fewer than two */
    double local_defined; /* the same over nodes with two or more neighbours only; NaN without any */
    uint32_t defined;     /* such nodes */
} exa_clustering;

/* `node_triangles` as of exa_triad_census. `node` (may be NULL) takes each node's own value, NaN for fewer than two
 * neighbours. */
void exa_clustering_of(const exa_dyads *dyads, const uint64_t *node_triangles, const exa_triads *triads,
                       exa_clustering *out, double *node);

/* Varshney et al. 2011: mean over all nodes of the share of connections that exist among a node's out-neighbours,
 * of k (k - 1) ordered pairs; 0 for fewer than two. They take the nodes of the giant strong component. */
exa_status exa_clustering_out_density(const exa_graph *g, double *out);

#ifdef __cplusplus
}
#endif
#endif
