/* Adding up the records of a connectome, and the nearest segment to a point. */
#include "exaconn/connection.h"

#include <string.h>

const char *const exa_synapse_state_names[EXA_SYNAPSE_STATES] = {
    "accepted", "invalid",   "no_synapse", "no_direction", "no_position",
    "outside",  "duplicate", "no_segment", "unknown_id",   "autapse"};

/* Adds `count` integers of one record to another's. */
static void add(uint64_t *into, const uint64_t *from, size_t count) {
    for (size_t i = 0; i < count; i++) into[i] += from[i];
}

/* One of the two is 0, or they are the same. */
void exa_synapse_combine(void *into, const void *synapse) {
    exa_synapse *a = into;
    const exa_synapse *b = synapse;

    a->line |= b->line;
    a->pre |= b->pre;
    a->post |= b->post;
    a->table_pre |= b->table_pre;
    a->table_post |= b->table_post;
    for (int i = 0; i < 3; i++) {
        a->pre_at[i] |= b->pre_at[i];
        a->post_at[i] |= b->post_at[i];
    }
    a->synapses |= b->synapses;
    a->kind |= b->kind;
    a->flags |= b->flags;
}

exa_synapse_state exa_synapse_judge(const exa_synapse *s, bool autapses) {
    if (s->flags & EXA_SYNAPSE_INVALID) return EXA_SYNAPSE_WAS_INVALID;
    if (s->flags & EXA_SYNAPSE_NONE) return EXA_SYNAPSE_WAS_NONE;
    if (s->flags & EXA_SYNAPSE_NO_DIRECTION) return EXA_SYNAPSE_WITHOUT_DIRECTION;
    if (s->flags & EXA_SYNAPSE_NO_POSITION) return EXA_SYNAPSE_WITHOUT_POSITION;
    if (s->flags & EXA_SYNAPSE_OUTSIDE) return EXA_SYNAPSE_WAS_OUTSIDE;
    if (s->flags & EXA_SYNAPSE_DUPLICATE) return EXA_SYNAPSE_WAS_DUPLICATE;
    if (s->pre == 0 || s->post == 0) return EXA_SYNAPSE_WITHOUT_SEGMENT;
    if (s->flags & EXA_SYNAPSE_UNKNOWN_ID) return EXA_SYNAPSE_OF_UNKNOWN_ID;
    if (s->pre == s->post && !autapses) return EXA_SYNAPSE_IS_AUTAPSE;
    return EXA_SYNAPSE_ACCEPTED;
}

void exa_pair_combine(void *into, const void *pair) {
    exa_pair *a = into;
    const exa_pair *b = pair;

    add(a->faces, b->faces, 3);
    a->sites += b->sites;
    a->forward += b->forward;
    a->backward += b->backward;
}

void exa_connection_combine(void *into, const void *connection) {
    exa_connection *a = into;
    const exa_connection *b = connection;

    a->synapses += b->synapses;
    add(a->faces, b->faces, 3);
}

void exa_neuron_combine(void *into, const void *neuron) {
    exa_neuron *a = into;
    const exa_neuron *b = neuron;

    a->voxels += b->voxels;
    a->synapses_in += b->synapses_in;
    a->synapses_out += b->synapses_out;
    a->partners_in += b->partners_in;
    a->partners_out += b->partners_out;
    a->contacts += b->contacts;
    a->sites += b->sites;
    add(a->faces, b->faces, 3);
    a->named |= b->named;
}

exa_segid exa_synapse_nearest(const exa_segid *labels, const exa_box *box, const exa_coord at[3],
                              const double size[3], double radius_nm) {
    double nearest = radius_nm * radius_nm;
    exa_segid found = labels[exa_box_index(box, at[0], at[1], at[2])];
    size_t i = 0;

    if (found) return found;
    for (exa_coord z = box->start[0]; z < box->start[0] + box->shape[0]; z++) {
        for (exa_coord y = box->start[1]; y < box->start[1] + box->shape[1]; y++) {
            for (exa_coord x = box->start[2]; x < box->start[2] + box->shape[2]; x++, i++) {
                const double dz = (double)(z - at[0]) * size[0], dy = (double)(y - at[1]) * size[1],
                             dx = (double)(x - at[2]) * size[2], far = dz * dz + dy * dy + dx * dx;
                if (labels[i] == 0 || far > nearest || (found && far == nearest)) continue;
                nearest = far;
                found = labels[i];
            }
        }
    }
    return found;
}
