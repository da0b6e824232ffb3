#!/usr/bin/env bash
# Passes the tests: installs what is missing, builds, runs everything. .ci/run calls exactly this.
#   scripts/test.sh              all labels; then most again under ASan + UBSan (CMakePresets.json says without which, for
#                                their time); then a short fuzz
#   scripts/test.sh --quick      only the first part
#   scripts/test.sh --long       also what the 30 minutes of CI have no room for: every test under the sanitizers, the
#                                direct kernel on the whole golden cube, a minute of each fuzz harness
#   scripts/test.sh -L LABEL     one label of the first part: unit, cuda, gpu, cli, mpi, fault, slurm, python
# The real data are found through EXACONN_DATA_DIR (default ../shared/data); what needs them skips aloud elsewhere. So
# does what needs Python packages where there is no network; nothing else needs one.
set -euo pipefail
cd "$(dirname "$0")/.."
quick=0 label=() sanitized=asan fuzz_seconds=8
while [ $# -gt 0 ]; do
    case "$1" in
        --quick) quick=1; shift ;;
        --long) export EXACONN_LONG_TESTS=1; sanitized=asan-all fuzz_seconds=60; shift ;;
        -L) label=(-L "${2:?-L needs a label}"); quick=1; shift 2 ;;
        -h|--help) sed -n '2,10s/^# \{0,1\}//p' "$0"; exit 0 ;;
        *) echo "test.sh: unknown option '$1' (see --help)" >&2; exit 2 ;;
    esac
done
step() { printf '\n== %s (%s)\n' "$*" "$(date +%H:%M:%S)"; }
jobs=$(nproc)

step "dependencies"
scripts/install_deps.sh --tests
python=build/python/bin/python
if ! "$python" -c 'import numpy, h5py, hdf5plugin, jsonschema, torch, tensorstore, cloudvolume' 2>/dev/null; then
    # Debian's own python3 first: it is the one whose venv module install_deps.sh installed.
    for base in /usr/bin/python3 python3; do
        "$base" -m venv build/python 2>/dev/null && break
    done
    "$python" -m pip install --quiet --disable-pip-version-check numpy h5py hdf5plugin jsonschema ||
        echo "test.sh: no Python packages to be had; the python tests will skip" >&2
    "$python" -m pip install --quiet --disable-pip-version-check tensorstore cloud-volume ||
        echo "test.sh: no tensorstore and cloud-volume to be had; the test of precomputed volumes will skip" >&2
    # Apart, as it is large: without it only the test of the training skips.
    [ "${EXACONN_NO_TORCH:-}" = 1 ] || echo "test.sh: getting PyTorch, some GB on Linux (EXACONN_NO_TORCH=1 leaves it out)"
    [ "${EXACONN_NO_TORCH:-}" = 1 ] ||
    "$python" -m pip install --quiet --disable-pip-version-check -r scripts/requirements-train.txt ||
        echo "test.sh: no PyTorch to be had; the test of train_ffn.py will skip" >&2
fi
export EXACONN_PYTHON=$PWD/$python

step "build"
cmake --preset default >/dev/null
cmake --build --preset default -j "$jobs"

step "tests"
ctest --preset default "${label[@]+"${label[@]}"}"
[ "$quick" -eq 0 ] || exit 0

step "build with AddressSanitizer and UndefinedBehaviorSanitizer"
cmake --preset "$sanitized" >/dev/null
cmake --build --preset "$sanitized" -j "$jobs"
step "tests under the sanitizers"
ctest --preset "$sanitized"

step "short fuzz"
bash tests/fuzz/smoke.sh "$fuzz_seconds"

step "the quickstart where nothing can be downloaded"
EXACONN_DATA_DIR=/nonexistent EXACONN_DOWNLOAD_URL=http://127.0.0.1:9 scripts/quickstart.sh --size 64 | tee build/quickstart_offline.log
grep -q 'procedural tissue and the bundled network' build/quickstart_offline.log
test -s build/quickstart/phantom-64.png

step "all passed"
