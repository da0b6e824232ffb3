/* exaconn plan JOB */
#include "cli_internal.h"

#include "exaconn/chunk_store.h"
#include "exaconn/job.h"
#include "exaconn/log.h"
#include "exaconn/mask.h"
#include "exaconn/placement.h"
#include "exaconn/plan.h"
#include "exaconn/progress.h"
#include "exaconn/run.h"

#include <cjson/cJSON.h>
#include <stdio.h>

typedef struct plan_facts {
    const exa_job *job;
    exa_inputs inputs;
    exa_plan plan; /* of one chunk; a job without chunks is one */
    exa_chunk_grid grid;
    double chunk_voxels;      /* of the largest */
    double voxels, steps;     /* of all chunks, halos included in the steps */
    double seconds;           /* of one rank with its threads; 0 = not known */
    double price;             /* of a core-hour; 0 = not given */
    uint64_t empty, included; /* chunks that the mask leaves nothing of; voxels of the box that it leaves */
    exa_plan_device device;
    bool on_device, mask_read, measured;
    int threads, ranks;
    bool fits;            /* into memory */
    bool too_many_chunks; /* for one run */
} plan_facts;

static double bytes_per_voxel(const plan_facts *f) {
    return f->job->segmentation.probability_map ? 5.0 : 4.0; /* labels, probability */
}

/* What the journals of all chunks hold uncompressed, halos included. */
static double journal_bytes(const plan_facts *f) {
    return bytes_per_voxel(f) * f->chunk_voxels * (double)(f->grid.chunks - f->empty);
}

static double core_hours(const plan_facts *f) {
    return f->seconds * f->threads / 3600.0;
}

/* Exactly, beyond 64 bits, too. */
static const char *format_voxels(const exa_box *b, char out[64]) {
    unsigned __int128 n = (unsigned __int128)b->shape[0] * (unsigned __int128)b->shape[1];
    char *p = out + 63;

    if (b->shape[2] && n > ~(unsigned __int128)0 / (unsigned __int128)b->shape[2]) return "more than 2^128";
    n *= (unsigned __int128)b->shape[2];
    *p = '\0';
    do {
        *--p = (char)('0' + (int)(n % 10));
        n /= 10;
    } while (n);
    return p;
}

static void print_chunks(const plan_facts *f) {
    const exa_chunk_grid *g = &f->grid;
    char a[32];

    printf("chunks     %lld x %lld x %lld = %llu of %lld x %lld x %lld voxels, halo %lld,%lld,%lld\n",
           (long long)g->count[0], (long long)g->count[1], (long long)g->count[2], (unsigned long long)g->chunks,
           (long long)g->core[0], (long long)g->core[1], (long long)g->core[2], (long long)g->halo[0],
           (long long)g->halo[1], (long long)g->halo[2]);
    printf("supervoxels  up to %llu in a chunk: its number times 2^%d, plus one of these\n",
           (1ull << g->local_bits) - 1, g->local_bits);
    if (f->mask_read)
        printf("mask       leaves %llu voxels of the box and nothing of %llu chunks\n",
               (unsigned long long)f->included, (unsigned long long)f->empty);
    else if (f->job->mask.volume)
        printf("mask       not read; --mask counts the chunks it leaves nothing of\n");
    printf("journals   at most %s before compression\n", exa_format_bytes(journal_bytes(f), a));
    printf("checkpoints  at most %s before compression for each of the %lld kept\n",
           exa_format_bytes(journal_bytes(f), a), (long long)f->job->checkpoint.keep);
    if (f->too_many_chunks)
        printf("           ** more chunks than one run takes so far: %llu; use larger ones, or a part with \"box\" "
               "**\n",
               (unsigned long long)EXA_CHUNK_STORE_MOST);
}

static void print_time(const plan_facts *f) {
    char a[32];

    if (!(f->seconds > 0)) {
        printf("time       not measured; --measure times a few steps on this machine\n");
        return;
    }
    printf("time       about %s with %d threads on %d ranks: %.1f ms a step (%s), %.1f core-hours\n",
           exa_format_duration(f->seconds / f->ranks, a), f->threads, f->ranks, f->plan.seconds_per_step * 1e3,
           f->measured ? "measured here" : "as given", core_hours(f));
    if (f->price > 0) printf("cost       about %.2f at %g a core-hour\n", core_hours(f) * f->price, f->price);
}

