/* Runs canvases through a network: one step of every unfinished canvas in each batch.
 *
 * What a canvas becomes does not depend on which others share its batches (exa_ffn_net_infer's promise).
 */
#ifndef EXACONN_FLOOD_H
#define EXACONN_FLOOD_H

#include "exaconn/canvas.h"
#include "exaconn/ffn_net.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Called after every batch; another status than EXA_OK stops the run with it (EXA_ERR_CANCELLED on a signal). */
typedef exa_status exa_flood_tick(void *context);

typedef struct exa_flood_times {
    double network_s; /* inside exa_ffn_net_infer */
    double total_s;
} exa_flood_times;

/* Until all `count` canvases are done; each is then finished (exa_canvas_finish). `tick` and `times` may be NULL.
 */
exa_status exa_flood_run(exa_ffn_net *net, exa_canvas *const *canvases, size_t count, exa_flood_tick *tick,
                         void *context, exa_flood_times *times);

#ifdef __cplusplus
}
#endif
#endif
