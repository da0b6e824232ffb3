/* Rank 0: asks the policy, knows who lives, and says when all is over.
 *
 * Whoever has not been heard for the time-out is dead for good: its leases return, it is never sent anything again,
 * and what it says is not listened to. Silence is measured on a clock that stands still while rank 0 itself is
 * stopped, so that a whole job that was suspended does not wake up to a mass grave. */
#include "lease_internal.h"

#include "exaconn/box.h"
#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double exa_lease_root_now(const exa_lease *l) {
    return exa_clock_now() - l->root.began;
}

static bool is_dead(const exa_lease *l, int rank) {
    return l->root.ranks[rank].state == EXA_LEASE_RANK_DEAD;
}

static void tell(exa_lease *l, int rank, const exa_lease_message *m) {
    if (rank == 0) {
        exa_lease_hear(l, m);
    } else if (!is_dead(l, rank)) {
        exa_lease_post(l, rank, m);
    }
}

static void end_all(exa_lease *l, exa_status st) {
    const exa_lease_message m = {.type = END};

    if (l->root.ended) return;
    l->root.ended = true;
    l->root.end = st;
    for (int r = l->size - 1; r >= 0; r--) tell(l, r, &m);
}

static void serve(exa_lease *l, int rank) {
    exa_lease_message m = {.type = LEASES};
    size_t n;

    if (exa_policy_take(l->root.policy, (uint32_t)rank, exa_lease_root_now(l), m.leases, EXA_LEASE_ROOM, &n) !=
        EXA_OK) {
        l->root.end = EXA_ERR_MEMORY;
        return;
    }
    l->root.waiting[rank] = n == 0;
    m.count = (uint32_t)n;
    for (size_t i = 0; i < n; i++) {
        if (m.leases[i].duplicate)
            EXA_DEBUG("chunk %llu is given to rank %d, too", (unsigned long long)m.leases[i].id, rank);
    }
    if (n) tell(l, rank, &m);
}

/* How it ends if nobody dies any more: what failed is said before who died, as starting again does not mend it. */
static exa_status end_of(const exa_lease *l, exa_policy_state state) {
    if (state == EXA_POLICY_PAUSED) return EXA_OK;
    if (exa_policy_get_counters(l->root.policy).quarantined) return EXA_ERR_INCOMPLETE;
    if (state == EXA_POLICY_COMPLETE) return EXA_OK;
    return l->root.dead ? EXA_ERR_RANK_LOST : EXA_ERR_INCOMPLETE;
}

/* After anything that may have changed what there is to do. */
static void serve_waiting(exa_lease *l) {
    exa_policy_state state = exa_policy_get_state(l->root.policy);

    if (l->root.ended) return;
    l->root.served = l->awake;
    if (l->root.end != EXA_OK) {
        end_all(l, l->root.end);
        return;
    }
    if (state != EXA_POLICY_RUNNING) {
        end_all(l, end_of(l, state));
        return;
    }
    for (int r = 0; r < l->size && !l->root.ended; r++) {
        if (l->root.waiting[r]) serve(l, r);
    }
}

/* ---- what ranks say ------------------------------------------------------------------------------------------ */

