/* The working threads of a rank, each with a chunk of its own: read, flood, into the journal.
 *
 * As many chunks as the job says are in flight: their network steps run as one batch. Beside these some threads
 * have read their chunks already and wait, so that the network never waits for a disk. A thread works on a copy of
 * the run's work, in which the inputs stand for its chunk; what all share is under one lock each: the volumes that
 * are read, the store, and the books. */
#include "run_internal.h"

#include "exaconn/batcher.h"
#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct exa_run_crew {
    exa_run_work pattern; /* what a thread begins with; never changed meanwhile */
    double began;
    exa_run_work *run;    /* borrowed; whose books are kept */
    exa_batcher *batcher; /* owned */
    int threads;
    int places; /* for chunks that may be flooded now; under books */
    pthread_cond_t place_free;
    pthread_mutex_t reading, store, books;
    exa_canvas_counters counters; /* of the chunks done and in work, under books */
};

exa_status exa_run_begin_crew(exa_run_work *w) {
    const int canvases = w->plan.canvases;
    pthread_condattr_t steady;
    exa_run_crew *c;

    EXA_TRY(exa_calloc(1, sizeof *c, "the working threads", &c));
    c->run = w;
    c->began = exa_clock_now();
    c->counters = w->before;
    c->threads = canvases + (int)w->job->compute.prefetch;
    c->places = canvases;
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&c->place_free, &steady);
    pthread_condattr_destroy(&steady);
    pthread_mutex_init(&c->reading, NULL);
    pthread_mutex_init(&c->store, NULL);
    pthread_mutex_init(&c->books, NULL);
    w->crew = c;
    memcpy(&c->pattern, w, sizeof *w); /* nobody else is at work yet */
    c->pattern.times = (exa_run_times){0};
    c->pattern.before = (exa_canvas_counters){0};
    c->pattern.parts_resumed = 0;
    c->pattern.limited = false;
    return exa_run_make_batcher(w, &c->batcher);
}

void exa_run_end_crew(exa_run_work *w) {
    exa_run_crew *c = w->crew;

    if (!c) return;
    w->segmented_s += exa_clock_now() - c->began;
    w->before = c->counters; /* so that progress goes on in the next round */
    exa_batcher_destroy(&c->batcher);
    pthread_cond_destroy(&c->place_free);
    pthread_mutex_destroy(&c->reading);
    pthread_mutex_destroy(&c->store);
    pthread_mutex_destroy(&c->books);
    free(c);
    w->crew = NULL;
}

int exa_run_crew_threads(const exa_run_crew *crew) {
    return crew->threads;
}

exa_status exa_run_refresh(exa_run_crew *crew, exa_canvas *canvas) {
    return crew ? exa_batcher_refresh(crew->batcher, canvas) : EXA_OK;
}

void exa_run_lock_store(exa_run_crew *crew) {
    if (crew) pthread_mutex_lock(&crew->store);
}

void exa_run_unlock_store(exa_run_crew *crew) {
    if (crew) pthread_mutex_unlock(&crew->store);
}

void exa_run_add_progress(exa_run_crew *crew, exa_progress_state *state) {
    if (exa_comm_size() > 1) return; /* of the others nothing is known but their chunks */
    pthread_mutex_lock(&crew->books);
    state->objects = crew->counters.objects;
    state->steps = crew->counters.steps;
    state->voxels_filled = crew->counters.voxels_segmented;
    pthread_mutex_unlock(&crew->books);
}

/* ---- keeping the books --------------------------------------------------------------------------------------- */

static void add_times(exa_run_times *sum, const exa_run_times *t) {
    sum->read_s += t->read_s;
    sum->exclude_s += t->exclude_s;
    sum->seed_s += t->seed_s;
    sum->flood_s += t->flood_s;
    sum->network_s += t->network_s;
    sum->canvas_s += t->canvas_s;
    sum->journal_s += t->journal_s;
}

