/* The GPU's convolutions against the plain reference of kernels/conv3d.c: odd shapes, borders, batches, channel
 * counts, endings, every precision and tiling. Inputs and weights are small multiples of powers of two, so that
 * every sum is exact in any order: results must agree to the last bit (fp16: after rounding).
 *
 * Built twice: for the CPU, where blocks, warps and lanes run in drawn orders, and for a real GPU
 * (EXA_TEST_ON_GPU). EXACONN_TEST_SMALL=1: two tilings and half of the shapes, for compute-sanitizer.
 */
#include "test_util.h"

#include "exaconn/conv3d.h"
#include "exaconn/conv3d_device.h"
#include "exaconn/device.h"

#include "conv3d_device_internal.h"

#include <math.h>

#ifdef EXA_TEST_ON_GPU
#define set_orders(seed, multiprocessors) ((void)(seed), (void)(multiprocessors))
#else
#include "cuda/lane_test.h"
static void set_orders(uint64_t seed, int multiprocessors) {
    exa_lane_set_seed(seed);
    exa_lane_set_device(90, multiprocessors, 227 * 1024);
}
#endif

typedef struct layer {
    int shape[3], cin, cout, n;
    bool first, relu_in, relu_out, add_out;
    size_t in_count, out_count;
    float *weights, *biases, *in, *old, *want, *got;
    uint32_t *overflow;
} layer;

static float *floats(size_t count) {
    float *p = malloc(count * sizeof *p);
    assert_non_null(p);
    return p;
}

/* Multiples of 1 / scale in [-range, range]. */
static void fill(float *p, size_t count, uint64_t *seed, int range, int scale) {
    for (size_t i = 0; i < count; i++) {
        p[i] =
            (float)((int)(test_random(seed) % (2 * (uint64_t)(range * scale) + 1)) - range * scale) / (float)scale;
    }
}

static layer layer_make(int z, int y, int x, int cin, int cout, int n, bool first) {
    layer l = {.shape = {z, y, x}, .cin = cin, .cout = cout, .n = n, .first = first};
    size_t voxels = (size_t)n * (size_t)z * (size_t)y * (size_t)x;
    uint64_t seed = (uint64_t)(z * 1000003 + y * 10007 + x * 101 + cin * 7 + cout);
    l.in_count = voxels * (size_t)cin;
    l.out_count = voxels * (size_t)cout;
    l.weights = floats(27 * (size_t)cin * (size_t)cout);
    l.biases = floats((size_t)cout);
    l.in = floats(l.in_count);
    l.old = floats(l.out_count);
    l.want = floats(l.out_count);
    l.got = floats(l.out_count);
    l.overflow = malloc((size_t)n * sizeof *l.overflow);
    fill(l.weights, 27 * (size_t)cin * (size_t)cout, &seed, 1, 64);
    fill(l.biases, (size_t)cout, &seed, 4, 16);
    fill(l.in, l.in_count, &seed, 2, 16);
    fill(l.old, l.out_count, &seed, 8, 16);
    return l;
}

static void layer_free(layer *l) {
    free(l->weights);
    free(l->biases);
    free(l->in);
    free(l->old);
    free(l->want);
    free(l->got);
    free(l->overflow);
}

/* ---- the reference ------------------------------------------------------------------------------ */

