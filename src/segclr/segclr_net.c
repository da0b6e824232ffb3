/* SegCLR's network on the CPU.
 *
 * A model is compiled once into a list of convolutions between activation grids; `exa_segclr_net_embed` walks it.
 *
 *   patch -> [stem 7^3/2, BN -> max 3^3/2], plane by plane: the stem's output (70 MB at 129^3) never exists whole
 *   block:  shortcut(x) -> y        (without a projection, y is x itself)
 *           conv_0(x) -> t -> ... conv_last(t), added to y, ReLU
 *   mean over the voxels -> dense layers (double)
 *
 * One ending serves both variants: sum + bias; tf1's ReLU and batch normalisation where ReLU comes first
 * ("affine"); then what is added; then ReLU. Where no ReLU stands between them, batch normalisation is folded into
 * the convolution before it, never into the next: that would be wrong where the zeros of a border are its input.
 *
 * As in the FFN's network each patch in flight has grids of its own ("lane"), and with few patches all threads
 * share each layer's rows; both give the same bits.
 */
#include "exaconn/segclr_net.h"

#include "segclr_net_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGN_FLOATS 16
#define PAGE_FLOATS 1024

static size_t round_up(size_t n, size_t to) {
    return (n + to - 1) / to * to;
}

const char *exa_segclr_net_description(const exa_segclr_net *net) {
    return net->description;
}

size_t exa_segclr_net_memory_bytes(const exa_segclr_net *net) {
    return net->packed_bytes + net->grids_bytes + net->scratch_bytes + net->empty_bytes;
}

/* ---- the list of convolutions ------------------------------------------------------------------- */

/* The grid of this shape and use, made when it is first asked for. Each keeps one shape, so its zero halo stays. */
static int grid_of(exa_segclr_net *net, const int shape[3], int channels, int slot) {
    for (int i = 0; i < net->grid_count; i++) {
        const exa_segclr_grid *g = &net->grid[i];
        if (memcmp(g->shape, shape, sizeof g->shape) == 0 && g->channels == channels && g->slot == slot) return i;
    }
    exa_segclr_grid *g = &net->grid[net->grid_count];
    memcpy(g->shape, shape, sizeof g->shape);
    g->channels = channels;
    g->slot = slot;
    return net->grid_count++;
}

/* Which kernel runs a layer, from bench_segclr (docs/performance.md, "SegCLR"): Winograd where it applies, unless
 * most of what its tiles cover is padding or its weights outweigh the voxels they serve. */
static exa_conv3d_kind kind_of(exa_segclr_kernel kernel, const exa_conv3d_layer *l) {
    if (kernel == EXA_SEGCLR_KERNEL_REFERENCE) return EXA_CONV3D_REFERENCE;
    bool can = l->kernel == 3 && l->stride == 1 && l->in_shape[2] >= EXA_SEGCLR_WINOGRAD_VOXELS;
    return kernel == EXA_SEGCLR_KERNEL_AUTO && can ? EXA_CONV3D_WINOGRAD : EXA_CONV3D_DIRECT;
}

static exa_status add_step(exa_segclr_net *net, exa_segclr_kernel kernel, int layer, int in, int slot,
                           const exa_segclr_model *m, int *out) {
    const exa_segclr_layer *l = &m->layers[layer];
    exa_segclr_step *s = &net->step[net->step_count++];
    exa_conv3d_layer c = {.kernel = l->kernel, .stride = l->stride, .cin = l->cin, .cout = l->cout};

    memcpy(c.in_shape, net->grid[in].shape, sizeof c.in_shape);
    EXA_TRY(exa_conv3d_plan_layer(kind_of(kernel, &c), net->isa, &c, &s->plan));
    s->layer = layer;
    s->in = in;
    s->out = *out >= 0 ? *out : grid_of(net, s->plan.shape, l->cout, slot);
    s->affine = l->role == EXA_SEGCLR_MAIN && m->geometry.variant == EXA_SEGCLR_TF1;
    s->relu_out = l->role == EXA_SEGCLR_MAIN && (l->last || m->geometry.variant == EXA_SEGCLR_TF2);
    s->add_out = l->role == EXA_SEGCLR_MAIN && l->last;
    if (s->plan.scratch_floats > net->scratch_floats) net->scratch_floats = s->plan.scratch_floats;
    *out = s->out;
    return EXA_OK;
}

