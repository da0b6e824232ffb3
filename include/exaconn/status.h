/* Status codes and the error message of the calling thread.
 *
 * Every function that can fail returns an exa_status; EXA_OK is 0. The first failing call records a message
 * (what failed, on what, why) in thread-local storage; a part after "Hint: " says what to do, and the command
 * line prints it on a line of its own. The library never exits and never prints an error itself.
 */
#ifndef EXACONN_STATUS_H
#define EXACONN_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_status {
    EXA_OK = 0,
    EXA_ERR_INTERNAL = 1, /* a bug of ours */
    EXA_ERR_MEMORY = 2,
    EXA_ERR_CANCELLED = 3, /* interrupted by a signal */
    EXA_ERR_CONFIG = 10,   /* job file or command line */
    EXA_ERR_RANGE = 11,    /* a value outside what is allowed */
    EXA_ERR_IO = 20,       /* the operating system refused: missing, denied, full */
    EXA_ERR_FORMAT = 30,   /* a file's content is not what it should be */
    EXA_ERR_CORRUPT = 31,  /* a checksum does not match */
    EXA_ERR_UNSUPPORTED = 32,
    EXA_ERR_DEVICE = 40,
    EXA_ERR_COMM = 50,
    EXA_ERR_RANK_LOST = 51, /* a process died or fell silent; what is finished is in the journals */
    EXA_ERR_CHECKPOINT = 60,
    EXA_ERR_INCOMPLETE = 61 /* finished, but parts failed; they are listed */
} exa_status;

#define EXA_ERROR_MESSAGE_BYTES 2048

typedef struct exa_error {
    exa_status status;
    int line;
    const char *file; /* static storage */
    char message[EXA_ERROR_MESSAGE_BYTES];
} exa_error;

/* Records an error for this thread and returns `status`. Use through EXA_FAIL and the macros below. */
exa_status exa_error_set(exa_status status, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "context: " in front of this thread's message, e.g. the file a lower layer could not name. Returns status.
 */
exa_status exa_error_context(exa_status status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last error of this thread; borrowed, valid until the next failing call of this thread. */
const exa_error *exa_error_last(void);

/* Makes `error` this thread's last error (to carry a worker's error to the thread that reports it). */
exa_status exa_error_restore(const exa_error *error);

/* A short English name of a status ("i/o error"). */
const char *exa_status_name(exa_status status);

/* The status stands at the end of the expression so that the compiler sees that a failure is not EXA_OK. */
#define EXA_FAIL(status, ...) (exa_error_set((status), __FILE__, __LINE__, __VA_ARGS__), (exa_status)(status))

/* Return at once: only while the function owns nothing. */
#define EXA_TRY(call)                                                                                              \
    do {                                                                                                           \
        exa_status exa_try_ = (call);                                                                              \
        if (exa_try_ != EXA_OK) return exa_try_;                                                                   \
    } while (0)
#define EXA_CHECK(condition, status, ...)                                                                          \
    do {                                                                                                           \
        if (!(condition)) return EXA_FAIL((status), __VA_ARGS__);                                                  \
    } while (0)

/* Go to `label` with the local variable `st` set: after the first resource is owned. */
#define EXA_GOTO(label, call)                                                                                      \
    do {                                                                                                           \
        if ((st = (call)) != EXA_OK) goto label;                                                                   \
    } while (0)
#define EXA_CHECK_GOTO(label, condition, status, ...)                                                              \
    do {                                                                                                           \
        if (!(condition)) {                                                                                        \
            st = EXA_FAIL((status), __VA_ARGS__);                                                                  \
            goto label;                                                                                            \
        }                                                                                                          \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
