/* Volumes: round trips in every type and odd shape, the conversions and their refusals, and each error by its text.
 */
#include "test_util.h"

#include "exaconn/volume.h"

#include <fcntl.h>
#include <hdf5.h>
#include <pthread.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char *folder;
static char name_buffer[8][4400];

/* "FOLDER/file", valid for eight calls. */
static const char *in_folder(const char *file) {
    static int next;
    char *out = name_buffer[next++ % 8];
    snprintf(out, sizeof name_buffer[0], "%s/%s", folder, file);
    return out;
}

static int make_folder(void **state) {
    (void)state;
    folder = test_make_folder();
    return 0;
}
static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static exa_box whole(const exa_coord shape[3]) {
    return (exa_box){{0, 0, 0}, {shape[0], shape[1], shape[2]}};
}

/* Random voxels; float32 ones are any finite number. */
static void fill(exa_dtype dtype, void *data, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) {
        uint64_t r = test_random(&seed);
        float f = (float)(test_uniform(&seed) * 1e6 - 5e5);
        size_t size = exa_dtype_size(dtype);
        memcpy((char *)data + i * size, dtype == EXA_F32 ? (void *)&f : (void *)&r, size);
    }
}

/* ---- round trips --------------------------------------------------------------------------------------------- */

/* Writes by boxes of `step`, reads back whole and by single voxel columns. */
static void round_trip(exa_dtype dtype, const exa_coord shape[3], const exa_coord chunk[3], int level,
                       const exa_coord step[3]) {
    exa_volume_create_options options = {.dtype = dtype, .zstd_level = level, .voxel_size_nm = {40, 4, 4.5}};
    const char *name = in_folder("round.h5:/some/where/voxels");
    size_t size = exa_dtype_size(dtype), n = (size_t)(shape[0] * shape[1] * shape[2]), k = 0;
    char *data = malloc(n * size), *box_data = malloc(n * size), *back = malloc(n * size);
    exa_box all = whole(shape);
    exa_volume *v = NULL;
    exa_volume_info info;

    memcpy(options.shape, shape, sizeof options.shape);
    memcpy(options.chunk, chunk, sizeof options.chunk);
    fill(dtype, data, n, n + size);
    assert_ok(exa_volume_create(name, &options, &v));
    for (exa_coord z = 0; z < shape[0]; z += step[0])
        for (exa_coord y = 0; y < shape[1]; y += step[1])
            for (exa_coord x = 0; x < shape[2]; x += step[2]) {
                exa_box box = {{z, y, x}, {step[0], step[1], step[2]}};
                box = exa_box_intersect(&box, &all);
                k = 0;
                for (exa_coord i = 0; i < box.shape[0]; i++)
                    for (exa_coord j = 0; j < box.shape[1]; j++, k += (size_t)box.shape[2])
                        memcpy(box_data + k * size,
                               data + (size_t)(((z + i) * shape[1] + y + j) * shape[2] + x) * size,
                               (size_t)box.shape[2] * size);
                assert_ok(exa_volume_write(v, &box, dtype, box_data));
            }
    assert_ok(exa_volume_commit(v));
    exa_volume_close(&v);
    assert_null(v);

    assert_ok(exa_volume_open(name, &v));
    assert_ok(exa_volume_get_info(v, &info));
    assert_int_equal(info.dtype, dtype);
    assert_string_equal(info.format, "hdf5");
    assert_string_equal(info.name, name);
    assert_string_equal(info.compression, level ? "zstd" : "none");
    assert_memory_equal(info.shape, shape, sizeof info.shape);
    assert_true(info.voxel_size_nm[0] == 40 && info.voxel_size_nm[2] == 4.5);
    assert_true(info.stored_bytes > 0);
    for (int a = 0; a < 3; a++) {
        exa_coord wanted = chunk[a] ? chunk[a] : 64;
        assert_int_equal(info.chunk[a], wanted < shape[a] ? wanted : shape[a]);
    }
    assert_ok(exa_volume_read(v, &all, dtype, back));
    assert_memory_equal(back, data, n * size);
    all.start[2] = shape[2] - 1;
    all.shape[2] = 1;
    assert_ok(exa_volume_read(v, &all, dtype, back));
    for (size_t i = 0; i < (size_t)(shape[0] * shape[1]); i++)
        assert_memory_equal(back + i * size, data + ((i + 1) * (size_t)shape[2] - 1) * size, size);
    exa_volume_close(&v);
    free(data);
    free(box_data);
    free(back);
}

