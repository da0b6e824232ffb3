/* Seeds of the policy peaks on the GPU: kernels/image_filter.c and ffn/seed.c's make_peaks, rounding for rounding.
 *
 * Every 1-D pass accumulates in double, pair by pair from the farthest inward, and rounds to float32 (explicit
 * roundings: a fused multiply-add would change bits). The distance transform is the lower envelope of parabolas, a
 * thread a line. The noise is numpy's generator, which goes one after another: one block makes 227 words at a time,
 * as many as depend on none of each other. A voxel is a peak if none of the 7^3 around it is larger; most find a
 * larger one at once.
 *
 * Three arrays of 4 bytes a voxel (A, B, C) serve everything: A gathers the gradient, B and C take turns in the
 * passes; then B and C take turns in the distances, A holding the envelope; then A and C together hold the noisy
 * values. */
#include "cuda/canvas_gpu_internal.cuh"

#include "canvas_gpu_layout.h"

#include "exaconn/image_filter.h"

#include <math.h>
#include <string.h>

namespace {

enum { THREADS = 256, BLOCK = EXA_CANVAS_GPU_BLOCK, RADIUS = 3, NO_EDGE = INT32_MAX, STATE = 624, SHIFT = 397 };
enum { RADIUS_MOST = EXA_FILTER_RADIUS_MOST, AXIS_MOST = 26000 };

struct shape3 {
    int32_t n[3];
};

struct weights {
    double half[RADIUS_MOST + 1]; /* [0] the centre's */
};

struct grey {
    const void *raw;
    const float *table;
    float mean, stddev;
    int bytes;
};

__device__ inline int64_t my_index() {
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}

__device__ inline int64_t all_threads() {
    return (int64_t)gridDim.x * blockDim.x;
}

/* ---- gradient --------------------------------------------------------------------------------- */

__global__ void normalise(grey g, int64_t n, float *out) {
    for (int64_t i = my_index(); i < n; i += all_threads()) {
        if (g.bytes == 1) {
            out[i] = g.table[((const uint8_t *)g.raw)[i]];
        } else {
            float v = g.bytes == 2 ? (float)((const uint16_t *)g.raw)[i] : ((const float *)g.raw)[i];
            out[i] = __fdiv_rn(__fsub_rn(v, g.mean), g.stddev);
        }
    }
}

/* ... 1 0 | 0 1 ... n-1 | n-1 n-2 ... */
__device__ inline int mirror(int i, int n) {
    if (i >= 0 && i < n) return i;
    i %= 2 * n;
    if (i < 0) i += 2 * n;
    return i < n ? i : 2 * n - 1 - i;
}

__global__ void correlate(shape3 shape, int axis, int radius, int antisymmetric, weights w, const float *in,
                          float *out) {
    const int64_t nx = shape.n[2], plane = nx * shape.n[1], n = plane * shape.n[0];
    const int64_t stride = axis == 0 ? plane : axis == 1 ? nx : 1;
    const int length = shape.n[axis];

    for (int64_t i = my_index(); i < n; i += all_threads()) {
        const int c = (int)(axis == 0 ? i / plane : axis == 1 ? i / nx % shape.n[1] : i % nx);
        const float *line = in + (i - c * stride);
        double sum = __dmul_rn((double)in[i], w.half[0]);
        for (int j = radius; j >= 1; j--) {
            double left = line[mirror(c - j, length) * stride], right = line[mirror(c + j, length) * stride];
            double pair = antisymmetric ? __dadd_rn(left, -right) : __dadd_rn(left, right);
            sum = __dadd_rn(sum, __dmul_rn(pair, w.half[j]));
        }
        out[i] = __double2float_rn(sum);
    }
}

__global__ void add_square(int64_t n, int first, const float *b, float *a) {
    for (int64_t i = my_index(); i < n; i += all_threads()) {
        float square = __fmul_rn(b[i], b[i]);
        a[i] = first ? square : __fadd_rn(a[i], square);
    }
}

__global__ void root_and_copy(int64_t n, float *a, float *b) {
    for (int64_t i = my_index(); i < n; i += all_threads()) b[i] = a[i] = __fsqrt_rn(a[i]);
}

/* `edge` holds the excluded voxels, if there are any. */
__global__ void mark_edges(int64_t n, const float *gradient, const float *smooth, int excluded, uint8_t *edge) {
    for (int64_t i = my_index(); i < n; i += all_threads())
        edge[i] = gradient[i] > smooth[i] || (excluded && edge[i]);
}

/* ---- distance --------------------------------------------------------------------------------- */

/* Along x, a warp a row: nearest edge on the left, then on the right. */
__global__ void distance_rows(shape3 shape, const uint8_t *edge, int32_t *out, unsigned *any) {
    const int lane = (int)(threadIdx.x % 32), n = shape.n[2];
    const int64_t rows = (int64_t)shape.n[0] * shape.n[1], warps = all_threads() / 32;

    for (int64_t row = my_index() / 32; row < rows; row += warps) {
        const uint8_t *e = edge + row * n;
        int32_t *to = out + row * n;
        int last = -1, next = -1;
        for (int x0 = 0; x0 < n; x0 += 32) {
            int x = x0 + lane;
            unsigned set = __ballot_sync(0xffffffffu, x < n && e[x]);
            unsigned mine = set & (0xffffffffu >> (31 - lane));
            int left = mine ? x0 + 31 - __clz((int)mine) : last;
            if (x < n) to[x] = left < 0 ? (int32_t)NO_EDGE : x - left;
            if (set) last = x0 + 31 - __clz((int)set);
        }
        if (last < 0) continue;
        if (lane == 0) *any = 1;
        for (int x0 = (n - 1) / 32 * 32; x0 >= 0; x0 -= 32) {
            int x = x0 + lane;
            unsigned set = __ballot_sync(0xffffffffu, x < n && e[x]);
            unsigned mine = set & (0xffffffffu << lane);
            int right = mine ? x0 + __ffs((int)mine) - 1 : next;
            if (x < n) {
                int32_t d = to[x];
                if (right >= 0 && right - x < d) d = right - x;
                to[x] = d * d;
            }
            if (set) next = x0 + __ffs((int)set) - 1;
        }
    }
}

__device__ inline int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

/* Along y or z, a thread a line: minimum over sites u of f[u] + (i-u)^2. `envelope` holds the sites and where each
 * begins to count, 15 bits of each, at the line's own places. */
__global__ void distance_lines(shape3 shape, int axis, const int32_t *in, int32_t *out, uint32_t *envelope) {
    const int64_t nx = shape.n[2], plane = nx * shape.n[1], lines = (axis == 0 ? plane : nx * shape.n[0]);
    const int64_t stride = axis == 0 ? plane : nx;
    const int n = shape.n[axis];

    for (int64_t line = my_index(); line < lines; line += all_threads()) {
        const int64_t base = axis == 0 ? line : line / nx * plane + line % nx;
        const int32_t *f = in + base;
        uint32_t *env = envelope + base;
        int32_t *to = out + base;
        int q = -1, site = 0, start = 0; /* the last of the envelope */
        for (int u = 0; u < n; u++) {
            const int32_t fu = f[u * stride];
            int64_t from = 0;
            if (fu == NO_EDGE) continue;
            while (q >= 0) {
                from = 1 + floor_div((int64_t)u * u - (int64_t)site * site + fu - f[site * stride],
                                     2 * (int64_t)(u - site));
                if (from > start) break;
                if (--q >= 0) {
                    uint32_t e = env[q * stride];
                    site = (int)(e >> 16);
                    start = (int)(e & 0xffffu);
                }
            }
            if (q < 0) from = 0;
            if (from >= n) continue;
            q++;
            site = u;
            start = (int)from;
            env[q * stride] = (uint32_t)site << 16 | (uint32_t)start;
        }
        for (int i = n - 1; i >= 0; i--) {
            if (q < 0) {
                to[i * stride] = NO_EDGE;
                continue;
            }
            int64_t away = i - site;
            to[i * stride] = (int32_t)(away * away + f[site * stride]);
            if (q > 0 && i == start) {
                uint32_t e = env[--q * stride];
                site = (int)(e >> 16);
                start = (int)(e & 0xffffu);
            }
        }
    }
}

/* ---- noise and peaks -------------------------------------------------------------------------- */

__device__ inline uint32_t twist(uint32_t here, uint32_t next, uint32_t far) {
    uint32_t y = (here & 0x80000000u) | (next & 0x7fffffffu);
    return far ^ (y >> 1) ^ ((y & 1u) ? 0x9908b0dfu : 0u);
}

__device__ inline uint32_t temper(uint32_t y) {
    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680u;
    y ^= (y << 15) & 0xefc60000u;
    return y ^ (y >> 18);
}

/* numpy's RandomState(42).random_sample(n) times 1e-4, by one block of at least 227 threads. */
__global__ void make_noise(int64_t n, const uint32_t *seeded, double *out) {
    LANE_SHARED_ARRAY(uint32_t, x, STATE);
    const int t = (int)threadIdx.x, threads = (int)blockDim.x, step = STATE - SHIFT;

    for (int i = t; i < STATE; i += threads) x[i] = seeded[i];
    __syncthreads();
    for (int64_t done = 0; done < n; done += STATE / 2) {
        for (int first = 0; first < STATE; first += step) {
            const int i = first + t;
            const bool mine = t < step && i < STATE;
            uint32_t value = mine ? twist(x[i], x[(i + 1) % STATE], x[(i + SHIFT) % STATE]) : 0;
            __syncthreads();
            if (mine) x[i] = value;
            __syncthreads();
        }
        for (int k = t; k < STATE / 2 && done + k < n; k += threads) {
            uint32_t high = temper(x[2 * k]) >> 5, low = temper(x[2 * k + 1]) >> 6;
            double u = __ddiv_rn(__dadd_rn(__dmul_rn((double)high, 67108864.0), (double)low), 9007199254740992.0);
            out[done + k] = __dmul_rn(u, 1e-4);
        }
        __syncthreads();
    }
}

__global__ void add_distance(int64_t n, const int32_t *distance2, double *value) {
    for (int64_t i = my_index(); i < n; i += all_threads())
        value[i] = __dadd_rn((double)__double2float_rn(__dsqrt_rn((double)distance2[i])), value[i]);
}

__device__ inline bool is_peak(const double *value, int64_t i, int64_t nx, int64_t plane) {
    const double v = value[i];

    if (!(v > 0.0)) return false;
    if (value[i - 1] > v || value[i + 1] > v || value[i - nx] > v || value[i + nx] > v || value[i - plane] > v ||
        value[i + plane] > v)
        return false;
    for (int z = -RADIUS; z <= RADIUS; z++)
        for (int y = -RADIUS; y <= RADIUS; y++)
            for (int x = -RADIUS; x <= RADIUS; x++)
                if (value[i + z * plane + y * nx + x] > v) return false;
    return true;
}

__global__ void mark_peaks(shape3 shape, shape3 margin, const double *value, uint8_t *peak) {
    const int64_t nx = shape.n[2], plane = nx * shape.n[1], n = plane * shape.n[0];

    for (int64_t i = my_index(); i < n; i += all_threads()) {
        const int p[3] = {(int)(i / plane), (int)(i / nx % shape.n[1]), (int)(i % nx)};
        bool inside = true;
        for (int a = 0; a < 3; a++) inside = inside && p[a] >= margin.n[a] && p[a] + margin.n[a] < shape.n[a];
        peak[i] = inside && is_peak(value, i, nx, plane);
    }
}

/* ---- the list --------------------------------------------------------------------------------- */

/* Peaks among the voxels of a stretch, one block a stretch. */
__global__ void count_peaks(int64_t n, const uint8_t *peak, unsigned long long *counts) {
    LANE_SHARED_ARRAY(int, total, 1);

    if (threadIdx.x == 0) total[0] = 0;
    __syncthreads();
    for (int k = (int)threadIdx.x; k < BLOCK; k += (int)blockDim.x) {
        int64_t i = (int64_t)blockIdx.x * BLOCK + k;
        if (i < n && peak[i]) atomicAdd(&total[0], 1);
    }
    __syncthreads();
    if (threadIdx.x == 0) counts[blockIdx.x] = (unsigned long long)total[0];
}

/* Counts to the number of peaks before each stretch, the sum behind them; by one warp. */
__global__ void sum_counts(int64_t stretches, unsigned long long *counts) {
    const int lane = (int)threadIdx.x;
    unsigned long long before = 0;

    for (int64_t first = 0; first < stretches; first += 32) {
        const bool mine = first + lane < stretches;
        unsigned long long value = mine ? counts[first + lane] : 0, sum = value;
        for (int by = 1; by < 32; by *= 2) {
            unsigned long long other = __shfl_up_sync(0xffffffffu, sum, (unsigned)by);
            if (lane >= by) sum += other;
        }
        if (mine) counts[first + lane] = before + sum - value;
        before += __shfl_sync(0xffffffffu, sum, 31);
    }
    if (lane == 0) counts[stretches] = before;
}

/* By one warp a stretch, so that the order is the voxels'. */
__global__ void list_peaks(int64_t n, const uint8_t *peak, const unsigned long long *before, int wide, void *out) {
    const int lane = (int)threadIdx.x;
    unsigned long long at = before[blockIdx.x];

    for (int k = 0; k < BLOCK; k += 32) {
        int64_t i = (int64_t)blockIdx.x * BLOCK + k + lane;
        bool is = i < n && peak[i];
        unsigned set = __ballot_sync(0xffffffffu, is);
        unsigned long long mine = at + (unsigned)__popc(set & ((1u << lane) - 1u));
        if (is && wide) ((uint64_t *)out)[mine] = (uint64_t)i;
        if (is && !wide) ((uint32_t *)out)[mine] = (uint32_t)i;
        at += (unsigned)__popc(set);
    }
}

/* ---- host ------------------------------------------------------------------------------------- */

/* The workspace of one call. */
struct peaks {
    exa_canvas_gpu *g;
    shape3 shape, margin;
    int64_t n, stretches;
    float *a, *b, *c;
    uint8_t *edge;
    unsigned long long *counts;
    void *raw;
    char *small; /* table of grey values, state of the generator, flag */
    bool excluded;
};

enum { TABLE_BYTES = 1024, GENERATOR_BYTES = 2560 };

unsigned blocks_for(int64_t threads) {
    int64_t blocks = (threads + THREADS - 1) / THREADS;
    const int64_t most = lane::emulated ? 3 : 1 << 20;
    return (unsigned)(blocks < 1 ? 1 : blocks > most ? most : blocks);
}

template <class... P, class... A> exa_status each(peaks *p, void (*kernel)(P...), A... arguments) {
    return GPU(lane::launch(kernel, dim3(blocks_for(p->n)), dim3(THREADS), 0, p->g->stream, arguments...),
               "making seeds");
}

exa_status lay_out(peaks *p, const exa_canvas_gpu_image *image, const exa_coord margin[3]) {
    char *at = (char *)p->g->work;
    uint64_t array;

    p->n = 1;
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(image->shape[a] <= AXIS_MOST, EXA_ERR_RANGE,
                  "axis %c has %lld voxels; distances are computed for at most %d. Hint: segment a smaller box",
                  "zyx"[a], (long long)image -> shape[a], (int)AXIS_MOST);
        p->shape.n[a] = (int32_t)image->shape[a];
        p->margin.n[a] = (int32_t)(margin[a] > RADIUS ? margin[a] : (exa_coord)RADIUS);
        p->n *= image->shape[a];
    }
    p->stretches = (p->n + BLOCK - 1) / BLOCK;
    array = exa_canvas_gpu_align((uint64_t)p->n * 4);
    p->b = (float *)at;
    p->a = (float *)(at + array); /* A and C side by side hold 8 bytes a voxel */
    p->c = (float *)(at + 2 * array);
    at += 3 * array;
    p->edge = (uint8_t *)at;
    at += exa_canvas_gpu_align((uint64_t)p->n);
    p->counts = (unsigned long long *)at;
    at += exa_canvas_gpu_align(((uint64_t)p->n / BLOCK + 2) * 8);
    p->small = at;
    p->raw = at + 4096;
    return EXA_OK;
}

