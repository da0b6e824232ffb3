/* TensorFlow checkpoints: made ones against what they must hold, the real one against its HDF5 twin, every refusal,
 * and systematic damage: cut at every 64th byte, and 2,000 random bit flips of index and data.
 */
#include "test_util.h"

#include "exaconn/file.h"
#include "exaconn/hash.h"
#include "exaconn/tensor_bundle.h"

#include <hdf5.h>

static char folder[EXA_PATH_BYTES], prefix[EXA_PATH_BYTES + 8], index_path[EXA_PATH_BYTES + 16],
    data_path[EXA_PATH_BYTES + 40];

/* Runs make_tf_checkpoint.py; any Python 3 will do. */
static void make(const char *options) {
    const char *source = getenv("EXACONN_SOURCE_DIR");
    char command[3 * EXA_PATH_BYTES];
    snprintf(command, sizeof command, "python3 '%s/tests/make_tf_checkpoint.py' '%s' %s", source ? source : ".",
             prefix, options);
    if (system(command) != 0) fail_msg("failed: %s", command);
}

static exa_status open_and_close(void) {
    exa_tensor_bundle *b = NULL;
    exa_status st = exa_tensor_bundle_open(prefix, &b);
    exa_tensor_bundle_close(&b);
    return st;
}

static float expected_value(const char *name, size_t i) {
    uint32_t bits = (uint32_t)(i * 2654435761u + exa_crc32c(0, name, strlen(name)));
    return (float)(((double)bits / 4294967296.0 - 0.5) * 0.2);
}

/* Reads every readable tensor; the first failure's status. */
static exa_status read_everything(bool check_values) {
    exa_tensor_bundle *b = NULL;
    exa_status st = exa_tensor_bundle_open(prefix, &b);
    for (size_t i = 0; st == EXA_OK && i < exa_tensor_bundle_count(b); i++) {
        exa_tensor_info info;
        assert_ok(exa_tensor_bundle_info(b, i, &info));
        if (info.type == EXA_TENSOR_OTHER) continue;
        assert_true(info.bytes < 10000000);
        void *values = malloc(info.elements * 8 + 1);
        st = info.type == EXA_TENSOR_F32 ? exa_tensor_bundle_read_f32(b, info.name, values, info.elements)
                                         : exa_tensor_bundle_read_i64(b, info.name, values, info.elements);
        for (size_t e = 0; st == EXA_OK && check_values && info.type == EXA_TENSOR_F32 && e < info.elements; e++)
            assert_true(((float *)values)[e] == expected_value(info.name, e));
        free(values);
    }
    exa_tensor_bundle_close(&b);
    return st;
}

static void reads_what_was_written(void **state) {
    static const char *const variants[] = {"", "--per-block 3", "--per-block 1 --shards 3", "--depth 12 --scope ''",
                                           "--scope a/b/c --shards 2"};
    (void)state;
    for (size_t v = 0; v < sizeof variants / sizeof *variants; v++) {
        make(variants[v]);
        assert_ok(read_everything(true));
    }
}

static void describes_tensors(void **state) {
    exa_tensor_bundle *b;
    exa_tensor_info info;
    int64_t values[2];
    float *weights = malloc(27 * 2 * 8 * sizeof *weights);
    char hex[65], expected[65];
    size_t at;
    (void)state;
    make("--counters 123456789012 --per-block 4");
    assert_ok(exa_tensor_bundle_open(index_path, &b)); /* with ".index" */
    assert_string_equal(exa_tensor_bundle_prefix(b), prefix);
    assert_int_equal(exa_tensor_bundle_count(b), 13);
    assert_ok(exa_tensor_bundle_find(b, "seed_update/conv0_a/weights", &at));
    assert_ok(exa_tensor_bundle_info(b, at, &info));
    static const int64_t shape[] = {3, 3, 3, 2, 8};
    assert_int_equal(info.rank, 5);
    assert_memory_equal(info.shape, shape, sizeof shape);
    assert_int_equal(info.elements, 432);
    assert_int_equal(info.bytes, 4 * 432);
    assert_int_equal(info.type, EXA_TENSOR_F32);
    assert_ok(exa_tensor_bundle_read_i64(b, "global_step", values, 1));
    assert_int_equal(values[0], 123456789012);
    assert_ok(exa_tensor_bundle_read_i64(b, "filter_coordinates_close_to_boundary/fraction", values, 2));
    assert_int_equal(values[0] * 100 + values[1], 305);
    assert_ok(exa_tensor_bundle_sha256(b, hex));
    assert_ok(exa_sha256_file(data_path, 0, expected));
    assert_string_equal(hex, expected);
    assert_fails(EXA_ERR_RANGE, "no number 13", exa_tensor_bundle_info(b, 13, &info));
    assert_fails(EXA_ERR_RANGE, "no tensor 'x'", exa_tensor_bundle_find(b, "x", &at));
    assert_fails(EXA_ERR_RANGE, "432 elements, not 431",
                 exa_tensor_bundle_read_f32(b, "seed_update/conv0_a/weights", weights, 431));
    assert_fails(EXA_ERR_UNSUPPORTED, "not float32", exa_tensor_bundle_read_f32(b, "global_step", weights, 1));
    assert_fails(EXA_ERR_UNSUPPORTED, "int64",
                 exa_tensor_bundle_read_i64(b, "seed_update/conv_lom/biases", values, 1));
    exa_tensor_bundle_close(&b);
    exa_tensor_bundle_close(&b);
    free(weights);
}

