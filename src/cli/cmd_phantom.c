/* exaconn phantom: procedural tissue, its labels and its synapses as files. */
#include "exaconn/file.h"
#include "exaconn/json.h"
#include "exaconn/phantom.h"
#include "exaconn/pool.h"
#include "exaconn/version.h"
#include "exaconn/volume.h"

#include "cli_internal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is in memory at once: 64 planes of 512 x 512 voxels, with 8-byte labels 128 MiB. */
static const exa_coord PIECE[3] = {64, 512, 512};

typedef struct making {
    char spec[1100];
    exa_phantom_options options;
    exa_box box;
    exa_volume *raw, *labels; /* NULL where not asked for */
    exa_pool *pool;
    exa_phantom **phantoms; /* one for each thread */
    uint8_t *image;         /* of a piece */
    exa_segid *ids;
    long long synapses; /* written; -1 = not asked for */
} making;

static volatile sig_atomic_t stop_signal;

static void on_signal(int number) {
    stop_signal = number;
}

/* A second signal ends the process the ordinary way. */
static void catch_signals(void) {
    struct sigaction action = {.sa_handler = on_signal};

    action.sa_flags = (int)SA_RESETHAND;
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

static exa_status check_stop(void) {
    EXA_CHECK(!stop_signal, EXA_ERR_CANCELLED, "stopped by signal %d (%s); nothing is left behind",
              (int)stop_signal, strsignal((int)stop_signal));
    return EXA_OK;
}

/* ---- voxels -------------------------------------------------------------------------------------------------- */

/* The cells of a grid from voxel 0 that meet a box. */
typedef struct cells {
    exa_box box;
    exa_coord side[3], first[3], count[3];
    size_t total;
} cells;

static cells cells_of(const exa_box *box, const exa_coord side[3]) {
    cells c = {.box = *box, .total = 1};

    for (int a = 0; a < 3; a++) {
        c.side[a] = side[a];
        c.first[a] = box->start[a] / side[a];
        c.count[a] = (box->start[a] + box->shape[a] - 1) / side[a] - c.first[a] + 1;
        c.total *= (size_t)c.count[a];
    }
    return c;
}

/* What of cell `item` lies in the box. */
static exa_box cell_box(const cells *c, size_t item) {
    exa_coord i = (exa_coord)item,
              at[3] = {i / (c->count[1] * c->count[2]), i / c->count[2] % c->count[1], i % c->count[2]};
    exa_box cell;

    for (int a = 0; a < 3; a++) {
        cell.start[a] = (c->first[a] + at[a]) * c->side[a];
        cell.shape[a] = c->side[a];
    }
    return exa_box_intersect(&cell, &c->box);
}

typedef struct block_loop {
    making *m;
    exa_box piece;
    cells blocks; /* the phantom's blocks that meet the piece */
    atomic_int failed;
    exa_error error;
} block_loop;

/* One block into its place in the piece, through the thread's own buffers. */
static exa_status make_block(block_loop *l, size_t item, exa_phantom *p) {
    const exa_box block = cell_box(&l->blocks, item);
    uint8_t *image = NULL;
    exa_segid *ids = NULL;
    size_t n;
    exa_status st = EXA_OK;

    n = (size_t)(block.shape[0] * block.shape[1] * block.shape[2]);
    if (l->m->image) EXA_GOTO(done, exa_alloc(n, sizeof *image, "a block's image", &image));
    if (l->m->ids) EXA_GOTO(done, exa_alloc(n, sizeof *ids, "a block's labels", &ids));
    EXA_GOTO(done, exa_phantom_read(p, &block, image, ids));
    for (exa_coord row = 0; row < block.shape[0] * block.shape[1]; row++) {
        exa_coord z = block.start[0] - l->piece.start[0] + row / block.shape[1];
        exa_coord y = block.start[1] - l->piece.start[1] + row % block.shape[1];
        size_t to = (size_t)((z * l->piece.shape[1] + y) * l->piece.shape[2] + block.start[2] - l->piece.start[2]);
        size_t from = (size_t)(row * block.shape[2]), length = (size_t)block.shape[2];
        if (image) memcpy(l->m->image + to, image + from, length);
        if (ids) memcpy(l->m->ids + to, ids + from, length * sizeof *ids);
    }
done:
    free(image);
    free(ids);
    return st;
}

static void block_body(void *context, size_t item, int member) {
    block_loop *l = context;

    if (atomic_load(&l->failed)) return;
    if (make_block(l, item, l->m->phantoms[member]) != EXA_OK && atomic_exchange(&l->failed, 1) == 0)
        l->error = *exa_error_last();
}

static exa_status write_piece(making *m, const exa_box *piece) {
    block_loop l = {.m = m, .piece = *piece};
    exa_box local = *piece;
    exa_coord side[3];

    for (int a = 0; a < 3; a++) {
        side[a] = exa_phantom_block(m->phantoms[0], a);
        local.start[a] -= m->box.start[a];
    }
    l.blocks = cells_of(piece, side);
    EXA_TRY(check_stop());
    exa_pool_for(m->pool, l.blocks.total, block_body, &l);
    if (atomic_load(&l.failed)) return exa_error_restore(&l.error);
    if (m->raw) EXA_TRY(exa_volume_write(m->raw, &local, EXA_U8, m->image));
    if (m->labels) EXA_TRY(exa_volume_write(m->labels, &local, EXA_U64, m->ids));
    return EXA_OK;
}

static exa_status write_voxels(making *m) {
    exa_coord at[3];
    exa_box piece;

    for (at[0] = 0; at[0] < m->box.shape[0]; at[0] += PIECE[0]) {
        for (at[1] = 0; at[1] < m->box.shape[1]; at[1] += PIECE[1]) {
            for (at[2] = 0; at[2] < m->box.shape[2]; at[2] += PIECE[2]) {
                for (int a = 0; a < 3; a++) {
                    exa_coord left = m->box.shape[a] - at[a];
                    piece.start[a] = m->box.start[a] + at[a];
                    piece.shape[a] = left < PIECE[a] ? left : PIECE[a];
                }
                EXA_TRY(write_piece(m, &piece));
            }
        }
    }
    return EXA_OK;
}

/* ---- synapses ------------------------------------------------------------------------------------------------ */

static void print_voxel(FILE *f, const exa_coord v[3]) {
    fprintf(f, ",%lld,%lld,%lld", (long long)v[0], (long long)v[1], (long long)v[2]);
}

/* The synapses of one slab of the box, piece by piece. */
typedef struct slab_loop {
    making *m;
    cells pieces;
    exa_phantom_synapse **lists; /* owned, as their items are; one for each piece */
    size_t *counts;              /* owned */
    atomic_int failed;
    exa_error error;
} slab_loop;

static void slab_body(void *context, size_t item, int member) {
    slab_loop *l = context;
    const exa_box piece = cell_box(&l->pieces, item);
    exa_phantom *p = l->m->phantoms[member];
    exa_status st = check_stop();

    if (atomic_load(&l->failed)) return;
    if (st == EXA_OK) st = exa_phantom_synapses(p, &piece, &l->lists[item], &l->counts[item]);
    if (st != EXA_OK && atomic_exchange(&l->failed, 1) == 0) l->error = *exa_error_last();
}

static exa_status join_lists(slab_loop *l, exa_phantom_synapse **list, size_t *count) {
    exa_phantom_synapse *all;
    size_t n = 0;

    for (size_t i = 0; i < l->pieces.total; i++) n += l->counts[i];
    EXA_TRY(exa_alloc(n, sizeof *all, "the synapses of a slab", &all));
    n = 0;
    for (size_t i = 0; i < l->pieces.total; i++) {
        if (l->counts[i]) memcpy(all + n, l->lists[i], l->counts[i] * sizeof *all);
        n += l->counts[i];
    }
    if (n) qsort(all, n, sizeof *all, exa_phantom_synapse_order);
    *list = all;
    *count = n;
    return EXA_OK;
}

static exa_status list_slab(making *m, const exa_box *slab, exa_phantom_synapse **list, size_t *count) {
    slab_loop l = {.m = m, .pieces = cells_of(slab, PIECE)};
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_calloc(l.pieces.total, sizeof *l.lists, "the synapses of a slab", &l.lists));
    EXA_GOTO(done, exa_calloc(l.pieces.total, sizeof *l.counts, "the synapses of a slab", &l.counts));
    exa_pool_for(m->pool, l.pieces.total, slab_body, &l);
    if (atomic_load(&l.failed)) EXA_GOTO(done, exa_error_restore(&l.error));
    st = join_lists(&l, list, count);
done:
    for (size_t i = 0; l.counts && i < l.pieces.total; i++) free(l.lists[i]);
    free(l.lists);
    free(l.counts);
    return st;
}

