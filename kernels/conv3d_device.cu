/* One convolution with its own grids (exaconn/conv3d_device.h), and what a GPU reaches at best, for the benchmarks.
 */
#include "exaconn/conv3d_device.h"

#include "conv3d_launch.cuh"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>

struct exa_conv3d_device {
    exa_conv_plan plan;
    exa_conv_device device;
    exa_conv_choice choice;
    exa_conv3d_device_options options;
    int cin, cout;
    unsigned char *in, *out;
    void *weights;
    float *biases, *input; /* input: [n, z, y, x, 2] of a first layer */
    uint32_t *overflow;
    char description[128];
};

static size_t voxels_of(const exa_conv3d_device *c) {
    return (size_t)c->plan.shape[0] * (size_t)c->plan.shape[1] * (size_t)c->plan.shape[2];
}

/* ---- creation ----------------------------------------------------------------------------------- */

static exa_status allocate(exa_conv3d_device *c, const float *weights, const float *biases) {
    int n = c->options.max_batch;
    size_t vector = (size_t)c->plan.cout * sizeof(float);
    void *packed = malloc(c->plan.packed_bytes);
    exa_status st = EXA_OK;

    EXA_CHECK(packed, EXA_ERR_MEMORY, "cannot allocate a convolution's weights");
    exa_conv_pack(&c->plan, weights, c->cin, c->cout, packed);
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&c->in, exa_conv_in_bytes(&c->plan, n)), "activations"));
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&c->out, exa_conv_out_bytes(&c->plan, n)), "activations"));
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&c->weights, c->plan.packed_bytes), "weights"));
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&c->biases, vector), "biases"));
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&c->overflow, (size_t)n * sizeof(uint32_t)), "flags"));
    if (c->options.first) {
        EXA_GOTO(done,
                 exa_cuda_status(cudaMalloc(&c->input, (size_t)n * voxels_of(c) * 2 * sizeof(float)), "inputs"));
    }
    EXA_GOTO(done, exa_cuda_status(cudaMemset(c->in, 0, exa_conv_in_bytes(&c->plan, n)), "activations"));
    EXA_GOTO(done, exa_cuda_status(cudaMemset(c->out, 0, exa_conv_out_bytes(&c->plan, n)), "activations"));
    EXA_GOTO(done, exa_cuda_status(cudaMemset(c->biases, 0, vector), "biases"));
    EXA_GOTO(done, exa_cuda_status(cudaMemset(c->overflow, 0, (size_t)n * sizeof(uint32_t)), "flags"));
    EXA_GOTO(done, exa_cuda_status(cudaMemcpy(c->weights, packed, c->plan.packed_bytes, cudaMemcpyHostToDevice),
                                   "weights"));
    EXA_GOTO(done,
             exa_cuda_status(cudaMemcpy(c->biases, biases, (size_t)c->cout * sizeof(float), cudaMemcpyHostToDevice),
                             "biases"));
done:
    free(packed);
    return st;
}

exa_status exa_conv3d_device_create(const int shape_zyx[3], int cin, int cout, const float *weights,
                                    const float *biases, const exa_conv3d_device_options *options,
                                    exa_conv3d_device **out) {
    exa_status st = EXA_OK;
    int devices = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);

    EXA_CHECK(error == cudaSuccess && devices > 0, EXA_ERR_DEVICE, "no GPU: %s",
              error == cudaSuccess ? "none is visible" : cudaGetErrorString(error));
    EXA_CHECK(cin >= 1 && cout >= 1 && shape_zyx[0] >= 1 && shape_zyx[1] >= 1 && shape_zyx[2] >= 1 &&
                  options->max_batch >= 1 && (!options->first || cin == 2),
              EXA_ERR_RANGE, "convolution of %d x %d x %d voxels, %d -> %d channels, batches of %d", shape_zyx[0],
              shape_zyx[1], shape_zyx[2], cin, cout, options->max_batch);
    exa_conv3d_device *c = static_cast<exa_conv3d_device *>(calloc(1, sizeof *c));
    EXA_CHECK(c, EXA_ERR_MEMORY, "cannot allocate a convolution");
    exa_conv_plan_init(options->precision, options->first, shape_zyx, cin, cout, &c->plan);
    c->options = *options;
    c->cin = cin;
    c->cout = cout;
    EXA_GOTO(done, exa_conv_device_get(options->device, &c->device));
    EXA_GOTO(done, exa_conv_choose(&c->plan, &c->device, options->max_batch, options->tiling, &c->choice));
    EXA_GOTO(done, exa_conv_prepare(&c->plan, &c->choice, &c->device));
    EXA_GOTO(done, allocate(c, weights, biases));
    exa_conv_describe(&c->choice, c->description, sizeof c->description);
    *out = c;
    return EXA_OK;
