/* Launching convolutions on a GPU: which kernels there are, what each needs, how a layer's work is cut. */
#include "conv3d_fma.cuh"
#include "conv3d_mma.cuh"

#include "conv3d_launch.cuh"

#include <stdio.h>
#include <string.h>

/* ---- the kernels there are ---------------------------------------------------------------------- */

struct exa_conv_tiling {
    exa_net_precision precision;
    int bytes, tiles, taps, fragments, warps, blocks;
    void (*kernel)(const exa_conv_mma::task);
};

#define TILING(E, P, BYTES, TILES, FRAGMENTS, TAPS, WARPS, BLOCKS)                                                 \
    {                                                                                                              \
        P, BYTES, TILES, TAPS, FRAGMENTS, WARPS, BLOCKS,                                                           \
            exa_conv_mma::conv3d_mma<exa_conv_mma::E, BYTES, TILES, FRAGMENTS, TAPS, WARPS, BLOCKS>                \
    }

/* Of those that fit a layer, a device's memory decides, then the model below or a trial. */
static const exa_conv_tiling tilings[] = {
    TILING(fp16, EXA_NET_FP16, 64, 4, 3, 9, 8, 1), /* 384 positions */
    TILING(fp16, EXA_NET_FP16, 64, 4, 3, 9, 4, 2), /* 192, two blocks beside each other */
    TILING(fp16, EXA_NET_FP16, 32, 2, 2, 9, 8, 1), TILING(fp16, EXA_NET_FP16, 32, 4, 2, 3, 8, 1), /* first layers */
    TILING(fp16, EXA_NET_FP16, 32, 2, 2, 3, 8, 1), TILING(tf32, EXA_NET_TF32, 64, 4, 3, 9, 8, 1),
    TILING(tf32, EXA_NET_TF32, 64, 2, 2, 9, 8, 1), TILING(tf32, EXA_NET_TF32, 64, 4, 2, 3, 8, 1),
    TILING(tf32, EXA_NET_TF32, 64, 2, 2, 3, 8, 1),
};
enum { TILINGS = sizeof tilings / sizeof *tilings };

static int chunk_of(const exa_conv_tiling *k) {
    return k->warps * k->fragments * 16;
}

static int chunks_of(const exa_conv_plan *plan, int chunk) {
    return (plan->shape[1] * plan->row + chunk - 1) / chunk;
}

static bool fits_layer(const exa_conv_tiling *k, const exa_conv_plan *plan) {
    int bytes = plan->block_in * (plan->precision == EXA_NET_FP16 ? 2 : 4);
    return k->precision == plan->precision && k->bytes == bytes && k->tiles * 8 == plan->block_out &&
           k->taps == (plan->first ? 3 : 9);
}

/* How shared memory is laid out: all weights resident and two slabs if that fits, else less; fewer blocks beside
 * each other if need be. False if nothing does. */
static bool plan_shared(const exa_conv_plan *plan, const exa_conv_tiling *k, const exa_conv_device *device,
                        exa_conv_choice *choice) {
    size_t slab = ((size_t)(chunk_of(k) + 2 * (plan->row + 1)) * (size_t)k->bytes + 127) / 128 * 128;
    for (int blocks = k->blocks; blocks >= 1; blocks--) {
        size_t room = (size_t)device->shared_bytes_multiprocessor / (size_t)blocks - 1024; /* the driver's share */
        if (room > (size_t)device->shared_bytes) room = (size_t)device->shared_bytes;
        for (int resident = 1; resident >= 0; resident--)
            for (int stages = 2; stages >= 1; stages--) {
                size_t kept = resident ? plan->packed_bytes : 0;
                size_t stage = slab + (resident ? 0 : (size_t)plan->matrix_bytes);
                if (kept + (size_t)stages * stage > room || (blocks > 1 && (!resident || stages == 1))) continue;
                choice->blocks = blocks;
                choice->resident_bytes = (int)kept;
                choice->stage_bytes = (int)stage;
                choice->stages = stages;
                choice->shared_bytes = kept + (size_t)stages * stage;
                return true;
            }
    }
    return false;
}

/* Relative time of a layer for `n` FOVs: the multiprocessor with most work, in positions, by what its tiling makes
 * of them. From counts of instructions, not measured (docs/gpu.md). */
