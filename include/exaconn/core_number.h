/* k-cores: the k-core is what is left when nodes with fewer than k neighbours are taken away again and again. */
#ifndef EXACONN_CORE_NUMBER_H
#define EXACONN_CORE_NUMBER_H

#include "exaconn/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* core[v]: the largest k whose k-core has v. Neighbours count once, whatever the direction. *largest may be NULL.
 */
exa_status exa_core_numbers(const exa_dyads *dyads, uint32_t *core, uint32_t *largest);

#ifdef __cplusplus
}
#endif
#endif
