/* JSON, strictly: cJSON behind a check of the whole text (RFC 8259, UTF-8, no duplicate keys), and a writer.
 *
 * cJSON by itself takes control characters, broken UTF-8, duplicate keys and numbers such as 01; a file that
 * another program would read differently is refused here instead.
 */
#ifndef EXACONN_JSON_H
#define EXACONN_JSON_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_JSON_MAX_DEPTH 32
#define EXA_JSON_PATH_BYTES 256

struct cJSON; /* <cjson/cJSON.h> */

/* `text` needs no terminator; `origin` names it in messages, which are of status `bad` and carry line and column,
 * or the path of a duplicate key. *out is transferred: cJSON_Delete it. */
exa_status exa_json_parse(const char *text, size_t size, const char *origin, exa_status bad, struct cJSON **out);

/* Text that grows. Running out of memory is remembered and reported by exa_json_text_take. Starts zeroed. */
typedef struct exa_json_text {
    char *data; /* owned, terminated */
    size_t size, capacity;
    bool failed;
} exa_json_text;

void exa_json_text_add(exa_json_text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
void exa_json_text_add_string(exa_json_text *text, const char *value); /* quoted and escaped; NULL gives null */
void exa_json_text_add_real(exa_json_text *text, double value); /* shortest that reads back the same; finite */

/* Gives the text away (free() it); the builder is zeroed either way. */
exa_status exa_json_text_take(exa_json_text *text, char **out);

#ifdef __cplusplus
}
#endif
#endif
