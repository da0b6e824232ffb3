/* Which reader a format has, what must be said about it, and numbers in text. */
#include "exaconn/synapse_table.h"

#include "synapse_table_internal.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const exa_synapse_format_names[] = {"exaconn-csv", "exaconn-hdf5", "flyem-json", "cave-csv",
                                                "codex-csv",   "neuprint-csv", "syconn-csv", NULL};

struct exa_synapse_table {
    exa_synapse_reader reader;
};

/* ---- numbers ------------------------------------------------------------------------------------------------- */

exa_status exa_synapse_parse_id(const char *text, const char *where, exa_segid *id) {
    exa_segid value = 0;

    EXA_CHECK(*text, EXA_ERR_FORMAT, "%s: an id is missing. Hint: 0 stands for no segment", where);
    for (const char *c = text; *c; c++) {
        const unsigned digit = (unsigned)(*c - '0');
        EXA_CHECK(digit <= 9, EXA_ERR_FORMAT,
                  "%s: '%.40s' is no id, which has digits alone. Hint: ids written as decimal fractions have lost "
                  "digits already (pandas does that where values are missing): write them as integers",
                  where, text);
        EXA_CHECK(value <= (UINT64_MAX - digit) / 10, EXA_ERR_FORMAT, "%s: the id %.40s is beyond 2^64 - 1", where,
                  text);
        value = 10 * value + digit;
    }
    *id = value;
    return EXA_OK;
}

exa_status exa_synapse_parse_real(const char *text, const char *where, double *value) {
    char *end;

    *value = NAN;
    if (!*text) return EXA_OK;
    *value = strtod(text, &end);
    EXA_CHECK(end != text && *end == '\0', EXA_ERR_FORMAT, "%s: '%.40s' is no number", where, text);
    return EXA_OK;
}

/* ---- what must be said --------------------------------------------------------------------------------------- */

static exa_status check_options(const exa_synapse_options *o, const char *origin) {
    const char *name = exa_synapse_format_names[o->format];
    const bool connections = o->format == EXA_SYNAPSES_CODEX_CSV || o->format == EXA_SYNAPSES_NEUPRINT_CSV;
    const bool says_itself = o->format == EXA_SYNAPSES_EXACONN_CSV || o->format == EXA_SYNAPSES_EXACONN_HDF5;
    const bool sized = o->voxel_size_nm[0] > 0;

    EXA_CHECK(!connections || (o->units == EXA_SYNAPSE_UNITS_UNSAID && !sized), EXA_ERR_CONFIG,
              "'%s': a %s table has no positions, so units say nothing. Hint: leave --units and "
              "--table-voxel-size (in a job circuits.units, circuits.table_voxel_size_nm) out",
              origin, name);
    EXA_CHECK(connections || says_itself || o->units != EXA_SYNAPSE_UNITS_UNSAID, EXA_ERR_CONFIG,
              "'%s': a %s table does not say whether its positions are nanometres or voxels. Hint: say which: "
              "--units nm or --units voxels (in a job circuits.units)",
              origin, name);
    EXA_CHECK(
        o->format != EXA_SYNAPSES_CAVE_CSV || o->units != EXA_SYNAPSE_VOXELS || sized, EXA_ERR_CONFIG,
        "'%s': CAVE counts in voxels of its own, often 40,4,4 nm (z,y,x) whatever the segmentation has. Hint: "
        "say it: --table-voxel-size Z,Y,X (in a job circuits.table_voxel_size_nm)",
        origin);
    EXA_CHECK(o->format == EXA_SYNAPSES_FLYEM_JSON || o->axes == EXA_SYNAPSE_AXES_UNSAID, EXA_ERR_CONFIG,
              "'%s': the columns of a %s table carry their axis in their name, so an order of axes says nothing. "
              "Hint: leave --axes (in a job circuits.axes) out",
              origin, name);
    EXA_CHECK(o->format != EXA_SYNAPSES_FLYEM_JSON || o->axes != EXA_SYNAPSE_AXES_UNSAID, EXA_ERR_CONFIG,
              "'%s': a %s table does not say in which order a location lists its axes. Hint: say which: --axes xyz "
              "(FlyEM's own files) or --axes zyx (in a job circuits.axes)",
              origin, name);
    EXA_CHECK(!sized || o->units == EXA_SYNAPSE_VOXELS, EXA_ERR_CONFIG,
              "'%s': a voxel size of the table is of use only if its positions are voxels. Hint: --units voxels, "
              "or leave "
              "--table-voxel-size out (in a job circuits.units, circuits.table_voxel_size_nm)",
              origin);
    return EXA_OK;
}

