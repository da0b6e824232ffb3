/* Rows go into a list of edges by provisional numbers; at the end names are sorted, so that nothing that follows
 * depends on the order of rows. */
#include "exaconn/edge_list.h"

#include "exaconn/box.h"
#include "exaconn/cpu.h"
#include "exaconn/delimited.h"
#include "exaconn/file.h"

#include "edge_list_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { MAX_ID_BYTES = 200 };

typedef struct reader {
    const exa_edge_list_options *options;
    exa_edge_list *list;
    exa_graph_edge *edges; /* owned; of the file at work */
    size_t count, room;
    exa_graph_edge *all; /* owned; one edge for each connection of the files before */
    size_t all_count, all_room;
    double *self; /* owned; [self_room] weight of each node's connection to itself, by provisional number */
    size_t self_room;
    int pre, post, weight, where, share[EXA_EDGE_LIST_MAX_SHARES];
    const char *const *paths; /* of the edge lists, of which a matrix says how large its voxels are */
    int path_count;
    bool fixed_nodes;
} reader;

/* ---- columns ------------------------------------------------------------------------------------------------- */

static const char *const pre_names[] = {"pre",    "pre_root_id", "bodyId_pre", "pre_pt_root_id",
                                        "pre_id", "source",      NULL};
static const char *const post_names[] = {"post",    "post_root_id", "bodyId_post", "post_pt_root_id",
                                         "post_id", "target",       NULL};
static const char *const weight_names[] = {"weight", "synapses", "syn_count", "count", NULL};

static int first_known(const exa_delimited *d, const char *const *names) {
    for (; *names; names++) {
        int column = exa_delimited_column(d, *names);
        if (column >= 0) return column;
    }
    return -1;
}

static exa_status find_column(const exa_delimited *d, const char *wanted, const char *const *known,
                              const char *what, const char *option, int *column) {
    char all[400];

    *column = wanted ? exa_delimited_column(d, wanted) : first_known(d, known);
    EXA_CHECK(*column >= 0 || !wanted, EXA_ERR_FORMAT, "%s: there is no column '%s'; there are: %s", d->name,
              wanted, exa_delimited_columns(d, all, sizeof all));
    EXA_CHECK(
        *column >= 0, EXA_ERR_FORMAT,
        "%s: no column is known as %s; there are: %s. Hint: the first line names the columns; say which one it "
        "is with --%s NAME",
        d->name, what, exa_delimited_columns(d, all, sizeof all), option);
    return EXA_OK;
}

static exa_status find_weight(const exa_delimited *d, reader *r) {
    const char *wanted = r->options->weight;

    r->weight = -1;
    if (wanted && strcmp(wanted, "none") == 0) return EXA_OK;
    if (!wanted && d->columns == 2) return EXA_OK;
    return find_column(d, wanted, weight_names, "the weight of a connection", "weight", &r->weight);
}

static exa_status find_columns(const exa_delimited *d, reader *r) {
    const exa_edge_list_options *o = r->options;

    EXA_TRY(find_column(d, o->pre, pre_names, "the presynaptic neuron", "pre", &r->pre));
    EXA_TRY(find_column(d, o->post, post_names, "the postsynaptic neuron", "post", &r->post));
    EXA_CHECK(r->pre != r->post, EXA_ERR_CONFIG, "%s: column '%s' cannot be both pre and post", d->name,
              d->header[r->pre]);
    EXA_TRY(find_weight(d, r));
    r->where = -1;
    if (o->where_column) EXA_TRY(find_column(d, o->where_column, NULL, "", "where", &r->where));
    for (int i = 0; i < o->share_count; i++)
        EXA_TRY(find_column(d, o->shares[i], NULL, "", "shares", &r->share[i]));
    snprintf(r->list->columns, sizeof r->list->columns, "%.60s -> %.60s, weight %.60s", d->header[r->pre],
             d->header[r->post], r->weight >= 0 ? d->header[r->weight] : "1 a row");
    return EXA_OK;
}

