/* exaconn circuit EDGES...: what kind of network a connectome is. */
#include "cli_internal.h"

#include "exaconn/circuit.h"
#include "exaconn/circuit_figure.h"
#include "exaconn/circuit_report.h"
#include "exaconn/comm.h"
#include "exaconn/cpu.h"
#include "exaconn/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_BYTES = 64 };

typedef struct request {
    exa_edge_list_options list;
    exa_circuit_options analysis;
    int threads, path_count;
    bool distance_wanted; /* by name */
    const char **paths;   /* owned list of borrowed names */
    const char *folder;   /* NULL = only print */
    char share[EXA_EDGE_LIST_MAX_SHARES][WORD_BYTES], where[2][256];
} request;

/* ---- the command line ---------------------------------------------------------------------------------------- */

/* The next of "a,b,c"; false behind the last. What is too long for a word is cut, and known to nobody. */
static bool next_word(const char **text, char word[WORD_BYTES]) {
    size_t length = strcspn(*text, ",");

    if (!**text) return false;
    snprintf(word, WORD_BYTES, "%.*s", (int)(length < WORD_BYTES ? length : WORD_BYTES - 1), *text);
    *text += length + ((*text)[length] == ',');
    return true;
}

static exa_status named_bits(const exa_cli_arguments *a, const char *option, const char *const *names, int count,
                             uint32_t *bits) {
    const char *text = exa_cli_text(a, option);
    char word[WORD_BYTES], all[200] = "";
    int i;

    for (i = 0; i < count; i++) {
        if (i) strncat(all, ", ", sizeof all - strlen(all) - 1);
        strncat(all, names[i], sizeof all - strlen(all) - 1);
    }
    while (text && next_word(&text, word)) {
        for (i = 0; i < count && strcmp(word, names[i]) != 0; i++) continue;
        EXA_CHECK(i < count, EXA_ERR_CONFIG, "--%s: there is no '%s'; choose of %s", option, word, all);
        *bits |= 1u << i;
    }
    return EXA_OK;
}

static exa_status get_shares(const exa_cli_arguments *a, request *r) {
    const char *text = exa_cli_text(a, "shares");

    while (text && *text) {
        EXA_CHECK(r->list.share_count < EXA_EDGE_LIST_MAX_SHARES, EXA_ERR_CONFIG, "--shares: at most %d columns",
                  EXA_EDGE_LIST_MAX_SHARES);
        next_word(&text, r->share[r->list.share_count]);
        r->list.shares[r->list.share_count] = r->share[r->list.share_count];
        r->list.share_count++;
    }
    return EXA_OK;
}

static exa_status get_where(const exa_cli_arguments *a, request *r) {
    const char *text = exa_cli_text(a, "where"), *equals = text ? strchr(text, '=') : NULL;

    if (!text) return EXA_OK;
    EXA_CHECK(equals && equals > text && strlen(text) < sizeof r->where[0], EXA_ERR_CONFIG,
              "--where %.80s: give COLUMN=VALUE, for example Type=chemical", text);
    snprintf(r->where[0], sizeof r->where[0], "%.*s", (int)(equals - text), text);
    snprintf(r->where[1], sizeof r->where[1], "%s", equals + 1);
    r->list.where_column = r->where[0];
    r->list.where_value = r->where[1];
    return EXA_OK;
}

static exa_status get_list_options(const exa_cli_arguments *a, request *r) {
    exa_edge_list_options *o = &r->list;

    o->pre = exa_cli_text(a, "pre");
    o->post = exa_cli_text(a, "post");
    o->weight = exa_cli_text(a, "weight");
    o->nodes = exa_cli_text(a, "nodes");
    o->drop_unknown = exa_cli_has(a, "drop-unknown");
    o->undirected = exa_cli_has(a, "undirected");
    o->min_weight = exa_cli_real(a, "min-weight", 0);
    EXA_CHECK(o->min_weight >= 0, EXA_ERR_CONFIG, "--min-weight %g is negative", o->min_weight);
    EXA_CHECK(o->nodes || !exa_cli_has(a, "voxel-size"), EXA_ERR_CONFIG,
              "--voxel-size is of positions, which come with --nodes FILE");
    EXA_TRY(get_where(a, r));
    EXA_TRY(get_shares(a, r));
    return exa_cli_parse_size(a, "voxel-size", o->voxel_nm);
}

