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

typedef struct moments {
    wide n, x, y, xx, yy, xy;
} moments;

static void add_pair(moments *m, wide a, wide b) {
    m->n++;
    m->x += a;
    m->y += b;
    m->xx += a * a;
    m->yy += b * b;
    m->xy += a * b;
}

static double correlation(const moments *m) {
    wide vx = m->n * m->xx - m->x * m->x, vy = m->n * m->yy - m->y * m->y;

    if (vx <= 0 || vy <= 0) return NAN;
    return (double)(m->n * m->xy - m->x * m->y) / (sqrt((double)vx) * sqrt((double)vy));
}

static double over_connections(const exa_graph *g, const uint32_t *pre, const uint32_t *post) {
    moments m = {0};

    for (uint32_t v = 0; v < g->nodes; v++)
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) add_pair(&m, pre[v], post[g->target[i]]);
    return correlation(&m);
}

static double over_pairs(const exa_dyads *d, const uint32_t *degree) {
    moments m = {0};

    for (uint32_t v = 0; v < d->nodes; v++)
        for (uint64_t i = d->begin[v]; i < d->begin[v + 1]; i++)
            add_pair(&m, degree[v], degree[d->neighbor[i] >> 2]);
    return correlation(&m);
}

void exa_assortativity_of(const exa_graph *g, const exa_dyads *dyads, const exa_degrees *d,
                          exa_assortativity *out) {
    out->out_in = over_connections(g, d->out, d->in);
    out->out_out = over_connections(g, d->out, d->out);
    out->in_in = over_connections(g, d->in, d->in);
    out->in_out = over_connections(g, d->in, d->out);
    out->neighbors = over_pairs(dyads, d->neighbors);
}
