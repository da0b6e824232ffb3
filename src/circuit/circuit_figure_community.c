/* The connection matrix, neurons sorted by community and within one by degree. A graph larger than the picture is
 * binned: a cell then shows the density of connections between two groups of neurons. */
#include "circuit_figure_internal.h"

#include "exaconn/box.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CELLS = 256, SIDE = 640, LEFT = 96, TOP = 96 };

typedef struct ranked_node {
    uint32_t community, degree, node;
} ranked_node;

typedef struct matrix {
    uint32_t *cell_of; /* owned; [nodes] the row and column of each node */
    uint64_t *count;   /* owned; [cells, cells] connections */
    uint32_t *members; /* owned; [cells] nodes in each */
    uint32_t cells;
} matrix;

static int by_community(const void *a, const void *b) {
    const ranked_node *x = a, *y = b;
    if (x->community != y->community) return x->community < y->community ? -1 : 1;
    if (x->degree != y->degree) return x->degree > y->degree ? -1 : 1;
    return x->node < y->node ? -1 : x->node > y->node;
}

static exa_status sort_nodes(const exa_circuit *c, matrix *m) {
    uint32_t n = c->degrees.nodes;
    ranked_node *order;

    EXA_TRY(exa_alloc(n, sizeof *order, "a figure", &order));
    for (uint32_t v = 0; v < n; v++) order[v] = (ranked_node){c->communities.of[v], c->degrees.neighbors[v], v};
    qsort(order, n, sizeof *order, by_community);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t cell = (uint32_t)((uint64_t)i * m->cells / n);
        m->cell_of[order[i].node] = cell;
        m->members[cell]++;
    }
    free(order);
    return EXA_OK;
}

static exa_status make_matrix(const exa_circuit *c, matrix *m) {
    const exa_graph *g = &c->list->graph;

    m->cells = g->nodes <= 2 * MOST_CELLS ? g->nodes : MOST_CELLS;
    EXA_TRY(exa_alloc(g->nodes, sizeof *m->cell_of, "a figure", &m->cell_of));
    EXA_TRY(exa_calloc(m->cells, sizeof *m->members, "a figure", &m->members));
    EXA_TRY(exa_calloc((size_t)m->cells * m->cells, sizeof *m->count, "a figure", &m->count));
    EXA_TRY(sort_nodes(c, m));
    for (uint32_t v = 0; v < g->nodes; v++)
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++)
            m->count[(size_t)m->cell_of[v] * m->cells + m->cell_of[g->target[i]]]++;
    return EXA_OK;
}

static double density(const matrix *m, size_t k) {
    return (double)m->count[k] / ((double)m->members[k / m->cells] * m->members[k % m->cells]);
}

/* Levels are even on a logarithmic scale from the least to the most density there is. */
static int level_of(double value, double least, double most) {
    int level = most > least ? 1 + (int)(log(value / least) / log(most / least) * EXA_SVG_LEVELS) : EXA_SVG_LEVELS;
    return level > EXA_SVG_LEVELS ? EXA_SVG_LEVELS : level < 1 ? 1 : level;
}

/* One path for each level, of runs of cells in a row. */
static void draw_cells(exa_svg *svg, const matrix *m, double least, double most) {
    uint32_t n = m->cells;

    exa_json_text_add(&svg->text, "<g transform=\"translate(%d %d) scale(%.6f)\" shape-rendering=\"crispEdges\">\n",
                      LEFT, TOP, (double)SIDE / n);
    for (int level = 1; level <= EXA_SVG_LEVELS; level++) {
        exa_json_text_add(&svg->text, "<path class=\"l%d\" d=\"M0 0", level);
        for (uint32_t row = 0; row < n; row++) {
            for (uint32_t first = 0, end; first < n; first = end) {
                size_t k = (size_t)row * n + first;
                end = first + 1;
                if (!m->count[k] || level_of(density(m, k), least, most) != level) continue;
                while (end < n && m->count[k + end - first] &&
                       level_of(density(m, k + end - first), least, most) == level)
                    end++;
                exa_json_text_add(&svg->text, "M%u %uh%uv1h-%uz", first, row, end - first, end - first);
            }
        }
        exa_json_text_add(&svg->text, "\"/>\n");
    }
    exa_json_text_add(&svg->text, "</g>\n");
}

