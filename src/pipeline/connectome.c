/* The order of a connectome: folder, table, chunks, sums, files. */
#include "exaconn/connectome.h"
#include "connectome_internal.h"

#include "exaconn/clock.h"
#include "exaconn/comm.h"
#include "exaconn/log.h"
#include "exaconn/precomputed.h"
#include "exaconn/progress.h"
#include "exaconn/reduce.h"
#include "exaconn/version.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDENTITY "identity.txt"
#define LARGEST_TEXT ((size_t)1 << 20)

enum { CHUNK = 256 };

/* ---- what it is made of -------------------------------------------------------------------------------------- */

static exa_status choose_voxel_size(exa_connectome_work *w, const exa_volume_info *info) {
    for (int a = 0; a < 3; a++)
        w->voxel_nm[a] = w->o->voxel_size_nm[a] > 0 ? w->o->voxel_size_nm[a] : info->voxel_size_nm[a];
    EXA_CHECK(
        w->voxel_nm[0] > 0 && w->voxel_nm[1] > 0 && w->voxel_nm[2] > 0, EXA_ERR_CONFIG,
        "'%s' does not say how large its voxels are, so areas are not known. Hint: say it in nm: --voxel-size "
        "Z,Y,X",
        info->name);
    return EXA_OK;
}

static exa_status choose_box(exa_connectome_work *w, const exa_volume_info *info) {
    exa_coord offset[3] = {0, 0, 0};
    bool found;

    EXA_TRY(exa_volume_get_offset(w->volume, offset, &found));
    if (w->o->offset) memcpy(offset, w->o->offset, sizeof offset);
    memcpy(w->box.start, offset, sizeof offset);
    memcpy(w->box.shape, info->shape, sizeof info->shape);
    EXA_CHECK(offset[0] >= 0 && offset[1] >= 0 && offset[2] >= 0, EXA_ERR_CONFIG,
              "'%s' begins at voxel %lld, %lld, %lld: positions must not be negative. Hint: --offset Z,Y,X",
              info->name, (long long)offset[0], (long long)offset[1], (long long)offset[2]);
    return EXA_OK;
}

/* A chunk has at most three faces for each voxel of its core and of the voxels around that it reads. */
static exa_status cut(exa_connectome_work *w) {
    const exa_coord none[3] = {0, 0, 0};
    exa_coord core[3];
    exa_box most = {{0, 0, 0}, {0, 0, 0}};
    int64_t voxels;

    for (int a = 0; a < 3; a++) {
        core[a] = w->o->chunk[a] > 0 ? w->o->chunk[a] : CHUNK;
        if (core[a] > w->box.shape[a]) core[a] = w->box.shape[a];
        most.shape[a] = core[a] + 1;
    }
    EXA_TRY(exa_box_voxels(&most, &voxels));
    EXA_CHECK(voxels < (int64_t)1 << 40, EXA_ERR_CONFIG,
              "chunks of %lld voxels are too large. Hint: 256 x 256 x 256", (long long)voxels);
    EXA_TRY(exa_chunk_grid_make(&w->box, core, none, none, 3 * (uint64_t)voxels, &w->grid));
    w->begin = exa_connectome_first_chunk(&w->grid, exa_comm_rank());
    w->end = exa_connectome_first_chunk(&w->grid, exa_comm_rank() + 1);
    return EXA_OK;
}

static exa_status open_segmentation(exa_connectome_work *w) {
    exa_volume_info info;

    if (!w->o->segmentation) return EXA_OK;
    EXA_TRY(exa_volume_open(w->o->segmentation, &w->volume));
    EXA_TRY(exa_volume_get_info(w->volume, &info));
    EXA_CHECK(info.dtype != EXA_F32, EXA_ERR_CONFIG, "'%s' holds %s: labels are integers", info.name,
              info.type_name);
    EXA_CHECK(
        info.dtype != EXA_U8 || strncmp(info.name, "phantom:", strlen("phantom:")) != 0, EXA_ERR_CONFIG,
        "'%s' is the image of a phantom. Hint: its labels end in :/labels, as phantom:seed=7,shape=256:/labels",
        info.name);
    w->bytes = info.dtype == EXA_U8;
    memcpy(w->storage, info.chunk, sizeof w->storage);
    EXA_TRY(choose_voxel_size(w, &info));
    EXA_TRY(choose_box(w, &info));
    return cut(w);
}

