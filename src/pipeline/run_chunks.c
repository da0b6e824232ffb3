/* All chunks along the curve: what an earlier start put into the journals is not done again, the rest is shared out
 * in rounds with checkpoints between them. run_crew.c does a chunk. */
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/consolidation.h"
#include "exaconn/hash.h"
#include "exaconn/little_endian.h"
#include "exaconn/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- what identifies the run --------------------------------------------------------------------------------- */

/* All ranks compute alike, or not at all. Collective. */
static exa_status check_arithmetic(const exa_run_work *w) {
    char mine[128], first[128];

    exa_run_describe_arithmetic(w, mine);
    memcpy(first, mine, sizeof first);
    EXA_TRY(exa_comm_broadcast(first, sizeof first));
    if (strcmp(mine, first) == 0) return exa_comm_agree(EXA_OK);
    return exa_comm_agree(
        EXA_FAIL(EXA_ERR_UNSUPPORTED,
                 "rank %d would compute with '%s', rank 0 with '%s': the last bits could differ. Hint: "
                 "set compute.isa to what all machines have, such as \"avx2\"",
                 exa_comm_rank(), mine, first));
}

static exa_status hash_points(const exa_inputs *in, char sha256[EXA_SHA256_HEX_BYTES]) {
    return exa_sha256(in->points ? (const void *)in->points : "", in->point_count * sizeof *in->points, sha256);
}

/* All that decides what the chunks hold, line by line: the job's keys, the network, the volume's shape and type,
 * the seeds of a list, the arithmetic. The content of raw and mask is not looked at. */
static exa_status describe_run(const exa_run_work *w, char **text) {
    const exa_inputs *in = &w->inputs;
    char points[EXA_SHA256_HEX_BYTES], arithmetic[128], *job = NULL;
    exa_status st = EXA_OK;

    exa_run_describe_arithmetic(w, arithmetic);
    EXA_TRY(hash_points(in, points));
    EXA_TRY(exa_job_describe(w->job, &job));
    EXA_CHECK_GOTO(
        done,
        asprintf(text, "exaconn chunks 1\n%sweights: %s\nvolume: %lld %lld %lld %s\nseeds: %s\narithmetic: %s\n",
                 job, in->model->weights_sha256, (long long)in->info.shape[0], (long long)in->info.shape[1],
                 (long long)in->info.shape[2], exa_dtype_name(in->dtype), points, arithmetic) > 0,
        EXA_ERR_MEMORY, "cannot allocate the description of the run");
done:
    free(job);
    return st;
}

/* The first line in which two descriptions differ. */
static exa_status refuse(const exa_run_work *w, const char *there, const char *here) {
    size_t line = 0;

    for (size_t i = 0; there[i] && there[i] == here[i]; i++)
        if (there[i] == '\n') line = i + 1;
    return EXA_FAIL(
        EXA_ERR_CONFIG,
        "'%s' holds finished chunks of another job:\n  %.*s there\n  %.*s here\nHint: give this job another "
        "\"output\", or remove that folder",
        w->job->output, (int)strcspn(there + line, "\n"), there + line, (int)strcspn(here + line, "\n"),
        here + line);
}

/* On rank 0. A folder without a finished chunk belongs to whatever job comes next. */
static exa_status claim_journals(exa_run_work *w, const char *text) {
    char folder[EXA_PATH_BYTES], checkpoints[EXA_PATH_BYTES], path[EXA_PATH_BYTES], *there = NULL;
    size_t size;
    bool empty;
    exa_status st = EXA_OK;

    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_JOURNALS, folder));
    EXA_TRY(exa_file_make_directories(folder));
    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_CHECKPOINTS, checkpoints));
    EXA_TRY(exa_path_join(path, folder, EXA_RUN_IDENTITY));
    exa_consolidation_clean(checkpoints);
    if (exa_file_exists(path)) {
        EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, &there, &size));
        if (strcmp(there, text) == 0) goto done;
        EXA_GOTO(done, exa_chunk_store_clear(folder, checkpoints, &empty));
        if (!empty) EXA_GOTO(done, refuse(w, there, text));
    }
    st = exa_file_write_atomic(path, text, strlen(text));
done:
    free(there);
    return st;
}

