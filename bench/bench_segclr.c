/* Patches through a SegCLR network: time per patch, effective GFLOP/s, and percent of the multiply-add peak of the
 * same run.
 *
 *   bench_segclr [--weights FILE.h5] [--variant tf1|tf2] [--patch 129] [--threads 1] [--batch THREADS]
 *                [--kernel auto|direct] [--isa auto|portable|avx2|avx512] [--repeat 5] [--warmup 1] [--dense]
 *                [--radius R] [--no-skip] [--no-check] [--no-peak] [--layers]
 *
 * Without weights a random ResNet-18. Patches are a tube of noise in the dark, of R voxels' radius (a quarter of
 * the patch); --dense: noise everywhere. --no-skip: nothing is copied from an empty patch. One sample is one call
 * with `batch` patches. The first embedding is compared with direct convolution's before anything is timed.
 * --layers times each kind of convolution alone instead, by kernel.
 */
#include "bench_util.h"

#include "exaconn/box.h"
#include "exaconn/conv3d.h"
#include "exaconn/segclr_net.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_BATCH = 64, MAX_REPEAT = 1000, MAX_FLOATS = 1024 };

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_segclr: %s\n", exa_error_last()->message);
    exit(1);
}

static exa_segclr_model *make_model(int argc, char **argv) {
    const char *weights = bench_option(argc, argv, "--weights", NULL);
    exa_segclr_geometry g = {EXA_SEGCLR_TF1, 18, 64, 3, 64};
    exa_segclr_model *m = NULL;

    if (strcmp(bench_option(argc, argv, "--variant", "tf1"), "tf2") == 0) g.variant = EXA_SEGCLR_TF2;
    if (weights) {
        need(exa_segclr_model_read(weights, &m));
    } else {
        need(exa_segclr_model_create(&g, &m));
        need(exa_segclr_model_randomize(m, 1));
    }
    for (int a = 0; a < 3; a++) m->patch[a] = atoi(bench_option(argc, argv, "--patch", "129"));
    return m;
}

static float *make_patch(const exa_segclr_model *m, int number, double radius, bool dense) {
    size_t nz = (size_t)m->patch[0], ny = (size_t)m->patch[1], nx = (size_t)m->patch[2];
    uint64_t state = (uint64_t)number;
    float *p;

    need(exa_alloc(nz * ny * nx, sizeof *p, "a patch", &p));
    for (size_t i = 0; i < nz * ny * nx; i++) {
        double z = (double)(i / (ny * nx)) - (double)nz / 2;
        double y = (double)(i / nx % ny) - (double)ny / 4 - (double)(i % nx) / 2;
        float value = (bench_random(&state) + 1) / 2;
        p[i] = dense || z * z + y * y <= radius * radius ? value : 0;
    }
    return p;
}

/* Relative to the embedding's length. */
static double check(const exa_segclr_model *m, exa_pool *pool, const float *patch, const float *embedding) {
    float want[MAX_FLOATS], *to = want;
    double difference = 0, norm = 0;
    exa_segclr_net *net = NULL;

    need(exa_segclr_net_create(m, EXA_SEGCLR_KERNEL_DIRECT, EXA_ISA_PORTABLE, pool, &net));
    need(exa_segclr_net_embed(net, 1, &patch, &to));
    exa_segclr_net_destroy(&net);
    for (int i = 0; i < m->geometry.embedding; i++) {
        difference += pow((double)want[i] - (double)embedding[i], 2);
        norm += pow((double)want[i], 2);
    }
    if (!(sqrt(difference / norm) < 1e-5)) {
        fprintf(stderr, "bench_segclr: the embedding is wrong by %g of its length\n", sqrt(difference / norm));
        exit(1);
    }
    return sqrt(difference / norm);
}

/* ---- convolutions alone ------------------------------------------------------------------------- */

