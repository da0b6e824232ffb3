/* exaconn status RUN */
#include "cli_internal.h"

#include "exaconn/box.h"
#include "exaconn/file.h"
#include "exaconn/generation.h"
#include "exaconn/progress.h"
#include "exaconn/run_directory.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* "3.2 G", for rates. */
static const char *short_number(double value, char out[24]) {
    static const char *const units[] = {"", " k", " M", " G", " T", " P"};
    size_t u = 0;

    while (value >= 1000 && u + 1 < sizeof units / sizeof *units) {
        value /= 1000;
        u++;
    }
    snprintf(out, 24, "%.3g%s", value, units[u]);
    return out;
}

static void print_rank(const cJSON *r) {
    char speed[24];

    printf("    rank %-5.0f %-20s %-8s chunks %.0f done, %.0f in hand", number(r, "rank"), text(r, "host"),
           text(r, "state"), number(r, "chunks_done"), number(r, "chunks_in_hand"));
    if (number(r, "voxels_per_s") > 0) printf(", %svox/s", short_number(number(r, "voxels_per_s"), speed));
    if (number(r, "silent_s") >= 1) printf(", silent for %.0f s", number(r, "silent_s"));
    printf("\n");
}

static void print_ranks(const cJSON *status) {
    const cJSON *states = cJSON_GetObjectItemCaseSensitive(status, "rank_states"), *r;

    if (!states) return;
    printf("  ranks: %.0f alive", number(states, "alive"));
    for (int i = 0; i < 3; i++) {
        static const char *const names[] = {"silent", "retired", "dead"};
        if (number(states, names[i]) > 0) printf(", %.0f %s", number(states, names[i]), names[i]);
    }
    printf("\n");
    cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(status, "ranks")) print_rank(r);
}

static void print_storage(const cJSON *status) {
    char size[32];

    if (!cJSON_HasObjectItem(status, "journal_bytes")) return;
    printf("  journals %.0f with %s, ", number(status, "journals"),
           exa_format_bytes(number(status, "journal_bytes"), size));
    if (cJSON_HasObjectItem(status, "checkpoint")) {
        printf("last checkpoint %.0f\n", number(status, "checkpoint"));
    } else {
        printf("no checkpoint yet\n");
    }
}

static void print_chunks(const cJSON *status, bool running) {
    char duration[32], rate[24];

    printf("  chunks %.0f of %.0f", number(status, "chunks_done"), number(status, "chunks"));
    if (number(status, "chunks_resumed") > 0)
        printf(" (%.0f of an earlier start)", number(status, "chunks_resumed"));
    if (running) printf(", %.0f leased", number(status, "chunks_leased"));
    if (number(status, "chunks_failed") > 0) printf(", %.0f failed", number(status, "chunks_failed"));
    if (running && cJSON_HasObjectItem(status, "eta_s"))
        printf(", about %s left", exa_format_duration(number(status, "eta_s"), duration));
    printf("\n  %s so far", exa_format_duration(number(status, "elapsed_s"), duration));
    if (number(status, "chunks_per_s") > 0)
        printf(", %.3g chunks/s, %svox/s", number(status, "chunks_per_s"),
               short_number(number(status, "voxels_per_s"), rate));
    printf("\n");
    print_storage(status);
    print_ranks(status);
}

static void print_box(const cJSON *status, const cJSON *c, bool running) {
    double voxels = number(status, "voxels"), elapsed = number(status, "elapsed_s");
    char duration[32];

    printf("  seeds %.0f of %.0f, objects %.0f, steps %.0f", number(status, "seeds_done"),
           number(status, "seeds_total"), number(c, "objects"), number(c, "steps"));
    if (voxels > 0) printf(", %.1f %% of the voxels labelled", 100.0 * number(c, "voxels_segmented") / voxels);
    printf("\n  %s so far", exa_format_duration(elapsed, duration));
    if (elapsed > 0) printf(", %.1f steps/s", number(c, "steps") / elapsed);
    if (running && cJSON_HasObjectItem(status, "eta_s"))
        printf(", about %s left", exa_format_duration(number(status, "eta_s"), duration));
    printf("\n");
}

