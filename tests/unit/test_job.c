/* Jobs: the table itself, defaults, every kind of refusal with path, reason and hint, paths, the way back to text.
 */
#include "test_util.h"

#include "core/job_internal.h"
#include "exaconn/suggest.h"

#include <math.h>

#define REQUIRED "\"volume\": \"v.h5:/raw\", \"weights\": \"w.h5\", \"output\": \"run\""

static exa_status parse(const char *text, exa_job *job) {
    return exa_job_parse(text, strlen(text), "job.json", "/base", job);
}

/* ---- the table ---------------------------------------------------------------------------------- */

static void table_is_sound(void **state) {
    (void)state;
    for (size_t i = 0; i < exa_job_key_count; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        const char *dot = strchr(key->path, '.');
        assert_ptr_equal(exa_job_find_key(key->path), key); /* no path twice */
        assert_true(key->doc && key->doc[strlen(key->doc) - 1] == '.' && key->since && key->standard);
        assert_null(strchr(key->doc, '|'));
        if (dot) {
            char section[64];
            snprintf(section, sizeof section, "%.*s", (int)(dot - key->path), key->path);
            assert_non_null(exa_job_find_section(section));
            assert_null(strchr(dot + 1, '.'));
        }
        if (key->flags & EXA_JOB_NULLABLE) {
            assert_string_equal(key->standard, "null");
            assert_non_null(key->example);
        }
        assert_int_equal(key->kind == EXA_JOB_NAME, key->names != NULL);
        assert_true(key->minimum <= key->maximum);
        assert_true(key->offset < sizeof(exa_job));
    }
}

/* ---- defaults and values ------------------------------------------------------------------------ */

static void defaults(void **state) {
    exa_job job;

    (void)state;
    assert_ok(parse("{" REQUIRED "}", &job));
    assert_string_equal(job.volume, "/base/v.h5:/raw");
    assert_string_equal(job.weights, "/base/w.h5");
    assert_string_equal(job.output, "/base/run");
    assert_true(!job.box.shape.given && job.box.start[0] == 0 && !job.voxel_size_nm.given);
    assert_true(!job.mask.volume && job.mask.exclude_values == EXA_JOB_MASK_NONZERO && !job.skip_zero_raw);
    assert_true(!job.initial_segmentation && job.seeds.policy == EXA_JOB_SEEDS_PEAKS && !job.seeds.points);
    assert_true(!job.seeds.file && job.seeds.step[1] == 16 && job.seeds.offset_count == 7 &&
                job.seeds.offsets[5] == 10);
    assert_true(!job.inference.move_threshold.given && !job.inference.min_boundary_dist.given);
    assert_true(job.compute.backend == EXA_JOB_BACKEND_AUTO && job.compute.isa == EXA_ISA_AUTO);
    assert_true(job.compute.threads == 0 && job.compute.bind == EXA_JOB_AUTO && job.compute.memory_limit_gib == 0);
    assert_true(job.segmentation.chunk[2] == 64 && job.segmentation.zstd_level == 3);
    assert_true(!job.segmentation.probability_map && job.limits.max_steps == 0 && job.progress.interval_s == 10);
    assert_true(!job.checkpoint.interval_min.given && job.checkpoint.mtbf_hours == 24);
    assert_true(job.checkpoint.keep == 2 && !job.checkpoint.at_end);
    assert_int_equal(job.log_level, EXA_LOG_INFO);
    exa_job_destroy(&job);
    assert_null(job.volume);
    exa_job_destroy(&job);
    exa_job_destroy(NULL);
}

