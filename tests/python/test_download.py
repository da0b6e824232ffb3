"""scripts/get_fib25.sh against a local server with files of the published layout: the download, the checksums, the
import of slices and of the two-table ground truth, a second call without any download, and what it says when a file
is not the published one or the server is away."""
import gzip
import hashlib
import http.server
import io
import os
import pathlib
import shlex
import struct
import subprocess
import tempfile
import threading
import zlib

import h5py
import hdf5plugin  # registers the zstd filter
import numpy as np

root = pathlib.Path(os.environ['EXACONN_SOURCE_DIR'])
exaconn = os.environ['EXACONN']
slices, side = 12, 37
rng = np.random.default_rng(5)


def png(image):
    """An 8-bit gray PNG."""
    def part(kind, data):
        return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))
    height, width = image.shape
    rows = b''.join(b'\0' + row.tobytes() for row in image)
    return (b'\x89PNG\r\n\x1a\n' + part(b'IHDR', struct.pack('>IIBBBBB', width, height, 8, 0, 0, 0, 0)) +
            part(b'IDAT', zlib.compress(rows)) + part(b'IEND', b''))


def make_server(folder):
    sample = 'janelia-flyem/neuroproof_examples/master/training_sample2'
    raw = rng.integers(0, 256, (slices, side, side), dtype=np.uint8)
    stack = rng.integers(0, 50, raw.shape).astype(np.int32)
    body = rng.permutation(np.arange(100, 150)).astype(np.int64)
    files = {f'{sample}/grayscale_maps/iso.{2600 + z}.png': png(raw[z]) for z in range(slices)}
    memory = io.BytesIO()
    with h5py.File(memory, 'w') as f:
        f['stack'] = stack
        f['transforms'] = np.stack([np.arange(50, dtype=np.int64), body], 1)
    files[f'{sample}/groundtruth.h5.gz'] = gzip.compress(memory.getvalue())
    model = 'google/ffn/master/models/fib25/model.ckpt-27465036'
    published = io.BytesIO()
    np.savez_compressed(published, segmentation=raw // 32)
    files['google/ffn/master/results/fib25/sample-training2.npz'] = published.getvalue()
    files[f'{model}.index'] = b'index'
    files[f'{model}.data-00000-of-00001'] = b'data'
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    sums = ''.join(f'{hashlib.sha256(d).hexdigest()}  {n}\n' for n, d in files.items())
    return raw, body[stack], sums


class Handler(http.server.SimpleHTTPRequestHandler):
    requests = 0

    def do_GET(self):
        Handler.requests += 1
        super().do_GET()

    def log_message(self, *args):
        pass


def call(target, url, sums):
    env = dict(os.environ, EXACONN_DATA_DIR='/nonexistent', EXACONN_DOWNLOAD_URL=url, EXACONN_CHECKSUMS=str(sums),
               PATH=os.path.dirname(os.path.abspath(os.environ.get('EXACONN_PYTHON', 'python3'))) + ':' + os.environ['PATH'])
    return subprocess.run([str(root / 'scripts/get_fib25.sh'), exaconn, str(target)], env=env, text=True,
                          capture_output=True, timeout=120)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        raw, truth, sums = make_server(folder / 'server')
        list_file = folder / 'sums'
        list_file.write_text(sums)
        server = http.server.ThreadingHTTPServer(
            ('127.0.0.1', 0), lambda *a: Handler(*a, directory=str(folder / 'server')))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f'http://127.0.0.1:{server.server_address[1]}'

        done = call(folder / 'got', url, list_file)
        assert done.returncode == 0, done.stderr
        said = dict(part.split('=', 1) for part in shlex.split(done.stdout))
        with h5py.File(said['raw'].rsplit(':', 1)[0]) as f:
            assert (f['raw'][:] == raw).all()
        with h5py.File(said['truth'].rsplit(':', 1)[0]) as f:
            assert (f['groundtruth'][:] == truth).all()
        with h5py.File(said['published'].rsplit(':', 1)[0]) as f:
            assert (f['segmentation'][:] == raw // 32).all()
        assert os.path.exists(said['checkpoint'] + '.index')

        before = Handler.requests
        assert call(folder / 'got', url, list_file).returncode == 0
        assert Handler.requests == before, 'a second call downloaded again'

        # One damaged file in the cache is fetched again, alone.
        victim = folder / 'got' / sums.split()[1]
        victim.write_bytes(b'damaged')
        assert call(folder / 'got', url, list_file).returncode == 0
        assert Handler.requests == before + 1, Handler.requests

        # A server that gives something else is refused, naming the file.
        name = sums.split()[3]
        (folder / 'server' / name).write_bytes(b'not the published file')
        done = call(folder / 'other', url, list_file)
        assert done.returncode != 0 and name in done.stderr and 'not the published one' in done.stderr, done.stderr

        server.shutdown()
        server.server_close()
        done = call(folder / 'away', url, list_file)
        assert done.returncode != 0 and 'download failed' in done.stderr, done.stderr
    print('download path: ok')


main()
