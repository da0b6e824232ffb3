#!/usr/bin/env python3
"""Synthetic slices for the tests: `make_volume.py KIND FOLDER [options]` writes PNG or TIFF slices of a small tissue.

KIND is raw (gray, dark membranes), truth (labels of Voronoi cells) or seg (the same with some cells cut in two and
some joined). Only the standard library is used: the PNG and TIFF writers are below. `import-images` turns the slices
into volumes, so no HDF5 is needed to make test data.
"""
import argparse
import pathlib
import random
import struct
import zlib


def cells(shape, count, seed):
    """Yields planes of (nearest cell, whether a membrane is near), cells numbered from 1."""
    rng = random.Random(seed)
    centers = [[rng.random() * n for n in shape] for _ in range(count)]
    for z in range(shape[0]):
        plane = []
        for y in range(shape[1]):
            row = []
            for x in range(shape[2]):
                d = sorted(((z - c[0]) ** 2 + (y - c[1]) ** 2 + (x - c[2]) ** 2, i + 1)
                           for i, c in enumerate(centers))[:2]
                row.append((d[0][1], d[1][0] ** .5 - d[0][0] ** .5 < 1.5))
            plane.append(row)
        yield plane


def value(kind, z, y, x, cell, membrane, rng):
    if kind == 'raw':
        return max(0, min(255, int((70 if membrane else 170) + rng.gauss(0, 8))))
    if kind == 'truth':
        return 0 if membrane and (x + y + z) % 3 == 0 else cell
    if membrane:
        return 0
    if cell % 4 == 0:
        return cell + 100 if x % 20 < 10 else cell  # split
    return cell - 1 if cell % 4 == 3 else cell  # merged


def png(rows, bits, rgb):
    pixels = [[v for v in row for _ in range(3 if rgb else 1)] for row in rows]
    raw = b''.join(b'\0' + struct.pack('>%d%s' % (len(r), 'H' if bits == 16 else 'B'), *r) for r in pixels)

    def chunk(name, data):
        return struct.pack('>I', len(data)) + name + data + struct.pack('>I', zlib.crc32(name + data))
    header = struct.pack('>IIBBBBB', len(rows[0]), len(rows), bits, 2 if rgb else 0, 0, 0, 0)
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(raw)) + chunk(b'IEND', b'')


def tiff(rows, bits):
    """One uncompressed big-endian strip."""
    data = b''.join(struct.pack('>%d%s' % (len(r), 'H' if bits == 16 else 'B'), *r) for r in rows)
    tags = [(256, len(rows[0])), (257, len(rows)), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, len(rows)), (279, len(data))]
    data += b'\0' * (len(data) % 2)
    ifd = struct.pack('>H', len(tags)) + b''.join(struct.pack('>HHII', t, 4, 1, v) for t, v in tags) + b'\0' * 4
    return b'MM\0*' + struct.pack('>I', 8 + len(data)) + data + ifd


def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('kind', choices=['raw', 'truth', 'seg'])
    p.add_argument('folder', type=pathlib.Path)
    p.add_argument('--shape', default='12,40,50', help='z,y,x')
    p.add_argument('--cells', type=int, default=14)
    p.add_argument('--seed', type=int, default=1)
    p.add_argument('--format', choices=['png', 'tiff'], default='png')
    p.add_argument('--bits', type=int, choices=[8, 16], default=8)
    p.add_argument('--rgb', action='store_true', help='PNG with three equal channels')
    a = p.parse_args()
    shape = [int(n) for n in a.shape.split(',')]
    rng = random.Random(a.seed + 1)
    a.folder.mkdir(parents=True, exist_ok=True)
    for z, plane in enumerate(cells(shape, a.cells, a.seed)):
        rows = [[value(a.kind, z, y, x, *v, rng) * (257 if a.bits == 16 and a.kind == 'raw' else 1)
                 for x, v in enumerate(row)] for y, row in enumerate(plane)]
        data = png(rows, a.bits, a.rgb) if a.format == 'png' else tiff(rows, a.bits)
        (a.folder / f'slice_{z}.{"png" if a.format == "png" else "tif"}').write_bytes(data)


if __name__ == '__main__':
    main()
