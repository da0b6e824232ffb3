/* What a run leaves behind: the segmentation, the attempts, the status and the summary. */
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/progress.h"
#include "exaconn/version.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

exa_segid exa_run_global_id(const exa_run_work *w, int32_t id) {
    if ((size_t)id <= w->initial_count) return w->initial_ids[id - 1];
    return w->next_global + (exa_segid)id - 1 - w->initial_count;
}

/* ---- volumes ------------------------------------------------------------------------------------------------- */

exa_status exa_run_create_output(const exa_run_work *w, const char *path, const char *dataset, exa_dtype dtype,
                                 exa_volume **volume) {
    char name[EXA_PATH_BYTES + 32];
    exa_volume_create_options o = {
        .dtype = dtype, .zstd_level = (int)w->job->segmentation.zstd_level, .shared = true};
    double offset[3];

    for (int a = 0; a < 3; a++) {
        o.shape[a] = w->inputs.box.shape[a];
        o.chunk[a] = w->job->segmentation.chunk[a] < o.shape[a] ? w->job->segmentation.chunk[a] : o.shape[a];
        o.voxel_size_nm[a] = w->inputs.voxel_size_nm[a];
        offset[a] = (double)w->inputs.box.start[a];
    }
    /* Ids of 64 bits take up to about twice what labels do; what is taken and not needed is given back. */
    if (w->store)
        o.expected_bytes =
            ((uint64_t)1 << 18) + (dtype == EXA_U64 ? 2 * exa_chunk_store_part_bytes(w->store, EXA_CHUNK_LABELS)
                                                    : exa_chunk_store_part_bytes(w->store, EXA_CHUNK_PROBABILITY));
    snprintf(name, sizeof name, "%s:%s", path, dataset);
    EXA_TRY(exa_volume_create(name, &o, volume));
    EXA_TRY(exa_volume_set_attribute_doubles(*volume, "offset_zyx_vx", offset, 3));
    EXA_TRY(exa_volume_set_attribute_text(*volume, "source_volume", w->job->volume));
    EXA_TRY(exa_volume_set_attribute_text(*volume, "weights_sha256", w->inputs.model->weights_sha256));
    return exa_volume_set_attribute_text(*volume, "made_by", exa_version_line());
}

static exa_status write_labels(const exa_run_work *w, exa_volume *volume) {
    const int32_t *label = exa_canvas_segmentation(w->canvas);
    const exa_coord *n = w->inputs.box.shape, rows = w->job->segmentation.chunk[0];
    size_t plane = (size_t)(n[1] * n[2]);
    exa_segid *slab = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(plane * (size_t)(rows < n[0] ? rows : n[0]), sizeof *slab, "an output slab", &slab));
    for (exa_coord z = 0; z < n[0]; z += rows) {
        exa_box box = {{z, 0, 0}, {z + rows < n[0] ? rows : n[0] - z, n[1], n[2]}};
        const int32_t *from = label + (size_t)z * plane;
        for (size_t i = 0; i < plane * (size_t)box.shape[0]; i++) {
            slab[i] = from[i] > 0 ? exa_run_global_id(w, from[i]) : 0;
        }
        EXA_GOTO(done, exa_volume_write(volume, &box, EXA_U64, slab));
    }
done:
    free(slab);
    return st;
}

static exa_status write_probability(const exa_run_work *w) {
    const exa_box all = {{0, 0, 0}, {w->inputs.box.shape[0], w->inputs.box.shape[1], w->inputs.box.shape[2]}};
    char path[EXA_PATH_BYTES];
    exa_volume *volume = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_run_directory_path(w->directory, "probability.h5", path));
    EXA_GOTO(done, exa_run_create_output(w, path, "/probability", EXA_U8, &volume));
    EXA_GOTO(done, exa_volume_write(volume, &all, EXA_U8, exa_canvas_probability(w->canvas)));
    EXA_GOTO(done, exa_volume_commit(volume));
done:
    exa_volume_close(&volume);
    return st;
}

