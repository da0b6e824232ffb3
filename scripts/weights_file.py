"""Writes exaconn's weights file (docs/formats.md, "Weights file") from numpy arrays; equal contents give equal bytes.

    weights_file.write('ffn.h5', layers, attributes)

layers: [(name, weights, biases)] in layer order, weights as kernel z, y, x, input channel, output channel.
attributes: those of the table there, without kind, kind_version and weights_sha256, which are added here.
"""
import hashlib
import os
import struct

import h5py
import numpy as np

HEADER_BYTES = 512
TEXT_BYTES = dict(source=511, license=127, source_sha256=64)


def make_crc_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


CRC_TABLE = make_crc_table()


def crc32c(data):
    """Castagnoli's CRC, reflected, register and result inverted."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def layer_names(depth):
    return [f'conv{i}_{part}' for i in range(depth) for part in 'ab'] + ['conv_lom']


def weights_sha256(layers):
    """SHA-256 of all tensors' bytes in layer order, each layer's weights before its biases."""
    digest = hashlib.sha256()
    for _, weights, biases in layers:
        digest.update(np.ascontiguousarray(weights, '<f4').tobytes())
        digest.update(np.ascontiguousarray(biases, '<f4').tobytes())
    return digest.hexdigest()


def check(layers, attributes):
    """ValueError if exaconn would refuse the tensors or texts."""
    depth, features = attributes['depth'], attributes['features']
    names = [name for name, _, _ in layers]
    if names != layer_names(depth):
        raise ValueError(f'depth {depth} has the layers {layer_names(depth)}, not {names}')
    for name, weights, biases in layers:
        shape = {'conv0_a': (3, 3, 3, 2, features), 'conv_lom': (1, 1, 1, features, 1)}.get(
            name, (3, 3, 3, features, features))
        if weights.shape != shape or biases.shape != shape[-1:]:
            raise ValueError(f'layer {name} has the shapes {weights.shape} and {biases.shape}, not {shape}')
        if not (np.isfinite(weights).all() and np.isfinite(biases).all()):
            raise ValueError(f'layer {name} has values that are not finite')
    for key, limit in TEXT_BYTES.items():
        if len(text(attributes.get(key, ''))) > limit:
            raise ValueError(f'{key} is longer than {limit} bytes')


def text(value):
    """As ASCII: h5py then stores a string of fixed length, whose bytes in the file depend on nothing else."""
    return value.encode('ascii', 'replace')


def seal(path):
    """Writes the header that proves the rest of the file whole, and waits for the disk."""
    with open(path, 'r+b') as f:
        payload = f.read()[HEADER_BYTES:]
        digest = hashlib.sha256(payload).digest()
        header = struct.pack('<8sIIQ32s', b'EXAWTS\r\n', 1, HEADER_BYTES, len(payload), digest)
        header = header.ljust(HEADER_BYTES - 4, b'\0')
        f.seek(0)
        f.write(header + struct.pack('<I', crc32c(header)))
        f.flush()
        os.fsync(f.fileno())


def write_contents(path, layers, attributes):
    with h5py.File(path, 'w', userblock_size=HEADER_BYTES) as f:
        f.attrs['kind'], f.attrs['kind_version'] = text('ffn-convstack3d'), 1
        for key, value in attributes.items():
            if value != '':
                f.attrs[key] = text(value) if isinstance(value, str) else value
        f.attrs['weights_sha256'] = text(weights_sha256(layers))
        for name, weights, biases in layers:
            for part, tensor in (('weights', weights), ('biases', biases)):
                f.create_dataset(f'seed_update/{name}/{part}', data=np.ascontiguousarray(tensor, '<f4'),
                                 track_times=False)


def write_tensors(path, kind, version, attributes, tensors):
    """Any kind: attributes as they are, tensors [(name, array)] in the order they are stored in."""
    temporary = f'{path}.tmp-{os.getpid()}'
    try:
        with h5py.File(temporary, 'w', userblock_size=HEADER_BYTES) as f:
            f.attrs['kind'], f.attrs['kind_version'] = text(kind), version
            for key, value in attributes.items():
                f.attrs[key] = text(value) if isinstance(value, str) else value
            for name, tensor in tensors:
                f.create_dataset(name, data=np.ascontiguousarray(tensor, '<f4'), track_times=False)
        seal(temporary)
        replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise


def replace(temporary, path):
    """The last step of an atomic write: what is under the final name is whole, also after a power cut."""
    os.replace(temporary, path)
    folder = os.open(os.path.dirname(os.path.abspath(path)), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write(path, layers, attributes):
    check(layers, attributes)
    temporary = f'{path}.tmp-{os.getpid()}'
    try:
        write_contents(temporary, layers, attributes)
        seal(temporary)
        replace(temporary, path)
    except BaseException:
        if os.path.exists(temporary):
            os.unlink(temporary)
        raise
