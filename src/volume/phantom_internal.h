/* What the phantom's sources share: phantom_lattice.c says which neurite runs where, phantom_scene.c gathers what
 * one block of voxels meets, phantom.c paints blocks and answers callers.
 *
 * Lattice coordinates are whole cells of one pitch along three axes that are turned against the voxels' by
 * the symmetric matrix TURN/7. Three families of tracks fill the lattice: family f runs along lattice axis f, a
 * track has fixed cells (i, j) on the axes next(f) and other(f), and knots n at every whole cell along f. At each
 * knot two tracks of family other(f) pass by at half a pitch.
 */
#ifndef EXA_PHANTOM_INTERNAL_H
#define EXA_PHANTOM_INTERNAL_H

#include "exaconn/phantom.h"
#include "exaconn/phantom_tile.h"

enum {
    SLOT = 16,         /* knots between two possible ends of a neurite; cells of a macro-cell */
    LONGEST_SLOTS = 6, /* of a piece */
    WARP_CELLS = 8,    /* wave lengths of the two warps */
    LONG_WARP_CELLS = 64,
    EMPTY_MACROS = 3,   /* an empty region is this many macro-cells wide */
    SLOT_CACHE = 1024,  /* slots remembered; a power of two */
    SCENE_TABLE = 8192, /* twice the objects a block may hold; a power of two */
};

typedef struct track {
    int f;
    int64_t i, j;
} track;

/* A place that any two blocks compute alike: exact base in picometres and a displacement in nm, physical zyx. */
typedef struct place {
    int64_t base_pm[3];
    float off_nm[3];
} place;

typedef enum macro_kind { MACRO_PLAIN, MACRO_EMPTY, MACRO_SOMA, MACRO_GLIA } macro_kind;

typedef struct macro {
    macro_kind kind;
    place center;
    float radius_nm; /* of the ball */
    track owner;     /* MACRO_SOMA: the soma sits on this track */
} macro;

/* The ends that lie between the knots of one slot of one track: an ordinary break, or a soma's ball. */
typedef struct slot {
    track t;
    int64_t s;
    bool valid, empty;
    bool has_break;
    int64_t break_after;   /* knot */
    bool has_ball, passes; /* passes: the soma's own track */
    int64_t ball_first, ball_last;
} slot;

/* The neurite at a knot. */
typedef struct piece {
    bool there;    /* false: nothing here */
    int64_t start; /* first knot */
    uint64_t hash; /* of the piece */
    exa_segid id;  /* of the neuron */
    uint64_t tint; /* the neuron's grey follows from it; unlike the id it does not depend on the shape */
    bool axon, thick;
    bool bridged, from_soma; /* begins on another neurite, or on a soma */
    track parent;            /* bridged: the neurite beside the first knot, */
    int64_t parent_knot;     /* half-way between this knot and the next */
} piece;

typedef struct warp_cell {
    int64_t c[3];
    bool valid;
    float v[8][3];
} warp_cell;

typedef struct exa_phantom_scene exa_phantom_scene;

struct exa_phantom {
    exa_phantom_options o;
    exa_isa isa;
    int64_t voxel_pm[3], pitch_pm;
    float pitch;       /* nm */
    int block[3];      /* voxels of a block */
    int64_t id_low[3]; /* of the grid of ids */
    uint64_t id_extent[3];
    warp_cell warp_cache[2];
    slot slots[SLOT_CACHE];
    exa_tile_style style;
    exa_phantom_scene *scene; /* owned */
};

/* ---- random numbers ------------------------------------------------------------------------------------------ */

/* 64 bits that are a function of the phantom's seed, a purpose, and four counters (multiply and fold per word, the
 * finaliser of SplitMix64 at the end). */
uint64_t ph_hash(const exa_phantom *p, unsigned purpose, int64_t a, int64_t b, int64_t c, int64_t d);

