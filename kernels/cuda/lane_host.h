/* The CPU side of lane.cuh: CUDA C++ as far as our kernels use it, for a plain C++17 compiler.
 *
 * A block's threads are fibers of the calling OS thread. A fiber runs until it meets others: at a warp's operation,
 * at a barrier, at its end. Which warp goes on, and in which order its lanes do, is drawn from a seed, as is the
 * order of the blocks: what depends on an order that nothing guarantees comes out differently under another seed.
 * Blocks never run side by side: a kernel whose blocks wait for each other hangs aloud.
 *
 * Stops with what and where (abort) on: a barrier or a warp's operation that not all reach, or reach at different
 * lines; a lane that returned; shared memory beyond what was asked for or allowed; copies never waited for;
 * misaligned copies. Shared memory, what an asynchronous copy has not delivered and fresh device memory hold NaNs
 * (all bits set). Device allocations end at an unmapped page. lane_runtime.h imitates the runtime's functions.
 *
 * Not shown by it: races between two fibers that happen to run in a harmless order under all seeds tried, memory
 * ordering between blocks, speed. */
#ifndef EXA_LANE_HOST_H
#define EXA_LANE_HOST_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <functional>
#include <type_traits>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __align__(n) alignas(n)
#ifndef __restrict__
#define __restrict__ __restrict
#endif

/* ---- vector types ------------------------------------------------------------------------------- */

#define EXA_EMU_VECTORS(T, base, bytes)                                                                            \
    struct alignas(2 * bytes) T##2 {                                                                               \
        base x, y;                                                                                                 \
    };                                                                                                             \
    struct T##3 {                                                                                                  \
        base x, y, z;                                                                                              \
    };                                                                                                             \
    struct alignas(4 * bytes > 16 ? 16 : 4 * bytes) T##4 {                                                         \
        base x, y, z, w;                                                                                           \
    };                                                                                                             \
    inline T##2 make_##T##2(base x, base y) {                                                                      \
        return {x, y};                                                                                             \
    }                                                                                                              \
    inline T##3 make_##T##3(base x, base y, base z) {                                                              \
        return {x, y, z};                                                                                          \
    }                                                                                                              \
    inline T##4 make_##T##4(base x, base y, base z, base w) {                                                      \
        return {x, y, z, w};                                                                                       \
    }
EXA_EMU_VECTORS(float, float, 4)
EXA_EMU_VECTORS(int, int, 4)
EXA_EMU_VECTORS(uint, unsigned, 4)
EXA_EMU_VECTORS(uchar, unsigned char, 1)
EXA_EMU_VECTORS(double, double, 8)
EXA_EMU_VECTORS(longlong, long long, 8)
#undef EXA_EMU_VECTORS

struct dim3 {
    unsigned x, y, z;
    constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {
    }
};

