/* Looks at all that a run left: chunks first, each against itself, then the segmentation against the chunks. */
#include "exaconn/verification.h"

#include "run_internal.h"

#include "exaconn/generation.h"
#include "exaconn/hash.h"
#include "exaconn/json.h"
#include "exaconn/log.h"
#include "exaconn/union_find.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct verifying {
    exa_verification *v;
    const char *folder;
    exa_job job;
    exa_run_work w;     /* of it: job, inputs, grid, store */
    int32_t *labels;    /* owned; of a chunk */
    exa_segid *voxels;  /* owned; of a chunk's own part of the segmentation */
    int32_t *objects;   /* owned; of each chunk, those in its labels; -1: not known */
    exa_volume *volume; /* owned; the segmentation */
    exa_segid *name_of; /* owned; of the labels of a chunk in the segmentation, 0 = not met yet */
    size_t name_capacity;
    char chunks_in[EXA_PATH_BYTES]; /* the run that has them */
    exa_mapping mapping;            /* owned; what was joined, if mapped */
    bool mapped;
} verifying;

static void __attribute__((format(printf, 2, 3))) complain(verifying *y, const char *format, ...) {
    exa_verification *v = y->v;
    va_list arguments;

    if (v->problems < EXA_VERIFICATION_PROBLEMS) {
        va_start(arguments, format);
        vsnprintf(v->problem[v->problems], sizeof v->problem[0], format, arguments);
        va_end(arguments);
    }
    v->problems++;
}

/* ---- chunks -------------------------------------------------------------------------------------------------- */

/* Labels are 0 .. objects, as the details count them. */
static exa_status check_labels(verifying *y, exa_chunkid k) {
    const exa_box box = exa_chunk_grid_box(&y->w.grid, k);
    const int64_t n = box.shape[0] * box.shape[1] * box.shape[2];
    const int64_t most = (int64_t)1 << (y->w.grid.local_bits < 31 ? y->w.grid.local_bits : 31);
    exa_run_details d = {0};
    int32_t least = 0, largest = 0;

    EXA_TRY(exa_chunk_store_labels(y->w.store, k, y->labels));
    EXA_TRY(exa_run_read_details(&y->w, k, &d));
    free(d.attempts);
    for (int64_t i = 0; i < n; i++) {
        largest = y->labels[i] > largest ? y->labels[i] : largest;
        least = y->labels[i] < least ? y->labels[i] : least;
    }
    y->objects[k] = largest;
    if (least >= 0 && largest <= d.counters.objects && d.counters.objects < most) return EXA_OK;
    y->v->wrong_chunks++;
    complain(y, "chunk %llu: labels from %d to %d, but %lld objects (at most %lld are possible)",
             (unsigned long long)k, least, largest, (long long)d.counters.objects, (long long)(most - 1));
    return EXA_OK;
}

static bool is_damage(exa_status st) {
    return st == EXA_ERR_CORRUPT || st == EXA_ERR_FORMAT || st == EXA_ERR_IO || st == EXA_ERR_CHECKPOINT;
}

static exa_status check_chunk(verifying *y, exa_chunkid k) {
    exa_status st;

    y->objects[k] = -1;
    if (!exa_chunk_store_has(y->w.store, k)) return EXA_OK;
    st = check_labels(y, k);
    if (st == EXA_OK && y->job.segmentation.probability_map)
        st = exa_chunk_store_probability(y->w.store, k, (uint8_t *)y->labels);
    if (st == EXA_ERR_RANGE)
        st = EXA_FAIL(EXA_ERR_FORMAT, "chunk %llu has no probabilities", (unsigned long long)k);
    if (st == EXA_OK) y->v->present++;
    if (!is_damage(st)) return st;
    complain(y, "chunk %llu: %.300s", (unsigned long long)k, exa_error_last()->message);
    return EXA_OK;
}

static exa_status open_store(verifying *y) {
    char journals[EXA_PATH_BYTES], checkpoints[EXA_PATH_BYTES], path[EXA_PATH_BYTES], *identity = NULL;
    char run[EXA_SHA256_HEX_BYTES];
    size_t size;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(journals, y->chunks_in, EXA_RUN_JOURNALS));
    EXA_TRY(exa_path_join(checkpoints, y->chunks_in, EXA_RUN_CHECKPOINTS));
    EXA_TRY(exa_path_join(path, journals, EXA_RUN_IDENTITY));
    if (!exa_file_exists(path)) return EXA_OK; /* it has not begun */
    EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, &identity, &size));
    EXA_GOTO(done, exa_sha256(identity, size, run));
    st = exa_chunk_store_open(journals, checkpoints, run, &y->w.grid, true, &y->w.store);
