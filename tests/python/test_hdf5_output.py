"""Files we write open in h5py with hdf5plugin and hold the same voxels; files made there open here."""
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import hdf5plugin
import numpy as np

EXACONN = os.environ['EXACONN']
SOURCE = pathlib.Path(os.environ['EXACONN_SOURCE_DIR'])


def exaconn(*args, code=0):
    p = subprocess.run([EXACONN, *map(str, args)], capture_output=True, text=True)
    assert p.returncode == code, f'{args}: exit {p.returncode}\n{p.stdout}{p.stderr}'
    return p.stdout + p.stderr


def slices(folder, *options):
    subprocess.run([sys.executable, SOURCE / 'tests/make_volume.py', 'raw', folder, '--shape', '11,37,45', *options],
                   check=True)


def read_png(path):
    """8-bit gray, as make_volume.py writes it."""
    import struct
    import zlib
    data = path.read_bytes()
    width, height, bits = struct.unpack('>IIB', data[16:25])
    at = data.index(b'IDAT')
    raw = zlib.decompress(data[at + 4:at + 4 + struct.unpack('>I', data[at - 4:at])[0]])
    kind = np.dtype('u1' if bits == 8 else '>u2')
    rows = np.frombuffer(raw, 'u1').reshape(height, 1 + width * kind.itemsize)[:, 1:]
    return np.ascontiguousarray(rows).view(kind)


def check_written(work):
    for bits in (8, 16):
        folder = work / f'slices{bits}'
        slices(folder, '--bits', str(bits))
        want = np.stack([read_png(folder / f'slice_{z}.png') for z in range(11)])
        for level in (0, 1, 19):
            path = work / f'{bits}_{level}.h5'
            exaconn('import-images', folder, '-o', f'{path}:/group/raw', '--voxel-size', '40,4,4.5', '--level', level)
            with h5py.File(path) as f:
                d = f['group/raw']
                assert d.dtype == np.dtype(f'<u{bits // 8}') and d.chunks == (11, 37, 45), (d.dtype, d.chunks)
                assert (d[:] == want).all()
                assert d.attrs['voxel_size_nm'].tolist() == [40, 4, 4.5]
                assert d.attrs['source'] == str(folder).encode() or d.attrs['source'] == str(folder)
                filters = d.id.get_create_plist()
                assert filters.get_nfilters() == (level > 0)
                if level:
                    assert filters.get_filter(0)[0] == 32015 and filters.get_filter(0)[2] == (level,)
                    assert d.id.get_storage_size() < d.nbytes


def check_read(work):
    """The scores of a volume against itself in another type and storage are perfect only if all voxels came through."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 50, (23, 31, 29))
    storages = dict(plain={}, chunks=dict(chunks=(7, 8, 9)), gzip=dict(compression='gzip', shuffle=True),
                    zstd=dict(chunks=(5, 31, 4), **hdf5plugin.Zstd(clevel=7)), lzf=dict(fletcher32=True),
                    zstd_shuffle=dict(chunks=(8, 8, 8), shuffle=True, compression=32015, compression_opts=(3,)),
                    checked=dict(chunks=(8, 8, 8), fletcher32=True, compression=32015, compression_opts=(3,)))
    path = work / 'many.h5'
    with h5py.File(path, 'w') as f:
        f.create_dataset('truth', data=labels.astype('<u8'))
        for storage, options in storages.items():
            for kind in ('<u1', '>u2', '<u4', '>u8', '<f4', '>f4', '<i8', '>i2'):
                f.create_dataset(f'{storage}/{kind[1:]}_{"big" if kind[0] == ">" else "little"}', data=labels.astype(kind),
                                 **options)
        names = [f'{s}/{n}' for s in storages for n in f[s]]
        f['mask'] = labels > 25
        f['empty'] = np.zeros((0, 3, 3), 'u1')
        f['double'] = labels.astype('f8')
        f.create_dataset('blosc', data=labels, chunks=(8, 8, 8), **hdf5plugin.Blosc())
    for name in names:
        out = exaconn('eval', f'{path}:/{name}', f'{path}:/truth', '--ignore', 'none', '--json')
        assert '"voi_bits": 0,' in out and '"overlaps": 50,' in out, (name, out)
    out = exaconn('eval', f'{path}:/mask', f'{path}:/truth', '--ignore', 'none', '--json')
    assert '"voi_split_bits": 0,' in out and '"segments": 1,' in out, out
    assert 'float64' in exaconn('eval', f'{path}:/double', f'{path}:/truth', code=4)
    out = exaconn('eval', f'{path}:/blosc', f'{path}:/truth', code=4)
    assert 'blosc' in out and 'HDF5_PLUGIN_PATH' in out, out


def check_offsets(work):
    """A cut-out with offset_zyx_vx is placed by itself."""
    labels = np.random.default_rng(2).integers(1, 9, (12, 13, 14)).astype('u4')
    with h5py.File(work / 'truth.h5', 'w') as f:
        f['labels'] = labels
    with h5py.File(work / 'part.h5', 'w') as f:
        f['labels'] = labels[3:8, 2:9, 5:]
        f['labels'].attrs['offset_zyx_vx'] = [3, 2, 5]
    out = exaconn('eval', work / 'part.h5', work / 'truth.h5', '--json')
    assert '"voi_bits": 0,' in out and '"box_shape_zyx": [5, 7, 9]' in out, out
    with h5py.File(work / 'part.h5', 'r+') as f:
        f['labels'].attrs['offset_zyx_vx'] = [3, 2.5, 5]
    assert 'no whole number' in exaconn('eval', work / 'part.h5', work / 'truth.h5', code=4)


with tempfile.TemporaryDirectory() as folder:
    for check in (check_written, check_read, check_offsets):
        work = pathlib.Path(folder) / check.__name__
        work.mkdir()
        check(work)
        print('ok:', check.__doc__ or check.__name__)
