/* Embeddings as a table of columns and as CSV files, "SEGMENT.csv" with rows node_id,x,y,z,e0,..., as SegCLR's
 * public releases have them (positions in nm).
 */
#include "embedding_internal.h"

#include "exaconn/column_file.h"
#include "exaconn/comm.h"
#include "exaconn/file.h"
#include "exaconn/json.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---------------------------------------------------------------------------------- */

static exa_status put_attributes(exa_column_file *f, const exa_embedding_options *o, const exa_segclr_model *m,
                                 const exa_segclr_classifier *c, const double voxel_nm[3],
                                 const exa_coord offset[3]) {
    double patch[3], offset_vx[3];

    for (int a = 0; a < 3; a++) patch[a] = (double)m->patch[a];
    for (int a = 0; a < 3; a++) offset_vx[a] = (double)offset[a];
    EXA_TRY(exa_column_file_put_text(f, "image", o->image));
    EXA_TRY(exa_column_file_put_text(f, "segmentation", o->segmentation));
    EXA_TRY(exa_column_file_put_reals(f, "voxel_size_nm_zyx", voxel_nm, 3));
    EXA_TRY(exa_column_file_put_reals(f, "offset_zyx_vx", offset_vx, 3));
    EXA_TRY(exa_column_file_put_text(f, "network", m->source));
    EXA_TRY(exa_column_file_put_text(f, "network_sha256", m->weights_sha256));
    EXA_TRY(exa_column_file_put_text(f, "network_variant", exa_segclr_variant_name(m->geometry.variant)));
    EXA_TRY(exa_column_file_put_reals(f, "network_voxel_size_nm_zyx", m->resolution_nm, 3));
    EXA_TRY(exa_column_file_put_reals(f, "patch_zyx", patch, 3));
    EXA_TRY(exa_column_file_put_reals(f, "spacing_nm", &o->spacing_nm, 1));
    EXA_TRY(exa_column_file_put_reals(f, "mean_radius_nm", &o->aggregate_nm, 1));
    EXA_TRY(exa_column_file_put_text(f, "mean_distance", o->distance == EXA_EMBEDDING_PATH ? "path" : "euclidean"));
    if (!c) return EXA_OK;
    EXA_TRY(exa_column_file_put_text(f, "classifier", exa_segclr_classifier_source(c)));
    return exa_column_file_put_text(f, "class_names", exa_segclr_classifier_names(c));
}

static exa_status put_counts(exa_column_file *f, const exa_embedding_facts *facts) {
    EXA_TRY(exa_column_file_put_integer(f, "segments", facts->segments));
    EXA_TRY(exa_column_file_put_integer(f, "segments_small", facts->small_segments));
    return exa_column_file_put_integer(f, "segments_vanished", facts->vanished);
}

static exa_status put_numbers(exa_column_file *f, const exa_embedding_rows *r) {
    size_t n = r->count;
    double *length = NULL, *radius = NULL;
    int64_t *parent = NULL;
    exa_status st;

    EXA_GOTO(done, exa_calloc(n, sizeof *length, "a column", &length));
    EXA_GOTO(done, exa_calloc(n, sizeof *radius, "a column", &radius));
    EXA_GOTO(done, exa_calloc(n, sizeof *parent, "a column", &parent));
done:
    EXA_TRY(exa_comm_agree(st));
    for (size_t i = 0; i < n; i++) {
        parent[i] = r->node[i].parent;
        length[i] = r->node[i].length_nm;
        radius[i] = r->node[i].radius_nm;
    }
    EXA_GOTO(written, exa_column_file_write(f, "segment", EXA_COLUMN_U64, 1, r->segment, n));
    EXA_GOTO(written, exa_column_file_write(f, "node", EXA_COLUMN_U64, 1, r->number, n));
    EXA_GOTO(written, exa_column_file_write(f, "parent", EXA_COLUMN_I64, 1, parent, n));
    EXA_GOTO(written, exa_column_file_write(f, "position_zyx_nm", EXA_COLUMN_F64, 3, r->position_nm, n));
    EXA_GOTO(written, exa_column_file_write(f, "length_nm", EXA_COLUMN_F64, 1, length, n));
    EXA_GOTO(written, exa_column_file_write(f, "radius_nm", EXA_COLUMN_F64, 1, radius, n));
    EXA_GOTO(written, exa_column_file_write(f, "outside", EXA_COLUMN_F64, 1, r->outside, n));
    EXA_GOTO(written, exa_column_file_write(f, "embedding", EXA_COLUMN_F32, r->floats, r->embedding, n));
    EXA_GOTO(written, exa_column_file_write(f, "mean", EXA_COLUMN_F32, r->floats, r->mean, n));
    EXA_GOTO(written, exa_column_file_write(f, "averaged", EXA_COLUMN_U64, 1, r->averaged, n));
written:
    free(length);
    free(radius);
    free(parent);
    return st;
}

