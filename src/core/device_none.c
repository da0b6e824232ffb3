/* Device enumeration for builds without CUDA; device_cuda.c has the other half. */
#include "exa_build_info.h"

#include "exaconn/device.h"

#if !EXA_HAVE_CUDA

bool exa_device_is_built(void) {
    return false;
}

int exa_device_count(const char **reason) {
    if (reason) *reason = "this build has no CUDA (configure with -DEXA_ENABLE_CUDA=ON)";
    return 0;
}

exa_status exa_device_get(int index, exa_device *device) {
    (void)device;
    return EXA_FAIL(EXA_ERR_RANGE, "there is no device %d: this build has no CUDA", index);
}

exa_status exa_device_free_bytes(int index, uint64_t *bytes) {
    (void)bytes;
    return EXA_FAIL(EXA_ERR_RANGE, "there is no device %d: this build has no CUDA", index);
}

#else

/* ISO C wants a declaration in every file. */
typedef int exa_device_is_in_device_cuda;

#endif
