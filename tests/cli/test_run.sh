#!/usr/bin/env bash
# A small run from outside: what it leaves behind, repeatability, resuming, other options.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"

small_job "$work/a"
expect 0 'objects' 'segmentation:' -- "$EXACONN" run "$work/a/job.json"
for f in job.json run.log status.json segmentation.h5 attempts.csv summary.json; do
    check "leaves $f" test -s "$work/a/run/$f"
done
check "no temporary file is left" test -z "$(find "$work/a" -name '*.tmp*')"
check "summary says complete" grep -q '"complete":.*true' "$work/a/run/summary.json"
check "it made objects" test "$(grep -c ',object,' "$work/a/run/attempts.csv")" -gt 0
expect 0 'complete' -- "$EXACONN" status "$work/a/run"
expect 0 '"state":.*"complete"' -- "$EXACONN" status --json "$work/a/run"
expect 0 'uint64' -- "$EXACONN" info "$work/a/run/segmentation.h5:/segmentation"

# The same job again: nothing to do; another job in the same folder: refused, naming the key.
expect 0 'nothing to do' -- "$EXACONN" run "$work/a/job.json"
small_job "$work/a" '"inference": {"move_threshold": 0.8}'
expect 2 'move_threshold' 'hint' -- "$EXACONN" run "$work/a/job.json"
# What cannot change the result may differ.
small_job "$work/a" '"compute": {"threads": 2}'
expect 0 'nothing to do' -- "$EXACONN" run "$work/a/job.json"

# The result does not depend on the thread count.
first=
for threads in 1 2 3; do
    small_job "$work/t$threads" "\"compute\": {\"threads\": $threads}"
    expect 0 -- "$EXACONN" run "$work/t$threads/job.json"
    sum=$(sha256sum < "$work/t$threads/run/attempts.csv")
    [ -n "$first" ] || first=$sum
    check "attempts with $threads threads" test "$sum" = "$first"
    expect 0 'ARAND|adapted' -- "$EXACONN" eval "$work/a/run/segmentation.h5:/segmentation" \
        "$work/t$threads/run/segmentation.h5:/segmentation" --ignore none
done
EXACONN_THREADS=2 expect 0 '2 threads' -- env EXACONN_THREADS=2 "$EXACONN" run "$(small_job "$work/env"; echo "$work/env/job.json")"
expect 2 'EXACONN_THREADS' -- env EXACONN_THREADS=many "$EXACONN" run "$(small_job "$work/env2"; echo "$work/env2/job.json")"

# Every kernel makes a segmentation, with plain vectors too (in a small box: the reference takes its time).
for kernel in reference direct winograd; do
    small_job "$work/$kernel" "\"compute\": {\"kernel\": \"$kernel\", \"isa\": \"portable\"}" \
        '"box": {"start": [0, 0, 0], "shape": [19, 19, 19]}'
    expect 0 "$kernel" -- "$EXACONN" run "$work/$kernel/job.json"
done

# Seed policies, masks, an initial segmentation, the probability map, limits.
small_job "$work/max" '"seeds": {"policy": "max"}' '"limits": {"max_seeds": 50}'
expect 0 'policy max' 'limit' -- "$EXACONN" run "$work/max/job.json"
small_job "$work/grid" '"seeds": {"policy": "grid3d", "step": [8, 8, 8]}'
expect 0 'policy grid3d' -- "$EXACONN" run "$work/grid/job.json"
small_job "$work/list" '"seeds": {"policy": "list", "points": [[20, 20, 20], [2, 2, 2]]}' '"segmentation": {"probability_map": true}'
expect 0 '1 by policy list' '1 listed seeds' -- "$EXACONN" run "$work/list/job.json"
check "probability map" test -s "$work/list/run/probability.h5"
"$EXACONN_FIXTURE" volume "$work/mask.h5" 40
small_job "$work/mask" '"mask": {"volume": "../mask.h5:/labels"}' '"skip_zero_raw": true'
expect 0 'excluded [1-9]' -- "$EXACONN" run "$work/mask/job.json"
small_job "$work/initial" '"initial_segmentation": "../a/run/segmentation.h5:/segmentation"'
expect 0 'initial segmentation: [1-9]' -- "$EXACONN" run "$work/initial/job.json"
small_job "$work/box" '"box": {"start": [3, 4, 5], "shape": [30, 31, 32]}'
expect 0 -- "$EXACONN" run "$work/box/job.json"
expect 0 '30.*31.*32' -- "$EXACONN" info "$work/box/run/segmentation.h5:/segmentation"

# Listed seeds from a file, as text and as JSON: the same run as with the points in the job.
printf '# z y x\n20 20 20\n2, 2, 2\n' > "$work/seeds.txt"
echo '[[20, 20, 20], [2, 2, 2]]' > "$work/seeds.json"
for kind in txt json; do
    small_job "$work/file_$kind" "\"seeds\": {\"policy\": \"list\", \"file\": \"../seeds.$kind\"}"
    expect 0 '1 by policy list' -- "$EXACONN" run "$work/file_$kind/job.json"
    check "seeds.$kind gives the same attempts" cmp "$work/list/run/attempts.csv" "$work/file_$kind/run/attempts.csv"
done

# A segmentation of a box goes on as the initial segmentation of a job in that box, placed by its offset attribute.
small_job "$work/go_on" '"box": {"start": [5, 6, 7], "shape": [26, 25, 24]}' \
    '"initial_segmentation": "../box/run/segmentation.h5:/segmentation"'
expect 0 'initial segmentation: [1-9]' -- "$EXACONN" run "$work/go_on/job.json"
# 30 planes of 40 are no cover: the smaller volume must hold the whole box.
small_job "$work/uncovered" '"initial_segmentation": "../box/run/segmentation.h5:/segmentation"'
expect 2 'does not cover the box' -- "$EXACONN" run "$work/uncovered/job.json"

# What a killed process left of an atomic write goes; a folder without results takes a corrected job.
small_job "$work/again" '"mask": {"volume": "../mask.h5:/nothing"}'
expect 2 'nothing' -- "$EXACONN" run "$work/again/job.json"
check "a job with a missing mask makes no folder" test ! -e "$work/again/run"
mkdir "$work/again/run"; touch "$work/again/run/job.json.tmp-55" "$work/again/run/segmentation.h5.tmp-999"
small_job "$work/again" '"limits": {"max_objects": 1}'
expect 0 'done in' -- "$EXACONN" run "$work/again/job.json"
check "leftovers are gone" test -z "$(find "$work/again/run" -name '*.tmp-*')"
rm "$work/again/run/segmentation.h5"
expect 0 'beginning again' 'done in' -- "$EXACONN" run "$work/again/job.json"

# The plan predicts what a run would need; it writes nothing.
small_job "$work/plan"
expect 0 'memory' 'steps' -- "$EXACONN" plan "$work/plan/job.json"
expect 0 '"peak_bytes"' '"seconds_per_step"' -- "$EXACONN" plan --json --measure "$work/plan/job.json"
check "plan makes no folder" test ! -e "$work/plan/run"
finish
