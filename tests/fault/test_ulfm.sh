#!/usr/bin/env bash
# A run by chunks on an MPI that survives a death (Open MPI 5 with ULFM): the ranks that live go on in place, down to
# one; nothing is started again. A rank that only hangs cannot be repaired away: that ends the run as elsewhere.
#
#   tests/fault/test_ulfm.sh [RUNS_WITH_ONE_OF_THREE_KILLED [SEED]]       default 1
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
. "$EXACONN_SOURCE_DIR/tests/fault/fault_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: under the sanitizers a run takes minutes" >&2; exit 77; }
grep -q MPIX_Comm_shrink "$EXACONN" || {
    echo "SKIP: $EXACONN was built with an MPI that cannot survive a death ($("$EXACONN" --version | grep MPI))" >&2; exit 77; }
mpirun --with-ft ulfm -n 1 true >/dev/null 2>&1 || {
    echo "SKIP: no 'mpirun --with-ft ulfm' ($(mpirun --version 2>&1 | head -n 1)): Open MPI 5 has it" >&2; exit 77; }
runs=${1:-1}
RANDOM=${2:-$$}
judge=$EXACONN_SOURCE_DIR/tests/fault/journals.py
# Open MPI 5 has its own names for more ranks than cores.
launch() { timeout -k 10 240 mpirun --with-ft ulfm --map-by :oversubscribe --bind-to none -n "$@"; }

small_job_volume=phantom:seed=7,shape=64,empty=0
job() { # FOLDER [HEARTBEAT_TIMEOUT]
    small_job "$1" '"chunks": {"shape": [16, 16, 16], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' \
        ${checkpoint:+'"checkpoint": {"at_end": true}'} '"log_level": "debug"' "\"faults\": {\"heartbeat_timeout_s\": ${2:-30}}" '"progress": {"interval_s": 0.5}'
}
ranks_of() { pgrep -f "^$EXACONN .*run $1/job.json\$"; }
# process_of FOLDER RANK: its process
process_of() {
    for p in $(ranks_of "$1"); do
        tr '\0' '\n' 2>/dev/null < "/proc/$p/environ" | grep -qx "OMPI_COMM_WORLD_RANK=$2" && echo "$p"
    done
}
wait_for_chunks() { # FOLDER COUNT PID
    while kill -0 "$3" 2>/dev/null && [ "$(python3 "$judge" chunks "$1/run/journals" | wc -l)" -lt "$2" ]; do sleep 0.05; done
}
summary() { python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))[sys.argv[2]])' "$1/run/summary.json" "$2"; }

job "$work/whole"
expect 0 -- launch 3 "$EXACONN" --log-level warn run "$work/whole/job.json" || finish
check "undisturbed: 3 ranks" test "$(summary "$work/whole" ranks)" -eq 3

# survive NAME RANKS VICTIM...: kills the victims one after another; what is left finishes in the same start. A run whose
# chunks were all done when a kill came does not count: another is begun. $last is its folder.
survive() {
    local name=$1 ranks=$2 folder p pid rc left try
    shift 2
    left=$((ranks - $#))
    for try in 1 2 3 4 5; do
        folder=$work/$name$try
        job "$folder"
        launch "$ranks" "$EXACONN" run "$folder/job.json" >"$folder/out" 2>&1 & pid=$!
        : > "$folder/before"
        for victim in "$@"; do
            wait_for_chunks "$folder" $((1 + RANDOM % 25 + $(wc -l < "$folder/before"))) $pid
            p=$(process_of "$folder" "$victim")
            python3 "$judge" chunks "$folder/run/journals" > "$folder/before"
            [ -n "$p" ] && kill -KILL "$p" 2>/dev/null
        done
        wait $pid; rc=$?
        [ "$(grep -c 'is given up (MPI ' "$folder/out")" -eq $# ] && break
        echo "the kill of rank $* came too late ($rc): again"
    done
    check "$name: rank $* of $ranks killed, the others are done ($rc)" test $rc -eq 0 || tail -n 20 "$folder/out"
    check "$name: in place" grep -q "go on in place, as ranks 0 to $((left - 1))" "$folder/out"
    check "$name: begun once" test "$(grep -c ' run directory: ' "$folder/out")" -eq 1
    check "$name: ranks at the end" test "$(summary "$folder" ranks)" -eq "$left"
    same_run "$work/whole" "$folder" "$name"
    [ -n "${checkpoint:-}" ] || check "$name: nothing twice" python3 "$judge" again "$folder/run" "$folder/before" "$(IFS=,; echo "$*")"
    check "$name: nobody is left" test -z "$(ranks_of "$folder")"
    last=$folder
}

for i in $(seq "$runs"); do survive "one_$i" 3 $((1 + RANDOM % 2)); done
survive two 4 3 1
survive all_but_one 2 1
checkpoint=yes survive checkpoint 4 2
check "checkpoint: written by those who live" grep -q 'checkpoint 1: 64 chunks' "$last/out"
expect 0 -- "$EXACONN" verify "$last/run"

# A rank that hangs is dead to the others, but not to MPI.
job "$work/hangs" 3
launch 3 "$EXACONN" run "$work/hangs/job.json" >"$work/hangs/out" 2>&1 & pid=$!
wait_for_chunks "$work/hangs" 5 $pid
stopped=$(process_of "$work/hangs" 1)
kill -STOP "$stopped"
for _ in $(seq 600); do [ "$(ranks_of "$work/hangs")" = "$stopped" ] && break; sleep 0.1; done
check "hangs: the others end" test "$(ranks_of "$work/hangs")" = "$stopped"
check "hangs: given up, and what to do" grep -q 'Hint: the same command' "$work/hangs/out"
check "hangs: not in place" test "$(grep -c 'in place' "$work/hangs/out")" -eq 0
kill -KILL "$stopped" 2>/dev/null
wait $pid
check "hangs: nothing that looks whole" test ! -e "$work/hangs/run/summary.json"
expect 0 'done in' -- launch 2 "$EXACONN" run "$work/hangs/job.json"
same_run "$work/whole" "$work/hangs" "hangs, and again"
finish
