/* The files of a connectome, by all ranks: tables as text, columns as HDF5, the graph for other programs. */
#include "connectome_internal.h"

#include "exaconn/clock.h"
#include "exaconn/column_file.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/reduce.h"
#include "exaconn/table.h"
#include "exaconn/version.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

typedef void print_rows(const exa_connectome_work *w, FILE *f);

static double area_of(const exa_connectome_work *w, const uint64_t faces[3]) {
    return exa_contact_area(faces, w->voxel_nm);
}

static exa_status path_of(const exa_connectome_work *w, const char *name, char path[EXA_PATH_BYTES]) {
    return exa_path_join(path, w->o->folder, name);
}

static exa_status write_table(const exa_connectome_work *w, const char *name, const char *header,
                              print_rows *print) {
    char path[EXA_PATH_BYTES];
    exa_table *table = NULL;
    exa_status st;

    EXA_TRY(exa_comm_agree(path_of(w, name, path)));
    EXA_TRY(exa_table_create(path, header, &table));
    print(w, exa_table_rows(table));
    st = exa_table_commit(table);
    exa_table_close(&table);
    return st;
}

/* ---- segments and contacts ----------------------------------------------------------------------------------- */

static void print_segments(const exa_connectome_work *w, FILE *f) {
    const exa_segment *list = w->segments.list;

    for (size_t i = 0; i < w->segments.count; i++) {
        fprintf(f, "%" PRIu64 ",", list[i].id);
        exa_segment_print(f, &list[i]);
        fputc('\n', f);
    }
}

static void print_contact(const exa_connectome_work *w, FILE *f, exa_segid a, exa_segid b,
                          const uint64_t faces[3]) {
    fprintf(f, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.15g", a, b, faces[0], faces[1],
            faces[2], area_of(w, faces));
}

/* Those of the connection from pre to post, if it was kept. */
static uint64_t kept_synapses(const exa_connectome_work *w, const exa_pair *p, exa_segid pre, exa_segid post,
                              uint64_t synapses) {
    exa_connection c = {.pre = pre, .post = post, .synapses = synapses};

    memcpy(c.faces, p->faces, sizeof c.faces);
    return exa_connectome_keeps(w, &c) ? synapses : 0;
}

static void print_contacts(const exa_connectome_work *w, FILE *f) {
    const exa_pair *list = w->pairs.list;

    for (size_t i = 0; i < w->pairs.count; i++) {
        const exa_pair *p = &list[i];
        if (p->faces[0] + p->faces[1] + p->faces[2] == 0) continue;
        print_contact(w, f, p->a, p->b, p->faces);
        if (!w->o->no_sites) fprintf(f, ",%" PRIu64, p->sites);
        if (w->o->synapses)
            fprintf(f, ",%" PRIu64 ",%" PRIu64, kept_synapses(w, p, p->a, p->b, p->forward),
                    kept_synapses(w, p, p->b, p->a, p->backward));
        fputc('\n', f);
    }
}

static exa_status write_contacts(const exa_connectome_work *w) {
    char header[256];

    snprintf(header, sizeof header, "a,b,faces_z,faces_y,faces_x,area_nm2%s%s", w->o->no_sites ? "" : ",sites",
             w->o->synapses ? ",synapses_ab,synapses_ba" : "");
    return write_table(w, "contacts.csv", header, print_contacts);
}

/* ---- sites --------------------------------------------------------------------------------------------------- */

static int owner_of_site(const void *record, const void *shares) {
    return exa_shares_owner(shares, &((const exa_contact_site *)record)->a, 2);
}

/* To where their pairs are, so that the sites of one pair follow each other. */
static exa_status sort_sites(exa_connectome_work *w) {
    const exa_pair *pairs = w->pairs.list;
    exa_shares shares;
    exa_status st;

    EXA_TRY(exa_shares_make(w->pairs.count ? &pairs->a : NULL, 2, &shares));
    st = exa_records_send(&w->sites, sizeof(exa_contact_site), owner_of_site, &shares);
    if (st == EXA_OK && w->sites.count)
        qsort(w->sites.list, w->sites.count, sizeof(exa_contact_site), exa_contact_site_order);
    exa_shares_free(&shares);
    return st;
}

