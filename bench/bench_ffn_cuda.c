/* Steps of a whole FFN on a GPU: steps/s at a batch, TFLOP/s, and percent of the matrix rate of the same run.
 * Checked against the CPU before anything is reported. Columns and JSON members are defined in docs/benchmarks.md.
 */
#include "bench_ffn_cuda.h"
#include "bench_util.h"

#include "exaconn/box.h"
#include "exaconn/conv3d_device.h"
#include "exaconn/device.h"
#include "exaconn/ffn_device_net.h"
#include "exaconn/ffn_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct work {
    const exa_ffn_model *model;
    exa_device_net_options options;
    int batch, repeat, calls;
    bool graph;
    size_t voxels;
    float *input, *logits; /* [batch, voxels, 2], [batch, voxels] */
} work;

static bool failed(exa_status st) {
    if (st != EXA_OK) fprintf(stderr, "bench_ffn: %s\n", exa_error_last()->message);
    return st != EXA_OK;
}

static exa_status make_inputs(work *w) {
    uint64_t state = 7;
    EXA_TRY(exa_alloc((size_t)w->batch * w->voxels * 2, sizeof(float), "inputs", &w->input));
    EXA_TRY(exa_alloc((size_t)w->batch * w->voxels, sizeof(float), "logits", &w->logits));
    for (size_t v = 0; v < (size_t)w->batch * w->voxels; v++) {
        w->input[2 * v] = 2 * bench_random(&state);
        w->input[2 * v + 1] = v % 3 ? -2.9444389f : 3 * bench_random(&state);
    }
    return EXA_OK;
}

/* Largest difference of the last FOV's logits from the CPU's, and the largest logit. */
static exa_status compare(const work *w, double *difference, double *scale) {
    exa_ffn_net *cpu = NULL;
    float *image = NULL, *seed = NULL, *want = NULL;
    size_t last = (size_t)(w->batch - 1) * w->voxels;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_alloc(w->voxels, sizeof(float), "an image", &image));
    EXA_GOTO(done, exa_alloc(w->voxels, sizeof(float), "a seed", &seed));
    EXA_GOTO(done, exa_alloc(w->voxels, sizeof(float), "logits", &want));
    for (size_t v = 0; v < w->voxels; v++) {
        image[v] = w->input[2 * (last + v)];
        seed[v] = w->input[2 * (last + v) + 1];
    }
    EXA_GOTO(done, exa_ffn_net_create(w->model, EXA_FFN_KERNEL_DIRECT, EXA_ISA_AUTO, NULL, &cpu));
    EXA_GOTO(done, exa_ffn_net_infer(cpu, 1, (const float *const *)&image, (const float *const *)&seed, &want));
    *difference = *scale = 0;
    for (size_t v = 0; v < w->voxels; v++) {
        double d = fabs((double)want[v] - (double)w->logits[last + v]);
        if (!(d <= *difference)) *difference = d;
        *scale = fmax(*scale, fabs((double)want[v]));
    }
done:
    exa_ffn_net_destroy(&cpu);
    free(image);
    free(seed);
    free(want);
    return st;
}

