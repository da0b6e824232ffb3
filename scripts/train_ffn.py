#!/usr/bin/env python3
"""Trains a flood-filling network (Januszewski et al., Nature Methods 2018) on HDF5 images and labels, and exports it as
a weights file that `exaconn run` takes. On CPUs or GPUs; several processes through torchrun.

The loop: every lane of the batch walks a field of view through an example of its own (ffn_training/examples.py); each
optimiser step takes the next field of view of every lane. Interrupted, the same command goes on where it was, to the
same weights.
"""
import argparse
import fcntl
import filecmp
import hashlib
import json
import math
import os
import pathlib
import signal
import subprocess
import sys
import time

from ffn_training.errors import BAD_ARGUMENTS, BAD_INPUT, FAILED, INTERRUPTED, Problem

# Before PyTorch is loaded. Its threads would wait by spinning, which measured a third of the speed on shared cores.
os.environ.setdefault('OMP_WAIT_POLICY', 'passive')
try:
    import numpy as np
    import torch

    import weights_file
    from ffn_training import examples
    from ffn_training.network import export_layers
    from ffn_training.training import Processes, Training, choose_device, learning_rate, logit
    from ffn_training.volumes import Volume, find_candidates, join, measure_normalisation
    missing = None
except ImportError as error:  # said once the arguments are understood: --help works anywhere
    missing = error.name or str(error)

EXAMPLE = """example:
  train_ffn.py --data em.h5:/raw truth.h5:/labels --box 0,0,0,160,250,250 --work ffn_work \\
      --depth 4 --features 16 --fov 17,17,17 --deltas 4,4,4 --steps 20000
  exaconn info ffn_work/weights.h5

The same command goes on where an interrupted one was. Several processes on a node:
  torchrun --nproc_per_node 4 train_ffn.py ...

Each process holds all volumes in memory.

Exit codes: 0 done, 1 failed, 2 command line, 4 bad input, 5 interrupted (Ctrl-C, SIGTERM; a checkpoint was written).
torchrun has exit codes of its own: 0, or 1 for anything else."""

# Options that do not change the trained network: these may differ when a run goes on.
FREE = {'work', 'output', 'report', 'checkpoint_every', 'threads', 'device', 'license', 'note', 'segment_threshold',
        'min_segment_size', 'min_boundary_dist', 'data', 'box', 'commit'}


# ---- command line

class Parser(argparse.ArgumentParser):
    def error(self, message):
        raise Problem(BAD_ARGUMENTS, message, 'train_ffn.py --help lists the options')


def numbers(count):
    def parse(text):
        values = tuple(int(v) for v in text.split(','))
        if len(values) != count:
            raise ValueError
        return values
    parse.__name__ = f'list of {count} integers (as 1,2,3)'
    return parse


def box(text):
    return None if text == 'all' else (numbers(6)(text)[:3], numbers(6)(text)[3:])


box.__name__ = 'box (Z,Y,X,DZ,DY,DX or all)'


