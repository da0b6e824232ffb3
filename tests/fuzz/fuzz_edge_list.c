/* libFuzzer harness of the edge list reader: the first byte chooses options, the rest is the table. What is read
 * has to be a graph: rows in order, no self-connections, every weight positive, and a census that adds up. */
#include "exaconn/edge_list.h"
#include "exaconn/triad.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_graph(const exa_edge_list *l) {
    const exa_graph *g = &l->graph;
    exa_dyads d;
    exa_triads t;
    exa_u128 sum = 0, n = g->nodes;

    assert(g->nodes == l->names.count && g->begin[g->nodes] == g->edges);
    for (uint32_t v = 0; v < g->nodes; v++) {
        assert(exa_name_table_find(&l->names, exa_name_table_name(&l->names, v)) == v);
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            assert(g->target[i] < g->nodes && g->target[i] != v && g->weight[i] > 0);
            assert(i == g->begin[v] || g->target[i] > g->target[i - 1]);
            if (g->undirected) assert(exa_graph_find_edge(g, g->target[i], v) < g->edges);
        }
    }
    assert(exa_dyads_make(g, &d) == EXA_OK && exa_triad_census(&d, NULL, NULL, &t) == EXA_OK);
    for (int i = 0; i < EXA_TRIAD_TYPES; i++) sum += t.count[i];
    assert(sum == (n < 3 ? 0 : n * (n - 1) / 2 * (n - 2) / 3));
    exa_dyads_destroy(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exa_edge_list_options options = {.min_weight = 0};
    exa_edge_list list;
    exa_status st;
    char *text;

    if (size == 0) return 0;
    if (data[0] & 1) options.undirected = true;
    if (data[0] & 2) options.weight = "none";
    if (data[0] & 4) options.min_weight = 2;
    if (data[0] & 8) options.where_column = "type", options.where_value = "a";
    if (data[0] & 16) options.share_count = 1, options.shares[0] = "weight";
    text = malloc(size);
    assert(text);
    memcpy(text, data + 1, size - 1);
    st = exa_edge_list_parse("fuzz", text, size - 1, &options, &list);
    assert(st == EXA_OK || st == EXA_ERR_FORMAT || st == EXA_ERR_CONFIG);
    if (st == EXA_OK) {
        check_graph(&list);
        exa_edge_list_destroy(&list);
    }
    free(text);
    return 0;
}
