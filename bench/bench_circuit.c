/* How long a triad census takes, as JSON.
 *
 *   bench_circuit --edges FILE.csv [--weight COLUMN] [--threads N] [--repeat R]     of an edge list, in one process
 *   mpirun -n 4 bench_circuit --rmat SCALE [--connections M] [--seed S]             of a generated graph, over all
 * ranks
 *
 * Checked: of the edge list, that the sixteen types are all sets of three nodes, the same in every repetition; of
 * the generated graph also, up to scale 16, that a census in one process counts the same. Columns:
 * docs/benchmarks.md. */
#include "bench_util.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/edge_list.h"
#include "exaconn/reduce.h"
#include "exaconn/rmat.h"
#include "exaconn/triad.h"
#include "exaconn/triad_ranks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { MAX_REPEAT = 1000, CHECK_SCALE = 16 };

static void need(exa_status st) {
    if (st == EXA_OK) return;
    if (exa_error_last()->message[0]) fprintf(stderr, "bench_circuit: %s\n", exa_error_last()->message);
    exit(1);
}

static void check(bool right, const char *what) {
    if (right) return;
    fprintf(stderr, "bench_circuit: wrong: %s\n", what);
    exit(1);
}

static void check_sum(const exa_triads *t, uint64_t nodes) {
    exa_u128 sum = 0, all = (exa_u128)nodes * (nodes - 1) / 2 * (nodes - 2) / 3;
    for (int i = 0; i < EXA_TRIAD_TYPES; i++) sum += t->count[i];
    check(sum == all, "the types are not all sets of three nodes");
}

static void print_triads(const exa_triads *t) {
    char text[EXA_U128_BYTES];
    printf("\"triads\": {");
    for (int i = 0; i < EXA_TRIAD_TYPES; i++)
        printf("%s\"%s\": %s", i ? ", " : "", exa_triad_names[i], exa_u128_text(t->count[i], text));
    printf("}");
}

/* ---- an edge list -------------------------------------------------------------------------------------------- */

static void bench_list(int argc, char **argv, const char *path) {
    const exa_edge_list_options options = {.weight = bench_option(argc, argv, "--weight", NULL)};
    int threads = atoi(bench_option(argc, argv, "--threads", "1"));
    int repeat = atoi(bench_option(argc, argv, "--repeat", "9"));
    double census[MAX_REPEAT], dyads_s[MAX_REPEAT], read_s = bench_now_s();
    exa_edge_list list;
    exa_pool *pool;
    exa_triads first = {.mutual = 0}, t;

    check(repeat >= 1 && repeat <= MAX_REPEAT && threads >= 1, "--repeat or --threads");
    need(exa_edge_list_read(&path, 1, &options, &list));
    read_s = bench_now_s() - read_s;
    need(exa_pool_create(threads, false, &pool));
    for (int k = 0; k < repeat; k++) {
        exa_dyads dyads;
        double begin = bench_now_s();
        need(exa_dyads_make(&list.graph, &dyads));
        dyads_s[k] = bench_now_s() - begin;
        need(exa_triad_census(&dyads, pool, NULL, &t));
        census[k] = bench_now_s() - begin;
        if (k == 0) first = t;
        check(memcmp(first.count, t.count, sizeof t.count) == 0, "another result in another repetition");
        exa_dyads_destroy(&dyads);
    }
    check_sum(&t, list.graph.nodes);
    bench_stats c = bench_stats_of(census, repeat), d = bench_stats_of(dyads_s, repeat);
    printf(
        "{\"bench\": \"triads\", \"file\": \"%s\", \"nodes\": %u, \"connections\": %llu, \"threads\": %d, "
        "\"repeat\": %d, \"read_s\": %.6f, \"dyads_median_s\": %.6f, \"census_min_s\": %.6f, \"census_median_s\": "
        "%.6f, \"census_max_s\": %.6f, ",
        path, list.graph.nodes, (unsigned long long)list.graph.edges, threads, repeat, read_s, d.median, c.min,
        c.median, c.max);
    print_triads(&t);
    printf("}\n");
    exa_pool_destroy(&pool);
    exa_edge_list_destroy(&list);
}

/* ---- a generated graph --------------------------------------------------------------------------------------- */

