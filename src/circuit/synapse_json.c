/* FlyEM's synapse annotations: {"data": [{"T-bar": {"location": [x, y, z], "body ID": n, "confidence": c},
 * "partners": [{"location": ..., "body ID": ..., "confidence": ...}, ...]}, ...]}. A T-bar has many partners, each
 * of which is a synapse. Read as a stream: one T-bar is in memory, however large the file is; ids are never
 * doubles.
 */
#include "synapse_table_internal.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 32, TEXT_MAX = 256, PARTNERS_MAX = 1 << 20 };

/* One end of a synapse. */
typedef struct site {
    double at[3]; /* in the order of the file; NAN = not there */
    exa_segid body;
    double confidence;
    uint64_t line;
} site;

typedef struct reader {
    FILE *stream;    /* owned */
    char *origin;    /* owned */
    uint64_t line;   /* from 1 */
    uint64_t column; /* of the character read last */
    int c;           /* the character at hand; EOF at the end */
    bool xyz;
    bool begun, after_data; /* inside "data"; behind it */
    site tbar;
    site *partners; /* owned */
    size_t partner_count, partner_capacity, partners_told;
} reader;

/* ---- characters and tokens ----------------------------------------------------------------------------------- */

static void advance(reader *r) {
    if (r->c == '\n') {
        r->line++;
        r->column = 0;
    }
    r->c = getc_unlocked(r->stream);
    r->column++;
}

static exa_status wrong(const reader *r, const char *format, ...) __attribute__((format(printf, 2, 3)));
static exa_status wrong(const reader *r, const char *format, ...) {
    char text[512];
    va_list list;

    if (ferror(r->stream)) return EXA_FAIL(EXA_ERR_IO, "cannot read '%s': %s", r->origin, strerror(errno));
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return EXA_FAIL(EXA_ERR_FORMAT, "'%s', line %llu, character %llu: %s%s", r->origin, (unsigned long long)r->line,
                    (unsigned long long)r->column, text,
                    r->c == EOF ? ", and the file ends here. Hint: it was cut off" : "");
}

static void skip_space(reader *r) {
    while (r->c == ' ' || r->c == '\t' || r->c == '\n' || r->c == '\r') advance(r);
}

static exa_status take(reader *r, char c) {
    skip_space(r);
    if (r->c != c) return wrong(r, "'%c' was expected", c);
    advance(r);
    return EXA_OK;
}

/* A string as it is written, escapes left as they are; what is beyond TEXT_MAX is dropped. */
static exa_status take_string(reader *r, char text[TEXT_MAX]) {
    size_t n = 0;

    EXA_TRY(take(r, '"'));
    while (r->c != '"') {
        bool escape = r->c == '\\';
        if (r->c == EOF || r->c < ' ') return wrong(r, "a string does not end");
        for (int i = 0; i < (escape ? 2 : 1); i++) {
            if (r->c == EOF) return wrong(r, "a string does not end");
            if (n + 1 < TEXT_MAX) text[n++] = (char)r->c;
            advance(r);
        }
    }
    text[n] = '\0';
    advance(r);
    return EXA_OK;
}

/* A number, or a word such as null, as it is written. */
static exa_status take_word(reader *r, char text[TEXT_MAX]) {
    size_t n = 0;

    skip_space(r);
    while ((r->c >= '0' && r->c <= '9') || (r->c >= 'a' && r->c <= 'z') || (r->c >= 'A' && r->c <= 'Z') ||
           r->c == '-' || r->c == '+' || r->c == '.') {
        if (n + 1 >= TEXT_MAX) return wrong(r, "a number of more than %d characters", TEXT_MAX - 1);
        text[n++] = (char)r->c;
        advance(r);
    }
    text[n] = '\0';
    if (n == 0) return wrong(r, "a value was expected");
    return EXA_OK;
}

/* Whether another item follows in a list or object that `close` ends; `first` before the first one. */
static exa_status more(reader *r, char close, bool first, bool *follows) {
    skip_space(r);
    *follows = r->c != close;
    if (!*follows) {
        advance(r);
        return EXA_OK;
    }
    if (first) return EXA_OK;
    return take(r, ',');
}

