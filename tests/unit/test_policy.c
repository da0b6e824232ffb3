/* The lease policy with virtual workers: every item once, whatever fails and dies; nobody waits while there is
 * work; a straggler's items are finished by others. Events come from a queue ordered by time, so each run is the
 * same. */
#include "test_util.h"

#include "exaconn/policy.h"

#include <math.h>

enum { MOST_IN_HAND = 256 };

typedef struct virtual_worker {
    double speed, free_at; /* free_at: when the first of its leases ends */
    exa_policy_lease hand[MOST_IN_HAND];
    size_t count;
    double idle_since, idled;
} virtual_worker;

typedef struct world {
    exa_policy *policy;
    virtual_worker *workers;
    uint32_t worker_count;
    uint32_t *heap; /* workers with something in hand, the earliest on top */
    size_t heap_count;
    size_t *heap_at; /* where in the heap each is; SIZE_MAX = not */
    double now;
    double *cost;     /* by id */
    uint8_t *done;    /* by id: times that a result counted */
    uint64_t failing; /* each item fails in one of so many tries; 0 = never */
    uint64_t seed;
} world;

static bool earlier(const world *w, size_t a, size_t b) {
    const virtual_worker *x = &w->workers[w->heap[a]], *y = &w->workers[w->heap[b]];
    return x->free_at < y->free_at || (x->free_at == y->free_at && w->heap[a] < w->heap[b]);
}

static void swap(world *w, size_t a, size_t b) {
    uint32_t other = w->heap[a];
    w->heap[a] = w->heap[b];
    w->heap[b] = other;
    w->heap_at[w->heap[a]] = a;
    w->heap_at[w->heap[b]] = b;
}

static void settle(world *w, size_t i) {
    for (; i > 0 && earlier(w, i, (i - 1) / 2); i = (i - 1) / 2) swap(w, i, (i - 1) / 2);
    for (;;) {
        size_t least = i;
        for (size_t c = 2 * i + 1; c <= 2 * i + 2 && c < w->heap_count; c++) {
            if (earlier(w, c, least)) least = c;
        }
        if (least == i) return;
        swap(w, i, least);
        i = least;
    }
}

static void enter(world *w, uint32_t v) {
    if (w->heap_at[v] != SIZE_MAX) {
        settle(w, w->heap_at[v]);
        return;
    }
    w->heap_at[v] = w->heap_count;
    w->heap[w->heap_count++] = v;
    settle(w, w->heap_count - 1);
}

static void leave(world *w, uint32_t v) {
    size_t i = w->heap_at[v];
    if (i == SIZE_MAX) return;
    swap(w, i, --w->heap_count);
    w->heap_at[v] = SIZE_MAX;
    if (i < w->heap_count) settle(w, i);
}

static void begin_first(world *w, uint32_t v) {
    virtual_worker *x = &w->workers[v];
    if (x->count == 0) {
        leave(w, v);
        x->idle_since = w->now;
        return;
    }
    x->free_at = w->now + w->cost[x->hand[0].id] / x->speed;
    enter(w, v);
}

static void drop(world *w, uint32_t v, size_t k) {
    virtual_worker *x = &w->workers[v];
    memmove(&x->hand[k], &x->hand[k + 1], (x->count - k - 1) * sizeof x->hand[0]);
    x->count--;
    if (k == 0) begin_first(w, v);
}

static void ask(world *w, uint32_t v) {
    virtual_worker *x = &w->workers[v];
    bool idle = x->count == 0;
    size_t n;
    if (x->count >= 2) return; /* asks ahead of need: while it works on its last but one */
    assert_ok(exa_policy_take(w->policy, v, w->now, x->hand + x->count, MOST_IN_HAND - x->count, &n));
    x->count += n;
    if (!idle || n == 0) return;
    x->idled += w->now - x->idle_since;
    begin_first(w, v);
}

