/* Reading weights files: the header is checked, then libhdf5 parses the verified copy in memory, then every object
 * is held to the little this format allows, so that no allocation exceeds the file.
 */
#include "weights_file_internal.h"

#include "cursor_internal.h"
#include "exaconn/box.h"
#include "exaconn/hash.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH 16    /* of groups */
#define MAX_LINKS 65536 /* visited in all */
#define MAX_NAME 1024   /* bytes of a tensor's full name */
#define DAMAGED "Hint: copy it again, or make it again with %s"

/* ---- shared with the writer --------------------------------------------------------------------- */

static herr_t keep_first(unsigned n, const H5E_error2_t *error, void *context) {
    char *text = context;
    (void)n;
    if (!text[0] && error->desc) snprintf(text, 256, "%s", error->desc);
    return 0;
}

exa_status exa_weights_file_h5_failed(const exa_weights_file *file, const char *doing, const char *what) {
    char text[256] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_first, text);
    H5Eclear2(H5E_DEFAULT);
    return EXA_FAIL(file->writing ? EXA_ERR_IO : EXA_ERR_FORMAT,
                    "weights file '%s': libhdf5 cannot %s '%.200s': %s", file->path, doing, what,
                    text[0] ? text : "no reason given");
}

exa_status exa_weights_file_make(const char *path, exa_weights_file **out) {
    exa_weights_file *file;

    EXA_CHECK(strlen(path) < EXA_PATH_BYTES, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, path);
    EXA_CHECK(H5open() >= 0, EXA_ERR_INTERNAL, "libhdf5 does not start");
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    EXA_TRY(exa_calloc(1, sizeof *file, "a weights file", &file));
    memcpy(file->path, path, strlen(path) + 1);
    file->h5 = H5I_INVALID_HID;
    /* libhdf5 takes two images of one name for the same file, and refuses an image if a file of that name exists.
     */
    snprintf(file->h5_name, sizeof file->h5_name, "/dev/null/weights-%p", (void *)file);
    *out = file;
    return EXA_OK;
}

exa_status exa_weights_file_access(const exa_weights_file *file, hid_t *fapl) {
    hid_t made = H5Pcreate(H5P_FILE_ACCESS);
    if (made >= 0 && H5Pset_fapl_core(made, (size_t)1 << 20, false) >= 0 &&
        H5Pset_fclose_degree(made, H5F_CLOSE_STRONG) >= 0) {
        *fapl = made;
        return EXA_OK;
    }
    if (made >= 0) H5Pclose(made);
    return exa_weights_file_h5_failed(file, "prepare", "file access");
}

void exa_weights_file_close(exa_weights_file **file) {
    exa_weights_file *f = *file;
    if (!f) return;
    if (f->h5 >= 0) H5Fclose(f->h5);
    for (size_t i = 0; i < f->count; i++) free(f->items[i].name);
    free(f->items);
    free(f);
    *file = NULL;
}

/* ---- the header --------------------------------------------------------------------------------- */

/* What makes such files, for hints. */
static const char *command_of(const char *maker) {
    if (!maker) return "`exaconn import-ffn` or `exaconn import-segclr`";
    if (strcmp(maker, "import-segclr") == 0) return "`exaconn import-segclr`";
    return strcmp(maker, "import-ffn") == 0 ? "`exaconn import-ffn`" : "`scripts/train_segclr_classifier.py`";
}

static exa_status check_digest(const unsigned char *data, size_t size, const char *path, const char *maker) {
    char found[EXA_SHA256_HEX_BYTES], stored[EXA_SHA256_HEX_BYTES];

    EXA_TRY(exa_sha256(data + EXA_WEIGHTS_HEADER, size - EXA_WEIGHTS_HEADER, found));
    for (int i = 0; i < 32; i++) snprintf(stored + 2 * i, 3, "%02x", data[24 + i]);
    EXA_CHECK(strcmp(found, stored) == 0, EXA_ERR_CORRUPT,
              "weights file '%s' was altered: SHA-256 of its contents is %.16s..., stored is %.16s.... " DAMAGED,
              path, found, stored, command_of(maker));
    return EXA_OK;
}

