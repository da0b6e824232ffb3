/* Candidates of stitching: counts as a plain count gives them, mutual best, thresholds, and what of an overlap
 * counts.*/
#include "test_util.h"

#include "exaconn/overlap.h"

static exa_candidate *candidates(const exa_segid *a, const exa_segid *b, size_t n, size_t *count) {
    exa_candidate *list = NULL;
    assert_ok(exa_overlap_candidates(a, b, n, &list, count));
    return list;
}

/* One neurite cut straight, one that is split on the other side, one that ends. */
static void a_small_case_by_hand(void **state) {
    const exa_segid a[] = {1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 0, 3, 3, 0};
    const exa_segid b[] = {9, 9, 9, 0, 8, 8, 8, 8, 7, 7, 7, 0, 0, 0};
    const exa_overlap_options all = {.min_voxels = 1, .min_contained = 1},
                              large = {.min_voxels = 4, .min_contained = 1};
    const exa_overlap_options most = {.min_voxels = 1, .min_fraction = 0.8, .min_contained = 1},
                              same = {.min_voxels = 1, .min_jaccard = 0.7, .min_contained = 1};
    const exa_overlap_options either = {.min_voxels = 1, .best = EXA_MATCH_ONE, .min_contained = 1};
    const exa_overlap_options within = {.min_voxels = 1, .min_jaccard = 0.7, .min_contained = 0.6},
                              large_within = {.min_voxels = 3, .min_jaccard = 0.7, .min_contained = 0.6},
                              more_within = {.min_voxels = 1, .min_jaccard = 0.7, .min_contained = 0.7};
    size_t n;
    exa_candidate *c = candidates(a, b, 14, &n);
    (void)state;
    assert_int_equal(n, 3);
    assert_true(c[0].a == 1 && c[0].b == 9 && c[0].shared == 3 && c[0].size_a == 4 && c[0].size_b == 3 &&
                c[0].best == 3);
    assert_true(c[1].a == 2 && c[1].b == 7 && c[1].shared == 2 && c[1].size_a == 6 && c[1].size_b == 3 &&
                c[1].best == 2);
    assert_true(c[2].a == 2 && c[2].b == 8 && c[2].shared == 4 && c[2].size_a == 6 && c[2].size_b == 4 &&
                c[2].best == 3);
    assert_float_equal(exa_candidate_fraction(&c[1]), 2.0 / 3, 1e-12);
    assert_float_equal(exa_candidate_jaccard(&c[1]), 2.0 / 7, 1e-12);
    assert_true(exa_candidate_passes(&c[0], &all) && !exa_candidate_passes(&c[1], &all));
    assert_true(!exa_candidate_passes(&c[0], &large) && exa_candidate_passes(&c[2], &large));
    assert_true(exa_candidate_passes(&c[0], &most) && exa_candidate_passes(&c[2], &most));
    assert_true(exa_candidate_passes(&c[0], &same) && !exa_candidate_passes(&c[2], &same));
    assert_true(exa_candidate_passes(&c[1], &either));
    /* Two thirds of 7 and all of 8 lie in 2. */
    assert_true(exa_candidate_passes(&c[1], &within) && exa_candidate_passes(&c[2], &within));
    assert_true(!exa_candidate_passes(&c[1], &large_within) && exa_candidate_passes(&c[2], &large_within));
    assert_true(!exa_candidate_passes(&c[1], &more_within) && exa_candidate_passes(&c[2], &more_within));
    free(c);
}

/* Equal overlaps: the smaller partner is best, on both sides, so that exactly one pair is joined. */
static void ties_go_to_the_smaller_id(void **state) {
    const exa_segid a[] = {1, 1, 2, 2}, b[] = {6, 5, 6, 5};
    size_t n;
    exa_candidate *c = candidates(a, b, 4, &n);
    (void)state;
    assert_int_equal(n, 4);
    assert_true(c[0].a == 1 && c[0].b == 5);
    for (size_t i = 0; i < n; i++) assert_int_equal(c[i].best == 3, i == 0);
    free(c);
}

/* Against counting each pair anew, and the same candidates from the other side. */
static void agrees_with_plain_counts_from_both_sides(void **state) {
    enum { N = 4000, LABELS = 12 };
    exa_segid a[N], b[N];
    uint64_t seed = 17;
    (void)state;
    for (int t = 0; t < 20; t++) {
        exa_candidate *ab, *ba;
        size_t n, m, at = 0;
        for (int i = 0; i < N; i++) {
            a[i] = i % 5 && i ? a[i - 1] : test_random(&seed) % LABELS;
            b[i] = i % 7 && i ? b[i - 1] : (test_random(&seed) % LABELS) << 33;
        }
        ab = candidates(a, b, N, &n);
        ba = candidates(b, a, N, &m);
        assert_int_equal(n, m);
        for (exa_segid p = 1; p < LABELS; p++) {
            for (exa_segid q = 1; q < LABELS; q++) {
                uint64_t shared = 0, size_a = 0, size_b = 0;
                for (int i = 0; i < N; i++) {
                    shared += a[i] == p && b[i] == q << 33;
                    size_a += a[i] == p;
                    size_b += b[i] == q << 33;
                }
                if (shared == 0) continue;
                assert_true(at < n);
                assert_true(ab[at].a == p && ab[at].b == q << 33 && ab[at].shared == shared);
                assert_true(ab[at].size_a == size_a && ab[at].size_b == size_b);
                for (size_t k = 0; k < m; k++) {
                    if (ba[k].a == ab[at].b && ba[k].b == ab[at].a)
                        assert_int_equal(ba[k].best >> 1 | (ba[k].best & 1) << 1, ab[at].best);
                }
                at++;
            }
        }
        assert_int_equal(at, n);
        free(ab);
        free(ba);
    }
}

static void nothing_to_match(void **state) {
    const exa_segid none[3] = {0, 0, 0}, some[3] = {4, 4, 4};
    size_t n;
    exa_candidate *c = candidates(none, some, 3, &n);
    (void)state;
    assert_int_equal(n, 0);
    free(c);
    c = candidates(none, some, 0, &n);
    assert_int_equal(n, 0);
    free(c);
}

/* The rim is cut where a chunk's box ends inside the volume, and kept where the volume ends. */
static void rims_are_cut_inside_the_volume(void **state) {
    const exa_box all = {{0, 0, 0}, {100, 100, 100}}, a = {{0, 0, 20}, {60, 100, 50}},
                  b = {{40, 0, 20}, {60, 100, 50}};
    const exa_coord rim[3] = {4, 4, 4}, wide[3] = {10, 0, 0};
    exa_box r = exa_overlap_region(&a, &b, &all, rim);
    (void)state;
    assert_true(r.start[0] == 44 && r.shape[0] == 12); /* 40 to 60 */
    assert_true(r.start[1] == 0 && r.shape[1] == 100);
    assert_true(r.start[2] == 24 && r.shape[2] == 42);
    r = exa_overlap_region(&b, &a, &all, rim);
    assert_true(r.start[0] == 44 && r.shape[0] == 12);
    r = exa_overlap_region(&a, &b, &all, wide);
    assert_int_equal(r.shape[0], 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_case_by_hand),
        cmocka_unit_test(ties_go_to_the_smaller_id),
        cmocka_unit_test(agrees_with_plain_counts_from_both_sides),
        cmocka_unit_test(nothing_to_match),
        cmocka_unit_test(rims_are_cut_inside_the_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
