# Sourced by the shell tests. $EXACONN is the program; $work a fresh folder removed at the end.
set -u
EXACONN=${EXACONN:?set EXACONN to the exaconn program}
data=${EXACONN_DATA_DIR:-$EXACONN_SOURCE_DIR/../shared/data}
work=$(mktemp -d "${TMPDIR:-/tmp}/exaconn-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
failures=0

# need_data FILE...: skips the whole test, aloud, where the real data are absent.
need_data() {
    for f in "$@"; do
        [ -e "$data/$f" ] || { echo "SKIP: $data/$f is not there (set EXACONN_DATA_DIR)" >&2; exit 77; }
    done
}

# expect CODE PATTERN... -- COMMAND...: the exit code, and each (extended regex) pattern in stdout+stderr.
expect() {
    local code=$1 patterns=() out rc
    shift
    while [ "$1" != -- ]; do patterns+=("$1"); shift; done
    shift
    out=$("$@" 2>&1); rc=$?
    if [ "$rc" -ne "$code" ]; then
        echo "FAIL: exit $rc instead of $code: $*"; echo "$out" | tail -n 20; failures=$((failures + 1)); return 1
    fi
    for p in "${patterns[@]+"${patterns[@]}"}"; do
        if ! grep -Eq -- "$p" <<<"$out"; then
            echo "FAIL: no '$p' in the output of: $*"; echo "$out" | tail -n 20; failures=$((failures + 1)); return 1
        fi
    done
    echo "ok: $*"
}

# check DESCRIPTION COMMAND...: the command must succeed.
check() {
    local what=$1; shift
    if "$@"; then echo "ok: $what"; else echo "FAIL: $what"; failures=$((failures + 1)); fi
}

finish() {
    [ "$failures" -eq 0 ] || { echo "$failures failed"; exit 1; }
    exit 0
}

# The small brain of the tests: procedural tissue (docs/phantom.md), and the bundled network, whose step takes
# milliseconds. Seeds 1 to 99 are the tests'; no network was trained on them (docs/training.md).
small_volume=phantom:seed=9,shape=40,empty=0
small_weights=$EXACONN_SOURCE_DIR/configs/ffn_phantom.h5

# small_job FOLDER [JSON...]: FOLDER/job.json with a run of about a second; each further argument is a piece of JSON
# put into the job, e.g. '"limits": {"max_steps": 5}'. small_job_volume: a volume instead of the small one.
small_job() {
    local folder=$1 extra=
    shift
    mkdir -p "$folder"
    for piece in "$@"; do extra="$extra, $piece"; done
    printf '{"volume": "%s", "weights": "%s", "output": "run"%s}\n' "${small_job_volume:-$small_volume}" \
        "$small_weights" "$extra" > "$folder/job.json"
}
