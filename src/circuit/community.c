/* A level: move nodes to the neighbouring community that gains most, until none gains; split every community into
 * parts that are well connected (refinement); make each part a node of the next level. */
#include "exaconn/community.h"

#include "exaconn/box.h"
#include "exaconn/philox.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct network {
    uint64_t *begin;
    uint32_t *to;
    double *weight;   /* of both directions together */
    double *strength; /* sum of a node's weights, what is inside it twice */
    double total;     /* of all strengths */
    uint32_t nodes;
} network;

/* What the steps share; sized once for the first, largest level. */
typedef struct workspace {
    double *near;      /* weight from the node at work to each community; zero between uses */
    double *sum, *cut; /* strength of each community or part; weight from a part to the rest of its community */
    double *inside;    /* refinement: strength of each community */
    uint32_t *touched, *queue, *part, *size;
    uint8_t *queued;
    double resolution;
} workspace;

/* ---- networks ------------------------------------------------------------------------------------------------ */

static void network_destroy(network *n) {
    free(n->begin);
    free(n->to);
    free(n->weight);
    free(n->strength);
    memset(n, 0, sizeof *n);
}

static exa_status network_allocate(uint32_t nodes, uint64_t edges, network *n) {
    *n = (network){.nodes = nodes};
    EXA_TRY(exa_calloc((size_t)nodes + 1, sizeof *n->begin, "communities", &n->begin));
    EXA_TRY(exa_alloc(edges, sizeof *n->to, "communities", &n->to));
    EXA_TRY(exa_alloc(edges, sizeof *n->weight, "communities", &n->weight));
    return exa_calloc(nodes, sizeof *n->strength, "communities", &n->strength);
}

/* Merges what leaves a node with what enters it. */
static uint64_t merge_row(const exa_graph *g, const exa_graph *t, uint32_t v, network *n, uint64_t at) {
    uint64_t i = g->begin[v], j = t->begin[v];

    while (i < g->begin[v + 1] || j < t->begin[v + 1]) {
        uint32_t a = i < g->begin[v + 1] ? g->target[i] : UINT32_MAX;
        uint32_t b = j < t->begin[v + 1] ? t->target[j] : UINT32_MAX, w = a < b ? a : b;
        double weight = 0;
        if (a == w) weight += g->weight[i++];
        if (b == w) weight += t->weight[j++];
        n->to[at] = w;
        n->weight[at++] = weight;
        n->strength[v] += weight;
    }
    return at;
}

static exa_status network_of(const exa_graph *g, network *out) {
    exa_graph t = {0};
    network n = {0};
    exa_status st;

    EXA_GOTO(done, exa_graph_transpose(g, &t));
    EXA_GOTO(done, network_allocate(g->nodes, 2 * g->edges, &n));
    for (uint32_t v = 0; v < g->nodes; v++) {
        n.begin[v + 1] = merge_row(g, &t, v, &n, n.begin[v]);
        n.total += n.strength[v];
    }
    *out = n;
    memset(&n, 0, sizeof n);
done:
    exa_graph_destroy(&t);
    network_destroy(&n);
    return st;
}

/* Numbers without gaps, by first occurrence; returns how many. `scratch` has [n]. */
static uint32_t renumber(uint32_t *label, uint32_t n, uint32_t *scratch) {
    uint32_t count = 0;

    memset(scratch, 0xff, n * sizeof *scratch);
    for (uint32_t v = 0; v < n; v++) {
        if (scratch[label[v]] == UINT32_MAX) scratch[label[v]] = count++;
        label[v] = scratch[label[v]];
    }
    return count;
}

