/* The monotonic clock. */
#include "exaconn/clock.h"

#include <time.h>

double exa_clock_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
