/* The GPU's canvas, run on the CPU by the emulation (kernels/cuda/lane_host.h), against the CPU's: the same
 * attempts, counters, trace and voxels, given the same logits. The order of threads, warps and blocks is drawn from
 * a seed, and several are tried, so that a missing barrier shows. */
#ifdef EXA_TEST_ON_GPU /* its logits come from the host; gpu/test_gpu_canvas.c is for real GPUs */
#include <stdio.h>

int main(void) {
    fprintf(stderr, "SKIP: this is for the emulated GPU; test_gpu_canvas is for real ones\n");
    return 77;
}

#else
#include "test_util.h"
#include "golden.h"
#include "golden_model.h"

#include "exaconn/batcher.h"
#include "exaconn/canvas_device.h"
#include "exaconn/ffn_net.h"
#include "exaconn/seed.h"

#include "canvas_scene.h"
#include "cuda/emulation.h"

#include <math.h>
#include <pthread.h>

/* ---- a network of our own: host memory is the emulated device's ---------------------------------------------- */

typedef struct step_log {
    int32_t position[3];
} step_log;

/* The network of a test: the CPU's, or a rule. Logs the positions of canvas `watched`. */
typedef struct stand_in {
    exa_ffn_net *net; /* NULL: the rule below */
    exa_coord fov[3];
    exa_canvas_device **owner;
    float doubt;
    step_log *log;
    size_t logged;
    uint64_t overflow_every; /* pretend that every so many steps leave the range; 0 = none */
} stand_in;

typedef struct call {
    stand_in *s;
    size_t n;
    bool exact;
    const float *input;
    float *logits;
    unsigned *overflow;
} call;

static size_t fov_voxels(const stand_in *s) {
    return (size_t)(s->fov[0] * s->fov[1] * s->fov[2]);
}

/* Bright voxels are object, a little less so away from the centre; a second look at a less bright one doubts it, so
 * that positions fall below the threshold while they wait, and seeds get too weak. */
static void apply_rule(const stand_in *s, const float *image, const float *seed, float *logits) {
    for (size_t i = 0; i < fov_voxels(s); i++) {
        exa_coord x = (exa_coord)i % s->fov[2], y = (exa_coord)i / s->fov[2] % s->fov[1];
        exa_coord z = (exa_coord)i / (s->fov[1] * s->fov[2]);
        float away = (float)(llabs(z - s->fov[0] / 2) + llabs(y - s->fov[1] / 2) + llabs(x - s->fov[2] / 2));
        logits[i] = (image[i] > 0 ? 4.0f : -3.5f) - 0.001f * away + 0.1f * seed[i] + 0.3f * image[i];
        if (seed[i] > 2.9f && image[i] < s->doubt) logits[i] -= 2.5f;
        /* Some are none at first and would be the best of all at a second look: the disconnection rule holds them.
         */
        if (image[i] > 0.0f && image[i] < 0.82f) logits[i] = seed[i] < 0.0f && seed[i] > -2.9f ? 6.0f : -1.0f;
    }
}

/* Whether the step leaves the range, as a property of its input. */
static bool overflows(const stand_in *s, const float *image, const float *seed) {
    uint64_t hash = 1;

    for (size_t i = 0; i < fov_voxels(s); i += 7) {
        uint32_t a, b;
        memcpy(&a, image + i, 4);
        memcpy(&b, seed + i, 4);
        hash = (hash ^ a) * 0x100000001b3u + b;
    }
    return s->overflow_every && test_random(&hash) % s->overflow_every == 0;
}

static void run_call(void *data) {
    call *c = data;
    stand_in *s = c->s;
    const size_t voxels = fov_voxels(s);
    float *planes = malloc(2 * voxels * sizeof *planes);

    for (size_t k = 0; k < c->n; k++) {
        const float *input = c->input + 2 * k * voxels, *image = planes, *seed = planes + voxels;
        float *logits = c->logits + k * voxels;
        for (size_t i = 0; i < voxels; i++) {
            planes[i] = input[2 * i];
            planes[voxels + i] = input[2 * i + 1];
        }
        c->overflow[k] = !c->exact && overflows(s, image, seed);
        if (c->overflow[k]) {
            for (size_t i = 0; i < voxels; i++) logits[i] = NAN; /* worthless */
        } else if (s->net) {
            if (exa_ffn_net_infer(s->net, 1, &image, &seed, &logits) != EXA_OK) abort();
        } else {
            apply_rule(s, image, seed, logits);
        }
    }
    if (s->log && c->n == 1 && !c->overflow[0]) {
        const exa_canvas_gpu_state *st = exa_canvas_gpu_states(exa_canvas_device_gpu(*s->owner));
        if (st->phase == EXA_CANVAS_GPU_STEP)
            memcpy(s->log[s->logged++].position, st->position, sizeof st->position);
    }
    free(planes);
}

