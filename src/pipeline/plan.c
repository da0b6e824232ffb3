/* Inputs checked against each other, and what working on them will take. */
#include "exaconn/plan.h"
#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/cpu.h"
#include "exaconn/device.h"
#include "exaconn/ffn_net.h"
#include "exaconn/file.h"
#include "exaconn/log.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- inputs -------------------------------------------------------------------------------------------------- */

static void override(float *value, exa_job_real given, const char *key) {
    if (!given.given || (float)given.value == *value) return;
    EXA_WARN("inference.%s is %g in the job; the network was published with %g", key, given.value, (double)*value);
    *value = (float)given.value;
}

static void override_counts(const exa_job *job, exa_ffn_options *o) {
    const exa_job_integer *size = &job->inference.min_segment_size;
    const exa_job_triple *dist = &job->inference.min_boundary_dist;

    if (size->given && size->value != o->min_segment_size) {
        EXA_WARN("inference.min_segment_size is %lld in the job; the network was published with %lld",
                 (long long)size->value, (long long)o->min_segment_size);
        o->min_segment_size = size->value;
    }
    if (dist->given && memcmp(dist->value, o->min_boundary_dist, sizeof dist->value) != 0) {
        EXA_WARN("inference.min_boundary_dist differs from what the network was published with");
        memcpy(o->min_boundary_dist, dist->value, sizeof dist->value);
    }
}

static void apply_overrides(const exa_job *job, exa_ffn_model *model) {
    override(&model->options.init_activation, job->inference.init_activation, "init_activation");
    override(&model->options.pad_value, job->inference.pad_value, "pad_value");
    override(&model->options.move_threshold, job->inference.move_threshold, "move_threshold");
    override(&model->options.segment_threshold, job->inference.segment_threshold, "segment_threshold");
    override(&model->options.disco_seed_threshold, job->inference.disco_seed_threshold, "disco_seed_threshold");
    override(&model->image_mean, job->inference.image_mean, "image_mean");
    override(&model->image_stddev, job->inference.image_stddev, "image_stddev");
    override_counts(job, &model->options);
}

static exa_status check_box(const exa_job *job, exa_inputs *in) {
    const exa_box all = {{0, 0, 0}, {in->info.shape[0], in->info.shape[1], in->info.shape[2]}};

    for (int a = 0; a < 3; a++) {
        in->box.start[a] = job->box.start[a];
        in->box.shape[a] = job->box.shape.given ? job->box.shape.value[a] : all.shape[a] - job->box.start[a];
    }
    EXA_CHECK(exa_box_inside(&in->box, &all), EXA_ERR_RANGE,
              "box: start (%lld, %lld, %lld) shape (%lld, %lld, %lld) is not inside '%s', whose shape is "
              "(%lld, %lld, %lld), all z, y, x. Hint: make the box smaller or leave it out for the whole volume",
              (long long)in->box.start[0], (long long)in->box.start[1], (long long)in->box.start[2],
              (long long)in->box.shape[0], (long long)in->box.shape[1], (long long)in->box.shape[2], job->volume,
              (long long)all.shape[0], (long long)all.shape[1], (long long)all.shape[2]);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(
            in->box.shape[a] >= in->model->fov[a], EXA_ERR_RANGE,
            "the box has %lld voxels on axis %c, the network's field of view %lld: not one step fits. Hint: use "
            "a larger box",
            (long long)in->box.shape[a], "zyx"[a], (long long)in -> model -> fov[a]);
    }
    if (exa_box_voxels(&in->box, &in->voxels) == EXA_OK) return EXA_OK;
    in->voxels = INT64_MAX;
    if (!job->chunks.shape.given)
        return EXA_FAIL(EXA_ERR_RANGE,
                        "the box of '%s' has more than 2^63 - 1 voxels. Hint: choose a part of it with \"box\", or "
                        "cut it with \"chunks\"",
                        job->volume);
    return EXA_OK;
}

