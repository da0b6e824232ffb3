"""`exaconn connectome` against NumPy: label statistics, contacts and sites of phantoms and of the FIB-25 ground truth,
whole, cut into chunks, and on 1 to 4 ranks; the phantom's synapses as a connectome; every reader of tables."""
import collections
import csv
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

import h5py
import hdf5plugin  # noqa: F401, zstd
import numpy as np

EXACONN = os.environ['EXACONN']
DATA = pathlib.Path(os.environ.get('EXACONN_DATA_DIR') or
                    pathlib.Path(os.environ['EXACONN_SOURCE_DIR']) / '../shared/data')
MPIRUN = shutil.which('mpirun')


def run(*arguments, ranks=1, code=0):
    command = ([MPIRUN, '-n', str(ranks)] if ranks > 1 else []) + [EXACONN, '-q', 'connectome', *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == code, (command, done.returncode, done.stderr)
    return done.stderr


def rows(path):
    with open(path) as f:
        return list(csv.DictReader(f))


# ---- NumPy ----------------------------------------------------------------------------------------------------------

def label_statistics(labels):
    """voxels, first, shape and exact sums of coordinates of every label but 0."""
    ids, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape)
    voxels = np.bincount(dense.ravel(), minlength=len(ids))
    low, high, sums = [], [], []
    for axis in range(3):
        at = np.arange(labels.shape[axis]).reshape([-1 if a == axis else 1 for a in range(3)])
        at = np.broadcast_to(at, labels.shape).ravel()
        first, last = np.full(len(ids), labels.shape[axis]), np.zeros(len(ids), int)
        np.minimum.at(first, dense.ravel(), at)
        np.maximum.at(last, dense.ravel(), at)
        low.append(first)
        high.append(last)
        sums.append(np.bincount(dense.ravel(), at, len(ids)).astype(np.int64))
    return {int(i): (int(voxels[k]), [int(v[k]) for v in low], [int(v[k]) for v in high], [int(v[k]) for v in sums])
            for k, i in enumerate(ids) if i}


def faces_of(labels):
    """For each axis: voxels of the faces, and their two labels, smaller one first."""
    for axis in range(3):
        here = labels[tuple(slice(0, -1) if a == axis else slice(None) for a in range(3))]
        there = labels[tuple(slice(1, None) if a == axis else slice(None) for a in range(3))]
        at = np.argwhere((here != there) & (here != 0) & (there != 0))
        p, q = here[tuple(at.T)], there[tuple(at.T)]
        yield axis, at, np.minimum(p, q), np.maximum(p, q)


def contacts(labels):
    pairs = collections.defaultdict(lambda: [0, 0, 0])
    for axis, _, a, b in faces_of(labels):
        both, counts = np.unique(np.stack([a, b], 1), axis=0, return_counts=True)
        for (p, q), n in zip(both.tolist(), counts.tolist()):
            pairs[p, q][axis] = n
    return dict(pairs)


