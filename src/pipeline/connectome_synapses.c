/* The table of synapses. Rank 0 reads it in batches and sends each row to a rank by its number, each position to
 * the rank that has its chunk; what the chunks say of positions, and which rows repeat others, comes together by
 * the rows' numbers (exa_reduce_by_key). So no rank holds the table. */
#include "connectome_internal.h"

#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/reduce.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BATCH = 1 << 17, BLOCK = 1 << 10 /* consecutive rows of one rank */, FEW = 10 /* rows say nothing */ };

#define FARTHEST 9e15 /* voxels: beyond, doubles skip integers */

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct batch {
    exa_records rows, queries;
    uint64_t next; /* row */
    bool end;
} batch;

static exa_status check_voxels(const exa_connectome_work *w) {
    const bool sized = w->table_voxel_nm[0] > 0;
    const exa_synapse_units units = exa_synapse_table_units(w->table);

    if (!exa_synapse_table_has_points(w->table) || !w->volume) return EXA_OK;
    EXA_CHECK((units == EXA_SYNAPSE_VOXELS && !sized) || w->voxel_nm[0] > 0, EXA_ERR_CONFIG,
              "the positions of '%s' are %s, but how large a voxel of '%s' is, is not known. Hint: say it with "
              "--voxel-size",
              w->o->synapses, units == EXA_SYNAPSE_NM ? "nanometres" : "voxels of a size of their own",
              w->o->segmentation);
    return EXA_OK;
}

/* What the user says of the table's voxels and what it says itself must agree. */
static exa_status find_table_voxels(exa_connectome_work *w) {
    const double *said = w->o->table.voxel_size_nm, *own = exa_synapse_table_voxel_size_nm(w->table);

    for (int a = 0; a < 3; a++) {
        EXA_CHECK(!(said[0] > 0) || !(own[0] > 0) || fabs(said[a] - own[a]) < 1e-6 * own[a], EXA_ERR_CONFIG,
                  "'%s' says itself that its voxels are %g,%g,%g nm (z,y,x). Hint: leave --table-voxel-size out",
                  w->o->synapses, own[0], own[1], own[2]);
        w->table_voxel_nm[a] = said[0] > 0 ? said[a] : own[a];
    }
    w->table_nm = exa_synapse_table_units(w->table) == EXA_SYNAPSE_NM;
    return EXA_OK;
}

static exa_status open_table(exa_connectome_work *w) {
    EXA_TRY(exa_synapse_table_open(w->o->synapses, &w->o->table, &w->table));
    EXA_TRY(find_table_voxels(w));
    return check_voxels(w);
}

exa_status exa_connectome_open_table(exa_connectome_work *w) {
    if (!w->o->synapses) return EXA_OK;
    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? open_table(w) : EXA_OK));
    EXA_TRY(exa_comm_broadcast(&w->table_nm, sizeof w->table_nm));
    return exa_comm_broadcast(w->table_voxel_nm, sizeof w->table_voxel_nm);
}

/* The voxel in which a position lies: voxel v reaches from v to v + 1 times its size. Without a segmentation the
 * table's own units are kept. */
static bool place(const exa_connectome_work *w, const double from[3], exa_coord at[3]) {
    const double *own = w->table_voxel_nm;
    const bool nm = w->table_nm;
    bool near = true;

    for (int a = 0; a < 3; a++) {
        double v = from[a];
        if (w->volume && nm) v /= w->voxel_nm[a];
        if (w->volume && own[0] > 0 && own[a] != w->voxel_nm[a]) v = v * own[a] / w->voxel_nm[a];
        v = floor(v);
        near = near && v > -FARTHEST && v < FARTHEST;
        at[a] = near ? (exa_coord)v : 0;
    }
    return near;
}

static exa_chunkid chunk_of(const exa_connectome_work *w, const exa_coord at[3]) {
    int64_t position[3];

    for (int a = 0; a < 3; a++) position[a] = (at[a] - w->box.start[a]) / w->grid.core[a];
    return exa_chunk_grid_at(&w->grid, position);
}

