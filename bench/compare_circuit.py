#!/usr/bin/env python3
"""Times the triad census of an edge list by exaconn, python-igraph and networkx in one run, and compares the counts.

  compare_circuit.py BENCH_CIRCUIT EDGES.csv [WEIGHT_COLUMN [REPEAT]]

BENCH_CIRCUIT is build/default/bench/bench_circuit. Needs networkx and igraph (pip). The graph is in memory in all three
before the clock starts; each census is repeated (networkx once), the fastest and the median are printed as JSON.
"""
import csv
import json
import platform
import statistics
import subprocess
import sys
import time

import igraph
import networkx


def timed(work, repeat):
    seconds, result = [], None
    for _ in range(repeat):
        begin = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - begin)
    return result, {'min_s': min(seconds), 'median_s': statistics.median(seconds), 'repeat': repeat}


def main():
    bench, path = sys.argv[1:3]
    weight = sys.argv[3] if len(sys.argv) > 3 else 'weight'
    repeat = int(sys.argv[4]) if len(sys.argv) > 4 else 9
    ours = json.loads(subprocess.run([bench, '--edges', path, '--weight', weight, '--repeat', str(repeat)], check=True,
                                     capture_output=True, text=True).stdout)
    graph = networkx.DiGraph()
    for row in csv.DictReader(open(path)):
        pre, post = row['pre'].strip(), row['post'].strip()
        graph.add_nodes_from((pre, post))
        if float(row[weight]) > 0 and pre != post:
            graph.add_edge(pre, post)
    names = list(graph)
    number = {v: i for i, v in enumerate(names)}
    other = igraph.Graph(n=len(names), edges=[(number[a], number[b]) for a, b in graph.edges()], directed=True)
    of_igraph, igraph_s = timed(other.triad_census, min(repeat, 5))
    of_networkx, networkx_s = timed(lambda: networkx.triadic_census(graph), 1)
    equal = all(ours['triads'][k] == v for k, v in of_networkx.items())
    equal &= sorted(int(x) for x in of_igraph) == sorted(of_networkx.values())
    print(json.dumps({
        'file': path, 'nodes': len(names), 'connections': graph.number_of_edges(), 'equal': equal,
        'machine': platform.processor() or platform.machine(), 'exaconn': {
            'min_s': ours['census_min_s'], 'median_s': ours['census_median_s'], 'threads': ours['threads'],
            'repeat': repeat},
        'igraph': dict(igraph_s, version=igraph.__version__), 'networkx': dict(networkx_s, version=networkx.__version__),
        'times_igraph': igraph_s['median_s'] / ours['census_median_s'],
        'times_networkx': networkx_s['median_s'] / ours['census_median_s']}, indent=1))
    sys.exit(not equal)


if __name__ == '__main__':
    main()
