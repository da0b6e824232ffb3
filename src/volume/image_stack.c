/* Which files make the stack, in which order, and whether they fit together; the decoders are image_png.c and
 * image_tiff.c. A file's kind is taken from its first bytes, never from its name.
 */
#include "exaconn/image_stack.h"

#include "exaconn/file.h"
#include "exaconn/log.h"

#include "image_stack_internal.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef enum kind { KIND_NONE, KIND_PNG, KIND_TIFF } kind;

typedef struct slice_file {
    char *path;        /* owned */
    exa_coord first_z; /* of its pages */
    int pages;
} slice_file;

struct exa_image_stack {
    slice_file *files; /* owned, in order */
    size_t count, capacity;
    kind kind;
    exa_image_info image; /* what every page is */
    exa_coord depth;
    int missing;
    exa_tiff *open; /* the TIFF read last; NULL = none */
    size_t open_index;
};

/* ---- order and gaps ------------------------------------------------------------------------------------------ */

/* Compares the digit runs at *a and *b as numbers and moves behind them. */
static int compare_numbers(const char **a, const char **b) {
    size_t n, m;
    int order;

    while (**a == '0') ++*a;
    while (**b == '0') ++*b;
    n = strspn(*a, "0123456789");
    m = strspn(*b, "0123456789");
    order = n != m ? (n < m ? -1 : 1) : strncmp(*a, *b, n);
    *a += n;
    *b += m;
    return order;
}

int exa_image_natural_order(const char *a, const char *b) {
    const char *whole_a = a, *whole_b = b;

    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            int order = compare_numbers(&a, &b);
            if (order) return order;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    if (*a || *b) return *a ? 1 : -1;
    return strcmp(whole_a, whole_b); /* "01" and "1": any fixed order */
}

static int by_name(const void *a, const void *b) {
    return exa_image_natural_order(exa_path_basename(((const slice_file *)a)->path),
                                   exa_path_basename(((const slice_file *)b)->path));
}

/* The last run of digits before the ending, or -1. */
static long long number_of(const char *path) {
    const char *name = exa_path_basename(path), *end = strrchr(name, '.');

    if (!end) end = name + strlen(name);
    while (end > name && !isdigit((unsigned char)end[-1])) end--;
    if (end == name) return -1;
    while (end > name && isdigit((unsigned char)end[-1])) end--;
    errno = 0;
    long long n = strtoll(end, NULL, 10);
    return errno ? -1 : n;
}