static exa_status check_header(const unsigned char *data, size_t size, const char *path, const char *maker) {
    EXA_CHECK(size < 8 || memcmp(data, "\x89HDF\r\n\x1a\n", 8) != 0, EXA_ERR_FORMAT,
              "'%s' is an HDF5 file without the header of a weights file. Hint: write it as docs/formats.md says "
              "(userblock_size=512), or make it with %s",
              path, command_of(maker));
    EXA_CHECK(
        size < 8 || memcmp(data, EXA_WEIGHTS_MAGIC, 8) == 0, EXA_ERR_FORMAT,
        "'%s' is not a weights file (its first bytes are not \"EXAWTS\"). Hint: a TensorFlow checkpoint is turned "
        "into one by %s",
        path, command_of(maker));
    EXA_CHECK(size >= EXA_WEIGHTS_HEADER, EXA_ERR_CORRUPT,
              "weights file '%s' was cut short: only %zu bytes. " DAMAGED, path, size, command_of(maker));
    uint32_t crc = exa_crc32c(0, data, EXA_WEIGHTS_HEADER - 4),
             stored = exa_load_le32(data + EXA_WEIGHTS_HEADER - 4);
    EXA_CHECK(crc == stored, EXA_ERR_CORRUPT,
              "weights file '%s': checksum of its header is %08x, stored is %08x. " DAMAGED, path, (unsigned)crc,
              (unsigned)stored, command_of(maker));
    uint32_t version = exa_load_le32(data + 8), header = exa_load_le32(data + 12);
    EXA_CHECK(
        version == EXA_WEIGHTS_VERSION && header == EXA_WEIGHTS_HEADER, EXA_ERR_UNSUPPORTED,
        "weights file '%s' has format version %u with a header of %u bytes; this exaconn reads version %d with "
        "%d. Hint: use a newer exaconn",
        path, (unsigned)version, (unsigned)header, EXA_WEIGHTS_VERSION, EXA_WEIGHTS_HEADER);
    uint64_t payload = exa_load_le64(data + 16);
    EXA_CHECK(payload == size - EXA_WEIGHTS_HEADER, EXA_ERR_CORRUPT,
              "weights file '%s' was %s: %zu bytes follow its header instead of %llu. " DAMAGED, path,
              payload > size - EXA_WEIGHTS_HEADER ? "cut short" : "appended to", size - EXA_WEIGHTS_HEADER,
              (unsigned long long)payload, command_of(maker));
    return check_digest(data, size, path, maker);
}

/* ---- the list of tensors ------------------------------------------------------------------------ */

typedef struct walk {
    exa_weights_file *file;
    size_t length;   /* of `name` */
    size_t links;    /* visited so far */
    size_t elements; /* of all tensors so far */
    int depth;
    exa_status st;
    char name[MAX_NAME + 1]; /* full name of what is being visited */
} walk;

static exa_status check_storage(const walk *w, hid_t dataset, size_t elements) {
    hid_t dcpl = H5Dget_create_plist(dataset);
    EXA_TRY(EXA_WEIGHTS_H5(w->file, dcpl, "read the layout of", w->name));
    H5D_layout_t layout = H5Pget_layout(dcpl);
    int external = layout == H5D_CONTIGUOUS ? H5Pget_external_count(dcpl) : 0;
    H5Pclose(dcpl);
    EXA_CHECK(
        layout == H5D_CONTIGUOUS && external == 0, EXA_ERR_FORMAT,
        "weights file '%s': tensor '%s' is chunked, compressed, virtual or in another file. Hint: write it as a "
        "plain contiguous dataset",
        w->file->path, w->name);
    unsigned long long stored = H5Dget_storage_size(dataset);
    EXA_CHECK(stored == (unsigned long long)elements * sizeof(float), EXA_ERR_FORMAT,
              "weights file '%s': tensor '%s' stores %llu bytes instead of %llu", w->file->path, w->name, stored,
              (unsigned long long)elements * sizeof(float));
    return EXA_OK;
}

