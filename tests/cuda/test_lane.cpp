/* The CPU build of CUDA sources (kernels/cuda/lane_host.h): barriers, warps, matrices, copies, streams and graphs
 * do what CUDA says, and each of the mistakes that it promises to notice is noticed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

extern "C" {
#include <cmocka.h>
}

#include "cuda/lane.cuh"

#include <math.h>

#include <vector>

static void need(cudaError_t error) {
    if (error != cudaSuccess) fail_msg("%s", cudaGetErrorString(error));
}

template <class T> struct device_array {
    T *d;
    size_t count;
    explicit device_array(size_t n) : d(nullptr), count(n) {
        need(cudaMalloc(&d, n * sizeof(T)));
    }
    ~device_array() {
        need(cudaFree(d));
    }
    device_array(const device_array &) = delete;
    device_array &operator=(const device_array &) = delete;
    void set(const T *h) {
        need(cudaMemcpy(d, h, count * sizeof(T), cudaMemcpyHostToDevice));
    }
    std::vector<T> get() const {
        std::vector<T> h(count);
        need(cudaMemcpy(h.data(), d, count * sizeof(T), cudaMemcpyDeviceToHost));
        return h;
    }
};

/* The kernel in a child ends by abort() after a message that holds `text`. */
template <class F> static void expect_stop(const char *text, F run) {
    int ends[2], status;
    char message[4096] = "";
    size_t got = 0;
    if (pipe(ends) != 0) abort();
    fflush(stdout);
    fflush(stderr);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        run();
        cudaDeviceSynchronize();
        _exit(0);
    }
    close(ends[1]);
    for (ssize_t n; (n = read(ends[0], message + got, sizeof message - 1 - got)) > 0;)
        got += static_cast<size_t>(n);
    close(ends[0]);
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) fail_msg("it was to stop with '%s' and did not", text);
    if (!strstr(message, text)) fail_msg("no '%s' in '%s'", text, message);
}

/* ---- what must work ----------------------------------------------------------------------------- */

static __global__ void block_sums(const int *in, int n, int *out) {
    LANE_SHARED_ARRAY(int, sums, 4);
    int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x), v = i < n ? in[i] : 0;
    for (int step = 16; step > 0; step /= 2) v += __shfl_down_sync(0xffffffffu, v, static_cast<unsigned>(step));
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = v;
    __syncthreads();
    if (threadIdx.x < 4) { /* part of a warp, with its own mask */
        v = sums[threadIdx.x];
        v += __shfl_xor_sync(0xfu, v, 1);
        v += __shfl_xor_sync(0xfu, v, 2);
        if (threadIdx.x == 0) out[blockIdx.x] = v;
        if (threadIdx.x == 0) atomicAdd(&out[gridDim.x], v);
    }
}

static void test_blocks_warps_atomics(void **) {
    int h[1000], zero[9] = {0};
    for (int i = 0; i < 1000; i++) h[i] = i;
    for (uint64_t seed = 0; seed < 5; seed++) {
        exa_emu::set_seed(seed);
        device_array<int> in(1000), out(9);
        in.set(h);
        out.set(zero);
        need(lane::launch(block_sums, 8, 128, 0, nullptr, in.d, 1000, out.d));
        std::vector<int> sums = out.get();
        for (int b = 0; b < 8; b++) {
            int want = 0;
            for (int i = 128 * b; i < 128 * (b + 1) && i < 1000; i++) want += i;
            assert_int_equal(sums[static_cast<size_t>(b)], want);
        }
        assert_int_equal(sums[8], 1000 * 999 / 2);
    }
}

static __global__ void vote_and_shuffle(unsigned *out) {
    unsigned l = threadIdx.x;
    unsigned odd = __ballot_sync(0xffffffffu, static_cast<int>(l & 1));
    unsigned up = __shfl_up_sync(0xffffffffu, l, 3), sub = __shfl_sync(0xffffffffu, l, 5, 8);
    double d = __shfl_xor_sync(0xffffffffu, 0.5 * l, 9);
    out[l] = odd == 0xaaaaaaaau && up == (l < 3 ? l : l - 3) && sub == (l & ~7u) + 5 && d == 0.5 * (l ^ 9);
}

static void test_votes_and_shuffles(void **) {
    device_array<unsigned> out(32);
    need(lane::launch(vote_and_shuffle, 1, 32, 0, nullptr, out.d));
    for (unsigned ok : out.get()) assert_int_equal(ok, 1);
}

