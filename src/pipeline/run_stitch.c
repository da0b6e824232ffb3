/* From chunks to one segmentation: candidates where neighbours overlap, sets of supervoxels, the output. */
#include "run_internal.h"

#include "exaconn/clock.h"
#include "exaconn/log.h"
#include "exaconn/overlap.h"
#include "exaconn/union_find.h"

#include <stdlib.h>
#include <string.h>

typedef struct stitching {
    exa_run_work *w;
    exa_overlap_options options;
    exa_coord rim[3];
    exa_union_find *sets;  /* owned */
    exa_mapping mapping;   /* owned */
    int32_t *here, *there; /* owned; labels of a chunk and of a neighbour */
    exa_segid *a, *b;      /* owned; ids of the overlap */
    FILE *table;           /* owned */
    char *table_text;      /* owned */
    size_t table_size;
    exa_segid *names; /* owned; of the segments of a chunk, [1, names_count] */
    size_t names_count, names_capacity;
} stitching;

/* ---- candidates ---------------------------------------------------------------------------------------------- */

/* Ids of the part `region` of a chunk's labels. */
static exa_status extract(const exa_chunk_grid *grid, exa_chunkid k, const int32_t *labels, const exa_box *region,
                          exa_segid *ids) {
    exa_box box = exa_chunk_grid_box(grid, k);

    for (exa_coord z = 0; z < region->shape[0]; z++) {
        for (exa_coord y = 0; y < region->shape[1]; y++) {
            const int32_t *from =
                labels + exa_box_index(&box, region->start[0] + z, region->start[1] + y, region->start[2]);
            for (exa_coord x = 0; x < region->shape[2]; x++, ids++) {
                *ids = 0;
                if (from[x] > 0) EXA_TRY(exa_supervoxel_make(grid, k, (uint64_t)from[x], ids));
            }
        }
    }
    return EXA_OK;
}

static exa_status take_candidates(stitching *s, const exa_candidate *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const exa_candidate *c = &list[i];
        bool joined = exa_candidate_joined(c, &s->options);
        fprintf(s->table, "%llu,%llu,%llu,%llu,%llu,%d,%d\n", (unsigned long long)c->a, (unsigned long long)c->b,
                (unsigned long long)c->shared, (unsigned long long)c->size_a, (unsigned long long)c->size_b,
                c->best, joined);
        if (joined) EXA_TRY(exa_union_find_join(s->sets, c->a, c->b));
        s->w->joined += joined;
    }
    s->w->candidates += count;
    return EXA_OK;
}

static exa_status match(stitching *s, exa_chunkid k, exa_chunkid other) {
    const exa_chunk_grid *grid = &s->w->grid;
    exa_box one = exa_chunk_grid_box(grid, k), two = exa_chunk_grid_box(grid, other);
    exa_box region = exa_overlap_region(&one, &two, &grid->box, s->rim);
    exa_candidate *list = NULL;
    size_t count;
    int64_t voxels;
    exa_status st = EXA_OK;

    EXA_TRY(exa_box_voxels(&region, &voxels));
    if (voxels == 0) return EXA_OK;
    EXA_TRY(exa_chunk_store_labels(s->w->store, other, s->there));
    EXA_TRY(exa_alloc((size_t)voxels, sizeof *s->a, "the overlap of two chunks", &s->a));
    EXA_GOTO(done, exa_alloc((size_t)voxels, sizeof *s->b, "the overlap of two chunks", &s->b));
    EXA_GOTO(done, extract(grid, k, s->here, &region, s->a));
    EXA_GOTO(done, extract(grid, other, s->there, &region, s->b));
    EXA_GOTO(done, exa_overlap_candidates(s->a, s->b, (size_t)voxels, &list, &count));
    st = take_candidates(s, list, count);
done:
    free(list);
    free(s->a);
    free(s->b);
    s->a = s->b = NULL;
    return st;
}

static exa_status close_table(stitching *s) {
    FILE *f = s->table;

    s->table = NULL;
    EXA_CHECK(fclose(f) == 0, EXA_ERR_MEMORY, "cannot allocate a table of the results");
    return EXA_OK;
}

/* Each chunk with its three neighbours at larger coordinates; those at edges and corners follow through these. */
static exa_status find_candidates(stitching *s) {
    const exa_chunk_grid *grid = &s->w->grid;

    fprintf(s->table, "a,b,shared_vx,a_vx,b_vx,mutual_best,joined\n");
    for (exa_chunkid k = 0; k < grid->chunks; k++) {
        EXA_TRY(exa_run_check_stop(s->w));
        EXA_TRY(exa_chunk_store_labels(s->w->store, k, s->here));
        for (int axis = 0; axis < 3; axis++) {
            const int offset[3] = {axis == 0, axis == 1, axis == 2};
            exa_chunkid other;
            if (exa_chunk_grid_neighbour(grid, k, offset, &other)) EXA_TRY(match(s, k, other));
        }
    }
    EXA_TRY(exa_union_find_mapping(s->sets, &s->mapping));
    EXA_TRY(close_table(s));
    return exa_run_directory_write(s->w->directory, "candidates.csv", s->table_text);
}

