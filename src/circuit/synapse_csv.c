/* Tables of synapses as comma-separated text: columns are found by name, in any order, others are left alone. */
#include "synapse_table_internal.h"

#include "exaconn/hash.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIELDS_MAX = 1024, AXES = 3 };

/* What a column is to us. */
typedef enum role {
    PRE,
    POST,
    PRE_Z, /* then y, x */
    PRE_Y,
    PRE_X,
    POST_Z,
    POST_Y,
    POST_X,
    COUNT,
    KIND,
    SIZE,
    CONFIDENCE,
    VALID,
    PRE_AXONESS, /* of the side that is called pre until these are known */
    POST_AXONESS,
    ROLES
} role;

typedef struct column {
    const char *name;
    role role;
    bool required;
} column;

/* Positions of exaconn-csv carry a unit in their name: "_vx" or "_nm" follows. */
static const column exaconn_columns[] = {{"pre_id", PRE, false},     {"post_id", POST, false},
                                         {"pre_z", PRE_Z, true},     {"pre_y", PRE_Y, true},
                                         {"pre_x", PRE_X, true},     {"post_z", POST_Z, true},
                                         {"post_y", POST_Y, true},   {"post_x", POST_X, true},
                                         {"synapses", COUNT, false}, {"confidence", CONFIDENCE, false},
                                         {"size", SIZE, false},      {NULL, ROLES, false}};
static const column cave_columns[] = {{"pre_pt_root_id", PRE, false},
                                      {"post_pt_root_id", POST, false},
                                      {"pre_pt_position_z", PRE_Z, true},
                                      {"pre_pt_position_y", PRE_Y, true},
                                      {"pre_pt_position_x", PRE_X, true},
                                      {"post_pt_position_z", POST_Z, true},
                                      {"post_pt_position_y", POST_Y, true},
                                      {"post_pt_position_x", POST_X, true},
                                      {"size", SIZE, false},
                                      {"score", CONFIDENCE, false},
                                      {"valid", VALID, false},
                                      {NULL, ROLES, false}};
static const column codex_columns[] = {{"pre_root_id", PRE, true},
                                       {"post_root_id", POST, true},
                                       {"syn_count", COUNT, true},
                                       {"neuropil", KIND, false},
                                       {NULL, ROLES, false}};
static const column neuprint_columns[] = {{"bodyId_pre", PRE, true},
                                          {"bodyId_post", POST, true},
                                          {"weight", COUNT, true},
                                          {"roi", KIND, false},
                                          {NULL, ROLES, false}};
/* One point for both sides, and axoness instead of an order. */
static const column syconn_columns[] = {{"neuron_partner_0", PRE, true},
                                        {"neuron_partner_1", POST, true},
                                        {"partner_axoness_0", PRE_AXONESS, true},
                                        {"partner_axoness_1", POST_AXONESS, true},
                                        {"rep_coord_z", PRE_Z, true},
                                        {"rep_coord_y", PRE_Y, true},
                                        {"rep_coord_x", PRE_X, true},
                                        {"mesh_area", SIZE, false},
                                        {"syn_prob", CONFIDENCE, false},
                                        {NULL, ROLES, false}};

typedef struct reader {
    FILE *stream;  /* owned */
    char *origin;  /* owned */
    uint64_t line; /* of `text`, from 1 */
    char *text;    /* owned; EXA_SYNAPSE_LINE_MAX + 1 bytes */
    char *field[FIELDS_MAX];
    int fields, header_fields;
    exa_synapse_format format;
    int at[ROLES];           /* the column of each role, or -1 */
    const char *name[ROLES]; /* as it stands in the header; borrowed from `header` */
    char *header;            /* owned; the first line, split */
} reader;

/* ---- lines --------------------------------------------------------------------------------------------------- */

