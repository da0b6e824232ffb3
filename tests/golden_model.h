/* The FIB-25 network from the shared data's plain tensor file, for tests that must not depend on our own importer.
 */
#ifndef EXA_TEST_GOLDEN_MODEL_H
#define EXA_TEST_GOLDEN_MODEL_H

#include "golden.h"

#include <stdio.h>
#include <string.h>

#include "exaconn/ffn_model.h"

/* Aborts on any failure; destroy with exa_ffn_model_destroy. */
static inline exa_ffn_model *golden_model(const char *path) {
    const exa_coord fov[3] = {33, 33, 33}, deltas[3] = {8, 8, 8};
    hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    exa_ffn_model *model;

    if (file < 0 || exa_ffn_model_create(12, 32, fov, deltas, &model) != EXA_OK) abort();
    model->image_mean = 128.0f;
    model->image_stddev = 33.0f;
    for (int i = 0; i < model->layer_count; i++) {
        exa_ffn_layer *layer = &model->layers[i];
        char name[96];
        size_t k = (size_t)layer->kernel, n = k * k * k * (size_t)layer->cin * (size_t)layer->cout;
        snprintf(name, sizeof name, "seed_update/%s/weights", layer->name);
        golden_array w = GOLDEN_F32(file, name);
        snprintf(name, sizeof name, "seed_update/%s/biases", layer->name);
        golden_array b = GOLDEN_F32(file, name);
        if (w.count != n || b.count != (size_t)layer->cout) abort();
        memcpy(layer->weights, w.data, n * sizeof(float));
        memcpy(layer->biases, b.data, b.count * sizeof(float));
        free(w.data);
        free(b.data);
    }
    H5Fclose(file);
    return model;
}
#endif
