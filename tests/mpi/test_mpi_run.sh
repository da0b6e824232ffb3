#!/usr/bin/env bash
# Under mpirun, one rank is as none. Several: test_mpi_chunks.sh.
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
finish
