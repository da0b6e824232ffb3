/* The multiply-add peak is measured by twelve independent chains per vector width: two units of four cycles'
 * latency need eight. Each chain converges to a fixed point, so no value overflows or becomes denormal.
 */
#include "bench_util.h"

#include "exaconn/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 12, PEAK_LOOPS = 200000, PEAK_RUNS = 15 };

double bench_now_s(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bench_stats bench_stats_of(double *samples, int count) {
    bench_stats s = {.count = count};
    qsort(samples, (size_t)count, sizeof *samples, compare_doubles);
    s.min = samples[0];
    s.max = samples[count - 1];
    s.median = count % 2 ? samples[count / 2] : 0.5 * (samples[count / 2 - 1] + samples[count / 2]);
    return s;
}

#if defined(__clang__)
#define UNROLL _Pragma("unroll")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

#define PEAK_FUNCTION(name, floats, attribute)                                                                     \
    attribute static __attribute__((noinline)) float name(int loops) {                                             \
        typedef float vec __attribute__((vector_size((floats)*4)));                                                \
        vec acc[CHAINS], scale = (vec){0} + 0.5f, add = (vec){0} + 0.25f;                                          \
        float sum = 0;                                                                                             \
        UNROLL                                                                                                     \
        for (int i = 0; i < CHAINS; i++) acc[i] = (vec){0} + (float)i;                                             \
        for (int l = 0; l < loops; l++) {                                                                          \
            UNROLL                                                                                                 \
            for (int i = 0; i < CHAINS; i++) acc[i] = acc[i] * scale + add;                                        \
        }                                                                                                          \
        UNROLL                                                                                                     \
        for (int i = 0; i < CHAINS; i++) sum += acc[i][0];                                                         \
        return sum;                                                                                                \
    }

PEAK_FUNCTION(peak_portable, 4, )
#if defined(__x86_64__)
PEAK_FUNCTION(peak_avx2, 8, __attribute__((target("avx2,fma"))))
PEAK_FUNCTION(peak_avx512, 16, __attribute__((target("avx512f"))))
#endif

static float peak_run(exa_isa isa) {
#if defined(__x86_64__)
    if (isa == EXA_ISA_AVX512) return peak_avx512(PEAK_LOOPS);
    if (isa == EXA_ISA_AVX2) return peak_avx2(PEAK_LOOPS);
#endif
    (void)isa;
    return peak_portable(PEAK_LOOPS);
}

typedef struct peak_job {
    exa_isa isa;
    exa_pool *pool;
    double seconds; /* of the slowest member, best run */
    float sink[256];
} peak_job;

static void peak_member(void *context, int member) {
    peak_job *job = context;
    for (int run = 0; run < PEAK_RUNS; run++) {
        exa_pool_barrier(job->pool);
        double begin = bench_now_s();
        job->sink[member % 256] += peak_run(job->isa);
        exa_pool_barrier(job->pool);
        double seconds = bench_now_s() - begin;
        if (member == 0 && (job->seconds <= 0 || seconds < job->seconds)) job->seconds = seconds;
    }
}

double bench_peak_gflops_threads(exa_isa isa, int threads) {
    peak_job job = {.isa = isa == EXA_ISA_AUTO ? exa_cpu_best_isa() : isa};
    int floats = job.isa == EXA_ISA_AVX512 ? 16 : job.isa == EXA_ISA_AVX2 ? 8 : 4;
    if (exa_pool_create(threads, false, &job.pool) != EXA_OK) return 0;
    exa_pool_run(job.pool, peak_member, &job);
    exa_pool_destroy(&job.pool);
    return 2e-9 * floats * CHAINS * (double)PEAK_LOOPS * threads / job.seconds;
}

double bench_peak_gflops(exa_isa isa) {
    return bench_peak_gflops_threads(isa, 1);
}

float bench_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    z ^= z >> 31;
    return (float)((double)(z >> 11) * 0x1p-52 - 1);
}

const char *bench_option(int argc, char **argv, const char *name, const char *otherwise) {
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) return argv[i + 1];
    }
    return otherwise;
}

bool bench_flag(int argc, char **argv, const char *name) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0) return true;
    }
    return false;
}

exa_isa bench_isa(const char *name) {
    for (exa_isa isa = EXA_ISA_AUTO; isa <= EXA_ISA_AVX512; isa++) {
        if (strcmp(exa_isa_name(isa), name) == 0) return isa;
    }
    fprintf(stderr, "no instruction set '%s'; there are auto, portable, avx2, avx512\n", name);
    exit(2);
}
