/* Classifiers of embeddings: read from a weights file (kind "segclr-classifier") into doubles, evaluated plainly.
 */
#include "exaconn/segclr_classifier.h"

#include "exaconn/box.h"
#include "exaconn/weights_file.h"

#include <math.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 64, MAX_WIDTH = 8192, MAX_CLASSES = 1024, NAMES_BYTES = 16384 };

typedef struct dense {
    int in, out;
    double *kernel, *bias; /* owned; [in, out], [out] */
} dense;

typedef struct norm {
    double *scale, *shift; /* owned; NULL without batch normalisation */
} norm;

typedef struct process {
    bool used, normalize, scaled;
    int features;
    double epsilon, input_scale, feature_scale, ridge, lambda;
    double *gamma, *beta; /* of the layer normalisation */
    dense random, output;
    double *factor; /* lower triangle of the precision matrix' Cholesky factor [features, features] */
} process;

struct exa_segclr_classifier {
    int inputs, classes, hidden, layers;
    bool use_bn;
    double *mean, *std; /* NULL without standardisation */
    dense input, first[MAX_LAYERS], second[MAX_LAYERS], output;
    norm bn1[MAX_LAYERS], bn2[MAX_LAYERS];
    process gp;
    int widest;
    size_t tensors; /* read from the file: all there are, in the end */
    char names[NAMES_BYTES], source[512];
};

int exa_segclr_classifier_classes(const exa_segclr_classifier *c) {
    return c->classes;
}

const char *exa_segclr_classifier_names(const exa_segclr_classifier *c) {
    return c->names;
}

const char *exa_segclr_classifier_source(const exa_segclr_classifier *c) {
    return c->source;
}

/* ---- tensors ------------------------------------------------------------------------------------ */

/* The tensor of this name and shape [rows, columns], or [columns] with rows 0, as doubles. */
static exa_status read_tensor(exa_weights_file *f, exa_segclr_classifier *c, int rows, int columns, double **out,
                              const char *format, ...) {
    exa_weights_tensor t;
    char name[96];
    float *data;
    size_t n = (size_t)(rows ? rows : 1) * (size_t)columns;
    va_list list;

    va_start(list, format);
    vsnprintf(name, sizeof name, format, list);
    va_end(list);
    EXA_CHECK(exa_weights_file_find(f, name, &t), EXA_ERR_FORMAT, "tensor '%s' is missing", name);
    bool fits =
        rows ? t.rank == 2 && t.shape[0] == rows && t.shape[1] == columns : t.rank == 1 && t.shape[0] == columns;
    EXA_CHECK(fits, EXA_ERR_FORMAT, "tensor '%s' is not of shape [%d%s%d]", name, rows ? rows : columns,
              rows ? ", " : "", rows ? columns : 0);
    EXA_TRY(exa_alloc(n, sizeof *data, "a classifier", &data));
    exa_status st = exa_alloc(n, sizeof **out, "a classifier", out);
    if (st == EXA_OK) st = exa_weights_file_read(f, name, data, n);
    for (size_t i = 0; st == EXA_OK && i < n; i++) (*out)[i] = (double)data[i];
    free(data);
    c->tensors++;
    return st;
}

static exa_status read_dense(exa_weights_file *f, exa_segclr_classifier *c, dense *d, int in, int out,
                             const char *name) {
    d->in = in;
    d->out = out;
    EXA_TRY(read_tensor(f, c, in, out, &d->kernel, "%s/kernel", name));
    return read_tensor(f, c, 0, out, &d->bias, "%s/bias", name);
}

static exa_status read_norm(exa_weights_file *f, exa_segclr_classifier *c, norm *n, double epsilon,
                            const char *name) {
    double *beta = NULL, *mean = NULL, *variance = NULL;
    exa_status st;

    EXA_GOTO(done, read_tensor(f, c, 0, c->hidden, &n->scale, "%s/gamma", name));
    EXA_GOTO(done, read_tensor(f, c, 0, c->hidden, &beta, "%s/beta", name));
    EXA_GOTO(done, read_tensor(f, c, 0, c->hidden, &mean, "%s/mean", name));
    EXA_GOTO(done, read_tensor(f, c, 0, c->hidden, &variance, "%s/variance", name));
    for (int i = 0; i < c->hidden; i++) {
        EXA_CHECK_GOTO(done, variance[i] >= 0, EXA_ERR_FORMAT, "tensor '%s/variance' has a negative number", name);
        n->scale[i] /= sqrt(variance[i] + epsilon);
        beta[i] -= mean[i] * n->scale[i];
    }
    n->shift = beta;
    beta = NULL;
done:
    free(beta);
    free(mean);
    free(variance);
    return st;
}

