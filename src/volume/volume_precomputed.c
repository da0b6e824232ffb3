/* A Neuroglancer precomputed volume as a volume, read only: "FOLDER", "FOLDER:/SCALE" or "precomputed://FOLDER". */
#include "precomputed_internal.h"

#include "compressed_segmentation_internal.h"
#include "gzip_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { CACHED_CHUNKS = 64, LARGEST_CHUNK_BYTES = 1 << 30 };
static const size_t cache_bytes = (size_t)64 << 20;

typedef struct cached_chunk {
    void *voxels; /* owned; NULL = free */
    exa_coord cell[3];
    uint64_t used; /* when, by the count of uses */
} cached_chunk;

typedef struct precomputed_volume {
    exa_precomputed_scale scale;
    exa_dtype dtype;
    bool all_stored;
    exa_coord grid[3];
    exa_shard_reader *shards; /* owned; NULL if each chunk is a file */
    cached_chunk cache[CACHED_CHUNKS];
    int cached; /* how many of them are used, by their size */
    uint64_t uses;
    char folder[EXA_PATH_BYTES]; /* of the scale */
} precomputed_volume;

/* ---- chunks -------------------------------------------------------------------------------------------------- */

/* Where a chunk lies, from the volume's first voxel. */
static exa_box chunk_box(const precomputed_volume *v, const exa_coord cell[3]) {
    exa_box box;

    for (int a = 0; a < 3; a++) {
        box.start[a] = cell[a] * v->scale.chunk[a];
        box.shape[a] = v->scale.size[a] - box.start[a];
        if (box.shape[a] > v->scale.chunk[a]) box.shape[a] = v->scale.chunk[a];
    }
    return box;
}

/* A chunk that is a file: under its name, or compressed under its name and ".gz". */
static exa_status read_file(const precomputed_volume *v, const exa_box *box, size_t most, unsigned char **data,
                            size_t *size) {
    char name[200], path[EXA_PATH_BYTES];
    const exa_coord *o = v->scale.offset, *s = box->start, *n = box->shape;
    char *text = NULL;
    bool packed;
    exa_status st;

    snprintf(name, sizeof name, "%lld-%lld_%lld-%lld_%lld-%lld", (long long)(o[2] + s[2]),
             (long long)(o[2] + s[2] + n[2]), (long long)(o[1] + s[1]), (long long)(o[1] + s[1] + n[1]),
             (long long)(o[0] + s[0]), (long long)(o[0] + s[0] + n[0]));
    EXA_TRY(exa_path_join(path, v->folder, name));
    packed = !exa_file_exists(path);
    if (packed) {
        snprintf(name + strlen(name), sizeof name - strlen(name), ".gz");
        EXA_TRY(exa_path_join(path, v->folder, name));
        if (!exa_file_exists(path)) return EXA_OK;
    }
    EXA_TRY(exa_file_read_all(path, most + most / 8 + 1024, &text, size));
    *data = (unsigned char *)text;
    if (!packed) return EXA_OK;
    *data = NULL;
    st = exa_gzip_unpack(text, *size, most, data, size);
    if (st != EXA_OK) exa_error_context(st, "'%s' is damaged", path);
    free(text);
    return st;
}

/* More than any chunk of labels can need: every block with a table of all its values, at 32 bits a voxel. */
static size_t most_bytes(const precomputed_volume *v) {
    const exa_coord *c = v->scale.chunk, *b = v->scale.block;
    size_t blocks = 1, cells = 1;

    if (!v->scale.compressed) return (size_t)(c[0] * c[1] * c[2]) * exa_dtype_size(v->dtype);
    for (int a = 0; a < 3; a++) {
        blocks *= (size_t)((c[a] - 1) / b[a] + 1);
        cells *= (size_t)b[a];
    }
    blocks *= 8 + cells * (4 + exa_dtype_size(v->dtype)); /* bytes */
    return blocks < LARGEST_CHUNK_BYTES ? 4 + blocks : LARGEST_CHUNK_BYTES;
}

static exa_status fail_at(const precomputed_volume *v, const exa_box *box, exa_status st, const char *why) {
    char file[EXA_PATH_BYTES] = "";

    if (v->shards) {
        exa_coord cell[3];
        for (int a = 0; a < 3; a++) cell[a] = box->start[a] / v->scale.chunk[a];
        exa_shard_path(v->folder, &v->scale.shards,
                       exa_shard_of(&v->scale.shards, exa_morton_encode(v->grid, cell)), file);
    }
    if (why) st = EXA_FAIL(st, "%s", why);
    return exa_error_context(st, "'%s' is damaged: the chunk at %lld,%lld,%lld (z,y,x)", *file ? file : v->folder,
                             (long long)box->start[0], (long long)box->start[1], (long long)box->start[2]);
}

