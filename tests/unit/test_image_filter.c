/* Filters against plain definitions on odd shapes, the generator against published numbers, results independent of
 * the thread count. */
#include "test_util.h"

#include <math.h>

#include "exaconn/image_filter.h"

static exa_coord clamp_mirror(exa_coord i, exa_coord n) {
    while (i < 0 || i >= n) i = i < 0 ? -1 - i : 2 * n - 1 - i;
    return i;
}

static float *random_volume(const exa_coord shape[3], uint64_t seed) {
    size_t n = (size_t)(shape[0] * shape[1] * shape[2]);
    float *v = malloc(n * sizeof *v);
    for (size_t i = 0; i < n; i++) v[i] = (float)(test_uniform(&seed) * 8.0 - 4.0);
    return v;
}

static const exa_coord shapes[][3] = {{1, 1, 1}, {7, 9, 13}, {1, 40, 3}, {33, 2, 17}, {20, 37, 64}};

static void test_sobel(void **state) {
    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const exa_coord *n = shapes[s];
        for (int axis = 0; axis < 3; axis++) {
            float *in = random_volume(n, s + 1), *out = random_volume(n, s + 1);
            assert_ok(exa_filter_sobel(out, n, axis, NULL));
            for (exa_coord z = 0; z < n[0]; z++)
                for (exa_coord y = 0; y < n[1]; y++)
                    for (exa_coord x = 0; x < n[2]; x++) {
                        double sum = 0;
                        for (int k = 0; k < 27; k++) {
                            int d[3] = {k / 9 - 1, k / 3 % 3 - 1, k % 3 - 1};
                            double w = 1;
                            for (int a = 0; a < 3; a++) w *= a == axis ? d[a] : 2 - abs(d[a]);
                            sum +=
                                w * in[(clamp_mirror(z + d[0], n[0]) * n[1] + clamp_mirror(y + d[1], n[1])) * n[2] +
                                       clamp_mirror(x + d[2], n[2])];
                        }
                        assert_float_equal(out[(z * n[1] + y) * n[2] + x], (float)sum, 2e-5f);
                    }
            free(in);
            free(out);
        }
    }
}

static void test_gaussian(void **state) {
    const exa_coord n[3] = {5, 11, 19};
    float *in = random_volume(n, 3), *out = random_volume(n, 3);
    double w[67], total = 0;
    (void)state;
    for (int i = -33; i <= 33; i++) total += w[i + 33] = exp(-0.5 * i * i / (49.0 / 6 * 49.0 / 6));
    assert_ok(exa_filter_gaussian(out, n, 49.0 / 6, NULL));
    for (exa_coord z = 0; z < n[0]; z++)
        for (exa_coord x = 0; x < n[2]; x += 6) {
            double sum = 0; /* at y = 4 */
            for (int a = -33; a <= 33; a++)
                for (int b = -33; b <= 33; b++)
                    for (int c = -33; c <= 33; c++)
                        sum += w[a + 33] * w[b + 33] * w[c + 33] *
                               in[(clamp_mirror(z + a, n[0]) * n[1] + clamp_mirror(4 + b, n[1])) * n[2] +
                                  clamp_mirror(x + c, n[2])];
            assert_float_equal(out[(z * n[1] + 4) * n[2] + x], (float)(sum / (total * total * total)), 1e-6f);
        }
    assert_fails(EXA_ERR_RANGE, "sigma", exa_filter_gaussian(out, n, 0.0, NULL));
    free(in);
    free(out);
}

