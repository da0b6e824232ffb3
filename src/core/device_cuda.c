/* Device enumeration through the CUDA runtime. */
#include "exa_build_info.h"

#include "exaconn/device.h"

#if EXA_HAVE_CUDA

#include <cuda_runtime_api.h>
#include <stdio.h>
#include <string.h>

/* What went wrong, for somebody who is to mend it. */
static const char *reason_of(cudaError_t error) {
    switch (error) {
    case cudaErrorNoDevice: return "no GPU is visible (does CUDA_VISIBLE_DEVICES hide it?)";
    case cudaErrorInsufficientDriver: {
        int version = 0;
        if (cudaDriverGetVersion(&version) == cudaSuccess && version == 0)
            return "there is no NVIDIA driver on this machine";
        return "the NVIDIA driver is older than this program's CUDA needs";
    }
    default: return cudaGetErrorString(error);
    }
}

bool exa_device_is_built(void) {
    return true;
}

int exa_device_count(const char **reason) {
    int count = 0;
    cudaError_t error = cudaGetDeviceCount(&count);

    (void)cudaGetLastError(); /* not to be found by whoever asks next */
    if (reason) *reason = reason_of(error == cudaSuccess ? cudaErrorNoDevice : error);
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
    snprintf(device->pci, sizeof device->pci, "%04x:%02x:%02x.0", (unsigned)p.pciDomainID & 0xffffu,
             (unsigned)p.pciBusID & 0xffu, (unsigned)p.pciDeviceID & 0xffu);
    memcpy(device->uuid, p.uuid.bytes, sizeof device->uuid);
    return EXA_OK;
}

exa_status exa_device_free_bytes(int index, uint64_t *bytes) {
    size_t available = 0, total = 0;
    cudaError_t error = cudaSetDevice(index);

    if (error == cudaSuccess) error = cudaMemGetInfo(&available, &total);
    EXA_CHECK(error == cudaSuccess, EXA_ERR_DEVICE, "device %d: %s", index, cudaGetErrorString(error));
    *bytes = available;
    return EXA_OK;
}

#else

/* ISO C wants a declaration in every file. */
typedef int exa_device_is_in_device_none;

#endif
