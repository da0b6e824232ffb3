#!/usr/bin/env bash
# exaconn config: the committed documents are the table's, the examples are valid, errors say key, reason and hint.
source "$(dirname "$0")/../test_lib.sh"

EXACONN=$EXACONN bash "$EXACONN_SOURCE_DIR/tests/update_generated.sh" "$work/generated"
for file in configs/job.schema.json configs/job.defaults.json docs/job.md docs/cli.md; do
    check "$file is what the program says (else run tests/update_generated.sh)" \
        diff -u "$EXACONN_SOURCE_DIR/$file" "$work/generated/$file"
done
for file in "$EXACONN_SOURCE_DIR"/configs/*.json; do
    [ "$(basename "$file")" = job.schema.json ] || expect 0 'a valid job' -- "$EXACONN" config --check "$file"
done

# The defaults are a job, and its effective form is a fixed point.
"$EXACONN" config --defaults > "$work/job.json"
expect 0 'job.json: a valid job' -- "$EXACONN" config --check "$work/job.json"
verdict() { "$EXACONN" config --check "$1" --json 2> /dev/null | python3 -c 'import json,sys; d = json.load(sys.stdin); sys.exit(not eval(sys.argv[1], {"d": d}))' "$2"; }
check "--check --json of a valid job" verdict "$work/job.json" 'd["valid"] is True and d["job"].endswith("job.json") and len(d) == 2'
echo '{"volum": 1}' > "$work/wrong.json"
check "--check --json of an invalid job" verdict "$work/wrong.json" 'd["valid"] is False and "volum" in d["error"]'
expect 2 '^exaconn: error: ' -- "$EXACONN" config --check "$work/wrong.json" --json
expect 2 'json goes with --check' -- "$EXACONN" config --markdown --json
"$EXACONN" config --effective "$work/job.json" > "$work/effective.json"
mkdir "$work/elsewhere"
cp "$work/effective.json" "$work/elsewhere/job.json"
"$EXACONN" config --effective "$work/elsewhere/job.json" > "$work/again.json"
check "the effective job is a fixed point" cmp "$work/effective.json" "$work/again.json"
check "paths are the job file's" grep -q "\"weights\": \"$(realpath "$work")/ffn.h5\"" "$work/effective.json"

# refused TEXT PATTERN...: a job with this after the required keys.
refused() {
    local text=$1
    shift
    printf '{"volume": "v.h5:/raw", "weights": "w.h5", "output": "run", %s}' "$text" > "$work/bad.json"
    expect 2 '^exaconn: error: ' '^  hint: ' "$@" -- "$EXACONN" config --check "$work/bad.json"
}
refused '"seeds": {"polcy": "max"}' "no key 'seeds.polcy'" "did you mean 'seeds.policy'"
refused '"box": {"shape": [10, -1, 10]}' 'box.shape\[1\] is -1' 'at least 1'
refused '"compute": {"isa": "avx521"}' 'compute.isa cannot be "avx521"' 'did you mean "avx512"'
refused '"compute": {"threads": "two"}' 'compute.threads must be an integer'
refused '"compute": {"threads": 1025}' 'compute.threads is 1025' '1024' # as many as EXACONN_THREADS may be
refused '"inference": {"move_threshold": 1.5}' 'inference.move_threshold is 1.5'
refused '"inference": {"move_threshold": NaN}' 'line 1, column'
refused '"log_level": "info",' 'line 1, column'
refused '"box": {"start": [0, 0, 0]}, "box": {}' "'box' is there twice"
refused '"output": "x"' "'output' is there twice"
printf '{"volume": "v"} trailing' > "$work/bad.json"
expect 2 'line 1, column 17' -- "$EXACONN" config --check "$work/bad.json"
printf '{\n  "volume": "\xff"\n}' > "$work/bad.json"
expect 2 'line 2, column 14' 'UTF-8' -- "$EXACONN" config --check "$work/bad.json"
: > "$work/bad.json"
expect 2 'is empty' -- "$EXACONN" config --check "$work/bad.json"
expect 1 'missing.json' -- "$EXACONN" config --check "$work/missing.json"
expect 2 'exactly one of' -- "$EXACONN" config
expect 2 'exactly one of' -- "$EXACONN" config --schema --defaults
finish
