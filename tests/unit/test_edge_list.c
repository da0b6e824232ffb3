/* Edge lists: what is read, what is counted, and what is refused with its line. */
#include "test_util.h"

#include "exaconn/edge_list.h"

static exa_status parse(const char *text, const exa_edge_list_options *options, exa_edge_list *list) {
    static const exa_edge_list_options none = {.min_weight = 0};
    size_t size = strlen(text);
    char *copy = malloc(size + 1);
    exa_status st;

    assert_non_null(copy);
    memcpy(copy, text, size + 1);
    st = exa_edge_list_parse("t.csv", copy, size, options ? options : &none, list);
    free(copy);
    return st;
}

static uint32_t node(const exa_edge_list *l, const char *name) {
    uint32_t v = exa_name_table_find(&l->names, name);
    assert_true(v != EXA_NAME_ABSENT);
    return v;
}

static double weight(const exa_edge_list *l, const char *pre, const char *post) {
    uint64_t i = exa_graph_find_edge(&l->graph, node(l, pre), node(l, post));
    return i < l->graph.edges ? l->graph.weight[i] : 0;
}

static void plain(void **state) {
    exa_edge_list l;
    (void)state;
    assert_ok(parse("pre,post,weight\nb,a,3\n b , a ,4\na,a,2\nc,a,0\n# words\n\nb,c,1\n", NULL, &l));
    assert_int_equal(l.graph.nodes, 3);
    assert_int_equal(l.graph.edges, 2);
    assert_true(weight(&l, "b", "a") == 7 && weight(&l, "b", "c") == 1);
    assert_int_equal(l.counts.rows, 5);
    assert_int_equal(l.counts.repeated, 1);
    assert_int_equal(l.counts.zero, 1);
    assert_int_equal(l.counts.self, 1);
    assert_true(l.counts.self_weight == 2 && l.counts.weight == 8);
    exa_edge_list_destroy(&l);
}

/* Other separators, names and forms: BOM, CR LF, quotes, tabs, no line feed at the end; numbers in order of value.
 */
static void forms(void **state) {
    exa_edge_list l;
    (void)state;
    assert_ok(parse("\xef\xbb\xbfPre_Root_ID\tpost_root_id\tsyn_count\r\n18446744073709551615\t9\t5\r\n010\t9\t2",
                    NULL, &l));
    assert_int_equal(l.graph.nodes, 3);
    assert_string_equal(exa_name_table_name(&l.names, 0), "9");
    assert_string_equal(exa_name_table_name(&l.names, 1), "10");
    assert_true(weight(&l, "18446744073709551615", "9") == 5);
    exa_edge_list_destroy(&l);
    assert_ok(parse("source;target;weight;note\n\"a \"\"b\"\"\";\"c;d\";1.5;x\n", NULL, &l));
    assert_true(weight(&l, "a \"b\"", "c;d") == 1.5);
    exa_edge_list_destroy(&l);
    assert_ok(parse("pre,post\na,b\na,b\n", NULL, &l)); /* two columns: rows count */
    assert_true(weight(&l, "a", "b") == 2);
    exa_edge_list_destroy(&l);
}

static void choices(void **state) {
    const exa_edge_list_options where = {.pre = "x",
                                         .post = "y",
                                         .weight = "n",
                                         .where_column = "type",
                                         .where_value = "e",
                                         .min_weight = 2,
                                         .shares = {"p", "q"},
                                         .share_count = 2};
    exa_edge_list l;
    (void)state;
    assert_ok(parse("x,y,n,type,p,q\na,b,2,e,1,1\na,c,1,e,1,0\na,d,9,c,9,0\n", &where, &l));
    assert_int_equal(l.graph.edges, 1);
    assert_int_equal(l.counts.filtered, 1);
    assert_int_equal(l.counts.light, 1);
    assert_true(l.share_sum[0] == 2 && l.share_sum[1] == 1);
    exa_edge_list_destroy(&l);
}

static void undirected(void **state) {
    const exa_edge_list_options o = {.undirected = true};
    exa_edge_list l;
    (void)state;
    /* a-b twice alike, a-c with two weights, b-c one-sided */
    assert_ok(parse("pre,post,weight\na,b,2\nb,a,2\na,c,1\nc,a,3\nb,c,5\n", &o, &l));
    assert_int_equal(l.graph.edges, 6);
    assert_true(weight(&l, "b", "a") == 2 && weight(&l, "a", "c") == 3 && weight(&l, "c", "b") == 5);
    assert_int_equal(l.counts.unequal, 1);
    assert_int_equal(l.counts.one_sided, 1);
    assert_true(l.counts.weight == 10);
    exa_edge_list_destroy(&l);
    assert_ok(parse("pre,post,weight\na,b,2\nc,a,1\n", &o, &l)); /* every pair once: nothing is missing */
    assert_int_equal(l.counts.one_sided, 0);
    exa_edge_list_destroy(&l);
}