/* Every part becomes a node. */
static exa_status contract(const network *n, const uint32_t *part, uint32_t parts, workspace *s, network *out) {
    network c;
    uint32_t *order = s->queue, *first = s->size;
    uint64_t at = 0;
    exa_status st = network_allocate(parts, n->begin[n->nodes], &c);

    if (st != EXA_OK) goto done;
    memset(first, 0, parts * sizeof *first);
    for (uint32_t v = 0; v < n->nodes; v++) first[part[v]]++;
    for (uint32_t p = 0, sum = 0; p < parts; p++) {
        uint32_t size = first[p];
        first[p] = sum;
        sum += size;
    }
    for (uint32_t v = 0; v < n->nodes; v++) order[first[part[v]]++] = v; /* first[p] is then the end of p */
    for (uint32_t p = 0, i = 0; p < parts; p++) {
        uint32_t touched = 0;
        for (; i < first[p]; i++) {
            uint32_t v = order[i];
            c.strength[p] += n->strength[v];
            for (uint64_t e = n->begin[v]; e < n->begin[v + 1]; e++) {
                uint32_t q = part[n->to[e]];
                if (q == p) continue;
                if (s->near[q] == 0) s->touched[touched++] = q;
                s->near[q] += n->weight[e];
            }
        }
        for (uint32_t k = 0; k < touched; k++) {
            c.to[at] = s->touched[k];
            c.weight[at++] = s->near[s->touched[k]];
            s->near[s->touched[k]] = 0;
        }
        c.begin[p + 1] = at;
        c.total += c.strength[p];
    }
    *out = c;
    return EXA_OK;
done:
    network_destroy(&c);
    return st;
}

/* ---- moving -------------------------------------------------------------------------------------------------- */

static uint32_t look_around(const network *n, const uint32_t *community, uint32_t v, workspace *s) {
    uint32_t touched = 0;

    for (uint64_t e = n->begin[v]; e < n->begin[v + 1]; e++) {
        uint32_t c = community[n->to[e]];
        if (s->near[c] == 0) s->touched[touched++] = c;
        s->near[c] += n->weight[e];
    }
    return touched;
}

/* The community that v gains most by, having been taken out of its own; its own unless another is better. */
static uint32_t best_community(const network *n, uint32_t v, uint32_t own, uint32_t touched, workspace *s) {
    double pull = s->resolution * n->strength[v] / n->total, margin = 1e-12 * n->total;
    uint32_t best = own;
    double most = s->near[own] - pull * s->sum[own];

    for (uint32_t k = 0; k < touched; k++) {
        uint32_t c = s->touched[k];
        double gain = s->near[c] - pull * s->sum[c];
        if (gain > most + margin) {
            most = gain;
            best = c;
        }
    }
    for (uint32_t k = 0; k < touched; k++) s->near[s->touched[k]] = 0;
    return best;
}

static void shuffle(uint32_t *order, uint32_t n, uint64_t seed, uint64_t stream) {
    for (uint32_t v = 0; v < n; v++) order[v] = v;
    for (uint32_t i = n; i > 1; i--) {
        uint64_t bits[2];
        exa_philox(seed, stream, i, bits);
        uint32_t j = (uint32_t)exa_philox_below(bits[0], i), kept = order[i - 1];
        order[i - 1] = order[j];
        order[j] = kept;
    }
}

/* The queue is a ring: all nodes in random order, then again those whose surroundings changed. */
static void move_nodes(const network *n, uint32_t *community, workspace *s, uint64_t seed, uint64_t stream) {
    uint32_t head = 0, waiting = n->nodes;

    shuffle(s->queue, n->nodes, seed, stream);
    memset(s->sum, 0, n->nodes * sizeof *s->sum);
    memset(s->queued, 1, n->nodes);
    for (uint32_t v = 0; v < n->nodes; v++) s->sum[community[v]] += n->strength[v];
    while (waiting) {
        uint32_t v = s->queue[head], own = community[v], touched, best;
        head = head + 1 == n->nodes ? 0 : head + 1;
        waiting--;
        s->queued[v] = 0;
        touched = look_around(n, community, v, s);
        s->sum[own] -= n->strength[v];
        best = best_community(n, v, own, touched, s);
        s->sum[best] += n->strength[v];
        if (best == own) continue;
        community[v] = best;
        for (uint64_t e = n->begin[v]; e < n->begin[v + 1]; e++) {
            uint32_t w = n->to[e];
            if (community[w] == best || s->queued[w]) continue;
            s->queue[(uint32_t)(((uint64_t)head + waiting++) % n->nodes)] = w;
            s->queued[w] = 1;
        }
    }
}

