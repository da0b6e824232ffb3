/* The order of a run: inputs, memory, directory, threads, voxels, seeds, flood, files, exports. */
#include "exaconn/run.h"
#include "run_internal.h"

#include "exaconn/batcher.h"
#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/progress.h"
#include "exaconn/version.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static volatile sig_atomic_t stop_signal;

static void on_signal(int number) {
    stop_signal = number;
}

static void catch_signals(bool on) {
    struct sigaction action = {.sa_handler = on ? on_signal : SIG_DFL};
    /* A second signal ends the process the ordinary way. */
    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* A batch system's warning that time is nearly up, before the run is ready for it or after it has ended just as
 * well. It comes more than once, from the batch system and passed on by the launcher, and is caught for good: all
 * these ask for the same thing, and by default each would kill. */
static void catch_warning(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

    stop_signal = 0;
    sigaction(SIGUSR1, &action, NULL);
}

bool exa_run_is_stopped(void) {
    return stop_signal != 0;
}

exa_status exa_run_check_stop(const exa_run_work *w) {
    if (w->task && exa_lease_cancelled(w->task)) return EXA_FAIL(EXA_ERR_CANCELLED, "not needed any more");
    if (stop_signal && w->store)
        return EXA_FAIL(EXA_ERR_CANCELLED, "stopped by signal %d (%s). Hint: the same command goes on there",
                        (int)stop_signal, strsignal((int)stop_signal));
    EXA_CHECK(!stop_signal, EXA_ERR_CANCELLED,
              "stopped by signal %d (%s); nothing was written. Hint: the same command "
              "begins again",
              (int)stop_signal, strsignal((int)stop_signal));
    return EXA_OK;
}

/* ---- preparation --------------------------------------------------------------------------------------------- */

static exa_status check_ranks(const exa_job *job) {
    EXA_CHECK(
        exa_comm_size() == 1 || job->chunks.shape.given, EXA_ERR_CONFIG,
        "%d ranks were started, but a job that is not cut into chunks is segmented by one. Hint: cut it "
        "(\"chunks\": {\"shape\": [256, 256, 256]}), or start one rank (mpirun -n 1) and let it use the cores as "
        "threads",
        exa_comm_size());
    return EXA_OK;
}

/* Seeds named by the user are voxels of the volume; the canvas counts from the box's start, and takes those inside.
 */
static exa_status points_in_box(const exa_inputs *in, exa_coord **points, size_t *count) {
    *count = 0;
    EXA_TRY(exa_alloc(3 * in->point_count, sizeof(exa_coord), "the list of seeds", points));
    for (size_t i = 0; i < in->point_count; i++) {
        const int64_t *p = in->points[i];
        const exa_box voxel = {{p[0], p[1], p[2]}, {1, 1, 1}};
        if (!exa_box_inside(&voxel, &in->box)) continue;
        for (int a = 0; a < 3; a++) (*points)[3 * *count + (size_t)a] = p[a] - in->box.start[a];
        ++*count;
    }
    return EXA_OK;
}

static exa_status make_seeds(exa_run_work *w, exa_seed_list *seeds) {
    const exa_job *job = w->job;
    exa_seed_options o = {.policy = (exa_seed_policy)job->seeds.policy,
                          .offsets = job->seeds.offsets,
                          .offset_count = (int)job->seeds.offset_count};
    exa_coord *points = NULL;
    double began = exa_clock_now();
    size_t too_near = 0;
    exa_status st = EXA_OK;

    memcpy(o.step, job->seeds.step, sizeof o.step);
    EXA_GOTO(done, points_in_box(&w->inputs, &points, &o.point_count));
    o.points = points;
    if (w->floods && o.policy == EXA_SEED_PEAKS) {
        EXA_GOTO(done, exa_canvas_device_seeds(w->floods, &w->image, w->excluded, w->inputs.model->fov, seeds));
    } else {
        EXA_GOTO(done,
                 exa_seed_make(&o, &w->image, w->excluded, w->inputs.model->fov, w->pool, NULL, seeds, &too_near));
    }
    w->times.seed_s += exa_clock_now() - began;
    if (w->store) {
        EXA_DEBUG("seeds: %zu", seeds->count);
        goto done;
    }
    if (too_near) EXA_WARN("%zu listed seeds are nearer to the border than half a FOV and are left out", too_near);
    EXA_INFO("seeds: %zu by policy %s in %.1f s", seeds->count, exa_seed_policy_name(o.policy), w->times.seed_s);
    if (seeds->count == 0)
        EXA_WARN("no seeds: the segmentation will be empty. Is the image constant, or all masked?");
done:
    free(points);
    return st;
}

exa_status exa_run_make_canvas(exa_run_work *w) {
    const exa_job *job = w->job;
    exa_canvas_options o = {.ffn = w->inputs.model->options,
                            .probability_map = job->segmentation.probability_map,
                            .max_seeds = job->limits.max_seeds,
                            .max_objects = job->limits.max_objects,
                            .max_steps = job->limits.max_steps,
                            .on_device = w->floods != NULL};
    exa_seed_list seeds;

    memcpy(o.fov, w->inputs.model->fov, sizeof o.fov);
    memcpy(o.deltas, w->inputs.model->deltas, sizeof o.deltas);
    EXA_TRY(make_seeds(w, &seeds));
    EXA_TRY(exa_canvas_create(&o, &w->image, &seeds, w->excluded, &w->canvas));
    free(w->excluded);
    w->excluded = NULL;
    return exa_run_load_initial(w);
}

/* ---- the flood ----------------------------------------------------------------------------------------------- */

static void report_progress(const exa_progress_state *state, double elapsed_s, double eta_s, void *context) {
    (void)state;
    (void)elapsed_s;
    /* A status file that cannot be written must not end a run that goes well. */
    if (exa_run_write_status(context, "running", eta_s) != EXA_OK) EXA_WARN("%s", exa_error_last()->message);
}

bool exa_run_did_all(const exa_run_work *w) {
    return exa_comm_size() == 1 && !exa_comm_any_died() && w->chunks_resumed == 0 && w->parts_resumed == 0;
}

/* While chunks are in flight together, flooding them takes less than the sum of their times. */
double exa_run_steps_per_s(const exa_run_work *w) {
    double took = w->store ? w->segmented_s : w->times.flood_s;
    return took > 0 ? (double)exa_run_counters(w).steps / took : 0;
}

exa_canvas_counters exa_run_counters(const exa_run_work *w) {
    exa_canvas_counters sum = w->before;

    if (w->canvas) exa_canvas_counters_add(&sum, exa_canvas_get_counters(w->canvas));
    return sum;
}

/* After each step of a run without chunks. */
static exa_status tick(void *context) {
    exa_run_work *w = context;
    const exa_canvas_counters c = exa_run_counters(w);
    const exa_progress_state state = {.seeds_done = (int64_t)exa_canvas_seeds_done(w->canvas),
                                      .seeds = (int64_t)exa_canvas_seed_count(w->canvas),
                                      .objects = c.objects,
                                      .steps = c.steps,
                                      .steps_expected = w->plan.steps,
                                      .voxels_filled = c.voxels_segmented + c.voxels_initial,
                                      .voxels = w->inputs.voxels};

    exa_progress_update(w->progress, &state);
    return exa_run_check_stop(w);
}

exa_status exa_run_begin_progress(exa_run_work *w) {
    return exa_progress_create(w->job->progress.interval_s, report_progress, w, &w->progress);
}

static exa_status flood(exa_run_work *w) {
    exa_flood_times times = {0};
    exa_batcher *batcher;
    exa_status st;

    EXA_TRY(exa_run_make_batcher(w, &batcher));
    st = exa_batcher_flood(batcher, w->canvas, tick, w, &times);
    exa_batcher_destroy(&batcher);
    EXA_TRY(st);
    w->times.flood_s += times.total_s;
    w->times.network_s += times.network_s;
    w->times.canvas_s += exa_canvas_seconds(w->canvas);
    w->limited = w->limited || exa_canvas_limit_reached(w->canvas);
    return EXA_OK;
}

/* ---- a whole run --------------------------------------------------------------------------------------------- */

static void print_summary(const exa_run_work *w) {
    const exa_canvas_counters counters = exa_run_counters(w), *c = &counters;
    char path[EXA_PATH_BYTES] = "", time_text[32];

    exa_run_directory_path(w->directory, "segmentation.h5", path);
    EXA_INFO("done in %s: %llu segments; %lld objects of %lld floods, %lld steps, %.1f %% of the voxels labelled",
             exa_format_duration(w->times.total_s, time_text), (unsigned long long)w->segments,
             (long long)c->objects, (long long)c->floods, (long long)c->steps,
             100.0 * (double)w->labelled / (double)w->inputs.voxels);
    if (exa_run_did_all(w))
        EXA_INFO("%.1f steps/s, %.0f kvox/s, time outside the network: %.1f %%", exa_run_steps_per_s(w),
                 (double)w->inputs.voxels / w->times.total_s / 1e3,
                 100.0 * (1.0 - w->times.network_s / w->times.total_s));
    if (w->limited) EXA_WARN("a limit of the job (\"limits\") ended the run early");
    EXA_INFO("segmentation: %s:/segmentation", path);
    EXA_INFO("look at it:   exaconn render --raw '%s' --seg '%s:/segmentation' --slice z=%lld -o slice.png",
             w->job->volume, path, (long long)(w->inputs.box.start[0] + w->inputs.box.shape[0] / 2));
    if (w->job->circuits.contacts || w->job->circuits.synapses)
        EXA_INFO("circuits:     %s/" EXA_RUN_CIRCUITS, w->job->output);
    if (w->job->precomputed.segmentation || w->job->precomputed.raw)
        EXA_INFO("              exaconn view '%s'", w->job->output);
}

static void log_memory(const char *after) {
    char text[32];
    EXA_DEBUG("peak memory after %s: %s", after, exa_format_bytes(exa_run_peak_bytes(), text));
}

/* The whole box as one canvas. */
static exa_status segment_in_one(exa_run_work *w) {
    EXA_TRY(exa_run_load_raw(w));
    exa_volume_close(&w->inputs.volume); /* and its cache */
    EXA_TRY(exa_run_load_exclusion(w));
    log_memory("reading");
    EXA_TRY(exa_run_check_stop(w));
    EXA_TRY(exa_run_make_canvas(w));
    log_memory("making seeds and canvas");
    EXA_TRY(exa_run_check_stop(w));
    EXA_TRY(exa_run_begin_progress(w));
    EXA_TRY(flood(w));
    exa_progress_destroy(&w->progress);
    log_memory("flooding");
    w->labelled =
        exa_canvas_get_counters(w->canvas)->voxels_segmented + exa_canvas_get_counters(w->canvas)->voxels_initial;
    EXA_TRY(exa_run_write_segmentation(w));
    EXA_TRY(exa_run_write_box_segments(w));
    log_memory("writing");
    return exa_run_write_attempts(w);
}

/* All ranks segment, and together make one segmentation of it. */
static exa_status segment_by_chunks(exa_run_work *w) {
    EXA_TRY(exa_run_open_chunks(w));
    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? exa_run_begin_progress(w) : EXA_OK));
    EXA_TRY(exa_comm_agree(exa_run_write_status(w, "running", -1.0))); /* with the chunks there are */
    EXA_TRY(exa_run_segment_chunks(w));
    exa_progress_destroy(&w->progress);
    log_memory("segmenting");
    return exa_run_stitch(w);
}

