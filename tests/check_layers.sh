#!/usr/bin/env bash
# The include rule of docs/architecture.md: a source includes only its own layer's module or lower ones; two modules
# of one layer never include each other; MPI, HDF5 and CUDA headers appear only where the architecture allows them.
set -u
root=${1:?source folder}
python3 - "$root" <<'PY'
import pathlib, re, sys
root = pathlib.Path(sys.argv[1])
level = dict(core=0, kernels=1, monitor=1, weights=2, volume=2, checkpoint=2, sched=2,
             ffn=3, segclr=3, circuit=3, stitch=3, eval=3, report=3, pipeline=4, cli=5)
# Which module each public header belongs to: the one whose folder holds the source of the same name, or the list.
owner = dict(little_endian='core', version='core', comm_mpi='core')
folders = {d.name: d for d in (root / 'src').iterdir() if d.is_dir()}
folders['kernels'] = root / 'kernels'
for module, folder in folders.items():
    for source in folder.glob('*.c*'):
        owner.setdefault(source.stem, module)
foreign = {'mpi.h': {'core/comm.c', 'core/reduce.c', 'core/version.c', 'sched', 'stitch', 'checkpoint', 'volume/volume_hdf5.c',
                     'volume/column_file.c'},
           'hdf5.h': {'weights', 'volume', 'checkpoint', 'core/version.c', 'core/hdf5_library.c', 'core/zstd_filter.c'},
           'cuda_runtime': {'kernels', 'core/device_cuda.c'}}
bad = []
for module, folder in folders.items():
    if module not in level:
        bad.append(f'{folder}: a folder without a layer; add it to tests/check_layers.sh and docs/architecture.md')
        continue
    for source in sorted(list(folder.glob('*.c')) + list(folder.glob('*.h')) + list(folder.glob('*.cu'))):
        where = f'{module}/{source.name}'
        for n, line in enumerate(source.read_text().splitlines(), 1):
            m = re.match(r'\s*#\s*include\s+[<"]([^">]+)[">]', line)
            if not m:
                continue
            inc = m.group(1)
            if inc.startswith('exaconn/'):
                stem = pathlib.Path(inc).stem
                target = owner.get(stem)
                if target is None:
                    bad.append(f'{where}:{n}: {inc} belongs to no module (no source of that name)')
                elif target != module and level[target] >= level[module]:
                    bad.append(f'{where}:{n}: {module} (layer {level[module]}) includes {inc} of {target} (layer {level[target]})')
            for header, allowed in foreign.items():
                if header in inc and module not in allowed and where not in allowed:
                    bad.append(f'{where}:{n}: {inc} is allowed only in {", ".join(sorted(allowed))}')
names = {}
for p in list((root / 'src').rglob('*.c')) + list((root / 'kernels').glob('*.c')):
    if p.name in names:
        bad.append(f'{p}: same file name as {names[p.name]}')
    names[p.name] = p
print('\n'.join(bad) if bad else 'layers are clean')
sys.exit(1 if bad else 0)
PY
