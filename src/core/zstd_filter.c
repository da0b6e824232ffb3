/* HDF5 filter 32015: each chunk is one zstd frame with its content size.
 *
 * What a file claims is not believed: the content size must be known, equal what the dataset's chunk needs (where
 * the caller told us), and be what the frame really holds. Failures go onto the HDF5 error stack, whose innermost
 * text becomes part of our message.
 */
#include "exaconn/zstd_filter.h"

#include <hdf5.h>
#include <zstd.h>

enum { DEFAULT_LEVEL = 3, HIGHEST_LEVEL = 19 };
#define CHUNK_BYTES_LIMIT UINT32_MAX /* of HDF5 itself */

static size_t expected_bytes;

#define PUSH(...)                                                                                                  \
    H5Epush2(H5E_DEFAULT, __FILE__, __func__, __LINE__, H5E_ERR_CLS, H5E_PLINE, H5E_CANTFILTER, __VA_ARGS__)

static size_t compress_chunk(int level, size_t nbytes, size_t *buf_size, void **buf) {
    size_t bound = ZSTD_compressBound(nbytes), written;
    void *out = H5allocate_memory(bound, false);

    if (!out) {
        PUSH("zstd: no memory for %zu bytes", bound);
        return 0;
    }
    written = ZSTD_compress(out, bound, *buf, nbytes, level);
    if (ZSTD_isError(written)) {
        PUSH("zstd: cannot compress: %s", ZSTD_getErrorName(written));
        H5free_memory(out);
        return 0;
    }
    H5free_memory(*buf);
    *buf = out;
    *buf_size = bound;
    return written;
}

/* 0 and an error pushed if the frame does not announce an acceptable size. */
static size_t announced_size(const void *frame, size_t nbytes) {
    unsigned long long size = ZSTD_getFrameContentSize(frame, nbytes);

    if (size == ZSTD_CONTENTSIZE_ERROR) {
        PUSH("zstd: the chunk of %zu stored bytes is not a zstd frame", nbytes);
        return 0;
    }
    if (size == ZSTD_CONTENTSIZE_UNKNOWN) {
        PUSH("zstd: the chunk does not say its size");
        return 0;
    }
    if (size == 0 || size > CHUNK_BYTES_LIMIT || (expected_bytes > 0 && size != expected_bytes)) {
        PUSH("zstd: the chunk announces %llu bytes instead of %zu", size, expected_bytes);
        return 0;
    }
    return (size_t)size;
}

static size_t decompress_chunk(size_t nbytes, size_t *buf_size, void **buf) {
    size_t size = announced_size(*buf, nbytes), got;
    void *out;

    if (size == 0) return 0;
    out = H5allocate_memory(size, false);
    if (!out) {
        PUSH("zstd: no memory for %zu bytes", size);
        return 0;
    }
    got = ZSTD_decompress(out, size, *buf, nbytes);
    if (got != size) {
        PUSH("zstd: cannot decompress the chunk: %s",
             ZSTD_isError(got) ? ZSTD_getErrorName(got) : "it is too short");
        H5free_memory(out);
        return 0;
    }
    H5free_memory(*buf);
    *buf = out;
    *buf_size = size;
    return size;
}

static size_t filter_chunk(unsigned flags, size_t cd_nelmts, const unsigned cd_values[], size_t nbytes,
                           size_t *buf_size, void **buf) {
    int level = DEFAULT_LEVEL;

    if (flags & H5Z_FLAG_REVERSE) return decompress_chunk(nbytes, buf_size, buf);
    if (cd_nelmts > 0 && cd_values[0] >= 1)
        level = cd_values[0] > HIGHEST_LEVEL ? HIGHEST_LEVEL : (int)cd_values[0];
    return compress_chunk(level, nbytes, buf_size, buf);
}

exa_status exa_zstd_filter_register(void) {
    static const H5Z_class2_t filter = {.version = H5Z_CLASS_T_VERS,
                                        .id = EXA_ZSTD_FILTER_ID,
                                        .encoder_present = 1,
                                        .decoder_present = 1,
                                        .name = "zstd",
                                        .filter = filter_chunk};
    EXA_CHECK(H5Zregister(&filter) >= 0, EXA_ERR_INTERNAL, "HDF5 does not accept the zstd filter");
    return EXA_OK;
}

void exa_zstd_filter_expect(size_t bytes) {
    expected_bytes = bytes;
}
