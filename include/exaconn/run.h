/* A job from file to finished run directory. */
#ifndef EXACONN_RUN_H
#define EXACONN_RUN_H

#include "exaconn/canvas.h"
#include "exaconn/job.h"
#include "exaconn/plan.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads, segments, writes. On an interrupted run directory of the same job it begins again, or goes on if the job
 * is cut into chunks; on a complete one it says so and returns EXA_OK. SIGINT and SIGTERM end it with
 * EXA_ERR_CANCELLED and nothing that looks complete; EXA_ERR_INCOMPLETE if chunks failed; EXA_ERR_RANK_LOST if a
 * rank died meanwhile, after which nothing collective may be called (exa_comm_is_abandoned). Collective over all
 * ranks, which the caller started by exa_comm_init; more than one need a job cut into chunks. Not thread safe
 * (signal handlers, log file). */
exa_status exa_run(const exa_job *job);

/* Makes the segmentation of the run by chunks in `folder` again, in job->output and with the thresholds of
 * job->stitching, from its finished chunks and its candidates.csv: nothing is segmented, and nothing in `folder`
 * is changed. `job` is that run's, but for output and stitching. EXA_ERR_CHECKPOINT if chunks are missing. Else as
 * exa_run. */
exa_status exa_run_stitch_again(const char *folder, const exa_job *job);

/* Whether contacts and synapses can be counted as the job wants it: the size of voxels is known, the table is there
 * and begins as its format does. What exa_run asks before it touches a folder. */
exa_status exa_run_check_circuits(const exa_job *job, const exa_inputs *inputs);

#ifdef __cplusplus
}
#endif
#endif
