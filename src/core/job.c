/* The job file: strict JSON, then the table key by key, then the rules between keys, then paths. */
#include "job_internal.h"

#include "exaconn/file.h"
#include "exaconn/suggest.h"

#include <cjson/cJSON.h>
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_KEYS 128 /* names offered as suggestions */

/* ---- unknown keys ------------------------------------------------------------------------------- */

/* The names that may stand in `section` (NULL: at the top level). */
static size_t list_names(const exa_job_section *section, const char *names[MAX_KEYS]) {
    size_t count = 0;

    for (size_t i = 0; i < exa_job_key_count && count < MAX_KEYS; i++) {
        if (exa_job_key_in(&exa_job_keys[i], section)) names[count++] = exa_job_key_name(&exa_job_keys[i]);
    }
    for (size_t i = 0; !section && i < exa_job_section_count && count < MAX_KEYS; i++) {
        names[count++] = exa_job_sections[i].name;
    }
    return count;
}

static exa_status fail_unknown(const exa_job_section *section, const char *name, const char *origin) {
    const char *names[MAX_KEYS], *near = exa_suggest(name, names, list_names(section, names));
    const char *in = section ? section->name : "", *dot = section ? "." : "";
    char known[EXA_JSON_PATH_BYTES] = "";

    if (near) {
        snprintf(known, sizeof known, "%s%s%s", in, dot, near);
    } else { /* the right name in the wrong section? */
        for (size_t i = 0; i < exa_job_key_count && !known[0]; i++) {
            const char *candidate = exa_job_key_name(&exa_job_keys[i]);
            if (exa_suggest(name, &candidate, 1)) snprintf(known, sizeof known, "%s", exa_job_keys[i].path);
        }
    }
    if (!known[0]) {
        return EXA_FAIL(EXA_ERR_CONFIG,
                        "'%s': there is no key '%s%s%.100s'. Hint: `exaconn config --defaults` prints all", origin,
                        in, dot, name);
    }
    return EXA_FAIL(EXA_ERR_CONFIG, "'%s': there is no key '%s%s%.100s'. Hint: did you mean '%s'?", origin, in, dot,
                    name, known);
}

static exa_status check_names(const cJSON *object, const exa_job_section *section, const char *origin) {
    const cJSON *item;
    char path[EXA_JSON_PATH_BYTES];

    cJSON_ArrayForEach(item, object) {
        const exa_job_section *below = section ? NULL : exa_job_find_section(item->string);
        if (!section && strcmp(item->string, "$schema") == 0) {
            EXA_CHECK(cJSON_IsString(item), EXA_ERR_CONFIG,
                      "'%s': $schema must be a text in double quotes. Hint: for example \"job.schema.json\"",
                      origin);
            continue;
        }
        if (below) {
            EXA_CHECK(cJSON_IsObject(item), EXA_ERR_CONFIG,
                      "'%s': %s must be a section. Hint: write \"%s\": { ... }", origin, below->name, below->name);
            EXA_TRY(check_names(item, below, origin));
            continue;
        }
        snprintf(path, sizeof path, "%s%s%.128s", section ? section->name : "", section ? "." : "", item->string);
        if (strchr(item->string, '.') || !exa_job_find_key(path))
            return fail_unknown(section, item->string, origin);
    }
    return EXA_OK;
}

/* ---- values ------------------------------------------------------------------------------------- */

static const cJSON *find_item(const cJSON *root, const exa_job_key *key) {
    const char *dot = strchr(key->path, '.');
    char section[64];

    if (!dot) return cJSON_GetObjectItemCaseSensitive(root, key->path);
    snprintf(section, sizeof section, "%.*s", (int)(dot - key->path), key->path);
    return cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(root, section), dot + 1);
}

static exa_status set_default(exa_job *job, const exa_job_key *key) {
    cJSON *item = cJSON_Parse(key->standard);
    exa_status st;

    EXA_CHECK(item, EXA_ERR_MEMORY, "cannot allocate memory for the default of '%s'", key->path);
    st = exa_job_set_value(job, key, item, "defaults");
    cJSON_Delete(item);
    return st;
}

static exa_status set_values(exa_job *job, const cJSON *root, const char *origin) {
    for (size_t i = 0; i < exa_job_key_count; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        const cJSON *item = find_item(root, key);
        if (item) {
            EXA_TRY(exa_job_set_value(job, key, item, origin));
        } else if (key->flags & EXA_JOB_REQUIRED) {
            return EXA_FAIL(EXA_ERR_CONFIG, "'%s': key '%s' is missing. Hint: add \"%s\": %s", origin, key->path,
                            key->path, key->standard);
        } else {
            EXA_TRY(set_default(job, key));
        }
    }
    return EXA_OK;
}

