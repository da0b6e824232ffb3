/* The network captured in a CUDA graph by its caller gives the bits of plain calls; on the CPU's imitation of
 * streams and graphs (kernels/cuda/lane_runtime.h), which does nothing until somebody waits.
 */
#include "cuda/lane.cuh"
#include "cuda/lane_test.h"

#include "conv3d_launch.cuh"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <vector>

extern "C" {
#include <cmocka.h>
}

enum { DEPTH = 2, FEATURES = 16, Z = 3, Y = 5, X = 4, VOXELS = Z * Y * X, N = 3 };

static float number(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return static_cast<float>(static_cast<int>(*state >> 40) - (1 << 23)) / (1 << 23);
}

struct network {
    std::vector<std::vector<float>> tensors;
    const float *weights[2 * DEPTH + 1], *biases[2 * DEPTH + 1];
    exa_device_net *net = nullptr;

    network() {
        uint64_t state = 1;
        for (int i = 0; i <= 2 * DEPTH; i++) {
            size_t out = i == 2 * DEPTH ? 1 : FEATURES, in = i == 0 ? 2 : FEATURES, taps = i == 2 * DEPTH ? 1 : 27;
            tensors.emplace_back(taps * in * out);
            tensors.emplace_back(out);
        }
        for (auto &t : tensors)
            for (float &f : t) f = number(&state) / 8;
        for (size_t i = 0; i <= 2 * DEPTH; i++) {
            weights[i] = tensors[2 * i].data();
            biases[i] = tensors[2 * i + 1].data();
        }
        exa_device_net_spec spec = {DEPTH, FEATURES, {Z, Y, X}, weights, biases};
        exa_device_net_options options = {EXA_NET_FP16, N, 0, false};
        assert_int_equal(exa_device_net_create(&spec, &options, &net), EXA_OK);
    }
    ~network() {
        exa_device_net_destroy(&net);
    }
};

static void check(cudaError_t error) {
    assert_int_equal(error, cudaSuccess);
}

static std::vector<float> inputs(uint64_t state) {
    std::vector<float> v(2 * N * VOXELS);
    for (float &f : v) f = 2 * number(&state);
    return v;
}

static std::vector<float> download(const float *d, cudaStream_t stream) {
    std::vector<float> v(N * VOXELS);
    check(cudaStreamSynchronize(stream));
    check(cudaMemcpy(v.data(), d, v.size() * sizeof(float), cudaMemcpyDeviceToHost));
    return v;
}

static void test_graph(void **) {
    network n;
    float *d_in, *d_out;
    uint32_t *d_overflow;
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    check(cudaStreamCreate(&stream));
    check(cudaMalloc(&d_in, 2 * N * VOXELS * sizeof(float)));
    check(cudaMalloc(&d_out, N * VOXELS * sizeof(float)));
    check(cudaMalloc(&d_overflow, N * sizeof(uint32_t)));
    check(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal));
    assert_int_equal(exa_device_net_forward(n.net, N, d_in, d_out, d_overflow, stream), EXA_OK);
    check(cudaStreamEndCapture(stream, &graph));
    check(cudaGraphInstantiate(&exec, graph));
    for (uint64_t round = 0; round < 3; round++) {
        std::vector<float> in = inputs(round + 5);
        exa_lane_set_seed(round);
        check(cudaMemcpy(d_in, in.data(), in.size() * sizeof(float), cudaMemcpyHostToDevice));
        assert_int_equal(exa_device_net_forward(n.net, N, d_in, d_out, d_overflow, stream), EXA_OK);
        std::vector<float> plain = download(d_out, stream);
        check(cudaMemset(d_out, 0xff, N * VOXELS * sizeof(float)));
        check(cudaGraphLaunch(exec, stream));
        std::vector<float> captured = download(d_out, stream);
        assert_memory_equal(plain.data(), captured.data(), plain.size() * sizeof(float));
        assert_true(plain[7] == plain[7] && plain[7] != in[2 * 7 + 1]); /* something was computed */
    }
    check(cudaGraphExecDestroy(exec));
    check(cudaGraphDestroy(graph));
    check(cudaFree(d_in));
    check(cudaFree(d_out));
    check(cudaFree(d_overflow));
    check(cudaStreamDestroy(stream));
}

/* The benchmarks' way: calls in a graph or one by one; the same logits. */
static void test_timed_calls(void **) {
    network n;
    std::vector<float> in = inputs(9), a(N * VOXELS), b(N * VOXELS);
    exa_device_net_times times;
    assert_int_equal(exa_device_net_time(n.net, N, VOXELS, in.data(), 2, 1, true, a.data(), &times), EXA_OK);
    assert_int_equal(exa_device_net_time(n.net, N, VOXELS, in.data(), 1, 2, false, b.data(), &times), EXA_OK);
    assert_memory_equal(a.data(), b.data(), a.size() * sizeof(float));
}

/* Too little memory is not a broken GPU, and the runtime's last error does not stay for others to find. */
static void test_no_memory(void **) {
    void *p = nullptr;
    assert_int_equal(exa_cuda_status(cudaMalloc(&p, exa_emu::device.memory_bytes + 1), "a test"), EXA_ERR_MEMORY);
    assert_int_equal(cudaPeekAtLastError(), cudaSuccess);
    assert_int_equal(exa_cuda_status(cudaErrorInvalidValue, "a test"), EXA_ERR_DEVICE);
}

int main() {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_graph),
        cmocka_unit_test(test_timed_calls),
        cmocka_unit_test(test_no_memory),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed || exa_lane_device_bytes() != 0;
}
