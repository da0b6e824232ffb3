/* The list of commands and what the framework's files share. A command lives in cmd_NAME.c and is listed here. */
#ifndef EXA_CLI_INTERNAL_H
#define EXA_CLI_INTERNAL_H

#include "exaconn/cli.h"

#include "exaconn/box.h"
#include "exaconn/log.h"

#include <stddef.h>
#include <stdio.h>

extern const exa_cli_command exa_cmd_run, exa_cmd_stitch, exa_cmd_plan, exa_cmd_status, exa_cmd_verify,
    exa_cmd_config, exa_cmd_info, exa_cmd_import_ffn, exa_cmd_import_segclr, exa_cmd_import_images, exa_cmd_phantom,
    exa_cmd_eval, exa_cmd_render, exa_cmd_embed, exa_cmd_connectome, exa_cmd_circuit, exa_cmd_export, exa_cmd_view,
    exa_cmd_help, exa_cmd_version, exa_cmd_man, exa_cmd_completion;

/* In the order of --help. */
const exa_cli_command *const *exa_cli_commands(size_t *count);

/* NULL if there is none of that name. */
const exa_cli_command *exa_cli_find_command(const char *name);

/* EXA_ERR_CONFIG with the nearest name. */
exa_status exa_cli_unknown_command(const char *name);

/* --help, --version, --quiet, --log-level: before or after the command; ended by a NULL name. */
extern const exa_cli_option exa_cli_global_options[];

#define EXA_CLI_MAX_VALUES 128 /* options given on one command line */

typedef struct exa_cli_value {
    const exa_cli_option *option; /* borrowed from its table */
    const char *text;             /* borrowed from argv; NULL for a flag */
} exa_cli_value;

struct exa_cli_arguments {
    const exa_cli_command *command; /* NULL while the words before it are parsed */
    const char **positional;        /* owned list of borrowed words */
    int positional_count;
    int value_count;
    exa_cli_value values[EXA_CLI_MAX_VALUES];
    int *exit_code; /* owned; -1 = what the status implies */
};

/* Parses argv[1..]; sets the command (NULL if none was given). With --help nothing else is checked. `out` is to be
 * destroyed whatever the result. */
exa_status exa_cli_parse(int argc, char **argv, exa_cli_arguments *out);
void exa_cli_arguments_free(exa_cli_arguments *arguments);

/* The names of "auto|on|off" one after the other: copies the i-th into `out`; false beyond the last, or where
 * `argument` lists no alternatives. */
bool exa_cli_alternative(const char *argument, size_t i, char *out, size_t out_bytes);

/* "Z,Y,X,DZ,DY,DX", the value of --box: first voxel, then extents. */
exa_status exa_cli_parse_box(const char *text, exa_box *box);

/* Nanometres, "40,4,4" (zyx) or one number for all axes; `out` is untouched without the option. */
exa_status exa_cli_parse_size(const exa_cli_arguments *arguments, const char *option, double out[3]);

/* Prints a JSON object on stdout and deletes it. */
struct cJSON;
exa_status exa_cli_print_json(struct cJSON *object);

/* Refuses to replace an existing file unless --force was given. */
exa_status exa_cli_check_free(const exa_cli_arguments *arguments, const char *path);

/* What is wrong with an output's name is said before a minute of reading, not after: none given, a folder, an
 * existing file without --force, a folder that does not exist. `example` is a name for the hint. */
exa_status exa_cli_check_output(const exa_cli_arguments *arguments, const char *output, const char *example);

/* "complete", "running", "failed" or "interrupted": what `status` and `info` say of a run directory; `running` as
 * exa_run_directory_recognise found it. */
exa_status exa_cli_run_state(const char *directory, bool running, const char **state);

/* Documents made from the table. */
void exa_cli_write_usage(FILE *to);                                /* exaconn --help */
void exa_cli_write_help(FILE *to, const exa_cli_command *command); /* exaconn COMMAND --help */
void exa_cli_write_man(FILE *to);                                  /* roff, man(7) */
void exa_cli_write_completion(FILE *to);                           /* bash */

/* Sets the log level a job asks for, unless --log-level or --quiet was given. */
void exa_cli_use_job_log_level(const exa_cli_arguments *arguments, exa_log_level level);

typedef struct exa_cli_exit_code {
    int code;
    const char *meaning;
} exa_cli_exit_code;
extern const exa_cli_exit_code exa_cli_exit_codes[]; /* ended by a NULL meaning */

#endif
