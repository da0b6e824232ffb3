/* Device memory, streams, events and graphs of the CPU build (lane_runtime.h). One OS thread at a time uses it. */
#include "cuda/lane.cuh"

#include <stdlib.h>
#include <sys/mman.h>

#include <map>
#include <mutex>
#include <vector>

typedef std::function<void()> step;

struct exa_emu_stream {
    std::vector<step> queue;
    bool capturing = false;
    bool draining = false;
    std::vector<step> captured;
};
struct exa_emu_event {
    bool done = true;
    exa_emu_stream *stream = nullptr; /* that will do it */
};
struct exa_emu_graph {
    std::vector<step> steps;
};

namespace exa_emu {

device_shape device;

struct allocation {
    size_t bytes, mapped;
    unsigned char *base;
};
static std::recursive_mutex lock;
static std::map<void *, allocation> allocations;
static std::map<const void *, size_t> shared_limit; /* of kernels that asked for more than 48 KiB */
static std::vector<exa_emu_stream *> streams;
static exa_emu_stream default_stream;
static cudaError_t last_error = cudaSuccess;
enum : size_t { PAGE = 4096, DEFAULT_SHARED = 48 * 1024, ALIGN = 256 };
enum : unsigned char { CANARY = 0xc5 };

static cudaError_t result(cudaError_t error) {
    if (error != cudaSuccess) last_error = error;
    return error;
}

size_t device_bytes_allocated() {
    size_t sum = 0;
    for (const auto &a : allocations) sum += a.second.bytes;
    return sum;
}

/* ---- streams ------------------------------------------------------------------------------------ */

static exa_emu_stream *stream_of(cudaStream_t s) {
    return s ? s : &default_stream;
}

static void drain(exa_emu_stream *s) {
    if (s->draining) {
        fprintf(stderr, "kernel: streams wait for each other's events\n");
        abort();
    }
    s->draining = true;
    while (!s->queue.empty()) {
        std::vector<step> now;
        now.swap(s->queue);
        for (const step &f : now) f();
    }
    s->draining = false;
}

static void drain_all() {
    std::vector<exa_emu_stream *> order = streams;
    order.push_back(&default_stream);
    for (size_t i = order.size(); i > 1; i--) std::swap(order[i - 1], order[draw(i)]);
    for (exa_emu_stream *s : order) drain(s);
}

static cudaError_t enqueue(cudaStream_t stream, step f) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    exa_emu_stream *s = stream_of(stream);
    (s->capturing ? s->captured : s->queue).push_back(std::move(f));
    return cudaSuccess;
}

cudaError_t launch(const void *kernel, dim3 grid, dim3 block, size_t shared_bytes, cudaStream_t stream,
                   std::function<void()> body) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    size_t threads = size_t(block.x) * block.y * block.z;
    auto found = shared_limit.find(kernel);
    size_t allowed = found == shared_limit.end() ? size_t(DEFAULT_SHARED) : found->second;
    if (threads == 0 || threads > 1024 || grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.y > 65535 ||
        grid.z > 65535) {
        return result(cudaErrorInvalidConfiguration);
    }
    if (shared_bytes > allowed) return result(cudaErrorInvalidValue);
    return enqueue(stream, [=]() { run_kernel(grid, block, shared_bytes, body); });
}

} // namespace exa_emu

