/* Work of any kind shared out among the ranks, by leases: rank 0 knows what is left (exaconn/policy.h), every rank
 * asks it ahead of need, works in threads of its own, and says what became of each item.
 *
 * Only point-to-point messages are used, and only by the thread that calls; it sleeps when there is nothing to do.
 * On one rank there are no messages.
 *
 * Every rank shows rank 0 that it lives by heartbeats, and rank 0 answers. A rank that was silent for the time-out
 * is dead for good: its items go to others, and the work goes on. After a death exa_lease_run ends with
 * EXA_ERR_RANK_LOST though all items are done. Where MPI can be repaired (exa_comm_repair) that was done, the ranks
 * that live have new numbers, and exa_comm_is_abandoned() is false; elsewhere nothing collective may be called any
 * more.
 */
#ifndef EXACONN_LEASE_H
#define EXACONN_LEASE_H

#include "exaconn/policy.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_lease exa_lease;
typedef struct exa_lease_task exa_lease_task; /* an item in work */

/* Does the item `id`, in one of the rank's working threads; each does one at a time. EXA_ERR_CANCELLED gives it
 * back undone. */
typedef exa_status exa_lease_body(exa_lease_task *task, uint64_t id, void *context);

/* Called again and again in the calling thread of every rank, at least ten times a second. An error ends the work
 * of all ranks: EXA_ERR_CANCELLED for a signal. `counters` is NULL but on rank 0. */
typedef exa_status exa_lease_tick(const exa_lease *lease, const exa_policy_counters *counters, void *context);

/* For the body: whether to stop, because another rank was faster or all work ends; and which of the rank's working
 * threads this is, from 0. */
bool exa_lease_cancelled(const exa_lease_task *task);
int exa_lease_thread(const exa_lease_task *task);

#define EXA_LEASE_THREADS_MOST 64

typedef struct exa_lease_failure {
    uint64_t id;
    uint32_t failures;
    char message[400]; /* of the last one */
} exa_lease_failure;

typedef enum exa_lease_rank_state {
    EXA_LEASE_RANK_SILENT = 0, /* not heard of yet */
    EXA_LEASE_RANK_ALIVE,
    EXA_LEASE_RANK_RETIRED, /* it failed too often and gets no more work */
    EXA_LEASE_RANK_DEAD
} exa_lease_rank_state;

typedef struct exa_lease_rank {
    char host[64]; /* "" if not heard of yet */
    uint64_t done;
    double silent_s; /* since it was last heard */
    double speed;    /* cost a second; 0 = not known */
    uint32_t in_hand;
    exa_lease_rank_state state;
} exa_lease_rank;

/* For the tick of rank 0: the ranks as they were half a second ago at most. Borrowed, until the next tick. */
const exa_lease_rank *exa_lease_ranks(const exa_lease *lease, size_t *count);

typedef struct exa_lease_result {
    exa_policy_state state;
    exa_policy_counters counters;
    exa_lease_failure *failures; /* owned: free(); items that are quarantined */
    size_t failure_count;
    exa_lease_rank *ranks; /* owned: free() */
    size_t rank_count;
} exa_lease_result;

typedef struct exa_lease_work {
    const exa_policy_item *items; /* on rank 0, as `count` and `options` */
    size_t count;
    const exa_policy_options *options;
    int threads;           /* that work on this rank, each on an item; 0 = 1 */
    uint64_t memory_bytes; /* that this rank has */
    double timeout_s;      /* of heartbeats; 0 = 60 */
    exa_lease_body *body;
    exa_lease_tick *tick;
    void *context;
} exa_lease_work;

/* Collective; `result` is given on rank 0. Errors, on all ranks: EXA_ERR_INCOMPLETE if items are left undone
 * because they failed; EXA_ERR_CANCELLED after a signal; EXA_ERR_RANK_LOST if a rank died, and on a rank that hears
 * nothing from rank 0 any more. `result` is given in these cases, too. With EXA_OK all ranks live; with
 * items left it is a pause then (options->pause_s; result->state says so), which there is none of after a death. */
exa_status exa_lease_run(const exa_lease_work *work, exa_lease_result *result);

#ifdef __cplusplus
}
#endif
#endif
