/* From the network as it is stored to the network on a GPU. */
#include "exaconn/ffn_device_net.h"

#include "ffn_model_internal.h"

#include "exaconn/ffn_net.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct tensors {
    const float *weights[2 * EXA_FFN_MAX_DEPTH + 1], *biases[2 * EXA_FFN_MAX_DEPTH + 1];
} tensors;

static exa_status describe(const exa_ffn_model *model, tensors *t, exa_device_net_spec *spec) {
    EXA_CHECK(model->depth >= 1 && model->depth <= EXA_FFN_MAX_DEPTH && model->layer_count == 2 * model->depth + 1,
              EXA_ERR_RANGE, "a network of depth %d with %d layers", model->depth, model->layer_count);
    EXA_TRY(exa_ffn_layers_check(model));
    for (int i = 0; i < model->layer_count; i++) {
        const exa_ffn_layer *layer = &model->layers[i];
        t->weights[i] = layer->weights;
        t->biases[i] = layer->biases;
    }
    *spec = (exa_device_net_spec){.depth = model->depth,
                                  .features = model->features,
                                  .fov = {(int)model->fov[0], (int)model->fov[1], (int)model->fov[2]},
                                  .weights = t->weights,
                                  .biases = t->biases};
    return EXA_OK;
}

exa_status exa_ffn_device_net_memory(const exa_ffn_model *model, const exa_device_net_options *options,
                                     uint64_t *bytes) {
    tensors t;
    exa_device_net_spec spec;
    EXA_TRY(describe(model, &t, &spec));
    return exa_device_net_memory(&spec, options, bytes);
}

exa_status exa_ffn_device_net_create(const exa_ffn_model *model, const exa_device_net_options *options,
                                     exa_device_net **out) {
    tensors t;
    exa_device_net_spec spec;
    EXA_TRY(describe(model, &t, &spec));
    return exa_device_net_create(&spec, options, out);
}

/* ---- whether the device is to be believed ---------------------------------------------------------------------
 */

/* Image and seed as in the middle of a flood, without any file: waves, and a ball of high logits in unset voxels.
 */
static void make_up(const exa_ffn_model *model, float *image, float *seed) {
    const int64_t *f = model->fov;
    size_t i = 0;

    for (int64_t z = 0; z < f[0]; z++) {
        for (int64_t y = 0; y < f[1]; y++) {
            for (int64_t x = 0; x < f[2]; x++, i++) {
                double dz = (double)(2 * z - f[0]) / (double)f[0], dy = (double)(2 * y - f[1]) / (double)f[1],
                       dx = (double)(2 * x - f[2]) / (double)f[2];
                image[i] = (float)(1.5 * sin(0.9 * (double)z + 0.3 * (double)y) * cos(0.7 * (double)x));
                seed[i] = (float)(dz * dz + dy * dy + dx * dx < 0.5 ? 2.9 - 2 * dx : -2.9);
            }
        }
    }
}

/* The largest difference between two answers, and the largest change that the network made to the seed; not a
 * number is infinitely far. */
static void compare(const float *seed, const float *here, const float *there, size_t voxels, double *largest,
                    double *scale) {
    *largest = *scale = 0;
    for (size_t i = 0; i < voxels; i++) {
        double difference = fabs((double)here[i] - (double)there[i]),
               change = fabs((double)here[i] - (double)seed[i]);
        if (!(difference < INFINITY)) difference = INFINITY;
        if (difference > *largest) *largest = difference;
        if (change > *scale) *scale = change;
    }
}

#define DISBELIEVED                                                                                                \
    "\"compute\": {\"backend\": \"cpu\"}, and please report GPU, driver and `exaconn --version --json`"

