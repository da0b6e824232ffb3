/* A small reader of protocol buffers' text form: enough for google/ffn's requests, and strict about the rest.
 *
 *   field = NAME ":" value | NAME [":"] "{" field... "}" | NAME [":"] "<" field... ">"
 *   value = number | identifier | strings... | "[" value "," ... "]"      comments run from "#" to the line's end
 */
#ifndef EXA_TEXT_PROTO_INTERNAL_H
#define EXA_TEXT_PROTO_INTERNAL_H

#include "exaconn/status.h"

#include <stddef.h>

/* Called for each value with its dotted name ("inference_options.min_boundary_dist.x"), unquoted; `size` without
 * the terminator. A list calls once per element. */
typedef exa_status exa_text_proto_visit(void *context, const char *name, const char *value, size_t size);

/* `text` is zero-terminated. Errors (EXA_ERR_CONFIG) name `path` and the line. */
exa_status exa_text_proto_parse(const char *text, const char *path, exa_text_proto_visit *visit, void *context);

#endif