exa_status exa_run_write_segmentation(exa_run_work *w) {
    double began = exa_clock_now();
    char path[EXA_PATH_BYTES];
    exa_volume *volume = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_run_directory_path(w->directory, "segmentation.h5", path));
    EXA_GOTO(done, exa_run_create_output(w, path, "/segmentation", EXA_U64, &volume));
    EXA_GOTO(done, write_labels(w, volume));
    EXA_GOTO(done, exa_volume_commit(volume));
    if (exa_canvas_probability(w->canvas)) EXA_GOTO(done, write_probability(w));
done:
    exa_volume_close(&volume);
    w->times.write_s += exa_clock_now() - began;
    return st;
}

/* ---- tables and facts ---------------------------------------------------------------------------------------- */

void exa_run_print_attempts(FILE *f, const exa_coord o[3], const exa_attempt *a, size_t count,
                            exa_segid (*name)(const void *context, int32_t id), const void *context) {
    for (size_t i = 0; i < count; i++) {
        const exa_box *v = &a[i].visited;
        fprintf(f, "%lld,%lld,%lld,%lld,%s,%llu,%lld,%lld,%lld,%lld,%lld,%lld,%lld,%lld\n",
                (long long)(o[0] + a[i].seed[0]), (long long)(o[1] + a[i].seed[1]),
                (long long)(o[2] + a[i].seed[2]), (long long)a[i].steps, exa_outcome_name(a[i].outcome),
                a[i].id > 0 ? (unsigned long long)name(context, a[i].id) : 0ull, (long long)a[i].voxels_raw,
                (long long)a[i].voxels_new, (long long)(o[0] + v->start[0]), (long long)(o[1] + v->start[1]),
                (long long)(o[2] + v->start[2]), (long long)v->shape[0], (long long)v->shape[1],
                (long long)v->shape[2]);
    }
}

static exa_segid name_in_volume(const void *context, int32_t id) {
    return exa_run_global_id(context, id);
}

exa_status exa_run_write_attempts(const exa_run_work *w) {
    size_t count, size;
    const exa_attempt *a = exa_canvas_attempts(w->canvas, &count);
    char *text = NULL;
    FILE *f = open_memstream(&text, &size);
    exa_status st;

    EXA_CHECK(f, EXA_ERR_MEMORY, "cannot allocate the table of attempts");
    fputs(EXA_RUN_ATTEMPTS_HEADER "\n", f);
    exa_run_print_attempts(f, w->inputs.box.start, a, count, name_in_volume, w);
    fclose(f);
    st = exa_run_directory_write(w->directory, "attempts.csv", text);
    free(text);
    return st;
}

static void add_triple(cJSON *to, const char *name, const exa_coord v[3]) {
    cJSON *array = cJSON_AddArrayToObject(to, name);
    for (int a = 0; a < 3; a++) cJSON_AddItemToArray(array, cJSON_CreateNumber((double)v[a]));
}

static void add_counters(cJSON *to, const exa_canvas_counters *c) {
    cJSON *o = cJSON_AddObjectToObject(to, "counters");
#define COUNT(name) cJSON_AddNumberToObject(o, #name, (double)c->name)
    COUNT(seeds), COUNT(floods), COUNT(steps), COUNT(objects), COUNT(skip_threshold), COUNT(skip_invalid_pos);
    COUNT(skip_restricted), COUNT(near_segment), COUNT(seed_got_too_weak), COUNT(weak), COUNT(too_small);
    COUNT(no_step), COUNT(voxels_segmented), COUNT(voxels_initial);
    COUNT(voxels_overlapping);
#undef COUNT
}

