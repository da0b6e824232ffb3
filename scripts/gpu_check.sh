#!/usr/bin/env bash
# Proves and measures the GPU path: one command on a machine with an NVIDIA GPU, or two where the GPU machine is bare.
#   scripts/gpu_check.sh                       builds, bundles, runs everything here; figures go to bench/results/
#   scripts/gpu_check.sh --bundle DIR          only builds and gathers program, tests, benches, their libraries and the data
#                                              into DIR, and DIR.tar.gz of it (below 60 MiB); needs nvcc, but no GPU
#   gpu_check.sh --run DIR [--out FOLDER]      only runs DIR (or DIR.tar.gz, which it unpacks), on a machine that has a
#                                              driver (branch 580 or later, if built with CUDA 13) and nothing else of
#                                              ours; DIR holds a copy of this script
# Options:
#   --build FOLDER   where to build (build/gpu)
#   --no-data        leaves the FIB-25 sample out of the bundle: no figures of the whole sample
#   --seconds N      tests, sample and benches take no longer (480): what is not done by then is "no_time"
#   --sanitizer-seconds N   the same for the sanitizer runs, which come after them (240)
#   --only LIST      of "tests sanitizer benches sample", comma-separated
# Exit code: 0 all was run and passed; 1 something failed (the JSON says what); 3 nothing failed, but not all was run;
# 77 there is no GPU; 2 wrong usage.
# The JSON holds machine, tests, sanitizer runs, benches and the sample; docs/gpu.md explains it.
set -u
mode=both folder= out= build= data_wanted=1 budget=480 sanitizer_budget=240 only=tests,sanitizer,benches,sample
usage() { sed -n '2,17s/^# \{0,1\}//p' "$0"; }
fail() { echo "gpu_check.sh: $*" >&2; exit 2; }
while [ $# -gt 0 ]; do
    case "$1" in
        --bundle) mode=bundle folder=${2:?--bundle needs a folder}; shift 2 ;;
        --run) mode=run folder=${2:?--run needs a folder}; shift 2 ;;
        --out) out=${2:?--out needs a folder}; shift 2 ;;
        --build) build=${2:?--build needs a folder}; shift 2 ;;
        --seconds) budget=${2:?--seconds needs a number}; shift 2 ;;
        --sanitizer-seconds) sanitizer_budget=${2:?--sanitizer-seconds needs a number}; shift 2 ;;
        --only) only=${2:?--only needs a list}; shift 2 ;;
        --no-data) data_wanted=0; shift ;;
        -h|--help) usage; exit 0 ;;
        *) usage >&2; fail "unknown option '$1'" ;;
    esac
done
self=$(cd "$(dirname "$0")" && pwd)
source=$(cd "$self/.." && pwd)

# ---- build and bundle ------------------------------------------------------------------------------------------

# What is taken along; a bench or test that this build does not have is left out, and test_gpu_canvas_device, which does
# nothing on a real GPU (compute-sanitizer calls a program without CUDA calls an error).
programs() {
    echo "$build/exaconn" "$build/tests/make_fixture"
    for f in "$build"/bench/bench_ffn "$build"/bench/bench_conv3d "$build"/bench/bench_gpu* "$build"/bench/bench_device*; do
        [ -f "$f" ] && [ -x "$f" ] && echo "$f"
    done
    for f in "$build"/tests/test_gpu_*; do
        [ "$(basename "$f")" != test_gpu_canvas_device ] || continue
        [ -f "$f" ] && [ -x "$f" ] && echo "$f"
    done
}

# The C library and its loader stay apart: they are used only where the machine's own is too old.
is_glibc() {
    case "$(basename "$1")" in
        ld-linux*|libc.so.*|libm.so.*|libpthread.so.*|libdl.so.*|librt.so.*|libresolv.so.*|libutil.so.*|libmvec.so.*) return 0 ;;
    esac
    return 1
}