/* ---- output -------------------------------------------------------------------------------------------------- */

/* The names in the output of the segments 1 .. largest of a chunk. */
static exa_status name_segments(stitching *s, exa_chunkid k, int32_t largest) {
    if ((size_t)largest >= s->names_capacity) {
        free(s->names);
        s->names = NULL;
        s->names_capacity = 0;
        EXA_TRY(exa_alloc((size_t)largest + 1, sizeof *s->names, "names of segments", &s->names));
        s->names_capacity = (size_t)largest + 1;
    }
    s->names[0] = 0;
    for (int32_t i = 1; i <= largest; i++) {
        exa_segid id;
        EXA_TRY(exa_supervoxel_make(&s->w->grid, k, (uint64_t)i, &id));
        s->names[i] = exa_mapping_root(&s->mapping, id);
    }
    s->names_count = (size_t)largest;
    return EXA_OK;
}

static exa_segid name_of(const void *context, int32_t id) {
    const stitching *s = context;
    return (size_t)id <= s->names_count ? s->names[id] : 0;
}

/* Rows of a chunk's own voxels, renamed, in slabs of whole storage chunks. */
static exa_status write_core(stitching *s, exa_chunkid k, exa_volume *volume) {
    const exa_box box = exa_chunk_grid_box(&s->w->grid, k), core = exa_chunk_grid_core(&s->w->grid, k);
    exa_coord rows = s->w->job->segmentation.chunk[0];
    exa_segid *slab = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(
        exa_alloc((size_t)(rows < core.shape[0] ? rows : core.shape[0]) * (size_t)(core.shape[1] * core.shape[2]),
                  sizeof *slab, "an output slab", &slab));
    for (exa_coord z = 0; z < core.shape[0]; z += rows) {
        exa_box part = core, out;
        exa_segid *to = slab;
        part.start[0] += z;
        part.shape[0] = rows < core.shape[0] - z ? rows : core.shape[0] - z;
        for (exa_coord row = 0; row < part.shape[0] * part.shape[1]; row++, to += part.shape[2]) {
            const int32_t *from = s->here + exa_box_index(&box, part.start[0] + row / part.shape[1],
                                                          part.start[1] + row % part.shape[1], part.start[2]);
            for (exa_coord x = 0; x < part.shape[2]; x++) {
                to[x] = from[x] > 0 ? s->names[from[x]] : 0;
                s->w->labelled += from[x] > 0;
            }
        }
        out = part;
        for (int a = 0; a < 3; a++) out.start[a] -= s->w->inputs.box.start[a];
        EXA_GOTO(done, exa_volume_write(volume, &out, EXA_U64, slab));
    }
done:
    free(slab);
    return st;
}

static exa_status write_core_probability(stitching *s, exa_chunkid k, exa_volume *volume) {
    const exa_box box = exa_chunk_grid_box(&s->w->grid, k), core = exa_chunk_grid_core(&s->w->grid, k);
    exa_box out = core;
    uint8_t *all = (uint8_t *)s->there, *to = all; /* cut to the core in place: rows only move forward */

    EXA_TRY(exa_chunk_store_probability(s->w->store, k, all));
    for (exa_coord row = 0; row < core.shape[0] * core.shape[1]; row++, to += core.shape[2]) {
        memmove(to,
                all + exa_box_index(&box, core.start[0] + row / core.shape[1], core.start[1] + row % core.shape[1],
                                    core.start[2]),
                (size_t)core.shape[2]);
    }
    for (int a = 0; a < 3; a++) out.start[a] -= s->w->inputs.box.start[a];
    return exa_volume_write(volume, &out, EXA_U8, all);
}

static int32_t largest_label(const exa_chunk_grid *grid, exa_chunkid k, const int32_t *labels) {
    exa_box box = exa_chunk_grid_box(grid, k);
    int64_t voxels = box.shape[0] * box.shape[1] * box.shape[2];
    int32_t largest = 0;

    for (int64_t i = 0; i < voxels; i++)
        if (labels[i] > largest) largest = labels[i];
    return largest;
}

