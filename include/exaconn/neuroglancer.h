/* What Neuroglancer is told to show: its state as JSON, and the link that carries it. */
#ifndef EXACONN_NEUROGLANCER_H
#define EXACONN_NEUROGLANCER_H

#include "exaconn/precomputed.h"

#ifdef __cplusplus
extern "C" {
#endif

#define EXA_NEUROGLANCER_CLIENT "https://neuroglancer-demo.appspot.com"
#define EXA_NEUROGLANCER_SERVER "http://SERVER" /* stands in a stored state for where its volumes are served */

typedef struct exa_neuroglancer_layer {
    const char *name;
    const char *path;   /* of the volume below the server, "segmentation"; "" is the server's root */
    const char *folder; /* where it lies here: its info is read */
} exa_neuroglancer_layer;

/* The state with these layers, seen at the middle of the first; *json is transferred (free() it). */
exa_status exa_neuroglancer_state(const exa_neuroglancer_layer *layers, int count, char **json);

/* Puts a server's address where the placeholder stands. *out is transferred. */
exa_status exa_neuroglancer_place(const char *json, const char *server, char **out);

/* CLIENT/#!STATE, with everything encoded that a shell or a chat window could break. *url is transferred. */
exa_status exa_neuroglancer_link(const char *client, const char *json, char **url);

#ifdef __cplusplus
}
#endif
#endif
