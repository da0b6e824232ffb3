/* Binding to cores, shared by cpu.c (which owns the topology) and pool.c. */
#ifndef EXA_CPU_INTERNAL_H
#define EXA_CPU_INTERNAL_H

#include <stdbool.h>

/* Binds the calling thread to the `i`-th core (modulo their number) of the mask this process started with; false if
 * the system refuses. */
bool exa_cpu_bind_core(int i);

/* For tests: of `cores` that each of the processes sees, when `all` are there for them together. */
int exa_cpu_share(int cores, int all, int processes);

/* For tests: the limits as the files say them. `quota_us` <= 0 is no limit. */
int exa_cpu_cores_of_quota(int cores, long long quota_us, long long period_us);
unsigned long long exa_cpu_smaller_limit(unsigned long long bytes, const char *text);
#endif