static exa_status count_option(const exa_cli_arguments *a, const char *name, int64_t low, int64_t high,
                               uint32_t *out) {
    int64_t value = exa_cli_int(a, name, *out);

    EXA_CHECK(value >= low && value <= high, EXA_ERR_CONFIG, "--%s %lld: give %lld to %lld", name, (long long)value,
              (long long)low, (long long)high);
    *out = (uint32_t)value;
    return EXA_OK;
}

static exa_status get_analysis_options(const exa_cli_arguments *a, request *r) {
    exa_circuit_options *o = &r->analysis;
    uint32_t without = 0, only = 0;
    const char *models = exa_cli_text(a, "null");
    uint32_t threads = (uint32_t)exa_cpu_cores_of(exa_comm_local_size());

    *o = exa_circuit_defaults();
    EXA_TRY(named_bits(a, "only", exa_circuit_part_names, EXA_CIRCUIT_PARTS, &only));
    EXA_TRY(named_bits(a, "without", exa_circuit_part_names, EXA_CIRCUIT_PARTS, &without));
    o->parts = (only ? only : o->parts) & ~without;
    r->distance_wanted = (only & ~without & EXA_CIRCUIT_DISTANCE) != 0;
    if (models && strcmp(models, "none") == 0) {
        o->parts &= ~(uint32_t)EXA_CIRCUIT_NULLS;
    } else {
        EXA_TRY(named_bits(a, "null", exa_null_model_names, EXA_NULL_MODELS, &o->models));
    }
    EXA_TRY(count_option(a, "replicas", 1, 1000000, &o->replicas));
    EXA_TRY(count_option(a, "paths", 0, 1 << 30, &o->path_sources));
    o->path_sources_given = exa_cli_has(a, "paths");
    EXA_TRY(count_option(a, "runs", 1, 100000, &o->community_runs));
    EXA_TRY(count_option(a, "threads", 1, 4096, &threads));
    r->threads = (int)threads;
    o->swaps = exa_cli_real(a, "swaps", o->swaps);
    o->resolution = exa_cli_real(a, "resolution", o->resolution);
    o->seed = (uint64_t)exa_cli_int(a, "seed", (int64_t)o->seed);
    EXA_CHECK(o->swaps > 0 && o->swaps <= 1e6, EXA_ERR_CONFIG, "--swaps %g: give tries for each connection, as 10",
              o->swaps);
    EXA_CHECK(o->resolution > 0 && o->resolution <= 1e9, EXA_ERR_CONFIG, "--resolution %g: give a positive number",
              o->resolution);
    return EXA_OK;
}

static exa_status open_folder(const exa_cli_arguments *a, const char *folder) {
    uint64_t bytes, files = 0;

    EXA_CHECK(!exa_file_exists(folder) || exa_file_is_directory(folder), EXA_ERR_IO, "'%s' is not a folder",
              folder);
    if (exa_comm_rank() != 0) return EXA_OK;
    EXA_TRY(exa_file_make_directories(folder));
    EXA_TRY(exa_file_folder_size(folder, "", &bytes, &files));
    EXA_CHECK(
        files <= 2 /* . and .. */ || exa_cli_has(a, "force"), EXA_ERR_CONFIG,
        "'%s' has things in it. Hint: name a new or an empty folder, or replace the report in it with --force",
        folder);
    return EXA_OK;
}

