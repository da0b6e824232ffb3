/* The FFN's network on the CPU: pre-activation residual modules of 3x3x3 convolutions over zero-padded grids.
 *
 *   input [image, seed] -> conv0_a, relu -> t          t -> conv0_b -> x
 *   i = 1 ... depth-1:  relu(x) -> conv_i_a, relu -> t,  t -> conv_i_b, added to x
 *   logits = seed + head(relu(x))
 *
 * Each FOV in flight has grids of its own ("lane"). Two ways to use the threads, both giving the same bits:
 * many FOVs: one lane per thread, no barrier; few: all threads share each layer's rows, one barrier per layer.
 * Shared rows are claimed in shrinking pieces as threads come for them (exa_pool_claim).
 */
#include "exaconn/ffn_net.h"

#include "ffn_model_internal.h"

#include "exaconn/conv3d.h"

#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN_FLOATS 16

typedef struct lane {
    float *input;  /* [grid][2]: image, seed */
    float *x;      /* residual stream */
    float *x_relu; /* max(x, 0), kept only for kernels that cannot do it while reading; else NULL */
    float *t;      /* between the two layers of a module */
} lane;

struct exa_ffn_net {
    exa_conv3d_plan first, inner; /* conv0_a, all other 3x3x3 layers */
    exa_ffn_kernel kernel;
    exa_pool *pool; /* borrowed */
    int threads;
    int layers;          /* 3x3x3 ones */
    float *packed;       /* all layers, then the head's weights; one block for the sake of huge pages */
    const float **layer; /* [layers] into packed */
    float *head;         /* into packed */
    float head_bias;
    lane *lanes;           /* [threads] */
    float *grids;          /* of all lanes; one block */
    size_t *claimed;       /* [threads][layers]: rows handed out, when all threads share a FOV */
    float *scratch;        /* [threads][scratch_floats] */
    size_t scratch_floats; /* per thread, rounded up to pages so that threads share none */
    size_t packed_bytes, grids_bytes, scratch_bytes;
    char description[96];
};

const char *exa_ffn_kernel_name(exa_ffn_kernel kernel) {
    static const char *const names[] = {"auto", "reference", "direct", "winograd"};
    return (unsigned)kernel < sizeof names / sizeof *names ? names[kernel] : "unknown";
}

const char *exa_ffn_net_description(const exa_ffn_net *net) {
    return net->description;
}

size_t exa_ffn_net_memory_bytes(const exa_ffn_net *net) {
    return net->packed_bytes + net->grids_bytes + net->scratch_bytes;
}

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

/* ---- creation ----------------------------------------------------------------------------------- */

static exa_status check_model(const exa_ffn_model *model) {
    EXA_CHECK(model->depth >= 1 && model->depth <= EXA_FFN_MAX_DEPTH && model->layer_count == 2 * model->depth + 1,
              EXA_ERR_RANGE, "a network of depth %d with %d layers", model->depth, model->layer_count);
    EXA_CHECK(model->features >= 8 && model->features <= EXA_FFN_MAX_FEATURES && model->features % 8 == 0,
              EXA_ERR_RANGE, "a network of %d features; multiples of 8 up to %d are possible", model->features,
              EXA_FFN_MAX_FEATURES);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(model->fov[a] >= 1 && model->fov[a] <= EXA_FFN_MAX_FOV && model->fov[a] % 2 == 1, EXA_ERR_RANGE,
                  "a field of view of %lld voxels on axis %c; it must be odd and at most %d",
                  (long long)model->fov[a], "zyx"[a], EXA_FFN_MAX_FOV);
    }
    return exa_ffn_layers_check(model);
}

/* The rule of EXA_FFN_KERNEL_AUTO, from bench_conv3d on Emerald Rapids (docs/benchmarks.md, "Which kernel"):
 * Winograd was faster at every width from 8 to 256 features and on all three vector widths, by 1.7 to 6 times,
 * unless more than half of what its 3x3x3 tiles cover is padding (7^3 in 9^3: AVX-512 direct is faster by 12 %; 1
 * voxel of depth: equal). Its weights are 125/27 of direct's: with very wide networks memory decides. */
static exa_ffn_kernel choose_kernel(const exa_ffn_model *model) {
    double covered = 1, voxels = 1, features = model->features;
    for (int a = 0; a < 3; a++) {
        covered *= (double)((model->fov[a] + 2) / 3 * 3);
        voxels *= (double)model->fov[a];
    }
    double weight_bytes = 125.0 * 4 * features * features * 2 * model->depth;
    bool fits = weight_bytes < (double)exa_cpu_memory_bytes() / 8;
    return covered <= 2 * voxels && fits ? EXA_FFN_KERNEL_WINOGRAD : EXA_FFN_KERNEL_DIRECT;
}