static void report(const work *w, const exa_device_net *net, exa_device_net_times t, double rate, double relative,
                   const char *json) {
    double flops = exa_ffn_model_flops(w->model) * w->batch, reached = 1e3 * flops / t.median_ms;
    double steps = 1e3 * w->batch / t.median_ms;
    exa_device device = {0};
    (void)exa_device_get(w->options.device, &device);
    printf("%s, batch %d, fov %lldx%lldx%lld, depth %d, %d features, %s\n", exa_device_net_description(net),
           w->batch, (long long)w->model->fov[0], (long long)w->model->fov[1], (long long)w->model->fov[2],
           w->model->depth, w->model->features, w->graph ? "graph" : "launches");
    printf("%9s %9s %9s %9s %10s %9s %9s %7s %10s\n", "min_ms", "median_ms", "max_ms", "host_ms", "steps_per_s",
           "tflops", "matrix", "%matrix", "rel_diff");
    printf("%9.4f %9.4f %9.4f %9.4f %10.0f %9.1f %9.1f %7.1f %10.1e\n", t.min_ms, t.median_ms, t.max_ms, t.host_ms,
           steps, 1e-12 * reached, 1e-12 * rate, rate > 0 ? 100 * reached / rate : 0, relative);
    FILE *f = json ? fopen(json, "w") : NULL;
    if (!f) return;
    fprintf(f,
            "{\"bench\": \"ffn\", \"backend\": \"cuda\", \"gpu\": \"%s\", \"capability\": \"%d.%d\", \"kernel\": "
            "\"%s\", "
            "\"precision\": \"%s\", \"batch\": %d, \"graph\": %s, \"repeat\": %d, \"calls\": %d, \"min_ms\": %.5f, "
            "\"median_ms\": %.5f, \"max_ms\": %.5f, \"host_ms\": %.5f, \"steps_per_s\": %.1f, \"tflops\": %.2f, "
            "\"matrix_tflops\": %.2f, \"relative_difference\": %.3g, \"gflop_per_step\": %.4f}\n",
            device.name, device.major, device.minor, exa_device_net_description(net),
            exa_net_precision_name(w->options.precision), w->batch, w->graph ? "true" : "false", w->repeat,
            w->calls, t.min_ms, t.median_ms, t.max_ms, t.host_ms, steps, 1e-12 * reached, 1e-12 * rate, relative,
            1e-9 * exa_ffn_model_flops(w->model));
    fclose(f);
}

static int run(work *w, int argc, char **argv) {
    exa_device_net *net = NULL;
    exa_device_net_times t;
    double rate = 0, difference = 0, scale = 1;
    int rc = 1;

    if (failed(make_inputs(w)) || failed(exa_ffn_device_net_create(w->model, &w->options, &net))) goto done;
    if (failed(
            exa_device_net_time(net, w->batch, w->voxels, w->input, w->calls, w->repeat, w->graph, w->logits, &t)))
        goto done;
    if (!bench_flag(argc, argv, "--no-check")) {
        if (failed(compare(w, &difference, &scale))) goto done;
        double allowed = w->options.precision == EXA_NET_FP32 ? 1e-4 : 1e-2;
        if (!(difference <= allowed * scale)) {
            fprintf(stderr, "bench_ffn: the result is wrong by %g of %g\n", difference, scale);
            goto done;
        }
    }
    if (!bench_flag(argc, argv, "--no-peak") &&
        failed(exa_device_matrix_rate(w->options.device, w->options.precision, &rate))) {
        goto done;
    }
    report(w, net, t, rate, difference / scale, bench_option(argc, argv, "--json", NULL));
    rc = 0;
done:
    exa_device_net_destroy(&net);
    free(w->input);
    free(w->logits);
    return rc;
}

int bench_ffn_cuda(const exa_ffn_model *model, int argc, char **argv) {
    const char *reason, *precision = bench_option(argc, argv, "--precision", "fp16");
    work w = {.model = model,
              .batch = atoi(bench_option(argc, argv, "--batch", "1")),
              .repeat = atoi(bench_option(argc, argv, "--repeat", "20")),
              .graph = !bench_flag(argc, argv, "--no-graph"),
              .voxels = (size_t)(model->fov[0] * model->fov[1] * model->fov[2])};
    w.calls = w.batch >= 16 ? 4 : 64 / w.batch;
    w.options = (exa_device_net_options){
        .max_batch = w.batch, .device = atoi(bench_option(argc, argv, "--device", "0")), .tune = true};
    while (w.options.precision <= EXA_NET_FP16 &&
           strcmp(exa_net_precision_name(w.options.precision), precision) != 0) {
        w.options.precision++;
    }
    if (w.options.precision > EXA_NET_FP16) {
        fprintf(stderr, "bench_ffn: no precision '%s'; there are fp32, tf32, fp16\n", precision);
        return 2;
    }
    if (exa_device_count(&reason) == 0) {
        fprintf(stderr, "bench_ffn: no GPU to measure: %s\n", reason);
        return 1;
    }
    return run(&w, argc, argv);
}
