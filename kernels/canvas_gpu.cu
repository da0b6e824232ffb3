/* Slots, and launches of many canvases' steps as one CUDA graph (see exaconn/canvas_gpu.h).
 *
 * A step is five pieces on one stream: begin, the network, absorb, count, settle. The last two do nothing but in
 * the rare step in which a flood ended. Which canvases take part is read from a list in the device's memory, so a
 * graph serves any canvases of its number. */
#include "cuda/canvas_kernels.cuh"

#include "canvas_gpu_layout.h"

#include <stdio.h>
#include <string.h>

using namespace canvas_gpu;

/* ---- creation --------------------------------------------------------------------------------- */

template <class T> static exa_status allocate(T **p, uint64_t bytes, const char *what) {
    *p = nullptr;
    return GPU(cudaMalloc((void **)p, (size_t)(bytes ? bytes : 1)), what);
}

static rules rules_of(const exa_canvas_gpu_rules *r, const float *quantum) {
    rules k = {};

    for (int a = 0; a < 3; a++) {
        k.fov[a] = (int32_t)r->fov[a];
        k.margin[a] = (int32_t)(r->fov[a] / 2);
        k.deltas[a] = (int32_t)r->deltas[a];
        k.min_boundary_dist[a] = (int32_t)r->min_boundary_dist[a];
    }
    k.init_logit = r->init_logit;
    k.pad_logit = r->pad_logit;
    k.move_logit = r->move_logit;
    k.segment_logit = r->segment_logit;
    k.face_logit = r->face_logit;
    k.disco = r->disco_seed_threshold;
    k.min_segment_size = r->min_segment_size;
    k.max_seeds = r->max_seeds;
    k.max_objects = r->max_objects;
    k.max_steps = r->max_steps;
    k.quantum = quantum;
    return k;
}

static exa_status fit_seeds(exa_canvas_gpu_buffers *b, size_t bytes) {
    void *old = b->seeds;

    if (bytes <= b->seeds_bytes) return EXA_OK;
    b->seeds = nullptr;
    b->seeds_bytes = 0;
    if (old) EXA_TRY(GPU(cudaFree(old), "a list of seeds"));
    EXA_TRY(allocate(&b->seeds, bytes, "a list of seeds"));
    b->seeds_bytes = bytes;
    return EXA_OK;
}

static exa_status make_buffers(const exa_canvas_gpu_layout *l, exa_canvas_gpu_buffers *b) {
    EXA_TRY(allocate(&b->raw, l->raw, "a raw image"));
    EXA_TRY(allocate(&b->table, 256 * sizeof(float), "a table of grey values"));
    EXA_TRY(allocate(&b->map, l->map, "an object map"));
    EXA_TRY(allocate(&b->segmentation, l->segmentation, "a segmentation"));
    if (l->probability) EXA_TRY(allocate(&b->probability, l->probability, "a probability map"));
    EXA_TRY(allocate(&b->queue, l->queue, "a queue of positions"));
    EXA_TRY(allocate(&b->done, l->done, "visited cells"));
    return fit_seeds(b, (size_t)l->seeds);
}

static exa_status make_lists(exa_canvas_gpu *g) {
    const size_t slots = (size_t)g->options.slots;

    EXA_TRY(exa_calloc(slots, sizeof *g->buffers, "the list of slots", &g->buffers));
    EXA_TRY(exa_calloc(slots, sizeof *g->views, "the list of slots", &g->views));
    EXA_TRY(exa_calloc(slots, sizeof *g->waiting, "the list of slots", &g->waiting));
    return exa_calloc(slots + 1, sizeof *g->graphs, "the list of graphs", &g->graphs);
}

