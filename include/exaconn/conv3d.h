/* 3x3x3 convolutions over one field of view, fp32, and the 1x1x1 head of a flood-filling network.
 *
 * Activations live in padded grids [z, y, x, channel]: one voxel of zeros before the data on each axis and at least
 * one after it (room for whole Winograd tiles). Kernels write only the data voxels, so a halo zeroed once stays
 * zero. Work is cut into rows; a plan says how many, and any thread may run any range of them with its own scratch.
 * The result does not depend on how the rows are dealt out.
 *
 *   plan = exa_conv3d_plan_init(...)    once per kind of layer
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
    int shape[3];          /* zyx voxels of the data */
    int grid[3];           /* zyx voxels with halo and tile padding */
    int cin, cout;         /* as in the weights */
    int in_stride;         /* floats from voxel to voxel of the input grid */
    int out_stride;        /* same of the output grid: cout rounded up to whole vectors */
    size_t rows;           /* of work: [0, rows) */
    size_t packed_floats;  /* of weights and biases after exa_conv3d_pack */
    size_t scratch_floats; /* per running thread */
} exa_conv3d_plan;

/* Pointers to grids and packed weights are borrowed and 64-byte aligned. */
typedef struct exa_conv3d_args {
    const float *in; /* [grid z, y, x, in_stride] */
    const float *packed;
    float *out;      /* [grid z, y, x, out_stride]; not `in` */
    float *out_relu; /* NULL, or a grid that receives max(out, 0) as well */
    bool relu_in;    /* convolve max(in, 0); only EXA_CONV3D_REFERENCE and WINOGRAD */
    bool relu_out;   /* out = max(result, 0) */
    bool add_out;    /* out += result, before relu_out */
} exa_conv3d_args;

/* Channels rounded up to the vectors of an instruction set (resolve AUTO first with exa_conv3d_isa). */
exa_isa exa_conv3d_isa(exa_isa isa);
int exa_conv3d_stride(exa_isa isa, int channels);

/* `in_stride` 0: cin rounded up to whole vectors. Else at least cin; only DIRECT and REFERENCE take one that is no
 * multiple of the vector. EXA_ERR_UNSUPPORTED for an instruction set this processor or build lacks. */
exa_status exa_conv3d_plan_init(exa_conv3d_kind kind, exa_isa isa, const int shape_zyx[3], int cin, int cout,
                                int in_stride, exa_conv3d_plan *plan);

size_t exa_conv3d_grid_voxels(const exa_conv3d_plan *plan);

/* Offset in voxels of data voxel z, y, x in a grid. */
size_t exa_conv3d_grid_index(const exa_conv3d_plan *plan, int z, int y, int x);

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

#ifdef __cplusplus
}
#endif
#endif
