/* The phantom as a volume: "phantom:seed=7,shape=512x512x512:/raw" (uint8) or ":/labels" (uint64). Read only. */
#include "exaconn/phantom.h"

#include "volume_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct phantom_volume {
    exa_phantom *phantom;
    exa_phantom_part part;
} phantom_volume;

static exa_status read_box(void *self, const exa_box *box, void *data) {
    phantom_volume *v = self;
    bool raw = v->part == EXA_PHANTOM_RAW;
    return exa_phantom_read(v->phantom, box, raw ? data : NULL, raw ? NULL : data);
}

/* It has none: nothing was cut from anything. */
static exa_status get_doubles(void *self, const char *name, double *values, int count, bool *found) {
    (void)self, (void)name, (void)values, (void)count;
    *found = false;
    return EXA_OK;
}

static void close_volume(void *self) {
    phantom_volume *v = self;
    exa_phantom_destroy(&v->phantom);
    free(v);
}

exa_status exa_volume_phantom_open(const char *name, exa_volume_info *info, void **self) {
    exa_phantom_options o;
    exa_phantom_part part;
    phantom_volume *v;
    exa_status st;

    EXA_TRY(exa_phantom_parse(name, &o, &part));
    EXA_TRY(exa_calloc(1, sizeof *v, "a phantom volume", &v));
    v->part = part;
    st = exa_phantom_create(&o, EXA_ISA_AUTO, &v->phantom);
    if (st != EXA_OK) {
        free(v);
        return st;
    }
    info->dtype = part == EXA_PHANTOM_RAW ? EXA_U8 : EXA_U64;
    memcpy(info->shape, o.shape, sizeof info->shape);
    memcpy(info->voxel_size_nm, o.voxel_nm, sizeof info->voxel_size_nm);
    for (int a = 0; a < 3; a++) info->chunk[a] = exa_phantom_block(v->phantom, a);
    snprintf(info->compression, sizeof info->compression, "none");
    snprintf(info->type_name, sizeof info->type_name, "%s", exa_dtype_name(info->dtype));
    *self = v;
    return EXA_OK;
}

const exa_volume_backend exa_volume_phantom_backend = {
    .format = "phantom",
    .read = read_box,
    .get_doubles = get_doubles,
    .close = close_volume,
};
