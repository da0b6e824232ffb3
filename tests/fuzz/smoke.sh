#!/usr/bin/env bash
# Runs every fuzz harness for a moment:  tests/fuzz/smoke.sh [SECONDS]     (default 8 each)
# A finding stops it with the input that made it, under build/fuzz/findings/. Skips aloud without clang's libFuzzer.
set -euo pipefail
cd "$(dirname "$0")/../.."
seconds=${1:-8}
if ! echo 'int LLVMFuzzerTestOneInput(const char *d, unsigned long n) { (void)d; (void)n; return 0; }' |
     clang -x c -fsanitize=fuzzer,address - -o /dev/null 2>/dev/null; then
    echo "SKIP: no clang with libFuzzer here (Debian: clang and libclang-rt-14-dev); nothing was fuzzed" >&2
    exit 0
fi
cmake --preset fuzz >/dev/null
cmake --build --preset fuzz -j "$(nproc)"
work=$PWD/build/fuzz
mkdir -p "$work/findings" "$work/seeds"
python=${EXACONN_PYTHON:-python3}
"$python" tests/fuzz/make_seeds.py "$work/seeds" 2>/dev/null || echo "smoke.sh: no seed inputs (no numpy); from nothing" >&2
for harness in "$work"/tests/fuzz/fuzz_*; do
    [ -x "$harness" ] && [ ! -d "$harness" ] || continue
    name=$(basename "$harness")
    mkdir -p "$work/corpus/$name"
    seeds=("$work/corpus/$name")
    for folder in "$work/seeds/$name" "$work/seeds/${name#fuzz_}"; do
        if [ -d "$folder" ]; then seeds+=("$folder"); fi
    done
    if [ "$name" = fuzz_job ]; then
        mkdir -p "$work/seeds/configs" && cp configs/*.json "$work/seeds/configs" && seeds+=("$work/seeds/configs")
    fi
    dictionary=tests/fuzz/${name#fuzz_}.dict
    echo "== $name, $seconds s"
    if ! "$harness" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0 \
        ${dictionary:+$([ -e "$dictionary" ] && echo "-dict=$dictionary")} \
        -artifact_prefix="$work/findings/$name-" "${seeds[@]}" > "$work/$name.log" 2>&1; then
        tail -n 40 "$work/$name.log" >&2
        echo "$name: a finding; its input is in $work/findings" >&2
        exit 1
    fi
    grep -E 'stat::(number_of_executed|new_units)' "$work/$name.log" || true
done
