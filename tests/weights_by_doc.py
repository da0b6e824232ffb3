"""Writes and reads a weights file by docs/formats.md alone (h5py, hashlib, struct): proves the chapter is enough.

    weights_by_doc.py write FILE      a network of depth 1, 8 features
    weights_by_doc.py read FILE       prints checks of the header, then "ok DEPTH FEATURES SUM"
"""
import hashlib
import struct
import sys

import h5py
import numpy as np


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def seal(path):
    with open(path, 'r+b') as f:
        payload = f.read()[512:]
        header = b'EXAWTS\r\n' + struct.pack('<IIQ', 1, 512, len(payload)) + hashlib.sha256(payload).digest()
        header = header.ljust(508, b'\0')
        f.seek(0)
        f.write(header + struct.pack('<I', crc32c(header)))


def write(path):
    rng = np.random.RandomState(1)
    with h5py.File(path, 'w', userblock_size=512) as f:
        f.attrs['kind'] = 'ffn-convstack3d'
        f.attrs['kind_version'] = 1
        f.attrs['depth'] = 1
        f.attrs['features'] = 8
        f.attrs['fov_zyx'] = [17, 33, 33]
        f.attrs['deltas_zyx'] = [4, 8, 8]
        for name, value in dict(image_mean=128.0, image_stddev=33.0, init_activation=.95, pad_value=.05,
                                move_threshold=.9, segment_threshold=.6, disco_seed_threshold=0.0).items():
            f.attrs[name] = value
        f.attrs['min_segment_size'] = 1000
        f.attrs['min_boundary_dist_zyx'] = [1, 1, 1]
        f.attrs['source'] = 'weights_by_doc.py'
        for layer, shape in (('conv0_a', (3, 3, 3, 2, 8)), ('conv0_b', (3, 3, 3, 8, 8)), ('conv_lom', (1, 1, 1, 8, 1))):
            f[f'seed_update/{layer}/weights'] = rng.standard_normal(shape).astype('<f4')
            f[f'seed_update/{layer}/biases'] = rng.standard_normal(shape[-1:]).astype('<f4')
    seal(path)


def read(path):
    with open(path, 'rb') as f:
        data = f.read()
    header, payload = data[:512], data[512:]
    magic, version, size, length, digest = struct.unpack('<8sIIQ32s', header[:56])
    assert (magic, version, size, length) == (b'EXAWTS\r\n', 1, 512, len(payload))
    assert digest == hashlib.sha256(payload).digest()
    assert not any(header[56:508]) and struct.unpack('<I', header[508:])[0] == crc32c(header[:508])
    with h5py.File(path, 'r') as f:
        assert f.userblock_size == 512
        assert f.attrs['kind'] == 'ffn-convstack3d' and f.attrs['kind_version'] == 1
        depth, features = int(f.attrs['depth']), int(f.attrs['features'])
        total, sha = 0.0, hashlib.sha256()
        layers = [f'conv{i}_{c}' for i in range(depth) for c in 'ab'] + ['conv_lom']
        for name in layers:
            for part in ('weights', 'biases'):
                tensor = f[f'seed_update/{name}/{part}'][()]
                assert tensor.dtype == np.dtype('<f4')
                total += float(tensor.astype('f8').sum())
                sha.update(tensor.tobytes())
        assert f.attrs['weights_sha256'] == sha.hexdigest()
    print(f'ok {depth} {features} {total:.6f}')


if __name__ == '__main__':
    {'write': write, 'read': read}[sys.argv[1]](sys.argv[2])
