/* The bash completion, from the command table: commands, options, their alternatives, files. */
#include "cli_internal.h"

#include <ctype.h>
#include <string.h>

static void put_names(FILE *to, const exa_cli_option *option) {
    for (; option && option->name; option++) {
        fprintf(to, " --%s", option->name);
        if (option->letter) fprintf(to, " -%c", option->letter);
    }
}

static void put_alternatives(FILE *to, const char *argument) {
    char word[64];

    for (size_t i = 0; exa_cli_alternative(argument, i, word, sizeof word); i++)
        fprintf(to, "%s%s", i ? " " : "", word);
}

/* One branch per option that takes a value: its words, files, or nothing to offer. `command` may be a pattern. */
static void put_values(FILE *to, const char *command, const exa_cli_option *option) {
    for (; option && option->name; option++) {
        if (option->kind == EXA_CLI_FLAG) continue;
        fprintf(to, "        %s' --%s'", command, option->name);
        if (option->letter) fprintf(to, "|%s' -%c'", command, option->letter);
        if (option->argument && strchr(option->argument, '|')) {
            fprintf(to, ") words='");
            put_alternatives(to, option->argument);
            fprintf(to, "' ;;\n");
        } else {
            fprintf(to, option->kind == EXA_CLI_PATH || (option->argument && strstr(option->argument, "FILE"))
                            ? ") files=1 ;;\n"
                            : ") return ;;\n");
        }
    }
}

/* What a command takes beside options. */
static void put_positional(FILE *to, const exa_cli_command *c) {
    if (!c->positional || c->positional_max == 0) return;
    if (strstr(c->positional, "COMMAND")) {
        fprintf(to, "        %s) words=\"$commands\" ;;\n", c->name);
    } else if (c->positional[0] == '[' && islower((unsigned char)c->positional[1])) { /* the word itself */
        fprintf(to, "        %s) words='%.*s' ;;\n", c->name, (int)strcspn(c->positional + 1, "]"),
                c->positional + 1);
    } else {
        fprintf(to, "        %s) files=1 ;;\n", c->name);
    }
}

static const char head[] = "# bash completion of exaconn, made by `exaconn completion`\n"
                           "_exaconn() {\n"
                           "    local cur=${COMP_WORDS[COMP_CWORD]} prev='' command='' words='' files='' i\n";

static const char find_command[] =
    "    COMPREPLY=()\n"
    "    [ \"$COMP_CWORD\" -gt 0 ] && prev=${COMP_WORDS[COMP_CWORD-1]}\n"
    "    # --name=value comes as three words\n"
    "    if [ \"$prev\" = = ] && [ \"$COMP_CWORD\" -gt 1 ]; then prev=${COMP_WORDS[COMP_CWORD-2]}; fi\n"
    "    if [ \"$cur\" = = ]; then cur=''; fi\n"
    "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
    "        case ${COMP_WORDS[i]} in\n"
    "        --log-level) ((i++)) ;;\n"
    "        -*|=) ;;\n"
    "        *) command=${COMP_WORDS[i]}; break ;;\n"
    "        esac\n"
    "    done\n";

static const char reply[] = "    if [ -n \"$files\" ]; then\n"
                            "        compopt -o filenames 2>/dev/null\n"
                            "        mapfile -t COMPREPLY < <(compgen -f -- \"$cur\")\n"
                            "    else\n"
                            "        mapfile -t COMPREPLY < <(compgen -W \"$words\" -- \"$cur\")\n"
                            "    fi\n"
                            "}\n"
                            "complete -F _exaconn exaconn\n";

void exa_cli_write_completion(FILE *to) {
    size_t count;
    const exa_cli_command *const *commands = exa_cli_commands(&count);

    fprintf(to, "%s    local commands='", head);
    for (size_t i = 0; i < count; i++) fprintf(to, "%s%s", i ? " " : "", commands[i]->name);
    fprintf(to, "'\n    local global='");
    put_names(to, exa_cli_global_options);
    fprintf(to, "'\n%s    case \"$command $prev\" in\n", find_command);
    for (size_t i = 0; i < count; i++) put_values(to, commands[i]->name, commands[i]->options);
    put_values(to, "*", exa_cli_global_options);
    fprintf(to, "    *)\n        case \"$command $cur\" in\n        ' -'*) words=\"$global\" ;;\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(to, "        '%s -'*) words=\"$global", commands[i]->name);
        put_names(to, commands[i]->options);
        fprintf(to, "\" ;;\n");
    }
    fprintf(to, "        *)\n        case $command in\n        '') words=\"$commands\" ;;\n");
    for (size_t i = 0; i < count; i++) put_positional(to, commands[i]);
    fprintf(to, "        esac ;;\n        esac ;;\n    esac\n%s", reply);
}
