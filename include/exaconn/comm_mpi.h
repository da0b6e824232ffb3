/* The ranks' communicator itself, for the few sources that call MPI: they name this one, never MPI_COMM_WORLD, as
 * the ranks that live on after a death have another (exa_comm_repair). */
#ifndef EXACONN_COMM_MPI_H
#define EXACONN_COMM_MPI_H

#include "exaconn/comm.h"

#include <mpi.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Owned by core/comm; another one after each exa_comm_repair. */
MPI_Comm exa_comm_mpi(void);

/* Once a rank is known to be dead, an MPI that can be repaired takes messages from any rank only from who has taken
 * note of that. True if it had to be done: what failed can be tried again. Local. */
bool exa_comm_note_deaths(void);

#ifdef __cplusplus
}
#endif
#endif
