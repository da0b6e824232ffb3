/* The phantom: any box equals the same box of the whole, on every instruction set; neurites are connected; the
 * synapse table tells the truth about the labels; names are read or refused. */
#include "test_util.h"

#include "exaconn/cpu.h"
#include "exaconn/hash.h"
#include "exaconn/phantom.h"

#include <math.h>
#include "exaconn/volume.h"

#include <stdlib.h>

enum { FINGERPRINT_IMAGE = 0x15e94c3e, FINGERPRINT_LABELS = 0x7e7bdd42 };

static exa_phantom *phantom_of(const char *name, exa_isa isa) {
    exa_phantom_options o;
    exa_phantom_part part;
    exa_phantom *p = NULL;

    assert_ok(exa_phantom_parse(name, &o, &part));
    assert_ok(exa_phantom_create(&o, isa, &p));
    return p;
}

typedef struct voxels {
    exa_box box;
    size_t n;
    uint8_t *image;
    exa_segid *labels;
} voxels;

static voxels read_voxels(exa_phantom *p, const exa_box *box) {
    voxels v = {*box, (size_t)(box->shape[0] * box->shape[1] * box->shape[2]), NULL, NULL};

    assert_ok(exa_alloc(v.n, 1, "an image", &v.image));
    assert_ok(exa_alloc(v.n, sizeof *v.labels, "labels", &v.labels));
    assert_ok(exa_phantom_read(p, box, v.image, v.labels));
    return v;
}

static void free_voxels(voxels *v) {
    free(v->image);
    free(v->labels);
}

static size_t index_in(const voxels *v, exa_coord z, exa_coord y, exa_coord x) {
    const exa_coord *s = v->box.start, *n = v->box.shape;
    return (size_t)(((z - s[0]) * n[1] + y - s[1]) * n[2] + x - s[2]);
}

static uint64_t random_state = 12345;
static exa_coord random_below(exa_coord n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (exa_coord)((random_state >> 33) % (uint64_t)n);
}

/* ---- any box is the same box ----------------------------------------------------------------------------------
 */

/* The whole is computed once; each box by a phantom that made another one before it. */
static void check_boxes(const char *name, exa_coord z, exa_coord y, exa_coord x, int boxes) {
    enum { SIDE = 120 };
    const exa_box all = {{z, y, x}, {SIDE, SIDE, SIDE}};
    exa_phantom *p = phantom_of(name, EXA_ISA_AUTO), *q = phantom_of(name, EXA_ISA_AUTO);
    voxels whole = read_voxels(p, &all);

    for (int k = 0; k < boxes; k++) {
        exa_box box;
        for (int a = 0; a < 3; a++) {
            box.shape[a] = 1 + random_below(k % 4 ? 24 : SIDE);
            box.start[a] = all.start[a] + random_below(SIDE - box.shape[a] + 1);
        }
        voxels part = read_voxels(q, &box);
        for (exa_coord i = 0; i < box.shape[0]; i++) {
            for (exa_coord j = 0; j < box.shape[1]; j++) {
                size_t to = index_in(&part, box.start[0] + i, box.start[1] + j, box.start[2]);
                size_t from = index_in(&whole, box.start[0] + i, box.start[1] + j, box.start[2]);
                size_t n = (size_t)box.shape[2];
                assert_memory_equal(part.image + to, whole.image + from, n);
                assert_memory_equal(part.labels + to, whole.labels + from, n * sizeof *part.labels);
            }
        }
        free_voxels(&part);
    }
    free_voxels(&whole);
    exa_phantom_destroy(&p);
    exa_phantom_destroy(&q);
}

static void test_boxes_at_origin(void **state) {
    (void)state;
    check_boxes("phantom:seed=21,shape=120,missing=0.02", 0, 0, 0, 250);
}

static void test_boxes_far_in_ten_exabytes(void **state) {
    (void)state;
    check_boxes("phantom:seed=22,shape=2000000x2000000x2500000,glia=0.5,somata=0.5", 1999880, 1999880, 2499880,
                250);
}

