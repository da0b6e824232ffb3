/* The analysis as CSV files and circuit.json. */
#include "exaconn/circuit_report.h"

#include "exaconn/file.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_value(exa_json_text *t, double value) {
    exa_json_text_add(t, ",");
    if (isfinite(value)) {
        exa_json_text_add_real(t, value);
    } else {
        exa_json_text_add(t, "NA");
    }
}

static exa_status write_text(const char *folder, const char *name, exa_json_text *t) {
    char path[EXA_PATH_BYTES], *text = NULL;
    exa_status st;

    EXA_TRY(exa_json_text_take(t, &text));
    st = exa_path_join(path, folder, name);
    if (st == EXA_OK) st = exa_file_write_atomic(path, text, strlen(text));
    free(text);
    return st;
}

/* Names with a comma or a quote stand in quotes. */
static void add_name(exa_json_text *t, const char *name) {
    if (!strpbrk(name, ",\"\n")) {
        exa_json_text_add(t, "%s", name);
        return;
    }
    exa_json_text_add(t, "\"");
    for (; *name; name++) exa_json_text_add(t, "%s%c", *name == '"' ? "\"" : "", *name);
    exa_json_text_add(t, "\"");
}

static exa_status write_nodes(const exa_circuit *c, const char *folder) {
    const exa_degrees *d = &c->degrees;
    exa_json_text t = {0};

    exa_json_text_add(
        &t, "id,in_degree,out_degree,neighbors,in_weight,out_weight,weak_component,strong_component%s%s%s\n",
        c->core ? ",core" : "", c->communities.of ? ",community" : "", c->node_clustering ? ",clustering" : "");
    for (uint32_t v = 0; v < d->nodes; v++) {
        add_name(&t, exa_name_table_name(&c->list->names, v));
        exa_json_text_add(&t, ",%u,%u,%u", d->in[v], d->out[v], d->neighbors[v]);
        add_value(&t, d->in_weight[v]);
        add_value(&t, d->out_weight[v]);
        exa_json_text_add(&t, ",%u,%u", c->weak.of[v], c->strong.of[v]);
        if (c->core) exa_json_text_add(&t, ",%u", c->core[v]);
        if (c->communities.of) exa_json_text_add(&t, ",%u", c->communities.of[v]);
        if (c->node_clustering) add_value(&t, c->node_clustering[v]);
        exa_json_text_add(&t, "\n");
    }
    return write_text(folder, "nodes.csv", &t);
}

static exa_status write_triads(const exa_circuit *c, const char *folder) {
    exa_json_text t = {0};
    char text[EXA_U128_BYTES];

    exa_json_text_add(&t, "triad,count\n");
    for (int i = 0; i < EXA_TRIAD_TYPES; i++)
        exa_json_text_add(&t, "%s,%s\n", exa_triad_names[i], exa_u128_text(c->triads.count[i], text));
    return write_text(folder, "triads.csv", &t);
}

static exa_status write_nulls(const exa_circuit *c, const char *folder) {
    exa_json_text t = {0};
    char name[32];

    exa_json_text_add(&t, "model,statistic,observed,mean,sd,z,p,replicas\n");
    for (uint32_t m = 0; m < c->null_count; m++) {
        for (int i = 0; i < EXA_STATISTIC_RICH_CLUB + (int)c->club.count; i++) {
            const exa_null_summary *s = &c->nulls[m].statistic[i];
            exa_json_text_add(&t, "%s,%s", exa_null_model_names[c->nulls[m].model],
                              exa_statistic_name(i, &c->club, name));
            add_value(&t, s->observed);
            add_value(&t, s->mean);
            add_value(&t, s->sd);
            add_value(&t, s->z);
            add_value(&t, s->p);
            exa_json_text_add(&t, ",%u\n", s->replicas);
        }
    }
    return write_text(folder, "null_models.csv", &t);
}