namespace exa_emu_cuda {

using namespace exa_emu;

/* ---- memory ------------------------------------------------------------------------------------- */

cudaError_t cudaMalloc(void **p, size_t bytes) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    size_t rounded = (bytes + ALIGN - 1) / ALIGN * ALIGN, mapped = (rounded + PAGE - 1) / PAGE * PAGE + 2 * PAGE;
    if (bytes == 0) {
        *p = nullptr;
        return cudaSuccess;
    }
    if (device_bytes_allocated() + bytes > device.memory_bytes) return result(cudaErrorMemoryAllocation);
    void *base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (base == MAP_FAILED) return result(cudaErrorMemoryAllocation);
    unsigned char *begin = static_cast<unsigned char *>(base), *at = begin + mapped - PAGE - rounded;
    memset(at, 0xff, bytes);
    memset(at + bytes, CANARY, rounded - bytes);
    mprotect(begin, PAGE, PROT_NONE);
    mprotect(begin + mapped - PAGE, PAGE, PROT_NONE);
    allocations[at] = {bytes, mapped, begin};
    *p = at;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (!p) return cudaSuccess;
    drain_all();
    auto found = allocations.find(p);
    if (found == allocations.end()) return result(cudaErrorInvalidValue);
    allocation a = found->second;
    size_t rounded = (a.bytes + ALIGN - 1) / ALIGN * ALIGN;
    for (size_t i = a.bytes; i < rounded; i++) {
        if (static_cast<unsigned char *>(p)[i] != CANARY) {
            fprintf(stderr, "kernel: device memory of %zu bytes was written %zu bytes beyond its end\n", a.bytes,
                    i - a.bytes);
            abort();
        }
    }
    munmap(a.base, a.mapped);
    allocations.erase(found);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned) {
    *p = malloc(bytes > 0 ? bytes : 1);
    if (*p) memset(*p, 0xff, bytes);
    return *p ? cudaSuccess : result(cudaErrorMemoryAllocation);
}
cudaError_t cudaMallocHost(void **p, size_t bytes) {
    return cudaHostAlloc(p, bytes, 0);
}
cudaError_t cudaFreeHost(void *p) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    drain_all();
    free(p);
    return cudaSuccess;
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
    return enqueue(stream, [=]() { memmove(to, from, bytes); });
}
cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    drain(&default_stream);
    memmove(to, from, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, cudaMemcpyKind, cudaStream_t stream) {
    return enqueue(stream, [=]() {
        for (size_t i = 0; i < height; i++)
            memmove(static_cast<char *>(to) + i * to_pitch, static_cast<const char *>(from) + i * from_pitch,
                    width);
    });
}
cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream) {
    return enqueue(stream, [=]() { memset(p, value, bytes); });
}
cudaError_t cudaMemset(void *p, int value, size_t bytes) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    drain(&default_stream);
    memset(p, value, bytes);
    return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total_bytes) {
    *total_bytes = device.memory_bytes;
    *free_bytes = device.memory_bytes - device_bytes_allocated();
    return cudaSuccess;
}

/* ---- streams, graphs, events -------------------------------------------------------------------- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    *stream = new exa_emu_stream;
    streams.push_back(*stream);
    return cudaSuccess;
}
cudaError_t cudaStreamCreate(cudaStream_t *stream) {
    return cudaStreamCreateWithFlags(stream, 0);
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    drain(stream);
    for (size_t i = 0; i < streams.size(); i++)
        if (streams[i] == stream) streams.erase(streams.begin() + static_cast<long>(i--));
    delete stream;
    return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (stream_of(stream)->capturing) return result(cudaErrorStreamCaptureUnsupported);
    drain(stream_of(stream));
    return cudaSuccess;
}
cudaError_t cudaStreamQuery(cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (stream_of(stream)->queue.empty()) return cudaSuccess;
    if (draw(2)) drain(stream_of(stream)); /* ready at the next question, perhaps */
    return cudaErrorNotReady;
}
cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *status) {
    *status = stream_of(stream)->capturing ? cudaStreamCaptureStatusActive : cudaStreamCaptureStatusNone;
    return cudaSuccess;
}
cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    exa_emu_stream *s = stream_of(stream);
    if (s == &default_stream || s->capturing) return result(cudaErrorStreamCaptureUnsupported);
    s->capturing = true;
    s->captured.clear();
    return cudaSuccess;
}
cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *graph) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    exa_emu_stream *s = stream_of(stream);
    if (!s->capturing) return result(cudaErrorInvalidValue);
    s->capturing = false;
    *graph = new exa_emu_graph{std::move(s->captured)};
    s->captured.clear();
    return cudaSuccess;
}
cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long) {
    *exec = new exa_emu_graph(*graph);
    return cudaSuccess;
}
cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t stream) {
    for (const step &f : exec->steps) enqueue(stream, f);
    return cudaSuccess;
}
cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    delete graph;
    return cudaSuccess;
}
cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec) {
    delete exec;
    return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) {
    return enqueue(stream, [=]() { function(data); });
}
cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned) {
    *event = new exa_emu_event;
    return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t *event) {
    return cudaEventCreateWithFlags(event, 0);
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    event->done = false;
    event->stream = stream_of(stream);
    return enqueue(stream, [=]() { event->done = true; });
}
cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (!event->done) drain(event->stream);
    return cudaSuccess;
}
cudaError_t cudaEventDestroy(cudaEvent_t event) {
    cudaEventSynchronize(event);
    delete event;
    return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t event) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (event->done) return cudaSuccess;
    if (draw(2)) drain(event->stream);
    return cudaErrorNotReady;
}
cudaError_t cudaEventElapsedTime(float *, cudaEvent_t, cudaEvent_t) {
    return cudaErrorInvalidValue;
}
cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned) {
    return enqueue(stream, [=]() {
        if (!event->done) drain(event->stream);
    });
}

