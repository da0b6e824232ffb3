/* Voxels that a run leaves alone: no seed, no FOV centre, no label. One byte a voxel, [z, y, x], 1 = excluded. */
#ifndef EXACONN_EXCLUSION_H
#define EXACONN_EXCLUSION_H

#include "exaconn/image.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adds the all-zero regions of the raw image: every voxel that lies in some 5 x 5 x 5 block of zeros (beyond the
 * border counts as zero), so that single black voxels in tissue do not count. Returns the voxels newly excluded. */
exa_status exa_exclusion_add_zero_raw(const exa_image *image, uint8_t *excluded, int64_t *added);

#ifdef __cplusplus
}
#endif
#endif
