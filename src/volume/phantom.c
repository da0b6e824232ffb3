/* The phantom as callers see it: names into options, boxes of voxels block by block and tile by tile, the synapses.
 */
#include "exaconn/phantom.h"

#include "exaconn/suggest.h"

#include "phantom_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DRAW_SECTION = 60, DRAW_DRIFT, DRAW_TEXTURE, DRAW_NOISE, DRAW_VESICLE };

#define TISSUE_PITCHES 0.8f
#define DRIFT_WAVE_VX 512
#define DRIFT_WAVE_SECTIONS 48
#define BLOCK_NM 1100.0 /* blocks are 64 voxels or fewer on an axis, to be about this long */

/* ---- names --------------------------------------------------------------------------------------------------- */

typedef struct parameter {
    const char *name;
    size_t offset;
    double low, high;
} parameter;

#define REAL(field, low, high)                                                                                     \
    { #field, offsetof(exa_phantom_options, field), low, high }
static const parameter parameters[] = {
    {"pitch", offsetof(exa_phantom_options, pitch_nm), 50.0, 20000.0},
    REAL(noise, 0.0, 64.0),
    REAL(drift, 0.0, 1.0),
    REAL(missing, 0.0, 1.0),
    REAL(dark, 0.0, 1.0),
    REAL(vacant, 0.0, 0.9),
    REAL(empty, 0.0, 1.0),
    REAL(somata, 0.0, 1.0),
    REAL(glia, 0.0, 1.0),
    REAL(synapses, 0.0, 1.0),
    REAL(mitochondria, 0.0, 1.0),
};
#undef REAL
enum { PARAMETERS = sizeof parameters / sizeof *parameters };

static const exa_phantom_options defaults = {
    .seed = 1,
    .voxel_nm = {16.0, 16.0, 16.0},
    .pitch_nm = 384.0,
    .noise = 9.0,
    .drift = 0.3,
    .missing = 0.0005,
    .dark = 0.002,
    .vacant = 0.25,
    .empty = 0.03,
    .somata = 0.12,
    .glia = 0.12,
    .synapses = 0.08,
    .mitochondria = 0.12,
};

/* The parameters that are not reals, and then those of the table. */
static const char *const others[] = {"seed", "shape", "voxel"};
enum { OTHERS = sizeof others / sizeof *others, SHAPE = 1 };

static const char *parameter_name(int i) {
    return i < OTHERS ? others[i] : parameters[i - OTHERS].name;
}

/* strtod and strtoll also take signs, spaces, hexadecimal and "nan". */
static bool begins_plainly(const char *text) {
    const char *digit = text[0] == '.' ? text + 1 : text;
    return *digit >= '0' && *digit <= '9' && text[1] != 'x' && text[1] != 'X';
}

static exa_status read_real(const char *name, const char *text, double low, double high, double *out) {
    char *end;
    double value = strtod(text, &end);

    EXA_CHECK(begins_plainly(text) && *end == '\0' && value >= low && value <= high, EXA_ERR_CONFIG,
              "phantom: %s=%s: a number from %g to %g is expected", name, text, low, high);
    *out = value;
    return EXA_OK;
}

/* "512x512x512", or one number for all axes; `whole` for voxel counts. */
static exa_status read_triple(const char *name, const char *text, bool whole, double out[3], int64_t count[3]) {
    const char *p = text;
    int n = 0;

    for (; n < 3; n++) {
        char number[64] = "", *end; /* alone: to strtod "0x10x10" would begin with a hexadecimal 16 */
        size_t length = strcspn(p, "x");
        memcpy(number, p, length < sizeof number ? length : sizeof number - 1);
        errno = 0;
        if (whole) {
            count[n] = strtoll(number, &end, 10);
        } else {
            out[n] = strtod(number, &end);
        }
        EXA_CHECK(*p >= '0' && *p <= '9' && errno == 0 && *end == '\0' && length < sizeof number, EXA_ERR_CONFIG,
                  "phantom: %s=%s: numbers for z, y, x are expected. Hint: %s=%s", name, text, name,
                  whole ? "512x512x512" : "16x16x16");
        if (p[length] == '\0') break;
        p += length + 1;
    }
    EXA_CHECK(n == 0 || n == 2, EXA_ERR_CONFIG, "phantom: %s=%s: give one number, or three for z, y, x as in 1x2x3",
              name, text);
    for (int a = 1; a < 3 && n == 0; a++) {
        count[a] = count[0];
        out[a] = out[0];
    }
    return EXA_OK;
}

static exa_status unknown_parameter(const char *name) {
    const char *known[OTHERS + PARAMETERS], *near;

    for (int i = 0; i < OTHERS + PARAMETERS; i++) known[i] = parameter_name(i);
    near = exa_suggest(name, known, OTHERS + PARAMETERS);
    return EXA_FAIL(EXA_ERR_CONFIG,
                    "phantom: there is no parameter '%s'.%s%s%s Hint: `exaconn phantom --help` "
                    "lists them",
                    name, near ? " Did you mean '" : "", near ? near : "", near ? "'?" : "");
}

static exa_status refuse_second(const char *name, unsigned *given) {
    for (int i = 0; i < OTHERS + PARAMETERS; i++) {
        if (strcmp(name, parameter_name(i)) != 0) continue;
        EXA_CHECK(!(*given & 1u << i), EXA_ERR_CONFIG, "phantom: %s is given twice", name);
        *given |= 1u << i;
    }
    return EXA_OK;
}

/* `given` has a bit for each parameter that was already there. */
static exa_status read_parameter(char *word, exa_phantom_options *o, unsigned *given) {
    char *value = strchr(word, '='), *end;
    double unused[3];
    int64_t unused_count[3];

    EXA_CHECK(value, EXA_ERR_CONFIG,
              "phantom: '%s' is not of the form name=value. Hint: "
              "phantom:seed=7,shape=512x512x512",
              word);
    *value++ = '\0';
    EXA_TRY(refuse_second(word, given));
    if (strcmp(word, "seed") == 0) {
        errno = 0;
        o->seed = strtoull(value, &end, 10);
        EXA_CHECK(begins_plainly(value) && *end == '\0' && errno == 0, EXA_ERR_CONFIG,
                  "phantom: seed=%s: a whole number from 0 to 2^64 - 1 is expected", value);
        return EXA_OK;
    }
    if (strcmp(word, "shape") == 0) return read_triple(word, value, true, unused, o->shape);
    if (strcmp(word, "voxel") == 0) return read_triple(word, value, false, o->voxel_nm, unused_count);
    for (int i = 0; i < PARAMETERS; i++) {
        const parameter *p = &parameters[i];
        if (strcmp(word, p->name) == 0)
            return read_real(p->name, value, p->low, p->high, (double *)(void *)((char *)o + p->offset));
    }
    return unknown_parameter(word);
}

static exa_status read_part(const char *dataset, exa_phantom_part *part) {
    if (strcmp(dataset, "/raw") == 0) {
        *part = EXA_PHANTOM_RAW;
    } else if (strcmp(dataset, "/labels") == 0) {
        *part = EXA_PHANTOM_LABELS;
    } else {
        return EXA_FAIL(EXA_ERR_CONFIG, "phantom: there is no '%s' in it. Hint: name ...:/raw or ...:/labels",
                        dataset);
    }
    return EXA_OK;
}

exa_status exa_phantom_parse(const char *name, exa_phantom_options *options, exa_phantom_part *part) {
    char text[1024], *dataset, *next;
    exa_phantom_options o = defaults;
    exa_phantom_part what = EXA_PHANTOM_RAW;
    unsigned given = 0;

    EXA_CHECK(strncmp(name, EXA_PHANTOM_PREFIX, strlen(EXA_PHANTOM_PREFIX)) == 0, EXA_ERR_CONFIG,
              "'%.200s' does not name a phantom. Hint: phantom:seed=7,shape=512x512x512", name);
    name += strlen(EXA_PHANTOM_PREFIX);
    EXA_CHECK(strlen(name) < sizeof text, EXA_ERR_CONFIG, "phantom: the name is longer than %zu characters",
              sizeof text - 1);
    memcpy(text, name, strlen(name) + 1);
    dataset = strchr(text, ':');
    if (dataset) {
        *dataset = '\0';
        EXA_TRY(read_part(dataset + 1, &what));
    }
    for (char *word = text; word; word = next) {
        next = strchr(word, ',');
        if (next) *next++ = '\0';
        EXA_TRY(read_parameter(word, &o, &given));
    }
    EXA_CHECK(given & 1u << SHAPE, EXA_ERR_CONFIG,
              "phantom: it has no shape. Hint: phantom:seed=7,shape=512x512x512 (z, y, x voxels)");
    *options = o;
    *part = what;
    return EXA_OK;
}

/* ---- create -------------------------------------------------------------------------------------------------- */

static exa_status check_reals(const exa_phantom_options *o) {
    for (int i = 0; i < PARAMETERS; i++) {
        const parameter *p = &parameters[i];
        double value = *(const double *)(const void *)((const char *)o + p->offset);
        EXA_CHECK(value >= p->low && value <= p->high, EXA_ERR_RANGE, "phantom: %s=%g: %g to %g are possible",
                  p->name, value, p->low, p->high);
    }
    EXA_CHECK(o->somata + o->glia <= 1.0, EXA_ERR_RANGE,
              "phantom: somata=%g and glia=%g: a cell holds one or the other, so together they are at most 1",
              o->somata, o->glia);
    return EXA_OK;
}

/* In whole picometres; the pitch in multiples of 14, so that every knot's place is exact. */
static exa_status set_scale(exa_phantom *p) {
    const exa_phantom_options *o = &p->o;

    p->pitch_pm = (int64_t)floor(o->pitch_nm * 1e3 / 14.0 + 0.5) * 14;
    p->pitch = (float)((double)p->pitch_pm * 1e-3);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(o->voxel_nm[a] >= 1.0 && o->voxel_nm[a] <= 0.5 * o->pitch_nm, EXA_ERR_RANGE,
                  "phantom: a voxel of %g nm on axis %c; 1 nm to half the pitch (%g nm) are possible",
                  o->voxel_nm[a], "zyx"[a], 0.5 * o -> pitch_nm);
        p->voxel_pm[a] = (int64_t)floor(o->voxel_nm[a] * 1e3 + 0.5);
        EXA_CHECK(o->shape[a] >= 1 && o->shape[a] <= ((int64_t)1 << 57) / p->voxel_pm[a], EXA_ERR_RANGE,
                  "phantom: %lld voxels on axis %c; 1 to %lld are possible with voxels of %g nm",
                  (long long)o->shape[a], "zyx"[a], (long long)(((int64_t)1 << 57) / p->voxel_pm[a]),
                  o -> voxel_nm[a]);
        const int tile[3] = {EXA_TILE_Z, EXA_TILE_Y, EXA_TILE_X};
        p->block[a] = 64;
        while (p->block[a] > tile[a] && p->block[a] * o->voxel_nm[a] > BLOCK_NM * o->pitch_nm / 384.0)
            p->block[a] /= 2;
    }
    return EXA_OK;
}

