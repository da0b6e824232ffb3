/* Settings from a google/ffn InferenceRequest: image_mean, image_stddev, model_args (JSON), inference_options. */
#include "exaconn/ffn_import.h"

#include "exaconn/file.h"
#include "exaconn/log.h"

#include "text_proto_internal.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX_REQUEST_BYTES ((size_t)1 << 20)

typedef struct request {
    const char *path;
    exa_ffn_settings *settings;
    int depth;
} request;

static exa_status parse_real(const request *r, const char *name, const char *text, float *value) {
    char *end;
    double v = strtod(text, &end);

    if (end != text && (*end == 'f' || *end == 'F')) end++;
    EXA_CHECK(end != text && *end == '\0' && isfinite(v) && fabs(v) <= 3.0e38, EXA_ERR_CONFIG,
              "request '%s': %s is '%.40s'; a number is expected", r->path, name, text);
    *value = (float)v;
    return EXA_OK;
}

static exa_status parse_integer(const request *r, const char *name, const char *text, int64_t *value) {
    char *end;

    errno = 0;
    long long v = strtoll(text, &end, 10);
    EXA_CHECK(end != text && *end == '\0' && errno == 0, EXA_ERR_CONFIG,
              "request '%s': %s is '%.40s'; a whole number is expected", r->path, name, text);
    *value = v;
    return EXA_OK;
}

/* A JSON list [x, y, z] of whole numbers, stored z, y, x. Absent is fine. */
static exa_status json_triple(const request *r, const cJSON *args, const char *name, exa_coord zyx[3],
                              unsigned bit) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(args, name), *item;
    int a = 2;

    if (!list) return EXA_OK;
    EXA_CHECK(cJSON_IsArray(list) && cJSON_GetArraySize(list) == 3, EXA_ERR_CONFIG,
              "request '%s': %s in model_args is not a list of three numbers (x, y, z)", r->path, name);
    cJSON_ArrayForEach(item, list) {
        EXA_CHECK(cJSON_IsNumber(item) && item->valuedouble == floor(item->valuedouble) &&
                      fabs(item->valuedouble) < 1e9,
                  EXA_ERR_CONFIG, "request '%s': %s in model_args holds something else than whole numbers", r->path,
                  name);
        zyx[a--] = (exa_coord)item->valuedouble;
    }
    r->settings->given |= bit;
    return EXA_OK;
}

static exa_status read_model_args(request *r, const cJSON *args) {
    const cJSON *depth = cJSON_GetObjectItemCaseSensitive(args, "depth");

    EXA_CHECK(cJSON_IsObject(args), EXA_ERR_CONFIG, "request '%s': model_args is not a JSON object", r->path);
    EXA_CHECK(!depth ||
                  (cJSON_IsNumber(depth) && depth->valuedouble >= 1 && depth->valuedouble <= EXA_FFN_MAX_DEPTH &&
                   depth->valuedouble == floor(depth->valuedouble)),
              EXA_ERR_CONFIG, "request '%s': depth in model_args is not a whole number from 1 to %d", r->path,
              EXA_FFN_MAX_DEPTH);
    if (depth) r->depth = (int)depth->valuedouble;
    EXA_TRY(json_triple(r, args, "fov_size", r->settings->fov, EXA_FFN_GIVEN_FOV));
    return json_triple(r, args, "deltas", r->settings->deltas, EXA_FFN_GIVEN_DELTAS);
}

static exa_status parse_model_args(request *r, const char *text) {
    cJSON *args = cJSON_Parse(text);
    EXA_CHECK(args, EXA_ERR_CONFIG, "request '%s': model_args is not valid JSON: %.80s", r->path, text);
    exa_status st = read_model_args(r, args);
    cJSON_Delete(args);
    return st;
}

