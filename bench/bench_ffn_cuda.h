/* bench_ffn --backend cuda; the exit code. */
#ifndef EXA_BENCH_FFN_CUDA_H
#define EXA_BENCH_FFN_CUDA_H

#include "exaconn/ffn_model.h"

int bench_ffn_cuda(const exa_ffn_model *model, int argc, char **argv);
#endif
