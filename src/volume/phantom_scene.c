/* What one block of voxels meets: tubes, balls and synapses, in a frame whose origin is the block's first voxel.
 *
 * A scene depends on its block alone, never on what is read of it, and blocks lie on a grid that begins at voxel 0:
 * hence any box equals the same box cut from a larger one.
 */
#include "phantom_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAW_TUBE = 40, DRAW_MITOCHONDRION, DRAW_SYNAPSE, DRAW_GREY };

#define REACH_PITCHES 1.25f /* beyond a block, how far tubes may matter: tissue edge, radius, membrane */
#define GLIA_REACH_PITCHES 5.5f
#define GLIA_CORE_PITCHES 0.16f /* thinner neurites than this would not survive in the sheets */
#define NUCLEUS_FRACTION 0.62f
#define SYNAPSE_RADIUS_PITCHES 0.22f
#define CLEAR_NM 3.0f /* a synapse's points lie at least this much inside their neurites, by value */

/* Index of an id among the scene's objects, which is added if new (open addressing; ids are never 0). */
static exa_status object_of(const exa_phantom *p, exa_segid id, uint64_t tint, bool glia, int32_t *out) {
    exa_phantom_scene *s = p->scene;
    size_t at = (size_t)(id * 0x9e3779b97f4a7c15u >> 40) & (SCENE_TABLE - 1);

    while (s->table[at] >= 0) {
        if (s->object[s->table[at]].id == id) {
            *out = s->table[at];
            return EXA_OK;
        }
        at = (at + 1) & (SCENE_TABLE - 1);
    }
    EXA_CHECK(s->object_count < SCENE_TABLE / 2, EXA_ERR_RANGE,
              "phantom: more than %d objects in one block. Hint: choose smaller voxels or a larger pitch",
              SCENE_TABLE / 2);
    EXA_TRY(
        exa_grow(&s->object, &s->object_capacity, sizeof *s->object, s->object_count + 1, "objects of a phantom"));
    float u = ph_unit(ph_hash(p, DRAW_GREY, (int64_t)tint, 0, 0, 0), 0);
    s->object[s->object_count] = (scene_object){id, glia ? 178.0f + 10.0f * u : 138.0f + 36.0f * u, 0};
    s->table[at] = *out = (int32_t)s->object_count++;
    return EXA_OK;
}

/* ---- tubes --------------------------------------------------------------------------------------------------- */

typedef struct gather {
    exa_phantom *p;
    exa_phantom_scene *s;
    place origin, center;
    float half_diagonal, reach; /* nm */
    double lattice[3];          /* of the block's centre, cells */
    double span;                /* cells around it that are searched */
} gather;

static void relative(const gather *g, const place *at, float nm[3]) {
    ph_between(&g->origin, at, nm);
}

static float from_center(const gather *g, const float nm[3]) {
    float c[3], dd = 0.0f;
    ph_between(&g->origin, &g->center, c);
    for (int a = 0; a < 3; a++) dd += (nm[a] - c[a]) * (nm[a] - c[a]);
    return sqrtf(dd);
}

static exa_status add_tube(gather *g, const float from[3], const float to[3], float r, float r_end, float organelle,
                           int32_t object) {
    float middle[3], bb = 0.0f;
    scene_tube *t;

    for (int a = 0; a < 3; a++) {
        middle[a] = 0.5f * (from[a] + to[a]);
        bb += (to[a] - from[a]) * (to[a] - from[a]);
    }
    if (from_center(g, middle) > g->half_diagonal + g->reach + 0.5f * sqrtf(bb) + (r > r_end ? r : r_end))
        return EXA_OK;
    EXA_TRY(exa_grow(&g->s->tube, &g->s->tube_capacity, sizeof *t, g->s->tube_count + 1, "tubes of a phantom"));
    t = &g->s->tube[g->s->tube_count++];
    for (int a = 0; a < 3; a++) {
        t->a[a] = from[a];
        t->b[a] = to[a] - from[a];
    }
    t->bb = bb;
    t->r = r;
    t->dr = r_end - r;
    t->organelle = organelle;
    t->object = object;
    g->s->object[object].tubes++;
    return EXA_OK;
}

