/* GPUs this process can see. Safe to call on any machine: no driver or no GPU is a count of 0 with a reason. */
#ifndef EXACONN_DEVICE_H
#define EXACONN_DEVICE_H

#include "exaconn/status.h"

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_device {
    char name[256];
    int major, minor; /* compute capability */
    int multiprocessors;
    uint64_t memory_bytes;
} exa_device;

/* Number of GPUs; 0 with *reason (static storage, never NULL) saying why there is none. `reason` may be NULL. */
int exa_device_count(const char **reason);

/* EXA_ERR_RANGE beyond the count, EXA_ERR_DEVICE if the driver refuses. */
exa_status exa_device_get(int index, exa_device *device);

#ifdef __cplusplus
}
#endif
#endif