static void reference(const layer *l) {
    exa_conv3d_plan plan;
    assert_ok(
        exa_conv3d_plan_init(EXA_CONV3D_REFERENCE, EXA_ISA_PORTABLE, l->shape, l->cin, l->cout, l->cin, &plan));
    size_t grid = exa_conv3d_grid_voxels(&plan), cin = (size_t)l->cin, cout = (size_t)l->cout;
    size_t voxels = (size_t)l->shape[0] * (size_t)l->shape[1] * (size_t)l->shape[2];
    float *in = calloc(grid * cin, sizeof *in), *out = calloc(grid * (size_t)plan.out_stride, sizeof *out);
    float *packed = calloc(plan.packed_floats, sizeof *packed);
    exa_conv3d_args args = {.in = in,
                            .packed = packed,
                            .out = out,
                            .relu_in = l->relu_in,
                            .relu_out = l->relu_out,
                            .add_out = l->add_out};
    exa_conv3d_pack(&plan, l->weights, l->biases, packed);
    for (size_t f = 0; f < (size_t)l->n; f++) {
        for (int round = 0; round < 2; round++) { /* in, then back */
            size_t v = f * voxels;
            for (int z = 0; z < l->shape[0]; z++)
                for (int y = 0; y < l->shape[1]; y++)
                    for (int x = 0; x < l->shape[2]; x++, v++) {
                        size_t at = exa_conv3d_grid_index(&plan, z, y, x);
                        float *o = out + at * (size_t)plan.out_stride;
                        if (round == 0) memcpy(in + at * cin, l->in + v * cin, cin * sizeof *in);
                        memcpy(round == 0 ? o : l->want + v * cout, round == 0 ? l->old + v * cout : o,
                               cout * sizeof *o);
                    }
            if (round == 0) exa_conv3d_run(&plan, &args, 0, plan.rows, NULL);
        }
    }
    free(in);
    free(out);
    free(packed);
}

/* ---- the device --------------------------------------------------------------------------------- */

/* False beyond the last tiling; the second is the last in small. */
static bool run_device(const layer *l, exa_net_precision precision, int tiling, int max_batch, char *description) {
    exa_conv3d_device_options options = {.precision = precision,
                                         .max_batch = max_batch,
                                         .first = l->first,
                                         .relu_in = l->relu_in,
                                         .relu_out = l->relu_out,
                                         .add_out = l->add_out,
                                         .tiling = tiling};
    exa_conv3d_device *conv = NULL;
    if (test_is_small() && tiling > 1) return false;
    exa_status st = exa_conv3d_device_create(l->shape, l->cin, l->cout, l->weights, l->biases, &options, &conv);
    if (st == EXA_ERR_RANGE && tiling > 0) return false;
    assert_ok(st);
    snprintf(description, 128, "%s", exa_conv3d_device_description(conv));
    assert_ok(exa_conv3d_device_set_in(conv, l->n, l->in));
    assert_ok(exa_conv3d_device_set_out(conv, l->n, l->old));
    assert_ok(exa_conv3d_device_run(conv, l->n, NULL));
    assert_ok(exa_conv3d_device_get_out(conv, l->n, l->got, l->overflow));
    exa_conv3d_device_destroy(&conv);
    return true;
}

static float as_stored(float x, exa_net_precision precision) {
    if (precision != EXA_NET_FP16) return x;
    uint16_t h = exa_half_of(x); /* normal here, or zero */
    float value = ldexpf((float)((h & 0x3ff) + (h & 0x7c00 ? 1024 : 0)), (h & 0x7c00 ? h >> 10 & 31 : 1) - 25);
    return h & 0x8000 ? -value : value;
}

static int compare(const layer *l, exa_net_precision precision, const char *what) {
    for (size_t i = 0; i < l->out_count; i++) {
        float want = as_stored(l->want[i], precision);
        if (l->got[i] == want) continue;
        size_t c = i % (size_t)l->cout, v = i / (size_t)l->cout, x = v % (size_t)l->shape[2];
        size_t y = v / (size_t)l->shape[2] % (size_t)l->shape[1];
        fail_msg("%s %s, %dx%dx%d, %d -> %d, batch %d: at FOV-plane %zu, y %zu, x %zu, channel %zu: %.9g instead "
                 "of %.9g",
                 exa_net_precision_name(precision), what, l->shape[0], l->shape[1], l->shape[2], l->cin, l->cout,
                 l->n, v / (size_t)l->shape[2] / (size_t)l->shape[1], y, x, c, (double)l->got[i], (double)want);
    }
    for (int f = 0; f < l->n; f++) assert_int_equal(l->overflow[f], 0);
    return 0;
}