static exa_status ask(const exa_connectome_work *w, batch *b, const exa_synapse *s) {
    for (uint64_t post = 0; post < 2; post++) {
        exa_query q = {.row = s->row, .post = post};
        memcpy(q.at, post ? s->post_at : s->pre_at, sizeof q.at);
        q.chunk = chunk_of(w, q.at);
        EXA_TRY(exa_records_add(&b->queries, &q, 1, sizeof q));
    }
    return EXA_OK;
}

static bool is_inside(const exa_connectome_work *w, const exa_coord at[3]) {
    const exa_box voxel = {{at[0], at[1], at[2]}, {1, 1, 1}};
    return exa_box_inside(&voxel, &w->box);
}

static exa_status take_row(exa_connectome_work *w, batch *b, const exa_synapse_row *row) {
    exa_synapse s = {.row = b->next++,
                     .line = row->line,
                     .table_pre = row->pre,
                     .table_post = row->post,
                     .synapses = row->synapses,
                     .kind = row->kind,
                     .flags = row->flags};
    const bool points = (row->flags & EXA_SYNAPSE_POINTS) != 0, look = w->volume && points;

    if (points) {
        bool near = place(w, row->pre_at, s.pre_at);
        near = place(w, row->post_at, s.post_at) && near;
        if (!near || (look && (!is_inside(w, s.pre_at) || !is_inside(w, s.post_at))))
            s.flags |= EXA_SYNAPSE_OUTSIDE;
    }
    if (!w->volume || !exa_synapse_table_has_points(w->table)) {
        s.pre = s.table_pre;
        s.post = s.table_post;
    }
    if (look && !(s.flags & EXA_SYNAPSE_OUTSIDE)) EXA_TRY(ask(w, b, &s));
    return exa_records_add(&b->rows, &s, 1, sizeof s);
}

/* On rank 0. */
static exa_status read_batch(exa_connectome_work *w, batch *b) {
    exa_synapse_row row;

    for (int i = 0; i < BATCH; i++) {
        EXA_TRY(exa_synapse_table_next(w->table, &row, &b->end));
        if (b->end) return EXA_OK;
        EXA_TRY(take_row(w, b, &row));
    }
    return EXA_OK;
}

/* ---- spreading ----------------------------------------------------------------------------------------------- */

static int rank_of_row(const void *record, const void *context) {
    (void)context;
    return (int)(((const exa_synapse *)record)->row / BLOCK % (uint64_t)exa_comm_size());
}

static int rank_of_query(const void *record, const void *grid) {
    return exa_connectome_owner(grid, ((const exa_query *)record)->chunk);
}

static exa_status send_batch(exa_connectome_work *w, batch *b) {
    EXA_TRY(exa_records_send(&b->rows, sizeof(exa_synapse), rank_of_row, NULL));
    EXA_TRY(exa_records_send(&b->queries, sizeof(exa_query), rank_of_query, &w->grid));
    EXA_TRY(exa_comm_agree(exa_records_add(&w->synapses, b->rows.list, b->rows.count, sizeof(exa_synapse))));
    EXA_TRY(exa_comm_agree(exa_records_add(&w->queries, b->queries.list, b->queries.count, sizeof(exa_query))));
    b->rows.count = b->queries.count = 0;
    return EXA_OK;
}

static int by_chunk_and_row(const void *a, const void *b) {
    const exa_query *p = a, *q = b;

    if (p->chunk != q->chunk) return p->chunk < q->chunk ? -1 : 1;
    if (p->row != q->row) return p->row < q->row ? -1 : 1;
    return (p->post > q->post) - (p->post < q->post);
}

exa_status exa_connectome_spread_table(exa_connectome_work *w) {
    batch b = {0};
    exa_status st = EXA_OK;

    if (!w->o->synapses) return EXA_OK;
    while (!b.end) {
        EXA_GOTO(done, exa_comm_agree(exa_comm_rank() == 0 ? read_batch(w, &b) : EXA_OK));
        EXA_GOTO(done, exa_comm_broadcast(&b.end, sizeof b.end));
        EXA_GOTO(done, send_batch(w, &b));
    }
    w->rows = b.next; /* of rank 0 */
    EXA_GOTO(done, exa_comm_broadcast(&w->rows, sizeof w->rows));
    if (w->queries.count) qsort(w->queries.list, w->queries.count, sizeof(exa_query), by_chunk_and_row);
    exa_synapse_table_close(&w->table);
    EXA_INFO("synapses: %llu rows of '%s'", (unsigned long long)w->rows, w->o->synapses);
done:
    exa_records_free(&b.rows);
    exa_records_free(&b.queries);
    return st;
}

