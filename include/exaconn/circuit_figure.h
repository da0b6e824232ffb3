/* An analysis drawn: SVG files that need nothing else, light or dark as the reader's screen is. */
#ifndef EXACONN_CIRCUIT_FIGURE_H
#define EXACONN_CIRCUIT_FIGURE_H

#include "exaconn/circuit.h"

#ifdef __cplusplus
extern "C" {
#endif

/* degrees.svg, triads.svg, communities.svg, distance.svg into an existing folder: what the analysis has of these.
 */
exa_status exa_circuit_draw(const exa_circuit *c, const char *folder);

#ifdef __cplusplus
}
#endif
#endif
