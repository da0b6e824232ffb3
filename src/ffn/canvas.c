/* The flood-filling state machine.
 *
 *   next seed -> flood: pop a valid position -> [network step] -> disconnection rule, write back, queue the moves
 *             -> queue empty or seed too weak -> accept or reject the object -> next seed
 *
 * The object map is NaN wherever no step of the present object has been; only the box it visited is reset after it.
 */
#include "canvas_internal.h"

#include "exaconn/clock.h"
#include "exaconn/movement.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double exa_canvas_logit(float probability) {
    double p = (double)probability;
    return log(p / (1.0 - p));
}

const char *exa_outcome_name(exa_outcome outcome) {
    static const char *const names[] = {"none", "object", "weak", "too_small", "no_step"};
    return names[outcome];
}

uint8_t exa_canvas_quantise(float logit) {
    double p = 1.0 / (1.0 + exp(-(double)logit));
    return (uint8_t)(1.0 + floor(p * 254.0));
}

/* ---- geometry ------------------------------------------------------------------------------------------------ */

static size_t at(const exa_canvas *c, const exa_coord p[3]) {
    return (size_t)((p[0] * c->shape[1] + p[1]) * c->shape[2] + p[2]);
}

static bool fov_fits(const exa_canvas *c, const exa_coord p[3]) {
    for (int a = 0; a < 3; a++) {
        if (p[a] - c->margin[a] < 0 || p[a] + c->margin[a] >= c->shape[a]) return false;
    }
    return true;
}

/* One of the four copies between canvas and FOV, row by row: body uses `row` (canvas index) and `f` (FOV index). */
#define FOR_FOV_ROWS(c, p, row, f)                                                                                 \
    for (exa_coord z_ = 0, f = 0; z_ < (c)->options.fov[0]; z_++)                                                  \
        for (exa_coord y_ = 0, row;                                                                                \
             y_ < (c)->options.fov[1] &&                                                                           \
             (row = (((p)[0] - (c)->margin[0] + z_) * (c)->shape[1] + (p)[1] - (c)->margin[1] + y_) *              \
                        (c)->shape[2] +                                                                            \
                    (p)[2] - (c)->margin[2],                                                                       \
             true);                                                                                                \
             y_++, f += (c)->options.fov[2])

/* ---- creation ------------------------------------------------------------------------------------------------ */

static void set_thresholds(exa_canvas *c) {
    const exa_ffn_options *o = &c->options.ffn;
    c->init_logit = (float)exa_canvas_logit(o->init_activation);
    c->pad_logit = (float)exa_canvas_logit(o->pad_value);
    c->face_logit = exa_canvas_logit(o->move_threshold);
    c->move_logit = (float)c->face_logit;
    c->segment_logit = (float)exa_canvas_logit(o->segment_threshold);
}

static exa_status allocate(exa_canvas *c) {
    const exa_canvas_options *o = &c->options;
    exa_box all = {{0, 0, 0}, {c->shape[0], c->shape[1], c->shape[2]}};
    int64_t voxels;
    size_t cells = 1;

    EXA_TRY(exa_box_voxels(&all, &voxels));
    c->voxels = (size_t)voxels;
    c->fov_voxels = (size_t)(o->fov[0] * o->fov[1] * o->fov[2]);
    EXA_TRY(exa_calloc(c->voxels, sizeof(int32_t), "the segmentation", &c->segmentation));
    if (o->probability_map) EXA_TRY(exa_calloc(c->voxels, 1, "the probability map", &c->probability));
    if (o->on_device) return EXA_OK;
    EXA_TRY(exa_alloc(c->voxels, sizeof(float), "the object map", &c->object_map));
    EXA_TRY(exa_alloc(c->fov_voxels, sizeof(float), "a field of view", &c->fov_image));
    EXA_TRY(exa_alloc(c->fov_voxels, sizeof(float), "a field of view", &c->fov_stored));
    EXA_TRY(exa_alloc(c->fov_voxels, sizeof(float), "a field of view", &c->fov_seed));
    EXA_TRY(exa_alloc(c->fov_voxels, sizeof(float), "a field of view", &c->fov_logits));
    for (int a = 0; a < 3; a++) {
        c->cells[a] = c->shape[a] / (o->deltas[a] > 0 ? o->deltas[a] : 1) + 2;
        cells *= (size_t)c->cells[a];
    }
    EXA_TRY(exa_calloc((cells + 63) / 64, sizeof(uint64_t), "visited cells", &c->done));
    for (size_t i = 0; i < c->voxels; i++) c->object_map[i] = NAN;
    return EXA_OK;
}

