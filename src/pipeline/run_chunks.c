/* Chunk after chunk along the curve: read, flood, into the journal. What an earlier start put there is not done
 * again.*/
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/hash.h"
#include "exaconn/little_endian.h"
#include "exaconn/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what identifies the run --------------------------------------------------------------------------------- */

/* All that decides the result: the job's keys that can change it, the weights, the volume's shape and type. */
static exa_status run_sha256(const exa_run_work *w, char sha256[EXA_SHA256_HEX_BYTES]) {
    const exa_inputs *in = &w->inputs;
    exa_job standard = {0};
    char *differences = NULL, *text = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_job_defaults(&standard));
    EXA_GOTO(done, exa_job_differences(&standard, w->job, true, &differences));
    EXA_CHECK_GOTO(done,
                   asprintf(&text, "exaconn chunks 1\n%s%s\n%lld %lld %lld %d\n", differences,
                            in->model->weights_sha256, (long long)in->info.shape[0], (long long)in->info.shape[1],
                            (long long)in->info.shape[2], (int)in->dtype) > 0,
                   EXA_ERR_MEMORY, "cannot allocate the description of the run");
    st = exa_sha256(text, strlen(text), sha256);
done:
    free(text);
    free(differences);
    exa_job_destroy(&standard);
    return st;
}

exa_status exa_run_open_chunks(exa_run_work *w) {
    enum { JOURNAL_ZSTD_LEVEL = 1 }; /* several GB/s on labels; a journal does not live long */
    char folder[EXA_PATH_BYTES], sha256[EXA_SHA256_HEX_BYTES];

    EXA_TRY(run_sha256(w, sha256));
    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_JOURNALS, folder));
    EXA_TRY(exa_chunk_store_open(folder, sha256, 0, &w->grid, JOURNAL_ZSTD_LEVEL, &w->store));
    w->chunks_resumed = exa_chunk_store_count(w->store);
    EXA_INFO("chunks: %lld x %lld x %lld of %lld x %lld x %lld voxels and a halo of %lld, %lld, %lld",
             (long long)w->grid.count[0], (long long)w->grid.count[1], (long long)w->grid.count[2],
             (long long)w->grid.core[0], (long long)w->grid.core[1], (long long)w->grid.core[2],
             (long long)w->grid.halo[0], (long long)w->grid.halo[1], (long long)w->grid.halo[2]);
    if (w->chunks_resumed)
        EXA_INFO("resumed: %llu of %llu chunks are in the journals", (unsigned long long)w->chunks_resumed,
                 (unsigned long long)w->grid.chunks);
    return EXA_OK;
}

/* ---- details of a chunk: counters and attempts, as integers of 64 bits ----------------------------------------
 */

enum { VERSION = 1, COUNTERS = sizeof(exa_canvas_counters) / sizeof(int64_t), ATTEMPT = 14, HEAD = 2 + COUNTERS };

static void pack_attempt(const exa_attempt *a, int64_t out[ATTEMPT]) {
    for (int i = 0; i < 3; i++) {
        out[i] = a->seed[i];
        out[8 + i] = a->visited.start[i];
        out[11 + i] = a->visited.shape[i];
    }
    out[3] = a->steps;
    out[4] = a->outcome;
    out[5] = a->id;
    out[6] = a->voxels_raw;
    out[7] = a->voxels_new;
}

static void unpack_attempt(const int64_t in[ATTEMPT], exa_attempt *a) {
    for (int i = 0; i < 3; i++) {
        a->seed[i] = in[i];
        a->visited.start[i] = in[8 + i];
        a->visited.shape[i] = in[11 + i];
    }
    a->steps = in[3];
    a->outcome = (exa_outcome)in[4];
    a->id = (int32_t)in[5];
    a->voxels_raw = in[6];
    a->voxels_new = in[7];
}

/* Integers to little-endian bytes in place, or back: on our machines nothing happens. */
static void order_bytes(int64_t *values, size_t count) {
    for (size_t i = 0; i < count; i++) values[i] = (int64_t)exa_load_le64((const unsigned char *)&values[i]);
}

static exa_status pack_details(const exa_canvas *canvas, int64_t **details, size_t *size) {
    size_t attempts, words;
    const exa_attempt *a = exa_canvas_attempts(canvas, &attempts);
    int64_t *v;

    words = HEAD + attempts * ATTEMPT;
    EXA_TRY(exa_alloc(words, sizeof *v, "the details of a chunk", &v));
    v[0] = VERSION;
    v[1] = (int64_t)attempts;
    memcpy(v + 2, exa_canvas_get_counters(canvas), sizeof(exa_canvas_counters));
    for (size_t i = 0; i < attempts; i++) pack_attempt(&a[i], v + HEAD + i * ATTEMPT);
    order_bytes(v, words);
    *details = v;
    *size = words * sizeof *v;
    return EXA_OK;
}

