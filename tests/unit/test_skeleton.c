/* Skeletons: their nodes lie in the segment, at about the spacing, on a tree; shapes whose skeleton is known. */
#include "test_util.h"

#include "exaconn/skeleton.h"

#include <math.h>

typedef struct scene {
    exa_coord shape[3];
    exa_segid *labels;
    exa_skeleton_node *nodes;
    size_t count;
} scene;

static const double cube[3] = {32, 32, 32};

static scene make_scene(exa_coord z, exa_coord y, exa_coord x) {
    scene s = {{z, y, x}, calloc((size_t)(z * y * x), sizeof(exa_segid)), NULL, 0};
    return s;
}

static exa_segid *at(scene *s, exa_coord z, exa_coord y, exa_coord x) {
    return &s->labels[(z * s->shape[1] + y) * s->shape[2] + x];
}

static void paint(scene *s, const exa_box *box, exa_segid id) {
    for (exa_coord z = 0; z < box->shape[0]; z++)
        for (exa_coord y = 0; y < box->shape[1]; y++)
            for (exa_coord x = 0; x < box->shape[2]; x++)
                *at(s, box->start[0] + z, box->start[1] + y, box->start[2] + x) = id;
}

/* Runs over the whole scene's box, and checks what holds for all skeletons. */
static void trace(scene *s, exa_segid id, const double nm[3], double spacing) {
    exa_box box = {{0, 0, 0}, {s->shape[0], s->shape[1], s->shape[2]}};
    free(s->nodes);
    assert_ok(exa_skeleton_nodes(s->labels, s->shape, &box, id, nm, spacing, &s->nodes, &s->count));
    for (size_t i = 0; i < s->count; i++) {
        const exa_skeleton_node *n = &s->nodes[i];
        double straight = 0;
        assert_true(*at(s, n->at[0], n->at[1], n->at[2]) == id);
        assert_true(n->parent < (int64_t)i && n->parent >= -1);
        if (n->parent < 0) {
            assert_true(n->length_nm == 0);
            continue;
        }
        for (int a = 0; a < 3; a++) straight += pow((double)(n->at[a] - s->nodes[n->parent].at[a]) * nm[a], 2);
        assert_true(n->length_nm >= sqrt(straight) - 1e-6);
        assert_true(n->length_nm >= spacing / 2 && n->length_nm < spacing + 2 * 33 * sqrt(3));
    }
}

static size_t roots(const scene *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->count; i++) n += s->nodes[i].parent < 0;
    return n;
}

static double length(const scene *s) {
    double sum = 0;
    for (size_t i = 0; i < s->count; i++) sum += s->nodes[i].length_nm;
    return sum;
}

static void end(scene *s) {
    free(s->labels);
    free(s->nodes);
}

/* 100 x 5 x 5 voxels of 32 nm: nodes every 320 nm along the middle. */
static void test_rod(void **state) {
    (void)state;
    scene s = make_scene(9, 9, 104);
    paint(&s, &(exa_box){{2, 2, 2}, {5, 5, 100}}, 7);
    trace(&s, 7, cube, 320);
    assert_int_equal(roots(&s), 1);
    assert_true(s.count >= 10 && s.count <= 11);
    assert_true(length(&s) > 99 * 32 - 320 && length(&s) < 99 * 32 + 200);
    for (size_t i = 2; i + 1 < s.count; i++) {
        assert_int_equal(s.nodes[i].at[0], 4);
        assert_int_equal(s.nodes[i].at[1], 4);
        assert_true(fabs(s.nodes[i].radius_nm - 96) < 1e-6);
    }
    end(&s);
}

/* Voxels of 100 nm along z: the same rod along z is longer. */
static void test_anisotropic_voxels(void **state) {
    (void)state;
    const double nm[3] = {100, 10, 10};
    scene s = make_scene(42, 9, 9);
    paint(&s, &(exa_box){{1, 2, 2}, {40, 5, 5}}, 1);
    trace(&s, 1, nm, 500);
    assert_true(s.count >= 8 && s.count <= 9);
    assert_true(length(&s) > 3400);
    end(&s);
}

/* Three arms of a T, each 40 voxels: one tree, no arm without a node near its end. */
static void test_branches(void **state) {
    (void)state;
    const exa_coord tips[3][3] = {{2, 2, 2}, {2, 2, 82}, {2, 42, 42}};
    scene s = make_scene(5, 45, 85);
    paint(&s, &(exa_box){{1, 1, 1}, {3, 3, 83}}, 5);
    paint(&s, &(exa_box){{1, 1, 41}, {3, 43, 3}}, 5);
    trace(&s, 5, cube, 160);
    assert_int_equal(roots(&s), 1);
    for (int t = 0; t < 3; t++) {
        double nearest = 1e9;
        for (size_t i = 0; i < s.count; i++) {
            double sum = 0;
            for (int a = 0; a < 3; a++) sum += pow((double)(s.nodes[i].at[a] - tips[t][a]) * 32, 2);
            nearest = fmin(nearest, sqrt(sum));
        }
        assert_true(nearest <= 200);
    }
    assert_true(length(&s) > 120 * 32 - 3 * 160 && length(&s) < 130 * 32 + 160);
    end(&s);
}

static void test_parts_and_single_voxels(void **state) {
    (void)state;
    scene s = make_scene(20, 20, 20);
    *at(&s, 3, 3, 3) = 9000000000; /* over 2^32 */
    trace(&s, 9000000000, cube, 1500);
    assert_int_equal(s.count, 1);
    assert_int_equal(s.nodes[0].at[2], 3);
    *at(&s, 15, 15, 15) = *at(&s, 15, 16, 16) = 9000000000; /* a second part of two voxels */
    trace(&s, 9000000000, cube, 1500);
    assert_int_equal(s.count, 2);
    assert_int_equal(roots(&s), 2);
    end(&s);
}

/* A ring is cut open somewhere, but none of it is missed. */
static void test_ring(void **state) {
    (void)state;
    scene s = make_scene(3, 50, 50);
    for (exa_coord y = 0; y < 50; y++)
        for (exa_coord x = 0; x < 50; x++) {
            double r = hypot((double)y - 24.5, (double)x - 24.5);
            if (r > 18 && r < 23) *at(&s, 1, y, x) = 2;
        }
    trace(&s, 2, cube, 200);
    assert_int_equal(roots(&s), 1);
    assert_true(length(&s) > 0.8 * 2 * 3.14 * 20.5 * 32);
    end(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rod),      cmocka_unit_test(test_anisotropic_voxels),
        cmocka_unit_test(test_branches), cmocka_unit_test(test_parts_and_single_voxels),
        cmocka_unit_test(test_ring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
