#!/usr/bin/env bash
# A long chunk that is killed again and again goes on after the objects it had finished, and ends with the same bits;
# also when what was kept is damaged, and on several ranks.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # MPI's own, as in test_mpi_run.sh
small_job_volume=phantom:seed=7,shape=56x56x60,empty=0
# job FOLDER INTERVAL: two chunks of several objects each.
job() {
    small_job "$1" '"chunks": {"shape": [56, 56, 40], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' \
        '"segmentation": {"probability_map": true}' "\"checkpoint\": {\"chunk_interval_s\": $2}"
}
same() {
    check "$2: the same attempts" cmp "$work/whole/run/attempts.csv" "$1/run/attempts.csv"
    check "$2: the same candidates" cmp "$work/whole/run/candidates.csv" "$1/run/candidates.csv"
    for name in segmentation probability; do
        expect 0 '"voi_bits": 0,' -- "$EXACONN" eval "$1/run/$name.h5:/$name" "$work/whole/run/$name.h5:/$name" --ignore none --json
    done
    check "$2: the same counters" python3 -c 'import json, sys
a, b = (json.load(open(f))["counters"] for f in sys.argv[1:])
sys.exit(a != b)' "$work/whole/run/summary.json" "$1/run/summary.json"
}
job "$work/whole" 0
expect 0 'done in' -- "$EXACONN" run "$work/whole/job.json"
check "nothing is kept of a chunk in work if not asked for" test "$("$EXACONN" info --json "$work"/whole/run/journals/*.journal | grep -c '"other_records": 0')" -eq 1

# Begins a run in FOLDER and sends SIGNAL when something of a chunk in work is in the newest journal.
begin() {
    local before now
    before=$(cat "$1"/run/journals/*.journal 2>/dev/null | wc -c)
    "$EXACONN" run "$1/job.json" >>"$1/err" 2>&1 & pid=$!
    for _ in $(seq 1000); do
        now=$(cat "$1"/run/journals/*.journal 2>/dev/null | wc -c)
        [ "$now" -gt $((before + 400)) ] && break
        kill -0 $pid 2>/dev/null || break
        sleep 0.01
    done
    kill -"$2" $pid 2>/dev/null; wait $pid 2>/dev/null
}
job "$work/killed" 0.001
for signal in KILL TERM KILL; do begin "$work/killed" $signal; done
check "no result yet" test ! -e "$work/killed/run/summary.json"
expect 3 'incomplete' -- "$EXACONN" verify "$work/killed/run"
cp -r "$work/killed" "$work/damaged" && cp -r "$work/killed" "$work/ranks"
expect 0 'done in' -- "$EXACONN" run "$work/killed/job.json"
check "a chunk went on where it was" grep -Eq 'goes on after [0-9]+ floods' "$work/killed/err" "$work/killed/run/run.log"
same "$work/killed" "killed within chunks"

expect 0 'done in' -- mpirun -n 2 "$EXACONN" run "$work/ranks/job.json"
same "$work/ranks" "two ranks go on"

# A bit of the second journal that has anything: what is behind it is done again.
python3 -c 'import sys, glob, os
for path in sorted(glob.glob(sys.argv[1] + "/*.journal"))[:2]:
    b = bytearray(open(path, "rb").read())
    if len(b) > 300: b[len(b) * 2 // 3] ^= 4
    open(path, "wb").write(b)' "$work/damaged/run/journals"
expect 0 'done in' -- "$EXACONN" run "$work/damaged/job.json"
same "$work/damaged" "damaged parts"
finish
