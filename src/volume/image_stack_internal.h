/* What an image decoder tells and does; one pair of files per format. */
#ifndef EXA_IMAGE_STACK_INTERNAL_H
#define EXA_IMAGE_STACK_INTERNAL_H

#include "exaconn/box.h"
#include "exaconn/status.h"

typedef struct exa_image_info {
    exa_dtype dtype;
    int channels;  /* as decoded: 1 gray, 2 gray+alpha, 3 RGB, 4 RGB+alpha */
    bool inverted; /* TIFF "min is white" */
    exa_coord height, width;
    int pages;
} exa_image_info;

/* One decoded row of `info->channels` interleaved samples to gray; colour is EXA_ERR_UNSUPPORTED. */
exa_status exa_image_gray_row(const char *path, const exa_image_info *info, exa_coord y, const void *row,
                              void *out);

exa_status exa_png_inspect(const char *path, exa_image_info *info);
exa_status exa_png_read(const char *path, const exa_image_info *info, void *out);

/* A TIFF stays open so that its pages are walked once. */
typedef struct exa_tiff exa_tiff;
exa_status exa_tiff_inspect(const char *path, exa_image_info *info);
exa_status exa_tiff_open(const char *path, exa_tiff **out);
exa_status exa_tiff_read(exa_tiff *tiff, int page, const exa_image_info *info, void *out);
void exa_tiff_close(exa_tiff **tiff);

#endif
