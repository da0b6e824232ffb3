/* Every vectorised convolution against the plain reference: odd shapes, channel counts that are no multiple of a
 * vector, fused endings, any split of the rows, the zero halo.
 */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/conv3d.h"

#include <math.h>

static const exa_isa all_isas[] = {EXA_ISA_PORTABLE, EXA_ISA_AVX2, EXA_ISA_AVX512};

typedef struct grids {
    exa_conv3d_plan plan;
    float *in, *out, *out_relu, *packed, *scratch;
    size_t in_floats, out_floats;
} grids;

static float *zeros(size_t count) {
    float *p = NULL;
    assert_ok(exa_calloc(count, sizeof *p, "a test", &p));
    return p;
}

static void grids_make(grids *g, exa_conv3d_kind kind, exa_isa isa, const int shape[3], int cin, int cout,
                       int stride) {
    assert_ok(exa_conv3d_plan_init(kind, isa, shape, cin, cout, stride, &g->plan));
    g->in_floats = exa_conv3d_grid_voxels(&g->plan) * (size_t)g->plan.in_stride;
    g->out_floats = exa_conv3d_grid_voxels(&g->plan) * (size_t)g->plan.out_stride;
    g->in = zeros(g->in_floats);
    g->out = zeros(g->out_floats);
    g->out_relu = zeros(g->out_floats);
    g->packed = zeros(g->plan.packed_floats);
    g->scratch = zeros(g->plan.scratch_floats);
}

static void grids_free(grids *g) {
    free(g->in);
    free(g->out);
    free(g->out_relu);
    free(g->packed);
    free(g->scratch);
}

/* The same numbers whatever the strides: element (z, y, x, c) of a stream of its own. */
static void fill(const exa_conv3d_plan *plan, int channels, int stride, uint64_t seed, float *grid) {
    for (int z = 0; z < plan->shape[0]; z++)
        for (int y = 0; y < plan->shape[1]; y++)
            for (int x = 0; x < plan->shape[2]; x++)
                for (int c = 0; c < channels; c++) {
                    float value = (float)(2 * test_uniform(&seed) - 1);
                    grid[exa_conv3d_grid_index(plan, z, y, x) * (size_t)stride + (size_t)c] = value;
                }
}

typedef struct ending {
    bool relu_in, relu_out, add_out, out_relu;
} ending;

static void run_with(grids *g, const float *weights, const float *biases, ending e, size_t splits) {
    exa_conv3d_args args = {.in = g->in,
                            .packed = g->packed,
                            .out = g->out,
                            .out_relu = e.out_relu ? g->out_relu : NULL,
                            .relu_in = e.relu_in,
                            .relu_out = e.relu_out,
                            .add_out = e.add_out};
    size_t rows = g->plan.rows;
    fill(&g->plan, g->plan.cin, g->plan.in_stride, 11, g->in);
    fill(&g->plan, g->plan.cout, g->plan.out_stride, 12, g->out);
    exa_conv3d_pack(&g->plan, weights, biases, g->packed);
    for (size_t s = splits; s-- > 0;) { /* last range first: the order must not matter */
        exa_conv3d_run(&g->plan, &args, rows * s / splits, rows * (s + 1) / splits, g->scratch);
    }
}

static void compare(const grids *a, const grids *b, bool with_relu, double tolerance) {
    const exa_conv3d_plan *p = &a->plan;
    double worst = 0;
    for (int z = 0; z < p->shape[0]; z++)
        for (int y = 0; y < p->shape[1]; y++)
            for (int x = 0; x < p->shape[2]; x++)
                for (int c = 0; c < p->cout; c++) {
                    size_t voxel = exa_conv3d_grid_index(p, z, y, x);
                    size_t ia = voxel * (size_t)p->out_stride + (size_t)c;
                    size_t ib = voxel * (size_t)b->plan.out_stride + (size_t)c;
                    double d = fabs((double)a->out[ia] - (double)b->out[ib]);
                    if (with_relu) d = fmax(d, fabs((double)a->out_relu[ia] - (double)b->out_relu[ib]));
                    if (!(d <= worst)) worst = d;
                }
    if (!(worst <= tolerance)) {
        fail_msg("%s kernel %d, %dx%dx%d, %d->%d: differs by %g", exa_isa_name(b->plan.isa), (int)b->plan.kind,
                 p->shape[0], p->shape[1], p->shape[2], p->cin, p->cout, worst);
    }
}

