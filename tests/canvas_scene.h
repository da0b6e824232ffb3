/* Small made-up canvases for tests that flood them in two ways, and the comparison of what came of it. */
#ifndef EXA_TEST_CANVAS_SCENE_H
#define EXA_TEST_CANVAS_SCENE_H

#include "test_util.h"

#include "exaconn/canvas.h"
#include "exaconn/seed.h"

typedef struct scene {
    exa_coord shape[3];
    uint8_t *raw, *excluded;
    int32_t *initial;
    exa_image image;
    exa_canvas_options options;
    const exa_coord (*points)[3];
    size_t point_count;
    float doubt;
} scene;

/* Slabs and columns of tissue, odd extents. */
static inline void make_scene(scene *s, exa_coord z, exa_coord y, exa_coord x, uint64_t seed) {
    *s = (scene){.shape = {z, y, x}, .doubt = 0.95f};
    const size_t n = (size_t)(z * y * x);
    s->raw = malloc(n);
    for (size_t i = 0; i < n; i++) {
        exa_coord zz = (exa_coord)i / (y * x), yy = (exa_coord)i / x % y, xx = (exa_coord)i % x;
        bool tissue = (yy + zz / 5) % 11 > 2 && (xx + (exa_coord)(seed % 3)) % 13 > 1;
        s->raw[i] = (uint8_t)((tissue ? 150 : 40) + test_uniform(&seed) * 50);
    }
    assert_ok(exa_image_init(&s->image, s->raw, EXA_U8, s->shape, 120.0f, 40.0f));
    s->options = (exa_canvas_options){.ffn = {.init_activation = 0.95f,
                                              .pad_value = 0.05f,
                                              .move_threshold = 0.9f,
                                              .segment_threshold = 0.6f,
                                              .min_segment_size = 60,
                                              .min_boundary_dist = {1, 1, 1}},
                                      .fov = {9, 7, 11},
                                      .deltas = {2, 2, 3}};
}

static inline void free_scene(scene *s) {
    free(s->raw);
    free(s->excluded);
    free(s->initial);
}

static inline exa_canvas *start(const scene *s, bool on_device) {
    exa_canvas_options o = s->options;
    exa_seed_options so = {.policy = s->points ? EXA_SEED_LIST : EXA_SEED_GRID3D,
                           .step = {7, 5, 6},
                           .offsets = (const exa_coord[]){0, 3},
                           .offset_count = 2,
                           .points = s->points ? &s->points[0][0] : NULL,
                           .point_count = s->point_count};
    exa_seed_list seeds;
    exa_canvas *canvas;

    o.on_device = on_device;
    assert_ok(exa_seed_make(&so, &s->image, NULL, o.fov, NULL, NULL, &seeds, NULL));
    assert_ok(exa_canvas_create(&o, &s->image, &seeds, s->excluded, &canvas));
    if (s->initial) assert_ok(exa_canvas_set_initial(canvas, 0, s->shape[0], s->initial, 6));
    return canvas;
}

/* Attempts, counters, labels, probabilities. */
static inline void expect_same(const exa_canvas *cpu, const exa_canvas *gpu, const scene *s) {
    const size_t n = (size_t)(s->shape[0] * s->shape[1] * s->shape[2]);
    size_t count, there;
    const exa_attempt *a = exa_canvas_attempts(cpu, &count), *b = exa_canvas_attempts(gpu, &there);

    assert_int_equal(count, there);
    for (size_t i = 0; i < count; i++) {
        unsigned char one[EXA_ATTEMPT_BYTES], other[EXA_ATTEMPT_BYTES];
        exa_attempt_store(&a[i], one);
        exa_attempt_store(&b[i], other);
        assert_memory_equal(one, other, sizeof one);
    }
    assert_memory_equal(exa_canvas_get_counters(cpu), exa_canvas_get_counters(gpu), sizeof(exa_canvas_counters));
    assert_memory_equal(exa_canvas_segmentation(cpu), exa_canvas_segmentation(gpu), n * sizeof(int32_t));
    assert_int_equal(exa_canvas_probability(cpu) == NULL, exa_canvas_probability(gpu) == NULL);
    if (exa_canvas_probability(cpu))
        assert_memory_equal(exa_canvas_probability(cpu), exa_canvas_probability(gpu), n);
    assert_int_equal(exa_canvas_seeds_done(cpu), exa_canvas_seeds_done(gpu));
    assert_int_equal(exa_canvas_limit_reached(cpu), exa_canvas_limit_reached(gpu));
}

#endif