/* The next line without its end; *end at the end of the file. */
static exa_status read_line(reader *r, bool *end) {
    size_t n = 0;
    int c;

    *end = false;
    r->line++;
    while ((c = getc_unlocked(r->stream)) != EOF && c != '\n') {
        EXA_CHECK(n < EXA_SYNAPSE_LINE_MAX, EXA_ERR_FORMAT,
                  "'%s', line %llu: longer than %zu bytes. Hint: this is no table of synapses in lines", r->origin,
                  (unsigned long long)r->line, EXA_SYNAPSE_LINE_MAX);
        EXA_CHECK(c != '\0', EXA_ERR_FORMAT, "'%s', line %llu: a zero byte. Hint: this is no text", r->origin,
                  (unsigned long long)r->line);
        r->text[n++] = (char)c;
    }
    EXA_CHECK(!ferror(r->stream), EXA_ERR_IO, "cannot read '%s': %s", r->origin, strerror(errno));
    if (n > 0 && r->text[n - 1] == '\r') n--;
    r->text[n] = '\0';
    *end = c == EOF && n == 0;
    return EXA_OK;
}

/* Takes a quoted field's quotes off in place; *next is what follows it. */
static exa_status unquote(reader *r, char *from, char **next) {
    char *to = from, *c = from + 1;

    for (; *c; c++) {
        if (*c != '"') {
            *to++ = *c;
        } else if (c[1] == '"') {
            *to++ = *c++;
        } else {
            break;
        }
    }
    EXA_CHECK(*c == '"' && (c[1] == ',' || c[1] == '\0'), EXA_ERR_FORMAT,
              "'%s', line %llu: a quoted field does not end. Hint: line breaks in fields are not read", r->origin,
              (unsigned long long)r->line);
    *next = c[1] ? c + 2 : NULL;
    *to = '\0';
    return EXA_OK;
}

static char *trim(char *text) {
    size_t n;

    while (*text == ' ' || *text == '\t') text++;
    for (n = strlen(text); n > 0 && (text[n - 1] == ' ' || text[n - 1] == '\t');) text[--n] = '\0';
    return text;
}

static exa_status split(reader *r) {
    char *at = r->text;

    for (r->fields = 0; at;) {
        char *field = at;
        EXA_CHECK(r->fields < FIELDS_MAX, EXA_ERR_FORMAT, "'%s', line %llu: more than %d fields", r->origin,
                  (unsigned long long)r->line, FIELDS_MAX);
        if (*at == '"') {
            EXA_TRY(unquote(r, field, &at));
        } else if ((at = strchr(at, ',')) != NULL) {
            *at++ = '\0';
        }
        r->field[r->fields++] = trim(field);
    }
    return EXA_OK;
}

/* ---- the header ---------------------------------------------------------------------------------------------- */

static const column *columns_of(exa_synapse_format format) {
    switch (format) {
    case EXA_SYNAPSES_CAVE_CSV: return cave_columns;
    case EXA_SYNAPSES_CODEX_CSV: return codex_columns;
    case EXA_SYNAPSES_NEUPRINT_CSV: return neuprint_columns;
    case EXA_SYNAPSES_SYCONN_CSV: return syconn_columns;
    default: return exaconn_columns;
    }
}

static bool is_position(role which) {
    return which >= PRE_Z && which <= POST_X;
}

/* Whether a header's field is this column; its unit in exaconn's own tables. */
static bool is_column(const reader *r, const char *field, const column *c, exa_synapse_units *units) {
    const size_t n = strlen(c->name);

    *units = EXA_SYNAPSE_UNITS_UNSAID;
    if (r->format != EXA_SYNAPSES_EXACONN_CSV || !is_position(c->role)) return strcmp(field, c->name) == 0;
    if (strncmp(field, c->name, n) != 0) return false;
    if (strcmp(field + n, "_vx") == 0) *units = EXA_SYNAPSE_VOXELS;
    if (strcmp(field + n, "_nm") == 0) *units = EXA_SYNAPSE_NM;
    return *units != EXA_SYNAPSE_UNITS_UNSAID;
}

