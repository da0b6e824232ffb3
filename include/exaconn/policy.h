/* Who works on which chunk next: the lease policy, as pure code. It sends nothing, reads no clock and knows no MPI;
 * the pipeline and the simulator tell it what happened and when, and ask it. The same events give the same
 * decisions.
 *
 * Order: priority, then the longest predicted first (in classes of half an octave), then along the chunk curve, so
 * that what one worker gets lies together. How much a worker gets follows from its measured speed and from what is
 * left, so that fast workers ask rarely and all end at about the same time. When nothing is left to give, what is
 * expected to end last is given to a second worker, and the first result counts: results do not depend on who
 * computes them.
 *
 * A worker is whatever asks: a rank, or at the root a node leader, whose items are stretches of chunks. */
#ifndef EXACONN_POLICY_H
#define EXACONN_POLICY_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_policy exa_policy;

typedef struct exa_policy_item {
    uint64_t id;           /* position on the curve; each once */
    uint64_t memory_bytes; /* that a worker needs for it */
    double cost;           /* predicted, > 0, in any unit, such as voxels to be segmented */
    int32_t priority;      /* larger is earlier */
} exa_policy_item;

typedef struct exa_policy_options {
    double lease_s;        /* work in a worker's hands at most, in seconds of its own speed */
    uint32_t lease_most;   /* items in one lease at most */
    uint32_t attempts;     /* failures of an item before it is quarantined */
    uint32_t strikes;      /* failures in a row before a worker is retired */
    uint64_t error_budget; /* quarantined items beyond which the run ends */
    bool speculation;      /* whether the last items are given out twice */
    double pause_s; /* 0, or after a death: never; else nothing is given out from then on, but something before
                     */
} exa_policy_options;

/* lease_s 60, lease_most 4096, attempts 3, strikes 3, error_budget 100, speculation on, no pause. */
exa_policy_options exa_policy_defaults(void);

/* What is left to do, as the caller sees it. */
typedef enum exa_policy_state {
    EXA_POLICY_RUNNING = 0,
    EXA_POLICY_COMPLETE,  /* every item is done or quarantined */
    EXA_POLICY_BLOCKED,   /* items are left, nobody works on any, and no living worker can take one */
    EXA_POLICY_EXHAUSTED, /* the error budget is spent */
    EXA_POLICY_PAUSED,    /* items are left, nobody works on any, and it is time for the pause */
} exa_policy_state;

typedef enum exa_policy_verdict {
    EXA_POLICY_FIRST = 0, /* this result counts */
    EXA_POLICY_DUPLICATE, /* another came before, or the worker has no such lease */
    EXA_POLICY_RETRY,     /* the item failed and will be given to another worker */
    EXA_POLICY_QUARANTINE /* the item failed for the last time */
} exa_policy_verdict;

typedef struct exa_policy_lease {
    uint64_t id;
    uint32_t item;  /* what the other calls want to hear */
    bool duplicate; /* another worker has it, too */
} exa_policy_lease;

typedef struct exa_policy_counters {
    uint64_t items, pending, leased, done, quarantined; /* their state; the last four add up to the first */
    uint64_t leases, speculated, duplicates, failures;  /* events so far */
    uint32_t workers, retired, dead;                    /* workers is of the living, without the retired */
    double cost_left;                                   /* of items neither done nor quarantined */
    double speed;                                       /* of all workers, cost a second; 0 = not known yet */
} exa_policy_counters;

#define EXA_POLICY_NOBODY UINT32_MAX

/* Copies and sorts the items, at most 2^32-2. EXA_ERR_RANGE for a cost that is not a positive number. */
exa_status exa_policy_create(const exa_policy_item *items, size_t count, const exa_policy_options *options,
                             exa_policy **out);
void exa_policy_destroy(exa_policy **policy);

/* Makes worker number `worker` (0, 1, ... any order) known, with the memory it has. */
exa_status exa_policy_add_worker(exa_policy *policy, uint32_t worker, uint64_t memory_bytes, double now_s);

/* How many items the worker does at once; 1 unless it says otherwise. It gets one more, so that it never waits. */
void exa_policy_set_slots(exa_policy *policy, uint32_t worker, uint32_t slots);

/* Leases for a worker, at most `room` of them, into `leases`; *count 0 if there is nothing for it now. A worker
 * asks while it still has work, so that it never waits. */
exa_status exa_policy_take(exa_policy *policy, uint32_t worker, double now_s, exa_policy_lease *leases, size_t room,
                           size_t *count);

/* A worker finished an item that it had leased. `*also`, if not NULL, is another worker that still computes it and
 * may stop, or EXA_POLICY_NOBODY. */
exa_policy_verdict exa_policy_done(exa_policy *policy, uint32_t worker, uint32_t item, double now_s,
                                   uint32_t *also);

/* A worker could not do it. The worker may be retired by this: see exa_policy_is_alive. */
exa_policy_verdict exa_policy_failed(exa_policy *policy, uint32_t worker, uint32_t item, double now_s);

/* A worker gives an item back undone, as when it was told to stop. */
void exa_policy_dropped(exa_policy *policy, uint32_t worker, uint32_t item);

/* A worker will never be heard of again; its leases return. Final: what it says later is a duplicate. */
void exa_policy_dead(exa_policy *policy, uint32_t worker);

bool exa_policy_is_alive(const exa_policy *policy, uint32_t worker); /* and not retired */

typedef struct exa_policy_worker {
    double speed;     /* cost a second; 0 = not known */
    uint32_t in_hand; /* items */
    bool known, alive;
} exa_policy_worker;

exa_policy_worker exa_policy_get_worker(const exa_policy *policy, uint32_t worker);

exa_policy_state exa_policy_get_state(const exa_policy *policy);
exa_policy_counters exa_policy_get_counters(const exa_policy *policy);

/* Id of an item, how often it failed, and whether it is done. */
uint64_t exa_policy_item_id(const exa_policy *policy, uint32_t item);
uint32_t exa_policy_item_failures(const exa_policy *policy, uint32_t item);
bool exa_policy_item_is_done(const exa_policy *policy, uint32_t item);
bool exa_policy_item_is_quarantined(const exa_policy *policy, uint32_t item);

#ifdef __cplusplus
}
#endif
#endif
