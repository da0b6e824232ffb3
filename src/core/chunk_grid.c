/* Chunks by number and by place, without a list. The idea: a walk down the octree of the curve, one level after
 * another; at each, the sub-cubes are looked at in the order in which the curve visits them, and a clipped volume
 * says how many chunks each holds. */
#include "exaconn/chunk_grid.h"

#include <assert.h>
#include <string.h>

/* ---- the curve ----------------------------------------------------------------------------------------------- */

/* A sub-cube of the octree. `entry` and `direction` turn the curve's basic order into the one it has here. */
typedef struct cube {
    int64_t start[3]; /* zyx chunks */
    int level;        /* its side is 2^level */
    unsigned entry, direction;
} cube;

static unsigned rotate(unsigned bits, unsigned by) {
    by %= 3;
    return (bits << by | bits >> (3 - by)) & 7;
}

static unsigned gray(unsigned i) {
    return i ^ i >> 1;
}

/* Where the curve enters the i-th sub-cube, and along which axis it leaves, in the basic order: i = 0 .. 7. */
static const unsigned entries[8] = {0, 0, 0, 3, 3, 6, 6, 5};
static const unsigned directions[8] = {0, 1, 1, 2, 2, 1, 1, 0};

static cube whole(const exa_chunk_grid *g) {
    return (cube){.level = g->levels};
}

/* The i-th of the eight halves that the curve visits in `c`. */
static cube child(const cube *c, unsigned i) {
    unsigned turn = c->direction + 1, corner = rotate(gray(i), turn) ^ c->entry;
    cube half = {.level = c->level - 1,
                 .entry = c->entry ^ rotate(entries[i], turn),
                 .direction = (turn + directions[i]) % 3};

    for (unsigned a = 0; a < 3; a++) half.start[a] = c->start[a] + ((int64_t)(corner >> a & 1) << half.level);
    return half;
}

/* How many chunks of the grid lie in it. */
static uint64_t chunks_in(const exa_chunk_grid *g, const cube *c) {
    int64_t side = (int64_t)1 << c->level;
    uint64_t n = 1;

    for (int a = 0; a < 3; a++) {
        int64_t left = g->count[a] - c->start[a];
        n *= (uint64_t)(left < 0 ? 0 : left < side ? left : side);
    }
    return n;
}

static bool holds(const cube *c, const int64_t at[3]) {
    for (int a = 0; a < 3; a++) {
        if (at[a] < c->start[a] || at[a] - c->start[a] >= (int64_t)1 << c->level) return false;
    }
    return true;
}

void exa_chunk_grid_position(const exa_chunk_grid *grid, exa_chunkid k, int64_t at[3]) {
    cube c = whole(grid);

    assert(k < grid->chunks);
    while (c.level > 0) {
        cube half = child(&c, 0);
        for (unsigned i = 0;; half = child(&c, ++i)) {
            uint64_t n = chunks_in(grid, &half);
            if (k < n) break;
            k -= n;
        }
        c = half;
    }
    memcpy(at, c.start, sizeof c.start);
}

exa_chunkid exa_chunk_grid_at(const exa_chunk_grid *grid, const int64_t at[3]) {
    cube c = whole(grid);
    exa_chunkid before = 0;

    assert(at[0] >= 0 && at[0] < grid->count[0] && at[1] >= 0 && at[1] < grid->count[1] && at[2] >= 0 &&
           at[2] < grid->count[2]);
    while (c.level > 0) {
        cube half = child(&c, 0);
        for (unsigned i = 0; !holds(&half, at); half = child(&c, ++i)) before += chunks_in(grid, &half);
        c = half;
    }
    return before;
}

bool exa_chunk_grid_neighbour(const exa_chunk_grid *grid, exa_chunkid k, const int offset[3],
                              exa_chunkid *neighbour) {
    int64_t at[3];

    exa_chunk_grid_position(grid, k, at);
    for (int a = 0; a < 3; a++) {
        at[a] += offset[a];
        if (at[a] < 0 || at[a] >= grid->count[a]) return false;
    }
    *neighbour = exa_chunk_grid_at(grid, at);
    return true;
}

/* ---- the grid ------------------------------------------------------------------------------------------------ */

static int bits_of(uint64_t n) {
    return n ? 64 - __builtin_clzll(n) : 0;
}

static exa_status check_axis(const exa_chunk_grid *g, int a) {
    EXA_CHECK(
        g->core[a] > 0 && g->halo[a] >= 0 && g->least[a] >= 0, EXA_ERR_RANGE,
        "chunks of %lld voxels and a halo of %lld on axis %c: a chunk has at least 1 voxel, a halo at least 0",
        (long long)g->core[a], (long long)g->halo[a], "zyx"[a]);
    EXA_CHECK(g->box.shape[a] > 0 && g->box.shape[a] >= g->least[a], EXA_ERR_RANGE,
              "the box has %lld voxels on axis %c, a chunk needs %lld. Hint: use a larger box",
              (long long)g->box.shape[a], "zyx"[a], (long long)(g->least[a] > 0 ? g->least[a] : 1));
    EXA_CHECK(g->box.start[a] >= 0 && g->box.shape[a] <= INT64_MAX - g->box.start[a], EXA_ERR_RANGE,
              "the box reaches beyond 2^63-1 on axis %c", "zyx"[a]);
    return EXA_OK;
}

