"""scripts/train_ffn.py on a small made-up tissue: the loss falls; killed, interrupted and resumed runs give the weights
of an uninterrupted one to the last bit; exaconn reads the file, runs it and computes what PyTorch does; two processes;
the walk through the examples against the golden steps; what is refused, and how."""
import contextlib
import hashlib
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import unittest.mock

import h5py
import hdf5plugin
import numpy as np

try:
    import torch
except ImportError as problem:
    print(f'SKIP: PyTorch cannot be imported ({problem}); see scripts/requirements-train.txt', file=sys.stderr)
    sys.exit(77)

EXACONN = os.environ['EXACONN']
SOURCE = pathlib.Path(os.environ['EXACONN_SOURCE_DIR'])
SCRIPT = SOURCE / 'scripts/train_ffn.py'
DATA = pathlib.Path(os.environ.get('EXACONN_DATA_DIR') or SOURCE / '../shared/data')
sys.path.insert(0, str(SCRIPT.parent))
import train_ffn  # noqa: E402
import weights_file  # noqa: E402
from ffn_training import examples, volumes  # noqa: E402

SIDE, FOV = 48, 9
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ('RANK', 'WORLD_SIZE', 'LOCAL_RANK')}
NETWORK = '--depth 2 --features 8 --fov 9,9,9 --deltas 2,2,2'
TRAINING = f'{NETWORK} --steps 110 --batch 4 --lr 4e-3 --warmup 20 --ema 0.9 --report 10 --checkpoint-every 40 ' \
           '--min-segment-size 50 --noise 0.05 --dark-sections 0.1 --threads 1 --device cpu --license CC0-1.0'


def make_tissue(path):
    """Voronoi cells with dark membranes between them; labels are 0 on the membranes. Stored with zstd."""
    rng = np.random.default_rng(3)
    centres = rng.uniform(0, SIDE, (40, 3)).astype('f4')
    grid = np.stack(np.meshgrid(*[np.arange(SIDE, dtype='f4')] * 3, indexing='ij'), -1).reshape(-1, 3)
    distances = np.stack([np.square(grid - c).sum(1) for c in centres]) ** .5
    nearest = np.partition(distances, 1, 0)[:2]
    membrane = (nearest[1] - nearest[0] < 1.6).reshape([SIDE] * 3)
    labels = np.where(membrane, 0, 1 + distances.argmin(0).reshape([SIDE] * 3)) * 10**12
    raw = np.clip(np.where(membrane, 60, 170) + rng.normal(0, 12, membrane.shape), 0, 255)
    with h5py.File(path, 'w') as f:
        f.create_dataset('raw', data=raw.astype('u1'), chunks=(16, 16, 16), **hdf5plugin.Zstd())
        f.create_dataset('labels', data=labels.astype('u8'), chunks=(16, 16, 16), **hdf5plugin.Zstd())
        f['other_shape'] = labels[1:].astype('u8')
        f['no_labels'] = np.zeros_like(labels, 'u2')
        f['real_labels'] = labels.astype('f4')
        f['constant'] = np.full(labels.shape, 7, 'u1')
        f['flat'] = raw[0]
        f['odd_size'] = raw.astype('u1')
        f['odd_size'].attrs['voxel_size_nm'] = 8.


def start(tissue, work, options=TRAINING, launcher=(), **more):
    command = [sys.executable, *launcher, SCRIPT, '--data', f'{tissue}:/raw', f'{tissue}:/labels', '--work', work]
    return subprocess.Popen([*map(str, command), *options.split()], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **more)


def finish(process, code=0):
    out, err = process.communicate(timeout=120)
    assert process.returncode == code, f'exit {process.returncode}\n{out}{err}'
    return out + err


def stop_at(process, step, number):
    """Sends the signal when this step's line appears; returns what was said before."""
    said = ''
    for line in process.stderr:
        said += line
        if line.startswith(f'step {step}/'):
            process.send_signal(number)
            return said
    raise AssertionError(f'ended before step {step}')


