/* Between exa_canvas, which keeps what is finished, and the GPU's slots, where floods go on. */
#include "exaconn/canvas_device.h"

#include "canvas_internal.h"

#include "exaconn/ffn_device_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Launches are long enough that the host's part between them is a hundredth, and short enough that a signal or a
 * finished canvas waits for milliseconds. */
enum { STEPS_OF_LAUNCH = 32 };

static const double SIGMA = 49.0 / 6.0; /* google/ffn PolicyPeaks, as in seed.c */

struct exa_canvas_device {
    exa_canvas_device_options options;
    exa_canvas_gpu *gpu;
    exa_device_net *net, *wider; /* wider: NULL where the first cannot leave its range */
    int64_t *taken;              /* of each slot: floods that the canvas knows */
    int64_t *overflowed;         /* of each slot, as last seen */
    uint64_t redone;
};

_Static_assert(sizeof(exa_canvas_counters) == EXA_CANVAS_GPU_COUNTERS * sizeof(int64_t), "the same counters");
_Static_assert(offsetof(exa_canvas_counters, voxels_overlapping) == EXA_GPU_VOXELS_OVERLAPPING * sizeof(int64_t),
               "in the same order");

/* ---- creation ------------------------------------------------------------------------------------------------ */

/* quantum[q - 1]: the least float32 that exa_canvas_quantise turns into q, by bisection; it rises with the logit.
 */
static void fill_quanta(float quantum[255]) {
    quantum[0] = -INFINITY;
    for (int q = 2; q <= 255; q++) {
        float below = -100.0f, reached = 100.0f;
        for (;;) {
            float middle = below + (reached - below) / 2.0f;
            if (middle <= below || middle >= reached) break;
            if (exa_canvas_quantise(middle) >= q) {
                reached = middle;
            } else {
                below = middle;
            }
        }
        quantum[q - 1] = reached;
    }
}

static exa_canvas_gpu_rules rules_of(const exa_canvas_options *o) {
    exa_canvas_gpu_rules r = {.init_logit = (float)exa_canvas_logit(o->ffn.init_activation),
                              .pad_logit = (float)exa_canvas_logit(o->ffn.pad_value),
                              .face_logit = exa_canvas_logit(o->ffn.move_threshold),
                              .segment_logit = (float)exa_canvas_logit(o->ffn.segment_threshold),
                              .disco_seed_threshold = o->ffn.disco_seed_threshold,
                              .min_segment_size = o->ffn.min_segment_size,
                              .max_seeds = o->max_seeds,
                              .max_objects = o->max_objects,
                              .max_steps = o->max_steps};

    r.move_logit = (float)r.face_logit;
    memcpy(r.fov, o->fov, sizeof r.fov);
    memcpy(r.deltas, o->deltas, sizeof r.deltas);
    memcpy(r.min_boundary_dist, o->ffn.min_boundary_dist, sizeof r.min_boundary_dist);
    fill_quanta(r.quantum);
    return r;
}

/* `network` is known to exa_canvas_gpu_create only. */
static exa_canvas_gpu_options gpu_options(const exa_canvas_device_options *o) {
    exa_canvas_gpu_options g = {.rules = rules_of(&o->canvas),
                                .device = o->device,
                                .slots = o->slots,
                                .steps = o->steps > 0 ? o->steps : STEPS_OF_LAUNCH,
                                .dtype = o->dtype,
                                .probability_map = o->canvas.probability_map,
                                .seeds = o->seeds,
                                .seeds_bytes = o->seeds_bytes};
    memcpy(g.voxels, o->voxels, sizeof g.voxels);
    return g;
}

/* fp16 alone has numbers that a network may well leave. */
static bool needs_wider(const exa_canvas_device_options *o) {
    return o->precision == EXA_NET_FP16;
}

static exa_device_net_options net_options(const exa_canvas_device_options *o, bool wider) {
    return (exa_device_net_options){.precision = wider ? EXA_NET_FP32 : o->precision,
                                    .max_batch = o->slots,
                                    .device = o->device,
                                    .tune = !wider};
}

static exa_status make_nets(exa_canvas_device *d, const exa_ffn_model *model) {
    const exa_device_net_options first = net_options(&d->options, false), second = net_options(&d->options, true);

    EXA_TRY(exa_ffn_device_net_create(model, &first, &d->net));
    return needs_wider(&d->options) ? exa_ffn_device_net_create(model, &second, &d->wider) : EXA_OK;
}

