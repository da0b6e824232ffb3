/* Opening of the zero voxels by a cube: erosion, then dilation, each axis by axis with a sliding count. */
#include "exaconn/exclusion.h"

#include <stdlib.h>
#include <string.h>

enum { RADIUS = 2, WINDOW = 2 * RADIUS + 1 };

/* Replaces each voxel of a line by "at least `needed` of its window are set", `outside` standing in beyond the
 * ends. */
static void slide_line(uint8_t *first, exa_coord n, exa_coord stride, int needed, int outside, uint8_t *line) {
    int set = outside * RADIUS;

    for (exa_coord i = 0; i < n; i++) line[i] = first[i * stride];
    for (exa_coord i = 0; i <= RADIUS; i++) set += i < n ? line[i] : outside;
    for (exa_coord i = 0; i < n; i++) {
        first[i * stride] = set >= needed;
        set += i + RADIUS + 1 < n ? line[i + RADIUS + 1] : outside;
        set -= i - RADIUS >= 0 ? line[i - RADIUS] : outside;
    }
}

static void slide(uint8_t *data, const exa_coord n[3], int needed, int outside, uint8_t *line) {
    for (exa_coord y = 0; y < n[1]; y++) {
        for (exa_coord x = 0; x < n[2]; x++)
            slide_line(data + y * n[2] + x, n[0], n[1] * n[2], needed, outside, line);
    }
    for (exa_coord z = 0; z < n[0]; z++) {
        for (exa_coord x = 0; x < n[2]; x++) {
            slide_line(data + z * n[1] * n[2] + x, n[1], n[2], needed, outside, line);
        }
    }
    for (exa_coord row = 0; row < n[0] * n[1]; row++) slide_line(data + row * n[2], n[2], 1, needed, outside, line);
}

static bool is_zero(const exa_image *image, size_t i) {
    if (image->dtype == EXA_U8) return ((const uint8_t *)image->raw)[i] == 0;
    if (image->dtype == EXA_U16) return ((const uint16_t *)image->raw)[i] == 0;
    return ((const float *)image->raw)[i] == 0.0f;
}

exa_status exa_exclusion_add_zero_raw(const exa_image *image, uint8_t *excluded, int64_t *added) {
    const exa_coord *n = image->shape;
    size_t voxels = (size_t)(n[0] * n[1] * n[2]);
    exa_coord longest = n[0] > n[1] ? n[0] : n[1];
    uint8_t *zero = NULL, *line = NULL;
    exa_status st = EXA_OK;

    if (n[2] > longest) longest = n[2];
    EXA_GOTO(done, exa_alloc(voxels, 1, "the zero-voxel mask", &zero));
    EXA_GOTO(done, exa_alloc((size_t)longest, 1, "a line", &line));
    for (size_t i = 0; i < voxels; i++) zero[i] = is_zero(image, i);
    slide(zero, n, WINDOW, 1, line);
    slide(zero, n, 1, 0, line);
    *added = 0;
    for (size_t i = 0; i < voxels; i++) {
        *added += zero[i] && !excluded[i];
        excluded[i] |= zero[i];
    }
done:
    free(zero);
    free(line);
    return st;
}
