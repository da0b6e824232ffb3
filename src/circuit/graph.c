/* Rows are made by counting, filled in the order of the edges and then sorted; a stable order is what makes sums of
 * weights the same whatever came before. */
#include "exaconn/graph.h"

#include "exaconn/box.h"

#include <stdlib.h>
#include <string.h>

/* ---- building ------------------------------------------------------------------------------------------------ */

typedef struct half_edge {
    uint32_t target, order; /* `order` keeps equal ones as they came */
    double weight;
} half_edge;

static int by_target(const void *a, const void *b) {
    const half_edge *x = a, *y = b;
    if (x->target != y->target) return x->target < y->target ? -1 : 1;
    return (x->order > y->order) - (x->order < y->order);
}

static exa_status allocate(uint32_t nodes, uint64_t edges, exa_graph *g) {
    *g = (exa_graph){.nodes = nodes};
    EXA_TRY(exa_calloc((size_t)nodes + 1, sizeof *g->begin, "a graph's rows", &g->begin));
    EXA_TRY(exa_alloc(edges, sizeof *g->target, "a graph's edges", &g->target));
    return exa_alloc(edges, sizeof *g->weight, "a graph's weights", &g->weight);
}

static exa_status scatter(uint32_t nodes, const exa_graph_edge *edges, size_t count, uint64_t *begin,
                          half_edge *half) {
    uint64_t *at;

    for (size_t i = 0; i < count; i++) begin[edges[i].pre + 1] += edges[i].pre != edges[i].post;
    for (uint32_t v = 0; v < nodes; v++) begin[v + 1] += begin[v];
    EXA_TRY(exa_alloc(nodes, sizeof *at, "a graph's rows", &at));
    memcpy(at, begin, nodes * sizeof *at);
    for (size_t i = 0; i < count; i++) {
        const exa_graph_edge *e = &edges[i];
        if (e->pre == e->post) continue;
        uint64_t k = at[e->pre]++;
        half[k] = (half_edge){e->post, (uint32_t)(k - begin[e->pre]), e->weight};
    }
    free(at);
    return EXA_OK;
}

/* Sorts the rows and joins equal edges; begin becomes that of the joined rows. */
static void join_rows(exa_graph *g, half_edge *half) {
    uint64_t kept = 0, first = 0;

    for (uint32_t v = 0; v < g->nodes; v++) {
        uint64_t end = g->begin[v + 1], row = kept;
        qsort(half + first, end - first, sizeof *half, by_target);
        for (uint64_t i = first; i < end; i++) {
            if (kept > row && g->target[kept - 1] == half[i].target) {
                g->weight[kept - 1] += half[i].weight;
            } else {
                g->target[kept] = half[i].target;
                g->weight[kept++] = half[i].weight;
            }
        }
        first = end;
        g->begin[v + 1] = kept;
    }
    g->edges = kept;
}

exa_status exa_graph_build(uint32_t nodes, const exa_graph_edge *edges, size_t count, exa_graph *out) {
    exa_graph g = {0};
    half_edge *half = NULL;
    exa_status st;

    EXA_CHECK(nodes < EXA_GRAPH_MAX_NODES, EXA_ERR_UNSUPPORTED, "%u nodes; at most %u are supported", nodes,
              EXA_GRAPH_MAX_NODES - 1);
    EXA_GOTO(done, allocate(nodes, count, &g));
    EXA_GOTO(done, exa_alloc(count, sizeof *half, "sorting a graph's edges", &half));
    EXA_GOTO(done, scatter(nodes, edges, count, g.begin, half));
    join_rows(&g, half);
    *out = g;
    memset(&g, 0, sizeof g);
done:
    free(half);
    exa_graph_destroy(&g);
    return st;
}

exa_status exa_graph_transpose(const exa_graph *g, exa_graph *out) {
    exa_graph t = {0};
    uint64_t *at = NULL;
    exa_status st;

    EXA_GOTO(done, allocate(g->nodes, g->edges, &t));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *at, "a graph's rows", &at));
    for (uint64_t i = 0; i < g->edges; i++) t.begin[g->target[i] + 1]++;
    for (uint32_t v = 0; v < g->nodes; v++) t.begin[v + 1] += t.begin[v];
    memcpy(at, t.begin, g->nodes * sizeof *at);
    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            uint64_t k = at[g->target[i]]++;
            t.target[k] = v;
            t.weight[k] = g->weight[i];
        }
    }
    t.edges = g->edges;
    t.undirected = g->undirected;
    *out = t;
    memset(&t, 0, sizeof t);