def make_parser():
    p = Parser('train_ffn.py', description=__doc__, epilog=EXAMPLE, allow_abbrev=False,
               formatter_class=argparse.RawDescriptionHelpFormatter)

    def add(group, name, default, text, kind=None, **more):
        shown = ','.join(map(str, default)) if isinstance(default, tuple) else default
        text += '' if shown in (None, '') else f' (default {shown})'
        group.add_argument(name, default=default, type=kind or type(default), help=text, **more)

    zyx = numbers(3)
    g = p.add_argument_group('what to train on, and where')
    g.add_argument('--data', action='append', nargs=2, required=True, metavar=('RAW', 'LABELS'),
                   help='image and label volume, as file.h5:/dataset; 0 = background; may be given several times')
    g.add_argument('--box', action='append', type=box, metavar='Z,Y,X,DZ,DY,DX',
                   help='part to train on (first voxel, extent) or "all": once per --data, or never')
    g.add_argument('--work', required=True, type=pathlib.Path, help='folder for checkpoints, log and result')
    g.add_argument('--output', type=pathlib.Path, help='the trained weights file (default WORK/weights.h5)')
    g = p.add_argument_group('network')
    add(g, '--depth', 12, 'residual modules')
    add(g, '--features', 32, 'channels, a multiple of 8')
    add(g, '--fov', (33, 33, 33), 'field of view, odd', zyx, metavar='Z,Y,X')
    add(g, '--deltas', (8, 8, 8), 'how far it moves, at most half of it', zyx, metavar='Z,Y,X')
    g = p.add_argument_group('optimisation')
    add(g, '--steps', 100000, 'optimiser steps')
    add(g, '--batch', 8, 'fields of view in a step, per process')
    add(g, '--lr', 1e-3, 'peak learning rate of Adam; rises over the warm-up, then falls along a cosine to 0')
    add(g, '--warmup', 200, 'steps of warm-up')
    add(g, '--clip', 1., 'largest norm of the gradient; 0 = no clipping')
    add(g, '--ema', .999, 'exponential average of the weights, which is what is exported; 0 = the last weights')
    add(g, '--seed', 1, 'of all random choices')
    g = p.add_argument_group('examples')
    add(g, '--policy', 'facemax', 'facemax: the field of view moves as in inference; fixed: over all neighbours, '
        'shuffled, where the map reaches the move threshold', choices=['facemax', 'fixed'])
    add(g, '--moves', 1, 'moves along each axis from the start, at most')
    add(g, '--border', (0, 0, 0), 'label voxels nearer than this to another object become background: for labels that '
        'touch', zyx, metavar='Z,Y,X')
    add(g, '--seed-margin', (1, 1, 1), 'an example begins where neighbours this far are of the same object', zyx,
        metavar='Z,Y,X')
    add(g, '--candidates', 100000, 'voxels drawn as possible beginnings of examples')
    add(g, '--image-mean', None, 'grey value that becomes 0 (default: measured)', float)
    add(g, '--image-stddev', None, 'grey values that become 1 (default: measured)', float)
    g = p.add_argument_group('augmentation (intensities in standard deviations of the image)')
    g.add_argument('--no-flips', dest='flips', action='store_false', help='do not mirror examples')
    add(g, '--swap-axes', 'auto', 'axes that may change places; auto: those with equal field of view, deltas and voxel '
        'size', choices=['auto', 'zyx', 'yx', 'none'])
    add(g, '--gain', .1, 'contrast changes by up to this fraction')
    add(g, '--offset', .1, 'brightness changes by up to this')
    add(g, '--noise', .1, 'noise of up to this deviation is added')
    add(g, '--dark-sections', 0., 'fraction of examples in which one z section is darkened or blank')
    g = p.add_argument_group('inference options, stored in the weights file; the first four also shape the training')
    add(g, '--init-activation', .95, 'object map at the seed')
    add(g, '--pad-value', .05, 'object map where not visited')
    add(g, '--move-threshold', .9, 'the field of view moves where the map is at least this')
    add(g, '--disco-seed-threshold', 0., 'fraction of object above which negative voxels may not rise; negative = off')
    add(g, '--segment-threshold', .6, 'voxels of at least this are object')
    add(g, '--min-segment-size', 1000, 'smaller objects are dropped')
    add(g, '--min-boundary-dist', (1, 1, 1), 'distance of a seed from other objects', zyx, metavar='Z,Y,X')
    g = p.add_argument_group('running')
    add(g, '--device', 'auto', 'auto = a GPU if there is one', choices=['auto', 'cpu', 'cuda'])
    add(g, '--threads', 0, 'CPU threads of each process; 0 = PyTorch\'s choice')
    add(g, '--report', 100, 'steps between progress lines')
    add(g, '--checkpoint-every', 1000, 'steps between checkpoints')
    add(g, '--license', '', 'licence text stored in the weights file')
    add(g, '--note', '', 'stored in the weights file, such as where the data came from')
    return p


