/* Steps, all of them collective: pairs to the owner of their lower number, where both directions meet; degrees by
 * sums over ranks, block by block; pairs to the owner of their node of lower degree; rows in rounds. */
#include "exaconn/triad_ranks.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/reduce.h"

#include <stdlib.h>
#include <string.h>

enum {
    DEGREE_BLOCK = 1 << 18, /* nodes whose degrees are summed at a time */
    ROUND_WORDS = 16 << 20, /* a rank sends about so many in a round */
    RADIX_BITS = 11
};

typedef struct census {
    uint64_t *pairs; /* owned; a << 32 | b << 2 | direction seen from a */
    size_t count;
    uint32_t nodes, own_nodes;
    uint32_t *degree;  /* owned; [nodes] partners */
    uint64_t *begin;   /* owned; [own_nodes + 1] of the rows this rank owns: nodes rank, rank + ranks, ... */
    uint32_t *forward; /* owned; b << 2 | direction */
    uint8_t *mark;     /* owned; [nodes], at least [ranks] */
    uint32_t **out;    /* owned; [ranks] rows on their way */
    size_t *out_count, *out_room; /* owned; [ranks] */
    uint32_t rank, ranks;
    exa_triad_parts parts;
    exa_triad_ranks result;
} census;

static uint32_t owner_of(const census *c, uint64_t pair) {
    return (uint32_t)(pair >> 32) % c->ranks;
}

/* ---- moving and sorting pairs -------------------------------------------------------------------------------- */

/* Every pair to the owner of its first node. */
static exa_status send_pairs(census *c) {
    uint64_t *sorted = NULL;
    size_t *counts = NULL, *at = NULL, received = 0;
    void *in = NULL;
    exa_status st;

    EXA_GOTO(agree, exa_alloc(c->count, sizeof *sorted, "pairs on their way", &sorted));
    EXA_GOTO(agree, exa_calloc(c->ranks, sizeof *counts, "pairs on their way", &counts));
    EXA_GOTO(agree, exa_calloc(c->ranks, sizeof *at, "pairs on their way", &at));
    for (size_t i = 0; i < c->count; i++) counts[owner_of(c, c->pairs[i])]++;
    for (uint32_t r = 1; r < c->ranks; r++) at[r] = at[r - 1] + counts[r - 1];
    for (size_t i = 0; i < c->count; i++) sorted[at[owner_of(c, c->pairs[i])]++] = c->pairs[i];
    free(c->pairs);
    c->pairs = NULL;
agree:
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_exchange(sorted, sizeof *sorted, counts, &in, &received));
    c->pairs = in;
    c->count = received;
done:
    free(sorted);
    free(counts);
    free(at);
    return st;
}

static exa_status radix_sort(uint64_t **keys, size_t count) {
    uint64_t *from = *keys, *to = NULL;
    size_t *at = NULL;
    exa_status st;

    EXA_GOTO(done, exa_alloc(count, sizeof *to, "sorting pairs", &to));
    EXA_GOTO(done, exa_alloc((size_t)1 << RADIX_BITS, sizeof *at, "sorting pairs", &at));
    for (int shift = 0; shift < 64; shift += RADIX_BITS) {
        size_t sum = 0, mask = ((size_t)1 << RADIX_BITS) - 1;
        uint64_t *kept = from;
        memset(at, 0, sizeof *at << RADIX_BITS);
        for (size_t i = 0; i < count; i++) at[from[i] >> shift & mask]++;
        for (size_t k = 0; k <= mask; k++) {
            size_t n = at[k];
            at[k] = sum;
            sum += n;
        }
        for (size_t i = 0; i < count; i++) to[at[from[i] >> shift & mask]++] = from[i];
        from = to;
        to = kept;
    }
    *keys = from;
done:
    free(to);
    free(at);
    return st;
}