static void test_boxes_beyond_2_to_40(void **state) {
    (void)state;
    check_boxes("phantom:seed=23,shape=300x300x2000000000000", 90, 101, ((exa_coord)1 << 40) + 12345, 250);
}

static void test_boxes_of_thick_sections(void **state) {
    (void)state;
    check_boxes("phantom:seed=24,shape=3000x5000x200,voxel=40x8x9,empty=0.3", 1000, 2000, 77, 250);
}

static void test_every_instruction_set(void **state) {
    static const char *const names[] = {"phantom:seed=31,shape=5000,somata=0.5,glia=0.5",
                                        "phantom:seed=32,shape=5000,voxel=30x6x6,synapses=1,mitochondria=0.5"};
    (void)state;
    for (int k = 0; k < 2; k++) {
        const exa_box box = {{1111, 2222, 3333}, {70, 100, 90}};
        exa_phantom *plain = phantom_of(names[k], EXA_ISA_PORTABLE);
        voxels want = read_voxels(plain, &box);
        for (int isa = EXA_ISA_AVX2; isa <= EXA_ISA_AVX512; isa++) {
            if (!exa_cpu_has((exa_isa)isa)) continue;
            exa_phantom *other = phantom_of(names[k], (exa_isa)isa);
            voxels got = read_voxels(other, &box);
            assert_memory_equal(got.image, want.image, want.n);
            assert_memory_equal(got.labels, want.labels, want.n * sizeof *want.labels);
            free_voxels(&got);
            exa_phantom_destroy(&other);
        }
        free_voxels(&want);
        exa_phantom_destroy(&plain);
    }
}

/* The same voxels on every machine, by every compiler, in every version: a change of these sums changes everybody's
 * phantoms and belongs into the changelog. */
static void test_fingerprint(void **state) {
    const exa_box box = {{100, 200, 300}, {96, 96, 96}};
    exa_phantom *p = phantom_of("phantom:seed=7,shape=512", EXA_ISA_AUTO);
    voxels v = read_voxels(p, &box);
    (void)state;
    assert_int_equal(exa_crc32c(0, v.image, v.n), FINGERPRINT_IMAGE);
    assert_int_equal(exa_crc32c(0, v.labels, v.n * sizeof *v.labels), FINGERPRINT_LABELS);
    free_voxels(&v);
    exa_phantom_destroy(&p);
}

/* A larger shape has the same image where both are; the ids differ. */
static void test_a_larger_shape_is_the_same_tissue(void **state) {
    const exa_box box = {{30, 40, 50}, {60, 50, 40}};
    exa_phantom *small = phantom_of("phantom:seed=8,shape=100,somata=0.4,glia=0.4", EXA_ISA_AUTO);
    exa_phantom *large = phantom_of("phantom:seed=8,shape=100x200000x3000,somata=0.4,glia=0.4", EXA_ISA_AUTO);
    voxels a = read_voxels(small, &box), b = read_voxels(large, &box);
    (void)state;
    assert_memory_equal(a.image, b.image, a.n);
    for (size_t i = 1; i < a.n; i++)
        assert_true((a.labels[i] == a.labels[i - 1]) == (b.labels[i] == b.labels[i - 1]));
    free_voxels(&a);
    free_voxels(&b);
    exa_phantom_destroy(&small);
    exa_phantom_destroy(&large);
}

/* ---- labels ---------------------------------------------------------------------------------------------------
 */

