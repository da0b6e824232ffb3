/* The folder of a volume being written: taken over or refused, and at the end declared whole. */
#include "precomputed_internal.h"

#include "exaconn/json.h"
#include "exaconn/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static const size_t largest_source_bytes = (size_t)4 << 20;

/* Everything that decides a byte of the volume. */
static exa_status describe(const exa_precomputed *p, char **out) {
    exa_json_text t = {0};
    char *info = NULL;
    const exa_coord *at = p->options.box.start;

    EXA_TRY(exa_precomputed_info_write(&p->info, &info));
    exa_json_text_add(&t, "{\"made_of\": ");
    exa_json_text_add_string(&t, p->options.source);
    exa_json_text_add(&t, ",\n\"from_voxel_zyx\": [%lld, %lld, %lld], \"gzip_level\": %d,\n\"info\": ",
                      (long long)at[0], (long long)at[1], (long long)at[2], p->options.gzip_level);
    exa_json_text_add(&t, "%s}\n", info);
    free(info);
    return exa_json_text_take(&t, out);
}

/* "NAME.tmp-123": what a killed process left of an atomic write. */
static bool is_leftover(const char *name) {
    const char *tail = strstr(name, ".tmp-");
    return tail && tail[5] && tail[5 + strspn(tail + 5, "0123456789")] == 0;
}

static bool is_shard(const char *name) {
    size_t digits = strspn(name, "0123456789abcdef");
    return digits > 0 && strcmp(name + digits, ".shard") == 0;
}

/* Removes leftovers, with `all` also the shards and the folder itself, of one scale. */
static void clean_scale(const char *folder, bool all) {
    DIR *d = opendir(folder);
    struct dirent *entry;
    char path[EXA_PATH_BYTES];

    while (d && (entry = readdir(d)) != NULL)
        if ((is_leftover(entry->d_name) || (all && is_shard(entry->d_name))) &&
            exa_path_join(path, folder, entry->d_name) == EXA_OK)
            unlink(path);
    if (d) closedir(d);
    if (all) rmdir(folder);
}

/* Our own files and nothing else: info first, so that the rest never looks whole; source.json last. */
static exa_status clean(const exa_precomputed *p, bool all) {
    DIR *d;
    struct dirent *entry;
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, p->folder, "info"));
    if (all && unlink(path) != 0 && errno != ENOENT)
        return EXA_FAIL(EXA_ERR_IO, "cannot remove '%s': %s", path, strerror(errno));
    d = opendir(p->folder);
    while (d && (entry = readdir(d)) != NULL) {
        if (exa_path_join(path, p->folder, entry->d_name) != EXA_OK) continue;
        if (is_leftover(entry->d_name)) unlink(path);
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9' && exa_file_is_directory(path))
            clean_scale(path, all);
    }
    if (d) closedir(d);
    EXA_TRY(exa_path_join(path, p->folder, "source.json"));
    if (all && unlink(path) != 0 && errno != ENOENT)
        return EXA_FAIL(EXA_ERR_IO, "cannot remove '%s': %s", path, strerror(errno));
    return EXA_OK;
}

static exa_status check_empty(const char *folder) {
    DIR *d = opendir(folder);
    struct dirent *entry;
    exa_status st = EXA_OK;

    EXA_CHECK(d, EXA_ERR_IO, "cannot read the folder '%s': %s", folder, strerror(errno));
    while (st == EXA_OK && (entry = readdir(d)) != NULL) {
        const char *name = entry->d_name;
        if (!strcmp(name, ".") || !strcmp(name, "..") || is_leftover(name)) continue;
        st = EXA_FAIL(EXA_ERR_CONFIG, "'%s' exists and is not empty (it holds '%s'). Hint: name a new folder",
                      folder, name);
    }
    closedir(d);
    return st;
}