static exa_status check_raw_type(const exa_job *job, exa_inputs *in) {
    in->dtype = in->info.dtype;
    EXA_CHECK(in->dtype == EXA_U8 || in->dtype == EXA_U16 || in->dtype == EXA_F32, EXA_ERR_UNSUPPORTED,
              "'%s' holds %s; a raw image is uint8, uint16 or float32. Hint: did you name a label volume?",
              job->volume, in->info.type_name);
    return EXA_OK;
}

static exa_status check_thresholds(const exa_inputs *in) {
    const exa_ffn_options *o = &in->model->options;

    EXA_CHECK(in->model->image_stddev > 0.0f, EXA_ERR_RANGE, "inference.image_stddev must be positive");
    EXA_CHECK(o->init_activation >= o->move_threshold, EXA_ERR_CONFIG,
              "inference.move_threshold (%g) is above init_activation (%g): no flood could take a first step",
              (double)o->move_threshold, (double)o->init_activation);
    return EXA_OK;
}

static exa_status choose_voxel_size(const exa_job *job, exa_inputs *in) {
    for (int a = 0; a < 3; a++) {
        double size = job->voxel_size_nm.given ? job->voxel_size_nm.value[a] : in->info.voxel_size_nm[a];
        EXA_CHECK(isfinite(size) && size >= 0.0, EXA_ERR_FORMAT,
                  "'%s' gives its voxel size on axis %c as %g nm. Hint: put \"voxel_size_nm\" into the job",
                  job->volume, "zyx"[a], size);
        in->voxel_size_nm[a] = size;
    }
    return EXA_OK;
}

static exa_status check_backend(const exa_job *job) {
    EXA_CHECK(
        job->compute.backend != EXA_JOB_BACKEND_CUDA || exa_device_is_built(), EXA_ERR_UNSUPPORTED,
        "compute.backend is \"cuda\", but this program was built without CUDA. Hint: use \"auto\" or \"cpu\", or "
        "build it where nvcc is");
    return EXA_OK;
}

/* Either of the raw volume's shape, or placed in it by an offset and covering the box. */
static exa_status place_companion(const exa_inputs *in, const char *name, const char *key, exa_companion *c) {
    exa_volume_info info;
    exa_coord offset[3];
    bool placed;

    EXA_TRY(exa_volume_get_info(c->volume, &info));
    EXA_TRY(exa_volume_get_offset(c->volume, offset, &placed));
    EXA_CHECK(info.dtype != EXA_F32, EXA_ERR_UNSUPPORTED, "%s: '%s' holds float32; labels and masks are integers",
              key, name);
    c->box = in->box;
    for (int a = 0; a < 3; a++) c->box.start[a] -= offset[a];
    const exa_box all = {{0, 0, 0}, {info.shape[0], info.shape[1], info.shape[2]}};
    bool same = memcmp(info.shape, in->info.shape, sizeof info.shape) == 0;
    EXA_CHECK(
        (placed || same) && exa_box_inside(&c->box, &all), EXA_ERR_RANGE,
        "%s: '%s' of shape (%lld, %lld, %lld)%s does not cover the box in the raw volume of shape (%lld, %lld, "
        "%lld). Hint: give a volume of the raw volume's shape, or one with the attribute offset_zyx_vx",
        key, name, (long long)info.shape[0], (long long)info.shape[1], (long long)info.shape[2],
        placed ? " at its offset" : "", (long long)in->info.shape[0], (long long)in->info.shape[1],
        (long long)in->info.shape[2]);
    return EXA_OK;
}

static exa_status open_companion(const exa_inputs *in, const char *name, const char *key, exa_companion *c) {
    exa_status st;

    if (!name) return EXA_OK;
    st = exa_volume_open(name, &c->volume);
    if (st != EXA_OK) return exa_error_context(st, "%s", key);
    return place_companion(in, name, key, c);
}