/* Whoever has nothing asks again, as after the return of leases. */
static void ask_all(world *w) {
    for (uint32_t v = 0; v < w->worker_count; v++) {
        if (exa_policy_is_alive(w->policy, v)) ask(w, v);
    }
}

/* The next worker ends its first item. */
static void step(world *w) {
    uint32_t v = w->heap[0], other;
    virtual_worker *x = &w->workers[v];
    exa_policy_lease l = x->hand[0];
    w->now = x->free_at;
    if (w->failing && test_random(&w->seed) % w->failing == 0) {
        exa_policy_failed(w->policy, v, l.item, w->now);
    } else if (exa_policy_done(w->policy, v, l.item, w->now, &other) == EXA_POLICY_FIRST) {
        w->done[l.id]++;
        for (size_t k = 0; other != EXA_POLICY_NOBODY && k < w->workers[other].count; k++) {
            if (w->workers[other].hand[k].item != l.item) continue;
            exa_policy_done(w->policy, other, l.item, w->now, NULL); /* it says that it stopped */
            drop(w, other, k);
            if (other != v) ask(w, other);
            break;
        }
    }
    drop(w, v, 0);
    if (!exa_policy_is_alive(w->policy, v)) {
        x->count = 0;
        leave(w, v);
        ask_all(w);
        return;
    }
    ask(w, v);
}

static world make_world(size_t items, uint32_t workers, const exa_policy_options *options) {
    world w = {.worker_count = workers, .seed = 99};
    exa_policy_item *list = malloc(items * sizeof *list);
    w.workers = calloc(workers, sizeof *w.workers);
    w.heap = malloc(workers * sizeof *w.heap);
    w.heap_at = malloc(workers * sizeof *w.heap_at);
    w.cost = malloc(items * sizeof *w.cost);
    w.done = calloc(items, 1);
    assert_true(list && w.workers && w.heap && w.heap_at && w.cost && w.done);
    for (size_t i = 0; i < items; i++) {
        w.cost[i] = exp(2 * test_uniform(&w.seed)); /* 1 to 7.4 */
        list[i] = (exa_policy_item){.id = i, .cost = w.cost[i], .memory_bytes = 1000 + i % 3 * 500};
    }
    assert_ok(exa_policy_create(list, items, options, &w.policy));
    for (uint32_t v = 0; v < workers; v++) {
        w.heap_at[v] = SIZE_MAX;
        w.workers[v].speed = 0.5 + 1.5 * test_uniform(&w.seed);
        assert_ok(exa_policy_add_worker(w.policy, v, 2000, 0));
    }
    free(list);
    return w;
}

static void end_world(world *w) {
    exa_policy_destroy(&w->policy);
    free(w->workers);
    free(w->heap);
    free(w->heap_at);
    free(w->cost);
    free(w->done);
}

static void run_world(world *w) {
    ask_all(w);
    while (exa_policy_get_state(w->policy) == EXA_POLICY_RUNNING && w->heap_count) step(w);
}

static double ideal(const world *w, size_t items) {
    double cost = 0, speed = 0;
    for (size_t i = 0; i < items; i++) cost += w->cost[i];
    for (uint32_t v = 0; v < w->worker_count; v++) speed += w->workers[v].speed;
    return cost / speed;
}

static void check_counters(const world *w) {
    exa_policy_counters c = exa_policy_get_counters(w->policy);
    assert_int_equal(c.pending + c.leased + c.done + c.quarantined, c.items);
}

/* Two million chunks, four thousand workers of different speeds: each chunk once, and the end is near the ideal. */
static void millions_of_chunks_thousands_of_workers(void **state) {
    enum { ITEMS = 2000000, WORKERS = 4000 };
    exa_policy_options o = exa_policy_defaults();
    world w;
    double best;
    (void)state;
    w = make_world(ITEMS, WORKERS, &o);
    best = ideal(&w, ITEMS);
    run_world(&w);
    assert_int_equal(exa_policy_get_state(w.policy), EXA_POLICY_COMPLETE);
    for (size_t i = 0; i < ITEMS; i++) assert_int_equal(w.done[i], 1);
    assert_true(w.now < 1.01 * best);
    check_counters(&w);
    assert_int_equal(exa_policy_get_counters(w.policy).done, ITEMS);
    end_world(&w);
}

