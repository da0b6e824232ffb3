/* exaconn info: what a file or folder is, and what this machine has. */
#include "cli_internal.h"

#include "exaconn/cpu.h"
#include "exaconn/device.h"
#include "exaconn/ffn_model.h"
#include "exaconn/file.h"
#include "exaconn/generation.h"
#include "exaconn/journal.h"
#include "exaconn/json.h"
#include "exaconn/placement.h"
#include "exaconn/precomputed.h"
#include "exaconn/run_directory.h"
#include "exaconn/segclr_model.h"
#include "exaconn/volume.h"
#include "exaconn/weights_file.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WEIGHTS_MAGIC "EXAWTS\r\n" /* docs/formats.md */
#define JOURNAL_MAGIC "EXAJRN\r\n"

/* Facts go either way: "label  value" lines, or a JSON object. */
typedef struct report {
    exa_json_text text;
    bool json, first;
} report;

static void add_name(report *r, const char *name) {
    char label[40];
    size_t i = 0;

    if (r->json) {
        exa_json_text_add(&r->text, "%s\n  \"%s\": ", r->first ? "" : ",", name);
    } else {
        for (; name[i] && i < sizeof label - 1; i++) label[i] = name[i] == '_' ? ' ' : name[i];
        label[i] = 0;
        exa_json_text_add(&r->text, "%-22s ", label);
    }
    r->first = false;
}

static void end_line(report *r) {
    if (!r->json) exa_json_text_add(&r->text, "\n");
}

static void add_text(report *r, const char *name, const char *value) {
    add_name(r, name);
    if (r->json) {
        exa_json_text_add_string(&r->text, value);
    } else {
        exa_json_text_add(&r->text, "%s", value);
    }
    end_line(r);
}

static void add_integer(report *r, const char *name, int64_t value) {
    add_name(r, name);
    exa_json_text_add(&r->text, "%lld", (long long)value);
    end_line(r);
}

static void add_real(report *r, const char *name, double value) {
    add_name(r, name);
    exa_json_text_add_real(&r->text, value);
    end_line(r);
}

/* A float as a person would write it: 0.95, not 0.949999988. */
static void add_float(report *r, const char *name, float value) {
    char digits[40];

    for (int precision = 6; precision <= 9; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, (double)value);
        if (strtof(digits, NULL) == value) break;
    }
    add_name(r, name);
    exa_json_text_add(&r->text, "%s", digits);
    end_line(r);
}

/* Bytes, and in words for people. */
static void add_bytes(report *r, const char *name, uint64_t bytes) {
    char words[32];

    add_name(r, name);
    exa_json_text_add(&r->text, "%llu", (unsigned long long)bytes);
    if (!r->json) exa_json_text_add(&r->text, " (%s)", exa_format_bytes((double)bytes, words));
    end_line(r);
}

static void add_triple(report *r, const char *name, const int64_t zyx[3]) {
    add_name(r, name);
    exa_json_text_add(&r->text, "[%lld, %lld, %lld]", (long long)zyx[0], (long long)zyx[1], (long long)zyx[2]);
    end_line(r);
}

static void add_reals3(report *r, const char *name, const double zyx[3]) {
    add_name(r, name);
    for (int i = 0; i < 3; i++) {
        exa_json_text_add(&r->text, i ? ", " : "[");
        exa_json_text_add_real(&r->text, zyx[i]);
    }
    exa_json_text_add(&r->text, "]");
    end_line(r);
}

/* ---- what it can be ----------------------------------------------------------------------------- */

static exa_status tell_segclr(const char *path, report *r) {
    exa_segclr_model *m = NULL;

    EXA_TRY(exa_segclr_model_read(path, &m));
    add_text(r, "kind", "segclr weights");
    add_text(r, "path", path);
    add_text(r, "variant", exa_segclr_variant_name(m->geometry.variant));
    add_integer(r, "depth", m->geometry.depth);
    add_integer(r, "width", m->geometry.width);
    add_integer(r, "head_layers", m->geometry.head_layers);
    add_integer(r, "embedding_dim", m->geometry.embedding);
    add_triple(r, "patch", m->patch);
    add_real(r, "resolution_z_nm", m->resolution_nm[0]);
    add_real(r, "resolution_y_nm", m->resolution_nm[1]);
    add_real(r, "resolution_x_nm", m->resolution_nm[2]);
    add_text(r, "axis_order", m->axis_order);
    add_integer(r, "parameters", exa_segclr_model_parameters(m));
    add_real(r, "gflop_per_patch", exa_segclr_model_flops(m) * 1e-9);
    add_text(r, "source", m->source);
    add_text(r, "source_sha256", m->source_sha256);
    add_text(r, "license", m->license);
    add_text(r, "weights_sha256", m->weights_sha256);
    exa_segclr_model_destroy(&m);
    return EXA_OK;
}

