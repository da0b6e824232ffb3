/* 3x3x3 convolution on tensor cores by mma.sync, fp16 or tf32 inputs, fp32 sums (sm_80 and later).
 *
 * A block takes CHUNK positions of a plane (conv3d_device_internal.h: positions run on over rows, so that no tile
 * is lost at a row's end) and walks along z. For each plane of input, a slab of it (the chunk and a row and a
 * position on either side) is copied to shared memory while the plane before is worked on. The weights stay in
 * shared memory.
 *
 *   for each in-plane tap (ky, kx), for each 32 bytes of channels:
 *       A = rows of the slab at a shift of ky rows and kx positions      one ldmatrix per 16 positions
 *       for kz = 2, 1, 0:   sums of output plane z - 1, z, z + 1  +=  A * W[kz, ky, kx]
 *
 * So a fragment of A once loaded serves three planes of output: the loads from shared memory, which would be the
 * limit with 32 output channels, fall behind the products. When an input plane is done, the sums of z - 1 are
 * complete: they get bias, residual, ReLU and leave; the others move up.
 *
 * Units of work (FOV, output channels, chunk, z), z fastest, are dealt out evenly over the grid. The sum of an
 * output runs over input planes, channel blocks, taps, channels in this order wherever the unit boundaries fall:
 * the result does not depend on the tiling, the batch, or the grid.
 *
 * Bank conflicts: 16-byte column c of slab position v lies at column c ^ (v / 2) % 4 (rows of 64 bytes; c ^ (v / 4)
 * % 2 for 32): any 8 neighbouring positions then lie in 8 different banks, wherever they begin. */
#ifndef EXA_CONV3D_MMA_CUH
#define EXA_CONV3D_MMA_CUH

#include "cuda/lane.cuh"

#include "conv3d_device_internal.h"

namespace exa_conv_mma {

/* Everything a launch needs, passed by value. */
struct task {
    exa_conv_args a;
    int size[3], row, plane, fov, guard;
    int in_bytes, out_bytes;
    int in_blocks, out_blocks, matrix_bytes;
    int chunks;              /* of a plane */
    int stage_bytes, stages; /* a slab, and the weights where they are not resident */
    int resident_bytes;      /* of all weights; 0: they are copied with each slab */
    int units;
};

struct fp16 {
    static constexpr int bytes = 2;
    static constexpr float limit = 65504.0f;
    static __device__ __forceinline__ uint32_t input(uint32_t a, uint32_t floor) {
        return lane::max_half2(a, floor);
    }
    static __device__ __forceinline__ uint32_t floor(bool relu) {
        return relu ? 0 : 0xfc00fc00u;
    }
    static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                    uint32_t b1) {
        lane::mma_f16(d, a, b0, b1);
    }
    template <int N> static __device__ __forceinline__ void load(const void *p, float (&v)[N]) {
#pragma unroll
        for (int i = 0; i < N / 4; i++) {
            uint2 u = static_cast<const uint2 *>(p)[i];
            v[4 * i] = lane::low_float(u.x), v[4 * i + 1] = lane::high_float(u.x);
            v[4 * i + 2] = lane::low_float(u.y), v[4 * i + 3] = lane::high_float(u.y);
        }
    }
    template <int N> static __device__ __forceinline__ void store(void *p, const float (&v)[N]) {
        if constexpr (N == 8) {
            *static_cast<uint4 *>(p) = make_uint4(lane::half2_of(v[0], v[1]), lane::half2_of(v[2], v[3]),
                                                  lane::half2_of(v[4], v[5]), lane::half2_of(v[6], v[7]));
        } else {
            *static_cast<uint2 *>(p) = make_uint2(lane::half2_of(v[0], v[1]), lane::half2_of(v[2], v[3]));
        }
    }
};

