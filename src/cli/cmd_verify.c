/* exaconn verify RUN */
#include "cli_internal.h"

#include "exaconn/verification.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <string.h>

static const char *verdict_of(const exa_verification *v) {
    if (!exa_verification_is_sound(v)) return "wrong";
    return exa_verification_is_whole(v) ? "whole" : "incomplete";
}

static void print_text(const char *folder, const exa_verification *v) {
    printf("%s: %s%s\n", folder, verdict_of(v), v->running ? " (it is running)" : "");
    if (v->by_chunks) {
        printf("  chunks        %llu of %llu are there and whole\n", (unsigned long long)v->present,
               (unsigned long long)v->chunks);
        printf("  journals      %llu with %llu records\n", (unsigned long long)v->journals,
               (unsigned long long)v->records);
        printf("  checkpoints   %llu\n", (unsigned long long)v->generations);
    }
    if (v->segmentation)
        printf("  segmentation  %llu voxels read%s, %llu wrong\n", (unsigned long long)v->segmentation_voxels,
               v->by_chunks && v->present ? " and compared with the chunks that are there" : "",
               (unsigned long long)v->wrong_voxels);
    for (uint64_t i = 0; i < v->problems && i < EXA_VERIFICATION_PROBLEMS; i++)
        printf("  wrong: %s\n", v->problem[i]);
    if (v->problems > EXA_VERIFICATION_PROBLEMS)
        printf("  and %llu more\n", (unsigned long long)(v->problems - EXA_VERIFICATION_PROBLEMS));
    if (v->by_chunks && v->present < v->chunks && v->complete)
        printf("  remove %s/summary.json: then the same `exaconn run` does what is missing or damaged\n", folder);
    else if (v->by_chunks && v->present < v->chunks)
        printf("  the same `exaconn run` does what is missing or damaged\n");
    if (v->by_chunks && v->problems && v->present == v->chunks)
        printf("  every chunk is there and whole: damaged journals and checkpoints may be removed\n");
}

static exa_status print_json(const exa_verification *v) {
    cJSON *o = cJSON_CreateObject(), *problems;

    cJSON_AddStringToObject(o, "verdict", verdict_of(v));
    cJSON_AddBoolToObject(o, "running", v->running);
    cJSON_AddBoolToObject(o, "complete", v->complete);
    cJSON_AddNumberToObject(o, "chunks", (double)v->chunks);
    cJSON_AddNumberToObject(o, "chunks_whole", (double)v->present);
    cJSON_AddNumberToObject(o, "chunks_wrong", (double)v->wrong_chunks);
    cJSON_AddNumberToObject(o, "journals", (double)v->journals);
    cJSON_AddNumberToObject(o, "records", (double)v->records);
    cJSON_AddNumberToObject(o, "checkpoints", (double)v->generations);
    cJSON_AddNumberToObject(o, "checkpoints_damaged", (double)v->damaged_generations);
    cJSON_AddNumberToObject(o, "damaged_places", (double)v->damaged_places);
    cJSON_AddBoolToObject(o, "segmentation", v->segmentation);
    cJSON_AddNumberToObject(o, "segmentation_voxels", (double)v->segmentation_voxels);
    cJSON_AddNumberToObject(o, "wrong_voxels", (double)v->wrong_voxels);
    cJSON_AddNumberToObject(o, "problem_count", (double)v->problems);
    problems = cJSON_AddArrayToObject(o, "problems");
    for (uint64_t i = 0; i < v->problems && i < EXA_VERIFICATION_PROBLEMS; i++)
        cJSON_AddItemToArray(problems, cJSON_CreateString(v->problem[i]));
    return exa_cli_print_json(o);
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *folder = exa_cli_positional(arguments, 0);
    exa_verification v;

    EXA_TRY(exa_verify(folder, &v));
    if (exa_cli_has(arguments, "json")) {
        EXA_TRY(print_json(&v));
    } else {
        print_text(folder, &v);
    }
    exa_cli_set_exit_code(arguments, !exa_verification_is_sound(&v)   ? EXA_EXIT_BAD_INPUT
                                     : !exa_verification_is_whole(&v) ? EXA_EXIT_INCOMPLETE
                                                                      : EXA_EXIT_OK);
    return EXA_OK;
}

const exa_cli_command exa_cmd_verify = {
    .name = "verify",
    .positional = "RUN",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "whether every chunk of a run is there and whole",
    .description =
        "Reads all of a run directory: every record of the journals and every chunk of the checkpoints is compared "
        "with its checksum, every label with what is possible, and the segmentation with the chunks it was made "
        "of. "
        "Nothing is written; it may be used while the run goes on. The exit code is 0 if the run is complete and "
        "all is well, 3 if nothing is wrong but something is still to do, and 4 if something is damaged.",
    .example = "exaconn verify RUN\n"
               "exaconn verify --json RUN",
    .options = (const exa_cli_option[]){{"json", 0, EXA_CLI_FLAG, NULL, "print JSON"}, {0}},
    .run = run,
};
