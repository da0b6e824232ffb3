/* What a volume backend is: a struct of function pointers that moves boxes of its own element type.
 *
 * volume.c checks boxes, converts element types and words the common errors; a backend never sees a box outside its
 * shape or another type than its own.
 */
#ifndef EXA_VOLUME_INTERNAL_H
#define EXA_VOLUME_INTERNAL_H

#include "exaconn/volume.h"

typedef struct exa_volume_backend {
    const char *format;
    exa_status (*read)(void *self, const exa_box *box, void *data);
    exa_status (*write)(void *self, const exa_box *box, const void *data);
    exa_status (*commit)(void *self);
    exa_status (*set_text)(void *self, const char *name, const char *text);
    exa_status (*set_doubles)(void *self, const char *name, const double *values, int count);
    exa_status (*get_doubles)(void *self, const char *name, double *values, int count, bool *found);
    void (*close)(void *self); /* without commit: removes what was being made */
} exa_volume_backend;

struct exa_volume {
    const exa_volume_backend *backend;
    void *self;           /* owned through backend->close */
    char *name;           /* owned */
    exa_volume_info info; /* filled by the backend's open */
    bool writable;        /* being created and not yet committed */
    bool shared;          /* being created by all ranks together */
    bool committed;       /* nothing but get_info and close from now on */
};

/* Each backend's two ways in. They fill `info` (but for name and format) and hand over `self`. */
extern const exa_volume_backend exa_volume_hdf5_backend;
exa_status exa_volume_hdf5_open(const char *path, const char *dataset, exa_volume_info *info, void **self);
exa_status exa_volume_hdf5_create(const char *path, const char *dataset, const exa_volume_create_options *options,
                                  exa_volume_info *info, void **self);
exa_status exa_volume_hdf5_list(const char *path, exa_volume_list *list);

extern const exa_volume_backend exa_volume_phantom_backend; /* only read, no attributes */
exa_status exa_volume_phantom_open(const char *name, exa_volume_info *info, void **self);

struct exa_precomputed_info;
extern const exa_volume_backend exa_volume_precomputed_backend; /* only read */
/* True for "precomputed://FOLDER" and for a folder with an info file, either with ":/SCALE" behind it or not;
 * splits it. `folder` has EXA_PATH_BYTES; *key points into `name`. */
bool exa_volume_precomputed_name(const char *name, char *folder, const char **key);
exa_status exa_volume_precomputed_open(const char *folder, const char *key, exa_volume_info *info, void **self);
exa_status exa_volume_precomputed_open_parsed(const char *folder, const struct exa_precomputed_info *description,
                                              int scale, exa_volume_info *info, void **self);

#endif
