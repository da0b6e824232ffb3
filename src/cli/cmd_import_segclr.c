/* exaconn import-segclr: a TensorFlow checkpoint of a SegCLR network, or random numbers, becomes a weights file. */
#include "exaconn/segclr_import.h"

#include "cli_internal.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

static exa_status check_settings(const exa_cli_arguments *a) {
    static const char *const of_random[] = {"variant", "depth", "width"};
    bool random = exa_cli_has(a, "random");

    EXA_CHECK(random != (exa_cli_positional_count(a) == 1), EXA_ERR_CONFIG,
              "name either a CHECKPOINT or --random SEED. Hint: exaconn import-segclr --random 1 -o random.h5");
    for (size_t i = 0; i < sizeof of_random / sizeof *of_random; i++)
        EXA_CHECK(random || !exa_cli_has(a, of_random[i]), EXA_ERR_CONFIG,
                  "--%s is for --random: a checkpoint's tensors say it themselves", of_random[i]);
    EXA_CHECK(
        random || exa_cli_has(a, "resolution-nm"), EXA_ERR_CONFIG,
        "the voxel size the network was trained on is in no checkpoint. Hint: --resolution-nm 33,32,32 (z,y,x) "
        "for H01's, 40,32,32 for MICrONS'");
    return EXA_OK;
}

static exa_status apply_settings(const exa_cli_arguments *a, exa_segclr_model *m) {
    int64_t nm[3];

    (void)exa_cli_triple(a, "patch", m->patch);
    if (exa_cli_triple(a, "resolution-nm", nm))
        for (int i = 0; i < 3; i++) m->resolution_nm[i] = (double)nm[i];
    if (exa_cli_has(a, "axis-order"))
        snprintf(m->axis_order, sizeof m->axis_order, "%.3s", exa_cli_text(a, "axis-order"));
    if (exa_cli_has(a, "license")) snprintf(m->license, sizeof m->license, "%.127s", exa_cli_text(a, "license"));
    exa_status st = exa_segclr_model_check(m);
    return st == EXA_ERR_RANGE ? EXA_ERR_CONFIG : st;
}

static exa_status make_random(const exa_cli_arguments *a, exa_segclr_model **out) {
    const char *variant = exa_cli_text(a, "variant");
    exa_segclr_geometry g = {.variant = variant && strcmp(variant, "tf2") == 0 ? EXA_SEGCLR_TF2 : EXA_SEGCLR_TF1,
                             .depth = (int)exa_cli_int(a, "depth", 18),
                             .width = (int)exa_cli_int(a, "width", 64),
                             .head_layers = 3,
                             .embedding = 64};
    exa_status st = exa_segclr_model_create(&g, out);
    if (st == EXA_ERR_RANGE) return EXA_ERR_CONFIG;
    EXA_TRY(st);
    return exa_segclr_model_randomize(*out, (uint64_t)exa_cli_int(a, "random", 0));
}

static void print_text(const exa_segclr_model *m, const exa_segclr_import_facts *facts, const char *output) {
    const exa_segclr_geometry *g = &m->geometry;

    printf("network      SegCLR, variant %s, ResNet-%d, width %d, head of %d layers, %d floats\n",
           exa_segclr_variant_name(g->variant), g->depth, g->width, g->head_layers, g->embedding);
    printf("             %lld parameters, %.2f GFLOP per patch\n", (long long)exa_segclr_model_parameters(m),
           exa_segclr_model_flops(m) * 1e-9);
    if (facts->global_step >= 0) printf("training     step %lld\n", (long long)facts->global_step);
    printf("input        masked image, %lld,%lld,%lld voxels of %g,%g,%g nm (z,y,x), kernels %s\n",
           (long long)m->patch[0], (long long)m->patch[1], (long long)m->patch[2], m->resolution_nm[0],
           m->resolution_nm[1], m->resolution_nm[2], m->axis_order);
    printf("source       %s\n", m->source);
    printf("  license    %s\n", m->license[0] ? m->license : "not stated");
    if (m->source_sha256[0]) printf("  sha256     %s (data file)\n", m->source_sha256);
    printf("weights      sha256 %s\n", m->weights_sha256);
    printf("written      %s\n", output);
}

