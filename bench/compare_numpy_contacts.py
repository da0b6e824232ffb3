"""Contacts of a segmentation by NumPy against bench_contact, in one run, with the same result.

    python bench/compare_numpy_contacts.py --bench build/default/bench/bench_contact FILE.h5 DATASET [--rounds 3]

NumPy: for each axis a comparison of shifted views, then np.unique of the pairs of dense labels (np.unique's inverse is
made once before and timed by itself, as bench_contact's numbers are). Columns: docs/benchmarks.md.
"""
import argparse
import collections
import subprocess
import tempfile
import time

import h5py
import numpy as np

try:
    import hdf5plugin  # noqa: F401, for zstd
except ImportError:
    pass


def count_numpy(dense, n):
    """Faces by axis of each pair of dense labels (0 = background), smaller one first."""
    pairs = {}
    for axis in range(3):
        here = dense[tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))]
        there = dense[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))]
        touch = (here != there) & (here != 0) & (there != 0)
        p, q = here[touch].astype(np.int64), there[touch].astype(np.int64)
        key, counts = np.unique(np.minimum(p, q) * n + np.maximum(p, q), return_counts=True)
        for k, c in zip(key.tolist(), counts.tolist()):
            pairs.setdefault(divmod(k, n), [0, 0, 0])[axis] = c
    return pairs


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('file')
    parser.add_argument('dataset')
    parser.add_argument('--bench', required=True)
    parser.add_argument('--threads', default='2')
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    with h5py.File(options.file) as f:
        labels = f[options.dataset][:].astype('u8')
    numbers_s, count_s = [], []
    for _ in range(options.rounds):
        began, cpu = time.perf_counter(), time.process_time()
        ids, dense = np.unique(labels, return_inverse=True)
        dense = dense.reshape(labels.shape) + (0 if ids[0] == 0 else 1)
        ids = ids if ids[0] == 0 else np.concatenate([[0], ids])
        numbers_s.append((time.perf_counter() - began, time.process_time() - cpu))
        began, cpu = time.perf_counter(), time.process_time()
        pairs = count_numpy(dense, len(ids))
        count_s.append((time.perf_counter() - began, time.process_time() - cpu))
    for name, seconds in (('numbers', numbers_s), ('count', count_s)):
        wall, cpu = sorted(seconds)[len(seconds) // 2]
        print(f'numpy {name}: {wall * 1e3:.1f} ms, cpu {cpu * 1e3:.1f} ms, {labels.size / wall * 1e-9:.4f} Gvoxel/s')
    with tempfile.NamedTemporaryFile('r', suffix='.csv') as table:
        subprocess.run([options.bench, f'{options.file}:/{options.dataset.lstrip("/")}', '--threads', options.threads,
                        '--csv', table.name], check=True)
        got = collections.defaultdict(lambda: np.zeros(3, int))
        for line in table:
            a, b, *faces = map(int, line.split(','))
            got[a, b] += faces
    want = {(int(ids[a]), int(ids[b])): faces for (a, b), faces in pairs.items()}
    assert {k: v.tolist() for k, v in got.items()} == want, 'the counts differ'
    print(f'the same {len(want)} pairs')


main()
