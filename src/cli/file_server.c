#include "file_server_internal.h"

#ifndef EXA_HAVE_MICROHTTPD

exa_status exa_file_server_start(const char *folder, const char *origin, int port, exa_file_server **out) {
    (void)folder, (void)origin, (void)port, (void)out;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED,
                    "this exaconn was built without libmicrohttpd, which serves files. Hint: install it "
                    "(libmicrohttpd-dev) and build again, or serve the folder by another server that has CORS and "
                    "byte ranges");
}

int exa_file_server_port(const exa_file_server *server) {
    (void)server;
    return 0;
}

void exa_file_server_stop(exa_file_server **server) {
    *server = 0;
}

#else

#include "exaconn/box.h"
#include "exaconn/file.h"
#include "exaconn/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { THREADS = 4, IDLE_S = 60 };

struct exa_file_server {
    struct MHD_Daemon *daemon;
    char root[PATH_MAX]; /* resolved */
    char origin[512];
};

typedef struct byte_range {
    uint64_t first, count;
} byte_range;

/* ---- answers ------------------------------------------------------------------------------------------------- */

/* Takes the response over. */
static enum MHD_Result answer(const exa_file_server *s, struct MHD_Connection *c, unsigned code,
                              struct MHD_Response *response) {
    enum MHD_Result rc;

    if (!response) return MHD_NO;
    MHD_add_response_header(response, "Access-Control-Allow-Origin", s->origin);
    MHD_add_response_header(response, "Vary", "Origin");
    MHD_add_response_header(response, "Access-Control-Expose-Headers",
                            "Accept-Ranges, Content-Length, Content-Range");
    MHD_add_response_header(response, "Cache-Control", "no-cache"); /* the next run may lie at the same address */
    MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    rc = MHD_queue_response(c, code, response);
    MHD_destroy_response(response);
    return rc;
}

static struct MHD_Response *text_response(const char *text) {
    struct MHD_Response *r = MHD_create_response_from_buffer(strlen(text), (void *)text, MHD_RESPMEM_PERSISTENT);
    if (r) MHD_add_response_header(r, "Content-Type", "text/plain");
    return r;
}

static enum MHD_Result refuse(const exa_file_server *s, struct MHD_Connection *c, unsigned code, const char *why) {
    return answer(s, c, code, text_response(why));
}

/* The browser asks first whether a page from elsewhere may come here with a Range. */
static enum MHD_Result allow(const exa_file_server *s, struct MHD_Connection *c) {
    struct MHD_Response *r = text_response("");

    if (!r) return MHD_NO;
    MHD_add_response_header(r, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS");
    MHD_add_response_header(r, "Access-Control-Allow-Headers", "Range");
    MHD_add_response_header(r, "Access-Control-Allow-Private-Network", "true");
    MHD_add_response_header(r, "Access-Control-Max-Age", "3600");
    return answer(s, c, MHD_HTTP_NO_CONTENT, r);
}

/* ---- requests ------------------------------------------------------------------------------------------------ */

/* A page elsewhere could give its own name this machine's address and then read as if it were from here. */
static bool host_is_local(struct MHD_Connection *c) {
    static const char *const names[] = {"127.0.0.1", "localhost"};
    const char *host = MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Host");

    for (size_t i = 0; host && i < sizeof names / sizeof *names; i++) {
        size_t n = strlen(names[i]);
        if (strncmp(host, names[i], n) == 0 && (host[n] == '\0' || host[n] == ':')) return true;
    }
    return false;
}

/* A regular file below the root, whatever dots and links say; -1 if there is none. */
static int open_below(const exa_file_server *s, const char *url, struct stat *info) {
    char path[EXA_PATH_BYTES], resolved[PATH_MAX];
    size_t n = strlen(s->root);
    int fd;

    if (exa_path_join(path, s->root, url) != EXA_OK || !realpath(path, resolved)) return -1;
    if (strncmp(resolved, s->root, n) != 0 || resolved[n] != '/') return -1;
    fd = open(resolved, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || (fstat(fd, info) == 0 && S_ISREG(info->st_mode))) return fd;
    close(fd);
    return -1;
}

static bool parse_number(const char **p, uint64_t *value) {
    char *end;

    if (**p < '0' || **p > '9') return false;
    errno = 0;
    *value = strtoull(*p, &end, 10);
    *p = end;
    return errno == 0;
}

/* "bytes=A-B", "bytes=A-", "bytes=-N". Returns 200 where there is none, or one that may be ignored (several); 206;
 * or 416. */
static unsigned choose_range(const char *text, uint64_t size, byte_range *r) {
    uint64_t first = 0, last = 0;
    bool has_first, has_last;

    *r = (byte_range){0, size};
    if (!text || strncmp(text, "bytes=", 6) != 0) return MHD_HTTP_OK;
    text += 6;
    has_first = parse_number(&text, &first);
    if (*text++ != '-') return MHD_HTTP_OK;
    has_last = parse_number(&text, &last);
    if (*text || (!has_first && !has_last) || (has_first && has_last && last < first)) return MHD_HTTP_OK;
    if (!has_first) { /* the last N */
        first = last < size ? size - last : 0;
        if (last == 0) first = size;
        last = size - 1;
    } else if (!has_last || last >= size) {
        last = size - 1;
    }
    if (first >= size) return MHD_HTTP_RANGE_NOT_SATISFIABLE;
    *r = (byte_range){first, last - first + 1};
    return MHD_HTTP_PARTIAL_CONTENT;
}

static enum MHD_Result send_file(const exa_file_server *s, struct MHD_Connection *c, const char *url) {
    struct stat info;
    struct MHD_Response *r;
    byte_range range;
    char text[100];
    int fd = open_below(s, url, &info);
    unsigned code;