static exa_status decode(const precomputed_volume *v, const exa_box *box, const unsigned char *data, size_t size,
                         void *voxels) {
    const size_t element = exa_dtype_size(v->dtype);
    const size_t bytes = (size_t)(box->shape[0] * box->shape[1] * box->shape[2]) * element;
    char why[80];

    if (!data) {
        if (v->all_stored) return fail_at(v, box, EXA_ERR_CORRUPT, "is missing, and it holds every chunk");
        memset(voxels, 0, bytes);
        return EXA_OK;
    }
    if (v->scale.compressed) {
        exa_status st = exa_compressed_segmentation_decode(data, size, box->shape, v->scale.block, element, voxels);
        return st == EXA_OK ? st : fail_at(v, box, st, NULL);
    }
    snprintf(why, sizeof why, "has %zu bytes instead of %zu", size, bytes);
    if (size != bytes) return fail_at(v, box, EXA_ERR_CORRUPT, why);
    memcpy(voxels, data, bytes); /* little-endian, as this machine */
    return EXA_OK;
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "voxels of precomputed volumes are taken as they are");

static exa_status load_chunk(precomputed_volume *v, const exa_coord cell[3], void *voxels) {
    const exa_box box = chunk_box(v, cell);
    const size_t most = most_bytes(v);
    unsigned char *data = NULL;
    size_t size = 0;
    exa_status st;

    if (v->shards) {
        EXA_TRY(exa_shard_reader_get(v->shards, exa_morton_encode(v->grid, cell), most, &data, &size));
    } else {
        EXA_TRY(read_file(v, &box, most, &data, &size));
    }
    st = decode(v, &box, data, size, voxels);
    free(data);
    return st;
}

/* Borrowed until the next call. */
static exa_status get_chunk(precomputed_volume *v, const exa_coord cell[3], const void **voxels) {
    const exa_coord *c = v->scale.chunk;
    cached_chunk *oldest = &v->cache[0];
    exa_status st;

    for (int i = 0; i < v->cached; i++) {
        cached_chunk *e = &v->cache[i];
        if (e->voxels && e->used && memcmp(e->cell, cell, sizeof e->cell) == 0) {
            e->used = ++v->uses;
            *voxels = e->voxels;
            return EXA_OK;
        }
        if (e->used < oldest->used) oldest = e;
    }
    if (!oldest->voxels)
        EXA_TRY(exa_alloc((size_t)(c[0] * c[1] * c[2]), exa_dtype_size(v->dtype), "a chunk", &oldest->voxels));
    oldest->used = 0; /* until it is there */
    st = load_chunk(v, cell, oldest->voxels);
    if (st != EXA_OK) return st;
    memcpy(oldest->cell, cell, sizeof oldest->cell);
    oldest->used = ++v->uses;
    *voxels = oldest->voxels;
    return EXA_OK;
}

/* ---- boxes --------------------------------------------------------------------------------------------------- */

static void copy_rows(const exa_box *from, const char *source, const exa_box *to, char *target, size_t element) {
    const exa_box part = exa_box_intersect(from, to);

    for (exa_coord z = part.start[0]; z < part.start[0] + part.shape[0]; z++)
        for (exa_coord y = part.start[1]; y < part.start[1] + part.shape[1]; y++)
            memcpy(target + exa_box_index(to, z, y, part.start[2]) * element,
                   source + exa_box_index(from, z, y, part.start[2]) * element, (size_t)part.shape[2] * element);
}

static exa_status read_box(void *self, const exa_box *box, void *data) {
    precomputed_volume *v = self;
    const exa_coord *c = v->scale.chunk;
    exa_coord first[3], last[3], cell[3];
    const void *voxels = NULL;

    for (int a = 0; a < 3; a++) {
        first[a] = box->start[a] / c[a];
        last[a] = (box->start[a] + box->shape[a] - 1) / c[a];
    }
    for (cell[0] = first[0]; cell[0] <= last[0]; cell[0]++)
        for (cell[1] = first[1]; cell[1] <= last[1]; cell[1]++)
            for (cell[2] = first[2]; cell[2] <= last[2]; cell[2]++) {
                const exa_box from = chunk_box(v, cell);
                EXA_TRY(get_chunk(v, cell, &voxels));
                copy_rows(&from, voxels, box, data, exa_dtype_size(v->dtype));
            }
    return EXA_OK;
}

static exa_status get_doubles(void *self, const char *name, double *values, int count, bool *found) {
    const precomputed_volume *v = self;

    *found = count == 3 && strcmp(name, "offset_zyx_vx") == 0;
    for (int a = 0; *found && a < 3; a++) values[a] = (double)v->scale.offset[a];
    return EXA_OK;
}