static void print_device(const exa_plan *p) {
    char slot[32], shared[32], all[32], have[32];

    printf("GPU memory  %s: %d canvas%s of %s + %s for the network and seeds",
           exa_format_bytes((double)(p->device_shared_bytes + (uint64_t)p->canvases * p->device_slot_bytes), all),
           p->canvases, p->canvases == 1 ? "" : "es", exa_format_bytes((double)p->device_slot_bytes, slot),
           exa_format_bytes((double)p->device_shared_bytes, shared));
    if (p->device_available_bytes)
        printf("; available %s, where %s%d fit%s", exa_format_bytes((double)p->device_available_bytes, have),
               p->device_canvases_most == EXA_PLAN_CANVASES_MOST ? "at least " : "", p->device_canvases_most,
               p->device_canvases_most == 1 ? "s" : "");
    printf("\n");
}

static void print_text(const plan_facts *f) {
    const exa_plan *p = &f->plan;
    const exa_box *b = &f->inputs.box;
    char a[32], c[32], d[32], voxels[64];

    printf("volume     %s, %s\n", f->job->volume, f->inputs.info.type_name);
    printf("box        start %lld,%lld,%lld shape %lld,%lld,%lld (z,y,x): %s voxels\n", (long long)b->start[0],
           (long long)b->start[1], (long long)b->start[2], (long long)b->shape[0], (long long)b->shape[1],
           (long long)b->shape[2], format_voxels(b, voxels));
    if (f->job->chunks.shape.given) print_chunks(f);
    printf("network    depth %d, %d features, %.2f GFLOP a step\n", f->inputs.model->depth,
           f->inputs.model->features, p->flops_per_step * 1e-9);
    printf("memory     %s peak: %.1f bytes a voxel + %s for the network; available %s%s\n",
           exa_format_bytes((double)p->peak_bytes, a), p->bytes_per_voxel,
           exa_format_bytes((double)p->network_bytes, c), exa_format_bytes((double)p->available_bytes, d),
           f->fits ? "" : "  ** does not fit **");
    if (p->on_device) print_device(p);
    printf("output     at most %s before compression\n",
           exa_format_bytes((f->job->segmentation.probability_map ? 9.0 : 8.0) * f->voxels, a));
    printf("steps      about %.0f (estimate: %.3f per %lldx%lldx%lld cell that a FOV centre can reach, as "
           "published for FIB-25)\n",
           f->steps, EXA_PLAN_STEPS_PER_CELL, (long long)f->inputs.model->deltas[0],
           (long long)f->inputs.model->deltas[1], (long long)f->inputs.model->deltas[2]);
    print_time(f);
}

static exa_status print_json(const plan_facts *f) {
    const exa_plan *p = &f->plan;
    cJSON *o = cJSON_CreateObject();

    cJSON_AddNumberToObject(o, "voxels", f->voxels);
    cJSON_AddNumberToObject(o, "chunks", (double)f->grid.chunks);
    cJSON_AddNumberToObject(o, "supervoxel_local_bits", f->grid.local_bits);
    cJSON_AddNumberToObject(o, "peak_bytes", (double)p->peak_bytes);
    cJSON_AddNumberToObject(o, "network_bytes", (double)p->network_bytes);
    cJSON_AddNumberToObject(o, "bytes_per_voxel", p->bytes_per_voxel);
    cJSON_AddNumberToObject(o, "available_bytes", (double)p->available_bytes);
    cJSON_AddBoolToObject(o, "fits", f->fits && !f->too_many_chunks);
    if (f->job->chunks.shape.given) cJSON_AddNumberToObject(o, "chunks_most", (double)EXA_CHUNK_STORE_MOST);
    cJSON_AddNumberToObject(o, "output_bytes_max", (f->job->segmentation.probability_map ? 9.0 : 8.0) * f->voxels);
    cJSON_AddNumberToObject(o, "steps_estimate", f->steps);
    cJSON_AddNumberToObject(o, "flops_per_step", p->flops_per_step);
    cJSON_AddNumberToObject(o, "threads", f->threads);
    cJSON_AddStringToObject(o, "backend", p->on_device ? "cuda" : "cpu");
    cJSON_AddNumberToObject(o, "canvases", p->canvases);
    if (p->on_device) {
        cJSON_AddNumberToObject(o, "gpu_canvas_bytes", (double)p->device_slot_bytes);
        cJSON_AddNumberToObject(o, "gpu_shared_bytes", (double)p->device_shared_bytes);
    }
    if (p->on_device && p->device_available_bytes) {
        cJSON_AddNumberToObject(o, "gpu_available_bytes", (double)p->device_available_bytes);
        cJSON_AddNumberToObject(o, "gpu_canvases_most", p->device_canvases_most);
    }
    if (p->seconds_per_step > 0) {
        cJSON_AddNumberToObject(o, "seconds_per_step", p->seconds_per_step);
        cJSON_AddNumberToObject(o, "seconds_estimate", f->seconds / f->ranks);
        cJSON_AddNumberToObject(o, "core_hours_estimate", core_hours(f));
        if (f->price > 0) cJSON_AddNumberToObject(o, "cost_estimate", core_hours(f) * f->price);
    }
    cJSON_AddNumberToObject(o, "ranks", f->ranks);
    if (f->job->chunks.shape.given) {
        cJSON_AddNumberToObject(o, "journal_bytes_max", journal_bytes(f));
        cJSON_AddNumberToObject(o, "checkpoint_bytes_max", journal_bytes(f) * (double)f->job->checkpoint.keep);
    }
    if (f->mask_read) {
        cJSON_AddNumberToObject(o, "chunks_empty", (double)f->empty);
        cJSON_AddNumberToObject(o, "voxels_included", (double)f->included);
    }
    return exa_cli_print_json(o);
}

