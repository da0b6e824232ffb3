/* The analysis as one JSON object. */
#include "exaconn/circuit_report.h"

#include <inttypes.h>
#include <math.h>

static void add(exa_json_text *t, const char *name, double value) {
    exa_json_text_add(t, "\"%s\": ", name);
    if (isfinite(value)) {
        exa_json_text_add_real(t, value);
    } else {
        exa_json_text_add(t, "null");
    }
}

static void add_count(exa_json_text *t, const char *name, uint64_t value) {
    exa_json_text_add(t, "\"%s\": %" PRIu64, name, value);
}

static void next(exa_json_text *t, const char *indent) {
    exa_json_text_add(t, ",\n%s", indent);
}

static void add_source(const exa_circuit *c, const exa_circuit_source *s, exa_json_text *t) {
    const exa_edge_list_counts *n = &c->list->counts;
    const struct {
        const char *name;
        uint64_t value;
    } counts[] = {{"rows", n->rows},
                  {"rows_filtered", n->filtered},
                  {"rows_of_weight_0", n->zero},
                  {"rows_repeated", n->repeated},
                  {"rows_unknown_id", n->unknown},
                  {"self_connections", n->self},
                  {"connections_too_light", n->light},
                  {"pairs_one_sided", n->one_sided},
                  {"pairs_unequal", n->unequal}};

    exa_json_text_add(t, "  \"source\": {\"files\": [");
    for (int i = 0; i < s->count; i++) {
        if (i) exa_json_text_add(t, ", ");
        exa_json_text_add_string(t, s->paths[i]);
    }
    exa_json_text_add(t, "], \"columns\": ");
    exa_json_text_add_string(t, c->list->columns);
    exa_json_text_add(t, ", \"undirected\": %s,\n    ", c->list->graph.undirected ? "true" : "false");
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        add_count(t, counts[i].name, counts[i].value);
        exa_json_text_add(t, ", ");
    }
    add(t, "self_weight", n->self_weight);
    for (int i = 0; i < s->options->share_count; i++) {
        exa_json_text_add(t, i ? ", " : ", \"shares\": {");
        exa_json_text_add_string(t, s->options->shares[i]);
        exa_json_text_add(t, ": ");
        exa_json_text_add_real(t, c->list->share_sum[i]);
    }
    exa_json_text_add(t, s->options->share_count ? "}},\n" : "},\n");
}

static void add_graph(const exa_circuit *c, const exa_circuit_source *s, exa_json_text *t) {
    const exa_graph *g = &c->list->graph;
    const exa_assortativity *a = &c->assortativity;

    exa_json_text_add(t, "  \"node_set\": ");
    exa_json_text_add_string(t, s->options->nodes ? s->options->nodes : "all nodes of the edge lists");
    next(t, "  ");
    add_count(t, "nodes", g->nodes);
    next(t, "  ");
    add_count(t, "isolated_nodes", c->list->counts.isolated);
    next(t, "  ");
    add_count(t, "connections", g->undirected ? g->edges / 2 : g->edges);
    next(t, "  ");
    add(t, "weight", c->list->counts.weight);
    next(t, "  ");
    add(t, "density", c->density);
    next(t, "  ");
    exa_json_text_add(t, "\"reciprocity\": {");
    add_count(t, "mutual_pairs", c->reciprocity.mutual);
    exa_json_text_add(t, ", ");
    add_count(t, "asymmetric_pairs", c->reciprocity.asymmetric);
    exa_json_text_add(t, ", ");
    add(t, "edges_2M_over_2M_plus_A", c->reciprocity.edges);
    exa_json_text_add(t, ", ");
    add(t, "pairs_M_over_M_plus_A", c->reciprocity.dyads);
    exa_json_text_add(t, "},\n  \"assortativity\": {");
    add(t, "neighbors", a->neighbors);
    exa_json_text_add(t, ", ");
    add(t, "out_in", a->out_in);
    exa_json_text_add(t, ", ");
    add(t, "out_out", a->out_out);
    exa_json_text_add(t, ", ");
    add(t, "in_in", a->in_in);
    exa_json_text_add(t, ", ");
    add(t, "in_out", a->in_out);
    exa_json_text_add(t, "}");
}

static void add_components(const exa_circuit *c, exa_json_text *t) {
    const exa_path_lengths *p = &c->paths;

    exa_json_text_add(
        t, ",\n  \"components\": {\"weak\": %u, \"largest_weak\": %u, \"strong\": %u, \"largest_strong\": %u}",
        c->weak.count, c->weak.count ? c->weak.size[0] : 0, c->strong.count,
        c->strong.count ? c->strong.size[0] : 0);
    if (!(c->options.parts & EXA_CIRCUIT_PATHS)) return;
    exa_json_text_add(
        t, ",\n  \"paths\": {\"node_set\": \"largest strong component\", \"exact\": %s, \"sources\": %u, ",
        p->sampled ? "false" : "true", p->sources);
    add(t, "mean", p->mean);
    exa_json_text_add(t, ", ");
    add(t, "low_95", p->low);
    exa_json_text_add(t, ", ");
    add(t, "high_95", p->high);
    exa_json_text_add(t, ", \"longest\": %u, ", p->longest);
    add_count(t, "pairs", p->pairs);
    exa_json_text_add(t, ", \"pairs_by_steps\": [");
    for (uint32_t i = 0; i <= p->longest && i < EXA_PATH_BINS; i++)
        exa_json_text_add(t, "%s%" PRIu64, i ? ", " : "", p->bins[i]);
    exa_json_text_add(t, "]}");
}

