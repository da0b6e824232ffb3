/* Canvases in a GPU's memory: the flood-filling state machine of ffn/canvas.c as kernels, step for step the same.
 *
 * A GPU has a number of slots, each with room for one canvas. A launch takes every canvas named in it some steps
 * on: a CUDA graph of the steps, in each of which all these canvases' fields of view are gathered, go through the
 * network as one batch, and are absorbed. The host decides nothing in between; it reads each canvas's state after
 * the launch. What a canvas becomes does not depend on the others in the launch.
 *
 * Nothing here knows exa_canvas; ffn/canvas_device.c does both. One caller at a time; a call returns when the GPU
 * is done. Without CUDA every function but exa_canvas_gpu_plan gives EXA_ERR_UNSUPPORTED.
 */
#ifndef EXACONN_CANVAS_GPU_H
#define EXACONN_CANVAS_GPU_H

#include "exaconn/box.h"
#include "exaconn/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A raw image as exa_image has it. Borrowed. */
typedef struct exa_canvas_gpu_image {
    const void *raw;
    exa_dtype dtype;
    exa_coord shape[3];
    float mean, stddev;
    const float *table; /* [256]: normalised value of each uint8 */
} exa_canvas_gpu_image;

/* The arithmetic of a canvas, as ffn/canvas.c has it. */
typedef struct exa_canvas_gpu_rules {
    exa_coord fov[3], deltas[3];
    float init_logit, pad_logit, move_logit, segment_logit;
    double face_logit; /* not rounded to float32 */
    float disco_seed_threshold;
    int64_t min_segment_size, min_boundary_dist[3];
    int64_t max_seeds, max_objects, max_steps; /* 0 = no limit */
    float quantum[255];                        /* [q - 1]: the least logit stored as q (exa_canvas_quantise) */
} exa_canvas_gpu_rules;

/* The network: logits of `n` fields of view, in the order given to the stream.
 *   input  [n, z, y, x, 2]: normalised image, logit seed with unset voxels already the pad value
 *   logits [n, z, y, x]: seed + output
 *   overflow [n]: set to 0, or to 1 where the numbers left the precision's range and the logits are worthless
 * `exact` asks for the precision that cannot overflow. All pointers are to the device's memory; nothing may be
 * allocated or waited for, as the call is recorded into a graph. */
typedef exa_status exa_canvas_gpu_forward(void *network, size_t n, bool exact, const float *input, float *logits,
                                          unsigned *overflow, void *stream);

typedef struct exa_canvas_gpu_options {
    exa_canvas_gpu_rules rules;
    int device; /* of the CUDA runtime */
    int slots;
    int steps;           /* of a launch, 1 to EXA_CANVAS_GPU_RECORDS */
    exa_coord voxels[3]; /* zyx; no canvas is larger on any axis */
    exa_dtype dtype;     /* of the raw voxels */
    bool probability_map;
    bool seeds;           /* room for exa_canvas_gpu_peaks */
    uint64_t seeds_bytes; /* room for a slot's list of seeds; a longer one takes more memory when it is loaded */
    exa_canvas_gpu_forward *forward;
    void *network;
} exa_canvas_gpu_options;

enum { EXA_CANVAS_GPU_RECORDS = 64, EXA_CANVAS_GPU_COUNTERS = 15 };

/* As exa_canvas_counters, field by field. */
enum {
    EXA_GPU_SEEDS,
    EXA_GPU_FLOODS,
    EXA_GPU_STEPS,
    EXA_GPU_OBJECTS,
    EXA_GPU_SKIP_THRESHOLD,
    EXA_GPU_SKIP_INVALID_POS,
    EXA_GPU_SKIP_RESTRICTED,
    EXA_GPU_NEAR_SEGMENT,
    EXA_GPU_SEED_GOT_TOO_WEAK,
    EXA_GPU_WEAK,
    EXA_GPU_TOO_SMALL,
    EXA_GPU_NO_STEP,
    EXA_GPU_VOXELS_SEGMENTED,
    EXA_GPU_VOXELS_INITIAL,
    EXA_GPU_VOXELS_OVERLAPPING
};

/* One flood that is over. */
typedef struct exa_canvas_gpu_record {
    int64_t steps, voxels_raw, voxels_new;
    int32_t seed[3], low[3], high[3]; /* low, high: of the visited centres */
    int32_t outcome;                  /* an exa_outcome */
    int32_t id, unused;
} exa_canvas_gpu_record;