static exa_status write_club(const exa_circuit *c, const char *folder) {
    exa_json_text t = {0};

    exa_json_text_add(&t, "degree_above,nodes,connections,density\n");
    for (uint32_t i = 0; i < c->club.count; i++) {
        exa_json_text_add(&t, "%u,%u,%" PRIu64, c->club.degree[i], c->club.nodes[i], c->club.edges[i]);
        add_value(&t, exa_rich_club_density(&c->club, i));
        exa_json_text_add(&t, "\n");
    }
    return write_text(folder, "rich_club.csv", &t);
}

static exa_status write_distance(const exa_circuit *c, const char *folder) {
    const exa_distance_profile *d = &c->distance;
    exa_json_text t = {0};

    exa_json_text_add(&t, "from_nm,to_nm,pairs,connected,mean_weight,sd_weight\n");
    for (uint32_t b = 0; b < d->bins; b++) {
        exa_json_text_add_real(&t, b * d->width_nm);
        add_value(&t, (b + 1) * d->width_nm);
        exa_json_text_add(&t, ",%" PRIu64 ",%" PRIu64, d->pairs[b], d->connected[b]);
        add_value(&t, d->weight[b]);
        add_value(&t, d->weight_sd[b]);
        exa_json_text_add(&t, "\n");
    }
    return write_text(folder, "distance.csv", &t);
}

/* Who connects to whom, community by community. */
static exa_status write_communities(const exa_circuit *c, const char *folder) {
    const exa_graph *g = &c->list->graph;
    size_t n = c->communities.count;
    exa_json_text t = {0};
    struct {
        uint64_t edges;
        double weight;
    } *sums = NULL;

    if (n * n > 4000000) return EXA_OK; /* nothing one would look at; nodes.csv has the communities */
    sums = calloc(n * n + 1, sizeof *sums);
    EXA_CHECK(sums, EXA_ERR_MEMORY, "cannot allocate the connections of communities");
    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            size_t k = c->communities.of[v] * n + c->communities.of[g->target[i]];
            sums[k].edges++;
            sums[k].weight += g->weight[i];
        }
    }
    exa_json_text_add(&t, "pre_community,post_community,connections,weight\n");
    for (size_t k = 0; k < n * n; k++) {
        if (!sums[k].edges) continue;
        exa_json_text_add(&t, "%zu,%zu,%" PRIu64, k / n, k % n, sums[k].edges);
        add_value(&t, sums[k].weight);
        exa_json_text_add(&t, "\n");
    }
    free(sums);
    return write_text(folder, "communities.csv", &t);
}

exa_status exa_circuit_clear(const char *folder) {
    /* circuit.json first: without it the rest is no whole report */
    static const char *const names[] = {"circuit.json",    "nodes.csv",    "triads.csv",     "null_models.csv",
                                        "rich_club.csv",   "distance.csv", "degrees.svg",    "triads.svg",
                                        "communities.csv", "distance.svg", "communities.svg"};
    char path[EXA_PATH_BYTES];

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        EXA_TRY(exa_path_join(path, folder, names[i]));
        EXA_CHECK(remove(path) == 0 || errno == ENOENT, EXA_ERR_IO, "cannot remove '%s': %s", path,
                  strerror(errno));
    }
    return EXA_OK;
}

exa_status exa_circuit_write_tables(const exa_circuit *c, const exa_circuit_source *source, const char *folder) {
    uint32_t parts = c->options.parts;
    exa_json_text t = {0};

    EXA_TRY(write_nodes(c, folder));
    if (parts & EXA_CIRCUIT_TRIADS) EXA_TRY(write_triads(c, folder));
    if (c->null_count) EXA_TRY(write_nulls(c, folder));
    if (parts & EXA_CIRCUIT_RICH_CLUB) EXA_TRY(write_club(c, folder));
    if (c->has_distance) EXA_TRY(write_distance(c, folder));
    if (parts & EXA_CIRCUIT_COMMUNITIES) EXA_TRY(write_communities(c, folder));
    exa_circuit_print_json(c, source, &t);
    return write_text(folder, "circuit.json", &t);
}