static exa_status check_shape(const walk *w, hid_t space, exa_weights_item *item) {
    hsize_t dims[H5S_MAX_RANK];
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    int rank = H5Sget_simple_extent_ndims(space);

    EXA_CHECK((kind == H5S_SCALAR || kind == H5S_SIMPLE) && rank >= 0 && rank <= EXA_WEIGHTS_MAX_RANK,
              EXA_ERR_FORMAT, "weights file '%s': tensor '%s' has %d dimensions; 0 to %d are possible",
              w->file->path, w->name, rank, EXA_WEIGHTS_MAX_RANK);
    EXA_TRY(EXA_WEIGHTS_H5(w->file, H5Sget_simple_extent_dims(space, dims, NULL), "read the shape of", w->name));
    item->rank = rank;
    item->elements = 1;
    for (int a = 0; a < rank; a++) {
        EXA_CHECK(
            dims[a] >= 1 && dims[a] <= w->file->size / sizeof(float) / item->elements, EXA_ERR_FORMAT,
            "weights file '%s': tensor '%s' has extent %llu on axis %d, more than the file can hold (or none)",
            w->file->path, w->name, (unsigned long long)dims[a], a);
        item->shape[a] = (int64_t)dims[a];
        item->elements *= (size_t)dims[a];
    }
    return EXA_OK;
}

static exa_status check_dataset(const walk *w, hid_t dataset, exa_weights_item *item) {
    hid_t type = H5Dget_type(dataset), space = H5Dget_space(dataset);
    exa_status st = EXA_OK;

    EXA_GOTO(done, EXA_WEIGHTS_H5(w->file, type, "read the type of", w->name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(w->file, space, "read the shape of", w->name));
    EXA_CHECK_GOTO(done, H5Tequal(type, H5T_IEEE_F32LE) > 0, EXA_ERR_FORMAT,
                   "weights file '%s': tensor '%s' is not little-endian float32", w->file->path, w->name);
    EXA_GOTO(done, check_shape(w, space, item));
    EXA_GOTO(done, check_storage(w, dataset, item->elements));
done:
    if (space >= 0) H5Sclose(space);
    if (type >= 0) H5Tclose(type);
    return st;
}

static exa_status append_item(const walk *w, const exa_weights_item *checked) {
    exa_weights_file *f = w->file;
    exa_weights_item item = *checked;

    if (f->count == f->capacity) {
        size_t capacity = f->capacity ? 2 * f->capacity : 64;
        exa_weights_item *grown = realloc(f->items, capacity * sizeof *grown);
        EXA_CHECK(grown, EXA_ERR_MEMORY, "cannot allocate %zu bytes for the list of tensors",
                  capacity * sizeof *grown);
        f->items = grown;
        f->capacity = capacity;
    }
    EXA_TRY(exa_alloc(w->length + 1, 1, "a tensor's name", &item.name));
    memcpy(item.name, w->name, w->length + 1);
    f->items[f->count++] = item;
    return EXA_OK;
}

static exa_status walk_group(walk *w, hid_t group);

static exa_status visit_object(walk *w, hid_t object) {
    exa_weights_item item = {0};

    switch (H5Iget_type(object)) {
    case H5I_GROUP: return walk_group(w, object);
    case H5I_DATASET:
        EXA_TRY(check_dataset(w, object, &item));
        w->elements += item.elements;
        EXA_CHECK(w->elements <= w->file->size / sizeof(float), EXA_ERR_FORMAT,
                  "weights file '%s': the tensors up to '%s' hold more than the file", w->file->path, w->name);
        return append_item(w, &item);
    default:
        return EXA_FAIL(EXA_ERR_FORMAT, "weights file '%s': '%s' is neither a group nor a tensor", w->file->path,
                        w->name);
    }
}

/* Adds "/name" to the walk's name; only printable ASCII, so that messages stay readable. */
static exa_status enter_name(walk *w, const char *name) {
    int n = snprintf(w->name + w->length, sizeof w->name - w->length, "%s%s", w->length ? "/" : "", name);
    bool printable = name[0] != '\0';

    for (const char *c = name; *c; c++) printable = printable && *c >= 0x20 && *c < 0x7F;
    w->name[MAX_NAME] = '\0';
    EXA_CHECK(printable && n >= 0 && (size_t)n < sizeof w->name - w->length, EXA_ERR_FORMAT,
              "weights file '%s': a tensor's name is longer than %d bytes or not printable ASCII", w->file->path,
              MAX_NAME);
    w->length += (size_t)n;
    return EXA_OK;
}

static exa_status visit_named(walk *w, hid_t group, const char *name, const H5L_info_t *info) {
    EXA_CHECK(++w->links <= MAX_LINKS, EXA_ERR_FORMAT, "weights file '%s' has more than %d entries", w->file->path,
              MAX_LINKS);
    EXA_TRY(enter_name(w, name));
    EXA_CHECK(info->type == H5L_TYPE_HARD, EXA_ERR_FORMAT,
              "weights file '%s': '%s' is a soft or external link; only the tensors themselves are allowed",
              w->file->path, w->name);
    hid_t object = H5Oopen(group, name, H5P_DEFAULT);
    EXA_TRY(EXA_WEIGHTS_H5(w->file, object, "open", w->name));
    exa_status st = visit_object(w, object);
    H5Oclose(object);
    return st;
}

static herr_t visit_link(hid_t group, const char *name, const H5L_info_t *info, void *context) {
    walk *w = context;
    size_t length = w->length;

    w->st = visit_named(w, group, name, info);
    w->length = length;
    w->name[length] = '\0';
    return w->st == EXA_OK ? 0 : 1; /* positive: stop, but no error of libhdf5's */
}

static exa_status walk_group(walk *w, hid_t group) {
    hsize_t at = 0;

    EXA_CHECK(w->depth < MAX_DEPTH, EXA_ERR_FORMAT,
              "weights file '%s': groups are nested deeper than %d at '%.200s'", w->file->path, MAX_DEPTH, w->name);
    w->depth++;
    herr_t rc = H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, &at, visit_link, w);
    w->depth--;
    if (w->st != EXA_OK) return w->st;
    return EXA_WEIGHTS_H5(w->file, rc, "list", w->length ? w->name : "/");
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const exa_weights_item *)a)->name, ((const exa_weights_item *)b)->name);
}

