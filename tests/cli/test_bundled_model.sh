#!/usr/bin/env bash
# The bundled network on phantoms that it was not trained on: adapted Rand error at most 0.05 in each box, and no two
# large neurites merged. The boxes were fixed before it was first evaluated, nothing was chosen on their seeds, and one of
# the eleven of docs/training.md stands for them, or with EXACONN_LONG_TESTS=1 four. Not under the sanitizers: thousands of steps.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: thousands of network steps are too slow under a sanitizer" >&2; exit 77; }
large=5000 # voxels of a neurite in the box

check "the bundled network is under 1 MB" test "$(stat -c %s "$small_weights")" -lt 1000000
expect 0 'seeds 101 to 108' 'train_ffn.py' -- "$EXACONN" info "$small_weights"

boxes=(8,shape=96)
[ -z "${EXACONN_LONG_TESTS:-}" ] || boxes=(7,shape=96 8,shape=96 9,shape=96 7,shape=128)
for box in "${boxes[@]}"; do
    small_job_volume="phantom:seed=$box" small_job "$work/$box"
    expect 0 'done in' -- "$EXACONN" run "$work/$box/job.json"
    segmentation=$work/$box/run/segmentation.h5:/segmentation truth="phantom:seed=$box:/labels"
    "$EXACONN" eval "$segmentation" "$truth" --ignore both --json > "$work/$box/scores"
    check "seed $box: adapted Rand error at most 0.05, at least half of the voxels labelled" python3 -c 'import json, sys
d = json.load(open(sys.argv[1])); s = json.load(open(sys.argv[2]))
print("ARAND error", d["arand_error"], "fill", s["fill_rate"])
sys.exit(not (d["arand_error"] <= 0.05 and s["fill_rate"] > 0.5))' "$work/$box/scores" "$work/$box/run/summary.json"
    # Two merges are looked for: a segment with this many voxels outside its best neurite, whosever they are; and from the
    # truth's side, two large neurites that lie in the same segment by the half.
    "$EXACONN" eval "$segmentation" "$truth" --ignore both --table "$work/$box/segments.csv" >/dev/null
    impure=$(awk -F, -v large=$large 'NR > 1 && $2 - $4 >= large' "$work/$box/segments.csv")
    check "seed $box: no segment with $large voxels of other neurites ($impure)" test -z "$impure"
    "$EXACONN" eval "$truth" "$segmentation" --ignore both --table "$work/$box/table.csv" >/dev/null
    merged=$(awk -F, -v large=$large 'NR > 1 && $2 >= large && $4 * 2 >= $2 && seen[$3]++' "$work/$box/table.csv")
    check "seed $box: no two neurites of $large voxels in one segment ($merged)" test -z "$merged"
    check "seed $box: there are large neurites" test "$(awk -F, -v large=$large 'NR > 1 && $2 >= large' "$work/$box/table.csv" | wc -l)" -gt 20
done
finish
