/* CRC-32C against RFC 3720's vectors and a bit-by-bit version, SHA-256 against FIPS 180-4's. */
#include "test_util.h"

#include "exaconn/file.h"
#include "exaconn/hash.h"

static uint32_t crc_bitwise(uint32_t crc, const unsigned char *p, size_t n) {
    crc = ~crc;
    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int b = 0; b < 8; b++) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static void crc_known_answers(void **state) {
    unsigned char bytes[32];
    (void)state;
    assert_int_equal(exa_crc32c(0, "", 0), 0);
    assert_int_equal(exa_crc32c(0, "123456789", 9), 0xE3069283u);
    memset(bytes, 0, sizeof bytes);
    assert_int_equal(exa_crc32c(0, bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xFF, sizeof bytes);
    assert_int_equal(exa_crc32c(0, bytes, 32), 0x62A8AB43u);
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    assert_int_equal(exa_crc32c(0, bytes, 32), 0x46DD794Eu);
}

/* Every length and alignment, whole and in two parts. */
static void crc_agrees_with_definition(void **state) {
    unsigned char bytes[300];
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)test_random(&seed);
    for (size_t start = 0; start < 9; start++) {
        for (size_t n = 0; n + start <= sizeof bytes; n++) {
            uint32_t expected = crc_bitwise(0, bytes + start, n);
            size_t half = test_random(&seed) % (n + 1);
            assert_int_equal(exa_crc32c(0, bytes + start, n), expected);
            uint32_t first = exa_crc32c(0, bytes + start, half);
            assert_int_equal(exa_crc32c(first, bytes + start + half, n - half), expected);
        }
    }
}

static void sha256_known_answers(void **state) {
    char hex[EXA_SHA256_HEX_BYTES];
    (void)state;
    assert_ok(exa_sha256("", 0, hex));
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_ok(exa_sha256("abc", 3, hex));
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void sha256_of_files(void **state) {
    char whole[EXA_SHA256_HEX_BYTES], part[EXA_SHA256_HEX_BYTES], path[EXA_PATH_BYTES];
    char *folder = test_make_folder();
    enum { SIZE = 200001 };
    unsigned char *bytes = malloc(SIZE);
    uint64_t seed = 2;
    (void)state;
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (unsigned char)test_random(&seed);
    assert_ok(exa_path_join(path, folder, "x"));
    assert_ok(exa_file_write_atomic(path, bytes, SIZE));
    static const uint64_t offsets[] = {0, 1, 512, 65536, SIZE - 1, SIZE};
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) {
        assert_ok(exa_sha256(bytes + offsets[i], SIZE - offsets[i], whole));
        assert_ok(exa_sha256_file(path, offsets[i], part));
        assert_string_equal(whole, part);
    }
    assert_fails(EXA_ERR_IO, "cannot seek", exa_sha256_file(path, UINT64_MAX, part));
    assert_fails(EXA_ERR_IO, "absent", exa_sha256_file("/nonexistent/absent", 0, part));
    assert_fails(EXA_ERR_IO, folder, exa_sha256_file(folder, 0, part));
    free(bytes);
    test_remove_folder(folder);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(crc_known_answers),
                                       cmocka_unit_test(crc_agrees_with_definition),
                                       cmocka_unit_test(sha256_known_answers), cmocka_unit_test(sha256_of_files)};
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    /* Once more in a process that keeps to the tables, whatever this processor offers. */
    if (argc == 1 && failures == 0) {
        setenv("EXACONN_CRC32C", "table", 1);
        execl("/proc/self/exe", argv[0], "again", (char *)NULL);
    }
    return failures ? 1 : 0;
}
