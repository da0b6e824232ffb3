/* One 3x3x3 convolution on a GPU, with its own activations: for benchmarks and for tests against the plain
 * reference. The network (exaconn/device_net.h) uses the same kernels.
 *
 * Everything here blocks, except exa_conv3d_device_run.
 */
#ifndef EXACONN_CONV3D_DEVICE_H
#define EXACONN_CONV3D_DEVICE_H

#include "exaconn/device_net.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_conv3d_device_options {
    exa_net_precision precision;
    int device;
    int max_batch;
    bool first;    /* a network's first layer: cin must be 2 */
    bool relu_in;  /* convolve max(in, 0) */
    bool relu_out; /* out = max(result, 0), after the addition */
    bool add_out;  /* out += result */
    int tiling;    /* which of the tilings that fit; -1: the one expected fastest */
} exa_conv3d_device_options;

typedef struct exa_conv3d_device exa_conv3d_device;

/* weights [kz, ky, kx, cin, cout], biases [cout]; borrowed during the call. EXA_ERR_RANGE for a tiling beyond the
 * last. */
exa_status exa_conv3d_device_create(const int shape_zyx[3], int cin, int cout, const float *weights,
                                    const float *biases, const exa_conv3d_device_options *options,
                                    exa_conv3d_device **out);
void exa_conv3d_device_destroy(exa_conv3d_device **conv);

/* Host arrays [n, z, y, x, channel]. What lies beside the data voxels on the device is set to zero; for outputs to
 * NaN, so that a test sees whether a kernel reads or writes there. */
exa_status exa_conv3d_device_set_in(exa_conv3d_device *conv, int n, const float *in);
exa_status exa_conv3d_device_set_out(exa_conv3d_device *conv, int n, const float *out);

/* Enqueues the convolution of `n` FOVs on a cudaStream_t. */
exa_status exa_conv3d_device_run(exa_conv3d_device *conv, int n, void *stream);

/* After exa_conv3d_device_set_out and a run. Waits; out [n, z, y, x, cout], overflow [n]. EXA_ERR_INTERNAL if a
 * kernel wrote beside the data voxels. */
exa_status exa_conv3d_device_get_out(exa_conv3d_device *conv, int n, float *out, uint32_t *overflow);

/* Median milliseconds of `repeat` runs, each of `n` FOVs `inner` times over. */
exa_status exa_conv3d_device_time(exa_conv3d_device *conv, int n, int inner, int repeat, double *median_ms);

const char *exa_conv3d_device_description(const exa_conv3d_device *conv);

/* Of a layer as the kernels do it: multiply-adds including those of halo columns and part tiles. */
double exa_conv3d_device_done_flops(const exa_conv3d_device *conv, int n);

/* What the GPU reaches in this run: bytes/s of a copy in its memory (read and written counted), flop/s of
 * register-only mma.sync loops (fp32: multiply-adds). */
exa_status exa_device_copy_rate(int device, double *bytes_per_s);
exa_status exa_device_matrix_rate(int device, exa_net_precision precision, double *flops);

#ifdef __cplusplus
}
#endif
#endif
