/* The fraction done and the time left. */
#include "test_util.h"

#include "exaconn/progress.h"

static void test_fraction(void **state) {
    (void)state;
    assert_float_equal(exa_progress_fraction(&(exa_progress_state){.seeds_done = 1, .seeds = 4}), 0.25f, 1e-9f);
    /* One giant first object: the steps tell more than the seeds. */
    assert_float_equal(exa_progress_fraction(&(exa_progress_state){
                           .seeds_done = 1, .seeds = 1000, .steps = 50, .steps_expected = 100.0}),
                       0.5f, 1e-9f);
    /* More steps than expected never look finished. */
    assert_float_equal(exa_progress_fraction(&(exa_progress_state){
                           .seeds_done = 1, .seeds = 1000, .steps = 500, .steps_expected = 100.0}),
                       0.95f, 1e-6f);
    assert_float_equal(exa_progress_fraction(&(exa_progress_state){.seeds_done = 7, .seeds = 7}), 1.0f, 1e-9f);
    assert_float_equal(exa_progress_fraction(&(exa_progress_state){0}), 0.0f, 1e-9f);
}

static void test_eta(void **state) {
    (void)state;
    assert_float_equal(exa_progress_eta(&(exa_progress_state){.seeds_done = 1, .seeds = 4}, 10.0), 30.0f, 1e-6f);
    assert_true(exa_progress_eta(&(exa_progress_state){.seeds = 4}, 10.0) < 0);
}

static void test_duration(void **state) {
    char out[32];
    (void)state;
    assert_string_equal(exa_format_duration(12.4, out), "12 s");
    assert_string_equal(exa_format_duration(200.0, out), "3 min 20 s");
    assert_string_equal(exa_format_duration(3720.0, out), "1 h 02 min");
}

static int reports;
static void count_report(const exa_progress_state *s, double elapsed, double eta, void *context) {
    (void)s, (void)elapsed, (void)eta, (void)context;
    reports++;
}

static void test_interval(void **state) {
    exa_progress *p;
    (void)state;
    assert_ok(exa_progress_create(0.05, count_report, NULL, &p));
    for (int i = 0; i < 30; i++) {
        exa_progress_update(p, &(exa_progress_state){.seeds_done = i, .seeds = 30});
        usleep(10000);
    }
    assert_true(reports >= 2 && reports <= 7);
    exa_progress_destroy(&p);
    assert_null(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_fraction), cmocka_unit_test(test_eta),
                                       cmocka_unit_test(test_duration), cmocka_unit_test(test_interval)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
