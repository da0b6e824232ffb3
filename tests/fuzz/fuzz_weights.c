/* libFuzzer harness of the weights file and FFN model readers. The first byte chooses the mode:
 *
 *   0  the rest is the whole file: the header and its checksums must hold
 *   1  the rest are edits (uint24 offset, byte) of a good file: any real change must be noticed
 *   2  the rest are operations that build, with libhdf5, a well-formed HDF5 file with arbitrary tensors,
 * attributes, links and types on top of a good network; it is sealed with a valid checksum. This reaches our reader
 * behind the checksum without making libhdf5's parser the target.
 */
#include "exaconn/ffn_model.h"
#include "exaconn/log.h"
#include "exaconn/weights_file.h"

#include "weights_seal.h"

#include <assert.h>
#include <hdf5.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static char path[64];
static unsigned char *good; /* a good file: depth 1, 8 features */
static size_t good_size;

static void remove_file(void) {
    unlink(path);
}

static void make_good(void) {
    static const exa_coord fov[3] = {9, 9, 9}, deltas[3] = {2, 2, 2};
    exa_ffn_model *m;
    assert(exa_ffn_model_create(1, 8, fov, deltas, &m) == EXA_OK);
    assert(exa_ffn_model_write(m, path) == EXA_OK);
    exa_ffn_model_destroy(&m);
    FILE *f = fopen(path, "rb");
    assert(f);
    good = malloc(1 << 20);
    good_size = fread(good, 1, 1 << 20, f);
    fclose(f);
}

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    exa_log_set_level(EXA_LOG_ERROR);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    snprintf(path, sizeof path, "/dev/shm/exa-fuzz-%ld.h5", (long)getpid());
    make_good();
    atexit(remove_file);
    return 0;
}

/* ---- input as a stream of choices --------------------------------------------------------------- */

typedef struct stream {
    const uint8_t *p, *end;
} stream;

static unsigned next(stream *s) {
    return s->p < s->end ? *s->p++ : 0;
}

static uint64_t next64(stream *s) {
    uint64_t v = 0;
    for (unsigned n = next(s) % 9; n > 0; n--) v = v << 8 | next(s);
    return v;
}

static const char *next_name(stream *s, char out[64]) {
    static const char *const known[] = {"seed_update",
                                        "seed_update/conv0_a/weights",
                                        "seed_update/conv0_a/biases",
                                        "seed_update/conv0_b/weights",
                                        "seed_update/conv0_b/biases",
                                        "seed_update/conv_lom/weights",
                                        "seed_update/conv_lom/biases",
                                        "seed_update/conv1_a/weights",
                                        "a",
                                        "a/b",
                                        "a/b/c",
                                        "seed_update/conv0_a"};
    unsigned choice = next(s), n = 0;
    if (choice < 200) return known[choice % (sizeof known / sizeof *known)];
    for (unsigned length = choice % 60 + 1; n < length; n++) {
        unsigned c = next(s);
        out[n] = (char)(c ? c : 'x');
    }
    out[n] = '\0';
    return out;
}

static const char *next_attribute(stream *s) {
    static const char *const known[] = {"kind",
                                        "kind_version",
                                        "depth",
                                        "features",
                                        "fov_zyx",
                                        "deltas_zyx",
                                        "image_mean",
                                        "image_stddev",
                                        "init_activation",
                                        "pad_value",
                                        "move_threshold",
                                        "segment_threshold",
                                        "disco_seed_threshold",
                                        "min_segment_size",
                                        "min_boundary_dist_zyx",
                                        "source",
                                        "source_sha256",
                                        "license",
                                        "weights_sha256",
                                        "other"};
    return known[next(s) % (sizeof known / sizeof *known)];
}