/* A block whose main path begins at layer `first`; `x` is its input and becomes its output. */
static exa_status add_block(exa_segclr_net *net, exa_segclr_kernel kernel, const exa_segclr_model *m, int first,
                            int *x) {
    int y = *x, t = *x, last = first;

    while (!m->layers[last].last) last++;
    if (last + 1 < m->layer_count && m->layers[last + 1].role == EXA_SEGCLR_SHORTCUT) {
        y = -1;
        EXA_TRY(add_step(net, kernel, last + 1, *x, EXA_SEGCLR_SLOT_STREAM, m, &y));
    }
    for (int i = first; i <= last; i++) {
        int out = i == last ? y : -1;
        EXA_TRY(add_step(net, kernel, i, t, i == first ? EXA_SEGCLR_SLOT_FIRST : EXA_SEGCLR_SLOT_SECOND, m, &out));
        t = out;
    }
    net->step[net->step_count - 1].ends_stage =
        last + 2 >= m->layer_count || m->layers[last + 1].stage != m->layers[first].stage;
    *x = y;
    return EXA_OK;
}

static exa_status make_stem(exa_segclr_net *net, exa_segclr_kernel kernel, const exa_segclr_model *m) {
    exa_conv3d_layer c = {
        .kernel = 7, .stride = 2, .cin = 1, .cout = m->geometry.width, .in_stride = 1, .tight = true};
    int pooled[3];

    for (int a = 0; a < 3; a++) {
        net->patch[a] = (int)m->patch[a];
        net->stem_planes = net->patch[0] / 2 + 1;
        pooled[a] = net->patch[a] / 4 + 1;
    }
    c.in_shape[0] = 1; /* a plan of one output plane: seven planes of the padded patch */
    c.in_shape[1] = net->patch[1];
    c.in_shape[2] = net->patch[2];
    EXA_TRY(exa_conv3d_plan_layer(kind_of(kernel, &c), net->isa, &c, &net->stem));
    net->pooled = grid_of(net, pooled, m->geometry.width, EXA_SEGCLR_SLOT_POOLED);
    net->scratch_floats = net->stem.scratch_floats;
    return EXA_OK;
}

static exa_status make_steps(exa_segclr_net *net, exa_segclr_kernel kernel, const exa_segclr_model *m) {
    int x;

    EXA_TRY(make_stem(net, kernel, m));
    x = net->pooled;
    for (int i = 1; i < m->layer_count && m->layers[i].role != EXA_SEGCLR_HEAD; i++) {
        const exa_segclr_layer *l = &m->layers[i];
        if (l->role == EXA_SEGCLR_MAIN && l->index == 0) EXA_TRY(add_block(net, kernel, m, i, &x));
    }
    net->features_grid = x;
    return EXA_OK;
}

/* ---- weights ------------------------------------------------------------------------------------ */

/* Batch normalisation as y = x * scale + shift. */
void exa_segclr_fold(const exa_segclr_layer *l, double epsilon, double *scale, double *shift) {
    for (int c = 0; c < l->cout; c++) {
        scale[c] =
            (double)l->tensor[EXA_SEGCLR_GAMMA][c] / sqrt((double)l->tensor[EXA_SEGCLR_VARIANCE][c] + epsilon);
        shift[c] = (l->has_beta ? (double)l->tensor[EXA_SEGCLR_BETA][c] : 0) -
                   (double)l->tensor[EXA_SEGCLR_MEAN][c] * scale[c];
    }
}

/* The kernel in our axis order: of a network whose first axis is x, the outer two change places. */
static void kernel_taps(const exa_segclr_layer *l, bool turned, const double *scale, float *taps) {
    size_t k = (size_t)l->kernel, pairs = (size_t)l->cin * (size_t)l->cout;

    for (size_t tap = 0; tap < k * k * k; tap++) {
        size_t z = tap / (k * k), y = tap / k % k, x = tap % k;
        const float *from = l->tensor[EXA_SEGCLR_KERNEL] + (turned ? (x * k + y) * k + z : tap) * pairs;
        for (size_t i = 0; i < pairs; i++)
            taps[tap * pairs + i] = scale ? (float)((double)from[i] * scale[i % (size_t)l->cout]) : from[i];
    }
}

