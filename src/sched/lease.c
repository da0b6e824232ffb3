/* Leases between rank 0 and all ranks.
 *
 *   rank r, calling thread          rank 0, calling thread             rank r, working threads
 *   ASK  ----------------------->   policy: take
 *   queue  <--------------------    LEASES (or later, when there are)
 *                                                                      body(item) from the queue
 *   DONE, FAILED, DROPPED  ----->   policy: done, failed, dropped   <- told by the calling thread
 *   cancel  <--------------------   CANCEL, when another was faster
 *   BEAT  ---------------------->   alive
 *   rank 0 lives  <--------------   BEAT
 *   stops working  <-------------   END
 *   BYE  ----------------------->   when all who live have said it:
 *   ends  <----------------------   OVER
 *
 * Rank 0 works, too (lease_root.c has what only it does); what it has to say to itself it says by calling. The
 * calling threads never compute, so whoever is silent for the time-out is gone. Nothing here waits for a particular
 * rank, and nothing is collective, as a collective with a dead member would never return. Only after OVER, if that
 * says so, those who live repair the communicator together. */
#include "lease_internal.h"

#include "exaconn/box.h"
#include "exaconn/clock.h"
#include "exaconn/comm_mpi.h"
#include "exaconn/cpu.h"
#include "exaconn/log.h"

#include <mpi.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define WAIT_S 0.002

typedef exa_lease_message message;

bool exa_lease_cancelled(const exa_lease_task *task) {
    return atomic_load(&task->cancel);
}

int exa_lease_thread(const exa_lease_task *task) {
    return task->number;
}

const exa_lease_rank *exa_lease_ranks(const exa_lease *l, size_t *count) {
    *count = l->root.ranks ? (size_t)l->size : 0;
    return l->root.ranks;
}

static void tell_root(exa_lease *l, const message *m) {
    if (l->rank == 0) {
        exa_lease_root_hear(l, 0, m);
    } else {
        exa_lease_post(l, 0, m);
    }
}

/* ---- every rank ---------------------------------------------------------------------------------------------- */

