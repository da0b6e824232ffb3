/* TIFF slices: strips or tiles, one or many pages, 8, 16 or 32 bits a sample.
 *
 * libtiff's error handlers are process-wide; ours keeps the last text per thread and prints nothing.
 */
#include "image_stack_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

struct exa_tiff {
    TIFF *file;
    char *path;
    int page; /* the one the file stands at */
};

static _Thread_local char last_error[200];

static void keep_error(const char *module, const char *format, va_list args) {
    (void)module;
    vsnprintf(last_error, sizeof last_error, format, args);
}

static exa_status damaged(const char *path) {
    return EXA_FAIL(EXA_ERR_CORRUPT, "'%s' is truncated or damaged: %s", path,
                    last_error[0] ? last_error : "libtiff gives no reason");
}

exa_status exa_tiff_open(const char *path, exa_tiff **out) {
    exa_tiff *t;
    exa_status st;

    TIFFSetErrorHandler(keep_error);
    TIFFSetWarningHandler(NULL);
    last_error[0] = '\0';
    EXA_TRY(exa_calloc(1, sizeof *t, "a TIFF file", &t));
    EXA_GOTO(done, exa_alloc(strlen(path) + 1, 1, "a path", &t->path));
    memcpy(t->path, path, strlen(path) + 1);
    t->file = TIFFOpen(path, "rm"); /* m: no mapping, a file that shrinks must not kill us */
    if (!t->file) EXA_GOTO(done, damaged(path));
    *out = t;
    return EXA_OK;
done:
    exa_tiff_close(&t);
    return st;
}

void exa_tiff_close(exa_tiff **tiff) {
    if (!*tiff) return;
    if ((*tiff)->file) TIFFClose((*tiff)->file);
    free((*tiff)->path);
    free(*tiff);
    *tiff = NULL;
}

static exa_dtype dtype_of(unsigned bits, unsigned sample_format) {
    if (sample_format == SAMPLEFORMAT_IEEEFP) return bits == 32 ? EXA_F32 : EXA_DTYPE_NONE;
    if (sample_format != SAMPLEFORMAT_UINT && sample_format != SAMPLEFORMAT_VOID) return EXA_DTYPE_NONE;
    return bits == 8 ? EXA_U8 : bits == 16 ? EXA_U16 : bits == 32 ? EXA_U32 : EXA_DTYPE_NONE;
}

/* The directory the file stands at. */
static exa_status describe_page(const exa_tiff *t, exa_image_info *info) {
    uint16_t bits = 1, sample_format = SAMPLEFORMAT_UINT, channels = 1, planar = PLANARCONFIG_CONTIG,
             photometric = 0;
    uint32_t width = 0, height = 0;

    TIFFGetField(t->file, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(t->file, TIFFTAG_IMAGELENGTH, &height);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_BITSPERSAMPLE, &bits);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_SAMPLEFORMAT, &sample_format);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_SAMPLESPERPIXEL, &channels);
    TIFFGetFieldDefaulted(t->file, TIFFTAG_PLANARCONFIG, &planar);
    TIFFGetField(t->file, TIFFTAG_PHOTOMETRIC, &photometric);
    info->dtype = dtype_of(bits, sample_format);
    info->channels = channels;
    info->height = height;
    info->width = width;
    info->inverted = photometric == PHOTOMETRIC_MINISWHITE;
    EXA_CHECK(width > 0 && height > 0, EXA_ERR_CORRUPT, "'%s' is damaged: an image without extent", t->path);
    EXA_CHECK(info->dtype != EXA_DTYPE_NONE, EXA_ERR_UNSUPPORTED,
              "'%s' has %u-bit samples of TIFF sample format %u; slices have 8 or 16 bits", t->path, bits,
              sample_format);
    EXA_CHECK(photometric <= PHOTOMETRIC_RGB && channels >= 1 && channels <= 4, EXA_ERR_UNSUPPORTED,
              "'%s' is neither gray nor RGB (TIFF photometric %u, %u samples)", t->path, photometric, channels);
    EXA_CHECK(planar == PLANARCONFIG_CONTIG || channels == 1, EXA_ERR_UNSUPPORTED,
              "'%s' stores its colours in separate planes", t->path);
    return EXA_OK;
}

static bool is_thumbnail(const exa_tiff *t) {
    uint32_t kind = 0;
    TIFFGetField(t->file, TIFFTAG_SUBFILETYPE, &kind);
    return (kind & FILETYPE_REDUCEDIMAGE) != 0;
}

/* To the next page that is no thumbnail; *found is false at the end of the file. */
static exa_status next_page(exa_tiff *t, bool *found) {
    last_error[0] = '\0';
    do {
        *found = TIFFReadDirectory(t->file) != 0;
    } while (*found && is_thumbnail(t));
    if (!*found && last_error[0]) return damaged(t->path);
    t->page++;
    return EXA_OK;
}

/* ImageJ writes stacks above 4 GiB as one directory and a note; only their first image would be seen. */
static exa_status refuse_imagej_giant(const exa_tiff *t, int pages) {
    char *text = NULL;
    const char *images;

    if (pages != 1 || TIFFGetField(t->file, TIFFTAG_IMAGEDESCRIPTION, &text) != 1 || !text) return EXA_OK;
    if (strncmp(text, "ImageJ=", 7) != 0 || !(images = strstr(text, "images="))) return EXA_OK;
    EXA_CHECK(atoll(images + 7) <= 1, EXA_ERR_UNSUPPORTED,
              "'%s' is an ImageJ stack that hides its images behind one TIFF directory. Hint: save it as an image "
              "sequence",
              t->path);
    return EXA_OK;
}

