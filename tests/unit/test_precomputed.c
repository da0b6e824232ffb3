/* Precomputed volumes: chunk numbers, labels encoded and back, round trips of odd sizes, coarser scales, damage. */
#include "test_util.h"

#include "exaconn/box.h"
#include "exaconn/file.h"
#include "exaconn/precomputed.h"
#include "exaconn/volume.h"

#include "volume/compressed_segmentation_internal.h"
#include "volume/downsample_internal.h"
#include "volume/gzip_internal.h"
#include "volume/shard_file_internal.h"

#include <dirent.h>
#include <math.h>

/* ---- numbers of chunks --------------------------------------------------------------------------------------- */

static void test_morton(void **state) {
    (void)state;
    /* x has 3 cells (bits 0, 1), y one (none), z five (0, 1, 2): x0 z0 x1 z1 z2 from below. */
    const exa_coord grid[3] = {5, 1, 3}, cell[3] = {6, 0, 1}, huge[3] = {1 << 22, 1 << 22, 1 << 22};
    int bits;

    assert_ok(exa_morton_bits(grid, &bits));
    assert_int_equal(bits, 5);
    assert_int_equal(exa_morton_encode(grid, cell), 1 + 0 * 2 + 0 * 4 + 1 * 8 + 1 * 16);
    for (exa_coord z = 0; z < 5; z++)
        for (exa_coord x = 0; x < 3; x++) {
            const exa_coord there[3] = {z, 0, x};
            exa_coord back[3];
            exa_morton_decode(grid, exa_morton_encode(grid, there), back);
            assert_memory_equal(back, there, sizeof back);
        }
    assert_fails(EXA_ERR_RANGE, "64 bits", exa_morton_bits(huge, &bits));
}

/* A file is an aligned block whatever the extent: all its chunks lie within a box of 2^bits of them. */
static void test_shard_is_block(void **state) {
    static const exa_coord grids[][3] = {{1, 1, 1}, {4, 3, 3}, {1, 90, 100}, {64, 64, 64}, {1000, 2000, 3000}};

    (void)state;
    for (size_t g = 0; g < sizeof grids / sizeof *grids; g++) {
        exa_coord low[3], high[3] = {0, 0, 0}, cell[3];
        exa_shard_spec spec;
        int bits, inside;
        assert_ok(exa_morton_bits(grids[g], &bits));
        exa_shard_choose(bits, 4, &spec);
        inside = spec.preshift_bits + spec.minishard_bits;
        assert_int_equal(inside + spec.shard_bits, bits);
        assert_true(inside <= 15 && spec.preshift_bits >= 0 && spec.minishard_bits >= 0);
        exa_morton_decode(grids[g], 0, low);
        for (uint64_t i = 0; i < (uint64_t)1 << inside; i++) {
            exa_morton_decode(grids[g], i, cell);
            assert_int_equal(exa_shard_of(&spec, i), 0);
            for (int a = 0; a < 3; a++)
                if (cell[a] > high[a]) high[a] = cell[a];
        }
        assert_true((high[0] + 1) * (high[1] + 1) * (high[2] + 1) == (exa_coord)1 << inside);
        if (spec.shard_bits) assert_int_equal(exa_shard_of(&spec, (uint64_t)1 << inside), 1);
    }
}

/* ---- labels -------------------------------------------------------------------------------------------------- */

static void fill_labels(uint64_t *v, size_t n, int kinds, uint64_t *seed) {
    for (size_t i = 0; i < n; i++) {
        uint64_t r = test_random(seed);
        v[i] = kinds == 0 ? r : r % (uint64_t)kinds ? (r % (uint64_t)kinds) << 33 : 0;
    }
}

