/* Scores are read off the sorted contingency table (exaconn/contingency.h) of segments and truth.
 *
 * Every term of the entropies is formed as n * log2(total / n) >= 0, so nothing cancels, and summed by Kahan's
 * method in sorted order: the result depends on the counts alone. Sums of squares are exact in 128 bits.
 */
#include "exaconn/evaluation.h"

#include "exaconn/contingency.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 uint128;

struct exa_evaluation {
    exa_contingency *table; /* owned; a is the segment, b the truth */
    uint64_t voxels, ignored;
    exa_eval_ignore ignore;
};

/* ---- counting ------------------------------------------------------------------------------------------------ */

exa_status exa_evaluation_create(exa_eval_ignore ignore, exa_evaluation **out) {
    exa_evaluation *e;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *e, "an evaluation", &e));
    e->ignore = ignore;
    st = exa_contingency_create(&e->table);
    if (st != EXA_OK) {
        free(e);
        return st;
    }
    *out = e;
    return EXA_OK;
}

void exa_evaluation_destroy(exa_evaluation **evaluation) {
    if (!*evaluation) return;
    exa_contingency_destroy(&(*evaluation)->table);
    free(*evaluation);
    *evaluation = NULL;
}

static exa_status count_pair(exa_evaluation *e, exa_segid segment, exa_segid truth, uint64_t n) {
    if ((truth == 0 && e->ignore != EXA_EVAL_IGNORE_NONE) || (segment == 0 && e->ignore == EXA_EVAL_IGNORE_BOTH)) {
        e->ignored += n;
        return EXA_OK;
    }
    EXA_TRY(exa_contingency_add(e->table, segment, truth, n));
    e->voxels += n;
    return EXA_OK;
}

exa_status exa_evaluation_add(exa_evaluation *e, const exa_segid *segmentation, const exa_segid *truth, size_t n) {
    size_t begin = 0;

    /* Neighbours along x mostly have the same labels: one look-up for each run. */
    for (size_t i = 1; i <= n; i++) {
        if (i < n && segmentation[i] == segmentation[begin] && truth[i] == truth[begin]) continue;
        EXA_TRY(count_pair(e, segmentation[begin], truth[begin], i - begin));
        begin = i;
    }
    return EXA_OK;
}

/* ---- counting volumes ---------------------------------------------------------------------------------------- */

#define DEFAULT_MEMORY ((size_t)256 << 20)

/* Extents of the pieces a box is cut into: whole planes if one fits, else whole rows, else parts of a row; ending
 * at the storage chunks of the segmentation if they are small enough. */
static void choose_piece(const exa_box *box, const exa_coord chunk[3], size_t memory_bytes, exa_coord piece[3]) {
    exa_coord budget = (exa_coord)(memory_bytes / (2 * sizeof(exa_segid)));

    if (budget < 1) budget = 1;
    for (int a = 2; a >= 0; a--) {
        piece[a] = box->shape[a] < budget ? box->shape[a] : budget;
        if (piece[a] < 1) piece[a] = 1;
        if (piece[a] < box->shape[a] && chunk[a] > 0 && piece[a] > chunk[a]) piece[a] -= piece[a] % chunk[a];
        budget /= piece[a];
        if (budget < 1) budget = 1;
    }
}

/* The end of the piece that begins at `start`: `extent` further, or less to end where chunks end. */
static exa_coord piece_end(exa_coord start, exa_coord extent, exa_coord chunk, exa_coord limit) {
    exa_coord end = limit - start > extent ? start + extent : limit;
    if (end < limit && chunk > 0 && end - end % chunk > start) end -= end % chunk;
    return end;
}

typedef struct pair_reader {
    exa_evaluation *evaluation;
    exa_volume *segmentation, *truth;
    const exa_coord *shift;
    exa_segid *a, *b;
} pair_reader;