/* d = a b by the fragments' documented places, from shared memory through ldmatrix for a. */
template <bool F16> static __global__ void product(const float *a, const float *b, float *d) {
    constexpr int K = F16 ? 16 : 8;
    LANE_SHARED(shared);
    int lane = static_cast<int>(threadIdx.x), g = lane / 4, q = lane % 4;
    uint32_t *tile = reinterpret_cast<uint32_t *>(shared); /* 16 rows of 32 bytes */
    for (int i = lane; i < 16 * 8; i += 32) {
        int row = i / 8, word = i % 8;
        tile[i] = F16 ? lane::half2_of(a[row * K + 2 * word], a[row * K + 2 * word + 1])
                      : lane::to_tf32(a[row * K + word]);
    }
    __syncwarp();
    uint32_t fragment[4], b0, b1;
    lane::load_matrices_x4(fragment,
                           lane::shared_address(shared) + static_cast<uint32_t>(lane % 16 * 32 + lane / 16 * 16));
    float sum[4] = {0, 0, 0, 0};
    if constexpr (F16) {
        b0 = lane::half2_of(b[2 * q * 8 + g], b[(2 * q + 1) * 8 + g]);
        b1 = lane::half2_of(b[(2 * q + 8) * 8 + g], b[(2 * q + 9) * 8 + g]);
        lane::mma_f16(sum, fragment, b0, b1);
    } else {
        b0 = lane::to_tf32(b[q * 8 + g]);
        b1 = lane::to_tf32(b[(q + 4) * 8 + g]);
        lane::mma_tf32(sum, fragment, b0, b1);
    }
    for (int e = 0; e < 4; e++) d[(g + e / 2 * 8) * 8 + 2 * q + e % 2] = sum[e];
}

template <bool F16> static void check_product() {
    constexpr int K = F16 ? 16 : 8;
    float a[16 * K], b[K * 8];
    for (int i = 0; i < 16 * K; i++) a[i] = static_cast<float>(i % 23 - 11) / 8;
    for (int i = 0; i < K * 8; i++) b[i] = static_cast<float>(i % 19 - 9) / 4;
    device_array<float> da(16 * K), db(K * 8), dd(128);
    da.set(a);
    db.set(b);
    need(lane::launch(product<F16>, 1, 32, 512, nullptr, da.d, db.d, dd.d));
    std::vector<float> d = dd.get();
    for (int m = 0; m < 16; m++)
        for (int n = 0; n < 8; n++) {
            float want = 0;
            for (int k = 0; k < K; k++) want += a[m * K + k] * b[k * 8 + n];
            assert_true(d[static_cast<size_t>(m * 8 + n)] == want); /* exact: few bits everywhere */
        }
}

static void test_products(void **) {
    check_product<true>();
    check_product<false>();
}

static void test_half_conversions(void **) {
    for (unsigned i = 0; i < 65536; i++) {
        float f = lane::low_float(i);
        if (f != f) {
            assert_true((lane::half2_of(0, f) >> 16) == 0x7fff);
            continue;
        }
        assert_int_equal(lane::half2_of(f, 0), i);
        assert_true(lane::high_float(i << 16) == f);
        float next = lane::low_float(i + 1);
        if ((i & 0x7fff) >= 0x7bff || next != next) continue;
        float middle = (f + next) / 2; /* ties to even; a hair above goes up */
        assert_int_equal(lane::half2_of(middle, 0), i & 1 ? i + 1 : i);
        assert_int_equal(lane::half2_of(nextafterf(middle, next), 0), i + 1);
    }
    assert_int_equal(lane::half2_of(65519.996f, -65520.0f), 0xfc007bff);
    assert_int_equal(lane::half2_of(0x1p-25f, 0x1.000002p-25f), 0x00010000);
    assert_int_equal(lane::to_tf32(1.0f + 0x1p-11f), __float_as_uint(1.0f + 0x1p-10f));
    assert_int_equal(lane::max_half2(0x7e003c00u, 0xfc00bc00u), 0xfc003c00u);
}

static __global__ void copy_through_shared(const float4 *in, float4 *out, int wait_first) {
    LANE_SHARED(shared);
    float4 *s = reinterpret_cast<float4 *>(shared);
    unsigned t = threadIdx.x;
    lane::copy_async_16(lane::shared_address(&s[t]), &in[t]);
    lane::commit_copies();
    lane::copy_async_16(lane::shared_address(&s[64 + t]), &in[64 + t], t == 0 ? 8 : 16);
    lane::commit_copies();
    if (wait_first) lane::wait_copies<1>();
    __syncthreads();
    out[t] = s[63 - t];
    out[64 + t] = s[64 + t];
    __syncthreads(); /* or another's wait below would deliver what is looked for above */
    lane::wait_copies<0>();
    __syncthreads();
    out[128 + t] = s[127 - t];
}