static exa_status check_options(const exa_connectome_options *o) {
    EXA_CHECK(o->segmentation || o->synapses, EXA_ERR_CONFIG,
              "neither a segmentation nor a table of synapses is given: there is nothing to count");
    EXA_CHECK(o->search_radius_nm >= 0 && o->search_radius_nm <= 1e6, EXA_ERR_CONFIG,
              "a search radius of %g nm is not possible: 0 to 1000000", o->search_radius_nm);
    EXA_CHECK(o->candidate_area_nm2 < 0 || (o->segmentation && !o->no_sites), EXA_ERR_CONFIG,
              "candidates are contact sites, which need a segmentation and must not be left out");
    return EXA_OK;
}

/* ---- the folder ---------------------------------------------------------------------------------------------- */

/* A file by name and content, one too large to be read for that by name, size and time: another state of it is
 * something else. */
static exa_status name_file(exa_json_text *t, const char *what, const char *name, const char *path, bool large) {
    char digest[EXA_SHA256_HEX_BYTES];
    struct stat file;

    EXA_CHECK(stat(path, &file) == 0, EXA_ERR_IO, "cannot examine '%s': %s", path, strerror(errno));
    if (!large && S_ISREG(file.st_mode)) { /* a pipe can be read once only */
        EXA_TRY(exa_sha256_file(path, 0, digest));
        exa_json_text_add(t, "%s: %s (%lld bytes, SHA-256 %s)\n", what, name, (long long)file.st_size, digest);
        return EXA_OK;
    }
    exa_json_text_add(t, "%s: %s (%lld bytes, changed at %lld.%09ld)\n", what, name, (long long)file.st_size,
                      (long long)file.st_mtim.tv_sec, file.st_mtim.tv_nsec);
    return EXA_OK;
}

static exa_status name_segmentation(const exa_connectome_work *w, exa_json_text *t) {
    const char *name = w->o->segmentation;
    char path[EXA_PATH_BYTES], dataset[EXA_PATH_BYTES];

    if (w->o->fingerprint || strncmp(name, "phantom:", strlen("phantom:")) == 0) {
        exa_json_text_add(t, "segmentation: %s\n", w->o->fingerprint ? w->o->fingerprint : name);
        return EXA_OK;
    }
    if (exa_volume_split_name(name, path, sizeof path, dataset, sizeof dataset) != EXA_OK) { /* precomputed */
        const char *folder = strstr(name, "://") ? strstr(name, "://") + 3 : name;
        snprintf(dataset, sizeof dataset, "%s", folder);
        if (!exa_precomputed_recognise(dataset) && strrchr(dataset, ':')) *strrchr(dataset, ':') = '\0';
        EXA_TRY(exa_path_join(path, dataset, "info"));
    }
    return name_file(t, "segmentation", name, path, true);
}

/* Everything that decides what is counted in a chunk. */
static exa_status describe(const exa_connectome_work *w, exa_json_text *t) {
    const exa_connectome_options *o = w->o;
    const exa_synapse_options *table = &o->table;

    exa_json_text_add(t, "exaconn connectome 1\n");
    if (o->segmentation) {
        EXA_TRY(name_segmentation(w, t));
        exa_json_text_add(
            t, "box: %lld %lld %lld, %lld %lld %lld\nchunk: %lld %lld %lld\nvoxel_size_nm: %.17g %.17g %.17g\n",
            (long long)w->box.start[0], (long long)w->box.start[1], (long long)w->box.start[2],
            (long long)w->box.shape[0], (long long)w->box.shape[1], (long long)w->box.shape[2],
            (long long)w->grid.core[0], (long long)w->grid.core[1], (long long)w->grid.core[2], w->voxel_nm[0],
            w->voxel_nm[1], w->voxel_nm[2]);
        exa_json_text_add(t, "sites: %d\nsearch_radius_nm: %.17g\n", !o->no_sites, o->search_radius_nm);
    }
    if (!o->synapses) return EXA_OK;
    EXA_TRY(name_file(t, "synapses", o->synapses, o->synapses, false));
    exa_json_text_add(t, "table: %s, units %d, axes %d, voxels of %.17g %.17g %.17g nm\n",
                      exa_synapse_format_names[table->format], (int)table->units, (int)table->axes,
                      table->voxel_size_nm[0], table->voxel_size_nm[1], table->voxel_size_nm[2]);
    return EXA_OK;
}

