#!/usr/bin/env bash
# Chunks that cannot be done: tried again, listed, exit code 3, and done by the same command once that is mended.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
# A float volume with a voxel that is no number: the chunks whose boxes hold it fail when it is read.
python=${EXACONN_PYTHON:-python3}
"$python" -c "import h5py" 2>/dev/null || { echo "SKIP: no Python with h5py (EXACONN_PYTHON)" >&2; exit 77; }
"$EXACONN" phantom seed=7,shape=40x56x40,empty=0 -o "$work/raw.h5:/raw" >/dev/null || exit 1
make_volume() {
    "$python" - "$work/raw.h5" "$work/volume.h5" "$1" <<'P'
import h5py, sys
try:
    import hdf5plugin
except ImportError:
    pass
raw = h5py.File(sys.argv[1])["raw"][:].astype("f4")
if sys.argv[3] == "bad":
    raw[20, 3, 20] = float("nan")
with h5py.File(sys.argv[2], "w") as f:
    f["raw"] = raw
P
}
make_volume bad || { echo "SKIP: h5py cannot read zstd" >&2; exit 77; }
small_job_volume=volume.h5:/raw small_job "$work/job" '"chunks": {"shape": [40, 20, 40], "halo": [8, 8, 8]}' '"compute": {"threads": 1}'
mv "$work/volume.h5" "$work/job/"
expect 3 'it is tried again' 'given up' '1 of 3 chunks failed' 'failed_chunks.csv' 'same command' -- "$EXACONN" run "$work/job/job.json"
check "nothing that looks whole" test ! -e "$work/job/run/summary.json" -a ! -e "$work/job/run/segmentation.h5"
check "the list names the chunk and why" grep -q '^0,0,0,0,40,28,40,3,".*not finite.*(20, 3, 20)' "$work/job/run/failed_chunks.csv"
expect 3 'resumed: 2 of 3' -- "$EXACONN" run "$work/job/job.json"
if command -v mpirun >/dev/null; then
    ASAN_OPTIONS=${ASAN_OPTIONS:-}:detect_leaks=0 # as in test_mpi_run.sh
    export ASAN_OPTIONS
    mkdir "$work/ranks" && cp "$work/job/job.json" "$work/job/volume.h5" "$work/ranks/"
    expect 3 'it is tried again' '1 of 3 chunks failed' -- mpirun -n 2 "$EXACONN" run "$work/ranks/job.json"
    check "ranks: the list names the chunk" grep -q '^0,0,0,0,40,28,40,3,' "$work/ranks/run/failed_chunks.csv"
fi
make_volume good && mv "$work/volume.h5" "$work/job/"
expect 0 'resumed: 2 of 3' 'done in' -- "$EXACONN" run "$work/job/job.json"
check "the list is gone" test ! -e "$work/job/run/failed_chunks.csv"
finish
