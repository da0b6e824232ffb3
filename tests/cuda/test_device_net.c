/* The network on the GPU against the network on the CPU: random and published weights, odd FOVs, batches in groups,
 * precisions, overflow and its repair, capture in a graph by the caller's stream, memory, refusals.
 *
 * Built twice: for the CPU (kernels/cuda/lane_host.h), with small FOVs, and for a real GPU (EXA_TEST_ON_GPU), which
 * also does large FOVs and the golden steps, but not with EXACONN_TEST_SMALL=1 (for compute-sanitizer).
 * EXA_LONG_TESTS=1 does one golden step on the CPU, too (a minute or more).
 */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/device.h"
#include "exaconn/ffn_device_net.h"
#include "exaconn/ffn_net.h"

#include "golden_model.h"

#include <math.h>

#ifdef EXA_TEST_ON_GPU
#define on_gpu true
#define set_orders(seed, multiprocessors) ((void)(seed), (void)(multiprocessors))
#else
#include "cuda/lane_test.h"
#define on_gpu false
static void set_orders(uint64_t seed, int multiprocessors) {
    exa_lane_set_seed(seed);
    exa_lane_set_device(90, multiprocessors, 227 * 1024);
}
#endif

enum { MAX_BATCH = 8 };

static bool in_full(void) {
    return on_gpu && !test_is_small();
}

typedef struct batch {
    size_t voxels;
    float *image[MAX_BATCH], *seed[MAX_BATCH], *logits[MAX_BATCH];
} batch;

static batch batch_make(const exa_ffn_model *m, int n, uint64_t random) {
    batch b = {.voxels = (size_t)(m->fov[0] * m->fov[1] * m->fov[2])};
    for (int i = 0; i < n; i++) {
        b.image[i] = malloc(b.voxels * sizeof(float));
        b.seed[i] = malloc(b.voxels * sizeof(float));
        b.logits[i] = calloc(b.voxels, sizeof(float));
        for (size_t v = 0; v < b.voxels; v++) {
            b.image[i][v] = (float)(4 * test_uniform(&random) - 2);
            b.seed[i][v] = test_uniform(&random) < 0.6 ? -2.9444389f : (float)(6 * test_uniform(&random) - 3);
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

/* Weights of a scale that keeps activations near 1. */
static exa_ffn_model *random_model(int depth, int features, int z, int y, int x, uint64_t random) {
    const exa_coord fov[3] = {z, y, x}, deltas[3] = {1, 1, 1};
    exa_ffn_model *m = NULL;
    assert_ok(exa_ffn_model_create(depth, features, fov, deltas, &m));
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *l = &m->layers[i];
        size_t fan_in = (size_t)l->cin * (l->kernel == 3 ? 27 : 1), count = fan_in * (size_t)l->cout;
        for (size_t k = 0; k < count; k++)
            l->weights[k] = (float)((2 * test_uniform(&random) - 1) * sqrt(3.0 / (double)fan_in));
        for (int k = 0; k < l->cout; k++) l->biases[k] = (float)(0.2 * test_uniform(&random) - 0.1);
    }
    return m;
}

static void on_cpu(const exa_ffn_model *m, batch *b, size_t n) {
    exa_ffn_net *net = NULL;
    assert_ok(exa_ffn_net_create(m, EXA_FFN_KERNEL_DIRECT, EXA_ISA_AUTO, NULL, &net));
    assert_ok(exa_ffn_net_infer(net, n, (const float *const *)b->image, (const float *const *)b->seed, b->logits));
    exa_ffn_net_destroy(&net);
}

static exa_device_net *device_net(const exa_ffn_model *m, exa_net_precision precision, int max_batch) {
    exa_device_net_options o = {.precision = precision, .max_batch = max_batch, .tune = in_full()};
    exa_device_net *net = NULL;
    assert_ok(exa_ffn_device_net_create(m, &o, &net));
    return net;
}

static double worst_of(const float *a, const float *b, size_t n) {
    double worst = 0;
    for (size_t i = 0; i < n; i++) {
        double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) worst = d; /* NaN stays */
    }
    return worst;
}

/* fp32 sums in another order; tf32 and fp16 round inputs and weights to 11 bits at every layer. Both against a CPU
 * in fp32. A wrong index anywhere gives differences of the size of the logits themselves, about 1. */
static const double tolerance[] = {2e-5, 2e-2, 2e-2};

static void check_network(int depth, int features, int z, int y, int x, int n) {
    exa_ffn_model *m = random_model(depth, features, z, y, x, 7);
    batch want = batch_make(m, n, 3), got = batch_make(m, n, 3);
    on_cpu(m, &want, (size_t)n);
    for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
        exa_device_net *net = device_net(m, (exa_net_precision)precision, n);
        uint64_t redone = 0;
        assert_ok(exa_device_net_infer(net, NULL, (size_t)n, (const float *const *)got.image,
                                       (const float *const *)got.seed, got.logits, &redone));
        for (int i = 0; i < n; i++) {
            double d = worst_of(want.logits[i], got.logits[i], want.voxels);
            if (!(d <= tolerance[precision]))
                fail_msg("%s, depth %d, %d features, %dx%dx%d: FOV %d differs by %g",
                         exa_device_net_description(net), depth, features, z, y, x, i, d);
        }
        assert_int_equal(redone, 0);
        exa_device_net_destroy(&net);
    }
    batch_free(&want);
    batch_free(&got);
    exa_ffn_model_destroy(&m);
}