static const char full[] =
    "{\"$schema\": \"job.schema.json\", " REQUIRED
    ", \"box\": {\"start\": [1, 2, 9007199254740991], \"shape\": [4, 5, 6]},"
    "\"voxel_size_nm\": [40, 4.5, 4.5], \"mask\": {\"volume\": \"/abs/m.h5:/m\", \"exclude_values\": \"zero\"},"
    "\"skip_zero_raw\": true, \"initial_segmentation\": \"./i.h5:/s\","
    "\"seeds\": {\"policy\": \"list\", \"points\": [[1, 2, 3], [4, 5, 6]], \"file\": null},"
    "\"inference\": {\"init_activation\": 0.9, \"pad_value\": 0.1, \"move_threshold\": 0.8, \"segment_threshold\": "
    "0.5,"
    "\"disco_seed_threshold\": -1, \"min_segment_size\": 0, \"min_boundary_dist\": [0, 1, 2], \"image_mean\": -1e3,"
    "\"image_stddev\": 0.25}, \"compute\": {\"backend\": \"cpu\", \"kernel\": \"winograd\", \"isa\": \"avx2\", "
    "\"threads\": 7,"
    "\"bind\": \"off\", \"memory_limit_gib\": 1.5}, \"segmentation\": {\"chunk\": [32, 33, 34], \"zstd_level\": 19,"
    "\"probability_map\": true}, \"limits\": {\"max_seeds\": 1, \"max_objects\": 2, \"max_steps\": 3},"
    "\"checkpoint\": {\"interval_min\": 0, \"mtbf_hours\": 0.5, \"keep\": 1, \"at_end\": true, "
    "\"chunk_interval_s\": 7},"
    "\"progress\": {\"interval_s\": 0.5}, \"log_level\": \"trace\"}";

static void every_key(void **state) {
    exa_job job;

    (void)state;
    assert_ok(parse(full, &job));
    assert_true(job.box.start[2] == 9007199254740991 && job.box.shape.given && job.box.shape.value[1] == 5);
    assert_true(job.voxel_size_nm.given && job.voxel_size_nm.value[1] == 4.5);
    assert_string_equal(job.mask.volume, "/abs/m.h5:/m");
    assert_int_equal(job.mask.exclude_values, EXA_JOB_MASK_ZERO);
    assert_string_equal(job.initial_segmentation, "/base/i.h5:/s");
    assert_true(job.skip_zero_raw && job.seeds.policy == EXA_JOB_SEEDS_LIST && job.seeds.point_count == 2);
    assert_int_equal(job.seeds.points[1][2], 6);
    assert_true(job.inference.init_activation.given && job.inference.init_activation.value == 0.9);
    assert_true(job.inference.disco_seed_threshold.value == -1 && job.inference.min_segment_size.given);
    assert_true(job.inference.min_boundary_dist.value[2] == 2 && job.inference.image_stddev.value == 0.25);
    assert_true(job.compute.backend == EXA_JOB_BACKEND_CPU && job.compute.kernel == EXA_JOB_KERNEL_WINOGRAD);
    assert_true(job.compute.isa == EXA_ISA_AVX2 && job.compute.threads == 7 && job.compute.bind == EXA_JOB_OFF);
    assert_true(job.compute.memory_limit_gib == 1.5 && job.segmentation.chunk[1] == 33);
    assert_true(job.segmentation.zstd_level == 19 && job.segmentation.probability_map);
    assert_true(job.limits.max_seeds == 1 && job.limits.max_objects == 2 && job.limits.max_steps == 3);
    assert_true(job.checkpoint.interval_min.given && job.checkpoint.interval_min.value == 0);
    assert_true(job.checkpoint.mtbf_hours == 0.5 && job.checkpoint.keep == 1 && job.checkpoint.at_end);
    assert_true(job.checkpoint.chunk_interval_s == 7);
    assert_true(job.progress.interval_s == 0.5 && job.log_level == EXA_LOG_TRACE);
    exa_job_destroy(&job);
}

static void round_trip(void **state) {
    const char *texts[] = {full, "{" REQUIRED "}",
                           "{" REQUIRED ", \"seeds\": {\"policy\": \"list\", \"file\": \"s.txt\"}}",
                           "{\"volume\": \"a \\\"b\\\\ \\u00e9\\n\", \"weights\": \"w\", \"output\": \"o\","
                           "\"inference\": {\"move_threshold\": 0.1234567890123456789}}"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        exa_job job, again;
        char *first = NULL, *second = NULL, *differences = NULL;
        assert_ok(parse(texts[i], &job));
        assert_ok(exa_job_write_json(&job, &first));
        assert_ok(exa_job_parse(first, strlen(first), "again", "/elsewhere", &again));
        assert_ok(exa_job_write_json(&again, &second));
        assert_string_equal(first, second);
        assert_ok(exa_job_differences(&job, &again, false, &differences));
        assert_string_equal(differences, "");
        assert_true(job.inference.move_threshold.value == again.inference.move_threshold.value);
        free(first);
        free(second);
        free(differences);
        exa_job_destroy(&job);
        exa_job_destroy(&again);
    }
}

