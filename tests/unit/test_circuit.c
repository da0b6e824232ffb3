/* Components, paths, cores, clubs, communities, distances and null models: against plain definitions, and what each
 * null model promises to keep. */
#include "test_util.h"

#include "exaconn/community.h"
#include "exaconn/component.h"
#include "exaconn/core_number.h"
#include "exaconn/degree.h"
#include "exaconn/distance_profile.h"
#include "exaconn/null_model.h"
#include "exaconn/null_statistics.h"
#include "exaconn/path_length.h"
#include "exaconn/rich_club.h"

#include <math.h>

enum { N = 60 };
static const uint32_t never = 1000;

static void random_graph(uint64_t seed, uint32_t n, double chance, bool undirected, exa_graph *g) {
    exa_graph_edge *edges = malloc((size_t)n * n * 2 * sizeof *edges);
    size_t count = 0;

    assert_non_null(edges);
    for (uint32_t a = 0; a < n; a++) {
        for (uint32_t b = 0; b < n; b++) {
            double w = 1 + (double)(test_random(&seed) % 5);
            if (a == b || test_uniform(&seed) >= chance || (undirected && a > b)) continue;
            edges[count++] = (exa_graph_edge){a, b, w};
            if (undirected) edges[count++] = (exa_graph_edge){b, a, w};
        }
    }
    assert_ok(exa_graph_build(n, edges, count, g));
    g->undirected = undirected;
    free(edges);
}

static bool edge(const exa_graph *g, uint32_t a, uint32_t b) {
    return exa_graph_find_edge(g, a, b) < g->edges;
}

/* All distances by Floyd and Warshall. */
static void distances(const exa_graph *g, uint32_t d[N][N]) {
    for (uint32_t a = 0; a < N; a++)
        for (uint32_t b = 0; b < N; b++) d[a][b] = a == b ? 0 : edge(g, a, b) ? 1 : never;
    for (uint32_t k = 0; k < N; k++)
        for (uint32_t a = 0; a < N; a++)
            for (uint32_t b = 0; b < N; b++)
                if (d[a][k] + d[k][b] < d[a][b]) d[a][b] = d[a][k] + d[k][b];
}

static void components_and_paths(void **state) {
    static uint32_t d[N][N];
    exa_pool *pool;
    (void)state;
    assert_ok(exa_pool_create(2, false, &pool));
    for (uint64_t seed = 0; seed < 12; seed++) {
        exa_graph g;
        exa_components strong, weak;
        exa_path_lengths p;
        uint64_t pairs = 0, sum = 0;
        random_graph(seed, N, 0.004 * (double)(seed + 1), seed % 4 == 3, &g);
        distances(&g, d);
        assert_ok(exa_components_strong(&g, &strong));
        assert_ok(exa_components_weak(&g, &weak));
        assert_ok(exa_path_lengths_of(&g, &(exa_path_options){.sources = 0}, pool, &p));
        for (uint32_t a = 0; a < N; a++) {
            for (uint32_t b = 0; b < N; b++) {
                assert_int_equal(strong.of[a] == strong.of[b], d[a][b] < never && d[b][a] < never);
                if (edge(&g, a, b)) assert_int_equal(weak.of[a], weak.of[b]);
                pairs += a != b && d[a][b] < never;
                sum += d[a][b] < never ? d[a][b] : 0;
            }
        }
        assert_int_equal(p.pairs, pairs);
        assert_int_equal(p.sum, sum);
        for (uint32_t k = 1; k < strong.count; k++) assert_true(strong.size[k] <= strong.size[k - 1]);
        exa_components_destroy(&strong);
        exa_components_destroy(&weak);
        exa_graph_destroy(&g);
    }
    exa_pool_destroy(&pool);
}