exa_status pass(peaks *p, int axis, int radius, bool antisymmetric, const double *half, const float *in,
                float *out) {
    weights w = {};

    memcpy(w.half, half, (size_t)(radius + 1) * sizeof *half);
    return each(p, correlate, p->shape, axis, radius, (int)antisymmetric, w, in, out);
}

exa_status sobel(peaks *p, int axis) {
    static const double derivative[2] = {0.0, -1.0}, smooth[2] = {2.0, 1.0};
    float *in = p->b, *out = p->c;

    EXA_TRY(pass(p, axis, 1, true, derivative, in, out));
    for (int other = 0; other < 3; other++) {
        float *was = in;
        if (other == axis) continue;
        in = out;
        out = was;
        EXA_TRY(pass(p, other, 1, false, smooth, in, out));
    }
    return EXA_OK; /* three passes: in C */
}

exa_status gradient(peaks *p, const grey *g) {
    for (int axis = 0; axis < 3; axis++) {
        EXA_TRY(each(p, normalise, *g, p->n, p->b));
        EXA_TRY(sobel(p, axis));
        EXA_TRY(each(p, add_square, p->n, (int)(axis == 0), (const float *)p->c, p->a));
    }
    return each(p, root_and_copy, p->n, p->a, p->b);
}

/* Of B, by way of C, into C. */
exa_status smooth(peaks *p, const double *half, int radius) {
    EXA_TRY(pass(p, 0, radius, false, half, p->b, p->c));
    EXA_TRY(pass(p, 1, radius, false, half, p->c, p->b));
    return pass(p, 2, radius, false, half, p->b, p->c);
}

