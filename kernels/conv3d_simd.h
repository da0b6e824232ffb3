/* What conv3d.c needs from each instruction-set build of kernels/simd/: one table per build. */
#ifndef EXA_CONV3D_SIMD_H
#define EXA_CONV3D_SIMD_H

#include "exaconn/conv3d.h"

typedef struct exa_conv3d_simd {
    int vector_floats;
    int block_vectors; /* output vectors one register block holds: packed weights are laid out by it */
    void (*direct)(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end,
                   float *scratch);
    void (*winograd)(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t begin, size_t end,
                     float *scratch);
    void (*head)(const float *in, int stride, const float *weights, float bias, const float *add, size_t count,
                 float *out);
    void (*max)(const float *const *in, int window, size_t count, float *out);
} exa_conv3d_simd;

extern const exa_conv3d_simd exa_conv3d_simd_portable;
#ifdef EXA_SIMD_X86
extern const exa_conv3d_simd exa_conv3d_simd_avx2;
extern const exa_conv3d_simd exa_conv3d_simd_avx512;
#endif

/* Scratch of the Winograd kernel, in floats, by part; all are multiples of 16. G tile rows are worked on at once.
 */
typedef struct exa_winograd_scratch {
    size_t ring;    /* [3 G + 2 rows][5 pz][grid x][Cin] */
    size_t points;  /* [G][5 py][grid x][Cin] */
    size_t in;      /* [5 px][G, tiles x][Cin] */
    size_t product; /* [5 px][G, tiles x][Cout] */
    size_t lines;   /* [G][5 py][3 * tiles x][Cout] */
    size_t planes;  /* [G][5 pz][3 yo][3 * tiles x][Cout] */
    size_t total;
} exa_winograd_scratch;

exa_winograd_scratch exa_winograd_scratch_of(const exa_conv3d_plan *plan);

/* The input voxel under the first tap of output voxel z, y, x: the halo makes it a valid one. */
size_t exa_conv3d_first_tap(const exa_conv3d_plan *plan, int z, int y, int x);

/* 1-D Winograd F(3, 3) at the points 0, 1, -1/2, -2 and infinity. Of the point sets tried through the whole
 * published FIB-25 network this one errs least, about as little as direct convolution (docs/benchmarks.md,
 * "Accuracy"). y = A^T [ (G g) * (B^T d) ],  d: 5 inputs, g: 3 weights, y: 3 outputs
 *
 *   B^T  1   3/2 -3/2  -1   0      A^T  1   1    1    1   0      G    1     0     0
 *        0   1    5/2   1   0           0   1  -1/2  -2   0          2/9   2/9   2/9
 *        0  -2    1     1   0           0   1   1/4   4   1          8/9  -4/9   2/9
 *        0  -1/2 -1/2   1   0                                       -1/9   2/9  -4/9
 *        0  -1   -3/2  3/2  1                                         0     0     1
 */
#endif
