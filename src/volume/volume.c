/* The part of a volume that is the same whatever holds it: names, box checks, element types, error texts.
 *
 * Widening happens inside the caller's buffer: the narrow voxels are read to its end and spread forward, so a read
 * never needs a second buffer. Narrowing goes through a bounded staging buffer, cut along z at storage chunks.
 */
#include "exaconn/volume.h"
#include "exaconn/phantom.h"

#include "precomputed_internal.h"
#include "voxel_convert_internal.h"
#include "volume_internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define STAGING_BYTES ((size_t)32 << 20)

/* ---- names -------------------------------------------------------------------------------------------------- */

/* The first place where a known file ending is followed by ':' or the end; NULL if there is none. */
static const char *find_separator(const char *name) {
    static const char *const endings[] = {".h5", ".hdf5", ".hdf"};
    for (const char *p = strchr(name, '.'); p; p = strchr(p + 1, '.')) {
        for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
            size_t n = strlen(endings[i]);
            if (strncasecmp(p, endings[i], n) == 0 && (p[n] == ':' || p[n] == '\0')) return p + n;
        }
    }
    return NULL;
}

static bool is_phantom(const char *name) {
    return strncmp(name, EXA_PHANTOM_PREFIX, strlen(EXA_PHANTOM_PREFIX)) == 0;
}

exa_status exa_volume_split_name(const char *name, char *path, size_t path_bytes, char *dataset,
                                 size_t dataset_bytes) {
    const char *separator = find_separator(name), *inside, *key;
    char folder[EXA_PATH_BYTES];
    size_t path_length;

    EXA_CHECK(!is_phantom(name), EXA_ERR_CONFIG,
              "'%.200s' is a phantom, which can only be read. Hint: name a file, as FILE.h5:/DATASET", name);
    EXA_CHECK(!exa_volume_precomputed_name(name, folder, &key), EXA_ERR_CONFIG,
              "'%.200s' is a precomputed volume, which can only be read here. Hint: name a file, as "
              "FILE.h5:/DATASET; exaconn export writes precomputed volumes",
              name);
    EXA_CHECK(separator || !strstr(name, "://"), EXA_ERR_UNSUPPORTED,
              "'%s' is a URL of a kind that exaconn does not read. Hint: name a volume as FILE.h5:/DATASET", name);
    if (!separator) separator = strrchr(name, ':'); /* a file of another ending */
    EXA_CHECK(separator && separator != name, EXA_ERR_CONFIG,
              "'%s' does not name a volume. Hint: name it as FILE.h5:/DATASET, for example sample.h5:/raw", name);
    path_length = (size_t)(separator - name);
    inside = *separator == ':' ? separator + 1 : separator;
    EXA_CHECK(path_length < path_bytes && strlen(inside) < dataset_bytes, EXA_ERR_RANGE,
              "the volume name '%.80s...' is too long", name);
    memcpy(path, name, path_length);
    path[path_length] = '\0';
    memcpy(dataset, inside, strlen(inside) + 1);
    return EXA_OK;
}

exa_status exa_volume_list_file(const char *path, exa_volume_list *list) {
    return exa_volume_hdf5_list(path, list);
}

/* ---- open, create, close ------------------------------------------------------------------------------------ */

static exa_status new_volume(const char *name, exa_volume **out) {
    exa_volume *v;
    exa_status st;

    EXA_TRY(exa_calloc(1, sizeof *v, "a volume", &v));
    st = exa_alloc(strlen(name) + 1, 1, "a volume's name", &v->name);
    if (st != EXA_OK) {
        free(v);
        return st;
    }
    memcpy(v->name, name, strlen(name) + 1);
    v->backend = &exa_volume_hdf5_backend;
    *out = v;
    return EXA_OK;
}

static void finish_info(exa_volume *v) {
    v->info.name = v->name;
    v->info.format = v->backend->format;
}

