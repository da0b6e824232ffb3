/* The parser of the command line, and the table of commands. */
#include "test_util.h"

#include "cli/cli_internal.h"

#define ARGS(...) ((char *[]){"exaconn", __VA_ARGS__, NULL})

static exa_status parse(char **argv, exa_cli_arguments *a) {
    int argc = 0;

    while (argv[argc]) argc++;
    return exa_cli_parse(argc, argv, a);
}

static void table_is_sound(void **state) {
    size_t count;
    const exa_cli_command *const *commands = exa_cli_commands(&count);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const exa_cli_command *c = commands[i];
        assert_ptr_equal(exa_cli_find_command(c->name), c);
        assert_true(c->summary && *c->summary && c->summary[strlen(c->summary) - 1] != '.');
        assert_true(c->description && *c->description && c->run && c->options);
        assert_non_null(strstr(c->example, "exaconn"));
        if (c->positional_max != 0) assert_non_null(c->positional);
        for (const exa_cli_option *o = c->options; o->name; o++) {
            assert_true(o->help && *o->help);
            assert_int_equal(o->kind == EXA_CLI_FLAG, o->argument == NULL);
            for (const exa_cli_option *p = c->options; p < o; p++) {
                assert_string_not_equal(p->name, o->name);
                if (o->letter) assert_int_not_equal(p->letter, o->letter);
            }
            for (const exa_cli_option *g = exa_cli_global_options; g->name; g++) {
                assert_string_not_equal(g->name, o->name);
                if (o->letter) assert_int_not_equal(g->letter, o->letter);
            }
        }
    }
}

static void takes_options(void **state) {
    exa_cli_arguments a;
    int64_t zyx[3];

    (void)state;
    assert_ok(parse(ARGS("-q", "import-ffn", "--fov=17,33,33", "-f", "ck", "--deltas", "8", "--image-mean", "-1.5",
                         "-oa.h5", "--min-segment-size", "12", "--log-level=debug"),
                    &a));
    assert_ptr_equal(a.command, &exa_cmd_import_ffn);
    assert_true(exa_cli_has(&a, "quiet") && exa_cli_has(&a, "force") && !exa_cli_has(&a, "json"));
    assert_true(exa_cli_triple(&a, "fov", zyx) && zyx[0] == 17 && zyx[2] == 33);
    assert_true(exa_cli_triple(&a, "deltas", zyx) && zyx[0] == 8 && zyx[2] == 8);
    assert_false(exa_cli_triple(&a, "min-boundary-dist", zyx));
    assert_true(exa_cli_real(&a, "image-mean", 0) == -1.5 && exa_cli_real(&a, "image-stddev", 7) == 7);
    assert_true(exa_cli_int(&a, "min-segment-size", 0) == 12 && exa_cli_int(&a, "nothing", 3) == 3);
    assert_string_equal(exa_cli_text(&a, "output"), "a.h5");
    assert_string_equal(exa_cli_text(&a, "log-level"), "debug");
    assert_int_equal(exa_cli_positional_count(&a), 1);
    assert_string_equal(exa_cli_positional(&a, 0), "ck");
    assert_null(exa_cli_positional(&a, 1));
    assert_null(exa_cli_positional(&a, -1));
    exa_cli_arguments_free(&a);
}

static void takes_words(void **state) {
    exa_cli_arguments a;

    (void)state;
    assert_ok(parse(ARGS("info", "--", "--json"), &a));
    assert_string_equal(exa_cli_positional(&a, 0), "--json");
    assert_false(exa_cli_has(&a, "json"));
    exa_cli_arguments_free(&a);
    assert_ok(parse(ARGS("info", "-"), &a));
    assert_string_equal(exa_cli_positional(&a, 0), "-");
    exa_cli_arguments_free(&a);
    assert_ok(parse(ARGS("import-ffn", "-fo", "x.h5", "-o", "y.h5", "ck"), &a)); /* joined; the last one counts */
    assert_true(exa_cli_has(&a, "force"));
    assert_string_equal(exa_cli_text(&a, "output"), "y.h5");
    exa_cli_arguments_free(&a);
    assert_ok(parse(ARGS("run", "--help"), &a)); /* no JOB needed */
    assert_true(exa_cli_has(&a, "help"));
    exa_cli_arguments_free(&a);
    assert_ok(parse(ARGS("--version", "--json"), &a));
    assert_ptr_equal(a.command, &exa_cmd_version);
    exa_cli_arguments_free(&a);
    assert_ok(exa_cli_parse(1, (char *[]){"exaconn", NULL}, &a));
    assert_null(a.command);
    exa_cli_arguments_free(&a);
}

