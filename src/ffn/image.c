/* Normalisation of raw voxels; uint8 goes through a table of the 256 exactly divided values. */
#include "exaconn/image.h"

#include <string.h>

exa_status exa_image_init(exa_image *image, const void *raw, exa_dtype dtype, const exa_coord shape[3], float mean,
                          float stddev) {
    EXA_CHECK(dtype == EXA_U8 || dtype == EXA_U16 || dtype == EXA_F32, EXA_ERR_UNSUPPORTED,
              "raw images are uint8, uint16 or float32, not %s", exa_dtype_name(dtype));
    EXA_CHECK(stddev > 0.0f, EXA_ERR_RANGE, "image_stddev must be positive, not %g", (double)stddev);
    *image = (exa_image){.raw = raw, .dtype = dtype, .mean = mean, .stddev = stddev};
    memcpy(image->shape, shape, sizeof image->shape);
    for (int v = 0; v < 256; v++) image->table[v] = ((float)v - mean) / stddev;
    return EXA_OK;
}

void exa_image_row(const exa_image *image, exa_coord z, exa_coord y, exa_coord x, exa_coord count, float *out) {
    size_t at = (size_t)((z * image->shape[1] + y) * image->shape[2] + x);

    if (image->dtype == EXA_U8) {
        const uint8_t *from = (const uint8_t *)image->raw + at;
        for (exa_coord i = 0; i < count; i++) out[i] = image->table[from[i]];
    } else if (image->dtype == EXA_U16) {
        const uint16_t *from = (const uint16_t *)image->raw + at;
        for (exa_coord i = 0; i < count; i++) out[i] = ((float)from[i] - image->mean) / image->stddev;
    } else {
        const float *from = (const float *)image->raw + at;
        for (exa_coord i = 0; i < count; i++) out[i] = (from[i] - image->mean) / image->stddev;
    }
}

void exa_image_box(const exa_image *image, const exa_coord start[3], const exa_coord shape[3], float *out) {
    for (exa_coord z = 0; z < shape[0]; z++) {
        for (exa_coord y = 0; y < shape[1]; y++) {
            exa_image_row(image, start[0] + z, start[1] + y, start[2], shape[2], out);
            out += shape[2];
        }
    }
}