static void close_volume(void *self) {
    precomputed_volume *v = self;

    exa_shard_reader_destroy(&v->shards);
    for (int i = 0; i < CACHED_CHUNKS; i++) free(v->cache[i].voxels);
    free(v);
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static exa_status open_scale(const char *folder, const exa_precomputed_info *info, int scale, exa_volume_info *out,
                             void **self) {
    const exa_precomputed_scale *s = &info->scales[scale];
    precomputed_volume *v;
    size_t bytes = exa_dtype_size(info->dtype) * (size_t)(s->chunk[0] * s->chunk[1] * s->chunk[2]);
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *v, "a precomputed volume", &v));
    v->scale = *s;
    v->dtype = info->dtype;
    v->all_stored = info->all_stored;
    v->cached = cache_bytes / bytes < CACHED_CHUNKS ? (int)(cache_bytes / bytes) : CACHED_CHUNKS;
    if (v->cached < 1) v->cached = 1;
    exa_precomputed_grid(s, v->grid);
    EXA_GOTO(fail, exa_path_join(v->folder, folder, s->key));
    if (s->sharded) EXA_GOTO(fail, exa_shard_reader_create(v->folder, &s->shards, &v->shards));
    out->dtype = info->dtype;
    memcpy(out->shape, s->size, sizeof out->shape);
    memcpy(out->chunk, s->chunk, sizeof out->chunk);
    memcpy(out->voxel_size_nm, s->voxel_size_nm, sizeof out->voxel_size_nm);
    snprintf(out->compression, sizeof out->compression, "%s%s", s->compressed ? "compressed_segmentation" : "",
             s->sharded && s->shards.gzip_data ? (s->compressed ? " gzip" : "gzip")
             : s->compressed                   ? ""
                                               : "none");
    snprintf(out->type_name, sizeof out->type_name, "%s", exa_dtype_name(info->dtype));
    *self = v;
    return EXA_OK;
fail:
    close_volume(v);
    return st;
}

static exa_status choose_scale(const char *folder, const char *key, const exa_precomputed_info *info, int *scale) {
    char names[512] = "";

    while (*key == '/') key++;
    for (*scale = 0; *scale < info->scale_count; ++*scale)
        if (!*key || strcmp(key, info->scales[*scale].key) == 0) return EXA_OK;
    for (int i = 0; i < info->scale_count && strlen(names) + 260 < sizeof names; i++)
        snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", info->scales[i].key);
    return EXA_FAIL(EXA_ERR_CONFIG, "'%s' has no scale '%s'. Hint: it has %s", folder, key, names);
}

exa_status exa_volume_precomputed_open(const char *folder, const char *key, exa_volume_info *info, void **self) {
    exa_precomputed_info *description = NULL;
    int scale = 0;
    exa_status st = EXA_OK;

    EXA_CHECK(!strstr(folder, "://"), EXA_ERR_UNSUPPORTED,
              "'%s' lies on a server; exaconn reads precomputed volumes from folders. Hint: copy it here first",
              folder);
    EXA_TRY(exa_precomputed_info_read(folder, &description));
    EXA_GOTO(done, choose_scale(folder, key, description, &scale));
    st = open_scale(folder, description, scale, info, self);
done:
    free(description);
    return st;
}

exa_status exa_volume_precomputed_open_parsed(const char *folder, const exa_precomputed_info *description,
                                              int scale, exa_volume_info *info, void **self) {
    return open_scale(folder, description, scale, info, self);
}

bool exa_precomputed_recognise(const char *path) {
    char info[EXA_PATH_BYTES];
    return exa_path_join(info, path, "info") == EXA_OK && exa_file_exists(info) && !exa_file_is_directory(info);
}

bool exa_volume_precomputed_name(const char *name, char *folder, const char **key) {
    const char *rest = name, *colon;
    size_t length = strlen(EXA_PRECOMPUTED_PREFIX);
    bool prefix = strncmp(name, EXA_PRECOMPUTED_PREFIX, length) == 0;

    if (prefix) rest += length;
    if (strlen(rest) >= EXA_PATH_BYTES) return false;
    memcpy(folder, rest, strlen(rest) + 1);
    *key = "";
    if (exa_precomputed_recognise(folder)) return true;
    colon = strrchr(rest, ':');
    if (colon) {
        folder[colon - rest] = '\0';
        *key = colon + 1;
        if (exa_precomputed_recognise(folder)) return true;
        folder[colon - rest] = ':';
        *key = "";
    }
    return prefix;
}

const exa_volume_backend exa_volume_precomputed_backend = {
    .format = "precomputed",
    .read = read_box,
    .get_doubles = get_doubles,
    .close = close_volume,
};
