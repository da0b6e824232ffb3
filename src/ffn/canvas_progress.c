/* What a canvas has finished, as bytes, and back: a long one need not begin again. The idea: between two floods a
 * canvas is its labels, how far down the seed list it is, and its counters. Failed seeds need no keeping: their
 * mark changes no decision. */
#include "canvas_internal.h"

#include "exaconn/little_endian.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 2,
    COUNTERS = sizeof(exa_canvas_counters) / sizeof(int64_t),
    ATTEMPT = EXA_ATTEMPT_BYTES / 8,
    NUMBERS = 6,
    HEAD = NUMBERS + COUNTERS
};

/* ---- attempts as integers ------------------------------------------------------------------------------------ */

void exa_attempt_store(const exa_attempt *a, unsigned char out[EXA_ATTEMPT_BYTES]) {
    const int64_t v[ATTEMPT] = {a->seed[0],          a->seed[1],
                                a->seed[2],          a->steps,
                                a->outcome,          a->id,
                                a->voxels_raw,       a->voxels_new,
                                a->visited.start[0], a->visited.start[1],
                                a->visited.start[2], a->visited.shape[0],
                                a->visited.shape[1], a->visited.shape[2]};

    for (int i = 0; i < ATTEMPT; i++) exa_store_le64(out + 8 * i, (uint64_t)v[i]);
}

void exa_attempt_load(const unsigned char in[EXA_ATTEMPT_BYTES], exa_attempt *a) {
    int64_t v[ATTEMPT];

    for (int i = 0; i < ATTEMPT; i++) v[i] = (int64_t)exa_load_le64(in + 8 * i);
    *a = (exa_attempt){.seed = {v[0], v[1], v[2]},
                       .steps = v[3],
                       .outcome = (exa_outcome)v[4],
                       .id = (int32_t)v[5],
                       .voxels_raw = v[6],
                       .voxels_new = v[7],
                       .visited = {{v[8], v[9], v[10]}, {v[11], v[12], v[13]}}};
}

/* ---- objects as bits ----------------------------------------------------------------------------------------- */

/* What the object can have labelled: the fields of view around the visited centres. */
static exa_box touched_box(const exa_canvas *c, const exa_attempt *a) {
    exa_box box = a->visited;

    for (int i = 0; i < 3; i++) {
        box.start[i] -= c->margin[i];
        box.shape[i] += 2 * c->margin[i];
    }
    return box;
}

static size_t mask_bytes(const exa_box *box) {
    return ((size_t)(box->shape[0] * box->shape[1] * box->shape[2]) + 7) / 8;
}

static size_t object_bytes(const exa_canvas *c, const exa_attempt *a) {
    const exa_box box = touched_box(c, a);

    if (a->outcome != EXA_OUTCOME_OBJECT) return 0;
    return mask_bytes(&box) + (c->probability ? (size_t)a->voxels_new : 0);
}

static size_t voxel_at(const exa_canvas *c, const exa_box *box, size_t i) {
    const size_t nx = (size_t)box->shape[2], ny = (size_t)box->shape[1];
    const exa_coord z = box->start[0] + (exa_coord)(i / (nx * ny)), y = box->start[1] + (exa_coord)(i / nx % ny);

    return (size_t)((z * c->shape[1] + y) * c->shape[2] + box->start[2]) + i % nx;
}

static unsigned char *store_object(const exa_canvas *c, const exa_attempt *a, unsigned char *out) {
    const exa_box box = touched_box(c, a);
    const size_t n = (size_t)(box.shape[0] * box.shape[1] * box.shape[2]);
    unsigned char *to = out + mask_bytes(&box);

    memset(out, 0, mask_bytes(&box));
    for (size_t i = 0; i < n; i++) {
        const size_t v = voxel_at(c, &box, i);
        if (c->segmentation[v] != a->id) continue;
        out[i / 8] |= (unsigned char)(1u << i % 8);
        if (c->probability) *to++ = c->probability[v];
    }
    return to;
}

static exa_status wrong(const char *what) {
    return EXA_FAIL(EXA_ERR_FORMAT, "the stored part of a chunk does not fit: %s", what);
}

