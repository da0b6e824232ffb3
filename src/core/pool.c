/* The team of threads: one start signal, one barrier, one way to wait.
 *
 * Both signals are counters ("epochs") that only grow. A waiter watches one until it differs from the value it saw:
 * first spinning, then asleep on a condition variable. The signaller pays for the lock only if somebody sleeps.
 * That no wake-up is lost rests on sequential consistency: the sleeper announces itself and then looks at the
 * epoch, the signaller moves the epoch and then looks for sleepers, so one of them sees the other.
 *
 * exa_pool_run = start signal + body on every member + barrier.
 */
#include "exaconn/pool.h"

#include "exaconn/box.h"
#include "exaconn/cpu.h"
#include "exaconn/log.h"

#include "cpu_internal.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define POOL_MAX_THREADS 4096
#define POOL_SPIN_NS 50000
#define POOL_LINE_BYTES 64

typedef struct epoch {
    _Alignas(POOL_LINE_BYTES) atomic_uint value;
    _Alignas(POOL_LINE_BYTES) atomic_uint sleepers;
    pthread_mutex_t mutex;
    pthread_cond_t moved;
} epoch;

typedef struct member {
    struct exa_pool *pool;
    pthread_t thread;
    int index;
} member;

struct exa_pool {
    epoch start, finish;
    _Alignas(POOL_LINE_BYTES) atomic_int arrived; /* at the barrier */
    exa_pool_team_body *body;                     /* written before `start` moves */
    void *context;
    member *members; /* [threads]; 0 is the caller */
    int threads;
    int started; /* threads made so far, caller included */
    bool spin, bind, stop;
    atomic_bool bind_refused;
};

static void epoch_init(epoch *e) {
    atomic_init(&e->value, 0);
    atomic_init(&e->sleepers, 0);
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->moved, NULL);
}

static void epoch_destroy(epoch *e) {
    pthread_cond_destroy(&e->moved);
    pthread_mutex_destroy(&e->mutex);
}

static inline void cpu_relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static bool epoch_spin(epoch *e, unsigned seen) {
    int64_t end = 0;
    for (;;) {
        for (int i = 0; i < 32; i++) {
            if (atomic_load_explicit(&e->value, memory_order_acquire) != seen) return true;
            cpu_relax();
        }
        int64_t now = now_ns();
        if (end == 0) end = now + POOL_SPIN_NS;
        if (now >= end) return false;
    }
}

static void epoch_wait(epoch *e, unsigned seen, bool spin) {
    if (spin && epoch_spin(e, seen)) return;
    atomic_fetch_add(&e->sleepers, 1);
    pthread_mutex_lock(&e->mutex);
    while (atomic_load(&e->value) == seen) pthread_cond_wait(&e->moved, &e->mutex);
    pthread_mutex_unlock(&e->mutex);
    atomic_fetch_sub(&e->sleepers, 1);
}

static void epoch_signal(epoch *e) {
    atomic_fetch_add(&e->value, 1);
    if (atomic_load(&e->sleepers) == 0) return;
    pthread_mutex_lock(&e->mutex);
    pthread_cond_broadcast(&e->moved);
    pthread_mutex_unlock(&e->mutex);
}

void exa_pool_barrier(exa_pool *pool) {
    if (!pool || pool->threads == 1) return;
    unsigned seen = atomic_load_explicit(&pool->finish.value, memory_order_relaxed);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 < pool->threads) {
        epoch_wait(&pool->finish, seen, pool->spin);
        return;
    }
    atomic_store(&pool->arrived, 0);
    epoch_signal(&pool->finish);
}

static void bind_member(exa_pool *pool, int index) {
    if (!pool->bind || exa_cpu_bind_core(index)) return;
    if (!atomic_exchange(&pool->bind_refused, true)) {
        EXA_WARN("cannot bind threads to cores; going on unbound. Hint: this is normal in some containers");
    }
}

