/* Versions: ours from CMake, the libraries' asked of the libraries themselves. */
#include "exaconn/version.h"

#include "exa_build_info.h"

#include <cjson/cJSON.h>
#include <hdf5.h>
#include <hwloc.h>
#include <mpi.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <zstd.h>

static char mpi_text[MPI_MAX_LIBRARY_VERSION_STRING], hdf5_text[32], hwloc_text[32];

/* "Open MPI v4.1.4, package: ..." up to the first comma. */
static void ask_mpi(void) {
    int length = 0;

    if (MPI_Get_library_version(mpi_text, &length) != MPI_SUCCESS) snprintf(mpi_text, sizeof mpi_text, "unknown");
    mpi_text[strcspn(mpi_text, ",\n")] = 0;
}

static void ask_hdf5(void) {
    unsigned major = 0, minor = 0, release = 0;

    if (H5get_libversion(&major, &minor, &release) < 0) {
        snprintf(hdf5_text, sizeof hdf5_text, "unknown");
    } else {
        snprintf(hdf5_text, sizeof hdf5_text, "%u.%u.%u", major, minor, release);
    }
}

const exa_version *exa_version_get(void) {
    static exa_version info;
    unsigned api = hwloc_get_api_version();

    if (info.version) return &info;
    ask_mpi();
    ask_hdf5();
    snprintf(hwloc_text, sizeof hwloc_text, "%s (interface %u.%u)", HWLOC_VERSION, api >> 16, (api >> 8) & 0xFF);
    info = (exa_version){.version = EXA_VERSION,
                         .commit = EXA_GIT_COMMIT,
                         .compiler = EXA_COMPILER,
                         .build_type = EXA_BUILD_TYPE,
                         .sanitizers = EXA_SANITIZE,
                         .mpi = mpi_text,
                         .hdf5 = hdf5_text,
                         .zstd = ZSTD_versionString(),
                         .hwloc = hwloc_text,
                         .cjson = cJSON_Version(),
                         .crypto = OpenSSL_version(OPENSSL_VERSION),
                         .cuda = EXA_CUDA_VERSION};
    return &info;
}

const char *exa_version_line(void) {
    return "exaconn " EXA_VERSION " (commit " EXA_GIT_COMMIT ", " EXA_COMPILER ", " EXA_BUILD_TYPE ")";
}