static exa_status get_request(const exa_cli_arguments *a, request *r) {
    r->folder = exa_cli_text(a, "output");
    r->path_count = exa_cli_positional_count(a);
    r->paths = calloc((size_t)r->path_count, sizeof *r->paths);
    EXA_CHECK(r->paths, EXA_ERR_MEMORY, "cannot allocate a list of files");
    for (int i = 0; i < r->path_count; i++) r->paths[i] = exa_cli_positional(a, i);
    EXA_TRY(get_list_options(a, r));
    EXA_TRY(get_analysis_options(a, r));
    return r->folder ? open_folder(a, r->folder) : EXA_OK;
}

/* ---- the command --------------------------------------------------------------------------------------------- */

static exa_status check_list(const request *r, const exa_edge_list *list) {
    const exa_circuit_options *o = &r->analysis;

    const char *option = o->models >> EXA_NULL_DISTANCE & 1 ? "--null" : r->distance_wanted ? "--only" : NULL;

    EXA_CHECK(!option || list->position_nm, EXA_ERR_CONFIG,
              "%s distance needs positions. Hint: --nodes FILE with columns x_nm, y_nm, z_nm, or x, y, z and "
              "--voxel-size, or segments.csv of exaconn connectome",
              option);
    EXA_CHECK(!(o->models >> EXA_NULL_MUTUAL & 1) || !list->graph.undirected, EXA_ERR_CONFIG,
              "--null mutual has no meaning with --undirected. Hint: 'configuration' keeps the degrees there");
    return EXA_OK;
}

static exa_status print(const exa_circuit *c, const exa_circuit_source *source, bool json) {
    exa_json_text t = {0};
    char *text = NULL;

    if (json) {
        exa_circuit_print_json(c, source, &t);
    } else {
        exa_circuit_print(c, source, &t);
    }
    EXA_TRY(exa_json_text_take(&t, &text));
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

static exa_status tell(const exa_cli_arguments *a, const request *r, const exa_circuit *c) {
    const exa_circuit_source source = {r->paths, r->path_count, &r->list};

    if (exa_comm_rank() != 0) return EXA_OK;
    if (r->folder) {
        EXA_TRY(exa_circuit_clear(r->folder));
        EXA_TRY(exa_circuit_draw(c, r->folder));
        EXA_TRY(exa_circuit_write_tables(c, &source, r->folder)); /* circuit.json comes last */
    }
    EXA_TRY(print(c, &source, exa_cli_has(a, "json")));
    if (r->folder) EXA_INFO("tables and figures are in %s", r->folder);
    return EXA_OK;
}

static exa_status analyse(const exa_cli_arguments *a, request *r) {
    exa_edge_list list = {.position_nm = NULL};
    exa_circuit circuit = {.list = NULL};
    exa_pool *pool = NULL;
    exa_status st = exa_edge_list_read(r->paths, r->path_count, &r->list, &list);

    if (st == EXA_OK) st = check_list(r, &list);
    if (st == EXA_OK) st = exa_pool_create(r->threads, false, &pool);
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_circuit_analyse(&list, &r->analysis, pool, &circuit));
    st = exa_comm_agree(tell(a, r, &circuit));
done:
    exa_circuit_destroy(&circuit);
    exa_pool_destroy(&pool);
    exa_edge_list_destroy(&list);
    return st;
}

static exa_status run(const exa_cli_arguments *arguments) {
    request r = {.threads = 0};
    exa_status st;

    EXA_TRY(exa_comm_init());
    st = exa_comm_agree(get_request(arguments, &r));
    if (st == EXA_OK) st = analyse(arguments, &r);
    free(r.paths);
    return st;
}

