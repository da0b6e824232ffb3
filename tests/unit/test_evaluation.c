/* Scores against hand-computed cases and a direct (quadratic) computation; independence of order and pieces. */
#include "test_util.h"

#include "exaconn/evaluation.h"

#include <math.h>

static void assert_near(double a, double b) {
    if (!(fabs(a - b) <= 1e-12 * (1.0 + fabs(b)))) fail_msg("%.17g is not %.17g", a, b);
}

static exa_eval_scores score(exa_eval_ignore ignore, const exa_segid *seg, const exa_segid *truth, size_t n) {
    exa_evaluation *e = NULL;
    exa_eval_scores s;

    assert_ok(exa_evaluation_create(ignore, &e));
    assert_ok(exa_evaluation_add(e, seg, truth, n));
    assert_ok(exa_evaluation_scores(e, &s));
    exa_evaluation_destroy(&e);
    assert_null(e);
    return s;
}

static void test_equal_is_perfect(void **state) {
    const exa_segid ids[] = {7, 7, UINT64_MAX, 1, 0, (exa_segid)1 << 40};
    exa_eval_scores s = score(EXA_EVAL_IGNORE_TRUTH, ids, ids, 6);

    (void)state;
    assert_int_equal(s.voxels, 5);
    assert_int_equal(s.ignored_voxels, 1);
    assert_int_equal(s.segments, 4);
    assert_int_equal(s.truth_objects, 4);
    assert_true(s.voi_split == 0 && s.voi_merge == 0 && s.arand_error == 0 && s.rand_index == 1);
}

/* One object cut in equal halves: 1 bit of split; pairs 2*2^2 of 4^2. */
static void test_split_and_merge(void **state) {
    const exa_segid one[] = {1, 1, 1, 1}, two[] = {1, 1, 2, 2};
    exa_eval_scores split = score(EXA_EVAL_IGNORE_TRUTH, two, one, 4),
                    merge = score(EXA_EVAL_IGNORE_TRUTH, one, two, 4);

    (void)state;
    assert_near(split.voi_split, 1);
    assert_near(split.voi_merge, 0);
    assert_near(split.arand_precision, 1);
    assert_near(split.arand_recall, 0.5);
    assert_near(split.arand_error, 1 - 2 * 0.5 / 1.5);
    assert_near(split.rand_index, 2.0 / 6.0);
    assert_near(merge.voi_split, 0);
    assert_near(merge.voi_merge, 1);
    assert_near(merge.arand_precision, 0.5);
    assert_near(merge.arand_recall, 1);
}

static void test_what_is_ignored(void **state) {
    const exa_segid seg[] = {0, 0, 1, 1, 2, 0}, truth[] = {0, 5, 5, 5, 0, 6};
    exa_eval_scores s = score(EXA_EVAL_IGNORE_TRUTH, seg, truth, 6);

    (void)state;
    assert_int_equal(s.voxels, 4); /* pairs (0,5) (1,5)x2 (0,6) */
    assert_int_equal(s.ignored_voxels, 2);
    assert_int_equal(s.segments, 1);
    assert_int_equal(s.truth_objects, 2);
    assert_near(s.arand_precision, 6.0 / 8.0);
    assert_near(s.arand_recall, 6.0 / 10.0);
    /* singletons: sum n^2 = 4 + 2, s^2 = 4 + 2, t^2 = 10 */
    assert_near(s.arand_error_singletons, 1 - 2 * 0.6 / 1.6);
    s = score(EXA_EVAL_IGNORE_BOTH, seg, truth, 6);
    assert_int_equal(s.voxels, 2);
    assert_int_equal(s.ignored_voxels, 4);
    s = score(EXA_EVAL_IGNORE_NONE, seg, truth, 6);
    assert_int_equal(s.voxels, 6);
    assert_int_equal(s.ignored_voxels, 0);
    assert_int_equal(s.overlaps, 5);
    assert_int_equal(s.segments, 2);
}

static void test_nothing_counted(void **state) {
    const exa_segid zero[] = {0, 0, 0}, one[] = {1, 1, 1};
    exa_eval_scores s = score(EXA_EVAL_IGNORE_TRUTH, one, zero, 3);

    (void)state;
    assert_int_equal(s.voxels, 0);
    assert_true(isnan(s.voi_split) && isnan(s.arand_error) && isnan(s.rand_index));
    s = score(EXA_EVAL_IGNORE_TRUTH, one, one, 1);
    assert_true(s.rand_index == 1);
}

