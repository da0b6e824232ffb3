/* exaconn render: one slice of raw data, truth and segmentation side by side as a PNG. */
#include "exaconn/evaluation.h"
#include "exaconn/log.h"
#include "exaconn/picture.h"
#include "exaconn/volume.h"

#include "cli_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Without --scale a panel gets about this many pixels on its longer side. */
enum { PANEL_PIXELS = 512, LARGEST_SCALE = 64 };

typedef struct slice {
    exa_volume *raw;
    exa_coord raw_offset[3]; /* of the raw volume's first voxel in the common frame */
    bool raw_placed;         /* that was said */
    exa_box box;             /* of the raw volume, 1 voxel thick: what is drawn */
    int axis;
    exa_coord at;
    exa_coord rows, columns;
    size_t n;
} slice;

typedef struct overlay {
    exa_volume *volume; /* owned; NULL = not drawn */
    exa_box box;        /* of the volume, in the raw volume's voxels */
    bool placed;        /* its place in the raw volume was said, not assumed */
    exa_segid *labels;  /* owned, [rows, columns] of the slice, 0 outside the volume */
    size_t objects;
    char caption[96];
} overlay;

/* ---- the slice ----------------------------------------------------------------------------------------------- */

static exa_status parse_slice(const char *text, slice *s) {
    const char *axes = "zyx", *axis = text && *text ? strchr(axes, text[0]) : NULL;
    long long at = -1;
    int used = 0;

    EXA_CHECK(text, EXA_ERR_CONFIG, "say which slice. Hint: --slice z=100");
    EXA_CHECK(axis && sscanf(text + 1, "=%lld%n", &at, &used) == 1 && text[1 + used] == '\0' && at >= 0,
              EXA_ERR_CONFIG, "--slice %s: give an axis and an index, for example z=100", text);
    s->axis = (int)(axis - axes);
    s->at = at;
    return EXA_OK;
}

static exa_status open_raw(const exa_cli_arguments *arguments, slice *s) {
    const char *name = exa_cli_text(arguments, "raw");
    exa_volume_info info;

    EXA_CHECK(name, EXA_ERR_CONFIG, "say which raw volume. Hint: --raw sample.h5:/raw");
    EXA_TRY(parse_slice(exa_cli_text(arguments, "slice"), s));
    EXA_TRY(exa_volume_open(name, &s->raw));
    EXA_TRY(exa_volume_get_info(s->raw, &info));
    EXA_TRY(exa_volume_get_offset(s->raw, s->raw_offset, &s->raw_placed));
    EXA_CHECK(s->at < info.shape[s->axis], EXA_ERR_CONFIG, "--slice %s: '%s' has %lld voxels on axis %c",
              exa_cli_text(arguments, "slice"), name, (long long)info.shape[s->axis], "zyx"[s->axis]);
    s->box = (exa_box){{0, 0, 0}, {info.shape[0], info.shape[1], info.shape[2]}};
    return EXA_OK;
}

/* Of `s->box`, until here of the whole volume, the part in `part` and in the slice. */
static void cut_slice(slice *s, const exa_box *part) {
    if (part) s->box = exa_box_intersect(&s->box, part);
    s->box.start[s->axis] = s->at;
    s->box.shape[s->axis] = 1;
    s->rows = s->box.shape[s->axis == 0 ? 1 : 0];
    s->columns = s->box.shape[s->axis == 2 ? 1 : 2];
    s->n = (size_t)(s->rows * s->columns);
}

static exa_status read_gray(const slice *s, uint8_t **out) {
    exa_volume_info info;
    float *values = NULL;
    uint8_t *gray = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_volume_get_info(s->raw, &info));
    EXA_TRY(exa_alloc(s->n, 1, "the raw slice", &gray));
    if (info.dtype == EXA_U8) {
        EXA_GOTO(done, exa_volume_read(s->raw, &s->box, EXA_U8, gray));
    } else {
        EXA_GOTO(done, exa_alloc(s->n, sizeof *values, "the raw slice", &values));
        EXA_GOTO(done, exa_volume_read(s->raw, &s->box, EXA_F32, values));
        EXA_GOTO(done, exa_picture_stretch(values, s->n, gray));
    }
    *out = gray;
    gray = NULL;
