/* What the pieces of a run share: run.c drives, run_input.c loads, run_output.c writes. */
#ifndef EXA_RUN_INTERNAL_H
#define EXA_RUN_INTERNAL_H

#include "exaconn/batcher.h"
#include "exaconn/canvas.h"
#include "exaconn/canvas_device.h"
#include "exaconn/chunk_store.h"
#include "exaconn/ffn_net.h"
#include "exaconn/flood.h"
#include "exaconn/lease.h"
#include "exaconn/placement.h"
#include "exaconn/plan.h"
#include "exaconn/progress.h"
#include "exaconn/run_directory.h"
#include "exaconn/seam.h"
#include "exaconn/segment.h"

#include <stdatomic.h>
#include <stdio.h>

#define EXA_RUN_JOURNALS "journals"       /* folders in the run directory */
#define EXA_RUN_CHECKPOINTS "checkpoints" /* of generations */
#define EXA_RUN_CIRCUITS "circuits"       /* of contacts and connections */
#define EXA_RUN_IDENTITY "run.txt"        /* in the folder of the journals */
#define EXA_RUN_ATTEMPTS_HEADER                                                                                    \
    "seed_z,seed_y,seed_x,steps,outcome,id,voxels_raw,voxels_new,visited_start_z,visited_start_y,"                 \
    "visited_start_x,visited_shape_z,visited_shape_y,visited_shape_x"
#define EXA_RUN_CANDIDATES "candidates.csv"
#define EXA_RUN_CANDIDATES_HEADER "a,b,shared_vx,a_vx,b_vx,best,joined,refused"

typedef struct exa_run_times {
    double read_s, exclude_s, seed_s, flood_s, network_s, canvas_s, journal_s, checkpoint_s, stitch_s, write_s,
        total_s;
} exa_run_times;

typedef struct exa_run_crew exa_run_crew;

typedef struct exa_run_work {
    const exa_job *job;
    exa_inputs inputs;
    exa_plan plan;
    exa_run_directory *directory;
    exa_pool *pool;
    exa_placement placement; /* its device is -1 on the CPU */
    exa_plan_device device;  /* this rank's part of the GPU */
    char no_gpu[256];        /* why there is none, if it was asked for */
    bool on_device;
    atomic_bool device_lost;
    exa_canvas_device *floods; /* owned; NULL on the CPU */
    exa_ffn_net *net;          /* owned; NULL on a GPU */
    void *raw;                 /* owned, inputs.dtype */
    exa_image image;
    uint8_t *excluded; /* owned; NULL if nothing is excluded; freed once the canvas knows it */
    int64_t excluded_voxels;
    exa_error fatal; /* of the working thread, when fatal_set: no more chunks can be kept */
    atomic_bool fatal_set;
    exa_segid *initial_ids; /* owned; [0, initial_count): volume id of canvas ids 1.. */
    size_t initial_count, initial_capacity;
    exa_segid next_global; /* volume id of the first new object */
    exa_canvas *canvas;
    exa_progress *progress; /* owned; while segmenting */
    exa_chunk_grid grid;
    exa_chunk_store *store;      /* owned; NULL in a run without chunks */
    exa_canvas_counters before;  /* of the chunks done, when there are any */
    exa_lease_task *task;        /* of the chunk in work */
    exa_run_crew *crew;          /* owned; while chunks are segmented */
    uint64_t chunks_resumed;     /* of earlier starts */
    uint64_t chunks_done;        /* and of this one, as rank 0 knows it */
    uint64_t chunks_before;      /* done before this round: rounds lie between checkpoints */
    uint64_t chunks_empty;       /* that the mask leaves nothing of, in this start; on rank 0 */
    uint64_t *included;          /* owned; voxels that it leaves of each missing chunk; NULL without a mask */
    exa_chunkid chunk_in_work;   /* of this rank */
    size_t parts_kept;           /* attempts of it that are in a journal */
    double parts_kept_at;        /* exa_clock_now() */
    uint64_t parts_resumed;      /* of all chunks */
    double checkpoint_cost_s;    /* of the last one; 0 = there was none */
    exa_policy_counters leases;  /* while chunks are segmented, and after; on rank 0 */
    const exa_lease_rank *ranks; /* the same; borrowed from the lease or from last_ranks */
    exa_lease_rank *last_ranks;  /* owned; as they were at the end */
    size_t rank_count;
    const char *stage;       /* static storage; what all ranks are doing, for the status */
    double told_at;          /* exa_clock_now() when the status was last written by exa_run_tell */
    int64_t steps_of_crew;   /* network steps of this rank's crew, in this start */
    double segmented_s;      /* by this rank's crew, without checkpoints and stitching */
    double segmenting_began; /* exa_clock_now() */
    char run_sha256[EXA_SHA256_HEX_BYTES];
    const char *stitch_from;              /* borrowed; the run whose chunks and candidates are taken, or NULL */
    uint64_t candidates, joined, refused; /* of the stitching */
    uint64_t segments;                    /* with voxels in the output */
    int64_t labelled;                     /* voxels of the output */
    bool limited;                         /* a limit of the job ended a chunk early */
    int threads;
    double program_bytes; /* the process before any of this */
    exa_run_times times;
    double began; /* exa_clock_now() at the start */
    char started[32];
} exa_run_work;

