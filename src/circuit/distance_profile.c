#include "exaconn/distance_profile.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/reduce.h"

#include <math.h>
#include <stdlib.h>

typedef struct counting {
    const double *position;
    uint64_t (*counts)[EXA_DISTANCE_BINS]; /* owned; [threads] unordered pairs */
    double per_bin;                        /* 1 / width */
    size_t nodes, rank, ranks;
} counting;

static double distance(const double *position, size_t a, size_t b) {
    double z = position[3 * a] - position[3 * b], y = position[3 * a + 1] - position[3 * b + 1],
           x = position[3 * a + 2] - position[3 * b + 2];
    return sqrt(z * z + y * y + x * x);
}

static int bin_of(double distance_nm, double per_bin) {
    int bin = (int)(distance_nm * per_bin);
    return bin < EXA_DISTANCE_BINS ? bin : EXA_DISTANCE_BINS - 1;
}

static void count_node(void *context, size_t item, int member) {
    counting *c = context;
    size_t a = item * c->ranks + c->rank;

    for (size_t b = a + 1; b < c->nodes; b++) c->counts[member][bin_of(distance(c->position, a, b), c->per_bin)]++;
}

static double diagonal(const double *position, size_t nodes) {
    double low[3], high[3], sum = 0;

    for (int a = 0; a < 3; a++) low[a] = high[a] = position[a];
    for (size_t v = 0; v < nodes; v++) {
        for (int a = 0; a < 3; a++) {
            low[a] = fmin(low[a], position[3 * v + a]);
            high[a] = fmax(high[a], position[3 * v + a]);
        }
    }
    for (int a = 0; a < 3; a++) sum += (high[a] - low[a]) * (high[a] - low[a]);
    return sqrt(sum);
}

static void add_connections(const exa_graph *g, const double *position, exa_distance_profile *p) {
    double squares[EXA_DISTANCE_BINS] = {0}, sum_nm = 0;

    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            double d = distance(position, v, g->target[i]);
            int bin = bin_of(d, 1 / p->width_nm);
            p->connected[bin]++;
            p->weight[bin] += g->weight[i];
            squares[bin] += g->weight[i] * g->weight[i];
            sum_nm += d;
        }
    }
    p->mean_nm = g->edges ? sum_nm / (double)g->edges : NAN;
    for (int b = 0; b < EXA_DISTANCE_BINS; b++) {
        double n = (double)p->connected[b], variance;
        p->weight[b] = n > 0 ? p->weight[b] / n : NAN;
        variance = n > 1 ? (squares[b] - n * p->weight[b] * p->weight[b]) / (n - 1) : NAN;
        p->weight_sd[b] = sqrt(variance > 0 || isnan(variance) ? variance : 0);
    }
}

/* A line through ln P by weighted least squares. */
static double fit_length(const exa_distance_profile *p) {
    double w = 0, x = 0, y = 0, xx = 0, xy = 0, slope;

    for (uint32_t b = 0; b < p->bins; b++) {
        double n = (double)p->connected[b], at = ((double)b + 0.5) * p->width_nm, chance;
        if (n == 0) continue;
        chance = log(n / (double)p->pairs[b]);
        w += n;
        x += n * at;
        y += n * chance;
        xx += n * at * at;
        xy += n * at * chance;
    }
    slope = (w * xy - x * y) / (w * xx - x * x);
    return slope < 0 ? -1 / slope : NAN;
}

exa_status exa_distance_profile_of(const exa_graph *g, const double *position, exa_pool *pool,
                                   exa_distance_profile *out) {
    counting c = {
        .position = position, .nodes = g->nodes, .rank = (size_t)exa_comm_rank(), .ranks = (size_t)exa_comm_size()};
    exa_distance_profile p = {.width_nm = g->nodes ? diagonal(position, g->nodes) / EXA_DISTANCE_BINS : 0};
    int threads = exa_pool_threads(pool);

    if (!(p.width_nm > 0)) p.width_nm = 1; /* all in one place */
    c.per_bin = 1 / p.width_nm;
    EXA_TRY(exa_comm_agree(exa_calloc((size_t)threads, sizeof *c.counts, "distances", &c.counts)));
    exa_pool_for(pool, c.nodes > c.rank ? (c.nodes - c.rank + c.ranks - 1) / c.ranks : 0, count_node, &c);
    for (int t = 0; t < threads; t++)
        for (int b = 0; b < EXA_DISTANCE_BINS; b++) p.pairs[b] += 2 * c.counts[t][b];
    free(c.counts);
    EXA_TRY(exa_sum_all(p.pairs, EXA_DISTANCE_BINS));
    add_connections(g, position, &p);
    for (uint32_t b = 0; b < EXA_DISTANCE_BINS; b++)
        if (p.pairs[b]) p.bins = b + 1;
    p.length_nm = fit_length(&p);
    *out = p;
    return EXA_OK;
}