/* What the table cannot say; exa_job_schema says the same in its own words. */
static exa_status check_rules(const exa_job *job, const char *origin) {
    bool list = job->seeds.policy == EXA_JOB_SEEDS_LIST;

    EXA_CHECK(
        !list || job->seeds.points || job->seeds.file, EXA_ERR_CONFIG,
        "'%s': seeds.policy is list, but there is neither seeds.points nor seeds.file. Hint: give one of them",
        origin);
    EXA_CHECK(!list || !job->seeds.points || !job->seeds.file, EXA_ERR_CONFIG,
              "'%s': seeds.points and seeds.file are both given. Hint: remove one of them", origin);
    EXA_CHECK(list || (!job->seeds.points && !job->seeds.file), EXA_ERR_CONFIG,
              "'%s': seeds.%s is given, but seeds.policy is not list. Hint: add \"policy\": \"list\" to seeds",
              origin, job->seeds.points ? "points" : "file");
    return EXA_OK;
}

/* ---- paths -------------------------------------------------------------------------------------- */

/* "precomputed://...", "phantom:seed=7": letters, then "://", or a scheme of ours. "a.h5:/raw" is a file. */
static bool has_scheme(const char *name) {
    const char *p = name;

    while (isalnum((unsigned char)*p) || *p == '+') p++;
    return p > name && (strncmp(p, "://", 3) == 0 || strncmp(name, "phantom:", 8) == 0);
}

static exa_status resolve_paths(exa_job *job, const char *base_dir, const char *origin) {
    for (size_t i = 0; i < exa_job_key_count; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        char **field = (char **)((char *)job + key->offset), *joined;
        const char *name;
        size_t bytes;

        if ((key->kind != EXA_JOB_FILE && key->kind != EXA_JOB_VOLUME) || !*field) continue;
        if (**field == '/' || (key->kind == EXA_JOB_VOLUME && has_scheme(*field))) continue;
        name = *field;
        while (strncmp(name, "./", 2) == 0 && name[2] && name[2] != '/') name += 2;
        bytes = strlen(base_dir) + strlen(name) + 2;
        joined = malloc(bytes);
        EXA_CHECK(joined, EXA_ERR_MEMORY, "cannot allocate memory for the path of '%s'", key->path);
        snprintf(joined, bytes, "%s%s%s", base_dir, base_dir[strlen(base_dir) - 1] == '/' ? "" : "/", name);
        free(*field);
        *field = joined;
        EXA_CHECK(exa_job_count_characters(joined) <= EXA_JOB_MAX_TEXT, EXA_ERR_RANGE,
                  "'%s': %s is too long below the job's folder: %zu bytes. Hint: at most %d characters are allowed",
                  origin, key->path, bytes - 1, EXA_JOB_MAX_TEXT);
    }
    return EXA_OK;
}

/* ---- the public functions ----------------------------------------------------------------------- */

void exa_job_destroy(exa_job *job) {
    if (!job) return;
    for (size_t i = 0; i < exa_job_key_count; i++) exa_job_free_value(job, &exa_job_keys[i]);
    memset(job, 0, sizeof *job);
}

exa_status exa_job_defaults(exa_job *job) {
    exa_job fresh;
    exa_status st = EXA_OK;

    memset(&fresh, 0, sizeof fresh);
    for (size_t i = 0; i < exa_job_key_count && st == EXA_OK; i++) st = set_default(&fresh, &exa_job_keys[i]);
    if (st != EXA_OK) {
        exa_job_destroy(&fresh);
        return st;
    }
    *job = fresh;
    return EXA_OK;
}

exa_status exa_job_parse(const char *text, size_t size, const char *origin, const char *base_dir, exa_job *job) {
    cJSON *root = NULL;
    exa_job fresh;
    exa_status st = EXA_OK;

    memset(&fresh, 0, sizeof fresh);
    EXA_CHECK(size <= EXA_JOB_MAX_BYTES, EXA_ERR_RANGE,
              "'%s' is too long for a job: %zu bytes. Hint: at most 64 MiB", origin, size);
    EXA_TRY(exa_json_parse(text, size, origin, EXA_ERR_CONFIG, &root));
    EXA_CHECK_GOTO(done, cJSON_IsObject(root), EXA_ERR_CONFIG,
                   "'%s' is not a job: it must be one { ... }. Hint: `exaconn config --defaults` prints an example",
                   origin);
    EXA_GOTO(done, check_names(root, NULL, origin));
    EXA_GOTO(done, set_values(&fresh, root, origin));
    EXA_GOTO(done, check_rules(&fresh, origin));
    if (base_dir && *base_dir) EXA_GOTO(done, resolve_paths(&fresh, base_dir, origin));
    *job = fresh;
    memset(&fresh, 0, sizeof fresh);
done:
    cJSON_Delete(root);
    exa_job_destroy(&fresh);
    return st;
}

exa_status exa_job_read(const char *path, exa_job *job) {
    char folder[PATH_MAX];
    char *text = NULL;
    const char *slash = strrchr(path, '/');
    size_t size = 0;
    exa_status st;

    EXA_CHECK(strlen(path) < PATH_MAX, EXA_ERR_RANGE, "the job file's path is too long (%zu bytes)", strlen(path));
    EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, &text, &size));
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    char *absolute = realpath(folder, NULL);
    EXA_CHECK_GOTO(done, absolute, EXA_ERR_IO, "cannot resolve the folder of '%s': %s", path, strerror(errno));
    st = exa_job_parse(text, size, path, absolute, job);