static exa_status add_piece(const pair_reader *r, const exa_box *piece) {
    exa_box there = *piece;
    int64_t n;

    for (int i = 0; i < 3; i++) there.start[i] += r->shift[i];
    EXA_TRY(exa_box_voxels(piece, &n));
    EXA_TRY(exa_volume_read(r->segmentation, piece, EXA_U64, r->a));
    EXA_TRY(exa_volume_read(r->truth, &there, EXA_U64, r->b));
    return exa_evaluation_add(r->evaluation, r->a, r->b, (size_t)n);
}

static exa_status add_pieces(const pair_reader *r, const exa_box *box, const exa_coord extent[3],
                             const exa_coord chunk[3]) {
    exa_coord end[3], limit[3];
    exa_box piece;

    for (int a = 0; a < 3; a++) limit[a] = box->start[a] + box->shape[a];
    for (piece.start[0] = box->start[0]; piece.start[0] < limit[0]; piece.start[0] = end[0]) {
        end[0] = piece_end(piece.start[0], extent[0], chunk[0], limit[0]);
        for (piece.start[1] = box->start[1]; piece.start[1] < limit[1]; piece.start[1] = end[1]) {
            end[1] = piece_end(piece.start[1], extent[1], chunk[1], limit[1]);
            for (piece.start[2] = box->start[2]; piece.start[2] < limit[2]; piece.start[2] = end[2]) {
                end[2] = piece_end(piece.start[2], extent[2], chunk[2], limit[2]);
                for (int a = 0; a < 3; a++) piece.shape[a] = end[a] - piece.start[a];
                EXA_TRY(add_piece(r, &piece));
            }
        }
    }
    return EXA_OK;
}

exa_status exa_evaluation_add_volumes(exa_evaluation *evaluation, exa_volume *segmentation, exa_volume *truth,
                                      const exa_box *box, const exa_coord shift[3], size_t memory_bytes) {
    pair_reader r = {evaluation, segmentation, truth, shift, NULL, NULL};
    exa_volume_info info;
    exa_coord extent[3];
    size_t n;
    exa_status st = EXA_OK;

    EXA_TRY(exa_volume_get_info(segmentation, &info));
    choose_piece(box, info.chunk, memory_bytes ? memory_bytes : DEFAULT_MEMORY, extent);
    n = (size_t)(extent[0] * extent[1] * extent[2]);
    EXA_GOTO(done, exa_alloc(n, sizeof *r.a, "voxels of the segmentation", &r.a));
    EXA_GOTO(done, exa_alloc(n, sizeof *r.b, "voxels of the truth", &r.b));
    EXA_GOTO(done, add_pieces(&r, box, extent, info.chunk));
done:
    free(r.a);
    free(r.b);
    return st;
}

/* ---- scores -------------------------------------------------------------------------------------------------- */

typedef struct kahan {
    double sum, lost;
} kahan;

static void kahan_add(kahan *k, double value) {
    double y = value - k->lost, next = k->sum + y;
    k->lost = (next - k->sum) - y;
    k->sum = next;
}

static uint128 square(uint64_t n) {
    return (uint128)n * n;
}

static void score_information(const exa_contingency_tables *t, double voxels, exa_eval_scores *s) {
    kahan split = {0, 0}, merge = {0, 0};

    for (size_t i = 0; i < t->pair_count; i++) {
        const exa_contingency_pair *p = &t->pairs[i];
        double n = (double)p->count;
        kahan_add(&split, n * log2((double)exa_contingency_total_of(t->of_b, t->b_count, p->b) / n));
        kahan_add(&merge, n * log2((double)exa_contingency_total_of(t->of_a, t->a_count, p->a) / n));
    }
    s->voi_split = split.sum / voxels;
    s->voi_merge = merge.sum / voxels;
}

static double harmonic_error(double precision, double recall) {
    return precision + recall > 0 ? 1.0 - 2.0 * precision * recall / (precision + recall) : 1.0;
}