struct tf32 {
    static constexpr int bytes = 4;
    static constexpr float limit = 3.402823466e38f;
    static __device__ __forceinline__ uint32_t input(uint32_t a, uint32_t floor) {
        return lane::to_tf32(fmaxf(__uint_as_float(a), __uint_as_float(floor)));
    }
    static __device__ __forceinline__ uint32_t floor(bool relu) {
        return relu ? 0 : 0xff800000u;
    }
    static __device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                                    uint32_t b1) {
        lane::mma_tf32(d, a, b0, b1);
    }
    template <int N> static __device__ __forceinline__ void load(const void *p, float (&v)[N]) {
#pragma unroll
        for (int i = 0; i < N / 4; i++) {
            float4 u = static_cast<const float4 *>(p)[i];
            v[4 * i] = u.x, v[4 * i + 1] = u.y, v[4 * i + 2] = u.z, v[4 * i + 3] = u.w;
        }
    }
    template <int N> static __device__ __forceinline__ void store(void *p, const float (&v)[N]) {
#pragma unroll
        for (int i = 0; i < N / 4; i++)
            static_cast<float4 *>(p)[i] = make_float4(v[4 * i], v[4 * i + 1], v[4 * i + 2], v[4 * i + 3]);
    }
};

/* ---- where a block stands in its work ------------------------------------------------------------ */

/* A column is a run [z0, z1) of outputs of one FOV, block of channels and chunk; a step is one of its input planes
 * and one block of input channels. */
template <int CHUNK> struct cursor {
    int unit, end;
    int fov, out_block, chunk, z0, z1, z, in_block;

    __device__ __forceinline__ void column(const task &t) {
        int c = unit / t.size[0], k = c / t.chunks;
        z0 = unit - c * t.size[0];
        z1 = min(t.size[0], z0 + (end - unit));
        chunk = c - k * t.chunks;
        fov = k / t.out_blocks;
        out_block = k - fov * t.out_blocks;
        z = max(z0 - 1, 0);
        in_block = 0;
    }
    __device__ __forceinline__ void begin(const task &t) {
        unit = static_cast<int>(static_cast<long long>(t.units) * blockIdx.x / gridDim.x);
        end = static_cast<int>(static_cast<long long>(t.units) * (blockIdx.x + 1) / gridDim.x);
        if (unit < end) column(t);
    }
    __device__ __forceinline__ int last(const task &t) const {
        return min(z1, t.size[0] - 1);
    }
    __device__ __forceinline__ void next(const task &t) {
        if (++in_block < t.in_blocks) return;
        in_block = 0;
        if (++z <= last(t)) return;
        unit += z1 - z0;
        if (unit < end) column(t);
    }
    __device__ __forceinline__ bool another(const task &t) const { /* step, after this one */
        return in_block < t.in_blocks - 1 || z < last(t) || unit + (z1 - z0) < end;
    }
    __device__ __forceinline__ bool more() const {
        return unit < end;
    }
};

/* ---- copies to shared memory -------------------------------------------------------------------- */

template <int BYTES> __device__ __forceinline__ int column_of(int position, int c) {
    return BYTES == 64 ? c ^ (position >> 1 & 3) : c ^ (position >> 2 & 1);
}

template <int THREADS> __device__ __forceinline__ void copy_weights(uint32_t to, const void *from, int bytes) {
    for (int i = static_cast<int>(threadIdx.x) * 16; i < bytes; i += THREADS * 16) {
        lane::copy_async_16(to + static_cast<uint32_t>(i), static_cast<const unsigned char *>(from) + i);
    }
}

