/* FaceMax movement on the golden cases (ties, shared corners, thresholds, other deltas) and cell arithmetic. */
#include "test_util.h"
#include "golden.h"

#include <math.h>

#include "exaconn/canvas.h"
#include "exaconn/movement.h"

static const exa_coord fov33[3] = {33, 33, 33};
enum { FOV33_VOXELS = 33 * 33 * 33 };

static void expect_moves(const float *logits, const exa_coord deltas[3], const float *rows) {
    exa_move moves[EXA_MOVEMENT_MAX];
    int n = exa_movement_face_max(logits, fov33, deltas, exa_canvas_logit(0.9f), moves), expected = 0;
    for (int i = 0; i < 6 && !isnan(rows[4 * i]); i++) expected++;
    assert_int_equal(n, expected);
    for (int i = 0; i < n; i++) {
        assert_true(moves[i].score == rows[4 * i]);
        for (int a = 0; a < 3; a++) assert_int_equal(moves[i].offset[a], (int)rows[4 * i + 1 + a]);
    }
}

static void test_golden_cases(void **state) {
    const char *path = test_data_path("ffn_golden_steps.h5");
    hid_t file;
    (void)state;
    if (!path) skip();
    assert_true((file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) >= 0);
    golden_array deltas = GOLDEN_I32(file, "movement/deltas_zyx"), logits = GOLDEN_F32(file, "movement/logits");
    golden_array moves = GOLDEN_F32(file, "movement/moves");
    golden_array stored = GOLDEN_F32(file, "stored"), step_moves = GOLDEN_F32(file, "moves");
    for (size_t k = 0; k < logits.shape[0]; k++) {
        const int32_t *d = (int32_t *)deltas.data + 3 * k;
        expect_moves((float *)logits.data + k * FOV33_VOXELS, (const exa_coord[3]){d[0], d[1], d[2]},
                     (float *)moves.data + 24 * k);
    }
    for (size_t k = 0; k < stored.shape[0]; k++) {
        expect_moves((float *)stored.data + k * FOV33_VOXELS, (const exa_coord[3]){8, 8, 8},
                     (float *)step_moves.data + 24 * k);
    }
    free(deltas.data), free(logits.data), free(moves.data), free(stored.data), free(step_moves.data);
    H5Fclose(file);
}

/* The disconnection rule turns the golden logits into the golden stored values, bit for bit. */
static void test_golden_disconnection(void **state) {
    const char *path = test_data_path("ffn_golden_steps.h5");
    hid_t file;
    size_t held = 0;
    (void)state;
    if (!path) skip();
    assert_true((file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT)) >= 0);
    golden_array seed = GOLDEN_F32(file, "seed"), unset = GOLDEN_U8(file, "seed_unset");
    golden_array logits = GOLDEN_F32(file, "logits"), stored = GOLDEN_F32(file, "stored");
    float *old = seed.data, *new_values = logits.data;
    for (size_t i = 0; i < seed.count; i++) {
        if (((uint8_t *)unset.data)[i]) old[i] = NAN;
    }
    for (size_t k = 0; k < seed.shape[0]; k++) {
        exa_canvas_disconnect(old + k * FOV33_VOXELS, new_values + k * FOV33_VOXELS, FOV33_VOXELS,
                              (float)exa_canvas_logit(0.9f), 0.0f);
    }
    assert_memory_equal(new_values, stored.data, stored.count * sizeof(float));
    for (size_t i = 0; i < seed.count; i++) held += new_values[i] == old[i];
    assert_true(held > 10000); /* the rule did something */
    free(seed.data), free(unset.data), free(logits.data), free(stored.data);
    H5Fclose(file);
}

static void test_thresholds(void **state) {
    (void)state;
    assert_true((float)exa_canvas_logit(0.95f) == 2.9444387f);
    assert_true((float)exa_canvas_logit(0.05f) == -2.9444389f);
    assert_true((float)exa_canvas_logit(0.9f) == 2.1972244f);
    assert_true((float)exa_canvas_logit(0.6f) == 0.40546522f);
    assert_true(exa_canvas_logit(0.9f) == 2.197224312426715);
    assert_int_equal(exa_canvas_quantise(100.0f), 255);
    assert_int_equal(exa_canvas_quantise(-100.0f), 1);
    assert_int_equal(exa_canvas_quantise(0.0f), 128);
}

static void test_rule_off_and_below(void **state) {
    const float stored[4] = {-1.0f, -1.0f, NAN, 1.0f};
    float high[4] = {3.0f, -2.0f, -0.5f, 0.5f}, low[4] = {0.0f, -2.0f, -0.5f, 0.5f}, off[4] = {3.0f, 0, 0, 0};
    (void)state;
    exa_canvas_disconnect(stored, high, 4, 2.0f, 0.0f);
    assert_true(high[0] == -1.0f && high[1] == -2.0f && high[2] == -0.5f && high[3] == 0.5f);
    exa_canvas_disconnect(stored, low, 4, 2.0f, 0.0f); /* nothing reaches the move threshold */
    assert_true(low[0] == 0.0f);
    exa_canvas_disconnect(stored, off, 4, 2.0f, -1.0f);
    assert_true(off[0] == 3.0f);
    off[0] = 3.0f;
    exa_canvas_disconnect(stored, off, 4, 2.0f, 0.25f); /* exactly the fraction is not more than it */
    assert_true(off[0] == 3.0f);
}

static void test_cells(void **state) {
    (void)state;
    assert_int_equal(exa_movement_cell(100, 100, 8), 0);
    assert_int_equal(exa_movement_cell(103, 100, 8), 0);
    assert_int_equal(exa_movement_cell(104, 100, 8), 1);
    assert_int_equal(exa_movement_cell(96, 100, 8), 0);
    assert_int_equal(exa_movement_cell(95, 100, 8), -1);
    assert_int_equal(exa_movement_cell(87, 100, 8), -2);
    assert_int_equal(exa_movement_cell(5, 7, 0), -2); /* no movement on this axis: every voxel its own cell */
}

/* An axis without movement has no faces. */
static void test_flat_deltas(void **state) {
    const exa_coord fov[3] = {1, 5, 5}, deltas[3] = {0, 2, 2};
    float logits[25] = {0};
    exa_move moves[EXA_MOVEMENT_MAX];
    (void)state;
    logits[0] = 5.0f; /* corner (-2, -2), on two faces */
    assert_int_equal(exa_movement_face_max(logits, fov, deltas, 1.0, moves), 1);
    assert_int_equal(moves[0].offset[0], 0);
    assert_int_equal(moves[0].offset[1], -2);
    assert_int_equal(moves[0].offset[2], -2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden_cases), cmocka_unit_test(test_golden_disconnection),
        cmocka_unit_test(test_thresholds),   cmocka_unit_test(test_rule_off_and_below),
        cmocka_unit_test(test_cells),        cmocka_unit_test(test_flat_deltas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
