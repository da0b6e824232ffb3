/* All-zero regions are found, single black voxels are not. */
#include "test_util.h"

#include "exaconn/exclusion.h"

enum { N = 20 };

static bool in_zero_block(const uint8_t *raw, int z, int y, int x) {
    for (int b = 0; b < 125; b++) { /* every block of 5^3 that holds the voxel */
        int oz = z - b / 25, oy = y - b / 5 % 5, ox = x - b % 5;
        bool all = true;
        for (int k = 0; k < 125 && all; k++) {
            int p[3] = {oz + k / 25, oy + k / 5 % 5, ox + k % 5};
            bool inside = true;
            for (int a = 0; a < 3; a++) inside = inside && p[a] >= 0 && p[a] < N;
            all = !inside || raw[(p[0] * N + p[1]) * N + p[2]] == 0;
        }
        /* A block counts only if its centre is a voxel of the image. */
        if (all && oz + 2 >= 0 && oz + 2 < N && oy + 2 >= 0 && oy + 2 < N && ox + 2 >= 0 && ox + 2 < N) return true;
    }
    return false;
}

static void test_against_definition(void **state) {
    const exa_coord shape[3] = {N, N, N};
    uint8_t raw[N * N * N], excluded[N * N * N] = {0};
    uint16_t raw16[N * N * N];
    float raw32[N * N * N];
    const void *raws[3] = {raw, raw16, raw32};
    const exa_dtype types[3] = {EXA_U8, EXA_U16, EXA_F32};
    uint64_t seed = 5;
    (void)state;
    for (int i = 0; i < N * N * N; i++) {
        bool hole = i / (N * N) > 10 && i / N % N < 9;
        raw[i] = hole || test_uniform(&seed) < 0.3 ? 0 : 100;
        if (hole && test_uniform(&seed) < 0.01) raw[i] = 50;
        raw16[i] = raw[i];
        raw32[i] = raw[i];
    }
    for (int t = 0; t < 3; t++) {
        exa_image image;
        int64_t added, expected = 0;
        memset(excluded, 0, sizeof excluded);
        assert_ok(exa_image_init(&image, raws[t], types[t], shape, 0.0f, 1.0f));
        assert_ok(exa_exclusion_add_zero_raw(&image, excluded, &added));
        for (int i = 0; i < N * N * N; i++) {
            bool e = in_zero_block(raw, i / (N * N), i / N % N, i % N);
            assert_int_equal(excluded[i], e);
            expected += e;
        }
        assert_int_equal(added, expected);
        assert_true(added > 300 && added < N * N * N / 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_against_definition)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