static exa_status make(exa_canvas_gpu *g) {
    const exa_canvas_gpu_options *o = &g->options;
    const size_t slots = (size_t)o->slots;
    exa_canvas_gpu_layout l;

    exa_canvas_gpu_lay_out(o, &l);
    EXA_TRY(GPU(cudaSetDevice(o->device), "choosing the GPU"));
    EXA_TRY(GPU(cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking), "a stream"));
    EXA_TRY(allocate(&g->quantum, sizeof o->rules.quantum, "a table of probabilities"));
    /* Not on the default stream, which ours does not wait for. */
    EXA_TRY(GPU(
        cudaMemcpyAsync(g->quantum, o->rules.quantum, sizeof o->rules.quantum, cudaMemcpyHostToDevice, g->stream),
        "a table of probabilities"));
    g->rules = rules_of(&o->rules, g->quantum);
    EXA_TRY(allocate(&g->states, slots * sizeof *g->states, "the states of canvases"));
    EXA_TRY(GPU(cudaMallocHost((void **)&g->seen, slots * sizeof *g->seen), "the states of canvases"));
    memset(g->seen, 0, slots * sizeof *g->seen);
    EXA_TRY(allocate(&g->slots, slots * sizeof *g->slots, "the canvases' addresses"));
    EXA_TRY(allocate(&g->batch, slots * sizeof *g->batch, "a batch"));
    EXA_TRY(GPU(cudaMallocHost((void **)&g->batch_host, slots * sizeof *g->batch_host), "a batch"));
    EXA_TRY(allocate(&g->input, l.input, "fields of view"));
    EXA_TRY(allocate(&g->logits, l.logits, "fields of view"));
    EXA_TRY(allocate(&g->overflow, slots * sizeof *g->overflow, "a batch"));
    EXA_TRY(allocate(&g->work, l.work, "making seeds"));
    for (size_t i = 0; i < slots; i++) EXA_TRY(make_buffers(&l, &g->buffers[i]));
    /* A slot that was never loaded is not to be read as one that works. */
    EXA_TRY(GPU(cudaMemsetAsync(g->states, 0, slots * sizeof *g->states, g->stream), "the states of canvases"));
    return GPU(cudaStreamSynchronize(g->stream), "canvases on a GPU");
}

extern "C" exa_status exa_canvas_gpu_create(const exa_canvas_gpu_options *options, exa_canvas_gpu **out) {
    exa_canvas_gpu_memory memory;
    exa_canvas_gpu *g;
    exa_status st;

    EXA_TRY(exa_canvas_gpu_plan(options, &memory));
    EXA_TRY(exa_calloc(1, sizeof *g, "canvases on a GPU", &g));
    g->options = *options;
    st = make_lists(g);
    if (st == EXA_OK) st = make(g);
    if (st != EXA_OK) {
        const exa_error error = *exa_error_last();
        exa_canvas_gpu_destroy(&g);
        return exa_error_restore(&error);
    }
    *out = g;
    return EXA_OK;
}

extern "C" void exa_canvas_gpu_destroy(exa_canvas_gpu **gpu) {
    exa_canvas_gpu *g = *gpu;

    if (!g) return;
    (void)cudaSetDevice(g->options.device);
    if (g->stream) (void)cudaStreamSynchronize(g->stream);
    for (int i = 0; g->graphs && i <= g->options.slots; i++)
        if (g->graphs[i]) (void)cudaGraphExecDestroy(g->graphs[i]);
    for (int i = 0; g->buffers && i < g->options.slots; i++) {
        const exa_canvas_gpu_buffers &b = g->buffers[i];
        void *const all[] = {b.raw, b.table, b.map, b.segmentation, b.probability, b.queue, b.done, b.seeds};
        for (void *p : all)
            if (p) (void)cudaFree(p);
    }
    void *const all[] = {g->quantum, g->states, g->slots, g->batch, g->input, g->logits, g->overflow, g->work};
    for (void *p : all)
        if (p) (void)cudaFree(p);
    if (g->seen) (void)cudaFreeHost(g->seen);
    if (g->batch_host) (void)cudaFreeHost(g->batch_host);
    if (g->stream) (void)cudaStreamDestroy(g->stream);
    free(g->buffers);
    free(g->views);
    free(g->waiting);
    free(g->graphs);
    free(g);
    *gpu = nullptr;
}

/* ---- a canvas into a slot --------------------------------------------------------------------- */

static exa_status upload(exa_canvas_gpu *g, void *to, const void *from, uint64_t bytes, const char *what) {
    if (bytes == 0) return EXA_OK;
    return GPU(cudaMemcpyAsync(to, from, (size_t)bytes, cudaMemcpyHostToDevice, g->stream), what);
}

static slot view_of(exa_canvas_gpu *g, int number, const exa_canvas_gpu_canvas *c) {
    const exa_canvas_gpu_buffers &b = g->buffers[(size_t)number];
    slot s = {};

    s.state = g->states + number;
    s.raw = b.raw;
    s.table = b.table;
    s.map = b.map;
    s.segmentation = b.segmentation;
    s.probability = b.probability;
    s.queue = b.queue;
    s.done = b.done;
    s.seeds = b.seeds;
    s.seed_count = (int64_t)c->seed_count;
    s.mean = c->image.mean;
    s.stddev = c->image.stddev;
    for (int a = 0; a < 3; a++) {
        const exa_coord d = g->options.rules.deltas[a];
        s.shape[a] = (int32_t)c->image.shape[a];
        s.cells[a] = (int32_t)(c->image.shape[a] / (d > 0 ? d : 1) + 2);
    }
    s.bytes = (int32_t)exa_dtype_size(c->image.dtype);
    s.wide = c->wide;
    return s;
}

