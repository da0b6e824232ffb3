/* exaconn config: everything about job files. */
#include "cli_internal.h"

#include "exaconn/job.h"
#include "exaconn/json.h"

#include <stdlib.h>

static exa_status print_text(exa_status (*make)(char **)) {
    char *text = NULL;

    EXA_TRY(make(&text));
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

static exa_status print_job(exa_job *job) {
    char *text = NULL;
    exa_status st = exa_job_write_json(job, &text);

    exa_job_destroy(job);
    if (st != EXA_OK) return st;
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

static exa_status print_effective(const char *path) {
    exa_job job;

    EXA_TRY(exa_job_read(path, &job));
    return print_job(&job);
}

/* `why` is NULL for a valid job. */
static exa_status print_verdict(const char *path, const char *why) {
    exa_json_text j = {0};
    char *text = NULL;

    exa_json_text_add(&j, "{\n  \"job\": ");
    exa_json_text_add_string(&j, path);
    exa_json_text_add(&j, ",\n  \"valid\": %s", why ? "false,\n  \"error\": " : "true");
    if (why) exa_json_text_add_string(&j, why);
    exa_json_text_add(&j, "\n}\n");
    EXA_TRY(exa_json_text_take(&j, &text));
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

/* What is wrong with the job goes to standard error and into the exit code as ever, with --json to the object too.
 * A job that cannot be read is not judged. */
static exa_status check_job(const char *path, bool json) {
    exa_job job;
    exa_status st = exa_job_read(path, &job);

    if (st == EXA_OK) exa_job_destroy(&job);
    if (json && st != EXA_ERR_IO && st != EXA_ERR_MEMORY)
        EXA_TRY(print_verdict(path, st == EXA_OK ? NULL : exa_error_last()->message));
    if (!json && st == EXA_OK) printf("%s: a valid job\n", path);
    return st;
}

static exa_status run(const exa_cli_arguments *arguments) {
    static const char *const modes[] = {"defaults", "check", "effective", "schema", "markdown"};
    const char *path = exa_cli_text(arguments, "check");
    exa_job job;
    int given = 0;

    for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) given += exa_cli_has(arguments, modes[i]);
    EXA_CHECK(given == 1, EXA_ERR_CONFIG,
              "`exaconn config` needs exactly one of --defaults, --check, --effective, "
              "--schema and --markdown. Hint: exaconn config --check job.json");
    EXA_CHECK(path || !exa_cli_has(arguments, "json"), EXA_ERR_CONFIG,
              "--json goes with --check only. Hint: --defaults, --effective and --schema print JSON without it");
    if (exa_cli_has(arguments, "schema")) return print_text(exa_job_schema);
    if (exa_cli_has(arguments, "markdown")) return print_text(exa_job_markdown);
    if (path) return check_job(path, exa_cli_has(arguments, "json"));
    if (exa_cli_has(arguments, "effective")) return print_effective(exa_cli_text(arguments, "effective"));
    EXA_TRY(exa_job_defaults(&job));
    return print_job(&job);
}

const exa_cli_command exa_cmd_config = {
    .name = "config",
    .positional_min = 0,
    .positional_max = 0,
    .summary = "check a job file, or print the defaults and the schema",
    .description =
        "--check reads a job as `run` would and says what is wrong with it: the key, the reason and the nearest "
        "known "
        "name. The files it names are not opened; `exaconn plan` does that.\n"
        "--defaults prints a job with every key at its default and examples for the required ones, to begin with. "
        "--effective prints a job with the defaults filled in and its paths made absolute, as a run directory "
        "keeps it.",
    .example = "exaconn config --defaults > job.json\n"
               "exaconn config --check job.json\n"
               "exaconn config --check job.json --json\n"
               "exaconn config --effective job.json\n"
               "exaconn config --schema > job.schema.json",
    .options =
        (const exa_cli_option[]){{"defaults", 0, EXA_CLI_FLAG, NULL, "print a job with every default"},
                                 {"check", 'c', EXA_CLI_PATH, "JOB", "check a job file"},
                                 {"effective", 0, EXA_CLI_PATH, "JOB", "print the job with defaults filled in"},
                                 {"schema", 0, EXA_CLI_FLAG, NULL, "print the JSON Schema"},
                                 {"markdown", 0, EXA_CLI_FLAG, NULL, "print the tables of docs/job.md"},
                                 {"json", 0, EXA_CLI_FLAG, NULL, "with --check: print JSON"},
                                 {0}},
    .run = run,
};
