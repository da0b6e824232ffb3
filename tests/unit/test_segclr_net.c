/* SegCLR's network: against PyTorch's numbers (tests/segclr_golden.h), on every instruction set and kernel; threads
 * and batches change no bit; a network that can be computed by hand; the axes of the kernels.
 */
#include "segclr_patch.h"

#include "segclr_golden.h"

#include "exaconn/segclr_net.h"

#include <math.h>

enum { GOLDENS = sizeof segclr_goldens / sizeof *segclr_goldens, FLOATS = 64 };

/* Sanitizers make the wide networks take minutes, and find in the narrow ones what there is to find. */
static bool too_slow(const segclr_golden *g) {
    const char *sanitize = getenv("EXACONN_SANITIZE");
    return sanitize && sanitize[0] && (g->depth != 50 || g->variant != 1);
}

/* fp32 against float64; the yardstick of the specification. */
#define TOLERANCE 1e-5

static exa_segclr_net *net_of(const exa_segclr_model *m, exa_segclr_kernel kernel, exa_isa isa, exa_pool *pool) {
    exa_segclr_net *net = NULL;
    assert_ok(exa_segclr_net_create(m, kernel, isa, pool, &net));
    return net;
}

static double relative_error(const float *is, const double *should) {
    double difference = 0, norm = 0;
    for (int i = 0; i < FLOATS; i++) {
        difference += ((double)is[i] - should[i]) * ((double)is[i] - should[i]);
        norm += should[i] * should[i];
    }
    return sqrt(difference / norm);
}

static void check_golden(const segclr_golden *g, exa_segclr_kernel kernel, exa_isa isa) {
    exa_segclr_model *m = segclr_random_model(g->variant, g->depth, g->width, g->size);
    exa_segclr_net *net = net_of(m, kernel, isa, NULL);
    float *patch = segclr_patch(g->size, 1), embedding[FLOATS];
    exa_segclr_trace trace[EXA_SEGCLR_TRACES];

    assert_ok(exa_segclr_net_trace(net, patch, trace, embedding));
    for (int i = 0; i < EXA_SEGCLR_TRACES; i++) {
        double rms = sqrt(g->trace[i][1]);
        if (!(fabs(trace[i].mean - g->trace[i][0]) <= TOLERANCE * rms) ||
            !(fabs(trace[i].square - g->trace[i][1]) <= TOLERANCE * g->trace[i][1]))
            fail_msg("%s, size %d: after %s mean %.9g and square %.9g instead of %.9g and %.9g",
                     exa_segclr_net_description(net), g->size, trace[i].name, trace[i].mean, trace[i].square,
                     g->trace[i][0], g->trace[i][1]);
    }
    double error = relative_error(embedding, g->embedding);
    print_message("%s: relative error %.1e\n", exa_segclr_net_description(net), error);
    if (!(error <= TOLERANCE)) fail_msg("relative error %g", error);
    free(patch);
    exa_segclr_net_destroy(&net);
    exa_segclr_model_destroy(&m);
}

static void test_golden(void **state) {
    (void)state;
    for (int i = 0; i < GOLDENS; i++) {
        if (segclr_goldens[i].size == 129 && !getenv("EXACONN_SEGCLR_129")) continue; /* a second each: by hand */
        if (too_slow(&segclr_goldens[i])) continue;
        check_golden(&segclr_goldens[i], EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO);
    }
}

static void test_golden_everywhere(void **state) {
    (void)state;
    for (int i = 0; i < GOLDENS; i++) {
        const segclr_golden *g = &segclr_goldens[i];
        if ((g->width == 64 && g->size > 33) || too_slow(g)) continue;
        for (exa_isa isa = EXA_ISA_PORTABLE; isa <= EXA_ISA_AVX512; isa++) {
            if (!exa_cpu_has(isa)) continue;
            check_golden(g, EXA_SEGCLR_KERNEL_AUTO, isa);
            if (isa != EXA_ISA_PORTABLE) check_golden(g, EXA_SEGCLR_KERNEL_DIRECT, isa);
        }
        if (g->depth == 50 && g->variant == 1) check_golden(g, EXA_SEGCLR_KERNEL_REFERENCE, EXA_ISA_AUTO);
    }
}

