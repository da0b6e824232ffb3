/* Union-find over ranks against union-find in one process, on the same edges.
 *
 *   mpirun -n 4 bench_union_tree [--edges N] [--alone]
 *
 * The graph: N edges between N ids, most between ids that are near each other, as segments of chunks along a curve
 * are. Each rank makes the edges whose first id it owns. With --alone, rank 0 also joins all edges in one structure
 * and the results are compared by digest. Columns: docs/benchmarks.md. */
#include "bench_util.h"

#include "exaconn/comm.h"
#include "exaconn/hash.h"
#include "exaconn/union_tree.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void need(exa_status st) {
    if (st == EXA_OK) return;
    fprintf(stderr, "bench_union_tree: %s\n", exa_error_last()->message);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* Edge i starts at id i + 1: nine of ten reach up to 100 ids, one a thousandth of all; half are no edge but a loop,
 * so that sets stay small, as neurites do. */
static exa_edge edge_of(uint64_t i, uint64_t ids) {
    uint64_t h = exa_hash_u64(i), reach = h % 10 ? 100 : 1 + ids / 1000;
    exa_segid a = i + 1, b = h >> 32 & 1 ? a : a + exa_hash_u64(h) % reach;
    return (exa_edge){a, b <= ids ? b : ids};
}

static uint64_t digest_of(const exa_mapping *m) {
    uint64_t sum = 0;
    for (size_t i = 0; i < m->count; i++) sum += exa_hash_u64(exa_hash_u64(m->id[i]) ^ m->root[i]);
    return sum;
}

static double peak_mib(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (double)usage.ru_maxrss / 1024;
}

static uint64_t join_alone(uint64_t edges, double *seconds) {
    exa_union_find *sets = NULL;
    exa_mapping m;
    double began = bench_now_s();
    uint64_t digest;

    need(exa_union_find_create(0, &sets));
    for (uint64_t i = 0; i < edges; i++) {
        exa_edge e = edge_of(i, edges);
        need(exa_union_find_join(sets, e.a, e.b));
    }
    need(exa_union_find_mapping(sets, &m));
    *seconds = bench_now_s() - began;
    digest = digest_of(&m);
    exa_mapping_destroy(&m);
    exa_union_find_destroy(&sets);
    return digest;
}

int main(int argc, char **argv) {
    uint64_t edges = (uint64_t)atoll(bench_option(argc, argv, "--edges", "10000000")), digest, all, begin, count,
             most;
    double seconds, mib, alone_s = 0, largest;
    exa_union_tree_counters c;
    exa_segid *first;
    exa_edge *mine;
    exa_mapping m;

    need(exa_comm_init());
    int rank = exa_comm_rank(), size = exa_comm_size();
    first = malloc(((size_t)size + 1) * sizeof *first);
    if (!first) return 1;
    for (int r = 0; r <= size; r++) first[r] = 1 + edges * (uint64_t)r / (uint64_t)size;
    begin = first[rank] - 1;
    count = first[rank + 1] - first[rank];
    mine = malloc((size_t)(count ? count : 1) * sizeof *mine);
    if (!mine) return 1;
    for (uint64_t i = 0; i < count; i++) mine[i] = edge_of(begin + i, edges);
    MPI_Barrier(MPI_COMM_WORLD);
    seconds = bench_now_s();
    need(exa_union_tree(mine, (size_t)count, first, &m, &c));
    MPI_Barrier(MPI_COMM_WORLD);
    seconds = bench_now_s() - seconds;
    mib = peak_mib();
    digest = digest_of(&m);
    MPI_Reduce(&digest, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
    MPI_Reduce(&mib, &largest, 1, MPI_DOUBLE, MPI_MAX, 0, MPI_COMM_WORLD);
    MPI_Reduce(&c.received, &most, 1, MPI_UINT64_T, MPI_MAX, 0, MPI_COMM_WORLD);
    if (rank == 0) {
        printf("%6s %12s %9s %10s %12s %14s\n", "ranks", "edges", "seconds", "Medges/s", "rank_MiB",
               "most_received");
        printf("%6d %12llu %9.2f %10.2f %12.0f %14llu\n", size, (unsigned long long)edges, seconds,
               (double)edges / seconds * 1e-6, largest, (unsigned long long)most);
    }
    exa_mapping_destroy(&m);
    free(mine);
    free(first);
    if (rank == 0 && bench_flag(argc, argv, "--alone")) {
        if (join_alone(edges, &alone_s) != all) need(EXA_FAIL(EXA_ERR_INTERNAL, "the results differ"));
        printf("%6s %12llu %9.2f %10.2f %12.0f   (the same sets)\n", "alone", (unsigned long long)edges, alone_s,
               (double)edges / alone_s * 1e-6, peak_mib());
    }
    exa_comm_finalize();
    return 0;
}