/* What the mask leaves; the steps are taken to be in proportion. */
static exa_status read_mask(plan_facts *f) {
    double all = 0, left = 0;

    EXA_CHECK(f->job->mask.volume, EXA_ERR_CONFIG, "--mask: the job has no mask");
    for (exa_chunkid k = 0; k < f->grid.chunks; k++) {
        const exa_box box = exa_chunk_grid_box(&f->grid, k);
        exa_mask_counts counts;
        int64_t voxels;
        EXA_TRY(exa_box_voxels(&box, &voxels));
        EXA_TRY(exa_mask_count(f->job, &f->inputs, &f->grid, k, &counts));
        f->empty += counts.included == 0;
        f->included += (uint64_t)counts.core_included;
        all += (double)voxels;
        left += (double)counts.included;
    }
    f->steps *= left / all;
    f->mask_read = true;
    return EXA_OK;
}

static exa_status read_rates(const exa_cli_arguments *a, plan_facts *f) {
    f->ranks = (int)exa_cli_int(a, "ranks", 1);
    EXA_CHECK(f->ranks > 0 && exa_cli_int(a, "ranks", 1) <= 100000000, EXA_ERR_CONFIG,
              "--ranks: give a number of ranks");
    f->price = exa_cli_real(a, "price", 0);
    EXA_CHECK(f->price >= 0, EXA_ERR_CONFIG, "--price: %g is negative", f->price);
    f->plan.seconds_per_step = exa_cli_real(a, "seconds-per-step", 0);
    EXA_CHECK(f->plan.seconds_per_step >= 0, EXA_ERR_CONFIG, "--seconds-per-step: %g is negative",
              f->plan.seconds_per_step);
    EXA_CHECK(!(exa_cli_has(a, "measure") && exa_cli_has(a, "seconds-per-step")), EXA_ERR_CONFIG,
              "--measure and --seconds-per-step: give one of them");
    EXA_CHECK(!(f->price > 0) || exa_cli_has(a, "measure") || f->plan.seconds_per_step > 0, EXA_ERR_CONFIG,
              "--price needs a rate. Hint: add --measure, or --seconds-per-step as measured elsewhere");
    f->measured = exa_cli_has(a, "measure");
    EXA_CHECK(
        !f->measured || !f->on_device, EXA_ERR_UNSUPPORTED,
        "--measure times the CPU, and this job is planned for a GPU. Hint: bench_ffn times steps on a GPU; give "
        "its figure with --seconds-per-step");
    if (f->measured) EXA_TRY(exa_plan_measure(f->job, &f->inputs, &f->plan));
    f->seconds = f->steps * f->plan.seconds_per_step;
    return EXA_OK;
}

/* The GPU to plan for: as given, else the one that is here; where a job demands one and none is here it is planned
 * without knowing its memory. */
static exa_status choose_device(const exa_cli_arguments *a, plan_facts *f) {
    const exa_job_backend backend = f->job->compute.backend;
    const double given = exa_cli_real(a, "gpu-memory", 0);
    exa_placement p;

    EXA_CHECK(given >= 0 && given < 1048576, EXA_ERR_CONFIG, "--gpu-memory: give a rank's part of a GPU, in GiB");
    EXA_CHECK(!(given > 0) || backend != EXA_JOB_BACKEND_CPU, EXA_ERR_CONFIG,
              "--gpu-memory: the job's compute.backend is \"cpu\"");
    if (given > 0) {
        f->device.memory_bytes = (uint64_t)(given * 1073741824.0);
        f->on_device = true;
        return EXA_OK;
    }
    if (backend == EXA_JOB_BACKEND_CPU) return EXA_OK;
    EXA_TRY(exa_placement_choose(&p));
    if (p.device >= 0) EXA_TRY(exa_device_free_bytes(p.device, &f->device.memory_bytes));
    f->on_device = p.device >= 0 || backend == EXA_JOB_BACKEND_CUDA;
    return EXA_OK;
}

