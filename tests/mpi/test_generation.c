/* Generations written by all ranks together: what comes back is what went in, whatever the shares; what fails on
 * one rank fails on all, and leaves nothing. */
#include "test_util.h"

#include "exaconn/comm.h"
#include "exaconn/file.h"
#include "exaconn/generation.h"

#include <mpi.h>

#define IDENTITY "a run of a test\n"

static char folder[EXA_PATH_BYTES];

static int set_up(void **state) {
    (void)state;
    if (exa_comm_rank() == 0) snprintf(folder, sizeof folder, "%s", test_make_folder());
    return exa_comm_broadcast(folder, sizeof folder) != EXA_OK;
}

static int tear_down(void **state) {
    (void)state;
    MPI_Barrier(MPI_COMM_WORLD);
    if (exa_comm_rank() == 0) test_remove_folder(folder);
    return 0;
}

typedef struct made {
    uint64_t large;                 /* bytes of the labels of chunk 5 */
    int fail_rank;                  /* whose reading fails; -1: nobody's */
    const exa_generation_row *rows; /* borrowed */
} made;

static void fill(exa_chunkid k, int part, unsigned char *bytes, size_t size) {
    uint64_t seed = 1000 * k + (uint64_t)part;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i % 16 ? (i / 16) % 7 : test_random(&seed) % 5);
}

static exa_status read_made(void *context, uint64_t row, exa_chunk_part part, void *bytes) {
    const made *m = context;
    if (exa_comm_rank() == m->fail_rank && row > 2) return EXA_FAIL(EXA_ERR_CORRUPT, "not to be read");
    fill(m->rows[row].chunk, part, bytes, (size_t)m->rows[row].size[part]);
    return EXA_OK;
}

enum { MOST = 40 };

/* Odd sizes, some chunks without probability; every third number is missing. */
static uint64_t make_rows(exa_generation_row rows[MOST], uint64_t count, uint64_t large) {
    memset(rows, 0, MOST * sizeof rows[0]);
    for (uint64_t i = 0; i < count; i++) {
        exa_generation_row *r = &rows[i];
        r->chunk = i * 3 / 2;
        r->box = (exa_box){{(int64_t)i, 5, 1}, {2, 3, (int64_t)(100 * i + 7)}};
        r->size[EXA_CHUNK_LABELS] = r->chunk == 6 ? large : 24 * (100 * i + 7);
        r->size[EXA_CHUNK_PROBABILITY] = i % 4 ? r->size[EXA_CHUNK_LABELS] / 4 : 0;
        r->size[EXA_CHUNK_DETAILS] = 17 * i * i * i;
    }
    return count;
}

static exa_status write_made(const char *path, exa_generation_row *rows, uint64_t count, made *m) {
    exa_generation_source s = {.info = {.number = 3, .chunks = 100, .epoch = 7},
                               .identity = IDENTITY,
                               .job = "{\"job\": 1}",
                               .rows = rows,
                               .count = count,
                               .zstd_level = 1,
                               .read = read_made,
                               .context = m};
    m->rows = rows;
    assert_ok(exa_sha256(IDENTITY, strlen(IDENTITY), s.info.run_sha256));
    return exa_generation_write(path, &s);
}

static void check_whole(const char *path, const exa_generation_row *rows, uint64_t count) {
    char run[EXA_SHA256_HEX_BYTES], *text;
    exa_generation *g;
    assert_ok(exa_sha256(IDENTITY, strlen(IDENTITY), run));
    assert_ok(exa_generation_open(path, run, &g));
    const exa_generation_info *info = exa_generation_get_info(g);
    assert_true(info->number == 3 && info->chunks == 100 && info->epoch == 7 && info->rows == count);
    assert_int_equal(info->damaged_rows, 0);
    assert_ok(exa_generation_identity(g, &text));
    assert_string_equal(text, IDENTITY);
    free(text);
    assert_ok(exa_generation_job(g, &text));
    assert_string_equal(text, "{\"job\": 1}");
    free(text);
    for (uint64_t i = 0; i < count; i++) {
        const exa_generation_row *r = &exa_generation_rows(g)[i];
        assert_true(r->whole && r->chunk == rows[i].chunk);
        assert_memory_equal(&r->box, &rows[i].box, sizeof r->box);
        for (int p = 0; p < EXA_CHUNK_PARTS; p++) {
            size_t n = (size_t)r->size[p];
            unsigned char *got = malloc(n + 1), *want = malloc(n + 1);
            assert_int_equal(n, rows[i].size[p]);
            fill(r->chunk, p, want, n);
            assert_ok(exa_generation_read(g, i, (exa_chunk_part)p, got));
            assert_memory_equal(got, want, n);
            free(got);
            free(want);
        }
    }
    exa_generation_close(&g);
    assert_fails(EXA_ERR_CHECKPOINT, "another run",
                 exa_generation_open(path, "f123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &g));
}

static void comes_back(void **state) {
    static const uint64_t counts[] = {1, 2, 3, 17, MOST};
    exa_generation_row rows[MOST];
    char path[EXA_PATH_BYTES];
    (void)state;
    assert_ok(exa_path_join(path, folder, "gen-000003.h5"));
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        made m = {.fail_rank = -1};
        make_rows(rows, counts[i], 2400);
        assert_ok(write_made(path, rows, counts[i], &m));
        check_whole(path, rows, counts[i]);
        MPI_Barrier(MPI_COMM_WORLD);
    }
}

/* A chunk larger than a piece, not a multiple of anything; one rank has nearly everything. */
static void one_large_chunk(void **state) {
    exa_generation_row rows[MOST];
    char path[EXA_PATH_BYTES];
    made m = {.fail_rank = -1};
    (void)state;
    assert_ok(exa_path_join(path, folder, "gen-000003.h5"));
    make_rows(rows, 9, (uint64_t)4 * 9000001);
    assert_ok(write_made(path, rows, 9, &m));
    check_whole(path, rows, 9);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void fails_on_all(void **state) {
    exa_generation_row rows[MOST];
    char path[EXA_PATH_BYTES];
    (void)state;
    assert_ok(exa_path_join(path, folder, "gen-000003.h5"));
    for (int rank = 0; rank < exa_comm_size(); rank++) {
        made m = {.fail_rank = rank};
        make_rows(rows, MOST, 2400);
        assert_int_equal(write_made(path, rows, MOST, &m), EXA_ERR_CORRUPT);
        MPI_Barrier(MPI_COMM_WORLD);
        assert_int_equal(test_count_files(folder), 0);
        MPI_Barrier(MPI_COMM_WORLD);
    }
    made m = {.fail_rank = -1};
    assert_int_not_equal(write_made("/nowhere/at/all/gen-000003.h5", rows, MOST, &m), EXA_OK);
}

static void shares_cover_all_once(void **state) {
    exa_generation_row rows[MOST];
    (void)state;
    for (int size = 1; size < 60; size += 7) {
        uint64_t next = 0, first, end;
        make_rows(rows, MOST, 2400);
        for (int rank = 0; rank < size; rank++) {
            exa_generation_share(rows, MOST, rank, size, &first, &end);
            assert_true(first == next || first == end);
            if (first != end) next = end;
        }
        assert_int_equal(next, MOST);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(comes_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(one_large_chunk, set_up, tear_down),
        cmocka_unit_test_setup_teardown(fails_on_all, set_up, tear_down),
        cmocka_unit_test_setup_teardown(shares_cover_all_once, set_up, tear_down),
    };
    int failed = 1;
    if (exa_comm_init() == EXA_OK) failed = cmocka_run_group_tests(tests, NULL, NULL);
    exa_comm_finalize();
    return failed;
}
