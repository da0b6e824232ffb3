/* The bytes of a generation; docs/formats.md is their specification. */
#ifndef EXA_GENERATION_INTERNAL_H
#define EXA_GENERATION_INTERNAL_H

#include "exaconn/generation.h"
#include "exaconn/hdf5_library.h"

#include <hdf5.h>

#define EXA_GENERATION_FORMAT "exaconn checkpoint generation"
#define EXA_GENERATION_VERSION 1
#define EXA_GENERATION_ROW_BYTES 144
#define EXA_GENERATION_DONE 1 /* status of a row */

extern const char *const exa_generation_dataset[EXA_CHUNK_PARTS];
extern const size_t exa_generation_element[EXA_CHUNK_PARTS]; /* bytes */

/* Types of an element in the file, of a row; the latter to be closed. */
hid_t exa_generation_element_type(exa_chunk_part part);
hid_t exa_generation_row_type(void);

void exa_generation_pack_row(const exa_generation_row *row, uint64_t run,
                             unsigned char out[EXA_GENERATION_ROW_BYTES]);

/* row->whole tells whether the row proved itself. */
void exa_generation_unpack_row(const unsigned char in[EXA_GENERATION_ROW_BYTES], uint64_t run,
                               exa_generation_row *row);

/* The format's versions: each block of metadata carries a checksum. */
bool exa_generation_set_format(hid_t access);

/* Whether the CRC of `size` bytes is that of the row. */
exa_status exa_generation_check_part(const char *path, const exa_generation_row *row, exa_chunk_part part,
                                     const void *bytes);

#endif