/* With auto, what a GPU does not take goes to the CPU, as in a run. */
static exa_status plan_chunk(plan_facts *f) {
    exa_status st = EXA_OK;

    if (f->on_device) st = exa_plan_chunk(f->job, &f->inputs, &f->grid, f->threads, &f->device, &f->plan);
    if (f->on_device && (st == EXA_OK || f->job->compute.backend == EXA_JOB_BACKEND_CUDA)) return st;
    if (f->on_device) EXA_WARN("planned for the CPU: %s", exa_error_last()->message);
    f->on_device = false;
    return exa_plan_chunk(f->job, &f->inputs, &f->grid, f->threads, NULL, &f->plan);
}

static exa_status plan_job(const exa_cli_arguments *arguments, const exa_job *job) {
    plan_facts f = {.job = job};
    exa_status st = EXA_OK;

    EXA_TRY(exa_plan_threads(job, &f.threads));
    EXA_TRY(exa_inputs_open(job, &f.inputs));
    EXA_GOTO(done, exa_run_check_circuits(job, &f.inputs));
    EXA_GOTO(done, exa_plan_grid(job, &f.inputs, &f.grid));
    EXA_GOTO(done, choose_device(arguments, &f));
    EXA_GOTO(done, plan_chunk(&f));
    f.chunk_voxels = (double)f.plan.raw_bytes / (double)exa_dtype_size(f.inputs.dtype);
    f.voxels = 1.0;
    for (int a = 0; a < 3; a++) f.voxels *= (double)f.inputs.box.shape[a];
    f.steps = f.plan.steps * (double)f.grid.chunks;
    f.fits = f.plan.peak_bytes <= f.plan.available_bytes;
    f.too_many_chunks = job->chunks.shape.given && f.grid.chunks > EXA_CHUNK_STORE_MOST;
    if (exa_cli_has(arguments, "mask")) EXA_GOTO(done, read_mask(&f));
    EXA_GOTO(done, read_rates(arguments, &f));
    if (exa_cli_has(arguments, "json")) {
        st = print_json(&f);
    } else {
        print_text(&f);
    }
done:
    exa_inputs_close(&f.inputs);
    return st;
}

static exa_status run(const exa_cli_arguments *arguments) {
    exa_job job = {0};
    exa_status st;

    EXA_TRY(exa_job_read(exa_cli_positional(arguments, 0), &job));
    st = plan_job(arguments, &job);
    exa_job_destroy(&job);
    return st;
}

const exa_cli_command exa_cmd_plan = {
    .name = "plan",
    .positional = "JOB",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "say what a job needs: memory, steps, time, output",
    .description =
        "Opens the job's inputs and checks them as `run` would, then prints predicted memory, output size "
        "and an estimate of the FFN steps. No voxel is read (but of the mask with --mask) and nothing is written. "
        "With --measure a few "
        "steps of the job's network are timed on this machine and time and cost follow from them; "
        "--seconds-per-step is for a time measured on another one. A job that can run on a GPU is planned for the "
        "one "
        "here, or for one with --gpu-memory: how many canvases fit on it.",
    .example = "exaconn plan job.json\n"
               "exaconn plan --measure --json job.json\n"
               "exaconn plan --mask --seconds-per-step 0.05 --ranks 512 --price 0.04 job.json",
    .options =
        (const exa_cli_option[]){{"measure", 'm', EXA_CLI_FLAG, NULL, "time a few network steps here"},
                                 {"seconds-per-step", 0, EXA_CLI_REAL, "S", "of one rank, as measured elsewhere"},
                                 {"ranks", 'n', EXA_CLI_INT, "N", "that share the chunks"},
                                 {"price", 0, EXA_CLI_REAL, "P", "of a core-hour"},
                                 {"gpu-memory", 0, EXA_CLI_REAL, "GIB",
                                  "of the GPU that a rank will have, for a machine other than this"},
                                 {"mask", 0, EXA_CLI_FLAG, NULL, "read the job's mask and count what it leaves"},
                                 {"json", 0, EXA_CLI_FLAG, NULL, "print JSON"},
                                 {0}},
    .run = run,
};
