/* Nodes are renumbered by degree, and a node keeps only its neighbours of higher number: no row is then longer than
 * sqrt(2 m). For each node its row is marked, and the rows of its neighbours are looked up in the marks. */
#include "exaconn/triad.h"

#include "exaconn/box.h"

#include <stdlib.h>
#include <string.h>

const char *const exa_triad_names[EXA_TRIAD_TYPES] = {"003",  "012",  "102", "021D", "021U", "021C", "111D", "111U",
                                                      "030T", "030C", "201", "120D", "120U", "120C", "210",  "300"};

enum { T003, T012, T102, T021D, T021U, T021C, T111D, T111U, T030T, T030C, T201, T120D, T120U, T120C, T210, T300 };

/* ---- from parts to the census -------------------------------------------------------------------------------- */

/* Which of the seven closed types the three directions (u,v), (u,w), (v,w) make. */
static int closed_type(int uv, int uw, int vw) {
    int mutual = (uv == 3) + (uw == 3) + (vw == 3), out_u, out_v, out_w;

    if (mutual == 3) return T300;
    if (mutual == 2) return T210;
    out_u = (uv == 1) + (uw == 1); /* asymmetric connections that leave each node */
    out_v = (uv == 2) + (vw == 1);
    out_w = (uw == 2) + (vw == 2);
    if (mutual == 0) return out_u == 1 && out_v == 1 && out_w == 1 ? T030C : T030T;
    /* One node has both asymmetric connections: it sends two (D), none (U) or one of them (C). */
    int apex = uv == 3 ? out_w : uw == 3 ? out_v : out_u;
    return apex == 2 ? T120D : apex == 0 ? T120U : T120C;
}

static exa_u128 choose2(exa_u128 n) {
    return n ? n * (n - 1) / 2 : 0;
}

/* C(n,3) in 128 bits: the product is divided before it can overflow. */
static exa_u128 choose3(exa_u128 n) {
    return n < 3 ? 0 : choose2(n) * (n - 2) / 3;
}

void exa_triad_add_node(exa_triad_parts *p, uint64_t out, uint64_t in, uint64_t mutual) {
    p->out2 += choose2(out);
    p->in2 += choose2(in);
    p->mutual2 += choose2(mutual);
    p->out_in += (exa_u128)out * in;
    p->mutual_out += (exa_u128)mutual * out;
    p->mutual_in += (exa_u128)mutual * in;
    p->nodes++;
}

static void open_types(const exa_triad_parts *p, exa_u128 *c) {
    c[T021D] = p->out2 - c[T030T] - c[T120D];
    c[T021U] = p->in2 - c[T030T] - c[T120U];
    c[T021C] = p->out_in - c[T030T] - 3 * c[T030C] - c[T120C];
    c[T111D] = p->mutual_in - 2 * c[T120D] - c[T120C] - c[T210];
    c[T111U] = p->mutual_out - 2 * c[T120U] - c[T120C] - c[T210];
    c[T201] = p->mutual2 - c[T210] - 3 * c[T300];
}

/* Each connected pair with each third node is a triad that has that pair. */
static void sparse_types(const exa_triad_parts *p, exa_u128 *c) {
    exa_u128 others = p->nodes >= 2 ? p->nodes - 2 : 0, rest;

    c[T012] = p->asymmetric * others - (2 * (c[T021D] + c[T021U] + c[T021C]) + c[T111D] + c[T111U] +
                                        3 * (c[T030T] + c[T030C]) + 2 * (c[T120D] + c[T120U] + c[T120C]) + c[T210]);
    c[T102] = p->mutual * others -
              (c[T111D] + c[T111U] + 2 * c[T201] + c[T120D] + c[T120U] + c[T120C] + 2 * c[T210] + 3 * c[T300]);
    rest = choose3(p->nodes);
    for (int t = T012; t < EXA_TRIAD_TYPES; t++) rest -= c[t];
    c[T003] = rest;
}