/* What is known of a chunk beside its voxels. */
typedef struct exa_run_details {
    exa_canvas_counters counters;
    exa_attempt *attempts; /* owned: free() */
    size_t attempt_count;
    int64_t excluded; /* of the chunk's own voxels */
    bool limited;     /* a limit of the job ended it early */
} exa_run_details;

/* run.c */
bool exa_run_is_stopped(void);
exa_status exa_run_make_canvas(exa_run_work *w);
exa_status exa_run_check_stop(const exa_run_work *w);
exa_status exa_run_begin_progress(exa_run_work *w);
exa_canvas_counters exa_run_counters(const exa_run_work *w);
double exa_run_steps_per_s(const exa_run_work *w); /* network steps, if this process did all */
bool exa_run_did_all(const exa_run_work *w); /* this process, in this start: its times are those of the whole */

/* run_backend.c: GPU or CPU. The choice is by all ranks, and needs inputs, threads and grid; on_device says what it
 * is, an error that there is no GPU though the job demands one. */
exa_status exa_run_choose_backend(exa_run_work *w);
exa_status exa_run_start_backend(exa_run_work *w);
const char *exa_run_backend_description(const exa_run_work *w);
void exa_run_describe_arithmetic(const exa_run_work *w, char out[128]);
exa_status exa_run_make_batcher(const exa_run_work *w, exa_batcher **batcher);
/* After a chunk failed with `st`: says so if the GPU is lost; true if no chunk can be done any more. */
bool exa_run_lost_device(exa_run_work *w, exa_status st);

/* run_chunks.c: segments what the journals do not have. */
exa_status exa_run_open_chunks(exa_run_work *w);
exa_status exa_run_segment_chunks(exa_run_work *w);       /* by all ranks; all stores know all chunks then */
exa_status exa_run_open_finished_chunks(exa_run_work *w); /* of stitch_from, by all ranks */
/* What the mask leaves of each; those of which nothing is left are done. By all ranks. */
exa_status exa_run_weigh_chunks(exa_run_work *w);

/* run_details.c: the details of a chunk as bytes (*details is transferred), and back. */
exa_status exa_run_pack_details(const exa_canvas_counters *counters, const exa_attempt *attempts, size_t count,
                                int64_t excluded, bool limited, void **details, size_t *size);
exa_status exa_run_read_details(exa_run_work *w, exa_chunkid k, exa_run_details *details);

/* Opens the store anew, replaying on rank 0; exa_run_begin_journals then begins a new epoch. By all ranks. */
exa_status exa_run_reopen_store(exa_run_work *w);
exa_status exa_run_begin_journals(exa_run_work *w);

