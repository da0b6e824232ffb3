/* Connections in an array and in a hash set; a swap takes two of them, exchanges their ends, and is refused where
 * that would make a self-connection or a second connection of a pair. The t-th try of a replica has the t-th random
 * number of its stream, so nothing depends on who makes it. */
#include "exaconn/null_model.h"

#include "exaconn/box.h"
#include "exaconn/hash.h"
#include "exaconn/philox.h"

#include <stdlib.h>
#include <string.h>

const char *const exa_null_model_names[EXA_NULL_MODELS] = {"configuration", "mutual", "erdos-renyi", "distance"};
const char *const exa_null_model_keeps[EXA_NULL_MODELS] = {
    "in- and out-degree of every node", "in-, out- and mutual degree of every node",
    "nodes and number of connections", "in- and out-degree of every node, and the lengths of connections"};

/* ---- a set of connections ------------------------------------------------------------------------------------ */

enum { BIT_NODES = 16384 }; /* up to so many a bit for each pair takes 32 MiB at most, and is the fastest set */

typedef struct edge_set {
    uint64_t *slot; /* owned; pre << 32 | post, plus 1; 0 = free. Or, where `bits`, a bit for each ordered pair */
    size_t mask;    /* slots - 1; where `bits`, the nodes */
    bool bits;
} edge_set;

static uint64_t key_of(uint32_t pre, uint32_t post) {
    return ((uint64_t)pre << 32 | post) + 1;
}

static exa_status set_create(uint32_t nodes, size_t count, edge_set *s) {
    size_t slots = 64;

    s->bits = nodes <= BIT_NODES;
    s->mask = nodes;
    if (s->bits) return exa_calloc(((size_t)nodes * nodes + 63) / 64, 8, "a set of connections", &s->slot);
    while (slots < 2 * count) slots *= 2;
    s->mask = slots - 1;
    return exa_calloc(slots, sizeof *s->slot, "a set of connections", &s->slot);
}

static size_t find(const edge_set *s, uint64_t key) {
    size_t i = exa_hash_u64(key) & s->mask;
    while (s->slot[i] && s->slot[i] != key) i = (i + 1) & s->mask;
    return i;
}

static bool has(const edge_set *s, uint32_t pre, uint32_t post) {
    size_t bit = pre * s->mask + post;

    if (s->bits) return s->slot[bit / 64] >> (bit % 64) & 1;
    return s->slot[find(s, key_of(pre, post))] != 0;
}

static void add(edge_set *s, uint32_t pre, uint32_t post) {
    uint64_t key = key_of(pre, post);
    size_t bit = pre * s->mask + post;

    if (s->bits) {
        s->slot[bit / 64] |= (uint64_t)1 << (bit % 64);
    } else {
        s->slot[find(s, key)] = key;
    }
}

/* What follows without a gap moves up where it may (Knuth 6.4, algorithm R). */
static void take_out_key(edge_set *s, uint64_t key) {
    size_t hole = find(s, key), i = hole;

    for (;;) {
        i = (i + 1) & s->mask;
        if (!s->slot[i]) break;
        size_t home = exa_hash_u64(s->slot[i]) & s->mask;
        if (((i - home) & s->mask) < ((i - hole) & s->mask)) continue;
        s->slot[hole] = s->slot[i];
        hole = i;
    }
    s->slot[hole] = 0;
}

static void take_out(edge_set *s, uint32_t pre, uint32_t post) {
    size_t bit = pre * s->mask + post;

    if (s->bits) {
        s->slot[bit / 64] &= ~((uint64_t)1 << (bit % 64));
    } else {
        take_out_key(s, key_of(pre, post));
    }
}

/* ---- swapping ------------------------------------------------------------------------------------------------ */

typedef struct swapping {
    const exa_graph *g;
    const double *position; /* borrowed; NULL unless lengths are kept */
    exa_graph_edge *edges;  /* owned; asymmetric ones (or all), then one for each mutual pair */
    size_t single, pairs;   /* how many of each */
    edge_set set;
    double class_end[EXA_NULL_LENGTH_CLASSES]; /* of squared lengths; the last is not used */
    bool either_way; /* a new connection must have no reverse, so that asymmetric stays asymmetric */
    uint64_t done;
} swapping;

