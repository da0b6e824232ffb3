/* What each rank of a machine sees, gathered from all of them, and the rule applied to it. */
#include "exaconn/placement.h"

#include "placement_internal.h"

#include "exaconn/box.h"
#include "exaconn/comm.h"
#include "exaconn/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_VISIBLE = 64 };

/* What a rank tells the others. */
typedef struct seen {
    unsigned char uuid[EXA_DEVICE_UUID_BYTES];
    char pci[EXA_DEVICE_PCI_BYTES];
    int distance;
} seen;

typedef struct view {
    int count;
    seen device[MOST_VISIBLE];
} view;

/* ---- distances ----------------------------------------------------------------------------------------------- */

static hwloc_topology_t load_topology(void) {
    hwloc_topology_t topology;

    if (hwloc_topology_init(&topology) != 0) return NULL;
    hwloc_topology_set_io_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_IMPORTANT);
    if (hwloc_topology_load(topology) == 0) return topology;
    hwloc_topology_destroy(topology);
    return NULL;
}

hwloc_const_cpuset_t exa_placement_beside(hwloc_topology_t topology, const char *pci) {
    hwloc_obj_t device = *pci ? hwloc_get_pcidev_by_busidstring(topology, pci) : NULL;
    hwloc_obj_t above = device ? hwloc_get_non_io_ancestor_obj(topology, device) : NULL;

    if (!above || !above->cpuset || hwloc_bitmap_iszero(above->cpuset)) return NULL;
    /* Right below a machine of several packages: it is not known beside which. */
    if (above->type == HWLOC_OBJ_MACHINE && hwloc_get_nbobjs_by_type(topology, HWLOC_OBJ_PACKAGE) > 1) return NULL;
    return above->cpuset;
}

exa_placement_distance exa_placement_measure(hwloc_topology_t topology, hwloc_const_cpuset_t mask,
                                             const char *pci) {
    hwloc_const_cpuset_t beside = exa_placement_beside(topology, pci);
    hwloc_obj_t package = NULL;

    if (!beside || hwloc_bitmap_intersects(beside, mask)) return EXA_PLACEMENT_NEAR;
    while ((package = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_PACKAGE, package)) != NULL) {
        if (hwloc_bitmap_intersects(package->cpuset, beside) && hwloc_bitmap_intersects(package->cpuset, mask))
            return EXA_PLACEMENT_PACKAGE;
    }
    return EXA_PLACEMENT_FAR;
}

const char *exa_placement_distance_name(exa_placement_distance distance) {
    static const char *const names[] = {"near", "same package", "other package"};
    return distance < 0 ? "not visible" : names[distance];
}

void exa_placement_cores(const char *pci, char *cores, int cores_bytes) {
    hwloc_topology_t topology = load_topology();
    hwloc_const_cpuset_t beside = topology ? exa_placement_beside(topology, pci) : NULL;

    cores[0] = '\0';
    /* A list that does not fit is no list. */
    if (beside && hwloc_bitmap_list_snprintf(cores, (size_t)cores_bytes, beside) >= cores_bytes) cores[0] = '\0';
    if (topology) hwloc_topology_destroy(topology);
}

/* ---- what this rank sees ------------------------------------------------------------------------------------- */

static void measure_all(view *v) {
    hwloc_topology_t topology = load_topology();
    hwloc_bitmap_t mask = hwloc_bitmap_alloc();

    for (int i = 0; i < v->count; i++) v->device[i].distance = EXA_PLACEMENT_NEAR;
    if (topology && mask && hwloc_get_cpubind(topology, mask, HWLOC_CPUBIND_PROCESS) == 0) {
        for (int i = 0; i < v->count; i++)
            v->device[i].distance = (int)exa_placement_measure(topology, mask, v->device[i].pci);
    }
    hwloc_bitmap_free(mask);
    if (topology) hwloc_topology_destroy(topology);
}

/* A GPU that does not answer is as if it were not there; the others may do. */
static void look(view *v, const char **reason) {
    int count = exa_device_count(reason);

    memset(v, 0, sizeof *v);
    for (int i = 0; i < count && v->count < MOST_VISIBLE; i++) {
        exa_device d;
        if (exa_device_get(i, &d) != EXA_OK) {
            *reason = "the driver lists a GPU that does not answer";
            continue;
        }
        memcpy(v->device[v->count].uuid, d.uuid, sizeof d.uuid);
        memcpy(v->device[v->count].pci, d.pci, sizeof d.pci);
        v->count++;
    }
    if (v->count) measure_all(v);
}

