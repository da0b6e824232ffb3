/* Journals of all ranks become one generation, whatever the number of ranks; all ranks can read afterwards; what
 * is damaged is found by whoever reads it, and rank 0 knows. */
#include "test_util.h"

#include "exaconn/comm.h"
#include "exaconn/consolidation.h"
#include "exaconn/file.h"
#include "exaconn/log.h"

#include <mpi.h>

#define IDENTITY "a run of a test\n"

static char folder[4096], journals[4200], checkpoints[4200], run[EXA_SHA256_HEX_BYTES];
static exa_chunk_grid grid;

static int set_up(void **state) {
    const exa_box box = {{0, 0, 0}, {40, 24, 16}};
    (void)state;
    exa_log_set_level(EXA_LOG_ERROR);
    if (exa_comm_rank() == 0) snprintf(folder, sizeof folder, "%s", test_make_folder());
    if (exa_comm_broadcast(folder, sizeof folder) != EXA_OK) return 1;
    snprintf(journals, sizeof journals, "%s/journals", folder);
    snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", folder);
    if (exa_sha256(IDENTITY, strlen(IDENTITY), run) != EXA_OK) return 1;
    return exa_chunk_grid_make(&box, (exa_coord[]){8, 8, 8}, (exa_coord[]){2, 2, 2}, (exa_coord[]){5, 5, 5}, 100,
                               &grid);
}

static int tear_down(void **state) {
    (void)state;
    MPI_Barrier(MPI_COMM_WORLD);
    if (exa_comm_rank() == 0) test_remove_folder(folder);
    return 0;
}

static size_t labels_of(exa_chunkid k, int32_t labels[12 * 12 * 12]) {
    exa_box box = exa_chunk_grid_box(&grid, k);
    size_t n = (size_t)(box.shape[0] * box.shape[1] * box.shape[2]);
    uint64_t seed = k + 1;
    for (size_t i = 0; i < n; i++) labels[i] = (int32_t)(test_random(&seed) % 4);
    return n;
}

static exa_chunk_store *open_store(void) {
    exa_chunk_store *s = NULL;
    assert_ok(exa_chunk_store_open(journals, checkpoints, run, &grid, exa_comm_rank() == 0, &s));
    MPI_Barrier(MPI_COMM_WORLD);
    return s;
}

/* The chunks [first, end) go to the ranks, most of them to the last one. */
static void put(exa_chunkid first, exa_chunkid end) {
    exa_chunk_store *s = open_store();
    uint32_t epoch = exa_chunk_store_next_epoch(s);
    int32_t labels[12 * 12 * 12];
    char details[] = "details";

    assert_ok(exa_comm_broadcast(&epoch, sizeof epoch));
    assert_ok(exa_chunk_store_begin(s, epoch, (uint32_t)exa_comm_rank(), 1));
    for (exa_chunkid k = first; k < end; k++) {
        int whose = k % 3 ? exa_comm_size() - 1 : (int)(k / 3) % exa_comm_size();
        if (whose != exa_comm_rank()) continue;
        labels_of(k, labels);
        const exa_chunk_record r = {k, labels, NULL, details, sizeof details};
        assert_ok(exa_chunk_store_put(s, &r));
    }
    exa_chunk_store_close(&s);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void consolidate(exa_consolidated *done) {
    const exa_consolidation o = {IDENTITY, "{}", run, 2};
    exa_chunk_store *s = open_store();
    assert_ok(exa_consolidate(s, &o, done));
    exa_chunk_store_close(&s);
    MPI_Barrier(MPI_COMM_WORLD);
}

/* Every rank reads every chunk below `end`. */
static void check_all(exa_chunkid end) {
    exa_chunk_store *s = open_store();
    int32_t want[12 * 12 * 12], got[12 * 12 * 12];

    assert_ok(exa_chunk_store_share(s));
    assert_int_equal(exa_chunk_store_count(s), end);
    for (exa_chunkid k = 0; k < grid.chunks; k++) {
        assert_int_equal(exa_chunk_store_has(s, k), k < end);
        if (k >= end) continue;
        size_t n = labels_of(k, want);
        assert_ok(exa_chunk_store_labels(s, k, got));
        assert_memory_equal(got, want, 4 * n);
    }
    exa_chunk_store_close(&s);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void journals_of_all_become_one(void **state) {
    exa_consolidated done;
    (void)state;
    put(0, 11);
    check_all(11);
    consolidate(&done);
    assert_true(done.number == 1 && done.chunks == 11);
    if (exa_comm_rank() == 0) assert_int_equal(done.journals, exa_comm_size());
    check_all(11);
    put(11, 12);
    consolidate(&done);
    put(12, grid.chunks - 2);
    check_all(grid.chunks - 2);
    consolidate(&done);
    assert_true(done.number == 3 && done.chunks == grid.chunks - 2);
    if (exa_comm_rank() == 0) assert_int_equal(done.generations, 1);
    check_all(grid.chunks - 2);
}

/* The middle of the file of the last of two generations is overwritten: what the first has is there, the rest gone,
 * and rank 0 knows it, whoever found it. */
static void damage_is_found_by_all(void **state) {
    exa_consolidated done;
    exa_chunk_store *s;
    int32_t want[12 * 12 * 12], got[12 * 12 * 12];
    char path[4300], *bytes;
    size_t size;
    (void)state;
    put(0, 5);
    consolidate(&done);
    put(5, grid.chunks);
    consolidate(&done);
    snprintf(path, sizeof path, "%s/gen-000002.h5", checkpoints);
    if (exa_comm_rank() == 0) {
        assert_ok(exa_file_read_all(path, 1 << 26, &bytes, &size));
        for (size_t i = size / 4; i < size; i += 900) bytes[i] ^= 64;
        assert_ok(exa_file_write_atomic(path, bytes, size));
        free(bytes);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    s = open_store();
    assert_ok(exa_chunk_store_check(s));
    if (exa_comm_rank() == 0) {
        uint64_t there = 0;
        for (exa_chunkid k = 0; k < grid.chunks; k++) {
            if (!exa_chunk_store_has(s, k)) continue;
            there++;
            size_t n = labels_of(k, want);
            assert_ok(exa_chunk_store_labels(s, k, got));
            assert_memory_equal(got, want, 4 * n);
        }
        assert_true(there >= 5 && there < grid.chunks && there == exa_chunk_store_count(s));
        for (exa_chunkid k = 0; k < 5; k++) assert_true(exa_chunk_store_has(s, k));
    }
    exa_chunk_store_close(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(journals_of_all_become_one, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_is_found_by_all, set_up, tear_down),
    };
    int failed;
    if (exa_comm_init() != EXA_OK) return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    exa_comm_finalize();
    return failed;
}
