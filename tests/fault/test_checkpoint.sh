#!/usr/bin/env bash
# Checkpoints of a run by chunks: at intervals and at the end, after kills, with damage, on a full disk; and the
# commands that look at them.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
export ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # MPI's own, as in test_mpi_run.sh
command -v mpirun >/dev/null || { echo "SKIP: no mpirun" >&2; exit 77; }
small_job_volume=phantom:seed=7,shape=56x56x40,empty=0
# job FOLDER CHECKPOINT: a run of four chunks.
job() {
    small_job "$1" '"chunks": {"shape": [28, 28, 40], "halo": [10, 10, 10]}' '"compute": {"threads": 1, "prefetch": 0}' \
        '"segmentation": {"probability_map": true}' "\"checkpoint\": $2"
}
same() {
    check "$2: the same attempts" cmp "$work/whole/run/attempts.csv" "$1/run/attempts.csv"
    check "$2: the same candidates" cmp "$work/whole/run/candidates.csv" "$1/run/candidates.csv"
    expect 0 '"voi_bits": 0,' -- "$EXACONN" eval "$1/run/segmentation.h5:/segmentation" "$work/whole/run/segmentation.h5:/segmentation" --ignore none --json
}
files() { find "$1" -name "$2" | wc -l; }
again() { rm -f "$1/run/summary.json" "$1/run/segmentation.h5"; }

job "$work/whole" '{"interval_min": 0}'
expect 0 'done in' -- "$EXACONN" run "$work/whole/job.json"
check "no checkpoint was asked for" test ! -e "$work/whole/run/checkpoints"
expect 0 ': whole' '4 of 4' 'voxels read' -- "$EXACONN" verify "$work/whole/run"
expect 0 'kind +journal' 'records +12' 'chunks +4' 'damaged places +0' -- "$EXACONN" info "$(find "$work/whole/run/journals" -name '*.journal')"

# After every chunk, and at the end; the two last are kept, the journals are gone.
for n in 1 2 3; do
    job "$work/often$n" '{"interval_min": 0.001, "at_end": true}'
    expect 0 'checkpoint 1: ' ': 4 chunks in' 'done in' -- mpirun -n $n "$EXACONN" run "$work/often$n/job.json"
    same "$work/often$n" "checkpoints on $n ranks"
    check "at most two checkpoints" test "$(files "$work/often$n/run/checkpoints" '*')" -le 3
    check "no journals" test "$(files "$work/often$n/run/journals" '*.journal')" -eq 0
    expect 0 ': whole' -- "$EXACONN" verify "$work/often$n/run"
done
newest=$(find "$work/often1/run/checkpoints" -name 'gen-*.h5' | sort | tail -n 1)
expect 0 '"kind": "checkpoint generation"' '"chunks": 4' '"damaged_chunks": 0' -- "$EXACONN" info --json "$newest"

# All from a checkpoint: nothing is computed again, whatever the number of ranks.
again "$work/often1"
expect 0 'resumed: 4 of 4' 'done in' -- mpirun -n 2 "$EXACONN" run "$work/often1/job.json"
same "$work/often1" "from a checkpoint"

# Killed at any time, checkpoints included; what a killed consolidation left goes.
job "$work/killed" '{"interval_min": 0.001}'
for t in 1; do # of four chunks, two before the first checkpoint
    "$EXACONN" run "$work/killed/job.json" >"$work/err" 2>&1 & pid=$!
    for _ in $(seq 1000); do [ -e "$work/killed/run/checkpoints/gen-00000$t.h5" ] && break; sleep 0.01; done
    kill -KILL $pid; wait $pid 2>/dev/null
    check "start $t: no result yet" test ! -e "$work/killed/run/summary.json"
done
"$EXACONN" verify "$work/killed/run"; rc=$?
check "nothing is wrong after the kills" test $rc -eq 3
touch "$work/killed/run/checkpoints/gen-000009.h5.tmp-1"
expect 0 'resumed: [1-4] of 4' 'done in' -- mpirun -n 3 "$EXACONN" run "$work/killed/job.json"
check "leftovers are gone" test "$(files "$work/killed/run/checkpoints" '*.tmp-*')" -eq 0
same "$work/killed" "killed in checkpoints"

# A damaged checkpoint: told by verify, and only what is nowhere whole is computed again.
cp -r "$work/often1" "$work/damaged" && again "$work/damaged"
find "$work/damaged/run/checkpoints" -name 'gen-*.h5' | sort | head -n -1 | xargs -r rm
newest=$(find "$work/damaged/run/checkpoints" -name 'gen-*.h5')
small_job "$work/damaged" '"chunks": {"shape": [28, 28, 40], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' '"segmentation": {"probability_map": true}'
python3 -c 'import sys
b = bytearray(open(sys.argv[1], "rb").read())
for at in range(len(b) // 3, 2 * len(b) // 3, 500): b[at] ^= 16
open(sys.argv[1], "wb").write(b)' "$newest"
expect 4 ': wrong' 'damaged' -- "$EXACONN" verify "$work/damaged/run"
expect 0 'is damaged in a checkpoint|table of generation' 'done in' -- mpirun -n 2 "$EXACONN" run "$work/damaged/job.json"
same "$work/damaged" "damaged checkpoint"
truncate -s -100 "$newest"; again "$work/damaged"
expect 0 'cannot be used' 'done in' -- "$EXACONN" run "$work/damaged/job.json"
same "$work/damaged" "cut checkpoint"

# Wrong voxels in the segmentation are found.
cp -r "$work/whole" "$work/wrong"
cp "$work/wrong/run/segmentation.h5" "$work/other.h5"
"$EXACONN" phantom "$small_job_volume" -o "$work/wrong/run/labels.h5:/labels" --labels >/dev/null 2>&1
rm "$work/wrong/run/segmentation.h5"
expect 4 ': wrong' 'segmentation.h5. is not there' -- "$EXACONN" verify "$work/wrong/run"
job "$work/limited" '{"interval_min": 0}'
small_job "$work/limited" '"chunks": {"shape": [28, 28, 40], "halo": [10, 10, 10]}' '"compute": {"threads": 1}' '"limits": {"max_objects": 1}'
expect 0 'done in' -- "$EXACONN" run "$work/limited/job.json"
cp "$work/limited/run/segmentation.h5" "$work/wrong/run/segmentation.h5"
expect 4 'is not that of chunk' -- "$EXACONN" verify "$work/wrong/run"
expect 1 'not a run directory' -- "$EXACONN" verify "$work"

# No room for a checkpoint: the run says so and goes on with its journals; with room it is written.
if unshare -m true 2>/dev/null; then
    job "$work/full" '{"interval_min": 0.001, "at_end": true}'
    mkdir -p "$work/full/run/checkpoints"; cp "$work/whole/run/job.json" "$work/full/run/"
    expect 0 'no checkpoint was written' 'no room for the checkpoint' 'done in' -- unshare -m bash -c "
        mount -t tmpfs -o size=64k none '$work/full/run/checkpoints' && exec mpirun -n 2 '$EXACONN' run '$work/full/job.json'"
    same "$work/full" "no room"
    again "$work/full"
    expect 0 'resumed: 4 of 4' 'checkpoint 1: 4 chunks' -- "$EXACONN" run "$work/full/job.json"
else
    echo "SKIPPED: a full disk (mounting is not allowed here)"
fi
finish