done:
    free(values);
    free(gray);
    return st;
}

/* ---- labels -------------------------------------------------------------------------------------------------- */

/* The labels of `common`, read densely, to their places in the slice. */
static void place_labels(const slice *s, const exa_box *common, const exa_segid *dense, exa_segid *labels) {
    int row_axis = s->axis == 0 ? 1 : 0, column_axis = s->axis == 2 ? 1 : 2;
    exa_coord row = common->start[row_axis] - s->box.start[row_axis];
    exa_coord column = common->start[column_axis] - s->box.start[column_axis];

    for (exa_coord i = 0; i < common->shape[row_axis]; i++)
        memcpy(labels + (row + i) * s->columns + column, dense + i * common->shape[column_axis],
               (size_t)common->shape[column_axis] * sizeof *labels);
}

/* Opens a label volume and finds its place in the raw volume: as given, or by the files' attributes. Without either
 * it is at the same voxels, and must have the same shape. */
static exa_status open_overlay(const exa_cli_arguments *arguments, const char *option, const char *offset_option,
                               const slice *s, overlay *o) {
    exa_volume_info info, raw;
    exa_coord offset[3];
    bool found;

    if (!exa_cli_has(arguments, option)) return EXA_OK;
    EXA_TRY(exa_volume_open(exa_cli_text(arguments, option), &o->volume));
    EXA_TRY(exa_volume_get_info(o->volume, &info));
    EXA_TRY(exa_volume_get_info(s->raw, &raw));
    o->placed = offset_option && exa_cli_triple(arguments, offset_option, offset);
    if (!o->placed) {
        EXA_TRY(exa_volume_get_offset(o->volume, offset, &found));
        for (int a = 0; a < 3; a++) offset[a] -= s->raw_offset[a];
        o->placed = found || s->raw_placed;
    }
    EXA_CHECK(
        o->placed || memcmp(info.shape, raw.shape, sizeof info.shape) == 0, EXA_ERR_CONFIG,
        "'%s' is %lld x %lld x %lld but '%s' is %lld x %lld x %lld, and no attribute offset_zyx_vx says where "
        "it lies. Hint: %s",
        info.name, (long long)info.shape[0], (long long)info.shape[1], (long long)info.shape[2], raw.name,
        (long long)raw.shape[0], (long long)raw.shape[1], (long long)raw.shape[2],
        offset_option ? "say where it lies in the raw volume with --seg-offset Z,Y,X"
                      : "the truth needs that attribute, or the raw volume's shape");
    memcpy(o->box.start, offset, sizeof o->box.start);
    memcpy(o->box.shape, info.shape, sizeof o->box.shape);
    return EXA_OK;
}

static exa_status read_overlay(const slice *s, overlay *o) {
    exa_box common = exa_box_intersect(&s->box, &o->box), there = common;
    exa_segid *dense = NULL;
    int64_t n;
    exa_status st;

    EXA_TRY(exa_calloc(s->n, sizeof *o->labels, "labels of the slice", &o->labels));
    EXA_TRY(exa_box_voxels(&common, &n));
    if (n == 0) {
        exa_volume_info info;
        EXA_TRY(exa_volume_get_info(o->volume, &info));
        EXA_WARN("'%s' has nothing in this slice (it begins at %lld,%lld,%lld of the raw volume)", info.name,
                 (long long)o->box.start[0], (long long)o->box.start[1], (long long)o->box.start[2]);
        return EXA_OK;
    }
    for (int a = 0; a < 3; a++) there.start[a] -= o->box.start[a];
    EXA_TRY(exa_alloc((size_t)n, sizeof *dense, "labels of the slice", &dense));
    st = exa_volume_read(o->volume, &there, EXA_U64, dense);
    if (st == EXA_OK) place_labels(s, &common, dense, o->labels);
    free(dense);
    return st;
}

