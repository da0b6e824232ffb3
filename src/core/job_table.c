/* Every key of a job, once. To add one: a field in exaconn/job.h, a row here, then put the output of
 * `exaconn config --schema`, `--defaults` and `--markdown` into the committed files (docs/job.md says how). */
#include "job_internal.h"

#include <string.h>

#define AT(field) .offset = offsetof(exa_job, field)
#define COUNT_AT(field) .count_offset = offsetof(exa_job, field)
#define SIZES .minimum = 0, .maximum = EXA_JOB_MAX_INTEGER
#define LARGE 1e30

static const char *const mask_values[] = {"nonzero", "zero", NULL};
static const char *const seed_policies[] = {"peaks", "max", "grid3d", "list", NULL};
static const char *const backends[] = {"auto", "cpu", "cuda", NULL};
static const char *const kernels[] = {"auto", "reference", "direct", "winograd", NULL};
static const char *const isas[] = {"auto", "portable", "avx2", "avx512", NULL};
static const char *const switches[] = {"auto", "on", "off", NULL};
static const char *const log_levels[] = {"error", "warn", "info", "debug", "trace", NULL};

const exa_job_section exa_job_sections[] = {
    {"box", "The part of the volume to segment."},
    {"mask", "Voxels to leave alone."},
    {"seeds", "Where objects are begun."},
    {"inference", "The network's options; null is what the weights were published with, and overriding it is warned about."},
    {"compute", "How the work is done on this machine."},
    {"segmentation", "How the result is stored."},
    {"limits", "Stops early, to try a job quickly; 0 is no limit."},
    {"progress", "What is reported while it runs."},
};
const size_t exa_job_section_count = sizeof exa_job_sections / sizeof *exa_job_sections;

