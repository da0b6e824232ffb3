/* Keyed sums in two exchanges: inside the node, each of its ranks merging a share of the keys; then among all
 * ranks, each message holding one node's sums for one rank's range of keys. Ranges are cut at sampled keys, so that
 * ranks get about equally many; where they are cut does not show in the result. */
#include "exaconn/reduce.h"

#include "exaconn/comm_mpi.h"
#include "exaconn/box.h"

#include <limits.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>

/* ---- exchange ------------------------------------------------------------------------------------------------ */

typedef struct traffic {
    int *sent, *sent_at, *received, *received_at; /* owned; records and where they begin, by rank */
    size_t received_count;
} traffic;

static void end_traffic(traffic *t) {
    free(t->sent);
    free(t->sent_at);
    free(t->received);
    free(t->received_at);
}

/* MPI counts records in int; this many fill the memory of any node first. */
static exa_status place(const int *counts, int *at, int n, size_t *sum) {
    *sum = 0;
    for (int r = 0; r < n; r++) {
        at[r] = (int)*sum;
        *sum += (size_t)counts[r];
        EXA_CHECK(*sum <= INT_MAX, EXA_ERR_RANGE,
                  "more than 2^31 records for one rank in an exchange. Hint: use more ranks");
    }
    return EXA_OK;
}

static exa_status begin_traffic(MPI_Comm comm, const size_t *counts, traffic *t) {
    int n;
    size_t sum;
    exa_status st = EXA_OK;

    MPI_Comm_size(comm, &n);
    EXA_GOTO(done, exa_alloc((size_t)n, sizeof *t->sent, "an exchange", &t->sent));
    EXA_GOTO(done, exa_alloc((size_t)n, sizeof *t->sent, "an exchange", &t->sent_at));
    EXA_GOTO(done, exa_alloc((size_t)n, sizeof *t->sent, "an exchange", &t->received));
    EXA_GOTO(done, exa_alloc((size_t)n, sizeof *t->sent, "an exchange", &t->received_at));
    for (int r = 0; r < n; r++) {
        EXA_CHECK_GOTO(done, counts[r] <= INT_MAX, EXA_ERR_RANGE,
                       "more than 2^31 records for one rank in an exchange. Hint: use more ranks");
        t->sent[r] = (int)counts[r];
    }
    st = place(t->sent, t->sent_at, n, &sum);
done:
    EXA_TRY(exa_comm_agree(st));
    MPI_Alltoall(t->sent, 1, MPI_INT, t->received, 1, MPI_INT, comm);
    return exa_comm_agree(place(t->received, t->received_at, n, &t->received_count));
}

static exa_status exchange(MPI_Comm comm, const void *records, size_t size, const size_t *counts, void **received,
                           size_t *received_count) {
    traffic t = {0};
    MPI_Datatype type;
    char *in = NULL;
    exa_status st;

    EXA_GOTO(done, begin_traffic(comm, counts, &t));
    EXA_GOTO(done, exa_comm_agree(exa_alloc(t.received_count, size, "records of other ranks", &in)));
    MPI_Type_contiguous((int)size, MPI_BYTE, &type);
    MPI_Type_commit(&type);
    MPI_Alltoallv(records, t.sent, t.sent_at, type, in, t.received, t.received_at, type, comm);
    MPI_Type_free(&type);
    *received = in;
    *received_count = t.received_count;
    in = NULL;
done:
    free(in);
    end_traffic(&t);
    return st;
}

exa_status exa_exchange(const void *records, size_t size, const size_t *counts, void **received,
                        size_t *received_count) {
    if (exa_comm_size() > 1) return exchange(exa_comm_mpi(), records, size, counts, received, received_count);
    EXA_TRY(exa_alloc(counts[0], size, "records", received));
    if (counts[0]) memcpy(*received, records, counts[0] * size);
    *received_count = counts[0];
    return EXA_OK;
}

