/* Messages that never make anybody wait. A message is posted with MPI_Isend and looked after until MPI has taken
 * it: a plain MPI_Send to a rank that has died may never return. All messages are small enough to be sent whole at
 * once by every transport we know of, so that one that MPI_Iprobe has seen can be received without waiting. */
#include "lease_internal.h"

#include "exaconn/comm_mpi.h"

#include <mpi.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { TAG_ROOT = 7401, TAG_WORKER = 7402 };

struct exa_lease_posted {
    exa_lease_posted *next;
    MPI_Request request;
    double since;
    int to;
    exa_lease_message message;
};

static size_t size_of(const exa_lease_message *m) {
    if (m->type == LEASES) return offsetof(exa_lease_message, leases) + m->count * sizeof m->leases[0];
    if (m->type == ASK || m->type == FAILED) return offsetof(exa_lease_message, leases);
    return offsetof(exa_lease_message, text);
}

static void lose(exa_lease *l, int rank, const char *why) {
    if (!l->peers[rank].lost) l->peers[rank].lost = why;
}

void exa_lease_post(exa_lease *l, int to, const exa_lease_message *m) {
    exa_lease_posted *p;
    size_t size = size_of(m);

    if (l->peers[to].lost) return;
    p = malloc(sizeof *p);
    if (!p) {
        lose(l, to, "there is no memory for a message to it");
        return;
    }
    memcpy(&p->message, m, size);
    p->to = to;
    p->since = l->awake;
    if (MPI_Isend(&p->message, (int)size, MPI_BYTE, to, to == 0 ? TAG_ROOT : TAG_WORKER, exa_comm_mpi(),
                  &p->request) != MPI_SUCCESS) {
        lose(l, to, "MPI cannot send to it"); /* the memory stays: who knows what MPI does with it */
        return;
    }
    p->next = l->posted;
    l->posted = p;
}

/* Whether it needs no more looking after. */
static bool is_settled(exa_lease *l, exa_lease_posted *p) {
    int taken = 0;

    if (l->peers[p->to].lost) return false;
    if (MPI_Test(&p->request, &taken, MPI_STATUS_IGNORE) != MPI_SUCCESS) {
        lose(l, p->to, "MPI cannot send to it");
        return false;
    }
    if (!taken && l->awake - p->since > l->timeout_s) lose(l, p->to, "it takes no messages");
    return taken;
}

void exa_lease_pump(exa_lease *l) {
    for (exa_lease_posted **at = &l->posted; *at;) {
        exa_lease_posted *p = *at;
        if (is_settled(l, p)) {
            *at = p->next;
            free(p);
        } else {
            at = &p->next;
        }
    }
}

bool exa_lease_pending(const exa_lease *l) {
    for (const exa_lease_posted *p = l->posted; p; p = p->next) {
        if (!l->peers[p->to].lost) return true;
    }
    return false;
}

/* Who MPI says is dead, of those this rank has to do with: sooner than they would be missed. */
static void lose_the_dead(exa_lease *l) {
    for (int r = 0; r < (l->rank == 0 ? l->size : 1); r++) {
        if (exa_comm_knows_dead(r)) lose(l, r, "MPI says that it died");
    }
}

bool exa_lease_receive(exa_lease *l, exa_lease_message *m, int *from) {
    const int tag = l->rank == 0 ? TAG_ROOT : TAG_WORKER;
    MPI_Status status;
    int there = 0;

    if (l->size == 1) return false; /* and perhaps no MPI */
    if (MPI_Iprobe(MPI_ANY_SOURCE, tag, exa_comm_mpi(), &there, &status) != MPI_SUCCESS) {
        if (exa_comm_note_deaths()) lose_the_dead(l); /* the next probe looks at what the living say */
        return false;
    }
    if (!there) return false;
    memset(m, 0, sizeof *m);
    if (MPI_Recv(m, (int)sizeof *m, MPI_BYTE, status.MPI_SOURCE, tag, exa_comm_mpi(), MPI_STATUS_IGNORE) !=
        MPI_SUCCESS)
        return false;
    *from = status.MPI_SOURCE;
    return true;
}

void exa_lease_forget(exa_lease *l) {
    l->posted = NULL;
}
