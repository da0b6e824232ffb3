/* Which segments of two chunks are the same object, judged by the voxels that both chunks segmented.
 *
 * Two neighbouring chunks overlap by their halos. A segment of the one and a segment of the other are a candidate
 * if they share a voxel there. They are joined if each is the one that the other shares most voxels with, and if
 * they share enough, or if the one lies within the other: a branch whose stem the other chunk sees. Anything else
 * stays split, because a false merger costs a user more than a split (unless the user says otherwise). All
 * candidates are kept with their numbers, so that other thresholds can be tried without segmenting again.
 */
#ifndef EXACONN_OVERLAP_H
#define EXACONN_OVERLAP_H

#include "exaconn/box.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_candidate {
    exa_segid a, b;          /* supervoxels of the two chunks */
    uint64_t shared;         /* voxels of the region that both have */
    uint64_t size_a, size_b; /* voxels of each in the region */
    unsigned char best;      /* 1: b is a's best (most shared voxels, then the smaller id), 2: a is b's, 3: both */
    bool joined, refused;    /* what exa_agglomerate made of it; refused by a guard */
} exa_candidate;

/* Whose best the two must be. */
typedef enum exa_match { EXA_MATCH_MUTUAL, EXA_MATCH_ONE, EXA_MATCH_ANY } exa_match;

typedef struct exa_overlap_options {
    uint64_t min_voxels; /* shared, at least */
    double min_fraction; /* shared / min(size_a, size_b), at least */
    double min_jaccard;  /* shared / (size_a + size_b - shared), at least */
    exa_match best;
    /* Or this alone: shared / min(size_a, size_b), at least; above a half the larger is the smaller's best anyhow.
     * 1 turns it off. */
    double min_contained;
} exa_overlap_options;

/* The part of the common box of two chunks in which both are to be believed: `rim` zyx voxels are cut off where a
 * chunk's box ends inside `all`, because there the network saw only half of what it needs. Shape 0 where nothing is
 * left. */
exa_box exa_overlap_region(const exa_box *a, const exa_box *b, const exa_box *all, const exa_coord rim[3]);

/* Every pair of segments that share a voxel, sorted by a, then b; *list is transferred, free() it. `a` and `b` are
 * labels of the same `voxels` voxels, 0 = background. The sizes count voxels that the other chunk left empty, too.
 */
exa_status exa_overlap_candidates(const exa_segid *a, const exa_segid *b, size_t voxels, exa_candidate **list,
                                  size_t *count);

double exa_candidate_fraction(const exa_candidate *c);
double exa_candidate_jaccard(const exa_candidate *c);

/* Whether the two are to be joined, as far as they alone can tell. */
bool exa_candidate_passes(const exa_candidate *c, const exa_overlap_options *options);

#ifdef __cplusplus
}
#endif
#endif
