/* What is written from the table: the effective job, the JSON Schema, the tables of docs/job.md. */
#include "job_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the effective job -------------------------------------------------------------------------- */

static void write_keys(const exa_job *job, const exa_job_section *section, const char *indent,
                       exa_json_text *text) {
    const char *separator = "";

    for (size_t i = 0; i < exa_job_key_count; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        if (!exa_job_key_in(key, section)) continue;
        exa_json_text_add(text, "%s\n%s\"%s\": ", separator, indent, exa_job_key_name(key));
        exa_job_write_value(job, key, text);
        separator = ",";
    }
}

exa_status exa_job_write_json(const exa_job *job, char **out) {
    exa_json_text text = {0};

    exa_json_text_add(&text, "{");
    write_keys(job, NULL, "  ", &text);
    for (size_t i = 0; i < exa_job_section_count; i++) {
        exa_json_text_add(&text, ",\n  \"%s\": {", exa_job_sections[i].name);
        write_keys(job, &exa_job_sections[i], "    ", &text);
        exa_json_text_add(&text, "\n  }");
    }
    exa_json_text_add(&text, "\n}\n");
    return exa_json_text_take(&text, out);
}

/* ---- two jobs ----------------------------------------------------------------------------------- */

static exa_status value_text(const exa_job *job, const exa_job_key *key, char **out) {
    exa_json_text text = {0};

    exa_job_write_value(job, key, &text);
    return exa_json_text_take(&text, out);
}

exa_status exa_job_differences(const exa_job *there, const exa_job *here, bool result_only, char **out) {
    exa_json_text text = {0};
    exa_status st = EXA_OK;

    exa_json_text_add(&text, "%s", "");
    for (size_t i = 0; i < exa_job_key_count && st == EXA_OK; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        char *a = NULL, *b = NULL;
        if (result_only && (key->flags & EXA_JOB_FREE)) continue;
        st = value_text(there, key, &a);
        if (st == EXA_OK) st = value_text(here, key, &b);
        if (st == EXA_OK && strcmp(a, b) != 0) {
            exa_json_text_add(&text, "  %s: %.100s there, %.100s here\n", key->path, a, b);
        }
        free(a);
        free(b);
    }
    if (st == EXA_OK) return exa_json_text_take(&text, out);
    free(text.data);
    return st;
}

exa_status exa_job_describe(const exa_job *job, char **out) {
    exa_json_text text = {0};

    exa_json_text_add(&text, "%s", "");
    for (size_t i = 0; i < exa_job_key_count; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        char *value;
        if (key->flags & (EXA_JOB_FREE | EXA_JOB_LATE)) continue;
        exa_status st = value_text(job, key, &value);
        if (st != EXA_OK) {
            free(text.data);
            return st;
        }
        exa_json_text_add(&text, "%s: ", key->path);
        exa_json_text_add(&text, "%s\n", value);
        free(value);
    }
    return exa_json_text_take(&text, out);
}

/* ---- JSON Schema, draft 2020-12 ----------------------------------------------------------------- */

static void add_limits(const exa_job_key *key, exa_json_text *text) {
    exa_json_text_add(text, ", \"%s\": ", key->flags & EXA_JOB_ABOVE_MINIMUM ? "exclusiveMinimum" : "minimum");
    exa_json_text_add_real(text, key->minimum);
    exa_json_text_add(text, ", \"%s\": ", key->flags & EXA_JOB_BELOW_MAXIMUM ? "exclusiveMaximum" : "maximum");
    exa_json_text_add_real(text, key->maximum);
}

static void add_number(const exa_job_key *key, bool integer, exa_json_text *text) {
    exa_json_text_add(text, "{\"type\": \"%s\"", integer ? "integer" : "number");
    add_limits(key, text);
    exa_json_text_add(text, "}");
}

static void add_items(const exa_job_key *key, bool integer, exa_json_text *text) {
    exa_json_text_add(text, "\"minItems\": 3, \"maxItems\": 3, \"items\": ");
    add_number(key, integer, text);
}