static void check(int z, int y, int x, int cin, int cout, int n, bool first) {
    layer l = layer_make(z, y, x, cin, cout, n, first);
    for (int ending = 0; ending < 2; ending++) {
        l.relu_in = ending == 1 && !first;
        l.relu_out = ending == 0;
        l.add_out = ending == 1;
        reference(&l);
        for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
            char description[128];
            for (int tiling = 0; run_device(&l, (exa_net_precision)precision, tiling, n, description); tiling++) {
                compare(&l, (exa_net_precision)precision, description);
            }
        }
    }
    layer_free(&l);
}

/* ---- tests -------------------------------------------------------------------------------------- */

static void test_shapes(void **state) {
    (void)state;
    set_orders(1, 3);
    check(1, 1, 1, 32, 32, 1, false);
    check(3, 5, 7, 32, 32, 2, false);
    check(4, 1, 2, 32, 32, 3, false);
    if (test_is_small()) return;
    check(2, 3, 17, 32, 32, 1, false);
    set_orders(2, 2);
    check(5, 6, 5, 32, 32, 1, false);
    check(3, 13, 33, 32, 32, 1, false); /* two chunks and a bit */
}

static void test_channels(void **state) {
    (void)state;
    set_orders(3, 4);
    check(3, 4, 5, 16, 16, 2, false);
    check(3, 5, 4, 8, 24, 1, false);
    if (test_is_small()) return;
    check(2, 5, 6, 48, 48, 2, false);
    check(3, 3, 5, 64, 64, 1, false);
    check(2, 4, 3, 96, 96, 1, false);
    check(2, 3, 3, 32, 16, 2, false);
    check(2, 3, 3, 16, 64, 1, false);
}

static void test_first_layer(void **state) {
    (void)state;
    set_orders(4, 3);
    check(1, 1, 1, 2, 32, 1, true);
    check(3, 5, 7, 2, 32, 2, true);
    check(5, 9, 3, 2, 16, 1, true);
    if (test_is_small()) return;
    check(3, 4, 19, 2, 8, 2, true);
    check(2, 5, 5, 2, 48, 1, true);
    check(2, 5, 5, 2, 64, 1, true);
}

/* Any numbers: the bits of a FOV are the same alone, anywhere in any batch, in every tiling, order and grid. */
static void test_no_bit_depends_on_surroundings(void **state) {
    (void)state;
    enum { N = 5 };
    for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
        layer all = layer_make(6, 5, 7, 32, 32, N, false), one = layer_make(6, 5, 7, 32, 32, 1, false);
        size_t in = one.in_count, out = one.out_count;
        char description[128];
        uint64_t seed = 99;
        for (size_t i = 0; i < 27 * 32 * 32; i++)
            all.weights[i] = one.weights[i] = (float)(test_uniform(&seed) - 0.5) / 8;
        for (size_t i = 0; i < all.in_count; i++) all.in[i] = (float)(2 * test_uniform(&seed) - 1);
        all.add_out = one.add_out = true;
        set_orders(5, 1);
        assert_true(run_device(&all, (exa_net_precision)precision, 0, N, description));
        for (int f = 0; f < N; f++) {
            memcpy(one.in, all.in + (size_t)f * in, in * sizeof *one.in);
            memcpy(one.old, all.old + (size_t)f * out, out * sizeof *one.old);
            set_orders((uint64_t)(10 + f), 1 + 3 * f);
            for (int tiling = 0; run_device(&one, (exa_net_precision)precision, tiling, 1 + f % 2, description);
                 tiling++) {
                if (memcmp(one.got, all.got + (size_t)f * out, out * sizeof *one.got) != 0)
                    fail_msg("%s %s: FOV %d differs", exa_net_precision_name((exa_net_precision)precision),
                             description, f);
            }
        }
        memcpy(all.want, all.got, all.out_count * sizeof *all.want);
        for (int n = 2; n <= N; n++) { /* shorter batches, shared out over other numbers of blocks */
            layer part = all;
            part.n = n;
            set_orders((uint64_t)(20 + n), 2 * n - 1);
            assert_true(run_device(&part, (exa_net_precision)precision, -1, N, description));
            assert_memory_equal(part.got, all.want, (size_t)n * out * sizeof *part.got);
        }
        layer_free(&all);
        layer_free(&one);
    }
}

