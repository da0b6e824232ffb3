/* A directed graph in compressed rows: who a node connects to, in ascending order, and how strongly.
 *
 * No self-loops, no double edges. An undirected graph is one whose edges all have their reverse; `undirected` then
 * only says how to speak of it. Plain data, written once and then shared by any number of threads.
 */
#ifndef EXACONN_GRAPH_H
#define EXACONN_GRAPH_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_GRAPH_MAX_NODES ((uint32_t)1 << 30) /* two bits of a node's number carry directions elsewhere */

typedef struct exa_graph_edge {
    uint32_t pre, post;
    double weight;
} exa_graph_edge;

typedef struct exa_graph {
    uint64_t *begin;  /* owned; [nodes + 1]: edges of node v are begin[v] ... begin[v + 1] - 1 */
    uint32_t *target; /* owned; [edges], ascending within a node */
    double *weight;   /* owned; [edges] */
    uint64_t edges;
    uint32_t nodes;
    bool undirected;
} exa_graph;

/* From edges in any order; of equal ones the weights are added, in the order given. Self-loops are left out. */
exa_status exa_graph_build(uint32_t nodes, const exa_graph_edge *edges, size_t count, exa_graph *out);

/* All edges turned round. */
exa_status exa_graph_transpose(const exa_graph *g, exa_graph *out);

/* The nodes v with keep[v], in the same order, and the edges among them. `numbers` (may be NULL) takes the old
 * number of each new node; it has room for all that are kept. */
exa_status exa_graph_subgraph(const exa_graph *g, const uint8_t *keep, uint32_t *numbers, exa_graph *out);

/* Where an edge stands among all; g->edges if there is none. */
uint64_t exa_graph_find_edge(const exa_graph *g, uint32_t pre, uint32_t post);

void exa_graph_destroy(exa_graph *g); /* zeroed afterwards */

/* The undirected view: every node's neighbours, and which way each connection goes. */
enum { EXA_DYAD_OUT = 1, EXA_DYAD_IN = 2, EXA_DYAD_MUTUAL = 3 };

typedef struct exa_dyads {
    uint64_t *begin;    /* owned; [nodes + 1] */
    uint32_t *neighbor; /* owned; neighbour << 2 | direction seen from the row's node; ascending */
    uint32_t nodes;
} exa_dyads;

exa_status exa_dyads_make(const exa_graph *g, exa_dyads *out);
void exa_dyads_destroy(exa_dyads *d);

static inline uint32_t exa_dyads_degree(const exa_dyads *d, uint32_t v) {
    return (uint32_t)(d->begin[v + 1] - d->begin[v]);
}

#ifdef __cplusplus
}
#endif
#endif
