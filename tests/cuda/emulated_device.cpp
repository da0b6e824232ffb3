/* The emulated GPU as the only one of the machine, for programs that are linked with the emulation.
 * EXACONN_TEST_GONE=N: it answers no more from the N-th question on. */
#include "exaconn/device.h"

#include "cuda/lane.cuh"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern "C" {

bool exa_device_is_built(void) {
    return true;
}

int exa_device_count(const char **reason) {
    int count = 0;
    if (reason) *reason = "no emulated GPU";
    return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

exa_status exa_device_get(int index, exa_device *device) {
    static long asked;
    const char *gone = getenv("EXACONN_TEST_GONE");
    cudaDeviceProp p;

    EXA_CHECK(!gone || ++asked < atol(gone), EXA_ERR_DEVICE, "the emulated GPU does not answer");
    EXA_CHECK(cudaGetDeviceProperties(&p, index) == cudaSuccess, EXA_ERR_RANGE, "there is no emulated GPU %d",
              index);
    *device = exa_device{};
    snprintf(device->name, sizeof device->name, "emulated GPU");
    device->major = p.major;
    device->minor = p.minor;
    device->multiprocessors = p.multiProcessorCount;
    device->memory_bytes = p.totalGlobalMem;
    return EXA_OK;
}

exa_status exa_device_free_bytes(int index, uint64_t *bytes) {
    size_t available, total;

    (void)index;
    EXA_CHECK(cudaMemGetInfo(&available, &total) == cudaSuccess, EXA_ERR_DEVICE, "no emulated GPU");
    *bytes = available;
    return EXA_OK;
}
}