done:
    exa_conv3d_device_destroy(&c);
    return st;
}

void exa_conv3d_device_destroy(exa_conv3d_device **conv) {
    exa_conv3d_device *c = *conv;
    if (!c) return;
    cudaFree(c->in);
    cudaFree(c->out);
    cudaFree(c->weights);
    cudaFree(c->biases);
    cudaFree(c->input);
    cudaFree(c->overflow);
    free(c);
    *conv = nullptr;
}

const char *exa_conv3d_device_description(const exa_conv3d_device *conv) {
    return conv->description;
}

/* ---- grids from and to dense arrays ------------------------------------------------------------- */

static float float_of_half(uint16_t h) {
    int exponent = h >> 10 & 31, fraction = h & 0x3ff;
    float value = exponent == 31  ? (fraction ? NAN : INFINITY)
                  : exponent == 0 ? ldexpf((float)fraction, -24)
                                  : ldexpf((float)(fraction + 1024), exponent - 25);
    return h & 0x8000 ? -value : value;
}

static size_t position_of(const exa_conv_plan *p, int n, int z, int y, int x) {
    return (size_t)p->guard + (size_t)n * (size_t)p->fov + (size_t)z * (size_t)p->plane +
           (size_t)y * (size_t)p->row + (size_t)x;
}

static float get_element(const exa_conv_plan *p, const unsigned char *grid, size_t i) {
    uint16_t h;
    float f;
    if (p->precision == EXA_NET_FP16) {
        memcpy(&h, grid + 2 * i, sizeof h);
        return float_of_half(h);
    }
    memcpy(&f, grid + 4 * i, sizeof f);
    return f;
}

static void set_element(const exa_conv_plan *p, unsigned char *grid, size_t i, float f) {
    uint16_t h = exa_half_of(f);
    if (p->precision == EXA_NET_FP16) {
        memcpy(grid + 2 * i, &h, sizeof h);
    } else {
        memcpy(grid + 4 * i, &f, sizeof f);
    }
}

template <class F> static void for_voxels(const exa_conv_plan *p, int n, F f) {
    size_t voxel = 0;
    for (int i = 0; i < n; i++)
        for (int z = 0; z < p->shape[0]; z++)
            for (int y = 0; y < p->shape[1]; y++)
                for (int x = 0; x < p->shape[2]; x++) f(voxel++, position_of(p, i, z, y, x));
}

static exa_status set_grid(exa_conv3d_device *c, int n, const float *dense, int channels, int stored,
                           unsigned char beside, unsigned char *d_grid, size_t bytes) {
    unsigned char *host = static_cast<unsigned char *>(malloc(bytes));
    EXA_CHECK(host, EXA_ERR_MEMORY, "cannot allocate activations");
    memset(host, beside, bytes);
    for_voxels(&c->plan, n, [&](size_t voxel, size_t position) {
        for (int k = 0; k < stored; k++) {
            float f = k < channels ? dense[voxel * (size_t)channels + (size_t)k] : 0;
            set_element(&c->plan, host, position * (size_t)stored + (size_t)k, f);
        }
    });
    exa_status st = exa_cuda_status(cudaMemcpy(d_grid, host, bytes, cudaMemcpyHostToDevice), "activations");
    free(host);
    return st;
}

exa_status exa_conv3d_device_set_in(exa_conv3d_device *c, int n, const float *in) {
    if (c->options.first) {
        size_t bytes = (size_t)n * voxels_of(c) * 2 * sizeof(float);
        EXA_TRY(exa_cuda_status(cudaMemcpy(c->input, in, bytes, cudaMemcpyHostToDevice), "inputs"));
        return exa_conv_fill_first(&c->plan, n, c->input, c->in, c->overflow, nullptr);
    }
    return set_grid(c, n, in, c->cin, c->plan.cin, 0, c->in, exa_conv_in_bytes(&c->plan, c->options.max_batch));
}

exa_status exa_conv3d_device_set_out(exa_conv3d_device *c, int n, const float *out) {
    return set_grid(c, n, out, c->cout, c->plan.cout, 0xff, c->out,
                    exa_conv_out_bytes(&c->plan, c->options.max_batch));
}