static exa_status read_points(const exa_job *job, exa_inputs *in) {
    enum { MAX_POINTS_BYTES = 1 << 30 };
    char *text = NULL;
    size_t size;
    exa_status st;

    if (job->seeds.policy != EXA_JOB_SEEDS_LIST) return EXA_OK;
    if (job->seeds.file) {
        st = exa_file_read_all(job->seeds.file, MAX_POINTS_BYTES, &text, &size);
        if (st == EXA_OK) st = exa_job_parse_points(text, size, job->seeds.file, &in->points, &in->point_count);
        free(text);
        return st == EXA_OK ? st : exa_error_context(st, "seeds.file");
    }
    EXA_TRY(exa_alloc(job->seeds.point_count, sizeof *in->points, "the listed seeds", &in->points));
    memcpy(in->points, job->seeds.points, job->seeds.point_count * sizeof *in->points);
    in->point_count = job->seeds.point_count;
    return EXA_OK;
}

static exa_status check_points(const exa_inputs *in) {
    for (size_t i = 0; i < in->point_count; i++) {
        const int64_t *p = in->points[i];
        const exa_box voxel = {{p[0], p[1], p[2]}, {1, 1, 1}};
        EXA_CHECK(
            exa_box_inside(&voxel, &in->box), EXA_ERR_RANGE,
            "seed %zu of the list, (%lld, %lld, %lld), is outside the box: start (%lld, %lld, %lld), shape (%lld, "
            "%lld, %lld). Hint: listed seeds are z, y, x voxels of the volume, not of the box",
            i + 1, (long long)p[0], (long long)p[1], (long long)p[2], (long long)in->box.start[0],
            (long long)in->box.start[1], (long long)in->box.start[2], (long long)in->box.shape[0],
            (long long)in->box.shape[1], (long long)in->box.shape[2]);
    }
    return EXA_OK;
}

/* HDF5 has a limit, and the end of a run is no time to learn of it. */
static exa_status check_storage(const exa_job *job, const exa_inputs *in) {
    double bytes = 8;

    for (int a = 0; a < 3; a++) {
        int64_t n = job->segmentation.chunk[a];
        bytes *= (double)(n < in->box.shape[a] ? n : in->box.shape[a]);
    }
    EXA_CHECK(
        bytes < 4294967296.0, EXA_ERR_RANGE,
        "segmentation.chunk gives storage chunks of %.0f bytes, and HDF5 allows less than 4 GiB. Hint: 64 or 128 "
        "voxels on each axis are usual",
        bytes);
    return EXA_OK;
}

static exa_status check_chunks(const exa_job *job) {
    if (!job->chunks.shape.given) return EXA_OK;
    EXA_CHECK(!job->initial_segmentation, EXA_ERR_UNSUPPORTED,
              "initial_segmentation together with chunks.shape is not possible yet. Hint: leave one of them out");
    return EXA_OK;
}

static exa_status open_inputs(const exa_job *job, exa_inputs *in) {
    EXA_TRY(check_backend(job));
    EXA_TRY(check_chunks(job));
    EXA_TRY(exa_ffn_model_read(job->weights, &in->model));
    apply_overrides(job, in->model);
    EXA_TRY(check_thresholds(in));
    EXA_TRY(exa_volume_open(job->volume, &in->volume));
    EXA_TRY(exa_volume_get_info(in->volume, &in->info));
    EXA_TRY(check_raw_type(job, in));
    EXA_TRY(check_box(job, in));
    EXA_TRY(check_storage(job, in));
    EXA_TRY(choose_voxel_size(job, in));
    EXA_TRY(open_companion(in, job->mask.volume, "mask.volume", &in->mask));
    EXA_TRY(open_companion(in, job->initial_segmentation, "initial_segmentation", &in->initial));
    EXA_TRY(read_points(job, in));
    return check_points(in);
}

