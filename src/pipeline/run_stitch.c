/* From chunks to one segmentation, by all ranks: each takes a stretch of the chunk curve, finds the candidates of
 * its chunks, joins supervoxels together with the others, and writes the voxels of its chunks. */
#include "run_internal.h"

#include "exaconn/agglomeration.h"
#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/reduce.h"
#include "exaconn/seam.h"
#include "exaconn/table.h"

#include <stdlib.h>
#include <string.h>

typedef struct stitching {
    exa_run_work *w;
    exa_chunkid begin, end;        /* this rank's chunks */
    exa_segid *first;              /* owned; first id of each rank, and of none */
    exa_candidate_list candidates; /* owned */
    exa_segment *supervoxels;      /* owned; of this rank's chunks, sorted by id */
    size_t supervoxel_count, supervoxel_capacity;
    exa_mapping mapping;   /* owned */
    int32_t *here, *there; /* owned; labels of a chunk and of a neighbour */
    exa_segid *names;      /* owned; of the segments of a chunk, [1, name_count] */
    size_t name_count, name_capacity;
    exa_canvas_counters counters; /* of this rank's chunks */
    uint64_t sums[5];             /* labelled, excluded, candidates, joined, refused */
    uint64_t limited;
} stitching;

enum { LABELLED, EXCLUDED, CANDIDATES, JOINED, REFUSED };

static exa_status stitched_labels(void *context, exa_chunkid k, int32_t *labels) {
    return exa_chunk_store_labels(context, k, labels);
}

/* ---- supervoxels --------------------------------------------------------------------------------------------- */

/* What finding each object of a chunk took. */
static void add_steps(exa_segment *list, size_t count, const exa_run_details *d) {
    for (size_t i = 0; i < d->attempt_count; i++) {
        const exa_attempt *a = &d->attempts[i];
        if (a->id > 0 && (size_t)a->id <= count) list[a->id - 1].steps += (uint64_t)a->steps;
    }
}

static exa_status take_supervoxels(stitching *s, exa_chunkid k, const exa_run_details *d) {
    const exa_box box = exa_chunk_grid_box(&s->w->grid, k), core = exa_chunk_grid_core(&s->w->grid, k);
    exa_segment *list;
    size_t count;
    exa_status st = EXA_OK;

    EXA_TRY(exa_segment_scan(s->here, &box, &core, &list, &count));
    add_steps(list, count, d);
    EXA_GOTO(done, exa_grow(&s->supervoxels, &s->supervoxel_capacity, sizeof *list, s->supervoxel_count + count,
                            "supervoxels"));
    for (size_t i = 0; i < count; i++) {
        EXA_GOTO(done, exa_supervoxel_make(&s->w->grid, k, list[i].id, &list[i].id));
        s->supervoxels[s->supervoxel_count++] = list[i];
        s->sums[LABELLED] += list[i].voxels;
    }
done:
    free(list);
    return st;
}

static exa_status scan_chunk(stitching *s, exa_chunkid k) {
    exa_run_details d = {0};
    exa_status st;

    EXA_TRY(exa_run_read_details(s->w, k, &d));
    exa_canvas_counters_add(&s->counters, &d.counters);
    s->sums[EXCLUDED] += (uint64_t)d.excluded;
    s->limited |= d.limited;
    st = take_supervoxels(s, k, &d);
    free(d.attempts);
    return st;
}

/* ---- candidates ---------------------------------------------------------------------------------------------- */

static void find_rim(const exa_run_work *w, exa_coord rim[3]) {
    const exa_job_triple *given = &w->job->stitching.rim;

    for (int a = 0; a < 3; a++) {
        exa_coord half_fov = w->inputs.model->fov[a] / 2, half_halo = w->grid.halo[a] / 2;
        rim[a] = given->given ? given->value[a] : half_fov < half_halo ? half_fov : half_halo;
    }
}

