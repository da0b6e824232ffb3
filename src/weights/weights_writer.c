/* Writing weights files: libhdf5 builds the file in memory, so a full disk never meets it; the finished bytes get
 * their header and are written atomically. No times are stored: equal contents give equal bytes.
 */
#include "weights_file_internal.h"

#include "exaconn/box.h"
#include "exaconn/hash.h"
#include "exaconn/little_endian.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

exa_status exa_weights_file_create(const char *path, const char *kind, int64_t version, exa_weights_file **out) {
    hid_t fapl = H5I_INVALID_HID, fcpl = H5I_INVALID_HID;
    exa_weights_file *file = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_weights_file_make(path, &file));
    file->writing = true;
    EXA_GOTO(done, exa_weights_file_access(file, &fapl));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, fcpl = H5Pcreate(H5P_FILE_CREATE), "prepare", path));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Pset_userblock(fcpl, EXA_WEIGHTS_HEADER), "prepare", path));
    file->h5 = H5Fcreate(file->h5_name, H5F_ACC_TRUNC, fcpl, fapl);
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, file->h5, "create", path));
    EXA_GOTO(done, exa_weights_file_set_text(file, "kind", kind));
    EXA_GOTO(done, exa_weights_file_set_integers(file, "kind_version", &version, 1));
    *out = file;
    file = NULL;
done:
    if (fcpl >= 0) H5Pclose(fcpl);
    if (fapl >= 0) H5Pclose(fapl);
    exa_weights_file_close(&file);
    return st;
}

exa_status exa_weights_file_put(exa_weights_file *file, const char *name, int rank, const int64_t *shape,
                                const float *data) {
    hid_t space = H5I_INVALID_HID, lcpl = H5I_INVALID_HID, dcpl = H5I_INVALID_HID, set = H5I_INVALID_HID;
    hsize_t dims[EXA_WEIGHTS_MAX_RANK];
    exa_status st = EXA_OK;
    size_t elements = 1;

    EXA_CHECK(rank >= 0 && rank <= EXA_WEIGHTS_MAX_RANK, EXA_ERR_RANGE,
              "tensor '%s' has %d dimensions; 0 to %d fit", name, rank, EXA_WEIGHTS_MAX_RANK);
    for (int a = 0; a < rank; a++) {
        EXA_CHECK(shape[a] >= 1, EXA_ERR_RANGE, "tensor '%s' has extent %lld on axis %d", name, (long long)shape[a],
                  a);
        EXA_TRY(exa_size_mul(elements, (size_t)shape[a], &elements));
        dims[a] = (hsize_t)shape[a];
    }
    for (size_t i = 0; i < elements; i++)
        EXA_CHECK(isfinite(data[i]), EXA_ERR_RANGE, "tensor '%s' has NaN or infinity at element %zu", name, i);
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, space = H5Screate_simple(rank, dims, NULL), "prepare", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, lcpl = H5Pcreate(H5P_LINK_CREATE), "prepare", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Pset_create_intermediate_group(lcpl, 1), "prepare", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, dcpl = H5Pcreate(H5P_DATASET_CREATE), "prepare", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Pset_obj_track_times(dcpl, false), "prepare", name));
    set = H5Dcreate2(file->h5, name, H5T_IEEE_F32LE, space, lcpl, dcpl, H5P_DEFAULT);
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, set, "create", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data),
                                  "write", name));
done:
    if (set >= 0) H5Dclose(set);
    if (dcpl >= 0) H5Pclose(dcpl);
    if (lcpl >= 0) H5Pclose(lcpl);
    if (space >= 0) H5Sclose(space);
    return st;
}

/* `count` 0 means a scalar. */
static exa_status write_attribute(exa_weights_file *file, const char *name, hid_t type, hid_t memory_type,
                                  const void *values, int count) {
    hsize_t extent = (hsize_t)count;
    hid_t space = count == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &extent, NULL), id = H5I_INVALID_HID;
    exa_status st = EXA_OK;

    EXA_TRY(EXA_WEIGHTS_H5(file, space, "prepare attribute", name));
    id = H5Acreate2(file->h5, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, id, "create attribute", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Awrite(id, memory_type, values), "write attribute", name));
done:
    if (id >= 0) H5Aclose(id);
    H5Sclose(space);
    return st;
}

static exa_status check_count(const char *name, int count) {
    EXA_CHECK(count >= 1 && count <= EXA_WEIGHTS_MAX_NUMBERS, EXA_ERR_RANGE,
              "attribute '%s' of %d values; 1 to %d fit", name, count, EXA_WEIGHTS_MAX_NUMBERS);
    return EXA_OK;
}