static void print_center(FILE *f, const exa_contact_site *s) {
    const unsigned __int128 twice = 2 * (unsigned __int128)(s->faces[0] + s->faces[1] + s->faces[2]);

    for (int a = 0; a < 3; a++) {
        unsigned __int128 sum = (unsigned __int128)s->sum[a][1] << 64 | s->sum[a][0];
        uint64_t hundredths = (uint64_t)(sum * 100 / twice);
        fprintf(f, ",%" PRIu64 ".%02" PRIu64, hundredths / 100, hundredths % 100);
    }
}

/* Those of at least this area; numbered within their pair, by their first faces. */
static void print_sites_from(const exa_connectome_work *w, FILE *f, double least) {
    const exa_contact_site *list = w->sites.list;
    uint64_t number = 0;

    for (size_t i = 0; i < w->sites.count; i++) {
        number = i > 0 && list[i].a == list[i - 1].a && list[i].b == list[i - 1].b ? number + 1 : 1;
        if (area_of(w, list[i].faces) < least) continue;
        print_contact(w, f, list[i].a, list[i].b, list[i].faces);
        fprintf(f, ",%" PRIu64, number);
        print_center(f, &list[i]);
        fputc('\n', f);
    }
}

static void print_sites(const exa_connectome_work *w, FILE *f) {
    print_sites_from(w, f, 0);
}

static void print_candidates(const exa_connectome_work *w, FILE *f) {
    print_sites_from(w, f, w->o->candidate_area_nm2);
}

#define SITES_HEADER "a,b,faces_z,faces_y,faces_x,area_nm2,site,z_vx,y_vx,x_vx"

static exa_status write_segmentation_tables(exa_connectome_work *w) {
    EXA_TRY(write_table(w, "segments.csv", "id," EXA_SEGMENT_COLUMNS, print_segments));
    EXA_TRY(write_contacts(w));
    if (w->o->no_sites) return EXA_OK;
    EXA_TRY(sort_sites(w));
    EXA_TRY(write_table(w, "contact_sites.csv", SITES_HEADER, print_sites));
    if (w->o->candidate_area_nm2 < 0) return EXA_OK;
    return write_table(w, "synapse_candidates.csv", SITES_HEADER, print_candidates);
}

/* ---- neurons ------------------------------------------------------------------------------------------------- */

static void print_neurons(const exa_connectome_work *w, FILE *f) {
    const exa_neuron *list = w->neurons.list;

    for (size_t i = 0; i < w->neurons.count; i++) {
        const exa_neuron *n = &list[i];
        fprintf(f, "%" PRIu64, n->id);
        if (w->volume) fprintf(f, ",%" PRIu64 ",%" PRIu64 ",%.15g", n->voxels, n->contacts, area_of(w, n->faces));
        if (w->volume && !w->o->no_sites) fprintf(f, ",%" PRIu64, n->sites);
        if (w->o->synapses)
            fprintf(f, ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, n->synapses_in, n->synapses_out,
                    n->partners_in, n->partners_out);
        fputc('\n', f);
    }
}

static exa_status write_neurons(const exa_connectome_work *w) {
    char header[256];

    snprintf(header, sizeof header, "id%s%s%s", w->volume ? ",voxels,contacts,contact_area_nm2" : "",
             w->volume && !w->o->no_sites ? ",contact_sites" : "",
             w->o->synapses ? ",synapses_in,synapses_out,partners_in,partners_out" : "");
    return write_table(w, "neurons.csv", header, print_neurons);
}

/* ---- synapses ------------------------------------------------------------------------------------------------ */

static void print_rejected(const exa_connectome_work *w, FILE *f) {
    const exa_synapse *list = w->synapses.list;

    for (size_t i = 0; i < w->synapses.count; i++) {
        const exa_synapse *s = &list[i];
        const exa_synapse_state state = exa_synapse_judge(s, w->o->autapses);
        if (state == EXA_SYNAPSE_ACCEPTED) continue;
        fprintf(f, "%" PRIu64 ",%s,%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64, s->line,
                exa_synapse_state_names[state], s->table_pre, s->table_post, s->pre, s->post);
        for (int a = 0; a < 3; a++) fprintf(f, ",%lld", (long long)s->pre_at[a]);
        for (int a = 0; a < 3; a++) fprintf(f, ",%lld", (long long)s->post_at[a]);
        fputc('\n', f);
    }
}