/* Into B; the flag says whether there was an edge. */
exa_status distance(peaks *p, unsigned *flag) {
    int32_t *b = (int32_t *)(void *)p->b, *c = (int32_t *)(void *)p->c;
    uint32_t *envelope = (uint32_t *)(void *)p->a;

    EXA_TRY(GPU(cudaMemsetAsync(flag, 0, sizeof *flag, p->g->stream), "making seeds"));
    EXA_TRY(each(p, distance_rows, p->shape, (const uint8_t *)p->edge, b, flag));
    EXA_TRY(each(p, distance_lines, p->shape, 1, (const int32_t *)b, c, envelope));
    return each(p, distance_lines, p->shape, 0, (const int32_t *)c, b, envelope);
}

exa_status find_peaks(peaks *p) {
    const int32_t *distance2 = (const int32_t *)(const void *)p->b;
    double *value = (double *)(void *)p->a;
    cudaStream_t stream = p->g->stream;

    EXA_TRY(GPU(lane::launch(make_noise, dim3(1), dim3(THREADS), 0, stream, p->n,
                             (const uint32_t *)(const void *)(p->small + TABLE_BYTES), value),
                "making seeds"));
    EXA_TRY(each(p, add_distance, p->n, distance2, value));
    EXA_TRY(each(p, mark_peaks, p->shape, p->margin, (const double *)value, p->edge));
    EXA_TRY(GPU(lane::launch(count_peaks, dim3((unsigned)p->stretches), dim3(THREADS), 0, stream, p->n,
                             (const uint8_t *)p->edge, p->counts),
                "making seeds"));
    return GPU(lane::launch(sum_counts, dim3(1), dim3(32), 0, stream, p->stretches, p->counts), "making seeds");
}