/* ---- opening ------------------------------------------------------------------------------------ */

static exa_status open_image(exa_weights_file *file, const void *data, size_t size) {
    hid_t fapl = H5I_INVALID_HID;
    exa_status st = EXA_OK;
    walk w = {.file = file};

    EXA_TRY(exa_weights_file_access(file, &fapl));
    /* libhdf5 copies the image and does not write to it. */
    EXA_GOTO(done,
             EXA_WEIGHTS_H5(file, H5Pset_file_image(fapl, (void *)(uintptr_t)data, size), "copy", "the contents"));
    file->size = size;
    file->h5 = H5Fopen(file->h5_name, H5F_ACC_RDONLY, fapl);
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, file->h5, "open", "/"));
    EXA_GOTO(done, walk_group(&w, file->h5));
    if (file->count > 1) qsort(file->items, file->count, sizeof *file->items, by_name);
done:
    H5Pclose(fapl);
    return st;
}

exa_status exa_weights_file_open_image(const void *data, size_t size, const char *path, const char *maker,
                                       exa_weights_file **out) {
    exa_weights_file *file;
    exa_status st;

    EXA_TRY(check_header(data, size, path, maker));
    EXA_TRY(exa_weights_file_make(path, &file));
    file->maker = maker;
    EXA_GOTO(fail, open_image(file, data, size));
    *out = file;
    return EXA_OK;
fail:
    exa_weights_file_close(&file);
    return st;
}

