/* The rich club: do nodes of high degree connect to each other more than others do (Colizza et al. 2006)? */
#ifndef EXACONN_RICH_CLUB_H
#define EXACONN_RICH_CLUB_H

#include "exaconn/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_RICH_CLUB_MAX 96

/* For some degrees k, ascending: how many nodes have more than k, and how many connections run among them. The
 * degree is the total one, in + out (undirected: neighbours). */
typedef struct exa_rich_club {
    uint32_t count;
    uint32_t degree[EXA_RICH_CLUB_MAX];
    uint32_t nodes[EXA_RICH_CLUB_MAX];
    uint64_t edges[EXA_RICH_CLUB_MAX];
} exa_rich_club;

/* phi(k) = edges / (nodes (nodes - 1)); NaN for fewer than two nodes. */
double exa_rich_club_density(const exa_rich_club *r, uint32_t i);

/* At all degrees that occur, or at EXA_RICH_CLUB_MAX of them, evenly among the nodes sorted by degree at the low
 * end and every one at the high end, where clubs are small. With `at` (may be NULL) at its degrees. */
exa_status exa_rich_club_of(const exa_graph *g, const exa_rich_club *at, exa_rich_club *out);

#ifdef __cplusplus
}
#endif
#endif
