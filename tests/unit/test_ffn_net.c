/* The whole network: every kernel and instruction set against the reference and against the golden steps, and the
 * promise that threads and batches change no bit.
 */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/ffn_net.h"

#include <hdf5.h>
#include <math.h>

static const exa_isa all_isas[] = {EXA_ISA_PORTABLE, EXA_ISA_AVX2, EXA_ISA_AVX512};

static void layer_make(exa_ffn_layer *layer, int i, int depth, int features) {
    bool head = i == 2 * depth;
    *layer = (exa_ffn_layer){.kernel = head ? 1 : 3, .cin = i == 0 ? 2 : features, .cout = head ? 1 : features};
    if (head) {
        snprintf(layer->name, sizeof layer->name, "conv_lom");
    } else {
        snprintf(layer->name, sizeof layer->name, "conv%d_%c", i / 2, "ab"[i % 2]);
    }
    size_t taps = head ? 1 : 27;
    assert_ok(
        exa_calloc(taps * (size_t)layer->cin * (size_t)layer->cout, sizeof(float), "a test", &layer->weights));
    assert_ok(exa_calloc((size_t)layer->cout, sizeof(float), "a test", &layer->biases));
}

static exa_ffn_model model_make(int depth, int features, int z, int y, int x) {
    exa_ffn_model m = {.depth = depth, .features = features, .fov = {z, y, x}, .layer_count = 2 * depth + 1};
    assert_ok(exa_calloc((size_t)m.layer_count, sizeof *m.layers, "a test", &m.layers));
    for (int i = 0; i < m.layer_count; i++) layer_make(&m.layers[i], i, depth, features);
    return m;
}

static void model_randomize(exa_ffn_model *m, uint64_t seed) {
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *layer = &m->layers[i];
        size_t taps = layer->kernel == 3 ? 27 : 1, count = taps * (size_t)layer->cin * (size_t)layer->cout;
        double scale = sqrt(3.0 / (double)(taps * (size_t)layer->cin));
        for (size_t k = 0; k < count; k++) layer->weights[k] = (float)(scale * (2 * test_uniform(&seed) - 1));
        for (int k = 0; k < layer->cout; k++) layer->biases[k] = (float)(0.2 * test_uniform(&seed) - 0.1);
    }
}

static void model_free(exa_ffn_model *m) {
    for (int i = 0; i < m->layer_count; i++) {
        free(m->layers[i].weights);
        free(m->layers[i].biases);
    }
    free(m->layers);
}

static size_t fov_voxels(const exa_ffn_model *m) {
    return (size_t)(m->fov[0] * m->fov[1] * m->fov[2]);
}

enum { MAX_BATCH = 7 };
typedef struct batch {
    size_t voxels;
    float *image[MAX_BATCH], *seed[MAX_BATCH], *logits[MAX_BATCH];
} batch;

static batch batch_make(size_t voxels) {
    batch b = {.voxels = voxels};
    uint64_t seed = 77;
    for (int i = 0; i < MAX_BATCH; i++) {
        assert_ok(exa_calloc(voxels, sizeof(float), "a test", &b.image[i]));
        assert_ok(exa_calloc(voxels, sizeof(float), "a test", &b.seed[i]));
        assert_ok(exa_calloc(voxels, sizeof(float), "a test", &b.logits[i]));
        for (size_t v = 0; v < voxels; v++) {
            b.image[i][v] = (float)(4 * test_uniform(&seed) - 2);
            b.seed[i][v] = test_uniform(&seed) < 0.5 ? -2.9444389f : (float)(6 * test_uniform(&seed) - 3);
        }
    }
    return b;
}

static void batch_free(batch *b) {
    for (int i = 0; i < MAX_BATCH; i++) {
        free(b->image[i]);
        free(b->seed[i]);
        free(b->logits[i]);
    }
}

/* The first n FOVs through a fresh net. */
static void infer(const exa_ffn_model *m, exa_ffn_kernel kernel, exa_isa isa, int threads, batch *b, size_t n) {
    exa_pool *pool = NULL;
    exa_ffn_net *net = NULL;
    if (threads > 1) assert_ok(exa_pool_create(threads, false, &pool));
    assert_ok(exa_ffn_net_create(m, kernel, isa, pool, &net));
    for (size_t i = 0; i < n; i++) memset(b->logits[i], 0xff, b->voxels * sizeof(float));
    for (int repeat = 0; repeat < 2; repeat++) { /* the second run must not see anything of the first */
        assert_ok(
            exa_ffn_net_infer(net, n, (const float *const *)b->image, (const float *const *)b->seed, b->logits));
    }
    exa_ffn_net_destroy(&net);
    exa_pool_destroy(&pool);
}

static double largest_difference(const float *a, const float *b, size_t count) {
    double worst = 0;
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) worst = d;
    }
    return worst;
}

