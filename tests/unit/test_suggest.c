/* Nearest names: distances by hand, what is offered and what is not. */
#include "test_util.h"

#include "exaconn/suggest.h"

#include <limits.h>

static void distances(void **state) {
    static const struct {
        const char *a, *b;
        int distance;
    } cases[] = {{"", "", 0},
                 {"a", "", 1},
                 {"", "abc", 3},
                 {"seed", "seed", 0},
                 {"seed", "Seed", 0},
                 {"sede", "seed", 1},
                 {"kitten", "sitting", 3},
                 {"move-threshold", "move_threshold", 0},
                 {"wieghts", "weights", 1},
                 {"ab", "ba", 1},
                 {"abc", "ca", 3}};
    char longer[200];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(exa_suggest_distance(cases[i].a, cases[i].b), cases[i].distance);
        assert_int_equal(exa_suggest_distance(cases[i].b, cases[i].a), cases[i].distance);
    }
    memset(longer, 'x', sizeof longer);
    longer[199] = 0;
    assert_int_equal(exa_suggest_distance(longer, "x"), INT_MAX);
}

static void offers(void **state) {
    static const char *const names[] = {"volume", "weights", "output", "box", "segmentation", "seeds", "run"};
    static const struct {
        const char *word, *near;
    } cases[] = {{"volum", "volume"},  {"vloume", "volume"}, {"Weights", "weights"},
                 {"outptu", "output"}, {"bxo", "box"},       {"seg", "segmentation"},
                 {"seed", "seeds"},    {"runn", "run"},      {"xyzzy", NULL},
                 {"", NULL},           {"zz", NULL},         {"gpu_count", NULL}};
    const size_t count = sizeof names / sizeof *names;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *near = exa_suggest(cases[i].word, names, count);
        if (!cases[i].near) {
            if (near) fail_msg("'%s' was answered with '%s'", cases[i].word, near);
        } else {
            if (!near) fail_msg("'%s' was not answered", cases[i].word);
            assert_string_equal(near, cases[i].near);
        }
    }
    assert_null(exa_suggest("box", names, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(distances), cmocka_unit_test(offers)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
