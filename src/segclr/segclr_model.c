/* SegCLR models in memory: which layers a geometry has, their tensors, identity and random values. */
#include "exaconn/segclr_model.h"

#include "segclr_model_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { STAGES = 4 };

const char *exa_segclr_variant_name(exa_segclr_variant variant) {
    return variant == EXA_SEGCLR_TF1 ? "tf1" : variant == EXA_SEGCLR_TF2 ? "tf2" : "unknown";
}

const char *exa_segclr_part_name(exa_segclr_part part) {
    static const char *const names[] = {"kernel", "bias", "gamma", "beta", "mean", "variance"};
    return (unsigned)part < EXA_SEGCLR_PARTS ? names[part] : "unknown";
}

/* ---- rules -------------------------------------------------------------------------------------- */

exa_status exa_segclr_geometry_check(const exa_segclr_geometry *g) {
    EXA_CHECK(g->variant == EXA_SEGCLR_TF1 || g->variant == EXA_SEGCLR_TF2, EXA_ERR_RANGE,
              "variant %d; tf1 and tf2 are possible", (int)g->variant);
    EXA_CHECK(g->depth == 18 || g->depth == 34 || g->depth == 50, EXA_ERR_RANGE,
              "depth is %d; 18, 34 and 50 are possible", g->depth);
    EXA_CHECK(g->width >= 16 && g->width <= 256 && g->width % 16 == 0, EXA_ERR_RANGE,
              "width is %d; multiples of 16 from 16 to 256 are possible", g->width);
    EXA_CHECK(g->head_layers >= 1 && g->head_layers <= EXA_SEGCLR_MAX_HEAD, EXA_ERR_RANGE,
              "head_layers is %d; 1 to %d are possible", g->head_layers, EXA_SEGCLR_MAX_HEAD);
    EXA_CHECK(g->embedding >= 1 && g->embedding <= EXA_SEGCLR_MAX_EMBEDDING, EXA_ERR_RANGE,
              "embedding_dim is %d; 1 to %d are possible", g->embedding, EXA_SEGCLR_MAX_EMBEDDING);
    return EXA_OK;
}

exa_status exa_segclr_model_check(const exa_segclr_model *m) {
    EXA_TRY(exa_segclr_geometry_check(&m->geometry));
    for (int a = 0; a < 3; a++) {
        EXA_CHECK(m->patch[a] >= 33 && m->patch[a] <= EXA_SEGCLR_MAX_PATCH && m->patch[a] % 32 == 1, EXA_ERR_RANGE,
                  "patch on axis %c is %lld; 33, 65, 97, 129, ... up to %d are possible. Hint: with other sizes a "
                  "layer of stride 2 meets an even number of voxels, and the variants would pad it differently",
                  "zyx"[a], (long long)m -> patch[a], EXA_SEGCLR_MAX_PATCH);
        EXA_CHECK(m->resolution_nm[a] >= 0.1 && m->resolution_nm[a] <= 1e6, EXA_ERR_RANGE,
                  "resolution_nm on axis %c is %g; 0.1 to 1e6 nm are possible", "zyx"[a], m -> resolution_nm[a]);
    }
    EXA_CHECK(m->input_scale > 0 && m->input_scale <= 1e6, EXA_ERR_RANGE,
              "input_scale is %g; a number above 0 is expected", m->input_scale);
    EXA_CHECK(m->bn_epsilon > 0 && m->bn_epsilon <= 1, EXA_ERR_RANGE,
              "bn_epsilon is %g; a number above 0 and at most 1 is expected", m->bn_epsilon);
    EXA_CHECK(strcmp(m->axis_order, "zyx") == 0 || strcmp(m->axis_order, "xyz") == 0, EXA_ERR_RANGE,
              "axis_order is '%.3s'; zyx and xyz are possible", m->axis_order);
    return EXA_OK;
}

/* ---- layers ------------------------------------------------------------------------------------- */

/* Layers of a block on its main path: kernels and strides. The strided one of three is the 1x1x1 in tf1, the 3x3x3
 * in tf2. */
static void describe_main(const exa_segclr_geometry *g, int stage, int block, int i, exa_segclr_layer *l) {
    bool bottleneck = g->depth == 50;
    int width = g->width << (stage - 2), strided = bottleneck && g->variant == EXA_SEGCLR_TF2 ? 1 : 0;
    int out = bottleneck ? 4 * width : width;
    int before = block > 0 ? out : stage > 2 ? out / 2 : g->width;

    l->role = EXA_SEGCLR_MAIN;
    l->last = i == (bottleneck ? 2 : 1);
    l->kernel = bottleneck && i != 1 ? 1 : 3;
    l->stride = block == 0 && stage > 2 && i == strided ? 2 : 1;
    l->cin = i == 0 ? before : width;
    l->cout = l->last ? out : width;
    snprintf(l->name, sizeof l->name, "stage_%d/block_%d/conv_%d", stage, block, i);
}

