#!/usr/bin/env bash
# exaconn-supervise: what it refuses, what it does not try again, an mpirun that lies, hangs or does not exit, signals.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 EXACONN
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a run takes minutes" >&2; exit 77; }
supervise=$EXACONN_SOURCE_DIR/scripts/exaconn-supervise
job() {
    local folder=$1; shift
    small_job "$folder" '"chunks": {"shape": [20, 20, 20], "halo": [8, 8, 8]}' '"compute": {"threads": 1}' \
        '"faults": {"heartbeat_timeout_s": 3}' '"progress": {"interval_s": 0.5}' "$@"
}
# Nothing of the job in this folder is running.
nobody() { [ -z "$(pgrep -f "$1/job.json\$")" ]; }

# ---- what is wrong is said at once, and nothing is started ----------------------------------------------------------
expect 0 'exaconn-supervise -n 8 job.json' -- "$supervise" --help
expect 2 'not a number' -- "$supervise" -n two job.json
expect 2 'must be more than 0' -- "$supervise" -n 0 job.json
expect 2 'one job file' -- "$supervise" -n 2 -- a.json b.json
expect 2 "'h1:x' is not NAME" -- "$supervise" --host h1:x job.json
job "$work/wrong" '"seeds": {"polcy": "max"}'
expect 2 "seeds.policy" -- "$supervise" -n 2 "$work/wrong/job.json"
job "$work/absent" '"mask": {"volume": "absent.h5:/m"}'
expect 1 'absent.h5' -- "$supervise" -n 2 "$work/absent/job.json"
small_job "$work/plain"
expect 2 'not cut into chunks' -- "$supervise" -n 2 "$work/plain/job.json"
check "nothing was begun" test ! -e "$work/plain/run" -a ! -e "$work/absent/run" -a ! -e "$work/wrong/run"

# ---- a run, and again --------------------------------------------------------------------------------------------
job "$work/good"
expect 0 'start 1 on 2 ranks' 'done: .*summary.json' -- "$supervise" -n 2 --bind-to none -- "$work/good/job.json"
expect 0 'complete already' -- "$supervise" -n 2 "$work/good/job.json"
job "$work/good" '"seeds": {"policy": "max"}'
expect 2 'another job' -- "$supervise" -n 2 "$work/good/job.json"

# ---- an mpirun that does nothing, hangs, or does not exit -------------------------------------------------------------
fake() { printf '#!/bin/bash\n%s\n' "$2" > "$work/fake-$1"; chmod +x "$work/fake-$1"; }
fake nothing 'exit 0'
job "$work/nothing"
expect 6 'start 3' 'given up: 3 starts in a row finished no chunk' -- "$supervise" -n 2 --mpirun "$work/fake-nothing" "$work/nothing/job.json"
expect 6 'start 1 on' 'given up: 1 starts' -- "$supervise" --tries 1 --mpirun "$work/fake-nothing" "$work/nothing/job.json"

fake hangs 'trap "" TERM; sleep 987 & exec sleep 986'
job "$work/hangs"
expect 6 'nothing changed in the run directory' 'ending mpirun' -- "$supervise" --tries 1 --stall 3 --mpirun "$work/fake-hangs" "$work/hangs/job.json"
check "nothing is left of the hung one" bash -c '! pgrep -fx "sleep 98[67]"'

fake stays "shift 3; while [ \"\$1\" != '$EXACONN' ]; do shift; done; \"\$@\"; sleep 985"
job "$work/stays"
expect 0 'the run is complete, but mpirun did not exit' 'done: ' -- "$supervise" --grace 2 --mpirun "$work/fake-stays" "$work/stays/job.json"
check "nothing is left of the one that stayed" bash -c '! pgrep -fx "sleep 985"'

# ---- a rank that always dies at once: one less, and it goes ------------------------------------------------------------
mkdir "$work/bin"
cat > "$work/bin/exaconn" <<RANK
#!/bin/bash
[ "\${OMPI_COMM_WORLD_RANK:-0}" != 2 ] || kill -KILL \$\$
exec "$EXACONN" "\$@"
RANK
chmod +x "$work/bin/exaconn"
job "$work/bad_rank"
expect 0 'start 1 on 3 ranks' 'start 2 on 2 ranks' 'done: ' -- "$supervise" -n 3 --stall 20 --exaconn "$work/bin/exaconn" "$work/bad_rank/job.json"

# ---- a signal is passed on, and the run is not started again -------------------------------------------------------------
small_job_volume=phantom:seed=7,shape=64,empty=0 job "$work/signal"
"$supervise" -n 2 "$work/signal/job.json" >"$work/err" 2>&1 & pid=$!
for _ in $(seq 600); do [ -n "$(find "$work/signal/run/journals" -name '*.journal' -size +1k 2>/dev/null)" ] && break; sleep 0.05; done
kill -TERM $pid; wait $pid; rc=$?
check "a signal: exit 5 ($rc)" test $rc -eq 5 || cat "$work/err"
check "a signal: passed on, and nothing is started again" bash -c "grep -q 'SIGTERM is passed on' '$work/err' && ! grep -q 'start 2' '$work/err'"
check "a signal: nobody is left" nobody "$work/signal"
expect 0 'interrupted' 'why: stopped by' -- "$EXACONN" status "$work/signal/run"
expect 0 'resumed: [0-9]* of 64' 'done: ' -- "$supervise" -n 2 "$work/signal/job.json"

# ---- chunks that fail are not tried again by starting again ------------------------------------------------------------
python=${EXACONN_PYTHON:-python3}
if "$python" -c "import h5py, hdf5plugin" 2>/dev/null; then
    "$EXACONN" phantom seed=7,shape=40x56x40,empty=0 -o "$work/raw.h5:/raw" >/dev/null || exit 1
    small_job_volume=volume.h5:/raw job "$work/failing"
    "$python" - "$work/raw.h5" "$work/failing/volume.h5" <<'P'
import h5py, hdf5plugin, sys
raw = h5py.File(sys.argv[1])["raw"][:].astype("f4")
raw[20, 3, 20] = float("nan")
with h5py.File(sys.argv[2], "w") as f:
    f["raw"] = raw
P
    expect 3 'not tried again' 'failed_chunks.csv' -- "$supervise" -n 2 "$work/failing/job.json"
else
    echo "not tested: failed chunks under the supervisor (no Python with h5py and hdf5plugin)"
fi
finish