/* A type to be closed by the caller. */
static hid_t next_type(stream *s) {
    const hid_t plain[] = {H5T_IEEE_F32LE,  H5T_IEEE_F64LE, H5T_IEEE_F32BE, H5T_STD_I64LE,
                           H5T_STD_I32LE,   H5T_STD_U8LE,   H5T_STD_U64LE,  H5T_STD_I64BE,
                           H5T_STD_REF_OBJ, H5T_STD_B8LE,   H5T_IEEE_F32LE};
    unsigned choice = next(s) % 16;
    hid_t type;
    switch (choice) {
    case 11:
        type = H5Tcreate(H5T_COMPOUND, 8);
        H5Tinsert(type, "r", 0, H5T_IEEE_F32LE);
        H5Tinsert(type, "i", 4, H5T_IEEE_F32LE);
        return type;
    case 12: return H5Tvlen_create(H5T_IEEE_F32LE);
    case 13:
        type = H5Tcopy(H5T_C_S1);
        H5Tset_size(type, next(s) % 8 == 0 ? H5T_VARIABLE : next64(s) % 100000 + 1);
        H5Tset_strpad(type, (H5T_str_t)(next(s) % 3));
        return type;
    case 14: {
        hsize_t three[1] = {3};
        return H5Tarray_create2(H5T_IEEE_F32LE, 1, three);
    }
    case 15: return H5Tcreate(H5T_OPAQUE, next(s) + 1u);
    default: return H5Tcopy(plain[choice]);
    }
}

static hid_t next_space(stream *s) {
    static const unsigned usual[] = {1, 2, 3, 8, 16, 0, 65535, 7};
    hsize_t dims[12];
    unsigned rank = next(s) % 13;
    if (rank == 0) return H5Screate(next(s) % 4 == 0 ? H5S_NULL : H5S_SCALAR);
    if (rank == 12) return H5Screate_simple(1, (const hsize_t[]){next64(s) % ((uint64_t)1 << 40)}, NULL);
    for (unsigned a = 0; a < rank; a++) dims[a] = usual[next(s) % 8];
    return H5Screate_simple((int)rank, dims, NULL);
}

/* ---- operations --------------------------------------------------------------------------------- */

static bool holds_values(hid_t type, hid_t space, size_t limit) {
    H5T_class_t kind = H5Tget_class(type);
    hssize_t points = H5Sget_simple_extent_npoints(space);
    return points > 0 && kind != H5T_VLEN && kind != H5T_REFERENCE && H5Tis_variable_str(type) <= 0 &&
           (uint64_t)points <= limit / H5Tget_size(type);
}

/* Bytes of the stream, repeated, as the values. */
static void *next_values(stream *s, size_t bytes) {
    unsigned char *values = malloc(bytes);
    unsigned period = next(s) % 8 + 1;
    for (size_t i = 0; i < bytes; i++) values[i] = (unsigned char)(i < period ? next(s) : values[i - period]);
    return values;
}

static void add_dataset(hid_t f, stream *s) {
    static const hsize_t chunk[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    char name[64];
    const char *at = next_name(s, name);
    hid_t type = next_type(s), space = next_space(s), dcpl = H5Pcreate(H5P_DATASET_CREATE);
    hid_t lcpl = H5Pcreate(H5P_LINK_CREATE);
    unsigned layout = next(s);
    H5Pset_create_intermediate_group(lcpl, 1);
    if (next(s) % 2) H5Ldelete(f, at, H5P_DEFAULT);
    if (layout == 1) H5Pset_layout(dcpl, H5D_COMPACT);
    if (layout == 2 && H5Sget_simple_extent_ndims(space) > 0 && H5Sget_simple_extent_npoints(space) < 10000)
        H5Pset_chunk(dcpl, H5Sget_simple_extent_ndims(space), chunk);
    if (layout == 3) H5Pset_external(dcpl, "/dev/null", 0, H5F_UNLIMITED);
    if (layout == 4) H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_EARLY);
    if (layout == 4 && !holds_values(type, space, 1 << 20)) H5Pset_alloc_time(dcpl, H5D_ALLOC_TIME_LATE);
    hid_t d = H5Dcreate2(f, at, type, space, lcpl, dcpl, H5P_DEFAULT);
    if (d >= 0 && layout != 3 && layout != 5 && holds_values(type, space, 1 << 16)) {
        void *values = next_values(s, (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type));
        H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        free(values);
    }
    if (d >= 0) H5Dclose(d);
    H5Pclose(lcpl);
    H5Pclose(dcpl);
    H5Sclose(space);
    H5Tclose(type);
}

static void add_attribute(hid_t f, stream *s) {
    const char *name = next_attribute(s);
    hid_t type = next_type(s), space = next_space(s);
    H5Adelete(f, name);
    hid_t a = holds_values(type, space, 60000) || H5Sget_simple_extent_npoints(space) < 1000
                  ? H5Acreate2(f, name, type, space, H5P_DEFAULT, H5P_DEFAULT)
                  : H5I_INVALID_HID;
    if (a >= 0 && holds_values(type, space, 60000)) {
        void *values = next_values(s, (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type));
        H5Awrite(a, type, values);
        free(values);
    }
    if (a >= 0) H5Aclose(a);
    H5Sclose(space);
    H5Tclose(type);
}

