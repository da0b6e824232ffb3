/* argv against the option tables: long and short options, --name=value, "--", kinds, nearest names. */
#include "cli_internal.h"

#include "exaconn/file.h"

#include "exaconn/suggest.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 128

/* ---- looking up --------------------------------------------------------------------------------- */

static const exa_cli_option *find_in(const exa_cli_option *table, const char *name, size_t length, char letter) {
    for (; table && table->name; table++) {
        if (letter ? table->letter == letter
                   : strlen(table->name) == length && !memcmp(table->name, name, length)) {
            return table;
        }
    }
    return NULL;
}

static const exa_cli_option *find_option(const exa_cli_arguments *a, const char *name, size_t length, char letter) {
    const exa_cli_option *found = a->command ? find_in(a->command->options, name, length, letter) : NULL;

    return found ? found : find_in(exa_cli_global_options, name, length, letter);
}

static const char *command_name(const exa_cli_arguments *a) {
    return a->command ? a->command->name : "";
}

/* "exaconn run --help", or "exaconn --help" before a command. */
#define SEE_HELP "`exaconn %s%s--help` explains"
#define SEE_HELP_OF(a) command_name(a), (a)->command ? " " : ""

static exa_status fail_unknown(const exa_cli_arguments *a, const char *name, size_t length) {
    const exa_cli_option *tables[2] = {a->command ? a->command->options : NULL, exa_cli_global_options};
    const char *names[MAX_NAMES], *near;
    char word[64];
    size_t count = 0;

    for (int t = 0; t < 2; t++) {
        for (const exa_cli_option *o = tables[t]; o && o->name && count < MAX_NAMES; o++) names[count++] = o->name;
    }
    snprintf(word, sizeof word, "%.*s", (int)(length < 63 ? length : 63), name);
    near = exa_suggest(word, names, count);
    if (near) {
        return EXA_FAIL(EXA_ERR_CONFIG, "there is no option '--%s'. Hint: did you mean '--%s'?", word, near);
    }
    return EXA_FAIL(EXA_ERR_CONFIG, "there is no option '--%s'. Hint: " SEE_HELP, word, SEE_HELP_OF(a));
}

exa_status exa_cli_unknown_command(const char *name) {
    const char *names[MAX_NAMES], *near;
    size_t count;
    const exa_cli_command *const *commands = exa_cli_commands(&count);

    for (size_t i = 0; i < count; i++) names[i] = commands[i]->name;
    near = exa_suggest(name, names, count);
    if (near) {
        return EXA_FAIL(EXA_ERR_CONFIG, "there is no command '%.100s'. Hint: did you mean `exaconn %s`?", name,
                        near);
    }
    return EXA_FAIL(EXA_ERR_CONFIG, "there is no command '%.100s'. Hint: `exaconn --help` lists them", name);
}

/* ---- values ------------------------------------------------------------------------------------- */

bool exa_cli_alternative(const char *argument, size_t i, char *out, size_t out_bytes) {
    const char *end;

    if (!argument || !strchr(argument, '|')) return false;
    for (; i; i--) {
        argument = strchr(argument, '|');
        if (!argument) return false;
        argument++;
    }
    end = argument + strcspn(argument, "|");
    snprintf(out, out_bytes, "%.*s", (int)(end - argument), argument);
    return true;
}

static bool parse_int(const char *text, const char **end, int64_t *value) {
    char *stop;

    errno = 0;
    *value = strtoll(text, &stop, 10);
    *end = stop;
    return stop > text && errno == 0 && *text != ' ';
}

static bool parse_real(const char *text, double *value) {
    char *stop;

    *value = strtod(text, &stop);
    return stop > text && !*stop && isfinite(*value);
}

