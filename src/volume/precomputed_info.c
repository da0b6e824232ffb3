/* info: JSON in which triples are x, y, z. */
#include "precomputed_internal.h"

#include "exaconn/json.h"

#include <cjson/cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LARGEST_INFO_BYTES = 4 << 20, LARGEST_CHUNK_BYTES = 1 << 30 };

void exa_precomputed_grid(const exa_precomputed_scale *s, exa_coord grid[3]) {
    for (int a = 0; a < 3; a++) grid[a] = (s->size[a] - 1) / s->chunk[a] + 1;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct reading {
    const char *path; /* of the info file */
    int scale;        /* -1 = the whole */
} reading;

static exa_status wrong(const reading *r, const char *member, const char *why) {
    if (r->scale < 0) return EXA_FAIL(EXA_ERR_FORMAT, "'%s': \"%s\" %s", r->path, member, why);
    return EXA_FAIL(EXA_ERR_FORMAT, "'%s': \"%s\" of scale %d %s", r->path, member, r->scale, why);
}

static exa_status get_triple(const reading *r, const cJSON *list, const char *member, double zyx[3]) {
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 3) return wrong(r, member, "is no list of three");
    for (int a = 0; a < 3; a++) {
        const cJSON *item = cJSON_GetArrayItem(list, 2 - a);
        if (!cJSON_IsNumber(item)) return wrong(r, member, "is no list of three numbers");
        zyx[a] = item->valuedouble;
    }
    return EXA_OK;
}

static exa_status get_integers(const reading *r, const cJSON *list, const char *member, double least,
                               exa_coord zyx[3]) {
    double v[3];

    EXA_TRY(get_triple(r, list, member, v));
    for (int a = 0; a < 3; a++) {
        if (!(v[a] >= least && v[a] <= 0x1p53 && v[a] == floor(v[a])))
            return wrong(r, member, "has a number that cannot be");
        zyx[a] = (exa_coord)v[a];
    }
    return EXA_OK;
}

static const cJSON *member_of(const cJSON *from, const char *member) {
    return cJSON_GetObjectItemCaseSensitive(from, member);
}

static const char *get_text(const cJSON *from, const char *member) {
    const char *text = cJSON_GetStringValue(member_of(from, member));
    return text ? text : "";
}

static exa_status get_bits(const reading *r, const cJSON *from, const char *member, int most, int *bits) {
    const cJSON *item = member_of(from, member);

    if (!cJSON_IsNumber(item) || !(item->valuedouble >= 0 && item->valuedouble <= most) ||
        item->valuedouble != floor(item->valuedouble))
        return wrong(r, member, "is no number of bits that can be");
    *bits = (int)item->valuedouble;
    return EXA_OK;
}

static exa_status get_gzip(const reading *r, const cJSON *from, const char *member, bool *gzip) {
    const char *text = get_text(from, member);

    *gzip = strcmp(text, "gzip") == 0;
    if (!*gzip && *text && strcmp(text, "raw") != 0) return wrong(r, member, "is neither raw nor gzip");
    return EXA_OK;
}

static exa_status get_sharding(const reading *r, const cJSON *from, exa_precomputed_scale *s) {
    const cJSON *o = member_of(from, "sharding");
    exa_coord grid[3];
    int bits;

    s->sharded = o && !cJSON_IsNull(o);
    if (!s->sharded) return EXA_OK;
    if (strcmp(get_text(o, "@type"), "neuroglancer_uint64_sharded_v1") != 0)
        return wrong(r, "sharding", "is not of @type neuroglancer_uint64_sharded_v1");
    s->shards.murmur = strcmp(get_text(o, "hash"), "murmurhash3_x86_128") == 0;
    if (!s->shards.murmur && strcmp(get_text(o, "hash"), "identity") != 0)
        return wrong(r, "hash", "is neither identity nor murmurhash3_x86_128");
    EXA_TRY(get_bits(r, o, "preshift_bits", 64, &s->shards.preshift_bits));
    EXA_TRY(get_bits(r, o, "minishard_bits", 32, &s->shards.minishard_bits));
    EXA_TRY(get_bits(r, o, "shard_bits", 64, &s->shards.shard_bits));
    if (s->shards.minishard_bits + s->shards.shard_bits > 64) return wrong(r, "sharding", "has more than 64 bits");
    EXA_TRY(get_gzip(r, o, "minishard_index_encoding", &s->shards.gzip_index));
    EXA_TRY(get_gzip(r, o, "data_encoding", &s->shards.gzip_data));
    exa_precomputed_grid(s, grid);
    return exa_morton_bits(grid, &bits);
}