/* The interval of sampled means holds the true one about 95 times in 100. */
static void sampled_paths(void **state) {
    exa_graph g;
    exa_path_lengths exact, p;
    int inside = 0;
    (void)state;
    random_graph(3, 300, 0.01, false, &g);
    assert_ok(exa_path_lengths_of(&g, &(exa_path_options){.sources = 0}, NULL, &exact));
    assert_true(!exact.sampled && exact.low == exact.mean);
    for (uint64_t s = 0; s < 100; s++) {
        assert_ok(exa_path_lengths_of(&g, &(exa_path_options){.sources = 40, .seed = 1, .stream = s}, NULL, &p));
        assert_true(p.sampled && p.sources == 40 && p.low < p.mean);
        inside += p.low <= exact.mean && exact.mean <= p.high;
    }
    assert_in_range(inside, 86, 100);
    exa_graph_destroy(&g);
}

/* By taking nodes away one at a time. */
static void cores(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 10; seed++) {
        uint32_t core[N], largest, expected[N] = {0};
        exa_graph g;
        exa_dyads d;
        random_graph(seed, N, 0.01 * (double)(seed + 1), false, &g);
        assert_ok(exa_dyads_make(&g, &d));
        assert_ok(exa_core_numbers(&d, core, &largest));
        for (uint32_t k = 1; k <= N; k++) {
            bool there[N], changed = true;
            memset(there, 1, sizeof there);
            while (changed) {
                changed = false;
                for (uint32_t v = 0; v < N; v++) {
                    uint32_t left = 0;
                    for (uint32_t w = 0; w < N; w++)
                        left += there[w] && v != w && (edge(&g, v, w) || edge(&g, w, v));
                    if (there[v] && left < k) {
                        there[v] = false;
                        changed = true;
                    }
                }
            }
            for (uint32_t v = 0; v < N; v++) expected[v] = there[v] ? k : expected[v];
        }
        assert_memory_equal(core, expected, sizeof core);
        exa_dyads_destroy(&d);
        exa_graph_destroy(&g);
    }
}

static void rich_clubs(void **state) {
    exa_graph g;
    exa_rich_club r;
    (void)state;
    random_graph(5, N, 0.15, false, &g);
    assert_ok(exa_rich_club_of(&g, NULL, &r));
    assert_true(r.count > 3);
    for (uint32_t i = 0; i < r.count; i++) {
        uint32_t degree[N] = {0}, nodes = 0;
        uint64_t edges = 0;
        for (uint32_t a = 0; a < N; a++)
            for (uint32_t b = 0; b < N; b++) degree[a] += edge(&g, a, b) + edge(&g, b, a);
        for (uint32_t a = 0; a < N; a++) {
            nodes += degree[a] > r.degree[i];
            for (uint32_t b = 0; b < N; b++)
                edges += degree[a] > r.degree[i] && degree[b] > r.degree[i] && edge(&g, a, b);
        }
        assert_int_equal(r.nodes[i], nodes);
        assert_int_equal(r.edges[i], edges);
    }
    exa_graph_destroy(&g);
}

/* Four groups that connect to themselves ten times as often are found; all in one has modularity 0. */
static void communities(void **state) {
    const exa_community_options o = {.resolution = 1, .runs = 3, .seed = 7};
    enum { ALL = 200 };
    exa_graph_edge *edges = malloc(ALL * ALL * sizeof *edges);
    size_t count = 0;
    uint64_t seed = 4;
    uint32_t one[ALL] = {0};
    exa_components c, again;
    exa_graph g;
    double q, q2;
    (void)state;
    assert_non_null(edges);
    for (uint32_t a = 0; a < ALL; a++)
        for (uint32_t b = 0; b < ALL; b++)
            if (a != b && test_uniform(&seed) < (a % 4 == b % 4 ? 0.2 : 0.02))
                edges[count++] = (exa_graph_edge){a, b, 1};
    assert_ok(exa_graph_build(ALL, edges, count, &g));
    assert_ok(exa_communities_of(&g, &o, &c, &q));
    assert_int_equal(c.count, 4);
    for (uint32_t v = 0; v < ALL; v++) assert_int_equal(c.of[v], c.of[v % 4]);
    assert_true(q == exa_modularity(&g, c.of, 1) && q > 0.4);
    assert_true(fabs(exa_modularity(&g, one, 1)) < 1e-12);
    assert_ok(exa_communities_of(&g, &o, &again, &q2));
    assert_true(q == q2);
    exa_components_destroy(&c);
    exa_components_destroy(&again);
    exa_graph_destroy(&g);
    free(edges);
}

