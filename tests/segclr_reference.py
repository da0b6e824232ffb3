#!/usr/bin/env python3
"""SegCLR's networks in PyTorch, written from docs/segclr.md alone, and the numbers the tests compare with.

    segclr_reference.py golden tests/segclr_golden.h     rewrites what tests/unit/test_segclr_net.c compares with
    segclr_reference.py embed tf1 18 64 129              one embedding and its trace, as JSON (float64)
    segclr_reference.py time tf1 129 --threads 2         seconds per patch in float32, for docs/performance.md

Weights and patches come from the counter-based generator of docs/segclr.md, here a second time, with the same bits.
"""
import argparse
import json
import time

import numpy as np
import torch
import torch.nn.functional as F

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
EPSILON = 1e-5
# variant, depth, width, size; the first of a width and depth are the published shape.
CASES = [('tf1', 18, 64, 129), ('tf2', 18, 64, 129), ('tf1', 18, 64, 33), ('tf1', 18, 64, 65), ('tf1', 18, 64, 97), ('tf2', 18, 64, 33), ('tf2', 18, 64, 65),
         ('tf2', 18, 64, 97), ('tf1', 34, 16, 65), ('tf2', 34, 16, 65), ('tf1', 50, 16, 65), ('tf2', 50, 16, 65)]


# ---- the generator ----------------------------------------------------------------------------------

def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def mix(z):
    """SplitMix64's output for the state z."""
    with np.errstate(over='ignore'):
        z = np.asarray(z, np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))


def uniform(name, seed, count):
    """Numbers 0 ... count - 1 of a stream, in [0, 1), float64."""
    key = mix(mix(seed) ^ np.uint64(crc32c(name.encode())))
    with np.errstate(over='ignore'):
        return (mix(key + np.arange(count, dtype=np.uint64)) >> np.uint64(40)).astype(np.float64) * 2.0 ** -24


def random_tensor(layer, part, shape, fan_in, seed):
    u = uniform(f'{layer}/{part}', seed, int(np.prod(shape))).reshape(shape)
    if part == 'kernel':
        u = (2 * u - 1) * np.sqrt(6 / fan_in)
    elif part == 'gamma':
        u = 0.5 + u
    elif part == 'variance':
        u = 0.5 + 1.5 * u
    else:
        u = 2 * u - 1
    return u.astype(np.float32)