static exa_status find_candidates(stitching *s) {
    exa_seam_source source = {.grid = &s->w->grid, .labels = stitched_labels, .context = s->w->store};

    find_rim(s->w, source.rim);
    for (exa_chunkid k = s->begin; k < s->end; k++) {
        EXA_TRY(exa_run_check_stop(s->w));
        exa_run_tell(s->w);
        EXA_TRY(exa_chunk_store_labels(s->w->store, k, s->here));
        EXA_TRY(scan_chunk(s, k));
        if (!s->w->stitch_from) EXA_TRY(exa_seam_candidates(&source, k, s->here, s->there, &s->candidates));
    }
    return EXA_OK;
}

static exa_agglomeration_options options_of(const exa_job *job) {
    return (exa_agglomeration_options){.overlap = {.min_voxels = (uint64_t)job->stitching.min_voxels,
                                                   .min_fraction = job->stitching.min_fraction,
                                                   .min_jaccard = job->stitching.min_jaccard,
                                                   .best = (exa_match)job->stitching.best},
                                       .max_voxels = (uint64_t)job->stitching.max_voxels};
}

static exa_status write_candidates(stitching *s) {
    char path[EXA_PATH_BYTES];
    exa_table *table = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_run_directory_path(s->w->directory, EXA_RUN_CANDIDATES, path));
    EXA_TRY(exa_table_create(path, EXA_RUN_CANDIDATES_HEADER, &table));
    for (size_t i = 0; i < s->candidates.count; i++) {
        exa_run_print_candidate(exa_table_rows(table), &s->candidates.list[i]);
        s->sums[JOINED] += s->candidates.list[i].joined;
        s->sums[REFUSED] += s->candidates.list[i].refused;
    }
    s->sums[CANDIDATES] = s->candidates.count;
    st = exa_table_commit(table);
    exa_table_close(&table);
    return st;
}

static exa_status agglomerate(stitching *s) {
    const exa_agglomeration_options options = options_of(s->w->job);
    exa_status st;

    if (s->w->stitch_from)
        EXA_TRY(exa_run_read_candidates(s->w->stitch_from, &s->w->grid, s->first, &s->candidates));
    st = find_candidates(s);
    EXA_TRY(exa_comm_agree(st));
    EXA_TRY(exa_agglomerate(s->candidates.list, s->candidates.count, s->supervoxels, s->supervoxel_count, s->first,
                            &options, &s->mapping));
    return write_candidates(s);
}

/* ---- tables of segments -------------------------------------------------------------------------------------- */

static void print_supervoxel(FILE *f, const exa_segment *v, const exa_chunk_grid *grid, exa_segid segment) {
    fprintf(f, "%llu,%llu,%llu,", (unsigned long long)v->id, (unsigned long long)segment,
            (unsigned long long)exa_supervoxel_chunk(grid, v->id));
    exa_segment_print(f, v);
    fprintf(f, ",%llu\n", (unsigned long long)v->steps);
}

/* Those that lie in their chunk's halo only have no row: other chunks have these voxels. */
static exa_status write_supervoxels(const stitching *s) {
    char path[EXA_PATH_BYTES];
    exa_table *table = NULL;
    exa_status st;

    EXA_TRY(exa_run_directory_path(s->w->directory, "supervoxels.csv", path));
    EXA_TRY(exa_table_create(path, "id,segment,chunk," EXA_SEGMENT_COLUMNS ",steps", &table));
    for (size_t i = 0; i < s->supervoxel_count; i++) {
        const exa_segment *v = &s->supervoxels[i];
        if (v->voxels)
            print_supervoxel(exa_table_rows(table), v, &s->w->grid, exa_mapping_root(&s->mapping, v->id));
    }
    st = exa_table_commit(table);
    exa_table_close(&table);
    return st;
}

static int by_segment_and_chunk(const void *a, const void *b) {
    const exa_segment *x = a, *y = b;
    if (x->id != y->id) return x->id < y->id ? -1 : 1;
    return (x->chunks > y->chunks) - (x->chunks < y->chunks);
}