/* Outside the data nothing was written: halo, tile padding and the padding channels are still zero. */
static void check_halo(const grids *g) {
    double inside = 0, all = 0;
    const exa_conv3d_plan *p = &g->plan;
    for (size_t i = 0; i < g->out_floats; i++) all += fabs((double)g->out[i]);
    for (int z = 0; z < p->shape[0]; z++)
        for (int y = 0; y < p->shape[1]; y++)
            for (int x = 0; x < p->shape[2]; x++)
                for (int c = 0; c < p->cout; c++) {
                    size_t voxel = exa_conv3d_grid_index(p, z, y, x);
                    inside += fabs((double)g->out[voxel * (size_t)p->out_stride + (size_t)c]);
                }
    assert_true(fabs(all - inside) <= 1e-9 * all);
}

/* Sums of 27 * cin products of numbers in [-1, 1] by weights in [-s, s]: fp32 in another order, and Winograd's
 * extra roundings (about ten times direct convolution's, as its transforms have entries up to 4 on three axes). */
static double tolerance_of(exa_conv3d_kind kind, int cin) {
    return (kind == EXA_CONV3D_WINOGRAD ? 6e-6 : 1e-6) * sqrt(1 + cin / 32.0);
}

static void check_case(const int shape[3], int cin, int cout, int stride, ending e) {
    uint64_t seed = 5;
    size_t count = (size_t)27 * (size_t)cin * (size_t)cout;
    float *weights = zeros(count), *biases = zeros((size_t)cout);
    double scale = 1 / sqrt(27.0 * cin);
    grids reference = {0};

    for (size_t i = 0; i < count; i++) weights[i] = (float)(scale * (2 * test_uniform(&seed) - 1));
    for (int i = 0; i < cout; i++) biases[i] = (float)test_uniform(&seed) - 0.5f;
    grids_make(&reference, EXA_CONV3D_REFERENCE, EXA_ISA_PORTABLE, shape, cin, cout, 0);
    run_with(&reference, weights, biases, e, 1);
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        for (int kind = EXA_CONV3D_DIRECT; kind <= EXA_CONV3D_WINOGRAD; kind++) {
            if (!exa_cpu_has(all_isas[i]) || (kind == EXA_CONV3D_DIRECT && e.relu_in)) continue;
            if (kind == EXA_CONV3D_WINOGRAD && stride % 16 != 0) continue;
            grids whole = {0}, split = {0};
            grids_make(&whole, (exa_conv3d_kind)kind, all_isas[i], shape, cin, cout, stride);
            grids_make(&split, (exa_conv3d_kind)kind, all_isas[i], shape, cin, cout, stride);
            run_with(&whole, weights, biases, e, 1);
            run_with(&split, weights, biases, e, whole.plan.rows < 5 ? whole.plan.rows : 5);
            compare(&reference, &whole, e.out_relu, tolerance_of((exa_conv3d_kind)kind, cin));
            compare(&whole, &split, e.out_relu, 0);
            check_halo(&whole);
            grids_free(&whole);
            grids_free(&split);
        }
    }
    grids_free(&reference);
    free(weights);
    free(biases);
}

static void test_shapes(void **state) {
    (void)state;
    static const int shapes[][3] = {{1, 1, 1},  {3, 3, 3},   {5, 7, 9}, {1, 9, 33},
                                    {9, 5, 17}, {7, 11, 25}, {3, 5, 37}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        check_case(shapes[i], 16, 16, 0, (ending){0});
    }
}

static void test_channels(void **state) {
    (void)state;
    static const int channels[] = {8, 16, 24, 32, 40, 64};
    const int shape[3] = {5, 7, 11};
    for (size_t i = 0; i < sizeof channels / sizeof *channels; i++) {
        check_case(shape, channels[i], channels[i], 0, (ending){.relu_out = true});
    }
    check_case(shape, 24, 40, 0, (ending){.relu_in = true});
    check_case(shape, 40, 8, 0, (ending){.add_out = true});
}

