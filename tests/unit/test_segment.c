/* Sizes, boxes and centres of segments against counting voxel by voxel; parts added up are the whole; far away. */
#include "test_util.h"

#include "exaconn/segment.h"

enum { Z = 7, Y = 9, X = 31, LABELS = 6 };

/* Runs of random labels, negative ones among them (excluded voxels). */
static void make_labels(int32_t labels[Z * Y * X], uint64_t seed) {
    for (int i = 0; i < Z * Y * X; i++)
        labels[i] = i && test_random(&seed) % 3 ? labels[i - 1] : (int32_t)(test_random(&seed) % (LABELS + 2)) - 1;
}

static void check_segment(const exa_segment *s, const int32_t *labels, const exa_box *box, const exa_box *core) {
    exa_coord first[3] = {INT64_MAX, INT64_MAX, INT64_MAX}, last[3] = {INT64_MIN, INT64_MIN, INT64_MIN};
    uint64_t voxels = 0, sum[3] = {0, 0, 0};

    for (exa_coord z = 0; z < core->shape[0]; z++)
        for (exa_coord y = 0; y < core->shape[1]; y++)
            for (exa_coord x = 0; x < core->shape[2]; x++) {
                const exa_coord at[3] = {core->start[0] + z, core->start[1] + y, core->start[2] + x};
                if (labels[exa_box_index(box, at[0], at[1], at[2])] != (int32_t)s->id) continue;
                voxels++;
                for (int a = 0; a < 3; a++) {
                    if (at[a] < first[a]) first[a] = at[a];
                    if (at[a] > last[a]) last[a] = at[a];
                    sum[a] += (uint64_t)at[a];
                }
            }
    assert_int_equal(s->voxels, voxels);
    assert_int_equal(s->supervoxels, voxels > 0);
    for (int a = 0; a < 3; a++) {
        assert_true(s->first[a] == first[a] && s->last[a] == last[a]);
        assert_true(s->sum[a][0] == sum[a] && s->sum[a][1] == 0);
    }
}

static void as_counted(void **state) {
    const exa_box box = {{100, 20, 3}, {Z, Y, X}}, core = {{101, 22, 3}, {Z - 2, Y - 3, X - 4}};
    int32_t labels[Z * Y * X];
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        exa_segment *list;
        size_t n;
        make_labels(labels, seed);
        assert_ok(exa_segment_scan(labels, &box, &core, &list, &n));
        assert_int_equal(n, LABELS);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(list[i].id, i + 1);
            check_segment(&list[i], labels, &box, &core);
        }
        free(list);
    }
}

/* The two halves of a box, far from the volume's start where sums of coordinates leave 64 bits. */
static void halves_make_the_whole(void **state) {
    const exa_coord far = (exa_coord)1 << 61;
    const exa_box box = {{far, far, 0}, {Z, Y, X}};
    const exa_box low = {{far, far, 0}, {3, Y, X}}, high = {{far + 3, far, 0}, {Z - 3, Y, X}};
    int32_t labels[Z * Y * X];
    exa_segment *whole, *a, *b;
    size_t n;
    bool carried = false;
    (void)state;
    make_labels(labels, 3);
    assert_ok(exa_segment_scan(labels, &box, &box, &whole, &n));
    assert_ok(exa_segment_scan(labels, &box, &low, &a, &n));
    assert_ok(exa_segment_scan(labels, &box, &high, &b, &n));
    for (size_t i = 0; i < n; i++) {
        exa_segment_combine(&b[i], &a[i]);
        assert_int_equal(b[i].supervoxels, 2);
        b[i].supervoxels = b[i].chunks = 1; /* parts of one, here */
        assert_memory_equal(&b[i], &whole[i], sizeof *b);
        carried = carried || whole[i].sum[0][1] > 0;
    }
    assert_true(carried);
    free(whole);
    free(a);
    free(b);
}

static void printed(void **state) {
    const exa_box box = {{10, 0, 5}, {1, 1, 4}};
    const int32_t labels[] = {1, 1, 0, 1};
    char text[128] = "";
    exa_segment *list;
    size_t n;
    FILE *f = fmemopen(text, sizeof text, "w");
    (void)state;
    assert_non_null(f);
    assert_ok(exa_segment_scan(labels, &box, &box, &list, &n));
    exa_segment_print(f, list);
    fclose(f);
    assert_string_equal(text, "3,10,0,5,1,1,4,10.00,0.00,6.33");
    free(list);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(as_counted), cmocka_unit_test(halves_make_the_whole),
                                       cmocka_unit_test(printed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