static void test_networks(void **state) {
    (void)state;
    set_orders(1, 3);
    check_network(1, 32, 3, 3, 3, 1);
    check_network(2, 32, 5, 7, 9, 2);
    check_network(3, 8, 5, 3, 7, 2);
    check_network(2, 48, 3, 5, 5, 1);
    check_network(2, 64, 3, 5, 3, 2);
    if (in_full()) {
        check_network(12, 32, 33, 33, 33, 3);
        check_network(9, 32, 17, 33, 49, 2);
        check_network(4, 16, 21, 21, 21, 8);
        check_network(3, 64, 33, 33, 33, 2);
        check_network(2, 32, 1, 1, 257, 2);
    }
}

/* The same bits in batches of any size, at any place, whatever the number of multiprocessors. */
static void test_batches_change_no_bit(void **state) {
    (void)state;
    exa_ffn_model *m = in_full() ? random_model(4, 32, 33, 33, 33, 11) : random_model(2, 32, 5, 5, 7, 11);
    for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
        batch all = batch_make(m, MAX_BATCH, 5), one = batch_make(m, 1, 5);
        set_orders(2, 2);
        exa_device_net *wide = device_net(m, (exa_net_precision)precision, MAX_BATCH);
        assert_ok(exa_device_net_infer(wide, NULL, MAX_BATCH, (const float *const *)all.image,
                                       (const float *const *)all.seed, all.logits, NULL));
        exa_device_net_destroy(&wide);
        for (int f = 0; f < MAX_BATCH; f += 3) {
            set_orders((uint64_t)(3 + f), 1 + 2 * f);
            exa_device_net *narrow = device_net(m, (exa_net_precision)precision, 1 + f);
            assert_ok(exa_device_net_infer(narrow, NULL, 1, (const float *const *)&all.image[f],
                                           (const float *const *)&all.seed[f], one.logits, NULL));
            assert_memory_equal(one.logits[0], all.logits[f], all.voxels * sizeof(float));
            exa_device_net_destroy(&narrow);
        }
        batch_free(&all);
        batch_free(&one);
    }
    exa_ffn_model_destroy(&m);
}