static exa_status pack_layer(const exa_segclr_model *m, const exa_segclr_layer *l, const exa_conv3d_plan *plan,
                             bool affine, float *packed) {
    size_t cout = (size_t)l->cout;
    double *bn = NULL;
    float *taps = NULL, *bias;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc(2 * cout, sizeof *bn, "batch normalisation", &bn));
    EXA_GOTO(done, exa_calloc(exa_segclr_tensor_elements(l, EXA_SEGCLR_KERNEL) + cout, sizeof *taps,
                              "a layer's weights", &taps));
    bias = taps + exa_segclr_tensor_elements(l, EXA_SEGCLR_KERNEL);
    exa_segclr_fold(l, m->bn_epsilon, bn, bn + cout);
    kernel_taps(l, m->axis_order[0] == 'x', affine ? NULL : bn, taps);
    for (size_t c = 0; c < cout; c++) {
        double b = l->has_bias ? (double)l->tensor[EXA_SEGCLR_BIAS][c] : 0;
        bias[c] = (float)(affine ? b : b * bn[c] + bn[cout + c]);
    }
    exa_conv3d_pack(plan, taps, bias, packed);
    for (size_t c = 0; affine && c < cout; c++) {
        packed[plan->packed_floats + c] = (float)bn[c];
        packed[plan->packed_floats + (size_t)plan->out_stride + c] = (float)bn[cout + c];
    }
done:
    free(bn);
    free(taps);
    return st;
}

static size_t packed_floats(const exa_conv3d_plan *plan) {
    return round_up(plan->packed_floats + 2 * (size_t)plan->out_stride, ALIGN_FLOATS);
}

static exa_status pack_weights(exa_segclr_net *net, const exa_segclr_model *m) {
    size_t floats = packed_floats(&net->stem);

    for (int i = 0; i < net->step_count; i++) floats += packed_floats(&net->step[i].plan);
    EXA_TRY(exa_huge_calloc(floats, "the network's weights", &net->packed, &net->packed_bytes));
    EXA_TRY(pack_layer(m, &m->layers[0], &net->stem, false, net->packed));
    float *at = net->packed + packed_floats(&net->stem);
    for (int i = 0; i < net->step_count; i++) {
        exa_segclr_step *s = &net->step[i];
        EXA_TRY(pack_layer(m, &m->layers[s->layer], &s->plan, s->affine, at));
        s->packed = at;
        at += packed_floats(&s->plan);
    }
    return EXA_OK;
}

/* The dense layers in double, with batch normalisation in the weights. */
static exa_status pack_head(exa_segclr_net *net, const exa_segclr_model *m) {
    int first = m->layer_count - m->geometry.head_layers;

    net->head_count = m->geometry.head_layers;
    net->features = m->layers[first].cin;
    net->embedding = m->geometry.embedding;
    for (int i = 0; i < net->head_count; i++) {
        const exa_segclr_layer *l = &m->layers[first + i];
        exa_segclr_dense *d = &net->head[i];
        size_t cin = (size_t)l->cin, cout = (size_t)l->cout;
        *d = (exa_segclr_dense){.cin = l->cin, .cout = l->cout, .relu = !l->last};
        EXA_TRY(exa_calloc(cin * cout + 2 * cout, sizeof *d->weights, "the network's head", &d->weights));
        d->bias = d->weights + cin * cout;
        exa_segclr_fold(l, m->bn_epsilon, d->bias + cout, d->bias);
        for (size_t k = 0; k < cin * cout; k++)
            d->weights[k] = (double)l->tensor[EXA_SEGCLR_KERNEL][k] * d->bias[cout + k % cout];
    }
    return EXA_OK;
}

/* ---- memory ------------------------------------------------------------------------------------- */

