/* The info file of a precomputed volume, and one scale of it as a volume. All triples here are z, y, x. */
#ifndef EXA_PRECOMPUTED_INTERNAL_H
#define EXA_PRECOMPUTED_INTERNAL_H

#include "exaconn/precomputed.h"
#include "shard_file_internal.h"
#include "volume_internal.h"

#define EXA_PRECOMPUTED_MAX_SCALES 64
#define EXA_PRECOMPUTED_PREFIX "precomputed://"

typedef struct exa_precomputed_scale {
    char key[256]; /* its folder */
    exa_coord size[3], offset[3], chunk[3];
    double voxel_size_nm[3];
    bool compressed; /* compressed_segmentation, else raw */
    exa_coord block[3];
    bool sharded;
    exa_shard_spec shards;
} exa_precomputed_scale;

typedef struct exa_precomputed_info {
    exa_precomputed_kind kind;
    exa_dtype dtype;
    bool all_stored; /* it says that every chunk has its place in a file: one that is not there is damage */
    int scale_count;
    exa_precomputed_scale scales[EXA_PRECOMPUTED_MAX_SCALES];
} exa_precomputed_info;

/* A volume being written: precomputed.c lays it out and writes shards, precomputed_folder.c begins and ends. */
struct exa_precomputed {
    exa_precomputed_options options; /* source is owned */
    exa_precomputed_info info;
    int factor[EXA_PRECOMPUTED_MAX_SCALES][3]; /* of a scale from the one before */
    exa_volume *previous;                      /* owned; scale previous_scale, or NULL */
    int previous_scale;
    int lock; /* file descriptor, -1 = none */
    char folder[EXA_PATH_BYTES];
};

/* *out is transferred (free() it). */
exa_status exa_precomputed_info_read(const char *folder, exa_precomputed_info **out);
exa_status exa_precomputed_info_write(const exa_precomputed_info *info, char **text);

/* Chunks of a scale along each axis. */
void exa_precomputed_grid(const exa_precomputed_scale *scale, exa_coord grid[3]);

/* One scale, whether or not there is an info file: what the writer reads the scale before from. */
exa_status exa_volume_precomputed_open_scale(const char *folder, const exa_precomputed_info *info, int scale,
                                             exa_volume **out);

#endif
