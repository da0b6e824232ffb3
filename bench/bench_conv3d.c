/* One 3x3x3 layer, all kernels of ours and oneDNN's best in one interleaved run on the same random data.
 *
 *   bench_conv3d [--features 32] [--fov 33 | --fov-z N --fov-y N --fov-x N] [--threads 1] [--rounds 15] [--json
 * FILE]
 *                [--isa all|portable|avx2|avx512] [--only NAME-PART]
 *
 *   bench_conv3d --backend cuda [--features 32] [--fov 33 ...] [--batch 8] [--rounds 15] [--device 0] [--json FILE]
 *                                                                                  (bench_conv3d_cuda.c)
 *
 * Every round runs every variant three times and keeps its best; the columns are defined in docs/benchmarks.md.
 * Each result is compared with the portable direct kernel's. oneDNN takes part if CMake found it (libdnnl-dev).
 */
#include "bench_conv3d_cuda.h"
#include "bench_util.h"

#include "exaconn/box.h"
#include "exaconn/conv3d.h"
#include "exaconn/pool.h"

#include "bench_onednn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_VARIANTS = 24, MAX_ROUNDS = 1000, RUNS_PER_ROUND = 3 };

typedef struct variant {
    char name[64];
    /* ours */
    exa_conv3d_plan plan;
    float *in, *out, *packed, *scratch;
    /* or oneDNN's */
    bench_onednn *onednn;
    double seconds[MAX_ROUNDS];
    double error; /* largest, against the first variant */
} variant;

typedef struct bench {
    int features, shape[3], threads, rounds;
    exa_pool *pool;
    float *weights, *biases; /* TensorFlow layout */
    float *input, *output;   /* dense [z, y, x, c]; output of the first variant */
    variant variants[MAX_VARIANTS];
    int count;
} bench;

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_conv3d: %s\n", exa_error_last()->message);
    exit(1);
}

static float *floats(size_t count) {
    void *p = NULL;
    size_t bytes = (count * sizeof(float) + (1 << 21)) >> 21 << 21;
    if (posix_memalign(&p, 1 << 21, bytes) != 0) abort();
    (void)madvise(p, bytes, MADV_HUGEPAGE);
    memset(p, 0, bytes);
    return p;
}

static size_t voxels(const bench *b) {
    return (size_t)b->shape[0] * (size_t)b->shape[1] * (size_t)b->shape[2];
}

static void make_data(bench *b) {
    uint64_t state = 1;
    size_t c = (size_t)b->features, weights = 27 * c * c;
    b->weights = floats(weights);
    b->biases = floats(c);
    b->input = floats(voxels(b) * c);
    b->output = floats(voxels(b) * c);
    for (size_t i = 0; i < weights; i++) b->weights[i] = bench_random(&state) / sqrtf(27.0f * (float)c);
    for (size_t i = 0; i < c; i++) b->biases[i] = bench_random(&state);
    for (size_t i = 0; i < voxels(b) * c; i++) b->input[i] = bench_random(&state);
}

/* Dense from or to the padded grid. */
static void copy_grid(const bench *b, const exa_conv3d_plan *plan, float *grid, float *dense, bool to_grid) {
    size_t c = (size_t)b->features, stride = (size_t)plan->out_stride;
    for (int z = 0; z < b->shape[0]; z++)
        for (int y = 0; y < b->shape[1]; y++)
            for (int x = 0; x < b->shape[2]; x++) {
                size_t v = ((size_t)z * (size_t)b->shape[1] + (size_t)y) * (size_t)b->shape[2] + (size_t)x;
                float *g = grid + exa_conv3d_grid_index(plan, z, y, x) * stride;
                memcpy(to_grid ? g : dense + v * c, to_grid ? dense + v * c : g, c * sizeof *g);
            }
}

static void add_own(bench *b, exa_conv3d_kind kind, exa_isa isa) {
    variant *v = &b->variants[b->count++];
    snprintf(v->name, sizeof v->name, "%s %s", kind == EXA_CONV3D_DIRECT ? "direct" : "winograd",
             exa_isa_name(isa));
    need(exa_conv3d_plan_init(kind, isa, b->shape, b->features, b->features, 0, &v->plan));
    v->in = floats(exa_conv3d_grid_voxels(&v->plan) * (size_t)v->plan.in_stride);
    v->out = floats(exa_conv3d_grid_voxels(&v->plan) * (size_t)v->plan.out_stride);
    v->packed = floats(v->plan.packed_floats);
    v->scratch = floats((v->plan.scratch_floats + 1024) * (size_t)b->threads);
    exa_conv3d_pack(&v->plan, b->weights, b->biases, v->packed);
    copy_grid(b, &v->plan, v->in, b->input, true);
}

static void add_onednn(bench *b, bench_onednn_layout layout) {
    bench_onednn *o = bench_onednn_create(layout, b->features, b->shape, b->weights, b->biases, b->input);
    if (!o) return;
    variant *v = &b->variants[b->count++];
    v->onednn = o;
    snprintf(v->name, sizeof v->name, "oneDNN %s", bench_onednn_name(o));
}

typedef struct run_context {
    const bench *b;
    const variant *v;
} run_context;

static void run_member(void *context, int member) {
    const run_context *r = context;
    const variant *v = r->v;
    size_t rows = v->plan.rows, n = (size_t)r->b->threads, m = (size_t)member;
    exa_conv3d_args args = {.in = v->in, .packed = v->packed, .out = v->out, .relu_out = true};
    exa_conv3d_run(&v->plan, &args, rows * m / n, rows * (m + 1) / n,
                   v->scratch + m * ((v->plan.scratch_floats + 1023) / 1024 * 1024));
}

