/* Text for people. Every number has its definition beside it, as the same word means different things in different
 * programs. */
#include "exaconn/circuit_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define U64(x) ((unsigned long long)(x))

/* "12.3457", or NA. */
static const char *real(double x, char out[32]) {
    if (isnan(x)) return "NA";
    snprintf(out, 32, "%.6g", x);
    return out;
}

static void line(exa_json_text *t, const char *name, double value, const char *definition) {
    char text[32];
    exa_json_text_add(t, "  %-28s %-12s %s\n", name, real(value, text), definition);
}

static void print_source(const exa_circuit *c, const exa_circuit_source *s, exa_json_text *t) {
    const exa_edge_list_counts *n = &c->list->counts;
    const exa_graph *g = &c->list->graph;

    exa_json_text_add(t, "Edge list%s\n", s->count == 1 ? "" : "s");
    for (int i = 0; i < s->count; i++) exa_json_text_add(t, "  %s\n", s->paths[i]);
    exa_json_text_add(t, "  columns: %s%s\n", c->list->columns, g->undirected ? "; undirected" : "");
    exa_json_text_add(t, "  %llu rows", U64(n->rows));
    if (n->filtered) exa_json_text_add(t, ", %llu left out by --where", U64(n->filtered));
    if (n->zero) exa_json_text_add(t, ", %llu of weight 0", U64(n->zero));
    if (n->repeated) exa_json_text_add(t, ", %llu repeat a pair and were added to it", U64(n->repeated));
    if (n->unknown)
        exa_json_text_add(t, ", %llu with unknown ids (first: %s)", U64(n->unknown), c->list->unknown_first);
    exa_json_text_add(t, "\n");
    if (n->self)
        exa_json_text_add(t, "  %llu nodes connect to themselves (weight %.15g): left out of all that follows\n",
                          U64(n->self), n->self_weight);
    if (n->light)
        exa_json_text_add(t, "  %llu connections are lighter than %.15g: left out\n", U64(n->light),
                          s->options->min_weight);
    if (n->one_sided) exa_json_text_add(t, "  %llu pairs stand in one direction only\n", U64(n->one_sided));
    if (n->unequal) exa_json_text_add(t, "  %llu pairs have two weights: the larger one counts\n", U64(n->unequal));
}

static void print_shares(const exa_circuit *c, const exa_circuit_source *s, exa_json_text *t) {
    double sum = 0;

    for (int i = 0; i < s->options->share_count; i++) sum += c->list->share_sum[i];
    if (sum == 0) sum = 1; /* shares of nothing are 0 */
    for (int i = 0; i < s->options->share_count; i++)
        exa_json_text_add(t, "  column %-20s %.15g, %.1f %% of these columns (self-connections included)\n",
                          s->options->shares[i], c->list->share_sum[i], 100 * c->list->share_sum[i] / sum);
}

static void print_degrees(const exa_circuit *c, const exa_circuit_source *s, exa_json_text *t) {
    const exa_graph *g = &c->list->graph;
    const exa_edge_list_counts *n = &c->list->counts;
    uint64_t edges = g->undirected ? g->edges / 2 : g->edges;

    exa_json_text_add(t, "\nNodes and connections\n");
    exa_json_text_add(t, "  %-28s %-12u all of %s; %llu without any connection are counted\n", "nodes", g->nodes,
                      s->options->nodes ? s->options->nodes : "the edge lists", U64(n->isolated));
    exa_json_text_add(t, "  %-28s %-12llu %s, self-connections left out\n", "connections", U64(edges),
                      g->undirected ? "unordered pairs" : "ordered pairs");
    exa_json_text_add(t, "  %-28s %-12.15g sum over connections; %.15g with self-connections\n", "weight",
                      n->weight, n->weight + n->self_weight);
    print_shares(c, s, t);
    line(t, "density", c->density, "connections / (n (n - 1))");
    line(t, "mean degree", (double)g->edges / g->nodes, g->undirected ? "neighbours" : "in = out, over all nodes");
    if (g->undirected) return;
    exa_json_text_add(t, "  %-28s M = %llu mutual, A = %llu asymmetric\n", "connected pairs",
                      U64(c->reciprocity.mutual), U64(c->reciprocity.asymmetric));
    line(t, "reciprocity, connections", c->reciprocity.edges, "2M / (2M + A)");
    line(t, "reciprocity, pairs", c->reciprocity.dyads, "M / (M + A)");
}