static void defaults_are_a_job(void **state) {
    exa_job job, again;
    char *text = NULL;

    (void)state;
    assert_ok(exa_job_defaults(&job));
    assert_ok(exa_job_write_json(&job, &text));
    for (size_t i = 0; i < exa_job_key_count; i++) {
        char quoted[80];
        snprintf(quoted, sizeof quoted, "\"%s\": ", exa_job_key_name(&exa_job_keys[i]));
        assert_non_null(strstr(text, quoted));
    }
    assert_ok(exa_job_parse(text, strlen(text), "d", NULL, &again));
    assert_string_equal(again.volume, "volume.h5:/raw");
    free(text);
    exa_job_destroy(&job);
    exa_job_destroy(&again);
}

static void differences(void **state) {
    exa_job a, b;
    char *text = NULL;

    (void)state;
    assert_ok(parse("{" REQUIRED ", \"compute\": {\"threads\": 1}}", &a));
    assert_ok(parse("{" REQUIRED ", \"compute\": {\"threads\": 2}, \"inference\": {\"move_threshold\": 0.8}}", &b));
    assert_ok(exa_job_differences(&a, &b, true, &text));
    assert_string_equal(text, "  inference.move_threshold: null there, 0.8 here\n");
    free(text);
    assert_ok(exa_job_differences(&a, &b, false, &text));
    assert_non_null(strstr(text, "compute.threads: 1 there, 2 here\n"));
    free(text);
    exa_job_destroy(&a);
    exa_job_destroy(&b);
}

/* ---- refusals ----------------------------------------------------------------------------------- */

typedef struct refusal {
    const char *text; /* what follows the required keys */
    exa_status status;
    const char *path, *message;
} refusal;

