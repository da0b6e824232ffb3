"""Reads pairs of image and label volumes, and finds in them the voxels where training examples may begin."""
import hashlib
import os

import h5py
import hdf5plugin  # noqa: F401 (registers zstd and other filters)
import numpy as np

from .errors import BAD_INPUT, FAILED, Problem

# Examples are drawn so that each class of "how much of the box is the object" comes equally often, as in the paper:
# thin neurites would otherwise drown among large ones.
FRACTION_EDGES = [.025, .05, .075, .1, .2, .3, .4, .5, .6, .7, .8, .9]


class Volume:
    """One pair, cut to its box, in memory. Label voxels nearer than `border` (z y x) to another object become
    background: a gap between objects that touch in the labels is something a network can learn to stop at."""

    def __init__(self, raw_name, label_name, box, border=(0, 0, 0)):
        (raw, whole, size), (labels, other, _) = read_dataset(raw_name, box), read_dataset(label_name, box)
        if whole != other:
            raise Problem(BAD_INPUT, f"'{raw_name}' has the shape {join(whole)} but '{label_name}' has {join(other)}",
                          'the labels must be of exactly the image volume')
        if labels.dtype.kind not in 'iub':
            raise Problem(BAD_INPUT, f"labels '{label_name}' are {labels.dtype}",
                          'they must be integers, 0 = background')
        if raw.dtype.kind == 'f' and not np.isfinite(raw).all():
            raise Problem(BAD_INPUT, f"image '{raw_name}' has values that are not finite")
        self.raw, self.voxel_size = raw, size
        self.raw_name = base_name(raw_name)
        self.name = f'{self.raw_name} + {base_name(label_name)}'
        digest = hashlib.sha256(raw)
        digest.update(labels)
        self.sha256 = digest.hexdigest()
        self.labels = np.where(interior(labels, border), labels, 0) if any(border) else labels


def base_name(name):
    path, _, dataset = name.rpartition(':')
    return f'{os.path.basename(path)}:{dataset}'


def read_dataset(name, box):
    """The box (start z y x, shape z y x; None = all) of 'file.h5:/dataset', the whole's shape, its voxel size or
    None."""
    if name.startswith('phantom:'):
        raise Problem(BAD_INPUT, f"'{name}' is a phantom, and training reads files",
                      'exaconn phantom SPEC -o raw.h5:/raw --labels labels.h5:/labels')
    path, _, dataset = name.rpartition(':')
    if not path or not dataset.strip('/'):
        raise Problem(BAD_INPUT, f"volume '{name}' names no dataset", 'write file.h5:/path/to/dataset')
    try:
        with h5py.File(path, 'r') as f:
            d = find_volume(f, name, dataset)
            start, shape = box or ((0, 0, 0), d.shape)
            if any(s < 0 or n < 1 or s + n > extent for s, n, extent in zip(start, shape, d.shape)):
                raise Problem(BAD_INPUT, f"box {join(start)},{join(shape)} is not inside '{name}' of shape "
                              f'{join(d.shape)}', '--box is the first voxel, then the extent: Z,Y,X,DZ,DY,DX')
            size = voxel_size(d, name)
            data = d[tuple(slice(s, s + n) for s, n in zip(start, shape))]
            return np.ascontiguousarray(data), d.shape, size
    except MemoryError as error:
        raise Problem(FAILED, f"no memory for volume '{name}' (box {join(shape)}): {error}",
                      'train on a part of it with --box') from error
    except (OSError, RuntimeError) as error:
        raise Problem(BAD_INPUT, f"cannot read volume '{name}': {error}") from error


def voxel_size(dataset, name):
    """The attribute voxel_size_nm, z y x, or None."""
    size = dataset.attrs.get('voxel_size_nm')
    if size is None:
        return None
    try:
        numbers = [float(s) for s in size]
    except (TypeError, ValueError):
        numbers = []
    if len(numbers) != 3 or not all(np.isfinite(n) and n > 0 for n in numbers):
        raise Problem(BAD_INPUT, f"volume '{name}': its attribute voxel_size_nm is {size!r}",
                      'three positive numbers, z y x, or no such attribute')
    return numbers