def sites(labels):
    """Faces of one pair that share a corner, by propagating the smallest face number through corners."""
    number, ends, corner, pair, center, order = 0, [], [], [], [], []
    shape = np.array(labels.shape) + 1
    for axis, at, a, b in faces_of(labels):
        others = [i for i in range(3) if i != axis]
        for k in range(4):  # the corners of a face
            c = at.copy()
            c[:, axis] += 1
            c[:, others[0]] += k & 1
            c[:, others[1]] += k >> 1
            corner.append(np.ravel_multi_index(c.T, shape))
            ends.append(number + np.arange(len(at)))
        twice = 2 * at
        twice[:, axis] += 1
        center.append(twice)
        pair.append(np.stack([a, b], 1))
        order.append(np.concatenate([at, np.full((len(at), 1), axis)], 1))
        number += len(at)
    pair, center, order = np.concatenate(pair), np.concatenate(center), np.concatenate(order)
    face, corner = np.concatenate(ends), np.concatenate(corner)
    _, which = np.unique(pair, axis=0, return_inverse=True)
    # A corner and a pair together are a node that joins the faces there.
    _, node = np.unique(np.stack([corner, which.ravel()[face]], 1), axis=0, return_inverse=True)
    node = node.ravel()
    name = np.arange(number)
    while True:
        smallest = np.full(node.max() + 1, number)
        np.minimum.at(smallest, node, name[face])
        new = name.copy()
        np.minimum.at(new, face, smallest[node])
        if (new == name).all():
            break
        name = new[new]  # pointer jumping
    out = []
    for site, members in enumerate(np.split(np.argsort(name, kind='stable'),
                                            np.flatnonzero(np.diff(np.sort(name))) + 1)):
        first = min(map(tuple, order[members].tolist()))
        counts = np.bincount(order[members, 3], minlength=3).tolist()
        mean = [int(s) * 50 // len(members) for s in center[members].sum(0)]
        out.append((*map(int, pair[members[0]]), first, counts, mean))
    return sorted(out)


# ---- comparisons ----------------------------------------------------------------------------------------------------

def compare_segments(path, labels):
    want = label_statistics(labels)
    got = rows(path)
    assert [int(r['id']) for r in got] == sorted(want)
    for r in got:
        voxels, low, high, sums = want[int(r['id'])]
        assert int(r['voxels']) == voxels
        for a, axis in enumerate('zyx'):
            assert int(r[f'start_{axis}']) == low[a] and int(r[f'shape_{axis}']) == high[a] - low[a] + 1
            assert r[f'centroid_{axis}'] == '%d.%02d' % divmod(sums[a] * 100 // voxels, 100)


def area(faces, size):
    return faces[0] * size[1] * size[2] + faces[1] * size[0] * size[2] + faces[2] * size[0] * size[1]


def compare_contacts(path, labels, size):
    want = contacts(labels)
    got = rows(path)
    assert [(int(r['a']), int(r['b'])) for r in got] == sorted(want)
    for r in got:
        faces = want[int(r['a']), int(r['b'])]
        assert [int(r[f'faces_{a}']) for a in 'zyx'] == faces
        assert float(r['area_nm2']) == area(faces, size)


def compare_sites(folder, labels):
    want = sites(labels)
    got = rows(folder / 'contact_sites.csv')
    assert len(got) == len(want)
    number = collections.Counter()
    for r, (a, b, _, faces, mean) in zip(got, want):
        number[a, b] += 1
        assert (int(r['a']), int(r['b']), int(r['site'])) == (a, b, number[a, b])
        assert [int(r[f'faces_{x}']) for x in 'zyx'] == faces
        assert [r[f'{x}_vx'] for x in 'zyx'] == ['%d.%02d' % divmod(m, 100) for m in mean]
    for r in rows(folder / 'contacts.csv'):
        assert int(r['sites']) == number[int(r['a']), int(r['b'])]


def compare_neurons(folder):
    """The table of neurons from the other tables."""
    voxels = {int(r['id']): int(r['voxels']) for r in rows(folder / 'segments.csv')}
    touch, surface, patches = collections.Counter(), collections.Counter(), collections.Counter()
    for r in rows(folder / 'contacts.csv'):
        for end in 'ab':
            touch[int(r[end])] += 1
            surface[int(r[end])] += float(r['area_nm2'])
            patches[int(r[end])] += int(r['sites'])
    got = rows(folder / 'neurons.csv')
    assert [int(r['id']) for r in got] == sorted(voxels)
    connections = rows(folder / 'connections.csv') if (folder / 'connections.csv').exists() else []
    count = collections.Counter()
    for r in connections:
        count['synapses_out', r['pre']] += int(r['synapses'])
        count['synapses_in', r['post']] += int(r['synapses'])
        count['partners_out', r['pre']] += 1
        count['partners_in', r['post']] += 1
    for r in got:
        i = int(r['id'])
        assert (int(r['voxels']), int(r['contacts']), float(r['contact_area_nm2']), int(r['contact_sites'])) == (
            voxels[i], touch[i], surface[i], patches[i])
        for name in ('synapses_out', 'synapses_in', 'partners_out', 'partners_in') if connections else ():
            assert int(r[name]) == count[name, r['id']]


def same_folders(a, b):
    """All files but the one that says how it was cut."""
    names = sorted(p.name for p in a.iterdir())
    assert names == sorted(p.name for p in b.iterdir())
    for name in names:
        if name != 'identity.txt':
            assert (a / name).read_bytes() == (b / name).read_bytes(), name


def cut_anyhow(folder, one, arguments, cuts):
    for i, (ranks, chunk) in enumerate(cuts):
        if ranks > 1 and not MPIRUN:
            print('SKIP of several ranks only: no mpirun')
            continue
        run(*arguments, '-o', folder / f'cut{i}', '--chunk', chunk, ranks=ranks)
        same_folders(one, folder / f'cut{i}')


# ---- the phantom ----------------------------------------------------------------------------------------------------

def phantom(folder):
    spec = 'seed=7,shape=100x130x150,voxel=20x16x12,glia=0.4,synapses=0.6'
    truth, table, one = folder / 'truth.h5', folder / 'synapses.csv', folder / 'one'
    subprocess.run([EXACONN, 'phantom', spec, '--labels', f'{truth}:/labels', '--synapses', table], check=True,
                   stdout=subprocess.DEVNULL)
    with h5py.File(truth) as f:
        labels = f['labels'][:]
    arguments = [f'{truth}:/labels', '--synapses', table, '--format', 'exaconn-csv', '--candidate-area', 50000]
    run(*arguments, '-o', one)
    compare_segments(one / 'segments.csv', labels)
    compare_contacts(one / 'contacts.csv', labels, (20, 16, 12))
    compare_sites(one, labels)
    compare_connections(one, table)
    compare_neurons(one)
    large = [r for r in rows(one / 'contact_sites.csv') if float(r['area_nm2']) >= 50000]
    assert rows(one / 'synapse_candidates.csv') == large and large
    cut_anyhow(folder, one, arguments, [(1, '32'), (2, '47,130,33'), (3, '20,31,150'), (4, '64')])
    # Read from the phantom itself, which has no file.
    run(f'phantom:{spec}:/labels', *arguments[1:], '-o', folder / 'direct', '--chunk', '64,64,64')
    for name in ('contacts.csv', 'contact_sites.csv', 'segments.csv', 'connections.csv', 'neurons.csv'):
        assert (one / name).read_bytes() == (folder / 'direct' / name).read_bytes()
    print('ok: phantom,', len(rows(one / 'contact_sites.csv')), 'sites,', len(rows(table)), 'synapses')
    return labels, table, one


def compare_connections(folder, table):
    """The phantom's synapses, exactly, in every form."""
    want = collections.Counter((int(r['pre_id']), int(r['post_id'])) for r in rows(table))
    assert want and rows(folder / 'rejected.csv') == []
    surface = {(int(r['a']), int(r['b'])): r['area_nm2'] for r in rows(folder / 'contacts.csv')}
    got = rows(folder / 'connections.csv')
    assert [(int(r['pre']), int(r['post']), int(r['synapses'])) for r in got] == [(*k, want[k]) for k in sorted(want)]
    assert all(r['area_nm2'] == surface[tuple(sorted((int(r['pre']), int(r['post']))))] for r in got)
    lines = (folder / 'connections.txt').read_text().splitlines()
    assert [tuple(map(int, line.split())) for line in lines[1:]] == [(*k, want[k]) for k in sorted(want)]
    with h5py.File(folder / 'connectome.h5') as f:
        ids, indptr, indices, count, faces = (f[n][:] for n in ('ids', 'indptr', 'indices', 'synapses', 'area_nm2'))
    assert ids.tolist() == sorted({i for k in want for i in k})
    assert len(indptr) == len(ids) + 1 and indptr[0] == 0 and indptr[-1] == len(indices)
    pre = np.repeat(ids, np.diff(indptr.astype(int)))
    assert list(zip(pre.tolist(), ids[indices].tolist(), count.tolist())) == [(*k, want[k]) for k in sorted(want)]
    assert faces.tolist() == [float(r['area_nm2']) for r in got]
    import xml.etree.ElementTree as tree
    space = '{http://graphml.graphdrawing.org/xmlns}'
    graph = tree.parse(folder / 'connectome.graphml').getroot().find(f'{space}graph')
    edges = [(int(e.get('source')), int(e.get('target')), int(e.find(f"{space}data[@key='synapses']").text))
             for e in graph.findall(f'{space}edge')]
    assert edges == [(*k, want[k]) for k in sorted(want)]
    assert [int(n.get('id')) for n in graph.findall(f'{space}node')] == ids.tolist()


# ---- one table, every format ----------------------------------------------------------------------------------------

def formats(folder, labels, table, one):
    """The phantom's synapses as others would write them: the same connections."""
    synapses = rows(table)
    size = dict(z=20, y=16, x=12)
    wanted = (one / 'connections.csv').read_bytes()
    truth = f'{folder}/truth.h5:/labels'

    def same(name, *options):
        run(truth, '--synapses', folder / name, *options, '-o', folder / f'of-{name}')
        assert (folder / f'of-{name}' / 'connections.csv').read_bytes() == wanted, name
        assert (folder / f'of-{name}' / 'rejected.csv').read_text().count('\n') == 1

    with open(folder / 'cave.csv', 'w') as f:  # nm, and voxels of a size of their own; ids of another segmentation
        sides = [f'{s}_pt_position_{a}' for s in ('pre', 'post') for a in 'xyz']
        f.write('\ufeffid,valid,' + ','.join(sides) + ',pre_pt_root_id,post_pt_root_id,size\r\n')
        for i, r in enumerate(synapses):
            at = [str((int(r[f'{s}_{a}_vx']) + .5) * size[a] / (4, 4, 40)['xyz'.index(a)])
                  for s in ('pre', 'post') for a in 'xyz']
            f.write(f'{i},t,' + ','.join(at) + f',{2**64 - 1 - i},{2**63 + i},"1,5"\r\n'.replace('"1,5"', '15'))
    same('cave.csv', '--format', 'cave-csv', '--units', 'voxels', '--table-voxel-size', '40,4,4')

    def location(r, side):
        return [int(r[f'{side}_{a}_vx']) for a in 'xyz']
    by_tbar = collections.defaultdict(list)
    for r in synapses:
        by_tbar[r['pre_id'], tuple(location(r, 'pre'))].append(r)
    data = [{'T-bar': {'status': 'x"{', 'location': list(at), 'body ID': int(i), 'confidence': 1.0},
             'partners': [{'body ID': int(r['post_id']), 'location': location(r, 'post')} for r in several]}
            for (i, at), several in by_tbar.items()]
    data.append({'T-bar': {'location': [0, 0, 0]}, 'partners': []})
    (folder / 'flyem.json').write_text(json.dumps({'metadata': {'a': [1, {'b': None}]}, 'data': data, 'z': []}, indent=1))
    same('flyem.json', '--format', 'flyem-json', '--units', 'voxels', '--axes', 'xyz')

    with open(folder / 'syconn.csv', 'w') as f:  # one position: where the two touch
        f.write('rep_coord_x,rep_coord_y,rep_coord_z,neuron_partner_0,neuron_partner_1,partner_axoness_0,'
                'partner_axoness_1,syn_prob\n')
        for i, r in enumerate(synapses):
            ends = (r['pre_id'], r['post_id'])
            f.write(','.join(location_text(r)) + ',' + ','.join(ends if i % 2 else ends[::-1]) +
                    (',1,0,0.9\n' if i % 2 else ',0,1,0.9\n'))
        f.write('1,1,1,5,6,1,1,0.5\n')
    run('--synapses', folder / 'syconn.csv', '--format', 'syconn-csv', '--units', 'voxels', '-o', folder / 'of-syconn')
    bare = b''.join(line.rsplit(b',', 1)[0] + b'\n' for line in wanted.splitlines())
    assert (folder / 'of-syconn' / 'connections.csv').read_bytes() == bare
    assert [r['reason'] for r in rows(folder / 'of-syconn' / 'rejected.csv')] == ['no_direction']

    shutil.copy(one / 'synapses.h5', folder / 'own.h5')
    same('own.h5', '--format', 'exaconn-hdf5')

    connection_tables(folder, synapses, truth, wanted)
    print('ok: formats')


def location_text(r):
    return [r[f'{a}_vx'] for a in 'xyz']


def connection_tables(folder, synapses, truth, wanted):
    count = collections.Counter((r['pre_id'], r['post_id']) for r in synapses)
    with open(folder / 'codex.csv', 'w') as f:
        f.write('pre_root_id,post_root_id,neuropil,syn_count,nt_type\n')
        for (a, b), n in count.items():
            f.write(f'{a},{b},AL_L,{n},ACH\n{a},{b},"AL,R",4,GABA\n{a},{b},AL_L,{n},ACH\n')  # one row is there twice
    run('--synapses', folder / 'codex.csv', '--format', 'codex-csv', '--min-synapses', 5, '-o', folder / 'of-codex')
    got = {(r['pre'], r['post']): int(r['synapses']) for r in rows(folder / 'of-codex' / 'connections.csv')}
    assert got == {k: n + 4 for k, n in count.items()}
    reasons = [r['reason'] for r in rows(folder / 'of-codex' / 'rejected.csv')]
    assert reasons == ['duplicate'] * len(count)
    with open(folder / 'neuprint.csv', 'w') as f:
        f.write('bodyId_pre,bodyId_post,weight\n' + ''.join(f'{a},{b},{n}\n' for (a, b), n in count.items()))
        f.write(f'77,{synapses[0]["post_id"]},3\n')  # no segment has this id
    run(truth, '--synapses', folder / 'neuprint.csv', '--format', 'neuprint-csv', '-o', folder / 'of-neuprint')
    assert (folder / 'of-neuprint' / 'connections.csv').read_bytes() == wanted
    assert [r['reason'] for r in rows(folder / 'of-neuprint' / 'rejected.csv')] == ['unknown_id']


# ---- rows that cannot be used, positions on background --------------------------------------------------------------

def nearest(labels, at, size, radius):
    """The plain way: all voxels within the radius, the nearest, of several the first."""
    if labels[tuple(at)]:
        return int(labels[tuple(at)])
    where = np.argwhere(labels)
    far = (((where - at) * np.array(size, float))**2).sum(1)
    best = far.min()
    return int(labels[tuple(where[far.argmin()])]) if best <= radius**2 else 0


def odd_rows(folder):
    rng = np.random.default_rng(3)
    labels = rng.integers(1, 30, (20, 30, 25)).astype('u8') * np.uint64(2**59 + 12345)
    labels[rng.random(labels.shape) < .97] = 0
    size, radius = (40, 8, 8), 45.0
    with h5py.File(folder / 'sparse.h5', 'w') as f:
        f['s'] = labels
        f['s'].attrs['voxel_size_nm'] = np.array(size, float)
        f['s'].attrs['offset_zyx_vx'] = np.array([100., 7., 0.])
    points = rng.integers(0, labels.shape, (300, 2, 3))
    with open(folder / 'points.csv', 'w') as f:
        f.write('pre_z_nm,pre_y_nm,pre_x_nm,post_z_nm,post_y_nm,post_x_nm\n')
        for pair in points:
            f.write(','.join(f'{v:.1f}' for v in ((pair + [100, 7, 0] + .4) * size).ravel()) + '\n')
        f.write('nan,1,1,2,2,2\n,1,1,2,2,2\n1e300,60,1,4000,60,1\n3999,60,1,4000,60,1\n')
        f.write(','.join(f'{v:.1f}' for v in ((points[0] + [100, 7, 0] + .6) * size).ravel()) + '\n')
    arguments = [f'{folder}/sparse.h5:/s', '--synapses', folder / 'points.csv', '--format', 'exaconn-csv', '--autapses',
                 '--search-radius', radius]
    run(*arguments, '-o', folder / 'odd')
    ends = [[nearest(labels, p, size, radius) for p in pair] for pair in points]
    want = collections.Counter((a, b) for a, b in ends if a and b)
    got = {(int(r['pre']), int(r['post'])): int(r['synapses']) for r in rows(folder / 'odd' / 'connections.csv')}
    repeated = bool(ends[0][0] and ends[0][1])
    assert got == want and len(got) > 20
    reasons = collections.Counter(r['reason'] for r in rows(folder / 'odd' / 'rejected.csv'))
    assert reasons == {'no_position': 2, 'outside': 2, 'duplicate': 1, 'no_segment': sum(1 for a, b in ends if not (a and b))}
    assert repeated or reasons['duplicate'] == 1
    cut_anyhow(folder, folder / 'odd', arguments, [(1, '6,7,9'), (3, '3')])
    print('ok: odd rows')


# ---- FIB-25 ---------------------------------------------------------------------------------------------------------

def fib25(folder):
    path = DATA / 'fib25_sample2.h5'
    if not path.exists():
        print(f'SKIP of the FIB-25 ground truth only: {path} is not there (set EXACONN_DATA_DIR)')
        return
    with h5py.File(path) as f:
        labels = f['groundtruth'][:].astype('u8')
    arguments = [f'{path}:/groundtruth', '--voxel-size', '8,8,8', '--no-sites']
    run(*arguments, '-o', folder / 'whole')
    compare_segments(folder / 'whole' / 'segments.csv', labels)
    compare_contacts(folder / 'whole' / 'contacts.csv', labels, (8, 8, 8))
    cut_anyhow(folder, folder / 'whole', arguments, [(1, '100,90,250'), (2, '64'), (3, '128,250,60'), (4, '125')])
    print('ok: FIB-25 ground truth,', len(rows(folder / 'whole' / 'contacts.csv')), 'contacts')


with tempfile.TemporaryDirectory() as name:
    place = pathlib.Path(name)
    for part in ('phantom', 'odd', 'fib25'):
        (place / part).mkdir()
    formats(place / 'phantom', *phantom(place / 'phantom'))
    odd_rows(place / 'odd')
    fib25(place / 'fib25')
print('ok')
