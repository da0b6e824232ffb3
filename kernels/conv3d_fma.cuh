/* 3x3x3 convolution by fp32 multiply-adds, for any GPU; the yardstick of the tensor cores' kernels.
 *
 * A block makes 256 positions x 32 channels of one plane, a thread 8 positions x 4 channels. For each plane of
 * input and CHANNELS of its channels it copies the slab (conv3d_mma.cuh has the picture) and the 9 taps' weights to
 * shared memory: 12 loads of 16 bytes then feed 128 multiply-adds of a thread. Sums run over kz, channel block,
 * tap, channel, always in this order. */
#ifndef EXA_CONV3D_FMA_CUH
#define EXA_CONV3D_FMA_CUH

#include "cuda/lane.cuh"

#include "conv3d_device_internal.h"

namespace exa_conv_fma {

enum { THREADS = 256, CHUNK = EXA_CONV_FMA_CHUNK, COUT = EXA_CONV_FMA_COUT, POSITIONS = 8 };

struct task {
    exa_conv_args a;
    int size[3], row, plane, fov, guard;
    int cin, cout, in_blocks, chunks, slab_bytes, matrix_bytes;
};

/* Neighbouring positions' 16-byte columns in different banks, as in conv3d_mma.cuh. */
template <int CHANNELS> __device__ __forceinline__ int column_of(int position, int c) {
    return CHANNELS == 16 ? c ^ (position >> 1 & 3) : c;
}

template <int CHANNELS>
__device__ __forceinline__ void copy_step(const task &t, int fov, int z, int chunk, const unsigned char *weights,
                                          int in_block, uint32_t slab) {
    constexpr int columns = CHANNELS / 4;
    int begin = chunk * CHUNK,
        count = (min(static_cast<int>(CHUNK), t.size[1] * t.row - begin) + 2 * (t.row + 1)) * columns;
    long long position = t.guard + static_cast<long long>(fov) * t.fov + z * t.plane + begin - t.row - 1;
    const float *from = static_cast<const float *>(t.a.in) + position * t.cin + in_block * CHANNELS;

    for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) {
        int v = i / columns, c = i % columns;
        lane::copy_async_16(slab + static_cast<uint32_t>(16 * (v * columns + column_of<CHANNELS>(v, c))),
                            from + static_cast<long long>(v) * t.cin + 4 * c);
    }
    for (int i = static_cast<int>(threadIdx.x) * 16; i < t.matrix_bytes; i += THREADS * 16) {
        lane::copy_async_16(slab + static_cast<uint32_t>(t.slab_bytes + i), weights + i);
    }
    lane::commit_copies();
    lane::wait_copies<0>();
}

__device__ __forceinline__ float element(const float4 &v, int i) {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
}

template <int CHANNELS>
__device__ __forceinline__ void multiply(float (&sum)[POSITIONS][4], const float4 *slab, const float4 *weights,
                                         int row, int first, int out, float floor) {
    constexpr int columns = CHANNELS / 4;
#pragma unroll 1
    for (int tap = 0; tap < 9; tap++) {
        int v = first + tap / 3 * row + tap % 3;
#pragma unroll
        for (int c = 0; c < columns; c++) {
            float4 w[4];
#pragma unroll
            for (int k = 0; k < 4; k++) w[k] = weights[((tap * CHANNELS) + 4 * c + k) * (COUT / 4) + out];
#pragma unroll
            for (int p = 0; p < POSITIONS; p++) {
                float4 a = slab[(v + 4 * p) * columns + column_of<CHANNELS>(v + 4 * p, c)];
#pragma unroll
                for (int k = 0; k < 4; k++) {
                    float x = fmaxf(element(a, k), floor);
#pragma unroll
                    for (int o = 0; o < 4; o++) sum[p][o] = __fmaf_rn(x, element(w[k], o), sum[p][o]);
                }
            }
        }
    }
}

__device__ __forceinline__ void finish(const task &t, int fov, int z, int in_plane, int channel,
                                       const float (&sum)[POSITIONS][4]) {
    unsigned largest = 0;
#pragma unroll
    for (int p = 0; p < POSITIONS; p++) {
        int i = in_plane + 4 * p, y = i / t.row;
        if (y >= t.size[1] || i - y * t.row >= t.size[2] || channel >= t.cout) continue;
        long long at = (t.guard + static_cast<long long>(fov) * t.fov + z * t.plane + i) * t.cout + channel;
        float v[4];
#pragma unroll
        for (int o = 0; o < 4; o++) {
            v[o] = sum[p][o] + __ldg(t.a.biases + channel + o);
            if (t.a.residual) v[o] += static_cast<const float *>(t.a.residual)[at + o];
            if (t.a.relu_out) v[o] = v[o] < 0 ? 0 : v[o];
            largest = max(largest, __float_as_uint(v[o]) & 0x7fffffffu);
        }
        *reinterpret_cast<float4 *>(static_cast<float *>(t.a.out) + at) = make_float4(v[0], v[1], v[2], v[3]);
    }
    if (largest >= 0x7f800000u) t.a.overflow[fov] = 1;
}

/* Grid: chunks x planes, blocks of output channels, FOVs. */
template <int CHANNELS> __global__ void __launch_bounds__(THREADS, 2) conv3d_fma(const task t) {
    LANE_SHARED(shared);
    int chunk = static_cast<int>(blockIdx.x) % t.chunks, z = static_cast<int>(blockIdx.x) / t.chunks;
    int out_block = static_cast<int>(blockIdx.y), fov = static_cast<int>(blockIdx.z);
    int lane = static_cast<int>(threadIdx.x) % 32, out = lane % 8;
    int first = static_cast<int>(threadIdx.x) / 32 * 32 + lane / 8;    /* and every fourth position after it */
    bool idle = chunk * CHUNK + first - lane / 8 >= t.size[1] * t.row; /* the whole warp, behind the plane's end */
    float sum[POSITIONS][4] = {}, floor = t.a.relu_in ? 0.0f : -INFINITY;

    lane::let_next_begin();
    lane::wait_for_previous();
    for (int kz = 0; kz < 3; kz++) {
        if (z + kz < 1 || z + kz > t.size[0]) continue;
        for (int in_block = 0; in_block < t.in_blocks; in_block++) {
            const unsigned char *weights =
                static_cast<const unsigned char *>(t.a.weights) +
                static_cast<long long>((out_block * t.in_blocks + in_block) * 3 + kz) * t.matrix_bytes;
            __syncthreads(); /* all are done with the slab before */
            copy_step<CHANNELS>(t, fov, z + kz - 1, chunk, weights, in_block, lane::shared_address(shared));
            __syncthreads();
            if (idle) continue;
            multiply<CHANNELS>(sum, reinterpret_cast<const float4 *>(shared),
                               reinterpret_cast<const float4 *>(shared + t.slab_bytes), t.row, first, out, floor);
        }
    }
    if (!idle) finish(t, fov, z, chunk * CHUNK + first, out_block * COUT + 4 * out, sum);
}

} // namespace exa_conv_fma
#endif