/* The accepted ones as columns. */
typedef struct columns {
    size_t n;
    uint64_t *pre, *post, *synapses, *line, *kind; /* owned */
    double (*pre_at)[3], (*post_at)[3];            /* owned */
} columns;

static void free_columns(columns *c) {
    free(c->pre);
    free(c->post);
    free(c->synapses);
    free(c->line);
    free(c->kind);
    free(c->pre_at);
    free(c->post_at);
}

static exa_status fill_columns(const exa_connectome_work *w, columns *c) {
    const exa_synapse *list = w->synapses.list;
    const size_t most = w->synapses.count;

    EXA_TRY(exa_alloc(most, sizeof *c->pre, "synapses", &c->pre));
    EXA_TRY(exa_alloc(most, sizeof *c->post, "synapses", &c->post));
    EXA_TRY(exa_alloc(most, sizeof *c->synapses, "synapses", &c->synapses));
    EXA_TRY(exa_alloc(most, sizeof *c->line, "synapses", &c->line));
    EXA_TRY(exa_alloc(most, sizeof *c->kind, "synapses", &c->kind));
    EXA_TRY(exa_alloc(most, sizeof *c->pre_at, "synapses", &c->pre_at));
    EXA_TRY(exa_alloc(most, sizeof *c->post_at, "synapses", &c->post_at));
    for (size_t i = 0; i < most; i++) {
        if (exa_synapse_judge(&list[i], w->o->autapses) != EXA_SYNAPSE_ACCEPTED) continue;
        c->pre[c->n] = list[i].pre;
        c->post[c->n] = list[i].post;
        c->synapses[c->n] = list[i].synapses;
        c->line[c->n] = list[i].line;
        c->kind[c->n] = list[i].kind;
        for (int a = 0; a < 3; a++) {
            c->pre_at[c->n][a] = (double)list[i].pre_at[a];
            c->post_at[c->n][a] = (double)list[i].post_at[a];
        }
        c->n++;
    }
    return EXA_OK;
}

/* Positions are voxels of the segmentation; without one, in the table's units, rounded down. */
static exa_status put_synapses(const exa_connectome_work *w, exa_column_file *f, const columns *c,
                               uint64_t points) {
    const bool nm = !w->volume && w->table_nm;
    const double *voxel_nm = w->volume ? w->voxel_nm : w->table_voxel_nm;

    EXA_TRY(exa_column_file_put_text(f, "made_by", exa_version_line()));
    EXA_TRY(exa_column_file_put_text(f, "table", w->o->synapses));
    if (points) EXA_TRY(exa_column_file_put_text(f, "units", nm ? "nm" : "voxels"));
    if (points && !nm && voxel_nm[0] > 0) EXA_TRY(exa_column_file_put_reals(f, "voxel_size_nm", voxel_nm, 3));
    EXA_TRY(exa_column_file_write(f, "pre_id", EXA_COLUMN_U64, 1, c->pre, c->n));
    EXA_TRY(exa_column_file_write(f, "post_id", EXA_COLUMN_U64, 1, c->post, c->n));
    EXA_TRY(exa_column_file_write(f, "synapses", EXA_COLUMN_U64, 1, c->synapses, c->n));
    EXA_TRY(exa_column_file_write(f, "line", EXA_COLUMN_U64, 1, c->line, c->n));
    EXA_TRY(exa_column_file_write(f, "kind", EXA_COLUMN_U64, 1, c->kind, c->n));
    if (!points) return EXA_OK;
    EXA_TRY(exa_column_file_write(f, "pre_zyx", EXA_COLUMN_F64, 3, c->pre_at, c->n));
    return exa_column_file_write(f, "post_zyx", EXA_COLUMN_F64, 3, c->post_at, c->n);
}

static exa_status write_synapse_file(const exa_connectome_work *w) {
    const exa_synapse *list = w->synapses.list;
    char path[EXA_PATH_BYTES];
    exa_column_file *f = NULL;
    uint64_t points = 0;
    columns c = {0};
    exa_status st = path_of(w, "synapses.h5", path);

    for (size_t i = 0; i < w->synapses.count; i++) points |= list[i].flags & EXA_SYNAPSE_POINTS;
    if (st == EXA_OK) st = fill_columns(w, &c);
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_max_all(&points));
    EXA_GOTO(done, exa_column_file_create(path, EXA_SYNAPSE_HDF5_FORMAT, &f));
    EXA_GOTO(done, put_synapses(w, f, &c, points));
    st = exa_column_file_commit(f);