/* Marks the 26-connected component of voxel `first` as seen; true if it touches the volume's border. */
static bool flood(const voxels *v, size_t first, uint8_t *seen, size_t *stack) {
    const exa_coord *n = v->box.shape;
    size_t depth = 0;
    bool border = false;

    stack[depth++] = first;
    seen[first] = 1;
    while (depth) {
        size_t i = stack[--depth];
        exa_coord x = (exa_coord)i % n[2], y = (exa_coord)i / n[2] % n[1], z = (exa_coord)i / (n[1] * n[2]);
        border = border || !z || !y || !x || z == n[0] - 1 || y == n[1] - 1 || x == n[2] - 1;
        for (int k = 0; k < 27; k++) {
            exa_coord a = z + k / 9 - 1, b = y + k / 3 % 3 - 1, c = x + k % 3 - 1;
            if (a < 0 || b < 0 || c < 0 || a >= n[0] || b >= n[1] || c >= n[2]) continue;
            size_t j = (size_t)((a * n[1] + b) * n[2] + c);
            if (seen[j] || v->labels[j] != v->labels[first]) continue;
            seen[j] = 1;
            stack[depth++] = j;
        }
    }
    return border;
}

/* Voxels of 4 nm and of 12 nm have common centres (fine index 3 k + 1): whatever tiles and blocks they fall into,
 * the object there is the same. Tiles that overlook a neurite would show here, and nowhere in comparisons of boxes.
 */
static void test_labels_do_not_depend_on_tiles(void **state) {
    enum { SIDE = 24 };
    size_t differing = 0, compared = 0;
    exa_phantom *coarse =
        phantom_of("phantom:seed=3,shape=20000,voxel=12,somata=1,glia=0,vacant=0,empty=0", EXA_ISA_AUTO);
    exa_phantom *fine =
        phantom_of("phantom:seed=3,shape=60000,voxel=4,somata=1,glia=0,vacant=0,empty=0", EXA_ISA_AUTO);
    (void)state;
    for (int k = 0; k < 150; k++) {
        exa_box a, b;
        for (int x = 0; x < 3; x++) {
            a.start[x] = random_below(19000);
            a.shape[x] = SIDE;
            b.start[x] = 3 * a.start[x];
            b.shape[x] = 3 * SIDE;
        }
        voxels u = read_voxels(coarse, &a), v = read_voxels(fine, &b);
        for (size_t i = 0; i < u.n; i++) {
            size_t z = i / (SIDE * SIDE), y = i / SIDE % SIDE, x = i % SIDE;
            size_t j = ((3 * z + 1) * 3 * SIDE + 3 * y + 1) * 3 * SIDE + 3 * x + 1;
            /* Rounding may decide a tie on a membrane otherwise, not more than one voxel in a hundred thousand. */
            differing += u.labels[i] != v.labels[j];
            compared++;
        }
        free_voxels(&u);
        free_voxels(&v);
    }
    assert_true(differing * 100000 <= compared);
    exa_phantom_destroy(&coarse);
    exa_phantom_destroy(&fine);
}

/* A neurite may leave the box and come back, but a piece that lies wholly inside is all there is of it. */
static void test_neurites_are_connected(void **state) {
    const exa_box box = {{700, 300, 900}, {160, 160, 160}};
    exa_phantom *p = phantom_of("phantom:seed=41,shape=2000,glia=0,somata=0.4", EXA_ISA_AUTO);
    voxels v = read_voxels(p, &box);
    uint8_t *seen = calloc(v.n, 1);
    size_t *stack = malloc(v.n * sizeof *stack), inside = 0, reaching = 0;
    exa_segid *lone = malloc(v.n * sizeof *lone), *touching = malloc(v.n * sizeof *touching);

    (void)state;
    for (size_t i = 0; i < v.n; i++) {
        if (seen[i] || v.labels[i] == 0) continue;
        if (flood(&v, i, seen, stack)) {
            touching[reaching++] = v.labels[i];
        } else {
            lone[inside++] = v.labels[i];
        }
    }
    assert_true(reaching > 50);
    for (size_t i = 0; i < inside; i++) {
        for (size_t k = 0; k < reaching; k++) assert_true(lone[i] != touching[k]);
        for (size_t k = 0; k < i; k++) assert_true(lone[i] != lone[k]);
    }
    free(seen);
    free(stack);
    free(lone);
    free(touching);
    free_voxels(&v);
    exa_phantom_destroy(&p);
}

