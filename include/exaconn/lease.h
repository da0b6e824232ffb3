/* Work of any kind shared out among the ranks, by leases: rank 0 knows what is left (exaconn/policy.h), every rank
 * asks it ahead of need, works in a thread of its own, and says what became of each item.
 *
 * Only point-to-point messages are used, and only by the thread that calls; it sleeps when there is nothing to do.
 * On one rank there are no messages and no thread.
 */
#ifndef EXACONN_LEASE_H
#define EXACONN_LEASE_H

#include "exaconn/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_lease exa_lease;

/* Does the item `id`, in the rank's working thread, one at a time. EXA_ERR_CANCELLED gives it back undone. */
typedef exa_status exa_lease_body(exa_lease *lease, uint64_t id, void *context);

/* Called again and again in the calling thread of every rank, at least ten times a second on several ranks; on one
 * rank before each item. An error ends the work of all ranks: EXA_ERR_CANCELLED for a signal. `counters` is NULL
 * but on rank 0. */
typedef exa_status exa_lease_tick(const exa_policy_counters *counters, void *context);

/* For the body: whether to stop, because another rank was faster or all work ends. */
bool exa_lease_cancelled(const exa_lease *lease);

typedef struct exa_lease_failure {
    uint64_t id;
    uint32_t failures;
    char message[400]; /* of the last one */
} exa_lease_failure;

typedef struct exa_lease_result {
    exa_policy_state state;
    exa_policy_counters counters;
    exa_lease_failure *failures; /* owned: free(); items that are quarantined */
    size_t failure_count;
} exa_lease_result;

/* Collective. `items` and `options` count on rank 0 only, and `result` is given there. EXA_ERR_INCOMPLETE, on all
 * ranks, if items are left undone for another reason than a signal; EXA_ERR_CANCELLED after one. `result` is given
 * in these cases, too. EXA_OK with items left is a pause (options->pause_s; result->state says so). */
exa_status exa_lease_run(const exa_policy_item *items, size_t count, const exa_policy_options *options,
                         uint64_t memory_bytes, exa_lease_body *body, exa_lease_tick *tick, void *context,
                         exa_lease_result *result);

#ifdef __cplusplus
}
#endif
#endif
