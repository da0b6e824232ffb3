/* The folder a run leaves its work in, and what its files say about the run.
 *
 *   job.json         the effective job, every default filled in
 *   run.log          what was logged
 *   status.json      how far the run is, rewritten at every progress interval
 *   segmentation.h5  /segmentation and, if asked for, /probability
 *   attempts.csv     one line per flood: seed, steps, voxels, outcome
 *   journals/        of a run by chunks: every finished chunk that no checkpoint has
 *   checkpoints/     of a run by chunks: generations of all finished chunks
 *   candidates.csv   of a run by chunks: segments of neighbouring chunks that share voxels
 *   precomputed/     segmentation and raw for viewers, if asked for; neuroglancer.json: what they show
 *   summary.json     written last: where it is, the run is whole
 *
 * Every file but the log is written under a temporary name and renamed.
 */
#ifndef EXACONN_RUN_DIRECTORY_H
#define EXACONN_RUN_DIRECTORY_H

#include "exaconn/file.h"
#include "exaconn/job.h"
#include "exaconn/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_run_directory exa_run_directory;

typedef enum exa_run_state {
    EXA_RUN_NEW,         /* just created, or empty */
    EXA_RUN_INTERRUPTED, /* a run was begun here and did not finish */
    EXA_RUN_COMPLETE     /* segmentation.h5 and summary.json are there */
} exa_run_state;

/* Creates or opens job->output and locks it against a second run. Refused
 * (EXA_ERR_CONFIG): a folder with other things in it; one that holds the result of a job that differs in
 * anything that can change it, naming the keys; one that another process is working in. */
exa_status exa_run_directory_open(const exa_job *job, exa_run_directory **out, exa_run_state *state);

/* For the ranks beside the one that opened it: no lock, nothing is written. */
exa_status exa_run_directory_join(const exa_job *job, exa_run_directory **out);
void exa_run_directory_close(exa_run_directory **directory);

/* Full path of a file in it. */
exa_status exa_run_directory_path(const exa_run_directory *directory, const char *name, char out[EXA_PATH_BYTES]);

/* Writes a file of it atomically. */
exa_status exa_run_directory_write(const exa_run_directory *directory, const char *name, const char *text);

/* True if `path` is a run directory; *running tells whether a process holds its lock. Reads only. */
bool exa_run_directory_recognise(const char *path, bool *running);

#ifdef __cplusplus
}
#endif
#endif
