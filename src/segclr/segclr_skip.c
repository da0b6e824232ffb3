/* What need not be computed, because an empty patch gives the same.
 *
 * A thin neurite fills a few percent of its patch. A row (z, y) of a layer whose inputs are all as an empty patch's
 * has the output of an empty patch at that place, bit by bit, borders included: it is copied. So is a row of
 * Winograd's tiles; one that is computed counts as changed in all its nine rows, as its roundings may be others.
 *
 *   map of a grid [z, y]: 1 where a row may differ from an empty patch's
 *   patch rows --stem 7^3/2, pool 3^3/2--> pooled rows --each step: its kernel's reach--> ...
 *
 * Each member of a team works the maps out for itself: they are small, and nobody has to wait.
 */
#include "segclr_net_internal.h"

#include <stdlib.h>
#include <string.h>

#define TILE 3            /* of Winograd's outputs */
#define SMALLEST_VOXELS 9 /* along z, of layers that are worth it */

exa_segclr_skip exa_segclr_skip_of(const exa_segclr_net *net, size_t member, size_t lane) {
    exa_segclr_skip skip = {.net = net};

    if (!net->skipping) return skip;
    skip.maps = net->maps + member * net->map_bytes;
    skip.inputs = net->inputs + lane * (size_t)net->patch[0] * (size_t)net->patch[1];
    return skip;
}

void exa_segclr_skip_input(const exa_segclr_skip *skip, size_t row, const float *values) {
    int any = 0;
    if (!skip->maps) return;
    for (int x = 0; x < skip->net->patch[2]; x++) any |= values[x] != 0;
    skip->inputs[row] = (uint8_t)any;
}

/* Whether any row is set of the map [height of them per z] in the given ranges, clipped to `shape`. */
static bool any_row(const uint8_t *map, const int shape[2], int z0, int z1, int y0, int y1) {
    if (z0 < 0) z0 = 0;
    if (y0 < 0) y0 = 0;
    if (z1 >= shape[0]) z1 = shape[0] - 1;
    if (y1 >= shape[1]) y1 = shape[1] - 1;
    for (int z = z0; z <= z1; z++)
        for (int y = y0; y <= y1; y++)
            if (map[z * shape[1] + y]) return true;
    return false;
}

/* A pooled voxel sees the patch from 4 p - 5 to 4 p + 5, one of the stem from 2 z - 3 to 2 z + 3. */
void exa_segclr_skip_pooled(const exa_segclr_skip *skip) {
    const exa_segclr_net *net = skip->net;
    const exa_segclr_grid *g = &net->grid[net->pooled];

    if (!skip->maps) return;
    for (int z = 0; z < g->shape[0]; z++)
        for (int y = 0; y < g->shape[1]; y++)
            skip->maps[g->map + (size_t)(z * g->shape[1] + y)] =
                any_row(skip->inputs, net->patch, 4 * z - 5, 4 * z + 5, 4 * y - 5, 4 * y + 5);
}

bool exa_segclr_skip_has_pooled(const exa_segclr_skip *skip, int z, int y) {
    const exa_segclr_grid *g = &skip->net->grid[skip->net->pooled];
    return !skip->maps || skip->maps[g->map + (size_t)(z * g->shape[1] + y)];
}

bool exa_segclr_skip_has_stem(const exa_segclr_skip *skip, int z, int y) {
    return any_row(skip->inputs, skip->net->patch, 2 * z - 3, 2 * z + 3, 2 * y - 3, 2 * y + 3);
}

bool exa_segclr_skip_needs_stem(const exa_segclr_skip *skip, int z, int y) {
    const exa_segclr_grid *g = &skip->net->grid[skip->net->pooled];
    return any_row(skip->maps + g->map, g->shape, z / 2, (z + 1) / 2, y / 2, (y + 1) / 2);
}

/* ---- steps -------------------------------------------------------------------------------------- */

/* The output rows of a unit of work: [z, z + n) x [y, y + n). */
static int unit_rows(const exa_segclr_step *s, size_t unit, int *z, int *y) {
    int n = s->plan.kind == EXA_CONV3D_WINOGRAD ? TILE : 1;
    size_t across = (size_t)((s->plan.shape[1] + n - 1) / n);

    *z = (int)(unit / across) * n;
    *y = (int)(unit % across) * n;
    return n;
}

static void mark_rows(uint8_t *map, const int shape[2], int z, int y, int n, uint8_t value) {
    for (int i = z; i < z + n && i < shape[0]; i++)
        for (int k = y; k < y + n && k < shape[1]; k++) map[i * shape[1] + k] = value;
}