static void test_empty_and_missing(void **state) {
    const exa_box box = {{10, 10, 10}, {40, 50, 60}};
    exa_phantom *empty = phantom_of("phantom:shape=100,empty=1", EXA_ISA_AUTO);
    exa_phantom *missing = phantom_of("phantom:shape=100,missing=1,empty=0", EXA_ISA_AUTO);
    voxels a = read_voxels(empty, &box), b = read_voxels(missing, &box);
    size_t labelled = 0;

    (void)state;
    for (size_t i = 0; i < a.n; i++) {
        assert_int_equal(a.labels[i], 0);
        assert_true(a.image[i] > 60);
        assert_int_equal(b.image[i], 0);
        labelled += b.labels[i] != 0;
    }
    assert_true(labelled > a.n / 10 * 9);
    free_voxels(&a);
    free_voxels(&b);
    exa_phantom_destroy(&empty);
    exa_phantom_destroy(&missing);
}

/* ---- synapses -------------------------------------------------------------------------------------------------
 */

static exa_segid label_at(exa_phantom *p, const exa_coord at[3]) {
    const exa_box voxel = {{at[0], at[1], at[2]}, {1, 1, 1}};
    exa_segid label;
    assert_ok(exa_phantom_read(p, &voxel, NULL, &label));
    return label;
}

static void test_synapses_agree_with_labels(void **state) {
    const exa_box box = {{1000, 2000, 500}, {200, 200, 200}};
    exa_phantom *p = phantom_of("phantom:seed=51,shape=4000,somata=0.3,glia=0.3", EXA_ISA_AUTO);
    exa_phantom_synapse *list = NULL;
    size_t count;

    (void)state;
    assert_ok(exa_phantom_synapses(p, &box, &list, &count));
    assert_true(count > 20);
    for (size_t i = 0; i < count; i++) {
        const exa_box voxel = {{list[i].center[0], list[i].center[1], list[i].center[2]}, {1, 1, 1}};
        assert_true(exa_box_inside(&voxel, &box));
        assert_true(list[i].pre != list[i].post);
        assert_int_equal(label_at(p, list[i].pre_at), list[i].pre);
        assert_int_equal(label_at(p, list[i].post_at), list[i].post);
    }
    free(list);
    exa_phantom_destroy(&p);
}

/* The whole of a small volume, the far corner of 10 EB, beyond 2^40: partners are inside and right, on plain
 * vectors as on the best ones. */
static void test_synapses_anywhere(void **state) {
    static const struct {
        const char *name;
        exa_box box;
    } cases[] = {
        {"phantom:seed=53,shape=96,synapses=0.5", {{0, 0, 0}, {96, 96, 96}}},
        {"phantom:seed=54,shape=2000000x2000000x2500000,synapses=0.5",
         {{1999900, 1999900, 2499900}, {100, 100, 100}}},
        {"phantom:seed=55,shape=2000000000000x200x200,synapses=0.5", {{(exa_coord)1 << 40, 0, 0}, {100, 100, 100}}},
    };
    (void)state;
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        exa_phantom *p = phantom_of(cases[k].name, EXA_ISA_AUTO), *q = phantom_of(cases[k].name, EXA_ISA_PORTABLE);
        exa_phantom_synapse *list = NULL, *again = NULL;
        size_t count, count_again;
        assert_ok(exa_phantom_synapses(p, &cases[k].box, &list, &count));
        assert_ok(exa_phantom_synapses(q, &cases[k].box, &again, &count_again));
        assert_true(count > 10);
        assert_int_equal(count, count_again);
        assert_memory_equal(list, again, count * sizeof *list);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(label_at(p, list[i].pre_at), list[i].pre);
            assert_int_equal(label_at(p, list[i].post_at), list[i].post);
        }
        free(list);
        free(again);
        exa_phantom_destroy(&p);
        exa_phantom_destroy(&q);
    }
}

