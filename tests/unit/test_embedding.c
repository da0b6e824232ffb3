/* From voxels to embeddings: averages and majorities against sums written out, patches that do not see what is
 * outside the mask, means along trees.
 */
#include "segclr_patch.h"

#include "exaconn/embedding.h"
#include "exaconn/segclr_net.h"

#include <math.h>

/* ---- resampling --------------------------------------------------------------------------------- */

/* How much of source voxel v is in output voxel i. */
static double overlap(exa_coord i, double scale, exa_coord v) {
    return fmax(0, fmin((double)(i + 1) * scale, (double)(v + 1)) - fmax((double)i * scale, (double)v));
}

static void check_resampling(const exa_coord in[3], const double scale[3]) {
    exa_coord out[3];
    size_t n = (size_t)(in[0] * in[1] * in[2]), m = 1;
    uint8_t *image = malloc(n), *small;
    exa_segid *labels = malloc(n * sizeof *labels), *few;
    uint64_t seed = 4;

    for (size_t i = 0; i < n; i++) {
        image[i] = (uint8_t)(256 * test_uniform(&seed));
        labels[i] = (exa_segid)(4 * test_uniform(&seed)) * 5000000000;
    }
    for (int a = 0; a < 3; a++) {
        out[a] = (exa_coord)floor((double)in[a] / scale[a] + 1e-6);
        m *= (size_t)out[a];
    }
    small = malloc(m);
    few = malloc(m * sizeof *few);
    assert_ok(exa_resample_image(image, in, scale, out, small));
    assert_ok(exa_resample_labels(labels, in, scale, out, few));
    for (size_t o = 0; o < m; o++) {
        exa_coord z = (exa_coord)o / (out[1] * out[2]), y = (exa_coord)o / out[2] % out[1],
                  x = (exa_coord)o % out[2];
        double sum = 0, total = 0, votes[4] = {0};
        for (size_t i = 0; i < n; i++) {
            double w = overlap(z, scale[0], (exa_coord)i / (in[1] * in[2])) *
                       overlap(y, scale[1], (exa_coord)i / in[2] % in[1]) *
                       overlap(x, scale[2], (exa_coord)i % in[2]);
            sum += w * image[i];
            total += w;
            votes[labels[i] / 5000000000] += w;
        }
        assert_true(fabs(sum / total - small[o]) <= 0.5 + 1e-6);
        for (size_t v = 0; v < 4; v++) {
            size_t won = (size_t)(few[o] / 5000000000);
            assert_true(votes[won] > votes[v] - 1e-6);
            if (v < won) assert_true(votes[won] > votes[v]);
        }
    }
    free(image);
    free(labels);
    free(small);
    free(few);
}

static void test_resampling(void **state) {
    (void)state;
    check_resampling((exa_coord[3]){8, 8, 8}, (double[3]){4, 4, 4});
    check_resampling((exa_coord[3]){7, 9, 11}, (double[3]){1, 4, 4});
    check_resampling((exa_coord[3]){7, 9, 11}, (double[3]){33 / 16.0, 2, 2.5});
    check_resampling((exa_coord[3]){5, 6, 7}, (double[3]){0.825, 4, 1.0});
    check_resampling((exa_coord[3]){3, 3, 3}, (double[3]){3, 1.7, 0.6});
}

static void test_same_size_is_a_copy(void **state) {
    (void)state;
    const exa_coord shape[3] = {2, 3, 4};
    const double one[3] = {1, 1, 1};
    uint8_t image[24], out[24];
    for (int i = 0; i < 24; i++) image[i] = (uint8_t)(i * 7);
    assert_ok(exa_resample_image(image, shape, one, shape, out));
    assert_memory_equal(image, out, 24);
}

/* ---- patches ------------------------------------------------------------------------------------ */

enum { SIDE = 40, PATCH = 33, VOXELS = PATCH * PATCH * PATCH };

static exa_resampled make_volume(uint64_t noise, exa_segid inside, exa_segid outside) {
    exa_resampled v = {.shape = {SIDE, SIDE, SIDE}, .voxel_nm = {33, 32, 32}};
    size_t n = SIDE * SIDE * SIDE;
    v.image = malloc(n);
    v.labels = malloc(n * sizeof *v.labels);
    for (size_t i = 0; i < n; i++) {
        int y = (int)(i / SIDE) % SIDE, x = (int)(i % SIDE);
        bool in = abs(y - 20) < 6 && abs(x - 15) < 9;
        v.image[i] = (uint8_t)(256 * exa_segclr_random("volume", in ? 1 : noise, i));
        v.labels[i] = in ? inside : outside;
    }
    return v;
}

