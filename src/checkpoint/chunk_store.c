/* Journals and generations as a table of chunks: opening, putting, reading. The idea: a chunk is read from the
 * newest place that has it; what turns out to be damaged there is forgotten, and the next older place is tried. */
#include "chunk_store_internal.h"

#include "exaconn/log.h"
#include "journal_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MOST_READERS 48 /* open at once */

/* ---- opening ------------------------------------------------------------------------------------------------- */

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

static exa_status keep_path(char to[EXA_PATH_BYTES], const char *path) {
    EXA_CHECK(strlen(path) < EXA_PATH_BYTES, EXA_ERR_RANGE, "path longer than %d bytes: '%.80s...'",
              EXA_PATH_BYTES - 1, path);
    memcpy(to, path, strlen(path) + 1);
    return EXA_OK;
}

static exa_status open_store(exa_chunk_store *s, const char *journals, const char *checkpoints, bool all) {
    EXA_TRY(keep_path(s->folder, journals));
    EXA_TRY(keep_path(s->checkpoints, checkpoints ? checkpoints : ""));
    EXA_TRY(exa_file_make_directories(journals));
    EXA_CHECK(s->grid.chunks <= EXA_CHUNK_STORE_MOST, EXA_ERR_RANGE, "%llu chunks are too many for one run",
              (unsigned long long)s->grid.chunks);
    return all ? exa_chunk_store_replay(s) : EXA_OK;
}

