/* Seconds of a clock that never jumps. */
#ifndef EXACONN_CLOCK_H
#define EXACONN_CLOCK_H

#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Monotonic seconds since some moment in the past; differences are what counts. */
double exa_clock_now(void);

/* The moment in `seconds` from now, for pthread_cond_timedwait on a condition of CLOCK_MONOTONIC. */
struct timespec exa_clock_deadline(double seconds);

#ifdef __cplusplus
}
#endif
#endif