/* Random residual networks amplify: the largest logits here are of order 10, so 1e-4 is 1e-5 relative. */
static void check_against_reference(int depth, int features, int z, int y, int x) {
    exa_ffn_model m = model_make(depth, features, z, y, x);
    batch want = batch_make(fov_voxels(&m)), got = batch_make(fov_voxels(&m));
    model_randomize(&m, (uint64_t)(features * 1000 + z));
    infer(&m, EXA_FFN_KERNEL_REFERENCE, EXA_ISA_AUTO, 2, &want, 2);
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        if (!exa_cpu_has(all_isas[i])) continue;
        for (int kernel = EXA_FFN_KERNEL_AUTO; kernel <= EXA_FFN_KERNEL_WINOGRAD; kernel++) {
            if (kernel == EXA_FFN_KERNEL_REFERENCE) continue;
            infer(&m, (exa_ffn_kernel)kernel, all_isas[i], 1, &got, 2);
            for (int f = 0; f < 2; f++) {
                double d = largest_difference(want.logits[f], got.logits[f], want.voxels);
                if (!(d <= 1e-4)) {
                    fail_msg("%s %s, %d features, %dx%dx%d: differs by %g", exa_isa_name(all_isas[i]),
                             exa_ffn_kernel_name((exa_ffn_kernel)kernel), features, z, y, x, d);
                }
            }
        }
    }
    batch_free(&want);
    batch_free(&got);
    model_free(&m);
}

static void test_kernels_agree(void **state) {
    (void)state;
    check_against_reference(2, 8, 9, 9, 9);
    check_against_reference(2, 16, 5, 7, 11);
    check_against_reference(3, 24, 7, 7, 7);
    check_against_reference(2, 32, 3, 13, 13);
    check_against_reference(1, 40, 5, 5, 5);
    check_against_reference(2, 64, 5, 5, 7);
    check_against_reference(2, 8, 1, 1, 1);
}

static void test_threads_and_batches_change_no_bit(void **state) {
    (void)state;
    exa_ffn_model m = model_make(3, 16, 7, 9, 13);
    batch one = batch_make(fov_voxels(&m)), many = batch_make(fov_voxels(&m));
    model_randomize(&m, 4);
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        if (!exa_cpu_has(all_isas[i])) continue;
        for (int kernel = EXA_FFN_KERNEL_REFERENCE; kernel <= EXA_FFN_KERNEL_WINOGRAD; kernel++) {
            infer(&m, (exa_ffn_kernel)kernel, all_isas[i], 1, &one, MAX_BATCH);
            for (int threads = 1; threads <= 4; threads++) {
                for (size_t n = 1; n <= MAX_BATCH; n += 2) {
                    infer(&m, (exa_ffn_kernel)kernel, all_isas[i], threads, &many, n);
                    for (size_t f = 0; f < n; f++) {
                        assert_memory_equal(one.logits[f], many.logits[f], one.voxels * sizeof(float));
                    }
                }
            }
        }
    }
    batch_free(&one);
    batch_free(&many);
    model_free(&m);
}

static void test_depth_of_the_published_limits(void **state) {
    (void)state;
    exa_ffn_model m = model_make(EXA_FFN_MAX_DEPTH, 8, 3, 3, 3);
    batch b = batch_make(fov_voxels(&m));
    infer(&m, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, 2, &b, 3);
    /* All weights are zero: the logits are the seed plus the head's bias. */
    for (int f = 0; f < 3; f++) assert_memory_equal(b.logits[f], b.seed[f], b.voxels * sizeof(float));
    batch_free(&b);
    model_free(&m);
}

/* ---- the published network on the golden steps --------------------------------------------------- */

