/* A folder of slices (PNG or TIFF) as a volume: files in natural name order are planes along z.
 *
 * Only headers are read when a stack is opened; voxels stream through exa_image_stack_read, a few planes at a time.
 * A stack is used by one thread at a time.
 */
#ifndef EXACONN_IMAGE_STACK_H
#define EXACONN_IMAGE_STACK_H

#include "exaconn/box.h"
#include "exaconn/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_image_stack exa_image_stack;

typedef struct exa_image_stack_info {
    const char *format; /* "png" or "tiff" */
    exa_dtype dtype;    /* uint8 or uint16; TIFF also uint32 and float32 */
    exa_coord shape[3]; /* zyx; every page of a TIFF is a plane */
    int files;
    int missing; /* numbers left out in the file names (each gap was logged as a warning) */
} exa_image_stack_info;

/* Opens the files of `folder` that match the shell pattern, or all *.png, *.tif and *.tiff if it is NULL. Colour
 * images whose channels are equal pass as gray (logged once); others are refused, as are files that differ in size,
 * depth or kind. Errors name the file. */
exa_status exa_image_stack_open(const char *folder, const char *pattern, exa_image_stack **out);
void exa_image_stack_close(exa_image_stack **stack);

exa_status exa_image_stack_get_info(const exa_image_stack *stack, exa_image_stack_info *info);

/* Reads `planes` whole planes from z on into `data` [planes, y, x] of the stack's type; fastest in ascending z. */
exa_status exa_image_stack_read(exa_image_stack *stack, exa_coord z, exa_coord planes, void *data);

/* Copies the stack into a volume being created that has its shape, in slabs of the volume's chunk depth. */
exa_status exa_image_stack_copy(exa_image_stack *stack, exa_volume *volume);

/* The order of slices: runs of digits compare as numbers ("z9" < "z10"), all else byte by byte. */
int exa_image_natural_order(const char *a, const char *b);

#ifdef __cplusplus
}
#endif
#endif