static void test_synapses_of_parts_are_those_of_the_whole(void **state) {
    const exa_box box = {{333, 444, 555}, {170, 190, 210}};
    exa_phantom *p = phantom_of("phantom:seed=52,shape=4000,synapses=0.5", EXA_ISA_AUTO);
    exa_phantom_synapse *whole = NULL, *part = NULL;
    size_t count, found = 0, n;

    (void)state;
    assert_ok(exa_phantom_synapses(p, &box, &whole, &count));
    assert_true(count > 50);
    for (int k = 0; k < 8; k++) {
        exa_box octant;
        for (int a = 0; a < 3; a++) {
            exa_coord low = box.shape[a] / 3;
            octant.start[a] = box.start[a] + (k >> a & 1 ? low : 0);
            octant.shape[a] = k >> a & 1 ? box.shape[a] - low : low;
        }
        assert_ok(exa_phantom_synapses(p, &octant, &part, &n));
        for (size_t i = 0; i < n; i++) {
            size_t same = 0;
            for (size_t j = 0; j < count; j++) same += memcmp(&part[i], &whole[j], sizeof *part) == 0;
            assert_int_equal(same, 1);
        }
        found += n;
        free(part);
        part = NULL;
    }
    assert_int_equal(found, count);
    free(whole);
    exa_phantom_destroy(&p);
}

/* ---- names ----------------------------------------------------------------------------------------------------
 */

static void test_names(void **state) {
    exa_phantom_options o;
    exa_phantom_part part;

    (void)state;
    assert_ok(exa_phantom_parse("phantom:seed=18446744073709551615,shape=1x2x3,voxel=30x6x6.5,noise=0:/labels", &o,
                                &part));
    assert_true(o.seed == UINT64_MAX && part == EXA_PHANTOM_LABELS && o.noise == 0.0);
    assert_true(o.shape[0] == 1 && o.shape[1] == 2 && o.shape[2] == 3);
    assert_true(o.voxel_nm[0] == 30.0 && o.voxel_nm[1] == 6.0 && o.voxel_nm[2] == 6.5);
    assert_ok(exa_phantom_parse("phantom:shape=64,noise=.5", &o, &part));
    assert_true(o.noise == 0.5);
    assert_ok(exa_phantom_parse("phantom:shape=64", &o, &part));
    assert_true(part == EXA_PHANTOM_RAW && o.shape[0] == 64 && o.shape[2] == 64);
}

static void test_wrong_names(void **state) {
    static const struct {
        const char *name, *says;
    } wrong[] = {{"phantom:", "name=value"},
                 {"phantom:seed=1", "no shape"},
                 {"phantom:shape=64,sede=2", "'seed'"},
                 {"phantom:shape=64,seed=-2", "seed=-2"},
                 {"phantom:shape=64,seed=1x", "seed=1x"},
                 {"phantom:shape=64x64", "one number, or three"},
                 {"phantom:shape=64x64x64x64", "one number, or three"},
                 {"phantom:shape=64,64,64", "name=value"},
                 {"phantom:shape=64,noise=nan", "noise=nan"},
                 {"phantom:shape=64,glia=2", "from 0 to 1"},
                 {"phantom:shape=64,seed= -2", "seed= -2"},
                 {"phantom:shape=64,voxel=0x10", "one number, or three"},
                 {"phantom:shape=64,shape=32", "given twice"},
                 {"phantom:shape=64:/seg", "no '/seg'"},
                 {"phantom:shape=64:labels", "...:/labels"},
                 {"phantom:shape=64,", "name=value"},
                 {"phantom:,shape=64", "name=value"},
                 {"phantom:shape=64,noise=.", "from 0 to 64"},
                 {"phantom:shape=99999999999999999999", "shape="}};
    exa_phantom_options o;
    exa_phantom_part part;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        assert_int_equal(exa_phantom_parse(wrong[i].name, &o, &part), EXA_ERR_CONFIG);
        if (!strstr(exa_error_last()->message, wrong[i].says))
            fail_msg("%s says: %s", wrong[i].name, exa_error_last()->message);
    }
}

