/* What the pieces of a connectome share: connectome.c drives, connectome_chunks.c reads the segmentation,
 * connectome_sites.c joins contact sites, connectome_synapses.c reads the table, connectome_write.c writes. */
#ifndef EXA_CONNECTOME_INTERNAL_H
#define EXA_CONNECTOME_INTERNAL_H

#include "exaconn/chunk_grid.h"
#include "exaconn/connectome.h"
#include "exaconn/connection.h"
#include "exaconn/contact.h"
#include "exaconn/file.h"
#include "exaconn/hash.h"
#include "exaconn/json.h"
#include "exaconn/segment.h"
#include "exaconn/volume.h"

/* Records of this rank. */
typedef struct exa_records {
    void *list; /* owned */
    size_t count, capacity;
} exa_records;

/* A position to be looked up in the chunk it lies in. */
typedef struct exa_query {
    exa_chunkid chunk;
    uint64_t row, post; /* of the table; 1 if it is the postsynaptic side */
    exa_coord at[3];
} exa_query;

typedef struct exa_lookup {
    uint64_t row, post;
    exa_segid id;
} exa_lookup;

typedef struct exa_connectome_work {
    const exa_connectome_options *o;
    exa_volume *volume; /* owned; NULL without a segmentation */
    bool bytes;         /* its voxels are of 8 bits, as those of images */
    exa_coord storage[3];
    double voxel_nm[3];
    exa_box box; /* of the segmentation, in voxels of the volume */
    exa_chunk_grid grid;
    exa_chunkid begin, end; /* this rank's chunks */
    uint64_t chunks_resumed;
    char identity[EXA_SHA256_HEX_BYTES];
    int lock;                 /* owned; -1 = none */
    exa_synapse_table *table; /* owned; on rank 0, while it is read */
    bool table_nm;            /* its positions are nm, not voxels */
    double table_voxel_nm[3]; /* of its voxels, as the user or the table says; 0 = those of the segmentation */
    /* Of this rank's chunks, then of this rank's share of the keys, sorted. */
    exa_records segments; /* exa_segment */
    exa_records contacts; /* exa_contact */
    exa_records sites;    /* exa_contact_site */
    exa_contact_faces own, seen;
    exa_records queries;                 /* exa_query, sorted by chunk */
    exa_records synapses;                /* exa_synapse */
    exa_records pairs;                   /* exa_pair */
    exa_records connections;             /* exa_connection, those that are kept */
    exa_records neurons;                 /* exa_neuron */
    uint64_t states[EXA_SYNAPSE_STATES]; /* rows of all ranks, by what became of them */
    uint64_t rows;                       /* of the table */
    uint64_t naming, differing;          /* rows with ids and segments; where they are not the same */
    uint64_t located, located_autapses;  /* rows whose positions lead to two segments; to one and the same */
    uint64_t synapse_count;              /* that connections hold */
    double read_s, count_s, write_s;
} exa_connectome_work;

/* The ranks' stretches of the chunk curve: the first chunk of a rank, the rank that has a chunk. */
exa_chunkid exa_connectome_first_chunk(const exa_chunk_grid *grid, int rank);
int exa_connectome_owner(const exa_chunk_grid *grid, exa_chunkid k);

exa_status exa_records_add(exa_records *records, const void *list, size_t count, size_t size);
void exa_records_free(exa_records *records);

/* ---- shares of sorted keys, one or two words each, over the ranks ---- */

typedef struct exa_shares {
    uint64_t (*first)[2]; /* owned; first key of each rank's share */
    bool *any;            /* owned; whether the rank has one */
} exa_shares;

/* Collective. `first` is this rank's first key, NULL if its share is empty. */
exa_status exa_shares_make(const uint64_t *first, int key_words, exa_shares *shares);
void exa_shares_free(exa_shares *shares);
int exa_shares_owner(const exa_shares *shares, const uint64_t *key, int key_words);

/* Sends each record to a rank; *records is replaced by what came, in order of the senders. Collective. */
exa_status exa_records_send(exa_records *records, size_t size,
                            int (*rank_of)(const void *record, const void *context), const void *context);

/* *index[i] is the position of ids[i] among all ranks' neurons, sorted by id; UINT64_MAX if it is none. Collective.
 */
exa_status exa_neurons_find(const exa_connectome_work *w, bool (*counts)(const exa_neuron *neuron),
                            const exa_segid *ids, size_t count, uint64_t *index);

/* Whether a connection of these segments passes the filters. */
bool exa_connectome_keeps(const exa_connectome_work *w, const exa_connection *connection);

/* ---- stages, collective ---- */

exa_status exa_connectome_count_chunks(exa_connectome_work *w); /* fills segments, contacts, sites, synapses */
exa_status exa_connectome_join_sites(exa_connectome_work *w);   /* after pairs are known: sites of whole patches */
exa_status exa_connectome_open_table(exa_connectome_work *w);
exa_status exa_connectome_spread_table(exa_connectome_work *w); /* synapses and queries to their ranks */
exa_status exa_connectome_judge(exa_connectome_work *w);        /* whole rows, sorted, with their states counted */
exa_status exa_connectome_connect(exa_connectome_work *w);      /* pairs, connections, neurons */
exa_status exa_connectome_write(exa_connectome_work *w);
exa_status exa_connectome_clear_journals(const exa_connectome_work *w);

#endif