/* What the canvas counted since it was last asked. */
static void count(exa_run_work *w) {
    const exa_canvas_counters now = *exa_canvas_get_counters(w->canvas), *then = &w->before;
    exa_run_crew *c = w->crew;

    pthread_mutex_lock(&c->books);
    c->counters.objects += now.objects - then->objects;
    c->counters.steps += now.steps - then->steps;
    c->run->steps_of_crew += now.steps - then->steps;
    c->counters.voxels_segmented += now.voxels_segmented - then->voxels_segmented;
    pthread_mutex_unlock(&c->books);
    w->before = now;
}

static void settle(const exa_run_work *w) {
    exa_run_crew *c = w->crew;

    pthread_mutex_lock(&c->books);
    add_times(&c->run->times, &w->times);
    c->run->parts_resumed += w->parts_resumed;
    c->run->limited = c->run->limited || w->limited;
    pthread_mutex_unlock(&c->books);
}

/* A journal that cannot be written (disk full) fails for every chunk: the run ends at once, not chunk by chunk. */
static exa_status give_up(const exa_run_work *w) {
    exa_run_work *run = w->crew->run;

    pthread_mutex_lock(&w->crew->books);
    if (!atomic_load(&run->fatal_set)) run->fatal = *exa_error_last();
    atomic_store(&run->fatal_set, true);
    pthread_mutex_unlock(&w->crew->books);
    return EXA_FAIL(EXA_ERR_CANCELLED, "no chunk can be kept any more");
}

/* ---- one chunk ----------------------------------------------------------------------------------------------- */

static exa_status put_chunk(exa_run_work *w, exa_chunkid k) {
    double began = exa_clock_now();
    exa_chunk_record record = {
        .chunk = k, .labels = exa_canvas_segmentation(w->canvas), .probability = exa_canvas_probability(w->canvas)};
    void *details = NULL;
    size_t count;
    const exa_attempt *attempts = exa_canvas_attempts(w->canvas, &count);
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_run_pack_details(exa_canvas_get_counters(w->canvas), attempts, count, w->excluded_voxels,
                                        exa_canvas_limit_reached(w->canvas), &details, &record.details_size));
    record.details = details;
    exa_run_lock_store(w->crew);
    st = exa_chunk_store_put(w->store, &record);
    exa_run_unlock_store(w->crew);
done:
    free(details);
    w->times.journal_s += exa_clock_now() - began;
    return st;
}

/* Of the chunk's own voxels, so that the halos do not count twice. */
static int64_t count_excluded(const exa_run_work *w, exa_chunkid k) {
    const exa_box core = exa_chunk_grid_core(&w->grid, k), *box = &w->inputs.box;
    int64_t count = 0;

    for (exa_coord row = 0; w->excluded && row < core.shape[0] * core.shape[1]; row++) {
        const uint8_t *from = w->excluded + exa_box_index(box, core.start[0] + row / core.shape[1],
                                                          core.start[1] + row % core.shape[1], core.start[2]);
        for (exa_coord x = 0; x < core.shape[2]; x++) count += from[x];
    }
    return count;
}

static void forget_chunk(exa_run_work *w) {
    exa_canvas_destroy(&w->canvas);
    free(w->raw);
    free(w->excluded);
    w->raw = NULL;
    w->excluded = NULL;
}

static exa_status read_chunk(exa_run_work *w, exa_chunkid k) {
    exa_status st;

    pthread_mutex_lock(&w->crew->reading);
    st = exa_run_load_raw(w);
    if (st == EXA_OK) st = exa_run_load_exclusion(w);
    pthread_mutex_unlock(&w->crew->reading);
    EXA_TRY(st);
    w->excluded_voxels = count_excluded(w, k);
    return exa_run_check_stop(w);
}

/* Seeds are made by the threads that compute. */
static exa_status make_canvas(exa_run_work *w) {
    exa_status st;

    exa_batcher_lock(w->crew->batcher);
    st = exa_run_make_canvas(w);
    exa_batcher_unlock(w->crew->batcher);
    return st;
}

