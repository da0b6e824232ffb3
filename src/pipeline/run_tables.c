/* The tables of a run's segments: candidates of stitching, there and back, and what each segment is. */
#include "run_internal.h"

#include "exaconn/comm.h"
#include "exaconn/json.h"
#include "exaconn/reduce.h"
#include "exaconn/table.h"
#include "exaconn/union_tree.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- candidates ---------------------------------------------------------------------------------------------- */

void exa_run_print_candidate(FILE *f, const exa_candidate *c) {
    fprintf(f, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%d,%d,%d\n", c->a, c->b, c->shared,
            c->size_a, c->size_b, c->best, c->joined, c->refused);
}

/* Whether the numbers of a row are possible in this run. */
static bool is_candidate(const exa_candidate *c, int best, const exa_chunk_grid *grid) {
    return exa_supervoxel_chunk(grid, c->a) < grid->chunks && exa_supervoxel_chunk(grid, c->b) < grid->chunks &&
           exa_supervoxel_local(grid, c->a) > 0 && exa_supervoxel_local(grid, c->b) > 0 && c->shared > 0 &&
           c->shared <= c->size_a && c->shared <= c->size_b && best >= 0 && best <= 3;
}

static exa_status parse(const char *path, const char *line, long at, const exa_chunk_grid *grid, exa_candidate *c) {
    int best, joined, refused, used = 0;

    memset(c, 0, sizeof *c);
    EXA_CHECK(sscanf(line, "%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%" SCNu64 ",%d,%d,%d%n", &c->a, &c->b,
                     &c->shared, &c->size_a, &c->size_b, &best, &joined, &refused, &used) == 8 &&
                  used > 0 && line[used] == '\n' && is_candidate(c, best, grid),
              EXA_ERR_FORMAT,
              "'%s': the row at byte %ld is no candidate of this run: '%.*s'. Hint: remove the run's summary.json "
              "and run the job again: it makes the table anew",
              path, at, (int)strcspn(line, "\r\n"), line);
    c->best = (unsigned char)best;
    c->joined = joined == 1;
    c->refused = refused == 1;
    return EXA_OK;
}

static exa_status read_rows(FILE *f, const char *path, long begin, long end, const exa_chunk_grid *grid,
                            exa_candidate_list *out) {
    char line[512];

    /* The row that begins before `begin` is another rank's. */
    EXA_CHECK(fseek(f, begin > 0 ? begin - 1 : 0, SEEK_SET) == 0, EXA_ERR_IO, "cannot read '%s': %s", path,
              strerror(errno));
    if (begin > 0 && !fgets(line, sizeof line, f)) return EXA_OK;
    for (long at = ftell(f); at < end && fgets(line, sizeof line, f); at = ftell(f)) {
        exa_candidate c;
        if (at == 0) {
            EXA_CHECK(strncmp(line, EXA_RUN_CANDIDATES_HEADER "\n", sizeof line) == 0, EXA_ERR_FORMAT,
                      "'%s' does not begin with '%s'", path, EXA_RUN_CANDIDATES_HEADER);
            continue;
        }
        EXA_TRY(parse(path, line, at, grid, &c));
        EXA_TRY(exa_grow(&out->list, &out->capacity, sizeof c, out->count + 1, "candidates of stitching"));
        out->list[out->count++] = c;
    }
    EXA_CHECK(!ferror(f), EXA_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
    return EXA_OK;
}

/* This rank's share of the rows, by bytes. */
static exa_status read_share(const char *path, const exa_chunk_grid *grid, exa_candidate_list *out) {
    FILE *f = fopen(path, "r");
    exa_status st = EXA_OK;
    long size = -1, ranks = exa_comm_size(), rank = exa_comm_rank();

    EXA_CHECK(f, EXA_ERR_IO, "cannot open '%s': %s. Hint: only a run by chunks that was stitched once has it", path,
              strerror(errno));
    if (fseek(f, 0, SEEK_END) == 0) size = ftell(f);
    if (size < 0) {
        st = EXA_FAIL(EXA_ERR_IO, "cannot read '%s': %s", path, strerror(errno));
    } else {
        st = read_rows(f, path, size / ranks * rank, rank + 1 == ranks ? size : size / ranks * (rank + 1), grid,
                       out);
    }
    fclose(f);
    return st;
}

static exa_status check_order(const char *path, const exa_chunk_grid *grid, const exa_candidate_list *share) {
    for (size_t i = 1; i < share->count; i++)
        EXA_CHECK(exa_supervoxel_chunk(grid, share->list[i - 1].a) <= exa_supervoxel_chunk(grid, share->list[i].a),
                  EXA_ERR_FORMAT, "the rows of '%s' are not in the order of the chunks", path);
    return EXA_OK;
}

/* A row that was lost would silently leave a segment split: the run's summary knows how many there were. */
static exa_status check_count(const char *folder, uint64_t count) {
    char path[EXA_PATH_BYTES], *text = NULL;
    cJSON *summary = NULL;
    const cJSON *said;
    size_t size;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(path, folder, "summary.json"));
    EXA_CHECK(exa_file_exists(path), EXA_ERR_CHECKPOINT,
              "the run in '%s' is not complete. Hint: run its job to its end first", folder);
    EXA_TRY(exa_file_read_all(path, EXA_JOB_MAX_BYTES, &text, &size));
    EXA_GOTO(done, exa_json_parse(text, size, path, EXA_ERR_FORMAT, &summary));
    said = cJSON_GetObjectItemCaseSensitive(cJSON_GetObjectItemCaseSensitive(summary, "chunks"), "candidates");
    EXA_CHECK_GOTO(done, cJSON_IsNumber(said) && said->valuedouble == (double)count, EXA_ERR_CORRUPT,
                   "'%s/" EXA_RUN_CANDIDATES "' has %" PRIu64
                   " candidates, its summary.json says %.0f. Hint: remove "
                   "that summary.json and run the job again: it makes the table anew from the chunks",
                   folder, count, cJSON_IsNumber(said) ? said->valuedouble : 0.0);
done:
    free(text);
    cJSON_Delete(summary);
    return st;
}

