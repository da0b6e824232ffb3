/* The numbers of all replicas form a table; each rank fills its rows and leaves zeros elsewhere, and as a double's
 * bits plus zero are the double's bits, one integer sum gives everybody the whole table. */
#include "exaconn/null_statistics.h"

#include "exaconn/box.h"
#include "exaconn/clustering.h"
#include "exaconn/comm.h"
#include "exaconn/component.h"
#include "exaconn/degree.h"
#include "exaconn/path_length.h"
#include "exaconn/reduce.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *exa_statistic_name(int statistic, const exa_rich_club *club, char out[32]) {
    static const char *const names[] = {
        "mutual_pairs", "reciprocity", "transitivity",         "local_clustering",
        "mean_path",    "largest_scc", "assortativity_out_in", "assortativity_neighbors"};

    if (statistic < EXA_TRIAD_TYPES) {
        snprintf(out, 32, "triad_%s", exa_triad_names[statistic]);
        return out;
    }
    if (statistic < EXA_STATISTIC_RICH_CLUB) return names[statistic - EXA_TRIAD_TYPES];
    snprintf(out, 32, "rich_club_%u", club->degree[statistic - EXA_STATISTIC_RICH_CLUB]);
    return out;
}

/* ---- the numbers of one graph -------------------------------------------------------------------------------- */

static exa_status path_numbers(const exa_graph *g, const exa_null_plan *plan, double *row) {
    const exa_path_options options = {.sources = plan->path_sources, .seed = plan->null.seed, .stream = 1};
    exa_components strong = {0};
    exa_graph core = {0};
    exa_path_lengths paths;
    exa_status st;

    EXA_GOTO(done, exa_components_strong(g, &strong));
    EXA_GOTO(done, exa_components_largest(&strong, g, NULL, &core));
    EXA_GOTO(done, exa_path_lengths_of(&core, &options, NULL, &paths));
    row[EXA_STATISTIC_MEAN_PATH] = paths.mean;
    row[EXA_STATISTIC_SCC] = strong.count ? strong.size[0] : 0;
done:
    exa_components_destroy(&strong);
    exa_graph_destroy(&core);
    return st;
}

static exa_status dyad_numbers(const exa_graph *g, double *row) {
    exa_dyads dyads = {0};
    exa_degrees degrees = {0};
    exa_assortativity a;
    exa_reciprocity r;
    exa_clustering c;
    exa_triads t;
    uint64_t *triangles = NULL;
    exa_status st;

    EXA_GOTO(done, exa_dyads_make(g, &dyads));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *triangles, "triangles of nodes", &triangles));
    EXA_GOTO(done, exa_triad_census(&dyads, NULL, triangles, &t));
    EXA_GOTO(done, exa_degrees_make(g, &dyads, &degrees));
    exa_reciprocity_of(&dyads, &r);
    exa_clustering_of(&dyads, triangles, &t, &c, NULL);
    exa_assortativity_of(g, &dyads, &degrees, &a);
    for (int i = 0; i < EXA_TRIAD_TYPES; i++) row[i] = (double)t.count[i];
    row[EXA_STATISTIC_MUTUAL] = (double)r.mutual;
    row[EXA_STATISTIC_RECIPROCITY] = r.edges;
    row[EXA_STATISTIC_TRANSITIVITY] = c.transitivity;
    row[EXA_STATISTIC_LOCAL_CLUSTERING] = c.local;
    row[EXA_STATISTIC_ASSORTATIVITY_OUT_IN] = a.out_in;
    row[EXA_STATISTIC_ASSORTATIVITY] = a.neighbors;
done:
    free(triangles);
    exa_degrees_destroy(&degrees);
    exa_dyads_destroy(&dyads);
    return st;
}

static exa_status numbers_of(const exa_graph *g, const exa_null_plan *plan, double *row) {
    exa_rich_club club;

    EXA_TRY(dyad_numbers(g, row));
    EXA_TRY(path_numbers(g, plan, row));
    EXA_TRY(exa_rich_club_of(g, plan->club, &club));
    for (uint32_t i = 0; i < EXA_RICH_CLUB_MAX; i++)
        row[EXA_STATISTIC_RICH_CLUB + i] = i < club.count ? exa_rich_club_density(&club, i) : NAN;
    return EXA_OK;
}

/* ---- replicas ------------------------------------------------------------------------------------------------ */

typedef struct comparison {
    const exa_graph *g;
    const exa_null_plan *plan;
    exa_null_model model;
    double *table;   /* owned; [replicas, EXA_STATISTICS] */
    uint64_t *swaps; /* owned; [replicas] */
    size_t rank, ranks;
    pthread_mutex_t lock;
    exa_error error; /* the first that happened; guarded by lock */
} comparison;

