/* exaconn export: a volume, or what a run made, in Neuroglancer's precomputed format. */
#include "cli_internal.h"

#include "exaconn/comm.h"
#include "exaconn/export.h"
#include "exaconn/file.h"
#include "exaconn/run_directory.h"

#include <stdlib.h>
#include <string.h>

static void choose_type(const exa_cli_arguments *arguments, exa_export_options *o) {
    const char *type = exa_cli_text(arguments, "type");

    o->type = !type ? EXA_EXPORT_AUTO : strcmp(type, "image") == 0 ? EXA_EXPORT_IMAGE : EXA_EXPORT_SEGMENTATION;
}

static exa_status get_gzip(const exa_cli_arguments *arguments, int *level) {
    int64_t value = exa_cli_int(arguments, "gzip", -1);

    EXA_CHECK(!exa_cli_has(arguments, "gzip") || (value >= 0 && value <= 9), EXA_ERR_CONFIG,
              "--gzip %lld: choose 0 (none) to 9", (long long)value);
    *level = (int)value;
    return EXA_OK;
}

static exa_status check_run(const exa_cli_arguments *arguments, const char *run) {
    static const char *const of_volumes[] = {"output", "type", "voxel-size", "box", "offset"};

    for (size_t i = 0; i < sizeof of_volumes / sizeof *of_volumes; i++)
        EXA_CHECK(!exa_cli_has(arguments, of_volumes[i]), EXA_ERR_CONFIG,
                  "'%s' is a run, which is exported into its own folder as its job says: --%s is for volumes", run,
                  of_volumes[i]);
    return EXA_OK;
}

/* What is wrong with the command line all ranks see, and exa_comm_agree lets one of them say it. */
static exa_status export_run(const exa_cli_arguments *arguments, const char *run) {
    const char *only = exa_cli_text(arguments, "only");
    int gzip = -1;

    EXA_TRY(exa_comm_agree(check_run(arguments, run)));
    EXA_TRY(exa_comm_agree(get_gzip(arguments, &gzip)));
    EXA_TRY(
        exa_export_run(run, !only || strcmp(only, "segmentation") == 0, !only || strcmp(only, "raw") == 0, gzip));
    EXA_INFO("look at it: exaconn view '%s'", run);
    return EXA_OK;
}

/* The values that *o points to are the caller's. */
static exa_status fill_options(const exa_cli_arguments *arguments, const char *volume, exa_box *box,
                               exa_coord offset[3], exa_export_options *o) {
    o->volume = volume;
    o->folder = exa_cli_text(arguments, "output");
    EXA_CHECK(o->folder, EXA_ERR_CONFIG, "say where it goes. Hint: -o FOLDER");
    EXA_CHECK(!exa_cli_has(arguments, "only"), EXA_ERR_CONFIG, "--only is for run directories; '%s' is none",
              volume);
    choose_type(arguments, o);
    EXA_TRY(get_gzip(arguments, &o->gzip_level));
    EXA_TRY(exa_cli_parse_size(arguments, "voxel-size", o->voxel_size_nm));
    if (exa_cli_has(arguments, "box")) {
        EXA_TRY(exa_cli_parse_box(exa_cli_text(arguments, "box"), box));
        o->box = box;
    }
    if (exa_cli_triple(arguments, "offset", offset)) o->offset = offset;
    return EXA_OK;
}

static exa_status export_volume(const exa_cli_arguments *arguments, const char *volume) {
    exa_export_options o = {0};
    exa_coord offset[3];
    exa_box box;

    EXA_TRY(exa_comm_agree(fill_options(arguments, volume, &box, offset, &o)));
    EXA_TRY(exa_export(&o));
    EXA_INFO("look at it: exaconn view '%s'", o.folder);
    return EXA_OK;
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *name = exa_cli_positional(arguments, 0);

    EXA_TRY(exa_comm_init());
    if (exa_comm_rank() != 0) exa_log_set_level(EXA_LOG_ERROR);
    if (exa_file_is_directory(name) && exa_run_directory_recognise(name, NULL)) return export_run(arguments, name);
    return export_volume(arguments, name);
}

const exa_cli_command exa_cmd_export = {
    .name = "export",
    .positional = "VOLUME",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "write a volume in Neuroglancer's precomputed format, with coarser scales",
    .description =
        "VOLUME is anything exaconn reads (FILE.h5:/DATASET, a phantom, a precomputed folder), or a complete run "
        "directory: then the segmentation and the raw image it was made of are written to RUN/precomputed, with a "
        "state for the viewer.\n"
        "Images are stored raw, labels as compressed_segmentation of uint64, both in shards and with gzip; coarser "
        "scales halve the finer axes until voxels are about isotropic, then all. Means for images; for labels the "
        "most frequent one, background only where it is more than half.\n"
        "Under mpirun the shards are shared out; the bytes do not depend on the number of ranks. The file info "
        "comes "
        "last: a folder with it is whole. The same command goes on where one was interrupted; a folder that holds "
        "anything else is refused.",
    .example = "exaconn export RUN\n"
               "mpirun -n 8 exaconn export raw.h5:/raw -o raw_precomputed\n"
               "exaconn export truth.h5:/labels -o truth --type segmentation --voxel-size 8,8,8",
    .options =
        (const exa_cli_option[]){
            {"output", 'o', EXA_CLI_PATH, "FOLDER", "the new folder (required for a volume)"},
            {"type", 0, EXA_CLI_TEXT, "image|segmentation",
             "what the voxels are (default: uint32 and uint64 are labels, others an image)"},
            {"voxel-size", 0, EXA_CLI_TEXT, "Z,Y,X", "nanometres (default: what the volume says)"},
            {"box", 0, EXA_CLI_TEXT, "Z,Y,X,DZ,DY,DX", "only this box of the volume's voxels"},
            {"offset", 0, EXA_CLI_TRIPLE, "Z,Y,X",
             "where the first voxel lies (default: at its place in the volume, and the volume's offset_zyx_vx)"},
            {"gzip", 0, EXA_CLI_INT, "LEVEL", "0 (none) to 9 (default 1 for images, 6 for labels)"},
            {"only", 0, EXA_CLI_TEXT, "segmentation|raw", "of a run: only this"},
            {0}},
    .run = run,
};