/* Neither the image outside the mask, nor how segments are called, nor what is around, changes a bit. */
static void test_patch_sees_its_segment_only(void **state) {
    (void)state;
    static float patch[2][VOXELS];
    float embedding[2][64], *to[2] = {embedding[0], embedding[1]};
    const float *from[2] = {patch[0], patch[1]};
    const exa_coord at[3] = {20, 20, 15}, size[3] = {PATCH, PATCH, PATCH};
    exa_resampled a = make_volume(2, 5, 0), b = make_volume(3, 7000000000, 12);
    exa_segclr_model *m = segclr_random_model(1, 18, 16, PATCH);
    exa_segclr_net *net = NULL;

    assert_true(exa_embedding_patch(&a, 5, at, size, m->input_scale, patch[0]) ==
                exa_embedding_patch(&b, 7000000000, at, size, m->input_scale, patch[1]));
    assert_memory_equal(patch[0], patch[1], sizeof patch[0]);
    assert_ok(exa_segclr_net_create(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    assert_ok(exa_segclr_net_embed(net, 2, from, to));
    assert_memory_equal(embedding[0], embedding[1], sizeof embedding[0]);
    exa_segclr_net_destroy(&net);
    exa_segclr_model_destroy(&m);
    exa_resampled_free(&a);
    exa_resampled_free(&b);
}

static void test_patch_at_the_rim(void **state) {
    (void)state;
    static float patch[VOXELS];
    const exa_coord size[3] = {PATCH, PATCH, PATCH};
    exa_resampled v = make_volume(2, 5, 5);

    for (int corner = 0; corner < 9; corner++) {
        exa_coord at[3] = {corner == 8  ? 20
                           : corner & 1 ? SIDE - 1
                                        : 0,
                           corner == 8  ? 20
                           : corner & 2 ? SIDE - 1
                                        : 0,
                           corner == 8  ? 20
                           : corner & 4 ? SIDE - 1
                                        : 0};
        double outside = exa_embedding_patch(&v, 5, at, size, 1.0 / 255, patch);
        size_t zeros = 0;
        for (int i = 0; i < VOXELS; i++) {
            exa_coord z = at[0] - 16 + i / (PATCH * PATCH), y = at[1] - 16 + i / PATCH % PATCH,
                      x = at[2] - 16 + i % PATCH;
            bool in = z >= 0 && y >= 0 && x >= 0 && z < SIDE && y < SIDE && x < SIDE;
            float should = in ? (float)(v.image[(z * SIDE + y) * SIDE + x] * (1.0 / 255)) : 0;
            assert_true(patch[i] == should);
            zeros += !in;
        }
        assert_true(fabs(outside - (double)zeros / VOXELS) < 1e-12);
    }
    exa_resampled_free(&v);
}

/* ---- means -------------------------------------------------------------------------------------- */

static void test_means_along_a_tree(void **state) {
    (void)state;
    /*  0 -10- 1 -10- 2
     *          \5 3 -20- 4       5 (another part) */
    const exa_skeleton_node nodes[6] = {{{0}, -1, 0, 0}, {{0}, 0, 10, 0}, {{0}, 1, 10, 0},
                                        {{0}, 1, 5, 0},  {{0}, 3, 20, 0}, {{0}, -1, 0, 0}};
    const double positions[18] = {0, 0, 0, 0, 0, 10, 0, 0, 20, 0, 5, 10, 0, 25, 10, 0, 0, 0.5};
    const float value[6] = {1, 2, 4, 8, 16, 32};
    float means[6];
    uint64_t n[6];

    assert_ok(exa_embedding_means(nodes, positions, 6, value, 1, 15, EXA_EMBEDDING_PATH, means, n));
    assert_true(n[0] == 3 && means[0] == (1 + 2 + 8) / 3.0f);
    assert_true(n[1] == 4 && means[1] == (1 + 2 + 4 + 8) / 4.0f);
    assert_true(n[2] == 3 && means[2] == (float)((2 + 4 + 8) / 3.0));
    assert_true(n[4] == 1 && means[4] == 16);
    assert_true(n[5] == 1 && means[5] == 32);
    assert_ok(exa_embedding_means(nodes, positions, 6, value, 1, 0, EXA_EMBEDDING_PATH, means, n));
    assert_memory_equal(means, value, sizeof means);
    assert_ok(exa_embedding_means(nodes, positions, 6, value, 1, 1, EXA_EMBEDDING_EUCLIDEAN, means, n));
    assert_true(n[0] == 2 && means[0] == 16.5f && n[3] == 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resampling),
        cmocka_unit_test(test_same_size_is_a_copy),
        cmocka_unit_test(test_patch_sees_its_segment_only),
        cmocka_unit_test(test_patch_at_the_rim),
        cmocka_unit_test(test_means_along_a_tree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
