/* Leases between rank 0 and all ranks.
 *
 *   rank r, calling thread          rank 0, calling thread             rank r, working thread
 *   ASK  ----------------------->   policy: take
 *   queue  <--------------------    LEASES (or later, when there are)
 *                                                                      body(item) from the queue
 *   DONE, FAILED, DROPPED  ----->   policy: done, failed, dropped   <- told by the calling thread
 *   cancel  <--------------------   CANCEL, when another was faster
 *   ends  <----------------------   END
 *
 * Rank 0 works, too; what it has to say to itself it says by calling. All messages are of one size, small enough to
 * be sent without waiting for the receiver. */
#include "exaconn/lease.h"

#include "exaconn/box.h"
#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"

#include <errno.h>
#include <mpi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROOM = 48, TAG_ROOT = 7401, TAG_WORKER = 7402, WAIT_NS = 2000000 };

typedef enum message_type { ASK = 1, DONE, FAILED, DROPPED, STOP, LEASES, CANCEL, END } message_type;

typedef struct message {
    int32_t type;
    uint32_t item;         /* of DONE, FAILED, DROPPED, CANCEL; status of END and STOP */
    uint64_t memory_bytes; /* of ASK */
    uint32_t count;
    exa_policy_lease leases[ROOM];
    char text[400];
} message;

typedef struct root {
    exa_policy *policy;
    bool *waiting;               /* owned; ranks that asked and got nothing yet */
    bool *known;                 /* owned; ranks that have asked before */
    exa_lease_failure *failures; /* owned; the last failure of each item that had one */
    size_t failure_count;
    double began;
    exa_status end; /* why it ends early */
    bool ended;
} root;

struct exa_lease {
    exa_lease_body *body;
    exa_lease_tick *tick;
    void *context;
    uint64_t memory_bytes;
    int rank, size;
    root root; /* on rank 0 */
    /* Shared with the working thread, under the lock: */
    pthread_mutex_t lock;
    pthread_cond_t work, news; /* for the working thread; for the calling thread */
    exa_policy_lease queue[ROOM + 2];
    size_t queued;
    bool working, quit;
    uint32_t current; /* item in work */
    bool finished;    /* it ended, with: */
    exa_status outcome;
    char text[400];
    atomic_bool cancel;
    /* The calling thread's: */
    bool asked, ended;
    exa_status end;
};

bool exa_lease_cancelled(const exa_lease *l) {
    return atomic_load_explicit(&l->cancel, memory_order_relaxed);
}

/* ---- messages ------------------------------------------------------------------------------------------------ */

static void hear(exa_lease *l, const message *m);
static void hear_worker(exa_lease *l, int rank, const message *m);

static void tell_root(exa_lease *l, const message *m) {
    if (l->rank == 0) {
        hear_worker(l, 0, m);
    } else {
        MPI_Send(m, (int)sizeof *m, MPI_BYTE, 0, TAG_ROOT, MPI_COMM_WORLD);
    }
}

static void tell_worker(exa_lease *l, int rank, const message *m) {
    if (rank == 0) {
        hear(l, m);
    } else {
        MPI_Send(m, (int)sizeof *m, MPI_BYTE, rank, TAG_WORKER, MPI_COMM_WORLD);
    }
}

