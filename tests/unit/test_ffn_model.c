/* FFN models and their weights file: limits, a round trip, every refusal, and damage.
 *
 * Bad files are made by opening a good one with libhdf5, spoiling one thing, and sealing it again with a valid
 * checksum, so that each refusal is reached.
 */
#include "test_util.h"
#include "weights_seal.h"

#include "exaconn/ffn_import.h"
#include "exaconn/ffn_model.h"
#include "exaconn/file.h"
#include "exaconn/hash.h"
#include "exaconn/weights_file.h"

#include <hdf5.h>
#include <math.h>

static char folder[EXA_PATH_BYTES], good[EXA_PATH_BYTES + 8], bad[EXA_PATH_BYTES + 8];

static exa_ffn_model *make_model(int depth, int features) {
    static const exa_coord fov[3] = {17, 33, 35}, deltas[3] = {4, 8, 16};
    uint64_t seed = (uint64_t)(depth * 1000 + features);
    exa_ffn_model *m;

    assert_ok(exa_ffn_model_create(depth, features, fov, deltas, &m));
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *l = &m->layers[i];
        for (int w = 0; w < l->kernel * l->kernel * l->kernel * l->cin * l->cout; w++)
            l->weights[w] = (float)test_uniform(&seed) - .5f;
        for (int c = 0; c < l->cout; c++) l->biases[c] = (float)test_uniform(&seed) - .5f;
    }
    m->image_mean = 127.3f;
    m->image_stddev = 41.7f;
    m->options = (exa_ffn_options){.9f, .1f, .85f, .55f, -1.0f, 12345678901, {3, 2, 1}};
    snprintf(m->source, sizeof m->source, "a test");
    snprintf(m->license, sizeof m->license, "none");
    snprintf(m->source_sha256, sizeof m->source_sha256, "%064d", 7);
    return m;
}

static void assert_same_model(const exa_ffn_model *a, const exa_ffn_model *b) {
    assert_int_equal(a->depth, b->depth);
    assert_int_equal(a->features, b->features);
    assert_memory_equal(a->fov, b->fov, sizeof a->fov);
    assert_memory_equal(a->deltas, b->deltas, sizeof a->deltas);
    assert_true(a->image_mean == b->image_mean && a->image_stddev == b->image_stddev);
    assert_memory_equal(&a->options, &b->options, sizeof a->options);
    assert_string_equal(a->source, b->source);
    assert_string_equal(a->license, b->license);
    assert_string_equal(a->source_sha256, b->source_sha256);
    assert_int_equal(a->layer_count, b->layer_count);
    for (int i = 0; i < a->layer_count; i++) {
        const exa_ffn_layer *x = &a->layers[i], *y = &b->layers[i];
        size_t k = (size_t)x->kernel;
        assert_string_equal(x->name, y->name);
        assert_memory_equal(x->weights, y->weights, k * k * k * (size_t)x->cin * (size_t)x->cout * sizeof(float));
        assert_memory_equal(x->biases, y->biases, (size_t)x->cout * sizeof(float));
    }
}

static void knows_its_limits(void **state) {
    static const struct {
        int depth, features;
        exa_coord fov[3], deltas[3];
        const char *text;
    } cases[] = {{0, 8, {33, 33, 33}, {8, 8, 8}, "depth is 0"},
                 {65, 8, {33, 33, 33}, {8, 8, 8}, "depth is 65"},
                 {1, 0, {33, 33, 33}, {8, 8, 8}, "features is 0"},
                 {1, 12, {33, 33, 33}, {8, 8, 8}, "features is 12"},
                 {1, 520, {33, 33, 33}, {8, 8, 8}, "features is 520"},
                 {1, 8, {32, 33, 33}, {8, 8, 8}, "fov on axis z is 32"},
                 {1, 8, {33, 259, 33}, {8, 8, 8}, "fov on axis y is 259"},
                 {1, 8, {33, 33, -1}, {8, 8, 8}, "fov on axis x is -1"},
                 {1, 8, {33, 33, 33}, {8, 0, 8}, "deltas on axis y is 0"},
                 {1, 8, {33, 33, 33}, {8, 8, 17}, "deltas on axis x is 17"}};
    exa_ffn_model *m = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_fails(EXA_ERR_RANGE, cases[i].text,
                     exa_ffn_model_create(cases[i].depth, cases[i].features, cases[i].fov, cases[i].deltas, &m));
    assert_null(m);
    exa_ffn_model_destroy(&m);
}