void exa_segclr_skip_step(const exa_segclr_skip *skip, const exa_segclr_step *s, uint8_t *units) {
    const exa_segclr_grid *in = &skip->net->grid[s->in], *out = &skip->net->grid[s->out];
    int reach = s->plan.kernel / 2, stride = s->plan.stride;

    if (!skip->maps) return;
    if (!s->empty) {
        memset(skip->maps + out->map, 1, (size_t)out->shape[0] * (size_t)out->shape[1]);
        return;
    }
    for (size_t i = 0; i < s->plan.rows; i++) {
        int z, y, n = unit_rows(s, i, &z, &y), last = n - 1;
        bool any = any_row(skip->maps + in->map, in->shape, z * stride - reach, (z + last) * stride + reach,
                           y * stride - reach, (y + last) * stride + reach);
        if (s->add_out) any = any || any_row(skip->maps + out->map, out->shape, z, z + last, y, y + last);
        units[i] = any;
    }
    /* Only now: a block's last convolution adds to the map's own rows. */
    for (size_t i = 0; i < s->plan.rows; i++) {
        int z, y, n = unit_rows(s, i, &z, &y);
        mark_rows(skip->maps + out->map, out->shape, z, y, n, units[i]);
    }
}

void exa_segclr_skip_copy(const exa_segclr_skip *skip, const exa_segclr_step *s, size_t i, float *lane) {
    const exa_segclr_grid *g = &skip->net->grid[s->out];
    size_t stride = (size_t)g->plan.out_stride, floats = (size_t)g->shape[2] * stride;
    int z, y, n = unit_rows(s, i, &z, &y);

    for (int k = z; k < z + n && k < g->shape[0]; k++) {
        for (int j = y; j < y + n && j < g->shape[1]; j++) {
            size_t at = exa_conv3d_grid_index(&g->plan, k, j, 0) * stride;
            memcpy(lane + g->at + at, s->empty + at, floats * sizeof *lane);
        }
    }
}

/* ---- an empty patch ----------------------------------------------------------------------------- */

static exa_status make_room(exa_segclr_net *net) {
    const exa_segclr_grid *pooled = &net->grid[net->pooled];
    size_t threads = (size_t)net->threads, row = (size_t)net->stem.shape[2] * (size_t)net->stem.out_stride;
    size_t grid = exa_conv3d_grid_voxels(&pooled->plan) * (size_t)pooled->plan.out_stride;

    EXA_TRY(exa_calloc(threads * net->map_bytes, 1, "skipping", &net->maps));
    EXA_TRY(exa_calloc(threads * (size_t)net->patch[0] * (size_t)net->patch[1], 1, "skipping", &net->inputs));
    EXA_TRY(exa_calloc(row, sizeof(float), "an empty patch's activations", &net->empty_stem));
    EXA_TRY(exa_calloc(grid, sizeof(float), "an empty patch's activations", &net->empty_pooled));
    net->empty_bytes = (grid + row) * sizeof(float);
    for (int i = 0; i < net->step_count; i++) {
        exa_segclr_step *s = &net->step[i];
        const exa_segclr_grid *g = &net->grid[s->out];
        if (s->plan.shape[0] < SMALLEST_VOXELS || s->plan.rows > EXA_SEGCLR_MAX_UNITS) continue;
        grid = exa_conv3d_grid_voxels(&g->plan) * (size_t)g->plan.out_stride;
        EXA_TRY(exa_calloc(grid, sizeof(float), "an empty patch's activations", &s->empty));
        net->empty_bytes += grid * sizeof(float);
    }
    return EXA_OK;
}

exa_status exa_segclr_net_skip(exa_segclr_net *net, bool on) {
    float *patch = NULL, *embedding = NULL;
    const float *from;
    exa_status st;

    net->skip_never = !on;
    if (!on || net->empty_pooled) {
        net->skipping = on && net->empty_pooled;
        return EXA_OK;
    }
    EXA_GOTO(done, make_room(net));
    EXA_GOTO(done, exa_calloc((size_t)net->patch[0] * (size_t)net->patch[1] * (size_t)net->patch[2], sizeof *patch,
                              "an empty patch", &patch));
    EXA_GOTO(done, exa_calloc((size_t)net->embedding, sizeof *embedding, "an empty patch", &embedding));
    from = patch;
    EXA_GOTO(done, exa_segclr_net_record_empty(net, from, embedding));
    net->skipping = true;
done:
    free(patch);
    free(embedding);
    return st;
}