exa_status list(peaks *p, bool wide, void **seeds, size_t *count) {
    cudaStream_t stream = p->g->stream;
    unsigned long long total = 0;
    void *made = nullptr;
    exa_status st = EXA_OK;

    EXA_TRY(GPU(cudaMemcpyAsync(&total, p->counts + p->stretches, sizeof total, cudaMemcpyDeviceToHost, stream),
                "making seeds"));
    EXA_TRY(GPU(cudaStreamSynchronize(stream), "making seeds"));
    EXA_TRY(exa_alloc((size_t)total + 1, wide ? 8 : 4, "a list of seeds", &made));
    /* The distances are not needed any more: peaks keep three voxels apart, so their list fits in B. */
    EXA_GOTO(done, GPU(lane::launch(list_peaks, dim3((unsigned)p->stretches), dim3(32), 0, stream, p->n,
                                    (const uint8_t *)p->edge, (const unsigned long long *)p->counts, (int)wide,
                                    (void *)p->b),
                       "making seeds"));
    if (total) {
        EXA_GOTO(done,
                 GPU(cudaMemcpyAsync(made, p->b, (size_t)total * (wide ? 8 : 4), cudaMemcpyDeviceToHost, stream),
                     "a list of seeds"));
    }
    EXA_GOTO(done, GPU(cudaStreamSynchronize(stream), "making seeds"));
    *seeds = made;
    *count = (size_t)total;
    made = nullptr;
done:
    free(made);
    return st;
}