static void counts_work_and_parameters(void **state) {
    static const exa_coord fov[3] = {33, 33, 33}, deltas[3] = {8, 8, 8};
    exa_ffn_model *m;
    (void)state;
    assert_ok(exa_ffn_model_create(12, 32, fov, deltas, &m));
    assert_int_equal(m->layer_count, 25);
    assert_int_equal(exa_ffn_model_parameters(m), 638433);
    assert_true(fabs(exa_ffn_model_flops(m) - 2.0 * 35937 * (27 * (2 * 32 + 23 * 32 * 32) + 32)) < 1);
    assert_string_equal(m->layers[0].name, "conv0_a");
    assert_string_equal(m->layers[23].name, "conv11_b");
    assert_string_equal(m->layers[24].name, "conv_lom");
    assert_int_equal(m->layers[0].cin, 2);
    assert_int_equal(m->layers[24].kernel, 1);
    assert_int_equal(m->layers[24].cout, 1);
    assert_true(m->layers[3].weights[100] == 0.0f && m->options.init_activation == .95f);
    assert_int_equal(m->options.min_segment_size, 1000);
    exa_ffn_model_destroy(&m);
    assert_null(m);
}

static void comes_back_as_written(void **state) {
    exa_ffn_model *m = make_model(3, 16), *back = NULL;
    char *first, *second;
    size_t n1, n2;
    (void)state;
    assert_ok(exa_ffn_model_write(m, bad));
    assert_ok(exa_ffn_model_read(bad, &back));
    assert_same_model(m, back);
    assert_int_equal(strlen(back->weights_sha256), 64);
    assert_ok(exa_file_read_all(bad, 1 << 24, &first, &n1));
    assert_ok(exa_ffn_model_write(back, bad)); /* replaces, and gives the same bytes */
    assert_ok(exa_file_read_all(bad, 1 << 24, &second, &n2));
    assert_int_equal(n1, n2);
    assert_memory_equal(first, second, n1);
    free(first);
    free(second);
    exa_ffn_model_destroy(&back);
    exa_ffn_model_destroy(&m);
}

/* libhdf5 must not take two images for one file. */
static void two_files_stay_apart(void **state) {
    exa_ffn_model *m = make_model(1, 8);
    exa_weights_file *a, *b, *w;
    float x[8], y[8];
    (void)state;
    m->layers[0].biases[0] = 42.0f;
    assert_ok(exa_ffn_model_write(m, bad));
    assert_ok(exa_weights_file_create(bad, "other", 1, &w));
    assert_ok(exa_weights_file_open(good, NULL, &a));
    assert_ok(exa_weights_file_open(bad, NULL, &b));
    assert_ok(exa_weights_file_read(a, "seed_update/conv0_a/biases", x, 8));
    assert_ok(exa_weights_file_read(b, "seed_update/conv0_a/biases", y, 8));
    assert_true(x[0] != 42.0f && y[0] == 42.0f);
    exa_weights_file_close(&a);
    assert_ok(exa_weights_file_read(b, "seed_update/conv0_a/biases", y, 8));
    exa_weights_file_close(&b);
    exa_weights_file_close(&w); /* not committed: the old file stays */
    exa_ffn_model *back;
    assert_ok(exa_ffn_model_read(bad, &back));
    exa_ffn_model_destroy(&back);
    exa_ffn_model_destroy(&m);
}

static void refuses_to_write_nonsense(void **state) {
    exa_ffn_model *m = make_model(1, 8);
    char path[2 * EXA_PATH_BYTES];
    (void)state;
    snprintf(path, sizeof path, "%s/absent/x.h5", folder);
    assert_fails(EXA_ERR_IO, "cannot create", exa_ffn_model_write(m, path));
    snprintf(path, sizeof path, "%s/new.h5", folder);
    m->layers[1].weights[5] = NAN;
    assert_fails(EXA_ERR_RANGE, "conv0_b/weights' has NaN or infinity at element 5", exa_ffn_model_write(m, path));
    m->layers[1].weights[5] = 0;
    m->image_stddev = 0;
    assert_fails(EXA_ERR_RANGE, "image_stddev", exa_ffn_model_write(m, path));
    m->image_stddev = 1;
    m->options.move_threshold = 1;
    assert_fails(EXA_ERR_RANGE, "move_threshold is 1", exa_ffn_model_write(m, path));
    assert_false(exa_file_exists(path));
    exa_ffn_model_destroy(&m);
}

/* ---- one thing spoiled -------------------------------------------------------------------------- */

static void seal(const char *path) {
    char *bytes;
    size_t size;
    assert_ok(exa_file_read_all(path, 1 << 24, &bytes, &size));
    weights_seal((unsigned char *)bytes, size);
    assert_ok(exa_file_write_atomic(path, bytes, size));
    free(bytes);
}