/* No file of that name, but PREFIX.index: somebody means the checkpoint. */
static exa_status refuse_checkpoint(const char *path, const char *maker) {
    char index[EXA_PATH_BYTES];

    if (!maker) maker = "import-ffn";
    if (strncmp(maker, "import-", 7) != 0) return EXA_OK;
    if (strlen(path) + sizeof ".index" > sizeof index || exa_file_exists(path)) return EXA_OK;
    snprintf(index, sizeof index, "%s.index", path);
    EXA_CHECK(!exa_file_exists(index), EXA_ERR_FORMAT,
              "'%s' is a TensorFlow checkpoint, not a weights file. Hint: make one of it with `exaconn %s %s "
              "-o %s`",
              path, maker, path,
              strcmp(maker, "import-segclr") == 0 ? "segclr.h5 --resolution-nm Z,Y,X" : "ffn.h5");
    return EXA_OK;
}

exa_status exa_weights_file_open(const char *path, const char *maker, exa_weights_file **out) {
    char *data;
    size_t size;

    EXA_TRY(refuse_checkpoint(path, maker));
    EXA_TRY(exa_file_read_all(path, EXA_WEIGHTS_MAX_FILE, &data, &size));
    exa_status st = exa_weights_file_open_image(data, size, path, maker, out);
    free(data);
    return st;
}

