/* A long chunk in parts: the objects finished in it are journaled now and then, and a start goes on after them. */
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/log.h"

#include <stdlib.h>

static bool is_damage(exa_status st) {
    return st == EXA_ERR_CORRUPT || st == EXA_ERR_IO;
}

/* Parts of several starts, of which some may tell the same: each is taken that continues what is there. What is
 * damaged leaves a gap, and what is behind it is done again. */
exa_status exa_run_restore_parts(exa_run_work *w, exa_chunkid k) {
    size_t next = 0, size = 0, attempts;

    w->chunk_in_work = k; /* whatever becomes of the parts */
    w->parts_kept = 0;
    w->parts_kept_at = exa_clock_now();
    for (;;) {
        void *bytes;
        bool taken = false;
        exa_status st;
        exa_run_lock_store(w->crew);
        st = exa_chunk_store_progress(w->store, k, &next, &bytes, &size);
        exa_run_unlock_store(w->crew);
        if (is_damage(st)) continue;
        if (st != EXA_OK) return st;
        if (!bytes) break;
        st = exa_canvas_restore(w->canvas, bytes, size, &taken);
        free(bytes);
        EXA_TRY(st);
        w->parts_resumed += taken;
    }
    exa_canvas_attempts(w->canvas, &attempts);
    if (attempts)
        EXA_INFO("chunk %llu goes on after %zu floods and %lld objects of an earlier start", (unsigned long long)k,
                 attempts, (long long)exa_canvas_get_counters(w->canvas)->objects);
    w->parts_kept = attempts;
    return EXA_OK;
}

static exa_status keep(exa_run_work *w) {
    void *bytes;
    size_t size;
    exa_status st;

    EXA_TRY(exa_run_refresh(w->crew, w->canvas));
    EXA_TRY(exa_canvas_store(w->canvas, w->parts_kept, &bytes, &size));
    exa_run_lock_store(w->crew);
    st = exa_chunk_store_put_progress(w->store, w->chunk_in_work, bytes, size);
    exa_run_unlock_store(w->crew);
    free(bytes);
    return st;
}

/* It is an extra: where it cannot be written the chunk is done nevertheless, and its own record will tell. */
void exa_run_keep_parts(exa_run_work *w, bool now) {
    const double interval = w->job->checkpoint.chunk_interval_s, began = exa_clock_now();
    size_t attempts;

    if (!w->store || !(interval > 0) || (!now && began - w->parts_kept_at < interval)) return;
    exa_canvas_attempts(w->canvas, &attempts);
    w->parts_kept_at = began;
    if (attempts == w->parts_kept) return;
    if (keep(w) == EXA_OK) {
        w->parts_kept = attempts;
    } else {
        EXA_WARN("what is finished of chunk %llu was not kept: %s", (unsigned long long)w->chunk_in_work,
                 exa_error_last()->message);
    }
    w->times.journal_s += exa_clock_now() - began;
}
