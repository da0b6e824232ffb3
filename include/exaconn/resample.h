/* An image and a segmentation at the voxel size of a network.
 *
 * A voxel of the result covers a box of the source's voxels, some of them in part. The image becomes their average
 * by volume, a label the one that covers most of the box (of equal ones the smaller), background being a label like
 * the others. Sizes need be neither whole multiples nor alike on the axes; where the result is finer than the
 * source, its voxels repeat and blend.
 */
#ifndef EXACONN_RESAMPLE_H
#define EXACONN_RESAMPLE_H

#include "exaconn/box.h"
#include "exaconn/pool.h"
#include "exaconn/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The different labels of what was added, 0 being none. */
typedef struct exa_label_set {
    exa_segid *ids; /* owned */
    size_t count, capacity;
} exa_label_set;

exa_status exa_label_set_add(exa_label_set *set, const exa_segid *labels, size_t count);

/* Puts the ids in ascending order, each once. */
void exa_label_set_finish(exa_label_set *set);

typedef struct exa_resampled {
    exa_coord shape[3];  /* zyx */
    double voxel_nm[3];  /* as asked for */
    double origin_nm[3]; /* of the box's first corner */
    uint64_t segments;   /* different labels that the box has before it is resampled */
    uint8_t *image;      /* owned; [z, y, x] */
    exa_segid *labels;   /* owned; [z, y, x] */
} exa_resampled;

/* Reads `box` of the labels, and of the image what lies at `place` + box, slab by slab; only the result is ever
 * held whole. EXA_ERR_RANGE if the box is smaller than one voxel of the result. `pool` may be NULL. */
exa_status exa_resample_read(exa_volume *image, const exa_coord place[3], exa_volume *labels, const exa_box *box,
                             const double source_nm[3], const double voxel_nm[3], exa_pool *pool,
                             exa_resampled *out);

/* Either alone; `from` [z, y, x] of `shape`, into arrays as the above makes them. */
exa_status exa_resample_image(const uint8_t *from, const exa_coord shape[3], const double scale[3],
                              const exa_coord out_shape[3], uint8_t *out);
exa_status exa_resample_labels(const exa_segid *from, const exa_coord shape[3], const double scale[3],
                               const exa_coord out_shape[3], exa_segid *out);

void exa_resampled_free(exa_resampled *resampled);

#ifdef __cplusplus
}
#endif
#endif