static void test_labels(void **state) {
    static const exa_coord shapes[][3] = {{1, 1, 1}, {8, 8, 8}, {9, 7, 17}, {64, 64, 64}, {3, 64, 1}};
    static const int kinds[] = {1, 2, 3, 5, 17, 257, 0}; /* 0: all different, 16 bits a voxel */
    const exa_coord block[3] = {8, 8, 8};
    uint64_t seed = 1;

    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
            size_t n = (size_t)(shapes[s][0] * shapes[s][1] * shapes[s][2]), size, size2;
            uint64_t *v = malloc(n * sizeof *v), *back = malloc(n * sizeof *v);
            unsigned char *data, *data2;
            fill_labels(v, n, kinds[k], &seed);
            assert_ok(exa_compressed_segmentation_encode(v, shapes[s], &data, &size));
            assert_ok(exa_compressed_segmentation_decode(data, size, shapes[s], block, 8, back));
            assert_memory_equal(v, back, n * sizeof *v);
            assert_ok(exa_compressed_segmentation_encode(v, shapes[s], &data2, &size2));
            assert_true(size == size2 && memcmp(data, data2, size) == 0);
            free(v), free(back), free(data), free(data2);
        }
}

/* Whatever is changed or cut: an answer or an error, never a byte beyond (the sanitizers watch). */
static void test_labels_damaged(void **state) {
    const exa_coord shape[3] = {17, 9, 20}, block[3] = {8, 8, 8};
    enum { N = 17 * 9 * 20 };
    uint64_t v[N], back[N], seed = 5;
    unsigned char *data, *copy;
    size_t size, refused = 0;

    (void)state;
    fill_labels(v, N, 9, &seed);
    assert_ok(exa_compressed_segmentation_encode(v, shape, &data, &size));
    for (int i = 0; i < 3000; i++) {
        size_t cut = i % 3 == 0 ? test_random(&seed) % size : size;
        copy = malloc(cut ? cut : 1);
        memcpy(copy, data, cut);
        if (cut)
            copy[test_random(&seed) % (i % 2       ? cut
                                       : cut < 300 ? cut
                                                   : 300)] ^= (unsigned char)(1 + test_random(&seed) % 255);
        refused += exa_compressed_segmentation_decode(copy, cut, shape, block, 8, back) != EXA_OK;
        free(copy);
    }
    assert_true(refused > 1000);
    free(data);
}

static void test_gzip(void **state) {
    unsigned char data[5000], *packed, *back;
    size_t size, n;
    uint64_t seed = 2;

    (void)state;
    for (size_t i = 0; i < sizeof data; i++) data[i] = (unsigned char)(test_random(&seed) % 7);
    assert_ok(exa_gzip_pack(data, sizeof data, 4, &packed, &size));
    assert_ok(exa_gzip_unpack(packed, size, sizeof data, &back, &n));
    assert_int_equal(n, sizeof data);
    assert_memory_equal(back, data, n);
    free(back);
    assert_fails(EXA_ERR_CORRUPT, "more than 4999", exa_gzip_unpack(packed, size, sizeof data - 1, &back, &n));
    assert_fails(EXA_ERR_CORRUPT, "gzip block", exa_gzip_unpack(packed, size - 1, sizeof data, &back, &n));
    assert_fails(EXA_ERR_CORRUPT, "gzip block", exa_gzip_unpack(packed, 0, sizeof data, &back, &n));
    packed[size / 2] ^= 1;
    assert_fails(EXA_ERR_CORRUPT, "gzip block", exa_gzip_unpack(packed, size, sizeof data, &back, &n));
    free(packed);
}

/* ---- coarser voxels ------------------------------------------------------------------------------------------ */

static void test_downsample(void **state) {
    const exa_box from = {{0, 0, 0}, {2, 2, 2}}, to = {{0, 0, 0}, {1, 1, 1}}, part = {{1, 0, 0}, {1, 2, 1}};
    const int two[3] = {2, 2, 2};
    static const struct {
        uint64_t in[8], out;
    } cases[] = {{{0, 0, 0, 0, 0, 0, 0, 9}, 0}, {{0, 0, 0, 0, 0, 9, 8, 9}, 0}, {{0, 0, 0, 0, 9, 8, 9, 8}, 9},
                 {{0, 0, 0, 0, 8, 9, 9, 8}, 8}, {{1, 2, 3, 4, 5, 6, 7, 7}, 7}, {{9, 9, 1, 1, 1, 2, 2, 2}, 1},
                 {{2, 2, 2, 1, 1, 1, 0, 0}, 2}, {{5, 5, 5, 5, 5, 5, 5, 5}, 5}};
    const uint8_t u8[8] = {255, 255, 255, 255, 255, 255, 255, 251}, low[8] = {0, 0, 0, 0, 0, 0, 1, 3};
    const float f32[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    uint64_t label;
    uint8_t mean;
    float real;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exa_downsample_labels(&from, cases[i].in, two, &to, &label);
        assert_int_equal(label, cases[i].out);
    }
    assert_ok(exa_downsample_image(EXA_U8, &from, u8, two, &to, &mean));
    assert_int_equal(mean, 255); /* 254.5 */
    assert_ok(exa_downsample_image(EXA_U8, &from, low, two, &to, &mean));
    assert_int_equal(mean, 1); /* 0.5 */
    assert_ok(exa_downsample_image(EXA_F32, &from, f32, two, &to, &real));
    assert_true(real == 4.5f);
    exa_downsample_labels(&part, (const uint64_t[]){0, 7}, two, &to, &label);
    assert_int_equal(label, 7); /* half empty, of the two voxels there are */
}

