/* What is known of a chunk beside its voxels, as bytes: counters and attempts, as integers of 64 bits. */
#include "run_internal.h"

#include "exaconn/little_endian.h"

#include <stdlib.h>
#include <string.h>

enum {
    VERSION = 1,
    COUNTERS = sizeof(exa_canvas_counters) / sizeof(int64_t),
    ATTEMPT = EXA_ATTEMPT_BYTES / 8,
    HEAD = 4 + COUNTERS
};

/* Integers to little-endian bytes in place, or back: on our machines nothing happens. */
static void order_bytes(int64_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = (int64_t)exa_load_le64((const unsigned char *)&values[i]);
}

exa_status exa_run_pack_details(const exa_canvas_counters *counters, const exa_attempt *attempts, size_t count,
                                int64_t excluded, bool limited, void **details, size_t *size) {
    size_t words = HEAD + count * ATTEMPT;
    int64_t *v;

    EXA_TRY(exa_alloc(words, sizeof *v, "the details of a chunk", &v));
    v[0] = VERSION;
    v[1] = (int64_t)count;
    v[2] = excluded;
    v[3] = limited;
    memcpy(v + 4, counters, sizeof *counters);
    order_bytes(v, HEAD);
    for (size_t i = 0; i < count; i++) exa_attempt_store(&attempts[i], (unsigned char *)(v + HEAD + i * ATTEMPT));
    *details = v;
    *size = words * sizeof *v;
    return EXA_OK;
}

exa_status exa_run_read_details(exa_run_work *w, exa_chunkid k, exa_run_details *d) {
    void *bytes = NULL;
    int64_t *v;
    size_t size, words;
    exa_status st = EXA_OK;

    EXA_TRY(exa_chunk_store_details(w->store, k, &bytes, &size));
    v = bytes;
    words = size / sizeof *v;
    order_bytes(v, words < HEAD ? words : HEAD);
    EXA_CHECK_GOTO(
        done, words >= HEAD && v[0] == VERSION && v[1] >= 0 && (size_t)v[1] == (words - HEAD) / ATTEMPT,
        EXA_ERR_FORMAT,
        "chunk %llu has details that this version does not know. Hint: use the version of exaconn that began "
        "this run",
        (unsigned long long)k);
    *d = (exa_run_details){.attempt_count = (size_t)v[1], .excluded = v[2], .limited = v[3] != 0};
    memcpy(&d->counters, v + 4, sizeof d->counters);
    EXA_GOTO(done, exa_alloc(d->attempt_count, sizeof *d->attempts, "the attempts of a chunk", &d->attempts));
    for (size_t i = 0; i < d->attempt_count; i++)
        exa_attempt_load((const unsigned char *)(v + HEAD + i * ATTEMPT), &d->attempts[i]);
done:
    free(bytes);
    return st;
}
