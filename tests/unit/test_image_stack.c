/* Image stacks: PNG and TIFF of every accepted layout give back their pixels; every refusal names the file. */
#include "test_util.h"

#include "exaconn/image_stack.h"
#include "exaconn/log.h"

#include <hdf5.h>
#include <png.h>
#include <sys/stat.h>
#include <tiffio.h>

enum { HEIGHT = 37, WIDTH = 45 };

static char folder[4096];

static int make_folder(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s", test_make_folder());
    exa_log_set_level(EXA_LOG_ERROR); /* gaps and colours are reported; the tests count them instead */
    return 0;
}
static int remove_folder(void **state) {
    (void)state;
    test_remove_folder(folder);
    return 0;
}

static const char *in_folder(const char *file) {
    static char out[5000];
    snprintf(out, sizeof out, "%s/%s", folder, file);
    return out;
}

/* The sample at (z, y, x), the same for all layouts. */
static unsigned sample(int z, int y, int x, int bits) {
    uint64_t state = (uint64_t)z * 1000003u + (uint64_t)y * 1009u + (uint64_t)x;
    return (unsigned)(test_random(&state) & (bits == 8 ? 0xFF : 0xFFFF));
}

typedef struct layout {
    int bits, channels, width, tile, rows_per_strip, pages, compression;
    bool interlaced, big_endian, inverted, coloured;
} layout;

static const layout plain = {
    .bits = 8, .channels = 1, .width = WIDTH, .rows_per_strip = 5, .pages = 1, .compression = COMPRESSION_LZW};

/* One row of interleaved samples in this machine's byte order. */
static void make_row(const layout *l, int z, int y, int x0, int n, void *row) {
    for (int x = 0; x < n; x++)
        for (int c = 0; c < l->channels; c++) {
            unsigned v = sample(z, y, x0 + x, l->bits);
            size_t i = (size_t)(x * l->channels + c);
            if (l->inverted) v = (l->bits == 8 ? 0xFFu : 0xFFFFu) - v;
            if (l->coloured && c == 1 && y == 3 && x0 + x == 7) v ^= 1;
            if (c == 3 || (c == 1 && l->channels == 2)) v = 200;
            if (l->bits == 8) {
                ((uint8_t *)row)[i] = (uint8_t)v;
            } else {
                ((uint16_t *)row)[i] = (uint16_t)v;
            }
        }
}

