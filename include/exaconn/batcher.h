/* Several threads, each with a canvas, on one network or one GPU: their steps are run as one batch.
 *
 * A batch begins when every member has a step to run; whoever came last runs it for all. What a canvas becomes does
 * not depend on the others (exa_ffn_net_infer's promise), so neither does it on who joins and leaves when. Members
 * should join only while they step, as the others wait for them.
 */
#ifndef EXACONN_BATCHER_H
#define EXACONN_BATCHER_H

#include "exaconn/canvas_device.h"
#include "exaconn/flood.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_batcher exa_batcher;

/* For at most `most` members. The net is borrowed, and used by nobody else between a join and the last leave, but
 * under exa_batcher_lock. */
exa_status exa_batcher_create(exa_ffn_net *net, int most, exa_batcher **out);
void exa_batcher_destroy(exa_batcher **batcher);

/* The same on a GPU, for as many members as it has slots; their canvases are made with options.on_device. A batch
 * is then a launch of some steps of each, and `tick` is called after each launch. */
exa_status exa_batcher_create_on_device(exa_canvas_device *device, exa_batcher **out);

/* For a member, in its tick: the canvas's voxels as they are now (on the CPU they always are). */
exa_status exa_batcher_refresh(exa_batcher *batcher, exa_canvas *canvas);

/* For other work with the net's pool of threads, or the GPU: no batch runs meanwhile. */
void exa_batcher_lock(exa_batcher *batcher);
void exa_batcher_unlock(exa_batcher *batcher);

/* exa_flood_run of one canvas as a member: joins, and has left when it returns. Waits while there are as many
 * members as there may be. The time in the network is that of the batches that this thread ran for all. */
exa_status exa_batcher_flood(exa_batcher *batcher, exa_canvas *canvas, exa_flood_tick *tick, void *context,
                             exa_flood_times *times);

#ifdef __cplusplus
}
#endif
#endif