static void test_overflow_is_redone(void **state) {
    (void)state;
    exa_ffn_model *m = random_model(2, 16, 3, 5, 3, 13);
    batch want = batch_make(m, 3, 9), got = batch_make(m, 3, 9);
    set_orders(4, 3);
    want.image[1][22] = got.image[1][22] = 3e5f; /* beyond fp16 already at the input */
    for (size_t v = 0; v < want.voxels; v++) want.seed[2][v] = got.seed[2][v] = 6e4f; /* only after a layer */
    on_cpu(m, &want, 3);
    exa_device_net *net = device_net(m, EXA_NET_FP16, 2), *wider = device_net(m, EXA_NET_FP32, 1);
    uint64_t redone = 0;
    assert_fails(EXA_ERR_RANGE, "wider precision",
                 exa_device_net_infer(net, NULL, 3, (const float *const *)got.image, (const float *const *)got.seed,
                                      got.logits, &redone));
    assert_ok(exa_device_net_infer(net, wider, 3, (const float *const *)got.image, (const float *const *)got.seed,
                                   got.logits, &redone));
    assert_true(redone == 2);
    for (int i = 0; i < 3; i++) {
        double scale = 1;
        for (size_t v = 0; v < want.voxels; v++) scale = fmax(scale, fabs((double)want.logits[i][v]));
        assert_true(worst_of(want.logits[i], got.logits[i], want.voxels) <= (i == 0 ? 2e-2 : 1e-5 * scale));
    }
    exa_device_net_destroy(&net);
    exa_device_net_destroy(&wider);
    batch_free(&want);
    batch_free(&got);
    exa_ffn_model_destroy(&m);
}

static void test_memory_and_refusals(void **state) {
    (void)state;
    exa_ffn_model *m = random_model(2, 32, 5, 5, 5, 1);
    exa_device_net_options o = {.precision = EXA_NET_FP16, .max_batch = 4};
    exa_device_net *net = NULL;
    uint64_t bytes = 0, more = 0;
    set_orders(5, 2);
    assert_ok(exa_ffn_device_net_memory(m, &o, &bytes));
    o.max_batch = 5;
    assert_ok(exa_ffn_device_net_memory(m, &o, &more));
    assert_true(more > bytes && bytes > 100000 && bytes < 10000000);
    o.max_batch = 4;
    assert_ok(exa_ffn_device_net_create(m, &o, &net));
#ifndef EXA_TEST_ON_GPU
    assert_int_equal(exa_lane_device_bytes(), bytes);
#endif
    assert_fails(EXA_ERR_RANGE, "made for 4", exa_device_net_forward(net, 5, NULL, NULL, NULL, NULL));
    assert_non_null(strstr(exa_device_net_description(net), "fp16 mma"));
    assert_ok(exa_device_net_infer(net, NULL, 0, NULL, NULL, NULL, NULL));
    exa_device_net_destroy(&net);
    exa_device_net_destroy(&net);
    o.max_batch = 0;
    assert_fails(EXA_ERR_RANGE, "batch of 0", exa_ffn_device_net_create(m, &o, &net));
    o.max_batch = 1;
    o.device = 99;
    assert_fails(EXA_ERR_RANGE, "no GPU 99", exa_ffn_device_net_create(m, &o, &net));
    m->layers[1].cin = 16;
    assert_fails(EXA_ERR_FORMAT, "conv0_b", exa_ffn_device_net_create(m, &o, &net));
    m->layers[1].cin = 32;
    assert_null(net);
    exa_ffn_model_destroy(&m);
#ifndef EXA_TEST_ON_GPU
    assert_int_equal(exa_lane_device_bytes(), 0);
#endif
}

/* What a run does before it believes a GPU, on one that is right. */
static void test_start_check(void **state) {
    (void)state;
    exa_ffn_model *m = random_model(2, 32, 5, 5, 7, 17);
    double largest = 0;
    set_orders(9, 3);
    for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
        exa_device_net *net = device_net(m, (exa_net_precision)precision, 5);
        assert_ok(exa_ffn_device_net_check(m, net, NULL, (exa_net_precision)precision, 5, NULL, &largest));
        assert_true(largest > 0);
        exa_device_net_destroy(&net);
    }
    exa_ffn_model_destroy(&m);
}

