/* An edge is in the club of k if the smaller degree of its ends is above k: sums from the top over one histogram.
 */
#include "exaconn/rich_club.h"

#include "exaconn/box.h"

#include <math.h>
#include <stdlib.h>

double exa_rich_club_density(const exa_rich_club *r, uint32_t i) {
    double n = r->nodes[i];
    return n < 2 ? NAN : (double)r->edges[i] / (n * (n - 1));
}

static void total_degrees(const exa_graph *g, uint32_t *degree) {
    for (uint64_t i = 0; i < g->edges && !g->undirected; i++) degree[g->target[i]]++;
    for (uint32_t v = 0; v < g->nodes; v++) degree[v] += (uint32_t)(g->begin[v + 1] - g->begin[v]);
}

/* From the top: each degree that occurs while there are few nodes above, then only where the club has grown by a
 * twelfth. */
static void choose_degrees(const uint64_t *nodes, uint32_t most, exa_rich_club *r) {
    uint32_t chosen[EXA_RICH_CLUB_MAX], n = 0;
    uint64_t last = 0;

    for (uint32_t k = most; k-- > 0 && n < EXA_RICH_CLUB_MAX;) {
        uint64_t above = nodes[k + 1];
        if (above < 2 || above == last || above < last + last / 12) continue;
        chosen[n++] = k;
        last = above;
    }
    r->count = n;
    for (uint32_t i = 0; i < n; i++) r->degree[i] = chosen[n - 1 - i];
}

exa_status exa_rich_club_of(const exa_graph *g, const exa_rich_club *at, exa_rich_club *out) {
    uint32_t *degree = NULL, most = 0;
    uint64_t *nodes = NULL, *edges = NULL; /* with that degree or more */
    exa_status st;

    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *degree, "a rich club", &degree));
    total_degrees(g, degree);
    for (uint32_t v = 0; v < g->nodes; v++)
        if (degree[v] > most) most = degree[v];
    EXA_GOTO(done, exa_calloc((size_t)most + 2, sizeof *nodes, "a rich club", &nodes));
    EXA_GOTO(done, exa_calloc((size_t)most + 2, sizeof *edges, "a rich club", &edges));
    for (uint32_t v = 0; v < g->nodes; v++) {
        nodes[degree[v]]++;
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            uint32_t w = g->target[i];
            edges[degree[v] < degree[w] ? degree[v] : degree[w]]++;
        }
    }
    for (uint32_t k = most + 1; k-- > 0;) {
        nodes[k] += nodes[k + 1];
        edges[k] += edges[k + 1];
    }
    *out = (exa_rich_club){.count = 0};
    if (at) {
        *out = *at;
    } else {
        choose_degrees(nodes, most, out);
    }
    for (uint32_t i = 0; i < out->count; i++) {
        uint32_t k = out->degree[i];
        out->nodes[i] = k < most ? (uint32_t)nodes[k + 1] : 0;
        out->edges[i] = k < most ? edges[k + 1] : 0;
    }
done:
    free(degree);
    free(nodes);
    free(edges);
    return st;
}
