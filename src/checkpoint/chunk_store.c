/* Journals as a table of chunks. The idea: the details of a chunk are written last and say how many records before
 * them belong to it; a chunk of which any is missing is not there. */
#include "exaconn/chunk_store.h"

#include "exaconn/file.h"
#include "exaconn/journal.h"
#include "exaconn/log.h"
#include "journal_internal.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LABELS = 1, PROBABILITY = 2, DETAILS = 3, PARTS = 3 };
enum { OWN = UINT32_MAX - 1, ABSENT = UINT32_MAX }; /* instead of the number of a journal */

typedef struct entry {
    exa_journal_record part[PARTS]; /* by kind - 1 */
    uint32_t journal;               /* number in `readers`, or OWN, or ABSENT */
    bool has_probability;
} entry;

struct exa_chunk_store {
    char folder[EXA_PATH_BYTES], own_path[EXA_PATH_BYTES];
    exa_chunk_grid grid;
    exa_journal_owner owner;
    exa_chunk_store_report report;
    entry *entries; /* owned; of the chunks */
    uint64_t count;
    char **names;   /* owned; of the journals of earlier starts, sorted */
    uint64_t *used; /* owned; when each was used last */
    uint64_t now;
    exa_journal_reader **readers; /* owned; opened when first needed */
    size_t journal_count;
    exa_journal *own;            /* owned; of this start */
    exa_journal_reader *reading; /* owned; of `own`, opened again when it has grown */
    uint64_t reading_bytes;
};

#define MOST_READERS 48 /* open at once */

/* ---- replay -------------------------------------------------------------------------------------------------- */

