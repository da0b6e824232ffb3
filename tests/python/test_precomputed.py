"""What exaconn exports is read by tensorstore and cloud-volume, voxel by voxel at all scales; what tensorstore writes is
read by exaconn."""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import urllib.parse

import h5py
import numpy as np

try:
    import tensorstore as ts
    from cloudvolume import CloudVolume
except ImportError as e:
    print(f'SKIP: {e}; run scripts/test.sh, or pip install tensorstore cloud-volume', file=sys.stderr)
    sys.exit(77)

EXACONN = os.environ['EXACONN']
SOURCE = pathlib.Path(os.environ['EXACONN_SOURCE_DIR'])


def exaconn(*args, code=0):
    p = subprocess.run([EXACONN, *map(str, args)], capture_output=True, text=True)
    assert p.returncode == code, f'{args}: exit {p.returncode}\n{p.stdout}{p.stderr}'
    return p.stdout + p.stderr


def by_tensorstore(folder, scale):
    if scale < 0:
        scale += len(json.loads((folder / 'info').read_text())['scales'])
    store = ts.open({'driver': 'neuroglancer_precomputed', 'kvstore': f'file://{folder}', 'scale_index': scale}).result()
    return store.domain.origin[:3], store.read().result()[..., 0].transpose()


def by_cloudvolume(folder, scale):
    v = CloudVolume(f'file://{folder}', mip=scale, progress=False, bounded=True)
    return tuple(v.voxel_offset), np.asarray(v[:])[..., 0].transpose()


