/* Records of all ranks by sorted keys: who has which, sending them there, and asking there for an id. */
#include "connectome_internal.h"

#include "exaconn/comm.h"
#include "exaconn/reduce.h"

#include <stdlib.h>
#include <string.h>

exa_status exa_records_add(exa_records *r, const void *list, size_t count, size_t size) {
    EXA_TRY(exa_grow(&r->list, &r->capacity, size, r->count + count, "records of a connectome"));
    if (count) memcpy((char *)r->list + r->count * size, list, count * size);
    r->count += count;
    return EXA_OK;
}

void exa_records_free(exa_records *r) {
    free(r->list);
    *r = (exa_records){0};
}

/* ---- shares -------------------------------------------------------------------------------------------------- */

typedef struct first_key {
    uint64_t word[2], any;
} first_key;

static exa_status fill_shares(const first_key *all, int ranks, exa_shares *s) {
    EXA_TRY(exa_alloc((size_t)ranks, sizeof *s->first, "ranges of keys", &s->first));
    EXA_TRY(exa_alloc((size_t)ranks, sizeof *s->any, "ranges of keys", &s->any));
    for (int r = 0; r < ranks; r++) {
        memcpy(s->first[r], all[r].word, sizeof all[r].word);
        s->any[r] = all[r].any != 0;
    }
    return EXA_OK;
}

exa_status exa_shares_make(const uint64_t *first, int key_words, exa_shares *shares) {
    const int ranks = exa_comm_size();
    first_key *mine = NULL;
    size_t *counts = NULL, n;
    void *all = NULL;
    exa_status st;

    *shares = (exa_shares){0};
    EXA_GOTO(agree, exa_calloc((size_t)ranks, sizeof *mine, "ranges of keys", &mine));
    EXA_GOTO(agree, exa_alloc((size_t)ranks, sizeof *counts, "ranges of keys", &counts));
    for (int r = 0; r < ranks; r++) {
        counts[r] = 1;
        mine[r].any = first != NULL;
        if (first) memcpy(mine[r].word, first, (size_t)key_words * sizeof *first);
    }
agree:
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_exchange(mine, sizeof *mine, counts, &all, &n));
    st = exa_comm_agree(fill_shares(all, ranks, shares));
done:
    free(mine);
    free(counts);
    free(all);
    if (st != EXA_OK) exa_shares_free(shares);
    return st;
}

void exa_shares_free(exa_shares *s) {
    free(s->first);
    free(s->any);
    *s = (exa_shares){0};
}

static bool is_after(const uint64_t *a, const uint64_t *b, int words) {
    for (int i = 0; i < words; i++)
        if (a[i] != b[i]) return a[i] > b[i];
    return false;
}

/* The last rank whose first key is not beyond it. */
int exa_shares_owner(const exa_shares *s, const uint64_t *key, int key_words) {
    int owner = 0;

    for (int r = 0; r < exa_comm_size(); r++)
        if (s->any[r] && !is_after(s->first[r], key, key_words)) owner = r;
    return owner;
}

/* ---- sending ------------------------------------------------------------------------------------------------- */

exa_status exa_records_send(exa_records *records, size_t size,
                            int (*rank_of)(const void *record, const void *context), const void *context) {
    const size_t ranks = (size_t)exa_comm_size();
    size_t *counts = NULL, *at = NULL, n = 0;
    char *sorted = NULL, *from = records->list;
    void *in = NULL;
    exa_status st = EXA_OK;

    EXA_GOTO(agree, exa_calloc(ranks, sizeof *counts, "an exchange", &counts));
    EXA_GOTO(agree, exa_calloc(ranks, sizeof *at, "an exchange", &at));
    EXA_GOTO(agree, exa_alloc(records->count, size, "records to be sent", &sorted));
    for (size_t i = 0; i < records->count; i++) counts[rank_of(from + i * size, context)]++;
    for (size_t r = 1; r < ranks; r++) at[r] = at[r - 1] + counts[r - 1];
    for (size_t i = 0; i < records->count; i++)
        memcpy(sorted + at[rank_of(from + i * size, context)]++ * size, from + i * size, size);
agree:
    EXA_GOTO(done, exa_comm_agree(st));
    exa_records_free(records);
    EXA_GOTO(done, exa_exchange(sorted, size, counts, &in, &n));
    *records = (exa_records){in, n, n};
done:
    free(sorted);
    free(counts);
    free(at);
    return st;
}

/* ---- asking for ids ------------------------------------------------------------------------------------------ */

typedef struct question {
    exa_segid id;
    uint64_t asker, number, index; /* rank and its question; the answer */
} question;

static int owner_of_question(const void *record, const void *context) {
    return exa_shares_owner(context, &((const question *)record)->id, 1);
}

static int asker_of(const void *record, const void *context) {
    (void)context;
    return (int)((const question *)record)->asker;
}

static int by_neuron_id(const void *key, const void *neuron) {
    const exa_segid a = *(const exa_segid *)key, b = ((const exa_neuron *)neuron)->id;
    return (a > b) - (a < b);
}

/* Positions of those that count among all ranks'; UINT64_MAX for the others. */
static exa_status number_neurons(const exa_connectome_work *w, bool (*counts)(const exa_neuron *),
                                 uint64_t **numbers) {
    const exa_neuron *list = w->neurons.list;
    uint64_t before, total, n = 0;

    EXA_TRY(exa_comm_agree(exa_alloc(w->neurons.count, sizeof **numbers, "positions of neurons", numbers)));
    for (size_t i = 0; i < w->neurons.count; i++) n += counts(&list[i]);
    EXA_TRY(exa_sum_before(n, &before, &total));
    for (size_t i = 0; i < w->neurons.count; i++) (*numbers)[i] = counts(&list[i]) ? before++ : UINT64_MAX;
    return EXA_OK;
}

static void answer(const exa_connectome_work *w, const uint64_t *numbers, exa_records *questions) {
    const exa_neuron *list = w->neurons.list;
    question *q = questions->list;

    for (size_t i = 0; i < questions->count; i++) {
        const exa_neuron *found =
            w->neurons.count ? bsearch(&q[i].id, list, w->neurons.count, sizeof *list, by_neuron_id) : NULL;
        q[i].index = found ? numbers[found - list] : UINT64_MAX;
    }
}

exa_status exa_neurons_find(const exa_connectome_work *w, bool (*counts)(const exa_neuron *neuron),
                            const exa_segid *ids, size_t count, uint64_t *index) {
    const exa_neuron *list = w->neurons.list;
    exa_records questions = {0};
    exa_shares shares = {0};
    uint64_t *numbers = NULL;
    exa_status st = EXA_OK;

    for (size_t i = 0; st == EXA_OK && i < count; i++) {
        const question q = {ids[i], (uint64_t)exa_comm_rank(), i, UINT64_MAX};
        st = exa_records_add(&questions, &q, 1, sizeof q);
    }
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_shares_make(w->neurons.count ? &list->id : NULL, 1, &shares));
    EXA_GOTO(done, number_neurons(w, counts, &numbers));
    EXA_GOTO(done, exa_records_send(&questions, sizeof(question), owner_of_question, &shares));
    answer(w, numbers, &questions);
    EXA_GOTO(done, exa_records_send(&questions, sizeof(question), asker_of, NULL));
    for (size_t i = 0; i < questions.count; i++) {
        const question *q = (const question *)questions.list + i;
        index[q->number] = q->index;
    }
done:
    exa_records_free(&questions);
    exa_shares_free(&shares);
    free(numbers);
    return st;
}
