#include "gzip_internal.h"

#include "exaconn/box.h"

#include <limits.h>
#include <stdlib.h>
#include <zlib.h>

enum { GZIP_WINDOW = 15 + 16 }; /* zlib's way to ask for a gzip header */

exa_status exa_gzip_pack(const void *data, size_t size, int level, unsigned char **out, size_t *out_size) {
    z_stream z = {0};
    size_t room;
    exa_status st = EXA_OK;

    EXA_CHECK(size < UINT_MAX / 2, EXA_ERR_RANGE, "a block of %zu bytes is too large to compress", size);
    EXA_CHECK(deflateInit2(&z, level, Z_DEFLATED, GZIP_WINDOW, 8, Z_DEFAULT_STRATEGY) == Z_OK, EXA_ERR_MEMORY,
              "cannot allocate a gzip compressor");
    room = deflateBound(&z, (uLong)size);
    EXA_GOTO(done, exa_alloc(room, 1, "a compressed block", out));
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)size;
    z.next_out = *out;
    z.avail_out = (uInt)room;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
        free(*out);
        *out = NULL;
        st = EXA_FAIL(EXA_ERR_INTERNAL, "cannot compress a block of %zu bytes", size);
    }
    *out_size = room - z.avail_out;
done:
    deflateEnd(&z);
    return st;
}

static exa_status inflate_all(z_stream *z, size_t most, unsigned char **out, size_t *out_size) {
    size_t capacity = 0, used = 0, want = most < 65536 ? most : 65536;
    int rc;

    do {
        EXA_CHECK(used < most || most == 0, EXA_ERR_CORRUPT, "more than %zu bytes in a gzip block", most);
        want = used * 2 > want ? used * 2 : want;
        want = want > most ? most : want;
        EXA_TRY(exa_grow(out, &capacity, 1, want + 1, "an expanded block"));
        z->next_out = *out + used;
        z->avail_out = (uInt)(want + 1 - used); /* one more than allowed shows that there is more */
        rc = inflate(z, Z_NO_FLUSH);
        used = (size_t)(z->next_out - *out);
        EXA_CHECK(rc == Z_OK || rc == Z_STREAM_END, EXA_ERR_CORRUPT, "a gzip block is damaged (%s)",
                  z->msg ? z->msg : "it ends too early");
        EXA_CHECK(used <= most, EXA_ERR_CORRUPT, "more than %zu bytes in a gzip block", most);
        EXA_CHECK(rc == Z_STREAM_END || z->avail_out == 0, EXA_ERR_CORRUPT, "a gzip block ends too early");
    } while (rc != Z_STREAM_END);
    EXA_CHECK(z->avail_in == 0, EXA_ERR_CORRUPT, "%u bytes follow a gzip block", z->avail_in);
    *out_size = used;
    return EXA_OK;
}

exa_status exa_gzip_unpack(const void *data, size_t size, size_t most, unsigned char **out, size_t *out_size) {
    z_stream z = {0};
    exa_status st;

    *out = NULL;
    EXA_CHECK(size < UINT_MAX && most < UINT_MAX, EXA_ERR_RANGE, "a block of %zu bytes is too large to expand",
              size);
    EXA_CHECK(inflateInit2(&z, GZIP_WINDOW) == Z_OK, EXA_ERR_MEMORY, "cannot allocate a gzip expander");
    z.next_in = (Bytef *)data;
    z.avail_in = (uInt)size;
    st = inflate_all(&z, most, out, out_size);
    inflateEnd(&z);
    if (st != EXA_OK) {
        free(*out);
        *out = NULL;
    }
    return st;
}