enum { N = 3000 };

static void random_labels(exa_segid *out, unsigned labels, uint64_t seed) {
    for (int i = 0; i < N; i++) {
        uint64_t r = test_random(&seed) % labels;
        out[i] = r * r * 0x123456789ABu; /* ids above 2^32, 0 among them */
    }
}

/* All pairs of voxels, by the definitions. */
static void test_against_definitions(void **state) {
    exa_segid seg[N], truth[N];
    double split = 0, merge = 0;
    uint64_t both = 0, same_seg = 0, same_truth = 0, agree = 0;
    exa_eval_scores s;

    (void)state;
    random_labels(seg, 40, 1);
    random_labels(truth, 25, 2);
    s = score(EXA_EVAL_IGNORE_NONE, seg, truth, N);
    for (int i = 0; i < N; i++) {
        uint64_t n = 0, a = 0, b = 0;
        for (int j = 0; j < N; j++) {
            bool x = seg[i] == seg[j], y = truth[i] == truth[j];
            n += x && y;
            a += x;
            b += y;
            if (i < j) agree += x == y;
        }
        both += n;
        same_seg += a;
        same_truth += b;
        split += log2((double)b / (double)n) / N;
        merge += log2((double)a / (double)n) / N;
    }
    if (fabs(s.voi_split - split) > 1e-11 || fabs(s.voi_merge - merge) > 1e-11) fail_msg("VOI differs");
    assert_near(s.arand_precision, (double)both / (double)same_seg);
    assert_near(s.arand_recall, (double)both / (double)same_truth);
    assert_near(s.rand_index, (double)agree / (N * (N - 1.0) / 2));
}

/* Bit-identical scores whatever the order of the voxels. */
static void test_order_does_not_matter(void **state) {
    exa_segid seg[N], truth[N];
    exa_eval_scores first, again;
    exa_evaluation *e = NULL;
    uint64_t seed = 9;

    (void)state;
    random_labels(seg, 2000, 3);
    random_labels(truth, 1000, 4);
    first = score(EXA_EVAL_IGNORE_TRUTH, seg, truth, N);
    assert_ok(exa_evaluation_create(EXA_EVAL_IGNORE_TRUTH, &e));
    for (size_t i = N; i > 1; i--) { /* a shuffle, then uneven pieces */
        size_t j = test_random(&seed) % i;
        exa_segid s = seg[i - 1], t = truth[i - 1];
        seg[i - 1] = seg[j];
        truth[i - 1] = truth[j];
        seg[j] = s;
        truth[j] = t;
    }
    for (size_t i = 0, n; i < N; i += n) {
        n = 1 + test_random(&seed) % 100;
        if (n > N - i) n = N - i;
        assert_ok(exa_evaluation_add(e, seg + i, truth + i, n));
    }
    assert_ok(exa_evaluation_scores(e, &again));
    exa_evaluation_destroy(&e);
    assert_memory_equal(&first, &again, sizeof first);
}

static void test_segments(void **state) {
    const exa_segid seg[] = {9, 9, 9, 4, 4, 4, 4, 0, 5, 5}, truth[] = {1, 2, 2, 8, 8, 7, 7, 7, 0, 1};
    exa_evaluation *e = NULL;
    exa_eval_segment *list;
    size_t n;

    (void)state;
    assert_ok(exa_evaluation_create(EXA_EVAL_IGNORE_TRUTH, &e));
    assert_ok(exa_evaluation_add(e, seg, truth, 10));
    assert_ok(exa_evaluation_segments(e, &list, &n));
    assert_int_equal(n, 3);
    assert_int_equal(list[0].id, 4);
    assert_int_equal(list[0].voxels, 4);
    assert_int_equal(list[0].best_truth, 7); /* a tie: the smaller label */
    assert_int_equal(list[0].overlap, 2);
    assert_int_equal(list[0].truth_voxels, 3); /* with the unsegmented one */
    assert_int_equal(list[1].id, 9);
    assert_int_equal(list[1].best_truth, 2);
    assert_int_equal(list[2].id, 5);
    assert_int_equal(list[2].voxels, 1);
    free(list);
    exa_evaluation_destroy(&e);
}