/* Calls live as long as the graph that they are recorded into. */
static exa_status forward(void *network, size_t n, bool exact, const float *input, float *logits,
                          unsigned *overflow, void *stream) {
    call *c = malloc(sizeof *c);

    *c = (call){network, n, exact, input, logits, overflow};
    exa_emulation_enqueue(stream, run_call, c);
    return EXA_OK;
}

static exa_canvas_device *make_device(const scene *s, stand_in *net, int slots, int steps) {
    exa_canvas_device_options o = {.canvas = s->options,
                                   .dtype = s->image.dtype,
                                   .slots = slots,
                                   .steps = steps,
                                   .seeds = true,
                                   .forward = forward,
                                   .network = net};
    exa_canvas_device *device;

    memcpy(o.voxels, s->shape, sizeof o.voxels);
    memcpy(net->fov, s->options.fov, sizeof net->fov);
    assert_ok(exa_canvas_device_create(NULL, &o, &device));
    return device;
}

/* ---- the two ways, and their comparison ---------------------------------------------------------------------- */

static void flood_on_cpu(exa_canvas *canvas, const stand_in *s, step_log *log, size_t *logged, size_t *overflowed) {
    exa_canvas_step step;
    bool more;

    for (;;) {
        assert_ok(exa_canvas_next(canvas, &step, &more));
        if (!more) break;
        for (int a = 0; log && a < 3; a++) log[*logged].position[a] = (int32_t)step.position[a];
        if (log) ++*logged;
        if (overflowed) *overflowed += overflows(s, step.image, step.seed);
        if (s->net) {
            assert_ok(exa_ffn_net_infer(s->net, 1, &step.image, &step.seed, &step.logits));
        } else {
            apply_rule(s, step.image, step.seed, step.logits);
        }
        assert_ok(exa_canvas_absorb(canvas));
    }
    exa_canvas_finish(canvas);
}

static void flood_on_device(exa_canvas_device *device, exa_canvas *canvas) {
    exa_batcher *batcher;
    assert_ok(exa_batcher_create_on_device(device, &batcher));
    assert_ok(exa_batcher_flood(batcher, canvas, NULL, NULL, NULL));
    exa_batcher_destroy(&batcher);
}

/* Both ways, one step a launch with the trace, then many of which some overflow. Returns the counters. */
static exa_canvas_counters compare(scene *s, const char *what) {
    enum { MOST = 20000 };
    step_log *trace = calloc(MOST, sizeof *trace), *mine = calloc(MOST, sizeof *mine);
    stand_in net = {.overflow_every = 4, .doubt = s->doubt};
    exa_canvas *cpu = start(s, false);
    exa_canvas_counters counters;
    size_t steps = 0, overflowed = 0;

    memcpy(net.fov, s->options.fov, sizeof net.fov);
    flood_on_cpu(cpu, &net, trace, &steps, &overflowed);
    counters = *exa_canvas_get_counters(cpu);
    for (int run = 0; run < 2; run++) {
        exa_canvas_device *device = make_device(s, &net, 1, run == 0 ? 1 : 7);
        exa_canvas *gpu = start(s, true);
        exa_emulation_seed((uint64_t)run + 1);
        net.owner = &device;
        net.log = run == 0 ? mine : NULL;
        net.logged = 0;
        net.overflow_every = run == 1 ? 4 : 0;
        flood_on_device(device, gpu);
        if (run == 0) {
            assert_int_equal(net.logged, steps);
            assert_memory_equal(trace, mine, steps * sizeof *trace);
        }
        expect_same(cpu, gpu, s);
        assert_int_equal(exa_canvas_device_redone(device), run == 1 ? overflowed : 0);
        exa_canvas_destroy(&gpu);
        exa_canvas_device_destroy(&device);
    }
    printf("  %s: %zu steps (%zu again), %lld floods, %lld objects, the same\n", what, steps, overflowed,
           (long long)counters.floods, (long long)counters.objects);
    exa_canvas_destroy(&cpu);
    free(trace);
    free(mine);
    return counters;
}

