/* exaconn status RUN */
#include "cli_internal.h"

#include "exaconn/file.h"
#include "exaconn/progress.h"
#include "exaconn/run_directory.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_STATUS_BYTES = 1 << 20 };

static exa_status read_json(const char *directory, const char *name, cJSON **out) {
    char path[EXA_PATH_BYTES], *text;
    size_t size;

    EXA_TRY(exa_path_join(path, directory, name));
    EXA_TRY(exa_file_read_all(path, MAX_STATUS_BYTES, &text, &size));
    *out = cJSON_Parse(text);
    free(text);
    EXA_CHECK(*out, EXA_ERR_FORMAT, "'%s' is not valid JSON", path);
    return EXA_OK;
}

static double number(const cJSON *object, const char *name) {
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(item) ? item->valuedouble : 0.0;
}

static const char *text(const cJSON *object, const char *name) {
    const char *value = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    return value ? value : "unknown";
}

/* What status.json says is only true while its writer lives. */
static const char *true_state(const cJSON *status, bool running, bool complete) {
    const char *said = status ? text(status, "state") : "unknown";
    if (complete) return "complete";
    if (running) return "running";
    return strcmp(said, "failed") == 0 ? "failed" : "interrupted";
}

static void print_text(const char *directory, const char *state, const cJSON *status) {
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(status, "counters");
    double voxels = number(status, "voxels"), elapsed = number(status, "elapsed_s");
    char duration[32];

    printf("%s: %s\n", directory, state);
    if (!status) return;
    printf("  started %s on %s, process %.0f; last written %s\n", text(status, "started"), text(status, "host"),
           number(status, "pid"), text(status, "updated"));
    if (cJSON_HasObjectItem(status, "chunks")) {
        printf("  chunks %.0f of %.0f", number(status, "chunks_done"), number(status, "chunks"));
        if (strcmp(state, "running") == 0 && cJSON_HasObjectItem(status, "eta_s"))
            printf(", about %s left", exa_format_duration(number(status, "eta_s"), duration));
        printf("\n");
    } else if (c) {
        printf("  seeds %.0f of %.0f, objects %.0f, steps %.0f", number(status, "seeds_done"),
               number(status, "seeds_total"), number(c, "objects"), number(c, "steps"));
        if (voxels > 0) printf(", %.1f %% of the voxels labelled", 100.0 * number(c, "voxels_segmented") / voxels);
        printf("\n  %s so far", exa_format_duration(elapsed, duration));
        if (elapsed > 0) printf(", %.1f steps/s", number(c, "steps") / elapsed);
        if (strcmp(state, "running") == 0 && cJSON_HasObjectItem(status, "eta_s")) {
            printf(", about %s left", exa_format_duration(number(status, "eta_s"), duration));
        }
        printf("\n");
    }
    if (strcmp(state, "interrupted") == 0)
        printf(cJSON_HasObjectItem(status, "chunks")
                   ? "  the same `exaconn run` goes on with the missing chunks\n"
                   : "  the same `exaconn run` begins again; nothing partial was left\n");
    if (strcmp(state, "failed") == 0) printf("  why: the end of %s/run.log\n", directory);
}

static exa_status print_json(const char *state, cJSON *status) {
    cJSON *o = status ? status : cJSON_CreateObject();
    char *out;

    cJSON_DeleteItemFromObjectCaseSensitive(o, "state");
    cJSON_AddStringToObject(o, "state", state);
    out = cJSON_Print(o);
    if (o != status) cJSON_Delete(o);
    EXA_CHECK(out, EXA_ERR_MEMORY, "cannot allocate the status JSON");
    puts(out);
    cJSON_free(out);
    return EXA_OK;
}

/* On success *status is to be deleted; it is NULL where there is no status.json. */
static exa_status read_state(const char *directory, bool running, cJSON **status, const char **state) {
    char summary[EXA_PATH_BYTES], path[EXA_PATH_BYTES];

    *status = NULL;
    EXA_TRY(exa_path_join(summary, directory, "summary.json"));
    EXA_TRY(exa_path_join(path, directory, "status.json"));
    if (exa_file_exists(path)) EXA_TRY(read_json(directory, "status.json", status));
    *state = true_state(*status, running, exa_file_exists(summary));
    return EXA_OK;
}

exa_status exa_cli_run_state(const char *directory, bool running, const char **state) {
    cJSON *status;

    EXA_TRY(read_state(directory, running, &status, state));
    cJSON_Delete(status);
    return EXA_OK;
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *directory = exa_cli_positional(arguments, 0), *state;
    bool running;
    cJSON *status;
    exa_status st = EXA_OK;

    EXA_CHECK(
        exa_run_directory_recognise(directory, &running), EXA_ERR_IO,
        "'%s' is not a run directory (it has no job.json). Hint: name the folder that the job calls \"output\"",
        directory);
    EXA_TRY(read_state(directory, running, &status, &state));
    if (exa_cli_has(arguments, "json")) {
        st = print_json(state, status);
    } else {
        print_text(directory, state, status);
    }
    cJSON_Delete(status);
    return st;
}

const exa_cli_command exa_cmd_status = {
    .name = "status",
    .positional = "RUN",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "how far a run is",
    .description =
        "Reads a run directory and says whether it is running, complete, failed or interrupted, and how far "
        "it came. Works from another shell or node while the run goes on.",
    .example = "exaconn status RUN\n"
               "exaconn status --json RUN",
    .options = (const exa_cli_option[]){{"json", 0, EXA_CLI_FLAG, NULL, "print JSON"}, {0}},
    .run = run,
};
