/* exaconn eval: the scores of a segmentation against the truth, for people or as JSON. */
#include "exaconn/evaluation.h"
#include "exaconn/file.h"
#include "exaconn/json.h"
#include "exaconn/log.h"
#include "exaconn/volume.h"

#include "cli_internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct comparison {
    const char *segmentation_name, *truth_name, *ignore_name;
    exa_volume *segmentation, *truth;
    exa_box box;         /* in the segmentation's voxels */
    exa_coord offset[3]; /* of the segmentation's first voxel in the truth */
    exa_eval_ignore ignore;
    exa_eval_scores scores;
    exa_eval_segment *segments; /* owned, largest first */
    size_t segment_count;
} comparison;

/* ---- what is compared ---------------------------------------------------------------------------------------- */

static exa_status parse_ignore(const exa_cli_arguments *arguments, comparison *c) {
    static const char *const names[] = {"truth", "both", "none"};
    const char *text = exa_cli_text(arguments, "ignore");

    c->ignore_name = text ? text : names[EXA_EVAL_IGNORE_TRUTH];
    for (int i = 0; i < 3; i++) {
        if (strcmp(c->ignore_name, names[i]) != 0) continue;
        c->ignore = (exa_eval_ignore)i;
        return EXA_OK;
    }
    return EXA_FAIL(EXA_ERR_CONFIG, "--ignore %s: choose truth, both or none", text);
}

/* Given, or from the files' own attributes; *found says whether anything placed the segmentation. */
static exa_status find_offset(const exa_cli_arguments *arguments, comparison *c, bool *found) {
    exa_coord own[3], of_truth[3];
    bool own_found, truth_found;

    *found = exa_cli_triple(arguments, "seg-offset", c->offset);
    if (*found) return EXA_OK;
    EXA_TRY(exa_volume_get_offset(c->segmentation, own, &own_found));
    EXA_TRY(exa_volume_get_offset(c->truth, of_truth, &truth_found));
    for (int a = 0; a < 3; a++) c->offset[a] = own[a] - of_truth[a];
    *found = own_found || truth_found;
    return EXA_OK;
}

/* Without any offset, shapes must be equal; with one, what both have is compared. */
static exa_status find_box(const exa_cli_arguments *arguments, comparison *c) {
    const char *text = exa_cli_text(arguments, "box");
    exa_volume_info s, t;
    exa_box seg = {{0, 0, 0}, {0, 0, 0}}, truth = {{0, 0, 0}, {0, 0, 0}}, both;
    bool placed;

    exa_volume_get_info(c->segmentation, &s);
    exa_volume_get_info(c->truth, &t);
    EXA_TRY(find_offset(arguments, c, &placed));
    memcpy(seg.shape, s.shape, sizeof seg.shape);
    memcpy(truth.shape, t.shape, sizeof truth.shape);
    EXA_CHECK(
        placed || text || memcmp(s.shape, t.shape, sizeof s.shape) == 0, EXA_ERR_CONFIG,
        "'%s' is %lld x %lld x %lld but '%s' is %lld x %lld x %lld. Hint: say where the segmentation lies in the "
        "truth with --seg-offset Z,Y,X, or compare a part of both with --box",
        s.name, (long long)s.shape[0], (long long)s.shape[1], (long long)s.shape[2], t.name, (long long)t.shape[0],
        (long long)t.shape[1], (long long)t.shape[2]);
    memcpy(seg.start, c->offset, sizeof seg.start);
    both = exa_box_intersect(&seg, &truth);
    if (text) {
        exa_box wanted;
        EXA_TRY(exa_cli_parse_box(text, &wanted));
        EXA_CHECK(exa_box_inside(&wanted, &both), EXA_ERR_CONFIG, "--box %s is not inside both volumes", text);
        both = wanted;
    }
    EXA_CHECK(both.shape[0] > 0 && both.shape[1] > 0 && both.shape[2] > 0, EXA_ERR_CONFIG,
              "at offset %lld,%lld,%lld '%s' does not meet '%s'", (long long)c->offset[0], (long long)c->offset[1],
              (long long)c->offset[2], s.name, t.name);
    c->box = both;
    for (int a = 0; a < 3; a++) c->box.start[a] -= c->offset[a];
    return EXA_OK;
}

static exa_status compare(comparison *c, size_t memory_bytes) {
    exa_evaluation *e = NULL;
    exa_status st = EXA_OK;

    EXA_TRY(exa_evaluation_create(c->ignore, &e));
    EXA_GOTO(done, exa_evaluation_add_volumes(e, c->segmentation, c->truth, &c->box, c->offset, memory_bytes));
    EXA_GOTO(done, exa_evaluation_scores(e, &c->scores));
    EXA_GOTO(done, exa_evaluation_segments(e, &c->segments, &c->segment_count));
done:
    exa_evaluation_destroy(&e);
    return st;
}