/* ---- repeated rows ------------------------------------------------------------------------------------------- */

/* What makes two rows the same. */
static uint64_t hash_of(const exa_synapse *s) {
    uint64_t h = exa_hash_u64(s->kind);

    h = exa_hash_u64(h ^ s->table_pre);
    h = exa_hash_u64(h ^ s->table_post);
    for (int a = 0; a < 3; a++) {
        h = exa_hash_u64(h ^ (uint64_t)s->pre_at[a]);
        h = exa_hash_u64(h ^ (uint64_t)s->post_at[a]);
    }
    return h;
}

static int rank_of_content(const void *record, const void *context) {
    (void)context;
    return (int)(hash_of(record) % (uint64_t)exa_comm_size());
}

static int compare_u64(uint64_t a, uint64_t b) {
    return (a > b) - (a < b);
}

static int by_content(const void *a, const void *b) {
    const exa_synapse *p = a, *q = b;
    int order = compare_u64(p->table_pre, q->table_pre);

    if (!order) order = compare_u64(p->table_post, q->table_post);
    if (!order) order = compare_u64(p->kind, q->kind);
    if (!order) order = memcmp(p->pre_at, q->pre_at, sizeof p->pre_at);
    if (!order) order = memcmp(p->post_at, q->post_at, sizeof p->post_at);
    return order;
}

static int by_content_and_row(const void *a, const void *b) {
    int order = by_content(a, b);
    return order ? order : compare_u64(((const exa_synapse *)a)->row, ((const exa_synapse *)b)->row);
}

/* Rows that something is wrong with already are not compared. */
static exa_status find_duplicates(exa_connectome_work *w) {
    const uint64_t wrong = EXA_SYNAPSE_INVALID | EXA_SYNAPSE_NONE | EXA_SYNAPSE_NO_DIRECTION |
                           EXA_SYNAPSE_NO_POSITION | EXA_SYNAPSE_OUTSIDE;
    const exa_synapse *all = w->synapses.list;
    exa_records rows = {0};
    exa_synapse *list;
    exa_status st = EXA_OK;

    for (size_t i = 0; st == EXA_OK && i < w->synapses.count; i++)
        if (all[i].line && !(all[i].flags & wrong)) st = exa_records_add(&rows, &all[i], 1, sizeof *all);
    EXA_GOTO(done, exa_comm_agree(st));
    EXA_GOTO(done, exa_records_send(&rows, sizeof *list, rank_of_content, NULL));
    list = rows.list;
    if (rows.count) qsort(list, rows.count, sizeof *list, by_content_and_row);
    for (size_t i = 1; st == EXA_OK && i < rows.count; i++) {
        const exa_synapse again = {.row = list[i].row, .flags = EXA_SYNAPSE_DUPLICATE};
        if (by_content(&list[i - 1], &list[i]) == 0) st = exa_records_add(&w->synapses, &again, 1, sizeof again);
    }
    st = exa_comm_agree(st);
done:
    exa_records_free(&rows);
    return st;
}

/* ---- whole rows ---------------------------------------------------------------------------------------------- */

static bool is_segment(const exa_neuron *neuron) {
    return neuron->voxels > 0;
}

/* Those that no position led to. */
static bool is_named_only(const exa_synapse *s) {
    return !(s->flags & EXA_SYNAPSE_POINTS) && s->pre && s->post;
}

