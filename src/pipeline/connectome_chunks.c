/* The segmentation chunk by chunk: what is counted of a chunk goes into this rank's journal at once, so that it is
 * counted once however often the work is interrupted; then every rank takes up what all journals have of its
 * chunks.
 *
 * A record is integers of 64 bits: a head, then segments, contacts, sites, own faces, faces seen, positions looked
 * up (docs/formats.md). */
#include "connectome_internal.h"

#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/journal.h"
#include "exaconn/label_index.h"
#include "exaconn/log.h"
#include "exaconn/progress.h"
#include "exaconn/reduce.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RECORD_KIND = 1, RECORD_VERSION = 1, PARTS = 6, HEAD = 1 + 2 * PARTS, ZSTD_LEVEL = 1, NAME_BYTES = 64 };

#define JOURNALS "journals"
#define SUFFIX ".journal"

static const size_t part_size[PARTS] = {sizeof(exa_segment),      sizeof(exa_contact),
                                        sizeof(exa_contact_site), sizeof(exa_contact_face),
                                        sizeof(exa_contact_face), sizeof(exa_lookup)};

/* Where a chunk's record lies. */
typedef struct place {
    exa_chunkid chunk;
    uint64_t file; /* in the list of journals */
    exa_journal_record record;
} place;

typedef struct counting {
    exa_connectome_work *w;
    char folder[EXA_PATH_BYTES];
    char (*names)[NAME_BYTES]; /* owned; of the journals that were there */
    uint64_t name_count;
    exa_records places;   /* place; of this rank's chunks */
    exa_journal *journal; /* owned; once there is something to write */
    uint32_t epoch;
    exa_label_index *index; /* owned */
    exa_progress *progress; /* owned; rank 0 */
    exa_progress_state done;
    uint32_t *labels;  /* owned; of a chunk */
    exa_segid *slab;   /* owned; rows of it as they are stored */
    exa_segid *around; /* owned; labels around a position */
    exa_coord slab_rows;
    exa_records parts[PARTS]; /* of the chunk in work */
    size_t query;             /* the first one that is not behind the chunk in work */
} counting;

/* ---- journals that are there --------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    return strcmp(a, b);
}

static exa_status list_journals(counting *c) {
    DIR *folder = opendir(c->folder);
    size_t capacity = 0;
    exa_status st = EXA_OK;

    EXA_CHECK(folder, EXA_ERR_IO, "cannot list '%s': %s", c->folder, strerror(errno));
    for (struct dirent *e = readdir(folder); st == EXA_OK && e; e = readdir(folder)) {
        size_t n = strlen(e->d_name);
        if (n < strlen(SUFFIX) || n >= NAME_BYTES || strcmp(e->d_name + n - strlen(SUFFIX), SUFFIX) != 0) continue;
        st = exa_grow(&c->names, &capacity, NAME_BYTES, c->name_count + 1, "names of journals");
        if (st == EXA_OK) memcpy(c->names[c->name_count++], e->d_name, n + 1);
    }
    closedir(folder);
    if (c->name_count) qsort(c->names, c->name_count, NAME_BYTES, by_name);
    return st;
}

/* Rank 0 looks, so that all know the same. */
static exa_status share_names(counting *c) {
    EXA_TRY(exa_comm_agree(exa_comm_rank() == 0 ? list_journals(c) : EXA_OK));
    EXA_TRY(exa_comm_broadcast(&c->name_count, sizeof c->name_count));
    if (exa_comm_rank() != 0) EXA_TRY(exa_alloc(c->name_count, NAME_BYTES, "names of journals", &c->names));
    return c->name_count ? exa_comm_broadcast(c->names, c->name_count * NAME_BYTES) : EXA_OK;
}

static exa_status open_journal(const counting *c, uint64_t file, exa_journal_reader **reader) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, c->folder, c->names[file]));
    return exa_journal_open(path, c->w->identity, reader);
}

static exa_status index_journal(counting *c, uint64_t file) {
    exa_journal_reader *reader = NULL;
    place p = {.file = file};
    bool end = false;
    exa_status st;

    EXA_TRY(open_journal(c, file, &reader));
    while ((st = exa_journal_next(reader, &p.record, &end)) == EXA_OK && !end) {
        if (p.record.kind != RECORD_KIND || p.record.chunk >= c->w->grid.chunks) continue;
        p.chunk = p.record.chunk;
        EXA_GOTO(done, exa_records_add(&c->places, &p, 1, sizeof p));
    }
    if (st == EXA_OK && exa_journal_reader_damage(reader)->regions)
        EXA_WARN("'%s/%s' is damaged; the chunks that were there are counted again", c->folder, c->names[file]);
done:
    exa_journal_reader_close(&reader);
    return st;
}