def find_volume(file, name, dataset):
    d = file.get(dataset)
    if isinstance(d, h5py.Dataset) and d.ndim == 3 and d.dtype.kind in 'iufb':
        return d
    found = []
    file.visititems(lambda n, v: found.append('/' + n) if isinstance(v, h5py.Dataset) and v.ndim == 3 else None)
    hint = f"3-D datasets there: {', '.join(found[:8])}" if found else 'the file has no 3-D dataset'
    if d is None:
        raise Problem(BAD_INPUT, f"volume '{name}': no dataset '{dataset}' in the file", hint)
    raise Problem(BAD_INPUT, f"volume '{name}' is not a 3-D dataset of numbers", hint)


def join(numbers):
    return ','.join(map(str, numbers))


def measure_normalisation(volumes):
    """Mean and standard deviation over all boxes, rounded to what can be read aloud."""
    count = sum(v.raw.size for v in volumes)
    mean = sum(v.raw.sum(dtype='f8') for v in volumes) / count
    # Plane by plane: a float64 copy of a whole volume would be eight times an 8-bit one.
    squares = sum(float(np.square(plane - mean).sum()) for v in volumes for plane in v.raw)
    stddev = (squares / count) ** .5
    if not stddev > 0:
        raise Problem(BAD_INPUT, 'the image is the same everywhere', 'check the raw datasets and boxes')
    if all(v.raw.dtype.kind in 'iub' for v in volumes):
        return round(float(mean), 1), max(round(stddev, 1), .1)
    return float(f'{mean:.4g}'), float(f'{stddev:.4g}')  # reals may all lie in 0..1


def interior(labels, margin):
    """Object voxels whose neighbours up to margin (z y x) along each axis are of the same object. The object at a
    membrane voxel that the labels give to one side would be an unfair question."""
    inside = labels != 0
    for axis, distance in enumerate(margin):
        along, result = np.moveaxis(labels, axis, 0), np.moveaxis(inside, axis, 0)
        for d in range(1, min(distance, len(along) - 1) + 1):
            equal = along[d:] == along[:-d]
            result[:-d] &= equal
            result[d:] &= equal
    return inside


def object_fractions(labels, voxels, shape):
    """How much of the box of this shape around each voxel (flat indices) is of the voxel's object. Counted on a grid
    of about nine points an axis: a class needs no more, and all 25^3 voxels of 100,000 boxes would take minutes."""
    grids = [range(-(n // 2), n // 2 + 1, max(1, n // 8)) for n in shape]
    flat, own = labels.ravel(), labels.ravel()[voxels]
    _, ny, nx = labels.shape
    count = np.zeros(len(voxels), np.int32)
    for dz in grids[0]:
        for dy in grids[1]:
            for dx in grids[2]:
                count += flat[voxels + (dz * ny + dy) * nx + dx] == own
    return count / np.prod([len(g) for g in grids])


def find_candidates(volumes, shape, margin, wanted, seed):
    """About `wanted` voxels where examples of this shape may be centred, in classes of object fraction:
    a list of arrays of (volume, flat index). Depends on the data and the seed alone."""
    eligible = []
    for volume in volumes:
        if any(n < s for n, s in zip(volume.labels.shape, shape)):
            raise Problem(BAD_INPUT, f'the box of {volume.name} is {join(volume.labels.shape)} voxels but an example '
                          f'takes {join(shape)}', 'a larger --box, a smaller --fov, or fewer --moves')
        inside = interior(volume.labels, margin)
        for axis, n in enumerate(shape):  # the whole example must be in the box
            along = np.moveaxis(inside, axis, 0)
            along[:n // 2] = False
            along[len(along) - n // 2:] = False
        eligible.append(np.flatnonzero(inside))
    total = sum(map(len, eligible))
    if not total:
        raise Problem(BAD_INPUT, 'no labelled object to begin an example in', 'labels must be nonzero somewhere at '
                      'least half an example from the box\'s border; a smaller --seed-margin helps with thin objects')
    rows, fractions = [], []
    for i, (volume, voxels) in enumerate(zip(volumes, eligible)):
        rng = np.random.default_rng([seed, 0, i])
        share = -(-wanted * len(voxels) // total)
        if len(voxels) > share:
            voxels = np.unique(voxels[rng.integers(0, len(voxels), share)])
        rows.append(np.stack([np.full_like(voxels, i), voxels], 1))
        fractions.append(object_fractions(volume.labels, voxels, shape))
    rows, classes = np.concatenate(rows), np.digitize(np.concatenate(fractions), FRACTION_EDGES)
    return [rows[classes == c] for c in range(len(FRACTION_EDGES) + 1) if (classes == c).any()]
