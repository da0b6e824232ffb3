/* Where a run's networks and floods run: on a GPU for each rank, or on the CPUs. All ranks do alike, as their last
 * bits would differ. */
#include "run_internal.h"

#include "exaconn/batcher.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"

#include <string.h>

/* ---- choice -------------------------------------------------------------------------------------------------- */

/* A rank's part of its GPU: what is free, but no more than an equal share, and something left for the driver. */
static exa_status share_of_memory(const exa_placement *p, uint64_t *bytes) {
    const uint64_t reserve = (uint64_t)512 << 20; /* contexts of others that are yet to come */
    uint64_t available, share = p->facts.memory_bytes / 100 * 95 / (uint64_t)p->sharers;

    EXA_TRY(exa_device_free_bytes(p->device, &available));
    available = available / 100 * 95;
    if (p->sharers > 1) share = share > reserve ? share - reserve : 0;
    *bytes = available < share ? available : share;
    if (*bytes == 0) *bytes = 1; /* 0 is: not known */
    return EXA_OK;
}

/* Whether this rank could: it has a GPU, the network runs on one, a chunk fits. */
static exa_status try_device(exa_run_work *w) {
    EXA_CHECK(w->placement.device >= 0, EXA_ERR_DEVICE, "%s", w->placement.reason);
    EXA_TRY(exa_device_net_usable(w->placement.device, (exa_net_precision)w->job->compute.precision));
    EXA_TRY(share_of_memory(&w->placement, &w->device.memory_bytes));
    return exa_plan_chunk(w->job, &w->inputs, &w->grid, w->threads, &w->device, &w->plan);
}

exa_status exa_run_choose_backend(exa_run_work *w) {
    const exa_job_backend wanted = w->job->compute.backend;
    exa_status mine, st;

    w->placement.device = -1;
    if (wanted == EXA_JOB_BACKEND_CPU || w->stitch_from) return EXA_OK;
    EXA_TRY(exa_placement_choose(&w->placement));
    mine = try_device(w);
    st = exa_comm_agree(mine);
    w->on_device = st == EXA_OK;
    if (w->on_device) return EXA_OK;
    if (wanted == EXA_JOB_BACKEND_CUDA)
        return *exa_error_last()->message ? exa_error_context(st, "compute.backend is \"cuda\"") : st;
    w->placement.device = -1;
    snprintf(w->no_gpu, sizeof w->no_gpu, "%.240s",
             mine == EXA_OK ? "other ranks have no GPU to use" : exa_error_last()->message);
    if (strstr(w->no_gpu, ". Hint:")) *strstr(w->no_gpu, ". Hint:") = '\0';
    return EXA_OK;
}

/* ---- start --------------------------------------------------------------------------------------------------- */

static exa_status start_cpu(exa_run_work *w) {
    const exa_job *job = w->job;

    EXA_TRY(exa_ffn_net_create(w->inputs.model, (exa_ffn_kernel)job->compute.kernel, job->compute.isa, w->pool,
                               &w->net));
    if (job->compute.backend == EXA_JOB_BACKEND_AUTO) EXA_INFO("backend: cpu (%s)", w->no_gpu);
    if (job->compute.precision != EXA_JOB_FP32) EXA_WARN("compute.precision is for GPUs; the CPU computes in fp32");
    return EXA_OK;
}