static bool same_page(const exa_image_info *a, const exa_image_info *b) {
    return a->dtype == b->dtype && a->channels == b->channels && a->height == b->height && a->width == b->width &&
           a->inverted == b->inverted;
}

static exa_status inspect_pages(exa_tiff *t, exa_image_info *info) {
    bool found = true;

    EXA_TRY(describe_page(t, info));
    EXA_TRY(refuse_imagej_giant(t, TIFFLastDirectory(t->file) ? 1 : 2));
    info->pages = 1;
    for (;;) {
        exa_image_info page = *info;
        EXA_TRY(next_page(t, &found));
        if (!found) return EXA_OK;
        EXA_TRY(describe_page(t, &page));
        EXA_CHECK(same_page(&page, info), EXA_ERR_FORMAT, "'%s': page %d differs from the first in size or depth",
                  t->path, info->pages + 1);
        info->pages++;
    }
}

exa_status exa_tiff_inspect(const char *path, exa_image_info *info) {
    exa_tiff *t = NULL;
    exa_status st;

    EXA_TRY(exa_tiff_open(path, &t));
    st = inspect_pages(t, info);
    exa_tiff_close(&t);
    return st;
}

static exa_status read_scanlines(exa_tiff *t, const exa_image_info *info, size_t out_bytes, char *out) {
    size_t needed = (size_t)info->width * (size_t)info->channels * exa_dtype_size(info->dtype);
    char *row = NULL;
    exa_status st = EXA_OK;

    EXA_CHECK(TIFFScanlineSize64(t->file) == needed, EXA_ERR_UNSUPPORTED, "'%s' packs its samples unusually",
              t->path);
    EXA_TRY(exa_alloc(needed, 1, "an image row", &row));
    for (exa_coord y = 0; y < info->height && st == EXA_OK; y++) {
        if (TIFFReadScanline(t->file, row, (uint32_t)y, 0) < 0) {
            st = damaged(t->path);
        } else {
            st = exa_image_gray_row(t->path, info, y, row, out + (size_t)y * out_bytes);
        }
    }
    free(row);
    return st;
}

/* One tile into its place, clipped at the right and lower edge. */
static exa_status place_tile(const exa_tiff *t, const exa_image_info *info, exa_coord y, exa_coord x, uint32_t rows,
                             uint32_t columns, const char *tile, char *out) {
    size_t size = exa_dtype_size(info->dtype), tile_row = (size_t)columns * (size_t)info->channels * size;
    exa_image_info part = *info;

    part.width = info->width - x < columns ? info->width - x : columns;
    for (exa_coord j = 0; j < rows && y + j < info->height; j++)
        EXA_TRY(exa_image_gray_row(t->path, &part, y + j, tile + (size_t)j * tile_row,
                                   out + (size_t)((y + j) * info->width + x) * size));
    return EXA_OK;
}

static exa_status read_tiles(exa_tiff *t, const exa_image_info *info, char *out) {
    uint32_t rows = 0, columns = 0;
    unsigned __int128 needed;
    char *tile = NULL;
    exa_status st = EXA_OK;

    TIFFGetField(t->file, TIFFTAG_TILELENGTH, &rows);
    TIFFGetField(t->file, TIFFTAG_TILEWIDTH, &columns);
    needed = (unsigned __int128)rows * columns * (unsigned)info->channels * exa_dtype_size(info->dtype);
    EXA_CHECK(needed > 0 && needed == TIFFTileSize64(t->file) && needed < ((size_t)1 << 40), EXA_ERR_UNSUPPORTED,
              "'%s' packs its tiles unusually", t->path);
    EXA_TRY(exa_alloc((size_t)needed, 1, "an image tile", &tile));
    for (exa_coord y = 0; y < info->height; y += rows)
        for (exa_coord x = 0; x < info->width; x += columns) {
            if (TIFFReadTile(t->file, tile, (uint32_t)x, (uint32_t)y, 0, 0) < 0) EXA_GOTO(done, damaged(t->path));
            EXA_GOTO(done, place_tile(t, info, y, x, rows, columns, tile, out));
        }
done:
    free(tile);
    return st;
}

exa_status exa_tiff_read(exa_tiff *t, int page, const exa_image_info *info, void *out) {
    exa_image_info now = *info;
    bool found = true;

    if (page < t->page) {
        EXA_CHECK(TIFFSetDirectory(t->file, 0), EXA_ERR_CORRUPT, "cannot go back to the start of '%s'", t->path);
        t->page = 0;
    }
    while (found && t->page < page) EXA_TRY(next_page(t, &found));
    EXA_CHECK(found, EXA_ERR_FORMAT, "'%s' changed while it was being read", t->path);
    EXA_TRY(describe_page(t, &now));
    EXA_CHECK(same_page(&now, info), EXA_ERR_FORMAT, "'%s' changed while it was being read", t->path);
    last_error[0] = '\0';
    if (TIFFIsTiled(t->file)) return read_tiles(t, info, out);
    return read_scanlines(t, info, (size_t)info->width * exa_dtype_size(info->dtype), out);
}
