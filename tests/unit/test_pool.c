/* The thread team: every member once, barriers that hold, dynamic loops, more threads than cores, sleep and wake.
 */
#include "test_util.h"

#include "exaconn/cpu.h"
#include "exaconn/pool.h"

#include <stdatomic.h>
#include <time.h>

#define MAX_THREADS 16

typedef struct team_state {
    exa_pool *pool;
    int threads, rounds;
    int calls[MAX_THREADS];
    long shared[MAX_THREADS]; /* written before, read by all after each barrier */
    atomic_int bad;
} team_state;

static void count_member(void *context, int member) {
    team_state *s = context;
    s->calls[member]++;
}

static void test_run_reaches_every_member_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= 7; threads += 2) {
        team_state s = {.threads = threads};
        exa_pool *pool = NULL;
        assert_ok(exa_pool_create(threads, false, &pool));
        assert_int_equal(exa_pool_threads(pool), threads);
        for (int round = 0; round < 200; round++) exa_pool_run(pool, count_member, &s);
        for (int i = 0; i < MAX_THREADS; i++) assert_int_equal(s.calls[i], i < threads ? 200 : 0);
        exa_pool_destroy(&pool);
        assert_null(pool);
    }
}

/* Without a barrier that orders memory, some member would see an old value (and TSan a race). */
static void barrier_rounds(void *context, int member) {
    team_state *s = context;
    for (int round = 1; round <= s->rounds; round++) {
        s->shared[member] = round;
        exa_pool_barrier(s->pool);
        for (int i = 0; i < s->threads; i++) {
            if (s->shared[i] != round) atomic_fetch_add(&s->bad, 1);
        }
        exa_pool_barrier(s->pool);
    }
}

static void test_barrier_separates_rounds(void **state) {
    (void)state;
    int counts[] = {1, 2, 3, 8};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        team_state s = {.threads = counts[c], .rounds = 500};
        assert_ok(exa_pool_create(counts[c], counts[c] == 2, &s.pool));
        for (int repeat = 0; repeat < 3; repeat++) exa_pool_run(s.pool, barrier_rounds, &s);
        assert_int_equal(atomic_load(&s.bad), 0);
        exa_pool_destroy(&s.pool);
    }
}

static void take_item(void *context, size_t i, int member) {
    atomic_int *seen = context;
    assert_in_range(member, 0, MAX_THREADS - 1);
    atomic_fetch_add(&seen[i], 1);
}

static void test_for_hands_out_each_item_once(void **state) {
    (void)state;
    enum { ITEMS = 1000 };
    static atomic_int seen[ITEMS];
    for (int threads = 0; threads <= 5; threads++) { /* 0: no pool */
        exa_pool *pool = NULL;
        if (threads > 0) assert_ok(exa_pool_create(threads, false, &pool));
        for (int i = 0; i < ITEMS; i++) atomic_store(&seen[i], 0);
        exa_pool_for(pool, ITEMS, take_item, seen);
        exa_pool_for(pool, 0, take_item, seen);
        exa_pool_for(pool, 1, take_item, seen);
        for (int i = 0; i < ITEMS; i++) assert_int_equal(atomic_load(&seen[i]), i == 0 ? 2 : 1);
        exa_pool_destroy(&pool);
    }
}

static void test_null_pool(void **state) {
    (void)state;
    team_state s = {.threads = 1, .rounds = 3};
    exa_pool *none = NULL;
    assert_int_equal(exa_pool_threads(NULL), 1);
    exa_pool_run(NULL, count_member, &s);
    exa_pool_run(NULL, barrier_rounds, &s);
    assert_int_equal(s.calls[0], 1);
    assert_int_equal(atomic_load(&s.bad), 0);
    exa_pool_destroy(&none);
}

static void pause_ms(int ms) {
    struct timespec t = {.tv_nsec = ms * 1000000L};
    nanosleep(&t, NULL);
}

/* Long enough between the calls for every waiter to have gone to sleep. */
static void late_member(void *context, int member) {
    team_state *s = context;
    if (member == 0) pause_ms(5);
    s->calls[member]++;
    exa_pool_barrier(s->pool);
}

static void test_sleepers_wake(void **state) {
    (void)state;
    team_state s = {.threads = 4};
    assert_ok(exa_pool_create(4, false, &s.pool));
    for (int i = 0; i < 10; i++) {
        exa_pool_run(s.pool, late_member, &s);
        pause_ms(2);
    }
    for (int i = 0; i < 4; i++) assert_int_equal(s.calls[i], 10);
    exa_pool_destroy(&s.pool);
}

static void test_idle_pool_burns_no_time(void **state) {
    (void)state;
    exa_pool *pool = NULL;
    team_state s = {.threads = 8};
    struct timespec before, after;
    assert_ok(exa_pool_create(8, false, &pool));
    exa_pool_run(pool, count_member, &s);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    pause_ms(300);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double used = (double)(after.tv_sec - before.tv_sec) + 1e-9 * (double)(after.tv_nsec - before.tv_nsec);
    assert_true(used < 0.15); /* seven spinning threads would use 0.6 s and more */
    exa_pool_destroy(&pool);
}

static void test_bound_threads_leave_the_caller_free(void **state) {
    (void)state;
    int cores = exa_cpu_cores();
    team_state s = {.threads = 6};
    assert_ok(exa_pool_create(6, true, &s.pool)); /* more members than this machine may have cores */
    exa_pool_run(s.pool, count_member, &s);
    for (int i = 0; i < 6; i++) assert_int_equal(s.calls[i], 1);
    exa_pool_destroy(&s.pool);
    assert_int_equal(exa_cpu_cores(), cores);
}

static void test_bad_thread_counts(void **state) {
    (void)state;
    exa_pool *pool = NULL;
    assert_fails(EXA_ERR_RANGE, "0 threads", exa_pool_create(0, false, &pool));
    assert_fails(EXA_ERR_RANGE, "-3 threads", exa_pool_create(-3, false, &pool));
    assert_fails(EXA_ERR_RANGE, "1 to", exa_pool_create(1 << 30, false, &pool));
    assert_null(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run_reaches_every_member_once),
        cmocka_unit_test(test_barrier_separates_rounds),
        cmocka_unit_test(test_for_hands_out_each_item_once),
        cmocka_unit_test(test_null_pool),
        cmocka_unit_test(test_sleepers_wake),
        cmocka_unit_test(test_idle_pool_burns_no_time),
        cmocka_unit_test(test_bound_threads_leave_the_caller_free),
        cmocka_unit_test(test_bad_thread_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