/* Radius that counts against the neighbours' (the tubes swell until they touch). */
static float radius_at(const exa_phantom *p, const piece *q, const track *t, int64_t n) {
    float base = q->thick ? 0.17f + 0.05f * ph_unit(q->hash >> 8, 1) : 0.05f * ph_signed(q->hash >> 8, 1);
    uint64_t h = ph_hash(p, DRAW_TUBE + 64u * (unsigned)t->f, t->i, t->j, n, 0);
    return (base + 0.035f * ph_signed(h, 0)) * p->pitch;
}

static float organelle_of(const exa_phantom *p, const piece *q, const track *t, int64_t n) {
    for (int back = 0; back < 2; back++) {
        uint64_t h = ph_hash(p, DRAW_MITOCHONDRION + 64u * (unsigned)t->f, t->i, t->j, n - back, 0);
        if ((double)ph_unit(h, 0) < p->o.mitochondria && (back == 0 || ph_unit(h, 1) < 0.6f))
            return (0.13f + 0.05f * ph_unit(h, 2)) * (q->thick ? 1.4f : 1.0f) * p->pitch;
    }
    return 0.0f;
}

static void half_way(gather *g, const track *t, int64_t n, const piece *q, float nm[3]) {
    place a = ph_knot(g->p, t, n, ph_wander(q)), b = ph_knot(g->p, t, n + 1, ph_wander(q));
    float at[2][3];

    relative(g, &a, at[0]);
    relative(g, &b, at[1]);
    for (int k = 0; k < 3; k++) nm[k] = 0.5f * (at[0][k] + at[1][k]);
}

/* From the first knot of a piece to what it stands on. */
static exa_status add_foot(gather *g, const track *t, const piece *q, const float first[3], int32_t object) {
    float to[3], r = radius_at(g->p, q, t, q->start);

    if (q->bridged) {
        piece parent;
        ph_piece(g->p, &q->parent, q->parent_knot, &parent);
        half_way(g, &q->parent, q->parent_knot, &parent, to);
        return add_tube(g, first, to, r, r < 0.0f ? r : 0.0f, 0.0f, object);
    }
    if (q->from_soma) {
        int64_t cell[3];
        float center[3], d[3], length = 0.0f;
        macro m;
        ph_slot_macro(t, floor_div(q->start - 1, SLOT), cell);
        ph_macro(g->p, cell, &m);
        relative(g, &m.center, center);
        for (int a = 0; a < 3; a++) {
            d[a] = first[a] - center[a];
            length += d[a] * d[a];
        }
        for (int a = 0; a < 3; a++) to[a] = center[a] + d[a] * (0.75f * m.radius_nm / sqrtf(length));
        return add_tube(g, first, to, r, 0.3f * g->p->pitch, 0.0f, object);
    }
    return EXA_OK;
}

typedef struct knot {
    piece q;
    float at[3], r;
    int32_t object;
    bool known;
} knot;

/* Whether knot n holds the same piece, or the same nothing, as the knot before it. */
static bool goes_on(gather *g, const track *t, int64_t n) {
    const slot *s;

    if (n % SLOT == 0) return false;
    s = ph_slot(g->p, t, floor_div(n, SLOT));
    return !s->has_ball && !(s->has_break && n == s->break_after + 1);
}

static exa_status visit_knot(gather *g, const track *t, int64_t n, const knot *before, knot *now) {
    place at;

    if (before->known && goes_on(g, t, n)) {
        now->q = before->q;
    } else {
        ph_piece(g->p, t, n, &now->q);
    }
    now->known = true;
    if (!now->q.there) return EXA_OK;
    at = ph_knot(g->p, t, n, ph_wander(&now->q));
    relative(g, &at, now->at);
    now->r = radius_at(g->p, &now->q, t, n);
    EXA_TRY(object_of(g->p, now->q.id, now->q.tint, false, &now->object));
    if (n == now->q.start) EXA_TRY(add_foot(g, t, &now->q, now->at, now->object));
    if (!before->q.there || before->q.start != now->q.start) return EXA_OK;
    return add_tube(g, before->at, now->at, before->r, now->r, organelle_of(g->p, &now->q, t, n - 1), now->object);
}

static exa_status add_track(gather *g, const track *t, double lateral2) {
    double half = sqrt(g->span * g->span - lateral2) + 1.0, middle = g->lattice[t->f];
    knot k[2] = {0};

    for (int64_t n = (int64_t)floor(middle - half); n <= (int64_t)ceil(middle + half); n++) {
        EXA_TRY(visit_knot(g, t, n, &k[~n & 1], &k[n & 1]));
    }
    return EXA_OK;
}