/* The slab of a step: positions [chunk begin - row - 1, chunk end + row + 1), BYTES of channels each. */
template <int BYTES, int CHUNK, int THREADS>
__device__ __forceinline__ void copy_step(const task &t, const cursor<CHUNK> &at, uint32_t stage) {
    constexpr int columns = BYTES / 16;
    int begin = at.chunk * CHUNK, in_plane = t.size[1] * t.row;
    int count = (min(CHUNK, in_plane - begin) + 2 * (t.row + 1)) * columns;
    long long position = t.guard + static_cast<long long>(at.fov) * t.fov + at.z * t.plane + begin - t.row - 1;
    const unsigned char *from =
        static_cast<const unsigned char *>(t.a.in) + position * t.in_bytes + at.in_block * BYTES;

    for (int i = static_cast<int>(threadIdx.x); i < count; i += THREADS) {
        int v = i / columns, c = i % columns;
        uint32_t to = stage + static_cast<uint32_t>(v * BYTES + column_of<BYTES>(v, c) * 16);
        lane::copy_async_16(to, from + static_cast<long long>(v) * t.in_bytes + c * 16);
    }
    if (t.resident_bytes == 0) {
        const unsigned char *weights =
            static_cast<const unsigned char *>(t.a.weights) +
            static_cast<long long>(at.out_block * t.in_blocks + at.in_block) * t.matrix_bytes;
        copy_weights<THREADS>(stage + static_cast<uint32_t>(t.stage_bytes - t.matrix_bytes), weights,
                              t.matrix_bytes);
    }
}

/* ---- products ----------------------------------------------------------------------------------- */

/* One step into the sums of the output planes in `mask`: bit kz for plane z + 1 - kz. ALL: it has all three; the
 * compiler then moves loads and products across them. */
template <class E, int BYTES, int TILES, int FRAGMENTS, int TAPS, bool ALL>
__device__ __forceinline__ void products(float (&sum)[3][FRAGMENTS][TILES][4], uint32_t slab, const uint4 *weights,
                                         int row, int first, uint32_t floor, unsigned mask) {
    constexpr int steps = BYTES / 32, per_tap = steps * 3 * (TILES / 2) * 32;
    int lane = static_cast<int>(threadIdx.x) % 32, half = lane / 16, shift = TAPS == 9 ? 0 : 1;
    const uint4 *w = weights + lane;

#pragma unroll 1
    for (int tap = 0; tap < TAPS; tap++) {
        int v = first + shift;
        uint32_t address = slab + static_cast<uint32_t>(v * BYTES + column_of<BYTES>(v, half) * 16);
#pragma unroll
        for (int step = 0; step < steps; step++) {
            uint32_t a[FRAGMENTS][4];
#pragma unroll
            for (int m = 0; m < FRAGMENTS; m++) {
                lane::load_matrices_x4(a[m], (address ^ static_cast<uint32_t>(step * 32)) +
                                                 static_cast<uint32_t>(m * 16 * BYTES));
#pragma unroll
                for (int i = 0; i < 4; i++) a[m][i] = E::input(a[m][i], floor);
            }
#pragma unroll
            for (int kz = 2; kz >= 0; kz--) {
                if (!ALL && !(mask >> kz & 1)) continue;
#pragma unroll
                for (int pair = 0; pair < TILES / 2; pair++) {
                    uint4 b = w[((step * 3 + kz) * (TILES / 2) + pair) * 32];
#pragma unroll
                    for (int m = 0; m < FRAGMENTS; m++) {
                        E::multiply(sum[2 - kz][m][2 * pair], a[m], b.x, b.y);
                        E::multiply(sum[2 - kz][m][2 * pair + 1], a[m], b.z, b.w);
                    }
                }
            }
        }
        w += per_tap;
        if (TAPS == 9) {
            shift += tap % 3 == 2 ? row - 2 : 1;
        } else {
            shift += row;
        }
    }
}

/* ---- results ------------------------------------------------------------------------------------ */

/* The finished sums of plane z: bias, residual, head, ReLU, overflow, store. Bit 2 m + r of `valid`: row r of
 * fragment m is a data voxel. A lane's channels are neighbours (exa_conv_pack). */
