/* Consolidating: what the journals and the newest generation of a run hold becomes a new generation, written by all
 * ranks together; then the journals go, and generations beyond those to be kept.
 */
#ifndef EXACONN_CONSOLIDATION_H
#define EXACONN_CONSOLIDATION_H

#include "exaconn/chunk_store.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_consolidation {
    const char *identity, *job; /* texts kept in the generation; needed on rank 0; borrowed */
    const char *weights_sha256;
    uint32_t keep; /* generations, at least 1 */
} exa_consolidation;

typedef struct exa_consolidated {
    uint64_t number;                /* of the new generation; 0: there was nothing new to write */
    uint64_t chunks;                /* in it */
    uint64_t journals, generations; /* removed; on rank 0 */
    double seconds;
} exa_consolidated;

/* `store` was opened by all ranks with the folder of generations, replaying on rank 0, and no journal was begun; it
 * is to be closed afterwards, as its journals are gone. Collective: on an error nothing is lost, nothing removed,
 * and the same call may be made again. */
exa_status exa_consolidate(exa_chunk_store *store, const exa_consolidation *options, exa_consolidated *done);

/* Removes what a killed consolidation left in the folder of generations. By the owner of the run only. */
void exa_consolidation_clean(const char *checkpoints);

/* How long to work until the next checkpoint: the shortest expected time to the end (Daly 2006, "A higher order
 * estimate of the optimum checkpoint interval", eq. 37), if one takes `cost_s` and something fails every `mtbf_s`
 * seconds on average. */
double exa_consolidation_interval_s(double cost_s, double mtbf_s);

#ifdef __cplusplus
}
#endif
#endif