exa_status exa_weights_file_set_text(exa_weights_file *file, const char *name, const char *text) {
    hid_t type = H5I_INVALID_HID;
    exa_status st = EXA_OK;

    EXA_CHECK(strlen(text) < EXA_WEIGHTS_MAX_TEXT, EXA_ERR_RANGE, "attribute '%s' is longer than %d bytes", name,
              EXA_WEIGHTS_MAX_TEXT - 1);
    EXA_TRY(EXA_WEIGHTS_H5(file, type = H5Tcopy(H5T_C_S1), "prepare attribute", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Tset_size(type, H5T_VARIABLE), "prepare attribute", name));
    EXA_GOTO(done, EXA_WEIGHTS_H5(file, H5Tset_cset(type, H5T_CSET_UTF8), "prepare attribute", name));
    EXA_GOTO(done, write_attribute(file, name, type, type, &text, 0));
done:
    H5Tclose(type);
    return st;
}

exa_status exa_weights_file_set_reals(exa_weights_file *file, const char *name, const double *values, int count) {
    EXA_TRY(check_count(name, count));
    return write_attribute(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, values, count == 1 ? 0 : count);
}

exa_status exa_weights_file_set_integers(exa_weights_file *file, const char *name, const int64_t *values,
                                         int count) {
    EXA_TRY(check_count(name, count));
    return write_attribute(file, name, H5T_STD_I64LE, H5T_NATIVE_INT64, values, count == 1 ? 0 : count);
}

/* ---- the finished bytes ------------------------------------------------------------------------- */

static exa_status make_header(unsigned char *image, size_t size) {
    char hex[EXA_SHA256_HEX_BYTES];

    EXA_TRY(exa_sha256(image + EXA_WEIGHTS_HEADER, size - EXA_WEIGHTS_HEADER, hex));
    memset(image, 0, EXA_WEIGHTS_HEADER);
    memcpy(image, EXA_WEIGHTS_MAGIC, 8);
    exa_store_le32(image + 8, EXA_WEIGHTS_VERSION);
    exa_store_le32(image + 12, EXA_WEIGHTS_HEADER);
    exa_store_le64(image + 16, size - EXA_WEIGHTS_HEADER);
    for (int i = 0; i < 32; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        image[24 + i] = (unsigned char)strtoul(pair, NULL, 16);
    }
    exa_store_le32(image + EXA_WEIGHTS_HEADER - 4, exa_crc32c(0, image, EXA_WEIGHTS_HEADER - 4));
    return EXA_OK;
}

/* Where the HDF5 part begins: the image that libhdf5 returns is without its user block (1.10) or with it. */
static exa_status find_payload(const unsigned char *image, size_t size, size_t *start) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    const size_t candidates[] = {0, EXA_WEIGHTS_HEADER};

    for (int i = 0; i < 2; i++) {
        if (size < candidates[i] + sizeof signature) continue;
        if (memcmp(image + candidates[i], signature, sizeof signature) != 0) continue;
        *start = candidates[i];
        return EXA_OK;
    }
    return EXA_FAIL(EXA_ERR_INTERNAL, "libhdf5 returned a file image without its signature");
}

exa_status exa_weights_file_commit(exa_weights_file *file) {
    unsigned char *bytes = NULL, *image;
    ssize_t size, got;
    size_t start = 0;
    exa_status st = EXA_OK;

    EXA_TRY(EXA_WEIGHTS_H5(file, H5Fflush(file->h5, H5F_SCOPE_GLOBAL), "finish", file->path));
    EXA_TRY(EXA_WEIGHTS_H5(file, size = H5Fget_file_image(file->h5, NULL, 0), "finish", file->path));
    EXA_TRY(exa_calloc((size_t)size + EXA_WEIGHTS_HEADER, 1, "the weights file", &bytes));
    image = bytes + EXA_WEIGHTS_HEADER;
    EXA_GOTO(done,
             EXA_WEIGHTS_H5(file, got = H5Fget_file_image(file->h5, image, (size_t)size), "finish", file->path));
    EXA_GOTO(done, find_payload(image, (size_t)got, &start));
    image = bytes + start; /* the header goes before the payload, over a user block if there is one */
    EXA_GOTO(done, make_header(image, (size_t)got - start + EXA_WEIGHTS_HEADER));
    EXA_GOTO(done, exa_file_write_atomic(file->path, image, (size_t)got - start + EXA_WEIGHTS_HEADER));
done:
    free(bytes);
    return st;
}
