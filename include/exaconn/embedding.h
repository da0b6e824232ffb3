/* Embeddings of the segments of a volume: nodes along their skeletons, a patch around each, the network, means
 * along the path; as a table of columns and as the CSV files of SegCLR's public releases.
 */
#ifndef EXACONN_EMBEDDING_H
#define EXACONN_EMBEDDING_H

#include "exaconn/resample.h"
#include "exaconn/segclr_model.h"
#include "exaconn/skeleton.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_EMBEDDING_FORMAT "exaconn-embeddings" /* of the table; docs/formats.md */

typedef enum exa_embedding_distance { EXA_EMBEDDING_PATH, EXA_EMBEDDING_EUCLIDEAN } exa_embedding_distance;

typedef struct exa_embedding_options {
    const char *image, *segmentation; /* volumes; the image is of the same voxels or of more */
    const exa_coord *offset;          /* NULL, or where the segmentation's first voxel lies, whatever it says */
    const char *weights;              /* SegCLR weights file */
    const char *classifier;           /* NULL, or a classifier file */
    const char *output;               /* table to write */
    const char *csv;                  /* NULL, or a folder for one CSV file per segment */
    bool replace;                     /* the table, and CSV files of an earlier run in that folder */
    const exa_box *box;               /* NULL = all of the segmentation, else counted as `offset` is */
    double voxel_nm[3];               /* zyx of the volumes; 0 = as they say */
    double spacing_nm;                /* of nodes along a skeleton */
    double aggregate_nm;              /* radius of the means */
    exa_embedding_distance distance;  /* how that is measured */
    int64_t min_voxels;               /* of a segment, at the network's voxel size */
    int threads;
} exa_embedding_options;

void exa_embedding_defaults(exa_embedding_options *options);

typedef struct exa_embedding_facts {
    uint64_t segments, small_segments, nodes; /* of all ranks */
    uint64_t vanished;                        /* segments without a voxel at the network's voxel size */
    exa_coord shape[3];                       /* zyx, at the network's voxel size */
    double seconds;                           /* spent in the network, of this rank */
    char network[512];                        /* where its weights came from */
    char description[96];
} exa_embedding_facts;

/* All of it. Collective: each rank embeds a share of the segments, and the table's bytes do not depend on how many
 * ranks and threads there are. Nothing is left behind that looks whole if it fails. */
exa_status exa_embedding_run(const exa_embedding_options *options, exa_embedding_facts *facts);

/* ---- the parts, for those who have voxels in memory ---------------------------------------------------------- */

/* The patch around voxel `at`: image * scale where the label is `id`, 0 elsewhere and outside the volume. Returns
 * the fraction of it that lies outside. */
double exa_embedding_patch(const exa_resampled *volume, exa_segid id, const exa_coord at[3],
                           const exa_coord patch[3], double scale, float *out);

/* One tree's or forest's means: mean[i] over the nodes within `radius_nm` of node i, along the path or straight,
 * summed in double in the order of the nodes. `positions_nm` [count][3] is used for straight distances only. */
exa_status exa_embedding_means(const exa_skeleton_node *nodes, const double *positions_nm, size_t count,
                               const float *embeddings, int floats, double radius_nm,
                               exa_embedding_distance distance, float *means, uint64_t *averaged);

#ifdef __cplusplus
}
#endif
#endif
