/* The CPU's network in the place of the GPU's: with it the emulated GPU computes the very logits that the CPU does,
 * so a whole run must come out the same to the bit. EXACONN_TEST_OVERFLOW=N: every step whose input's hash is
 * divisible by N is said to have left fp16's range. EXACONN_TEST_LOSE=N: the GPU is lost at the N-th batch.
 * EXACONN_TEST_WRONG=1: a logit of the step by which a run checks its GPU is wrong; 2: of the last of a batch; 3:
 * of the last of a graph. EXACONN_TEST_NO_CODE=1: the GPU is so old that the program has no code for it. */
#include "exaconn/device_net.h"

#include "exaconn/ffn_model.h"
#include "exaconn/ffn_net.h"

#include "cuda/emulation.h"

#include <stdlib.h>
#include <string.h>

struct exa_device_net {
    exa_ffn_net *net;
    size_t voxels;
    exa_net_precision precision;
};

typedef struct call {
    exa_device_net *net;
    int n;
    const float *input;
    float *logits;
    uint32_t *overflow;
} call;

static long number_of(const char *name) {
    const char *text = getenv(name);
    return text ? atol(text) : 0;
}

const char *exa_net_precision_name(exa_net_precision precision) {
    static const char *const names[] = {"fp32", "tf32", "fp16"};
    return names[precision];
}

/* The CPU's network takes nothing of the GPU's memory; something has to be planned. */
exa_status exa_device_net_memory(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 uint64_t *bytes) {
    (void)spec;
    *bytes = (uint64_t)options->max_batch << 20;
    return EXA_OK;
}

exa_status exa_device_net_usable(int device, exa_net_precision precision) {
    (void)device, (void)precision;
    return number_of("EXACONN_TEST_NO_CODE") ? EXA_FAIL(EXA_ERR_UNSUPPORTED, "no code for the emulated GPU")
                                             : EXA_OK;
}

exa_status exa_device_net_create(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 exa_device_net **out) {
    const exa_coord fov[3] = {spec->fov[0], spec->fov[1], spec->fov[2]}, deltas[3] = {1, 1, 1};
    exa_device_net *net = calloc(1, sizeof *net);
    exa_ffn_model *model;

    EXA_TRY(exa_ffn_model_create(spec->depth, spec->features, fov, deltas, &model));
    for (int i = 0; i < model->layer_count; i++) {
        exa_ffn_layer *l = &model->layers[i];
        size_t taps = (size_t)(l->kernel * l->kernel * l->kernel);
        memcpy(l->weights, spec->weights[i], taps * (size_t)(l->cin * l->cout) * sizeof(float));
        memcpy(l->biases, spec->biases[i], (size_t)l->cout * sizeof(float));
    }
    net->voxels = (size_t)(fov[0] * fov[1] * fov[2]);
    net->precision = options->precision;
    EXA_TRY(exa_ffn_net_create(model, EXA_FFN_KERNEL_AUTO, EXA_ISA_AUTO, NULL, &net->net));
    exa_ffn_model_destroy(&model);
    *out = net;
    return EXA_OK;
}

void exa_device_net_destroy(exa_device_net **net) {
    if (!*net) return;
    exa_ffn_net_destroy(&(*net)->net);
    free(*net);
    *net = NULL;
}

static uint32_t hash_of(const float *values, size_t count) {
    uint32_t hash = 2166136261u, bits;

    for (size_t i = 0; i < count; i += 5) {
        memcpy(&bits, values + i, 4);
        hash = (hash ^ bits) * 16777619u;
    }
    return hash >> 8;
}

static void run_call(void *data) {
    call *c = data;
    const long every = c->net->precision == EXA_NET_FP16 ? number_of("EXACONN_TEST_OVERFLOW") : 0;
    const size_t voxels = c->net->voxels;
    float *planes = malloc(2 * voxels * sizeof *planes);

    for (int k = 0; k < c->n; k++) {
        const float *input = c->input + 2 * (size_t)k * voxels, *image = planes, *seed = planes + voxels;
        float *logits = c->logits + (size_t)k * voxels;
        for (size_t i = 0; i < voxels; i++) {
            planes[i] = input[2 * i];
            planes[voxels + i] = input[2 * i + 1];
        }
        c->overflow[k] = every > 0 && hash_of(planes, 2 * voxels) % (uint32_t)every == 0;
        if (c->overflow[k]) {
            memset(logits, 0xff, voxels * sizeof *logits);
        } else if (exa_ffn_net_infer(c->net->net, 1, &image, &seed, &logits) != EXA_OK) {
            abort();
        }
    }
    free(planes);
}

/* Recorded into graphs, the calls live as long as the process. */
exa_status exa_device_net_forward(exa_device_net *net, int n, const float *d_input, float *d_logits,
                                  uint32_t *d_overflow, void *stream) {
    static long calls;
    call *c = malloc(sizeof *c);

    if (number_of("EXACONN_TEST_LOSE") && ++calls >= number_of("EXACONN_TEST_LOSE"))
        return EXA_FAIL(EXA_ERR_DEVICE, "GPU: network steps: the emulated GPU has fallen off the bus");
    *c = (call){net, n, d_input, d_logits, d_overflow};
    exa_emulation_enqueue(stream, run_call, c);
    return EXA_OK;
}

exa_status exa_device_net_infer(exa_device_net *net, exa_device_net *wider, size_t n, const float *const *image,
                                const float *const *seed, float *const *logits, uint64_t *redone) {
    (void)wider;
    if (redone) *redone = 0;
    EXA_TRY(exa_ffn_net_infer(net->net, n, image, seed, logits));
    if (number_of("EXACONN_TEST_WRONG") == 1) logits[0][net->voxels / 2] += 1;
    if (number_of("EXACONN_TEST_WRONG") == 2 && n > 1) logits[n - 1][net->voxels / 2] += 1;
    return EXA_OK;
}

exa_status exa_device_net_time(exa_device_net *net, int n, size_t voxels, const float *input, int calls, int repeat,
                               bool graph, float *logits, exa_device_net_times *times) {
    uint32_t *overflow = calloc((size_t)n, sizeof *overflow);
    exa_device_net exact = *net; /* as exa_device_net_infer here: nothing leaves its range */
    call c = {&exact, n, input, logits, overflow};

    (void)calls, (void)repeat;
    exact.precision = EXA_NET_FP32;
    *times = (exa_device_net_times){0};
    run_call(&c);
    free(overflow);
    if (graph && number_of("EXACONN_TEST_WRONG") == 3) logits[(size_t)n * voxels - 1] += 1;
    return EXA_OK;
}

const char *exa_device_net_description(const exa_device_net *net) {
    (void)net;
    return "the CPU's network on an emulated GPU";
}
