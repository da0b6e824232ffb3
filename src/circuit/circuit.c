#include "exaconn/circuit.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/core_number.h"
#include "exaconn/log.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const exa_circuit_part_names[EXA_CIRCUIT_PARTS] = {"components", "paths",       "triads",   "rich-club",
                                                               "cores",      "communities", "distance", "nulls"};

exa_circuit_options exa_circuit_defaults(void) {
    return (exa_circuit_options){
        .parts = EXA_CIRCUIT_ALL, .replicas = 100, .swaps = 10, .resolution = 1, .community_runs = 10, .seed = 1};
}

static exa_status analyse_degrees(exa_circuit *c) {
    const exa_graph *g = &c->list->graph;

    EXA_TRY(exa_dyads_make(g, &c->dyads));
    EXA_TRY(exa_degrees_make(g, &c->dyads, &c->degrees));
    exa_reciprocity_of(&c->dyads, &c->reciprocity);
    exa_assortativity_of(g, &c->dyads, &c->degrees, &c->assortativity);
    c->density = exa_density(g);
    return EXA_OK;
}

/* All sources, unless that is more than a person waits for: 64 sources go over every edge some eight times. */
static uint32_t sources_for(const exa_circuit_options *o, const exa_graph *g) {
    double steps = (double)g->nodes / 64 * 8 * (double)g->edges;

    if (o->path_sources_given) return o->path_sources;
    return steps > 1e11 ? 1024 : 0;
}

/* On the largest strong component: its paths, and Varshney's clustering. */
static exa_status analyse_core(exa_circuit *c, exa_pool *pool) {
    exa_path_options options = {.seed = c->options.seed, .share_among_ranks = true};
    exa_graph core = {0};
    exa_status st = exa_components_largest(&c->strong, &c->list->graph, NULL, &core);

    EXA_GOTO(done, exa_comm_agree(st));
    if (c->options.parts & EXA_CIRCUIT_PATHS) {
        options.sources = sources_for(&c->options, &core);
        EXA_GOTO(done, exa_comm_agree(exa_path_lengths_of(&core, &options, pool, &c->paths)));
    }
    if (c->options.parts & EXA_CIRCUIT_TRIADS)
        EXA_GOTO(done, exa_clustering_out_density(&core, &c->out_density_scc));
done:
    exa_graph_destroy(&core);
    return st;
}

static exa_status analyse_triads(exa_circuit *c, exa_pool *pool) {
    uint64_t *triangles = NULL;
    exa_status st;

    EXA_TRY(exa_alloc(c->dyads.nodes, sizeof *triangles, "triangles of nodes", &triangles));
    EXA_GOTO(done, exa_triad_census(&c->dyads, pool, triangles, &c->triads));
    EXA_GOTO(done, exa_alloc(c->dyads.nodes, sizeof(double), "clustering of nodes", &c->node_clustering));
    exa_clustering_of(&c->dyads, triangles, &c->triads, &c->clustering, c->node_clustering);
    st = exa_clustering_out_density(&c->list->graph, &c->out_density);
done:
    free(triangles);
    return st;
}

static exa_status analyse_groups(exa_circuit *c) {
    const exa_graph *g = &c->list->graph;
    uint32_t parts = c->options.parts;

    if (parts & (EXA_CIRCUIT_RICH_CLUB | EXA_CIRCUIT_NULLS)) EXA_TRY(exa_rich_club_of(g, NULL, &c->club));
    if (parts & EXA_CIRCUIT_CORES) {
        EXA_TRY(exa_alloc(g->nodes, sizeof *c->core, "k-cores", &c->core));
        EXA_TRY(exa_core_numbers(&c->dyads, c->core, &c->largest_core));
    }
    if (parts & EXA_CIRCUIT_COMMUNITIES) {
        const exa_community_options options = {c->options.resolution, c->options.community_runs, c->options.seed};
        EXA_TRY(exa_communities_of(g, &options, &c->communities, &c->modularity));
    }
    return EXA_OK;
}