exa_status exa_inputs_open(const exa_job *job, exa_inputs *in) {
    exa_inputs made = {0};
    exa_status st = open_inputs(job, &made);

    if (st != EXA_OK) {
        exa_inputs_close(&made);
        return st;
    }
    *in = made;
    return EXA_OK;
}

void exa_inputs_close(exa_inputs *in) {
    exa_volume_close(&in->volume);
    exa_volume_close(&in->mask.volume);
    exa_volume_close(&in->initial.volume);
    exa_ffn_model_destroy(&in->model);
    free(in->points);
    in->points = NULL;
}

/* ---- plan ---------------------------------------------------------------------------------------------------- */

exa_status exa_plan_threads(const exa_job *job, int *threads) {
    const char *given = getenv("EXACONN_THREADS");
    char *end;
    long n;

    if (job->compute.threads > 0) {
        *threads = (int)job->compute.threads;
        return EXA_OK;
    }
    *threads = exa_cpu_cores_of(exa_comm_local_size());
    if (!given || !*given) return EXA_OK;
    errno = 0;
    n = strtol(given, &end, 10);
    EXA_CHECK(errno == 0 && *end == 0 && n >= 1 && n <= 1024, EXA_ERR_CONFIG,
              "EXACONN_THREADS is '%s'; it must be a number from 1 to 1024", given);
    *threads = (int)n;
    return EXA_OK;
}

/* Packed weights (Winograd makes 125 points of 27 taps) and, for each thread, two grids of features and one of
 * inputs with halo, and a little scratch. */
static uint64_t predict_network(const exa_ffn_model *m, int threads) {
    uint64_t features = (uint64_t)(m->features + 15) / 16 * 16, grid = 1;

    for (int a = 0; a < 3; a++) grid *= (uint64_t)m->fov[a] + 5;
    return (uint64_t)(2 * m->depth - 1) * 125 * features * features * 4 +
           (uint64_t)threads * (grid * (2 * features + 2) * 4 + (1u << 20));
}

static uint64_t predict_seeding(const exa_job *job, const exa_inputs *in) {
    uint64_t voxels = (uint64_t)in->voxels;

    if (job->seeds.policy == EXA_JOB_SEEDS_PEAKS) return voxels * 9;
    if (job->seeds.policy == EXA_JOB_SEEDS_MAX) return voxels * (in->dtype == EXA_F32 ? 20 : 4);
    return 0;
}

static uint64_t largest(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t m = a > b ? a : b;
    return m > c ? m : c;
}

static void make_plan(const exa_job *job, const exa_inputs *in, int threads, bool on_device, exa_plan *plan) {
    const uint64_t hdf5_buffers = 80u << 20;   /* chunk cache, free lists, compressor: measured */
    const uint64_t export_buffers = 96u << 20; /* chunks of two scales, and the reader's cache of the finer one */
    const exa_ffn_model *m = in->model;
    uint64_t voxels = (uint64_t)in->voxels, mask = job->mask.volume || job->skip_zero_raw ? voxels : 0;
    uint64_t map = job->segmentation.probability_map ? voxels : 0, rows, seeds;
    double cells = 1.0;

    *plan = (exa_plan){.on_device = on_device, .canvases = 1};
    rows =
        (uint64_t)(job->segmentation.chunk[0] < in->box.shape[0] ? job->segmentation.chunk[0] : in->box.shape[0]);
    seeds = job->seeds.policy == EXA_JOB_SEEDS_MAX ? voxels * 4 : voxels / 100;
    plan->raw_bytes = voxels * exa_dtype_size(in->dtype);
    plan->canvas_bytes = voxels * (on_device ? 4 : 8) + map; /* labels; and the object map, if it is here */
    plan->seed_bytes = on_device && job->seeds.policy == EXA_JOB_SEEDS_PEAKS ? 0 : predict_seeding(job, in);
    plan->network_bytes = on_device ? EXA_PLAN_CUDA_BYTES : predict_network(m, threads);
    plan->write_bytes = rows * (uint64_t)(in->box.shape[1] * in->box.shape[2]) * 8 + hdf5_buffers;
    if ((job->precomputed.segmentation || job->precomputed.raw) &&
        plan->write_bytes < hdf5_buffers + export_buffers)
        plan->write_bytes = hdf5_buffers + export_buffers; /* one comes after the other */
    /* The exclusion mask goes once the canvas knows it, the object map before anything is written. */
    plan->peak_bytes =
        largest(plan->raw_bytes + mask + plan->seed_bytes, plan->raw_bytes + mask + plan->canvas_bytes + seeds,
                plan->raw_bytes + voxels * 4 + map + seeds + plan->write_bytes);
    plan->bytes_per_voxel = (double)plan->peak_bytes / (double)voxels;
    plan->peak_bytes += plan->network_bytes + EXA_PLAN_PROGRAM_BYTES;
    plan->available_bytes = job->compute.memory_limit_gib > 0
                                ? (uint64_t)(job->compute.memory_limit_gib * 1073741824.0)
                                : exa_cpu_memory_bytes();
    for (int a = 0; a < 3; a++) {
        cells *= (double)(in->box.shape[a] - m->fov[a] + 1) / (m->deltas[a] > 0 ? (double)m->deltas[a] : 1.0);
    }
    plan->steps = EXA_PLAN_STEPS_PER_CELL * cells;
    plan->flops_per_step = exa_ffn_model_flops(m);
    plan->output_bytes_max = voxels * 8 + map;
}