static void cancel_item(exa_lease *l, uint32_t item) {
    message m = {.type = DROPPED, .item = item};
    bool dropped = false;

    pthread_mutex_lock(&l->lock);
    for (int t = 0; t < l->threads; t++) {
        if (l->tasks[t].working && l->tasks[t].item == item) atomic_store(&l->tasks[t].cancel, true);
    }
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

static void stop_working(exa_lease *l) {
    l->ended = true;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    l->queued = 0;
    for (int t = 0; t < l->threads; t++) atomic_store(&l->tasks[t].cancel, true);
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
}

void exa_lease_hear(exa_lease *l, const message *m) {
    switch (m->type) {
    case LEASES:
        pthread_mutex_lock(&l->lock);
        for (uint32_t i = 0; i < m->count; i++) l->queue[l->queued++] = m->leases[i];
        pthread_cond_broadcast(&l->work);
        pthread_mutex_unlock(&l->lock);
        l->asked = false;
        break;
    case CANCEL: cancel_item(l, m->item); break;
    case END: stop_working(l); break;
    case OVER:
        l->end = (exa_status)m->item;
        l->broken = m->count > 0;
        l->repair = m->repair > 0;
        l->over = true;
        break;
    default: break;
    }
}

/* What a working thread finished, to rank 0. */
static void report_task(exa_lease *l, exa_lease_task *t) {
    message m = {0};
    bool finished;

    pthread_mutex_lock(&l->lock);
    finished = t->finished;
    if (finished) {
        m.item = t->item;
        m.type = t->outcome == EXA_OK ? DONE : t->outcome == EXA_ERR_CANCELLED ? DROPPED : FAILED;
        memcpy(m.text, t->text, sizeof m.text);
        t->finished = t->working = false;
        if (!l->ended) atomic_store(&t->cancel, false);
        pthread_cond_broadcast(&l->work);
    }
    pthread_mutex_unlock(&l->lock);
    if (finished) tell_root(l, &m);
}

static void report(exa_lease *l) {
    for (int t = 0; t < l->threads; t++) report_task(l, &l->tasks[t]);
}

/* Under the lock. */
static size_t count_working(const exa_lease *l) {
    size_t n = 0;
    for (int t = 0; t < l->threads; t++) n += l->tasks[t].working;
    return n;
}

static bool any_finished(const exa_lease *l) {
    for (int t = 0; t < l->threads; t++) {
        if (l->tasks[t].finished) return true;
    }
    return false;
}

/* Asks while there is still something to do, but with room for a whole answer. */
static void ask(exa_lease *l) {
    message m = {.type = ASK, .memory_bytes = l->memory_bytes, .count = (uint32_t)l->threads};
    size_t have;

    pthread_mutex_lock(&l->lock);
    have = l->queued + count_working(l);
    pthread_mutex_unlock(&l->lock);
    if (have >= (size_t)l->threads + 1 || l->asked || l->ended) return;
    l->asked = true; /* before: rank 0 answers itself at once */
    gethostname(m.text, sizeof m.text - 1);
    tell_root(l, &m);
}

/* Asleep until a working thread has news, or for two milliseconds, after which there may be messages. */
static void wait_a_little(exa_lease *l) {
    const struct timespec until = exa_clock_deadline(WAIT_S);

    pthread_mutex_lock(&l->lock);
    if (!any_finished(l)) pthread_cond_timedwait(&l->news, &l->lock, &until);
    pthread_mutex_unlock(&l->lock);
}

static void tick(exa_lease *l, bool *stopped) {
    exa_policy_counters counters;
    message m = {.type = STOP};
    exa_status st;

    if (*stopped || l->ended) return;
    if (l->rank == 0) counters = exa_policy_get_counters(l->root.policy);
    st = l->tick(l, l->rank == 0 ? &counters : NULL, l->context);
    if (st == EXA_OK) return;
    *stopped = true;
    m.item = (uint32_t)st;
    tell_root(l, &m);
}

static void *work(void *argument) {
    exa_lease_task *t = argument;
    exa_lease *l = t->lease;
    sigset_t all;

    sigfillset(&all); /* signals are for the calling thread */
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    exa_cpu_unbind(); /* that one may have been bound to a core as a member of a pool */
    pthread_mutex_lock(&l->lock);
    while (!l->quit) {
        if (t->working || l->queued == 0) { /* or what was finished has not been reported */
            pthread_cond_wait(&l->work, &l->lock);
            continue;
        }
        uint64_t id = l->queue[0].id;
        t->item = l->queue[0].item;
        memmove(&l->queue[0], &l->queue[1], --l->queued * sizeof l->queue[0]);
        t->working = true;
        pthread_mutex_unlock(&l->lock);
        exa_status st = l->body(t, id, l->context);
        pthread_mutex_lock(&l->lock);
        t->outcome = st;
        t->text[0] = '\0';
        if (st != EXA_OK) snprintf(t->text, sizeof t->text, "%.399s", exa_error_last()->message);
        t->finished = true;
        pthread_cond_signal(&l->news);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

/* The clock by which silence is measured: it stands still while this process is stopped. */
static void look_at_clock(exa_lease *l) {
    const double now = exa_clock_now(), most = l->timeout_s / EXA_LEASE_BEATS, passed = now - l->looked;

    l->awake += passed < most ? passed : most;
    l->looked = now;
}

/* Beside rank 0: says that this rank lives, and watches whether rank 0 does. It answers every heartbeat. */
static void beat(exa_lease *l) {
    const message m = {.type = BEAT};

    if (l->awake - l->beaten >= l->timeout_s / EXA_LEASE_BEATS) {
        l->beaten = l->awake;
        exa_lease_post(l, 0, &m);
    }
    if (!l->peers[0].lost && l->awake - l->peers[0].heard > l->timeout_s) l->peers[0].lost = "it is silent";
    if (!l->peers[0].lost) return;
    stop_working(l);
    l->broken = l->over = true;
    l->end = EXA_ERR_RANK_LOST;
}

static void hear_all(exa_lease *l) {
    message m;
    int from;

    while (!l->over && exa_lease_receive(l, &m, &from)) {
        if (l->rank == 0) {
            exa_lease_root_hear(l, from, &m);
        } else {
            l->peers[0].heard = l->awake;
            exa_lease_hear(l, &m);
        }
    }
}

/* After END, once the working threads have nothing in hand. */
static void leave(exa_lease *l) {
    const message m = {.type = BYE};
    bool idle;

    if (!l->ended || l->said_bye) return;
    pthread_mutex_lock(&l->lock);
    idle = count_working(l) == 0;
    pthread_mutex_unlock(&l->lock);
    if (!idle) return;
    l->said_bye = true;
    tell_root(l, &m);
}

static void run_ranks(exa_lease *l) {
    bool stopped = false;

    l->looked = exa_clock_now();
    while (!l->over || (l->rank == 0 && exa_lease_pending(l))) {
        look_at_clock(l);
        exa_lease_pump(l);
        report(l);
        ask(l);
        hear_all(l);
        if (l->rank == 0) {
            exa_lease_root_watch(l);
        } else if (!l->over) {
            beat(l);
        }
        tick(l, &stopped);
        leave(l);
        if (!l->over || exa_lease_pending(l)) wait_a_little(l);
    }
    if (l->rank == 0 && l->root.dead) { /* perhaps only now: it did not take the last message */
        l->broken = true;
        l->repair = l->repair && exa_lease_root_can_repair(l);
        if (l->end == EXA_OK) l->end = EXA_ERR_RANK_LOST;
    }
}

static exa_status begin_threads(exa_lease *l, int threads) {
    for (int t = 0; t < threads; t++) {
        exa_lease_task *task = &l->tasks[t];
        int error;
        *task = (exa_lease_task){.lease = l, .number = t};
        error = pthread_create(&task->thread, NULL, work, task);
        EXA_CHECK(error == 0, EXA_ERR_MEMORY, "cannot start a thread: %s", strerror(error));
        pthread_mutex_lock(&l->lock);
        l->threads = t + 1;
        pthread_mutex_unlock(&l->lock);
    }
    return EXA_OK;
}

static void end_threads(exa_lease *l) {
    stop_working(l);
    for (int t = 0; t < l->threads; t++) pthread_join(l->tasks[t].thread, NULL);
}

/* While chunks are out, a death is ours to notice: MPI is to return errors, not to end everybody. */
static exa_status run(exa_lease *l, int threads) {
    MPI_Errhandler handler;
    exa_status st = exa_comm_agree(begin_threads(l, threads));

    if (l->size > 1) {
        MPI_Comm_get_errhandler(exa_comm_mpi(), &handler);
        MPI_Comm_set_errhandler(exa_comm_mpi(), MPI_ERRORS_RETURN);
    }
    if (st == EXA_OK) run_ranks(l);
    end_threads(l);
    if (l->broken) {
        exa_lease_forget(l);
        exa_comm_abandon();
        if (l->repair && exa_comm_repair() != EXA_OK)
            EXA_WARN("rank %d: the communicator cannot be repaired: %s", l->rank, exa_error_last()->message);
    } else if (l->size > 1) {
        MPI_Comm_set_errhandler(exa_comm_mpi(), handler);
    }
    if (l->size > 1) MPI_Errhandler_free(&handler);
    return st == EXA_OK ? l->end : st;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_status rank_lost(const exa_lease *l) {
    const exa_lease_root *r = &l->root;
    char others[40] = "";

    if (l->rank != 0)
        return EXA_FAIL(EXA_ERR_RANK_LOST,
                        "rank %d gives up rank 0 (%s; time-out %g s) and ends. Hint: what is finished is in the "
                        "journals; the same command goes on there",
                        l->rank, l->peers[0].lost, l->timeout_s);
    if (r->dead > 1) snprintf(others, sizeof others, " and %u others", r->dead - 1);
    return EXA_FAIL(EXA_ERR_RANK_LOST, "rank %d on %s%s died", r->first_dead,
                    r->ranks[r->first_dead].host[0] ? r->ranks[r->first_dead].host : "an unknown host", others);
}

static exa_status failure(const exa_lease *l, exa_status st) {
    if (st == EXA_OK || (l->size == 1 && st != EXA_ERR_INCOMPLETE)) return st; /* it has its message */
    if (l->rank != 0 && !l->peers[0].lost) return EXA_FAIL(st, "%s", "");      /* rank 0 says it */
    if (st == EXA_ERR_RANK_LOST) return rank_lost(l);
    if (st == EXA_ERR_INCOMPLETE) return EXA_FAIL(st, "not all chunks could be done");
    if (st == EXA_ERR_CANCELLED) return EXA_FAIL(st, "stopped");
    return EXA_FAIL(st, "the work ended early (%s); the rank that ended it says why", exa_status_name(st));
}

static exa_status begin(exa_lease *l, const exa_lease_work *w) {
    EXA_TRY(exa_calloc(l->rank == 0 ? (size_t)l->size : 1, sizeof *l->peers, "the list of ranks", &l->peers));
    return exa_lease_root_begin(l, w->items, w->count, w->options);
}

exa_status exa_lease_run(const exa_lease_work *w, exa_lease_result *result) {
    exa_lease l = {.body = w->body,
                   .tick = w->tick,
                   .context = w->context,
                   .memory_bytes = w->memory_bytes,
                   .timeout_s = w->timeout_s > 0 ? w->timeout_s : 60,
                   .rank = exa_comm_rank(),
                   .size = exa_comm_size()};
    pthread_condattr_t steady;
    exa_status st;

    EXA_CHECK(w->threads <= EXA_LEASE_THREADS_MOST, EXA_ERR_RANGE, "%d working threads are more than %d",
              w->threads, EXA_LEASE_THREADS_MOST);
    pthread_mutex_init(&l.lock, NULL);
    pthread_cond_init(&l.work, NULL);
    pthread_condattr_init(&steady);
    pthread_condattr_setclock(&steady, CLOCK_MONOTONIC);
    pthread_cond_init(&l.news, &steady);
    pthread_condattr_destroy(&steady);
    st = exa_comm_agree(begin(&l, w));
    if (st == EXA_OK) {
        st = failure(&l, run(&l, w->threads > 0 ? w->threads : 1));
        if (l.rank == 0) exa_lease_root_result(&l, result);
    }
    exa_lease_root_end(&l);
    free(l.peers);
    pthread_cond_destroy(&l.news);
    pthread_cond_destroy(&l.work);
    pthread_mutex_destroy(&l.lock);
    return st;
}