/* An undirected graph has mutual pairs only: the model that keeps them is the one that keeps degrees. */
static bool possible(const exa_circuit *c, uint32_t model) {
    if (model == EXA_NULL_DISTANCE) return c->list->position_nm != NULL;
    return model != EXA_NULL_MUTUAL || !c->list->graph.undirected;
}

static exa_status analyse_nulls(exa_circuit *c, exa_pool *pool) {
    const exa_circuit_options *o = &c->options;
    const exa_null_plan plan = {.null = {o->swaps, o->seed, c->list->position_nm},
                                .replicas = o->replicas,
                                .path_sources = c->list->graph.nodes > 5000 ? 256 : 0,
                                .club = &c->club};

    EXA_TRY(exa_calloc(EXA_NULL_MODELS, sizeof *c->nulls, "null models", &c->nulls));
    for (uint32_t m = 0; m < EXA_NULL_MODELS; m++) {
        if (o->models ? !(o->models >> m & 1) : !possible(c, m)) continue;
        EXA_CHECK(
            possible(c, m) || m == EXA_NULL_DISTANCE, EXA_ERR_CONFIG,
            "the null model 'mutual' has no meaning for an undirected graph. Hint: there 'configuration' keeps "
            "the degrees");
        EXA_INFO("null model %s: %u replicas", exa_null_model_names[m], o->replicas);
        EXA_TRY(exa_null_compare(&c->list->graph, (exa_null_model)m, &plan, pool, &c->nulls[c->null_count]));
        c->null_count++;
    }
    return EXA_OK;
}

static void set_small_world(exa_circuit *c) {
    c->small_world = NAN;
    for (uint32_t i = 0; i < c->null_count; i++) {
        const exa_null_summary *s = c->nulls[i].statistic;
        if (c->nulls[i].model != EXA_NULL_ERDOS_RENYI) continue;
        c->small_world = s[EXA_STATISTIC_TRANSITIVITY].observed / s[EXA_STATISTIC_TRANSITIVITY].mean /
                         (s[EXA_STATISTIC_MEAN_PATH].observed / s[EXA_STATISTIC_MEAN_PATH].mean);
        if (!isfinite(c->small_world)) c->small_world = NAN;
    }
}

/* What every rank does by itself, with the same result. */
static exa_status analyse_alone(exa_circuit *c, exa_pool *pool) {
    EXA_TRY(analyse_degrees(c));
    EXA_TRY(exa_components_weak(&c->list->graph, &c->weak));
    EXA_TRY(exa_components_strong(&c->list->graph, &c->strong));
    if (c->options.parts & EXA_CIRCUIT_TRIADS) EXA_TRY(analyse_triads(c, pool));
    return analyse_groups(c);
}

exa_status exa_circuit_analyse(const exa_edge_list *list, const exa_circuit_options *options, exa_pool *pool,
                               exa_circuit *out) {
    exa_circuit c = {.list = list, .options = *options, .small_world = NAN};
    exa_status st;

    EXA_GOTO(done, exa_comm_agree(analyse_alone(&c, pool)));
    EXA_GOTO(done, exa_comm_agree(analyse_core(&c, pool)));
    c.has_distance = options->parts & EXA_CIRCUIT_DISTANCE && list->position_nm;
    if (c.has_distance) EXA_GOTO(done, exa_distance_profile_of(&list->graph, list->position_nm, pool, &c.distance));
    if (options->parts & EXA_CIRCUIT_NULLS && options->replicas) EXA_GOTO(done, analyse_nulls(&c, pool));
    set_small_world(&c);
    *out = c;
    return EXA_OK;
done:
    exa_circuit_destroy(&c);
    return st;
}

void exa_circuit_destroy(exa_circuit *c) {
    exa_dyads_destroy(&c->dyads);
    exa_degrees_destroy(&c->degrees);
    exa_components_destroy(&c->weak);
    exa_components_destroy(&c->strong);
    exa_components_destroy(&c->communities);
    free(c->node_clustering);
    free(c->core);
    free(c->nulls);
    memset(c, 0, sizeof *c);
}