static void print_assortativity(const exa_circuit *c, exa_json_text *t) {
    const exa_assortativity *a = &c->assortativity;

    exa_json_text_add(t, "\nAssortativity: correlation over connections of two degrees\n");
    line(t, "neighbours", a->neighbors, "over connected pairs, directions ignored");
    if (c->list->graph.undirected) return;
    line(t, "out, in", a->out_in, "out-degree of the presynaptic, in-degree of the postsynaptic node");
    line(t, "out, out", a->out_out, "");
    line(t, "in, in", a->in_in, "");
    line(t, "in, out", a->in_out, "");
}

static void print_components(const exa_circuit *c, exa_json_text *t) {
    exa_json_text_add(t, "\nComponents\n");
    exa_json_text_add(t, "  %-28s %u, the largest of %u nodes\n", "weak (directions ignored)", c->weak.count,
                      c->weak.count ? c->weak.size[0] : 0);
    exa_json_text_add(t, "  %-28s %u, the largest of %u nodes\n", "strong (there and back)", c->strong.count,
                      c->strong.count ? c->strong.size[0] : 0);
}

static void print_paths(const exa_circuit *c, exa_json_text *t) {
    const exa_path_lengths *p = &c->paths;
    char mean[32], low[32], high[32];

    exa_json_text_add(t, "\nShortest paths, among the %u nodes of the largest strong component, in connections\n",
                      c->strong.count ? c->strong.size[0] : 0);
    if (p->sampled) {
        exa_json_text_add(t, "  %-28s %s, 95 %% confidence %s to %s, from %u random sources\n", "mean",
                          real(p->mean, mean), real(p->low, low), real(p->high, high), p->sources);
    } else {
        exa_json_text_add(t, "  %-28s %-12s exact, over %llu ordered pairs\n", "mean (characteristic)",
                          real(p->mean, mean), U64(p->pairs));
    }
    exa_json_text_add(t, "  %-28s %u%s\n", "longest", p->longest, p->sampled ? " seen" : " (diameter)");
}

static void print_clustering(const exa_circuit *c, exa_json_text *t) {
    const exa_clustering *k = &c->clustering;
    char text[100];

    exa_json_text_add(t, "\nClustering, by definition\n");
    line(t, "transitivity", k->transitivity, "3 triangles / paths of two connections, directions ignored");
    line(t, "local, zeros", k->local,
         "mean over all nodes of 2 T / (k (k - 1)), 0 where k < 2, directions ignored");
    snprintf(text, sizeof text, "the same over the %u nodes with k >= 2", k->defined);
    line(t, "local, defined", k->local_defined, text);
    snprintf(text, sizeof text, "links among out-neighbours, mean over the %u nodes of the largest SCC",
             c->strong.count ? c->strong.size[0] : 0);
    line(t, "out-neighbours, SCC", c->out_density_scc, text);
    line(t, "out-neighbours, all", c->out_density, "the same over all nodes");
}

static void print_triads(const exa_circuit *c, exa_json_text *t) {
    char text[EXA_U128_BYTES];

    exa_json_text_add(t, "\nTriads: all sets of three nodes, by mutual, asymmetric and null pairs\n");
    for (int i = 0; i < EXA_TRIAD_TYPES; i++)
        exa_json_text_add(t, "  %-5s %24s%s", exa_triad_names[i], exa_u128_text(c->triads.count[i], text),
                          i % 2 ? "\n" : "   ");
}

static void print_groups(const exa_circuit *c, exa_json_text *t) {
    uint32_t parts = c->options.parts;

    exa_json_text_add(t, "\nGroups\n");
    if (parts & EXA_CIRCUIT_CORES)
        exa_json_text_add(t, "  %-28s %u            largest k whose k-core is not empty, directions ignored\n",
                          "k-core", c->largest_core);
    if (!(parts & EXA_CIRCUIT_COMMUNITIES)) return;
    exa_json_text_add(t, "  %-28s %u, the largest of %u nodes (Leiden, weights of both directions summed)\n",
                      "communities", c->communities.count, c->communities.size[0]);
    line(t, "modularity", c->modularity, "of these, undirected and weighted");
}

