/* The flood-filling state machine: the golden sub-cube segmentations with the real network, and its rules one by
 * one with a stand-in network whose answer is known. */
#include "test_util.h"
#include "golden.h"
#include "golden_model.h"

#include <math.h>

#include "exaconn/canvas.h"
#include "exaconn/ffn_net.h"

/* ---- golden segmentations ------------------------------------------------------------------------------------ */

typedef struct golden_seg {
    golden_array raw, seeds, attempts, trace, centre, segmentation;
} golden_seg;

static golden_seg read_golden(hid_t file, const char *group) {
    golden_seg g;
    char name[64];
    g.raw = READ_GOLDEN(U8, "raw");
    g.seeds = READ_GOLDEN(I32, "seeds_zyx");
    g.attempts = READ_GOLDEN(I32, "attempts");
    g.trace = READ_GOLDEN(I32, "trace_zyx");
    g.centre = READ_GOLDEN(F32, "trace_center_logit");
    g.segmentation = READ_GOLDEN(U8, "segmentation");
    return g;
}

static void free_golden(golden_seg *g) {
    free(g->raw.data), free(g->seeds.data), free(g->attempts.data);
    free(g->trace.data), free(g->centre.data), free(g->segmentation.data);
}

/* Runs every step and compares its position and centre logit with the golden trace as it goes. */
static void follow_trace(exa_canvas *canvas, exa_ffn_net *net, const golden_seg *g) {
    const int32_t *trace = g->trace.data;
    exa_canvas_step step;
    bool more;
    size_t n = 0;

    for (;; n++) {
        assert_ok(exa_canvas_next(canvas, &step, &more));
        if (!more) break;
        assert_true(n < g->trace.shape[0]);
        for (int a = 0; a < 3; a++) assert_int_equal(step.position[a], trace[3 * n + (size_t)a]);
        assert_ok(exa_ffn_net_infer(net, 1, &step.image, &step.seed, &step.logits));
        assert_ok(exa_canvas_absorb(canvas));
        assert_true(fabs((double)step.logits[33 * 33 * 33 / 2] - (double)((float *)g->centre.data)[n]) < 1e-3);
    }
    assert_int_equal(n, g->trace.shape[0]);
    exa_canvas_finish(canvas);
}

static void compare_with_golden(const exa_canvas *canvas, const golden_seg *g, const char *what) {
    size_t count, wrong = 0;
    const exa_attempt *a = exa_canvas_attempts(canvas, &count);
    const int32_t *label = exa_canvas_segmentation(canvas);

    assert_int_equal(count, g->attempts.shape[0]);
    for (size_t i = 0; i < count; i++) {
        const int32_t *e = (int32_t *)g->attempts.data + 8 * i;
        const int64_t mine[6] = {a[i].seed[0], a[i].seed[1],          a[i].seed[2],
                                 a[i].steps,   (int64_t)a[i].outcome, a[i].id};
        for (int k = 0; k < 6; k++) assert_int_equal(mine[k], e[k]);
        if (a[i].outcome == EXA_OUTCOME_OBJECT) {
            assert_true(llabs(a[i].voxels_raw - e[6]) <= e[6] / 10000 + 1);
            assert_true(llabs(a[i].voxels_new - e[7]) <= e[7] / 10000 + 1);
        }
    }
    for (size_t i = 0; i < g->segmentation.count; i++) wrong += label[i] != ((uint8_t *)g->segmentation.data)[i];
    printf("  %s: %zu of %zu voxels differ\n", what, wrong, g->segmentation.count);
    assert_true((double)wrong <= 1e-4 * (double)g->segmentation.count);
}