/* ---- ids ----------------------------------------------------------------------------------------------------- */

/* Ids are names, so any integer is kept exactly; what a spreadsheet or a float column made of one is refused. */
static exa_status check_id(const exa_delimited *d, int column, const char **id) {
    const char *text = d->field[column];
    size_t digits = strspn(text, "0123456789"), length = strlen(text);
    char *end;

    EXA_CHECK(length > 0, EXA_ERR_FORMAT, "%s:%" PRIu64 ": column '%.60s' is empty", d->name, d->line,
              d->header[column]);
    EXA_CHECK(length <= MAX_ID_BYTES, EXA_ERR_FORMAT, "%s:%" PRIu64 ": an id of %zu bytes in column '%.60s'",
              d->name, d->line, length, d->header[column]);
    if (digits == length) {
        while (text[0] == '0' && text[1]) text++, length--;
        EXA_CHECK(length < 20 || (length == 20 && strcmp(text, "18446744073709551615") <= 0), EXA_ERR_FORMAT,
                  "%s:%" PRIu64 ": id %s does not fit 64 bits", d->name, d->line, text);
    } else if (digits > 0 || text[0] == '-' || text[0] == '.' || text[0] == '+') {
        strtod(text, &end);
        EXA_CHECK(*end != '\0' || end == text, EXA_ERR_FORMAT,
                  "%s:%" PRIu64
                  ": '%.60s' in column '%.60s' is no id but a number with a sign or a fraction. Hint: "
                  "was the table saved with ids as floating-point numbers? Their last digits are lost",
                  d->name, d->line, text, d->header[column]);
    }
    EXA_CHECK(strcasecmp(text, "nan") != 0, EXA_ERR_FORMAT, "%s:%" PRIu64 ": column '%.60s' is NaN", d->name,
              d->line, d->header[column]);
    *id = text;
    return EXA_OK;
}

