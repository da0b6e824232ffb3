/* Leases over MPI: every item is done by somebody, failures are tried elsewhere and listed, an error or a signal on
 * any rank ends the work of all. */
#include "test_util.h"

#include "exaconn/comm.h"
#include "exaconn/lease.h"

#include <mpi.h>
#include <stdatomic.h>

enum { ITEMS = 400 };

typedef struct work {
    atomic_int done[ITEMS];
    atomic_int bodies, ticks;
    int bad_every;             /* these fail always; 0 = none */
    int stop_after, stop_rank; /* this rank's tick says so after so many calls; 0 = never */
    int slow_rank;             /* it takes seconds for each */
} work;

static exa_status body(exa_lease_task *task, uint64_t id, void *context) {
    work *w = context;
    int wait = exa_comm_rank() == w->slow_rank ? 3000000 : (int)(id * 7919 % 5) * 200;
    atomic_fetch_add(&w->bodies, 1);
    for (int waited = 0; waited < wait; waited += 200) {
        if (exa_lease_cancelled(task)) return EXA_FAIL(EXA_ERR_CANCELLED, "cancelled");
        usleep(200);
    }
    if (w->bad_every && id % (uint64_t)w->bad_every == 3)
        return EXA_FAIL(EXA_ERR_IO, "no luck with %llu", (unsigned long long)id);
    atomic_fetch_add(&w->done[id], 1);
    return EXA_OK;
}

static exa_status tick(const exa_lease *lease, const exa_policy_counters *counters, void *context) {
    work *w = context;
    size_t ranks;
    if ((exa_lease_ranks(lease, &ranks) != NULL) != (exa_comm_rank() == 0))
        return EXA_FAIL(EXA_ERR_INTERNAL, "ranks");
    if ((exa_comm_rank() == 0) != (counters != NULL)) return EXA_FAIL(EXA_ERR_INTERNAL, "counters");
    atomic_fetch_add(&w->ticks, 1);
    if (w->stop_after && exa_comm_rank() == w->stop_rank && atomic_load(&w->ticks) > w->stop_after)
        return EXA_FAIL(EXA_ERR_CANCELLED, "stopped by the test");
    return EXA_OK;
}

static exa_status run(work *w, exa_lease_result *result) {
    exa_policy_options o = exa_policy_defaults();
    exa_policy_item items[ITEMS];
    for (uint64_t i = 0; i < ITEMS; i++) items[i] = (exa_policy_item){.id = i, .cost = 1 + (double)(i * 7919 % 5)};
    const exa_lease_work todo = {.items = items,
                                 .count = exa_comm_rank() ? 0 : ITEMS,
                                 .options = &o,
                                 .memory_bytes = 1,
                                 .body = body,
                                 .tick = tick,
                                 .context = w};
    return exa_lease_run(&todo, result);
}

/* How often each item was done by any rank. */
static void sum_done(const work *w, int *all) {
    int mine[ITEMS];
    for (int i = 0; i < ITEMS; i++) mine[i] = atomic_load(&w->done[i]);
    MPI_Allreduce(mine, all, ITEMS, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
}

/* Round after round until all is done: each item by somebody, and a round is over early. */
static void pauses_lose_nothing(void **state) {
    static int all[ITEMS];
    work w = {.slow_rank = -1};
    exa_policy_options o = exa_policy_defaults();
    int rounds = 0, paused = 1;
    (void)state;
    o.pause_s = 0.05;
    while (paused) {
        exa_policy_item items[ITEMS];
        exa_lease_result r = {0};
        size_t n = 0;
        sum_done(&w, all);
        for (uint64_t i = 0; i < ITEMS; i++)
            if (!all[i]) items[n++] = (exa_policy_item){.id = i, .cost = 1};
        const exa_lease_work rest = {.items = items,
                                     .count = exa_comm_rank() ? 0 : n,
                                     .options = &o,
                                     .memory_bytes = 1,
                                     .body = body,
                                     .tick = tick,
                                     .context = &w};
        assert_ok(exa_lease_run(&rest, &r));
        paused = r.state == EXA_POLICY_PAUSED;
        assert_ok(exa_comm_broadcast(&paused, sizeof paused));
        free(r.failures);
        free(r.ranks);
        rounds++;
    }
    sum_done(&w, all);
    for (int i = 0; i < ITEMS; i++) assert_true(all[i] >= 1);
    assert_true(rounds > 1 && rounds < ITEMS);
}

static void every_item_is_done(void **state) {
    static int all[ITEMS];
    work w = {.slow_rank = -1};
    exa_lease_result r = {0};
    int bodies, least;
    (void)state;
    assert_ok(run(&w, &r));
    sum_done(&w, all);
    for (int i = 0; i < ITEMS; i++) assert_true(all[i] >= 1 && all[i] <= 2);
    bodies = atomic_load(&w.bodies);
    MPI_Allreduce(&bodies, &least, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    assert_true(least > 0); /* everybody worked */
    if (exa_comm_rank() == 0) {
        assert_int_equal(r.state, EXA_POLICY_COMPLETE);
        assert_int_equal(r.counters.done, ITEMS);
        assert_int_equal(r.failure_count, 0);
    }
    free(r.failures);
    free(r.ranks);
}

/* The others take over what the last rank is slow with. */
static void a_slow_rank_is_helped(void **state) {
    static int all[ITEMS];
    work w = {.slow_rank = exa_comm_size() > 1 ? exa_comm_size() - 1 : -1};
    exa_lease_result r = {0};
    (void)state;
    assert_ok(run(&w, &r));
    sum_done(&w, all);
    for (int i = 0; i < ITEMS; i++) assert_true(all[i] >= 1);
    if (exa_comm_rank() == 0 && exa_comm_size() > 1) assert_true(r.counters.speculated > 0);
    free(r.failures);
    free(r.ranks);
}

static void failures_are_listed(void **state) {
    static int all[ITEMS];
    work w = {.bad_every = 50, .slow_rank = -1};
    exa_lease_result r = {0};
    (void)state;
    assert_fails(EXA_ERR_INCOMPLETE, exa_comm_rank() ? "" : "not all chunks", run(&w, &r));
    sum_done(&w, all);
    for (int i = 0; i < ITEMS; i++) assert_int_equal(all[i] >= 1, i % 50 != 3);
    if (exa_comm_rank() == 0) {
        assert_int_equal(r.counters.quarantined, ITEMS / 50);
        assert_int_equal(r.failure_count, ITEMS / 50);
        for (size_t i = 0; i < r.failure_count; i++) {
            assert_int_equal(r.failures[i].id % 50, 3);
            assert_int_equal(r.failures[i].failures, 3);
            assert_non_null(strstr(r.failures[i].message, "no luck with"));
        }
    }
    free(r.failures);
    free(r.ranks);
}

static void one_stops_all(void **state) {
    (void)state;
    for (int who = 0; who < exa_comm_size(); who++) {
        work w = {.stop_after = 10, .stop_rank = who, .slow_rank = -1};
        exa_lease_result r = {0};
        assert_fails(EXA_ERR_CANCELLED, exa_comm_rank() ? "" : "stopped", run(&w, &r));
        if (exa_comm_rank() == 0) assert_true(r.counters.done < ITEMS);
        free(r.failures);
        free(r.ranks);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_item_is_done),  cmocka_unit_test(a_slow_rank_is_helped),
        cmocka_unit_test(failures_are_listed), cmocka_unit_test(one_stops_all),
        cmocka_unit_test(pauses_lose_nothing),
    };
    int failed;
    if (exa_comm_init() != EXA_OK) return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    exa_comm_finalize();
    return failed;
}