exa_chunkid exa_connectome_first_chunk(const exa_chunk_grid *grid, int rank) {
    return (exa_chunkid)((unsigned __int128)grid->chunks * (unsigned)rank / (unsigned)exa_comm_size());
}

int exa_connectome_owner(const exa_chunk_grid *grid, exa_chunkid k) {
    int low = 0, high = exa_comm_size() - 1;

    while (low < high) { /* the last rank whose first chunk is not beyond it */
        int middle = (low + high + 1) / 2;
        if (exa_connectome_first_chunk(grid, middle) <= k)
            low = middle;
        else
            high = middle - 1;
    }
    return low;
}

static int owner_of_place(const void *record, const void *grid) {
    return exa_connectome_owner(grid, ((const place *)record)->chunk);
}

static int by_chunk(const void *a, const void *b) {
    const place *p = a, *q = b;
    return (p->chunk > q->chunk) - (p->chunk < q->chunk);
}

/* Journals are read in turn by the ranks; each rank then knows where its own chunks lie. */
static exa_status find_places(counting *c) {
    exa_status st = EXA_OK;
    place *p;
    size_t kept = 0;

    EXA_TRY(share_names(c));
    for (uint64_t i = (uint64_t)exa_comm_rank(); st == EXA_OK && i < c->name_count; i += (uint64_t)exa_comm_size())
        st = index_journal(c, i);
    EXA_TRY(exa_comm_agree(st));
    EXA_TRY(exa_records_send(&c->places, sizeof *p, owner_of_place, &c->w->grid));
    p = c->places.list;
    if (c->places.count) qsort(p, c->places.count, sizeof *p, by_chunk);
    for (size_t i = 0; i < c->places.count; i++)
        if (i == 0 || p[i].chunk != p[kept - 1].chunk) p[kept++] = p[i];
    c->places.count = kept;
    c->w->chunks_resumed = kept;
    return exa_sum_all(&c->w->chunks_resumed, 1);
}

static const place *place_of(const counting *c, exa_chunkid k) {
    const place wanted = {.chunk = k};
    return c->places.count ? bsearch(&wanted, c->places.list, c->places.count, sizeof wanted, by_chunk) : NULL;
}

/* ---- counting a chunk ---------------------------------------------------------------------------------------- */

/* The chunk's core and one voxel more where the volume goes on. */
static exa_box box_of(const exa_connectome_work *w, exa_chunkid k) {
    exa_box more = exa_chunk_grid_core(&w->grid, k);

    for (int a = 0; a < 3; a++) more.shape[a]++;
    return exa_box_intersect(&more, &w->box);
}

/* Reads a box given in voxels of the volume. */
static exa_status read_box(const exa_connectome_work *w, const exa_box *box, exa_segid *labels) {
    exa_box stored = *box;

    for (int a = 0; a < 3; a++) stored.start[a] -= w->box.start[a];
    return exa_volume_read(w->volume, &stored, EXA_U64, labels);
}

/* Rows by rows, so that only these are there in 64 bits. */
static exa_status read_labels(counting *c, const exa_box *box) {
    const exa_coord end = box->start[0] + box->shape[0];
    uint32_t *to = c->labels;

    exa_label_index_clear(c->index);
    for (exa_box slab = *box; slab.start[0] < end; slab.start[0] += slab.shape[0]) {
        size_t n;
        slab.shape[0] = end - slab.start[0] < c->slab_rows ? end - slab.start[0] : c->slab_rows;
        n = (size_t)(slab.shape[0] * slab.shape[1] * slab.shape[2]);
        EXA_TRY(read_box(c->w, &slab, c->slab));
        EXA_TRY(exa_label_index_apply(c->index, c->slab, n, to));
        to += n;
    }
    return EXA_OK;
}

static exa_status count_segments(counting *c, const exa_contact_chunk *chunk) {
    exa_segment *list;
    size_t count;
    exa_status st = EXA_OK;

    EXA_TRY(exa_segment_scan((const int32_t *)chunk->labels, &chunk->box, &chunk->core, &list, &count));
    for (size_t i = 0; st == EXA_OK && i < count; i++) {
        if (list[i].voxels == 0) continue; /* of a neighbour */
        list[i].id = chunk->ids[list[i].id];
        st = exa_records_add(&c->parts[0], &list[i], 1, sizeof *list);
    }
    free(list);
    return st;
}

