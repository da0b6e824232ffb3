/* What the pieces of the lease share: lease.c is the rank that works, lease_root.c the rank that gives out the
 * work, lease_link.c carries messages. */
#ifndef EXA_LEASE_INTERNAL_H
#define EXA_LEASE_INTERNAL_H

#include "exaconn/lease.h"

#include <pthread.h>
#include <stdatomic.h>

enum { EXA_LEASE_ROOM = 48, EXA_LEASE_BEATS = 6 /* heartbeats in the time-out */ };

typedef enum exa_lease_message_type {
    ASK = 1, /* to rank 0 ... */
    DONE,
    FAILED,
    DROPPED,
    STOP,
    BYE,    /* I have stopped working, and say nothing more but heartbeats */
    BEAT,   /* both ways */
    LEASES, /* ... from rank 0 */
    CANCEL,
    END, /* stop working, then say BYE */
    OVER /* everybody who lives has said BYE, and this is how it ended */
} exa_lease_message_type;

typedef struct exa_lease_message {
    int32_t type;
    uint32_t item;         /* of DONE, FAILED, DROPPED, CANCEL; status of STOP and OVER */
    uint64_t memory_bytes; /* of ASK */
    uint32_t count;        /* of LEASES; dead ranks of OVER; working threads of ASK */
    uint32_t repair;       /* of OVER: those who live are to repair the communicator */
    char text[400];        /* why, of FAILED; the host, of ASK */
    exa_policy_lease leases[EXA_LEASE_ROOM];
} exa_lease_message;

typedef struct exa_lease_posted exa_lease_posted;

typedef struct exa_lease_peer {
    double heard;     /* when it last said anything, on the clock of exa_lease.awake */
    const char *lost; /* static storage; why it cannot be reached, or NULL */
} exa_lease_peer;

typedef struct exa_lease_root {
    exa_policy *policy;
    exa_lease_rank *ranks;       /* owned; all of them */
    bool *waiting;               /* owned; ranks that asked and got nothing yet */
    bool *known;                 /* owned; ranks that have asked before */
    bool *left;                  /* owned; ranks that said BYE */
    exa_lease_failure *failures; /* owned; the last failure of each item that had one */
    size_t failure_count;
    double began, served, described;
    uint32_t dead;
    int first_dead;
    exa_status end; /* why it ends early */
    bool ended;     /* END has been said */
} exa_lease_root;

/* A working thread and what it does. Under the lease's lock, but for the thread's number and the flag. */
struct exa_lease_task {
    exa_lease *lease;
    pthread_t thread;
    int number;
    bool working;
    uint32_t item;
    bool finished; /* it ended, with: */
    exa_status outcome;
    char text[400];
    atomic_bool cancel;
};

struct exa_lease {
    exa_lease_body *body;
    exa_lease_tick *tick;
    void *context;
    uint64_t memory_bytes;
    double timeout_s;
    int rank, size;
    exa_lease_root root; /* on rank 0 */
    /* Shared with the working threads, under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t work, news; /* for the working threads; for the calling thread */
    exa_policy_lease queue[EXA_LEASE_ROOM + EXA_LEASE_THREADS_MOST];
    size_t queued;
    bool quit;
    exa_lease_task tasks[EXA_LEASE_THREADS_MOST];
    int threads;
    /* The calling thread's: */
    exa_lease_peer *peers;    /* owned; of all ranks on rank 0, of rank 0 elsewhere */
    exa_lease_posted *posted; /* messages on their way */
    double awake;             /* seconds this thread has lived, without those it was stopped */
    double looked;            /* exa_clock_now() when `awake` was last set */
    double beaten;            /* when the last heartbeat was sent, on the clock of `awake` */
    bool asked, ended, said_bye, over, broken, repair;
    exa_status end;
};

/* ---- lease_link.c -------------------------------------------------------------------------------------------- */

/* Puts a message on its way to rank 0 or to another rank; never waits. Who cannot be reached is marked lost. */
void exa_lease_post(exa_lease *l, int to, const exa_lease_message *m);

/* Looks after what is on its way; a peer that has not taken a message within the time-out is marked lost. */
void exa_lease_pump(exa_lease *l);

/* Whether anything is on its way to somebody who is not lost. */
bool exa_lease_pending(const exa_lease *l);

/* The next message to this rank, if there is one. */
bool exa_lease_receive(exa_lease *l, exa_lease_message *m, int *from);

/* What is still on its way to the lost keeps its memory for ever: MPI may still read it. */
void exa_lease_forget(exa_lease *l);

/* ---- lease_root.c: on rank 0 --------------------------------------------------------------------------------- */

exa_status exa_lease_root_begin(exa_lease *l, const exa_policy_item *items, size_t count,
                                const exa_policy_options *options);
void exa_lease_root_end(exa_lease *l);
void exa_lease_root_hear(exa_lease *l, int rank, const exa_lease_message *m);

/* Declares deaths, gives work to those who wait, and says OVER when all is said. Again and again. */
void exa_lease_root_watch(exa_lease *l);

/* Whether repairing the communicator would wait for nobody: MPI knows all who are dead, as well. */
bool exa_lease_root_can_repair(const exa_lease *l);

/* The state of every rank as it is now, into root.ranks. */
void exa_lease_root_describe(exa_lease *l);
void exa_lease_root_note_failure(exa_lease *l, int rank, const exa_lease_message *m);
void exa_lease_root_result(exa_lease *l, exa_lease_result *result);
double exa_lease_root_now(const exa_lease *l);

/* ---- lease.c ------------------------------------------------------------------------------------------------- */

/* What rank 0 says to this rank. */
void exa_lease_hear(exa_lease *l, const exa_lease_message *m);

#endif