void exa_triad_finish(const exa_triad_parts *p, exa_triads *out) {
    exa_triads r = {.mutual = p->mutual, .asymmetric = p->asymmetric};

    for (int code = 0; code < 64; code++) {
        int uv = code & 3, uw = code >> 2 & 3, vw = code >> 4;
        if (uv && uw && vw) {
            r.count[closed_type(uv, uw, vw)] += p->closed[code];
            r.triangles += p->closed[code];
        }
    }
    open_types(p, r.count);
    sparse_types(p, r.count);
    r.null = choose2(p->nodes) - p->mutual - p->asymmetric;
    r.triples = p->out2 + p->in2 + p->mutual2 + p->out_in + p->mutual_out + p->mutual_in;
    *out = r;
}

const char *exa_u128_text(exa_u128 value, char out[EXA_U128_BYTES]) {
    char digits[EXA_U128_BYTES];
    int n = 0, k = 0;

    do {
        digits[n++] = (char)('0' + (int)(value % 10));
        value /= 10;
    } while (value);
    while (n) out[k++] = digits[--n];
    out[k] = '\0';
    return out;
}

/* ---- triangles ----------------------------------------------------------------------------------------------- */

enum { BLOCK = 64 }; /* nodes handed to a thread at a time */

typedef struct counter {
    uint8_t *mark;  /* owned; [nodes]: direction to the node at work, 0 = not its neighbour */
    uint64_t *node; /* owned; [nodes] triangles by renumbered node; NULL where nobody wants them */
    uint64_t closed[64];
} counter;

typedef struct census {
    const exa_dyads *dyads;
    uint32_t *number;  /* owned; [nodes] a node's place in the order of degrees */
    uint64_t *begin;   /* owned; [nodes + 1] by number */
    uint32_t *forward; /* owned; number << 2 | direction: neighbours of higher number */
    counter *counters; /* owned; [threads] */
    int threads;
} census;

static exa_status number_by_degree(census *c) {
    uint32_t n = c->dyads->nodes, most = 0;
    uint64_t *at;

    for (uint32_t v = 0; v < n; v++)
        if (exa_dyads_degree(c->dyads, v) > most) most = exa_dyads_degree(c->dyads, v);
    EXA_TRY(exa_calloc((size_t)most + 2, sizeof *at, "an order of nodes", &at));
    for (uint32_t v = 0; v < n; v++) at[exa_dyads_degree(c->dyads, v) + 1]++;
    for (uint32_t k = 0; k <= most; k++) at[k + 1] += at[k];
    for (uint32_t v = 0; v < n; v++) c->number[v] = (uint32_t)at[exa_dyads_degree(c->dyads, v)]++;
    free(at);
    return EXA_OK;
}

static exa_status make_forward_rows(census *c) {
    const exa_dyads *d = c->dyads;

    for (uint32_t v = 0; v < d->nodes; v++) {
        for (uint64_t i = d->begin[v]; i < d->begin[v + 1]; i++)
            c->begin[c->number[v] + 1] += c->number[d->neighbor[i] >> 2] > c->number[v];
    }
    for (uint32_t v = 0; v < d->nodes; v++) c->begin[v + 1] += c->begin[v];
    EXA_TRY(exa_alloc(c->begin[d->nodes], sizeof *c->forward, "triangles", &c->forward));
    for (uint32_t v = 0; v < d->nodes; v++) {
        uint64_t k = c->begin[c->number[v]];
        for (uint64_t i = d->begin[v]; i < d->begin[v + 1]; i++) {
            uint32_t w = c->number[d->neighbor[i] >> 2];
            if (w > c->number[v]) c->forward[k++] = w << 2 | (d->neighbor[i] & 3);
        }
    }
    return EXA_OK;
}

