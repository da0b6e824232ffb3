/* The table of chunks: what was put is there after any number of starts; a chunk of which a part is damaged is not.
 */
#include "test_util.h"

#include "exaconn/chunk_store.h"
#include "exaconn/file.h"
#include "exaconn/log.h"

#define RUN "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OTHER "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static char folder[4096];
static exa_chunk_grid grid; /* 3 x 3 x 2 chunks of 8 x 8 x 8 and a halo of 2 */

static int set_up(void **state) {
    const exa_box box = {{0, 0, 0}, {20, 24, 16}};
    (void)state;
    snprintf(folder, sizeof folder, "%s", test_make_folder());
    return exa_chunk_grid_make(&box, (exa_coord[]){8, 8, 8}, (exa_coord[]){2, 2, 2}, (exa_coord[]){5, 5, 5}, 100,
                               &grid);
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static exa_chunk_store *open_store(void) {
    exa_chunk_store *s = NULL;
    assert_ok(exa_chunk_store_open(folder, NULL, RUN, &grid, true, &s));
    assert_ok(exa_chunk_store_begin(s, exa_chunk_store_next_epoch(s), 0, 1));
    return s;
}

typedef struct content {
    int32_t labels[12 * 12 * 12];
    uint8_t probability[12 * 12 * 12];
    char details[64];
    size_t voxels, details_size;
} content;

static content content_of(exa_chunkid k) {
    exa_box box = exa_chunk_grid_box(&grid, k);
    content c = {.voxels = (size_t)(box.shape[0] * box.shape[1] * box.shape[2])};
    uint64_t seed = k + 1;
    for (size_t i = 0; i < c.voxels; i++) c.labels[i] = (int32_t)(test_random(&seed) % 4);
    for (size_t i = 0; i < c.voxels; i++) c.probability[i] = (uint8_t)test_random(&seed);
    c.details_size = (size_t)snprintf(c.details, sizeof c.details, "details of chunk %llu", (unsigned long long)k);
    return c;
}

/* Chunks with even numbers have probabilities. */
static void put(exa_chunk_store *s, exa_chunkid k) {
    content c = content_of(k);
    const exa_chunk_record r = {k, c.labels, k % 2 ? NULL : c.probability, c.details, c.details_size};
    assert_ok(exa_chunk_store_put(s, &r));
}

static void check(exa_chunk_store *s, exa_chunkid k) {
    content c = content_of(k), found;
    void *details;
    size_t size;
    assert_ok(exa_chunk_store_labels(s, k, found.labels));
    assert_memory_equal(found.labels, c.labels, c.voxels * sizeof c.labels[0]);
    if (k % 2 == 0) {
        assert_ok(exa_chunk_store_probability(s, k, found.probability));
        assert_memory_equal(found.probability, c.probability, c.voxels);
    } else {
        assert_fails(EXA_ERR_RANGE, "no probabilities", exa_chunk_store_probability(s, k, found.probability));
    }
    assert_ok(exa_chunk_store_details(s, k, &details, &size));
    assert_int_equal(size, c.details_size);
    assert_memory_equal(details, c.details, size);
    free(details);
}

static void chunks_stay_over_starts(void **state) {
    exa_chunk_store *s;
    (void)state;
    for (exa_chunkid start = 0; start < 4; start++) {
        s = open_store();
        assert_int_equal(exa_chunk_store_count(s), 4 * start);
        for (exa_chunkid k = 0; k < grid.chunks; k++) assert_int_equal(exa_chunk_store_has(s, k), k < 4 * start);
        for (exa_chunkid k = 4 * start; k < 4 * start + 4; k++) {
            put(s, k);
            check(s, k);
        }
        for (exa_chunkid k = 0; k < 4 * start + 4; k++) check(s, k);
        assert_fails(EXA_ERR_CHECKPOINT, "chunk 17 is not", exa_chunk_store_labels(s, 17, NULL));
        exa_chunk_store_close(&s);
    }
    s = open_store();
    assert_int_equal(exa_chunk_store_get_report(s)->journals, 4);
    assert_int_equal(exa_chunk_store_get_report(s)->damaged, 0);
    put(s, 3); /* again: harmless, and counted once */
    assert_int_equal(exa_chunk_store_count(s), 16);
    exa_chunk_store_close(&s);
    assert_fails(EXA_ERR_CHECKPOINT, "another run", exa_chunk_store_open(folder, NULL, OTHER, &grid, true, &s));
}

/* A byte changed anywhere: at most one chunk is gone, all others are as they were, and it can be put again. */
static void damage_costs_a_chunk(void **state) {
    exa_chunk_store *s = open_store();
    char path[4200], *bytes;
    uint64_t seed = 3;
    size_t size;
    (void)state;
    exa_log_set_level(EXA_LOG_ERROR);
    for (exa_chunkid k = 0; k < grid.chunks; k++) put(s, k);
    exa_chunk_store_close(&s);
    snprintf(path, sizeof path, "%s/e000001-r000000.journal", folder);
    assert_ok(exa_file_read_all(path, 1 << 24, &bytes, &size));
    for (int t = 0; t < 200; t++) {
        size_t at = test_random(&seed) % size;
        uint64_t there = 0;
        bytes[at] ^= 0x20;
        assert_ok(exa_file_write_atomic(path, bytes, size));
        s = open_store();
        for (exa_chunkid k = 0; k < grid.chunks; k++) {
            if (!exa_chunk_store_has(s, k)) continue;
            check(s, k);
            there++;
        }
        assert_true(there >= grid.chunks - 1);
        assert_int_equal(there, exa_chunk_store_count(s));
        assert_true(exa_chunk_store_get_report(s)->damaged + exa_chunk_store_get_report(s)->cut > 0);
        assert_true(there < grid.chunks || at < 64);
        bytes[at] ^= 0x20;
        exa_chunk_store_close(&s);
        snprintf(path + strlen(folder), sizeof path - strlen(folder), "/e%06d-r000000.journal", 2);
        unlink(path);
        snprintf(path + strlen(folder), sizeof path - strlen(folder), "/e%06d-r000000.journal", 1);
    }
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {TEST(chunks_stay_over_starts), TEST(damage_costs_a_chunk)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
