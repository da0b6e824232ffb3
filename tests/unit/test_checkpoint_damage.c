/* Journals and generations hit at more than a thousand random places, by flipped bits, garbage, holes and cuts:
 * whatever is read afterwards is what was written, and only what was hit is missing. */
#include "test_util.h"

#include "exaconn/consolidation.h"
#include "exaconn/file.h"
#include "exaconn/generation.h"
#include "exaconn/log.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define IDENTITY "a run of a test\n"
#define JOB "{\"volume\": \"v.h5:/raw\"}"
enum {
    CHUNKS = 18,
    FIRST = 8,
    SECOND = 14
}; /* in the first generation; in the second; all the rest in a journal */

static char folder[4096], journals[4200], checkpoints[4200], run[EXA_SHA256_HEX_BYTES];
static exa_chunk_grid grid;

static int set_up(void **state) {
    const exa_box box = {{0, 0, 0}, {20, 24, 16}};
    (void)state;
    exa_log_set_level(EXA_LOG_ERROR);
    snprintf(folder, sizeof folder, "%s", test_make_folder());
    snprintf(journals, sizeof journals, "%s/journals", folder);
    snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", folder);
    if (exa_sha256(IDENTITY, strlen(IDENTITY), run) != EXA_OK) return 1;
    return exa_chunk_grid_make(&box, (exa_coord[]){8, 8, 8}, (exa_coord[]){2, 2, 2}, (exa_coord[]){5, 5, 5}, 100,
                               &grid);
}