static double squared_length(const swapping *s, uint32_t a, uint32_t b) {
    const double *p = &s->position[3 * (size_t)a], *q = &s->position[3 * (size_t)b];
    double z = p[0] - q[0], y = p[1] - q[1], x = p[2] - q[2];
    return z * z + y * y + x * x;
}

static int length_class(const swapping *s, uint32_t a, uint32_t b) {
    double d = squared_length(s, a, b);
    int k = 0;
    while (k < EXA_NULL_LENGTH_CLASSES - 1 && d > s->class_end[k]) k++;
    return k;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static exa_status set_classes(swapping *s) {
    size_t n = s->single + s->pairs;
    double *all;

    EXA_TRY(exa_alloc(n, sizeof *all, "lengths of connections", &all));
    for (size_t i = 0; i < n; i++) all[i] = squared_length(s, s->edges[i].pre, s->edges[i].post);
    qsort(all, n, sizeof *all, ascending);
    for (size_t k = 0; n && k < EXA_NULL_LENGTH_CLASSES; k++) {
        size_t end = (k + 1) * n / EXA_NULL_LENGTH_CLASSES;
        s->class_end[k] = all[end ? end - 1 : 0];
    }
    free(all);
    return EXA_OK;
}

/* Whether both lengths stay of their classes, one way round or the other. */
static bool lengths_stay(const swapping *s, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    int ab = length_class(s, a, b), cd = length_class(s, c, d), ad = length_class(s, a, d),
        cb = length_class(s, c, b);
    return (ad == ab && cb == cd) || (ad == cd && cb == ab);
}

static bool may_connect(const swapping *s, bool both, uint32_t pre, uint32_t post) {
    return pre != post && !has(&s->set, pre, post) && !(both && has(&s->set, post, pre));
}

static void replace(swapping *s, bool pair, exa_graph_edge *e, uint32_t pre, uint32_t post) {
    take_out(&s->set, e->pre, e->post);
    if (pair) take_out(&s->set, e->post, e->pre);
    e->pre = pre;
    e->post = post;
}

/* a->b and c->d become a->d and c->b. */
static void try_swap(swapping *s, bool pair, exa_graph_edge *e, exa_graph_edge *f, bool turn) {
    uint32_t a = e->pre, b = e->post, c = turn ? f->post : f->pre, d = turn ? f->pre : f->post;
    bool both = pair || s->either_way;

    if (e == f || a == c || b == d || !may_connect(s, both, a, d) || !may_connect(s, both, c, b)) return;
    if (s->position && !lengths_stay(s, a, b, c, d)) return;
    replace(s, pair, e, a, d);
    replace(s, pair, f, c, b);
    add(&s->set, a, d);
    add(&s->set, c, b);
    if (pair) add(&s->set, d, a);
    if (pair) add(&s->set, b, c);
    s->done++;
}

static void swap_all(swapping *s, double swaps, uint64_t seed, uint64_t stream) {
    uint64_t total = s->single + s->pairs;
    uint64_t tries = (uint64_t)(swaps * (double)total * (s->position ? 20 : 1));

    for (uint64_t t = 0; t < tries; t++) {
        uint64_t bits[2], k;
        exa_philox(seed, stream, t, bits);
        k = exa_philox_below(bits[0], total);
        if (k < s->single) {
            try_swap(s, false, &s->edges[k], &s->edges[exa_philox_below(bits[1], s->single)], false);
        } else {
            exa_graph_edge *pairs = s->edges + s->single;
            try_swap(s, true, &pairs[k - s->single], &pairs[exa_philox_below(bits[1], s->pairs)], bits[1] & 1);
        }
    }
}

/* With `split` mutual pairs are kept apart from the rest. */
static exa_status fill(swapping *s, bool split) {
    const exa_graph *g = s->g;

    EXA_TRY(exa_alloc(g->edges, sizeof *s->edges, "swapping connections", &s->edges));
    EXA_TRY(set_create(g->nodes, g->edges, &s->set));
    for (int want_pairs = 0; want_pairs < 2; want_pairs++) {
        for (uint32_t v = 0; v < g->nodes; v++) {
            for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
                uint32_t w = g->target[i];
                bool pair = split && exa_graph_find_edge(g, w, v) < g->edges;
                if (pair != want_pairs) continue;
                add(&s->set, v, w);
                if (pair && v > w) continue;
                s->edges[s->single + s->pairs] = (exa_graph_edge){v, w, 1};
                if (pair) {
                    s->pairs++;
                } else {
                    s->single++;
                }
            }
        }
    }
    return EXA_OK;
}

