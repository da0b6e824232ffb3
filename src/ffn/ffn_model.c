/* FFN models in memory and in our weights file (kind "ffn-convstack3d", docs/formats.md).
 *
 * A file is held to one geometry: its attributes give depth and features, from which every tensor's name and shape
 * follow; the tensors must be exactly those.
 */
#include "exaconn/ffn_model.h"

#include "ffn_model_internal.h"

#include "exaconn/weights_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_BOUNDARY_DIST 1024 /* voxels */

/* ---- geometry and rules ------------------------------------------------------------------------- */

exa_status exa_ffn_geometry_check(int64_t depth, int64_t features, const exa_coord fov[3],
                                  const exa_coord deltas[3]) {
    EXA_CHECK(depth >= 1 && depth <= EXA_FFN_MAX_DEPTH, EXA_ERR_RANGE, "depth is %lld; 1 to %d are possible",
              (long long)depth, EXA_FFN_MAX_DEPTH);
    EXA_CHECK(features >= 8 && features <= EXA_FFN_MAX_FEATURES && features % 8 == 0, EXA_ERR_RANGE,
              "features is %lld; multiples of 8 from 8 to %d are possible", (long long)features,
              EXA_FFN_MAX_FEATURES);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(fov[a] >= 3 && fov[a] <= EXA_FFN_MAX_FOV && fov[a] % 2 == 1, EXA_ERR_RANGE,
                  "fov on axis %c is %lld; odd numbers from 3 to %d are possible", "zyx"[a], (long long)fov[a],
                  EXA_FFN_MAX_FOV);
        EXA_CHECK(deltas[a] >= 1 && deltas[a] <= fov[a] / 2, EXA_ERR_RANGE,
                  "deltas on axis %c is %lld; 1 to %lld (half the field of view of %lld) are possible", "zyx"[a],
                  (long long)deltas[a], (long long)(fov[a] / 2), (long long)fov[a]);
    }
    return EXA_OK;
}

static exa_status check_probability(const char *name, float value) {
    EXA_CHECK(value > 0.0f && value < 1.0f, EXA_ERR_RANGE,
              "%s is %g; a probability between 0 and 1 (both excluded) is expected", name, (double)value);
    return EXA_OK;
}

exa_status exa_ffn_options_check(const exa_ffn_model *model) {
    const exa_ffn_options *o = &model->options;

    EXA_TRY(check_probability("init_activation", o->init_activation));
    EXA_TRY(check_probability("pad_value", o->pad_value));
    EXA_TRY(check_probability("move_threshold", o->move_threshold));
    EXA_TRY(check_probability("segment_threshold", o->segment_threshold));
    EXA_CHECK(isfinite(o->disco_seed_threshold) && o->disco_seed_threshold <= 1.0f, EXA_ERR_RANGE,
              "disco_seed_threshold is %g; at most 1 is expected (negative: rule off)",
              (double)o->disco_seed_threshold);
    EXA_CHECK(o->min_segment_size >= 0, EXA_ERR_RANGE, "min_segment_size is %lld; 0 or more voxels are expected",
              (long long)o->min_segment_size);
    for (int a = 0; a < 3; a++)
        EXA_CHECK(o->min_boundary_dist[a] >= 0 && o->min_boundary_dist[a] <= MAX_BOUNDARY_DIST, EXA_ERR_RANGE,
                  "min_boundary_dist on axis %c is %lld; 0 to %d are possible", "zyx"[a],
                  (long long)o -> min_boundary_dist[a], MAX_BOUNDARY_DIST);
    EXA_CHECK(isfinite(model->image_mean), EXA_ERR_RANGE, "image_mean is not a finite number");
    EXA_CHECK(isfinite(model->image_stddev) && model->image_stddev > 0.0f, EXA_ERR_RANGE,
              "image_stddev is %g; a number above 0 is expected", (double)model->image_stddev);
    return EXA_OK;
}

/* ---- layers ------------------------------------------------------------------------------------- */

void exa_ffn_layer_describe(int depth, int features, int i, exa_ffn_layer *layer) {
    exa_ffn_layer result = {.kernel = 3, .cin = i == 0 ? 2 : features, .cout = features};

    if (i == 2 * depth) {
        result.kernel = 1;
        result.cout = 1;
        snprintf(result.name, sizeof result.name, "conv_lom");
    } else {
        snprintf(result.name, sizeof result.name, "conv%d_%c", i / 2, i % 2 ? 'b' : 'a');
    }
    *layer = result;
}

size_t exa_ffn_layer_weights(const exa_ffn_layer *layer) {
    size_t kernel = (size_t)layer->kernel;
    return kernel * kernel * kernel * (size_t)layer->cin * (size_t)layer->cout;
}