exa_status exa_volume_open(const char *name, exa_volume **out) {
    char path[EXA_PATH_BYTES], dataset[EXA_PATH_BYTES];
    const char *key;
    exa_volume *v = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(new_volume(name, &v));
    if (is_phantom(name)) {
        v->backend = &exa_volume_phantom_backend;
        EXA_GOTO(done, exa_volume_phantom_open(name, &v->info, &v->self));
    } else if (exa_volume_precomputed_name(name, path, &key)) {
        v->backend = &exa_volume_precomputed_backend;
        EXA_GOTO(done, exa_volume_precomputed_open(path, key, &v->info, &v->self));
    } else {
        EXA_GOTO(done, exa_volume_split_name(name, path, sizeof path, dataset, sizeof dataset));
        EXA_GOTO(done, exa_volume_hdf5_open(path, dataset, &v->info, &v->self));
    }
    finish_info(v);
    *out = v;
    v = NULL;
done:
    exa_volume_close(&v);
    return st;
}

exa_status exa_volume_precomputed_open_scale(const char *folder, const exa_precomputed_info *info, int scale,
                                             exa_volume **out) {
    exa_volume *v = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(new_volume(folder, &v));
    v->backend = &exa_volume_precomputed_backend;
    EXA_GOTO(done, exa_volume_precomputed_open_parsed(folder, info, scale, &v->info, &v->self));
    finish_info(v);
    *out = v;
    v = NULL;
done:
    exa_volume_close(&v);
    return st;
}

static exa_status check_create_options(const char *name, const exa_volume_create_options *o) {
    EXA_CHECK(exa_dtype_size(o->dtype) > 0, EXA_ERR_CONFIG, "volume '%s' needs an element type", name);
    EXA_CHECK(o->zstd_level >= 0 && o->zstd_level <= 19, EXA_ERR_RANGE,
              "volume '%s': zstd level %d is not in 0..19", name, o->zstd_level);
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(o->shape[a] >= 1, EXA_ERR_RANGE, "volume '%s': %lld voxels on axis %c; it must be at least 1",
                  name, (long long)o->shape[a], "zyx"[a]);
        EXA_CHECK(o->chunk[a] >= 0, EXA_ERR_RANGE, "volume '%s': a chunk of %lld voxels on axis %c", name,
                  (long long)o->chunk[a], "zyx"[a]);
        EXA_CHECK(o->voxel_size_nm[a] >= 0, EXA_ERR_RANGE, "volume '%s': a voxel size of %g nm on axis %c", name,
                  o->voxel_size_nm[a], "zyx"[a]);
    }
    return EXA_OK;
}

exa_status exa_volume_create(const char *name, const exa_volume_create_options *options, exa_volume **out) {
    char path[EXA_PATH_BYTES], dataset[EXA_PATH_BYTES];
    exa_volume_create_options o = *options;
    exa_volume *v = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_volume_split_name(name, path, sizeof path, dataset, sizeof dataset));
    EXA_CHECK(dataset[strspn(dataset, "/")], EXA_ERR_CONFIG,
              "'%s' names no dataset. Hint: say where the voxels go inside the file, for example %s:/segmentation",
              name, path);
    EXA_TRY(check_create_options(name, &o));
    for (int a = 0; a < 3; a++) {
        if (o.chunk[a] == 0) o.chunk[a] = 64;
        if (o.chunk[a] > o.shape[a]) o.chunk[a] = o.shape[a];
    }
    EXA_TRY(new_volume(name, &v));
    EXA_GOTO(done, exa_volume_hdf5_create(path, dataset, &o, &v->info, &v->self));
    finish_info(v);
    v->writable = true;
    v->shared = o.shared;
    *out = v;
    v = NULL;
done:
    exa_volume_close(&v);
    return st;
}

void exa_volume_close(exa_volume **volume) {
    exa_volume *v = *volume;
    if (!v) return;
    if (v->self) v->backend->close(v->self);
    free(v->name);
    free(v);
    *volume = NULL;
}

static exa_status check_writable(const exa_volume *v, const char *verb) {
    EXA_CHECK(!v->committed, EXA_ERR_INTERNAL, "cannot %s volume '%s': it is committed", verb, v->name);
    EXA_CHECK(v->writable, EXA_ERR_INTERNAL, "cannot %s volume '%s': it is open for reading", verb, v->name);
    return EXA_OK;
}

