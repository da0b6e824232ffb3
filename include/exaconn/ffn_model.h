/* A flood-filling network as it is stored: tensors, geometry, normalisation and the inference options it was
 * published with (Januszewski et al., Nature Methods 2018; google/ffn convstack_3d). Thresholds belong to the
 * model.
 */
#ifndef EXACONN_FFN_MODEL_H
#define EXACONN_FFN_MODEL_H

#include "exaconn/box.h"
#include "exaconn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_FFN_MAX_DEPTH 64
#define EXA_FFN_MAX_FEATURES 512
#define EXA_FFN_MAX_FOV 257

/* Probabilities in (0, 1), named as in google/ffn's InferenceRequest. */
typedef struct exa_ffn_options {
    float init_activation;        /* object map at the seed */
    float pad_value;              /* what unset voxels of the object map look like to the network */
    float move_threshold;         /* a face maximum at least this moves the FOV there */
    float segment_threshold;      /* voxels at least this belong to the object */
    float disco_seed_threshold;   /* fraction; disconnection rule on if >= 0, off if negative */
    int64_t min_segment_size;     /* voxels */
    int64_t min_boundary_dist[3]; /* zyx voxels between a seed and an existing segment */
} exa_ffn_options;

/* One 3-D convolution in TensorFlow layout: weights [kz, ky, kx, cin, cout], biases [cout]; cross-correlation. */
typedef struct exa_ffn_layer {
    char name[32]; /* "conv0_a" ... "conv_lom" */
    int kernel;    /* 3 (all axes) or 1 */
    int cin, cout;
    float *weights; /* owned by the model */
    float *biases;  /* owned by the model */
} exa_ffn_layer;

typedef struct exa_ffn_model {
    int depth;           /* residual modules; 2*depth 3x3x3 layers and one 1x1x1 head */
    int features;        /* multiple of 8 */
    exa_coord fov[3];    /* zyx voxels, odd */
    exa_coord deltas[3]; /* zyx voxels */
    float image_mean, image_stddev;
    exa_ffn_options options;
    int layer_count;       /* 2*depth + 1: conv0_a, conv0_b, ..., conv{depth-1}_b, conv_lom */
    exa_ffn_layer *layers; /* owned */
    char source[512];      /* where the weights came from */
    char source_sha256[65];
    char license[128];
    char weights_sha256[65]; /* of all tensors in layer order: identifies the network in run records */
} exa_ffn_model;

/* Allocates the layers of the given geometry, weights and biases zeroed; options take google/ffn's defaults
 * (init .95, pad .05, move .9, segment .6, disco 0, size 1000, boundary 1,1,1). EXA_ERR_RANGE for what the limits
 * above, an even FOV, or a feature count that is no multiple of 8 exclude. */
exa_status exa_ffn_model_create(int depth, int features, const exa_coord fov[3], const exa_coord deltas[3],
                                exa_ffn_model **out);
void exa_ffn_model_destroy(exa_ffn_model **model);

/* Reads / writes our HDF5 weights file (docs/formats.md). Reading verifies the file's checksum before HDF5 parses
 * it and refuses missing, extra, mis-shaped or non-finite tensors. Writing is atomic. */
exa_status exa_ffn_model_read(const char *path, exa_ffn_model **out);
exa_status exa_ffn_model_write(const exa_ffn_model *model, const char *path);

/* Multiply-adds x 2 of one step, zero padding counted (the field's convention; 45.83e9 for FIB-25). */
double exa_ffn_model_flops(const exa_ffn_model *model);
int64_t exa_ffn_model_parameters(const exa_ffn_model *model);

#ifdef __cplusplus
}
#endif
#endif
