/* The strict JSON reader against documents that lenient readers take, and the writer. */
#include "test_util.h"

#include "exaconn/json.h"

#include <cjson/cJSON.h>
#include <math.h>

static void accepts(void **state) {
    static const char *const texts[] = {
        "{}",
        "[]",
        " \r\n\t{ } \n",
        "null",
        "true",
        "-0",
        "0",
        "1e5",
        "1E+5",
        "-0.5e-3",
        "\"\"",
        "[1,2,[3,{}]]",
        "{\"a\":{\"a\":1},\"b\":[]}",
        "\"\\u00e9\\ud83d\\ude00\\n\\/\"",
        "\"\xC3\xA9\xF0\x9F\x98\x80\"",
        "\"\xF4\x8F\xBF\xBF\xED\x9F\xBF\"",
        "123456789012345678901234567890",
        "{\"\":1}",
    };
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cJSON *tree = NULL;
        assert_ok(exa_json_parse(texts[i], strlen(texts[i]), "t", EXA_ERR_CONFIG, &tree));
        assert_non_null(tree);
        cJSON_Delete(tree);
    }
}

static void refuses(void **state) {
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "empty"},
        {"  \n", "empty"},
        {"{", "line 1, column 2"},
        {"{\"a\":1", "ends too early"},
        {"{\"a\":1,}", "column 8"},
        {"[1,]", "column 4"},
        {"{'a':1}", "double quotes"},
        {"{a:1}", "double quotes"},
        {"{\"a\" 1}", "':' was expected"},
        {"{\"a\":1 \"b\":2}", "column 8"},
        {"[1 2]", "',' or ']'"},
        {"{} {}", "more text"},
        {"{}x", "more text"},
        {"NaN", "value was expected"},
        {"[Infinity]", "value"},
        {"[-Infinity]", "no number"},
        {"[01]", "leading zeros"},
        {"[+1]", "value"},
        {"[1.]", "no number"},
        {"[.5]", "value"},
        {"[1e]", "no number"},
        {"[1e+]", "no number"},
        {"[-]", "no number"},
        {"[0x10]", "expected"},
        {"[tru]", "value"},
        {"[nul", "value"},
        {"\"abc", "never closed"},
        {"\"a\nb\"", "line break"},
        {"\"\t\"", "control character"},
        {"\"\\x\"", "unknown escape"},
        {"\"\\u12g4\"", "hexadecimal"},
        {"\"\\u0000\"", "u0000"},
        {"\"\\ud800\"", "surrogate"},
        {"\"\\udc00\"", "surrogate"},
        {"\"\\ud800\\u0041\"", "surrogate"},
        {"\"\xFF\"", "UTF-8"},
        {"\"\xC0\x80\"", "UTF-8"},
        {"\"\xC3\"", "UTF-8"},
        {"\"\xED\xA0\x80\"", "UTF-8"},
        {"\"\xF4\x90\x80\x80\"", "UTF-8"},
        {"\"\xE0\x80\x80\"", "UTF-8"},
        {"\xEF\xBB\xBF{}", "byte order mark"},
        {"// c\n{}", "value"},
        {"{\"a\":1,\"a\":2}", "'a' is there twice"},
        {"{\"b\":[1,{\"c\":{\"d\":1,\"e\":2,\"d\":3}}]}", "'b[1].c.d' is there twice"},
        {"{\"\\u0061\":1,\"a\":2}", "'a' is there twice"},
        {"{\n \"a\": 1,\n \"\xC3\xA9\": x}", "line 3, column 7"},
        {"1111111111111111111111111111111111111111111111111111111111111111", "too long"},
    };
    char deep[200];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cJSON *tree = NULL;
        assert_fails(EXA_ERR_FORMAT, cases[i].message,
                     exa_json_parse(cases[i].text, strlen(cases[i].text), "t.json", EXA_ERR_FORMAT, &tree));
        assert_non_null(strstr(exa_error_last()->message, "'t.json'"));
        assert_non_null(strstr(exa_error_last()->message, "Hint: "));
        assert_null(tree);
    }
    memset(deep, '[', sizeof deep);
    cJSON *tree = NULL;
    assert_fails(EXA_ERR_CONFIG, "nested too deeply",
                 exa_json_parse(deep, sizeof deep, "t", EXA_ERR_CONFIG, &tree));
}

/* No byte beyond the size is looked at, whatever the cut. */
static void respects_the_size(void **state) {
    static const char text[] = "{\"a\": [1.5e3, true, \"\\u00e9\\ud83d\\ude00 \xC3\xA9\"], \"b\": {\"c\": null}}";

    (void)state;
    for (size_t size = 0; size < sizeof text - 1; size++) {
        char *cut = malloc(size ? size : 1);
        cJSON *tree = NULL;
        memcpy(cut, text, size);
        assert_int_equal(exa_json_parse(cut, size, "cut", EXA_ERR_CONFIG, &tree), EXA_ERR_CONFIG);
        free(cut);
    }
}

static void writes(void **state) {
    static const double reals[] = {
        0, 10, 0.1, 1e30, -1.5, 0.95, 1.0 / 3, 9007199254740991.0, 5e-324, 1.7976931348623157e308};
    static const char strange[] = "a\"b\\c\n\x01 \xC3\xA9/";
    exa_json_text text = {0};
    char *out = NULL;
    cJSON *tree = NULL;

    (void)state;
    exa_json_text_add(&text, "[");
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        exa_json_text_add_real(&text, reals[i]);
        exa_json_text_add(&text, ", ");
    }
    exa_json_text_add_string(&text, strange);
    exa_json_text_add(&text, ", ");
    exa_json_text_add_string(&text, NULL);
    exa_json_text_add(&text, "]");
    assert_ok(exa_json_text_take(&text, &out));
    assert_non_null(strstr(out, "[0, 10, 0.1, 1e+30, -1.5, 0.95, "));
    assert_ok(exa_json_parse(out, strlen(out), "t", EXA_ERR_CONFIG, &tree));
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        assert_true(cJSON_GetArrayItem(tree, (int)i)->valuedouble == reals[i]);
    }
    assert_string_equal(cJSON_GetArrayItem(tree, 10)->valuestring, strange);
    assert_true(cJSON_IsNull(cJSON_GetArrayItem(tree, 11)));
    cJSON_Delete(tree);
    free(out);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepts), cmocka_unit_test(refuses),
                                       cmocka_unit_test(respects_the_size), cmocka_unit_test(writes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
