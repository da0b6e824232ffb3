/* The chunk grid: a curve without gaps or jumps, cores that tile the box, ids that fit, and extents of 10 EB. */
#include "test_util.h"

#include "exaconn/chunk_grid.h"

/* A grid of count chunks of 4 x 5 x 6 voxels with a halo of 2. */
static exa_chunk_grid grid_of(int64_t z, int64_t y, int64_t x) {
    const exa_box box = {{10, 20, 30}, {4 * z, 5 * y, 6 * x}};
    exa_chunk_grid g;
    assert_ok(exa_chunk_grid_make(&box, (exa_coord[]){4, 5, 6}, (exa_coord[]){2, 2, 2}, (exa_coord[]){1, 1, 1},
                                  1000, &g));
    return g;
}

/* In a cube of 2^n chunks a side, each chunk of the curve is a face neighbour of the one before: this is what makes
 * it Hilbert's. */
static void curve_goes_by_faces_in_cubes(void **state) {
    (void)state;
    for (int64_t side = 1; side <= 32; side *= 2) {
        exa_chunk_grid g = grid_of(side, side, side);
        int64_t last[3] = {0, 0, 0};
        for (exa_chunkid k = 0; k < g.chunks; k++) {
            int64_t at[3];
            exa_chunk_grid_position(&g, k, at);
            if (k > 0)
                assert_int_equal(llabs(at[0] - last[0]) + llabs(at[1] - last[1]) + llabs(at[2] - last[2]), 1);
            memcpy(last, at, sizeof last);
        }
    }
}

/* Number > place > number, and every place once, in grids of all shapes. */
static void number_and_place_follow_from_each_other(void **state) {
    static const int64_t counts[][3] = {{1, 1, 1},  {5, 3, 7},    {1, 1, 100}, {100, 1, 1}, {1, 33, 2},
                                        {2, 40, 3}, {17, 17, 17}, {9, 8, 7},   {3, 64, 65}, {1, 129, 31}};
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        const int64_t *n = counts[i];
        exa_chunk_grid g = grid_of(n[0], n[1], n[2]);
        uint8_t *seen = calloc((size_t)g.chunks, 1);
        assert_non_null(seen);
        assert_int_equal(g.chunks, n[0] * n[1] * n[2]);
        for (exa_chunkid k = 0; k < g.chunks; k++) {
            int64_t at[3];
            size_t place;
            exa_chunk_grid_position(&g, k, at);
            for (int a = 0; a < 3; a++) assert_true(at[a] >= 0 && at[a] < n[a]);
            place = (size_t)((at[0] * n[1] + at[1]) * n[2] + at[2]);
            assert_int_equal(seen[place], 0);
            seen[place] = 1;
            assert_int_equal(exa_chunk_grid_at(&g, at), k);
        }
        free(seen);
    }
}

/* Faces of the chunks [first, end) to chunks outside that range. */
static int64_t surface(const exa_chunk_grid *g, exa_chunkid first, exa_chunkid end) {
    static const int faces[6][3] = {{-1, 0, 0}, {1, 0, 0}, {0, -1, 0}, {0, 1, 0}, {0, 0, -1}, {0, 0, 1}};
    int64_t n = 0;
    for (exa_chunkid k = first; k < end; k++) {
        for (int f = 0; f < 6; f++) {
            exa_chunkid other;
            if (exa_chunk_grid_neighbour(g, k, faces[f], &other)) n += other < first || other >= end;
        }
    }
    return n;
}

/* What the order is for: a run of consecutive chunks, of any length and anywhere, shares few faces with the rest,
 * not far more than a cube of them would. */
