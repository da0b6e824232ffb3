/* On a real GPU: canvases flooded there, against the CPU's canvas fed with the logits of the same network on the
 * same GPU, one field of view at a time. Attempts, counters, labels and seeds must be the same to the last bit, in
 * each precision, whatever else is in the batch. Without a GPU it is skipped, aloud. EXACONN_TEST_SMALL=1: less of
 * it, for compute-sanitizer. */
#include "test_util.h"
#include "golden.h"
#include "golden_model.h"

#include "exaconn/batcher.h"
#include "exaconn/canvas_device.h"
#include "exaconn/device.h"

#include "canvas_scene.h"

#include <math.h>
#include <pthread.h>

static bool has_precision(exa_net_precision precision) {
    exa_device d;
    return precision == EXA_NET_FP32 || (exa_device_get(0, &d) == EXA_OK && d.major >= 8);
}

/* ---- a network whose floods spread -----------------------------------------------------------------------------
 */

static exa_ffn_model *make_model(const exa_coord fov[3], const exa_coord deltas[3], int depth, int features) {
    exa_ffn_model *model;
    uint64_t seed = 11;

    assert_ok(exa_ffn_model_create(depth, features, fov, deltas, &model));
    for (int i = 0; i < model->layer_count; i++) {
        exa_ffn_layer *l = &model->layers[i];
        size_t n = (size_t)(l->kernel * l->kernel * l->kernel * l->cin * l->cout);
        for (size_t k = 0; k < n; k++) l->weights[k] = (float)(test_uniform(&seed) - 0.5) * 0.2f;
        for (int k = 0; k < l->cout; k++) l->biases[k] = (float)(test_uniform(&seed) - 0.5) * 0.2f;
    }
    model->layers[model->layer_count - 1].biases[0] = 5.2f;
    return model;
}

static exa_device_net *make_net(const exa_ffn_model *model, exa_net_precision precision) {
    const float *weights[2 * EXA_FFN_MAX_DEPTH + 1], *biases[2 * EXA_FFN_MAX_DEPTH + 1];
    exa_device_net_spec spec = {
        .depth = model->depth, .features = model->features, .weights = weights, .biases = biases};
    exa_device_net *net;

    for (int a = 0; a < 3; a++) spec.fov[a] = (int)model->fov[a];
    for (int i = 0; i < model->layer_count; i++) {
        weights[i] = model->layers[i].weights;
        biases[i] = model->layers[i].biases;
    }
    assert_ok(
        exa_device_net_create(&spec, &(exa_device_net_options){.precision = precision, .max_batch = 1}, &net));
    return net;
}

/* The CPU's canvas with the GPU's logits. */
static int64_t flood_with(exa_canvas *canvas, exa_device_net *net, exa_device_net *wider) {
    exa_canvas_step step;
    bool more;

    for (;;) {
        assert_ok(exa_canvas_next(canvas, &step, &more));
        if (!more) break;
        assert_ok(exa_device_net_infer(net, wider, 1, &step.image, &step.seed, &step.logits, NULL));
        assert_ok(exa_canvas_absorb(canvas));
    }
    exa_canvas_finish(canvas);
    return exa_canvas_get_counters(canvas)->steps;
}

/* ---- several canvases at a time --------------------------------------------------------------------------------
 */

enum { MEMBERS = 5 };

typedef struct member {
    exa_batcher *batcher;
    exa_canvas *canvas;
    exa_status outcome;
    char message[512];
} member;

static void *flood_as_member(void *argument) {
    member *m = argument;
    m->outcome = exa_batcher_flood(m->batcher, m->canvas, NULL, NULL, NULL);
    if (m->outcome != EXA_OK) snprintf(m->message, sizeof m->message, "%.500s", exa_error_last()->message);
    return NULL;
}

static void flood_together(exa_canvas_device *device, exa_canvas *const *canvases, int count) {
    exa_batcher *batcher;
    member members[MEMBERS] = {{0}};
    pthread_t threads[MEMBERS];

    assert_ok(exa_batcher_create_on_device(device, &batcher));
    for (int k = 0; k < count; k++) {
        members[k] = (member){.batcher = batcher, .canvas = canvases[k]};
        assert_int_equal(pthread_create(&threads[k], NULL, flood_as_member, &members[k]), 0);
    }
    for (int k = 0; k < count; k++) {
        pthread_join(threads[k], NULL);
        if (members[k].outcome != EXA_OK) fail_msg("%s", members[k].message);
    }
    exa_batcher_destroy(&batcher);
}

