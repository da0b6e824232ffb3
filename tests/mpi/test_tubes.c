/* Stitching against connected components: tubes that wind through a thousand chunks, two voxels apart where they
 * meet. The chunks' labels are the connected components of each chunk's box; what stitching makes of them must be
 * the tubes, whatever the chunks' size and the number of ranks. */
#include "test_util.h"

#include "exaconn/agglomeration.h"
#include "exaconn/comm.h"
#include "exaconn/hash.h"
#include "exaconn/reduce.h"
#include "exaconn/seam.h"

#include <mpi.h>

enum { SIDE = 320, TUBES = 60, RADIUS = 2, GAP = 2, STEPS = 1500, VOXELS = SIDE * SIDE * SIDE };

static uint8_t *tubes;   /* of each voxel: its tube from 1, or 0 */
static int32_t *scratch; /* stack of a flood */

static size_t voxel_at(int z, int y, int x) {
    return ((size_t)z * SIDE + (size_t)y) * SIDE + (size_t)x;
}

/* Whether nothing but this tube is within `reach` of a voxel, in each direction. */
static bool is_free(const int at[3], int reach, uint8_t tube) {
    for (int z = at[0] - reach; z <= at[0] + reach; z++)
        for (int y = at[1] - reach; y <= at[1] + reach; y++)
            for (int x = at[2] - reach; x <= at[2] + reach; x++) {
                uint8_t t = tubes[voxel_at(z, y, x)];
                if (t && t != tube) return false;
            }
    return true;
}

static void put_ball(const int at[3], uint8_t tube) {
    for (int z = -RADIUS; z <= RADIUS; z++)
        for (int y = -RADIUS; y <= RADIUS; y++)
            for (int x = -RADIUS; x <= RADIUS; x++)
                if (z * z + y * y + x * x <= RADIUS * RADIUS + 1)
                    tubes[voxel_at(at[0] + z, at[1] + y, at[2] + x)] = tube;
}

/* A walk that mostly goes on as it went, turns where it must, and comes as near to others as the gap allows. */
static void grow_tube(uint8_t tube, uint64_t *seed) {
    int at[3], direction = 0, blocked = 0, margin = RADIUS + GAP + 1;

    do {
        for (int a = 0; a < 3; a++) at[a] = margin + (int)(test_random(seed) % (SIDE - 2 * margin));
    } while (!is_free(at, RADIUS + GAP, tube));
    for (int i = 0; i < STEPS && blocked < 50;) {
        int next[3] = {at[0], at[1], at[2]}, axis;
        if (blocked || test_random(seed) % 16 == 0) direction = (int)(test_random(seed) % 6);
        axis = direction / 2;
        next[axis] += direction % 2 ? 1 : -1;
        if (next[axis] < margin || next[axis] >= SIDE - margin || !is_free(next, RADIUS + GAP, tube)) {
            blocked++;
            continue;
        }
        blocked = 0;
        memcpy(at, next, sizeof at);
        put_ball(at, tube);
        i++;
    }
}

static int make_tubes(void **state) {
    uint64_t seed = 5;
    (void)state;
    tubes = calloc(VOXELS, 1);
    scratch = malloc(VOXELS * sizeof *scratch);
    if (!tubes || !scratch) return -1;
    for (int t = 1; t <= TUBES; t++) grow_tube((uint8_t)t, &seed);
    return 0;
}

static int drop_tubes(void **state) {
    (void)state;
    free(tubes);
    free(scratch);
    return 0;
}

/* ---- what a chunk has: connected components of its box (faces) ----------------------------------------------- */

static void flood(const exa_box *box, int32_t *labels, int64_t from, int32_t label) {
    int64_t n = 0, row = box->shape[2], plane = row * box->shape[1], all = plane * box->shape[0];

    scratch[n++] = (int32_t)from;
    labels[from] = label;
    while (n > 0) {
        int64_t i = scratch[--n], x = i % row, y = i / row % box->shape[1];
        const int64_t step[6] = {-plane, plane, -row, row, -1, 1};
        const bool there[6] = {i >= plane, i<all - plane, y> 0, y<box->shape[1] - 1, x> 0, x < row - 1};
        for (int d = 0; d < 6; d++) {
            if (!there[d] || labels[i + step[d]] != -1) continue;
            labels[i + step[d]] = label;
            scratch[n++] = (int32_t)(i + step[d]);
        }
    }
}

static exa_status components(void *context, exa_chunkid k, int32_t *labels) {
    const exa_box box = exa_chunk_grid_box(context, k);
    int64_t i = 0, voxels = box.shape[0] * box.shape[1] * box.shape[2];
    int32_t n = 0;

    for (int z = 0; z < box.shape[0]; z++)
        for (int y = 0; y < box.shape[1]; y++)
            for (int x = 0; x < box.shape[2]; x++)
                labels[i++] =
                    tubes[voxel_at((int)box.start[0] + z, (int)box.start[1] + y, (int)box.start[2] + x)] ? -1 : 0;
    for (i = 0; i < voxels; i++)
        if (labels[i] == -1) flood(&box, labels, i, ++n);
    return EXA_OK;
}