    if (fd < 0) return refuse(s, c, MHD_HTTP_NOT_FOUND, "no such file\n");
    code = choose_range(MHD_lookup_connection_value(c, MHD_HEADER_KIND, "Range"), (uint64_t)info.st_size, &range);
    if (code == MHD_HTTP_RANGE_NOT_SATISFIABLE) {
        close(fd);
        r = text_response("no such bytes\n");
        snprintf(text, sizeof text, "bytes */%llu", (unsigned long long)info.st_size);
    } else {
        r = MHD_create_response_from_fd_at_offset64(range.count, fd, range.first);
        if (!r) close(fd);
        snprintf(text, sizeof text, "bytes %llu-%llu/%llu", (unsigned long long)range.first,
                 (unsigned long long)(range.first + range.count - 1), (unsigned long long)info.st_size);
        if (r)
            MHD_add_response_header(r, "Content-Type",
                                    strcmp(exa_path_basename(url), "info") == 0 ? "application/json"
                                                                                : "application/octet-stream");
    }
    if (!r) return MHD_NO;
    MHD_add_response_header(r, "Accept-Ranges", "bytes");
    if (code != MHD_HTTP_OK) MHD_add_response_header(r, "Content-Range", text);
    return answer(s, c, code, r);
}

static enum MHD_Result handle(void *context, struct MHD_Connection *c, const char *url, const char *method,
                              const char *version, const char *data, size_t *data_size, void **request) {
    const exa_file_server *s = context;
    static int known;

    (void)version, (void)data;
    if (!*request) { /* the headers; the answer waits for the whole request */
        *request = &known;
        return MHD_YES;
    }
    if (*data_size) {
        *data_size = 0;
        return MHD_YES;
    }
    if (!host_is_local(c)) return refuse(s, c, MHD_HTTP_FORBIDDEN, "only for this machine\n");
    if (strcmp(method, "OPTIONS") == 0) return allow(s, c);
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        return refuse(s, c, MHD_HTTP_METHOD_NOT_ALLOWED, "only GET and HEAD\n");
    return send_file(s, c, url);
}

/* ---- the server ---------------------------------------------------------------------------------------------- */

static void ignore_message(void *context, const char *format, va_list arguments) {
    (void)context, (void)format, (void)arguments;
}

exa_status exa_file_server_start(const char *folder, const char *origin, int port, exa_file_server **out) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    exa_file_server *s = NULL;
    exa_status st = EXA_OK;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXA_TRY(exa_calloc(1, sizeof *s, "a server", &s));
    EXA_CHECK_GOTO(fail, realpath(folder, s->root), EXA_ERR_IO, "cannot resolve '%s': %s", folder, strerror(errno));
    EXA_CHECK_GOTO(fail, strlen(origin) < sizeof s->origin && !strpbrk(origin, "\r\n "), EXA_ERR_CONFIG,
                   "'%.80s' is no address of a web page", origin);
    memcpy(s->origin, origin, strlen(origin) + 1);
    s->daemon =
        MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_ERROR_LOG | MHD_USE_EPOLL, (uint16_t)port, NULL,
                         NULL, handle, s, MHD_OPTION_EXTERNAL_LOGGER, ignore_message, NULL, MHD_OPTION_SOCK_ADDR,
                         &address, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)THREADS, MHD_OPTION_CONNECTION_TIMEOUT,
                         (unsigned)IDLE_S, MHD_OPTION_END);
    EXA_CHECK_GOTO(fail, s->daemon, EXA_ERR_IO, "cannot serve on port %d: %s. Hint: choose another --port", port,
                   strerror(errno));
    *out = s;
    return EXA_OK;
fail:
    free(s);
    return st;
}

int exa_file_server_port(const exa_file_server *s) {
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(s->daemon, MHD_DAEMON_INFO_BIND_PORT);
    return info ? info->port : 0;
}

void exa_file_server_stop(exa_file_server **server) {
    if (!*server) return;
    MHD_stop_daemon((*server)->daemon);
    free(*server);
    *server = NULL;
}

#endif