static void compare(exa_net_precision precision) {
    const exa_coord fov[3] = {13, 11, 9}, deltas[3] = {3, 2, 2};
    const int members = test_is_small() ? 2 : MEMBERS;
    exa_ffn_model *model = make_model(fov, deltas, 3, 32);
    exa_device_net *net = make_net(model, precision), *exact = make_net(model, EXA_NET_FP32);
    exa_canvas *cpu[MEMBERS], *gpu[MEMBERS];
    exa_canvas_device *device;
    scene s[MEMBERS];
    int64_t steps = 0;

    for (int k = 0; k < members; k++) {
        const exa_coord less =
            test_is_small() ? 20 : 0; /* a flood is always finished, so only a small canvas has few steps */
        make_scene(&s[k], (k == 0 ? 40 : 34 + k) - less, 38 - k - less, 36 + k % 3 - less, (uint64_t)k + 20);
        memcpy(s[k].options.fov, fov, sizeof fov);
        memcpy(s[k].options.deltas, deltas, sizeof deltas);
        s[k].options.probability_map = k % 2;
        cpu[k] = start(&s[k], false);
        gpu[k] = start(&s[k], true);
        steps += flood_with(cpu[k], net, exact);
    }
    exa_canvas_device_options o = {.canvas = s[0].options,
                                   .voxels = {40, 38, 38},
                                   .dtype = EXA_U8,
                                   .slots = 3,
                                   .steps = test_is_small() ? 3 : 0,
                                   .precision = precision};
    o.canvas.probability_map = true;
    assert_ok(exa_canvas_device_create(model, &o, &device));
    flood_together(device, gpu, members);
    for (int k = 0; k < members; k++) {
        expect_same(cpu[k], gpu[k], &s[k]);
        exa_canvas_destroy(&cpu[k]);
        exa_canvas_destroy(&gpu[k]);
        free_scene(&s[k]);
    }
    printf("  %s: %d canvases on 3 slots, %lld steps, the same\n", exa_net_precision_name(precision), members,
           (long long)steps);
    assert_true(steps > (test_is_small() ? 0 : 100));
    exa_canvas_device_destroy(&device);
    exa_device_net_destroy(&net);
    exa_device_net_destroy(&exact);
    exa_ffn_model_destroy(&model);
}

static void test_canvases(void **state) {
    (void)state;
    for (int p = EXA_NET_FP32; p <= (test_is_small() ? EXA_NET_FP32 : EXA_NET_FP16); p++)
        if (has_precision((exa_net_precision)p)) compare((exa_net_precision)p);
}

/* ---- seeds -----------------------------------------------------------------------------------------------------
 */

static void compare_seeds(exa_canvas_device *device, const exa_image *image, const exa_coord fov[3]) {
    exa_seed_list cpu, gpu;

    assert_ok(exa_seed_make(&(exa_seed_options){0}, image, NULL, fov, NULL, NULL, &cpu, NULL));
    assert_ok(exa_canvas_device_seeds(device, image, NULL, fov, &gpu));
    printf("  %lld x %lld x %lld: %zu seeds on the CPU, %zu on the GPU\n", (long long)image->shape[0],
           (long long)image->shape[1], (long long)image->shape[2], cpu.count, gpu.count);
    assert_int_equal(cpu.count, gpu.count);
    if (cpu.count) assert_memory_equal(cpu.index, gpu.index, cpu.count * 4);
    exa_seed_list_free(&cpu);
    exa_seed_list_free(&gpu);
}

static void test_seeds(void **state) {
    static const exa_coord shapes[][3] = {{7, 9, 13}, {1, 40, 3}, {33, 2, 17}, {20, 37, 64}, {61, 45, 53}};
    const exa_coord fov[3] = {9, 9, 9}, deltas[3] = {2, 2, 2};
    const char *path = test_is_small() ? NULL : test_data_path("fib25_sample2.h5");
    exa_ffn_model *model = make_model(fov, deltas, 1, 32);
    const exa_coord most = path ? 250 : 64;
    exa_canvas_device_options o = {
        .voxels = {most, most, most}, .dtype = EXA_U8, .slots = 1, .seeds = true, .precision = EXA_NET_FP32};
    exa_canvas_device *device;
    (void)state;
    memcpy(o.canvas.fov, fov, sizeof fov);
    memcpy(o.canvas.deltas, deltas, sizeof deltas);
    o.canvas.ffn = model->options;
    assert_ok(exa_canvas_device_create(model, &o, &device));
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        scene s;
        make_scene(&s, shapes[k][0], shapes[k][1], shapes[k][2], k + 3);
        compare_seeds(device, &s.image, fov);
        free_scene(&s);
    }
    if (path) { /* the whole sample: as many as Google's own counter says */
        const exa_coord fib25[3] = {33, 33, 33}, shape[3] = {250, 250, 250};
        hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
        golden_array raw = GOLDEN_U8(file, "raw");
        exa_image image;
        exa_seed_list list;
        assert_ok(exa_image_init(&image, raw.data, EXA_U8, shape, 128.0f, 33.0f));
        assert_ok(exa_canvas_device_seeds(device, &image, NULL, fib25, &list));
        assert_int_equal(list.count, 12464);
        exa_seed_list_free(&list);
        compare_seeds(device, &image, fib25);
        free(raw.data);
        H5Fclose(file);
    }
    exa_canvas_device_destroy(&device);
    exa_ffn_model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_canvases), cmocka_unit_test(test_seeds)};
    const char *reason;

    if (exa_device_count(&reason) == 0) {
        fprintf(stderr, "SKIP: this test needs a GPU: %s\n", reason);
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
