/* TensorFlow checkpoints of SegCLR networks (google-research/connectomics), read without TensorFlow.
 *
 * A name is brought into one form first: "base_model_0.Sresnet18..." of an object's checkpoint becomes
 * "base_model_0/resnet18/...", "/.ATTRIBUTES/VARIABLE_VALUE" goes, and so does whatever object holds the network
 * ("model/"). Each tensor must then be one that the geometry has, or known as part of the training.
 */
#include "exaconn/segclr_import.h"

#include "segclr_model_internal.h"

#include "exaconn/log.h"
#include "exaconn/tensor_bundle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 512 };

/* ---- names -------------------------------------------------------------------------------------- */

static void plain_name(const char *name, char out[NAME_BYTES]) {
    static const char attribute[] = "/.ATTRIBUTES/VARIABLE_VALUE";
    static const char *const roots[] = {"base_model_0/", "bottleneck_head_0/", "resnet_model/",
                                        "_bottleneck_head/"};
    size_t n = 0, size = strlen(name), tail = sizeof attribute - 1;

    if (size > tail && strcmp(name + size - tail, attribute) == 0) size -= tail;
    for (size_t i = 0; i < size && n < NAME_BYTES - 1; i++) {
        bool slash = name[i] == '.' && i + 1 < size && name[i + 1] == 'S';
        out[n++] = slash ? '/' : name[i];
        i += slash;
    }
    out[n] = '\0';
    for (size_t r = 0; r < sizeof roots / sizeof *roots; r++) {
        char *at = strstr(out, roots[r]);
        if (!at || (at > out && at[-1] != '/')) continue;
        memmove(out, at, strlen(at) + 1);
        return;
    }
}

/* A name a checkpoint may hold but the network does not need. */
static bool is_training_state(const char *name, const char *plain) {
    static const char *const anywhere[] = {"projection_head", ".OPTIMIZER_SLOT", "_CHECKPOINTABLE_OBJECT_GRAPH",
                                           "supervised_head", "distance_head_"};
    static const char *const last[] = {
        "renorm_mean",   "renorm_stddev", "renorm_mean_weight", "renorm_stddev_weight",
        "moving_stddev", "global_step",   "save_counter",       "Momentum",
        "Adam",          "Adam_1",        "LARSOptimizer",      "beta1_power",
        "beta2_power"};
    const char *slash = strrchr(plain, '/'), *end = slash ? slash + 1 : plain;

    for (size_t i = 0; i < sizeof anywhere / sizeof *anywhere; i++)
        if (strstr(name, anywhere[i])) return true;
    for (size_t i = 0; i < sizeof last / sizeof *last; i++)
        if (strcmp(end, last[i]) == 0) return true;
    return strncmp(plain, "optimizer/", 10) == 0;
}

static const char *norm_part(exa_segclr_part part) {
    static const char *const names[] = {"", "", "gamma", "beta", "moving_mean", "moving_variance"};
    return names[part];
}

static void name_tf1(const exa_segclr_geometry *g, const exa_segclr_layer *l, exa_segclr_part part, char *out) {
    bool conv = part <= EXA_SEGCLR_BIAS;
    const char *end = conv ? exa_segclr_part_name(part) : norm_part(part);
    char block[64];

    snprintf(block, sizeof block, "base_model_0/resnet%d/stage_%d/block_%c", g->depth, l->stage, 'a' + l->block);
    switch (l->role) {
    case EXA_SEGCLR_STEM:
        snprintf(out, NAME_BYTES, "base_model_0/resnet%d/stage_1/%s/%s", g->depth, conv ? "conv1" : "bn1", end);
        return;
    case EXA_SEGCLR_MAIN:
        snprintf(out, NAME_BYTES, "%s/%s_%d/%s", block, conv ? "conv" : "bn", l->index, end);
        return;
    case EXA_SEGCLR_SHORTCUT:
        snprintf(out, NAME_BYTES, "%s/shortcut_%s/%s", block, conv ? "conv" : "bn", end);
        return;
    case EXA_SEGCLR_HEAD:
        snprintf(out, NAME_BYTES, "bottleneck_head_0/nl_%d/", l->index);
        if (conv) {
            strcat(out, "dense/kernel");
        } else {
            snprintf(out + strlen(out), 64, "nl_%d_bn/%s", l->index, end);
        }
        return;
    }
}