exa_status exa_conv3d_device_run(exa_conv3d_device *c, int n, void *stream) {
    exa_conv_args a = {};
    a.in = c->in;
    a.out = c->out;
    a.weights = c->weights;
    a.biases = c->biases;
    a.residual = c->options.add_out ? c->out : nullptr;
    a.relu_in = c->options.relu_in;
    a.relu_out = c->options.relu_out;
    a.n = n;
    a.overflow = c->overflow;
    return exa_conv_launch(&c->plan, &c->choice, &c->device, &a, false, static_cast<cudaStream_t>(stream));
}

exa_status exa_conv3d_device_get_out(exa_conv3d_device *c, int n, float *out, uint32_t *overflow) {
    const exa_conv_plan *p = &c->plan;
    size_t bytes = exa_conv_out_bytes(p, c->options.max_batch),
           elements = bytes / (p->precision == EXA_NET_FP16 ? 2 : 4);
    size_t written = 0, voxels = (size_t)n * voxels_of(c);
    unsigned char *host = static_cast<unsigned char *>(malloc(bytes));
    exa_status st = EXA_OK;

    EXA_CHECK(host, EXA_ERR_MEMORY, "cannot allocate activations");
    EXA_GOTO(done, exa_cuda_status(cudaDeviceSynchronize(), "a convolution"));
    EXA_GOTO(done, exa_cuda_status(cudaMemcpy(host, c->out, bytes, cudaMemcpyDeviceToHost), "activations"));
    EXA_GOTO(done,
             exa_cuda_status(
                 cudaMemcpy(overflow, c->overflow, (size_t)n * sizeof *overflow, cudaMemcpyDeviceToHost), "flags"));
    for_voxels(p, n, [&](size_t voxel, size_t position) {
        for (int k = 0; k < p->cout; k++) {
            size_t i = position * (size_t)p->cout + (size_t)k;
            if (k < c->cout) out[voxel * (size_t)c->cout + (size_t)k] = get_element(p, host, i);
            memset(host + i * bytes / elements, 0xff, bytes / elements);
        }
    });
    for (size_t i = 0; i < bytes; i++) written += host[i] != 0xff;
    EXA_CHECK_GOTO(done, written == 0, EXA_ERR_INTERNAL, "a convolution of %zu voxels wrote %zu bytes beside them",
                   voxels, written);
done:
    free(host);
    return st;
}

/* ---- figures for the benchmarks ----------------------------------------------------------------- */

double exa_conv3d_device_done_flops(const exa_conv3d_device *c, int n) {
    double positions = exa_conv_done_positions(&c->plan, &c->choice, n);
    double taps = c->plan.first && c->plan.precision != EXA_NET_FP32 ? 9 : 27;
    return 2 * positions * taps * c->plan.cin * (double)(c->plan.out_blocks * c->plan.block_out);
}

/* Median of `repeat` timings of `work` by events. */
template <class F> static exa_status time_events(int repeat, double *median_ms, F work) {
    enum { MOST = 1000 };
    static double ms[MOST];
    cudaEvent_t begin = nullptr, end = nullptr;
    exa_status st = EXA_OK;
    EXA_CHECK(repeat >= 1 && repeat <= MOST, EXA_ERR_RANGE, "%d timings; 1 to %d are possible", repeat, (int)MOST);
    EXA_GOTO(done, exa_cuda_status(cudaEventCreate(&begin), "an event"));
    EXA_GOTO(done, exa_cuda_status(cudaEventCreate(&end), "an event"));
    for (int i = -2; i < repeat; i++) { /* two warm up */
        float t = 0;
        EXA_GOTO(done, exa_cuda_status(cudaEventRecord(begin, nullptr), "an event"));
        EXA_GOTO(done, work());
        EXA_GOTO(done, exa_cuda_status(cudaEventRecord(end, nullptr), "an event"));
        EXA_GOTO(done, exa_cuda_status(cudaEventSynchronize(end), "the GPU"));
        EXA_GOTO(done, exa_cuda_status(cudaEventElapsedTime(&t, begin, end), "the time between two events"));
        if (i >= 0) ms[i] = (double)t;
    }
    std::sort(ms, ms + repeat);
    *median_ms = ms[repeat / 2];
done:
    if (begin) cudaEventDestroy(begin);
    if (end) cudaEventDestroy(end);
    return st;
}

exa_status exa_conv3d_device_time(exa_conv3d_device *c, int n, int inner, int repeat, double *median_ms) {
    auto work = [&]() {
        exa_status st = EXA_OK;
        for (int i = 0; i < inner && st == EXA_OK; i++) st = exa_conv3d_device_run(c, n, nullptr);
        return st;
    };
    EXA_TRY(time_events(repeat, median_ms, work));
    *median_ms /= inner;
    return EXA_OK;
}

