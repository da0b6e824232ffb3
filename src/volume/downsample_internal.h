/* Halves volumes: images by the mean, labels by the label most of a block has. */
#ifndef EXA_DOWNSAMPLE_INTERNAL_H
#define EXA_DOWNSAMPLE_INTERNAL_H

#include "exaconn/box.h"

/* Both boxes lie in global voxels of their scales: voxel v of `to` covers voxels [v * factor, (v + 1) * factor) of
 * `from` as far as that has them (one at least); factors are 1 or 2. */
exa_status exa_downsample_image(exa_dtype dtype, const exa_box *from, const void *source, const int factor[3],
                                const exa_box *to, void *target);

/* The most frequent label that is not background; the one met first (z, y, x order) of several. Background only
 * where more than half of the voxels are: thin processes stay connected longer than by a plain majority, and the
 * result does not depend on how labels are named. */
void exa_downsample_labels(const exa_box *from, const uint64_t *source, const int factor[3], const exa_box *to,
                           uint64_t *target);

#endif
