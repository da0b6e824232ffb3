/* What is known of GPUs whether the build has CUDA (device_cuda.c) or not (device_none.c). */
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