static uint64_t mutual_of(const exa_graph *g, uint32_t v) {
    uint64_t n = 0;
    for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) n += edge(g, g->target[i], v);
    return n;
}

static uint64_t in_degree(const exa_graph *g, uint32_t v) {
    uint64_t n = 0;
    for (uint64_t i = 0; i < g->edges; i++) n += g->target[i] == v;
    return n;
}

/* What is kept, and that not everything is. */
static void check_null(const exa_graph *g, exa_null_model model, const exa_null_options *o) {
    exa_graph r, again;
    uint64_t swaps, same = 0;

    assert_ok(exa_null_make(g, model, o, 3, &r, &swaps));
    assert_ok(exa_null_make(g, model, o, 3, &again, NULL));
    assert_int_equal(r.edges, g->edges);
    assert_memory_equal(r.target, again.target, r.edges * sizeof *r.target);
    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = r.begin[v]; i < r.begin[v + 1]; i++) {
            assert_true(r.target[i] != v && (i == r.begin[v] || r.target[i] > r.target[i - 1]));
            if (g->undirected) assert_true(edge(&r, r.target[i], v));
            same += edge(g, v, r.target[i]);
        }
        if (model == EXA_NULL_ERDOS_RENYI) continue;
        assert_int_equal(r.begin[v + 1] - r.begin[v], g->begin[v + 1] - g->begin[v]);
        assert_int_equal(in_degree(&r, v), in_degree(g, v));
        if (model == EXA_NULL_MUTUAL) assert_int_equal(mutual_of(&r, v), mutual_of(g, v));
    }
    assert_true(same < g->edges * 3 / 4);
    exa_graph_destroy(&again);
    assert_ok(exa_null_make(g, model, o, 4, &again, NULL)); /* another replica is another graph */
    assert_true(memcmp(r.target, again.target, r.edges * sizeof *r.target) != 0);
    exa_graph_destroy(&r);
    exa_graph_destroy(&again);
}

static void null_models(void **state) {
    const exa_null_options o = {.swaps = 10, .seed = 2};
    exa_graph g;
    (void)state;
    for (int undirected = 0; undirected < 2; undirected++) {
        random_graph(8, N, 0.12, undirected, &g);
        for (int m = 0; m < EXA_NULL_DISTANCE; m++) check_null(&g, (exa_null_model)m, &o);
        exa_graph_destroy(&g);
    }
    random_graph(8, N, 0.12, false, &g);
    assert_fails(EXA_ERR_CONFIG, "needs positions",
                 exa_null_make(&g, EXA_NULL_DISTANCE, &o, 0, &(exa_graph){0}, NULL));
    exa_graph_destroy(&g);
}

