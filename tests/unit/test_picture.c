/* The picture, read back by libpng: layout, scales, colours, borders, captions, and its errors. */
#include "test_util.h"

#include "exaconn/picture.h"

#include <math.h>
#include <png.h>

/* As laid out in src/report/picture.c. */
enum { MARGIN = 6, GAP = 6, CAPTION = 26 };

typedef struct image {
    png_uint_32 width, height;
    uint8_t *rgb;
} image;

static char *folder;

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

static image read_back(const char *path) {
    png_image png = {.version = PNG_IMAGE_VERSION};
    image out;

    assert_true(png_image_begin_read_from_file(&png, path));
    png.format = PNG_FORMAT_RGB;
    out.width = png.width;
    out.height = png.height;
    out.rgb = malloc(PNG_IMAGE_SIZE(png));
    assert_true(png_image_finish_read(&png, NULL, out.rgb, 0, NULL));
    return out;
}

static const uint8_t *pixel(const image *i, size_t y, size_t x) {
    return i->rgb + 3 * (y * i->width + x);
}

enum { ROWS = 4, COLUMNS = 30 };

static void make_panels(uint8_t *gray, exa_segid *labels) {
    for (int i = 0; i < ROWS * COLUMNS; i++) {
        gray[i] = (uint8_t)(i * 2);
        labels[i] = i % COLUMNS < 10 ? 0 : i % COLUMNS < 20 ? 1 : 2;
    }
}

static void test_layout_and_colours(void **state) {
    uint8_t gray[ROWS * COLUMNS], color[3];
    exa_segid labels[ROWS * COLUMNS];
    exa_picture_panel panels[2] = {{gray, NULL, "a"}, {gray, labels, "It's 3?"}};
    exa_picture_options o = {.rows = ROWS, .columns = COLUMNS, .row_scale = 5, .column_scale = 3, .opacity = 0.5};
    char path[4200];
    size_t left = MARGIN + 3 * COLUMNS + GAP, ink = 0;
    image i;

    (void)state;
    make_panels(gray, labels);
    snprintf(path, sizeof path, "%s/a.png", folder);
    assert_ok(exa_picture_write(path, panels, 2, &o));
    i = read_back(path);
    assert_int_equal(i.width, 2 * MARGIN + GAP + 2 * 3 * COLUMNS);
    assert_int_equal(i.height, CAPTION + 5 * ROWS + MARGIN);
    for (size_t y = 0; y < 5 * ROWS; y++)
        for (size_t x = 0; x < 3 * COLUMNS; x++) {
            size_t v = y / 5 * COLUMNS + x / 3;
            const uint8_t *p = pixel(&i, CAPTION + y, MARGIN + x), *q = pixel(&i, CAPTION + y, left + x);
            bool border = labels[v] == 0 ? x == 29 : x == 59; /* the last pixel before another label */
            assert_true(p[0] == gray[v] && p[1] == gray[v] && p[2] == gray[v]);
            exa_picture_color(labels[v], color);
            for (int c = 0; c < 3; c++) {
                double plain = labels[v] ? (gray[v] + color[c]) / 2.0 : gray[v];
                assert_true(fabs(q[c] - plain * (border ? 0.55 : 1.0)) <= 0.5001);
            }
        }
    for (size_t x = left; x < i.width; x++)
        for (size_t y = 0; y < CAPTION; y++) ink += pixel(&i, y, x)[0] > 200;
    assert_true(ink > 50);
    free(i.rgb);
}

static void test_equal_input_equal_bytes(void **state) {
    uint8_t gray[ROWS * COLUMNS];
    exa_segid labels[ROWS * COLUMNS];
    exa_picture_panel panel = {gray, labels, "a caption that is far longer than its panel is wide"};
    exa_picture_options o = {.rows = ROWS, .columns = COLUMNS, .row_scale = 1, .column_scale = 1};
    char a[4200], b[4200], command[9000];

    (void)state;
    make_panels(gray, labels);
    snprintf(a, sizeof a, "%s/1.png", folder);
    snprintf(b, sizeof b, "%s/2.png", folder);
    assert_ok(exa_picture_write(a, &panel, 1, &o));
    assert_ok(exa_picture_write(b, &panel, 1, &o));
    snprintf(command, sizeof command, "cmp '%s' '%s'", a, b);
    assert_int_equal(system(command), 0);
}

/* Labels close in number must not look alike. */
static void test_colours_differ(void **state) {
    (void)state;
    for (exa_segid base = 1; base < 1000; base += 97)
        for (exa_segid i = base; i < base + 8; i++)
            for (exa_segid j = i + 1; j < base + 8; j++) {
                uint8_t a[3], b[3];
                int distance;
                exa_picture_color(i, a);
                exa_picture_color(j, b);
                distance = abs(a[0] - b[0]) + abs(a[1] - b[1]) + abs(a[2] - b[2]);
                if (distance < 50) fail_msg("labels %d and %d: distance %d", (int)i, (int)j, distance);
            }
}

static void test_stretch(void **state) {
    float values[1000];
    uint8_t gray[1000];

    (void)state;
    for (int i = 0; i < 1000; i++) values[i] = (float)i * 10 - 3000;
    values[500] = NAN;
    values[1] = -1e30f;
    assert_ok(exa_picture_stretch(values, 1000, gray));
    assert_int_equal(gray[0], 0);
    assert_int_equal(gray[1], 0);
    assert_int_equal(gray[500], 0);
    assert_int_equal(gray[999], 255);
    assert_true(gray[250] > 55 && gray[250] < 75 && gray[750] > 180);
    for (int i = 0; i < 1000; i++) values[i] = 7;
    assert_ok(exa_picture_stretch(values, 1000, gray));
    assert_int_equal(gray[0], 0);
}

static void test_errors(void **state) {
    uint8_t gray[ROWS * COLUMNS] = {0};
    exa_picture_panel panel = {gray, NULL, NULL};
    exa_picture_options o = {.rows = ROWS, .columns = COLUMNS, .row_scale = 1, .column_scale = 1};
    char path[4200];

    (void)state;
    snprintf(path, sizeof path, "%s/absent/a.png", folder);
    assert_fails(EXA_ERR_IO, "No such file", exa_picture_write(path, &panel, 1, &o));
    assert_non_null(strstr(exa_error_last()->message, "absent/a.png"));
    o.columns = (exa_coord)1 << 40;
    assert_fails(EXA_ERR_RANGE, "smaller scale", exa_picture_write(path, &panel, 1, &o));
    o.columns = 0;
    assert_fails(EXA_ERR_INTERNAL, "panels", exa_picture_write(path, &panel, 1, &o));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layout_and_colours),
        cmocka_unit_test(test_equal_input_equal_bytes),
        cmocka_unit_test(test_colours_differ),
        cmocka_unit_test(test_stretch),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
