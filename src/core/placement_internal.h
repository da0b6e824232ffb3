/* For tests: distances in a topology that is not this machine's. */
#ifndef EXA_PLACEMENT_INTERNAL_H
#define EXA_PLACEMENT_INTERNAL_H

#include "exaconn/placement.h"

#include <hwloc.h>

/* What is beside the PCI device: the cpuset of the first thing above it that has one; NULL if the topology does not
 * have the device, or knows of it only that it is in the machine. */
hwloc_const_cpuset_t exa_placement_beside(hwloc_topology_t topology, const char *pci);

/* Of a rank that may run on `mask`. */
exa_placement_distance exa_placement_measure(hwloc_topology_t topology, hwloc_const_cpuset_t mask, const char *pci);

#endif
