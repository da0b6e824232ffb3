#!/usr/bin/env python3
"""make_seeds.py FOLDER: seed inputs of the fuzz harnesses, one folder each, made from small valid files."""
import pathlib
import random
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent


def tensor_bundles(folder):
    """Checkpoints of the test's writer: index and data in one input, as read and with checksums repaired."""
    variants = ['', '--per-block 2', '--counters 7 --per-block 3', '--compression 1', '--big-endian 1',
                '--sliced seed_update/conv0_a/biases', '--slice-key', '--min-consumer 2', '--wrong-size 4',
                '--dtype seed_update/conv0_a/biases:3', '--dtype seed_update/conv0_a/biases:99', '--unsorted',
                '--scope a/b --depth 1']
    with tempfile.TemporaryDirectory() as tmp:
        for n, options in enumerate(variants):
            prefix = f'{tmp}/m'
            subprocess.run([sys.executable, HERE.parent / 'make_tf_checkpoint.py', prefix, '--depth', '1'] +
                           options.split(), check=True)
            index = pathlib.Path(prefix + '.index').read_bytes()
            data = pathlib.Path(prefix + '.data-00000-of-00001').read_bytes()
            for mode in (0, 1):
                (folder / f'seed{n}_{mode}').write_bytes(bytes([mode]) + struct.pack('<I', len(index)) + index + data)


def weights(folder):
    """Every operation of the structured mode a few times, edits, and files without substance."""
    rng = random.Random(1)
    (folder / 'empty').write_bytes(b'\0')
    (folder / 'magic').write_bytes(b'\0EXAWTS\r\n' + bytes(600))
    (folder / 'hdf5').write_bytes(b'\0\x89HDF\r\n\x1a\n' + bytes(600))
    (folder / 'edit').write_bytes(b'\1' + bytes([0, 4, 0, 9]))
    (folder / 'same').write_bytes(b'\1')
    (folder / 'good').write_bytes(b'\2')
    for operation in range(8):
        for n in range(12):
            rest = bytes(rng.choice((0, 1, 2, 3, 8, rng.randrange(256))) for _ in range(rng.randrange(8, 80)))
            (folder / f'operation{operation}_{n}').write_bytes(bytes([2, operation]) + rest)


def requests(folder):
    """One whole request; the fuzzer takes it apart."""
    (folder / 'request').write_text('''# c
image { hdf5: "a.h5:raw" } image_mean: 128 image_stddev: 3.3e1f model_name: "convstack_3d.ConvStack3DFFNModel"
model_args: "{\\"depth\\": 12, \\"fov_size\\": [33, 33, 33], " '"deltas": [8, 8, 8]}' text: "\\x41\\101\\n"
inference_options < init_activation: 0.95 pad_value: .05 move_threshold: 0.9 disco_seed_threshold: -1
  min_boundary_dist { x: 1, y: 1; z: 1 } segment_threshold: 0.6 min_segment_size: 1000 list: [1, "a", b] >
''')


def phantoms(folder):
    (folder / 'plain').write_text('seed=7,shape=128')
    (folder / 'all').write_text('seed=7,shape=64x65x66,voxel=40x8x8.5,pitch=400,noise=3,drift=0.2,missing=0.1,dark=0.1,'
                                'vacant=0.3,empty=0.1,somata=0.5,glia=0.5,synapses=1,mitochondria=1:/labels')


def precomputed(folder):
    """An info file, a chunk of labels, a shard of one chunk, a gzip block."""
    import gzip
    import json
    sharding = {'@type': 'neuroglancer_uint64_sharded_v1', 'hash': 'identity', 'preshift_bits': 1, 'minishard_bits': 1,
                'shard_bits': 0, 'minishard_index_encoding': 'gzip', 'data_encoding': 'raw'}
    info = {'@type': 'neuroglancer_multiscale_volume', 'type': 'image', 'data_type': 'uint8', 'num_channels': 1,
            'scales': [dict(key='s', size=[9, 8, 7], voxel_offset=[1, 2, 3], resolution=[8, 8, 40.5],
                            chunk_sizes=[[4, 4, 4]], encoding='raw')]}
    (folder / 'info').write_bytes(b'\0' + json.dumps(info).encode())
    info['data_type'] = 'uint32'
    info['scales'][0].update(encoding='compressed_segmentation', compressed_segmentation_block_size=[8, 8, 8],
                             sharding=sharding)
    (folder / 'sharded').write_bytes(b'\0' + json.dumps(info).encode())
    # One block of two labels, one bit a voxel: offset, header (table at word 4, values at 2), 64 bits, table.
    labels = struct.pack('<IIIIIQQ', 1, 1 << 24 | 4, 2, 0xf0f0f0f0, 0x0f0f0f0f, 0, 1 << 40)
    (folder / 'labels').write_bytes(b'\1' + bytes([0x33, 0x33, 0x33]) + labels)
    index = struct.pack('<QQQ', 0, 0, len(labels))
    shard = struct.pack('<QQ', len(labels), len(labels) + len(index)) + bytes(48) + labels + index
    (folder / 'shard').write_bytes(b'\2' + shard)
    (folder / 'gzip').write_bytes(b'\3' + gzip.compress(labels, mtime=0))


def synapse_tables(folder):
    """A small table of each format, and wrong ones."""
    columns = 'pre_id,post_id,pre_z_vx,pre_y_vx,pre_x_vx,post_z_vx,post_y_vx,post_x_vx'
    cave = ','.join(f'{s}_pt_position_{a}' for s in ('pre', 'post') for a in 'xyz') + ',pre_pt_root_id,valid'
    json = '{"m": [1, {"x": null}], "data": [{"T-bar": {"location": [1, 2, 3], "body ID": 5, "confidence": 0.5}, ' \
           '"partners": [{"location": [4, 5, 6], "body ID": 18446744073709551615}]}], "z": "a\\"b"}'
    nm, voxels, xyz = 12, 6, 36
    tables = {'own': (0, columns + '\n1,2,3,4,5,6,7,8\n9,9,nan,,1,1,1,1\n'),
              'nm': (nm, columns.replace('_vx', '_nm') + '\n1,2,3.5,4,5,6,7,8\n'),
              'json': (1 + voxels + xyz, json), 'cut': (1 + nm + xyz, json[:90]),
              'cave': (2 + nm, '\ufeff' + cave + '\r\n1,2,3,4,5,6,7,t\r\n"1",2,3,4,5,6,7,f\r\n'),
              'codex': (3, 'pre_root_id,post_root_id,neuropil,syn_count\n1,2,"A,""B",5\n1,2,C,0\n'),
              'neuprint': (4, 'bodyId_pre,bodyId_post,weight\n1,2,3\n'),
              'syconn': (5 + voxels, 'neuron_partner_0,neuron_partner_1,partner_axoness_0,partner_axoness_1,rep_coord_z,'
                                     'rep_coord_y,rep_coord_x\n1,2,0,1,5,6,7\n')}
    for name, (choice, text) in tables.items():
        (folder / name).write_bytes(bytes([choice]) + text.encode())


def main():
    for name, make in (('precomputed', precomputed), ('phantom', phantoms), ('request', requests), ('synapse_table', synapse_tables),
                       ('tensor_bundle', tensor_bundles), ('weights', weights)):
        folder = pathlib.Path(sys.argv[1]) / name
        folder.mkdir(parents=True, exist_ok=True)
        make(folder)


if __name__ == '__main__':
    main()