/* Supervoxels under the ids of their segments; those of one segment in one chunk count as one chunk. */
static void rename_supervoxels(const stitching *s, exa_segment *list) {
    for (size_t i = 0; i < s->supervoxel_count; i++) {
        list[i] = s->supervoxels[i];
        list[i].chunks = list[i].voxels ? 1 + exa_supervoxel_chunk(&s->w->grid, list[i].id) : 0;
        list[i].id = exa_mapping_root(&s->mapping, list[i].id);
    }
    if (s->supervoxel_count) qsort(list, s->supervoxel_count, sizeof *list, by_segment_and_chunk);
    for (size_t i = s->supervoxel_count; i-- > 0;) {
        bool again = i > 0 && list[i - 1].id == list[i].id && list[i - 1].chunks == list[i].chunks;
        list[i].chunks = list[i].chunks > 0 && !again;
    }
}

static exa_status write_segments(stitching *s) {
    const exa_reduction reduction = {.size = sizeof(exa_segment), .combine = exa_segment_combine};
    size_t count = s->supervoxel_count;
    void *list = NULL;
    exa_status st;

    EXA_TRY(exa_comm_agree(exa_alloc(count, sizeof(exa_segment), "the table of segments", &list)));
    rename_supervoxels(s, list);
    EXA_TRY(exa_reduce_by_key(&reduction, &list, &count));
    st = exa_run_write_segments(s->w, list, count);
    free(list);
    return st;
}

/* ---- voxels -------------------------------------------------------------------------------------------------- */

/* The names in the output of the segments 1 .. count of a chunk. */
static exa_status name_segments(stitching *s, exa_chunkid k) {
    const exa_box box = exa_chunk_grid_box(&s->w->grid, k);
    int64_t voxels = box.shape[0] * box.shape[1] * box.shape[2];
    int32_t largest = 0;

    for (int64_t i = 0; i < voxels; i++)
        if (s->here[i] > largest) largest = s->here[i];
    EXA_TRY(exa_grow(&s->names, &s->name_capacity, sizeof *s->names, (size_t)largest + 1, "names of segments"));
    s->names[0] = 0;
    for (int32_t i = 1; i <= largest; i++) {
        exa_segid id;
        EXA_TRY(exa_supervoxel_make(&s->w->grid, k, (uint64_t)i, &id));
        s->names[i] = exa_mapping_root(&s->mapping, id);
    }
    s->name_count = (size_t)largest;
    return EXA_OK;
}

static exa_segid name_of(const void *context, int32_t id) {
    const stitching *s = context;
    return (size_t)id <= s->name_count ? s->names[id] : 0;
}

/* What all ranks write together, slab after slab of their chunks' own voxels. */
typedef struct output {
    exa_volume *volume, *probability; /* owned; the latter NULL unless asked for */
    exa_table *attempts;              /* owned */
    exa_segid *slab;                  /* owned */
    uint8_t *probability_slab;        /* owned */
    exa_chunkid k;                    /* the chunk whose labels are at hand */
    exa_coord z;                      /* rows of its core that are written */
} output;

static exa_status load_chunk(stitching *s, output *o) {
    exa_run_details d;

    EXA_TRY(exa_run_check_stop(s->w));
    EXA_TRY(exa_chunk_store_labels(s->w->store, o->k, s->here));
    EXA_TRY(name_segments(s, o->k));
    if (o->probability)
        EXA_TRY(exa_chunk_store_probability(s->w->store, o->k, (uint8_t *)s->there)); /* lies idle meanwhile */
    EXA_TRY(exa_run_read_details(s->w, o->k, &d));
    exa_run_print_attempts(exa_table_rows(o->attempts), exa_chunk_grid_box(&s->w->grid, o->k).start, d.attempts,
                           d.attempt_count, name_of, s);
    free(d.attempts);
    return EXA_OK;
}

