#!/usr/bin/env bash
# The whole 250^3 FIB-25 sample, compared voxel by voxel with Google's published segmentation (where it is at hand)
# and scored against the ground truth. A quarter of an hour to an hour on a few cores.
#   scripts/reproduce_fib25.sh [--kernel winograd|direct] [--output FOLDER]
set -euo pipefail
cd "$(dirname "$0")/.."
kernel=auto out=$PWD/build/reproduce_fib25
while [ $# -gt 0 ]; do
    case "$1" in
        --kernel) kernel=${2:?}; shift 2 ;;
        --output) out=${2:?}; shift 2 ;;
        -h|--help) sed -n '2,4s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "reproduce_fib25.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    esac
done
scripts/install_deps.sh
cmake --preset release >/dev/null
cmake --build --preset release >/dev/null
exaconn=$PWD/build/release/exaconn
mkdir -p "$out"
out=$(cd "$out" && pwd)
found=$(scripts/get_fib25.sh "$exaconn" "$PWD/build/fib25")
eval "$found"
[ -e "$out/ffn.h5" ] || "$exaconn" import-ffn "$checkpoint" -o "$out/ffn.h5"
cat > "$out/job-$kernel.json" <<JOB
{
  "volume": "$raw",
  "voxel_size_nm": [10, 10, 10],
  "weights": "ffn.h5",
  "output": "run-$kernel",
  "compute": {"kernel": "$kernel"},
  "segmentation": {"zstd_level": 0},
  "progress": {"interval_s": 60}
}
JOB
"$exaconn" run "$out/job-$kernel.json"
segmentation=$out/run-$kernel/segmentation.h5:/segmentation
echo
echo "Counters Google published: 12464 seeds, 517 floods, 25799 steps, 254 objects, 13867123 voxels,"
echo "343 skip_threshold, 19296 skip_invalid_pos, 60 seed_got_too_weak, 826190 overlapping. Ours:"
cat "$out/run-$kernel/summary.json"
if [ -n "$published" ]; then
    echo; echo "Against Google's published segmentation:"
    "$exaconn" eval "$segmentation" "$published" --ignore none
    for python in python3 /usr/bin/python3; do # uncompressed above, so that any h5py reads it
        "$python" -c 'import h5py' 2>/dev/null || continue
        "$python" - "$segmentation" "$published" <<'PY'
import sys, h5py
a, b = (h5py.File(v.rsplit(':', 1)[0])[v.rsplit(':', 1)[1]][:] for v in sys.argv[1:])
print(f'voxels differing: {int((a != b).sum())} of {a.size}')
PY
        break
    done
fi
echo; echo "Against the ground truth (published: ARAND 0.0557, VOI 0.613 split + 0.263 merge):"
"$exaconn" eval "$segmentation" "$truth" --ignore both
