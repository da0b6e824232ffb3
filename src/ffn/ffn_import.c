/* TensorFlow checkpoint -> FFN model: find the layers under whatever scope they have, hold them to one geometry,
 * merge the settings by strength, copy the tensors. Facts about published checkpoints are in the table below.
 */
#include "exaconn/ffn_import.h"

#include "exaconn/log.h"
#include "exaconn/tensor_bundle.h"

#include "ffn_model_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* google/ffn, models/fib25 (Apache-2.0), with the request published beside its results. */
typedef struct published {
    const char *name, *data_sha256, *source, *license;
    exa_ffn_settings settings;
} published;

static const published published_models[] = {
    {"fib25",
     "a2910768255bbb1dc5be27a947e4107dd29ccd221646b676ec225981af5526f1",
     "github.com/google/ffn models/fib25/model.ckpt-27465036",
     "Apache-2.0",
     {.given = ~0u,
      .image_mean = 128.0f,
      .image_stddev = 33.0f,
      .fov = {33, 33, 33},
      .deltas = {8, 8, 8},
      .options = {.95f, .05f, .9f, .6f, 0.0f, 1000, {1, 1, 1}}}},
};

static const published *find_published(const char *sha256) {
    for (size_t i = 0; i < sizeof published_models / sizeof *published_models; i++)
        if (strcmp(published_models[i].data_sha256, sha256) == 0) return &published_models[i];
    return NULL;
}

/* ---- settings ----------------------------------------------------------------------------------- */

/* Fields that `from` gives and `into` does not. Returns true if there were any. */
static bool fill_in(exa_ffn_settings *into, const exa_ffn_settings *from) {
    unsigned take = from->given & ~into->given;
    exa_ffn_options *o = &into->options;
    const exa_ffn_options *f = &from->options;

    if (take & EXA_FFN_GIVEN_FOV) memcpy(into->fov, from->fov, sizeof into->fov);
    if (take & EXA_FFN_GIVEN_DELTAS) memcpy(into->deltas, from->deltas, sizeof into->deltas);
    if (take & EXA_FFN_GIVEN_IMAGE_MEAN) into->image_mean = from->image_mean;
    if (take & EXA_FFN_GIVEN_IMAGE_STDDEV) into->image_stddev = from->image_stddev;
    if (take & EXA_FFN_GIVEN_INIT_ACTIVATION) o->init_activation = f->init_activation;
    if (take & EXA_FFN_GIVEN_PAD_VALUE) o->pad_value = f->pad_value;
    if (take & EXA_FFN_GIVEN_MOVE_THRESHOLD) o->move_threshold = f->move_threshold;
    if (take & EXA_FFN_GIVEN_SEGMENT_THRESHOLD) o->segment_threshold = f->segment_threshold;
    if (take & EXA_FFN_GIVEN_DISCO_SEED_THRESHOLD) o->disco_seed_threshold = f->disco_seed_threshold;
    if (take & EXA_FFN_GIVEN_MIN_SEGMENT_SIZE) o->min_segment_size = f->min_segment_size;
    if (take & EXA_FFN_GIVEN_MIN_BOUNDARY_DIST)
        memcpy(o->min_boundary_dist, f->min_boundary_dist, 3 * sizeof(int64_t));
    into->given |= take;
    return take != 0;
}

static void add_origin(exa_ffn_import_facts *facts, const char *origin) {
    size_t used = strlen(facts->settings_from);
    snprintf(facts->settings_from + used, sizeof facts->settings_from - used, "%s%s", used ? " + " : "", origin);
}

/* The four that no checkpoint has and nobody may guess. */
static exa_status check_complete(const exa_ffn_settings *s, const char *checkpoint) {
    static const struct {
        unsigned bit;
        const char *option;
    } required[] = {{EXA_FFN_GIVEN_FOV, "--fov"},
                    {EXA_FFN_GIVEN_DELTAS, "--deltas"},
                    {EXA_FFN_GIVEN_IMAGE_MEAN, "--image-mean"},
                    {EXA_FFN_GIVEN_IMAGE_STDDEV, "--image-stddev"}};
    char missing[96] = "";

    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        size_t used = strlen(missing);
        if (!(s->given & required[i].bit))
            snprintf(missing + used, sizeof missing - used, "%s%s", used ? ", " : "", required[i].option);
    }
    EXA_CHECK(
        !missing[0], EXA_ERR_CONFIG,
        "checkpoint '%s' is not one of the published ones known here, and %s is not given; a checkpoint does not "
        "hold it. Hint: pass the google/ffn request the network was run with (--request FILE.pbtxt), or "
        "--fov Z,Y,X --deltas Z,Y,X --image-mean M --image-stddev S",
        checkpoint, missing);
    return EXA_OK;
}