static void run_golden(const char *group, int64_t min_size, exa_ffn_kernel kernel) {
    const char *path;
    exa_ffn_model *model;
    exa_ffn_net *net;
    exa_pool *pool;
    exa_canvas *canvas;
    exa_seed_list seeds;
    exa_image image;
    hid_t file;

    if (!(path = test_data_path("ffn_fib25.h5"))) skip();
    model = golden_model(path);
    path = test_data_path("ffn_golden_seg.h5");
    assert_true((file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) >= 0);
    golden_seg g = read_golden(file, group);
    const exa_coord shape[3] = {(exa_coord)g.raw.shape[0], (exa_coord)g.raw.shape[1], (exa_coord)g.raw.shape[2]};
    assert_ok(exa_pool_create(2, false, &pool));
    assert_ok(exa_ffn_net_create(model, kernel, EXA_ISA_AUTO, pool, &net));
    assert_ok(exa_image_init(&image, g.raw.data, EXA_U8, shape, model->image_mean, model->image_stddev));
    assert_ok(exa_seed_make(&(exa_seed_options){0}, &image, NULL, model->fov, pool, NULL, &seeds, NULL));
    exa_canvas_options options = {.ffn = model->options};
    memcpy(options.fov, model->fov, sizeof options.fov);
    memcpy(options.deltas, model->deltas, sizeof options.deltas);
    options.ffn.min_segment_size = min_size;
    assert_ok(exa_canvas_create(&options, &image, &seeds, NULL, &canvas));
    follow_trace(canvas, net, &g);
    compare_with_golden(canvas, &g, exa_ffn_net_description(net));
    if (strcmp(group, "cube96") == 0) { /* the reference's own counters */
        const exa_canvas_counters *c = exa_canvas_get_counters(canvas);
        assert_int_equal(c->steps, 571);
        assert_int_equal(c->skip_invalid_pos, 796);
        assert_int_equal(c->skip_threshold, 8);
        assert_int_equal(c->near_segment, 25);
        assert_int_equal(c->seed_got_too_weak, 1);
        assert_int_equal(c->seeds, 357);
    }
    exa_canvas_destroy(&canvas);
    exa_ffn_net_destroy(&net);
    exa_ffn_model_destroy(&model);
    exa_pool_destroy(&pool);
    free_golden(&g);
    H5Fclose(file);
}

/* 30 steps a path: seconds; minutes under a sanitizer, where the scenes below do. */
static void test_golden_small(void **state) {
    const char *sanitize = getenv("EXACONN_SANITIZE");
    (void)state;
    if (sanitize && *sanitize && !getenv("EXACONN_LONG_TESTS")) {
        fprintf(stderr, "SKIP: the small golden cube takes minutes under %s (EXACONN_LONG_TESTS=1 runs it)\n",
                sanitize);
        skip();
    }
    run_golden("small", 100, EXA_FFN_KERNEL_AUTO);
    run_golden("small", 100, EXA_FFN_KERNEL_DIRECT);
}

/* 571 steps a path: a minute with the default kernel, several with the direct one, far more under a sanitizer. */
static void test_golden_cube(void **state) {
    const char *sanitize = getenv("EXACONN_SANITIZE");
    (void)state;
    if (sanitize && *sanitize) {
        fprintf(stderr, "SKIP: the 96^3 golden cube takes too long under %s\n", sanitize);
        skip();
    }
    run_golden("cube96", 1000, EXA_FFN_KERNEL_AUTO);
    if (getenv("EXACONN_LONG_TESTS")) run_golden("cube96", 1000, EXA_FFN_KERNEL_DIRECT);
}

/* ---- rules, with a stand-in network ---------------------------------------------------------------------------
 */

/* FOV centres at even coordinates from 4 to 36 cover all N voxels. */
enum { N = 41, FOV = 9, DELTA = 2 };

/* Two slabs of "tissue" (raw 200) at y < 18 and y >= 22 in black; the stand-in network answers +4 in bright voxels
 * and -4 in dark ones, whatever the seed, slightly less away from the centre so that a face's maximum is its
 * middle. */
typedef struct scene {
    uint8_t *raw, *excluded;
    exa_image image;
    exa_canvas_options options;
    exa_canvas *canvas;
} scene;

