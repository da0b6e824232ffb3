/* exaconn import-images: a folder of slices becomes an HDF5 volume. */
#include "exaconn/file.h"
#include "exaconn/image_stack.h"
#include "exaconn/json.h"
#include "exaconn/log.h"
#include "exaconn/volume.h"

#include "cli_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A slab of the file's chunk depth is held in memory: thin chunks for very large slices. */
#define SLAB_BYTES ((int64_t)1 << 30)
#define CHUNK_VX 64

/* "8,8,8" or "8" in nm; exa_cli's triples are whole voxels, and a voxel may measure 4.4 nm. */
static exa_status parse_voxel_size(const char *text, double size_nm[3]) {
    const char *p = text;
    int n = 0;

    for (; n < 3; n++) {
        char *end;
        size_nm[n] = strtod(p, &end);
        EXA_CHECK(end != p && isfinite(size_nm[n]) && size_nm[n] > 0 && (*end == ',' || *end == '\0'),
                  EXA_ERR_CONFIG, "--voxel-size %s: give nanometres along z,y,x, for example 40,4,4", text);
        if (*end == '\0') break;
        p = end + 1;
    }
    EXA_CHECK(n == 0 || n == 2, EXA_ERR_CONFIG, "--voxel-size %s: give one or three numbers", text);
    if (n == 0) size_nm[1] = size_nm[2] = size_nm[0];
    return EXA_OK;
}

static exa_status prepare(const exa_cli_arguments *arguments, const exa_image_stack_info *stack,
                          exa_volume_create_options *o) {
    int64_t level = exa_cli_int(arguments, "level", 3);
    int64_t slice_bytes = stack->shape[1] * stack->shape[2] * (int64_t)exa_dtype_size(stack->dtype);

    EXA_CHECK(level >= 0 && level <= 19, EXA_ERR_CONFIG, "--level %lld: zstd levels are 1 to 19, 0 is none",
              (long long)level);
    *o = (exa_volume_create_options){.dtype = stack->dtype, .zstd_level = (int)level};
    for (int a = 0; a < 3; a++) {
        o->shape[a] = stack->shape[a];
        o->chunk[a] = CHUNK_VX;
    }
    while (o->chunk[0] > 1 && o->chunk[0] * slice_bytes > SLAB_BYTES) o->chunk[0] /= 2;
    return parse_voxel_size(exa_cli_text(arguments, "voxel-size"), o->voxel_size_nm);
}

static exa_status check_output(const exa_cli_arguments *arguments, const char *output) {
    char path[EXA_PATH_BYTES], dataset[EXA_PATH_BYTES];

    EXA_TRY(exa_volume_split_name(output, path, sizeof path, dataset, sizeof dataset));
    return exa_cli_check_free(arguments, path);
}

static void print_text(const char *output, const exa_image_stack_info *info) {
    char bytes[32];

    printf("%s: %lld x %lld x %lld %s (z,y,x) from %d %s files, %s\n", output, (long long)info->shape[0],
           (long long)info->shape[1], (long long)info->shape[2], exa_dtype_name(info->dtype), info->files,
           info->format,
           exa_format_bytes((double)info->shape[0] * (double)info->shape[1] * (double)info->shape[2] *
                                (double)exa_dtype_size(info->dtype),
                            bytes));
}

static exa_status print_json(const char *output, const char *folder, const exa_image_stack_info *info,
                             const exa_volume_create_options *options) {
    exa_json_text j = {0};
    char *text = NULL;

    exa_json_text_add(&j, "{\n  \"output\": ");
    exa_json_text_add_string(&j, output);
    exa_json_text_add(&j, ",\n  \"source\": ");
    exa_json_text_add_string(&j, folder);
    exa_json_text_add(&j,
                      ",\n  \"files\": %d,\n  \"format\": \"%s\",\n  \"type\": \"%s\",\n  \"shape\": [%lld, "
                      "%lld, %lld],\n  \"voxel_size_nm\": [",
                      info->files, info->format, exa_dtype_name(info->dtype), (long long)info->shape[0],
                      (long long)info->shape[1], (long long)info->shape[2]);
    for (int a = 0; a < 3; a++) {
        if (a) exa_json_text_add(&j, ", ");
        exa_json_text_add_real(&j, options->voxel_size_nm[a]);
    }
    exa_json_text_add(&j, "]\n}\n");
    EXA_TRY(exa_json_text_take(&j, &text));
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *folder = exa_cli_positional(arguments, 0), *output = exa_cli_text(arguments, "output");
    exa_image_stack *stack = NULL;
    exa_volume *volume = NULL;
    exa_image_stack_info info;
    exa_volume_create_options options;
    exa_status st = EXA_OK;

    EXA_CHECK(output, EXA_ERR_CONFIG, "say where the volume goes. Hint: -o volume.h5:/raw");
    EXA_CHECK(exa_cli_has(arguments, "voxel-size"), EXA_ERR_CONFIG,
              "say how large a voxel is. Hint: --voxel-size 40,4,4 (nanometres along z,y,x)");
    EXA_TRY(check_output(arguments, output));
    EXA_TRY(exa_image_stack_open(folder, exa_cli_text(arguments, "pattern"), &stack));
    exa_image_stack_get_info(stack, &info);
    EXA_GOTO(done, prepare(arguments, &info, &options));
    EXA_GOTO(done, exa_volume_create(output, &options, &volume));
    EXA_GOTO(done, exa_volume_set_attribute_text(volume, "source", folder));
    EXA_GOTO(done, exa_image_stack_copy(stack, volume));
    EXA_GOTO(done, exa_volume_commit(volume));
    if (exa_cli_has(arguments, "json")) {
        st = print_json(output, folder, &info, &options);
    } else {
        print_text(output, &info);
    }
done:
    exa_volume_close(&volume);
    exa_image_stack_close(&stack);
    return st;
}

static const exa_cli_option options_table[] = {
    {"output", 'o', EXA_CLI_TEXT, "FILE.h5:/DATASET", "where the volume goes (required); the folder must exist"},
    {"voxel-size", 0, EXA_CLI_TEXT, "Z,Y,X", "voxel size in nanometres (required)"},
    {"pattern", 0, EXA_CLI_TEXT, "GLOB", "only files whose names match, for example 'iso.*.png'"},
    {"level", 0, EXA_CLI_INT, "N", "zstd level 1..19, 0 for no compression (default 3)"},
    {"force", 'f', EXA_CLI_FLAG, NULL, "replace an existing file"},
    {"json", 0, EXA_CLI_FLAG, NULL, "print JSON"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_import_images = {
    .name = "import-images",
    .positional = "FOLDER",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "make a volume of a folder of PNG or TIFF slices",
    .description =
        "The files of FOLDER, in natural order of their names (z9 before z10), become the planes of a volume along "
        "z; "
        "every page of a multi-page TIFF is a plane. Slices are gray, 8 or 16 bits (TIFF: 32 also); colour images "
        "whose "
        "channels are equal count as gray. Files that differ in size, depth or kind are refused by name, holes in "
        "the numbering are reported as warnings.\n\n"
        "The volume is HDF5, chunked and compressed by zstd (filter 32015: h5py reads it with the hdf5plugin "
        "package), "
        "and appears under its name only when it is complete. At most 1 GiB of slices is held in memory.",
    .example = "exaconn import-images slices/ -o sample.h5:/raw --voxel-size 8,8,8",
    .options = options_table,
    .run = run,
};
