#include "exaconn/clustering.h"

#include "exaconn/box.h"

#include <math.h>
#include <stdlib.h>

void exa_clustering_of(const exa_dyads *dyads, const uint64_t *node_triangles, const exa_triads *triads,
                       exa_clustering *out, double *node) {
    double sum = 0;

    *out = (exa_clustering){.transitivity = NAN, .local = NAN, .local_defined = NAN};
    for (uint32_t v = 0; v < dyads->nodes; v++) {
        double k = exa_dyads_degree(dyads, v), own = NAN;
        if (k >= 2) {
            own = 2 * (double)node_triangles[v] / (k * (k - 1));
            sum += own;
            out->defined++;
        }
        if (node) node[v] = own;
    }
    if (triads->triples) out->transitivity = 3 * (double)triads->triangles / (double)triads->triples;
    if (dyads->nodes) out->local = sum / dyads->nodes;
    if (out->defined) out->local_defined = sum / out->defined;
}

exa_status exa_clustering_out_density(const exa_graph *g, double *out) {
    uint32_t *mark; /* the node whose neighbour it was last, plus one */
    double sum = 0;

    EXA_TRY(exa_calloc(g->nodes, sizeof *mark, "marks of nodes", &mark));
    for (uint32_t v = 0; v < g->nodes; v++) {
        uint64_t first = g->begin[v], end = g->begin[v + 1], links = 0;
        double k = (double)(end - first);
        if (k < 2) continue;
        for (uint64_t i = first; i < end; i++) mark[g->target[i]] = v + 1;
        for (uint64_t i = first; i < end; i++) {
            uint32_t w = g->target[i];
            for (uint64_t j = g->begin[w]; j < g->begin[w + 1]; j++) links += mark[g->target[j]] == v + 1;
        }
        sum += (double)links / (k * (k - 1));
    }
    free(mark);
    *out = g->nodes ? sum / g->nodes : NAN;
    return EXA_OK;
}