/* ---- a table ------------------------------------------------------------------------------------------------- */

static exa_status begin(const char *origin, const exa_synapse_options *options, exa_synapse_table **out) {
    EXA_TRY(check_options(options, origin));
    return exa_calloc(1, sizeof **out, "a table of synapses", out);
}

static exa_status finish(exa_status st, exa_synapse_table *table, exa_synapse_table **out) {
    if (st != EXA_OK) exa_synapse_table_close(&table);
    *out = table;
    return st;
}

exa_status exa_synapse_table_open_stream(FILE *stream, const char *origin, const exa_synapse_options *options,
                                         exa_synapse_table **out) {
    exa_synapse_table *table = NULL;
    exa_status st = begin(origin, options, &table);

    if (st != EXA_OK) {
        fclose(stream);
        return st;
    }
    st = options->format == EXA_SYNAPSES_FLYEM_JSON ? exa_synapse_json_open(stream, origin, options, &table->reader)
                                                    : exa_synapse_csv_open(stream, origin, options, &table->reader);
    return finish(st, table, out);
}

static const char *hint_for(int error) {
    if (error == ENOENT) return ". Hint: is the table's name right, seen from the folder in which this runs?";
    if (error == EACCES) return ". Hint: you may not read the table; `ls -l` tells who may";
    return "";
}

exa_status exa_synapse_table_open(const char *path, const exa_synapse_options *options, exa_synapse_table **out) {
    exa_synapse_table *table = NULL;
    FILE *stream = fopen(path, "r");

    EXA_CHECK(stream, EXA_ERR_IO, "cannot open '%s': %s%s", path, strerror(errno), hint_for(errno));
    if (options->format == EXA_SYNAPSES_EXACONN_HDF5) {
        fclose(stream);
        EXA_TRY(begin(path, options, &table));
        return finish(exa_synapse_hdf5_open(path, options, &table->reader), table, out);
    }
    return exa_synapse_table_open_stream(stream, path, options, out);
}

bool exa_synapse_table_has_points(const exa_synapse_table *table) {
    return table->reader.points;
}

exa_synapse_units exa_synapse_table_units(const exa_synapse_table *table) {
    return table->reader.units;
}

const double *exa_synapse_table_voxel_size_nm(const exa_synapse_table *table) {
    return table->reader.voxel_size_nm;
}

/* NaN or infinite: nowhere. */
static bool is_somewhere(const double at[3]) {
    return isfinite(at[0]) && isfinite(at[1]) && isfinite(at[2]);
}

exa_status exa_synapse_table_next(exa_synapse_table *table, exa_synapse_row *row, bool *end) {
    exa_synapse_row next = {.synapses = 1, .size = NAN, .confidence = NAN};

    *end = false;
    EXA_TRY(table->reader.next(table->reader.state, &next, end));
    if (*end) return EXA_OK;
    if (table->reader.points)
        next.flags |=
            is_somewhere(next.pre_at) && is_somewhere(next.post_at) ? EXA_SYNAPSE_POINTS : EXA_SYNAPSE_NO_POSITION;
    if (next.synapses == 0) next.flags |= EXA_SYNAPSE_NONE;
    *row = next;
    return EXA_OK;
}

void exa_synapse_table_close(exa_synapse_table **table) {
    exa_synapse_table *t = *table;

    if (!t) return;
    if (t->reader.close) t->reader.close(t->reader.state);
    free(t);
    *table = NULL;
}
