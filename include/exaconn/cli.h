/* The command table: one description of every sub-command from which parsing, --help, the man page and the bash
 * completion are made.
 */
#ifndef EXACONN_CLI_H
#define EXACONN_CLI_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Exit codes, documented in --help and docs/cli.md. */
enum {
    EXA_EXIT_OK = 0,
    EXA_EXIT_FAILURE = 1,     /* it was tried and failed (i/o, memory, device) */
    EXA_EXIT_USAGE = 2,       /* command line or job file wrong; nothing was begun */
    EXA_EXIT_INCOMPLETE = 3,  /* finished, but chunks failed; they are listed */
    EXA_EXIT_BAD_INPUT = 4,   /* a file's content is wrong or corrupt */
    EXA_EXIT_INTERRUPTED = 5, /* stopped by a signal; the same command begins again */
    EXA_EXIT_RANK_LOST = 6    /* a process died; what is finished is kept, the same command goes on */
};

typedef enum exa_cli_kind {
    EXA_CLI_FLAG,
    EXA_CLI_TEXT,
    EXA_CLI_PATH,
    EXA_CLI_INT,
    EXA_CLI_REAL,
    EXA_CLI_TRIPLE
} exa_cli_kind;

typedef struct exa_cli_option {
    const char *name; /* "output": --output */
    char letter;      /* 'o': -o; 0 = none */
    exa_cli_kind kind;
    const char *argument; /* "FILE"; NULL for a flag; "on|off" lists the only texts allowed */
    const char *help;
} exa_cli_option;

typedef struct exa_cli_arguments exa_cli_arguments;

typedef struct exa_cli_command {
    const char *name;
    const char *positional;             /* "JOB", "SEG TRUTH", "PATH..." */
    int positional_min, positional_max; /* max < 0 = any */
    const char *summary;                /* one line */
    const char *description;            /* paragraphs */
    const char *example;                /* lines, without a leading "$ " */
    const exa_cli_option *options;      /* ended by a NULL name */
    exa_status (*run)(const exa_cli_arguments *arguments);
} exa_cli_command;

/* Values as parsed; kinds were checked, a TRIPLE is "33", or "17,33,33" (zyx). */
bool exa_cli_has(const exa_cli_arguments *arguments, const char *option);
const char *exa_cli_text(const exa_cli_arguments *arguments, const char *option); /* NULL if not given */
int64_t exa_cli_int(const exa_cli_arguments *arguments, const char *option, int64_t otherwise);
double exa_cli_real(const exa_cli_arguments *arguments, const char *option, double otherwise);
bool exa_cli_triple(const exa_cli_arguments *arguments, const char *option,
                    int64_t zyx[3]); /* false if not given */
int exa_cli_positional_count(const exa_cli_arguments *arguments);
const char *exa_cli_positional(const exa_cli_arguments *arguments, int i);

/* A command that ends with another code than its status implies (run: 3) sets it here. */
void exa_cli_set_exit_code(const exa_cli_arguments *arguments, int code);

/* Parses, runs, prints the error if any; returns the exit code. */
int exa_cli_main(int argc, char **argv);

#ifdef __cplusplus
}
#endif
#endif