exa_status exa_canvas_device_plan(const exa_ffn_model *model, const exa_canvas_device_options *options,
                                  uint64_t *slot_bytes, uint64_t *shared_bytes) {
    const exa_canvas_gpu_options g = gpu_options(options);
    exa_canvas_gpu_memory memory;
    uint64_t shared;

    EXA_TRY(exa_canvas_gpu_plan(&g, &memory));
    shared = memory.shared_bytes;
    for (int wider = 0; wider <= needs_wider(options); wider++) {
        const exa_device_net_options o = net_options(options, wider);
        uint64_t bytes;
        EXA_TRY(exa_ffn_device_net_memory(model, &o, &bytes));
        shared += bytes;
    }
    *slot_bytes = memory.slot_bytes;
    *shared_bytes = shared;
    return EXA_OK;
}

static exa_status run_net(void *network, size_t n, bool exact, const float *input, float *logits,
                          unsigned *overflow, void *stream) {
    exa_canvas_device *d = network;
    exa_device_net *net = exact && d->wider ? d->wider : d->net;

    return exa_device_net_forward(net, (int)n, input, logits, overflow, stream);
}

static exa_status make(exa_canvas_device *d, const exa_ffn_model *model) {
    exa_canvas_gpu_options g = gpu_options(&d->options);

    EXA_TRY(exa_calloc((size_t)d->options.slots, sizeof *d->taken, "the list of slots", &d->taken));
    EXA_TRY(exa_calloc((size_t)d->options.slots, sizeof *d->overflowed, "the list of slots", &d->overflowed));
    if (!d->options.forward) EXA_TRY(make_nets(d, model));
    g.forward = d->options.forward ? d->options.forward : run_net;
    g.network = d->options.forward ? d->options.network : d;
    return exa_canvas_gpu_create(&g, &d->gpu);
}

exa_status exa_canvas_device_create(const exa_ffn_model *model, const exa_canvas_device_options *options,
                                    exa_canvas_device **out) {
    exa_canvas_device *d;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *d, "canvases on a GPU", &d));
    d->options = *options;
    if ((st = make(d, model)) != EXA_OK) {
        const exa_error error = *exa_error_last();
        exa_canvas_device_destroy(&d);
        return exa_error_restore(&error);
    }
    *out = d;
    return EXA_OK;
}

void exa_canvas_device_destroy(exa_canvas_device **device) {
    exa_canvas_device *d = *device;

    if (!d) return;
    exa_canvas_gpu_destroy(&d->gpu);
    exa_device_net_destroy(&d->net);
    exa_device_net_destroy(&d->wider);
    free(d->taken);
    free(d->overflowed);
    free(d);
    *device = NULL;
}

int exa_canvas_device_slots(const exa_canvas_device *d) {
    return d->options.slots;
}

exa_status exa_canvas_device_check(exa_canvas_device *d, const exa_ffn_model *model, exa_pool *pool,
                                   double *largest) {
    const int batch = d->options.slots;

    *largest = 0;
    if (!d->net) return EXA_OK; /* a network of a test */
    EXA_TRY(exa_ffn_device_net_check(model, d->net, d->wider, d->options.precision, batch, pool, largest));
    if (!d->wider) return EXA_OK;
    return exa_ffn_device_net_check(model, d->wider, NULL, EXA_NET_FP32, batch, pool, &(double){0});
}

const char *exa_canvas_device_description(const exa_canvas_device *d) {
    return d->net ? exa_device_net_description(d->net) : "a network of a test";
}

uint64_t exa_canvas_device_redone(const exa_canvas_device *d) {
    return d->redone;
}

exa_canvas_gpu *exa_canvas_device_gpu(exa_canvas_device *d) {
    return d->gpu;
}

/* ---- seeds --------------------------------------------------------------------------------------------------- */

static exa_canvas_gpu_image gpu_image(const exa_image *image) {
    exa_canvas_gpu_image g = {.raw = image->raw,
                              .dtype = image->dtype,
                              .mean = image->mean,
                              .stddev = image->stddev,
                              .table = image->table};
    memcpy(g.shape, image->shape, sizeof g.shape);
    return g;
}

