/* Named float32 tensors and attributes of a network in one HDF5 file that proves itself whole.
 *
 * The first 512 bytes (an HDF5 user block) hold the length and SHA-256 of all that follows and a CRC-32C of
 * themselves, so truncation or any flipped bit is found before libhdf5 parses a byte; h5py opens the file as usual.
 * docs/formats.md has the exact bytes. Only what the format needs is accepted: hard links, plain contiguous float32
 * datasets, simple attributes. A file is used by one thread at a time. Not collective; no HDF5 file locks are
 * taken.
 */
#ifndef EXACONN_WEIGHTS_FILE_H
#define EXACONN_WEIGHTS_FILE_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_WEIGHTS_MAX_RANK 8
#define EXA_WEIGHTS_MAX_TEXT 65536   /* bytes of a text attribute, terminator included */
#define EXA_WEIGHTS_MAX_NUMBERS 1024 /* of a number-list attribute */

typedef struct exa_weights_file exa_weights_file;

typedef struct exa_weights_tensor {
    const char *name; /* "seed_update/conv0_a/weights"; borrowed from the file */
    size_t elements;
    int64_t shape[EXA_WEIGHTS_MAX_RANK]; /* the first `rank` count */
    int rank;
} exa_weights_tensor;

/* ---- reading ------------------------------------------------------------------------------------ */

/* Reads and verifies the whole file into memory. EXA_ERR_CORRUPT: cut short or altered; EXA_ERR_FORMAT: not such a
 * file, or with contents the format does not have; EXA_ERR_UNSUPPORTED: a later version. `maker` is for hints: the
 * command that makes what is wanted, "import-ffn", "import-segclr" or "train_segclr_classifier" (static), or NULL
 * if it may be any. */
exa_status exa_weights_file_open(const char *path, const char *maker, exa_weights_file **out);

/* The same from a file already in memory (copied; e.g. broadcast by rank 0); `path` is only for messages. */
exa_status exa_weights_file_open_image(const void *data, size_t size, const char *path, const char *maker,
                                       exa_weights_file **out);

/* Refuses a file of another kind ("ffn-convstack3d") or of a kind version beyond `max_version`. */
exa_status exa_weights_file_expect(exa_weights_file *file, const char *kind, int64_t max_version);

size_t exa_weights_file_count(const exa_weights_file *file);
exa_status exa_weights_file_tensor(const exa_weights_file *file, size_t i,
                                   exa_weights_tensor *tensor); /* name order */

/* False if there is none of that name. */
bool exa_weights_file_find(const exa_weights_file *file, const char *name, exa_weights_tensor *tensor);

/* EXA_ERR_FORMAT, naming both shapes, if it is missing or of another shape. */
exa_status exa_weights_file_expect_tensor(const exa_weights_file *file, const char *name, const int64_t *shape,
                                          int rank);

/* `elements` must be the tensor's own. NaN and infinity are refused. */
exa_status exa_weights_file_read(exa_weights_file *file, const char *name, float *data, size_t elements);

bool exa_weights_file_has_attribute(exa_weights_file *file, const char *name);

/* `count` values: a scalar counts as one. Integers from integer attributes only; reals from either, finite. */
exa_status exa_weights_file_get_text(exa_weights_file *file, const char *name, char *text, size_t bytes);
exa_status exa_weights_file_find_text(exa_weights_file *file, const char *name, char *text,
                                      size_t bytes); /* "" where there is none */
exa_status exa_weights_file_get_reals(exa_weights_file *file, const char *name, double *values, int count);
exa_status exa_weights_file_get_integers(exa_weights_file *file, const char *name, int64_t *values, int count);

/* ---- writing ------------------------------------------------------------------------------------ */

/* Begins a file under a temporary name; commit makes it appear as `path`, whole. Closing without commit removes it.
 * The same contents written in the same order give the same bytes. */
exa_status exa_weights_file_create(const char *path, const char *kind, int64_t version, exa_weights_file **out);
exa_status exa_weights_file_put(exa_weights_file *file, const char *name, int rank, const int64_t *shape,
                                const float *data);
/* count 1 makes a scalar. */
exa_status exa_weights_file_set_text(exa_weights_file *file, const char *name, const char *text);
exa_status exa_weights_file_set_reals(exa_weights_file *file, const char *name, const double *values, int count);
exa_status exa_weights_file_set_integers(exa_weights_file *file, const char *name, const int64_t *values,
                                         int count);
exa_status exa_weights_file_commit(exa_weights_file *file);

/* Either kind; accepts NULL inside. */
void exa_weights_file_close(exa_weights_file **file);

#ifdef __cplusplus
}
#endif
#endif