static double time_layer(exa_conv3d_kind kind, exa_isa isa, const exa_conv3d_layer *l, int repeat) {
    exa_conv3d_plan plan;
    float *in, *out, *packed, *scratch, *weights;
    size_t in_floats, out_floats, bytes, count = (size_t)(l->kernel * l->kernel * l->kernel * l->cin * l->cout);
    double best = 1e30;
    uint64_t state = 1;

    need(exa_conv3d_plan_layer(kind, isa, l, &plan));
    in_floats = exa_conv3d_in_grid_voxels(&plan) * (size_t)plan.in_stride;
    out_floats = exa_conv3d_grid_voxels(&plan) * (size_t)plan.out_stride;
    need(exa_huge_calloc(in_floats, "a grid", &in, &bytes));
    need(exa_huge_calloc(out_floats, "a grid", &out, &bytes));
    need(exa_huge_calloc(plan.packed_floats, "weights", &packed, &bytes));
    need(exa_huge_calloc(plan.scratch_floats + 16, "scratch", &scratch, &bytes));
    need(exa_calloc(count + (size_t)l->cout, sizeof *weights, "weights", &weights));
    for (size_t i = 0; i < count; i++) weights[i] = 0.01f * bench_random(&state);
    for (size_t i = 0; i < in_floats; i++) in[i] = bench_random(&state);
    exa_conv3d_pack(&plan, weights, weights + count, packed);
    exa_conv3d_args args = {.in = in, .out = out, .packed = packed};
    for (int i = 0; i <= repeat; i++) {
        double begin = bench_now_s();
        exa_conv3d_run(&plan, &args, 0, plan.rows, scratch);
        if (i > 0) best = fmin(best, bench_now_s() - begin);
    }
    free(in);
    free(out);
    free(packed);
    free(scratch);
    free(weights);
    return best;
}

static void time_layers(exa_isa isa, int repeat) {
    static const struct {
        int voxels, kernel, stride, cin, cout;
    } layers[] = {{33, 3, 1, 64, 64},   {33, 3, 2, 64, 128}, {17, 3, 1, 128, 128},
                  {17, 3, 2, 128, 256}, {9, 3, 1, 256, 256}, {9, 3, 2, 256, 512},
                  {5, 3, 1, 512, 512},  {33, 1, 1, 64, 64},  {33, 1, 2, 64, 128}};
    printf("%7s %6s %6s %5s %5s  %10s  %s\n", "voxels", "kernel", "stride", "cin", "cout", "direct_ms",
           "winograd_ms by group 1 2 3 6 11");
    for (size_t i = 0; i < sizeof layers / sizeof *layers; i++) {
        int n = layers[i].voxels;
        exa_conv3d_layer l = {{n, n, n}, layers[i].kernel, layers[i].stride, layers[i].cin, layers[i].cout, 0, 0,
                              false};
        printf("%5d^3 %6d %6d %5d %5d  %10.2f ", n, l.kernel, l.stride, l.cin, l.cout,
               1e3 * time_layer(EXA_CONV3D_DIRECT, isa, &l, repeat));
        for (int group = 1; l.kernel == 3 && l.stride == 1 && group <= (n + 2) / 3; group += group < 3    ? 1
                                                                                             : group == 3 ? 3
                                                                                                          : 5) {
            l.group = group;
            printf(" %7.2f", 1e3 * time_layer(EXA_CONV3D_WINOGRAD, isa, &l, repeat));
            fflush(stdout);
        }
        printf("\n");
    }
    exa_conv3d_layer stem = {{1, 129, 129}, 7, 2, 1, 64, 1, 0, true};
    printf("stem, all 65 planes: %.2f ms\n", 65e3 * time_layer(EXA_CONV3D_DIRECT, isa, &stem, 5 * repeat));
}

