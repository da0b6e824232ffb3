/* The lease policy. The idea: items are sorted once into bins of equal priority, cost class and memory class, and
 * within a bin along the curve; a bin is used up from its front. What comes back (failed, or its worker died) waits
 * in a pile of its bin and goes out first. So a lease costs a few operations, whatever the number of items. */
#include "exaconn/policy.h"

#include "exaconn/box.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOBODY EXA_POLICY_NOBODY
#define SPEED_MEMORY 0.7 /* what is left of an item's weight in a worker's measured speed when the next is done */

typedef enum item_state { PENDING = 0, LEASED, DONE, QUARANTINED } item_state;

typedef struct item {
    uint64_t id, memory_bytes;
    double cost;
    uint32_t bin;
    uint32_t holder[2]; /* NOBODY where there is none */
    uint32_t avoid;     /* the worker that failed it last */
    int32_t priority;
    int16_t cost_class, memory_class; /* half octaves, quarter octaves */
    uint16_t failures;
    uint8_t state;
} item;

typedef struct pile {
    uint32_t *items; /* owned */
    size_t count, capacity;
} pile;

typedef struct bin {
    uint64_t memory_bytes; /* the most that an item of it needs */
    uint32_t next, end;    /* items not yet given out */
    uint32_t leased;       /* items of it in workers' hands */
    pile back;             /* items that came back */
} bin;

typedef struct worker {
    uint64_t memory_bytes;
    pile leases;                  /* in the order in which they were given and are worked off */
    double leased;                /* their cost */
    double speed;                 /* cost a second; 0 = not known */
    double recent_cost, recent_s; /* what speed is the ratio of: done, and how long it took */
    double last_event;            /* when it began with the first of its leases, as far as is known */
    uint32_t slots;               /* items that it does at once */
    uint32_t strikes;             /* different items that failed in a row */
    uint32_t last_failed;         /* the item */
    bool known, alive;
} worker;

struct exa_policy {
    exa_policy_options options;
    item *items; /* owned; sorted */
    bin *bins;   /* owned; in order */
    worker *workers;
    size_t item_count, bin_count, worker_count;
    size_t first_bin; /* all before it are used up, except for what came back */
    exa_policy_counters counters;
    bool paused; /* for good, unless somebody dies */
};

/* ---- order --------------------------------------------------------------------------------------------------- */

static int16_t class_of(double value, double per_octave) {
    return (int16_t)floor(log2(value) * per_octave);
}

/* Which bin: negative, 0 or positive. */
static int by_bin(const item *a, const item *b) {
    if (a->priority != b->priority) return a->priority > b->priority ? -1 : 1;
    if (a->cost_class != b->cost_class) return a->cost_class > b->cost_class ? -1 : 1;
    return b->memory_class - a->memory_class;
}

static int by_order(const void *pa, const void *pb) {
    const item *a = pa, *b = pb;
    int order = by_bin(a, b);

    return order ? order : (a->id > b->id) - (a->id < b->id);
}

static exa_status make_bins(exa_policy *p) {
    size_t n = 0;

    for (size_t i = 0; i < p->item_count; i++) n += i == 0 || by_bin(&p->items[i - 1], &p->items[i]) != 0;
    EXA_TRY(exa_calloc(n, sizeof *p->bins, "bins of chunks", &p->bins));
    for (size_t i = 0; i < p->item_count; i++) {
        if (i == 0 || by_bin(&p->items[i - 1], &p->items[i]) != 0) p->bins[p->bin_count++].next = (uint32_t)i;
        bin *b = &p->bins[p->bin_count - 1];
        b->end = (uint32_t)i + 1;
        if (p->items[i].memory_bytes > b->memory_bytes) b->memory_bytes = p->items[i].memory_bytes;
        p->items[i].bin = (uint32_t)(p->bin_count - 1);
    }
    return EXA_OK;
}

/* ---- create -------------------------------------------------------------------------------------------------- */

exa_policy_options exa_policy_defaults(void) {
    return (exa_policy_options){
        .lease_s = 60, .lease_most = 4096, .attempts = 3, .strikes = 3, .error_budget = 100, .speculation = true};
}