def check_arguments(a):
    """Refuses what cannot work, before anything is read."""
    axes = list(zip('zyx', a.fov, a.deltas))
    rules = [(1 <= a.depth <= 64, f'--depth is {a.depth}', '1 to 64'),
             (8 <= a.features <= 512 and a.features % 8 == 0, f'--features is {a.features}',
              'a multiple of 8 from 8 to 512')]
    rules += [(3 <= f <= 257 and f % 2, f'--fov on axis {axis} is {f}', 'odd numbers from 3 to 257')
              for axis, f, _ in axes]
    rules += [(1 <= d <= f // 2, f'--deltas on axis {axis} is {d}', f'1 to half the field of view, {f // 2}')
              for axis, f, d in axes]
    for name in ('init_activation', 'pad_value', 'move_threshold', 'segment_threshold'):
        rules.append((0 < getattr(a, name) < 1, f'--{name.replace("_", "-")} is {getattr(a, name)}', 'between 0 and 1'))
    rules += [(a.pad_value < a.move_threshold <= a.init_activation,
               f'--move-threshold is {a.move_threshold}', 'above --pad-value, at most --init-activation'),
              (a.disco_seed_threshold <= 1, '--disco-seed-threshold is over 1', 'a fraction, or negative for off'),
              (all(0 <= v <= 1024 for v in a.min_boundary_dist), '--min-boundary-dist', '0 to 1024'),
              (a.box is None or len(a.box) == len(a.data), f'{len(a.data)} --data but {len(a.box or [])} --box',
               'give --box once per --data, in the same order ("all" for a whole volume), or never'),
              (0 <= a.ema < 1, f'--ema is {a.ema}', '0 to below 1'), (a.lr > 0, f'--lr is {a.lr}', 'above 0'),
              (0 <= a.dark_sections <= 1, f'--dark-sections is {a.dark_sections}', 'a fraction'),
              (0 <= a.gain < 1, f'--gain is {a.gain}', '0 to below 1'),
              (a.image_stddev is None or a.image_stddev > 0, f'--image-stddev is {a.image_stddev}', 'above 0'),
              (all(v >= 0 for v in a.seed_margin), '--seed-margin is negative', '0 or more'),
              (all(v >= 0 for v in a.border), '--border is negative', '0 or more'),
              (len(a.license.encode()) <= 127, '--license is longer than 127 bytes', 'name the licence only')]
    for name in ('steps', 'batch', 'moves', 'candidates', 'report', 'checkpoint_every'):
        rules.append((getattr(a, name) >= 1, f'--{name.replace("_", "-")} is {getattr(a, name)}', 'at least 1'))
    for name in ('warmup', 'clip', 'offset', 'noise', 'seed', 'threads', 'min_segment_size'):
        rules.append((getattr(a, name) >= 0, f'--{name.replace("_", "-")} is {getattr(a, name)}', '0 or more'))
    for name, value in vars(a).items():
        rules.append((not isinstance(value, float) or math.isfinite(value), f'--{name.replace("_", "-")} is {value}',
                      'a finite number'))
    rules.append((a.batch <= 65536, f'--batch is {a.batch}', 'at most 65536'))
    rules.append((a.seed < 2**63, f'--seed is {a.seed}', 'less than 2^63'))
    for right, what, hint in rules:
        if not right:
            raise Problem(BAD_ARGUMENTS, what, hint)


def check_output(a):
    """Nothing is replaced but this training's own earlier result."""
    mine, output = a.work / 'weights.h5', a.output
    if output and output.is_dir():
        raise Problem(BAD_ARGUMENTS, f"--output '{output}' is a folder", 'name a file')
    if output and not output.parent.is_dir():
        raise Problem(BAD_ARGUMENTS, f"--output '{output}': there is no folder '{output.parent}'", 'make it')
    if output and output.exists() and not (mine.is_file() and filecmp.cmp(output, mine, shallow=False)):
        raise Problem(BAD_ARGUMENTS, f"--output '{output}' exists and is not this training's result",
                      'name another file, or remove it')
    for name in ('weights.h5', 'latest.h5'):
        if (a.work / name).exists() and not (a.work / 'checkpoint.pt').exists():
            raise Problem(BAD_ARGUMENTS, f"'{a.work / name}' exists, but '{a.work}' holds no training that goes on",
                          'give another --work folder, or remove the file')


# ---- inputs

def equal_axes(a, volumes):
    """The axes along which the examples look alike, for --swap-axes auto."""
    sizes = [v.voxel_size or (1, 1, 1) for v in volumes]
    same = [all(v[i] == v[2] for v in [a.fov, a.deltas, *sizes]) for i in range(2)]
    return 'none' if not same[1] else 'zyx' if same[0] else 'yx'


def read_inputs(a):
    """The volumes, and what of the arguments depends on them."""
    volumes = [Volume(raw, labels, part, a.border)
               for (raw, labels), part in zip(a.data, a.box or [None] * len(a.data))]
    mean, stddev = measure_normalisation(volumes)
    a.image_mean = mean if a.image_mean is None else a.image_mean
    a.image_stddev = stddev if a.image_stddev is None else a.image_stddev
    possible = equal_axes(a, volumes)
    if a.swap_axes == 'auto':
        a.swap_axes = possible
    if len(a.swap_axes.replace('none', '')) > len(possible.replace('none', '')):
        raise Problem(BAD_ARGUMENTS, f'--swap-axes {a.swap_axes}, but field of view, deltas or voxel size differ '
                      'between these axes', f'--swap-axes {possible}')
    return volumes


def make_source(a, volumes, say):
    geometry = examples.Geometry(a.fov, a.deltas, a.moves, a.policy, logit(a.init_activation), logit(a.pad_value),
                                 logit(a.move_threshold), a.disco_seed_threshold)
    classes = find_candidates(volumes, geometry.example_shape, a.seed_margin, a.candidates, a.seed)
    augmentation = examples.Augmentation(a.flips, a.swap_axes, a.gain, a.offset, a.noise, a.dark_sections)
    say(f'data: {", ".join(f"{v.name} {join(v.raw.shape)}" for v in volumes)}; image mean {a.image_mean}, '
        f'stddev {a.image_stddev}')
    say(f'examples: {join(geometry.example_shape)} voxels around {sum(map(len, classes))} candidates in {len(classes)} '
        f'classes of object fraction; axes that change places: {a.swap_axes}')
    return examples.Source(volumes, classes, geometry, augmentation, (a.image_mean, a.image_stddev), a.seed)


def identity(a, volumes, processes):
    """All that decides what the trained network will be."""
    mine = {f'--{k.replace("_", "-")}': str(v) for k, v in vars(a).items() if k not in FREE}
    return dict(mine, **{'the voxels of --data in --box': ' '.join(v.sha256[:16] for v in volumes),
                         'the number of processes': str(processes.size)})


# ---- work folder

class Work:
    """WORK/checkpoint.pt, log.jsonl, latest.h5. Used by the first process only."""

    def __init__(self, folder, mine):
        self.folder, self.identity, self.commit = folder, mine, commit()
        self.checkpoint, self.log = folder / 'checkpoint.pt', folder / 'log.jsonl'
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.lock = open(folder / 'lock', 'w')
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problem(FAILED, f"another training works in '{folder}'", 'wait, or give another --work') from None

    def load(self):
        """The checkpoint's state, or None."""
        if not self.checkpoint.exists():
            return None
        try:
            saved = torch.load(self.checkpoint, map_location='cpu', weights_only=True)
            theirs, state, self.commit = saved['identity'], saved['state'], saved.get('commit', self.commit)
        except Exception as error:  # torch.load raises many types for a damaged file
            raise Problem(BAD_INPUT, f"cannot read the checkpoint '{self.checkpoint}': {str(error)[:200]}",
                          'remove it to begin again') from error
        keys = [k for k in {**theirs, **self.identity} if theirs.get(k) != self.identity.get(k)]
        if keys:
            raise Problem(BAD_ARGUMENTS, f"'{self.folder}' holds another training: " + '; '.join(
                f'{k}: {theirs.get(k)} there, {self.identity.get(k)} here' for k in keys), 'give another --work folder')
        return state

    def save(self, state):
        temporary = self.checkpoint.with_suffix('.tmp')
        with open(temporary, 'wb') as f:
            torch.save(dict(identity=self.identity, state=state, commit=self.commit), f)
            f.flush()
            os.fsync(f.fileno())
        weights_file.replace(temporary, self.checkpoint)

    def trim_log(self, step):
        """Forgets the lines after the checkpoint: these steps are done again."""
        if self.log.exists():
            lines = [line for line in self.log.read_text().splitlines() if line.endswith('}')]
            self.log.write_text(''.join(line + '\n' for line in lines if json.loads(line)['step'] <= step))

    def append(self, record):
        with open(self.log, 'a') as f:
            f.write(json.dumps(record) + '\n')


# ---- export

def commit():
    """Of this script. Asked when a training begins: later the checkout may be another."""
    git = ['git', '-C', pathlib.Path(__file__).resolve().parent, 'describe', '--always', '--dirty', '--abbrev=12']
    try:
        return subprocess.run(git, capture_output=True, text=True).stdout.strip() or 'of unknown commit'
    except OSError:
        return 'of unknown commit'


# What the weights file says elsewhere, or what says nothing about the network.
UNTOLD = FREE | {'depth', 'features', 'fov', 'deltas', 'steps', 'seed', 'image_mean', 'image_stddev', 'init_activation',
                 'pad_value', 'move_threshold', 'disco_seed_threshold'}


def provenance(a, volumes, step):
    """At most 511 bytes: which script, how long, and every option that is not at its default."""
    parser = make_parser()
    options = [f'{n.replace("_", "-")} {join(v) if isinstance(v, tuple) else v}' for n, v in vars(a).items()
               if n not in UNTOLD and v != parser.get_default(n)]
    data = f'{len(volumes)} volumes from {volumes[0].raw_name} to {volumes[-1].raw_name}'
    parts = [f'train_ffn.py, exaconn {a.commit}, torch {torch.__version__}', a.note, f'step {step} of {a.steps}, seed '
             f'{a.seed}', ', '.join(options), data if len(volumes) > 1 else volumes[0].raw_name]
    text = '; '.join(p for p in parts if p).encode()
    return (text if len(text) <= 511 else text[:508] + b'...').decode(errors='ignore')


def data_sha256(volumes):
    """Of the SHA-256 of each volume's voxels in its box, image then labels, as 64 digits and a line feed each."""
    return hashlib.sha256(''.join(f'{v.sha256}\n' for v in volumes).encode()).hexdigest()


def export(path, a, volumes, training):
    tensors = training.average
    for t in tensors:
        if not torch.isfinite(t).all():
            raise Problem(FAILED, 'the trained weights are not finite', 'a lower --lr in a new --work folder')
    names = ('depth', 'features', 'image_mean', 'image_stddev', 'init_activation', 'pad_value', 'move_threshold',
             'segment_threshold', 'disco_seed_threshold', 'min_segment_size', 'license')
    attributes = {n: getattr(a, n) for n in names}
    attributes.update(fov_zyx=a.fov, deltas_zyx=a.deltas, min_boundary_dist_zyx=a.min_boundary_dist,
                      source=provenance(a, volumes, training.step), source_sha256=data_sha256(volumes))
    weights_file.write(path, export_layers(training.network, tensors), attributes)


# ---- the run

class Progress:
    """Collects what the lines say between two reports."""

    def __init__(self, training):
        self.training = training
        self.reset()

    def reset(self):
        self.began, self.loss, self.counts = time.monotonic(), [], np.zeros(3, np.int64)
        self.examples = sum(lane.index for lane in self.training.lanes)

    def add(self, loss, counts):
        self.loss.append(loss)
        self.counts += counts

    def record(self):
        t, a = self.training, self.training.a
        seconds, steps = time.monotonic() - self.began, len(self.loss)
        hit, wrong, missed = map(int, self.counts)
        new = sum(lane.index for lane in t.lanes) - self.examples
        return dict(step=t.step, steps=a.steps, loss=sum(self.loss) / steps, precision=hit / max(1, hit + wrong),
                    recall=hit / max(1, hit + missed), f1=2 * hit / max(1, 2 * hit + wrong + missed),
                    fovs_per_example=steps * a.batch / max(1, new), lr=learning_rate(t.step - 1, a),
                    fovs_per_s=steps * a.batch * t.processes.size / seconds, seconds=seconds,
                    eta_s=(a.steps - t.step) * seconds / steps)


def show(r):
    eta = int(r['eta_s'])
    return (f"step {r['step']}/{r['steps']}  loss {r['loss']:.4f}  precision {r['precision']:.3f}  "
            f"recall {r['recall']:.3f}  F1 {r['f1']:.3f}  {r['fovs_per_example']:.1f} FOVs/example  "
            f"{r['fovs_per_s']:.1f} FOVs/s  ETA {eta // 3600}:{eta // 60 % 60:02}:{eta % 60:02}")


class StopSignal:
    """Remembers the first Ctrl-C or SIGTERM; the second one ends the process at once."""

    def __init__(self):
        self.asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.take)

    def take(self, number, _):
        self.asked = True
        signal.signal(number, signal.SIG_DFL)


