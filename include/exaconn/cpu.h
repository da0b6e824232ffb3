/* What processor this is and how many cores this process may use. */
#ifndef EXACONN_CPU_H
#define EXACONN_CPU_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_isa { EXA_ISA_AUTO = 0, EXA_ISA_PORTABLE, EXA_ISA_AVX2, EXA_ISA_AVX512 } exa_isa;

/* The best set this processor and operating system run (cpuid; AVX2 means AVX2 and FMA, AVX512 means F+VL+DQ+BW).
 */
exa_isa exa_cpu_best_isa(void);
bool exa_cpu_has(exa_isa isa);
const char *exa_isa_name(exa_isa isa); /* "auto", "portable", "avx2", "avx512" */

/* Physical cores in this process's affinity mask (what mpirun, Slurm or taskset left it), lowered by the cgroup CPU
 * quota; at least 1. */
int exa_cpu_cores(void);

/* The same for one of `processes` on this machine: what each was bound to, if that is a part of the machine; else
 * an equal share. At least 1. */
int exa_cpu_cores_of(int processes);

/* Gives the calling thread all cores back that the process began with. */
void exa_cpu_unbind(void);

/* Keeps this process to those of its hardware threads that are in `list` ("0-15,32-47"), if there are any. Before
 * threads are begun. True if it has fewer than before. */
bool exa_cpu_narrow(const char *list);

/* Bytes of physical memory this process may use (the smaller of the machine's and the cgroup's limit). */
unsigned long long exa_cpu_memory_bytes(void);

/* Model name as the system gives it ("Intel(R) Xeon(R) ..."); static storage. */
const char *exa_cpu_model(void);

#ifdef __cplusplus
}
#endif
#endif
