/* A job: one JSON file that says what to segment, with what, into where.
 *
 * exa_job mirrors the file section by section. One table (src/core/job_table.c) describes every key; the parser,
 * the effective job, `exaconn config`, configs/job.schema.json and docs/job.md are all made from it. Three numbers
 * are z, y, x. Nothing here opens any file but the job itself. Thread safe as long as nobody changes the job.
 */
#ifndef EXACONN_JOB_H
#define EXACONN_JOB_H

#include "exaconn/cpu.h"
#include "exaconn/log.h"
#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_JOB_MAX_BYTES ((size_t)64 << 20) /* of a job file */

typedef enum exa_job_mask_values { EXA_JOB_MASK_NONZERO = 0, EXA_JOB_MASK_ZERO } exa_job_mask_values;

/* In the order of exa_seed_policy, exa_ffn_kernel (the layers above core own those). */
typedef enum exa_job_seed_policy {
    EXA_JOB_SEEDS_PEAKS = 0,
    EXA_JOB_SEEDS_MAX,
    EXA_JOB_SEEDS_GRID3D,
    EXA_JOB_SEEDS_LIST
} exa_job_seed_policy;
typedef enum exa_job_kernel {
    EXA_JOB_KERNEL_AUTO = 0,
    EXA_JOB_KERNEL_REFERENCE,
    EXA_JOB_KERNEL_DIRECT,
    EXA_JOB_KERNEL_WINOGRAD
} exa_job_kernel;
typedef enum exa_job_backend {
    EXA_JOB_BACKEND_AUTO = 0,
    EXA_JOB_BACKEND_CPU,
    EXA_JOB_BACKEND_CUDA
} exa_job_backend;
typedef enum exa_job_precision { EXA_JOB_FP32 = 0, EXA_JOB_TF32, EXA_JOB_FP16 } exa_job_precision;
typedef enum exa_job_switch { EXA_JOB_AUTO = 0, EXA_JOB_ON, EXA_JOB_OFF } exa_job_switch;

/* Values that a job may leave to somebody else (null in JSON): the model, the volume. */
typedef struct exa_job_real {
    double value;
    bool given;
} exa_job_real;
typedef struct exa_job_integer {
    int64_t value;
    bool given;
} exa_job_integer;
typedef struct exa_job_triple {
    int64_t value[3]; /* zyx */
    bool given;
} exa_job_triple;
typedef struct exa_job_reals3 {
    double value[3]; /* zyx */
    bool given;
} exa_job_reals3;

/* In the order of exa_overlap_options. */
typedef enum exa_job_match { EXA_JOB_MATCH_MUTUAL, EXA_JOB_MATCH_ONE, EXA_JOB_MATCH_ANY } exa_job_match;

/* "unsaid" before the values of exa_synapse_format; in the order of exa_synapse_units, exa_synapse_axes. */
typedef enum exa_job_synapse_format { EXA_JOB_SYNAPSES_UNSAID } exa_job_synapse_format;
typedef enum exa_job_synapse_units { EXA_JOB_UNITS_UNSAID } exa_job_synapse_units;
typedef enum exa_job_synapse_axes { EXA_JOB_AXES_UNSAID } exa_job_synapse_axes;

