"""A checkpoint generation opens in h5py with hdf5plugin: its table leads to every chunk, the checksums are those of
the specification (docs/formats.md), and the labels are those of the segmentation."""
import hashlib
import json
import os
import pathlib
import struct
import subprocess
import tempfile

import h5py
import hdf5plugin  # noqa: F401  registers filter 32015
import numpy as np

EXACONN = os.environ['EXACONN']
SOURCE = pathlib.Path(os.environ['EXACONN_SOURCE_DIR'])


def crc32c(data):
    """Bit by bit, from the polynomial of RFC 3720."""
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    crc = 0xFFFFFFFF
    for byte in bytes(data):
        crc = crc >> 8 ^ table[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def run(work):
    job = {'volume': 'phantom:seed=7,shape=56x56x40,empty=0', 'weights': str(SOURCE / 'configs/ffn_phantom.h5'),
           'output': 'run', 'chunks': {'shape': [28, 28, 40], 'halo': [10, 10, 10]}, 'compute': {'threads': 1},
           'segmentation': {'probability_map': True}, 'checkpoint': {'at_end': True}}
    (work / 'job.json').write_text(json.dumps(job))
    subprocess.run([EXACONN, 'run', work / 'job.json'], check=True, capture_output=True)
    return work / 'run'


def part(f, row, name, kind):
    n = int(row[f'{name}_bytes']) // np.dtype(kind).itemsize
    at = int(row[f'{name}_at'])
    data = f[name][at:at + n]
    assert data.dtype == np.dtype(kind)
    assert at % f[name].chunks[0] == 0, 'a part begins at a storage chunk'
    assert crc32c(data.tobytes()) == row[f'{name}_crc32c'], (name, row)
    return data


def check(folder):
    with h5py.File(folder / 'checkpoints/gen-000001.h5') as f, h5py.File(folder / 'segmentation.h5') as s:
        text = f['identity'][()].tobytes()
        text_of = {name: value.decode() for name, value in f.attrs.items() if isinstance(value, bytes)}
        assert text_of['format'] == 'exaconn checkpoint generation' and f.attrs['version'] == 1
        assert f.attrs['generation'] == 1 and f.attrs['chunks'] == 4 and len(f['chunks']) == 4
        sha256 = hashlib.sha256(text).hexdigest()
        assert text_of['run_sha256'] == sha256
        assert text_of['weights_sha256'] in text.decode()
        job = f['job'][()].tobytes()
        assert json.loads(job)['chunks']['shape'] == [28, 28, 40] and crc32c(job) == f.attrs['job_crc32c']
        filters = f['labels'].id.get_create_plist()
        assert filters.get_nfilters() == 1 and filters.get_filter(0)[0] == 32015
        segmentation = s['segmentation'][:]
        for i, row in enumerate(f['chunks'][()]):
            assert row['chunk'] == i and row['status'] == 1
            raw = row.tobytes()
            assert len(raw) == 144 and crc32c(bytes.fromhex(sha256)[:8] + raw[:140]) == row['row_crc32c']
            shape = [int(row[f'shape_{a}']) for a in 'zyx']
            start = [int(row[f'start_{a}']) for a in 'zyx']
            labels = part(f, row, 'labels', '<i4').reshape(shape)
            assert part(f, row, 'probability', '<u1').size == labels.size
            details = part(f, row, 'details', '<u1').tobytes()
            assert struct.unpack_from('<q', details)[0] == 1
            # Where the chunk and the segmentation are its own, objects are objects and background is background.
            inner = tuple(slice(12 if a else 0, n - 12 if a + n < full else n)
                          for a, n, full in zip(start, shape, segmentation.shape))
            there = tuple(slice(a + i.start, a + i.stop) for a, i in zip(start, inner))
            assert ((labels[inner] > 0) == (segmentation[there] > 0)).all()


with tempfile.TemporaryDirectory() as folder:
    check(run(pathlib.Path(folder)))
print('ok')