static void name_tf2(const exa_segclr_geometry *g, const exa_segclr_layer *l, exa_segclr_part part, char *out) {
    bool conv = part <= EXA_SEGCLR_BIAS, deep = g->depth == 50;
    char block[64], end[64];

    snprintf(block, sizeof block, "resnet_model/block_groups/%d/layers/%d", l->stage - 2, l->block);
    snprintf(end, sizeof end, "%s%s", conv ? "conv3d/" : "bn/", conv ? "kernel" : norm_part(part));
    switch (l->role) {
    case EXA_SEGCLR_STEM:
        snprintf(out, NAME_BYTES, "resnet_model/initial_conv_relu_max_pool/%d/%s", conv ? 0 : 2, end);
        return;
    case EXA_SEGCLR_MAIN:
        snprintf(out, NAME_BYTES, "%s/%s/%d/%s", block, deep ? "conv_relu_dropblock_layers" : "conv3d_bn_layers",
                 l->index * (deep ? 3 : 2) + !conv, end);
        return;
    case EXA_SEGCLR_SHORTCUT:
        snprintf(out, NAME_BYTES, "%s/%s/%d/%s", block, deep ? "projection_layers" : "shortcut_layers", !conv, end);
        return;
    case EXA_SEGCLR_HEAD:
        snprintf(out, NAME_BYTES, "_bottleneck_head/linear_layers/%d/%s%s", l->index, conv ? "dense/" : "bn_relu/",
                 conv ? "kernel" : end);
        return;
    }
}

static void checkpoint_name(const exa_segclr_geometry *g, const exa_segclr_layer *l, exa_segclr_part part,
                            char out[NAME_BYTES]) {
    if (g->variant == EXA_SEGCLR_TF1) {
        name_tf1(g, l, part, out);
    } else {
        name_tf2(g, l, part, out);
    }
}

/* ---- the checkpoint's contents by plain name ----------------------------------------------------- */

typedef struct entry {
    char plain[NAME_BYTES];
    size_t index; /* in the bundle */
    bool used;
} entry;

typedef struct contents {
    exa_tensor_bundle *bundle; /* borrowed */
    entry *entries;            /* owned; by plain name */
    size_t count;
} contents;

static int entry_order(const void *a, const void *b) {
    return strcmp(((const entry *)a)->plain, ((const entry *)b)->plain);
}

static exa_status list_contents(exa_tensor_bundle *b, contents *c) {
    c->bundle = b;
    c->count = exa_tensor_bundle_count(b);
    EXA_TRY(exa_calloc(c->count ? c->count : 1, sizeof *c->entries, "a checkpoint's names", &c->entries));
    for (size_t i = 0; i < c->count; i++) {
        exa_tensor_info info;
        EXA_TRY(exa_tensor_bundle_info(b, i, &info));
        plain_name(info.name, c->entries[i].plain);
        c->entries[i].index = i;
    }
    qsort(c->entries, c->count, sizeof *c->entries, entry_order);
    for (size_t i = 1; i < c->count; i++)
        EXA_CHECK(strcmp(c->entries[i - 1].plain, c->entries[i].plain) != 0, EXA_ERR_FORMAT,
                  "two tensors are called '%.200s'. Hint: two networks in one checkpoint", c->entries[i].plain);
    return EXA_OK;
}

static entry *find(const contents *c, const char *plain) {
    size_t low = 0, high = c->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(c->entries[middle].plain, plain);
        if (order == 0) return &c->entries[middle];
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return NULL;
}

static bool has(const contents *c, const char *format, int number) {
    char name[NAME_BYTES];
    snprintf(name, sizeof name, format, number);
    return find(c, name) != NULL;
}

