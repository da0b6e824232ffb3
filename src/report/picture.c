/* The picture, top to bottom: a margin, a band of captions, the panels, a margin.
 *
 *   +--------------------------------------+
 *   |  caption     caption     caption     |
 *   |  +--------+  +--------+  +--------+  |
 *   |  | panel  |  | panel  |  | panel  |  |
 *   |  +--------+  +--------+  +--------+  |
 *   +--------------------------------------+
 *
 * Each output row is computed from the voxels and given to libpng, whose errors come back by longjmp.
 */
#include "exaconn/picture.h"

#include "exaconn/file.h"
#include "exaconn/hash.h"

#include "picture_font.h"

#include <errno.h>
#include <math.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MARGIN = 6, GAP = 6, CAPTION = 26, TEXT_SCALE = 2, LARGEST_SIDE = 1 << 20 };

static const uint8_t background[3] = {22, 24, 29}, ink[3] = {222, 226, 233};
#define DEFAULT_OPACITY 0.45
#define BORDER_DARKENING 0.55

/* ---- colours ------------------------------------------------------------------------------------------------- */

static void hsv_to_rgb(double hue, double saturation, double value, uint8_t rgb[3]) {
    for (int c = 0; c < 3; c++) {
        /* Each channel is a trapezium over the circle of hues, red's around 0, green's 1/3, blue's 2/3. */
        double distance = fabs(6.0 * fmod(hue + (3 - c) / 3.0, 1.0) - 3.0) - 1.0;
        double part = distance < 0 ? 0 : distance > 1 ? 1 : distance;
        rgb[c] = (uint8_t)lround(255.0 * value * (1.0 - saturation + saturation * part));
    }
}

/* Multiples of the golden ratio fill the circle evenly, so that labels 1, 2, 3... lie far apart; the hash adds a
 * little hue, saturation and brightness, so that the circle does not run out of colours. */
void exa_picture_color(exa_segid label, uint8_t rgb[3]) {
    const uint64_t golden = 0x9E3779B97F4A7C15u; /* of 2^64 */
    uint64_t hash = exa_hash_u64(label);
    double hue = (double)((label * golden) >> 11) * 0x1p-53 + 0.04 * (double)(hash & 255) / 255.0;

    hsv_to_rgb(fmod(hue, 1.0), 0.6 + 0.4 * (double)(hash >> 8 & 255) / 255.0,
               0.75 + 0.25 * (double)(hash >> 16 & 255) / 255.0, rgb);
}

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

exa_status exa_picture_stretch(const float *values, size_t n, uint8_t *gray) {
    enum { SAMPLES = 1 << 18 };
    size_t step = n / SAMPLES + 1, count = 0;
    float *sorted, low, high;

    EXA_TRY(exa_alloc(n / step + 1, sizeof *sorted, "gray levels", &sorted));
    for (size_t i = 0; i < n; i += step)
        if (isfinite(values[i])) sorted[count++] = values[i];
    qsort(sorted, count, sizeof *sorted, by_value);
    low = count ? sorted[(size_t)(0.005 * (double)(count - 1))] : 0.0f;
    high = count ? sorted[(size_t)ceil(0.995 * (double)(count - 1))] : 0.0f;
    free(sorted);
    if (!(high > low)) high = low + 1.0f;
    for (size_t i = 0; i < n; i++) {
        double level = 255.0 * ((double)values[i] - (double)low) / ((double)high - (double)low);
        gray[i] = level >= 255.0 ? 255 : level > 0.0 ? (uint8_t)lround(level) : 0; /* NaN compares false: 0 */
    }
    return EXA_OK;
}

/* ---- rows ---------------------------------------------------------------------------------------------------- */

typedef struct canvas {
    const exa_picture_panel *panels;
    exa_picture_options options;
    int count;
    size_t width, height, panel_width, panel_height; /* pixels */
    uint8_t *row;                                    /* owned; width * 3 */
} canvas;

static uint8_t *panel_pixels(const canvas *c, int panel) {
    return c->row + 3 * (MARGIN + (size_t)panel * (c->panel_width + GAP));
}

static void fill_background(const canvas *c) {
    for (size_t x = 0; x < c->width; x++) memcpy(c->row + 3 * x, background, 3);
}

static void draw_caption_row(const canvas *c, int row) {
    int glyph_row = (row - (CAPTION - EXA_FONT_HEIGHT * TEXT_SCALE) / 2) / TEXT_SCALE;

    if (row < (CAPTION - EXA_FONT_HEIGHT * TEXT_SCALE) / 2 || glyph_row >= EXA_FONT_HEIGHT) return;
    for (int p = 0; p < c->count; p++) {
        const char *text = c->panels[p].caption ? c->panels[p].caption : "";
        size_t length = strlen(text), advance = EXA_FONT_ADVANCE * TEXT_SCALE;
        for (size_t x = 0; x < length * advance && x < c->panel_width; x++) {
            int column = (int)(x % advance) / TEXT_SCALE;
            if (column < EXA_FONT_WIDTH && exa_font_pixel(text[x / advance], glyph_row, column))
                memcpy(panel_pixels(c, p) + 3 * x, ink, 3);
        }
    }
}

/* The last row and column of pixels of a voxel whose lower or right neighbour has another label. */
static bool is_border(const canvas *c, const exa_segid *labels, exa_coord y, exa_coord x, bool lowest,
                      bool rightmost) {
    exa_coord columns = c->options.columns, i = y * columns + x;

    if (lowest && y + 1 < c->options.rows && labels[i + columns] != labels[i]) return true;
    return rightmost && x + 1 < columns && labels[i + 1] != labels[i];
}