static exa_status gather_settings(const char *checkpoint, const char *request_path, const published *known,
                                  int depth, exa_ffn_settings *s, exa_ffn_import_facts *facts) {
    static const exa_ffn_settings defaults = {.given = ~(unsigned)(EXA_FFN_GIVEN_FOV | EXA_FFN_GIVEN_DELTAS |
                                                                   EXA_FFN_GIVEN_IMAGE_MEAN |
                                                                   EXA_FFN_GIVEN_IMAGE_STDDEV),
                                              .options = {.95f, .05f, .9f, .6f, 0.0f, 1000, {1, 1, 1}}};
    exa_ffn_settings request;
    int request_depth = 0;

    if (s->given) add_origin(facts, "command line");
    if (request_path) {
        EXA_TRY(exa_ffn_request_read(request_path, &request, &request_depth));
        EXA_CHECK(request_depth == 0 || request_depth == depth, EXA_ERR_CONFIG,
                  "request '%s' says depth %d, but checkpoint '%s' has the tensors of depth %d. Hint: this request "
                  "belongs to another network",
                  request_path, request_depth, checkpoint, depth);
        if (fill_in(s, &request)) add_origin(facts, "request");
    }
    if (known && fill_in(s, &known->settings)) {
        char origin[48];
        snprintf(origin, sizeof origin, "built-in table (%s)", known->name);
        add_origin(facts, origin);
    }
    EXA_TRY(check_complete(s, checkpoint));
    if (fill_in(s, &defaults)) add_origin(facts, "google/ffn's defaults");
    return EXA_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

typedef struct layout {
    char scope[256]; /* with its "/" or empty */
    int depth, features;
} layout;

/* True for "SCOPEconv0_a/weights": the scope's length. */
static bool find_scope(const char *name, size_t *length) {
    static const char mark[] = "conv0_a/weights";
    size_t size = strlen(name), tail = sizeof mark - 1;

    if (size < tail || strcmp(name + size - tail, mark) != 0) return false;
    if (size > tail && name[size - tail - 1] != '/') return false;
    *length = size - tail;
    return true;
}

static exa_status locate(const exa_tensor_bundle *b, layout *l) {
    exa_tensor_info info, found = {0};
    size_t length = 0, at;
    char name[512];

    for (size_t i = 0; i < exa_tensor_bundle_count(b); i++) {
        EXA_TRY(exa_tensor_bundle_info(b, i, &info));
        if (!find_scope(info.name, &at)) continue;
        EXA_CHECK(!found.name, EXA_ERR_FORMAT, "two networks in one checkpoint: '%.200s' and '%.200s'", found.name,
                  info.name);
        found = info;
        length = at;
    }
    EXA_CHECK(found.name, EXA_ERR_FORMAT,
              "no tensor '.../conv0_a/weights'. Hint: this is not a checkpoint of "
              "google/ffn's convstack_3d network");
    EXA_CHECK(length < sizeof l->scope, EXA_ERR_UNSUPPORTED, "the scope of '%.300s' is too long", found.name);
    memcpy(l->scope, found.name, length);
    l->scope[length] = '\0';
    EXA_CHECK(found.rank == 5 && found.shape[4] >= 1 && found.shape[4] <= EXA_FFN_MAX_FEATURES, EXA_ERR_FORMAT,
              "tensor '%.200s' has %d dimensions with %lld features at the end; 5 with at most %d are expected",
              found.name, found.rank, (long long)(found.rank ? found.shape[found.rank - 1] : 0),
              EXA_FFN_MAX_FEATURES);
    l->features = (int)found.shape[4];
    EXA_CHECK(l->features % 8 == 0, EXA_ERR_UNSUPPORTED,
              "tensor '%.200s' has %d features; exaconn runs multiples of 8", found.name, l->features);
    for (l->depth = 1; l->depth <= EXA_FFN_MAX_DEPTH; l->depth++) {
        snprintf(name, sizeof name, "%sconv%d_a/weights", l->scope, l->depth);
        if (exa_tensor_bundle_find(b, name, &at) != EXA_OK) break;
    }
    return EXA_OK;
}

static exa_status check_tensor(const exa_tensor_bundle *b, const char *name, const int64_t *shape, int rank) {
    size_t i;

    EXA_CHECK(exa_tensor_bundle_find(b, name, &i) == EXA_OK, EXA_ERR_FORMAT,
              "tensor '%s' is missing. Hint: the checkpoint is of another network, or its index was damaged", name);
    return exa_tensor_bundle_expect(b, i, name, shape, rank);
}

static exa_status check_tensors(const exa_tensor_bundle *b, const layout *l) {
    for (int i = 0; i <= 2 * l->depth; i++) {
        exa_ffn_layer layer;
        int64_t shape[5];
        char name[512];
        exa_ffn_layer_describe(l->depth, l->features, i, &layer);
        exa_ffn_layer_shape(&layer, shape);
        snprintf(name, sizeof name, "%s%s/weights", l->scope, layer.name);
        EXA_TRY(check_tensor(b, name, shape, 5));
        snprintf(name, sizeof name, "%s%s/biases", l->scope, layer.name);
        EXA_TRY(check_tensor(b, name, shape + 4, 1));
    }
    return EXA_OK;
}

/* The part of `name` behind "SCOPE/LAYER/weights" or ".../biases": empty for the tensor itself, NULL for others. */
static const char *behind_tensor(const layout *l, const char *name) {
    static const char *const parts[] = {"/weights", "/biases"};
    size_t scope = strlen(l->scope);

    if (strncmp(name, l->scope, scope) != 0) return NULL;
    for (int i = 0; i <= 2 * l->depth; i++) {
        exa_ffn_layer layer;
        exa_ffn_layer_describe(l->depth, l->features, i, &layer);
        size_t length = strlen(layer.name);
        if (strncmp(name + scope, layer.name, length) != 0) continue;
        for (int p = 0; p < 2; p++)
            if (strncmp(name + scope + length, parts[p], strlen(parts[p])) == 0)
                return name + scope + length + strlen(parts[p]);
    }
    return NULL;
}

/* What training leaves beside the network: step and sampling counters, and the optimizers' slots. */
static bool is_training_state(const layout *l, const char *name) {
    static const char *const exact[] = {"global_step", "beta1_power", "beta2_power", "training/beta1_power",
                                        "training/beta2_power"};
    static const char *const counters[] = {"filter_coordinates_close_to_boundary", "filter_out_bounds_coordinates",
                                           "out_bounds_coordinates"};
    static const char *const slots[] = {"/Adam", "/Adam_1", "/Momentum", "/RMSProp", "/RMSProp_1", "/Adagrad"};
    static const char fraction[] = "/fraction";
    size_t size = strlen(name);
    const char *behind = behind_tensor(l, name);

    for (size_t i = 0; i < sizeof exact / sizeof *exact; i++)
        if (strcmp(name, exact[i]) == 0) return true;
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++)
        if (strncmp(name, counters[i], strlen(counters[i])) == 0 && size > sizeof fraction &&
            strcmp(name + size - sizeof fraction + 1, fraction) == 0)
            return true;
    for (size_t i = 0; behind && i < sizeof slots / sizeof *slots; i++)
        if (strcmp(behind, slots[i]) == 0) return true;
    return false;
}

