/* Patches through a compiled SegCLR network. */
#include "segclr_net_internal.h"

#include <stdio.h>
#include <string.h>

typedef struct job {
    exa_segclr_net *net;
    size_t first, count; /* patches of this round */
    size_t members;      /* that share a patch's rows: all, or 1 when each has patches of its own */
    const float *const *patch;
    float *const *embedding;
    exa_segclr_trace *trace; /* NULL, or of the one patch */
    bool record;             /* the patch is empty: keep what the layers give */
} job;

/* One patch at work. */
typedef struct flight {
    const job *job;
    float *lane, *scratch;
    size_t *claimed;
    size_t part; /* which of the members this is */
    exa_pool *together;
    exa_segclr_skip skip;
} flight;

static void share(const flight *f, size_t count, size_t *begin, size_t *end) {
    *begin = count * f->part / f->job->members;
    *end = count * (f->part + 1) / f->job->members;
}

/* ---- stem and pool ------------------------------------------------------------------------------ */

static void load_patch(const flight *f, const float *patch) {
    const exa_segclr_net *net = f->job->net;
    size_t height = (size_t)net->patch[1], width = (size_t)net->patch[2], line = width + 6, begin, end;

    share(f, (size_t)net->patch[0] * height, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        size_t at = ((row / height + 3) * (height + 6) + row % height + 3) * line + 3;
        memcpy(f->lane + at, patch + row * width, width * sizeof *patch);
        exa_segclr_skip_input(&f->skip, row, patch + row * width);
    }
}

static float *ring_plane(const flight *f, int plane) {
    return f->lane + f->job->net->ring_at + (size_t)(plane % 3) * f->job->net->plane_floats;
}

/* One row of the stem's output. */
static void stem_row(const flight *f, const exa_conv3d_args *args, int z, size_t y) {
    const exa_segclr_net *net = f->job->net;
    size_t floats = (size_t)net->stem.shape[2] * (size_t)net->stem.out_stride;

    if (exa_segclr_skip_has_stem(&f->skip, z, (int)y)) {
        exa_conv3d_run(&net->stem, args, y, y + 1, f->scratch);
    } else if (exa_segclr_skip_needs_stem(&f->skip, z, (int)y)) {
        memcpy(args->out + y * floats, net->empty_stem, floats * sizeof *args->out);
    }
}

/* Planes 2 p and 2 p + 1 of the stem, the second if there is one; 2 p - 1 is still there. */
static void stem_planes(const flight *f, int p, bool relu) {
    const exa_segclr_net *net = f->job->net;
    size_t plane = (size_t)net->stem.in_grid[1] * (size_t)net->stem.in_grid[2], begin, end;

    share(f, net->stem.rows, &begin, &end);
    for (int i = 2 * p; i <= 2 * p + 1 && i < net->stem_planes; i++) {
        exa_conv3d_args args = {.in = f->lane + (size_t)(2 * i) * plane, .packed = net->packed, .relu_out = relu};
        args.out = ring_plane(f, i);
        if (!f->skip.maps) {
            exa_conv3d_run(&net->stem, &args, begin, end, f->scratch);
            continue;
        }
        for (size_t y = begin; y < end; y++) stem_row(f, &args, i, y);
    }
}

/* The largest of up to 3 x 3 x 3 stem voxels, those that exist. */
static void pool_row(const flight *f, int p, int y) {
    const exa_segclr_net *net = f->job->net;
    const exa_segclr_grid *g = &net->grid[net->pooled];
    int height = net->stem.shape[1], width = net->stem.shape[2];
    size_t stride = (size_t)net->stem.out_stride;

    for (int x = 0; x < g->shape[2]; x++) {
        const float *in[27];
        int window = 0;
        for (int k = 0; k < 27; k++) {
            int sz = 2 * p + k / 9 - 1, sy = 2 * y + k / 3 % 3 - 1, sx = 2 * x + k % 3 - 1;
            if (sz < 0 || sy < 0 || sx < 0 || sz >= net->stem_planes || sy >= height || sx >= width) continue;
            in[window++] = ring_plane(f, sz) + ((size_t)sy * (size_t)width + (size_t)sx) * stride;
        }
        exa_conv3d_max(net->isa, in, window, stride,
                       f->lane + g->at + exa_conv3d_grid_index(&g->plan, p, y, x) * stride);
    }
}

static void pool_rows(const flight *f, int p) {
    const exa_segclr_net *net = f->job->net;
    const exa_segclr_grid *g = &net->grid[net->pooled];
    size_t row_floats = (size_t)g->shape[2] * (size_t)net->stem.out_stride, begin, end;

    share(f, (size_t)g->shape[1], &begin, &end);
    for (int y = (int)begin; y < (int)end; y++) {
        if (exa_segclr_skip_has_pooled(&f->skip, p, y)) {
            pool_row(f, p, y);
        } else {
            size_t at = exa_conv3d_grid_index(&g->plan, p, y, 0) * (size_t)net->stem.out_stride;
            memcpy(f->lane + g->at + at, net->empty_pooled + at, row_floats * sizeof *f->lane);
        }
    }
}

