/* Edge lists: text tables of who connects to whom become a graph.
 *
 * Columns are named (pre, post, weight, or what Codex, neuPrint and CAVE call them), never guessed from what is in
 * them. What a table may contain by right but must not hide (several rows of one connection, self-connections, rows
 * of weight 0) is counted; what cannot be right (a missing field, an id that lost its digits, NaN) is an error with
 * its line.
 */
#ifndef EXACONN_EDGE_LIST_H
#define EXACONN_EDGE_LIST_H

#include "exaconn/graph.h"
#include "exaconn/name_table.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_EDGE_LIST_MAX_SHARES 16

typedef struct exa_edge_list_options {
    const char *pre, *post;                       /* columns; NULL = the known names */
    const char *weight;                           /* column; NULL = the known names; "none" = every row counts 1 */
    const char *where_column, *where_value;       /* only rows with that value; NULL = all */
    const char *shares[EXA_EDGE_LIST_MAX_SHARES]; /* columns whose sums are compared */
    int share_count;
    const char *nodes;  /* a table of nodes (id, and x, y, z); NULL = the nodes are those of the edge lists */
    bool drop_unknown;  /* ids that are not among `nodes` are left out and counted; else an error */
    bool undirected;    /* each row connects both ways */
    double min_weight;  /* connections below it are left out, after rows are summed */
    double voxel_nm[3]; /* z, y, x: of a voxel, where positions are in voxels; 0 = they have to be x_nm ... */
} exa_edge_list_options;

typedef struct exa_edge_list_counts {
    uint64_t files, rows;
    uint64_t filtered;  /* rows that --where left out */
    uint64_t zero;      /* rows of weight 0: no connection */
    uint64_t repeated;  /* rows of a pair that its file had before: added up */
    uint64_t unknown;   /* rows with an id that is not in the table of nodes */
    uint64_t self;      /* nodes connected to themselves: left out of the graph */
    uint64_t light;     /* connections below min_weight */
    uint64_t one_sided; /* undirected: pairs that only one row named, of those that some file had twice */
    uint64_t unequal;   /* undirected: pairs whose two rows had different weights: the larger counts */
    double self_weight; /* of what `self` counts */
    double weight;      /* of the graph; undirected, of its pairs */
    uint64_t isolated;  /* nodes without any connection */
} exa_edge_list_counts;

typedef struct exa_edge_list {
    exa_graph graph;
    exa_name_table names; /* of the nodes, in ascending order */
    double *position_nm;  /* owned; [nodes, 3] z, y, x; NULL if not given */
    exa_edge_list_counts counts;
    double share_sum[EXA_EDGE_LIST_MAX_SHARES];
    char columns[256];      /* what was read as what, for people */
    char unknown_first[96]; /* the first unknown id and its line */
} exa_edge_list;

/* Reads the files one after the other; equal connections of several files add up. */
exa_status exa_edge_list_read(const char *const *paths, int count, const exa_edge_list_options *options,
                              exa_edge_list *out);

/* The same of one text in memory (changed; text[size] writable); `nodes` of the options is a path still. */
exa_status exa_edge_list_parse(const char *name, char *text, size_t size, const exa_edge_list_options *options,
                               exa_edge_list *out);

void exa_edge_list_destroy(exa_edge_list *list); /* zeroed afterwards */

#ifdef __cplusplus
}
#endif
#endif