/* ---- the Gaussian process ------------------------------------------------------------------------ */

/* In place: the lower triangle becomes L of L L^T. */
static exa_status factorise(double *p, int n) {
    for (int i = 0; i < n; i++) {
        double *row = p + (size_t)i * (size_t)n;
        for (int j = 0; j <= i; j++) {
            const double *other = p + (size_t)j * (size_t)n;
            double sum = row[j];
            for (int k = 0; k < j; k++) sum -= row[k] * other[k];
            if (j < i) {
                row[j] = sum / other[j];
                continue;
            }
            EXA_CHECK(sum > 0, EXA_ERR_FORMAT, "tensor 'gp/precision' is not positive definite (row %d)", i);
            row[i] = sqrt(sum);
        }
    }
    return EXA_OK;
}

static exa_status get_real(exa_weights_file *f, const char *name, double *value) {
    return exa_weights_file_get_reals(f, name, value, 1);
}

static exa_status read_process(exa_weights_file *f, exa_segclr_classifier *c, int width) {
    process *g = &c->gp;
    int64_t normalize, features;

    EXA_TRY(exa_weights_file_get_integers(f, "gp_normalize_input", &normalize, 1));
    EXA_TRY(exa_weights_file_get_integers(f, "gp_features", &features, 1));
    EXA_CHECK(features >= 1 && features <= MAX_WIDTH, EXA_ERR_FORMAT, "attribute 'gp_features' is %lld",
              (long long)features);
    g->features = (int)features;
    g->normalize = normalize != 0;
    EXA_TRY(get_real(f, "gp_feature_scale", &g->feature_scale));
    EXA_TRY(get_real(f, "gp_ridge", &g->ridge));
    EXA_TRY(get_real(f, "gp_lambda", &g->lambda));
    if (g->normalize) {
        EXA_TRY(get_real(f, "gp_norm_epsilon", &g->epsilon));
        EXA_TRY(read_tensor(f, c, 0, width, &g->gamma, "gp/norm_gamma"));
        EXA_TRY(read_tensor(f, c, 0, width, &g->beta, "gp/norm_beta"));
    } else {
        EXA_TRY(get_real(f, "gp_kernel_scale", &g->input_scale));
        EXA_CHECK(g->input_scale > 0, EXA_ERR_FORMAT, "attribute 'gp_kernel_scale' is %g", g->input_scale);
        g->input_scale = 1 / sqrt(g->input_scale);
    }
    EXA_TRY(read_dense(f, c, &g->random, width, g->features, "gp/random"));
    EXA_TRY(read_dense(f, c, &g->output, g->features, c->classes, "gp/output"));
    EXA_TRY(read_tensor(f, c, g->features, g->features, &g->factor, "gp/precision"));
    return factorise(g->factor, g->features);
}

/* ---- reading ------------------------------------------------------------------------------------ */

static exa_status get_count(exa_weights_file *f, const char *name, int least, int most, int *value) {
    int64_t v;
    EXA_TRY(exa_weights_file_get_integers(f, name, &v, 1));
    EXA_CHECK(v >= least && v <= most, EXA_ERR_FORMAT, "attribute '%s' is %lld; %d to %d are possible", name,
              (long long)v, least, most);
    *value = (int)v;
    return EXA_OK;
}

static exa_status read_names(exa_weights_file *f, exa_segclr_classifier *c) {
    int lines = 1;

    EXA_TRY(exa_weights_file_get_text(f, "class_names", c->names, sizeof c->names));
    for (const char *p = c->names; *p; p++) lines += *p == '\n';
    EXA_CHECK(lines == c->classes, EXA_ERR_FORMAT, "attribute 'class_names' has %d lines for %d classes", lines,
              c->classes);
    if (exa_weights_file_has_attribute(f, "source"))
        EXA_TRY(exa_weights_file_get_text(f, "source", c->source, sizeof c->source));
    return EXA_OK;
}

static exa_status read_blocks(exa_weights_file *f, exa_segclr_classifier *c) {
    double epsilon = 1e-5;

    if (c->use_bn) EXA_TRY(get_real(f, "bn_epsilon", &epsilon));
    EXA_TRY(read_dense(f, c, &c->input, c->inputs, c->hidden, "input"));
    for (int i = 0; i < c->layers; i++) {
        char name[64];
        snprintf(name, sizeof name, "block_%d/dense_0", i);
        EXA_TRY(read_dense(f, c, &c->first[i], c->hidden, c->hidden, name));
        snprintf(name, sizeof name, "block_%d/dense_1", i);
        EXA_TRY(read_dense(f, c, &c->second[i], c->hidden, c->hidden, name));
        if (!c->use_bn) continue;
        snprintf(name, sizeof name, "block_%d/bn_0", i);
        EXA_TRY(read_norm(f, c, &c->bn1[i], epsilon, name));
        snprintf(name, sizeof name, "block_%d/bn_1", i);
        EXA_TRY(read_norm(f, c, &c->bn2[i], epsilon, name));
    }
    return EXA_OK;
}

