/* Sizes, boxes and centres of segments, counted run by run. */
#include "exaconn/segment.h"

#include <stdlib.h>
#include <string.h>

typedef unsigned __int128 uint128;

static void add_sum(uint64_t sum[2], uint128 value) {
    uint128 total = ((uint128)sum[1] << 64 | sum[0]) + value;
    sum[0] = (uint64_t)total;
    sum[1] = (uint64_t)(total >> 64);
}

static void widen(exa_segment *s, int axis, exa_coord first, exa_coord last) {
    if (first < s->first[axis]) s->first[axis] = first;
    if (last > s->last[axis]) s->last[axis] = last;
}

/* `n` voxels of one segment, from z, y, x on along x. */
static void add_run(exa_segment *s, exa_coord z, exa_coord y, exa_coord x, exa_coord n) {
    const uint128 count = (uint128)n;

    s->voxels += (uint64_t)n;
    widen(s, 0, z, z);
    widen(s, 1, y, y);
    widen(s, 2, x, x + n - 1);
    add_sum(s->sum[0], count * (uint128)z);
    add_sum(s->sum[1], count * (uint128)y);
    add_sum(s->sum[2], count * (uint128)x + count * (count - 1) / 2);
}

static void scan_row(const int32_t *row, exa_coord n, exa_coord z, exa_coord y, exa_coord x, exa_segment *list) {
    exa_coord begin = 0;

    for (exa_coord i = 1; i <= n; i++) {
        if (i < n && row[i] == row[begin]) continue;
        if (row[begin] > 0) add_run(&list[row[begin] - 1], z, y, x + begin, i - begin);
        begin = i;
    }
}

exa_status exa_segment_scan(const int32_t *labels, const exa_box *box, const exa_box *core, exa_segment **list,
                            size_t *largest) {
    int64_t voxels;
    int32_t most = 0;
    exa_segment *made;

    EXA_TRY(exa_box_voxels(box, &voxels));
    for (int64_t i = 0; i < voxels; i++)
        if (labels[i] > most) most = labels[i];
    EXA_TRY(exa_calloc((size_t)most, sizeof *made, "the segments of a chunk", &made));
    for (int32_t i = 0; i < most; i++) {
        made[i].id = (exa_segid)i + 1;
        for (int a = 0; a < 3; a++) {
            made[i].first[a] = INT64_MAX;
            made[i].last[a] = INT64_MIN;
        }
    }
    for (exa_coord row = 0; row < core->shape[0] * core->shape[1]; row++) {
        exa_coord z = core->start[0] + row / core->shape[1], y = core->start[1] + row % core->shape[1];
        scan_row(labels + exa_box_index(box, z, y, core->start[2]), core->shape[2], z, y, core->start[2], made);
    }
    for (int32_t i = 0; i < most; i++) made[i].supervoxels = made[i].chunks = made[i].voxels > 0;
    *list = made;
    *largest = (size_t)most;
    return EXA_OK;
}

void exa_segment_combine(void *into, const void *segment) {
    exa_segment *a = into;
    const exa_segment *b = segment;

    a->voxels += b->voxels;
    a->supervoxels += b->supervoxels;
    a->chunks += b->chunks;
    a->steps += b->steps;
    for (int i = 0; i < 3; i++) {
        widen(a, i, b->first[i], b->last[i]);
        add_sum(a->sum[i], (uint128)b->sum[i][1] << 64 | b->sum[i][0]);
    }
}

void exa_segment_print(FILE *f, const exa_segment *s) {
    fprintf(f, "%llu", (unsigned long long)s->voxels);
    for (int a = 0; a < 3; a++) fprintf(f, ",%lld", (long long)s->first[a]);
    for (int a = 0; a < 3; a++) fprintf(f, ",%lld", (long long)(s->last[a] - s->first[a] + 1));
    for (int a = 0; a < 3; a++) {
        uint64_t hundredths = (uint64_t)(((uint128)s->sum[a][1] << 64 | s->sum[a][0]) * 100 / s->voxels);
        fprintf(f, ",%llu.%02llu", (unsigned long long)(hundredths / 100), (unsigned long long)(hundredths % 100));
    }
}