static exa_status make_lanes(exa_segclr_net *net) {
    size_t plane = (size_t)net->stem.in_grid[1] * (size_t)net->stem.in_grid[2], at;
    size_t lanes = (size_t)net->threads, members = lanes;

    at = round_up(plane * (size_t)(net->patch[0] + 6), PAGE_FLOATS); /* the padded patch comes first */
    net->ring_at = at;
    net->plane_floats = exa_conv3d_grid_voxels(&net->stem) * (size_t)net->stem.out_stride;
    at += round_up(3 * net->plane_floats, PAGE_FLOATS);
    for (int i = 0; i < net->grid_count; i++) {
        exa_segclr_grid *g = &net->grid[i];
        exa_conv3d_layer like = {
            {g->shape[0], g->shape[1], g->shape[2]}, 3, 1, g->channels, g->channels, 0, 0, false};
        EXA_TRY(exa_conv3d_plan_layer(EXA_CONV3D_DIRECT, net->isa, &like, &g->plan));
        g->at = at;
        g->map = net->map_bytes;
        at += round_up(exa_conv3d_grid_voxels(&g->plan) * (size_t)g->plan.out_stride, PAGE_FLOATS);
        net->map_bytes += (size_t)g->shape[0] * (size_t)g->shape[1];
    }
    net->lane_floats = at;
    net->scratch_floats = round_up(net->scratch_floats, PAGE_FLOATS);
    EXA_TRY(exa_calloc(lanes * (size_t)(net->step_count + 1), sizeof *net->claimed, "the network", &net->claimed));
    EXA_TRY(exa_huge_calloc(lanes * at, "the network's activations", &net->grids, &net->grids_bytes));
    return exa_huge_calloc(members * net->scratch_floats, "the network's scratch", &net->scratch,
                           &net->scratch_bytes);
}

exa_status exa_segclr_net_create(const exa_segclr_model *m, exa_segclr_kernel kernel, exa_isa isa, exa_pool *pool,
                                 exa_segclr_net **out) {
    exa_status st = EXA_OK;
    exa_segclr_net *net = NULL;

    EXA_CHECK((unsigned)kernel <= EXA_SEGCLR_KERNEL_DIRECT, EXA_ERR_RANGE, "no kernel has the number %d",
              (int)kernel);
    EXA_TRY(exa_segclr_model_check(m));
    EXA_TRY(exa_calloc(1, sizeof *net, "the network", &net));
    net->pool = pool;
    net->threads = exa_pool_threads(pool);
    net->skip_never = kernel == EXA_SEGCLR_KERNEL_REFERENCE;
    net->isa = exa_conv3d_isa(isa);
    net->stem_relu = m->geometry.variant == EXA_SEGCLR_TF2;
    EXA_GOTO(done, make_steps(net, kernel, m));
    EXA_GOTO(done, pack_weights(net, m));
    EXA_GOTO(done, pack_head(net, m));
    EXA_GOTO(done, make_lanes(net));
    snprintf(net->description, sizeof net->description, "%s ResNet-%d, patch %dx%dx%d, fp32%s, %s, %d thread%s",
             exa_segclr_variant_name(m->geometry.variant), m->geometry.depth, net->patch[0], net->patch[1],
             net->patch[2], kernel == EXA_SEGCLR_KERNEL_REFERENCE ? " reference" : "", exa_isa_name(net->isa),
             net->threads, net->threads == 1 ? "" : "s");
    *out = net;
    return EXA_OK;
done:
    exa_segclr_net_destroy(&net);
    return st;
}

void exa_segclr_net_destroy(exa_segclr_net **net_inout) {
    exa_segclr_net *net = *net_inout;
    if (!net) return;
    for (int i = 0; i < net->head_count; i++) free(net->head[i].weights);
    for (int i = 0; i < net->step_count; i++) free(net->step[i].empty);
    free(net->empty_pooled);
    free(net->empty_stem);
    free(net->maps);
    free(net->inputs);
    free(net->packed);
    free(net->claimed);
    free(net->grids);
    free(net->scratch);
    free(net);
    *net_inout = NULL;
}