static exa_status tell_ffn(const char *path, report *r) {
    exa_ffn_model *m = NULL;

    EXA_TRY(exa_ffn_model_read(path, &m));
    add_text(r, "kind", "ffn weights");
    add_text(r, "path", path);
    add_integer(r, "depth", m->depth);
    add_integer(r, "features", m->features);
    add_triple(r, "fov", m->fov);
    add_triple(r, "deltas", m->deltas);
    add_integer(r, "parameters", exa_ffn_model_parameters(m));
    add_real(r, "gflop_per_step", exa_ffn_model_flops(m) * 1e-9);
    add_float(r, "image_mean", m->image_mean);
    add_float(r, "image_stddev", m->image_stddev);
    add_float(r, "init_activation", m->options.init_activation);
    add_float(r, "pad_value", m->options.pad_value);
    add_float(r, "move_threshold", m->options.move_threshold);
    add_float(r, "segment_threshold", m->options.segment_threshold);
    add_float(r, "disco_seed_threshold", m->options.disco_seed_threshold);
    add_integer(r, "min_segment_size", m->options.min_segment_size);
    add_triple(r, "min_boundary_dist", m->options.min_boundary_dist);
    add_text(r, "source", m->source);
    add_text(r, "source_sha256", m->source_sha256);
    add_text(r, "license", m->license);
    add_text(r, "weights_sha256", m->weights_sha256);
    exa_ffn_model_destroy(&m);
    return EXA_OK;
}

static exa_status tell_weights(const char *path, report *r) {
    exa_weights_file *file;
    char kind[64] = "";

    EXA_TRY(exa_weights_file_open(path, NULL, &file));
    exa_status st = exa_weights_file_get_text(file, "kind", kind, sizeof kind);
    exa_weights_file_close(&file);
    EXA_TRY(st);
    return strncmp(kind, "segclr-", 7) == 0 ? tell_segclr(path, r) : tell_ffn(path, r);
}

/* Records of each kind, and what is damaged. */
typedef struct journal_facts {
    uint64_t records, labels, probabilities, chunks, others, payload_bytes, stored_bytes;
} journal_facts;

static exa_status count_records(exa_journal_reader *reader, journal_facts *f) {
    exa_journal_record record;
    bool end;

    for (;;) {
        EXA_TRY(exa_journal_next(reader, &record, &end));
        if (end) return EXA_OK;
        f->records++;
        f->labels += record.kind == 1;
        f->probabilities += record.kind == 2;
        f->chunks += record.kind == 3; /* the last one of a chunk */
        f->others += record.kind == 0 || record.kind > 3;
        f->payload_bytes += record.size;
        f->stored_bytes += record.stored_size;
    }
}

static exa_status tell_journal(const char *path, report *r) {
    exa_journal_reader *reader = NULL;
    const exa_journal_owner *owner;
    const exa_journal_damage *damage;
    journal_facts f = {0};
    exa_status st;

    EXA_TRY(exa_journal_open(path, NULL, &reader));
    EXA_GOTO(done, count_records(reader, &f));
    owner = exa_journal_reader_owner(reader);
    damage = exa_journal_reader_damage(reader);
    add_text(r, "kind", "journal");
    add_text(r, "path", path);
    add_text(r, "run_sha256", owner->run_sha256);
    add_integer(r, "epoch", owner->epoch);
    add_integer(r, "rank", owner->rank);
    add_integer(r, "records", (int64_t)f.records);
    add_integer(r, "labels", (int64_t)f.labels);
    add_integer(r, "probabilities", (int64_t)f.probabilities);
    add_integer(r, "chunks", (int64_t)f.chunks);
    add_integer(r, "other_records", (int64_t)f.others);
    add_bytes(r, "payload_bytes", f.payload_bytes);
    add_bytes(r, "stored_bytes", f.stored_bytes);
    add_integer(r, "damaged_places", (int64_t)damage->regions);
    add_bytes(r, "damaged_bytes", damage->bytes);
    add_bytes(r, "cut_bytes", damage->tail_bytes);
done:
    exa_journal_reader_close(&reader);
    return st;
}