static exa_status copy_items(exa_policy *p, const exa_policy_item *items, size_t count) {
    EXA_CHECK(count < NOBODY, EXA_ERR_RANGE, "%zu items are too many for one policy", count);
    EXA_TRY(exa_alloc(count, sizeof *p->items, "the list of chunks", &p->items));
    p->item_count = count;
    for (size_t i = 0; i < count; i++) {
        EXA_CHECK(isfinite(items[i].cost) && items[i].cost > 0, EXA_ERR_RANGE,
                  "chunk %llu has the predicted cost %g, which is not a positive number",
                  (unsigned long long)items[i].id, items[i].cost);
        p->items[i] = (item){.id = items[i].id,
                             .memory_bytes = items[i].memory_bytes,
                             .cost = items[i].cost,
                             .priority = items[i].priority,
                             .cost_class = class_of(items[i].cost, 2),
                             .memory_class = class_of((double)items[i].memory_bytes + 1, 4),
                             .holder = {NOBODY, NOBODY},
                             .avoid = NOBODY};
        p->counters.cost_left += items[i].cost;
    }
    if (count) qsort(p->items, count, sizeof *p->items, by_order);
    p->counters.items = p->counters.pending = count;
    return make_bins(p);
}

exa_status exa_policy_create(const exa_policy_item *items, size_t count, const exa_policy_options *options,
                             exa_policy **out) {
    exa_policy *p = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *p, "a policy", &p));
    p->options = *options;
    EXA_GOTO(fail, copy_items(p, items, count));
    *out = p;
    return EXA_OK;
fail:
    exa_policy_destroy(&p);
    return st;
}

void exa_policy_destroy(exa_policy **policy) {
    exa_policy *p = *policy;

    if (!p) return;
    for (size_t i = 0; i < p->bin_count; i++) free(p->bins[i].back.items);
    for (size_t i = 0; i < p->worker_count; i++) free(p->workers[i].leases.items);
    free(p->items);
    free(p->bins);
    free(p->workers);
    free(p);
    *policy = NULL;
}

static exa_status push(pile *to, uint32_t i) {
    EXA_TRY(exa_grow(&to->items, &to->capacity, sizeof *to->items, to->count + 1, "leases"));
    to->items[to->count++] = i;
    return EXA_OK;
}

exa_status exa_policy_add_worker(exa_policy *p, uint32_t number, uint64_t memory_bytes, double now_s) {
    size_t capacity = p->worker_count;

    EXA_CHECK(number != NOBODY, EXA_ERR_RANGE, "worker %u cannot be", number);
    if (number >= p->worker_count) {
        EXA_TRY(exa_grow(&p->workers, &capacity, sizeof *p->workers, (size_t)number + 1, "workers"));
        memset(p->workers + p->worker_count, 0, (capacity - p->worker_count) * sizeof *p->workers);
        p->worker_count = capacity;
    }
    EXA_CHECK(!p->workers[number].known, EXA_ERR_RANGE, "worker %u is known already", number);
    p->workers[number] = (worker){.memory_bytes = memory_bytes,
                                  .slots = 1,
                                  .last_event = now_s,
                                  .last_failed = NOBODY,
                                  .known = true,
                                  .alive = true};
    p->counters.workers++;
    return EXA_OK;
}

void exa_policy_set_slots(exa_policy *p, uint32_t number, uint32_t slots) {
    if (number < p->worker_count && slots > 0) p->workers[number].slots = slots;
}

bool exa_policy_is_alive(const exa_policy *p, uint32_t number) {
    return number < p->worker_count && p->workers[number].alive;
}

exa_policy_worker exa_policy_get_worker(const exa_policy *p, uint32_t number) {
    const worker *w = number < p->worker_count ? &p->workers[number] : NULL;

    if (!w) return (exa_policy_worker){0};
    return (exa_policy_worker){
        .speed = w->speed, .in_hand = (uint32_t)w->leases.count, .known = w->known, .alive = w->alive};
}

/* ---- leases -------------------------------------------------------------------------------------------------- */

/* Memory for what may come back is there before it is needed: what is told to the policy must not fail. */
static exa_status lease(exa_policy *p, uint32_t number, uint32_t i, exa_policy_lease *out) {
    worker *w = &p->workers[number];
    item *it = &p->items[i];
    pile *back = &p->bins[it->bin].back;
    bool second = it->holder[0] != NOBODY;

    EXA_TRY(exa_grow(&back->items, &back->capacity, sizeof *back->items, back->count + p->bins[it->bin].leased + 1,
                     "leases"));
    EXA_TRY(push(&w->leases, i));
    w->leased += it->cost;
    it->holder[second] = number;
    if (!second) {
        it->state = LEASED;
        p->bins[it->bin].leased++;
        p->counters.pending--;
        p->counters.leased++;
    }
    p->counters.leases++;
    p->counters.speculated += second;
    *out = (exa_policy_lease){.id = it->id, .item = i, .duplicate = second};
    return EXA_OK;
}