static exa_status write_chunk(stitching *s, exa_chunkid k, exa_volume *volume, exa_volume *probability,
                              exa_canvas_counters *sum) {
    const exa_box box = exa_chunk_grid_box(&s->w->grid, k);
    exa_run_details d;

    EXA_TRY(exa_run_check_stop(s->w));
    EXA_TRY(exa_chunk_store_labels(s->w->store, k, s->here));
    EXA_TRY(name_segments(s, k, largest_label(&s->w->grid, k, s->here)));
    EXA_TRY(write_core(s, k, volume));
    if (probability) EXA_TRY(write_core_probability(s, k, probability));
    EXA_TRY(exa_run_read_details(s->w, k, &d));
    exa_run_print_attempts(s->table, box.start, d.attempts, d.attempt_count, name_of, s);
    exa_canvas_counters_add(sum, &d.counters);
    s->w->excluded_voxels += d.excluded;
    s->w->limited = s->w->limited || d.limited;
    free(d.attempts);
    return EXA_OK;
}

static exa_status create(const stitching *s, const char *file, const char *dataset, exa_dtype dtype,
                         exa_volume **volume) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_run_directory_path(s->w->directory, file, path));
    return exa_run_create_output(s->w, path, dataset, dtype, volume);
}

static exa_status write_volumes(stitching *s) {
    exa_canvas_counters sum = {0};
    exa_volume *volume = NULL, *probability = NULL;
    exa_status st = EXA_OK;

    EXA_GOTO(done, create(s, "segmentation.h5", "/segmentation", EXA_U64, &volume));
    if (s->w->job->segmentation.probability_map)
        EXA_GOTO(done, create(s, "probability.h5", "/probability", EXA_U8, &probability));
    for (exa_chunkid k = 0; k < s->w->grid.chunks; k++)
        EXA_GOTO(done, write_chunk(s, k, volume, probability, &sum));
    EXA_GOTO(done, exa_volume_commit(volume));
    if (probability) EXA_GOTO(done, exa_volume_commit(probability));
    s->w->before = sum; /* of all starts */
done:
    exa_volume_close(&volume);
    exa_volume_close(&probability);
    return st;
}

static exa_status write_results(stitching *s) {
    double began = exa_clock_now();
    exa_status st = EXA_OK;

    free(s->table_text);
    s->table_text = NULL;
    s->table = open_memstream(&s->table_text, &s->table_size);
    EXA_CHECK(s->table, EXA_ERR_MEMORY, "cannot allocate the table of attempts");
    fputs(EXA_RUN_ATTEMPTS_HEADER, s->table);
    EXA_TRY(write_volumes(s));
    EXA_TRY(close_table(s));
    st = exa_run_directory_write(s->w->directory, "attempts.csv", s->table_text);
    s->w->times.write_s += exa_clock_now() - began;
    return st;
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_status begin(stitching *s) {
    const exa_job *job = s->w->job;
    int64_t voxels;

    s->options = (exa_overlap_options){.min_voxels = (uint64_t)job->stitching.min_voxels,
                                       .min_fraction = job->stitching.min_fraction,
                                       .min_jaccard = job->stitching.min_jaccard};
    for (int a = 0; a < 3; a++) {
        exa_coord half_fov = s->w->inputs.model->fov[a] / 2, half_halo = s->w->grid.halo[a] / 2;
        s->rim[a] = job->stitching.rim.given ? job->stitching.rim.value[a]
                    : half_fov < half_halo   ? half_fov
                                             : half_halo;
    }
    EXA_TRY(exa_chunk_grid_voxels_max(&s->w->grid, &voxels));
    EXA_TRY(exa_alloc((size_t)voxels, sizeof *s->here, "the labels of a chunk", &s->here));
    EXA_TRY(exa_alloc((size_t)voxels, sizeof *s->there, "the labels of a chunk", &s->there));
    EXA_TRY(exa_union_find_create(0, &s->sets));
    s->table = open_memstream(&s->table_text, &s->table_size);
    EXA_CHECK(s->table, EXA_ERR_MEMORY, "cannot allocate the table of candidates");
    return EXA_OK;
}

static void end(stitching *s) {
    if (s->table) fclose(s->table);
    free(s->table_text);
    free(s->here);
    free(s->there);
    free(s->names);
    exa_mapping_destroy(&s->mapping);
    exa_union_find_destroy(&s->sets);
}

exa_status exa_run_stitch(exa_run_work *w) {
    stitching s = {.w = w};
    double began = exa_clock_now();
    exa_status st = EXA_OK;

    w->excluded_voxels = 0;
    EXA_GOTO(done, begin(&s));
    EXA_GOTO(done, find_candidates(&s));
    w->times.stitch_s = exa_clock_now() - began;
    EXA_INFO("stitched: %llu of %llu candidates joined in %.1f s", (unsigned long long)w->joined,
             (unsigned long long)w->candidates, w->times.stitch_s);
    EXA_GOTO(done, write_results(&s));
done:
    end(&s);
    return st;
}
