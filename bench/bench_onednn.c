/* oneDNN 2.x through its C interface. */
#include "bench_onednn.h"

#include <stddef.h>

#ifndef EXA_HAVE_ONEDNN
void bench_onednn_environment(char **argv, const char *threads) {
    (void)argv, (void)threads;
}
bench_onednn *bench_onednn_create(bench_onednn_layout layout, int features, const int shape[3],
                                  const float *weights, const float *biases, const float *input) {
    (void)layout, (void)features, (void)shape, (void)weights, (void)biases, (void)input;
    return NULL;
}
const char *bench_onednn_name(const bench_onednn *o) {
    (void)o;
    return "";
}
void bench_onednn_run(const bench_onednn *o) {
    (void)o;
}
void bench_onednn_output(const bench_onednn *o, float *dense) {
    (void)o, (void)dense;
}
#else

#include <oneapi/dnnl/dnnl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct bench_onednn {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t convolution;
    dnnl_memory_t in, weights, bias, out;
    dnnl_memory_desc_t plain_out;
    char name[64];
};

static void need(dnnl_status_t st, const char *what) {
    if (st == dnnl_success) return;
    fprintf(stderr, "oneDNN: %s failed (%d)\n", what, (int)st);
    exit(1);
}
#define NEED(call) need((call), #call)

void bench_onednn_environment(char **argv, const char *threads) {
    if (getenv("OMP_WAIT_POLICY")) return;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv("OMP_NUM_THREADS", threads, 1);
    execv("/proc/self/exe", argv);
}

static dnnl_memory_desc_t describe(int dims, const dnnl_dims_t size, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t md;
    NEED(dnnl_memory_desc_init_by_tag(&md, dims, size, dnnl_f32, tag));
    return md;
}

/* A fresh memory of layout `to` with the content of `data`, which has layout `from`. */
static dnnl_memory_t reordered(bench_onednn *o, const dnnl_memory_desc_t *from, const void *data,
                               const dnnl_memory_desc_t *to) {
    dnnl_memory_t source, target;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t reorder;
    NEED(dnnl_memory_create(&source, from, o->engine, (void *)(size_t)data));
    NEED(dnnl_memory_create(&target, to, o->engine, DNNL_MEMORY_ALLOCATE));
    NEED(dnnl_reorder_primitive_desc_create(&pd, from, o->engine, to, o->engine, NULL));
    NEED(dnnl_primitive_create(&reorder, pd));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, source}, {DNNL_ARG_TO, target}};
    NEED(dnnl_primitive_execute(reorder, o->stream, 2, args));
    NEED(dnnl_stream_wait(o->stream));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(source);
    return target;
}

static dnnl_primitive_attr_t relu_attribute(void) {
    dnnl_primitive_attr_t attr;
    dnnl_post_ops_t ops;
    NEED(dnnl_primitive_attr_create(&attr));
    NEED(dnnl_post_ops_create(&ops));
    NEED(dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_relu, 0.0f, 0.0f));
    NEED(dnnl_primitive_attr_set_post_ops(attr, ops));
    dnnl_post_ops_destroy(ops);
    return attr;
}

bench_onednn *bench_onednn_create(bench_onednn_layout layout, int features, const int shape[3],
                                  const float *weights, const float *biases, const float *input) {
    bench_onednn *o = calloc(1, sizeof *o);
    dnnl_dims_t data = {1, features, shape[0], shape[1], shape[2]}, w = {features, features, 3, 3, 3},
                c = {features};
    dnnl_dims_t ones = {1, 1, 1};
    dnnl_format_tag_t tag = layout == BENCH_ONEDNN_LAST ? dnnl_ndhwc : dnnl_nCdhw16c;
    if (!o) abort();
    NEED(dnnl_engine_create(&o->engine, dnnl_cpu, 0));
    NEED(dnnl_stream_create(&o->stream, o->engine, dnnl_stream_default_flags));
    o->plain_out = describe(5, data, dnnl_ndhwc);
    dnnl_memory_desc_t chosen = describe(5, data, tag), any = describe(5, w, dnnl_format_tag_any);
    dnnl_memory_desc_t plain_w = describe(5, w, dnnl_dhwio), bias = describe(1, c, dnnl_x);
    dnnl_convolution_desc_t desc;
    NEED(dnnl_convolution_forward_desc_init(&desc, dnnl_forward_inference, dnnl_convolution_direct, &chosen, &any,
                                            &bias, &chosen, ones, ones, ones));
    dnnl_primitive_attr_t attr = relu_attribute();
    dnnl_primitive_desc_t pd;
    if (dnnl_primitive_desc_create(&pd, &desc, attr, o->engine, NULL) != dnnl_success) return NULL;
    const char *implementation = NULL;
    NEED(dnnl_primitive_desc_query(pd, dnnl_query_impl_info_str, 0, &implementation));
    snprintf(o->name, sizeof o->name, "%s %s", layout == BENCH_ONEDNN_LAST ? "ndhwc" : "nCdhw16c", implementation);
    NEED(dnnl_primitive_create(&o->convolution, pd));
    o->in = reordered(o, &o->plain_out, input, &chosen);
    o->weights = reordered(o, &plain_w, weights, dnnl_primitive_desc_query_md(pd, dnnl_query_weights_md, 0));
    o->bias = reordered(o, &bias, biases, &bias);
    NEED(dnnl_memory_create(&o->out, &chosen, o->engine, DNNL_MEMORY_ALLOCATE));
    dnnl_primitive_desc_destroy(pd);
    dnnl_primitive_attr_destroy(attr);
    return o;
}

const char *bench_onednn_name(const bench_onednn *o) {
    return o->name;
}

void bench_onednn_run(const bench_onednn *o) {
    dnnl_exec_arg_t args[] = {
        {DNNL_ARG_SRC, o->in}, {DNNL_ARG_WEIGHTS, o->weights}, {DNNL_ARG_BIAS, o->bias}, {DNNL_ARG_DST, o->out}};
    NEED(dnnl_primitive_execute(o->convolution, o->stream, 4, args));
    NEED(dnnl_stream_wait(o->stream));
}

void bench_onednn_output(const bench_onednn *o, float *dense) {
    dnnl_memory_t target;
    const dnnl_memory_desc_t *from;
    dnnl_primitive_desc_t pd;
    dnnl_primitive_t reorder;
    NEED(dnnl_memory_get_memory_desc(o->out, &from));
    NEED(dnnl_memory_create(&target, &o->plain_out, o->engine, dense));
    NEED(dnnl_reorder_primitive_desc_create(&pd, from, o->engine, &o->plain_out, o->engine, NULL));
    NEED(dnnl_primitive_create(&reorder, pd));
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, o->out}, {DNNL_ARG_TO, target}};
    NEED(dnnl_primitive_execute(reorder, o->stream, 2, args));
    NEED(dnnl_stream_wait(o->stream));
    dnnl_primitive_destroy(reorder);
    dnnl_primitive_desc_destroy(pd);
    dnnl_memory_destroy(target);
}
#endif