/* ---- rules --------------------------------------------------------------------------------------------------- */

static void test_scenes(void **state) {
    scene s;
    exa_canvas_counters c;
    (void)state;
    make_scene(&s, 31, 29, 35, 1);
    c = compare(&s, "odd shape");
    assert_true(c.objects > 3 && c.near_segment > 0 && c.skip_invalid_pos > 0 && c.weak > 0);
    s.options.probability_map = true;
    s.options.ffn.disco_seed_threshold = -1.0f;
    compare(&s, "no disconnection, probabilities");
    s.options.ffn.disco_seed_threshold = 0.5f;
    s.options.ffn.min_segment_size = 1500;
    c = compare(&s, "only large objects");
    assert_true(c.too_small > 0);
    free_scene(&s);
    make_scene(&s, 13, 40, 33, 2);
    s.options.deltas[0] = 0;
    c = compare(&s, "planes");
    assert_true(c.steps > 20);
    free_scene(&s);
}

static void test_excluded_and_initial(void **state) {
    scene s;
    exa_canvas_counters c;
    (void)state;
    make_scene(&s, 27, 33, 30, 3);
    const size_t n = (size_t)(27 * 33 * 30);
    s.excluded = calloc(n, 1);
    s.initial = calloc(n, sizeof *s.initial);
    for (size_t i = 0; i < n; i++) {
        exa_coord y = (exa_coord)i / 30 % 33, x = (exa_coord)i % 30;
        s.excluded[i] = x > 22 && y < 12;
        s.initial[i] = x < 8 && y > 20 ? (y > 26 ? 5 : 2) : 0;
    }
    s.options.probability_map = true;
    c = compare(&s, "excluded and initial voxels");
    assert_true(c.skip_restricted > 0 && c.voxels_initial > 0);
    free_scene(&s);
}

static void test_limits(void **state) {
    scene s;
    (void)state;
    make_scene(&s, 31, 29, 35, 1);
    s.options.max_steps = 20;
    compare(&s, "max_steps");
    s.options.max_steps = 0;
    s.options.max_objects = 2;
    compare(&s, "max_objects");
    s.options.max_objects = 0;
    s.options.max_seeds = 9;
    compare(&s, "max_seeds");
    free_scene(&s);
}

/* Far more seeds than a block has threads, most of them no good. */
static void test_many_seeds(void **state) {
    scene s;
    exa_coord(*points)[3] = malloc(4000 * sizeof *points);
    (void)state;
    make_scene(&s, 31, 29, 35, 4);
    for (int i = 0; i < 4000; i++) {
        points[i][0] = 4 + i % 20;
        points[i][1] = 4 + i / 20 % 20;
        points[i][2] = 6 + i / 400 % 20;
    }
    s.points = (const exa_coord(*)[3])points;
    s.point_count = 4000;
    compare(&s, "4,000 seeds");
    free_scene(&s);
    free(points);
}

static void test_other_types(void **state) {
    scene s;
    (void)state;
    make_scene(&s, 25, 23, 27, 5);
    const size_t n = (size_t)(25 * 23 * 27);
    uint16_t *u16 = malloc(2 * n);
    float *f32 = malloc(4 * n);
    for (size_t i = 0; i < n; i++) {
        u16[i] = (uint16_t)(s.raw[i] * 257);
        f32[i] = (float)s.raw[i] / 7.0f;
    }
    assert_ok(exa_image_init(&s.image, u16, EXA_U16, s.shape, 30000.0f, 9000.0f));
    compare(&s, "uint16");
    assert_ok(exa_image_init(&s.image, f32, EXA_F32, s.shape, 17.0f, 5.3f));
    compare(&s, "float32");
    free(u16);
    free(f32);
    free_scene(&s);
}

/* ---- networks ------------------------------------------------------------------------------------------------ */

typedef struct member {
    exa_batcher *batcher;
    exa_canvas *canvas;
    int64_t ticks;
    exa_status outcome;
} member;

static exa_status count_tick(void *context) {
    member *m = context;
    m->ticks++;
    return EXA_OK;
}

static void *flood_as_member(void *argument) {
    member *m = argument;
    m->outcome = exa_batcher_flood(m->batcher, m->canvas, count_tick, m, NULL);
    return NULL;
}