/* ---- stitching them ------------------------------------------------------------------------------------------ */

typedef struct stitched {
    exa_chunk_grid grid;
    exa_chunkid begin, end;
    exa_segid first[17];
    int32_t *here, *there;
    exa_candidate_list candidates;
    exa_segment *supervoxels;
    size_t count, capacity;
    exa_mapping mapping;
} stitched;

static void cut(stitched *s, exa_coord core, exa_coord halo) {
    const exa_box all = {{0, 0, 0}, {SIDE, SIDE, SIDE}};
    const exa_coord cores[3] = {core, core, core}, halos[3] = {halo, halo, halo}, least[3] = {1, 1, 1};
    uint64_t ranks = (uint64_t)exa_comm_size();
    int64_t voxels;

    *s = (stitched){0};
    assert_ok(exa_chunk_grid_make(&all, cores, halos, least, 4000, &s->grid));
    for (uint64_t r = 0; r <= ranks; r++) s->first[r] = (s->grid.chunks * r / ranks) << s->grid.local_bits;
    s->begin = s->first[exa_comm_rank()] >> s->grid.local_bits;
    s->end = s->first[exa_comm_rank() + 1] >> s->grid.local_bits;
    assert_ok(exa_chunk_grid_voxels_max(&s->grid, &voxels));
    s->here = malloc((size_t)voxels * sizeof *s->here);
    s->there = malloc((size_t)voxels * sizeof *s->there);
}

static void scan(stitched *s, exa_chunkid k) {
    const exa_box box = exa_chunk_grid_box(&s->grid, k), core = exa_chunk_grid_core(&s->grid, k);
    exa_segment *list;
    size_t n;

    assert_ok(exa_segment_scan(s->here, &box, &core, &list, &n));
    assert_ok(exa_grow(&s->supervoxels, &s->capacity, sizeof *list, s->count + n, "supervoxels"));
    for (size_t i = 0; i < n; i++) {
        assert_ok(exa_supervoxel_make(&s->grid, k, list[i].id, &list[i].id));
        s->supervoxels[s->count++] = list[i];
    }
    free(list);
}

static void stitch(stitched *s, const exa_agglomeration_options *options) {
    const exa_seam_source source = {.grid = &s->grid, .labels = components, .context = &s->grid};

    for (exa_chunkid k = s->begin; k < s->end; k++) {
        assert_ok(components(&s->grid, k, s->here));
        scan(s, k);
        assert_ok(exa_seam_candidates(&source, k, s->here, s->there, &s->candidates));
    }
    assert_ok(exa_agglomerate(s->candidates.list, s->candidates.count, s->supervoxels, s->count, s->first, options,
                              &s->mapping));
}

static void drop(stitched *s) {
    free(s->here);
    free(s->there);
    free(s->candidates.list);
    free(s->supervoxels);
    exa_mapping_destroy(&s->mapping);
}

/* ---- what must come out -------------------------------------------------------------------------------------- */

/* Of every voxel of this rank's cores: its tube's name must be one, on all ranks; *split counts tubes with several
 * names, *merged names with several tubes. */
static void compare(stitched *s, uint64_t *split, uint64_t *merged) {
    static exa_segid pair[2 * 65536][2]; /* tube and name, each once; of all ranks at the end */
    size_t n = 0, counts[16], received;
    exa_segid(*all)[2];
    void *in;

    for (exa_chunkid k = s->begin; k < s->end; k++) {
        const exa_box box = exa_chunk_grid_box(&s->grid, k), core = exa_chunk_grid_core(&s->grid, k);
        exa_segid names[4000] = {0};
        components(&s->grid, k, s->here);
        for (exa_coord z = core.start[0]; z < core.start[0] + core.shape[0]; z++)
            for (exa_coord y = core.start[1]; y < core.start[1] + core.shape[1]; y++)
                for (exa_coord x = core.start[2]; x < core.start[2] + core.shape[2]; x++) {
                    int32_t label = s->here[exa_box_index(&box, z, y, x)];
                    exa_segid id;
                    if (label == 0 || names[label]) continue;
                    assert_ok(exa_supervoxel_make(&s->grid, k, (uint64_t)label, &id));
                    names[label] = exa_mapping_root(&s->mapping, id);
                    assert_in_range(n, 0, 65535);
                    pair[n][0] = tubes[voxel_at((int)z, (int)y, (int)x)];
                    pair[n++][1] = names[label];
                }
    }
    for (int r = 0; r < exa_comm_size(); r++) counts[r] = r == 0 ? n : 0;
    assert_ok(exa_exchange(pair, sizeof pair[0], counts, &in, &received));
    all = in;
    *split = *merged = 0;
    for (size_t i = 0; i < received; i++) {
        bool new_pair = true;
        for (size_t j = 0; j < i && new_pair; j++) new_pair = all[j][0] != all[i][0] || all[j][1] != all[i][1];
        if (!new_pair) { /* keeps the list short: the last one takes its place */
            memcpy(all[i], all[--received], sizeof all[i]);
            i--;
        }
    }
    for (size_t i = 0; i < received; i++)
        for (size_t j = 0; j < i; j++) {
            *split += all[i][0] == all[j][0];
            *merged += all[i][1] == all[j][1];
        }
    free(in);
    exa_sum_all(split, 1);
    exa_sum_all(merged, 1);
}

