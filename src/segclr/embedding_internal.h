/* What the parts of an embedding run share: embedding.c makes the rows, embedding_output.c writes them. */
#ifndef EXA_EMBEDDING_INTERNAL_H
#define EXA_EMBEDDING_INTERNAL_H

#include "exaconn/embedding.h"
#include "exaconn/segclr_classifier.h"

typedef struct exa_embedding_segment {
    exa_segid id;
    exa_box box; /* in the resampled volume */
    uint64_t voxels;
    size_t first, nodes; /* rows of this rank */
} exa_embedding_segment;

/* This rank's rows, one for each node; segments ascend. Arrays are owned. */
typedef struct exa_embedding_rows {
    size_t count;
    int floats;
    exa_skeleton_node *node; /* parents count within the segment */
    double *position_nm;     /* [count][3] zyx, from the first corner of the volume that was segmented */
    exa_segid *segment;
    uint64_t *number;                  /* within the segment */
    double *outside;                   /* fraction of the patch */
    float *embedding;                  /* [count][floats] */
    float *mean;                       /* [count][floats] */
    uint64_t *averaged;                /* nodes in it */
    exa_segclr_prediction *prediction; /* NULL without a classifier */
    float *probability;                /* [count][classes] */
    exa_embedding_segment *segments;
    size_t segment_count;
} exa_embedding_rows;

/* Whether CSV files can go into the folder, which is left as it was: not there, or empty, or with `replace` of any
 * contents. */
exa_status exa_embedding_try_csv(const char *folder, bool replace);

/* Removes the CSV files that an earlier run wrote into the folder, known by their names and first lines. */
exa_status exa_embedding_remove_csv(const char *folder);

/* Whether the table and the CSV files can be written; leaves nothing. Collective. */
exa_status exa_embedding_try_output(const exa_embedding_options *options);

/* Collective. `classifier` may be NULL. */
exa_status exa_embedding_write(const exa_embedding_options *options, const exa_segclr_model *model,
                               const exa_segclr_classifier *classifier, const double voxel_nm[3],
                               const exa_coord offset[3], const exa_embedding_facts *facts,
                               const exa_embedding_rows *rows);

#endif
