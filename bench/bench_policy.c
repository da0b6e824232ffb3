/* How many chunks a second the lease policy gives out and takes back, alone: no messages, no work.
 *
 *   bench_policy [--chunks N] [--workers W] [--repeat R]
 *
 * Workers of different speeds ask in turn and report everything they have at a virtual time that fits their speed.
 * Checked: every chunk is done once. Columns: docs/benchmarks.md. */
#include "bench_util.h"

#include "exaconn/policy.h"

#include <stdio.h>
#include <stdlib.h>

enum { ROOM = 4096, MAX_REPEAT = 100 };

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_policy: %s\n", exa_error_last()->message);
    exit(1);
}

typedef struct result {
    double create_s, run_s;
    uint64_t leases, calls;
} result;

static result run(const exa_policy_item *items, size_t chunks, uint32_t workers) {
    const exa_policy_options options = exa_policy_defaults();
    static exa_policy_lease leases[ROOM];
    exa_policy *p = NULL;
    result r = {.create_s = bench_now_s()};
    uint64_t first = 0;
    double now = 0;

    need(exa_policy_create(items, chunks, &options, &p));
    for (uint32_t w = 0; w < workers; w++) need(exa_policy_add_worker(p, w, UINT64_MAX, 0));
    r.run_s = bench_now_s();
    r.create_s = r.run_s - r.create_s;
    while (exa_policy_get_state(p) == EXA_POLICY_RUNNING) {
        for (uint32_t w = 0; w < workers; w++) {
            size_t n;
            need(exa_policy_take(p, w, now, leases, ROOM, &n));
            r.calls++;
            for (size_t i = 0; i < n; i++)
                first += exa_policy_done(p, w, leases[i].item, now + (double)(i + 1) * (1 + w % 7), NULL) ==
                         EXA_POLICY_FIRST;
        }
        now += 60;
    }
    r.run_s = bench_now_s() - r.run_s;
    r.leases = exa_policy_get_counters(p).leases;
    if (first != chunks) {
        fprintf(stderr, "bench_policy: %llu of %zu chunks done\n", (unsigned long long)first, chunks);
        exit(1);
    }
    exa_policy_destroy(&p);
    return r;
}

int main(int argc, char **argv) {
    size_t chunks = (size_t)atoll(bench_option(argc, argv, "--chunks", "4000000"));
    uint32_t workers = (uint32_t)atoll(bench_option(argc, argv, "--workers", "4000"));
    int repeat = atoi(bench_option(argc, argv, "--repeat", "5"));
    double create[MAX_REPEAT], rate[MAX_REPEAT];
    uint64_t state = 1;
    exa_policy_item *items = malloc(chunks * sizeof *items);
    result r = {0};

    if (!items || chunks < 1 || workers < 1 || repeat < 1 || repeat > MAX_REPEAT) {
        fprintf(stderr, "usage: bench_policy [--chunks N] [--workers W] [--repeat 1..%d]\n", MAX_REPEAT);
        return 2;
    }
    for (size_t i = 0; i < chunks; i++)
        items[i] = (exa_policy_item){.id = i, .cost = 2.0 + (double)bench_random(&state), .memory_bytes = 1};
    for (int k = 0; k < repeat; k++) {
        r = run(items, chunks, workers);
        create[k] = r.create_s;
        rate[k] = (double)chunks / r.run_s * 1e-6;
    }
    bench_stats c = bench_stats_of(create, repeat), m = bench_stats_of(rate, repeat);
    printf("%10s %8s %8s %10s %12s %12s %12s\n", "chunks", "workers", "create_s", "per_lease", "min_Mchunk/s",
           "median", "max");
    printf("%10zu %8u %8.2f %10.1f %12.2f %12.2f %12.2f\n", chunks, workers, c.median,
           (double)r.leases / (double)r.calls, m.min, m.median, m.max);
    free(items);
    return 0;
}
