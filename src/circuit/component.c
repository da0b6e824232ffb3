/* Weak: union-find. Strong: Tarjan 1972, with a stack of our own, as a path may be as long as the graph. */
#include "exaconn/component.h"

#include "exaconn/box.h"

#include <stdlib.h>
#include <string.h>

/* ---- numbering ----------------------------------------------------------------------------------------------- */

typedef struct part {
    uint32_t label, first, size;
} part;

static int by_size(const void *a, const void *b) {
    const part *x = a, *y = b;
    if (x->size != y->size) return x->size > y->size ? -1 : 1;
    return x->first < y->first ? -1 : x->first > y->first;
}

exa_status exa_components_number(uint32_t *label, uint32_t nodes, exa_components *out) {
    exa_components c = {.nodes = nodes};
    part *parts = NULL;
    uint32_t *number = NULL;
    exa_status st;

    EXA_GOTO(done, exa_calloc(nodes, sizeof *parts, "components", &parts));
    EXA_GOTO(done, exa_alloc(nodes, sizeof *number, "components", &number));
    EXA_GOTO(done, exa_alloc(nodes, sizeof *c.size, "components", &c.size));
    for (uint32_t v = 0; v < nodes; v++) {
        part *p = &parts[label[v]];
        if (p->size++ == 0) *p = (part){label[v], v, 1};
    }
    qsort(parts, nodes, sizeof *parts, by_size);
    for (; c.count < nodes && parts[c.count].size; c.count++) {
        number[parts[c.count].label] = c.count;
        c.size[c.count] = parts[c.count].size;
    }
    for (uint32_t v = 0; v < nodes; v++) label[v] = number[label[v]];
    c.of = label;
    *out = c;
    c.size = NULL;
done:
    free(parts);
    free(number);
    free(c.size);
    return st;
}

/* ---- weak ---------------------------------------------------------------------------------------------------- */

static uint32_t root_of(uint32_t *parent, uint32_t v) {
    while (parent[v] != v) {
        parent[v] = parent[parent[v]];
        v = parent[v];
    }
    return v;
}

exa_status exa_components_weak(const exa_graph *g, exa_components *out) {
    uint32_t *parent;
    exa_status st;

    EXA_TRY(exa_alloc(g->nodes, sizeof *parent, "components", &parent));
    for (uint32_t v = 0; v < g->nodes; v++) parent[v] = v;
    for (uint32_t v = 0; v < g->nodes; v++) {
        for (uint64_t i = g->begin[v]; i < g->begin[v + 1]; i++) {
            uint32_t a = root_of(parent, v), b = root_of(parent, g->target[i]);
            if (a < b) {
                parent[b] = a;
            } else {
                parent[a] = b;
            }
        }
    }
    for (uint32_t v = 0; v < g->nodes; v++) parent[v] = root_of(parent, v);
    st = exa_components_number(parent, g->nodes, out);
    if (st != EXA_OK) free(parent);
    return st;
}

/* ---- strong -------------------------------------------------------------------------------------------------- */

typedef struct search {
    const exa_graph *g;
    uint64_t *next;  /* owned; the edge of each node to look at */
    uint32_t *index; /* owned; order of discovery + 1; 0 = not yet */
    uint32_t *low, *path, *open,
        *label; /* owned; path: the nodes from the root to here; open: of no component yet */
    uint32_t path_size, open_size, found, labels;
} search;

static void enter(search *s, uint32_t v) {
    s->index[v] = s->low[v] = ++s->found;
    s->next[v] = s->g->begin[v];
    s->path[s->path_size++] = v;
    s->open[s->open_size++] = v;
}

/* A node whose edges are all seen: the root of a component takes all that was opened after it. */
static void leave(search *s, uint32_t v) {
    s->path_size--;
    if (s->path_size) {
        uint32_t above = s->path[s->path_size - 1];
        if (s->low[v] < s->low[above]) s->low[above] = s->low[v];
    }
    if (s->low[v] != s->index[v]) return;
    for (uint32_t w = UINT32_MAX; w != v;) {
        w = s->open[--s->open_size];
        s->label[w] = s->labels;
        s->low[w] = UINT32_MAX; /* closed */
    }
    s->labels++;
}

static void search_from(search *s, uint32_t root) {
    enter(s, root);
    while (s->path_size) {
        uint32_t v = s->path[s->path_size - 1], w;
        if (s->next[v] == s->g->begin[v + 1]) {
            leave(s, v);
            continue;
        }
        w = s->g->target[s->next[v]++];
        if (!s->index[w]) {
            enter(s, w);
        } else if (s->low[w] != UINT32_MAX && s->index[w] < s->low[v]) {
            s->low[v] = s->index[w];
        }
    }
}

exa_status exa_components_strong(const exa_graph *g, exa_components *out) {
    search s = {.g = g};
    exa_status st;

    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *s.next, "components", &s.next));
    EXA_GOTO(done, exa_calloc(g->nodes, sizeof *s.index, "components", &s.index));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *s.low, "components", &s.low));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *s.path, "components", &s.path));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *s.open, "components", &s.open));
    EXA_GOTO(done, exa_alloc(g->nodes, sizeof *s.label, "components", &s.label));
    for (uint32_t v = 0; v < g->nodes; v++)
        if (!s.index[v]) search_from(&s, v);
    EXA_GOTO(done, exa_components_number(s.label, g->nodes, out));
    s.label = NULL;
done:
    free(s.next);
    free(s.index);
    free(s.low);
    free(s.path);
    free(s.open);
    free(s.label);
    return st;
}

/* ---- both ---------------------------------------------------------------------------------------------------- */

void exa_components_destroy(exa_components *c) {
    free(c->of);
    free(c->size);
    memset(c, 0, sizeof *c);
}

exa_status exa_components_largest(const exa_components *c, const exa_graph *g, uint32_t *numbers, exa_graph *out) {
    uint8_t *keep;
    exa_status st;

    EXA_TRY(exa_alloc(g->nodes, 1, "marks of nodes", &keep));
    for (uint32_t v = 0; v < g->nodes; v++) keep[v] = c->of[v] == 0;
    st = exa_graph_subgraph(g, keep, numbers, out);
    free(keep);
    return st;
}
