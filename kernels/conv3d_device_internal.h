/* Convolutions on a GPU: how activations and weights lie in its memory, shared by the kernels and what launches
 * them.
 *
 * A grid of activations is a line of positions, [position, channel]. Data voxel (z, y, x) of FOV f is position
 *     guard + f * fov + z * plane + y * row + x        row = X + 1, plane = (Y + 1) * row, fov = Z * plane
 * so one zero column closes each row and one zero row each plane; they serve the row and the plane behind them as
 * well, and `guard` zeros before the first FOV do it for that. A neighbour in y or x is then a fixed distance away,
 * without any case at the border; planes beyond the ends in z are left out of the sums. Kernels write only data
 * voxels.
 *
 * Precisions: fp32 and tf32 keep fp32 activations, fp16 keeps fp16. Channels are rounded up to a multiple of 16;
 * the rest has zero weights.
 *
 * The first layer's two inputs lie in a grid of their own: for fp32 [image, seed, 0, 0]; for the tensor cores 16
 * channels [x - 1, x, x + 1][image, seed] of the rounded value, the same of what rounding lost, 4 zeros: its taps
 * along x are channels, and inputs keep twice the bits. */
#ifndef EXA_CONV3D_DEVICE_INTERNAL_H
#define EXA_CONV3D_DEVICE_INTERNAL_H

#include "exaconn/device_net.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EXA_CONV_MAX_CHUNK = 512, /* in-plane positions a block works on */
    EXA_CONV_FMA_CHUNK = 256,
    EXA_CONV_FMA_COUT = 32
};

typedef struct exa_conv_plan {
    exa_net_precision precision;
    bool first;                 /* the first layer: 2 inputs as above */
    int shape[3];               /* zyx voxels */
    int row, plane, fov, guard; /* positions */
    int cin, cout;              /* channels as stored */
    int in_bytes, out_bytes;    /* of a position */
    int block_in, block_out;    /* channels of a weight matrix that is in shared memory at once */
    int in_blocks, out_blocks;
    int matrix_bytes;    /* of [taps, block_in, block_out] */
    size_t packed_bytes; /* [out_blocks, in_blocks, matrix] */
} exa_conv_plan;

/* One launch. Device pointers; grids begin at their guard. */
typedef struct exa_conv_args {
    const void *in;
    void *out;            /* NULL: only the logits are wanted */
    const void *weights;  /* packed */
    const float *biases;  /* [cout] */
    const void *residual; /* NULL, or a grid like `out` (may be `out`) added before relu_out */
    bool relu_in, relu_out;
    int n;              /* FOVs */
    uint32_t *overflow; /* [n] */
    /* The 1x1x1 head, fused where out_blocks is 1: logits = seed + head_bias + sum of max(result, 0) * head. */
    const float *head; /* [cout] or NULL */
    float head_bias;
    const float *input; /* [n, z, y, x, 2] */
    float *logits;      /* [n, z, y, x] */
} exa_conv_args;

int exa_conv_round_channels(int channels);
/* `first` ignores cin. */
void exa_conv_plan_init(exa_net_precision precision, bool first, const int shape[3], int cin, int cout,
                        exa_conv_plan *plan);

/* Bytes of a grid for `n` FOVs of the plan's inputs, or outputs. */
size_t exa_conv_in_bytes(const exa_conv_plan *plan, int n);
size_t exa_conv_out_bytes(const exa_conv_plan *plan, int n);

/* FOVs of a batch that a network takes through all its layers together. */
int exa_net_group(const exa_conv_plan *inner, int max_batch);

/* weights [kz, ky, kx, cin, cout] of the true channel counts; packed [packed_bytes]. */
void exa_conv_pack(const exa_conv_plan *plan, const float *weights, int cin, int cout, void *packed);

/* IEEE half, round to nearest even. */
uint16_t exa_half_of(float x);

#ifdef __cplusplus
}
#endif
#endif
