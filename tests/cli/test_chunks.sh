#!/usr/bin/env bash
# A run by chunks: journaled, stitched, the same result however it is interrupted; plans of any extent.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
chunks='"chunks": {"shape": [28, 28, 40], "halo": [10, 10, 10]}'
small_job_volume=phantom:seed=7,shape=56x56x40,empty=0
quick='"compute": {"threads": 1}'
number() { python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
for key in sys.argv[2].split("."): d = d[key]
print(d)' "$@"; }

# Whole and in one piece.
small_job "$work/whole" "$chunks" "$quick" '"segmentation": {"probability_map": true}'
expect 0 'chunks: 2 x 2 x 1 of 28 x 28 x 40' 'stitched' 'done in' -- "$EXACONN" run "$work/whole/job.json"
run=$work/whole/run
check "four chunks" test "$(number "$run/summary.json" chunks.done)" = 4
check "pairs were joined" test "$(number "$run/summary.json" chunks.joined)" -gt 0
check "candidates are listed" test "$(wc -l < "$run/candidates.csv")" -eq $(($(number "$run/summary.json" chunks.candidates) + 1))
check "joined ones are mutual and marked" test "$(awk -F, '$7 == 1 && $6 == 3' "$run/candidates.csv" | wc -l)" -eq "$(number "$run/summary.json" chunks.joined)"
"$EXACONN" eval "$run/segmentation.h5:/segmentation" "$small_job_volume:/labels" --ignore both --json > "$work/scores"
cat "$work/scores"
# Chunks hardly larger than neurites find fewer seeds, so much is left empty or split; but nothing may be merged.
check "nothing is merged" python3 -c 'import json, sys; sys.exit(json.load(open(sys.argv[1]))["arand_precision"] < 0.98)' "$work/scores"
expect 0 'uint8' -- "$EXACONN" info "$run/probability.h5:/probability"
expect 0 'complete' -- "$EXACONN" run "$work/whole/job.json"

# same FOLDER WHAT: the run there ended with the results of the whole one.
same() {
    check "$2: the same attempts" cmp "$run/attempts.csv" "$1/run/attempts.csv"
    check "$2: the same candidates" cmp "$run/candidates.csv" "$1/run/candidates.csv"
    check "$2: the same segmentation" "$EXACONN_FIXTURE" same "$1/run/segmentation.h5:/segmentation" "$run/segmentation.h5:/segmentation"
    check "$2: the same probability" "$EXACONN_FIXTURE" same "$1/run/probability.h5:/probability" "$run/probability.h5:/probability"
}

# Killed after each chunk in turn: what was done is not done again.
small_job "$work/killed" "$chunks" "$quick" '"segmentation": {"probability_map": true}'
for done in 1 2 3; do
    "$EXACONN" --log-level debug run "$work/killed/job.json" 2>"$work/err" & pid=$!
    for _ in $(seq 1500); do grep -q 'of 4 done' "$work/err" && break; sleep 0.02; done
    kill -KILL $pid; wait $pid 2>/dev/null
    check "start $done: no result yet" test ! -e "$work/killed/run/summary.json"
done
expect 0 'resumed: [1-4] of 4 chunks' -- "$EXACONN" run "$work/killed/job.json"
check "one journal for each start" test "$(find "$work/killed/run/journals" -name '*.journal' | wc -l)" -eq 4
same "$work/killed" "killed three times"

# Damaged journals: only what was hit is computed again.
mkdir -p "$work/damaged" && cp -r "$work/whole/run" "$work/whole/job.json" "$work/damaged/"
rm "$work/damaged/run/summary.json" "$work/damaged/run/segmentation.h5"
journal=$(find "$work/damaged/run/journals" -name '*.journal')
python3 -c 'import sys
b = bytearray(open(sys.argv[1], "rb").read()); b[len(b) // 2] ^= 1; open(sys.argv[1], "wb").write(b)' "$journal"
expect 0 'damaged in 1 places' 'resumed: 3 of 4 chunks' -- "$EXACONN" run "$work/damaged/job.json"
same "$work/damaged" "damaged"

# A journal that cannot grow, as on a full disk: one clear error at once, and the same command goes on later.
small_job "$work/full" "$chunks" "$quick" '"segmentation": {"probability_map": true}'
expect 1 'cannot write the journal' -- bash -c "trap '' XFSZ; ulimit -f 6; exec '$EXACONN' run '$work/full/job.json'"
check "no chunk is blamed" test ! -e "$work/full/run/failed_chunks.csv"
expect 0 'done in' -- "$EXACONN" run "$work/full/job.json"
same "$work/full" "after a full disk"

# Under a sanitizer a run takes 20 s; the rest goes through the same code.
[ -z "${EXACONN_SANITIZE:-}" ] || finish

# Other thresholds of stitching need no other chunks; a corrected job takes a folder without finished chunks.
cp -r "$work/whole" "$work/again" && rm "$work/again/run/summary.json" "$work/again/run/segmentation.h5"
small_job "$work/again" "$chunks" "$quick" '"segmentation": {"probability_map": true, "chunk": [32, 32, 32]}' '"stitching": {"min_fraction": 1, "min_contained": 1}'
expect 0 'resumed: 4 of 4' 'done in' -- "$EXACONN" run "$work/again/job.json"
check "fewer pairs are joined" test "$(number "$work/again/run/summary.json" chunks.joined)" -lt "$(number "$run/summary.json" chunks.joined)"

# Stitched again from the stored candidates: as the run itself with these thresholds, or as it was without any.
stitched() { # stitched FOLDER LIKE: the same tables and voxels
    for table in segments supervoxels candidates attempts; do check "$1: $table as in $2" cmp "$2/$table.csv" "$1/$table.csv"; done
    check "$1: voxels as in $2" "$EXACONN_FIXTURE" same "$1/segmentation.h5:/segmentation" "$2/segmentation.h5:/segmentation"
}
expect 0 'stitched' 'done in' -- "$EXACONN" stitch "$run" --min-fraction 1 --min-contained 1 -o "$work/stitched-1"
stitched "$work/stitched-1" "$work/again/run"
expect 0 'stitched' -- "$EXACONN" stitch "$run" -o "$work/stitched"
stitched "$work/stitched" "$run"
expect 0 'complete' -- "$EXACONN" status "$work/stitched"
expect 0 'whole' 'compared with the chunks that are there, 0 wrong' -- "$EXACONN" verify "$work/stitched"
joined_largest() { awk -F, 'NR > 1 && $12 > 1 && $2 > m { m = $2 } END { print m + 0 }' "$1/segments.csv"; } # of several supervoxels
largest=$(joined_largest "$run")
expect 0 'were refused' -- "$EXACONN" stitch "$run" --max-voxels $((largest - 1)) -o "$work/capped"
check "no joined segment is larger" test "$(joined_largest "$work/capped")" -lt "$largest"
check "what is refused is not joined" test "$(awk -F, '$7 == 0 && $8 == 1' "$work/capped/candidates.csv" | wc -l)" -eq "$(number "$work/capped/summary.json" chunks.refused)"
check "every voxel is in the table" test "$(awk -F, 'NR > 1 { s += $2 } END { print s }' "$run/segments.csv")" -eq "$(awk -F, 'NR > 1 { s += $4 } END { print s }' "$run/supervoxels.csv")"
expect 2 'where to' -- "$EXACONN" stitch "$run"
expect 1 'no run directory' -- "$EXACONN" stitch "$work/absent" -o "$work/x"
expect 2 'not between 0 and 1' -- "$EXACONN" stitch "$run" -t 1.5 -o "$work/x"
expect 2 'another job' 'min_voxels' -- "$EXACONN" stitch "$run" --min-voxels 7 -o "$work/stitched"
cp -r "$work/whole/run" "$work/torn"
sed -i '2d' "$work/torn/candidates.csv"
expect 4 'candidates.csv' 'summary.json says' -- "$EXACONN" stitch "$work/torn" -o "$work/x1"
cp "$run/candidates.csv" "$work/torn/" && sed -i '2s/,/,9/' "$work/torn/candidates.csv"
expect 4 'no candidate of this run' -- "$EXACONN" verify "$work/torn"
cp "$run/candidates.csv" "$work/torn/" && sed -i 's/,1,0$/,0,0/' "$work/torn/candidates.csv"
expect 4 'the segmentation is not that of chunk' -- "$EXACONN" verify "$work/torn"
cp "$run/candidates.csv" "$work/torn/" && sed -i '2s/,/,9/' "$work/torn/candidates.csv"
expect 4 'no candidate of this run' -- "$EXACONN" stitch "$work/torn" -o "$work/x2"
rm -r "$work/torn/journals/"*.journal
expect 1 'only 0 of 4 chunks' -- "$EXACONN" stitch "$work/torn" -o "$work/x3"
check "nothing looks complete" test ! -e "$work/x1/summary.json" -a ! -e "$work/x2/summary.json" -a ! -e "$work/x3/summary.json"

find "$work/again/run/journals" -name '*.journal' -exec truncate -s 64 {} +
rm "$work/again/run/summary.json" "$work/again/run/segmentation.h5"
small_job "$work/again" '"chunks": {"shape": [56, 56, 40], "halo": [9, 9, 9]}' "$quick"
expect 0 'chunks: 1 x 1 x 1' 'done in' -- "$EXACONN" run "$work/again/job.json"

# A part of a volume, with a mask, a limit and listed seeds.
small_job "$work/part" '"chunks": {"shape": [20, 48, 40], "halo": [10, 10, 10]}' "$quick" '"box": {"start": [6, 5, 0], "shape": [44, 48, 40]}' \
    "\"mask\": {\"volume\": \"$small_job_volume:/labels\", \"exclude_values\": \"zero\"}" '"limits": {"max_objects": 1}'
expect 0 'limit of the job' 'done in' -- "$EXACONN" run "$work/part/job.json"
check "the limit is told" test "$(number "$work/part/run/summary.json" limit_reached)" = True
"$EXACONN" eval "$work/part/run/segmentation.h5:/segmentation" "$small_job_volume:/labels" --ignore both --json > "$work/scores"
check "the part lies where it belongs" python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(d["arand_precision"] < 0.98 or d["segments"] < 1)' "$work/scores"
echo '[[20, 20, 20], [30, 30, 20], [2, 30, 20]]' > "$work/seeds.json"
small_job "$work/listed" "$chunks" "$quick" "\"seeds\": {\"policy\": \"list\", \"file\": \"$work/seeds.json\"}"
expect 0 '1 listed seeds are nearer' 'done in' -- "$EXACONN" run "$work/listed/job.json"
echo '[[20, 20, 20], [30, 30, 21]]' > "$work/seeds.json"
rm "$work/listed/run/summary.json" "$work/listed/run/segmentation.h5"
expect 2 'another job' 'seeds: ' -- "$EXACONN" run "$work/listed/job.json"
expect 0 'complete' 'chunks 4 of 4' -- "$EXACONN" status "$work/whole/run"

# Wrong input.
small_job "$work/no" "$chunks" '"segmentation": {"chunk": [1024, 1024, 1024]}' '"box": {"shape": [56, 56, 40]}'
expect 0 -- "$EXACONN" plan "$work/no/job.json"
small_job_volume=phantom:shape=2048 small_job "$work/no" '"chunks": {"shape": [512, 512, 512]}' '"segmentation": {"chunk": [1024, 1024, 1024]}'
expect 2 'segmentation.chunk' '4 GiB' -- "$EXACONN" plan "$work/no/job.json"
small_job "$work/killed" '"chunks": {"shape": [28, 28, 40], "halo": [9, 10, 10]}' "$quick"
rm "$work/killed/run/summary.json" "$work/killed/run/segmentation.h5"
expect 2 'another job' 'chunks.halo' -- "$EXACONN" run "$work/killed/job.json"
small_job "$work/no" "$chunks" "\"initial_segmentation\": \"$small_job_volume:/labels\""
expect 4 'initial_segmentation together with chunks.shape' -- "$EXACONN" run "$work/no/job.json"
small_job "$work/no" '"chunks": {"shape": [0, 8, 8]}'
expect 2 'chunks.shape' -- "$EXACONN" plan "$work/no/job.json"

# Plans: 10 EB by chunks of 512^3, and by chunks of 100 GB, exactly and at once.
small_job_volume=phantom:seed=1,shape=2154435x2154435x2154435,voxel=5 small_job "$work/huge" '"chunks": {"shape": [512, 512, 512]}'
expect 2 'more than one run takes' -- "$EXACONN" run "$work/huge/job.json"
expect 0 '10000004316234262875 voxels' '4208 x 4208 x 4208 = 74512166912 of 512' -- "$EXACONN" plan "$work/huge/job.json"
small_job_volume=phantom:seed=1,shape=2154435x2154435x2154435,voxel=5 small_job "$work/huge" '"chunks": {"shape": [4642, 4642, 4642]}'
expect 0 '465 x 465 x 465 = 100544625' 'does not fit' -- "$EXACONN" plan "$work/huge/job.json"
# Time and cost from a rate; what a mask leaves.
"$EXACONN_FIXTURE" mask "$work/mask.h5" 56 18
small_job_volume=phantom:seed=7,shape=56,empty=0
small_job "$work/rates" '"chunks": {"shape": [28, 28, 28], "halo": [10, 10, 10]}' "\"mask\": {\"volume\": \"$work/mask.h5:/mask\"}"
expect 0 'leaves 56448 voxels of the box and nothing of 4 chunks' -- "$EXACONN" plan --mask "$work/rates/job.json"
expect 0 'as given' '2 ranks' 'cost ' -- "$EXACONN" plan --seconds-per-step 0.5 --ranks 2 --price 3 "$work/rates/job.json"
check "cost is core-hours times price" python3 -c 'import json, subprocess, sys
d = json.loads(subprocess.check_output([sys.argv[1], "plan", "--json", "--seconds-per-step", "0.5", "--ranks", "2", "--price", "3", sys.argv[2]]))
hours = d["steps_estimate"] * 0.5 * d["threads"] / 3600
sys.exit(not (abs(d["cost_estimate"] - 3 * hours) < 1e-9 * hours and abs(d["seconds_estimate"] - d["steps_estimate"] * 0.25) < 1e-6))' "$EXACONN" "$work/rates/job.json"
expect 2 'price needs a rate' -- "$EXACONN" plan --price 3 "$work/rates/job.json"
expect 2 'the job has no mask' -- "$EXACONN" plan --mask "$work/whole/job.json"

# 10 EB is planned exactly, at once, in little memory (a bound on memory; time is only guarded against enumeration).
for shape in 4642 512; do
    small_job_volume=phantom:seed=7,shape=2154434
    small_job "$work/exa" "\"chunks\": {\"shape\": [$shape, $shape, $shape]}"
    expect 0 '9999990391470218504 voxels' -- timeout 20 bash -c "ulimit -v 1500000; exec '$EXACONN' plan '$work/exa/job.json'"
done

finish