exa_status exa_weights_file_expect(exa_weights_file *file, const char *kind, int64_t max_version) {
    char found[64];
    int64_t version;

    EXA_TRY(exa_weights_file_get_text(file, "kind", found, sizeof found));
    EXA_CHECK(strcmp(found, kind) == 0, EXA_ERR_FORMAT,
              "weights file '%s' holds a network of kind '%s', not '%s'. Hint: name a file made by %s", file->path,
              found, kind, command_of(file->maker));
    EXA_TRY(exa_weights_file_get_integers(file, "kind_version", &version, 1));
    EXA_CHECK(
        version >= 1 && version <= max_version, EXA_ERR_UNSUPPORTED,
        "weights file '%s': '%s' version %lld; this exaconn reads versions 1 to %lld. Hint: use a newer exaconn",
        file->path, kind, (long long)version, (long long)max_version);
    return EXA_OK;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

size_t exa_weights_file_count(const exa_weights_file *file) {
    return file->count;
}

static void describe(const exa_weights_item *item, exa_weights_tensor *tensor) {
    tensor->name = item->name;
    tensor->elements = item->elements;
    tensor->rank = item->rank;
    memcpy(tensor->shape, item->shape, sizeof tensor->shape);
}

exa_status exa_weights_file_tensor(const exa_weights_file *file, size_t i, exa_weights_tensor *tensor) {
    EXA_CHECK(i < file->count, EXA_ERR_RANGE, "weights file '%s' has %zu tensors, no number %zu", file->path,
              file->count, i);
    describe(&file->items[i], tensor);
    return EXA_OK;
}

bool exa_weights_file_find(const exa_weights_file *file, const char *name, exa_weights_tensor *tensor) {
    exa_weights_item key = {.name = (char *)(uintptr_t)name};
    const exa_weights_item *item =
        file->count ? bsearch(&key, file->items, file->count, sizeof key, by_name) : NULL;
    if (item) describe(item, tensor);
    return item != NULL;
}

static void shape_text(const int64_t *shape, int rank, char out[128]) {
    size_t used = 0;
    out[0] = '\0';
    for (int a = 0; a < rank && used < 100; a++)
        used += (size_t)snprintf(out + used, 128 - used, "%s%lld", a ? "," : "", (long long)shape[a]);
}

exa_status exa_weights_file_expect_tensor(const exa_weights_file *file, const char *name, const int64_t *shape,
                                          int rank) {
    exa_weights_tensor tensor;
    char found[128], expected[128];

    shape_text(shape, rank, expected);
    EXA_CHECK(exa_weights_file_find(file, name, &tensor), EXA_ERR_FORMAT, "tensor '%s' [%s] is missing", name,
              expected);
    bool same = tensor.rank == rank;
    for (int a = 0; same && a < rank; a++) same = tensor.shape[a] == shape[a];
    shape_text(tensor.shape, tensor.rank, found);
    EXA_CHECK(same, EXA_ERR_FORMAT, "tensor '%s' has shape [%s] instead of [%s]", name, found, expected);
    return EXA_OK;
}

exa_status exa_weights_file_read(exa_weights_file *file, const char *name, float *data, size_t elements) {
    exa_weights_tensor tensor;

    EXA_CHECK(exa_weights_file_find(file, name, &tensor), EXA_ERR_FORMAT, "weights file '%s' has no tensor '%s'",
              file->path, name);
    EXA_CHECK(tensor.elements == elements, EXA_ERR_FORMAT,
              "weights file '%s': tensor '%s' has %zu elements instead of %zu", file->path, name, tensor.elements,
              elements);
    hid_t dataset = H5Dopen2(file->h5, name, H5P_DEFAULT);
    EXA_TRY(EXA_WEIGHTS_H5(file, dataset, "open", name));
    herr_t rc = H5Dread(dataset, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data);
    H5Dclose(dataset);
    EXA_TRY(EXA_WEIGHTS_H5(file, rc, "read", name));
    for (size_t i = 0; i < elements; i++)
        EXA_CHECK(isfinite(data[i]), EXA_ERR_FORMAT,
                  "weights file '%s': tensor '%s' has %s at element %zu; every weight must be a finite number",
                  file->path, name, isnan(data[i]) ? "NaN" : "infinity", i);
    return EXA_OK;
}

/* ---- attributes --------------------------------------------------------------------------------- */

typedef struct attribute {
    hid_t id, type;
    hssize_t points;
} attribute;

static void close_attribute(attribute *a) {
    if (a->type >= 0) H5Tclose(a->type);
    if (a->id >= 0) H5Aclose(a->id);
}

bool exa_weights_file_has_attribute(exa_weights_file *file, const char *name) {
    return H5Aexists(file->h5, name) > 0;
}

/* Scalars and lists; anything else has points -1, which no caller accepts. */
static exa_status open_attribute(exa_weights_file *file, const char *name, attribute *a) {
    EXA_CHECK(exa_weights_file_has_attribute(file, name), EXA_ERR_FORMAT, "weights file '%s' has no attribute '%s'",
              file->path, name);
    a->id = H5Aopen(file->h5, name, H5P_DEFAULT);
    EXA_TRY(EXA_WEIGHTS_H5(file, a->id, "open attribute", name));
    a->type = H5Aget_type(a->id);
    hid_t space = a->type >= 0 ? H5Aget_space(a->id) : H5I_INVALID_HID;
    EXA_TRY(EXA_WEIGHTS_H5(file, space, "read attribute", name));
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    bool fits = kind == H5S_SCALAR || (kind == H5S_SIMPLE && H5Sget_simple_extent_ndims(space) == 1);
    a->points = fits ? H5Sget_simple_extent_npoints(space) : -1;
    H5Sclose(space);
    return EXA_OK;
}

static bool is_one_of(hid_t type, const hid_t *types, int count) {
    for (int i = 0; i < count; i++)
        if (H5Tequal(type, types[i]) > 0) return true;
    return false;
}

static bool is_integer(hid_t type) {
    const hid_t types[] = {H5T_STD_I64LE, H5T_STD_I32LE, H5T_STD_I16LE, H5T_STD_I8LE,
                           H5T_STD_U32LE, H5T_STD_U16LE, H5T_STD_U8LE};
    return is_one_of(type, types, (int)(sizeof types / sizeof *types));
}

static bool is_real(hid_t type) {
    const hid_t types[] = {H5T_IEEE_F32LE, H5T_IEEE_F64LE};
    return is_one_of(type, types, 2) || is_integer(type);
}

static exa_status read_numbers(exa_weights_file *file, const char *name, bool reals, hid_t memory_type,
                               void *values, int count) {
    attribute a = {H5I_INVALID_HID, H5I_INVALID_HID, -1};
    exa_status st = EXA_OK;

    EXA_GOTO(done, open_attribute(file, name, &a));
    EXA_CHECK_GOTO(done, reals ? is_real(a.type) : is_integer(a.type), EXA_ERR_FORMAT,
                   "weights file '%s': attribute '%s' is not %s", file->path, name,
                   reals ? "a plain number" : "an integer of at most 63 bits");
    EXA_CHECK_GOTO(done, a.points == count, EXA_ERR_FORMAT,
                   "weights file '%s': attribute '%s' has %lld values instead of %d", file->path, name,
                   (long long)a.points, count);
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Aread(a.id, memory_type, values), "read attribute", name));
done:
    close_attribute(&a);
    return st;
}

