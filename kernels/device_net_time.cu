/* How long a network's steps take on the GPU, for the benchmarks: calls captured in a graph, timed by events. */
#include "exaconn/device_net.h"

#include "conv3d_launch.cuh"

#include <time.h>

#include <algorithm>

struct timing {
    cudaStream_t stream;
    cudaEvent_t begin, end;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    float *input, *logits;
    uint32_t *overflow;
};

static double now_ms() {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e3 * (double)t.tv_sec + 1e-6 * (double)t.tv_nsec;
}

static void timing_free(timing *t) {
    if (t->exec) cudaGraphExecDestroy(t->exec);
    if (t->graph) cudaGraphDestroy(t->graph);
    if (t->begin) cudaEventDestroy(t->begin);
    if (t->end) cudaEventDestroy(t->end);
    if (t->stream) cudaStreamDestroy(t->stream);
    cudaFree(t->input);
    cudaFree(t->logits);
    cudaFree(t->overflow);
}

static exa_status forwards(exa_device_net *net, int n, int calls, timing *t) {
    for (int i = 0; i < calls; i++) {
        EXA_TRY(exa_device_net_forward(net, n, t->input, t->logits, t->overflow, t->stream));
    }
    return EXA_OK;
}

static exa_status timing_make(exa_device_net *net, int n, size_t voxels, const float *input, int calls, timing *t) {
    size_t bytes = (size_t)n * voxels * sizeof(float);
    EXA_TRY(exa_cuda_status(cudaStreamCreateWithFlags(&t->stream, cudaStreamNonBlocking), "a stream"));
    EXA_TRY(exa_cuda_status(cudaEventCreate(&t->begin), "an event"));
    EXA_TRY(exa_cuda_status(cudaEventCreate(&t->end), "an event"));
    EXA_TRY(exa_cuda_status(cudaMalloc(&t->input, 2 * bytes), "inputs"));
    EXA_TRY(exa_cuda_status(cudaMalloc(&t->logits, bytes), "logits"));
    EXA_TRY(exa_cuda_status(cudaMalloc(&t->overflow, (size_t)n * sizeof *t->overflow), "flags"));
    EXA_TRY(exa_cuda_status(cudaMemcpy(t->input, input, 2 * bytes, cudaMemcpyHostToDevice), "inputs"));
    EXA_TRY(exa_cuda_status(cudaDeviceSynchronize(), "inputs")); /* our stream does not wait for the default one */
    EXA_TRY(exa_cuda_status(cudaStreamBeginCapture(t->stream, cudaStreamCaptureModeThreadLocal), "a graph"));
    exa_status st = forwards(net, n, calls, t);
    cudaError_t error = cudaStreamEndCapture(t->stream, &t->graph);
    EXA_TRY(st);
    EXA_TRY(exa_cuda_status(error, "a graph"));
    return exa_cuda_status(cudaGraphInstantiate(&t->exec, t->graph, 0), "a graph");
}

static exa_status run_once(exa_device_net *net, int n, int calls, bool graph, timing *t, double *device_ms,
                           double *host_ms) {
    float ms = 0;
    double begin = now_ms();
    EXA_TRY(exa_cuda_status(cudaEventRecord(t->begin, t->stream), "an event"));
    if (graph) {
        EXA_TRY(exa_cuda_status(cudaGraphLaunch(t->exec, t->stream), "a graph"));
    } else {
        EXA_TRY(forwards(net, n, calls, t));
    }
    EXA_TRY(exa_cuda_status(cudaEventRecord(t->end, t->stream), "an event"));
    *host_ms = (now_ms() - begin) / calls;
    EXA_TRY(exa_cuda_status(cudaEventSynchronize(t->end), "the GPU"));
    if (lane::emulated) { /* there is no time on the CPU's device; tests only look at the logits */
        *device_ms = 0;
        return EXA_OK;
    }
    EXA_TRY(exa_cuda_status(cudaEventElapsedTime(&ms, t->begin, t->end), "the time between two events"));
    *device_ms = (double)ms / calls;
    return EXA_OK;
}

exa_status exa_device_net_time(exa_device_net *net, int n, size_t voxels, const float *input, int calls, int repeat,
                               bool graph, float *logits, exa_device_net_times *times) {
    enum { MOST = 1000, WARMUP = 2 };
    static double ms[MOST];
    timing t = {};
    double host = 0;
    exa_status st = EXA_OK;

    EXA_CHECK(calls >= 1 && repeat >= 1 && repeat <= MOST, EXA_ERR_RANGE, "%d timings of %d calls", repeat, calls);
    EXA_GOTO(done, timing_make(net, n, voxels, input, calls, &t));
    for (int i = -WARMUP; i < repeat; i++) {
        double one;
        EXA_GOTO(done, run_once(net, n, calls, graph, &t, i < 0 ? ms : ms + i, &one));
        if (i >= 0) host += one / repeat;
    }
    EXA_GOTO(done, exa_cuda_status(
                       cudaMemcpy(logits, t.logits, (size_t)n * voxels * sizeof *logits, cudaMemcpyDeviceToHost),
                       "logits"));
    std::sort(ms, ms + repeat);
    times->min_ms = ms[0];
    times->median_ms = ms[repeat / 2];
    times->max_ms = ms[repeat - 1];
    times->host_ms = host;
done:
    timing_free(&t);
    return st;
}
