/* exaconn run JOB */
#include "cli_internal.h"

#include "exaconn/comm.h"
#include "exaconn/job.h"
#include "exaconn/run.h"

static exa_status run(const exa_cli_arguments *arguments) {
    exa_job job = {0};
    exa_status st;

    EXA_TRY(exa_comm_init());
    EXA_TRY(exa_comm_agree(exa_job_read(exa_cli_positional(arguments, 0), &job)));
    exa_cli_use_job_log_level(arguments, job.log_level);
    st = exa_run(&job);
    exa_job_destroy(&job);
    return st;
}

const exa_cli_command exa_cmd_run = {
    .name = "run",
    .positional = "JOB",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "segment a volume as a job file says",
    .description =
        "Reads the job, checks its inputs against each other, plans memory, and segments the box by flood filling. "
        "The job's \"output\" folder receives segmentation.h5 (dataset /segmentation, uint64, 0 = background), "
        "attempts.csv (every flood with its seed, steps, voxels and outcome), summary.json (written last: where it "
        "is, the run is whole), status.json, job.json (every default filled in) and run.log.\n"
        "Run again on a complete folder, it says so and does nothing; on an interrupted one it begins again, or "
        "goes on "
        "with the missing chunks if the job is cut into chunks. A different job in the same folder is refused, "
        "naming the keys that differ.\n"
        "Threads: compute.threads, else EXACONN_THREADS, else the cores that mpirun, Slurm or taskset left this "
        "process. On a terminal a progress bar is drawn (NO_PROGRESS_BAR=1 turns it off).",
    .example = "exaconn run job.json\n"
               "EXACONN_THREADS=8 exaconn run job.json\n"
               "mpirun -n 8 exaconn run job.json      # a job cut into chunks",
    .options = (const exa_cli_option[]){{0}},
    .run = run,
};