/* A random network; five canvases of different shapes by five threads on a GPU with three slots. */
static void test_threads_share_a_gpu(void **state) {
    enum { MEMBERS = 5 };
    const exa_coord fov[3] = {9, 9, 9}, deltas[3] = {2, 2, 2};
    exa_ffn_model *model;
    uint64_t seed = 11;
    scene s[MEMBERS];
    exa_canvas *cpu[MEMBERS];
    member members[MEMBERS];
    pthread_t threads[MEMBERS];
    exa_canvas_counters all = {0};
    stand_in net = {0};
    exa_batcher *batcher;
    (void)state;
    assert_ok(exa_ffn_model_create(3, 8, fov, deltas, &model));
    for (int i = 0; i < model->layer_count; i++) {
        exa_ffn_layer *l = &model->layers[i];
        size_t n = (size_t)(l->kernel * l->kernel * l->kernel * l->cin * l->cout);
        for (size_t k = 0; k < n; k++) l->weights[k] = (float)(test_uniform(&seed) - 0.5) * 0.25f;
        for (int k = 0; k < l->cout; k++) l->biases[k] = (float)(test_uniform(&seed) - 0.5) * 0.2f;
    }
    model->layers[model->layer_count - 1].biases[0] = 5.2f; /* so that floods spread */
    assert_ok(exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net.net));
    for (int k = 0; k < MEMBERS; k++) {
        make_scene(&s[k], k == 0 ? 30 : 20 + k, 30 - k, 24 + k % 3, (uint64_t)k + 20);
        memcpy(s[k].options.fov, fov, sizeof fov);
        memcpy(s[k].options.deltas, deltas, sizeof deltas);
        s[k].options.ffn.min_segment_size = 20;
        for (exa_coord i = 0; i < s[k].shape[0] * s[k].shape[1] * s[k].shape[2]; i++)
            s[k].raw[i] = (uint8_t)((i / 180 + i / 7 % 3) % 2 * 140 + 40 + (exa_coord)(test_uniform(&seed) * 40));
        assert_ok(exa_image_init(&s[k].image, s[k].raw, EXA_U8, s[k].shape, 128.0f, 60.0f));
        cpu[k] = start(&s[k], false);
        memcpy(net.fov, fov, sizeof fov);
        flood_on_cpu(cpu[k], &net, NULL, NULL, NULL);
        exa_canvas_counters_add(&all, exa_canvas_get_counters(cpu[k]));
    }
    exa_canvas_device_options o = {.canvas = s[0].options,
                                   .voxels = {30, 30, 26},
                                   .dtype = EXA_U8,
                                   .slots = 3,
                                   .forward = forward,
                                   .network = &net};
    exa_canvas_device *device;
    assert_ok(exa_canvas_device_create(NULL, &o, &device));
    assert_ok(exa_batcher_create_on_device(device, &batcher));
    for (int k = 0; k < MEMBERS; k++) {
        members[k] = (member){.batcher = batcher, .canvas = start(&s[k], true)};
        assert_int_equal(pthread_create(&threads[k], NULL, flood_as_member, &members[k]), 0);
    }
    for (int k = 0; k < MEMBERS; k++) {
        pthread_join(threads[k], NULL);
        assert_int_equal(members[k].outcome, EXA_OK);
        assert_true(members[k].ticks > 0);
        expect_same(cpu[k], members[k].canvas, &s[k]);
        exa_canvas_destroy(&members[k].canvas);
        exa_canvas_destroy(&cpu[k]);
        free_scene(&s[k]);
    }
    printf("  %d canvases on 3 slots: %lld steps, %lld floods, %lld below the threshold, %lld seeds too weak, the "
           "same\n",
           MEMBERS, (long long)all.steps, (long long)all.floods, (long long)all.skip_threshold,
           (long long)all.seed_got_too_weak);
    assert_true(all.steps > 100);
    exa_batcher_destroy(&batcher);
    exa_canvas_device_destroy(&device);
    exa_ffn_net_destroy(&net.net);
    exa_ffn_model_destroy(&model);
}

typedef struct part {
    exa_batcher *batcher;
    exa_canvas *canvas;
    void *bytes;
    size_t size, attempts, wanted;
} part;

/* Stops when there are some floods, and keeps what is finished, as a run that is interrupted does. */
static exa_status keep_part(void *context) {
    part *p = context;

    exa_canvas_attempts(p->canvas, &p->attempts);
    if (p->attempts < p->wanted) return EXA_OK;
    EXA_TRY(exa_batcher_refresh(p->batcher, p->canvas));
    EXA_TRY(exa_canvas_store(p->canvas, 0, &p->bytes, &p->size));
    return EXA_FAIL(EXA_ERR_CANCELLED, "enough");
}