#ifndef EXA_TEST_ON_GPU
/* What counts is the code that runs: PTX of an older capability has no tensor cores, no code runs not at all. */
static void test_code_decides(void **state) {
    (void)state;
    exa_ffn_model *m = random_model(1, 16, 3, 3, 3, 1);
    exa_device_net_options o = {.precision = EXA_NET_TF32, .max_batch = 1};
    exa_device_net *net = NULL;
    set_orders(8, 2);
    assert_ok(exa_device_net_usable(0, EXA_NET_FP16));
    exa_lane_set_code(80); /* on 9.0: no launch may begin before the one before it has ended (lane_host.h) */
    batch b = batch_make(m, 1, 1);
    assert_ok(exa_ffn_device_net_create(m, &o, &net));
    assert_ok(exa_device_net_infer(net, NULL, 1, (const float *const *)b.image, (const float *const *)b.seed,
                                   b.logits, NULL));
    exa_device_net_destroy(&net);
    batch_free(&b);
    exa_lane_set_code(75);
    assert_fails(EXA_ERR_UNSUPPORTED, "has 7.5", exa_device_net_usable(0, EXA_NET_FP16));
    assert_fails(EXA_ERR_UNSUPPORTED, "has 7.5", exa_ffn_device_net_create(m, &o, &net));
    assert_ok(exa_device_net_usable(0, EXA_NET_FP32));
    exa_lane_set_device(70, 2, 96 * 1024);
    assert_fails(EXA_ERR_UNSUPPORTED, "no code for a GPU of compute capability 7.0",
                 exa_device_net_usable(0, EXA_NET_FP32));
    exa_lane_set_code(0);
    assert_fails(EXA_ERR_UNSUPPORTED, "has 7.0", exa_device_net_usable(0, EXA_NET_TF32));
    assert_null(net);
    exa_ffn_model_destroy(&m);
}
#endif

/* ---- published weights -------------------------------------------------------------------------- */

typedef struct published {
    exa_ffn_model *model;
    golden_array image, seed, logits;
} published;

static bool published_read(published *p) {
    const char *path = test_data_path("ffn_fib25.h5");
    if (!path) return false;
    p->model = golden_model(path);
    path = test_data_path("ffn_golden_steps.h5");
    if (!path) return false;
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) abort();
    p->image = GOLDEN_F32(file, "image_raw");
    p->seed = GOLDEN_F32(file, "seed");
    p->logits = GOLDEN_F32(file, "logits");
    H5Fclose(file);
    for (size_t i = 0; i < p->image.count; i++) {
        float *v = (float *)p->image.data + i;
        *v = (*v - 128.0f) / 33.0f;
    }
    return true;
}

static void published_free(published *p) {
    exa_ffn_model_destroy(&p->model);
    free(p->image.data);
    free(p->seed.data);
    free(p->logits.data);
}

/* All 24 layers of the FIB-25 network on crops of real data, against the CPU in fp32. Tolerances: FFN_SEMANTICS H
 * for fp32; the others' worst logit error on whole steps was 0.010 (PERFORMANCE_NOTES 4). */