void exa_ffn_layer_shape(const exa_ffn_layer *layer, int64_t shape[5]) {
    for (int a = 0; a < 3; a++) shape[a] = layer->kernel;
    shape[3] = layer->cin;
    shape[4] = layer->cout;
}

exa_status exa_ffn_model_create(int depth, int features, const exa_coord fov[3], const exa_coord deltas[3],
                                exa_ffn_model **out) {
    static const exa_ffn_options defaults = {.95f, .05f, .9f, .6f, 0.0f, 1000, {1, 1, 1}};
    exa_ffn_model *m = NULL;
    exa_status st;

    EXA_TRY(exa_ffn_geometry_check(depth, features, fov, deltas));
    EXA_TRY(exa_calloc(1, sizeof *m, "an FFN model", &m));
    m->depth = depth;
    m->features = features;
    memcpy(m->fov, fov, sizeof m->fov);
    memcpy(m->deltas, deltas, sizeof m->deltas);
    m->image_mean = 128.0f;
    m->image_stddev = 33.0f;
    m->options = defaults;
    EXA_GOTO(fail, exa_calloc((size_t)(2 * depth + 1), sizeof *m->layers, "FFN layers", &m->layers));
    m->layer_count = 2 * depth + 1;
    for (int i = 0; i < m->layer_count; i++) exa_ffn_layer_describe(depth, features, i, &m->layers[i]);
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *layer = &m->layers[i];
        EXA_GOTO(fail, exa_calloc(exa_ffn_layer_weights(layer), sizeof(float), "FFN weights", &layer->weights));
        EXA_GOTO(fail, exa_calloc((size_t)layer->cout, sizeof(float), "FFN biases", &layer->biases));
    }
    *out = m;
    return EXA_OK;
fail:
    exa_ffn_model_destroy(&m);
    return st;
}

void exa_ffn_model_destroy(exa_ffn_model **model) {
    exa_ffn_model *m = *model;
    if (!m) return;
    for (int i = 0; i < m->layer_count; i++) {
        free(m->layers[i].weights);
        free(m->layers[i].biases);
    }
    free(m->layers);
    free(m);
    *model = NULL;
}

int64_t exa_ffn_model_parameters(const exa_ffn_model *model) {
    int64_t sum = 0;
    for (int i = 0; i < model->layer_count; i++)
        sum += (int64_t)exa_ffn_layer_weights(&model->layers[i]) + model->layers[i].cout;
    return sum;
}

double exa_ffn_model_flops(const exa_ffn_model *model) {
    double voxels = (double)model->fov[0] * (double)model->fov[1] * (double)model->fov[2], per_voxel = 0;
    for (int i = 0; i < model->layer_count; i++) per_voxel += (double)exa_ffn_layer_weights(&model->layers[i]);
    return 2.0 * voxels * per_voxel;
}

exa_status exa_ffn_model_digest(const exa_ffn_model *model, char hex[EXA_SHA256_HEX_BYTES]) {
    float *all = NULL;
    size_t used = 0;

    EXA_TRY(exa_alloc((size_t)exa_ffn_model_parameters(model), sizeof *all, "hashing the FFN weights", &all));
    for (int i = 0; i < model->layer_count; i++) {
        const exa_ffn_layer *layer = &model->layers[i];
        size_t weights = exa_ffn_layer_weights(layer), biases = (size_t)layer->cout;
        memcpy(all + used, layer->weights, weights * sizeof *all);
        memcpy(all + used + weights, layer->biases, biases * sizeof *all);
        used += weights + biases;
    }
    exa_status st = exa_sha256(all, used * sizeof *all, hex);
    free(all);
    return st;
}

/* ---- reading ------------------------------------------------------------------------------------ */

static exa_status get_float(exa_weights_file *file, const char *name, float *value) {
    double v;
    EXA_TRY(exa_weights_file_get_reals(file, name, &v, 1));
    EXA_CHECK(fabs(v) <= 3.0e38, EXA_ERR_FORMAT, "attribute '%s' is %g, too large for float32", name, v);
    *value = (float)v;
    return EXA_OK;
}

static exa_status read_geometry(exa_weights_file *file, exa_ffn_model *m) {
    int64_t depth, features;

    EXA_TRY(exa_weights_file_expect(file, EXA_FFN_KIND, EXA_FFN_KIND_VERSION));
    EXA_TRY(exa_weights_file_get_integers(file, "depth", &depth, 1));
    EXA_TRY(exa_weights_file_get_integers(file, "features", &features, 1));
    EXA_TRY(exa_weights_file_get_integers(file, "fov_zyx", m->fov, 3));
    EXA_TRY(exa_weights_file_get_integers(file, "deltas_zyx", m->deltas, 3));
    EXA_TRY(exa_ffn_geometry_check(depth, features, m->fov, m->deltas));
    m->depth = (int)depth;
    m->features = (int)features;
    return EXA_OK;
}