static void refused(void **state) {
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "empty"},
        {"# nothing\n\n", "empty"},
        {"a,b,c\n1,2,3\n", "no column is known as the presynaptic"},
        {"pre,b,c\n1,2,3\n", "no column is known as the postsynaptic"},
        {"pre,post,all,ad\n1,2,3,4\n", "there are: pre, post, all, ad"},
        {"pre,post,weight\n1,2\n", "t.csv:2: 2 fields, but the table has 3 columns"},
        {"pre,post,weight\n1,2,3\n1,2,3,4\n", "t.csv:3: 4 fields"},
        {"pre,post,weight\n1,2,nan\n", "t.csv:2: 'nan' in column 'weight' is not a finite number"},
        {"pre,post,weight\n1,2,1e999\n", "not a finite number"},
        {"pre,post,weight\n1,2,three\n", "'three' in column 'weight' is not a number"},
        {"pre,post,weight\n1,2,\n", "'' in column 'weight' is not a number"},
        {"pre,post,weight\n1,2,-1\n", "negative"},
        {"pre,post,weight\n,2,1\n", "t.csv:2: column 'pre' is empty"},
        {"pre,post,weight\nNaN,2,1\n", "column 'pre' is NaN"},
        {"pre,post,weight\n7.2057594e17,2,1\n", "floating-point"},
        {"pre,post,weight\n720575940623636701.0,2,1\n", "floating-point"},
        {"pre,post,weight\n-5,2,1\n", "number with a sign"},
        {"pre,post,weight\n18446744073709551616,2,1\n", "does not fit 64 bits"},
        {"pre,post,weight\n\"a,2,1\n", "t.csv:2: a quoted field does not end"},
        {"pre,post,weight\n\"a\"b,2,1\n", "something follows a quoted field"},
        {"pre,post,weight\n", "there is no connection"},
    };
    exa_edge_list l;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(EXA_ERR_FORMAT, bad[i].message, parse(bad[i].text, NULL, &l));
}

static void gigantic(void **state) {
    size_t size = EXA_NAME_ABSENT / 1024;
    char *text = malloc(size + 1);
    const exa_edge_list_options none = {.min_weight = 0};
    exa_edge_list l;
    (void)state;
    assert_non_null(text);
    memset(text, 'a', size);
    memcpy(text, "pre,post\nx,y\n", 13);
    assert_fails(EXA_ERR_FORMAT, "t.csv:3: the line has", exa_edge_list_parse("t.csv", text, size, &none, &l));
    memcpy(text, "pre,post\nx,y\n", 13); /* reading changed it */
    memset(text + 13, ',', size - 13);
    memset(text + 1000, '\n', size - 1000);
    assert_fails(EXA_ERR_FORMAT, "more than 256 columns", exa_edge_list_parse("t.csv", text, size, &none, &l));
    memcpy(text, "pre,post\nx\0,y\n", 14);
    assert_fails(EXA_ERR_FORMAT, "t.csv:2: a byte 0", exa_edge_list_parse("t.csv", text, 14, &none, &l));
    free(text);
}

static void with_nodes(void **state) {
    char *folder = test_make_folder(), path[4200];
    exa_edge_list_options o = {.nodes = path, .voxel_nm = {40, 4, 4}};
    exa_edge_list l;
    FILE *f;
    (void)state;
    snprintf(path, sizeof path, "%s/n.csv", folder);
    f = fopen(path, "w");
    fputs("id,x,y,z\n20,1,2,3\n3,0,0,1\n100,5,5,5\n", f);
    fclose(f);
    assert_ok(parse("pre,post,weight\n20,3,1\n", &o, &l));
    assert_int_equal(l.graph.nodes, 3);
    assert_int_equal(l.counts.isolated, 1);
    assert_int_equal(node(&l, "3"), 0);
    assert_true(l.position_nm[3] == 120 && l.position_nm[4] == 8 && l.position_nm[5] == 4);
    exa_edge_list_destroy(&l);
    assert_fails(EXA_ERR_FORMAT, "t.csv:2: id 21 is not in the table", parse("pre,post\n21,3\n", &o, &l));
    o.drop_unknown = true;
    assert_ok(parse("pre,post\n21,3\n20,3\n", &o, &l));
    assert_int_equal(l.counts.unknown, 1);
    assert_string_equal(l.unknown_first, "21, line 2");
    exa_edge_list_destroy(&l);
    f = fopen(path, "w");
    fputs("id\n20\n20\n", f);
    fclose(f);
    assert_fails(EXA_ERR_FORMAT, "there are no columns x, y and z", parse("pre,post\n20,3\n", &o, &l));
    o.voxel_nm[0] = 0;
    assert_fails(EXA_ERR_FORMAT, "n.csv:3: id 20 stands in the table of nodes twice",
                 parse("pre,post\n20,3\n", &o, &l));
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(plain),     cmocka_unit_test(forms),
                                       cmocka_unit_test(choices),   cmocka_unit_test(undirected),
                                       cmocka_unit_test(refused),   cmocka_unit_test(gigantic),
                                       cmocka_unit_test(with_nodes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
