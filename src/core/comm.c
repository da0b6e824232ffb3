/* Process-wide MPI state. */
#include "exaconn/comm.h"
#include "exaconn/comm_mpi.h"

#include <mpi.h>
#ifdef OPEN_MPI
#include <mpi-ext.h> /* says whether there is ULFM: OMPI_HAVE_MPI_EXT_FTMPI */
#endif
#include <stdlib.h>
#include <string.h>
#include <time.h>

static bool initialised, abandoned, repaired;
static int world_rank, world_size = 1, local_rank, local_size = 1;
static MPI_Comm world = MPI_COMM_WORLD; /* the ranks that there are; after a repair, fewer */

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

    EXA_TRY(mpi_status(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, &machine)));
    MPI_Comm_size(machine, &local_size);
    MPI_Comm_rank(machine, &local_rank);
    MPI_Comm_free(&machine);
    return EXA_OK;
}

static exa_status take_numbers(void) {
    EXA_TRY(mpi_status(MPI_Comm_rank(world, &world_rank)));
    EXA_TRY(mpi_status(MPI_Comm_size(world, &world_size)));
    return count_local_ranks();
}

exa_status exa_comm_init(void) {
    int provided;

    if (initialised || !exa_comm_launched()) return EXA_OK;
    EXA_TRY(mpi_status(MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided)));
    initialised = true;
    EXA_CHECK(provided >= MPI_THREAD_FUNNELED, EXA_ERR_COMM,
              "this MPI library has no thread support. Hint: use one built with MPI_THREAD_FUNNELED or better");
    return take_numbers();
}

void exa_comm_wait(void) {
    const struct timespec moment = {.tv_nsec = 5000000};
    MPI_Request barrier;
    int all = 0;

    if (world_size == 1 || MPI_Ibarrier(world, &barrier) != MPI_SUCCESS) return;
    while (MPI_Test(&barrier, &all, MPI_STATUS_IGNORE) == MPI_SUCCESS && !all) nanosleep(&moment, NULL);
}

void exa_comm_abandon(void) {
    abandoned = true;
}

bool exa_comm_is_abandoned(void) {
    return abandoned;
}

bool exa_comm_any_died(void) {
    return abandoned || repaired;
}

void exa_comm_finalize(void) {
    if (!initialised || abandoned) return;
    if (repaired) MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN); /* the first to leave is soon one more dead */
    exa_comm_wait(); /* rank 0 may still be writing for minutes: the others sleep, as MPI_Finalize alone would not
                      */
    if (repaired) return;
    MPI_Finalize();
    initialised = false;
}

MPI_Comm exa_comm_mpi(void) {
    return world;
}

int exa_comm_rank(void) {
    return world_rank;
}

int exa_comm_size(void) {
    return world_size;
}

/* ---- after a death ------------------------------------------------------------------------------------------- */

#ifdef OMPI_HAVE_MPI_EXT_FTMPI
/* Compiled in is not switched on. */
static bool can_repair(void) {
    int *on = NULL, known = 0;

    if (!initialised) return false;
    return MPI_Comm_get_attr(MPI_COMM_WORLD, MPIX_FT, &on, &known) == MPI_SUCCESS && known && *on;
}

bool exa_comm_knows_dead(int rank) {
    MPI_Group all, dead;
    int at = MPI_UNDEFINED;

    if (!can_repair() || MPIX_Comm_get_failed(world, &dead) != MPI_SUCCESS) return false;
    MPI_Comm_group(world, &all);
    MPI_Group_translate_ranks(all, 1, &rank, dead, &at);
    MPI_Group_free(&all);
    MPI_Group_free(&dead);
    return at != MPI_UNDEFINED;
}

bool exa_comm_note_deaths(void) {
    return can_repair() && MPIX_Comm_failure_ack(world) == MPI_SUCCESS;
}

/* The new one is taken only if everybody in it has it and rank 0 is rank 0 still: lock and progress are its.
 */
static exa_status shrink(MPI_Comm *alive) {
    int rank, fine;

    EXA_TRY(mpi_status(MPIX_Comm_shrink(world, alive)));
    MPI_Comm_set_errhandler(*alive, MPI_ERRORS_RETURN);
    MPI_Comm_rank(*alive, &rank);
    fine = (rank == 0) == (world_rank == 0);
    EXA_TRY(mpi_status(MPIX_Comm_agree(*alive, &fine)));
    EXA_CHECK(fine, EXA_ERR_RANK_LOST, "rank 0 died");
    return EXA_OK;
}

exa_status exa_comm_repair(void) {
    MPI_Comm alive;

    EXA_CHECK(can_repair(), EXA_ERR_UNSUPPORTED,
              "MPI was not told to survive a death. Hint: Open MPI 5 does with mpirun --with-ft ulfm");
    EXA_TRY(shrink(&alive)); /* after a second death the first attempt's communicator is leaked */
    MPI_Comm_set_errhandler(alive, MPI_ERRORS_ARE_FATAL);
    if (world != MPI_COMM_WORLD) MPI_Comm_free(&world);
    world = alive;
    abandoned = false;
    repaired = true;
    return take_numbers();
}
#else
bool exa_comm_knows_dead(int rank) {
    (void)rank;
    return false;
}

bool exa_comm_note_deaths(void) {
    return false;
}

exa_status exa_comm_repair(void) {
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, "this program was built with an MPI that cannot survive a death. Hint: "
                                         "Open MPI 5 with ULFM can");
}
#endif

/* ---- all together -------------------------------------------------------------------------------------------- */

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
    EXA_TRY(mpi_status(MPI_Allreduce(&mine, &worst, 1, MPI_2INT, MPI_MAXLOC, world)));
    if (worst.status == EXA_OK) return EXA_OK;
    int first = (int)st;
    EXA_TRY(mpi_status(MPI_Bcast(&first, 1, MPI_INT, 0, world)));
    if (st != EXA_OK) return world_rank == 0 || first == EXA_OK ? st : EXA_FAIL(st, "%s", "");
    if (world_rank != 0) return EXA_FAIL((exa_status)worst.status, "%s", "");
    return EXA_FAIL((exa_status)worst.status, "rank %d failed (%s); its own message says why", worst.rank,
                    exa_status_name((exa_status)worst.status));
}

exa_status exa_comm_broadcast(void *data, size_t size) {
    if (world_size == 1) return EXA_OK;
    EXA_TRY(check_not_abandoned());
    return mpi_status(MPI_Bcast(data, (int)size, MPI_BYTE, 0, world));
}

int exa_comm_local_size(void) {
    return local_size;
}

int exa_comm_local_rank(void) {
    return local_rank;
}

exa_status exa_comm_gather_local(const void *mine, size_t size, void *all) {
    MPI_Comm machine;
    exa_status st;

    if (world_size == 1) {
        memcpy(all, mine, size);
        return EXA_OK;
    }
    EXA_TRY(check_not_abandoned());
    EXA_TRY(mpi_status(MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, world_rank, MPI_INFO_NULL, &machine)));
    st = mpi_status(MPI_Allgather(mine, (int)size, MPI_BYTE, all, (int)size, MPI_BYTE, machine));
    MPI_Comm_free(&machine);
    return st;
}