static exa_status check_surplus(const exa_tensor_bundle *b, const layout *l, exa_ffn_import_facts *facts) {
    for (size_t i = 0; i < exa_tensor_bundle_count(b); i++) {
        exa_tensor_info info;
        EXA_TRY(exa_tensor_bundle_info(b, i, &info));
        const char *behind = behind_tensor(l, info.name);
        if (behind && !behind[0]) continue;
        EXA_CHECK(
            is_training_state(l, info.name), EXA_ERR_FORMAT,
            "tensor '%.200s' does not belong to a network of depth %d (scope '%.100s'). Hint: the network differs "
            "from google/ffn's convstack_3d, which exaconn runs",
            info.name, l->depth, l->scope);
        EXA_INFO("ignoring '%s': part of the training, not of the network", info.name);
        facts->ignored++;
    }
    return EXA_OK;
}

static exa_status read_tensor(exa_tensor_bundle *b, const char *name, float *data, size_t elements) {
    EXA_TRY(exa_tensor_bundle_read_f32(b, name, data, elements));
    for (size_t i = 0; i < elements; i++)
        EXA_CHECK(isfinite(data[i]), EXA_ERR_FORMAT,
                  "tensor '%s' has %s at element %zu. Hint: the training diverged; import an earlier checkpoint",
                  name, isnan(data[i]) ? "NaN" : "infinity", i);
    return EXA_OK;
}