/* Whether there was a place within a tenth of a second. */
static bool wait_for_place(exa_run_crew *c) {
    const struct timespec until = exa_clock_deadline(0.1);
    bool got;

    pthread_mutex_lock(&c->books);
    if (c->places == 0) pthread_cond_timedwait(&c->place_free, &c->books, &until);
    got = c->places > 0;
    c->places -= got;
    pthread_mutex_unlock(&c->books);
    return got;
}

/* Until another chunk is flooded, looking now and then whether this one is still wanted. */
static exa_status take_place(const exa_run_work *w) {
    while (!wait_for_place(w->crew)) EXA_TRY(exa_run_check_stop(w));
    return EXA_OK;
}

static void leave_place(exa_run_crew *c) {
    pthread_mutex_lock(&c->books);
    c->places++;
    pthread_cond_signal(&c->place_free);
    pthread_mutex_unlock(&c->books);
}

/* After each step. */
static exa_status tick(void *context) {
    exa_run_work *w = context;
    exa_status st = exa_run_check_stop(w);
    exa_error error;

    count(w);
    if (st != EXA_OK) error = *exa_error_last();
    exa_run_keep_parts(w, st != EXA_OK);
    return st == EXA_OK ? EXA_OK : exa_error_restore(&error);
}

static exa_status flood(exa_run_work *w) {
    exa_flood_times times = {0};

    EXA_TRY(exa_batcher_flood(w->crew->batcher, w->canvas, tick, w, &times));
    w->times.flood_s += times.total_s;
    w->times.network_s += times.network_s;
    w->times.canvas_s += exa_canvas_seconds(w->canvas);
    w->limited = exa_canvas_limit_reached(w->canvas);
    return EXA_OK;
}

static exa_status flood_chunk(exa_run_work *w, exa_chunkid k) {
    exa_status st;

    EXA_TRY(make_canvas(w));
    st = exa_run_restore_parts(w, k);
    if (st == EXA_ERR_FORMAT) { /* half of it may have been taken over */
        EXA_WARN("chunk %llu begins anew: %s", (unsigned long long)k, exa_error_last()->message);
        forget_chunk(w);
        EXA_TRY(read_chunk(w, k));
        st = make_canvas(w);
    }
    EXA_TRY(st);
    w->before = *exa_canvas_get_counters(w->canvas); /* of an earlier start */
    return flood(w);
}

static exa_status segment(exa_run_work *w, exa_chunkid k) {
    exa_status st;

    EXA_TRY(exa_box_voxels(&w->inputs.box, &w->inputs.voxels));
    EXA_TRY(read_chunk(w, k));
    EXA_TRY(take_place(w));
    st = flood_chunk(w, k);
    free(w->raw); /* the place goes to a chunk that was read ahead, while this one is written */
    w->raw = NULL;
    leave_place(w->crew);
    EXA_TRY(st);
    return put_chunk(w, k) == EXA_OK ? EXA_OK : give_up(w);
}

exa_status exa_run_segment_chunk(exa_lease_task *task, uint64_t k, void *context) {
    const exa_run_work *run = context;
    exa_run_work w;
    exa_status st;

    memcpy(&w, &run->crew->pattern, sizeof w);
    w.task = task;
    w.inputs.box = exa_chunk_grid_box(&w.grid, k);
    for (int a = 0; a < 3; a++) w.inputs.mask.box.start[a] += w.inputs.box.start[a] - run->grid.box.start[a];
    st = segment(&w, k);
    if (exa_run_lost_device(run->crew->run, st)) st = give_up(&w);
    forget_chunk(&w);
    settle(&w);
    if (st == EXA_OK) {
        EXA_DEBUG("chunk %llu of %llu done", (unsigned long long)k, (unsigned long long)w.grid.chunks);
        return st;
    }
    return st == EXA_ERR_CANCELLED ? st : exa_error_context(st, "chunk %llu", (unsigned long long)k);
}