static exa_status check_fit(const exa_canvas_gpu *g, const exa_canvas_gpu_image *image) {
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(image->shape[a] > 0 && image->shape[a] <= g->options.voxels[a], EXA_ERR_INTERNAL,
                  "a canvas of %lld voxels on axis %c, in a slot of %lld", (long long)image->shape[a], "zyx"[a],
                  (long long)g -> options.voxels[a]);
    }
    EXA_CHECK(image->dtype == g->options.dtype, EXA_ERR_INTERNAL, "a canvas of another raw type");
    return EXA_OK;
}

static void begin_state(const exa_canvas_gpu_canvas *c, exa_canvas_gpu_state *st) {
    memset(st, 0, sizeof *st);
    st->next_seed = st->settled_next_seed = c->next_seed;
    st->next_id = c->next_id;
    memcpy(st->counter, c->counter, sizeof st->counter);
    memcpy(st->settled, c->counter, sizeof st->settled);
    st->phase = EXA_CANVAS_GPU_NEXT;
}

extern "C" exa_status exa_canvas_gpu_load(exa_canvas_gpu *g, int number, const exa_canvas_gpu_canvas *c) {
    exa_canvas_gpu_buffers *b = &g->buffers[(size_t)number];
    const size_t voxels = (size_t)(c->image.shape[0] * c->image.shape[1] * c->image.shape[2]);
    const size_t seeds = c->seed_count * (c->wide ? 8 : 4);
    slot *view = &g->views[(size_t)number];

    EXA_TRY(check_fit(g, &c->image));
    EXA_TRY(GPU(cudaSetDevice(g->options.device), "choosing the GPU"));
    EXA_TRY(fit_seeds(b, seeds));
    *view = view_of(g, number, c);
    begin_state(c, &g->seen[number]);
    EXA_TRY(upload(g, b->raw, c->image.raw, voxels * exa_dtype_size(c->image.dtype), "a raw image"));
    EXA_TRY(upload(g, b->table, c->image.table, 256 * sizeof(float), "a table of grey values"));
    EXA_TRY(upload(g, b->segmentation, c->segmentation, voxels * 4, "a segmentation"));
    if (b->probability && c->probability) EXA_TRY(upload(g, b->probability, c->probability, voxels, "a map"));
    EXA_TRY(upload(g, b->seeds, c->seeds, seeds, "a list of seeds"));
    EXA_TRY(upload(g, g->states + number, &g->seen[number], sizeof *g->seen, "the state of a canvas"));
    EXA_TRY(upload(g, g->slots + number, view, sizeof *view, "a canvas's addresses"));
    const size_t words = ((size_t)view->cells[0] * (size_t)view->cells[1] * (size_t)view->cells[2] + 31) / 32;
    EXA_TRY(GPU(cudaMemsetAsync(b->done, 0, words * 4, g->stream), "visited cells"));
    EXA_TRY(
        GPU(lane::launch(unset_map, dim3(FILL_BLOCKS), dim3(SWEEP_THREADS), 0, g->stream, b->map, (int64_t)voxels),
            "an object map"));
    return GPU(cudaStreamSynchronize(g->stream), "a canvas"); /* what is borrowed is free again */
}

/* ---- launches --------------------------------------------------------------------------------- */

static exa_status one_step(exa_canvas_gpu *g, int n, bool exact) {
    const exa_canvas_gpu_options *o = &g->options;
    const dim3 canvases((unsigned)n), sweep(SWEEP_BLOCKS, (unsigned)n);
    const slot *slots = g->slots;
    const int *batch = g->batch;

    EXA_TRY(GPU(lane::launch(begin, canvases, dim3(STEP_THREADS), 0, g->stream, g->rules, slots, batch, g->input,
                             (int)exact),
                "a step"));
    EXA_TRY(o->forward(o->network, (size_t)n, exact, g->input, g->logits, g->overflow, (void *)g->stream));
    EXA_TRY(GPU(lane::launch(absorb, canvases, dim3(STEP_THREADS), 0, g->stream, g->rules, slots, batch, g->logits,
                             (const unsigned *)g->overflow, (int)exact),
                "a step"));
    EXA_TRY(GPU(lane::launch(count, sweep, dim3(SWEEP_THREADS), 0, g->stream, g->rules, slots, batch), "a step"));
    return GPU(lane::launch(settle, sweep, dim3(SWEEP_THREADS), 0, g->stream, g->rules, slots, batch), "a step");
}