/* Ids that no other chunk gives. */
static exa_status name_faces(const counting *c, exa_chunkid k, const exa_contact_faces *faces, exa_records *to) {
    for (size_t i = 0; i < faces->count; i++)
        EXA_TRY(exa_supervoxel_make(&c->w->grid, k, faces->list[i].site, &faces->list[i].site));
    return exa_records_add(to, faces->list, faces->count, sizeof *faces->list);
}

static exa_status count_sites(counting *c, exa_chunkid k, const exa_contact_chunk *chunk) {
    exa_contact_faces own = {0}, seen = {0};
    exa_contact_site *list = NULL;
    size_t count = 0;
    exa_status st;

    if (c->w->o->no_sites) return EXA_OK;
    EXA_GOTO(done, exa_contact_sites(chunk, &list, &count, &own, &seen));
    for (size_t i = 0; i < count; i++) EXA_GOTO(done, exa_supervoxel_make(&c->w->grid, k, list[i].id, &list[i].id));
    EXA_GOTO(done, exa_records_add(&c->parts[2], list, count, sizeof *list));
    EXA_GOTO(done, name_faces(c, k, &own, &c->parts[3]));
    st = name_faces(c, k, &seen, &c->parts[4]);
done:
    free(list);
    free(own.list);
    free(seen.list);
    return st;
}

static exa_status count_contacts(counting *c, const exa_contact_chunk *chunk) {
    exa_contact *list;
    size_t count;
    exa_status st;

    EXA_TRY(exa_contact_count(chunk, &list, &count));
    st = exa_records_add(&c->parts[1], list, count, sizeof *list);
    free(list);
    return st;
}

/* ---- positions ----------------------------------------------------------------------------------------------- */

/* The nearest segment within the radius, whatever chunk it lies in. */
static exa_status search(counting *c, const exa_coord at[3], exa_segid *id) {
    const double *size = c->w->voxel_nm, radius = c->w->o->search_radius_nm;
    exa_box near;
    int64_t voxels;
    exa_segid *labels;

    *id = 0;
    if (!(radius > 0)) return EXA_OK;
    for (int a = 0; a < 3; a++) {
        near.start[a] = at[a] - (exa_coord)floor(radius / size[a]);
        near.shape[a] = 2 * (at[a] - near.start[a]) + 1;
    }
    near = exa_box_intersect(&near, &c->w->box);
    EXA_TRY(exa_box_voxels(&near, &voxels));
    EXA_TRY(exa_alloc((size_t)voxels, sizeof *labels, "labels around a synapse", &labels));
    free(c->around);
    c->around = labels;
    EXA_TRY(read_box(c->w, &near, labels));
    *id = exa_synapse_nearest(labels, &near, at, size, radius);
    return EXA_OK;
}

static exa_status look_up(counting *c, exa_chunkid k, const exa_contact_chunk *chunk) {
    const exa_query *list = c->w->queries.list;

    while (c->query < c->w->queries.count && list[c->query].chunk < k) c->query++;
    for (; c->query < c->w->queries.count && list[c->query].chunk == k; c->query++) {
        const exa_query *q = &list[c->query];
        exa_lookup found = {q->row, q->post, 0};
        found.id = chunk->ids[chunk->labels[exa_box_index(&chunk->box, q->at[0], q->at[1], q->at[2])]];
        if (found.id == 0) EXA_TRY(search(c, q->at, &found.id));
        EXA_TRY(exa_records_add(&c->parts[5], &found, 1, sizeof found));
    }
    return EXA_OK;
}

static exa_status count_chunk(counting *c, exa_chunkid k) {
    exa_contact_chunk chunk = {
        .labels = c->labels, .box = box_of(c->w, k), .core = exa_chunk_grid_core(&c->w->grid, k)};
    double began = exa_clock_now();
    size_t unused;

    for (int p = 0; p < PARTS; p++) c->parts[p].count = 0;
    EXA_TRY(read_labels(c, &chunk.box));
    c->w->read_s += exa_clock_now() - began;
    began = exa_clock_now();
    chunk.ids = exa_label_index_ids(c->index, &unused);
    EXA_TRY(count_segments(c, &chunk));
    EXA_TRY(count_contacts(c, &chunk));
    EXA_TRY(count_sites(c, k, &chunk));
    EXA_TRY(look_up(c, k, &chunk));
    c->w->count_s += exa_clock_now() - began;
    return EXA_OK;
}

/* ---- records ------------------------------------------------------------------------------------------------- */

