#!/usr/bin/env bash
# eval from the command line: options, refusals, and the published scores where the sample data are.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
make() { python3 "$EXACONN_SOURCE_DIR/tests/make_volume.py" "$@"; }

make truth "$work/t" && make seg "$work/s" && make seg "$work/small" --shape 12,40,44 || { echo "FAIL: make_volume.py"; exit 1; }
for v in t s small; do
    "$EXACONN" import-images "$work/$v" -o "$work/$v.h5:/labels" --voxel-size 8 >/dev/null || exit 1
done
seg=$work/s.h5:/labels truth=$work/t.h5:/labels

expect 0 'VOI +[0-9.]+ bits = [0-9.]+ split' 'adapted Rand' 'Rand index' -- "$EXACONN" eval "$seg" "$truth"
expect 0 'error 0.0000' 'VOI +0.0000' -- "$EXACONN" eval "$truth" "$truth"
expect 0 'best truth' -- "$EXACONN" eval "$seg" "$truth" --segments 3
expect 0 '"ignore": "both"' '"voi_split_bits"' '"best_truth"' -- "$EXACONN" eval "$seg" "$truth" --ignore both --json --segments 1
check "--json is JSON" sh -c '"$1" eval "$2" "$3" --json --segments 4 | python3 -m json.tool >/dev/null' - "$EXACONN" "$seg" "$truth"
expect 0 -- "$EXACONN" eval "$seg" "$truth" --table "$work/table.csv"
check "the table has a line for each segment" sh -c '[ "$(head -n 1 "$1")" = segment,voxels,best_truth,overlap,truth_voxels,iou ] && [ "$(wc -l <"$1")" -gt 10 ]' - "$work/table.csv"

# the same digits however little memory
"$EXACONN" eval "$seg" "$truth" --json >"$work/a"; "$EXACONN" eval "$seg" "$truth" --json --memory 1 >"$work/b"
check "scores do not depend on --memory" cmp "$work/a" "$work/b"

# volumes of different shapes
expect 2 'is 12 x 40 x 44 but' 'seg-offset' -- "$EXACONN" eval "$work/small.h5" "$truth"
expect 0 '12 x 40 x 44' -- "$EXACONN" eval "$work/small.h5" "$truth" --seg-offset 0,0,0
expect 0 'compared +10 x 40 x 44' -- "$EXACONN" eval "$work/small.h5" "$truth" --seg-offset 2,0,6
expect 0 'compared +3 x 4 x 5' -- "$EXACONN" eval "$work/small.h5" "$truth" --box 1,2,3,3,4,5
expect 2 'is not inside both' -- "$EXACONN" eval "$work/small.h5" "$truth" --box 0,0,0,1,1,45
expect 2 'does not meet' -- "$EXACONN" eval "$work/small.h5" "$truth" --seg-offset 12,0,0
expect 2 'six whole numbers' -- "$EXACONN" eval "$seg" "$truth" --box 1,2,3
expect 2 'both' -- "$EXACONN" eval "$seg" "$truth" --ignore all
expect 2 'MiB' -- "$EXACONN" eval "$seg" "$truth" --memory 0
expect 1 'No such file' -- "$EXACONN" eval "$work/absent.h5:/x" "$truth"
expect 2 'did you mean /labels' -- "$EXACONN" eval "$work/s.h5:/label" "$truth"
expect 1 'No such file' -- "$EXACONN" eval "$seg" "$truth" --table "$work/no/table.csv"
# nothing to compare is an error, not a score
mkdir "$work/z"
python3 -c 'import sys; sys.path.insert(0, sys.argv[1]); import make_volume
for z in range(12): open("%s/%d.png" % (sys.argv[2], z), "wb").write(make_volume.png([[0] * 50] * 40, 8, False))' "$EXACONN_SOURCE_DIR/tests" "$work/z"
"$EXACONN" import-images "$work/z" -o "$work/z.h5:/labels" --voxel-size 8 >/dev/null || exit 1
expect 2 'all 24000 are ignored \(--ignore truth\)' 'hint: .*--ignore none' -- "$EXACONN" eval "$seg" "$work/z.h5" --table "$work/z.csv"
expect 2 'all 24000 are ignored' -- "$EXACONN" eval "$work/z.h5" "$truth" --ignore both --json
check "no table of nothing" test ! -e "$work/z.csv"
expect 0 -- "$EXACONN" eval "$seg" "$work/z.h5" --ignore none
truncate -s 3000 "$work/small.h5"
expect 4 'small.h5' -- "$EXACONN" eval "$work/small.h5" "$truth"

# the published FFN segmentation of FIB-25 (google/ffn) against its ground truth
if [ -e "$data/fib25_sample2.h5" ]; then
    d=$data/fib25_sample2.h5
    expect 0 '13867123 voxels' '0\.6126 split \+ 0\.2632 merge' 'error 0\.0557' -- "$EXACONN" eval "$d:/ffn_reference" "$d:/groundtruth" --ignore both
    expect 0 '15624750 voxels; 250 ignored' '0\.8987 split \+ 0\.9184 merge' 'error 0\.1574' -- "$EXACONN" eval "$d:/ffn_reference" "$d:/groundtruth"
    expect 0 '599573 voxels' '0\.2696 split \+ 0\.2015 merge' 'error 0\.0215' -- "$EXACONN" eval "$data/ffn_golden_seg.h5:/cube96/segmentation" "$d:/groundtruth" --seg-offset 77,77,77 --ignore both
else
    echo "SKIP of the published scores only: $data/fib25_sample2.h5 is not there" >&2
fi
finish
