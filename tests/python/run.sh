#!/usr/bin/env bash
# Runs one Python test with the environment that scripts/test.sh made; skips aloud where it is absent.
set -u
python=${EXACONN_PYTHON:-$EXACONN_SOURCE_DIR/build/python/bin/python}
if ! "$python" -c 'import numpy, h5py, hdf5plugin' 2>/dev/null; then
    echo "SKIP: no Python with numpy, h5py and hdf5plugin ($python); run scripts/test.sh, or set EXACONN_PYTHON" >&2
    exit 77
fi
exec "$python" "$1"
