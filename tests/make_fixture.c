/* Makes the small inputs of the shell tests, without Python and without real data:
 *   make_fixture volume FILE [N]    dataset /raw, uint8, N^3 voxels (default 30): tilted bright slabs with noise;
 *                                   also /labels (uint32), /flat (2-D), /words (float64), /nan (float32)
 *   make_fixture many-volumes FILE  thirteen datasets /v00 to /v12 of one uint8 voxel
 *   make_fixture mask FILE N CUT    dataset /mask, uint8, N^3 voxels: 1 where x >= CUT
 *   make_fixture same A B           no file: exit code 0 if the volumes A and B ("x.h5:/y") have the same voxels
 *   make_fixture nan-weights FILE   a network of depth 3, 8 features, FOV 9^3 with one NaN, under a valid checksum
 */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exaconn/ffn_model.h"
#include "exaconn/file.h"
#include "exaconn/volume.h"
#include "golden.h"
#include "test_util.h"
#include "weights_seal.h"

static void die(const char *what) {
    fprintf(stderr, "make_fixture: %s: %s\n", what, exa_error_last()->message);
    exit(1);
}

static void write_dataset(hid_t file, const char *name, int rank, const hsize_t *shape, hid_t stored, hid_t memory,
                          const void *data) {
    hid_t space = H5Screate_simple(rank, shape, NULL);
    hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (set < 0 || H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) die(name);
    H5Dclose(set);
    H5Sclose(space);
}

/* 1 from plane x = `cut` on. */
static void make_mask(const char *path, int n, int cut) {
    size_t voxels = (size_t)n * (size_t)n * (size_t)n;
    hsize_t shape[3] = {(hsize_t)n, (hsize_t)n, (hsize_t)n};
    uint8_t *mask = malloc(voxels);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

    if (file < 0 || !mask) die(path);
    for (size_t i = 0; i < voxels; i++) mask[i] = i % (size_t)n >= (size_t)cut;
    write_dataset(file, "mask", 3, shape, H5T_STD_U8LE, H5T_NATIVE_UINT8, mask);
    H5Fclose(file);
    free(mask);
}

static void make_volume(const char *path, int n) {
    size_t voxels = (size_t)n * (size_t)n * (size_t)n;
    hsize_t shape[3] = {(hsize_t)n, (hsize_t)n, (hsize_t)n};
    uint8_t *raw = malloc(voxels);
    uint32_t *labels = malloc(voxels * sizeof *labels);
    float *real = malloc(voxels * sizeof *real);
    uint64_t seed = 3;
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

    if (file < 0 || !raw || !labels || !real) die(path);
    for (size_t i = 0; i < voxels; i++) {
        size_t z = i / ((size_t)n * (size_t)n), y = i / (size_t)n % (size_t)n, x = i % (size_t)n;
        size_t layer = (y + z / 3) / 8;
        bool tissue = layer % 2 == 0 && (x < (size_t)n / 2 || x > (size_t)n / 2 + 2);
        raw[i] = (uint8_t)((tissue ? 180.0 : 40.0) + test_uniform(&seed) * 40.0);
        labels[i] = (uint32_t)(layer % 5);
        real[i] = (float)raw[i];
    }
    real[voxels / 2] = NAN;
    write_dataset(file, "raw", 3, shape, H5T_STD_U8LE, H5T_NATIVE_UINT8, raw);
    write_dataset(file, "labels", 3, shape, H5T_STD_U32LE, H5T_NATIVE_UINT32, labels);
    write_dataset(file, "flat", 2, shape, H5T_STD_U8LE, H5T_NATIVE_UINT8, raw);
    write_dataset(file, "words", 3, shape, H5T_IEEE_F64LE, H5T_NATIVE_FLOAT, real);
    write_dataset(file, "nan", 3, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, real);
    H5Fclose(file);
    free(raw);
    free(labels);
    free(real);
}

static void make_many_volumes(const char *path) {
    const hsize_t shape[3] = {1, 1, 1};
    const uint8_t voxel = 1;
    char name[32];
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

    if (file < 0) die(path);
    for (int i = 0; i < 13; i++) {
        snprintf(name, sizeof name, "v%02d", i);
        write_dataset(file, name, 3, shape, H5T_STD_U8LE, H5T_NATIVE_UINT8, &voxel);
    }
    H5Fclose(file);
}

static void centre_weight(exa_ffn_layer *l, int in, int out, float value) {
    int centre = l->kernel * l->kernel * l->kernel / 2;
    l->weights[(centre * l->cin + in) * l->cout + out] = value;
}

