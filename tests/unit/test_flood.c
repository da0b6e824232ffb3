/* What a canvas becomes does not depend on its companions, the thread count or the batch: three canvases of one
 * random image with a small random network, alone and together, bit by bit. */
#include "test_util.h"

#include "exaconn/batcher.h"
#include "exaconn/flood.h"

#include <pthread.h>

enum { N = 30, CANVASES = 3 };

static exa_ffn_model *random_model(void) {
    const exa_coord fov[3] = {9, 9, 9}, deltas[3] = {2, 2, 2};
    exa_ffn_model *model;
    uint64_t seed = 11;
    assert_ok(exa_ffn_model_create(3, 8, fov, deltas, &model));
    model->image_mean = 128.0f;
    model->image_stddev = 60.0f;
    model->options.min_segment_size = 20;
    for (int i = 0; i < model->layer_count; i++) {
        exa_ffn_layer *l = &model->layers[i];
        size_t n = (size_t)(l->kernel * l->kernel * l->kernel * l->cin * l->cout);
        for (size_t k = 0; k < n; k++) l->weights[k] = (float)(test_uniform(&seed) - 0.5) * 0.25f;
        for (int k = 0; k < l->cout; k++) l->biases[k] = (float)(test_uniform(&seed) - 0.5) * 0.2f;
    }
    model->layers[model->layer_count - 1].biases[0] = 1.0f; /* so that floods spread */
    return model;
}

static exa_canvas *make_canvas(const exa_ffn_model *model, const exa_image *image) {
    exa_canvas_options o = {.ffn = model->options};
    exa_seed_list seeds;
    exa_canvas *canvas;
    memcpy(o.fov, model->fov, sizeof o.fov);
    memcpy(o.deltas, model->deltas, sizeof o.deltas);
    assert_ok(exa_seed_make(&(exa_seed_options){0}, image, NULL, model->fov, NULL, NULL, &seeds, NULL));
    assert_ok(exa_canvas_create(&o, image, &seeds, NULL, &canvas));
    return canvas;
}

static void test_companions_do_not_matter(void **state) {
    const exa_coord shape[3] = {N, N, N};
    static uint8_t raw[CANVASES][N * N * N];
    exa_ffn_model *model = random_model();
    exa_image images[CANVASES];
    int64_t steps = 0;
    (void)state;
    for (int k = 0; k < CANVASES; k++) {
        uint64_t seed = (uint64_t)k + 1;
        for (int i = 0; i < N * N * N; i++) {
            raw[k][i] = (uint8_t)((i / (N * 6) + i / 7 % 3) % 2 * 140 + 40 + test_uniform(&seed) * 40);
        }
        assert_ok(exa_image_init(&images[k], raw[k], EXA_U8, shape, model->image_mean, model->image_stddev));
    }
    for (int threads = 1; threads <= 4; threads++) {
        exa_pool *pool;
        exa_ffn_net *net;
        exa_canvas *together[CANVASES], *alone[CANVASES];
        exa_flood_times times;
        assert_ok(exa_pool_create(threads, false, &pool));
        assert_ok(exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, pool, &net));
        for (int k = 0; k < CANVASES; k++) {
            together[k] = make_canvas(model, &images[k]);
            alone[k] = make_canvas(model, &images[k]);
            assert_ok(exa_flood_run(net, &alone[k], 1, NULL, NULL, NULL));
        }
        assert_ok(exa_flood_run(net, together, CANVASES, NULL, NULL, &times));
        assert_true(times.network_s > 0 && times.total_s >= times.network_s);
        for (int k = 0; k < CANVASES; k++) {
            size_t n, m;
            const exa_attempt *a = exa_canvas_attempts(alone[k], &n), *b = exa_canvas_attempts(together[k], &m);
            assert_int_equal(n, m);
            for (size_t i = 0; i < n; i++) assert_int_equal(a[i].steps, b[i].steps);
            assert_memory_equal(exa_canvas_segmentation(alone[k]), exa_canvas_segmentation(together[k]),
                                sizeof(int32_t) * N * N * N);
            steps += exa_canvas_get_counters(alone[k])->steps;
            exa_canvas_destroy(&alone[k]);
            exa_canvas_destroy(&together[k]);
        }
        exa_ffn_net_destroy(&net);
        exa_pool_destroy(&pool);
    }
    printf("  %lld steps\n", (long long)steps);
    assert_true(steps > 100); /* the network did flood */
    exa_ffn_model_destroy(&model);
}

