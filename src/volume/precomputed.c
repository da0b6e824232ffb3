/* Lays out a precomputed volume and writes its shards, chunk by chunk: memory is that of a few chunks. */
#include "precomputed_internal.h"

#include "compressed_segmentation_internal.h"
#include "downsample_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 64 };

/* ---- layout -------------------------------------------------------------------------------------------------- */

static exa_status set_scale(exa_precomputed *p, exa_precomputed_scale *s) {
    exa_coord grid[3];
    int bits;

    snprintf(s->key, sizeof s->key, "%.12g_%.12g_%.12g", s->voxel_size_nm[2], s->voxel_size_nm[1],
             s->voxel_size_nm[0]);
    for (int a = 0; a < 3; a++) {
        s->chunk[a] = CHUNK;
        s->block[a] = EXA_COMPRESSED_SEGMENTATION_BLOCK;
    }
    s->compressed = p->options.kind == EXA_PRECOMPUTED_SEGMENTATION;
    s->sharded = true;
    exa_precomputed_grid(s, grid);
    EXA_TRY(exa_morton_bits(grid, &bits));
    exa_shard_choose(bits, p->options.gzip_level, &s->shards);
    return EXA_OK;
}

static exa_coord divide_down(exa_coord value, int by) {
    exa_coord q = value / by;
    return value % by < 0 ? q - 1 : q;
}

/* Halves the finer axes until all are about alike, then all; an axis of one voxel stays. Coarse voxels stand at
 * multiples of their size in the volume's coordinates, so that a scale lies exactly over the one before whatever
 * its offset. */
static void halve(const exa_precomputed_scale *fine, int factor[3], exa_precomputed_scale *coarse) {
    double finest = 0;

    for (int a = 0; a < 3; a++)
        if (fine->size[a] > 1 && (finest == 0 || fine->voxel_size_nm[a] < finest)) finest = fine->voxel_size_nm[a];
    for (int a = 0; a < 3; a++) {
        factor[a] = fine->size[a] > 1 && fine->voxel_size_nm[a] < 2 * finest ? 2 : 1;
        coarse->voxel_size_nm[a] = factor[a] * fine->voxel_size_nm[a];
        coarse->offset[a] = divide_down(fine->offset[a], factor[a]);
        coarse->size[a] = divide_down(fine->offset[a] + fine->size[a] - 1, factor[a]) + 1 - coarse->offset[a];
    }
}

static bool is_coarsest(const exa_precomputed_scale *s) {
    return s->size[0] <= CHUNK && s->size[1] <= CHUNK && s->size[2] <= CHUNK;
}

static exa_status lay_out(exa_precomputed *p) {
    exa_precomputed_scale *s = p->info.scales;

    memcpy(s->size, p->options.box.shape, sizeof s->size);
    memcpy(s->offset, p->options.offset, sizeof s->offset);
    memcpy(s->voxel_size_nm, p->options.voxel_size_nm, sizeof s->voxel_size_nm);
    EXA_TRY(set_scale(p, s));
    p->info.scale_count = 1;
    while (!is_coarsest(s) && p->info.scale_count < EXA_PRECOMPUTED_MAX_SCALES) {
        halve(s, p->factor[p->info.scale_count], s + 1);
        EXA_TRY(set_scale(p, ++s));
        p->info.scale_count++;
    }
    return EXA_OK;
}

static exa_status check_options(const exa_precomputed_options *o) {
    const exa_coord most = (exa_coord)1 << 52;

    EXA_CHECK(o->kind == EXA_PRECOMPUTED_SEGMENTATION || (o->dtype != EXA_U64 && exa_dtype_size(o->dtype) > 0),
              EXA_ERR_UNSUPPORTED,
              "an image of %s cannot be exported. Hint: if these are labels, export them as a segmentation",
              exa_dtype_name(o->dtype));
    EXA_CHECK(o->gzip_level >= 0 && o->gzip_level <= 9, EXA_ERR_RANGE, "gzip level %d is not in 0..9",
              o->gzip_level);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(o->box.shape[a] >= 1 && o->box.shape[a] <= most && o->offset[a] > -most && o->offset[a] < most,
                  EXA_ERR_RANGE, "%lld voxels from %lld on axis %c cannot be exported", (long long)o->box.shape[a],
                  (long long)o->offset[a], "zyx"[a]);
        EXA_CHECK(o->voxel_size_nm[a] > 0 && o->voxel_size_nm[a] <= 1e9, EXA_ERR_CONFIG,
                  "the voxel size (%g nm on axis %c) is not known, and viewers need it. Hint: say it: --voxel-size "
                  "Z,Y,X, or \"voxel_size_nm\" in a job",
                  o->voxel_size_nm[a], "zyx"[a]);
    }
    return EXA_OK;
}

