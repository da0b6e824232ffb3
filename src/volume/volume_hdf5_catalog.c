/* What an HDF5 file holds, for the messages about what was not found in it. */
#include "volume_hdf5_internal.h"

#include "exaconn/suggest.h"

#include <stdio.h>
#include <string.h>

exa_dtype exa_hdf5_dtype(hid_t type, bool *is_signed) {
    size_t size = H5Tget_size(type);
    H5T_class_t class = H5Tget_class(type);

    *is_signed = class == H5T_INTEGER && H5Tget_sign(type) == H5T_SGN_2;
    if (class == H5T_ENUM && size == 1) return EXA_U8;
    if (class == H5T_FLOAT && size == 4) return EXA_F32;
    if (class != H5T_INTEGER) return EXA_DTYPE_NONE;
    switch (size) {
    case 1: return EXA_U8;
    case 2: return EXA_U16;
    case 4: return EXA_U32;
    case 8: return EXA_U64;
    default: return EXA_DTYPE_NONE;
    }
}

void exa_hdf5_type_text(hid_t type, char out[32]) {
    bool is_signed;
    exa_dtype dtype = exa_hdf5_dtype(type, &is_signed);
    unsigned bits = (unsigned)(8 * H5Tget_size(type));

    if (dtype != EXA_DTYPE_NONE) {
        snprintf(out, 32, "%s", is_signed ? exa_dtype_name(dtype) + 1 : exa_dtype_name(dtype)); /* "uint8" + 1 */
        return;
    }
    switch (H5Tget_class(type)) {
    case H5T_INTEGER: snprintf(out, 32, "integer of %u bits", bits); break;
    case H5T_FLOAT: snprintf(out, 32, "float%u", bits); break;
    case H5T_STRING: snprintf(out, 32, "string"); break;
    case H5T_COMPOUND: snprintf(out, 32, "compound"); break;
    default: snprintf(out, 32, "no number"); break;
    }
}

static void describe_dataset(hid_t dataset, const hsize_t dims[3], char out[64]) {
    hid_t type = H5Dget_type(dataset);
    char text[32] = "unknown";

    if (type >= 0) {
        exa_hdf5_type_text(type, text);
        H5Tclose(type);
    }
    snprintf(out, 64, "%llux%llux%llu %.20s", (unsigned long long)dims[0], (unsigned long long)dims[1],
             (unsigned long long)dims[2], text);
}

static herr_t visit(hid_t root, const char *name, const H5O_info_t *info, void *context) {
    exa_volume_list *catalog = context;
    hid_t dataset, space;
    hsize_t dims[3];

    if (info->type != H5O_TYPE_DATASET) return 0;
    dataset = H5Dopen2(root, name, H5P_DEFAULT);
    if (dataset < 0) return 0;
    space = H5Dget_space(dataset);
    if (space >= 0 && H5Sget_simple_extent_ndims(space) == 3) {
        if (catalog->count < EXA_VOLUME_LIST_MAX) {
            H5Sget_simple_extent_dims(space, dims, NULL);
            snprintf(catalog->name[catalog->count], sizeof catalog->name[0], "/%.250s", name);
            describe_dataset(dataset, dims, catalog->text[catalog->count]);
        }
        catalog->count++;
    }
    if (space >= 0) H5Sclose(space);
    H5Dclose(dataset);
    return 0;
}

exa_status exa_hdf5_list(hid_t file, const char *path, exa_volume_list *catalog) {
    memset(catalog, 0, sizeof *catalog);
    if (H5Ovisit(file, H5_INDEX_NAME, H5_ITER_INC, visit, catalog) < 0)
        return EXA_HDF5_FAIL(EXA_ERR_FORMAT, "cannot list what is in '%s'", path);
    return EXA_OK;
}

/* The listed name nearest to `dataset`, or NULL if none is near enough to have been meant. */
static const char *nearest(const exa_volume_list *catalog, const char *dataset) {
    const char *names[EXA_VOLUME_LIST_MAX];
    size_t n = 0;

    while (*dataset == '/') dataset++;
    for (; n < EXA_VOLUME_LIST_MAX && (int)n < catalog->count; n++) names[n] = catalog->name[n] + 1;
    return exa_suggest(dataset, names, n);
}

exa_status exa_hdf5_missing(hid_t file, const char *path, const char *dataset) {
    exa_volume_list catalog;
    char list[1200] = "";
    const char *near;
    size_t used = 0;

    EXA_TRY(exa_hdf5_list(file, path, &catalog));
    EXA_CHECK(catalog.count > 0, EXA_ERR_CONFIG, "'%s' has no dataset '%.256s'; it has no 3-D dataset at all", path,
              dataset);
    for (int i = 0; i < catalog.count && i < EXA_VOLUME_LIST_MAX && used < sizeof list - 100; i++) {
        int n = snprintf(list + used, sizeof list - used, "%s%.80s (%s)", i ? ", " : "", catalog.name[i],
                         catalog.text[i]);
        used += (size_t)n;
    }
    if (catalog.count > EXA_VOLUME_LIST_MAX)
        snprintf(list + used, sizeof list - used, ", and %d more", catalog.count - EXA_VOLUME_LIST_MAX);
    if (!*dataset)
        return EXA_FAIL(EXA_ERR_CONFIG, "which dataset of '%s' is meant? It has %s. Hint: write %.256s:%s", path,
                        list, path, catalog.name[0]);
    near = nearest(&catalog, dataset);
    return EXA_FAIL(EXA_ERR_CONFIG, "'%s' has no dataset '%.256s'; it has %s%s%s%s", path, dataset, list,
                    near ? ". Hint: did you mean /" : "", near ? near : "", near ? "?" : "");
}