static void count_at(const census *c, counter *mine, uint32_t u) {
    const uint32_t *row = c->forward + c->begin[u];
    size_t n = c->begin[u + 1] - c->begin[u];

    if (n < 2) return;
    for (size_t i = 0; i < n; i++) mine->mark[row[i] >> 2] = (uint8_t)(row[i] & 3);
    for (size_t i = 0; i < n; i++) {
        uint32_t v = row[i] >> 2, uv = row[i] & 3;
        for (uint64_t j = c->begin[v]; j < c->begin[v + 1]; j++) {
            uint32_t w = c->forward[j] >> 2, uw = mine->mark[w];
            if (!uw) continue;
            mine->closed[uv | uw << 2 | (c->forward[j] & 3) << 4]++;
            if (mine->node) {
                mine->node[u]++;
                mine->node[v]++;
                mine->node[w]++;
            }
        }
    }
    for (size_t i = 0; i < n; i++) mine->mark[row[i] >> 2] = 0;
}

static void count_block(void *context, size_t block, int member) {
    const census *c = context;
    uint32_t first = (uint32_t)block * BLOCK, n = c->dyads->nodes;

    for (uint32_t u = first; u < n && u < first + BLOCK; u++) count_at(c, &c->counters[member], u);
}

static exa_status prepare(census *c, bool by_node) {
    size_t n = c->dyads->nodes;

    EXA_TRY(exa_calloc(n, sizeof *c->number, "an order of nodes", &c->number));
    EXA_TRY(exa_calloc(n + 1, sizeof *c->begin, "triangles", &c->begin));
    EXA_TRY(exa_calloc((size_t)c->threads, sizeof *c->counters, "triangles", &c->counters));
    for (int t = 0; t < c->threads; t++) {
        EXA_TRY(exa_calloc(n, 1, "marks of nodes", &c->counters[t].mark));
        if (by_node) EXA_TRY(exa_calloc(n, sizeof(uint64_t), "triangles of nodes", &c->counters[t].node));
    }
    EXA_TRY(number_by_degree(c));
    return make_forward_rows(c);
}

static void sum_degrees(const exa_dyads *d, exa_triad_parts *p) {
    uint64_t ends[4] = {0};

    for (uint32_t v = 0; v < d->nodes; v++) {
        uint64_t by[4] = {0};
        for (uint64_t i = d->begin[v]; i < d->begin[v + 1]; i++) by[d->neighbor[i] & 3]++;
        exa_triad_add_node(p, by[EXA_DYAD_OUT], by[EXA_DYAD_IN], by[EXA_DYAD_MUTUAL]);
        for (int k = 1; k < 4; k++) ends[k] += by[k];
    }
    p->asymmetric = ends[EXA_DYAD_OUT];
    p->mutual = ends[EXA_DYAD_MUTUAL] / 2;
}

static void gather(const census *c, exa_triad_parts *parts, uint64_t *node_triangles) {
    for (int t = 0; t < c->threads; t++)
        for (int k = 0; k < 64; k++) parts->closed[k] += c->counters[t].closed[k];
    for (uint32_t v = 0; node_triangles && v < c->dyads->nodes; v++) {
        node_triangles[v] = 0;
        for (int t = 0; t < c->threads; t++) node_triangles[v] += c->counters[t].node[c->number[v]];
    }
}

exa_status exa_triad_census(const exa_dyads *dyads, exa_pool *pool, uint64_t *node_triangles, exa_triads *out) {
    census c = {.dyads = dyads, .threads = exa_pool_threads(pool)};
    exa_triad_parts parts = {.nodes = 0};
    exa_status st;

    EXA_GOTO(done, prepare(&c, node_triangles != NULL));
    exa_pool_for(pool, ((size_t)dyads->nodes + BLOCK - 1) / BLOCK, count_block, &c);
    gather(&c, &parts, node_triangles);
    sum_degrees(dyads, &parts);
    exa_triad_finish(&parts, out);
done:
    for (int t = 0; c.counters && t < c.threads; t++) {
        free(c.counters[t].mark);
        free(c.counters[t].node);
    }
    free(c.counters);
    free(c.number);
    free(c.begin);
    free(c.forward);
    return st;
}