static void set_style(exa_phantom *p) {
    double finest = fmin(p->o.voxel_nm[1], p->o.voxel_nm[2]);

    for (int a = 0; a < 3; a++) p->style.voxel_nm[a] = (float)((double)p->voxel_pm[a] * 1e-3);
    p->style.tissue_nm = TISSUE_PITCHES * p->pitch;
    p->style.membrane_nm = (float)fmax(20.0, 1.6 * finest);
    p->style.noise = (float)p->o.noise;
    p->style.texture = 12.0f;
    p->style.vesicle_key = (uint32_t)ph_hash(p, DRAW_VESICLE, 0, 0, 0, 0);
}

exa_status exa_phantom_create(const exa_phantom_options *options, exa_isa isa, exa_phantom **out) {
    exa_phantom *p = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *p, "a phantom", &p));
    p->o = *options;
    p->isa = isa == EXA_ISA_AUTO ? exa_cpu_best_isa() : isa;
    EXA_CHECK_GOTO(fail, exa_cpu_has(p->isa), EXA_ERR_UNSUPPORTED, "this processor has no '%s' instructions",
                   exa_isa_name(p->isa));
    EXA_GOTO(fail, check_reals(options));
    EXA_GOTO(fail, set_scale(p));
    EXA_GOTO(fail, ph_prepare_ids(p));
    EXA_GOTO(fail, exa_calloc(1, sizeof *p->scene, "a phantom's block", &p->scene));
    set_style(p);
    *out = p;
    return EXA_OK;