/* Lines between communities, and their numbers where there is room. */
static void draw_communities(exa_svg *svg, const exa_circuit *c) {
    double before = 0, scale = (double)SIDE / c->degrees.nodes;

    for (uint32_t k = 0; k < c->communities.count; k++) {
        double first = before * scale, end = (before + c->communities.size[k]) * scale;
        char fill[16];

        snprintf(fill, sizeof fill, "c%u", k % EXA_SVG_SERIES);
        exa_json_text_add(&svg->text,
                          "<rect class=\"%s\" x=\"%d\" y=\"%.2f\" width=\"6\" height=\"%.2f\"/>"
                          "<rect class=\"%s\" x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"6\"/>\n",
                          fill, LEFT - 10, TOP + first, end - first > 1 ? end - first - 1 : end - first, fill,
                          LEFT + first, TOP - 10, end - first > 1 ? end - first - 1 : end - first);
        if (end - first >= 14) {
            exa_svg_label(svg, LEFT - 16, TOP + (first + end) / 2 + 4.5, "ink number", "end", "%u", k + 1);
            exa_svg_label(svg, LEFT + SIDE + 10, TOP + (first + end) / 2 + 4.5, "soft small number", "start",
                          "%u neurons", c->communities.size[k]);
            if (k) exa_svg_line(svg, LEFT, TOP + first, LEFT + SIDE, TOP + first, "grid");
            if (k) exa_svg_line(svg, LEFT + first, TOP, LEFT + first, TOP + SIDE, "grid");
        }
        before += c->communities.size[k];
    }
    exa_json_text_add(&svg->text, "<rect class=\"axis\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>\n", LEFT,
                      TOP, SIDE, SIDE);
}

static void draw_scale(exa_svg *svg, double least, double most, bool binned) {
    double y = TOP + SIDE + 40;

    if (!binned) {
        exa_json_text_add(&svg->text, "<rect class=\"l%d\" x=\"%d\" y=\"%.1f\" width=\"13\" height=\"13\"/>\n",
                          EXA_SVG_LEVELS, LEFT, y);
        exa_svg_label(svg, LEFT + 20, y + 11, "soft", "start", "connected");
        return;
    }
    exa_svg_label(svg, LEFT, y + 11, "soft", "start", "share of pairs connected");
    for (int level = 1; level <= EXA_SVG_LEVELS; level++)
        exa_json_text_add(&svg->text, "<rect class=\"l%d\" x=\"%d\" y=\"%.1f\" width=\"34\" height=\"13\"/>\n",
                          level, LEFT + 232 + 34 * (level - 1), y);
    exa_svg_label(svg, LEFT + 226, y + 11, "soft number", "end", "%.2g", least);
    exa_svg_label(svg, LEFT + 238 + 34 * EXA_SVG_LEVELS, y + 11, "soft number", "start", "%.2g", most);
}

exa_status exa_figure_communities(const exa_circuit *c, const char *folder) {
    matrix m = {.cells = 0};
    double least = INFINITY, most = 0;
    char subtitle[200];
    exa_svg svg;
    exa_status st = make_matrix(c, &m);

    if (st != EXA_OK) goto done;
    for (size_t k = 0; k < (size_t)m.cells * m.cells; k++) {
        if (!m.count[k]) continue;
        least = fmin(least, density(&m, k));
        most = fmax(most, density(&m, k));
    }
    snprintf(subtitle, sizeof subtitle,
             "%u neurons in %u communities, modularity %.3f; rows presynaptic, columns "
             "postsynaptic",
             c->degrees.nodes, c->communities.count, isnan(c->modularity) ? 0 : c->modularity);
    exa_svg_begin(&svg, LEFT + SIDE + 110, TOP + SIDE + 76, "Connections by community", subtitle);
    draw_cells(&svg, &m, least, most);
    draw_communities(&svg, c);
    draw_scale(&svg, least, most, m.cells < c->degrees.nodes);
    st = exa_svg_write(&svg, folder, "communities.svg");
done:
    free(m.cell_of);
    free(m.count);
    free(m.members);
    return st;
}