static exa_status tell_generation(exa_generation *g, const char *path, report *r) {
    const exa_generation_info *i = exa_generation_get_info(g);
    uint64_t bytes[EXA_CHUNK_PARTS] = {0}, damaged;

    EXA_TRY(exa_generation_read_all(g, &damaged));
    for (uint64_t row = 0; row < i->rows; row++)
        for (int p = 0; p < EXA_CHUNK_PARTS; p++) bytes[p] += exa_generation_rows(g)[row].size[p];
    add_text(r, "kind", "checkpoint generation");
    add_text(r, "path", path);
    add_integer(r, "generation", (int64_t)i->number);
    add_text(r, "run_sha256", i->run_sha256);
    add_integer(r, "epoch", i->epoch);
    add_integer(r, "chunks", (int64_t)i->rows);
    add_integer(r, "chunks_of_run", (int64_t)i->chunks);
    add_integer(r, "damaged_chunks", (int64_t)damaged);
    add_bytes(r, "label_bytes", bytes[EXA_CHUNK_LABELS]);
    add_bytes(r, "probability_bytes", bytes[EXA_CHUNK_PROBABILITY]);
    add_bytes(r, "detail_bytes", bytes[EXA_CHUNK_DETAILS]);
    add_text(r, "weights_sha256", i->weights_sha256);
    add_text(r, "made_by", i->made_by);
    return EXA_OK;
}

/* False if it is none, so that it may be a volume. */
static bool is_generation(const char *path, exa_generation **g) {
    return exa_generation_open(path, NULL, g) == EXA_OK;
}

static exa_status tell_volume(const char *name, report *r) {
    exa_volume *volume = NULL;
    exa_volume_info info;
    exa_box box = {{0, 0, 0}, {0, 0, 0}};
    int64_t voxels = 0;
    exa_status st;

    EXA_TRY(exa_volume_open(name, &volume));
    EXA_GOTO(done, exa_volume_get_info(volume, &info));
    add_text(r, "kind", "volume");
    add_text(r, "name", info.name);
    add_text(r, "format", info.format);
    add_text(r, "type", info.type_name);
    add_triple(r, "shape", info.shape);
    memcpy(box.shape, info.shape, sizeof box.shape);
    if (exa_box_voxels(&box, &voxels) == EXA_OK) {
        add_integer(r, "voxels", voxels);
    } else {
        add_name(r, "voxels"); /* beyond 2^63: to the precision of a double */
        exa_json_text_add_real(&r->text, (double)info.shape[0] * (double)info.shape[1] * (double)info.shape[2]);
        end_line(r);
    }
    add_triple(r, "chunk", info.chunk);
    add_reals3(r, "voxel_size_nm", info.voxel_size_nm);
    add_text(r, "compression", info.compression);
    add_bytes(r, "stored_bytes", info.stored_bytes);
done:
    exa_volume_close(&volume);
    return st;
}

/* A container with several volumes, or none that it could mean alone. */
static exa_status tell_container(const char *path, const exa_volume_list *list, report *r) {
    int named = list->count < EXA_VOLUME_LIST_MAX ? list->count : EXA_VOLUME_LIST_MAX;

    add_text(r, "kind", "hdf5 file");
    add_text(r, "path", path);
    add_integer(r, "volumes", list->count);
    add_name(r, "names");
    if (r->json) exa_json_text_add(&r->text, "[");
    for (int i = 0; i < named; i++) {
        exa_json_text_add(&r->text, r->json ? "%s\"%s\"" : "%s%s", i ? ", " : "", list->name[i]);
        if (!r->json) exa_json_text_add(&r->text, " (%s)", list->text[i]);
    }
    if (!r->json && named < list->count) exa_json_text_add(&r->text, ", and %d more", list->count - named);
    if (r->json) exa_json_text_add(&r->text, "]");
    if (r->json && named < list->count) exa_json_text_add(&r->text, ",\n  \"names_truncated\": true");
    end_line(r);
    return EXA_OK;
}

