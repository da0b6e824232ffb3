/* From a table of chunks to a generation, and what becomes superfluous by it. */
#include "exaconn/consolidation.h"

#include "chunk_store_internal.h"

#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"

#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ZSTD_LEVEL = 3 };

typedef struct consolidating {
    exa_chunk_store *store;
    exa_generation_source source;
    char path[EXA_PATH_BYTES];
} consolidating;

/* ---- what goes into it --------------------------------------------------------------------------------------- */

/* Bytes on disk, to know in time whether there is room. */
static uint64_t stored_bytes(const chunk_entry *e) {
    uint64_t bytes = 0;

    for (int p = 0; p < EXA_CHUNK_PARTS; p++)
        if (p != EXA_CHUNK_PROBABILITY || e->has_probability) bytes += e->part[p].stored_size;
    return bytes;
}

static exa_status make_rows(consolidating *c) {
    const exa_chunk_store *s = c->store;
    exa_generation_source *to = &c->source;

    EXA_TRY(exa_calloc((size_t)s->count, sizeof *to->rows, "the table of a generation", &to->rows));
    for (exa_chunkid k = 0; k < s->grid.chunks; k++) {
        const chunk_entry *e = &s->entries[k];
        exa_generation_row *r;
        if (e->source == ABSENT) continue;
        EXA_CHECK(e->source != OWN && to->count < s->count, EXA_ERR_INTERNAL, "the table of chunks is in use");
        r = &to->rows[to->count++];
        r->chunk = k;
        r->box = exa_chunk_grid_box(&s->grid, k);
        for (int p = 0; p < EXA_CHUNK_PARTS; p++) r->size[p] = e->part[p].size;
        if (!e->has_probability) r->size[EXA_CHUNK_PROBABILITY] = 0;
        to->stored_bytes += stored_bytes(e);
    }
    return EXA_OK;
}

static exa_status read_part(void *context, uint64_t row, exa_chunk_part part, void *bytes) {
    consolidating *c = context;
    const exa_generation_row *r = &c->source.rows[row];
    void *details;
    size_t size;

    if (part != EXA_CHUNK_DETAILS) return exa_chunk_store_load(c->store, r->chunk, part, bytes);
    EXA_TRY(exa_chunk_store_details(c->store, r->chunk, &details, &size));
    if (size == r->size[part]) memcpy(bytes, details, size);
    free(details);
    EXA_CHECK(size == r->size[part], EXA_ERR_CORRUPT, "chunk %llu was damaged while it was copied",
              (unsigned long long)r->chunk);
    return EXA_OK;
}

/* ---- the folder ---------------------------------------------------------------------------------------------- */

void exa_consolidation_clean(const char *checkpoints) {
    DIR *d = opendir(checkpoints);
    struct dirent *file;
    char path[EXA_PATH_BYTES];

    while (d && (file = readdir(d)) != NULL)
        if (strncmp(file->d_name, "gen-", 4) == 0 && strstr(file->d_name, ".h5.tmp-") &&
            exa_path_join(path, checkpoints, file->d_name) == EXA_OK)
            unlink(path);
    if (d) closedir(d);
}

/* A damaged generation keeps its number, too. On rank 0. */
static exa_status choose_number(const exa_chunk_store *s, uint64_t *number) {
    EXA_TRY(exa_file_make_directories(s->checkpoints));
    EXA_TRY(exa_file_sync_parent(s->checkpoints));
    exa_consolidation_clean(s->checkpoints);
    *number = s->generation_count ? s->generations[s->generation_count - 1].number + 1 : 1;
    return EXA_OK;
}

/* It holds what no generation does: parts of chunks in work, or what a later version put. */
static bool is_needed(const exa_chunk_store *s, size_t journal) {
    for (size_t i = 0; i < s->progress_count; i++)
        if (s->progress[i].journal == journal) return true;
    return s->journals[journal].other;
}

/* All that the journals held is in the new generation, which has been read back. On rank 0. */
static void remove_superfluous(exa_chunk_store *s, uint32_t keep, exa_consolidated *done) {
    char name[32], path[EXA_PATH_BYTES];

    for (size_t i = 0; i < s->journal_count; i++) {
        exa_journal_reader_close(&s->journals[i].reader);
        if (is_needed(s, i) || exa_path_join(path, s->folder, s->journals[i].name) != EXA_OK) continue;
        done->journals += unlink(path) == 0;
    }
    for (size_t i = 0; i + keep <= s->generation_count; i++) { /* with the new one there is one more */
        exa_generation_close(&s->generations[i].open);
        exa_generation_name(s->generations[i].number, name);
        if (exa_path_join(path, s->checkpoints, name) == EXA_OK) done->generations += unlink(path) == 0;
    }
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

/* Nothing to write: no chunk, or all in the newest generation already. */
static bool is_consolidated(const exa_chunk_store *s) {
    const uint32_t newest = FIRST_GENERATION + (uint32_t)s->generation_count - 1;

    for (exa_chunkid k = 0; k < s->grid.chunks; k++)
        if (s->entries[k].source != ABSENT && (s->generation_count == 0 || s->entries[k].source != newest))
            return false;
    return true;
}

static exa_status prepare(consolidating *c, const exa_consolidation *o) {
    exa_generation_info *i = &c->source.info;
    char name[32];

    i->chunks = c->store->grid.chunks;
    i->epoch = c->store->owner.epoch - 1;
    memcpy(i->run_sha256, c->store->owner.run_sha256, sizeof i->run_sha256);
    snprintf(i->weights_sha256, sizeof i->weights_sha256, "%s", o->weights_sha256 ? o->weights_sha256 : "");
    exa_generation_name(i->number, name);
    EXA_TRY(exa_path_join(c->path, c->store->checkpoints, name));
    return make_rows(c);
}

static exa_status consolidate(consolidating *c, const exa_consolidation *o) {
    uint64_t number = 0;

    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? choose_number(c->store, &number) : EXA_OK));
    EXA_TRY(exa_comm_broadcast(&number, sizeof number));
    c->source.info.number = number;
    EXA_TRY(exa_comm_agree(prepare(c, o)));
    return exa_generation_write(c->path, &c->source);
}

exa_status exa_consolidate(exa_chunk_store *store, const exa_consolidation *o, exa_consolidated *done) {
    consolidating c = {
        .store = store,
        .source = {.identity = o->identity, .job = o->job, .zstd_level = ZSTD_LEVEL, .read = read_part}};
    const double began = exa_clock_now();
    exa_status st;

    *done = (exa_consolidated){0};
    c.source.context = &c;
    EXA_TRY(exa_chunk_store_share(store));
    if (is_consolidated(store)) return EXA_OK;
    st = consolidate(&c, o);
    if (st == EXA_OK) {
        done->number = c.source.info.number;
        done->chunks = c.source.count;
        if (exa_comm_rank() == 0) remove_superfluous(store, o->keep, done);
    }
    free(c.source.rows);
    done->seconds = exa_clock_now() - began;
    return st;
}

double exa_consolidation_interval_s(double cost_s, double mtbf_s) {
    double x;

    if (!(cost_s > 0) || !(mtbf_s > 0)) return 0;
    if (cost_s >= 2 * mtbf_s) return mtbf_s;
    x = sqrt(cost_s / (2 * mtbf_s));
    return sqrt(2 * cost_s * mtbf_s) * (1 + x / 3 + x * x / 9) - cost_s;
}
