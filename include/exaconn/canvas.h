/* A canvas: one box of tissue being segmented by flood filling, one network step at a time.
 *
 * The reference algorithm (Januszewski et al. 2018; google/ffn inference.py; FFN_SEMANTICS B-E) as a state machine:
 * exa_canvas_next decides everything up to the next network step and fills the FOV's buffers; the caller runs the
 * network, alone or batched with other canvases; exa_canvas_absorb takes the logits. The order within a canvas
 * never depends on what else is in flight. A canvas is used by one thread at a time.
 *
 * Memory: object map 4, segmentation 4, raw 1 to 4, exclusion 0 (kept in the segmentation), probability map 1 if
 * asked for: 9 bytes a voxel for uint8 raw, plus 9 while the peaks are found (before the object map exists).
 */
#ifndef EXACONN_CANVAS_H
#define EXACONN_CANVAS_H

#include "exaconn/ffn_model.h"
#include "exaconn/image.h"
#include "exaconn/seed.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_outcome {
    EXA_OUTCOME_NONE = 0,
    EXA_OUTCOME_OBJECT = 1,    /* accepted, id > 0 */
    EXA_OUTCOME_WEAK = 2,      /* the seed itself fell below the move threshold */
    EXA_OUTCOME_TOO_SMALL = 3, /* fewer new voxels than min_segment_size */
    EXA_OUTCOME_NO_STEP = 4    /* no valid position at all */
} exa_outcome;

const char *exa_outcome_name(exa_outcome outcome); /* "object", "weak", "too_small", "no_step" */

/* One flood, in the order they happened. */
typedef struct exa_attempt {
    exa_coord seed[3]; /* zyx in the canvas */
    int64_t steps;
    exa_outcome outcome;
    int32_t id;         /* > 0 for an object */
    int64_t voxels_raw; /* over the segment threshold */
    int64_t voxels_new; /* of these not in an earlier object (or excluded) */
    exa_box visited;    /* the FOV centres' bounding box */
} exa_attempt;

#define EXA_ATTEMPT_BYTES (14 * 8)

/* An attempt as it is stored, and back: 14 little-endian int64 (docs/formats.md, "Journal"). */
void exa_attempt_store(const exa_attempt *attempt, unsigned char out[EXA_ATTEMPT_BYTES]);
void exa_attempt_load(const unsigned char in[EXA_ATTEMPT_BYTES], exa_attempt *attempt);

/* Named as google/ffn's counters are. */
typedef struct exa_canvas_counters {
    int64_t seeds;  /* offered by the policy (seed-policy-calls less the closing one) */
    int64_t floods; /* objects begun */
    int64_t steps;  /* network steps (predict-calls) */
    int64_t objects;
    int64_t skip_threshold;    /* queued move whose centre fell below the move threshold */
    int64_t skip_invalid_pos;  /* seed or move outside, or already segmented */
    int64_t skip_restricted;   /* seed or move in an excluded place */
    int64_t near_segment;      /* seed within min_boundary_dist of a segment (invalid-other-objects) */
    int64_t seed_got_too_weak; /* floods stopped because the seed fell below the move threshold */
    int64_t weak, too_small, no_step;
    int64_t voxels_segmented;
    int64_t voxels_initial;     /* of an initial segmentation */
    int64_t voxels_overlapping; /* over the threshold but already taken */
} exa_canvas_counters;

void exa_canvas_counters_add(exa_canvas_counters *to, const exa_canvas_counters *from);

typedef struct exa_canvas exa_canvas;

typedef struct exa_canvas_options {
    exa_ffn_options ffn;
    exa_coord fov[3], deltas[3];
    bool probability_map;
    int64_t max_seeds, max_objects, max_steps; /* 0 = no limit; tested between floods */
    bool on_device; /* it is flooded elsewhere (exaconn/canvas_device.h): no object map here, and no step */
} exa_canvas_options;

