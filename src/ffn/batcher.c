/* A batch is a list of steps that grows until every member has one in it; on a GPU, of canvases to be taken on. */
#include "exaconn/batcher.h"

#include "exaconn/clock.h"

#include <pthread.h>
#include <stdlib.h>

struct exa_batcher {
    exa_ffn_net *net;           /* NULL on a GPU */
    exa_canvas_device *device;  /* NULL on the CPU */
    int most, members, pending; /* pending: steps in the batch that is being gathered */
    bool running;
    uint64_t batches; /* run so far: a step is done when the number of its batch is reached */
    exa_status outcome;
    exa_error error;               /* of the last batch, if it failed */
    const float **image, **seed;   /* owned; [most], as all below */
    float **logits;                /* owned */
    int *slot;                     /* owned; on a GPU: where the canvases of the batch are */
    exa_canvas **canvas;           /* owned; and these themselves */
    bool *done;                    /* owned; and which of them are at their end */
    exa_canvas **holder;           /* owned; [slot]: whose it is */
    pthread_mutex_t lock, compute; /* compute is held while the net or its pool works */
    pthread_cond_t change;
};

static exa_status create(exa_ffn_net *net, exa_canvas_device *device, int most, exa_batcher **out) {
    exa_batcher *b;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *b, "a batcher", &b));
    b->net = net;
    b->device = device;
    b->most = most;
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->compute, NULL);
    pthread_cond_init(&b->change, NULL);
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->image, "a batch", &b->image));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->seed, "a batch", &b->seed));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->logits, "a batch", &b->logits));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->slot, "a batch", &b->slot));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->canvas, "a batch", &b->canvas));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->done, "a batch", &b->done));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->holder, "a batch", &b->holder));
    *out = b;
    b = NULL;
done:
    exa_batcher_destroy(&b);
    return st;
}

exa_status exa_batcher_create(exa_ffn_net *net, int most, exa_batcher **out) {
    return create(net, NULL, most, out);
}

exa_status exa_batcher_create_on_device(exa_canvas_device *device, exa_batcher **out) {
    return create(NULL, device, exa_canvas_device_slots(device), out);
}

void exa_batcher_destroy(exa_batcher **batcher) {
    exa_batcher *b = *batcher;

    if (!b) return;
    pthread_cond_destroy(&b->change);
    pthread_mutex_destroy(&b->compute);
    pthread_mutex_destroy(&b->lock);
    free(b->image);
    free(b->seed);
    free(b->logits);
    free(b->slot);
    free(b->canvas);
    free(b->done);
    free(b->holder);
    free(b);
    *batcher = NULL;
}

void exa_batcher_lock(exa_batcher *b) {
    pthread_mutex_lock(&b->compute);
}

void exa_batcher_unlock(exa_batcher *b) {
    pthread_mutex_unlock(&b->compute);
}

static void join(exa_batcher *b) {
    pthread_mutex_lock(&b->lock);
    while (b->members == b->most) pthread_cond_wait(&b->change, &b->lock);
    b->members++;
    pthread_mutex_unlock(&b->lock);
}

/* The others may have been waiting for this one only. */
static void leave(exa_batcher *b) {
    pthread_mutex_lock(&b->lock);
    b->members--;
    pthread_cond_broadcast(&b->change);
    pthread_mutex_unlock(&b->lock);
}

/* Under the lock, which is let go meanwhile. */
static void run_batch(exa_batcher *b, double *network_s) {
    double began;
    exa_status st;

    b->running = true;
    pthread_mutex_unlock(&b->lock);
    pthread_mutex_lock(&b->compute);
    began = exa_clock_now();
    st = b->device ? exa_canvas_device_run(b->device, b->slot, b->canvas, b->pending, b->done)
                   : exa_ffn_net_infer(b->net, (size_t)b->pending, b->image, b->seed, b->logits);
    *network_s += exa_clock_now() - began;
    pthread_mutex_unlock(&b->compute);
    pthread_mutex_lock(&b->lock);
    b->outcome = st;
    if (st != EXA_OK) b->error = *exa_error_last();
    b->running = false;
    b->pending = 0;
    b->batches++;
    pthread_cond_broadcast(&b->change);
}

/* Under the lock: waits until the batch has run that the caller has just entered. Nobody can be in the next one
 * before all have seen how this one ended: a member steps only after that. */
static exa_status wait_for_batch(exa_batcher *b, double *network_s) {
    const uint64_t mine = b->batches;

    while (b->batches == mine) {
        if (!b->running && b->pending == b->members) {
            run_batch(b, network_s);
        } else {
            pthread_cond_wait(&b->change, &b->lock);
        }
    }
    if (b->outcome != EXA_OK) exa_error_restore(&b->error);
    return b->outcome;
}

