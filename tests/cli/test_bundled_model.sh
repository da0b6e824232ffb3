#!/usr/bin/env bash
# The bundled network on phantoms that it was not trained on: adapted Rand error at most 0.05 in each box, and no two
# large neurites merged. No threshold was chosen on these seeds (docs/training.md). Not under the sanitizers: thousands of network steps.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
[ -z "${EXACONN_SANITIZE:-}" ] || { echo "SKIP: thousands of network steps are too slow under a sanitizer" >&2; exit 77; }
large=5000 # voxels of a neurite in the box

check "the bundled network is under 1 MB" test "$(stat -c %s "$small_weights")" -lt 1000000
expect 0 'seeds 101 to 104' 'train_ffn.py' -- "$EXACONN" info "$small_weights"

for seed in 7 8 20; do
    small_job_volume="phantom:seed=$seed,shape=96" small_job "$work/$seed"
    expect 0 'done in' -- "$EXACONN" run "$work/$seed/job.json"
    segmentation=$work/$seed/run/segmentation.h5:/segmentation truth="phantom:seed=$seed,shape=96:/labels"
    "$EXACONN" eval "$segmentation" "$truth" --ignore both --json > "$work/$seed/scores"
    check "seed $seed: adapted Rand error at most 0.05, at least half of the voxels labelled" python3 -c 'import json, sys
d = json.load(open(sys.argv[1])); s = json.load(open(sys.argv[2]))
print("ARAND error", d["arand_error"], "fill", s["fill_rate"])
sys.exit(not (d["arand_error"] <= 0.05 and s["fill_rate"] > 0.5))' "$work/$seed/scores" "$work/$seed/run/summary.json"
    # Two merges are looked for: a segment with this many voxels outside its best neurite, whosever they are; and from the
    # truth's side, two large neurites that lie in the same segment by the half.
    "$EXACONN" eval "$segmentation" "$truth" --ignore both --table "$work/$seed/segments.csv" >/dev/null
    impure=$(awk -F, -v large=$large 'NR > 1 && $2 - $4 >= large' "$work/$seed/segments.csv")
    check "seed $seed: no segment with $large voxels of other neurites ($impure)" test -z "$impure"
    "$EXACONN" eval "$truth" "$segmentation" --ignore both --table "$work/$seed/table.csv" >/dev/null
    merged=$(awk -F, -v large=$large 'NR > 1 && $2 >= large && $4 * 2 >= $2 && seen[$3]++' "$work/$seed/table.csv")
    check "seed $seed: no two neurites of $large voxels in one segment ($merged)" test -z "$merged"
    check "seed $seed: there are large neurites" test "$(awk -F, -v large=$large 'NR > 1 && $2 >= large' "$work/$seed/table.csv" | wc -l)" -gt 20
done
finish