/* `image` and its raw voxels are borrowed until destroy; `seeds` is taken over (transferred, also on failure).
 * `excluded` (borrowed during the call; 1 = excluded; may be NULL): no seed, no FOV centre and no label there. */
exa_status exa_canvas_create(const exa_canvas_options *options, const exa_image *image, exa_seed_list *seeds,
                             const uint8_t *excluded, exa_canvas **out);
void exa_canvas_destroy(exa_canvas **canvas);

/* Existing objects of the planes [z, z + planes), dense [z, y, x]: canvas ids > 0, 0 elsewhere. Before the first
 * exa_canvas_next; call it for as many slabs as there are. New objects are numbered from `first_new_id`. */
exa_status exa_canvas_set_initial(exa_canvas *canvas, exa_coord z, exa_coord planes, const int32_t *labels,
                                  int32_t first_new_id);

/* What the network has to do: image and seed in, logits out, each [z, y, x] of fov. Borrowed from the canvas. */
typedef struct exa_canvas_step {
    const float *image, *seed;
    float *logits;
    exa_coord position[3]; /* FOV centre */
} exa_canvas_step;

/* Moves on to the next network step; *more = false (and the step untouched) when all seeds are done or a limit was
 * reached. Errors: memory only. */
exa_status exa_canvas_next(exa_canvas *canvas, exa_canvas_step *step, bool *more);

/* Takes over the logits of the step that exa_canvas_next gave. */
exa_status exa_canvas_absorb(exa_canvas *canvas);

/* After the last step: failed seeds (-1) and excluded voxels become background, and the object map is freed
 * (writing results then needs no more memory than flooding did). No step may follow. Idempotent. */
void exa_canvas_finish(exa_canvas *canvas);

/* What is finished since attempt number `first` (attempts, objects, how far down the seeds), as bytes (transferred,
 * free() it), so that a canvas of the same volume and options can go on from there, bit by bit the same; the flood
 * in work is not in it. Between two steps. */
exa_status exa_canvas_store(const exa_canvas *canvas, size_t first, void **bytes, size_t *size);

/* Takes over what exa_canvas_store gave, before the first exa_canvas_next; one after another, from attempt 0 on.
 * *taken is false if it does not continue what is there. EXA_ERR_FORMAT: it is of another canvas, and this one is
 * to be made anew. */
exa_status exa_canvas_restore(exa_canvas *canvas, const void *bytes, size_t size, bool *taken);

/* Borrowed until destroy. */
const int32_t *exa_canvas_segmentation(const exa_canvas *canvas);
const uint8_t *exa_canvas_probability(const exa_canvas *canvas); /* NULL if not asked for */
const exa_canvas_counters *exa_canvas_get_counters(const exa_canvas *canvas);
const exa_attempt *exa_canvas_attempts(const exa_canvas *canvas, size_t *count);
size_t exa_canvas_seeds_done(const exa_canvas *canvas); /* how far down the seed list */
size_t exa_canvas_seed_count(const exa_canvas *canvas);
bool exa_canvas_limit_reached(const exa_canvas *canvas); /* it stopped because of a max_* */

/* Seconds spent in exa_canvas_next and exa_canvas_absorb since creation. */
double exa_canvas_seconds(const exa_canvas *canvas);

/* The disconnection rule on one FOV (FFN_SEMANTICS C.10): if more than the fraction `disco` of logits reaches
 * `move`, a voxel whose stored value was negative may only become more negative. `stored` holds NaN where unset. */
void exa_canvas_disconnect(const float *stored, float *logits, size_t voxels, float move, float disco);

/* Probability of a logit in 255 steps as google/ffn stores it: 0 = none, q = 1 + floor(p * 254). */
uint8_t exa_canvas_quantise(float logit);

/* The logit of a float32 probability, computed in double. */
double exa_canvas_logit(float probability);

#ifdef __cplusplus
}
#endif
#endif
