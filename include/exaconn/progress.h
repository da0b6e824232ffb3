/* How far a run is: a bar that redraws itself on a terminal, one log line at intervals elsewhere. */
#ifndef EXACONN_PROGRESS_H
#define EXACONN_PROGRESS_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_progress_state {
    int64_t chunks_done, chunks_resumed, chunks; /* resumed: of an earlier start; chunks 0: not by chunks */
    int64_t seeds_done, seeds;
    double steps_expected; /* from the plan; 0 = unknown */
    int64_t objects;
    int64_t steps;
    int64_t voxels_filled, voxels;
} exa_progress_state;

typedef struct exa_progress exa_progress;

/* `interval_s` between lines (a terminal's bar is redrawn ten times a second). Called at every interval, if not
 * NULL: `report`, e.g. to write a status file. */
typedef void exa_progress_report(const exa_progress_state *state, double elapsed_s, double eta_s, void *context);
exa_status exa_progress_create(double interval_s, exa_progress_report *report, void *context, exa_progress **out);

/* Cheap when nothing is due. */
void exa_progress_update(exa_progress *progress, const exa_progress_state *state);

/* Removes the bar. Accepts NULL inside. */
void exa_progress_destroy(exa_progress **progress);

/* How much is done, 0 to 1. Early seeds make the large objects, so seeds alone mislead at first: the larger of the
 * fraction of the seeds and the fraction of the expected steps (at most 0.95) counts. By chunks it is those done.
 */
double exa_progress_fraction(const exa_progress_state *state);

/* Seconds left if it goes on at the present mean rate; negative if unknown. */
double exa_progress_eta(const exa_progress_state *state, double elapsed_s);

/* "1 h 02 min", "3 min 20 s", "12 s" into out; returns out. */
const char *exa_format_duration(double seconds, char out[32]);

#ifdef __cplusplus
}
#endif
#endif