/* What is drawn: --box, or what the segmentation covers of a larger raw volume, or with --whole everything. */
static exa_status choose_part(const exa_cli_arguments *arguments, slice *s, const overlay *seg) {
    const char *text = exa_cli_text(arguments, "box");
    bool whole = exa_cli_has(arguments, "whole");
    exa_box box, part;

    EXA_CHECK(!text || !whole, EXA_ERR_CONFIG, "choose --box or --whole");
    if (text) {
        EXA_TRY(exa_cli_parse_box(text, &box));
        EXA_CHECK(exa_box_inside(&box, &s->box), EXA_ERR_CONFIG, "--box %s is not inside the raw volume", text);
        EXA_CHECK(s->at >= box.start[s->axis] && s->at < box.start[s->axis] + box.shape[s->axis], EXA_ERR_CONFIG,
                  "--slice %s does not go through --box %s", exa_cli_text(arguments, "slice"), text);
        cut_slice(s, &box);
        return EXA_OK;
    }
    part = exa_box_intersect(&s->box, &seg->box);
    if (whole || !seg->volume || !seg->placed || part.shape[0] <= 0 || part.shape[1] <= 0 || part.shape[2] <= 0) {
        cut_slice(s, NULL);
        return EXA_OK;
    }
    if (memcmp(part.shape, s->box.shape, sizeof part.shape) != 0)
        EXA_INFO("drawing what the segmentation covers, %lld,%lld,%lld,%lld,%lld,%lld; --whole draws all",
                 (long long)part.start[0], (long long)part.start[1], (long long)part.start[2],
                 (long long)part.shape[0], (long long)part.shape[1], (long long)part.shape[2]);
    cut_slice(s, &part);
    return EXA_OK;
}

/* ---- objects and their colours ------------------------------------------------------------------------------- */

/* Overlaps within the slice; with `truth` NULL only the list of objects. */
static exa_status list_objects(const slice *s, const overlay *o, const overlay *truth, exa_eval_segment **list,
                               size_t *count) {
    exa_evaluation *e = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_evaluation_create(EXA_EVAL_IGNORE_NONE, &e));
    EXA_GOTO(done, exa_evaluation_add(e, o->labels, truth ? truth->labels : o->labels, s->n));
    EXA_GOTO(done, exa_evaluation_segments(e, list, count));
done:
    exa_evaluation_destroy(&e);
    return st;
}

typedef struct colouring {
    exa_segid id, colour;
} colouring;

static int by_id(const void *a, const void *b) {
    exa_segid x = ((const colouring *)a)->id, y = ((const colouring *)b)->id;
    return (x > y) - (x < y);
}

static int by_overlap(const void *a, const void *b) {
    const exa_eval_segment *p = a, *q = b;
    if (p->best_truth != q->best_truth) return p->best_truth < q->best_truth ? -1 : 1;
    if (p->overlap != q->overlap) return p->overlap > q->overlap ? -1 : 1;
    return (p->id > q->id) - (p->id < q->id);
}

/* A truth object gives its colour to the segment that shares most with it, so that equal objects look equal and the
 * other pieces of a split object stand out. Segments without a partner take colours beyond all labels in use. */
static void choose_colours(exa_eval_segment *list, size_t count, colouring *colours) {
    qsort(list, count, sizeof *list, by_overlap);
    for (size_t i = 0; i < count; i++) {
        bool first = i == 0 || list[i].best_truth != list[i - 1].best_truth;
        bool matched = list[i].best_truth != 0 && first;
        colours[i] = (colouring){list[i].id, matched ? list[i].best_truth : list[i].id ^ ((exa_segid)1 << 63)};
    }
    qsort(colours, count, sizeof *colours, by_id);
}