exa_status exa_canvas_create(const exa_canvas_options *options, const exa_image *image, exa_seed_list *seeds,
                             const uint8_t *excluded, exa_canvas **out) {
    exa_canvas *c = calloc(1, sizeof *c);
    exa_status st;

    if (!c) {
        exa_seed_list_free(seeds);
        return EXA_FAIL(EXA_ERR_MEMORY, "cannot allocate a canvas");
    }
    c->options = *options;
    c->image = image;
    c->seeds = *seeds;
    *seeds = (exa_seed_list){0};
    c->next_id = 1;
    for (int a = 0; a < 3; a++) {
        c->shape[a] = image->shape[a];
        c->margin[a] = options->fov[a] / 2;
    }
    set_thresholds(c);
    if ((st = allocate(c)) != EXA_OK) {
        exa_canvas_destroy(&c);
        return st;
    }
    if (excluded) {
        for (size_t i = 0; i < c->voxels; i++) c->segmentation[i] = excluded[i] ? SEG_EXCLUDED : 0;
    }
    *out = c;
    return EXA_OK;
}

void exa_canvas_destroy(exa_canvas **canvas) {
    exa_canvas *c = *canvas;

    if (!c) return;
    exa_seed_list_free(&c->seeds);
    free(c->object_map);
    free(c->segmentation);
    free(c->probability);
    free(c->fov_image);
    free(c->fov_stored);
    free(c->fov_seed);
    free(c->fov_logits);
    free(c->queue);
    free(c->done);
    free(c->attempts);
    free(c);
    *canvas = NULL;
}

exa_status exa_canvas_set_initial(exa_canvas *c, exa_coord z, exa_coord planes, const int32_t *labels,
                                  int32_t first_new_id) {
    size_t plane = (size_t)(c->shape[1] * c->shape[2]), at_z = (size_t)z * plane;

    EXA_CHECK(first_new_id > 0, EXA_ERR_RANGE, "the first new object id must be positive, not %d", first_new_id);
    EXA_CHECK(z >= 0 && planes >= 0 && z + planes <= c->shape[0], EXA_ERR_RANGE,
              "planes %lld to %lld are outside the canvas", (long long)z, (long long)(z + planes));
    for (size_t i = 0; i < (size_t)planes * plane; i++) {
        if (labels[i] <= 0) continue;
        c->segmentation[at_z + i] = labels[i];
        c->counters.voxels_initial++;
        if (c->probability) c->probability[at_z + i] = 255;
    }
    c->next_id = first_new_id;
    return EXA_OK;
}

/* ---- positions to visit -------------------------------------------------------------------------------------- */

static exa_status push(exa_canvas *c, const exa_coord p[3]) {
    if (c->queue_tail == c->queue_capacity) {
        size_t live = c->queue_tail - c->queue_head, capacity = live < 512 ? 1024 : 2 * live;
        exa_coord(*grown)[3] = malloc(capacity * sizeof *grown);
        EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate a queue of %zu positions", capacity);
        if (live) memcpy(grown, c->queue + c->queue_head, live * sizeof *grown);
        free(c->queue);
        c->queue = grown;
        c->queue_head = 0;
        c->queue_tail = live;
        c->queue_capacity = capacity;
    }
    memcpy(c->queue[c->queue_tail++], p, sizeof *c->queue);
    return EXA_OK;
}

