#!/usr/bin/env bash
# Trains the bundled network (configs/ffn_phantom.h5) again: makes eight phantoms and runs train_ffn.py on them.
# About two hours on one core; interrupted, the same command goes on (docs/training.md has the figures).
#   scripts/train_phantom.sh WORK_FOLDER [OPTION OF train_ffn.py...]      for example --seed 2
# Python with PyTorch: EXACONN_PYTHON, else an environment made in build/train from requirements-train.txt.
set -euo pipefail
case "${1:-}" in
    ''|-h|--help) sed -n '2,5s/^# \{0,1\}//p' "$0"; [ -n "${1:-}" ] && exit 0 || exit 2 ;;
esac
mkdir -p "$1"
work=$(cd "$1" && pwd)
shift
cd "$(dirname "$0")/.."
exaconn=build/release/exaconn
[ -x "$exaconn" ] || { echo "train_phantom.sh: $exaconn is not there. Hint: cmake --preset release && cmake --build --preset release" >&2; exit 1; }
python=${EXACONN_PYTHON:-build/train/bin/python}
if ! "$python" -c 'import torch, h5py, hdf5plugin' 2>/dev/null; then
    python=build/train/bin/python
    [ -x "$python" ] || python3 -m venv build/train
    "$python" -m pip install --quiet --disable-pip-version-check -r scripts/requirements-train.txt
fi

# Seeds 101 to 108: no test and no quickstart uses them. Six as they come, two with more somata and astrocytes.
data=()
for seed in {101..108}; do
    phantom=seed=$seed,shape=256,empty=0
    [ "$seed" -lt 107 ] || phantom+=,somata=0.5,glia=0.5
    raw=$work/seed_${seed}_raw.h5 labels=$work/seed_${seed}_labels.h5
    [ -e "$raw" ] && [ -e "$labels" ] || "$exaconn" phantom "$phantom" -o "$raw:/raw" --labels "$labels:/labels" --force
    data+=(--data "$raw:/raw" "$labels:/labels")
done
exec "$python" scripts/train_ffn.py "${data[@]}" --work "$work" --depth 4 --features 16 --fov 17,17,17 --deltas 4,4,4 \
    --steps 30000 --batch 8 --lr 0.0015 --dark-sections 0.02 --border 1,1,1 --min-segment-size 500 --segment-threshold 0.8 --license Apache-2.0 \
    --note 'phantoms of exaconn, seeds 101 to 108 (scripts/train_phantom.sh)' "$@"