static exa_status match_colours(const slice *s, overlay *o, const overlay *truth) {
    exa_eval_segment *list = NULL;
    colouring *colours = NULL;
    size_t count;
    exa_status st = EXA_OK;

    EXA_TRY(list_objects(s, o, truth, &list, &count));
    EXA_GOTO(done, exa_alloc(count, sizeof *colours, "colours", &colours));
    choose_colours(list, count, colours);
    for (size_t i = 0; i < s->n; i++) {
        const colouring key = {o->labels[i], 0}, *found;
        if (key.id == 0) continue;
        found = bsearch(&key, colours, count, sizeof *colours, by_id);
        if (found) o->labels[i] = found->colour;
    }
done:
    free(colours);
    free(list);
    return st;
}

static exa_status name_overlay(const slice *s, overlay *o, const char *what) {
    exa_eval_segment *list = NULL;

    EXA_TRY(list_objects(s, o, NULL, &list, &o->objects));
    free(list);
    snprintf(o->caption, sizeof o->caption, "%s: %zu object%s", what, o->objects, o->objects == 1 ? "" : "s");
    return EXA_OK;
}

/* ---- the picture --------------------------------------------------------------------------------------------- */

/* Voxels that are longer along the rows' axis get more pixels there. */
static exa_status choose_scale(const exa_cli_arguments *arguments, const slice *s, exa_picture_options *o) {
    int64_t scale = exa_cli_int(arguments, "scale", 1);
    exa_coord longer = s->rows > s->columns ? s->rows : s->columns;
    exa_volume_info info;
    double ratio, row_nm, column_nm;

    EXA_TRY(exa_volume_get_info(s->raw, &info));
    row_nm = info.voxel_size_nm[s->axis == 0 ? 1 : 0];
    column_nm = info.voxel_size_nm[s->axis == 2 ? 1 : 2];
    ratio = row_nm > 0 && column_nm > 0 ? row_nm / column_nm : 1.0;
    EXA_CHECK(scale >= 1 && scale <= LARGEST_SCALE, EXA_ERR_CONFIG, "--scale %lld: choose 1 to %d pixels a voxel",
              (long long)scale, LARGEST_SCALE);
    if (!exa_cli_has(arguments, "scale")) scale = longer < PANEL_PIXELS ? PANEL_PIXELS / longer : 1;
    if (scale > LARGEST_SCALE) scale = LARGEST_SCALE;
    o->row_scale = (int)fmin(LARGEST_SCALE, fmax(1.0, round((double)scale * fmax(ratio, 1.0))));
    o->column_scale = (int)fmin(LARGEST_SCALE, fmax(1.0, round((double)scale * fmax(1.0 / ratio, 1.0))));
    o->rows = s->rows;
    o->columns = s->columns;
    return EXA_OK;
}

static exa_status write_picture(const exa_cli_arguments *arguments, const slice *s, const uint8_t *gray,
                                const overlay *truth, const overlay *seg) {
    const char *output = exa_cli_text(arguments, "output");
    exa_picture_panel panels[3] = {{.gray = gray}, {.gray = gray}, {.gray = gray}};
    exa_picture_options options = {.opacity = 0};
    char caption[64];
    int n = 1;

    snprintf(caption, sizeof caption, "raw, %c = %lld", "zyx"[s->axis], (long long)s -> at);
    panels[0].caption = caption;
    if (truth->labels) {
        panels[n].labels = truth->labels;
        panels[n++].caption = truth->caption;
    }
    if (seg->labels) {
        panels[n].labels = seg->labels;
        panels[n++].caption = seg->caption;
    }
    EXA_TRY(choose_scale(arguments, s, &options));
    EXA_TRY(exa_picture_write(output, panels, n, &options));
    EXA_INFO("wrote '%s'", output);
    return EXA_OK;
}