exa_status exa_volume_commit(exa_volume *volume) {
    EXA_TRY(check_writable(volume, "commit"));
    volume->writable = false;
    volume->committed = true;
    return volume->backend->commit(volume->self);
}

exa_status exa_volume_set_attribute_text(exa_volume *volume, const char *name, const char *text) {
    EXA_TRY(check_writable(volume, "describe"));
    return volume->backend->set_text(volume->self, name, text);
}

exa_status exa_volume_set_attribute_doubles(exa_volume *volume, const char *name, const double *values, int count) {
    EXA_TRY(check_writable(volume, "describe"));
    return volume->backend->set_doubles(volume->self, name, values, count);
}

exa_status exa_volume_get_attribute_doubles(exa_volume *volume, const char *name, double *values, int count,
                                            bool *found) {
    EXA_CHECK(!volume->committed, EXA_ERR_INTERNAL, "cannot read volume '%s': it is committed", volume->name);
    return volume->backend->get_doubles(volume->self, name, values, count, found);
}

exa_status exa_volume_get_offset(exa_volume *volume, exa_coord offset[3], bool *found) {
    double values[3] = {0, 0, 0};

    EXA_TRY(exa_volume_get_attribute_doubles(volume, "offset_zyx_vx", values, 3, found));
    for (int a = 0; a < 3; a++)
        EXA_CHECK(fabs(values[a]) < 0x1p53 && values[a] == floor(values[a]), EXA_ERR_FORMAT,
                  "volume '%s': its offset_zyx_vx of %g on axis %c is no whole number of voxels", volume->name,
                  values[a], "zyx"[a]);
    for (int a = 0; a < 3; a++) offset[a] = (exa_coord)values[a];
    return EXA_OK;
}

exa_status exa_volume_get_info(const exa_volume *volume, exa_volume_info *info) {
    *info = volume->info;
    return EXA_OK;
}

/* ---- voxels -------------------------------------------------------------------------------------------------- */

static exa_status check_box(const exa_volume *v, const exa_box *box, exa_dtype dtype, int64_t *voxels) {
    exa_box all = {{0, 0, 0}, {v->info.shape[0], v->info.shape[1], v->info.shape[2]}};

    EXA_CHECK(!v->committed, EXA_ERR_INTERNAL, "volume '%s' is committed: open it again to read it", v->name);
    EXA_CHECK(exa_dtype_size(dtype) > 0, EXA_ERR_INTERNAL, "volume '%s': no element type", v->name);
    EXA_CHECK(exa_box_inside(box, &all), EXA_ERR_RANGE,
              "box at %lld,%lld,%lld of %lld x %lld x %lld voxels (z,y,x) is not inside volume '%s' of "
              "%lld x %lld x %lld",
              (long long)box->start[0], (long long)box->start[1], (long long)box->start[2],
              (long long)box->shape[0], (long long)box->shape[1], (long long)box->shape[2], v->name,
              (long long)all.shape[0], (long long)all.shape[1], (long long)all.shape[2]);
    return exa_box_voxels(box, voxels);
}

static exa_status refuse_value(const exa_volume *v, const exa_box *box, exa_dtype from, exa_dtype to,
                               const void *data, size_t i) {
    char text[40];
    long long yx = (long long)(box->shape[1] * box->shape[2]), x = (long long)box->shape[2], at = (long long)i;

    exa_voxel_text(from, data, i, text);
    return EXA_FAIL(EXA_ERR_RANGE, "volume '%s': the value %s at voxel %lld,%lld,%lld (z,y,x) does not fit %s",
                    v->name, text, box->start[0] + at / yx, box->start[1] + at % yx / x, box->start[2] + at % x,
                    exa_dtype_name(to));
}