static const exa_cli_option options_table[] = {
    {"output", 'o', EXA_CLI_PATH, "FOLDER", "write tables (CSV), figures (SVG) and circuit.json there"},
    {"force", 'f', EXA_CLI_FLAG, NULL, "replace the report in an existing folder"},
    {"json", 0, EXA_CLI_FLAG, NULL, "print JSON instead of text"},
    {"pre", 0, EXA_CLI_TEXT, "COLUMN",
     "column of the presynaptic id (default: pre, pre_root_id, bodyId_pre, "
     "pre_pt_root_id, pre_id or source)"},
    {"post", 0, EXA_CLI_TEXT, "COLUMN", "column of the postsynaptic id"},
    {"weight", 0, EXA_CLI_TEXT, "COLUMN",
     "column of the weight (default: weight, synapses, syn_count or count); none: "
     "every row counts 1"},
    {"where", 0, EXA_CLI_TEXT, "COLUMN=VALUE", "only rows with that value"},
    {"undirected", 0, EXA_CLI_FLAG, NULL,
     "rows are pairs without a direction, as gap junctions; a pair that stands "
     "there both ways is one"},
    {"nodes", 0, EXA_CLI_PATH, "FILE",
     "table of all nodes (id, and x_nm, y_nm, z_nm or x, y, z); default: the nodes "
     "of the edge lists"},
    {"drop-unknown", 0, EXA_CLI_FLAG, NULL, "leave out rows whose ids are not in --nodes, and count them"},
    {"voxel-size", 0, EXA_CLI_TEXT, "Z,Y,X",
     "nanometres of a voxel, where --nodes has x, y, z in voxels (default with segments.csv: what connectome.h5 "
     "says)"},
    {"min-weight", 0, EXA_CLI_REAL, "W", "leave out connections below, after rows of a pair are added up"},
    {"shares", 0, EXA_CLI_TEXT, "COLUMNS", "compare the sums of these columns, as ad,aa,dd,da"},
    {"only", 0, EXA_CLI_TEXT, "PARTS",
     "of components, paths, triads, rich-club, cores, communities, distance, nulls"},
    {"without", 0, EXA_CLI_TEXT, "PARTS", "all but these"},
    {"null", 0, EXA_CLI_TEXT, "MODELS",
     "of configuration, mutual, erdos-renyi, distance (default: all that are "
     "possible); none"},
    {"replicas", 0, EXA_CLI_INT, "N", "random graphs of each null model (default 100)"},
    {"swaps", 0, EXA_CLI_REAL, "X", "swaps tried for each connection (default 10)"},
    {"seed", 0, EXA_CLI_INT, "N", "of all random numbers (default 1)"},
    {"paths", 0, EXA_CLI_INT, "N", "sources of shortest paths; 0 = all (default: all, or 1024 in large graphs)"},
    {"resolution", 0, EXA_CLI_REAL, "GAMMA", "of the modularity (default 1)"},
    {"runs", 0, EXA_CLI_INT, "N", "runs of the search for communities, of which the best is kept (default 10)"},
    {"threads", 't', EXA_CLI_INT, "N", "threads of each rank (default: its cores)"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_circuit = {
    .name = "circuit",
    .positional = "EDGES...",
    .positional_min = 1,
    .positional_max = -1,
    .summary = "what kind of network a connectome is",
    .description =
        "Reads edge lists (text tables with a line of column names) and tells degrees, density, reciprocity, "
        "components, shortest paths, clustering, triads, rich club, k-cores, communities and assortativity, each "
        "with "
        "its definition, and how far they are from random graphs that keep some properties of this one. With "
        "positions "
        "also how the chance and the weight of a connection depend on distance.\n\n"
        "Several files are one graph: the weights of equal connections add up. Self-connections are counted and "
        "left "
        "out.\n\n"
        "On several ranks random graphs, shortest paths and distances are shared out; the results are the same, "
        "bit by "
        "bit, on any number of ranks and threads. Definitions: docs/circuits.md.",
    .example = "exaconn circuit connections.csv -o report\n"
               "exaconn circuit gap.csv --undirected --null configuration --replicas 1000\n"
               "exaconn circuit larva_edges.csv --weight all --nodes larva_nodes.csv --only triads --json\n"
               "mpirun -n 8 exaconn circuit connectome/connectome.h5 --nodes connectome/segments.csv -o report",
    .options = options_table,
    .run = run,
};