static void test_round_trips(void **state) {
    (void)state;
    for (exa_dtype d = EXA_U8; d <= EXA_F32; d++) {
        round_trip(d, (exa_coord[]){13, 17, 19}, (exa_coord[]){5, 7, 6}, 3, (exa_coord[]){4, 9, 19});
        round_trip(d, (exa_coord[]){1, 1, 1}, (exa_coord[]){0, 0, 0}, 19, (exa_coord[]){1, 1, 1});
        round_trip(d, (exa_coord[]){70, 3, 65}, (exa_coord[]){0, 0, 0}, 1, (exa_coord[]){64, 3, 64});
        round_trip(d, (exa_coord[]){2, 100, 1}, (exa_coord[]){64, 64, 64}, 0, (exa_coord[]){1, 33, 1});
    }
}

/* ---- conversions --------------------------------------------------------------------------------------------- */

static exa_volume *make_volume(const char *name, exa_dtype dtype, const exa_coord shape[3], const void *data) {
    exa_volume_create_options options = {.dtype = dtype, .zstd_level = 1};
    exa_box all = whole(shape);
    exa_volume *v = NULL;

    memcpy(options.shape, shape, sizeof options.shape);
    assert_ok(exa_volume_create(name, &options, &v));
    assert_ok(exa_volume_write(v, &all, dtype, data));
    assert_ok(exa_volume_commit(v));
    exa_volume_close(&v);
    assert_ok(exa_volume_open(name, &v));
    return v;
}

static void test_widening_is_exact(void **state) {
    const exa_coord shape[3] = {3, 5, 7};
    uint8_t data[105];
    uint64_t wide[105];
    uint32_t middle[105];
    uint16_t narrow[105];
    float real[105];
    exa_box all = whole(shape);
    exa_volume *v;

    (void)state;
    fill(EXA_U8, data, 105, 1);
    v = make_volume(in_folder("wide.h5:/v"), EXA_U8, shape, data);
    assert_ok(exa_volume_read(v, &all, EXA_U16, narrow));
    assert_ok(exa_volume_read(v, &all, EXA_U32, middle));
    assert_ok(exa_volume_read(v, &all, EXA_U64, wide));
    assert_ok(exa_volume_read(v, &all, EXA_F32, real));
    for (int i = 0; i < 105; i++) {
        assert_int_equal(narrow[i], data[i]);
        assert_int_equal(middle[i], data[i]);
        assert_int_equal(wide[i], data[i]);
        assert_true(real[i] == (float)data[i]);
    }
    exa_volume_close(&v);
}

static void test_narrowing_is_checked(void **state) {
    const exa_coord shape[3] = {2, 3, 4};
    uint64_t data[24] = {0};
    uint32_t out[24];
    uint8_t small[24];
    exa_box all = whole(shape), before = {{0, 0, 0}, {1, 3, 4}};
    exa_volume *v;

    (void)state;
    data[1 * 12 + 2 * 4 + 3] = (uint64_t)UINT32_MAX + 1;
    data[5] = 300;
    v = make_volume(in_folder("narrow.h5:/ids"), EXA_U64, shape, data);
    assert_fails(EXA_ERR_RANGE, "4294967296 at voxel 1,2,3 (z,y,x) does not fit uint32",
                 exa_volume_read(v, &all, EXA_U32, out));
    assert_ok(exa_volume_read(v, &before, EXA_U32, out));
    assert_int_equal(out[5], 300);
    assert_fails(EXA_ERR_RANGE, "300 at voxel 0,1,1", exa_volume_read(v, &before, EXA_U8, small));
    exa_volume_close(&v);
}

