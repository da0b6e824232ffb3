/* One value of a job: from JSON into its field with every check of the table, and back. */
#include "job_internal.h"

#include "exaconn/suggest.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The place of a complaint: the file, the key and, in lists, the element. */
typedef struct place {
    const char *origin;
    const exa_job_key *key;
    char path[96];
} place;

static exa_status fail_type(const place *p, const char *expected) {
    const exa_job_key *key = p->key;

    return EXA_FAIL(EXA_ERR_CONFIG, "'%s': %s must be %s%s. Hint: for example \"%s\": %s", p->origin, p->path,
                    expected, key->flags & EXA_JOB_NULLABLE ? " or null" : "", exa_job_key_name(key),
                    key->example ? key->example : key->standard);
}

static exa_status fail_range(const place *p, double value) {
    const exa_job_key *key = p->key;

    return EXA_FAIL(EXA_ERR_RANGE,
                    "'%s': %s is %.17g, which is out of range. Hint: it must be %s %.16g and %s %.16g", p->origin,
                    p->path, value, key->flags & EXA_JOB_ABOVE_MINIMUM ? "above" : "at least", key->minimum,
                    key->flags & EXA_JOB_BELOW_MAXIMUM ? "below" : "at most", key->maximum);
}

/* ---- single values ------------------------------------------------------------------------------ */

static exa_status read_real(const place *p, const cJSON *item, double *value) {
    const exa_job_key *key = p->key;
    double v;

    if (!cJSON_IsNumber(item)) return fail_type(p, "a number");
    v = item->valuedouble;
    if (!isfinite(v) || v < key->minimum || v > key->maximum ||
        ((key->flags & EXA_JOB_ABOVE_MINIMUM) && v <= key->minimum) ||
        ((key->flags & EXA_JOB_BELOW_MAXIMUM) && v >= key->maximum)) {
        return fail_range(p, v);
    }
    *value = v;
    return EXA_OK;
}

static exa_status read_integer(const place *p, const cJSON *item, int64_t *value) {
    double v;

    if (!cJSON_IsNumber(item)) return fail_type(p, "an integer");
    v = item->valuedouble;
    if (isfinite(v) && v != floor(v)) return fail_type(p, "an integer, without a fraction");
    EXA_TRY(read_real(p, item, &v));
    *value = (int64_t)v;
    return EXA_OK;
}

size_t exa_job_count_characters(const char *text) {
    size_t count = 0;

    for (; *text; text++) count += ((unsigned char)*text & 0xC0) != 0x80;
    return count;
}

static exa_status read_text(const place *p, const cJSON *item, char **value) {
    size_t length;

    if (!cJSON_IsString(item)) return fail_type(p, "a text in double quotes");
    length = exa_job_count_characters(item->valuestring);
    EXA_CHECK(length > 0, EXA_ERR_CONFIG, "'%s': %s is an empty text. Hint: for example \"%s\": %s", p->origin,
              p->path, exa_job_key_name(p->key), p->key->example ? p->key->example : p->key->standard);
    EXA_CHECK(length <= EXA_JOB_MAX_TEXT, EXA_ERR_RANGE,
              "'%s': %s has %zu characters. Hint: at most %d are allowed", p->origin, p->path, length,
              EXA_JOB_MAX_TEXT);
    *value = strdup(item->valuestring);
    EXA_CHECK(*value, EXA_ERR_MEMORY, "'%s': cannot allocate memory for %s", p->origin, p->path);
    return EXA_OK;
}

static exa_status read_name(const place *p, const cJSON *item, int *value) {
    const exa_job_key *key = p->key;
    char all[256] = "";
    size_t count = 0, used = 0;
    const char *near;

    for (; key->names[count]; count++) {
        if (cJSON_IsString(item) && strcmp(item->valuestring, key->names[count]) == 0) {
            *value = (int)count;
            return EXA_OK;
        }
        used += (size_t)snprintf(all + used, sizeof all - used, "%s\"%s\"", count ? ", " : "", key->names[count]);
    }
    if (!cJSON_IsString(item)) {
        return EXA_FAIL(EXA_ERR_CONFIG, "'%s': %s must be a name. Hint: one of %s", p->origin, p->path, all);
    }
    near = exa_suggest(item->valuestring, key->names, count);
    return EXA_FAIL(EXA_ERR_CONFIG, "'%s': %s cannot be \"%.80s\". Hint: %s%s%sone of %s", p->origin, p->path,
                    item->valuestring, near ? "did you mean \"" : "", near ? near : "", near ? "\"? It is " : "",
                    all);
}

