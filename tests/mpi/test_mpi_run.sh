#!/usr/bin/env bash
# Under mpirun: one rank segments, more than one is refused in plain words for now.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
# Open MPI unloads its plugins before LeakSanitizer looks, so its own leaks cannot be suppressed by name; ours are looked
# for in the CLI tests.
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
small_job "$work/plain"
expect 0 -- "$EXACONN" run "$work/plain/job.json"
small_job "$work/one"
expect 0 'done in' -- mpirun -n 1 "$EXACONN" run "$work/one/job.json"
check "the same attempts as without mpirun" cmp "$work/plain/run/attempts.csv" "$work/one/run/attempts.csv"
for n in 2 4; do
    small_job "$work/n$n"
    expect 2 "$n ranks" 'start one rank' -- mpirun -n $n "$EXACONN" run "$work/n$n/job.json"
    check "$n ranks leave nothing" test ! -e "$work/n$n/run"
done
finish