static exa_status tell_run(const char *path, bool running, report *r) {
    static const char *const files[] = {"job.json",          "run.log",           "status.json",     "journals",
                                        "checkpoints",       "failed_chunks.csv", "segmentation.h5", "attempts.csv",
                                        "segments.csv",      "supervoxels.csv",   "candidates.csv",  "precomputed",
                                        "neuroglancer.json", "summary.json"};
    char file[EXA_PATH_BYTES];
    const char *state;
    bool any = false;

    EXA_TRY(exa_cli_run_state(path, running, &state));
    add_text(r, "kind", "run directory");
    add_text(r, "path", path);
    add_text(r, "state", state);
    add_name(r, "files");
    if (r->json) exa_json_text_add(&r->text, "[");
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        EXA_TRY(exa_path_join(file, path, files[i]));
        if (!exa_file_exists(file)) continue;
        exa_json_text_add(&r->text, r->json ? "%s\"%s\"" : "%s%s", any ? ", " : "", files[i]);
        any = true;
    }
    if (r->json) exa_json_text_add(&r->text, "]");
    end_line(r);
    return EXA_OK;
}

/* A run directory, a weights file by its first bytes, else a volume. */
static exa_status tell_path(const char *path, report *r) {
    bool running = false;
    char first[8] = "", with_colon[EXA_PATH_BYTES];
    exa_volume_list list;
    exa_generation *generation;
    FILE *f;

    if (exa_precomputed_recognise(path) || strncmp(path, "precomputed://", 14) == 0) return tell_volume(path, r);
    if (exa_file_is_directory(path)) {
        EXA_CHECK(
            exa_run_directory_recognise(path, &running), EXA_ERR_CONFIG,
            "folder '%s' is neither a run directory nor a precomputed volume. Hint: name one of these, a weights "
            "file or a volume",
            path);
        return tell_run(path, running, r);
    }
    f = fopen(path, "rb");
    if (!f) {
        /* A file may have a colon in its name; a volume has one before its dataset. */
        EXA_CHECK(strchr(path, ':') || strstr(path, ".h5/"), EXA_ERR_IO,
                  "cannot open '%s': %s. Hint: name a weights file, a volume (FILE.h5:/DATASET) or a run directory",
                  path, strerror(errno));
        return tell_volume(path, r);
    }
    if (fread(first, 1, sizeof first, f) < sizeof first) memset(first, 0, sizeof first);
    fclose(f);
    if (memcmp(first, WEIGHTS_MAGIC, sizeof first) == 0) return tell_weights(path, r);
    if (memcmp(first, JOURNAL_MAGIC, sizeof first) == 0) return tell_journal(path, r);
    if (is_generation(path, &generation)) {
        exa_status st = tell_generation(generation, path, r);
        exa_generation_close(&generation);
        return st;
    }
    EXA_TRY(exa_volume_list_file(path, &list));
    if (list.count != 1) return tell_container(path, &list, r);
    EXA_CHECK(strlen(path) + 2 < sizeof with_colon, EXA_ERR_RANGE, "the path is too long (%zu bytes)",
              strlen(path));
    snprintf(with_colon, sizeof with_colon, "%s:", path);
    return tell_volume(with_colon, r);
}

static exa_status tell_device(report *r, int i) {
    exa_device device;
    char name[32], value[320], memory[32], uuid[EXA_DEVICE_UUID_TEXT_BYTES], cores[256];

    EXA_TRY(exa_device_get(i, &device));
    snprintf(name, sizeof name, "gpu_%d", i);
    snprintf(value, sizeof value, "%s, compute capability %d.%d, %d multiprocessors, %s", device.name, device.major,
             device.minor, device.multiprocessors, exa_format_bytes((double)device.memory_bytes, memory));
    add_text(r, name, value);
    snprintf(name, sizeof name, "gpu_%d_pci", i);
    add_text(r, name, device.pci);
    snprintf(name, sizeof name, "gpu_%d_uuid", i);
    exa_device_uuid_text(device.uuid, uuid);
    add_text(r, name, uuid);
    exa_placement_cores(device.pci, cores, sizeof cores);
    snprintf(name, sizeof name, "gpu_%d_beside", i);
    add_text(r, name, *cores ? cores : "unknown");
    return EXA_OK;
}

