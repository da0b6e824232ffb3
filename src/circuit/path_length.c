/* Breadth first from 64 nodes at once, a bit for each (Then et al., "The More the Merrier", VLDB 2014): an edge is
 * looked at once a step for all of them. */
#include "exaconn/path_length.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/philox.h"
#include "exaconn/reduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 64 };

typedef struct walker {
    uint64_t *seen, *front, *next; /* owned; [nodes] a bit for each source */
    uint64_t bins[EXA_PATH_BINS], pairs, sum, longest;
} walker;

typedef struct walk {
    const exa_graph *g;
    const uint32_t *sources;
    uint64_t *source_sum, *source_pairs; /* owned; [count]; NULL where the spread is not asked for */
    walker *walkers;                     /* owned; [threads] */
    size_t count, first_batch, batch_step;
    int threads;
} walk;

static void spread(const exa_graph *g, walker *w) {
    for (uint32_t v = 0; v < g->nodes; v++) {
        uint64_t bits = w->front[v];
        if (!bits) continue;
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) w->next[g->target[i]] |= bits;
    }
}

/* What is new becomes the front; returns whether anything is. */
static bool advance(walk *k, walker *w, size_t first, uint32_t steps) {
    uint64_t found = 0;

    for (uint32_t v = 0; v < k->g->nodes; v++) {
        uint64_t fresh = w->next[v] & ~w->seen[v];
        w->next[v] = 0;
        w->front[v] = fresh;
        if (!fresh) continue;
        w->seen[v] |= fresh;
        found += (uint64_t)__builtin_popcountll(fresh);
        for (; k->source_sum && fresh; fresh &= fresh - 1) {
            size_t s = first + (size_t)__builtin_ctzll(fresh);
            k->source_sum[s] += steps;
            k->source_pairs[s]++;
        }
    }
    if (!found) return false;
    w->pairs += found;
    w->sum += found * steps;
    w->bins[steps < EXA_PATH_BINS ? steps : EXA_PATH_BINS - 1] += found;
    if (steps > w->longest) w->longest = steps;
    return true;
}

static void walk_batch(void *context, size_t item, int member) {
    walk *k = context;
    walker *w = &k->walkers[member];
    size_t first = (k->first_batch + item * k->batch_step) * BATCH, bytes = k->g->nodes * sizeof(uint64_t);
    uint32_t steps = 0;

    memset(w->seen, 0, bytes);
    memset(w->front, 0, bytes);
    memset(w->next, 0, bytes);
    for (size_t s = first; s < k->count && s < first + BATCH; s++) {
        w->seen[k->sources[s]] |= (uint64_t)1 << (s - first);
        w->front[k->sources[s]] |= (uint64_t)1 << (s - first);
    }
    do {
        spread(k->g, w);
    } while (advance(k, w, first, ++steps));
}

/* Fisher and Yates, as far as needed. */
static exa_status draw_sources(uint32_t nodes, const exa_path_options *o, size_t count, uint32_t **out) {
    uint32_t *all;

    EXA_TRY(exa_alloc(nodes, sizeof *all, "sources of paths", &all));
    for (uint32_t v = 0; v < nodes; v++) all[v] = v;
    for (uint32_t i = 0; count < nodes && i < count; i++) {
        uint64_t bits[2];
        exa_philox(o->seed, o->stream, i, bits);
        uint32_t j = i + (uint32_t)exa_philox_below(bits[0], nodes - i), kept = all[i];
        all[i] = all[j];
        all[j] = kept;
    }
    *out = all;
    return EXA_OK;
}

static exa_status prepare(walk *k, bool sampled) {
    size_t n = k->g->nodes;

    EXA_TRY(exa_calloc((size_t)k->threads, sizeof *k->walkers, "paths", &k->walkers));
    for (int t = 0; t < k->threads; t++) {
        EXA_TRY(exa_alloc(n, sizeof(uint64_t), "paths", &k->walkers[t].seen));
        EXA_TRY(exa_alloc(n, sizeof(uint64_t), "paths", &k->walkers[t].front));
        EXA_TRY(exa_alloc(n, sizeof(uint64_t), "paths", &k->walkers[t].next));
    }
    if (!sampled) return EXA_OK;
    EXA_TRY(exa_calloc(k->count, sizeof(uint64_t), "paths", &k->source_sum));
    return exa_calloc(k->count, sizeof(uint64_t), "paths", &k->source_pairs);
}

