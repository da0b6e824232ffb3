#!/usr/bin/env python3
"""Trains a linear classifier of SegCLR embeddings on nodes whose class is known, and writes it for `exaconn embed
--classifier`. Needs numpy and h5py.

    train_segclr_classifier.py embeddings.h5 --labels labels.csv -o classifier.h5
    train_segclr_classifier.py embeddings.h5 --radius-classes 3 -o classifier.h5

labels.csv has lines "segment,class". With --radius-classes N the label is the segment's median radius, in N classes of
equally many segments: it can be computed from the table itself, so it says nothing about neurons, but reaches clearly
more than chance only if every part of the chain works. Segments, not nodes, are held out (every fourth), and their
accuracy is printed beside that of the most frequent class.
"""
import argparse
import csv

import h5py
import numpy as np

import weights_file


def radius_labels(segments, radius, count):
    ids = np.unique(segments)
    median = np.array([np.median(radius[segments == i]) for i in ids])
    order = np.argsort(median, kind='stable')
    classes = np.empty(len(ids), int)
    classes[order] = np.arange(len(ids)) * count // len(ids)
    names = [f'radius {median[classes == c].min():.0f} to {median[classes == c].max():.0f} nm' for c in range(count)]
    return dict(zip(ids.tolist(), classes.tolist())), names


def read_labels(path):
    with open(path, newline='') as f:
        rows = [(int(r[0]), r[1].strip()) for r in csv.reader(f) if r and r[0].strip().isdigit()]
    names = sorted({name for _, name in rows})
    return {segment: names.index(name) for segment, name in rows}, names


def train(x, y, segments, classes, decay, steps=2000):
    """Multinomial logistic regression by gradient descent with momentum from zero. Classes weigh the same, and in each
    the segments do, however many nodes they have."""
    _, which, nodes = np.unique(segments, return_inverse=True, return_counts=True)
    weight = 1 / nodes[which]
    weight = (weight / (classes * np.bincount(y, weight, classes)[y]))[:, None]
    w, b = np.zeros((x.shape[1], classes)), np.zeros(classes)
    vw, vb, target = np.zeros_like(w), np.zeros_like(b), np.eye(classes)[y]
    rate = 1 / (0.25 * np.linalg.norm(x * np.sqrt(weight), 2) ** 2 + decay + 1)
    for _ in range(steps):
        z = x @ w + b
        p = np.exp(z - z.max(1, keepdims=True))
        g = (p / p.sum(1, keepdims=True) - target) * weight
        vw = 0.95 * vw - rate * (x.T @ g + decay * w)
        vb = 0.95 * vb - rate * g.sum(0)
        w, b = w + vw, b + vb
    return w, b


def report(what, logits, y, segments):
    """A segment's class is that of its nodes' mean probabilities."""
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    ids, first, which = np.unique(segments, return_index=True, return_inverse=True)
    mean = np.zeros((len(ids), p.shape[1]))
    np.add.at(mean, which, p)
    truth = y[first]
    print(f'{what:12} {len(ids)} segments: {(mean.argmax(1) == truth).mean():.3f} right, '
          f'{np.bincount(truth).max() / len(ids):.3f} by the most frequent class')


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('table')
    p.add_argument('-o', '--output', required=True)
    which = p.add_mutually_exclusive_group(required=True)
    which.add_argument('--labels', metavar='CSV')
    which.add_argument('--radius-classes', type=int, metavar='N')
    p.add_argument('--column', choices=['mean', 'embedding'], default='mean')
    p.add_argument('--decay', type=float, default=1e-3)
    a = p.parse_args()
    with h5py.File(a.table) as f:
        segments, features, radius = f['segment'][:], f[a.column][:].astype(float), f['radius_nm'][:]
        network = f.attrs['network']
    labels, names = read_labels(a.labels) if a.labels else radius_labels(segments, radius, a.radius_classes)
    known = np.isin(segments, np.fromiter(labels, np.uint64))
    segments, features = segments[known], features[known]
    y = np.array([labels[s] for s in segments.tolist()])
    held_out = np.isin(segments, np.unique(segments)[3::4])
    if len(names) < 2 or held_out.sum() == 0 or (~held_out).sum() == 0:
        raise SystemExit('too few labelled segments: nothing could be held out')
    mean, std = features[~held_out].mean(0), features[~held_out].std(0) + 1e-6
    x = (features - mean) / std
    w, b = train(x[~held_out], y[~held_out], segments[~held_out], len(names), a.decay)
    print(f'{len(np.unique(segments))} segments, {len(y)} nodes, {len(names)} classes')
    report('trained on', x[~held_out] @ w + b, y[~held_out], segments[~held_out])
    report('held out', x[held_out] @ w + b, y[held_out], segments[held_out])
    source = f'train_segclr_classifier.py on {a.table}; network: ' + (
        network.decode() if isinstance(network, bytes) else network)
    weights_file.write_tensors(
        a.output, 'segclr-classifier', 1,
        dict(inputs=features.shape[1], classes=len(names), layers=0, use_bn=0, output='dense',
             class_names='\n'.join(names), source=source[:511]),
        [('standardize/mean', mean), ('standardize/std', std), ('output/kernel', w), ('output/bias', b)])


if __name__ == '__main__':
    main()
