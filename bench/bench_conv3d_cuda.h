/* bench_conv3d --backend cuda; the exit code. */
#ifndef EXA_BENCH_CONV3D_CUDA_H
#define EXA_BENCH_CONV3D_CUDA_H

int bench_conv3d_cuda(int features, const int shape[3], int rounds, int argc, char **argv);
#endif
