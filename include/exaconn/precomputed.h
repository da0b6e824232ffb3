/* Writes volumes in Neuroglancer's precomputed format: sharded, with a pyramid of coarser scales.
 *
 * A shard is a file of its own and an aligned block of a scale, so many processes write one volume without meeting:
 * each shard is written by whoever is told to. Scale 0 is read from a volume, scale s + 1 from the files of scale
 * s, all of which must be there. The folder receives "source.json" first (what it is being made of) and "info"
 * last: where that is, the volume is whole.
 *
 *   exa_precomputed_plan -> begin (by one) -> write_shard of scale 0 (by all) -> ... of scale 1 -> ... -> finish
 * (by one)
 *
 * exa_volume_open reads such folders, ours and those of others.
 */
#ifndef EXACONN_PRECOMPUTED_H
#define EXACONN_PRECOMPUTED_H

#include "exaconn/box.h"
#include "exaconn/status.h"
#include "exaconn/volume.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum exa_precomputed_kind {
    EXA_PRECOMPUTED_IMAGE,       /* encoding raw; coarser voxels are means */
    EXA_PRECOMPUTED_SEGMENTATION /* uint64, encoding compressed_segmentation; coarser voxels are labels */
} exa_precomputed_kind;

typedef struct exa_precomputed_options {
    exa_precomputed_kind kind;
    exa_dtype dtype;         /* of an image: uint8, uint16, uint32 or float32; a segmentation is uint64 */
    exa_box box;             /* zyx; the part of the source volume */
    exa_coord offset[3];     /* zyx; where the part's first voxel lies in the coordinates of the new volume */
    double voxel_size_nm[3]; /* zyx, > 0 */
    int gzip_level;          /* 1..9, 0 = chunks are stored uncompressed, and damage in them is not noticed */
    const char *source;      /* names what it is made of; two things of different content need different names */
} exa_precomputed_options;

typedef struct exa_precomputed exa_precomputed;

/* Lays out scales and shards; touches no file. Deterministic: all processes plan the same. */
exa_status exa_precomputed_plan(const char *folder, const exa_precomputed_options *options, exa_precomputed **out);
void exa_precomputed_destroy(exa_precomputed **volume); /* accepts NULL inside */

typedef enum exa_precomputed_state {
    EXA_PRECOMPUTED_NEW,
    EXA_PRECOMPUTED_UNFINISHED, /* of the same source: finished shards are kept */
    EXA_PRECOMPUTED_COMPLETE    /* of the same source */
} exa_precomputed_state;

/* Makes or takes over the folder. One that holds anything else is refused (EXA_ERR_CONFIG), unless `replace`, which
 * removes a precomputed volume of ours, and nothing but that. For one process, before the others write. */
exa_status exa_precomputed_begin(exa_precomputed *volume, bool replace, exa_precomputed_state *state);

int exa_precomputed_scales(const exa_precomputed *volume);
exa_box exa_precomputed_scale_box(const exa_precomputed *volume, int scale); /* its voxels, by its offset */
int64_t exa_precomputed_chunks(const exa_precomputed *volume, int scale);

/* Shards are numbered 0 ... shards-1; those outside the volume hold nothing and are no files. */
uint64_t exa_precomputed_shards(const exa_precomputed *volume, int scale);
bool exa_precomputed_shard_used(const exa_precomputed *volume, int scale, uint64_t shard);

/* Called after every chunk written; an error ends the shard without a file. */
typedef exa_status exa_precomputed_tick(void *context);

/* Writes one shard; one that is there already is left alone. `source` is read for scale 0 only. */
exa_status exa_precomputed_write_shard(exa_precomputed *volume, int scale, uint64_t shard, exa_volume *source,
                                       exa_precomputed_tick *tick, void *context);

/* Writes info. For one process, after all shards. */
exa_status exa_precomputed_finish(exa_precomputed *volume);

/* What a folder with an info file holds, for viewers. */
typedef struct exa_precomputed_summary {
    exa_precomputed_kind kind;
    exa_dtype dtype;
    exa_box box;             /* zyx voxels of the finest scale, offset included */
    double voxel_size_nm[3]; /* zyx */
    char coarsest[256];      /* the scale's name, for exa_volume_open("FOLDER:/NAME") */
} exa_precomputed_summary;

exa_status exa_precomputed_read_summary(const char *folder, exa_precomputed_summary *summary);

/* True if `path` is a folder with an info file. */
bool exa_precomputed_recognise(const char *path);

#ifdef __cplusplus
}
#endif
#endif