/* ---- volumes ------------------------------------------------------------------------------------------------- */

static void make_source(const char *path, exa_dtype dtype, const exa_coord shape[3], const void *voxels) {
    exa_volume_create_options o = {.dtype = dtype, .shape = {shape[0], shape[1], shape[2]}};
    const exa_box all = {{0, 0, 0}, {shape[0], shape[1], shape[2]}};
    exa_volume *v;

    assert_ok(exa_volume_create(path, &o, &v));
    assert_ok(exa_volume_write(v, &all, dtype, voxels));
    assert_ok(exa_volume_commit(v));
    exa_volume_close(&v);
}

/* The whole of an export, shards in any order. */
static void export_all(const char *folder, const exa_precomputed_options *o, const char *source, bool backwards) {
    exa_precomputed *p;
    exa_precomputed_state state;
    exa_volume *v;

    assert_ok(exa_precomputed_plan(folder, o, &p));
    assert_ok(exa_precomputed_begin(p, false, &state));
    assert_ok(exa_volume_open(source, &v));
    for (int s = 0; s < exa_precomputed_scales(p); s++)
        for (uint64_t i = 0, n = exa_precomputed_shards(p, s); i < n; i++) {
            uint64_t shard = backwards ? n - 1 - i : i;
            if (exa_precomputed_shard_used(p, s, shard))
                assert_ok(exa_precomputed_write_shard(p, s, shard, v, NULL, NULL));
        }
    assert_ok(exa_precomputed_finish(p));
    exa_volume_close(&v);
    exa_precomputed_destroy(&p);
}

static void read_all(const char *name, exa_dtype dtype, const exa_coord shape[3], void *out) {
    const exa_box all = {{0, 0, 0}, {shape[0], shape[1], shape[2]}};
    exa_volume_info info;
    exa_volume *v;

    assert_ok(exa_volume_open(name, &v));
    assert_ok(exa_volume_get_info(v, &info));
    assert_memory_equal(info.shape, shape, sizeof info.shape);
    assert_string_equal(info.format, "precomputed");
    assert_ok(exa_volume_read(v, &all, dtype, out));
    exa_volume_close(&v);
}

static void test_round_trip(void **state) {
    static const exa_coord shapes[][3] = {{1, 1, 1}, {64, 64, 64}, {65, 1, 130}, {70, 129, 66}, {3, 200, 5}};
    uint64_t seed = 11;

    (void)state;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int gzip = 0; gzip < 2; gzip++) {
            const char *folder = test_make_folder();
            char work[4096], source[5000], out[5000], command[12000];
            size_t n = (size_t)(shapes[s][0] * shapes[s][1] * shapes[s][2]);
            uint64_t *v = malloc(n * sizeof *v), *back = malloc(n * sizeof *v);
            exa_precomputed_options o = {.kind = EXA_PRECOMPUTED_SEGMENTATION,
                                         .voxel_size_nm = {8, 8, 8},
                                         .gzip_level = gzip * 4,
                                         .source = "test"};
            memcpy(o.box.shape, shapes[s], sizeof o.box.shape);
            snprintf(work, sizeof work, "%s", folder);
            snprintf(source, sizeof source, "%s/v.h5:/v", work);
            fill_labels(v, n, s % 2 ? 5 : 0, &seed);
            make_source(source, EXA_U64, shapes[s], v);
            snprintf(out, sizeof out, "%s/a", work);
            export_all(out, &o, source, false);
            read_all(out, EXA_U64, shapes[s], back);
            assert_memory_equal(v, back, n * sizeof *v);
            snprintf(out, sizeof out, "precomputed://%s/b", work);
            export_all(out + strlen("precomputed://"), &o, source, true);
            read_all(out, EXA_U64, shapes[s], back);
            assert_memory_equal(v, back, n * sizeof *v);
            snprintf(command, sizeof command, "diff -r '%s/a' '%s/b'", work, work);
            assert_int_equal(system(command), 0);
            free(v), free(back);
            test_remove_folder(work);
        }
}