fail:
    exa_phantom_destroy(&p);
    return st;
}

void exa_phantom_destroy(exa_phantom **phantom) {
    if (!*phantom) return;
    ph_scene_free((*phantom)->scene);
    free(*phantom);
    *phantom = NULL;
}

int exa_phantom_block(const exa_phantom *phantom, int axis) {
    return phantom->block[axis];
}

/* ---- light and sections -------------------------------------------------------------------------------------- */

static float blend(float a, float b, float w) {
    return a + w * w * (3.0f - 2.0f * w) * (b - a);
}

typedef struct section {
    float gain, offset;
    bool missing;
} section;

static section section_light(const exa_phantom *p, exa_coord z) {
    int64_t wave = floor_div(z, DRIFT_WAVE_SECTIONS);
    float w = (float)(z - wave * DRIFT_WAVE_SECTIONS) / (float)DRIFT_WAVE_SECTIONS, drift = (float)p->o.drift;
    uint64_t low = ph_hash(p, DRAW_DRIFT, wave, 0, 0, 1), high = ph_hash(p, DRAW_DRIFT, wave + 1, 0, 0, 1);
    uint64_t h = ph_hash(p, DRAW_SECTION, z, 0, 0, 0);
    section s = {.missing = (double)ph_unit(h, 0) < p->o.missing};

    s.gain = 1.0f + drift * (0.5f * blend(ph_signed(low, 0), ph_signed(high, 0), w) + 0.1f * ph_signed(h, 1));
    s.offset = drift * (40.0f * blend(ph_signed(low, 1), ph_signed(high, 1), w) + 12.0f * ph_signed(h, 2));
    if ((double)ph_unit(h, 3) < p->o.dark) {
        s.gain *= 0.5f;
        s.offset -= 55.0f;
    }
    return s;
}

