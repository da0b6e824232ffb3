/* Chance and weight of a connection against the distance between two neurons. */
#include "circuit_figure_internal.h"

#include <math.h>
#include <stdio.h>

static double middle_um(const exa_distance_profile *d, uint32_t bin) {
    return ((double)bin + 0.5) * d->width_nm / 1000;
}

/* Bars are standard errors: binomial for the chance, of the mean for the weight. */
static void draw_point(exa_svg *svg, const exa_plot *p, double x, double y, double error, int series) {
    static const char *const lines[] = {"thin s0", "thin s1"}, *const dots[] = {"c0", "c1"};
    double low = p->log_y && y - error <= pow(10, p->y0) ? pow(10, p->y0) : y - error;

    if (error > 0)
        exa_svg_line(svg, exa_plot_x(p, x), exa_plot_y(p, low), exa_plot_x(p, x), exa_plot_y(p, y + error),
                     lines[series]);
    exa_svg_circle(svg, exa_plot_x(p, x), exa_plot_y(p, y), 4, dots[series]);
}

static void draw_chance(exa_svg *svg, const exa_distance_profile *d) {
    exa_plot p = {.left = 78,
                  .top = 100,
                  .right = 438,
                  .bottom = 400,
                  .log_y = true,
                  .x1 = d->bins * d->width_nm / 1000,
                  .y0 = 0,
                  .y1 = -30};

    for (uint32_t b = 0; b < d->bins; b++) {
        double chance = d->pairs[b] ? (double)d->connected[b] / (double)d->pairs[b] : 0;
        if (chance <= 0) continue;
        p.y0 = fmin(p.y0, floor(log10(chance) * 2) / 2);
        p.y1 = fmax(p.y1, ceil(log10(chance) * 2) / 2);
    }
    if (p.y1 <= p.y0) p.y1 = p.y0 + 1;
    exa_plot_draw(svg, &p, "distance, um", "chance of a connection");
    for (uint32_t b = 0; b < d->bins; b++) {
        double n = (double)d->pairs[b], chance = n > 0 ? (double)d->connected[b] / n : 0;
        if (chance > 0) draw_point(svg, &p, middle_um(d, b), chance, sqrt(chance * (1 - chance) / n), 0);
    }
    if (!isnan(d->length_nm))
        exa_svg_label(svg, p.right, p.top + 16, "soft", "end", "P falls by e every %.3g um", d->length_nm / 1000);
}

static void draw_weight(exa_svg *svg, const exa_distance_profile *d) {
    exa_plot p = {
        .left = 536, .top = 100, .right = 896, .bottom = 400, .x1 = d->bins * d->width_nm / 1000, .y1 = 1};

    for (uint32_t b = 0; b < d->bins; b++) {
        double error = d->connected[b] > 1 ? d->weight_sd[b] / sqrt((double)d->connected[b]) : 0;
        if (d->connected[b]) p.y1 = fmax(p.y1, (d->weight[b] + error) * 1.1);
    }
    exa_plot_draw(svg, &p, "distance, um", "mean weight of a connection");
    for (uint32_t b = 0; b < d->bins; b++) {
        double error = d->connected[b] > 1 ? d->weight_sd[b] / sqrt((double)d->connected[b]) : 0;
        if (d->connected[b]) draw_point(svg, &p, middle_um(d, b), d->weight[b], error, 1);
    }
}

exa_status exa_figure_distance(const exa_circuit *c, const char *folder) {
    char subtitle[160];
    exa_svg svg;

    snprintf(subtitle, sizeof subtitle,
             "%u neurons, all pairs; lines are standard errors; mean length of a connection %.3g um",
             c->degrees.nodes, isnan(c->distance.mean_nm) ? 0 : c->distance.mean_nm / 1000);
    exa_svg_begin(&svg, 930, 470, "Distance", subtitle);
    draw_chance(&svg, &c->distance);
    draw_weight(&svg, &c->distance);
    return exa_svg_write(&svg, folder, "distance.svg");
}