def coarser(fine, offset, factor, is_labels):
    """The pyramid as docs/formats.md says, the slow way. Triples are z, y, x."""
    low = [o // f for o, f in zip(offset, factor)]
    high = [(o + n - 1) // f + 1 for o, n, f in zip(offset, fine.shape, factor)]
    out = np.zeros([h - l for l, h in zip(low, high)], fine.dtype)
    for at in np.ndindex(out.shape):
        part = fine[tuple(slice(max((l + i) * f - o, 0), (l + i + 1) * f - o)
                          for l, i, f, o in zip(low, at, factor, offset))].ravel()
        if not is_labels:
            mean = part.astype('f8').sum() / part.size
            out[at] = mean if fine.dtype.kind == 'f' else np.floor(mean + 0.5)
            continue
        counts = {}
        for label in part.tolist():
            counts[label] = counts.get(label, 0) + 1
        if 2 * counts.pop(0, 0) <= part.size:
            out[at] = max(counts, key=counts.get)  # the first of equals, as dicts keep their order
    return low, out


def check(name, voxels, size_nm, work, offset=(0, 0, 0), options=()):
    path, folder = work / f'{name}.h5', work / name
    is_labels = voxels.dtype == np.uint64
    with h5py.File(path, 'w') as f:
        f['v'] = voxels
        f['v'].attrs['voxel_size_nm'] = size_nm
        f['v'].attrs['offset_zyx_vx'] = offset
    exaconn('export', f'{path}:/v', '-o', folder, *options)
    info = json.loads((folder / 'info').read_text())
    assert info['data_type'] == str(voxels.dtype)
    want, at = voxels, list(offset)
    for i, scale in enumerate(info['scales']):
        if i:
            before = info['scales'][i - 1]
            factor = [round(a / b) for a, b in zip(scale['resolution'], before['resolution'])][::-1]
            at, want = coarser(want, at, factor, is_labels)
        assert scale['size'] == list(want.shape[::-1]), (scale, want.shape)
        for read in (by_tensorstore, by_cloudvolume):
            origin, got = read(folder, i)
            assert list(origin) == at[::-1], (name, i, origin, at)
            assert got.dtype == voxels.dtype and got.shape == want.shape and (got == want).all(), (name, i, read)
    assert max(info['scales'][-1]['size']) <= 64
    print(f'{name}: {len(info["scales"])} scales equal in both readers')
    return info


def read_back(volume, work):
    """What exaconn reads, by way of an export."""
    folder = work / f'back{len(list(work.iterdir()))}'
    exaconn('export', volume, '-o', folder, '--voxel-size', '8,8,8')
    return by_tensorstore(folder, 0)[1]


def check_foreign(work):
    """Volumes by tensorstore: identity and murmur hashes, raw and gzip, no shards, chunks left out where all is zero."""
    rng = np.random.default_rng(4)
    voxels = np.zeros((70, 61, 50), 'u8')
    voxels[:40, :30, :40] = rng.integers(0, 5, (40, 30, 40)) + (1 << 40)
    for n, (hashing, index, data) in enumerate([('identity', 'gzip', 'raw'), ('murmurhash3_x86_128', 'raw', 'gzip'),
                                               ('murmurhash3_x86_128', 'gzip', 'gzip'), (None, None, None)]):
        for kind in ('u4', 'u8'):
            folder = work / f'foreign{n}{kind}'
            scale = dict(key='s', size=list(voxels.shape[::-1]), resolution=[8, 8, 8], chunk_size=[16, 8, 32],
                         encoding='compressed_segmentation', compressed_segmentation_block_size=[8, 4, 8])
            if hashing:
                scale['sharding'] = {'@type': 'neuroglancer_uint64_sharded_v1', 'hash': hashing, 'preshift_bits': 1,
                                     'minishard_bits': 3, 'shard_bits': 2, 'minishard_index_encoding': index,
                                     'data_encoding': data}
            store = ts.open({'driver': 'neuroglancer_precomputed', 'kvstore': f'file://{folder}', 'scale_metadata': scale,
                             'multiscale_metadata': dict(type='segmentation', data_type=f'uint{int(kind[1]) * 8}',
                                                         num_channels=1)}, create=True).result()
            want = (voxels & 0xffffffff if kind == 'u4' else voxels).astype(kind)
            store[..., 0].write(want.transpose()).result()
            got = read_back(folder, work)
            assert (got == want).all(), (hashing, index, data, kind)
    print('volumes by tensorstore are read')


def check_contrast(work):
    """16-bit images would be black without a range; 8-bit ones need none."""
    for name in ('u8', 'u16', 'f32'):
        link = exaconn('view', work / name, '--no-wait', '--port', '9000')
        layer = json.loads(urllib.parse.unquote(link.split('#!', 1)[1]))['layers'][0]
        values = np.sort(by_tensorstore(work / name, -1)[1].ravel())
        if name == 'u8':
            assert 'shaderControls' not in layer
        else:
            want = [values[len(values) // 200], values[len(values) - 1 - len(values) // 200]]
            assert layer['shaderControls']['normalized']['range'] == [float(v) for v in want], (layer, want)


def check_unknown_size(work):
    """Viewers need it; a run says so before it begins."""
    with h5py.File(work / 'unknown.h5', 'w') as f:
        f['v'] = np.zeros((40, 40, 40), 'u1')
    assert '--voxel-size' in exaconn('export', f'{work}/unknown.h5:/v', '-o', work / 'unknown', code=2)
    (work / 'job.json').write_text(json.dumps(dict(volume='unknown.h5:/v', weights=f'{SOURCE}/configs/ffn_phantom.h5',
                                                   output='run', precomputed=dict(raw=True))))
    assert 'voxel_size_nm' in exaconn('run', work / 'job.json', code=2)
    assert not (work / 'unknown').exists() and not (work / 'run').exists()


with tempfile.TemporaryDirectory() as name:
    work = pathlib.Path(name)
    rng = np.random.default_rng(3)
    blobs = np.kron(rng.integers(0, 6, (9, 15, 17)), np.ones((8, 9, 10), int)).astype('u8')[:67, :131, :165]
    blobs[blobs > 0] += 1 << 33
    noise = rng.integers(0, 4, blobs.shape) == 0
    blobs[noise] = rng.integers(0, 1 << 60, int(noise.sum()))
    info = check('labels', blobs, (40, 8, 8), work)
    assert [s['resolution'] for s in info['scales']] == [[8, 8, 40], [16, 16, 40], [32, 32, 40], [64, 64, 80]], info['scales']
    check('shifted', blobs[:65, :66, :130], (8, 8, 8), work, offset=(-5, 1001, 7))
    check('empty', np.zeros((65, 3, 70), 'u8'), (8, 8, 8), work)
    check('one', np.full((1, 1, 1), 9, 'u8'), (8, 8, 8), work)
    check('u8', rng.integers(0, 256, (30, 70, 131)).astype('u1'), (30, 6, 6), work, offset=(3, 0, 1))
    check('u16', rng.integers(0, 65536, (66, 65, 5)).astype('u2'), (4.5, 4, 4), work, options=('--gzip', '0'))
    floats = np.ldexp(rng.integers(-99, 99, (66, 30, 65)), -5).astype('f4')
    check('f32', floats, (8, 8, 8), work)
    check_contrast(work)
    check_foreign(work)
    check_unknown_size(work)
