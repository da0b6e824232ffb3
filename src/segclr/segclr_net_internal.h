/* A compiled SegCLR network: segclr_net.c makes it, segclr_embed.c runs it. */
#ifndef EXA_SEGCLR_NET_INTERNAL_H
#define EXA_SEGCLR_NET_INTERNAL_H

#include "exaconn/segclr_net.h"

#include "exaconn/conv3d.h"

#include "segclr_model_internal.h"

#define EXA_SEGCLR_MAX_GRIDS 32
#define EXA_SEGCLR_WINOGRAD_VOXELS 9 /* along x, at least */

/* What a grid is for: two grids of one shape are told apart by it. */
enum { EXA_SEGCLR_SLOT_POOLED, EXA_SEGCLR_SLOT_STREAM, EXA_SEGCLR_SLOT_FIRST, EXA_SEGCLR_SLOT_SECOND };

typedef struct exa_segclr_grid {
    int shape[3], channels, slot;
    exa_conv3d_plan plan; /* of any layer that writes it: for exa_conv3d_grid_index */
    size_t at;            /* floats from the lane's begin */
    size_t map;           /* bytes from a member's maps' begin: one for each row (z, y) */
} exa_segclr_grid;

typedef struct exa_segclr_step {
    exa_conv3d_plan plan;
    int layer, in, out; /* of the model; grids */
    bool affine, add_out, relu_out;
    bool ends_stage;
    const float *packed; /* weights, biases; then the affine's scale and shift */
    float *empty;        /* owned; the output grid for an empty patch, or NULL */
} exa_segclr_step;

typedef struct exa_segclr_dense {
    int cin, cout;
    bool relu;
    double *weights; /* owned; [cin, cout] */
    double *bias;    /* [cout], into weights */
} exa_segclr_dense;

struct exa_segclr_net {
    exa_pool *pool; /* borrowed */
    int threads;
    exa_isa isa;
    int patch[3];
    exa_conv3d_plan stem; /* one output plane */
    int stem_planes;
    bool stem_relu;
    exa_segclr_step step[EXA_SEGCLR_MAX_LAYERS];
    int step_count;
    exa_segclr_grid grid[EXA_SEGCLR_MAX_GRIDS];
    int grid_count, pooled, features_grid;
    exa_segclr_dense head[EXA_SEGCLR_MAX_HEAD];
    int head_count, features, embedding;
    float *packed;   /* the stem, then the steps; one block for the sake of huge pages */
    float *grids;    /* of all lanes: padded patch, three stem planes, grids */
    size_t *claimed; /* [threads][steps + 1]: rows handed out, when all threads share a patch */
    float *scratch;  /* [threads][scratch_floats] */
    size_t ring_at, plane_floats, lane_floats, scratch_floats;
    size_t packed_bytes, grids_bytes, scratch_bytes;
    /* Skipping (segclr_skip.c). */
    bool skip_never, skipping;
    size_t served;       /* patches before skipping began */
    float *empty_pooled; /* owned; as the steps' `empty` */
    float *empty_stem;   /* owned; one row of the stem's output */
    uint8_t *maps;       /* [threads][map_bytes]: which rows of a grid may differ from an empty patch's */
    uint8_t *inputs;     /* [threads][patch z, y]: which rows of a patch have anything */
    size_t map_bytes, empty_bytes;
    char description[96];
};

/* A member's view of the patch it works on; all false and NULL while nothing is skipped. */
typedef struct exa_segclr_skip {
    const exa_segclr_net *net;
    uint8_t *maps, *inputs;
} exa_segclr_skip;

exa_segclr_skip exa_segclr_skip_of(const exa_segclr_net *net, size_t member, size_t lane);

/* Notes whether a row of the patch has anything. */
void exa_segclr_skip_input(const exa_segclr_skip *skip, size_t row, const float *values);

/* After all rows of the patch: which pooled rows are not as an empty patch's. */
void exa_segclr_skip_pooled(const exa_segclr_skip *skip);
bool exa_segclr_skip_has_pooled(const exa_segclr_skip *skip, int z, int y);

/* Whether a row of the stem's output sees anything of the patch, and whether a pooled row that is worked out needs
 * it.
 */
bool exa_segclr_skip_has_stem(const exa_segclr_skip *skip, int z, int y);
bool exa_segclr_skip_needs_stem(const exa_segclr_skip *skip, int z, int y);

/* Before a step: marks the units of work (rows, or rows of tiles) in `units` that have to be run, and the output's
 * rows. */
void exa_segclr_skip_step(const exa_segclr_skip *skip, const exa_segclr_step *step, uint8_t *units);

/* Copies what unit `i` of a step gives for an empty patch. */
void exa_segclr_skip_copy(const exa_segclr_skip *skip, const exa_segclr_step *step, size_t i, float *lane);

/* Embeds an empty patch and keeps what its layers give. */
exa_status exa_segclr_net_record_empty(exa_segclr_net *net, const float *patch, float *embedding);

enum { EXA_SEGCLR_MAX_UNITS = 129 * 129 };

/* Batch normalisation of a layer as y = x * scale + shift. */
void exa_segclr_fold(const exa_segclr_layer *layer, double epsilon, double *scale, double *shift);

#endif