/* ---- refinement ---------------------------------------------------------------------------------------------- */

static bool well_connected(const network *n, const workspace *s, uint32_t part, double inside) {
    return s->cut[part] >= s->resolution * s->sum[part] * (inside - s->sum[part]) / n->total;
}

/* v, still alone, joins the part of its community that it gains most by. */
static void join_part(const network *n, const uint32_t *community, uint32_t v, workspace *s) {
    double inside = s->inside[community[v]], most = 0, alone = s->cut[v], with_best = 0;
    uint32_t touched = 0, best = v;

    for (uint64_t e = n->begin[v]; e < n->begin[v + 1]; e++) {
        uint32_t p = s->part[n->to[e]];
        if (community[n->to[e]] != community[v]) continue;
        if (s->near[p] == 0) s->touched[touched++] = p;
        s->near[p] += n->weight[e];
    }
    for (uint32_t k = 0; k < touched; k++) {
        uint32_t p = s->touched[k];
        double gain = s->near[p] - s->resolution * n->strength[v] * s->sum[p] / n->total;
        if (p != v && gain > most && well_connected(n, s, p, inside)) {
            most = gain;
            best = p;
            with_best = s->near[p];
        }
    }
    for (uint32_t k = 0; k < touched; k++) s->near[s->touched[k]] = 0;
    if (best == v) return;
    s->part[v] = best;
    s->size[best]++;
    s->size[v] = 0;
    s->sum[best] += n->strength[v];
    s->sum[v] = 0;
    s->cut[best] += alone - 2 * with_best;
}

static void refine(const network *n, const uint32_t *community, workspace *s, uint64_t seed, uint64_t stream) {
    memset(s->inside, 0, n->nodes * sizeof *s->inside);
    for (uint32_t v = 0; v < n->nodes; v++) {
        s->part[v] = v;
        s->size[v] = 1;
        s->sum[v] = n->strength[v];
        s->cut[v] = 0;
        s->inside[community[v]] += n->strength[v];
        for (uint64_t e = n->begin[v]; e < n->begin[v + 1]; e++)
            if (community[n->to[e]] == community[v]) s->cut[v] += n->weight[e];
    }
    shuffle(s->queue, n->nodes, seed, stream);
    for (uint32_t i = 0; i < n->nodes; i++) {
        uint32_t v = s->queue[i];
        if (s->part[v] == v && s->size[v] == 1 && well_connected(n, s, v, s->inside[community[v]]))
            join_part(n, community, v, s);
    }
}

/* ---- a run --------------------------------------------------------------------------------------------------- */

/* The next level; *map goes from nodes of the graph to nodes of the level. */
static exa_status coarsen(network *n, uint32_t *community, uint32_t communities, uint32_t *map,
                          uint32_t graph_nodes, workspace *s) {
    uint32_t parts = renumber(s->part, n->nodes, s->size);
    network coarse;

    if (parts == n->nodes) { /* nothing could be merged: take the communities themselves */
        memcpy(s->part, community, n->nodes * sizeof *s->part);
        parts = communities;
    }
    EXA_TRY(contract(n, s->part, parts, s, &coarse));
    for (uint32_t v = 0; v < graph_nodes; v++) map[v] = s->part[map[v]];
    for (uint32_t v = 0; v < n->nodes; v++) s->size[s->part[v]] = community[v];
    memcpy(community, s->size, parts * sizeof *community);
    network_destroy(n);
    *n = coarse;
    return EXA_OK;
}

/* From the communities that `label` has to better ones. */
static exa_status improve(const exa_graph *g, uint32_t *label, uint32_t *map, uint32_t *community, workspace *s,
                          uint64_t seed, uint64_t run) {
    network n = {0};
    exa_status st = network_of(g, &n);

    for (uint32_t v = 0; v < g->nodes; v++) map[v] = v;
    memcpy(community, label, g->nodes * sizeof *label);
    for (uint64_t level = 0; st == EXA_OK; level++) {
        uint32_t communities;
        move_nodes(&n, community, s, seed, run << 16 | level << 1);
        communities = renumber(community, n.nodes, s->size);
        if (communities == n.nodes) break;
        refine(&n, community, s, seed, run << 16 | level << 1 | 1);
        st = coarsen(&n, community, communities, map, g->nodes, s);
    }
    for (uint32_t v = 0; v < g->nodes; v++) label[v] = community[map[v]];
    network_destroy(&n);
    return st;
}

