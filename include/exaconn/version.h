/* What this build is made of and runs on. */
#ifndef EXACONN_VERSION_H
#define EXACONN_VERSION_H

#ifdef __cplusplus
extern "C" {
#endif

typedef struct exa_version { /* all strings are static; none is NULL */
    const char *version;     /* "0.1.0" */
    const char *commit;      /* "git describe", or "unknown" */
    const char *compiler;
    const char *build_type;
    const char *sanitizers; /* "" = none */
    const char *mpi;        /* of the libraries this process loaded */
    const char *hdf5;
    const char *zstd;
    const char *hwloc;
    const char *cjson;
    const char *crypto;
    const char *cuda; /* "off" if built without */
} exa_version;

/* Not thread safe the first time. */
const exa_version *exa_version_get(void);

/* "exaconn 0.1.0 (commit 1234567890ab, GNU 12.2.0, Release)"; static storage. */
const char *exa_version_line(void);

#ifdef __cplusplus
}
#endif
#endif
