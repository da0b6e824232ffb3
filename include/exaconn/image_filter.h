/* The 3-D image filters from which FFN seeds are made, in the reference's arithmetic.
 *
 * google/ffn builds its seeds with scipy.ndimage on float32 arrays; a seed list is reproduced bit for bit only if
 * the same roundings happen: every 1-D pass accumulates in double and is rounded to float32, symmetric kernels add
 * the two samples of a pair before multiplying, from the farthest pair inward, borders are mirrored with the edge
 * sample repeated (d c b a | a b c d | d c b a). All arrays are dense [z, y, x]; all functions work in place and
 * need no scratch beyond a few lines per thread. `pool` may be NULL.
 */
#ifndef EXACONN_IMAGE_FILTER_H
#define EXACONN_IMAGE_FILTER_H

#include "exaconn/box.h"
#include "exaconn/pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One Sobel component: [-1, 0, 1] along `axis`, then [1, 2, 1] along the other axes in ascending order. */
exa_status exa_filter_sobel(float *data, const exa_coord shape[3], int axis, exa_pool *pool);

/* Gaussian of `sigma` voxels truncated at int(4 sigma + 0.5), axes 0, 1, 2. */
exa_status exa_filter_gaussian(float *data, const exa_coord shape[3], double sigma, exa_pool *pool);

/* The weights of that: half[j] at distance j, radius + 1 of them. EXA_ERR_RANGE for a sigma outside (0, 15]. */
enum { EXA_FILTER_RADIUS_MOST = 60 };
exa_status exa_filter_gaussian_weights(double sigma, double half[EXA_FILTER_RADIUS_MOST + 1], int *radius);

/* Squared exact Euclidean distance, in voxels, of every voxel to the nearest one with edge != 0 (0 there).
 * `distance2` [z, y, x]. *any_edge tells whether there was one; if not, distance2 is undefined. Axes up to 26,000
 * voxels, so that a squared distance fits int32 (EXA_ERR_RANGE beyond). */
exa_status exa_filter_distance2(const uint8_t *edge, const exa_coord shape[3], exa_pool *pool, int32_t *distance2,
                                bool *any_edge);

/* Local maxima of sqrt(distance2) + 1e-4 * noise over boxes of 7^3 voxels, noise being numpy's RandomState(42)
 * uniform doubles in C order. Only voxels at least `margin[a]` from both ends of axis a are tested. Calls
 * found(context, z, y, x) in ascending (z, y, x) order; a status other than EXA_OK from it stops the scan. */
typedef exa_status exa_filter_found(void *context, exa_coord z, exa_coord y, exa_coord x);
exa_status exa_filter_noisy_peaks(const int32_t *distance2, const exa_coord shape[3], const exa_coord margin[3],
                                  exa_filter_found *found, void *context);

/* MT19937 as numpy's RandomState(seed): doubles in [0, 1) with 53 random bits. Exposed for tests. */
typedef struct exa_mt19937 {
    uint32_t state[624];
    int next;
} exa_mt19937;
void exa_mt19937_seed(exa_mt19937 *generator, uint32_t seed);
double exa_mt19937_double(exa_mt19937 *generator);

#ifdef __cplusplus
}
#endif
#endif