/* Boxes anywhere, across chunks and shards. */
static void test_boxes(void **state) {
    const exa_coord shape[3] = {70, 140, 150};
    const size_t n = 70 * 140 * 150;
    char work[4096], source[5000], out[5000];
    uint16_t *v = malloc(n * sizeof *v), *part = malloc(n * sizeof *v);
    exa_precomputed_options o = {.kind = EXA_PRECOMPUTED_IMAGE,
                                 .dtype = EXA_U16,
                                 .box = {{0, 0, 0}, {70, 140, 150}},
                                 .offset = {-3, 5, 1},
                                 .voxel_size_nm = {8, 8, 8},
                                 .gzip_level = 1,
                                 .source = "t"};
    exa_volume *p;
    exa_coord offset[3];
    bool found;
    uint64_t seed = 3;

    (void)state;
    snprintf(work, sizeof work, "%s", test_make_folder());
    snprintf(source, sizeof source, "%s/v.h5:/v", work);
    snprintf(out, sizeof out, "%s/p", work);
    for (size_t i = 0; i < n; i++) v[i] = (uint16_t)test_random(&seed);
    make_source(source, EXA_U16, shape, v);
    export_all(out, &o, source, false);
    assert_ok(exa_volume_open(out, &p));
    assert_ok(exa_volume_get_offset(p, offset, &found));
    assert_true(found && offset[0] == -3 && offset[1] == 5 && offset[2] == 1);
    for (int i = 0; i < 60; i++) {
        exa_box b, all = {{0, 0, 0}, {70, 140, 150}};
        size_t k = 0;
        for (int a = 0; a < 3; a++) {
            b.start[a] = (exa_coord)(test_random(&seed) % (uint64_t)shape[a]);
            b.shape[a] = 1 + (exa_coord)(test_random(&seed) % (uint64_t)(shape[a] - b.start[a]));
        }
        assert_ok(exa_volume_read(p, &b, EXA_U16, part));
        for (exa_coord z = 0; z < b.shape[0]; z++)
            for (exa_coord y = 0; y < b.shape[1]; y++, k += (size_t)b.shape[2])
                assert_memory_equal(part + k, v + exa_box_index(&all, b.start[0] + z, b.start[1] + y, b.start[2]),
                                    (size_t)b.shape[2] * sizeof *v);
    }
    exa_volume_close(&p);
    free(v), free(part);
    test_remove_folder(work);
}

