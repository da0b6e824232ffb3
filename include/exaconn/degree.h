/* Degrees, density, reciprocity, assortativity: what follows from who has how many partners. */
#ifndef EXACONN_DEGREE_H
#define EXACONN_DEGREE_H

#include "exaconn/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_degrees {
    uint32_t *in, *out, *neighbors; /* owned; [nodes]; neighbors: partners in either direction, each once */
    double *in_weight, *out_weight; /* owned; [nodes] */
    uint32_t nodes;
} exa_degrees;

exa_status exa_degrees_make(const exa_graph *g, const exa_dyads *dyads, exa_degrees *out);
void exa_degrees_destroy(exa_degrees *d);

/* M mutual pairs, A asymmetric ones; NaN where there are none. */
typedef struct exa_reciprocity {
    uint64_t mutual, asymmetric;
    double edges; /* 2M / (2M + A): the share of connections that are answered */
    double dyads; /* M / (M + A): the share of connected pairs that are connected both ways */
} exa_reciprocity;

void exa_reciprocity_of(const exa_dyads *dyads, exa_reciprocity *out);

/* Connections over ordered pairs of different nodes; NaN for fewer than two. */
double exa_density(const exa_graph *g);

/* Pearson's correlation, over connections, of the presynaptic node's degree with the postsynaptic one's (Newman
 * 2003, Foster et al. 2010); NaN where one of them does not vary. Exact sums, rounded at the end. */
typedef struct exa_assortativity {
    double out_in, out_out, in_in, in_out; /* presynaptic degree, postsynaptic degree */
    double neighbors; /* of the undirected view: over connected pairs, each once either way round */
} exa_assortativity;

void exa_assortativity_of(const exa_graph *g, const exa_dyads *dyads, const exa_degrees *d, exa_assortativity *out);

#ifdef __cplusplus
}
#endif
#endif
