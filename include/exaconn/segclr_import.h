/* A TensorFlow checkpoint of a SegCLR network becomes an exa_segclr_model.
 *
 * Variant, depth, width, head and embedding follow from the tensors' names and shapes. Both variants' checkpoints
 * are read, by name (TensorFlow 1) or by object (TensorFlow 2); what belongs to training alone is left out: the
 * projection head of the contrastive loss, renormalisation, optimizer slots, counters. Patch and resolution are in
 * no checkpoint.
 */
#ifndef EXACONN_SEGCLR_IMPORT_H
#define EXACONN_SEGCLR_IMPORT_H

#include "exaconn/segclr_model.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_segclr_import_facts {
    int64_t global_step; /* of the training; -1 if the checkpoint does not say */
    int ignored;         /* tensors of the training */
} exa_segclr_import_facts;

/* EXA_ERR_FORMAT: missing, surplus, mis-shaped or non-finite tensors, negative variances; EXA_ERR_UNSUPPORTED:
 * several encoders, several input channels, depths that do not exist here; others as in tensor_bundle.h. The caller
 * sets patch, resolution and axis order afterwards. */
exa_status exa_segclr_import(const char *checkpoint, exa_segclr_import_facts *facts, exa_segclr_model **out);

#ifdef __cplusplus
}
#endif
#endif