make_build() {
    build=${build:-$source/build/gpu}
    command -v cmake >/dev/null || fail "no cmake. Hint: scripts/install_deps.sh --tests"
    echo "== build in $build"
    # An old-style rpath also holds for libraries that libraries need.
    cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DEXA_ENABLE_CUDA=ON \
        ${CMAKE_C_COMPILER_LAUNCHER:+-DCMAKE_C_COMPILER_LAUNCHER=$CMAKE_C_COMPILER_LAUNCHER} \
        -DCMAKE_EXE_LINKER_FLAGS='-Wl,--disable-new-dtags,-rpath,$ORIGIN/../lib' > "$build.log" 2>&1 ||
        { tail -n 20 "$build.log" >&2; fail "configuring failed"; }
    local targets
    targets="exaconn make_fixture bench_ffn bench_conv3d $(cmake --build "$build" --target help |
        sed -n 's/^\(test_gpu_[A-Za-z0-9_]*\): phony.*/\1/p' | tr '\n' ' ')"
    # shellcheck disable=SC2086
    cmake --build "$build" -j "$(nproc)" --target $targets >> "$build.log" 2>&1 ||
        { tail -n 30 "$build.log" >&2; fail "building failed"; }
}

# A wrapper that needs nothing but a shell: this folder's libraries, the machine's C library or, if that is too old, ours.
write_wrapper() {
    cat > "$1" <<'WRAPPER'
#!/bin/sh
here=${0%/*}
[ "$here" = "$0" ] && here=.
here=$(cd "$here" && pwd)
name=${0##*/}
if [ "${EXA_BUNDLE_GLIBC:-}" != own ] && "$here/bin/exaconn" --version >/dev/null 2>&1; then
    exec "$here/bin/$name" "$@"
fi
exec "$here/glibc/ld-linux-x86-64.so.2" --library-path "$here/glibc:$here/lib" "$here/bin/$name" "$@"
WRAPPER
    chmod +x "$1"
}

copy_libraries() {
    local lib
    for lib in $(ldd "$1" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/lib[^ ]*ld-linux[^ ]*\) .*/\1/p'); do
        if is_glibc "$lib"; then cp -Ln "$lib" "$2/glibc/"; else cp -Ln "$lib" "$2/lib/"; fi
    done
}

copy_data() {
    local from=${EXACONN_DATA_DIR:-$source/../shared/data} f
    mkdir -p "$1/data/ffn_fib25_tf"
    [ -d "$from" ] || { echo "gpu_check.sh: no data in $from: the sample is left out" >&2; return; }
    for f in ffn_golden_seg.h5 ffn_golden_steps.h5 ffn_fib25.h5 ffn_fib25_tf/model.ckpt-27465036.index \
             ffn_fib25_tf/model.ckpt-27465036.data-00000-of-00001; do
        [ -e "$from/$f" ] && cp -L "$from/$f" "$1/data/$f"
    done
    [ "$data_wanted" -eq 0 ] || [ ! -e "$from/fib25_sample2.h5" ] || cp -L "$from/fib25_sample2.h5" "$1/data/"
    chmod -R u+w "$1/data"
}