/* The chunks of another run, stitched anew from its candidates. */
static exa_status stitch_again(exa_run_work *w) {
    EXA_TRY(exa_run_open_finished_chunks(w));
    return exa_run_stitch(w);
}

static exa_status segment(exa_run_work *w) {
    EXA_TRY(exa_comm_agree(exa_run_start_backend(w)));
    log_memory("making the network");
    return w->job->chunks.shape.given ? segment_by_chunks(w) : segment_in_one(w);
}

static exa_status work(exa_run_work *w) {
    EXA_TRY(exa_comm_agree(exa_run_write_status(w, "running", -1.0)));
    EXA_TRY(w->stitch_from ? stitch_again(w) : segment(w));
    EXA_TRY(exa_run_circuits(w));
    EXA_TRY(exa_run_export(w));
    if (exa_comm_rank() != 0) return EXA_OK;
    w->times.total_s = exa_clock_now() - w->began;
    EXA_TRY(exa_run_write_summary(w));
    /* The summary is there, so the run is whole, whatever becomes of its status. */
    if (exa_run_write_status(w, "complete", -1.0) != EXA_OK) EXA_WARN("%s", exa_error_last()->message);
    print_summary(w);
    return EXA_OK;
}

static exa_status open_log(const exa_run_work *w) {
    char path[EXA_PATH_BYTES];

    if (exa_comm_rank() != 0) return EXA_OK;
    EXA_TRY(exa_run_directory_path(w->directory, "run.log", path));
    return exa_log_open_file(path);
}

