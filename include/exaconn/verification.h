/* Is a run's folder what it says: every chunk there and whole, every label possible, the segmentation made of them?
 * All checksums are really compared, all voxels really read; nothing is written.
 *
 * Works on a run by chunks at any time, also while it runs: what is missing then is not wrong. Needs the job's
 * inputs (the weights, and the volume's shape). */
#ifndef EXACONN_VERIFICATION_H
#define EXACONN_VERIFICATION_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_VERIFICATION_PROBLEMS 20

typedef struct exa_verification {
    bool by_chunks, running, complete; /* the run; complete: its summary.json is there */
    uint64_t chunks, present;          /* of the run; whole */
    uint64_t journals, records, generations;
    uint64_t damaged_places;      /* in journals and generations */
    uint64_t damaged_generations; /* of no use at all */
    uint64_t wrong_chunks;        /* whole, but with impossible labels or details */
    bool segmentation;            /* segmentation.h5 is there, and was compared */
    uint64_t segmentation_voxels, wrong_voxels;
    uint64_t problems; /* told or not */
    char problem[EXA_VERIFICATION_PROBLEMS][400];
} exa_verification;

/* EXA_OK if it could be looked at, whatever was found. Damage is logged as a warning, too. */
exa_status exa_verify(const char *run_directory, exa_verification *result);

/* Nothing is wrong; what a run that is not complete has not done yet is not wrong. */
bool exa_verification_is_sound(const exa_verification *v);

/* And nothing is missing. */
bool exa_verification_is_whole(const exa_verification *v);

#ifdef __cplusplus
}
#endif
#endif