static exa_status skip_value(reader *r, int depth) {
    char text[TEXT_MAX];
    bool follows = true;
    char close;

    if (depth > DEPTH_MAX) return wrong(r, "nested more than %d deep", DEPTH_MAX);
    skip_space(r);
    if (r->c == '"') return take_string(r, text);
    if (r->c != '{' && r->c != '[') return take_word(r, text);
    close = r->c == '{' ? '}' : ']';
    advance(r);
    for (bool first = true;; first = false) {
        EXA_TRY(more(r, close, first, &follows));
        if (!follows) return EXA_OK;
        if (close == '}') {
            EXA_TRY(take_string(r, text));
            EXA_TRY(take(r, ':'));
        }
        EXA_TRY(skip_value(r, depth + 1));
    }
}

/* ---- synapses ------------------------------------------------------------------------------------------------ */

static exa_status take_real(reader *r, const char *what, double *value) {
    char text[TEXT_MAX], where[512];

    EXA_TRY(take_word(r, text));
    *value = NAN;
    if (strcmp(text, "null") == 0) return EXA_OK;
    snprintf(where, sizeof where, "'%s', line %llu, %s", r->origin, (unsigned long long)r->line, what);
    return exa_synapse_parse_real(text, where, value);
}

static exa_status take_id(reader *r, exa_segid *id) {
    char text[TEXT_MAX], where[512];

    EXA_TRY(take_word(r, text));
    *id = 0;
    if (strcmp(text, "null") == 0) return EXA_OK;
    snprintf(where, sizeof where, "'%s', line %llu, body ID", r->origin, (unsigned long long)r->line);
    return exa_synapse_parse_id(text, where, id);
}

static exa_status take_location(reader *r, double at[3]) {
    int n = 0;
    bool follows = true;

    EXA_TRY(take(r, '['));
    for (bool first = true;; first = false) {
        EXA_TRY(more(r, ']', first, &follows));
        if (!follows) break;
        if (n == 3) return wrong(r, "a location has three numbers");
        EXA_TRY(take_real(r, "location", &at[n++]));
    }
    if (n != 3) return wrong(r, "a location has three numbers");
    return EXA_OK;
}

static exa_status take_site(reader *r, site *s) {
    char key[TEXT_MAX];
    bool follows = true;

    *s = (site){.at = {NAN, NAN, NAN}, .confidence = NAN};
    EXA_TRY(take(r, '{'));
    s->line = r->line;
    for (bool first = true;; first = false) {
        EXA_TRY(more(r, '}', first, &follows));
        if (!follows) return EXA_OK;
        EXA_TRY(take_string(r, key));
        EXA_TRY(take(r, ':'));
        if (strcmp(key, "location") == 0) {
            EXA_TRY(take_location(r, s->at));
        } else if (strcmp(key, "body ID") == 0) {
            EXA_TRY(take_id(r, &s->body));
        } else if (strcmp(key, "confidence") == 0) {
            EXA_TRY(take_real(r, "confidence", &s->confidence));
        } else {
            EXA_TRY(skip_value(r, 0));
        }
    }
}

static exa_status take_partners(reader *r) {
    bool follows = true;

    EXA_TRY(take(r, '['));
    for (bool first = true;; first = false) {
        EXA_TRY(more(r, ']', first, &follows));
        if (!follows) return EXA_OK;
        if (r->partner_count == PARTNERS_MAX) return wrong(r, "more than %d partners", PARTNERS_MAX);
        EXA_TRY(exa_grow(&r->partners, &r->partner_capacity, sizeof *r->partners, r->partner_count + 1,
                         "partners of a synapse"));
        EXA_TRY(take_site(r, &r->partners[r->partner_count]));
        r->partner_count++;
    }
}

