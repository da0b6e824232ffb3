/* Reading the golden HDF5 files of the shared data in tests. Buffers are the caller's to free. */
#ifndef EXA_TEST_GOLDEN_H
#define EXA_TEST_GOLDEN_H

#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct golden_array {
    int rank;
    hsize_t shape[5];
    size_t count;
    void *data;
} golden_array;

/* A whole dataset converted to a native HDF5 type (H5T_NATIVE_FLOAT, ...) of `size` bytes; aborts on any failure.
 */
static inline golden_array golden_read(hid_t file, const char *name, hid_t type, size_t size) {
    golden_array a = {0};
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT), space;
    if (set < 0) abort();
    space = H5Dget_space(set);
    a.rank = H5Sget_simple_extent_dims(space, a.shape, NULL);
    a.count = 1;
    for (int i = 0; i < a.rank; i++) a.count *= (size_t)a.shape[i];
    a.data = malloc(a.count * size);
    if (!a.data || H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, a.data) < 0) abort();
    H5Sclose(space);
    H5Dclose(set);
    return a;
}
#define GOLDEN_F32(file, name) golden_read((file), (name), H5T_NATIVE_FLOAT, sizeof(float))
#define GOLDEN_F64(file, name) golden_read((file), (name), H5T_NATIVE_DOUBLE, sizeof(double))
#define GOLDEN_I32(file, name) golden_read((file), (name), H5T_NATIVE_INT32, sizeof(int32_t))
#define GOLDEN_U8(file, name) golden_read((file), (name), H5T_NATIVE_UINT8, 1)

/* group/what, with `file`, `group` and a `char name[64]` in scope. */
#define READ_GOLDEN(kind, what) (snprintf(name, sizeof name, "%s/%s", group, (what)), GOLDEN_##kind(file, name))
#endif