static void fill_slab(const stitching *s, output *o, const exa_box *part) {
    const exa_box box = exa_chunk_grid_box(&s->w->grid, o->k);
    exa_segid *to = o->slab;

    for (exa_coord row = 0; row < part->shape[0] * part->shape[1]; row++, to += part->shape[2]) {
        int64_t at = exa_box_index(&box, part->start[0] + row / part->shape[1],
                                   part->start[1] + row % part->shape[1], part->start[2]);
        for (exa_coord x = 0; x < part->shape[2]; x++) to[x] = s->here[at + x] > 0 ? s->names[s->here[at + x]] : 0;
        if (o->probability)
            memcpy(o->probability_slab + row * part->shape[2], (const uint8_t *)s->there + at,
                   (size_t)part->shape[2]);
    }
}

/* The next slab of this rank, as a box of the output; without a voxel when all are done. */
static exa_status next_slab(stitching *s, output *o, exa_box *box) {
    const exa_coord rows = s->w->job->segmentation.chunk[0];
    exa_box core;

    *box = (exa_box){{0, 0, 0}, {0, 0, 0}};
    if (o->k >= s->end) return EXA_OK;
    if (o->z == 0) EXA_TRY(load_chunk(s, o));
    core = exa_chunk_grid_core(&s->w->grid, o->k);
    *box = core;
    box->start[0] += o->z;
    box->shape[0] = rows < core.shape[0] - o->z ? rows : core.shape[0] - o->z;
    fill_slab(s, o, box);
    o->z += box->shape[0];
    if (o->z == core.shape[0]) {
        o->k++;
        o->z = 0;
    }
    for (int a = 0; a < 3; a++) box->start[a] -= s->w->inputs.box.start[a];
    return EXA_OK;
}

/* How often all ranks must write, so that the one with most slabs is done. */
static exa_status count_rounds(const stitching *s, uint64_t *rounds) {
    const exa_coord rows = s->w->job->segmentation.chunk[0];

    *rounds = 0;
    for (exa_chunkid k = s->begin; k < s->end; k++)
        *rounds += (uint64_t)((exa_chunk_grid_core(&s->w->grid, k).shape[0] + rows - 1) / rows);
    return exa_max_all(rounds);
}

static exa_status write_slabs(stitching *s, output *o) {
    uint64_t rounds;
    exa_box box;

    EXA_TRY(count_rounds(s, &rounds));
    for (uint64_t i = 0; i < rounds; i++) {
        exa_run_tell(s->w);
        EXA_TRY(exa_comm_agree(next_slab(s, o, &box)));
        EXA_TRY(exa_volume_write(o->volume, &box, EXA_U64, o->slab));
        if (o->probability) EXA_TRY(exa_volume_write(o->probability, &box, EXA_U8, o->probability_slab));
    }
    return EXA_OK;
}

static exa_status create(const stitching *s, const char *file, const char *dataset, exa_dtype dtype,
                         exa_volume **volume) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_run_directory_path(s->w->directory, file, path));
    return exa_run_create_output(s->w, path, dataset, dtype, volume);
}

static exa_status allocate_slabs(const stitching *s, output *o) {
    const exa_coord *core = s->w->grid.core, rows = s->w->job->segmentation.chunk[0];
    size_t voxels = (size_t)(rows < core[0] ? rows : core[0]) * (size_t)(core[1] * core[2]);

    EXA_TRY(exa_alloc(voxels, sizeof *o->slab, "an output slab", &o->slab));
    return exa_alloc(voxels, 1, "an output slab", &o->probability_slab);
}

static exa_status begin_output(const stitching *s, output *o) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_comm_agree(allocate_slabs(s, o)));
    EXA_TRY(exa_run_directory_path(s->w->directory, "attempts.csv", path));
    EXA_TRY(exa_table_create(path, EXA_RUN_ATTEMPTS_HEADER, &o->attempts));
    EXA_TRY(create(s, "segmentation.h5", "/segmentation", EXA_U64, &o->volume));
    if (!s->w->job->segmentation.probability_map) return EXA_OK;
    return create(s, "probability.h5", "/probability", EXA_U8, &o->probability);
}

