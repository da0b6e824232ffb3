/* Which neurite runs where: tracks of a turned, warped rod packing, cut into pieces that branch off one another.
 *
 * Nothing is stored. A piece is found from any of its knots by walking back to its start (LONGEST_SLOTS slots at
 * most); at its start it may stand on another neurite of lower rank, whose piece is found the same way. Ranks fall
 * along that chain, so it ends after two steps, and where it ends is the root that names the neuron.
 */
#include "phantom_internal.h"

#include <math.h>
#include <string.h>

enum { DRAW_MACRO = 1, DRAW_EMPTY, DRAW_TRACK, DRAW_SLOT, DRAW_PIECE, DRAW_KNOT, DRAW_WARP, DRAW_LONG_WARP };

#define WARP_PITCHES 0.75f
#define LONG_WARP_PITCHES 3.0f
#define WANDER_PITCHES 0.125f /* tracks of two families stay a quarter of a pitch apart: no neurite is cut */
#define ALONG_PITCHES 0.15f
#define CLEAR_PITCHES 0.35f /* between a ball and the knots that end outside it */
#define BREAK_FRACTION 0.3f
#define BRANCH_FRACTION 0.75f
#define DENDRITE_FRACTION 0.45f /* of the neurites beyond a soma that rise from it */
#define MARGIN_PITCHES 440      /* a root lies at most this far outside the volume */

/* Symmetric and its own inverse (over 7): each axis of the lattice meets each axis of the volume at another angle.
 */
const int ph_turn[3][3] = {{2, 3, 6}, {3, -6, 2}, {6, 2, -3}};