static void widens_int32(void **state) {
    exa_tensor_bundle *b;
    int64_t values[8];
    (void)state;
    make("--dtype seed_update/conv0_a/biases:3");
    assert_ok(exa_tensor_bundle_open(prefix, &b));
    assert_ok(exa_tensor_bundle_read_i64(b, "seed_update/conv0_a/biases", values, 8));
    for (size_t i = 0; i < 8; i++) {
        float value = expected_value("seed_update/conv0_a/biases", i);
        int32_t bits;
        memcpy(&bits, &value, sizeof bits);
        assert_int_equal(values[i], bits);
    }
    exa_tensor_bundle_close(&b);
    make("--shards 3");
    char hex[65];
    assert_ok(exa_tensor_bundle_open(prefix, &b));
    assert_ok(exa_tensor_bundle_sha256(b, hex));
    assert_int_equal(strlen(hex), 64);
    exa_tensor_bundle_close(&b);
}

static void refuses_what_it_cannot_read(void **state) {
    static const struct {
        const char *options;
        exa_status status;
        const char *text;
    } cases[] = {
        {"--compression 1", EXA_ERR_UNSUPPORTED, "compressed"},
        {"--big-endian 1", EXA_ERR_UNSUPPORTED, "big-endian"},
        {"--min-consumer 2", EXA_ERR_UNSUPPORTED, "another bundle version"},
        {"--sliced seed_update/conv0_a/weights", EXA_ERR_UNSUPPORTED, "conv0_a/weights': is stored in slices"},
        {"--slice-key", EXA_ERR_UNSUPPORTED, "partitioned"},
        {"--no-header", EXA_ERR_FORMAT, "no bundle header"},
        {"--unsorted", EXA_ERR_FORMAT, "ascending"},
        {"--wrong-size 4", EXA_ERR_FORMAT, "stores 36 bytes"},
        {"--dtype seed_update/conv0_a/biases:99 --wrong-size 1000000", EXA_ERR_CORRUPT, "of a data file of only"},
        {"--dtype seed_update/conv0_a/biases:99 --wrong-size 4", EXA_ERR_FORMAT, "overlap"},
        {"--dtype seed_update/conv0_a/biases:0", EXA_ERR_FORMAT, "impossible type"},
        {"--dtype seed_update/conv0_a/biases:2", EXA_ERR_FORMAT, "of 8 bytes"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        make(cases[i].options);
        assert_fails(cases[i].status, cases[i].text, open_and_close());
        assert_non_null(strstr(exa_error_last()->message, ".index"));
    }
    make("--dtype seed_update/conv0_a/biases:18446744");
    assert_ok(open_and_close()); /* listed, not readable */
}

static void names_missing_files(void **state) {
    exa_tensor_bundle *b;
    char path[2 * EXA_PATH_BYTES];
    (void)state;
    make("");
    assert_int_equal(unlink(data_path), 0);
    assert_fails(EXA_ERR_IO, ".data-00000-of-00001", open_and_close());
    make("");
    assert_int_equal(truncate(data_path, 1000), 0);
    assert_fails(EXA_ERR_CORRUPT, "of a data file of only 1000 bytes", open_and_close());
    snprintf(path, sizeof path, "%s/absent", folder);
    assert_fails(EXA_ERR_IO, "No such file", exa_tensor_bundle_open(path, &b));
    assert_non_null(strstr(exa_error_last()->message, "Hint: "));
    memset(path, 'x', sizeof path);
    path[5000] = 0;
    assert_fails(EXA_ERR_RANGE, "path longer", exa_tensor_bundle_open(path, &b));
    assert_ok(exa_file_write_atomic(index_path, "short", 5));
    assert_fails(EXA_ERR_FORMAT, "too few", open_and_close());
    memset(path, 'x', 100);
    assert_ok(exa_file_write_atomic(index_path, path, 100));
    assert_fails(EXA_ERR_FORMAT, "table mark", open_and_close());
}

static void write_plain(const char *path, const char *data, size_t size) {
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, size, f), size);
    fclose(f);
}

