/* The flood-filling network on a GPU: logits = seed + network(image, seed) for a batch of FOVs, all on the device.
 *
 * The result of a FOV is bit-identical whatever else is in the batch, wherever it stands in it, however large the
 * batch is and whichever of the kernels' tilings runs, for a given precision, network and GPU architecture.
 *
 * Everything here is in every build; without CUDA (or without a GPU) creation fails with EXA_ERR_DEVICE or
 * EXA_ERR_UNSUPPORTED, and exa_device_net_memory answers all the same. No CUDA type shows: a `stream` is a
 * cudaStream_t, NULL the default one.
 */
#ifndef EXACONN_DEVICE_NET_H
#define EXACONN_DEVICE_NET_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_net_precision {
    EXA_NET_FP32 = 0, /* multiply-adds in fp32; any GPU */
    EXA_NET_TF32,     /* tensor cores, inputs of a product rounded to 11 bits, fp32 sums and activations; sm_80 */
    EXA_NET_FP16      /* tensor cores, activations stored as fp16, fp32 sums; sm_80; may overflow, see below */
} exa_net_precision;

const char *exa_net_precision_name(exa_net_precision precision); /* "fp32", "tf32", "fp16" */

/* Layers conv0_a, conv0_b, ..., conv{depth-1}_b, then the 1x1x1 head: 2 * depth + 1 of them. Weights [kz, ky, kx,
 * cin, cout], biases [cout]. Borrowed during the call. */
typedef struct exa_device_net_spec {
    int depth, features;
    int fov[3]; /* zyx voxels, any */
    const float *const *weights;
    const float *const *biases;
} exa_device_net_spec;

typedef struct exa_device_net_options {
    exa_net_precision precision;
    int max_batch; /* FOVs that one call may hold */
    int device;    /* as in exa_device_get */
    bool tune; /* try the tilings on the device at creation (milliseconds) and keep the fastest; never changes a bit
                */
} exa_device_net_options;

typedef struct exa_device_net exa_device_net;

/* Bytes of device memory that a net of this spec (weights may be NULL) holds. Needs no GPU. */
exa_status exa_device_net_memory(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 uint64_t *bytes);

/* Whether a net of this precision can run on the GPU: its capability, and the code that this program has for it.
 * EXA_ERR_UNSUPPORTED if not. Makes `device` the calling thread's current one. */
exa_status exa_device_net_usable(int device, exa_net_precision precision);

/* Makes `device` the calling thread's current one, as do all calls below. Use a net from one thread at a time. */
exa_status exa_device_net_create(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 exa_device_net **out);
void exa_device_net_destroy(exa_device_net **net);

/* Enqueues `n` FOVs (1 ... max_batch) on `stream` and returns; allocates and waits for nothing, so it can be
 * captured in a CUDA graph. All pointers are device memory, 16-byte aligned: d_input    float32 [n, z, y, x, 2]:
 * normalised image; logit seed, unset voxels already replaced by the pad value d_logits   float32 [n, z, y, x]:
 * receives seed + head d_overflow uint32 [n]: receives 1 where an activation was beyond what the precision holds
 * (fp16: 65504) or not finite: that FOV's logits are then of no use, and the step wants another net with a wider
 * precision One net's calls share its activations: order those on different streams with events. */
exa_status exa_device_net_forward(exa_device_net *net, int n, const float *d_input, float *d_logits,
                                  uint32_t *d_overflow, void *stream);

/* The same for host memory, as exa_ffn_net_infer: any number of FOVs, blocking. FOVs that overflow are done again
 * by `wider` (NULL: they are an error), and *redone (may be NULL) counts them. Slow: for tests and tools. */
exa_status exa_device_net_infer(exa_device_net *net, exa_device_net *wider, size_t n, const float *const *image,
                                const float *const *seed, float *const *logits, uint64_t *redone);

/* Milliseconds of a call of exa_device_net_forward for `n` FOVs, over `repeat` samples of `calls` calls one after
 * another: on the device, and on the host to enqueue one. With `graph` the calls of a sample are one CUDA graph.
 * input [n, voxels, 2] and logits [n, voxels] (of the last call) are host memory. For benchmarks. */
typedef struct exa_device_net_times {
    double min_ms, median_ms, max_ms, host_ms;
} exa_device_net_times;
exa_status exa_device_net_time(exa_device_net *net, int n, size_t voxels, const float *input, int calls, int repeat,
                               bool graph, float *logits, exa_device_net_times *times);

/* "fp16 mma, 8 warps x 48 positions, 1 block per multiprocessor, NVIDIA H200"; borrowed. */
const char *exa_device_net_description(const exa_device_net *net);

#ifdef __cplusplus
}
#endif
#endif