static void add_times(cJSON *to, const exa_run_work *w) {
    const exa_run_times *t = &w->times;
    cJSON *o = cJSON_AddObjectToObject(to, "seconds");
    cJSON_AddNumberToObject(o, "read", t->read_s);
    cJSON_AddNumberToObject(o, "exclude", t->exclude_s);
    cJSON_AddNumberToObject(o, "seeds", t->seed_s);
    cJSON_AddNumberToObject(o, "flood", t->flood_s);
    cJSON_AddNumberToObject(o, "network", t->network_s);
    cJSON_AddNumberToObject(o, "canvas", t->canvas_s);
    if (w->store) cJSON_AddNumberToObject(o, "journal", t->journal_s);
    if (w->store) cJSON_AddNumberToObject(o, "checkpoint", t->checkpoint_s);
    if (w->store) cJSON_AddNumberToObject(o, "stitch", t->stitch_s);
    cJSON_AddNumberToObject(o, "write", t->write_s);
    cJSON_AddNumberToObject(o, "total", t->total_s);
}

double exa_run_peak_bytes(void) {
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss * 1024.0; /* Linux counts in KiB */
}

/* The process's peak, and what of it is neither network nor program, per voxel. */
static void add_memory(cJSON *to, const exa_run_work *w) {
    double peak = exa_run_peak_bytes(), network = w->net ? (double)exa_ffn_net_memory_bytes(w->net) : 0;
    cJSON *o = cJSON_AddObjectToObject(to, "memory");

    cJSON_AddNumberToObject(o, "peak_bytes", peak);
    cJSON_AddNumberToObject(o, "network_bytes", network);
    cJSON_AddNumberToObject(o, "program_bytes", w->program_bytes);
    cJSON_AddNumberToObject(o, "bytes_per_voxel", (peak - network - w->program_bytes) / (double)w->inputs.voxels);
    cJSON_AddNumberToObject(o, "predicted_bytes", (double)w->plan.peak_bytes);
}

static void add_chunks(cJSON *to, const exa_run_work *w) {
    cJSON *o = cJSON_AddObjectToObject(to, "chunks");
    add_triple(o, "grid", w->grid.count);
    add_triple(o, "shape", w->grid.core);
    add_triple(o, "halo", w->grid.halo);
    cJSON_AddNumberToObject(o, "count", (double)w->grid.chunks);
    cJSON_AddNumberToObject(o, "done", (double)exa_chunk_store_count(w->store));
    cJSON_AddNumberToObject(o, "resumed", (double)w->chunks_resumed);
    if (w->inputs.mask.volume) cJSON_AddNumberToObject(o, "masked_out", (double)w->chunks_empty);
    cJSON_AddNumberToObject(o, "supervoxel_local_bits", w->grid.local_bits);
    cJSON_AddNumberToObject(o, "candidates", (double)w->candidates);
    cJSON_AddNumberToObject(o, "joined", (double)w->joined);
    cJSON_AddNumberToObject(o, "refused", (double)w->refused);
}

static exa_status write_json(const exa_run_work *w, const char *name, cJSON *root) {
    char *text = cJSON_Print(root);
    exa_status st;

    cJSON_Delete(root);
    EXA_CHECK(text, EXA_ERR_MEMORY, "cannot allocate '%s'", name);
    st = exa_run_directory_write(w->directory, name, text);
    cJSON_free(text);
    return st;
}

/* Each step done again is paid for twice; and if logits are not finite then either, they go into the canvas as
 * they do on the CPU, and nothing else tells. Of this process, in this start. */
static void warn_of_steps_done_again(const exa_run_work *w) {
    const uint64_t again = w->floods ? exa_canvas_device_redone(w->floods) : 0;
    const int64_t steps = w->store ? w->steps_of_crew : exa_run_counters(w).steps;

    if (steps <= 0 || (double)again <= 0.01 * (double)steps) return;
    EXA_WARN(
        "%llu of %lld network steps of this process (%.0f %%) had activations beyond the precision's range, or "
        "not finite, and were done again. Hint: check \"inference\": \"image_mean\" and \"image_stddev\", and "
        "whether the raw image is finite; of \"compute\": \"precision\" fp32 has the widest range",
        (unsigned long long)again, (long long)steps, 100.0 * (double)again / (double)steps);
}