static exa_status begin_journal(counting *c) {
    const exa_journal_owner seed = {.epoch = c->epoch, .rank = (uint32_t)exa_comm_rank()};
    exa_journal_owner owner = seed;
    char name[NAME_BYTES], path[EXA_PATH_BYTES];

    memcpy(owner.run_sha256, c->w->identity, sizeof owner.run_sha256);
    snprintf(name, sizeof name, "e%06u-r%07d" SUFFIX, c->epoch, exa_comm_rank());
    EXA_TRY(exa_path_join(path, c->folder, name));
    return exa_journal_create(path, &owner, ZSTD_LEVEL, &c->journal);
}

/* An epoch that no journal has. */
static void choose_epoch(counting *c) {
    for (uint64_t i = 0; i < c->name_count; i++) {
        unsigned epoch;
        if (sscanf(c->names[i], "e%u-", &epoch) == 1 && epoch >= c->epoch) c->epoch = epoch + 1;
    }
}

static exa_status put_record(counting *c, exa_chunkid k) {
    size_t size = HEAD * sizeof(uint64_t);
    char *bytes, *to;
    exa_status st;

    for (int p = 0; p < PARTS; p++) size += c->parts[p].count * part_size[p];
    EXA_TRY(exa_alloc(size, 1, "what was counted of a chunk", &bytes));
    ((uint64_t *)(void *)bytes)[0] = RECORD_VERSION;
    to = bytes + HEAD * sizeof(uint64_t);
    for (int p = 0; p < PARTS; p++) {
        ((uint64_t *)(void *)bytes)[1 + 2 * p] = c->parts[p].count;
        ((uint64_t *)(void *)bytes)[2 + 2 * p] = part_size[p];
        if (c->parts[p].count) memcpy(to, c->parts[p].list, c->parts[p].count * part_size[p]);
        to += c->parts[p].count * part_size[p];
    }
    st = c->journal ? EXA_OK : begin_journal(c);
    if (st == EXA_OK) st = exa_journal_append(c->journal, RECORD_KIND, k, bytes, size, NULL);
    if (st == EXA_OK) st = exa_journal_sync(c->journal);
    free(bytes);
    return st;
}

/* What lookups say of the synapses. */
static exa_status take_lookups(exa_connectome_work *w, const exa_lookup *list, size_t count) {
    for (size_t i = 0; i < count; i++) {
        exa_synapse s = {.row = list[i].row};
        *(list[i].post ? &s.post : &s.pre) = list[i].id;
        EXA_TRY(exa_records_add(&w->synapses, &s, 1, sizeof s));
    }
    return EXA_OK;
}

static exa_status add_faces(exa_contact_faces *to, const void *from, size_t count) {
    EXA_TRY(exa_grow(&to->list, &to->capacity, sizeof *to->list, to->count + count, "faces at borders"));
    if (count) memcpy(to->list + to->count, from, count * sizeof *to->list);
    to->count += count;
    return EXA_OK;
}

/* Takes a chunk's parts over into what the rank has. */
static exa_status take_parts(exa_connectome_work *w, const void *const part[PARTS], const size_t count[PARTS]) {
    EXA_TRY(exa_records_add(&w->segments, part[0], count[0], part_size[0]));
    EXA_TRY(exa_records_add(&w->contacts, part[1], count[1], part_size[1]));
    EXA_TRY(exa_records_add(&w->sites, part[2], count[2], part_size[2]));
    EXA_TRY(add_faces(&w->own, part[3], count[3]));
    EXA_TRY(add_faces(&w->seen, part[4], count[4]));
    return take_lookups(w, part[5], count[5]);
}

static exa_status take_record(exa_connectome_work *w, exa_chunkid k, const char *bytes, size_t size) {
    const uint64_t *head = (const void *)bytes;
    const void *part[PARTS];
    size_t count[PARTS], at = HEAD * sizeof *head;
    bool right = size >= at && head[0] == RECORD_VERSION;

    for (int p = 0; right && p < PARTS; p++) {
        right = head[2 + 2 * p] == part_size[p] && head[1 + 2 * p] <= (size - at) / part_size[p];
        if (!right) break;
        part[p] = bytes + at;
        count[p] = (size_t)head[1 + 2 * p];
        at += count[p] * part_size[p];
    }
    EXA_CHECK(
        right && at == size, EXA_ERR_FORMAT,
        "chunk %llu has a record that this version does not know. Hint: use the version of exaconn that began "
        "this folder, or another folder",
        (unsigned long long)k);
    return take_parts(w, part, count);
}

