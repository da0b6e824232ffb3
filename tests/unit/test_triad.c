/* The census against looking at every set of three nodes; the classes against their definition; 128 bits. */
#include "test_util.h"

#include "exaconn/clustering.h"
#include "exaconn/graph.h"
#include "exaconn/triad.h"

enum { MOST = 40 };

typedef struct matrix {
    uint32_t n;
    bool edge[MOST][MOST];
} matrix;

static void make_graph(uint64_t *seed, uint32_t n, double chance, double mutual, matrix *m, exa_graph *g) {
    exa_graph_edge edges[2 * MOST * MOST];
    size_t count = 0;

    *m = (matrix){.n = n};
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t b = 0; b < n; b++) {
            if (a == b || test_uniform(seed) >= chance) continue;
            m->edge[a][b] = true;
            if (test_uniform(seed) < mutual) m->edge[b][a] = true;
        }
    }
    for (uint32_t a = 0; a < n; a++)
        for (uint32_t b = 0; b < n; b++)
            if (m->edge[a][b]) edges[count++] = (exa_graph_edge){a, b, 1};
    edges[count++] = (exa_graph_edge){0, 0, 1}; /* a self-connection is left out */
    assert_ok(exa_graph_build(n, edges, count, g));
}

/* The name by Holland and Leinhardt: mutual, asymmetric and null pairs, and the letter by what the text of each
 * says. */
static int type_of(const matrix *m, uint32_t a, uint32_t b, uint32_t c) {
    const uint32_t node[3] = {a, b, c};
    int mutual = 0, asymmetric = 0, out[3] = {0}, in[3] = {0}, both[3] = {0};
    char name[40];

    for (int i = 0; i < 3; i++) {
        for (int j = i + 1; j < 3; j++) {
            bool to = m->edge[node[i]][node[j]], from = m->edge[node[j]][node[i]];
            mutual += to && from;
            asymmetric += to != from;
            both[i] += to && from;
            both[j] += to && from;
            out[i] += to && !from;
            in[i] += from && !to;
            out[j] += from && !to;
            in[j] += to && !from;
        }
    }
    snprintf(name, sizeof name, "%d%d%d", mutual, asymmetric, 3 - mutual - asymmetric);
    if (strcmp(name, "021") == 0)
        strcat(name, out[0] == 2 || out[1] == 2 || out[2] == 2 ? "D"
                     : in[0] == 2 || in[1] == 2 || in[2] == 2  ? "U"
                                                               : "C");
    if (strcmp(name, "030") == 0) strcat(name, out[0] == 1 && out[1] == 1 && out[2] == 1 ? "C" : "T");
    for (int i = 0; i < 3; i++) {
        /* 111D: the node between has a partner that it answers, and is sent to; 111U: it sends */
        if (strcmp(name, "111") == 0 && both[i] && out[i] + in[i]) strcat(name, in[i] ? "D" : "U");
        if (strcmp(name, "120") == 0 && !both[i]) strcat(name, out[i] == 2 ? "D" : in[i] == 2 ? "U" : "C");
    }
    for (int t = 0; t < EXA_TRIAD_TYPES; t++)
        if (strcmp(exa_triad_names[t], name) == 0) return t;
    fail_msg("no triad is called %s", name);
    return -1;
}

static void compare(const matrix *m, const exa_graph *g, exa_pool *pool) {
    uint64_t expected[EXA_TRIAD_TYPES] = {0}, triangles[MOST] = {0}, node[MOST];
    exa_dyads dyads;
    exa_triads t;

    for (uint32_t a = 0; a < m->n; a++) {
        for (uint32_t b = a + 1; b < m->n; b++) {
            for (uint32_t c = b + 1; c < m->n; c++) {
                int type = type_of(m, a, b, c);
                bool closed = (m->edge[a][b] || m->edge[b][a]) && (m->edge[b][c] || m->edge[c][b]) &&
                              (m->edge[a][c] || m->edge[c][a]);
                expected[type]++;
                triangles[a] += closed;
                triangles[b] += closed;
                triangles[c] += closed;
            }
        }
    }
    assert_ok(exa_dyads_make(g, &dyads));
    assert_ok(exa_triad_census(&dyads, pool, node, &t));
    for (int i = 0; i < EXA_TRIAD_TYPES; i++) assert_int_equal((uint64_t)t.count[i], expected[i]);
    for (uint32_t v = 0; v < m->n; v++) assert_int_equal(node[v], triangles[v]);
    exa_dyads_destroy(&dyads);
}

static void against_all_sets(void **state) {
    uint64_t seed = 11;
    exa_pool *pool;
    matrix m;
    exa_graph g;

    (void)state;
    assert_ok(exa_pool_create(3, false, &pool));
    for (int i = 0; i < 120; i++) {
        uint32_t n = 1 + (uint32_t)(test_random(&seed) % MOST);
        make_graph(&seed, n, test_uniform(&seed) * test_uniform(&seed), test_uniform(&seed), &m, &g);
        compare(&m, &g, i % 2 ? pool : NULL);
        exa_graph_destroy(&g);
    }
    make_graph(&seed, MOST, 1, 0, &m, &g); /* complete */
    compare(&m, &g, pool);
    exa_graph_destroy(&g);
    exa_pool_destroy(&pool);
}

/* Beyond 64 bits: the sets of three of 10^10 nodes, of which two are connected. */
static void wide_counts(void **state) {
    exa_triad_parts parts = {.nodes = 9999999998, .asymmetric = 1};
    exa_triads t;
    char text[EXA_U128_BYTES];

    (void)state;
    exa_triad_add_node(&parts, 1, 0, 0);
    exa_triad_add_node(&parts, 0, 1, 0);
    exa_triad_finish(&parts, &t);
    /* C(10^10, 3) - (10^10 - 2) = 166666666616666666670000000000 - 9999999998 */
    assert_string_equal(exa_u128_text(t.count[0], text), "166666666616666666660000000002");
    assert_int_equal((uint64_t)t.count[1], 9999999998);
    assert_string_equal(exa_u128_text(~(exa_u128)0, text), "340282366920938463463374607431768211455");
}

/* Clustering of a triangle with a tail: 0 - 1 - 2 - 0, 2 - 3. */
static void clustering(void **state) {
    const exa_graph_edge edges[] = {{0, 1, 1}, {1, 2, 1}, {2, 0, 1}, {2, 3, 1}};
    uint64_t node[4];
    double own[4], density;
    exa_clustering c;
    exa_dyads d;
    exa_triads t;
    exa_graph g;

    (void)state;
    assert_ok(exa_graph_build(4, edges, 4, &g));
    assert_ok(exa_dyads_make(&g, &d));
    assert_ok(exa_triad_census(&d, NULL, node, &t));
    exa_clustering_of(&d, node, &t, &c, own);
    assert_true(c.transitivity == 3.0 / 5 && c.defined == 3);
    assert_true(c.local == (1 + 1 + 1.0 / 3) / 4 && c.local_defined == (1 + 1 + 1.0 / 3) / 3);
    assert_true(own[0] == 1 && own[2] == 1.0 / 3 && own[3] != own[3]);
    assert_ok(exa_clustering_out_density(&g, &density)); /* 2 sends to 0 and 3, which are not connected */
    assert_true(density == 0);
    exa_dyads_destroy(&d);
    exa_graph_destroy(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_all_sets), cmocka_unit_test(wide_counts),
                                       cmocka_unit_test(clustering)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