/* Each patch alone on one thread, and all together on several: the same bits. */
static void test_threads_and_batches_change_no_bit(void **state) {
    (void)state;
    enum { PATCHES = 5 };
    float alone[PATCHES][FLOATS], *patch[PATCHES];
    exa_segclr_model *m = segclr_random_model(1, 18, 32, 65);
    exa_segclr_net *net = net_of(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, NULL);

    for (int i = 0; i < PATCHES; i++) {
        float *to = alone[i];
        patch[i] = segclr_patch(65, (uint64_t)i);
        assert_ok(exa_segclr_net_embed(net, 1, (const float *const *)&patch[i], &to));
    }
    assert_memory_not_equal(alone[0], alone[1], sizeof alone[0]);
    exa_segclr_net_destroy(&net);
    for (int threads = 1; threads <= 3; threads++) {
        exa_pool *pool = NULL;
        assert_ok(exa_pool_create(threads, false, &pool));
        net = net_of(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, pool);
        for (size_t n = 1; n <= PATCHES; n += 2) {
            float together[PATCHES][FLOATS], *to[PATCHES];
            for (int i = 0; i < PATCHES; i++) to[i] = together[i];
            assert_ok(exa_segclr_net_embed(net, n, (const float *const *)patch, to));
            for (size_t i = 0; i < n; i++) assert_memory_equal(together[i], alone[i], sizeof alone[i]);
        }
        exa_segclr_net_destroy(&net);
        exa_pool_destroy(&pool);
    }
    for (int i = 0; i < PATCHES; i++) free(patch[i]);
    exa_segclr_model_destroy(&m);
}

/* What is copied from an empty patch instead of being computed is the same, bit by bit. */
static void test_skipping_changes_no_bit(void **state) {
    (void)state;
    enum { CASES = 6, SIDE = 65 };
    for (int variant = 1; variant <= 2; variant++) {
        exa_segclr_model *m = segclr_random_model(variant, variant == 1 ? 18 : 50, 16, SIDE);
        exa_pool *pool = NULL;
        exa_segclr_net *net;
        float e[2][CASES][FLOATS], *to[CASES];
        float *patch[CASES];

        assert_ok(exa_pool_create(2, false, &pool));
        net = net_of(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, pool);
        for (int i = 0; i < CASES; i++) {
            patch[i] = calloc(SIDE * SIDE * SIDE, sizeof *patch[i]);
            for (int v = 0; v < SIDE * SIDE * SIDE; v++) {
                int z = v / (SIDE * SIDE), y = v / SIDE % SIDE, x = v % SIDE;
                bool in[CASES] = {false,
                                  z == 32 && y == 32 && x == 32,
                                  abs(z - 20) < 3 && abs(y - 50) < 2,
                                  z == 0 && y == 64,
                                  abs(y - 30) < 4 && abs(x - 30) < 4,
                                  true};
                if (in[i]) patch[i][v] = (float)exa_segclr_random("skip", 1, (uint64_t)v);
            }
        }
        for (int skip = 0; skip < 2; skip++) {
            assert_ok(exa_segclr_net_skip(net, skip));
            for (size_t n = 1; n <= CASES; n += CASES - 1) { /* by all threads, and each by one */
                for (int i = 0; i < CASES; i++) to[i] = e[skip][i];
                for (size_t first = 0; first < CASES; first += n)
                    assert_ok(exa_segclr_net_embed(net, n, (const float *const *)patch + first, to + first));
                assert_memory_equal(e[0], e[skip], sizeof e[0]);
            }
        }
        for (int i = 0; i < CASES; i++) free(patch[i]);
        exa_segclr_net_destroy(&net);
        exa_pool_destroy(&pool);
        exa_segclr_model_destroy(&m);
    }
}

/* ---- a network that can be computed by hand ----------------------------------------------------- */

enum { WIDTH = 16, MOST = WIDTH * 8 };

