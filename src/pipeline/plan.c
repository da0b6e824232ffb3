/* Inputs checked against each other, and what working on them will take. */
#include "exaconn/plan.h"
#include "exaconn/clock.h"
#include "exaconn/cpu.h"
#include "exaconn/ffn_net.h"
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
    return exa_box_voxels(&in->box, &in->voxels);
}

static exa_status check_raw_type(const exa_job *job, exa_inputs *in) {
    in->dtype = in->info.dtype;
    EXA_CHECK(in->dtype == EXA_U8 || in->dtype == EXA_U16 || in->dtype == EXA_F32, EXA_ERR_UNSUPPORTED,
              "'%s' holds %s; a raw image is uint8, uint16 or float32. Hint: did you name a label volume?",
              job->volume, exa_dtype_name(in->dtype));
    return EXA_OK;
}

exa_status exa_inputs_open(const exa_job *job, exa_inputs *in) {
    exa_inputs made = {0};
    exa_status st;

    st = exa_ffn_model_read(job->weights, &made.model);
    if (st == EXA_OK) apply_overrides(job, made.model);
    if (st == EXA_OK && made.model->image_stddev <= 0.0f) {
        st = EXA_FAIL(EXA_ERR_RANGE, "inference.image_stddev must be positive");
    }
    if (st == EXA_OK) st = exa_volume_open(job->volume, &made.volume);
    if (st == EXA_OK) st = exa_volume_get_info(made.volume, &made.info);
    if (st == EXA_OK) st = check_raw_type(job, &made);
    if (st == EXA_OK) st = check_box(job, &made);
    if (st != EXA_OK) {
        exa_inputs_close(&made);
        return st;
    }
    for (int a = 0; a < 3; a++) {
        made.voxel_size_nm[a] = job->voxel_size_nm.given ? job->voxel_size_nm.value[a] : made.info.voxel_size_nm[a];
    }
    *in = made;
    return EXA_OK;
}

void exa_inputs_close(exa_inputs *in) {
    exa_volume_close(&in->volume);
    exa_ffn_model_destroy(&in->model);
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
    *threads = exa_cpu_cores();
    if (!given || !*given) return EXA_OK;
    errno = 0;
    n = strtol(given, &end, 10);
    EXA_CHECK(errno == 0 && *end == 0 && n >= 1 && n <= 1024, EXA_ERR_CONFIG,
              "EXACONN_THREADS is '%s'; it must be a number from 1 to 1024", given);
    *threads = (int)n;
    return EXA_OK;
}

/* Packed weights (Winograd expands 27 taps to 125 points) and a handful of activation volumes with halo a thread.
 */
static uint64_t predict_network(const exa_ffn_model *m, int threads) {
    uint64_t features = (uint64_t)(m->features + 15) / 16 * 16, halo = 1;

    for (int a = 0; a < 3; a++) halo *= (uint64_t)m->fov[a] + 5;
    return (uint64_t)(2 * m->depth - 1) * (125 + 27) * features * features * 4 + 4 * halo * features * 4 +
           (uint64_t)threads * (64u << 20);
}

void exa_plan_make(const exa_job *job, const exa_inputs *in, exa_plan *plan) {
    const exa_ffn_model *m = in->model;
    uint64_t voxels = (uint64_t)in->voxels, while_seeding, while_flooding, mask;
    double cells = 1.0;
    int threads = 1;

    *plan = (exa_plan){0};
    exa_plan_threads(job, &threads);
    mask = job->mask.volume || job->skip_zero_raw ? voxels : 0;
    plan->raw_bytes = voxels * exa_dtype_size(in->dtype);
    plan->canvas_bytes = voxels * (8 + (job->segmentation.probability_map ? 1 : 0));
    plan->seed_bytes = job->seeds.policy == EXA_JOB_SEEDS_PEAKS ? voxels * 9
                       : job->seeds.policy == EXA_JOB_SEEDS_MAX ? voxels * (in->dtype == EXA_F32 ? 20 : 4)
                                                                : 0;
    plan->network_bytes = predict_network(m, threads);
    while_seeding = plan->raw_bytes + plan->seed_bytes + mask;
    while_flooding = plan->raw_bytes + plan->canvas_bytes + mask +
                     (job->seeds.policy == EXA_JOB_SEEDS_MAX ? voxels * 4 : voxels / 100) +
                     (job->initial_segmentation ? voxels * 4 : 0);
    plan->peak_bytes = while_seeding > while_flooding ? while_seeding : while_flooding;
    plan->bytes_per_voxel = (double)plan->peak_bytes / (double)voxels;
    plan->peak_bytes += plan->network_bytes;
    plan->available_bytes = job->compute.memory_limit_gib > 0
                                ? (uint64_t)(job->compute.memory_limit_gib * 1073741824.0)
                                : exa_cpu_memory_bytes();
    for (int a = 0; a < 3; a++) {
        cells *= (double)(in->box.shape[a] - m->fov[a] + 1) / (m->deltas[a] > 0 ? (double)m->deltas[a] : 1.0);
    }
    plan->steps = EXA_PLAN_STEPS_PER_CELL * cells;
    plan->flops_per_step = exa_ffn_model_flops(m);
    plan->output_bytes_max = voxels * (8 + (job->segmentation.probability_map ? 1 : 0));
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