namespace exa_emu {

/* Where a fiber stands: what it waits for, at which line, with which operands. */
enum class wait : int { none, warp, barrier, finished };
enum class warp_op : int { sync, shuffle, vote, matrices, mma_f16, mma_tf32 };

struct operands {
    warp_op op;
    unsigned mask;
    const char *file;
    int line;
    const uint32_t *in_a, *in_b; /* of the operation; in_b may be NULL */
    uint32_t *out;
    float *d;
    uint32_t address; /* shared memory, of matrices */
    int source_lane;  /* of a shuffle */
};

struct pending_copy {
    uint32_t to;
    const void *from;
    int bytes, group;
};

struct thread; /* lane_host.cpp */
extern thread_local uint3 current_thread, current_block;
extern thread_local dim3 current_block_dim, current_grid_dim;

void meet_warp(operands *o);
void meet_block(const char *file, int line);
unsigned char *dynamic_shared();
void *static_shared(int id, size_t bytes, size_t align);
uint32_t shared_address(const void *p);
unsigned char *shared_pointer(uint32_t address, size_t bytes, const char *file, int line);
void copy_async(uint32_t to, const void *from, int bytes, const char *file, int line);
void commit_copies();
void wait_copies(int newest);
[[noreturn]] void stop(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Seed of all orders drawn from now on; also EXA_LANE_SEED in the environment. */
void set_seed(uint64_t seed);

/* What ran since the last reset, on this OS thread. */
struct counters {
    uint64_t launches, blocks, mma, matrix_loads, bank_conflicts; /* wavefronts of matrix loads beyond the fewest */
    uint64_t async_copy_bytes, barriers;
};
extern thread_local counters counted;

uint32_t half2_of(float lo, float hi);
float float_of_half(uint16_t h);

} // namespace exa_emu

#include "cuda/lane_runtime.h"

#define threadIdx (exa_emu::current_thread)
#define blockIdx (exa_emu::current_block)
#define blockDim (exa_emu::current_block_dim)
#define gridDim (exa_emu::current_grid_dim)
#define warpSize 32

#define LANE_SHARED(name) unsigned char *name = exa_emu::dynamic_shared()
#define LANE_SHARED_ARRAY(T, name, n)                                                                              \
    T(&name)[n] = *static_cast<T(*)[n]>(exa_emu::static_shared(__COUNTER__, sizeof(T) * (n), alignof(T)))

#define EXA_EMU_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

/* ---- barriers, votes, shuffles ------------------------------------------------------------------ */

inline void __syncthreads(EXA_EMU_HERE) {
    exa_emu::meet_block(file, line);
}
inline void __syncwarp(unsigned mask = 0xffffffffu, EXA_EMU_HERE) {
    exa_emu::operands o = {};
    o.op = exa_emu::warp_op::sync, o.mask = mask, o.file = file, o.line = line;
    exa_emu::meet_warp(&o);
}
inline unsigned __ballot_sync(unsigned mask, int predicate, EXA_EMU_HERE) {
    uint32_t in = predicate != 0, out = 0;
    exa_emu::operands o = {};
    o.op = exa_emu::warp_op::vote, o.mask = mask, o.file = file, o.line = line, o.in_a = &in, o.out = &out;
    exa_emu::meet_warp(&o);
    return out;
}
inline int __any_sync(unsigned mask, int predicate, EXA_EMU_HERE) {
    return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EXA_EMU_HERE) {
    return __ballot_sync(mask, predicate, file, line) == mask;
}

namespace exa_emu {
int lane_number();
template <class T> inline T shuffle(unsigned mask, T value, int source, const char *file, int line) {
    static_assert(sizeof(T) % 4 == 0 && sizeof(T) <= 8, "shuffles move 4 or 8 bytes");
    T result;
    for (size_t i = 0; i < sizeof(T) / 4; i++) {
        uint32_t in, out = 0;
        memcpy(&in, reinterpret_cast<const char *>(&value) + 4 * i, 4);
        operands o = {};
        o.op = warp_op::shuffle, o.mask = mask, o.file = file, o.line = line, o.in_a = &in, o.out = &out;
        o.source_lane = source;
        meet_warp(&o);
        memcpy(reinterpret_cast<char *>(&result) + 4 * i, &out, 4);
    }
    return result;
}
} // namespace exa_emu

template <class T> inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EXA_EMU_HERE) {
    int lane = exa_emu::lane_number();
    return exa_emu::shuffle(mask, value, (lane & ~(width - 1)) | (source & (width - 1)), file, line);
}
template <class T> inline T __shfl_xor_sync(unsigned mask, T value, int bits, int width = 32, EXA_EMU_HERE) {
    int lane = exa_emu::lane_number(), source = lane ^ bits;
    return exa_emu::shuffle(mask, value, (source & ~(width - 1)) > lane ? lane : source, file, line);
}
template <class T> inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, EXA_EMU_HERE) {
    int lane = exa_emu::lane_number(), source = lane - static_cast<int>(by);
    return exa_emu::shuffle(mask, value, source < (lane & ~(width - 1)) ? lane : source, file, line);
}
template <class T> inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, EXA_EMU_HERE) {
    int lane = exa_emu::lane_number(), source = lane + static_cast<int>(by);
    return exa_emu::shuffle(mask, value, source > (lane | (width - 1)) ? lane : source, file, line);
}

inline void __threadfence() {
}
inline void __threadfence_block() {
}

/* ---- atomics: blocks and fibers take turns, so plain updates are atomic ------------------------------- */

template <class T, class F> inline T exa_emu_update(T *p, F f) {
    T old = *p;
    *p = f(old);
    return old;
}
template <class T, class V> inline T atomicAdd(T *p, V v) {
    return exa_emu_update(p, [v](T old) { return static_cast<T>(old + static_cast<T>(v)); });
}
template <class T, class V> inline T atomicSub(T *p, V v) {
    return exa_emu_update(p, [v](T old) { return static_cast<T>(old - static_cast<T>(v)); });
}
template <class T, class V> inline T atomicMax(T *p, V v) {
    return exa_emu_update(p, [v](T old) { return old < static_cast<T>(v) ? static_cast<T>(v) : old; });
}
template <class T, class V> inline T atomicMin(T *p, V v) {
    return exa_emu_update(p, [v](T old) { return static_cast<T>(v) < old ? static_cast<T>(v) : old; });
}
template <class T, class V> inline T atomicOr(T *p, V v) {
    return exa_emu_update(p, [v](T old) { return static_cast<T>(old | static_cast<T>(v)); });
}
template <class T, class V> inline T atomicAnd(T *p, V v) {
    return exa_emu_update(p, [v](T old) { return static_cast<T>(old & static_cast<T>(v)); });
}
template <class T, class V> inline T atomicExch(T *p, V v) {
    return exa_emu_update(p, [v](T) { return static_cast<T>(v); });
}
template <class T, class V> inline T atomicCAS(T *p, V compare, V v) {
    return exa_emu_update(p, [=](T old) { return old == static_cast<T>(compare) ? static_cast<T>(v) : old; });
}

/* ---- arithmetic of single instructions; compile without contraction (-ffp-contract=off) --------------- */

