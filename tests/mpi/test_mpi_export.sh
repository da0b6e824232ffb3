#!/usr/bin/env bash
# Exports by several ranks: the same bytes as by one, also after a kill; an error is said once; a run's own export.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # as in test_mpi_run.sh
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
truth=phantom:seed=9,shape=200x130x260,empty=0:/labels
expect 0 'exported in' -- "$EXACONN" export "$truth" -o "$work/one" --voxel-size 16,8,8
check "there is work for several ranks" test "$(find "$work/one/8_8_16" -name '*.shard' | wc -l)" -ge 8
for n in 1 2 3 4; do
    expect 0 'exported in' -- mpirun -n $n "$EXACONN" export "$truth" -o "$work/n$n" --voxel-size 16,8,8
    check "$n ranks: the same bytes" diff -r "$work/one" "$work/n$n"
done

# Killed in the middle, finished by another number of ranks.
setsid mpirun -n 3 "$EXACONN" export "$truth" -o "$work/killed" --voxel-size 16,8,8 >/dev/null 2>&1 & pid=$!
for _ in $(seq 2000); do [ -n "$(find "$work/killed" -name '*.shard' 2>/dev/null | head -n 1)" ] && break; sleep 0.005; done
kill -KILL -- -$pid; wait $pid 2>/dev/null
pkill -KILL -f "$work/killed" # Open MPI puts ranks into sessions of their own
check "a killed export does not look whole" test ! -e "$work/killed/info"
for _ in $(seq 100); do pgrep -f "$work/killed" >/dev/null || break; sleep 0.05; done
expect 0 'going on' -- mpirun -n 2 "$EXACONN" export "$truth" -o "$work/killed" --voxel-size 16,8,8
check "killed and finished: the same bytes" diff -r "$work/one" "$work/killed"

check "what is wrong is said once" test "$(mpirun -n 3 "$EXACONN" export absent.h5:/x -o "$work/no" 2>&1 | grep -c 'exaconn: error')" -eq 1
check "what is wrong with the options, too" test "$(mpirun -n 3 "$EXACONN" export "$truth" 2>&1 | grep -c 'exaconn: error')" -eq 1
expect 2 'holds another volume' -- mpirun -n 2 "$EXACONN" export "$truth" -o "$work/one" --voxel-size 8

# One shard of the finest scale is damaged: the rank that reads it says so, and all end.
cp -r "$work/one" "$work/damaged"
rm -r "$work/damaged/info" "$work/damaged/16_16_16" && mkdir "$work/damaged/16_16_16"
shard=$(find "$work/damaged/8_8_16" -name '*.shard' | sort | tail -n 1)
truncate -s -100 "$shard"
out=$(mpirun -n 3 "$EXACONN" export "$truth" -o "$work/damaged" --voxel-size 16,8,8 2>&1); rc=$?
check "a damaged shard ends all ranks (exit $rc)" test $rc -eq 4
check "and is named" grep -q "$shard" <<<"$out"
check "nothing looks whole" test ! -e "$work/damaged/info"

# In a run: the same volumes from one rank and from three.
job() { small_job "$1" '"chunks": {"shape": [20, 40, 40], "halo": [8, 8, 8]}' '"limits": {"max_objects": 2}' '"compute": {"threads": 1}' '"precomputed": {"segmentation": true, "raw": true}'; }
job "$work/run1"; job "$work/run3"
expect 0 'exported in' 'exaconn view' -- "$EXACONN" run "$work/run1/job.json"
expect 0 'exported in' 'exaconn view' -- mpirun -n 3 "$EXACONN" run "$work/run3/job.json"
check "runs: the same volumes" diff -r -x source.json "$work/run1/run/precomputed" "$work/run3/run/precomputed"
check "runs: the same state" cmp "$work/run1/run/neuroglancer.json" "$work/run3/run/neuroglancer.json"
finish
