#include "exaconn/neuroglancer.h"

#include "exaconn/file.h"
#include "exaconn/json.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SCREEN_PIXELS = 400 }; /* what a cross-section panel shows of the larger side, about */

/* Dimensions are those of the finest axis' voxels in metres; x, y, z as Neuroglancer counts. */
static void put_view(exa_json_text *t, const exa_precomputed_summary *v) {
    double largest = 0;

    exa_json_text_add(t, "  \"dimensions\": {");
    for (int a = 2; a >= 0; a--) {
        exa_json_text_add(t, "\"%c\": [", "zyx"[a]);
        exa_json_text_add_real(t, v->voxel_size_nm[a] * 1e-9);
        exa_json_text_add(t, ", \"m\"]%s", a ? ", " : "},\n");
        if ((double)v->box.shape[a] * v->voxel_size_nm[a] > largest)
            largest = (double)v->box.shape[a] * v->voxel_size_nm[a];
    }
    exa_json_text_add(t, "  \"position\": [");
    for (int a = 2; a >= 0; a--) {
        exa_json_text_add_real(t, (double)v->box.start[a] + (double)(v->box.shape[a] / 2) + 0.5);
        exa_json_text_add(t, a ? ", " : "],\n");
    }
    exa_json_text_add(t, "  \"crossSectionScale\": ");
    exa_json_text_add_real(t, largest / v->voxel_size_nm[2] / SCREEN_PIXELS);
    exa_json_text_add(t, ",\n  \"projectionScale\": ");
    exa_json_text_add_real(t, 1.5 * largest / v->voxel_size_nm[2]);
    exa_json_text_add(t, ",\n  \"layout\": \"4panel\",\n  \"layers\": [\n");
}

static exa_status put_layer(exa_json_text *t, const exa_neuroglancer_layer *l, const exa_precomputed_summary *v) {
    char source[EXA_PATH_BYTES];
    int n = snprintf(source, sizeof source, "precomputed://%s%s%s", EXA_NEUROGLANCER_SERVER, *l->path ? "/" : "",
                     l->path);

    EXA_CHECK(n > 0 && n < (int)sizeof source, EXA_ERR_RANGE, "the path of layer '%s' is too long", l->name);
    exa_json_text_add(
        t, "    {\"type\": \"%s\", \"name\": ", v->kind == EXA_PRECOMPUTED_SEGMENTATION ? "segmentation" : "image");
    exa_json_text_add_string(t, l->name);
    exa_json_text_add(t, ", \"source\": ");
    exa_json_text_add_string(t, source);
    exa_json_text_add(t, "}");
    return EXA_OK;
}

exa_status exa_neuroglancer_state(const exa_neuroglancer_layer *layers, int count, char **json) {
    exa_json_text t = {0};
    exa_status st = EXA_OK;

    exa_json_text_add(&t, "{\n");
    for (int i = 0; i < count; i++) {
        exa_precomputed_summary v;
        EXA_GOTO(fail, exa_precomputed_read_summary(layers[i].folder, &v));
        if (i == 0) put_view(&t, &v);
        EXA_GOTO(fail, put_layer(&t, &layers[i], &v));
        exa_json_text_add(&t, i + 1 < count ? ",\n" : "\n");
    }
    exa_json_text_add(&t, "  ]\n}\n");
    return exa_json_text_take(&t, json);
fail:
    free(t.data);
    return st;
}

exa_status exa_neuroglancer_place(const char *json, const char *server, char **out) {
    exa_json_text t = {0};
    const char *at;

    for (; (at = strstr(json, EXA_NEUROGLANCER_SERVER)) != NULL; json = at + strlen(EXA_NEUROGLANCER_SERVER))
        exa_json_text_add(&t, "%.*s%s", (int)(at - json), json, server);
    exa_json_text_add(&t, "%s", json);
    return exa_json_text_take(&t, out);
}

/* White space between words of JSON goes: it would only make the link longer. */
exa_status exa_neuroglancer_link(const char *client, const char *json, char **url) {
    exa_json_text t = {0};
    bool quoted = false;

    exa_json_text_add(&t, "%s/#!", client);
    for (const unsigned char *p = (const unsigned char *)json; *p; p++) {
        if (*p == '"' && (p == (const unsigned char *)json || p[-1] != '\\')) quoted = !quoted;
        if (!quoted && isspace(*p)) continue;
        exa_json_text_add(&t, isalnum(*p) || strchr("-._~:/,", *p) ? "%c" : "%%%02X", *p);
    }
    return exa_json_text_take(&t, url);
}