static void print_text(const char *directory, const char *state, const cJSON *status) {
    const cJSON *c = cJSON_GetObjectItemCaseSensitive(status, "counters");
    const bool running = strcmp(state, "running") == 0, by_chunks = cJSON_HasObjectItem(status, "chunks");

    printf("%s: %s%s%s\n", directory, state, running && cJSON_HasObjectItem(status, "stage") ? ", " : "",
           running && cJSON_HasObjectItem(status, "stage") ? text(status, "stage") : "");
    if (!status) return;
    printf("  started %s on %s, process %.0f; last written %s\n", text(status, "started"), text(status, "host"),
           number(status, "pid"), text(status, "updated"));
    if (by_chunks) {
        print_chunks(status, running);
    } else if (c) {
        print_box(status, c, running);
    }
    if (strcmp(state, "interrupted") == 0)
        printf(by_chunks ? "  the same `exaconn run` goes on with the missing chunks\n"
                         : "  the same `exaconn run` begins again; nothing partial was left\n");
    if (!running && cJSON_HasObjectItem(status, "message") && *text(status, "message"))
        printf("  why: %s\n", text(status, "message"));
    if (strcmp(state, "failed") == 0) printf("  more: the end of %s/run.log\n", directory);
}

/* What is on disk of the chunks, into the status. What cannot be looked at is left out: the status is an offer. */
static void add_storage(const char *directory, cJSON *status) {
    char folder[EXA_PATH_BYTES];
    uint64_t *numbers = NULL, bytes, files;
    size_t count;

    if (!cJSON_HasObjectItem(status, "chunks")) return;
    if (exa_path_join(folder, directory, "journals") == EXA_OK &&
        exa_file_folder_size(folder, ".journal", &bytes, &files) == EXA_OK) {
        cJSON_AddNumberToObject(status, "journals", (double)files);
        cJSON_AddNumberToObject(status, "journal_bytes", (double)bytes);
    }
    if (exa_path_join(folder, directory, "checkpoints") != EXA_OK ||
        exa_generation_list(folder, &numbers, &count) != EXA_OK)
        return;
    if (count) cJSON_AddNumberToObject(status, "checkpoint", (double)numbers[count - 1]);
    free(numbers);
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

/* Says once how it is; *running tells whether it goes on. */
static exa_status say(const char *directory, bool json, bool *running) {
    const char *state;
    cJSON *status;
    exa_status st = EXA_OK;

    EXA_CHECK(
        exa_run_directory_recognise(directory, running), EXA_ERR_IO,
        "'%s' is not a run directory (it has no job.json). Hint: name the folder that the job calls \"output\"",
        directory);
    EXA_TRY(read_state(directory, *running, &status, &state));
    add_storage(directory, status);
    if (json) {
        st = print_json(state, status);
    } else {
        print_text(directory, state, status);
    }
    cJSON_Delete(status);
    return st;
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *directory = exa_cli_positional(arguments, 0);
    const bool json = exa_cli_has(arguments, "json");
    const double every = exa_cli_real(arguments, "every", 5);
    bool running;

    EXA_CHECK(every >= 0.1 && every <= 86400, EXA_ERR_CONFIG,
              "--every %g: give the seconds between two looks, 0.1 to 86400", every);
    EXA_TRY(say(directory, json, &running));
    while ((exa_cli_has(arguments, "watch") || exa_cli_has(arguments, "every")) && running && !ferror(stdout)) {
        if (fflush(stdout) != 0) break; /* nobody reads any more */
        const struct timespec wait = {.tv_sec = (time_t)every, .tv_nsec = (long)((every - floor(every)) * 1e9)};
        nanosleep(&wait, NULL);
        EXA_TRY(say(directory, json, &running));
    }
    return EXA_OK;
}

const exa_cli_command exa_cmd_status = {
    .name = "status",
    .positional = "RUN",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "how far a run is",
    .description =
        "Reads a run directory and says whether it is running, complete, failed or interrupted, and how far "
        "it came. Works from another shell or node while the run goes on.\n"
        "Of a run by chunks it tells how many are done, leased and failed, the mean rates since this start, and of "
        "each rank its host, whether it is alive, dead or retired (it failed too often), its chunks, and for how "
        "long it has been silent; of more than 64 ranks only those that something is wrong with. What it says is "
        "as old as the job's progress.interval_s at most.",
    .example = "exaconn status RUN\n"
               "exaconn status --watch RUN\n"
               "exaconn status --json RUN",
    .options =
        (const exa_cli_option[]){
            {"watch", 'w', EXA_CLI_FLAG, NULL, "say it again and again until the run has ended"},
            {"every", 0, EXA_CLI_REAL, "SECONDS", "watch, and look this often (default 5)"},
            {"json", 0, EXA_CLI_FLAG, NULL, "print JSON"},
            {0}},
    .run = run,
};
