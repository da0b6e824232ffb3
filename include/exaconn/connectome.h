/* From a segmentation and a table of synapses to a connectome, in a folder, by all ranks.
 *
 *   identity.txt        what it is made of; the same command goes on where one was interrupted
 *   journals/           finished chunks; removed when all is written
 *   segments.csv        voxels, box and centre of every segment          needs a segmentation
 *   contacts.csv        faces and area of every pair that touches        the same
 *   contact_sites.csv   the patches they touch in                        the same, unless left out
 *   synapses.h5         the synapses that count, with their segments     needs a table of synapses
 *   rejected.csv        the rows of the table that do not count, and why the same
 *   connections.csv, connections.txt, connectome.graphml, connectome.h5  the same
 *   neurons.csv         what each segment has of all that
 *   summary.json        written last: where it is, the folder is whole
 *
 * docs/circuits.md says what the numbers mean, docs/formats.md what the files hold.
 */
#ifndef EXACONN_CONNECTOME_H
#define EXACONN_CONNECTOME_H

#include "exaconn/box.h"
#include "exaconn/connection.h"
#include "exaconn/synapse_table.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_connectome_options {
    const char *segmentation; /* volume of labels, or NULL; one of the two must be given */
    const char *synapses;     /* table, or NULL */
    const char *folder;       /* created; strings are borrowed */
    exa_synapse_options table;
    double voxel_size_nm[3];   /* zyx; 0 = what the volume says */
    const exa_coord *offset;   /* of its first voxel; NULL = what the volume says, else 0 */
    exa_coord chunk[3];        /* zyx voxels of what is read at once; never changes a result; 0 = 256 */
    bool no_sites;             /* contact sites are left out */
    double search_radius_nm;   /* around positions on background; 0 = none */
    uint64_t min_synapses;     /* of a connection; smaller ones are left out */
    bool autapses;             /* connections of a segment with itself count */
    double candidate_area_nm2; /* sites of at least this area are listed as candidates; negative = no list */
    /* Whether a connection is kept, beside min_synapses: where filters by class join (an axon onto a dendrite),
     * once anything knows classes. NULL keeps all. Must not depend on the rank. */
    bool (*keep)(const exa_connection *connection, void *context);
    const char *fingerprint; /* what the segmentation is; NULL = the file's name, size and time */
    bool replace;            /* what is in the folder and made of something else is replaced, not refused */
    double progress_s;       /* between progress lines */
    exa_status (*check)(void *context); /* between chunks: an error ends the work; NULL = none */
    void *context;
} exa_connectome_options;

/* EXA_ERR_CONFIG if the options do not fit each other or the volume (no voxel size, a folder with something else in
 * it), and what reading and writing give. A complete folder of the same things is left alone. Collective. */
exa_status exa_connectome_make(const exa_connectome_options *options);

#ifdef __cplusplus
}
#endif
#endif
