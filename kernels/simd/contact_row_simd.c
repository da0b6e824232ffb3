/* Rows of labels compared a vector at a time: the lowest bits of the comparison's lanes are the result's bits. */
#include "contact_row_simd.h"

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__SSE2__)
#include <immintrin.h>
#endif

#define ROW_CAT2(a, b) a##b
#define ROW_CAT(a, b) ROW_CAT2(a, b)

static inline unsigned touches(uint32_t a, uint32_t b) {
    return (a != b) & (a != 0) & (b != 0);
}

/* `touching` of LANES labels, and `changes` of CHANGES ids against the ones before them. */
#if defined(__AVX512F__)
enum { LANES = 16, CHANGES = 8 };
static inline uint64_t touching(const uint32_t *a, const uint32_t *b) {
    const __m512i p = _mm512_loadu_si512(a), q = _mm512_loadu_si512(b);
    return _mm512_mask_test_epi32_mask(_mm512_mask_test_epi32_mask(_mm512_cmpneq_epi32_mask(p, q), p, p), q, q);
}
static inline uint64_t changes(const uint64_t *ids) {
    return _mm512_cmpneq_epi64_mask(_mm512_loadu_si512(ids), _mm512_loadu_si512(ids - 1));
}
#elif defined(__AVX2__)
enum { LANES = 8, CHANGES = 4 };
static inline uint64_t touching(const uint32_t *a, const uint32_t *b) {
    const __m256i p = _mm256_loadu_si256((const void *)a), q = _mm256_loadu_si256((const void *)b);
    const __m256i zero = _mm256_cmpeq_epi32(_mm256_min_epu32(p, q), _mm256_setzero_si256());
    const __m256i not = _mm256_or_si256(zero, _mm256_cmpeq_epi32(p, q));
    return (uint64_t)~_mm256_movemask_ps(_mm256_castsi256_ps(not )) & 0xff;
}
static inline uint64_t changes(const uint64_t *ids) {
    const __m256i p = _mm256_loadu_si256((const void *)ids), q = _mm256_loadu_si256((const void *)(ids - 1));
    return (uint64_t)~_mm256_movemask_pd(_mm256_castsi256_pd(_mm256_cmpeq_epi64(p, q))) & 0xf;
}
#elif defined(__SSE2__)
enum { LANES = 4, CHANGES = 2 };
static inline uint64_t touching(const uint32_t *a, const uint32_t *b) {
    const __m128i p = _mm_loadu_si128((const void *)a), q = _mm_loadu_si128((const void *)b);
    const __m128i zero = _mm_setzero_si128();
    const __m128i not =
        _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi32(p, zero), _mm_cmpeq_epi32(q, zero)), _mm_cmpeq_epi32(p, q));
    return (uint64_t)~_mm_movemask_ps(_mm_castsi128_ps(not )) & 0xf;
}
static inline uint64_t changes(const uint64_t *ids) {
    return (uint64_t)(ids[0] != ids[-1]) | (uint64_t)(ids[1] != ids[0]) << 1;
}
#else
enum { LANES = 4, CHANGES = 2 };
static inline uint64_t touching(const uint32_t *a, const uint32_t *b) {
    return touches(a[0], b[0]) | touches(a[1], b[1]) << 1 | touches(a[2], b[2]) << 2 | touches(a[3], b[3]) << 3;
}
static inline uint64_t changes(const uint64_t *ids) {
    return (uint64_t)(ids[0] != ids[-1]) | (uint64_t)(ids[1] != ids[0]) << 1;
}
#endif

#if defined(__AVX2__) && !defined(__AVX512F__)
/* All ones where labels do not touch. */
static inline __m256i apart(const uint32_t *a, const uint32_t *b) {
    const __m256i p = _mm256_loadu_si256((const void *)a), q = _mm256_loadu_si256((const void *)b);
    return _mm256_or_si256(_mm256_cmpeq_epi32(_mm256_min_epu32(p, q), _mm256_setzero_si256()),
                           _mm256_cmpeq_epi32(p, q));
}

/* 32 comparisons packed to bytes; packing works in halves of a vector, which the permutation puts in order. */
static inline uint64_t touching_32(const uint32_t *a, const uint32_t *b) {
    const __m256i low = _mm256_packs_epi32(apart(a, b), apart(a + 8, b + 8));
    const __m256i high = _mm256_packs_epi32(apart(a + 16, b + 16), apart(a + 24, b + 24));
    const __m256i bytes =
        _mm256_permutevar8x32_epi32(_mm256_packs_epi16(low, high), _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
    return ~(uint32_t)_mm256_movemask_epi8(bytes);
}

static inline uint64_t touching_64(const uint32_t *a, const uint32_t *b) {
    return touching_32(a, b) | touching_32(a + 32, b + 32) << 32;
}
#else
static inline uint64_t touching_64(const uint32_t *a, const uint32_t *b) {
    uint64_t word = 0;
    for (size_t k = 0; k < 64; k += LANES) word |= touching(a + k, b + k) << k;
    return word;
}
#endif

static inline uint64_t touching_tail(const uint32_t *a, const uint32_t *b, size_t n) {
    uint64_t word = 0;
    size_t k = 0;

    for (; k + LANES <= n; k += LANES) word |= touching(a + k, b + k) << k;
    for (; k < n; k++) word |= (uint64_t)touches(a[k], b[k]) << k;
    return word;
}

static void row(const uint32_t *a, const uint32_t *b, size_t n, uint64_t *bits) {
    size_t i = 0;

    for (; i + 64 <= n; i += 64) bits[i / 64] = touching_64(a + i, b + i);
    if (i < n) bits[i / 64] = touching_tail(a + i, b + i, n - i);
}

/* Four positions at once whether they are there or not: less to be predicted, as words seldom have more. */
static inline size_t list_word(uint64_t left, size_t from, uint32_t *at, size_t count) {
    const uint64_t guard = (uint64_t)1 << 63; /* so that there always is one */
    const size_t end = count + (size_t)__builtin_popcountll(left);

    for (; count < end; count += 4) {
        for (size_t k = 0; k < 4; k++, left &= left - 1)
            at[count + k] = (uint32_t)from + (uint32_t)__builtin_ctzll(left | guard);
    }
    return end;
}

static size_t list(const uint32_t *a, const uint32_t *b, size_t n, uint32_t *at) {
    size_t i = 0, count = 0;

    for (; i + 64 <= n; i += 64) count = list_word(touching_64(a + i, b + i), i, at, count);
    if (i < n) count = list_word(touching_tail(a + i, b + i, n - i), i, at, count);
    return count;
}

static void change(const uint64_t *ids, size_t n, uint64_t *bits) {
    for (size_t i = 0; i < n; i += 64) {
        const size_t most = n - i < 64 ? n - i : 64;
        uint64_t word = 0;
        size_t k = 0;
        if (i == 0)
            for (k = 1; k < CHANGES && k < most; k++) word |= (uint64_t)(ids[k] != ids[k - 1]) << k;
        for (; k + CHANGES <= most; k += CHANGES) word |= changes(ids + i + k) << k;
        for (; k < most; k++) word |= (uint64_t)(ids[i + k] != ids[i + k - 1]) << k;
        bits[i / 64] = word;
    }
}

const exa_contact_row_simd ROW_CAT(exa_contact_row_simd_, EXA_SIMD_NAME) = {row, list, change};