static exa_status put_classes(exa_column_file *f, const exa_segclr_classifier *c, const exa_embedding_rows *r) {
    uint64_t *class = NULL;
    double *uncertainty = NULL, *variance = NULL;
    exa_status st;

    if (!c) return EXA_OK;
    EXA_GOTO(done, exa_calloc(r->count, sizeof *class, "a column", &class));
    EXA_GOTO(done, exa_calloc(r->count, sizeof *uncertainty, "a column", &uncertainty));
    EXA_GOTO(done, exa_calloc(r->count, sizeof *variance, "a column", &variance));
    for (size_t i = 0; i < r->count; i++) {
        class[i] = (uint64_t)r->prediction[i].best;
        uncertainty[i] = r->prediction[i].uncertainty;
        variance[i] = r->prediction[i].variance;
    }
done:
    st = exa_comm_agree(st);
    if (st == EXA_OK) st = exa_column_file_write(f, "class", EXA_COLUMN_U64, 1, class, r->count);
    if (st == EXA_OK)
        st = exa_column_file_write(f, "probability", EXA_COLUMN_F32, exa_segclr_classifier_classes(c),
                                   r->probability, r->count);
    if (st == EXA_OK) st = exa_column_file_write(f, "uncertainty", EXA_COLUMN_F64, 1, uncertainty, r->count);
    if (st == EXA_OK) st = exa_column_file_write(f, "variance", EXA_COLUMN_F64, 1, variance, r->count);
    free(class);
    free(uncertainty);
    free(variance);
    return st;
}

/* ---- CSV ---------------------------------------------------------------------------------------- */

static exa_status write_segment(const char *folder, const exa_embedding_rows *r, const exa_embedding_segment *s) {
    exa_json_text t = {0}; /* text that grows, whatever its syntax */
    char name[64], path[EXA_PATH_BYTES], *text = NULL;

    for (size_t i = s->first; i < s->first + s->nodes; i++) {
        const double *p = r->position_nm + 3 * i;
        exa_json_text_add(&t, "%" PRIu64 ",%.9g,%.9g,%.9g", r->number[i], p[2], p[1], p[0]);
        for (int k = 0; k < r->floats; k++)
            exa_json_text_add(&t, ",%.9g", (double)r->embedding[i * (size_t)r->floats + (size_t)k]);
        exa_json_text_add(&t, "\n");
    }
    EXA_TRY(exa_json_text_take(&t, &text));
    snprintf(name, sizeof name, "%" PRIu64 ".csv", s->id);
    exa_status st = exa_path_join(path, folder, name);
    if (st == EXA_OK) st = exa_file_write_atomic(path, text, strlen(text));
    free(text);
    return st;
}

static exa_status prepare_csv(const exa_embedding_options *o) {
    EXA_TRY(exa_file_make_directories(o->csv));
    return o->replace ? exa_embedding_remove_csv(o->csv) : EXA_OK;
}

static exa_status write_csv(const exa_embedding_options *o, const exa_embedding_rows *r) {
    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? prepare_csv(o) : EXA_OK));
    exa_status st = EXA_OK;
    for (size_t i = 0; i < r->segment_count && st == EXA_OK; i++) st = write_segment(o->csv, r, &r->segments[i]);
    return exa_comm_agree(st);
}

/* ---- beforehand --------------------------------------------------------------------------------- */

exa_status exa_embedding_try_output(const exa_embedding_options *o) {
    exa_column_file *f = NULL;

    EXA_TRY(exa_comm_agree(o->csv && exa_comm_rank() == 0 ? exa_embedding_try_csv(o->csv, o->replace) : EXA_OK));
    EXA_TRY(exa_column_file_create(o->output, EXA_EMBEDDING_FORMAT, &f));
    exa_column_file_close(&f); /* not committed: it goes */
    return EXA_OK;
}

/* ---- all of it ---------------------------------------------------------------------------------- */

exa_status exa_embedding_write(const exa_embedding_options *o, const exa_segclr_model *m,
                               const exa_segclr_classifier *c, const double voxel_nm[3], const exa_coord offset[3],
                               const exa_embedding_facts *facts, const exa_embedding_rows *rows) {
    exa_column_file *f = NULL;
    exa_status st;

    EXA_TRY(exa_column_file_create(o->output, EXA_EMBEDDING_FORMAT, &f));
    EXA_GOTO(done, put_attributes(f, o, m, c, voxel_nm, offset));
    EXA_GOTO(done, put_counts(f, facts));
    EXA_GOTO(done, put_numbers(f, rows));
    EXA_GOTO(done, put_classes(f, c, rows));
    if (o->csv) EXA_GOTO(done, write_csv(o, rows));
    EXA_GOTO(done, exa_column_file_commit(f)); /* last: the table is the mark that all is there */
done:
    exa_column_file_close(&f);
    return st;
}
