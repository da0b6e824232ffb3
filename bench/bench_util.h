/* What every benchmark here shares: a clock, medians, the measured multiply-add peak, random numbers. */
#ifndef EXA_BENCH_UTIL_H
#define EXA_BENCH_UTIL_H

#include "exaconn/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

double bench_now_s(void);

typedef struct bench_stats {
    double min, median, max;
    int count;
} bench_stats;

/* Sorts `samples`. */
bench_stats bench_stats_of(double *samples, int count);

/* fp32 multiply-add GFLOP/s (2 per multiply-add) that one core reaches on registers alone with the widest vectors
 * of `isa`; the best of several short runs, so that a noisy machine understates rather than overstates a
 * percentage. */
double bench_peak_gflops(exa_isa isa);

/* The same on `threads` threads at once. */
double bench_peak_gflops_threads(exa_isa isa, int threads);

/* splitmix64 to [-1, 1). */
float bench_random(uint64_t *state);

/* "value" after "--name" among the arguments, or otherwise; bench_flag: whether "--name" is there. */
const char *bench_option(int argc, char **argv, const char *name, const char *otherwise);
bool bench_flag(int argc, char **argv, const char *name);

/* Names to enumerators; exits with a message if unknown. */
exa_isa bench_isa(const char *name);
#endif