/* Processor time of all threads: what a busy machine does not lengthen. */
static double cpu_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- the whole ---------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    int threads = atoi(bench_option(argc, argv, "--threads", "1")), repeat, warmup, batch;
    exa_isa isa = bench_isa(bench_option(argc, argv, "--isa", "auto"));
    bool direct = strcmp(bench_option(argc, argv, "--kernel", "auto"), "direct") == 0;
    const float *patch[MAX_BATCH];
    float *embedding[MAX_BATCH];
    static double seconds[MAX_REPEAT];
    exa_segclr_net *net = NULL;
    exa_pool *pool = NULL;

    repeat = atoi(bench_option(argc, argv, "--repeat", "5"));
    warmup = atoi(bench_option(argc, argv, "--warmup", "1"));
    batch = atoi(bench_option(argc, argv, "--batch", bench_option(argc, argv, "--threads", "1")));
    if (threads < 1 || batch < 1 || batch > MAX_BATCH || repeat < 1 || repeat > MAX_REPEAT) {
        fprintf(stderr, "usage: bench_segclr [--threads N] [--batch 1..%d] [--repeat 1..%d] ...\n", MAX_BATCH,
                MAX_REPEAT);
        return 2;
    }
    if (bench_flag(argc, argv, "--layers")) {
        time_layers(isa, repeat);
        return 0;
    }
    exa_segclr_model *m = make_model(argc, argv);
    double radius = atof(bench_option(argc, argv, "--radius", "0"));
    if (!(radius > 0)) radius = (double)m->patch[1] / 4;
    need(exa_pool_create(threads, false, &pool));
    need(exa_segclr_net_create(m, direct ? EXA_SEGCLR_KERNEL_DIRECT : EXA_SEGCLR_KERNEL_AUTO, isa, pool, &net));
    for (int i = 0; i < batch; i++) {
        patch[i] = make_patch(m, i, radius, bench_flag(argc, argv, "--dense"));
        need(exa_calloc((size_t)m->geometry.embedding, sizeof(float), "embeddings", &embedding[i]));
    }
    need(exa_segclr_net_skip(net, !bench_flag(argc, argv, "--no-skip")));
    need(exa_segclr_net_embed(net, (size_t)batch, patch, embedding));
    double difference = bench_flag(argc, argv, "--no-check") ? 0 : check(m, pool, patch[0], embedding[0]);
    for (int i = 0; i < warmup; i++) need(exa_segclr_net_embed(net, (size_t)batch, patch, embedding));
    double cpu_begin = cpu_s();
    for (int i = 0; i < repeat; i++) {
        double begin = bench_now_s();
        need(exa_segclr_net_embed(net, (size_t)batch, patch, embedding));
        seconds[i] = (bench_now_s() - begin) / batch;
    }
    bench_stats s = bench_stats_of(seconds, repeat);
    double cpu_ms = 1e3 * (cpu_s() - cpu_begin) / repeat / batch;
    double gflop = 1e-9 * exa_segclr_model_flops(m);
    double peak = bench_flag(argc, argv, "--no-peak") ? 0 : bench_peak_gflops_threads(isa, threads);
    printf("%s, batch %d, %s\n", exa_segclr_net_description(net), batch, exa_cpu_model());
    printf("%10s %10s %10s %10s %11s %11s %7s %10s %9s\n", "min_ms", "median_ms", "max_ms", "cpu_ms", "eff_gflops",
           "peak_gflops", "%peak", "rel_diff", "memory_mb");
    printf("%10.1f %10.1f %10.1f %10.1f %11.1f %11.1f %7.1f %10.1e %9.1f\n", 1e3 * s.min, 1e3 * s.median,
           1e3 * s.max, cpu_ms, gflop / s.median, peak, peak > 0 ? 100 * gflop / s.median / peak : 0, difference,
           1e-6 * (double)exa_segclr_net_memory_bytes(net));
    for (int i = 0; i < batch; i++) {
        free((void *)(uintptr_t)patch[i]);
        free(embedding[i]);
    }
    exa_segclr_net_destroy(&net);
    exa_pool_destroy(&pool);
    exa_segclr_model_destroy(&m);
    return 0;
}