static void *member_main(void *argument) {
    member *self = argument;
    exa_pool *pool = self->pool;

    bind_member(pool, self->index);
    for (unsigned seen = 0;; seen++) {
        epoch_wait(&pool->start, seen, pool->spin);
        if (pool->stop) return NULL;
        pool->body(pool->context, self->index);
        exa_pool_barrier(pool);
    }
}

/* Workers take no signals: the program's handlers run on the thread that expects them. */
static exa_status start_members(exa_pool *pool) {
    sigset_t all, before;
    int rc = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pool->started = 1; pool->started < pool->threads; pool->started++) {
        member *m = &pool->members[pool->started];
        *m = (member){.pool = pool, .index = pool->started};
        rc = pthread_create(&m->thread, NULL, member_main, m);
        if (rc != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    EXA_CHECK(rc == 0, EXA_ERR_MEMORY, "cannot start thread %d of %d: %s. Hint: use fewer threads",
              pool->started + 1, pool->threads, strerror(rc));
    return EXA_OK;
}

exa_status exa_pool_create(int threads, bool bind, exa_pool **out) {
    exa_status st = EXA_OK;
    exa_pool *pool;

    EXA_CHECK(threads >= 1 && threads <= POOL_MAX_THREADS, EXA_ERR_RANGE, "%d threads; from 1 to %d are possible",
              threads, POOL_MAX_THREADS);
    EXA_TRY(exa_calloc(1, sizeof *pool, "a thread pool", &pool));
    epoch_init(&pool->start);
    epoch_init(&pool->finish);
    pool->threads = threads;
    pool->bind = bind;
    pool->spin = threads <= exa_cpu_cores();
    EXA_GOTO(done, exa_calloc((size_t)threads, sizeof *pool->members, "a thread pool", &pool->members));
    EXA_GOTO(done, start_members(pool));
    bind_member(pool, 0);
    *out = pool;
    return EXA_OK;
done:
    exa_pool_destroy(&pool);
    return st;
}

void exa_pool_destroy(exa_pool **pool_inout) {
    exa_pool *pool = *pool_inout;
    if (!pool) return;
    pool->stop = true;
    epoch_signal(&pool->start);
    for (int i = 1; i < pool->started; i++) pthread_join(pool->members[i].thread, NULL);
    if (pool->bind) exa_cpu_unbind();
    epoch_destroy(&pool->start);
    epoch_destroy(&pool->finish);
    free(pool->members);
    free(pool);
    *pool_inout = NULL;
}

int exa_pool_threads(const exa_pool *pool) {
    return pool ? pool->threads : 1;
}

void exa_pool_run(exa_pool *pool, exa_pool_team_body *body, void *context) {
    if (!pool || pool->threads == 1) {
        body(context, 0);
        return;
    }
    pool->body = body;
    pool->context = context;
    epoch_signal(&pool->start);
    body(context, 0);
    exa_pool_barrier(pool);
}

typedef struct for_job {
    exa_pool_item_body *body;
    void *context;
    size_t count;
    atomic_size_t next;
} for_job;

static void for_member(void *context, int member_index) {
    for_job *job = context;
    for (;;) {
        size_t i = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (i >= job->count) return;
        job->body(job->context, i, member_index);
    }
}

void exa_pool_for(exa_pool *pool, size_t count, exa_pool_item_body *body, void *context) {
    for_job job = {.body = body, .context = context, .count = count};
    atomic_init(&job.next, 0);
    if (count > 0) exa_pool_run(pool, for_member, &job);
}

bool exa_pool_claim(size_t *claimed, size_t rows, size_t members, size_t *begin, size_t *end) {
    enum { MIN_ROWS = 2 };
    size_t first = __atomic_load_n(claimed, __ATOMIC_RELAXED);

    for (;;) {
        if (first >= rows) return false;
        size_t piece = (rows - first) / (2 * members);
        size_t next = first + (piece > MIN_ROWS ? piece : MIN_ROWS);
        if (next > rows) next = rows;
        if (__atomic_compare_exchange_n(claimed, &first, next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
            *begin = first;
            *end = next;
            return true;
        }
    }
}
