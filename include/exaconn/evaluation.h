/* How well a segmentation agrees with the truth: variation of information, adapted Rand, Rand, best overlaps.
 *
 * Voxels are counted into a sparse table of (segment, truth) pairs, in any order and any pieces; all scores follow
 * from the integer counts, summed in a fixed order, so they do not depend on how the volume was cut. Conventions
 * and formulas: docs/evaluation.md. Memory: about 50 bytes for each different pair.
 */
#ifndef EXACONN_EVALUATION_H
#define EXACONN_EVALUATION_H

#include "exaconn/box.h"
#include "exaconn/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which voxels do not count. What is not ignored is a label like any other, 0 too: all unsegmented voxels together
 * are one object. */
typedef enum exa_eval_ignore {
    EXA_EVAL_IGNORE_TRUTH = 0, /* where the truth is 0 */
    EXA_EVAL_IGNORE_BOTH,      /* where the truth or the segmentation is 0 */
    EXA_EVAL_IGNORE_NONE
} exa_eval_ignore;

typedef struct exa_eval_scores {
    uint64_t voxels; /* that count */
    uint64_t ignored_voxels;
    uint64_t segments, truth_objects;                  /* different labels among the counted voxels, 0 left out */
    uint64_t overlaps;                                 /* different pairs of labels */
    double voi_split;                                  /* bits, H(segmentation | truth): objects cut apart */
    double voi_merge;                                  /* bits, H(truth | segmentation): objects run together */
    double arand_precision, arand_recall, arand_error; /* error = 1 - harmonic mean */
    double arand_error_singletons; /* the same with every unsegmented voxel an object of its own (SNEMI3D, CREMI) */
    double rand_index;
} exa_eval_scores; /* without any counted voxel all scores are NaN */

typedef struct exa_eval_segment {
    exa_segid id;
    uint64_t voxels;       /* that count */
    exa_segid best_truth;  /* the truth label it shares most voxels with; the smallest among equals */
    uint64_t overlap;      /* voxels shared with it */
    uint64_t truth_voxels; /* of best_truth */
} exa_eval_segment;

typedef struct exa_evaluation exa_evaluation;

exa_status exa_evaluation_create(exa_eval_ignore ignore, exa_evaluation **out);
void exa_evaluation_destroy(exa_evaluation **evaluation);

/* Counts `n` voxels. */
exa_status exa_evaluation_add(exa_evaluation *evaluation, const exa_segid *segmentation, const exa_segid *truth,
                              size_t n);

/* Counts `box`, given in the segmentation's voxels; the truth's voxel of the same place is at +shift (zyx). Holds
 * at most about memory_bytes of voxels at once (0: 256 MiB). */
exa_status exa_evaluation_add_volumes(exa_evaluation *evaluation, exa_volume *segmentation, exa_volume *truth,
                                      const exa_box *box, const exa_coord shift[3], size_t memory_bytes);

exa_status exa_evaluation_scores(exa_evaluation *evaluation, exa_eval_scores *scores);

/* One entry per segment but 0, the largest first (then by id); transferred, free() it. */
exa_status exa_evaluation_segments(exa_evaluation *evaluation, exa_eval_segment **segments, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