static exa_status write_volumes(stitching *s) {
    output o = {.k = s->begin};
    exa_status st = EXA_OK;

    EXA_GOTO(done, begin_output(s, &o));
    EXA_GOTO(done, write_slabs(s, &o));
    EXA_GOTO(done, exa_table_commit(o.attempts));
    if (o.probability) EXA_GOTO(done, exa_volume_commit(o.probability));
    EXA_GOTO(done, exa_volume_commit(o.volume));
done:
    exa_volume_close(&o.volume);
    exa_volume_close(&o.probability);
    exa_table_close(&o.attempts);
    free(o.slab);
    free(o.probability_slab);
    return st;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_chunkid first_chunk(const exa_chunk_grid *grid, int rank) {
    return (exa_chunkid)((unsigned __int128)grid->chunks * (unsigned)rank / (unsigned)exa_comm_size());
}

static exa_status begin(stitching *s) {
    const exa_chunk_grid *grid = &s->w->grid;
    int64_t voxels;

    s->begin = first_chunk(grid, exa_comm_rank());
    s->end = first_chunk(grid, exa_comm_rank() + 1);
    EXA_TRY(exa_alloc((size_t)exa_comm_size() + 1, sizeof *s->first, "the ranges of ids", &s->first));
    for (int r = 0; r <= exa_comm_size(); r++) s->first[r] = first_chunk(grid, r) << grid->local_bits;
    EXA_TRY(exa_chunk_grid_voxels_max(grid, &voxels));
    EXA_TRY(exa_alloc((size_t)voxels, sizeof *s->here, "the labels of a chunk", &s->here));
    return exa_alloc((size_t)voxels, sizeof *s->there, "the labels of a chunk", &s->there);
}

/* What each rank counted, together: on all ranks. */
static exa_status sum_up(stitching *s) {
    exa_run_work *w = s->w;
    uint64_t counters[sizeof s->counters / sizeof(int64_t)];

    memcpy(counters, &s->counters, sizeof counters);
    EXA_TRY(exa_sum_all(counters, sizeof counters / sizeof *counters));
    EXA_TRY(exa_sum_all(s->sums, sizeof s->sums / sizeof *s->sums));
    EXA_TRY(exa_max_all(&s->limited));
    memcpy(&w->before, counters, sizeof counters); /* of all starts */
    w->labelled = (int64_t)s->sums[LABELLED];
    w->excluded_voxels = (int64_t)s->sums[EXCLUDED];
    w->candidates = s->sums[CANDIDATES];
    w->joined = s->sums[JOINED];
    w->refused = s->sums[REFUSED];
    w->limited = s->limited != 0;
    return EXA_OK;
}

static exa_status write_results(stitching *s) {
    double began = exa_clock_now();

    EXA_TRY(write_supervoxels(s));
    EXA_TRY(write_segments(s));
    EXA_TRY(write_volumes(s));
    s->w->times.write_s += exa_clock_now() - began;
    return EXA_OK;
}

static void end(stitching *s) {
    free(s->first);
    free(s->candidates.list);
    free(s->supervoxels);
    free(s->here);
    free(s->there);
    free(s->names);
    exa_mapping_destroy(&s->mapping);
}

exa_status exa_run_stitch(exa_run_work *w) {
    stitching s = {.w = w};
    double began = exa_clock_now();
    exa_status st;

    w->stage = "stitching";
    EXA_GOTO(done, exa_comm_agree(begin(&s)));
    EXA_GOTO(done, agglomerate(&s));
    EXA_GOTO(done, sum_up(&s));
    w->times.stitch_s = exa_clock_now() - began;
    EXA_INFO("stitched: %llu of %llu candidates joined in %.1f s", (unsigned long long)w->joined,
             (unsigned long long)w->candidates, w->times.stitch_s);
    if (w->refused)
        EXA_INFO("%llu candidates were refused: their segments would exceed stitching.max_voxels",
                 (unsigned long long)w->refused);
    w->stage = "writing";
    EXA_GOTO(done, write_results(&s));
done:
    end(&s);
    return st;
}