static exa_status record_steps(exa_canvas_gpu *g, int n) {
    cudaGraph_t graph = nullptr;
    exa_status st, ended;

    EXA_TRY(GPU(cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeThreadLocal), "recording a graph"));
    st = EXA_OK;
    for (int i = 0; i < g->options.steps && st == EXA_OK; i++) st = one_step(g, n, false);
    ended = GPU(cudaStreamEndCapture(g->stream, &graph), "recording a graph");
    if (st == EXA_OK) st = ended;
    if (st == EXA_OK) st = GPU(cudaGraphInstantiate(&g->graphs[(size_t)n], graph, 0), "making a graph");
    if (graph) (void)cudaGraphDestroy(graph);
    return st;
}

/* The batch as the device reads it, and room in the states' host copies for what comes back. */
static exa_status take_batch(exa_canvas_gpu *g, const int *slots, int n) {
    memcpy(g->batch_host, slots, (size_t)n * sizeof *slots);
    return upload(g, g->batch, g->batch_host, (size_t)n * sizeof *slots, "a batch");
}

static exa_status look(exa_canvas_gpu *g) {
    EXA_TRY(GPU(cudaMemcpyAsync(g->seen, g->states, (size_t)g->options.slots * sizeof *g->seen,
                                cudaMemcpyDeviceToHost, g->stream),
                "the states of canvases"));
    return GPU(cudaStreamSynchronize(g->stream), "network steps");
}

/* Canvases whose step left the number range: that step alone, exactly. The others are not touched. */
static exa_status do_exactly(exa_canvas_gpu *g, const int *slots, int n) {
    int count = 0;

    for (int i = 0; i < n; i++)
        if (g->seen[slots[i]].waits) g->waiting[count++] = slots[i];
    if (count == 0) return EXA_OK;
    EXA_TRY(take_batch(g, g->waiting, count));
    EXA_TRY(one_step(g, count, true));
    return look(g);
}

extern "C" exa_status exa_canvas_gpu_run(exa_canvas_gpu *g, const int *slots, int n) {
    EXA_CHECK(n > 0 && n <= g->options.slots, EXA_ERR_INTERNAL, "a launch of %d canvases", n);
    EXA_TRY(GPU(cudaSetDevice(g->options.device), "choosing the GPU"));
    if (!g->graphs[(size_t)n]) EXA_TRY(record_steps(g, n));
    EXA_TRY(take_batch(g, slots, n));
    EXA_TRY(GPU(cudaGraphLaunch(g->graphs[(size_t)n], g->stream), "network steps"));
    EXA_TRY(look(g));
    return do_exactly(g, slots, n);
}

extern "C" const exa_canvas_gpu_state *exa_canvas_gpu_state_of(const exa_canvas_gpu *g, int number) {
    return &g->seen[number];
}

extern "C" const exa_canvas_gpu_options *exa_canvas_gpu_options_of(const exa_canvas_gpu *g) {
    return &g->options;
}

extern "C" const exa_canvas_gpu_state *exa_canvas_gpu_states(const exa_canvas_gpu *g) {
    return g->states;
}

extern "C" exa_status exa_canvas_gpu_fetch(exa_canvas_gpu *g, int number, int32_t *segmentation,
                                           uint8_t *probability) {
    const exa_canvas_gpu_buffers *b = &g->buffers[(size_t)number];
    const slot *s = &g->views[(size_t)number];
    const size_t voxels = (size_t)s->shape[0] * (size_t)s->shape[1] * (size_t)s->shape[2];

    EXA_TRY(GPU(cudaSetDevice(g->options.device), "choosing the GPU"));
    EXA_TRY(GPU(cudaMemcpyAsync(segmentation, b->segmentation, voxels * 4, cudaMemcpyDeviceToHost, g->stream),
                "a segmentation"));
    if (probability && b->probability)
        EXA_TRY(GPU(cudaMemcpyAsync(probability, b->probability, voxels, cudaMemcpyDeviceToHost, g->stream),
                    "a probability map"));
    return GPU(cudaStreamSynchronize(g->stream), "a segmentation");
}
