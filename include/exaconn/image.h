/* A raw image as the network sees it: any element type, normalised on the fly as (float32(raw) - mean) / stddev
 * with a true float32 division (FFN_SEMANTICS A.1). The raw voxels stay in their own type, so a uint8 canvas costs
 * one byte a voxel. */
#ifndef EXACONN_IMAGE_H
#define EXACONN_IMAGE_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_image {
    const void *raw; /* borrowed, [z, y, x] dense */
    exa_dtype dtype; /* EXA_U8, EXA_U16 or EXA_F32 */
    exa_coord shape[3];
    float mean, stddev;
    float table[256]; /* normalised value of each uint8 */
} exa_image;

/* EXA_ERR_UNSUPPORTED for another type; EXA_ERR_RANGE for stddev <= 0. */
exa_status exa_image_init(exa_image *image, const void *raw, exa_dtype dtype, const exa_coord shape[3], float mean,
                          float stddev);

/* `count` normalised voxels from (z, y, x) along x. */
void exa_image_row(const exa_image *image, exa_coord z, exa_coord y, exa_coord x, exa_coord count, float *out);

/* The normalised box with its first voxel at `start`, dense; must lie inside. */
void exa_image_box(const exa_image *image, const exa_coord start[3], const exa_coord shape[3], float *out);

#ifdef __cplusplus
}
#endif
#endif
