/* exaconn import-ffn: a TensorFlow checkpoint becomes a weights file. */
#include "exaconn/ffn_import.h"

#include "cli_internal.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- arguments ---------------------------------------------------------------------------------- */

static void take_real(const exa_cli_arguments *arguments, const char *option, unsigned bit, float *value,
                      unsigned *given) {
    if (!exa_cli_has(arguments, option)) return;
    *value = (float)exa_cli_real(arguments, option, 0.0);
    *given |= bit;
}

static void take_triple(const exa_cli_arguments *arguments, const char *option, unsigned bit, int64_t value[3],
                        unsigned *given) {
    if (exa_cli_triple(arguments, option, value)) *given |= bit;
}

static void take_settings(const exa_cli_arguments *a, exa_ffn_settings *s) {
    exa_ffn_options *o = &s->options;

    take_triple(a, "fov", EXA_FFN_GIVEN_FOV, s->fov, &s->given);
    take_triple(a, "deltas", EXA_FFN_GIVEN_DELTAS, s->deltas, &s->given);
    take_real(a, "image-mean", EXA_FFN_GIVEN_IMAGE_MEAN, &s->image_mean, &s->given);
    take_real(a, "image-stddev", EXA_FFN_GIVEN_IMAGE_STDDEV, &s->image_stddev, &s->given);
    take_real(a, "init-activation", EXA_FFN_GIVEN_INIT_ACTIVATION, &o->init_activation, &s->given);
    take_real(a, "pad-value", EXA_FFN_GIVEN_PAD_VALUE, &o->pad_value, &s->given);
    take_real(a, "move-threshold", EXA_FFN_GIVEN_MOVE_THRESHOLD, &o->move_threshold, &s->given);
    take_real(a, "segment-threshold", EXA_FFN_GIVEN_SEGMENT_THRESHOLD, &o->segment_threshold, &s->given);
    take_real(a, "disco-seed-threshold", EXA_FFN_GIVEN_DISCO_SEED_THRESHOLD, &o->disco_seed_threshold, &s->given);
    take_triple(a, "min-boundary-dist", EXA_FFN_GIVEN_MIN_BOUNDARY_DIST, o->min_boundary_dist, &s->given);
    if (exa_cli_has(a, "min-segment-size")) {
        o->min_segment_size = exa_cli_int(a, "min-segment-size", 0);
        s->given |= EXA_FFN_GIVEN_MIN_SEGMENT_SIZE;
    }
}

/* ---- what was read ------------------------------------------------------------------------------ */

/* The number a person would write for this float: .95, not .949999988. */
static double shortest(float value) {
    char text[32];
    snprintf(text, sizeof text, "%.6g", (double)value);
    return strtof(text, NULL) == value ? strtod(text, NULL) : (double)value;
}

static void print_text(const exa_ffn_model *m, const exa_ffn_import_facts *facts, const char *output) {
    const exa_ffn_options *o = &m->options;

    printf("network      convstack_3d, depth %d, %d features, scope '%s'\n", m->depth, m->features, facts->scope);
    printf("             %d layers, %lld parameters, %.2f GFLOP per step\n", m->layer_count,
           (long long)exa_ffn_model_parameters(m), exa_ffn_model_flops(m) * 1e-9);
    if (facts->global_step >= 0) printf("training     step %lld\n", (long long)facts->global_step);
    printf("settings     from %s\n", facts->settings_from);
    printf("  fov        %lld,%lld,%lld voxels (z,y,x), deltas %lld,%lld,%lld\n", (long long)m->fov[0],
           (long long)m->fov[1], (long long)m->fov[2], (long long)m->deltas[0], (long long)m->deltas[1],
           (long long)m->deltas[2]);
    printf("  image      (value - %g) / %g\n", shortest(m->image_mean), shortest(m->image_stddev));
    printf("  object     init %g, pad %g, move %g, segment %g, disco %g\n", shortest(o->init_activation),
           shortest(o->pad_value), shortest(o->move_threshold), shortest(o->segment_threshold),
           shortest(o->disco_seed_threshold));
    printf("  segments   at least %lld voxels, %lld,%lld,%lld voxels from others at the seed\n",
           (long long)o->min_segment_size, (long long)o->min_boundary_dist[0], (long long)o->min_boundary_dist[1],
           (long long)o->min_boundary_dist[2]);
    printf("source       %s\n", m->source);
    printf("  license    %s\n", m->license[0] ? m->license : "not stated");
    printf("  sha256     %s (data file)\n", m->source_sha256);
    printf("weights      sha256 %s\n", m->weights_sha256);
    printf("written      %s\n\n", output);
    printf("Next: put \"weights\": \"%s\" into a job file and run `exaconn run JOB`.\n", output);
}

static void add_triple(cJSON *to, const char *name, const int64_t zyx[3]) {
    cJSON *list = cJSON_AddArrayToObject(to, name);
    for (int a = 0; list && a < 3; a++) cJSON_AddItemToArray(list, cJSON_CreateNumber((double)zyx[a]));
}

static void add_options(cJSON *to, const exa_ffn_options *o) {
    cJSON_AddNumberToObject(to, "init_activation", shortest(o->init_activation));
    cJSON_AddNumberToObject(to, "pad_value", shortest(o->pad_value));
    cJSON_AddNumberToObject(to, "move_threshold", shortest(o->move_threshold));
    cJSON_AddNumberToObject(to, "segment_threshold", shortest(o->segment_threshold));
    cJSON_AddNumberToObject(to, "disco_seed_threshold", shortest(o->disco_seed_threshold));
    cJSON_AddNumberToObject(to, "min_segment_size", (double)o->min_segment_size);
    add_triple(to, "min_boundary_dist_zyx", o->min_boundary_dist);
}