/* The last extent of a tensor; 0 if it is not there or has no or a huge one. */
static int last_extent(const contents *c, const char *plain, int rank) {
    exa_tensor_info info;
    const entry *e = find(c, plain);

    if (!e || exa_tensor_bundle_info(c->bundle, e->index, &info) != EXA_OK || info.rank != rank) return 0;
    int64_t extent = info.shape[info.rank - 1];
    return extent > 0 && extent < 1 << 16 ? (int)extent : 0;
}

/* ---- geometry ----------------------------------------------------------------------------------- */

static exa_status find_variant(const contents *c, exa_segclr_geometry *g) {
    static const int depths[] = {18, 34, 50};

    EXA_CHECK(!has(c, "base_model_%d/resnet18/stage_1/conv1/kernel", 1) &&
                  !has(c, "base_model_%d/resnet50/stage_1/conv1/kernel", 1),
              EXA_ERR_UNSUPPORTED,
              "the network has several encoders (base_model_1), one for each input channel; exaconn runs one: the "
              "masked image");
    for (size_t i = 0; i < sizeof depths / sizeof *depths; i++) {
        if (!has(c, "base_model_0/resnet%d/stage_1/conv1/kernel", depths[i])) continue;
        *g = (exa_segclr_geometry){.variant = EXA_SEGCLR_TF1, .depth = depths[i]};
        return EXA_OK;
    }
    EXA_CHECK(
        has(c, "resnet_model/initial_conv_relu_max_pool/%d/conv3d/kernel", 0), EXA_ERR_FORMAT,
        "neither 'base_model_0/resnet18/stage_1/conv1/kernel' nor "
        "'resnet_model/initial_conv_relu_max_pool/0/conv3d/kernel' is there. Hint: this is not a checkpoint of "
        "google-research/connectomics' SegCLR network of depth 18, 34 or 50");
    bool deep = has(c, "resnet_model/block_groups/%d/layers/0/conv_relu_dropblock_layers/0/conv3d/kernel", 0);
    bool third = has(c, "resnet_model/block_groups/0/layers/%d/conv3d_bn_layers/0/conv3d/kernel", 2);
    *g = (exa_segclr_geometry){.variant = EXA_SEGCLR_TF2, .depth = deep ? 50 : third ? 34 : 18};
    EXA_CHECK(!has(c, "resnet_model/block_groups/2/layers/%d/conv_relu_dropblock_layers/0/conv3d/kernel", 6),
              EXA_ERR_UNSUPPORTED, "the network is deeper than ResNet-50; exaconn runs depths 18, 34 and 50");
    return EXA_OK;
}