/* A T-bar and its partners. */
static exa_status take_synapse(reader *r) {
    char key[TEXT_MAX];
    bool follows = true, tbar = false;

    r->partner_count = r->partners_told = 0;
    EXA_TRY(take(r, '{'));
    for (bool first = true;; first = false) {
        EXA_TRY(more(r, '}', first, &follows));
        if (!follows) break;
        EXA_TRY(take_string(r, key));
        EXA_TRY(take(r, ':'));
        if (strcmp(key, "T-bar") == 0) {
            EXA_TRY(take_site(r, &r->tbar));
            tbar = true;
        } else if (strcmp(key, "partners") == 0) {
            EXA_TRY(take_partners(r));
        } else {
            EXA_TRY(skip_value(r, 0));
        }
    }
    if (!tbar) return wrong(r, "this synapse has no \"T-bar\"");
    return EXA_OK;
}

/* ---- the file ------------------------------------------------------------------------------------------------ */

/* Up to the first item of "data". */
static exa_status find_data(reader *r) {
    char key[TEXT_MAX];
    bool follows = true;

    EXA_TRY(take(r, '{'));
    for (bool first = true;; first = false) {
        EXA_TRY(more(r, '}', first, &follows));
        if (!follows) return wrong(r, "no \"data\", which a flyem-json table has");
        EXA_TRY(take_string(r, key));
        EXA_TRY(take(r, ':'));
        if (strcmp(key, "data") == 0) break;
        EXA_TRY(skip_value(r, 0));
    }
    return take(r, '[');
}

/* What stands behind "data". */
static exa_status finish_file(reader *r) {
    char key[TEXT_MAX];
    bool follows = true;

    for (;;) {
        EXA_TRY(more(r, '}', false, &follows));
        if (!follows) break;
        EXA_TRY(take_string(r, key));
        if (strcmp(key, "data") == 0) return wrong(r, "a second \"data\"");
        EXA_TRY(take(r, ':'));
        EXA_TRY(skip_value(r, 0));
    }
    skip_space(r);
    if (r->c != EOF) return wrong(r, "text behind the end");
    return EXA_OK;
}

static void place(const reader *r, const site *s, double at[3]) {
    for (int a = 0; a < 3; a++) at[a] = s->at[r->xyz ? 2 - a : a];
}

static exa_status next(void *state, exa_synapse_row *row, bool *end) {
    reader *r = state;
    bool follows = true;
    const site *s;

    while (!r->after_data && r->partners_told == r->partner_count) {
        EXA_TRY(more(r, ']', !r->begun, &follows));
        r->begun = true;
        if (follows) {
            EXA_TRY(take_synapse(r));
        } else {
            EXA_TRY(finish_file(r));
            r->after_data = true;
        }
    }
    *end = r->after_data;
    if (*end) return EXA_OK;
    s = &r->partners[r->partners_told++];
    row->line = s->line;
    row->pre = r->tbar.body;
    row->post = s->body;
    row->confidence = r->tbar.confidence;
    place(r, &r->tbar, row->pre_at);
    place(r, s, row->post_at);
    return EXA_OK;
}

static void close_reader(void *state) {
    reader *r = state;

    if (!r) return;
    fclose(r->stream);
    free(r->origin);
    free(r->partners);
    free(r);
}

exa_status exa_synapse_json_open(FILE *stream, const char *origin, const exa_synapse_options *options,
                                 exa_synapse_reader *out) {
    reader *r = NULL;
    exa_status st = exa_calloc(1, sizeof *r, "a table of synapses", &r);

    if (st != EXA_OK) {
        fclose(stream);
        return st;
    }
    r->stream = stream;
    r->line = 1;
    r->xyz = options->axes == EXA_SYNAPSE_XYZ;
    r->origin = strdup(origin);
    EXA_CHECK_GOTO(done, r->origin, EXA_ERR_MEMORY, "cannot allocate a name");
    advance(r);
    EXA_GOTO(done, find_data(r));
    *out = (exa_synapse_reader){next, close_reader, r, true, options->units, {0, 0, 0}};
    return EXA_OK;
done:
    close_reader(r);
    return st;
}