static void attribute(hid_t f, const char *name, hid_t type, hid_t memory, const void *values, int rank,
                      hsize_t n) {
    hsize_t dims[2] = {n, 1};
    if (H5Aexists(f, name) > 0) H5Adelete(f, name);
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t a = H5Acreate2(f, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(a >= 0 && H5Awrite(a, memory, values) >= 0);
    H5Aclose(a);
    H5Sclose(space);
}

static void integer(hid_t f, const char *name, int64_t value) {
    attribute(f, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value, 0, 1);
}

static void real(hid_t f, const char *name, double value) {
    attribute(f, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value, 0, 1);
}

static void text(hid_t f, const char *name, const char *value) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, strlen(value) + 1);
    attribute(f, name, type, type, value, 0, 1);
    H5Tclose(type);
}

static void triple(hid_t f, const char *name, int64_t z, int64_t y, int64_t x) {
    int64_t values[3] = {z, y, x};
    attribute(f, name, H5T_STD_I64LE, H5T_NATIVE_INT64, values, 1, 3);
}

static void dataset(hid_t f, const char *name, hid_t type, int rank, const hsize_t *dims, hid_t dcpl, bool write) {
    float *zeros = calloc(4096, sizeof *zeros);
    hid_t space = rank < 0 ? H5Screate(H5S_NULL) : H5Screate_simple(rank, dims, NULL);
    hid_t d = H5Dcreate2(f, name, type, space, H5P_DEFAULT, dcpl, H5P_DEFAULT);
    assert_true(d >= 0);
    if (write) assert_true(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, zeros) >= 0);
    H5Dclose(d);
    H5Sclose(space);
    free(zeros);
}

static const char biases[] = "seed_update/conv1_b/biases";
static const hsize_t eight[1] = {8};

