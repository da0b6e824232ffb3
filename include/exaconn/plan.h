/* What a job will need, from its inputs' headers alone: nothing is segmented, no voxel is read. */
#ifndef EXACONN_PLAN_H
#define EXACONN_PLAN_H

#include "exaconn/canvas_device.h"
#include "exaconn/chunk_grid.h"
#include "exaconn/ffn_model.h"
#include "exaconn/job.h"
#include "exaconn/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A second volume of a job and the part of it that covers the box. */
typedef struct exa_companion {
    exa_volume *volume; /* owned; NULL if the job names none */
    exa_box box;        /* of the job, in this volume's voxels */
} exa_companion;

/* A job's inputs, opened and checked against each other. */
typedef struct exa_inputs {
    exa_ffn_model *model;    /* owned; its options, mean and stddev already carry the job's overrides */
    exa_volume *volume;      /* owned */
    exa_volume_info info;    /* of the volume */
    exa_box box;             /* to be segmented, in the volume */
    int64_t voxels;          /* INT64_MAX if there are more, which only a job with chunks may have */
    exa_dtype dtype;         /* of the raw voxels in memory */
    double voxel_size_nm[3]; /* 0 = unknown */
    exa_companion mask, initial;
    int64_t (*points)[3]; /* owned; listed seeds, zyx voxels of the volume, all inside the box */
    size_t point_count;
} exa_inputs;

/* Opens what the job names and finds everything that can be wrong before a voxel is read: files, types, a box
 * outside the volume or smaller than the FOV, companions that do not cover it (one cut from the volume is placed by
 * its attribute offset_zyx_vx), listed seeds outside it, thresholds under which no step is possible, a backend that
 * is not there. Overrides of the model's published values are logged as warnings. */
exa_status exa_inputs_open(const exa_job *job, exa_inputs *inputs);
void exa_inputs_close(exa_inputs *inputs);

/* A GPU to plan for. */
typedef struct exa_plan_device {
    uint64_t memory_bytes; /* that a rank may use of it; 0 = not known */
} exa_plan_device;

/* Canvases in flight on a GPU when the job leaves it open: more would not fill it better (docs/gpu.md). */
#define EXA_PLAN_CANVASES_AUTO 8
#define EXA_PLAN_CANVASES_MOST 32 /* as compute.canvases allows */

typedef struct exa_plan {
    bool on_device;
    int canvases;                                                /* in flight on a rank */
    uint64_t device_slot_bytes, device_shared_bytes;             /* GPU memory: for each canvas, and once */
    uint64_t device_available_bytes;                             /* 0 = not known */
    int device_canvases_most;                                    /* that fit there; 0 if that is not known */
    uint64_t raw_bytes, canvas_bytes, seed_bytes, network_bytes; /* network: predicted from the geometry */
    uint64_t write_bytes;                                        /* one slab of the output and HDF5's buffers */
    uint64_t peak_bytes;                                         /* of the process, predicted */
    uint64_t available_bytes;                                    /* the job's limit or the machine's */
    double bytes_per_voxel;                                      /* peak beside the network's buffers */
    double steps; /* estimate: cells that FOV centres can reach times EXA_PLAN_STEPS_PER_CELL */
    double flops_per_step;
    double seconds_per_step;   /* 0 = not measured */
    uint64_t output_bytes_max; /* uncompressed */
} exa_plan;

/* Steps per cell of deltas^3 voxels in the published FIB-25 run: 25,799 steps, FOV centres within 218^3 voxels. On
 * the golden sub-cubes it predicts 653 steps for 571 and 32 for 30. */
#define EXA_PLAN_STEPS_PER_CELL 1.275

/* What the CUDA runtime and driver keep in the process: an estimate. */
#define EXA_PLAN_CUDA_BYTES ((uint64_t)400 << 20)

/* The program and its libraries, measured. */
#define EXA_PLAN_PROGRAM_BYTES ((uint64_t)32 << 20)

/* The job's chunks; one that is the whole box if the job names none. */
exa_status exa_plan_grid(const exa_job *job, const exa_inputs *inputs, exa_chunk_grid *grid);

/* What a rank needs that works on chunks of the job, each as large as one can be, on the CPU (`device` is NULL) or
 * a GPU. `threads` as exa_plan_threads gives them. EXA_ERR_MEMORY if not one canvas fits on the GPU. */
exa_status exa_plan_chunk(const exa_job *job, const exa_inputs *inputs, const exa_chunk_grid *grid, int threads,
                          const exa_plan_device *device, exa_plan *plan);

/* The options of such canvases, as many as the plan has. */
exa_canvas_device_options exa_plan_device_options(const exa_job *job, const exa_inputs *inputs,
                                                  const exa_chunk_grid *grid, int canvases);

/* EXA_ERR_MEMORY, saying what needs how much, if the plan does not fit. */
exa_status exa_plan_check_memory(const exa_plan *plan);

/* Times a few steps of the job's network on this machine's CPU with its threads; fills plan->seconds_per_step. */
exa_status exa_plan_measure(const exa_job *job, const exa_inputs *inputs, exa_plan *plan);

/* Threads a job uses here: compute.threads, else EXACONN_THREADS, else the cores this process may use. */
exa_status exa_plan_threads(const exa_job *job, int *threads);

#ifdef __cplusplus
}
#endif
#endif