static void test_published_weights_on_crops(void **state) {
    (void)state;
    published p = {0};
    if (!published_read(&p)) skip();
    const exa_coord crop[3] = {5, 7, 9}, whole = 33;
    for (int a = 0; a < 3; a++) p.model->fov[a] = crop[a];
    batch want = batch_make(p.model, 2, 1), got = batch_make(p.model, 2, 1);
    for (int f = 0; f < 2; f++)
        for (exa_coord z = 0, v = 0; z < crop[0]; z++)
            for (exa_coord y = 0; y < crop[1]; y++)
                for (exa_coord x = 0; x < crop[2]; x++, v++) {
                    size_t at = (size_t)((((2 * f + 1) * whole + z + 14) * whole + y + 13) * whole + x + 12);
                    want.image[f][v] = got.image[f][v] = ((const float *)p.image.data)[at];
                    want.seed[f][v] = got.seed[f][v] = ((const float *)p.seed.data)[at];
                }
    set_orders(6, 2);
    on_cpu(p.model, &want, 2);
    for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
        exa_device_net *net = device_net(p.model, (exa_net_precision)precision, 2);
        assert_ok(exa_device_net_infer(net, NULL, 2, (const float *const *)got.image,
                                       (const float *const *)got.seed, got.logits, NULL));
        double worst = fmax(worst_of(want.logits[0], got.logits[0], want.voxels),
                            worst_of(want.logits[1], got.logits[1], want.voxels));
        printf("crops, %s: largest difference %.2e\n", exa_device_net_description(net), worst);
        assert_true(worst <= (precision == EXA_NET_FP32 ? 5e-5 : 2e-2));
        exa_device_net_destroy(&net);
    }
    batch_free(&want);
    batch_free(&got);
    published_free(&p);
}

static void test_golden_steps(void **state) {
    (void)state;
    published p = {0};
    if (test_is_small()) {
        fprintf(stderr, "SKIP: EXACONN_TEST_SMALL leaves the golden steps out\n");
        skip();
    }
    if (!on_gpu && !getenv("EXA_LONG_TESTS")) {
        fprintf(stderr, "SKIP: whole golden steps take minutes on the CPU (EXA_LONG_TESTS=1 does one)\n");
        skip();
    }
    if (!published_read(&p)) skip();
    size_t steps = on_gpu ? (size_t)p.logits.shape[0] : 1, voxels = p.logits.count / (size_t)p.logits.shape[0];
    set_orders(7, 3);
    for (int precision = on_gpu ? EXA_NET_FP32 : EXA_NET_FP16; precision <= EXA_NET_FP16; precision++) {
        const float *image[MAX_BATCH], *seed[MAX_BATCH];
        float *logits[MAX_BATCH], *got = malloc(steps * voxels * sizeof *got);
        for (size_t i = 0; i < steps; i++) {
            image[i] = (const float *)p.image.data + i * voxels;
            seed[i] = (const float *)p.seed.data + i * voxels;
            logits[i] = got + i * voxels;
        }
        exa_device_net *net = device_net(p.model, (exa_net_precision)precision, (int)steps);
        assert_ok(exa_device_net_infer(net, NULL, steps, image, seed, logits, NULL));
        double worst = worst_of(got, p.logits.data, steps * voxels), squares = 0;
        size_t flipped = 0;
        for (size_t i = 0; i < steps * voxels; i++) {
            float want = ((const float *)p.logits.data)[i];
            squares += ((double)got[i] - (double)want) * ((double)got[i] - (double)want);
            flipped += (got[i] >= 0.40546522f) != (want >= 0.40546522f);
        }
        printf("golden steps, %s: largest error %.2e, rms %.2e, %zu of %zu voxels flipped at 0.6\n",
               exa_device_net_description(net), worst, sqrt(squares / (double)(steps * voxels)), flipped,
               steps * voxels);
        assert_true(worst <= (precision == EXA_NET_FP32 ? 5e-5 : 3e-2));
        exa_device_net_destroy(&net);
        free(got);
    }
    published_free(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks),
        cmocka_unit_test(test_batches_change_no_bit),
        cmocka_unit_test(test_overflow_is_redone),
        cmocka_unit_test(test_memory_and_refusals),
        cmocka_unit_test(test_start_check),
#ifndef EXA_TEST_ON_GPU
        cmocka_unit_test(test_code_decides),
#endif
        cmocka_unit_test(test_published_weights_on_crops),
        cmocka_unit_test(test_golden_steps),
    };
#ifdef EXA_TEST_ON_GPU
    const char *reason;
    if (exa_device_count(&reason) == 0) {
        fprintf(stderr, "SKIP: no GPU: %s\n", reason);
        return 77;
    }
#endif
    return cmocka_run_group_tests(tests, NULL, NULL);
}
