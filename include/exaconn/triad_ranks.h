/* The triad census of a graph that no rank could hold.
 *
 * Connected pairs are shared out by node; each pair points from its node of lower degree to the other, and the row
 * of a node is sent once to every rank that owns one of its entries, which looks up the rows it owns in it (the
 * ghost neighbourhoods of Sanders and Uhl 2023, pushed instead of pulled). Rows travel in rounds of bounded size. A
 * rank needs its share of the pairs, and 16 bytes for each node of the graph. The counts are those of
 * exa_triad_census.
 */
#ifndef EXACONN_TRIAD_RANKS_H
#define EXACONN_TRIAD_RANKS_H

#include "exaconn/triad.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_triad_ranks {
    exa_triads triads;
    uint64_t edges;       /* different connections, self-connections left out */
    uint64_t given, self; /* connections given by all ranks; of which self-connections */
    uint64_t lookups;     /* entries looked up in marks, by all ranks: the work */
    uint64_t words_sent;  /* 4 bytes each, by all ranks, while triangles were counted */
    uint32_t largest_degree;
} exa_triad_ranks;

/* *edges: this rank's connections as pre << 32 | post, in any order, any number of times, on any ranks; malloc'd,
 * freed and set to NULL as soon as they are no longer needed. Nodes are below `nodes`. Collective. */
exa_status exa_triad_census_ranks(uint64_t **edges, size_t count, uint32_t nodes, exa_triad_ranks *out);

#ifdef __cplusplus
}
#endif
#endif