static void make_scene(scene *s) {
    const exa_coord shape[3] = {N, N, N};
    memset(s, 0, sizeof *s);
    s->raw = calloc(N * N * N, 1);
    s->excluded = calloc(N * N * N, 1);
    for (int i = 0; i < N * N * N; i++) {
        int y = i / N % N;
        s->raw[i] = y < 18 || y >= 22 ? 200 : 0;
    }
    assert_ok(exa_image_init(&s->image, s->raw, EXA_U8, shape, 100.0f, 50.0f));
    s->options = (exa_canvas_options){.ffn = {.init_activation = 0.95f,
                                              .pad_value = 0.05f,
                                              .move_threshold = 0.9f,
                                              .segment_threshold = 0.6f,
                                              .min_segment_size = 100,
                                              .min_boundary_dist = {1, 1, 1}},
                                      .fov = {FOV, FOV, FOV},
                                      .deltas = {DELTA, DELTA, DELTA}};
}

static void free_scene(scene *s) {
    exa_canvas_destroy(&s->canvas);
    free(s->raw);
    free(s->excluded);
}

static void start_scene(scene *s, const exa_coord (*points)[3], size_t count, bool exclude) {
    exa_seed_options o = {.policy = EXA_SEED_LIST, .points = &points[0][0], .point_count = count};
    exa_seed_list seeds;
    assert_ok(exa_seed_make(&o, &s->image, NULL, s->options.fov, NULL, NULL, &seeds, NULL));
    assert_ok(exa_canvas_create(&s->options, &s->image, &seeds, exclude ? s->excluded : NULL, &s->canvas));
}

static void stand_in(const exa_canvas_step *step) {
    for (int i = 0; i < FOV * FOV * FOV; i++) {
        int away = abs(i / (FOV * FOV) - FOV / 2) + abs(i / FOV % FOV - FOV / 2) + abs(i % FOV - FOV / 2);
        step->logits[i] = (step->image[i] > 0 ? 4.0f : -4.0f) - 0.001f * (float)away;
    }
}

static void run_scene(scene *s) {
    exa_canvas_step step;
    bool more;
    for (;;) {
        assert_ok(exa_canvas_next(s->canvas, &step, &more));
        if (!more) break;
        stand_in(&step);
        assert_ok(exa_canvas_absorb(s->canvas));
    }
    exa_canvas_finish(s->canvas);
}

static int32_t label_at(const scene *s, int z, int y, int x) {
    return exa_canvas_segmentation(s->canvas)[(z * N + y) * N + x];
}

static void test_fills_two_slabs(void **state) {
    static const exa_coord points[][3] = {{20, 10, 20}, {20, 30, 20}, {20, 11, 20}};
    scene s;
    (void)state;
    make_scene(&s);
    start_scene(&s, points, 3, false);
    run_scene(&s);
    const exa_canvas_counters *c = exa_canvas_get_counters(s.canvas);
    assert_int_equal(c->objects, 2);
    assert_int_equal(c->floods, 2);
    assert_int_equal(c->skip_invalid_pos > 0, 1); /* the third seed lies in object 1 */
    for (int y = 0; y < N; y++) assert_int_equal(label_at(&s, 3, y, 37), y < 18 ? 1 : y >= 22 ? 2 : 0);
    assert_int_equal(c->voxels_segmented, N * N * (18 + 19));
    free_scene(&s);
}

static void test_excluded_stays_empty(void **state) {
    static const exa_coord points[][3] = {{20, 10, 8}, {20, 10, 20}, {20, 10, 30}};
    scene s;
    (void)state;
    make_scene(&s);
    for (int i = 0; i < N * N * N; i++)
        s.excluded[i] = i % N >= 18 && i % N < 26; /* a wall no FOV centre crosses */
    start_scene(&s, points, 3, true);
    run_scene(&s);
    const exa_canvas_counters *c = exa_canvas_get_counters(s.canvas);
    assert_int_equal(c->objects, 2);
    assert_true(c->skip_restricted > 0);
    for (int x = 0; x < N; x++) assert_int_equal(label_at(&s, 20, 10, x), x < 18 ? 1 : x < 26 ? 0 : 2);
    free_scene(&s);
}

