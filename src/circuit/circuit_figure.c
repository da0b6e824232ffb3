/* Axes, which the figures share, and the figure of degrees. */
#include "circuit_figure_internal.h"

#include "exaconn/box.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- axes ---------------------------------------------------------------------------------------------------- */

double exa_plot_x(const exa_plot *p, double x) {
    return p->left + ((p->log_x ? log10(x) : x) - p->x0) / (p->x1 - p->x0) * (p->right - p->left);
}

double exa_plot_y(const exa_plot *p, double y) {
    return p->bottom - ((p->log_y ? log10(y) : y) - p->y0) / (p->y1 - p->y0) * (p->bottom - p->top);
}

/* 1, 2 or 5 times a power of ten, some six of which fill the range. */
static double tick_step(double range) {
    double power = pow(10, floor(log10(range / 5))), times = range / 5 / power;
    return power * (times < 1.5 ? 1 : times < 3.5 ? 2 : times < 7.5 ? 5 : 10);
}

static void draw_tick(exa_svg *svg, const exa_plot *p, bool horizontal, double value) {
    if (horizontal) {
        double x = exa_plot_x(p, value);
        exa_svg_line(svg, x, p->top, x, p->bottom, "grid");
        exa_svg_label(svg, x, p->bottom + 18, "soft number", "middle", "%.6g", value);
    } else {
        double y = exa_plot_y(p, value);
        exa_svg_line(svg, p->left, y, p->right, y, "grid");
        exa_svg_label(svg, p->left - 8, y + 4.5, "soft number", "end", "%.6g", value);
    }
}

static void draw_ticks(exa_svg *svg, const exa_plot *p, bool horizontal) {
    double low = horizontal ? p->x0 : p->y0, high = horizontal ? p->x1 : p->y1;

    if (horizontal ? p->log_x : p->log_y) {
        bool few = high - low < 1.6;
        for (double power = floor(low); power <= high + 1e-9; power++) {
            for (int times = 1; times <= 5; times += times == 2 ? 3 : 1) {
                double at = power + log10(times);
                if ((times == 1 || few) && at >= low - 1e-9 && at <= high + 1e-9)
                    draw_tick(svg, p, horizontal, times * pow(10, power));
            }
        }
    } else {
        double step = tick_step(high - low);
        for (double k = ceil(low / step - 1e-9); k * step <= high + 1e-9 * step; k++)
            draw_tick(svg, p, horizontal, k == 0 ? 0 : k * step);
    }
}

void exa_plot_draw(exa_svg *svg, const exa_plot *p, const char *x_title, const char *y_title) {
    draw_ticks(svg, p, true);
    draw_ticks(svg, p, false);
    exa_svg_line(svg, p->left, p->bottom, p->right, p->bottom, "axis");
    exa_svg_label(svg, (p->left + p->right) / 2, p->bottom + 42, "ink", "middle", "%s", x_title);
    exa_svg_label(svg, p->left - 8, p->top - 12, "ink", "start", "%s", y_title);
}

/* ---- degrees ------------------------------------------------------------------------------------------------- */

static int descending(const void *a, const void *b) {
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* The share of nodes with k or more, at each k that occurs. Nodes without any have no place on a log axis. */
static exa_status draw_curve(exa_svg *svg, const exa_plot *p, const uint32_t *degree, uint32_t nodes, int series) {
    uint32_t *sorted;
    bool begun = false;

    EXA_TRY(exa_alloc(nodes, sizeof *sorted, "a figure", &sorted));
    memcpy(sorted, degree, nodes * sizeof *sorted);
    qsort(sorted, nodes, sizeof *sorted, descending);
    exa_json_text_add(&svg->text, "<path class=\"line s%d\" d=\"", series);
    for (uint32_t i = 0; i < nodes && sorted[i]; i++) {
        if (i + 1 < nodes && sorted[i + 1] == sorted[i]) continue;
        exa_json_text_add(&svg->text, "%c%.2f %.2f", begun ? 'L' : 'M', exa_plot_x(p, sorted[i]),
                          exa_plot_y(p, (double)(i + 1) / nodes));
        begun = true;
    }
    exa_json_text_add(&svg->text, begun ? "\"/>\n" : "M0 0\"/>\n");
    free(sorted);
    return EXA_OK;
}

static void draw_key(exa_svg *svg, const exa_circuit *c, const uint32_t *degree, const char *name, int series) {
    double sum = 0, x = svg->width - 236, y = 104 + 46 * series;
    uint32_t most = 0;

    for (uint32_t v = 0; v < c->degrees.nodes; v++) {
        sum += degree[v];
        if (degree[v] > most) most = degree[v];
    }
    exa_svg_circle(svg, x, y - 4.5, 5, (const char *[]){"c0", "c1", "c2", "c3"}[series]);
    exa_svg_label(svg, x + 14, y, "ink strong", "start", "%s", name);
    exa_svg_label(svg, x + 14, y + 17, "soft small", "start", "mean %.2f, largest %u", sum / c->degrees.nodes,
                  most);
}

exa_status exa_figure_degrees(const exa_circuit *c, const char *folder) {
    const exa_degrees *d = &c->degrees;
    bool undirected = c->list->graph.undirected;
    uint32_t most = 2;
    char subtitle[160];
    exa_plot p = {
        .left = 78, .top = 96, .right = 524, .bottom = 440, .log_x = true, .log_y = true, .x0 = 0, .y1 = 0};
    exa_svg svg;
    exa_status st = EXA_OK;

    for (uint32_t v = 0; v < d->nodes; v++)
        if (d->neighbors[v] > most) most = d->neighbors[v];
    p.x1 = log10(most) * 1.02;
    p.y0 = -log10(d->nodes > 10 ? d->nodes : 10);
    snprintf(subtitle, sizeof subtitle,
             "%u neurons, %llu connections; share of neurons with at least so many partners", d->nodes,
             (unsigned long long)(undirected ? c->list->graph.edges / 2 : c->list->graph.edges));
    exa_svg_begin(&svg, 780, 510, "Degree distributions", subtitle);
    exa_plot_draw(&svg, &p, "degree k", "share of neurons with degree k or more");
    if (!undirected) st = draw_curve(&svg, &p, d->in, d->nodes, 1);
    if (st == EXA_OK && !undirected) st = draw_curve(&svg, &p, d->out, d->nodes, 2);
    if (st == EXA_OK) st = draw_curve(&svg, &p, d->neighbors, d->nodes, 0);
    draw_key(&svg, c, d->neighbors, undirected ? "neighbours" : "neighbours, either way", 0);
    if (!undirected) draw_key(&svg, c, d->in, "in (presynaptic partners)", 1);
    if (!undirected) draw_key(&svg, c, d->out, "out (postsynaptic partners)", 2);
    if (st == EXA_OK) return exa_svg_write(&svg, folder, "degrees.svg");
    free(svg.text.data);
    return st;
}

exa_status exa_circuit_draw(const exa_circuit *c, const char *folder) {
    EXA_TRY(exa_figure_degrees(c, folder));
    if (c->options.parts & EXA_CIRCUIT_TRIADS) EXA_TRY(exa_figure_triads(c, folder));
    if (c->options.parts & EXA_CIRCUIT_COMMUNITIES) EXA_TRY(exa_figure_communities(c, folder));
    if (c->has_distance) EXA_TRY(exa_figure_distance(c, folder));
    return EXA_OK;
}