/* Takes item `i` from the worker's list; false if it is not there. */
static bool release(exa_policy *p, uint32_t number, uint32_t i) {
    worker *w = &p->workers[number];
    item *it = &p->items[i];

    for (size_t k = 0; k < w->leases.count; k++) {
        if (w->leases.items[k] != i) continue;
        memmove(&w->leases.items[k], &w->leases.items[k + 1],
                (w->leases.count - k - 1) * sizeof w->leases.items[0]);
        w->leases.count--;
        w->leased = w->leases.count ? w->leased - it->cost : 0;
        if (it->holder[0] == number) it->holder[0] = it->holder[1];
        it->holder[1] = NOBODY;
        return true;
    }
    return false;
}

/* The item is in nobody's hands from now on. */
static void leave(exa_policy *p, uint32_t i, item_state state) {
    item *it = &p->items[i];
    bin *b = &p->bins[it->bin];

    it->state = (uint8_t)state;
    b->leased--;
    p->counters.leased--;
    if (state == PENDING) {
        b->back.items[b->back.count++] = i; /* there is room: lease() saw to it */
        p->counters.pending++;
        return;
    }
    p->counters.cost_left -= it->cost;
    if (state == DONE) p->counters.done++;
    if (state == QUARANTINED) p->counters.quarantined++;
}

/* Whether another living worker could do it. */
static bool someone_else(const exa_policy *p, uint32_t number, const item *it) {
    for (size_t v = 0; v < p->worker_count; v++) {
        if (v != number && p->workers[v].alive && p->workers[v].memory_bytes >= p->bins[it->bin].memory_bytes)
            return true;
    }
    return false;
}

/* From the pile of a bin, the item of the smallest id that this worker may try; NOBODY if there is none. */
static uint32_t take_back(exa_policy *p, bin *b, uint32_t number) {
    size_t best = b->back.count;
    uint32_t i;

    for (size_t k = 0; k < b->back.count; k++) {
        const item *it = &p->items[b->back.items[k]];
        if (it->avoid == number && someone_else(p, number, it)) continue;
        if (best == b->back.count || it->id < p->items[b->back.items[best]].id) best = k;
    }
    if (best == b->back.count) return NOBODY;
    i = b->back.items[best];
    b->back.items[best] = b->back.items[--b->back.count];
    return i;
}

/* The next item for this worker; NOBODY if there is none that it can take. */
static uint32_t next_item(exa_policy *p, uint32_t number, bool *came_back) {
    if (p->counters.pending == 0) return NOBODY;
    for (; p->first_bin < p->bin_count; p->first_bin++) {
        const bin *b = &p->bins[p->first_bin];
        if (b->next < b->end || b->back.count || b->leased) break;
    }
    for (size_t k = p->first_bin; k < p->bin_count; k++) {
        bin *b = &p->bins[k];
        uint32_t i = NOBODY;
        if (b->memory_bytes > p->workers[number].memory_bytes) continue;
        if (b->back.count) i = take_back(p, b, number);
        *came_back = i != NOBODY;
        if (i == NOBODY && b->next < b->end) i = b->next++;
        if (i != NOBODY) return i;
    }
    return NOBODY;
}

/* ---- speculation --------------------------------------------------------------------------------------------- */

/* When a worker is expected to end the first `count` of its leases; if that is past, as much later as it is late.
 */
static double expected_end(const exa_policy *p, const worker *w, size_t count, double now_s) {
    double speed = w->speed > 0 ? w->speed : p->counters.speed / p->counters.workers, cost = 0, end;

    for (size_t k = 0; k < count; k++) cost += p->items[w->leases.items[k]].cost;
    end = w->last_event + cost / speed;
    return end > now_s ? end : now_s + (now_s - end);
}

/* The item in a single pair of hands that is expected to be ended last, if this idle worker would end it earlier.
 */