static exa_status identify_run(exa_run_work *w) {
    char *text = NULL;
    exa_status st = describe_run(w, &text);

    if (st == EXA_OK) st = exa_sha256(text, strlen(text), w->run_sha256);
    if (st == EXA_OK && exa_comm_rank() == 0) st = claim_journals(w, text);
    free(text);
    return st;
}

static exa_status open_store(exa_run_work *w, bool replay) {
    char folder[EXA_PATH_BYTES], checkpoints[EXA_PATH_BYTES];

    exa_chunk_store_close(&w->store);
    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_JOURNALS, folder));
    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_CHECKPOINTS, checkpoints));
    return exa_chunk_store_open(folder, checkpoints, w->run_sha256, &w->grid, replay, &w->store);
}

static void say_chunks(const exa_run_work *w) {
    const exa_chunk_grid *g = &w->grid;

    EXA_INFO("chunks: %lld x %lld x %lld of %lld x %lld x %lld voxels and a halo of %lld, %lld, %lld",
             (long long)g->count[0], (long long)g->count[1], (long long)g->count[2], (long long)g->core[0],
             (long long)g->core[1], (long long)g->core[2], (long long)g->halo[0], (long long)g->halo[1],
             (long long)g->halo[2]);
    if (w->chunks_resumed)
        EXA_INFO("resumed: %llu of %llu chunks are in the journals and checkpoints",
                 (unsigned long long)w->chunks_resumed, (unsigned long long)g->chunks);
}

/* With a halo of half the FOV every listed seed can be used but those at the volume's border. */
static void warn_of_points(const exa_run_work *w) {
    const exa_inputs *in = &w->inputs;
    size_t lost = 0;

    for (size_t i = 0; i < in->point_count; i++) {
        int64_t at[3];
        exa_box inner;
        for (int a = 0; a < 3; a++) at[a] = (in->points[i][a] - w->grid.box.start[a]) / w->grid.core[a];
        inner = exa_chunk_grid_box(&w->grid, exa_chunk_grid_at(&w->grid, at));
        for (int a = 0; a < 3; a++) {
            inner.start[a] += in->model->fov[a] / 2;
            inner.shape[a] -= in->model->fov[a] - 1;
        }
        const exa_box voxel = {{in->points[i][0], in->points[i][1], in->points[i][2]}, {1, 1, 1}};
        lost += !exa_box_inside(&voxel, &inner);
    }
    if (lost)
        EXA_WARN("%zu listed seeds are nearer to the border of their chunk and its halo than half a FOV and are "
                 "left out",
                 lost);
}

exa_status exa_run_reopen_store(exa_run_work *w) {
    return exa_comm_agree(open_store(w, exa_comm_rank() == 0));
}

exa_status exa_run_begin_journals(exa_run_work *w) {
    enum { JOURNAL_ZSTD_LEVEL = 1 }; /* several GB/s on labels; a journal does not live long */
    uint32_t epoch = exa_chunk_store_next_epoch(w->store);

    EXA_TRY(exa_comm_broadcast(&epoch, sizeof epoch));
    return exa_comm_agree(exa_chunk_store_begin(w->store, epoch, (uint32_t)exa_comm_rank(), JOURNAL_ZSTD_LEVEL));
}

/* Rank 0 replays the journals, all check what is in generations; then every rank begins its own journal. */
exa_status exa_run_open_chunks(exa_run_work *w) {
    EXA_TRY(check_arithmetic(w));
    EXA_TRY(exa_comm_agree(identify_run(w)));
    EXA_TRY(exa_run_reopen_store(w));
    EXA_TRY(exa_chunk_store_check(w->store));
    if (exa_comm_rank() == 0) {
        w->chunks_resumed = w->chunks_done = exa_chunk_store_count(w->store);
        say_chunks(w);
        warn_of_points(w);
    }
    EXA_TRY(exa_run_begin_journals(w));
    return exa_run_weigh_chunks(w);
}

