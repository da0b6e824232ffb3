/* What a job will need, from its inputs' headers alone: nothing is segmented, no voxel is read. */
#ifndef EXACONN_PLAN_H
#define EXACONN_PLAN_H

#include "exaconn/ffn_model.h"
#include "exaconn/job.h"
#include "exaconn/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A job's inputs, opened and checked against each other. */
typedef struct exa_inputs {
    exa_ffn_model *model; /* owned; its options, mean and stddev already carry the job's overrides */
    exa_volume *volume;   /* owned */
    exa_volume_info info; /* of the volume */
    exa_box box;          /* to be segmented, in the volume */
    int64_t voxels;
    exa_dtype dtype;         /* of the raw voxels in memory */
    double voxel_size_nm[3]; /* 0 = unknown */
} exa_inputs;

/* Opens what the job names. Errors: everything wrong with the files, a box outside the volume, a box smaller than
 * the FOV. Overrides of the model's published values are logged as warnings. */
exa_status exa_inputs_open(const exa_job *job, exa_inputs *inputs);
void exa_inputs_close(exa_inputs *inputs);

typedef struct exa_plan {
    uint64_t raw_bytes, canvas_bytes, seed_bytes, network_bytes; /* network: predicted from the geometry */
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

void exa_plan_make(const exa_job *job, const exa_inputs *inputs, exa_plan *plan);

/* EXA_ERR_MEMORY, saying what needs how much, if the plan does not fit. */
exa_status exa_plan_check_memory(const exa_plan *plan);

/* Times a few steps of the job's network on this machine with its threads; fills plan->seconds_per_step. */
exa_status exa_plan_measure(const exa_job *job, const exa_inputs *inputs, exa_plan *plan);

/* Threads a job uses here: compute.threads, else EXACONN_THREADS, else the cores this process may use. */
exa_status exa_plan_threads(const exa_job *job, int *threads);

#ifdef __cplusplus
}
#endif
#endif
