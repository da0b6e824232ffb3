#!/usr/bin/env python3
"""A NeuroProof ground truth (datasets `stack` of superpixels and `transforms` of superpixel -> body) as one label
volume `groundtruth` (uint32, z y x):  import_neuroproof.py groundtruth.h5[.gz] OUT.h5"""
import gzip
import os
import shutil
import sys
import tempfile

import h5py
import numpy as np


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        plain = source
        if source.endswith('.gz'):
            plain = os.path.join(folder, 'groundtruth.h5')
            with gzip.open(source, 'rb') as f, open(plain, 'wb') as g:
                shutil.copyfileobj(f, g)
        with h5py.File(plain, 'r') as f:
            stack, transforms = f['stack'][:], f['transforms'][:]
    body = np.zeros(int(stack.max()) + 1, np.uint32)
    known = transforms[transforms[:, 0] < len(body)]
    body[known[:, 0]] = known[:, 1]
    temporary = target + '.tmp'
    with h5py.File(temporary, 'w') as f:
        f.create_dataset('groundtruth', data=body[stack], compression='gzip',
                         chunks=tuple(min(64, n) for n in stack.shape))
    os.replace(temporary, target)
    print(f'{target}:/groundtruth: {stack.shape}, {len(np.unique(body))} bodies')


if __name__ == '__main__':
    main()
