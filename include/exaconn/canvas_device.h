/* Canvases flooded on a GPU, network and all.
 *
 * A canvas is made as any other (exa_canvas_create with options.on_device) and holds what is finished of it; the
 * flood goes on in a slot of the GPU. After each launch the canvas's counters and attempts are those of the GPU;
 * its voxels are when they are fetched. Given the same logits, all of it is what the CPU would have made
 * (FFN_SEMANTICS B-F; tests/cuda/test_canvas_device.c).
 */
#ifndef EXACONN_CANVAS_DEVICE_H
#define EXACONN_CANVAS_DEVICE_H

#include "exaconn/canvas.h"
#include "exaconn/canvas_gpu.h"
#include "exaconn/device_net.h"
#include "exaconn/ffn_model.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_canvas_device_options {
    exa_canvas_options canvas; /* the rules of all of them */
    exa_coord voxels[3];       /* zyx; no canvas is larger on any axis */
    exa_dtype dtype;           /* of the raw voxels */
    int device;                /* as in exa_device_get */
    int slots;                 /* canvases at a time */
    int steps;                 /* of a launch; 0 = as many as are worth it */
    bool seeds;                /* exa_canvas_device_seeds will be called */
    uint64_t seeds_bytes;      /* of the longest list that is expected */
    exa_net_precision precision;
    exa_canvas_gpu_forward *forward; /* instead of the model's own network, for tests; NULL = none */
    void *network;                   /* of forward */
} exa_canvas_device_options;

typedef struct exa_canvas_device exa_canvas_device;

/* Bytes of GPU memory: `slot` for each of options->slots, `shared` beside them, the networks in it. Needs no GPU.
 */
exa_status exa_canvas_device_plan(const exa_ffn_model *model, const exa_canvas_device_options *options,
                                  uint64_t *slot_bytes, uint64_t *shared_bytes);

/* The model is borrowed during the call. EXA_ERR_MEMORY if the GPU has too little, EXA_ERR_DEVICE if it fails. */
exa_status exa_canvas_device_create(const exa_ffn_model *model, const exa_canvas_device_options *options,
                                    exa_canvas_device **out);
void exa_canvas_device_destroy(exa_canvas_device **device);

int exa_canvas_device_slots(const exa_canvas_device *device);

/* exa_ffn_device_net_check of the networks in it: one step against the CPU's. */
exa_status exa_canvas_device_check(exa_canvas_device *device, const exa_ffn_model *model, exa_pool *pool,
                                   double *largest);

/* What decides the last bits of the logits: "fp16 mma, ..."; borrowed. */
const char *exa_canvas_device_description(const exa_canvas_device *device);

/* exa_seed_make of the policy peaks, on the GPU. */
exa_status exa_canvas_device_seeds(exa_canvas_device *device, const exa_image *image, const uint8_t *excluded,
                                   const exa_coord fov[3], exa_seed_list *list);

/* Puts a canvas with all it has (initial objects, restored parts) into a slot. */
exa_status exa_canvas_device_load(exa_canvas_device *device, int slot, exa_canvas *canvas);

/* Takes `count` canvases in their slots some steps on; done[i] tells whether there are no more. */
exa_status exa_canvas_device_run(exa_canvas_device *device, const int *slots, exa_canvas *const *canvases,
                                 int count, bool *done);

/* The voxels as they are now. */
exa_status exa_canvas_device_fetch(exa_canvas_device *device, int slot, exa_canvas *canvas);

/* Network steps that were done again because they left the precision's range. */
uint64_t exa_canvas_device_redone(const exa_canvas_device *device);

/* For tests. */
exa_canvas_gpu *exa_canvas_device_gpu(exa_canvas_device *device);

#ifdef __cplusplus
}
#endif
#endif
