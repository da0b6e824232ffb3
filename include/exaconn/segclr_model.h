/* A SegCLR network as it is stored: a 3-D ResNet and a head that turns one patch of one segment's image into an
 * embedding (Dorkenwald et al., Nature Methods 2023; google-research/connectomics). Two variants, which are not the
 * same network:
 *
 *   tf1  as published ("legacy"): convolutions have biases, ReLU before each batch normalisation of the main path
 *   tf2  its successor: no biases, batch normalisation before ReLU, ReLU after the stem
 *
 * docs/segclr.md has the networks layer by layer, docs/formats.md the file.
 */
#ifndef EXACONN_SEGCLR_MODEL_H
#define EXACONN_SEGCLR_MODEL_H

#include "exaconn/box.h"
#include "exaconn/hash.h"
#include "exaconn/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_SEGCLR_MAX_PATCH 257
#define EXA_SEGCLR_MAX_EMBEDDING 1024
#define EXA_SEGCLR_MAX_HEAD 8

typedef enum exa_segclr_variant { EXA_SEGCLR_TF1 = 1, EXA_SEGCLR_TF2 = 2 } exa_segclr_variant;

typedef enum exa_segclr_role {
    EXA_SEGCLR_STEM,
    EXA_SEGCLR_MAIN,     /* a convolution of a block's main path */
    EXA_SEGCLR_SHORTCUT, /* the projection beside it */
    EXA_SEGCLR_HEAD
} exa_segclr_role;

/* A layer's tensors; bias and beta exist in some layers only. */
typedef enum exa_segclr_part {
    EXA_SEGCLR_KERNEL, /* [kz, ky, kx, cin, cout], axes in the model's axis_order; of the head [cin, cout] */
    EXA_SEGCLR_BIAS,   /* this and the rest: [cout] */
    EXA_SEGCLR_GAMMA,
    EXA_SEGCLR_BETA,
    EXA_SEGCLR_MEAN,
    EXA_SEGCLR_VARIANCE,
    EXA_SEGCLR_PARTS
} exa_segclr_part;

typedef struct exa_segclr_layer {
    char name[64]; /* "stem", "stage_2/block_0/conv_1", "stage_3/block_0/shortcut", "head_0" */
    exa_segclr_role role;
    int stage, block, index; /* stage from 2, block and index (of convolution or head layer) from 0 */
    int kernel, stride;
    int cin, cout;
    bool last;     /* of its block's main path, or of the head */
    bool has_bias; /* of the convolution */
    bool has_beta;
    float *tensor[EXA_SEGCLR_PARTS]; /* owned by the model; NULL where there is none */
} exa_segclr_layer;

/* What determines the tensors. */
typedef struct exa_segclr_geometry {
    exa_segclr_variant variant;
    int depth;       /* 18 or 34 (two convolutions a block), 50 (three) */
    int width;       /* channels of the stem: 64 */
    int head_layers; /* 3 */
    int embedding;   /* floats: 64 */
} exa_segclr_geometry;

typedef struct exa_segclr_model {
    exa_segclr_geometry geometry;
    exa_coord patch[3];      /* zyx voxels, each 32 k + 1 */
    double resolution_nm[3]; /* zyx, of the patch's voxels */
    double input_scale;      /* the network sees value * input_scale: 1 / 255 */
    double bn_epsilon;
    char axis_order[4]; /* of the kernels' axes: "zyx", or "xyz" */
    int layer_count;
    exa_segclr_layer *layers; /* owned */
    char source[512];         /* where the weights came from */
    char source_sha256[65];
    char license[128];
    char weights_sha256[65]; /* identifies the network in records of runs */
} exa_segclr_model;

const char *exa_segclr_variant_name(exa_segclr_variant variant); /* "tf1", "tf2" */
const char *exa_segclr_part_name(exa_segclr_part part);          /* "kernel", "bias", ..., "variance" */

/* Zeroed tensors; patch 129, resolution 33,32,32 nm, scale 1/255, epsilon 1e-5, zyx. EXA_ERR_RANGE for a geometry
 * that does not exist. */
exa_status exa_segclr_model_create(const exa_segclr_geometry *geometry, exa_segclr_model **out);
void exa_segclr_model_destroy(exa_segclr_model **model);

/* EXA_ERR_RANGE unless patch, resolution, scale and the rest can be. */
exa_status exa_segclr_model_check(const exa_segclr_model *model);

/* Reads / writes our HDF5 weights file. Reading verifies the file's checksum before HDF5 parses it and refuses
 * missing, extra, mis-shaped or non-finite tensors and negative variances. Writing is atomic. */
exa_status exa_segclr_model_read(const char *path, exa_segclr_model **out);
exa_status exa_segclr_model_write(const exa_segclr_model *model, const char *path);

/* Every tensor drawn from the counter-based generator of docs/segclr.md ("Random weights"): the same bits
 * everywhere, and of a size that keeps activations near 1. The source says that nobody trained them. */
exa_status exa_segclr_model_randomize(exa_segclr_model *model, uint64_t seed);

/* That generator: number i of the stream `name`, in [0, 1), a multiple of 2^-24. */
double exa_segclr_random(const char *name, uint64_t seed, uint64_t i);

/* Elements and shape of a layer's tensor; the rank is 5, 2 (head kernel) or 1. 0 elements where there is none. */
size_t exa_segclr_tensor_shape(const exa_segclr_layer *layer, exa_segclr_part part, int64_t shape[5], int *rank);

/* Recomputes weights_sha256. */
exa_status exa_segclr_model_digest(exa_segclr_model *model);

/* Multiply-adds x 2 of one patch, zero padding counted (the field's convention). */
double exa_segclr_model_flops(const exa_segclr_model *model);
int64_t exa_segclr_model_parameters(const exa_segclr_model *model);

#ifdef __cplusplus
}
#endif
#endif