static void test_two_inputs_interleaved(void **state) {
    (void)state;
    static const int channels[] = {8, 32, 40};
    const int shape[3] = {5, 9, 33};
    for (size_t i = 0; i < 3; i++) check_case(shape, 2, channels[i], 2, (ending){.relu_out = true});
}

static void test_endings(void **state) {
    (void)state;
    const int shape[3] = {5, 7, 13};
    for (int bits = 0; bits < 16; bits++) {
        ending e = {bits & 1, (bits >> 1) & 1, (bits >> 2) & 1, (bits >> 3) & 1};
        check_case(shape, 32, 32, 0, e);
    }
}

static void test_fib25_layer(void **state) {
    (void)state;
    const int shape[3] = {33, 33, 33};
    check_case(shape, 32, 32, 0, (ending){.add_out = true});
}

/* ---- other kernels and strides: the input's grid is another than the output's -------------------- */

typedef struct layer_run {
    exa_conv3d_plan plan;
    float *out;
} layer_run;

static double grid_value(int z, int y, int x, int c) {
    uint64_t seed = (uint64_t)(((z * 131 + y) * 131 + x) * 131 + c) + 77;
    return 2 * test_uniform(&seed) - 1;
}

static layer_run run_layer(exa_conv3d_kind kind, exa_isa isa, const exa_conv3d_layer *l, const float *weights,
                           const float *biases, size_t splits) {
    layer_run r;
    exa_conv3d_plan *p = &r.plan;
    float *in, *packed, *scratch, *affine;

    assert_ok(exa_conv3d_plan_layer(kind, isa, l, p));
    in = zeros(exa_conv3d_in_grid_voxels(p) * (size_t)p->in_stride);
    r.out = zeros(exa_conv3d_grid_voxels(p) * (size_t)p->out_stride);
    packed = zeros(p->packed_floats);
    scratch = zeros(p->scratch_floats);
    affine = zeros(2 * (size_t)p->out_stride);
    for (int z = 0; z < p->in_shape[0]; z++)
        for (int y = 0; y < p->in_shape[1]; y++)
            for (int x = 0; x < p->in_shape[2]; x++)
                for (int c = 0; c < p->cin; c++)
                    in[exa_conv3d_in_index(p, z, y, x) * (size_t)p->in_stride + (size_t)c] =
                        (float)grid_value(z, y, x, c);
    for (int c = 0; c < p->cout; c++) {
        affine[c] = 0.5f + (float)c / (float)p->cout;
        affine[p->out_stride + c] = 0.25f - (float)c / (float)p->cout;
    }
    exa_conv3d_pack(p, weights, biases, packed);
    exa_conv3d_args args = {.in = in, .out = r.out, .packed = packed, .affine = affine, .relu_out = true};
    for (size_t s = splits; s-- > 0;)
        exa_conv3d_run(p, &args, p->rows * s / splits, p->rows * (s + 1) / splits, scratch);
    free(in);
    free(packed);
    free(scratch);
    free(affine);
    return r;
}

/* Straight from the definition, in double. */
static double expected(const exa_conv3d_layer *l, const float *weights, const float *biases, const int at[3],
                       int co) {
    int k = l->kernel, r = k / 2;
    double sum = (double)biases[co], scale = 0.5 + (double)co / l->cout, shift = 0.25 - (double)co / l->cout;

    for (int t = 0; t < k * k * k; t++) {
        int z = at[0] * l->stride + t / (k * k) - r, y = at[1] * l->stride + t / k % k - r;
        int x = at[2] * l->stride + t % k - r;
        if (z < 0 || y < 0 || x < 0 || z >= l->in_shape[0] || y >= l->in_shape[1] || x >= l->in_shape[2]) continue;
        for (int c = 0; c < l->cin; c++)
            sum += (double)(float)grid_value(z, y, x, c) * (double)weights[(t * l->cin + c) * l->cout + co];
    }
    return fmax(fmax(sum, 0) * scale + shift, 0);
}