static exa_status check_counted(const comparison *c) {
    EXA_CHECK(c->scores.voxels > 0, EXA_ERR_CONFIG,
              "no voxel is left to compare: all %" PRIu64 " are ignored (--ignore %s). Hint: check that '%s' holds "
              "labels where they are compared (--box, --seg-offset), or count all voxels with --ignore none",
              c->scores.ignored_voxels, c->ignore_name, c->truth_name);
    return EXA_OK;
}

/* ---- output -------------------------------------------------------------------------------------------------- */

static double iou(const exa_eval_segment *s) {
    return (double)s->overlap / (double)(s->voxels + s->truth_voxels - s->overlap);
}

static void print_text(const comparison *c, int64_t shown) {
    const exa_eval_scores *s = &c->scores;

    printf("compared       %lld x %lld x %lld voxels (z,y,x), segmentation at %lld,%lld,%lld of the truth\n",
           (long long)c->box.shape[0], (long long)c->box.shape[1], (long long)c->box.shape[2],
           (long long)c->offset[0], (long long)c->offset[1], (long long)c->offset[2]);
    printf("counted        %" PRIu64 " voxels; %" PRIu64 " ignored (--ignore %s)\n", s->voxels, s->ignored_voxels,
           c->ignore_name);
    printf("objects        %" PRIu64 " segments, %" PRIu64 " of the truth, %" PRIu64 " overlaps\n", s->segments,
           s->truth_objects, s->overlaps);
    printf("VOI            %.4f bits = %.4f split + %.4f merge\n", s->voi_split + s->voi_merge, s->voi_split,
           s->voi_merge);
    printf("adapted Rand   error %.4f (precision %.4f, recall %.4f)\n", s->arand_error, s->arand_precision,
           s->arand_recall);
    if (c->ignore != EXA_EVAL_IGNORE_BOTH)
        printf("               error %.4f with each unsegmented voxel an object of its own (SNEMI3D, CREMI)\n",
               s->arand_error_singletons);
    printf("Rand index     %.6f\n", s->rand_index);
    if (shown <= 0) return;
    printf("\n%20s %14s %20s %14s %8s\n", "segment", "voxels", "best truth", "overlap", "IoU");
    for (size_t i = 0; i < c->segment_count && i < (size_t)shown; i++) {
        const exa_eval_segment *g = &c->segments[i];
        printf("%20" PRIu64 " %14" PRIu64 " %20" PRIu64 " %14" PRIu64 " %8.4f\n", g->id, g->voxels, g->best_truth,
               g->overlap, iou(g));
    }
}

static void add_score(exa_json_text *j, const char *name, double value) {
    exa_json_text_add(j, "  \"%s\": ", name);
    if (isfinite(value)) {
        exa_json_text_add_real(j, value);
    } else {
        exa_json_text_add(j, "null"); /* nothing was counted */
    }
    exa_json_text_add(j, ",\n");
}

static void add_scores(exa_json_text *j, const exa_eval_scores *s) {
    exa_json_text_add(j,
                      "  \"voxels\": %" PRIu64 ",\n  \"ignored_voxels\": %" PRIu64 ",\n  \"segments\": %" PRIu64
                      ",\n  \"truth_objects\": %" PRIu64 ",\n  \"overlaps\": %" PRIu64 ",\n",
                      s->voxels, s->ignored_voxels, s->segments, s->truth_objects, s->overlaps);
    add_score(j, "voi_split_bits", s->voi_split);
    add_score(j, "voi_merge_bits", s->voi_merge);
    add_score(j, "voi_bits", s->voi_split + s->voi_merge);
    add_score(j, "arand_error", s->arand_error);
    add_score(j, "arand_precision", s->arand_precision);
    add_score(j, "arand_recall", s->arand_recall);
    add_score(j, "arand_error_singletons", s->arand_error_singletons);
    add_score(j, "rand_index", s->rand_index);
}

static void add_triple(exa_json_text *j, const char *name, const exa_coord zyx[3]) {
    exa_json_text_add(j, "  \"%s\": [%lld, %lld, %lld],\n", name, (long long)zyx[0], (long long)zyx[1],
                      (long long)zyx[2]);
}

static exa_status print_json(const comparison *c, int64_t shown) {
    exa_json_text j = {0};
    char *text = NULL;

    exa_json_text_add(&j, "{\n  \"segmentation\": ");
    exa_json_text_add_string(&j, c->segmentation_name);
    exa_json_text_add(&j, ",\n  \"truth\": ");
    exa_json_text_add_string(&j, c->truth_name);
    exa_json_text_add(&j, ",\n  \"ignore\": \"%s\",\n", c->ignore_name);
    add_triple(&j, "seg_offset_zyx", c->offset);
    add_triple(&j, "seg_box_start_zyx", c->box.start);
    add_triple(&j, "box_shape_zyx", c->box.shape);
    add_scores(&j, &c->scores);
    exa_json_text_add(&j, "  \"largest_segments\": [");
    for (size_t i = 0; i < c->segment_count && shown > 0 && i < (size_t)shown; i++) {
        const exa_eval_segment *g = &c->segments[i];
        exa_json_text_add(&j,
                          "%s\n    {\"segment\": %" PRIu64 ", \"voxels\": %" PRIu64 ", \"best_truth\": %" PRIu64
                          ", \"overlap\": %" PRIu64 ", \"truth_voxels\": %" PRIu64 "}",
                          i ? "," : "", g->id, g->voxels, g->best_truth, g->overlap, g->truth_voxels);
    }
    exa_json_text_add(&j, "]\n}\n");
    EXA_TRY(exa_json_text_take(&j, &text));
    fputs(text, stdout);
    free(text);
    return EXA_OK;
}