/* What the GPU has finished is stored between two launches; another start goes on there, on the GPU or the CPU. */
static void test_store_and_go_on(void **state) {
    stand_in net = {0};
    scene s;
    part p = {.wanted = 2};
    bool taken;
    (void)state;
    make_scene(&s, 31, 29, 35, 1);
    s.options.probability_map = true;
    net.doubt = s.doubt;
    exa_canvas_device *device = make_device(&s, &net, 1, 5);
    exa_canvas *whole = start(&s, false), *on_gpu = start(&s, true), *on_cpu = start(&s, false);
    flood_on_cpu(whole, &net, NULL, NULL, NULL);
    assert_ok(exa_batcher_create_on_device(device, &p.batcher));
    p.canvas = start(&s, true);
    assert_fails(EXA_ERR_CANCELLED, "enough", exa_batcher_flood(p.batcher, p.canvas, keep_part, &p, NULL));
    assert_true(p.attempts >= 2);
    assert_ok(exa_canvas_restore(on_gpu, p.bytes, p.size, &taken));
    assert_true(taken);
    assert_ok(exa_canvas_restore(on_cpu, p.bytes, p.size, &taken));
    assert_true(taken);
    assert_ok(exa_batcher_flood(p.batcher, on_gpu, NULL, NULL, NULL));
    flood_on_cpu(on_cpu, &net, NULL, NULL, NULL);
    expect_same(on_cpu, on_gpu, &s);
    expect_same(whole, on_gpu, &s);
    exa_batcher_destroy(&p.batcher);
    exa_canvas_device_destroy(&device);
    exa_canvas_destroy(&p.canvas);
    exa_canvas_destroy(&whole);
    exa_canvas_destroy(&on_gpu);
    exa_canvas_destroy(&on_cpu);
    free(p.bytes);
    free_scene(&s);
}

/* The golden sub-cube with the published network, whose logits the CPU makes: attempts, trace and voxels. */
static void test_golden_small(void **state) {
    const char *path, *sanitize = getenv("EXACONN_SANITIZE");
    stand_in net = {0};
    step_log log[64];
    scene s = {0};
    hid_t file;
    (void)state;
    if (sanitize && *sanitize) {
        fprintf(stderr, "SKIP: the golden sub-cube takes too long under %s\n", sanitize);
        skip();
    }
    if (!(path = test_data_path("ffn_fib25.h5"))) skip();
    exa_ffn_model *model = golden_model(path);
    path = test_data_path("ffn_golden_seg.h5");
    assert_true((file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) >= 0);
    golden_array raw = GOLDEN_U8(file, "small/raw"), seeds = GOLDEN_I32(file, "small/seeds_zyx");
    golden_array attempts = GOLDEN_I32(file, "small/attempts"), trace = GOLDEN_I32(file, "small/trace_zyx");
    golden_array segmentation = GOLDEN_U8(file, "small/segmentation");
    for (int a = 0; a < 3; a++) s.shape[a] = (exa_coord)raw.shape[a];
    assert_ok(exa_image_init(&s.image, raw.data, EXA_U8, s.shape, model->image_mean, model->image_stddev));
    s.options = (exa_canvas_options){.ffn = model->options, .on_device = true};
    s.options.ffn.min_segment_size = 100;
    memcpy(s.options.fov, model->fov, sizeof s.options.fov);
    memcpy(s.options.deltas, model->deltas, sizeof s.options.deltas);
    exa_pool *pool;
    assert_ok(exa_pool_create(2, false, &pool));
    assert_ok(exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, pool, &net.net));
    exa_canvas_device *device = make_device(&s, &net, 1, 1);
    exa_seed_list list;
    assert_ok(exa_canvas_device_seeds(device, &s.image, NULL, model->fov, &list));
    assert_int_equal(list.count, seeds.shape[0]);
    for (size_t i = 0; i < list.count; i++) {
        exa_coord p[3];
        exa_seed_get(&list, i, p);
        for (int a = 0; a < 3; a++) assert_int_equal(p[a], ((int32_t *)seeds.data)[3 * i + (size_t)a]);
    }
    exa_canvas *canvas;
    assert_ok(exa_canvas_create(&s.options, &s.image, &list, NULL, &canvas));
    net.owner = &device;
    net.log = log;
    flood_on_device(device, canvas);
    assert_int_equal(net.logged, trace.shape[0]);
    for (size_t i = 0; i < net.logged; i++)
        for (int a = 0; a < 3; a++)
            assert_int_equal(log[i].position[a], ((int32_t *)trace.data)[3 * i + (size_t)a]);
    size_t count, wrong = 0;
    const exa_attempt *made = exa_canvas_attempts(canvas, &count);
    assert_int_equal(count, attempts.shape[0]);
    for (size_t i = 0; i < count; i++) {
        const int32_t *e = (int32_t *)attempts.data + 8 * i;
        const int64_t mine[6] = {made[i].seed[0], made[i].seed[1],          made[i].seed[2],
                                 made[i].steps,   (int64_t)made[i].outcome, made[i].id};
        for (int k = 0; k < 6; k++) assert_int_equal(mine[k], e[k]);
    }
    for (size_t i = 0; i < segmentation.count; i++)
        wrong += exa_canvas_segmentation(canvas)[i] != ((uint8_t *)segmentation.data)[i];
    printf("  golden sub-cube: %zu steps, %zu of %zu voxels differ\n", net.logged, wrong, segmentation.count);
    assert_true((double)wrong <= 1e-4 * (double)segmentation.count);
    exa_canvas_destroy(&canvas);
    exa_canvas_device_destroy(&device);
    exa_ffn_net_destroy(&net.net);
    exa_pool_destroy(&pool);
    exa_ffn_model_destroy(&model);
    free(raw.data), free(seeds.data), free(attempts.data), free(trace.data), free(segmentation.data);
    H5Fclose(file);
}

