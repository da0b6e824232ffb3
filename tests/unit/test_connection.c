/* What becomes of a row, parts of one put together, the nearest segment to a position, and a connectome whose
 * connections are filtered by the caller. */
#include "test_util.h"

#include "exaconn/connectome.h"
#include "exaconn/file.h"
#include "exaconn/log.h"

static void judged(void **state) {
    exa_synapse s = {.pre = 5, .post = 6};
    (void)state;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_ACCEPTED);
    s.post = 5;
    assert_int_equal(exa_synapse_judge(&s, true), EXA_SYNAPSE_ACCEPTED);
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_IS_AUTAPSE);
    s.flags = EXA_SYNAPSE_UNKNOWN_ID; /* each of the following goes before those above */
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_OF_UNKNOWN_ID);
    s.post = 0;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WITHOUT_SEGMENT);
    s.flags |= EXA_SYNAPSE_DUPLICATE;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WAS_DUPLICATE);
    s.flags |= EXA_SYNAPSE_OUTSIDE;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WAS_OUTSIDE);
    s.flags |= EXA_SYNAPSE_NO_POSITION;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WITHOUT_POSITION);
    s.flags |= EXA_SYNAPSE_NO_DIRECTION;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WITHOUT_DIRECTION);
    s.flags |= EXA_SYNAPSE_NONE;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WAS_NONE);
    s.flags |= EXA_SYNAPSE_INVALID;
    assert_int_equal(exa_synapse_judge(&s, false), EXA_SYNAPSE_WAS_INVALID);
}

static void parts(void **state) {
    exa_synapse row = {.row = 3, .line = 4, .table_pre = 7, .pre_at = {1, 2, 3}, .synapses = 1, .flags = 1};
    const exa_synapse pre = {.row = 3, .pre = UINT64_MAX}, post = {.row = 3, .post = 9},
                      again = {.row = 3, .flags = EXA_SYNAPSE_DUPLICATE};
    (void)state;
    exa_synapse_combine(&row, &post);
    exa_synapse_combine(&row, &again);
    exa_synapse_combine(&row, &pre);
    assert_true(row.pre == UINT64_MAX && row.post == 9 && row.line == 4 && row.table_pre == 7 &&
                row.pre_at[2] == 3);
    assert_int_equal(row.flags, 1 | EXA_SYNAPSE_DUPLICATE);
}

static void nearest(void **state) {
    const exa_box box = {{10, 20, 30}, {3, 3, 5}};
    const exa_coord at[3] = {11, 21, 32};
    const double size[3] = {40, 8, 8};
    exa_segid labels[45] = {0};
    (void)state;
    assert_int_equal(exa_synapse_nearest(labels, &box, at, size, 1000), 0);
    labels[exa_box_index(&box, 10, 21, 32)] = 1; /* 40 nm */
    assert_int_equal(exa_synapse_nearest(labels, &box, at, size, 39.9), 0);
    assert_int_equal(exa_synapse_nearest(labels, &box, at, size, 40), 1);
    labels[exa_box_index(&box, 11, 21, 34)] = 2; /* 16 nm, as the next */
    labels[exa_box_index(&box, 11, 21, 30)] = 3; /* the first in the order of z, y, x */
    assert_int_equal(exa_synapse_nearest(labels, &box, at, size, 40), 3);
    labels[exa_box_index(&box, 11, 20, 33)] = 4; /* 11.3 nm */
    assert_int_equal(exa_synapse_nearest(labels, &box, at, size, 40), 4);
    labels[exa_box_index(&box, 11, 21, 32)] = 5;
    assert_int_equal(exa_synapse_nearest(labels, &box, at, size, 0), 5);
}

static bool keep_odd(const exa_connection *connection, void *context) {
    ++*(int *)context;
    return connection->pre % 2 == 1;
}

static void filtered(void **state) {
    static const char table[] = "bodyId_pre,bodyId_post,weight\n1,2,3\n2,1,4\n3,4,5\n4,3,6\n3,1,1\n";
    static const char wanted[] = "pre,post,synapses\n1,2,3\n3,4,5\n";
    char *folder = test_make_folder(), path[EXA_PATH_BYTES], out[EXA_PATH_BYTES], result[EXA_PATH_BYTES], *text;
    exa_connectome_options o = {.synapses = path,
                                .folder = out,
                                .table = {.format = EXA_SYNAPSES_NEUPRINT_CSV},
                                .min_synapses = 2,
                                .candidate_area_nm2 = -1,
                                .progress_s = 10};
    int asked = 0;
    size_t size;
    (void)state;
    exa_log_set_level(EXA_LOG_ERROR);
    o.keep = keep_odd;
    o.context = &asked;
    assert_ok(exa_path_join(path, folder, "table.csv"));
    assert_ok(exa_path_join(out, folder, "out"));
    assert_ok(exa_path_join(result, out, "connections.csv"));
    assert_ok(exa_file_write_atomic(path, table, sizeof table - 1));
    assert_ok(exa_connectome_make(&o));
    assert_ok(exa_file_read_all(result, 1000, &text, &size));
    assert_string_equal(text, wanted);
    assert_int_equal(asked, 4); /* not about what is too small */
    free(text);
    test_remove_folder(folder);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(judged), cmocka_unit_test(parts), cmocka_unit_test(nearest),
                                       cmocka_unit_test(filtered)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