/* Opens log and work in the locked directory; whatever happens is in the log and in status.json. */
static exa_status run_in_directory(exa_run_work *w, exa_run_state state) {
    exa_status st;

    if (state == EXA_RUN_COMPLETE) {
        EXA_INFO("'%s' is complete already: nothing to do. Hint: name another \"output\" to run again",
                 w->job->output);
        return EXA_OK;
    }
    EXA_TRY(exa_comm_agree(open_log(w)));
    EXA_INFO("%s", exa_version_line());
    EXA_INFO("run directory: %s", w->job->output);
    if (exa_comm_size() > 1)
        EXA_INFO("ranks: %d, %d of them on this machine", exa_comm_size(), exa_comm_local_size());
    if (state == EXA_RUN_INTERRUPTED && !w->job->chunks.shape.given)
        EXA_INFO("an earlier run here did not finish; beginning again");
    catch_signals(true);
    st = work(w);
    if (exa_comm_rank() == 0)
        catch_signals(false); /* the others wait for it: a signal to all is for rank 0 to answer */
    if (st != EXA_OK) {
        const exa_error error = *exa_error_last();
        exa_log_write(EXA_LOG_DEBUG, "failed: %s", error.message);
        exa_run_write_status(w, st == EXA_ERR_CANCELLED || st == EXA_ERR_RANK_LOST ? "interrupted" : "failed",
                             -1.0);
        exa_error_restore(&error);
    }
    exa_log_close_file();
    return st;
}