static exa_status make_plans(exa_ffn_net *net, const exa_ffn_model *model, exa_isa isa) {
    static const exa_conv3d_kind kinds[] = {EXA_CONV3D_DIRECT, EXA_CONV3D_REFERENCE, EXA_CONV3D_DIRECT,
                                            EXA_CONV3D_WINOGRAD};
    exa_conv3d_kind inner = kinds[net->kernel];
    exa_conv3d_kind first = inner == EXA_CONV3D_REFERENCE ? EXA_CONV3D_REFERENCE : EXA_CONV3D_DIRECT;
    int shape[3] = {(int)model->fov[0], (int)model->fov[1], (int)model->fov[2]};

    EXA_TRY(exa_conv3d_plan_init(first, isa, shape, 2, model->features, 2, &net->first));
    EXA_TRY(exa_conv3d_plan_init(inner, isa, shape, model->features, model->features, 0, &net->inner));
    net->scratch_floats = round_up(net->inner.scratch_floats, 1024);
    return EXA_OK;
}

static exa_status pack_weights(exa_ffn_net *net, const exa_ffn_model *model) {
    const exa_ffn_layer *head = &model->layers[model->layer_count - 1];
    size_t inner = round_up(net->inner.packed_floats, ALIGN_FLOATS);
    size_t first = round_up(net->first.packed_floats, ALIGN_FLOATS);
    size_t floats = first + inner * (size_t)(net->layers - 1) + (size_t)net->inner.out_stride;

    EXA_TRY(exa_huge_calloc(floats, "the network's weights", &net->packed, &net->packed_bytes));
    EXA_TRY(exa_calloc((size_t)net->layers, sizeof *net->layer, "the network", &net->layer));
    float *at = net->packed;
    for (int i = 0; i < net->layers; i++) {
        const exa_ffn_layer *layer = &model->layers[i];
        exa_conv3d_pack(i == 0 ? &net->first : &net->inner, layer->weights, layer->biases, at);
        net->layer[i] = at;
        at += i == 0 ? first : inner;
    }
    memcpy(at, head->weights, (size_t)model->features * sizeof *at);
    net->head = at;
    net->head_bias = head->biases[0];
    return EXA_OK;
}

static exa_status make_lanes(exa_ffn_net *net) {
    size_t voxels = exa_conv3d_grid_voxels(&net->inner);
    size_t input = round_up(voxels * 2, 1024), grid = round_up(voxels * (size_t)net->inner.out_stride, 1024);
    bool keep_relu = net->kernel == EXA_FFN_KERNEL_DIRECT;
    size_t lane_floats = input + (keep_relu ? 3 : 2) * grid, count = (size_t)net->threads;

    EXA_TRY(exa_calloc(count, sizeof *net->lanes, "the network", &net->lanes));
    EXA_TRY(exa_calloc(count * (size_t)net->layers, sizeof *net->claimed, "the network", &net->claimed));
    EXA_TRY(exa_huge_calloc(count * lane_floats, "the network's activations", &net->grids, &net->grids_bytes));
    EXA_TRY(
        exa_huge_calloc(count * net->scratch_floats, "the network's scratch", &net->scratch, &net->scratch_bytes));
    for (size_t i = 0; i < count; i++) {
        float *at = net->grids + i * lane_floats;
        net->lanes[i] = (lane){.input = at, .x = at + input, .t = at + input + grid};
        if (keep_relu) net->lanes[i].x_relu = at + input + 2 * grid;
    }
    return EXA_OK;
}

exa_status exa_ffn_net_create(const exa_ffn_model *model, exa_ffn_kernel kernel, exa_isa isa, exa_pool *pool,
                              exa_ffn_net **out) {
    exa_status st = EXA_OK;
    exa_ffn_net *net = NULL;

    EXA_CHECK((unsigned)kernel <= EXA_FFN_KERNEL_WINOGRAD, EXA_ERR_RANGE, "no kernel has the number %d",
              (int)kernel);
    EXA_TRY(check_model(model));
    EXA_TRY(exa_calloc(1, sizeof *net, "the network", &net));
    net->kernel = kernel == EXA_FFN_KERNEL_AUTO ? choose_kernel(model) : kernel;
    net->pool = pool;
    net->threads = exa_pool_threads(pool);
    net->layers = model->layer_count - 1;
    EXA_GOTO(done, make_plans(net, model, isa));
    EXA_GOTO(done, pack_weights(net, model));
    EXA_GOTO(done, make_lanes(net));
    snprintf(net->description, sizeof net->description, "%s%s fp32, %s, %d thread%s",
             exa_ffn_kernel_name(net->kernel), net->kernel == EXA_FFN_KERNEL_WINOGRAD ? " F(3,3)" : "",
             exa_isa_name(net->inner.isa), net->threads, net->threads == 1 ? "" : "s");
    *out = net;
    return EXA_OK;
done:
    exa_ffn_net_destroy(&net);
    return st;
}

void exa_ffn_net_destroy(exa_ffn_net **net_inout) {
    exa_ffn_net *net = *net_inout;
    if (!net) return;
    free(net->packed);
    free(net->layer);
    free(net->lanes);
    free(net->claimed);
    free(net->grids);
    free(net->scratch);
    free(net);
    *net_inout = NULL;
}

/* ---- one step ----------------------------------------------------------------------------------- */

