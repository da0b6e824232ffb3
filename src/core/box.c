/* Box arithmetic that cannot overflow, and allocation that says what it was for. */
#include "exaconn/box.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

size_t exa_dtype_size(exa_dtype dtype) {
    static const size_t sizes[] = {0, 1, 2, 4, 8, 4};
    return (unsigned)dtype < sizeof sizes / sizeof *sizes ? sizes[dtype] : 0;
}

const char *exa_dtype_name(exa_dtype dtype) {
    static const char *const names[] = {"none", "uint8", "uint16", "uint32", "uint64", "float32"};
    return (unsigned)dtype < sizeof names / sizeof *names ? names[dtype] : "unknown";
}

bool exa_box_inside(const exa_box *inner, const exa_box *outer) {
    for (int a = 0; a < 3; a++) {
        __int128 lo = inner->start[a], hi = lo + inner->shape[a];
        __int128 outer_lo = outer->start[a], outer_hi = outer_lo + outer->shape[a];
        if (inner->shape[a] < 0 || lo < outer_lo || hi > outer_hi) return false;
    }
    return true;
}

exa_box exa_box_intersect(const exa_box *a, const exa_box *b) {
    exa_box common;
    for (int i = 0; i < 3; i++) {
        exa_coord lo = a->start[i] > b->start[i] ? a->start[i] : b->start[i];
        exa_coord a_hi = a->start[i] + a->shape[i], b_hi = b->start[i] + b->shape[i];
        exa_coord hi = a_hi < b_hi ? a_hi : b_hi;
        common.start[i] = lo;
        common.shape[i] = hi > lo ? hi - lo : 0;
    }
    return common;
}

exa_status exa_box_voxels(const exa_box *box, int64_t *voxels) {
    int64_t product = 1;
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(box->shape[a] >= 0, EXA_ERR_RANGE, "box has a negative extent (%lld) on axis %c",
                  (long long)box->shape[a], "zyx"[a]);
        EXA_CHECK(!__builtin_mul_overflow(product, box->shape[a], &product), EXA_ERR_RANGE,
                  "box %lld x %lld x %lld has more than 2^63-1 voxels", (long long)box->shape[0],
                  (long long)box->shape[1], (long long)box->shape[2]);
    }
    *voxels = product;
    return EXA_OK;
}

exa_status exa_size_mul(size_t count, size_t size, size_t *bytes) {
    EXA_CHECK(!__builtin_mul_overflow(count, size, bytes), EXA_ERR_RANGE, "%zu elements of %zu bytes overflow",
              count, size);
    return EXA_OK;
}

exa_status exa_alloc(size_t count, size_t size, const char *what, void *pointer_out) {
    size_t bytes;
    char text[32];
    void *p = NULL;

    EXA_TRY(exa_size_mul(count, size, &bytes));
    if (bytes == 0) bytes = 1;
    EXA_CHECK(posix_memalign(&p, 64, bytes) == 0, EXA_ERR_MEMORY,
              "cannot allocate %s for %s. Hint: use a smaller box, fewer threads, or a machine with more memory",
              exa_format_bytes((double)bytes, text), what);
    memcpy(pointer_out, &p, sizeof p);
    return EXA_OK;
}

exa_status exa_calloc(size_t count, size_t size, const char *what, void *pointer_out) {
    void *p;

    EXA_TRY(exa_alloc(count, size, what, &p));
    memset(p, 0, count * size); /* did not overflow in exa_alloc */
    memcpy(pointer_out, &p, sizeof p);
    return EXA_OK;
}

const char *exa_format_bytes(double bytes, char out[32]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB"};
    size_t u = 0;
    while (bytes >= 1024.0 && u + 1 < sizeof units / sizeof *units) {
        bytes /= 1024.0;
        u++;
    }
    snprintf(out, 32, u == 0 ? "%.0f %s" : "%.1f %s", bytes, units[u]);
    return out;
}

int exa_segid_order(const void *pa, const void *pb) {
    exa_segid a = *(const exa_segid *)pa, b = *(const exa_segid *)pb;
    return (a > b) - (a < b);
}

exa_status exa_grow(void *array, size_t *capacity, size_t size, size_t wanted, const char *what) {
    void **list = array;
    size_t to = *capacity ? *capacity : 64;
    void *grown;

    if (wanted <= *capacity) return EXA_OK;
    while (to < wanted) to *= 2;
    grown = realloc(*list, to * size);
    EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu %s", to, what);
    *list = grown;
    *capacity = to;
    return EXA_OK;
}

exa_status exa_huge_calloc(size_t floats, const char *what, float **out, size_t *bytes_out) {
    const size_t page = (size_t)2 << 20;
    char text[32];
    size_t bytes;
    void *p = NULL;

    EXA_TRY(exa_size_mul(floats, sizeof(float), &bytes));
    bytes = (bytes + page) / page * page; /* at least one byte more than asked for */
    EXA_CHECK(posix_memalign(&p, page, bytes) == 0, EXA_ERR_MEMORY,
              "cannot allocate %s for %s. Hint: use fewer threads or a machine with more memory",
              exa_format_bytes((double)bytes, text), what);
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    *out = p;
    *bytes_out = bytes;
    return EXA_OK;
}