/* *number is EXA_NAME_ABSENT for an id that is left out. */
static exa_status number_of(reader *r, const exa_delimited *d, int column, uint32_t *number) {
    exa_edge_list *list = r->list;
    const char *id;

    EXA_TRY(check_id(d, column, &id));
    if (!r->fixed_nodes) return exa_name_table_add(&list->names, id, number);
    *number = exa_name_table_find(&list->names, id);
    EXA_CHECK(*number != EXA_NAME_ABSENT || r->options->drop_unknown, EXA_ERR_FORMAT,
              "%s:%" PRIu64
              ": id %.60s is not in the table of nodes '%s'. Hint: --drop-unknown leaves such rows out "
              "and counts them",
              d->name, d->line, id, r->options->nodes);
    if (*number == EXA_NAME_ABSENT && !list->unknown_first[0])
        snprintf(list->unknown_first, sizeof list->unknown_first, "%.40s, line %" PRIu64, id, d->line);
    return EXA_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static exa_status weight_of(const reader *r, const exa_delimited *d, double *weight) {
    *weight = 1;
    if (r->weight < 0) return EXA_OK;
    EXA_TRY(exa_delimited_number(d, r->weight, weight));
    EXA_CHECK(*weight >= 0, EXA_ERR_FORMAT, "%s:%" PRIu64 ": the weight %s is negative", d->name, d->line,
              d->field[r->weight]);
    return EXA_OK;
}

static exa_status add_shares(reader *r, const exa_delimited *d) {
    for (int i = 0; i < r->options->share_count; i++) {
        double value;
        EXA_TRY(exa_delimited_number(d, r->share[i], &value));
        r->list->share_sum[i] += value;
    }
    return EXA_OK;
}

static exa_status add_self(reader *r, uint32_t node, double weight) {
    size_t had = r->self_room;

    if (node >= r->self_room) {
        EXA_TRY(exa_grow(&r->self, &r->self_room, sizeof *r->self, (size_t)node + 1, "self-connections"));
        memset(r->self + had, 0, (r->self_room - had) * sizeof *r->self);
    }
    r->list->counts.self += r->self[node] == 0;
    r->self[node] += weight;
    r->list->counts.self_weight += weight;
    return EXA_OK;
}

/* One row's connection, whatever it was read from. */
static exa_status add_connection(reader *r, uint32_t pre, uint32_t post, double weight) {
    if (weight == 0) {
        r->list->counts.zero++;
        return EXA_OK;
    }
    if (pre == post) return add_self(r, pre, weight);
    EXA_TRY(exa_grow(&r->edges, &r->room, sizeof *r->edges, r->count + 1, "edges"));
    r->edges[r->count++] = (exa_graph_edge){pre, post, weight};
    return EXA_OK;
}

static exa_status read_row(reader *r, const exa_delimited *d) {
    exa_edge_list_counts *c = &r->list->counts;
    exa_graph_edge e;

    c->rows++;
    if (r->where >= 0 && strcmp(d->field[r->where], r->options->where_value) != 0) {
        c->filtered++;
        return EXA_OK;
    }
    EXA_TRY(weight_of(r, d, &e.weight));
    EXA_TRY(number_of(r, d, r->pre, &e.pre));
    EXA_TRY(number_of(r, d, r->post, &e.post));
    if (e.pre == EXA_NAME_ABSENT || e.post == EXA_NAME_ABSENT) {
        c->unknown++;
        return EXA_OK;
    }
    EXA_TRY(add_shares(r, d));
    return add_connection(r, e.pre, e.post, e.weight);
}

/* ---- a file -------------------------------------------------------------------------------------------------- */

static exa_status keep_edge(reader *r, uint32_t pre, uint32_t post, double weight) {
    EXA_TRY(exa_grow(&r->all, &r->all_room, sizeof *r->all, r->all_count + 1, "edges"));
    r->all[r->all_count++] = (exa_graph_edge){pre, post, weight};
    return EXA_OK;
}

static double weight_between(const exa_graph *g, uint32_t pre, uint32_t post) {
    uint64_t i = exa_graph_find_edge(g, pre, post);
    return i < g->edges ? g->weight[i] : 0;
}

/* A row of an undirected table names a pair; one that the table has in both directions is one pair nevertheless. */
static exa_status keep_pair(reader *r, const exa_graph *g, uint32_t pre, uint32_t post, double weight,
                            bool *twice) {
    double back = weight_between(g, post, pre);

    if (back > 0 && pre > post) return EXA_OK; /* the other row did it */
    *twice |= back > 0;
    r->list->counts.one_sided += back == 0;
    r->list->counts.unequal += back > 0 && back != weight;
    EXA_TRY(keep_edge(r, pre, post, back > weight ? back : weight));
    return keep_edge(r, post, pre, back > weight ? back : weight);
}

/* The rows of a file become connections: one for each pair. */
static exa_status end_file(reader *r) {
    exa_graph g;
    exa_status st = EXA_OK;
    uint64_t one_sided = r->list->counts.one_sided;
    bool twice = false;

    EXA_TRY(exa_graph_build(r->list->names.count, r->edges, r->count, &g));
    r->list->counts.repeated += r->count - g.edges;
    for (uint32_t v = 0; v < g.nodes; v++) {
        for (uint64_t i = g.begin[v]; i < g.begin[v + 1]; i++) {
            EXA_GOTO(done, r->options->undirected ? keep_pair(r, &g, v, g.target[i], g.weight[i], &twice)
                                                  : keep_edge(r, v, g.target[i], g.weight[i]));
        }
    }
    if (!twice) r->list->counts.one_sided = one_sided; /* the table has each pair once: nothing is missing */
    r->count = 0;
    r->list->counts.files++;
done:
    exa_graph_destroy(&g);
    return st;
}

static exa_status read_text(reader *r, const char *name, char *text, size_t size) {
    exa_delimited d;
    bool more;

    EXA_TRY(exa_delimited_begin(&d, name, text, size));
    EXA_TRY(find_columns(&d, r));
    for (;;) {
        EXA_TRY(exa_delimited_next(&d, &more));
        if (!more) return end_file(r);
        EXA_TRY(read_row(r, &d));
    }
}

/* ---- a matrix of exaconn connectome -------------------------------------------------------------------------- */

/* A neuron of the matrix: its id as a name. All are nodes, also those without a connection. */
static exa_status matrix_node(void *context, uint64_t id, uint32_t *number) {
    reader *r = context;
    char name[24];

    snprintf(name, sizeof name, "%" PRIu64, id);
    if (!r->fixed_nodes) return exa_name_table_add(&r->list->names, name, number);
    *number = exa_name_table_find(&r->list->names, name);
    EXA_CHECK(*number != EXA_NAME_ABSENT || r->options->drop_unknown, EXA_ERR_FORMAT,
              "id %s of the matrix is not in the table of nodes '%s'. Hint: --drop-unknown leaves it out", name,
              r->options->nodes);
    return EXA_OK;
}

static exa_status matrix_connection(void *context, uint32_t pre, uint32_t post, double weight) {
    reader *r = context;

    r->list->counts.rows++;
    if (pre != EXA_NAME_ABSENT && post != EXA_NAME_ABSENT) return add_connection(r, pre, post, weight);
    r->list->counts.unknown++;
    return EXA_OK;
}

static exa_status read_matrix(reader *r, const char *path) {
    const exa_edge_list_options *o = r->options;
    const char *weight = o->weight ? o->weight : "synapses";

    EXA_CHECK(!o->pre && !o->post && !o->where_column && !o->share_count, EXA_ERR_CONFIG,
              "'%s' is a matrix: --pre, --post, --where and --shares are of text tables", path);
    EXA_TRY(exa_edge_list_matrix(path, weight, matrix_node, matrix_connection, r));
    snprintf(r->list->columns, sizeof r->list->columns, "rows -> indices, weight %.60s",
             strcmp(weight, "none") == 0 ? "1 each" : weight);
    return end_file(r);
}

/* ---- the table of nodes -------------------------------------------------------------------------------------- */

static const char *const id_names[] = {"id", "root_id", "bodyId", "pt_root_id", "neuron", "name", "segment", NULL};

static const char *const centroid_names[] = {"centroid_z", "centroid_y", "centroid_x"}; /* of segments.csv */

/* Columns x_nm, y_nm, z_nm, or x, y, z where the size of a voxel is given; axis[0] < 0 without any. */
static void find_positions(const exa_delimited *d, const double voxel_nm[3], int axis[3], double scale[3]) {
    static const char *const nm[] = {"z_nm", "y_nm", "x_nm"}, *const vx[] = {"z", "y", "x"};
    bool all = true;

    for (int a = 0; a < 3; a++) {
        axis[a] = exa_delimited_column(d, nm[a]);
        scale[a] = 1;
        if (axis[a] < 0 && voxel_nm[0] > 0) {
            axis[a] = exa_delimited_column(d, vx[a]);
            if (axis[a] < 0) axis[a] = exa_delimited_column(d, centroid_names[a]);
            scale[a] = voxel_nm[a];
        }
        all &= axis[a] >= 0;
    }
    if (!all) axis[0] = -1;
}

static bool same_size(const double a[3], const double b[3]) {
    for (int i = 0; i < 3; i++)
        if (fabs(a[i] - b[i]) > 1e-9 * b[i]) return false;
    return true;
}

/* The centres of segments.csv are in the voxels of its segmentation, whose size the matrix made of it says. Other
 * tables may count in voxels of their own. */
static exa_status find_voxel_size(const reader *r, const exa_delimited *d, double nm[3]) {
    const char *from = r->options->voxel_nm[0] > 0 ? "--voxel-size" : NULL;
    double own[3];
    bool found;

    memcpy(nm, r->options->voxel_nm, 3 * sizeof *nm);
    if (exa_delimited_column(d, centroid_names[0]) < 0) return EXA_OK;
    for (int i = 0; i < r->path_count; i++) {
        if (!exa_edge_list_is_matrix(r->paths[i])) continue;
        EXA_TRY(exa_edge_list_matrix_voxel(r->paths[i], own, &found));
        if (!found) continue;
        EXA_CHECK(!from || same_size(nm, own), EXA_ERR_CONFIG,
                  "the voxels of '%s' are %g,%g,%g nm (z,y,x), but %g,%g,%g by %s. Hint: without --voxel-size the "
                  "matrix decides",
                  r->paths[i], own[0], own[1], own[2], nm[0], nm[1], nm[2], from);
        from = r->paths[i];
        memcpy(nm, own, sizeof own);
    }
    return EXA_OK;
}

static exa_status read_node(reader *r, const exa_delimited *d, int id_column, const int axis[3],
                            const double scale[3], size_t *room) {
    exa_edge_list *list = r->list;
    uint32_t before = list->names.count, number;
    const char *id;

    EXA_TRY(check_id(d, id_column, &id));
    EXA_TRY(exa_name_table_add(&list->names, id, &number));
    EXA_CHECK(number == before, EXA_ERR_FORMAT, "%s:%" PRIu64 ": id %.60s stands in the table of nodes twice",
              d->name, d->line, id);
    if (axis[0] < 0) return EXA_OK;
    EXA_TRY(exa_grow(&list->position_nm, room, 3 * sizeof(double), (size_t)number + 1, "positions"));
    for (int a = 0; a < 3; a++) {
        EXA_TRY(exa_delimited_number(d, axis[a], &list->position_nm[3 * (size_t)number + a]));
        list->position_nm[3 * (size_t)number + a] *= scale[a];
    }
    return EXA_OK;
}

static exa_status parse_nodes(reader *r, const char *path, char *text, size_t size) {
    exa_delimited d;
    double voxel_nm[3];
    int id, axis[3];
    double scale[3];
    size_t room = 0;
    bool more;

    EXA_TRY(exa_delimited_begin(&d, path, text, size));
    EXA_TRY(find_column(&d, NULL, id_names, "a node's id", "nodes", &id));
    EXA_TRY(find_voxel_size(r, &d, voxel_nm));
    find_positions(&d, voxel_nm, axis, scale);
    EXA_CHECK(axis[0] >= 0 || voxel_nm[0] <= 0, EXA_ERR_FORMAT,
              "%s: the size of a voxel is given, but there are no columns x, y and z. Hint: of what exaconn "
              "connectome writes, segments.csv has positions",
              path);
    for (;;) {
        EXA_TRY(exa_delimited_next(&d, &more));
        if (!more) break;
        EXA_TRY(read_node(r, &d, id, axis, scale, &room));
    }
    EXA_CHECK(r->list->names.count > 0, EXA_ERR_FORMAT, "%s: the table of nodes has no row", path);
    r->fixed_nodes = true;
    return EXA_OK;
}

static exa_status read_file(const char *path, char **text, size_t *size) {
    return exa_file_read_all(path, (size_t)(exa_cpu_memory_bytes() / 3), text, size);
}

static exa_status read_nodes(reader *r) {
    char *text = NULL;
    size_t size;
    exa_status st;

    if (!r->options->nodes) return EXA_OK;
    EXA_TRY(read_file(r->options->nodes, &text, &size));
    st = parse_nodes(r, r->options->nodes, text, size);
    free(text);
    return st;
}

/* ---- the end ------------------------------------------------------------------------------------------------- */

static exa_status sort_nodes(reader *r) {
    exa_edge_list *list = r->list;
    uint32_t n = list->names.count, *number = NULL;
    double *moved = NULL;
    exa_status st;

    EXA_GOTO(done, exa_alloc(n, sizeof *number, "an order of nodes", &number));
    EXA_GOTO(done, exa_name_table_sort(&list->names, number));
    for (size_t i = 0; i < r->all_count; i++) {
        r->all[i].pre = number[r->all[i].pre];
        r->all[i].post = number[r->all[i].post];
    }
    if (!list->position_nm) goto done;
    EXA_GOTO(done, exa_alloc(n, 3 * sizeof *moved, "positions", &moved));
    for (uint32_t v = 0; v < n; v++) memcpy(&moved[3 * (size_t)number[v]], &list->position_nm[3 * (size_t)v], 24);
    free(list->position_nm);
    list->position_nm = moved;
    moved = NULL;
done:
    free(moved);
    free(number);
    return st;
}

/* Leaves out what is too light, after everything was added up. */
static void drop_light(exa_graph *g, double min_weight, uint64_t *light) {
    uint64_t kept = 0, first = 0;

    for (uint32_t v = 0; v < g->nodes; v++) {
        uint64_t end = g->begin[v + 1];
        for (uint64_t i = first; i < end; i++) {
            if (g->weight[i] < min_weight) continue;
            g->target[kept] = g->target[i];
            g->weight[kept++] = g->weight[i];
        }
        first = end;
        g->begin[v + 1] = kept;
    }
    *light = g->edges - kept;
    g->edges = kept;
}

static exa_status count_graph(exa_edge_list *list) {
    exa_graph *g = &list->graph;
    uint8_t *touched;

    EXA_TRY(exa_calloc(g->nodes, 1, "marks of nodes", &touched));
    for (uint32_t v = 0; v < g->nodes; v++) {
        if (g->begin[v + 1] > g->begin[v]) touched[v] = 1;
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            touched[g->target[i]] = 1;
            list->counts.weight += g->weight[i];
        }
    }
    for (uint32_t v = 0; v < g->nodes; v++) list->counts.isolated += !touched[v];
    if (g->undirected) list->counts.weight /= 2;
    if (g->undirected) list->counts.light /= 2;
    free(touched);
    return EXA_OK;
}