/* "33" or "17,33,33". */
static bool parse_triple(const char *text, int64_t zyx[3]) {
    const char *end;
    int n = 0;

    while (n < 3 && parse_int(text, &end, &zyx[n])) {
        n++;
        if (!*end) break;
        if (*end != ',' || n == 3) return false;
        text = end + 1;
    }
    if (n == 1 && !*end) zyx[1] = zyx[2] = zyx[0];
    return (n == 1 || n == 3) && !*end;
}

static exa_status check_alternatives(const exa_cli_option *option, const char *text) {
    char known[16][32];
    const char *names[16], *near;
    size_t count = 0;

    while (count < 16 && exa_cli_alternative(option->argument, count, known[count], sizeof known[0])) {
        if (strcmp(known[count], text) == 0) return EXA_OK;
        names[count] = known[count];
        count++;
    }
    if (!count) return EXA_OK;
    near = exa_suggest(text, names, count);
    return EXA_FAIL(EXA_ERR_CONFIG, "--%s cannot be '%.80s'. Hint: %s%s%sone of %s", option->name, text,
                    near ? "did you mean '" : "", near ? near : "", near ? "'? It is " : "", option->argument);
}

static exa_status check_value(const exa_cli_option *option, const char *text) {
    const char *end, *wanted = NULL;
    int64_t integers[3];
    double real;

    switch (option->kind) {
    case EXA_CLI_INT:
        if (!parse_int(text, &end, integers) || *end) wanted = "an integer, for example 8";
        break;
    case EXA_CLI_REAL:
        if (!parse_real(text, &real)) wanted = "a number, for example 0.5";
        break;
    case EXA_CLI_TRIPLE:
        if (!parse_triple(text, integers)) wanted = "one integer or three as z,y,x, for example 17,33,33";
        break;
    case EXA_CLI_TEXT: return check_alternatives(option, text);
    case EXA_CLI_PATH:
        EXA_CHECK(*text, EXA_ERR_CONFIG, "--%s got an empty name. Hint: it needs %s", option->name,
                  option->argument);
        break;
    case EXA_CLI_FLAG: break;
    }
    EXA_CHECK(!wanted, EXA_ERR_CONFIG, "--%s cannot be '%.80s'. Hint: it needs %s", option->name, text, wanted);
    return EXA_OK;
}

static exa_status add_value(exa_cli_arguments *a, const exa_cli_option *option, const char *text) {
    EXA_CHECK(a->value_count < EXA_CLI_MAX_VALUES, EXA_ERR_CONFIG, "more than %d options. Hint: " SEE_HELP,
              EXA_CLI_MAX_VALUES, SEE_HELP_OF(a));
    if (text) EXA_TRY(check_value(option, text));
    a->values[a->value_count].option = option;
    a->values[a->value_count].text = text;
    a->value_count++;
    return EXA_OK;
}

/* ---- words -------------------------------------------------------------------------------------- */

typedef struct words {
    char **argv;
    int argc, at; /* the word being looked at */
} words;

/* The value of an option that needs one: behind it in the same word, or the next word. */
static exa_status take_value(exa_cli_arguments *a, words *w, const exa_cli_option *option, const char *attached) {
    if (!attached) {
        EXA_CHECK(w->at + 1 < w->argc, EXA_ERR_CONFIG, "--%s needs a value. Hint: --%s %s", option->name,
                  option->name, option->argument);
        attached = w->argv[++w->at];
    }
    return add_value(a, option, attached);
}

static exa_status parse_long(exa_cli_arguments *a, words *w) {
    const char *name = w->argv[w->at] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    const exa_cli_option *option = find_option(a, name, length, 0);

    if (!option) return fail_unknown(a, name, length);
    if (option->kind == EXA_CLI_FLAG) {
        EXA_CHECK(!equals, EXA_ERR_CONFIG, "--%s takes no value. Hint: write --%s", option->name, option->name);
        return add_value(a, option, NULL);
    }
    return take_value(a, w, option, equals ? equals + 1 : NULL);
}