/* Only the middle tap stays: each voxel for itself. */
static void keep_middle(exa_segclr_layer *l) {
    size_t taps = (size_t)(l->kernel * l->kernel * l->kernel), pairs = (size_t)l->cin * (size_t)l->cout;
    for (size_t t = 0; t < taps; t++)
        for (size_t i = 0; t != taps / 2 && i < pairs; i++) l->tensor[EXA_SEGCLR_KERNEL][t * pairs + i] = 0;
}

static void convolve(const exa_segclr_layer *l, const double *in, double *out) {
    const float *middle =
        l->tensor[EXA_SEGCLR_KERNEL] + (size_t)(l->kernel * l->kernel * l->kernel / 2) * (size_t)(l->cin * l->cout);
    for (int c = 0; c < l->cout; c++) {
        out[c] = l->has_bias ? (double)l->tensor[EXA_SEGCLR_BIAS][c] : 0;
        for (int i = 0; i < l->cin; i++) out[c] += in[i] * (double)middle[i * l->cout + c];
    }
}

static void normalise(const exa_segclr_layer *l, double *v) {
    for (int c = 0; c < l->cout; c++) {
        v[c] = (v[c] - (double)l->tensor[EXA_SEGCLR_MEAN][c]) /
               sqrt((double)l->tensor[EXA_SEGCLR_VARIANCE][c] + 1e-5) * (double)l->tensor[EXA_SEGCLR_GAMMA][c];
        if (l->has_beta) v[c] += (double)l->tensor[EXA_SEGCLR_BETA][c];
    }
}

static void rectify(double *v, int n) {
    for (int c = 0; c < n; c++) v[c] = fmax(v[c], 0);
}

/* The order of things in a block of two convolutions, as the specification's table gives it. */
static void constant_block(bool tf1, const exa_segclr_layer *first, const exa_segclr_layer *shortcut, double *x) {
    double t[MOST], m[MOST], r[MOST];
    int n = first->cout;

    convolve(first, x, t);
    if (tf1) rectify(t, n);
    normalise(first, t);
    if (!tf1) rectify(t, n);
    convolve(first + 1, t, m);
    if (tf1) rectify(m, n);
    normalise(first + 1, m);
    memcpy(r, x, sizeof r);
    if (shortcut) {
        convolve(shortcut, x, r);
        normalise(shortcut, r);
    }
    for (int c = 0; c < n; c++) x[c] = fmax(m[c] + r[c], 0);
}

static void constant_form(const exa_segclr_model *m, double value, double *x) {
    bool tf1 = m->geometry.variant == EXA_SEGCLR_TF1;
    double h[MOST];
    int i = 1;

    convolve(&m->layers[0], &value, x);
    normalise(&m->layers[0], x);
    if (!tf1) rectify(x, WIDTH);
    while (m->layers[i].role != EXA_SEGCLR_HEAD) {
        bool projected = m->layers[i + 2].role == EXA_SEGCLR_SHORTCUT;
        constant_block(tf1, &m->layers[i], projected ? &m->layers[i + 2] : NULL, x);
        i += projected ? 3 : 2;
    }
    for (; i < m->layer_count; i++) {
        convolve(&m->layers[i], x, h);
        normalise(&m->layers[i], h);
        if (!m->layers[i].last) rectify(h, m->layers[i].cout);
        memcpy(x, h, sizeof h);
    }
}

static void test_constant_patch_has_a_closed_form(void **state) {
    (void)state;
    for (int variant = 1; variant <= 2; variant++) {
        exa_segclr_model *m = segclr_random_model(variant, 18, WIDTH, 33);
        size_t voxels = 33 * 33 * 33;
        float *patch = calloc(voxels, sizeof *patch), embedding[FLOATS], *to = embedding;
        double expected[MOST];

        for (int i = 0; i < m->layer_count; i++) keep_middle(&m->layers[i]);
        exa_segclr_net *net = net_of(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, NULL);
        for (int step = 0; step < 2; step++) {
            for (size_t v = 0; v < voxels; v++) patch[v] = step ? 0.75f : 0;
            constant_form(m, step ? 0.75 : 0, expected);
            assert_ok(exa_segclr_net_embed(net, 1, (const float *const *)&patch, &to));
            double error = relative_error(embedding, expected);
            if (!(error <= TOLERANCE)) fail_msg("tf%d, constant %d: relative error %g", variant, step, error);
        }
        exa_segclr_net_destroy(&net);
        exa_segclr_model_destroy(&m);
        free(patch);
    }
}