/* The SHA-256 of what the other run's chunks were made for; on rank 0, which knows whether all are there. */
static exa_status open_finished(exa_run_work *w) {
    char journals[EXA_PATH_BYTES], checkpoints[EXA_PATH_BYTES], path[EXA_PATH_BYTES], *text = NULL;
    const bool first = exa_comm_rank() == 0;
    size_t size;

    EXA_TRY(exa_path_join(journals, w->stitch_from, EXA_RUN_JOURNALS));
    EXA_TRY(exa_path_join(checkpoints, w->stitch_from, EXA_RUN_CHECKPOINTS));
    EXA_TRY(exa_path_join(path, journals, EXA_RUN_IDENTITY));
    EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, &text, &size));
    EXA_TRY(exa_sha256(text, size, w->run_sha256));
    free(text);
    EXA_TRY(exa_chunk_store_open(journals, checkpoints, w->run_sha256, &w->grid, first, &w->store));
    if (!first) return EXA_OK;
    w->chunks_done = w->chunks_resumed = exa_chunk_store_count(w->store);
    EXA_CHECK(w->chunks_done == w->grid.chunks, EXA_ERR_CHECKPOINT,
              "'%s' has only %llu of %llu chunks. Hint: `exaconn run` with its job does the missing ones",
              w->stitch_from, (unsigned long long)w->chunks_done, (unsigned long long)w->grid.chunks);
    return EXA_OK;
}

exa_status exa_run_open_finished_chunks(exa_run_work *w) {
    EXA_TRY(exa_comm_agree(open_finished(w)));
    return exa_chunk_store_share(w->store);
}

/* ---- all chunks ---------------------------------------------------------------------------------------------- */

static exa_status lease_tick(const exa_lease *lease, const exa_policy_counters *counters, void *context) {
    exa_run_work *w = context;

    if (counters) {
        w->chunks_done = w->chunks_before + counters->done;
        w->leases = *counters;
        w->ranks = exa_lease_ranks(lease, &w->rank_count);
    }
    if (atomic_load(&w->fatal_set)) return exa_error_restore(&w->fatal);
    if (exa_run_is_stopped()) return EXA_FAIL(EXA_ERR_CANCELLED, "stopped by a signal");
    if (counters) {
        exa_progress_state state = {.chunks_done = (int64_t)w->chunks_done,
                                    .chunks_resumed = (int64_t)w->chunks_resumed,
                                    .chunks = (int64_t)w->grid.chunks,
                                    .steps_expected = w->plan.steps,
                                    .voxels = w->inputs.voxels};
        exa_run_add_progress(w->crew, &state);
        exa_progress_update(w->progress, &state);
    }
    return EXA_OK;
}

static bool is_given_up(const exa_lease_result *r, exa_chunkid k) {
    for (size_t i = 0; i < r->failure_count; i++)
        if (r->failures[i].id == k) return true;
    return false;
}

/* What the store does not have and earlier rounds have not given up, on rank 0. */
static exa_status list_missing(exa_run_work *w, const exa_lease_result *before, exa_policy_item **items,
                               size_t *count) {
    *count = 0;
    if (exa_comm_rank() != 0) return EXA_OK;
    w->chunks_before = exa_chunk_store_count(w->store);
    EXA_TRY(exa_alloc((size_t)(w->grid.chunks - w->chunks_before), sizeof **items, "the list of chunks", items));
    for (exa_chunkid k = 0; k < w->grid.chunks; k++) {
        exa_box box;
        int64_t voxels;
        if (exa_chunk_store_has(w->store, k) || is_given_up(before, k)) continue;
        if (w->included && w->included[k] == 0) { /* another rank's journal has it */
            w->chunks_before++;
            continue;
        }
        box = exa_chunk_grid_box(&w->grid, k);
        EXA_TRY(exa_box_voxels(&box, &voxels));
        if (w->included && w->included[k] < (uint64_t)voxels) voxels = (int64_t)w->included[k];
        (*items)[(*count)++] = (exa_policy_item){.id = k, .cost = (double)voxels};
    }
    return EXA_OK;
}

#define FAILED_CHUNKS "failed_chunks.csv"