/* Slab by slab along z, each sorted: what is in memory is the synapses of one slab. */
static exa_status write_synapses(making *m, FILE *f) {
    const exa_coord whole[3] = {PIECE[0], INT64_MAX, INT64_MAX};
    const cells slabs = cells_of(&m->box, whole);

    fprintf(f,
            "pre_id,post_id,z_vx,y_vx,x_vx,pre_z_vx,pre_y_vx,pre_x_vx,post_z_vx,post_y_vx,post_x_vx,radius_nm\n");
    m->synapses = 0;
    for (size_t s = 0; s < slabs.total; s++) {
        const exa_box slab = cell_box(&slabs, s);
        exa_phantom_synapse *list = NULL;
        size_t count = 0;
        EXA_TRY(list_slab(m, &slab, &list, &count));
        for (size_t i = 0; i < count; i++) {
            fprintf(f, "%llu,%llu", (unsigned long long)list[i].pre, (unsigned long long)list[i].post);
            print_voxel(f, list[i].center);
            print_voxel(f, list[i].pre_at);
            print_voxel(f, list[i].post_at);
            fprintf(f, ",%.1f\n", list[i].radius_nm);
        }
        m->synapses += (long long)count;
        free(list);
    }
    return EXA_OK;
}

/* Under a temporary name; made whole by the caller, after all else is. */
static exa_status write_table(making *m, const char *path, char temporary[EXA_PATH_BYTES]) {
    FILE *f;
    exa_status st;

    EXA_TRY(exa_file_temporary_name(temporary, path));
    f = fopen(temporary, "w");
    EXA_CHECK(f, EXA_ERR_IO, "cannot create '%s': %s", temporary, strerror(errno));
    st = write_synapses(m, f);
    if ((ferror(f) || fflush(f) != 0) && st == EXA_OK)
        st = EXA_FAIL(EXA_ERR_IO, "cannot write '%s': %s", temporary, strerror(errno));
    fclose(f);
    if (st != EXA_OK) remove(temporary);
    return st;
}

