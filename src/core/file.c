/* Paths and files: every error names the path and what the system said; new files appear whole or not at all. */
#include "exaconn/file.h"

#include "exaconn/box.h"
#include "exaconn/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* One read(2) or write(2) moves at most this much: larger counts are cut by the kernel anyway. */
#define MAX_TRANSFER ((size_t)1 << 30)

bool exa_file_exists(const char *path) {
    struct stat info;
    return stat(path, &info) == 0;
}

bool exa_file_is_directory(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

bool exa_file_same(const char *a, const char *b) {
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

exa_status exa_path_join(char out[EXA_PATH_BYTES], const char *directory, const char *name) {
    char joined[EXA_PATH_BYTES];
    size_t length = strlen(directory);

    while (*name == '/' && length > 0) name++;
    const char *slash = length == 0 || directory[length - 1] == '/' ? "" : "/";
    int n = snprintf(joined, sizeof joined, "%s%s%s", directory, slash, name);
    EXA_CHECK(n >= 0 && n < (int)sizeof joined, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, directory);
    memcpy(out, joined, (size_t)n + 1);
    return EXA_OK;
}

const char *exa_path_basename(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static exa_status make_directory(const char *path) {
    if (mkdir(path, 0777) == 0) return EXA_OK;
    int error = errno;
    if (error == EEXIST || error == EROFS || error == EACCES) {
        if (exa_file_is_directory(path)) return EXA_OK;
    }
    return EXA_FAIL(EXA_ERR_IO, "cannot make folder '%s': %s", path,
                    error == EEXIST ? "a file of that name is in the way" : strerror(error));
}

exa_status exa_file_make_directories(const char *path) {
    char partial[EXA_PATH_BYTES];
    size_t length = strlen(path);

    EXA_CHECK(length > 0, EXA_ERR_RANGE, "cannot make a folder with an empty name");
    EXA_CHECK(length < sizeof partial, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'", EXA_PATH_BYTES - 1,
              path);
    memcpy(partial, path, length + 1);
    for (size_t i = 1; i < length; i++) {
        if (partial[i] != '/' || partial[i - 1] == '/') continue;
        partial[i] = '\0';
        EXA_TRY(make_directory(partial));
        partial[i] = '/';
    }
    return make_directory(partial);
}

/* Reads to the end of `fd`; `expected` bytes are likely, more than max_bytes are refused. */
static exa_status read_to_end(int fd, const char *path, size_t expected, size_t max_bytes, char **data,
                              size_t *size) {
    char *buffer = NULL;
    size_t used = 0, capacity = expected + 2; /* the terminator, and one byte to see the end */
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc(capacity, 1, path, &buffer));
    for (;;) {
        size_t room = capacity - used - 1;
        ssize_t n = read(fd, buffer + used, room < MAX_TRANSFER ? room : MAX_TRANSFER);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK_GOTO(done, n >= 0, EXA_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
        if (n == 0) break;
        used += (size_t)n;
        EXA_CHECK_GOTO(done, used <= max_bytes, EXA_ERR_RANGE,
                       "'%s' has more than the %zu bytes such a file may have", path, max_bytes);
        if (used + 1 < capacity) continue;
        char *grown = capacity <= SIZE_MAX / 2 ? realloc(buffer, capacity * 2) : NULL;
        EXA_CHECK_GOTO(done, grown, EXA_ERR_MEMORY, "cannot allocate %zu bytes for '%s'", capacity * 2, path);
        buffer = grown;
        capacity *= 2;
    }
    buffer[used] = '\0';
    *data = buffer;
    *size = used;
    return EXA_OK;
done:
    free(buffer);
    return st;
}

exa_status exa_file_read_all(const char *path, size_t max_bytes, char **data, size_t *size) {
    struct stat info;
    exa_status st = EXA_OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    EXA_CHECK(fd >= 0, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    EXA_CHECK_GOTO(done, fstat(fd, &info) == 0, EXA_ERR_IO, "cannot examine '%s': %s", path, strerror(errno));
    EXA_CHECK_GOTO(done, !S_ISDIR(info.st_mode), EXA_ERR_IO, "cannot read '%s': it is a folder", path);
    EXA_CHECK_GOTO(done, (uint64_t)info.st_size <= max_bytes, EXA_ERR_RANGE,
                   "'%s' has %lld bytes, more than the %zu such a file may have", path, (long long)info.st_size,
                   max_bytes);
    EXA_GOTO(done, read_to_end(fd, path, (size_t)info.st_size, max_bytes, data, size));
done:
    close(fd);
    return st;
}

exa_status exa_file_temporary_name(char out[EXA_PATH_BYTES], const char *final_path) {
    char name[EXA_PATH_BYTES];
    int n = snprintf(name, sizeof name, "%s.tmp-%ld", final_path, (long)getpid());

    EXA_CHECK(n >= 0 && n < (int)sizeof name, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, final_path);
    memcpy(out, name, (size_t)n + 1);
    return EXA_OK;
}

/* fsync of a file or folder by name. Some file systems refuse it for folders with EINVAL: nothing to sync there. */
static exa_status sync_path(const char *path, int flags) {
    int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    EXA_CHECK(fd >= 0, EXA_ERR_IO, "cannot open '%s' to sync it: %s", path, strerror(errno));
    int rc = fsync(fd), error = errno;
    close(fd);
    EXA_CHECK(rc == 0 || ((flags & O_DIRECTORY) && error == EINVAL), EXA_ERR_IO, "cannot sync '%s' to disk: %s",
              path, strerror(error));
    return EXA_OK;
}

exa_status exa_file_sync_parent(const char *path) {
    char folder[EXA_PATH_BYTES];
    size_t length = (size_t)(exa_path_basename(path) - path);

    EXA_CHECK(length < sizeof folder, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'", EXA_PATH_BYTES - 1,
              path);
    memcpy(folder, path, length);
    folder[length] = '\0';
    return sync_path(length > 0 ? folder : ".", O_DIRECTORY);
}

exa_status exa_file_commit(const char *temporary, const char *final_path) {
    struct stat there;
    exa_status st = EXA_OK;

    /* A rename would replace /dev/stdout or a pipe as readily as a file. */
    EXA_CHECK_GOTO(fail, stat(final_path, &there) != 0 || S_ISREG(there.st_mode) || S_ISDIR(there.st_mode),
                   EXA_ERR_IO, "cannot write '%s': it is no ordinary file. Hint: name a file", final_path);
    EXA_GOTO(fail, sync_path(temporary, 0));
    EXA_CHECK_GOTO(fail, rename(temporary, final_path) == 0, EXA_ERR_IO, "cannot rename '%s' to '%s': %s",
                   temporary, final_path, strerror(errno));
    return exa_file_sync_parent(final_path);
fail:
    unlink(temporary);
    return st;
}

static exa_status write_whole(const char *path, const char *data, size_t size) {
    exa_status st = EXA_OK;
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    EXA_CHECK(fd >= 0, EXA_ERR_IO, "cannot create '%s': %s", path, strerror(errno));
    while (size > 0) {
        ssize_t n = write(fd, data, size < MAX_TRANSFER ? size : MAX_TRANSFER);
        if (n < 0 && errno == EINTR) continue;
        EXA_CHECK_GOTO(done, n > 0, EXA_ERR_IO, "cannot write '%s': %s", path, strerror(n < 0 ? errno : ENOSPC));
        data += n;
        size -= (size_t)n;
    }
done:
    if (close(fd) != 0 && st == EXA_OK) st = EXA_FAIL(EXA_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    if (st != EXA_OK) unlink(path);
    return st;
}

exa_status exa_file_write_atomic(const char *path, const void *data, size_t size) {
    char temporary[EXA_PATH_BYTES];

    EXA_TRY(exa_file_temporary_name(temporary, path));
    EXA_TRY(write_whole(temporary, data, size));
    return exa_file_commit(temporary, path);
}

/* ---- how much there is --------------------------------------------------------------------------------------- */

static bool ends_in(const char *name, const char *suffix) {
    size_t n = strlen(name), m = strlen(suffix);
    return n >= m && strcmp(name + n - m, suffix) == 0;
}

exa_status exa_file_folder_size(const char *folder, const char *suffix, uint64_t *bytes, uint64_t *files) {
    DIR *d = opendir(folder);
    const struct dirent *entry;

    EXA_CHECK(d, EXA_ERR_IO, "cannot read the folder '%s': %s", folder, strerror(errno));
    *bytes = *files = 0;
    while ((entry = readdir(d))) {
        struct stat info;
        if (!ends_in(entry->d_name, suffix) || fstatat(dirfd(d), entry->d_name, &info, 0) != 0) continue;
        *bytes += (uint64_t)info.st_size;
        ++*files;
    }
    closedir(d);
    return EXA_OK;
}

exa_status exa_file_reserve(const char *path, uint64_t bytes) {
    int fd = open(path, O_WRONLY | O_CLOEXEC), rc, error;
    char text[32];

    EXA_CHECK(fd >= 0, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    rc = fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)bytes);
    error = errno;
    close(fd);
    EXA_CHECK(rc == 0 || (error != ENOSPC && error != EDQUOT && error != EFBIG), EXA_ERR_IO,
              "no room for '%s', which may take %s: %s", path, exa_format_bytes((double)bytes, text),
              strerror(error));
    return EXA_OK;
}

void exa_file_trim(const char *path) {
    struct stat info;

    if (stat(path, &info) != 0 || truncate(path, info.st_size) != 0)
        EXA_DEBUG("cannot trim '%s': %s", path, strerror(errno));
}