exa_status exa_run_write_summary(const exa_run_work *w) {
    const exa_canvas_counters counters = exa_run_counters(w), *c = &counters;
    double total = w->times.total_s, labelled = (double)w->labelled;
    cJSON *root = cJSON_CreateObject();

    EXA_CHECK(root, EXA_ERR_MEMORY, "cannot allocate the summary");
    cJSON_AddBoolToObject(root, "complete", true);
    cJSON_AddBoolToObject(root, "limit_reached", w->limited);
    cJSON_AddStringToObject(root, "volume", w->job->volume);
    add_triple(root, "box_start", w->inputs.box.start);
    add_triple(root, "box_shape", w->inputs.box.shape);
    cJSON_AddNumberToObject(root, "voxels", (double)w->inputs.voxels);
    cJSON_AddNumberToObject(root, "voxels_excluded", (double)w->excluded_voxels);
    cJSON_AddNumberToObject(root, "fill_rate", labelled / (double)w->inputs.voxels);
    cJSON_AddNumberToObject(root, "segments", (double)w->segments);
    if (w->store) add_chunks(root, w);
    add_counters(root, c);
    add_times(root, w);
    if (exa_run_did_all(w)) {
        cJSON_AddNumberToObject(root, "steps_per_s", exa_run_steps_per_s(w));
        cJSON_AddNumberToObject(root, "voxels_per_s", total > 0 ? (double)w->inputs.voxels / total : 0.0);
        cJSON_AddNumberToObject(root, "non_network_fraction", total > 0 ? 1.0 - w->times.network_s / total : 0.0);
    }
    add_memory(root, w);
    if (w->net || w->floods) cJSON_AddStringToObject(root, "backend", exa_run_backend_description(w));
    if (w->floods) {
        cJSON_AddStringToObject(root, "gpu", w->placement.facts.name);
        cJSON_AddNumberToObject(root, "canvases", w->plan.canvases);
        cJSON_AddNumberToObject(root, "steps_done_again", (double)exa_canvas_device_redone(w->floods));
    }
    if (w->stitch_from) cJSON_AddStringToObject(root, "stitched_from", w->stitch_from);
    cJSON_AddNumberToObject(root, "ranks", exa_comm_size());
    cJSON_AddNumberToObject(root, "threads", w->threads);
    cJSON_AddStringToObject(root, "weights_sha256", w->inputs.model->weights_sha256);
    cJSON_AddStringToObject(root, "started", w->started);
    cJSON_AddStringToObject(root, "made_by", exa_version_line());
    EXA_TRY(write_json(w, "summary.json", root));
    warn_of_steps_done_again(w);
    return EXA_OK;
}

static void add_rank(cJSON *to, const exa_lease_rank *r, size_t number) {
    static const char *const states[] = {"silent", "alive", "retired", "dead"};
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "rank", (double)number);
    cJSON_AddStringToObject(o, "host", r->host);
    cJSON_AddStringToObject(o, "state", states[r->state]);
    cJSON_AddNumberToObject(o, "chunks_done", (double)r->done);
    cJSON_AddNumberToObject(o, "chunks_in_hand", r->in_hand);
    cJSON_AddNumberToObject(o, "silent_s", r->silent_s);
    cJSON_AddNumberToObject(o, "voxels_per_s", r->speed);
    cJSON_AddItemToArray(to, o);
}

/* All ranks if they are few; else those that something is wrong with. How many of each kind is always said. */
static void add_ranks(cJSON *to, const exa_run_work *w) {
    enum { FEW = 64, MOST = 1000 };
    size_t count[4] = {0}, listed = 0;
    cJSON *o = cJSON_AddObjectToObject(to, "rank_states"), *list = cJSON_AddArrayToObject(to, "ranks");

    for (size_t r = 0; r < w->rank_count; r++) {
        count[w->ranks[r].state]++;
        if (w->rank_count > FEW && (w->ranks[r].state == EXA_LEASE_RANK_ALIVE || listed == MOST)) continue;
        add_rank(list, &w->ranks[r], r);
        listed++;
    }
    cJSON_AddNumberToObject(o, "alive", (double)count[EXA_LEASE_RANK_ALIVE]);
    cJSON_AddNumberToObject(o, "silent", (double)count[EXA_LEASE_RANK_SILENT]);
    cJSON_AddNumberToObject(o, "retired", (double)count[EXA_LEASE_RANK_RETIRED]);
    cJSON_AddNumberToObject(o, "dead", (double)count[EXA_LEASE_RANK_DEAD]);
}