exa_status exa_sum_all(uint64_t *values, size_t count) {
    if (exa_comm_size() > 1) MPI_Allreduce(MPI_IN_PLACE, values, (int)count, MPI_UINT64_T, MPI_SUM, exa_comm_mpi());
    return EXA_OK;
}

exa_status exa_max_all(uint64_t *value) {
    if (exa_comm_size() > 1) MPI_Allreduce(MPI_IN_PLACE, value, 1, MPI_UINT64_T, MPI_MAX, exa_comm_mpi());
    return EXA_OK;
}

exa_status exa_sum_before(uint64_t mine, uint64_t *before, uint64_t *total) {
    *before = 0;
    *total = mine;
    if (exa_comm_size() == 1) return EXA_OK;
    MPI_Exscan(&mine, before, 1, MPI_UINT64_T, MPI_SUM, exa_comm_mpi());
    if (exa_comm_rank() == 0) *before = 0; /* MPI leaves it undefined there */
    return exa_sum_all(total, 1);
}

/* ---- merging ------------------------------------------------------------------------------------------------- */

typedef struct key {
    uint64_t word[2]; /* [1] is 0 in keys of one */
} key;

static key key_of(const exa_reduction *r, const void *record) {
    key k = {{0, 0}};
    memcpy(&k, record, r->key_words == 2 ? sizeof k : sizeof *k.word);
    return k;
}

static int compare(key a, key b) {
    if (a.word[0] != b.word[0]) return a.word[0] < b.word[0] ? -1 : 1;
    return (a.word[1] > b.word[1]) - (a.word[1] < b.word[1]);
}

static int by_key(const void *a, const void *b, void *reduction) {
    return compare(key_of(reduction, a), key_of(reduction, b));
}

/* Sorts, and makes one record of those with the same key. */
static void merge(const exa_reduction *r, char *records, size_t *count) {
    size_t kept = 0;

    if (*count == 0) return;
    qsort_r(records, *count, r->size, by_key, (void *)(uintptr_t)r);
    for (size_t i = 1; i < *count; i++) {
        char *last = records + kept * r->size, *next = records + i * r->size;
        if (compare(key_of(r, last), key_of(r, next)) == 0) {
            r->combine(last, next);
        } else if (++kept != i) {
            memcpy(records + kept * r->size, next, r->size);
        }
    }
    *count = kept + 1;
}

/* ---- where the ranges are cut -------------------------------------------------------------------------------- */

enum { SAMPLES = 64 };

typedef struct sample {
    key key;
    uint64_t weight; /* how many records it stands for */
} sample;

/* Regular samples of the sorted records, always SAMPLES of them; those that stand for nothing have no weight. */
static void take_samples(const exa_reduction *r, const char *records, size_t count, sample out[SAMPLES]) {
    memset(out, 0, SAMPLES * sizeof *out);
    for (size_t i = 0; i < SAMPLES; i++) {
        size_t from = count * i / SAMPLES, to = count * (i + 1) / SAMPLES;
        if (from < to) out[i] = (sample){key_of(r, records + from * r->size), to - from};
    }
}

static int by_sample(const void *a, const void *b) {
    return compare(((const sample *)a)->key, ((const sample *)b)->key);
}

/* cuts[p] is the first key of rank p + 1. */
static void choose_cuts(sample *all, size_t n, key *cuts, int ranks) {
    uint64_t total = 0, seen = 0;
    int p = 1;

    qsort(all, n, sizeof *all, by_sample);
    for (size_t i = 0; i < n; i++) total += all[i].weight;
    for (size_t i = 0; i < n && p < ranks; i++) {
        while (p < ranks && seen * (uint64_t)ranks >= total * (uint64_t)p) cuts[p++ - 1] = all[i].key;
        seen += all[i].weight;
    }
    while (p < ranks) cuts[p++ - 1] = (key){{UINT64_MAX, UINT64_MAX}};
}