static double expected_time(const exa_conv_plan *plan, const exa_conv_tiling *k, const exa_conv_device *device,
                            const exa_conv_choice *choice, int n) {
    double units = (double)n * plan->out_blocks * chunks_of(plan, chunk_of(k)) * plan->shape[0];
    double blocks = (double)device->multiprocessors * choice->blocks;
    double per_block = (units + blocks - 1) / blocks;
    per_block = per_block < 1 ? 1 : (double)(long long)per_block;
    double loads = (per_block + 2) / (3 * per_block) * 72.0 / 2 / k->fragments; /* of a fragment's products */
    double pace = 1 + 0.1 * loads / 12 + (choice->stages == 1 ? 0.3 : 0) + (choice->resident_bytes == 0 ? 0.1 : 0);
    return per_block * chunk_of(k) * choice->blocks * pace;
}

exa_status exa_conv_code_capability(int chip, int *capability) {
    cudaFuncAttributes attributes;
    cudaError_t error = cudaFuncGetAttributes(&attributes, exa_conv_fma::conv3d_fma<16>);
    if (error == cudaErrorNoKernelImageForDevice || error == cudaErrorInvalidDeviceFunction) {
        (void)cudaGetLastError();
        return EXA_FAIL(EXA_ERR_UNSUPPORTED,
                        "this program has no code for a GPU of compute capability %d.%d. Hint: build it with "
                        "-DEXA_CUDA_ARCHITECTURES=%d, or use the CPU",
                        chip / 10, chip % 10, chip);
    }
    EXA_TRY(exa_cuda_status(error, "the kernels"));
    *capability = attributes.ptxVersion; /* binaryVersion is the chip's, also after compilation by the driver */
    return EXA_OK;
}

exa_status exa_conv_check_precision(exa_net_precision precision, const exa_conv_device *device) {
    EXA_CHECK(precision == EXA_NET_FP32 || device->capability >= 80, EXA_ERR_UNSUPPORTED,
              "%s needs compute capability 8.0; this GPU, or this program's code for it, has %d.%d. Hint: use fp32",
              exa_net_precision_name(precision), device->capability / 10, device->capability % 10);
    return EXA_OK;
}

exa_status exa_conv_choose(const exa_conv_plan *plan, const exa_conv_device *device, int n, int nth,
                           exa_conv_choice *out) {
    exa_conv_choice best = {};
    double best_time = 0;
    int seen = 0;
    if (plan->precision == EXA_NET_FP32) {
        best.tiling = -1;
        size_t slab =
            ((size_t)(EXA_CONV_FMA_CHUNK + 2 * (plan->row + 1)) * (size_t)plan->block_in * 4 + 127) / 128 * 128;
        best.stage_bytes = (int)slab;
        best.shared_bytes = slab + (size_t)plan->matrix_bytes;
        EXA_CHECK(best.shared_bytes <= (size_t)device->shared_bytes, EXA_ERR_UNSUPPORTED,
                  "a field of view %d voxels wide needs %zu bytes of shared memory; this GPU has %d",
                  plan->shape[2], best.shared_bytes, device->shared_bytes);
        EXA_CHECK(nth <= 0, EXA_ERR_RANGE, "no tiling number %d", nth);
        *out = best;
        return EXA_OK;
    }
    EXA_TRY(exa_conv_check_precision(plan->precision, device));
    for (int i = 0; i < TILINGS; i++) {
        exa_conv_choice c = {};
        if (!fits_layer(&tilings[i], plan) || !plan_shared(plan, &tilings[i], device, &c)) continue;
        c.tiling = i;
        double time = expected_time(plan, &tilings[i], device, &c, n);
        if (nth >= 0 ? seen == nth : seen == 0 || time < best_time) best = c, best_time = time;
        seen++;
    }
    EXA_CHECK(seen > 0, EXA_ERR_UNSUPPORTED,
              "a field of view %d voxels wide does not fit into the %d bytes of shared memory of this GPU",
              plan->shape[2], device->shared_bytes);
    EXA_CHECK(nth < seen, EXA_ERR_RANGE, "no tiling number %d", nth);
    *out = best;
    return EXA_OK;
}

double exa_conv_done_positions(const exa_conv_plan *plan, const exa_conv_choice *choice, int n) {
    int chunk = choice->tiling < 0 ? (int)EXA_CONV_FMA_CHUNK : chunk_of(&tilings[choice->tiling]);
    return (double)n * plan->shape[0] * chunks_of(plan, chunk) * chunk;
}

void exa_conv_describe(const exa_conv_choice *choice, char *text, size_t bytes) {
    if (choice->tiling < 0) {
        snprintf(text, bytes, "multiply-adds");
        return;
    }
    const exa_conv_tiling *k = &tilings[choice->tiling];
    snprintf(text, bytes, "mma, %d warps x %d positions, %d block%s a multiprocessor, %d slab%s, weights %s",
             k->warps, 16 * k->fragments, choice->blocks, choice->blocks > 1 ? "s" : "", choice->stages,
             choice->stages > 1 ? "s" : "", choice->resident_bytes > 0 ? "resident" : "streamed");
}