/* Slow change of brightness within sections, the same for a quarter of a block. */
static float slow_light(const exa_phantom *p, const exa_coord at[3]) {
    float w[3], v[8];
    int64_t c[3];

    for (int a = 0; a < 3; a++) {
        c[a] = floor_div(at[a], DRIFT_WAVE_VX);
        w[a] = (float)(at[a] - c[a] * DRIFT_WAVE_VX) / (float)DRIFT_WAVE_VX;
    }
    for (int k = 0; k < 8; k++)
        v[k] = ph_signed(ph_hash(p, DRAW_DRIFT, c[0] + (k >> 2), c[1] + (k >> 1 & 1), c[2] + (k & 1), 0), 0);
    for (int k = 0; k < 4; k++) v[k] = blend(v[2 * k], v[2 * k + 1], w[2]);
    for (int k = 0; k < 2; k++) v[k] = blend(v[2 * k], v[2 * k + 1], w[1]);
    return blend(v[0], v[1], w[0]) * 25.0f * (float)p->o.drift;
}

/* Random values at every fourth voxel, those at a tile's edge shared with its neighbours. */
static void set_texture(const exa_phantom *p, const exa_coord at[3], exa_tile *t) {
    uint32_t key = p->style.vesicle_key ^ DRAW_TEXTURE;

    for (uint32_t z = 0; z < 2; z++) {
        uint32_t in_z = exa_tile_mix(key + (uint32_t)((uint64_t)at[0] / 4) + z);
        for (uint32_t y = 0; y < 3; y++) {
            uint32_t in_y = exa_tile_mix(in_z + (uint32_t)((uint64_t)at[1] / 4) + y);
            for (uint32_t x = 0; x < 3; x++) {
                uint32_t h = exa_tile_mix(in_y + (uint32_t)((uint64_t)at[2] / 4) + x);
                t->texture[(z * 3 + y) * 3 + x] = (float)(h >> 8) * (2.0f / 16777216.0f) - 1.0f;
            }
        }
    }
}

/* ---- blocks into tiles --------------------------------------------------------------------------------------- */

static float distance(const float a[3], const float b[3]) {
    float dd = 0.0f;
    for (int k = 0; k < 3; k++) dd += (a[k] - b[k]) * (a[k] - b[k]);
    return sqrtf(dd);
}

static float half_diagonal(const exa_phantom *p, const int extent[3]) {
    float dd = 0.0f;
    for (int a = 0; a < 3; a++) dd += (float)(extent[a] * extent[a]) * p->style.voxel_nm[a] * p->style.voxel_nm[a];
    return 0.5f * sqrtf(dd);
}

