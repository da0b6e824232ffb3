/* GPUs this process can see. Safe to call on any machine: no driver or no GPU is a count of 0 with a reason. */
#ifndef EXACONN_DEVICE_H
#define EXACONN_DEVICE_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { EXA_DEVICE_UUID_BYTES = 16, EXA_DEVICE_PCI_BYTES = 20 };

typedef struct exa_device {
    char name[256];
    int major, minor; /* compute capability */
    int multiprocessors;
    uint64_t memory_bytes;
    char pci[EXA_DEVICE_PCI_BYTES];            /* "0000:3b:00.0"; of a MIG slice, its GPU's */
    unsigned char uuid[EXA_DEVICE_UUID_BYTES]; /* of a MIG slice, its own */
} exa_device;

/* Whether this program was built with CUDA at all. */
bool exa_device_is_built(void);

/* Number of GPUs; 0 with *reason (static storage, never NULL) saying why there is none. `reason` may be NULL. */
int exa_device_count(const char **reason);

/* EXA_ERR_RANGE beyond the count, EXA_ERR_DEVICE if the driver refuses. */
exa_status exa_device_get(int index, exa_device *device);

/* Bytes free on the device now; makes it the calling thread's device, which costs a context (hundreds of MB) when
 * it was not. */
exa_status exa_device_free_bytes(int index, uint64_t *bytes);

/* "GPU-..." as nvidia-smi and CUDA_VISIBLE_DEVICES write it. */
#define EXA_DEVICE_UUID_TEXT_BYTES 41
void exa_device_uuid_text(const unsigned char uuid[EXA_DEVICE_UUID_BYTES], char out[EXA_DEVICE_UUID_TEXT_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