static size_t cell_bit(const exa_canvas *c, const exa_coord p[3]) {
    exa_coord cell[3];
    for (int a = 0; a < 3; a++) {
        cell[a] = exa_movement_cell(p[a], c->flood.seed[a], c->options.deltas[a]) + c->cell_offset[a];
    }
    return (size_t)((cell[0] * c->cells[1] + cell[1]) * c->cells[2] + cell[2]);
}

static bool cell_done(const exa_canvas *c, const exa_coord p[3]) {
    size_t bit = cell_bit(c, p);
    return c->done[bit / 64] >> (bit % 64) & 1;
}

static void set_cell(exa_canvas *c, const exa_coord p[3], bool done) {
    size_t bit = cell_bit(c, p);
    if (done) {
        c->done[bit / 64] |= (uint64_t)1 << (bit % 64);
    } else {
        c->done[bit / 64] &= ~((uint64_t)1 << (bit % 64));
    }
}

/* Not a place for a FOV centre, whatever the object map says. Counts why. */
static bool blocked(exa_canvas *c, const exa_coord p[3]) {
    int32_t label;

    if (!fov_fits(c, p)) {
        c->counters.skip_invalid_pos++;
        return true;
    }
    label = c->segmentation[at(c, p)];
    if (label > 0) c->counters.skip_invalid_pos++;
    if (label == SEG_EXCLUDED) c->counters.skip_restricted++;
    return label > 0 || label == SEG_EXCLUDED;
}

/* The next position of the queue that is worth a step; false when there is none. */
static bool pop_valid(exa_canvas *c, exa_coord p[3]) {
    while (c->queue_head < c->queue_tail) {
        memcpy(p, c->queue[c->queue_head++], sizeof *c->queue);
        if (cell_done(c, p)) continue;
        /* The value now, not the score it was queued with; a queued position was written once, so it is no NaN. */
        if (c->object_map[at(c, p)] < c->move_logit) {
            c->counters.skip_threshold++;
            continue;
        }
        if (!blocked(c, p)) return true;
    }
    return false;
}

/* ---- one flood ----------------------------------------------------------------------------------------------- */

static bool near_segment(const exa_canvas *c, const exa_coord p[3]) {
    const int64_t *d = c->options.ffn.min_boundary_dist;
    exa_coord lo[3], hi[3], q[3];

    for (int a = 0; a < 3; a++) {
        lo[a] = p[a] - d[a] > 0 ? p[a] - d[a] : 0;
        hi[a] = p[a] + d[a] < c->shape[a] - 1 ? p[a] + d[a] : c->shape[a] - 1;
    }
    for (q[0] = lo[0]; q[0] <= hi[0]; q[0]++) {
        for (q[1] = lo[1]; q[1] <= hi[1]; q[1]++) {
            for (q[2] = lo[2]; q[2] <= hi[2]; q[2]++) {
                if (c->segmentation[at(c, q)] > 0) return true;
            }
        }
    }
    return false;
}

static exa_status begin_flood(exa_canvas *c, const exa_coord seed[3]) {
    c->flood = (exa_attempt){.seed = {seed[0], seed[1], seed[2]}};
    for (int a = 0; a < 3; a++) {
        c->cell_offset[a] = -exa_movement_cell(0, seed[a], c->options.deltas[a]);
        c->low[a] = c->high[a] = seed[a];
    }
    c->queue_head = c->queue_tail = 0;
    c->object_map[at(c, seed)] = c->init_logit;
    c->counters.floods++;
    c->flooding = true;
    return push(c, seed);
}