done:
    free(identity);
    return st;
}

/* Also what newer generations have replaced: it is what is left when they are damaged. */
static exa_status read_generation(verifying *y, const char *folder, uint64_t number) {
    char name[32], path[EXA_PATH_BYTES];
    exa_generation *g = NULL;
    uint64_t damaged = 0;
    exa_status st;

    exa_generation_name(number, name);
    EXA_TRY(exa_path_join(path, folder, name));
    st = exa_generation_open(path, NULL, &g);
    if (is_damage(st)) return EXA_OK; /* the store has counted it */
    if (st == EXA_OK) st = exa_generation_read_all(g, &damaged);
    exa_generation_close(&g);
    if (damaged) complain(y, "%s: %llu chunks are damaged", name, (unsigned long long)damaged);
    return st;
}

static exa_status read_generations(verifying *y) {
    char folder[EXA_PATH_BYTES];
    uint64_t *numbers = NULL;
    size_t count;
    exa_status st;

    EXA_TRY(exa_path_join(folder, y->chunks_in, EXA_RUN_CHECKPOINTS));
    st = exa_generation_list(folder, &numbers, &count);
    for (size_t i = 0; st == EXA_OK && i < count; i++) st = read_generation(y, folder, numbers[i]);
    free(numbers);
    return st;
}

static exa_status check_chunks(verifying *y) {
    const exa_chunk_store_report *r;
    exa_verification *v = y->v;

    EXA_TRY(open_store(y));
    if (!y->w.store) return EXA_OK;
    for (exa_chunkid k = 0; k < y->w.grid.chunks; k++) EXA_TRY(check_chunk(y, k));
    r = exa_chunk_store_get_report(y->w.store);
    v->journals = r->journals;
    v->records = r->records;
    v->generations = r->generations;
    v->damaged_places = r->damaged;
    v->damaged_generations = r->damaged_generations;
    if (r->damaged)
        complain(y, "%llu places in journals and checkpoints are damaged", (unsigned long long)r->damaged);
    if (r->damaged_generations)
        complain(y, "%llu checkpoints cannot be used", (unsigned long long)r->damaged_generations);
    return read_generations(y);
}

/* ---- what was joined ----------------------------------------------------------------------------------------- */

static exa_status join(exa_union_find *sets, const exa_candidate_list *candidates, exa_mapping *mapping) {
    for (size_t i = 0; i < candidates->count; i++)
        if (candidates->list[i].joined)
            EXA_TRY(exa_union_find_join(sets, candidates->list[i].a, candidates->list[i].b));
    return exa_union_find_mapping(sets, mapping);
}

/* The table of candidates of a complete run says what every supervoxel must be called. */
static exa_status read_mapping(verifying *y) {
    const exa_segid first[2] = {0, y->w.grid.chunks << y->w.grid.local_bits};
    exa_candidate_list candidates = {0};
    exa_union_find *sets = NULL;
    exa_status st;

    EXA_GOTO(done, exa_run_read_candidates(y->folder, &y->w.grid, first, &candidates));
    EXA_GOTO(done, exa_union_find_create(0, &sets));
    EXA_GOTO(done, join(sets, &candidates, &y->mapping));
    y->mapped = true;
done:
    exa_union_find_destroy(&sets);
    free(candidates.list);
    if (!is_damage(st)) return st;
    complain(y, "%.300s", exa_error_last()->message);
    return EXA_OK;
}

/* ---- the segmentation ---------------------------------------------------------------------------------------- */

/* An id is the smallest supervoxel of its set: one of this or an earlier chunk, which has that many. */
static bool is_possible(const verifying *y, exa_segid own, exa_segid id) {
    exa_chunkid chunk = exa_supervoxel_chunk(&y->w.grid, id);
    uint64_t local = exa_supervoxel_local(&y->w.grid, id);

    return id <= own && local > 0 && chunk < y->w.grid.chunks &&
           (y->objects[chunk] < 0 || local <= (uint64_t)y->objects[chunk]);
}