done:
    exa_column_file_close(&f);
    free_columns(&c);
    return st;
}

/* ---- the graph ----------------------------------------------------------------------------------------------- */

static void print_connections(const exa_connectome_work *w, FILE *f) {
    const exa_connection *list = w->connections.list;

    for (size_t i = 0; i < w->connections.count; i++) {
        fprintf(f, "%" PRIu64 ",%" PRIu64 ",%" PRIu64, list[i].pre, list[i].post, list[i].synapses);
        if (w->volume) fprintf(f, ",%.15g", area_of(w, list[i].faces));
        fputc('\n', f);
    }
}

static void print_edges(const exa_connectome_work *w, FILE *f) {
    const exa_connection *list = w->connections.list;

    for (size_t i = 0; i < w->connections.count; i++)
        fprintf(f, "%" PRIu64 " %" PRIu64 " %" PRIu64 "\n", list[i].pre, list[i].post, list[i].synapses);
}

static void print_graphml_nodes(const exa_connectome_work *w, FILE *f) {
    const exa_neuron *list = w->neurons.list;

    for (size_t i = 0; i < w->neurons.count; i++) {
        if (!list[i].named) continue;
        fprintf(f, "<node id=\"%" PRIu64 "\">", list[i].id);
        if (w->volume) fprintf(f, "<data key=\"voxels\">%" PRIu64 "</data>", list[i].voxels);
        fputs("</node>\n", f);
    }
}

static void print_graphml_edges(const exa_connectome_work *w, FILE *f) {
    const exa_connection *list = w->connections.list;

    for (size_t i = 0; i < w->connections.count; i++) {
        fprintf(f, "<edge source=\"%" PRIu64 "\" target=\"%" PRIu64 "\"><data key=\"synapses\">%" PRIu64 "</data>",
                list[i].pre, list[i].post, list[i].synapses);
        if (w->volume) fprintf(f, "<data key=\"area_nm2\">%.15g</data>", area_of(w, list[i].faces));
        fputs("</edge>\n", f);
    }
}

#define GRAPHML_HEAD                                                                                               \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<graphml xmlns=\"http://graphml.graphdrawing.org/xmlns\">\n"      \
    "<key id=\"synapses\" for=\"edge\" attr.name=\"synapses\" attr.type=\"long\"/>\n"                              \
    "<key id=\"area_nm2\" for=\"edge\" attr.name=\"area_nm2\" attr.type=\"double\"/>\n"                            \
    "<key id=\"voxels\" for=\"node\" attr.name=\"voxels\" attr.type=\"long\"/>\n<graph edgedefault=\"directed\">"

