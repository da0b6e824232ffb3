#!/usr/bin/env python3
"""Writes a small TensorFlow V2 checkpoint of a flood-filling or SegCLR network, whole or damaged, for the tests.

Standard library only. Element i of tensor NAME is ((i * 2654435761 + crc32c(NAME)) mod 2^32 / 2^32 - 0.5) * 0.2 as
float32, so that a test can compute what it must read. Written from the public description of the format (LevelDB
table format, tensor_bundle.proto); see docs/formats.md.
"""
import argparse
import struct

CRC_TABLE = []
for _n in range(256):
    for _ in range(8):
        _n = (_n >> 1) ^ (0x82F63B78 if _n & 1 else 0)
    CRC_TABLE.append(_n)


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


CRC_CACHE = {}


def cached_crc32c(data):
    """Tensors of zeros only are alike."""
    if data not in CRC_CACHE:
        CRC_CACHE[data] = crc32c(data)
    return CRC_CACHE[data]


def masked(crc):
    return (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def varint(value):
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(number, value):
    """A varint field, or a length-delimited one for bytes; zero is left out as protobuf 3 does."""
    if isinstance(value, bytes):
        return varint(number << 3 | 2) + varint(len(value)) + value
    return varint(number << 3) + varint(value) if value else b''


def block(entries, restart_interval=16):
    """The entries of a table block, prefix-compressed, with the restart array."""
    out, restarts, last = bytearray(), [], b''
    for n, (key, value) in enumerate(entries):
        shared = 0
        if n % restart_interval == 0:
            restarts.append(len(out))
        else:
            while shared < min(len(key), len(last)) and key[shared] == last[shared]:
                shared += 1
        out += varint(shared) + varint(len(key) - shared) + varint(len(value)) + key[shared:] + value
        last = key
    for r in restarts or [0]:
        out += struct.pack('<I', r)
    return bytes(out) + struct.pack('<I', max(1, len(restarts)))


def table(entries, per_block, compression):
    out, index = bytearray(), []

    def add(content):
        handle = varint(len(out)) + varint(len(content))
        out.extend(content + bytes([compression]))
        out.extend(struct.pack('<I', masked(crc32c(content + bytes([compression])))))
        return handle

    for i in range(0, len(entries), per_block):
        index.append((entries[min(i + per_block, len(entries)) - 1][0], add(block(entries[i:i + per_block]))))
    footer = add(block([])) + add(block(index, 1))
    return bytes(out) + footer.ljust(40, b'\0') + struct.pack('<Q', 0xdb4775248b80fb57)


def values(name, count):
    start = crc32c(name.encode())
    return struct.pack(f'<{count}f', *((((i * 2654435761 + start) & 0xFFFFFFFF) / 4294967296.0 - 0.5) * 0.2
                                       for i in range(count)))


def network(depth, features, scope):
    """name -> (dtype, shape, bytes)"""
    tensors = {}
    for layer in range(2 * depth + 1):
        last = layer == 2 * depth
        name = 'conv_lom' if last else f'conv{layer // 2}_{"ab"[layer % 2]}'
        cin, cout = (2 if layer == 0 else features), (1 if last else features)
        kernel = 1 if last else 3
        for part, shape in (('weights', (kernel, kernel, kernel, cin, cout)), ('biases', (cout,))):
            count = 1
            for extent in shape:
                count *= extent
            full = f'{scope}/{name}/{part}' if scope else f'{name}/{part}'
            tensors[full] = (1, shape, values(full, count))
    return tensors


# ---- SegCLR (google-research/connectomics), with the random weights of docs/segclr.md --------------------

MASK = (1 << 64) - 1


def mix(z):
    z = (z + 0x9E3779B97F4A7C15) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    return z ^ (z >> 31)


def random_values(layer, part, count, fan_in):
    key = mix(mix(1) ^ crc32c(f'{layer}/{part}'.encode()))
    scale, shift = {'kernel': (2, -1), 'gamma': (1, .5), 'variance': (1.5, .5)}.get(part, (2, -1))
    bound = (6 / fan_in) ** .5 if part == 'kernel' else 1
    return struct.pack(f'<{count}f', *((scale * ((mix((key + i) & MASK) >> 40) * 2.0 ** -24) + shift) * bound
                                       for i in range(count)))


def segclr_layers(variant, depth, width, channels):
    """(our layer, checkpoint's convolution, checkpoint's normalisation, kernel, cin, cout)"""
    tf1 = variant == 'tf1'
    root = f'base_model_0/resnet{depth}' if tf1 else 'resnet_model'
    stem = f'{root}/stage_1' if tf1 else f'{root}/initial_conv_relu_max_pool'
    yield ('stem',) + ((f'{stem}/conv1', f'{stem}/bn1') if tf1 else (f'{stem}/0/conv3d', f'{stem}/2/bn')) + (7, channels, width)
    before = width
    for stage in range(2, 6):
        out = width << (stage - 2)
        for number in range({18: (2, 2, 2, 2), 34: (3, 4, 6, 3)}[depth][stage - 2]):
            ours = f'stage_{stage}/block_{number}'
            block = (f'{root}/stage_{stage}/block_{chr(97 + number)}' if tf1
                     else f'{root}/block_groups/{stage - 2}/layers/{number}')
            for i in range(2):
                names = ((f'{block}/conv_{i}', f'{block}/bn_{i}') if tf1 else
                         (f'{block}/conv3d_bn_layers/{2 * i}/conv3d', f'{block}/conv3d_bn_layers/{2 * i + 1}/bn'))
                yield (f'{ours}/conv_{i}',) + names + (3, out if i else before, out)
            if number == 0:
                names = ((f'{block}/shortcut_conv', f'{block}/shortcut_bn') if tf1 else
                         (f'{block}/shortcut_layers/0/conv3d', f'{block}/shortcut_layers/1/bn'))
                yield (f'{ours}/shortcut',) + names + (1, before, out)
            before = out
    for i in range(3):
        names = ((f'bottleneck_head_0/nl_{i}/dense', f'bottleneck_head_0/nl_{i}/nl_{i}_bn') if tf1 else
                 (f'_bottleneck_head/linear_layers/{i}/dense', f'_bottleneck_head/linear_layers/{i}/bn_relu/bn'))
        yield (f'head_{i}',) + names + (0, before, 64 if i == 2 else before)


def segclr(variant, depth, width, channels, zeros, objects):
    tensors, tf1 = {}, variant == 'tf1'
    for ours, conv, norm, kernel, cin, cout in segclr_layers(variant, depth, width, channels):
        parts = [('kernel', conv, 'kernel'), ('gamma', norm, 'gamma'), ('mean', norm, 'moving_mean'),
                 ('variance', norm, 'moving_variance')]
        if tf1 and kernel:
            parts.append(('bias', conv, 'bias'))
        if tf1 or ours != 'head_2':
            parts.append(('beta', norm, 'beta'))
        for part, where, name in parts:
            shape = (cout,)
            if part == 'kernel':
                shape = (kernel,) * 3 * (kernel > 0) + (cin, cout)
            count, fan_in = 1, max(kernel, 1) ** 3 * cin
            for extent in shape:
                count *= extent
            full = f'{where}/{name}'
            if objects == 'tf1-object':
                full = '_tf1_style_var_store/_vars/' + full.replace('/', '.S')
            if objects:
                full = full + '/.ATTRIBUTES/VARIABLE_VALUE'
            tensors[full] = (1, shape, bytes(4 * count) if zeros else random_values(ours, part, count, fan_in))
        if tf1 and kernel in (1, 3) and not objects:
            tensors[f'{norm}/renorm_mean'] = tensors[f'{norm}/moving_stddev'] = (1, (cout,), bytes(4 * cout))
    return tensors


def poke(tensors, spec, bits):
    """NAME[:ELEMENT] = these 32 bits"""
    name, _, element = spec.partition(':')
    dtype, shape, data = tensors[name]
    at = 4 * int(element or 0)
    tensors[name] = (dtype, shape, data[:at] + struct.pack('<I', bits) + data[at + 4:])


def alter(tensors, a):
    if a.counters:
        tensors['global_step'] = (9, (), struct.pack('<q', a.counters))
    if a.counters and not a.segclr:
        tensors['filter_coordinates_close_to_boundary/fraction'] = (9, (2,), struct.pack('<2q', 3, 5))
        tensors['out_bounds_coordinates_1/fraction'] = (9, (2,), struct.pack('<2q', 1, 2))
    for name in a.slot:
        dtype, shape, data = tensors[name.rsplit('/', 1)[0]]
        tensors[name] = (dtype, shape, data)
    for name in a.drop:
        del tensors[name]
    for name in a.add:
        tensors[name] = (1, (2,), values(name, 2))
    for name in a.flatten:
        dtype, shape, data = tensors[name]
        tensors[name] = (dtype, (len(data) // 4,), data)
    for spec in a.nan:
        poke(tensors, spec, 0x7FC00000)
    for spec in a.inf:
        poke(tensors, spec, 0xFF800000)
    for spec in a.set:
        name, _, bits = spec.rpartition(':')
        poke(tensors, name, int(bits, 16))
    for spec in a.dtype:
        name, _, dtype = spec.partition(':')
        tensors[name] = (int(dtype),) + tensors[name][1:]


def bundle(tensors, a):
    """The index and the data shards."""
    shards = [bytearray() for _ in range(a.shards)]
    header = field(1, a.shards) + field(2, a.big_endian) + field(3, field(1, 1) + field(2, a.min_consumer))
    entries = [] if a.no_header else [(b'', header)]
    for n, name in enumerate(sorted(tensors, key=str.encode)):
        dtype, shape, data = tensors[name]
        shard = n % a.shards
        record = field(1, dtype) + field(2, b''.join(field(2, field(1, e)) for e in shape)) + field(3, shard)
        record += field(4, len(shards[shard])) + field(5, len(data) + (a.wrong_size if n == 0 else 0))
        record += varint(6 << 3 | 5) + struct.pack('<I', masked(cached_crc32c(data)))
        if name == a.sliced:
            record += field(7, b'')
        shards[shard] += data
        entries.append((name.encode(), record))
    if a.slice_key:
        entries.insert(1, (b'\0\1x', field(1, 1)))
    if a.unsorted:
        entries[-1], entries[-2] = entries[-2], entries[-1]
    return table(entries, a.per_block, a.compression), shards


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('prefix')
    p.add_argument('--depth', type=int, default=2)
    p.add_argument('--features', type=int, default=8)
    p.add_argument('--scope', default='seed_update')
    p.add_argument('--segclr', choices=['tf1', 'tf2'], help='a SegCLR network instead, of --depth and --width')
    p.add_argument('--width', type=int, default=16)
    p.add_argument('--channels', type=int, default=1, help='of its input')
    p.add_argument('--zeros', action='store_true', help='all its tensors are 0: quicker')
    p.add_argument('--objects', choices=['tf1-object', 'tf2-object'], help='names as TensorFlow 2 gives them')
    p.add_argument('--shards', type=int, default=1)
    p.add_argument('--per-block', type=int, default=1000, help='table entries per data block')
    p.add_argument('--counters', type=int, metavar='STEP', help='add global_step and the sampling counters')
    for name, what in (('slot', 'add an optimizer slot NAME/SLOT'), ('drop', 'leave out NAME'), ('add', 'add NAME'),
                       ('flatten', 'give NAME one dimension'), ('nan', 'NAME[:ELEMENT]'), ('inf', 'NAME[:ELEMENT]'), ('set', 'NAME:ELEMENT:BITS'),
                       ('dtype', 'NAME:NUMBER')):
        p.add_argument(f'--{name}', action='append', default=[], help=what)
    p.add_argument('--compression', type=int, default=0, help='block type byte')
    p.add_argument('--big-endian', type=int, default=0)
    p.add_argument('--min-consumer', type=int, default=0)
    p.add_argument('--wrong-size', type=int, default=0, help='added to the first tensor\'s stored size')
    p.add_argument('--sliced', metavar='NAME')
    p.add_argument('--slice-key', action='store_true')
    p.add_argument('--no-header', action='store_true')
    p.add_argument('--unsorted', action='store_true')
    a = p.parse_args()
    if a.segclr:
        tensors = segclr(a.segclr, a.depth, a.width, a.channels, a.zeros, a.objects)
    else:
        tensors = network(a.depth, a.features, a.scope)
    alter(tensors, a)
    index, shards = bundle(tensors, a)
    with open(a.prefix + '.index', 'wb') as f:
        f.write(index)
    for n, data in enumerate(shards):
        with open(f'{a.prefix}.data-{n:05d}-of-{a.shards:05d}', 'wb') as f:
            f.write(data)


if __name__ == '__main__':
    main()