static exa_status add_tracks(gather *g) {
    for (int f = 0; f < 3; f++) {
        double ci = g->lattice[next_axis(f)], cj = g->lattice[other_axis(f)] - 0.5;
        int64_t i_end = (int64_t)ceil(ci + g->span), j_end = (int64_t)ceil(cj + g->span);
        for (int64_t i = (int64_t)floor(ci - g->span); i <= i_end; i++) {
            for (int64_t j = (int64_t)floor(cj - g->span); j <= j_end; j++) {
                double di = (double)i - ci, dj = (double)j - cj, lateral2 = di * di + dj * dj;
                const track t = {f, i, j};
                if (lateral2 < g->span * g->span) EXA_TRY(add_track(g, &t, lateral2));
            }
        }
    }
    return EXA_OK;
}

/* ---- balls --------------------------------------------------------------------------------------------------- */

static exa_status add_ball(gather *g, const int64_t cell[3], const macro *m) {
    bool glia = m->kind == MACRO_GLIA;
    float reach = glia ? GLIA_REACH_PITCHES * g->p->pitch : m->radius_nm;
    scene_ball b = {.radius = m->radius_nm, .glia = glia, .reach = reach};

    relative(g, &m->center, b.center);
    if (from_center(g, b.center) > g->half_diagonal + reach + g->reach) return EXA_OK;
    b.nucleus = NUCLEUS_FRACTION * m->radius_nm;
    b.core = GLIA_CORE_PITCHES * g->p->pitch;
    b.curve = (g->p->style.tissue_nm - b.core) / (reach * reach);
    if (glia) {
        uint64_t tint = ph_hash(g->p, DRAW_GREY, cell[0], cell[1], cell[2], 1);
        EXA_TRY(object_of(g->p, ph_glia_id(g->p, cell), tint, true, &b.object));
    } else {
        piece neuron;
        ph_soma(g->p, m, &neuron);
        EXA_TRY(object_of(g->p, neuron.id, neuron.tint, false, &b.object));
    }
    if (!glia) EXA_TRY(add_tube(g, b.center, b.center, b.radius, b.radius, 0.0f, b.object));
    EXA_TRY(exa_grow(&g->s->balls, &g->s->ball_capacity, sizeof b, g->s->ball_count + 1, "somata of a phantom"));
    g->s->balls[g->s->ball_count++] = b;
    return EXA_OK;
}

static exa_status add_balls(gather *g) {
    double margin = g->span + SLOT / 2;
    int64_t low[3], high[3], cell[3];

    for (int a = 0; a < 3; a++) {
        low[a] = floor_div((int64_t)floor(g->lattice[a] - margin), SLOT);
        high[a] = floor_div((int64_t)ceil(g->lattice[a] + margin), SLOT);
    }
    for (cell[0] = low[0]; cell[0] <= high[0]; cell[0]++) {
        for (cell[1] = low[1]; cell[1] <= high[1]; cell[1]++) {
            for (cell[2] = low[2]; cell[2] <= high[2]; cell[2]++) {
                macro m;
                ph_macro(g->p, cell, &m);
                if (m.kind == MACRO_SOMA || m.kind == MACRO_GLIA) EXA_TRY(add_ball(g, cell, &m));
            }
        }
    }
    return EXA_OK;
}

/* ---- tubes by object ----------------------------------------------------------------------------------------- */

static exa_status reserve_tubes(exa_phantom_scene *s) {
    enum { FLOATS = 10 };
    size_t n = (s->tube_count + 15) / 16 * 16;
    float *f;

    if (n <= s->tubes.capacity) return EXA_OK;
    free(s->arena);
    s->arena = NULL;
    s->tubes.capacity = 0;
    EXA_TRY(exa_alloc(n * (FLOATS + 1 + 4), sizeof(float), "the tubes of a phantom's block", &s->arena));
    f = s->arena;
    for (int a = 0; a < 3; a++, f += n) s->tubes.a[a] = f;
    for (int a = 0; a < 3; a++, f += n) s->tubes.b[a] = f;
    s->tubes.bb = f;
    s->tubes.r = f + n;
    s->tubes.dr = f + 2 * n;
    s->tubes.organelle = f + 3 * n;
    s->scratch = f + 4 * n;
    s->tubes.object = (int32_t *)(f + 5 * n);
    s->near_block = s->tubes.object + n;
    s->near_tile = s->near_block + n;
    s->tubes.capacity = n;
    return EXA_OK;
}