static void test_copies_arrive_when_waited_for(void **) {
    float h[512];
    for (int i = 0; i < 512; i++) h[i] = static_cast<float>(i);
    for (int wait_first = 0; wait_first < 2; wait_first++) {
        device_array<float4> in(128), out(192);
        need(cudaMemcpy(in.d, h, sizeof h, cudaMemcpyHostToDevice));
        need(lane::launch(copy_through_shared, 1, 64, 2048, nullptr, in.d, out.d, wait_first));
        std::vector<float4> got = out.get();
        for (size_t t = 0; t < 64; t++) {
            if (wait_first) {
                assert_true(got[t].y == h[4 * (63 - t) + 1]);
            } else {
                assert_true(got[t].y != got[t].y);
            }
            assert_true(got[64 + t].x != got[64 + t].x); /* the newest group was not waited for */
            float want = t == 63 ? 0 : h[4 * (127 - t) + 2];
            assert_true(got[128 + t].z == want);
        }
    }
}

static __global__ void add_one(int *p) {
    atomicAdd(p, 1);
}

static void test_streams_and_graphs(void **) {
    cudaStream_t a, b;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    cudaEvent_t event;
    int *d, *h;
    need(cudaStreamCreate(&a));
    need(cudaStreamCreate(&b));
    need(cudaEventCreate(&event));
    need(cudaMalloc(&d, sizeof *d));
    need(cudaMallocHost(&h, sizeof *h));
    need(cudaMemsetAsync(d, 0, sizeof *d, a));
    need(cudaStreamBeginCapture(a, cudaStreamCaptureModeGlobal));
    need(lane::launch(add_one, 3, 1, 0, a, d));
    need(cudaStreamEndCapture(a, &graph));
    need(cudaGraphInstantiate(&exec, graph));
    for (int i = 0; i < 5; i++) need(cudaGraphLaunch(exec, a));
    need(cudaEventRecord(event, a));
    need(cudaStreamWaitEvent(b, event));
    need(cudaMemcpyAsync(h, d, sizeof *h, cudaMemcpyDeviceToHost, b));
    assert_int_equal(*h, -1); /* nobody has waited: not there yet */
    need(cudaStreamSynchronize(b));
    assert_int_equal(*h, 15);
    need(cudaGraphDestroy(graph));
    need(cudaGraphExecDestroy(exec));
    need(cudaEventDestroy(event));
    need(cudaFreeHost(h));
    need(cudaFree(d));
    need(cudaStreamDestroy(a));
    need(cudaStreamDestroy(b));
}

/* ---- orders: what depends on them shows ---------------------------------------------------------- */

static __global__ void reverse_without_barrier(int *out, int safe) {
    LANE_SHARED_ARRAY(int, s, 64);
    s[threadIdx.x] = static_cast<int>(threadIdx.x);
    if (safe) __syncthreads();
    out[threadIdx.x] = s[63 - threadIdx.x];
}

static __global__ void last_block(int *out) {
    *out = static_cast<int>(blockIdx.x);
}

static void test_races_come_out_differently(void **) {
    int wrong = 0, seen = 0;
    for (uint64_t seed = 0; seed < 4; seed++) {
        exa_emu::set_seed(seed);
        device_array<int> out(64), last(1);
        for (int safe = 0; safe < 2; safe++) {
            need(lane::launch(reverse_without_barrier, 1, 64, 0, nullptr, out.d, safe));
            std::vector<int> got = out.get();
            for (int i = 0; i < 64; i++) {
                if (safe) assert_int_equal(got[static_cast<size_t>(i)], 63 - i);
                wrong += got[static_cast<size_t>(i)] != 63 - i;
            }
        }
        need(lane::launch(last_block, 8, 1, 0, nullptr, last.d));
        seen |= 1 << last.get()[0];
    }
    assert_true(wrong > 0);
    assert_true((seen & (seen - 1)) != 0); /* more than one block was last */
}

static __global__ void read_matrix_rows(int stride, uint32_t *out) {
    LANE_SHARED(shared);
    uint32_t r[4];
    lane::load_matrices_x4(r, lane::shared_address(shared) +
                                  static_cast<uint32_t>(static_cast<int>(threadIdx.x) * stride));
    out[threadIdx.x] = r[0];
}

