/* The flood-filling network on a GPU: memory, layers, launches. The convolutions are conv3d_mma.cuh and
 * conv3d_fma.cuh.
 *
 *   fill_first: input -> first grid      conv0_a, relu -> t      conv0_b: t -> x
 *   i = 1 ... depth-1:  relu(x) -> conv_i_a, relu -> t,  t -> conv_i_b, + x -> x
 *   the last conv_b ends in the head: logits = seed + sum of relu(x) * w, from fp32 sums, and stores no x; where
 * the output channels do not fit one block, or in fp32, head_of_grid does it from x
 *
 * A batch goes through all layers in groups small enough for their activations to stay in the L2 cache. */
#include "exaconn/device_net.h"

#include "conv3d_launch.cuh"

#include <new>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 2 * 64, BUCKETS = 13, BLOCK = 256 };

struct exa_device_net {
    exa_conv_plan first, inner;
    exa_conv_device device;
    int index, layers, depth, max_batch, group;
    bool head_fused, overlapped;
    unsigned char *memory; /* one block on the device; all below point into it */
    void *grid_first, *grid_t, *grid_x;
    void *weights[MAX_LAYERS];
    float *biases[MAX_LAYERS];
    float *head;
    float head_bias;
    uint64_t bytes;
    exa_conv_choice choice_first[BUCKETS], choice_inner[BUCKETS]; /* for groups of up to 1, 2, 4, ... FOVs */
    char description[256];
};

/* ---- small kernels ------------------------------------------------------------------------------ */

struct fill_task {
    int size[3], row, plane, fov, guard, n;
    const float2 *input;
    void *grid;
    uint32_t *overflow;
};

/* Which of the inputs of voxels x - 1, x, x + 1 channel c of the expanded grid holds (conv3d_device_internal.h). */
template <int BYTES> __device__ __forceinline__ uint32_t rounded(float v) {
    return BYTES == 2 ? lane::half2_of(v, 0) & 0xffffu : lane::to_tf32(v);
}
template <int BYTES> __device__ __forceinline__ float as_float(uint32_t bits) {
    return BYTES == 2 ? lane::low_float(bits) : __uint_as_float(bits);
}

/* BYTES of an element: 2 fp16, 4 tf32; 0: plain fp32, four channels. A thread makes one voxel. */
template <int BYTES> static __global__ void __launch_bounds__(BLOCK) fill_first(const fill_task t) {
    long long voxels = static_cast<long long>(t.size[0]) * t.size[1] * t.size[2],
              i = blockIdx.x * static_cast<long long>(BLOCK) + threadIdx.x;
    int fov = static_cast<int>(blockIdx.y);
    if (i >= voxels) return;
    int x = static_cast<int>(i % t.size[2]), y = static_cast<int>(i / t.size[2] % t.size[1]),
        z = static_cast<int>(i / t.size[2] / t.size[1]);
    long long at = t.guard + static_cast<long long>(fov) * t.fov + z * t.plane + y * t.row + x;
    const float2 *in = t.input + fov * voxels + i;
    float v[6] = {0, 0, 0, 0, 0, 0};
    const float limit = BYTES == 2 ? 65504.0f : 3.402823466e38f;

#pragma unroll
    for (int k = 0; k < 3; k++) {
        if (x + k < 1 || x + k > t.size[2] || (BYTES == 0 && k != 1)) continue;
        float2 u = in[k - 1];
        v[2 * k] = u.x, v[2 * k + 1] = u.y;
    }
    if (!(fabsf(v[2]) <= limit && fabsf(v[3]) <= limit)) t.overflow[fov] = 1;
    if constexpr (BYTES == 0) {
        static_cast<float4 *>(t.grid)[at] = make_float4(v[2], v[3], 0, 0);
    } else {
        uint32_t c[16] = {};
#pragma unroll
        for (int k = 0; k < 6; k++) {
            c[k] = rounded<BYTES>(v[k]);
            c[6 + k] = rounded<BYTES>(v[k] - as_float<BYTES>(c[k]));
        }
        uint4 *to = static_cast<uint4 *>(t.grid) + at * BYTES; /* 16 channels are BYTES times 16 bytes */
        if constexpr (BYTES == 2) {
            to[0] = make_uint4(c[0] | c[1] << 16, c[2] | c[3] << 16, c[4] | c[5] << 16, c[6] | c[7] << 16);
            to[1] = make_uint4(c[8] | c[9] << 16, c[10] | c[11] << 16, 0, 0);
        } else {
#pragma unroll
            for (int k = 0; k < 4; k++) to[k] = make_uint4(c[4 * k], c[4 * k + 1], c[4 * k + 2], c[4 * k + 3]);
        }
    }
}