inline uint32_t __float_as_uint(float x) {
    uint32_t r;
    memcpy(&r, &x, 4);
    return r;
}
inline int __float_as_int(float x) {
    return static_cast<int>(__float_as_uint(x));
}
inline float __uint_as_float(uint32_t x) {
    float r;
    memcpy(&r, &x, 4);
    return r;
}
inline float __int_as_float(int x) {
    return __uint_as_float(static_cast<uint32_t>(x));
}
inline long long __double_as_longlong(double x) {
    long long r;
    memcpy(&r, &x, 8);
    return r;
}
inline double __longlong_as_double(long long x) {
    double r;
    memcpy(&r, &x, 8);
    return r;
}
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fsub_rn(float a, float b) {
    return a - b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fsqrt_rn(float a) {
    return sqrtf(a);
}
inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
inline double __dadd_rn(double a, double b) {
    return a + b;
}
inline double __dmul_rn(double a, double b) {
    return a * b;
}
inline double __ddiv_rn(double a, double b) {
    return a / b;
}
inline double __dsqrt_rn(double a) {
    return sqrt(a);
}
inline double __fma_rn(double a, double b, double c) {
    return fma(a, b, c);
}
inline float __double2float_rn(double a) {
    return static_cast<float>(a);
}
inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __popcll(unsigned long long x) {
    return __builtin_popcountll(x);
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}
inline int __ffsll(long long x) {
    return __builtin_ffsll(x);
}
inline int __clz(int x) {
    return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x));
}
inline int __clzll(long long x) {
    return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
template <class T> inline T __ldg(const T *p) {
    return *p;
}
template <class A, class B> constexpr std::common_type_t<A, B> min(A a, B b) {
    return b < a ? static_cast<std::common_type_t<A, B>>(b) : static_cast<std::common_type_t<A, B>>(a);
}
template <class A, class B> constexpr std::common_type_t<A, B> max(A a, B b) {
    return a < b ? static_cast<std::common_type_t<A, B>>(b) : static_cast<std::common_type_t<A, B>>(a);
}

/* ---- lane.cuh ----------------------------------------------------------------------------------- */

namespace lane {

constexpr bool emulated = true;

template <class... P, class... A>
inline cudaError_t launch(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                          A... arguments) {
    auto body = [=]() { kernel(static_cast<P>(arguments)...); };
    return exa_emu::launch(reinterpret_cast<const void *>(kernel), grid, block, shared_bytes, stream, body);
}
template <class... P, class... A>
inline cudaError_t launch_overlapped(void (*kernel)(P...), dim3 grid, dim3 block, size_t shared_bytes,
                                     cudaStream_t stream, A... arguments) {
    /* Code for less than 9.0 does not wait for the kernel before it. */
    if (exa_emu::code_capability() < 90) return cudaErrorInvalidValue;
    return launch(kernel, grid, block, shared_bytes, stream, arguments...);
}
inline void wait_for_previous() {
}
inline void let_next_begin() {
}

inline uint32_t shared_address(const void *p) {
    return exa_emu::shared_address(p);
}
inline void load_matrices_x4(uint32_t (&r)[4], uint32_t address, EXA_EMU_HERE) {
    exa_emu::operands o = {};
    o.op = exa_emu::warp_op::matrices, o.mask = 0xffffffffu, o.file = file, o.line = line, o.out = r;
    o.address = address;
    exa_emu::meet_warp(&o);
}
inline void copy_async_16(uint32_t address, const void *global, int bytes = 16, EXA_EMU_HERE) {
    exa_emu::copy_async(address, global, bytes, file, line);
}
inline void commit_copies() {
    exa_emu::commit_copies();
}
template <int N> inline void wait_copies() {
    exa_emu::wait_copies(N);
}

inline void mma_any(exa_emu::warp_op op, float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                    const char *file, int line) {
    uint32_t b[2] = {b0, b1};
    exa_emu::operands o = {};
    o.op = op, o.mask = 0xffffffffu, o.file = file, o.line = line, o.in_a = a, o.in_b = b, o.d = d;
    exa_emu::meet_warp(&o);
}
inline void mma_f16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EXA_EMU_HERE) {
    mma_any(exa_emu::warp_op::mma_f16, d, a, b0, b1, file, line);
}
inline void mma_tf32(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, EXA_EMU_HERE) {
    mma_any(exa_emu::warp_op::mma_tf32, d, a, b0, b1, file, line);
}

inline uint32_t to_tf32(float x) {
    uint32_t bits = __float_as_uint(x);
    return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & 0xffffe000u;
}
inline uint32_t half2_of(float lo, float hi) {
    return exa_emu::half2_of(lo, hi);
}
inline float low_float(uint32_t h2) {
    return exa_emu::float_of_half(static_cast<uint16_t>(h2));
}
inline float high_float(uint32_t h2) {
    return exa_emu::float_of_half(static_cast<uint16_t>(h2 >> 16));
}
inline uint32_t max_half2(uint32_t a, uint32_t b) {
    return half2_of(fmaxf(low_float(a), low_float(b)), fmaxf(high_float(a), high_float(b)));
}

} // namespace lane
#endif