/* Failures and deaths: what can be done is done once, what fails three times is listed, nothing is lost. */
static void failures_and_deaths_lose_nothing(void **state) {
    enum { ITEMS = 50000, WORKERS = 200 };
    exa_policy_options o = exa_policy_defaults();
    exa_policy_counters c;
    uint64_t kill_seed = 4, quarantined = 0;
    world w;
    (void)state;
    o.error_budget = ITEMS;
    w = make_world(ITEMS, WORKERS, &o);
    w.failing = 10;
    ask_all(&w);
    for (uint64_t events = 0; exa_policy_get_state(w.policy) == EXA_POLICY_RUNNING; events++) {
        assert_true(w.heap_count > 0);
        step(&w);
        if (events % 300 == 299 && exa_policy_get_counters(w.policy).workers > 20) {
            uint32_t v = (uint32_t)(test_random(&kill_seed) % WORKERS);
            exa_policy_dead(w.policy, v);
            w.workers[v].count = 0;
            leave(&w, v);
            ask_all(&w);
        }
        if (events % 5000 == 0) check_counters(&w);
    }
    assert_int_equal(exa_policy_get_state(w.policy), EXA_POLICY_COMPLETE);
    c = exa_policy_get_counters(w.policy);
    for (uint32_t i = 0; i < ITEMS; i++) {
        uint64_t id = exa_policy_item_id(w.policy, i);
        bool done = exa_policy_item_is_done(w.policy, i);
        assert_int_equal(w.done[id], done);
        if (!done) assert_true(exa_policy_item_failures(w.policy, i) >= 3);
        quarantined += !done;
    }
    assert_int_equal(c.quarantined, quarantined);
    assert_true(quarantined > 0 && quarantined < ITEMS / 200);
    assert_true(c.dead > 50 && c.retired > 0);
    check_counters(&w);
    end_world(&w);
}

/* One worker becomes a hundred times slower with leases in hand: with speculation the run ends nearly in time. */
static void a_straggler_is_overtaken(void **state) {
    enum { ITEMS = 4000, WORKERS = 40 };
    double end[2], best = 0;
    (void)state;
    for (int speculation = 0; speculation < 2; speculation++) {
        exa_policy_options o = exa_policy_defaults();
        world w;
        o.speculation = speculation;
        w = make_world(ITEMS, WORKERS, &o);
        best = ideal(&w, ITEMS);
        ask_all(&w);
        while (exa_policy_get_state(w.policy) == EXA_POLICY_RUNNING && w.heap_count) {
            bool was_before = w.now < 0.8 * best;
            step(&w);
            if (was_before && w.now >= 0.8 * best) w.workers[7].speed /= 100;
        }
        assert_int_equal(exa_policy_get_state(w.policy), EXA_POLICY_COMPLETE);
        for (size_t i = 0; i < ITEMS; i++) assert_int_equal(w.done[i], 1);
        assert_int_equal(exa_policy_get_counters(w.policy).speculated > 0, speculation);
        end[speculation] = w.now;
        end_world(&w);
    }
    assert_true(end[0] > 2 * best);
    assert_true(end[1] < 1.2 * best);
}