/* One entry for each connected pair, with both its directions. */
static exa_status join_pairs(census *c) {
    size_t kept = 0;

    EXA_TRY(radix_sort(&c->pairs, c->count));
    for (size_t i = 0; i < c->count; i++) {
        if (kept && c->pairs[kept - 1] >> 2 == c->pairs[i] >> 2) {
            c->pairs[kept - 1] |= c->pairs[i] & 3;
        } else {
            c->pairs[kept++] = c->pairs[i];
        }
    }
    c->count = kept;
    for (size_t i = 0; i < kept; i++) {
        c->parts.mutual += (c->pairs[i] & 3) == EXA_DYAD_MUTUAL;
        c->parts.asymmetric += (c->pairs[i] & 3) != EXA_DYAD_MUTUAL;
    }
    return EXA_OK;
}

/* Connections become pairs seen from the lower number. */
static exa_status take_edges(census *c, uint64_t **edges, size_t count) {
    exa_status st = EXA_OK;

    c->pairs = *edges;
    *edges = NULL;
    for (size_t i = 0; i < count; i++) {
        uint64_t pre = c->pairs[i] >> 32, post = c->pairs[i] & UINT32_MAX;
        if (pre >= c->nodes || post >= c->nodes)
            st = EXA_FAIL(EXA_ERR_RANGE, "a connection of node %llu or %llu, but there are %u nodes",
                          (unsigned long long)pre, (unsigned long long)post, c->nodes);
        if (pre == post) continue;
        c->pairs[c->count++] =
            pre < post ? pre << 32 | post << 2 | EXA_DYAD_OUT : post << 32 | pre << 2 | EXA_DYAD_IN;
    }
    c->result.given = count;
    c->result.self = count - c->count;
    return exa_comm_agree(st);
}

/* ---- degrees ------------------------------------------------------------------------------------------------- */

/* Adds up all ranks' counts of a block of nodes; all ranks get the same sums. */
static exa_status sum_block(census *c, const uint32_t *local, uint32_t first, uint32_t n, uint64_t *sums) {
    for (size_t i = 0; i < 3 * (size_t)n; i++) sums[i] = local[3 * (size_t)first + i];
    EXA_TRY(exa_sum_all(sums, 3 * (size_t)n));
    for (uint32_t v = 0; v < n; v++) {
        const uint64_t *s = &sums[3 * (size_t)v];
        exa_triad_add_node(&c->parts, s[EXA_DYAD_OUT - 1], s[EXA_DYAD_IN - 1], s[EXA_DYAD_MUTUAL - 1]);
        c->degree[first + v] = (uint32_t)(s[0] + s[1] + s[2]);
        if (c->degree[first + v] > c->result.largest_degree) c->result.largest_degree = c->degree[first + v];
    }
    return EXA_OK;
}

