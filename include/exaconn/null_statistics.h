/* A graph against many random ones: mean, spread, z and p of each number.
 *
 * Replicas are shared out among ranks and threads; every number of every replica is brought together bit by bit and
 * summed in the order of the replicas, so results are the same, to the last bit, on any number of either.
 */
#ifndef EXACONN_NULL_STATISTICS_H
#define EXACONN_NULL_STATISTICS_H

#include "exaconn/null_model.h"
#include "exaconn/pool.h"
#include "exaconn/rich_club.h"
#include "exaconn/triad.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The numbers that are compared. The first 16 are the triad census. */
enum {
    EXA_STATISTIC_MUTUAL = EXA_TRIAD_TYPES,
    EXA_STATISTIC_RECIPROCITY, /* over edges */
    EXA_STATISTIC_TRANSITIVITY,
    EXA_STATISTIC_LOCAL_CLUSTERING,
    EXA_STATISTIC_MEAN_PATH, /* in the largest strong component, from sampled sources */
    EXA_STATISTIC_SCC,       /* nodes of it */
    EXA_STATISTIC_ASSORTATIVITY_OUT_IN,
    EXA_STATISTIC_ASSORTATIVITY,
    EXA_STATISTIC_RICH_CLUB, /* phi at each degree of the rich club; last */
    EXA_STATISTICS = EXA_STATISTIC_RICH_CLUB + EXA_RICH_CLUB_MAX
};

/* "triad_003", ..., "rich_club_12"; borrowed from `out` or static. */
const char *exa_statistic_name(int statistic, const exa_rich_club *club, char out[32]);

typedef struct exa_null_summary {
    double observed, mean, sd; /* over replicas where it is defined; sd with n - 1 */
    double z;                  /* (observed - mean) / sd; NaN where sd is 0 */
    double p;          /* two-sided, empirical: 2 min(P(<=), P(>=)) with (1 + count) / (1 + replicas), at most 1 */
    uint32_t replicas; /* where it is defined */
} exa_null_summary;

typedef struct exa_null_result {
    exa_null_model model;
    exa_null_summary statistic[EXA_STATISTICS];
    double swaps_per_edge; /* made, mean over replicas */
} exa_null_result;

typedef struct exa_null_plan {
    exa_null_options null;
    uint32_t replicas;
    uint32_t path_sources;     /* of the mean path of each replica; 0 = all */
    const exa_rich_club *club; /* borrowed; of the graph itself */
} exa_null_plan;

/* Collective. The pool's threads each make replicas of their own. */
exa_status exa_null_compare(const exa_graph *g, exa_null_model model, const exa_null_plan *plan, exa_pool *pool,
                            exa_null_result *out);

#ifdef __cplusplus
}
#endif
#endif
