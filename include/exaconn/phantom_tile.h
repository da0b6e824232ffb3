/* One tile of the phantom (exaconn/phantom.h): which object every voxel belongs to, and how bright it is.
 *
 * Objects are tubes and balls. The value of an object at a point is the distance to its nearest centre line less
 * its radius there, and the object with the smallest value owns the point, so that tubes swell until they touch: an
 * additively weighted Voronoi diagram of curves. Half the difference to the second smallest value is the distance
 * to the membrane between the two. Glia owns what lies deeper in the gaps between tubes than a threshold that rises
 * from an astrocyte's centre outward; beyond the tissue's own threshold there is nothing (object -1).
 *
 * All arithmetic is fp32 without contraction, by +, -, *, /, square root, comparison and conversion alone, so that
 * every instruction set gives the same bits.
 */
#ifndef EXACONN_PHANTOM_TILE_H
#define EXACONN_PHANTOM_TILE_H

#include "exaconn/cpu.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum {
    EXA_TILE_Z = 4,
    EXA_TILE_Y = 8,
    EXA_TILE_X = 8,
    EXA_TILE_VOXELS = EXA_TILE_Z * EXA_TILE_Y * EXA_TILE_X,
    EXA_TILE_MAX_NEAR = 8,       /* somata or astrocytes that can meet one tile; further synapses are not drawn */
    EXA_TILE_TEXTURE = 2 * 3 * 3 /* texture values at every fourth voxel: [z, y, x] */
};

/* Tubes as structure of arrays, sorted by object: from a to a + b, radius r to r + dr; all in nm, all zyx. */
typedef struct exa_tubes {
    size_t count, capacity;
    float *a[3], *b[3];
    float *bb;        /* |b|^2; 0 for a ball */
    float *r, *dr;    /* radius at a; change towards a + b */
    float *organelle; /* radius of a mitochondrion inside along the tube; 0 = none */
    int32_t *object;
} exa_tubes;

typedef struct exa_tile_soma {
    float center[3], nucleus_radius;
    int32_t object;
} exa_tile_soma;

typedef struct exa_tile_glia {
    float center[3], ball_radius, nucleus_radius;
    float reach, core, curve; /* owns values above core + curve * distance^2, within reach of the centre */
    int32_t object;
} exa_tile_glia;

typedef struct exa_tile_synapse {
    float center[3], radius;
    int32_t pre; /* object */
} exa_tile_synapse;

/* What is the same for all tiles. */
typedef struct exa_tile_style {
    float voxel_nm[3];
    float tissue_nm;   /* values above this are no tissue */
    float membrane_nm; /* half width of the dark profile */
    float noise;       /* standard deviation, grey values */
    float texture;     /* amplitude, grey values */
    uint32_t vesicle_key;
} exa_tile_style;

typedef struct exa_tile {
    const exa_tubes *tubes;
    const int32_t *near; /* indices of the tubes that matter here, ascending */
    size_t near_count;
    float origin[3]; /* centre of the tile's first voxel, nm, in the tubes' frame */
    exa_tile_soma soma[EXA_TILE_MAX_NEAR];
    exa_tile_glia glia[EXA_TILE_MAX_NEAR];
    exa_tile_synapse synapse[EXA_TILE_MAX_NEAR];
    int soma_count, glia_count, synapse_count;
    const float *grey; /* of each object's inside; [-1] is the grey where there is no tissue */
    float gain[EXA_TILE_Z], offset[EXA_TILE_Z]; /* per section: grey = 128 + (grey - 128) * gain + offset */
    float texture[EXA_TILE_TEXTURE];            /* -1..1 */
    int32_t vesicle_origin[3];                  /* the tile's first voxel, modulo 4096 */
    uint32_t noise_key;
} exa_tile;

/* 32 bits that depend on all bits of x (multiply and fold, twice). */
static inline uint32_t exa_tile_mix(uint32_t x) {
    x ^= x >> 16;
    x *= 0x7feb352du;
    x ^= x >> 15;
    x *= 0x846ca68bu;
    return x ^ x >> 16;
}

/* Indices, ascending, of all tubes whose value at `center` may be within `reach` of the smallest: (distance less
 * largest radius) at most the smallest (distance less smallest radius) and `reach`. Searches tubes->count, or the
 * `from_count` of `from`. scratch [count] receives distance less largest radius; `out` has room for as many.
 * Returns their number. */
size_t exa_tile_cull(exa_isa isa, const exa_tubes *tubes, const int32_t *from, size_t from_count,
                     const float center[3], float reach, float *scratch, int32_t *out);

/* Fills object[EXA_TILE_VOXELS] (zyx; -1 = no tissue) and, unless image is NULL, the grey values. */
void exa_tile_paint(exa_isa isa, const exa_tile_style *style, const exa_tile *tile, int32_t *object,
                    uint8_t *image);

#ifdef __cplusplus
}
#endif
#endif