static void read_dataset(hid_t file, const char *name, hid_t type, void *data) {
    hid_t dataset = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(dataset >= 0);
    assert_true(H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(dataset);
}

static void read_published(const char *path, exa_ffn_model *m) {
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    for (int i = 0; i < m->layer_count; i++) {
        char name[96];
        snprintf(name, sizeof name, "/seed_update/%s/weights", m->layers[i].name);
        read_dataset(file, name, H5T_NATIVE_FLOAT, m->layers[i].weights);
        snprintf(name, sizeof name, "/seed_update/%s/biases", m->layers[i].name);
        read_dataset(file, name, H5T_NATIVE_FLOAT, m->layers[i].biases);
    }
    H5Fclose(file);
}

enum { GOLDEN = 6, GOLDEN_VOXELS = 33 * 33 * 33 };
static float golden_image[GOLDEN][GOLDEN_VOXELS], golden_seed[GOLDEN][GOLDEN_VOXELS];
static float golden_logits[GOLDEN][GOLDEN_VOXELS], own_logits[GOLDEN][GOLDEN_VOXELS];

static bool read_golden(exa_ffn_model *m) {
    const char *path = test_data_path("ffn_fib25.h5");
    if (!path) return false;
    read_published(path, m);
    path = test_data_path("ffn_golden_steps.h5");
    if (!path) return false;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    read_dataset(file, "image_raw", H5T_NATIVE_FLOAT, golden_image);
    read_dataset(file, "seed", H5T_NATIVE_FLOAT, golden_seed);
    read_dataset(file, "logits", H5T_NATIVE_FLOAT, golden_logits);
    H5Fclose(file);
    for (int i = 0; i < GOLDEN; i++)
        for (int v = 0; v < GOLDEN_VOXELS; v++) golden_image[i][v] = (golden_image[i][v] - 128.0f) / 33.0f;
    return true;
}

static void check_golden(const exa_ffn_model *m, exa_ffn_kernel kernel, exa_isa isa, size_t n) {
    const float *image[GOLDEN], *seed[GOLDEN];
    float *logits[GOLDEN];
    exa_pool *pool = NULL;
    exa_ffn_net *net = NULL;
    double worst = 0, squares = 0;

    for (int i = 0; i < GOLDEN; i++) {
        image[i] = golden_image[i];
        seed[i] = golden_seed[i];
        logits[i] = own_logits[i];
    }
    assert_ok(exa_pool_create(2, false, &pool));
    assert_ok(exa_ffn_net_create(m, kernel, isa, pool, &net));
    assert_ok(exa_ffn_net_infer(net, n, image, seed, logits));
    for (size_t i = 0; i < n; i++) {
        for (int v = 0; v < GOLDEN_VOXELS; v++) {
            double d = fabs((double)own_logits[i][v] - (double)golden_logits[i][v]);
            if (!(d <= worst)) worst = d;
            squares += d * d;
        }
    }
    printf("golden steps, %s: largest error %.2e, rms %.2e over %zu steps\n", exa_ffn_net_description(net), worst,
           sqrt(squares / (double)(n * GOLDEN_VOXELS)), n);
    assert_true(worst <= 5e-5); /* FFN_SEMANTICS H; the fp32 paths reach about a tenth of it */
    exa_ffn_net_destroy(&net);
    exa_pool_destroy(&pool);
}

static void test_golden_steps(void **state) {
    (void)state;
    const char *sanitize = getenv("EXACONN_SANITIZE");
    bool slow = sanitize && *sanitize; /* some 20 times slower: one step, without the reference */
    if (slow && !getenv("EXACONN_LONG_TESTS")) {
        fprintf(stderr, "SKIP: golden steps take a minute under %s (EXACONN_LONG_TESTS=1 runs one)\n", sanitize);
        skip();
    }
    exa_ffn_model m = model_make(12, 32, 33, 33, 33);
    if (!read_golden(&m)) {
        model_free(&m);
        skip();
    }
    size_t steps = slow ? 1 : GOLDEN;
    if (!slow) check_golden(&m, EXA_FFN_KERNEL_REFERENCE, EXA_ISA_AUTO, 1);
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        if (!exa_cpu_has(all_isas[i])) continue;
        if (slow && all_isas[i] != exa_cpu_best_isa()) continue;
        check_golden(&m, EXA_FFN_KERNEL_DIRECT, all_isas[i], steps);
        check_golden(&m, EXA_FFN_KERNEL_WINOGRAD, all_isas[i], steps);
    }
    model_free(&m);
}

/* ---- refusals ------------------------------------------------------------------------------------ */

static void test_refusals(void **state) {
    (void)state;
    exa_ffn_net *net = NULL;
    exa_ffn_model m = model_make(1, 8, 5, 5, 5);
    m.fov[1] = 4;
    assert_fails(EXA_ERR_RANGE, "axis y", exa_ffn_net_create(&m, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    m.fov[1] = 5;
    m.features = 12;
    assert_fails(EXA_ERR_RANGE, "12 features",
                 exa_ffn_net_create(&m, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    m.features = 8;
    m.layers[1].cin = 16;
    assert_fails(EXA_ERR_FORMAT, "conv0_b", exa_ffn_net_create(&m, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    m.layers[1].cin = 8;
    if (!exa_cpu_has(EXA_ISA_AVX512)) {
        assert_fails(EXA_ERR_UNSUPPORTED, "avx512",
                     exa_ffn_net_create(&m, EXA_FFN_KERNEL_AUTO, EXA_ISA_AVX512, NULL, &net));
    }
    assert_null(net);
    exa_ffn_net_destroy(&net);
    assert_ok(exa_ffn_net_create(&m, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    assert_non_null(strstr(exa_ffn_net_description(net), "1 thread"));
    assert_true(exa_ffn_net_memory_bytes(net) > 0);
    assert_ok(exa_ffn_net_infer(net, 0, NULL, NULL, NULL));
    exa_ffn_net_destroy(&net);
    model_free(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kernels_agree),
        cmocka_unit_test(test_threads_and_batches_change_no_bit),
        cmocka_unit_test(test_depth_of_the_published_limits),
        cmocka_unit_test(test_golden_steps),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