/* What a run started like this would take, each of its ranks for itself. */
static exa_status tell_placement(report *r) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    exa_placement p;

    if (visible) add_text(r, "cuda_visible_devices", visible);
    EXA_TRY(exa_placement_choose(&p));
    if (p.device < 0) return EXA_OK;
    add_integer(r, "gpu_taken", p.device);
    add_text(r, "gpu_distance", *p.cores ? exa_placement_distance_name(p.distance) : "unknown");
    return EXA_OK;
}

static exa_status tell_devices(report *r) {
    const char *reason = "";
    int count = exa_device_count(&reason);

    add_text(r, "kind", "machine");
    add_text(r, "processor", exa_cpu_model());
    add_text(r, "best_isa", exa_isa_name(exa_cpu_best_isa()));
    add_name(r, "isa");
    exa_json_text_add(&r->text, r->json ? "[\"portable\"%s%s]" : "portable%s%s",
                      !exa_cpu_has(EXA_ISA_AVX2) ? ""
                      : r->json                  ? ", \"avx2\""
                                                 : ", avx2",
                      !exa_cpu_has(EXA_ISA_AVX512) ? ""
                      : r->json                    ? ", \"avx512\""
                                                   : ", avx512");
    end_line(r);
    add_integer(r, "cores", exa_cpu_cores());
    add_bytes(r, "memory_bytes", exa_cpu_memory_bytes());
    add_integer(r, "gpus", count);
    if (count == 0) add_text(r, "no_gpu_because", reason);
    for (int i = 0; i < count; i++) EXA_TRY(tell_device(r, i));
    return tell_placement(r);
}

/* ---- the command -------------------------------------------------------------------------------- */

static exa_status run(const exa_cli_arguments *arguments) {
    const char *path = exa_cli_positional(arguments, 0);
    bool devices = exa_cli_has(arguments, "devices");
    report r = {.json = exa_cli_has(arguments, "json"), .first = true};
    char *out = NULL;
    exa_status st;

    EXA_CHECK(!devices != !path, EXA_ERR_CONFIG,
              "`exaconn info` needs either a PATH or --devices. Hint: exaconn info ffn.h5");
    if (r.json) exa_json_text_add(&r.text, "{");
    st = devices ? tell_devices(&r) : tell_path(path, &r);
    if (r.json) exa_json_text_add(&r.text, "\n}\n");
    if (st != EXA_OK) {
        free(r.text.data);
        return st;
    }
    EXA_TRY(exa_json_text_take(&r.text, &out));
    fputs(out, stdout);
    free(out);
    return EXA_OK;
}

const exa_cli_command exa_cmd_info = {
    .name = "info",
    .positional = "PATH",
    .positional_min = 0,
    .positional_max = 1,
    .summary = "say what a file or folder is, or what this machine has",
    .description =
        "PATH is a weights file, a volume (FILE.h5:/DATASET, or FILE.h5 for its only one or a list of "
        "them, or a precomputed folder), a run directory, or a journal or checkpoint in one. Weights, "
        "journals and checkpoints are "
        "verified by their checksums. Triples are z, y, x; a chunk of 0 means "
        "contiguous, a voxel size of 0 means unknown.\n"
        "--devices tells the processor, the cores and the memory this process may use, and the GPUs: where on "
        "the machine they are, the cores beside them, and the one that a run of one rank would take.",
    .example = "exaconn info ffn.h5\n"
               "exaconn info --json fib25.h5:/raw\n"
               "exaconn info RUN\n"
               "exaconn info --devices",
    .options = (const exa_cli_option[]){{"devices", 'd', EXA_CLI_FLAG, NULL, "what this machine has"},
                                        {"json", 0, EXA_CLI_FLAG, NULL, "print JSON"},
                                        {0}},
    .run = run,
};
