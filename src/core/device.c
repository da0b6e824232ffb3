/* Device enumeration for builds without CUDA (src/core/device_cuda.c has the other half), and what both share. */
#include "exa_build_info.h"

#include "exaconn/device.h"

#include <stdbool.h>
#include <stdio.h>

void exa_device_uuid_text(const unsigned char uuid[EXA_DEVICE_UUID_BYTES], char out[EXA_DEVICE_UUID_TEXT_BYTES]) {
    int at = snprintf(out, EXA_DEVICE_UUID_TEXT_BYTES, "GPU-");

    for (int i = 0; i < EXA_DEVICE_UUID_BYTES; i++) {
        bool dash = i == 4 || i == 6 || i == 8 || i == 10;
        at += snprintf(out + at, (size_t)(EXA_DEVICE_UUID_TEXT_BYTES - at), "%s%02x", dash ? "-" : "", uuid[i]);
    }
}

#if !EXA_HAVE_CUDA

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

#endif