static double run_once(const bench *b, const variant *v) {
    run_context r = {b, v};
    double begin = bench_now_s();
    if (v->onednn) {
        bench_onednn_run(v->onednn);
    } else {
        exa_pool_run(b->pool, run_member, &r);
    }
    return bench_now_s() - begin;
}

static void check(bench *b, variant *v) {
    size_t count = voxels(b) * (size_t)b->features;
    float *dense = floats(count);
    if (v->onednn) {
        bench_onednn_output(v->onednn, dense);
    } else {
        copy_grid(b, &v->plan, v->out, dense, false);
    }
    if (v == &b->variants[0]) memcpy(b->output, dense, count * sizeof *dense);
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)dense[i] - (double)b->output[i]);
        if (!(d <= v->error)) v->error = d;
    }
    free(dense);
    if (!(v->error < 1e-4)) {
        fprintf(stderr, "bench_conv3d: %s is wrong by %g\n", v->name, v->error);
        exit(1);
    }
}

static void report(bench *b, const char *json) {
    double flop = 2.0 * 27 * (double)voxels(b) * b->features * b->features;
    double peak = bench_peak_gflops_threads(EXA_ISA_AUTO, b->threads);
    FILE *f = json ? fopen(json, "w") : NULL;
    printf("%d -> %d channels on %d x %d x %d, %d thread(s), %d rounds, peak %.0f GFLOP/s (%s)\n", b->features,
           b->features, b->shape[0], b->shape[1], b->shape[2], b->threads, b->rounds, peak, exa_cpu_model());
    printf("%-24s %9s %9s %9s %11s %7s %9s\n", "variant", "min_ms", "median_ms", "max_ms", "eff_gflops", "%peak",
           "max_diff");
    if (f) {
        fprintf(f,
                "{\"bench\": \"conv3d\", \"cpu\": \"%s\", \"features\": %d, \"fov_zyx\": [%d, %d, %d], "
                "\"threads\": %d, "
                "\"rounds\": %d, \"peak_gflops\": %.1f, \"variants\": [",
                exa_cpu_model(), b->features, b->shape[0], b->shape[1], b->shape[2], b->threads, b->rounds, peak);
    }
    for (int i = 0; i < b->count; i++) {
        variant *v = &b->variants[i];
        bench_stats s = bench_stats_of(v->seconds, b->rounds);
        double gflops = 1e-9 * flop / s.median;
        printf("%-24s %9.3f %9.3f %9.3f %11.0f %7.1f %9.1e\n", v->name, 1e3 * s.min, 1e3 * s.median, 1e3 * s.max,
               gflops, 100 * gflops / peak, v->error);
        if (f) {
            fprintf(f,
                    "%s{\"name\": \"%s\", \"min_ms\": %.4f, \"median_ms\": %.4f, \"max_ms\": %.4f, "
                    "\"effective_gflops\": %.1f, \"max_diff\": %.3g}",
                    i ? ", " : "", v->name, 1e3 * s.min, 1e3 * s.median, 1e3 * s.max, gflops, v->error);
        }
    }
    if (f) {
        fprintf(f, "]}\n");
        fclose(f);
    }
}

static bool wanted(const char *only, const char *isas, exa_isa isa, const char *kind) {
    return exa_cpu_has(isa) && (!strcmp(isas, "all") || !strcmp(isas, exa_isa_name(isa))) &&
           (!*only || strstr(kind, only));
}

int main(int argc, char **argv) {
    static bench b;
    const char *fov = bench_option(argc, argv, "--fov", "33"), *only = bench_option(argc, argv, "--only", "");
    const char *isas = bench_option(argc, argv, "--isa", "all"),
               *threads = bench_option(argc, argv, "--threads", "1");

    bench_onednn_environment(argv, threads);
    b.features = atoi(bench_option(argc, argv, "--features", "32"));
    b.threads = atoi(threads);
    b.rounds = atoi(bench_option(argc, argv, "--rounds", "15"));
    if (b.rounds < 1 || b.rounds > MAX_ROUNDS || b.threads < 1 || b.features < 1) return 2;
    b.shape[0] = atoi(bench_option(argc, argv, "--fov-z", fov));
    b.shape[1] = atoi(bench_option(argc, argv, "--fov-y", fov));
    b.shape[2] = atoi(bench_option(argc, argv, "--fov-x", fov));
    if (strcmp(bench_option(argc, argv, "--backend", "cpu"), "cuda") == 0) {
        return bench_conv3d_cuda(b.features, b.shape, b.rounds, argc, argv);
    }
    need(exa_pool_create(b.threads, false, &b.pool));
    make_data(&b);
    for (exa_isa isa = EXA_ISA_PORTABLE; isa <= EXA_ISA_AVX512; isa++) {
        if (wanted(only, isas, isa, "direct")) add_own(&b, EXA_CONV3D_DIRECT, isa);
        if (wanted(only, isas, isa, "winograd")) add_own(&b, EXA_CONV3D_WINOGRAD, isa);
    }
    if (!*only || strstr("oneDNN", only)) {
        add_onednn(&b, BENCH_ONEDNN_LAST);
        add_onednn(&b, BENCH_ONEDNN_BLOCKED);
    }
    for (int i = 0; i < b.count; i++) {
        for (int warm = 0; warm < 2; warm++) run_once(&b, &b.variants[i]);
        check(&b, &b.variants[i]);
    }
    for (int round = 0; round < b.rounds; round++) {
        for (int i = 0; i < b.count; i++) {
            double best = INFINITY;
            for (int run = 0; run < RUNS_PER_ROUND; run++) best = fmin(best, run_once(&b, &b.variants[i]));
            b.variants[i].seconds[round] = best;
        }
    }
    report(&b, bench_option(argc, argv, "--json", NULL));
    exa_pool_destroy(&b.pool);
    return 0;
}
