/* Between the network and the convolutions' launching code (conv3d_launch.cu). */
#ifndef EXA_CONV3D_LAUNCH_CUH
#define EXA_CONV3D_LAUNCH_CUH

#include "cuda/lane.cuh"

#include "conv3d_device_internal.h"

struct exa_conv_device {
    int capability; /* 90; of the chip or of the code that runs on it, whichever is less */
    int multiprocessors, shared_bytes, shared_bytes_multiprocessor;
};

/* A kernel for a layer and how it uses shared memory. */
struct exa_conv_choice {
    int tiling; /* -1: fp32 */
    int blocks; /* beside each other on a multiprocessor */
    int resident_bytes, stage_bytes, stages;
    size_t shared_bytes;
};

/* The tiling expected fastest for `n` FOVs (nth < 0), or the nth that fits (EXA_ERR_RANGE beyond the last). */
exa_status exa_conv_choose(const exa_conv_plan *plan, const exa_conv_device *device, int n, int nth,
                           exa_conv_choice *out);
/* Positions that `n` FOVs take, halo columns and part tiles included. */
double exa_conv_done_positions(const exa_conv_plan *plan, const exa_conv_choice *choice, int n);
void exa_conv_describe(const exa_conv_choice *choice, char *text, size_t bytes);

/* The capability that the code which the current device runs was compiled for: PTX of an older one lacks the
 * instructions of later ones, also on a chip that has them. EXA_ERR_UNSUPPORTED if there is none for `chip`. */
exa_status exa_conv_code_capability(int chip, int *capability);
exa_status exa_conv_check_precision(exa_net_precision precision, const exa_conv_device *device);

/* Before the first launch of a choice on a device. */
exa_status exa_conv_prepare(const exa_conv_plan *plan, const exa_conv_choice *choice,
                            const exa_conv_device *device);
exa_status exa_conv_launch(const exa_conv_plan *plan, const exa_conv_choice *choice, const exa_conv_device *device,
                           const exa_conv_args *args, bool overlapped, cudaStream_t stream);

/* device_net.cu: the current device; the network's inputs [n, z, y, x, 2] into the first layer's grid. */
exa_status exa_conv_device_get(int index, exa_conv_device *device);
exa_status exa_conv_fill_first(const exa_conv_plan *first, int n, const float *d_input, void *grid,
                               uint32_t *overflow, cudaStream_t stream);
exa_status exa_cuda_status(cudaError_t error, const char *what);

#endif