static exa_status append_file(FILE *to, const char *path) {
    char block[1 << 16];
    FILE *from = fopen(path, "r");
    size_t n;

    EXA_CHECK(from, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    while ((n = fread(block, 1, sizeof block, from)) > 0) fwrite(block, 1, n, to);
    n = (size_t)ferror(from);
    fclose(from);
    EXA_CHECK(n == 0, EXA_ERR_IO, "cannot read '%s' back", path);
    remove(path);
    return EXA_OK;
}

/* All nodes come before all edges, whoever has them: two tables, which rank 0 puts one behind the other. */
static exa_status join_graphml(const exa_connectome_work *w, const char *const names[2]) {
    char path[EXA_PATH_BYTES], part[EXA_PATH_BYTES], temporary[EXA_PATH_BYTES];
    exa_status st = EXA_OK;
    bool wrong;
    FILE *to;

    EXA_TRY(path_of(w, "connectome.graphml", path));
    EXA_TRY(exa_file_temporary_name(temporary, path));
    to = fopen(temporary, "w");
    EXA_CHECK(to, EXA_ERR_IO, "cannot create '%s': %s", temporary, strerror(errno));
    for (int i = 0; st == EXA_OK && i < 2; i++) {
        st = path_of(w, names[i], part);
        if (st == EXA_OK) st = append_file(to, part);
    }
    fputs("</graph>\n</graphml>\n", to);
    wrong = ferror(to) != 0;
    wrong = fclose(to) != 0 || wrong;
    if (st == EXA_OK && wrong) st = EXA_FAIL(EXA_ERR_IO, "cannot write '%s': %s", temporary, strerror(errno));
    if (st == EXA_OK) return exa_file_commit(temporary, path);
    remove(temporary);
    return st;
}

static exa_status write_graphml(const exa_connectome_work *w) {
    static const char *const parts[2] = {"connectome.graphml.nodes", "connectome.graphml.edges"};

    EXA_TRY(write_table(w, parts[0], GRAPHML_HEAD, print_graphml_nodes));
    EXA_TRY(write_table(w, parts[1], "<!-- edges -->", print_graphml_edges));
    return exa_comm_agree(exa_comm_rank() == 0 ? join_graphml(w, parts) : EXA_OK);
}

/* ---- the matrix ---------------------------------------------------------------------------------------------- */

typedef struct matrix {
    size_t nodes, edges;               /* of this rank */
    uint64_t *ids, *begin;             /* owned; of its nodes: id, position of their first edge */
    uint64_t *post, *index, *synapses; /* owned; of its edges */
    double *area;                      /* owned */
} matrix;

static bool is_named(const exa_neuron *neuron) {
    return neuron->named != 0;
}

static void free_matrix(matrix *m) {
    free(m->ids);
    free(m->begin);
    free(m->post);
    free(m->index);
    free(m->synapses);
    free(m->area);
}

static exa_status allocate_matrix(const exa_connectome_work *w, matrix *m) {
    const size_t edges = w->connections.count, nodes = w->neurons.count + 1;

    EXA_TRY(exa_alloc(nodes, sizeof *m->ids, "the connection matrix", &m->ids));
    EXA_TRY(exa_alloc(nodes, sizeof *m->begin, "the connection matrix", &m->begin));
    EXA_TRY(exa_alloc(edges, sizeof *m->post, "the connection matrix", &m->post));
    EXA_TRY(exa_alloc(edges, sizeof *m->index, "the connection matrix", &m->index));
    EXA_TRY(exa_alloc(edges, sizeof *m->synapses, "the connection matrix", &m->synapses));
    return exa_alloc(edges, sizeof *m->area, "the connection matrix", &m->area);
}

/* Edges are sorted by pre, then post; a row begins where those of the nodes before end. */
static exa_status fill_matrix(const exa_connectome_work *w, matrix *m) {
    const exa_neuron *neuron = w->neurons.list;
    const exa_connection *c = w->connections.list;
    uint64_t mine = 0, before, total;

    for (size_t i = 0; i < w->neurons.count; i++) mine += neuron[i].partners_out;
    EXA_TRY(exa_sum_before(mine, &before, &total));
    for (size_t i = 0; i < w->neurons.count; i++) {
        if (!is_named(&neuron[i])) continue;
        m->ids[m->nodes] = neuron[i].id;
        m->begin[m->nodes++] = before;
        before += neuron[i].partners_out;
    }
    m->begin[m->nodes] = before; /* the end, of which the last rank writes its */
    m->edges = w->connections.count;
    for (size_t i = 0; i < m->edges; i++) {
        m->post[i] = c[i].post;
        m->synapses[i] = c[i].synapses;
        m->area[i] = area_of(w, c[i].faces);
    }
    return exa_neurons_find(w, is_named, m->post, m->edges, m->index);
}

static exa_status put_matrix(const exa_connectome_work *w, exa_column_file *f, const matrix *m) {
    const size_t last = exa_comm_rank() + 1 == exa_comm_size();

    EXA_TRY(exa_column_file_put_text(f, "made_by", exa_version_line()));
    EXA_TRY(exa_column_file_put_text(f, "node_set",
                                     "every id that an accepted synapse names, also without a connection kept"));
    EXA_TRY(exa_column_file_put_integer(f, "min_synapses", w->o->min_synapses));
    EXA_TRY(exa_column_file_put_integer(f, "autapses", w->o->autapses));
    if (w->volume) EXA_TRY(exa_column_file_put_reals(f, "voxel_size_nm", w->voxel_nm, 3));
    EXA_TRY(exa_column_file_write(f, "ids", EXA_COLUMN_U64, 1, m->ids, m->nodes));
    EXA_TRY(exa_column_file_write(f, "indptr", EXA_COLUMN_U64, 1, m->begin, m->nodes + last));
    EXA_TRY(exa_column_file_write(f, "indices", EXA_COLUMN_U64, 1, m->index, m->edges));
    EXA_TRY(exa_column_file_write(f, "synapses", EXA_COLUMN_U64, 1, m->synapses, m->edges));
    if (!w->volume) return EXA_OK;
    return exa_column_file_write(f, "area_nm2", EXA_COLUMN_F64, 1, m->area, m->edges);
}

static exa_status write_matrix(const exa_connectome_work *w) {
    char path[EXA_PATH_BYTES];
    exa_column_file *f = NULL;
    matrix m = {0};
    exa_status st = path_of(w, "connectome.h5", path);

    if (st == EXA_OK) st = allocate_matrix(w, &m);
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, fill_matrix(w, &m));
    EXA_GOTO(done, exa_column_file_create(path, "exaconn connectome", &f));
    EXA_GOTO(done, put_matrix(w, f, &m));
    st = exa_column_file_commit(f);
done:
    exa_column_file_close(&f);
    free_matrix(&m);
    return st;
}