static void write_png(const char *name, const layout *l, int z) {
    static const int colours[] = {0, PNG_COLOR_TYPE_GRAY, PNG_COLOR_TYPE_GRAY_ALPHA, PNG_COLOR_TYPE_RGB,
                                  PNG_COLOR_TYPE_RGBA};
    FILE *f = fopen(in_folder(name), "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint16_t row[4 * WIDTH];
    int passes;

    png_init_io(png, f);
    png_set_IHDR(png, info, (png_uint_32)l->width, HEIGHT, l->bits, colours[l->channels],
                 l->interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    if (l->bits == 16) png_set_swap(png);
    passes = png_set_interlace_handling(png);
    for (int p = 0; p < passes; p++)
        for (int y = 0; y < HEIGHT; y++) {
            make_row(l, z, y, 0, l->width, row);
            png_write_row(png, (png_bytep)row);
        }
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(f);
}

static void write_tiff_pixels(TIFF *tiff, const layout *l, int z) {
    uint16_t row[4 * 64 * 64];

    if (!l->tile) {
        TIFFSetField(tiff, TIFFTAG_ROWSPERSTRIP, l->rows_per_strip);
        for (int y = 0; y < HEIGHT; y++) {
            make_row(l, z, y, 0, l->width, row);
            assert_int_equal(TIFFWriteScanline(tiff, row, (uint32_t)y, 0), 1);
        }
        return;
    }
    TIFFSetField(tiff, TIFFTAG_TILEWIDTH, l->tile);
    TIFFSetField(tiff, TIFFTAG_TILELENGTH, l->tile);
    for (int y = 0; y < HEIGHT; y += l->tile)
        for (int x = 0; x < l->width; x += l->tile) {
            size_t row_bytes = (size_t)(l->tile * l->channels * l->bits / 8);
            for (int j = 0; j < l->tile; j++)
                make_row(l, z, y + j, x, l->tile, (char *)row + (size_t)j * row_bytes);
            assert_true(TIFFWriteTile(tiff, row, (uint32_t)x, (uint32_t)y, 0, 0) > 0);
        }
}

static void write_tiff(const char *name, const layout *l, int z) {
    TIFF *tiff = TIFFOpen(in_folder(name), l->big_endian ? "wb" : "wl");
    for (int page = 0; page < l->pages; page++) {
        TIFFSetField(tiff, TIFFTAG_IMAGEWIDTH, l->width);
        TIFFSetField(tiff, TIFFTAG_IMAGELENGTH, HEIGHT);
        TIFFSetField(tiff, TIFFTAG_BITSPERSAMPLE, l->bits);
        TIFFSetField(tiff, TIFFTAG_SAMPLESPERPIXEL, l->channels);
        TIFFSetField(tiff, TIFFTAG_PLANARCONFIG, PLANARCONFIG_CONTIG);
        TIFFSetField(tiff, TIFFTAG_COMPRESSION, l->compression);
        TIFFSetField(tiff, TIFFTAG_PHOTOMETRIC,
                     l->channels > 2 ? PHOTOMETRIC_RGB
                     : l->inverted   ? PHOTOMETRIC_MINISWHITE
                                     : PHOTOMETRIC_MINISBLACK);
        write_tiff_pixels(tiff, l, z + page);
        TIFFWriteDirectory(tiff);
    }
    TIFFClose(tiff);
}

static void fresh(void) {
    char command[4200];
    snprintf(command, sizeof command, "rm -rf '%s'/*", folder);
    assert_int_equal(system(command), 0);
}

/* Reads the whole stack and, last plane first, each plane alone. */
static void expect_stack(const char *format, int bits, int planes) {
    exa_image_stack *s = NULL;
    exa_image_stack_info info;
    size_t plane = HEIGHT * WIDTH;
    uint16_t *data = malloc((size_t)planes * plane * 2), *one = malloc(plane * 2);

    assert_ok(exa_image_stack_open(folder, NULL, &s));
    assert_ok(exa_image_stack_get_info(s, &info));
    assert_string_equal(info.format, format);
    assert_int_equal(info.dtype, bits == 8 ? EXA_U8 : EXA_U16);
    assert_int_equal(info.shape[0], planes);
    assert_int_equal(info.shape[1], HEIGHT);
    assert_int_equal(info.shape[2], WIDTH);
    assert_int_equal(info.missing, 0);
    assert_ok(exa_image_stack_read(s, 0, planes, data));
    for (int z = 0; z < planes; z++)
        for (int y = 0; y < HEIGHT; y++)
            for (int x = 0; x < WIDTH; x++) {
                size_t i = ((size_t)z * HEIGHT + (size_t)y) * WIDTH + (size_t)x;
                unsigned v = bits == 8 ? ((uint8_t *)data)[i] : data[i];
                assert_int_equal(v, sample(z, y, x, bits));
            }
    for (int z = planes - 1; z >= 0; z--) {
        size_t bytes = plane * (size_t)bits / 8;
        assert_ok(exa_image_stack_read(s, z, 1, one));
        assert_memory_equal(one, (char *)data + (size_t)z * bytes, bytes);
    }
    assert_fails(EXA_ERR_RANGE, "not in a stack", exa_image_stack_read(s, planes, 1, one));
    exa_image_stack_close(&s);
    free(data);
    free(one);
}

static void test_png_layouts(void **state) {
    char name[64];
    (void)state;
    for (int bits = 8; bits <= 16; bits += 8)
        for (int channels = 1; channels <= 4; channels++)
            for (int interlaced = 0; interlaced < 2; interlaced++) {
                layout l = plain;
                l.bits = bits;
                l.channels = channels;
                l.interlaced = interlaced;
                fresh();
                for (int z = 0; z < 12; z++) { /* s9 must come before s10 */
                    snprintf(name, sizeof name, "s%d.png", z);
                    write_png(name, &l, z);
                }
                expect_stack("png", bits, 12);
            }
}

static void test_tiff_layouts(void **state) {
    static const layout layouts[] = {
        {.bits = 8, .channels = 1, .rows_per_strip = 1, .pages = 1, .compression = COMPRESSION_NONE},
        {.bits = 16, .channels = 1, .rows_per_strip = 100, .pages = 1, .compression = COMPRESSION_LZW},
        {.bits = 16,
         .channels = 1,
         .rows_per_strip = 7,
         .pages = 3,
         .compression = COMPRESSION_NONE,
         .big_endian = true},
        {.bits = 8, .channels = 1, .tile = 16, .pages = 2, .compression = COMPRESSION_ADOBE_DEFLATE},
        {.bits = 16, .channels = 3, .tile = 32, .pages = 1, .compression = COMPRESSION_LZW, .big_endian = true},
        {.bits = 8, .channels = 3, .rows_per_strip = 5, .pages = 5, .compression = COMPRESSION_PACKBITS},
        {.bits = 8,
         .channels = 1,
         .rows_per_strip = 5,
         .pages = 2,
         .compression = COMPRESSION_LZW,
         .inverted = true},
        {.bits = 16, .channels = 1, .tile = 16, .pages = 1, .compression = COMPRESSION_NONE, .inverted = true},
    };
    char name[64];

    (void)state;
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++) {
        layout l = layouts[i];
        l.width = WIDTH;
        fresh();
        for (int file = 0; file < 3; file++) {
            snprintf(name, sizeof name, "page_%d.%s", 8 + file, file == 1 ? "TIFF" : "tif");
            write_tiff(name, &l, file * l.pages);
        }
        expect_stack("tiff", l.bits, 3 * l.pages);
    }
}

static void expect_refusal(const char *pattern, exa_status status, const char *text, const char *file) {
    exa_image_stack *s = NULL;
    exa_image_stack_info info;
    exa_status st;
    char *data = NULL;

    st = exa_image_stack_open(folder, pattern, &s);
    if (st == EXA_OK) {
        exa_image_stack_get_info(s, &info);
        data = malloc((size_t)(info.shape[0] * info.shape[1] * info.shape[2]) * 4);
        st = exa_image_stack_read(s, 0, info.shape[0], data);
    }
    assert_fails(status, text, st);
    assert_non_null(strstr(exa_error_last()->message, file));
    exa_image_stack_close(&s);
    free(data);
}

static void test_refusals(void **state) {
    layout l = plain;

    (void)state;
    fresh();
    expect_refusal(NULL, EXA_ERR_CONFIG, "has no file that matches", folder);
    write_png("a1.png", &plain, 0);
    expect_refusal("b*", EXA_ERR_CONFIG, "matches b*", folder);
    l.width = WIDTH - 1;
    write_png("a2.png", &l, 1);
    expect_refusal(NULL, EXA_ERR_FORMAT, "37 x 44 pixels", "a2.png");
    l = plain;
    l.bits = 16;
    write_png("a2.png", &l, 1);
    expect_refusal(NULL, EXA_ERR_FORMAT, "holds uint16", "a2.png");
    l = plain;
    l.channels = 3;
    write_png("a2.png", &l, 1);
    expect_refusal(NULL, EXA_ERR_FORMAT, "another colour model", "a2.png");
    l.coloured = true;
    write_png("a2.png", &l, 1);
    expect_refusal("a2*", EXA_ERR_UNSUPPORTED, "is a colour image (row 3, column 7)", "a2.png");
    write_tiff("a2.png", &plain, 1); /* the name lies: kinds come from the bytes */
    expect_refusal(NULL, EXA_ERR_FORMAT, "is tiff but", "a2.png");
    l = plain;
    l.channels = 3;
    l.coloured = true;
    write_tiff("c.tif", &l, 1);
    expect_refusal("c.tif", EXA_ERR_UNSUPPORTED, "colour image", "c.tif");
    snprintf(folder + strlen(folder), 12, "/absent");
    expect_refusal(NULL, EXA_ERR_IO, "No such file", "absent");
    folder[strlen(folder) - 7] = '\0';
}

static void cut(const char *name, int percent) {
    struct stat info;
    assert_int_equal(stat(in_folder(name), &info), 0);
    assert_int_equal(truncate(in_folder(name), info.st_size * percent / 100), 0);
}

static void test_damage(void **state) {
    static const int percents[] = {0, 10, 50, 97};
    layout pages = plain;
    FILE *f;

    (void)state;
    pages.pages = 3;
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        fresh();
        write_png("x1.png", &plain, 0);
        cut("x1.png", percents[i]);
        expect_refusal(NULL, EXA_ERR_CORRUPT, "truncated", "x1.png");
        fresh();
        write_tiff("x1.tif", &pages, 0);
        cut("x1.tif", percents[i]);
        expect_refusal(NULL, EXA_ERR_CORRUPT, "truncated", "x1.tif");
    }
    fresh();
    f = fopen(in_folder("text.png"), "w");
    fputs("not an image at all", f);
    fclose(f);
    expect_refusal(NULL, EXA_ERR_FORMAT, "neither a PNG nor a TIFF", "text.png");
    fresh();
    write_png("x1.png", &plain, 0);
    f = fopen(in_folder("x1.png"), "r+b");
    fseek(f, 300, SEEK_SET);
    fputs("damage", f);
    fclose(f);
    expect_refusal(NULL, EXA_ERR_CORRUPT, "damaged", "x1.png");
}