/* "-j", "-fj", "-ofile", "-o file". */
static exa_status parse_short(exa_cli_arguments *a, words *w) {
    for (const char *p = w->argv[w->at] + 1; *p; p++) {
        const exa_cli_option *option = find_option(a, NULL, 0, *p);
        EXA_CHECK(option, EXA_ERR_CONFIG, "there is no option '-%c'. Hint: " SEE_HELP, *p, SEE_HELP_OF(a));
        if (option->kind != EXA_CLI_FLAG) return take_value(a, w, option, p[1] ? p + 1 : NULL);
        EXA_TRY(add_value(a, option, NULL));
    }
    return EXA_OK;
}

static exa_status take_word(exa_cli_arguments *a, const char *word) {
    if (!a->command) {
        a->command = exa_cli_find_command(word);
        return a->command ? EXA_OK : exa_cli_unknown_command(word);
    }
    a->positional[a->positional_count++] = word;
    return EXA_OK;
}

static exa_status check_count(const exa_cli_arguments *a) {
    const exa_cli_command *c = a->command;

    if (!c || exa_cli_has(a, "help")) return EXA_OK;
    EXA_CHECK(a->positional_count >= c->positional_min, EXA_ERR_CONFIG,
              "`exaconn %s` needs %s. Hint: `exaconn %s --help` has examples", c->name, c->positional, c->name);
    EXA_CHECK(c->positional_max < 0 || a->positional_count <= c->positional_max, EXA_ERR_CONFIG,
              "`exaconn %s` does not know what to do with '%.200s'. Hint: `exaconn %s --help` has examples",
              c->name, a->positional[c->positional_max], c->name);
    return EXA_OK;
}

exa_status exa_cli_parse(int argc, char **argv, exa_cli_arguments *a) {
    words w = {.argv = argv, .argc = argc, .at = 1};
    bool only_words = false;

    memset(a, 0, sizeof *a);
    a->positional = calloc((size_t)argc + 1, sizeof *a->positional);
    a->exit_code = malloc(sizeof *a->exit_code);
    EXA_CHECK(a->positional && a->exit_code, EXA_ERR_MEMORY, "cannot allocate memory for the command line");
    *a->exit_code = -1;
    for (; w.at < argc; w.at++) {
        const char *word = argv[w.at];
        if (!only_words && strcmp(word, "--") == 0) {
            only_words = true;
        } else if (only_words || word[0] != '-' || !word[1]) {
            EXA_TRY(take_word(a, word));
        } else {
            EXA_TRY(word[1] == '-' ? parse_long(a, &w) : parse_short(a, &w));
            if (!a->command && exa_cli_has(a, "version")) a->command = &exa_cmd_version;
        }
    }
    return check_count(a);
}

void exa_cli_arguments_free(exa_cli_arguments *a) {
    free(a->positional);
    free(a->exit_code);
    memset(a, 0, sizeof *a);
}

/* ---- what commands ask -------------------------------------------------------------------------- */

/* The last one given. */
static const exa_cli_value *find_value(const exa_cli_arguments *a, const char *name) {
    for (int i = a->value_count - 1; i >= 0; i--) {
        if (strcmp(a->values[i].option->name, name) == 0) return &a->values[i];
    }
    return NULL;
}

bool exa_cli_has(const exa_cli_arguments *a, const char *option) {
    return find_value(a, option) != NULL;
}

const char *exa_cli_text(const exa_cli_arguments *a, const char *option) {
    const exa_cli_value *value = find_value(a, option);
    return value ? value->text : NULL;
}

int64_t exa_cli_int(const exa_cli_arguments *a, const char *option, int64_t otherwise) {
    const char *text = exa_cli_text(a, option), *end;
    int64_t value;

    return text && parse_int(text, &end, &value) ? value : otherwise;
}

double exa_cli_real(const exa_cli_arguments *a, const char *option, double otherwise) {
    const char *text = exa_cli_text(a, option);
    double value;

    return text && parse_real(text, &value) ? value : otherwise;
}