static void test_bank_conflicts_are_counted(void **) {
    const int strides[] = {16, 32, 64, 80, 128};
    const uint64_t conflicts[] = {0, 4, 12, 0, 28}; /* of the four phases together */
    for (int i = 0; i < 5; i++) {
        device_array<uint32_t> out(32);
        exa_emu::counted = exa_emu::counters();
        need(lane::launch(read_matrix_rows, 1, 32, 4096, nullptr, strides[i], out.d));
        out.get();
        assert_int_equal(exa_emu::counted.bank_conflicts, conflicts[i]);
    }
}

/* ---- mistakes ----------------------------------------------------------------------------------- */

enum mistake {
    HALF_BARRIER,
    TWO_BARRIERS,
    RETURNED,
    HALF_WARP,
    TWO_SHUFFLES,
    NOT_IN_MASK,
    FORGOTTEN_COPY,
    MISALIGNED,
    OUTSIDE
};

static __global__ void make_mistake(int which, const float4 *in) {
    LANE_SHARED(shared);
    uint32_t base = lane::shared_address(shared), r[4];
    unsigned t = threadIdx.x;
    switch (which) {
    case HALF_BARRIER:
        if (t < 32) {
            __syncthreads();
        } else {
            __syncwarp();
        }
        break;
    case TWO_BARRIERS:
        if (t < 32) {
            __syncthreads();
        } else {
            __syncthreads();
        }
        break;
    case RETURNED:
        if (t == 5) return;
        __syncthreads();
        break;
    case HALF_WARP:
        if (t % 32 < 16) __shfl_xor_sync(0xffffffffu, 1, 1);
        break;
    case TWO_SHUFFLES:
        if (t % 32 < 16) {
            __shfl_xor_sync(0xffffffffu, 1, 1);
        } else {
            __shfl_xor_sync(0xffffffffu, 1, 1);
        }
        break;
    case NOT_IN_MASK: __syncwarp(0xffff0000u); break;
    case FORGOTTEN_COPY: lane::copy_async_16(base + 16 * t, in + t); break;
    case MISALIGNED: lane::copy_async_16(base + 16 * t, reinterpret_cast<const char *>(in + t) + 4); break;
    case OUTSIDE: lane::load_matrices_x4(r, base + 16 * t + 512); break;
    }
}

static void test_mistakes_stop_aloud(void **) {
    const char *texts[] = {"have returned",
                           "wait for each other at different places",
                           "1 threads (first 5) have returned",
                           "have returned",
                           "wait for each other at different places",
                           "not in its own mask",
                           "never waited for",
                           "not aligned",
                           "the block has 1024"};
    for (int which = HALF_BARRIER; which <= OUTSIDE; which++) {
        expect_stop(texts[which], [=]() {
            float4 *in;
            cudaMalloc(&in, 1024);
            lane::launch(make_mistake, 1, 64, 1024, nullptr, which, in);
        });
    }
}

static __global__ void write_beyond(char *p, int at) {
    p[at] = 1;
}

static void test_memory_beyond_its_end(void **) {
    expect_stop("beyond its end", []() {
        char *p;
        cudaMalloc(&p, 100);
        lane::launch(write_beyond, 1, 1, 0, nullptr, p, 100);
        cudaFree(p);
    });
    device_array<float> fresh(1);
    assert_true(fresh.get()[0] != fresh.get()[0]);
    assert_int_equal(lane::launch(write_beyond, 1, 1, 64 * 1024, nullptr, static_cast<char *>(nullptr), 0),
                     cudaErrorInvalidValue);
    assert_int_equal(cudaFuncSetAttribute(write_beyond, cudaFuncAttributeMaxDynamicSharedMemorySize, 1 << 20),
                     cudaErrorInvalidValue);
    assert_int_equal(lane::launch(write_beyond, 1, 2048, 0, nullptr, static_cast<char *>(nullptr), 0),
                     cudaErrorInvalidConfiguration);
    void *p;
    assert_int_equal(cudaMalloc(&p, exa_emu::device.memory_bytes + 1), cudaErrorMemoryAllocation);
    cudaGetLastError();
}

int main() {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks_warps_atomics),
        cmocka_unit_test(test_votes_and_shuffles),
        cmocka_unit_test(test_products),
        cmocka_unit_test(test_half_conversions),
        cmocka_unit_test(test_copies_arrive_when_waited_for),
        cmocka_unit_test(test_streams_and_graphs),
        cmocka_unit_test(test_races_come_out_differently),
        cmocka_unit_test(test_bank_conflicts_are_counted),
        cmocka_unit_test(test_mistakes_stop_aloud),
        cmocka_unit_test(test_memory_beyond_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