/* 40 x 8 x 8 nm: z waits until x and y have come near; all levels lie exactly over one another. */
static void test_anisotropic(void **state) {
    static const double want[][3] = {{40, 8, 8}, {40, 16, 16}, {40, 32, 32}, {80, 64, 64}};
    const exa_precomputed_options o = {.kind = EXA_PRECOMPUTED_SEGMENTATION,
                                       .box = {{0, 0, 0}, {100, 300, 500}},
                                       .offset = {7, -1, 5},
                                       .voxel_size_nm = {40, 8, 8},
                                       .source = "t"};
    exa_precomputed *p;
    exa_precomputed_options bad = o;

    (void)state;
    assert_ok(exa_precomputed_plan("x", &o, &p));
    assert_int_equal(exa_precomputed_scales(p), 4);
    for (int s = 0; s < 4; s++) {
        exa_box b = exa_precomputed_scale_box(p, s);
        for (int a = 0; a < 3; a++) {
            exa_coord f = (exa_coord)(want[s][a] / want[0][a]);
            exa_coord low = (exa_coord)floor((double)o.offset[a] / (double)f);
            exa_coord high = (exa_coord)floor((double)(o.offset[a] + o.box.shape[a] - 1) / (double)f);
            assert_int_equal(b.start[a], low);
            assert_int_equal(b.shape[a], high - low + 1);
        }
    }
    exa_precomputed_destroy(&p);
    bad.voxel_size_nm[1] = 0;
    assert_fails(EXA_ERR_CONFIG, "voxel size", exa_precomputed_plan("x", &bad, &p));
    bad = o;
    bad.kind = EXA_PRECOMPUTED_IMAGE;
    bad.dtype = EXA_U64;
    assert_fails(EXA_ERR_UNSUPPORTED, "segmentation", exa_precomputed_plan("x", &bad, &p));
    bad = o;
    bad.box.shape[0] = bad.box.shape[1] = bad.box.shape[2] = (exa_coord)1 << 40;
    assert_fails(EXA_ERR_RANGE, "64 bits", exa_precomputed_plan("x", &bad, &p));
}

/* ---- damage -------------------------------------------------------------------------------------------------- */

typedef struct exported {
    char work[4096], folder[5000], info[6000], shard[6000];
    uint64_t *voxels;
    size_t n;
} exported;

static const exa_coord damaged_shape[3] = {20, 70, 90};

static void make_exported(exported *e) {
    exa_precomputed_options o = {
        .kind = EXA_PRECOMPUTED_SEGMENTATION, .voxel_size_nm = {8, 8, 8}, .gzip_level = 4, .source = "t"};
    char source[5000];
    uint64_t seed = 8;

    snprintf(e->work, sizeof e->work, "%s", test_make_folder());
    snprintf(source, sizeof source, "%s/v.h5:/v", e->work);
    snprintf(e->folder, sizeof e->folder, "%s/p", e->work);
    snprintf(e->info, sizeof e->info, "%s/info", e->folder);
    snprintf(e->shard, sizeof e->shard, "%s/8_8_8/0.shard", e->folder);
    memcpy(o.box.shape, damaged_shape, sizeof o.box.shape);
    e->n = 20 * 70 * 90;
    e->voxels = malloc(e->n * sizeof *e->voxels);
    fill_labels(e->voxels, e->n, 4, &seed);
    make_source(source, EXA_U64, damaged_shape, e->voxels);
    export_all(e->folder, &o, source, false);
}

static exa_status try_read(const exported *e, uint64_t *back) {
    const exa_box all = {{0, 0, 0}, {20, 70, 90}};
    exa_volume *v;
    exa_status st = exa_volume_open(e->folder, &v);

    if (st != EXA_OK) return st;
    st = exa_volume_read(v, &all, EXA_U64, back);
    exa_volume_close(&v);
    return st;
}

/* Every byte of the shard's index and a thousand others, flipped; every length: an error that names the file, or
 * the same voxels (padding, gzip's unused header fields). */
static void test_damaged_shard(void **state) {
    exported e;
    uint64_t seed = 4, *back;
    char *data;
    size_t size, survived = 0, tries = 0;

    (void)state;
    make_exported(&e);
    back = malloc(e.n * sizeof *back);
    assert_ok(exa_file_read_all(e.shard, 1 << 24, &data, &size));
    for (size_t i = 0; i < 500; i++, tries++) {
        size_t at = i < 16 ? i : test_random(&seed) % size, length = i % 5 == 4 ? test_random(&seed) % size : size;
        char was = data[at];
        data[at] = (char)(data[at] ^ (1 << test_random(&seed) % 8));
        assert_ok(exa_file_write_atomic(e.shard, data, length));
        data[at] = was;
        if (try_read(&e, back) != EXA_OK) {
            assert_non_null(strstr(exa_error_last()->message, "0.shard"));
            continue;
        }
        survived++;
        assert_memory_equal(back, e.voxels, e.n * sizeof *back);
    }
    assert_true(survived < tries / 20);
    unlink(e.shard);
    assert_fails(EXA_ERR_CORRUPT, "missing", try_read(&e, back));
    assert_ok(exa_file_write_atomic(e.shard, data, size));
    assert_ok(try_read(&e, back));
    free(data), free(back), free(e.voxels);
    test_remove_folder(e.work);
}