static bool is_journal(const char *name) {
    size_t length = strlen(name);
    return length > 8 && strcmp(name + length - 8, ".journal") == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static exa_status list_journals(exa_chunk_store *s) {
    DIR *folder = opendir(s->folder);
    struct dirent *file;
    exa_status st = EXA_OK;

    EXA_CHECK(folder, EXA_ERR_IO, "cannot read the folder '%s': %s", s->folder, strerror(errno));
    while ((file = readdir(folder)) != NULL) {
        char **grown;
        if (!is_journal(file->d_name)) continue;
        grown = realloc(s->names, (s->journal_count + 1) * sizeof *grown);
        if (grown) s->names = grown;
        if (grown) grown[s->journal_count] = strdup(file->d_name);
        EXA_CHECK_GOTO(done, grown && grown[s->journal_count], EXA_ERR_MEMORY, "cannot allocate names of journals");
        s->journal_count++;
    }
    if (s->journal_count) qsort(s->names, s->journal_count, sizeof *s->names, by_name);
done:
    closedir(folder);
    return st;
}

/* The parts of a chunk as they come; complete when the details follow in sequence. */
typedef struct gathered {
    entry parts;
    uint64_t chunk, sequence; /* of the last part */
    uint32_t have;            /* bits by kind */
} gathered;

static bool gather(gathered *g, const exa_journal_record *r) {
    if (r->kind < LABELS || r->kind > DETAILS) return false;
    if (r->kind == LABELS || g->chunk != r->chunk || g->sequence + 1 != r->sequence) g->have = 0;
    g->chunk = r->chunk;
    g->sequence = r->sequence;
    g->have |= 1u << r->kind;
    g->parts.part[r->kind - 1] = *r;
    g->parts.has_probability = g->have >> PROBABILITY & 1;
    return r->kind == DETAILS && g->have >> LABELS & 1;
}

static exa_status label_bytes(const exa_chunk_store *s, exa_chunkid k, uint64_t *voxels) {
    exa_box box = exa_chunk_grid_box(&s->grid, k);
    int64_t n;

    EXA_TRY(exa_box_voxels(&box, &n));
    *voxels = (uint64_t)n;
    return EXA_OK;
}

/* Whether the parts have the sizes that the chunk's box asks for. */
static exa_status fits(const exa_chunk_store *s, const entry *e, exa_chunkid k, bool *fit) {
    uint64_t voxels;

    *fit = false;
    if (k >= s->grid.chunks) return EXA_OK;
    EXA_TRY(label_bytes(s, k, &voxels));
    *fit =
        e->part[LABELS - 1].size == 4 * voxels && (!e->has_probability || e->part[PROBABILITY - 1].size == voxels);
    return EXA_OK;
}

static void take(exa_chunk_store *s, const entry *found, uint32_t journal) {
    entry *e;

    if (!s->entries) return; /* it only writes */
    e = &s->entries[found->part[DETAILS - 1].chunk];
    s->count += e->journal == ABSENT;
    s->report.again += e->journal != ABSENT;
    *e = *found; /* journals come in order of epoch, so the newest wins */
    e->journal = journal;
}

static void report_damage(exa_chunk_store *s, const char *name, const exa_journal_damage *d) {
    s->report.damaged += d->regions > 0 ? d->regions : d->header;
    s->report.cut += d->tail_bytes > 0;
    if (d->regions || d->header)
        EXA_WARN("the journal '%s' is damaged in %llu places (first at byte %llu, %llu bytes); what was there is "
                 "computed again",
                 name, (unsigned long long)(d->regions > 0 ? d->regions : 1), (unsigned long long)d->first_offset,
                 (unsigned long long)d->bytes);
    if (d->tail_bytes)
        EXA_DEBUG("the journal '%s' ends within a record: %llu bytes", name, (unsigned long long)d->tail_bytes);
}

static exa_status replay(exa_chunk_store *s, uint32_t journal) {
    exa_journal_reader *reader = NULL;
    exa_journal_record record;
    gathered g = {0};
    char path[EXA_PATH_BYTES];
    bool end, fit;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(path, s->folder, s->names[journal]));
    EXA_TRY(exa_journal_open(path, s->owner.run_sha256, &reader));
    for (;;) {
        EXA_GOTO(done, exa_journal_next(reader, &record, &end));
        if (end) break;
        s->report.records++;
        if (record.epoch >= s->owner.epoch) s->owner.epoch = record.epoch + 1;
        if (!gather(&g, &record)) continue;
        EXA_GOTO(done, fits(s, &g.parts, record.chunk, &fit));
        if (fit) take(s, &g.parts, journal);
    }
    if (exa_journal_reader_owner(reader)->epoch >= s->owner.epoch)
        s->owner.epoch = exa_journal_reader_owner(reader)->epoch + 1;
    report_damage(s, path, exa_journal_reader_damage(reader));
    s->report.journals++;
done:
    exa_journal_reader_close(&reader);
    return st;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* An epoch in a name counts, too: a journal without records may have lost its header. */
static void skip_named_epochs(exa_chunk_store *s) {
    for (size_t i = 0; i < s->journal_count; i++) {
        unsigned long epoch;
        if (sscanf(s->names[i], "e%lu", &epoch) == 1 && epoch < UINT32_MAX && epoch >= s->owner.epoch)
            s->owner.epoch = (uint32_t)epoch + 1;
    }
}

uint32_t exa_chunk_store_next_epoch(const exa_chunk_store *s) {
    return s->owner.epoch;
}

exa_status exa_chunk_store_begin(exa_chunk_store *s, uint32_t epoch, uint32_t rank, int zstd_level) {
    char name[64];

    s->owner.epoch = epoch;
    s->owner.rank = rank;
    snprintf(name, sizeof name, "e%06u-r%06u.journal", s->owner.epoch, s->owner.rank);
    EXA_TRY(exa_path_join(s->own_path, s->folder, name));
    return exa_journal_create(s->own_path, &s->owner, zstd_level, &s->own);
}

static exa_status open_store(exa_chunk_store *s, const char *folder, bool all) {
    EXA_CHECK(strlen(folder) < sizeof s->folder, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, folder);
    memcpy(s->folder, folder, strlen(folder) + 1);
    EXA_TRY(exa_file_make_directories(folder));
    EXA_CHECK(s->grid.chunks <= EXA_CHUNK_STORE_MOST, EXA_ERR_RANGE, "%llu chunks are too many for one run",
              (unsigned long long)s->grid.chunks);
    if (!all) return EXA_OK;
    EXA_TRY(exa_calloc((size_t)s->grid.chunks, sizeof *s->entries, "the table of chunks", &s->entries));
    for (uint64_t k = 0; k < s->grid.chunks; k++) s->entries[k].journal = ABSENT;
    EXA_TRY(list_journals(s));
    EXA_TRY(exa_calloc(s->journal_count, sizeof *s->used, "readers of journals", &s->used));
    EXA_TRY(exa_calloc(s->journal_count, sizeof *s->readers, "readers of journals", &s->readers));
    s->owner.epoch = 1;
    for (size_t i = 0; i < s->journal_count; i++) EXA_TRY(replay(s, (uint32_t)i));
    skip_named_epochs(s);
    return EXA_OK;
}

exa_status exa_chunk_store_open(const char *folder, const char *run_sha256, const exa_chunk_grid *grid,
                                bool replay_all, exa_chunk_store **out) {
    exa_chunk_store *s = NULL;
    exa_status st = EXA_OK;

    EXA_CHECK(strlen(run_sha256) == 64, EXA_ERR_RANGE, "'%.80s' is not a SHA-256", run_sha256);
    EXA_TRY(exa_calloc(1, sizeof *s, "the table of chunks", &s));
    s->grid = *grid;
    memcpy(s->owner.run_sha256, run_sha256, EXA_SHA256_HEX_BYTES);
    EXA_GOTO(fail, open_store(s, folder, replay_all));
    *out = s;
    return EXA_OK;
fail:
    exa_chunk_store_close(&s);
    return st;
}

static bool has_records(const char *folder, const char *name) {
    char path[EXA_PATH_BYTES];
    struct stat info;

    return exa_path_join(path, folder, name) != EXA_OK || stat(path, &info) != 0 ||
           info.st_size > EXA_JOURNAL_FILE_HEADER;
}

exa_status exa_chunk_store_clear(const char *folder, bool *empty) {
    exa_chunk_store s = {0};
    char path[EXA_PATH_BYTES];
    exa_status st;

    snprintf(s.folder, sizeof s.folder, "%s", folder);
    st = list_journals(&s);
    *empty = st == EXA_OK;
    for (size_t i = 0; i < s.journal_count; i++) *empty = *empty && !has_records(folder, s.names[i]);
    for (size_t i = 0; i < s.journal_count; i++) {
        if (*empty && exa_path_join(path, folder, s.names[i]) == EXA_OK) unlink(path);
        free(s.names[i]);
    }
    free(s.names);
    return st;
}

void exa_chunk_store_close(exa_chunk_store **store) {
    exa_chunk_store *s = *store;

    if (!s) return;
    for (size_t i = 0; i < s->journal_count; i++) {
        free(s->names[i]);
        if (s->readers) exa_journal_reader_close(&s->readers[i]);
    }
    exa_journal_reader_close(&s->reading);
    exa_journal_close(&s->own);
    free(s->names);
    free(s->readers);
    free(s->used);
    free(s->entries);
    free(s);
    *store = NULL;
}

const exa_chunk_store_report *exa_chunk_store_get_report(const exa_chunk_store *s) {
    return &s->report;
}

uint64_t exa_chunk_store_count(const exa_chunk_store *s) {
    return s->count;
}

bool exa_chunk_store_has(const exa_chunk_store *s, exa_chunkid k) {
    return s->entries && k < s->grid.chunks && s->entries[k].journal != ABSENT;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

exa_status exa_chunk_store_put(exa_chunk_store *s, const exa_chunk_record *r) {
    gathered g = {0};
    uint64_t voxels;

    EXA_TRY(label_bytes(s, r->chunk, &voxels));
    EXA_TRY(exa_journal_append(s->own, LABELS, r->chunk, r->labels, 4 * (size_t)voxels, &g.parts.part[LABELS - 1]));
    if (r->probability)
        EXA_TRY(exa_journal_append(s->own, PROBABILITY, r->chunk, r->probability, (size_t)voxels,
                                   &g.parts.part[PROBABILITY - 1]));
    EXA_TRY(exa_journal_append(s->own, DETAILS, r->chunk, r->details, r->details_size, &g.parts.part[DETAILS - 1]));
    EXA_TRY(exa_journal_sync(s->own));
    g.parts.has_probability = r->probability != NULL;
    take(s, &g.parts, OWN);
    return EXA_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

/* Files that may be open at once are few, journals may be thousands. */
static void close_oldest(exa_chunk_store *s) {
    size_t open = 0, oldest = s->journal_count;

    for (size_t i = 0; i < s->journal_count; i++) {
        if (!s->readers[i]) continue;
        open++;
        if (oldest == s->journal_count || s->used[i] < s->used[oldest]) oldest = i;
    }
    if (open >= MOST_READERS) exa_journal_reader_close(&s->readers[oldest]);
}

/* A reader knows a file as long as it was when it was opened. */
static exa_status reader_of(exa_chunk_store *s, const entry *e, exa_journal_reader **reader) {
    char path[EXA_PATH_BYTES];

    if (e->journal == OWN) {
        if (!s->reading || s->reading_bytes != exa_journal_bytes(s->own)) {
            exa_journal_reader_close(&s->reading);
            EXA_TRY(exa_journal_open(s->own_path, s->owner.run_sha256, &s->reading));
            s->reading_bytes = exa_journal_bytes(s->own);
        }
        *reader = s->reading;
        return EXA_OK;
    }
    s->used[e->journal] = ++s->now;
    if (!s->readers[e->journal]) {
        close_oldest(s);
        EXA_TRY(exa_path_join(path, s->folder, s->names[e->journal]));
        EXA_TRY(exa_journal_open(path, s->owner.run_sha256, &s->readers[e->journal]));
    }
    *reader = s->readers[e->journal];
    return EXA_OK;
}

static exa_status load(exa_chunk_store *s, exa_chunkid k, int kind, void *to) {
    exa_journal_reader *reader;

    EXA_TRY(reader_of(s, &s->entries[k], &reader));
    return exa_journal_load(reader, &s->entries[k].part[kind - 1], to);
}

static exa_status check_there(const exa_chunk_store *s, exa_chunkid k) {
    EXA_CHECK(exa_chunk_store_has(s, k), EXA_ERR_CHECKPOINT, "chunk %llu is not in the journals",
              (unsigned long long)k);
    return EXA_OK;
}

exa_status exa_chunk_store_labels(exa_chunk_store *s, exa_chunkid k, int32_t *labels) {
    EXA_TRY(check_there(s, k));
    return load(s, k, LABELS, labels);
}

exa_status exa_chunk_store_probability(exa_chunk_store *s, exa_chunkid k, uint8_t *probability) {
    EXA_TRY(check_there(s, k));
    EXA_CHECK(s->entries[k].has_probability, EXA_ERR_RANGE, "chunk %llu has no probabilities",
              (unsigned long long)k);
    return load(s, k, PROBABILITY, probability);
}

exa_status exa_chunk_store_details(exa_chunk_store *s, exa_chunkid k, void **details, size_t *size) {
    void *bytes = NULL;
    exa_status st;

    EXA_TRY(check_there(s, k));
    *size = (size_t)s->entries[k].part[DETAILS - 1].size;
    EXA_TRY(exa_alloc(*size, 1, "the details of a chunk", &bytes));
    st = load(s, k, DETAILS, bytes);
    if (st != EXA_OK) {
        free(bytes);
        return st;
    }
    *details = bytes;
    return EXA_OK;
}