/* ---- the command --------------------------------------------------------------------------------------------- */

static exa_status create_volume(const exa_cli_arguments *arguments, const making *m, const char *name,
                                exa_dtype dtype, exa_volume **out) {
    exa_volume_create_options o = {.dtype = dtype, .zstd_level = (int)exa_cli_int(arguments, "level", 1)};
    double offset[3];

    if (!name) return EXA_OK;
    for (int a = 0; a < 3; a++) {
        o.shape[a] = m->box.shape[a];
        o.voxel_size_nm[a] = m->options.voxel_nm[a];
        offset[a] = (double)m->box.start[a];
    }
    EXA_TRY(exa_volume_create(name, &o, out));
    EXA_TRY(exa_volume_set_attribute_doubles(*out, "offset_zyx_vx", offset, 3));
    EXA_TRY(exa_volume_set_attribute_text(*out, "source_volume", m->spec));
    return exa_volume_set_attribute_text(*out, "made_by", exa_version_line());
}

static exa_status choose_box(const exa_cli_arguments *arguments, making *m) {
    const exa_box all = {{0, 0, 0}, {m->options.shape[0], m->options.shape[1], m->options.shape[2]}};
    const char *text = exa_cli_text(arguments, "box");

    m->box = all;
    if (!text) {
        const exa_coord *n = all.shape;
        EXA_CHECK((double)n[0] * (double)n[1] * (double)n[2] < 0x1p50, EXA_ERR_CONFIG,
                  "the whole phantom of %lld x %lld x %lld voxels is too much for files. Hint: write a part of it "
                  "with --box, or name the phantom itself where a volume is read",
                  (long long)n[0], (long long)n[1], (long long)n[2]);
        return EXA_OK;
    }
    EXA_TRY(exa_cli_parse_box(text, &m->box));
    EXA_CHECK(exa_box_inside(&m->box, &all), EXA_ERR_CONFIG,
              "--box %s is not inside the phantom of %lld x %lld x %lld voxels", text, (long long)all.shape[0],
              (long long)all.shape[1], (long long)all.shape[2]);
    return EXA_OK;
}

