/* --help and the man page, both from the command table. */
#include "cli_internal.h"

#include "exaconn/version.h"

#include <ctype.h>
#include <string.h>

enum { WIDTH = 96, OPTION_COLUMN = 34 };

/* ---- plain text --------------------------------------------------------------------------------- */

/* Breaks `text` at spaces; continuation lines begin at `indent`. `column` is where the cursor is. A line break in
 * the text begins a paragraph (after an empty line where nothing is indented). */
static void print_wrapped(FILE *to, const char *text, int indent, int column) {
    while (*text) {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + (int)word > WIDTH) {
            fprintf(to, "\n%*s", indent, "");
            column = indent;
        } else if (column > indent) {
            fputc(' ', to);
            column++;
        }
        fwrite(text, 1, word, to);
        column += (int)word;
        text += word;
        if (*text == '\n' && text[1]) {
            fprintf(to, "\n%s%*s", indent ? "" : "\n", indent, "");
            column = indent;
        }
        text += strspn(text, " \n");
    }
    fputc('\n', to);
}

static void print_paragraphs(FILE *to, const char *text) {
    print_wrapped(to, text, 0, 0);
}

static void print_option(FILE *to, const exa_cli_option *option) {
    char left[128];
    int column;

    snprintf(left, sizeof left, "  %c%c%s --%s%s%s", option->letter ? '-' : ' ',
             option->letter ? option->letter : ' ', option->letter ? "," : " ", option->name,
             option->argument ? " " : "", option->argument ? option->argument : "");
    column = (int)strlen(left);
    fputs(left, to);
    if (column > OPTION_COLUMN - 2) {
        fputc('\n', to);
        column = 0;
    }
    fprintf(to, "%*s", OPTION_COLUMN - column, "");
    print_wrapped(to, option->help, OPTION_COLUMN, OPTION_COLUMN);
}

static void print_options(FILE *to, const char *title, const exa_cli_option *options) {
    if (!options || !options->name) return;
    fprintf(to, "\n%s:\n", title);
    for (; options->name; options++) print_option(to, options);
}

static void print_examples(FILE *to, const char *lines) {
    fprintf(to, "\nExamples:\n");
    while (*lines) {
        size_t length = strcspn(lines, "\n");
        fprintf(to, "  $ %.*s\n", (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
}

static void print_exit_codes(FILE *to) {
    fprintf(to, "\nExit codes:\n");
    for (const exa_cli_exit_code *e = exa_cli_exit_codes; e->meaning; e++) {
        fprintf(to, "  %d  %s\n", e->code, e->meaning);
    }
}

void exa_cli_write_usage(FILE *to) {
    size_t count;
    const exa_cli_command *const *commands = exa_cli_commands(&count);

    fprintf(to,
            "exaconn %s: from a 3-D electron-microscopy volume to neurons\n\n"
            "Usage: exaconn [OPTIONS] COMMAND ...\n\nCommands:\n",
            exa_version_get()->version);
    for (size_t i = 0; i < count; i++) fprintf(to, "  %-14s %s\n", commands[i]->name, commands[i]->summary);
    print_options(to, "Options of every command", exa_cli_global_options);
    print_examples(to, "exaconn config --defaults > job.json\n"
                       "exaconn plan job.json\n"
                       "exaconn run job.json\n"
                       "exaconn help run");
    print_exit_codes(to);
}

void exa_cli_write_help(FILE *to, const exa_cli_command *c) {
    fprintf(to, "Usage: exaconn %s [OPTIONS]%s%s\n\n%c%s.\n\n", c->name, c->positional ? " " : "",
            c->positional ? c->positional : "", toupper((unsigned char)c->summary[0]), c->summary + 1);
    print_paragraphs(to, c->description);
    print_options(to, "Options", c->options);
    print_options(to, "Options of every command", exa_cli_global_options);
    print_examples(to, c->example);
    print_exit_codes(to);
}

/* ---- the man page ------------------------------------------------------------------------------- */

/* One line of roff text: escapes backslashes and hyphens, protects a leading dot or quote. */
static void put_roff(FILE *to, const char *text, size_t length) {
    if (length && (*text == '.' || *text == '\'')) fputs("\\&", to);
    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\\') {
            fputs("\\e", to);
        } else if (text[i] == '-') {
            fputs("\\-", to);
        } else if (text[i] == '`' || text[i] == '\'') {
            fputs(text[i] == '`' ? "\\(ga" : "\\(aq", to);
        } else if (text[i] == '^' || text[i] == '~') {
            fputs(text[i] == '^' ? "\\(ha" : "\\(ti", to);
        } else {
            fputc(text[i], to);
        }
    }
}

static void put_roff_text(FILE *to, const char *text) {
    put_roff(to, text, strlen(text));
}

/* Each line of `text` begins with `macro`. */
static void put_roff_lines(FILE *to, const char *text, const char *macro) {
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length) {
            fputs(macro, to);
            put_roff(to, text, length);
            fputc('\n', to);
        }
        text += length + (text[length] == '\n');
    }
}