static uint32_t slowest_item(const exa_policy *p, uint32_t number, double now_s) {
    const worker *w = &p->workers[number];
    double speed = w->speed > 0 ? w->speed : p->counters.speed / p->counters.workers, gain = 0;
    uint32_t found = NOBODY;

    if (!p->options.speculation || !(speed > 0)) return NOBODY;
    for (size_t v = 0; v < p->worker_count; v++) {
        const worker *other = &p->workers[v];
        for (size_t k = 0; v != number && other->alive && k < other->leases.count; k++) {
            const item *it = &p->items[other->leases.items[k]];
            double gained = expected_end(p, other, k + 1, now_s) - (now_s + it->cost / speed);
            if (it->state != LEASED || it->holder[1] != NOBODY || it->memory_bytes > w->memory_bytes) continue;
            if (it->avoid == number || gained <= gain) continue;
            gain = gained;
            found = other->leases.items[k];
        }
    }
    return found;
}

/* ---- what the caller asks and tells -------------------------------------------------------------------------- */

/* The cost that a worker may have in hand: lease_s of its speed, and near the end half of its share of what is
 * left. */
static double allowance(const exa_policy *p, const worker *w) {
    double seconds = p->options.lease_s, share;

    if (!(w->speed > 0)) return 0;
    share = p->counters.cost_left / (2 * p->counters.speed);
    return w->speed * (share < seconds ? share : seconds);
}

static exa_status take_next(exa_policy *p, uint32_t number, exa_policy_lease *out, bool *taken) {
    bool came_back = false;
    uint32_t i = next_item(p, number, &came_back);
    exa_status st;

    *taken = i != NOBODY;
    if (i == NOBODY) return EXA_OK;
    st = lease(p, number, i, out);
    if (st == EXA_OK) return EXA_OK;
    bin *b = &p->bins[p->items[i].bin]; /* as if it had not been taken */
    if (came_back) {
        b->back.items[b->back.count++] = i;
    } else {
        b->next--;
    }
    return st;
}

exa_status exa_policy_take(exa_policy *p, uint32_t number, double now_s, exa_policy_lease *leases, size_t room,
                           size_t *count) {
    worker *w = number < p->worker_count ? &p->workers[number] : NULL;
    bool taken = true;

    *count = 0;
    /* Not before something was given out: a short interval must not keep all from ever working. */
    p->paused = p->paused || (p->options.pause_s > 0 && now_s >= p->options.pause_s && p->counters.leases > 0);
    if (!w || !w->alive || p->paused) return EXA_OK;
    if (room > p->options.lease_most) room = p->options.lease_most;
    if (w->leases.count == 0) w->last_event = now_s;
    while (*count < room && taken) {
        /* One more than it does at once, never to wait; not so at the end, to share. */
        size_t ahead = w->slots + (p->counters.pending >= p->counters.workers);
        if (w->leases.count >= ahead && w->leased >= allowance(p, w)) break;
        EXA_TRY(take_next(p, number, &leases[*count], &taken));
        *count += taken;
    }
    if (*count == 0 && w->leases.count == 0 && room > 0) {
        uint32_t i = slowest_item(p, number, now_s);
        if (i == NOBODY) return EXA_OK;
        EXA_TRY(lease(p, number, i, &leases[0]));
        *count = 1;
    }
    return EXA_OK;
}

/* Cost and time fade together: a worker that does several items at once ends some of them in the same moment. */
static void measure(exa_policy *p, worker *w, double cost, double now_s) {
    double took = now_s - w->last_event, speed;

    w->last_event = now_s;
    w->recent_cost = SPEED_MEMORY * w->recent_cost + cost;
    w->recent_s = SPEED_MEMORY * w->recent_s + (took > 0 ? took : 0);
    if (!(w->recent_s > 0) || !w->alive) return;
    speed = w->recent_cost / w->recent_s;
    p->counters.speed += speed - w->speed;
    w->speed = speed;
}

exa_policy_verdict exa_policy_done(exa_policy *p, uint32_t number, uint32_t i, double now_s, uint32_t *also) {
    if (also) *also = NOBODY;
    if (number >= p->worker_count || i >= p->item_count || !release(p, number, i)) return EXA_POLICY_DUPLICATE;
    measure(p, &p->workers[number], p->items[i].cost, now_s);
    p->workers[number].strikes = 0;
    if (p->items[i].state != LEASED) {
        p->counters.duplicates++;
        return EXA_POLICY_DUPLICATE;
    }
    leave(p, i, DONE);
    if (also) *also = p->items[i].holder[0];
    return EXA_POLICY_FIRST;
}

