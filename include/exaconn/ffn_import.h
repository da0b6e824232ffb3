/* A TensorFlow checkpoint of a flood-filling network becomes an exa_ffn_model.
 *
 * Depth and feature count follow from the tensors. Field of view, deltas, normalisation and inference options are
 * not in a checkpoint; they come from, strongest first: explicit settings, a google/ffn InferenceRequest (text
 * proto), the built-in table of published checkpoints (recognised by the SHA-256 of the data file), and, for the
 * inference options only, google/ffn's defaults.
 */
#ifndef EXACONN_FFN_IMPORT_H
#define EXACONN_FFN_IMPORT_H

#include "exaconn/ffn_model.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Which fields of exa_ffn_settings were given. */
enum {
    EXA_FFN_GIVEN_FOV = 1 << 0,
    EXA_FFN_GIVEN_DELTAS = 1 << 1,
    EXA_FFN_GIVEN_IMAGE_MEAN = 1 << 2,
    EXA_FFN_GIVEN_IMAGE_STDDEV = 1 << 3,
    EXA_FFN_GIVEN_INIT_ACTIVATION = 1 << 4,
    EXA_FFN_GIVEN_PAD_VALUE = 1 << 5,
    EXA_FFN_GIVEN_MOVE_THRESHOLD = 1 << 6,
    EXA_FFN_GIVEN_SEGMENT_THRESHOLD = 1 << 7,
    EXA_FFN_GIVEN_DISCO_SEED_THRESHOLD = 1 << 8,
    EXA_FFN_GIVEN_MIN_SEGMENT_SIZE = 1 << 9,
    EXA_FFN_GIVEN_MIN_BOUNDARY_DIST = 1 << 10
};

typedef struct exa_ffn_settings {
    unsigned given; /* EXA_FFN_GIVEN_... */
    float image_mean, image_stddev;
    exa_coord fov[3], deltas[3]; /* zyx */
    exa_ffn_options options;
} exa_ffn_settings;

typedef struct exa_ffn_import_facts {
    int64_t global_step;    /* of the training; -1 if the checkpoint does not say */
    int ignored;            /* tensors that are no part of the network (counters, optimizer slots) */
    char scope[256];        /* in front of the layers' names: "seed_update" */
    char settings_from[64]; /* "built-in table (fib25)", "request", "command line", or several joined by " + " */
} exa_ffn_import_facts;

/* `request_path` may be NULL, `facts` too. EXA_ERR_CONFIG: the settings are incomplete, or contradict the tensors;
 * EXA_ERR_FORMAT: missing, surplus, mis-shaped or non-finite tensors; others as in tensor_bundle.h. */
exa_status exa_ffn_import(const char *checkpoint, const char *request_path,
                          const exa_ffn_settings *explicit_settings, exa_ffn_import_facts *facts,
                          exa_ffn_model **out);

/* Reads what a model needs from a google/ffn InferenceRequest in text form (model_args is in x, y, z order there).
 * `depth` receives model_args' depth or 0. Fields without a meaning here are named in a warning. */
exa_status exa_ffn_request_read(const char *path, exa_ffn_settings *settings, int *depth);

/* The same from memory; `path` is for messages. */
exa_status exa_ffn_request_parse(const char *text, const char *path, exa_ffn_settings *settings, int *depth);

#ifdef __cplusplus
}
#endif
#endif