static const refusal refusals[] = {
    {"\"volum\": 1", EXA_ERR_CONFIG, "volum", "did you mean 'volume'"},
    {"\"seeds\": {\"polcy\": \"max\"}", EXA_ERR_CONFIG, "seeds.polcy", "did you mean 'seeds.policy'"},
    {"\"threads\": 4", EXA_ERR_CONFIG, "threads", "did you mean 'compute.threads'"},
    {"\"Box\": {}", EXA_ERR_CONFIG, "Box", "did you mean 'box'"},
    {"\"xyzzy\": 4", EXA_ERR_CONFIG, "xyzzy", "config --defaults"},
    {"\"box.start\": [0, 0, 0]", EXA_ERR_CONFIG, "box.start", "there is no key"},
    {"\"compute\": {\"xyzzy\": 4}", EXA_ERR_CONFIG, "compute.xyzzy", "there is no key"},
    {"\"//\": \"comment\"", EXA_ERR_CONFIG, "//", "there is no key"},
    {"\"comment\": \"text\"", EXA_ERR_CONFIG, "comment", "there is no key"},
    {"\"compute\": 4", EXA_ERR_CONFIG, "compute", "must be a section"},
    {"\"compute\": null", EXA_ERR_CONFIG, "compute", "must be a section"},
    {"\"compute\": []", EXA_ERR_CONFIG, "compute", "must be a section"},
    {"\"$schema\": 4", EXA_ERR_CONFIG, "$schema", "must be a text"},
    {"\"compute\": {\"$schema\": \"x\"}", EXA_ERR_CONFIG, "compute.$schema", "there is no key"},
    {"\"compute\": {\"threads\": \"4\"}", EXA_ERR_CONFIG, "compute.threads", "must be an integer"},
    {"\"compute\": {\"threads\": 1.5}", EXA_ERR_CONFIG, "compute.threads", "without a fraction"},
    {"\"compute\": {\"threads\": -1}", EXA_ERR_RANGE, "compute.threads", "at least 0 and at most 1024"},
    {"\"compute\": {\"threads\": 4097}", EXA_ERR_RANGE, "compute.threads", "out of range"},
    {"\"compute\": {\"threads\": 1e999}", EXA_ERR_RANGE, "compute.threads", "out of range"},
    {"\"compute\": {\"threads\": null}", EXA_ERR_CONFIG, "compute.threads", "must be an integer"},
    {"\"compute\": {\"threads\": true}", EXA_ERR_CONFIG, "compute.threads", "must be an integer"},
    {"\"compute\": {\"isa\": \"avx3\"}", EXA_ERR_CONFIG, "compute.isa", "did you mean \"avx2\""},
    {"\"compute\": {\"isa\": 2}", EXA_ERR_CONFIG, "compute.isa", "must be a name"},
    {"\"compute\": {\"isa\": \"AVX2\"}", EXA_ERR_CONFIG, "compute.isa", "did you mean \"avx2\""},
    {"\"skip_zero_raw\": 1", EXA_ERR_CONFIG, "skip_zero_raw", "true or false"},
    {"\"skip_zero_raw\": \"true\"", EXA_ERR_CONFIG, "skip_zero_raw", "true or false"},
    {"\"initial_segmentation\": 5", EXA_ERR_CONFIG, "initial_segmentation", "text in double quotes or null"},
    {"\"initial_segmentation\": \"\"", EXA_ERR_CONFIG, "initial_segmentation", "empty"},
    {"\"box\": {\"shape\": [1, 2]}", EXA_ERR_CONFIG, "box.shape", "three numbers"},
    {"\"box\": {\"shape\": [1, 2, 3, 4]}", EXA_ERR_CONFIG, "box.shape", "three numbers"},
    {"\"box\": {\"shape\": 5}", EXA_ERR_CONFIG, "box.shape", "three numbers"},
    {"\"box\": {\"shape\": [1, 2, -3]}", EXA_ERR_RANGE, "box.shape[2]", "at least 1"},
    {"\"box\": {\"shape\": [0, 2, 3]}", EXA_ERR_RANGE, "box.shape[0]", "at least 1"},
    {"\"box\": {\"shape\": [1, \"2\", 3]}", EXA_ERR_CONFIG, "box.shape[1]", "an integer"},
    {"\"box\": {\"start\": [1, 2, 9007199254740992]}", EXA_ERR_RANGE, "box.start[2]", "9007199254740991"},
    {"\"box\": {\"start\": null}", EXA_ERR_CONFIG, "box.start", "three numbers"},
    {"\"voxel_size_nm\": [8, 8, 0]", EXA_ERR_RANGE, "voxel_size_nm[2]", "above 0"},
    {"\"voxel_size_nm\": 8", EXA_ERR_CONFIG, "voxel_size_nm", "three numbers"},
    {"\"inference\": {\"move_threshold\": 1}", EXA_ERR_RANGE, "inference.move_threshold", "below 1"},
    {"\"inference\": {\"move_threshold\": 0}", EXA_ERR_RANGE, "inference.move_threshold", "above 0"},
    {"\"inference\": {\"move_threshold\": \"0.9\"}", EXA_ERR_CONFIG, "inference.move_threshold", "number or null"},
    {"\"inference\": {\"image_stddev\": 0}", EXA_ERR_RANGE, "inference.image_stddev", "out of range"},
    {"\"inference\": {\"image_mean\": 1e31}", EXA_ERR_RANGE, "inference.image_mean", "out of range"},
    {"\"seeds\": {\"policy\": \"list\"}", EXA_ERR_CONFIG, "seeds.policy", "neither seeds.points nor seeds.file"},
    {"\"seeds\": {\"points\": [[1, 2, 3]]}", EXA_ERR_CONFIG, "seeds.points", "is not list"},
    {"\"seeds\": {\"policy\": \"max\", \"file\": \"s\"}", EXA_ERR_CONFIG, "seeds.file", "is not list"},
    {"\"seeds\": {\"policy\": \"list\", \"file\": \"s\", \"points\": [[1, 2, 3]]}", EXA_ERR_CONFIG, "seeds.points",
     "both given"},
    {"\"seeds\": {\"policy\": \"list\", \"points\": []}", EXA_ERR_CONFIG, "seeds.points", "list of points"},
    {"\"seeds\": {\"policy\": \"list\", \"points\": [[1, 2, 3], [1, 2]]}", EXA_ERR_CONFIG, "seeds.points[1]",
     "three"},
    {"\"seeds\": {\"policy\": \"list\", \"points\": [[1, 2, 3.5]]}", EXA_ERR_CONFIG, "seeds.points[0][2]",
     "integer"},
    {"\"seeds\": {\"policy\": \"list\", \"points\": [[1, 2, -3]]}", EXA_ERR_RANGE, "seeds.points[0][2]", "range"},
    {"\"seeds\": {\"offsets\": []}", EXA_ERR_CONFIG, "seeds.offsets", "list of integers"},
    {"\"seeds\": {\"step\": [16, 0, 16]}", EXA_ERR_RANGE, "seeds.step[1]", "at least 1"},
    {"\"log_level\": \"inof\"", EXA_ERR_CONFIG, "log_level", "did you mean \"info\""},
    {"\"log_level\": \"info\", \"log_level\": \"info\"", EXA_ERR_CONFIG, "log_level", "twice"},
    {"\"box\": {\"start\": [0, 0, 0], \"start\": [0, 0, 0]}", EXA_ERR_CONFIG, "box.start", "twice"},
};

