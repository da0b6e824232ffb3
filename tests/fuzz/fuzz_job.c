/* libFuzzer harness of the job parser and the seeds files' parser.
 *
 * The input is a job as it stands, so configs/ serves as seeds; after a first byte 'P' it is a file of seeds. What
 * is accepted must survive the way to text and back unchanged; what is refused must say why and what to do. Use
 * with -dict=tests/fuzz/job.dict.
 */
#include "exaconn/job.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Nothing but the text can be wrong here, and the message has a hint. */
static void check_refusal(exa_status st) {
    const exa_error *error = exa_error_last();

    assert(st == EXA_ERR_CONFIG || st == EXA_ERR_RANGE || st == EXA_ERR_FORMAT);
    assert(error->status == st && strstr(error->message, "'fuzz'") && strstr(error->message, "Hint: "));
}

static void fuzz_points(const char *text, size_t size) {
    int64_t(*points)[3] = NULL;
    size_t count = 0;
    exa_status st = exa_job_parse_points(text, size, "fuzz", &points, &count);

    if (st != EXA_OK) {
        check_refusal(st);
        assert(!points && !count);
        return;
    }
    assert(count > 0);
    for (size_t i = 0; i < count; i++) {
        for (int axis = 0; axis < 3; axis++) assert(points[i][axis] >= 0 && points[i][axis] < (int64_t)1 << 53);
    }
    free(points);
}

static void fuzz_job(const char *text, size_t size) {
    exa_job job, again;
    char *first = NULL, *second = NULL, *differences = NULL;
    exa_status st = exa_job_parse(text, size, "fuzz", "/base", &job);

    if (st != EXA_OK) {
        check_refusal(st);
        return;
    }
    assert(job.volume && job.weights && job.output);
    st = exa_job_write_json(&job, &first);
    assert(st == EXA_OK);
    st = exa_job_parse(first, strlen(first), "again", "/elsewhere", &again);
    assert(st == EXA_OK);
    st = exa_job_write_json(&again, &second);
    assert(st == EXA_OK && strcmp(first, second) == 0);
    st = exa_job_differences(&job, &again, false, &differences);
    assert(st == EXA_OK && !*differences);
    exa_job_destroy(&again);
    exa_job_destroy(&job);
    free(first);
    free(second);
    free(differences);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const char *text = (const char *)data;

    if (size && text[0] == 'P') {
        fuzz_points(text + 1, size - 1);
    } else {
        fuzz_job(text, size);
    }
    return 0;
}