static int missing_with(const char *const *names) {
    exa_image_stack *s = NULL;
    exa_image_stack_info info;

    fresh();
    for (int i = 0; names[i]; i++) write_png(names[i], &plain, i);
    assert_ok(exa_image_stack_open(folder, NULL, &s));
    exa_image_stack_get_info(s, &info);
    exa_image_stack_close(&s);
    return info.missing;
}

static void test_holes(void **state) {
    (void)state;
    assert_int_equal(missing_with((const char *const[]){"i8.png", "i9.png", "i10.png", NULL}), 0);
    assert_int_equal(missing_with((const char *const[]){"i8.png", "i10.png", "i14.png", NULL}), 1);
    assert_int_equal(missing_with((const char *const[]){"i1.png", "i2.png", "i7.png", "i9.png", NULL}), 5);
    assert_int_equal(missing_with((const char *const[]){"a.png", "b.png", NULL}), 0);
    assert_int_equal(missing_with((const char *const[]){"v2_001.png", "v2_002.png", "v2_004.png", NULL}), 1);
}

static void test_natural_order(void **state) {
    static const char *const sorted[] = {"1.png", "01.png", "2.png", "10.png", "a", "a1b2", "a1b10", "a2", "b"};
    (void)state;
    for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++)
        for (size_t j = 0; j < sizeof sorted / sizeof *sorted; j++) {
            int order = exa_image_natural_order(sorted[i], sorted[j]);
            if (i == 0 && j == 1) continue; /* equal numbers: only some fixed order */
            if (i == 1 && j == 0) continue;
            assert_int_equal(order < 0, i < j);
            assert_int_equal(order > 0, i > j);
        }
}

