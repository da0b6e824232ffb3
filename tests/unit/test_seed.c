/* Seed lists against the golden ones (exact), and the other policies' orders on small images. */
#include "test_util.h"
#include "golden.h"

#include <math.h>

#include "exaconn/seed.h"

static const exa_coord fib25_fov[3] = {33, 33, 33};

static void check_golden_group(hid_t file, const char *group, exa_pool *pool) {
    char name[64];
    golden_array raw, seeds, edge, distance, gradient, smooth;
    exa_seed_list list;
    exa_seed_trace trace;
    exa_image image;
    size_t wrong = 0;
    raw = READ_GOLDEN(U8, "raw");
    seeds = READ_GOLDEN(I32, "seeds_zyx");
    edge = READ_GOLDEN(U8, "edge_mask");
    distance = READ_GOLDEN(F32, "edge_distance");
    gradient = READ_GOLDEN(F32, "gradient");
    smooth = READ_GOLDEN(F32, "gradient_smooth");
    const exa_coord shape[3] = {(exa_coord)raw.shape[0], (exa_coord)raw.shape[1], (exa_coord)raw.shape[2]};
    size_t plane = (size_t)(shape[1] * shape[2]);
    trace =
        (exa_seed_trace){malloc(raw.count * 4), malloc(raw.count * 4), malloc(raw.count), malloc(raw.count * 4)};
    assert_ok(exa_image_init(&image, raw.data, EXA_U8, shape, 128.0f, 33.0f));
    assert_ok(exa_seed_make(&(exa_seed_options){.policy = EXA_SEED_PEAKS}, &image, NULL, fib25_fov, pool, &trace,
                            &list, NULL));
    for (size_t i = 0; i < raw.count; i++) {
        wrong += trace.edge[i] != ((uint8_t *)edge.data)[i];
        wrong += (float)sqrt((double)trace.distance2[i]) != ((float *)distance.data)[i];
    }
    assert_int_equal(wrong, 0);
    for (size_t k = 0; k < gradient.shape[0]; k++) { /* every 4th slice is stored */
        for (size_t i = 0; i < plane; i++) {
            size_t here = 4 * k * plane + i, there = k * plane + i;
            assert_true(trace.gradient[here] == ((float *)gradient.data)[there]);
            assert_float_equal(trace.smooth[here], ((float *)smooth.data)[there], 1e-6 * trace.smooth[here]);
        }
    }
    assert_int_equal(list.count, seeds.shape[0]);
    for (size_t i = 0; i < list.count; i++) {
        exa_coord p[3];
        exa_seed_get(&list, i, p);
        for (int a = 0; a < 3; a++) assert_int_equal(p[a], ((int32_t *)seeds.data)[3 * i + (size_t)a]);
    }
    exa_seed_list_free(&list);
    free(trace.gradient), free(trace.smooth), free(trace.edge), free(trace.distance2);
    free(raw.data), free(seeds.data), free(edge.data), free(distance.data), free(gradient.data), free(smooth.data);
}

static void test_golden_peaks(void **state) {
    const char *path = test_data_path("ffn_golden_seg.h5");
    exa_pool *pool;
    hid_t file;
    (void)state;
    if (!path) skip();
    assert_true((file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) >= 0);
    assert_ok(exa_pool_create(3, false, &pool));
    check_golden_group(file, "small", NULL);
    check_golden_group(file, "cube96", pool);
    exa_pool_destroy(&pool);
    H5Fclose(file);
}

/* The whole sample: as many seeds as Google's own counter says, and every published origin among them. */
static void test_sample_seed_count(void **state) {
    const char *path = test_data_path("fib25_sample2.h5");
    exa_pool *pool;
    exa_seed_list list;
    exa_image image;
    hid_t file;
    (void)state;
    if (!path) skip();
    assert_true((file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) >= 0);
    golden_array raw = GOLDEN_U8(file, "raw");
    assert_ok(exa_pool_create(2, false, &pool));
    assert_ok(exa_image_init(&image, raw.data, EXA_U8, (const exa_coord[3]){250, 250, 250}, 128.0f, 33.0f));
    assert_ok(exa_seed_make(&(exa_seed_options){.policy = EXA_SEED_PEAKS}, &image, NULL, fib25_fov, pool, NULL,
                            &list, NULL));
    assert_int_equal(list.count, 12464);
    exa_seed_list_free(&list);
    exa_pool_destroy(&pool);
    free(raw.data);
    H5Fclose(file);
}

