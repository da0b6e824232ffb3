/* Contact sites of whole patches: parts of chunks joined at the faces that more than one chunk has seen. The owner
 * of a face's voxel is told by which site others have seen it, which is one edge of the union-find over all ranks.
 */
#include "connectome_internal.h"

#include "exaconn/comm.h"
#include "exaconn/reduce.h"
#include "exaconn/union_tree.h"

#include <stdlib.h>
#include <string.h>

static exa_chunkid chunk_of(const exa_connectome_work *w, const exa_coord at[3]) {
    int64_t position[3];

    for (int a = 0; a < 3; a++) position[a] = (at[a] - w->box.start[a]) / w->grid.core[a];
    return exa_chunk_grid_at(&w->grid, position);
}

static int owner_of_face(const void *record, const void *work) {
    const exa_connectome_work *w = work;
    return exa_connectome_owner(&w->grid, chunk_of(w, ((const exa_contact_face *)record)->at));
}

static exa_status make_edges(exa_connectome_work *w, const exa_records *seen, exa_edge **edges) {
    const exa_contact_face *list = seen->list;

    EXA_TRY(exa_alloc(seen->count, sizeof **edges, "sites that belong together", edges));
    if (w->own.count) qsort(w->own.list, w->own.count, sizeof *w->own.list, exa_contact_face_order);
    for (size_t i = 0; i < seen->count; i++) {
        const exa_contact_face *own =
            w->own.count ? bsearch(&list[i], w->own.list, w->own.count, sizeof *list, exa_contact_face_order)
                         : NULL;
        EXA_CHECK(own, EXA_ERR_INTERNAL, "a face of a contact was seen by one chunk and not by the other");
        (*edges)[i] = (exa_edge){own->site, list[i].site};
    }
    return EXA_OK;
}

static exa_status join(exa_connectome_work *w, const exa_records *seen, exa_mapping *mapping) {
    exa_segid *first = NULL;
    exa_edge *edges = NULL;
    exa_status st = exa_alloc((size_t)exa_comm_size() + 1, sizeof *first, "ranges of sites", &first);

    if (st == EXA_OK) st = make_edges(w, seen, &edges);
    EXA_GOTO(done, exa_comm_agree(st));
    for (int r = 0; r <= exa_comm_size(); r++)
        first[r] = exa_connectome_first_chunk(&w->grid, r) << w->grid.local_bits;
    st = exa_union_tree(edges, seen->count, first, mapping, NULL);
done:
    free(first);
    free(edges);
    return st;
}

exa_status exa_connectome_join_sites(exa_connectome_work *w) {
    const exa_reduction by_id = {.size = sizeof(exa_contact_site), .combine = exa_contact_site_combine};
    exa_records seen = {w->seen.list, w->seen.count, w->seen.capacity};
    exa_mapping mapping = {0};
    exa_contact_site *list;
    exa_status st;

    if (!w->volume || w->o->no_sites) return EXA_OK;
    w->seen = (exa_contact_faces){0};
    EXA_GOTO(done, exa_records_send(&seen, sizeof(exa_contact_face), owner_of_face, w));
    EXA_GOTO(done, join(w, &seen, &mapping));
    list = w->sites.list;
    for (size_t i = 0; i < w->sites.count; i++) list[i].id = exa_mapping_root(&mapping, list[i].id);
    EXA_GOTO(done, exa_reduce_by_key(&by_id, &w->sites.list, &w->sites.count));
    w->sites.capacity = w->sites.count;
done:
    exa_records_free(&seen);
    exa_mapping_destroy(&mapping);
    free(w->own.list);
    w->own = (exa_contact_faces){0};
    return st;
}