typedef struct job {
    exa_ffn_net *net;
    size_t first, count; /* FOVs of this round */
    size_t members;      /* that share a FOV's rows: all, or 1 when each has FOVs of its own */
    const float *const *image, *const *seed;
    float *const *logits;
} job;

/* One member's share [begin, end) of `count` rows. */
static void share(size_t count, size_t members, size_t member, size_t *begin, size_t *end) {
    *begin = count * member / members;
    *end = count * (member + 1) / members;
}

/* Rows (z, y) of the two inputs into the interleaved grid. */
static void load_input(const exa_ffn_net *net, const lane *to, const float *image, const float *seed, size_t begin,
                       size_t end) {
    size_t height = (size_t)net->first.shape[1], width = (size_t)net->first.shape[2];
    for (size_t row = begin; row < end; row++) {
        float *at = to->input + 2 * exa_conv3d_grid_index(&net->first, (int)(row / height), (int)(row % height), 0);
        for (size_t x = 0; x < width; x++) {
            at[2 * x] = image[row * width + x];
            at[2 * x + 1] = seed[row * width + x];
        }
    }
}

static void store_logits(const exa_ffn_net *net, const lane *from, const float *seed, float *logits, size_t begin,
                         size_t end) {
    size_t height = (size_t)net->inner.shape[1], width = (size_t)net->inner.shape[2];
    int stride = net->inner.out_stride;
    for (size_t row = begin; row < end; row++) {
        size_t voxel = exa_conv3d_grid_index(&net->inner, (int)(row / height), (int)(row % height), 0);
        exa_conv3d_head(net->inner.isa, from->x + voxel * (size_t)stride, stride, net->head, net->head_bias,
                        seed + row * width, width, logits + row * width);
    }
}

/* Layer i reads and writes so; x is written by every b, and added to by all but the first. */
static exa_conv3d_args layer_args(const exa_ffn_net *net, const lane *l, int i) {
    exa_conv3d_args args = {.packed = net->layer[i]};
    if (i % 2 == 0) {
        args.in = i == 0 ? l->input : l->x_relu ? l->x_relu : l->x;
        args.relu_in = i > 0 && !l->x_relu;
        args.out = l->t;
        args.relu_out = true;
    } else {
        args.in = l->t;
        args.out = l->x;
        args.out_relu = l->x_relu;
        args.add_out = i > 1;
    }
    return args;
}

static void run_layer(const job *j, const lane *l, int i, size_t *claimed, float *scratch) {
    exa_ffn_net *net = j->net;
    const exa_conv3d_plan *plan = i == 0 ? &net->first : &net->inner;
    exa_conv3d_args args = layer_args(net, l, i);
    size_t begin = 0, end = plan->rows;

    if (j->members == 1) {
        exa_conv3d_run(plan, &args, begin, end, scratch);
    } else {
        while (exa_pool_claim(claimed, plan->rows, j->members, &begin, &end))
            exa_conv3d_run(plan, &args, begin, end, scratch);
    }
}

/* One FOV through the network by `members` threads of which this is number `part`. */
static void infer_fov(const job *j, const lane *l, size_t fov, size_t part, size_t member, size_t *claimed) {
    exa_ffn_net *net = j->net;
    float *scratch = net->scratch + member * net->scratch_floats;
    size_t lines = (size_t)net->first.shape[0] * (size_t)net->first.shape[1], begin, end;
    exa_pool *together = j->members > 1 ? net->pool : NULL;

    share(lines, j->members, part, &begin, &end);
    load_input(net, l, j->image[fov], j->seed[fov], begin, end);
    exa_pool_barrier(together);
    for (int i = 0; i < net->layers; i++) {
        run_layer(j, l, i, claimed + i, scratch);
        exa_pool_barrier(together);
    }
    store_logits(net, l, j->seed[fov], j->logits[fov], begin, end);
}

static void own_fov(void *context, size_t i, int member) {
    const job *j = context;
    infer_fov(j, &j->net->lanes[member], j->first + i, 0, (size_t)member, j->net->claimed);
}

static void shared_fovs(void *context, int member) {
    const job *j = context;
    for (size_t i = 0; i < j->count; i++) {
        if (i > 0) exa_pool_barrier(j->net->pool);
        infer_fov(j, &j->net->lanes[0], j->first + i, (size_t)member, (size_t)member,
                  j->net->claimed + i * (size_t)j->net->layers);
    }
}

exa_status exa_ffn_net_infer(exa_ffn_net *net, size_t n, const float *const *image, const float *const *seed,
                             float *const *logits) {
    size_t threads = (size_t)net->threads, whole = n / threads * threads;
    job own = {net, 0, whole, 1, image, seed, logits};
    job rest = {net, whole, n - whole, threads, image, seed, logits};

    memset(net->claimed, 0, threads * (size_t)net->layers * sizeof *net->claimed);
    if (own.count > 0) exa_pool_for(net->pool, own.count, own_fov, &own);
    if (rest.count > 0) exa_pool_run(net->pool, shared_fovs, &rest);
    return EXA_OK;
}