/* What decides only what is made of the counts follows in the folder's text, not in the journals' identity. */
static exa_status make_identity(exa_connectome_work *w, char **text) {
    exa_json_text t = {0};
    exa_status st = describe(w, &t);

    if (st == EXA_OK && t.failed) st = EXA_FAIL(EXA_ERR_MEMORY, "cannot allocate a text");
    if (st == EXA_OK) st = exa_sha256(t.data, t.size, w->identity);
    exa_json_text_add(&t, "min_synapses: %llu\nautapses: %d\ncandidate_area_nm2: %.17g\n",
                      (unsigned long long)w->o->min_synapses, w->o->autapses, w->o->candidate_area_nm2);
    if (st == EXA_OK) return exa_json_text_take(&t, text);
    free(t.data);
    return st;
}

static exa_status lock_folder(exa_connectome_work *w) {
    char path[EXA_PATH_BYTES];

    EXA_TRY(exa_path_join(path, w->o->folder, "lock"));
    w->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    EXA_CHECK(w->lock >= 0, EXA_ERR_IO, "cannot open '%s': %s", path, strerror(errno));
    if (flock(w->lock, LOCK_EX | LOCK_NB) == 0) return EXA_OK;
    EXA_CHECK(errno != EWOULDBLOCK, EXA_ERR_CONFIG,
              "another process is working in '%s'. Hint: wait for it, or name another folder", w->o->folder);
    /* Some Lustre mounts have no locks. */
    EXA_WARN("cannot lock '%s' (%s): take care that no second process works there", w->o->folder, strerror(errno));
    return EXA_OK;
}

/* What a start that was killed at once leaves does not count. */
static exa_status is_empty(const char *folder, bool *empty) {
    DIR *d = opendir(folder);
    struct dirent *entry;

    EXA_CHECK(d, EXA_ERR_IO, "cannot read the folder '%s': %s", folder, strerror(errno));
    *empty = true;
    while (*empty && (entry = readdir(d)) != NULL) {
        const char *name = entry->d_name;
        *empty = !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, "lock") || strstr(name, ".tmp-");
    }
    closedir(d);
    return EXA_OK;
}

static exa_status drop_old(const exa_connectome_work *w, const char *summary) {
    EXA_CHECK(remove(summary) == 0 || errno == ENOENT, EXA_ERR_IO, "cannot remove '%s': %s", summary,
              strerror(errno));
    return exa_connectome_clear_journals(w);
}

/* Where the next line begins, or the end; chunks decide nothing of what a complete folder has, so that their line
 * is stepped over if `any_chunks`. */
static const char *next_line(const char *line, bool any_chunks) {
    if (*line) line += strcspn(line, "\n");
    if (*line) line++;
    return any_chunks && strncmp(line, "chunk:", 6) == 0 ? next_line(line, false) : line;
}

static size_t line_length(const char *line) {
    return strcspn(line, "\n");
}

/* EXA_ERR_CONFIG with the first line that differs. */
static exa_status compare_identities(const char *folder, const char *there, const char *now, bool complete) {
    size_t a, b;

    for (;; there = next_line(there, complete), now = next_line(now, complete)) {
        a = line_length(there);
        b = line_length(now);
        if (a != b || memcmp(there, now, a) != 0) break;
        if (!*there && !*now) return EXA_OK;
    }
    return EXA_FAIL(EXA_ERR_CONFIG,
                    "'%.400s' holds a connectome of something else: made of '%.*s', now of '%.*s' (" IDENTITY
                    " there). Hint: name another folder%s",
                    folder, (int)(a < 400 ? a : 400), there, (int)(b < 400 ? b : 400), now,
                    complete ? "" : ", or delete this one: it is not finished");
}

/* On rank 0: a new folder, one that goes on, one that is complete; anything else is refused. */
static exa_status open_folder(exa_connectome_work *w, const char *identity, bool *complete) {
    char path[EXA_PATH_BYTES], summary[EXA_PATH_BYTES], *there = NULL;
    exa_status differ;
    bool empty;
    size_t size;

    *complete = false;
    EXA_TRY(exa_file_make_directories(w->o->folder));
    EXA_TRY(exa_path_join(path, w->o->folder, IDENTITY));
    EXA_TRY(exa_path_join(summary, w->o->folder, "summary.json"));
    EXA_TRY(is_empty(w->o->folder, &empty));
    EXA_CHECK(empty || exa_file_exists(path), EXA_ERR_CONFIG,
              "'%s' has other things in it. Hint: name a new or an empty folder", w->o->folder);
    EXA_TRY(lock_folder(w));
    if (exa_file_exists(path)) {
        EXA_TRY(exa_file_read_all(path, LARGEST_TEXT, &there, &size));
        differ = compare_identities(w->o->folder, there, identity, exa_file_exists(summary));
        free(there);
        *complete = differ == EXA_OK && exa_file_exists(summary);
        if (differ == EXA_OK || !w->o->replace) return differ;
        EXA_TRY(drop_old(w, summary));
    }
    return exa_file_write_atomic(path, identity, strlen(identity));
}

