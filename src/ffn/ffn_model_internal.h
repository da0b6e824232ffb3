/* What reading and importing share: the rules a model must keep, and the names and identity of its tensors. */
#ifndef EXA_FFN_MODEL_INTERNAL_H
#define EXA_FFN_MODEL_INTERNAL_H

#include "exaconn/ffn_model.h"
#include "exaconn/hash.h"

#define EXA_FFN_KIND "ffn-convstack3d"
#define EXA_FFN_KIND_VERSION 1
#define EXA_FFN_SCOPE "seed_update" /* of the tensors in our files */

/* Depth, features, FOV and deltas alone, before anything is allocated for them. EXA_ERR_RANGE. */
exa_status exa_ffn_geometry_check(int64_t depth, int64_t features, const exa_coord fov[3],
                                  const exa_coord deltas[3]);

/* Normalisation and inference options. EXA_ERR_RANGE. */
exa_status exa_ffn_options_check(const exa_ffn_model *model);

/* That every layer of a model in memory is as its depth and features say. EXA_ERR_FORMAT. */
exa_status exa_ffn_layers_check(const exa_ffn_model *model);

/* SHA-256 of every layer's weights, then biases, as little-endian float32 in layer order. */
exa_status exa_ffn_model_digest(const exa_ffn_model *model, char hex[EXA_SHA256_HEX_BYTES]);

/* Elements of a layer's weights: kernel^3 * cin * cout. */
size_t exa_ffn_layer_weights(const exa_ffn_layer *layer);

/* kz, ky, kx, cin, cout. */
void exa_ffn_layer_shape(const exa_ffn_layer *layer, int64_t shape[5]);

/* Fills name, kernel, cin and cout of layer `i`; no tensors. */
void exa_ffn_layer_describe(int depth, int features, int i, exa_ffn_layer *layer);

#endif