/* ---- seeds --------------------------------------------------------------------------------------------------- */

static void compare_seeds(exa_canvas_device *device, const exa_image *image, const uint8_t *excluded,
                          const exa_coord fov[3], uint64_t order) {
    const size_t n = (size_t)(image->shape[0] * image->shape[1] * image->shape[2]);
    exa_seed_trace cpu = {malloc(n * 4), malloc(n * 4), malloc(n), malloc(n * 4)};
    exa_canvas_gpu_peaks_trace gpu = {malloc(n * 4), malloc(n * 4), malloc(n), malloc(n * 4)};
    const exa_canvas_gpu_image g = {.raw = image->raw,
                                    .dtype = image->dtype,
                                    .shape = {image->shape[0], image->shape[1], image->shape[2]},
                                    .mean = image->mean,
                                    .stddev = image->stddev,
                                    .table = image->table};
    const exa_coord margin[3] = {fov[0] / 2, fov[1] / 2, fov[2] / 2};
    exa_seed_list list;
    void *seeds;
    size_t count;
    bool edges = false;

    exa_emulation_seed(order);
    assert_ok(exa_seed_make(&(exa_seed_options){0}, image, excluded, fov, NULL, &cpu, &list, NULL));
    assert_ok(exa_canvas_gpu_peaks(exa_canvas_device_gpu(device), &g, excluded, 49.0 / 6.0, margin, &gpu, &seeds,
                                   &count));
    assert_memory_equal(cpu.gradient, gpu.gradient, n * 4);
    assert_memory_equal(cpu.smooth, gpu.smooth, n * 4);
    assert_memory_equal(cpu.edge, gpu.edge, n);
    for (size_t i = 0; i < n; i++) edges = edges || cpu.edge[i];
    if (edges) assert_memory_equal(cpu.distance2, gpu.distance2, n * 4);
    assert_int_equal(count, list.count);
    if (count) assert_memory_equal(seeds, list.index, count * 4);
    printf("  %lld x %lld x %lld: %zu seeds, the same\n", (long long)image->shape[0], (long long)image->shape[1],
           (long long)image->shape[2], count);
    exa_seed_list_free(&list);
    free(seeds);
    free(cpu.gradient), free(cpu.smooth), free(cpu.edge), free(cpu.distance2);
    free(gpu.gradient), free(gpu.smooth), free(gpu.edge), free(gpu.distance2);
}

