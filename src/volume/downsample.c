#include "downsample_internal.h"

typedef struct block {
    size_t at[8]; /* indices into the source, z, y, x order */
    int count;
} block;

/* The voxels of `from` below the voxel z, y, x of the coarser scale. */
static void find_block(const exa_box *from, const int factor[3], const exa_coord voxel[3], block *b) {
    exa_coord begin[3], end[3];

    for (int a = 0; a < 3; a++) {
        begin[a] = voxel[a] * factor[a];
        end[a] = begin[a] + factor[a];
        if (begin[a] < from->start[a]) begin[a] = from->start[a];
        if (end[a] > from->start[a] + from->shape[a]) end[a] = from->start[a] + from->shape[a];
    }
    b->count = 0;
    for (exa_coord z = begin[0]; z < end[0]; z++)
        for (exa_coord y = begin[1]; y < end[1]; y++)
            for (exa_coord x = begin[2]; x < end[2]; x++) b->at[b->count++] = exa_box_index(from, z, y, x);
}

#define FOR_EACH_VOXEL(to, b, i)                                                                                   \
    size_t i = 0;                                                                                                  \
    block b;                                                                                                       \
    exa_coord v_[3];                                                                                               \
    for (v_[0] = (to)->start[0]; v_[0] < (to)->start[0] + (to)->shape[0]; v_[0]++)                                 \
        for (v_[1] = (to)->start[1]; v_[1] < (to)->start[1] + (to)->shape[1]; v_[1]++)                             \
            for (v_[2] = (to)->start[2];                                                                           \
                 v_[2] < (to)->start[2] + (to)->shape[2] && (find_block(from, factor, v_, &b), true);              \
                 v_[2]++, i++)

/* Integers: half is rounded up. */
#define MEAN(name, type, sum_type, finish)                                                                         \
    static void name(const exa_box *from, const type *source, const int factor[3], const exa_box *to,              \
                     type *target) {                                                                               \
        FOR_EACH_VOXEL(to, b, i) {                                                                                 \
            sum_type sum = 0, n = (sum_type)b.count;                                                               \
            for (int k = 0; k < b.count; k++) sum += source[b.at[k]];                                              \
            target[i] = (type)(finish);                                                                            \
        }                                                                                                          \
    }

MEAN(mean_u8, uint8_t, uint32_t, (sum + n / 2) / n)
MEAN(mean_u16, uint16_t, uint32_t, (sum + n / 2) / n)
MEAN(mean_u32, uint32_t, uint64_t, (sum + n / 2) / n)
MEAN(mean_f32, float, double, sum / n)

exa_status exa_downsample_image(exa_dtype dtype, const exa_box *from, const void *source, const int factor[3],
                                const exa_box *to, void *target) {
    switch (dtype) {
    case EXA_U8: mean_u8(from, source, factor, to, target); return EXA_OK;
    case EXA_U16: mean_u16(from, source, factor, to, target); return EXA_OK;
    case EXA_U32: mean_u32(from, source, factor, to, target); return EXA_OK;
    case EXA_F32: mean_f32(from, source, factor, to, target); return EXA_OK;
    default: return EXA_FAIL(EXA_ERR_INTERNAL, "no means of %s", exa_dtype_name(dtype));
    }
}

static uint64_t choose_label(const uint64_t *source, const block *b) {
    uint64_t best = 0;
    int most = 0, empty = 0;

    for (int k = 0; k < b->count; k++) {
        const uint64_t label = source[b->at[k]];
        int n = 0;
        if (label == 0) empty++;
        if (label == 0 || label == best) continue;
        for (int j = k; j < b->count; j++) n += source[b->at[j]] == label;
        if (n > most) {
            most = n;
            best = label;
        }
    }
    return 2 * empty > b->count ? 0 : best;
}

void exa_downsample_labels(const exa_box *from, const uint64_t *source, const int factor[3], const exa_box *to,
                           uint64_t *target) {
    FOR_EACH_VOXEL(to, b, i) target[i] = choose_label(source, &b);
}