/* Ids that the table gives without positions must be segments of the segmentation. */
static exa_status find_unknown(exa_connectome_work *w) {
    exa_synapse *list = w->synapses.list;
    exa_segid *ids = NULL;
    uint64_t *index = NULL;
    size_t n = 0, k = 0;
    exa_status st;

    if (!w->volume) return EXA_OK;
    for (size_t i = 0; i < w->synapses.count; i++) n += is_named_only(&list[i]);
    st = exa_alloc(2 * n, sizeof *ids, "ids of synapses", &ids);
    if (st == EXA_OK) st = exa_alloc(2 * n, sizeof *index, "ids of synapses", &index);
    EXA_GOTO(done, exa_comm_agree(st));
    for (size_t i = 0; i < w->synapses.count; i++) {
        if (!is_named_only(&list[i])) continue;
        ids[k++] = list[i].pre;
        ids[k++] = list[i].post;
    }
    EXA_GOTO(done, exa_neurons_find(w, is_segment, ids, 2 * n, index));
    k = 0;
    for (size_t i = 0; i < w->synapses.count; i++) {
        if (!is_named_only(&list[i])) continue;
        if (index[k] == UINT64_MAX || index[k + 1] == UINT64_MAX) list[i].flags |= EXA_SYNAPSE_UNKNOWN_ID;
        k += 2;
    }
done:
    free(ids);
    free(index);
    return st;
}

/* Positions that were read wrongly lie somewhere all the same: what they then look like. */
static void doubt(const exa_connectome_work *w) {
#define QUESTION                                                                                                   \
    "are units, voxel size and axis order what the table has? (--units, --table-voxel-size, --axes; "              \
    "in a job \"circuits\")"
    const uint64_t autapses = w->located_autapses, judged = w->located;

    if (2 * w->states[EXA_SYNAPSE_WAS_OUTSIDE] > w->rows)
        EXA_WARN("most positions are outside the segmentation: " QUESTION);
    if (w->naming >= FEW && 2 * w->differing >= w->naming)
        EXA_WARN("the segmentation has another segment than the table names in %llu of %llu rows: " QUESTION
                 " If they are, the table was made with another segmentation",
                 (unsigned long long)w->differing, (unsigned long long)w->naming);
    if (judged >= FEW && 2 * autapses >= judged)
        EXA_WARN("both sides of %llu of %llu synapses lie in one segment: " QUESTION, (unsigned long long)autapses,
                 (unsigned long long)judged);
#undef QUESTION
}

static void report(const exa_connectome_work *w) {
    for (int s = 1; s < EXA_SYNAPSE_STATES; s++)
        if (w->states[s])
            EXA_WARN("synapses: %llu of %llu rows do not count: %s (listed in rejected.csv)",
                     (unsigned long long)w->states[s], (unsigned long long)w->rows, exa_synapse_state_names[s]);
    doubt(w);
    if (w->differing) /* of course, if the table was made with another segmentation */
        EXA_INFO("synapses: in %llu rows the table names another segment than the segmentation has there; the "
                 "segmentation counts",
                 (unsigned long long)w->differing);
}

static bool differs(const exa_synapse *s) {
    return (s->table_pre && s->pre && s->table_pre != s->pre) ||
           (s->table_post && s->post && s->table_post != s->post);
}

static void compare(exa_connectome_work *w, const exa_synapse *s) {
    const bool located = (s->flags & EXA_SYNAPSE_POINTS) && exa_synapse_judge(s, true) == EXA_SYNAPSE_ACCEPTED;

    w->naming += (s->table_pre && s->pre) || (s->table_post && s->post);
    w->differing += differs(s);
    w->located += located;
    w->located_autapses += located && s->pre == s->post;
}

exa_status exa_connectome_judge(exa_connectome_work *w) {
    const exa_reduction by_row = {.size = sizeof(exa_synapse), .combine = exa_synapse_combine};
    const exa_synapse *list;

    if (!w->o->synapses) return EXA_OK;
    EXA_TRY(find_duplicates(w));
    EXA_TRY(exa_reduce_by_key(&by_row, &w->synapses.list, &w->synapses.count));
    w->synapses.capacity = w->synapses.count;
    EXA_TRY(find_unknown(w));
    list = w->synapses.list;
    for (size_t i = 0; i < w->synapses.count; i++) {
        w->states[exa_synapse_judge(&list[i], w->o->autapses)]++;
        if (w->volume) compare(w, &list[i]);
    }
    EXA_TRY(exa_sum_all(w->states, EXA_SYNAPSE_STATES));
    EXA_TRY(exa_sum_all(&w->naming, 1));
    EXA_TRY(exa_sum_all(&w->differing, 1));
    EXA_TRY(exa_sum_all(&w->located, 1));
    EXA_TRY(exa_sum_all(&w->located_autapses, 1));
    report(w);
    return EXA_OK;
}