template <class E, int CHUNK, int TILES, int FRAGMENTS>
__device__ __forceinline__ void finish(const task &t, const cursor<CHUNK> &at, int z, int first, unsigned valid,
                                       const float (&sum)[FRAGMENTS][TILES][4]) {
    constexpr int channels = 2 * TILES;
    int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, q = lane % 4;
    int channel = at.out_block * (8 * TILES) + channels * q;
    int in_plane = at.chunk * CHUNK + first + g;
    long long position = t.guard + static_cast<long long>(at.fov) * t.fov + z * t.plane + in_plane;
    long long byte = position * t.out_bytes + channel * E::bytes;
    unsigned largest = 0;

#pragma unroll
    for (int m = 0; m < FRAGMENTS; m++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            bool is_voxel = valid >> (2 * m + r) & 1;
            long long here = byte + static_cast<long long>(16 * m + 8 * r) * t.out_bytes;
            float v[channels], old[channels];
#pragma unroll
            for (int i = 0; i < channels; i++) {
                v[i] = sum[m][i / 2][2 * r + i % 2] + __ldg(t.a.biases + channel + i);
                old[i] = 0;
            }
            if (t.a.residual && is_voxel) E::load(static_cast<const unsigned char *>(t.a.residual) + here, old);
            float head = 0;
#pragma unroll
            for (int i = 0; i < channels; i++) {
                v[i] += old[i];
                if (t.a.relu_out) v[i] = v[i] < 0 ? 0 : v[i]; /* NaN stays and is noticed */
                if (is_voxel) largest = max(largest, __float_as_uint(v[i]) & 0x7fffffffu);
                if (t.a.head) head = __fmaf_rn(fmaxf(v[i], 0), __ldg(t.a.head + channel + i), head);
            }
            if (t.a.out && is_voxel) E::store(static_cast<unsigned char *>(t.a.out) + here, v);
            if (t.a.head) {
                head += __shfl_xor_sync(0xffffffffu, head, 1);
                head += __shfl_xor_sync(0xffffffffu, head, 2);
                if (q == 0 && is_voxel) {
                    int i = in_plane + 16 * m + 8 * r, y = i / t.row, x = i - y * t.row;
                    long long voxel =
                        ((static_cast<long long>(at.fov) * t.size[0] + z) * t.size[1] + y) * t.size[2] + x;
                    t.a.logits[voxel] = __ldg(t.a.input + 2 * voxel + 1) + (head + t.a.head_bias);
                }
            }
        }
    }
    if (largest > __float_as_uint(E::limit)) t.a.overflow[at.fov] = 1;
}

template <int FRAGMENTS> __device__ __forceinline__ unsigned voxels_of(const task &t, int in_plane) {
    unsigned valid = 0;
#pragma unroll
    for (int i = 0; i < 2 * FRAGMENTS; i++) {
        int p = in_plane + 8 * i, y = p / t.row;
        if (y < t.size[1] && p - y * t.row < t.size[2]) valid |= 1u << i;
    }
    return valid;
}

template <int N, int TILES> __device__ __forceinline__ void move_up(float (&sum)[3][N][TILES][4]) {
#pragma unroll
    for (int m = 0; m < N; m++)
#pragma unroll
        for (int j = 0; j < TILES; j++)
#pragma unroll
            for (int i = 0; i < 4; i++) {
                sum[0][m][j][i] = sum[1][m][j][i];
                sum[1][m][j][i] = sum[2][m][j][i];
                sum[2][m][j][i] = 0;
            }
}

/* ---- the kernel --------------------------------------------------------------------------------- */

/* What follows the products of a step: if it was the last block of input channels, plane z - 1 is finished; and,
 * where the FOV ends, z as well, as no plane follows. */
template <class E, int CHUNK, int TILES, int FRAGMENTS>
__device__ __forceinline__ void complete(const task &t, const cursor<CHUNK> &at, int first, unsigned valid,
                                         float (&sum)[3][FRAGMENTS][TILES][4]) {
    if (at.in_block != t.in_blocks - 1) return;
    bool idle = at.chunk * CHUNK + first >= t.size[1] * t.row, ends = at.z == at.last(t);
    int done = at.z - 1;
    do {
        if (done >= at.z0 && !idle) finish<E, CHUNK, TILES, FRAGMENTS>(t, at, done, first, valid, sum[0]);
        move_up(sum);
        done++;
    } while (ends && done <= at.z && done < at.z1);
}

