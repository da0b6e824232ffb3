/* Helpers of the unit tests: cmocka in the right order, real data or a loud skip, temporary folders. */
#ifndef EXA_TEST_UTIL_H
#define EXA_TEST_UTIL_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "exaconn/status.h"

#define assert_ok(call)                                                                                            \
    do {                                                                                                           \
        exa_status assert_ok_st_ = (call);                                                                         \
        if (assert_ok_st_ != EXA_OK) fail_msg("%s: %s", #call, exa_error_last()->message);                         \
    } while (0)

/* The call fails with `code` and its message holds `text`. */
#define assert_fails(code, text, call)                                                                             \
    do {                                                                                                           \
        exa_status assert_fails_st_ = (call);                                                                      \
        if (assert_fails_st_ != (code))                                                                            \
            fail_msg("%s: status %d instead of %d (%s)", #call, (int)assert_fails_st_, (int)(code),                \
                     exa_error_last()->message);                                                                   \
        if (!strstr(exa_error_last()->message, (text)))                                                            \
            fail_msg("%s: no '%s' in '%s'", #call, (text), exa_error_last()->message);                             \
    } while (0)

/* Under compute-sanitizer, which makes everything many times slower: less of everything. */
static inline bool test_is_small(void) {
    const char *text = getenv("EXACONN_TEST_SMALL");
    return text && *text == '1';
}

/* Path of a file of the shared data, or NULL after saying aloud that it is absent: then skip(). */
static inline const char *test_data_path(const char *name) {
    static char path[4096];
    const char *dir = getenv("EXACONN_DATA_DIR"), *source = getenv("EXACONN_SOURCE_DIR");
    if (dir) {
        snprintf(path, sizeof path, "%s/%s", dir, name);
    } else {
        snprintf(path, sizeof path, "%s/../shared/data/%s", source ? source : ".", name);
    }
    if (access(path, R_OK) != 0) {
        fprintf(stderr, "SKIP: %s is not there (set EXACONN_DATA_DIR)\n", path);
        return NULL;
    }
    return path;
}

/* A fresh folder under TMPDIR; test_remove_folder deletes it with all in it. */
static inline char *test_make_folder(void) {
    static char path[4096];
    const char *tmp = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/exaconn-unit.XXXXXX", tmp ? tmp : "/tmp");
    if (!mkdtemp(path)) abort();
    return path;
}

static inline void test_remove_folder(const char *path) {
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'", path);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", path);
}

static inline uint64_t test_count_files(const char *folder) {
    char command[4300];
    unsigned long long n = 0;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", folder);
    FILE *f = popen(command, "r");
    assert_int_equal(fscanf(f, "%llu", &n), 1);
    pclose(f);
    return n;
}

/* A small deterministic generator for test data (splitmix64). */
static inline uint64_t test_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}
static inline double test_uniform(uint64_t *state) {
    return (double)(test_random(state) >> 11) * 0x1p-53;
}
#endif