static exa_status load_object(exa_canvas *c, const exa_attempt *a, const unsigned char *in) {
    const exa_box box = touched_box(c, a);
    const size_t n = (size_t)(box.shape[0] * box.shape[1] * box.shape[2]);
    const unsigned char *from = in + mask_bytes(&box);
    int64_t voxels = 0;

    for (size_t i = 0; i < n; i++) {
        const size_t v = voxel_at(c, &box, i);
        if (!(in[i / 8] >> i % 8 & 1)) continue;
        if (c->segmentation[v] != 0 || voxels == a->voxels_new) return wrong("voxels of an object");
        voxels++;
        c->segmentation[v] = a->id;
        if (c->probability) c->probability[v] = *from++;
    }
    return voxels == a->voxels_new ? EXA_OK : wrong("size of an object");
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

exa_status exa_canvas_store(const exa_canvas *c, size_t first, void **bytes, size_t *size) {
    const int64_t *counters = (const int64_t *)&c->settled.counters;
    const size_t count = c->attempt_count - first;
    const int64_t head[NUMBERS] = {VERSION,        (int64_t)first,
                                   (int64_t)count, (int64_t)c->settled.next_seed,
                                   c->next_id,     (int64_t)c->seeds.count};
    unsigned char *data = NULL, *to;

    *size = 8 * (HEAD + count * ATTEMPT);
    for (size_t i = first; i < c->attempt_count; i++) *size += object_bytes(c, &c->attempts[i]);
    EXA_TRY(exa_alloc(*size, 1, "the finished part of a chunk", &data));
    for (int i = 0; i < NUMBERS; i++) exa_store_le64(data + 8 * i, (uint64_t)head[i]);
    for (size_t i = 0; i < COUNTERS; i++) exa_store_le64(data + 8 * (NUMBERS + i), (uint64_t)counters[i]);
    to = data + 8 * HEAD;
    for (size_t i = first; i < c->attempt_count; i++, to += 8 * ATTEMPT) exa_attempt_store(&c->attempts[i], to);
    for (size_t i = first; i < c->attempt_count; i++)
        if (c->attempts[i].outcome == EXA_OUTCOME_OBJECT) to = store_object(c, &c->attempts[i], to);
    *bytes = data;
    return EXA_OK;
}

/* An attempt that this canvas can have made. */
static bool is_possible(const exa_canvas *c, const exa_attempt *a) {
    const exa_box box = touched_box(c, a), all = {{0, 0, 0}, {c->shape[0], c->shape[1], c->shape[2]}};

    for (int i = 0; i < 3; i++)
        if (a->visited.shape[i] < 1 || a->visited.shape[i] > c->shape[i]) return false;
    return exa_box_inside(&box, &all) && a->voxels_new >= 0 && a->outcome <= EXA_OUTCOME_NO_STEP;
}

static exa_status load_attempts(exa_canvas *c, const unsigned char *data, size_t size, size_t count) {
    const unsigned char *end = data + size, *from = data + 8 * (HEAD + count * ATTEMPT);
    int32_t id = c->next_id;

    EXA_TRY(exa_grow(&c->attempts, &c->attempt_capacity, sizeof *c->attempts, c->attempt_count + count,
                     "attempt records"));
    for (size_t i = 0; i < count; i++) {
        exa_attempt a;
        exa_attempt_load(data + 8 * (HEAD + i * ATTEMPT), &a);
        if (!is_possible(c, &a) || object_bytes(c, &a) > (size_t)(end - from)) return wrong("an attempt");
        if (a.outcome == EXA_OUTCOME_OBJECT) {
            if (a.id != id++) return wrong("numbers of objects");
            EXA_TRY(load_object(c, &a, from));
        }
        from += object_bytes(c, &a);
        c->attempts[c->attempt_count++] = a;
    }
    c->next_id = id;
    return from == end ? EXA_OK : wrong("its length");
}

exa_status exa_canvas_restore(exa_canvas *c, const void *bytes, size_t size, bool *taken) {
    const unsigned char *data = bytes;
    int64_t *counters = (int64_t *)&c->counters;
    uint64_t head[NUMBERS];

    *taken = false;
    if (size < 8 * HEAD) return wrong("it is too short");
    for (int i = 0; i < NUMBERS; i++) head[i] = exa_load_le64(data + 8 * i);
    if (head[0] != VERSION || head[2] > (size / 8 - HEAD) / ATTEMPT || head[3] > c->seeds.count)
        return wrong("its head");
    if (head[5] != c->seeds.count) return wrong("the number of seeds: the volume or the mask has changed");
    if (head[1] != c->attempt_count || head[2] == 0) return EXA_OK; /* it continues something else */
    EXA_TRY(load_attempts(c, data, size, (size_t)head[2]));
    if ((uint64_t)c->next_id != head[4]) return wrong("numbers of objects");
    c->next_seed = (size_t)head[3];
    for (size_t i = 0; i < COUNTERS; i++) counters[i] = (int64_t)exa_load_le64(data + 8 * (NUMBERS + i));
    c->settled = (exa_canvas_settled){.next_seed = c->next_seed, .counters = c->counters};
    *taken = true;
    return EXA_OK;
}