static void list_balls(const exa_phantom *p, const float center[3], float radius, exa_tile *t) {
    const exa_phantom_scene *s = p->scene;

    for (size_t k = 0; k < s->ball_count; k++) {
        const scene_ball *b = &s->balls[k];
        if (distance(b->center, center) > b->reach + radius) continue;
        if (b->glia && t->glia_count < EXA_TILE_MAX_NEAR) {
            exa_tile_glia *g = &t->glia[t->glia_count++];
            memcpy(g->center, b->center, sizeof g->center);
            g->ball_radius = b->radius;
            g->nucleus_radius = b->nucleus;
            g->reach = b->reach;
            g->core = b->core;
            g->curve = b->curve;
            g->object = b->object;
        } else if (!b->glia && t->soma_count < EXA_TILE_MAX_NEAR) {
            exa_tile_soma *o = &t->soma[t->soma_count++];
            memcpy(o->center, b->center, sizeof o->center);
            o->nucleus_radius = b->nucleus;
            o->object = b->object;
        }
    }
}

static void list_synapses(const exa_phantom *p, const float center[3], float radius, exa_tile *t) {
    const exa_phantom_scene *s = p->scene;

    for (size_t k = 0; k < s->synapse_count && t->synapse_count < EXA_TILE_MAX_NEAR; k++) {
        const scene_synapse *y = &s->synapses[k];
        if (distance(y->center, center) > 3.0f * y->radius + radius) continue;
        exa_tile_synapse *o = &t->synapse[t->synapse_count++];
        memcpy(o->center, y->center, sizeof o->center);
        o->radius = y->radius;
        o->pre = y->pre;
    }
}

typedef struct reading {
    exa_phantom *p;
    const exa_box *box;
    uint8_t *image;
    exa_segid *labels;
    section section[64]; /* of the current block */
    float slow;
} reading;

/* The part of a tile that lies in the box. */
static void copy_tile(const reading *r, const exa_coord at[3], const int32_t *object, const uint8_t *image) {
    const exa_box tile = {{at[0], at[1], at[2]}, {EXA_TILE_Z, EXA_TILE_Y, EXA_TILE_X}};
    exa_box part = exa_box_intersect(&tile, r->box);
    const exa_phantom_scene *s = r->p->scene;

    for (exa_coord z = part.start[0]; z < part.start[0] + part.shape[0]; z++) {
        bool missing = r->section[z - s->block[0] * r->p->block[0]].missing;
        for (exa_coord y = part.start[1]; y < part.start[1] + part.shape[1]; y++) {
            size_t from = (size_t)(((z - at[0]) * EXA_TILE_Y + y - at[1]) * EXA_TILE_X + part.start[2] - at[2]);
            size_t to =
                (size_t)(((z - r->box->start[0]) * r->box->shape[1] + y - r->box->start[1]) * r->box->shape[2] +
                         part.start[2] - r->box->start[2]);
            for (exa_coord x = 0; r->labels && x < part.shape[2]; x++)
                r->labels[to + (size_t)x] = s->label[object[from + (size_t)x]];
            if (!r->image) continue;
            if (missing) {
                memset(r->image + to, 0, (size_t)part.shape[2]);
            } else {
                memcpy(r->image + to, image + from, (size_t)part.shape[2]);
            }
        }
    }
}

static void paint_tile(reading *r, const exa_coord at[3], size_t near_block) {
    exa_phantom *p = r->p;
    exa_phantom_scene *s = p->scene;
    const int extent[3] = {EXA_TILE_Z, EXA_TILE_Y, EXA_TILE_X};
    float radius = half_diagonal(p, extent), center[3];
    int32_t object[EXA_TILE_VOXELS];
    uint8_t image[EXA_TILE_VOXELS];
    exa_tile t = {.tubes = &s->tubes, .near = s->near_tile, .grey = s->grey};

    for (int a = 0; a < 3; a++) {
        t.origin[a] = (float)(at[a] - s->block[a] * p->block[a]) * p->style.voxel_nm[a];
        center[a] = t.origin[a] + 0.5f * (float)(extent[a] - 1) * p->style.voxel_nm[a];
        t.vesicle_origin[a] = (int32_t)(at[a] & 4095);
    }
    t.near_count = exa_tile_cull(p->isa, &s->tubes, s->near_block, near_block, center,
                                 2.0f * (radius + p->style.membrane_nm), s->scratch, s->near_tile);
    list_balls(p, center, radius, &t);
    if (r->image) {
        for (int z = 0; z < EXA_TILE_Z; z++) {
            const section *light = &r->section[at[0] + z - s->block[0] * p->block[0]];
            t.gain[z] = light->gain;
            t.offset[z] = light->offset + r->slow;
        }
        list_synapses(p, center, radius, &t);
        set_texture(p, at, &t);
        t.noise_key = (uint32_t)ph_hash(p, DRAW_NOISE, at[0], at[1], at[2], 0);
    }
    exa_tile_paint(p->isa, &p->style, &t, object, r->image ? image : NULL);
    copy_tile(r, at, object, image);
}