done:
    free(absolute);
    free(text);
    return st;
}

/* ---- files of seeds ----------------------------------------------------------------------------- */

typedef struct point_list {
    int64_t (*points)[3]; /* owned */
    size_t count, capacity;
} point_list;

static exa_status add_point(point_list *list, const double zyx[3], const char *origin, size_t line) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? 2 * list->capacity : 64;
        void *grown = realloc(list->points, capacity * sizeof *list->points);
        EXA_CHECK(grown, EXA_ERR_MEMORY, "'%s': cannot allocate memory for %zu seeds", origin, capacity);
        list->points = grown;
        list->capacity = capacity;
    }
    EXA_CHECK(list->count < EXA_JOB_MAX_FILE_POINTS, EXA_ERR_RANGE, "'%s' holds more than %d seeds. Hint: split it",
              origin, EXA_JOB_MAX_FILE_POINTS);
    for (int axis = 0; axis < 3; axis++) {
        EXA_CHECK(isfinite(zyx[axis]) && zyx[axis] == floor(zyx[axis]) && zyx[axis] >= 0 &&
                      zyx[axis] <= EXA_JOB_MAX_INTEGER,
                  EXA_ERR_FORMAT, "'%s', %s %zu: %.17g is no voxel coordinate. Hint: integers z y x, from 0",
                  origin, line ? "line" : "point", line ? line : list->count + 1, zyx[axis]);
        list->points[list->count][axis] = (int64_t)zyx[axis];
    }
    list->count++;
    return EXA_OK;
}

static exa_status read_json_points(const char *text, size_t size, const char *origin, point_list *list) {
    cJSON *root = NULL;
    const cJSON *item;
    exa_status st = EXA_OK;

    EXA_TRY(exa_json_parse(text, size, origin, EXA_ERR_FORMAT, &root));
    cJSON_ArrayForEach(item, root) {
        double zyx[3];
        EXA_CHECK_GOTO(done, cJSON_IsArray(item) && cJSON_GetArraySize(item) == 3, EXA_ERR_FORMAT,
                       "'%s', point %zu: not three numbers. Hint: [[z, y, x], ...]", origin, list->count + 1);
        for (int axis = 0; axis < 3; axis++) {
            const cJSON *number = cJSON_GetArrayItem(item, axis);
            zyx[axis] = cJSON_IsNumber(number) ? number->valuedouble : (double)NAN;
        }
        EXA_GOTO(done, add_point(list, zyx, origin, 0));
    }
done:
    cJSON_Delete(root);
    return st;
}

/* One line, terminated; a comment or nothing is fine. */
static exa_status read_text_point(char *line, size_t number, const char *origin, point_list *list) {
    double zyx[3];
    char *p = line, *end;

    line[strcspn(line, "#\r")] = 0;
    p += strspn(p, " \t");
    if (!*p) return EXA_OK;
    for (int axis = 0; axis < 3; axis++) {
        zyx[axis] = strtod(p, &end);
        EXA_CHECK(end > p, EXA_ERR_FORMAT, "'%s', line %zu: not three numbers. Hint: write \"z y x\"", origin,
                  number);
        p = end + strspn(end, " \t");
        if (axis < 2 && *p == ',') p += 1 + strspn(p + 1, " \t");
    }
    EXA_CHECK(!*p, EXA_ERR_FORMAT, "'%s', line %zu: more than three numbers. Hint: write \"z y x\"", origin,
              number);
    return add_point(list, zyx, origin, number);
}

static exa_status read_text_points(const char *text, size_t size, const char *origin, point_list *list) {
    const char *at = text, *end = text + size;
    char line[256];

    for (size_t number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        size_t length = (size_t)((stop ? stop : end) - at);
        EXA_CHECK(length < sizeof line && !memchr(at, 0, length), EXA_ERR_FORMAT,
                  "'%s', line %zu: not three numbers. Hint: write \"z y x\"", origin, number);
        memcpy(line, at, length);
        line[length] = 0;
        EXA_TRY(read_text_point(line, number, origin, list));
        at += length + 1;
    }
    return EXA_OK;
}

exa_status exa_job_parse_points(const char *text, size_t size, const char *origin, int64_t (**points)[3],
                                size_t *count) {
    point_list list = {0};
    size_t first = 0;
    exa_status st;

    while (first < size && text[first] && strchr(" \t\r\n", text[first])) first++;
    st = first < size && text[first] == '[' ? read_json_points(text, size, origin, &list)
                                            : read_text_points(text, size, origin, &list);
    if (st == EXA_OK && list.count == 0) {
        st = EXA_FAIL(EXA_ERR_FORMAT, "'%s' holds no seeds. Hint: write one \"z y x\" a line", origin);
    }
    if (st != EXA_OK) {
        free(list.points);
        return st;
    }
    *points = list.points;
    *count = list.count;
    return EXA_OK;
}