static exa_status read_standardisation(exa_weights_file *f, exa_segclr_classifier *c) {
    exa_weights_tensor t;

    if (!exa_weights_file_find(f, "standardize/mean", &t)) return EXA_OK;
    EXA_TRY(read_tensor(f, c, 0, c->inputs, &c->mean, "standardize/mean"));
    EXA_TRY(read_tensor(f, c, 0, c->inputs, &c->std, "standardize/std"));
    for (int i = 0; i < c->inputs; i++)
        EXA_CHECK(c->std[i] > 0, EXA_ERR_FORMAT,
                  "tensor 'standardize/std' is %g at element %d; above 0 is expected", c->std[i], i);
    return EXA_OK;
}

static exa_status read_classifier(exa_weights_file *f, int floats, exa_segclr_classifier *c) {
    char output[16];
    int use_bn;

    EXA_TRY(exa_weights_file_expect(f, "segclr-classifier", 1));
    EXA_TRY(get_count(f, "inputs", 1, MAX_WIDTH, &c->inputs));
    EXA_CHECK(
        c->inputs == floats, EXA_ERR_CONFIG,
        "the classifier is for embeddings of %d floats, the network makes %d. Hint: they do not belong together",
        c->inputs, floats);
    EXA_TRY(get_count(f, "classes", 2, MAX_CLASSES, &c->classes));
    EXA_TRY(get_count(f, "layers", 0, MAX_LAYERS, &c->layers));
    EXA_TRY(get_count(f, "use_bn", 0, 1, &use_bn));
    c->use_bn = use_bn;
    c->hidden = c->inputs;
    if (c->layers > 0) EXA_TRY(get_count(f, "hidden", 1, MAX_WIDTH, &c->hidden));
    EXA_TRY(read_names(f, c));
    EXA_TRY(read_standardisation(f, c));
    if (c->layers > 0) EXA_TRY(read_blocks(f, c));
    EXA_TRY(exa_weights_file_get_text(f, "output", output, sizeof output));
    EXA_CHECK(strcmp(output, "dense") == 0 || strcmp(output, "gp") == 0, EXA_ERR_FORMAT,
              "attribute 'output' is '%s'; dense and gp are possible", output);
    c->gp.used = output[0] == 'g';
    if (c->gp.used) {
        EXA_TRY(read_process(f, c, c->hidden));
    } else {
        EXA_TRY(read_dense(f, c, &c->output, c->hidden, c->classes, "output"));
    }
    EXA_CHECK(c->tensors == exa_weights_file_count(f), EXA_ERR_FORMAT,
              "the file has %zu tensors, of which the classifier needs %zu", exa_weights_file_count(f), c->tensors);
    c->widest = c->hidden;
    if (c->inputs > c->widest) c->widest = c->inputs;
    if (c->classes > c->widest) c->widest = c->classes;
    if (c->gp.features > c->widest) c->widest = c->gp.features;
    return EXA_OK;
}

exa_status exa_segclr_classifier_read(const char *path, int floats, exa_segclr_classifier **out) {
    exa_segclr_classifier *c = NULL;
    exa_weights_file *f = NULL;
    exa_status st;

    EXA_TRY(exa_weights_file_open(path, "train_segclr_classifier", &f));
    st = exa_calloc(1, sizeof *c, "a classifier", &c);
    if (st == EXA_OK) st = read_classifier(f, floats, c);
    exa_weights_file_close(&f);
    if (st != EXA_OK) {
        if (c) exa_segclr_classifier_destroy(&c);
        if (!strstr(exa_error_last()->message, path)) exa_error_context(st, "classifier '%s'", path);
        return st;
    }
    *out = c;
    return EXA_OK;
}

static void free_dense(dense *d) {
    free(d->kernel);
    free(d->bias);
}

