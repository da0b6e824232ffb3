/* One FFN step on the CPU: logits = seed + network(image, seed), for any number of FOVs.
 *
 * The result of a FOV is bit-identical whatever the thread count and whatever else is in the batch, for a given
 * kernel and instruction set. Not thread safe: one net, one caller (it uses its pool inside).
 */
#ifndef EXACONN_FFN_NET_H
#define EXACONN_FFN_NET_H

#include "exaconn/cpu.h"
#include "exaconn/ffn_model.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_ffn_kernel {
    EXA_FFN_KERNEL_AUTO = 0,  /* the fastest that was measured for this shape */
    EXA_FFN_KERNEL_REFERENCE, /* plain C, the specification; slow */
    EXA_FFN_KERNEL_DIRECT,    /* vectorised direct convolution, fp32 */
    EXA_FFN_KERNEL_WINOGRAD   /* F(3x3x3, 3x3x3), fp32 */
} exa_ffn_kernel;

const char *exa_ffn_kernel_name(exa_ffn_kernel kernel); /* "auto", "reference", "direct", "winograd" */

typedef struct exa_ffn_net exa_ffn_net;

/* `pool` is borrowed and may be NULL (one thread). The model is borrowed only during the call: weights are packed
 * into the net. `isa` beyond what the processor has is EXA_ERR_UNSUPPORTED. */
exa_status exa_ffn_net_create(const exa_ffn_model *model, exa_ffn_kernel kernel, exa_isa isa, exa_pool *pool,
                              exa_ffn_net **out);
void exa_ffn_net_destroy(exa_ffn_net **net);

/* `n` FOVs of shape model->fov [z, y, x]: image[i] normalised, seed[i] logits with unset voxels already replaced by
 * the pad value, logits[i] receives seed + output (may not alias the inputs). */
exa_status exa_ffn_net_infer(exa_ffn_net *net, size_t n, const float *const *image, const float *const *seed,
                             float *const *logits);

/* "winograd F(3,3) fp32, avx512, 2 threads"; borrowed. */
const char *exa_ffn_net_description(const exa_ffn_net *net);

/* Bytes of packed weights and activations held now. */
size_t exa_ffn_net_memory_bytes(const exa_ffn_net *net);

#ifdef __cplusplus
}
#endif
#endif
