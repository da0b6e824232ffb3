/* libFuzzer harness of the readers of synapse tables. The first byte chooses format, units and axes, the rest is
 * the file. What is accepted must have rows that are numbered and flagged as the header promises; what is refused
 * must name the file and say what is wrong.
 */
#include "exaconn/synapse_table.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_refusal(exa_status st) {
    assert(st == EXA_ERR_FORMAT || st == EXA_ERR_CONFIG);
    assert(exa_error_last()->status == st && strstr(exa_error_last()->message, "'fuzz'"));
}

static void check_row(const exa_synapse_table *t, const exa_synapse_row *row, uint64_t *line) {
    const bool points = exa_synapse_table_has_points(t);

    assert(row->line >= *line);
    *line = row->line;
    assert(points == ((row->flags & (EXA_SYNAPSE_POINTS | EXA_SYNAPSE_NO_POSITION)) != 0));
    assert((row->synapses == 0) == ((row->flags & EXA_SYNAPSE_NONE) != 0));
    if (!(row->flags & EXA_SYNAPSE_POINTS)) return;
    for (int a = 0; a < 3; a++) assert(isfinite(row->pre_at[a]) && isfinite(row->post_at[a]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const exa_synapse_format formats[] = {EXA_SYNAPSES_EXACONN_CSV,  EXA_SYNAPSES_FLYEM_JSON,
                                                 EXA_SYNAPSES_CAVE_CSV,     EXA_SYNAPSES_CODEX_CSV,
                                                 EXA_SYNAPSES_NEUPRINT_CSV, EXA_SYNAPSES_SYCONN_CSV};
    exa_synapse_options o = {0};
    exa_synapse_table *t = NULL;
    exa_synapse_row row;
    uint64_t line = 0;
    bool end = false;
    exa_status st;
    FILE *f;

    if (size < 2) return 0;
    o.format = formats[data[0] % 6];
    o.units = (exa_synapse_units)(data[0] / 6 % 3);
    o.axes = (exa_synapse_axes)(data[0] / 18 % 3);
    f = fmemopen((void *)(uintptr_t)(data + 1), size - 1, "r");
    assert(f);
    st = exa_synapse_table_open_stream(f, "fuzz", &o, &t);
    if (st != EXA_OK) {
        check_refusal(st);
        assert(!t);
        return 0;
    }
    while ((st = exa_synapse_table_next(t, &row, &end)) == EXA_OK && !end) check_row(t, &row, &line);
    if (st != EXA_OK) check_refusal(st);
    exa_synapse_table_close(&t);
    return 0;
}