/* inference_options; `known` tells whether the name means something here. */
static exa_status visit_option(request *r, const char *name, const char *value, bool *known) {
    exa_ffn_options *o = &r->settings->options;
    const struct {
        const char *name;
        float *value;
        unsigned bit;
    } reals[] = {{"init_activation", &o->init_activation, EXA_FFN_GIVEN_INIT_ACTIVATION},
                 {"pad_value", &o->pad_value, EXA_FFN_GIVEN_PAD_VALUE},
                 {"move_threshold", &o->move_threshold, EXA_FFN_GIVEN_MOVE_THRESHOLD},
                 {"segment_threshold", &o->segment_threshold, EXA_FFN_GIVEN_SEGMENT_THRESHOLD},
                 {"disco_seed_threshold", &o->disco_seed_threshold, EXA_FFN_GIVEN_DISCO_SEED_THRESHOLD}};
    static const char boundary[] = "min_boundary_dist.";

    *known = true;
    for (size_t i = 0; i < sizeof reals / sizeof *reals; i++) {
        if (strcmp(name, reals[i].name) != 0) continue;
        r->settings->given |= reals[i].bit;
        return parse_real(r, name, value, reals[i].value);
    }
    if (strcmp(name, "min_segment_size") == 0) {
        r->settings->given |= EXA_FFN_GIVEN_MIN_SEGMENT_SIZE;
        return parse_integer(r, name, value, &o->min_segment_size);
    }
    const char *axis = strncmp(name, boundary, sizeof boundary - 1) == 0 ? name + sizeof boundary - 1 : "";
    const char *place = axis[0] && !axis[1] ? strchr("zyx", axis[0]) : NULL;
    if (place) {
        r->settings->given |= EXA_FFN_GIVEN_MIN_BOUNDARY_DIST;
        return parse_integer(r, name, value, &o->min_boundary_dist[place - "zyx"]);
    }
    *known = false;
    return EXA_OK;
}

static exa_status visit_field(void *context, const char *name, const char *value, size_t size) {
    static const char options[] = "inference_options.";
    request *r = context;
    bool known;

    EXA_CHECK(strlen(value) == size, EXA_ERR_CONFIG, "request '%s': %s holds a zero byte", r->path, name);
    if (strcmp(name, "image_mean") == 0) {
        r->settings->given |= EXA_FFN_GIVEN_IMAGE_MEAN;
        return parse_real(r, name, value, &r->settings->image_mean);
    }
    if (strcmp(name, "image_stddev") == 0) {
        r->settings->given |= EXA_FFN_GIVEN_IMAGE_STDDEV;
        return parse_real(r, name, value, &r->settings->image_stddev);
    }
    if (strcmp(name, "model_args") == 0) return parse_model_args(r, value);
    EXA_CHECK(strcmp(name, "model_name") != 0 || strstr(value, "ConvStack3DFFN"), EXA_ERR_UNSUPPORTED,
              "request '%s': model_name is '%.100s'; only convstack_3d.ConvStack3DFFNModel is supported", r->path,
              value);
    if (strncmp(name, options, sizeof options - 1) != 0) return EXA_OK; /* paths, policies: not the model's */
    EXA_TRY(visit_option(r, name + sizeof options - 1, value, &known));
    if (!known) EXA_WARN("request '%s': %s has no meaning in exaconn and is ignored", r->path, name);
    return EXA_OK;
}

exa_status exa_ffn_request_parse(const char *text, const char *path, exa_ffn_settings *settings, int *depth) {
    exa_ffn_settings found = {.options = {.min_boundary_dist = {0, 0, 0}}};
    request r = {.path = path, .settings = &found};

    EXA_TRY(exa_text_proto_parse(text, path, visit_field, &r));
    *settings = found;
    *depth = r.depth;
    return EXA_OK;
}

exa_status exa_ffn_request_read(const char *path, exa_ffn_settings *settings, int *depth) {
    char *text;
    size_t size;

    EXA_TRY(exa_file_read_all(path, MAX_REQUEST_BYTES, &text, &size));
    exa_status st = strlen(text) == size ? exa_ffn_request_parse(text, path, settings, depth)
                                         : EXA_FAIL(EXA_ERR_CONFIG, "request '%s' is not text", path);
    free(text);
    return st;
}
