/* A canvas that is stored and restored at any step ends as one that never was; bytes that were changed are refused
 * or taken for what they say, but never written beyond it. The network is a rule: bright voxels are object. */
#include "test_util.h"

#include "exaconn/canvas.h"
#include "exaconn/seed.h"

enum { N = 40, FOV = 9, DELTA = 3, SEEDS = 60 };

typedef struct scene {
    uint8_t raw[N * N * N], excluded[N * N * N];
    exa_image image;
    exa_coord points[SEEDS][3];
    exa_canvas_options options;
} scene;

static void make_scene(scene *s) {
    const exa_coord shape[3] = {N, N, N};
    uint64_t seed = 5;
    for (int i = 0; i < N * N * N; i++) {
        int z = i / (N * N), y = i / N % N, x = i % N;
        s->raw[i] = z % 13 < 10 && (y + z / 13) % 14 < 11 && x % 16 < 14 ? 200 : 0; /* boxes with walls */
        s->excluded[i] = z > 30 && x > 30;
    }
    for (int k = 0; k < SEEDS; k++)
        for (int a = 0; a < 3; a++) s->points[k][a] = FOV / 2 + (exa_coord)(test_random(&seed) % (N - FOV));
    assert_ok(exa_image_init(&s->image, s->raw, EXA_U8, shape, 100.0f, 50.0f));
    s->options = (exa_canvas_options){.ffn = {.init_activation = 0.95f,
                                              .pad_value = 0.05f,
                                              .move_threshold = 0.9f,
                                              .segment_threshold = 0.6f,
                                              .min_segment_size = 300,
                                              .min_boundary_dist = {1, 1, 1}},
                                      .fov = {FOV, FOV, FOV},
                                      .deltas = {DELTA, DELTA, DELTA},
                                      .probability_map = true};
}

static exa_canvas *make_canvas(scene *s) {
    exa_seed_options o = {.policy = EXA_SEED_LIST, .points = &s->points[0][0], .point_count = SEEDS};
    exa_seed_list seeds;
    exa_canvas *c;
    assert_ok(exa_seed_make(&o, &s->image, NULL, s->options.fov, NULL, NULL, &seeds, NULL));
    assert_ok(exa_canvas_create(&s->options, &s->image, &seeds, s->excluded, &c));
    return c;
}

static bool step(exa_canvas *c) {
    exa_canvas_step s;
    bool more;
    assert_ok(exa_canvas_next(c, &s, &more));
    if (!more) return false;
    for (int i = 0; i < FOV * FOV * FOV; i++) s.logits[i] = s.image[i] > 0 ? 4.0f + (float)(i % 7) / 8 : -4.0f;
    assert_ok(exa_canvas_absorb(c));
    return true;
}

static void assert_same(exa_canvas *a, exa_canvas *b) {
    size_t n, m;
    const exa_attempt *x = exa_canvas_attempts(a, &n), *y = exa_canvas_attempts(b, &m);
    assert_int_equal(n, m);
    for (size_t i = 0; i < n; i++) {
        assert_memory_equal(x[i].seed, y[i].seed, sizeof x[i].seed);
        assert_memory_equal(&x[i].visited, &y[i].visited, sizeof x[i].visited);
        assert_true(x[i].steps == y[i].steps && x[i].outcome == y[i].outcome && x[i].id == y[i].id);
        assert_true(x[i].voxels_raw == y[i].voxels_raw && x[i].voxels_new == y[i].voxels_new);
    }
    exa_canvas_finish(a);
    exa_canvas_finish(b);
    assert_memory_equal(exa_canvas_get_counters(a), exa_canvas_get_counters(b), sizeof(exa_canvas_counters));
    assert_memory_equal(exa_canvas_segmentation(a), exa_canvas_segmentation(b), N * N * N * sizeof(int32_t));
    assert_memory_equal(exa_canvas_probability(a), exa_canvas_probability(b), N * N * N);
}

/* Interrupted every `period` steps, the canvas is made anew from all that was stored. */
static void goes_on_bit_by_bit(void **state) {
    static scene s;
    (void)state;
    make_scene(&s);
    for (int period = 1; period < 400; period = period * 3 + 1) {
        exa_canvas *whole = make_canvas(&s), *c = make_canvas(&s);
        struct {
            void *bytes;
            size_t size;
        } parts[SEEDS + 1];
        size_t stored = 0, kept = 0, attempts;
        int done = 0, restarts = 0;
        bool taken;
        while (step(whole)) continue;
        while (step(c)) {
            exa_canvas_attempts(c, &attempts);
            if (++done % period || attempts == kept) continue;
            assert_ok(exa_canvas_store(c, kept, &parts[stored].bytes, &parts[stored].size));
            stored++;
            kept = attempts;
            exa_canvas_destroy(&c);
            c = make_canvas(&s);
            for (size_t i = 0; i < stored; i++) {
                assert_ok(exa_canvas_restore(c, parts[i].bytes, parts[i].size, &taken));
                assert_true(taken);
                assert_ok(exa_canvas_restore(c, parts[i].bytes, parts[i].size, &taken));
                assert_false(taken); /* not twice */
            }
            restarts++;
        }
        exa_canvas_attempts(whole, &attempts);
        assert_true(attempts > 8 && exa_canvas_get_counters(whole)->objects > 4);
        if (period < 10) assert_true(restarts > 4);
        assert_same(whole, c);
        while (stored) free(parts[--stored].bytes);
        exa_canvas_destroy(&whole);
        exa_canvas_destroy(&c);
    }
}

static void changed_bytes_do_no_harm(void **state) {
    static scene s;
    exa_canvas *c;
    void *bytes;
    unsigned char *changed;
    size_t size;
    uint64_t seed = 8;
    int refused = 0;
    bool taken;
    (void)state;
    make_scene(&s);
    c = make_canvas(&s);
    while (step(c)) continue;
    assert_ok(exa_canvas_store(c, 0, &bytes, &size));
    exa_canvas_destroy(&c);
    changed = malloc(size);
    for (int t = 0; t < 400; t++) {
        size_t now = t % 5 ? size : test_random(&seed) % size;
        memcpy(changed, bytes, size);
        if (t % 5)
            changed[test_random(&seed) % (t % 2 ? 1500 : size)] ^= (unsigned char)(1u << test_random(&seed) % 8);
        c = make_canvas(&s);
        refused += exa_canvas_restore(c, changed, now, &taken) != EXA_OK;
        exa_canvas_destroy(&c);
    }
    assert_true(refused > 150);
    free(changed);
    free(bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_on_bit_by_bit),
        cmocka_unit_test(changed_bytes_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