/* Strings are owned, NULL = not given; paths in them are resolved against the job file's folder. */
typedef struct exa_job {
    char *volume; /* never NULL in a parsed job, like weights and output */
    char *weights;
    char *output;
    struct {
        int64_t start[3];     /* zyx voxels of the volume */
        exa_job_triple shape; /* zyx voxels; not given = to the volume's end */
    } box;
    struct {
        exa_job_triple shape; /* zyx voxels of a chunk's core; not given = the box is one piece */
        int64_t halo[3];      /* zyx voxels around it */
    } chunks;
    struct {
        exa_job_triple rim; /* zyx voxels; not given = half the FOV */
        int64_t min_voxels;
        double min_fraction, min_jaccard, min_contained;
        exa_job_match best;
        int64_t max_voxels; /* of a joined segment; 0 = no limit */
    } stitching;
    exa_job_reals3 voxel_size_nm; /* not given = what the volume says, or unknown */
    struct {
        char *volume;
        exa_job_mask_values exclude_values;
    } mask;
    bool skip_zero_raw;
    char *initial_segmentation;
    struct {
        exa_job_seed_policy policy;
        int64_t (*points)[3]; /* owned; zyx voxels of the volume (not of the box), in the order they are tried */
        size_t point_count;   /* 0 unless the policy is list */
        char *file;           /* instead of points; its text goes through exa_job_parse_points */
        int64_t step[3];      /* grid3d */
        int64_t *offsets;     /* grid3d; owned; each offset on all three axes, from the box's start */
        size_t offset_count;
    } seeds;
    struct { /* not given = what the weights were published with */
        exa_job_real init_activation;
        exa_job_real pad_value;
        exa_job_real move_threshold;
        exa_job_real segment_threshold;
        exa_job_real disco_seed_threshold;
        exa_job_integer min_segment_size;
        exa_job_triple min_boundary_dist;
        exa_job_real image_mean;
        exa_job_real image_stddev;
    } inference;
    struct {
        exa_job_backend backend;
        exa_job_precision precision; /* on a GPU; in the order of exa_net_precision */
        exa_job_kernel kernel;
        exa_isa isa;
        int64_t threads;            /* 0 = auto */
        int64_t canvases, prefetch; /* chunks in flight (0 = auto), and read ahead */
        exa_job_switch bind;
        double memory_limit_gib; /* 0 = what the machine has */
    } compute;
    struct {
        int64_t chunk[3];   /* zyx storage chunk */
        int64_t zstd_level; /* 0 = none */
        bool probability_map;
    } segmentation;
    struct {
        bool segmentation, raw;
    } precomputed;
    struct {
        bool contacts, sites;
        char *synapses;
        exa_job_synapse_format format;
        exa_job_synapse_units units;
        exa_job_synapse_axes axes;
        exa_job_reals3 table_voxel_size_nm;
        double search_radius_nm;
        int64_t min_synapses;
        bool autapses;
    } circuits;
    struct { /* 0 = no limit */
        int64_t max_seeds;
        int64_t max_objects;
        int64_t max_steps;
    } limits;
    struct {
        exa_job_real interval_min; /* not given = what is best; 0 = never */
        double mtbf_hours;
        int64_t keep; /* generations */
        bool at_end;
        double chunk_interval_s; /* 0 = never */
    } checkpoint;
    struct {
        double heartbeat_timeout_s;
    } faults;
    struct {
        double interval_s;
    } progress;
    exa_log_level log_level;
} exa_job;

/* Reads and checks a job file. Errors name the file and the key (or line and column) and, for an unknown key, the
 * nearest known one: EXA_ERR_CONFIG for what is wrong in the text, EXA_ERR_RANGE for values out of range,
 * EXA_ERR_IO if it cannot be read. `job` is untouched on failure. */
exa_status exa_job_read(const char *path, exa_job *job);

/* The same from text in memory. `origin` names it in messages; relative paths are put below `base_dir` (NULL or "":
 * left as they are). */
exa_status exa_job_parse(const char *text, size_t size, const char *origin, const char *base_dir, exa_job *job);

/* Every key at its default, the required ones at an example; what `exaconn config --defaults` prints. */
exa_status exa_job_defaults(exa_job *job);

/* Frees what `job` owns and zeroes it. */
void exa_job_destroy(exa_job *job);

/* The effective job as JSON text with every key (transferred, free() it); parses to the same job again. */
exa_status exa_job_write_json(const exa_job *job, char **text);

/* The points of a seeds file: JSON "[[z, y, x], ...]", or text with one "z y x" (spaces or commas) a line, where
 * "#" begins a comment. *points is transferred, free() it; at least one, at most 10 million, coordinates in [0,
 * 2^53). */
exa_status exa_job_parse_points(const char *text, size_t size, const char *origin, int64_t (**points)[3],
                                size_t *count);

/* Lists into fresh text (transferred) the keys in which two jobs differ, "  key: THERE there, HERE here", one a
 * line; with `result_only` just those that can change the result. *text is "" if there are none. */
exa_status exa_job_differences(const exa_job *there, const exa_job *here, bool result_only, char **text);

/* Every key that decides what the chunks of a run hold, as fresh text (transferred) of "key: value" lines. */
exa_status exa_job_describe(const exa_job *job, char **text);

/* The committed documents made from the table (transferred): configs/job.schema.json, and the tables of
 * docs/job.md. */
exa_status exa_job_schema(char **text);
exa_status exa_job_markdown(char **text);

#ifdef __cplusplus
}
#endif
#endif
