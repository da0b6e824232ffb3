/* The loop around canvases and network. */
#include "exaconn/flood.h"
#include "exaconn/clock.h"

#include <stdlib.h>

typedef struct batch {
    const float **image, **seed;
    float **logits;
    exa_canvas **canvas; /* whose step it is */
    bool *finished;      /* per canvas */
    size_t steps;
} batch;

static exa_status collect(batch *b, exa_canvas *const *canvases, size_t count) {
    b->steps = 0;
    for (size_t i = 0; i < count; i++) {
        exa_canvas_step step;
        bool more;

        if (b->finished[i]) continue;
        EXA_TRY(exa_canvas_next(canvases[i], &step, &more));
        if (!more) {
            b->finished[i] = true;
            exa_canvas_finish(canvases[i]);
            continue;
        }
        b->image[b->steps] = step.image;
        b->seed[b->steps] = step.seed;
        b->logits[b->steps] = step.logits;
        b->canvas[b->steps++] = canvases[i];
    }
    return EXA_OK;
}

static exa_status run_batches(exa_ffn_net *net, batch *b, exa_canvas *const *canvases, size_t count,
                              exa_flood_tick *tick, void *context, exa_flood_times *times) {
    for (;;) {
        double began;

        EXA_TRY(collect(b, canvases, count));
        if (b->steps == 0) return EXA_OK;
        began = exa_clock_now();
        EXA_TRY(exa_ffn_net_infer(net, b->steps, b->image, b->seed, b->logits));
        times->network_s += exa_clock_now() - began;
        for (size_t i = 0; i < b->steps; i++) EXA_TRY(exa_canvas_absorb(b->canvas[i]));
        if (tick) EXA_TRY(tick(context));
    }
}

exa_status exa_flood_run(exa_ffn_net *net, exa_canvas *const *canvases, size_t count, exa_flood_tick *tick,
                         void *context, exa_flood_times *times) {
    batch b = {0};
    exa_flood_times own = {0};
    double began = exa_clock_now();
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc(count, sizeof *b.image, "a batch", &b.image));
    EXA_GOTO(done, exa_calloc(count, sizeof *b.seed, "a batch", &b.seed));
    EXA_GOTO(done, exa_calloc(count, sizeof *b.logits, "a batch", &b.logits));
    EXA_GOTO(done, exa_calloc(count, sizeof *b.canvas, "a batch", &b.canvas));
    EXA_GOTO(done, exa_calloc(count, sizeof *b.finished, "a batch", &b.finished));
    EXA_GOTO(done, run_batches(net, &b, canvases, count, tick, context, &own));
    own.total_s = exa_clock_now() - began;
    if (times) *times = own;
done:
    free(b.image);
    free(b.seed);
    free(b.logits);
    free(b.canvas);
    free(b.finished);
    return st;
}