static int tear_down(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

typedef struct content {
    int32_t labels[12 * 12 * 12];
    uint8_t probability[12 * 12 * 12];
    char details[2000];
    size_t voxels, details_size;
} content;

static void content_of(exa_chunkid k, content *c) {
    exa_box box = exa_chunk_grid_box(&grid, k);
    uint64_t seed = k + 1;
    c->voxels = (size_t)(box.shape[0] * box.shape[1] * box.shape[2]);
    for (size_t i = 0; i < c->voxels; i++) c->labels[i] = (int32_t)(test_random(&seed) % 4);
    for (size_t i = 0; i < c->voxels; i++) c->probability[i] = (uint8_t)test_random(&seed);
    c->details_size = 64 + 100 * k;
    for (size_t i = 0; i < c->details_size; i++) c->details[i] = (char)test_random(&seed);
}

static exa_chunk_store *open_store(void) {
    exa_chunk_store *s = NULL;
    assert_ok(exa_chunk_store_open(journals, checkpoints, run, &grid, true, &s));
    return s;
}

static void put(exa_chunkid first, exa_chunkid end) {
    exa_chunk_store *s = open_store();
    content c;
    assert_ok(exa_chunk_store_begin(s, exa_chunk_store_next_epoch(s), 0, 1));
    for (exa_chunkid k = first; k < end; k++) {
        content_of(k, &c);
        const exa_chunk_record r = {k, c.labels, k % 2 ? NULL : c.probability, c.details, c.details_size};
        assert_ok(exa_chunk_store_put(s, &r));
    }
    exa_chunk_store_close(&s);
}

static exa_status consolidate(uint32_t keep, exa_consolidated *done) {
    const exa_consolidation o = {IDENTITY, JOB, run, keep};
    exa_chunk_store *s = open_store();
    exa_status st = exa_consolidate(s, &o, done);
    exa_chunk_store_close(&s);
    return st;
}

/* Reads whatever is said to be there; bit k of the result is set if chunk k is. */
static uint32_t read_all(bool checked, uint64_t *damaged) {
    static content c, got;
    exa_chunk_store *s = open_store();
    uint32_t there = 0;
    void *details;
    size_t size;

    if (checked) assert_ok(exa_chunk_store_check(s));
    for (exa_chunkid k = 0; k < grid.chunks; k++) {
        if (!exa_chunk_store_has(s, k)) continue;
        content_of(k, &c);
        exa_status st = exa_chunk_store_labels(s, k, got.labels);
        if (checked) assert_int_equal(st, EXA_OK);
        if (st != EXA_OK) continue;
        assert_memory_equal(got.labels, c.labels, 4 * c.voxels);
        if (k % 2 == 0) {
            st = exa_chunk_store_probability(s, k, got.probability);
            if (checked) assert_int_equal(st, EXA_OK);
            if (st == EXA_OK) assert_memory_equal(got.probability, c.probability, c.voxels);
        }
        st = exa_chunk_store_details(s, k, &details, &size);
        if (checked) assert_int_equal(st, EXA_OK);
        if (st != EXA_OK) continue;
        assert_int_equal(size, c.details_size);
        assert_memory_equal(details, c.details, size);
        free(details);
        there |= 1u << k;
    }
    const exa_chunk_store_report *r = exa_chunk_store_get_report(s);
    if (damaged) *damaged = r->damaged + r->damaged_generations + r->cut;
    if (checked) assert_int_equal(__builtin_popcount(there), exa_chunk_store_count(s));
    exa_chunk_store_close(&s);
    return there;
}

static uint32_t bits(exa_chunkid first, exa_chunkid end) {
    return (uint32_t)((((uint64_t)1 << end) - 1) & ~(((uint64_t)1 << first) - 1));
}

/* Two generations, of which the second has all of the first, and a journal of the rest. */
static void make_run(void) {
    exa_consolidated done;
    put(0, FIRST);
    assert_ok(consolidate(2, &done));
    assert_true(done.number == 1 && done.chunks == FIRST && done.journals == 1 && done.generations == 0);
    put(FIRST, SECOND);
    assert_ok(consolidate(2, &done));
    assert_true(done.number == 2 && done.chunks == SECOND && done.journals == 1 && done.generations == 0);
    put(SECOND, CHUNKS);
}

static void journals_become_generations(void **state) {
    exa_consolidated done;
    (void)state;
    assert_ok(consolidate(2, &done));
    assert_int_equal(done.number, 0); /* nothing there */
    make_run();
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
    assert_int_equal(test_count_files(journals), 1);
    assert_ok(consolidate(1, &done));
    assert_true(done.number == 3 && done.chunks == CHUNKS && done.journals == 1 && done.generations == 2);
    assert_int_equal(test_count_files(journals) + test_count_files(checkpoints), 1);
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
    assert_ok(consolidate(1, &done));
    assert_int_equal(done.number, 0); /* nothing new */
    exa_chunk_store *s = open_store();
    assert_int_equal(exa_chunk_store_next_epoch(s), 4); /* although the journals are gone */
    exa_chunk_store_close(&s);
    assert_fails(EXA_ERR_CHECKPOINT, "another run",
                 exa_chunk_store_open(journals, checkpoints,
                                      "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &grid,
                                      true, &s));
    bool empty;
    assert_ok(exa_chunk_store_clear(journals, checkpoints, &empty));
    assert_false(empty);
}

/* One way of hitting a file of `size` bytes at `at`. */
static size_t hit(unsigned char *bytes, size_t size, size_t at, uint64_t *seed) {
    size_t n = size - at < 4096 ? size - at : 4096;
    switch (test_random(seed) % 8) {
    case 0: return at;                             /* cut */
    case 1: memset(bytes + at, 0, n); return size; /* a block that was never written */
    case 2:                                        /* garbage */
        for (size_t i = 0; i < (n < 64 ? n : 64); i++) bytes[at + i] = (unsigned char)test_random(seed);
        return size;
    default: bytes[at] ^= (unsigned char)(1u << test_random(seed) % 8); return size;
    }
}

/* Hits a file `times`; chunks `safe` must survive all of it. Half of the hits lie where HDF5 keeps its metadata. */
static void hit_file(const char *path, int times, uint32_t safe, uint64_t seed) {
    unsigned char *whole, *bytes;
    uint64_t harmless = 0, damaged;
    size_t size;

    assert_ok(exa_file_read_all(path, 1 << 26, (char **)&whole, &size));
    bytes = malloc(size);
    for (int t = 0; t < times; t++) {
        size_t at = t % 2 && size > 6000 ? test_random(&seed) % 6000 : test_random(&seed) % size;
        memcpy(bytes, whole, size);
        size_t now = hit(bytes, size, at, &seed);
        assert_ok(exa_file_write_atomic(path, bytes, now));
        uint32_t there = read_all(true, &damaged);
        if ((there & safe) != safe) fail_msg("hit %d at %zu of %s: %x", t, at, path, there);
        if (there != bits(0, CHUNKS)) assert_true(damaged > 0 || now < 64);
        harmless += damaged == 0;
        if (t % 10 == 0) read_all(false, NULL);
    }
    printf("%s: %llu of %d hits were harmless\n", exa_path_basename(path), (unsigned long long)harmless, times);
    assert_true(harmless < (uint64_t)times * 3 / 4); /* texts, filling, and what newer generations have, too */
    assert_ok(exa_file_write_atomic(path, whole, size));
    assert_int_equal(read_all(true, &damaged), bits(0, CHUNKS));
    assert_int_equal(damaged, 0);
    free(whole);
    free(bytes);
}

static void no_hit_gives_a_wrong_label(void **state) {
    char path[4300];
    (void)state;
    make_run();
    snprintf(path, sizeof path, "%s/gen-000002.h5", checkpoints);
    hit_file(path, 600, bits(0, FIRST) | bits(SECOND, CHUNKS), 1);
    snprintf(path, sizeof path, "%s/e000003-r000000.journal", journals);
    hit_file(path, 300, bits(0, SECOND), 2);
    snprintf(path, sizeof path, "%s/gen-000001.h5", checkpoints);
    hit_file(path, 300, bits(SECOND, CHUNKS), 3);
}

/* What was hit is put again, and the next generation is whole. */
static void damage_is_mended(void **state) {
    char path[4300], *bytes;
    size_t size;
    exa_consolidated done;
    uint32_t there;
    (void)state;
    make_run();
    snprintf(path, sizeof path, "%s/gen-000002.h5", checkpoints);
    assert_ok(exa_file_read_all(path, 1 << 26, &bytes, &size));
    bytes[size - 300] ^= 1; /* in the last part written */
    memset(bytes + size / 2, 7, 64);
    assert_ok(exa_file_write_atomic(path, bytes, size));
    free(bytes);
    there = read_all(true, NULL);
    assert_true(there != bits(0, CHUNKS));
    for (exa_chunkid k = 0; k < CHUNKS; k++)
        if (!(there >> k & 1)) put(k, k + 1);
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
    assert_ok(consolidate(2, &done));
    assert_true(done.number == 3 && done.chunks == CHUNKS && done.generations == 1);
    assert_ok(unlink(path) == 0 ? EXA_OK : EXA_ERR_IO); /* the damaged one is not needed */
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
}

/* As on a full disk: an error, nothing lost, nothing left over; later it succeeds. */
static void a_full_disk_costs_nothing(void **state) {
    struct rlimit before, small;
    exa_consolidated done;
    (void)state;
    make_run();
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    for (rlim_t limit = 512; limit < 60000; limit = limit * 3 / 2) {
        small = (struct rlimit){limit, before.rlim_max};
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
        exa_status st = consolidate(2, &done);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
        if (st != EXA_ERR_IO || !strstr(exa_error_last()->message, "gen-000003.h5"))
            fail_msg("limit %llu: status %d, %s", (unsigned long long)limit, (int)st, exa_error_last()->message);
        assert_int_equal(test_count_files(journals), 1);
        assert_int_equal(test_count_files(checkpoints), 2);
    }
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
    assert_ok(consolidate(2, &done));
    assert_int_equal(done.number, 3);
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
}

/* What a killed consolidation left goes; what only looks like it stays. */
static void leftovers_are_removed(void **state) {
    char path[4300];
    exa_consolidated done;
    (void)state;
    make_run();
    snprintf(path, sizeof path, "%s/gen-000003.h5.tmp-17", checkpoints);
    assert_ok(exa_file_write_atomic(path, "half", 4));
    snprintf(path, sizeof path, "%s/gen-notes.txt", checkpoints);
    assert_ok(exa_file_write_atomic(path, "mine", 4));
    assert_int_equal(read_all(true, NULL), bits(0, CHUNKS));
    assert_ok(consolidate(2, &done));
    assert_int_equal(done.number, 3);
    assert_int_equal(test_count_files(checkpoints), 3); /* two generations and the notes */
    assert_true(exa_file_exists(path));
}

static void interval_is_the_best(void **state) {
    (void)state;
    assert_true(exa_consolidation_interval_s(0, 3600) == 0 && exa_consolidation_interval_s(1, 0) == 0);
    assert_true(exa_consolidation_interval_s(100, 40) == 40);
    for (double cost = 1; cost < 1000; cost *= 3) {
        /* Daly's model of the time a run takes: M exp(R/M) (exp((tau + delta)/M) - 1) Ts / tau; R is no matter. */
        const double mtbf = 86400, best = exa_consolidation_interval_s(cost, mtbf);
        double at_best = (__builtin_exp((best + cost) / mtbf) - 1) / best;
        for (double other = best / 4; other < 4 * best; other *= 1.1)
            assert_true((__builtin_exp((other + cost) / mtbf) - 1) / other > at_best * (1 - 1e-6));
    }
}

/* Under LeakSanitizer: a file that HDF5 cannot write to its end it cannot free either. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libhdf5";
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(journals_become_generations), TEST(no_hit_gives_a_wrong_label), TEST(damage_is_mended),
        TEST(a_full_disk_costs_nothing),   TEST(leftovers_are_removed),      TEST(interval_is_the_best),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
