/* A SegCLR network on the CPU: embeddings of patches.
 *
 * The embedding of a patch is bit-identical whatever the thread count and whatever else is in the batch, for a
 * given kernel and instruction set. Not thread safe: one net, one caller (it uses its pool inside).
 */
#ifndef EXACONN_SEGCLR_NET_H
#define EXACONN_SEGCLR_NET_H

#include "exaconn/cpu.h"
#include "exaconn/pool.h"
#include "exaconn/segclr_model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_segclr_kernel {
    EXA_SEGCLR_KERNEL_AUTO = 0,  /* per layer the fastest that was measured for its shape */
    EXA_SEGCLR_KERNEL_REFERENCE, /* plain C, the specification; very slow */
    EXA_SEGCLR_KERNEL_DIRECT     /* vectorised direct convolutions only */
} exa_segclr_kernel;

typedef struct exa_segclr_net exa_segclr_net;

/* `pool` is borrowed and may be NULL (one thread). The model is borrowed only during the call: weights are packed
 * into the net. `isa` beyond what the processor has is EXA_ERR_UNSUPPORTED. */
exa_status exa_segclr_net_create(const exa_segclr_model *model, exa_segclr_kernel kernel, exa_isa isa,
                                 exa_pool *pool, exa_segclr_net **out);
void exa_segclr_net_destroy(exa_segclr_net **net);

/* `n` patches of shape model->patch [z, y, x], masked and scaled; embedding[i] receives the model's embedding
 * floats.
 */
exa_status exa_segclr_net_embed(exa_segclr_net *net, size_t n, const float *const *patch, float *const *embedding);

/* Where a patch is empty, and far enough from where it is not, every layer gives what it gives for an empty patch.
 * Once a net has met a few patches it keeps the latter and copies instead of computing; the bits stay the same.
 * `on`: from now on; off: never. */
exa_status exa_segclr_net_skip(exa_segclr_net *net, bool on);

/* What a patch looks like on its way, to find where two implementations part: mean and mean square over all voxels
 * and channels after the pooled stem ("stem"), each stage ("stage_2" ...), and over the features before the head
 * ("mean"). */
typedef struct exa_segclr_trace {
    char name[24];
    double mean, square;
} exa_segclr_trace;
enum { EXA_SEGCLR_TRACES = 6 };
exa_status exa_segclr_net_trace(exa_segclr_net *net, const float *patch, exa_segclr_trace trace[EXA_SEGCLR_TRACES],
                                float *embedding);

/* "tf1 ResNet-18, patch 129x129x129, fp32, avx512, 2 threads"; borrowed. */
const char *exa_segclr_net_description(const exa_segclr_net *net);

/* Bytes of packed weights and activations. */
size_t exa_segclr_net_memory_bytes(const exa_segclr_net *net);

#ifdef __cplusplus
}
#endif
#endif