/* ---- launching ---------------------------------------------------------------------------------- */

exa_status exa_cuda_status(cudaError_t error, const char *what) {
    if (error == cudaSuccess) return EXA_OK;
    (void)cudaGetLastError(); /* not to be found by whoever asks next */
    if (error == cudaErrorMemoryAllocation)
        return EXA_FAIL(
            EXA_ERR_MEMORY,
            "the GPU has no memory left for %s. Hint: smaller batches (compute.canvases), or fewer ranks "
            "on this GPU",
            what);
    return EXA_FAIL(EXA_ERR_DEVICE, "%s: %s", what, cudaGetErrorString(error));
}

template <class T> static void place(T *t, const exa_conv_plan *plan, const exa_conv_args *args) {
    t->a = *args;
    for (int a = 0; a < 3; a++) t->size[a] = plan->shape[a];
    t->row = plan->row;
    t->plane = plan->plane;
    t->fov = plan->fov;
    t->guard = plan->guard;
    t->in_blocks = plan->in_blocks;
    t->matrix_bytes = plan->matrix_bytes;
}

template <class T>
static exa_status start(void (*kernel)(const T), dim3 grid, int threads, size_t shared_bytes, bool overlapped,
                        cudaStream_t stream, const T &t) {
    dim3 block((unsigned)threads);
    return exa_cuda_status(overlapped ? lane::launch_overlapped(kernel, grid, block, shared_bytes, stream, t)
                                      : lane::launch(kernel, grid, block, shared_bytes, stream, t),
                           "a convolution");
}

static exa_status launch_fma(const exa_conv_plan *plan, const exa_conv_choice *choice, const exa_conv_args *args,
                             bool overlapped, cudaStream_t stream) {
    exa_conv_fma::task t = {};
    place(&t, plan, args);
    t.cin = plan->cin;
    t.cout = plan->cout;
    t.chunks = chunks_of(plan, EXA_CONV_FMA_CHUNK);
    t.slab_bytes = choice->stage_bytes;
    dim3 grid((unsigned)(t.chunks * plan->shape[0]), (unsigned)plan->out_blocks, (unsigned)args->n);
    auto kernel = plan->block_in == 4 ? exa_conv_fma::conv3d_fma<4> : exa_conv_fma::conv3d_fma<16>;
    return start(kernel, grid, exa_conv_fma::THREADS, choice->shared_bytes, overlapped, stream, t);
}

static exa_status launch_mma(const exa_conv_plan *plan, const exa_conv_choice *choice,
                             const exa_conv_device *device, const exa_conv_args *args, bool overlapped,
                             cudaStream_t stream) {
    const exa_conv_tiling *k = &tilings[choice->tiling];
    exa_conv_mma::task t = {};
    place(&t, plan, args);
    t.in_bytes = plan->in_bytes;
    t.out_bytes = plan->out_bytes;
    t.out_blocks = plan->out_blocks;
    t.chunks = chunks_of(plan, chunk_of(k));
    t.stage_bytes = choice->stage_bytes;
    t.stages = choice->stages;
    t.resident_bytes = choice->resident_bytes;
    t.units = args->n * plan->out_blocks * t.chunks * plan->shape[0];
    long long blocks = (long long)device->multiprocessors * choice->blocks;
    if (blocks > t.units) blocks = t.units;
    return start(k->kernel, dim3((unsigned)blocks), k->warps * 32, choice->shared_bytes, overlapped, stream, t);
}

exa_status exa_conv_prepare(const exa_conv_plan *plan, const exa_conv_choice *choice,
                            const exa_conv_device *device) {
    const void *kernel = plan->block_in == 4 ? (const void *)exa_conv_fma::conv3d_fma<4>
                                             : (const void *)exa_conv_fma::conv3d_fma<16>;
    if (choice->tiling >= 0) kernel = (const void *)tilings[choice->tiling].kernel;
    EXA_TRY(exa_cuda_status(
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, device->shared_bytes),
        "shared memory for a convolution"));
    return exa_cuda_status(cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, 100),
                           "shared memory for a convolution");
}

exa_status exa_conv_launch(const exa_conv_plan *plan, const exa_conv_choice *choice, const exa_conv_device *device,
                           const exa_conv_args *args, bool overlapped, cudaStream_t stream) {
    if (choice->tiling < 0) return launch_fma(plan, choice, args, overlapped, stream);
    return launch_mma(plan, choice, device, args, overlapped, stream);
}