/* Priority first, then the long ones, then along the curve. */
static void order_of_leases(void **state) {
    const exa_policy_item items[] = {{.id = 5, .cost = 10},
                                     {.id = 3, .cost = 10.1},
                                     {.id = 9, .cost = 100},
                                     {.id = 1, .cost = 1, .priority = 1},
                                     {.id = 4, .cost = 10.2}};
    const uint64_t expected[] = {1, 9, 3, 4, 5};
    exa_policy_options o = exa_policy_defaults();
    exa_policy *p = NULL;
    exa_policy_lease l[8];
    size_t n;
    (void)state;
    assert_ok(exa_policy_create(items, 5, &o, &p));
    assert_ok(exa_policy_add_worker(p, 3, 0, 0));
    for (size_t got = 0; got < 5; got += n) {
        assert_ok(exa_policy_take(p, 3, (double)got, l, 8, &n));
        assert_true(n > 0);
        for (size_t k = 0; k < n; k++) {
            assert_int_equal(l[k].id, expected[got + k]);
            assert_int_equal(exa_policy_done(p, 3, l[k].item, (double)(got + k) + 0.5, NULL), EXA_POLICY_FIRST);
        }
    }
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_COMPLETE);
    exa_policy_destroy(&p);
}

/* A chunk that needs more than a worker has goes to one that has it; if nobody has it, the run is told so. */
static void memory_decides_who_can(void **state) {
    const exa_policy_item items[] = {{.id = 0, .cost = 1, .memory_bytes = 500},
                                     {.id = 1, .cost = 1, .memory_bytes = 5000}};
    exa_policy_options o = exa_policy_defaults();
    exa_policy *p = NULL;
    exa_policy_lease l[4];
    size_t n;
    (void)state;
    assert_ok(exa_policy_create(items, 2, &o, &p));
    assert_ok(exa_policy_add_worker(p, 0, 1000, 0));
    assert_ok(exa_policy_take(p, 0, 0, l, 4, &n));
    assert_true(n == 1 && l[0].id == 0);
    assert_int_equal(exa_policy_done(p, 0, l[0].item, 1, NULL), EXA_POLICY_FIRST);
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_BLOCKED);
    assert_ok(exa_policy_add_worker(p, 1, 6000, 1));
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_RUNNING);
    assert_ok(exa_policy_take(p, 1, 1, l, 4, &n));
    assert_true(n == 1 && l[0].id == 1);
    assert_true(exa_policy_get_worker(p, 1).alive && exa_policy_get_worker(p, 1).in_hand == 1);
    assert_true(exa_policy_get_worker(p, 0).speed > 0 && exa_policy_get_worker(p, 0).in_hand == 0);
    assert_false(exa_policy_get_worker(p, 2).known);
    exa_policy_dead(p, 1);
    assert_true(exa_policy_get_worker(p, 1).known && !exa_policy_get_worker(p, 1).alive);
    assert_int_equal(exa_policy_get_worker(p, 1).in_hand, 0);
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_BLOCKED);
    assert_int_equal(exa_policy_done(p, 1, l[0].item, 2, NULL), EXA_POLICY_DUPLICATE);
    exa_policy_destroy(&p);
}

/* A failed chunk goes elsewhere; a worker with three different failures in a row is retired; the last worker is
 * not. */
static void failures_go_elsewhere(void **state) {
    exa_policy_item items[20];
    exa_policy_options o = exa_policy_defaults();
    exa_policy *p = NULL;
    exa_policy_lease l[4];
    size_t n;
    (void)state;
    for (uint64_t i = 0; i < 20; i++) items[i] = (exa_policy_item){.id = i, .cost = 1};
    o.error_budget = 2;
    assert_ok(exa_policy_create(items, 20, &o, &p));
    assert_ok(exa_policy_add_worker(p, 0, 0, 0));
    assert_ok(exa_policy_add_worker(p, 1, 0, 0));
    for (uint64_t i = 0; i < 3; i++) {
        assert_true(exa_policy_is_alive(p, 0));
        assert_ok(exa_policy_take(p, 0, 0, l, 1, &n));
        assert_true(n == 1 && l[0].id == i); /* not the one that it failed before */
        assert_int_equal(exa_policy_failed(p, 0, l[0].item, 1), EXA_POLICY_RETRY);
    }
    assert_false(exa_policy_is_alive(p, 0));
    assert_ok(exa_policy_take(p, 0, 1, l, 1, &n));
    assert_int_equal(n, 0);
    assert_ok(exa_policy_take(p, 1, 1, l, 1, &n));
    assert_true(n == 1 && l[0].id == 0);
    for (int k = 0; k < 20 && exa_policy_get_state(p) == EXA_POLICY_RUNNING; k++) {
        if (n) exa_policy_failed(p, 1, l[0].item, 2);
        assert_ok(exa_policy_take(p, 1, 2, l, 1, &n));
    }
    assert_true(exa_policy_is_alive(p, 1));
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_EXHAUSTED);
    assert_int_equal(exa_policy_get_counters(p).quarantined, 3);
    exa_policy_destroy(&p);
}