exa_status exa_chunk_store_open(const char *journals, const char *checkpoints, const char *run_sha256,
                                const exa_chunk_grid *grid, bool replay, exa_chunk_store **out) {
    exa_chunk_store *s = NULL;
    exa_status st = EXA_OK;

    EXA_CHECK(strlen(run_sha256) == 64, EXA_ERR_RANGE, "'%.80s' is not a SHA-256", run_sha256);
    EXA_TRY(exa_calloc(1, sizeof *s, "the table of chunks", &s));
    s->grid = *grid;
    memcpy(s->owner.run_sha256, run_sha256, EXA_SHA256_HEX_BYTES);
    EXA_GOTO(fail, open_store(s, journals, checkpoints, replay));
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

exa_status exa_chunk_store_clear(const char *journals, const char *checkpoints, bool *empty) {
    exa_chunk_store *s = NULL;
    char path[EXA_PATH_BYTES];
    uint64_t *generations = NULL;
    size_t count = 0;
    exa_status st = EXA_OK;

    *empty = false;
    EXA_TRY(exa_calloc(1, sizeof *s, "the table of chunks", &s));
    EXA_GOTO(done, keep_path(s->folder, journals));
    EXA_GOTO(done, exa_chunk_store_list_journals(s));
    if (checkpoints) EXA_GOTO(done, exa_generation_list(checkpoints, &generations, &count));
    *empty = count == 0;
    for (size_t i = 0; i < s->journal_count; i++) *empty = *empty && !has_records(journals, s->journals[i].name);
    for (size_t i = 0; *empty && i < s->journal_count; i++)
        if (exa_path_join(path, journals, s->journals[i].name) == EXA_OK) unlink(path);
done:
    free(generations);
    exa_chunk_store_close(&s);
    return st;
}

void exa_chunk_store_close(exa_chunk_store **store) {
    exa_chunk_store *s = *store;

    if (!s) return;
    for (size_t i = 0; i < s->journal_count; i++) {
        free(s->journals[i].name);
        exa_journal_reader_close(&s->journals[i].reader);
    }
    for (size_t i = 0; i < s->generation_count; i++) exa_generation_close(&s->generations[i].open);
    exa_journal_reader_close(&s->reading);
    exa_journal_close(&s->own);
    free(s->journals);
    free(s->generations);
    free(s->progress);
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

uint64_t exa_chunk_store_part_bytes(const exa_chunk_store *s, exa_chunk_part part) {
    uint64_t bytes = 0;

    for (exa_chunkid k = 0; k < s->grid.chunks; k++) {
        const chunk_entry *e = &s->entries[k];
        if (e->source != ABSENT && (part != EXA_CHUNK_PROBABILITY || e->has_probability))
            bytes += e->part[part].stored_size;
    }
    return bytes;
}

bool exa_chunk_store_has(const exa_chunk_store *s, exa_chunkid k) {
    return s->entries && k < s->grid.chunks && s->entries[k].source != ABSENT;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

exa_status exa_chunk_store_put(exa_chunk_store *s, const exa_chunk_record *r) {
    chunk_entry e = {.source = OWN, .has_probability = r->probability != NULL};
    uint64_t voxels;

    EXA_TRY(exa_chunk_store_voxels(s, r->chunk, &voxels));
    EXA_TRY(exa_journal_append(s->own, LABELS, r->chunk, r->labels, 4 * (size_t)voxels, &e.part[EXA_CHUNK_LABELS]));
    if (r->probability)
        EXA_TRY(exa_journal_append(s->own, PROBABILITY, r->chunk, r->probability, (size_t)voxels,
                                   &e.part[EXA_CHUNK_PROBABILITY]));
    EXA_TRY(exa_journal_append(s->own, DETAILS, r->chunk, r->details, r->details_size, &e.part[EXA_CHUNK_DETAILS]));
    EXA_TRY(exa_journal_sync(s->own));
    exa_chunk_store_take(s, &e, r->chunk);
    return EXA_OK;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

exa_status exa_chunk_store_generation(exa_chunk_store *s, size_t i, exa_generation **generation) {
    stored_generation *g = &s->generations[i];
    char name[32], path[EXA_PATH_BYTES];
    exa_status st = EXA_OK;

    EXA_CHECK(!g->refused, EXA_ERR_CORRUPT, "generation %llu cannot be used", (unsigned long long)g->number);
    if (!g->open) {
        exa_generation_name(g->number, name);
        EXA_TRY(exa_path_join(path, s->checkpoints, name));
        st = exa_generation_open(path, s->owner.run_sha256, &g->open);
        g->refused = st != EXA_OK;
    }
    *generation = g->open;
    return st;
}

/* Files that may be open at once are few, journals may be thousands. */
static void close_oldest(exa_chunk_store *s) {
    size_t open = 0, oldest = s->journal_count;

    for (size_t i = 0; i < s->journal_count; i++) {
        if (!s->journals[i].reader) continue;
        open++;
        if (oldest == s->journal_count || s->journals[i].used < s->journals[oldest].used) oldest = i;
    }
    if (open >= MOST_READERS) exa_journal_reader_close(&s->journals[oldest].reader);
}

/* A reader knows a file as long as it was when it was opened. */
static exa_status reader_of(exa_chunk_store *s, const chunk_entry *e, exa_journal_reader **reader) {
    char path[EXA_PATH_BYTES];
    stored_journal *j;

    if (e->source == OWN) {
        if (!s->reading || s->reading_bytes != exa_journal_bytes(s->own)) {
            exa_journal_reader_close(&s->reading);
            EXA_TRY(exa_journal_open(s->own_path, s->owner.run_sha256, &s->reading));
            s->reading_bytes = exa_journal_bytes(s->own);
        }
        *reader = s->reading;
        return EXA_OK;
    }
    j = &s->journals[e->source];
    j->used = ++s->now;
    if (!j->reader) {
        close_oldest(s);
        EXA_TRY(exa_path_join(path, s->folder, j->name));
        EXA_TRY(exa_journal_open(path, s->owner.run_sha256, &j->reader));
    }
    *reader = j->reader;
    return EXA_OK;
}

exa_status exa_chunk_store_put_progress(exa_chunk_store *s, exa_chunkid k, const void *bytes, size_t size) {
    EXA_TRY(exa_journal_append(s->own, PROGRESS, k, bytes, size, NULL));
    return exa_journal_sync(s->own);
}

exa_status exa_chunk_store_progress(exa_chunk_store *s, exa_chunkid k, size_t *next, void **bytes, size_t *size) {
    exa_journal_reader *reader;
    exa_status st;

    *bytes = NULL;
    while (*next < s->progress_count && s->progress[*next].record.chunk != k) ++*next;
    if (*next == s->progress_count) return EXA_OK;
    const stored_progress *p = &s->progress[(*next)++];
    const chunk_entry there = {.source = p->journal};
    *size = (size_t)p->record.size;
    EXA_TRY(reader_of(s, &there, &reader));
    EXA_TRY(exa_alloc(*size, 1, "a part of a chunk", bytes));
    st = exa_journal_load(reader, &p->record, *bytes);
    if (st != EXA_OK) free(*bytes);
    return st;
}

static bool in_generation(const chunk_entry *e) {
    return e->source >= FIRST_GENERATION && e->source < OWN;
}

/* From where the table says it is. */
static exa_status load_there(exa_chunk_store *s, exa_chunkid k, exa_chunk_part part, void *to) {
    const chunk_entry *e = &s->entries[k];
    exa_journal_reader *reader;
    exa_generation *g;

    if (in_generation(e)) {
        EXA_TRY(exa_chunk_store_generation(s, e->source - FIRST_GENERATION, &g));
        return exa_generation_read(g, e->row, part, to);
    }
    EXA_TRY(reader_of(s, e, &reader));
    return exa_journal_load(reader, &e->part[part], to);
}

static bool find_row(exa_chunk_store *s, size_t i, exa_chunkid k, chunk_entry *e) {
    exa_generation *g;

    if (exa_chunk_store_generation(s, i, &g) != EXA_OK) return false;
    for (uint64_t row = 0; row < exa_generation_get_info(g)->rows; row++) {
        const exa_generation_row *r = &exa_generation_rows(g)[row];
        if (r->chunk != k || !exa_chunk_store_row_fits(s, r)) continue;
        exa_chunk_store_entry_of_row(r, row, FIRST_GENERATION + (uint32_t)i, e);
        return true;
    }
    return false;
}

/* The place where the table has a chunk is damaged: the next older one, or none. */
static void fall_back(exa_chunk_store *s, exa_chunkid k) {
    chunk_entry *e = &s->entries[k];
    size_t i = in_generation(e) ? e->source - FIRST_GENERATION : s->generation_count;
    char why[400];

    snprintf(why, sizeof why, "%.399s", exa_error_last()->message);
    s->report.damaged++;
    while (i-- > 0) {
        if (!find_row(s, i, k, e)) continue;
        EXA_WARN("chunk %llu is taken from the older generation %llu: %s", (unsigned long long)k,
                 (unsigned long long)s->generations[i].number, why);
        return;
    }
    e->source = ABSENT;
    s->count--;
    EXA_WARN("chunk %llu is nowhere whole, it has to be computed again: %s", (unsigned long long)k, why);
}

static bool is_damage(exa_status st) {
    return st == EXA_ERR_CORRUPT || st == EXA_ERR_FORMAT || st == EXA_ERR_IO;
}

static exa_status check_there(const exa_chunk_store *s, exa_chunkid k) {
    EXA_CHECK(exa_chunk_store_has(s, k), EXA_ERR_CHECKPOINT,
              "chunk %llu is not there, or damaged. Hint: the same `exaconn run` computes it again",
              (unsigned long long)k);
    return EXA_OK;
}

/* Parts whose size is that of the chunk. */
exa_status exa_chunk_store_load(exa_chunk_store *s, exa_chunkid k, exa_chunk_part part, void *to) {
    for (;;) {
        exa_status st;
        EXA_TRY(check_there(s, k));
        EXA_CHECK(part != EXA_CHUNK_PROBABILITY || s->entries[k].has_probability, EXA_ERR_RANGE,
                  "chunk %llu has no probabilities", (unsigned long long)k);
        st = load_there(s, k, part, to);
        if (!is_damage(st)) return st;
        fall_back(s, k);
    }
}

exa_status exa_chunk_store_labels(exa_chunk_store *s, exa_chunkid k, int32_t *labels) {
    return exa_chunk_store_load(s, k, EXA_CHUNK_LABELS, labels);
}

exa_status exa_chunk_store_probability(exa_chunk_store *s, exa_chunkid k, uint8_t *probability) {
    return exa_chunk_store_load(s, k, EXA_CHUNK_PROBABILITY, probability);
}

/* Another place may have details of another size. */
exa_status exa_chunk_store_details(exa_chunk_store *s, exa_chunkid k, void **details, size_t *size) {
    for (;;) {
        void *bytes = NULL;
        exa_status st;
        EXA_TRY(check_there(s, k));
        *size = (size_t)s->entries[k].part[EXA_CHUNK_DETAILS].size;
        EXA_TRY(exa_alloc(*size, 1, "the details of a chunk", &bytes));
        st = load_there(s, k, EXA_CHUNK_DETAILS, bytes);
        if (st == EXA_OK) *details = bytes;
        if (st != EXA_OK) free(bytes);
        if (!is_damage(st)) return st;
        fall_back(s, k);
    }
}

exa_status exa_chunk_store_check_chunk(exa_chunk_store *s, exa_chunkid k) {
    for (;;) {
        const chunk_entry *e = &s->entries[k];
        exa_status st = EXA_OK;
        if (e->source == ABSENT) return EXA_OK;
        for (int p = 0; st == EXA_OK && p < EXA_CHUNK_PARTS; p++) {
            void *bytes = NULL;
            if (p == EXA_CHUNK_PROBABILITY && !e->has_probability) continue;
            EXA_TRY(exa_alloc((size_t)e->part[p].size, 1, "a part of a chunk", &bytes));
            st = load_there(s, k, (exa_chunk_part)p, bytes);
            free(bytes);
        }
        if (!is_damage(st)) return st;
        fall_back(s, k);
    }
}