static exa_status find_column(reader *r, const column *c, exa_synapse_units *units) {
    for (int i = 0; i < r->fields; i++) {
        exa_synapse_units own;
        if (!is_column(r, r->field[i], c, &own)) continue;
        EXA_CHECK(own == EXA_SYNAPSE_UNITS_UNSAID || *units == EXA_SYNAPSE_UNITS_UNSAID || own == *units,
                  EXA_ERR_FORMAT,
                  "'%s': mixed units: the column '%s' is not in the units of the others (all _vx or all _nm)",
                  r->origin, r->field[i]);
        EXA_CHECK(r->at[c->role] < 0, EXA_ERR_FORMAT, "'%s': the column '%s' is there twice", r->origin,
                  r->field[i]);
        if (own != EXA_SYNAPSE_UNITS_UNSAID) *units = own;
        r->at[c->role] = i;
        r->name[c->role] = r->field[i];
    }
    if (r->at[c->role] >= 0 || !c->required) return EXA_OK;
    return EXA_FAIL(EXA_ERR_FORMAT, "'%s', line %llu: no column '%s%s', which a %s table has%s", r->origin,
                    (unsigned long long)r->line, c->name,
                    r->format == EXA_SYNAPSES_EXACONN_CSV && is_position(c->role) ? "_vx' or '_nm" : "",
                    exa_synapse_format_names[r->format],
                    r->format == EXA_SYNAPSES_CAVE_CSV
                        ? ". Hint: query CAVE with split_positions=True, so that each axis is a column"
                    : r->fields == 1 ? ". Hint: fields are separated by commas"
                                     : "");
}