static exa_status stop_after_three(void *context) {
    int *calls = context;
    return ++*calls < 3 ? EXA_OK : EXA_FAIL(EXA_ERR_CANCELLED, "three batches");
}

static void test_tick_stops(void **state) {
    const exa_coord shape[3] = {N, N, N};
    uint8_t *raw = malloc(N * N * N);
    exa_ffn_model *model = random_model();
    exa_image image;
    exa_canvas *canvas;
    exa_ffn_net *net;
    int calls = 0;
    (void)state;
    for (int i = 0; i < N * N * N; i++) raw[i] = (uint8_t)(i / (N * 6) % 2 * 140 + 40);
    assert_ok(exa_image_init(&image, raw, EXA_U8, shape, model->image_mean, model->image_stddev));
    canvas = make_canvas(model, &image);
    assert_ok(exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net));
    assert_fails(EXA_ERR_CANCELLED, "three", exa_flood_run(net, &canvas, 1, stop_after_three, &calls, NULL));
    assert_int_equal(exa_canvas_get_counters(canvas)->steps, 3);
    exa_canvas_destroy(&canvas);
    exa_ffn_net_destroy(&net);
    exa_ffn_model_destroy(&model);
    free(raw);
}

typedef struct member {
    exa_batcher *batcher;
    exa_canvas *canvas;
    exa_flood_times times;
    exa_status outcome;
    int64_t ticks;
} member;

static exa_status count_tick(void *context) {
    member *m = context;
    m->ticks++;
    return EXA_OK;
}

static void *flood_as_member(void *argument) {
    member *m = argument;
    m->outcome = exa_batcher_flood(m->batcher, m->canvas, count_tick, m, &m->times);
    return NULL;
}

/* Threads that join and leave as they come: the same canvases as alone, with fewer places than members, too. */
static void test_threads_share_a_network(void **state) {
    enum { MEMBERS = 5 };
    const exa_coord shape[3] = {N, N, N};
    static uint8_t raw[MEMBERS][N * N * N];
    exa_ffn_model *model = random_model();
    exa_image images[MEMBERS];
    exa_pool *pool;
    exa_ffn_net *net;
    (void)state;
    assert_ok(exa_pool_create(2, false, &pool));
    assert_ok(exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, pool, &net));
    for (int k = 0; k < MEMBERS; k++) {
        uint64_t seed = (uint64_t)k + 10;
        for (int i = 0; i < N * N * N; i++)
            raw[k][i] = (uint8_t)((i / (N * 5) + i / 6 % 3) % 2 * 140 + 40 + test_uniform(&seed) * 40);
        assert_ok(exa_image_init(&images[k], raw[k], EXA_U8, shape, model->image_mean, model->image_stddev));
    }
    for (int places = 1; places <= MEMBERS; places += 2) {
        exa_batcher *batcher;
        member members[MEMBERS] = {0};
        pthread_t threads[MEMBERS];
        double network_s = 0;
        assert_ok(exa_batcher_create(net, places, &batcher));
        for (int k = 0; k < MEMBERS; k++) {
            members[k] = (member){.batcher = batcher, .canvas = make_canvas(model, &images[k])};
            assert_int_equal(pthread_create(&threads[k], NULL, flood_as_member, &members[k]), 0);
        }
        for (int k = 0; k < MEMBERS; k++) pthread_join(threads[k], NULL);
        for (int k = 0; k < MEMBERS; k++) {
            exa_canvas *alone = make_canvas(model, &images[k]);
            assert_ok(members[k].outcome);
            assert_ok(exa_flood_run(net, &alone, 1, NULL, NULL, NULL));
            assert_memory_equal(exa_canvas_segmentation(alone), exa_canvas_segmentation(members[k].canvas),
                                sizeof(int32_t) * N * N * N);
            assert_int_equal(members[k].ticks, exa_canvas_get_counters(alone)->steps);
            network_s += members[k].times.network_s;
            exa_canvas_destroy(&alone);
            exa_canvas_destroy(&members[k].canvas);
        }
        assert_true(network_s > 0);
        exa_batcher_destroy(&batcher);
        assert_null(batcher);
    }
    exa_ffn_net_destroy(&net);
    exa_pool_destroy(&pool);
    exa_ffn_model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_companions_do_not_matter),
                                       cmocka_unit_test(test_threads_share_a_network),
                                       cmocka_unit_test(test_tick_stops)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
