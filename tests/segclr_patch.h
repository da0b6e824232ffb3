/* Networks and patches of random numbers for the tests of SegCLR: those of tests/segclr_reference.py, bit by bit.
 */
#ifndef EXA_TEST_SEGCLR_PATCH_H
#define EXA_TEST_SEGCLR_PATCH_H

#include "test_util.h"

#include "exaconn/segclr_model.h"

static inline exa_segclr_model *segclr_random_model(int variant, int depth, int width, int size) {
    exa_segclr_geometry g = {(exa_segclr_variant)variant, depth, width, 3, 64};
    exa_segclr_model *m = NULL;
    assert_ok(exa_segclr_model_create(&g, &m));
    m->patch[0] = m->patch[1] = m->patch[2] = size;
    assert_ok(exa_segclr_model_randomize(m, 1));
    return m;
}

/* A tube of noise in the dark. */
static inline float *segclr_patch(int size, uint64_t seed) {
    size_t n = (size_t)size * (size_t)size * (size_t)size;
    float *p = malloc(n * sizeof *p);
    for (size_t i = 0; i < n; i++) {
        int z = (int)(i / (size_t)(size * size)), y = (int)(i / (size_t)size) % size, x = (int)(i % (size_t)size);
        int dz = z - size / 2, dy = y - x / 2 - size / 4;
        int byte = (int)(exa_segclr_random("patch", seed, i) * 256);
        p[i] = dz * dz + dy * dy <= (size / 4) * (size / 4) ? (float)(byte * (1.0 / 255)) : 0.0f;
    }
    return p;
}
#endif
