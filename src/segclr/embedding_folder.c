/* The folder of the CSV files: whether it can be written to, and what an earlier run left in it. */
#include "embedding_internal.h"

#include "exaconn/file.h"
#include "exaconn/log.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LINE_BYTES = 1 << 16, LEAST_COLUMNS = 5 }; /* node, x, y, z, one float */

static exa_status is_empty(const char *folder, bool *empty) {
    DIR *d = opendir(folder);
    const struct dirent *entry;

    EXA_CHECK(d, EXA_ERR_IO, "cannot list '%s': %s", folder, strerror(errno));
    *empty = true;
    while (*empty && (entry = readdir(d)))
        *empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    closedir(d);
    return EXA_OK;
}

/* A file in it, made and removed: permissions alone do not tell (root, read-only and remote file systems). */
static exa_status try_file(const char *folder) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, folder, ".exaconn-embed-try"));
    EXA_TRY(exa_file_write_atomic(path, "", 0));
    remove(path);
    return EXA_OK;
}

exa_status exa_embedding_try_csv(const char *folder, bool replace) {
    char path[EXA_PATH_BYTES];
    size_t there = strlen(folder), length = there;
    bool empty = true;
    exa_status st;

    EXA_CHECK(there > 0 && there < sizeof path, EXA_ERR_CONFIG, "--csv '%.80s' cannot be a folder's name", folder);
    memcpy(path, folder, there + 1);
    if (exa_file_is_directory(folder)) EXA_TRY(is_empty(folder, &empty));
    EXA_CHECK(
        empty || replace, EXA_ERR_CONFIG,
        "the folder '%s' is not empty. Hint: choose another one, or replace the CSV files of an earlier run in "
        "it with --force",
        folder);
    while (there > 0 && !exa_file_exists(path)) { /* up to what is there already */
        while (there > 0 && path[there - 1] == '/') there--;
        while (there > 0 && path[there - 1] != '/') there--;
        path[there] = '\0';
    }
    memcpy(path, folder, length + 1);
    st = exa_file_make_directories(folder);
    if (st == EXA_OK) st = try_file(folder);
    while (length > there) { /* what was made goes again */
        path[length] = '\0';
        rmdir(path);
        while (length > there && path[length - 1] == '/') length--;
        while (length > there && path[length - 1] != '/') length--;
    }
    return st;
}

/* "ID.csv" as we write ids. */
static bool is_our_name(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return digits > 0 && digits <= 20 && name[0] != '0' && strcmp(name + digits, ".csv") == 0;
}

/* Node 0 and numbers behind it, in one line: the files have no header. */
static bool is_our_line(const char *line) {
    const char *p = line;
    int columns = 0;
    char *end;

    if (strncmp(line, "0,", 2) != 0) return false;
    for (;; p = end + 1) {
        if (!isdigit((unsigned char)*p) && *p != '-' && *p != '.') return false;
        (void)strtod(p, &end);
        if (end == p) return false;
        columns++;
        if (*end != ',') break;
    }
    return *end == '\n' && columns >= LEAST_COLUMNS;
}

static bool is_ours(int folder, const char *name, char *line) {
    struct stat info;
    bool ours = false;
    FILE *f;
    int fd;

    if (!is_our_name(name) || fstatat(folder, name, &info, AT_SYMLINK_NOFOLLOW) != 0 || !S_ISREG(info.st_mode))
        return false;
    fd = openat(folder, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    f = fd >= 0 ? fdopen(fd, "r") : NULL;
    if (f)
        ours = fgets(line, LINE_BYTES, f) && is_our_line(line);
    else if (fd >= 0)
        close(fd);
    if (f) fclose(f);
    return ours;
}

exa_status exa_embedding_remove_csv(const char *folder) {
    char *line = NULL;
    uint64_t removed = 0;
    exa_status st = EXA_OK;
    DIR *d = opendir(folder);

    EXA_CHECK(d, EXA_ERR_IO, "cannot list '%s': %s", folder, strerror(errno));
    EXA_GOTO(done, exa_alloc(LINE_BYTES, 1, "a line", &line));
    for (const struct dirent *e = readdir(d); e; e = readdir(d)) {
        if (!is_ours(dirfd(d), e->d_name, line)) continue;
        EXA_CHECK_GOTO(done, unlinkat(dirfd(d), e->d_name, 0) == 0, EXA_ERR_IO, "cannot remove '%s/%s': %s", folder,
                       e->d_name, strerror(errno));
        removed++;
    }
    if (removed) EXA_INFO("removed %llu CSV files of an earlier run", (unsigned long long)removed);
done:
    free(line);
    closedir(d);
    return st;
}