static void test_copy(void **state) {
    exa_volume_create_options o = {
        .dtype = EXA_U16, .shape = {9, HEIGHT, WIDTH}, .chunk = {4, 16, 16}, .zstd_level = 1};
    exa_box all = {{0, 0, 0}, {9, HEIGHT, WIDTH}};
    uint16_t *data = malloc(9 * HEIGHT * WIDTH * 2);
    exa_image_stack *s = NULL;
    exa_volume *v = NULL;
    char name[5000], file[32];

    (void)state;
    fresh();
    for (int z = 0; z < 9; z++) {
        snprintf(file, sizeof file, "%d.png", z);
        write_png(file, &plain, z);
    }
    snprintf(name, sizeof name, "%s/out.h5:/raw", folder);
    assert_ok(exa_image_stack_open(folder, "*.png", &s));
    assert_ok(exa_volume_create(name, &o, &v));
    assert_ok(exa_image_stack_copy(s, v));
    assert_ok(exa_volume_read(v, &all, EXA_U16, data));
    for (int i = 0; i < 9 * HEIGHT * WIDTH; i++)
        assert_int_equal(data[i], sample(i / (HEIGHT * WIDTH), i / WIDTH % HEIGHT, i % WIDTH, 8));
    exa_volume_close(&v);
    o.shape[0] = 8;
    assert_ok(exa_volume_create(name, &o, &v));
    assert_fails(EXA_ERR_INTERNAL, "shape", exa_image_stack_copy(s, v));
    exa_volume_close(&v);
    exa_image_stack_close(&s);
    free(data);
}

/* The published slices of FIB-25 equal the first 48 planes of the sample volume. */
static void test_real_slices(void **state) {
    char slices[4096];
    const char *path = test_data_path("png");
    exa_image_stack *s = NULL;
    exa_image_stack_info info;
    exa_volume *v = NULL;
    exa_box box = {{0, 0, 0}, {48, 250, 250}};
    size_t n = 48 * 250 * 250;
    uint8_t *a, *b;
    char name[4200];

    (void)state;
    if (!path) skip();
    snprintf(slices, sizeof slices, "%s", path);
    path = test_data_path("fib25_sample2.h5");
    if (!path) skip();
    a = malloc(n);
    b = malloc(n);
    assert_ok(exa_image_stack_open(slices, NULL, &s));
    exa_image_stack_get_info(s, &info);
    assert_int_equal(info.shape[0], 48);
    assert_int_equal(info.dtype, EXA_U8);
    assert_ok(exa_image_stack_read(s, 0, 48, a));
    snprintf(name, sizeof name, "%s:/raw", path);
    assert_ok(exa_volume_open(name, &v));
    assert_ok(exa_volume_read(v, &box, EXA_U8, b));
    assert_memory_equal(a, b, n);
    exa_volume_close(&v);
    exa_image_stack_close(&s);
    free(a);
    free(b);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_png_layouts), cmocka_unit_test(test_tiff_layouts),
        cmocka_unit_test(test_refusals),    cmocka_unit_test(test_damage),
        cmocka_unit_test(test_holes),       cmocka_unit_test(test_natural_order),
        cmocka_unit_test(test_copy),        cmocka_unit_test(test_real_slices),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