static exa_status sort_tubes(exa_phantom_scene *s) {
    size_t first = 0;

    EXA_TRY(reserve_tubes(s));
    for (size_t k = 0; k < s->object_count; k++) {
        size_t count = s->object[k].tubes;
        s->object[k].tubes = first;
        first += count;
    }
    for (size_t k = 0; k < s->tube_count; k++) {
        const scene_tube *t = &s->tube[k];
        size_t at = s->object[t->object].tubes++;
        for (int a = 0; a < 3; a++) {
            s->tubes.a[a][at] = t->a[a];
            s->tubes.b[a][at] = t->b[a];
        }
        s->tubes.bb[at] = t->bb;
        s->tubes.r[at] = t->r;
        s->tubes.dr[at] = t->dr;
        s->tubes.organelle[at] = t->organelle;
        s->tubes.object[at] = t->object;
    }
    s->tubes.count = s->tube_count;
    return EXA_OK;
}

/* What a painted voxel's object stands for. */
static exa_status list_objects(exa_phantom_scene *s) {
    EXA_TRY(
        exa_grow(&s->greys, &s->grey_capacity, sizeof *s->greys, s->object_count + 1, "grey values of a phantom"));
    EXA_TRY(
        exa_grow(&s->labels, &s->label_capacity, sizeof *s->labels, s->object_count + 1, "labels of a phantom"));
    s->greys[0] = 212.0f; /* resin */
    s->labels[0] = 0;
    for (size_t k = 0; k < s->object_count; k++) {
        s->greys[k + 1] = s->object[k].grey;
        s->labels[k + 1] = s->object[k].id;
    }
    s->grey = s->greys + 1;
    s->label = s->labels + 1;
    return EXA_OK;
}

/* ---- synapses ------------------------------------------------------------------------------------------------ */

/* As in kernels/simd/phantom_tile_simd.c, for one tube and point. */
static float tube_value(const exa_tubes *t, int32_t j, const float nm[3]) {
    float v[3], vb = 0.0f, dd = 0.0f, along;

    for (int a = 0; a < 3; a++) {
        v[a] = nm[a] - t->a[a][j];
        vb += v[a] * t->b[a][j];
    }
    along = t->bb[j] > 0.0f ? fminf(fmaxf(vb / t->bb[j], 0.0f), 1.0f) : 0.0f;
    for (int a = 0; a < 3; a++) dd += (v[a] - along * t->b[a][j]) * (v[a] - along * t->b[a][j]);
    return sqrtf(dd) - (t->r[j] + along * t->dr[j]);
}

/* Object at a point, -1 where none is clear. Glia and balls are asked too. */
static int32_t owner_at(const gather *g, const float nm[3]) {
    exa_phantom_scene *s = g->s;
    size_t count = exa_tile_cull(g->p->isa, &s->tubes, NULL, 0, nm, 2.0f * CLEAR_NM, s->scratch, s->near_tile);
    float first = 1e30f, second = 1e30f, gap = g->p->style.tissue_nm;
    int32_t owner = -1;

    for (size_t k = 0; k < count; k++) {
        int32_t object = s->tubes.object[s->near_tile[k]];
        float v = tube_value(&s->tubes, s->near_tile[k], nm);
        if (v < first) {
            if (object != owner) second = first;
            first = v;
            owner = object;
        } else if (object != owner && v < second) {
            second = v;
        }
    }
    for (size_t k = 0; k < s->ball_count; k++) {
        const scene_ball *b = &s->balls[k];
        float dd = 0.0f, d, v;
        for (int a = 0; a < 3; a++) dd += (nm[a] - b->center[a]) * (nm[a] - b->center[a]);
        d = sqrtf(dd);
        if (!b->glia || d >= b->reach) continue;
        v = b->core + b->curve * dd;
        if (d - b->radius < v) v = d - b->radius;
        if (v < gap) gap = v;
    }
    return second - first > CLEAR_NM && gap - first > CLEAR_NM ? owner : -1;
}

