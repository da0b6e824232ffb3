/* Our own table of synapses, columns in HDF5, read a block of rows at a time. */
#include "synapse_table_internal.h"

#include "exaconn/column_file.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK = 1 << 14 };

typedef struct reader {
    exa_column_file *file; /* owned */
    uint64_t rows, at;     /* of all; next one */
    bool ids, points, synapses, kinds;
    exa_segid *pre, *post; /* owned; of the block that `at` is in */
    double (*pre_at)[3], (*post_at)[3];
    uint64_t *count, *kind;
} reader;

/* Whether the column is there; all that are have as many rows. */
static exa_status look_for(reader *r, const char *name, exa_column_type type, int width, bool *there) {
    uint64_t rows;

    EXA_TRY(exa_column_file_rows(r->file, name, type, width, &rows, there));
    if (!*there) return EXA_OK;
    EXA_CHECK(r->rows == UINT64_MAX || rows == r->rows, EXA_ERR_FORMAT,
              "the columns of a table of synapses differ in length: '%s' has %llu rows, another one %llu", name,
              (unsigned long long)rows, (unsigned long long)r->rows);
    r->rows = rows;
    return EXA_OK;
}

/* Both or neither. */
static exa_status look_for_pair(reader *r, const char *const names[2], exa_column_type type, int width,
                                bool *there) {
    bool both[2];

    for (int i = 0; i < 2; i++) EXA_TRY(look_for(r, names[i], type, width, &both[i]));
    EXA_CHECK(both[0] == both[1], EXA_ERR_FORMAT, "a table of synapses has only one of '%s' and '%s'", names[0],
              names[1]);
    *there = both[0];
    return EXA_OK;
}

static exa_status find_units(reader *r, const char *path, const exa_synapse_options *o, exa_synapse_units *units) {
    char text[16];
    bool found;

    *units = EXA_SYNAPSE_UNITS_UNSAID;
    if (!r->points) return EXA_OK;
    EXA_TRY(exa_column_file_get_text(r->file, "units", text, sizeof text, &found));
    if (found && strcmp(text, "voxels") == 0) *units = EXA_SYNAPSE_VOXELS;
    if (found && strcmp(text, "nm") == 0) *units = EXA_SYNAPSE_NM;
    EXA_CHECK(*units != EXA_SYNAPSE_UNITS_UNSAID, EXA_ERR_FORMAT,
              "'%s': its attribute \"units\" is neither 'voxels' nor 'nm'", path);
    EXA_CHECK(o->units == EXA_SYNAPSE_UNITS_UNSAID || o->units == *units, EXA_ERR_CONFIG,
              "'%s' says itself that its positions are %s", path, text);
    return EXA_OK;
}

static exa_status load(reader *r, size_t n) {
    if (r->ids) {
        EXA_TRY(exa_column_file_read(r->file, "pre_id", EXA_COLUMN_U64, 1, r->at, n, r->pre));
        EXA_TRY(exa_column_file_read(r->file, "post_id", EXA_COLUMN_U64, 1, r->at, n, r->post));
    }
    if (r->synapses) EXA_TRY(exa_column_file_read(r->file, "synapses", EXA_COLUMN_U64, 1, r->at, n, r->count));
    if (r->kinds) EXA_TRY(exa_column_file_read(r->file, "kind", EXA_COLUMN_U64, 1, r->at, n, r->kind));
    if (!r->points) return EXA_OK;
    EXA_TRY(exa_column_file_read(r->file, "pre_zyx", EXA_COLUMN_F64, 3, r->at, n, r->pre_at));
    return exa_column_file_read(r->file, "post_zyx", EXA_COLUMN_F64, 3, r->at, n, r->post_at);
}