/* Uniform numbers from 16-bit fields of a hash: [0, 1) and [-1, 1). */
static inline float ph_unit(uint64_t h, int field) {
    return (float)(h >> (16 * field) & 0xffffu) * (1.0f / 65536.0f);
}
static inline float ph_signed(uint64_t h, int field) {
    return ph_unit(h, field) * 2.0f - 1.0f;
}
static inline int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

/* ---- the lattice (phantom_lattice.c) ------------------------------------------------------------------------- */

static inline int next_axis(int f) {
    return (f + 2) % 3;
}
static inline int other_axis(int f) {
    return (f + 1) % 3;
}

/* Physical <-> lattice: v' = TURN v / 7 both ways. */
extern const int ph_turn[3][3];

/* Position of a point given in half cells, displaced by the warp. */
place ph_place(exa_phantom *p, const int64_t half[3]);
void ph_warp(exa_phantom *p, const int64_t half[3], float nm[3]); /* lattice axes */
place ph_knot(exa_phantom *p, const track *t, int64_t n, float wander);

/* b - a in nm. */
void ph_between(const place *a, const place *b, float nm[3]);

/* The macro-cell of a slot. */
void ph_slot_macro(const track *t, int64_t s, int64_t m[3]);
void ph_macro(exa_phantom *p, const int64_t m[3], macro *out);

/* Remembered: borrowed, valid until the next call that may look up another slot. */
const slot *ph_slot(exa_phantom *p, const track *t, int64_t s);

void ph_piece(exa_phantom *p, const track *t, int64_t n, piece *out);
float ph_wander(const piece *q);

/* The track that passes knot n of `t` on side 0 or 1; *knot: it does so half-way from there to the next. */
track ph_neighbour(const track *t, int64_t n, int side, int64_t *knot);

exa_segid ph_glia_id(const exa_phantom *p, const int64_t m[3]);

/* Fills in id and tint of the neuron that a soma belongs to. */
void ph_soma(exa_phantom *p, const macro *m, piece *out);

/* Sets the id grid; EXA_ERR_RANGE where ids would not fit. */
exa_status ph_prepare_ids(exa_phantom *p);

/* ---- a block's scene (phantom_scene.c) ----------------------------------------------------------------------- */

typedef struct scene_ball {
    float center[3], radius, nucleus, reach;
    float core, curve; /* glia: owns values above core + curve * distance^2 */
    int32_t object;
    bool glia;
} scene_ball;

typedef struct scene_synapse {
    exa_phantom_synapse public;
    float center[3], radius;
    int32_t pre;
} scene_synapse;

typedef struct scene_object {
    exa_segid id;
    float grey;
    size_t tubes; /* how many, then where the next one goes */
} scene_object;

typedef struct scene_tube {
    float a[3], b[3], bb, r, dr, organelle;
    int32_t object;
} scene_tube;

struct exa_phantom_scene {
    exa_coord block[3]; /* index; the block's first voxel is block * p->block */
    bool valid, has_synapses;
    scene_object *object;
    size_t object_count, object_capacity;
    int32_t table[SCENE_TABLE]; /* id -> object, open addressing; -1 = free */
    scene_tube *tube;           /* in the order found */
    size_t tube_count, tube_capacity;
    exa_tubes tubes; /* the same by object, in `arena` with the lists below */
    void *arena;
    float *scratch;
    int32_t *near_block, *near_tile;
    float *greys;      /* resin's, then each object's; `grey` and `label` point one further: [-1] is no tissue */
    exa_segid *labels; /* 0, then each object's id */
    const float *grey;
    const exa_segid *label;
    size_t grey_capacity, label_capacity;
    scene_ball *balls;
    size_t ball_count, ball_capacity;
    scene_synapse *synapses;
    size_t synapse_count, synapse_capacity;
};

/* Fills p->scene for a block, with its synapses or without (labels need none); nothing to do if it holds that. */
exa_status ph_scene_gather(exa_phantom *p, const exa_coord block[3], bool synapses);
void ph_scene_free(exa_phantom_scene *scene);

#endif