static bool receive(int tag, message *m, int *from) {
    MPI_Status status;
    int there;

    MPI_Iprobe(MPI_ANY_SOURCE, tag, MPI_COMM_WORLD, &there, &status);
    if (!there) return false;
    MPI_Recv(m, (int)sizeof *m, MPI_BYTE, status.MPI_SOURCE, tag, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    *from = status.MPI_SOURCE;
    return true;
}

/* ---- rank 0 -------------------------------------------------------------------------------------------------- */

static double now_s(const exa_lease *l) {
    return exa_clock_now() - l->root.began;
}

static void end_all(exa_lease *l, exa_status st) {
    message m = {.type = END, .item = (uint32_t)st};

    if (l->root.ended) return;
    l->root.ended = true;
    for (int r = l->size - 1; r >= 0; r--) tell_worker(l, r, &m);
}

static void serve(exa_lease *l, int rank) {
    message m = {.type = LEASES};
    size_t n;

    if (exa_policy_take(l->root.policy, (uint32_t)rank, now_s(l), m.leases, ROOM, &n) != EXA_OK) {
        l->root.end = EXA_ERR_MEMORY;
        return;
    }
    l->root.waiting[rank] = n == 0;
    m.count = (uint32_t)n;
    if (n) tell_worker(l, rank, &m);
}

/* After anything that may have changed what there is to do. */
static void serve_waiting(exa_lease *l) {
    exa_policy_state state = exa_policy_get_state(l->root.policy);

    if (l->root.end != EXA_OK) {
        end_all(l, l->root.end);
        return;
    }
    if (state != EXA_POLICY_RUNNING) {
        bool whole = state == EXA_POLICY_COMPLETE && exa_policy_get_counters(l->root.policy).quarantined == 0;
        end_all(l, whole || state == EXA_POLICY_PAUSED ? EXA_OK : EXA_ERR_INCOMPLETE);
        return;
    }
    for (int r = 0; r < l->size && !l->root.ended; r++) {
        if (l->root.waiting[r]) serve(l, r);
    }
}

static exa_lease_failure *failure_of(root *r, uint64_t id) {
    exa_lease_failure *grown;

    for (size_t i = 0; i < r->failure_count; i++) {
        if (r->failures[i].id == id) return &r->failures[i];
    }
    grown = realloc(r->failures, (r->failure_count + 1) * sizeof *grown);
    if (!grown) return NULL;
    r->failures = grown;
    grown[r->failure_count] = (exa_lease_failure){.id = id};
    return &grown[r->failure_count++];
}

static void note_failure(exa_lease *l, int rank, const message *m) {
    uint64_t id = exa_policy_item_id(l->root.policy, m->item);
    exa_policy_verdict v = exa_policy_failed(l->root.policy, (uint32_t)rank, m->item, now_s(l));
    exa_lease_failure *f = failure_of(&l->root, id);

    if (v == EXA_POLICY_DUPLICATE) return;
    EXA_WARN("chunk %llu failed on rank %d (%s): %.300s", (unsigned long long)id, rank,
             v == EXA_POLICY_RETRY ? "it is tried again" : "it is given up", m->text);
    if (!exa_policy_is_alive(l->root.policy, (uint32_t)rank))
        EXA_WARN("rank %d failed too often in a row and gets no more work", rank);
    if (!f) return;
    f->failures = exa_policy_item_failures(l->root.policy, m->item);
    memcpy(f->message, m->text, sizeof f->message);
}

static void note_done(exa_lease *l, int rank, const message *m) {
    message cancel = {.type = CANCEL, .item = m->item};
    uint32_t also;

    exa_policy_done(l->root.policy, (uint32_t)rank, m->item, now_s(l), &also);
    if (also != EXA_POLICY_NOBODY) tell_worker(l, (int)also, &cancel);
}

static void hear_worker(exa_lease *l, int rank, const message *m) {
    switch (m->type) {
    case ASK:
        if (!l->root.known[rank] &&
            exa_policy_add_worker(l->root.policy, (uint32_t)rank, m->memory_bytes, now_s(l)) != EXA_OK)
            l->root.end = EXA_ERR_MEMORY;
        l->root.known[rank] = true;
        l->root.waiting[rank] = true;
        break;
    case DONE: note_done(l, rank, m); break;
    case FAILED: note_failure(l, rank, m); break;
    case DROPPED: exa_policy_dropped(l->root.policy, (uint32_t)rank, m->item); break;
    case STOP:
        if (l->root.end == EXA_OK) l->root.end = (exa_status)m->item;
        break;
    default: break;
    }
    if (!l->root.ended) serve_waiting(l);
}

/* ---- every rank ---------------------------------------------------------------------------------------------- */

static void cancel_item(exa_lease *l, uint32_t item) {
    message m = {.type = DROPPED, .item = item};
    bool dropped = false;

    pthread_mutex_lock(&l->lock);
    if (l->working && l->current == item) atomic_store(&l->cancel, true);
    for (size_t k = 0; k < l->queued; k++) {
        if (l->queue[k].item != item) continue;
        memmove(&l->queue[k], &l->queue[k + 1], (l->queued - k - 1) * sizeof l->queue[0]);
        l->queued--;
        dropped = true;
        break;
    }
    pthread_mutex_unlock(&l->lock);
    if (dropped) tell_root(l, &m);
}

static void hear(exa_lease *l, const message *m) {
    switch (m->type) {
    case LEASES:
        pthread_mutex_lock(&l->lock);
        for (uint32_t i = 0; i < m->count; i++) l->queue[l->queued++] = m->leases[i];
        pthread_cond_signal(&l->work);
        pthread_mutex_unlock(&l->lock);
        l->asked = false;
        break;
    case CANCEL: cancel_item(l, m->item); break;
    case END:
        l->ended = true;
        l->end = (exa_status)m->item;
        atomic_store(&l->cancel, true);
        break;
    default: break;
    }
}

/* What the working thread finished, to rank 0. */
static void report(exa_lease *l) {
    message m = {0};
    bool finished;

    pthread_mutex_lock(&l->lock);
    finished = l->finished;
    if (finished) {
        m.item = l->current;
        m.type = l->outcome == EXA_OK ? DONE : l->outcome == EXA_ERR_CANCELLED ? DROPPED : FAILED;
        memcpy(m.text, l->text, sizeof m.text);
        l->finished = l->working = false;
        if (!l->ended) atomic_store(&l->cancel, false);
        pthread_cond_signal(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    if (finished) tell_root(l, &m);
}

/* Asks while there is still something to do, but with room for a whole answer. */
static void ask(exa_lease *l) {
    const message m = {.type = ASK, .memory_bytes = l->memory_bytes};
    size_t have;

    pthread_mutex_lock(&l->lock);
    have = l->queued + l->working;
    pthread_mutex_unlock(&l->lock);
    if (have >= 2 || l->asked || l->ended) return;
    l->asked = true; /* before: rank 0 answers itself at once */
    tell_root(l, &m);
}

/* Asleep until the working thread has news, or for two milliseconds, after which there may be messages. */
static void wait_a_little(exa_lease *l) {
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAIT_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_mutex_lock(&l->lock);
    if (!l->finished) pthread_cond_timedwait(&l->news, &l->lock, &until);
    pthread_mutex_unlock(&l->lock);
}

static void tick(exa_lease *l, bool *stopped) {
    exa_policy_counters counters;
    message m = {.type = STOP};
    exa_status st;

    if (*stopped || l->ended) return;
    if (l->rank == 0) counters = exa_policy_get_counters(l->root.policy);
    st = l->tick(l->rank == 0 ? &counters : NULL, l->context);
    if (st == EXA_OK) return;
    *stopped = true;
    m.item = (uint32_t)st;
    tell_root(l, &m);
}

static void *work(void *argument) {
    exa_lease *l = argument;

    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (l->working || l->queued == 0) { /* or what was finished has not been reported */
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        uint64_t id = l->queue[0].id;
        l->current = l->queue[0].item;
        memmove(&l->queue[0], &l->queue[1], --l->queued * sizeof l->queue[0]);
        l->working = true;
        pthread_mutex_unlock(&l->lock);
        exa_status st = l->body(l, id, l->context);
        pthread_mutex_lock(&l->lock);
        l->outcome = st;
        l->text[0] = '\0';
        if (st != EXA_OK) snprintf(l->text, sizeof l->text, "%.399s", exa_error_last()->message);
        l->finished = true;
        pthread_cond_signal(&l->news);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

static void run_ranks(exa_lease *l) {
    double served = exa_clock_now();
    bool stopped = false;
    message m;
    int from;

    while (!l->ended) {
        report(l);
        ask(l);
        while (l->rank == 0 && receive(TAG_ROOT, &m, &from)) hear_worker(l, from, &m);
        while (l->rank != 0 && !l->ended && receive(TAG_WORKER, &m, &from)) hear(l, &m);
        if (l->rank == 0 && !l->ended &&
            exa_clock_now() - served > 1) { /* somebody may have become slow meanwhile */
            served = exa_clock_now();
            serve_waiting(l);
        }
        tick(l, &stopped);
        if (!l->ended) wait_a_little(l);
    }
}

/* What is still said to rank 0 after the end is received, so that nothing is left in the network. */
static void drain(exa_lease *l) {
    MPI_Request barrier;
    message m;
    int from, all = 0;

    MPI_Ibarrier(MPI_COMM_WORLD, &barrier);
    while (!all) {
        while (receive(l->rank == 0 ? TAG_ROOT : TAG_WORKER, &m, &from)) continue;
        MPI_Test(&barrier, &all, MPI_STATUS_IGNORE);
        if (!all) wait_a_little(l);
    }
    while (receive(l->rank == 0 ? TAG_ROOT : TAG_WORKER, &m, &from)) continue;
}

static void end_thread(exa_lease *l, pthread_t thread) {
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    l->queued = 0;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    pthread_join(thread, NULL);
    l->finished = false;
}

static exa_status run_many(exa_lease *l) {
    pthread_t thread;
    int error = pthread_create(&thread, NULL, work, l);
    exa_status st =
        exa_comm_agree(error ? EXA_FAIL(EXA_ERR_MEMORY, "cannot start a thread: %s", strerror(error)) : EXA_OK);

    if (st == EXA_OK) run_ranks(l);
    if (!error) end_thread(l, thread);
    if (st != EXA_OK) return st;
    drain(l);
    return l->end;
}

/* ---- one rank ------------------------------------------------------------------------------------------------ */

static exa_status run_alone(exa_lease *l) {
    exa_policy *p = l->root.policy;
    exa_policy_lease lease;
    exa_policy_counters counters;
    message m = {0};
    size_t n;

    EXA_TRY(exa_policy_add_worker(p, 0, l->memory_bytes, 0));
    while (exa_policy_get_state(p) == EXA_POLICY_RUNNING) {
        counters = exa_policy_get_counters(p);
        EXA_TRY(l->tick(&counters, l->context));
        EXA_TRY(exa_policy_take(p, 0, now_s(l), &lease, 1, &n));
        if (n == 0) break;
        exa_status st = l->body(l, lease.id, l->context);
        if (st == EXA_ERR_CANCELLED) return st;
        m.item = lease.item;
        if (st != EXA_OK) snprintf(m.text, sizeof m.text, "%.399s", exa_error_last()->message);
        if (st == EXA_OK) {
            exa_policy_done(p, 0, lease.item, now_s(l), NULL);
        } else {
            note_failure(l, 0, &m);
        }
    }
    counters = exa_policy_get_counters(p);
    return counters.done == counters.items || exa_policy_get_state(p) == EXA_POLICY_PAUSED ? EXA_OK
                                                                                           : EXA_ERR_INCOMPLETE;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_status begin_root(exa_lease *l, const exa_policy_item *items, size_t count,
                             const exa_policy_options *options) {
    if (l->rank != 0) return EXA_OK;
    EXA_TRY(exa_policy_create(items, count, options, &l->root.policy));
    EXA_TRY(exa_calloc((size_t)l->size, sizeof *l->root.waiting, "the list of ranks", &l->root.waiting));
    EXA_TRY(exa_calloc((size_t)l->size, sizeof *l->root.known, "the list of ranks", &l->root.known));
    l->root.began = exa_clock_now();
    return EXA_OK;
}

/* The failures that were not mended by another try. */
static void give_result(exa_lease *l, exa_lease_result *result) {
    root *r = &l->root;
    size_t kept = 0;

    *result = (exa_lease_result){.state = exa_policy_get_state(r->policy),
                                 .counters = exa_policy_get_counters(r->policy)};
    for (uint32_t i = 0; i < result->counters.items; i++) {
        uint64_t id = exa_policy_item_id(r->policy, i);
        for (size_t k = kept; exa_policy_item_failures(r->policy, i) && !exa_policy_item_is_done(r->policy, i) &&
                              k < r->failure_count;
             k++) {
            exa_lease_failure f = r->failures[k];
            if (f.id != id) continue;
            r->failures[k] = r->failures[kept];
            r->failures[kept++] = f;
            break;
        }
    }
    result->failures = r->failures;
    result->failure_count = kept;
    r->failures = NULL;
}

static exa_status failure(const exa_lease *l, exa_status st) {
    if (st == EXA_OK || (l->size == 1 && st != EXA_ERR_INCOMPLETE)) return st; /* it has its message */
    if (l->rank != 0) return EXA_FAIL(st, "%s", "");                           /* rank 0 says it */
    if (st == EXA_ERR_INCOMPLETE) return EXA_FAIL(st, "not all chunks could be done");
    if (st == EXA_ERR_CANCELLED) return EXA_FAIL(st, "stopped");
    return EXA_FAIL(st, "the work ended early (%s); the rank that ended it says why", exa_status_name(st));
}

exa_status exa_lease_run(const exa_policy_item *items, size_t count, const exa_policy_options *options,
                         uint64_t memory_bytes, exa_lease_body *body, exa_lease_tick *tick_function, void *context,
                         exa_lease_result *result) {
    exa_lease l = {.body = body,
                   .tick = tick_function,
                   .context = context,
                   .memory_bytes = memory_bytes,
                   .rank = exa_comm_rank(),
                   .size = exa_comm_size()};
    exa_status st;

    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.work, NULL);
    pthread_cond_init(&l.news, NULL);
    st = exa_comm_agree(begin_root(&l, items, count, options));
    if (st == EXA_OK) {
        st = failure(&l, l.size > 1 ? run_many(&l) : run_alone(&l));
        if (l.rank == 0) give_result(&l, result);
    }
    exa_policy_destroy(&l.root.policy);
    free(l.root.waiting);
    free(l.root.known);
    free(l.root.failures);
    pthread_cond_destroy(&l.news);
    pthread_cond_destroy(&l.work);
    pthread_mutex_destroy(&l.lock);
    return st;
}