/* Volumes with other chunks and types, shifted, in pieces down to single voxels. */
static void test_volumes_in_pieces(void **state) {
    static const size_t memories[] = {0, 100000, 1000, 160, 16};
    const char *folder = test_make_folder();
    exa_volume_create_options seg_options = {
        .dtype = EXA_U64, .shape = {7, 9, 11}, .chunk = {3, 4, 5}, .zstd_level = 1};
    exa_volume_create_options truth_options = {.dtype = EXA_U16, .shape = {9, 12, 15}, .chunk = {2, 12, 3}};
    exa_box seg_all = {{0, 0, 0}, {7, 9, 11}}, truth_all = {{0, 0, 0}, {9, 12, 15}}, box = {{1, 0, 2}, {6, 9, 8}};
    const exa_coord shift[3] = {1, 3, 4};
    exa_segid seg[7 * 9 * 11], truth[9 * 12 * 15], a[6 * 9 * 8], b[6 * 9 * 8];
    exa_volume *s = NULL, *t = NULL;
    char name[4200];
    uint64_t seed = 5;
    exa_eval_scores wanted, got;
    size_t n = 0;

    (void)state;
    for (int i = 0; i < 7 * 9 * 11; i++) seg[i] = test_random(&seed) % 5;
    for (int i = 0; i < 9 * 12 * 15; i++) truth[i] = test_random(&seed) % 4;
    for (int z = 0; z < 6; z++)
        for (int y = 0; y < 9; y++)
            for (int x = 0; x < 8; x++, n++) {
                a[n] = seg[((z + 1) * 9 + y) * 11 + x + 2];
                b[n] = truth[((z + 2) * 12 + y + 3) * 15 + x + 6];
            }
    wanted = score(EXA_EVAL_IGNORE_TRUTH, a, b, n);
    snprintf(name, sizeof name, "%s/s.h5:/v", folder);
    assert_ok(exa_volume_create(name, &seg_options, &s));
    assert_ok(exa_volume_write(s, &seg_all, EXA_U64, seg));
    snprintf(name, sizeof name, "%s/t.h5:/v", folder);
    assert_ok(exa_volume_create(name, &truth_options, &t));
    assert_ok(exa_volume_write(t, &truth_all, EXA_U64, truth));
    for (size_t i = 0; i < sizeof memories / sizeof *memories; i++) {
        exa_evaluation *e = NULL;
        assert_ok(exa_evaluation_create(EXA_EVAL_IGNORE_TRUTH, &e));
        assert_ok(exa_evaluation_add_volumes(e, s, t, &box, shift, memories[i]));
        assert_ok(exa_evaluation_scores(e, &got));
        assert_memory_equal(&got, &wanted, sizeof got);
        exa_evaluation_destroy(&e);
    }
    exa_volume_close(&s);
    exa_volume_close(&t);
    test_remove_folder(folder);
}

/* Many labels: the table grows and keeps every count. */
static void test_growth(void **state) {
    enum { M = 200000 };
    exa_segid *seg = malloc(M * sizeof *seg), *truth = malloc(M * sizeof *truth);
    exa_eval_scores s;

    (void)state;
    for (uint64_t i = 0; i < M; i++) {
        seg[i] = (i / 2 + 1) << 32;
        truth[i] = i / 4 + 1;
    }
    s = score(EXA_EVAL_IGNORE_TRUTH, seg, truth, M);
    assert_int_equal(s.segments, M / 2);
    assert_int_equal(s.truth_objects, M / 4);
    assert_int_equal(s.overlaps, M / 2);
    assert_near(s.voi_split, 1);
    assert_near(s.voi_merge, 0);
    free(seg);
    free(truth);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_equal_is_perfect),
        cmocka_unit_test(test_split_and_merge),
        cmocka_unit_test(test_what_is_ignored),
        cmocka_unit_test(test_nothing_counted),
        cmocka_unit_test(test_against_definitions),
        cmocka_unit_test(test_order_does_not_matter),
        cmocka_unit_test(test_segments),
        cmocka_unit_test(test_volumes_in_pieces),
        cmocka_unit_test(test_growth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
