/* libFuzzer harness of phantom names: the input is what stands after "phantom:". What is accepted must make a few
 * voxels at both ends of the volume, and its synapses there; what is refused must say why and what to do.
 */
#include "exaconn/phantom.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_corner(exa_phantom *p, const exa_phantom_options *o, bool far) {
    exa_phantom_synapse *list = NULL;
    uint8_t image[27];
    exa_segid labels[27];
    exa_box box;
    size_t count = 0;

    for (int a = 0; a < 3; a++) {
        box.shape[a] = o->shape[a] < 3 ? o->shape[a] : 3;
        box.start[a] = far ? o->shape[a] - box.shape[a] : 0;
    }
    exa_status st = exa_phantom_read(p, &box, image, labels);
    assert(st == EXA_OK || st == EXA_ERR_RANGE); /* too many objects in a block: coarse voxels */
    if (st != EXA_OK) return;
    st = exa_phantom_synapses(p, &box, &list, &count);
    assert(st == EXA_OK);
    free(list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exa_phantom_options o;
    exa_phantom_part part;
    exa_phantom *p = NULL;
    char *name = malloc(size + 16);
    exa_status st;

    memcpy(name, EXA_PHANTOM_PREFIX, strlen(EXA_PHANTOM_PREFIX));
    memcpy(name + strlen(EXA_PHANTOM_PREFIX), data, size);
    name[strlen(EXA_PHANTOM_PREFIX) + size] = '\0';
    st = exa_phantom_parse(name, &o, &part);
    assert(st == EXA_OK || (st == EXA_ERR_CONFIG && strstr(exa_error_last()->message, "phantom")));
    if (st == EXA_OK) st = exa_phantom_create(&o, EXA_ISA_AUTO, &p);
    if (p) {
        read_corner(p, &o, false);
        read_corner(p, &o, true);
    } else {
        assert(st == EXA_ERR_CONFIG || st == EXA_ERR_RANGE);
    }
    exa_phantom_destroy(&p);
    free(name);
    return 0;
}
