/* Candidates from the contingency table of two chunks' labels in the region they share. */
#include "exaconn/overlap.h"

#include "exaconn/contingency.h"

#include <stdlib.h>
#include <string.h>

exa_box exa_overlap_region(const exa_box *a, const exa_box *b, const exa_box *all, const exa_coord rim[3]) {
    const exa_box *chunks[2] = {a, b};
    exa_box region = exa_box_intersect(a, b);

    for (int i = 0; i < 3; i++) {
        exa_coord from = region.start[i], to = from + region.shape[i];
        for (int c = 0; c < 2; c++) {
            exa_coord first = chunks[c]->start[i], end = first + chunks[c]->shape[i];
            if (first > all->start[i] && from < first + rim[i]) from = first + rim[i];
            if (end < all->start[i] + all->shape[i] && to > end - rim[i]) to = end - rim[i];
        }
        region.start[i] = from;
        region.shape[i] = to > from ? to - from : 0;
    }
    return region;
}

/* Neighbours along x mostly have the same labels: one look-up for each run. */
static exa_status count_runs(exa_contingency *table, const exa_segid *a, const exa_segid *b, size_t voxels) {
    size_t begin = 0;

    for (size_t i = 1; i <= voxels; i++) {
        if (i < voxels && a[i] == a[begin] && b[i] == b[begin]) continue;
        EXA_TRY(exa_contingency_add(table, a[begin], b[begin], i - begin));
        begin = i;
    }
    return EXA_OK;
}

static size_t list_candidates(const exa_contingency_tables *t, exa_candidate *list) {
    size_t n = 0;

    for (size_t i = 0; i < t->pair_count; i++) {
        const exa_contingency_pair *p = &t->pairs[i];
        if (p->a == 0 || p->b == 0) continue;
        list[n++] = (exa_candidate){.a = p->a,
                                    .b = p->b,
                                    .shared = p->count,
                                    .size_a = exa_contingency_total_of(t->of_a, t->a_count, p->a),
                                    .size_b = exa_contingency_total_of(t->of_b, t->b_count, p->b)};
    }
    return n;
}

/* Where `label` stands in sorted totals; it is there. */
static size_t index_of(const exa_contingency_total *totals, size_t n, exa_segid label) {
    return (size_t)(exa_contingency_find(totals, n, label) - totals);
}

/* Candidates come in order of a, then b, so that the first of equals has the partner of the smaller id. */
static exa_status mark_best(const exa_contingency_tables *t, exa_candidate *list, size_t n) {
    size_t *of_a = NULL, *of_b = NULL; /* the best candidate of each label */
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_alloc(t->a_count, sizeof *of_a, "best overlaps", &of_a));
    EXA_GOTO(done, exa_alloc(t->b_count, sizeof *of_b, "best overlaps", &of_b));
    memset(of_a, 0xFF, t->a_count * sizeof *of_a);
    memset(of_b, 0xFF, t->b_count * sizeof *of_b);
    for (size_t i = 0; i < n; i++) {
        size_t *best_a = &of_a[index_of(t->of_a, t->a_count, list[i].a)];
        size_t *best_b = &of_b[index_of(t->of_b, t->b_count, list[i].b)];
        if (*best_a == SIZE_MAX || list[i].shared > list[*best_a].shared) *best_a = i;
        if (*best_b == SIZE_MAX || list[i].shared > list[*best_b].shared) *best_b = i;
    }
    for (size_t i = 0; i < n; i++) {
        unsigned best = of_a[index_of(t->of_a, t->a_count, list[i].a)] == i ? 1 : 0;
        if (of_b[index_of(t->of_b, t->b_count, list[i].b)] == i) best |= 2;
        list[i].best = (unsigned char)best;
    }
done:
    free(of_a);
    free(of_b);
    return st;
}

exa_status exa_overlap_candidates(const exa_segid *a, const exa_segid *b, size_t voxels, exa_candidate **list,
                                  size_t *count) {
    exa_contingency *table = NULL;
    exa_contingency_tables tables = {0};
    exa_candidate *made = NULL;
    exa_status st = EXA_OK;
    size_t n;

    EXA_TRY(exa_contingency_create(&table));
    EXA_GOTO(done, count_runs(table, a, b, voxels));
    EXA_GOTO(done, exa_contingency_tables_make(table, &tables));
    EXA_GOTO(done, exa_alloc(tables.pair_count, sizeof *made, "candidates of stitching", &made));
    n = list_candidates(&tables, made);
    EXA_GOTO(done, mark_best(&tables, made, n));
    *list = made;
    *count = n;
    made = NULL;
done:
    free(made);
    exa_contingency_tables_destroy(&tables);
    exa_contingency_destroy(&table);
    return st;
}

double exa_candidate_fraction(const exa_candidate *c) {
    return (double)c->shared / (double)(c->size_a < c->size_b ? c->size_a : c->size_b);
}

double exa_candidate_jaccard(const exa_candidate *c) {
    return (double)c->shared / (double)(c->size_a + c->size_b - c->shared);
}

bool exa_candidate_passes(const exa_candidate *c, const exa_overlap_options *o) {
    bool best = o->best == EXA_MATCH_ANY || c->best == 3 || (o->best == EXA_MATCH_ONE && c->best != 0);

    if (c->shared < o->min_voxels) return false;
    if (o->min_contained < 1 && exa_candidate_fraction(c) >= o->min_contained) return true;
    return best && exa_candidate_fraction(c) >= o->min_fraction && exa_candidate_jaccard(c) >= o->min_jaccard;
}