exa_status exa_weights_file_get_integers(exa_weights_file *file, const char *name, int64_t *values, int count) {
    return read_numbers(file, name, false, H5T_NATIVE_INT64, values, count);
}

exa_status exa_weights_file_get_reals(exa_weights_file *file, const char *name, double *values, int count) {
    EXA_TRY(read_numbers(file, name, true, H5T_NATIVE_DOUBLE, values, count));
    for (int i = 0; i < count; i++)
        EXA_CHECK(isfinite(values[i]), EXA_ERR_FORMAT, "weights file '%s': attribute '%s' is not a finite number",
                  file->path, name);
    return EXA_OK;
}

/* The text of a scalar string attribute of either kind, in a fresh buffer. */
static exa_status read_string(exa_weights_file *file, const char *name, const attribute *a, char **out) {
    char *text = NULL;
    size_t size = H5Tget_size(a->type);

    if (H5Tis_variable_str(a->type) > 0) {
        char *stored = NULL;
        EXA_TRY(EXA_WEIGHTS_H5(file, H5Aread(a->id, a->type, &stored), "read attribute", name));
        text = strndup(stored ? stored : "", EXA_WEIGHTS_MAX_TEXT);
        H5free_memory(stored);
        EXA_CHECK(text, EXA_ERR_MEMORY, "cannot allocate memory for attribute '%s'", name);
    } else {
        EXA_CHECK(size < EXA_WEIGHTS_MAX_TEXT, EXA_ERR_FORMAT,
                  "weights file '%s': attribute '%s' has %zu bytes, more than %d", file->path, name, size,
                  EXA_WEIGHTS_MAX_TEXT - 1);
        EXA_TRY(exa_calloc(size + 1, 1, "an attribute", &text));
        exa_status st = EXA_WEIGHTS_H5(file, H5Aread(a->id, a->type, text), "read attribute", name);
        if (st != EXA_OK) {
            free(text);
            return st;
        }
        for (; H5Tget_strpad(a->type) == H5T_STR_SPACEPAD && size > 0 && text[size - 1] == ' '; size--)
            text[size - 1] = '\0';
    }
    *out = text;
    return EXA_OK;
}

exa_status exa_weights_file_get_text(exa_weights_file *file, const char *name, char *text, size_t bytes) {
    attribute a = {H5I_INVALID_HID, H5I_INVALID_HID, -1};
    char *found = NULL;
    exa_status st = EXA_OK;

    EXA_GOTO(done, open_attribute(file, name, &a));
    EXA_CHECK_GOTO(done, H5Tget_class(a.type) == H5T_STRING && a.points == 1, EXA_ERR_FORMAT,
                   "weights file '%s': attribute '%s' is not one text", file->path, name);
    EXA_GOTO(done, read_string(file, name, &a, &found));
    EXA_CHECK_GOTO(done, strlen(found) < bytes, EXA_ERR_FORMAT,
                   "weights file '%s': attribute '%s' is longer than %zu bytes: '%.60s...'", file->path, name,
                   bytes - 1, found);
    memcpy(text, found, strlen(found) + 1);
done:
    free(found);
    close_attribute(&a);
    return st;
}

exa_status exa_weights_file_find_text(exa_weights_file *file, const char *name, char *text, size_t bytes) {
    text[0] = '\0';
    return exa_weights_file_has_attribute(file, name) ? exa_weights_file_get_text(file, name, text, bytes) : EXA_OK;
}