static exa_status next(void *state, exa_synapse_row *row, bool *end) {
    reader *r = state;
    const size_t i = (size_t)(r->at % BLOCK);

    *end = r->at == r->rows;
    if (*end) return EXA_OK;
    if (i == 0) EXA_TRY(load(r, r->rows - r->at < BLOCK ? (size_t)(r->rows - r->at) : BLOCK));
    row->line = ++r->at;
    if (r->ids) {
        row->pre = r->pre[i];
        row->post = r->post[i];
    }
    if (r->synapses) row->synapses = r->count[i];
    if (r->kinds) row->kind = r->kind[i];
    if (r->points) {
        memcpy(row->pre_at, r->pre_at[i], sizeof row->pre_at);
        memcpy(row->post_at, r->post_at[i], sizeof row->post_at);
    }
    return EXA_OK;
}

static void close_reader(void *state) {
    reader *r = state;

    if (!r) return;
    exa_column_file_close(&r->file);
    free(r->pre);
    free(r->post);
    free(r->pre_at);
    free(r->post_at);
    free(r->count);
    free(r->kind);
    free(r);
}

static exa_status begin(reader *r, const char *path, const exa_synapse_options *o, exa_synapse_units *units) {
    static const char *const ids[2] = {"pre_id", "post_id"}, *const points[2] = {"pre_zyx", "post_zyx"};

    EXA_TRY(exa_column_file_open(path, EXA_SYNAPSE_HDF5_FORMAT, &r->file));
    r->rows = UINT64_MAX;
    EXA_TRY(look_for_pair(r, ids, EXA_COLUMN_U64, 1, &r->ids));
    EXA_TRY(look_for_pair(r, points, EXA_COLUMN_F64, 3, &r->points));
    EXA_TRY(look_for(r, "synapses", EXA_COLUMN_U64, 1, &r->synapses));
    EXA_TRY(look_for(r, "kind", EXA_COLUMN_U64, 1, &r->kinds));
    EXA_CHECK(r->ids || r->points, EXA_ERR_FORMAT,
              "'%s' has neither the columns 'pre_id' and 'post_id' nor 'pre_zyx' and 'post_zyx'", path);
    EXA_TRY(find_units(r, path, o, units));
    EXA_TRY(exa_alloc(BLOCK, sizeof *r->pre, "a block of synapses", &r->pre));
    EXA_TRY(exa_alloc(BLOCK, sizeof *r->post, "a block of synapses", &r->post));
    EXA_TRY(exa_alloc(BLOCK, sizeof *r->pre_at, "a block of synapses", &r->pre_at));
    EXA_TRY(exa_alloc(BLOCK, sizeof *r->post_at, "a block of synapses", &r->post_at));
    EXA_TRY(exa_alloc(BLOCK, sizeof *r->kind, "a block of synapses", &r->kind));
    return exa_alloc(BLOCK, sizeof *r->count, "a block of synapses", &r->count);
}

/* A table that counts in voxels may say how large they are. */
static exa_status find_voxel_size(reader *r, exa_synapse_units units, double nm[3]) {
    bool found = false;

    if (units == EXA_SYNAPSE_VOXELS) EXA_TRY(exa_column_file_get_reals(r->file, "voxel_size_nm", nm, 3, &found));
    for (int a = 0; found && a < 3; a++)
        EXA_CHECK(nm[a] > 0 && nm[a] < 1e9, EXA_ERR_FORMAT, "its attribute \"voxel_size_nm\" has %g", nm[a]);
    return EXA_OK;
}

exa_status exa_synapse_hdf5_open(const char *path, const exa_synapse_options *options, exa_synapse_reader *out) {
    exa_synapse_units units = EXA_SYNAPSE_UNITS_UNSAID;
    reader *r;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *r, "a table of synapses", &r));
    *out = (exa_synapse_reader){.next = NULL};
    st = begin(r, path, options, &units);
    if (st == EXA_OK) st = find_voxel_size(r, units, out->voxel_size_nm);
    if (st != EXA_OK) {
        close_reader(r);
        return exa_error_context(st, "%s", path);
    }
    out->next = next;
    out->close = close_reader;
    out->state = r;
    out->points = r->points;
    out->units = units;
    return EXA_OK;
}
