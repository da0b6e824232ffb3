/* A fixed team of threads for data-parallel loops.
 *
 * The calling thread is member 0. Waiting members spin for at most ~50 us and then sleep, so an idle pool costs
 * nothing. A pool is used by one caller at a time. Loop bodies must not fail loudly: they record into their
 * context.
 */
#ifndef EXACONN_POOL_H
#define EXACONN_POOL_H

#include "exaconn/status.h"

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_pool exa_pool;

/* `threads` >= 1, caller included. With `bind`, member i is bound to the i-th core this process may use (hwloc);
 * a binding that the system refuses is logged once and goes on unbound. */
exa_status exa_pool_create(int threads, bool bind, exa_pool **out);
void exa_pool_destroy(exa_pool **pool);
int exa_pool_threads(const exa_pool *pool); /* NULL pool: 1 */

/* body(context, member) runs once on each of the members; returns when all have. NULL pool: on the caller only. */
typedef void exa_pool_team_body(void *context, int member);
void exa_pool_run(exa_pool *pool, exa_pool_team_body *body, void *context);

/* A barrier for the members inside exa_pool_run; all members must reach it. NULL pool: nothing. */
void exa_pool_barrier(exa_pool *pool);

/* body(context, i, member) for i in [0, count), handed out dynamically. */
typedef void exa_pool_item_body(void *context, size_t i, int member);
void exa_pool_for(exa_pool *pool, size_t count, exa_pool_item_body *body, void *context);

/* Rows of one loop, claimed by `members` as they come for them: half an even share of what is left each time, so
 * that a thread which the system has put aside, or a slower core, delays the others by a small piece and not by its
 * whole share. `*claimed` is shared and 0 at the beginning. False when none is left. */
bool exa_pool_claim(size_t *claimed, size_t rows, size_t members, size_t *begin, size_t *end);

#ifdef __cplusplus
}
#endif
#endif
