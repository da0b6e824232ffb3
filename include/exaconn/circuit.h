/* The analysis of a wiring diagram: everything that is said of it, in one structure.
 *
 * What was not asked for is zero (see `parts`). Which nodes count, and by which definition, stands beside each
 * number in what exaconn/circuit_report.h writes.
 */
#ifndef EXACONN_CIRCUIT_H
#define EXACONN_CIRCUIT_H

#include "exaconn/clustering.h"
#include "exaconn/community.h"
#include "exaconn/component.h"
#include "exaconn/degree.h"
#include "exaconn/distance_profile.h"
#include "exaconn/edge_list.h"
#include "exaconn/null_statistics.h"
#include "exaconn/path_length.h"
#include "exaconn/triad.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { /* parts of an analysis; degrees, reciprocity and density are always there */
       EXA_CIRCUIT_COMPONENTS = 1,
       EXA_CIRCUIT_PATHS = 2,
       EXA_CIRCUIT_TRIADS = 4, /* and clustering */
       EXA_CIRCUIT_RICH_CLUB = 8,
       EXA_CIRCUIT_CORES = 16,
       EXA_CIRCUIT_COMMUNITIES = 32,
       EXA_CIRCUIT_DISTANCE = 64, /* where positions are known */
       EXA_CIRCUIT_NULLS = 128,
       EXA_CIRCUIT_ALL = 255
};
#define EXA_CIRCUIT_PARTS 8
extern const char *const exa_circuit_part_names[EXA_CIRCUIT_PARTS]; /* in the order of the bits */

typedef struct exa_circuit_options {
    uint32_t parts;
    uint32_t path_sources;   /* 0 = exact */
    bool path_sources_given; /* else exact up to some 10^11 steps, then a sample */
    uint32_t replicas;
    uint32_t models; /* bit m: exa_null_model m; 0 = all that are possible */
    double swaps, resolution;
    uint32_t community_runs;
    uint64_t seed;
} exa_circuit_options;

exa_circuit_options exa_circuit_defaults(void);

typedef struct exa_circuit {
    const exa_edge_list *list; /* borrowed */
    exa_circuit_options options;
    exa_dyads dyads;
    exa_degrees degrees;
    exa_reciprocity reciprocity;
    exa_assortativity assortativity;
    double density;
    exa_components weak, strong;
    exa_path_lengths paths; /* in the largest strong component */
    exa_triads triads;
    exa_clustering clustering;
    double out_density_scc,
        out_density;         /* Varshney's clustering on the largest strong component, and on all nodes */
    double *node_clustering; /* owned; [nodes] */
    exa_rich_club club;
    uint32_t *core; /* owned; [nodes] */
    uint32_t largest_core;
    exa_components communities;
    double modularity;
    bool has_distance;
    exa_distance_profile distance;
    exa_null_result *nulls; /* owned; [null_count] */
    uint32_t null_count;
    double
        small_world; /* (transitivity / its mean) / (mean path / its mean), against Erdos and Renyi; NaN without */
} exa_circuit;

/* Collective: paths, distances and replicas are shared out among the ranks; all get everything. */
exa_status exa_circuit_analyse(const exa_edge_list *list, const exa_circuit_options *options, exa_pool *pool,
                               exa_circuit *out);
void exa_circuit_destroy(exa_circuit *c);

#ifdef __cplusplus
}
#endif
#endif