uint64_t ph_hash(const exa_phantom *p, unsigned purpose, int64_t a, int64_t b, int64_t c, int64_t d) {
    const int64_t words[4] = {a, b, c, d};
    uint64_t x = p->o.seed * 0x9e3779b97f4a7c15u + purpose * 0xd1b54a32d192ed03u;

    for (int i = 0; i < 4; i++) {
        x = (x ^ (uint64_t)words[i]) * 0xff51afd7ed558ccdu;
        x ^= x >> 32;
    }
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* ---- places -------------------------------------------------------------------------------------------------- */

static void fill_warp_cell(const exa_phantom *p, unsigned purpose, const int64_t c[3], float amplitude,
                           warp_cell *cell) {
    for (int k = 0; k < 8; k++) {
        uint64_t h = ph_hash(p, purpose, c[0] + (k >> 2), c[1] + (k >> 1 & 1), c[2] + (k & 1), 0);
        for (int a = 0; a < 3; a++) cell->v[k][a] = ph_signed(h, a) * amplitude;
    }
    memcpy(cell->c, c, sizeof cell->c);
    cell->valid = true;
}

/* Value noise: random vectors at the corners of cells, blended smoothly between them. */
static void add_warp(exa_phantom *p, int level, const int64_t half[3], float nm[3]) {
    const int64_t wave = 2 * (level ? LONG_WARP_CELLS : WARP_CELLS);
    warp_cell *cell = &p->warp_cache[level];
    float w[3];
    int64_t c[3];

    for (int a = 0; a < 3; a++) {
        c[a] = floor_div(half[a], wave);
        w[a] = (float)(half[a] - c[a] * wave) / (float)wave;
        w[a] = w[a] * w[a] * (3.0f - 2.0f * w[a]);
    }
    if (!cell->valid || memcmp(cell->c, c, sizeof c) != 0)
        fill_warp_cell(p, level ? DRAW_LONG_WARP : DRAW_WARP, c,
                       p->pitch * (level ? LONG_WARP_PITCHES : WARP_PITCHES), cell);
    for (int a = 0; a < 3; a++) {
        float x[4], y[2];
        for (int k = 0; k < 4; k++) x[k] = cell->v[2 * k][a] + w[2] * (cell->v[2 * k + 1][a] - cell->v[2 * k][a]);
        for (int k = 0; k < 2; k++) y[k] = x[2 * k] + w[1] * (x[2 * k + 1] - x[2 * k]);
        nm[a] += y[0] + w[0] * (y[1] - y[0]);
    }
}

void ph_warp(exa_phantom *p, const int64_t half[3], float nm[3]) {
    nm[0] = nm[1] = nm[2] = 0.0f;
    add_warp(p, 0, half, nm);
    add_warp(p, 1, half, nm);
}

static place displaced(exa_phantom *p, const int64_t half[3], const float extra[3]) {
    float nm[3];
    place out;

    ph_warp(p, half, nm);
    for (int a = 0; a < 3; a++) nm[a] += extra[a];
    for (int a = 0; a < 3; a++) {
        const int *t = ph_turn[a];
        out.base_pm[a] = (t[0] * half[0] + t[1] * half[1] + t[2] * half[2]) * (p->pitch_pm / 14);
        out.off_nm[a] = ((float)t[0] * nm[0] + (float)t[1] * nm[1] + (float)t[2] * nm[2]) / 7.0f;
    }
    return out;
}

place ph_place(exa_phantom *p, const int64_t half[3]) {
    const float none[3] = {0, 0, 0};
    return displaced(p, half, none);
}

static void knot_half(const track *t, int64_t n, int64_t half[3]) {
    half[t->f] = 2 * n;
    half[next_axis(t->f)] = 2 * t->i;
    half[other_axis(t->f)] = 2 * t->j + 1;
}

place ph_knot(exa_phantom *p, const track *t, int64_t n, float wander) {
    uint64_t h = ph_hash(p, DRAW_KNOT + 16u * (unsigned)t->f, t->i, t->j, n, 0);
    float extra[3];
    int64_t half[3];

    knot_half(t, n, half);
    extra[t->f] = ph_signed(h, 0) * ALONG_PITCHES * p->pitch;
    extra[next_axis(t->f)] = ph_signed(h, 1) * WANDER_PITCHES * wander * p->pitch;
    extra[other_axis(t->f)] = ph_signed(h, 2) * WANDER_PITCHES * wander * p->pitch;
    return displaced(p, half, extra);
}

void ph_between(const place *a, const place *b, float nm[3]) {
    for (int k = 0; k < 3; k++)
        nm[k] = (float)((double)(b->base_pm[k] - a->base_pm[k]) * 1e-3) + (b->off_nm[k] - a->off_nm[k]);
}

static float distance(const place *a, const place *b) {
    float d[3];
    ph_between(a, b, d);
    return sqrtf(d[0] * d[0] + d[1] * d[1] + d[2] * d[2]);
}

/* ---- tracks -------------------------------------------------------------------------------------------------- */

static uint64_t track_hash(const exa_phantom *p, const track *t) {
    return ph_hash(p, DRAW_TRACK, t->f, t->i, t->j, 0);
}

/* A neurite stands only on one of lower rank. */
static int rank_of(const exa_phantom *p, const track *t) {
    float u = ph_unit(track_hash(p, t), 0);
    return u < 0.3f ? 0 : u < 0.65f ? 1 : 2;
}

/* Slots in which a piece ends in any case, so that walking back is bounded. */
static bool always_breaks(const exa_phantom *p, const track *t, int64_t s) {
    int64_t phase = (int64_t)(track_hash(p, t) >> 32 & 0xffff);
    return (s + phase) % LONGEST_SLOTS == 0;
}

track ph_neighbour(const track *t, int64_t n, int side, int64_t *knot) {
    *knot = t->j;
    return (track){.f = other_axis(t->f), .i = n, .j = side ? t->i : t->i - 1};
}

/* ---- macro-cells --------------------------------------------------------------------------------------------- */

/* Of the twelve tracks around the centre, the one of lowest rank that does not break here anyway; false if all do.
 */
static bool choose_owner(const exa_phantom *p, const int64_t m[3], const int64_t half[3], track *best) {
    uint64_t best_key = UINT64_MAX;

    for (int k = 0; k < 12; k++) {
        track t = {.f = k / 4};
        t.i = floor_div(half[next_axis(t.f)], 2) + (k & 1);
        t.j = floor_div(half[other_axis(t.f)] - 1, 2) + (k >> 1 & 1);
        if (always_breaks(p, &t, m[t.f])) continue;
        uint64_t key = (uint64_t)rank_of(p, &t) << 60 | track_hash(p, &t) >> 4;
        if (key < best_key) {
            best_key = key;
            *best = t;
        }
    }
    return best_key != UINT64_MAX;
}

void ph_macro(exa_phantom *p, const int64_t m[3], macro *out) {
    uint64_t h = ph_hash(p, DRAW_MACRO, m[0], m[1], m[2], 0);
    uint64_t region = ph_hash(p, DRAW_EMPTY, floor_div(m[0], EMPTY_MACROS), floor_div(m[1], EMPTY_MACROS),
                              floor_div(m[2], EMPTY_MACROS), 0);
    float what = ph_unit(h, 0), size = ph_unit(h, 1);
    int64_t half[3];

    memset(out, 0, sizeof *out);
    out->kind = MACRO_PLAIN;
    if ((double)ph_unit(region, 0) < p->o.empty) {
        out->kind = MACRO_EMPTY;
        return;
    }
    if ((double)what >= p->o.somata + p->o.glia) return;
    for (int a = 0; a < 3; a++) half[a] = 2 * (m[a] * SLOT + SLOT / 2) + (int64_t)(h >> (32 + 8 * a) & 255) % 7 - 3;
    out->center = ph_place(p, half);
    if ((double)what < p->o.somata) {
        if (!choose_owner(p, m, half, &out->owner)) return;
        out->kind = MACRO_SOMA;
        out->radius_nm = (2.0f + 2.6f * size) * p->pitch;
    } else {
        out->kind = MACRO_GLIA;
        out->radius_nm = (1.3f + 0.7f * size) * p->pitch;
    }
}

/* ---- slots --------------------------------------------------------------------------------------------------- */

void ph_slot_macro(const track *t, int64_t s, int64_t m[3]) {
    m[t->f] = s;
    m[next_axis(t->f)] = floor_div(t->i, SLOT);
    m[other_axis(t->f)] = floor_div(t->j, SLOT);
}

static bool same_track(const track *a, const track *b) {
    return a->f == b->f && a->i == b->i && a->j == b->j;
}

/* The knots inside the ball, if any; all between the first and the last count. */
static void meet_ball(exa_phantom *p, const macro *m, slot *s) {
    float limit = m->radius_nm + CLEAR_PITCHES * p->pitch;

    if (m->kind == MACRO_SOMA && same_track(&m->owner, &s->t)) {
        s->passes = true;
        return;
    }
    for (int64_t n = s->s * SLOT; n < (s->s + 1) * SLOT; n++) {
        place at = ph_knot(p, &s->t, n, 1.0f);
        if (distance(&m->center, &at) >= limit) continue;
        if (!s->has_ball) s->ball_first = n;
        s->has_ball = true;
        s->ball_last = n;
    }
}

static void make_slot(exa_phantom *p, const track *t, int64_t s, slot *out) {
    int64_t at[3];
    uint64_t h;
    macro m;

    memset(out, 0, sizeof *out);
    out->t = *t;
    out->s = s;
    out->valid = true;
    ph_slot_macro(t, s, at);
    ph_macro(p, at, &m);
    out->empty = m.kind == MACRO_EMPTY;
    if (out->empty) return;
    if (m.kind == MACRO_SOMA || m.kind == MACRO_GLIA) meet_ball(p, &m, out);
    if (out->has_ball || out->passes) return;
    h = ph_hash(p, DRAW_SLOT + 16u * (unsigned)t->f, t->i, t->j, s, 0);
    out->has_break = always_breaks(p, t, s) || ph_unit(h, 0) < BREAK_FRACTION;
    out->break_after = s * SLOT + 2 + (int64_t)(h >> 32) % (SLOT - 4);
}

const slot *ph_slot(exa_phantom *p, const track *t, int64_t s) {
    uint64_t key = (uint64_t)t->i * 0x9e3779b97f4a7c15u ^ (uint64_t)t->j * 0xd1b54a32d192ed03u ^
                   (uint64_t)(s * 3 + t->f) * 0x8cb92ba72f3d8dd7u;
    slot *held = &p->slots[key >> 32 & (SLOT_CACHE - 1)];

    if (!held->valid || held->s != s || !same_track(&held->t, t)) make_slot(p, t, s, held);
    return held;
}

/* ---- pieces -------------------------------------------------------------------------------------------------- */

typedef enum start_kind { START_PLAIN, START_BALL } start_kind;

/* The first knot of the piece that holds knot n; false where no neurite can be. */
static bool find_start(exa_phantom *p, const track *t, int64_t n, int64_t *start, start_kind *kind) {
    int64_t first = floor_div(n, SLOT);

    *kind = START_PLAIN;
    for (int64_t s = first;; s--) {
        const slot *here = ph_slot(p, t, s);
        if (here->empty) {
            *start = (s + 1) * SLOT;
            return s < first;
        }
        if (here->has_ball && n >= here->ball_first) {
            *start = here->ball_last + 1;
            *kind = START_BALL;
            return n > here->ball_last;
        }
        if (here->has_break && n > here->break_after) {
            *start = here->break_after + 1;
            return true;
        }
    }
}

static uint64_t piece_hash(const exa_phantom *p, const track *t, int64_t start) {
    return ph_hash(p, DRAW_PIECE + 16u * (unsigned)t->f, t->i, t->j, start, 0);
}

static bool is_vacant(const exa_phantom *p, uint64_t hash) {
    return (double)ph_unit(hash, 0) < p->o.vacant;
}

typedef struct link {
    track t;
    int64_t start;
    uint64_t hash;
    start_kind kind;
} link;

/* The soma whose ball the piece begins behind; false if it is an astrocyte's. */
static bool soma_before(exa_phantom *p, const link *at, macro *m) {
    int64_t cell[3];

    ph_slot_macro(&at->t, floor_div(at->start - 1, SLOT), cell);
    ph_macro(p, cell, m);
    return m->kind == MACRO_SOMA;
}

/* The knot of a soma's owner nearest its centre, before any displacement. */
static int64_t soma_knot(const exa_phantom *p, const macro *m) {
    int f = m->owner.f;
    const int *t = ph_turn[f];
    __int128 pm = 0;

    for (int a = 0; a < 3; a++) pm += (__int128)t[a] * m->center.base_pm[a];
    return (int64_t)(pm / 7 / p->pitch_pm);
}

/* What the piece `at` stands on: false if it is a root. */
static bool find_parent(exa_phantom *p, const link *at, link *up, int64_t *knot) {
    start_kind kind;
    int64_t start;

    if (at->kind == START_BALL) {
        macro m;
        if (ph_unit(at->hash, 2) >= DENDRITE_FRACTION || !soma_before(p, at, &m)) return false;
        if (rank_of(p, &m.owner) >= rank_of(p, &at->t)) return false;
        up->t = m.owner;
        *knot = soma_knot(p, &m);
        if (!find_start(p, &up->t, *knot, &up->start, &up->kind)) return false;
        up->hash = piece_hash(p, &up->t, up->start);
        return true;
    }
    if (ph_unit(at->hash, 2) >= BRANCH_FRACTION) return false;
    up->t = ph_neighbour(&at->t, at->start, (int)(at->hash & 1), knot);
    if (rank_of(p, &up->t) >= rank_of(p, &at->t)) return false;
    if (!find_start(p, &up->t, *knot, &up->start, &up->kind)) return false;
    if (!find_start(p, &up->t, *knot + 1, &start, &kind) || start != up->start) return false;
    up->hash = piece_hash(p, &up->t, up->start);
    return !is_vacant(p, up->hash);
}

static exa_segid id_at(const exa_phantom *p, const int64_t half[3]) {
    uint64_t id = 0;

    for (int a = 0; a < 3; a++) {
        const int *t = ph_turn[a];
        int64_t cell = floor_div(t[0] * half[0] + t[1] * half[1] + t[2] * half[2], 4);
        id = id * p->id_extent[a] + (uint64_t)(cell - p->id_low[a]);
    }
    return id + 1;
}

exa_segid ph_glia_id(const exa_phantom *p, const int64_t m[3]) {
    int64_t half[3];
    for (int a = 0; a < 3; a++) half[a] = 2 * (m[a] * SLOT + SLOT / 2);
    return id_at(p, half);
}

/* From the piece up to the root, then the role down again: an axon's branches are axons, a dendrite's mostly not.
 */
static void resolve(exa_phantom *p, const link *first, piece *out) {
    link chain[4] = {*first};
    int64_t knot = 0, half[3];
    int depth = 0;

    while (depth < 3 && find_parent(p, &chain[depth], &chain[depth + 1], &knot)) {
        if (depth == 0) {
            out->from_soma = first->kind == START_BALL;
            out->bridged = !out->from_soma;
            out->parent = chain[1].t;
            out->parent_knot = knot;
        }
        depth++;
    }
    knot_half(&chain[depth].t, chain[depth].start, half);
    out->id = id_at(p, half);
    out->tint = chain[depth].hash;
    out->axon = ph_unit(chain[depth].hash, 3) < 0.5f;
    for (int k = depth - 1; k >= 0; k--) out->axon = out->axon || ph_unit(chain[k].hash, 3) < 0.25f;
}

void ph_piece(exa_phantom *p, const track *t, int64_t n, piece *out) {
    link at = {.t = *t};

    memset(out, 0, sizeof *out);
    if (!find_start(p, t, n, &at.start, &at.kind)) return;
    at.hash = piece_hash(p, t, at.start);
    if (is_vacant(p, at.hash)) return;
    out->there = true;
    out->start = at.start;
    out->hash = at.hash;
    resolve(p, &at, out);
    out->thick = !out->axon && ph_unit(at.hash, 1) < 0.35f;
}

void ph_soma(exa_phantom *p, const macro *m, piece *out) {
    link at = {.t = m->owner};

    memset(out, 0, sizeof *out);
    find_start(p, &at.t, soma_knot(p, m), &at.start, &at.kind);
    at.hash = piece_hash(p, &at.t, at.start);
    resolve(p, &at, out);
}

float ph_wander(const piece *q) {
    return q->thick ? 0.3f : 1.0f;
}

/* ---- ids ----------------------------------------------------------------------------------------------------- */

/* An id is the cell, in a grid over the volume and its margin, in which the root's undisplaced first knot lies.
 * Knots are half a pitch apart or more and a cell's diagonal is 0.495 pitches: no two roots share one. */
exa_status ph_prepare_ids(exa_phantom *p) {
    unsigned __int128 cells = 1;

    for (int a = 0; a < 3; a++) {
        int64_t unit = p->pitch_pm / 14 * 4, margin = MARGIN_PITCHES * p->pitch_pm;
        int64_t end = p->o.shape[a] * p->voxel_pm[a] + margin;
        p->id_low[a] = floor_div(-margin, unit);
        p->id_extent[a] = (uint64_t)(floor_div(end, unit) - p->id_low[a] + 1);
        cells *= p->id_extent[a];
        EXA_CHECK(
            cells < (unsigned __int128)1 << 63, EXA_ERR_RANGE,
            "phantom: %lldx%lldx%lld voxels of %gx%gx%g nm with a pitch of %g nm hold more places for neurons "
            "than 64-bit ids. Hint: a larger pitch, smaller voxels or a smaller shape; docs/phantom.md says "
            "what is possible",
            (long long)p->o.shape[0], (long long)p->o.shape[1], (long long)p->o.shape[2], p->o.voxel_nm[0],
            p->o.voxel_nm[1], p->o.voxel_nm[2], p->o.pitch_nm);
    }
    return EXA_OK;
}