struct head_task {
    int size[3], row, plane, fov, guard, channels;
    const void *grid;
    const float *head, *input;
    float bias, *logits;
};

/* logits = seed + bias + sum over channels in order of max(x, 0) * head; a thread makes one voxel. */
template <bool HALF> static __global__ void __launch_bounds__(BLOCK) head_of_grid(const head_task t) {
    long long voxels = static_cast<long long>(t.size[0]) * t.size[1] * t.size[2],
              i = blockIdx.x * static_cast<long long>(BLOCK) + threadIdx.x;
    int fov = static_cast<int>(blockIdx.y);
    if (i >= voxels) return;
    int x = static_cast<int>(i % t.size[2]), y = static_cast<int>(i / t.size[2] % t.size[1]),
        z = static_cast<int>(i / t.size[2] / t.size[1]);
    long long at = (t.guard + static_cast<long long>(fov) * t.fov + z * t.plane + y * t.row + x) * t.channels;
    long long voxel = fov * voxels + i;
    float sum = 0;

    for (int c = 0; c < t.channels; c += 4) {
        float v[4];
        if constexpr (HALF) {
            uint2 u = *reinterpret_cast<const uint2 *>(static_cast<const unsigned char *>(t.grid) + 2 * (at + c));
            v[0] = lane::low_float(u.x), v[1] = lane::high_float(u.x), v[2] = lane::low_float(u.y),
            v[3] = lane::high_float(u.y);
        } else {
            float4 u = *reinterpret_cast<const float4 *>(static_cast<const float *>(t.grid) + at + c);
            v[0] = u.x, v[1] = u.y, v[2] = u.z, v[3] = u.w;
        }
        for (int k = 0; k < 4; k++) sum = __fmaf_rn(fmaxf(v[k], 0.0f), __ldg(t.head + c + k), sum);
    }
    t.logits[voxel] = t.input[2 * voxel + 1] + (sum + t.bias);
}

static dim3 voxel_grid(const exa_conv_plan *plan, int n) {
    long long voxels = (long long)plan->shape[0] * plan->shape[1] * plan->shape[2];
    return dim3((unsigned)((voxels + BLOCK - 1) / BLOCK), (unsigned)n);
}

template <class T> static void place(T *t, const exa_conv_plan *plan) {
    for (int a = 0; a < 3; a++) t->size[a] = plan->shape[a];
    t->row = plan->row;
    t->plane = plan->plane;
    t->fov = plan->fov;
    t->guard = plan->guard;
}

exa_status exa_conv_fill_first(const exa_conv_plan *first, int n, const float *d_input, void *grid,
                               uint32_t *overflow, cudaStream_t stream) {
    fill_task t = {};
    place(&t, first);
    t.n = n;
    t.input = reinterpret_cast<const float2 *>(d_input);
    t.grid = grid;
    t.overflow = overflow;
    auto kernel = first->precision == EXA_NET_FP32   ? fill_first<0>
                  : first->precision == EXA_NET_TF32 ? fill_first<4>
                                                     : fill_first<2>;
    return exa_cuda_status(lane::launch(kernel, voxel_grid(first, n), dim3(BLOCK), 0, stream, t),
                           "the network's input");
}

static exa_status run_head(const exa_device_net *net, int n, const float *d_input, float *d_logits,
                           cudaStream_t stream) {
    head_task t = {};
    place(&t, &net->inner);
    t.channels = net->inner.cout;
    t.grid = net->grid_x;
    t.head = net->head;
    t.bias = net->head_bias;
    t.input = d_input;
    t.logits = d_logits;
    auto kernel = net->inner.precision == EXA_NET_FP16 ? head_of_grid<true> : head_of_grid<false>;
    return exa_cuda_status(lane::launch(kernel, voxel_grid(&net->inner, n), dim3(BLOCK), 0, stream, t),
                           "the network's head");
}

/* ---- a step ------------------------------------------------------------------------------------- */

static int bucket_of(int n) {
    int b = 0;
    while (b < BUCKETS - 1 && 1 << b < n) b++;
    return b;
}

