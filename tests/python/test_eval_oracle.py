"""`exaconn eval` against an independent computation in numpy, to 1e-9: random volumes, and the published FIB-25 scores."""
import json
import os
import pathlib
import subprocess
import tempfile

import h5py
import numpy as np

EXACONN = os.environ['EXACONN']
DATA = pathlib.Path(os.environ.get('EXACONN_DATA_DIR') or
                    pathlib.Path(os.environ['EXACONN_SOURCE_DIR']) / '../shared/data')


def entropy(counts):
    p = counts.astype(float) / counts.sum()
    return -(p * np.log2(p)).sum()


def count_pairs(a, b):
    """Voxels of each pair that occurs, from labels 0..n-1."""
    width = int(b.max()) + 1
    return (lambda c: c[c > 0])(np.bincount(a.astype(np.int64) * width + b))


def singletons(s, t, b):
    """The adapted Rand error with every unsegmented voxel an object of its own."""
    if len(s) < 10**6:  # literally: give each a label of its own and count again
        own = s.copy()
        own[s == 0] = s.max() + 1 + np.arange((s == 0).sum())
        _, own = np.unique(own, return_inverse=True)
        joint, a = count_pairs(own.ravel(), t), np.bincount(own.ravel())
        both, same = squares(joint), squares(a)
    else:
        alone = int((s == 0).sum())
        both = squares(count_pairs(s[s > 0], t[s > 0])) + alone
        same = squares(np.bincount(s[s > 0])) + alone
    return 1 - 2 * (both / same) * (both / squares(b)) / (both / same + both / squares(b))


def squares(counts):
    return sum(int(v) ** 2 for v in counts)


def pairs(counts):
    return sum(int(v) * (int(v) - 1) // 2 for v in counts)


def compact(labels):
    """Labels 0..n-1 with 0 kept for 0."""
    values, inverse = np.unique(labels, return_inverse=True)
    return inverse.ravel() + (values[0] != 0)


def oracle(seg, truth, ignore):
    """From compact labels: VOI by H(joint) - H(marginal), Rand by counting pairs, other formulas than the program's."""
    keep = np.ones(len(seg), bool)
    if ignore != 'none':
        keep &= truth > 0
    if ignore == 'both':
        keep &= seg > 0
    s, t = seg[keep], truth[keep]
    joint = count_pairs(s, t)
    a, b = np.bincount(s), np.bincount(t)
    objects = (a[1:] > 0).sum(), (b[1:] > 0).sum()
    a, b = a[a > 0], b[b > 0]
    n = len(s)
    total = n * (n - 1) // 2
    precision, recall = squares(joint) / squares(a), squares(joint) / squares(b)
    return dict(voxels=n, ignored_voxels=len(seg) - n, segments=objects[0], truth_objects=objects[1],
                overlaps=len(joint), voi_split_bits=entropy(joint) - entropy(b),
                voi_merge_bits=entropy(joint) - entropy(a), arand_precision=precision, arand_recall=recall,
                arand_error=1 - 2 * precision * recall / (precision + recall),
                arand_error_singletons=singletons(s, t, b),
                rand_index=(total + 2 * pairs(joint) - pairs(a) - pairs(b)) / total)


def compare(seg_name, truth_name, seg, truth, worst):
    s, t = compact(seg), compact(truth)
    wanted = {}
    for ignore in ('truth', 'both', 'none'):
        got = json.loads(subprocess.run([EXACONN, 'eval', seg_name, truth_name, '--ignore', ignore, '--json', '--segments',
                                         '1000000'], capture_output=True, text=True, check=True).stdout)
        want = wanted[ignore] = oracle(s, t, ignore)
        for key, value in want.items():
            error = abs(got[key] - value)
            worst[0] = max(worst[0], error)
            assert error < 1e-9, (seg_name, ignore, key, got[key], value)
        if ignore == 'truth':
            compare_segments(got['largest_segments'], seg, truth)
    return wanted


def compare_segments(got, seg, truth):
    keep = (truth > 0) & (seg > 0)
    ids, counts = np.unique(seg[keep], return_counts=True)
    want = sorted(zip((-counts).tolist(), ids.tolist()))
    assert [(-g['voxels'], g['segment']) for g in got] == want
    for g in got[:20]:
        labels, n = np.unique(truth[keep & (seg == g['segment'])], return_counts=True)
        assert g['best_truth'] == labels[n.argmax()] and g['overlap'] == n.max(), g
        assert g['truth_voxels'] == (truth == g['best_truth']).sum(), g


def random_volumes(worst):
    rng = np.random.default_rng(7)
    with tempfile.TemporaryDirectory() as folder:
        path = f'{folder}/v.h5'
        for i in range(12):
            shape = rng.integers(1, 40, 3) + (i == 0)
            seg = rng.integers(0, 1 + rng.integers(1, 500), shape).astype('u8')
            truth = rng.integers(0, 1 + rng.integers(1, 80), shape).astype('u4')
            if i % 3 == 1:  # blocks, as real objects are
                seg = np.kron(seg, np.ones((2, 3, 4), 'u8'))
                truth = np.kron(truth, np.ones((2, 3, 4), 'u4'))
            if i % 2:
                seg = seg * np.uint64(0x9E3779B97F4A7)  # ids far above 2^32
            seg[0, 0, 0] = truth[0, 0, 0] = 1
            with h5py.File(path, 'w') as f:
                f.create_dataset('seg', data=seg, chunks=tuple(min(9, n) for n in seg.shape), compression='gzip')
                f['truth'] = truth
            if seg.size > 1:
                compare(f'{path}:/seg', f'{path}:/truth', seg, truth, worst)


def published(worst):
    path = DATA / 'fib25_sample2.h5'
    if not path.exists():
        print(f'SKIP of the published scores only: {path} is not there (set EXACONN_DATA_DIR)')
        return
    with h5py.File(path) as f:
        seg, truth = f['ffn_reference'][:].astype('u8'), f['groundtruth'][:].astype('u8')
    scores = compare(f'{path}:/ffn_reference', f'{path}:/groundtruth', seg, truth, worst)
    both, default = scores['both'], scores['truth']
    assert (round(both['arand_error'], 4), round(both['voi_split_bits'], 3), round(both['voi_merge_bits'], 3)) == (
        .0557, .613, .263)
    assert (round(default['arand_error'], 3), round(default['voi_split_bits'], 3), round(default['voi_merge_bits'], 3)) == (
        .157, .899, .918)
    print('ok: published scores')


worst = [0.0]
random_volumes(worst)
published(worst)
print(f'ok: largest difference {worst[0]:.2e}')
