/* Batagelj and Zaversnik 2003: nodes in an array sorted by remaining degree; taking one away moves each of its
 * neighbours down by one bucket. O(edges). */
#include "exaconn/core_number.h"

#include "exaconn/box.h"

#include <stdlib.h>

typedef struct buckets {
    uint32_t *order, *place, *begin; /* owned; nodes by degree; where each is; where each degree begins */
} buckets;

static exa_status sort_nodes(const exa_dyads *d, const uint32_t *degree, uint32_t most, buckets *b) {
    EXA_TRY(exa_alloc(d->nodes, sizeof *b->order, "k-cores", &b->order));
    EXA_TRY(exa_alloc(d->nodes, sizeof *b->place, "k-cores", &b->place));
    EXA_TRY(exa_calloc((size_t)most + 2, sizeof *b->begin, "k-cores", &b->begin));
    for (uint32_t v = 0; v < d->nodes; v++) b->begin[degree[v] + 1]++;
    for (uint32_t k = 0; k <= most; k++) b->begin[k + 1] += b->begin[k];
    for (uint32_t v = 0; v < d->nodes; v++) {
        b->place[v] = b->begin[degree[v]]++;
        b->order[b->place[v]] = v;
    }
    for (uint32_t k = most + 1; k > 0; k--) b->begin[k] = b->begin[k - 1];
    b->begin[0] = 0;
    return EXA_OK;
}

/* The node changes places with the first of its bucket, which then begins behind it. */
static void lower(buckets *b, uint32_t *degree, uint32_t w) {
    uint32_t first = b->begin[degree[w]], other = b->order[first], at = b->place[w];

    b->order[at] = other;
    b->place[other] = at;
    b->order[first] = w;
    b->place[w] = first;
    b->begin[degree[w]]++;
    degree[w]--;
}

exa_status exa_core_numbers(const exa_dyads *d, uint32_t *core, uint32_t *largest) {
    buckets b = {0};
    uint32_t most = 0;
    exa_status st;

    for (uint32_t v = 0; v < d->nodes; v++) {
        core[v] = exa_dyads_degree(d, v);
        if (core[v] > most) most = core[v];
    }
    EXA_GOTO(done, sort_nodes(d, core, most, &b));
    for (uint32_t i = 0; i < d->nodes; i++) {
        uint32_t v = b.order[i];
        for (uint64_t j = d->begin[v]; j < d->begin[v + 1]; j++) {
            uint32_t w = d->neighbor[j] >> 2;
            if (core[w] > core[v]) lower(&b, core, w);
        }
    }
    if (largest) *largest = 0;
    for (uint32_t v = 0; largest && v < d->nodes; v++)
        if (core[v] > *largest) *largest = core[v];
done:
    free(b.order);
    free(b.place);
    free(b.begin);
    return st;
}