/* When it is time nothing more is given out, not twice either; what is in hand is still done. */
static void all_pause_together(void **state) {
    exa_policy_options o = exa_policy_defaults();
    exa_policy_item items[20];
    exa_policy_lease l[20];
    exa_policy *p;
    size_t n, more;
    (void)state;
    o.pause_s = 10;
    for (uint64_t i = 0; i < 20; i++) items[i] = (exa_policy_item){.id = i, .cost = 1};
    assert_ok(exa_policy_create(items, 20, &o, &p));
    assert_ok(exa_policy_add_worker(p, 0, 0, 0));
    assert_ok(exa_policy_add_worker(p, 1, 0, 0));
    assert_ok(exa_policy_take(p, 0, 11, l, 1, &n)); /* late, but the first */
    assert_int_equal(n, 1);
    assert_ok(exa_policy_take(p, 1, 12, l + 1, 1, &more));
    assert_int_equal(more, 0);
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_RUNNING);
    assert_int_equal(exa_policy_done(p, 0, l[0].item, 13, NULL), EXA_POLICY_FIRST);
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_PAUSED);
    assert_ok(exa_policy_take(p, 0, 14, l, 20, &n));
    assert_int_equal(n, 0);
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_PAUSED);
    exa_policy_destroy(&p);

    assert_ok(exa_policy_create(items, 1, &o, &p)); /* all done before the pause: complete, not paused */
    assert_ok(exa_policy_add_worker(p, 0, 0, 0));
    assert_ok(exa_policy_take(p, 0, 1, l, 1, &n));
    assert_int_equal(exa_policy_done(p, 0, l[0].item, 13, NULL), EXA_POLICY_FIRST);
    assert_ok(exa_policy_take(p, 0, 14, l, 1, &n));
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_COMPLETE);
    exa_policy_destroy(&p);
}

static void wrong_costs_are_refused(void **state) {
    const double wrong[] = {0, -1, NAN, INFINITY};
    exa_policy_options o = exa_policy_defaults();
    exa_policy *p = NULL;
    (void)state;
    for (int i = 0; i < 4; i++) {
        const exa_policy_item item = {.id = 7, .cost = wrong[i]};
        assert_fails(EXA_ERR_RANGE, "chunk 7", exa_policy_create(&item, 1, &o, &p));
    }
    assert_null(p);
    assert_ok(exa_policy_create(NULL, 0, &o, &p));
    assert_int_equal(exa_policy_get_state(p), EXA_POLICY_COMPLETE);
    exa_policy_destroy(&p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_of_leases),
        cmocka_unit_test(memory_decides_who_can),
        cmocka_unit_test(failures_go_elsewhere),
        cmocka_unit_test(all_pause_together),
        cmocka_unit_test(wrong_costs_are_refused),
        cmocka_unit_test(a_straggler_is_overtaken),
        cmocka_unit_test(failures_and_deaths_lose_nothing),
        cmocka_unit_test(millions_of_chunks_thousands_of_workers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
