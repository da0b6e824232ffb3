#!/usr/bin/env bash
# scripts/gpu_check.sh --run on a bundle whose programs are stand-ins that pass, fail, sleep or skip: what is cut off or
# never begun for lack of time is no failure, and no success either.
source "$(dirname "$0")/../test_lib.sh"
mkdir -p "$work/tools"
printf '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\nexec "$1"\n' > "$work/tools/compute-sanitizer"
cat > "$work/program" <<'PROGRAM'
#!/bin/sh
case "$1" in
    info) if [ -n "${NO_GPU:-}" ]; then echo '{"no_gpu_because": "none is here"}'; else echo '{"gpu_0": "Stand-in GPU"}'; fi ;;
    run) to=$(sed -n 's/.*"output": "\([^"]*\)".*/\1/p' "$2"); mkdir -p "$to"; : > "$to/segmentation.h5"; echo '{"steps_per_s": 5}' > "$to/summary.json" ;;
    eval) [ -z "${FAIL_EVAL:-}" ] || { echo "error: no such file" >&2; exit 1; }; echo '{"arand_error": 0.5}' ;;
esac
PROGRAM
printf '#!/bin/sh\nwhile [ $# -gt 1 ]; do shift; done\necho "{\\"steps_per_s\\": 7}" > "$1"\n' > "$work/bench"
chmod +x "$work/tools/compute-sanitizer" "$work/program" "$work/bench"

# bundle NAME [TEST BODY]...: one test passes; each further one does what its body says.
bundle() {
    local at=$work/$1 name
    mkdir -p "$at/bin" "$at/tests/gpu" "$at/data"
    cp "$work/program" "$at/exaconn"; echo stand-in > "$at/BUNDLE"; : > "$at/data/fib25_sample2.h5"
    echo 'exit 0' > "$at/tests/gpu/test_script.sh"
    for name in bench_ffn bench_conv3d; do cp "$work/bench" "$at/bin/$name"; cp "$work/bench" "$at/$name"; done
    set -- "$1" test_a 'exit 0' "${@:2}"
    while [ $# -gt 1 ]; do
        printf '#!/bin/sh\n%s\n' "$3" > "$at/bin/$2"; chmod +x "$at/bin/$2"; cp "$at/bin/$2" "$at/$2"
        set -- "$1" "${@:4}"
    done
}
gpu_check() { env PATH="$work/tools:$PATH" bash "$EXACONN_SOURCE_DIR/scripts/gpu_check.sh" --run "$work/$1" "${@:2}"; }
# says NAME EXPRESSION: of r, the JSON's figures.
says() {
    check "$1: $2" python3 -c 'import json, sys
r = json.load(open(sys.argv[1]))
o = {t["name"]: t["outcome"] for t in r["tests"] + r["sanitizer"] + r["sample"]}
sys.exit(not eval(sys.argv[2]))' "$work/$1"/results/gpu_stand_in_gpu_*.json "$2"
}

# Half a second of test_slow is its whole limit: stand-ins for timeout and for the clock by which steps are timed.
export CLOCK=$work/clock
echo 0 > "$CLOCK"
cat > "$work/tools/timeout" <<TIMEOUT
#!/bin/sh
case "\$4" in */test_slow) ;; *) exec $(command -v timeout) "\$@" ;; esac
$(command -v timeout) 0.5 "\$4"; rc=\$?
[ \$rc -ne 124 ] || echo \$((\$(cat "\$CLOCK") + \$3)) > "\$CLOCK"
exit \$rc
TIMEOUT
cat > "$work/tools/date" <<DATE
#!/bin/sh
if [ "\$1" = +%s%N ]; then echo \$((\$($(command -v date) +%s%N) + \$(cat "\$CLOCK") * 1000000000)); else exec $(command -v date) "\$@"; fi
DATE
chmod +x "$work/tools/timeout" "$work/tools/date"

bundle good
expect 0 'test_a: exit 0' 'figures: ' -- gpu_check good
says good 'r["passed"] and r["complete"] and len(o) == 12 and set(o.values()) == {"passed"} and len(r["benches"]) == 10'
bundle bad test_b 'echo wrong bits; exit 3'
expect 1 'wrong bits' 'something failed' -- gpu_check bad --only tests
says bad 'not r["passed"] and r["complete"] and o == {"test_a": "passed", "test_b": "failed", "test_script": "passed"}'
bundle skips test_b 'exit 77'
expect 3 'not all was run' -- gpu_check skips --only tests
says skips 'r["passed"] and not r["complete"] and o["test_b"] == "skipped"'
bundle none
expect 3 'test_a: no time left' 'not all was run' -- gpu_check none --seconds 0 --sanitizer-seconds 0
says none 'not r["passed"] and not r["complete"] and set(o.values()) == {"no_time"}'
bundle late # the sanitizer has its own time
expect 3 'memcheck-test_a: exit 0' -- gpu_check late --seconds 0 --only tests,sanitizer
says late 'r["passed"] and not r["complete"] and o["test_a"] == "no_time" and o["synccheck-test_a"] == "passed"'
bundle typo
expect 3 'not all was run' -- gpu_check typo --only test
bundle slow test_slow 'exec sleep 30' # its limit is 180 s
expect 1 'something failed' -- gpu_check slow --only tests
says slow 'not r["passed"] and r["complete"] and o["test_slow"] == "timeout"'
bundle cut test_slow 'exec sleep 30'
expect 3 'test_slow: cut off after [0-9]+ s, no time left' 'not all was run' -- gpu_check cut --only tests --seconds 100
says cut 'r["passed"] and not r["complete"] and o["test_slow"] == "no_time"'
bundle odd test_b 'exit 124' # by itself, well before its shortened limit
expect 1 'something failed' -- gpu_check odd --only tests --seconds 100
says odd 'not r["passed"] and o["test_b"] == "timeout"'
bundle unscored
expect 1 'exaconn eval failed' 'no such file' -- env FAIL_EVAL=1 PATH="$work/tools:$PATH" bash "$EXACONN_SOURCE_DIR/scripts/gpu_check.sh" --run "$work/unscored" --only sample
says unscored 'not r["passed"] and set(o.values()) == {"failed"} and r["sample"][0]["to_truth"] is None'
bundle bare
expect 77 'there is no GPU to check: none is here' -- env NO_GPU=1 bash "$EXACONN_SOURCE_DIR/scripts/gpu_check.sh" --run "$work/bare"
finish
