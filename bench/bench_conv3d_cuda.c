/* One 3x3x3 layer on a GPU: every precision and tiling at a batch, beside what the device copies and multiplies at
 * most, measured in the same run. Each result is compared with the CPU's direct kernel first. Columns:
 * docs/benchmarks.md.
 */
#include "bench_conv3d_cuda.h"
#include "bench_util.h"

#include "exaconn/box.h"
#include "exaconn/conv3d.h"
#include "exaconn/conv3d_device.h"
#include "exaconn/device.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { INNER = 24 }; /* layers a sample: a step's worth */

typedef struct layer {
    int features, shape[3], batch, rounds, device;
    size_t voxels; /* of a FOV */
    float *weights, *biases, *in, *out, *want;
    uint32_t *overflow;
    double copy_rate, matrix_rate[3];
    FILE *json;
    bool first; /* JSON member */
} layer;

static bool failed(exa_status st) {
    if (st != EXA_OK) fprintf(stderr, "bench_conv3d: %s\n", exa_error_last()->message);
    return st != EXA_OK;
}

static exa_status make_data(layer *l) {
    uint64_t state = 1;
    size_t c = (size_t)l->features, weights = 27 * c * c, all = (size_t)l->batch * l->voxels * c;
    EXA_TRY(exa_alloc(weights, sizeof(float), "weights", &l->weights));
    EXA_TRY(exa_alloc(c, sizeof(float), "biases", &l->biases));
    EXA_TRY(exa_alloc(all, sizeof(float), "activations", &l->in));
    EXA_TRY(exa_alloc(all, sizeof(float), "activations", &l->out));
    EXA_TRY(exa_alloc(l->voxels * c, sizeof(float), "activations", &l->want));
    EXA_TRY(exa_alloc((size_t)l->batch, sizeof *l->overflow, "flags", &l->overflow));
    for (size_t i = 0; i < weights; i++) l->weights[i] = bench_random(&state) / sqrtf(27.0f * (float)c);
    for (size_t i = 0; i < c; i++) l->biases[i] = bench_random(&state);
    for (size_t i = 0; i < all; i++) l->in[i] = bench_random(&state);
    return EXA_OK;
}

/* The last FOV by the CPU's direct kernel. */
static exa_status on_cpu(layer *l) {
    exa_conv3d_plan p;
    float *in = NULL, *out = NULL, *packed = NULL;
    size_t c = (size_t)l->features, v = (size_t)(l->batch - 1) * l->voxels;
    exa_status st = EXA_OK;
    EXA_TRY(
        exa_conv3d_plan_init(EXA_CONV3D_REFERENCE, EXA_ISA_PORTABLE, l->shape, l->features, l->features, 0, &p));
    EXA_GOTO(done, exa_calloc(exa_conv3d_grid_voxels(&p) * (size_t)p.in_stride, sizeof(float), "activations", &in));
    EXA_GOTO(done,
             exa_calloc(exa_conv3d_grid_voxels(&p) * (size_t)p.out_stride, sizeof(float), "activations", &out));
    EXA_GOTO(done, exa_calloc(p.packed_floats, sizeof(float), "weights", &packed));
    exa_conv3d_pack(&p, l->weights, l->biases, packed);
    exa_conv3d_args args = {.in = in, .packed = packed, .out = out, .relu_out = true};
    for (int round = 0; round < 2; round++) {
        size_t voxel = 0;
        for (int z = 0; z < l->shape[0]; z++)
            for (int y = 0; y < l->shape[1]; y++)
                for (int x = 0; x < l->shape[2]; x++, voxel++) {
                    size_t at = exa_conv3d_grid_index(&p, z, y, x);
                    if (round == 0)
                        memcpy(in + at * (size_t)p.in_stride, l->in + (v + voxel) * c, c * sizeof(float));
                    if (round == 1) memcpy(l->want + voxel * c, out + at * (size_t)p.out_stride, c * sizeof(float));
                }
        if (round == 0) exa_conv3d_run(&p, &args, 0, p.rows, NULL);
    }
done:
    free(in);
    free(out);
    free(packed);
    return st;
}

static exa_status measure(layer *l, exa_conv3d_device *conv, exa_net_precision precision, double *ms,
                          double *difference) {
    size_t c = (size_t)l->features, last = (size_t)(l->batch - 1) * l->voxels * c;
    EXA_TRY(exa_conv3d_device_set_in(conv, l->batch, l->in));
    EXA_TRY(exa_conv3d_device_set_out(conv, l->batch, l->out));
    EXA_TRY(exa_conv3d_device_run(conv, l->batch, NULL));
    EXA_TRY(exa_conv3d_device_get_out(conv, l->batch, l->out, l->overflow));
    *difference = 0;
    for (size_t i = 0; i < l->voxels * c; i++) {
        double d = fabs((double)l->out[last + i] - (double)l->want[i]);
        if (!(d <= *difference)) *difference = d;
    }
    EXA_CHECK(*difference <= (precision == EXA_NET_FP32 ? 1e-4 : 1e-2), EXA_ERR_INTERNAL, "%s is wrong by %g",
              exa_conv3d_device_description(conv), *difference);
    return exa_conv3d_device_time(conv, l->batch, INNER, l->rounds, ms);
}

