/* Fills the table of chunks: generations from the oldest to the newest, then the journals on top. The idea: the
 * details of a chunk are written last and say how many records before them belong to it; a chunk of which any is
 * missing is not there. */
#include "chunk_store_internal.h"

#include "exaconn/log.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

exa_status exa_chunk_store_voxels(const exa_chunk_store *s, exa_chunkid k, uint64_t *voxels) {
    exa_box box = exa_chunk_grid_box(&s->grid, k);
    int64_t n;

    EXA_TRY(exa_box_voxels(&box, &n));
    *voxels = (uint64_t)n;
    return EXA_OK;
}

/* They come in order of age, so the newest wins. */
void exa_chunk_store_take(exa_chunk_store *s, const chunk_entry *found, exa_chunkid k) {
    chunk_entry *e;

    if (!s->entries) return; /* it only writes */
    e = &s->entries[k];
    s->count += e->source == ABSENT;
    s->report.again += e->source != ABSENT && e->source < FIRST_GENERATION;
    *e = *found;
}

/* ---- generations --------------------------------------------------------------------------------------------- */

static exa_status list_generations(exa_chunk_store *s) {
    uint64_t *numbers = NULL;
    size_t n = 0;
    exa_status st = EXA_OK;

    if (!*s->checkpoints) return EXA_OK;
    EXA_TRY(exa_generation_list(s->checkpoints, &numbers, &n));
    EXA_GOTO(done, exa_calloc(n, sizeof *s->generations, "the list of generations", &s->generations));
    for (size_t i = 0; i < n; i++) s->generations[i].number = numbers[i];
    s->generation_count = n;
done:
    free(numbers);
    return st;
}

/* A row is of this run (its CRC says so); it must be of this grid, too. */
bool exa_chunk_store_row_fits(const exa_chunk_store *s, const exa_generation_row *r) {
    exa_box box;
    uint64_t voxels;

    if (!r->whole || r->chunk >= s->grid.chunks) return false;
    box = exa_chunk_grid_box(&s->grid, r->chunk);
    if (memcmp(&box, &r->box, sizeof box) != 0 || exa_chunk_store_voxels(s, r->chunk, &voxels) != EXA_OK)
        return false;
    return r->size[EXA_CHUNK_LABELS] == 4 * voxels &&
           (r->size[EXA_CHUNK_PROBABILITY] == 0 || r->size[EXA_CHUNK_PROBABILITY] == voxels);
}

void exa_chunk_store_entry_of_row(const exa_generation_row *row, uint64_t index, uint32_t source, chunk_entry *e) {
    *e = (chunk_entry){.row = index, .source = source, .has_probability = row->size[EXA_CHUNK_PROBABILITY] > 0};
    for (int p = 0; p < EXA_CHUNK_PARTS; p++) e->part[p].size = e->part[p].stored_size = row->size[p];
}

/* What its parts take on disk, over what they are. */
static void find_compression(exa_generation *g, double compression[EXA_CHUNK_PARTS]) {
    const exa_generation_row *rows = exa_generation_rows(g);

    for (int p = 0; p < EXA_CHUNK_PARTS; p++) {
        double all = 0;
        for (uint64_t i = 0; i < exa_generation_get_info(g)->rows; i++)
            if (rows[i].whole) all += (double)rows[i].size[p];
        compression[p] = all > 0 ? (double)exa_generation_stored_bytes(g, (exa_chunk_part)p) / all : 1;
    }
}

/* One that cannot be used costs what only it has; one of another run is an error. */
static exa_status replay_generation(exa_chunk_store *s, size_t i) {
    exa_generation *g;
    const exa_generation_info *info;
    double compression[EXA_CHUNK_PARTS];
    exa_status st = exa_chunk_store_generation(s, i, &g);

    if (st == EXA_ERR_CORRUPT || st == EXA_ERR_FORMAT || st == EXA_ERR_IO) {
        EXA_WARN("a checkpoint cannot be used, older ones and journals are: %.400s", exa_error_last()->message);
        s->report.damaged_generations++;
        return EXA_OK;
    }
    EXA_TRY(st);
    info = exa_generation_get_info(g);
    find_compression(g, compression);
    for (uint64_t row = 0; row < info->rows; row++) {
        const exa_generation_row *r = &exa_generation_rows(g)[row];
        chunk_entry e;
        if (!exa_chunk_store_row_fits(s, r)) continue;
        exa_chunk_store_entry_of_row(r, row, FIRST_GENERATION + (uint32_t)i, &e);
        for (int p = 0; p < EXA_CHUNK_PARTS; p++)
            e.part[p].stored_size = (uint64_t)((double)r->size[p] * compression[p]);
        exa_chunk_store_take(s, &e, r->chunk);
    }
    if (info->damaged_rows)
        EXA_WARN("the table of generation %llu is damaged: %llu of its chunks are taken from elsewhere or computed "
                 "again",
                 (unsigned long long)info->number, (unsigned long long)info->damaged_rows);
    s->report.generations++;
    s->report.damaged += info->damaged_rows;
    if (info->epoch >= s->owner.epoch) s->owner.epoch = info->epoch + 1;
    return EXA_OK;
}

/* ---- journals ------------------------------------------------------------------------------------------------ */

