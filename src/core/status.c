/* The thread-local error record behind exaconn/status.h. */
#include "exaconn/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local exa_error last_error;

exa_status exa_error_set(exa_status status, const char *file, int line, const char *format, ...) {
    /* Formatted aside first: an argument may be the previous message itself. */
    char message[EXA_ERROR_MESSAGE_BYTES];
    va_list args;

    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    last_error.status = status;
    last_error.file = file;
    last_error.line = line;
    memcpy(last_error.message, message, sizeof message);
    return status;
}

exa_status exa_error_context(exa_status status, const char *format, ...) {
    char prefixed[2 * EXA_ERROR_MESSAGE_BYTES + 2];
    va_list args;
    size_t used;

    va_start(args, format);
    vsnprintf(prefixed, EXA_ERROR_MESSAGE_BYTES, format, args);
    va_end(args);
    used = strlen(prefixed);
    snprintf(prefixed + used, sizeof prefixed - used, ": %s", last_error.message);
    prefixed[EXA_ERROR_MESSAGE_BYTES - 1] = 0;
    memcpy(last_error.message, prefixed, sizeof last_error.message);
    last_error.status = status;
    return status;
}

const exa_error *exa_error_last(void) {
    return &last_error;
}

exa_status exa_error_restore(const exa_error *error) {
    last_error = *error;
    return error->status;
}

const char *exa_status_name(exa_status status) {
    switch (status) {
    case EXA_OK: return "ok";
    case EXA_ERR_INTERNAL: return "internal error";
    case EXA_ERR_MEMORY: return "out of memory";
    case EXA_ERR_CANCELLED: return "interrupted";
    case EXA_ERR_CONFIG: return "configuration error";
    case EXA_ERR_RANGE: return "out of range";
    case EXA_ERR_IO: return "i/o error";
    case EXA_ERR_FORMAT: return "format error";
    case EXA_ERR_CORRUPT: return "corrupt data";
    case EXA_ERR_UNSUPPORTED: return "not supported";
    case EXA_ERR_DEVICE: return "device error";
    case EXA_ERR_COMM: return "communication error";
    case EXA_ERR_RANK_LOST: return "a rank was lost";
    case EXA_ERR_CHECKPOINT: return "checkpoint error";
    case EXA_ERR_INCOMPLETE: return "incomplete";
    }
    return "unknown status";
}
