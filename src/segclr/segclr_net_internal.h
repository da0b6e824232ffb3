/* A compiled SegCLR network: segclr_net.c makes it, segclr_embed.c runs it. */
#ifndef EXA_SEGCLR_NET_INTERNAL_H
#define EXA_SEGCLR_NET_INTERNAL_H

#include "exaconn/segclr_net.h"

#include "exaconn/conv3d.h"

#include "segclr_model_internal.h"

#define EXA_SEGCLR_MAX_GRIDS 32
#define EXA_SEGCLR_WINOGRAD_VOXELS 9 /* along x, at least */

/* What a grid is for: two grids of one shape are told apart by it. */
enum { EXA_SEGCLR_SLOT_POOLED, EXA_SEGCLR_SLOT_STREAM, EXA_SEGCLR_SLOT_FIRST, EXA_SEGCLR_SLOT_SECOND };

typedef struct exa_segclr_grid {
    int shape[3], channels, slot;
    exa_conv3d_plan plan; /* of any layer that writes it: for exa_conv3d_grid_index */
    size_t at;            /* floats from the lane's begin */
} exa_segclr_grid;

typedef struct exa_segclr_step {
    exa_conv3d_plan plan;
    int layer, in, out; /* of the model; grids */
    bool affine, add_out, relu_out;
    bool ends_stage;
    const float *packed; /* weights, biases; then the affine's scale and shift */
} exa_segclr_step;

typedef struct exa_segclr_dense {
    int cin, cout;
    bool relu;
    double *weights; /* owned; [cin, cout] */
    double *bias;    /* [cout], into weights */
} exa_segclr_dense;

struct exa_segclr_net {
    exa_pool *pool; /* borrowed */
    int threads;
    exa_isa isa;
    int patch[3];
    exa_conv3d_plan stem; /* one output plane */
    int stem_planes;
    bool stem_relu;
    exa_segclr_step step[EXA_SEGCLR_MAX_LAYERS];
    int step_count;
    exa_segclr_grid grid[EXA_SEGCLR_MAX_GRIDS];
    int grid_count, pooled, features_grid;
    exa_segclr_dense head[EXA_SEGCLR_MAX_HEAD];
    int head_count, features, embedding;
    float *packed;   /* the stem, then the steps; one block for the sake of huge pages */
    float *grids;    /* of all lanes: padded patch, three stem planes, grids */
    size_t *claimed; /* [threads][steps + 1]: rows handed out, when all threads share a patch */
    float *scratch;  /* [threads][scratch_floats] */
    size_t ring_at, plane_floats, lane_floats, scratch_floats;
    size_t packed_bytes, grids_bytes, scratch_bytes;
    char description[96];
};

/* Batch normalisation of a layer as y = x * scale + shift. */
void exa_segclr_fold(const exa_segclr_layer *layer, double epsilon, double *scale, double *shift);

#endif