/* The mean is a ratio of two sums over sources; its error follows from the residuals (Cochran 1977, 6.3), with the
 * correction for a finite population. */
static void set_interval(const walk *k, exa_path_lengths *r) {
    double n = (double)k->count, residuals = 0, mean_pairs, error;

    r->low = r->high = r->mean;
    if (!r->sampled || r->pairs == 0) return;
    for (size_t s = 0; s < k->count; s++) {
        double residual = (double)k->source_sum[s] - r->mean * (double)k->source_pairs[s];
        residuals += residual * residual;
    }
    mean_pairs = (double)r->pairs / n;
    error = k->count < 2 ? NAN : sqrt((1 - n / k->g->nodes) * residuals / (n - 1) / n) / mean_pairs;
    r->low = r->mean - 1.959963984540054 * error;
    r->high = r->mean + 1.959963984540054 * error;
}

static exa_status collect(walk *k, bool shared, exa_path_lengths *r) {
    uint64_t sums[EXA_PATH_BINS + 2] = {0}, longest = 0;

    for (int t = 0; t < k->threads; t++) {
        const walker *w = &k->walkers[t];
        for (int i = 0; i < EXA_PATH_BINS; i++) sums[i] += w->bins[i];
        sums[EXA_PATH_BINS] += w->pairs;
        sums[EXA_PATH_BINS + 1] += w->sum;
        if (w->longest > longest) longest = w->longest;
    }
    if (shared) {
        EXA_TRY(exa_sum_all(sums, EXA_PATH_BINS + 2));
        EXA_TRY(exa_max_all(&longest));
        if (k->source_sum) EXA_TRY(exa_sum_all(k->source_sum, k->count));
        if (k->source_sum) EXA_TRY(exa_sum_all(k->source_pairs, k->count));
    }
    memcpy(r->bins, sums, sizeof r->bins);
    r->pairs = sums[EXA_PATH_BINS];
    r->sum = sums[EXA_PATH_BINS + 1];
    r->longest = (uint32_t)longest;
    r->sources = (uint32_t)k->count;
    r->mean = r->pairs ? (double)r->sum / (double)r->pairs : NAN;
    set_interval(k, r);
    return EXA_OK;
}

exa_status exa_path_lengths_of(const exa_graph *g, const exa_path_options *o, exa_pool *pool,
                               exa_path_lengths *out) {
    bool sampled = o->sources > 0 && o->sources < g->nodes;
    walk k = {.g = g, .count = sampled ? o->sources : g->nodes, .threads = exa_pool_threads(pool), .batch_step = 1};
    exa_path_lengths r = {.sampled = sampled};
    size_t batches = (k.count + BATCH - 1) / BATCH;
    uint32_t *sources = NULL;
    exa_status st = draw_sources(g->nodes, o, k.count, &sources);

    if (st == EXA_OK) st = prepare(&k, sampled);
    if (o->share_among_ranks) st = exa_comm_agree(st);
    if (st != EXA_OK) goto done;
    if (o->share_among_ranks) {
        size_t ranks = (size_t)exa_comm_size(), rank = (size_t)exa_comm_rank();
        k.first_batch = rank;
        k.batch_step = ranks;
        batches = batches > rank ? (batches - rank + ranks - 1) / ranks : 0;
    }
    k.sources = sources;
    exa_pool_for(pool, batches, walk_batch, &k);
    EXA_GOTO(done, collect(&k, o->share_among_ranks, &r));
    *out = r;
done:
    for (int t = 0; k.walkers && t < k.threads; t++) {
        free(k.walkers[t].seen);
        free(k.walkers[t].front);
        free(k.walkers[t].next);
    }
    free(k.walkers);
    free(k.source_sum);
    free(k.source_pairs);
    free(sources);
    return st;
}