static void test_floats_to_integers_are_checked(void **state) {
    const exa_coord shape[3] = {1, 2, 2};
    const float good[4] = {0.0f, 1.0f, 255.0f, 16777216.0f};
    const float bad[][4] = {{0, 0, 0, 0.5f}, {0, 0, 0, -1.0f}, {0, 0, 0, 0x1p64f}, {0, 0, 0, 0.0f / 1.0f - 3e38f}};
    exa_box all = whole(shape);
    uint64_t ids[4];
    uint32_t middle[4];
    exa_volume *v;

    (void)state;
    v = make_volume(in_folder("good.h5:/f"), EXA_F32, shape, good);
    assert_ok(exa_volume_read(v, &all, EXA_U64, ids));
    assert_ok(exa_volume_read(v, &all, EXA_U32, middle));
    assert_int_equal(ids[3], 16777216);
    assert_int_equal(middle[2], 255);
    exa_volume_close(&v);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        v = make_volume(in_folder("bad.h5:/f"), EXA_F32, shape, bad[i]);
        assert_fails(EXA_ERR_RANGE, "voxel 0,1,1", exa_volume_read(v, &all, EXA_U64, ids));
        assert_fails(EXA_ERR_RANGE, "does not fit uint32", exa_volume_read(v, &all, EXA_U32, middle));
        exa_volume_close(&v);
    }
}

/* Many planes, so that the staging buffer is cut into pieces; both directions. */
static void test_staged_pieces(void **state) {
    const exa_coord shape[3] = {90, 300, 301};
    size_t n = 90 * 300 * 301;
    exa_volume_create_options options = {.dtype = EXA_U8, .shape = {90, 300, 301}, .chunk = {16, 128, 128}};
    uint64_t *ids = malloc(n * 8);
    uint8_t *bytes = malloc(n), *back = malloc(n);
    exa_box all = whole(shape);
    exa_volume *v = NULL;

    (void)state;
    fill(EXA_U8, bytes, n, 7);
    for (size_t i = 0; i < n; i++) ids[i] = bytes[i];
    v = make_volume(in_folder("staged.h5:/ids"), EXA_U64, shape, ids);
    assert_ok(exa_volume_read(v, &all, EXA_U8, back));
    assert_memory_equal(back, bytes, n);
    exa_volume_close(&v);
    assert_ok(exa_volume_create(in_folder("staged8.h5:/ids"), &options, &v));
    assert_ok(exa_volume_write(v, &all, EXA_U64, ids));
    ids[n - 1] = 256;
    assert_fails(EXA_ERR_RANGE, "256 at voxel 89,299,300", exa_volume_write(v, &all, EXA_U64, ids));
    memset(back, 0, n);
    assert_ok(exa_volume_read(v, &all, EXA_U8, back));
    assert_memory_equal(back, bytes, n - 1);
    exa_volume_close(&v);
    free(ids);
    free(bytes);
    free(back);
}

/* ---- files made by others ------------------------------------------------------------------------------------ */

