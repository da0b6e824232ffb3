/* A rank that dies while work is shared out. As ranks die in it, it is no test by itself:
 * tests/fault/test_lease_death.sh starts it under mpirun --enable-recovery and counts what it prints.
 *
 *   lease_death HOW RANK FOLDER    HOW is kill, stop (and never wake) or pause (stop, and wake 8 s later)
 *
 * Every item done leaves a file FOLDER/ITEM.RANK: what is on disk survives its maker. */
#include "test_util.h"

#include "exaconn/comm.h"
#include "exaconn/lease.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>

enum { ITEMS = 120 };

typedef struct work {
    const char *folder, *how;
    int victim;
    atomic_int bodies;
} work;

static void die(const char *how) {
    if (strcmp(how, "pause") == 0 && fork() == 0) { /* somebody has to wake it */
        pid_t parent = getppid();
        sleep(8);
        kill(parent, SIGCONT);
        _exit(0);
    }
    raise(strcmp(how, "kill") == 0 ? SIGKILL : SIGSTOP);
}

static exa_status body(exa_lease_task *task, uint64_t id, void *context) {
    work *w = context;
    char path[512];
    int file;

    if (exa_comm_rank() == w->victim && atomic_fetch_add(&w->bodies, 1) == 3) die(w->how);
    usleep(30000);
    if (exa_lease_cancelled(task)) return EXA_FAIL(EXA_ERR_CANCELLED, "cancelled");
    snprintf(path, sizeof path, "%s/%llu.%d", w->folder, (unsigned long long)id, exa_comm_rank());
    file = open(path, O_CREAT | O_WRONLY, 0666);
    if (file < 0) return EXA_FAIL(EXA_ERR_IO, "cannot write %s", path);
    close(file);
    return EXA_OK;
}

static exa_status tick(const exa_lease *lease, const exa_policy_counters *counters, void *context) {
    (void)lease, (void)counters, (void)context;
    return EXA_OK;
}

static void print_result(exa_status st, const exa_lease_result *r) {
    static const char *const states[] = {"silent", "alive", "retired", "dead"};

    for (size_t k = 0; k < r->rank_count; k++) printf("rank %zu: %s\n", k, states[r->ranks[k].state]);
    printf("result: %s, %llu of %d done: %s\n", exa_status_name(st), (unsigned long long)r->counters.done, ITEMS,
           exa_error_last()->message);
}

int main(int argc, char **argv) {
    exa_policy_options o = exa_policy_defaults();
    exa_policy_item items[ITEMS];
    exa_lease_result r = {0};
    exa_status st;

    if (argc != 4 || exa_comm_init() != EXA_OK) return 1;
    work w = {.how = argv[1], .victim = atoi(argv[2]), .folder = argv[3]};
    for (uint64_t i = 0; i < ITEMS; i++) items[i] = (exa_policy_item){.id = i, .cost = 1};
    const exa_lease_work todo = {.items = items,
                                 .count = exa_comm_rank() ? 0 : ITEMS,
                                 .options = &o,
                                 .timeout_s = 5,
                                 .body = body,
                                 .tick = tick,
                                 .context = &w};
    st = exa_lease_run(&todo, &r);
    if (exa_comm_rank() == 0) {
        print_result(st, &r);
    } else {
        printf("worker %d: %s: %s\n", exa_comm_rank(), exa_status_name(st), exa_error_last()->message);
    }
    if (exa_comm_agree(EXA_OK) == EXA_OK) printf("agreed\n"); /* fails at once after a death */
    fflush(NULL);
    if (exa_comm_is_abandoned()) _exit(st == EXA_ERR_RANK_LOST ? 6 : 1);
    exa_comm_finalize();
    return st != EXA_OK;
}