def train(training, work, save, stop):
    a, processes = training.a, training.processes
    progress = Progress(training)
    while training.step < a.steps:
        if processes.any(stop.asked):
            save()
            return False
        progress.add(*training.take_step())
        if training.step % a.report == 0 or training.step == a.steps:
            record = progress.record()
            processes.say(show(record))
            if work:
                work.append(record)
            progress.reset()
        if training.step % a.checkpoint_every == 0 or training.step == a.steps:
            save()
    return True


def run(a, stop):
    volumes = read_inputs(a)
    device, device_text = choose_device(a)
    processes = Processes(device)
    source = make_source(a, volumes, processes.say)
    work = Work(a.work, identity(a, volumes, processes)) if processes.rank == 0 else None
    state = processes.from_first(work.load() if work else None)
    a.commit = work.commit if work else None
    with Training(a, source, device, processes) as training:
        return run_training(a, volumes, training, work, state, device_text, stop)


def run_training(a, volumes, training, work, state, device_text, stop):
    processes = training.processes
    parameters = sum(w.numel() for w in training.weights)
    processes.say(f'network: depth {a.depth}, {a.features} features, {parameters} parameters; device: {device_text}'
                  + (f', {processes.size} processes' if processes.size > 1 else ''))

    def save():
        lanes = processes.gather(training.lane_states())
        if work:
            work.save(training.state(lanes))
            export(a.work / 'latest.h5', a, volumes, training)

    if state:
        training.restore(state)
        processes.say(f'checkpoint: goes on after step {training.step} of {a.steps}')
        if work:
            work.trim_log(training.step)
    else:
        training.start_lanes()
    if training.step < a.steps and not train(training, work, save, stop):
        processes.end()
        processes.say(f'train_ffn.py: interrupted at step {training.step} of {a.steps}; the same command goes on there')
        return INTERRUPTED
    if work:
        output = a.output or a.work / 'weights.h5'
        for path in {output, a.work / 'weights.h5'}:
            export(path, a, volumes, training)
        print(f'complete: {a.steps} steps; the trained network is {output}')
    processes.end()
    return 0


def main(arguments):
    rank = f"rank {os.environ['RANK']}: " if int(os.environ.get('WORLD_SIZE', 1)) > 1 else ''
    try:
        a = make_parser().parse_args(arguments)
        check_arguments(a)
        check_output(a)
        if missing:
            raise Problem(FAILED, f'a Python package is missing: {missing}',
                          'python -m pip install -r scripts/requirements-train.txt')
        return run(a, StopSignal())
    except Problem as problem:
        code, text = problem.code, str(problem)
    except OSError as error:
        code, text = FAILED, str(Problem(FAILED, error))
    except (MemoryError, RuntimeError) as error:  # PyTorch's own of several types
        if not isinstance(error, MemoryError) and 'memory' not in str(error).lower():
            raise
        code, text = FAILED, str(Problem(FAILED, f'out of memory: {str(error)[:200]}',
                                         'a smaller --batch, --fov, --features or --box'))
    print(f'train_ffn.py: error: {rank}{text}', file=sys.stderr, flush=True)
    return code


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