/* A label has one name, which is possible; background is background. */
static bool compare_voxel(verifying *y, exa_chunkid k, int32_t label, exa_segid id) {
    exa_segid own;

    if (label <= 0 || id == 0) return label == 0 && id == 0;
    if (y->name_of[label] == 0) {
        if (exa_supervoxel_make(&y->w.grid, k, (uint64_t)label, &own) != EXA_OK || !is_possible(y, own, id) ||
            (y->mapped && id != exa_mapping_root(&y->mapping, own)))
            return false;
        y->name_of[label] = id;
    }
    return y->name_of[label] == id;
}

static exa_status prepare_names(verifying *y, exa_chunkid k) {
    const size_t n = (size_t)y->objects[k] + 1;

    EXA_TRY(exa_grow(&y->name_of, &y->name_capacity, sizeof *y->name_of, n, "names of segments"));
    memset(y->name_of, 0, n * sizeof *y->name_of);
    return EXA_OK;
}

static exa_status compare_chunk(verifying *y, exa_chunkid k) {
    const exa_box box = exa_chunk_grid_box(&y->w.grid, k), core = exa_chunk_grid_core(&y->w.grid, k);
    exa_box part = core;
    const exa_segid *to = y->voxels;
    uint64_t wrong = 0;

    for (int a = 0; a < 3; a++) part.start[a] -= y->w.inputs.box.start[a];
    EXA_TRY(exa_volume_read(y->volume, &part, EXA_U64, y->voxels));
    y->v->segmentation_voxels += (uint64_t)(core.shape[0] * core.shape[1] * core.shape[2]);
    if (y->objects[k] < 0 || !exa_chunk_store_has(y->w.store, k)) return EXA_OK; /* said already */
    EXA_TRY(prepare_names(y, k));
    EXA_TRY(exa_chunk_store_labels(y->w.store, k, y->labels));
    for (exa_coord row = 0; row < core.shape[0] * core.shape[1]; row++, to += core.shape[2]) {
        const int32_t *from = y->labels + exa_box_index(&box, core.start[0] + row / core.shape[1],
                                                        core.start[1] + row % core.shape[1], core.start[2]);
        for (exa_coord x = 0; x < core.shape[2]; x++) wrong += !compare_voxel(y, k, from[x], to[x]);
    }
    y->v->wrong_voxels += wrong;
    if (wrong)
        complain(y, "the segmentation is not that of chunk %llu in %llu of its voxels", (unsigned long long)k,
                 (unsigned long long)wrong);
    return EXA_OK;
}

/* In a run without chunks there is nothing to compare with: all must be readable. */
static exa_status read_slabs(verifying *y) {
    const exa_box *box = &y->w.inputs.box;

    for (exa_coord z = 0; z < box->shape[0]; z++) {
        const exa_box slab = {{z, 0, 0}, {1, box->shape[1], box->shape[2]}};
        EXA_TRY(exa_volume_read(y->volume, &slab, EXA_U64, y->voxels));
        y->v->segmentation_voxels += (uint64_t)(box->shape[1] * box->shape[2]);
    }
    return EXA_OK;
}

static exa_status compare(verifying *y, const char *path) {
    char name[EXA_PATH_BYTES + 32];
    exa_volume_info info;

    snprintf(name, sizeof name, "%s:/segmentation", path);
    EXA_TRY(exa_volume_open(name, &y->volume));
    EXA_TRY(exa_volume_get_info(y->volume, &info));
    EXA_CHECK(memcmp(info.shape, y->w.inputs.box.shape, sizeof info.shape) == 0, EXA_ERR_FORMAT,
              "'%s' has another shape than the job's box", path);
    if (!y->w.store) return read_slabs(y);
    for (exa_chunkid k = 0; k < y->w.grid.chunks; k++) EXA_TRY(compare_chunk(y, k));
    return EXA_OK;
}

