#!/usr/bin/env bash
# From a fresh clone to a segmented piece of brain: installs the dependencies, builds, gets the FIB-25 sample and its
# published network, segments a crop, scores it against the ground truth and draws a picture. Where the sample is not
# at hand and cannot be downloaded, the same with the phantom and the bundled network.
#   scripts/quickstart.sh [--size N]      crop of N^3 voxels, 64..250 (default 128: about two minutes on two cores)
#   scripts/quickstart.sh --phantom       the phantom in any case; nothing is downloaded
set -euo pipefail
cd "$(dirname "$0")/.."
size=128 phantom=0
while [ $# -gt 0 ]; do
    case "$1" in
        --size) size=${2:?--size needs a number}; shift 2 ;;
        --phantom) phantom=1; shift ;;
        -h|--help) sed -n '2,6s/^# \{0,1\}//p' "$0"; exit 0 ;;
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

use_phantom() {
    raw="phantom:seed=7,shape=$size" name=phantom weights=$PWD/configs/ffn_phantom.h5 start=0
    truth="$raw:/labels"
}
out=$PWD/build/quickstart
mkdir -p "$out"
step "3/5 the FIB-25 sample and its published network"
if [ "$phantom" -eq 1 ]; then
    echo "--phantom: procedural tissue and the bundled network instead (docs/phantom.md, docs/training.md)"
    use_phantom
elif found=$(scripts/get_fib25.sh "$exaconn" "$PWD/build/fib25"); then
    eval "$found" # sets raw, truth, checkpoint
    name=fib25 weights=$out/ffn.h5 start=$(((250 - size) / 2))
    "$exaconn" -q import-ffn "$checkpoint" -o "$weights" --force
else
    echo "The sample could not be had, for the reason above: procedural tissue and the bundled network instead"
    echo "(docs/phantom.md, docs/training.md). With the sample in a folder: EXACONN_DATA_DIR=FOLDER $0"
    use_phantom
fi

step "4/5 segment ${size}^3 voxels of $raw"
job=$out/$name-$size.json run=$out/$name-$size
cat > "$job" <<JOB
{
  "volume": "$raw",
  "box": {"start": [$start, $start, $start], "shape": [$size, $size, $size]},
  "weights": "$weights",
  "output": "$name-$size"
}
JOB
rm -rf "$run" # of an earlier quickstart, perhaps of an older program
"$exaconn" run "$job"

step "5/5 score and picture"
segmentation=$run/segmentation.h5:/segmentation
"$exaconn" eval "$segmentation" "$truth" --ignore both
"$exaconn" render --raw "$raw" --seg "$segmentation" --truth "$truth" --slice "z=$((start + size / 2))" \
    --scale 3 -o "$run.png"

cat <<END

Done. Look at:
  $run.png     raw, ground truth and our segmentation, side by side
  $segmentation
  $run/summary.json     what was done and how fast
The job was $job: change it, or try
  $exaconn config --defaults      every key with its default
  $exaconn info $weights       the network
END
if [ "$name" = fib25 ]; then
    echo "  ./scripts/quickstart.sh --phantom   procedural tissue with exact labels, of any size"
    echo "  ./scripts/reproduce_fib25.sh    the whole 250^3 sample against Google's published segmentation"
else
    echo "  $exaconn phantom --help         more tissue, its labels and its synapses"
fi
