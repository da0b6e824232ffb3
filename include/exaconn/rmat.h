/* R-MAT graphs (Chakrabarti, Zhan and Faloutsos 2004), a random Kronecker model: few nodes with very many partners,
 * many with few, at any size. Connection i is a function of (options, i) alone, so any rank makes any part.
 */
#ifndef EXACONN_RMAT_H
#define EXACONN_RMAT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_rmat {
    double a, b, c; /* chances of three quadrants of the matrix at each halving; the fourth has the rest */
    uint32_t scale; /* 2^scale nodes; at most 30 */
    uint64_t seed;
} exa_rmat;

/* a 0.57, b = c 0.19, as Graph 500 has them. */
exa_rmat exa_rmat_defaults(uint32_t scale, uint64_t seed);

/* pre << 32 | post of connection i; self-connections and repeats occur. Nodes of many connections have any number.
 */
uint64_t exa_rmat_edge(const exa_rmat *options, uint64_t i);

#ifdef __cplusplus
}
#endif
#endif