def patch(size, seed):
    """A tube of noise in the dark: what a masked patch is like."""
    image = np.floor(uniform('patch', seed, size ** 3) * 256).reshape(size, size, size)
    z, y, x = np.ogrid[:size, :size, :size]
    inside = (z - size // 2) ** 2 + (y - x // 2 - size // 4) ** 2 <= (size // 4) ** 2
    return np.where(inside, image * (1 / 255), 0).astype(np.float32)


# ---- the network ------------------------------------------------------------------------------------

class Network:
    def __init__(self, variant, depth=18, width=64, embedding=64, head=3, seed=1, dtype=torch.float64):
        self.variant, self.depth, self.width, self.dtype, self.seed = variant, depth, width, dtype, seed
        self.embedding, self.head = embedding, head
        self.tensors = {}

    def tensor(self, layer, part, shape, fan_in=1):
        name = f'{layer}/{part}'
        if name not in self.tensors:
            value = random_tensor(layer, part, shape, fan_in, self.seed)
            self.tensors[name] = torch.from_numpy(value).to(self.dtype)
        return self.tensors[name]

    def norm(self, x, layer, beta=True):
        c = x.shape[1]
        view = (1, c) + (1,) * (x.dim() - 2)
        gamma, mean, variance = (self.tensor(layer, p, (c,)).view(view) for p in ('gamma', 'mean', 'variance'))
        y = gamma * (x - mean) / torch.sqrt(variance + EPSILON)
        return y + self.tensor(layer, 'beta', (c,)).view(view) if beta else y

    def conv(self, x, layer, cout, kernel, stride):
        cin = x.shape[1]
        w = self.tensor(layer, 'kernel', (kernel,) * 3 + (cin, cout), kernel ** 3 * cin).permute(4, 3, 0, 1, 2)
        bias = self.tensor(layer, 'bias', (cout,)) if self.variant == 'tf1' else None
        return F.conv3d(x, w.contiguous(), bias, stride=stride, padding=kernel // 2)

    def main_path(self, x, block, shapes):
        for i, (cout, kernel, stride) in enumerate(shapes):
            name = f'{block}/conv_{i}'
            x = self.conv(x, name, cout, kernel, stride)
            if self.variant == 'tf1':
                x = self.norm(torch.relu(x), name)
            else:
                x = self.norm(x, name)
                x = torch.relu(x) if i + 1 < len(shapes) else x
        return x

    def block(self, x, stage, number):
        width = self.width << (stage - 2)
        stride = 2 if number == 0 and stage > 2 else 1
        if self.depth < 50:
            shapes = [(width, 3, stride), (width, 3, 1)]
        elif self.variant == 'tf1':
            shapes = [(width, 1, stride), (width, 3, 1), (4 * width, 1, 1)]
        else:
            shapes = [(width, 1, 1), (width, 3, stride), (4 * width, 1, 1)]
        name = f'stage_{stage}/block_{number}'
        shortcut = x
        if number == 0:
            shortcut = self.norm(self.conv(x, f'{name}/shortcut', shapes[-1][0], 1, stride), f'{name}/shortcut')
        return torch.relu(self.main_path(x, name, shapes) + shortcut)

    def __call__(self, image):
        """[z, y, x] to the embedding and the trace of (name, mean, mean square)."""
        trace = []

        def note(name, values):
            values = values.double()
            trace.append((name, values.mean().item(), (values * values).mean().item()))

        x = torch.from_numpy(image).to(self.dtype)[None, None]
        x = self.norm(self.conv(x, 'stem', self.width, 7, 2), 'stem')
        if self.variant == 'tf2':
            x = torch.relu(x)
        x = F.max_pool3d(x, 3, 2, 1)
        note('stem', x)
        for stage in range(2, 6):
            for number in range(BLOCKS[self.depth][stage - 2]):
                x = self.block(x, stage, number)
            note(f'stage_{stage}', x)
        x = x.mean(dim=(2, 3, 4))
        note('mean', x)
        for i in range(self.head):
            last, cin = i == self.head - 1, x.shape[1]
            cout = self.embedding if last else cin
            x = x @ self.tensor(f'head_{i}', 'kernel', (cin, cout), cin)
            x = self.norm(x, f'head_{i}', beta=self.variant == 'tf1' or not last)
            x = x if last else torch.relu(x)
        return x[0].numpy(), trace


# ---- uses -------------------------------------------------------------------------------------------

def golden(path):
    with open(path, 'w') as f:
        f.write('/* Made by tests/segclr_reference.py (PyTorch, float64); do not edit. */\n'
                'typedef struct segclr_golden {\n    int variant, depth, width, size;\n    double trace[6][2];\n'
                '    double embedding[64];\n} segclr_golden;\n\nstatic const segclr_golden segclr_goldens[] = {\n')
        for variant, depth, width, size in CASES:
            with torch.no_grad():
                e, trace = Network(variant, depth, width)(patch(size, 1))
            f.write(f'    {{{variant[2]}, {depth}, {width}, {size},\n     {{')
            f.write(', '.join(f'{{{m:.9g}, {s:.9g}}}' for _, m, s in trace) + '},\n     {')
            f.write(', '.join(f'{v:.9g}' for v in e) + '}},\n')
            print(variant, depth, width, size, 'norm', np.linalg.norm(e), flush=True)
        f.write('};\n')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sub = p.add_subparsers(dest='what', required=True)
    sub.add_parser('golden').add_argument('path')
    one = sub.add_parser('embed')
    for name, kind in (('variant', str), ('depth', int), ('width', int), ('size', int)):
        one.add_argument(name, type=kind)
    speed = sub.add_parser('time')
    speed.add_argument('variant')
    speed.add_argument('size', type=int)
    speed.add_argument('--threads', type=int, default=1)
    speed.add_argument('--repeat', type=int, default=3)
    a = p.parse_args()
    with torch.no_grad():
        if a.what == 'golden':
            golden(a.path)
        elif a.what == 'embed':
            e, trace = Network(a.variant, a.depth, a.width)(patch(a.size, 1))
            print(json.dumps(dict(embedding=[float(v) for v in e], trace=trace)))
        else:
            measure(a)


def measure(a):
    """Eager PyTorch in float32: what a user would have at hand."""
    torch.set_num_threads(a.threads)
    network, image = Network(a.variant, dtype=torch.float32), patch(a.size, 1)
    network(image)
    times, cpu = [], time.process_time()
    for _ in range(a.repeat):
        begin = time.perf_counter()
        network(image)
        times.append(time.perf_counter() - begin)
    cpu = (time.process_time() - cpu) / a.repeat
    print(f'pytorch {torch.__version__} {a.variant} {a.size}^3, {a.threads} threads: '
          f'min {min(times):.3f} s, median {sorted(times)[len(times) // 2]:.3f} s, processor {cpu:.3f} s per patch')


if __name__ == '__main__':
    main()