exa_status exa_plan_grid(const exa_job *job, const exa_inputs *in, exa_chunk_grid *grid) {
    const exa_coord none[3] = {0, 0, 0};
    const bool cut = job->chunks.shape.given;
    int64_t least_segment = in->model->options.min_segment_size, voxels = in->voxels;

    /* First with room for one segment each, to learn how large a chunk can be. */
    EXA_TRY(exa_chunk_grid_make(&in->box, cut ? job->chunks.shape.value : in->box.shape,
                                cut ? job->chunks.halo : none, in->model->fov, 1, grid));
    if (cut) EXA_TRY(exa_chunk_grid_voxels_max(grid, &voxels));
    return exa_chunk_grid_make(&in->box, grid->core, grid->halo, grid->least,
                               (uint64_t)(voxels / (least_segment > 1 ? least_segment : 1)), grid);
}

/* Chunks in flight beside the first, and others that were read ahead or are being written. */
static void plan_crew(const exa_job *job, const exa_inputs *chunk, uint64_t chunks, exa_plan *plan) {
    uint64_t voxels = (uint64_t)chunk->voxels, mask = job->mask.volume || job->skip_zero_raw ? voxels : 0;
    uint64_t one = plan->peak_bytes - plan->network_bytes - EXA_PLAN_PROGRAM_BYTES;
    uint64_t written = voxels * (job->segmentation.probability_map ? 5 : 4), read = plan->raw_bytes + mask;

    plan->peak_bytes +=
        (uint64_t)(plan->canvases - 1) * one + (uint64_t)job->compute.prefetch * (written > read ? written : read);
    if (plan->canvases + job->compute.prefetch > 1) plan->peak_bytes += voxels * 4; /* being compressed */
    plan->peak_bytes += 210 * chunks; /* where each is, on every rank */
}

/* Each rank holds the labels of two chunks and the ids of the largest overlap, twice. */
static void plan_stitching(const exa_inputs *chunk, const exa_chunk_grid *grid, exa_plan *plan) {
    uint64_t most = 0, bytes;

    for (int a = 0; a < 3; a++) {
        uint64_t extent = (uint64_t)chunk->box.shape[a], both = 2 * (uint64_t)grid->halo[a];
        uint64_t overlap = (uint64_t)chunk->voxels / extent * (both < extent ? both : extent);
        if (grid->count[a] > 1 && overlap > most) most = overlap;
    }
    bytes = (uint64_t)chunk->voxels * 8 + most * 16 + plan->network_bytes + EXA_PLAN_PROGRAM_BYTES;
    if (bytes > plan->peak_bytes) plan->peak_bytes = bytes;
}