static exa_status write_connections(const exa_connectome_work *w) {
    EXA_TRY(write_synapse_file(w));
    EXA_TRY(
        write_table(w, "rejected.csv",
                    "line,reason,table_pre_id,table_post_id,pre_id,post_id,pre_z,pre_y,pre_x,post_z,post_y,post_x",
                    print_rejected));
    EXA_TRY(write_table(w, "connections.csv", w->volume ? "pre,post,synapses,area_nm2" : "pre,post,synapses",
                        print_connections));
    EXA_TRY(write_table(w, "connections.txt", "# pre post synapses", print_edges));
    EXA_TRY(write_graphml(w));
    return write_matrix(w);
}

/* ---- the summary --------------------------------------------------------------------------------------------- */

enum { SEGMENTS, VOXELS, CONTACTS, FACES_Z, FACES_Y, FACES_X, SITES, NODES, CONNECTIONS, SUMS };

static exa_status sum_up(const exa_connectome_work *w, uint64_t sums[SUMS]) {
    const exa_segment *segment = w->segments.list;
    const exa_pair *pair = w->pairs.list;
    const exa_neuron *neuron = w->neurons.list;

    memset(sums, 0, SUMS * sizeof *sums);
    sums[SEGMENTS] = w->segments.count;
    sums[SITES] = w->sites.count;
    sums[CONNECTIONS] = w->connections.count;
    for (size_t i = 0; i < w->segments.count; i++) sums[VOXELS] += segment[i].voxels;
    for (size_t i = 0; i < w->neurons.count; i++) sums[NODES] += is_named(&neuron[i]);
    for (size_t i = 0; i < w->pairs.count; i++) {
        sums[CONTACTS] += pair[i].faces[0] + pair[i].faces[1] + pair[i].faces[2] > 0;
        for (int a = 0; a < 3; a++) sums[FACES_Z + a] += pair[i].faces[a];
    }
    return exa_sum_all(sums, SUMS);
}

static void summarise_segmentation(const exa_connectome_work *w, const uint64_t *sums, exa_json_text *t) {
    exa_json_text_add(t, ",\n  \"segmentation\": ");
    exa_json_text_add_string(t, w->o->segmentation);
    exa_json_text_add(t, ",\n  \"box_start\": [%lld, %lld, %lld],\n  \"box_shape\": [%lld, %lld, %lld]",
                      (long long)w->box.start[0], (long long)w->box.start[1], (long long)w->box.start[2],
                      (long long)w->box.shape[0], (long long)w->box.shape[1], (long long)w->box.shape[2]);
    exa_json_text_add(t, ",\n  \"voxel_size_nm\": [");
    for (int a = 0; a < 3; a++) {
        exa_json_text_add_real(t, w->voxel_nm[a]);
        exa_json_text_add(t, a < 2 ? ", " : "]");
    }
    exa_json_text_add(
        t, ",\n  \"segments\": %" PRIu64 ",\n  \"labelled_voxels\": %" PRIu64 ",\n  \"contacts\": %" PRIu64,
        sums[SEGMENTS], sums[VOXELS], sums[CONTACTS]);
    exa_json_text_add(t, ",\n  \"faces\": [%" PRIu64 ", %" PRIu64 ", %" PRIu64 "],\n  \"contact_area_nm2\": ",
                      sums[FACES_Z], sums[FACES_Y], sums[FACES_X]);
    exa_json_text_add_real(t, area_of(w, sums + FACES_Z));
    if (!w->o->no_sites)
        exa_json_text_add(t,
                          ",\n  \"contact_sites\": %" PRIu64
                          ",\n  \"site_connectivity\": \"faces of one pair that share a corner\"",
                          sums[SITES]);
}