static void run_stem(const flight *f, bool relu) {
    const exa_segclr_net *net = f->job->net;
    for (int p = 0; p < net->grid[net->pooled].shape[0]; p++) {
        stem_planes(f, p, relu);
        exa_pool_barrier(f->together);
        pool_rows(f, p);
        exa_pool_barrier(f->together);
    }
}

/* ---- the rest ----------------------------------------------------------------------------------- */

/* Stretches of units that are to be run, and copies for the others. */
static void run_units(const flight *f, const exa_segclr_step *s, const exa_conv3d_args *args, const uint8_t *units,
                      size_t begin, size_t end) {
    if (!f->skip.maps || !s->empty) {
        exa_conv3d_run(&s->plan, args, begin, end, f->scratch);
        return;
    }
    for (size_t i = begin, next; i < end; i = next) {
        for (next = i; next < end && units[next]; next++) {
        }
        if (next > i) exa_conv3d_run(&s->plan, args, i, next, f->scratch);
        for (; next < end && !units[next]; next++) exa_segclr_skip_copy(&f->skip, s, next, f->lane);
    }
}

static void run_step(const flight *f, int i) {
    const exa_segclr_net *net = f->job->net;
    const exa_segclr_step *s = &net->step[i];
    exa_conv3d_args args = {.in = f->lane + net->grid[s->in].at,
                            .out = f->lane + net->grid[s->out].at,
                            .packed = s->packed,
                            .affine = s->affine ? s->packed + s->plan.packed_floats : NULL,
                            .add_out = s->add_out,
                            .relu_out = s->relu_out};
    uint8_t units[EXA_SEGCLR_MAX_UNITS];
    size_t begin = 0, end = s->plan.rows;

    exa_segclr_skip_step(&f->skip, s, units);
    if (f->job->members == 1) {
        run_units(f, s, &args, units, begin, end);
    } else {
        while (exa_pool_claim(&f->claimed[i], s->plan.rows, f->job->members, &begin, &end))
            run_units(f, s, &args, units, begin, end);
    }
}

/* Channel sums over all voxels of a grid, in one order. */
static void sum_channels(const flight *f, int grid, double *sum, double *square) {
    const exa_segclr_grid *g = &f->job->net->grid[grid];

    memset(sum, 0, (size_t)g->channels * sizeof *sum);
    *square = 0;
    for (int z = 0; z < g->shape[0]; z++) {
        for (int y = 0; y < g->shape[1]; y++) {
            for (int x = 0; x < g->shape[2]; x++) {
                const float *v =
                    f->lane + g->at + exa_conv3d_grid_index(&g->plan, z, y, x) * (size_t)g->plan.out_stride;
                for (int c = 0; c < g->channels; c++) sum[c] += (double)v[c];
                for (int c = 0; f->job->trace && c < g->channels; c++) *square += (double)v[c] * (double)v[c];
            }
        }
    }
}

static double voxels_of(const exa_segclr_grid *g) {
    return (double)g->shape[0] * (double)g->shape[1] * (double)g->shape[2];
}

enum { MAX_FEATURES = 256 * 8 * 4 };

static void note(exa_segclr_trace *t, const char *name, const double *values, int n, double scale, double square) {
    double sum = 0;
    for (int i = 0; i < n; i++) sum += values[i];
    snprintf(t->name, sizeof t->name, "%s", name);
    t->mean = sum * scale;
    t->square = square;
}

static void trace_grid(const flight *f, int grid, int stage) {
    const exa_segclr_grid *g = &f->job->net->grid[grid];
    double sum[MAX_FEATURES], square, scale = 1 / (voxels_of(g) * g->channels);
    char name[24];

    if (!f->job->trace || f->part != 0) return;
    snprintf(name, sizeof name, stage == 1 ? "stem" : "stage_%d", stage);
    sum_channels(f, grid, sum, &square);
    note(&f->job->trace[stage - 1], name, sum, g->channels, scale, square * scale);
}

/* h [cin] becomes [cout]. */
static void run_dense(const exa_segclr_dense *d, const double *in, double *out) {
    memcpy(out, d->bias, (size_t)d->cout * sizeof *out);
    for (int i = 0; i < d->cin; i++) {
        const double *w = d->weights + (size_t)i * (size_t)d->cout;
        for (int c = 0; c < d->cout; c++) out[c] += in[i] * w[c];
    }
    for (int c = 0; d->relu && c < d->cout; c++) out[c] = out[c] > 0 ? out[c] : 0;
}