static void replace_in_info(const exported *e, const char *text, const char *from, const char *to) {
    const char *at = strstr(text, from);
    char *changed = malloc(strlen(text) + strlen(to) + 1);

    assert_non_null(at);
    sprintf(changed, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_ok(exa_file_write_atomic(e->info, changed, strlen(changed)));
    free(changed);
}

static void test_damaged_info(void **state) {
    static const struct {
        const char *from, *to, *says;
        exa_status st;
    } cases[] = {
        {"\"size\": [90", "\"size\": [-90", "size", EXA_ERR_FORMAT},
        {"\"size\": [90", "\"size\": [90.5", "size", EXA_ERR_FORMAT},
        {"\"size\": [90, 70, 20]", "\"size\": [90, 70]", "size", EXA_ERR_FORMAT},
        {"\"voxel_offset\": [0", "\"voxel_offset\": [1e300", "voxel_offset", EXA_ERR_FORMAT},
        {"\"resolution\": [8", "\"resolution\": [0", "resolution", EXA_ERR_FORMAT},
        {"[[64, 64, 64]]", "[[0, 64, 64]]", "chunk_sizes", EXA_ERR_FORMAT},
        {"[[64, 64, 64]]", "[[64000, 64000, 64]]", "1 GiB", EXA_ERR_FORMAT},
        {"\"encoding\": \"compressed_segmentation\"", "\"encoding\": \"jpeg\"", "jpeg", EXA_ERR_UNSUPPORTED},
        {"\"data_type\": \"uint64\"", "\"data_type\": \"int8\"", "int8", EXA_ERR_UNSUPPORTED},
        {"\"data_type\": \"uint64\"", "\"data_type\": \"uint8\"", "needs labels", EXA_ERR_FORMAT},
        {"\"num_channels\": 1", "\"num_channels\": 3", "one channel", EXA_ERR_UNSUPPORTED},
        {"\"hash\": \"identity\"", "\"hash\": \"md5\"", "hash", EXA_ERR_FORMAT},
        {"\"preshift_bits\": 2", "\"preshift_bits\": 99", "preshift_bits", EXA_ERR_FORMAT},
        {"\"data_encoding\": \"gzip\"", "\"data_encoding\": \"zip\"", "data_encoding", EXA_ERR_FORMAT},
        {"\"data_encoding\": \"gzip\"", "\"data_encoding\": \"raw\"", "damaged", EXA_ERR_CORRUPT},
        {"block_size\": [8", "block_size\": [0", "block_size", EXA_ERR_FORMAT},
        {"neuroglancer_multiscale_volume", "neuroglancer_skeletons", "skeletons", EXA_ERR_UNSUPPORTED},
        {"\"scales\"", "\"scale\"", "scales", EXA_ERR_FORMAT},
        {"{", "", "info", EXA_ERR_FORMAT},
    };
    exported e;
    uint64_t *back;
    char *text;
    size_t size;

    (void)state;
    make_exported(&e);
    back = malloc(e.n * sizeof *back);
    assert_ok(exa_file_read_all(e.info, 1 << 20, &text, &size));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        replace_in_info(&e, text, cases[i].from, cases[i].to);
        assert_fails(cases[i].st, cases[i].says, try_read(&e, back));
    }
    for (size_t i = 0; i < size; i++) { /* cut anywhere: but for the last line feed, it is no JSON */
        assert_ok(exa_file_write_atomic(e.info, text, i));
        if (i < size - 1) assert_int_not_equal(try_read(&e, back), EXA_OK);
    }
    free(text), free(back), free(e.voxels);
    test_remove_folder(e.work);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_morton),       cmocka_unit_test(test_shard_is_block),
        cmocka_unit_test(test_labels),       cmocka_unit_test(test_labels_damaged),
        cmocka_unit_test(test_gzip),         cmocka_unit_test(test_downsample),
        cmocka_unit_test(test_round_trip),   cmocka_unit_test(test_boxes),
        cmocka_unit_test(test_anisotropic),  cmocka_unit_test(test_damaged_shard),
        cmocka_unit_test(test_damaged_info),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