/* Chunk, first voxel and extent of its box, tries, and why, for people and programs. */
static exa_status write_failures(const exa_run_work *w, const exa_lease_result *r) {
    char *text = NULL;
    size_t size;
    FILE *f = open_memstream(&text, &size);
    exa_status st = EXA_OK;

    EXA_CHECK(f, EXA_ERR_MEMORY, "cannot allocate the list of failed chunks");
    fprintf(f, "chunk,start_z,start_y,start_x,shape_z,shape_y,shape_x,tries,message\n");
    for (size_t i = 0; i < r->failure_count; i++) {
        const exa_lease_failure *e = &r->failures[i];
        exa_box b = exa_chunk_grid_box(&w->grid, e->id);
        fprintf(f, "%llu,%lld,%lld,%lld,%lld,%lld,%lld,%u,\"", (unsigned long long)e->id, (long long)b.start[0],
                (long long)b.start[1], (long long)b.start[2], (long long)b.shape[0], (long long)b.shape[1],
                (long long)b.shape[2], e->failures);
        for (const char *c = e->message; *c; c++) fprintf(f, *c == '"' ? "\"\"" : "%c", *c);
        fprintf(f, "\"\n");
    }
    if (fclose(f) != 0) st = EXA_FAIL(EXA_ERR_MEMORY, "cannot allocate the list of failed chunks");
    if (st == EXA_OK) st = exa_run_directory_write(w->directory, FAILED_CHUNKS, text);
    free(text);
    return st;
}

/* What rank 0 has to say about the end of the work. */
static exa_status judge(const exa_run_work *w, exa_status st, const exa_lease_result *r) {
    char path[EXA_PATH_BYTES];
    uint64_t left = w->grid.chunks - w->chunks_done;

    if (st == EXA_ERR_CANCELLED && exa_run_is_stopped()) {
        EXA_INFO("%llu of %llu chunks are done", (unsigned long long)w->chunks_done,
                 (unsigned long long)w->grid.chunks);
        return exa_run_check_stop(w);
    }
    if (st == EXA_ERR_CANCELLED)
        return EXA_FAIL(st,
                        "stopped by a signal to another rank; %llu of %llu chunks are done. Hint: the same command "
                        "goes on there",
                        (unsigned long long)w->chunks_done, (unsigned long long)w->grid.chunks);
    if (st == EXA_ERR_RANK_LOST)
        return EXA_FAIL(st, "%s; %llu of %llu chunks are in the journals. Hint: the same command %s",
                        exa_error_last()->message, (unsigned long long)w->chunks_done,
                        (unsigned long long)w->grid.chunks,
                        left ? "does the rest" : "finishes what needs all ranks: stitching and output");
    if (st != EXA_ERR_INCOMPLETE) return st;
    EXA_TRY(write_failures(w, r));
    EXA_TRY(exa_run_directory_path(w->directory, FAILED_CHUNKS, path));
    return EXA_FAIL(
        EXA_ERR_INCOMPLETE,
        "%llu of %llu chunks failed%s; '%s' says why. Hint: when that is mended, the same command does just "
        "the missing ones",
        (unsigned long long)left, (unsigned long long)w->grid.chunks,
        r->state == EXA_POLICY_EXHAUSTED ? " or were not tried, as too many had failed" : "", path);
}

/* On rank 0, of a store that was read anew: what counts is what is on disk. */
static exa_status check_coverage(exa_run_work *w) {
    char path[EXA_PATH_BYTES];

    w->chunks_done = exa_chunk_store_count(w->store);
    EXA_CHECK(w->chunks_done == w->grid.chunks, EXA_ERR_CHECKPOINT,
              "only %llu of %llu chunks are in the journals. Hint: the same command does the missing ones",
              (unsigned long long)w->chunks_done, (unsigned long long)w->grid.chunks);
    EXA_TRY(exa_run_directory_path(w->directory, FAILED_CHUNKS, path));
    remove(path); /* of an earlier start */
    return EXA_OK;
}

/* For the status that is written meanwhile and at the end. */
static void keep_ranks(exa_run_work *w, exa_lease_result *r) {
    if (exa_comm_rank() != 0) return;
    free(w->last_ranks);
    w->leases = r->counters;
    w->chunks_done = w->chunks_before + r->counters.done;
    w->ranks = w->last_ranks = r->ranks;
    w->rank_count = r->rank_count;
}

/* What earlier rounds have given up is given up still. On rank 0. */
static exa_status add_failures(exa_lease_result *all, const exa_lease_result *round) {
    const size_t n = all->failure_count + round->failure_count;
    exa_lease_failure *grown = NULL;

    all->counters = round->counters;
    all->state = round->state;
    if (round->failure_count == 0) return EXA_OK;
    grown = realloc(all->failures, n * sizeof *grown);
    EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate the list of failed chunks");
    memcpy(grown + all->failure_count, round->failures, round->failure_count * sizeof *grown);
    all->failures = grown;
    all->failure_count = n;
    return EXA_OK;
}