/* ---- lists -------------------------------------------------------------------------------------- */

static void set_element(place *p, const char *outer, size_t i) {
    snprintf(p->path, sizeof p->path, "%.60s[%zu]", outer, i);
}

static exa_status read_triple(place *p, const cJSON *item, int64_t *integers, double *reals) {
    char outer[sizeof p->path];
    const cJSON *element;
    size_t i = 0;

    if (!cJSON_IsArray(item) || cJSON_GetArraySize(item) != 3) return fail_type(p, "three numbers [z, y, x]");
    memcpy(outer, p->path, sizeof outer);
    cJSON_ArrayForEach(element, item) {
        set_element(p, outer, i);
        EXA_TRY(integers ? read_integer(p, element, &integers[i]) : read_real(p, element, &reals[i]));
        i++;
    }
    memcpy(p->path, outer, sizeof outer);
    return EXA_OK;
}

/* `width` integers an element: 1 for a plain list, 3 for points. */
static exa_status read_list(place *p, const cJSON *item, size_t width, size_t most, int64_t **list, size_t *count) {
    const char *what = width == 3 ? "a list of points [z, y, x]" : "a list of integers";
    char outer[sizeof p->path];
    const cJSON *element;
    size_t n = 0, i = 0;
    exa_status st = EXA_OK;
    int64_t *values;

    if (!cJSON_IsArray(item) || !item->child) return fail_type(p, what);
    cJSON_ArrayForEach(element, item) n++;
    EXA_CHECK(n <= most, EXA_ERR_RANGE, "'%s': %s has %zu elements. Hint: at most %zu are allowed%s", p->origin,
              p->path, n, most, width == 3 ? "; more go into seeds.file" : "");
    values = malloc(n * width * sizeof *values);
    EXA_CHECK(values, EXA_ERR_MEMORY, "'%s': cannot allocate memory for %s", p->origin, p->path);
    memcpy(outer, p->path, sizeof outer);
    cJSON_ArrayForEach(element, item) {
        set_element(p, outer, i);
        EXA_GOTO(done,
                 width == 3 ? read_triple(p, element, values + 3 * i, NULL) : read_integer(p, element, values + i));
        i++;
    }
done:
    if (st != EXA_OK) {
        free(values);
        return st;
    }
    *list = values;
    *count = n;
    return EXA_OK;
}

/* ---- the field ---------------------------------------------------------------------------------- */

static void *field_of(exa_job *job, size_t offset) {
    return (char *)job + offset;
}

static bool *given_of(exa_job *job, const exa_job_key *key) {
    switch (key->kind) {
    case EXA_JOB_INTEGER: return &((exa_job_integer *)field_of(job, key->offset))->given;
    case EXA_JOB_REAL: return &((exa_job_real *)field_of(job, key->offset))->given;
    case EXA_JOB_TRIPLE: return &((exa_job_triple *)field_of(job, key->offset))->given;
    case EXA_JOB_REALS3: return &((exa_job_reals3 *)field_of(job, key->offset))->given;
    default: return NULL;
    }
}

static exa_status read_value(place *p, const cJSON *item, exa_job *job) {
    const exa_job_key *key = p->key;
    void *field = field_of(job, key->offset);
    size_t *count = field_of(job, key->count_offset);
    int number = 0;

    switch (key->kind) {
    case EXA_JOB_FILE:
    case EXA_JOB_VOLUME: return read_text(p, item, field);
    case EXA_JOB_BOOL:
        if (!cJSON_IsBool(item)) return fail_type(p, "true or false");
        *(bool *)field = cJSON_IsTrue(item);
        return EXA_OK;
    case EXA_JOB_INTEGER: return read_integer(p, item, field);
    case EXA_JOB_REAL: return read_real(p, item, field);
    case EXA_JOB_NAME:
        EXA_TRY(read_name(p, item, &number));
        memcpy(field, &number, sizeof number); /* all our enums are as wide as an int */
        return EXA_OK;
    case EXA_JOB_TRIPLE: return read_triple(p, item, field, NULL);
    case EXA_JOB_REALS3: return read_triple(p, item, NULL, field);
    case EXA_JOB_INTEGERS: return read_list(p, item, 1, EXA_JOB_MAX_INTEGERS, field, count);
    case EXA_JOB_POINTS: return read_list(p, item, 3, EXA_JOB_MAX_POINTS, field, count);
    }
    return EXA_FAIL(EXA_ERR_INTERNAL, "key '%s' has no kind", key->path);
}

