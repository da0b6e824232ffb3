/* What a test in C may ask of the CPU build of CUDA sources (lane_host.h). */
#ifndef EXA_LANE_TEST_H
#define EXA_LANE_TEST_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

void exa_lane_set_seed(uint64_t seed); /* of the order of blocks, warps and lanes */
void exa_lane_set_device(int capability, int multiprocessors, size_t shared_bytes);
void exa_lane_set_code(int capability); /* that kernels are compiled for; 0: the device's */
uint64_t exa_lane_products(void);       /* mma of a warp, so far */
uint64_t exa_lane_bank_conflicts(void);
size_t exa_lane_device_bytes(void); /* allocated now */

#ifdef __cplusplus
}
#endif
#endif
