/* Union-find over the ranks: the same sets as in one process, whatever the number of ranks, who knows which edge
 * and how the ids are shared out; and every rank ends when one fails. */
#include "test_util.h"

#include "exaconn/comm.h"
#include "exaconn/hash.h"
#include "exaconn/union_tree.h"

#include <mpi.h>

static const exa_segid ids = 20000;
static const uint64_t edges_wanted = 18000;

/* Edge i of graph `seed`: mostly between neighbours on the curve, some far; ids from 1. */
static exa_edge edge_of(uint64_t seed, uint64_t i) {
    uint64_t h = exa_hash_u64(exa_hash_u64(seed) + i), reach = h % 8 == 0 ? ids : h % 8 < 3 ? 3000 : 30;
    exa_segid a = 1 + exa_hash_u64(h) % ids, b = a + exa_hash_u64(h + 1) % reach;
    return (exa_edge){a, b <= ids ? b : ids};
}

/* Shares the ids out: evenly, or all to the last rank, or with ranks that own nothing. */
static void share(uint64_t seed, exa_segid *first) {
    int size = exa_comm_size();
    for (int r = 0; r <= size; r++) first[r] = 1 + ids * (uint64_t)r / (uint64_t)size;
    if (seed % 3 == 1) {
        for (int r = 1; r < size; r++) first[r] = 1;
    } else if (seed % 3 == 2) {
        for (int r = 1; r < size; r++) first[r] = first[r / 2 * 2];
    }
}

/* Each edge is known to one rank, and every fifth to two. */
static bool knows(uint64_t seed, uint64_t i, int rank) {
    uint64_t size = (uint64_t)exa_comm_size(), h = exa_hash_u64(i ^ seed << 32);
    return h % size == (uint64_t)rank || (h % 5 == 0 && (h / 5) % size == (uint64_t)rank);
}

static void make_edges(uint64_t seed, exa_edge **edges, size_t *count) {
    *count = 0;
    *edges = malloc(edges_wanted * sizeof **edges);
    assert_non_null(*edges);
    for (uint64_t i = 0; i < edges_wanted; i++) {
        if (knows(seed, i, exa_comm_rank())) (*edges)[(*count)++] = edge_of(seed, i);
    }
}

/* A sum over (id, root) that does not depend on who holds them. */
static uint64_t digest_of(const exa_mapping *m) {
    uint64_t mine = 0, all;
    for (size_t i = 0; i < m->count; i++) mine += exa_hash_u64(exa_hash_u64(m->id[i]) ^ m->root[i]);
    MPI_Allreduce(&mine, &all, 1, MPI_UINT64_T, MPI_SUM, MPI_COMM_WORLD);
    return all;
}

static void check_own(const exa_mapping *m, const exa_segid *first) {
    int rank = exa_comm_rank();
    for (size_t i = 0; i < m->count; i++) {
        assert_true(m->id[i] >= first[rank] && m->id[i] < first[rank + 1]);
        assert_true(i == 0 || m->id[i - 1] < m->id[i]);
    }
}

static void same_sets_as_one_process(void **state) {
    exa_segid *first = malloc(((size_t)exa_comm_size() + 1) * sizeof *first);
    (void)state;
    assert_non_null(first);
    for (uint64_t seed = 0; seed < 6; seed++) {
        exa_union_find *alone = NULL;
        exa_mapping mapping, expected;
        exa_edge *edges;
        size_t count;
        share(seed, first);
        make_edges(seed, &edges, &count);
        assert_ok(exa_union_tree(edges, count, first, &mapping, NULL));
        check_own(&mapping, first);
        assert_ok(exa_union_find_create(0, &alone));
        for (uint64_t i = 0; i < edges_wanted; i++) {
            exa_edge e = edge_of(seed, i);
            assert_ok(exa_union_find_join(alone, e.a, e.b));
        }
        assert_ok(exa_union_find_mapping(alone, &expected));
        for (size_t i = 0; i < mapping.count; i++)
            assert_int_equal(mapping.root[i], exa_mapping_root(&expected, mapping.id[i]));
        uint64_t digest = digest_of(&mapping), whole = 0;
        for (size_t i = 0; i < expected.count; i++)
            whole += exa_hash_u64(exa_hash_u64(expected.id[i]) ^ expected.root[i]);
        assert_int_equal(digest, whole);
        exa_mapping_destroy(&mapping);
        exa_mapping_destroy(&expected);
        exa_union_find_destroy(&alone);
        free(edges);
    }
    free(first);
}

/* One chain through all ids, each edge known to a rank that owns neither end: the worst for the tree. */
static void one_chain_through_all(void **state) {
    size_t size = (size_t)exa_comm_size(), count = 0;
    exa_segid *first = malloc((size + 1) * sizeof *first);
    exa_edge *edges = malloc(ids * sizeof *edges);
    exa_mapping mapping;
    (void)state;
    assert_non_null(first);
    assert_non_null(edges);
    share(0, first);
    for (exa_segid id = 1; id < ids; id++) {
        if (exa_hash_u64(id) % size == (uint64_t)exa_comm_rank()) edges[count++] = (exa_edge){id + 1, id};
    }
    assert_ok(exa_union_tree(edges, count, first, &mapping, NULL));
    check_own(&mapping, first);
    assert_int_equal(mapping.count, first[exa_comm_rank() + 1] - first[exa_comm_rank()]);
    for (size_t i = 0; i < mapping.count; i++) assert_int_equal(mapping.root[i], 1);
    exa_mapping_destroy(&mapping);
    free(edges);
    free(first);
}

static void nothing_to_join(void **state) {
    exa_segid *first = malloc(((size_t)exa_comm_size() + 1) * sizeof *first);
    exa_mapping mapping;
    (void)state;
    assert_non_null(first);
    share(0, first);
    assert_ok(exa_union_tree(NULL, 0, first, &mapping, NULL));
    assert_int_equal(mapping.count, 0);
    exa_mapping_destroy(&mapping);
    free(first);
}

/* A bad edge on the last rank: all ranks say so, and none hangs. */
static void a_bad_edge_fails_on_all(void **state) {
    const exa_edge bad = {5, ids + 1}, zero = {0, 5};
    exa_segid *first = malloc(((size_t)exa_comm_size() + 1) * sizeof *first);
    exa_mapping mapping = {.count = 99};
    bool last = exa_comm_rank() == exa_comm_size() - 1;
    (void)state;
    assert_non_null(first);
    share(0, first);
    assert_fails(EXA_ERR_RANGE, last ? "joins supervoxels 5 and" : "",
                 exa_union_tree(&bad, last, first, &mapping, NULL));
    assert_fails(EXA_ERR_RANGE, last ? "joins supervoxels 0 and" : "",
                 exa_union_tree(&zero, last, first, &mapping, NULL));
    assert_int_equal(mapping.count, 99);
    free(first);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_sets_as_one_process),
        cmocka_unit_test(one_chain_through_all),
        cmocka_unit_test(nothing_to_join),
        cmocka_unit_test(a_bad_edge_fails_on_all),
    };
    int failed;
    if (exa_comm_init() != EXA_OK) return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    exa_comm_finalize();
    return failed;
}