static exa_status count_degrees(census *c) {
    static const uint8_t turned[4] = {0, EXA_DYAD_IN, EXA_DYAD_OUT, EXA_DYAD_MUTUAL};
    uint32_t *local = NULL; /* [nodes, 3]: out, in, mutual */
    uint64_t *sums = NULL;
    exa_status st;

    EXA_GOTO(agree, exa_calloc(c->nodes, 3 * sizeof *local, "degrees", &local));
    EXA_GOTO(agree, exa_alloc(DEGREE_BLOCK, 3 * sizeof *sums, "degrees", &sums));
    EXA_GOTO(agree, exa_calloc(c->nodes, sizeof *c->degree, "degrees", &c->degree));
    for (size_t i = 0; i < c->count; i++) {
        uint64_t p = c->pairs[i];
        local[3 * (p >> 32) + (p & 3) - 1]++;
        local[3 * (p >> 2 & (EXA_GRAPH_MAX_NODES - 1)) + turned[p & 3] - 1]++;
    }
agree:
    EXA_GOTO(done, exa_comm_agree(st));
    for (uint32_t first = 0; first < c->nodes; first += DEGREE_BLOCK) {
        uint32_t n = c->nodes - first < DEGREE_BLOCK ? c->nodes - first : DEGREE_BLOCK;
        EXA_GOTO(done, sum_block(c, local, first, n, sums));
    }
done:
    free(local);
    free(sums);
    return st;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* From the node of lower degree; of equal ones, of lower number. */
static void orient(census *c) {
    static const uint8_t turned[4] = {0, EXA_DYAD_IN, EXA_DYAD_OUT, EXA_DYAD_MUTUAL};

    for (size_t i = 0; i < c->count; i++) {
        uint64_t p = c->pairs[i], a = p >> 32, b = p >> 2 & (EXA_GRAPH_MAX_NODES - 1);
        if (c->degree[a] > c->degree[b]) c->pairs[i] = b << 32 | a << 2 | turned[p & 3];
    }
}

static exa_status make_rows(census *c) {
    c->own_nodes = c->nodes > c->rank ? (c->nodes - c->rank + c->ranks - 1) / c->ranks : 0;
    free(c->degree); /* the order of rows is all that is needed of it */
    c->degree = NULL;
    EXA_TRY(exa_calloc((size_t)c->own_nodes + 2, sizeof *c->begin, "rows", &c->begin));
    EXA_TRY(exa_alloc(c->count, sizeof *c->forward, "rows", &c->forward));
    EXA_TRY(exa_calloc(c->nodes > c->ranks ? c->nodes : c->ranks, 1, "marks of nodes", &c->mark));
    for (size_t i = 0; i < c->count; i++) c->begin[(c->pairs[i] >> 32) / c->ranks + 2]++;
    for (uint32_t v = 0; v <= c->own_nodes; v++) c->begin[v + 1] += c->begin[v];
    for (size_t i = 0; i < c->count; i++)
        c->forward[c->begin[(c->pairs[i] >> 32) / c->ranks + 1]++] = (uint32_t)c->pairs[i];
    free(c->pairs);
    c->pairs = NULL;
    return EXA_OK;
}

/* A row to the ranks that own one of its entries: its length, then the entries. */
static exa_status post_row(census *c, uint32_t own, size_t *posted) {
    const uint32_t *row = c->forward + c->begin[own];
    size_t n = c->begin[own + 1] - c->begin[own];

    if (n < 2) return EXA_OK;
    for (size_t i = 0; i < n; i++) c->mark[(row[i] >> 2) % c->ranks] = 1;
    for (uint32_t r = 0; r < c->ranks; r++) {
        if (!c->mark[r]) continue;
        EXA_TRY(
            exa_grow(&c->out[r], &c->out_room[r], sizeof **c->out, c->out_count[r] + n + 1, "rows on their way"));
        c->out[r][c->out_count[r]] = (uint32_t)n;
        memcpy(c->out[r] + c->out_count[r] + 1, row, n * sizeof *row);
        c->out_count[r] += n + 1;
        *posted += n + 1;
        c->mark[r] = 0;
    }
    return EXA_OK;
}

static void look_up_row(census *c, const uint32_t *row, size_t n) {
    for (size_t i = 0; i < n; i++) c->mark[row[i] >> 2] = (uint8_t)(row[i] & 3);
    for (size_t i = 0; i < n; i++) {
        uint32_t v = row[i] >> 2, uv = row[i] & 3;
        if (v % c->ranks != c->rank) continue;
        uint64_t end = c->begin[v / c->ranks + 1];
        c->result.lookups += end - c->begin[v / c->ranks];
        for (uint64_t j = c->begin[v / c->ranks]; j < end; j++) {
            uint32_t uw = c->mark[c->forward[j] >> 2];
            if (uw) c->parts.closed[uv | uw << 2 | (c->forward[j] & 3) << 4]++;
        }
    }
    for (size_t i = 0; i < n; i++) c->mark[row[i] >> 2] = 0;
}

/* Sends what was posted, and works on what arrives. */
static exa_status exchange_rows(census *c, size_t posted) {
    uint32_t *all = NULL, *in = NULL;
    size_t at = 0, received = 0;
    void *arrived = NULL;
    exa_status st = exa_alloc(posted, sizeof *all, "rows on their way", &all);

    EXA_GOTO(done, exa_comm_agree(st));
    for (uint32_t r = 0; r < c->ranks; r++) {
        if (c->out_count[r]) memcpy(all + at, c->out[r], c->out_count[r] * sizeof *all);
        at += c->out_count[r];
    }
    EXA_GOTO(done, exa_exchange(all, sizeof *all, c->out_count, &arrived, &received));
    in = arrived;
    for (size_t i = 0; i < received; i += in[i] + 1) look_up_row(c, in + i + 1, in[i]);
    memset(c->out_count, 0, c->ranks * sizeof *c->out_count);
    c->result.words_sent += posted;
done:
    free(all);
    free(arrived);
    return st;
}

static exa_status count_triangles(census *c) {
    uint32_t next = 0;
    uint64_t more = 1;
    exa_status st;

    st = exa_calloc(c->ranks, sizeof *c->out, "rows on their way", &c->out);
    if (st == EXA_OK) st = exa_calloc(c->ranks, sizeof *c->out_count, "rows on their way", &c->out_count);
    if (st == EXA_OK) st = exa_calloc(c->ranks, sizeof *c->out_room, "rows on their way", &c->out_room);
    EXA_TRY(exa_comm_agree(st));
    while (more) {
        size_t posted = 0;
        for (st = EXA_OK; st == EXA_OK && next < c->own_nodes && posted < ROUND_WORDS; next++)
            st = post_row(c, next, &posted);
        EXA_TRY(exa_comm_agree(st));
        EXA_TRY(exchange_rows(c, posted));
        more = next < c->own_nodes;
        EXA_TRY(exa_max_all(&more));
    }
    return EXA_OK;
}

/* ---- all ----------------------------------------------------------------------------------------------------- */

static exa_status finish(census *c, exa_triad_ranks *out) {
    uint64_t sums[] = {c->result.given, c->result.self, c->result.lookups, c->result.words_sent};

    EXA_TRY(exa_sum_all(c->parts.closed, 64));
    EXA_TRY(exa_sum_all(sums, 4));
    exa_triad_finish(&c->parts, &c->result.triads);
    c->result.edges = 2 * c->parts.mutual + c->parts.asymmetric;
    c->result.given = sums[0];
    c->result.self = sums[1];
    c->result.lookups = sums[2];
    c->result.words_sent = sums[3];
    *out = c->result;
    return EXA_OK;
}

static exa_status count_pairs(census *c) {
    uint64_t sums[2];

    EXA_TRY(send_pairs(c));
    EXA_TRY(exa_comm_agree(join_pairs(c)));
    sums[0] = c->parts.mutual;
    sums[1] = c->parts.asymmetric;
    EXA_TRY(exa_sum_all(sums, 2));
    c->parts.mutual = sums[0];
    c->parts.asymmetric = sums[1];
    return EXA_OK;
}

exa_status exa_triad_census_ranks(uint64_t **edges, size_t count, uint32_t nodes, exa_triad_ranks *out) {
    census c = {.nodes = nodes, .rank = (uint32_t)exa_comm_rank(), .ranks = (uint32_t)exa_comm_size()};
    exa_status st;

    EXA_CHECK(nodes < EXA_GRAPH_MAX_NODES, EXA_ERR_UNSUPPORTED, "%u nodes; at most %u are supported", nodes,
              EXA_GRAPH_MAX_NODES - 1);
    EXA_GOTO(done, take_edges(&c, edges, count));
    EXA_GOTO(done, count_pairs(&c));
    EXA_GOTO(done, count_degrees(&c));
    orient(&c);
    EXA_GOTO(done, send_pairs(&c));
    EXA_GOTO(done, exa_comm_agree(make_rows(&c)));
    EXA_GOTO(done, count_triangles(&c));
    st = finish(&c, out);
done:
    for (uint32_t r = 0; c.out && r < c.ranks; r++) free(c.out[r]);
    free(c.out);
    free(c.out_count);
    free(c.out_room);
    free(c.pairs);
    free(c.degree);
    free(c.begin);
    free(c.forward);
    free(c.mark);
    return st;
}