/* The keywords after "type". */
static void add_constraints(const exa_job_key *key, exa_json_text *text) {
    switch (key->kind) {
    case EXA_JOB_FILE:
    case EXA_JOB_VOLUME: exa_json_text_add(text, ", \"minLength\": 1, \"maxLength\": %d", EXA_JOB_MAX_TEXT); break;
    case EXA_JOB_BOOL: break;
    case EXA_JOB_INTEGER:
    case EXA_JOB_REAL: add_limits(key, text); break;
    case EXA_JOB_NAME:
        exa_json_text_add(text, ", \"enum\": [");
        for (size_t i = 0; key->names[i]; i++) exa_json_text_add(text, "%s\"%s\"", i ? ", " : "", key->names[i]);
        exa_json_text_add(text, "]");
        break;
    case EXA_JOB_TRIPLE:
    case EXA_JOB_REALS3:
        exa_json_text_add(text, ", ");
        add_items(key, key->kind == EXA_JOB_TRIPLE, text);
        break;
    case EXA_JOB_INTEGERS:
        exa_json_text_add(text, ", \"minItems\": 1, \"maxItems\": %d, \"items\": ", EXA_JOB_MAX_INTEGERS);
        add_number(key, true, text);
        break;
    case EXA_JOB_POINTS:
        exa_json_text_add(text, ", \"minItems\": 1, \"maxItems\": %d, \"items\": {\"type\": \"array\", ",
                          EXA_JOB_MAX_POINTS);
        add_items(key, true, text);
        exa_json_text_add(text, "}");
        break;
    }
}

static const char *schema_type(exa_job_kind kind) {
    switch (kind) {
    case EXA_JOB_FILE:
    case EXA_JOB_VOLUME:
    case EXA_JOB_NAME: return "string";
    case EXA_JOB_BOOL: return "boolean";
    case EXA_JOB_INTEGER: return "integer";
    case EXA_JOB_REAL: return "number";
    case EXA_JOB_TRIPLE:
    case EXA_JOB_REALS3:
    case EXA_JOB_INTEGERS:
    case EXA_JOB_POINTS: return "array";
    }
    return "";
}

static void add_key_schema(const exa_job_key *key, const char *indent, exa_json_text *text) {
    const char *type = schema_type(key->kind);

    exa_json_text_add(text, "%s\"%s\": {\n%s  \"description\": ", indent, exa_job_key_name(key), indent);
    exa_json_text_add_string(text, key->doc);
    if (key->flags & EXA_JOB_NULLABLE) {
        exa_json_text_add(text, ",\n%s  \"type\": [\"%s\", \"null\"]", indent, type);
    } else {
        exa_json_text_add(text, ",\n%s  \"type\": \"%s\"", indent, type);
    }
    add_constraints(key, text);
    if (!(key->flags & EXA_JOB_REQUIRED)) exa_json_text_add(text, ",\n%s  \"default\": %s", indent, key->standard);
    if ((key->flags & EXA_JOB_REQUIRED) || key->example) {
        exa_json_text_add(text, ",\n%s  \"examples\": [%s]", indent, key->example ? key->example : key->standard);
    }
    exa_json_text_add(text, "\n%s}", indent);
}

static void add_key_schemas(const exa_job_section *section, const char *indent, exa_json_text *text) {
    const char *separator = "";

    for (size_t i = 0; i < exa_job_key_count; i++) {
        if (!exa_job_key_in(&exa_job_keys[i], section)) continue;
        exa_json_text_add(text, "%s\n", separator);
        add_key_schema(&exa_job_keys[i], indent, text);
        separator = ",";
    }
}

/* The rules of job.c's check_rules. */
static const char seeds_rules[] =
    ",\n      \"if\": {\"required\": [\"policy\"], \"properties\": {\"policy\": {\"const\": \"list\"}}},\n"
    "      \"then\": {\n"
    "        \"oneOf\": [\n"
    "          {\"required\": [\"points\"], \"properties\": {\"points\": {\"type\": \"array\"}, \"file\": "
    "{\"type\": "
    "\"null\"}}},\n"
    "          {\"required\": [\"file\"], \"properties\": {\"file\": {\"type\": \"string\"}, \"points\": "
    "{\"type\": "
    "\"null\"}}}\n"
    "        ]\n"
    "      },\n"
    "      \"else\": {\"properties\": {\"points\": {\"type\": \"null\"}, \"file\": {\"type\": \"null\"}}}";

static void add_section_schema(const exa_job_section *section, exa_json_text *text) {
    exa_json_text_add(text, ",\n    \"%s\": {\n      \"description\": ", section->name);
    exa_json_text_add_string(text, section->doc);
    exa_json_text_add(text, ",\n      \"type\": \"object\",\n      \"additionalProperties\": false,\n"
                            "      \"properties\": {");
    add_key_schemas(section, "        ", text);
    exa_json_text_add(text, "\n      }");
    if (strcmp(section->name, "seeds") == 0) exa_json_text_add(text, "%s", seeds_rules);
    exa_json_text_add(text, "\n    }");
}