static void release(exa_run_work *w) {
    exa_progress_destroy(&w->progress);
    exa_chunk_store_close(&w->store);
    exa_canvas_destroy(&w->canvas);
    exa_canvas_device_destroy(&w->floods);
    exa_ffn_net_destroy(&w->net);
    exa_pool_destroy(&w->pool);
    free(w->raw);
    free(w->excluded);
    free(w->initial_ids);
    free(w->last_ranks);
    free(w->included);
    exa_inputs_close(&w->inputs);
    exa_run_directory_close(&w->directory);
}

/* glibc learns to keep freed blocks of up to 32 MiB on its heap; a run frees whole volumes and wants them gone. */
static void return_freed_memory(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 1 << 20);
#endif
}

/* Everything that can be wrong before a folder is touched. */
static exa_status prepare(exa_run_work *w) {
    EXA_TRY(check_ranks(w->job));
    EXA_TRY(exa_plan_threads(w->job, &w->threads));
    EXA_TRY(exa_inputs_open(w->job, &w->inputs));
    EXA_TRY(exa_run_check_export(w));
    EXA_TRY(exa_run_check_circuits(w->job, &w->inputs));
    return exa_plan_grid(w->job, &w->inputs, &w->grid);
}

static exa_status plan(exa_run_work *w) {
    EXA_TRY(exa_plan_chunk(w->job, &w->inputs, &w->grid, w->threads, w->on_device ? &w->device : NULL, &w->plan));
    w->plan.steps *= (double)w->grid.chunks;
    EXA_CHECK(
        !w->job->chunks.shape.given || w->grid.chunks <= EXA_CHUNK_STORE_MOST, EXA_ERR_RANGE,
        "%llu chunks are more than one run takes so far (%llu). Hint: use larger chunks, or a part of the volume "
        "with \"box\"",
        (unsigned long long)w->grid.chunks, (unsigned long long)EXA_CHUNK_STORE_MOST);
    if (!(w->job->compute.memory_limit_gib > 0)) w->plan.available_bytes /= (uint64_t)exa_comm_local_size();
    return exa_plan_check_memory(&w->plan);
}