/* The next seed of the list that may begin an object; false at the end of the list. */
static exa_status next_flood(exa_canvas *c, bool *begun) {
    exa_coord seed[3];

    *begun = false;
    while (c->next_seed < c->seeds.count) {
        if (c->options.max_seeds > 0 && c->counters.seeds >= c->options.max_seeds) {
            c->limited = true;
            return EXA_OK;
        }
        exa_seed_get(&c->seeds, c->next_seed++, seed);
        c->counters.seeds++;
        if (blocked(c, seed)) continue;
        if (near_segment(c, seed)) {
            c->counters.near_segment++;
            c->segmentation[at(c, seed)] = SEG_FAILED_SEED;
            continue;
        }
        *begun = true;
        return begin_flood(c, seed);
    }
    return EXA_OK;
}

static void load_fov(exa_canvas *c, const exa_coord p[3]) {
    const exa_coord first[3] = {p[0] - c->margin[0], p[1] - c->margin[1], p[2] - c->margin[2]};
    size_t row_bytes = (size_t)c->options.fov[2] * sizeof(float);

    exa_image_box(c->image, first, c->options.fov, c->fov_image);
    FOR_FOV_ROWS(c, p, row, f) {
        memcpy(c->fov_stored + f, c->object_map + row, row_bytes);
    }
    for (size_t i = 0; i < c->fov_voxels; i++) {
        c->fov_seed[i] = isnan(c->fov_stored[i]) ? c->pad_logit : c->fov_stored[i];
    }
}

void exa_canvas_disconnect(const float *stored, float *logits, size_t voxels, float move, float disco) {
    size_t reached = 0;

    if (disco < 0.0f) return;
    for (size_t i = 0; i < voxels; i++) reached += logits[i] >= move;
    if (!((double)reached / (double)voxels > (double)disco)) return;
    /* NaN (unset) compares false: an unset voxel takes the new value. */
    for (size_t i = 0; i < voxels; i++) {
        logits[i] = stored[i] < 0.0f && logits[i] > stored[i] ? stored[i] : logits[i];
    }
}

exa_status exa_canvas_absorb(exa_canvas *c) {
    double began = exa_clock_now();
    exa_move moves[EXA_MOVEMENT_MAX];
    size_t row_bytes = (size_t)c->options.fov[2] * sizeof(float);
    int count;
    exa_status st = EXA_OK;

    exa_canvas_disconnect(c->fov_stored, c->fov_logits, c->fov_voxels, c->move_logit,
                          c->options.ffn.disco_seed_threshold);
    FOR_FOV_ROWS(c, c->position, row, f) {
        memcpy(c->object_map + row, c->fov_logits + f, row_bytes);
    }
    set_cell(c, c->position, true);
    for (int a = 0; a < 3; a++) {
        if (c->position[a] < c->low[a]) c->low[a] = c->position[a];
        if (c->position[a] > c->high[a]) c->high[a] = c->position[a];
    }
    c->flood.steps++;
    c->counters.steps++;
    count = exa_movement_face_max(c->fov_logits, c->options.fov, c->options.deltas, c->face_logit, moves);
    for (int i = 0; i < count && st == EXA_OK; i++) {
        exa_coord p[3];
        for (int a = 0; a < 3; a++) p[a] = c->position[a] + moves[i].offset[a];
        st = push(c, p);
    }
    c->seconds += exa_clock_now() - began;
    return st;
}

/* ---- the end of a flood -------------------------------------------------------------------------------------- */

static exa_box touched_box(const exa_canvas *c) {
    exa_box box;
    for (int a = 0; a < 3; a++) {
        box.start[a] = c->low[a] - c->margin[a];
        box.shape[a] = c->high[a] + c->margin[a] - box.start[a] + 1;
    }
    return box;
}