static void check_layer_run(const layer_run *r, const exa_conv3d_layer *l, const float *weights,
                            const float *biases) {
    const exa_conv3d_plan *p = &r->plan;
    double inside = 0, all = 0;

    for (int z = 0; z < p->shape[0]; z++)
        for (int y = 0; y < p->shape[1]; y++)
            for (int x = 0; x < p->shape[2]; x++)
                for (int c = 0; c < p->cout; c++) {
                    const int at[3] = {z, y, x};
                    float v = r->out[exa_conv3d_grid_index(p, z, y, x) * (size_t)p->out_stride + (size_t)c];
                    if (!(fabs((double)v - expected(l, weights, biases, at, c)) < 2e-5))
                        fail_msg("%s kernel %d, %d^3 stride %d, %d->%d at %d,%d,%d", exa_isa_name(p->isa), p->kind,
                                 l->kernel, l->stride, l->cin, l->cout, z, y, x);
                    inside += fabs((double)v);
                }
    for (size_t i = 0; i < exa_conv3d_grid_voxels(p) * (size_t)p->out_stride; i++)
        if ((int)(i % (size_t)p->out_stride) < p->cout) all += fabs((double)r->out[i]);
    assert_true(fabs(all - inside) <= 1e-6 * all);
}

static void check_layer(exa_conv3d_layer l) {
    uint64_t seed = 9;
    size_t count = (size_t)(l.kernel * l.kernel * l.kernel * l.cin * l.cout);
    float *weights = zeros(count), *biases = zeros((size_t)l.cout);
    double scale = 1 / sqrt(l.kernel * l.kernel * l.kernel * (double)l.cin);

    for (size_t i = 0; i < count; i++) weights[i] = (float)(scale * (2 * test_uniform(&seed) - 1));
    for (int i = 0; i < l.cout; i++) biases[i] = (float)test_uniform(&seed) - 0.5f;
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        for (int kind = EXA_CONV3D_REFERENCE; kind <= EXA_CONV3D_WINOGRAD; kind++) {
            if (!exa_cpu_has(all_isas[i]) || (kind == EXA_CONV3D_WINOGRAD && (l.kernel != 3 || l.stride != 1)))
                continue;
            layer_run whole = run_layer((exa_conv3d_kind)kind, all_isas[i], &l, weights, biases, 1);
            layer_run split = run_layer((exa_conv3d_kind)kind, all_isas[i], &l, weights, biases, 3);
            check_layer_run(&whole, &l, weights, biases);
            assert_memory_equal(whole.out, split.out,
                                exa_conv3d_grid_voxels(&whole.plan) * (size_t)whole.plan.out_stride *
                                    sizeof(float));
            free(whole.out);
            free(split.out);
        }
    }
    free(weights);
    free(biases);
}

static void test_kernels_and_strides(void **state) {
    (void)state;
    check_layer((exa_conv3d_layer){{9, 7, 11}, 7, 2, 1, 24, 1, 0, true});
    check_layer((exa_conv3d_layer){{1, 9, 33}, 7, 2, 1, 16, 1, 0, true});
    check_layer((exa_conv3d_layer){{5, 6, 8}, 7, 1, 2, 8, 0, 0, false});
    check_layer((exa_conv3d_layer){{7, 5, 9}, 3, 2, 16, 40, 0, 0, false});
    check_layer((exa_conv3d_layer){{7, 5, 9}, 1, 2, 24, 16, 0, 0, false});
    check_layer((exa_conv3d_layer){{4, 5, 6}, 1, 1, 16, 24, 0, 0, false});
    check_layer((exa_conv3d_layer){{5, 5, 5}, 3, 1, 128, 48, 0, 0, false}); /* weights in passes */
    check_layer((exa_conv3d_layer){{3, 11, 5}, 3, 2, 128, 32, 0, 0, true});
    for (int group = 1; group <= 4; group++)
        check_layer((exa_conv3d_layer){{7, 11, 8}, 3, 1, 16, 24, 0, group, false});
}