static void score_pairs(const exa_contingency_tables *t, uint64_t voxels, exa_eval_scores *s) {
    uint128 both = 0, both_segmented = 0, segments = 0, segments_segmented = 0, truths = 0;
    uint64_t unsegmented = exa_contingency_total_of(t->of_a, t->a_count, 0);
    double pairs = (double)voxels * ((double)voxels - 1.0);

    for (size_t i = 0; i < t->pair_count; i++) {
        both += square(t->pairs[i].count);
        if (t->pairs[i].a != 0) both_segmented += square(t->pairs[i].count);
    }
    for (size_t i = 0; i < t->a_count; i++) {
        segments += square(t->of_a[i].count);
        if (t->of_a[i].label != 0) segments_segmented += square(t->of_a[i].count);
    }
    for (size_t i = 0; i < t->b_count; i++) truths += square(t->of_b[i].count);
    s->arand_precision = (double)both / (double)segments;
    s->arand_recall = (double)both / (double)truths;
    s->arand_error = harmonic_error(s->arand_precision, s->arand_recall);
    both_segmented += unsegmented; /* as many objects of one voxel: each overlaps one truth label by 1 */
    segments_segmented += unsegmented;
    s->arand_error_singletons = harmonic_error((double)both_segmented / (double)segments_segmented,
                                               (double)both_segmented / (double)truths);
    s->rand_index = voxels > 1 ? 1.0 - (double)(segments + truths - 2 * both) / pairs : 1.0;
}

static uint64_t objects_of(const exa_contingency_total *totals, size_t n) {
    return n - (n > 0 && totals[0].label == 0);
}

exa_status exa_evaluation_scores(exa_evaluation *evaluation, exa_eval_scores *scores) {
    exa_eval_scores s = {.voxels = evaluation->voxels, .ignored_voxels = evaluation->ignored};
    exa_contingency_tables t;

    EXA_TRY(exa_contingency_tables_make(evaluation->table, &t));
    s.segments = objects_of(t.of_a, t.a_count);
    s.truth_objects = objects_of(t.of_b, t.b_count);
    s.overlaps = t.pair_count;
    if (s.voxels > 0) {
        score_information(&t, (double)s.voxels, &s);
        score_pairs(&t, s.voxels, &s);
    } else {
        s.voi_split = s.voi_merge = s.arand_precision = s.arand_recall = NAN;
        s.arand_error = s.arand_error_singletons = s.rand_index = NAN;
    }
    exa_contingency_tables_destroy(&t);
    *scores = s;
    return EXA_OK;
}

/* ---- segments ------------------------------------------------------------------------------------------------ */

static int by_size(const void *a, const void *b) {
    const exa_eval_segment *p = a, *q = b;
    if (p->voxels != q->voxels) return p->voxels > q->voxels ? -1 : 1;
    return (p->id > q->id) - (p->id < q->id);
}

/* Pairs are sorted by segment and truth, so a segment's are neighbours and the smallest best label comes first. */
static size_t list_segments(const exa_contingency_tables *t, exa_eval_segment *out) {
    size_t n = 0;

    for (size_t i = 0; i < t->pair_count; i++) {
        const exa_contingency_pair *p = &t->pairs[i];
        if (p->a == 0) continue;
        if (n == 0 || out[n - 1].id != p->a) out[n++] = (exa_eval_segment){.id = p->a};
        out[n - 1].voxels += p->count;
        if (p->count > out[n - 1].overlap) {
            out[n - 1].overlap = p->count;
            out[n - 1].best_truth = p->b;
        }
    }
    for (size_t i = 0; i < n; i++)
        out[i].truth_voxels = exa_contingency_total_of(t->of_b, t->b_count, out[i].best_truth);
    qsort(out, n, sizeof *out, by_size);
    return n;
}

exa_status exa_evaluation_segments(exa_evaluation *evaluation, exa_eval_segment **segments, size_t *count) {
    exa_eval_segment *list = NULL;
    exa_status st = EXA_OK;
    exa_contingency_tables t;

    EXA_TRY(exa_contingency_tables_make(evaluation->table, &t));
    EXA_GOTO(done, exa_alloc(t.a_count, sizeof *list, "the list of segments", &list));
    *count = list_segments(&t, list);
    *segments = list;
done:
    exa_contingency_tables_destroy(&t);
    return st;
}