/* Of a run by chunks. Rates are means since segmenting began in this start, of the volume's own voxels. */
static void add_progress(cJSON *to, const exa_run_work *w) {
    double elapsed = exa_clock_now() - w->segmenting_began;
    double done = (double)(w->chunks_done - w->chunks_resumed);
    const exa_coord *n = w->grid.box.shape;

    cJSON_AddNumberToObject(to, "chunks", (double)w->grid.chunks);
    cJSON_AddNumberToObject(to, "chunks_done", (double)w->chunks_done);
    cJSON_AddNumberToObject(to, "chunks_resumed", (double)w->chunks_resumed);
    cJSON_AddNumberToObject(to, "chunks_leased", (double)w->leases.leased);
    cJSON_AddNumberToObject(to, "chunks_failed", (double)w->leases.quarantined);
    cJSON_AddNumberToObject(to, "failed_tries", (double)w->leases.failures);
    if (w->segmenting_began > 0 && done > 0) {
        cJSON_AddNumberToObject(to, "chunks_per_s", done / elapsed);
        cJSON_AddNumberToObject(to, "voxels_per_s",
                                done / elapsed * (double)n[0] * (double)n[1] * (double)n[2] /
                                    (double)w->grid.chunks);
    }
    if (w->ranks) add_ranks(to, w);
}

void exa_run_tell(exa_run_work *w) {
    double now = exa_clock_now();

    if (exa_comm_rank() != 0 || now - w->told_at < w->job->progress.interval_s) return;
    w->told_at = now;
    if (exa_run_write_status(w, "running", -1.0) != EXA_OK) EXA_WARN("%s", exa_error_last()->message);
}

exa_status exa_run_write_status(const exa_run_work *w, const char *state, double eta_s) {
    cJSON *root = cJSON_CreateObject();
    char host[256] = "unknown";
    time_t t = time(NULL);
    struct tm utc;
    char when[32];

    if (exa_comm_rank() != 0) {
        cJSON_Delete(root);
        return EXA_OK;
    }
    EXA_CHECK(root, EXA_ERR_MEMORY, "cannot allocate the status");
    gethostname(host, sizeof host - 1);
    gmtime_r(&t, &utc);
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc);
    cJSON_AddStringToObject(root, "state", state);
    if (w->stage && strcmp(state, "running") == 0) cJSON_AddStringToObject(root, "stage", w->stage);
    cJSON_AddStringToObject(root, "updated", when);
    cJSON_AddStringToObject(root, "started", w->started);
    cJSON_AddStringToObject(root, "host", host);
    cJSON_AddNumberToObject(root, "pid", (double)getpid());
    cJSON_AddNumberToObject(root, "elapsed_s", exa_clock_now() - w->began);
    if (eta_s >= 0) cJSON_AddNumberToObject(root, "eta_s", eta_s);
    if (strcmp(state, "failed") == 0 || strcmp(state, "interrupted") == 0) {
        cJSON_AddStringToObject(root, "error", exa_status_name(exa_error_last()->status));
        cJSON_AddStringToObject(root, "message", exa_error_last()->message);
    }
    if (w->store) add_progress(root, w);
    if (w->canvas) { /* of a run without chunks */
        const exa_canvas_counters counters = exa_run_counters(w);
        cJSON_AddNumberToObject(root, "voxels", (double)w->inputs.voxels);
        cJSON_AddNumberToObject(root, "seeds_done", (double)exa_canvas_seeds_done(w->canvas));
        cJSON_AddNumberToObject(root, "seeds_total", (double)exa_canvas_seed_count(w->canvas));
        add_counters(root, &counters);
    }
    return write_json(w, "status.json", root);
}