exa_status exa_canvas_device_seeds(exa_canvas_device *d, const exa_image *image, const uint8_t *excluded,
                                   const exa_coord fov[3], exa_seed_list *list) {
    const exa_canvas_gpu_image g = gpu_image(image);
    const exa_coord margin[3] = {fov[0] / 2, fov[1] / 2, fov[2] / 2};
    exa_seed_list made = {0};

    EXA_TRY(exa_canvas_gpu_peaks(d->gpu, &g, excluded, SIGMA, margin, NULL, &made.index, &made.count));
    made.capacity = made.count;
    made.wide = (uint64_t)image->shape[0] * (uint64_t)image->shape[1] * (uint64_t)image->shape[2] > UINT32_MAX;
    memcpy(made.shape, image->shape, sizeof made.shape);
    *list = made;
    return EXA_OK;
}

/* ---- floods -------------------------------------------------------------------------------------------------- */

exa_status exa_canvas_device_load(exa_canvas_device *d, int slot, exa_canvas *c) {
    exa_canvas_gpu_canvas g = {.image = gpu_image(c->image),
                               .segmentation = c->segmentation,
                               .probability = c->probability,
                               .seeds = c->seeds.index,
                               .seed_count = c->seeds.count,
                               .wide = c->seeds.wide,
                               .next_seed = (int64_t)c->next_seed,
                               .next_id = c->next_id};

    memcpy(g.counter, &c->counters, sizeof g.counter);
    d->taken[slot] = 0;
    d->overflowed[slot] = 0;
    return exa_canvas_gpu_load(d->gpu, slot, &g);
}

static exa_attempt attempt_of(const exa_canvas_gpu_record *r) {
    exa_attempt a = {.steps = r->steps,
                     .outcome = (exa_outcome)r->outcome,
                     .id = r->id,
                     .voxels_raw = r->voxels_raw,
                     .voxels_new = r->voxels_new};

    for (int i = 0; i < 3; i++) {
        a.seed[i] = r->seed[i];
        a.visited.start[i] = r->low[i];
        a.visited.shape[i] = r->high[i] - r->low[i] + 1;
    }
    return a;
}

static exa_status take_state(exa_canvas_device *d, int slot, exa_canvas *c, bool *done) {
    const exa_canvas_gpu_state *s = exa_canvas_gpu_state_of(d->gpu, slot);
    const int64_t fresh = s->records - d->taken[slot];

    EXA_CHECK(!s->too_many, EXA_ERR_RANGE, "more than 2^31 - 2 objects in one canvas. Hint: use a smaller box");
    EXA_CHECK(fresh >= 0 && fresh <= EXA_CANVAS_GPU_RECORDS, EXA_ERR_INTERNAL, "%lld floods in one launch",
              (long long)fresh);
    EXA_TRY(exa_grow(&c->attempts, &c->attempt_capacity, sizeof *c->attempts, c->attempt_count + (size_t)fresh,
                     "attempt records"));
    for (int64_t k = d->taken[slot]; k < s->records; k++)
        c->attempts[c->attempt_count++] = attempt_of(&s->record[k % EXA_CANVAS_GPU_RECORDS]);
    d->taken[slot] = s->records;
    d->redone += (uint64_t)(s->overflowed - d->overflowed[slot]);
    d->overflowed[slot] = s->overflowed;
    memcpy(&c->counters, s->counter, sizeof c->counters);
    memcpy(&c->settled.counters, s->settled, sizeof c->settled.counters);
    c->settled.next_seed = (size_t)s->settled_next_seed;
    c->next_seed = (size_t)s->next_seed;
    c->next_id = s->next_id;
    c->limited = s->limited;
    *done = s->phase == EXA_CANVAS_GPU_DONE;
    return EXA_OK;
}

exa_status exa_canvas_device_run(exa_canvas_device *d, const int *slots, exa_canvas *const *canvases, int count,
                                 bool *done) {
    EXA_TRY(exa_canvas_gpu_run(d->gpu, slots, count));
    for (int i = 0; i < count; i++) EXA_TRY(take_state(d, slots[i], canvases[i], &done[i]));
    return EXA_OK;
}

exa_status exa_canvas_device_fetch(exa_canvas_device *d, int slot, exa_canvas *c) {
    return exa_canvas_gpu_fetch(d->gpu, slot, c->segmentation, c->probability);
}
