/* SegCLR models in our weights file (kind "segclr-resnet3d", docs/formats.md).
 *
 * As with flood-filling networks, the attributes give the geometry, from which every tensor's name and shape
 * follow; the tensors must be exactly those.
 */
#include "segclr_model_internal.h"

#include "exaconn/weights_file.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void tensor_name(const exa_segclr_layer *l, int part, char out[64]) {
    snprintf(out, 64, "%.39s/%s", l->name, exa_segclr_part_name((exa_segclr_part)part));
}

/* ---- reading ------------------------------------------------------------------------------------ */

static exa_status get_integer(exa_weights_file *file, const char *name, int *value) {
    int64_t v;
    EXA_TRY(exa_weights_file_get_integers(file, name, &v, 1));
    EXA_CHECK(v >= 0 && v <= 1 << 20, EXA_ERR_FORMAT, "attribute '%s' is %lld", name, (long long)v);
    *value = (int)v;
    return EXA_OK;
}

static exa_status read_geometry(exa_weights_file *file, exa_segclr_geometry *g) {
    char text[32];

    EXA_TRY(exa_weights_file_expect(file, EXA_SEGCLR_KIND, EXA_SEGCLR_KIND_VERSION));
    EXA_TRY(exa_weights_file_get_text(file, "variant", text, sizeof text));
    EXA_CHECK(strcmp(text, "tf1") == 0 || strcmp(text, "tf2") == 0, EXA_ERR_FORMAT,
              "attribute 'variant' is '%s'; tf1 and tf2 are possible", text);
    g->variant = text[2] == '1' ? EXA_SEGCLR_TF1 : EXA_SEGCLR_TF2;
    EXA_TRY(exa_weights_file_get_text(file, "input_kind", text, sizeof text));
    EXA_CHECK(strcmp(text, "masked_em") == 0, EXA_ERR_UNSUPPORTED,
              "attribute 'input_kind' is '%s'; exaconn runs masked_em: one channel, the image where the segment is",
              text);
    EXA_TRY(get_integer(file, "depth", &g->depth));
    EXA_TRY(get_integer(file, "width", &g->width));
    EXA_TRY(get_integer(file, "head_layers", &g->head_layers));
    EXA_TRY(get_integer(file, "embedding_dim", &g->embedding));
    return exa_segclr_geometry_check(g);
}

/* All there, none besides: as names differ and each expected one was found, the count tells. */
static exa_status check_tensors(const exa_weights_file *file, const exa_segclr_layer *layers, int count) {
    size_t expected = 0, i = 0;
    char name[64];

    for (int l = 0; l < count; l++) {
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            int64_t shape[5];
            int rank;
            if (exa_segclr_tensor_shape(&layers[l], (exa_segclr_part)p, shape, &rank) == 0) continue;
            tensor_name(&layers[l], p, name);
            EXA_TRY(exa_weights_file_expect_tensor(file, name, shape, rank));
            expected++;
        }
    }
    for (; exa_weights_file_count(file) != expected; i++) {
        exa_weights_tensor tensor;
        bool known = false;
        EXA_TRY(exa_weights_file_tensor(file, i, &tensor));
        for (int l = 0; l < count && !known; l++) {
            for (int p = 0; p < EXA_SEGCLR_PARTS && !known; p++) {
                tensor_name(&layers[l], p, name);
                known =
                    exa_segclr_tensor_elements(&layers[l], (exa_segclr_part)p) && strcmp(tensor.name, name) == 0;
            }
        }
        EXA_CHECK(known, EXA_ERR_FORMAT, "tensor '%.200s' does not belong to this network", tensor.name);
    }
    return EXA_OK;
}

exa_status exa_segclr_check_values(const exa_segclr_model *m) {
    for (int l = 0; l < m->layer_count; l++) {
        const exa_segclr_layer *layer = &m->layers[l];
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            size_t n = exa_segclr_tensor_elements(layer, (exa_segclr_part)p);
            for (size_t i = 0; i < n; i++) {
                float v = layer->tensor[p][i];
                EXA_CHECK(isfinite(v), EXA_ERR_FORMAT,
                          "tensor '%s/%s' has %s at element %zu. Hint: the training "
                          "diverged; take an earlier checkpoint",
                          layer->name, exa_segclr_part_name((exa_segclr_part)p), isnan(v) ? "NaN" : "infinity", i);
                EXA_CHECK(p != EXA_SEGCLR_VARIANCE || v >= 0, EXA_ERR_FORMAT,
                          "tensor '%s/variance' is %g at element %zu; a variance is at least 0", layer->name,
                          (double)v, i);
            }
        }
    }
    return EXA_OK;
}

static exa_status read_settings(exa_weights_file *file, exa_segclr_model *m) {
    EXA_TRY(exa_weights_file_get_integers(file, "patch_zyx", m->patch, 3));
    EXA_TRY(exa_weights_file_get_reals(file, "resolution_nm_zyx", m->resolution_nm, 3));
    EXA_TRY(exa_weights_file_get_reals(file, "input_scale", &m->input_scale, 1));
    EXA_TRY(exa_weights_file_get_reals(file, "bn_epsilon", &m->bn_epsilon, 1));
    EXA_TRY(exa_weights_file_get_text(file, "axis_order", m->axis_order, sizeof m->axis_order));
    return exa_segclr_model_check(m);
}

