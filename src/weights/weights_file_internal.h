/* The handle shared by reading (weights_file.c) and writing (weights_writer.c), and the file's first 512 bytes.
 *
 *   0 magic "EXAWTS\r\n"   8 uint32 version   12 uint32 header bytes (512)   16 uint64 payload bytes
 *   24 SHA-256 of the payload (32)   56 zeros   508 uint32 CRC-32C of bytes 0..507        all little-endian
 */
#ifndef EXA_WEIGHTS_FILE_INTERNAL_H
#define EXA_WEIGHTS_FILE_INTERNAL_H

#include "exaconn/file.h"
#include "exaconn/weights_file.h"

#include <hdf5.h>

#define EXA_WEIGHTS_MAGIC "EXAWTS\r\n"
#define EXA_WEIGHTS_VERSION 1
#define EXA_WEIGHTS_HEADER 512
#define EXA_WEIGHTS_MAX_FILE ((size_t)4 << 30)

typedef struct exa_weights_item {
    char *name; /* owned */
    size_t elements;
    int64_t shape[EXA_WEIGHTS_MAX_RANK];
    int rank;
} exa_weights_item;

struct exa_weights_file {
    char path[EXA_PATH_BYTES];
    char h5_name[64]; /* what libhdf5 knows it by */
    hid_t h5;         /* in memory (core driver), read-only unless writing */
    bool writing;
    const char *maker;       /* see exa_weights_file_open */
    size_t size;             /* bytes of the file being read */
    exa_weights_item *items; /* owned, in name order (reading only) */
    size_t count, capacity;
};

/* An empty handle for `path` with libhdf5's own error printing off. */
exa_status exa_weights_file_make(const char *path, exa_weights_file **out);

/* Access properties: in memory, nothing left open behind the file. */
exa_status exa_weights_file_access(const exa_weights_file *file, hid_t *fapl);

/* Fails with the innermost text of libhdf5's error stack. */
exa_status exa_weights_file_h5_failed(const exa_weights_file *file, const char *doing, const char *what);

/* Evaluates a libhdf5 call (negative = failed) to an exa_status. */
#define EXA_WEIGHTS_H5(file, call, doing, what)                                                                    \
    ((call) >= 0 ? EXA_OK : exa_weights_file_h5_failed((file), (doing), (what)))

#endif