static exa_status get_encoding(const reading *r, const cJSON *from, exa_dtype dtype, exa_precomputed_scale *s) {
    const char *encoding = get_text(from, "encoding");

    s->compressed = strcasecmp(encoding, "compressed_segmentation") == 0;
    EXA_CHECK(s->compressed || strcasecmp(encoding, "raw") == 0, EXA_ERR_UNSUPPORTED,
              "'%s': scale %d has the encoding '%s'; exaconn reads raw and compressed_segmentation", r->path,
              r->scale, encoding);
    if (!s->compressed) return EXA_OK;
    if (dtype != EXA_U32 && dtype != EXA_U64) return wrong(r, "encoding", "needs labels of uint32 or uint64");
    EXA_TRY(get_integers(r, member_of(from, "compressed_segmentation_block_size"),
                         "compressed_segmentation_block_size", 1, s->block));
    for (int a = 0; a < 3; a++)
        if (s->block[a] > 1024) return wrong(r, "compressed_segmentation_block_size", "is above 1024");
    return EXA_OK;
}

static exa_status get_chunk(const reading *r, const cJSON *from, exa_dtype dtype, exa_precomputed_scale *s) {
    const cJSON *list = member_of(from, "chunk_sizes");
    double bytes;

    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) < 1) return wrong(r, "chunk_sizes", "is no list");
    EXA_TRY(get_integers(r, cJSON_GetArrayItem(list, 0), "chunk_sizes", 1, s->chunk));
    bytes = (double)exa_dtype_size(dtype) * (double)s->chunk[0] * (double)s->chunk[1] * (double)s->chunk[2];
    if (bytes > LARGEST_CHUNK_BYTES) return wrong(r, "chunk_sizes", "has a chunk of more than 1 GiB");
    return EXA_OK;
}

static exa_status get_scale(const reading *r, const cJSON *from, exa_dtype dtype, exa_precomputed_scale *s) {
    const char *key = get_text(from, "key");
    exa_coord sum;

    if (!*key || strlen(key) >= sizeof s->key) return wrong(r, "key", "is no name of a folder");
    memcpy(s->key, key, strlen(key) + 1);
    EXA_TRY(get_integers(r, member_of(from, "size"), "size", 1, s->size));
    if (member_of(from, "voxel_offset"))
        EXA_TRY(get_integers(r, member_of(from, "voxel_offset"), "voxel_offset", -0x1p53, s->offset));
    for (int a = 0; a < 3; a++)
        if (__builtin_add_overflow(s->offset[a], s->size[a], &sum)) return wrong(r, "size", "is too large");
    EXA_TRY(get_triple(r, member_of(from, "resolution"), "resolution", s->voxel_size_nm));
    for (int a = 0; a < 3; a++)
        if (!(s->voxel_size_nm[a] > 0 && s->voxel_size_nm[a] < 1e12)) return wrong(r, "resolution", "cannot be");
    EXA_TRY(get_chunk(r, from, dtype, s));
    EXA_TRY(get_encoding(r, from, dtype, s));
    return get_sharding(r, from, s);
}

static exa_status get_dtype(const reading *r, const cJSON *root, exa_dtype *dtype) {
    static const exa_dtype all[] = {EXA_U8, EXA_U16, EXA_U32, EXA_U64, EXA_F32};
    const char *name = get_text(root, "data_type");

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (strcasecmp(name, exa_dtype_name(all[i])) != 0) continue;
        *dtype = all[i];
        return EXA_OK;
    }
    return EXA_FAIL(EXA_ERR_UNSUPPORTED,
                    "'%s': voxels of type '%s'; exaconn reads uint8, uint16, uint32, uint64 and float32", r->path,
                    name);
}