static exa_status start(const exa_cli_arguments *arguments, making *m) {
    int64_t threads = exa_cli_int(arguments, "threads", exa_cpu_cores());
    size_t voxels = (size_t)(PIECE[0] * PIECE[1] * PIECE[2]);

    EXA_CHECK(threads >= 1 && threads <= 1024, EXA_ERR_CONFIG, "--threads %lld: 1 to 1024 are possible",
              (long long)threads);
    EXA_TRY(exa_pool_create((int)threads, false, &m->pool));
    EXA_TRY(exa_calloc((size_t)threads, sizeof *m->phantoms, "phantoms", &m->phantoms));
    for (int64_t i = 0; i < threads; i++) EXA_TRY(exa_phantom_create(&m->options, EXA_ISA_AUTO, &m->phantoms[i]));
    if (exa_cli_has(arguments, "output")) EXA_TRY(exa_alloc(voxels, 1, "a piece of the image", &m->image));
    if (exa_cli_has(arguments, "labels"))
        EXA_TRY(exa_alloc(voxels, sizeof *m->ids, "a piece of the labels", &m->ids));
    return EXA_OK;
}

static void stop(making *m) {
    for (int i = 0; m->phantoms && i < exa_pool_threads(m->pool); i++) exa_phantom_destroy(&m->phantoms[i]);
    free(m->phantoms);
    exa_pool_destroy(&m->pool);
    exa_volume_close(&m->raw);
    exa_volume_close(&m->labels);
    free(m->image);
    free(m->ids);
}

/* The file behind an option, its folder resolved, so that two names of one file are seen to be one. */
static exa_status resolve(const exa_cli_arguments *arguments, const char *option, char out[EXA_PATH_BYTES]) {
    const char *name = exa_cli_text(arguments, option);
    char path[EXA_PATH_BYTES], dataset[EXA_PATH_BYTES], folder[EXA_PATH_BYTES], *real;
    size_t length;
    int n;

    out[0] = '\0';
    if (!name) return EXA_OK;
    if (strcmp(option, "synapses") == 0) {
        EXA_CHECK(strlen(name) < sizeof path && strcmp(name, "-") != 0, EXA_ERR_CONFIG,
                  "--synapses %.80s: name a file", name);
        memcpy(path, name, strlen(name) + 1);
    } else {
        EXA_TRY(exa_volume_split_name(name, path, sizeof path, dataset, sizeof dataset));
    }
    EXA_TRY(exa_cli_check_free(arguments, path));
    length = (size_t)(exa_path_basename(path) - path);
    memcpy(folder, path, length);
    folder[length] = '\0';
    real = realpath(length ? folder : ".", NULL);
    EXA_CHECK(real, EXA_ERR_IO, "cannot write '%s': %s", path, strerror(errno));
    n = snprintf(out, EXA_PATH_BYTES, "%s/%s", real, path + length);
    free(real);
    EXA_CHECK(n > 0 && n < EXA_PATH_BYTES, EXA_ERR_RANGE, "the path '%.80s...' is too long", path);
    return EXA_OK;
}

