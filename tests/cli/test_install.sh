#!/usr/bin/env bash
# cmake --install, the man page and the completion in it, and a project of its own that uses find_package(exaconn).
source "$(dirname "$0")/../test_lib.sh"

prefix=$work/prefix
# shellcheck disable=SC2153  # set by ctest
cmake --install "$EXACONN_BUILD_DIR" --prefix "$prefix" > "$work/install.log" 2>&1 || {
    tail -n 20 "$work/install.log"
    echo "FAIL: cmake --install"
    exit 1
}
has() { [ -n "$(find "$prefix" -path "*$1" -print -quit)" ]; }
for file in bin/exaconn bin/exaconn-supervise man1/exaconn.1 completions/exaconn configs/job.schema.json configs/ffn_phantom.h5 include/exaconn/job.h \
            cmake/exaconn/exaconnConfig.cmake libexa_core.a; do
    check "$file is installed" has "$file"
done
check "no build path in the exported package" \
    bash -c "! grep -rn -F -e '$EXACONN_BUILD_DIR' -e '$EXACONN_SOURCE_DIR' '$prefix'/lib*/ --include=*.cmake"
expect 0 '^exaconn [0-9]' -- "$prefix/bin/exaconn" --version

mkdir "$work/consumer"
cat > "$work/consumer/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.24)
project(consumer LANGUAGES C)
find_package(exaconn 0.1 REQUIRED)
add_executable(consumer consumer.c)
target_link_libraries(consumer PRIVATE exaconn::exaconn)
CMAKE
cat > "$work/consumer/consumer.c" <<'C'
#include <exaconn/ffn_model.h>
#include <exaconn/job.h>
#include <exaconn/version.h>
#include <exaconn/volume.h>
#include <stdio.h>

int main(void) {
    exa_job job;
    exa_volume *volume = NULL;

    if (exa_job_defaults(&job) != EXA_OK) return 1;
    if (exa_volume_open("missing.h5:/raw", &volume) == EXA_OK) return 2;
    printf("%s; weights %s; %s\n", exa_version_line(), job.weights, exa_error_last()->message);
    exa_job_destroy(&job);
    return 0;
}
C
if cmake -S "$work/consumer" -B "$work/consumer/build" -DCMAKE_PREFIX_PATH="$prefix" > "$work/consumer.log" 2>&1 &&
   cmake --build "$work/consumer/build" >> "$work/consumer.log" 2>&1; then
    echo "ok: the consumer builds"
    expect 0 'exaconn [0-9].*weights ffn.h5.*missing.h5' -- "$work/consumer/build/consumer"
else
    tail -n 30 "$work/consumer.log"
    echo "FAIL: the consumer does not build"
    failures=$((failures + 1))
fi
finish