static exa_status run_layer(exa_device_net *net, int i, int n, const float *d_input, float *d_logits,
                            uint32_t *d_overflow, cudaStream_t stream) {
    const exa_conv_plan *plan = i == 0 ? &net->first : &net->inner;
    const exa_conv_choice *choice = (i == 0 ? net->choice_first : net->choice_inner) + bucket_of(n);
    exa_conv_args a = {};
    a.weights = net->weights[i];
    a.biases = net->biases[i];
    a.n = n;
    a.overflow = d_overflow;
    if (i % 2 == 0) {
        a.in = i == 0 ? net->grid_first : net->grid_x;
        a.relu_in = i > 0;
        a.out = net->grid_t;
        a.relu_out = true;
    } else {
        a.in = net->grid_t;
        a.out = net->grid_x;
        a.residual = i > 1 ? net->grid_x : nullptr;
        if (i == net->layers - 1 && net->head_fused) {
            a.out = nullptr;
            a.head = net->head;
            a.head_bias = net->head_bias;
            a.input = d_input;
            a.logits = d_logits;
        }
    }
    return exa_conv_launch(plan, choice, &net->device, &a, net->overlapped, stream);
}

static exa_status run_group(exa_device_net *net, int n, const float *d_input, float *d_logits, uint32_t *d_overflow,
                            cudaStream_t stream) {
    EXA_TRY(exa_conv_fill_first(&net->first, n, d_input, net->grid_first, d_overflow, stream));
    for (int i = 0; i < net->layers; i++) EXA_TRY(run_layer(net, i, n, d_input, d_logits, d_overflow, stream));
    return net->head_fused ? EXA_OK : run_head(net, n, d_input, d_logits, stream);
}

exa_status exa_device_net_forward(exa_device_net *net, int n, const float *d_input, float *d_logits,
                                  uint32_t *d_overflow, void *stream_in) {
    cudaStream_t stream = static_cast<cudaStream_t>(stream_in);
    size_t voxels = (size_t)net->inner.shape[0] * (size_t)net->inner.shape[1] * (size_t)net->inner.shape[2];

    EXA_CHECK(n >= 1 && n <= net->max_batch, EXA_ERR_RANGE,
              "%d fields of view at once; this network was made for %d", n, net->max_batch);
    EXA_TRY(exa_cuda_status(cudaSetDevice(net->index), "the GPU"));
    EXA_TRY(exa_cuda_status(cudaMemsetAsync(d_overflow, 0, (size_t)n * sizeof *d_overflow, stream), "the network"));
    int groups = (n + net->group - 1) / net->group;
    for (int g = 0; g < groups; g++) { /* of even size, as far as possible */
        int begin = (int)((long long)n * g / groups), end = (int)((long long)n * (g + 1) / groups);
        EXA_TRY(run_group(net, end - begin, d_input + 2 * voxels * (size_t)begin, d_logits + voxels * (size_t)begin,
                          d_overflow + begin, stream));
    }
    return EXA_OK;
}

/* ---- creation ----------------------------------------------------------------------------------- */

exa_status exa_conv_device_get(int index, exa_conv_device *device) {
    cudaDeviceProp p;
    EXA_TRY(exa_cuda_status(cudaSetDevice(index), "the GPU"));
    EXA_TRY(exa_cuda_status(cudaGetDeviceProperties(&p, index), "the GPU"));
    const int chip = 10 * p.major + p.minor;
    EXA_TRY(exa_conv_code_capability(chip, &device->capability));
    if (device->capability > chip) device->capability = chip;
    device->multiprocessors = p.multiProcessorCount;
    device->shared_bytes = (int)p.sharedMemPerBlockOptin;
    device->shared_bytes_multiprocessor = (int)p.sharedMemPerMultiprocessor;
    return EXA_OK;
}

exa_status exa_device_net_usable(int device, exa_net_precision precision) {
    exa_conv_device d;
    EXA_TRY(exa_conv_device_get(device, &d));
    return exa_conv_check_precision(precision, &d);
}

static size_t round_up(size_t n) {
    return (n + 255) / 256 * 256;
}

static void place_memory(exa_device_net *net) {
    unsigned char *at = net->memory;
    size_t vector = round_up((size_t)net->inner.cout * sizeof(float));
    net->grid_first = at, at += round_up(exa_conv_in_bytes(&net->first, net->group));
    net->grid_t = at, at += round_up(exa_conv_out_bytes(&net->inner, net->group));
    net->grid_x = at, at += round_up(exa_conv_out_bytes(&net->inner, net->group));
    for (int i = 0; i < net->layers; i++) {
        net->weights[i] = at, at += round_up(i == 0 ? net->first.packed_bytes : net->inner.packed_bytes);
        net->biases[i] = reinterpret_cast<float *>(at), at += vector;
    }
    net->head = reinterpret_cast<float *>(at);
}

