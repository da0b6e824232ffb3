/* oneDNN's fp32 3x3x3 convolution (padding 1, bias, fused ReLU), set up once and run on resident data: its best
 * case, with no reorders in the timed part. Compiled to nothing when CMake finds no oneDNN. */
#ifndef EXA_BENCH_ONEDNN_H
#define EXA_BENCH_ONEDNN_H

typedef struct bench_onednn bench_onednn;
typedef enum bench_onednn_layout {
    BENCH_ONEDNN_LAST,
    BENCH_ONEDNN_BLOCKED
} bench_onednn_layout; /* ndhwc, nCdhw16c */

/* oneDNN takes its threads from OMP_NUM_THREADS at load time: sets it, with a passive wait, and runs the program
 * again. */
void bench_onednn_environment(char **argv, const char *threads);

/* weights [kz, ky, kx, cin, cout], input [z, y, x, c]. NULL if there is no oneDNN or it refuses the layout. */
bench_onednn *bench_onednn_create(bench_onednn_layout layout, int features, const int shape[3],
                                  const float *weights, const float *biases, const float *input);
const char *bench_onednn_name(const bench_onednn *o);
void bench_onednn_run(const bench_onednn *o);
void bench_onednn_output(const bench_onednn *o, float *dense);
#endif