static exa_status read_identity(exa_weights_file *file, exa_segclr_model *m) {
    char stored[EXA_SHA256_HEX_BYTES];

    EXA_TRY(exa_weights_file_find_text(file, "source", m->source, sizeof m->source));
    EXA_TRY(exa_weights_file_find_text(file, "source_sha256", m->source_sha256, sizeof m->source_sha256));
    EXA_TRY(exa_weights_file_find_text(file, "license", m->license, sizeof m->license));
    EXA_TRY(exa_weights_file_find_text(file, "weights_sha256", stored, sizeof stored));
    EXA_TRY(exa_segclr_model_digest(m));
    EXA_CHECK(!stored[0] || strcmp(stored, m->weights_sha256) == 0, EXA_ERR_CORRUPT,
              "attribute 'weights_sha256' is %.16s..., but the tensors' digest is %.16s...", stored,
              m->weights_sha256);
    return EXA_OK;
}

static exa_status read_model(exa_weights_file *file, exa_segclr_model **out) {
    exa_segclr_layer layers[EXA_SEGCLR_MAX_LAYERS];
    exa_segclr_geometry geometry = {.depth = 0};
    exa_segclr_model *m = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(read_geometry(file, &geometry));
    EXA_TRY(check_tensors(file, layers, exa_segclr_describe(&geometry, layers)));
    EXA_TRY(exa_segclr_model_create(&geometry, &m));
    EXA_GOTO(done, read_settings(file, m));
    for (int l = 0; l < m->layer_count; l++) {
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            char name[64];
            size_t n = exa_segclr_tensor_elements(&m->layers[l], (exa_segclr_part)p);
            tensor_name(&m->layers[l], p, name);
            if (n) EXA_GOTO(done, exa_weights_file_read(file, name, m->layers[l].tensor[p], n));
        }
    }
    EXA_GOTO(done, exa_segclr_check_values(m));
    EXA_GOTO(done, read_identity(file, m));
    *out = m;
    m = NULL;
done:
    exa_segclr_model_destroy(&m);
    return st;
}

exa_status exa_segclr_model_read(const char *path, exa_segclr_model **out) {
    exa_weights_file *file;

    EXA_TRY(exa_weights_file_open(path, "import-segclr", &file));
    exa_status st = read_model(file, out);
    exa_weights_file_close(&file);
    if (st == EXA_ERR_RANGE) st = EXA_ERR_FORMAT; /* here a value out of range is a fault of the file */
    if (st != EXA_OK && !strstr(exa_error_last()->message, path)) exa_error_context(st, "weights file '%s'", path);
    return st;
}

/* ---- writing ------------------------------------------------------------------------------------ */

static exa_status put_integer(exa_weights_file *file, const char *name, int64_t value) {
    return exa_weights_file_set_integers(file, name, &value, 1);
}

static exa_status write_attributes(exa_weights_file *file, const exa_segclr_model *m) {
    const exa_segclr_geometry *g = &m->geometry;

    EXA_TRY(exa_weights_file_set_text(file, "variant", exa_segclr_variant_name(g->variant)));
    EXA_TRY(exa_weights_file_set_text(file, "input_kind", "masked_em"));
    EXA_TRY(put_integer(file, "depth", g->depth));
    EXA_TRY(put_integer(file, "width", g->width));
    EXA_TRY(put_integer(file, "head_layers", g->head_layers));
    EXA_TRY(put_integer(file, "embedding_dim", g->embedding));
    EXA_TRY(exa_weights_file_set_integers(file, "patch_zyx", m->patch, 3));
    EXA_TRY(exa_weights_file_set_reals(file, "resolution_nm_zyx", m->resolution_nm, 3));
    EXA_TRY(exa_weights_file_set_reals(file, "input_scale", &m->input_scale, 1));
    EXA_TRY(exa_weights_file_set_reals(file, "bn_epsilon", &m->bn_epsilon, 1));
    EXA_TRY(exa_weights_file_set_text(file, "axis_order", m->axis_order));
    EXA_TRY(exa_weights_file_set_text(file, "source", m->source));
    EXA_TRY(exa_weights_file_set_text(file, "source_sha256", m->source_sha256));
    EXA_TRY(exa_weights_file_set_text(file, "license", m->license));
    return exa_weights_file_set_text(file, "weights_sha256", m->weights_sha256);
}

static exa_status write_tensors(exa_weights_file *file, const exa_segclr_model *m) {
    for (int l = 0; l < m->layer_count; l++) {
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            const exa_segclr_layer *layer = &m->layers[l];
            int64_t shape[5];
            char name[64];
            int rank;
            if (exa_segclr_tensor_shape(layer, (exa_segclr_part)p, shape, &rank) == 0) continue;
            tensor_name(layer, p, name);
            EXA_TRY(exa_weights_file_put(file, name, rank, shape, layer->tensor[p]));
        }
    }
    return EXA_OK;
}

exa_status exa_segclr_model_write(const exa_segclr_model *model, const char *path) {
    exa_weights_file *file;
    exa_status st;

    EXA_TRY(exa_segclr_model_check(model));
    EXA_TRY(exa_segclr_check_values(model));
    EXA_TRY(exa_weights_file_create(path, EXA_SEGCLR_KIND, EXA_SEGCLR_KIND_VERSION, &file));
    EXA_GOTO(done, write_attributes(file, model));
    EXA_GOTO(done, write_tensors(file, model));
    EXA_GOTO(done, exa_weights_file_commit(file));
done:
    exa_weights_file_close(&file);
    return st;
}