exa_status exa_job_set_value(exa_job *job, const exa_job_key *key, const cJSON *item, const char *origin) {
    place p = {.origin = origin, .key = key};
    bool *given = key->flags & EXA_JOB_NULLABLE ? given_of(job, key) : NULL;

    snprintf(p.path, sizeof p.path, "%s", key->path);
    if (cJSON_IsNull(item) && (key->flags & EXA_JOB_NULLABLE)) return EXA_OK; /* the field is zeroed */
    EXA_TRY(read_value(&p, item, job));
    if (given) *given = true;
    return EXA_OK;
}

void exa_job_free_value(exa_job *job, const exa_job_key *key) {
    switch (key->kind) {
    case EXA_JOB_FILE:
    case EXA_JOB_VOLUME:
    case EXA_JOB_INTEGERS:
    case EXA_JOB_POINTS: free(*(void **)field_of(job, key->offset)); break;
    default: break;
    }
}

/* ---- back to JSON ------------------------------------------------------------------------------- */

static void write_integers(exa_json_text *text, const int64_t *values, size_t count) {
    exa_json_text_add(text, "[");
    for (size_t i = 0; i < count; i++) exa_json_text_add(text, "%s%lld", i ? ", " : "", (long long)values[i]);
    exa_json_text_add(text, "]");
}

static void write_reals(exa_json_text *text, const double *values, size_t count) {
    exa_json_text_add(text, "[");
    for (size_t i = 0; i < count; i++) {
        exa_json_text_add(text, i ? ", " : "");
        exa_json_text_add_real(text, values[i]);
    }
    exa_json_text_add(text, "]");
}

static void write_points(exa_json_text *text, const int64_t (*points)[3], size_t count) {
    exa_json_text_add(text, "[");
    for (size_t i = 0; i < count; i++) {
        if (i) exa_json_text_add(text, ", ");
        write_integers(text, points[i], 3);
    }
    exa_json_text_add(text, "]");
}

static bool is_null(const exa_job *job, const exa_job_key *key) {
    const bool *given;

    if (!(key->flags & EXA_JOB_NULLABLE)) return false;
    given = given_of((exa_job *)job, key);
    return given ? !*given : !*(void *const *)((const char *)job + key->offset);
}

void exa_job_write_value(const exa_job *job, const exa_job_key *key, exa_json_text *text) {
    const void *field = (const char *)job + key->offset;
    const void *count = (const char *)job + key->count_offset;
    int number;

    if (is_null(job, key)) {
        exa_json_text_add(text, "null");
        return;
    }
    switch (key->kind) {
    case EXA_JOB_FILE:
    case EXA_JOB_VOLUME: exa_json_text_add_string(text, *(char *const *)field); break;
    case EXA_JOB_BOOL: exa_json_text_add(text, *(const bool *)field ? "true" : "false"); break;
    case EXA_JOB_INTEGER: exa_json_text_add(text, "%lld", (long long)*(const int64_t *)field); break;
    case EXA_JOB_REAL: exa_json_text_add_real(text, *(const double *)field); break;
    case EXA_JOB_NAME:
        memcpy(&number, field, sizeof number);
        exa_json_text_add_string(text, key->names[number]);
        break;
    case EXA_JOB_TRIPLE: write_integers(text, field, 3); break;
    case EXA_JOB_REALS3: write_reals(text, field, 3); break;
    case EXA_JOB_INTEGERS: write_integers(text, *(int64_t *const *)field, *(const size_t *)count); break;
    case EXA_JOB_POINTS: write_points(text, *(int64_t(*const *)[3])field, *(const size_t *)count); break;
    }
}
