/* Contacts and connections of a run, of the segmentation that was just written: what counts are final labels, as
 * which supervoxels are one segment is known only after the stitching. */
#include "run_internal.h"

#include "exaconn/comm.h"
#include "exaconn/connectome.h"
#include "exaconn/run.h"

#include <stdio.h>
#include <string.h>

static bool wanted(const exa_job *job) {
    return job->circuits.contacts || job->circuits.synapses;
}

static exa_status check_stop(void *work) {
    exa_run_tell(work);
    return exa_run_check_stop(work);
}

static exa_synapse_options table_of(const exa_job *job) {
    exa_synapse_options o = {.format = (exa_synapse_format)((int)job->circuits.format - 1),
                             .units = (exa_synapse_units)job->circuits.units,
                             .axes = (exa_synapse_axes)job->circuits.axes};

    for (int a = 0; job->circuits.table_voxel_size_nm.given && a < 3; a++)
        o.voxel_size_nm[a] = job->circuits.table_voxel_size_nm.value[a];
    return o;
}

static exa_status check_table(const exa_job *job) {
    const exa_synapse_options options = table_of(job);
    exa_synapse_table *table = NULL;

    EXA_CHECK(job->circuits.format != EXA_JOB_SYNAPSES_UNSAID, EXA_ERR_CONFIG,
              "what kind of table is '%s'? Hint: say it in circuits.format, for example \"cave-csv\"",
              job->circuits.synapses);
    EXA_TRY(exa_synapse_table_open(job->circuits.synapses, &options, &table));
    exa_synapse_table_close(&table);
    return EXA_OK;
}

/* Said before the work rather than after it. */
exa_status exa_run_check_circuits(const exa_job *job, const exa_inputs *inputs) {
    const double *size = inputs->voxel_size_nm;

    if (!wanted(job)) return EXA_OK;
    EXA_CHECK(
        size[0] > 0 && size[1] > 0 && size[2] > 0, EXA_ERR_CONFIG,
        "contacts have areas, for which the size of a voxel must be known, and '%s' does not say it. Hint: set "
        "\"voxel_size_nm\": [Z, Y, X]",
        job->volume);
    return job->circuits.synapses ? check_table(job) : EXA_OK;
}

exa_status exa_run_circuits(exa_run_work *w) {
    const exa_job *job = w->job;
    char path[EXA_PATH_BYTES], folder[EXA_PATH_BYTES], segmentation[EXA_PATH_BYTES + 32];
    char fingerprint[EXA_SHA256_HEX_BYTES];
    exa_connectome_options o = {.segmentation = segmentation,
                                .synapses = job->circuits.synapses,
                                .folder = folder,
                                .no_sites = !job->circuits.sites,
                                .search_radius_nm = job->circuits.search_radius_nm,
                                .min_synapses = (uint64_t)job->circuits.min_synapses,
                                .autapses = job->circuits.autapses,
                                .candidate_area_nm2 = -1,
                                .fingerprint = fingerprint,
                                .replace = true, /* the folder is the run's */
                                .progress_s = job->progress.interval_s,
                                .check = check_stop,
                                .context = w};

    if (!wanted(job)) return EXA_OK;
    w->stage = "circuits";
    if (job->circuits.synapses) o.table = table_of(job);
    memcpy(o.voxel_size_nm, w->inputs.voxel_size_nm, sizeof o.voxel_size_nm);
    EXA_TRY(exa_run_directory_path(w->directory, EXA_RUN_CIRCUITS, folder));
    EXA_TRY(exa_run_directory_path(w->directory, "segmentation.h5", path));
    snprintf(segmentation, sizeof segmentation, "%s:/segmentation", path);
    EXA_TRY(exa_comm_agree(exa_run_fingerprint(job->output, fingerprint)));
    return exa_connectome_make(&o);
}