static void runs_of_chunks_are_compact(void **state) {
    const exa_chunk_grid g = grid_of(20, 50, 50);
    (void)state;
    for (exa_chunkid length = 64; length <= 16384; length *= 4) {
        double faces = 0, runs = 0, cube = 0;
        for (exa_chunkid first = 0; first + length <= g.chunks; first += length, runs++)
            faces += (double)surface(&g, first, first + length);
        while ((cube + 1) * (cube + 1) * (cube + 1) <= (double)length) cube++;
        assert_true(faces / runs < 1.6 * 6 * cube * cube);
    }
}

static void neighbours_end_at_the_grid(void **state) {
    const exa_chunk_grid g = grid_of(3, 4, 5);
    (void)state;
    for (exa_chunkid k = 0; k < g.chunks; k++) {
        int64_t at[3], there[3];
        exa_chunk_grid_position(&g, k, at);
        for (int code = 0; code < 27; code++) {
            const int offset[3] = {code / 9 - 1, code / 3 % 3 - 1, code % 3 - 1};
            exa_chunkid other = UINT64_MAX;
            bool inside = true;
            for (int a = 0; a < 3; a++) inside = inside && at[a] + offset[a] >= 0 && at[a] + offset[a] < g.count[a];
            assert_int_equal(exa_chunk_grid_neighbour(&g, k, offset, &other), inside);
            if (!inside) {
                assert_true(other == UINT64_MAX);
                continue;
            }
            exa_chunk_grid_position(&g, other, there);
            for (int a = 0; a < 3; a++) assert_int_equal(there[a], at[a] + offset[a]);
        }
    }
}

/* A box that is no multiple of the chunk: every voxel in exactly one core, every core in its box, every halo full
 * where there is something to read. */
static void cores_tile_the_box(void **state) {
    const exa_box all = {{100, 7, 0}, {37, 50, 23}};
    const exa_coord core[3] = {10, 16, 11}, halo[3] = {3, 0, 20}, least[3] = {12, 9, 23};
    exa_chunk_grid g;
    uint8_t *covered = calloc(37 * 50 * 23, 1);
    int64_t most = 0, largest;
    (void)state;
    assert_non_null(covered);
    assert_ok(exa_chunk_grid_make(&all, core, halo, least, 1, &g));
    for (exa_chunkid k = 0; k < g.chunks; k++) {
        exa_box c = exa_chunk_grid_core(&g, k), b = exa_chunk_grid_box(&g, k);
        int64_t voxels;
        assert_true(exa_box_inside(&c, &b));
        assert_true(exa_box_inside(&b, &all));
        for (int a = 0; a < 3; a++) {
            exa_coord low = c.start[a] - halo[a] > all.start[a] ? c.start[a] - halo[a] : all.start[a];
            exa_coord end = all.start[a] + all.shape[a], high = c.start[a] + c.shape[a] + halo[a];
            if (high > end) high = end;
            assert_true(b.shape[a] >= least[a]);
            assert_true(b.start[a] <= low && b.start[a] + b.shape[a] >= high);
            if (high - low >= least[a]) assert_true(b.start[a] == low && b.shape[a] == high - low);
        }
        assert_ok(exa_box_voxels(&b, &voxels));
        if (voxels > most) most = voxels;
        for (exa_coord z = c.start[0]; z < c.start[0] + c.shape[0]; z++) {
            for (exa_coord y = c.start[1]; y < c.start[1] + c.shape[1]; y++) {
                for (exa_coord x = c.start[2]; x < c.start[2] + c.shape[2]; x++)
                    covered[((z - 100) * 50 + y - 7) * 23 + x]++;
            }
        }
    }
    for (size_t i = 0; i < 37 * 50 * 23; i++) assert_int_equal(covered[i], 1);
    assert_ok(exa_chunk_grid_voxels_max(&g, &largest));
    assert_true(most <= largest);
    assert_int_equal(largest, 16 * 16 * 23);
    free(covered);
}