static exa_status finish(reader *r) {
    exa_edge_list *list = r->list;

    EXA_CHECK(list->names.count > 0, EXA_ERR_FORMAT,
              "there is no connection in the edge list (%" PRIu64 " rows, %" PRIu64 " left out)", list->counts.rows,
              list->counts.filtered);
    EXA_TRY(sort_nodes(r));
    EXA_TRY(exa_graph_build(list->names.count, r->all, r->all_count, &list->graph));
    list->graph.undirected = r->options->undirected;
    drop_light(&list->graph, r->options->min_weight, &list->counts.light);
    return count_graph(list);
}

static exa_status end(reader *r, exa_status st, exa_edge_list *out) {
    if (st == EXA_OK) st = finish(r);
    free(r->edges);
    free(r->all);
    free(r->self);
    if (st == EXA_OK) {
        *out = *r->list;
        memset(r->list, 0, sizeof *r->list);
    }
    exa_edge_list_destroy(r->list);
    return st;
}

exa_status exa_edge_list_read(const char *const *paths, int count, const exa_edge_list_options *options,
                              exa_edge_list *out) {
    exa_edge_list list = {.position_nm = NULL};
    reader r = {.options = options, .list = &list, .paths = paths, .path_count = count};
    exa_status st = read_nodes(&r);

    for (int i = 0; st == EXA_OK && i < count; i++) {
        char *text = NULL;
        size_t size;
        if (exa_edge_list_is_matrix(paths[i])) {
            st = read_matrix(&r, paths[i]);
            continue;
        }
        st = read_file(paths[i], &text, &size);
        if (st == EXA_OK) st = read_text(&r, paths[i], text, size);
        free(text);
    }
    return end(&r, st, out);
}

exa_status exa_edge_list_parse(const char *name, char *text, size_t size, const exa_edge_list_options *options,
                               exa_edge_list *out) {
    exa_edge_list list = {.position_nm = NULL};
    reader r = {.options = options, .list = &list};
    exa_status st = read_nodes(&r);

    if (st == EXA_OK) st = read_text(&r, name, text, size);
    return end(&r, st, out);
}

void exa_edge_list_destroy(exa_edge_list *list) {
    exa_graph_destroy(&list->graph);
    exa_name_table_destroy(&list->names);
    free(list->position_nm);
    memset(list, 0, sizeof *list);
}