static void refuses(void **state) {
    static char *const cases[][6] = {
        {"rnu", "j", "mean `exaconn run`"},
        {"frobnicate", NULL, "lists them"},
        {"run", "j", "--qiet", NULL, "mean '--quiet'"},
        {"run", "j", "--frobnicate", NULL, "`exaconn run --help`"},
        {"--frobnicate", NULL, "`exaconn --help`"},
        {"run", "j", "-z", NULL, "no option '-z'"},
        {"run", NULL, "needs JOB"},
        {"run", "a", "b", NULL, "to do with 'b'"},
        {"info", "--json=yes", "x", NULL, "takes no value"},
        {"config", "--check", NULL, "needs a value"},
        {"config", "--check", "", NULL, "empty name"},
        {"import-ffn", "c", "--fov", "1,2", NULL, "three as z,y,x"},
        {"import-ffn", "c", "--fov", "1,2,3,4", NULL, "three as z,y,x"},
        {"import-ffn", "c", "--fov", "1,,3", NULL, "three as z,y,x"},
        {"import-ffn", "c", "--fov", "1,2,3x", NULL, "three as z,y,x"},
        {"import-ffn", "c", "--fov", "", NULL, "three as z,y,x"},
        {"import-ffn", "c", "--image-mean", "nan", NULL, "a number"},
        {"import-ffn", "c", "--image-mean", "1x", NULL, "a number"},
        {"import-ffn", "c", "--min-segment-size", "1.5", NULL, "an integer"},
        {"import-ffn", "c", "--min-segment-size", "99999999999999999999", NULL, "an integer"},
        {"run", "j", "--log-level", "inf", NULL, "mean 'info'"},
        {"--log-level=loud", NULL, "one of error|warn|info|debug|trace"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *argv[8] = {"exaconn"};
        exa_cli_arguments a;
        int argc = 1, last = 5;
        while (!cases[i][last]) last--;
        for (int k = 0; k < last && cases[i][k]; k++) argv[argc++] = cases[i][k];
        assert_fails(EXA_ERR_CONFIG, cases[i][last], exa_cli_parse(argc, argv, &a));
        assert_non_null(strstr(exa_error_last()->message, "Hint: "));
        exa_cli_arguments_free(&a);
    }
}

static void too_many_options(void **state) {
    char *argv[200] = {"exaconn", "run"};
    exa_cli_arguments a;

    (void)state;
    for (int i = 2; i < 199; i++) argv[i] = "-q";
    assert_fails(EXA_ERR_CONFIG, "more than 128 options", exa_cli_parse(199, argv, &a));
    exa_cli_arguments_free(&a);
}

static void alternatives(void **state) {
    char word[8];

    (void)state;
    assert_true(exa_cli_alternative("a|bc|d", 0, word, sizeof word));
    assert_string_equal(word, "a");
    assert_true(exa_cli_alternative("a|bc|d", 2, word, sizeof word));
    assert_string_equal(word, "d");
    assert_false(exa_cli_alternative("a|bc|d", 3, word, sizeof word));
    assert_false(exa_cli_alternative("FILE", 0, word, sizeof word));
    assert_false(exa_cli_alternative(NULL, 0, word, sizeof word));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(table_is_sound),   cmocka_unit_test(takes_options),
                                       cmocka_unit_test(takes_words),      cmocka_unit_test(refuses),
                                       cmocka_unit_test(too_many_options), cmocka_unit_test(alternatives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