static void test_impossible_sizes(void **state) {
    static const char *const names[] = {"phantom:shape=0x64x64",

                                        "phantom:shape=64,voxel=0.5", "phantom:shape=64,voxel=300",
                                        "phantom:shape=1000000000000x1000000000000x1000000000000",
                                        "phantom:shape=64x64x9000000000000000000"};
    exa_phantom_options o;
    exa_phantom_part part;
    exa_phantom *p = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_ok(exa_phantom_parse(names[i], &o, &part));
        assert_int_equal(exa_phantom_create(&o, EXA_ISA_AUTO, &p), EXA_ERR_RANGE);
        assert_null(p);
    }
}

/* Options that no name can give, from a C caller. */
static void test_impossible_options(void **state) {
    exa_phantom_options good, o;
    exa_phantom_part part;
    exa_phantom *p = NULL;

    (void)state;
    assert_ok(exa_phantom_parse("phantom:shape=64", &good, &part));
    for (int i = 0; i < 5; i++) {
        o = good;
        if (i == 0) o.noise = NAN;
        if (i == 1) o.vacant = 0.95;
        if (i == 2) o.pitch_nm = INFINITY;
        if (i == 3) o.missing = -0.1;
        if (i == 4) o.voxel_nm[1] = NAN;
        assert_int_equal(exa_phantom_create(&o, EXA_ISA_AUTO, &p), EXA_ERR_RANGE);
        assert_null(p);
    }
}

static void test_as_a_volume(void **state) {
    const exa_box box = {{1, 2, 3}, {10, 11, 12}}, outside = {{60, 0, 0}, {5, 1, 1}};
    exa_volume *raw = NULL, *labels = NULL;
    exa_volume_info info;
    float values[10 * 11 * 12];
    exa_segid ids[10 * 11 * 12];
    exa_volume_create_options o = {.dtype = EXA_U8, .shape = {4, 4, 4}};

    (void)state;
    assert_ok(exa_volume_open("phantom:shape=64,voxel=20", &raw));
    assert_ok(exa_volume_open("phantom:shape=64,voxel=20:/labels", &labels));
    assert_ok(exa_volume_get_info(raw, &info));
    assert_true(info.dtype == EXA_U8 && info.shape[1] == 64 && info.voxel_size_nm[2] == 20.0);
    assert_string_equal(info.format, "phantom");
    assert_ok(exa_volume_get_info(labels, &info));
    assert_int_equal(info.dtype, EXA_U64);
    assert_ok(exa_volume_read(raw, &box, EXA_F32, values));
    assert_ok(exa_volume_read(labels, &box, EXA_U64, ids));
    assert_int_equal(exa_volume_read(raw, &outside, EXA_F32, values), EXA_ERR_RANGE);
    exa_volume_close(&raw);
    exa_volume_close(&labels);
    assert_int_equal(exa_volume_create("phantom:shape=64", &o, &raw), EXA_ERR_CONFIG);
    assert_non_null(strstr(exa_error_last()->message, "only be read"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_boxes_at_origin),
        cmocka_unit_test(test_boxes_far_in_ten_exabytes),
        cmocka_unit_test(test_boxes_beyond_2_to_40),
        cmocka_unit_test(test_boxes_of_thick_sections),
        cmocka_unit_test(test_every_instruction_set),
        cmocka_unit_test(test_fingerprint),
        cmocka_unit_test(test_a_larger_shape_is_the_same_tissue),
        cmocka_unit_test(test_labels_do_not_depend_on_tiles),
        cmocka_unit_test(test_neurites_are_connected),
        cmocka_unit_test(test_empty_and_missing),
        cmocka_unit_test(test_synapses_agree_with_labels),
        cmocka_unit_test(test_synapses_anywhere),
        cmocka_unit_test(test_synapses_of_parts_are_those_of_the_whole),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_wrong_names),
        cmocka_unit_test(test_impossible_sizes),
        cmocka_unit_test(test_impossible_options),
        cmocka_unit_test(test_as_a_volume),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
