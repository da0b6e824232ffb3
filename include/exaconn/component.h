/* Connected components: weak (whatever the direction) and strong (there and back). */
#ifndef EXACONN_COMPONENT_H
#define EXACONN_COMPONENT_H

#include "exaconn/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_components {
    uint32_t
        *of; /* owned; [nodes] the component of each node; numbered by size, the largest 0, then by first node */
    uint32_t *size; /* owned; [count] */
    uint32_t nodes, count;
} exa_components;

exa_status exa_components_weak(const exa_graph *g, exa_components *out);
exa_status exa_components_strong(const exa_graph *g, exa_components *out);
void exa_components_destroy(exa_components *c);

/* Any partition: label[v] in [0, nodes) of each node, in malloc'd memory, becomes its part's number by size. On
 * success the memory is out->of. */
exa_status exa_components_number(uint32_t *label, uint32_t nodes, exa_components *out);

/* The subgraph of the largest component; `numbers` as for exa_graph_subgraph. */
exa_status exa_components_largest(const exa_components *c, const exa_graph *g, uint32_t *numbers, exa_graph *out);

#ifdef __cplusplus
}
#endif
#endif