/* Each is a file of its own, renamed into place when it is whole: two in one would replace each other. */
static exa_status check_files(const exa_cli_arguments *arguments) {
    static const char *const options[] = {"output", "labels", "synapses"};
    char paths[3][EXA_PATH_BYTES];

    for (int i = 0; i < 3; i++) {
        EXA_TRY(resolve(arguments, options[i], paths[i]));
        for (int k = 0; k < i; k++)
            EXA_CHECK(!paths[i][0] || strcmp(paths[i], paths[k]) != 0, EXA_ERR_CONFIG,
                      "--%s and --%s are both to go into '%s'. Hint: name two files, as -o raw.h5:/raw --labels "
                      "truth.h5:/labels",
                      options[k], options[i], paths[i]);
    }
    return EXA_OK;
}

/* Everything under temporary names first, so that a failure before the last moment leaves nothing. */
static exa_status make_files(const exa_cli_arguments *arguments, making *m) {
    const char *table = exa_cli_text(arguments, "synapses");
    char temporary[EXA_PATH_BYTES];

    EXA_TRY(choose_box(arguments, m));
    EXA_TRY(check_files(arguments));
    EXA_TRY(create_volume(arguments, m, exa_cli_text(arguments, "output"), EXA_U8, &m->raw));
    EXA_TRY(create_volume(arguments, m, exa_cli_text(arguments, "labels"), EXA_U64, &m->labels));
    EXA_TRY(start(arguments, m));
    if (m->raw || m->labels) EXA_TRY(write_voxels(m));
    if (table) EXA_TRY(write_table(m, table, temporary));
    if (table) EXA_TRY(exa_file_commit(temporary, table));
    if (m->raw) EXA_TRY(exa_volume_commit(m->raw));
    return m->labels ? exa_volume_commit(m->labels) : EXA_OK;
}