static exa_status compare_batch(const exa_device_net *net, const float *one, const float *many, size_t n,
                                size_t voxels, const char *how) {
    for (size_t i = 0; i < n; i++) {
        EXA_CHECK(
            memcmp(one, many + i * voxels, voxels * sizeof *one) == 0, EXA_ERR_DEVICE,
            "the GPU's network step (%s) gives other bits as number %zu of %zu %s than alone. Hint: " DISBELIEVED,
            exa_device_net_description(net), i + 1, n, how);
    }
    return EXA_OK;
}

/* The same step `n` times: other tilings than for one, groups, and, as a run has it, a graph of calls that overlap.
 * A graph's logits are of no use where the step leaves the precision's range. */
static exa_status check_batch(exa_device_net *net, exa_device_net *wider, size_t n, size_t voxels,
                              const float *image, const float *seed, const float *one, bool graph) {
    const float **images = NULL, **seeds;
    float **logits = NULL, *input = NULL, *many;
    exa_device_net_times times;
    exa_status st = EXA_OK;

    EXA_GOTO(done, exa_alloc(2 * n, sizeof *images, "a batch that checks the GPU", &images));
    EXA_GOTO(done, exa_alloc(n, sizeof *logits, "a batch that checks the GPU", &logits));
    EXA_GOTO(done, exa_alloc(3 * n * voxels, sizeof *input, "a batch that checks the GPU", &input));
    seeds = images + n;
    many = input + 2 * n * voxels;
    for (size_t i = 0; i < n; i++) images[i] = image, seeds[i] = seed, logits[i] = many + i * voxels;
    for (size_t v = 0; v < n * voxels; v++) input[2 * v] = image[v % voxels], input[2 * v + 1] = seed[v % voxels];
    EXA_GOTO(done, exa_device_net_infer(net, wider, n, images, seeds, logits, NULL));
    EXA_GOTO(done, compare_batch(net, one, many, n, voxels, "at once"));
    if (!graph) goto done;
    EXA_GOTO(done, exa_device_net_time(net, (int)n, voxels, input, 2, 1, true, many, &times));
    EXA_GOTO(done, compare_batch(net, one, many, n, voxels, "in a graph"));
done:
    free(images);
    free(logits);
    free(input);
    return st;
}

exa_status exa_ffn_device_net_check(const exa_ffn_model *model, exa_device_net *net, exa_device_net *wider,
                                    exa_net_precision precision, int batch, exa_pool *pool, double *largest) {
    /* About ten times what was seen of each precision on the published network (docs/performance.md, FFN). */
    const double tolerance = precision == EXA_NET_FP32 ? 1e-4 : 0.05;
    const size_t voxels = (size_t)(model->fov[0] * model->fov[1] * model->fov[2]);
    float *image = NULL, *seed, *here, *there;
    exa_ffn_net *cpu = NULL;
    uint64_t redone = 0;
    double scale;
    exa_status st;

    EXA_TRY(exa_alloc(4 * voxels, sizeof *image, "a step that checks the GPU", &image));
    seed = image + voxels;
    here = seed + voxels;
    there = here + voxels;
    make_up(model, image, seed);
    EXA_GOTO(done, exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, pool, &cpu));
    EXA_GOTO(done, exa_ffn_net_infer(cpu, 1, (const float *[]){image}, (const float *[]){seed}, &here));
    EXA_GOTO(done, exa_device_net_infer(net, wider, 1, (const float *[]){image}, (const float *[]){seed}, &there,
                                        &redone));
    compare(seed, here, there, voxels, largest, &scale);
    EXA_CHECK_GOTO(done, *largest <= tolerance * fmax(1, scale), EXA_ERR_DEVICE,
                   "the GPU's network step (%s) differs from the CPU's by %g in a logit, of changes up to %g. "
                   "Hint: " DISBELIEVED,
                   exa_device_net_description(net), *largest, scale);
    EXA_GOTO(done, check_batch(net, wider, (size_t)batch, voxels, image, seed, there, redone == 0));
done:
    exa_ffn_net_destroy(&cpu);
    free(image);
    return st;
}