/* ---- all ranks of this machine together ---------------------------------------------------------------------- */

/* By address, as nvidia-smi counts them; slices of one GPU by their uuid. */
static int order_seen(const void *pa, const void *pb) {
    const seen *a = pa, *b = pb;
    int by_pci = strcmp(a->pci, b->pci);
    return by_pci ? by_pci : memcmp(a->uuid, b->uuid, sizeof a->uuid);
}

static int list_devices(const view *views, int ranks, seen *all) {
    int count = 0, kept = 0;

    for (int r = 0; r < ranks; r++)
        for (int i = 0; i < views[r].count; i++) all[count++] = views[r].device[i];
    qsort(all, (size_t)count, sizeof *all, order_seen);
    for (int i = 0; i < count; i++)
        if (kept == 0 || order_seen(&all[kept - 1], &all[i]) != 0) all[kept++] = all[i];
    return kept;
}

static int position_in(const view *v, const seen *device) {
    for (int i = 0; i < v->count; i++)
        if (order_seen(&v->device[i], device) == 0) return i;
    return -1;
}

static exa_status share(const view *views, int ranks, int me, exa_placement *p) {
    seen *all = NULL;
    int *distance = NULL, *choice = NULL, devices, mine;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc((size_t)ranks * MOST_VISIBLE, sizeof *all, "the list of GPUs", &all));
    devices = list_devices(views, ranks, all);
    EXA_GOTO(done, exa_calloc((size_t)ranks * (size_t)devices + 1, sizeof *distance, "distances", &distance));
    EXA_GOTO(done, exa_calloc((size_t)ranks, sizeof *choice, "the sharing of GPUs", &choice));
    for (int r = 0; r < ranks; r++) {
        for (int d = 0; d < devices; d++) {
            int at = position_in(&views[r], &all[d]);
            distance[r * devices + d] = at < 0 ? (int)EXA_PLACEMENT_UNSEEN : views[r].device[at].distance;
        }
    }
    EXA_GOTO(done, exa_placement_share(ranks, devices, distance, choice));
    mine = choice[me];
    if (mine < 0) goto done;
    p->device = position_in(&views[me], &all[mine]);
    p->distance = (exa_placement_distance)distance[me * devices + mine];
    for (int r = 0; r < ranks; r++) p->sharers += choice[r] == mine;
done:
    free(all);
    free(distance);
    free(choice);
    return st;
}

/* The position among those that answer, as an index of the runtime: some before it may not have answered. One that
 * has gone meanwhile is no error either: the job says whether it can do without. */
static void find_device(exa_placement *p, const view *v) {
    const int count = exa_device_count(NULL), wanted = p->device;

    for (int i = 0; i < count; i++) {
        if (exa_device_get(i, &p->facts) != EXA_OK) continue;
        p->device = i;
        if (memcmp(p->facts.uuid, v->device[wanted].uuid, sizeof p->facts.uuid) == 0) return;
    }
    p->device = -1;
    p->reason = "a GPU that was there a moment ago does not answer any more";
}

exa_status exa_placement_choose(exa_placement *placement) {
    const int ranks = exa_comm_local_size();
    exa_placement p = {.device = -1};
    view mine, *views = NULL;
    exa_status st;

    look(&mine, &p.reason);
    st = exa_comm_agree(exa_calloc((size_t)ranks, sizeof *views, "what the ranks see", &views));
    if (st == EXA_OK) st = exa_comm_gather_local(&mine, sizeof mine, views);
    if (st == EXA_OK) st = share(views, ranks, exa_comm_local_rank(), &p);
    if (st == EXA_OK && p.device >= 0) find_device(&p, &mine);
    free(views);
    EXA_TRY(exa_comm_agree(st));
    if (p.device >= 0) exa_placement_cores(p.facts.pci, p.cores, sizeof p.cores);
    *placement = p;
    return EXA_OK;
}

bool exa_placement_bind(const exa_placement *placement) {
    return placement->device >= 0 && exa_cpu_narrow(placement->cores);
}