static bool is_journal(const char *name) {
    size_t length = strlen(name);
    return length > 8 && strcmp(name + length - 8, ".journal") == 0;
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const stored_journal *)a)->name, ((const stored_journal *)b)->name);
}

exa_status exa_chunk_store_list_journals(exa_chunk_store *s) {
    DIR *folder = opendir(s->folder);
    struct dirent *file;
    exa_status st = EXA_OK;

    EXA_CHECK(folder, EXA_ERR_IO, "cannot read the folder '%s': %s", s->folder, strerror(errno));
    while ((file = readdir(folder)) != NULL) {
        char *name;
        if (!is_journal(file->d_name)) continue;
        EXA_GOTO(done, exa_grow(&s->journals, &s->journal_capacity, sizeof *s->journals, s->journal_count + 1,
                                "the list of journals"));
        name = strdup(file->d_name);
        EXA_CHECK_GOTO(done, name, EXA_ERR_MEMORY, "cannot allocate names of journals");
        s->journals[s->journal_count++] = (stored_journal){.name = name};
    }
    if (s->journal_count) qsort(s->journals, s->journal_count, sizeof *s->journals, by_name);
done:
    closedir(folder);
    return st;
}

/* The parts of a chunk as they come; complete when the details follow in sequence. */
typedef struct gathered {
    chunk_entry parts;
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

/* Whether the parts have the sizes that the chunk's box asks for. */
static exa_status fits(const exa_chunk_store *s, const chunk_entry *e, exa_chunkid k, bool *fit) {
    uint64_t voxels;

    *fit = false;
    if (k >= s->grid.chunks) return EXA_OK;
    EXA_TRY(exa_chunk_store_voxels(s, k, &voxels));
    *fit =
        e->part[LABELS - 1].size == 4 * voxels && (!e->has_probability || e->part[PROBABILITY - 1].size == voxels);
    return EXA_OK;
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

static exa_status note_progress(exa_chunk_store *s, uint32_t journal, const exa_journal_record *record) {
    EXA_TRY(exa_grow(&s->progress, &s->progress_capacity, sizeof *s->progress, s->progress_count + 1,
                     "parts of chunks"));
    s->progress[s->progress_count++] = (stored_progress){journal, *record};
    return EXA_OK;
}

/* What is there as a whole needs no parts. */
static void drop_progress(exa_chunk_store *s) {
    size_t kept = 0;

    for (size_t i = 0; i < s->progress_count; i++)
        if (s->entries[s->progress[i].record.chunk].source == ABSENT) s->progress[kept++] = s->progress[i];
    s->progress_count = kept;
}

static exa_status replay_journal(exa_chunk_store *s, uint32_t journal) {
    exa_journal_reader *reader = NULL;
    exa_journal_record record;
    gathered g = {0};
    char path[EXA_PATH_BYTES];
    bool end, fit;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(path, s->folder, s->journals[journal].name));
    EXA_TRY(exa_journal_open(path, s->owner.run_sha256, &reader));
    for (;;) {
        EXA_GOTO(done, exa_journal_next(reader, &record, &end));
        if (end) break;
        s->report.records++;
        if (record.epoch >= s->owner.epoch) s->owner.epoch = record.epoch + 1;
        if (record.kind < LABELS || record.kind > PROGRESS) s->journals[journal].other = true;
        if (record.kind == PROGRESS && record.chunk < s->grid.chunks)
            EXA_GOTO(done, note_progress(s, journal, &record));
        if (!gather(&g, &record)) continue;
        EXA_GOTO(done, fits(s, &g.parts, record.chunk, &fit));
        g.parts.source = journal;
        if (fit) exa_chunk_store_take(s, &g.parts, record.chunk);
    }
    if (exa_journal_reader_owner(reader)->epoch >= s->owner.epoch)
        s->owner.epoch = exa_journal_reader_owner(reader)->epoch + 1;
    report_damage(s, path, exa_journal_reader_damage(reader));
    s->report.journals++;
done:
    exa_journal_reader_close(&reader);
    return st;
}

/* An epoch in a name counts, too: a journal without records may have lost its header. */
static void skip_named_epochs(exa_chunk_store *s) {
    for (size_t i = 0; i < s->journal_count; i++) {
        unsigned long epoch;
        if (sscanf(s->journals[i].name, "e%lu", &epoch) == 1 && epoch < UINT32_MAX && epoch >= s->owner.epoch)
            s->owner.epoch = (uint32_t)epoch + 1;
    }
}

exa_status exa_chunk_store_replay(exa_chunk_store *s) {
    EXA_TRY(exa_calloc((size_t)s->grid.chunks, sizeof *s->entries, "the table of chunks", &s->entries));
    for (uint64_t k = 0; k < s->grid.chunks; k++) s->entries[k].source = ABSENT;
    s->owner.epoch = 1;
    EXA_TRY(list_generations(s));
    EXA_TRY(exa_chunk_store_list_journals(s));
    for (size_t i = 0; i < s->generation_count; i++) EXA_TRY(replay_generation(s, i));
    for (size_t i = 0; i < s->journal_count; i++) EXA_TRY(replay_journal(s, (uint32_t)i));
    drop_progress(s);
    skip_named_epochs(s);
    return EXA_OK;
}