/* What fp16 cannot hold is flagged for the FOV concerned alone; not what a ReLU removes. */
static void test_overflow(void **state) {
    (void)state;
    char description[128];
    set_orders(6, 3);
    for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
        layer l = layer_make(3, 3, 5, 32, 32, 4, false);
        size_t fov = l.in_count / 4;
        memset(l.weights, 0, 27 * 32 * 32 * sizeof(float));
        for (int c = 0; c < 32; c++)
            l.weights[(13 * 32 + c) * 32 + c] = 1024; /* the centre tap: 1024 times itself */
        memset(l.biases, 0, 32 * sizeof(float));
        fill(l.in, l.in_count, &(uint64_t){1}, 2, 16);
        l.relu_out = true;
        l.in[fov + 3] = 70;       /* 71680: beyond */
        l.in[2 * fov] = -70;      /* the ReLU takes it */
        l.in[3 * fov] = 63.9375f; /* 65472: not beyond */
        reference(&l);
        assert_true(run_device(&l, (exa_net_precision)precision, 0, 4, description));
        for (int f = 0; f < 4; f++) assert_int_equal(l.overflow[f], precision == EXA_NET_FP16 && f == 1);
        l.in[0] = INFINITY; /* fp16 or not: it is not finite */
        assert_true(run_device(&l, (exa_net_precision)precision, 0, 4, description));
        assert_int_equal(l.overflow[0], 1);
        assert_int_equal(l.overflow[2], 0);
        layer_free(&l);
    }
}

#ifndef EXA_TEST_ON_GPU
/* Little shared memory: fewer slabs, weights copied with each. And no bank conflicts anywhere. */
static void test_small_multiprocessors(void **state) {
    (void)state;
    layer l = layer_make(4, 5, 9, 32, 32, 2, false);
    l.relu_out = true;
    reference(&l);
    const int kilobytes[] = {227, 163, 99};
    for (int i = 0; i < 3; i++) {
        for (int precision = EXA_NET_FP32; precision <= EXA_NET_FP16; precision++) {
            char description[128];
            exa_lane_set_seed((uint64_t)(30 + i));
            exa_lane_set_device(80, 2, (size_t)kilobytes[i] * 1024);
            for (int tiling = 0; run_device(&l, (exa_net_precision)precision, tiling, 2, description); tiling++) {
                compare(&l, (exa_net_precision)precision, description);
                printf("%d KB, %s: %s\n", kilobytes[i], exa_net_precision_name((exa_net_precision)precision),
                       description);
            }
        }
    }
    assert_true(exa_lane_products() > 0);
    assert_int_equal(exa_lane_bank_conflicts(), 0);
    exa_lane_set_device(75, 2, 64 * 1024);
    exa_conv3d_device_options options = {.precision = EXA_NET_FP16, .max_batch = 1, .tiling = -1};
    exa_conv3d_device *conv = NULL;
    assert_fails(EXA_ERR_UNSUPPORTED, "use fp32",
                 exa_conv3d_device_create(l.shape, 32, 32, l.weights, l.biases, &options, &conv));
    char description[128];
    assert_true(run_device(&l, EXA_NET_FP32, -1, 2, description));
    compare(&l, EXA_NET_FP32, description);
    layer_free(&l);
    assert_int_equal(exa_lane_device_bytes(), 0);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_first_layer),
        cmocka_unit_test(test_no_bit_depends_on_surroundings),
        cmocka_unit_test(test_overflow),
#ifndef EXA_TEST_ON_GPU
        cmocka_unit_test(test_small_multiprocessors),
#endif
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