static void describe_shortcut(const exa_segclr_geometry *g, int stage, exa_segclr_layer *l) {
    int width = g->width << (stage - 2), out = g->depth == 50 ? 4 * width : width;

    l->role = EXA_SEGCLR_SHORTCUT;
    l->kernel = 1;
    l->stride = stage > 2 ? 2 : 1;
    l->cin = stage > 2 ? out / 2 : g->width;
    l->cout = out;
    snprintf(l->name, sizeof l->name, "stage_%d/block_0/shortcut", stage);
}

static int describe_stages(const exa_segclr_geometry *g, exa_segclr_layer *layers) {
    static const int blocks18[STAGES] = {2, 2, 2, 2}, blocks34[STAGES] = {3, 4, 6, 3};
    const int *blocks = g->depth == 18 ? blocks18 : blocks34;
    int n = 0;

    for (int stage = 2; stage < 2 + STAGES; stage++) {
        for (int block = 0; block < blocks[stage - 2]; block++) {
            for (int i = 0; i < (g->depth == 50 ? 3 : 2); i++) {
                exa_segclr_layer *l = &layers[n++];
                describe_main(g, stage, block, i, l);
                l->stage = stage;
                l->block = block;
                l->index = i;
            }
            if (block > 0) continue;
            layers[n].stage = stage;
            describe_shortcut(g, stage, &layers[n++]);
        }
    }
    return n;
}

int exa_segclr_describe(const exa_segclr_geometry *g, exa_segclr_layer layers[EXA_SEGCLR_MAX_LAYERS]) {
    int n = 1, features = (g->width << (STAGES - 1)) * (g->depth == 50 ? 4 : 1);

    memset(layers, 0, EXA_SEGCLR_MAX_LAYERS * sizeof *layers);
    layers[0] = (exa_segclr_layer){
        .name = "stem", .role = EXA_SEGCLR_STEM, .kernel = 7, .stride = 2, .cin = 1, .cout = g->width};
    n += describe_stages(g, layers + 1);
    for (int i = 0; i < g->head_layers; i++) {
        exa_segclr_layer *l = &layers[n++];
        l->role = EXA_SEGCLR_HEAD;
        l->index = i;
        l->kernel = l->stride = 1;
        l->cin = features;
        l->last = i == g->head_layers - 1;
        l->cout = l->last ? g->embedding : features;
        snprintf(l->name, sizeof l->name, "head_%d", i);
    }
    for (int i = 0; i < n; i++) {
        exa_segclr_layer *l = &layers[i];
        bool head = l->role == EXA_SEGCLR_HEAD, tf1 = g->variant == EXA_SEGCLR_TF1;
        l->has_bias = tf1 && !head;
        l->has_beta = tf1 || !(head && l->last);
    }
    return n;
}

size_t exa_segclr_tensor_shape(const exa_segclr_layer *l, exa_segclr_part part, int64_t shape[5], int *rank) {
    if ((part == EXA_SEGCLR_BIAS && !l->has_bias) || (part == EXA_SEGCLR_BETA && !l->has_beta)) return 0;
    int n = 0;
    size_t elements = 1;
    if (part == EXA_SEGCLR_KERNEL) {
        for (int a = 0; a < 3 && l->role != EXA_SEGCLR_HEAD; a++) shape[n++] = l->kernel;
        shape[n++] = l->cin;
    }
    shape[n++] = l->cout;
    for (int a = 0; a < n; a++) elements *= (size_t)shape[a];
    *rank = n;
    return elements;
}

size_t exa_segclr_tensor_elements(const exa_segclr_layer *l, exa_segclr_part part) {
    int64_t shape[5];
    int rank;
    return exa_segclr_tensor_shape(l, part, shape, &rank);
}

static exa_status allocate(exa_segclr_model *m) {
    for (int i = 0; i < m->layer_count; i++) {
        exa_segclr_layer *l = &m->layers[i];
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            size_t n = exa_segclr_tensor_elements(l, (exa_segclr_part)p);
            if (n) EXA_TRY(exa_calloc(n, sizeof(float), "SegCLR weights", &l->tensor[p]));
        }
    }
    return EXA_OK;
}

exa_status exa_segclr_model_create(const exa_segclr_geometry *geometry, exa_segclr_model **out) {
    exa_segclr_model *m = NULL;
    exa_status st;

    EXA_TRY(exa_segclr_geometry_check(geometry));
    EXA_TRY(exa_calloc(1, sizeof *m, "a SegCLR model", &m));
    m->geometry = *geometry;
    m->patch[0] = m->patch[1] = m->patch[2] = 129;
    m->resolution_nm[0] = 33;
    m->resolution_nm[1] = m->resolution_nm[2] = 32;
    m->input_scale = 1.0 / 255;
    m->bn_epsilon = 1e-5;
    snprintf(m->axis_order, sizeof m->axis_order, "zyx");
    EXA_GOTO(fail, exa_calloc(EXA_SEGCLR_MAX_LAYERS, sizeof *m->layers, "SegCLR layers", &m->layers));
    m->layer_count = exa_segclr_describe(geometry, m->layers);
    EXA_GOTO(fail, allocate(m));
    *out = m;
    return EXA_OK;
fail:
    exa_segclr_model_destroy(&m);
    return st;
}