static exa_status read_header(reader *r, const exa_synapse_options *o, exa_synapse_units *units) {
    static const char mark[] = "\xef\xbb\xbf"; /* of UTF-8, as spreadsheets put it */
    exa_synapse_units own = EXA_SYNAPSE_UNITS_UNSAID;
    bool end;

    EXA_TRY(read_line(r, &end));
    EXA_CHECK(!end, EXA_ERR_FORMAT, "'%s' is empty", r->origin);
    if (strncmp(r->text, mark, 3) == 0) memmove(r->text, r->text + 3, strlen(r->text + 3) + 1);
    EXA_TRY(split(r));
    for (const column *c = columns_of(r->format); c->name; c++) EXA_TRY(find_column(r, c, &own));
    r->header_fields = r->fields;
    EXA_CHECK(own == EXA_SYNAPSE_UNITS_UNSAID || o->units == EXA_SYNAPSE_UNITS_UNSAID || own == o->units,
              EXA_ERR_CONFIG, "'%s' says itself that its positions are %s", r->origin,
              own == EXA_SYNAPSE_NM ? "nanometres (_nm)" : "voxels (_vx)");
    *units = own != EXA_SYNAPSE_UNITS_UNSAID ? own : o->units;
    r->header = r->text; /* the names lie in it */
    r->text = NULL;
    return exa_alloc(EXA_SYNAPSE_LINE_MAX + 1, 1, "a line", &r->text);
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static const char *where(const reader *r, role which, char text[512]) {
    snprintf(text, 512, "'%s', line %llu, column '%s'", r->origin, (unsigned long long)r->line, r->name[which]);
    return text;
}

static exa_status take_id(const reader *r, role which, exa_segid *id) {
    char text[512];

    if (r->at[which] < 0) return EXA_OK;
    return exa_synapse_parse_id(r->field[r->at[which]], where(r, which, text), id);
}

static exa_status take_real(const reader *r, role which, double *value) {
    char text[512];

    if (r->at[which] < 0) return EXA_OK;
    return exa_synapse_parse_real(r->field[r->at[which]], where(r, which, text), value);
}

static exa_status take_points(const reader *r, exa_synapse_row *row) {
    for (int a = 0; a < AXES; a++) {
        EXA_TRY(take_real(r, PRE_Z + a, &row->pre_at[a]));
        if (r->at[POST_Z] >= 0) {
            EXA_TRY(take_real(r, POST_Z + a, &row->post_at[a]));
        } else {
            row->post_at[a] = row->pre_at[a];
        }
    }
    return EXA_OK;
}

/* FNV-1a, and never 0. */
static uint64_t hash_text(const char *text) {
    uint64_t h = 0xcbf29ce484222325u;

    for (; *text; text++) h = (h ^ (unsigned char)*text) * 0x100000001b3u;
    return exa_hash_u64(h) | 1;
}

static bool is_true(const char *text) {
    return strcmp(text, "t") == 0 || strcmp(text, "true") == 0 || strcmp(text, "True") == 0 ||
           strcmp(text, "1") == 0;
}

/* SyConn's partners come in no order: the axon (axoness 1) is before, if the other side is none. */
static exa_status direct(const reader *r, exa_synapse_row *row) {
    double pre = NAN, post = NAN;
    exa_segid other = row->post;

    if (r->at[PRE_AXONESS] < 0) return EXA_OK;
    EXA_TRY(take_real(r, PRE_AXONESS, &pre));
    EXA_TRY(take_real(r, POST_AXONESS, &post));
    if ((pre == 1) == (post == 1)) {
        row->flags |= EXA_SYNAPSE_NO_DIRECTION;
    } else if (post == 1) {
        row->post = row->pre;
        row->pre = other;
    }
    return EXA_OK;
}

static exa_status next(void *state, exa_synapse_row *row, bool *end) {
    reader *r = state;

    do {
        EXA_TRY(read_line(r, end));
        if (*end) return EXA_OK;
    } while (!*r->text);
    EXA_TRY(split(r));
    EXA_CHECK(r->fields == r->header_fields, EXA_ERR_FORMAT, "'%s', line %llu: %d fields, but the header has %d",
              r->origin, (unsigned long long)r->line, r->fields, r->header_fields);
    row->line = r->line;
    EXA_TRY(take_id(r, PRE, &row->pre));
    EXA_TRY(take_id(r, POST, &row->post));
    EXA_TRY(take_id(r, COUNT, &row->synapses));
    EXA_TRY(take_real(r, SIZE, &row->size));
    EXA_TRY(take_real(r, CONFIDENCE, &row->confidence));
    if (r->at[PRE_Z] >= 0) EXA_TRY(take_points(r, row));
    if (r->at[KIND] >= 0) row->kind = hash_text(r->field[r->at[KIND]]);
    if (r->at[VALID] >= 0 && !is_true(r->field[r->at[VALID]])) row->flags |= EXA_SYNAPSE_INVALID;
    return direct(r, row);
}

static void close_reader(void *state) {
    reader *r = state;

    if (!r) return;
    fclose(r->stream);
    free(r->origin);
    free(r->text);
    free(r->header);
    free(r);
}

exa_status exa_synapse_csv_open(FILE *stream, const char *origin, const exa_synapse_options *options,
                                exa_synapse_reader *reader_out) {
    reader *r = NULL;
    exa_status st = exa_calloc(1, sizeof *r, "a table of synapses", &r);

    if (st != EXA_OK) {
        fclose(stream);
        return st;
    }
    r->stream = stream;
    r->format = options->format;
    for (int i = 0; i < ROLES; i++) r->at[i] = -1;
    r->origin = strdup(origin);
    EXA_CHECK_GOTO(done, r->origin, EXA_ERR_MEMORY, "cannot allocate a name");
    EXA_GOTO(done, exa_alloc(EXA_SYNAPSE_LINE_MAX + 1, 1, "a line", &r->text));
    EXA_GOTO(done, read_header(r, options, &reader_out->units));
    reader_out->points = r->at[PRE_Z] >= 0;
    reader_out->state = r;
    reader_out->next = next;
    reader_out->close = close_reader;
    return EXA_OK;
done:
    close_reader(r);
    return st;
}
