/* exaconn help, version, man, completion: what the program says about itself. */
#include "cli_internal.h"

#include "exaconn/cpu.h"
#include "exaconn/json.h"
#include "exaconn/version.h"

#include <stdlib.h>
#include <string.h>

/* ---- help --------------------------------------------------------------------------------------- */

static exa_status run_help(const exa_cli_arguments *arguments) {
    const char *name = exa_cli_positional(arguments, 0);
    const exa_cli_command *command = name ? exa_cli_find_command(name) : NULL;

    if (name && !command) return exa_cli_unknown_command(name);
    if (command) {
        exa_cli_write_help(stdout, command);
    } else {
        exa_cli_write_usage(stdout);
    }
    return EXA_OK;
}

const exa_cli_command exa_cmd_help = {
    .name = "help",
    .positional = "[COMMAND]",
    .positional_min = 0,
    .positional_max = 1,
    .summary = "explain a command",
    .description = "Lists the commands, or explains one with its options, examples and exit codes.",
    .example = "exaconn help\n"
               "exaconn help run",
    .options = (const exa_cli_option[]){{0}},
    .run = run_help,
};

/* ---- version ------------------------------------------------------------------------------------ */

typedef struct fact {
    const char *name, *label, *value;
} fact;

enum { FACTS = 14 };

static void list_facts(fact facts[FACTS]) {
    const exa_version *v = exa_version_get();
    const fact all[FACTS] = {{"version", "version", v->version},
                             {"commit", "commit", v->commit},
                             {"compiler", "compiler", v->compiler},
                             {"build_type", "build type", v->build_type},
                             {"sanitizers", "sanitizers", *v->sanitizers ? v->sanitizers : "off"},
                             {"mpi", "MPI", v->mpi},
                             {"hdf5", "HDF5", v->hdf5},
                             {"zstd", "zstd", v->zstd},
                             {"hwloc", "hwloc", v->hwloc},
                             {"cjson", "cJSON", v->cjson},
                             {"crypto", "libcrypto", v->crypto},
                             {"cuda", "CUDA", v->cuda},
                             {"cpu", "processor", exa_cpu_model()},
                             {"isa", "fastest set", exa_isa_name(exa_cpu_best_isa())}};
    memcpy(facts, all, sizeof all);
}

static exa_status print_version_json(const fact facts[FACTS]) {
    exa_json_text text = {0};
    char *out = NULL;

    exa_json_text_add(&text, "{");
    for (int i = 0; i < FACTS; i++) {
        exa_json_text_add(&text, "%s\n  \"%s\": ", i ? "," : "", facts[i].name);
        exa_json_text_add_string(&text, facts[i].value);
    }
    exa_json_text_add(&text, ",\n  \"cpu_features\": [\"portable\"");
    if (exa_cpu_has(EXA_ISA_AVX2)) exa_json_text_add(&text, ", \"avx2\"");
    if (exa_cpu_has(EXA_ISA_AVX512)) exa_json_text_add(&text, ", \"avx512\"");
    exa_json_text_add(&text, "]\n}");
    EXA_TRY(exa_json_text_take(&text, &out));
    puts(out);
    free(out);
    return EXA_OK;
}

static exa_status run_version(const exa_cli_arguments *arguments) {
    fact facts[FACTS];

    list_facts(facts);
    if (exa_cli_has(arguments, "json")) return print_version_json(facts);
    printf("exaconn %s\n", facts[0].value);
    for (int i = 1; i < FACTS; i++) printf("  %-12s %s\n", facts[i].label, facts[i].value);
    return EXA_OK;
}

const exa_cli_command exa_cmd_version = {
    .name = "version",
    .positional_min = 0,
    .positional_max = 0,
    .summary = "print the version and what it was built with",
    .description = "Version, commit, compiler, build type, the versions of the libraries that were loaded, the "
                   "processor and the fastest instruction set it has. `exaconn --version` is the same.",
    .example = "exaconn --version\n"
               "exaconn version --json",
    .options = (const exa_cli_option[]){{"json", 0, EXA_CLI_FLAG, NULL, "print JSON"}, {0}},
    .run = run_version,
};

/* ---- man, completion ---------------------------------------------------------------------------- */

static exa_status run_man(const exa_cli_arguments *arguments) {
    (void)arguments;
    exa_cli_write_man(stdout);
    return EXA_OK;
}

const exa_cli_command exa_cmd_man = {
    .name = "man",
    .positional_min = 0,
    .positional_max = 0,
    .summary = "print the man page",
    .description = "Prints the man page, made from the same table as --help. `cmake --install` puts it in place.",
    .example = "exaconn man > exaconn.1 && man -l exaconn.1",
    .options = (const exa_cli_option[]){{0}},
    .run = run_man,
};

static exa_status run_completion(const exa_cli_arguments *arguments) {
    const char *shell = exa_cli_positional(arguments, 0);

    EXA_CHECK(!shell || strcmp(shell, "bash") == 0, EXA_ERR_CONFIG,
              "there is no completion for '%.50s'. Hint: only bash is known", shell);
    exa_cli_write_completion(stdout);
    return EXA_OK;
}

const exa_cli_command exa_cmd_completion = {
    .name = "completion",
    .positional = "[bash]",
    .positional_min = 0,
    .positional_max = 1,
    .summary = "print the bash completion",
    .description =
        "Prints a bash completion of commands, options, their values and files, made from the same table "
        "as --help. `cmake --install` puts it in place.",
    .example = "source <(exaconn completion)",
    .options = (const exa_cli_option[]){{0}},
    .run = run_completion,
};
