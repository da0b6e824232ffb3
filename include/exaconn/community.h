/* Communities: groups of nodes with more connections inside than their degrees explain.
 *
 * Leiden's method (Traag, Waltman and van Eck 2019) for modularity on the undirected weighted view: the weight
 * between two nodes is the sum of both directions. Deterministic: nodes are visited in orders drawn by (seed, run),
 * refinement takes the best merge instead of a random one, and of several runs the best is kept. As there, every
 * community is connected.
 */
#ifndef EXACONN_COMMUNITY_H
#define EXACONN_COMMUNITY_H

#include "exaconn/component.h"
#include "exaconn/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_community_options {
    double resolution; /* gamma; 1 = modularity as Newman has it */
    uint32_t runs;     /* >= 1 */
    uint64_t seed;
} exa_community_options;

/* The communities as parts numbered by size, and their modularity. */
exa_status exa_communities_of(const exa_graph *g, const exa_community_options *options, exa_components *out,
                              double *modularity);

/* Sum over communities of (weight inside / all weight) - gamma (share of all ends)^2; NaN without weight. */
double exa_modularity(const exa_graph *g, const uint32_t *community, double resolution);

#ifdef __cplusplus
}
#endif
#endif
