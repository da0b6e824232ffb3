/* Seconds of a clock that never jumps. */
#ifndef EXACONN_CLOCK_H
#define EXACONN_CLOCK_H

#ifdef __cplusplus
extern "C" {
#endif

/* Monotonic seconds since some moment in the past; differences are what counts. */
double exa_clock_now(void);

#ifdef __cplusplus
}
#endif
#endif
