/* Fields are cut out of the text in place: a terminator goes where the separator was. */
#include "exaconn/delimited.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line, terminated; false at the end. */
static exa_status next_line(exa_delimited *d, char **line, size_t *length, bool *more) {
    char *begin = d->text + d->at, *end;

    *more = d->at < d->size;
    if (!*more) return EXA_OK;
    end = memchr(begin, '\n', d->size - d->at);
    if (!end) end = d->text + d->size;
    *line = begin;
    *length = (size_t)(end - begin);
    d->line++;
    d->at = (size_t)(end - d->text) + 1;
    EXA_CHECK(*length <= EXA_DELIMITED_MAX_LINE, EXA_ERR_FORMAT,
              "%s:%llu: the line has %zu bytes, more than %zu. Hint: is this a text table?", d->name,
              (unsigned long long)d->line, *length, EXA_DELIMITED_MAX_LINE);
    EXA_CHECK(!memchr(begin, 0, *length), EXA_ERR_FORMAT,
              "%s:%llu: a byte 0 in the line. Hint: this is not a text table", d->name,
              (unsigned long long)d->line);
    *end = '\0';
    return EXA_OK;
}

/* A quoted field: takes the quotes off; *p goes behind it. */
static exa_status unquote(const exa_delimited *d, char **p, const char **field) {
    char *from = *p + 1, *to = from;

    *field = from;
    while (*from && (*from != '"' || from[1] == '"')) {
        if (*from == '"') from++;
        *to++ = *from++;
    }
    EXA_CHECK(*from == '"', EXA_ERR_FORMAT, "%s:%llu: a quoted field does not end in its line", d->name,
              (unsigned long long)d->line);
    *to = '\0';
    *p = from + 1;
    while (**p && **p != d->separator && is_blank(**p)) (*p)++;
    EXA_CHECK(**p == '\0' || **p == d->separator, EXA_ERR_FORMAT, "%s:%llu: something follows a quoted field",
              d->name, (unsigned long long)d->line);
    return EXA_OK;
}

static exa_status cut_field(const exa_delimited *d, char **p, const char **field, bool *last) {
    while (**p != d->separator && is_blank(**p)) (*p)++;
    if (**p == '"') {
        EXA_TRY(unquote(d, p, field));
        *last = **p == '\0';
    } else {
        char *end = *p + strcspn(*p, (const char[]){d->separator, '\0'}), *tail = end;
        *field = *p;
        *p = end;
        *last = *end == '\0';
        while (tail > *field && is_blank(tail[-1])) tail--;
        *tail = '\0';
    }
    if (!*last) (*p)++;
    return EXA_OK;
}

static exa_status cut_line(const exa_delimited *d, char *line, const char **fields, int *count) {
    bool last = false;

    for (*count = 0; !last; (*count)++) {
        EXA_CHECK(*count < EXA_DELIMITED_MAX_COLUMNS, EXA_ERR_FORMAT, "%s:%llu: more than %d columns", d->name,
                  (unsigned long long)d->line, EXA_DELIMITED_MAX_COLUMNS);
        EXA_TRY(cut_field(d, &line, &fields[*count], &last));
    }
    return EXA_OK;
}

static bool is_skipped(const char *line) {
    while (is_blank(*line)) line++;
    return *line == '\0' || *line == '#';
}

exa_status exa_delimited_begin(exa_delimited *d, const char *name, char *text, size_t size) {
    char *line = NULL;
    size_t length;
    bool more;

    *d = (exa_delimited){.name = name, .text = text, .size = size};
    if (size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) d->at = 3;
    do {
        EXA_TRY(next_line(d, &line, &length, &more));
        EXA_CHECK(more, EXA_ERR_FORMAT, "%s: the table is empty", name);
    } while (is_skipped(line));
    d->separator = strchr(line, '\t') ? '\t' : strchr(line, ',') ? ',' : ';';
    EXA_TRY(cut_line(d, line, d->header, &d->columns));
    return EXA_OK;
}

exa_status exa_delimited_next(exa_delimited *d, bool *more) {
    char *line = NULL;
    size_t length;
    int count;

    do {
        EXA_TRY(next_line(d, &line, &length, more));
        if (!*more) return EXA_OK;
    } while (is_skipped(line));
    EXA_TRY(cut_line(d, line, d->field, &count));
    EXA_CHECK(count == d->columns, EXA_ERR_FORMAT, "%s:%llu: %d fields, but the table has %d columns", d->name,
              (unsigned long long)d->line, count, d->columns);
    return EXA_OK;
}

int exa_delimited_column(const exa_delimited *d, const char *name) {
    for (int i = 0; i < d->columns; i++)
        if (strcasecmp(d->header[i], name) == 0) return i;
    return -1;
}

const char *exa_delimited_columns(const exa_delimited *d, char *out, size_t bytes) {
    size_t n = 0;

    out[0] = '\0';
    for (int i = 0; i < d->columns && n + 1 < bytes; i++) {
        int k = snprintf(out + n, bytes - n, "%s%.40s", i ? ", " : "", d->header[i]);
        n += k > 0 ? (size_t)k : 0;
    }
    return out;
}

exa_status exa_delimited_number(const exa_delimited *d, int column, double *out) {
    const char *text = d->field[column];
    char *end;
    double value;

    errno = 0;
    value = strtod(text, &end);
    EXA_CHECK(*text && *end == '\0' && !isspace((unsigned char)*text), EXA_ERR_FORMAT,
              "%s:%llu: '%.60s' in column '%.60s' is not a number", d->name, (unsigned long long)d->line, text,
              d->header[column]);
    EXA_CHECK(isfinite(value), EXA_ERR_FORMAT, "%s:%llu: '%.60s' in column '%.60s' is not a finite number", d->name,
              (unsigned long long)d->line, text, d->header[column]);
    *out = value;
    return EXA_OK;
}