/* What the host sees of a canvas, and what its kernels go by. */
typedef struct exa_canvas_gpu_state {
    int64_t next_seed, settled_next_seed; /* settled: when the last flood ended */
    int64_t counter[EXA_CANVAS_GPU_COUNTERS], settled[EXA_CANVAS_GPU_COUNTERS];
    int64_t records;    /* floods that are over, since the canvas was loaded */
    int64_t overflowed; /* steps that were done again exactly */
    int64_t queue_head, queue_tail;
    int64_t steps;                             /* of the flood in work, as all below */
    unsigned long long voxels_raw, voxels_new; /* while it is judged */
    int32_t seed[3], position[3], low[3], high[3], cell_offset[3];
    int32_t weak;
    int32_t phase;
    int32_t next_id;
    int32_t limited;                                      /* a max_* ended the canvas */
    int32_t too_many;                                     /* it ended because there are no more ids */
    int32_t waits;                                        /* for an exact step */
    exa_canvas_gpu_record record[EXA_CANVAS_GPU_RECORDS]; /* of flood k: record[k % EXA_CANVAS_GPU_RECORDS] */
} exa_canvas_gpu_state;

enum {
    EXA_CANVAS_GPU_NEXT = 0, /* needs a seed */
    EXA_CANVAS_GPU_STEP,     /* needs a network step at `position` */
    EXA_CANVAS_GPU_END,      /* a flood is over and to be judged */
    EXA_CANVAS_GPU_DONE
};

/* A canvas as it is given to a slot. */
typedef struct exa_canvas_gpu_canvas {
    exa_canvas_gpu_image image;
    const int32_t *segmentation; /* [z, y, x] */
    const uint8_t *probability;  /* NULL without a map */
    const void *seeds;           /* uint32, or uint64 if wide: C-order indices */
    size_t seed_count;
    bool wide;
    int64_t next_seed;
    int32_t next_id;
    int64_t counter[EXA_CANVAS_GPU_COUNTERS];
} exa_canvas_gpu_canvas;

typedef struct exa_canvas_gpu exa_canvas_gpu;

/* Bytes that the slots take, and once what all share; `forward`'s own memory is not in it. EXA_ERR_RANGE beyond
 * what is possible (2^31 voxels on an axis). */
typedef struct exa_canvas_gpu_memory {
    uint64_t slot_bytes, shared_bytes;
} exa_canvas_gpu_memory;
exa_status exa_canvas_gpu_plan(const exa_canvas_gpu_options *options, exa_canvas_gpu_memory *memory);

exa_status exa_canvas_gpu_create(const exa_canvas_gpu_options *options, exa_canvas_gpu **out);
void exa_canvas_gpu_destroy(exa_canvas_gpu **gpu);

/* Puts a canvas into a slot; what is borrowed is so during the call. */
exa_status exa_canvas_gpu_load(exa_canvas_gpu *gpu, int slot, const exa_canvas_gpu_canvas *canvas);

/* Takes the canvases of `count` different slots up to options.steps network steps on. */
exa_status exa_canvas_gpu_run(exa_canvas_gpu *gpu, const int *slots, int count);

/* After the last load or run. Borrowed until the next one. */
const exa_canvas_gpu_state *exa_canvas_gpu_state_of(const exa_canvas_gpu *gpu, int slot);

/* Segmentation (-1 for failed seeds, -2 for what is excluded) and, if there is one, probability map as they are
 * now.
 */
exa_status exa_canvas_gpu_fetch(exa_canvas_gpu *gpu, int slot, int32_t *segmentation, uint8_t *probability);

/* The seeds of exa_seed_make's policy peaks, the same to the last one: *seeds (transferred, free() it) holds uint32
 * C-order indices, or uint64 if the image has 2^32 voxels and more. `sigma` is of the Gaussian average, `excluded`
 * may be NULL. Arrays between may be asked for in `trace` (NULL members are not filled), for tests. */
typedef struct exa_canvas_gpu_peaks_trace {
    float *gradient, *smooth;
    uint8_t *edge;
    int32_t *distance2;
} exa_canvas_gpu_peaks_trace;
exa_status exa_canvas_gpu_peaks(exa_canvas_gpu *gpu, const exa_canvas_gpu_image *image, const uint8_t *excluded,
                                double sigma, const exa_coord margin[3], exa_canvas_gpu_peaks_trace *trace,
                                void **seeds, size_t *count);

/* For tests: what it was made with (borrowed). */
const exa_canvas_gpu_options *exa_canvas_gpu_options_of(const exa_canvas_gpu *gpu);

/* The states in the device's memory [slots], for a `forward` that looks on in a test. */
const exa_canvas_gpu_state *exa_canvas_gpu_states(const exa_canvas_gpu *gpu);

#ifdef __cplusplus
}
#endif
#endif