static exa_status parse_info(const char *path, const cJSON *root, exa_precomputed_info *info) {
    reading r = {path, -1};
    const cJSON *scales = member_of(root, "scales");
    const cJSON *channels = member_of(root, "num_channels");
    const char *type = get_text(root, "@type");

    EXA_CHECK(!*type || strcmp(type, "neuroglancer_multiscale_volume") == 0, EXA_ERR_UNSUPPORTED,
              "'%s' describes a '%s', not a volume", path, type);
    info->kind =
        strcmp(get_text(root, "type"), "segmentation") == 0 ? EXA_PRECOMPUTED_SEGMENTATION : EXA_PRECOMPUTED_IMAGE;
    info->all_stored = cJSON_IsTrue(member_of(root, "exaconn_all_chunks_stored"));
    EXA_TRY(get_dtype(&r, root, &info->dtype));
    EXA_CHECK(!channels || (cJSON_IsNumber(channels) && channels->valuedouble == 1), EXA_ERR_UNSUPPORTED,
              "'%s': exaconn reads volumes of one channel only", path);
    info->scale_count = cJSON_IsArray(scales) ? cJSON_GetArraySize(scales) : 0;
    if (info->scale_count < 1 || info->scale_count > EXA_PRECOMPUTED_MAX_SCALES)
        return wrong(&r, "scales", "is no list of 1 to 64 scales");
    for (r.scale = 0; r.scale < info->scale_count; r.scale++)
        EXA_TRY(get_scale(&r, cJSON_GetArrayItem(scales, r.scale), info->dtype, &info->scales[r.scale]));
    return EXA_OK;
}

exa_status exa_precomputed_info_read(const char *folder, exa_precomputed_info **out) {
    char path[EXA_PATH_BYTES], *text = NULL;
    exa_precomputed_info *info = NULL;
    cJSON *root = NULL;
    size_t size;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(path, folder, "info"));
    EXA_TRY(exa_file_read_all(path, LARGEST_INFO_BYTES, &text, &size));
    EXA_GOTO(done, exa_json_parse(text, size, path, EXA_ERR_FORMAT, &root));
    EXA_GOTO(done, exa_calloc(1, sizeof *info, "the info of a volume", &info));
    EXA_GOTO(done, parse_info(path, root, info));
    *out = info;
    info = NULL;
done:
    free(info);
    cJSON_Delete(root);
    free(text);
    return st;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

static void put_triple(exa_json_text *t, const char *name, const exa_coord v[3]) {
    exa_json_text_add(t, "\"%s\": [%lld, %lld, %lld]", name, (long long)v[2], (long long)v[1], (long long)v[0]);
}

static void put_scale(exa_json_text *t, const exa_precomputed_scale *s) {
    exa_json_text_add(t, "    {\"key\": ");
    exa_json_text_add_string(t, s->key);
    exa_json_text_add(t, ", ");
    put_triple(t, "size", s->size);
    exa_json_text_add(t, ", ");
    put_triple(t, "voxel_offset", s->offset);
    exa_json_text_add(t, ",\n     \"resolution\": [");
    for (int a = 2; a >= 0; a--) {
        exa_json_text_add_real(t, s->voxel_size_nm[a]);
        exa_json_text_add(t, a ? ", " : "], ");
    }
    exa_json_text_add(t, "\"chunk_sizes\": [[%lld, %lld, %lld]],\n     ", (long long)s->chunk[2],
                      (long long)s->chunk[1], (long long)s->chunk[0]);
    exa_json_text_add(t, "\"encoding\": \"%s\", ", s->compressed ? "compressed_segmentation" : "raw");
    if (s->compressed) {
        put_triple(t, "compressed_segmentation_block_size", s->block);
        exa_json_text_add(t, ",\n     ");
    }
    exa_json_text_add(t,
                      "\"sharding\": {\"@type\": \"neuroglancer_uint64_sharded_v1\", \"hash\": \"identity\", "
                      "\"preshift_bits\": %d, \"minishard_bits\": %d, \"shard_bits\": %d, "
                      "\"minishard_index_encoding\": \"%s\", \"data_encoding\": \"%s\"}}",
                      s->shards.preshift_bits, s->shards.minishard_bits, s->shards.shard_bits,
                      s->shards.gzip_index ? "gzip" : "raw", s->shards.gzip_data ? "gzip" : "raw");
}

exa_status exa_precomputed_info_write(const exa_precomputed_info *info, char **text) {
    exa_json_text t = {0};

    exa_json_text_add(&t,
                      "{\n  \"@type\": \"neuroglancer_multiscale_volume\",\n  \"type\": \"%s\",\n  \"data_type\": "
                      "\"%s\",\n  \"num_channels\": 1,\n",
                      info->kind == EXA_PRECOMPUTED_SEGMENTATION ? "segmentation" : "image",
                      exa_dtype_name(info->dtype));
    if (info->all_stored) exa_json_text_add(&t, "  \"exaconn_all_chunks_stored\": true,\n");
    exa_json_text_add(&t, "  \"scales\": [\n");
    for (int i = 0; i < info->scale_count; i++) {
        put_scale(&t, &info->scales[i]);
        exa_json_text_add(&t, i + 1 < info->scale_count ? ",\n" : "\n  ]\n}\n");
    }
    return exa_json_text_take(&t, text);
}
