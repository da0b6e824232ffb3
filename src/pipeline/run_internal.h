/* What the pieces of a run share: run.c drives, run_input.c loads, run_output.c writes. */
#ifndef EXA_RUN_INTERNAL_H
#define EXA_RUN_INTERNAL_H

#include "exaconn/canvas.h"
#include "exaconn/ffn_net.h"
#include "exaconn/flood.h"
#include "exaconn/plan.h"
#include "exaconn/run_directory.h"

typedef struct exa_run_times {
    double read_s, exclude_s, seed_s, flood_s, network_s, write_s, total_s;
} exa_run_times;

typedef struct exa_run_work {
    const exa_job *job;
    exa_inputs inputs;
    exa_plan plan;
    exa_run_directory *directory;
    exa_pool *pool;
    exa_ffn_net *net;
    void *raw; /* owned, inputs.dtype */
    exa_image image;
    uint8_t *excluded; /* owned; NULL if nothing is excluded; freed once the canvas knows it */
    int64_t excluded_voxels;
    exa_segid *initial_ids; /* owned; [0, initial_count): volume id of canvas ids 1.. */
    size_t initial_count, initial_capacity;
    exa_segid next_global; /* volume id of the first new object */
    exa_canvas *canvas;
    int threads;
    double program_bytes; /* the process before any of this */
    exa_run_times times;
    double began; /* exa_clock_now() at the start */
    char started[32];
} exa_run_work;

/* run_input.c */
exa_status exa_run_load_raw(exa_run_work *w);
exa_status exa_run_load_exclusion(exa_run_work *w);
exa_status exa_run_load_initial(exa_run_work *w); /* after the canvas exists */

/* run_output.c */
exa_status exa_run_write_segmentation(exa_run_work *w);
exa_status exa_run_write_attempts(const exa_run_work *w);
exa_status exa_run_write_summary(const exa_run_work *w);
exa_status exa_run_write_status(const exa_run_work *w, const char *state, double eta_s);

/* Resident memory at its highest so far. */
double exa_run_peak_bytes(void);

/* The id in the output volume of canvas object `id` > 0. */
exa_segid exa_run_global_id(const exa_run_work *w, int32_t id);

#endif