static exa_status print_json(const exa_segclr_model *m, const exa_segclr_import_facts *facts, const char *output) {
    const exa_segclr_geometry *g = &m->geometry;
    cJSON *json = cJSON_CreateObject(), *patch, *nm;

    cJSON_AddStringToObject(json, "output", output);
    cJSON_AddStringToObject(json, "kind", "segclr-resnet3d");
    cJSON_AddStringToObject(json, "variant", exa_segclr_variant_name(g->variant));
    cJSON_AddNumberToObject(json, "depth", g->depth);
    cJSON_AddNumberToObject(json, "width", g->width);
    cJSON_AddNumberToObject(json, "head_layers", g->head_layers);
    cJSON_AddNumberToObject(json, "embedding_dim", g->embedding);
    cJSON_AddNumberToObject(json, "parameters", (double)exa_segclr_model_parameters(m));
    cJSON_AddNumberToObject(json, "flops_per_patch", exa_segclr_model_flops(m));
    if (facts->global_step >= 0)
        cJSON_AddNumberToObject(json, "global_step", (double)facts->global_step);
    else
        cJSON_AddNullToObject(json, "global_step");
    cJSON_AddNumberToObject(json, "ignored_tensors", facts->ignored);
    patch = cJSON_AddArrayToObject(json, "patch_zyx");
    nm = cJSON_AddArrayToObject(json, "resolution_nm_zyx");
    for (int a = 0; a < 3; a++) {
        cJSON_AddItemToArray(patch, cJSON_CreateNumber((double)m->patch[a]));
        cJSON_AddItemToArray(nm, cJSON_CreateNumber(m->resolution_nm[a]));
    }
    cJSON_AddStringToObject(json, "axis_order", m->axis_order);
    cJSON_AddStringToObject(json, "source", m->source);
    cJSON_AddStringToObject(json, "source_sha256", m->source_sha256);
    cJSON_AddStringToObject(json, "license", m->license);
    cJSON_AddStringToObject(json, "weights_sha256", m->weights_sha256);
    return exa_cli_print_json(json);
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *output = exa_cli_text(arguments, "output");
    exa_segclr_import_facts facts = {.global_step = -1};
    exa_segclr_model *model = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_cli_check_output(arguments, output, "segclr.h5"));
    EXA_TRY(check_settings(arguments));
    if (exa_cli_has(arguments, "random"))
        EXA_GOTO(done, make_random(arguments, &model));
    else
        EXA_GOTO(done, exa_segclr_import(exa_cli_positional(arguments, 0), &facts, &model));
    EXA_GOTO(done, apply_settings(arguments, model));
    EXA_GOTO(done, exa_segclr_model_write(model, output));
    if (exa_cli_has(arguments, "json"))
        EXA_GOTO(done, print_json(model, &facts, output));
    else
        print_text(model, &facts, output);
done:
    exa_segclr_model_destroy(&model);
    return st;
}

static const exa_cli_option options_table[] = {
    {"output", 'o', EXA_CLI_PATH, "FILE", "the weights file to write (required)"},
    {"resolution-nm", 0, EXA_CLI_TRIPLE, "Z,Y,X",
     "voxel size the network was trained on, in nm (required; of random weights default 33,32,32)"},
    {"patch", 0, EXA_CLI_TRIPLE, "Z,Y,X", "extent of a patch in voxels: 33, 65, 97, 129 (default), ..."},
    {"axis-order", 0, EXA_CLI_TEXT, "zyx|xyz", "what the kernels' axes are (default zyx)"},
    {"license", 0, EXA_CLI_TEXT, "TEXT", "the licence of the weights, kept in the file"},
    {"random", 0, EXA_CLI_INT, "SEED", "no checkpoint: random weights, labelled so"},
    {"variant", 0, EXA_CLI_TEXT, "tf1|tf2", "of random weights (default tf1)"},
    {"depth", 0, EXA_CLI_INT, "N", "of random weights: 18 (default), 34 or 50"},
    {"width", 0, EXA_CLI_INT, "N", "of random weights: channels of the stem (default 64)"},
    {"force", 'f', EXA_CLI_FLAG, NULL, "replace an existing file"},
    {"json", 0, EXA_CLI_FLAG, NULL, "print the facts as JSON"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_import_segclr = {
    .name = "import-segclr",
    .positional = "CHECKPOINT",
    .positional_min = 0,
    .positional_max = 1,
    .summary = "make a weights file of a TensorFlow checkpoint of a SegCLR network",
    .description =
        "CHECKPOINT is what the checkpoint's files have in common: segclr-355200 for segclr-355200.index and "
        "segclr-355200.data-00000-of-00001. TensorFlow is not needed. Both variants of "
        "google-research/connectomics "
        "are read, the published TensorFlow 1 network (tf1) and its successor (tf2), and told apart by their "
        "tensors, "
        "from which depth, width and embedding follow too. Every checksum is verified; missing, surplus, "
        "mis-shaped "
        "or non-finite tensors are refused. The projection head of the training's loss, counters and optimizer "
        "slots "
        "are left out.\n\n"
        "With --random SEED there is no checkpoint: all weights are random numbers, the same everywhere for one "
        "seed. "
        "The file says that nobody trained it. It serves to try the whole chain, and for tests.",
    .example = "exaconn import-segclr segclr-355200 --resolution-nm 33,32,32 -o segclr.h5\n"
               "exaconn import-segclr --random 1 --patch 65 -o random.h5",
    .options = options_table,
    .run = run,
};