static void run_head(const flight *f, float *embedding) {
    const exa_segclr_net *net = f->job->net;
    double a[MAX_FEATURES], b[MAX_FEATURES], *in = a, *out = b, square;
    double scale = 1 / voxels_of(&net->grid[net->features_grid]);

    sum_channels(f, net->features_grid, in, &square);
    square = 0;
    for (int c = 0; c < net->features; c++) {
        in[c] *= scale;
        square += in[c] * in[c];
    }
    if (f->job->trace)
        note(&f->job->trace[EXA_SEGCLR_TRACES - 1], "mean", in, net->features, 1.0 / net->features,
             square / net->features);
    for (int i = 0; i < net->head_count; i++) {
        double *swap = in;
        run_dense(&net->head[i], in, out);
        in = out;
        out = swap;
    }
    for (int c = 0; c < net->embedding; c++) embedding[c] = (float)in[c];
}

/* One member's part of what it costs to keep a grid of an empty patch. */
static void record_grid(const flight *f, int grid, float *to) {
    const exa_segclr_grid *g = &f->job->net->grid[grid];
    size_t floats = exa_conv3d_grid_voxels(&g->plan) * (size_t)g->plan.out_stride;
    if (f->job->record && f->part == 0 && to) memcpy(to, f->lane + g->at, floats * sizeof *to);
}

static void embed_patch(const flight *f, size_t i) {
    exa_segclr_net *net = f->job->net;
    int stage = 1;

    load_patch(f, f->job->patch[i]);
    exa_pool_barrier(f->together);
    exa_segclr_skip_pooled(&f->skip);
    run_stem(f, net->stem_relu);
    trace_grid(f, net->pooled, stage);
    record_grid(f, net->pooled, net->empty_pooled);
    for (int s = 0; s < net->step_count; s++) {
        run_step(f, s);
        exa_pool_barrier(f->together);
        record_grid(f, net->step[s].out, net->step[s].empty);
        if (net->step[s].ends_stage) trace_grid(f, net->step[s].out, ++stage);
    }
    if (f->part == 0) run_head(f, f->job->embedding[i]);
}

static flight begin_flight(const job *j, size_t member, size_t lane) {
    exa_segclr_net *net = j->net;
    return (flight){.job = j,
                    .lane = net->grids + lane * net->lane_floats,
                    .scratch = net->scratch + member * net->scratch_floats,
                    .claimed = net->claimed,
                    .skip = exa_segclr_skip_of(net, member, lane)};
}

static void own_patch(void *context, size_t i, int member) {
    const job *j = context;
    flight f = begin_flight(j, (size_t)member, (size_t)member);
    embed_patch(&f, j->first + i);
}

static void shared_patches(void *context, int member) {
    const job *j = context;
    flight f = begin_flight(j, (size_t)member, 0);

    f.part = (size_t)member;
    f.together = j->members > 1 ? j->net->pool : NULL;
    for (size_t i = 0; i < j->count; i++) {
        if (i > 0) exa_pool_barrier(f.together);
        f.claimed = j->net->claimed + i * (size_t)j->net->step_count;
        embed_patch(&f, j->first + i);
    }
}

static exa_status run(exa_segclr_net *net, size_t n, const float *const *patch, float *const *embedding,
                      exa_segclr_trace *trace) {
    size_t threads = (size_t)net->threads, whole = trace ? 0 : n / threads * threads;
    job own = {net, 0, whole, 1, patch, embedding, NULL, false};
    job rest = {net, whole, n - whole, threads, patch, embedding, trace, false};

    memset(net->claimed, 0, threads * (size_t)net->step_count * sizeof *net->claimed);
    if (own.count > 0) exa_pool_for(net->pool, own.count, own_patch, &own);
    if (rest.count > 0) exa_pool_run(net->pool, shared_patches, &rest);
    return EXA_OK;
}

exa_status exa_segclr_net_embed(exa_segclr_net *net, size_t n, const float *const *patch, float *const *embedding) {
    enum { FEW = 8 };

    if (!net->skipping && !net->skip_never && (net->served += n) > FEW) EXA_TRY(exa_segclr_net_skip(net, true));
    return run(net, n, patch, embedding, NULL);
}

exa_status exa_segclr_net_trace(exa_segclr_net *net, const float *patch, exa_segclr_trace trace[EXA_SEGCLR_TRACES],
                                float *embedding) {
    return run(net, 1, &patch, &embedding, trace);
}

exa_status exa_segclr_net_record_empty(exa_segclr_net *net, const float *patch, float *embedding) {
    job j = {net, 0, 1, (size_t)net->threads, &patch, &embedding, NULL, true};

    memset(net->claimed, 0, (size_t)net->step_count * sizeof *net->claimed);
    exa_pool_run(net->pool, shared_patches, &j);
    /* Every row of the stem is the same: the last plane is still in the ring. */
    memcpy(net->empty_stem, net->grids + net->ring_at + (size_t)((net->stem_planes - 1) % 3) * net->plane_floats,
           (size_t)net->stem.shape[2] * (size_t)net->stem.out_stride * sizeof *embedding);
    return EXA_OK;
}
