#!/usr/bin/env bash
# A killed or interrupted run: nothing that looks whole, status says so, the same command ends it well.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
# The job names a file, so that the interrupted run can be long and its repetition short: the volume shrinks between.
small_job_volume=volume.h5:/raw
"$EXACONN" phantom "$small_volume" -o "$work/small.h5:/raw" >/dev/null || exit 1
"$EXACONN" phantom "${small_volume/shape=40/shape=160}" -o "$work/large.h5:/raw" >/dev/null || exit 1
small_job "$work/whole"
cp "$work/small.h5" "$work/whole/volume.h5"
expect 0 -- "$EXACONN" run "$work/whole/job.json"

# wait_running FOLDER: until the run has written its first status.
wait_running() {
    for _ in $(seq 200); do [ -e "$1/run/status.json" ] && return 0; sleep 0.02; done
    return 1
}

for signal in KILL TERM INT USR1; do
    folder=$work/$signal
    small_job "$folder" '"compute": {"threads": 1}' '"progress": {"interval_s": 1}'
    cp "$work/large.h5" "$folder/volume.h5"
    bash -c 'exec "$0" run "$1" 2>"$2"' "$EXACONN" "$folder/job.json" "$folder/err" &
    pid=$!
    check "$signal: begins" wait_running "$folder"
    sleep 0.5
    if [ "$signal" = KILL ]; then
        expect 0 'running' -- "$EXACONN" status "$folder/run"
        expect 2 'another exaconn' -- "$EXACONN" run "$folder/job.json"
    fi
    # A background job of a script ignores SIGINT unless told otherwise; the program installs its own handler.
    kill -"$signal" $pid
    wait $pid; rc=$?
    case $signal in
        KILL) check "KILL: killed ($rc)" test $rc -eq 137 ;;
        *) check "$signal: exit 5 ($rc)" test $rc -eq 5
           check "$signal: says so" grep -q 'stopped by signal' "$folder/err" ;;
    esac
    check "$signal: nothing whole" test ! -e "$folder/run/summary.json" -a ! -e "$folder/run/segmentation.h5"
    expect 0 'interrupted' -- "$EXACONN" status "$folder/run"
    cp "$work/small.h5" "$folder/volume.h5"
    expect 0 'beginning again' 'done in' -- "$EXACONN" run "$folder/job.json"
    check "$signal: the same attempts as an undisturbed run" cmp "$work/whole/run/attempts.csv" "$folder/run/attempts.csv"
done
finish