def sha(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_training(tissue, folder):
    """Loss, log, and bit-identical weights after a kill, an interruption and a change of nothing else."""
    work = folder / 'straight'
    out = finish(start(tissue, work))
    assert f'complete: 110 steps; the trained network is {work}/weights.h5' in out, out
    log = [json.loads(line) for line in (work / 'log.jsonl').read_text().splitlines()]
    assert [r['step'] for r in log] == list(range(10, 111, 10))
    assert log[-1]['loss'] < .7 * log[0]['loss'] and log[-1]['f1'] > .8, (log[0], log[-1])

    broken = folder / 'broken'
    process = start(tissue, broken)
    stop_at(process, 60, signal.SIGKILL)
    finish(process, -signal.SIGKILL)
    process = start(tissue, broken)
    out = stop_at(process, 80, signal.SIGTERM) + finish(process, 5)
    assert 'goes on after step 40' in out and 'interrupted at step ' in out and 'the same command' in out, out
    assert not (broken / 'weights.h5').exists()
    out = finish(start(tissue, broken))
    assert 'goes on after step ' in out, out
    with h5py.File(work / 'weights.h5') as f, h5py.File(broken / 'weights.h5') as g:
        assert f.attrs['weights_sha256'] == g.attrs['weights_sha256']
    resumed = [json.loads(line)['step'] for line in (broken / 'log.jsonl').read_text().splitlines()]
    assert resumed == sorted(set(resumed)) and resumed[-1] == 110, resumed
    before, other = sha(broken / 'weights.h5'), folder / 'elsewhere.h5'
    for _ in range(2):  # its own result may be replaced
        assert f'is {other}' in finish(start(tissue, broken, f'{TRAINING} --output {other}'))
    assert sha(other) == before
    assert 'complete' in finish(start(tissue, broken)) and sha(broken / 'weights.h5') == before
    return work / 'weights.h5'


def check_file(path):
    """The format by docs/formats.md (tests/weights_by_doc.py), equal bytes when written again, exaconn's opinion."""
    by_doc = [sys.executable, SOURCE / 'tests/weights_by_doc.py', 'read', path]
    assert subprocess.run(by_doc, capture_output=True, text=True, check=True).stdout.startswith('ok 2 8 ')
    assert weights_file.crc32c(b'123456789') == 0xE3069283
    said = subprocess.run([EXACONN, 'info', path], capture_output=True, text=True, check=True).stdout
    assert 'train_ffn.py, exaconn ' in said and 'CC0-1.0' in said, said


def read_layers(path):
    with h5py.File(path) as f:
        names = weights_file.layer_names(int(f.attrs['depth']))
        mean, stddev = np.float32(f.attrs['image_mean']), np.float32(f.attrs['image_stddev'])
        layers = {n: [torch.from_numpy(f[f'seed_update/{n}/{p}'][()]) for p in ('weights', 'biases')] for n in names}
    return layers, mean, stddev


def logits_by_torch(layers, image, seed):
    """Written from the file's layout alone, apart from the script's own network."""
    def conv(name, x):
        weights, biases = layers[name]
        return torch.nn.functional.conv3d(x, weights.permute(4, 3, 0, 1, 2), biases, padding='same')
    x = conv('conv0_b', conv('conv0_a', torch.stack([image, seed])[None]).relu())
    for i in range(1, (len(layers) - 1) // 2):
        x = x + conv(f'conv{i}_b', conv(f'conv{i}_a', x.relu()).relu())
    return (seed + conv('conv_lom', x.relu())[0, 0]).numpy()


def run_job(folder, name, **job):
    (folder / f'{name}.json').write_text(json.dumps(dict(job, output=name)))
    subprocess.run([EXACONN, '--log-level', 'error', 'run', folder / f'{name}.json'], check=True)
    return json.loads((folder / name / 'summary.json').read_text()), folder / name


def check_run(tissue, weights, folder):
    """The whole volume is segmented; and one step in a box of one field of view gives PyTorch's probabilities."""
    summary, _ = run_job(folder, 'whole', volume=f'{tissue}:/raw', weights=str(weights), compute=dict(threads=1))
    assert summary['counters']['steps'] > 0, summary
    box = (20, 17, 19)
    _, out = run_job(folder, 'one', volume=f'{tissue}:/raw', weights=str(weights),
                     box=dict(start=box, shape=[FOV] * 3), compute=dict(threads=1),
                     seeds=dict(policy='list', points=[[b + FOV // 2 for b in box]]),
                     inference=dict(segment_threshold=.001, move_threshold=.001, min_segment_size=0,
                                    disco_seed_threshold=-1),
                     segmentation=dict(probability_map=True))
    with h5py.File(out / 'probability.h5') as f:
        got = f['probability'][()].astype(int)
    with h5py.File(tissue) as f:
        raw = f['raw'][tuple(slice(b, b + FOV) for b in box)].astype('f4')
    layers, mean, stddev = read_layers(weights)
    seed = np.full(raw.shape, np.log(.05 / .95), 'f4')
    seed[(FOV // 2,) * 3] = np.log(.95 / .05)
    logits = logits_by_torch(layers, torch.from_numpy((raw - mean) / stddev), torch.from_numpy(seed))
    want = 1 + np.floor(254 / (1 + np.exp(-logits.astype('f8'))))
    labelled = got > 0
    assert labelled.sum() > 300 and np.ptp(want[labelled]) > 50, (labelled.sum(), np.ptp(want))
    assert np.abs(got - want)[labelled].max() <= 1 and (got == want)[labelled].mean() > .99


def check_processes(tissue, folder):
    """Two processes under torchrun, and that one process alone does not go on with their checkpoint."""
    options = TRAINING.replace('--steps 110', '--steps 12') + ' --candidates 2000'
    launcher = ('-m', 'torch.distributed.run', '--standalone', '--nproc_per_node', '2')
    out = finish(start(tissue, folder / 'two', options, launcher))
    assert '2 processes' in out and out.count('complete: 12 steps') == 1, out
    assert (folder / 'two/weights.h5').exists()
    out = call(tissue, folder / 'two', options, 2)
    assert 'the number of processes: 2 there, 1 here' in out, out


def call(tissue, work, options, code, data=None):
    """In this process, which has PyTorch loaded already: an error is one line, then this exit code."""
    said = io.StringIO()
    pair = data or (f'{tissue}:/raw', f'{tissue}:/labels')
    with contextlib.redirect_stderr(said):
        got = train_ffn.main(['--data', *map(str, pair), '--work', str(work), *options.split()])
    lines = [line for line in said.getvalue().splitlines() if 'error' in line]
    assert got == code and len(lines) == 1 and said.getvalue().endswith(lines[0] + '\n'), (options, got, lines)
    assert lines[0].startswith('train_ffn.py: error: ') and 'Traceback' not in lines[0], lines
    return lines[0]


def check_errors(tissue, folder):
    """What is refused: the command line with 2, the data with 4."""
    work = folder / 'errors'
    for options, word in (('--fov 9,10,9', 'fov on axis y is 10'), ('--features 12', 'multiple of 8'),
                          ('--deltas 2,2,5', 'deltas on axis x'), ('--depth 0', '--depth'), ('--fov 9,9', '--fov'),
                          ('--wurks 3', '--wurks'), ('--box 0,0,0,9,9,9 --box all', '1 --data but 2 --box'),
                          ('--steps 0', '--steps'), ('--batch 1000000000', '--batch'),
                          ('--seed 99999999999999999999', '--seed'), (f'--output {tissue}', "not this training's result"),
                          (f'--output {folder}', 'is a folder'), ('--output /nowhere/w.h5', 'no folder'),
                          ('--move-threshold 0.99', 'init-activation')):
        assert word in call(tissue, work, f'{NETWORK} {options}', 2), (options, word)
    small = f'{NETWORK} --box 0,0,0,10,48,48'
    for data, options, word in ((('/nowhere.h5:/raw', f'{tissue}:/labels'), NETWORK, '/nowhere.h5'),
                                ((f'{tissue}:/raw', tissue), NETWORK, 'names no dataset'),
                                ((f'{tissue}:/row', f'{tissue}:/labels'), NETWORK, '/raw'),
                                ((f'{tissue}:/flat', f'{tissue}:/labels'), NETWORK, '3-D'),
                                ((f'{tissue}:/raw', f'{tissue}:/other_shape'), NETWORK, '48,48,48'),
                                ((f'{tissue}:/raw', f'{tissue}:/no_labels'), NETWORK, 'no labelled object'),
                                ((f'{tissue}:/raw', f'{tissue}:/real_labels'), NETWORK, 'integers'),
                                ((f'{tissue}:/odd_size', f'{tissue}:/labels'), NETWORK, 'voxel_size_nm'),
                                ((f'{tissue}:/constant', f'{tissue}:/labels'), NETWORK, 'same everywhere'),
                                (None, small, '10,48,48'), (None, f'{NETWORK} --box 0,0,9,48,48,48', 'not inside')):
        assert word in call(tissue, work, options, 4, data), (options, word)
    assert not work.exists(), 'a refused training left a folder'
    straight = TRAINING.replace('--features 8', '--features 16')
    assert '--features: 8 there, 16 here' in call(tissue, folder / 'straight', straight, 2)
    other = (f'{tissue}:/raw', f'{tissue}:/labels')
    assert 'the voxels' in call(tissue, folder / 'straight', TRAINING + ' --box 0,0,0,40,48,48', 2, other)
    (folder / 'foreign').mkdir()
    (folder / 'foreign/weights.h5').write_bytes(b'of somebody else')
    assert 'no training that goes on' in call(tissue, folder / 'foreign', TRAINING, 2)
    assert (folder / 'foreign/weights.h5').read_bytes() == b'of somebody else'
    for error in (MemoryError('none left'), RuntimeError("DefaultCPUAllocator: can't allocate memory")):
        with unittest.mock.patch.object(train_ffn.Training, 'take_step', side_effect=error):
            assert 'out of memory' in call(tissue, folder / f'large{type(error).__name__}', TRAINING, 1)
    (folder / 'damaged').mkdir()
    (folder / 'damaged/checkpoint.pt').write_bytes(b'not a checkpoint')
    assert 'checkpoint' in call(tissue, folder / 'damaged', TRAINING, 4)


def check_walk():
    """Movement and disconnection rule against the golden steps, voxel for voxel."""
    path = DATA / 'ffn_golden_steps.h5'
    if not path.exists():
        print(f'SKIP of the golden steps only: {path} is not there (set EXACONN_DATA_DIR)')
        return
    move = train_ffn.logit(float(np.float32(.9)))
    geometry = examples.Geometry((33,) * 3, (8,) * 3, 1, 'facemax', 0, 0, move, 0.)
    with h5py.File(path) as f:
        seed, logits, moves = f['seed'][()], f['logits'][()], f['movement']
        seed[f['seed_unset'][()] > 0] = np.nan
        assert (examples.hold_negatives(seed, logits, geometry) == f['stored'][()]).all()
        for given, deltas, want in zip(moves['logits'], moves['deltas_zyx'], moves['moves']):
            if not deltas.all():
                continue  # a field of view that stays on an axis: not in our files
            got = [(np.float32(value), *offset) for value, offset in examples.face_maxima(given, deltas.tolist(), move)]
            assert got == [tuple(row) for row in want if not np.isnan(row[0])], (got, want)


def check_examples(tissue):
    """The same number gives the same example; its object hangs together; the compiled gradient is PyTorch's."""
    volume = volumes.Volume(f'{tissue}:/raw', f'{tissue}:/labels', None)
    geometry = examples.Geometry((9,) * 3, (2,) * 3, 1, 'fixed', 2.9, -2.9, 2.2, 0.)
    classes = volumes.find_candidates([volume], geometry.example_shape, (1, 1, 1), 1000, 1)
    augmentation = examples.Augmentation(True, 'zyx', .1, .1, .1, .5)
    make = examples.Source([volume], classes, geometry, augmentation, (150, 40), 1).make
    a, b, c = make(0, 3, 7), make(0, 3, 7), make(0, 3, 8)
    assert (a.image == b.image).all() and (a.target == b.target).all() and a.queue == b.queue
    assert (a.image != c.image).any() and len(a.queue) == 27 and a.target[a.start] == np.float32(.95)
    ring = np.zeros((5, 5, 5), bool)
    ring[2, 1:4, 1:4] = True
    ring[2, 2, 2] = False
    ring[0, 0, 0] = True
    part = examples.connected_part(ring, (2, 1, 2))
    assert part.sum() == 8 and not part[0, 0, 0]
    touching = np.repeat([[[3, 3, 3, 4, 4, 4, 0]]], 2, 0)
    assert (np.where(volumes.interior(touching, (1, 1, 1)), touching, 0) == [3, 3, 0, 0, 4, 0, 0]).all()


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        tissue = folder / 'tissue.h5'
        make_tissue(tissue)
        check_walk()
        check_examples(tissue)
        weights = check_training(tissue, folder)
        check_file(weights)
        check_run(tissue, weights, folder)
        check_errors(tissue, folder)
        check_processes(tissue, folder)
    print('train_ffn.py: ok')


main()
