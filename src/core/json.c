/* A strict scan of the text first (grammar, UTF-8, depth), then cJSON, then a look for duplicate keys in its tree.
 */
#include "exaconn/json.h"

#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NUMBER 60 /* characters; cJSON cuts longer ones */

typedef struct scanner {
    const unsigned char *text;
    const char *origin;
    size_t size, at;
    exa_status bad;
} scanner;

/* ---- errors with a place ------------------------------------------------------------------------ */

static exa_status fail_at(const scanner *s, size_t at, const char *what, const char *hint) {
    size_t line = 1, column = 1;

    for (size_t i = 0; i < at && i < s->size; i++) {
        if (s->text[i] == '\n') {
            line++;
            column = 1;
        } else if ((s->text[i] & 0xC0) != 0x80) {
            column++;
        }
    }
    return EXA_FAIL(s->bad, "'%s' line %zu, column %zu: %s. Hint: %s", s->origin, line, column, what, hint);
}

static exa_status fail_here(const scanner *s, const char *what, const char *hint) {
    return fail_at(s, s->at, s->at >= s->size ? "the text ends too early" : what,
                   s->at >= s->size ? "a closing brace, bracket or quote is missing" : hint);
}

/* ---- the scan ----------------------------------------------------------------------------------- */

static int peek(const scanner *s) {
    return s->at < s->size ? s->text[s->at] : -1;
}

static void skip_space(scanner *s) {
    while (s->at < s->size && strchr(" \t\r\n", s->text[s->at]) && s->text[s->at]) s->at++;
}

static bool is_digit(int c) {
    return c >= '0' && c <= '9';
}

/* Length of the well-formed UTF-8 sequence here (Unicode table 3-7), 0 if there is none. */
static size_t utf8_length(const unsigned char *p, size_t left) {
    unsigned lowest = 0x80, highest = 0xBF;
    size_t length;

    if (p[0] < 0x80) return 1;
    if (p[0] < 0xC2 || p[0] > 0xF4) return 0;
    length = p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (left < length) return 0;
    if (p[0] == 0xE0) lowest = 0xA0;
    if (p[0] == 0xED) highest = 0x9F;
    if (p[0] == 0xF0) lowest = 0x90;
    if (p[0] == 0xF4) highest = 0x8F;
    if (p[1] < lowest || p[1] > highest) return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80) return 0;
    }
    return length;
}

