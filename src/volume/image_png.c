/* PNG slices. libpng reports errors by longjmp: each function that calls it keeps what it owns in a struct that
 * lives outside the jump.
 */
#include "image_stack_internal.h"

#include <errno.h>
#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct reader {
    const char *path;
    FILE *file;
    png_structp png;
    png_infop info;
    char *row;
    char **rows; /* of an interlaced image, which is decoded whole */
    char error[200];
} reader;

static void on_error(png_structp png, png_const_charp text) {
    reader *r = png_get_error_ptr(png);
    snprintf(r->error, sizeof r->error, "%s", text);
    longjmp(png_jmpbuf(png), 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static exa_status damaged(const reader *r) {
    if (ferror(r->file)) return EXA_FAIL(EXA_ERR_IO, "cannot read '%s': %s", r->path, strerror(errno));
    return EXA_FAIL(EXA_ERR_CORRUPT, "'%s' is truncated or damaged: %s", r->path, r->error);
}

static void close_reader(reader *r) {
    if (r->png) png_destroy_read_struct(&r->png, &r->info, NULL);
    if (r->file) fclose(r->file);
    free(r->row);
    free(r->rows);
}

static exa_status open_reader(reader *r, const char *path) {
    memset(r, 0, sizeof *r);
    r->path = path;
    r->file = fopen(path, "rb");
    EXA_CHECK(r->file, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    r->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, r, on_error, on_warning);
    if (r->png) r->info = png_create_info_struct(r->png);
    EXA_CHECK(r->info, EXA_ERR_MEMORY, "libpng cannot start reading '%s'", path);
    return EXA_OK;
}

/* Header, and the transformations that leave 8- or 16-bit samples in the byte order of this machine. */
static exa_status read_header(reader *r, exa_image_info *info) {
    if (setjmp(png_jmpbuf(r->png))) return damaged(r);
    png_init_io(r->png, r->file);
    png_read_info(r->png, r->info);
    if (png_get_color_type(r->png, r->info) == PNG_COLOR_TYPE_PALETTE) png_set_palette_to_rgb(r->png);
    if (png_get_bit_depth(r->png, r->info) < 8) png_set_expand_gray_1_2_4_to_8(r->png);
    if (png_get_bit_depth(r->png, r->info) == 16) png_set_swap(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    info->dtype = png_get_bit_depth(r->png, r->info) == 16 ? EXA_U16 : EXA_U8;
    info->channels = png_get_channels(r->png, r->info);
    info->inverted = false;
    info->height = png_get_image_height(r->png, r->info);
    info->width = png_get_image_width(r->png, r->info);
    info->pages = 1;
    return EXA_OK;
}

exa_status exa_png_inspect(const char *path, exa_image_info *info) {
    reader r;
    exa_status st = open_reader(&r, path);

    if (st == EXA_OK) st = read_header(&r, info);
    close_reader(&r);
    return st;
}

static exa_status decode_row(reader *r) {
    if (setjmp(png_jmpbuf(r->png))) return damaged(r);
    png_read_row(r->png, (png_bytep)r->row, NULL);
    return EXA_OK;
}

static exa_status decode_whole(reader *r) {
    if (setjmp(png_jmpbuf(r->png))) return damaged(r);
    png_read_image(r->png, (png_bytepp)r->rows);
    return EXA_OK;
}

/* Everything after the pixels, so that a file cut there is noticed too. */
static exa_status decode_end(reader *r) {
    if (setjmp(png_jmpbuf(r->png))) return damaged(r);
    png_read_end(r->png, NULL);
    return EXA_OK;
}

static exa_status read_interlaced(reader *r, const exa_image_info *info, size_t row_bytes, char *out) {
    size_t height = (size_t)info->height, out_bytes = (size_t)info->width * exa_dtype_size(info->dtype);

    EXA_TRY(exa_alloc(height, row_bytes, "an interlaced image", &r->row));
    EXA_TRY(exa_alloc(height, sizeof *r->rows, "an interlaced image", &r->rows));
    for (size_t y = 0; y < height; y++) r->rows[y] = r->row + y * row_bytes;
    EXA_TRY(decode_whole(r));
    for (size_t y = 0; y < height; y++)
        EXA_TRY(exa_image_gray_row(r->path, info, (exa_coord)y, r->rows[y], out + y * out_bytes));
    return decode_end(r);
}

static exa_status read_rows(reader *r, const exa_image_info *info, char *out) {
    size_t row_bytes = png_get_rowbytes(r->png, r->info),
           out_bytes = (size_t)info->width * exa_dtype_size(info->dtype);

    if (png_get_interlace_type(r->png, r->info) != PNG_INTERLACE_NONE)
        return read_interlaced(r, info, row_bytes, out);
    EXA_TRY(exa_alloc(row_bytes, 1, "an image row", &r->row));
    for (exa_coord y = 0; y < info->height; y++) {
        EXA_TRY(decode_row(r));
        EXA_TRY(exa_image_gray_row(r->path, info, y, r->row, out + (size_t)y * out_bytes));
    }
    return decode_end(r);
}

exa_status exa_png_read(const char *path, const exa_image_info *info, void *out) {
    exa_image_info now;
    reader r;
    exa_status st = open_reader(&r, path);

    if (st == EXA_OK) st = read_header(&r, &now);
    if (st == EXA_OK && (now.height != info->height || now.width != info->width || now.dtype != info->dtype ||
                         now.channels != info->channels))
        st = EXA_FAIL(EXA_ERR_FORMAT, "'%s' changed while it was being read", path);
    if (st == EXA_OK) st = read_rows(&r, info, out);
    close_reader(&r);
    return st;
}
