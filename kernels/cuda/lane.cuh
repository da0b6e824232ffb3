/* One dialect for all CUDA sources of ours, compiled twice:
 *   by nvcc               for the device; the functions below are one instruction each
 *   by a C++17 compiler   for the CPU; a block's threads are fibers and the CUDA runtime is imitated, so that tests
 *                         run the very kernels and their launching code where there is no GPU (lane_host.h)
 *
 * A source includes this header alone, never those of CUDA. It uses plain CUDA C++ (threadIdx, __syncthreads,
 * __shfl_*_sync, atomics, the runtime's functions as in lane_runtime.h) and, where CUDA needs syntax of its own or
 * PTX, these names of both builds:
 *
 *   LANE_SHARED(name)              the block's dynamic shared memory, unsigned char *, aligned to 1024 bytes
 *   LANE_SHARED_ARRAY(T, name, n)  T name[n] in static shared memory
 *   lane::launch(kernel, grid, block, shared_bytes, stream, arguments...)   for <<<>>>; returns a cudaError_t
 *   lane::launch_overlapped(...)   the same, but the kernel may begin before its predecessor on the stream has
 *                                  ended (sm_90; elsewhere plain); up to lane::wait_for_previous() it neither
 *                                  reads what that one writes nor writes what it touches;
 *                                  lane::let_next_begin() is the hint for the next
 *   lane::shared_address(p)        32-bit address for the next two; xor with multiples of 16 works
 *   lane::load_matrices_x4(r, a)   ldmatrix.x4: 8x8 tiles of 16-bit, or 8x4 of 32-bit, elements
 *   lane::copy_async_16(a, from)   cp.async of 16 bytes; (..., bytes) fills up with zeros behind `bytes`
 *   lane::commit_copies()          ends a group of copies
 *   lane::wait_copies<N>()         for all groups but the newest N; others see them after a barrier
 *   lane::mma_f16(d, a, b0, b1)    mma.m16n8k16, fp16 inputs, d += a * b in fp32
 *   lane::mma_tf32(d, a, b0, b1)   mma.m16n8k8, tf32 inputs (low 13 bits are ignored)
 *   lane::to_tf32(x)               rounds to the nearest tf32, ties away from zero
 *   lane::half2_of(lo, hi)         two floats to two fp16, to nearest even, beyond 65504: infinity
 *   lane::low_float(h2), high_float(h2)   and back
 *   lane::max_half2(a, b)          the larger of each half; a number wins over NaN
 *
 * Every lane of the mask takes part in a warp's operation (matrices and mma: all 32); a thread never returns while
 * others of its block still meet at barriers. The device build does not notice a breach; the CPU build stops with
 * where. */
#ifndef EXA_LANE_CUH
#define EXA_LANE_CUH

#ifdef __CUDACC__
#include "cuda/lane_device.cuh"
#else
#include "cuda/lane_host.h"
#endif

#endif
