/* Reads TensorFlow V2 checkpoints ("tensor bundles": PREFIX.index and PREFIX.data-SSSSS-of-NNNNN) without
 * TensorFlow.
 *
 * The index is a LevelDB-style table of protobuf records; every block of it and every tensor carries a masked
 * CRC-32C, and all of them are checked. Nothing in the files is trusted: memory is bounded by the size of the
 * index, and tensors lie inside their data file or the bundle does not open. docs/formats.md has the layout. A
 * bundle is used by one thread at a time.
 */
#ifndef EXACONN_TENSOR_BUNDLE_H
#define EXACONN_TENSOR_BUNDLE_H

#include "exaconn/hash.h"
#include "exaconn/status.h"

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_TENSOR_MAX_RANK 8

typedef enum exa_tensor_type {
    EXA_TENSOR_OTHER = 0, /* listed, but cannot be read */
    EXA_TENSOR_F32,
    EXA_TENSOR_I32,
    EXA_TENSOR_I64
} exa_tensor_type;

typedef struct exa_tensor_info {
    const char *name; /* borrowed from the bundle */
    uint64_t elements;
    uint64_t bytes;                     /* stored */
    int64_t shape[EXA_TENSOR_MAX_RANK]; /* the first `rank` count */
    int rank;                           /* 0 = scalar */
    exa_tensor_type type;
    int tf_dtype; /* TensorFlow's DataType number */
} exa_tensor_info;

typedef struct exa_tensor_bundle exa_tensor_bundle;

/* `path` is the checkpoint's prefix ("model.ckpt-1000"), with or without ".index". Reads the whole index and checks
 * that the data files it names are there and long enough. EXA_ERR_IO: absent; EXA_ERR_CORRUPT: a checksum;
 * EXA_ERR_FORMAT: malformed; EXA_ERR_UNSUPPORTED: compressed, big-endian, newer version, partitioned tensors. */
exa_status exa_tensor_bundle_open(const char *path, exa_tensor_bundle **out);
void exa_tensor_bundle_close(exa_tensor_bundle **bundle);

size_t exa_tensor_bundle_count(const exa_tensor_bundle *bundle);

/* Tensor `i` in name order. */
exa_status exa_tensor_bundle_info(const exa_tensor_bundle *bundle, size_t i, exa_tensor_info *info);

/* Refuses tensor `i`, called `name` in messages, if it is not float32 or not of this shape. */
exa_status exa_tensor_bundle_expect(const exa_tensor_bundle *bundle, size_t i, const char *name,
                                    const int64_t *shape, int rank);

/* EXA_ERR_RANGE if there is none of that name. */
exa_status exa_tensor_bundle_find(const exa_tensor_bundle *bundle, const char *name, size_t *i);

/* Reads a whole tensor, C order, after checking its checksum; `elements` must be the tensor's own. read_i64 takes
 * int32 and int64. EXA_ERR_UNSUPPORTED for another type. */
exa_status exa_tensor_bundle_read_f32(exa_tensor_bundle *bundle, const char *name, float *data, size_t elements);
exa_status exa_tensor_bundle_read_i64(exa_tensor_bundle *bundle, const char *name, int64_t *data, size_t elements);

/* Reads every tensor, in bounded memory, and compares its checksum (tensors of strings excepted: theirs is made
 * otherwise). EXA_ERR_CORRUPT: a checksum differs, or a data file has bytes behind its last tensor. */
exa_status exa_tensor_bundle_verify(const exa_tensor_bundle *bundle);

/* The prefix (borrowed), and the SHA-256 of the data file; with several data files, of the text made of each one's
 * digest in hexadecimal and a newline. */
const char *exa_tensor_bundle_prefix(const exa_tensor_bundle *bundle);
exa_status exa_tensor_bundle_sha256(const exa_tensor_bundle *bundle, char hex[EXA_SHA256_HEX_BYTES]);

#ifdef __cplusplus
}
#endif
#endif