static exa_status read_layers(exa_tensor_bundle *b, const layout *l, exa_ffn_model *m) {
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *layer = &m->layers[i];
        char name[512];
        snprintf(name, sizeof name, "%s%s/weights", l->scope, layer->name);
        EXA_TRY(read_tensor(b, name, layer->weights, exa_ffn_layer_weights(layer)));
        snprintf(name, sizeof name, "%s%s/biases", l->scope, layer->name);
        EXA_TRY(read_tensor(b, name, layer->biases, (size_t)layer->cout));
    }
    return EXA_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

static exa_status make_model(exa_tensor_bundle *b, const layout *l, const exa_ffn_settings *s,
                             exa_ffn_model **out) {
    exa_ffn_model *m;
    exa_status st;

    EXA_TRY(exa_ffn_model_create(l->depth, l->features, s->fov, s->deltas, &m));
    m->image_mean = s->image_mean;
    m->image_stddev = s->image_stddev;
    m->options = s->options;
    EXA_GOTO(fail, exa_ffn_options_check(m));
    EXA_GOTO(fail, read_layers(b, l, m));
    EXA_GOTO(fail, exa_ffn_model_digest(m, m->weights_sha256));
    *out = m;
    return EXA_OK;
fail:
    exa_ffn_model_destroy(&m);
    return st;
}

static void note_origin(exa_ffn_model *m, const exa_tensor_bundle *b, const published *known, const char *sha256) {
    snprintf(m->source, sizeof m->source, "%.500s", known ? known->source : exa_tensor_bundle_prefix(b));
    snprintf(m->license, sizeof m->license, "%s", known ? known->license : "");
    snprintf(m->source_sha256, sizeof m->source_sha256, "%s", sha256);
}

static void read_global_step(exa_tensor_bundle *b, exa_ffn_import_facts *facts) {
    size_t i;
    int64_t step;

    if (exa_tensor_bundle_find(b, "global_step", &i) == EXA_OK &&
        exa_tensor_bundle_read_i64(b, "global_step", &step, 1) == EXA_OK)
        facts->global_step = step;
}

static exa_status import(exa_tensor_bundle *b, const char *checkpoint, const char *request_path,
                         exa_ffn_settings *s, exa_ffn_import_facts *facts, exa_ffn_model **out) {
    char sha256[EXA_SHA256_HEX_BYTES];
    layout l;

    EXA_TRY(locate(b, &l));
    EXA_TRY(check_tensors(b, &l));
    EXA_TRY(check_surplus(b, &l, facts));
    EXA_TRY(exa_tensor_bundle_verify(b)); /* a damaged checkpoint is not asked for its geometry */
    EXA_TRY(exa_tensor_bundle_sha256(b, sha256));
    const published *known = find_published(sha256);
    EXA_TRY(gather_settings(checkpoint, request_path, known, l.depth, s, facts));
    EXA_TRY(make_model(b, &l, s, out));
    note_origin(*out, b, known, sha256);
    read_global_step(b, facts);
    size_t length = strlen(l.scope);
    snprintf(facts->scope, sizeof facts->scope, "%.*s", length ? (int)length - 1 : 0, l.scope);
    return EXA_OK;
}

exa_status exa_ffn_import(const char *checkpoint, const char *request_path,
                          const exa_ffn_settings *explicit_settings, exa_ffn_import_facts *facts,
                          exa_ffn_model **out) {
    exa_ffn_settings settings = {.given = 0};
    exa_ffn_import_facts found = {.global_step = -1};
    exa_tensor_bundle *b;

    if (explicit_settings) settings = *explicit_settings;
    EXA_TRY(exa_tensor_bundle_open(checkpoint, &b));
    exa_status st = import(b, checkpoint, request_path, &settings, &found, out);
    exa_tensor_bundle_close(&b);
    if (st == EXA_OK && facts) *facts = found;
    if ((st == EXA_ERR_FORMAT || st == EXA_ERR_UNSUPPORTED) && !strstr(exa_error_last()->message, checkpoint))
        exa_error_context(st, "checkpoint '%s'", checkpoint);
    return st;
}