exa_status exa_precomputed_plan(const char *folder, const exa_precomputed_options *options, exa_precomputed **out) {
    exa_precomputed *p = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(check_options(options));
    EXA_CHECK(strlen(folder) < EXA_PATH_BYTES, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, folder);
    EXA_TRY(exa_calloc(1, sizeof *p, "the layout of a volume", &p));
    p->lock = -1;
    p->options = *options;
    p->options.source = strdup(options->source);
    EXA_CHECK_GOTO(fail, p->options.source, EXA_ERR_MEMORY, "cannot allocate the name of a source");
    memcpy(p->folder, folder, strlen(folder) + 1);
    p->info.kind = options->kind;
    p->info.dtype = options->kind == EXA_PRECOMPUTED_SEGMENTATION ? EXA_U64 : options->dtype;
    p->info.all_stored = true;
    EXA_GOTO(fail, lay_out(p));
    *out = p;
    return EXA_OK;
fail:
    exa_precomputed_destroy(&p);
    return st;
}

void exa_precomputed_destroy(exa_precomputed **volume) {
    exa_precomputed *p = *volume;

    if (!p) return;
    exa_volume_close(&p->previous);
    if (p->lock >= 0) close(p->lock);
    free((char *)p->options.source);
    free(p);
    *volume = NULL;
}

int exa_precomputed_scales(const exa_precomputed *p) {
    return p->info.scale_count;
}

exa_box exa_precomputed_scale_box(const exa_precomputed *p, int scale) {
    const exa_precomputed_scale *s = &p->info.scales[scale];
    exa_box box;

    memcpy(box.start, s->offset, sizeof box.start);
    memcpy(box.shape, s->size, sizeof box.shape);
    return box;
}

int64_t exa_precomputed_chunks(const exa_precomputed *p, int scale) {
    exa_coord grid[3];

    exa_precomputed_grid(&p->info.scales[scale], grid);
    unsigned __int128 n = (unsigned __int128)grid[0] * (unsigned __int128)grid[1] * (unsigned __int128)grid[2];
    return n < INT64_MAX ? (int64_t)n : INT64_MAX;
}

static int bits_inside(const exa_precomputed_scale *s) {
    return s->shards.preshift_bits + s->shards.minishard_bits;
}

uint64_t exa_precomputed_shards(const exa_precomputed *p, int scale) {
    return (uint64_t)1 << p->info.scales[scale].shards.shard_bits;
}

/* A shard is an aligned block of the grid: it is used if its first corner is inside. */
bool exa_precomputed_shard_used(const exa_precomputed *p, int scale, uint64_t shard) {
    const exa_precomputed_scale *s = &p->info.scales[scale];
    exa_coord grid[3], cell[3];

    exa_precomputed_grid(s, grid);
    exa_morton_decode(grid, shard << bits_inside(s), cell);
    return cell[0] < grid[0] && cell[1] < grid[1] && cell[2] < grid[2];
}

/* ---- chunks -------------------------------------------------------------------------------------------------- */

typedef struct shard_work {
    exa_precomputed *p;
    int scale;
    exa_volume *source;  /* borrowed; of scale 0 the user's, else the scale before */
    void *fine, *voxels; /* owned; fine only above scale 0 */
} shard_work;

static exa_status prepare(shard_work *w) {
    const size_t element = exa_dtype_size(w->p->info.dtype), chunk = (size_t)CHUNK * CHUNK * CHUNK;

    EXA_TRY(exa_alloc(chunk, element, "a chunk", &w->voxels));
    if (w->scale == 0) return EXA_OK;
    EXA_TRY(exa_alloc(8 * chunk, element, "chunks of the finer scale", &w->fine));
    if (!w->p->previous || w->p->previous_scale != w->scale - 1) {
        exa_volume_close(&w->p->previous);
        EXA_TRY(exa_volume_precomputed_open_scale(w->p->folder, &w->p->info, w->scale - 1, &w->p->previous));
        w->p->previous_scale = w->scale - 1;
    }
    w->source = w->p->previous;
    return EXA_OK;
}

