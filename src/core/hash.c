/* CRC-32C by the processor's own instruction where it has one, else by four 256-entry tables; SHA-256 by libcrypto.
 *
 * The polynomial is 0x1EDC6F41, bit-reversed 0x82F63B78; register and result are inverted (RFC 3720 B.4).
 */
#include "exaconn/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <openssl/evp.h>

#if defined(__x86_64__)
#include <nmmintrin.h>
#elif defined(__aarch64__)
#include <asm/hwcap.h>
#include <sys/auxv.h>
#endif

typedef uint32_t crc_function(uint32_t crc, const unsigned char *p, size_t n);

static uint32_t crc_table[4][256];
static crc_function *crc_update;
static pthread_once_t crc_once = PTHREAD_ONCE_INIT;

/* crc_table[k][b] is the register after byte b and k zero bytes: four bytes per step ("slicing by four"). */
static void fill_tables(void) {
    for (uint32_t b = 0; b < 256; b++) {
        uint32_t crc = b;
        for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ ((crc & 1) ? 0x82F63B78u : 0);
        crc_table[0][b] = crc;
    }
    for (int k = 1; k < 4; k++) {
        for (int b = 0; b < 256; b++) {
            uint32_t crc = crc_table[k - 1][b];
            crc_table[k][b] = (crc >> 8) ^ crc_table[0][crc & 0xFF];
        }
    }
}

static uint32_t crc_by_table(uint32_t crc, const unsigned char *p, size_t n) {
    for (; n >= 4; n -= 4, p += 4) {
        crc ^= (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        crc = crc_table[3][crc & 0xFF] ^ crc_table[2][(crc >> 8) & 0xFF] ^ crc_table[1][(crc >> 16) & 0xFF] ^
              crc_table[0][crc >> 24];
    }
    for (; n > 0; n--) crc = (crc >> 8) ^ crc_table[0][(crc ^ *p++) & 0xFF];
    return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc_by_instruction(uint32_t crc, const unsigned char *p,
                                                                     size_t n) {
    uint64_t wide = crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        wide = _mm_crc32_u64(wide, word);
    }
    crc = (uint32_t)wide;
    for (; n > 0; n--) crc = _mm_crc32_u8(crc, *p++);
    return crc;
}

static bool has_instruction(void) {
    return __builtin_cpu_supports("sse4.2");
}
#elif defined(__aarch64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
/* Assembler rather than arm_acle.h, which hides its functions unless the whole file is built for the extension. */
static uint32_t crc_by_instruction(uint32_t crc, const unsigned char *p, size_t n) {
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        __asm__(".arch_extension crc\n\tcrc32cx %w0, %w0, %x1" : "+r"(crc) : "r"(word));
    }
    for (; n > 0; n--) __asm__(".arch_extension crc\n\tcrc32cb %w0, %w0, %w1" : "+r"(crc) : "r"((uint32_t)*p++));
    return crc;
}

static bool has_instruction(void) {
    return (getauxval(AT_HWCAP) & HWCAP_CRC32) != 0;
}
#else
#define crc_by_instruction crc_by_table
static bool has_instruction(void) {
    return false;
}
#endif

/* EXACONN_CRC32C=table keeps to the tables, so that the tests reach them on any machine. */
static void crc_choose(void) {
    const char *wish = getenv("EXACONN_CRC32C");
    fill_tables();
    crc_update = has_instruction() && !(wish && strcmp(wish, "table") == 0) ? crc_by_instruction : crc_by_table;
}

uint32_t exa_crc32c(uint32_t crc, const void *data, size_t size) {
    pthread_once(&crc_once, crc_choose);
    return ~crc_update(~crc, data, size);
}

static void to_hex(const unsigned char digest[32], char hex[EXA_SHA256_HEX_BYTES]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[64] = '\0';
}

exa_status exa_sha256(const void *data, size_t size, char hex[EXA_SHA256_HEX_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];

    EXA_CHECK(EVP_Digest(data, size, digest, NULL, EVP_sha256(), NULL) == 1, EXA_ERR_INTERNAL,
              "libcrypto refused to compute a SHA-256");
    to_hex(digest, hex);
    return EXA_OK;
}

static exa_status digest_stream(EVP_MD_CTX *context, int fd, const char *path) {
    unsigned char buffer[65536];
    for (;;) {
        ssize_t n = read(fd, buffer, sizeof buffer);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK(n >= 0, EXA_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
        if (n == 0) return EXA_OK;
        EXA_CHECK(EVP_DigestUpdate(context, buffer, (size_t)n) == 1, EXA_ERR_INTERNAL,
                  "libcrypto refused to compute a SHA-256");
    }
}

exa_status exa_sha256_file(const char *path, uint64_t offset, char hex[EXA_SHA256_HEX_BYTES]) {
    unsigned char digest[EVP_MAX_MD_SIZE];
    EVP_MD_CTX *context = NULL;
    exa_status st = EXA_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    EXA_CHECK(fd >= 0, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    EXA_CHECK_GOTO(done, offset <= INT64_MAX && lseek(fd, (off_t)offset, SEEK_SET) >= 0, EXA_ERR_IO,
                   "cannot seek in '%s' to byte %llu", path, (unsigned long long)offset);
    EXA_CHECK_GOTO(done, (context = EVP_MD_CTX_new()) && EVP_DigestInit_ex(context, EVP_sha256(), NULL) == 1,
                   EXA_ERR_INTERNAL, "libcrypto refused to compute a SHA-256");
    EXA_GOTO(done, digest_stream(context, fd, path));
    EXA_CHECK_GOTO(done, EVP_DigestFinal_ex(context, digest, NULL) == 1, EXA_ERR_INTERNAL,
                   "libcrypto refused to compute a SHA-256");
    to_hex(digest, hex);
done:
    EVP_MD_CTX_free(context);
    close(fd);
    return st;
}
