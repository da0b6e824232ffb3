/* The program: the list of commands, the global options, errors and exit codes. */
#include "cli_internal.h"

#include "exaconn/comm.h"
#include "exaconn/log.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const exa_cli_command *const commands[] = {
    &exa_cmd_run,     &exa_cmd_stitch,     &exa_cmd_plan,       &exa_cmd_status,        &exa_cmd_verify,
    &exa_cmd_config,  &exa_cmd_info,       &exa_cmd_import_ffn, &exa_cmd_import_segclr, &exa_cmd_import_images,
    &exa_cmd_phantom, &exa_cmd_eval,       &exa_cmd_render,     &exa_cmd_embed,         &exa_cmd_connectome,
    &exa_cmd_circuit, &exa_cmd_export,     &exa_cmd_view,       &exa_cmd_help,          &exa_cmd_version,
    &exa_cmd_man,     &exa_cmd_completion,
};

const exa_cli_option exa_cli_global_options[] = {
    {"help", 'h', EXA_CLI_FLAG, NULL, "explain the command, with examples"},
    {"version", 0, EXA_CLI_FLAG, NULL, "print the version (with --json: all about the build)"},
    {"quiet", 'q', EXA_CLI_FLAG, NULL, "only warnings and errors, no progress"},
    {"log-level", 0, EXA_CLI_TEXT, "error|warn|info|debug|trace",
     "the least important messages shown (default info)"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_exit_code exa_cli_exit_codes[] = {
    {EXA_EXIT_OK, "success"},
    {EXA_EXIT_FAILURE, "it was tried and failed (input or output, memory, device)"},
    {EXA_EXIT_USAGE, "the command line or the job file is wrong; nothing was begun"},
    {EXA_EXIT_INCOMPLETE, "finished, but some chunks failed; they are listed"},
    {EXA_EXIT_BAD_INPUT, "a file's content is wrong, corrupt or not supported"},
    {EXA_EXIT_INTERRUPTED, "stopped by a signal; the same command begins again or goes on"},
    {EXA_EXIT_RANK_LOST, "a process died or fell silent; finished chunks are kept, the same command goes on"},
    {0, NULL}};

const exa_cli_command *const *exa_cli_commands(size_t *count) {
    *count = sizeof commands / sizeof *commands;
    return commands;
}

const exa_cli_command *exa_cli_find_command(const char *name) {
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++) {
        if (strcmp(commands[i]->name, name) == 0) return commands[i];
    }
    return NULL;
}

/* ---- errors ------------------------------------------------------------------------------------- */

static int exit_code_of(exa_status status) {
    switch (status) {
    case EXA_OK: return EXA_EXIT_OK;
    case EXA_ERR_CONFIG:
    case EXA_ERR_RANGE: return EXA_EXIT_USAGE;
    case EXA_ERR_FORMAT:
    case EXA_ERR_CORRUPT:
    case EXA_ERR_UNSUPPORTED: return EXA_EXIT_BAD_INPUT;
    case EXA_ERR_CANCELLED: return EXA_EXIT_INTERRUPTED;
    case EXA_ERR_INCOMPLETE: return EXA_EXIT_INCOMPLETE;
    case EXA_ERR_RANK_LOST: return EXA_EXIT_RANK_LOST;
    default: return EXA_EXIT_FAILURE;
    }
}

static exa_log_level log_level_of(const exa_cli_arguments *arguments) {
    static const char *const names[] = {"error", "warn", "info", "debug", "trace"};
    const char *text = exa_cli_text(arguments, "log-level");

    for (int i = 0; text && i < 5; i++) {
        if (strcmp(text, names[i]) == 0) return (exa_log_level)i;
    }
    return exa_cli_has(arguments, "quiet") ? EXA_LOG_WARN : EXA_LOG_INFO;
}

void exa_cli_use_job_log_level(const exa_cli_arguments *arguments, exa_log_level level) {
    if (!exa_cli_has(arguments, "log-level") && !exa_cli_has(arguments, "quiet")) exa_log_set_level(level);
}

/* What to do about errors that any write can end in. */
static const char *hint_for_reason(const char *message) {
    static const char room[] = "make room there, or have the quota raised, then give the same command again";
    bool full = strstr(message, strerror(ENOSPC)) || strstr(message, strerror(EDQUOT));
    return full ? room : NULL;
}

/* "what happened. Hint: what to do" on two lines; the place in the source only when debugging. */
static void print_error(const exa_error *error, exa_log_level level) {
    const char *hint = strstr(error->message, "Hint: ");
    size_t length = hint ? (size_t)(hint - error->message) : strlen(error->message);

    if (length == 0) return; /* another rank says it */
    while (length && strchr(" .", error->message[length - 1])) length--;
    fprintf(stderr, "exaconn: error: %.*s\n", (int)length, error->message);
    hint = hint ? hint + strlen("Hint: ") : hint_for_reason(error->message);
    if (hint) fprintf(stderr, "  hint: %s\n", hint);
    if (level >= EXA_LOG_DEBUG && error->file) {
        fprintf(stderr, "  where: %s:%d (%s)\n", error->file, error->line, exa_status_name(error->status));
    }
}

/* What was printed must have arrived, or the exit code says so; a reader that had enough (`| head`) is no failure.
 */
static exa_status check_stdout(void) {
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    bool failed = ferror(stdout) != 0;
    int why = 0;

    if (fflush(stdout) != 0) {
        failed = true;
        why = errno;
    }
    if (!failed) return EXA_OK;
    if (why == EPIPE || (poll(&out, 1, 0) == 1 && (out.revents & POLLERR))) return EXA_OK;
    return EXA_FAIL(EXA_ERR_IO, "cannot write the output: %s. Hint: is the disk full?",
                    why ? strerror(why) : "an earlier write failed");
}

/* ---- running ------------------------------------------------------------------------------------ */

static exa_status run_command(const exa_cli_arguments *a) {
    if (!a->command) {
        exa_cli_write_usage(exa_cli_has(a, "help") ? stdout : stderr);
        if (!exa_cli_has(a, "help")) exa_cli_set_exit_code(a, EXA_EXIT_USAGE);
        return EXA_OK;
    }
    if (exa_cli_has(a, "help")) {
        exa_cli_write_help(stdout, a->command);
        return EXA_OK;
    }
    if (exa_cli_has(a, "version")) return exa_cmd_version.run(a);
    return a->command->run(a);
}

/* Without MPI_Finalize, which would wait for the dead. Without --enable-recovery the launcher ends all at the first
 * that leaves so: rank 0 goes first, as it has the most to say. */
static _Noreturn void leave_the_dead(int code) {
    if (exa_comm_rank() != 0) sleep(2);
    fflush(NULL);
    _exit(code);
}

int exa_cli_main(int argc, char **argv) {
    exa_cli_arguments arguments;
    exa_status st = exa_cli_parse(argc, argv, &arguments), out;
    exa_log_level level = log_level_of(&arguments);
    int code;

    signal(SIGPIPE, SIG_IGN); /* a pager that quits must not kill a run */
    exa_log_set_level(level);
    if (exa_cli_has(&arguments, "quiet")) setenv("NO_PROGRESS_BAR", "1", 0);
    if (st == EXA_OK) st = run_command(&arguments);
    if (st != EXA_OK) print_error(exa_error_last(), level);
    code =
        st == EXA_OK && arguments.exit_code && *arguments.exit_code >= 0 ? *arguments.exit_code : exit_code_of(st);
    out = check_stdout();
    if (out != EXA_OK && st == EXA_OK) {
        print_error(exa_error_last(), level);
        if (code == EXA_EXIT_OK) code = EXA_EXIT_FAILURE;
    }
    exa_cli_arguments_free(&arguments);
    exa_comm_finalize(); /* the ranks wait for each other until all is said */
    if (exa_comm_any_died()) leave_the_dead(code);
    return code;
}
