/* libFuzzer harness of the google/ffn request reader (text proto and its JSON): the input is the text. */
#include "exaconn/ffn_import.h"
#include "exaconn/log.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    exa_ffn_settings settings = {.given = 0};
    int depth = 0;
    char *text = malloc(size + 1);

    memcpy(text, data, size);
    text[size] = '\0';
    exa_log_set_level(EXA_LOG_ERROR);
    exa_status st = exa_ffn_request_parse(text, "fuzz", &settings, &depth);
    assert(st == EXA_OK || (st != EXA_ERR_INTERNAL && st != EXA_ERR_MEMORY && settings.given == 0));
    assert(depth >= 0 && depth <= EXA_FFN_MAX_DEPTH);
    free(text);
    return 0;
}