static exa_lease_failure *failure_of(exa_lease_root *r, uint64_t id) {
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

void exa_lease_root_note_failure(exa_lease *l, int rank, const exa_lease_message *m) {
    uint64_t id = exa_policy_item_id(l->root.policy, m->item);
    exa_policy_verdict v = exa_policy_failed(l->root.policy, (uint32_t)rank, m->item, exa_lease_root_now(l));
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

static void note_done(exa_lease *l, int rank, const exa_lease_message *m) {
    const exa_lease_message cancel = {.type = CANCEL, .item = m->item};
    uint32_t also;

    if (exa_policy_done(l->root.policy, (uint32_t)rank, m->item, exa_lease_root_now(l), &also) == EXA_POLICY_FIRST)
        l->root.ranks[rank].done++;
    if (also != EXA_POLICY_NOBODY) tell(l, (int)also, &cancel);
}

static void note_ask(exa_lease *l, int rank, const exa_lease_message *m) {
    if (!l->root.known[rank]) {
        snprintf(l->root.ranks[rank].host, sizeof l->root.ranks[rank].host, "%.63s", m->text);
        if (exa_policy_add_worker(l->root.policy, (uint32_t)rank, m->memory_bytes, exa_lease_root_now(l)) != EXA_OK)
            l->root.end = EXA_ERR_MEMORY;
        exa_policy_set_slots(l->root.policy, (uint32_t)rank, m->count);
    }
    l->root.known[rank] = true;
    l->root.waiting[rank] = true;
}

void exa_lease_root_hear(exa_lease *l, int rank, const exa_lease_message *m) {
    const exa_lease_message beat = {.type = BEAT};

    if (is_dead(l, rank)) return;
    l->peers[rank].heard = l->awake;
    switch (m->type) {
    case BEAT: tell(l, rank, &beat); return;
    case BYE: l->root.left[rank] = true; return;
    case ASK: note_ask(l, rank, m); break;
    case DONE: note_done(l, rank, m); break;
    case FAILED: exa_lease_root_note_failure(l, rank, m); break;
    case DROPPED: exa_policy_dropped(l->root.policy, (uint32_t)rank, m->item); break;
    case STOP:
        if (!l->root.ended && l->root.end == EXA_OK) l->root.end = (exa_status)m->item;
        break;
    default: break;
    }
    serve_waiting(l);
}

/* ---- life and death ------------------------------------------------------------------------------------------ */

static void declare_dead(exa_lease *l, int rank, const char *why) {
    exa_lease_rank *r = &l->root.ranks[rank];
    uint32_t in_hand = exa_policy_get_worker(l->root.policy, (uint32_t)rank).in_hand;

    r->state = EXA_LEASE_RANK_DEAD;
    if (l->root.dead++ == 0) l->root.first_dead = rank;
    exa_policy_dead(l->root.policy, (uint32_t)rank);
    l->root.waiting[rank] = false;
    EXA_WARN("rank %d on %s is given up (%s); %u chunks that it had in hand are given to others", rank,
             r->host[0] ? r->host : "an unknown host", why, in_hand);
}

static void look_for_the_dead(exa_lease *l) {
    char why[80];

    for (int r = 1; r < l->size; r++) {
        const exa_lease_peer *p = &l->peers[r];
        if (is_dead(l, r)) continue;
        if (p->lost) {
            declare_dead(l, r, p->lost);
        } else if (l->awake - p->heard > l->timeout_s) {
            snprintf(why, sizeof why, "nothing was heard from it for %g s", l->timeout_s);
            declare_dead(l, r, why);
        }
    }
}

static bool all_have_left(const exa_lease *l) {
    for (int r = 0; r < l->size; r++) {
        if (!l->root.left[r] && !is_dead(l, r)) return false;
    }
    return true;
}

bool exa_lease_root_can_repair(const exa_lease *l) {
    for (int r = 1; r < l->size; r++) {
        if (is_dead(l, r) && !exa_comm_knows_dead(r)) return false;
    }
    return true;
}

/* From here on the ranks may call collectives again, but only if none has died, or once that is repaired. */
static void say_over(exa_lease *l) {
    exa_lease_message m = {.type = OVER, .count = l->root.dead};

    if (l->root.end == EXA_OK && l->root.dead) l->root.end = EXA_ERR_RANK_LOST;
    m.repair = l->root.end == EXA_ERR_RANK_LOST && exa_lease_root_can_repair(l);
    m.item = (uint32_t)l->root.end;
    for (int r = l->size - 1; r >= 0; r--) tell(l, r, &m);
}

void exa_lease_root_watch(exa_lease *l) {
    uint32_t dead = l->root.dead;

    look_for_the_dead(l);
    /* Somebody may have become slow meanwhile: once a second those who wait are looked at again. */
    if (l->root.dead != dead || l->awake - l->root.served > 1) serve_waiting(l);
    if (l->awake - l->root.described > 0.5) exa_lease_root_describe(l);
    if (l->root.ended && !l->over && all_have_left(l)) say_over(l);
}

void exa_lease_root_describe(exa_lease *l) {
    l->root.described = l->awake;
    for (int r = 0; r < l->size; r++) {
        exa_lease_rank *to = &l->root.ranks[r];
        exa_policy_worker w = exa_policy_get_worker(l->root.policy, (uint32_t)r);
        if (to->state != EXA_LEASE_RANK_DEAD && w.known)
            to->state = w.alive ? EXA_LEASE_RANK_ALIVE : EXA_LEASE_RANK_RETIRED;
        to->in_hand = w.in_hand;
        to->speed = to->state == EXA_LEASE_RANK_ALIVE ? w.speed : 0;
        to->silent_s = r && l->size > 1 ? l->awake - l->peers[r].heard : 0;
    }
}

/* ---- begin and end ------------------------------------------------------------------------------------------- */

exa_status exa_lease_root_begin(exa_lease *l, const exa_policy_item *items, size_t count,
                                const exa_policy_options *options) {
    exa_lease_root *r = &l->root;
    const size_t n = (size_t)l->size;

    if (l->rank != 0) return EXA_OK;
    EXA_TRY(exa_policy_create(items, count, options, &r->policy));
    EXA_TRY(exa_calloc(n, sizeof *r->ranks, "the list of ranks", &r->ranks));
    EXA_TRY(exa_calloc(n, sizeof *r->waiting, "the list of ranks", &r->waiting));
    EXA_TRY(exa_calloc(n, sizeof *r->known, "the list of ranks", &r->known));
    EXA_TRY(exa_calloc(n, sizeof *r->left, "the list of ranks", &r->left));
    r->began = exa_clock_now();
    return EXA_OK;
}

void exa_lease_root_end(exa_lease *l) {
    exa_policy_destroy(&l->root.policy);
    free(l->root.ranks);
    free(l->root.waiting);
    free(l->root.known);
    free(l->root.left);
    free(l->root.failures);
}

/* In a pause, what is to be tried again is not given up. */
static bool is_left_failed(const exa_policy *p, uint32_t i) {
    if (exa_policy_get_state(p) == EXA_POLICY_PAUSED) return exa_policy_item_is_quarantined(p, i);
    return exa_policy_item_failures(p, i) > 0 && !exa_policy_item_is_done(p, i);
}

/* The failures that were not mended by another try. */
void exa_lease_root_result(exa_lease *l, exa_lease_result *result) {
    exa_lease_root *r = &l->root;
    size_t kept = 0;

    exa_lease_root_describe(l);
    *result = (exa_lease_result){.state = exa_policy_get_state(r->policy),
                                 .counters = exa_policy_get_counters(r->policy),
                                 .ranks = r->ranks,
                                 .rank_count = (size_t)l->size};
    for (uint32_t i = 0; i < result->counters.items; i++) {
        uint64_t id = exa_policy_item_id(r->policy, i);
        for (size_t k = kept; is_left_failed(r->policy, i) && k < r->failure_count; k++) {
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
    r->ranks = NULL;
}