static exa_status take_stored(counting *c, const place *p) {
    exa_journal_reader *reader = NULL;
    char *bytes = NULL;
    exa_status st;

    EXA_GOTO(done, open_journal(c, p->file, &reader));
    EXA_GOTO(done, exa_alloc((size_t)p->record.size, 1, "what was counted of a chunk", &bytes));
    EXA_GOTO(done, exa_journal_load(reader, &p->record, bytes));
    st = take_record(c->w, p->chunk, bytes, (size_t)p->record.size);
done:
    free(bytes);
    exa_journal_reader_close(&reader);
    return st;
}

/* ---- all chunks ---------------------------------------------------------------------------------------------- */

static exa_status do_chunk(counting *c, exa_chunkid k) {
    const place *p = place_of(c, k);
    const void *part[PARTS];
    size_t count[PARTS];

    if (c->w->o->check) EXA_TRY(c->w->o->check(c->w->o->context));
    c->done.chunks_done++;
    if (c->progress) exa_progress_update(c->progress, &c->done);
    if (p) return take_stored(c, p);
    EXA_TRY(count_chunk(c, k));
    EXA_TRY(put_record(c, k));
    for (int i = 0; i < PARTS; i++) {
        part[i] = c->parts[i].list;
        count[i] = c->parts[i].count;
    }
    return take_parts(c->w, part, count);
}

static exa_status begin(counting *c) {
    const exa_connectome_work *w = c->w;
    exa_coord shape[3];

    exa_chunk_grid_shape_max(&w->grid, shape);
    for (int a = 0; a < 3; a++) shape[a]++;
    c->slab_rows = w->storage[0] > 0 && w->storage[0] < 64 ? w->storage[0] : 64;
    if (c->slab_rows > shape[0]) c->slab_rows = shape[0];
    choose_epoch(c);
    EXA_TRY(exa_label_index_create(EXA_ISA_AUTO, &c->index));
    EXA_TRY(exa_alloc((size_t)(shape[0] * shape[1] * shape[2]), sizeof *c->labels, "the labels of a chunk",
                      &c->labels));
    EXA_TRY(exa_alloc((size_t)(c->slab_rows * shape[1] * shape[2]), sizeof *c->slab, "rows of a chunk", &c->slab));
    if (exa_comm_rank() != 0) return EXA_OK;
    c->done.chunks = (int64_t)(w->end - w->begin); /* its own share stands for all */
    return exa_progress_create(w->o->progress_s, NULL, NULL, &c->progress);
}

static void end(counting *c) {
    exa_progress_destroy(&c->progress);
    exa_journal_close(&c->journal);
    exa_label_index_destroy(&c->index);
    exa_records_free(&c->places);
    for (int p = 0; p < PARTS; p++) exa_records_free(&c->parts[p]);
    free(c->names);
    free(c->labels);
    free(c->slab);
    free(c->around);
}

static exa_status make_folder(const counting *c) {
    return exa_comm_rank() == 0 ? exa_file_make_directories(c->folder) : EXA_OK;
}

exa_status exa_connectome_count_chunks(exa_connectome_work *w) {
    counting c = {.w = w};
    exa_status st;

    if (!w->volume) return EXA_OK;
    EXA_GOTO(done, exa_comm_agree(exa_path_join(c.folder, w->o->folder, JOURNALS)));
    EXA_GOTO(done, exa_comm_agree(make_folder(&c)));
    EXA_GOTO(done, find_places(&c));
    if (w->chunks_resumed)
        EXA_INFO("resumed: %llu of %llu chunks were counted before", (unsigned long long)w->chunks_resumed,
                 (unsigned long long)w->grid.chunks);
    EXA_GOTO(done, exa_comm_agree(begin(&c)));
    for (exa_chunkid k = w->begin; st == EXA_OK && k < w->end; k++) st = do_chunk(&c, k);
    exa_comm_wait();
    st = exa_comm_agree(st);
done:
    end(&c);
    return st;
}

exa_status exa_connectome_clear_journals(const exa_connectome_work *w) {
    counting c = {0};
    char path[EXA_PATH_BYTES];
    exa_status st;

    EXA_TRY(exa_path_join(c.folder, w->o->folder, JOURNALS));
    if (!exa_file_is_directory(c.folder)) return EXA_OK;
    EXA_GOTO(done, list_journals(&c));
    for (uint64_t i = 0; i < c.name_count; i++) {
        EXA_GOTO(done, exa_path_join(path, c.folder, c.names[i]));
        EXA_CHECK_GOTO(done, remove(path) == 0, EXA_ERR_IO, "cannot remove '%s': %s", path, strerror(errno));
    }
    EXA_CHECK_GOTO(done, remove(c.folder) == 0, EXA_ERR_IO, "cannot remove '%s': %s", c.folder, strerror(errno));
done:
    free(c.names);
    return st;
}
