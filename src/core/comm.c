/* Process-wide MPI state. */
#include "exaconn/comm.h"

#include <mpi.h>
#include <stdlib.h>
#include <time.h>

static bool initialised, abandoned;
static int world_rank, world_size = 1, local_size = 1;

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

static exa_status count_local_ranks(void) {
    MPI_Comm machine;

    EXA_TRY(
        mpi_status(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, &machine)));
    MPI_Comm_size(machine, &local_size);
    MPI_Comm_free(&machine);
    return EXA_OK;
}

exa_status exa_comm_init(void) {
    int provided;

    if (initialised || !exa_comm_launched()) return EXA_OK;
    EXA_TRY(mpi_status(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided)));
    initialised = true;
    EXA_CHECK(provided >= MPI_THREAD_FUNNELED, EXA_ERR_COMM,
              "this MPI library has no thread support. Hint: use one built with MPI_THREAD_FUNNELED or better");
    EXA_TRY(mpi_status(MPI_Comm_rank(MPI_COMM_WORLD, &world_rank)));
    EXA_TRY(mpi_status(MPI_Comm_size(MPI_COMM_WORLD, &world_size)));
    return count_local_ranks();
}

void exa_comm_wait(void) {
    const struct timespec moment = {.tv_nsec = 5000000};
    MPI_Request barrier;
    int all = 0;

    if (world_size == 1 || MPI_Ibarrier(MPI_COMM_WORLD, &barrier) != MPI_SUCCESS) return;
    while (MPI_Test(&barrier, &all, MPI_STATUS_IGNORE) == MPI_SUCCESS && !all) nanosleep(&moment, NULL);
}

void exa_comm_abandon(void) {
    abandoned = true;
}

bool exa_comm_is_abandoned(void) {
    return abandoned;
}

void exa_comm_finalize(void) {
    if (!initialised || abandoned) return;
    exa_comm_wait(); /* rank 0 may still be writing for minutes: the others sleep, as MPI_Finalize alone would not
                      */
    MPI_Finalize();
    initialised = false;
}

int exa_comm_rank(void) {
    return world_rank;
}

int exa_comm_size(void) {
    return world_size;
}

static exa_status check_not_abandoned(void) {
    EXA_CHECK(!abandoned, EXA_ERR_RANK_LOST, "a rank died, and this step needs all of them");
    return EXA_OK;
}

exa_status exa_comm_agree(exa_status st) {
    struct {
        int status, rank;
    } mine = {(int)st, world_rank}, worst;

    if (world_size == 1) return st;
    if (abandoned && st != EXA_OK) return st;
    EXA_TRY(check_not_abandoned());
    EXA_TRY(mpi_status(MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MAXLOC, MPI_COMM_WORLD)));
    if (worst.status == EXA_OK) return EXA_OK;
    int first = (int)st;
    EXA_TRY(mpi_status(MPI_Bcast(&first, 1, MPI_INT, 0, MPI_COMM_WORLD)));
    if (st != EXA_OK) return world_rank == 0 || first == EXA_OK ? st : EXA_FAIL(st, "%s", "");
    if (world_rank != 0) return EXA_FAIL((exa_status)worst.status, "%s", "");
    return EXA_FAIL((exa_status)worst.status, "rank %d failed (%s); its own message says why", worst.rank,
                    exa_status_name((exa_status)worst.status));
}

exa_status exa_comm_broadcast(void *data, size_t size) {
    if (world_size == 1) return EXA_OK;
    EXA_TRY(check_not_abandoned());
    return mpi_status(MPI_Bcast(data, (int)size, MPI_BYTE, 0, MPI_COMM_WORLD));
}

int exa_comm_local_size(void) {
    return local_size;
}