/* Packs on the host what lies behind the grids and copies it there. */
static exa_status upload(exa_device_net *net, const exa_device_net_spec *spec) {
    unsigned char *begin = static_cast<unsigned char *>(net->weights[0]);
    size_t bytes = net->bytes - (size_t)(begin - net->memory);
    unsigned char *host = static_cast<unsigned char *>(calloc(1, bytes));
    exa_status st;

    EXA_CHECK(host, EXA_ERR_MEMORY, "cannot allocate %zu bytes for a network's weights", bytes);
    for (int i = 0; i <= net->layers; i++) {
        size_t count = i == net->layers ? 1 : (size_t)spec->features;
        if (i < net->layers) {
            exa_conv_pack(i == 0 ? &net->first : &net->inner, spec->weights[i], i == 0 ? 2 : spec->features,
                          spec->features, host + (static_cast<unsigned char *>(net->weights[i]) - begin));
            memcpy(host + (reinterpret_cast<unsigned char *>(net->biases[i]) - begin), spec->biases[i],
                   count * sizeof(float));
        } else {
            memcpy(host + (reinterpret_cast<unsigned char *>(net->head) - begin), spec->weights[i],
                   (size_t)spec->features * sizeof(float));
            net->head_bias = spec->biases[i][0];
        }
    }
    st = exa_cuda_status(cudaMemset(net->memory, 0, (size_t)(begin - net->memory)), "the network's activations");
    if (st == EXA_OK)
        st = exa_cuda_status(cudaMemcpy(begin, host, bytes, cudaMemcpyHostToDevice), "the network's weights");
    free(host);
    return st;
}

static exa_status choose_kernels(exa_device_net *net) {
    for (int b = 0; b < BUCKETS; b++) {
        int n = 1 << b < net->group ? 1 << b : net->group;
        EXA_TRY(exa_conv_choose(&net->first, &net->device, n, -1, &net->choice_first[b]));
        EXA_TRY(exa_conv_choose(&net->inner, &net->device, n, -1, &net->choice_inner[b]));
        EXA_TRY(exa_conv_prepare(&net->first, &net->choice_first[b], &net->device));
        EXA_TRY(exa_conv_prepare(&net->inner, &net->choice_inner[b], &net->device));
    }
    return EXA_OK;
}

/* Milliseconds of an inner layer with a choice: the best of a few. */
static exa_status time_choice(exa_device_net *net, const exa_conv_choice *choice, int n, uint32_t *flags,
                              cudaEvent_t begin, cudaEvent_t end, float *best) {
    exa_conv_args a = {};
    a.in = net->grid_t;
    a.out = net->grid_x;
    a.weights = net->weights[1];
    a.biases = net->biases[1];
    a.n = n;
    a.overflow = flags;
    EXA_TRY(exa_conv_prepare(&net->inner, choice, &net->device));
    for (int i = 0; i < 6; i++) {
        float ms;
        EXA_TRY(exa_cuda_status(cudaEventRecord(begin, nullptr), "timing a kernel"));
        EXA_TRY(exa_conv_launch(&net->inner, choice, &net->device, &a, false, nullptr));
        EXA_TRY(exa_cuda_status(cudaEventRecord(end, nullptr), "timing a kernel"));
        EXA_TRY(exa_cuda_status(cudaEventSynchronize(end), "timing a kernel"));
        EXA_TRY(exa_cuda_status(cudaEventElapsedTime(&ms, begin, end), "timing a kernel"));
        if (i == 1 || (i > 1 && ms < *best)) *best = ms; /* the first warms up */
    }
    return EXA_OK;
}

static exa_status try_choices(exa_device_net *net, uint32_t *flags, cudaEvent_t begin, cudaEvent_t end) {
    exa_conv_choice c;
    for (int b = 0; b < BUCKETS && (b == 0 || 1 << (b - 1) < net->group); b++) {
        int n = 1 << b < net->group ? 1 << b : net->group;
        float best = 0, ms = 0;
        for (int nth = 0; exa_conv_choose(&net->inner, &net->device, n, nth, &c) == EXA_OK; nth++) {
            EXA_TRY(time_choice(net, &c, n, flags, begin, end, &ms));
            if (nth == 0 || ms < best) best = ms, net->choice_inner[b] = c;
        }
    }
    return EXA_OK;
}