/* Everything that follows from the number of canvases in flight. */
static exa_status plan_canvases(const exa_job *job, const exa_inputs *chunk, const exa_chunk_grid *grid,
                                int threads, int canvases, const exa_plan_device *device, exa_plan *plan) {
    make_plan(job, chunk, threads, device != NULL, plan);
    plan->canvases = canvases;
    if (device) {
        const exa_canvas_device_options o = exa_plan_device_options(job, chunk, grid, canvases);
        EXA_TRY(exa_canvas_device_plan(chunk->model, &o, &plan->device_slot_bytes, &plan->device_shared_bytes));
        plan->device_available_bytes = device->memory_bytes;
    }
    if (!job->chunks.shape.given) return EXA_OK;
    plan_crew(job, chunk, grid->chunks, plan);
    plan_stitching(chunk, grid, plan);
    return EXA_OK;
}

static uint64_t device_bytes(const exa_plan *p) {
    return p->device_shared_bytes + (uint64_t)p->canvases * p->device_slot_bytes;
}

/* How many canvases fit on the GPU, of at most EXA_PLAN_CANVASES_MOST. */
static exa_status count_fitting(const exa_job *job, const exa_inputs *chunk, const exa_chunk_grid *grid,
                                int threads, const exa_plan_device *device, int *most) {
    exa_plan plan;

    for (*most = EXA_PLAN_CANVASES_MOST; *most > 0; --*most) {
        EXA_TRY(plan_canvases(job, chunk, grid, threads, *most, device, &plan));
        if (device_bytes(&plan) <= device->memory_bytes) break;
    }
    return EXA_OK;
}

static int wanted_canvases(const exa_job *job, const exa_chunk_grid *grid, bool on_device) {
    int64_t n = job->compute.canvases > 0 ? job->compute.canvases : on_device ? EXA_PLAN_CANVASES_AUTO : 1;

    if (!job->chunks.shape.given) return 1;
    return (uint64_t)n > grid->chunks && job->compute.canvases == 0 ? (int)grid->chunks : (int)n;
}

static exa_status check_device_memory(const exa_plan *plan) {
    char one[32], shared[32], have[32];

    return EXA_FAIL(
        EXA_ERR_MEMORY,
        "a chunk of this job needs %s of GPU memory, beside %s for the network and seeds; this rank may use "
        "%s. Hint: smaller chunks, or fewer ranks on a GPU",
        exa_format_bytes((double)plan->device_slot_bytes, one),
        exa_format_bytes((double)plan->device_shared_bytes, shared),
        exa_format_bytes((double)plan->device_available_bytes, have));
}

exa_status exa_plan_chunk(const exa_job *job, const exa_inputs *in, const exa_chunk_grid *grid, int threads,
                          const exa_plan_device *device, exa_plan *plan) {
    const bool known = device && device->memory_bytes > 0;
    exa_inputs chunk = *in;
    int canvases, most = 0;

    exa_chunk_grid_shape_max(grid, chunk.box.shape);
    EXA_TRY(exa_box_voxels(&chunk.box, &chunk.voxels));
    canvases = wanted_canvases(job, grid, device != NULL);
    if (known) {
        EXA_TRY(count_fitting(job, &chunk, grid, threads, device, &most));
        if (most < canvases) canvases = most > 0 ? most : 1;
    }
    EXA_TRY(plan_canvases(job, &chunk, grid, threads, canvases, device, plan));
    /* Where the job leaves it open, the machine's memory decides, too. */
    while (job->compute.canvases == 0 && plan->canvases > 1 && plan->peak_bytes > plan->available_bytes)
        EXA_TRY(plan_canvases(job, &chunk, grid, threads, plan->canvases - 1, device, plan));
    plan->device_canvases_most = most;
    return known && most == 0 ? check_device_memory(plan) : EXA_OK;
}

