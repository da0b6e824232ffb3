/* The table of chunks on all ranks: rank 0 replays, the others are told; checking is shared out. */
#include "chunk_store_internal.h"

#include "exaconn/comm_mpi.h"
#include "exaconn/log.h"

#include <limits.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- rank 0 to all ------------------------------------------------------------------------------------------- */

static exa_status broadcast(void *data, size_t size) {
    const size_t most = (size_t)1 << 28; /* bytes in one message */

    for (size_t at = 0; at < size; at += most)
        EXA_TRY(exa_comm_broadcast((char *)data + at, size - at < most ? size - at : most));
    return EXA_OK;
}

typedef struct shared {
    uint64_t journals, generations, progress, count;
    uint32_t epoch;
} shared;

static exa_status make_room(exa_chunk_store *s, const shared *head) {
    size_t n = (size_t)head->journals;

    if (exa_comm_rank() == 0) return EXA_OK;
    EXA_CHECK(!s->own && s->journal_count == 0 && s->generation_count == 0, EXA_ERR_INTERNAL,
              "a table of chunks that is in use cannot be told another");
    if (!s->entries)
        EXA_TRY(exa_alloc((size_t)s->grid.chunks, sizeof *s->entries, "the table of chunks", &s->entries));
    EXA_TRY(
        exa_calloc((size_t)head->generations, sizeof *s->generations, "the list of generations", &s->generations));
    s->generation_count = (size_t)head->generations;
    EXA_TRY(exa_grow(&s->journals, &s->journal_capacity, sizeof *s->journals, n + 1, "the list of journals"));
    for (; s->journal_count < n; s->journal_count++) s->journals[s->journal_count] = (stored_journal){0};
    EXA_TRY(exa_grow(&s->progress, &s->progress_capacity, sizeof *s->progress, (size_t)head->progress + 1,
                     "parts of chunks"));
    s->progress_count = (size_t)head->progress;
    s->count = head->count;
    s->owner.epoch = head->epoch;
    return EXA_OK;
}

static exa_status share_name(stored_journal *j) {
    char name[NAME_MAX + 1] = "";

    if (exa_comm_rank() == 0) snprintf(name, sizeof name, "%s", j->name);
    EXA_TRY(exa_comm_broadcast(name, sizeof name));
    EXA_TRY(exa_comm_broadcast(&j->other, sizeof j->other));
    if (exa_comm_rank() != 0) j->name = strdup(name);
    return exa_comm_agree(j->name ? EXA_OK : EXA_FAIL(EXA_ERR_MEMORY, "cannot allocate names of journals"));
}

exa_status exa_chunk_store_share(exa_chunk_store *s) {
    shared head = {.journals = s->journal_count,
                   .generations = s->generation_count,
                   .progress = s->progress_count,
                   .count = s->count,
                   .epoch = s->owner.epoch};

    if (exa_comm_size() == 1 || s->shared) return EXA_OK;
    s->shared = true;
    EXA_TRY(exa_comm_broadcast(&head, sizeof head));
    EXA_TRY(exa_comm_agree(make_room(s, &head)));
    for (size_t i = 0; i < s->journal_count; i++) EXA_TRY(share_name(&s->journals[i]));
    for (size_t i = 0; i < s->generation_count; i++) {
        uint64_t number = s->generations[i].number;
        EXA_TRY(exa_comm_broadcast(&number, sizeof number));
        s->generations[i].number = number;
    }
    EXA_TRY(broadcast(s->progress, s->progress_count * sizeof *s->progress));
    return broadcast(s->entries, (size_t)s->grid.chunks * sizeof *s->entries);
}

/* ---- checking ------------------------------------------------------------------------------------------------ */

/* A chunk that is no longer where it was. */
typedef struct change {
    uint64_t chunk;
    chunk_entry entry;
} change;

typedef struct changes {
    change *list; /* owned */
    size_t count, capacity;
} changes;

static bool in_generation(const chunk_entry *e) {
    return e->source >= FIRST_GENERATION && e->source < OWN;
}

/* This rank's part of the chunks that lie in generations: stretches of the curve, which lie together in the file.
 */
static exa_status check_share(exa_chunk_store *s, changes *c) {
    const uint64_t rank = (uint64_t)exa_comm_rank(), size = (uint64_t)exa_comm_size();
    uint64_t all = 0, at = 0;

    for (exa_chunkid k = 0; k < s->grid.chunks; k++) all += in_generation(&s->entries[k]);
    for (exa_chunkid k = 0; k < s->grid.chunks; k++) {
        const chunk_entry before = s->entries[k];
        if (!in_generation(&before) || at++ * size / all != rank) continue;
        EXA_TRY(exa_chunk_store_check_chunk(s, k));
        if (s->entries[k].source == before.source) continue;
        EXA_TRY(exa_grow(&c->list, &c->capacity, sizeof *c->list, c->count + 1, "the list of damaged chunks"));
        c->list[c->count++] = (change){k, s->entries[k]};
    }
    return EXA_OK;
}

static void apply(exa_chunk_store *s, const change *c) {
    chunk_entry *e = &s->entries[c->chunk];

    s->count -= e->source != ABSENT && c->entry.source == ABSENT;
    s->report.damaged++;
    *e = c->entry;
    EXA_WARN("chunk %llu is damaged in a checkpoint: %s", (unsigned long long)c->chunk,
             e->source == ABSENT ? "it is computed again" : "an older one is used");
}

/* Rank 0 hears what the others found, one after the other: there is hardly ever anything. */
static exa_status gather(exa_chunk_store *s, const changes *c) {
    const int tag = 7501, rank = exa_comm_rank();

    for (int r = 1; r < exa_comm_size(); r++) {
        uint64_t n = c->count;
        if (rank == r) MPI_Send(&n, 1, MPI_UINT64_T, 0, tag, exa_comm_mpi());
        if (rank == 0) MPI_Recv(&n, 1, MPI_UINT64_T, r, tag, exa_comm_mpi(), MPI_STATUS_IGNORE);
        if (rank != r && rank != 0) continue;
        for (uint64_t i = 0; i < n; i++) {
            change one;
            if (rank == r) MPI_Send(&c->list[i], sizeof one, MPI_BYTE, 0, tag, exa_comm_mpi());
            if (rank != 0) continue;
            MPI_Recv(&one, sizeof one, MPI_BYTE, r, tag, exa_comm_mpi(), MPI_STATUS_IGNORE);
            apply(s, &one);
        }
    }
    return EXA_OK;
}

exa_status exa_chunk_store_check(exa_chunk_store *s) {
    changes c = {0};
    uint64_t generations = s->generation_count + s->progress_count; /* or parts of chunks, which all are to know */
    exa_status st;

    EXA_TRY(exa_comm_broadcast(&generations, sizeof generations));
    if (generations == 0) return EXA_OK;
    st = exa_chunk_store_share(s);
    if (st == EXA_OK) st = exa_comm_agree(check_share(s, &c));
    if (st == EXA_OK) st = gather(s, &c);
    free(c.list);
    return st;
}