/* The grids hold zeros meanwhile; what is written to x is overwritten by every step before it is read. */
static exa_status tune(exa_device_net *net) {
    uint32_t *flags = nullptr;
    cudaEvent_t begin = nullptr, end = nullptr;
    exa_status st = EXA_OK;
    EXA_GOTO(done, exa_cuda_status(cudaMalloc(&flags, (size_t)net->group * sizeof *flags), "timing kernels"));
    EXA_GOTO(done, exa_cuda_status(cudaEventCreate(&begin), "timing kernels"));
    EXA_GOTO(done, exa_cuda_status(cudaEventCreate(&end), "timing kernels"));
    EXA_GOTO(done, try_choices(net, flags, begin, end));
done:
    if (begin) cudaEventDestroy(begin);
    if (end) cudaEventDestroy(end);
    cudaFree(flags);
    return st;
}

static exa_status describe(exa_device_net *net, const char *requested) {
    cudaDeviceProp p;
    char tiling[128];
    EXA_TRY(exa_cuda_status(cudaGetDeviceProperties(&p, net->index), "the GPU"));
    exa_conv_describe(&net->choice_inner[bucket_of(net->group)], tiling, sizeof tiling);
    snprintf(net->description, sizeof net->description, "%s %s, groups of %d, %.80s", requested, tiling, net->group,
             p.name);
    return EXA_OK;
}

exa_status exa_device_net_create(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 exa_device_net **out) {
    uint64_t bytes;
    int devices = 0;
    exa_status st = EXA_OK;

    EXA_TRY(exa_device_net_memory(spec, options, &bytes));
    cudaError_t error = cudaGetDeviceCount(&devices);
    EXA_CHECK(error == cudaSuccess && devices > 0, EXA_ERR_DEVICE, "no GPU: %s",
              error == cudaSuccess ? "none is visible" : cudaGetErrorString(error));
    EXA_CHECK(options->device >= 0 && options->device < devices, EXA_ERR_RANGE,
              "there is no GPU %d; %d are visible", options->device, devices);
    exa_device_net *net = static_cast<exa_device_net *>(calloc(1, sizeof *net));
    EXA_CHECK(net, EXA_ERR_MEMORY, "cannot allocate a network");
    exa_conv_plan_init(options->precision, true, spec->fov, 2, spec->features, &net->first);
    exa_conv_plan_init(options->precision, false, spec->fov, spec->features, spec->features, &net->inner);
    net->index = options->device;
    net->depth = spec->depth;
    net->layers = 2 * spec->depth;
    net->max_batch = options->max_batch;
    net->group = exa_net_group(&net->inner, options->max_batch);
    net->head_fused = options->precision != EXA_NET_FP32 && net->inner.out_blocks == 1;
    net->bytes = bytes;
    EXA_GOTO(done, exa_conv_device_get(options->device, &net->device));
    net->overlapped = net->device.capability >= 90;
    EXA_GOTO(done, choose_kernels(net));
    error = cudaMalloc(&net->memory, bytes);
    (void)cudaGetLastError();
    EXA_CHECK_GOTO(done, error == cudaSuccess, EXA_ERR_MEMORY,
                   "%.1f MB on GPU %d for a network with batches of %d: %s", 1e-6 * (double)bytes, options->device,
                   options->max_batch, cudaGetErrorString(error));
    place_memory(net);
    EXA_GOTO(done, upload(net, spec));
    if (options->tune && options->precision != EXA_NET_FP32) EXA_GOTO(done, tune(net));
    /* Streams that do not wait for the default one may follow at once. */
    EXA_GOTO(done, exa_cuda_status(cudaDeviceSynchronize(), "the GPU"));
    EXA_GOTO(done, describe(net, exa_net_precision_name(options->precision)));
    *out = net;
    return EXA_OK;
done:
    exa_device_net_destroy(&net);
    return st;
}

void exa_device_net_destroy(exa_device_net **net) {
    if (!*net) return;
    cudaSetDevice((*net)->index);
    cudaFree((*net)->memory);
    free(*net);
    *net = nullptr;
}

const char *exa_device_net_description(const exa_device_net *net) {
    return net->description;
}

/* ---- from and to host memory -------------------------------------------------------------------- */