make_bundle() {
    local at=$1 p bytes
    [ ! -e "$at" ] || [ -e "$at/BUNDLE" ] || [ -z "$(ls -A "$at")" ] || fail "'$at' holds something else; name another folder"
    rm -rf "$at" && mkdir -p "$at/bin" "$at/lib" "$at/glibc" "$at/tests/gpu" "$at/configs" || exit 2
    for p in $(programs); do
        cp -L "$p" "$at/bin/" && strip "$at/bin/$(basename "$p")"
        copy_libraries "$p" "$at"
        write_wrapper "$at/$(basename "$p")"
    done
    cp "$source"/tests/test_lib.sh "$at/tests/" && cp "$source"/tests/gpu/*.sh "$at/tests/gpu/"
    cp "$source/configs/ffn_phantom.h5" "$at/configs/" && cp "$source/scripts/gpu_check.sh" "$at/"
    copy_data "$at"
    { "$at/exaconn" --version; git -C "$source" describe --always --dirty 2>/dev/null; date -u +%Y-%m-%dT%H:%M:%SZ; } > "$at/BUNDLE"
    tar -C "$(dirname "$at")" -czf "$at.tar.gz" "$(basename "$at")"
    bytes=$(du -sb "$at.tar.gz" | cut -f1)
    echo "== bundle in $at: $(du -sm "$at" | cut -f1) MiB, $(ls "$at/lib" | wc -l) libraries; $at.tar.gz: $((bytes / 1048576)) MiB"
    [ "$bytes" -lt $((60 * 1048576)) ] || echo "gpu_check.sh: the packed bundle has more than 60 MiB; --no-data makes it smaller" >&2
}

# ---- run -------------------------------------------------------------------------------------------------------

failed=0 ran=0 complete=1 began=$SECONDS
left() { echo $((budget - (SECONDS - began))); }
wants() { case ",$only," in *",$1,"*) return 0 ;; esac; return 1; }
quote() { printf '"%s"' "$(printf '%s' "$1" | sed 's/\\/\\\\/g; s/"/\\"/g; s/\t/ /g' | tr -d '\000-\037')"; }
truth() { if [ "$1" -ne 0 ]; then echo true; else echo false; fi; }
number() { case "$1" in ''|*[!0-9.eE+-]*) echo null ;; *) echo "$1" ;; esac; }
append() { eval "$1=\${$1:+\$$1, }\$2"; }

# timed NAME SECONDS COMMAND...: sets rc, took; the output goes to $out/NAME.log. Beyond the budget nothing is begun, and
# a step that the budget cuts off before its own limit did not fail: rc is no_time for both.
timed() {
    local name=$1 limit=$2 shortened=0 from; shift 2
    [ "$(left)" -gt 5 ] || { rc=no_time took=0; echo "-- $name: no time left"; return; }
    [ "$limit" -le "$(left)" ] || { limit=$(left) shortened=1; }
    from=$(date +%s%N)
    timeout -k 5 "$limit" "$@" > "$out/$name.log" 2>&1; rc=$?
    took=$(awk -v a="$from" -v b="$(date +%s%N)" 'BEGIN { printf "%.3f", (b - a) / 1e9 }')
    echo "-- $name: exit $rc in $took s"
    case "$shortened,$rc" in
        1,124|1,137) # not a program that ended so by itself
            awk -v took="$took" -v limit="$limit" 'BEGIN { exit !(took >= limit) }' &&
                { rc=no_time; echo "-- $name: cut off after $limit s, no time left"; } ;;
    esac
}

outcome() { case "$1" in 0) echo passed ;; 77) echo skipped ;; no_time) echo no_time ;; 124|137) echo timeout ;; *) echo failed ;; esac; }
judge() { # NAME: a JSON object of the last timed step; a failure is shown
    case "$(outcome "$rc")" in
        passed) ran=1 ;;
        failed|timeout) ran=1 failed=1; tail -n 15 "$out/$1.log" | sed 's/^/   /' ;;
        *) complete=0 ;;
    esac
    item="{\"name\": \"$1\", \"outcome\": \"$(outcome "$rc")\", \"seconds\": $took}"
}

run_tests() {
    local t name
    export EXACONN=$folder/exaconn EXACONN_FIXTURE=$folder/make_fixture EXACONN_SOURCE_DIR=$folder EXACONN_DATA_DIR=$folder/data
    for t in "$folder"/bin/test_*; do
        name=$(basename "$t")
        timed "$name" 180 "$folder/$name"; judge "$name"; append tests "$item"
    done
    for t in "$folder"/tests/gpu/test_*.sh; do
        name=$(basename "$t" .sh)
        timed "$name" 240 bash "$t"; judge "$name"; append tests "$item"
    done
}

# Each tool over each test program, in small.
run_sanitizer() {
    local tool t name sanitizer
    sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -n 1)
    began=$SECONDS budget=$sanitizer_budget # its own, whatever the rest took
    if [ -z "$sanitizer" ]; then
        complete=0
        echo "-- no compute-sanitizer on this machine (it comes with the CUDA toolkit): these runs are left out"
        append sanitizers '{"name": "compute-sanitizer", "outcome": "not_installed", "seconds": 0}'
        return
    fi
    export EXACONN_TEST_SMALL=1
    for tool in memcheck racecheck initcheck synccheck; do
        for t in "$folder"/bin/test_*; do
            name=$tool-$(basename "$t")
            timed "$name" 120 "$sanitizer" --tool "$tool" --error-exitcode 9 --launch-timeout 60 "$t"
            if grep -q 'Device not supported' "$out/$name.log" 2>/dev/null; then rc=77; fi
            judge "$name"; append sanitizers "$item"
        done
    done
    unset EXACONN_TEST_SMALL
}

# The benches' own JSON is taken over whole.
run_bench() { # NAME PROGRAM ARGUMENTS...
    local name=$1 program=$2; shift 2
    [ -x "$folder/bin/$program" ] || { echo "-- $name: not in this bundle"; complete=0; return; }
    rm -f "$out/$name.json"
    timed "$name" 120 "$folder/$program" "$@" --json "$out/$name.json"; judge "$name"
    if [ -s "$out/$name.json" ]; then append benches "\"$name\": $(cat "$out/$name.json")"; else append benches "\"$name\": $item"; fi
}

run_benches() {
    local batch precision
    for precision in fp32 tf32 fp16; do
        for batch in 1 8 64; do
            run_bench "ffn_${precision}_$batch" bench_ffn --random --backend cuda --precision "$precision" --batch "$batch" --no-peak
        done
    done
    run_bench conv3d_cuda bench_conv3d --backend cuda
}

score_of() { sed -n "s/.*\"$1\": *\([0-9.eE+-]*\).*/\1/p" "$2" | head -n 1; }

# score RUN REFERENCE NAME: $out/NAME.json tells how near the run's segmentation is; no such file if that failed.
score() {
    "$folder/exaconn" eval "$1/segmentation.h5:/segmentation" "$2" --ignore both --json > "$out/$3.json" 2>"$out/$3.log" && return
    rm -f "$out/$3.json"
    failed=1 scored=failed
    echo "-- $3: exaconn eval failed"; tail -n 5 "$out/$3.log" | sed 's/^/   /'
}

# The whole 250^3 sample by one canvas, and by chunks, in each precision: time, steps, scores to the ground truth and to
# fp32.
run_sample() {
    local precision kind name job run steps scored
    [ -e "$folder/data/fib25_sample2.h5" ] || { echo "-- the sample is not in this bundle"; complete=0; return; }
    "$folder/exaconn" -q import-ffn "$folder/data/ffn_fib25_tf/model.ckpt-27465036" -o "$out/ffn.h5" >/dev/null || { failed=1; return; }
    for kind in whole chunks; do
        for precision in fp32 tf32 fp16; do
            name=sample_${kind}_$precision job=$out/$name.job.json run=$out/$name
            rm -rf "$run"
            printf '{"volume": "%s:/raw", "weights": "%s", "output": "%s", "compute": {"backend": "cuda", "precision": "%s"%s}%s}\n' \
                "$folder/data/fib25_sample2.h5" "$out/ffn.h5" "$run" "$precision" \
                "$([ $kind = chunks ] && echo ', "canvases": 8')" \
                "$([ $kind = chunks ] && echo ', "chunks": {"shape": [125, 125, 125], "halo": [24, 24, 24]}')" > "$job"
            timed "$name" 150 "$folder/exaconn" run "$job"; judge "$name"
            if [ "$rc" = 0 ]; then
                scored=passed
                score "$run" "$folder/data/fib25_sample2.h5:/groundtruth" "$name.truth"
                [ ! -e "$out/sample_${kind}_fp32/segmentation.h5" ] ||
                    score "$run" "$out/sample_${kind}_fp32/segmentation.h5:/segmentation" "$name.fp32"
                item="$(printf '{"name": "%s", "outcome": "%s", "seconds": %s, "summary": %s, "to_truth": %s, "to_fp32": %s}' "$name" \
                    "$scored" "$took" "$(cat "$run/summary.json")" "$(object_of "$out/$name.truth.json")" "$(object_of "$out/$name.fp32.json")")"
                steps=$(score_of steps_per_s "$run/summary.json")
                echo "   $(number "$steps") steps/s, ARAND error to the truth $(number "$(score_of arand_error "$out/$name.truth.json")")"
            fi
            append samples "$item"
        done
    done
}
object_of() { if [ -s "$1" ]; then cat "$1"; else echo null; fi; }

run_bundle() {
    local devices gpu
    case "$folder" in
        *.tar.gz) tar -C "$(dirname "$folder")" -xzf "$folder" || fail "cannot unpack '$folder'"; folder=${folder%.tar.gz} ;;
    esac
    [ -x "$folder/exaconn" ] && [ -e "$folder/BUNDLE" ] || fail "'$folder' is no bundle. Hint: make one with --bundle"
    folder=$(cd "$folder" && pwd) out=${out:-$folder/results}
    mkdir -p "$out" && out=$(cd "$out" && pwd) || fail "cannot make '$out'"
    devices=$("$folder/exaconn" info --devices --json) || { echo "gpu_check.sh: the program does not run here" >&2; exit 1; }
    gpu=$(sed -n 's/.*"gpu_0": *"\([^",]*\).*/\1/p' <<<"$devices")
    if [ -z "$gpu" ]; then
        echo "gpu_check.sh: there is no GPU to check: $(sed -n 's/.*"no_gpu_because": *"\([^"]*\)".*/\1/p' <<<"$devices")" >&2
        exit 77
    fi
    echo "== $gpu"
    tests='' sanitizers='' benches='' samples=''
    wants tests && run_tests
    wants sample && run_sample
    wants benches && run_benches
    wants sanitizer && run_sanitizer
    [ "$ran" -eq 1 ] || complete=0
    file=$out/gpu_$(tr -cs 'A-Za-z0-9\n' _ <<<"$gpu" | tr 'A-Z' 'a-z')_$(date -u +%Y%m%dT%H%M%SZ).json
    {
        printf '{"bundle": %s,\n"date": "%s",\n"passed": %s,\n"complete": %s,\n"machine": %s,\n' "$(quote "$(tr '\n' ' ' < "$folder/BUNDLE")")" \
            "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$(truth $((ran && !failed)))" "$(truth $complete)" "$devices"
        printf '"nvidia_smi": %s,\n' "$(quote "$(nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,power.limit,mig.mode.current --format=csv,noheader 2>/dev/null)")"
        printf '"tests": [%s],\n"sanitizer": [%s],\n"benches": {%s},\n"sample": [%s]}\n' "$tests" "$sanitizers" "$benches" "$samples"
    } > "$file"
    echo "== figures: $file"
    [ "$complete" -eq 1 ] || echo "gpu_check.sh: not all was run (no_time, skipped or absent above)" >&2
    [ "$failed" -eq 0 ] || echo "gpu_check.sh: something failed; the logs are in $out" >&2
    code=0
    [ "$complete" -eq 1 ] || code=3
    [ "$failed" -eq 0 ] || code=1
}

case "$mode" in
    bundle) make_build; make_bundle "$folder" ;;
    run) run_bundle; exit "$code" ;;
    both)
        make_build
        folder=${build%/}/bundle
        make_bundle "$folder"
        out=${out:-$folder/results}
        run_bundle
        mkdir -p "$source/bench/results" && cp "$file" "$source/bench/results/" && echo "== and bench/results/$(basename "$file")"
        exit "$code" ;;
esac
