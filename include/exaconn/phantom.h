/* A phantom brain: procedural EM-like tissue with exact labels and an exact connectome, of any declared size.
 *
 * Everything follows from the options by counter-based random numbers, and every box is computed alone: any rank,
 * in any order, on any processor, makes the same voxels. docs/phantom.md explains the tissue and every parameter.
 *
 *   neurites    tubes along three skew directions (a cubic rod packing, turned and warped), cut into pieces of
 *               bounded length that attach to one another as branches: a neuron is a tree of pieces, and its id is
 *               found from any of its points by a bounded number of look-ups
 *   somata      balls on a neurite, from which further neurites rise
 *   astrocytes  balls whose sheets fill the gaps between the tubes around them
 *   synapses    where an axon passes a dendrite; the table gives pre and post neuron of each
 *
 * Axes are z, y, x. A phantom is read by one thread at a time; make one for each thread.
 */
#ifndef EXACONN_PHANTOM_H
#define EXACONN_PHANTOM_H

#include "exaconn/box.h"
#include "exaconn/cpu.h"
#include "exaconn/status.h"

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_phantom_options {
    uint64_t seed;
    exa_coord shape[3];   /* voxels; the product may exceed 2^63 */
    double voxel_nm[3];   /* 1 to half the pitch */
    double pitch_nm;      /* between neighbouring parallel neurites: sets their calibre */
    double noise;         /* standard deviation of the noise, grey values */
    double drift;         /* amplitude of slow changes of contrast and brightness, 0 to 1 */
    double missing, dark; /* fractions of the sections that are lost (zeros) or dark */
    double vacant;        /* fraction of neurites left out: more of them, more varied calibres */
    double empty;         /* fraction of the space, in regions of about 50 pitches, without tissue */
    double somata;        /* fraction of cells of 16 pitches with a neuron's soma */
    double glia;          /* the same with an astrocyte */
    double synapses;      /* fraction of the places where an axon passes a dendrite */
    double mitochondria;  /* fraction of the neurite pieces of one pitch with one */
} exa_phantom_options;

typedef enum exa_phantom_part { EXA_PHANTOM_RAW, EXA_PHANTOM_LABELS } exa_phantom_part;

#define EXA_PHANTOM_PREFIX "phantom:"

/* Reads "phantom:seed=7,shape=512x512x512,voxel=16x16x16,...:/raw" (or ":/labels"; raw if left out). Every
 * parameter has a default but the shape. Errors name the parameter, what is allowed and the nearest known name. */
exa_status exa_phantom_parse(const char *name, exa_phantom_options *options, exa_phantom_part *part);

typedef struct exa_phantom exa_phantom;

/* EXA_ERR_RANGE for what the options exclude, and for shapes so long that ids would not fit 64 bits. */
exa_status exa_phantom_create(const exa_phantom_options *options, exa_isa isa, exa_phantom **out);
void exa_phantom_destroy(exa_phantom **phantom); /* accepts NULL inside */

/* Voxels of a block on an axis: reads are cheapest in whole blocks. */
int exa_phantom_block(const exa_phantom *phantom, int axis);

/* `image` and `labels` [z, y, x], dense, of the box; either may be NULL. Labels are 0 where there is no tissue. */
exa_status exa_phantom_read(exa_phantom *phantom, const exa_box *box, uint8_t *image, exa_segid *labels);

typedef struct exa_phantom_synapse {
    exa_segid pre, post;
    exa_coord center[3];             /* the voxel on the membrane between the two */
    exa_coord pre_at[3], post_at[3]; /* a voxel inside each, near the membrane */
    double radius_nm;
} exa_phantom_synapse;

/* For qsort: by centre (z, y, x), then by partners. */
int exa_phantom_synapse_order(const void *a, const void *b);

/* All synapses whose centre lies in the box, ordered by centre. The partners' voxels may lie
 * outside the box, never outside the volume (a synapse of which one would is not listed). *list is
 * owned by the caller: free(). */
exa_status exa_phantom_synapses(exa_phantom *phantom, const exa_box *box, exa_phantom_synapse **list,
                                size_t *count);

#ifdef __cplusplus
}
#endif
#endif