static void test_maxima(void **state) {
    (void)state;
    enum { FLOATS = 64 };
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        if (!exa_cpu_has(all_isas[i])) continue;
        float *block = zeros(6 * FLOATS), *out = zeros(FLOATS);
        const float *in[6];
        for (int k = 0; k < 6; k++) in[k] = block + k * FLOATS;
        for (int v = 0; v < 6 * FLOATS; v++) block[v] = (float)grid_value(v, 1, 2, 3) - 2; /* negative ones too */
        exa_conv3d_max(all_isas[i], in, 6, FLOATS, out);
        for (int f = 0; f < FLOATS; f++) {
            float most = in[0][f];
            for (int k = 1; k < 6; k++) most = fmaxf(most, in[k][f]);
            assert_true(out[f] == most);
        }
        free(block);
        free(out);
    }
}

static void test_head(void **state) {
    (void)state;
    enum { VOXELS = 37, CHANNELS = 24 };
    for (size_t i = 0; i < sizeof all_isas / sizeof *all_isas; i++) {
        if (!exa_cpu_has(all_isas[i])) continue;
        int stride = exa_conv3d_stride(all_isas[i], CHANNELS);
        float *in = zeros((size_t)VOXELS * (size_t)stride), *weights = zeros((size_t)stride), add[VOXELS],
              out[VOXELS];
        uint64_t seed = 3;
        for (int c = 0; c < CHANNELS; c++) weights[c] = (float)test_uniform(&seed) - 0.5f;
        for (int v = 0; v < VOXELS; v++) {
            add[v] = (float)test_uniform(&seed);
            for (int c = 0; c < CHANNELS; c++) in[v * stride + c] = (float)test_uniform(&seed) - 0.5f;
        }
        exa_conv3d_head(all_isas[i], in, stride, weights, 0.25f, add, VOXELS, out);
        for (int v = 0; v < VOXELS; v++) {
            double sum = (double)add[v] + 0.25;
            for (int c = 0; c < CHANNELS; c++) sum += fmax((double)in[v * stride + c], 0) * (double)weights[c];
            assert_true(fabs(sum - (double)out[v]) < 1e-6);
        }
        free(in);
        free(weights);
    }
}

static void test_refusals(void **state) {
    (void)state;
    exa_conv3d_plan plan;
    const int shape[3] = {3, 3, 3}, empty[3] = {3, 0, 3};
    assert_fails(EXA_ERR_RANGE, "3 x 0 x 3",
                 exa_conv3d_plan_init(EXA_CONV3D_DIRECT, EXA_ISA_AUTO, empty, 8, 8, 0, &plan));
    assert_fails(EXA_ERR_RANGE, "stride",
                 exa_conv3d_plan_init(EXA_CONV3D_DIRECT, EXA_ISA_AUTO, shape, 8, 8, 4, &plan));
    assert_fails(EXA_ERR_RANGE, "stride",
                 exa_conv3d_plan_init(EXA_CONV3D_WINOGRAD, EXA_ISA_AUTO, shape, 2, 8, 2, &plan));
    exa_conv3d_layer even = {{9, 8, 9}, 3, 2, 8, 8, 0, 0, false}, wide = {{9, 9, 9}, 5, 1, 8, 8, 0, 0, false};
    assert_fails(EXA_ERR_RANGE, "stride 2 over 8",
                 exa_conv3d_plan_layer(EXA_CONV3D_DIRECT, EXA_ISA_AUTO, &even, &plan));
    assert_fails(EXA_ERR_RANGE, "5^3", exa_conv3d_plan_layer(EXA_CONV3D_DIRECT, EXA_ISA_AUTO, &wide, &plan));
    even.in_shape[1] = 9;
    assert_fails(EXA_ERR_RANGE, "3^3 with stride 2",
                 exa_conv3d_plan_layer(EXA_CONV3D_WINOGRAD, EXA_ISA_AUTO, &even, &plan));
    if (!exa_cpu_has(EXA_ISA_AVX512)) {
        assert_fails(EXA_ERR_UNSUPPORTED, "avx512",
                     exa_conv3d_plan_init(EXA_CONV3D_DIRECT, EXA_ISA_AVX512, shape, 8, 8, 0, &plan));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_channels),
        cmocka_unit_test(test_two_inputs_interleaved),
        cmocka_unit_test(test_endings),
        cmocka_unit_test(test_kernels_and_strides),
        cmocka_unit_test(test_maxima),
        cmocka_unit_test(test_head),
        cmocka_unit_test(test_fib25_layer),
        cmocka_unit_test(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