/* Both directions of the pairs, behind the rest: the array has room, as it held every direction. */
static exa_status build(const swapping *s, exa_graph *out) {
    size_t n = s->single + s->pairs;

    for (size_t i = 0; i < s->pairs; i++) {
        exa_graph_edge e = s->edges[s->single + i];
        s->edges[n + i] = (exa_graph_edge){e.post, e.pre, 1};
    }
    EXA_TRY(exa_graph_build(s->g->nodes, s->edges, n + s->pairs, out));
    out->undirected = s->g->undirected;
    return EXA_OK;
}

static exa_status swapped(const exa_graph *g, exa_null_model model, const exa_null_options *o, uint64_t stream,
                          exa_graph *out, uint64_t *done) {
    swapping s = {.g = g, .either_way = model == EXA_NULL_MUTUAL || g->undirected};
    exa_status st;

    if (model == EXA_NULL_DISTANCE) s.position = o->position_nm;
    EXA_GOTO(done, fill(&s, s.either_way));
    if (s.position) EXA_GOTO(done, set_classes(&s));
    swap_all(&s, o->swaps, o->seed, stream);
    EXA_GOTO(done, build(&s, out));
    if (done) *done = s.done;
done:
    free(s.edges);
    free(s.set.slot);
    return st;
}

/* ---- Erdos and Renyi ----------------------------------------------------------------------------------------- */

/* G(n, m): pairs are drawn until there are m different ones. Beyond half of all pairs that takes long but ends. */
static exa_status erdos_renyi(const exa_graph *g, uint64_t seed, uint64_t stream, exa_graph *out) {
    size_t wanted = g->undirected ? g->edges / 2 : g->edges, n = 0;
    exa_graph_edge *edges = NULL;
    edge_set set = {0};
    exa_status st;

    EXA_GOTO(done, exa_alloc(g->edges, sizeof *edges, "random connections", &edges));
    EXA_GOTO(done, set_create(g->nodes, g->edges, &set));
    for (uint64_t t = 0; n < wanted; t++) {
        uint64_t bits[2];
        exa_philox(seed, stream, t, bits);
        uint32_t a = (uint32_t)exa_philox_below(bits[0], g->nodes),
                 b = (uint32_t)exa_philox_below(bits[1], g->nodes);
        if (a == b || has(&set, a, b)) continue;
        add(&set, a, b);
        if (g->undirected) add(&set, b, a);
        edges[n++] = (exa_graph_edge){a, b, 1};
    }
    for (size_t i = 0; g->undirected && i < wanted; i++)
        edges[n++] = (exa_graph_edge){edges[i].post, edges[i].pre, 1};
    EXA_GOTO(done, exa_graph_build(g->nodes, edges, n, out));
    out->undirected = g->undirected;
done:
    free(edges);
    free(set.slot);
    return st;
}

exa_status exa_null_make(const exa_graph *g, exa_null_model model, const exa_null_options *o, uint64_t replica,
                         exa_graph *out, uint64_t *done) {
    uint64_t stream = (uint64_t)(model + 1) << 48 | replica;

    if (done) *done = 0;
    if (model == EXA_NULL_ERDOS_RENYI) return erdos_renyi(g, o->seed, stream, out);
    EXA_CHECK(model != EXA_NULL_DISTANCE || o->position_nm, EXA_ERR_CONFIG,
              "the null model 'distance' needs positions. Hint: a table of nodes (--nodes) with x_nm, y_nm, z_nm");
    return swapped(g, model, o, stream, out, done);
}