exa_canvas_device_options exa_plan_device_options(const exa_job *job, const exa_inputs *in,
                                                  const exa_chunk_grid *grid, int canvases) {
    exa_canvas_device_options o = {.canvas = {.ffn = in->model->options,
                                              .probability_map = job->segmentation.probability_map,
                                              .max_seeds = job->limits.max_seeds,
                                              .max_objects = job->limits.max_objects,
                                              .max_steps = job->limits.max_steps,
                                              .on_device = true},
                                   .dtype = in->dtype,
                                   .slots = canvases,
                                   .seeds = job->seeds.policy == EXA_JOB_SEEDS_PEAKS,
                                   .precision = (exa_net_precision)job->compute.precision};

    memcpy(o.canvas.fov, in->model->fov, sizeof o.canvas.fov);
    memcpy(o.canvas.deltas, in->model->deltas, sizeof o.canvas.deltas);
    exa_chunk_grid_shape_max(grid, o.voxels);
    exa_seed_options seeds = {.policy = (exa_seed_policy)job->seeds.policy,
                              .offsets = job->seeds.offsets,
                              .offset_count = (int)job->seeds.offset_count,
                              .point_count = in->point_count};
    memcpy(seeds.step, job->seeds.step, sizeof seeds.step);
    o.seeds_bytes = exa_seed_list_bytes(&seeds, o.voxels, o.canvas.fov);
    return o;
}

exa_status exa_plan_check_memory(const exa_plan *plan) {
    char peak[32], have[32];

    EXA_CHECK(plan->peak_bytes <= plan->available_bytes, EXA_ERR_MEMORY,
              "this job needs about %s of memory (%.1f bytes a voxel) and may use %s. Hint: use a smaller box, or "
              "raise compute.memory_limit_gib if that is what limits it",
              exa_format_bytes((double)plan->peak_bytes, peak), plan->bytes_per_voxel,
              exa_format_bytes((double)plan->available_bytes, have));
    return EXA_OK;
}

/* The fastest of a few steps on a synthetic FOV (the time does not depend on the values). */
static exa_status time_steps(exa_ffn_net *net, const exa_ffn_model *model, double *seconds) {
    enum { WARM_UP = 1, TIMED = 4 };
    size_t voxels = (size_t)(model->fov[0] * model->fov[1] * model->fov[2]);
    float *buffer = NULL, *logits;
    const float *image, *seed;
    double best = INFINITY;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(3 * voxels, sizeof(float), "a field of view", &buffer));
    for (size_t i = 0; i < 3 * voxels; i++) buffer[i] = (float)(i % 17) / 17.0f - 0.5f;
    image = buffer;
    seed = buffer + voxels;
    logits = buffer + 2 * voxels;
    for (int i = 0; i < WARM_UP + TIMED; i++) {
        double began = exa_clock_now(), took;
        EXA_GOTO(done, exa_ffn_net_infer(net, 1, &image, &seed, &logits));
        took = exa_clock_now() - began;
        if (i >= WARM_UP && took < best) best = took;
    }
    *seconds = best;
done:
    free(buffer);
    return st;
}

exa_status exa_plan_measure(const exa_job *job, const exa_inputs *in, exa_plan *plan) {
    exa_pool *pool = NULL;
    exa_ffn_net *net = NULL;
    int threads;
    exa_status st = EXA_OK;

    EXA_TRY(exa_plan_threads(job, &threads));
    EXA_GOTO(done, exa_pool_create(threads, false, &pool));
    EXA_GOTO(done,
             exa_ffn_net_create(in->model, (exa_ffn_kernel)job->compute.kernel, job->compute.isa, pool, &net));
    EXA_GOTO(done, time_steps(net, in->model, &plan->seconds_per_step));
done:
    exa_ffn_net_destroy(&net);
    exa_pool_destroy(&pool);
    return st;
}