static void report(layer *l, const exa_conv3d_device *conv, exa_net_precision precision, double ms,
                   double difference) {
    int element = precision == EXA_NET_FP16 ? 2 : 4;
    double c = l->features, voxels = (double)l->batch * (double)l->voxels;
    double flops = 2 * 27 * voxels * c * c, done = exa_conv3d_device_done_flops(conv, l->batch),
           bytes = 2 * voxels * c * element;
    double roof = fmin(l->matrix_rate[precision], flops / bytes * l->copy_rate), rate = 1e3 * flops / ms;
    printf("%-5s %-86s %8.4f %8.1f %8.1f %6.1f %6.1f %9.1e\n", exa_net_precision_name(precision),
           exa_conv3d_device_description(conv), ms, 1e-12 * rate, 1e-9 * done / ms,
           100 * rate / l->matrix_rate[precision], 100 * rate / roof, difference);
    if (!l->json) return;
    fprintf(l->json,
            "%s{\"precision\": \"%s\", \"kernel\": \"%s\", \"median_ms\": %.5f, \"tflops\": %.2f, \"done_tflops\": "
            "%.2f, "
            "\"max_diff\": %.3g}",
            l->first ? "" : ", ", exa_net_precision_name(precision), exa_conv3d_device_description(conv), ms,
            1e-12 * rate, 1e-9 * done / ms, difference);
    l->first = false;
}

static int run_all(layer *l) {
    for (int precision = EXA_NET_FP16; precision >= EXA_NET_FP32; precision--) {
        for (int tiling = 0;; tiling++) {
            exa_conv3d_device_options o = {.precision = (exa_net_precision)precision,
                                           .device = l->device,
                                           .max_batch = l->batch,
                                           .relu_out = true,
                                           .tiling = tiling};
            exa_conv3d_device *conv = NULL;
            double ms = 0, difference = 0;
            exa_status st =
                exa_conv3d_device_create(l->shape, l->features, l->features, l->weights, l->biases, &o, &conv);
            if (st == EXA_ERR_RANGE && tiling > 0) break; /* no more of them */
            if (st == EXA_ERR_UNSUPPORTED) {
                printf("%-5s %s\n", exa_net_precision_name((exa_net_precision)precision),
                       exa_error_last()->message);
                break;
            }
            if (failed(st)) return 1;
            st = measure(l, conv, (exa_net_precision)precision, &ms, &difference);
            if (st == EXA_OK) report(l, conv, (exa_net_precision)precision, ms, difference);
            exa_conv3d_device_destroy(&conv);
            if (failed(st)) return 1;
        }
    }
    return 0;
}

static int run(layer *l, const char *json) {
    exa_device device;
    if (failed(make_data(l)) || failed(on_cpu(l)) || failed(exa_device_get(l->device, &device)) ||
        failed(exa_device_copy_rate(l->device, &l->copy_rate))) {
        return 1;
    }
    for (int p = EXA_NET_FP32; p <= EXA_NET_FP16; p++) {
        l->matrix_rate[p] = 1;
        if ((p == EXA_NET_FP32 || device.major >= 8) &&
            failed(exa_device_matrix_rate(l->device, (exa_net_precision)p, &l->matrix_rate[p]))) {
            return 1;
        }
    }
    printf("%d -> %d channels on %d x %d x %d, batch %d, %d rounds, %s: copies %.2f TB/s, products fp16 %.1f, tf32 "
           "%.1f, fp32 "
           "%.1f TFLOP/s\n",
           l->features, l->features, l->shape[0], l->shape[1], l->shape[2], l->batch, l->rounds, device.name,
           1e-12 * l->copy_rate, 1e-12 * l->matrix_rate[EXA_NET_FP16], 1e-12 * l->matrix_rate[EXA_NET_TF32],
           1e-12 * l->matrix_rate[EXA_NET_FP32]);
    printf("%-5s %-86s %8s %8s %8s %6s %6s %9s\n", "prec", "kernel", "ms", "tflops", "done", "%mat", "%roof",
           "max_diff");
    l->json = json ? fopen(json, "w") : NULL;
    l->first = true;
    if (l->json) {
        fprintf(l->json,
                "{\"bench\": \"conv3d\", \"backend\": \"cuda\", \"gpu\": \"%s\", \"features\": %d, \"fov_zyx\": "
                "[%d, %d, %d], "
                "\"batch\": %d, \"rounds\": %d, \"copy_tb_s\": %.3f, \"fp16_tflops\": %.1f, \"tf32_tflops\": %.1f, "
                "\"fp32_tflops\": %.1f, \"variants\": [",
                device.name, l->features, l->shape[0], l->shape[1], l->shape[2], l->batch, l->rounds,
                1e-12 * l->copy_rate, 1e-12 * l->matrix_rate[EXA_NET_FP16], 1e-12 * l->matrix_rate[EXA_NET_TF32],
                1e-12 * l->matrix_rate[EXA_NET_FP32]);
    }
    int rc = run_all(l);
    if (l->json) {
        fprintf(l->json, "]}\n");
        fclose(l->json);
    }
    return rc;
}

int bench_conv3d_cuda(int features, const int shape[3], int rounds, int argc, char **argv) {
    const char *reason;
    layer l = {.features = features,
               .shape = {shape[0], shape[1], shape[2]},
               .batch = atoi(bench_option(argc, argv, "--batch", "8")),
               .rounds = rounds,
               .device = atoi(bench_option(argc, argv, "--device", "0"))};
    l.voxels = (size_t)shape[0] * (size_t)shape[1] * (size_t)shape[2];
    if (l.batch < 1 || features % 16 != 0) {
        fprintf(stderr,
                "bench_conv3d: --backend cuda wants --batch of at least 1 and --features in multiples of 16\n");
        return 2;
    }
    if (exa_device_count(&reason) == 0) {
        fprintf(stderr, "bench_conv3d: no GPU to measure: %s\n", reason);
        return 1;
    }
    int rc = run(&l, bench_option(argc, argv, "--json", NULL));
    free(l.weights);
    free(l.biases);
    free(l.in);
    free(l.out);
    free(l.want);
    free(l.overflow);
    return rc;
}
