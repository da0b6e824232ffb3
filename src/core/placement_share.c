/* Even sharing at the least distance: a flow of least cost, one rank after another.
 *
 * The k-th rank on a device costs 2k + 1 units more (so the sum over a device is the square of its ranks), and a
 * unit outweighs all distances together. A new rank is let in along the cheapest chain of moves: it takes a device,
 * a rank of that device takes another one, and so on, until a device takes one rank more (Bellman-Ford over
 * devices). That keeps the sharing the best one for the ranks so far (successive shortest paths).
 */
#include "exaconn/box.h"
#include "exaconn/placement.h"

#include <limits.h>
#include <stdlib.h>

typedef struct sharing {
    int ranks, devices, unit;
    const int *distance;
    int *choice;
    int *load;            /* ranks on each device */
    long *cost;           /* of the cheapest chain that takes a rank onto the device */
    int *mover, *through; /* who moves onto it in that chain, from where (-1: the new one) */
} sharing;

static bool sees(const sharing *s, int rank, int device) {
    return s->distance[rank * s->devices + device] >= 0;
}

static long cost_of(const sharing *s, int rank, int device) {
    return s->distance[rank * s->devices + device];
}

/* A rank of `from` may move to `to`: true if that made the chain to `to` cheaper. */
static bool relax(sharing *s, int from, int to) {
    bool better = false;

    for (int r = 0; r < s->ranks; r++) {
        long cost;
        if (s->choice[r] != from || !sees(s, r, to)) continue;
        cost = s->cost[from] + cost_of(s, r, to) - cost_of(s, r, from);
        if (cost >= s->cost[to]) continue;
        s->cost[to] = cost;
        s->mover[to] = r;
        s->through[to] = from;
        better = true;
    }
    return better;
}

static void find_chains(sharing *s, int rank) {
    bool better = true;

    for (int d = 0; d < s->devices; d++) {
        s->cost[d] = sees(s, rank, d) ? cost_of(s, rank, d) : LONG_MAX / 2;
        s->mover[d] = rank;
        s->through[d] = -1;
    }
    for (int round = 0; better && round < s->devices; round++) {
        better = false;
        for (int from = 0; from < s->devices; from++) {
            if (s->cost[from] >= LONG_MAX / 2) continue;
            for (int to = 0; to < s->devices; to++)
                if (to != from && relax(s, from, to)) better = true;
        }
    }
}

static void let_in(sharing *s, int rank) {
    int last = -1;
    long least = LONG_MAX / 2;

    s->choice[rank] = -1;
    find_chains(s, rank);
    for (int d = 0; d < s->devices; d++) {
        long cost = s->cost[d] + (2L * s->load[d] + 1) * s->unit;
        if (s->cost[d] >= LONG_MAX / 2 || cost >= least) continue;
        least = cost;
        last = d;
    }
    if (last < 0) return;
    s->load[last]++;
    for (int d = last, from; d >= 0; d = from) {
        from = s->through[d];
        s->choice[s->mover[d]] = d;
    }
}

exa_status exa_placement_share(int ranks, int devices, const int *distance, int *choice) {
    const size_t n = devices > 0 ? (size_t)devices : 1;
    sharing s = {.ranks = ranks, .devices = devices, .distance = distance, .choice = choice};
    exa_status st = EXA_OK;

    s.unit = (EXA_PLACEMENT_FAR + 1) * (ranks + 1);
    EXA_GOTO(done, exa_calloc(n, sizeof *s.load, "the sharing of devices", &s.load));
    EXA_GOTO(done, exa_calloc(n, sizeof *s.cost, "the sharing of devices", &s.cost));
    EXA_GOTO(done, exa_calloc(n, sizeof *s.mover, "the sharing of devices", &s.mover));
    EXA_GOTO(done, exa_calloc(n, sizeof *s.through, "the sharing of devices", &s.through));
    for (int r = 0; r < ranks; r++) choice[r] = -1;
    for (int r = 0; r < ranks; r++) let_in(&s, r);
done:
    free(s.load);
    free(s.cost);
    free(s.mover);
    free(s.through);
    return st;
}