static void write_foreign(hid_t file, const char *name, hid_t file_type, hid_t memory_type, int rank,
                          const void *data) {
    const hsize_t dims[4] = {2, 3, 4, 5};
    hid_t space = H5Screate_simple(rank, dims, NULL);
    hid_t set = H5Dcreate2(file, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    if (data) assert_true(H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static void make_foreign(const char *path) {
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT), group, boolean;
    int64_t numbers[24], negative[24] = {0};
    uint8_t yes[24];
    const uint8_t zero = 0, one = 1;

    for (int i = 0; i < 24; i++) {
        numbers[i] = i * 1000;
        yes[i] = i & 1;
    }
    negative[13] = -5;
    write_foreign(file, "big32", H5T_STD_U32BE, H5T_NATIVE_INT64, 3, numbers);
    write_foreign(file, "bigfloat", H5T_IEEE_F32BE, H5T_NATIVE_INT64, 3, numbers);
    write_foreign(file, "int16", H5T_STD_I16BE, H5T_NATIVE_INT64, 3, numbers);
    write_foreign(file, "int64", H5T_STD_I64LE, H5T_NATIVE_INT64, 3, numbers);
    write_foreign(file, "negative", H5T_STD_I64LE, H5T_NATIVE_INT64, 3, negative);
    write_foreign(file, "double", H5T_IEEE_F64LE, H5T_NATIVE_INT64, 3, numbers);
    write_foreign(file, "flat", H5T_STD_U8LE, H5T_NATIVE_UINT8, 2, yes);
    write_foreign(file, "four", H5T_STD_U8LE, H5T_NATIVE_UINT8, 4, NULL);
    group = H5Gcreate2(file, "group", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    write_foreign(group, "raw", H5T_STD_U8LE, H5T_NATIVE_UINT8, 3, yes);
    boolean = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(boolean, "FALSE", &zero);
    H5Tenum_insert(boolean, "TRUE", &one);
    write_foreign(group, "mask", boolean, boolean, 3, yes);
    H5Tclose(boolean);
    H5Gclose(group);
    H5Fclose(file);
}

static void test_foreign_types(void **state) {
    static const char *const sets[] = {"big32", "bigfloat", "int16", "int64"};
    static const exa_dtype types[] = {EXA_U32, EXA_F32, EXA_U16, EXA_U64};
    exa_box all = {{0, 0, 0}, {2, 3, 4}};
    const char *path = in_folder("foreign.h5");
    char name[4500];
    uint64_t out[24];
    uint8_t bytes[24];
    exa_volume *v = NULL;
    exa_volume_info info;

    (void)state;
    make_foreign(path);
    for (int k = 0; k < 4; k++) {
        snprintf(name, sizeof name, "%s:%s", path, sets[k]);
        assert_ok(exa_volume_open(name, &v));
        assert_ok(exa_volume_get_info(v, &info));
        assert_int_equal(info.dtype, types[k]);
        assert_int_equal(info.chunk[0], 0);
        assert_ok(exa_volume_read(v, &all, EXA_U64, out));
        for (int i = 0; i < 24; i++) assert_int_equal(out[i], i * 1000);
        exa_volume_close(&v);
    }
    snprintf(name, sizeof name, "%s:/group/mask", path);
    assert_ok(exa_volume_open(name, &v));
    assert_ok(exa_volume_read(v, &all, EXA_U8, bytes));
    for (int i = 0; i < 24; i++) assert_int_equal(bytes[i], i % 2);
    assert_ok(exa_volume_get_info(v, &info));
    assert_string_equal(info.type_name, "uint8");
    exa_volume_close(&v);
    snprintf(name, sizeof name, "%s:/negative", path);
    assert_ok(exa_volume_open(name, &v));
    assert_ok(exa_volume_get_info(v, &info));
    assert_int_equal(info.dtype, EXA_U64);
    assert_string_equal(info.type_name, "int64");
    assert_fails(EXA_ERR_RANGE, "negative voxels", exa_volume_read(v, &all, EXA_U64, out));
    exa_volume_close(&v);
}

static void expect_open(const char *path, const char *dataset, exa_status status, const char *text) {
    char name[5000];
    exa_volume *v = NULL;

    snprintf(name, sizeof name, "%s%s", path, dataset);
    assert_fails(status, text, exa_volume_open(name, &v));
    assert_null(v);
    assert_non_null(strstr(exa_error_last()->message, path));
}

static void test_what_cannot_be_opened(void **state) {
    const char *path = in_folder("foreign2.h5"), *text = in_folder("text.h5");
    FILE *f = fopen(text, "w");

    (void)state;
    fputs("this is no HDF5 file", f);
    fclose(f);
    make_foreign(path);
    expect_open(path, ":/nothing", EXA_ERR_CONFIG, "/group/raw (2x3x4 uint8)");
    expect_open(path, ":/big23", EXA_ERR_CONFIG, "did you mean /big32?");
    expect_open(path, ":/group/row", EXA_ERR_CONFIG, "did you mean /group/raw?");
    expect_open(path, "", EXA_ERR_CONFIG, "which dataset");
    expect_open(path, ":/group", EXA_ERR_CONFIG, "is a group");
    expect_open(path, ":/flat", EXA_ERR_CONFIG, "has 2 dimensions");
    expect_open(path, ":/four", EXA_ERR_CONFIG, "has 4 dimensions");
    expect_open(path, ":/double", EXA_ERR_UNSUPPORTED, "type float64");
    expect_open(in_folder("absent.h5"), ":/raw", EXA_ERR_IO, "No such file");
    expect_open(text, ":/raw", EXA_ERR_FORMAT, "not an HDF5 file");
    assert_int_equal(mkdir(in_folder("dir.h5"), 0777), 0);
    expect_open(in_folder("dir.h5"), ":/raw", EXA_ERR_CONFIG, "is a folder");
    expect_open("s3://bucket/x", "", EXA_ERR_UNSUPPORTED, "is a URL");
    expect_open("nonsense", "", EXA_ERR_CONFIG, "does not name a volume");
}

static void test_names(void **state) {
    static const char *const cases[][3] = {{"a.h5:/raw", "a.h5", "/raw"},           {"a.hdf5:y", "a.hdf5", "y"},
                                           {"d:1/a.HDF:/b/c", "d:1/a.HDF", "/b/c"}, {"a.h5", "a.h5", ""},
                                           {"a.h5:/b:c", "a.h5", "/b:c"},           {"x.nx:/raw", "x.nx", "/raw"},
                                           {"/p/a.h5.h5:/r", "/p/a.h5.h5", "/r"}};
    char path[64], dataset[64];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_ok(exa_volume_split_name(cases[i][0], path, sizeof path, dataset, sizeof dataset));
        assert_string_equal(path, cases[i][1]);
        assert_string_equal(dataset, cases[i][2]);
    }
    assert_fails(EXA_ERR_RANGE, "too long", exa_volume_split_name("abcdef.h5:/raw", path, 5, dataset, 64));
    assert_fails(EXA_ERR_CONFIG, "does not name", exa_volume_split_name("raw", path, 64, dataset, 64));
}

/* ---- boxes, attributes, life cycle --------------------------------------------------------------------------- */

static void test_boxes_outside(void **state) {
    const exa_coord shape[3] = {2, 3, 4};
    uint8_t data[24] = {0}, out[64];
    exa_box bad[] = {{{0, 0, 0}, {3, 3, 4}},
                     {{-1, 0, 0}, {1, 1, 1}},
                     {{0, 0, 4}, {1, 1, 1}},
                     {{0, 0, 0}, {1, -1, 1}},
                     {{INT64_MAX, 0, 0}, {INT64_MAX, 1, 1}}};
    exa_box empty = {{1, 1, 1}, {0, 1, 1}};
    exa_volume *v = make_volume(in_folder("box.h5:/v"), EXA_U8, shape, data);

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(EXA_ERR_RANGE, "is not inside volume", exa_volume_read(v, &bad[i], EXA_U8, out));
    assert_ok(exa_volume_read(v, &empty, EXA_U8, out));
    assert_fails(EXA_ERR_INTERNAL, "open for reading", exa_volume_write(v, &bad[0], EXA_U8, out));
    exa_volume_close(&v);
}

static void test_attributes(void **state) {
    exa_volume_create_options options = {.dtype = EXA_U32, .shape = {4, 4, 4}};
    const double offset[3] = {10, -20, 30.5};
    double got[3] = {1, 2, 3};
    exa_volume *v = NULL;
    bool found = true;

    (void)state;
    assert_ok(exa_volume_create(in_folder("attributes.h5:/v"), &options, &v));
    assert_ok(exa_volume_set_attribute_doubles(v, "offset_zyx_vx", offset, 3));
    assert_ok(exa_volume_set_attribute_text(v, "made_by", "the tests \xc2\xb5"));
    assert_ok(exa_volume_commit(v));
    assert_fails(EXA_ERR_INTERNAL, "committed", exa_volume_set_attribute_text(v, "late", "x"));
    exa_volume_close(&v);
    assert_ok(exa_volume_open(in_folder("attributes.h5"), &v)); /* the only dataset */
    assert_ok(exa_volume_get_attribute_doubles(v, "none", got, 3, &found));
    assert_true(!found && got[1] == 2);
    assert_ok(exa_volume_get_attribute_doubles(v, "offset_zyx_vx", got, 2, &found));
    assert_true(!found && got[1] == 2);
    assert_ok(exa_volume_get_attribute_doubles(v, "offset_zyx_vx", got, 3, &found));
    assert_true(found && got[0] == 10 && got[1] == -20 && got[2] == 30.5);
    exa_volume_close(&v);
}

static int files_in(const char *path) {
    char command[4500];
    FILE *p;
    int n = -1;
    snprintf(command, sizeof command, "ls -A '%s' | wc -l", path);
    p = popen(command, "r");
    if (!p || fscanf(p, "%d", &n) != 1) n = -1;
    if (p) pclose(p);
    return n;
}

static void test_nothing_is_left_without_commit(void **state) {
    exa_volume_create_options options = {.dtype = EXA_U8, .shape = {8, 8, 8}};
    exa_box all = {{0, 0, 0}, {8, 8, 8}};
    uint8_t data[512] = {1};
    exa_volume *v = NULL;
    int before = files_in(folder);

    (void)state;
    assert_ok(exa_volume_create(in_folder("never.h5:/v"), &options, &v));
    assert_ok(exa_volume_write(v, &all, EXA_U8, data));
    assert_int_equal(files_in(folder), before + 1);
    assert_int_not_equal(access(in_folder("never.h5"), F_OK), 0);
    exa_volume_close(&v);
    assert_int_equal(files_in(folder), before);
}

static void test_what_cannot_be_created(void **state) {
    exa_volume_create_options good = {.dtype = EXA_U8, .shape = {8, 8, 8}}, o = good;
    exa_volume *v = NULL;

    (void)state;
    assert_fails(EXA_ERR_IO, "No such file", exa_volume_create(in_folder("no/such.h5:/v"), &o, &v));
    assert_fails(EXA_ERR_CONFIG, "names no dataset", exa_volume_create(in_folder("x.h5"), &o, &v));
    o.zstd_level = 20;
    assert_fails(EXA_ERR_RANGE, "zstd level 20", exa_volume_create(in_folder("x.h5:/v"), &o, &v));
    o = good;
    o.shape[1] = 0;
    assert_fails(EXA_ERR_RANGE, "axis y", exa_volume_create(in_folder("x.h5:/v"), &o, &v));
    o = good;
    o.dtype = EXA_DTYPE_NONE;
    assert_fails(EXA_ERR_CONFIG, "element type", exa_volume_create(in_folder("x.h5:/v"), &o, &v));
    o = (exa_volume_create_options){
        .dtype = EXA_U8, .shape = {1 << 20, 1 << 20, 1 << 20}, .chunk = {4096, 4096, 4096}};
    assert_fails(EXA_ERR_RANGE, "4 GiB", exa_volume_create(in_folder("x.h5:/v"), &o, &v));
    o.shape[0] = o.shape[1] = (exa_coord)1 << 40;
    assert_fails(EXA_ERR_RANGE, "2^63", exa_volume_create(in_folder("x.h5:/v"), &o, &v));
    assert_null(v);
    assert_int_not_equal(access(in_folder("x.h5"), F_OK), 0);
}

/* A declared volume far beyond any disk costs nothing until it is written. */
static void test_sparse(void **state) {
    exa_volume_create_options o = {.dtype = EXA_U64, .shape = {1 << 20, 1 << 20, 1 << 20}, .zstd_level = 3};
    exa_box far = {{(1 << 20) - 3, 12345, 1 << 19}, {3, 2, 5}};
    uint64_t data[30], out[30];
    exa_volume *v = NULL;

    (void)state;
    fill(EXA_U64, data, 30, 3);
    assert_ok(exa_volume_create(in_folder("sparse.h5:/v"), &o, &v));
    assert_ok(exa_volume_write(v, &far, EXA_U64, data));
    assert_ok(exa_volume_read(v, &far, EXA_U64, out));
    assert_memory_equal(out, data, sizeof data);
    far.start[1] += 1000;
    assert_ok(exa_volume_read(v, &far, EXA_U64, out));
    for (int i = 0; i < 30; i++) assert_int_equal(out[i], 0);
    exa_volume_close(&v);
}

/* One volume for each thread; HDF5 below is not thread safe, so the backend's lock must hold. */
static void *read_often(void *name) {
    exa_volume *v = NULL;
    exa_box all = {{0, 0, 0}, {20, 20, 20}};
    uint64_t out[8000];
    size_t wrong = 0;

    for (int round = 0; round < 20; round++) {
        if (exa_volume_open(name, &v) != EXA_OK || exa_volume_read(v, &all, EXA_U64, out) != EXA_OK) wrong++;
        for (size_t i = 0; i < 8000; i++) wrong += out[i] != i * 3;
        exa_volume_close(&v);
    }
    return (void *)(uintptr_t)wrong;
}

static void test_threads(void **state) {
    const exa_coord shape[3] = {20, 20, 20};
    uint32_t data[8000];
    pthread_t threads[4];
    char names[4][4400];
    void *wrong;

    (void)state;
    for (uint32_t i = 0; i < 8000; i++) data[i] = i * 3;
    for (int t = 0; t < 4; t++) {
        exa_volume *v;
        snprintf(names[t], sizeof names[t], "%s/thread%d.h5:/v", folder, t % 2);
        v = make_volume(names[t], EXA_U32, shape, data);
        exa_volume_close(&v);
    }
    for (int t = 0; t < 4; t++) assert_int_equal(pthread_create(&threads[t], NULL, read_often, names[t]), 0);
    for (int t = 0; t < 4; t++) {
        pthread_join(threads[t], &wrong);
        assert_int_equal((uintptr_t)wrong, 0);
    }
}

/* ---- damage -------------------------------------------------------------------------------------------------- */

static void test_truncated_file(void **state) {
    const exa_coord shape[3] = {32, 32, 32};
    uint8_t *data = malloc(32768);
    const char *name = in_folder("cut.h5:/v"), *path = in_folder("cut.h5");
    exa_volume *v;
    struct stat info;

    (void)state;
    fill(EXA_U8, data, 32768, 11);
    v = make_volume(name, EXA_U8, shape, data);
    exa_volume_close(&v);
    free(data);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(truncate(path, info.st_size / 2), 0);
    assert_fails(EXA_ERR_FORMAT, "truncated file", exa_volume_open(name, &v));
    assert_non_null(strstr(exa_error_last()->message, path));
    assert_int_equal(truncate(path, 0), 0);
    assert_fails(EXA_ERR_FORMAT, "not an HDF5 file", exa_volume_open(name, &v));
}

/* The bytes of one stored chunk are overwritten in the file; only boxes that need it fail. */
static void test_corrupt_chunk(void **state) {
    const exa_coord shape[3] = {32, 32, 32};
    const char *name = in_folder("corrupt.h5:/v"), *path = in_folder("corrupt.h5");
    exa_box all = whole(shape);
    uint8_t *data = malloc(32768), junk[64];
    hid_t file, set, space;
    hsize_t bytes;
    haddr_t address;
    exa_volume *v;
    int fd;

    (void)state;
    fill(EXA_U8, data, 32768, 12);
    v = make_volume(name, EXA_U8, shape, data);
    exa_volume_close(&v);
    file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    set = H5Dopen2(file, "/v", H5P_DEFAULT);
    space = H5Dget_space(set);
    assert_true(H5Dget_chunk_info(set, space, 0, NULL, NULL, &address, &bytes) >= 0);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    memset(junk, 0xA5, sizeof junk);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, junk, sizeof junk, (off_t)address), sizeof junk);
    close(fd);
    assert_ok(exa_volume_open(name, &v));
    assert_fails(EXA_ERR_CORRUPT, "zstd", exa_volume_read(v, &all, EXA_U8, data));
    assert_non_null(strstr(exa_error_last()->message, "'/v'"));
    assert_non_null(strstr(exa_error_last()->message, path));
    assert_non_null(strstr(exa_error_last()->message, "0,0,0 (32 x 32 x 32 voxels"));
    exa_volume_close(&v);
    free(data);
}