/* The tiles of a box of at most a quarter of a block a side; tubes near it are selected first. */
static void paint_part(reading *r, const exa_box *part, const exa_box *wanted) {
    exa_phantom *p = r->p;
    const int extent[3] = {(int)part->shape[0], (int)part->shape[1], (int)part->shape[2]};
    float radius = half_diagonal(p, extent), center[3];
    size_t near;
    exa_coord at[3];

    for (int a = 0; a < 3; a++)
        center[a] = ((float)(part->start[a] - p->scene->block[a] * p->block[a]) + 0.5f * (float)(extent[a] - 1)) *
                    p->style.voxel_nm[a];
    if (r->image) r->slow = slow_light(p, part->start);
    near = exa_tile_cull(p->isa, &p->scene->tubes, NULL, 0, center, 2.0f * (radius + p->style.membrane_nm),
                         p->scene->scratch, p->scene->near_block);
    for (at[0] = part->start[0]; at[0] < part->start[0] + part->shape[0]; at[0] += EXA_TILE_Z) {
        for (at[1] = part->start[1]; at[1] < part->start[1] + part->shape[1]; at[1] += EXA_TILE_Y) {
            for (at[2] = part->start[2]; at[2] < part->start[2] + part->shape[2]; at[2] += EXA_TILE_X) {
                const exa_box tile = {{at[0], at[1], at[2]}, {EXA_TILE_Z, EXA_TILE_Y, EXA_TILE_X}};
                exa_box common = exa_box_intersect(&tile, wanted);
                if (common.shape[0] > 0 && common.shape[1] > 0 && common.shape[2] > 0) paint_tile(r, at, near);
            }
        }
    }
}

static void paint_block(reading *r, const exa_box *block) {
    exa_box part, wanted = exa_box_intersect(block, r->box);
    exa_coord step[3];

    for (int a = 0; a < 3; a++) {
        static const exa_coord tile[3] = {EXA_TILE_Z, EXA_TILE_Y, EXA_TILE_X};
        step[a] = block->shape[a] / 4 > tile[a] ? block->shape[a] / 4 : tile[a];
        part.shape[a] = step[a];
    }
    for (exa_coord z = 0; z < block->shape[0] && r->image; z++)
        r->section[z] = section_light(r->p, block->start[0] + z);
    for (exa_coord z = 0; z < block->shape[0]; z += step[0]) {
        for (exa_coord y = 0; y < block->shape[1]; y += step[1]) {
            for (exa_coord x = 0; x < block->shape[2]; x += step[2]) {
                exa_box common;
                part.start[0] = block->start[0] + z;
                part.start[1] = block->start[1] + y;
                part.start[2] = block->start[2] + x;
                common = exa_box_intersect(&part, &wanted);
                if (common.shape[0] > 0 && common.shape[1] > 0 && common.shape[2] > 0)
                    paint_part(r, &part, &wanted);
            }
        }
    }
}

/* ---- boxes --------------------------------------------------------------------------------------------------- */

typedef exa_status block_body(reading *r, const exa_box *block, void *context);