void exa_policy_dropped(exa_policy *p, uint32_t number, uint32_t i) {
    if (number >= p->worker_count || i >= p->item_count || !release(p, number, i)) return;
    if (p->items[i].state == LEASED && p->items[i].holder[0] == NOBODY) leave(p, i, PENDING);
}

/* Takes a worker out: its items return. */
static void dismiss(exa_policy *p, uint32_t number) {
    worker *w = &p->workers[number];

    w->alive = false;
    p->counters.workers--;
    p->counters.speed -= w->speed;
    if (p->counters.workers == 0) p->counters.speed = 0;
    while (w->leases.count) {
        uint32_t i = w->leases.items[w->leases.count - 1];
        release(p, number, i);
        if (p->items[i].state == LEASED && p->items[i].holder[0] == NOBODY) leave(p, i, PENDING);
    }
}

/* A worker that fails one item after another is broken; the last one is kept, and the error budget judges. */
static void strike(exa_policy *p, uint32_t number, uint32_t i) {
    worker *w = &p->workers[number];

    if (w->last_failed != i || w->strikes == 0) w->strikes++;
    w->last_failed = i;
    if (w->strikes < p->options.strikes || p->counters.workers == 1) return;
    dismiss(p, number);
    p->counters.retired++;
}

exa_policy_verdict exa_policy_failed(exa_policy *p, uint32_t number, uint32_t i, double now_s) {
    exa_policy_verdict verdict = EXA_POLICY_RETRY;
    item *it;

    if (number >= p->worker_count || i >= p->item_count || !release(p, number, i)) return EXA_POLICY_DUPLICATE;
    it = &p->items[i];
    it->failures++;
    it->avoid = number;
    p->counters.failures++;
    p->workers[number].last_event = now_s;
    if (it->state != LEASED) {
        verdict = EXA_POLICY_DUPLICATE;
    } else if (it->holder[0] == NOBODY) {
        if (it->failures >= p->options.attempts) verdict = EXA_POLICY_QUARANTINE;
        leave(p, i, verdict == EXA_POLICY_QUARANTINE ? QUARANTINED : PENDING);
    }
    strike(p, number, i);
    return verdict;
}

void exa_policy_dead(exa_policy *p, uint32_t number) {
    if (!exa_policy_is_alive(p, number)) return;
    dismiss(p, number);
    p->counters.dead++;
    p->options.pause_s = 0; /* the survivors could not do together what the pause is for */
    p->paused = false;
}

static bool can_be_taken(const exa_policy *p) {
    uint64_t most = 0;

    for (size_t v = 0; v < p->worker_count; v++) {
        if (p->workers[v].alive && p->workers[v].memory_bytes > most) most = p->workers[v].memory_bytes;
    }
    for (size_t k = p->first_bin; p->counters.workers && k < p->bin_count; k++) {
        const bin *b = &p->bins[k];
        if ((b->next < b->end || b->back.count) && b->memory_bytes <= most) return true;
    }
    return false;
}

exa_policy_state exa_policy_get_state(const exa_policy *p) {
    if (p->counters.quarantined > p->options.error_budget) return EXA_POLICY_EXHAUSTED;
    if (p->counters.leased) return EXA_POLICY_RUNNING;
    if (p->counters.pending == 0) return EXA_POLICY_COMPLETE;
    if (p->paused) return EXA_POLICY_PAUSED;
    return can_be_taken(p) ? EXA_POLICY_RUNNING : EXA_POLICY_BLOCKED;
}

exa_policy_counters exa_policy_get_counters(const exa_policy *p) {
    return p->counters;
}

uint64_t exa_policy_item_id(const exa_policy *p, uint32_t i) {
    return p->items[i].id;
}

uint32_t exa_policy_item_failures(const exa_policy *p, uint32_t i) {
    return p->items[i].failures;
}

bool exa_policy_item_is_done(const exa_policy *p, uint32_t i) {
    return p->items[i].state == DONE;
}

bool exa_policy_item_is_quarantined(const exa_policy *p, uint32_t i) {
    return p->items[i].state == QUARANTINED;
}
