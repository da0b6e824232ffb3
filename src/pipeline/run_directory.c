/* Creation, locking and recognition of run directories. */
#include "exaconn/run_directory.h"

#include "exaconn/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

struct exa_run_directory {
    char path[EXA_PATH_BYTES];
    int lock; /* file descriptor */
};

static exa_status check_same_job(const char *directory, const char *job_path, const exa_job *job) {
    exa_job there = {0};
    char *differences = NULL;
    exa_status st = EXA_OK;

    st = exa_job_read(job_path, &there);
    if (st != EXA_OK) {
        return exa_error_context(st, "the run directory '%s' cannot be continued (use another output folder)",
                                 directory);
    }
    EXA_GOTO(done, exa_job_differences(&there, job, true, &differences));
    EXA_CHECK_GOTO(
        done, !*differences, EXA_ERR_CONFIG,
        "'%s' holds the result of another job:\n%sHint: give this job another \"output\"%s", directory, differences,
        strstr(differences, "stitching.") ? ", or use `exaconn stitch` if only \"stitching\" shall be other: it "
                                            "segments nothing again"
                                          : ", or remove that folder");
done:
    exa_job_destroy(&there);
    free(differences);
    return st;
}

/* "NAME.tmp-123", or "NAME.tmp-123-4" of rank 4: what a killed process left of an atomic write. */
static bool is_leftover(const char *name) {
    const char *tail = strstr(name, ".tmp-");
    return tail && tail[5] && tail[5 + strspn(tail + 5, "0123456789-")] == 0;
}

/* Only while the lock is held: nobody else is writing here. */
static void remove_leftovers(const exa_run_directory *d) {
    DIR *folder = opendir(d->path);
    struct dirent *entry;
    char path[EXA_PATH_BYTES];

    while (folder && (entry = readdir(folder)) != NULL) {
        if (is_leftover(entry->d_name) && exa_path_join(path, d->path, entry->d_name) == EXA_OK) unlink(path);
    }
    if (folder) closedir(folder);
}

static exa_status check_empty(const char *path) {
    DIR *d = opendir(path);
    struct dirent *entry;
    exa_status st = EXA_OK;

    EXA_CHECK(d, EXA_ERR_IO, "cannot read the folder '%s': %s", path, strerror(errno));
    while ((entry = readdir(d)) != NULL) {
        if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..") || !strcmp(entry->d_name, "lock") ||
            is_leftover(entry->d_name)) {
            continue;
        }
        st = EXA_FAIL(EXA_ERR_CONFIG,
                      "'%s' exists and is not a run directory (it holds '%s'). Hint: name a new "
                      "folder in \"output\"",
                      path, entry->d_name);
        break;
    }
    closedir(d);
    return st;
}

static exa_status take_lock(exa_run_directory *d) {
    char path[EXA_PATH_BYTES];
    int locked = -1;

    EXA_TRY(exa_path_join(path, d->path, "lock"));
    d->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    EXA_CHECK(d->lock >= 0, EXA_ERR_IO,
              "cannot write in the run directory '%s': %s. Hint: check its permissions, "
              "or name another folder in \"output\"",
              d->path, strerror(errno));
    /* `exaconn status` holds it for an instant: try for a moment. */
    for (int i = 0; i < 20 && (locked = flock(d->lock, LOCK_EX | LOCK_NB)) != 0; i++) usleep(10000);
    /* Without lock support (some Lustre mounts) there is no protection against a second run, but a run is possible.
     */
    if (locked != 0 && errno != EWOULDBLOCK) {
        EXA_WARN("cannot lock '%s' (%s): take care that no second run works there", d->path, strerror(errno));
        return EXA_OK;
    }
    EXA_CHECK(locked == 0, EXA_ERR_CONFIG,
              "another exaconn is working in '%s'. Hint: exaconn status '%s' shows how far it is", d->path,
              d->path);
    return EXA_OK;
}

static exa_status write_job(const exa_run_directory *d, const exa_job *job) {
    char *text;
    exa_status st;

    EXA_TRY(exa_job_write_json(job, &text));
    st = exa_run_directory_write(d, "job.json", text);
    free(text);
    return st;
}

static bool holds(const exa_run_directory *d, const char *name) {
    char path[EXA_PATH_BYTES];
    return exa_path_join(path, d->path, name) == EXA_OK && exa_file_exists(path);
}

/* A folder without results belongs to whatever job comes next: a corrected job need not
 * look for a new one. */
static exa_status find_state(const exa_run_directory *d, const exa_job *job, exa_run_state *state) {
    char job_path[EXA_PATH_BYTES];
    bool begun = holds(d, "job.json"), segmented = holds(d, "segmentation.h5");

    EXA_TRY(exa_path_join(job_path, d->path, "job.json"));
    if (!begun) EXA_TRY(check_empty(d->path));
    if (segmented) EXA_TRY(check_same_job(d->path, job_path, job));
    remove_leftovers(d);
    *state = !begun ? EXA_RUN_NEW : segmented && holds(d, "summary.json") ? EXA_RUN_COMPLETE : EXA_RUN_INTERRUPTED;
    return *state == EXA_RUN_COMPLETE ? EXA_OK : write_job(d, job);
}

exa_status exa_run_directory_open(const exa_job *job, exa_run_directory **out, exa_run_state *state) {
    const char *path = job->output;
    exa_run_directory *d = calloc(1, sizeof *d);
    exa_status st;

    EXA_CHECK(d, EXA_ERR_MEMORY, "cannot allocate a run directory");
    d->lock = -1;
    snprintf(d->path, sizeof d->path, "%s", path);
    st = exa_file_make_directories(path);
    /* A foreign folder is refused before anything is put into it. */
    if (st == EXA_OK && !exa_run_directory_recognise(path, NULL)) st = check_empty(path);
    if (st == EXA_OK) st = take_lock(d);
    if (st == EXA_OK) st = find_state(d, job, state);
    if (st != EXA_OK) {
        exa_run_directory_close(&d);
        return st;
    }
    *out = d;
    return EXA_OK;
}

exa_status exa_run_directory_join(const exa_job *job, exa_run_directory **out) {
    exa_run_directory *d = calloc(1, sizeof *d);

    EXA_CHECK(d, EXA_ERR_MEMORY, "cannot allocate a run directory");
    d->lock = -1;
    snprintf(d->path, sizeof d->path, "%s", job->output);
    if (!holds(d, "job.json")) {
        exa_run_directory_close(&d);
        return EXA_FAIL(
            EXA_ERR_IO,
            "the run directory '%s' that rank 0 made is not seen by a rank on another machine. Hint: put "
            "\"output\" on a file system that all machines share",
            job->output);
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
        *running = flock(lock, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
        close(lock);
    }
    return true;
}
