"""`exaconn embed` on a phantom: nodes against NumPy's own downsampling, CSV against the table, the same bytes for any
number of ranks and threads, classifiers of every form against NumPy, and what is refused."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy as np

EXACONN = os.environ['EXACONN']
sys.path.insert(0, str(pathlib.Path(os.environ['EXACONN_SOURCE_DIR']) / 'scripts'))
import weights_file  # noqa: E402

SIZE, NM = 96, (16.0, 16.0, 16.0)
RNG = np.random.default_rng(5)


def run(*arguments, code=0, ranks=0):
    command = ['mpirun', '-n', str(ranks)] * (ranks > 0) + [EXACONN, *map(str, arguments)]
    r = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert (r.returncode == 0) == (code == 0) and (ranks or r.returncode == code), (command, r.returncode, r.stdout)
    return r.stdout


def table(path):
    with h5py.File(path) as f:
        return {k: f[k][:] for k in f}, dict(f.attrs)


def halve(labels):
    """Majority of 2 x 2 x 2, of equal ones the smallest."""
    n = SIZE // 2
    blocks = labels.reshape(n, 2, n, 2, n, 2).transpose(0, 2, 4, 1, 3, 5).reshape(n, n, n, 8)
    blocks = np.sort(blocks, axis=-1)
    count = (blocks[..., :, None] == blocks[..., None, :]).sum(-1)
    return np.take_along_axis(blocks, count.argmax(-1)[..., None], -1)[..., 0]


def dense(x, tensors, name):
    return x @ tensors[f'{name}/kernel'].astype(float) + tensors[f'{name}/bias'].astype(float)


def norm(x, tensors, name):
    g, b, m, v = (tensors[f'{name}/{p}'].astype(float) for p in ('gamma', 'beta', 'mean', 'variance'))
    return (x - m) / np.sqrt(v + 1e-5) * g + b


def random_classifier(path, layers, use_bn, output, normalize=1):
    """A file and the function it stands for: logits and variance."""
    t, hidden, classes, n = {}, 24 if layers else 64, 5, 40
    put = lambda name, *shape, scale=0.3: t.update({name: (scale * RNG.standard_normal(shape)).astype('f4')})
    put('standardize/mean', 64)
    t['standardize/std'] = (20 + RNG.random(64)).astype('f4')
    both = lambda name, i, o: (put(f'{name}/kernel', i, o), put(f'{name}/bias', o))
    if layers:
        both('input', 64, hidden)
    for i in range(layers):
        both(f'block_{i}/dense_0', hidden, hidden)
        both(f'block_{i}/dense_1', hidden, hidden)
        for k in range(2 * use_bn):
            for part in ('gamma', 'beta', 'mean'):
                put(f'block_{i}/bn_{k}/{part}', hidden, scale=1)
            t[f'block_{i}/bn_{k}/variance'] = (0.5 + RNG.random(hidden)).astype('f4')
    a = dict(inputs=64, classes=classes, layers=layers, hidden=hidden, use_bn=use_bn, bn_epsilon=1e-5, output=output,
             class_names='\n'.join(f'class {i}' for i in range(classes)), source='random')
    if output == 'gp':
        both('gp/random', hidden, n)
        both('gp/output', n, classes)
        p = RNG.standard_normal((n, n))
        t['gp/precision'] = (p @ p.T / n + 0.3 * np.eye(n)).astype('f4')
        t['gp/precision'] = (t['gp/precision'] + t['gp/precision'].T) / 2
        a.update(gp_features=n, gp_normalize_input=normalize, gp_feature_scale=float(np.sqrt(2 / n)), gp_ridge=0.01,
                 gp_lambda=float(np.pi / 8))
        if normalize:
            a['gp_norm_epsilon'] = 1e-3
            put('gp/norm_gamma', hidden, scale=1)
            put('gp/norm_beta', hidden)
        else:
            a['gp_kernel_scale'] = 2.0
    else:
        both('output', hidden, classes)
    weights_file.write_tensors(path, 'segclr-classifier', 1, a, sorted(t.items()))

    def evaluate(x):
        h = (x - t['standardize/mean']) / t['standardize/std']
        if layers:
            h = dense(h, t, 'input')
        for i in range(layers):
            y = np.maximum(norm(h, t, f'block_{i}/bn_0') if use_bn else h, 0)
            y = dense(y, t, f'block_{i}/dense_0')
            y = np.maximum(norm(y, t, f'block_{i}/bn_1') if use_bn else y, 0)
            h = h + dense(y, t, f'block_{i}/dense_1')
        if output == 'dense':
            return dense(h, t, 'output'), np.zeros(len(h))
        if normalize:
            h = (h - h.mean(1, keepdims=True)) / np.sqrt(h.var(1, keepdims=True) + 1e-3)
            h = h * t['gp/norm_gamma'] + t['gp/norm_beta']
        else:
            h = h / np.sqrt(2.0)
        f = np.cos(dense(h, t, 'gp/random')) * np.sqrt(2 / n)
        variance = 0.01 * np.einsum('ni,ij,nj->n', f, np.linalg.inv(t['gp/precision'].astype(float)), f)
        return dense(f, t, 'gp/output') / np.sqrt(1 + np.pi / 8 * variance)[:, None], variance

    return t, a, evaluate


def check_nodes(t, attributes, labels):
    small = halve(labels)
    at = np.floor(t['position_zyx_nm'] / 32).astype(int)
    assert np.allclose(t['position_zyx_nm'], (at + 0.5) * 32)
    assert (small[tuple(at.T)] == t['segment']).all(), 'nodes lie in their segments'
    ids, voxels = np.unique(small[small > 0], return_counts=True)
    assert (np.unique(t['segment']) == ids[voxels >= 100]).all(), 'every large enough segment has nodes'
    parent = t['parent']
    first = np.searchsorted(t['segment'], t['segment'])
    assert (t['node'] == np.arange(len(parent)) - first).all() and (parent < t['node']).all()
    child = parent >= 0
    gap = np.linalg.norm(t['position_zyx_nm'] - t['position_zyx_nm'][first + np.maximum(parent, 0)], axis=1)
    assert (t['length_nm'][child] >= gap[child] - 1e-6).all() and (t['length_nm'][~child] == 0).all()
    half = np.minimum(at + 17, SIZE // 2) - np.maximum(at - 16, 0)
    assert np.allclose(t['outside'], 1 - half.prod(1) / 33.0 ** 3)
    assert attributes['network'].startswith(b'random numbers') or 'nobody trained' in str(attributes['network'])


def check_csv(folder, t):
    assert {f.name for f in folder.iterdir()} == {f'{i}.csv' for i in np.unique(t['segment'])}
    for segment in np.unique(t['segment'])[:10]:
        rows, mine = np.loadtxt(folder / f'{segment}.csv', delimiter=',', ndmin=2), t['segment'] == segment
        assert (rows[:, 0] == t['node'][mine]).all() and np.allclose(rows[:, 3:0:-1], t['position_zyx_nm'][mine])
        assert (rows[:, 4:].astype('f4') == t['embedding'][mine]).all()


def check_classifiers(work, args, mean):
    for number, form in enumerate([(0, 0, 'dense'), (2, 1, 'dense'), (2, 0, 'gp'), (0, 0, 'gp', 0)]):
        tensors, attributes, evaluate = random_classifier(work / 'c.h5', *form)
        run('embed', *args, '--classifier', work / 'c.h5', '-fo', work / 'classes.h5')
        t, a = table(work / 'classes.h5')
        assert (t['mean'] == mean).all()
        logits, variance = evaluate(mean.astype(float))
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        assert np.abs(t['probability'] - p).max() < 1e-5, form
        sure = np.sort(p, 1)[:, -1] - np.sort(p, 1)[:, -2] > 1e-5
        assert (t['class'] == p.argmax(1))[sure].all()
        assert np.allclose(t['variance'], variance, rtol=1e-5, atol=1e-12)
        assert np.allclose(t['uncertainty'], 5 / (5 + np.exp(logits).sum(1)), rtol=1e-6)
        assert 'class 4' in str(a['class_names'])

        def refused(message, change, tensors=tensors, attributes=attributes):
            t2, a2 = dict(tensors), dict(attributes)
            change(t2, a2)
            weights_file.write_tensors(work / 'bad.h5', 'segclr-classifier', 1, a2, sorted(t2.items()))
            out = run('embed', *args, '--classifier', work / 'bad.h5', '-o', work / 'x.h5',
                      code=2 if 'do not belong' in message else 4)
            assert message in out and not (work / 'x.h5').exists(), out
        if number == 0:
            refused("'output/bias' is missing", lambda t, a: t.pop('output/bias'))
            refused('do not belong together', lambda t, a: a.update(inputs=32))
            refused('5 tensors, of which the classifier needs 4', lambda t, a: t.update(extra=np.zeros(2)))
            refused('not of shape [64, 5]', lambda t, a: t.update({'output/kernel': np.zeros((64, 4))}))
            refused('4 lines for 5 classes', lambda t, a: a.update(class_names='a\nb\nc\nd'))
        if number == 2:
            refused('not positive definite', lambda t, a: t.update({'gp/precision': -t['gp/precision']}))


def check_offset(work, volume, args):
    """A segmentation of a box: the whole image, the image of the box, and where connectome says its segments lie."""
    start, n = (16, 24, 32), 48
    box = ','.join(map(str, (*start, n, n, n)))
    run('phantom', volume, '--level', 0, '--box', box, '--labels', f'{work}/part.h5:/labels', '-o', f'{work}/part_raw.h5:/raw')
    part = [f'{work}/part.h5:/labels', *args[1:]]
    run('embed', *part, '-o', work / 'part_out.h5')
    t, a = table(work / 'part_out.h5')
    with h5py.File(work / 'part.h5') as f:
        labels = f['labels'][:].astype(np.uint64)
    at = np.floor((t['position_zyx_nm'] / 16 - start) / 2).astype(int)
    blocks = np.stack([labels[tuple((2 * at + [i >> 2, i >> 1 & 1, i & 1]).T)] for i in range(8)], -1)
    assert len(at) and (blocks == t['segment'][:, None]).any(-1).all(), 'nodes lie in their segments'
    assert (a['offset_zyx_vx'] == start).all()
    run('connectome', part[0], '-o', work / 'connectome', '--no-sites')
    head, *rows = [line.split(',') for line in (work / 'connectome' / 'segments.csv').read_text().splitlines()
                   if not line.startswith('#')]
    rows = {int(r[0]): dict(zip(head, r)) for r in rows}
    for i, p in zip(t['segment'], t['position_zyx_nm'] / 16):
        low, extent = (np.array([int(rows[int(i)][f'{k}_{x}']) for x in 'zyx']) for k in ('start', 'shape'))
        assert (p >= low - 1).all() and (p <= low + extent + 1).all(), (i, p, rows[int(i)])
    same = list(part)
    same[same.index(volume)] = f'{work}/part_raw.h5:/raw'
    run('embed', *same, '-o', work / 'part_same.h5')
    s, _ = table(work / 'part_same.h5')
    assert all((s[k] == t[k]).all() for k in t), 'the image of the box gives the same'
    with h5py.File(work / 'plain.h5', 'w') as f:  # nothing says where it lies
        f['seg'] = labels
    moved = [f'{work}/plain.h5:/seg', *args[1:]]
    assert 'offset_zyx_vx' in run('embed', *moved, '-o', work / 'x.h5', code=2)
    offset = ['--offset', ','.join(map(str, start))]
    run('embed', *moved, *offset, '-o', work / 'moved.h5')
    s, _ = table(work / 'moved.h5')
    assert all((s[k] == t[k]).all() for k in t), '--offset is the attribute'
    run('embed', *part, '--box', '32,40,48,32,32,32', '-o', work / 'inner.h5')
    s, _ = table(work / 'inner.h5')
    assert (s['position_zyx_nm'] > 16 * np.array([32, 40, 48])).all() and len(s['segment'])
    assert (s['position_zyx_nm'] < 16 * np.array([64, 72, 80])).all()
    assert 'is not inside' in run('embed', *part, '--box', '0,0,0,32,32,32', '-o', work / 'x.h5', code=2)
    assert 'does not cover' in run('embed', *part, '--offset', '60,0,0', '-o', work / 'x.h5', code=2)


def check_refusals(work, volume, weights, args):
    refused = lambda *a, code=2: run('embed', *a, '-o', work / 'x.h5', code=code)
    assert f'hint: {volume}:/labels' in refused(volume, *args[1:])
    assert f'hint: {volume}:/labels' in refused(f'{volume}:/raw', *args[1:])
    both = f'{work}/part_raw.h5'
    for name in (f'{both}:/raw', f'{work}/./part_raw.h5:raw', both):
        assert 'both the image and' in refused(name, '--image', f'{both}:/raw', '-w', weights)
    bytes_, bad = weights.read_bytes(), work / 'bad_w.h5'
    for content in (bytes_[:-1], bytes_[:3000] + b'?' + bytes_[3001:], b'no weights', bytes_[512:]):
        bad.write_bytes(content)
        out = refused(*args[:4], bad, code=4)
        assert 'import-segclr' in out and 'import-ffn' not in out, out
    ffn = pathlib.Path(os.environ['EXACONN_SOURCE_DIR']) / 'configs' / 'ffn_phantom.h5'
    out = refused(*args[:4], ffn, code=4)
    assert "not 'segclr-resnet3d'" in out and 'import-segclr' in out, out
    # what cannot be written is said before anything is computed, and nothing stays
    for where in (['-o', '/proc/x.h5'], ['-o', work / 'x.h5', '--csv', '/proc/x'],
                  ['-o', '/proc/x.h5', '--csv', work / 'new' / 'csv']):
        out = run('embed', *args, *where, code=1)
        assert '/proc/x' in out and 'segments' not in out, out
    assert not (work / 'new').exists() and not (work / 'x.h5').exists()


def check_folder(work, args, t):
    """CSV files of an earlier run go, others stay."""
    csv = work / 'csv'
    ours, other, header = csv / '999999.csv', csv / 'notes.csv', csv / '888888.csv'
    assert 'is not empty' in run('embed', *args, '-o', work / 'x.h5', '--csv', csv, code=2)
    ours.write_text('0,1.5,2,3e2,-0.25\n')
    header.write_text('node_id,x,y,z\n0,1,2,3,4\n')
    other.write_text('0,1,2,3,4\n')
    run('embed', *args, '-fo', work / 'one.h5', '--csv', csv)
    assert not ours.exists() and other.exists() and header.exists()
    other.unlink(), header.unlink()
    check_csv(csv, t)
    (work / 'fresh').mkdir()
    run('embed', *args, '-o', work / 'x.h5', '--csv', work / 'fresh')
    check_csv(work / 'fresh', t)
    (work / 'x.h5').unlink()


def main():
    with tempfile.TemporaryDirectory() as name:
        work = pathlib.Path(name)
        weights = work / 'w.h5'
        run('import-segclr', '--random', 1, '--patch', 33, '--width', 16, '--resolution-nm', 32, '-o', weights)
        volume = f'phantom:seed=9,shape={SIZE},empty=0'
        run('phantom', volume, '--labels', f'{work}/p.h5:/labels', '--level', 0)
        with h5py.File(work / 'p.h5') as f:
            labels = f['labels'][:].astype(np.uint64)
        args = [f'{volume}:/labels', '--image', volume, '-w', weights, '--spacing', 400, '--min-voxels', 100]
        out = run('embed', *args, '-o', work / 'one.h5', '--csv', work / 'csv', '-t', 1)
        assert 'nobody trained this network' in out
        t, attributes = table(work / 'one.h5')
        check_nodes(t, attributes, labels)
        check_csv(work / 'csv', t)
        run('embed', *args, '-o', work / 'threads.h5', '-t', 3)
        run('embed', *args, '-o', work / 'ranks.h5', '-t', 1, ranks=3)
        whole = (work / 'one.h5').read_bytes()
        assert (work / 'threads.h5').read_bytes() == whole and (work / 'ranks.h5').read_bytes() == whole
        small = halve(labels)
        ids, voxels = np.unique(small[small > 0], return_counts=True)
        counts = [(voxels >= 100).sum(), (voxels < 100).sum(), len(np.unique(labels[labels > 0])) - len(ids)]
        assert [attributes[f'segments{k}'] for k in ('', '_small', '_vanished')] == counts
        check_offset(work, volume, args)
        check_refusals(work, volume, weights, args)
        check_folder(work, args, t)
        check_classifiers(work, args, t['mean'])
        # ids over 2^32, voxel sizes that are not said, volumes that do not fit
        with h5py.File(work / 'big.h5', 'w') as f:
            f['seg'] = labels + (labels > 0) * np.uint64(1 << 40)
            f['empty'] = np.zeros_like(labels)
            f['other'] = np.zeros((8, 8, 8), np.uint32)
        big = [f'{work}/big.h5:/seg', '--image', volume, '-w', weights, '--spacing', 400, '--min-voxels', 100]
        run('embed', *big, '-o', work / 'big_out.h5')
        b, _ = table(work / 'big_out.h5')
        assert (b['segment'] == t['segment'] + (1 << 40)).all() and (b['embedding'] == t['embedding']).all()
        out = run('embed', f'{work}/big.h5:/empty', *big[1:], '-o', work / 'empty_out.h5')
        assert len(table(work / 'empty_out.h5')[0]['segment']) == 0 and 'no segment is left' in out, out
        dots = np.zeros_like(labels)
        dots[10:20, 10:20, 10:20], dots[50, 50, 50], dots[60, 60, 60] = 1, 2, 3
        with h5py.File(work / 'dots.h5', 'w') as f:
            f['seg'] = dots
        out = run('embed', f'{work}/dots.h5:/seg', *big[1:], '-o', work / 'dots_out.h5')
        assert table(work / 'dots_out.h5')[1]['segments_vanished'] == 2 and '2 segments without a voxel' in out, out
        assert 'must be of the same voxels' in run('embed', f'{work}/big.h5:/other', *big[1:], '-o', work / 'x.h5', code=2)
        with h5py.File(work / 'raw.h5', 'w') as f:
            f['raw'] = np.zeros(labels.shape, np.uint8)
        nothing = [f'{work}/big.h5:/seg', '--image', f'{work}/raw.h5:/raw', '-w', weights, '-o', work / 'x.h5']
        assert '--voxel-size' in run('embed', *nothing, code=2)
        assert 'exists' in run('embed', *args, '-o', work / 'one.h5', code=2)
        assert not (work / 'x.h5').exists()
    print('embed agrees')


if __name__ == '__main__':
    main()