enum { RATE_WARPS = 8, RATE_LOOPS = 2000, RATE_SUMS = 12 };

/* Products on registers alone; the sums leave, so that none can be dropped. */
template <int PRECISION>
static __global__ void __launch_bounds__(RATE_WARPS * 32) product_rate(float *out, int loops) {
    float d[RATE_SUMS][4];
    uint32_t a[4], b[2];
    for (int i = 0; i < 4; i++) a[i] = threadIdx.x * 0x00010001u + static_cast<uint32_t>(i);
    for (int i = 0; i < 2; i++) b[i] = threadIdx.x * 0x00030001u + static_cast<uint32_t>(i);
#pragma unroll
    for (int k = 0; k < RATE_SUMS; k++)
        for (int i = 0; i < 4; i++) d[k][i] = 0;
#pragma unroll 1
    for (int l = 0; l < loops; l++) {
#pragma unroll
        for (int k = 0; k < RATE_SUMS; k++) {
            if constexpr (PRECISION == EXA_NET_FP16) lane::mma_f16(d[k], a, b[0], b[1]);
            if constexpr (PRECISION == EXA_NET_TF32) lane::mma_tf32(d[k], a, b[0], b[1]);
            if constexpr (PRECISION == EXA_NET_FP32) {
#pragma unroll
                for (int i = 0; i < 4; i++) d[k][i] = __fmaf_rn(d[k][i], __uint_as_float(a[i] | 0x3f000000u), 1.0f);
            }
        }
    }
    float sum = 0;
    for (int k = 0; k < RATE_SUMS; k++)
        for (int i = 0; i < 4; i++) sum += d[k][i];
    out[blockIdx.x * RATE_WARPS * 32 + threadIdx.x] = sum;
}

exa_status exa_device_matrix_rate(int index, exa_net_precision precision, double *flops) {
    exa_conv_device device;
    float *out = nullptr;
    double ms = 0;
    exa_status st = EXA_OK;
    EXA_TRY(exa_conv_device_get(index, &device));
    EXA_TRY(exa_conv_check_precision(precision, &device));
    unsigned blocks = (unsigned)device.multiprocessors * 2;
    auto kernel = precision == EXA_NET_FP16   ? product_rate<EXA_NET_FP16>
                  : precision == EXA_NET_TF32 ? product_rate<EXA_NET_TF32>
                                              : product_rate<EXA_NET_FP32>;
    EXA_TRY(exa_cuda_status(cudaMalloc(&out, blocks * RATE_WARPS * 32 * sizeof *out), "memory"));
    EXA_GOTO(done, time_events(7, &ms, [&]() {
                 return exa_cuda_status(lane::launch(kernel, dim3(blocks), dim3(RATE_WARPS * 32), 0, nullptr, out,
                                                     static_cast<int>(RATE_LOOPS)),
                                        "products");
             }));
    *flops = (double)blocks * RATE_WARPS * RATE_LOOPS * RATE_SUMS * 1e3 / ms *
             (precision == EXA_NET_FP16   ? 2.0 * 16 * 8 * 16
              : precision == EXA_NET_TF32 ? 2.0 * 16 * 8 * 8
                                          : 2.0 * 4 * 32);
done:
    cudaFree(out);
    return st;
}

static __global__ void __launch_bounds__(256) copy(const float4 *from, float4 *to, size_t count) {
    for (size_t i = blockIdx.x * size_t(256) + threadIdx.x; i < count; i += gridDim.x * size_t(256))
        to[i] = from[i];
}

exa_status exa_device_copy_rate(int index, double *bytes_per_s) {
    const size_t bytes = size_t(1) << 30; /* far beyond any L2 */
    exa_conv_device device;
    float4 *from = nullptr, *to = nullptr;
    double ms = 0;
    exa_status st = EXA_OK;
    EXA_TRY(exa_conv_device_get(index, &device));
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&from, bytes), "memory"));
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&to, bytes), "memory"));
    EXA_GOTO(done, exa_cuda_status(cudaMemset(from, 1, bytes), "memory"));
    EXA_GOTO(done, time_events(7, &ms, [&]() {
                 unsigned blocks = (unsigned)device.multiprocessors * 16;
                 return exa_cuda_status(
                     lane::launch(copy, dim3(blocks), dim3(256), 0, nullptr, from, to, bytes / sizeof *from),
                     "a copy");
             }));
    *bytes_per_s = 2.0 * (double)bytes * 1e3 / ms;
done:
    cudaFree(from);
    cudaFree(to);
    return st;
}