static void test_rejections(void **state) {
    static const exa_coord points[][3] = {{20, 20, 20}, {20, 10, 20}, {20, 19, 20}};
    scene s;
    size_t count;
    (void)state;
    make_scene(&s);
    start_scene(&s, points, 3, false);
    run_scene(&s);
    const exa_attempt *a = exa_canvas_attempts(s.canvas, &count);
    assert_int_equal(count, 3);
    assert_int_equal(a[0].outcome, EXA_OUTCOME_WEAK); /* in the dark gap: the seed's own logit turns negative */
    assert_int_equal(a[0].steps, 1);
    assert_int_equal(a[1].outcome, EXA_OUTCOME_OBJECT);
    assert_int_equal(a[2].outcome, EXA_OUTCOME_WEAK);
    assert_int_equal(label_at(&s, 20, 20, 20), 0); /* -1 became background */
    free_scene(&s);

    make_scene(&s);
    s.options.ffn.min_segment_size = N * N * N;
    start_scene(&s, points + 1, 1, false);
    run_scene(&s);
    a = exa_canvas_attempts(s.canvas, &count);
    assert_int_equal(a[0].outcome, EXA_OUTCOME_TOO_SMALL);
    assert_int_equal(a[0].voxels_new, N * N * 18);
    assert_int_equal(exa_canvas_get_counters(s.canvas)->objects, 0);
    free_scene(&s);
}

static void test_initial_and_boundary(void **state) {
    static const exa_coord points[][3] = {{20, 10, 20}, {20, 18, 20}, {20, 30, 20}};
    int32_t *initial = calloc(N * N * N, sizeof *initial);
    scene s;
    (void)state;
    make_scene(&s);
    s.options.probability_map = true;
    start_scene(&s, points, 3, false);
    for (int i = 0; i < N * N * N; i++) initial[i] = i / N % N < 18 ? 7 : 0;
    assert_ok(exa_canvas_set_initial(s.canvas, 0, N, initial, 8));
    run_scene(&s);
    const exa_canvas_counters *c = exa_canvas_get_counters(s.canvas);
    assert_int_equal(c->skip_invalid_pos >= 1, 1); /* the first seed is inside object 7 */
    assert_int_equal(c->near_segment, 1);          /* the second is one voxel from it */
    assert_int_equal(label_at(&s, 20, 10, 20), 7);
    assert_int_equal(label_at(&s, 20, 30, 20), 8);
    assert_int_equal(exa_canvas_probability(s.canvas)[(20 * N + 10) * N + 20], 255);
    assert_int_equal(exa_canvas_probability(s.canvas)[(20 * N + 30) * N + 20], exa_canvas_quantise(4.0f));
    assert_int_equal(exa_canvas_probability(s.canvas)[(20 * N + 20) * N + 20], 0);
    free(initial);
    free_scene(&s);
}

static void test_limits(void **state) {
    static const exa_coord points[][3] = {{20, 10, 20}, {20, 30, 20}};
    scene s;
    (void)state;
    make_scene(&s);
    s.options.max_objects = 1;
    start_scene(&s, points, 2, false);
    run_scene(&s);
    assert_int_equal(exa_canvas_get_counters(s.canvas)->objects, 1);
    assert_true(exa_canvas_limit_reached(s.canvas));
    free_scene(&s);

    make_scene(&s);
    s.options.max_steps = 5;
    start_scene(&s, points, 2, false);
    run_scene(&s);
    assert_int_equal(exa_canvas_get_counters(s.canvas)->floods, 1); /* an object begun is finished */
    assert_int_equal(exa_canvas_get_counters(s.canvas)->voxels_segmented, N * N * 18);
    assert_true(exa_canvas_limit_reached(s.canvas));
    free_scene(&s);

    make_scene(&s);
    s.options.max_seeds = 1;
    start_scene(&s, points, 2, false);
    run_scene(&s);
    assert_int_equal(exa_canvas_get_counters(s.canvas)->seeds, 1);
    assert_int_equal(exa_canvas_get_counters(s.canvas)->objects, 1);
    free_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fills_two_slabs), cmocka_unit_test(test_excluded_stays_empty),
        cmocka_unit_test(test_rejections),      cmocka_unit_test(test_initial_and_boundary),
        cmocka_unit_test(test_limits),          cmocka_unit_test(test_golden_small),
        cmocka_unit_test(test_golden_cube),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