/* A rank died, and those who live can go on together, with new numbers. */
static bool is_repaired(exa_status st) {
    return st == EXA_ERR_RANK_LOST && !exa_comm_is_abandoned();
}

/* Leases until all is done, or until it is time for a checkpoint: then rank 0 has *paused. */
static exa_status do_round(exa_run_work *w, exa_lease_result *all, bool *paused) {
    exa_policy_options options = exa_policy_defaults();
    exa_lease_result result = {0};
    exa_policy_item *items = NULL;
    size_t count;
    exa_status st, added = EXA_OK, agreed = EXA_OK;

    options.pause_s = exa_run_round_s(w);
    EXA_GOTO(done, exa_comm_agree(exa_run_begin_crew(w)));
    EXA_GOTO(done, exa_comm_agree(list_missing(w, all, &items, &count)));
    if (w->segmenting_began == 0) w->segmenting_began = exa_clock_now();
    st = exa_lease_run(&(exa_lease_work){.items = items,
                                         .count = count,
                                         .options = &options,
                                         .timeout_s = w->job->faults.heartbeat_timeout_s,
                                         .threads = exa_run_crew_threads(w->crew),
                                         .body = exa_run_segment_chunk,
                                         .tick = lease_tick,
                                         .context = w},
                       &result);
    *paused = result.state == EXA_POLICY_PAUSED;
    keep_ranks(w, &result);
    if (exa_comm_rank() == 0) {
        added = add_failures(all, &result);
    }
    if (st == EXA_OK || is_repaired(st)) agreed = exa_comm_agree(added);
    if (agreed != EXA_OK) st = agreed;
done:
    exa_run_end_crew(w);
    free(result.failures);
    free(items);
    return st;
}

/* After a repair. The journals of the dead are read like those of an earlier start; in a new epoch no two journals
 * have one name, though ranks have other numbers now. */
static exa_status go_on_without(exa_run_work *w) {
    if (exa_comm_rank() == 0) EXA_WARN("%s", exa_error_last()->message);
    EXA_WARN("the ranks that live go on in place, as ranks 0 to %d", exa_comm_size() - 1);
    EXA_TRY(exa_run_reopen_store(w));
    return exa_run_begin_journals(w);
}

/* Rounds of work, with checkpoints between them, or a death that MPI recovered from. */
static exa_status do_rounds(exa_run_work *w, exa_lease_result *all) {
    bool paused = false;
    exa_status st;

    do {
        if (paused) {
            EXA_TRY(exa_run_checkpoint(w));
            EXA_TRY(exa_run_begin_journals(w));
        }
        st = do_round(w, all, &paused);
        if (is_repaired(st)) {
            EXA_TRY(go_on_without(w));
            paused = false;
            continue;
        }
        EXA_TRY(st);
        EXA_TRY(exa_comm_broadcast(&paused, sizeof paused));
    } while (paused || is_repaired(st));
    return EXA_OK;
}

/* After rounds that ended well on all ranks: nothing is missing, and every rank can read every chunk. */
static exa_status conclude(exa_run_work *w, const exa_lease_result *all) {
    const bool first = exa_comm_rank() == 0;

    EXA_TRY(exa_comm_agree(first && all->failure_count ? judge(w, EXA_ERR_INCOMPLETE, all) : EXA_OK));
    if (exa_comm_size() > 1) EXA_TRY(exa_run_reopen_store(w));
    EXA_TRY(exa_comm_agree(first ? check_coverage(w) : EXA_OK));
    if (w->job->checkpoint.at_end) EXA_TRY(exa_run_checkpoint(w));
    return exa_chunk_store_share(w->store);
}

exa_status exa_run_segment_chunks(exa_run_work *w) {
    exa_lease_result all = {0};
    exa_status st;

    w->stage = "segmenting";
    st = do_rounds(w, &all);

    if (st == EXA_OK) {
        st = conclude(w, &all);
    } else if (atomic_load(&w->fatal_set)) {
        st = exa_error_restore(&w->fatal);
    } else if (exa_comm_rank() == 0) {
        st = judge(w, st, &all);
    }
    free(all.failures);
    return st;
}