exa_status trace_array(peaks *p, void *to, const void *from, size_t bytes) {
    if (!to) return EXA_OK;
    EXA_TRY(GPU(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, p->g->stream), "making seeds"));
    return GPU(cudaStreamSynchronize(p->g->stream), "making seeds");
}

exa_status upload(peaks *p, void *to, const void *from, size_t bytes) {
    return GPU(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, p->g->stream), "making seeds");
}

exa_status load(peaks *p, const exa_canvas_gpu_image *image, const uint8_t *excluded, grey *g) {
    exa_mt19937 generator;
    const size_t bytes = exa_dtype_size(image->dtype);

    exa_mt19937_seed(&generator, 42);
    *g = grey{p->raw, (const float *)(const void *)p->small, image->mean, image->stddev, (int)bytes};
    EXA_TRY(upload(p, p->small, image->table, TABLE_BYTES));
    EXA_TRY(upload(p, p->small + TABLE_BYTES, generator.state, sizeof generator.state));
    EXA_TRY(upload(p, p->raw, image->raw, (size_t)p->n * bytes));
    p->excluded = excluded != nullptr;
    if (excluded) EXA_TRY(upload(p, p->edge, excluded, (size_t)p->n));
    return GPU(cudaStreamSynchronize(p->g->stream), "making seeds"); /* what is borrowed is free again */
}

