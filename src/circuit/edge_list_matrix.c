#include "edge_list_internal.h"

#include "exaconn/box.h"
#include "exaconn/column_file.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool exa_edge_list_is_matrix(const char *path) {
    unsigned char first[8] = {0};
    FILE *f = fopen(path, "rb");
    size_t n = f ? fread(first, 1, sizeof first, f) : 0;

    if (f) fclose(f);
    return n == sizeof first && memcmp(first, "\x89HDF\r\n\x1a\n", sizeof first) == 0;
}

exa_status exa_edge_list_matrix_voxel(const char *path, double voxel_nm[3], bool *found) {
    exa_column_file *file = NULL;
    exa_status st;

    *found = false;
    EXA_TRY(exa_column_file_open(path, "exaconn connectome", &file));
    st = exa_column_file_get_reals(file, "voxel_size_nm", voxel_nm, 3, found);
    exa_column_file_close(&file);
    if (st != EXA_OK || !*found) return st;
    EXA_CHECK(voxel_nm[0] > 0 && voxel_nm[1] > 0 && voxel_nm[2] > 0 &&
                  voxel_nm[0] + voxel_nm[1] + voxel_nm[2] < 1e12,
              EXA_ERR_FORMAT, "%s: its voxels are %g x %g x %g nm", path, voxel_nm[0], voxel_nm[1], voxel_nm[2]);
    return EXA_OK;
}

typedef struct matrix {
    const char *path;
    exa_column_file *file;
    uint64_t *ids, *begin, *index, *count; /* owned */
    double *area;                          /* owned; the weights where they are not `count` */
    uint32_t *number;                      /* owned; of each id */
    uint64_t nodes, edges;
} matrix;

static exa_status read_column(const matrix *m, const char *name, exa_column_type type, uint64_t *rows, void *out) {
    char **data = out;
    bool found;

    EXA_TRY(exa_column_file_rows(m->file, name, type, 1, rows, &found));
    EXA_CHECK(found, EXA_ERR_FORMAT, "%s: there is no column '%s'", m->path, name);
    EXA_TRY(exa_alloc(*rows, 8, "a matrix", data));
    return exa_column_file_read(m->file, name, type, 1, 0, *rows, *data);
}

static exa_status read_weights(matrix *m, const char *weight) {
    uint64_t rows = m->edges;

    if (strcmp(weight, "none") == 0) return EXA_OK;
    if (strcmp(weight, "area_nm2") == 0) {
        EXA_TRY(read_column(m, weight, EXA_COLUMN_F64, &rows, &m->area));
    } else {
        EXA_TRY(read_column(m, weight, EXA_COLUMN_U64, &rows, &m->count));
    }
    EXA_CHECK(rows == m->edges, EXA_ERR_FORMAT, "%s: %" PRIu64 " weights of %" PRIu64 " connections", m->path, rows,
              m->edges);
    return EXA_OK;
}

static exa_status check(const matrix *m, uint64_t rows) {
    bool right =
        rows == m->nodes + 1 && m->nodes < UINT32_MAX && m->begin[0] == 0 && m->begin[m->nodes] == m->edges;

    for (uint64_t v = 0; right && v < m->nodes; v++) right = m->begin[v] <= m->begin[v + 1];
    for (uint64_t i = 0; right && i < m->edges; i++) {
        right = m->index[i] < m->nodes;
        EXA_CHECK(!m->area || (m->area[i] >= 0 && m->area[i] < 1e300), EXA_ERR_FORMAT,
                  "%s: the area of connection %" PRIu64 " is %g", m->path, i, m->area[i]);
    }
    EXA_CHECK(right, EXA_ERR_FORMAT, "%s: ids, indptr and indices are no sparse matrix. Hint: is the file whole?",
              m->path);
    return EXA_OK;
}

static exa_status read_all(matrix *m, const char *weight) {
    uint64_t rows;

    EXA_TRY(exa_column_file_open(m->path, "exaconn connectome", &m->file));
    EXA_TRY(read_column(m, "ids", EXA_COLUMN_U64, &m->nodes, &m->ids));
    EXA_TRY(read_column(m, "indptr", EXA_COLUMN_U64, &rows, &m->begin));
    EXA_TRY(read_column(m, "indices", EXA_COLUMN_U64, &m->edges, &m->index));
    EXA_TRY(read_weights(m, weight));
    EXA_TRY(check(m, rows));
    return exa_alloc(m->nodes, sizeof *m->number, "a matrix", &m->number);
}

static double weight_of(const matrix *m, uint64_t i) {
    return m->area ? m->area[i] : m->count ? (double)m->count[i] : 1;
}

exa_status exa_edge_list_matrix(const char *path, const char *weight, exa_edge_list_node *node,
                                exa_edge_list_connection *connection, void *context) {
    matrix m = {.path = path};
    exa_status st = read_all(&m, weight);

    for (uint64_t v = 0; st == EXA_OK && v < m.nodes; v++) st = node(context, m.ids[v], &m.number[v]);
    for (uint64_t v = 0; st == EXA_OK && v < m.nodes; v++)
        for (uint64_t i = m.begin[v]; st == EXA_OK && i < m.begin[v + 1]; i++)
            st = connection(context, m.number[v], m.number[m.index[i]], weight_of(&m, i));
    free(m.ids);
    free(m.begin);
    free(m.index);
    free(m.count);
    free(m.area);
    free(m.number);
    exa_column_file_close(&m.file);
    return st;
}
