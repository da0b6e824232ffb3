/* The figures, one source each. */
#ifndef EXA_CIRCUIT_FIGURE_INTERNAL_H
#define EXA_CIRCUIT_FIGURE_INTERNAL_H

#include "exaconn/circuit_figure.h"
#include "exaconn/svg.h"

/* Where the data are drawn, and what stands at its edges; log10 where asked for. */
typedef struct exa_plot {
    double left, top, right, bottom; /* pixels */
    double x0, x1, y0, y1;           /* data at the edges (their log10 on a logarithmic axis) */
    bool log_x, log_y;
} exa_plot;

double exa_plot_x(const exa_plot *p, double x);
double exa_plot_y(const exa_plot *p, double y);

/* Grid, ticks with numbers, and the axes' titles. */
void exa_plot_draw(exa_svg *svg, const exa_plot *p, const char *x_title, const char *y_title);

exa_status exa_figure_degrees(const exa_circuit *c, const char *folder);
exa_status exa_figure_triads(const exa_circuit *c, const char *folder);
exa_status exa_figure_communities(const exa_circuit *c, const char *folder);
exa_status exa_figure_distance(const exa_circuit *c, const char *folder);

#endif