done:
    free(at);
    exa_graph_destroy(&t);
    return st;
}

exa_status exa_graph_subgraph(const exa_graph *g, const uint8_t *keep, uint32_t *numbers, exa_graph *out) {
    exa_graph s = {0};
    uint32_t *new_number = NULL, n = 0;
    exa_status st;

    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *new_number, "numbers of a part of a graph", &new_number));
    for (uint32_t v = 0; v < g->nodes; v++) {
        if (keep[v] && numbers) numbers[n] = v;
        new_number[v] = keep[v] ? n++ : 0;
    }
    EXA_GOTO(done, allocate(n, g->edges, &s));
    for (uint32_t v = 0; v < g->nodes; v++) {
        if (!keep[v]) continue;
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            if (!keep[g->target[i]]) continue;
            s.target[s.edges] = new_number[g->target[i]];
            s.weight[s.edges++] = g->weight[i];
        }
        s.begin[new_number[v] + 1] = s.edges;
    }
    s.undirected = g->undirected;
    *out = s;
    memset(&s, 0, sizeof s);
done:
    free(new_number);
    exa_graph_destroy(&s);
    return st;
}

uint64_t exa_graph_find_edge(const exa_graph *g, uint32_t pre, uint32_t post) {
    uint64_t low = g->begin[pre], high = g->begin[pre + 1];

    while (low < high) {
        uint64_t middle = (low + high) / 2;
        if (g->target[middle] == post) return middle;
        if (g->target[middle] < post) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return g->edges;
}

void exa_graph_destroy(exa_graph *g) {
    free(g->begin);
    free(g->target);
    free(g->weight);
    memset(g, 0, sizeof *g);
}

/* ---- dyads --------------------------------------------------------------------------------------------------- */

/* Merges the ascending rows of a node in the graph and in its transpose; with `into` NULL only counts. */
static uint64_t merge_row(const exa_graph *g, const exa_graph *t, uint32_t v, uint32_t *into) {
    uint64_t i = g->begin[v], j = t->begin[v], n = 0;

    while (i < g->begin[v + 1] || j < t->begin[v + 1]) {
        uint32_t out = i < g->begin[v + 1] ? g->target[i] : UINT32_MAX;
        uint32_t in = j < t->begin[v + 1] ? t->target[j] : UINT32_MAX;
        uint32_t nearest = out < in ? out : in;
        uint32_t code = (out == nearest ? EXA_DYAD_OUT : 0u) | (in == nearest ? EXA_DYAD_IN : 0u);
        if (into) into[n] = nearest << 2 | code;
        n++;
        i += out == nearest;
        j += in == nearest;
    }
    return n;
}

exa_status exa_dyads_make(const exa_graph *g, exa_dyads *out) {
    exa_graph t = {0};
    exa_dyads d = {.nodes = g->nodes};
    exa_status st;

    EXA_GOTO(done, exa_graph_transpose(g, &t));
    EXA_GOTO(done, exa_calloc((size_t)g->nodes + 1, sizeof *d.begin, "dyads", &d.begin));
    for (uint32_t v = 0; v < g->nodes; v++) d.begin[v + 1] = d.begin[v] + merge_row(g, &t, v, NULL);
    EXA_GOTO(done, exa_alloc(d.begin[g->nodes], sizeof *d.neighbor, "dyads", &d.neighbor));
    for (uint32_t v = 0; v < g->nodes; v++) merge_row(g, &t, v, d.neighbor + d.begin[v]);
    *out = d;
    memset(&d, 0, sizeof d);
done:
    exa_graph_destroy(&t);
    exa_dyads_destroy(&d);
    return st;
}

void exa_dyads_destroy(exa_dyads *d) {
    free(d->begin);
    free(d->neighbor);
    memset(d, 0, sizeof *d);
}