/* Cut short anywhere, both files are refused. */
static void detects_truncation(void **state) {
    char *index, *data;
    size_t index_size, data_size;
    (void)state;
    make("--per-block 3 --counters 7");
    assert_ok(exa_file_read_all(index_path, 1 << 20, &index, &index_size));
    assert_ok(exa_file_read_all(data_path, 1 << 20, &data, &data_size));
    for (size_t n = 0; n < index_size; n += n + 64 < index_size ? 64 : 1) {
        write_plain(index_path, index, n);
        assert_int_not_equal(read_everything(false), EXA_OK);
    }
    write_plain(index_path, index, index_size);
    for (size_t n = 0; n < data_size; n += n + 64 < data_size ? 64 : 1) {
        write_plain(data_path, data, n);
        assert_int_not_equal(read_everything(false), EXA_OK);
    }
    write_plain(data_path, data, data_size);
    assert_ok(read_everything(true));
    free(index);
    free(data);
}

static void flip_bits(const char *path, int flips, uint64_t *seed) {
    char *bytes;
    size_t size;
    assert_ok(exa_file_read_all(path, 1 << 20, &bytes, &size));
    for (int i = 0; i < flips; i++) {
        size_t bit = test_random(seed) % (8 * size);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
        write_plain(path, bytes, size);
        if (read_everything(false) == EXA_OK) fail_msg("bit %zu of %s flipped and not noticed", bit, path);
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ (1 << (bit % 8)));
    }
    write_plain(path, bytes, size);
    free(bytes);
}

static void detects_flipped_bits(void **state) {
    uint64_t seed = 3;
    (void)state;
    make("--per-block 3 --counters 7");
    flip_bits(index_path, 2000, &seed);
    flip_bits(data_path, 2000, &seed);
    assert_ok(read_everything(true));
}

/* ---- the published FIB-25 checkpoint ------------------------------------------------------------ */

static void compare_with_twin(exa_tensor_bundle *b, const exa_tensor_info *info, hid_t file) {
    float *ours = malloc(info->bytes), *twin = malloc(info->bytes);
    hsize_t dims[8];
    hid_t set = H5Dopen2(file, info->name, H5P_DEFAULT);
    assert_true(set >= 0);
    hid_t space = H5Dget_space(set);
    assert_int_equal(H5Sget_simple_extent_dims(space, dims, NULL), info->rank);
    for (int a = 0; a < info->rank; a++) assert_int_equal(dims[a], info->shape[a]);
    assert_true(H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, twin) >= 0);
    assert_ok(exa_tensor_bundle_read_f32(b, info->name, ours, info->elements));
    assert_memory_equal(ours, twin, info->bytes);
    H5Sclose(space);
    H5Dclose(set);
    free(ours);
    free(twin);
}

static void real_checkpoint_equals_its_twin(void **state) {
    exa_tensor_bundle *b;
    char twin[EXA_PATH_BYTES], hex[65];
    const char *path = test_data_path("ffn_fib25.h5");
    int compared = 0;
    uint64_t parameters = 0;
    (void)state;
    if (!path) skip();
    snprintf(twin, sizeof twin, "%s", path);
    path = test_data_path("ffn_fib25_tf/model.ckpt-27465036.index");
    if (!path) skip();
    hid_t file = H5Fopen(twin, H5F_ACC_RDONLY, H5P_DEFAULT);
    assert_true(file >= 0);
    assert_ok(exa_tensor_bundle_open(path, &b));
    for (size_t i = 0; i < exa_tensor_bundle_count(b); i++) {
        exa_tensor_info info;
        assert_ok(exa_tensor_bundle_info(b, i, &info));
        if (info.type != EXA_TENSOR_F32) continue;
        compare_with_twin(b, &info, file);
        compared++;
        parameters += info.elements;
    }
    assert_int_equal(compared, 50);
    assert_int_equal(parameters, 638433);
    assert_ok(exa_tensor_bundle_sha256(b, hex));
    assert_string_equal(hex, "a2910768255bbb1dc5be27a947e4107dd29ccd221646b676ec225981af5526f1");
    exa_tensor_bundle_close(&b);
    H5Fclose(file);
}

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", test_make_folder());
    snprintf(prefix, sizeof prefix, "%s/model", folder);
    snprintf(index_path, sizeof index_path, "%s.index", prefix);
    snprintf(data_path, sizeof data_path, "%s.data-00000-of-00001", prefix);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

int main(void) {
    if (system("python3 -c pass") != 0) {
        fprintf(stderr, "SKIP: no python3 to make checkpoints with\n");
        return 77;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written), cmocka_unit_test(describes_tensors),
        cmocka_unit_test(widens_int32),           cmocka_unit_test(refuses_what_it_cannot_read),
        cmocka_unit_test(names_missing_files),    cmocka_unit_test(detects_truncation),
        cmocka_unit_test(detects_flipped_bits),   cmocka_unit_test(real_checkpoint_equals_its_twin)};
    return cmocka_run_group_tests(tests, set_up, tear_down) ? 1 : 0;
}