static exa_status make_replica(comparison *c, size_t replica) {
    exa_graph random = {0};
    exa_status st;

    EXA_GOTO(done, exa_null_make(c->g, c->model, &c->plan->null, replica, &random, &c->swaps[replica]));
    st = numbers_of(&random, c->plan, c->table + replica * EXA_STATISTICS);
done:
    exa_graph_destroy(&random);
    return st;
}

static void make_item(void *context, size_t item, int member) {
    comparison *c = context;

    (void)member;
    if (make_replica(c, item * c->ranks + c->rank) == EXA_OK) return;
    pthread_mutex_lock(&c->lock);
    if (c->error.status == EXA_OK) c->error = *exa_error_last();
    pthread_mutex_unlock(&c->lock);
}

static exa_status make_replicas(comparison *c, exa_pool *pool) {
    size_t n = c->plan->replicas, mine = n > c->rank ? (n - c->rank + c->ranks - 1) / c->ranks : 0;

    exa_pool_for(pool, mine, make_item, c);
    return c->error.status == EXA_OK ? EXA_OK : exa_error_restore(&c->error);
}

/* ---- summaries ----------------------------------------------------------------------------------------------- */

static void summarise(const comparison *c, int statistic, double observed, exa_null_summary *out) {
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    uint32_t n = 0, below = 0, above = 0;

    *out = (exa_null_summary){observed, NAN, NAN, NAN, NAN, 0};
    for (size_t i = 0; i < c->plan->replicas; i++) {
        double x = c->table[i * EXA_STATISTICS + (size_t)statistic];
        if (isnan(x)) continue;
        sum += x;
        least = fmin(least, x);
        most = fmax(most, x);
        n++;
        below += x <= observed;
        above += x >= observed;
    }
    out->replicas = n;
    if (n == 0 || isnan(observed)) return;
    out->mean = sum / n;
    for (size_t i = 0; i < c->plan->replicas; i++) {
        double x = c->table[i * EXA_STATISTICS + (size_t)statistic] - out->mean;
        if (!isnan(x)) squares += x * x;
    }
    if (n > 1) out->sd = sqrt(squares / (n - 1));
    if (least == most) out->sd = 0; /* a rounded mean is no spread */
    if (out->sd > 0) out->z = (observed - out->mean) / out->sd;
    out->p = fmin(1, 2.0 * (1 + (below < above ? below : above)) / (1.0 + n));
}

static exa_status gather(comparison *c, exa_null_result *out) {
    double *own = NULL;
    uint64_t swaps = 0, edges = c->g->undirected ? c->g->edges / 2 : c->g->edges;
    exa_status st;

    EXA_TRY(exa_sum_all((uint64_t *)(void *)c->table, (size_t)c->plan->replicas * EXA_STATISTICS));
    EXA_TRY(exa_sum_all(c->swaps, c->plan->replicas));
    EXA_TRY(exa_alloc(EXA_STATISTICS, sizeof *own, "numbers of a graph", &own));
    EXA_GOTO(done, numbers_of(c->g, c->plan, own));
    for (int i = 0; i < EXA_STATISTICS; i++) summarise(c, i, own[i], &out->statistic[i]);
    for (size_t i = 0; i < c->plan->replicas; i++) swaps += c->swaps[i];
    out->swaps_per_edge = edges ? (double)swaps / (double)edges / c->plan->replicas : 0;
done:
    free(own);
    return st;
}

exa_status exa_null_compare(const exa_graph *g, exa_null_model model, const exa_null_plan *plan, exa_pool *pool,
                            exa_null_result *out) {
    comparison c = {.g = g,
                    .plan = plan,
                    .model = model,
                    .rank = (size_t)exa_comm_rank(),
                    .ranks = (size_t)exa_comm_size(),
                    .lock = PTHREAD_MUTEX_INITIALIZER};
    exa_status st;

    out->model = model;
    st = exa_calloc((size_t)plan->replicas * EXA_STATISTICS, sizeof *c.table, "null models", &c.table);
    if (st == EXA_OK) st = exa_calloc(plan->replicas, sizeof *c.swaps, "null models", &c.swaps);
    if (st == EXA_OK) st = make_replicas(&c, pool);
    EXA_GOTO(done, exa_comm_agree(st));
    st = exa_comm_agree(gather(&c, out));
done:
    free(c.table);
    free(c.swaps);
    return st;
}
