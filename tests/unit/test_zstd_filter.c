/* The zstd filter by itself: what HDF5 writes with it comes back, and no damaged or lying frame gets through. */
#include "test_util.h"

#include "exaconn/zstd_filter.h"

#include <hdf5.h>
#include <zstd.h>

enum { CHUNK = 4096 };

static hid_t file, set;

/* A one-chunk dataset in memory (the core driver, no file on disk). */
static int open_set(void **state) {
    const hsize_t n = CHUNK;
    const unsigned level = 5;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t space = H5Screate_simple(1, &n, NULL);

    (void)state;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    if (exa_zstd_filter_register() != EXA_OK || exa_zstd_filter_register() != EXA_OK) return -1;
    H5Pset_fapl_core(access, 65536, 0);
    file = H5Fcreate("zstd-test", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pset_chunk(properties, 1, &n);
    H5Pset_filter(properties, EXA_ZSTD_FILTER_ID, H5Z_FLAG_MANDATORY, 1, &level);
    set = H5Dcreate2(file, "v", H5T_STD_U8LE, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Sclose(space);
    H5Pclose(properties);
    H5Pclose(access);
    return set < 0 ? -1 : 0;
}
static int close_set(void **state) {
    (void)state;
    exa_zstd_filter_expect(0);
    H5Dclose(set);
    H5Fclose(file);
    return 0;
}

static herr_t first_text(unsigned n, const H5E_error2_t *error, void *out) {
    if (n == 0) snprintf(out, 200, "%s", error->desc);
    return 0;
}

/* Stores `frame` as the chunk and reads it: refused with `text`. */
static void expect_refused(const void *frame, size_t size, const char *text) {
    const hsize_t offset = 0;
    uint8_t out[CHUNK];
    char got[200] = "";

    assert_true(H5Dwrite_chunk(set, H5P_DEFAULT, 0, &offset, size, frame) >= 0);
    if (H5Dread(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0) fail_msg("accepted: %s", text);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, first_text, got);
    if (!strstr(got, text)) fail_msg("no '%s' in '%s'", text, got);
}

static void test_round_trip(void **state) {
    uint8_t data[CHUNK], out[CHUNK];
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < CHUNK; i++) data[i] = (uint8_t)(test_random(&seed) & 15);
    assert_true(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    assert_true(H5Fflush(file, H5F_SCOPE_GLOBAL) >= 0);
    assert_true(H5Dget_storage_size(set) < CHUNK * 3 / 4);
    exa_zstd_filter_expect(CHUNK);
    assert_true(H5Dread(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0);
    assert_memory_equal(data, out, CHUNK);
}

static void test_bad_frames(void **state) {
    static const uint8_t data[2 * CHUNK] = {1, 2, 3};
    uint8_t noise[CHUNK], frame[3 * CHUNK];
    ZSTD_CCtx *context = ZSTD_createCCtx();
    uint64_t seed = 2;
    size_t n;

    (void)state;
    for (int i = 0; i < CHUNK; i++) noise[i] = (uint8_t)test_random(&seed);
    expect_refused(noise, 100, "not a zstd frame");

    exa_zstd_filter_expect(CHUNK);
    n = ZSTD_compress(frame, sizeof frame, data, CHUNK - 1, 3);
    expect_refused(frame, n, "announces 4095 bytes instead of 4096");
    n = ZSTD_compress(frame, sizeof frame, data, 2 * CHUNK, 3);
    expect_refused(frame, n, "announces 8192 bytes");
    n = ZSTD_compress(frame, sizeof frame, noise, CHUNK, 3);
    expect_refused(frame, n / 2, "cannot decompress");

    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0);
    n = ZSTD_compress2(context, frame, sizeof frame, noise, CHUNK);
    expect_refused(frame, n, "does not say its size");

    ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 1);
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    n = ZSTD_compress2(context, frame, sizeof frame, noise, CHUNK);
    frame[n - 1] ^= 1;
    expect_refused(frame, n, "cannot decompress");
    ZSTD_freeCCtx(context);
}

/* A frame that announces 2^60 bytes must not lead to an allocation. */
static void test_bomb(void **state) {
    uint8_t frame[] = {0x28, 0xB5, 0x2F, 0xFD, 0xE0, 0, 0, 0, 0, 0, 0, 0, 0x10, 1, 0, 0};
    (void)state;
    expect_refused(frame, sizeof frame, "announces 1152921504606846976 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, open_set, close_set),
        cmocka_unit_test_setup_teardown(test_bad_frames, open_set, close_set),
        cmocka_unit_test_setup_teardown(test_bomb, open_set, close_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
