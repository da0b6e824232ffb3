/* Device enumeration through the CUDA runtime. */
#include "exa_build_info.h"

#include "exaconn/device.h"

#if EXA_HAVE_CUDA

#include <cuda_runtime_api.h>
#include <stdio.h>

int exa_device_count(const char **reason) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);

    if (reason) *reason = error == cudaSuccess ? "no GPU is visible" : cudaGetErrorString(error);
    return error == cudaSuccess ? count : 0;
}

exa_status exa_device_get(int index, exa_device *device) {
    struct cudaDeviceProp p;
    int count = exa_device_count(NULL);
    cudaError_t error;

    EXA_CHECK(index >= 0 && index < count, EXA_ERR_RANGE, "there is no device %d; %d are visible", index, count);
    error = cudaGetDeviceProperties(&p, index);
    EXA_CHECK(error == cudaSuccess, EXA_ERR_DEVICE, "device %d: %s", index, cudaGetErrorString(error));
    *device = (exa_device){.major = p.major,
                           .minor = p.minor,
                           .multiprocessors = p.multiProcessorCount,
                           .memory_bytes = p.totalGlobalMem};
    snprintf(device->name, sizeof device->name, "%.255s", p.name);
    return EXA_OK;
}

#else

/* ISO C wants a declaration in every file. */
typedef int exa_device_is_in_device;

#endif