static exa_status make_workspace(uint32_t n, workspace *s) {
    EXA_TRY(exa_calloc(n, sizeof *s->near, "communities", &s->near));
    EXA_TRY(exa_alloc(n, sizeof *s->sum, "communities", &s->sum));
    EXA_TRY(exa_alloc(n, sizeof *s->cut, "communities", &s->cut));
    EXA_TRY(exa_alloc(n, sizeof *s->inside, "communities", &s->inside));
    EXA_TRY(exa_alloc(n, sizeof *s->touched, "communities", &s->touched));
    EXA_TRY(exa_alloc(n, sizeof *s->queue, "communities", &s->queue));
    EXA_TRY(exa_alloc(n, sizeof *s->part, "communities", &s->part));
    EXA_TRY(exa_alloc(n, sizeof *s->size, "communities", &s->size));
    return exa_alloc(n, 1, "communities", &s->queued);
}

static void end_workspace(workspace *s) {
    free(s->near);
    free(s->sum);
    free(s->cut);
    free(s->inside);
    free(s->touched);
    free(s->queue);
    free(s->part);
    free(s->size);
    free(s->queued);
}

double exa_modularity(const exa_graph *g, const uint32_t *community, double resolution) {
    double *ends = NULL, total = 0, inside = 0, squares = 0;

    if (exa_calloc(g->nodes, sizeof *ends, "modularity", &ends) != EXA_OK) return NAN;
    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            uint32_t w = g->target[i];
            total += 2 * g->weight[i];
            ends[community[v]] += g->weight[i];
            ends[community[w]] += g->weight[i];
            if (community[v] == community[w]) inside += 2 * g->weight[i];
        }
    }
    for (uint32_t c = 0; c < g->nodes; c++) squares += (ends[c] / total) * (ends[c] / total);
    free(ends);
    return total > 0 ? inside / total - resolution * squares : NAN;
}

/* One run: improved again from its own result as long as that gains. */
static exa_status run_once(const exa_graph *g, const exa_community_options *o, uint32_t run, workspace *s,
                           uint32_t *label[3], double *modularity) {
    double before;

    for (uint32_t v = 0; v < g->nodes; v++) label[0][v] = v;
    *modularity = exa_modularity(g, label[0], o->resolution);
    for (uint64_t again = 0; again < 10; again++) {
        before = *modularity;
        EXA_TRY(improve(g, label[0], label[1], label[2], s, o->seed, (uint64_t)run * 16 + again));
        *modularity = exa_modularity(g, label[0], o->resolution);
        if (!(*modularity > before + 1e-9)) break;
    }
    return EXA_OK;
}

exa_status exa_communities_of(const exa_graph *g, const exa_community_options *o, exa_components *out,
                              double *modularity) {
    uint32_t *label[3] = {NULL, NULL, NULL}, *best = NULL;
    workspace s = {.resolution = o->resolution};
    double most = NAN;
    exa_status st;

    EXA_GOTO(done, make_workspace(g->nodes, &s));
    for (int i = 0; i < 3; i++) EXA_GOTO(done, exa_alloc(g->nodes, sizeof *best, "communities", &label[i]));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *best, "communities", &best));
    for (uint32_t v = 0; v < g->nodes; v++) best[v] = v;
    for (uint32_t run = 0; g->edges && run < o->runs; run++) {
        double q;
        EXA_GOTO(done, run_once(g, o, run, &s, label, &q));
        if (run && !(q > most)) continue;
        most = q;
        memcpy(best, label[0], g->nodes * sizeof *best);
    }
    renumber(best, g->nodes, s.size);
    EXA_GOTO(done, exa_components_number(best, g->nodes, out));
    best = NULL;
    *modularity = most;
done:
    for (int i = 0; i < 3; i++) free(label[i]);
    free(best);
    end_workspace(&s);
    return st;
}