/* run_crew.c: the working threads of this rank, for a round. */
exa_status exa_run_begin_crew(exa_run_work *w);
void exa_run_end_crew(exa_run_work *w);
int exa_run_crew_threads(const exa_run_crew *crew);
void exa_run_add_progress(exa_run_crew *crew, exa_progress_state *state);          /* of the chunks in work */
exa_status exa_run_segment_chunk(exa_lease_task *task, uint64_t k, void *context); /* of the exa_run_work */
exa_status exa_run_refresh(exa_run_crew *crew, exa_canvas *canvas); /* voxels as they are now, also on a GPU */
void exa_run_lock_store(exa_run_crew *crew);                        /* NULL: there is only one thread */
void exa_run_unlock_store(exa_run_crew *crew);

/* run_parts.c: a chunk in work, part by part. */
exa_status exa_run_restore_parts(exa_run_work *w, exa_chunkid k); /* EXA_ERR_FORMAT: make the canvas anew */
void exa_run_keep_parts(exa_run_work *w, bool now);               /* when it is time, or now */

/* run_checkpoint.c */
double exa_run_round_s(const exa_run_work *w); /* seconds of work until the next checkpoint; 0 = no end */

/* Gathers the journals of all ranks into a generation; if that fails it is a warning, as the journals hold all. The
 * store is open afterwards, without a journal begun. By all ranks. */
exa_status exa_run_checkpoint(exa_run_work *w);

/* run_stitch.c: joins them and writes the results. Collective; every rank's store has all chunks. */
exa_status exa_run_stitch(exa_run_work *w);

/* run_tables.c */
void exa_run_print_candidate(FILE *f, const exa_candidate *candidate);
/* Those of a complete run: each rank gets those whose `a` is among its ids (`first` as for exa_union_tree).
 * Collective. */
exa_status exa_run_read_candidates(const char *folder, const exa_chunk_grid *grid, const exa_segid *first,
                                   exa_candidate_list *candidates);
/* segments.csv, of the sorted segments of all ranks. Collective. */
exa_status exa_run_write_segments(exa_run_work *w, const exa_segment *list, size_t count);
exa_status exa_run_write_box_segments(exa_run_work *w);

/* export_run.c: precomputed volumes for viewers, if the job wants them. Collective. */
exa_status exa_run_check_export(const exa_run_work *w);
exa_status exa_run_export(exa_run_work *w);

/* The SHA-256 of what decides the segmentation in a run directory: program, job, failed chunks. */
exa_status exa_run_fingerprint(const char *folder, char hex[EXA_SHA256_HEX_BYTES]);

/* run_circuits.c: contacts and connections, if the job wants them. Collective. */
exa_status exa_run_circuits(exa_run_work *w);

/* run_input.c */
exa_status exa_run_load_raw(exa_run_work *w);
exa_status exa_run_load_exclusion(exa_run_work *w);
exa_status exa_run_load_initial(exa_run_work *w); /* after the canvas exists */

/* run_output.c */
exa_status exa_run_create_output(const exa_run_work *w, const char *path, const char *dataset, exa_dtype dtype,
                                 exa_volume **volume);
void exa_run_print_attempts(FILE *f, const exa_coord origin[3], const exa_attempt *attempts, size_t count,
                            exa_segid (*name)(const void *context, int32_t id), const void *context);
exa_status exa_run_write_segmentation(exa_run_work *w);
exa_status exa_run_write_attempts(const exa_run_work *w);
exa_status exa_run_write_summary(const exa_run_work *w);
/* Writes the status again when it is time, so that whoever watches knows that it goes on. */
void exa_run_tell(exa_run_work *w);
exa_status exa_run_write_status(const exa_run_work *w, const char *state, double eta_s);

/* Resident memory at its highest so far. */
double exa_run_peak_bytes(void);

/* The id in the output volume of canvas object `id` > 0. */
exa_segid exa_run_global_id(const exa_run_work *w, int32_t id);

#endif
