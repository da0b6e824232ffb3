/* The triad census: how many sets of three nodes are wired in each of the 16 ways (Holland and Leinhardt's names).
 *
 * Only triangles are enumerated, each once, from its node of lowest degree; the nine types in which some pair is
 * not connected follow from sums over degrees. Work is the sum over edges of the smaller of two degrees.
 */
#ifndef EXACONN_TRIAD_H
#define EXACONN_TRIAD_H

#include "exaconn/graph.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_TRIAD_TYPES 16

__extension__ typedef unsigned __int128 exa_u128;

/* "003", "012", "102", "021D", "021U", "021C", "111D", "111U", "030T", "030C", "201", "120D", "120U", "120C",
 * "210", "300": mutual, asymmetric and null pairs, in the order of networkx and of Batagelj and Mrvar. */
extern const char *const exa_triad_names[EXA_TRIAD_TYPES];

typedef struct exa_triads {
    exa_u128 count[EXA_TRIAD_TYPES];
    uint64_t mutual, asymmetric; /* pairs */
    exa_u128 null;               /* pairs not connected */
    uint64_t triangles;          /* of the undirected view */
    exa_u128 triples;            /* paths of two connections in the undirected view: 3 * triangles of them close */
} exa_triads;

/* `node_triangles` (may be NULL) takes [nodes] the triangles each node is in. A NULL pool works on the caller. */
exa_status exa_triad_census(const exa_dyads *dyads, exa_pool *pool, uint64_t *node_triangles, exa_triads *out);

/* What a census is made of, where the parts were counted elsewhere: triangles by directions, and sums over nodes.
 */
typedef struct exa_triad_parts {
    uint64_t closed[64];         /* by (u,v) | (u,w) << 2 | (v,w) << 4: directions as exa_dyads has them */
    exa_u128 out2, in2, mutual2; /* pairs of asymmetric out-, asymmetric in-, mutual partners */
    exa_u128 out_in, mutual_out, mutual_in; /* products of their numbers */
    uint64_t mutual, asymmetric;            /* pairs */
    uint64_t nodes;
} exa_triad_parts;

/* Adds a node with so many partners to the sums; pairs are left to the caller. */
void exa_triad_add_node(exa_triad_parts *parts, uint64_t out, uint64_t in, uint64_t mutual);
void exa_triad_finish(const exa_triad_parts *parts, exa_triads *out);

/* Decimal digits; returns `out`. */
#define EXA_U128_BYTES 40
const char *exa_u128_text(exa_u128 value, char out[EXA_U128_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