/* ---- the device --------------------------------------------------------------------------------- */

cudaError_t cudaDeviceSynchronize() {
    std::lock_guard<std::recursive_mutex> guard(lock);
    drain_all();
    return cudaSuccess;
}
cudaError_t cudaGetDeviceCount(int *count) {
    *count = 1;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *index) {
    *index = 0;
    return cudaSuccess;
}
cudaError_t cudaSetDevice(int index) {
    return index == 0 ? cudaSuccess : result(cudaErrorInvalidDevice);
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp *p, int index) {
    if (index != 0) return result(cudaErrorInvalidDevice);
    *p = cudaDeviceProp{};
    snprintf(p->name, sizeof p->name, "emulated on the CPU");
    p->totalGlobalMem = device.memory_bytes;
    p->sharedMemPerBlock = DEFAULT_SHARED;
    p->sharedMemPerBlockOptin = device.shared_bytes;
    p->sharedMemPerMultiprocessor = device.shared_bytes + 1024;
    p->major = device.major;
    p->minor = device.minor;
    p->multiProcessorCount = device.multiprocessors;
    p->l2CacheSize = 1 << 25;
    p->maxThreadsPerBlock = 1024;
    return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr attribute, int index) {
    cudaDeviceProp p;
    if (cudaGetDeviceProperties(&p, index) != cudaSuccess) return cudaErrorInvalidDevice;
    switch (attribute) {
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = static_cast<int>(p.sharedMemPerBlock); break;
    case cudaDevAttrMultiProcessorCount: *value = p.multiProcessorCount; break;
    case cudaDevAttrL2CacheSize: *value = p.l2CacheSize; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
        *value = static_cast<int>(p.sharedMemPerMultiprocessor);
        break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = static_cast<int>(p.sharedMemPerBlockOptin); break;
    }
    return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes_(cudaFuncAttributes *attributes) {
    const int chip = 10 * device.major + device.minor;
    if (device.code > chip) return result(cudaErrorNoKernelImageForDevice);
    attributes->ptxVersion = code_capability();
    attributes->binaryVersion = chip;
    return cudaSuccess;
}
cudaError_t cudaFuncSetAttribute_(const void *kernel, cudaFuncAttribute attribute, int value) {
    std::lock_guard<std::recursive_mutex> guard(lock);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return cudaSuccess;
    if (value < 0 || static_cast<size_t>(value) > device.shared_bytes) return result(cudaErrorInvalidValue);
    shared_limit[kernel] = static_cast<size_t>(value);
    return cudaSuccess;
}
cudaError_t cudaOccupancy_(int *blocks, int threads, size_t shared_bytes) {
    size_t by_shared = (device.shared_bytes + 1024) / (shared_bytes + 1024), by_threads = size_t(2048 / threads);
    *blocks = static_cast<int>(by_shared < by_threads ? by_shared : by_threads);
    return cudaSuccess;
}
cudaError_t cudaGetLastError() {
    cudaError_t error = last_error;
    last_error = cudaSuccess;
    return error;
}
cudaError_t cudaPeekAtLastError() {
    return last_error;
}
const char *cudaGetErrorString(cudaError_t error) {
    switch (error) {
    case cudaSuccess: return "no error";
    case cudaErrorInvalidValue: return "invalid argument";
    case cudaErrorMemoryAllocation: return "out of memory";
    case cudaErrorInvalidConfiguration: return "invalid configuration argument";
    case cudaErrorNoDevice: return "no CUDA-capable device is detected";
    case cudaErrorInvalidDevice: return "invalid device ordinal";
    case cudaErrorInvalidDeviceFunction: return "invalid device function";
    case cudaErrorNoKernelImageForDevice: return "no kernel image is available for execution on the device";
    case cudaErrorNotReady: return "device not ready";
    case cudaErrorStreamCaptureUnsupported: return "operation not permitted when stream is capturing";
    }
    return "unknown error";
}

} // namespace exa_emu_cuda