exa_status make_peaks(peaks *p, const exa_canvas_gpu_image *image, const uint8_t *excluded, double sigma,
                      exa_canvas_gpu_peaks_trace *trace, void **seeds, size_t *count) {
    const size_t n = (size_t)p->n;
    const bool wide = p->n > (int64_t)UINT32_MAX;
    unsigned *flag = (unsigned *)(void *)(p->small + TABLE_BYTES + GENERATOR_BYTES), any = 0;
    bool tiny = false;
    double half[RADIUS_MOST + 1];
    int radius;
    grey g;

    EXA_TRY(exa_filter_gaussian_weights(sigma, half, &radius));
    EXA_TRY(load(p, image, excluded, &g));
    EXA_TRY(gradient(p, &g));
    EXA_TRY(smooth(p, half, radius));
    if (trace) EXA_TRY(trace_array(p, trace->gradient, p->a, n * 4));
    if (trace) EXA_TRY(trace_array(p, trace->smooth, p->c, n * 4));
    EXA_TRY(each(p, mark_edges, p->n, (const float *)p->a, (const float *)p->c, (int)p->excluded, p->edge));
    if (trace) EXA_TRY(trace_array(p, trace->edge, p->edge, n));
    EXA_TRY(distance(p, flag));
    if (trace) EXA_TRY(trace_array(p, trace->distance2, p->b, n * 4));
    EXA_TRY(GPU(cudaMemcpyAsync(&any, flag, sizeof any, cudaMemcpyDeviceToHost, p->g->stream), "making seeds"));
    EXA_TRY(GPU(cudaStreamSynchronize(p->g->stream), "making seeds"));
    for (int a = 0; a < 3; a++) tiny = tiny || p->shape.n[a] < 2 * RADIUS + 1;
    *seeds = nullptr;
    *count = 0;
    if (!any || tiny) return EXA_OK; /* no edge, no peak */
    EXA_TRY(find_peaks(p));
    return list(p, wide, seeds, count);
}

} // namespace

extern "C" exa_status exa_canvas_gpu_peaks(exa_canvas_gpu *g, const exa_canvas_gpu_image *image,
                                           const uint8_t *excluded, double sigma, const exa_coord margin[3],
                                           exa_canvas_gpu_peaks_trace *trace, void **seeds, size_t *count) {
    peaks p = {};

    EXA_CHECK(g->options.seeds, EXA_ERR_INTERNAL, "canvases on a GPU were made without room for seeds");
    EXA_TRY(GPU(cudaSetDevice(g->options.device), "choosing the GPU"));
    p.g = g;
    EXA_TRY(lay_out(&p, image, margin));
    return make_peaks(&p, image, excluded, sigma, trace, seeds, count);
}
