/* The matrix that exaconn connectome writes, as a source of connections. */
#ifndef EXA_EDGE_LIST_INTERNAL_H
#define EXA_EDGE_LIST_INTERNAL_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stdint.h>

/* Whether the file begins as HDF5 does. */
bool exa_edge_list_is_matrix(const char *path);

/* The size of the voxels (z, y, x) that it was made from; *found is false if it does not say. */
exa_status exa_edge_list_matrix_voxel(const char *path, double voxel_nm[3], bool *found);

typedef exa_status exa_edge_list_node(void *context, uint64_t id, uint32_t *number);
typedef exa_status exa_edge_list_connection(void *context, uint32_t pre, uint32_t post, double weight);

/* Gives every id to `node`, then every connection, by the numbers that `node` gave, to `connection`. `weight` is a
 * column ("synapses", "area_nm2") or "none". */
exa_status exa_edge_list_matrix(const char *path, const char *weight, exa_edge_list_node *node,
                                exa_edge_list_connection *connection, void *context);

#endif