static exa_status write_table(const comparison *c, const char *path) {
    exa_json_text t = {0}; /* text that grows, whatever its syntax */
    char *text = NULL;
    exa_status st;

    exa_json_text_add(&t, "segment,voxels,best_truth,overlap,truth_voxels,iou\n");
    for (size_t i = 0; i < c->segment_count; i++) {
        const exa_eval_segment *g = &c->segments[i];
        exa_json_text_add(&t, "%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%.6f\n", g->id,
                          g->voxels, g->best_truth, g->overlap, g->truth_voxels, iou(g));
    }
    EXA_TRY(exa_json_text_take(&t, &text));
    st = exa_file_write_atomic(path, text, strlen(text));
    free(text);
    return st;
}

/* ---- the command --------------------------------------------------------------------------------------------- */

static exa_status run(const exa_cli_arguments *arguments) {
    comparison c = {.segmentation_name = exa_cli_positional(arguments, 0),
                    .truth_name = exa_cli_positional(arguments, 1)};
    int64_t memory = exa_cli_int(arguments, "memory", 256), shown = exa_cli_int(arguments, "segments", 0);
    const char *table = exa_cli_text(arguments, "table");
    exa_status st = EXA_OK;

    EXA_CHECK(memory >= 1 && memory <= (1 << 24), EXA_ERR_CONFIG, "--memory %lld: give MiB, at least 1",
              (long long)memory);
    EXA_TRY(parse_ignore(arguments, &c));
    EXA_GOTO(done, exa_volume_open(c.segmentation_name, &c.segmentation));
    EXA_GOTO(done, exa_volume_open(c.truth_name, &c.truth));
    EXA_GOTO(done, find_box(arguments, &c));
    EXA_GOTO(done, compare(&c, (size_t)memory << 20));
    EXA_GOTO(done, check_counted(&c));
    if (table) EXA_GOTO(done, write_table(&c, table));
    if (exa_cli_has(arguments, "json")) {
        st = print_json(&c, shown);
    } else {
        print_text(&c, shown);
    }
done:
    free(c.segments);
    exa_volume_close(&c.truth);
    exa_volume_close(&c.segmentation);
    return st;
}

static const exa_cli_option options_table[] = {
    {"ignore", 0, EXA_CLI_TEXT, "truth|both|none",
     "voxels that do not count: truth (truth is 0; the default), both (either is 0), none"},
    {"seg-offset", 0, EXA_CLI_TRIPLE, "Z,Y,X",
     "the truth's voxel where the segmentation begins; what both have is compared"},
    {"box", 0, EXA_CLI_TEXT, "Z,Y,X,DZ,DY,DX", "compare only this box of the truth's voxels"},
    {"segments", 'n', EXA_CLI_INT, "N", "list the N largest segments and the truth objects they overlap most"},
    {"table", 0, EXA_CLI_PATH, "FILE.csv", "write that list for all segments"},
    {"memory", 0, EXA_CLI_INT, "MIB", "voxels held at once, in MiB (default 256)"},
    {"json", 0, EXA_CLI_FLAG, NULL, "print JSON"},
    {NULL, 0, EXA_CLI_FLAG, NULL, NULL}};

const exa_cli_command exa_cmd_eval = {
    .name = "eval",
    .positional = "SEG TRUTH",
    .positional_min = 2,
    .positional_max = 2,
    .summary = "score a segmentation against the truth",
    .description =
        "Compares two label volumes voxel by voxel.\n\n"
        "VOI is the variation of information in bits: split = H(SEG|TRUTH), merge = H(TRUTH|SEG); 0 is perfect.\n\n"
        "Adapted Rand error is 1 - the harmonic mean of precision (sum n^2 / sum s^2) and recall (sum n^2 / sum "
        "t^2), "
        "where n, s and t count the voxels of an overlap, a segment and a truth object; 0 is perfect.\n\n"
        "Rand index is the share of voxel pairs on which both agree; 1 is perfect.\n\n"
        "Voxels whose truth is 0 are ignored; all unsegmented voxels (SEG is 0) together count as one segment. "
        "With "
        "--ignore both they are ignored as well, with --ignore none nothing is. The SNEMI3D and CREMI scripts take "
        "each "
        "unsegmented voxel as an object of its own: that error is printed too. Formulas: docs/evaluation.md.\n\n"
        "Volumes of different shapes need --seg-offset, or the attribute offset_zyx_vx that exaconn writes.",
    .example = "exaconn eval run/segmentation.h5:/segmentation sample.h5:/groundtruth\n"
               "exaconn eval seg.h5 truth.h5 --ignore both --segments 10 --table segments.csv",
    .options = options_table,
    .run = run,
};