static exa_status print_json(const exa_cli_arguments *arguments, const making *m) {
    static const char *const names[] = {"output", "labels", "synapses"};
    exa_json_text j = {0};
    char *text = NULL;

    exa_json_text_add(&j, "{\n  \"phantom\": ");
    exa_json_text_add_string(&j, m->spec);
    for (int i = 0; i < 3; i++) {
        exa_json_text_add(&j, ",\n  \"%s\": ", names[i]);
        exa_json_text_add_string(&j, exa_cli_text(arguments, names[i]));
    }
    exa_json_text_add(&j, ",\n  \"start\": [%lld, %lld, %lld],\n  \"shape\": [%lld, %lld, %lld]",
                      (long long)m->box.start[0], (long long)m->box.start[1], (long long)m->box.start[2],
                      (long long)m->box.shape[0], (long long)m->box.shape[1], (long long)m->box.shape[2]);
    if (m->synapses >= 0) exa_json_text_add(&j, ",\n  \"synapse_count\": %lld", m->synapses);
    exa_json_text_add(&j, "\n}\n");
    EXA_TRY(exa_json_text_take(&j, &text));
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

static void print_text(const exa_cli_arguments *arguments, const making *m) {
    const exa_coord *n = m->box.shape;

    if (exa_cli_has(arguments, "output"))
        printf("%s: %lld x %lld x %lld uint8 (z,y,x)\n", exa_cli_text(arguments, "output"), (long long)n[0],
               (long long)n[1], (long long)n[2]);
    if (exa_cli_has(arguments, "labels"))
        printf("%s: %lld x %lld x %lld uint64 (z,y,x)\n", exa_cli_text(arguments, "labels"), (long long)n[0],
               (long long)n[1], (long long)n[2]);
    if (m->synapses >= 0) printf("%s: %lld synapses\n", exa_cli_text(arguments, "synapses"), m->synapses);
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *spec = exa_cli_positional(arguments, 0);
    const bool named = strncmp(spec, EXA_PHANTOM_PREFIX, strlen(EXA_PHANTOM_PREFIX)) == 0;
    making m = {.synapses = -1};
    exa_phantom_part part;
    exa_status st = EXA_OK;

    EXA_CHECK(exa_cli_has(arguments, "output") || exa_cli_has(arguments, "labels") ||
                  exa_cli_has(arguments, "synapses"),
              EXA_ERR_CONFIG,
              "say what to write. Hint: -o raw.h5:/raw --labels truth.h5:/labels --synapses synapses.csv");
    EXA_CHECK(strlen(spec) < sizeof m.spec - 16, EXA_ERR_CONFIG, "the phantom's name is too long (%zu bytes)",
              strlen(spec));
    snprintf(m.spec, sizeof m.spec, "%s%s", named ? "" : EXA_PHANTOM_PREFIX, spec);
    EXA_TRY(exa_phantom_parse(m.spec, &m.options, &part));
    EXA_CHECK(!strstr(m.spec, ":/"), EXA_ERR_CONFIG,
              "'%s' names a part of the phantom. Hint: leave it out, and choose with -o (image) and --labels",
              spec);
    catch_signals();
    st = make_files(arguments, &m);
    stop(&m);
    EXA_TRY(st);
    if (exa_cli_has(arguments, "json")) return print_json(arguments, &m);
    print_text(arguments, &m);
    return EXA_OK;
}

static const exa_cli_option options_table[] = {
    {"output", 'o', EXA_CLI_TEXT, "FILE.h5:/DATASET", "where the image goes (uint8)"},
    {"labels", 0, EXA_CLI_TEXT, "FILE.h5:/DATASET", "where the exact labels go (uint64; another file)"},
    {"synapses", 0, EXA_CLI_PATH, "FILE.csv", "where the table of synapses goes"},
    {"box", 0, EXA_CLI_TEXT, "Z,Y,X,DZ,DY,DX", "only this part of the phantom"},
    {"level", 0, EXA_CLI_INT, "N", "zstd level 1..19, 0 for no compression (default 1)"},
    {"threads", 0, EXA_CLI_INT, "N", "threads (default: this process's cores)"},
    {"force", 'f', EXA_CLI_FLAG, NULL, "replace existing files"},
    {"json", 0, EXA_CLI_FLAG, NULL, "print what was made as JSON"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_phantom = {
    .name = "phantom",
    .positional = "SPEC",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "make EM-like tissue of any size with exact labels and synapses",
    .description =
        "SPEC is phantom:NAME=VALUE,... (here \"phantom:\" may be left out) and stands wherever a volume is read, "
        "without any file: a job's "
        "\"volume\": "
        "\"phantom:seed=7,shape=512x512x512\" is an image, and the same with \":/labels\" at its end is its truth. "
        "This command writes them to files, whole or a part.\n\n"
        "shape=ZxYxX (or one number): voxels; the only parameter without a default. "
        "seed=1; voxel=16x16x16: nm. "
        "pitch=384: nm between parallel neurites, which sets their calibre. "
        "noise=9: grey values. drift=0.3: of contrast and brightness, 0 to 1. "
        "missing=0.0005, dark=0.002: fractions of the sections. "
        "vacant=0.25: neurites left out; more make calibres vary more. "
        "empty=0.03: space without tissue. somata=0.12, glia=0.12: cells of 16 pitches with one. "
        "synapses=0.08: places where an axon passes a dendrite that are one. "
        "mitochondria=0.12: pieces of one pitch with one. docs/phantom.md shows the tissue.\n\n"
        "Any part equals the same part of the whole, whoever makes it, in any order.",
    .example = "exaconn phantom seed=7,shape=256 -o raw.h5:/raw --labels truth.h5:/labels "
               "--synapses synapses.csv\n"
               "exaconn phantom seed=7,shape=2000000x2000000x2500000 --box "
               "1000000,1000000,1000000,128,256,256 -o part.h5:/raw\n"
               "exaconn render --raw phantom:seed=7,shape=512 --truth phantom:seed=7,shape=512:/labels --slice "
               "z=256 -o slice.png",
    .options = options_table,
    .run = run,
};
