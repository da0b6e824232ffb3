/* Process-wide MPI state. */
#include "exaconn/comm.h"

#include <mpi.h>
#include <stdlib.h>

static bool initialised;
static int world_rank, world_size = 1;

bool exa_comm_launched(void) {
    static const char *const signs[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE"};
    for (size_t i = 0; i < sizeof signs / sizeof *signs; i++) {
        if (getenv(signs[i])) return true;
    }
    return false;
}

static exa_status mpi_status(int code) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;

    if (code == MPI_SUCCESS) return EXA_OK;
    MPI_Error_string(code, text, &length);
    return EXA_FAIL(EXA_ERR_COMM, "MPI: %.*s", length, text);
}

exa_status exa_comm_init(void) {
    int provided;

    if (initialised || !exa_comm_launched()) return EXA_OK;
    EXA_TRY(mpi_status(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided)));
    initialised = true;
    EXA_CHECK(provided >= MPI_THREAD_FUNNELED, EXA_ERR_COMM,
              "this MPI library has no thread support. Hint: use one built with MPI_THREAD_FUNNELED or better");
    EXA_TRY(mpi_status(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank)));
    return mpi_status(MPI_Comm_size(MPI_COMM_WORLD, &world_size));
}

void exa_comm_finalize(void) {
    if (!initialised) return;
    MPI_Finalize();
    initialised = false;
}

int exa_comm_rank(void) {
    return world_rank;
}

int exa_comm_size(void) {
    return world_size;
}

exa_status exa_comm_agree(exa_status st) {
    struct {
        int status, rank;
    } mine = {(int)st, world_rank}, worst;

    if (world_size == 1) return st;
    EXA_TRY(mpi_status(MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD)));
    if (st != EXA_OK || worst.status == EXA_OK) return st;
    return EXA_FAIL((exa_status)worst.status, "rank %d failed (%s); its own message says why", worst.rank,
                    exa_status_name((exa_status)worst.status));
}
