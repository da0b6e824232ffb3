#!/usr/bin/env python3
"""exaconn against PyTorch on the same network shape, FOV and threads, in one interleaved run.

    compare_pytorch.py --bench-ffn BUILD/bench/bench_ffn [--threads 1 2] [--rounds 5] [--repeat 5] [--json FILE]
    compare_pytorch.py --bench-ffn BUILD/bench/bench_ffn --backend cuda [--batch 1 8 64] [--rounds 5] [--repeat 20]

Both networks have random weights of FIB-25's shape (depth 12, 32 features, 33^3); time does not depend on their values.
Each round measures exaconn (a bench_ffn process), PyTorch with contiguous and with channels_last_3d tensors, one after
the other, so that a change of the machine's load meets all three. The ratio of a round is PyTorch's faster layout over
exaconn; the medians over rounds are reported. Columns are defined in docs/benchmarks.md.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

import torch


def make_layers(depth, features):
    """One Conv3d per layer with weights of a scale that keeps activations finite."""
    layers = []
    for i in range(2 * depth):
        conv = torch.nn.Conv3d(2 if i == 0 else features, features, 3, padding=1)
        bound = (3.0 / (27 * conv.in_channels)) ** 0.5
        torch.nn.init.uniform_(conv.weight, -bound, bound)
        torch.nn.init.uniform_(conv.bias, -0.1, 0.1)
        layers.append(conv)
    return torch.nn.ModuleList(layers), torch.nn.Conv3d(features, 1, 1)


class Network(torch.nn.Module):
    """Pre-activation residual stack, in-place where PyTorch allows it (its own best practice)."""

    def __init__(self, depth, features):
        super().__init__()
        self.layers, self.head = make_layers(depth, features)

    def forward(self, inputs):
        x = self.layers[1](torch.relu_(self.layers[0](inputs)))
        for i in range(2, len(self.layers), 2):
            x += self.layers[i + 1](torch.relu_(self.layers[i](torch.relu(x))))
        return inputs[:, 1:2] + self.head(torch.relu_(x))


def time_torch(network, inputs, repeat):
    """Median milliseconds of a step."""
    samples = []
    with torch.inference_mode():
        network(inputs)
        for _ in range(repeat):
            begin = time.perf_counter()
            network(inputs)
            samples.append(1e3 * (time.perf_counter() - begin) / inputs.shape[0])
    return statistics.median(samples)


def bench_ffn(options, *arguments):
    with tempfile.NamedTemporaryFile(suffix=".json") as f:
        command = [options.bench_ffn, "--random", "--repeat", str(options.repeat), "--json", f.name, *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(f.name) as result:
            return json.load(result)


def time_exaconn(options, threads):
    return bench_ffn(options, "--threads", str(threads), "--batch", str(options.batch[0]), "--warmup", "2", "--no-check",
                     "--no-peak")


def compare(options, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    inputs = torch.randn(options.batch[0], 2, 33, 33, 33)
    contiguous = Network(12, 32).eval()
    last = Network(12, 32).eval().to(memory_format=torch.channels_last_3d)
    last_inputs = inputs.to(memory_format=torch.channels_last_3d)
    rows = []
    for _ in range(options.rounds):
        own = time_exaconn(options, threads)
        row = {"exaconn_ms": own["median_ms"],
               "torch_contiguous_ms": time_torch(contiguous, inputs, options.repeat),
               "torch_channels_last_ms": time_torch(last, last_inputs, options.repeat)}
        row["ratio"] = min(row["torch_contiguous_ms"], row["torch_channels_last_ms"]) / row["exaconn_ms"]
        rows.append(row)
    median = {key: statistics.median(r[key] for r in rows) for key in rows[0]}
    ratios = [r["ratio"] for r in rows]
    return {"threads": threads, "batch": options.batch[0], "rounds": rows, "median": median, "ratio_min": min(ratios),
            "ratio_max": max(ratios), "kernel": own["kernel"], "cpu": own["cpu"], "torch": torch.__version__}


# ---- on a GPU ------------------------------------------------------------------------------------

def time_graph(function, repeat, calls=8):
    """Median milliseconds of a call, captured in a CUDA graph so that Python's time does not count."""
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream), torch.inference_mode():
        for _ in range(3):  # cuDNN chooses its algorithms
            function()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.inference_mode(), torch.cuda.graph(graph, stream=stream):
        for _ in range(calls):
            function()
    samples = []
    for _ in range(repeat + 2):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        graph.replay()
        end.record()
        end.synchronize()
        samples.append(begin.elapsed_time(end) / calls)
    return statistics.median(samples[2:])