/* Rank 0 opens it for all. */
static exa_status open_directory(exa_run_work *w, exa_run_state *state) {
    const bool first = exa_comm_rank() == 0;

    EXA_TRY(exa_comm_agree(first ? exa_run_directory_open(w->job, &w->directory, state) : EXA_OK));
    EXA_TRY(exa_comm_broadcast(state, sizeof *state));
    return exa_comm_agree(first ? EXA_OK : exa_run_directory_join(w->job, &w->directory));
}

static exa_status run(const exa_job *job, const char *stitch_from) {
    exa_run_work w = {
        .job = job, .stitch_from = stitch_from, .began = exa_clock_now(), .program_bytes = exa_run_peak_bytes()};
    exa_run_state state = EXA_RUN_NEW;
    time_t t = time(NULL);
    struct tm utc;
    exa_status st = EXA_OK;

    return_freed_memory();
    catch_warning();
    gmtime_r(&t, &utc);
    strftime(w.started, sizeof w.started, "%Y-%m-%dT%H:%M:%SZ", &utc);
    if (exa_comm_rank() != 0) exa_log_set_level(EXA_LOG_ERROR); /* what all ranks see, rank 0 says */
    EXA_GOTO(done, exa_comm_agree(prepare(&w)));
    EXA_GOTO(done, exa_run_choose_backend(&w));
    EXA_GOTO(done, exa_comm_agree(plan(&w)));
    EXA_GOTO(done, open_directory(&w, &state));
    EXA_GOTO(done, run_in_directory(&w, state));
done:
    release(&w);
    return st;
}

exa_status exa_run(const exa_job *job) {
    return run(job, NULL);
}

exa_status exa_run_stitch_again(const char *folder, const exa_job *job) {
    char journals[EXA_PATH_BYTES], path[EXA_PATH_BYTES];

    EXA_CHECK(job->chunks.shape.given, EXA_ERR_CONFIG,
              "'%s' is not a run by chunks: there is nothing to stitch. Hint: see \"chunks\" in docs/job.md",
              folder);
    EXA_TRY(exa_path_join(journals, folder, EXA_RUN_JOURNALS));
    EXA_TRY(exa_path_join(path, journals, EXA_RUN_IDENTITY));
    EXA_CHECK(
        exa_file_exists(path), EXA_ERR_CONFIG,
        "'%s' has no chunks of its own. Hint: if `exaconn stitch` made it, name the run that it was made from "
        "(\"stitched_from\" in its summary.json)",
        folder);
    EXA_TRY(exa_path_join(path, folder, "summary.json"));
    EXA_CHECK(exa_file_exists(path), EXA_ERR_CHECKPOINT,
              "the run in '%s' is not complete. Hint: run its job to its end first", folder);
    return run(job, folder);
}