static void print_distance(const exa_circuit *c, exa_json_text *t) {
    const exa_distance_profile *d = &c->distance;
    char length[32];

    exa_json_text_add(t, "\nDistance: chance and mean weight of a connection\n");
    line(t, "mean length, um", d->mean_nm / 1000, "over connections");
    exa_json_text_add(t, "  %-28s %-12s P(d) = P0 exp(-d / lambda), fitted to ln P\n", "lambda, um",
                      real(d->length_nm / 1000, length));
    for (uint32_t b = 0; b < d->bins; b++) {
        if (!d->pairs[b]) continue;
        exa_json_text_add(t, "  %9.3f - %-9.3f um   P %-12.4g weight %s\n", b * d->width_nm / 1000,
                          (b + 1) * d->width_nm / 1000, (double)d->connected[b] / (double)d->pairs[b],
                          real(d->weight[b], length));
    }
}

/* ---- null models --------------------------------------------------------------------------------------------- */

static void print_null_line(const exa_null_summary *s, const char *name, exa_json_text *t) {
    char mean[32], sd[32], z[32], p[32], own[32];

    snprintf(own, sizeof own, isnan(s->observed) ? "NA" : fabs(s->observed) >= 1e5 ? "%.11g" : "%.6g", s->observed);
    exa_json_text_add(t, "  %-24s %12s %12s %11s %10s %9s\n", name, own, real(s->mean, mean), real(s->sd, sd),
                      isnan(s->z) ? "NA" : (snprintf(z, sizeof z, "%.2f", s->z), z),
                      isnan(s->p) ? "NA" : (snprintf(p, sizeof p, "%.4f", s->p), p));
}

/* Of the rich club the strongest member alone: null_models.csv has all. */
static void print_null(const exa_circuit *c, const exa_null_result *n, exa_json_text *t) {
    char name[32];
    int best = -1;

    exa_json_text_add(t, "\nNull model %s: keeps %s; %u replicas, seed %llu", exa_null_model_names[n->model],
                      c->list->graph.undirected && n->model != EXA_NULL_ERDOS_RENYI
                          ? "the degree of every node"
                          : exa_null_model_keeps[n->model],
                      c->options.replicas, U64(c->options.seed));
    if (n->model != EXA_NULL_ERDOS_RENYI) exa_json_text_add(t, ", %.2f swaps a connection", n->swaps_per_edge);
    exa_json_text_add(t, "\n  %-24s %12s %12s %11s %10s %9s\n", "", "observed", "mean", "sd", "z", "p");
    for (int i = 0; i < EXA_STATISTIC_RICH_CLUB; i++)
        print_null_line(&n->statistic[i], exa_statistic_name(i, &c->club, name), t);
    for (uint32_t i = 0; i < c->club.count; i++) {
        const exa_null_summary *s = &n->statistic[EXA_STATISTIC_RICH_CLUB + i];
        if (!isnan(s->z) && (best < 0 || s->z > n->statistic[best].z)) best = EXA_STATISTIC_RICH_CLUB + (int)i;
    }
    if (best >= 0) print_null_line(&n->statistic[best], exa_statistic_name(best, &c->club, name), t);
}

void exa_circuit_print(const exa_circuit *c, const exa_circuit_source *source, exa_json_text *t) {
    uint32_t parts = c->options.parts;

    print_source(c, source, t);
    print_degrees(c, source, t);
    print_assortativity(c, t);
    if (parts & EXA_CIRCUIT_COMPONENTS) print_components(c, t);
    if (parts & EXA_CIRCUIT_PATHS) print_paths(c, t);
    if (parts & EXA_CIRCUIT_TRIADS) print_clustering(c, t);
    if (parts & EXA_CIRCUIT_TRIADS) print_triads(c, t);
    if (parts & (EXA_CIRCUIT_CORES | EXA_CIRCUIT_COMMUNITIES)) print_groups(c, t);
    if (c->has_distance) print_distance(c, t);
    for (uint32_t i = 0; i < c->null_count; i++) print_null(c, &c->nulls[i], t);
    if (!isnan(c->small_world)) {
        exa_json_text_add(t, "\n");
        line(t, "small-world index", c->small_world, "(transitivity / Erdos-Renyi mean) / (mean path / the same)");
    }
}
