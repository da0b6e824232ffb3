/* Messages for people: to stderr and, once opened, to a log file. Thread safe.
 *
 * Facts for programs never travel this way (see --json and exaconn/monitor). A successful run logs no error.
 */
#ifndef EXACONN_LOG_H
#define EXACONN_LOG_H

#include "exaconn/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_log_level {
    EXA_LOG_ERROR,
    EXA_LOG_WARN,
    EXA_LOG_INFO,
    EXA_LOG_DEBUG,
    EXA_LOG_TRACE
} exa_log_level;

/* Messages above this level are dropped on stderr; the file keeps everything up to debug. Default: info. */
void exa_log_set_level(exa_log_level level);

/* Appends to `path` (created with its time and process id in the first line) until exa_log_close_file. */
exa_status exa_log_open_file(const char *path);
void exa_log_close_file(void);

/* Called with true before and false after each line on stderr, under the log's lock, so that a progress bar
 * can step aside; NULL removes it. */
typedef void exa_log_hook(bool before, void *context);
void exa_log_set_hook(exa_log_hook *hook, void *context);

void exa_log_write(exa_log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define EXA_ERROR(...) exa_log_write(EXA_LOG_ERROR, __VA_ARGS__)
#define EXA_WARN(...) exa_log_write(EXA_LOG_WARN, __VA_ARGS__)
#define EXA_INFO(...) exa_log_write(EXA_LOG_INFO, __VA_ARGS__)
#define EXA_DEBUG(...) exa_log_write(EXA_LOG_DEBUG, __VA_ARGS__)

#ifdef __cplusplus
}
#endif
#endif