void exa_segclr_model_destroy(exa_segclr_model **model) {
    exa_segclr_model *m = *model;
    if (!m) return;
    for (int i = 0; i < m->layer_count; i++)
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) free(m->layers[i].tensor[p]);
    free(m->layers);
    free(m);
    *model = NULL;
}

int64_t exa_segclr_model_parameters(const exa_segclr_model *m) {
    int64_t sum = 0;
    for (int i = 0; i < m->layer_count; i++)
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++)
            sum += (int64_t)exa_segclr_tensor_elements(&m->layers[i], (exa_segclr_part)p);
    return sum;
}

/* Output voxels of a layer: the extents n of a patch become (n - 1) / 2 + 1 at the stem, its pool and stages 3
 * to 5.
 */
static double voxels_of(const exa_segclr_model *m, const exa_segclr_layer *l) {
    int halvings = l->role == EXA_SEGCLR_STEM ? 1 : l->stage;
    double voxels = 1;

    if (l->role == EXA_SEGCLR_HEAD) return 1;
    /* Before the strided convolution of a block of three (tf2), the stage before. */
    if (l->role == EXA_SEGCLR_MAIN && l->block == 0 && l->index == 0 && l->stage > 2 && l->stride == 1) halvings--;
    for (int a = 0; a < 3; a++) voxels *= (double)(((m->patch[a] - 1) >> halvings) + 1);
    return voxels;
}

double exa_segclr_model_flops(const exa_segclr_model *m) {
    double sum = 0;
    for (int i = 0; i < m->layer_count; i++)
        sum +=
            2 * voxels_of(m, &m->layers[i]) * (double)exa_segclr_tensor_elements(&m->layers[i], EXA_SEGCLR_KERNEL);
    return sum;
}

/* ---- identity ----------------------------------------------------------------------------------- */

exa_status exa_segclr_model_digest(exa_segclr_model *m) {
    char *text = NULL;
    size_t used = 0;
    exa_status st = EXA_OK;

    EXA_TRY(exa_alloc((size_t)m->layer_count * EXA_SEGCLR_PARTS, EXA_SHA256_HEX_BYTES, "hashing weights", &text));
    for (int i = 0; i < m->layer_count; i++) {
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            const exa_segclr_layer *l = &m->layers[i];
            if (!l->tensor[p]) continue;
            size_t bytes = exa_segclr_tensor_elements(l, (exa_segclr_part)p) * sizeof(float);
            EXA_GOTO(done, exa_sha256(l->tensor[p], bytes, text + used));
            used += EXA_SHA256_HEX_BYTES;
            text[used - 1] = '\n';
        }
    }
    st = exa_sha256(text, used, m->weights_sha256);
done:
    free(text);
    return st;
}

/* ---- random values ------------------------------------------------------------------------------ */

double exa_segclr_random(const char *name, uint64_t seed, uint64_t i) {
    uint64_t key = exa_hash_u64(exa_hash_u64(seed) ^ exa_crc32c(0, name, strlen(name)));
    return (double)(exa_hash_u64(key + i) >> 40) * 0x1p-24;
}

/* He's rule for kernels; the rest far enough from 0 and 1 that a forgotten one shows. In double, rounded once. */
static float random_value(const exa_segclr_layer *l, exa_segclr_part part, double u) {
    double k = (double)l->kernel, fan_in = k * k * k * (double)l->cin;

    switch (part) {
    case EXA_SEGCLR_KERNEL: return (float)((2 * u - 1) * sqrt(6 / fan_in));
    case EXA_SEGCLR_GAMMA: return (float)(0.5 + u);
    case EXA_SEGCLR_VARIANCE: return (float)(0.5 + 1.5 * u);
    default: return (float)(2 * u - 1);
    }
}

exa_status exa_segclr_model_randomize(exa_segclr_model *m, uint64_t seed) {
    for (int i = 0; i < m->layer_count; i++) {
        exa_segclr_layer *l = &m->layers[i];
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++) {
            char name[96];
            size_t n = exa_segclr_tensor_elements(l, (exa_segclr_part)p);
            snprintf(name, sizeof name, "%s/%s", l->name, exa_segclr_part_name((exa_segclr_part)p));
            uint64_t key = exa_hash_u64(exa_hash_u64(seed) ^ exa_crc32c(0, name, strlen(name)));
            for (size_t e = 0; e < n; e++)
                l->tensor[p][e] =
                    random_value(l, (exa_segclr_part)p, (double)(exa_hash_u64(key + e) >> 40) * 0x1p-24);
        }
    }
    snprintf(m->source, sizeof m->source, "random numbers, seed %llu: nobody trained this network",
             (unsigned long long)seed);
    return exa_segclr_model_digest(m);
}