const exa_job_key exa_job_keys[] = {
    {.path = "volume", .kind = EXA_JOB_VOLUME, .flags = EXA_JOB_REQUIRED, AT(volume), .since = "0.1",
     .standard = "\"volume.h5:/raw\"",
     .doc = "The raw image volume, as file and dataset: \"file.h5:/path/to/dataset\"."},
    {.path = "weights", .kind = EXA_JOB_FILE, .flags = EXA_JOB_REQUIRED, AT(weights), .since = "0.1",
     .standard = "\"ffn.h5\"",
     .doc = "The network's weights file, as `exaconn import-ffn` makes it."},
    {.path = "output", .kind = EXA_JOB_FILE, .flags = EXA_JOB_REQUIRED | EXA_JOB_FREE, AT(output), .since = "0.1",
     .standard = "\"run\"",
     .doc = "The run directory: created if it is not there, resumed if it holds a run of the same job."},
    {.path = "voxel_size_nm", .kind = EXA_JOB_REALS3, .flags = EXA_JOB_NULLABLE | EXA_JOB_ABOVE_MINIMUM,
     .minimum = 0, .maximum = 1e9, AT(voxel_size_nm), .unit = "nm", .since = "0.1",
     .standard = "null", .example = "[8, 8, 8]",
     .doc = "Size of a voxel (z, y, x); null is what the volume says, and unknown if it says nothing."},
    {.path = "skip_zero_raw", .kind = EXA_JOB_BOOL, AT(skip_zero_raw), .since = "0.1",
     .standard = "false",
     .doc = "Leaves alone the regions where the raw image is all zero, such as padding outside the tissue."},
    {.path = "initial_segmentation", .kind = EXA_JOB_VOLUME, .flags = EXA_JOB_NULLABLE, AT(initial_segmentation),
     .since = "0.1", .standard = "null", .example = "\"segments.h5:/segmentation\"",
     .doc = "A volume of the same shape as the raw one whose objects (nonzero voxels) are there from the start."},
    {.path = "log_level", .kind = EXA_JOB_NAME, .flags = EXA_JOB_FREE, .names = log_levels, AT(log_level),
     .since = "0.1", .standard = "\"info\"",
     .doc = "The least important messages shown; `--log-level` on the command line wins."},

    {.path = "box.start", .kind = EXA_JOB_TRIPLE, SIZES, AT(box.start), .unit = "voxels", .since = "0.1",
     .standard = "[0, 0, 0]",
     .doc = "First voxel (z, y, x) of the box in the volume."},
    {.path = "box.shape", .kind = EXA_JOB_TRIPLE, .flags = EXA_JOB_NULLABLE, .minimum = 1,
     .maximum = EXA_JOB_MAX_INTEGER, AT(box.shape), .unit = "voxels", .since = "0.1",
     .standard = "null", .example = "[128, 128, 128]",
     .doc = "Extent (z, y, x) of the box; null is to the end of the volume."},

    {.path = "mask.volume", .kind = EXA_JOB_VOLUME, .flags = EXA_JOB_NULLABLE, AT(mask.volume), .since = "0.1",
     .standard = "null", .example = "\"mask.h5:/mask\"",
     .doc = "A volume of the same shape as the raw one that says which voxels to leave alone."},
    {.path = "mask.exclude_values", .kind = EXA_JOB_NAME, .names = mask_values, AT(mask.exclude_values),
     .since = "0.1", .standard = "\"nonzero\"",
     .doc = "Which mask values exclude a voxel: nonzero (the mask marks what to skip) or zero (it marks the tissue)."},

    {.path = "seeds.policy", .kind = EXA_JOB_NAME, .names = seed_policies, AT(seeds.policy), .since = "0.1",
     .standard = "\"peaks\"",
     .doc = "Where seeds come from: peaks (far from image edges), max (brightest first), grid3d, or list."},
    {.path = "seeds.points", .kind = EXA_JOB_POINTS, .flags = EXA_JOB_NULLABLE, SIZES, AT(seeds.points),
     COUNT_AT(seeds.point_count), .unit = "voxels", .since = "0.1",
     .standard = "null", .example = "[[40, 50, 60], [80, 50, 60]]",
     .doc = "For the policy list: the seeds (z, y, x) in voxels of the volume, in the order they are tried."},
    {.path = "seeds.file", .kind = EXA_JOB_FILE, .flags = EXA_JOB_NULLABLE, AT(seeds.file), .since = "0.1",
     .standard = "null", .example = "\"seeds.txt\"",
     .doc = "For the policy list: a file with the seeds instead, one \"z y x\" a line or JSON [[z, y, x], ...]."},
    {.path = "seeds.step", .kind = EXA_JOB_TRIPLE, .minimum = 1, .maximum = EXA_JOB_MAX_INTEGER, AT(seeds.step),
     .unit = "voxels", .since = "0.1", .standard = "[16, 16, 16]",
     .doc = "For the policy grid3d: spacing of the grid (z, y, x)."},
    {.path = "seeds.offsets", .kind = EXA_JOB_INTEGERS, SIZES, AT(seeds.offsets), COUNT_AT(seeds.offset_count),
     .unit = "voxels", .since = "0.1", .standard = "[0, 8, 4, 12, 2, 10, 14]",
     .doc = "For the policy grid3d: the grid is laid once at each offset (the same on all axes) from the box's start."},

    {.path = "inference.init_activation", .kind = EXA_JOB_REAL, .minimum = 0, .maximum = 1,
     .flags = EXA_JOB_NULLABLE | EXA_JOB_ABOVE_MINIMUM | EXA_JOB_BELOW_MAXIMUM, AT(inference.init_activation),
     .unit = "probability", .since = "0.1", .standard = "null", .example = "0.95",
     .doc = "Value of the object map at a seed."},
    {.path = "inference.pad_value", .kind = EXA_JOB_REAL, .minimum = 0, .maximum = 1,
     .flags = EXA_JOB_NULLABLE | EXA_JOB_ABOVE_MINIMUM | EXA_JOB_BELOW_MAXIMUM, AT(inference.pad_value),
     .unit = "probability", .since = "0.1", .standard = "null", .example = "0.05",
     .doc = "What voxels not yet visited look like to the network."},
    {.path = "inference.move_threshold", .kind = EXA_JOB_REAL, .minimum = 0, .maximum = 1,
     .flags = EXA_JOB_NULLABLE | EXA_JOB_ABOVE_MINIMUM | EXA_JOB_BELOW_MAXIMUM, AT(inference.move_threshold),
     .unit = "probability", .since = "0.1", .standard = "null", .example = "0.9",
     .doc = "The field of view moves to a face whose maximum is at least this."},
    {.path = "inference.segment_threshold", .kind = EXA_JOB_REAL, .minimum = 0, .maximum = 1,
     .flags = EXA_JOB_NULLABLE | EXA_JOB_ABOVE_MINIMUM | EXA_JOB_BELOW_MAXIMUM, AT(inference.segment_threshold),
     .unit = "probability", .since = "0.1", .standard = "null", .example = "0.6",
     .doc = "Voxels of at least this belong to the object."},
    {.path = "inference.disco_seed_threshold", .kind = EXA_JOB_REAL, .minimum = -1, .maximum = 1,
     .flags = EXA_JOB_NULLABLE, AT(inference.disco_seed_threshold), .unit = "fraction", .since = "0.1",
     .standard = "null", .example = "0",
     .doc = "Once more than this fraction of the field of view is object, negative voxels may not rise; negative is off."},
    {.path = "inference.min_segment_size", .kind = EXA_JOB_INTEGER, .flags = EXA_JOB_NULLABLE, SIZES,
     AT(inference.min_segment_size), .unit = "voxels", .since = "0.1", .standard = "null", .example = "1000",
     .doc = "Smaller objects are dropped."},
    {.path = "inference.min_boundary_dist", .kind = EXA_JOB_TRIPLE, .flags = EXA_JOB_NULLABLE, .minimum = 0,
     .maximum = 1024, AT(inference.min_boundary_dist), .unit = "voxels", .since = "0.1",
     .standard = "null", .example = "[1, 1, 1]",
     .doc = "A seed needs this distance (z, y, x) from existing objects."},
    {.path = "inference.image_mean", .kind = EXA_JOB_REAL, .flags = EXA_JOB_NULLABLE, .minimum = -LARGE,
     .maximum = LARGE, AT(inference.image_mean), .unit = "grey value", .since = "0.1",
     .standard = "null", .example = "128",
     .doc = "Subtracted from the raw image."},
    {.path = "inference.image_stddev", .kind = EXA_JOB_REAL, .flags = EXA_JOB_NULLABLE, .minimum = 1e-30,
     .maximum = LARGE, AT(inference.image_stddev), .unit = "grey value", .since = "0.1",
     .standard = "null", .example = "33",
     .doc = "The raw image is divided by this after the mean is subtracted."},

    {.path = "compute.backend", .kind = EXA_JOB_NAME, .names = backends, AT(compute.backend), .since = "0.1",
     .standard = "\"auto\"",
     .doc = "Where the network runs: auto is a GPU if there is one and the program was built for it, else the CPU."},
    {.path = "compute.kernel", .kind = EXA_JOB_NAME, .names = kernels, AT(compute.kernel), .since = "0.1",
     .standard = "\"auto\"",
     .doc = "How the CPU convolves: auto is what measured fastest for the network's shape."},
    {.path = "compute.isa", .kind = EXA_JOB_NAME, .names = isas, AT(compute.isa), .since = "0.1",
     .standard = "\"auto\"",
     .doc = "The CPU instruction set: auto is the best this processor has."},
    {.path = "compute.threads", .kind = EXA_JOB_INTEGER, .flags = EXA_JOB_FREE, .minimum = 0, .maximum = 4096,
     AT(compute.threads), .unit = "threads", .since = "0.1", .standard = "0",
     .doc = "Compute threads of each rank; 0 is EXACONN_THREADS, else the cores the rank was given."},
    {.path = "compute.bind", .kind = EXA_JOB_NAME, .flags = EXA_JOB_FREE, .names = switches, AT(compute.bind),
     .since = "0.1", .standard = "\"auto\"",
     .doc = "Whether each thread is bound to a core: auto does so where the cores are ours alone."},
    {.path = "compute.memory_limit_gib", .kind = EXA_JOB_REAL, .flags = EXA_JOB_FREE, .minimum = 0,
     .maximum = 1048576, AT(compute.memory_limit_gib), .unit = "GiB", .since = "0.1", .standard = "0",
     .doc = "A job that needs more memory per rank is refused before it begins; 0 is what the machine has."},

    {.path = "segmentation.chunk", .kind = EXA_JOB_TRIPLE, .minimum = 1, .maximum = 1024, AT(segmentation.chunk),
     .unit = "voxels", .since = "0.1", .standard = "[64, 64, 64]",
     .doc = "Storage chunk (z, y, x) of the segmentation's dataset."},
    {.path = "segmentation.zstd_level", .kind = EXA_JOB_INTEGER, .minimum = 0, .maximum = 19,
     AT(segmentation.zstd_level), .since = "0.1", .standard = "3",
     .doc = "Strength of the compression (HDF5 filter 32015); 0 is none."},
    {.path = "segmentation.probability_map", .kind = EXA_JOB_BOOL, AT(segmentation.probability_map), .since = "0.1",
     .standard = "false",
     .doc = "Also stores the object probability of every voxel, quantised to 8 bits."},

    {.path = "limits.max_seeds", .kind = EXA_JOB_INTEGER, SIZES, AT(limits.max_seeds), .unit = "seeds",
     .since = "0.1", .standard = "0",
     .doc = "Tries no more seeds than this."},
    {.path = "limits.max_objects", .kind = EXA_JOB_INTEGER, SIZES, AT(limits.max_objects), .unit = "objects",
     .since = "0.1", .standard = "0",
     .doc = "Ends when this many objects are made."},
    {.path = "limits.max_steps", .kind = EXA_JOB_INTEGER, SIZES, AT(limits.max_steps), .unit = "network steps",
     .since = "0.1", .standard = "0",
     .doc = "Ends after the object in which this many network steps are reached."},

    {.path = "progress.interval_s", .kind = EXA_JOB_REAL, .flags = EXA_JOB_FREE, .minimum = 0.1, .maximum = 86400,
     AT(progress.interval_s), .unit = "s", .since = "0.1", .standard = "10",
     .doc = "Time between progress lines where there is no terminal, and between writes of status.json."},
};
const size_t exa_job_key_count = sizeof exa_job_keys / sizeof *exa_job_keys;

const exa_job_key *exa_job_find_key(const char *path) {
    for (size_t i = 0; i < exa_job_key_count; i++) {
        if (strcmp(exa_job_keys[i].path, path) == 0) return &exa_job_keys[i];
    }
    return NULL;
}

const exa_job_section *exa_job_find_section(const char *name) {
    for (size_t i = 0; i < exa_job_section_count; i++) {
        if (strcmp(exa_job_sections[i].name, name) == 0) return &exa_job_sections[i];
    }
    return NULL;
}

const char *exa_job_key_name(const exa_job_key *key) {
    const char *dot = strchr(key->path, '.');
    return dot ? dot + 1 : key->path;
}

bool exa_job_key_in(const exa_job_key *key, const exa_job_section *section) {
    const char *dot = strchr(key->path, '.');
    size_t length = dot ? (size_t)(dot - key->path) : 0;

    if (!section) return !dot;
    return dot && strlen(section->name) == length && strncmp(key->path, section->name, length) == 0;
}
