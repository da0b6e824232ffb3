/* A batch is a list of steps that grows until every member has one in it. */
#include "exaconn/batcher.h"

#include "exaconn/clock.h"

#include <pthread.h>
#include <stdlib.h>

struct exa_batcher {
    exa_ffn_net *net;
    int most, members, pending; /* pending: steps in the batch that is being gathered */
    bool running;
    uint64_t batches; /* run so far: a step is done when the number of its batch is reached */
    exa_status outcome;
    exa_error error;               /* of the last batch, if it failed */
    const float **image, **seed;   /* owned; [most] */
    float **logits;                /* owned */
    pthread_mutex_t lock, compute; /* compute is held while the net or its pool works */
    pthread_cond_t change;
};

exa_status exa_batcher_create(exa_ffn_net *net, int most, exa_batcher **out) {
    exa_batcher *b;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *b, "a batcher", &b));
    b->net = net;
    b->most = most;
    pthread_mutex_init(&b->lock, NULL);
    pthread_mutex_init(&b->compute, NULL);
    pthread_cond_init(&b->change, NULL);
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->image, "a batch", &b->image));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->seed, "a batch", &b->seed));
    EXA_GOTO(done, exa_calloc((size_t)most, sizeof *b->logits, "a batch", &b->logits));
    *out = b;
    b = NULL;
done:
    exa_batcher_destroy(&b);
    return st;
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
    st = exa_ffn_net_infer(b->net, (size_t)b->pending, b->image, b->seed, b->logits);
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

/* Nobody can be in the next batch before all have seen how this one ended: a member steps only after that. */
static exa_status infer(exa_batcher *b, const exa_canvas_step *step, double *network_s) {
    uint64_t mine;
    exa_status st;

    pthread_mutex_lock(&b->lock);
    while (b->running) pthread_cond_wait(&b->change, &b->lock); /* joined while a batch ran */
    mine = b->batches;
    b->image[b->pending] = step->image;
    b->seed[b->pending] = step->seed;
    b->logits[b->pending++] = step->logits;
    while (b->batches == mine) {
        if (!b->running && b->pending == b->members) {
            run_batch(b, network_s);
        } else {
            pthread_cond_wait(&b->change, &b->lock);
        }
    }
    st = b->outcome;
    if (st != EXA_OK) exa_error_restore(&b->error);
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

exa_status exa_batcher_flood(exa_batcher *b, exa_canvas *canvas, exa_flood_tick *tick, void *context,
                             exa_flood_times *times) {
    exa_flood_times own = {0};
    double began;
    exa_status st;

    join(b);
    began = exa_clock_now();
    st = step_by_step(b, canvas, tick, context, &own.network_s);
    leave(b);
    if (st == EXA_OK) exa_canvas_finish(canvas);
    own.total_s = exa_clock_now() - began;
    if (times) *times = own;
    return st;
}