static void refuses(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        const refusal *r = &refusals[i];
        exa_job job, untouched;
        char text[512];
        memset(&job, 0x5A, sizeof job);
        untouched = job;
        snprintf(text, sizeof text, "{" REQUIRED ", %s}", r->text);
        assert_fails(r->status, r->message, parse(text, &job));
        assert_memory_equal(&job, &untouched, sizeof job);
        if (!strstr(exa_error_last()->message, r->path)) fail_msg("no path: %s", exa_error_last()->message);
        if (!strstr(exa_error_last()->message, "Hint: ")) fail_msg("no hint: %s", exa_error_last()->message);
        if (!strstr(exa_error_last()->message, "'job.json'")) fail_msg("no file: %s", exa_error_last()->message);
    }
}

static void refuses_the_whole(void **state) {
    exa_job job;

    (void)state;
    assert_fails(EXA_ERR_CONFIG, "'volume' is missing", parse("{}", &job));
    assert_fails(EXA_ERR_CONFIG, "'weights' is missing", parse("{\"volume\": \"v\"}", &job));
    assert_fails(EXA_ERR_CONFIG, "'output' is missing", parse("{\"volume\": \"v\", \"weights\": \"w\"}", &job));
    assert_fails(EXA_ERR_CONFIG, "must be one { ... }", parse("[]", &job));
    assert_fails(EXA_ERR_CONFIG, "line 1, column 2", parse("{x", &job));
    assert_fails(EXA_ERR_CONFIG, "more text", parse("{" REQUIRED "} x", &job));
    assert_fails(EXA_ERR_CONFIG, "volume must be a text", parse("{\"volume\": null}", &job));
    assert_fails(EXA_ERR_RANGE, "too long", exa_job_parse("{}", EXA_JOB_MAX_BYTES + 1, "big", NULL, &job));
}

static void long_texts(void **state) {
    static char text[EXA_JOB_MAX_TEXT * 2 + 100], name[EXA_JOB_MAX_TEXT * 2 + 3] = "/";
    exa_job job;

    (void)state;
    for (int i = 1; i < EXA_JOB_MAX_TEXT; i++)
        memcpy(name + 2 * i - 1, "\xC3\xA9", 3); /* characters count, not bytes */
    snprintf(text, sizeof text, "{\"volume\": \"%s\", \"weights\": \"w\", \"output\": \"o\"}", name);
    assert_ok(parse(text, &job));
    exa_job_destroy(&job);
    snprintf(text, sizeof text, "{\"volume\": \"%sx\", \"weights\": \"w\", \"output\": \"o\"}", name);
    assert_fails(EXA_ERR_RANGE, "volume has 4096 characters", parse(text, &job));
    snprintf(text, sizeof text, "{\"volume\": \"%s\", \"weights\": \"w\", \"output\": \"o\"}", name + 1);
    assert_fails(EXA_ERR_RANGE, "volume is too long below", parse(text, &job));
}

/* ---- files -------------------------------------------------------------------------------------- */