static exa_status check_segmentation(verifying *y) {
    char path[EXA_PATH_BYTES];
    exa_status st;

    EXA_TRY(exa_path_join(path, y->folder, "segmentation.h5"));
    y->v->segmentation = exa_file_exists(path);
    if (!y->v->segmentation) {
        if (y->v->complete) complain(y, "the run is complete, but '%s' is not there", path);
        return EXA_OK;
    }
    st = compare(y, path);
    if (!is_damage(st)) return st;
    complain(y, "segmentation: %.300s", exa_error_last()->message);
    return EXA_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_status make_room(verifying *y) {
    const exa_coord *n = y->w.inputs.box.shape;
    int64_t chunk;

    EXA_TRY(exa_chunk_grid_voxels_max(&y->w.grid, &chunk));
    if (!y->v->by_chunks) return exa_alloc((size_t)(n[1] * n[2]), sizeof *y->voxels, "a slab", &y->voxels);
    EXA_TRY(exa_alloc((size_t)chunk, sizeof *y->labels, "the labels of a chunk", &y->labels));
    EXA_TRY(exa_alloc((size_t)chunk, sizeof *y->voxels, "the voxels of a chunk", &y->voxels));
    return exa_alloc((size_t)y->w.grid.chunks, sizeof *y->objects, "the table of chunks", &y->objects);
}

/* `exaconn stitch` leaves the chunks where they are. */
static exa_status find_chunks(verifying *y) {
    char path[EXA_PATH_BYTES], *text = NULL;
    cJSON *summary = NULL;
    const char *from;
    size_t size;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(y->chunks_in, y->folder, ""));
    if (!y->v->complete) return EXA_OK;
    EXA_TRY(exa_path_join(path, y->folder, "summary.json"));
    EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, &text, &size));
    EXA_GOTO(done, exa_json_parse(text, size, path, EXA_ERR_FORMAT, &summary));
    from = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(summary, "stitched_from"));
    if (from) st = exa_path_join(y->chunks_in, from, "");
done:
    free(text);
    cJSON_Delete(summary);
    return st;
}

static exa_status look(verifying *y) {
    char path[EXA_PATH_BYTES];
    exa_verification *v = y->v;

    EXA_CHECK(
        exa_run_directory_recognise(y->folder, &v->running), EXA_ERR_IO,
        "'%s' is not a run directory (it has no job.json). Hint: name the folder that the job calls \"output\"",
        y->folder);
    EXA_TRY(exa_path_join(path, y->folder, "summary.json"));
    v->complete = exa_file_exists(path);
    EXA_TRY(exa_path_join(path, y->folder, "job.json"));
    EXA_TRY(exa_job_read(path, &y->job));
    y->w.job = &y->job;
    EXA_TRY(exa_inputs_open(&y->job, &y->w.inputs));
    EXA_TRY(exa_plan_grid(&y->job, &y->w.inputs, &y->w.grid));
    v->by_chunks = y->job.chunks.shape.given;
    v->chunks = v->by_chunks ? y->w.grid.chunks : 0;
    EXA_TRY(make_room(y));
    EXA_TRY(find_chunks(y));
    if (v->by_chunks) EXA_TRY(check_chunks(y));
    if (v->by_chunks && v->complete) EXA_TRY(read_mapping(y));
    if (v->complete && v->present < v->chunks)
        complain(y, "the run is complete, but %llu of its chunks are not there",
                 (unsigned long long)(v->chunks - v->present));
    return check_segmentation(y);
}

static exa_status look_once(const char *folder, exa_verification *v) {
    verifying y = {.v = v, .folder = folder};
    exa_status st;

    *v = (exa_verification){0};
    st = look(&y);
    exa_volume_close(&y.volume);
    exa_chunk_store_close(&y.w.store);
    exa_inputs_close(&y.w.inputs);
    exa_job_destroy(&y.job);
    free(y.labels);
    free(y.voxels);
    free(y.objects);
    free(y.name_of);
    exa_mapping_destroy(&y.mapping);
    return st;
}

/* While a run goes on, journals become checkpoints under our eyes: what is wrong then must be wrong twice. */
exa_status exa_verify(const char *run_directory, exa_verification *result) {
    enum { TRIES = 3 };
    exa_status st = EXA_OK;

    for (int i = 0; i < TRIES; i++) {
        st = look_once(run_directory, result);
        if (!result->running || (st == EXA_OK && result->problems == 0)) break;
    }
    return st;
}

bool exa_verification_is_sound(const exa_verification *v) {
    return v->problems == 0;
}

bool exa_verification_is_whole(const exa_verification *v) {
    return v->problems == 0 && v->complete && v->segmentation && v->present == v->chunks;
}
