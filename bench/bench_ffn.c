/* Steps of a whole FFN: time per step, effective GFLOP/s, and percent of the multiply-add peak of the same run.
 *
 *   bench_ffn (--weights FILE.h5 | --random) [--threads 1] [--batch 1] [--kernel auto|reference|direct|winograd]
 *             [--isa auto|portable|avx2|avx512] [--repeat 20] [--warmup 3] [--bind] [--json FILE] [--no-check]
 *             [--no-peak]
 *   bench_ffn (--weights FILE.h5 | --random) --backend cuda [--precision fp16|tf32|fp32] [--batch 1] [--repeat 20]
 *             [--device 0] [--no-graph] [--json FILE] [--no-check] [--no-peak]      (bench_ffn_cuda.c)
 *
 * --random makes a network of FIB-25's shape (depth 12, 32 features, 33^3). One sample is one call with `batch`
 * FOVs. The result is compared with another kernel's (direct, portable vectors) before anything is timed. Columns
 * and JSON members are defined in docs/benchmarks.md.
 */
#include "bench_ffn_cuda.h"
#include "bench_util.h"

#include "exaconn/box.h"
#include "exaconn/ffn_model.h"
#include "exaconn/ffn_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BATCH = 256, MAX_REPEAT = 10000 };

typedef struct options {
    int threads, batch, repeat, warmup;
    exa_ffn_kernel kernel;
    exa_isa isa;
} options;

typedef struct fovs {
    size_t voxels;
    const float *image[MAX_BATCH], *seed[MAX_BATCH];
    float *logits[MAX_BATCH];
} fovs;

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_ffn: %s\n", exa_error_last()->message);
    exit(1);
}

static exa_ffn_kernel kernel_of(const char *name) {
    for (int k = EXA_FFN_KERNEL_AUTO; k <= EXA_FFN_KERNEL_WINOGRAD; k++) {
        if (strcmp(exa_ffn_kernel_name((exa_ffn_kernel)k), name) == 0) return (exa_ffn_kernel)k;
    }
    fprintf(stderr, "bench_ffn: no kernel '%s'\n", name);
    exit(2);
}

/* Weights scaled so that activations neither die nor explode over 12 modules. */
static exa_ffn_model *random_model(void) {
    static const exa_coord fov[3] = {33, 33, 33}, deltas[3] = {8, 8, 8};
    exa_ffn_model *m = NULL;
    uint64_t state = 2024;
    need(exa_ffn_model_create(12, 32, fov, deltas, &m));
    for (int i = 0; i < m->layer_count; i++) {
        exa_ffn_layer *l = &m->layers[i];
        size_t fan_in = (size_t)l->cin * (l->kernel == 3 ? 27 : 1), count = fan_in * (size_t)l->cout;
        for (size_t k = 0; k < count; k++) l->weights[k] = bench_random(&state) * sqrtf(3.0f / (float)fan_in);
        for (int k = 0; k < l->cout; k++) l->biases[k] = 0.1f * bench_random(&state);
    }
    return m;
}

static fovs make_fovs(const exa_ffn_model *m, int batch) {
    fovs f = {.voxels = (size_t)(m->fov[0] * m->fov[1] * m->fov[2])};
    uint64_t state = 7;
    for (int i = 0; i < batch; i++) {
        float *image, *seed;
        need(exa_alloc(f.voxels, sizeof(float), "an image", &image));
        need(exa_alloc(f.voxels, sizeof(float), "a seed", &seed));
        need(exa_calloc(f.voxels, sizeof(float), "logits", &f.logits[i]));
        for (size_t v = 0; v < f.voxels; v++) {
            image[v] = 2 * bench_random(&state);
            seed[v] = v % 3 ? -2.9444389f : 3 * bench_random(&state);
        }
        f.image[i] = image;
        f.seed[i] = seed;
    }
    return f;
}

/* The first FOV's largest difference from another kernel, relative to its largest logit. */
static double check(const exa_ffn_model *m, const fovs *f, exa_ffn_kernel kernel) {
    exa_ffn_net *other = NULL;
    float *want;
    double worst = 0, scale = 1;
    exa_ffn_kernel against = kernel == EXA_FFN_KERNEL_DIRECT ? EXA_FFN_KERNEL_WINOGRAD : EXA_FFN_KERNEL_DIRECT;

    need(exa_alloc(f->voxels, sizeof *want, "logits", &want));
    need(exa_ffn_net_create(m, against, EXA_ISA_PORTABLE, NULL, &other));
    need(exa_ffn_net_infer(other, 1, f->image, f->seed, &want));
    for (size_t v = 0; v < f->voxels; v++) {
        double d = fabs((double)want[v] - (double)f->logits[0][v]);
        if (!(d <= worst)) worst = d;
        scale = fmax(scale, fabs((double)want[v]));
    }
    exa_ffn_net_destroy(&other);
    free(want);
    if (!(worst / scale < 1e-4)) {
        fprintf(stderr, "bench_ffn: the result is wrong by %g of %g\n", worst, scale);
        exit(1);
    }
    return worst / scale;
}