static void put_roff_options(FILE *to, const exa_cli_option *option) {
    for (; option && option->name; option++) {
        fputs(".TP\n", to);
        if (option->letter) fprintf(to, "\\fB\\-%c\\fR, ", option->letter);
        fputs("\\fB\\-\\-", to);
        put_roff_text(to, option->name);
        fputs("\\fR", to);
        if (option->argument) {
            fputs(" \\fI", to);
            put_roff_text(to, option->argument);
            fputs("\\fR", to);
        }
        fputc('\n', to);
        put_roff_text(to, option->help);
        fputc('\n', to);
    }
}

static void put_roff_command(FILE *to, const exa_cli_command *c) {
    fputs(".SS \"", to);
    put_roff_text(to, c->name);
    fprintf(to, "%s%s\"\n", c->positional ? " " : "", c->positional ? c->positional : "");
    put_roff_text(to, c->summary);
    fputs(".\n", to);
    put_roff_lines(to, c->description, ".PP\n");
    put_roff_options(to, c->options);
    fputs(".PP\nExamples:\n.PP\n.RS 4\n.nf\n", to);
    put_roff_lines(to, c->example, "");
    fputs(".fi\n.RE\n", to);
}

void exa_cli_write_man(FILE *to) {
    size_t count;
    const exa_cli_command *const *commands = exa_cli_commands(&count);

    fprintf(to,
            ".\\\" Made by `exaconn man`.\n.TH EXACONN 1 \"\" \"exaconn %s\" \"User Commands\"\n"
            ".SH NAME\nexaconn \\- from a 3\\-D electron\\-microscopy volume to neurons\n"
            ".SH SYNOPSIS\n\\fBexaconn\\fR [\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...\n"
            ".SH DESCRIPTION\n"
            "A job file says what to segment, with which network, into which folder; the commands below run it,\n"
            "prepare its inputs and judge its result.\n"
            "Axes are z, y, x everywhere.\n.SH OPTIONS OF EVERY COMMAND\n",
            exa_version_get()->version);
    put_roff_options(to, exa_cli_global_options);
    fputs(".SH COMMANDS\n", to);
    for (size_t i = 0; i < count; i++) put_roff_command(to, commands[i]);
    fputs(".SH EXIT STATUS\n", to);
    for (const exa_cli_exit_code *e = exa_cli_exit_codes; e->meaning; e++) {
        fprintf(to, ".TP\n.B %d\n", e->code);
        put_roff_text(to, e->meaning);
        fputc('\n', to);
    }
    fputs(".SH ENVIRONMENT\n.TP\n.B EXACONN_THREADS\n"
          "Compute threads where the job leaves compute.threads at 0.\n"
          ".TP\n.B NO_PROGRESS_BAR\nSet: lines instead of a progress bar.\n",
          to);
}
