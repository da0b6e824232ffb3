#include "exaconn/neuroglancer.h"

#include "exaconn/file.h"
#include "exaconn/json.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_SAMPLES = 1 << 22 };
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

static int by_value(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* From black to white between the 0.5th and the 99.5th percentile of the coarsest scale. Without it, Neuroglancer
 * takes the whole range of the type, and most 16-bit images would be black. */
static exa_status put_contrast(exa_json_text *t, const exa_neuroglancer_layer *l,
                               const exa_precomputed_summary *v) {
    char name[EXA_PATH_BYTES + 300];
    exa_volume *volume = NULL;
    exa_volume_info info;
    exa_box all = {{0, 0, 0}, {0, 0, 0}};
    float *values = NULL;
    int64_t n;
    exa_status st = EXA_OK;

    snprintf(name, sizeof name, "%s:/%s", l->folder, v->coarsest);
    EXA_TRY(exa_volume_open(name, &volume));
    EXA_GOTO(done, exa_volume_get_info(volume, &info));
    memcpy(all.shape, info.shape, sizeof all.shape);
    if (exa_box_voxels(&all, &n) != EXA_OK || n > MOST_SAMPLES) goto done;
    EXA_GOTO(done, exa_alloc((size_t)n, sizeof *values, "the contrast of an image", &values));
    EXA_GOTO(done, exa_volume_read(volume, &all, EXA_F32, values));
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(values[i])) values[i] = 0;
    qsort(values, (size_t)n, sizeof *values, by_value);
    if (!(values[n / 200] < values[n - 1 - n / 200])) goto done; /* of one value */
    exa_json_text_add(t, ", \"shaderControls\": {\"normalized\": {\"range\": [");
    exa_json_text_add_real(t, (double)values[n / 200]);
    exa_json_text_add(t, ", ");
    exa_json_text_add_real(t, (double)values[n - 1 - n / 200]);
    exa_json_text_add(t, "]}}");
done:
    free(values);
    exa_volume_close(&volume);
    return st;
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
    if (v->kind == EXA_PRECOMPUTED_IMAGE && v->dtype != EXA_U8) EXA_TRY(put_contrast(t, l, v));
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