static void paths(void **state) {
    static const struct {
        const char *volume, *resolved;
    } cases[] = {{"a.h5:/raw", "/base/a.h5:/raw"},
                 {"/a.h5:/raw", "/a.h5:/raw"},
                 {"./a.h5:/raw", "/base/a.h5:/raw"},
                 {"../a.h5", "/base/../a.h5"},
                 {".", "/base/."},
                 {"phantom:seed=1", "phantom:seed=1"},
                 {"precomputed://x/y", "precomputed://x/y"},
                 {"http://a/b", "http://a/b"},
                 {"sub/a:b", "/base/sub/a:b"}};
    char text[256];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        exa_job job;
        snprintf(text, sizeof text, "{\"volume\": \"%s\", \"weights\": \"phantom:w\", \"output\": \"/o\"}",
                 cases[i].volume);
        assert_ok(parse(text, &job));
        assert_string_equal(job.volume, cases[i].resolved);
        assert_string_equal(job.weights, "/base/phantom:w"); /* schemes are for volumes */
        assert_string_equal(job.output, "/o");
        exa_job_destroy(&job);
    }
}

static void reads_files(void **state) {
    char *folder = test_make_folder(), path[4200], expected[4300], *real = realpath(folder, NULL);
    exa_job job;
    FILE *f;

    (void)state;
    snprintf(path, sizeof path, "%s/job.json", folder);
    f = fopen(path, "w");
    fputs("{" REQUIRED "}", f);
    fclose(f);
    assert_ok(exa_job_read(path, &job));
    snprintf(expected, sizeof expected, "%s/w.h5", real);
    assert_string_equal(job.weights, expected);
    exa_job_destroy(&job);
    assert_int_equal(chdir(folder), 0);
    assert_ok(exa_job_read("job.json", &job));
    assert_string_equal(job.weights, expected);
    exa_job_destroy(&job);
    assert_fails(EXA_ERR_IO, "missing.json", exa_job_read("missing.json", &job));
    assert_int_not_equal(exa_job_read(".", &job), EXA_OK);
    assert_int_equal(chdir("/"), 0);
    free(real);
    test_remove_folder(folder);
}

static void points(void **state) {
    static const char *const good[] = {"1 2 3\n4 5 6\n", "# seeds\n\n 1,2,3 # one\r\n4, 5 ,6",
                                       "[[1, 2, 3],\n [4, 5, 6]]", "\n\t[[1,2,3],[4,5,6]]\n", "1\t2\t3\n4e0 5.0 6"};
    static const struct {
        const char *text, *message;
    } bad[] = {{"", "no seeds"},
               {"# nothing\n", "no seeds"},
               {"[]", "no seeds"},
               {"1 2\n", "line 1: not three"},
               {"1 2 3\n1 2 3 4\n", "line 2: more than three"},
               {"1 2 x", "line 1: not three"},
               {"1 2 -3", "line 1: -3"},
               {"1 2 3.5", "3.5 is no voxel"},
               {"1 2 nan", "no voxel"},
               {"[[1, 2]]", "point 1: not three"},
               {"[[1, 2, 3], 4]", "point 2: not three"},
               {"[[1, 2, \"3\"]]", "point 1: "},
               {"[[1, 2, 3]", "ends too early"},
               {"1 2 9007199254740992", "no voxel"},
               {"{\"points\": []}", "not three"}};
    int64_t(*list)[3];
    size_t count;

    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        assert_ok(exa_job_parse_points(good[i], strlen(good[i]), "seeds.txt", &list, &count));
        assert_int_equal(count, 2);
        assert_true(list[0][0] == 1 && list[0][2] == 3 && list[1][0] == 4 && list[1][1] == 5 && list[1][2] == 6);
        free(list);
    }
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_fails(EXA_ERR_FORMAT, bad[i].message,
                     exa_job_parse_points(bad[i].text, strlen(bad[i].text), "seeds.txt", &list, &count));
        assert_non_null(strstr(exa_error_last()->message, "Hint: "));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_sound), cmocka_unit_test(defaults),           cmocka_unit_test(every_key),
        cmocka_unit_test(round_trip),     cmocka_unit_test(defaults_are_a_job), cmocka_unit_test(differences),
        cmocka_unit_test(refuses),        cmocka_unit_test(refuses_the_whole),  cmocka_unit_test(long_texts),
        cmocka_unit_test(paths),          cmocka_unit_test(reads_files),        cmocka_unit_test(points)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