/* Calls `body` for each block that meets the box, its scene gathered. */
static exa_status for_blocks(reading *r, block_body *body, void *context) {
    exa_phantom *p = r->p;
    exa_coord low[3], high[3], b[3];

    for (int a = 0; a < 3; a++) {
        low[a] = r->box->start[a] / p->block[a];
        high[a] = (r->box->start[a] + r->box->shape[a] - 1) / p->block[a];
    }
    for (b[0] = low[0]; b[0] <= high[0]; b[0]++) {
        for (b[1] = low[1]; b[1] <= high[1]; b[1]++) {
            for (b[2] = low[2]; b[2] <= high[2]; b[2]++) {
                exa_box block;
                for (int a = 0; a < 3; a++) {
                    block.start[a] = b[a] * p->block[a];
                    block.shape[a] = p->block[a];
                }
                EXA_TRY(ph_scene_gather(p, b, r->image || !r->labels)); /* labels alone need no synapses */
                EXA_TRY(body(r, &block, context));
            }
        }
    }
    return EXA_OK;
}

static exa_status check_box(const exa_phantom *p, const exa_box *box) {
    const exa_box all = {{0, 0, 0}, {p->o.shape[0], p->o.shape[1], p->o.shape[2]}};

    EXA_CHECK(exa_box_inside(box, &all), EXA_ERR_RANGE,
              "a box at %lld,%lld,%lld of %lld x %lld x %lld voxels (z,y,x) is not inside the phantom",
              (long long)box->start[0], (long long)box->start[1], (long long)box->start[2],
              (long long)box->shape[0], (long long)box->shape[1], (long long)box->shape[2]);
    return EXA_OK;
}

static bool is_void(const exa_box *box) {
    return box->shape[0] == 0 || box->shape[1] == 0 || box->shape[2] == 0;
}

static exa_status read_block(reading *r, const exa_box *block, void *context) {
    (void)context;
    paint_block(r, block);
    return EXA_OK;
}

exa_status exa_phantom_read(exa_phantom *phantom, const exa_box *box, uint8_t *image, exa_segid *labels) {
    reading r = {.p = phantom, .box = box, .image = image, .labels = labels};

    EXA_TRY(check_box(phantom, box));
    return is_void(box) ? EXA_OK : for_blocks(&r, read_block, NULL);
}

/* ---- synapses ------------------------------------------------------------------------------------------------ */

typedef struct synapse_list {
    exa_phantom_synapse *items;
    size_t count, capacity;
} synapse_list;

/* At the volume's very border a partner's voxel may lie outside; such a synapse is not listed. */
static bool partners_inside(const exa_phantom *p, const exa_phantom_synapse *s) {
    for (int a = 0; a < 3; a++) {
        if (s->pre_at[a] < 0 || s->pre_at[a] >= p->o.shape[a]) return false;
        if (s->post_at[a] < 0 || s->post_at[a] >= p->o.shape[a]) return false;
    }
    return true;
}

static exa_status list_block(reading *r, const exa_box *block, void *context) {
    const exa_phantom_scene *s = r->p->scene;
    exa_box wanted = exa_box_intersect(block, r->box);
    synapse_list *list = context;

    for (size_t k = 0; k < s->synapse_count; k++) {
        const exa_coord *c = s->synapses[k].public.center;
        const exa_box voxel = {{c[0], c[1], c[2]}, {1, 1, 1}};
        if (!exa_box_inside(&voxel, &wanted) || !partners_inside(r->p, &s->synapses[k].public)) continue;
        EXA_TRY(
            exa_grow(&list->items, &list->capacity, sizeof *list->items, list->count + 1, "synapses of a phantom"));
        list->items[list->count++] = s->synapses[k].public;
    }
    return EXA_OK;
}

int exa_phantom_synapse_order(const void *pa, const void *pb) {
    const exa_phantom_synapse *a = pa, *b = pb;

    for (int k = 0; k < 3; k++) {
        if (a->center[k] != b->center[k]) return a->center[k] < b->center[k] ? -1 : 1;
    }
    if (a->pre != b->pre) return a->pre < b->pre ? -1 : 1;
    return (a->post > b->post) - (a->post < b->post);
}

exa_status exa_phantom_synapses(exa_phantom *phantom, const exa_box *box, exa_phantom_synapse **list,
                                size_t *count) {
    reading r = {.p = phantom, .box = box};
    synapse_list found = {0};
    exa_status st;

    EXA_TRY(check_box(phantom, box));
    st = is_void(box) ? EXA_OK : for_blocks(&r, list_block, &found);
    if (st != EXA_OK) {
        free(found.items);
        return st;
    }
    if (found.count) qsort(found.items, found.count, sizeof *found.items, exa_phantom_synapse_order);
    *list = found.items;
    *count = found.count;
    return EXA_OK;
}
