/* Convolutions over one field of view, fp32: 3x3x3 with stride 1 (all kernels), and 1x1x1, 3x3x3 and 7x7x7 with
 * stride 1 or 2 (reference and direct); the 1x1x1 head of a flood-filling network; maxima for pooling.
 *
 * Activations live in padded grids [z, y, x, channel]: one voxel of zeros before the data on each axis and at least
 * one after it (room for whole Winograd tiles); three on both sides for the input of 7x7x7. Kernels write only the
 * data voxels, so a halo zeroed once stays zero. Work is cut into rows; a plan says how many, and any thread may
 * run any range of them with its own scratch. The result does not depend on how the rows are dealt out.
 *
 *   plan = exa_conv3d_plan_init(...)    once per kind of layer; or exa_conv3d_plan_layer
 *   exa_conv3d_pack(plan, weights)      once per layer
 *   exa_conv3d_run(plan, args, rows)    per step and layer
 */
#ifndef EXACONN_CONV3D_H
#define EXACONN_CONV3D_H

#include "exaconn/cpu.h"
#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_conv3d_kind { EXA_CONV3D_REFERENCE, EXA_CONV3D_DIRECT, EXA_CONV3D_WINOGRAD } exa_conv3d_kind;

typedef struct exa_conv3d_plan {
    exa_conv3d_kind kind;
    exa_isa isa;           /* never AUTO */
    int shape[3];          /* zyx voxels of the output's data */
    int grid[3];           /* zyx voxels with halo and tile padding */
    int in_shape[3];       /* of the input: the same with stride 1 */
    int in_grid[3];        /* the same but for 7x7x7 */
    int kernel, stride;    /* 1, 3 or 7 on every axis; 1 or 2 */
    int in_halo, out_halo; /* voxels before the data */
    int cin, cout;         /* as in the weights */
    int in_stride;         /* floats from voxel to voxel of the input grid */
    int out_stride;        /* same of the output grid: cout rounded up to whole vectors */
    int runs, run_floats; /* DIRECT: taps whose inputs follow each other in memory are one product of this length */
    int pass_runs;        /* DIRECT: so many runs' weights stay in cache for all rows of a block */
    int block_rows;       /* DIRECT: rows that share them; WINOGRAD: tile rows that do */
    size_t rows;          /* of work: [0, rows) */
    size_t packed_floats; /* of weights and biases after exa_conv3d_pack */
    size_t scratch_floats; /* per running thread */
} exa_conv3d_plan;

/* Pointers to grids and packed weights are borrowed and 64-byte aligned. */
typedef struct exa_conv3d_args {
    const float *in; /* [grid z, y, x, in_stride] */
    const float *packed;
    float *out;      /* [grid z, y, x, out_stride]; not `in` */
    float *out_relu; /* NULL, or a grid that receives max(out, 0) as well */
    /* NULL, or scale [out_stride] and shift [out_stride]: result = max(result, 0) * scale + shift before all below
     */
    const float *affine;
    bool relu_in;  /* convolve max(in, 0); only EXA_CONV3D_REFERENCE and WINOGRAD */
    bool relu_out; /* out = max(result, 0) */
    bool add_out;  /* out += result, before relu_out */
} exa_conv3d_args;

/* Channels rounded up to the vectors of an instruction set (resolve AUTO first with exa_conv3d_isa). */
exa_isa exa_conv3d_isa(exa_isa isa);
int exa_conv3d_stride(exa_isa isa, int channels);

/* `in_stride` 0: cin rounded up to whole vectors. Else at least cin; only DIRECT and REFERENCE take one that is no
 * multiple of the vector. EXA_ERR_UNSUPPORTED for an instruction set this processor or build lacks. */
exa_status exa_conv3d_plan_init(exa_conv3d_kind kind, exa_isa isa, const int shape_zyx[3], int cin, int cout,
                                int in_stride, exa_conv3d_plan *plan);

/* Any layer. Zero padding is (kernel - 1) / 2 on both sides; stride 2 wants odd extents, where that is what
 * TensorFlow's SAME does, too. */
typedef struct exa_conv3d_layer {
    int in_shape[3]; /* zyx voxels */
    int kernel, stride;
    int cin, cout, in_stride; /* in_stride as above */
    int group;                /* WINOGRAD: tile rows that share weights in cache; 0 = as it seems best */
    bool tight;               /* the output grid is the data alone, without halo */
} exa_conv3d_layer;

exa_status exa_conv3d_plan_layer(exa_conv3d_kind kind, exa_isa isa, const exa_conv3d_layer *layer,
                                 exa_conv3d_plan *plan);

size_t exa_conv3d_grid_voxels(const exa_conv3d_plan *plan);
size_t exa_conv3d_in_grid_voxels(const exa_conv3d_plan *plan);

/* Offset in voxels of data voxel z, y, x in the output's grid, and in the input's. */
size_t exa_conv3d_grid_index(const exa_conv3d_plan *plan, int z, int y, int x);
size_t exa_conv3d_in_index(const exa_conv3d_plan *plan, int z, int y, int x);

/* weights [kz, ky, kx, cin, cout] and biases [cout] into packed [packed_floats]. */
void exa_conv3d_pack(const exa_conv3d_plan *plan, const float *weights, const float *biases, float *packed);

/* Rows [begin, end). `scratch` is the calling thread's, 64-byte aligned, its content is of no meaning between
 * calls. */
void exa_conv3d_run(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end,
                    float *scratch);

/* The head over `count` voxels: out[i] = add[i] + bias + sum_c max(in[i * stride + c], 0) * weights[c]; weights are
 * padded with zeros to `stride` and 64-byte aligned, as is `in`. */
void exa_conv3d_head(exa_isa isa, const float *in, int stride, const float *weights, float bias, const float *add,
                     size_t count, float *out);

/* Pooling: out[i] = the largest of in[0 .. window-1][i] for `count` floats (whole vectors); NaN is not looked for.
 */
void exa_conv3d_max(exa_isa isa, const float *const *in, int window, size_t count, float *out);

#ifdef __cplusplus
}
#endif
#endif