/* ---- sums ---------------------------------------------------------------------------------------------------- */

static exa_status sum_segments(exa_connectome_work *w) {
    const exa_reduction by_id = {.size = sizeof(exa_segment), .combine = exa_segment_combine};
    const exa_segment *list;
    exa_status st = EXA_OK;

    EXA_TRY(exa_reduce_by_key(&by_id, &w->segments.list, &w->segments.count));
    w->segments.capacity = w->segments.count;
    list = w->segments.list;
    for (size_t i = 0; st == EXA_OK && i < w->segments.count; i++) {
        const exa_neuron n = {.id = list[i].id, .voxels = list[i].voxels};
        st = exa_records_add(&w->neurons, &n, 1, sizeof n);
    }
    return exa_comm_agree(st);
}

static exa_status add_pair(exa_connectome_work *w, const exa_pair *pair) {
    return exa_records_add(&w->pairs, pair, 1, sizeof *pair);
}

/* What touches and what connects, all of a pair in one record. */
static exa_status list_pairs(exa_connectome_work *w) {
    const exa_contact *contact = w->contacts.list;
    const exa_contact_site *site = w->sites.list;
    const exa_synapse *synapse = w->synapses.list;

    for (size_t i = 0; i < w->contacts.count; i++) {
        exa_pair p = {.a = contact[i].a, .b = contact[i].b};
        memcpy(p.faces, contact[i].faces, sizeof p.faces);
        EXA_TRY(add_pair(w, &p));
    }
    for (size_t i = 0; i < w->sites.count; i++)
        EXA_TRY(add_pair(w, &(exa_pair){.a = site[i].a, .b = site[i].b, .sites = 1}));
    for (size_t i = 0; i < w->synapses.count; i++) {
        const exa_synapse *s = &synapse[i];
        const bool forward = s->pre <= s->post;
        if (exa_synapse_judge(s, w->o->autapses) != EXA_SYNAPSE_ACCEPTED) continue;
        EXA_TRY(add_pair(w, &(exa_pair){.a = forward ? s->pre : s->post,
                                        .b = forward ? s->post : s->pre,
                                        .forward = forward ? s->synapses : 0,
                                        .backward = forward ? 0 : s->synapses}));
    }
    return EXA_OK;
}

static exa_status sum_pairs(exa_connectome_work *w) {
    const exa_reduction by_pair = {.size = sizeof(exa_pair), .combine = exa_pair_combine, .key_words = 2};

    EXA_TRY(exa_comm_agree(list_pairs(w)));
    exa_records_free(&w->contacts);
    EXA_TRY(exa_reduce_by_key(&by_pair, &w->pairs.list, &w->pairs.count));
    w->pairs.capacity = w->pairs.count;
    return EXA_OK;
}

bool exa_connectome_keeps(const exa_connectome_work *w, const exa_connection *c) {
    if (c->synapses == 0 || c->synapses < w->o->min_synapses) return false;
    return !w->o->keep || w->o->keep(c, w->o->context);
}

static exa_status add_connection(exa_connectome_work *w, const exa_pair *p, exa_segid pre, exa_segid post,
                                 uint64_t synapses) {
    exa_connection c = {.pre = pre, .post = post, .synapses = synapses};

    memcpy(c.faces, p->faces, sizeof c.faces);
    if (!exa_connectome_keeps(w, &c)) return EXA_OK;
    w->synapse_count += synapses;
    return exa_records_add(&w->connections, &c, 1, sizeof c);
}

static exa_status sum_connections(exa_connectome_work *w) {
    const exa_reduction by_ends = {
        .size = sizeof(exa_connection), .combine = exa_connection_combine, .key_words = 2};
    const exa_pair *list = w->pairs.list;
    exa_status st = EXA_OK;

    for (size_t i = 0; st == EXA_OK && i < w->pairs.count; i++) {
        st = add_connection(w, &list[i], list[i].a, list[i].b, list[i].forward);
        if (st == EXA_OK) st = add_connection(w, &list[i], list[i].b, list[i].a, list[i].backward);
    }
    EXA_TRY(exa_comm_agree(st));
    EXA_TRY(exa_reduce_by_key(&by_ends, &w->connections.list, &w->connections.count));
    w->connections.capacity = w->connections.count;
    return exa_sum_all(&w->synapse_count, 1);
}

static exa_status add_neuron(exa_connectome_work *w, const exa_neuron *neuron) {
    return exa_records_add(&w->neurons, neuron, 1, sizeof *neuron);
}