static exa_ffn_model *make_model(void) {
    const exa_coord fov[3] = {9, 9, 9}, deltas[3] = {2, 2, 2};
    exa_ffn_model *model;
    uint64_t seed = 11;

    if (exa_ffn_model_create(3, 8, fov, deltas, &model) != EXA_OK) die("model");
    model->image_mean = 128.0f;
    model->image_stddev = 60.0f;
    model->options.min_segment_size = 20;
    snprintf(model->source, sizeof model->source, "tests/make_fixture.c");
    for (int i = 1; i < model->layer_count - 1; i++) {
        exa_ffn_layer *l = &model->layers[i];
        int n = l->kernel * l->kernel * l->kernel * l->cin * l->cout;
        float scale = i % 2 == 0 ? 0.25f : 0.02f; /* into and out of a module */
        for (int k = 0; k < n; k++) l->weights[k] = (float)(test_uniform(&seed) - 0.5) * scale;
        for (int k = 0; k < l->cout; k++) l->biases[k] = (float)(test_uniform(&seed) - 0.5) * scale;
    }
    /* Features 0 and 1 carry the image's positive and negative part through to the head. */
    centre_weight(&model->layers[0], 0, 0, 1.0f);
    centre_weight(&model->layers[0], 0, 1, -1.0f);
    centre_weight(&model->layers[1], 0, 0, 1.0f);
    centre_weight(&model->layers[1], 1, 1, 1.0f);
    centre_weight(&model->layers[model->layer_count - 1], 0, 0, 6.0f);
    centre_weight(&model->layers[model->layer_count - 1], 1, 0, -6.0f);
    return model;
}

/* The writer refuses NaN, so one is put into a good file by libhdf5 and the file sealed again. */
static void spoil_weights(const char *path) {
    const char *name = "seed_update/conv0_b/weights";
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    golden_array w;
    char *bytes;
    size_t size;

    if (file < 0) die(path);
    w = GOLDEN_F32(file, name);
    ((float *)w.data)[5] = NAN;
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0 || H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, w.data) < 0) die(name);
    H5Dclose(set);
    H5Fclose(file);
    if (exa_file_read_all(path, (size_t)1 << 30, &bytes, &size) != EXA_OK) die(path);
    weights_seal((unsigned char *)bytes, size);
    if (exa_file_write_atomic(path, bytes, size) != EXA_OK) die(path);
    free(bytes);
    free(w.data);
}

/* Exit code 0 if two volumes have the same voxels, whatever their files look like. */
static int compare_volumes(const char *a, const char *b) {
    const char *names[2] = {a, b};
    exa_volume_info info[2];
    uint64_t *voxels[2] = {NULL, NULL};
    size_t n = 1, differ = 0;

    for (int v = 0; v < 2; v++) {
        exa_volume *volume;
        exa_box all = {{0, 0, 0}, {0, 0, 0}};
        if (exa_volume_open(names[v], &volume) != EXA_OK) die(names[v]);
        exa_volume_get_info(volume, &info[v]);
        n = 1;
        for (int i = 0; i < 3; i++) n *= (size_t)(all.shape[i] = info[v].shape[i]);
        voxels[v] = malloc(n * sizeof *voxels[v]);
        if (!voxels[v] || exa_volume_read(volume, &all, EXA_U64, voxels[v]) != EXA_OK) die(names[v]);
        exa_volume_close(&volume);
    }
    if (memcmp(info[0].shape, info[1].shape, sizeof info[0].shape) != 0) {
        differ = n;
    } else {
        for (size_t i = 0; i < n; i++) differ += voxels[0][i] != voxels[1][i];
    }
    if (differ) fprintf(stderr, "make_fixture: '%s' and '%s' differ in %zu of %zu voxels\n", a, b, differ, n);
    free(voxels[0]);
    free(voxels[1]);
    return differ ? 1 : 0;
}

int main(int argc, char **argv) {
    if (argc >= 3 && strcmp(argv[1], "volume") == 0) {
        make_volume(argv[2], argc > 3 ? atoi(argv[3]) : 30);
    } else if (argc == 3 && strcmp(argv[1], "many-volumes") == 0) {
        make_many_volumes(argv[2]);
    } else if (argc == 3 && strcmp(argv[1], "nan-weights") == 0) {
        exa_ffn_model *model = make_model();
        if (exa_ffn_model_write(model, argv[2]) != EXA_OK) die(argv[2]);
        spoil_weights(argv[2]);
        exa_ffn_model_destroy(&model);
    } else if (argc == 5 && strcmp(argv[1], "mask") == 0) {
        make_mask(argv[2], atoi(argv[3]), atoi(argv[4]));
    } else if (argc == 4 && strcmp(argv[1], "same") == 0) {
        return compare_volumes(argv[2], argv[3]);
    } else {
        fprintf(stderr, "usage: make_fixture volume FILE [N] | many-volumes FILE | nan-weights FILE | mask FILE N "
                        "CUT | same A B\n");
        return 2;
    }
    return 0;
}
