/* The sixteen triads, drawn, and how far each is from chance. z spans from 1 to 1000: the axis is asinh(z). */
#include "circuit_figure_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { ROW = 38, TOP = 138, GLYPH_X = 52, AXIS_LEFT = 330, AXIS_RIGHT = 740 };

/* Who connects to whom, as pairs of a = top, b = left, c = right. */
static const char *const wiring[EXA_TRIAD_TYPES] = {"",
                                                    "ab",
                                                    "ab ba",
                                                    "ab ac",
                                                    "ba ca",
                                                    "ba ac",
                                                    "ab ba ca",
                                                    "ab ba ac",
                                                    "ab ac bc",
                                                    "ab bc ca",
                                                    "ab ba ac ca",
                                                    "ab ac bc cb",
                                                    "ba ca bc cb",
                                                    "ba ac bc cb",
                                                    "ab ba ac ca bc",
                                                    "ab ba ac ca bc cb"};

static void draw_arrow(exa_svg *svg, const double from[2], const double to[2], bool mutual) {
    double dx = to[0] - from[0], dy = to[1] - from[1], length = sqrt(dx * dx + dy * dy);
    double ux = dx / length, uy = dy / length;
    /* two ways side by side would be one thick line: each bends to its own side */
    double off = mutual ? 2.6 : 0, sx = from[0] + ux * 5 - uy * off, sy = from[1] + uy * 5 + ux * off;
    double ex = to[0] - ux * 5 - uy * off, ey = to[1] - uy * 5 + ux * off;

    exa_svg_line(svg, sx, sy, ex - ux * 3, ey - uy * 3, "edge");
    exa_json_text_add(&svg->text, "<path class=\"head\" d=\"M%.2f %.2fL%.2f %.2fL%.2f %.2fz\"/>\n", ex, ey,
                      ex - 6 * ux - 3 * uy, ey - 6 * uy + 3 * ux, ex - 6 * ux + 3 * uy, ey - 6 * uy - 3 * ux);
}

static void draw_glyph(exa_svg *svg, int triad, double y) {
    const double at[3][2] = {{GLYPH_X, y - 11}, {GLYPH_X - 17, y + 10}, {GLYPH_X + 17, y + 10}};
    const char *w = wiring[triad];

    for (const char *p = w; *p; p += p[2] ? 3 : 2) {
        bool mutual = false;
        for (const char *q = w; *q; q += q[2] ? 3 : 2) mutual |= q[0] == p[1] && q[1] == p[0];
        draw_arrow(svg, at[p[0] - 'a'], at[p[1] - 'a'], mutual);
    }
    for (int i = 0; i < 3; i++) exa_svg_circle(svg, at[i][0], at[i][1], 3.6, "node");
}

static double largest_z(const exa_circuit *c) {
    double most = 5;

    for (uint32_t m = 0; m < c->null_count; m++)
        for (int i = 0; i < EXA_TRIAD_TYPES; i++)
            if (fabs(c->nulls[m].statistic[i].z) > most) most = fabs(c->nulls[m].statistic[i].z);
    return most;
}

static double place(double z, double most) {
    return (AXIS_LEFT + AXIS_RIGHT) / 2.0 + asinh(z) / asinh(most * 1.1) * (AXIS_RIGHT - AXIS_LEFT) / 2.0;
}

static void draw_axis(exa_svg *svg, double most, double bottom) {
    static const double ticks[] = {0, 2, 10, 100, 1000, 10000, 100000};

    exa_json_text_add(&svg->text, "<rect class=\"band\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%.2f\"/>\n",
                      place(-2, most), TOP - 22, place(2, most) - place(-2, most), bottom - TOP + 22);
    for (size_t i = 0; i < sizeof ticks / sizeof *ticks && ticks[i] <= most * 1.1; i++) {
        for (int sign = ticks[i] > 0 ? -1 : 1; sign <= 1; sign += 2) {
            double x = place(sign * ticks[i], most);
            exa_svg_line(svg, x, TOP - 22, x, bottom, ticks[i] == 0 ? "axis" : "grid");
            if (ticks[i] < 1000) exa_svg_label(svg, x, bottom + 18, "soft number", "middle", "%g", sign * ticks[i]);
            if (ticks[i] >= 1000)
                exa_svg_label(svg, x, bottom + 18, "soft number", "middle", "%gk", sign * ticks[i] / 1000);
        }
    }
    exa_svg_label(svg, (AXIS_LEFT + AXIS_RIGHT) / 2.0, bottom + 42, "ink", "middle",
                  "z: standard deviations from the random graphs' mean");
}