/* What pairs and connections say of each of the two. */
static exa_status list_neurons(exa_connectome_work *w) {
    const exa_pair *pair = w->pairs.list;
    const exa_connection *c = w->connections.list;

    for (size_t i = 0; i < w->pairs.count; i++) {
        const bool touch = pair[i].faces[0] + pair[i].faces[1] + pair[i].faces[2] > 0;
        exa_neuron n = {.contacts = touch, .sites = pair[i].sites, .named = pair[i].forward + pair[i].backward > 0};
        memcpy(n.faces, pair[i].faces, sizeof n.faces);
        n.id = pair[i].a;
        EXA_TRY(add_neuron(w, &n));
        n.id = pair[i].b;
        if (pair[i].a != pair[i].b) EXA_TRY(add_neuron(w, &n));
    }
    for (size_t i = 0; i < w->connections.count; i++) {
        EXA_TRY(add_neuron(w, &(exa_neuron){.id = c[i].pre, .synapses_out = c[i].synapses, .partners_out = 1}));
        EXA_TRY(add_neuron(w, &(exa_neuron){.id = c[i].post, .synapses_in = c[i].synapses, .partners_in = 1}));
    }
    return EXA_OK;
}

static exa_status sum_neurons(exa_connectome_work *w) {
    const exa_reduction by_id = {.size = sizeof(exa_neuron), .combine = exa_neuron_combine};

    EXA_TRY(exa_comm_agree(list_neurons(w)));
    EXA_TRY(exa_reduce_by_key(&by_id, &w->neurons.list, &w->neurons.count));
    w->neurons.capacity = w->neurons.count;
    return EXA_OK;
}

exa_status exa_connectome_connect(exa_connectome_work *w) {
    EXA_TRY(sum_pairs(w));
    EXA_TRY(sum_connections(w));
    return sum_neurons(w);
}

/* ---- the whole ----------------------------------------------------------------------------------------------- */

static exa_status prepare(exa_connectome_work *w) {
    EXA_TRY(check_options(w->o));
    return open_segmentation(w);
}

static void say_what(const exa_connectome_work *w) {
    if (!w->volume) return;
    EXA_INFO("contacts of %lld x %lld x %lld voxels of '%s': %llu chunks", (long long)w->box.shape[0],
             (long long)w->box.shape[1], (long long)w->box.shape[2], w->o->segmentation,
             (unsigned long long)w->grid.chunks);
}

static exa_status make(exa_connectome_work *w) {
    say_what(w);
    EXA_TRY(exa_connectome_spread_table(w));
    EXA_TRY(exa_connectome_count_chunks(w));
    EXA_TRY(sum_segments(w));
    EXA_TRY(exa_connectome_join_sites(w));
    EXA_TRY(exa_connectome_judge(w));
    EXA_TRY(exa_connectome_connect(w));
    return exa_connectome_write(w);
}

static void release(exa_connectome_work *w) {
    exa_records *const all[] = {&w->segments, &w->contacts, &w->sites,       &w->queries,
                                &w->synapses, &w->pairs,    &w->connections, &w->neurons};

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) exa_records_free(all[i]);
    free(w->own.list);
    free(w->seen.list);
    exa_synapse_table_close(&w->table);
    exa_volume_close(&w->volume);
    if (w->lock >= 0) close(w->lock);
}

exa_status exa_connectome_make(const exa_connectome_options *options) {
    const bool first = exa_comm_rank() == 0;
    exa_connectome_work w = {.o = options, .lock = -1};
    char *identity = NULL, text[32];
    bool complete = false;
    double began = exa_clock_now();
    exa_status st;

    EXA_GOTO(done, exa_comm_agree(prepare(&w)));
    EXA_GOTO(done, exa_connectome_open_table(&w));
    EXA_GOTO(done, exa_comm_agree(first ? make_identity(&w, &identity) : EXA_OK));
    EXA_GOTO(done, exa_comm_broadcast(w.identity, sizeof w.identity));
    EXA_GOTO(done, exa_comm_agree(first ? open_folder(&w, identity, &complete) : EXA_OK));
    EXA_GOTO(done, exa_comm_broadcast(&complete, sizeof complete));
    if (complete) {
        EXA_INFO("'%s' is complete already", options->folder);
        goto done;
    }
    EXA_GOTO(done, make(&w));
    EXA_INFO("connectome: %s in %s", options->folder, exa_format_duration(exa_clock_now() - began, text));
done:
    free(identity);
    release(&w);
    return st;
}
