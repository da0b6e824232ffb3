/* What the network on a GPU needs before there is a GPU: layouts, packed weights, memory. */
#include "exaconn/device_net.h"

#include "exaconn/box.h"

#include "conv3d_device_internal.h"

#include <string.h>

enum { CHANNEL_STEP = 16, MAX_FEATURES = 512, MAX_DEPTH = 64, MAX_FOV = 257, MAX_BATCH = 4096 };

const char *exa_net_precision_name(exa_net_precision precision) {
    static const char *const names[] = {"fp32", "tf32", "fp16"};
    return (unsigned)precision < sizeof names / sizeof *names ? names[precision] : "unknown";
}

int exa_conv_round_channels(int channels) {
    return (channels + CHANNEL_STEP - 1) / CHANNEL_STEP * CHANNEL_STEP;
}

static int element_bytes(exa_net_precision precision) {
    return precision == EXA_NET_FP16 ? 2 : 4;
}

/* ---- layout ------------------------------------------------------------------------------------- */

/* A matrix of weights should fill about 55 KB of shared memory for 32 outputs: 32 inputs of 2 bytes, 16 of 4. */
static void plan_blocks(exa_conv_plan *p) {
    int taps = 27;
    if (p->precision == EXA_NET_FP32) {
        p->block_in = p->first ? 4 : CHANNEL_STEP;
        p->block_out = EXA_CONV_FMA_COUT;
        taps = 9; /* one plane of taps at a time */
    } else {
        bool half = p->precision == EXA_NET_FP16, wide = p->cout % 32 == 0;
        if (half && !p->first) wide = wide && p->cin % 32 == 0; /* there is no kernel for 16 to 32 and 32 to 16 */
        p->block_in = half && !p->first && wide ? 32 : CHANNEL_STEP;
        p->block_out = wide ? 32 : CHANNEL_STEP;
        if (p->first) taps = 9; /* those along x are channels */
    }
    p->in_blocks = p->cin / p->block_in;
    p->out_blocks = (p->cout + p->block_out - 1) / p->block_out;
    p->matrix_bytes = taps * p->block_in * p->block_out * element_bytes(p->precision);
    p->packed_bytes = (size_t)p->out_blocks * (size_t)p->in_blocks * (size_t)p->matrix_bytes;
    if (p->precision == EXA_NET_FP32) p->packed_bytes *= 3;
}

void exa_conv_plan_init(exa_net_precision precision, bool first, const int shape[3], int cin, int cout,
                        exa_conv_plan *plan) {
    exa_conv_plan p = {.precision = precision, .first = first};
    for (int a = 0; a < 3; a++) p.shape[a] = shape[a];
    p.row = shape[2] + 1;
    p.plane = (shape[1] + 1) * p.row;
    p.fov = shape[0] * p.plane;
    p.guard = (p.row + 1 + 7) / 8 * 8;
    p.cout = exa_conv_round_channels(cout);
    p.cin = !first ? exa_conv_round_channels(cin) : precision == EXA_NET_FP32 ? 4 : CHANNEL_STEP;
    p.in_bytes = p.cin * element_bytes(precision);
    p.out_bytes = p.cout * element_bytes(precision);
    plan_blocks(&p);
    *plan = p;
}

static size_t grid_positions(const exa_conv_plan *plan, int n) {
    return (size_t)plan->guard + (size_t)n * (size_t)plan->fov + EXA_CONV_MAX_CHUNK;
}

size_t exa_conv_in_bytes(const exa_conv_plan *plan, int n) {
    return grid_positions(plan, n) * (size_t)plan->in_bytes;
}

size_t exa_conv_out_bytes(const exa_conv_plan *plan, int n) {
    return grid_positions(plan, n) * (size_t)plan->out_bytes;
}

/* ---- packing ------------------------------------------------------------------------------------ */

uint16_t exa_half_of(float x) {
    uint32_t bits, sign, magnitude, shift = 13;
    memcpy(&bits, &x, sizeof bits);
    sign = bits >> 16 & 0x8000u;
    magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7fff;
    if (magnitude >= 0x477ff000u) return (uint16_t)(sign | 0x7c00u);
    if (magnitude >> 23 < 102) return (uint16_t)sign;
    if (magnitude >> 23 < 113) { /* a multiple of 2^-24 */
        shift = 126 - (magnitude >> 23);
        magnitude = (magnitude & 0x7fffffu) | 0x800000u;
    } else {
        magnitude -= 112u << 23;
    }
    uint32_t kept = magnitude >> shift, rest = magnitude & ((1u << shift) - 1), half = 1u << (shift - 1);
    return (uint16_t)(sign | (kept + (rest > half || (rest == half && (kept & 1)))));
}

static float tf32_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & 0xffffe000u;
    memcpy(&x, &bits, sizeof x);
    return x;
}

typedef struct source {
    const float *weights; /* [27, cin, cout] */
    int cin, cout;
    bool expanded; /* the first layer for the tensor cores */
} source;

/* Weight of tap (kz, ky, kx) from stored input channel to output channel; 0 where there is none. In the expanded
 * first layer kx stands in the channel, and both parts of an input meet the same weight. */
static float weight_of(const source *s, int kz, int ky, int kx, int in, int out) {
    if (s->expanded) {
        if (in >= 12) return 0;
        kx = in % 6 / 2;
        in = in % 2;
    }
    if (in >= s->cin || out >= s->cout) return 0;
    return s
        ->weights[((size_t)((kz * 3 + ky) * 3 + kx) * (size_t)s->cin + (size_t)in) * (size_t)s->cout + (size_t)out];
}