static void test_distance(void **state) {
    exa_pool *pool;
    (void)state;
    assert_ok(exa_pool_create(3, false, &pool));
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        const exa_coord *n = shapes[s];
        size_t count = (size_t)(n[0] * n[1] * n[2]);
        for (int density = 0; density < 3; density++) {
            uint8_t *edge = calloc(count, 1);
            int32_t *d2 = malloc(count * sizeof *d2);
            uint64_t seed = 7 * s + (uint64_t)density;
            bool any, expected = false;
            for (size_t i = 0; i < count; i++) {
                edge[i] = test_uniform(&seed) < (density == 0 ? 0.5 : density == 1 ? 0.01 : 0.0);
                expected = expected || edge[i];
            }
            assert_ok(exa_filter_distance2(edge, n, pool, d2, &any));
            assert_int_equal(any, expected);
            for (size_t i = 0; any && i < count; i += 1 + count / 700) {
                exa_coord z = (exa_coord)i / (n[1] * n[2]), y = (exa_coord)i / n[2] % n[1], x = (exa_coord)i % n[2];
                int64_t best = INT64_MAX;
                for (size_t j = 0; j < count; j++) {
                    exa_coord dz = (exa_coord)j / (n[1] * n[2]) - z, dy = (exa_coord)j / n[2] % n[1] - y;
                    exa_coord dx = (exa_coord)j % n[2] - x;
                    if (edge[j] && dz * dz + dy * dy + dx * dx < best) best = dz * dz + dy * dy + dx * dx;
                }
                assert_int_equal(d2[i], best);
            }
            free(edge);
            free(d2);
        }
    }
    assert_fails(EXA_ERR_RANGE, "26000",
                 exa_filter_distance2(NULL, (const exa_coord[3]){1, 1, 30000}, NULL, NULL, &(bool){false}));
    exa_pool_destroy(&pool);
}

static void test_threads_agree(void **state) {
    const exa_coord n[3] = {24, 35, 41};
    size_t bytes = (size_t)(n[0] * n[1] * n[2]) * sizeof(float);
    exa_pool *pool;
    float *a = random_volume(n, 9), *b = random_volume(n, 9);
    (void)state;
    assert_ok(exa_pool_create(4, false, &pool));
    assert_ok(exa_filter_sobel(a, n, 1, NULL));
    assert_ok(exa_filter_sobel(b, n, 1, pool));
    assert_memory_equal(a, b, bytes);
    assert_ok(exa_filter_gaussian(a, n, 49.0 / 6, NULL));
    assert_ok(exa_filter_gaussian(b, n, 49.0 / 6, pool));
    assert_memory_equal(a, b, bytes);
    exa_pool_destroy(&pool);
    free(a);
    free(b);
}

/* numpy.random.RandomState(42).random_sample(3) */
static void test_generator(void **state) {
    exa_mt19937 g;
    (void)state;
    exa_mt19937_seed(&g, 42);
    assert_true(exa_mt19937_double(&g) == 0.3745401188473625);
    assert_true(exa_mt19937_double(&g) == 0.9507143064099162);
    assert_true(exa_mt19937_double(&g) == 0.7319939418114051);
}

typedef struct found {
    size_t count;
    exa_coord last[3];
} found;

static exa_status collect(void *context, exa_coord z, exa_coord y, exa_coord x) {
    found *f = context;
    f->count++;
    f->last[0] = z;
    f->last[1] = y;
    f->last[2] = x;
    return EXA_OK;
}

static void test_peaks(void **state) {
    enum { N = 21 };
    static int32_t d2[N * N * N];
    found f = {0};
    (void)state;
    for (int i = 0; i < N * N * N; i++) {
        int z = i / (N * N) - 10, y = i / N % N - 10, x = i % N - 10, m = abs(z) + abs(y) + abs(x);
        d2[i] = m > 30 ? 0 : (30 - m) * (30 - m);
    }
    assert_ok(
        exa_filter_noisy_peaks(d2, (const exa_coord[3]){N, N, N}, (const exa_coord[3]){3, 3, 3}, collect, &f));
    assert_int_equal(f.count, 1);
    assert_int_equal(f.last[0], 10);
    assert_int_equal(f.last[1], 10);
    assert_int_equal(f.last[2], 10);
    f.count = 0; /* the margin hides it */
    assert_ok(
        exa_filter_noisy_peaks(d2, (const exa_coord[3]){N, N, N}, (const exa_coord[3]){11, 3, 3}, collect, &f));
    assert_int_equal(f.count, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sobel),         cmocka_unit_test(test_gaussian),  cmocka_unit_test(test_distance),
        cmocka_unit_test(test_threads_agree), cmocka_unit_test(test_generator), cmocka_unit_test(test_peaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