exa_status exa_run_read_details(exa_run_work *w, exa_chunkid k, exa_canvas_counters *counters,
                                exa_attempt **attempts, size_t *count) {
    void *bytes = NULL;
    int64_t *v;
    size_t size, words;
    exa_status st = EXA_OK;

    EXA_TRY(exa_chunk_store_details(w->store, k, &bytes, &size));
    v = bytes;
    words = size / sizeof *v;
    order_bytes(v, words);
    EXA_CHECK_GOTO(done, words >= HEAD && v[0] == VERSION && v[1] >= 0 && (size_t)v[1] == (words - HEAD) / ATTEMPT,
                   EXA_ERR_FORMAT,
                   "chunk %llu has details that this version does not know. Hint: use the version of "
                   "exaconn that began this run",
                   (unsigned long long)k);
    memcpy(counters, v + 2, sizeof *counters);
    *count = (size_t)v[1];
    EXA_GOTO(done, exa_alloc(*count, sizeof **attempts, "the attempts of a chunk", attempts));
    for (size_t i = 0; i < *count; i++) unpack_attempt(v + HEAD + i * ATTEMPT, &(*attempts)[i]);
done:
    free(bytes);
    return st;
}

/* ---- one chunk ----------------------------------------------------------------------------------------------- */

static exa_status put_chunk(exa_run_work *w, exa_chunkid k) {
    double began = exa_clock_now();
    exa_chunk_record record = {
        .chunk = k, .labels = exa_canvas_segmentation(w->canvas), .probability = exa_canvas_probability(w->canvas)};
    int64_t *details = NULL;
    exa_status st = EXA_OK;

    EXA_GOTO(done, pack_details(w->canvas, &details, &record.details_size));
    record.details = details;
    EXA_GOTO(done, exa_chunk_store_put(w->store, &record));
done:
    free(details);
    w->times.journal_s += exa_clock_now() - began;
    return st;
}

static exa_status flood_chunk(exa_run_work *w, exa_chunkid k) {
    EXA_TRY(exa_run_load_raw(w));
    EXA_TRY(exa_run_load_exclusion(w));
    EXA_TRY(exa_run_check_stop(w));
    EXA_TRY(exa_run_make_canvas(w));
    EXA_TRY(exa_run_flood(w));
    EXA_TRY(put_chunk(w, k));
    w->before = exa_run_counters(w);
    return EXA_OK;
}

/* The run's inputs stand for the chunk meanwhile. */
static exa_status segment_chunk(exa_run_work *w, exa_chunkid k) {
    const exa_inputs whole = w->inputs;
    exa_inputs *in = &w->inputs;
    exa_status st;

    in->box = exa_chunk_grid_box(&w->grid, k);
    for (int a = 0; a < 3; a++) {
        in->mask.box.start[a] += in->box.start[a] - whole.box.start[a];
        in->mask.box.shape[a] = in->box.shape[a];
    }
    st = exa_box_voxels(&in->box, &in->voxels);
    if (st == EXA_OK) st = flood_chunk(w, k);
    exa_canvas_destroy(&w->canvas);
    free(w->raw);
    free(w->excluded);
    w->raw = NULL;
    w->excluded = NULL;
    w->inputs = whole;
    return st == EXA_OK || st == EXA_ERR_CANCELLED ? st
                                                   : exa_error_context(st, "chunk %llu", (unsigned long long)k);
}

exa_status exa_run_segment_chunks(exa_run_work *w) {
    for (exa_chunkid k = 0; k < w->grid.chunks; k++) {
        if (exa_chunk_store_has(w->store, k)) continue;
        EXA_TRY(exa_run_check_stop(w));
        EXA_TRY(segment_chunk(w, k));
        EXA_DEBUG("chunk %llu of %llu done", (unsigned long long)k, (unsigned long long)w->grid.chunks);
    }
    EXA_CHECK(exa_chunk_store_count(w->store) == w->grid.chunks, EXA_ERR_INTERNAL, "%llu of %llu chunks are there",
              (unsigned long long)exa_chunk_store_count(w->store), (unsigned long long)w->grid.chunks);
    return EXA_OK;
}