static exa_status read_options(exa_weights_file *file, exa_ffn_model *m) {
    exa_ffn_options *o = &m->options;

    EXA_TRY(get_float(file, "image_mean", &m->image_mean));
    EXA_TRY(get_float(file, "image_stddev", &m->image_stddev));
    EXA_TRY(get_float(file, "init_activation", &o->init_activation));
    EXA_TRY(get_float(file, "pad_value", &o->pad_value));
    EXA_TRY(get_float(file, "move_threshold", &o->move_threshold));
    EXA_TRY(get_float(file, "segment_threshold", &o->segment_threshold));
    EXA_TRY(get_float(file, "disco_seed_threshold", &o->disco_seed_threshold));
    EXA_TRY(exa_weights_file_get_integers(file, "min_segment_size", &o->min_segment_size, 1));
    EXA_TRY(exa_weights_file_get_integers(file, "min_boundary_dist_zyx", o->min_boundary_dist, 3));
    return exa_ffn_options_check(m);
}

exa_status exa_ffn_layers_check(const exa_ffn_model *model) {
    for (int i = 0; i < model->layer_count; i++) {
        const exa_ffn_layer *layer = &model->layers[i];
        bool head = i == model->layer_count - 1;
        EXA_CHECK(layer->cin == (i == 0 ? 2 : model->features) && layer->cout == (head ? 1 : model->features) &&
                      layer->kernel == (head ? 1 : 3) && layer->weights && layer->biases,
                  EXA_ERR_FORMAT, "layer %d ('%s') is %d^3, %d -> %d", i, layer->name, layer->kernel, layer->cin,
                  layer->cout);
    }
    return EXA_OK;
}

static void tensor_name(const exa_ffn_layer *layer, const char *part, char out[96]) {
    snprintf(out, 96, EXA_FFN_SCOPE "/%s/%s", layer->name, part);
}

static bool is_expected(const char *name, int depth, int features) {
    for (int i = 0; i <= 2 * depth; i++) {
        exa_ffn_layer layer;
        char expected[96];
        exa_ffn_layer_describe(depth, features, i, &layer);
        tensor_name(&layer, "weights", expected);
        if (strcmp(name, expected) == 0) return true;
        tensor_name(&layer, "biases", expected);
        if (strcmp(name, expected) == 0) return true;
    }
    return false;
}

/* All tensors there, none besides, shapes right: before memory is allocated for what the attributes claim. */
static exa_status check_tensors(const exa_weights_file *file, const exa_ffn_model *geometry) {
    for (int i = 0; i <= 2 * geometry->depth; i++) {
        exa_ffn_layer layer;
        char name[96];
        int64_t shape[5];
        exa_ffn_layer_describe(geometry->depth, geometry->features, i, &layer);
        exa_ffn_layer_shape(&layer, shape);
        tensor_name(&layer, "weights", name);
        EXA_TRY(exa_weights_file_expect_tensor(file, name, shape, 5));
        tensor_name(&layer, "biases", name);
        EXA_TRY(exa_weights_file_expect_tensor(file, name, shape + 4, 1));
    }
    for (size_t i = 0; i < exa_weights_file_count(file); i++) {
        exa_weights_tensor tensor;
        EXA_TRY(exa_weights_file_tensor(file, i, &tensor));
        EXA_CHECK(is_expected(tensor.name, geometry->depth, geometry->features), EXA_ERR_FORMAT,
                  "tensor '%.200s' does not belong to a network of depth %d and %d features", tensor.name,
                  geometry->depth, geometry->features);
    }
    return EXA_OK;
}

static exa_status read_layers(exa_weights_file *file, exa_ffn_model *m) {
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *layer = &m->layers[i];
        char name[96];
        tensor_name(layer, "weights", name);
        EXA_TRY(exa_weights_file_read(file, name, layer->weights, exa_ffn_layer_weights(layer)));
        tensor_name(layer, "biases", name);
        EXA_TRY(exa_weights_file_read(file, name, layer->biases, (size_t)layer->cout));
    }
    return EXA_OK;
}

/* The digest is always computed; a stored one must agree (a converter that mixed up layers would differ). */
static exa_status read_identity(exa_weights_file *file, exa_ffn_model *m) {
    char stored[EXA_SHA256_HEX_BYTES];

    EXA_TRY(exa_weights_file_find_text(file, "source", m->source, sizeof m->source));
    EXA_TRY(exa_weights_file_find_text(file, "source_sha256", m->source_sha256, sizeof m->source_sha256));
    EXA_TRY(exa_weights_file_find_text(file, "license", m->license, sizeof m->license));
    EXA_TRY(exa_weights_file_find_text(file, "weights_sha256", stored, sizeof stored));
    EXA_TRY(exa_ffn_model_digest(m, m->weights_sha256));
    EXA_CHECK(!stored[0] || strcmp(stored, m->weights_sha256) == 0, EXA_ERR_CORRUPT,
              "attribute 'weights_sha256' is %.16s..., but the tensors' digest is %.16s...", stored,
              m->weights_sha256);
    return EXA_OK;
}