static bench_stats measure(exa_ffn_net *net, const fovs *f, const options *o) {
    static double seconds[MAX_REPEAT];
    size_t n = (size_t)o->batch;
    for (int i = 0; i < o->warmup; i++) need(exa_ffn_net_infer(net, n, f->image, f->seed, f->logits));
    for (int i = 0; i < o->repeat; i++) {
        double begin = bench_now_s();
        need(exa_ffn_net_infer(net, n, f->image, f->seed, f->logits));
        seconds[i] = (bench_now_s() - begin) / o->batch;
    }
    return bench_stats_of(seconds, o->repeat);
}

static void report(const exa_ffn_model *m, const exa_ffn_net *net, const options *o, bench_stats s,
                   double difference, double peak, const char *json) {
    double gflop = 1e-9 * exa_ffn_model_flops(m), rate = gflop / s.median;
    printf("%s, batch %d, fov %lldx%lldx%lld, depth %d, %d features, %s\n", exa_ffn_net_description(net), o->batch,
           (long long)m->fov[0], (long long)m->fov[1], (long long)m->fov[2], m->depth, m->features,
           exa_cpu_model());
    printf("%10s %10s %10s %11s %11s %7s %10s %9s\n", "min_ms", "median_ms", "max_ms", "eff_gflops", "peak_gflops",
           "%peak", "rel_diff", "memory_mb");
    printf("%10.2f %10.2f %10.2f %11.0f %11.0f %7.1f %10.1e %9.1f\n", 1e3 * s.min, 1e3 * s.median, 1e3 * s.max,
           rate, peak, peak > 0 ? 100 * rate / peak : 0, difference, 1e-6 * (double)exa_ffn_net_memory_bytes(net));
    if (!json) return;
    FILE *f = fopen(json, "w");
    if (!f) {
        perror(json);
        exit(1);
    }
    fprintf(
        f,
        "{\"bench\": \"ffn\", \"kernel\": \"%s\", \"cpu\": \"%s\", \"threads\": %d, \"batch\": %d, \"repeat\": %d, "
        "\"gflop_per_step\": %.3f, \"min_ms\": %.4f, \"median_ms\": %.4f, \"max_ms\": %.4f, "
        "\"effective_gflops\": %.1f, \"peak_gflops\": %.1f, \"relative_difference\": %.3g}\n",
        exa_ffn_net_description(net), exa_cpu_model(), o->threads, o->batch, s.count, gflop, 1e3 * s.min,
        1e3 * s.median, 1e3 * s.max, rate, peak, difference);
    fclose(f);
}

int main(int argc, char **argv) {
    const char *weights = bench_option(argc, argv, "--weights", NULL);
    exa_ffn_model *model = NULL;
    exa_pool *pool = NULL;
    exa_ffn_net *net = NULL;
    options o = {.threads = atoi(bench_option(argc, argv, "--threads", "1")),
                 .batch = atoi(bench_option(argc, argv, "--batch", "1")),
                 .repeat = atoi(bench_option(argc, argv, "--repeat", "20")),
                 .warmup = atoi(bench_option(argc, argv, "--warmup", "3")),
                 .kernel = kernel_of(bench_option(argc, argv, "--kernel", "auto")),
                 .isa = bench_isa(bench_option(argc, argv, "--isa", "auto"))};

    if (o.batch < 1 || o.batch > MAX_BATCH || o.repeat < 1 || o.repeat > MAX_REPEAT ||
        (!weights && !bench_flag(argc, argv, "--random"))) {
        fprintf(stderr,
                "usage: bench_ffn (--weights FILE | --random) [--threads N] [--batch 1..%d] [--repeat 1..%d] ...\n",
                MAX_BATCH, MAX_REPEAT);
        return 2;
    }
    if (weights) {
        need(exa_ffn_model_read(weights, &model));
    } else {
        model = random_model();
    }
    if (strcmp(bench_option(argc, argv, "--backend", "cpu"), "cuda") == 0) return bench_ffn_cuda(model, argc, argv);
    need(exa_pool_create(o.threads, bench_flag(argc, argv, "--bind"), &pool));
    need(exa_ffn_net_create(model, o.kernel, o.isa, pool, &net));
    fovs f = make_fovs(model, o.batch);
    need(exa_ffn_net_infer(net, (size_t)o.batch, f.image, f.seed, f.logits));
    double difference = bench_flag(argc, argv, "--no-check") ? 0 : check(model, &f, o.kernel);
    bench_stats s = measure(net, &f, &o);
    double peak = bench_flag(argc, argv, "--no-peak") ? 0 : bench_peak_gflops_threads(o.isa, o.threads);
    report(model, net, &o, s, difference, peak, bench_option(argc, argv, "--json", NULL));
    for (int i = 0; i < o.batch; i++) {
        free((void *)(uintptr_t)f.image[i]);
        free((void *)(uintptr_t)f.seed[i]);
        free(f.logits[i]);
    }
    exa_ffn_net_destroy(&net);
    exa_pool_destroy(&pool);
    exa_ffn_model_destroy(&model);
    return 0;
}
