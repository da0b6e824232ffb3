#!/usr/bin/env python3
"""exaconn against PyTorch on the same network shape, FOV and threads, in one interleaved run.

    compare_pytorch.py --bench-ffn BUILD/bench/bench_ffn [--threads 1 2] [--rounds 5] [--repeat 5] [--json FILE]

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


def time_exaconn(options, threads):
    with tempfile.NamedTemporaryFile(suffix=".json") as f:
        command = [options.bench_ffn, "--random", "--threads", str(threads), "--batch", str(options.batch),
                   "--repeat", str(options.repeat), "--warmup", "2", "--no-check", "--no-peak", "--json", f.name]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        with open(f.name) as result:
            return json.load(result)


def compare(options, threads):
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    inputs = torch.randn(options.batch, 2, 33, 33, 33)
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
    return {"threads": threads, "batch": options.batch, "rounds": rows, "median": median, "ratio_min": min(ratios),
            "ratio_max": max(ratios), "kernel": own["kernel"], "cpu": own["cpu"], "torch": torch.__version__}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bench-ffn", required=True)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json")
    options = parser.parse_args()
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
