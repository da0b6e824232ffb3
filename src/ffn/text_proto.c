/* Recursive descent over the text form of a protocol buffer; see text_proto_internal.h for the grammar. */
#include "text_proto_internal.h"

#include "exaconn/box.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16
#define MAX_NAME 256 /* bytes of a dotted name */

typedef struct parser {
    const char *p;
    const char *path;
    char *value; /* owned, as large as the text: no value is longer */
    size_t value_size;
    exa_text_proto_visit *visit;
    void *context;
    int line, depth;
    size_t name_length;
    char name[MAX_NAME];
} parser;

#define SYNTAX(ps, ...)                                                                                            \
    exa_error_context(EXA_FAIL(EXA_ERR_CONFIG, __VA_ARGS__), "request '%s', line %d", (ps)->path, (ps)->line)

static void skip_space(parser *ps) {
    for (; *ps->p; ps->p++) {
        if (*ps->p == '#') {
            while (ps->p[1] && ps->p[1] != '\n') ps->p++;
        } else if (*ps->p == '\n') {
            ps->line++;
        } else if (*ps->p != ' ' && *ps->p != '\t' && *ps->p != '\r') {
            return;
        }
    }
}

static bool accept(parser *ps, char c) {
    skip_space(ps);
    if (*ps->p != c) return false;
    ps->p++;
    return true;
}

static bool is_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static bool is_digit_of(char c, int base, unsigned *digit) {
    unsigned d = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                 : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a') + 10
                 : c >= 'A' && c <= 'F' ? (unsigned)(c - 'A') + 10
                                        : 99;
    *digit = d;
    return d < (unsigned)base;
}

/* After a backslash; ps->p is at the letter. */
static exa_status parse_escape(parser *ps, char *out) {
    static const char letters[] = "abfnrtv\\'\"?", values[] = "\a\b\f\n\r\t\v\\'\"?";
    const char *at = *ps->p ? strchr(letters, *ps->p) : NULL;
    unsigned code = 0, digit;

    if (at) {
        *out = values[at - letters];
        ps->p++;
        return EXA_OK;
    }
    bool hex = *ps->p == 'x' || *ps->p == 'X';
    int digits = 0;
    for (ps->p += hex; digits < (hex ? 2 : 3) && is_digit_of(*ps->p, hex ? 16 : 8, &digit); digits++, ps->p++)
        code = code * (hex ? 16 : 8) + digit;
    if (digits == 0 || code > 255) return SYNTAX(ps, "unknown escape in a text");
    *out = (char)code;
    return EXA_OK;
}

/* Appends one quoted text to ps->value. */
static exa_status parse_quoted(parser *ps, char quote) {
    for (ps->p++; *ps->p != quote;) {
        if (*ps->p == '\0' || *ps->p == '\n') return SYNTAX(ps, "a text is not closed with %c", quote);
        char c = *ps->p++;
        if (c == '\\') EXA_TRY(parse_escape(ps, &c));
        ps->value[ps->value_size++] = c;
    }
    ps->p++;
    return EXA_OK;
}

static exa_status parse_scalar(parser *ps) {
    ps->value_size = 0;
    skip_space(ps);
    if (*ps->p == '"' || *ps->p == '\'') {
        for (; *ps->p == '"' || *ps->p == '\''; skip_space(ps)) EXA_TRY(parse_quoted(ps, *ps->p));
    } else {
        while (is_word(*ps->p) || *ps->p == '.' || *ps->p == '-' || *ps->p == '+')
            ps->value[ps->value_size++] = *ps->p++;
        if (ps->value_size == 0) return SYNTAX(ps, "a value is missing for '%s'", ps->name);
    }
    ps->value[ps->value_size] = '\0';
    return ps->visit(ps->context, ps->name, ps->value, ps->value_size);
}

static exa_status parse_list(parser *ps) {
    if (accept(ps, ']')) return EXA_OK;
    do {
        EXA_TRY(parse_scalar(ps));
    } while (accept(ps, ','));
    if (!accept(ps, ']')) return SYNTAX(ps, "the list of '%s' is not closed with ]", ps->name);
    return EXA_OK;
}

static exa_status parse_fields(parser *ps, char close);

/* Appends ".NAME" to the dotted name. */
static exa_status parse_name(parser *ps) {
    const char *start = ps->p;

    while (is_word(*ps->p)) ps->p++;
    size_t length = (size_t)(ps->p - start), dot = ps->name_length > 0;
    if (length == 0) return SYNTAX(ps, "a field name is expected, not '%c'", *ps->p ? *ps->p : ' ');
    if (ps->name_length + dot + length >= sizeof ps->name) return SYNTAX(ps, "a field name is too long");
    if (dot) ps->name[ps->name_length] = '.';
    memcpy(ps->name + ps->name_length + dot, start, length);
    ps->name_length += dot + length;
    ps->name[ps->name_length] = '\0';
    return EXA_OK;
}

static exa_status parse_field(parser *ps) {
    size_t outer = ps->name_length;

    EXA_TRY(parse_name(ps));
    bool colon = accept(ps, ':');
    if (accept(ps, '{'))
        EXA_TRY(parse_fields(ps, '}'));
    else if (accept(ps, '<'))
        EXA_TRY(parse_fields(ps, '>'));
    else if (!colon)
        return SYNTAX(ps, "':' or '{' is expected after '%s'", ps->name);
    else if (accept(ps, '['))
        EXA_TRY(parse_list(ps));
    else
        EXA_TRY(parse_scalar(ps));
    if (!accept(ps, ',')) accept(ps, ';');
    ps->name_length = outer;
    ps->name[outer] = '\0';
    return EXA_OK;
}

/* Fields up to `close`, or to the end of the text if that is 0. */
static exa_status parse_fields(parser *ps, char close) {
    if (ps->depth++ >= MAX_DEPTH) return SYNTAX(ps, "messages are nested deeper than %d", MAX_DEPTH);
    for (;;) {
        skip_space(ps);
        if (*ps->p == close) break;
        if (*ps->p == '\0') return SYNTAX(ps, "'%s' is not closed with %c", ps->name, close);
        EXA_TRY(parse_field(ps));
    }
    if (close) ps->p++;
    ps->depth--;
    return EXA_OK;
}

exa_status exa_text_proto_parse(const char *text, const char *path, exa_text_proto_visit *visit, void *context) {
    parser ps = {.p = text, .path = path, .visit = visit, .context = context, .line = 1};

    EXA_TRY(exa_alloc(strlen(text) + 1, 1, "a request", &ps.value));
    exa_status st = parse_fields(&ps, '\0');
    free(ps.value);
    return st;
}
