/* exaconn stitch RUN -o FOLDER */
#include "cli_internal.h"

#include "exaconn/comm.h"
#include "exaconn/file.h"
#include "exaconn/job.h"
#include "exaconn/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static exa_status fraction(const exa_cli_arguments *a, const char *option, double *value) {
    *value = exa_cli_real(a, option, *value);
    EXA_CHECK(*value >= 0 && *value <= 1, EXA_ERR_CONFIG, "--%s: %g is not between 0 and 1", option, *value);
    return EXA_OK;
}

static exa_status voxels(const exa_cli_arguments *a, const char *option, int64_t *value) {
    *value = exa_cli_int(a, option, *value);
    EXA_CHECK(*value >= 0, EXA_ERR_CONFIG, "--%s: %lld is negative", option, (long long)*value);
    return EXA_OK;
}

static exa_status override(const exa_cli_arguments *a, exa_job *job) {
    static const char *const names[] = {"mutual", "one", "any"};
    const char *best = exa_cli_text(a, "best");
    double threshold = -1;

    for (int i = 0; best && i < 3; i++)
        if (strcmp(best, names[i]) == 0) job->stitching.best = (exa_job_match)i;
    if (exa_cli_has(a, "threshold")) {
        threshold = 0;
        EXA_TRY(fraction(a, "threshold", &threshold));
        job->stitching.min_fraction = job->stitching.min_jaccard = threshold;
        if (job->stitching.min_contained < threshold) job->stitching.min_contained = threshold;
    }
    EXA_TRY(fraction(a, "min-fraction", &job->stitching.min_fraction));
    EXA_TRY(fraction(a, "min-jaccard", &job->stitching.min_jaccard));
    EXA_TRY(fraction(a, "min-contained", &job->stitching.min_contained));
    EXA_TRY(voxels(a, "min-voxels", &job->stitching.min_voxels));
    return voxels(a, "max-voxels", &job->stitching.max_voxels);
}

/* Relative to where we are, not to the job that is stored in the run. */
static exa_status set_output(exa_job *job, const char *output) {
    char here[EXA_PATH_BYTES], path[EXA_PATH_BYTES];

    EXA_CHECK(getcwd(here, sizeof here), EXA_ERR_IO, "cannot tell the current folder: %s", strerror(errno));
    EXA_TRY(exa_path_join(path, *output == '/' ? "" : here, output));
    free(job->output);
    job->output = strdup(path);
    EXA_CHECK(job->output, EXA_ERR_MEMORY, "cannot allocate a path");
    return EXA_OK;
}

static exa_status read_job(const exa_cli_arguments *a, char folder[EXA_PATH_BYTES], exa_job *job) {
    const char *run = exa_cli_positional(a, 0), *output = exa_cli_text(a, "output");
    char path[EXA_PATH_BYTES];

    EXA_CHECK(output, EXA_ERR_CONFIG, "where to? Hint: exaconn stitch %s -o FOLDER", run);
    EXA_CHECK(realpath(run, folder), EXA_ERR_IO, "there is no run directory '%s'", run);
    EXA_TRY(exa_path_join(path, folder, "job.json"));
    EXA_CHECK(exa_file_exists(path), EXA_ERR_IO, "'%s' is not a run directory (it has no job.json)", run);
    EXA_TRY(exa_job_read(path, job));
    EXA_TRY(set_output(job, output));
    return override(a, job);
}

static exa_status run(const exa_cli_arguments *arguments) {
    char folder[EXA_PATH_BYTES];
    exa_job job = {0};
    exa_status st;

    EXA_TRY(exa_comm_init());
    st = exa_comm_agree(read_job(arguments, folder, &job));
    if (st == EXA_OK) st = exa_run_stitch_again(folder, &job);
    exa_job_destroy(&job);
    return st;
}

const exa_cli_command exa_cmd_stitch = {
    .name = "stitch",
    .positional = "RUN",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "join a run's segments again at other thresholds",
    .description =
        "Takes the finished chunks of a run by chunks and its candidates.csv, joins the segments of neighbouring "
        "chunks by other thresholds, and writes the result to another folder, a run directory of its own. Nothing "
        "is "
        "segmented again, and the run is left as it is.\n"
        "What is not given is as in the run's job (docs/job.md, \"stitching\").",
    .example = "exaconn stitch RUN --threshold 0.7 -o RUN-0.7\n"
               "exaconn stitch RUN --max-voxels 50000000 -o RUN-capped\n"
               "mpirun -n 8 exaconn stitch RUN --best any --min-jaccard 0 -o RUN-any",
    .options =
        (const exa_cli_option[]){
            {"output", 'o', EXA_CLI_PATH, "FOLDER", "the run directory to make"},
            {"threshold", 't', EXA_CLI_REAL, "FRACTION",
             "for --min-fraction and --min-jaccard; --min-contained is raised to it"},
            {"min-fraction", 0, EXA_CLI_REAL, "FRACTION",
             "shared voxels over those of the smaller of two segments"},
            {"min-jaccard", 0, EXA_CLI_REAL, "FRACTION", "shared voxels over those of both"},
            {"min-contained", 0, EXA_CLI_REAL, "FRACTION", "or this alone, over those of the smaller; 1 is never"},
            {"min-voxels", 0, EXA_CLI_INT, "N", "shared voxels"},
            {"max-voxels", 0, EXA_CLI_INT, "N", "no segment is joined to more; 0 is no limit"},
            {"best", 0, EXA_CLI_TEXT, "mutual|one|any", "whose best overlap the two must be"},
            {0}},
    .run = run,
};
