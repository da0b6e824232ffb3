#!/usr/bin/env bash
# From a fresh clone to a segmented piece of real brain: installs the dependencies, builds, gets the FIB-25 sample
# and its published FFN, segments a crop, scores it against the ground truth and draws a picture.
#   scripts/quickstart.sh [--size N]      crop of N^3 voxels, 64..250 (default 128: about two minutes on two cores)
set -euo pipefail
cd "$(dirname "$0")/.."
size=128
while [ $# -gt 0 ]; do
    case "$1" in
        --size) size=${2:?--size needs a number}; shift 2 ;;
        -h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "quickstart.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    esac
done
case "$size" in ''|*[!0-9]*) echo "quickstart.sh: --size must be a number, not '$size'" >&2; exit 2 ;; esac
if [ "$size" -lt 64 ] || [ "$size" -gt 250 ]; then echo "quickstart.sh: --size must be 64..250" >&2; exit 2; fi

step() { printf '\n== %s\n' "$*"; }
step "1/5 dependencies"
scripts/install_deps.sh
step "2/5 build"
mkdir -p build
if ! { cmake --preset release && cmake --build --preset release; } > build/quickstart.log 2>&1; then
    tail -n 30 build/quickstart.log >&2
    echo "quickstart.sh: the build failed; all of it is in build/quickstart.log" >&2
    exit 1
fi
exaconn=$PWD/build/release/exaconn
"$exaconn" --version | head -n 1

step "3/5 the FIB-25 sample and its published network"
out=$PWD/build/quickstart
mkdir -p "$out"
found=$(scripts/get_fib25.sh "$exaconn" "$PWD/build/fib25")
eval "$found"
"$exaconn" -q import-ffn "$checkpoint" -o "$out/ffn.h5" --force

step "4/5 segment ${size}^3 voxels"
start=$(( (250 - size) / 2 ))
cat > "$out/job-$size.json" <<JOB
{
  "volume": "$raw",
  "box": {"start": [$start, $start, $start], "shape": [$size, $size, $size]},
  "voxel_size_nm": [10, 10, 10],
  "weights": "ffn.h5",
  "output": "run-$size"
}
JOB
rm -rf "$out/run-$size" # of an earlier quickstart, perhaps of an older program
"$exaconn" run "$out/job-$size.json"

step "5/5 score and picture"
segmentation=$out/run-$size/segmentation.h5:/segmentation
"$exaconn" eval "$segmentation" "$truth" --ignore both
"$exaconn" render --raw "$raw" --seg "$segmentation" --truth "$truth" --slice "z=$((start + size / 2))" \
    --scale 3 -o "$out/segmentation-$size.png"

cat <<END

Done. Look at:
  $out/segmentation-$size.png     raw, ground truth and our segmentation, side by side
  $segmentation
  $out/run-$size/summary.json     what was done and how fast
The job was $out/job-$size.json: change it, or try
  $exaconn config --defaults      every key with its default
  $exaconn info $out/ffn.h5       the network
  ./scripts/reproduce_fib25.sh    the whole 250^3 sample against Google's published segmentation
END