static exa_status start_device(exa_run_work *w) {
    exa_canvas_device_options o = exa_plan_device_options(w->job, &w->inputs, &w->grid, w->plan.canvases);
    const exa_placement *p = &w->placement;
    char slot[32], have[32];
    double largest;

    o.device = p->device;
    EXA_TRY(exa_canvas_device_create(w->inputs.model, &o, &w->floods));
    EXA_TRY(exa_canvas_device_check(w->floods, w->inputs.model, w->pool, &largest));
    EXA_INFO("backend: cuda, GPU %d (%s, %s)%s%s; %d rank%s on it", p->device, p->facts.name, p->facts.pci,
             *p->cores ? ", cores beside it: " : "", p->cores, p->sharers, p->sharers == 1 ? "" : "s");
    EXA_INFO("GPU checked: a network step differs from the CPU's by at most %.2g in a logit", largest);
    EXA_INFO("GPU memory: %d canvas%s of %s in %s", w->plan.canvases, w->plan.canvases == 1 ? "" : "es",
             exa_format_bytes((double)w->plan.device_slot_bytes, slot),
             exa_format_bytes((double)w->device.memory_bytes, have));
    if (w->job->compute.canvases > w->plan.canvases && w->job->chunks.shape.given)
        EXA_WARN("compute.canvases is %lld, but only %d fit on the GPU", (long long)w->job->compute.canvases,
                 w->plan.canvases);
    return EXA_OK;
}

exa_status exa_run_start_backend(exa_run_work *w) {
    const exa_job *job = w->job;
    bool bind;

    if (job->compute.bind != EXA_JOB_OFF && exa_placement_bind(&w->placement)) {
        int threads;
        EXA_TRY(exa_plan_threads(job, &threads)); /* fewer cores are left, unless the number was given */
        if (threads < w->threads) w->threads = threads;
        EXA_INFO("bound to the cores beside the GPU: %s", w->placement.cores);
    }
    bind = job->compute.bind == EXA_JOB_ON ||
           (job->compute.bind == EXA_JOB_AUTO && w->threads > 1 && w->threads == exa_cpu_cores());
    EXA_TRY(exa_pool_create(w->threads, bind, &w->pool));
    EXA_TRY(w->on_device ? start_device(w) : start_cpu(w));
    EXA_INFO("network: depth %d, %d features, FOV %lld x %lld x %lld, %s", w->inputs.model->depth,
             w->inputs.model->features, (long long)w->inputs.model->fov[0], (long long)w->inputs.model->fov[1],
             (long long)w->inputs.model->fov[2], exa_run_backend_description(w));
    return EXA_OK;
}

const char *exa_run_backend_description(const exa_run_work *w) {
    return w->floods ? exa_canvas_device_description(w->floods) : exa_ffn_net_description(w->net);
}

/* The arithmetic decides the last bits: kernel and instruction set, without the number of threads; on a GPU the
 * precision and the architecture. */
void exa_run_describe_arithmetic(const exa_run_work *w, char out[128]) {
    const char *text, *last;

    if (w->floods) {
        snprintf(out, 128, "cuda %s, compute capability %d.%d",
                 exa_net_precision_name((exa_net_precision)w->job->compute.precision), w->placement.facts.major,
                 w->placement.facts.minor);
        return;
    }
    text = exa_ffn_net_description(w->net);
    last = strrchr(text, ',');
    snprintf(out, 128, "%.*s", last ? (int)(last - text) : (int)strlen(text), text);
}

exa_status exa_run_make_batcher(const exa_run_work *w, exa_batcher **batcher) {
    return w->floods ? exa_batcher_create_on_device(w->floods, batcher)
                     : exa_batcher_create(w->net, w->plan.canvases, batcher);
}

/* ---- loss ---------------------------------------------------------------------------------------------------- */

/* A GPU that failed fails for every chunk. With other ranks this one's chunks fail until rank 0 gives it no more
 * (three in a row), and the others do them. Alone, the run ends at once, with what is finished in the journals. */
bool exa_run_lost_device(exa_run_work *w, exa_status st) {
    if (st != EXA_ERR_DEVICE || !w->floods) return false;
    if (!atomic_exchange(&w->device_lost, true))
        EXA_ERROR("rank %d: %s%s", exa_comm_rank(), exa_error_last()->message,
                  exa_comm_size() > 1 ? "; the other ranks do its chunks" : "");
    return exa_comm_size() == 1;
}
