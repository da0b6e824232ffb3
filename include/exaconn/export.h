/* Volumes into Neuroglancer's precomputed format, by all ranks together. */
#ifndef EXACONN_EXPORT_H
#define EXACONN_EXPORT_H

#include "exaconn/precomputed.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_export_options {
    const char *volume; /* any that exa_volume_open takes */
    const char *folder;
    enum {
        EXA_EXPORT_AUTO,
        EXA_EXPORT_IMAGE,
        EXA_EXPORT_SEGMENTATION
    } type;                  /* auto: uint32 and uint64 are labels */
    double voxel_size_nm[3]; /* zyx; 0 = what the volume says */
    const exa_box *box;      /* NULL = the whole volume */
    const exa_coord
        *offset;    /* zyx, where the box lies; NULL = at its place in the volume, plus the volume's own offset */
    int gzip_level; /* 0..9, negative = 1 for images, 6 for labels */
    const char
        *fingerprint;  /* names the source and its state; NULL = the volume's name, size and time of its file */
    bool replace;      /* a volume of ours made of something else */
    double progress_s; /* between lines; 0 = 10 */
    exa_status (*check)(void *context); /* asked after every chunk; NULL = nothing ends it early */
    void *context;
} exa_export_options;

/* Collective. An unfinished export of the same source goes on, a complete one is left alone. */
exa_status exa_export(const exa_export_options *options);

#define EXA_EXPORT_FOLDER "precomputed"           /* in a run directory: folders raw and segmentation */
#define EXA_EXPORT_STATE_FILE "neuroglancer.json" /* in a run directory: what a viewer shows */

/* Exports what the complete run in folder `run` read and made. Collective. */
exa_status exa_export_run(const char *run, bool segmentation, bool raw, int gzip_level);

#ifdef __cplusplus
}
#endif
#endif