/* The voxel that holds a point, and that voxel's centre. */
static void voxel_of(const gather *g, const place *from, const float nm[3], exa_coord voxel[3], float center[3]) {
    for (int a = 0; a < 3; a++) {
        int64_t pm = from->base_pm[a] + (int64_t)floor((double)from->off_nm[a] * 1e3 + (double)nm[a] * 1e3);
        voxel[a] = floor_div(pm, g->p->voxel_pm[a]);
        center[a] =
            (float)((double)(voxel[a] - g->s->block[a] * g->p->block[a]) * (double)g->p->voxel_pm[a] * 1e-3);
    }
}

typedef struct contact {
    const piece *a, *b; /* at the knot of one neurite, half-way between two of the other */
    place at_a;
    float to_b[3]; /* from there to the other's axis */
    float length, ra, rb;
} contact;

/* The membrane lies where both values are equal. Everything is computed from the knot's own place, so that blocks
 * agree on the voxels. */
static exa_status add_synapse(gather *g, const contact *c) {
    float at = 0.5f * (c->length + c->ra - c->rb), step = 0.2f * g->p->pitch, nm[3], seen[3];
    scene_synapse y = {.radius = SYNAPSE_RADIUS_PITCHES * g->p->pitch};
    exa_phantom_synapse *s = &y.public;
    int32_t a, b;

    if (at < 0.06f * g->p->pitch || c->length - at < 0.06f * g->p->pitch) return EXA_OK;
    for (int k = 0; k < 3; k++) nm[k] = c->to_b[k] / c->length * at;
    voxel_of(g, &c->at_a, nm, s->center, seen);
    memcpy(y.center, seen, sizeof seen);
    if (from_center(g, seen) > g->half_diagonal + 3.0f * y.radius) return EXA_OK;
    for (int k = 0; k < 3; k++) nm[k] = c->to_b[k] / c->length * (at - (0.6f * at < step ? 0.6f * at : step));
    voxel_of(g, &c->at_a, nm, c->a->axon ? s->pre_at : s->post_at, seen);
    a = owner_at(g, seen);
    for (int k = 0; k < 3; k++) {
        float rest = c->length - at;
        nm[k] = c->to_b[k] / c->length * (at + (0.6f * rest < step ? 0.6f * rest : step));
    }
    voxel_of(g, &c->at_a, nm, c->a->axon ? s->post_at : s->pre_at, seen);
    b = owner_at(g, seen);
    if (a < 0 || b < 0 || g->s->object[a].id != c->a->id || g->s->object[b].id != c->b->id) return EXA_OK;
    s->pre = c->a->axon ? c->a->id : c->b->id;
    s->post = c->a->axon ? c->b->id : c->a->id;
    s->radius_nm = (double)y.radius;
    y.pre = c->a->axon ? a : b;
    EXA_TRY(exa_grow(&g->s->synapses, &g->s->synapse_capacity, sizeof y, g->s->synapse_count + 1,
                     "synapses of a phantom"));
    g->s->synapses[g->s->synapse_count++] = y;
    return EXA_OK;
}

static exa_status try_synapse(gather *g, const track *t, int64_t n, int side) {
    piece a, b, b_next;
    place mid[2];
    int64_t k;
    track other = ph_neighbour(t, n, side, &k);
    contact c = {.a = &a, .b = &b};
    float d[2][3], length2 = 0.0f;

    ph_piece(g->p, t, n, &a);
    ph_piece(g->p, &other, k, &b);
    ph_piece(g->p, &other, k + 1, &b_next);
    if (!a.there || !b.there || !b_next.there || b.start != b_next.start) return EXA_OK;
    if (a.axon == b.axon || a.id == b.id) return EXA_OK;
    c.at_a = ph_knot(g->p, t, n, ph_wander(&a));
    for (int m = 0; m < 2; m++) {
        mid[m] = ph_knot(g->p, &other, k + m, ph_wander(&b));
        ph_between(&c.at_a, &mid[m], d[m]);
    }
    for (int x = 0; x < 3; x++) {
        c.to_b[x] = 0.5f * (d[0][x] + d[1][x]);
        length2 += c.to_b[x] * c.to_b[x];
    }
    c.length = sqrtf(length2);
    c.ra = radius_at(g->p, &a, t, n);
    c.rb = 0.5f * (radius_at(g->p, &b, &other, k) + radius_at(g->p, &b, &other, k + 1));
    return add_synapse(g, &c);
}