static void add_triads(const exa_circuit *c, exa_json_text *t) {
    char text[EXA_U128_BYTES];

    exa_json_text_add(t, ",\n  \"clustering\": {");
    add(t, "transitivity", c->clustering.transitivity);
    exa_json_text_add(t, ", ");
    add(t, "local_zeros", c->clustering.local);
    exa_json_text_add(t, ", ");
    add(t, "local_defined", c->clustering.local_defined);
    exa_json_text_add(t, ", \"local_defined_nodes\": %u, ", c->clustering.defined);
    add(t, "out_neighbors_scc", c->out_density_scc);
    exa_json_text_add(t, ", ");
    add(t, "out_neighbors_all", c->out_density);
    exa_json_text_add(t, "},\n  \"triangles\": %" PRIu64 ",\n  \"triads\": {", c->triads.triangles);
    for (int i = 0; i < EXA_TRIAD_TYPES; i++) {
        exa_u128 n = c->triads.count[i];
        const char *quote = n >> 53 ? "\"" : "";
        exa_json_text_add(t, "%s\"%s\": %s%s%s", i ? ", " : "", exa_triad_names[i], quote, exa_u128_text(n, text),
                          quote);
    }
    exa_json_text_add(t, "}");
}

static void add_groups(const exa_circuit *c, exa_json_text *t) {
    uint32_t parts = c->options.parts;

    if (parts & EXA_CIRCUIT_CORES) exa_json_text_add(t, ",\n  \"largest_core\": %u", c->largest_core);
    if (parts & EXA_CIRCUIT_COMMUNITIES) {
        exa_json_text_add(t, ",\n  \"communities\": {\"method\": \"Leiden\", \"count\": %u, \"largest\": %u, ",
                          c->communities.count, c->communities.count ? c->communities.size[0] : 0);
        add(t, "resolution", c->options.resolution);
        exa_json_text_add(t, ", ");
        add(t, "modularity", c->modularity);
        exa_json_text_add(t, "}");
    }
    if (!(parts & EXA_CIRCUIT_RICH_CLUB)) return;
    exa_json_text_add(t, ",\n  \"rich_club\": [");
    for (uint32_t i = 0; i < c->club.count; i++) {
        exa_json_text_add(t, "%s{\"degree_above\": %u, \"nodes\": %u, \"connections\": %" PRIu64 ", ",
                          i ? ", " : "", c->club.degree[i], c->club.nodes[i], c->club.edges[i]);
        add(t, "density", exa_rich_club_density(&c->club, i));
        exa_json_text_add(t, "}");
    }
    exa_json_text_add(t, "]");
}

static void add_distance(const exa_circuit *c, exa_json_text *t) {
    const exa_distance_profile *d = &c->distance;

    exa_json_text_add(t, ",\n  \"distance\": {");
    add(t, "mean_nm", d->mean_nm);
    exa_json_text_add(t, ", ");
    add(t, "lambda_nm", d->length_nm);
    exa_json_text_add(t, ", ");
    add(t, "bin_nm", d->width_nm);
    exa_json_text_add(t, ", \"bins\": [");
    for (uint32_t b = 0; b < d->bins; b++) {
        exa_json_text_add(t, "%s{\"pairs\": %" PRIu64 ", \"connected\": %" PRIu64 ", ", b ? ", " : "", d->pairs[b],
                          d->connected[b]);
        add(t, "mean_weight", d->weight[b]);
        exa_json_text_add(t, "}");
    }
    exa_json_text_add(t, "]}");
}

static void add_null(const exa_circuit *c, const exa_null_result *n, exa_json_text *t) {
    char name[32];

    exa_json_text_add(t, "    {\"model\": \"%s\", \"replicas\": %u, \"seed\": %" PRIu64 ", ",
                      exa_null_model_names[n->model], c->options.replicas, c->options.seed);
    add(t, "swaps_per_connection", n->swaps_per_edge);
    for (int i = 0; i < EXA_STATISTIC_RICH_CLUB + (int)c->club.count; i++) {
        const exa_null_summary *s = &n->statistic[i];
        exa_json_text_add(t, ",\n     \"%s\": {", exa_statistic_name(i, &c->club, name));
        add(t, "observed", s->observed);
        exa_json_text_add(t, ", ");
        add(t, "mean", s->mean);
        exa_json_text_add(t, ", ");
        add(t, "sd", s->sd);
        exa_json_text_add(t, ", ");
        add(t, "z", s->z);
        exa_json_text_add(t, ", ");
        add(t, "p", s->p);
        exa_json_text_add(t, ", \"replicas\": %u}", s->replicas);
    }
    exa_json_text_add(t, "}");
}

void exa_circuit_print_json(const exa_circuit *c, const exa_circuit_source *source, exa_json_text *t) {
    uint32_t parts = c->options.parts;

    exa_json_text_add(t, "{\n");
    add_source(c, source, t);
    add_graph(c, source, t);
    if (parts & EXA_CIRCUIT_COMPONENTS) add_components(c, t);
    if (parts & EXA_CIRCUIT_TRIADS) add_triads(c, t);
    add_groups(c, t);
    if (c->has_distance) add_distance(c, t);
    if (c->null_count) {
        exa_json_text_add(t, ",\n  ");
        add(t, "small_world_index", c->small_world);
        exa_json_text_add(t, ",\n  \"null_models\": [\n");
        for (uint32_t i = 0; i < c->null_count; i++) {
            if (i) exa_json_text_add(t, ",\n");
            add_null(c, &c->nulls[i], t);
        }
        exa_json_text_add(t, "]");
    }
    exa_json_text_add(t, "\n}\n");
}
