/* The GPU network and convolutions of builds without CUDA; the .cu files have the other half. */
#include "exa_build_info.h"

#include "exaconn/conv3d_device.h"
#include "exaconn/device_net.h"

#if !EXA_HAVE_CUDA

#define NO_CUDA "this build has no CUDA. Hint: configure with -DEXA_ENABLE_CUDA=ON, or use the CPU"

exa_status exa_device_net_usable(int device, exa_net_precision precision) {
    (void)device, (void)precision;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_device_net_create(const exa_device_net_spec *spec, const exa_device_net_options *options,
                                 exa_device_net **out) {
    (void)spec, (void)options, (void)out;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

void exa_device_net_destroy(exa_device_net **net) {
    (void)net;
}

exa_status exa_device_net_forward(exa_device_net *net, int n, const float *d_input, float *d_logits,
                                  uint32_t *d_overflow, void *stream) {
    (void)net, (void)n, (void)d_input, (void)d_logits, (void)d_overflow, (void)stream;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_device_net_infer(exa_device_net *net, exa_device_net *wider, size_t n, const float *const *image,
                                const float *const *seed, float *const *logits, uint64_t *redone) {
    (void)net, (void)wider, (void)n, (void)image, (void)seed, (void)logits, (void)redone;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_device_net_time(exa_device_net *net, int n, size_t voxels, const float *input, int calls, int repeat,
                               bool graph, float *logits, exa_device_net_times *times) {
    (void)net, (void)n, (void)voxels, (void)input, (void)calls, (void)repeat, (void)graph, (void)logits,
        (void)times;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

const char *exa_device_net_description(const exa_device_net *net) {
    (void)net;
    return "no CUDA";
}

exa_status exa_conv3d_device_create(const int shape_zyx[3], int cin, int cout, const float *weights,
                                    const float *biases, const exa_conv3d_device_options *options,
                                    exa_conv3d_device **out) {
    (void)shape_zyx, (void)cin, (void)cout, (void)weights, (void)biases, (void)options, (void)out;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

void exa_conv3d_device_destroy(exa_conv3d_device **conv) {
    (void)conv;
}

exa_status exa_conv3d_device_set_in(exa_conv3d_device *conv, int n, const float *in) {
    (void)conv, (void)n, (void)in;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_conv3d_device_set_out(exa_conv3d_device *conv, int n, const float *out) {
    (void)conv, (void)n, (void)out;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_conv3d_device_run(exa_conv3d_device *conv, int n, void *stream) {
    (void)conv, (void)n, (void)stream;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_conv3d_device_get_out(exa_conv3d_device *conv, int n, float *out, uint32_t *overflow) {
    (void)conv, (void)n, (void)out, (void)overflow;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_conv3d_device_time(exa_conv3d_device *conv, int n, int inner, int repeat, double *median_ms) {
    (void)conv, (void)n, (void)inner, (void)repeat, (void)median_ms;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

const char *exa_conv3d_device_description(const exa_conv3d_device *conv) {
    (void)conv;
    return "no CUDA";
}

double exa_conv3d_device_done_flops(const exa_conv3d_device *conv, int n) {
    (void)conv, (void)n;
    return 0;
}

exa_status exa_device_copy_rate(int device, double *bytes_per_s) {
    (void)device, (void)bytes_per_s;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

exa_status exa_device_matrix_rate(int device, exa_net_precision precision, double *flops) {
    (void)device, (void)precision, (void)flops;
    return EXA_FAIL(EXA_ERR_UNSUPPORTED, NO_CUDA);
}

#else

/* ISO C wants a declaration in every file. */
typedef int exa_device_net_is_in_device_net_cu;

#endif