static void check_alone(const exa_rmat *rmat, uint64_t connections, const exa_triads *t) {
    exa_graph_edge *edges;
    exa_graph g;
    exa_dyads dyads;
    exa_triads alone;

    need(exa_alloc(connections, sizeof *edges, "checking", &edges));
    for (uint64_t i = 0; i < connections; i++) {
        uint64_t e = exa_rmat_edge(rmat, i);
        edges[i] = (exa_graph_edge){(uint32_t)(e >> 32), (uint32_t)e, 1};
    }
    need(exa_graph_build((uint32_t)1 << rmat->scale, edges, connections, &g));
    need(exa_dyads_make(&g, &dyads));
    need(exa_triad_census(&dyads, NULL, NULL, &alone));
    check(memcmp(alone.count, t->count, sizeof alone.count) == 0, "a census in one process counts otherwise");
    free(edges);
    exa_graph_destroy(&g);
    exa_dyads_destroy(&dyads);
}

static uint64_t peak_bytes(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return (uint64_t)use.ru_maxrss * 1024;
}

static void print_ranks(const exa_rmat *rmat, const exa_triad_ranks *r, double generate_s, double census_s,
                        uint64_t largest, uint64_t all) {
    printf(
        "{\"bench\": \"triads_rmat\", \"ranks\": %d, \"scale\": %u, \"seed\": %llu, \"given\": %llu, "
        "\"connections\": "
        "%llu, \"largest_degree\": %u, \"generate_s\": %.3f, \"census_s\": %.3f, \"lookups\": %llu, "
        "\"sent_bytes\": %llu, \"peak_bytes_of_a_rank\": %llu, \"peak_bytes_of_all\": %llu, \"triangles\": %llu, ",
        exa_comm_size(), rmat->scale, (unsigned long long)rmat->seed, (unsigned long long)r->given,
        (unsigned long long)r->edges, r->largest_degree, generate_s, census_s, (unsigned long long)r->lookups,
        (unsigned long long)r->words_sent * 4, (unsigned long long)largest, (unsigned long long)all,
        (unsigned long long)r->triads.triangles);
    print_triads(&r->triads);
    printf("}\n");
}

static void bench_rmat(int argc, char **argv, uint32_t scale) {
    uint64_t connections = strtoull(bench_option(argc, argv, "--connections", "0"), NULL, 10);
    exa_rmat rmat = exa_rmat_defaults(scale, strtoull(bench_option(argc, argv, "--seed", "1"), NULL, 10));
    uint64_t *edges, largest, all, n = 0, rank = (uint64_t)exa_comm_rank(), ranks = (uint64_t)exa_comm_size();
    double generate_s = bench_now_s(), census_s;
    exa_triad_ranks r;

    check(scale >= 2 && scale < 30, "--rmat: a scale from 2 to 29");
    rmat.a = atof(bench_option(argc, argv, "--a", "0.57"));
    rmat.b = rmat.c = (1 - rmat.a) / 43 * 19;
    if (!connections) connections = (uint64_t)12 << scale;
    need(exa_alloc(connections / ranks + 1, sizeof *edges, "connections", &edges));
    for (uint64_t i = rank; i < connections; i += ranks) edges[n++] = exa_rmat_edge(&rmat, i);
    exa_comm_wait();
    generate_s = bench_now_s() - generate_s;
    census_s = bench_now_s();
    need(exa_triad_census_ranks(&edges, n, (uint32_t)1 << scale, &r));
    exa_comm_wait();
    census_s = bench_now_s() - census_s;
    largest = all = peak_bytes();
    need(exa_max_all(&largest));
    need(exa_sum_all(&all, 1));
    if (exa_comm_rank() != 0) return;
    check_sum(&r.triads, (uint64_t)1 << scale);
    if (scale <= CHECK_SCALE) check_alone(&rmat, connections, &r.triads);
    print_ranks(&rmat, &r, generate_s, census_s, largest, all);
}

int main(int argc, char **argv) {
    const char *list = bench_option(argc, argv, "--edges", NULL), *scale = bench_option(argc, argv, "--rmat", NULL);

    need(exa_comm_init());
    if (!list == !scale) {
        fprintf(stderr, "usage: bench_circuit --edges FILE.csv | --rmat SCALE (see the head of bench_circuit.c)\n");
        exa_comm_finalize();
        return 2;
    }
    if (list) bench_list(argc, argv, list);
    if (scale) bench_rmat(argc, argv, (uint32_t)atoi(scale));
    exa_comm_finalize();
    return 0;
}
