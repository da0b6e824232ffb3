/* The census over ranks counts what one process counts; replicas of null models are the same bits on any number of
 * ranks: their digest was written down on one. */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/hash.h"
#include "exaconn/null_statistics.h"
#include "exaconn/path_length.h"
#include "exaconn/rmat.h"
#include "exaconn/triad_ranks.h"

static void make_graph(const exa_rmat *rmat, uint64_t connections, exa_graph *g) {
    exa_graph_edge *edges = malloc(connections * sizeof *edges);

    assert_non_null(edges);
    for (uint64_t i = 0; i < connections; i++) {
        uint64_t e = exa_rmat_edge(rmat, i);
        edges[i] = (exa_graph_edge){(uint32_t)(e >> 32), (uint32_t)e, 1};
    }
    assert_ok(exa_graph_build((uint32_t)1 << rmat->scale, edges, connections, g));
    free(edges);
}

static void compare(uint32_t scale, uint64_t connections, uint64_t seed) {
    const exa_rmat rmat = exa_rmat_defaults(scale, seed);
    uint64_t *mine, n = 0, ranks = (uint64_t)exa_comm_size();
    exa_triad_ranks all;
    exa_triads alone;
    exa_dyads d;
    exa_graph g;

    assert_ok(exa_alloc(connections, sizeof *mine, "a test", &mine));
    for (uint64_t i = 0; i < connections; i++) /* any rank may have any part; some connections are given twice */
        if (exa_hash_u64(i) % ranks == (uint64_t)exa_comm_rank() || (i % 7 == 0 && exa_comm_rank() == 0))
            mine[n++] = exa_rmat_edge(&rmat, i);
    assert_ok(exa_triad_census_ranks(&mine, n, (uint32_t)1 << scale, &all));
    assert_null(mine);
    make_graph(&rmat, connections, &g);
    assert_ok(exa_dyads_make(&g, &d));
    assert_ok(exa_triad_census(&d, NULL, NULL, &alone));
    assert_int_equal(all.edges, g.edges);
    assert_memory_equal(&all.triads, &alone, sizeof alone);
    exa_dyads_destroy(&d);
    exa_graph_destroy(&g);
}

static void census(void **state) {
    (void)state;
    compare(3, 20, 1);
    compare(2, 0, 1);
    compare(10, 12000, 2);
    compare(13, 60000, 3);
}

static void wrong_node(void **state) {
    uint64_t *edges;
    exa_triad_ranks r;
    (void)state;
    assert_ok(exa_alloc(1, sizeof *edges, "a test", &edges));
    edges[0] = (uint64_t)3 << 32 | 9;
    exa_status st = exa_triad_census_ranks(&edges, exa_comm_rank() == exa_comm_size() - 1, 5, &r);
    assert_int_equal(st, EXA_ERR_RANGE);
    free(edges);
}

static uint64_t digest(uint64_t h, const void *data, size_t size) {
    const unsigned char *p = data;
    for (size_t i = 0; i < size; i++) h = exa_hash_u64(h ^ p[i]);
    return h;
}

static void replicas(void **state) {
    const exa_rmat rmat = exa_rmat_defaults(8, 5);
    static double position[3 * 256];
    exa_null_plan plan = {
        .null = {.swaps = 5, .seed = 3, .position_nm = position}, .replicas = 7, .path_sources = 20};
    exa_path_lengths paths;
    exa_rich_club club;
    exa_graph g;
    uint64_t seed = 1, h = 0;

    (void)state;
    for (int i = 0; i < 3 * 256; i++) position[i] = 1000 * test_uniform(&seed);
    make_graph(&rmat, 2500, &g);
    assert_ok(exa_rich_club_of(&g, NULL, &club));
    plan.club = &club;
    for (int m = 0; m < EXA_NULL_MODELS; m++) {
        exa_null_result r;
        assert_ok(exa_null_compare(&g, (exa_null_model)m, &plan, NULL, &r));
        for (int i = 0; i < EXA_STATISTIC_RICH_CLUB + (int)club.count; i++) {
            const double numbers[] = {r.statistic[i].mean, r.statistic[i].sd,
                                      r.statistic[i].z == r.statistic[i].z ? r.statistic[i].z : -1};
            h = digest(h, numbers, sizeof numbers);
        }
    }
    assert_ok(
        exa_path_lengths_of(&g, &(exa_path_options){.sources = 100, .share_among_ranks = true}, NULL, &paths));
    h = digest(h, &paths.sum, sizeof paths.sum);
    h = digest(h, &paths.high, sizeof paths.high);
    if (h != 0x63d084ab527d59bcu) fail_msg("the digest is 0x%llx", (unsigned long long)h);
    exa_graph_destroy(&g);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(census), cmocka_unit_test(wrong_node),
                                       cmocka_unit_test(replicas)};
    int failed;

    if (exa_comm_init() != EXA_OK) return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    exa_comm_finalize();
    return failed;
}
