/* MPI, started only where a launcher started us: a plain `exaconn run` needs none and pays for none. */
#ifndef EXACONN_COMM_H
#define EXACONN_COMM_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Initialises MPI (funneled: the main thread alone calls it) if mpirun or srun started this process. Collective
 * over the started processes. Idempotent. */
exa_status exa_comm_init(void);

/* Waits for all ranks and finalises what exa_comm_init began. Collective. Idempotent. Does nothing after
 * exa_comm_abandon, and only waits after exa_comm_repair: see exa_comm_any_died. */
void exa_comm_finalize(void);

/* A rank has died: whatever is collective would never return. From now on what is collective here fails with
 * EXA_ERR_RANK_LOST at once. */
void exa_comm_abandon(void);
bool exa_comm_is_abandoned(void);

/* Whether MPI itself knows that a rank is dead, so that exa_comm_repair will not wait for it: not one that is only
 * silent. False for all ranks where MPI cannot be repaired: it needs Open MPI 5 with ULFM and mpirun --with-ft
 * ulfm. Local. */
bool exa_comm_knows_dead(int rank);

/* After a death: those who live become all ranks there are, in the same order and with new numbers, and what is
 * collective works again. Rank 0 must be among them. Collective over those who live. On an error, which all of them
 * get (EXA_ERR_UNSUPPORTED where MPI cannot be repaired), everything is as before. */
exa_status exa_comm_repair(void);

/* Abandoned or repaired: the program has to leave by _exit. MPI_Finalize would wait for the dead, and now and then
 * it does so after a repair, too (https://github.com/open-mpi/ompi/issues/11404; seen with 5.0.11). */
bool exa_comm_any_died(void);

/* 0 and 1 without a launcher. */
int exa_comm_rank(void);
int exa_comm_size(void);

/* What failed on one rank fails on all: returns `st` where it is an error, EXA_OK if all ranks gave that, and
 * elsewhere an error that names the rank. Collective. */
exa_status exa_comm_agree(exa_status st);

/* Until all ranks are here; asleep, where the others may be busy for long. Collective. */
void exa_comm_wait(void);

/* Gives rank 0's bytes to all. Collective. */
exa_status exa_comm_broadcast(void *data, size_t size);

/* Ranks on this machine, this one included, and its number among them. */
int exa_comm_local_size(void);
int exa_comm_local_rank(void);

/* Puts the records of this machine's ranks, `size` bytes each, into `all` in the order of their local ranks.
 * Collective over the ranks of each machine. */
exa_status exa_comm_gather_local(const void *mine, size_t size, void *all);

/* True if a launcher's environment says so, before any initialisation. */
bool exa_comm_launched(void);

#ifdef __cplusplus
}
#endif
#endif
