/* A job from file to finished run directory. */
#ifndef EXACONN_RUN_H
#define EXACONN_RUN_H

#include "exaconn/canvas.h"
#include "exaconn/job.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Reads, segments, writes. On an interrupted run directory of the same job it begins again; on a complete one it
 * says so and returns EXA_OK. SIGINT and SIGTERM end it with EXA_ERR_CANCELLED and nothing that looks complete. One
 * rank: more are EXA_ERR_CONFIG. Not thread safe (signal handlers, log file). */
exa_status exa_run(const exa_job *job);

#ifdef __cplusplus
}
#endif
#endif
