/* Where segments touch: faces between voxels of two segments, counted for each pair and axis, and the patches that
 * these faces form (contact sites).
 *
 * A face lies between a voxel and the next one along an axis, if both are labelled and differently. It belongs to
 * the voxel at the smaller coordinate, and so to one chunk: a chunk counts the faces of its core's voxels, for
 * which it needs the labels of one voxel beyond its core at larger coordinates. So counts of chunks add up to the
 * whole.
 *
 * Two faces of one pair of segments belong to the same site if they share a corner, or are linked by faces that do.
 * Around a corner lie eight voxels; the corner belongs to the chunk of the first of them. Sites of chunks are
 * joined at the faces that two chunks have seen (exa_contact_face).
 *
 * All numbers are integers: the results do not depend on the order, the chunks, or who computes them.
 */
#ifndef EXACONN_CONTACT_H
#define EXACONN_CONTACT_H

#include "exaconn/box.h"
#include "exaconn/cpu.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_contact {
    exa_segid a, b;    /* a < b; first, see exaconn/reduce.h */
    uint64_t faces[3]; /* zyx: between neighbours along that axis */
} exa_contact;

typedef struct exa_contact_site {
    exa_segid id; /* first, see exaconn/reduce.h; of exa_contact_sites: 1, 2, ... in the chunk */
    exa_segid a, b;
    uint64_t faces[3];
    exa_coord first[4]; /* its first face in the order of z, y, x, axis: the voxel it belongs to, and its axis */
    uint64_t sum[3][2]; /* zyx: of twice the coordinates of its faces' centres: low and high 64 bits */
} exa_contact_site;

/* A face that more than one chunk has seen. */
typedef struct exa_contact_face {
    exa_coord at[4]; /* voxel it belongs to, and axis */
    exa_segid site;  /* of the chunk that says so */
} exa_contact_face;

typedef struct exa_contact_faces {
    exa_contact_face *list; /* owned */
    size_t count, capacity;
} exa_contact_faces;

/* Dense labels of a chunk. `box` begins where `core` begins and has at most a voxel more on each axis. */
typedef struct exa_contact_chunk {
    const uint32_t *labels; /* [z, y, x] of the box, 0 = background; borrowed */
    exa_box box, core;      /* in voxels of the volume, not negative */
    const exa_segid *ids;   /* of the labels; borrowed */
    exa_isa isa;
} exa_contact_chunk;

/* Counts the faces of the core's voxels; *list (transferred) is sorted by a, b. */
exa_status exa_contact_count(const exa_contact_chunk *chunk, exa_contact **list, size_t *count);

/* The sites of the core's faces, in the order of their ids; *list is transferred. Appends the faces that neighbours
 * have seen as well: those of the core in `own`, those of the neighbours in `seen`. Their sites may have ids
 * that the list does not have: sites without a face of the core. */
exa_status exa_contact_sites(const exa_contact_chunk *chunk, exa_contact_site **list, size_t *count,
                             exa_contact_faces *own, exa_contact_faces *seen);

/* Adds a record of the same key, as exa_reduce_by_key wants it. */
void exa_contact_site_combine(void *into, const void *site);

/* For qsort: by a, b, then by the first face, which no other site of the pair has. */
int exa_contact_site_order(const void *a, const void *b);

/* For qsort: by voxel (z, y, x), then by axis. */
int exa_contact_face_order(const void *a, const void *b);

/* nm^2 of faces of voxels of this size (zyx): what the counts say, the staircase along the voxels. A surface that
 * is oblique to the axes is up to sqrt(3) times smaller. */
double exa_contact_area(const uint64_t faces[3], const double voxel_size_nm[3]);

#ifdef __cplusplus
}
#endif
#endif