static int hex_value(int c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Four hex digits at `at`; -1 if they are not. */
static long hex4(const scanner *s, size_t at) {
    long value = 0;

    for (size_t i = at; i < at + 4; i++) {
        int digit = i < s->size ? hex_value(s->text[i]) : -1;
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

/* After the backslash. */
static exa_status scan_escape(scanner *s) {
    int c = peek(s);
    long unit;

    if (c > 0 && strchr("\"\\/bfnrt", c)) {
        s->at++;
        return EXA_OK;
    }
    if (c != 'u') return fail_here(s, "unknown escape in a string", "write \\\\ for a backslash");
    unit = hex4(s, s->at + 1);
    if (unit < 0) return fail_here(s, "\\u needs four hexadecimal digits", "for example \\u00e9");
    if (unit == 0) return fail_here(s, "\\u0000 in a string", "no value may hold the zero character");
    s->at += 5;
    if (unit >= 0xD800 && unit <= 0xDBFF) {
        long low = peek(s) == '\\' && s->at + 1 < s->size && s->text[s->at + 1] == 'u' ? hex4(s, s->at + 2) : -1;
        if (low < 0xDC00 || low > 0xDFFF)
            return fail_here(s, "half a surrogate pair", "write the character itself");
        s->at += 6;
    } else if (unit >= 0xDC00 && unit <= 0xDFFF) {
        return fail_here(s, "half a surrogate pair", "write the character itself");
    }
    return EXA_OK;
}

static exa_status scan_string(scanner *s) {
    size_t begin = s->at++;

    for (;;) {
        int c = peek(s);
        size_t length;
        if (c < 0) return fail_at(s, begin, "this string is never closed", "add the closing quote");
        if (c == '"') {
            s->at++;
            return EXA_OK;
        }
        if (c < 0x20)
            return fail_here(s, "a line break or control character in a string", "write it as \\n or \\t");
        if (c == '\\') {
            s->at++;
            EXA_TRY(scan_escape(s));
            continue;
        }
        length = utf8_length(s->text + s->at, s->size - s->at);
        if (!length) return fail_here(s, "not UTF-8", "save the file as UTF-8");
        s->at += length;
    }
}

static size_t scan_digits(scanner *s) {
    size_t begin = s->at;

    while (is_digit(peek(s))) s->at++;
    return s->at - begin;
}

static exa_status scan_number(scanner *s) {
    static const char hint[] = "numbers look like 12, -0.5 or 1e-3";
    size_t begin = s->at;

    if (peek(s) == '-') s->at++;
    if (peek(s) == '0') {
        s->at++;
        if (is_digit(peek(s))) return fail_at(s, begin, "a number with leading zeros", hint);
    } else if (scan_digits(s) == 0) {
        return fail_at(s, begin, "this is no number", hint);
    }
    if (peek(s) == '.') {
        s->at++;
        if (scan_digits(s) == 0) return fail_at(s, begin, "this is no number", hint);
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') s->at++;
        if (scan_digits(s) == 0) return fail_at(s, begin, "this is no number", hint);
    }
    if (s->at - begin > MAX_NUMBER) return fail_at(s, begin, "this number is too long", "17 digits are enough");
    return EXA_OK;
}

static exa_status scan_word(scanner *s) {
    static const char *const words[] = {"true", "false", "null"};

    for (size_t i = 0; i < 3; i++) {
        size_t length = strlen(words[i]);
        if (s->size - s->at >= length && memcmp(s->text + s->at, words[i], length) == 0) {
            s->at += length;
            return EXA_OK;
        }
    }
    return fail_here(s, "a value was expected",
                     "values are \"text\", numbers, true, false, null, [lists] and {sections}; "
                     "JSON has no comments, no NaN and no comma after the last value");
}

static exa_status scan_value(scanner *s, int depth);

static exa_status scan_key(scanner *s) {
    if (peek(s) != '"') return fail_here(s, "a key in double quotes was expected", "no comma follows the last key");
    EXA_TRY(scan_string(s));
    skip_space(s);
    if (peek(s) != ':') return fail_here(s, "':' was expected after the key", "write \"key\": value");
    s->at++;
    return EXA_OK;
}

/* An object or array; s->at is at its opening bracket. */
static exa_status scan_list(scanner *s, bool object, int depth) {
    const int close = object ? '}' : ']';

    if (depth >= EXA_JSON_MAX_DEPTH) return fail_here(s, "nested too deeply", "at most 32 levels");
    s->at++;
    skip_space(s);
    if (peek(s) == close) {
        s->at++;
        return EXA_OK;
    }
    for (;;) {
        skip_space(s);
        if (object) EXA_TRY(scan_key(s));
        EXA_TRY(scan_value(s, depth + 1));
        skip_space(s);
        if (peek(s) == close) {
            s->at++;
            return EXA_OK;
        }
        if (peek(s) != ',') {
            return fail_here(s, object ? "',' or '}' was expected" : "',' or ']' was expected",
                             "is a comma missing at the end of the line before?");
        }
        s->at++;
    }
}

static exa_status scan_value(scanner *s, int depth) {
    int c;

    skip_space(s);
    c = peek(s);
    if (c == '{' || c == '[') return scan_list(s, c == '{', depth);
    if (c == '"') return scan_string(s);
    if (c == '-' || is_digit(c)) return scan_number(s);
    return scan_word(s);
}

/* ---- duplicate keys ----------------------------------------------------------------------------- */

static int compare_names(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static exa_status check_object(const cJSON *object, const char *path, const scanner *s) {
    size_t count = 0, n = 0;
    const char **names;
    const cJSON *item;
    exa_status st = EXA_OK;

    cJSON_ArrayForEach(item, object) count++;
    if (count < 2) return EXA_OK;
    names = malloc(count * sizeof *names);
    EXA_CHECK(names, EXA_ERR_MEMORY, "'%s': cannot allocate memory for %zu keys", s->origin, count);
    cJSON_ArrayForEach(item, object) names[n++] = item->string;
    qsort(names, count, sizeof *names, compare_names);
    for (size_t i = 1; i < count && st == EXA_OK; i++) {
        if (strcmp(names[i - 1], names[i]) == 0) {
            st = EXA_FAIL(s->bad, "'%s': key '%s%s%.100s' is there twice. Hint: remove one of them", s->origin,
                          path, *path ? "." : "", names[i]);
        }
    }
    free(names);
    return st;
}

static exa_status check_duplicates(const cJSON *item, const char *path, const scanner *s) {
    char below[EXA_JSON_PATH_BYTES];
    const cJSON *child;
    size_t i = 0;

    if (cJSON_IsObject(item)) EXA_TRY(check_object(item, path, s));
    cJSON_ArrayForEach(child, item) {
        if (child->child) {
            if (child->string) {
                snprintf(below, sizeof below, "%.150s%s%.100s", path, *path ? "." : "", child->string);
            } else {
                snprintf(below, sizeof below, "%.150s[%zu]", path, i);
            }
            EXA_TRY(check_duplicates(child, below, s));
        }
        i++;
    }
    return EXA_OK;
}

exa_status exa_json_parse(const char *text, size_t size, const char *origin, exa_status bad, struct cJSON **out) {
    scanner s = {.text = (const unsigned char *)text, .origin = origin, .size = size, .bad = bad};
    cJSON *tree;
    exa_status st;

    skip_space(&s);
    EXA_CHECK(s.at < size, bad, "'%s' is empty. Hint: it should hold JSON", origin);
    if (size >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        return fail_here(&s, "a byte order mark", "save the file as UTF-8 without one");
    }
    EXA_TRY(scan_value(&s, 0));
    skip_space(&s);
    if (s.at < size) return fail_here(&s, "more text after the end", "the file holds one { ... } and nothing else");
    tree = cJSON_ParseWithLengthOpts(text, size, NULL, 0);
    EXA_CHECK(tree, EXA_ERR_MEMORY, "'%s': cannot allocate memory for its %zu bytes of JSON", origin, size);
    st = check_duplicates(tree, "", &s);
    if (st != EXA_OK) {
        cJSON_Delete(tree);
        return st;
    }
    *out = tree;
    return EXA_OK;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static bool reserve(exa_json_text *text, size_t more) {
    size_t capacity = text->capacity ? text->capacity : 256;
    char *data;

    if (text->failed) return false;
    if (more > SIZE_MAX / 4 - text->size) return !(text->failed = true);
    while (capacity < text->size + more + 1) capacity *= 2;
    if (capacity == text->capacity) return true;
    data = realloc(text->data, capacity);
    if (!data) return !(text->failed = true);
    text->data = data;
    text->capacity = capacity;
    return true;
}

void exa_json_text_add(exa_json_text *text, const char *format, ...) {
    va_list args, again;
    int length;

    va_start(args, format);
    va_copy(again, args);
    length = vsnprintf(NULL, 0, format, args);
    if (length < 0) text->failed = true;
    if (length >= 0 && reserve(text, (size_t)length)) {
        vsnprintf(text->data + text->size, (size_t)length + 1, format, again);
        text->size += (size_t)length;
    }
    va_end(again);
    va_end(args);
}

void exa_json_text_add_string(exa_json_text *text, const char *value) {
    if (!value) {
        exa_json_text_add(text, "null");
        return;
    }
    exa_json_text_add(text, "\"");
    while (*value) {
        size_t plain = 0;
        while ((unsigned char)value[plain] >= 0x20 && value[plain] != '"' && value[plain] != '\\') plain++;
        exa_json_text_add(text, "%.*s", (int)plain, value);
        value += plain;
        if (!*value) break;
        if (*value == '"' || *value == '\\') {
            exa_json_text_add(text, "\\%c", *value);
        } else if (*value == '\n') {
            exa_json_text_add(text, "\\n");
        } else {
            exa_json_text_add(text, "\\u%04x", (unsigned)(unsigned char)*value);
        }
        value++;
    }
    exa_json_text_add(text, "\"");
}

void exa_json_text_add_real(exa_json_text *text, double value) {
    char digits[40];

    for (int precision = 15; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    exa_json_text_add(text, "%s", digits);
}

exa_status exa_json_text_take(exa_json_text *text, char **out) {
    exa_json_text taken = *text;

    *text = (exa_json_text){0};
    if (taken.failed || !taken.data) {
        free(taken.data);
        return EXA_FAIL(EXA_ERR_MEMORY, "cannot allocate memory for a text");
    }
    *out = taken.data;
    return EXA_OK;
}