/* Fills the disk; in a process of its own, because HDF5 never frees the chunks that it could not write. */
static int fill_disk(const char *name) {
    exa_volume_create_options o = {.dtype = EXA_U64, .shape = {64, 64, 256}};
    exa_box slab = {{0, 0, 0}, {64, 64, 64}};
    uint64_t *data = malloc(64 * 64 * 64 * 8);
    exa_volume *v = NULL;
    exa_status st;

    fill(EXA_U64, data, 64 * 64 * 64, 13);
    st = exa_volume_create(name, &o, &v);
    for (; st == EXA_OK && slab.start[2] < 256; slab.start[2] += 64) st = exa_volume_write(v, &slab, EXA_U64, data);
    if (st == EXA_OK) st = exa_volume_commit(v);
    exa_volume_close(&v);
    if (st != EXA_ERR_IO || !strstr(exa_error_last()->message, "No space left on device")) {
        fprintf(stderr, "status %d: %s\n", (int)st, exa_error_last()->message);
        return 1;
    }
    return 0;
}

/* Needs a file system of its own: a tmpfs of 1 MiB, where mounting is permitted. */
static void test_full_disk(void **state) {
    const char *disk = in_folder("disk"), *name = in_folder("disk/full.h5:/v");
    int left, rc = 0;
    pid_t child;

    (void)state;
    assert_int_equal(mkdir(disk, 0777), 0);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=1m") != 0) {
        fprintf(stderr, "SKIP: mounting a tmpfs is not permitted, so a full disk was not tried\n");
        skip();
    }
    child = fork();
    if (child == 0) _exit(fill_disk(name));
    waitpid(child, &rc, 0);
    left = files_in(disk);
    assert_int_equal(umount2(disk, 0), 0);
    assert_int_equal(rc, 0);
    assert_int_equal(left, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips),
        cmocka_unit_test(test_widening_is_exact),
        cmocka_unit_test(test_narrowing_is_checked),
        cmocka_unit_test(test_floats_to_integers_are_checked),
        cmocka_unit_test(test_staged_pieces),
        cmocka_unit_test(test_foreign_types),
        cmocka_unit_test(test_what_cannot_be_opened),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_boxes_outside),
        cmocka_unit_test(test_attributes),
        cmocka_unit_test(test_nothing_is_left_without_commit),
        cmocka_unit_test(test_what_cannot_be_created),
        cmocka_unit_test(test_sparse),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_truncated_file),
        cmocka_unit_test(test_corrupt_chunk),
        cmocka_unit_test(test_full_disk),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
