/* Slices side by side as a PNG: gray values, label colours over them, a caption over each panel.
 *
 * The picture is written row by row; memory is a row and the captions, whatever its size.
 */
#ifndef EXACONN_PICTURE_H
#define EXACONN_PICTURE_H

#include "exaconn/box.h"
#include "exaconn/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_PICTURE_MAX_PANELS 8

typedef struct exa_picture_panel {
    const uint8_t *gray;     /* [rows, columns]; borrowed */
    const exa_segid *labels; /* [rows, columns]; borrowed; NULL = gray only. Label 0 has no colour */
    const char *caption;     /* borrowed; ASCII, shown in capitals; cut where the panel ends */
} exa_picture_panel;

typedef struct exa_picture_options {
    exa_coord rows, columns;     /* of every panel, in voxels */
    int row_scale, column_scale; /* pixels of a voxel, >= 1 */
    double opacity;              /* of the colours, 0..1; 0 = 0.45 */
} exa_picture_options;

/* Writes the picture atomically. Equal input gives equal bytes. */
exa_status exa_picture_write(const char *path, const exa_picture_panel *panels, int count,
                             const exa_picture_options *options);

/* The colour of a label: always the same, and far from those of its neighbours in number. */
void exa_picture_color(exa_segid label, uint8_t rgb[3]);

/* Gray levels for values of any range: the 0.5th percentile becomes 0, the 99.5th 255. NaN is 0. */
exa_status exa_picture_stretch(const float *values, size_t n, uint8_t *gray);

#ifdef __cplusplus
}
#endif
#endif
