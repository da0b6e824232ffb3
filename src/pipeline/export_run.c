/* The volumes of a run for a viewer: what it read and what it made, in one coordinate system, that of the raw
 * volume.
 */
#include "run_internal.h"

#include "exaconn/comm.h"
#include "exaconn/export.h"
#include "exaconn/hash.h"
#include "exaconn/json.h"
#include "exaconn/log.h"
#include "exaconn/neuroglancer.h"
#include "exaconn/version.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static const size_t largest_text_bytes = (size_t)1 << 30;

typedef struct run_export {
    const char *run; /* folder */
    const exa_job *job;
    exa_box box;
    double voxel_size_nm[3];
    int gzip_level;
    char fingerprint[EXA_SHA256_HEX_BYTES];
    exa_run_work *work; /* NULL after the run */
} run_export;

/* ---- one volume ---------------------------------------------------------------------------------------------- */

static exa_status check_stop(void *context) {
    const run_export *e = context;
    return e->work ? exa_run_check_stop(e->work) : EXA_OK;
}

static exa_status export_volume(run_export *e, const char *volume, const char *name, bool is_raw) {
    char folder[EXA_PATH_BYTES], parent[EXA_PATH_BYTES];
    const exa_box whole = {{0, 0, 0}, {e->box.shape[0], e->box.shape[1], e->box.shape[2]}};
    exa_export_options o = {.volume = volume,
                            .folder = folder,
                            .type = is_raw ? EXA_EXPORT_IMAGE : EXA_EXPORT_SEGMENTATION,
                            .box = is_raw ? &e->box : &whole,
                            .offset = e->box.start,
                            .gzip_level = e->gzip_level,
                            .fingerprint = e->fingerprint,
                            .replace = true, /* the folder is the run's */
                            .progress_s = e->job->progress.interval_s,
                            .check = check_stop,
                            .context = e};

    memcpy(o.voxel_size_nm, e->voxel_size_nm, sizeof o.voxel_size_nm);
    EXA_TRY(exa_path_join(parent, e->run, EXA_EXPORT_FOLDER));
    EXA_TRY(exa_path_join(folder, parent, name));
    return exa_export(&o);
}

/* ---- what the viewer shows ----------------------------------------------------------------------------------- */

/* Of the volumes that are there and whole. */
static exa_status write_state(const run_export *e) {
    static const char *const names[] = {"raw", "segmentation"};
    char parent[EXA_PATH_BYTES], folders[2][EXA_PATH_BYTES], path[EXA_PATH_BYTES], *json = NULL;
    exa_neuroglancer_layer layers[2];
    int count = 0;
    exa_status st;

    EXA_TRY(exa_path_join(parent, e->run, EXA_EXPORT_FOLDER));
    for (int i = 0; i < 2; i++) {
        EXA_TRY(exa_path_join(folders[i], parent, names[i]));
        if (exa_precomputed_recognise(folders[i]))
            layers[count++] = (exa_neuroglancer_layer){names[i], names[i], folders[i]};
    }
    EXA_TRY(exa_path_join(path, e->run, EXA_EXPORT_STATE_FILE));
    EXA_TRY(exa_neuroglancer_state(layers, count, &json));
    st = exa_file_write_atomic(path, json, strlen(json));
    free(json);
    return st;
}

/* Equal jobs make equal segmentations, but for the chunks that failed: what differs in either is another state. The
 * job is the one in the folder, so that it is the same after the run. */
exa_status exa_run_fingerprint(const char *folder, char hex[EXA_SHA256_HEX_BYTES]) {
    static const char *const files[] = {"job.json", "failed_chunks.csv"};
    exa_json_text all = {0};
    char path[EXA_PATH_BYTES], *text = NULL;
    size_t size;
    exa_status st = EXA_OK;

    exa_json_text_add(&all, "%s\n", exa_version_line());
    for (int i = 0; i < 2; i++) {
        EXA_GOTO(done, exa_path_join(path, folder, files[i]));
        if (!exa_file_exists(path)) continue;
        EXA_GOTO(done, exa_file_read_all(path, largest_text_bytes, &text, &size));
        exa_json_text_add(&all, "%s\n", text);
        free(text);
        text = NULL;
    }
    EXA_CHECK_GOTO(done, !all.failed, EXA_ERR_MEMORY, "cannot allocate the text of a job");
    st = exa_sha256(all.data, all.size, hex);
done:
    free(text);
    free(all.data);
    return st;
}