static exa_status read_model(exa_weights_file *file, exa_ffn_model **out) {
    exa_ffn_model geometry = {0}, *m = NULL;
    exa_status st;

    EXA_TRY(read_geometry(file, &geometry));
    EXA_TRY(check_tensors(file, &geometry));
    EXA_TRY(exa_ffn_model_create(geometry.depth, geometry.features, geometry.fov, geometry.deltas, &m));
    EXA_GOTO(fail, read_options(file, m));
    EXA_GOTO(fail, read_layers(file, m));
    EXA_GOTO(fail, read_identity(file, m));
    *out = m;
    return EXA_OK;
fail:
    exa_ffn_model_destroy(&m);
    return st;
}

exa_status exa_ffn_model_read(const char *path, exa_ffn_model **out) {
    exa_weights_file *file;

    EXA_TRY(exa_weights_file_open(path, "import-ffn", &file));
    exa_status st = read_model(file, out);
    exa_weights_file_close(&file);
    if (st == EXA_ERR_RANGE) st = EXA_ERR_FORMAT; /* here a value out of range is a fault of the file */
    if (st != EXA_OK && !strstr(exa_error_last()->message, path)) exa_error_context(st, "weights file '%s'", path);
    return st;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static exa_status put_real(exa_weights_file *file, const char *name, float value) {
    double v = (double)value;
    return exa_weights_file_set_reals(file, name, &v, 1);
}

static exa_status put_integer(exa_weights_file *file, const char *name, int64_t value) {
    return exa_weights_file_set_integers(file, name, &value, 1);
}

static exa_status write_attributes(exa_weights_file *file, const exa_ffn_model *m) {
    const exa_ffn_options *o = &m->options;
    char digest[EXA_SHA256_HEX_BYTES];

    EXA_TRY(put_integer(file, "depth", m->depth));
    EXA_TRY(put_integer(file, "features", m->features));
    EXA_TRY(exa_weights_file_set_integers(file, "fov_zyx", m->fov, 3));
    EXA_TRY(exa_weights_file_set_integers(file, "deltas_zyx", m->deltas, 3));
    EXA_TRY(put_real(file, "image_mean", m->image_mean));
    EXA_TRY(put_real(file, "image_stddev", m->image_stddev));
    EXA_TRY(put_real(file, "init_activation", o->init_activation));
    EXA_TRY(put_real(file, "pad_value", o->pad_value));
    EXA_TRY(put_real(file, "move_threshold", o->move_threshold));
    EXA_TRY(put_real(file, "segment_threshold", o->segment_threshold));
    EXA_TRY(put_real(file, "disco_seed_threshold", o->disco_seed_threshold));
    EXA_TRY(put_integer(file, "min_segment_size", o->min_segment_size));
    EXA_TRY(exa_weights_file_set_integers(file, "min_boundary_dist_zyx", o->min_boundary_dist, 3));
    EXA_TRY(exa_weights_file_set_text(file, "source", m->source));
    EXA_TRY(exa_weights_file_set_text(file, "source_sha256", m->source_sha256));
    EXA_TRY(exa_weights_file_set_text(file, "license", m->license));
    EXA_TRY(exa_ffn_model_digest(m, digest));
    return exa_weights_file_set_text(file, "weights_sha256", digest);
}

static exa_status write_layers(exa_weights_file *file, const exa_ffn_model *m) {
    for (int i = 0; i < m->layer_count; i++) {
        const exa_ffn_layer *layer = &m->layers[i];
        int64_t shape[5];
        char name[96];
        exa_ffn_layer_shape(layer, shape);
        tensor_name(layer, "weights", name);
        EXA_TRY(exa_weights_file_put(file, name, 5, shape, layer->weights));
        tensor_name(layer, "biases", name);
        EXA_TRY(exa_weights_file_put(file, name, 1, shape + 4, layer->biases));
    }
    return EXA_OK;
}

exa_status exa_ffn_model_write(const exa_ffn_model *model, const char *path) {
    exa_weights_file *file;
    exa_status st;

    EXA_TRY(exa_ffn_geometry_check(model->depth, model->features, model->fov, model->deltas));
    EXA_TRY(exa_ffn_options_check(model));
    EXA_TRY(exa_weights_file_create(path, EXA_FFN_KIND, EXA_FFN_KIND_VERSION, &file));
    EXA_GOTO(done, write_attributes(file, model));
    EXA_GOTO(done, write_layers(file, model));
    EXA_GOTO(done, exa_weights_file_commit(file));
done:
    exa_weights_file_close(&file);
    return st;
}
