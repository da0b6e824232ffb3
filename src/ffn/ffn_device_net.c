/* From the network as it is stored to the network on a GPU. */
#include "exaconn/ffn_device_net.h"

typedef struct tensors {
    const float *weights[2 * EXA_FFN_MAX_DEPTH + 1], *biases[2 * EXA_FFN_MAX_DEPTH + 1];
} tensors;

static exa_status describe(const exa_ffn_model *model, tensors *t, exa_device_net_spec *spec) {
    EXA_CHECK(model->depth >= 1 && model->depth <= EXA_FFN_MAX_DEPTH && model->layer_count == 2 * model->depth + 1,
              EXA_ERR_RANGE, "a network of depth %d with %d layers", model->depth, model->layer_count);
    for (int i = 0; i < model->layer_count; i++) {
        const exa_ffn_layer *layer = &model->layers[i];
        bool head = i == model->layer_count - 1;
        EXA_CHECK(layer->cin == (i == 0 ? 2 : model->features) && layer->cout == (head ? 1 : model->features) &&
                      layer->kernel == (head ? 1 : 3) && layer->weights && layer->biases,
                  EXA_ERR_FORMAT, "layer %d ('%s') is %d^3, %d -> %d", i, layer->name, layer->kernel, layer->cin,
                  layer->cout);
        t->weights[i] = layer->weights;
        t->biases[i] = layer->biases;
    }
    *spec = (exa_device_net_spec){.depth = model->depth,
                                  .features = model->features,
                                  .fov = {(int)model->fov[0], (int)model->fov[1], (int)model->fov[2]},
                                  .weights = t->weights,
                                  .biases = t->biases};
    return EXA_OK;
}

exa_status exa_ffn_device_net_memory(const exa_ffn_model *model, const exa_device_net_options *options,
                                     uint64_t *bytes) {
    tensors t;
    exa_device_net_spec spec;
    EXA_TRY(describe(model, &t, &spec));
    return exa_device_net_memory(&spec, options, bytes);
}

exa_status exa_ffn_device_net_create(const exa_ffn_model *model, const exa_device_net_options *options,
                                     exa_device_net **out) {
    tensors t;
    exa_device_net_spec spec;
    EXA_TRY(describe(model, &t, &spec));
    return exa_device_net_create(&spec, options, out);
}