/* Against a second process in the same folder, as far as the file system has locks. */
static exa_status lock(exa_precomputed *p) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, p->folder, "source.json"));
    p->lock = open(path, O_RDONLY | O_CLOEXEC);
    EXA_CHECK(p->lock >= 0, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    EXA_CHECK(flock(p->lock, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK, EXA_ERR_CONFIG,
              "another exaconn is writing to '%s'", p->folder);
    return EXA_OK;
}

static exa_status start(const exa_precomputed *p, const char *text) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_file_make_directories(p->folder));
    EXA_TRY(exa_path_join(path, p->folder, "source.json"));
    EXA_TRY(exa_file_write_atomic(path, text, strlen(text)));
    for (int i = 0; i < p->info.scale_count; i++) {
        EXA_TRY(exa_path_join(path, p->folder, p->info.scales[i].key));
        EXA_TRY(exa_file_make_directories(path));
    }
    return EXA_OK;
}

/* What is there: nothing, ours of the same source, or ours of another. */
static exa_status examine(const exa_precomputed *p, const char *text, bool *ours, bool *same) {
    char path[EXA_PATH_BYTES], *there = NULL;
    size_t size;

    *ours = *same = false;
    if (!exa_file_exists(p->folder)) return EXA_OK;
    EXA_CHECK(exa_file_is_directory(p->folder), EXA_ERR_CONFIG,
              "cannot write to '%s': a file of that name is there", p->folder);
    EXA_TRY(exa_path_join(path, p->folder, "source.json"));
    if (!exa_file_exists(path)) return check_empty(p->folder);
    EXA_TRY(exa_file_read_all(path, largest_source_bytes, &there, &size));
    *ours = strncmp(there, "{\"made_of\": ", 12) == 0;
    *same = strcmp(there, text) == 0;
    free(there);
    return EXA_OK;
}

static exa_status take_over(exa_precomputed *p, const char *text, bool replace, exa_precomputed_state *state) {
    bool ours, same;

    EXA_TRY(examine(p, text, &ours, &same));
    *state = EXA_PRECOMPUTED_NEW;
    if (ours) {
        EXA_TRY(lock(p));
        EXA_CHECK(
            same || replace, EXA_ERR_CONFIG,
            "'%s' holds another volume, or one made of another state of the source (source.json there tells). "
            "Hint: name a new folder, or remove that one",
            p->folder);
        if (same)
            *state = exa_precomputed_recognise(p->folder) ? EXA_PRECOMPUTED_COMPLETE : EXA_PRECOMPUTED_UNFINISHED;
        EXA_TRY(clean(p, !same));
    }
    EXA_CHECK(ours || !exa_precomputed_recognise(p->folder), EXA_ERR_CONFIG,
              "'%s' holds a volume that exaconn did not write. Hint: name a new folder", p->folder);
    if (*state == EXA_PRECOMPUTED_COMPLETE) return EXA_OK;
    if (p->lock >= 0 && !same) { /* of the file that has gone */
        close(p->lock);
        p->lock = -1;
    }
    if (*state == EXA_PRECOMPUTED_UNFINISHED) return EXA_OK;
    EXA_TRY(start(p, text));
    return lock(p);
}

exa_status exa_precomputed_begin(exa_precomputed *p, bool replace, exa_precomputed_state *state) {
    char *text = NULL;
    exa_status st;

    EXA_TRY(describe(p, &text));
    st = take_over(p, text, replace, state);
    free(text);
    return st;
}

exa_status exa_precomputed_finish(exa_precomputed *p) {
    char path[EXA_PATH_BYTES], *text = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_precomputed_info_write(&p->info, &text));
    EXA_GOTO(done, exa_path_join(path, p->folder, "info"));
    st = exa_file_write_atomic(path, text, strlen(text));
done:
    free(text);
    return st;
}

exa_status exa_precomputed_read_summary(const char *folder, exa_precomputed_summary *summary) {
    exa_precomputed_info *info = NULL;

    EXA_TRY(exa_precomputed_info_read(folder, &info));
    summary->kind = info->kind;
    summary->dtype = info->dtype;
    memcpy(summary->box.start, info->scales[0].offset, sizeof summary->box.start);
    memcpy(summary->box.shape, info->scales[0].size, sizeof summary->box.shape);
    memcpy(summary->voxel_size_nm, info->scales[0].voxel_size_nm, sizeof summary->voxel_size_nm);
    memcpy(summary->coarsest, info->scales[info->scale_count - 1].key, sizeof summary->coarsest);
    free(info);
    return EXA_OK;
}