/* An attribute as the format has it, but of any value and count. */
static void set_number(hid_t f, stream *s) {
    const char *name = next_attribute(s);
    unsigned kind = next(s);
    hsize_t count = kind % 8 == 0 ? 3 : 1;
    int64_t integers[3];
    double reals[3];
    for (int i = 0; i < 3; i++) {
        integers[i] = (int64_t)(kind & 16 ? next64(s) : next(s) % 40);
        uint64_t bits = next64(s);
        memcpy(&reals[i], &bits, sizeof bits);
        if (kind & 32) reals[i] = next(s) / 128.0 - .5;
    }
    hid_t space = count == 1 ? H5Screate(H5S_SCALAR) : H5Screate_simple(1, &count, NULL);
    hid_t type = kind & 64 ? H5T_IEEE_F64LE : H5T_STD_I64LE;
    H5Adelete(f, name);
    hid_t a = H5Acreate2(f, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a >= 0) {
        H5Awrite(a, type, kind & 64 ? (const void *)reals : (const void *)integers);
        H5Aclose(a);
    }
    H5Sclose(space);
}

static void set_text(hid_t f, stream *s) {
    const char *name = next_attribute(s);
    size_t length = next(s) * (next(s) % 8 == 0 ? 300u : 1u);
    char *text = calloc(1, length + 1);
    const char *p = text;
    for (size_t i = 0; i < length; i++) text[i] = (char)(i < 64 ? next(s) : 'x');
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate(H5S_SCALAR);
    H5Tset_size(type, H5T_VARIABLE);
    H5Adelete(f, name);
    hid_t a = H5Acreate2(f, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    if (a >= 0) {
        if (next(s) % 8) H5Awrite(a, type, &p);
        H5Aclose(a);
    }
    H5Sclose(space);
    H5Tclose(type);
    free(text);
}

static void link_something(hid_t f, stream *s) {
    char a[64], b[64];
    const char *from = next_name(s, a), *to = next_name(s, b);
    switch (next(s) % 6) {
    case 0: H5Ldelete(f, from, H5P_DEFAULT); break;
    case 1: H5Lmove(f, from, f, to, H5P_DEFAULT, H5P_DEFAULT); break;
    case 2: H5Lcreate_hard(f, from, f, to, H5P_DEFAULT, H5P_DEFAULT); break;
    case 3: H5Lcreate_soft(from, f, to, H5P_DEFAULT, H5P_DEFAULT); break;
    case 4: H5Lcreate_external("/dev/null", from, f, to, H5P_DEFAULT, H5P_DEFAULT); break;
    default: H5Lcreate_hard(f, "/", f, to, H5P_DEFAULT, H5P_DEFAULT);
    }
}

static void add_other(hid_t f, stream *s) {
    char name[64];
    const char *at = next_name(s, name);
    if (next(s) % 2) {
        hid_t type = next_type(s);
        H5Tcommit2(f, at, type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        H5Tclose(type);
    } else {
        hid_t g = H5Gcreate2(f, at, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (g >= 0) H5Gclose(g);
    }
}

static void set_element(hid_t f, stream *s) {
    char name[64];
    hid_t d = H5Dopen2(f, next_name(s, name), H5P_DEFAULT);
    if (d < 0) return;
    hid_t type = H5Dget_type(d), space = H5Dget_space(d);
    if (holds_values(type, space, 1 << 16)) {
        void *values = next_values(s, (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type));
        H5Dwrite(d, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
        free(values);
    }
    H5Sclose(space);
    H5Tclose(type);
    H5Dclose(d);
}

static void operate(hid_t f, stream *s) {
    for (int n = 0; n < 24 && s->p < s->end; n++) {
        switch (next(s) % 8) {
        case 0: add_dataset(f, s); break;
        case 1: add_attribute(f, s); break;
        case 2:
        case 7: set_number(f, s); break;
        case 3: set_text(f, s); break;
        case 4: link_something(f, s); break;
        case 5: add_other(f, s); break;
        default: set_element(f, s);
        }
    }
}

/* The good file with the operations done to it, sealed; free() it. */
static unsigned char *build(stream *s, size_t *size) {
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_core(fapl, 1 << 16, false);
    H5Pset_fclose_degree(fapl, H5F_CLOSE_STRONG);
    H5Pset_file_image(fapl, good, good_size);
    hid_t f = H5Fopen("/dev/null/fuzz", H5F_ACC_RDWR, fapl);
    H5Pclose(fapl);
    assert(f >= 0);
    operate(f, s);
    H5Fflush(f, H5F_SCOPE_GLOBAL);
    ssize_t n = H5Fget_file_image(f, NULL, 0);
    unsigned char *bytes = n > 0 ? calloc(1, (size_t)n + 512) : NULL;
    if (bytes) {
        assert(H5Fget_file_image(f, bytes + 512, (size_t)n) == n);
        weights_seal(bytes, (size_t)n + 512);
        *size = (size_t)n + 512;
    }
    H5Fclose(f);
    H5Eclear2(H5E_DEFAULT);
    return bytes;
}

/* ---- what must hold ----------------------------------------------------------------------------- */

static void check_error(exa_status st) {
    assert(st != EXA_ERR_INTERNAL && st != EXA_ERR_MEMORY);
    assert(exa_error_last()->message[0]);
}

static void read_all(exa_weights_file *file, size_t size) {
    static const char *const names[] = {"kind", "depth", "fov_zyx", "image_mean", "source", "other"};
    char text[512];
    int64_t integers[3];
    double reals[3];
    for (size_t i = 0; i < exa_weights_file_count(file); i++) {
        exa_weights_tensor t;
        assert(exa_weights_file_tensor(file, i, &t) == EXA_OK && t.elements <= size / 4);
        float *values = malloc(t.elements * sizeof *values + 1);
        if (exa_weights_file_read(file, t.name, values, t.elements) == EXA_OK)
            for (size_t e = 0; e < t.elements; e++) assert(isfinite(values[e]));
        free(values);
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (exa_weights_file_get_text(file, names[i], text, sizeof text) == EXA_OK)
            assert(strlen(text) < sizeof text);
        (void)exa_weights_file_get_integers(file, names[i], integers, i == 2 ? 3 : 1);
        (void)exa_weights_file_get_reals(file, names[i], reals, i == 2 ? 3 : 1);
    }
}

/* Returns whether it opened. */
static bool try_image(const unsigned char *bytes, size_t size) {
    exa_weights_file *file = NULL;
    exa_status st = exa_weights_file_open_image(bytes, size, "fuzz", NULL, &file);
    if (st == EXA_OK)
        read_all(file, size);
    else
        check_error(st);
    exa_weights_file_close(&file);
    return st == EXA_OK;
}

static void try_model(const unsigned char *bytes, size_t size) {
    exa_ffn_model *m = NULL;
    FILE *f = fopen(path, "wb");
    assert(f && fwrite(bytes, 1, size, f) == size);
    fclose(f);
    exa_status st = exa_ffn_model_read(path, &m);
    if (st != EXA_OK) {
        check_error(st);
        return;
    }
    assert(m->depth == (m->layer_count - 1) / 2 && m->features % 8 == 0 && m->image_stddev > 0);
    assert(m->fov[0] % 2 == 1 && m->deltas[2] <= m->fov[2] / 2 && strlen(m->weights_sha256) == 64);
    assert(exa_ffn_model_write(m, path) == EXA_OK);
    exa_ffn_model_destroy(&m);
}

static void edit(stream *s) {
    unsigned char *copy = malloc(good_size);
    memcpy(copy, good, good_size);
    while (s->p + 4 <= s->end) {
        size_t at = (s->p[0] | (size_t)s->p[1] << 8 | (size_t)s->p[2] << 16) % good_size;
        copy[at] = s->p[3];
        s->p += 4;
    }
    assert(try_image(copy, good_size) == (memcmp(copy, good, good_size) == 0));
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    stream s = {data + 1, data + size};
    if (size == 0) return 0;
    if (data[0] == 0) {
        (void)try_image(data + 1, size - 1);
    } else if (data[0] == 1) {
        edit(&s);
    } else {
        unsigned char *bytes = build(&s, &size);
        if (!bytes) return 0;
        (void)try_image(bytes, size);
        try_model(bytes, size);
        free(bytes);
    }
    return 0;
}