static exa_status infer(exa_batcher *b, const exa_canvas_step *step, double *network_s) {
    exa_status st;

    pthread_mutex_lock(&b->lock);
    while (b->running) pthread_cond_wait(&b->change, &b->lock); /* joined while a batch ran */
    b->image[b->pending] = step->image;
    b->seed[b->pending] = step->seed;
    b->logits[b->pending++] = step->logits;
    st = wait_for_batch(b, network_s);
    pthread_mutex_unlock(&b->lock);
    return st;
}

static exa_status step_by_step(exa_batcher *b, exa_canvas *canvas, exa_flood_tick *tick, void *context,
                               double *network_s) {
    for (;;) {
        exa_canvas_step step;
        bool more;

        EXA_TRY(exa_canvas_next(canvas, &step, &more));
        if (!more) return EXA_OK;
        EXA_TRY(infer(b, &step, network_s));
        EXA_TRY(exa_canvas_absorb(canvas));
        if (tick) EXA_TRY(tick(context));
    }
}

/* ---- on a GPU ------------------------------------------------------------------------------------------------ */

/* There are as many as members; waits for one. */
static int take_slot(exa_batcher *b, exa_canvas *canvas) {
    int slot;

    pthread_mutex_lock(&b->lock);
    for (;;) {
        for (slot = 0; slot < b->most && b->holder[slot]; slot++) continue;
        if (slot < b->most) break;
        pthread_cond_wait(&b->change, &b->lock);
    }
    b->holder[slot] = canvas;
    pthread_mutex_unlock(&b->lock);
    return slot;
}

static void leave_slot(exa_batcher *b, int slot) {
    pthread_mutex_lock(&b->lock);
    b->holder[slot] = NULL;
    pthread_cond_broadcast(&b->change);
    pthread_mutex_unlock(&b->lock);
}

static exa_status load(exa_batcher *b, int slot, exa_canvas *canvas) {
    exa_status st;

    exa_batcher_lock(b);
    st = exa_canvas_device_load(b->device, slot, canvas);
    exa_batcher_unlock(b);
    return st;
}

static exa_status fetch(exa_batcher *b, int slot, exa_canvas *canvas) {
    exa_status st;

    exa_batcher_lock(b);
    st = exa_canvas_device_fetch(b->device, slot, canvas);
    exa_batcher_unlock(b);
    return st;
}

exa_status exa_batcher_refresh(exa_batcher *b, exa_canvas *canvas) {
    int slot = 0;

    if (!b->device) return EXA_OK;
    pthread_mutex_lock(&b->lock);
    while (slot < b->most && b->holder[slot] != canvas) slot++;
    pthread_mutex_unlock(&b->lock);
    return slot < b->most ? fetch(b, slot, canvas) : EXA_OK;
}

static exa_status take_on(exa_batcher *b, int slot, exa_canvas *canvas, bool *done, double *network_s) {
    exa_status st;
    int place;

    pthread_mutex_lock(&b->lock);
    while (b->running) pthread_cond_wait(&b->change, &b->lock);
    place = b->pending++;
    b->slot[place] = slot;
    b->canvas[place] = canvas;
    st = wait_for_batch(b, network_s);
    *done = b->done[place]; /* the next batch begins when this member is in it, or has left */
    pthread_mutex_unlock(&b->lock);
    return st;
}

static exa_status launch_by_launch(exa_batcher *b, int slot, exa_canvas *canvas, exa_flood_tick *tick,
                                   void *context, double *network_s) {
    bool done = false;

    while (!done) {
        EXA_TRY(take_on(b, slot, canvas, &done, network_s));
        if (tick) EXA_TRY(tick(context));
    }
    return EXA_OK;
}

/* A canvas is loaded before it joins, and fetched after it has left: nobody waits for that but for the GPU itself.
 */
static exa_status flood_on_device(exa_batcher *b, exa_canvas *canvas, exa_flood_tick *tick, void *context,
                                  double *network_s) {
    const int slot = take_slot(b, canvas);
    exa_status st = load(b, slot, canvas);

    if (st == EXA_OK) {
        join(b);
        st = launch_by_launch(b, slot, canvas, tick, context, network_s);
        leave(b);
    }
    if (st == EXA_OK) st = fetch(b, slot, canvas);
    leave_slot(b, slot);
    return st;
}

exa_status exa_batcher_flood(exa_batcher *b, exa_canvas *canvas, exa_flood_tick *tick, void *context,
                             exa_flood_times *times) {
    exa_flood_times own = {0};
    double began;
    exa_status st;

    if (b->device) {
        began = exa_clock_now();
        st = flood_on_device(b, canvas, tick, context, &own.network_s);
    } else {
        join(b);
        began = exa_clock_now();
        st = step_by_step(b, canvas, tick, context, &own.network_s);
        leave(b);
    }
    if (st == EXA_OK) exa_canvas_finish(canvas);
    own.total_s = exa_clock_now() - began;
    if (times) *times = own;
    return st;
}
