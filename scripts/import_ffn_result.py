#!/usr/bin/env python3
"""The segmentation in a google/ffn result file as a label volume `segmentation` (z y x), without unpickling anything:
import_ffn_result.py seg-0_0_0.npz OUT.h5"""
import os
import sys

import h5py
import numpy as np


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    with np.load(source, allow_pickle=False, encoding='bytes') as f:
        labels = f['segmentation']
    temporary = target + '.tmp'
    with h5py.File(temporary, 'w') as f:
        f.create_dataset('segmentation', data=labels, compression='gzip',
                         chunks=tuple(min(64, n) for n in labels.shape))
    os.replace(temporary, target)
    print(f'{target}:/segmentation: {labels.shape}, {len(np.unique(labels)) - 1} objects')


if __name__ == '__main__':
    main()
