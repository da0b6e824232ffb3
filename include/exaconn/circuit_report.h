/* An analysis written down: for people, as JSON, and as tables. */
#ifndef EXACONN_CIRCUIT_REPORT_H
#define EXACONN_CIRCUIT_REPORT_H

#include "exaconn/circuit.h"
#include "exaconn/json.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What the edge lists were: names of files for the record; borrowed. */
typedef struct exa_circuit_source {
    const char *const *paths;
    int count;
    const exa_edge_list_options *options;
} exa_circuit_source;

/* Text for a terminal, with the node set and the definition of each number. */
void exa_circuit_print(const exa_circuit *c, const exa_circuit_source *source, exa_json_text *out);

/* One JSON object; what is not defined is null. 128-bit counts are strings where they exceed 2^53. */
void exa_circuit_print_json(const exa_circuit *c, const exa_circuit_source *source, exa_json_text *out);

/* Removes circuit.json, then every other file that a report may have, and nothing else. Rank 0 alone calls it. */
exa_status exa_circuit_clear(const char *folder);

/* circuit.json, nodes.csv, triads.csv, null_models.csv, rich_club.csv, distance.csv and communities.csv (what the
 * analysis has of these) into an existing folder. Rank 0 alone calls it. */
exa_status exa_circuit_write_tables(const exa_circuit *c, const exa_circuit_source *source, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
