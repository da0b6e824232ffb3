/* One lock around HDF5, and HDF5's error stack reduced to the sentence that matters: the innermost one, where the
 * cause is. */
#include "exaconn/hdf5_library.h"

#include "exaconn/zstd_filter.h"

#include <hdf5.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

/* A file that could not be written to its end (a full disk) cannot be closed either, and HDF5 1.10 crashes over it
 * when it cleans up at the end of the process. Nothing is left to that: whoever opens a file closes it. Must come
 * before anything else is asked of HDF5. */
__attribute__((constructor)) static void no_cleaning_up_at_exit(void) {
    H5dont_atexit();
}

void exa_hdf5_lock(void) {
    pthread_mutex_lock(&library);
}

exa_status exa_hdf5_enter(void) {
    exa_status st;

    pthread_mutex_lock(&library);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    st = H5Zfilter_avail(EXA_ZSTD_FILTER_ID) > 0 ? EXA_OK : exa_zstd_filter_register();
    if (st != EXA_OK) pthread_mutex_unlock(&library);
    return st;
}

void exa_hdf5_leave(void) {
    pthread_mutex_unlock(&library);
}

/* ---- errors -------------------------------------------------------------------------------------------------- */

typedef struct innermost {
    char text[512];
    bool filter; /* a filter of the pipeline failed */
    bool system; /* errno was set */
    bool lock;   /* the file could not be locked */
} innermost;

/* The virtual file drivers write "..., errno = 28, error message = 'No space left on device', ...". */
static bool system_text(const char *description, char *out, size_t size) {
    const char *begin = strstr(description, "error message = '"), *end;
    if (!begin) return false;
    begin += strlen("error message = '");
    end = strchr(begin, '\'');
    if (!end) return false;
    snprintf(out, size, "%.*s", (int)(end - begin), begin);
    return true;
}

static herr_t visit(unsigned n, const H5E_error2_t *error, void *context) {
    innermost *in = context;

    if (error->maj_num == H5E_PLINE) in->filter = true;
    if (strstr(error->desc ? error->desc : "", "lock file")) in->lock = true;
    if (n == 0) {
        const char *text = error->desc && *error->desc ? error->desc : "no reason given";
        in->system = system_text(text, in->text, sizeof in->text);
        if (!in->system) snprintf(in->text, sizeof in->text, "%s", text);
    }
    return 0;
}

exa_status exa_hdf5_error(exa_status otherwise, const char *file, int line, const char *format, ...) {
    innermost in = {.text = "HDF5 gave no reason"};
    char message[EXA_ERROR_MESSAGE_BYTES];
    const char *hint = "";
    va_list args;

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, visit, &in);
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    if (in.lock) hint = ". Hint: on a file system without locks set HDF5_USE_FILE_LOCKING=FALSE";
    if (in.filter) otherwise = EXA_ERR_CORRUPT;
    if (in.system) otherwise = EXA_ERR_IO;
    return exa_error_set(otherwise, file, line, "%.1400s: %s%s", message, in.text, hint);
}