/* 10 EB of one byte a voxel is more than 2^63 bytes: chunks of 512^3 and of 100 GB. */
static void extents_of_10_eb(void **state) {
    const exa_box box = {{0, 0, 0}, {2154435, 2154435, 2154435}};
    const exa_coord least[3] = {33, 33, 33}, halo[3] = {32, 32, 32};
    static const exa_coord sides[] = {512, 4642};
    uint64_t seed = 1;
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const exa_coord core[3] = {sides[i], sides[i], sides[i]};
        exa_chunk_grid g;
        assert_ok(
            exa_chunk_grid_make(&box, core, halo, least, (uint64_t)(sides[i] * sides[i] * sides[i] / 1000), &g));
        assert_int_equal(g.chunks, i ? 465ull * 465 * 465 : 4208ull * 4208 * 4208);
        for (int t = 0; t < 2000; t++) {
            exa_chunkid k = t == 0 ? 0 : t == 1 ? g.chunks - 1 : test_random(&seed) % g.chunks;
            int64_t at[3];
            exa_segid id;
            exa_chunk_grid_position(&g, k, at);
            assert_int_equal(exa_chunk_grid_at(&g, at), k);
            assert_ok(exa_supervoxel_make(&g, k, 12345, &id));
            assert_int_equal(exa_supervoxel_chunk(&g, id), k);
            assert_int_equal(exa_supervoxel_local(&g, id), 12345);
        }
    }
}

static void ids_differ_and_do_not_overflow(void **state) {
    const exa_chunk_grid g = grid_of(5, 5, 5);
    exa_segid last = 0, id;
    (void)state;
    assert_int_equal(g.local_bits, 10);
    for (exa_chunkid k = 0; k < g.chunks; k++) {
        for (uint64_t local = 1; local <= 1000; local += 333) {
            assert_ok(exa_supervoxel_make(&g, k, local, &id));
            assert_true(id > last);
            last = id;
        }
    }
    assert_fails(EXA_ERR_RANGE, "segment 1024 of chunk 7", exa_supervoxel_make(&g, 7, 1024, &id));
}

static void impossible_grids_are_refused(void **state) {
    const exa_box box = {{0, 0, 0}, {100, 100, 100}}, vast = {{0, 0, 0}, {INT64_MAX, INT64_MAX, INT64_MAX}};
    const exa_coord one[3] = {1, 1, 1}, none[3] = {0, 0, 0}, big[3] = {1, 101, 1};
    exa_chunk_grid g = {.chunks = 42};
    (void)state;
    assert_fails(EXA_ERR_RANGE, "at least 1 voxel", exa_chunk_grid_make(&box, none, one, one, 1, &g));
    assert_fails(EXA_ERR_RANGE, "axis y", exa_chunk_grid_make(&box, one, one, big, 1, &g));
    assert_fails(EXA_ERR_RANGE, "2^62", exa_chunk_grid_make(&vast, one, none, none, 1, &g));
    assert_fails(EXA_ERR_RANGE, "ids of 82 bits", exa_chunk_grid_make(&box, one, none, none, UINT64_MAX >> 2, &g));
    assert_fails(EXA_ERR_RANGE, "64",
                 exa_chunk_grid_make(&box, (exa_coord[]){100, 100, 100}, none, none, UINT64_MAX, &g));
    assert_int_equal(g.chunks, 42);
    assert_ok(exa_chunk_grid_make(&vast, (exa_coord[]){INT64_MAX, INT64_MAX, INT64_MAX}, one, one, 1, &g));
    assert_int_equal(g.chunks, 1);
    assert_int_equal(exa_chunk_grid_box(&g, 0).shape[2], INT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(curve_goes_by_faces_in_cubes),
        cmocka_unit_test(number_and_place_follow_from_each_other),
        cmocka_unit_test(runs_of_chunks_are_compact),
        cmocka_unit_test(neighbours_end_at_the_grid),
        cmocka_unit_test(cores_tile_the_box),
        cmocka_unit_test(extents_of_10_eb),
        cmocka_unit_test(ids_differ_and_do_not_overflow),
        cmocka_unit_test(impossible_grids_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