bool exa_cli_triple(const exa_cli_arguments *a, const char *option, int64_t zyx[3]) {
    const char *text = exa_cli_text(a, option);
    int64_t value[3];

    if (!text || !parse_triple(text, value)) return false;
    memcpy(zyx, value, sizeof value);
    return true;
}

int exa_cli_positional_count(const exa_cli_arguments *a) {
    return a->positional_count;
}

const char *exa_cli_positional(const exa_cli_arguments *a, int i) {
    return i >= 0 && i < a->positional_count ? a->positional[i] : NULL;
}

void exa_cli_set_exit_code(const exa_cli_arguments *a, int code) {
    *a->exit_code = code;
}

exa_status exa_cli_parse_box(const char *text, exa_box *box) {
    long long v[6];
    int used = 0;

    EXA_CHECK(sscanf(text, "%lld,%lld,%lld,%lld,%lld,%lld%n", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &used) ==
                      6 &&
                  text[used] == '\0',
              EXA_ERR_CONFIG, "--box %s: give six whole numbers, Z,Y,X of the first voxel and the extents DZ,DY,DX",
              text);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(v[a] >= 0 && v[3 + a] >= 1, EXA_ERR_CONFIG, "--box %s: not a box of voxels", text);
        box->start[a] = v[a];
        box->shape[a] = v[3 + a];
    }
    return EXA_OK;
}

exa_status exa_cli_check_free(const exa_cli_arguments *a, const char *path) {
    EXA_CHECK(exa_cli_has(a, "force") || !exa_file_exists(path), EXA_ERR_CONFIG,
              "'%s' exists. Hint: choose another name, or replace the whole file with --force", path);
    return EXA_OK;
}

exa_status exa_cli_check_output(const exa_cli_arguments *arguments, const char *output, const char *example) {
    char folder[EXA_PATH_BYTES];
    size_t length;

    EXA_CHECK(output && output[0], EXA_ERR_CONFIG, "say where the weights go. Hint: -o %s", example);
    EXA_CHECK(!exa_file_is_directory(output), EXA_ERR_CONFIG, "'%s' is a folder. Hint: -o %s/%s", output, output,
              example);
    EXA_CHECK(exa_cli_has(arguments, "force") || !exa_file_exists(output), EXA_ERR_CONFIG,
              "'%s' exists. Hint: choose another name, or replace it with --force", output);
    length = (size_t)(exa_path_basename(output) - output);
    EXA_CHECK(length < sizeof folder, EXA_ERR_CONFIG, "the output's name is too long");
    memcpy(folder, output, length);
    folder[length] = '\0';
    EXA_CHECK(length == 0 || exa_file_is_directory(folder), EXA_ERR_IO, "folder '%s' for the output does not exist",
              folder);
    return EXA_OK;
}

exa_status exa_cli_parse_size(const exa_cli_arguments *arguments, const char *option, double out[3]) {
    const char *text = exa_cli_text(arguments, option);
    char *end = NULL;
    int n = 0;

    if (!text) return EXA_OK;
    for (const char *p = text; n < 3; p = end + 1) {
        out[n] = strtod(p, &end);
        if (end == p || !(out[n] > 0 && out[n] <= 1e9)) break;
        n++;
        if (*end != ',') break;
    }
    if (n == 1 && *end == '\0') out[1] = out[2] = out[0], n = 3;
    EXA_CHECK(n == 3 && *end == '\0', EXA_ERR_CONFIG, "--%s %s: give nanometres as Z,Y,X, for example 40,4,4",
              option, text);
    return EXA_OK;
}

exa_status exa_cli_print_json(cJSON *object) {
    char *text = cJSON_Print(object);

    cJSON_Delete(object);
    EXA_CHECK(text, EXA_ERR_MEMORY, "cannot allocate the JSON text");
    puts(text);
    cJSON_free(text);
    return EXA_OK;
}