void exa_segclr_classifier_destroy(exa_segclr_classifier **classifier) {
    exa_segclr_classifier *c = *classifier;
    if (!c) return;
    free(c->mean);
    free(c->std);
    free_dense(&c->input);
    free_dense(&c->output);
    for (int i = 0; i < MAX_LAYERS; i++) {
        free_dense(&c->first[i]);
        free_dense(&c->second[i]);
        free(c->bn1[i].scale);
        free(c->bn1[i].shift);
        free(c->bn2[i].scale);
        free(c->bn2[i].shift);
    }
    free(c->gp.gamma);
    free(c->gp.beta);
    free_dense(&c->gp.random);
    free_dense(&c->gp.output);
    free(c->gp.factor);
    free(c);
    *classifier = NULL;
}

/* ---- evaluation --------------------------------------------------------------------------------- */

static void apply(const dense *d, const double *in, double *out) {
    memcpy(out, d->bias, (size_t)d->out * sizeof *out);
    for (int i = 0; i < d->in; i++)
        for (int k = 0; k < d->out; k++) out[k] += in[i] * d->kernel[(size_t)i * (size_t)d->out + (size_t)k];
}

static void rectify(const norm *n, const double *in, int count, double *out) {
    for (int i = 0; i < count; i++) {
        double v = n->scale ? in[i] * n->scale[i] + n->shift[i] : in[i];
        out[i] = v > 0 ? v : 0;
    }
}

/* f^T P^-1 f as |L^-1 f|^2; destroys f. */
static double quadratic(const double *factor, double *f, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++) {
        const double *row = factor + (size_t)i * (size_t)n;
        for (int k = 0; k < i; k++) f[i] -= row[k] * f[k];
        f[i] /= row[i];
        sum += f[i] * f[i];
    }
    return sum;
}

static void normalise(const process *g, double *h, int n) {
    double mean = 0, variance = 0;

    for (int i = 0; i < n; i++) mean += h[i] / n;
    for (int i = 0; i < n; i++) variance += (h[i] - mean) * (h[i] - mean) / n;
    for (int i = 0; i < n; i++) h[i] = (h[i] - mean) / sqrt(variance + g->epsilon) * g->gamma[i] + g->beta[i];
}

/* h becomes logits, adjusted by the variance, which is returned. */
static double process_logits(const process *g, double *h, int width, double *features, double *logits) {
    if (g->normalize) {
        normalise(g, h, width);
    } else {
        for (int i = 0; i < width; i++) h[i] *= g->input_scale;
    }
    apply(&g->random, h, features);
    for (int i = 0; i < g->features; i++) features[i] = cos(features[i]) * g->feature_scale;
    apply(&g->output, features, logits);
    double variance = g->ridge * quadratic(g->factor, features, g->features);
    for (int k = 0; k < g->output.out; k++) logits[k] /= sqrt(1 + g->lambda * variance);
    return variance;
}

static void softmax(const double *logits, int n, exa_segclr_prediction *p, float *probability) {
    double most = logits[0], sum = 0, evidence = 0;

    p->best = 0;
    for (int k = 1; k < n; k++) {
        if (!(logits[k] > most)) continue;
        most = logits[k];
        p->best = k;
    }
    for (int k = 0; k < n; k++) {
        sum += exp(logits[k] - most);
        evidence += exp(logits[k]);
    }
    for (int k = 0; k < n; k++) probability[k] = (float)(exp(logits[k] - most) / sum);
    p->uncertainty = n / (n + evidence);
}

exa_status exa_segclr_classifier_predict(const exa_segclr_classifier *c, const float *embedding,
                                         exa_segclr_prediction *prediction, float *probability) {
    size_t width = (size_t)c->widest;
    double *h, *a, *b;

    EXA_TRY(exa_calloc(3 * width, sizeof *h, "a classifier", &h));
    a = h + width;
    b = a + width;
    for (int i = 0; i < c->inputs; i++) {
        a[i] = (double)embedding[i];
        if (c->mean) a[i] = (a[i] - c->mean[i]) / c->std[i];
    }
    if (c->layers > 0) {
        apply(&c->input, a, h);
    } else {
        memcpy(h, a, (size_t)c->inputs * sizeof *h);
    }
    for (int i = 0; i < c->layers; i++) {
        rectify(&c->bn1[i], h, c->hidden, a);
        apply(&c->first[i], a, b);
        rectify(&c->bn2[i], b, c->hidden, a);
        apply(&c->second[i], a, b);
        for (int k = 0; k < c->hidden; k++) h[k] += b[k];
    }
    prediction->variance = 0;
    if (c->gp.used) {
        prediction->variance = process_logits(&c->gp, h, c->hidden, a, b);
    } else {
        apply(&c->output, h, b);
    }
    softmax(b, c->classes, prediction, probability);
    free(h);
    return EXA_OK;
}
