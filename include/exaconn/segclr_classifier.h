/* Classifiers of SegCLR embeddings: linear, residual MLP, and SNGP (a Gaussian process in random features on top of
 * either; Liu et al. 2020), as google-research/connectomics trains them. All arithmetic is in double.
 *
 *   x = (embedding - mean) / std
 *   h = W x + b, then per block h += W2 relu(bn2(W1 relu(bn1(h)) + b1)) + b2     (no blocks: h = x)
 *   logits = W h + b, or of the Gaussian process with a variance that lowers them
 *
 * docs/formats.md has the file. A classifier is read-only once read: any threads may use it.
 */
#ifndef EXACONN_SEGCLR_CLASSIFIER_H
#define EXACONN_SEGCLR_CLASSIFIER_H

#include "exaconn/status.h"

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_segclr_classifier exa_segclr_classifier;

typedef struct exa_segclr_prediction {
    int best;           /* class of the largest probability; of equal ones the first */
    double variance;    /* of the Gaussian process; 0 without one */
    double uncertainty; /* Dempster-Shafer: classes / (classes + sum of exp(logit)), in (0, 1) */
} exa_segclr_prediction;

/* Refuses a file whose classifier is not for embeddings of `floats` numbers, and one with missing, surplus,
 * mis-shaped or non-finite tensors. */
exa_status exa_segclr_classifier_read(const char *path, int floats, exa_segclr_classifier **out);
void exa_segclr_classifier_destroy(exa_segclr_classifier **classifier);

int exa_segclr_classifier_classes(const exa_segclr_classifier *classifier);
const char *exa_segclr_classifier_names(const exa_segclr_classifier *classifier);  /* one a line; borrowed */
const char *exa_segclr_classifier_source(const exa_segclr_classifier *classifier); /* borrowed */

/* `probability` [classes]. */
exa_status exa_segclr_classifier_predict(const exa_segclr_classifier *classifier, const float *embedding,
                                         exa_segclr_prediction *prediction, float *probability);

#ifdef __cplusplus
}
#endif
#endif