/* E: fp16 or tf32. BYTES: of a position's channels in the slab. TILES: of 8 output channels. FRAGMENTS: of 16
 * positions per warp. TAPS: in-plane, 9, or 3 where those along x are channels. BLOCKS: per multiprocessor, for the
 * compiler.
 *
 * With 8 warps, of the two that share a tensor core one completes a step right after its products, the other after
 * the barrier of the next step: while one waits for memory, the other multiplies. */
template <class E, int BYTES, int TILES, int FRAGMENTS, int TAPS, int WARPS, int BLOCKS>
__global__ void __launch_bounds__(WARPS * 32, BLOCKS) conv3d_mma(const task t) {
    constexpr int threads = WARPS * 32, chunk = WARPS * FRAGMENTS * 16;
    LANE_SHARED(shared);
    const uint32_t base = lane::shared_address(shared);
    const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
    const int first = warp * FRAGMENTS * 16;
    const bool late = WARPS == 8 && warp / 4 == 1;
    const uint32_t floor = E::floor(t.a.relu_in);
    float sum[3][FRAGMENTS][TILES][4];
    cursor<chunk> now, ahead;
    unsigned valid = 0;
    int stage = 0;

#pragma unroll
    for (int k = 0; k < 3; k++) move_up(sum);
    lane::let_next_begin();
    copy_weights<threads>(base, t.a.weights, t.resident_bytes);
    lane::wait_for_previous();
    now.begin(t);
    ahead = now;
    if (t.stages == 2 && ahead.more()) {
        copy_step<BYTES, chunk, threads>(t, ahead, base + static_cast<uint32_t>(t.resident_bytes));
        ahead.next(t);
    }
    lane::commit_copies();

    bool more = now.more(), begun = false;
    while (more) {
        uint32_t at = base + static_cast<uint32_t>(t.resident_bytes + stage * t.stage_bytes), to = at;
        if (t.stages == 1) {
            __syncthreads(); /* all are done with the slab before */
        } else {
            lane::wait_copies<0>();
            __syncthreads(); /* this step's slab is there, and nobody reads the other any more */
            stage ^= 1;
            to = base + static_cast<uint32_t>(t.resident_bytes + stage * t.stage_bytes);
        }
        if (ahead.more()) {
            copy_step<BYTES, chunk, threads>(t, ahead, to);
            ahead.next(t);
        }
        lane::commit_copies();
        if (begun && late) complete<E, chunk, TILES, FRAGMENTS>(t, now, first, valid, sum);
        if (begun) now.next(t);
        begun = true;
        if (t.stages == 1) {
            lane::wait_copies<0>();
            __syncthreads();
        }

        int z = now.z;
        if (z == max(now.z0 - 1, 0)) valid = voxels_of<FRAGMENTS>(t, now.chunk * chunk + first + lane / 4);
        uint32_t matrix = t.resident_bytes > 0
                              ? static_cast<uint32_t>((now.out_block * t.in_blocks + now.in_block) * t.matrix_bytes)
                              : at - base + static_cast<uint32_t>(t.stage_bytes - t.matrix_bytes);
        const uint4 *weights = reinterpret_cast<const uint4 *>(shared + matrix);
        int row = lane % 16 + first;
        unsigned mask =
            (z - 1 >= now.z0 ? 4u : 0u) | (z >= now.z0 && z < now.z1 ? 2u : 0u) | (z + 1 < now.z1 ? 1u : 0u);
        if (now.chunk * chunk + first >= t.size[1] * t.row) { /* the whole warp is behind the plane's end */
        } else if (mask == 7) {
            products<E, BYTES, TILES, FRAGMENTS, TAPS, true>(sum, at, weights, t.row, row, floor, mask);
        } else {
            products<E, BYTES, TILES, FRAGMENTS, TAPS, false>(sum, at, weights, t.row, row, floor, mask);
        }
        more = now.another(t);
        if (!late || !more) complete<E, chunk, TILES, FRAGMENTS>(t, now, first, valid, sum);
    }
    lane::wait_copies<0>();
}

} // namespace exa_conv_mma
#endif