static void summarise_synapses(const exa_connectome_work *w, const uint64_t *sums, exa_json_text *t) {
    exa_json_text_add(t, ",\n  \"synapse_table\": ");
    exa_json_text_add_string(t, w->o->synapses);
    exa_json_text_add(t, ",\n  \"rows\": %" PRIu64 ",\n  \"rows_by_outcome\": {", w->rows);
    for (int s = 0; s < EXA_SYNAPSE_STATES; s++)
        exa_json_text_add(t, "%s\"%s\": %" PRIu64, s ? ", " : "", exa_synapse_state_names[s], w->states[s]);
    exa_json_text_add(t, "},\n  \"rows_with_other_ids_than_the_segmentation\": %" PRIu64, w->differing);
    exa_json_text_add(t, ",\n  \"min_synapses\": %" PRIu64 ",\n  \"autapses\": %s", w->o->min_synapses,
                      w->o->autapses ? "true" : "false");
    exa_json_text_add(t,
                      ",\n  \"node_set\": \"every id that an accepted synapse names\",\n  \"nodes\": %" PRIu64
                      ",\n  \"connections\": %" PRIu64 ",\n  \"synapses\": %" PRIu64,
                      sums[NODES], sums[CONNECTIONS], w->synapse_count);
}

static exa_status write_summary(const exa_connectome_work *w, const uint64_t *sums) {
    char path[EXA_PATH_BYTES], *text = NULL;
    exa_json_text t = {0};
    exa_status st;

    exa_json_text_add(&t, "{\n  \"made_by\": ");
    exa_json_text_add_string(&t, exa_version_line());
    if (w->volume) summarise_segmentation(w, sums, &t);
    if (w->o->synapses) summarise_synapses(w, sums, &t);
    exa_json_text_add(&t, "\n}\n");
    EXA_TRY(exa_json_text_take(&t, &text));
    st = path_of(w, "summary.json", path);
    if (st == EXA_OK) st = exa_file_write_atomic(path, text, strlen(text));
    free(text);
    return st;
}

enum { SITES_OF_AN_IMAGE = 1000 /* of each grey value, far more than of any segment among 255 */ };

static void say(const exa_connectome_work *w, const uint64_t *sums) {
    if (w->bytes && sums[SITES] / SITES_OF_AN_IMAGE > sums[SEGMENTS])
        EXA_WARN("%" PRIu64 " contact sites of %" PRIu64
                 " labels of 8 bits: is '%s' an image, and not a segmentation?",
                 sums[SITES], sums[SEGMENTS], w->o->segmentation);
    if (w->volume)
        EXA_INFO("%" PRIu64 " segments, %" PRIu64 " contacts with %" PRIu64 " faces and %.6g um^2; %" PRIu64
                 " sites",
                 sums[SEGMENTS], sums[CONTACTS], sums[FACES_Z] + sums[FACES_Y] + sums[FACES_X],
                 area_of(w, sums + FACES_Z) * 1e-6, sums[SITES]);
    if (w->o->synapses)
        EXA_INFO("%" PRIu64 " synapses in %" PRIu64 " connections of %" PRIu64
                 " neurons (those that synapses name)",
                 w->synapse_count, sums[CONNECTIONS], sums[NODES]);
}

exa_status exa_connectome_write(exa_connectome_work *w) {
    uint64_t sums[SUMS];

    if (w->volume) EXA_TRY(write_segmentation_tables(w));
    EXA_TRY(write_neurons(w));
    if (w->o->synapses) EXA_TRY(write_connections(w));
    EXA_TRY(sum_up(w, sums));
    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? write_summary(w, sums) : EXA_OK));
    say(w, sums);
    /* The folder is whole, whatever becomes of its journals. */
    if (exa_comm_rank() == 0 && exa_connectome_clear_journals(w) != EXA_OK)
        EXA_WARN("%s", exa_error_last()->message);
    return EXA_OK;
}