/* Numbering may go in any regular step; a larger one than the smallest is a hole. */
static void warn_about_gaps(exa_image_stack *s) {
    enum { SHOWN = 10 };
    long long smallest = LLONG_MAX;
    int gaps = 0;

    for (size_t i = 1; i < s->count; i++) {
        long long a = number_of(s->files[i - 1].path), b = number_of(s->files[i].path);
        if (a < 0 || b < 0) return;
        if (b > a && b - a < smallest) smallest = b - a;
    }
    for (size_t i = 1; i < s->count; i++) {
        long long step = number_of(s->files[i].path) - number_of(s->files[i - 1].path), absent;
        if (step <= smallest) continue;
        absent = step / smallest - 1;
        s->missing += absent < INT_MAX - s->missing ? (int)absent : 0;
        if (++gaps <= SHOWN)
            EXA_WARN("%lld slice%s may be missing between '%s' and '%s'", absent, absent == 1 ? "" : "s",
                     exa_path_basename(s->files[i - 1].path), exa_path_basename(s->files[i].path));
    }
    if (gaps > SHOWN) EXA_WARN("... and %d more holes in the numbering", gaps - SHOWN);
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

static bool is_wanted(const char *name, const char *pattern) {
    static const char *const endings[] = {".png", ".tif", ".tiff"};
    const char *dot = strrchr(name, '.');

    if (name[0] == '.') return false;
    if (pattern) return fnmatch(pattern, name, 0) == 0;
    for (size_t i = 0; dot && i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return true;
    return false;
}

static exa_status add_file(exa_image_stack *s, const char *folder, const char *name) {
    char path[EXA_PATH_BYTES];
    slice_file *file;

    EXA_TRY(exa_path_join(path, folder, name));
    if (exa_file_is_directory(path)) return EXA_OK;
    if (s->count == s->capacity) {
        size_t capacity = s->capacity ? 2 * s->capacity : 256;
        slice_file *grown = realloc(s->files, capacity * sizeof *grown);
        EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate the list of %zu slices", capacity);
        s->files = grown;
        s->capacity = capacity;
    }
    file = &s->files[s->count];
    memset(file, 0, sizeof *file);
    file->path = strdup(path);
    EXA_CHECK(file->path, EXA_ERR_MEMORY, "cannot allocate the list of slices");
    s->count++;
    return EXA_OK;
}

static exa_status list_files(exa_image_stack *s, const char *folder, const char *pattern) {
    DIR *directory = opendir(folder);
    struct dirent *entry;
    exa_status st = EXA_OK;

    EXA_CHECK(directory, EXA_ERR_IO, "cannot open the folder '%s': %s", folder, strerror(errno));
    while (st == EXA_OK && (entry = readdir(directory)))
        if (is_wanted(entry->d_name, pattern)) st = add_file(s, folder, entry->d_name);
    closedir(directory);
    EXA_TRY(st);
    EXA_CHECK(s->count > 0, EXA_ERR_CONFIG, "the folder '%s' has no file that matches %s", folder,
              pattern ? pattern : "*.png, *.tif or *.tiff");
    qsort(s->files, s->count, sizeof *s->files, by_name);
    return EXA_OK;
}

static exa_status kind_of(const char *path, kind *out) {
    static const unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    unsigned char head[8] = {0};
    FILE *f = fopen(path, "rb");
    size_t n;

    EXA_CHECK(f, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    n = fread(head, 1, sizeof head, f);
    fclose(f);
    EXA_CHECK(n == sizeof head, EXA_ERR_CORRUPT, "'%s' is truncated: it has only %zu bytes", path, n);
    *out = KIND_NONE;
    if (memcmp(head, png, sizeof png) == 0) *out = KIND_PNG;
    if (memcmp(head, "II*\0", 4) == 0 || memcmp(head, "MM\0*", 4) == 0) *out = KIND_TIFF;
    if (memcmp(head, "II+\0", 4) == 0 || memcmp(head, "MM\0+", 4) == 0) *out = KIND_TIFF; /* BigTIFF */
    EXA_CHECK(*out != KIND_NONE, EXA_ERR_FORMAT, "'%s' is neither a PNG nor a TIFF image", path);
    return EXA_OK;
}

static const char *kind_name(kind k) {
    return k == KIND_PNG ? "png" : "tiff";
}

static exa_status compare_with_first(const exa_image_stack *s, const char *path, kind k,
                                     const exa_image_info *info) {
    const char *first = s->files[0].path;

    EXA_CHECK(k == s->kind, EXA_ERR_FORMAT,
              "'%s' is %s but '%s' is %s: a stack is of one kind. Hint: use --pattern", path, kind_name(k), first,
              kind_name(s->kind));
    EXA_CHECK(info->height == s->image.height && info->width == s->image.width, EXA_ERR_FORMAT,
              "'%s' has %lld x %lld pixels (rows x columns) but '%s' has %lld x %lld", path,
              (long long)info->height, (long long)info->width, first, (long long)s->image.height,
              (long long)s->image.width);
    EXA_CHECK(info->dtype == s->image.dtype, EXA_ERR_FORMAT, "'%s' holds %s but '%s' holds %s", path,
              exa_dtype_name(info->dtype), first, exa_dtype_name(s->image.dtype));
    EXA_CHECK(info->channels == s->image.channels && info->inverted == s->image.inverted, EXA_ERR_FORMAT,
              "'%s' has another colour model than '%s'", path, first);
    return EXA_OK;
}

static exa_status inspect_files(exa_image_stack *s) {
    for (size_t i = 0; i < s->count; i++) {
        slice_file *file = &s->files[i];
        exa_image_info info;
        kind k = KIND_NONE;
        EXA_TRY(kind_of(file->path, &k));
        EXA_TRY(k == KIND_PNG ? exa_png_inspect(file->path, &info) : exa_tiff_inspect(file->path, &info));
        if (i == 0) {
            s->kind = k;
            s->image = info;
        }
        EXA_TRY(compare_with_first(s, file->path, k, &info));
        file->pages = info.pages;
        file->first_z = s->depth;
        s->depth += info.pages;
    }
    if (s->image.channels > 1)
        EXA_INFO("'%s' and the other slices have %d channels: read as gray, all colour channels must be equal%s",
                 exa_path_basename(s->files[0].path), s->image.channels,
                 s->image.channels % 2 == 0 ? ", and transparency is ignored" : "");
    if (s->image.inverted) EXA_INFO("the slices store white as 0: their values are inverted");
    return EXA_OK;
}

exa_status exa_image_stack_open(const char *folder, const char *pattern, exa_image_stack **out) {
    exa_image_stack *s = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_calloc(1, sizeof *s, "an image stack", &s));
    EXA_GOTO(done, list_files(s, folder, pattern));
    EXA_GOTO(done, inspect_files(s));
    warn_about_gaps(s);
    *out = s;
    s = NULL;
done:
    exa_image_stack_close(&s);
    return st;
}

void exa_image_stack_close(exa_image_stack **stack) {
    exa_image_stack *s = *stack;

    if (!s) return;
    exa_tiff_close(&s->open);
    for (size_t i = 0; i < s->count; i++) free(s->files[i].path);
    free(s->files);
    free(s);
    *stack = NULL;
}

exa_status exa_image_stack_get_info(const exa_image_stack *stack, exa_image_stack_info *info) {
    info->format = kind_name(stack->kind);
    info->dtype = stack->image.dtype;
    info->shape[0] = stack->depth;
    info->shape[1] = stack->image.height;
    info->shape[2] = stack->image.width;
    info->files = (int)stack->count;
    info->missing = stack->missing;
    return EXA_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

static void invert_row(exa_dtype dtype, size_t n, void *out) {
    unsigned char *bytes = out;
    if (dtype == EXA_F32) return; /* no largest value to count from */
    for (size_t i = 0; i < n * exa_dtype_size(dtype); i++) bytes[i] = (unsigned char)~bytes[i];
}

exa_status exa_image_gray_row(const char *path, const exa_image_info *info, exa_coord y, const void *row,
                              void *out) {
    size_t size = exa_dtype_size(info->dtype), n = (size_t)info->width, stride = size * (size_t)info->channels;
    const char *from = row;

    if (info->channels == 1) {
        memcpy(out, row, n * size);
    } else {
        for (size_t x = 0; x < n; x++, from += stride) {
            EXA_CHECK(info->channels == 2 ||
                          (memcmp(from, from + size, size) == 0 && memcmp(from, from + 2 * size, size) == 0),
                      EXA_ERR_UNSUPPORTED, "'%s' is a colour image (row %lld, column %zu); slices must be gray",
                      path, (long long)y, x);
            memcpy((char *)out + x * size, from, size);
        }
    }
    if (info->inverted) invert_row(info->dtype, n, out);
    return EXA_OK;
}

static size_t file_of_plane(const exa_image_stack *s, exa_coord z) {
    size_t low = 0, high = s->count - 1;
    while (low < high) {
        size_t middle = (low + high + 1) / 2;
        if (s->files[middle].first_z <= z) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return low;
}

static exa_status read_plane(exa_image_stack *s, exa_coord z, void *out) {
    size_t index = file_of_plane(s, z);
    const slice_file *file = &s->files[index];

    if (s->kind == KIND_PNG) return exa_png_read(file->path, &s->image, out);
    if (!s->open || s->open_index != index) {
        exa_tiff_close(&s->open);
        EXA_TRY(exa_tiff_open(file->path, &s->open));
        s->open_index = index;
    }
    return exa_tiff_read(s->open, (int)(z - file->first_z), &s->image, out);
}

exa_status exa_image_stack_read(exa_image_stack *stack, exa_coord z, exa_coord planes, void *data) {
    size_t plane_bytes =
        (size_t)stack->image.height * (size_t)stack->image.width * exa_dtype_size(stack->image.dtype);

    EXA_CHECK(z >= 0 && planes >= 0 && planes <= stack->depth - z, EXA_ERR_RANGE,
              "planes %lld to %lld are not in a stack of %lld", (long long)z, (long long)(z + planes - 1),
              (long long)stack->depth);
    for (exa_coord i = 0; i < planes; i++)
        EXA_TRY(read_plane(stack, z + i, (char *)data + (size_t)i * plane_bytes));
    return EXA_OK;
}

exa_status exa_image_stack_copy(exa_image_stack *stack, exa_volume *volume) {
    exa_box slab = {{0, 0, 0}, {0, stack->image.height, stack->image.width}};
    exa_volume_info info;
    exa_coord step;
    void *data = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_volume_get_info(volume, &info));
    EXA_CHECK(info.shape[0] == stack->depth && info.shape[1] == slab.shape[1] && info.shape[2] == slab.shape[2],
              EXA_ERR_INTERNAL, "volume '%s' has not the shape of the image stack", info.name);
    step = info.chunk[0] > 0 ? info.chunk[0] : 1;
    EXA_TRY(exa_alloc((size_t)(step * slab.shape[1] * slab.shape[2]), exa_dtype_size(stack->image.dtype),
                      "a slab of slices", &data));
    for (exa_coord z = 0; z < stack->depth; z += step) {
        slab.start[0] = z;
        slab.shape[0] = stack->depth - z < step ? stack->depth - z : step;
        EXA_GOTO(done, exa_image_stack_read(stack, z, slab.shape[0], data));
        EXA_GOTO(done, exa_volume_write(volume, &slab, stack->image.dtype, data));
    }
done:
    free(data);
    return st;
}