static exa_status export_all(run_export *e, bool segmentation, bool raw) {
    char path[EXA_PATH_BYTES], volume[EXA_PATH_BYTES + 32];

    EXA_TRY(exa_comm_agree(exa_run_fingerprint(e->run, e->fingerprint)));
    EXA_TRY(exa_path_join(path, e->run, "segmentation.h5"));
    snprintf(volume, sizeof volume, "%s:/segmentation", path);
    if (segmentation) EXA_TRY(export_volume(e, volume, "segmentation", false));
    if (raw) EXA_TRY(export_volume(e, e->job->volume, "raw", true));
    return exa_comm_agree(exa_comm_rank() == 0 ? write_state(e) : EXA_OK);
}

/* ---- while it runs ------------------------------------------------------------------------------------------- */

static bool wanted(const exa_run_work *w) {
    return w->job->precomputed.segmentation || w->job->precomputed.raw;
}

/* Said before the work rather than after it. */
exa_status exa_run_check_export(const exa_run_work *w) {
    exa_precomputed_options o = {
        .kind = EXA_PRECOMPUTED_IMAGE, .dtype = w->inputs.info.dtype, .source = "", .box = w->inputs.box};
    exa_precomputed *plan = NULL;

    if (!wanted(w)) return EXA_OK;
    if (!w->job->precomputed.raw) o.kind = EXA_PRECOMPUTED_SEGMENTATION;
    memcpy(o.voxel_size_nm, w->inputs.voxel_size_nm, sizeof o.voxel_size_nm);
    EXA_TRY(exa_precomputed_plan("", &o, &plan));
    exa_precomputed_destroy(&plan);
    return EXA_OK;
}

exa_status exa_run_export(exa_run_work *w) {
    run_export e = {.run = w->job->output, .job = w->job, .box = w->inputs.box, .gzip_level = -1, .work = w};

    if (!wanted(w)) return EXA_OK;
    memcpy(e.voxel_size_nm, w->inputs.voxel_size_nm, sizeof e.voxel_size_nm);
    return export_all(&e, w->job->precomputed.segmentation, w->job->precomputed.raw);
}

/* ---- after it ------------------------------------------------------------------------------------------------ */

static exa_status take_triple(const cJSON *summary, const char *name, exa_coord out[3]) {
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(summary, name);

    EXA_CHECK(cJSON_GetArraySize(list) == 3, EXA_ERR_FORMAT, "the run's summary.json has no \"%s\"", name);
    for (int a = 0; a < 3; a++) {
        const cJSON *item = cJSON_GetArrayItem(list, a);
        EXA_CHECK(cJSON_IsNumber(item), EXA_ERR_FORMAT, "the run's summary.json has no \"%s\"", name);
        out[a] = (exa_coord)item->valuedouble;
    }
    return EXA_OK;
}

static exa_status read_summary(run_export *e) {
    char path[EXA_PATH_BYTES], *text = NULL;
    cJSON *root = NULL;
    size_t size;
    exa_status st = EXA_OK;

    EXA_TRY(exa_path_join(path, e->run, "summary.json"));
    EXA_CHECK(exa_file_exists(path), EXA_ERR_CONFIG,
              "'%s' is no complete run (it has no summary.json). Hint: exaconn status '%s'", e->run, e->run);
    EXA_TRY(exa_file_read_all(path, largest_text_bytes, &text, &size));
    EXA_GOTO(done, exa_json_parse(text, size, path, EXA_ERR_FORMAT, &root));
    EXA_GOTO(done, take_triple(root, "box_start", e->box.start));
    st = take_triple(root, "box_shape", e->box.shape);
done:
    cJSON_Delete(root);
    free(text);
    return st;
}

exa_status exa_export_run(const char *run, bool segmentation, bool raw, int gzip_level) {
    run_export e = {.run = run, .gzip_level = gzip_level};
    char path[EXA_PATH_BYTES];
    exa_job job = {0};
    exa_status st = EXA_OK;

    EXA_TRY(exa_comm_agree(read_summary(&e)));
    EXA_TRY(exa_path_join(path, run, "job.json"));
    EXA_TRY(exa_comm_agree(exa_job_read(path, &job)));
    e.job = &job;
    for (int a = 0; a < 3; a++) e.voxel_size_nm[a] = job.voxel_size_nm.given ? job.voxel_size_nm.value[a] : 0;
    st = export_all(&e, segmentation, raw);
    exa_job_destroy(&job);
    return st;
}
