"""Training examples: a box around a voxel of an object, and the walk of the field of view through it.

The walk is inference's own (src/ffn does the same on whole volumes): the network's answer is written back into the
object map, faces of it that are object enough are where the field of view goes next, and once an object is there a
negative voxel may only become more negative. The network so sees in training what it will see later.
"""
import collections
import dataclasses

import numpy as np

OBJECT, BACKGROUND = .95, .05  # soft labels: the network is not driven to infinite logits


@dataclasses.dataclass
class Geometry:
    """What the network sees and how it moves. Thresholds are logits in double, as face maxima are compared in
    inference; `map_move` is the move threshold in the object map's own precision, which holds init as a float."""
    fov: tuple
    deltas: tuple
    moves: int
    policy: str
    init: float
    pad: float
    move: float
    disco: float

    @property
    def map_move(self):
        return np.float32(self.move)

    @property
    def example_shape(self):
        return tuple(f + 2 * d * self.moves for f, d in zip(self.fov, self.deltas))


@dataclasses.dataclass
class Augmentation:
    flips: bool
    swap_axes: str  # the axes that may change places: 'zyx', 'yx' or 'none'
    gain: float
    offset: float
    noise: float
    dark_sections: float


class Source:
    """Makes example number `index` of a lane of a rank; the same numbers give the same example in every run."""

    def __init__(self, volumes, classes, geometry, augmentation, normalisation, seed):
        self.volumes, self.classes, self.geometry, self.augmentation = volumes, classes, geometry, augmentation
        self.mean, self.stddev = map(np.float32, normalisation)
        self.seed = seed

    def make(self, rank, lane, index):
        rng = np.random.default_rng([self.seed, 1, rank, lane, index])
        rows = self.classes[rng.integers(len(self.classes))]
        number, voxel = rows[rng.integers(len(rows))]
        volume, shape = self.volumes[number], self.geometry.example_shape
        centre = np.unravel_index(voxel, volume.labels.shape)
        box = tuple(slice(c - n // 2, c - n // 2 + n) for c, n in zip(centre, shape))
        middle = tuple(n // 2 for n in shape)
        inside = connected_part(volume.labels[box] == volume.labels[centre], middle)
        image = (volume.raw[box].astype(np.float32) - self.mean) / self.stddev
        image, inside = augment(image, inside, self.augmentation, rng)
        return Example(self.geometry, image, np.where(inside, np.float32(OBJECT), np.float32(BACKGROUND)), rng)


def connected_part(mask, start):
    """The voxels of mask that hang together with start inside the box; a branch that comes back from outside is not
    to be guessed. Takes whole runs along each axis at a time until nothing is added."""
    runs = []
    for axis in range(3):
        along = np.moveaxis(mask, axis, 2)
        begins = along.copy()
        begins[..., 1:] &= ~along[..., :-1]
        number = np.where(along, np.cumsum(begins.ravel()).reshape(along.shape), 0)
        runs.append(np.ascontiguousarray(np.moveaxis(number, 2, axis)))
    reached, count = np.zeros_like(mask), 0
    reached[start] = True
    while (now := np.count_nonzero(reached)) > count:
        count = now
        for number in runs:
            taken = np.zeros(number.max() + 1, bool)
            taken[number[reached]] = True
            reached = taken[number]
    return reached


def augment(image, inside, options, rng):
    """Intensities first (a dark section is a section of the microscope, z), then the geometry of both."""
    if rng.random() < options.dark_sections:
        z, darkest, strength = rng.integers(len(image)), image.min(), rng.choice([0, rng.uniform(.2, .6)])
        image[z] = darkest + strength * (image[z] - darkest)
    image *= 1 + rng.uniform(-options.gain, options.gain)
    image += rng.uniform(-options.offset, options.offset)
    if options.noise:
        image += rng.uniform(0, options.noise) * rng.standard_normal(image.shape, np.float32)
    fixed = dict(zyx=0, yx=1, none=3)[options.swap_axes]
    order = [*range(fixed), *(fixed + rng.permutation(3 - fixed))]
    flips = tuple(slice(None, None, -1 if options.flips and rng.random() < .5 else 1) for _ in range(3))
    return (np.ascontiguousarray(a.transpose(order)[flips]) for a in (image, inside))


class Example:
    """The object map (NaN where the network has not been, as in inference), and where to go in it.
    All positions are voxels of the example's box."""

    def __init__(self, geometry, image, target, rng):
        self.geometry, self.image, self.target = geometry, image, target
        self.start = tuple(n // 2 for n in image.shape)
        self.map = np.full(image.shape, np.nan, np.float32)
        self.map[self.start] = geometry.init
        self.queue, self.done = collections.deque([self.start]), set()
        if geometry.policy == 'fixed':
            self.queue.extend(self.all_neighbours(rng))

    def all_neighbours(self, rng):
        """Every position within the radius except the start, shuffled, near ones first."""
        radius = range(-self.geometry.moves, self.geometry.moves + 1)
        steps = [(z, y, x) for z in radius for y in radius for x in radius if (z, y, x) != (0, 0, 0)]
        steps = sorted((steps[i] for i in rng.permutation(len(steps))), key=lambda s: max(map(abs, s)))
        return [tuple(a + s * d for a, s, d in zip(self.start, step, self.geometry.deltas)) for step in steps]

    def window(self, at):
        return tuple(slice(a - f // 2, a + f // 2 + 1) for a, f in zip(at, self.geometry.fov))

    def next_centre(self):
        """Where the network looks next; None if the object is complete or lost (its seed fell below the threshold)."""
        g = self.geometry
        while self.queue:
            at = self.queue.popleft()
            cell = tuple((a - s + d // 2) // d for a, s, d in zip(at, self.start, g.deltas))
            if cell in self.done or not self.map[at] >= g.map_move:
                continue
            if any(abs(a - s) > g.moves * d for a, s, d in zip(at, self.start, g.deltas)):
                continue
            if self.map[self.start] < g.map_move:
                return None
            self.done.add(cell)
            return at
        return None

    def store(self, at, logits):
        """Takes the network's answer at a centre and queues the faces that are object enough."""
        self.map[self.window(at)] = logits
        if self.geometry.policy == 'facemax':
            moves = face_maxima(logits, self.geometry.deltas, self.geometry.move)
            self.queue.extend(tuple(a + o for a, o in zip(at, offset)) for _, offset in moves)


def face_maxima(logits, deltas, threshold):
    """(value, offset) of the largest voxel on each face of the box of +-deltas if over the threshold, best first."""
    middle = [n // 2 for n in logits.shape]
    inner = logits[tuple(slice(m - d, m + d + 1) for m, d in zip(middle, deltas))]
    found = set()
    for axis in range(3):
        for side in (0, 2 * deltas[axis]):
            face = np.take(inner, side, axis)
            at = int(face.argmax())
            if (value := float(face.flat[at])) >= threshold:
                offset = list(np.unravel_index(at, face.shape))
                offset.insert(axis, side)
                found.add((value, tuple(int(o) - d for o, d in zip(offset, deltas))))
    return sorted(found, reverse=True)


def hold_negatives(old, new, geometry):
    """The disconnection rule on a batch of fields of view: once more than `disco` of one is object, its voxels that
    were negative do not rise. Voxels never visited are NaN in old and compare false."""
    if geometry.disco < 0:
        return new
    has_object = (new >= geometry.move).mean((1, 2, 3), keepdims=True) > geometry.disco
    return np.where(has_object & (old < 0) & (new > old), old, new)


class Lane:
    """One row of the batch: works through an example, then through the next. The next one is made in the pool's thread
    meanwhile. Its state is small, as an example can be made again from its number."""

    def __init__(self, source, pool, rank, number, state=None):
        self.make = lambda index: pool.submit(source.make, rank, number, index)
        self.index, self.example = -1, None
        if state:
            self.index = state['index']
            self.example = self.make(self.index).result()
            self.example.map = state['map']
            self.example.queue = collections.deque(map(tuple, state['queue']))
            self.example.done = set(map(tuple, state['done']))
        self.following = self.make(self.index + 1)

    def next_centre(self):
        at = self.example.next_centre() if self.example else None
        if at is None:
            self.index += 1
            self.example = self.following.result()
            self.following = self.make(self.index + 1)
            at = self.example.next_centre()
        return at

    def state(self):
        e = self.example
        return dict(index=self.index, map=e.map, queue=list(e.queue), done=sorted(e.done)) if e else None
