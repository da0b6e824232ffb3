/* Creation, locking and recognition of run directories; comparison of jobs. */
#include "exaconn/run_directory.h"

#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum { MAX_JOB_BYTES = 64 << 20 };

struct exa_run_directory {
    char path[EXA_PATH_BYTES];
    int lock; /* file descriptor */
};

/* Keys that steer how the work is done, never what comes out. */
static bool is_free_key(const char *path) {
    static const char *const keys[] = {"compute.threads", "compute.bind", "compute.memory_limit_gib", "progress",
                                       "log_level", "output", "$schema"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        size_t n = strlen(keys[i]);
        if (strncmp(path, keys[i], n) == 0 && (path[n] == 0 || path[n] == '.')) return true;
    }
    return false;
}

static void add_difference(char *text, size_t size, const char *path, const cJSON *there, const cJSON *now) {
    char *a = there ? cJSON_PrintUnformatted(there) : NULL, *b = now ? cJSON_PrintUnformatted(now) : NULL;
    size_t used = strlen(text);

    if (used < size) {
        snprintf(text + used, size - used, "%s%s was %.80s and is now %.80s", used ? "; " : "", path,
                 a ? a : "absent", b ? b : "absent");
    }
    cJSON_free(a);
    cJSON_free(b);
}

/* Appends to `text` every key below `path` in which the two jobs differ. */
static void compare_jobs(const cJSON *there, const cJSON *now, const char *path, char *text, size_t size) {
    const cJSON *item;
    char below[256];

    if (is_free_key(path) || cJSON_Compare(there, now, true)) return;
    if (!cJSON_IsObject(there) || !cJSON_IsObject(now)) {
        add_difference(text, size, path, there, now);
        return;
    }
    cJSON_ArrayForEach(item, there) {
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", item->string);
        compare_jobs(item, cJSON_GetObjectItemCaseSensitive(now, item->string), below, text, size);
    }
    cJSON_ArrayForEach(item, now) {
        if (cJSON_GetObjectItemCaseSensitive(there, item->string)) continue;
        snprintf(below, sizeof below, "%s%s%s", path, *path ? "." : "", item->string);
        compare_jobs(NULL, item, below, text, size);
    }
}

static exa_status check_same_job(const char *directory, const char *job_path, const char *job_json) {
    char *text = NULL, differences[1024] = "";
    size_t size;
    cJSON *there = NULL, *now = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_file_read_all(job_path, MAX_JOB_BYTES, &text, &size));
    there = cJSON_Parse(text);
    now = cJSON_Parse(job_json);
    EXA_CHECK_GOTO(done, there && now, EXA_ERR_FORMAT,
                   "'%s' is not valid JSON. Hint: the run directory is damaged; use another output folder", job_path);
    compare_jobs(there, now, "", differences, sizeof differences);
    EXA_CHECK_GOTO(done, !*differences, EXA_ERR_CONFIG,
                   "'%s' holds a run of another job: %s. Hint: give this job another output folder, or remove that one",
                   directory, differences);
done:
    cJSON_Delete(there);
    cJSON_Delete(now);
    free(text);
    return st;
}

static exa_status check_empty(const char *path) {
    DIR *d = opendir(path);
    struct dirent *entry;
    exa_status st = EXA_OK;

    EXA_CHECK(d, EXA_ERR_IO, "cannot read the folder '%s': %s", path, strerror(errno));
    while ((entry = readdir(d)) != NULL) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, "lock")) continue;
        st = EXA_FAIL(EXA_ERR_CONFIG, "'%s' exists and is not a run directory (it holds '%s'). Hint: name a new "
                      "folder in \"output\"", path, entry->d_name);
        break;
    }
    closedir(d);
    return st;
}

static exa_status take_lock(exa_run_directory *d) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, d->path, "lock"));
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    EXA_CHECK(d->lock >= 0, EXA_ERR_IO, "cannot write in the run directory '%s': %s. Hint: check its permissions, "
              "or name another folder in \"output\"", d->path, strerror(errno));
    EXA_CHECK(flock(d->lock, LOCK_EX | LOCK_NB) == 0, EXA_ERR_CONFIG,
              "another exaconn is working in '%s'. Hint: exaconn status '%s' shows how far it is", d->path, d->path);
    return EXA_OK;
}

static exa_status find_state(const exa_run_directory *d, const char *job_json, exa_run_state *state) {
    char job[EXA_PATH_BYTES], summary[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(job, d->path, "job.json"));
    EXA_TRY(exa_path_join(summary, d->path, "summary.json"));
    if (!exa_file_exists(job)) {
        EXA_TRY(check_empty(d->path));
        *state = EXA_RUN_NEW;
        return exa_run_directory_write(d, "job.json", job_json);
    }
    EXA_TRY(check_same_job(d->path, job, job_json));
    *state = exa_file_exists(summary) ? EXA_RUN_COMPLETE : EXA_RUN_INTERRUPTED;
    return EXA_OK;
}

exa_status exa_run_directory_open(const char *path, const char *job_json, exa_run_directory **out,
                                  exa_run_state *state) {
    exa_run_directory *d = calloc(1, sizeof *d);
    exa_status st;

    EXA_CHECK(d, EXA_ERR_MEMORY, "cannot allocate a run directory");
    d->lock = -1;
    snprintf(d->path, sizeof d->path, "%s", path);
    st = exa_file_make_directories(path);
    /* A foreign folder is refused before anything is put into it. */
    if (st == EXA_OK && !exa_run_directory_recognise(path, NULL)) st = check_empty(path);
    if (st == EXA_OK) st = take_lock(d);
    if (st == EXA_OK) st = find_state(d, job_json, state);
    if (st != EXA_OK) {
        exa_run_directory_close(&d);
        return st;
    }
    *out = d;
    return EXA_OK;
}

void exa_run_directory_close(exa_run_directory **directory) {
    if (!*directory) return;
    if ((*directory)->lock >= 0) close((*directory)->lock);
    free(*directory);
    *directory = NULL;
}

exa_status exa_run_directory_path(const exa_run_directory *d, const char *name, char out[EXA_PATH_BYTES]) {
    return exa_path_join(out, d->path, name);
}

exa_status exa_run_directory_write(const exa_run_directory *d, const char *name, const char *text) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, d->path, name));
    return exa_file_write_atomic(path, text, strlen(text));
}

bool exa_run_directory_recognise(const char *path, bool *running) {
    char file[EXA_PATH_BYTES];
    int lock;

    if (running) *running = false;
    if (exa_path_join(file, path, "job.json") != EXA_OK || !exa_file_exists(file)) return false;
    if (!running || exa_path_join(file, path, "lock") != EXA_OK) return true;
    lock = open(file, O_RDONLY | O_CLOEXEC);
    if (lock >= 0) {
        *running = flock(lock, LOCK_SH | LOCK_NB) != 0;
        close(lock);
    }
    return true;
}