static exa_status add_synapses(gather *g) {
    double span = g->span - 0.5;

    for (int f = 0; f < 3; f++) {
        const int ax = next_axis(f), bx = other_axis(f);
        int64_t low[3], high[3];
        for (int a = 0; a < 3; a++) {
            low[a] = (int64_t)floor(g->lattice[a] - span);
            high[a] = (int64_t)ceil(g->lattice[a] + span);
        }
        for (int64_t i = low[ax]; i <= high[ax]; i++) {
            for (int64_t j = low[bx]; j <= high[bx]; j++) {
                for (int64_t n = low[f]; n <= high[f]; n++) {
                    double d[3];
                    d[f] = (double)n - g->lattice[f];
                    d[ax] = (double)i - g->lattice[ax];
                    d[bx] = (double)j + 0.5 - g->lattice[bx];
                    if (d[0] * d[0] + d[1] * d[1] + d[2] * d[2] > span * span) continue;
                    uint64_t h = ph_hash(g->p, DRAW_SYNAPSE + 64u * (unsigned)f, i, j, n, 0);
                    const track t = {f, i, j};
                    for (int side = 0; side < 2; side++) {
                        if ((double)ph_unit(h, side) < g->p->o.synapses) EXA_TRY(try_synapse(g, &t, n, side));
                    }
                }
            }
        }
    }
    return EXA_OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------------- */

/* Where the block's centre lies in the lattice before it was warped: by repeated correction. */
static void locate(gather *g) {
    double base[3];
    int64_t half[3];

    for (int a = 0; a < 3; a++) {
        const int *t = ph_turn[a];
        __int128 pm = 0;
        for (int k = 0; k < 3; k++) pm += (__int128)t[k] * g->center.base_pm[k];
        half[a] = (int64_t)(pm / 7 / (g->p->pitch_pm / 2));
        base[a] =
            (double)(int64_t)(pm / 7 - (__int128)half[a] * (g->p->pitch_pm / 2)) / (double)(g->p->pitch_pm / 2);
        base[a] += (double)half[a];
    }
    for (int pass = 0; pass < 4; pass++) {
        float nm[3];
        ph_warp(g->p, half, nm);
        for (int a = 0; a < 3; a++) {
            g->lattice[a] = 0.5 * base[a] - (double)(nm[a] / g->p->pitch);
            half[a] = (int64_t)floor(2.0 * g->lattice[a] + 0.5);
        }
    }
}

static void begin(gather *g, exa_phantom *p, const exa_coord block[3]) {
    double diagonal = 0.0;

    memset(g, 0, sizeof *g);
    g->p = p;
    g->s = p->scene;
    for (int a = 0; a < 3; a++) {
        double side = (double)p->block[a] * (double)p->voxel_pm[a] * 1e-3;
        diagonal += side * side;
        g->origin.base_pm[a] = block[a] * p->block[a] * p->voxel_pm[a] + p->voxel_pm[a] / 2;
        g->center.base_pm[a] = g->origin.base_pm[a] + (p->block[a] - 1) * p->voxel_pm[a] / 2;
    }
    g->half_diagonal = (float)(0.5 * sqrt(diagonal));
    g->reach = REACH_PITCHES * p->pitch;
    g->span = (double)((g->half_diagonal + g->reach) / p->pitch) * 1.15 + 0.5;
    memcpy(g->s->block, block, sizeof g->s->block);
    g->s->tube_count = g->s->object_count = g->s->ball_count = g->s->synapse_count = 0;
    for (int k = 0; k < SCENE_TABLE; k++) g->s->table[k] = -1;
}

exa_status ph_scene_gather(exa_phantom *p, const exa_coord block[3], bool synapses) {
    gather g;

    if (p->scene->valid && memcmp(p->scene->block, block, sizeof p->scene->block) == 0 &&
        (p->scene->has_synapses || !synapses))
        return EXA_OK;
    p->scene->valid = false;
    begin(&g, p, block);
    locate(&g);
    EXA_TRY(add_tracks(&g));
    EXA_TRY(add_balls(&g));
    EXA_TRY(sort_tubes(p->scene));
    EXA_TRY(list_objects(p->scene));
    if (synapses) EXA_TRY(add_synapses(&g));
    p->scene->has_synapses = synapses;
    p->scene->valid = true;
    return EXA_OK;
}

void ph_scene_free(exa_phantom_scene *s) {
    if (!s) return;
    free(s->tube);
    free(s->object);
    free(s->greys);
    free(s->labels);
    free(s->balls);
    free(s->synapses);
    free(s->arena);
    free(s);
}
