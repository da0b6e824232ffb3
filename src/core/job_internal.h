/* The table of the job's keys, shared by the parser (job.c), the values (job_value.c) and the documents. */
#ifndef EXA_JOB_INTERNAL_H
#define EXA_JOB_INTERNAL_H

#include "exaconn/job.h"
#include "exaconn/json.h"

struct cJSON;

typedef enum exa_job_kind {
    EXA_JOB_FILE,     /* char *; a path, resolved against the job's folder */
    EXA_JOB_VOLUME,   /* the same, unless it begins with a scheme ("precomputed://", "phantom:") */
    EXA_JOB_BOOL,     /* bool */
    EXA_JOB_INTEGER,  /* int64_t, or exa_job_integer if nullable */
    EXA_JOB_REAL,     /* double, or exa_job_real if nullable */
    EXA_JOB_NAME,     /* an enum, numbered as `names` are */
    EXA_JOB_TRIPLE,   /* int64_t[3], or exa_job_triple if nullable */
    EXA_JOB_REALS3,   /* exa_job_reals3 */
    EXA_JOB_INTEGERS, /* int64_t * and the size_t after it */
    EXA_JOB_POINTS    /* int64_t (*)[3] and the size_t after it */
} exa_job_kind;

enum {
    EXA_JOB_REQUIRED = 1,
    EXA_JOB_NULLABLE = 2,      /* null is a value, and the default */
    EXA_JOB_ABOVE_MINIMUM = 4, /* the minimum itself is not allowed */
    EXA_JOB_BELOW_MAXIMUM = 8, /* nor the maximum */
    EXA_JOB_FREE = 16,         /* never changes what a run makes */
    EXA_JOB_LATE = 32          /* decides only what is made of finished chunks */
};

#define EXA_JOB_MAX_INTEGER 9007199254740991 /* 2^53 - 1: exact in every JSON reader */
#define EXA_JOB_MAX_TEXT 4095                /* characters of a string; of a path also once it is absolute */
#define EXA_JOB_MAX_POINTS 1000000           /* in the job itself */
#define EXA_JOB_MAX_FILE_POINTS 10000000
#define EXA_JOB_MAX_INTEGERS 64

typedef struct exa_job_key {
    const char *path; /* "box.start" */
    exa_job_kind kind;
    unsigned flags;
    double minimum, maximum;  /* numbers, and each element of lists */
    const char *const *names; /* NAME: ended by NULL */
    size_t offset;            /* in exa_job */
    size_t count_offset;      /* INTEGERS, POINTS: of the size_t */
    const char *standard;     /* the default as JSON; of a required key an example */
    const char *example;      /* JSON, for hints and docs; NULL = the default is one */
    const char *unit;         /* NULL if it has none */
    const char *since;
    const char *doc; /* one sentence */
} exa_job_key;

typedef struct exa_job_section {
    const char *name; /* "box" */
    const char *doc;
} exa_job_section;

extern const exa_job_key exa_job_keys[];
extern const size_t exa_job_key_count;
extern const exa_job_section exa_job_sections[];
extern const size_t exa_job_section_count;

/* NULL if there is none of that path. */
const exa_job_key *exa_job_find_key(const char *path);
const exa_job_section *exa_job_find_section(const char *name);

/* The part after the dot, or all of it. */
const char *exa_job_key_name(const exa_job_key *key);

/* True if `key` lies in `section` (NULL: at the top level). */
bool exa_job_key_in(const exa_job_key *key, const exa_job_section *section);

/* Checks `item` against `key` and stores it in `job`; `origin` names the file in messages. */
exa_status exa_job_set_value(exa_job *job, const exa_job_key *key, const struct cJSON *item, const char *origin);

/* The value as JSON. */
void exa_job_write_value(const exa_job *job, const exa_job_key *key, exa_json_text *text);

/* Characters, not bytes. */
size_t exa_job_count_characters(const char *text);

/* Frees what the key owns in `job`. */
void exa_job_free_value(exa_job *job, const exa_job_key *key);

#endif
