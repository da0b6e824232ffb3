/* Which GPU this rank works on, and on which cores.
 *
 * The ranks of a machine share the GPUs that they see (CUDA_VISIBLE_DEVICES may show each another set): as evenly
 * as what they see allows, and then each as near to its cores as can be. All know all that decides, so all come to
 * the same answer without asking anybody.
 */
#ifndef EXACONN_PLACEMENT_H
#define EXACONN_PLACEMENT_H

#include "exaconn/device.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* How far a GPU is from the cores of a rank. */
typedef enum exa_placement_distance {
    EXA_PLACEMENT_NEAR = 0, /* the rank has cores beside it; also where nobody knows */
    EXA_PLACEMENT_PACKAGE,  /* another part of the same package */
    EXA_PLACEMENT_FAR,
    EXA_PLACEMENT_UNSEEN = -1 /* not visible to the rank */
} exa_placement_distance;

typedef struct exa_placement {
    int device;         /* among those visible to this process; -1: none */
    const char *reason; /* why none; static storage */
    exa_device facts;   /* of the device */
    int sharers;        /* ranks on it, this one included */
    exa_placement_distance distance;
    char cores[256]; /* beside it, as "0-15,32-47"; "" where nobody knows */
} exa_placement;

/* The GPU of this rank. Collective over all ranks. Where a rank sees none, or its own does not
 * answer any more, `device` is -1 and that is no error. */
exa_status exa_placement_choose(exa_placement *placement);

/* Keeps the process to those of its cores that are beside the GPU, if it has others too. Call before threads are
 * begun. True if that changed anything. */
bool exa_placement_bind(const exa_placement *placement);

/* The rule itself: distance[rank * devices + device] gives choice[rank], -1 for a rank that sees none. The numbers
 * of ranks on the devices are as equal as possible (the sum of their squares is least), and of all such sharings
 * the sum of the distances is least; ties go to the lower rank and the lower device. */
exa_status exa_placement_share(int ranks, int devices, const int *distance, int *choice);

/* Cores near the GPU at the PCI address, "" if hwloc does not know. */
void exa_placement_cores(const char *pci, char *cores, int cores_bytes);

const char *exa_placement_distance_name(exa_placement_distance distance);

#ifdef __cplusplus
}
#endif
#endif