static exa_status count_chunks(exa_chunk_grid *g) {
    unsigned __int128 chunks = 1;
    int most = 0;

    for (int a = 0; a < 3; a++) {
        int bits;
        g->count[a] = (g->box.shape[a] - 1) / g->core[a] + 1;
        bits = bits_of((uint64_t)g->count[a] - 1);
        if (bits > most) most = bits;
        chunks *= (uint64_t)g->count[a];
        EXA_CHECK(chunks <= (uint64_t)1 << 62, EXA_ERR_RANGE,
                  "more than 2^62 chunks of (%lld, %lld, %lld) voxels. Hint: use larger chunks",
                  (long long)g->core[0], (long long)g->core[1], (long long)g->core[2]);
    }
    g->chunks = (exa_chunkid)chunks;
    g->levels = most;
    return EXA_OK;
}

exa_status exa_chunk_grid_make(const exa_box *box, const exa_coord core[3], const exa_coord halo[3],
                               const exa_coord least[3], uint64_t objects_max, exa_chunk_grid *grid) {
    exa_chunk_grid g = {.box = *box};

    memcpy(g.core, core, sizeof g.core);
    memcpy(g.halo, halo, sizeof g.halo);
    memcpy(g.least, least, sizeof g.least);
    for (int a = 0; a < 3; a++) EXA_TRY(check_axis(&g, a));
    EXA_TRY(count_chunks(&g));
    g.local_bits = bits_of(objects_max > 0 ? objects_max : 1);
    EXA_CHECK(
        g.local_bits < 64 && bits_of(g.chunks - 1) + g.local_bits <= 64, EXA_ERR_RANGE,
        "%llu chunks with up to %llu segments each need ids of %d bits; there are 64. Hint: use larger chunks "
        "or a larger min_segment_size",
        (unsigned long long)g.chunks, (unsigned long long)objects_max, bits_of(g.chunks - 1) + g.local_bits);
    *grid = g;
    return EXA_OK;
}

exa_box exa_chunk_grid_core(const exa_chunk_grid *grid, exa_chunkid k) {
    exa_box core;
    int64_t at[3];

    exa_chunk_grid_position(grid, k, at);
    for (int a = 0; a < 3; a++) {
        exa_coord before = at[a] * grid->core[a], left = grid->box.shape[a] - before;
        core.start[a] = grid->box.start[a] + before;
        core.shape[a] = left < grid->core[a] ? left : grid->core[a];
    }
    return core;
}

exa_box exa_chunk_grid_box(const exa_chunk_grid *grid, exa_chunkid k) {
    exa_box box = exa_chunk_grid_core(grid, k);

    for (int a = 0; a < 3; a++) {
        exa_coord first = grid->box.start[a], end = first + grid->box.shape[a], halo = grid->halo[a];
        exa_coord from = box.start[a], to = from + box.shape[a];
        from = from - first < halo ? first : from - halo;
        to = end - to < halo ? end : to + halo;
        if (to - from < grid->least[a]) from = to - first < grid->least[a] ? first : to - grid->least[a];
        if (to - from < grid->least[a]) to = from + grid->least[a];
        box.start[a] = from;
        box.shape[a] = to - from;
    }
    return box;
}

void exa_chunk_grid_shape_max(const exa_chunk_grid *grid, exa_coord shape[3]) {
    for (int a = 0; a < 3; a++) {
        unsigned __int128 n = (unsigned __int128)grid->core[a] + 2 * (unsigned __int128)grid->halo[a];
        if (n < (uint64_t)grid->least[a]) n = (uint64_t)grid->least[a];
        shape[a] = n < (uint64_t)grid->box.shape[a] ? (exa_coord)n : grid->box.shape[a];
    }
}

exa_status exa_chunk_grid_voxels_max(const exa_chunk_grid *grid, int64_t *voxels) {
    exa_box box = {{0, 0, 0}, {0, 0, 0}};

    exa_chunk_grid_shape_max(grid, box.shape);
    return exa_box_voxels(&box, voxels);
}

/* ---- ids ----------------------------------------------------------------------------------------------------- */

exa_status exa_supervoxel_make(const exa_chunk_grid *grid, exa_chunkid k, uint64_t local, exa_segid *id) {
    EXA_CHECK(bits_of(local) <= grid->local_bits, EXA_ERR_RANGE,
              "segment %llu of chunk %llu does not fit the %d bits that the plan gave to the segments of a chunk",
              (unsigned long long)local, (unsigned long long)k, grid->local_bits);
    *id = k << grid->local_bits | local;
    return EXA_OK;
}

exa_chunkid exa_supervoxel_chunk(const exa_chunk_grid *grid, exa_segid id) {
    return id >> grid->local_bits;
}

uint64_t exa_supervoxel_local(const exa_chunk_grid *grid, exa_segid id) {
    return id & (((uint64_t)1 << grid->local_bits) - 1);
}
