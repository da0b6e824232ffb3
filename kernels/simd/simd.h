/* Vectors of EXA_SIMD_FLOATS floats by the compilers' vector extensions, and the register block that all matrix
 * products here are made of. Each build defines EXA_SIMD_NAME (portable, avx2, avx512).
 *
 * A register block holds SIMD_ROWS x SIMD_BLOCK accumulators. Per input channel it loads SIMD_BLOCK weight vectors
 * and SIMD_ROWS broadcast inputs for SIMD_ROWS * SIMD_BLOCK multiply-adds: with 11 x 2 that is 13 loads for 22 of
 * them, well under the two loads per cycle a core has. Broadcasts are explicit, as folded into each multiply-add
 * they would be 22 loads and the bottleneck.
 */
#ifndef EXA_SIMD_H
#define EXA_SIMD_H

#include "conv3d_simd.h"

#define SIMD_CAT2(a, b) a##b
#define SIMD_CAT(a, b) SIMD_CAT2(a, b)

typedef float vec __attribute__((vector_size(EXA_SIMD_FLOATS * 4), may_alias));
typedef int vec_mask __attribute__((vector_size(EXA_SIMD_FLOATS * 4), may_alias));

#define SIMD_BLOCK 2
#if EXA_SIMD_FLOATS == 16 || defined(__aarch64__)
#define SIMD_ROWS 11 /* 32 vector registers */
#else
#define SIMD_ROWS 6 /* 16 */
#endif

#if defined(__clang__)
#define SIMD_UNROLL _Pragma("clang loop unroll(full)")
#else
#define SIMD_UNROLL _Pragma("GCC unroll 32")
#endif
#define SIMD_INLINE static inline __attribute__((always_inline))

SIMD_INLINE vec load(const float *p) {
    return *(const vec *)p;
}
SIMD_INLINE void store(float *p, vec v) {
    *(vec *)p = v;
}

/* max(v, 0); a NaN becomes 0 as in the reference. */
SIMD_INLINE vec relu(vec v) {
    const vec zero = {0};
    return (vec)((vec_mask)v & (v > zero));
}

/* What a convolution does with a finished vector of channels from `channel` on, at output offset `at`. */
SIMD_INLINE void finish(const exa_conv3d_plan *plan, const exa_conv3d_args *args, size_t at, size_t channel,
                        vec v) {
    if (args->affine)
        v = relu(v) * load(args->affine + channel) + load(args->affine + (size_t)plan->out_stride + channel);
    if (args->add_out) v += load(args->out + at);
    if (args->out_relu) store(args->out_relu + at, relu(v));
    store(args->out + at, args->relu_out ? relu(v) : v);
}

/* Keeps the compiler from merging `p` with its neighbours: eleven row pointers would not fit the registers. */
#define SIMD_OPAQUE(p) __asm__ volatile("" : "+r"(p))
#define SIMD_GROUP 3 /* rows per pointer: base, base + stride, base + 2 * stride are addressing modes */

/* acc[m][n] += a[m * lda + k] * w[(k * N + n) vectors] for k < K; M and N are constants at every call. No
 * software prefetch: weights read straight on come from L2 as fast without (measured on Emerald Rapids). */
SIMD_INLINE void multiply_block(vec acc[SIMD_ROWS][SIMD_BLOCK], const float *a, size_t lda, const float *w,
                                size_t K, const int M, const int N) {
    const float *rows[(SIMD_ROWS + SIMD_GROUP - 1) / SIMD_GROUP];

    SIMD_UNROLL
    for (int g = 0; g * SIMD_GROUP < M; g++) rows[g] = a + (size_t)(g * SIMD_GROUP) * lda;
#pragma GCC unroll 1
    for (size_t k = 0; k < K; k++) {
        vec weight[SIMD_BLOCK];
        SIMD_UNROLL
        for (int n = 0; n < N; n++) weight[n] = load(w + n * EXA_SIMD_FLOATS);
        SIMD_UNROLL
        for (int m = 0; m < M; m++) {
            if (m % SIMD_GROUP == 0) SIMD_OPAQUE(rows[m / SIMD_GROUP]);
            vec x = rows[m / SIMD_GROUP][(size_t)(m % SIMD_GROUP) * lda] - (vec){0};
            SIMD_UNROLL
            for (int n = 0; n < N; n++) acc[m][n] += x * weight[n];
        }
        SIMD_UNROLL
        for (int g = 0; g * SIMD_GROUP < M; g++) rows[g]++;
        w += N * EXA_SIMD_FLOATS;
    }
}

/* Calls FUNCTION(M constant, N constant, ...) for run-time m in [1, SIMD_ROWS] and n in {1, 2}. */
#define SIMD_CASE(M, n, FUNCTION, ...)                                                                             \
    case M:                                                                                                        \
        if ((n) == 2) {                                                                                            \
            FUNCTION(M, 2, __VA_ARGS__);                                                                           \
        } else {                                                                                                   \
            FUNCTION(M, 1, __VA_ARGS__);                                                                           \
        }                                                                                                          \
        break;
#if SIMD_ROWS == 11
#define SIMD_MORE_CASES(n, FUNCTION, ...)                                                                          \
    SIMD_CASE(7, n, FUNCTION, __VA_ARGS__)                                                                         \
    SIMD_CASE(8, n, FUNCTION, __VA_ARGS__)                                                                         \
    SIMD_CASE(9, n, FUNCTION, __VA_ARGS__)                                                                         \
    SIMD_CASE(10, n, FUNCTION, __VA_ARGS__)                                                                        \
    SIMD_CASE(11, n, FUNCTION, __VA_ARGS__)
#else
#define SIMD_MORE_CASES(n, FUNCTION, ...)
#endif
#define SIMD_DISPATCH(m, n, FUNCTION, ...)                                                                         \
    switch (m) {                                                                                                   \
        SIMD_CASE(1, n, FUNCTION, __VA_ARGS__)                                                                     \
        SIMD_CASE(2, n, FUNCTION, __VA_ARGS__)                                                                     \
        SIMD_CASE(3, n, FUNCTION, __VA_ARGS__)                                                                     \
        SIMD_CASE(4, n, FUNCTION, __VA_ARGS__)                                                                     \
        SIMD_CASE(5, n, FUNCTION, __VA_ARGS__)                                                                     \
        SIMD_CASE(6, n, FUNCTION, __VA_ARGS__)                                                                     \
        SIMD_MORE_CASES(n, FUNCTION, __VA_ARGS__)                                                                  \
    default: break;                                                                                                \
    }

/* `count` rows in nearly equal blocks of at most SIMD_ROWS: the number of blocks, and the first row of block i. */
SIMD_INLINE int block_count(int count) {
    return (count + SIMD_ROWS - 1) / SIMD_ROWS;
}
SIMD_INLINE int block_first(int count, int blocks, int i) {
    return (int)((long)count * i / blocks);
}

/* Shared between the two sources of one build. */
void SIMD_CAT(exa_winograd_run_, EXA_SIMD_NAME)(const exa_conv3d_plan *plan, const exa_conv3d_args *args,
                                                size_t begin, size_t end, float *scratch);
#endif