def torch_variants(batch):
    """Name to a function that runs a step of `batch` FOVs."""
    variants = {}
    for name, dtype, layout in (("fp16_cl", torch.float16, torch.channels_last_3d),
                                ("fp16", torch.float16, torch.contiguous_format),
                                ("tf32_cl", torch.float32, torch.channels_last_3d)):
        network = Network(12, 32).eval().to(device="cuda", dtype=dtype, memory_format=layout)
        inputs = torch.randn(batch, 2, 33, 33, 33, device="cuda", dtype=dtype).to(memory_format=layout)
        variants[name] = lambda network=network, inputs=inputs: network(inputs)
    return variants


def cudnn_layer(batch):
    layer = torch.nn.Conv3d(32, 32, 3, padding=1).eval().to(device="cuda", dtype=torch.float16,
                                                             memory_format=torch.channels_last_3d)
    inputs = torch.randn(batch, 32, 33, 33, 33, device="cuda", dtype=torch.float16)
    inputs = inputs.to(memory_format=torch.channels_last_3d)
    return lambda: layer(inputs)


def compare_cuda(options, batch):
    variants = torch_variants(batch)
    layer = cudnn_layer(batch)
    rows = []
    for _ in range(options.rounds):
        row = {f"exaconn_{p}_ms": bench_ffn(options, "--backend", "cuda", "--precision", p, "--batch", str(batch))["median_ms"]
               for p in ("fp16", "tf32")}
        row.update({f"torch_{name}_ms": time_graph(function, options.repeat) for name, function in variants.items()})
        row["layer_ms"] = time_graph(layer, options.repeat)
        row["ratio"] = min(row["torch_fp16_cl_ms"], row["torch_fp16_ms"]) / row["exaconn_fp16_ms"]
        rows.append(row)
    median = {key: statistics.median(r[key] for r in rows) for key in rows[0]}
    ratios = [r["ratio"] for r in rows]
    return {"backend": "cuda", "batch": batch, "rounds": rows, "median": median, "ratio_min": min(ratios),
            "ratio_max": max(ratios), "gpu": torch.cuda.get_device_name(), "torch": torch.__version__,
            "cudnn": torch.backends.cudnn.version()}


def main_cuda(options):
    if not torch.cuda.is_available():
        sys.exit("compare_pytorch.py: no GPU to measure: PyTorch sees none")
    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    torch.manual_seed(1)
    results = [compare_cuda(options, batch) for batch in options.batch]
    keys = list(results[0]["median"])
    print("batch " + " ".join(f"{key:>18}" for key in keys))
    for r in results:
        print(f"{r['batch']:5d} " + " ".join(f"{r['median'][key]:18.4f}" for key in keys))
    print(f"{results[0]['gpu']}; PyTorch {torch.__version__}, cuDNN {results[0]['cudnn']}")
    return results


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-ffn", required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, nargs="+", default=[1])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.backend == "cuda":
        results = main_cuda(options)
        if options.json:
            with open(options.json, "w") as f:
                json.dump(results, f, indent=1)
        return 0
    results = []
    print(f"{'threads':>7} {'exaconn_ms':>11} {'torch_ms':>9} {'torch_cl_ms':>11} {'ratio':>6} {'min':>6} {'max':>6}")
    for threads in options.threads:
        r = compare(options, threads)
        m = r["median"]
        print(f"{threads:7d} {m['exaconn_ms']:11.1f} {m['torch_contiguous_ms']:9.1f} {m['torch_channels_last_ms']:11.1f} "
              f"{m['ratio']:6.2f} {r['ratio_min']:6.2f} {r['ratio_max']:6.2f}")
        results.append(r)
    print(f"exaconn: {results[-1]['kernel']}; PyTorch {torch.__version__}; {results[-1]['cpu']}")
    if options.json:
        with open(options.json, "w") as f:
            json.dump(results, f, indent=1)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    sys.exit(main())