/* What one rank found: the same for any number of them. */
static const uint64_t test_tubes_digests[3] = {0xb3e1333719a724d7, 0xbf7e163617dd1a3b, 0x1ca3192326461fa3};

static const exa_agglomeration_options any = {.overlap = {.min_voxels = 1, .best = EXA_MATCH_ANY}};

static void tubes_are_whole(void **state) {
    static const exa_coord cores[3] = {32, 48, 64}, halos[3] = {4, 8, 6};
    (void)state;
    for (int i = 0; i < 3; i++) {
        stitched s;
        uint64_t split, merged;
        cut(&s, cores[i], halos[i]);
        if (i == 0) assert_int_equal(s.grid.chunks, 1000);
        stitch(&s, &any);
        compare(&s, &split, &merged);
        assert_int_equal(split, 0);
        assert_int_equal(merged, 0);
        drop(&s);
    }
}

/* The rules that networks need split where a tube turns round behind an overlap, but never merge. */
static void mutual_best_merges_nothing(void **state) {
    const exa_agglomeration_options mutual = {
        .overlap = {.min_voxels = 1, .min_fraction = 0.5, .min_jaccard = 0.5}};
    stitched s;
    uint64_t split, merged, joined = 0;
    (void)state;
    cut(&s, 48, 8);
    stitch(&s, &mutual);
    compare(&s, &split, &merged);
    assert_int_equal(merged, 0);
    for (size_t i = 0; i < s.candidates.count; i++) joined += s.candidates.list[i].joined;
    exa_sum_all(&joined, 1);
    assert_true(joined > 1000);
    drop(&s);
}

/* ---- the guard ----------------------------------------------------------------------------------------------- */

static void add_voxels(void *into, const void *record) {
    ((uint64_t *)into)[1] += ((const uint64_t *)record)[1];
}

/* A digest of (id, root) that does not depend on the ranks, and the largest segment. */
static uint64_t digest(const stitched *s, uint64_t *largest) {
    const exa_reduction sums = {.size = 2 * sizeof(uint64_t), .combine = add_voxels};
    uint64_t(*list)[2] = malloc((s->count + 1) * sizeof *list), mine = 0;
    void *records = list;
    size_t n = s->count;

    for (size_t i = 0; i < s->count; i++) {
        exa_segid root = exa_mapping_root(&s->mapping, s->supervoxels[i].id);
        assert_true(root <= s->supervoxels[i].id);
        mine += exa_hash_u64(exa_hash_u64(s->supervoxels[i].id) ^ root);
        list[i][0] = root;
        list[i][1] = s->supervoxels[i].voxels;
    }
    assert_ok(exa_reduce_by_key(&sums, &records, &n));
    *largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t voxels = ((uint64_t(*)[2])records)[i][1];
        if (voxels > *largest) *largest = voxels;
    }
    free(records);
    exa_max_all(largest);
    exa_sum_all(&mine, 1);
    return mine;
}

static void no_segment_exceeds_the_limit(void **state) {
    static const uint64_t limits[] = {100000000, 20000, 9000};
    uint64_t free_digest = 0, largest, d, refused;
    (void)state;
    for (int i = 0; i < 3; i++) {
        exa_agglomeration_options o = any;
        stitched s;
        o.max_voxels = limits[i];
        cut(&s, 48, 8);
        stitch(&s, &o);
        d = digest(&s, &largest);
        refused = 0;
        for (size_t c = 0; c < s.candidates.count; c++) {
            refused += s.candidates.list[c].refused;
            assert_false(s.candidates.list[c].refused && s.candidates.list[c].joined);
        }
        exa_sum_all(&refused, 1);
        if (i == 0) {
            free_digest = d;
            assert_int_equal(refused, 0);
            assert_true(largest > limits[1]);
        } else {
            assert_true(d != free_digest && refused > 0);
            assert_true(largest <= limits[i]);
            assert_true(largest > limits[i] / 2); /* and it is made use of */
        }
        assert_int_equal(d, test_tubes_digests[i]);
        drop(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(tubes_are_whole),
                                       cmocka_unit_test(mutual_best_merges_nothing),
                                       cmocka_unit_test(no_segment_exceeds_the_limit)};
    int failed;

    if (exa_comm_init() != EXA_OK) return 1;
    failed = cmocka_run_group_tests(tests, make_tubes, drop_tubes);
    exa_comm_finalize();
    return failed;
}