exa_status exa_job_schema(char **out) {
    exa_json_text text = {0};
    const char *separator = "";

    exa_json_text_add(&text, "{\n  \"$schema\": \"https://json-schema.org/draft/2020-12/schema\",\n"
                             "  \"title\": \"exaconn job\",\n"
                             "  \"description\": \"Made by `exaconn config --schema`; docs/job.md explains.\",\n"
                             "  \"type\": \"object\",\n  \"additionalProperties\": false,\n  \"required\": [");
    for (size_t i = 0; i < exa_job_key_count; i++) {
        if (!(exa_job_keys[i].flags & EXA_JOB_REQUIRED)) continue;
        exa_json_text_add(&text, "%s\"%s\"", separator, exa_job_keys[i].path);
        separator = ", ";
    }
    exa_json_text_add(&text, "],\n  \"properties\": {\n    \"$schema\": {\n"
                             "      \"description\": \"Where this schema is, for editors; ignored.\",\n"
                             "      \"type\": \"string\"\n    },");
    add_key_schemas(NULL, "    ", &text);
    for (size_t i = 0; i < exa_job_section_count; i++) add_section_schema(&exa_job_sections[i], &text);
    exa_json_text_add(&text, "\n  }\n}\n");
    return exa_json_text_take(&text, out);
}

/* ---- docs/job.md -------------------------------------------------------------------------------- */

static const char *kind_words(const exa_job_key *key) {
    switch (key->kind) {
    case EXA_JOB_FILE: return "path";
    case EXA_JOB_VOLUME: return "volume name";
    case EXA_JOB_NAME: return "name";
    case EXA_JOB_BOOL: return "true or false";
    case EXA_JOB_INTEGER: return "integer";
    case EXA_JOB_REAL: return "number";
    case EXA_JOB_TRIPLE: return "3 integers z, y, x";
    case EXA_JOB_REALS3: return "3 numbers z, y, x";
    case EXA_JOB_INTEGERS: return "list of integers";
    case EXA_JOB_POINTS: return "list of 3 integers z, y, x";
    }
    return "";
}

static void add_bound(double value, exa_json_text *text) {
    if (value == (double)EXA_JOB_MAX_INTEGER) {
        exa_json_text_add(text, "2^53 - 1");
    } else {
        exa_json_text_add_real(text, value);
    }
}

static void add_allowed(const exa_job_key *key, exa_json_text *text) {
    switch (key->kind) {
    case EXA_JOB_NAME:
        for (size_t i = 0; key->names[i]; i++) exa_json_text_add(text, "%s`%s`", i ? ", " : "", key->names[i]);
        break;
    case EXA_JOB_BOOL: break;
    case EXA_JOB_FILE:
    case EXA_JOB_VOLUME: exa_json_text_add(text, "1 to %d characters", EXA_JOB_MAX_TEXT); break;
    default:
        exa_json_text_add(text, key->flags & EXA_JOB_ABOVE_MINIMUM ? "above " : "");
        add_bound(key->minimum, text);
        exa_json_text_add(text, key->flags & EXA_JOB_BELOW_MAXIMUM ? ", below " : " to ");
        add_bound(key->maximum, text);
    }
    if (key->flags & EXA_JOB_NULLABLE) exa_json_text_add(text, ", or `null`");
}

static void add_table(const exa_job_section *section, exa_json_text *text) {
    exa_json_text_add(text, "| Key | Type | Unit | Default | Allowed | Result | Since | Meaning |\n"
                            "| --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < exa_job_key_count; i++) {
        const exa_job_key *key = &exa_job_keys[i];
        if (!exa_job_key_in(key, section)) continue;
        exa_json_text_add(text, "| `%s` | %s | %s | ", key->path, kind_words(key), key->unit ? key->unit : "");
        if (key->flags & EXA_JOB_REQUIRED) {
            exa_json_text_add(text, "required");
        } else {
            exa_json_text_add(text, "`%s`", key->standard);
        }
        exa_json_text_add(text, " | ");
        add_allowed(key, text);
        exa_json_text_add(text, " | %s | %s | %s", key->flags & EXA_JOB_FREE ? "no" : "yes", key->since, key->doc);
        if (key->example || (key->flags & EXA_JOB_REQUIRED)) {
            exa_json_text_add(text, " Example: `%s`.", key->example ? key->example : key->standard);
        }
        exa_json_text_add(text, " |\n");
    }
}

exa_status exa_job_markdown(char **out) {
    exa_json_text text = {0};

    exa_json_text_add(&text, "### Top level\n\n");
    add_table(NULL, &text);
    for (size_t i = 0; i < exa_job_section_count; i++) {
        exa_json_text_add(&text, "\n### %s\n\n%s\n\n", exa_job_sections[i].name, exa_job_sections[i].doc);
        add_table(&exa_job_sections[i], &text);
    }
    return exa_json_text_take(&text, out);
}