/* Fills w->voxels from the source's own voxels. */
static exa_status take(const shard_work *w, const exa_box *local) {
    exa_box box = *local;

    for (int a = 0; a < 3; a++) box.start[a] += w->p->options.box.start[a];
    return exa_volume_read(w->source, &box, w->p->info.dtype, w->voxels);
}

/* Fills w->voxels from the finer scale. */
static exa_status reduce(const shard_work *w, const exa_box *local) {
    const exa_precomputed_scale *fine = &w->p->info.scales[w->scale - 1], *coarse = fine + 1;
    const int *factor = w->p->factor[w->scale];
    exa_box to = *local, from, all, there;

    for (int a = 0; a < 3; a++) {
        to.start[a] += coarse->offset[a];
        from.start[a] = to.start[a] * factor[a];
        from.shape[a] = to.shape[a] * factor[a];
        all.start[a] = fine->offset[a];
        all.shape[a] = fine->size[a];
    }
    from = exa_box_intersect(&from, &all);
    there = from;
    for (int a = 0; a < 3; a++) there.start[a] -= fine->offset[a];
    EXA_TRY(exa_volume_read(w->source, &there, w->p->info.dtype, w->fine));
    if (w->p->info.kind == EXA_PRECOMPUTED_IMAGE)
        return exa_downsample_image(w->p->info.dtype, &from, w->fine, factor, &to, w->voxels);
    exa_downsample_labels(&from, w->fine, factor, &to, w->voxels);
    return EXA_OK;
}

static exa_status write_chunk(const shard_work *w, exa_shard_writer *writer, uint64_t id, const exa_coord cell[3]) {
    const exa_precomputed_scale *s = &w->p->info.scales[w->scale];
    exa_box local;
    unsigned char *labels = NULL;
    size_t size;
    exa_status st;

    for (int a = 0; a < 3; a++) {
        local.start[a] = cell[a] * CHUNK;
        local.shape[a] = s->size[a] - local.start[a] < CHUNK ? s->size[a] - local.start[a] : CHUNK;
    }
    EXA_TRY(w->scale == 0 ? take(w, &local) : reduce(w, &local));
    size = (size_t)(local.shape[0] * local.shape[1] * local.shape[2]) * exa_dtype_size(w->p->info.dtype);
    if (!s->compressed) return exa_shard_writer_add(writer, id, w->voxels, size);
    EXA_TRY(exa_compressed_segmentation_encode(w->voxels, local.shape, &labels, &size));
    st = exa_shard_writer_add(writer, id, labels, size);
    free(labels);
    return st;
}

static exa_status write_chunks(const shard_work *w, exa_shard_writer *writer, uint64_t shard,
                               exa_precomputed_tick *tick, void *context) {
    const exa_precomputed_scale *s = &w->p->info.scales[w->scale];
    const uint64_t count = (uint64_t)1 << bits_inside(s), first = shard << bits_inside(s);
    exa_coord grid[3], cell[3];

    exa_precomputed_grid(s, grid);
    for (uint64_t i = 0; i < count; i++) {
        exa_morton_decode(grid, first + i, cell);
        if (cell[0] >= grid[0] || cell[1] >= grid[1] || cell[2] >= grid[2]) continue;
        EXA_TRY(write_chunk(w, writer, first + i, cell));
        if (tick) EXA_TRY(tick(context));
    }
    return EXA_OK;
}

exa_status exa_precomputed_write_shard(exa_precomputed *p, int scale, uint64_t shard, exa_volume *source,
                                       exa_precomputed_tick *tick, void *context) {
    const exa_precomputed_scale *s = &p->info.scales[scale];
    shard_work w = {.p = p, .scale = scale, .source = source};
    char folder[EXA_PATH_BYTES], path[EXA_PATH_BYTES];
    exa_shard_writer *writer = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(folder, p->folder, s->key));
    EXA_TRY(exa_shard_path(folder, &s->shards, shard, path));
    if (exa_file_exists(path)) return EXA_OK;
    EXA_GOTO(done, prepare(&w));
    EXA_GOTO(done, exa_shard_writer_create(folder, &s->shards, p->options.gzip_level, shard, &writer));
    EXA_GOTO(done, write_chunks(&w, writer, shard, tick, context));
    EXA_GOTO(done, exa_shard_writer_commit(writer));
done:
    exa_shard_writer_destroy(&writer);
    free(w.fine);
    free(w.voxels);
    return st;
}
