/* When a run by chunks writes a checkpoint, and what goes into it beside the chunks. */
#include "run_internal.h"

#include "exaconn/comm.h"
#include "exaconn/consolidation.h"
#include "exaconn/log.h"

#include <stdlib.h>

#define FIRST_ROUND_S 600.0 /* before anything was measured */
#define SHORTEST_ROUND_S 60.0

double exa_run_round_s(const exa_run_work *w) {
    const exa_job *job = w->job;
    double best;

    if (job->checkpoint.interval_min.given) return 60 * job->checkpoint.interval_min.value;
    if (!(w->checkpoint_cost_s > 0)) return FIRST_ROUND_S;
    best = exa_consolidation_interval_s(w->checkpoint_cost_s, 3600 * job->checkpoint.mtbf_hours);
    return best > SHORTEST_ROUND_S ? best : SHORTEST_ROUND_S;
}

/* The texts that say what the run is; on rank 0. */
static exa_status read_texts(const exa_run_work *w, char **identity, char **job) {
    char folder[EXA_PATH_BYTES], path[EXA_PATH_BYTES];
    size_t size;

    *identity = *job = NULL;
    if (exa_comm_rank() != 0) return EXA_OK;
    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_JOURNALS, folder));
    EXA_TRY(exa_path_join(path, folder, EXA_RUN_IDENTITY));
    EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, identity, &size));
    return exa_job_write_json(w->job, job);
}

static exa_status consolidate(exa_run_work *w) {
    exa_consolidation options = {.weights_sha256 = w->inputs.model->weights_sha256,
                                 .keep = (uint32_t)w->job->checkpoint.keep};
    exa_consolidated done;
    char *identity, *job;
    exa_status st = exa_comm_agree(read_texts(w, &identity, &job));

    options.identity = identity;
    options.job = job;
    if (st == EXA_OK) st = exa_consolidate(w->store, &options, &done);
    if (st == EXA_OK && done.number > 0) {
        w->checkpoint_cost_s = done.seconds;
        w->times.checkpoint_s += done.seconds;
        EXA_INFO("checkpoint %llu: %llu chunks in %.1f s; %llu journals and %llu older checkpoints removed",
                 (unsigned long long)done.number, (unsigned long long)done.chunks, done.seconds,
                 (unsigned long long)done.journals, (unsigned long long)done.generations);
    }
    free(identity);
    free(job);
    return st;
}

exa_status exa_run_checkpoint(exa_run_work *w) {
    exa_status st;

    EXA_TRY(exa_run_reopen_store(w));
    st = consolidate(w);
    if (st != EXA_OK && exa_comm_rank() != 0 && *exa_error_last()->message) /* rank 0 only knows that it failed */
        exa_log_write(EXA_LOG_ERROR, "rank %d: %s", exa_comm_rank(), exa_error_last()->message);
    if (st != EXA_OK)
        EXA_WARN("no checkpoint was written; the run goes on with its journals: %s", exa_error_last()->message);
    EXA_TRY(exa_run_reopen_store(w));
    /* What was read back is whole; else what is damaged must be found, to be computed again. All are to know the
     * parts of chunks in work. */
    if (st != EXA_OK) EXA_TRY(exa_chunk_store_check(w->store));
    return exa_chunk_store_share(w->store);
}