static void draw_scores(exa_svg *svg, const exa_circuit *c, int triad, double y, double most) {
    for (uint32_t m = 0; m < c->null_count; m++) {
        const exa_null_summary *s = &c->nulls[m].statistic[triad];
        double at = y + ((double)m - (c->null_count - 1) / 2.0) * 8;
        char line[16], dot[16];

        if (isnan(s->z)) continue;
        snprintf(line, sizeof line, "thin s%d", (int)c->nulls[m].model);
        snprintf(dot, sizeof dot, "c%d", (int)c->nulls[m].model);
        exa_svg_line(svg, place(0, most), at, place(s->z, most), at, line);
        exa_svg_circle(svg, place(s->z, most), at, 4, dot);
    }
}

static void draw_keys(exa_svg *svg, const exa_circuit *c) {
    double x = AXIS_LEFT;

    for (uint32_t m = 0; m < c->null_count; m++) {
        const char *name = exa_null_model_names[c->nulls[m].model];
        char dot[16];
        snprintf(dot, sizeof dot, "c%d", (int)c->nulls[m].model);
        exa_svg_circle(svg, x, TOP - 44.5, 5, dot);
        exa_svg_label(svg, x + 12, TOP - 40, "ink", "start", "%s", name);
        x += 32 + 7.6 * (double)strlen(name);
    }
}

/* Without random graphs: how many there are, on a logarithmic scale. */
static void draw_bar(exa_svg *svg, const exa_circuit *c, int triad, double y) {
    double most = 1, n = (double)c->triads.count[triad];

    for (int i = 0; i < EXA_TRIAD_TYPES; i++)
        if ((double)c->triads.count[i] > most) most = (double)c->triads.count[i];
    if (n < 1) return;
    exa_json_text_add(&svg->text,
                      "<rect class=\"c0\" x=\"%d\" y=\"%.2f\" width=\"%.2f\" height=\"14\" rx=\"2\"/>\n", AXIS_LEFT,
                      y - 7, 2 + (AXIS_RIGHT - AXIS_LEFT - 2) * log10(n) / log10(most > 10 ? most : 10));
}

exa_status exa_figure_triads(const exa_circuit *c, const char *folder) {
    double most = largest_z(c), bottom = TOP + ROW * (EXA_TRIAD_TYPES - 1) + 24;
    char subtitle[160], text[EXA_U128_BYTES];
    exa_svg svg;

    if (c->null_count) {
        snprintf(subtitle, sizeof subtitle,
                 "all sets of three neurons, against %u random graphs of each null model", c->options.replicas);
    } else {
        snprintf(subtitle, sizeof subtitle, "all sets of three neurons; bars: number, logarithmic");
    }
    exa_svg_begin(&svg, 780, bottom + (c->null_count ? 66 : 24), "Triads", subtitle);
    exa_svg_label(&svg, 96, TOP - 40, "soft", "start", "type");
    exa_svg_label(&svg, 300, TOP - 40, "soft", "end", "number");
    if (c->null_count) draw_axis(&svg, most, bottom);
    if (c->null_count) draw_keys(&svg, c);
    for (int i = 0; i < EXA_TRIAD_TYPES; i++) {
        double y = TOP + ROW * i;
        draw_glyph(&svg, i, y);
        exa_svg_label(&svg, 96, y + 4.5, "ink strong", "start", "%s", exa_triad_names[i]);
        exa_svg_label(&svg, 300, y + 4.5, "ink number", "end", "%s", exa_u128_text(c->triads.count[i], text));
        if (c->null_count) {
            draw_scores(&svg, c, i, y, most);
        } else {
            draw_bar(&svg, c, i, y);
        }
    }
    return exa_svg_write(&svg, folder, "triads.svg");
}