/* The table is in the order of the ranks' chunks, whatever their number was, so nothing needs to be sorted. */
exa_status exa_run_read_candidates(const char *folder, const exa_chunk_grid *grid, const exa_segid *first,
                                   exa_candidate_list *candidates) {
    exa_candidate_list share = {0};
    char path[EXA_PATH_BYTES];
    size_t *counts = NULL;
    uint64_t all;
    void *received;
    exa_status st = exa_calloc((size_t)exa_comm_size(), sizeof *counts, "an exchange", &counts);

    if (st == EXA_OK) st = exa_path_join(path, folder, EXA_RUN_CANDIDATES);
    if (st == EXA_OK) st = read_share(path, grid, &share);
    if (st == EXA_OK) st = check_order(path, grid, &share);
    for (size_t i = 0; st == EXA_OK && i < share.count; i++)
        counts[exa_union_tree_owner(first, exa_comm_size(), share.list[i].a)]++;
    EXA_GOTO(done, exa_comm_agree(st));
    all = share.count;
    EXA_GOTO(done, exa_sum_all(&all, 1));
    EXA_GOTO(done, exa_comm_agree(exa_comm_rank() == 0 ? check_count(folder, all) : EXA_OK));
    EXA_GOTO(done, exa_exchange(share.list, sizeof *share.list, counts, &received, &candidates->count));
    candidates->list = received;
    candidates->capacity = candidates->count;
done:
    free(share.list);
    free(counts);
    return st;
}

/* ---- segments ------------------------------------------------------------------------------------------------ */

exa_status exa_run_write_segments(exa_run_work *w, const exa_segment *list, size_t count) {
    char path[EXA_PATH_BYTES];
    exa_table *table = NULL;
    uint64_t segments = 0;
    exa_status st;

    EXA_TRY(exa_run_directory_path(w->directory, "segments.csv", path));
    EXA_TRY(exa_table_create(path, "id," EXA_SEGMENT_COLUMNS ",supervoxels,chunks,steps", &table));
    for (size_t i = 0; i < count; i++) {
        const exa_segment *s = &list[i];
        if (s->voxels == 0) continue; /* what other objects took away again, or what lies in a halo only */
        fprintf(exa_table_rows(table), "%" PRIu64 ",", s->id);
        exa_segment_print(exa_table_rows(table), s);
        fprintf(exa_table_rows(table), ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 "\n", s->supervoxels, s->chunks,
                s->steps);
        segments++;
    }
    st = exa_table_commit(table);
    exa_table_close(&table);
    w->segments = segments;
    return st == EXA_OK ? exa_sum_all(&w->segments, 1) : st;
}

static int by_id(const void *a, const void *b) {
    const exa_segment *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

/* Of a run without chunks. */
exa_status exa_run_write_box_segments(exa_run_work *w) {
    const exa_box *box = &w->inputs.box;
    exa_segment *list;
    size_t count, attempts;
    const exa_attempt *a = exa_canvas_attempts(w->canvas, &attempts);
    exa_status st;

    EXA_TRY(exa_segment_scan(exa_canvas_segmentation(w->canvas), box, box, &list, &count));
    for (size_t i = 0; i < attempts; i++)
        if (a[i].id > 0 && (size_t)a[i].id <= count) list[a[i].id - 1].steps += (uint64_t)a[i].steps;
    for (size_t i = 0; i < count; i++) list[i].id = exa_run_global_id(w, (int32_t)list[i].id);
    if (count) qsort(list, count, sizeof *list, by_id); /* an initial segmentation's ids come in any order */
    st = exa_run_write_segments(w, list, count);
    free(list);
    return st;
}