/* One matrix in the order in which the lanes of a warp take their B fragments:
 *   [in-plane tap][step of 32 bytes of input][kz][pair of 8-column tiles][lane][tile of the pair][2 registers]
 * Column n of tile j is output channel 2 * tiles * (n / 2) + 2 * j + n % 2: the results of a lane are then
 * neighbouring channels and leave in one store. */
static void pack_fragments(const exa_conv_plan *p, const source *s, int in0, int out0, void *packed) {
    bool half = p->precision == EXA_NET_FP16;
    int taps = p->first ? 3 : 9, step_channels = half ? 16 : 8, steps = p->block_in / step_channels,
        tiles = p->block_out / 8;
    size_t at = 0;
    for (int tap = 0; tap < taps; tap++)
        for (int step = 0; step < steps; step++)
            for (int kz = 0; kz < 3; kz++)
                for (int i = 0; i < tiles / 2 * 32 * 2 * 2 * (half ? 2 : 1); i++, at++) {
                    int e = half ? i % 2 : 0, k = half ? i / 2 : i; /* element of a register */
                    int reg = k % 2, j = k / 128 * 2 + k / 2 % 2, lane = k / 4 % 32, g = lane / 4, q = lane % 4;
                    int in = in0 + step * step_channels + (half ? 2 * q + 8 * reg + e : q + 4 * reg);
                    int out = out0 + 2 * tiles * (g / 2) + 2 * j + g % 2;
                    float w = weight_of(s, kz, p->first ? tap : tap / 3, tap % 3, in, out);
                    if (half) {
                        ((uint16_t *)packed)[at] = exa_half_of(w);
                    } else {
                        ((float *)packed)[at] = tf32_of(w);
                    }
                }
}

/* For fp32: [kz][in-plane tap][input][output]. */
static void pack_plain(const exa_conv_plan *p, const source *s, int kz, int in0, int out0, float *packed) {
    for (int tap = 0; tap < 9; tap++)
        for (int in = 0; in < p->block_in; in++)
            for (int out = 0; out < p->block_out; out++)
                *packed++ = weight_of(s, kz, tap / 3, tap % 3, in0 + in, out0 + out);
}

void exa_conv_pack(const exa_conv_plan *plan, const float *weights, int cin, int cout, void *packed) {
    source s = {weights, cin, cout, plan->first && plan->precision != EXA_NET_FP32};
    unsigned char *at = packed;
    for (int out = 0; out < plan->out_blocks; out++)
        for (int in = 0; in < plan->in_blocks; in++) {
            int in0 = in * plan->block_in, out0 = out * plan->block_out;
            if (plan->precision == EXA_NET_FP32) {
                for (int kz = 0; kz < 3; kz++, at += plan->matrix_bytes)
                    pack_plain(plan, &s, kz, in0, out0, (float *)at);
            } else {
                pack_fragments(plan, &s, in0, out0, at);
                at += plan->matrix_bytes;
            }
        }
}

/* FOVs that go through all layers together: as many as leave their two grids in a 40 MB cache, and not more. */
int exa_net_group(const exa_conv_plan *inner, int max_batch) {
    double grids = 2.0 * (double)inner->fov * inner->out_bytes;
    int group = grids * MAX_BATCH < 40e6 ? MAX_BATCH : (int)(40e6 / grids);
    if (group < 1) group = 1;
    return group < max_batch ? group : max_batch;
}

/* ---- memory ------------------------------------------------------------------------------------- */

static size_t round_up(size_t n) {
    return (n + 255) / 256 * 256;
}

exa_status exa_device_net_memory(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 uint64_t *bytes) {
    const int *fov = spec->fov;
    EXA_CHECK((unsigned)options->precision <= EXA_NET_FP16, EXA_ERR_RANGE, "no precision has the number %d",
              (int)options->precision);
    EXA_CHECK(spec->depth >= 1 && spec->depth <= MAX_DEPTH && spec->features >= 1 && spec->features <= MAX_FEATURES,
              EXA_ERR_RANGE, "a network of depth %d with %d features", spec->depth, spec->features);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(fov[a] >= 1 && fov[a] <= MAX_FOV, EXA_ERR_RANGE, "a field of view of %d voxels on axis %c",
                  fov[a], "zyx"[a]);
    }
    EXA_CHECK(options->max_batch >= 1 && options->max_batch <= MAX_BATCH, EXA_ERR_RANGE,
              "a batch of %d; 1 to %d are possible", options->max_batch, (int)MAX_BATCH);
    exa_conv_plan first, inner;
    exa_conv_plan_init(options->precision, true, fov, 2, spec->features, &first);
    exa_conv_plan_init(options->precision, false, fov, spec->features, spec->features, &inner);
    size_t layers = 2 * (size_t)spec->depth, vectors = round_up((size_t)inner.cout * sizeof(float));
    int group = exa_net_group(&inner, options->max_batch);
    *bytes = round_up(exa_conv_in_bytes(&first, group)) + 2 * round_up(exa_conv_out_bytes(&inner, group)) +
             round_up(first.packed_bytes) + (layers - 1) * round_up(inner.packed_bytes) + (layers + 1) * vectors;
    return EXA_OK;
}