static void expect_points(const exa_seed_list *list, size_t count, const exa_coord (*expected)[3]) {
    assert_int_equal(list->count, count);
    for (size_t i = 0; i < count; i++) {
        exa_coord p[3];
        exa_seed_get(list, i, p);
        for (int a = 0; a < 3; a++) assert_int_equal(p[a], expected[i][a]);
    }
}

static void test_max(void **state) {
    const exa_coord shape[3] = {3, 3, 5}, fov[3] = {3, 3, 3};
    uint8_t u8[45] = {0};
    uint16_t u16[45] = {0};
    float f32[45] = {0};
    static const exa_coord expected[3][3] = {{1, 1, 2}, {1, 1, 3}, {1, 1, 1}}; /* 9; then ties from the last */
    const void *raw[3] = {u8, u16, f32};
    const exa_dtype types[3] = {EXA_U8, EXA_U16, EXA_F32};
    (void)state;
    u8[22] = 9, u16[22] = 900, f32[22] = 0.9f; /* (1, 1, 2) */
    u8[0] = 200;                               /* a corner, where no FOV fits */
    for (int k = 0; k < 3; k++) {
        exa_image image;
        exa_seed_list list;
        assert_ok(exa_image_init(&image, raw[k], types[k], shape, 0.0f, 1.0f));
        assert_ok(
            exa_seed_make(&(exa_seed_options){.policy = EXA_SEED_MAX}, &image, NULL, fov, NULL, NULL, &list, NULL));
        expect_points(&list, 3, expected);
        exa_seed_list_free(&list);
    }
}

static void test_grid_and_list(void **state) {
    const exa_coord shape[3] = {6, 6, 6}, fov[3] = {3, 3, 3}, offsets[2] = {0, 2};
    static const exa_coord grid[][3] = {{4, 4, 4}, {2, 2, 2}};
    static const exa_coord points[][3] = {{2, 3, 4}, {0, 0, 0}, {1, 1, 1}}, kept[][3] = {{2, 3, 4}, {1, 1, 1}};
    static const exa_coord outside[][3] = {{2, 3, 6}};
    uint8_t raw[216] = {0};
    exa_image image;
    exa_seed_list list;
    size_t too_near;
    (void)state;
    assert_ok(exa_image_init(&image, raw, EXA_U8, shape, 0.0f, 1.0f));
    exa_seed_options o = {.policy = EXA_SEED_GRID3D, .step = {4, 4, 4}, .offsets = offsets, .offset_count = 2};
    assert_ok(exa_seed_make(&o, &image, NULL, fov, NULL, NULL, &list, NULL));
    expect_points(&list, 2, grid);
    assert_int_equal(exa_seed_list_bytes(&o, shape, fov), 2 * 4);
    exa_seed_list_free(&list);
    o = (exa_seed_options){.policy = EXA_SEED_LIST, .points = &points[0][0], .point_count = 3};
    assert_ok(exa_seed_make(&o, &image, NULL, fov, NULL, NULL, &list, &too_near));
    expect_points(&list, 2, kept);
    assert_int_equal(too_near, 1);
    exa_seed_list_free(&list);
    o.points = &outside[0][0], o.point_count = 1;
    assert_fails(EXA_ERR_RANGE, "(2, 3, 6)", exa_seed_make(&o, &image, NULL, fov, NULL, NULL, &list, NULL));
}

/* A flat image has no edge and so no peaks; an excluded region acts as edge. */
static void test_flat_and_excluded(void **state) {
    enum { N = 24 };
    const exa_coord shape[3] = {N, N, N}, fov[3] = {9, 9, 9};
    uint8_t *raw = calloc(N * N * N, 1), *excluded = calloc(N * N * N, 1);
    exa_image image;
    exa_seed_list list;
    (void)state;
    assert_ok(exa_image_init(&image, raw, EXA_U8, shape, 0.0f, 1.0f));
    assert_ok(exa_seed_make(&(exa_seed_options){0}, &image, NULL, fov, NULL, NULL, &list, NULL));
    assert_int_equal(list.count, 0);
    exa_seed_list_free(&list);
    memset(excluded, 1, N * N * N / 2);
    assert_ok(exa_seed_make(&(exa_seed_options){0}, &image, excluded, fov, NULL, NULL, &list, NULL));
    assert_true(list.count > 0);
    exa_seed_list_free(&list);
    free(raw);
    free(excluded);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_peaks),  cmocka_unit_test(test_sample_seed_count), cmocka_unit_test(test_max),
        cmocka_unit_test(test_grid_and_list), cmocka_unit_test(test_flat_and_excluded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