static exa_status run(const exa_cli_arguments *arguments) {
    slice s = {0};
    overlay truth = {0}, seg = {0};
    uint8_t *gray = NULL;
    exa_status st = EXA_OK;

    EXA_CHECK(exa_cli_text(arguments, "output"), EXA_ERR_CONFIG, "say where the picture goes. Hint: -o slice.png");
    EXA_GOTO(done, open_raw(arguments, &s));
    EXA_GOTO(done, open_overlay(arguments, "truth", NULL, &s, &truth));
    EXA_GOTO(done, open_overlay(arguments, "seg", "seg-offset", &s, &seg));
    EXA_GOTO(done, choose_part(arguments, &s, &seg));
    EXA_GOTO(done, read_gray(&s, &gray));
    if (truth.volume) {
        EXA_GOTO(done, read_overlay(&s, &truth));
        EXA_GOTO(done, name_overlay(&s, &truth, "truth"));
    }
    if (seg.volume) {
        EXA_GOTO(done, read_overlay(&s, &seg));
        EXA_GOTO(done, name_overlay(&s, &seg, "segmentation"));
    }
    if (truth.labels && seg.labels && !exa_cli_has(arguments, "no-match"))
        EXA_GOTO(done, match_colours(&s, &seg, &truth));
    st = write_picture(arguments, &s, gray, &truth, &seg);
done:
    free(gray);
    free(truth.labels);
    free(seg.labels);
    exa_volume_close(&truth.volume);
    exa_volume_close(&seg.volume);
    exa_volume_close(&s.raw);
    return st;
}

static const exa_cli_option options_table[] = {
    {"raw", 0, EXA_CLI_TEXT, "VOLUME", "the image data (required)"},
    {"seg", 0, EXA_CLI_TEXT, "VOLUME", "a segmentation, drawn in colours over the image"},
    {"truth", 0, EXA_CLI_TEXT, "VOLUME", "the truth, drawn likewise"},
    {"slice", 0, EXA_CLI_TEXT, "AXIS=INDEX", "which slice of the raw volume: z=N, y=N or x=N (required)"},
    {"output", 'o', EXA_CLI_PATH, "FILE.png", "the picture (required)"},
    {"box", 0, EXA_CLI_TEXT, "Z,Y,X,DZ,DY,DX", "draw only this box of the raw volume's voxels"},
    {"whole", 0, EXA_CLI_FLAG, NULL, "draw the whole slice, however little of it is segmented"},
    {"scale", 0, EXA_CLI_INT, "K", "pixels of a voxel, 1 to 64 (default: panels of about 512 pixels)"},
    {"seg-offset", 0, EXA_CLI_TRIPLE, "Z,Y,X",
     "the raw voxel where the segmentation begins (default: its offset_zyx_vx)"},
    {"no-match", 0, EXA_CLI_FLAG, NULL, "colour segments by their own ids, not like the truth objects they match"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_render = {
    .name = "render",
    .positional = "",
    .positional_min = 0,
    .positional_max = 0,
    .summary = "draw a slice of raw data, truth and segmentation side by side",
    .description =
        "Writes a PNG: the raw slice, the truth over it, and the segmentation over it. A label always has the same "
        "colour; borders between labels are darker. Where the truth is given, each truth object and the segment "
        "that "
        "shares most of it in this slice have the same colour, so that differences stand out: a further piece of a "
        "split object has another colour than the object. --no-match turns that off.\n\n"
        "A segmentation of a part of the raw volume, by its offset_zyx_vx or --seg-offset, is drawn with that "
        "part; "
        "--whole and --box choose otherwise.\n\n"
        "Raw data other than uint8 are stretched between the 0.5th and 99.5th percentile of the slice. Voxels that "
        "are longer on one axis are drawn longer.",
    .example = "exaconn render --raw sample.h5:/raw --truth sample.h5:/groundtruth --seg run/segmentation.h5 "
               "--slice z=125 -o slice.png",
    .options = options_table,
    .run = run,
};