#define FOR_BOX_ROWS(c, box, row)                                                                                  \
    for (exa_coord z_ = (box).start[0]; z_ < (box).start[0] + (box).shape[0]; z_++)                                \
        for (exa_coord y_ = (box).start[1], row;                                                                   \
             y_ < (box).start[1] + (box).shape[1] &&                                                               \
             (row = (z_ * (c)->shape[1] + y_) * (c)->shape[2] + (box).start[2], true);                             \
             y_++)

static void count_object(exa_canvas *c, const exa_box *box) {
    int64_t raw = 0, fresh = 0;
    FOR_BOX_ROWS(c, *box, row) {
        const float *map = c->object_map + row;
        const int32_t *label = c->segmentation + row;
        for (exa_coord x = 0; x < box->shape[2]; x++) {
            bool in = map[x] >= c->segment_logit;
            raw += in;
            fresh += in && (label[x] == 0 || label[x] == SEG_FAILED_SEED);
        }
    }
    c->flood.voxels_raw = raw;
    c->flood.voxels_new = fresh;
}

static void commit_object(exa_canvas *c, const exa_box *box) {
    FOR_BOX_ROWS(c, *box, row) {
        const float *map = c->object_map + row;
        int32_t *label = c->segmentation + row;
        for (exa_coord x = 0; x < box->shape[2]; x++) {
            if (!(map[x] >= c->segment_logit) || (label[x] != 0 && label[x] != SEG_FAILED_SEED)) continue;
            label[x] = c->next_id;
            if (c->probability) c->probability[row + x] = exa_canvas_quantise(map[x]);
        }
    }
}

static void clear_flood(exa_canvas *c, const exa_box *box) {
    size_t cells = (size_t)(c->cells[0] * c->cells[1] * c->cells[2]);
    FOR_BOX_ROWS(c, *box, row) {
        for (exa_coord x = 0; x < box->shape[2]; x++) c->object_map[row + x] = NAN;
    }
    memset(c->done, 0, (cells + 63) / 64 * sizeof *c->done);
    c->flooding = false;
}

static exa_status record_attempt(exa_canvas *c) {
    if (c->attempt_count == c->attempt_capacity) {
        size_t capacity = c->attempt_capacity ? 2 * c->attempt_capacity : 256;
        exa_attempt *grown = realloc(c->attempts, capacity * sizeof *grown);
        EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu attempt records", capacity);
        c->attempts = grown;
        c->attempt_capacity = capacity;
    }
    for (int a = 0; a < 3; a++) {
        c->flood.visited.start[a] = c->low[a];
        c->flood.visited.shape[a] = c->high[a] - c->low[a] + 1;
    }
    c->attempts[c->attempt_count++] = c->flood;
    return EXA_OK;
}

static exa_outcome judge(exa_canvas *c, const exa_box *box) {
    int32_t *seed_label = &c->segmentation[at(c, c->flood.seed)];

    if (c->flood.steps == 0) return EXA_OUTCOME_NO_STEP;
    if (c->object_map[at(c, c->flood.seed)] < c->move_logit) {
        if (*seed_label == 0) *seed_label = SEG_FAILED_SEED;
        return EXA_OUTCOME_WEAK;
    }
    count_object(c, box);
    if (c->flood.voxels_new < c->options.ffn.min_segment_size) {
        if (*seed_label == 0) *seed_label = SEG_FAILED_SEED;
        return EXA_OUTCOME_TOO_SMALL;
    }
    return EXA_OUTCOME_OBJECT;
}

static exa_status end_flood(exa_canvas *c) {
    exa_box box = touched_box(c);

    c->flood.outcome = judge(c, &box);
    switch (c->flood.outcome) {
    case EXA_OUTCOME_WEAK: c->counters.weak++; break;
    case EXA_OUTCOME_TOO_SMALL: c->counters.too_small++; break;
    case EXA_OUTCOME_NO_STEP: c->counters.no_step++; break;
    default:
        EXA_CHECK(c->next_id < INT32_MAX, EXA_ERR_RANGE,
                  "more than 2^31 - 2 objects in one canvas. Hint: use a "
                  "smaller box");
        commit_object(c, &box);
        c->flood.id = c->next_id++;
        c->counters.objects++;
        c->counters.voxels_segmented += c->flood.voxels_new;
        c->counters.voxels_overlapping += c->flood.voxels_raw - c->flood.voxels_new;
    }
    clear_flood(c, &box);
    c->settled = (exa_canvas_settled){.next_seed = c->next_seed, .counters = c->counters};
    return record_attempt(c);
}

