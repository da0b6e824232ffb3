#include "exaconn/degree.h"

#include "exaconn/box.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef __int128 wide;

exa_status exa_degrees_make(const exa_graph *g, const exa_dyads *dyads, exa_degrees *out) {
    exa_degrees d = {.nodes = g->nodes};
    exa_status st;

    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *d.in, "degrees", &d.in));
    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *d.out, "degrees", &d.out));
    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *d.neighbors, "degrees", &d.neighbors));
    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *d.in_weight, "degrees", &d.in_weight));
    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *d.out_weight, "degrees", &d.out_weight));
    for (uint32_t v = 0; v < g->nodes; v++) {
        d.neighbors[v] = exa_dyads_degree(dyads, v);
        d.out[v] = (uint32_t)(g->begin[v + 1] - g->begin[v]);
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            d.out_weight[v] += g->weight[i];
            d.in[g->target[i]]++;
            d.in_weight[g->target[i]] += g->weight[i];
        }
    }
    *out = d;
    memset(&d, 0, sizeof d);
done:
    exa_degrees_destroy(&d);
    return st;
}

void exa_degrees_destroy(exa_degrees *d) {
    free(d->in);
    free(d->out);
    free(d->neighbors);
    free(d->in_weight);
    free(d->out_weight);
    memset(d, 0, sizeof *d);
}

void exa_reciprocity_of(const exa_dyads *dyads, exa_reciprocity *out) {
    uint64_t seen[4] = {0}, m, a;

    for (uint64_t i = 0; i < dyads->begin[dyads->nodes]; i++) seen[dyads->neighbor[i] & 3]++;
    m = seen[EXA_DYAD_MUTUAL] / 2;
    a = seen[EXA_DYAD_OUT];
    *out = (exa_reciprocity){m, a, NAN, NAN};
    if (m + a == 0) return;
    out->edges = 2.0 * (double)m / (2.0 * (double)m + (double)a);
    out->dyads = (double)m / (double)(m + a);
}

double exa_density(const exa_graph *g) {
    return g->nodes < 2 ? NAN : (double)g->edges / ((double)g->nodes * (double)(g->nodes - 1));
}

/* ---- assortativity ------------------------------------------------------------------------------------------- */

static double correlation(const exa_graph *g, const uint32_t *pre, const uint32_t *post) {
    wide n = (wide)g->edges, x = 0, y = 0, xx = 0, yy = 0, xy = 0, vx, vy;

    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            wide a = pre[v], b = post[g->target[i]];
            x += a;
            y += b;
            xx += a * a;
            yy += b * b;
            xy += a * b;
        }
    }
    vx = n * xx - x * x;
    vy = n * yy - y * y;
    if (vx <= 0 || vy <= 0) return NAN;
    return (double)(n * xy - x * y) / (sqrt((double)vx) * sqrt((double)vy));
}

void exa_assortativity_of(const exa_graph *g, const exa_degrees *d, exa_assortativity *out) {
    out->out_in = correlation(g, d->out, d->in);
    out->out_out = correlation(g, d->out, d->out);
    out->in_in = correlation(g, d->in, d->in);
    out->in_out = correlation(g, d->in, d->out);
    out->neighbors = correlation(g, d->neighbors, d->neighbors);
}
