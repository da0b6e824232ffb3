/* The canvas as its files share it: canvas.c floods, canvas_progress.c stores and restores what is finished. */
#ifndef EXA_CANVAS_INTERNAL_H
#define EXA_CANVAS_INTERNAL_H

#include "exaconn/canvas.h"

/* As they were when the last flood ended: what a restart goes on from. */
typedef struct exa_canvas_settled {
    size_t next_seed;
    exa_canvas_counters counters;
} exa_canvas_settled;

enum { SEG_FAILED_SEED = -1, SEG_EXCLUDED = -2 };

struct exa_canvas {
    exa_canvas_options options;
    const exa_image *image;
    exa_seed_list seeds;
    size_t next_seed;
    exa_coord shape[3], margin[3];
    size_t voxels, fov_voxels;

    float *object_map;
    int32_t *segmentation;
    uint8_t *probability;
    float *fov_image, *fov_stored, *fov_seed, *fov_logits;

    float init_logit, pad_logit, move_logit, segment_logit;
    double face_logit; /* not rounded to float32 */

    bool flooding;
    exa_attempt flood;
    exa_coord position[3];     /* of the step in flight */
    exa_coord low[3], high[3]; /* visited centres */
    exa_coord (*queue)[3];
    size_t queue_head, queue_tail, queue_capacity;
    uint64_t *done; /* one bit per cell */
    exa_coord cells[3], cell_offset[3];

    exa_attempt *attempts;
    size_t attempt_count, attempt_capacity;
    int32_t next_id;
    exa_canvas_counters counters;
    exa_canvas_settled settled;
    bool limited;
    double seconds;
};

#endif
