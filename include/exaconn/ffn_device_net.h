/* A stored flood-filling network on a GPU: exa_ffn_model to exa_device_net, which see. */
#ifndef EXACONN_FFN_DEVICE_NET_H
#define EXACONN_FFN_DEVICE_NET_H

#include "exaconn/device_net.h"
#include "exaconn/ffn_model.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* As the functions of the same ending in exaconn/device_net.h. The model is borrowed during the call. */
exa_status exa_ffn_device_net_memory(const exa_ffn_model *model, const exa_device_net_options *options,
                                     uint64_t *bytes);
exa_status exa_ffn_device_net_create(const exa_ffn_model *model, const exa_device_net_options *options,
                                     exa_device_net **out);

/* One made-up step by `net` (and `wider`, may be NULL: exa_device_net_infer) and by the CPU's network on `pool`,
 * then `batch` of the same at once (at most the net's max_batch), by plain calls and as a CUDA graph.
 * EXA_ERR_DEVICE if CPU and GPU differ by more than the precision explains, or the batch from the one step at all:
 * driver, compiler or GPU are then not to be believed. *largest: the largest difference of a logit. Takes a CPU
 * step's time. */
exa_status exa_ffn_device_net_check(const exa_ffn_model *model, exa_device_net *net, exa_device_net *wider,
                                    exa_net_precision precision, int batch, exa_pool *pool, double *largest);

#ifdef __cplusplus
}
#endif
#endif