struct host_batch {
    float *input, *logits; /* on the host */
    float *d_input, *d_logits;
    uint32_t *overflow, *d_overflow;
};

static void host_batch_free(host_batch *b) {
    free(b->input);
    free(b->logits);
    free(b->overflow);
    cudaFree(b->d_input);
    cudaFree(b->d_logits);
    cudaFree(b->d_overflow);
}

static exa_status host_batch_make(host_batch *b, size_t n, size_t voxels) {
    b->input = static_cast<float *>(malloc(n * voxels * 2 * sizeof(float)));
    b->logits = static_cast<float *>(malloc(n * voxels * sizeof(float)));
    b->overflow = static_cast<uint32_t *>(malloc(n * sizeof(uint32_t)));
    EXA_CHECK(b->input && b->logits && b->overflow, EXA_ERR_MEMORY, "cannot allocate a batch of %zu fields of view",
              n);
    EXA_TRY(exa_cuda_status(cudaMalloc(&b->d_input, n * voxels * 2 * sizeof(float)), "memory for a batch"));
    EXA_TRY(exa_cuda_status(cudaMalloc(&b->d_logits, n * voxels * sizeof(float)), "memory for a batch"));
    return exa_cuda_status(cudaMalloc(&b->d_overflow, n * sizeof(uint32_t)), "memory for a batch");
}

static exa_status host_batch_run(exa_device_net *net, exa_device_net *wider, host_batch *b, size_t n, size_t voxels,
                                 uint64_t *redone) {
    EXA_TRY(exa_cuda_status(
        cudaMemcpy(b->d_input, b->input, n * voxels * 2 * sizeof(float), cudaMemcpyHostToDevice), "a batch"));
    EXA_TRY(exa_device_net_forward(net, (int)n, b->d_input, b->d_logits, b->d_overflow, nullptr));
    EXA_TRY(exa_cuda_status(cudaMemcpy(b->overflow, b->d_overflow, n * sizeof(uint32_t), cudaMemcpyDeviceToHost),
                            "a batch"));
    for (size_t i = 0; i < n; i++) {
        if (!b->overflow[i]) continue;
        EXA_CHECK(wider, EXA_ERR_RANGE, "an activation is beyond what %s holds. Hint: use a wider precision",
                  exa_net_precision_name(net->inner.precision));
        EXA_TRY(exa_device_net_forward(wider, 1, b->d_input + 2 * voxels * i, b->d_logits + voxels * i,
                                       b->d_overflow + i, nullptr));
        uint32_t again;
        EXA_TRY(exa_cuda_status(cudaMemcpy(&again, b->d_overflow + i, sizeof again, cudaMemcpyDeviceToHost),
                                "a batch"));
        EXA_CHECK(!again, EXA_ERR_RANGE, "an activation is beyond what %s holds",
                  exa_net_precision_name(wider->inner.precision));
        if (redone) ++*redone;
    }
    return exa_cuda_status(cudaMemcpy(b->logits, b->d_logits, n * voxels * sizeof(float), cudaMemcpyDeviceToHost),
                           "a batch");
}

exa_status exa_device_net_infer(exa_device_net *net, exa_device_net *wider, size_t n, const float *const *image,
                                const float *const *seed, float *const *logits, uint64_t *redone) {
    size_t voxels = (size_t)net->inner.shape[0] * (size_t)net->inner.shape[1] * (size_t)net->inner.shape[2];
    size_t at_once = n < (size_t)net->max_batch ? n : (size_t)net->max_batch;
    host_batch b = {};
    exa_status st = EXA_OK;

    if (n == 0) return EXA_OK;
    EXA_TRY(exa_cuda_status(cudaSetDevice(net->index), "the GPU"));
    EXA_GOTO(done, host_batch_make(&b, at_once, voxels));
    for (size_t begin = 0; begin < n; begin += at_once) {
        size_t count = n - begin < at_once ? n - begin : at_once;
        for (size_t i = 0; i < count; i++)
            for (size_t v = 0; v < voxels; v++) {
                b.input[2 * (i * voxels + v)] = image[begin + i][v];
                b.input[2 * (i * voxels + v) + 1] = seed[begin + i][v];
            }
        EXA_GOTO(done, host_batch_run(net, wider, &b, count, voxels, redone));
        for (size_t i = 0; i < count; i++) memcpy(logits[begin + i], b.logits + i * voxels, voxels * sizeof(float));
    }
done:
    host_batch_free(&b);
    return st;
}