static void test_seeds(void **state) {
    static const exa_coord shapes[][3] = {{1, 1, 1},   {7, 9, 13},   {1, 40, 3},
                                          {33, 2, 17}, {20, 37, 64}, {26, 45, 33}};
    const exa_coord fov[3] = {5, 3, 9};
    scene s;
    stand_in net = {0};
    (void)state;
    make_scene(&s, 40, 50, 70, 1);
    exa_canvas_device *device = make_device(&s, &net, 1, 1);
    for (size_t k = 0; k < sizeof shapes / sizeof *shapes; k++) {
        exa_coord z = shapes[k][0], y = shapes[k][1], x = shapes[k][2];
        scene one;
        make_scene(&one, z, y, x, k + 3);
        compare_seeds(device, &one.image, NULL, fov, k + 1);
        if (k >= 4) {
            one.excluded = calloc((size_t)(z * y * x), 1);
            for (exa_coord i = 0; i < z * y * x; i++) one.excluded[i] = i % 211 < 9;
            compare_seeds(device, &one.image, one.excluded, fov, k + 7);
            memset(one.raw, 77, (size_t)(z * y * x)); /* no edge at all */
            compare_seeds(device, &one.image, NULL, fov, k + 7);
        }
        free_scene(&one);
    }
    exa_canvas_device_destroy(&device);
    free_scene(&s);
}

/* ---- what can be known without a GPU ------------------------------------------------------------------------- */

static void test_quanta(void **state) {
    scene s;
    stand_in net = {0};
    uint64_t seed = 3;
    (void)state;
    make_scene(&s, 20, 20, 20, 1);
    exa_canvas_device *device = make_device(&s, &net, 1, 1);
    const float *quantum = exa_canvas_gpu_options_of(exa_canvas_device_gpu(device))->rules.quantum;
    for (int i = 0; i < 200000; i++) {
        float logit = (float)(test_uniform(&seed) * 30.0 - 15.0);
        int q = 1;
        while (q < 255 && logit >= quantum[q]) q++;
        assert_int_equal(q, exa_canvas_quantise(logit));
    }
    for (int q = 1; q < 255; q++) { /* exactly at the thresholds, and just below */
        assert_int_equal(exa_canvas_quantise(quantum[q]), q + 1);
        assert_int_equal(exa_canvas_quantise(nextafterf(quantum[q], -INFINITY)), q);
    }
    exa_canvas_device_destroy(&device);
    free_scene(&s);
}

static void test_plan(void **state) {
    const exa_coord fov[3] = {33, 33, 33}, deltas[3] = {8, 8, 8};
    exa_canvas_device_options o = {.voxels = {576, 576, 576}, .dtype = EXA_U8, .slots = 8, .seeds = true};
    const double voxels = 576.0 * 576 * 576;
    exa_ffn_model *model;
    uint64_t slot, shared, slot1, shared1;
    (void)state;
    assert_ok(exa_ffn_model_create(12, 32, fov, deltas, &model));
    memcpy(o.canvas.fov, fov, sizeof fov);
    memcpy(o.canvas.deltas, deltas, sizeof deltas);
    assert_ok(exa_canvas_device_plan(model, &o, &slot, &shared));
    assert_true((double)slot > 9.0 * voxels && (double)slot < 9.4 * voxels);
    assert_true((double)shared > 14.0 * voxels && (double)shared < 15.0 * voxels);
    o.seeds_bytes = (uint64_t)voxels * 4; /* policy max */
    assert_ok(exa_canvas_device_plan(model, &o, &slot1, &shared1));
    assert_true(slot1 - slot >= o.seeds_bytes && slot1 - slot < o.seeds_bytes + 256 && shared1 == shared);
    o.seeds_bytes = 0;
    o.slots = 1;
    o.canvas.probability_map = true;
    assert_ok(exa_canvas_device_plan(model, &o, &slot1, &shared1));
    assert_true((double)(slot1 - slot) >= voxels && (double)(slot1 - slot) < 1.01 * voxels);
    o.voxels[1] = (exa_coord)1 << 22;
    assert_fails(EXA_ERR_RANGE, "axis y", exa_canvas_device_plan(model, &o, &slot, &shared));
    exa_ffn_model_destroy(&model);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scenes),
        cmocka_unit_test(test_excluded_and_initial),
        cmocka_unit_test(test_limits),
        cmocka_unit_test(test_many_seeds),
        cmocka_unit_test(test_other_types),
        cmocka_unit_test(test_threads_share_a_gpu),
        cmocka_unit_test(test_store_and_go_on),
        cmocka_unit_test(test_golden_small),
        cmocka_unit_test(test_seeds),
        cmocka_unit_test(test_quanta),
        cmocka_unit_test(test_plan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
#endif