static void set_element(hid_t f, float value) {
    float values[8] = {0, 0, 0, value, 0, 0, 0, 0};
    hid_t d = H5Dopen2(f, biases, H5P_DEFAULT);
    assert_true(H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(d);
}

static void replace(hid_t f, hid_t type, int rank, const hsize_t *dims, hid_t dcpl, bool write) {
    assert_true(H5Ldelete(f, biases, H5P_DEFAULT) >= 0);
    dataset(f, biases, type, rank, dims, dcpl, write);
}

/* clang-format off */
static void s_missing(hid_t f) { H5Ldelete(f, biases, H5P_DEFAULT); }
static void s_extra(hid_t f) { dataset(f, "seed_update/conv2_a", H5T_IEEE_F32LE, 1, eight, H5P_DEFAULT, true); }
static void s_scope(hid_t f) { H5Lmove(f, "seed_update", f, "other", H5P_DEFAULT, H5P_DEFAULT); }
static void s_shape(hid_t f) {
    static const hsize_t dims[2] = {4, 2};
    replace(f, H5T_IEEE_F32LE, 2, dims, H5P_DEFAULT, true);
}
static void s_double(hid_t f) { replace(f, H5T_IEEE_F64LE, 1, eight, H5P_DEFAULT, true); }
static void s_big_endian(hid_t f) { replace(f, H5T_IEEE_F32BE, 1, eight, H5P_DEFAULT, true); }
static void s_unwritten(hid_t f) { replace(f, H5T_IEEE_F32LE, 1, eight, H5P_DEFAULT, false); }
static void s_null_space(hid_t f) { replace(f, H5T_IEEE_F32LE, -1, NULL, H5P_DEFAULT, false); }
static void s_huge(hid_t f) {
    static const hsize_t dims[3] = {1u << 30, 1u << 20, 8};
    replace(f, H5T_IEEE_F32LE, 3, dims, H5P_DEFAULT, false);
}
static void s_rank(hid_t f) {
    static const hsize_t dims[9] = {1, 1, 1, 1, 1, 1, 1, 1, 8};
    replace(f, H5T_IEEE_F32LE, 9, dims, H5P_DEFAULT, true);
}
static void s_zero(hid_t f) {
    static const hsize_t dims[1] = {0};
    replace(f, H5T_IEEE_F32LE, 1, dims, H5P_DEFAULT, false);
}
static void s_chunked(hid_t f) {
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(dcpl, 1, eight);
    replace(f, H5T_IEEE_F32LE, 1, eight, dcpl, true);
    H5Pclose(dcpl);
}
static void s_external(hid_t f) {
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(dcpl, "/etc/passwd", 0, 32);
    replace(f, H5T_IEEE_F32LE, 1, eight, dcpl, false);
    H5Pclose(dcpl);
}
static void s_soft(hid_t f) {
    H5Ldelete(f, biases, H5P_DEFAULT);
    H5Lcreate_soft("/seed_update/conv1_a/biases", f, biases, H5P_DEFAULT, H5P_DEFAULT);
}
static void s_elsewhere(hid_t f) { H5Lcreate_external("/etc/passwd", "/", f, "link", H5P_DEFAULT, H5P_DEFAULT); }
static void s_hard(hid_t f) { H5Lcreate_hard(f, biases, f, "seed_update/again", H5P_DEFAULT, H5P_DEFAULT); }
static void s_loop(hid_t f) { H5Lcreate_hard(f, "/", f, "loop", H5P_DEFAULT, H5P_DEFAULT); }
static void s_loops(hid_t f) {
    for (char c = 'a'; c < 'f'; c++) {
        char name[] = {'a', c, 0};
        H5Lcreate_hard(f, "/", f, name, H5P_DEFAULT, H5P_DEFAULT);
    }
}
static void s_type(hid_t f) {
    hid_t t = H5Tcopy(H5T_IEEE_F32LE);
    H5Tcommit2(f, "type", t, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Tclose(t);
}
static void s_name(hid_t f) { dataset(f, "a\nb", H5T_IEEE_F32LE, 1, eight, H5P_DEFAULT, true); }
static void s_nan(hid_t f) { set_element(f, NAN); }
static void s_inf(hid_t f) { set_element(f, -INFINITY); }
static void s_digest(hid_t f) { set_element(f, 0.25f); }
static void s_kind(hid_t f) { text(f, "kind", "segclr"); }
static void s_kind_number(hid_t f) { integer(f, "kind", 1); }
static void s_version(hid_t f) { integer(f, "kind_version", 2); }
static void s_version0(hid_t f) { integer(f, "kind_version", 0); }
static void s_no_depth(hid_t f) { H5Adelete(f, "depth"); }
static void s_depth(hid_t f) { integer(f, "depth", 3); }
static void s_depth1(hid_t f) { integer(f, "depth", 1); }
static void s_depth_huge(hid_t f) { integer(f, "depth", INT64_MAX); }
static void s_depth_real(hid_t f) { real(f, "depth", 2.0); }
static void s_depth_list(hid_t f) { triple(f, "depth", 2, 2, 2); }
static void s_depth_text(hid_t f) { text(f, "depth", "2"); }
static void s_depth_u64(hid_t f) {
    uint64_t n = UINT64_MAX;
    attribute(f, "depth", H5T_STD_U64LE, H5T_NATIVE_UINT64, &n, 0, 1);
}
static void s_features(hid_t f) { integer(f, "features", 16); }
static void s_features12(hid_t f) { integer(f, "features", 12); }
static void s_features_huge(hid_t f) { integer(f, "features", 512); }
static void s_fov_even(hid_t f) { triple(f, "fov_zyx", 17, 32, 35); }
static void s_fov_short(hid_t f) { integer(f, "fov_zyx", 33); }
static void s_fov_2d(hid_t f) {
    int64_t values[3] = {33, 33, 33};
    attribute(f, "fov_zyx", H5T_STD_I64LE, H5T_NATIVE_INT64, values, 2, 3);
}
static void s_deltas(hid_t f) { triple(f, "deltas_zyx", 9, 8, 8); }
static void s_stddev(hid_t f) { real(f, "image_stddev", 0.0); }
static void s_stddev_nan(hid_t f) { real(f, "image_stddev", NAN); }
static void s_mean_big(hid_t f) { real(f, "image_mean", 1e300); }
static void s_init(hid_t f) { real(f, "init_activation", 1.0); }
static void s_pad(hid_t f) { real(f, "pad_value", 0.0); }
static void s_move(hid_t f) { real(f, "move_threshold", -0.5); }
static void s_segment(hid_t f) { real(f, "segment_threshold", 1.5); }
static void s_disco(hid_t f) { real(f, "disco_seed_threshold", 2.0); }
static void s_size(hid_t f) { integer(f, "min_segment_size", -1); }
static void s_boundary(hid_t f) { triple(f, "min_boundary_dist_zyx", 1, -1, 1); }
static void s_source(hid_t f) {
    char *long_text = calloc(1, 701);
    memset(long_text, 'x', 700);
    text(f, "source", long_text);
    free(long_text);
}

static const struct spoiled {
    const char *what;
    void (*spoil)(hid_t f);
    exa_status status;
    const char *text;
} spoiled_files[] = {
    {"missing", s_missing, EXA_ERR_FORMAT, "'seed_update/conv1_b/biases' [8] is missing"},
    {"extra", s_extra, EXA_ERR_FORMAT, "'seed_update/conv2_a' does not belong"},
    {"scope", s_scope, EXA_ERR_FORMAT, "'seed_update/conv0_a/weights' [3,3,3,2,8] is missing"},
    {"shape", s_shape, EXA_ERR_FORMAT, "shape [4,2] instead of [8]"},
    {"double", s_double, EXA_ERR_FORMAT, "not little-endian float32"},
    {"big-endian", s_big_endian, EXA_ERR_FORMAT, "not little-endian float32"},
    {"unwritten", s_unwritten, EXA_ERR_FORMAT, "stores 0 bytes instead of 32"},
    {"null space", s_null_space, EXA_ERR_FORMAT, "dimensions"},
    {"huge", s_huge, EXA_ERR_FORMAT, "extent 1073741824 on axis 0"},
    {"rank", s_rank, EXA_ERR_FORMAT, "has 9 dimensions"},
    {"zero", s_zero, EXA_ERR_FORMAT, "extent 0 on axis 0"},
    {"chunked", s_chunked, EXA_ERR_FORMAT, "chunked"},
    {"external", s_external, EXA_ERR_FORMAT, "in another file"},
    {"soft", s_soft, EXA_ERR_FORMAT, "soft or external link"},
    {"elsewhere", s_elsewhere, EXA_ERR_FORMAT, "soft or external link"},
    {"hard", s_hard, EXA_ERR_FORMAT, "'seed_update/again' does not belong"},
    {"loop", s_loop, EXA_ERR_FORMAT, "nested deeper"},
    {"loops", s_loops, EXA_ERR_FORMAT, "nested deeper"},
    {"type", s_type, EXA_ERR_FORMAT, "neither a group nor a tensor"},
    {"name", s_name, EXA_ERR_FORMAT, "not printable"},
    {"NaN", s_nan, EXA_ERR_FORMAT, "conv1_b/biases' has NaN at element 3"},
    {"infinity", s_inf, EXA_ERR_FORMAT, "conv1_b/biases' has infinity at element 3"},
    {"digest", s_digest, EXA_ERR_CORRUPT, "weights_sha256"},
    {"kind", s_kind, EXA_ERR_FORMAT, "of kind 'segclr', not 'ffn-convstack3d'"},
    {"kind number", s_kind_number, EXA_ERR_FORMAT, "'kind' is not one text"},
    {"version", s_version, EXA_ERR_UNSUPPORTED, "version 2; this exaconn reads versions 1 to 1"},
    {"version 0", s_version0, EXA_ERR_UNSUPPORTED, "version 0"},
    {"no depth", s_no_depth, EXA_ERR_FORMAT, "no attribute 'depth'"},
    {"depth", s_depth, EXA_ERR_FORMAT, "'seed_update/conv2_a/weights' [3,3,3,8,8] is missing"},
    {"depth 1", s_depth1, EXA_ERR_FORMAT, "does not belong to a network of depth 1"},
    {"depth huge", s_depth_huge, EXA_ERR_FORMAT, "depth is 9223372036854775807"},
    {"depth real", s_depth_real, EXA_ERR_FORMAT, "'depth' is not an integer"},
    {"depth list", s_depth_list, EXA_ERR_FORMAT, "'depth' has 3 values instead of 1"},
    {"depth text", s_depth_text, EXA_ERR_FORMAT, "'depth' is not an integer"},
    {"depth uint64", s_depth_u64, EXA_ERR_FORMAT, "'depth' is not an integer"},
    {"features", s_features, EXA_ERR_FORMAT, "[3,3,3,2,8] instead of [3,3,3,2,16]"},
    {"features 12", s_features12, EXA_ERR_FORMAT, "features is 12"},
    {"features huge", s_features_huge, EXA_ERR_FORMAT, "instead of [3,3,3,2,512]"},
    {"fov even", s_fov_even, EXA_ERR_FORMAT, "fov on axis y is 32"},
    {"fov short", s_fov_short, EXA_ERR_FORMAT, "'fov_zyx' has 1 values instead of 3"},
    {"fov 2-d", s_fov_2d, EXA_ERR_FORMAT, "'fov_zyx' has -1 values"},
    {"deltas", s_deltas, EXA_ERR_FORMAT, "deltas on axis z is 9"},
    {"stddev", s_stddev, EXA_ERR_FORMAT, "image_stddev is 0"},
    {"stddev NaN", s_stddev_nan, EXA_ERR_FORMAT, "'image_stddev' is not a finite number"},
    {"mean", s_mean_big, EXA_ERR_FORMAT, "too large for float32"},
    {"init", s_init, EXA_ERR_FORMAT, "init_activation is 1"},
    {"pad", s_pad, EXA_ERR_FORMAT, "pad_value is 0"},
    {"move", s_move, EXA_ERR_FORMAT, "move_threshold is -0.5"},
    {"segment", s_segment, EXA_ERR_FORMAT, "segment_threshold is 1.5"},
    {"disco", s_disco, EXA_ERR_FORMAT, "disco_seed_threshold is 2"},
    {"size", s_size, EXA_ERR_FORMAT, "min_segment_size is -1"},
    {"boundary", s_boundary, EXA_ERR_FORMAT, "min_boundary_dist on axis y is -1"},
    {"source", s_source, EXA_ERR_FORMAT, "'source' is longer than 511 bytes"},
};

/* clang-format on */

static void copy_file(const char *from, const char *to) {
    char *bytes;
    size_t size;
    assert_ok(exa_file_read_all(from, 1 << 24, &bytes, &size));
    assert_ok(exa_file_write_atomic(to, bytes, size));
    free(bytes);
}

static void refuses_every_spoiled_file(void **state) {
    exa_ffn_model *m = NULL;
    (void)state;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    for (size_t i = 0; i < sizeof spoiled_files / sizeof *spoiled_files; i++) {
        const struct spoiled *s = &spoiled_files[i];
        copy_file(good, bad);
        hid_t f = H5Fopen(bad, H5F_ACC_RDWR, H5P_DEFAULT);
        assert_true(f >= 0);
        s->spoil(f);
        assert_true(H5Fclose(f) >= 0);
        seal(bad);
        exa_status st = exa_ffn_model_read(bad, &m);
        const char *message = exa_error_last()->message;
        if (st != s->status || !strstr(message, s->text) || !strstr(message, bad))
            fail_msg("%s: status %d, message '%s'; expected %d and '%s'", s->what, (int)st, message, (int)s->status,
                     s->text);
        assert_null(m);
    }
}

static void s_h5py_like(hid_t f) {
    /* Fixed-length space-padded text, 32-bit numbers, optional attributes absent: all fine. */
    hid_t type = H5Tcopy(H5T_C_S1);
    float mean = 100.5f;
    int32_t depth = 2;
    H5Tset_size(type, 20);
    H5Tset_strpad(type, H5T_STR_SPACEPAD);
    attribute(f, "kind", type, type, "ffn-convstack3d     ", 0, 1);
    H5Tclose(type);
    attribute(f, "image_mean", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, &mean, 0, 1);
    attribute(f, "depth", H5T_STD_I32LE, H5T_NATIVE_INT32, &depth, 1, 1);
    integer(f, "image_stddev", 30);
    H5Adelete(f, "weights_sha256");
    H5Adelete(f, "license");
}

static void accepts_other_writers(void **state) {
    exa_ffn_model *m;
    (void)state;
    copy_file(good, bad);
    hid_t f = H5Fopen(bad, H5F_ACC_RDWR, H5P_DEFAULT);
    s_h5py_like(f);
    H5Fclose(f);
    seal(bad);
    assert_ok(exa_ffn_model_read(bad, &m));
    assert_true(m->image_mean == 100.5f && m->image_stddev == 30.0f);
    assert_string_equal(m->license, "");
    assert_int_equal(strlen(m->weights_sha256), 64);
    exa_ffn_model_destroy(&m);
}

/* ---- damage ------------------------------------------------------------------------------------- */

static exa_status read_bytes(const char *bytes, size_t size) {
    exa_weights_file *file = NULL;
    /* A copy of exactly this size, so that a sanitizer sees reads beyond it. */
    char *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    exa_status st = exa_weights_file_open_image(copy, size, "damaged", NULL, &file);
    free(copy);
    exa_weights_file_close(&file);
    return st;
}

static void detects_damage(void **state) {
    char *bytes;
    size_t size;
    uint64_t seed = 5;
    (void)state;
    assert_ok(exa_file_read_all(good, 1 << 24, &bytes, &size));
    assert_ok(read_bytes(bytes, size));
    for (size_t n = 0; n < size; n += n + 64 < size ? 64 : 1) assert_int_not_equal(read_bytes(bytes, n), EXA_OK);
    for (int i = 0; i < 2000 + 4096; i++) { /* a sample, and every bit of the header */
        size_t bit = i < 2000 ? test_random(&seed) % (8 * size) : (size_t)i - 2000;
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
        if (read_bytes(bytes, size) == EXA_OK) fail_msg("bit %zu flipped and not noticed", bit);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
    assert_ok(read_bytes(bytes, size));
    bytes = realloc(bytes, size + 1);
    assert_fails(EXA_ERR_CORRUPT, "appended to", read_bytes(bytes, size + 1));
    assert_fails(EXA_ERR_CORRUPT, "cut short", read_bytes(bytes, size - 1));
    assert_fails(EXA_ERR_CORRUPT, "cut short: only 100 bytes", read_bytes(bytes, 100));
    assert_fails(EXA_ERR_FORMAT, "without the header", read_bytes(bytes + 512, size - 512));
    assert_fails(EXA_ERR_FORMAT, "not a weights file", read_bytes("something else entirely", 20));
    free(bytes);
}

static void names_files_that_are_not_there(void **state) {
    exa_ffn_model *m;
    (void)state;
    assert_fails(EXA_ERR_IO, "/absent.h5': No such file", exa_ffn_model_read("/absent.h5", &m));
    assert_fails(EXA_ERR_IO, "it is a folder", exa_ffn_model_read(folder, &m));
}

/* ---- requests, import, other programs ----------------------------------------------------------- */

static void reads_requests(void **state) {
    static const char text_proto[] =
        "# comment\nimage { hdf5: 'x.h5:raw' }\nimage_mean: 127.5 image_stddev: 3.3e1f;\n"
        "seed_policy: \"PolicyPeaks\"\nmodel_name: \"convstack_3d.ConvStack3DFFNModel\"\n"
        "model_args: \"{\\\"depth\\\": 9, \\\"fov_size\\\": [35, 33, 17], \" '\"deltas\": [9, 8, 4]}'\n"
        "masks: [ { }, 1 ]\n";
    static const char good_text[] =
        "# comment\nimage { hdf5: 'x.h5:raw' }\nimage_mean: 127.5 image_stddev: 3.3e1f;\n"
        "seed_policy: \"PolicyPeaks\"\nmodel_name: \"convstack_3d.ConvStack3DFFNModel\"\n"
        "model_args: \"{\\\"depth\\\": 9, \\\"fov_size\\\": [35, 33, 17], \" '\"deltas\": [9, 8, 4]}'\n"
        "inference_options < init_activation: 0.94 min_boundary_dist { x: 1, y: 2, z: 3 } list: [1, 2,3] >";
    exa_ffn_settings s = {.given = 0};
    int depth;
    (void)state;
    assert_ok(exa_ffn_request_parse(good_text, "r", &s, &depth));
    assert_int_equal(depth, 9);
    assert_int_equal(s.given, EXA_FFN_GIVEN_FOV | EXA_FFN_GIVEN_DELTAS | EXA_FFN_GIVEN_IMAGE_MEAN |
                                  EXA_FFN_GIVEN_IMAGE_STDDEV | EXA_FFN_GIVEN_INIT_ACTIVATION |
                                  EXA_FFN_GIVEN_MIN_BOUNDARY_DIST);
    assert_true(s.fov[0] == 17 && s.fov[1] == 33 && s.fov[2] == 35); /* x,y,z there, z,y,x here */
    assert_true(s.deltas[0] == 4 && s.deltas[1] == 8 && s.deltas[2] == 9);
    assert_true(s.image_mean == 127.5f && s.image_stddev == 33.0f && s.options.init_activation == .94f);
    assert_true(s.options.min_boundary_dist[0] == 3 && s.options.min_boundary_dist[2] == 1);
    assert_fails(EXA_ERR_CONFIG, "request 'r', line 7", exa_ffn_request_parse(text_proto, "r", &s, &depth));
}

static void refuses_bad_requests(void **state) {
    static const struct {
        const char *text, *message;
    } cases[] = {{"image_mean: x", "image_mean is 'x'"},
                 {"image_mean: 1e99", "a number is expected"},
                 {"image_mean: inf", "a number is expected"},
                 {"image_mean:", "value is missing"},
                 {"image_mean 3", "':' or '{' is expected"},
                 {"a {", "not closed with }"},
                 {"a < b: 1 }", "field name is expected"},
                 {"}", "field name is expected"},
                 {"a: 'x", "not closed with '"},
                 {"a: \"x\ny\"", "not closed with \""},
                 {"a: '\\q'", "unknown escape"},
                 {"a: '\\777'", "unknown escape"},
                 {"a: '\\0'", "zero byte"},
                 {"a: [1, 2", "not closed with ]"},
                 {"model_args: '{'", "not valid JSON"},
                 {"model_args: '[1]'", "not a JSON object"},
                 {"model_args: '{\"depth\": 1.5}'", "depth in model_args"},
                 {"model_args: '{\"depth\": 65}'", "depth in model_args"},
                 {"model_args: '{\"deltas\": [1, 2]}'", "not a list of three"},
                 {"model_args: '{\"fov_size\": [1, 2, 3.5]}'", "whole numbers"},
                 {"model_args: '{\"fov_size\": 33}'", "not a list of three"},
                 {"model_name: 'convstack_2d.X'", "only convstack_3d"},
                 {"inference_options { min_segment_size: 1.5 }", "whole number is expected"},
                 {"inference_options { min_segment_size: 99999999999999999999 }", "whole number is expected"},
                 {"a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{a{", "nested deeper"}};
    char *deep = calloc(1, 2000);
    exa_ffn_settings s = {.given = 77};
    int depth;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exa_status st = exa_ffn_request_parse(cases[i].text, "r.pbtxt", &s, &depth);
        const char *message = exa_error_last()->message;
        if (st == EXA_OK || !strstr(message, cases[i].message) || !strstr(message, "r.pbtxt"))
            fail_msg("'%s': status %d, '%s'", cases[i].text, (int)st, message);
    }
    assert_int_equal(s.given, 77);
    memset(deep, 'a', 1000);
    assert_fails(EXA_ERR_CONFIG, "too long", exa_ffn_request_parse(deep, "r", &s, &depth));
    assert_fails(EXA_ERR_IO, "No such file", exa_ffn_request_read("/absent.pbtxt", &s, &depth));
    free(deep);
}

static void imports_the_published_network(void **state) {
    exa_ffn_import_facts facts;
    exa_ffn_model *m, *back;
    const char *path = test_data_path("ffn_fib25_tf/model.ckpt-27465036.index");
    (void)state;
    if (!path) skip();
    assert_ok(exa_ffn_import(path, NULL, NULL, &facts, &m));
    assert_int_equal(m->depth, 12);
    assert_int_equal(m->features, 32);
    assert_int_equal(exa_ffn_model_parameters(m), 638433);
    assert_int_equal(facts.global_step, 27465036);
    assert_int_equal(facts.ignored, 4);
    assert_string_equal(facts.scope, "seed_update");
    assert_string_equal(facts.settings_from, "built-in table (fib25)");
    assert_string_equal(m->license, "Apache-2.0");
    assert_true(m->image_mean == 128.0f && m->image_stddev == 33.0f && m->options.move_threshold == .9f);
    assert_int_equal(m->fov[1], 33);
    assert_ok(exa_ffn_model_write(m, bad));
    assert_ok(exa_ffn_model_read(bad, &back));
    assert_same_model(m, back);
    assert_string_equal(m->weights_sha256, back->weights_sha256);
    exa_ffn_model_destroy(&back);
    exa_ffn_model_destroy(&m);
}

static void python_agrees_with_the_document(void **state) {
    const char *source = getenv("EXACONN_SOURCE_DIR"), *python = getenv("EXACONN_PYTHON");
    char command[3 * EXA_PATH_BYTES], usual[EXA_PATH_BYTES];
    exa_ffn_model *m;
    (void)state;
    snprintf(usual, sizeof usual, "%s/build/python/bin/python", source ? source : ".");
    if (!python) python = usual;
    snprintf(command, sizeof command, "'%s' -c 'import h5py' 2>/dev/null", python);
    if (system(command) != 0) {
        fprintf(stderr, "SKIP: no Python with h5py (%s); set EXACONN_PYTHON\n", python);
        skip();
    }
    snprintf(command, sizeof command, "'%s' '%s/tests/weights_by_doc.py' write '%s'", python, source ? source : ".",
             bad);
    assert_int_equal(system(command), 0);
    assert_ok(exa_ffn_model_read(bad, &m));
    assert_int_equal(m->fov[0], 17);
    assert_string_equal(m->source, "weights_by_doc.py");
    assert_ok(exa_ffn_model_write(m, bad));
    exa_ffn_model_destroy(&m);
    snprintf(command, sizeof command, "'%s' '%s/tests/weights_by_doc.py' read '%s'", python, source ? source : ".",
             bad);
    assert_int_equal(system(command), 0);
}

static int set_up(void **state) {
    exa_ffn_model *m;
    (void)state;
    snprintf(folder, sizeof folder, "%s", test_make_folder());
    snprintf(good, sizeof good, "%s/good.h5", folder);
    snprintf(bad, sizeof bad, "%s/bad.h5", folder);
    m = make_model(2, 8);
    exa_status st = exa_ffn_model_write(m, good);
    exa_ffn_model_destroy(&m);
    return st == EXA_OK ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(knows_its_limits),
                                       cmocka_unit_test(counts_work_and_parameters),
                                       cmocka_unit_test(comes_back_as_written),
                                       cmocka_unit_test(two_files_stay_apart),
                                       cmocka_unit_test(refuses_to_write_nonsense),
                                       cmocka_unit_test(refuses_every_spoiled_file),
                                       cmocka_unit_test(accepts_other_writers),
                                       cmocka_unit_test(detects_damage),
                                       cmocka_unit_test(names_files_that_are_not_there),
                                       cmocka_unit_test(reads_requests),
                                       cmocka_unit_test(refuses_bad_requests),
                                       cmocka_unit_test(imports_the_published_network),
                                       cmocka_unit_test(python_agrees_with_the_document)};
    return cmocka_run_group_tests(tests, set_up, tear_down) ? 1 : 0;
}
