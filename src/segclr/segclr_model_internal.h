/* What reading, importing and running a SegCLR model share. */
#ifndef EXA_SEGCLR_MODEL_INTERNAL_H
#define EXA_SEGCLR_MODEL_INTERNAL_H

#include "exaconn/segclr_model.h"

#define EXA_SEGCLR_KIND "segclr-resnet3d"
#define EXA_SEGCLR_KIND_VERSION 1
#define EXA_SEGCLR_MAX_LAYERS 80

exa_status exa_segclr_geometry_check(const exa_segclr_geometry *geometry);

/* Fills in all but the tensors; returns how many layers there are. Order: stem; per block conv_0, ..., then the
 * shortcut; head. */
int exa_segclr_describe(const exa_segclr_geometry *geometry, exa_segclr_layer layers[EXA_SEGCLR_MAX_LAYERS]);

/* 0 where the layer has no such tensor. */
size_t exa_segclr_tensor_elements(const exa_segclr_layer *layer, exa_segclr_part part);

/* Every value finite, every variance at least 0. EXA_ERR_FORMAT. */
exa_status exa_segclr_check_values(const exa_segclr_model *model);

#endif
