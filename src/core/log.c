/* One lock, two sinks (stderr and an optional file), one line per message. */
#include "exaconn/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static exa_log_level stderr_level = EXA_LOG_INFO;
static FILE *log_file;
static exa_log_hook *hook_function;
static void *hook_context;

static const char *const level_names[] = {"error", "warning", "info", "debug", "trace"};

static void format_time(char out[32]) {
    struct timespec now;
    struct tm local;
    size_t used;

    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &local);
    used = strftime(out, 32, "%Y-%m-%d %H:%M:%S", &local);
    snprintf(out + used, 32 - used, ".%03ld", now.tv_nsec / 1000000);
}

void exa_log_set_level(exa_log_level level) {
    stderr_level = level;
}

void exa_log_set_hook(exa_log_hook *hook, void *context) {
    pthread_mutex_lock(&lock);
    hook_function = hook;
    hook_context = context;
    pthread_mutex_unlock(&lock);
}

exa_status exa_log_open_file(const char *path) {
    char when[32];
    FILE *f = fopen(path, "a");

    EXA_CHECK(f, EXA_ERR_IO, "cannot write the log '%s': %s", path, strerror(errno));
    format_time(when);
    fprintf(f, "---- exaconn log, %s, process %ld\n", when, (long)getpid());
    pthread_mutex_lock(&lock);
    if (log_file) fclose(log_file);
    log_file = f;
    pthread_mutex_unlock(&lock);
    return EXA_OK;
}

void exa_log_close_file(void) {
    pthread_mutex_lock(&lock);
    if (log_file) fclose(log_file);
    log_file = NULL;
    pthread_mutex_unlock(&lock);
}

static void write_stderr(exa_log_level level, const char *when, const char *text) {
    if (hook_function) hook_function(true, hook_context);
    if (level == EXA_LOG_INFO) {
        fprintf(stderr, "[%.8s] %s\n", when + 11, text);
    } else {
        fprintf(stderr, "[%.8s] %s: %s\n", when + 11, level_names[level], text);
    }
    if (hook_function) hook_function(false, hook_context);
}

void exa_log_write(exa_log_level level, const char *format, ...) {
    char text[EXA_ERROR_MESSAGE_BYTES + 256], when[32];
    va_list args;

    if (level > stderr_level && (level > EXA_LOG_DEBUG || !log_file)) return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    format_time(when);
    pthread_mutex_lock(&lock);
    if (level <= stderr_level) write_stderr(level, when, text);
    if (log_file && level <= EXA_LOG_DEBUG) {
        fprintf(log_file, "%s %s %s\n", when, level_names[level], text);
        fflush(log_file);
    }
    pthread_mutex_unlock(&lock);
}