/* The piece of `box` that begins `z` planes into it: about STAGING_BYTES, ending at a storage chunk if it can. */
static exa_box next_piece(const exa_volume *v, const exa_box *box, exa_coord z, size_t element) {
    exa_box piece = *box;
    exa_coord depth = v->info.chunk[0] > 0 ? v->info.chunk[0] : 1, end;
    unsigned __int128 plane = (unsigned __int128)box->shape[1] * (unsigned __int128)box->shape[2] * element;
    exa_coord planes = plane > 0 && plane < STAGING_BYTES ? (exa_coord)(STAGING_BYTES / (size_t)plane) : 1;

    piece.start[0] += z;
    end = piece.start[0] + planes;
    if (end / depth * depth > piece.start[0]) end = end / depth * depth;
    piece.shape[0] = end - piece.start[0];
    if (piece.shape[0] > box->shape[0] - z) piece.shape[0] = box->shape[0] - z;
    return piece;
}

typedef struct transfer {
    exa_volume *volume;
    exa_dtype dtype; /* the caller's */
    bool writing;
} transfer;

/* One piece between the caller's buffer and the volume through `staging`, which holds the volume's own type. */
static exa_status transfer_piece(const transfer *t, const exa_box *piece, char *data, void *staging) {
    exa_volume *v = t->volume;
    size_t n = (size_t)(piece->shape[0] * piece->shape[1] * piece->shape[2]), done;

    if (t->writing) {
        done = exa_voxel_convert(t->dtype, data, v->info.dtype, staging, n);
        if (done < n) return refuse_value(v, piece, t->dtype, v->info.dtype, data, done);
        return v->backend->write(v->self, piece, staging);
    }
    EXA_TRY(v->backend->read(v->self, piece, staging));
    done = exa_voxel_convert(v->info.dtype, staging, t->dtype, data, n);
    if (done < n) return refuse_value(v, piece, v->info.dtype, t->dtype, staging, done);
    return EXA_OK;
}

static exa_status transfer_staged(const transfer *t, const exa_box *box, char *data) {
    size_t plane = (size_t)(box->shape[1] * box->shape[2]), element = exa_dtype_size(t->volume->info.dtype);
    void *staging = NULL;
    size_t staged = 0;
    exa_status st = EXA_OK;

    for (exa_coord z = 0; z < box->shape[0];) {
        exa_box piece = next_piece(t->volume, box, z, element);
        size_t n = plane * (size_t)piece.shape[0];
        if (n > staged) {
            free(staging);
            staging = NULL;
            EXA_GOTO(done, exa_alloc(n, element, "converting voxels", &staging));
            staged = n;
        }
        EXA_GOTO(done, transfer_piece(t, &piece, data + (size_t)z * plane * exa_dtype_size(t->dtype), staging));
        z += piece.shape[0];
    }
done:
    free(staging);
    return st;
}

exa_status exa_volume_read(exa_volume *volume, const exa_box *box, exa_dtype dtype, void *data) {
    const transfer t = {volume, dtype, false};
    exa_dtype own = volume->info.dtype;
    size_t n, done, gap;
    int64_t voxels;

    EXA_TRY(check_box(volume, box, dtype, &voxels));
    if (voxels == 0) return EXA_OK;
    if (own == dtype) return volume->backend->read(volume->self, box, data);
    if (exa_dtype_size(own) > exa_dtype_size(dtype)) return transfer_staged(&t, box, data);
    n = (size_t)voxels;
    gap = n * (exa_dtype_size(dtype) - exa_dtype_size(own));
    EXA_TRY(volume->backend->read(volume->self, box, (char *)data + gap));
    done = exa_voxel_convert_in_place(own, dtype, data, n);
    if (done < n) return refuse_value(volume, box, own, dtype, (const char *)data + gap, done);
    return EXA_OK;
}

exa_status exa_volume_write(exa_volume *volume, const exa_box *box, exa_dtype dtype, const void *data) {
    const transfer t = {volume, dtype, true};
    int64_t voxels;

    EXA_TRY(check_writable(volume, "write to"));
    EXA_TRY(check_box(volume, box, dtype, &voxels));
    EXA_CHECK(!volume->shared || volume->info.dtype == dtype, EXA_ERR_INTERNAL,
              "volume '%s' is written by all ranks: only in its own type", volume->name);
    if (voxels == 0 && !volume->shared) return EXA_OK;
    if (volume->info.dtype == dtype) return volume->backend->write(volume->self, box, data);
    return transfer_staged(&t, box, (char *)data); /* only read from */
}