static exa_status find_geometry(const contents *c, exa_segclr_geometry *g) {
    char name[NAME_BYTES];
    exa_segclr_layer stem = {.role = EXA_SEGCLR_STEM}, head = {.role = EXA_SEGCLR_HEAD};
    exa_tensor_info info;

    EXA_TRY(find_variant(c, g));
    checkpoint_name(g, &stem, EXA_SEGCLR_KERNEL, name);
    g->width = last_extent(c, name, 5);
    EXA_CHECK(g->width > 0, EXA_ERR_FORMAT, "tensor '%s' is not of 5 dimensions", name);
    EXA_TRY(exa_tensor_bundle_info(c->bundle, find(c, name)->index, &info));
    EXA_CHECK(info.shape[3] == 1, EXA_ERR_UNSUPPORTED,
              "the network's input has %lld channels; exaconn runs networks of one, the masked image (masked_em)",
              (long long)info.shape[3]);
    EXA_CHECK(info.shape[0] == 7, EXA_ERR_UNSUPPORTED,
              "the network's first kernel is %lld voxels wide; exaconn runs the stem of 7 (not the cifar_stem)",
              (long long)info.shape[0]);
    for (head.index = 0; head.index < EXA_SEGCLR_MAX_HEAD; head.index++) {
        checkpoint_name(g, &head, EXA_SEGCLR_KERNEL, name);
        int extent = last_extent(c, name, 2);
        if (extent == 0) break;
        g->embedding = extent;
    }
    g->head_layers = head.index;
    EXA_CHECK(head.index > 0, EXA_ERR_FORMAT, "tensor '%s' is missing: the network has no bottleneck head", name);
    exa_status st = exa_segclr_geometry_check(g);
    return st == EXA_ERR_RANGE ? EXA_ERR_UNSUPPORTED : st;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

static exa_status read_tensor(contents *c, const exa_segclr_geometry *g, exa_segclr_layer *l,
                              exa_segclr_part part) {
    char name[NAME_BYTES];
    int64_t shape[5];
    int rank;
    exa_tensor_info info;
    size_t elements = exa_segclr_tensor_shape(l, part, shape, &rank);

    if (elements == 0) return EXA_OK;
    checkpoint_name(g, l, part, name);
    entry *e = find(c, name);
    EXA_CHECK(e, EXA_ERR_FORMAT,
              "tensor '%s' is missing. Hint: the checkpoint is of another network, or its index was damaged", name);
    EXA_TRY(exa_tensor_bundle_expect(c->bundle, e->index, name, shape, rank));
    EXA_TRY(exa_tensor_bundle_info(c->bundle, e->index, &info));
    e->used = true;
    return exa_tensor_bundle_read_f32(c->bundle, info.name, l->tensor[part], elements);
}

static exa_status check_surplus(const contents *c, const exa_segclr_geometry *g, exa_segclr_import_facts *facts) {
    for (size_t i = 0; i < c->count; i++) {
        exa_tensor_info info;
        const entry *e = &c->entries[i];
        if (e->used) continue;
        EXA_TRY(exa_tensor_bundle_info(c->bundle, e->index, &info));
        EXA_CHECK(is_training_state(info.name, e->plain), EXA_ERR_FORMAT,
                  "tensor '%.200s' does not belong to a %s network of depth %d. Hint: the network differs from "
                  "google-research/connectomics', which exaconn runs",
                  info.name, exa_segclr_variant_name(g->variant), g->depth);
        facts->ignored++;
        if (info.rank == 0 && strcmp(e->plain, "global_step") == 0 &&
            exa_tensor_bundle_read_i64(c->bundle, info.name, &facts->global_step, 1) != EXA_OK)
            facts->global_step = -1;
    }
    return EXA_OK;
}

static exa_status import(contents *c, exa_segclr_import_facts *facts, exa_segclr_model **out) {
    exa_segclr_geometry g = {.depth = 0};
    exa_segclr_model *m = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(find_geometry(c, &g));
    EXA_TRY(exa_tensor_bundle_verify(c->bundle)); /* a damaged checkpoint is not asked for its settings */
    EXA_TRY(exa_segclr_model_create(&g, &m));
    for (int i = 0; i < m->layer_count; i++)
        for (int p = 0; p < EXA_SEGCLR_PARTS; p++)
            EXA_GOTO(done, read_tensor(c, &g, &m->layers[i], (exa_segclr_part)p));
    EXA_GOTO(done, check_surplus(c, &g, facts));
    EXA_GOTO(done, exa_segclr_check_values(m));
    EXA_GOTO(done, exa_tensor_bundle_sha256(c->bundle, m->source_sha256));
    snprintf(m->source, sizeof m->source, "%.500s", exa_tensor_bundle_prefix(c->bundle));
    EXA_GOTO(done, exa_segclr_model_digest(m));
    *out = m;
    m = NULL;
done:
    exa_segclr_model_destroy(&m);
    return st;
}

exa_status exa_segclr_import(const char *checkpoint, exa_segclr_import_facts *facts, exa_segclr_model **out) {
    exa_segclr_import_facts found = {.global_step = -1};
    contents c = {NULL, NULL, 0};
    exa_tensor_bundle *b;

    EXA_TRY(exa_tensor_bundle_open(checkpoint, &b));
    exa_status st = list_contents(b, &c);
    if (st == EXA_OK) st = import(&c, &found, out);
    free(c.entries);
    exa_tensor_bundle_close(&b);
    if (st == EXA_OK && facts) *facts = found;
    if ((st == EXA_ERR_FORMAT || st == EXA_ERR_UNSUPPORTED) && !strstr(exa_error_last()->message, checkpoint))
        exa_error_context(st, "checkpoint '%s'", checkpoint);
    return st;
}