/* Beyond some nodes connections are kept in a hash table instead of a bit each: the same promises. */
static void null_models_of_many_nodes(void **state) {
    enum { NODES = 20000, EDGES = 60000 };
    const exa_null_options o = {.swaps = 10, .seed = 2};
    exa_graph_edge *edges = malloc(EDGES * sizeof *edges);
    uint64_t seed = 9, *in = calloc(2 * NODES, sizeof *in);
    exa_graph g, r;
    (void)state;
    assert_true(edges && in);
    for (int i = 0; i < EDGES; i += 2) {
        uint32_t a = (uint32_t)(test_random(&seed) % NODES), b = (uint32_t)(test_random(&seed) % NODES);
        edges[i] = (exa_graph_edge){a, b, 1};
        edges[i + 1] = (exa_graph_edge){i % 6 ? a : b, i % 6 ? (b + 1) % NODES : a, 1};
    }
    assert_ok(exa_graph_build(NODES, edges, EDGES, &g));
    for (int m = 0; m < EXA_NULL_DISTANCE; m++) {
        uint64_t same = 0;
        assert_ok(exa_null_make(&g, (exa_null_model)m, &o, 1, &r, NULL));
        assert_int_equal(r.edges, g.edges); /* no pair twice, none lost */
        memset(in, 0, 2 * NODES * sizeof *in);
        for (uint32_t v = 0; v < NODES; v++) {
            for (uint64_t i = r.begin[v]; i < r.begin[v + 1]; i++) {
                in[r.target[i]]++;
                same += edge(&g, v, r.target[i]);
            }
            for (uint64_t i = g.begin[v]; i < g.begin[v + 1]; i++) in[NODES + g.target[i]]++;
            if (m == EXA_NULL_ERDOS_RENYI) continue;
            assert_int_equal(r.begin[v + 1] - r.begin[v], g.begin[v + 1] - g.begin[v]);
            if (m == EXA_NULL_MUTUAL) assert_int_equal(mutual_of(&r, v), mutual_of(&g, v));
        }
        if (m != EXA_NULL_ERDOS_RENYI) assert_memory_equal(in, in + NODES, NODES * sizeof *in);
        assert_true(same < g.edges / 20);
        exa_graph_destroy(&r);
    }
    exa_graph_destroy(&g);
    free(edges);
    free(in);
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Nodes in a cube; near ones connect. The model keeps the twelfths of the lengths. */
static void lengths_kept(void **state) {
    enum { CUBE = 150, MOST = CUBE * CUBE };
    static double position[3 * CUBE], own[MOST], random[MOST];
    exa_graph_edge *edges = malloc(MOST * sizeof *edges);
    exa_null_options o = {.swaps = 10, .seed = 2, .position_nm = position};
    exa_distance_profile p;
    exa_graph g, r;
    size_t count = 0, k = 0;
    uint64_t seed = 6, all = 0, connected = 0;
    (void)state;
    assert_non_null(edges);
    for (size_t i = 0; i < 3 * CUBE; i++) position[i] = 1000 * test_uniform(&seed);
    for (uint32_t a = 0; a < CUBE; a++) {
        for (uint32_t b = 0; b < CUBE; b++) {
            double d = hypot(hypot(position[3 * a] - position[3 * b], position[3 * a + 1] - position[3 * b + 1]),
                             position[3 * a + 2] - position[3 * b + 2]);
            if (a == b || test_uniform(&seed) >= exp(-d / 200)) continue;
            edges[count] = (exa_graph_edge){a, b, 1};
            own[count++] = d;
        }
    }
    assert_ok(exa_graph_build(CUBE, edges, count, &g));
    check_null(&g, EXA_NULL_DISTANCE, &o);
    assert_ok(exa_null_make(&g, EXA_NULL_DISTANCE, &o, 0, &r, NULL));
    for (uint32_t a = 0; a < CUBE; a++)
        for (uint64_t i = r.begin[a]; i < r.begin[a + 1]; i++, k++) {
            uint32_t b = r.target[i];
            random[k] = hypot(hypot(position[3 * a] - position[3 * b], position[3 * a + 1] - position[3 * b + 1]),
                              position[3 * a + 2] - position[3 * b + 2]);
        }
    qsort(own, count, sizeof *own, ascending);
    qsort(random, count, sizeof *random, ascending);
    for (int c = 1; c < EXA_NULL_LENGTH_CLASSES; c++) {
        size_t end = (size_t)c * count / EXA_NULL_LENGTH_CLASSES;
        assert_true(random[end - 1] <= own[end - 1] + 1e-9 && random[end] > own[end - 1] - 1e-9);
    }
    assert_ok(exa_distance_profile_of(&g, position, NULL, &p));
    for (uint32_t b = 0; b < p.bins; b++) {
        all += p.pairs[b];
        connected += p.connected[b];
    }
    assert_int_equal(all, CUBE * (CUBE - 1));
    assert_int_equal(connected, g.edges);
    assert_true(p.length_nm > 150 && p.length_nm < 260);
    exa_graph_destroy(&g);
    exa_graph_destroy(&r);
    free(edges);
}

/* z by hand from the replicas themselves; NA where nothing varies; the same with threads. */
static void scores(void **state) {
    exa_null_plan plan = {.null = {.swaps = 10, .seed = 2}, .replicas = 30};
    exa_rich_club club;
    exa_null_result one, two;
    exa_pool *pool;
    exa_graph g;
    double x[30], mean = 0, sd = 0;
    (void)state;
    random_graph(12, N, 0.1, false, &g);
    assert_ok(exa_rich_club_of(&g, NULL, &club));
    plan.club = &club;
    assert_ok(exa_pool_create(3, false, &pool));
    assert_ok(exa_null_compare(&g, EXA_NULL_MUTUAL, &plan, NULL, &one));
    assert_ok(exa_null_compare(&g, EXA_NULL_MUTUAL, &plan, pool, &two));
    for (int i = 0; i < EXA_STATISTIC_RICH_CLUB + (int)club.count; i++)
        assert_memory_equal(&one.statistic[i], &two.statistic[i], offsetof(exa_null_summary, replicas));
    for (uint64_t k = 0; k < 30; k++) {
        exa_graph r;
        exa_dyads d;
        exa_triads t;
        assert_ok(exa_null_make(&g, EXA_NULL_MUTUAL, &plan.null, k, &r, NULL));
        assert_ok(exa_dyads_make(&r, &d));
        assert_ok(exa_triad_census(&d, NULL, NULL, &t));
        x[k] = (double)t.count[8];
        mean += x[k] / 30;
        exa_dyads_destroy(&d);
        exa_graph_destroy(&r);
    }
    for (int k = 0; k < 30; k++) sd += (x[k] - mean) * (x[k] - mean) / 29;
    assert_true(fabs(one.statistic[8].mean - mean) < 1e-9 && fabs(one.statistic[8].sd - sqrt(sd)) < 1e-9);
    assert_true(fabs(one.statistic[8].z - (one.statistic[8].observed - mean) / sqrt(sd)) < 1e-9);
    assert_true(one.statistic[EXA_STATISTIC_MUTUAL].sd == 0 && isnan(one.statistic[EXA_STATISTIC_MUTUAL].z));
    assert_true(one.statistic[EXA_STATISTIC_MUTUAL].p == 1);
    exa_pool_destroy(&pool);
    exa_graph_destroy(&g);
}

/* The sums of a hand-made graph: 0 <-> 1, 0 -> 2. */
static void degrees(void **state) {
    const exa_graph_edge edges[] = {{0, 1, 2}, {1, 0, 3}, {0, 2, 4}};
    exa_assortativity a;
    exa_reciprocity r;
    exa_degrees d;
    exa_dyads y;
    exa_graph g;
    (void)state;
    assert_ok(exa_graph_build(4, edges, 3, &g));
    assert_ok(exa_dyads_make(&g, &y));
    assert_ok(exa_degrees_make(&g, &y, &d));
    exa_reciprocity_of(&y, &r);
    exa_assortativity_of(&g, &y, &d, &a);
    assert_true(r.mutual == 1 && r.asymmetric == 1 && r.edges == 2.0 / 3 && r.dyads == 0.5);
    assert_true(exa_density(&g) == 3.0 / 12);
    assert_true(d.out[0] == 2 && d.in[0] == 1 && d.neighbors[0] == 2 && d.out_weight[0] == 6 &&
                d.in_weight[0] == 3);
    assert_true(d.neighbors[3] == 0 && a.neighbors == -1 && isnan(a.out_in));
    exa_degrees_destroy(&d);
    exa_dyads_destroy(&y);
    exa_graph_destroy(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(components_and_paths),
                                       cmocka_unit_test(sampled_paths),
                                       cmocka_unit_test(cores),
                                       cmocka_unit_test(rich_clubs),
                                       cmocka_unit_test(communities),
                                       cmocka_unit_test(null_models),
                                       cmocka_unit_test(null_models_of_many_nodes),
                                       cmocka_unit_test(lengths_kept),
                                       cmocka_unit_test(scores),
                                       cmocka_unit_test(degrees)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
