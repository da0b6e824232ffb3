/* Union-find: the sets that a graph search finds, the smallest id as root, in any order of joining. */
#include "test_util.h"

#include "exaconn/union_find.h"

/* Ids far apart, near 2^64 and next to each other. */
static exa_segid id_of(uint64_t i) {
    return i % 3 == 0 ? i + 1 : i % 3 == 1 ? i << 40 | 7 : UINT64_MAX - i;
}

/* The smallest id that can be reached, by going along all edges until nothing changes. */
static void flood(const exa_edge *edges, size_t n, exa_segid *root, size_t nodes, const exa_segid *ids) {
    bool changed = true;
    for (size_t i = 0; i < nodes; i++) root[i] = ids[i];
    while (changed) {
        changed = false;
        for (size_t e = 0; e < n; e++) {
            size_t a = 0, b = 0;
            while (ids[a] != edges[e].a) a++;
            while (ids[b] != edges[e].b) b++;
            if (root[a] == root[b]) continue;
            root[a] = root[b] = root[a] < root[b] ? root[a] : root[b];
            changed = true;
        }
    }
}

static void agrees_with_a_search(void **state) {
    enum { NODES = 60, EDGES = 50 };
    uint64_t seed = 3;
    (void)state;
    for (int t = 0; t < 200; t++) {
        exa_segid ids[NODES], root[NODES];
        exa_edge edges[EDGES];
        exa_union_find *u = NULL;
        exa_mapping m;
        for (uint64_t i = 0; i < NODES; i++) ids[i] = id_of(i + (uint64_t)t);
        for (int e = 0; e < EDGES; e++)
            edges[e] = (exa_edge){ids[test_random(&seed) % NODES], ids[test_random(&seed) % NODES]};
        flood(edges, EDGES, root, NODES, ids);
        assert_ok(exa_union_find_create(0, &u));
        for (int e = 0; e < EDGES; e++) assert_ok(exa_union_find_join(u, edges[e].a, edges[e].b));
        for (int i = 0; i < NODES; i++) assert_int_equal(exa_union_find_root(u, ids[i]), root[i]);
        assert_ok(exa_union_find_mapping(u, &m));
        for (size_t i = 1; i < m.count; i++) assert_true(m.id[i - 1] < m.id[i]);
        for (int i = 0; i < NODES; i++) assert_int_equal(exa_mapping_root(&m, ids[i]), root[i]);
        assert_int_equal(exa_mapping_root(&m, 123456789), 123456789);
        exa_mapping_destroy(&m);
        exa_union_find_destroy(&u);
    }
}

/* Chains are the worst that paths can be: joined from the front, from the back, and shuffled, through many
 * growths.*/
static void long_chains_in_any_order(void **state) {
    enum { N = 300000 };
    uint32_t *order = malloc(N * sizeof *order);
    uint64_t seed = 5;
    (void)state;
    assert_non_null(order);
    for (int way = 0; way < 3; way++) {
        exa_union_find *u = NULL;
        exa_mapping m;
        for (uint32_t i = 0; i < N; i++) order[i] = way == 1 ? N - 1 - i : i;
        for (uint32_t i = N - 1; way == 2 && i > 0; i--) {
            uint32_t j = (uint32_t)(test_random(&seed) % (i + 1)), swap = order[i];
            order[i] = order[j];
            order[j] = swap;
        }
        assert_ok(exa_union_find_create(way == 0 ? N : 1, &u));
        for (uint32_t i = 0; i < N; i++) /* ten chains that do not meet */
            assert_ok(exa_union_find_join(u, 1000 + order[i], 1000 + order[i] + 10));
        assert_ok(exa_union_find_mapping(u, &m));
        assert_int_equal(m.count, N + 10);
        for (size_t i = 0; i < m.count; i++) {
            assert_int_equal(m.id[i], 1000 + i);
            assert_int_equal(m.root[i], 1000 + i % 10);
        }
        exa_mapping_destroy(&m);
        exa_union_find_destroy(&u);
    }
    free(order);
}

static void background_and_nothing(void **state) {
    exa_union_find *u = NULL;
    exa_mapping m;
    (void)state;
    assert_ok(exa_union_find_create(0, &u));
    assert_fails(EXA_ERR_RANGE, "background", exa_union_find_join(u, 0, 5));
    assert_fails(EXA_ERR_RANGE, "background", exa_union_find_join(u, 5, 0));
    assert_ok(exa_union_find_mapping(u, &m));
    assert_int_equal(m.count, 0);
    assert_int_equal(exa_mapping_root(&m, 5), 5);
    assert_int_equal(exa_union_find_root(u, 0), 0);
    exa_mapping_destroy(&m);
    assert_ok(exa_union_find_join(u, 5, 5));
    assert_int_equal(exa_union_find_root(u, 5), 5);
    exa_union_find_destroy(&u);
    exa_union_find_destroy(&u);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_search),
        cmocka_unit_test(long_chains_in_any_order),
        cmocka_unit_test(background_and_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