/* ---- axes --------------------------------------------------------------------------------------- */

/* A network whose kernels' first axis is x sees a patch as one whose first axis is z sees it turned. */
static void test_axis_order(void **state) {
    (void)state;
    exa_segclr_model *m = segclr_random_model(1, 18, 16, 33);
    float *patch = segclr_patch(33, 1), *turned = malloc(33 * 33 * 33 * sizeof *turned), e[2][FLOATS];
    double expected[FLOATS];

    for (int z = 0; z < 33; z++)
        for (int y = 0; y < 33; y++)
            for (int x = 0; x < 33; x++) turned[(z * 33 + y) * 33 + x] = patch[(x * 33 + y) * 33 + z];
    for (int i = 0; i < 2; i++) {
        const float *in = i ? patch : turned;
        float *to = e[i];
        strcpy(m->axis_order, i ? "xyz" : "zyx");
        exa_segclr_net *net = net_of(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, NULL);
        assert_ok(exa_segclr_net_embed(net, 1, &in, &to));
        exa_segclr_net_destroy(&net);
    }
    for (int i = 0; i < FLOATS; i++) expected[i] = (double)e[0][i];
    assert_true(relative_error(e[1], expected) <= TOLERANCE);
    exa_segclr_model_destroy(&m);
    free(patch);
    free(turned);
}

static void test_patches_that_are_no_cubes(void **state) {
    (void)state;
    exa_segclr_model *m = segclr_random_model(2, 18, 16, 33);
    float e[2][FLOATS], *patch = calloc(33 * 65 * 97, sizeof *patch), *to;
    double expected[FLOATS];

    m->patch[1] = 65;
    m->patch[2] = 97;
    for (size_t i = 0; i < 33 * 65 * 97; i++) patch[i] = (float)exa_segclr_random("box", 1, i);
    for (int i = 0; i < 2; i++) {
        to = e[i];
        exa_segclr_net *net =
            net_of(m, i ? EXA_SEGCLR_KERNEL_AUTO : EXA_SEGCLR_KERNEL_REFERENCE, EXA_ISA_AUTO, NULL);
        assert_ok(exa_segclr_net_embed(net, 1, (const float *const *)&patch, &to));
        exa_segclr_net_destroy(&net);
    }
    for (int i = 0; i < FLOATS; i++) expected[i] = (double)e[0][i];
    assert_true(relative_error(e[1], expected) <= TOLERANCE);
    exa_segclr_model_destroy(&m);
    free(patch);
}

static void test_refusals(void **state) {
    (void)state;
    exa_segclr_model *m = segclr_random_model(1, 18, 16, 33);
    exa_segclr_net *net = NULL;

    m->patch[1] = 64;
    assert_fails(EXA_ERR_RANGE, "patch on axis y is 64",
                 exa_segclr_net_create(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    m->patch[1] = 33;
    if (!exa_cpu_has(EXA_ISA_AVX512)) {
        assert_fails(EXA_ERR_UNSUPPORTED, "avx512",
                     exa_segclr_net_create(m, EXA_SEGCLR_KERNEL_AUTO, EXA_ISA_AVX512, NULL, &net));
    }
    assert_null(net);
    exa_segclr_model_destroy(&m);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden),
        cmocka_unit_test(test_golden_everywhere),
        cmocka_unit_test(test_threads_and_batches_change_no_bit),
        cmocka_unit_test(test_skipping_changes_no_bit),
        cmocka_unit_test(test_constant_patch_has_a_closed_form),
        cmocka_unit_test(test_axis_order),
        cmocka_unit_test(test_patches_that_are_no_cubes),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