/* ---- driving ------------------------------------------------------------------------------------------------- */

/* Limits hold between floods: an object begun is finished. */
static bool limit_reached(exa_canvas *c) {
    const exa_canvas_options *o = &c->options;
    bool steps = o->max_steps > 0 && c->counters.steps >= o->max_steps;
    bool objects = o->max_objects > 0 && c->counters.objects >= o->max_objects;

    c->limited = c->limited || (!c->flooding && (steps || objects));
    return c->limited;
}

static exa_status find_step(exa_canvas *c, bool *more) {
    for (;;) {
        if (limit_reached(c)) {
            *more = false;
            return EXA_OK;
        }
        if (!c->flooding) {
            EXA_TRY(next_flood(c, more));
            if (!*more) return EXA_OK;
        }
        if (pop_valid(c, c->position)) {
            if (!(c->object_map[at(c, c->flood.seed)] < c->move_logit)) {
                *more = true;
                return EXA_OK;
            }
            c->counters.seed_got_too_weak++;
        }
        EXA_TRY(end_flood(c));
    }
}

exa_status exa_canvas_next(exa_canvas *c, exa_canvas_step *step, bool *more) {
    double began = exa_clock_now();
    exa_status st = find_step(c, more);

    if (st == EXA_OK && *more) {
        load_fov(c, c->position);
        *step = (exa_canvas_step){.image = c->fov_image,
                                  .seed = c->fov_seed,
                                  .logits = c->fov_logits,
                                  .position = {c->position[0], c->position[1], c->position[2]}};
    }
    c->seconds += exa_clock_now() - began;
    return st;
}

void exa_canvas_finish(exa_canvas *c) {
    free(c->object_map);
    c->object_map = NULL;
    free(c->queue);
    c->queue = NULL;
    c->queue_head = c->queue_tail = c->queue_capacity = 0;
    for (size_t i = 0; i < c->voxels; i++) {
        if (c->segmentation[i] < 0) c->segmentation[i] = 0;
    }
}

const int32_t *exa_canvas_segmentation(const exa_canvas *c) {
    return c->segmentation;
}

const uint8_t *exa_canvas_probability(const exa_canvas *c) {
    return c->probability;
}

const exa_canvas_counters *exa_canvas_get_counters(const exa_canvas *c) {
    return &c->counters;
}

const exa_attempt *exa_canvas_attempts(const exa_canvas *c, size_t *count) {
    *count = c->attempt_count;
    return c->attempts;
}

size_t exa_canvas_seeds_done(const exa_canvas *c) {
    return c->next_seed;
}

size_t exa_canvas_seed_count(const exa_canvas *c) {
    return c->seeds.count;
}

bool exa_canvas_limit_reached(const exa_canvas *c) {
    return c->limited;
}

double exa_canvas_seconds(const exa_canvas *c) {
    return c->seconds;
}

void exa_canvas_counters_add(exa_canvas_counters *to, const exa_canvas_counters *from) {
#define ADD(name) to->name += from->name
    ADD(seeds), ADD(floods), ADD(steps), ADD(objects), ADD(skip_threshold), ADD(skip_invalid_pos);
    ADD(skip_restricted), ADD(near_segment), ADD(seed_got_too_weak), ADD(weak), ADD(too_small), ADD(no_step);
    ADD(voxels_segmented), ADD(voxels_initial), ADD(voxels_overlapping);
#undef ADD
}