static exa_status print_json(const exa_ffn_model *m, const exa_ffn_import_facts *facts, const char *output) {
    cJSON *json = cJSON_CreateObject();

    cJSON_AddStringToObject(json, "output", output);
    cJSON_AddStringToObject(json, "kind", "ffn-convstack3d");
    cJSON_AddNumberToObject(json, "depth", m->depth);
    cJSON_AddNumberToObject(json, "features", m->features);
    cJSON_AddNumberToObject(json, "layers", m->layer_count);
    cJSON_AddNumberToObject(json, "parameters", (double)exa_ffn_model_parameters(m));
    cJSON_AddNumberToObject(json, "flops_per_step", exa_ffn_model_flops(m));
    if (facts->global_step >= 0)
        cJSON_AddNumberToObject(json, "global_step", (double)facts->global_step);
    else
        cJSON_AddNullToObject(json, "global_step");
    cJSON_AddStringToObject(json, "scope", facts->scope);
    cJSON_AddNumberToObject(json, "ignored_tensors", facts->ignored);
    cJSON_AddStringToObject(json, "settings_from", facts->settings_from);
    add_triple(json, "fov_zyx", m->fov);
    add_triple(json, "deltas_zyx", m->deltas);
    cJSON_AddNumberToObject(json, "image_mean", shortest(m->image_mean));
    cJSON_AddNumberToObject(json, "image_stddev", shortest(m->image_stddev));
    add_options(json, &m->options);
    cJSON_AddStringToObject(json, "source", m->source);
    cJSON_AddStringToObject(json, "source_sha256", m->source_sha256);
    cJSON_AddStringToObject(json, "license", m->license);
    cJSON_AddStringToObject(json, "weights_sha256", m->weights_sha256);
    return exa_cli_print_json(json);
}

static exa_status run(const exa_cli_arguments *arguments) {
    const char *output = exa_cli_text(arguments, "output");
    exa_ffn_settings settings = {.given = 0};
    exa_ffn_import_facts facts;
    exa_ffn_model *model = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_cli_check_output(arguments, output, "ffn.h5"));
    take_settings(arguments, &settings);
    EXA_TRY(exa_ffn_import(exa_cli_positional(arguments, 0), exa_cli_text(arguments, "request"), &settings, &facts,
                           &model));
    EXA_GOTO(done, exa_ffn_model_write(model, output));
    if (exa_cli_has(arguments, "json"))
        EXA_GOTO(done, print_json(model, &facts, output));
    else
        print_text(model, &facts, output);
done:
    exa_ffn_model_destroy(&model);
    return st;
}

static const exa_cli_option options_table[] = {
    {"output", 'o', EXA_CLI_PATH, "FILE", "the weights file to write (required)"},
    {"request", 0, EXA_CLI_PATH, "FILE.pbtxt", "google/ffn InferenceRequest to take geometry and options from"},
    {"fov", 0, EXA_CLI_TRIPLE, "Z,Y,X", "field of view in voxels, odd"},
    {"deltas", 0, EXA_CLI_TRIPLE, "Z,Y,X", "how far the field of view moves, in voxels"},
    {"image-mean", 0, EXA_CLI_REAL, "M", "subtracted from the voxel values"},
    {"image-stddev", 0, EXA_CLI_REAL, "S", "the voxel values are then divided by it"},
    {"init-activation", 0, EXA_CLI_REAL, "P", "probability at the seed (default 0.95)"},
    {"pad-value", 0, EXA_CLI_REAL, "P", "probability of unset voxels (default 0.05)"},
    {"move-threshold", 0, EXA_CLI_REAL, "P", "probability that moves the field of view (default 0.9)"},
    {"segment-threshold", 0, EXA_CLI_REAL, "P", "probability of object voxels (default 0.6)"},
    {"disco-seed-threshold", 0, EXA_CLI_REAL, "P", "disconnection rule, negative turns it off (default 0)"},
    {"min-segment-size", 0, EXA_CLI_INT, "N", "smallest object in voxels (default 1000)"},
    {"min-boundary-dist", 0, EXA_CLI_TRIPLE, "Z,Y,X", "voxels between a seed and an existing object (default 1)"},
    {"force", 'f', EXA_CLI_FLAG, NULL, "replace an existing file"},
    {"json", 0, EXA_CLI_FLAG, NULL, "print the facts as JSON"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_import_ffn = {
    .name = "import-ffn",
    .positional = "CHECKPOINT",
    .positional_min = 1,
    .positional_max = 1,
    .summary = "make a weights file of a TensorFlow checkpoint of a flood-filling network",
    .description =
        "CHECKPOINT is what the checkpoint's files have in common: model.ckpt-1000 for model.ckpt-1000.index and "
        "model.ckpt-1000.data-00000-of-00001. TensorFlow is not needed. Every checksum in the checkpoint is "
        "verified; "
        "missing, surplus or non-finite tensors are refused. Counters and optimizer slots of the training are left "
        "out.\n\n"
        "Depth and feature count follow from the tensors. The field of view, its deltas and the image's mean and "
        "standard deviation are not in a checkpoint: give the google/ffn request the network was run with, or the "
        "options below, which are stronger. The published FIB-25 checkpoint (model.ckpt-27465036) is recognised "
        "and "
        "needs neither. Mind the order: google/ffn writes x,y,z, the options here are z,y,x.",
    .example = "exaconn import-ffn model.ckpt-27465036 -o ffn.h5\n"
               "exaconn import-ffn my/model.ckpt-1000 --request my/inference.pbtxt -o ffn.h5\n"
               "exaconn import-ffn my/model.ckpt-1000 --fov 17,33,33 --deltas 4,8,8 --image-mean 128 "
               "--image-stddev 33 -o ffn.h5",
    .options = options_table,
    .run = run,
};