static void tint(uint8_t gray, exa_segid label, bool border, double opacity, uint8_t rgb[3]) {
    uint8_t color[3];
    double factor = border ? BORDER_DARKENING : 1.0;

    if (label == 0) opacity = 0;
    exa_picture_color(label, color);
    for (int i = 0; i < 3; i++) rgb[i] = (uint8_t)lround(factor * ((1.0 - opacity) * gray + opacity * color[i]));
}

static void draw_panel_row(const canvas *c, const exa_picture_panel *panel, size_t pixel_y, uint8_t *out) {
    size_t row_scale = (size_t)c->options.row_scale, column_scale = (size_t)c->options.column_scale;
    exa_coord y = (exa_coord)(pixel_y / row_scale), columns = c->options.columns;
    bool lowest = pixel_y % row_scale == row_scale - 1;

    for (exa_coord x = 0; x < columns; x++) {
        uint8_t gray = panel->gray[y * columns + x], inner[3] = {gray, gray, gray}, last[3] = {gray, gray, gray};
        if (panel->labels) {
            exa_segid label = panel->labels[y * columns + x];
            bool below = is_border(c, panel->labels, y, x, lowest, false);
            bool corner = below || is_border(c, panel->labels, y, x, lowest, true);
            tint(gray, label, below, c->options.opacity, inner);
            tint(gray, label, corner, c->options.opacity, last);
        }
        for (size_t k = 0; k + 1 < column_scale; k++, out += 3) memcpy(out, inner, 3);
        memcpy(out, last, 3);
        out += 3;
    }
}

static void draw_row(const canvas *c, size_t y) {
    fill_background(c);
    if (y < CAPTION) {
        draw_caption_row(c, (int)y);
    } else if (y < CAPTION + c->panel_height) {
        for (int p = 0; p < c->count; p++) draw_panel_row(c, &c->panels[p], y - CAPTION, panel_pixels(c, p));
    }
}

/* ---- file ---------------------------------------------------------------------------------------------------- */

static void on_error(png_structp png, png_const_charp text) {
    snprintf(png_get_error_ptr(png), 200, "%s", text);
    longjmp(png_jmpbuf(png), 1);
}

static exa_status encode(const canvas *c, FILE *file, png_structp png, png_infop info, const char *path,
                         const char *reason) {
    if (setjmp(png_jmpbuf(png)))
        return EXA_FAIL(EXA_ERR_IO, "cannot write '%s': %s", path, ferror(file) ? strerror(errno) : reason);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)c->width, (png_uint_32)c->height, 8, PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t y = 0; y < c->height; y++) {
        draw_row(c, y);
        png_write_row(png, c->row);
    }
    png_write_end(png, NULL);
    return EXA_OK;
}

static exa_status write_file(const canvas *c, const char *temporary, const char *path) {
    char reason[200] = "";
    FILE *file = fopen(temporary, "wb");
    png_structp png;
    png_infop info = NULL;
    exa_status st;

    EXA_CHECK(file, EXA_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, reason, on_error, NULL);
    if (png) info = png_create_info_struct(png);
    st = info ? encode(c, file, png, info, path, reason)
              : EXA_FAIL(EXA_ERR_MEMORY, "libpng cannot start '%s'", path);
    if (png) png_destroy_write_struct(&png, &info);
    if (fclose(file) != 0 && st == EXA_OK)
        st = EXA_FAIL(EXA_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    return st;
}

static exa_status lay_out(canvas *c) {
    const exa_picture_options *o = &c->options;

    EXA_CHECK(c->count >= 1 && c->count <= EXA_PICTURE_MAX_PANELS && o->rows >= 1 && o->columns >= 1 &&
                  o->row_scale >= 1 && o->column_scale >= 1,
              EXA_ERR_INTERNAL, "a picture of %d panels of %lld x %lld", c->count, (long long)o->rows,
              (long long)o->columns);
    EXA_CHECK(o->rows <= LARGEST_SIDE / o->row_scale && o->columns <= LARGEST_SIDE / o->column_scale / c->count,
              EXA_ERR_RANGE,
              "the picture would have more than %d pixels on a side. Hint: use a smaller scale or box",
              LARGEST_SIDE);
    if (c->options.opacity <= 0) c->options.opacity = DEFAULT_OPACITY;
    c->panel_width = (size_t)(o->columns * o->column_scale);
    c->panel_height = (size_t)(o->rows * o->row_scale);
    c->width = 2 * MARGIN + (size_t)c->count * c->panel_width + (size_t)(c->count - 1) * GAP;
    c->height = CAPTION + c->panel_height + MARGIN;
    return exa_alloc(c->width, 3, "a row of the picture", &c->row);
}

exa_status exa_picture_write(const char *path, const exa_picture_panel *panels, int count,
                             const exa_picture_options *options) {
    canvas c = {.panels = panels, .options = *options, .count = count};
    char temporary[EXA_PATH_BYTES];
    exa_status st;

    EXA_TRY(exa_file_temporary_name(temporary, path));
    EXA_TRY(lay_out(&c));
    st = write_file(&c, temporary, path);
    free(c.row);
    if (st != EXA_OK) {
        unlink(temporary);
        return st;
    }
    return exa_file_commit(temporary, path);
}
