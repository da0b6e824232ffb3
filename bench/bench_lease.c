/* What sharing out costs: items that take a fixed time (sleeping), through leases, over the ranks of mpirun.
 *
 *   mpirun -n N bench_lease [--items N] [--work-ms MS] [--repeat R]
 *
 * Ideal is items * work / ranks; what it took longer is the overhead, with the wait for the last items. Checked:
 * every item is done at least once, and all the others as often as the policy gave them twice. Columns:
 * docs/benchmarks.md. */
#include "bench_util.h"

#include "exaconn/comm.h"
#include "exaconn/lease.h"

#include <mpi.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MAX_REPEAT = 100 };

static double work_ms;
static atomic_ullong done_here;

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_lease: %s\n", exa_error_last()->message);
    exit(1);
}

static exa_status body(exa_lease_task *task, uint64_t id, void *context) {
    struct timespec t = {.tv_sec = (time_t)(work_ms / 1e3)};

    (void)task, (void)id, (void)context;
    t.tv_nsec = (long)((work_ms - 1e3 * (double)t.tv_sec) * 1e6);
    if (work_ms > 0) nanosleep(&t, NULL);
    atomic_fetch_add(&done_here, 1);
    return EXA_OK;
}

static exa_status tick(const exa_lease *lease, const exa_policy_counters *counters, void *context) {
    (void)lease, (void)counters, (void)context;
    return EXA_OK;
}

static double run(const exa_policy_item *items, size_t count) {
    const exa_policy_options options = exa_policy_defaults();
    exa_lease_result r = {0};
    unsigned long long mine, all;
    double began;

    atomic_store(&done_here, 0);
    MPI_Barrier(MPI_COMM_WORLD);
    began = bench_now_s();
    need(exa_lease_run(
        &(exa_lease_work){.items = items, .count = count, .options = &options, .body = body, .tick = tick}, &r));
    MPI_Barrier(MPI_COMM_WORLD);
    began = bench_now_s() - began;
    mine = atomic_load(&done_here);
    MPI_Allreduce(&mine, &all, 1, MPI_UNSIGNED_LONG_LONG, MPI_SUM, MPI_COMM_WORLD);
    if (exa_comm_rank() == 0 && (r.counters.done != count || all < count || all > count + r.counters.speculated)) {
        fprintf(stderr, "bench_lease: %llu bodies for %zu items\n", all, count);
        exit(1);
    }
    free(r.failures);
    free(r.ranks);
    return began;
}

int main(int argc, char **argv) {
    size_t count = (size_t)atoll(bench_option(argc, argv, "--items", "100000"));
    int repeat = atoi(bench_option(argc, argv, "--repeat", "5"));
    double seconds[MAX_REPEAT], ideal;
    exa_policy_item *items = malloc(count * sizeof *items);

    work_ms = atof(bench_option(argc, argv, "--work-ms", "0"));
    need(exa_comm_init());
    if (!items || count < 1 || repeat < 1 || repeat > MAX_REPEAT || !exa_comm_launched()) {
        fprintf(stderr, "usage: mpirun -n N bench_lease [--items N] [--work-ms MS] [--repeat 1..%d]\n", MAX_REPEAT);
        return 2;
    }
    for (size_t i = 0; i < count; i++) items[i] = (exa_policy_item){.id = i, .cost = 1, .memory_bytes = 0};
    for (int k = 0; k < repeat; k++) seconds[k] = run(items, count);
    bench_stats s = bench_stats_of(seconds, repeat);
    ideal = (double)count * work_ms * 1e-3 / exa_comm_size();
    if (exa_comm_rank() == 0) {
        printf("%6s %9s %8s %9s %9s %9s %10s %10s\n", "ranks", "items", "work_ms", "min_s", "median_s", "max_s",
               "items/s", "overhead_%");
        printf("%6d %9zu %8g %9.3f %9.3f %9.3f %10.0f", exa_comm_size(), count, work_ms, s.min, s.median, s.max,
               (double)count / s.median);
        if (ideal > 0)
            printf(" %10.2f\n", 100 * (s.median / ideal - 1));
        else
            printf(" %10s\n", "-");
    }
    free(items);
    exa_comm_finalize();
    return 0;
}