static exa_status make_cuts(const exa_reduction *r, const char *records, size_t count, key **cuts) {
    int ranks = exa_comm_size();
    sample mine[SAMPLES], *all = NULL;
    exa_status st;

    take_samples(r, records, count, mine);
    st = exa_alloc((size_t)ranks * SAMPLES, sizeof *all, "sampled keys", &all);
    if (st == EXA_OK) st = exa_alloc((size_t)ranks, sizeof **cuts, "ranges of keys", cuts);
    EXA_GOTO(done, exa_comm_agree(st));
    MPI_Allgather(mine, sizeof mine, MPI_BYTE, all, sizeof mine, MPI_BYTE, exa_comm_mpi());
    choose_cuts(all, (size_t)ranks * SAMPLES, *cuts, ranks);
done:
    free(all);
    return st;
}

/* The rank whose range has the key. */
static int part_of(const key *cuts, int ranks, key k) {
    int low = 0, high = ranks - 1; /* cuts[0 .. low) are <= key */

    while (low < high) {
        int middle = low + (high - low) / 2;
        if (compare(cuts[middle], k) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* ---- the two exchanges --------------------------------------------------------------------------------------- */

/* Sends each record to the member of `comm` that is (its part) modulo the members, and merges what comes. */
static exa_status send_parts(const exa_reduction *r, MPI_Comm comm, const key *cuts, void **records,
                             size_t *count) {
    int members, ranks = exa_comm_size();
    size_t *counts = NULL, *at = NULL;
    char *sorted = NULL, *from = *records;
    void *in = NULL;
    exa_status st = EXA_OK;

    MPI_Comm_size(comm, &members);
    EXA_GOTO(agree, exa_calloc((size_t)members, sizeof *counts, "an exchange", &counts));
    EXA_GOTO(agree, exa_calloc((size_t)members, sizeof *at, "an exchange", &at));
    EXA_GOTO(agree, exa_alloc(*count, r->size, "records to be sent", &sorted));
    for (size_t i = 0; i < *count; i++) counts[part_of(cuts, ranks, key_of(r, from + i * r->size)) % members]++;
    for (int m = 1; m < members; m++) at[m] = at[m - 1] + counts[m - 1];
    for (size_t i = 0; i < *count; i++) {
        int m = part_of(cuts, ranks, key_of(r, from + i * r->size)) % members;
        memcpy(sorted + at[m]++ * r->size, from + i * r->size, r->size);
    }
agree:
    EXA_GOTO(done, exa_comm_agree(st));
    free(*records);
    *records = NULL;
    EXA_GOTO(done, exchange(comm, sorted, r->size, counts, &in, count));
    merge(r, in, count);
    *records = in;
done:
    free(sorted);
    free(counts);
    free(at);
    return st;
}

static void make_node(const exa_reduction *r, MPI_Comm *node) {
    if (r->ranks_per_node > 0) {
        MPI_Comm_split(exa_comm_mpi(), exa_comm_rank() / r->ranks_per_node, exa_comm_rank(), node);
    } else {
        MPI_Comm_split_type(exa_comm_mpi(), MPI_COMM_TYPE_SHARED, exa_comm_rank(), MPI_INFO_NULL, node);
    }
}

static exa_status reduce_ranks(const exa_reduction *r, void **records, size_t *count) {
    key *cuts = NULL;
    MPI_Comm node;
    exa_status st;

    EXA_TRY(make_cuts(r, *records, *count, &cuts));
    make_node(r, &node);
    st = send_parts(r, node, cuts, records, count);
    MPI_Comm_free(&node);
    if (st == EXA_OK) st = send_parts(r, exa_comm_mpi(), cuts, records, count);
    free(cuts);
    return st;
}

exa_status exa_reduce_by_key(const exa_reduction *r, void **records, size_t *count) {
    exa_status st = EXA_OK;

    merge(r, *records, count);
    if (exa_comm_size() > 1) st = reduce_ranks(r, records, count);
    if (st != EXA_OK) {
        free(*records);
        *records = NULL;
        *count = 0;
    }
    return st;
}
