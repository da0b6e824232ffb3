#!/usr/bin/env bash
# The published figures of real connectomes, and their censuses, from the shared data (data/circuits/README.md there).
# The censuses are networkx 3.6.1's, equal to python-igraph 1.0.0's:  networkx.triadic_census(G), where G is a DiGraph of
# the rows with weight > 0 and without self-connections (gap junctions: both ways).
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
need_data circuits/celegans_varshney2011_chemical.csv circuits/celegans_varshney2011_gap.csv \
    circuits/larva_winding2023_edges.csv circuits/larva_winding2023_nodes.csv circuits/celegans_cook2019_herm_edgelist.csv
d=$data/circuits
tell() { "$EXACONN" circuit "$@" --json -q --null none || { echo "FAIL: exaconn circuit $*"; exit 1; }; }

tell "$d/celegans_varshney2011_chemical.csv" > "$work/chemical"
tell "$d/celegans_varshney2011_gap.csv" --undirected > "$work/gap"
tell "$d/celegans_varshney2011_chemical.csv" "$d/celegans_varshney2011_gap.csv" > "$work/both"
tell "$d/larva_winding2023_edges.csv" --weight all --nodes "$d/larva_winding2023_nodes.csv" --shares ad,aa,dd,da > "$work/larva"
tell "$d/celegans_cook2019_herm_edgelist.csv" --where Type=chemical > "$work/cook"
tell "$d/celegans_cook2019_herm_edgelist.csv" --where Type=electrical --only components > "$work/electrical"
tell "$d/celegans_cook2019_herm_edgelist.csv" --only components > "$work/all"

check "figures and censuses" python3 - "$work" <<'PY'
import json, pathlib, sys
work = pathlib.Path(sys.argv[1])
of = {f.name: json.loads(f.read_text()) for f in work.iterdir()}
bad = []
def same(what, got, wanted, digits=None):
    if (got if digits is None else round(got, digits)) != wanted:
        bad.append(f'{what}: {got} instead of {wanted}')
order = '003 012 102 021D 021U 021C 111D 111U 030T 030C 201 120D 120U 120C 210 300'.split()
def census(name, counts):
    same(f'{name}: triads', [of[name]['triads'][t] for t in order], counts)

# Varshney et al. 2011
c = of['chemical']
same('chemical: neurons', c['nodes'], 279)
same('chemical: connections', c['connections'], 2194)
same('chemical: synapses (6,393 published; the file has 6,394)', c['weight'], 6394)
same('chemical: giant component', c['components']['largest_strong'], 237)
same('chemical: L', c['paths']['mean'], 3.48, 2)
same('chemical: C', c['clustering']['out_neighbors_scc'], 0.22, 2)
g = of['gap']
same('gap: connections', g['connections'], 514)
same('gap: junctions', g['weight'], 887)
same('gap: self-junctions of the file', g['source']['self_connections'], 3)
same('gap: one-sided pairs', g['source']['pairs_one_sided'], 0)
same('gap: giant component', g['components']['largest_strong'], 248)
same('gap: L', g['paths']['mean'], 4.52, 2)
same('gap: C', g['clustering']['out_neighbors_scc'], 0.21, 2)
b = of['both']
same('both: giant component', b['components']['largest_strong'], 274)
same('both: L', b['paths']['mean'], 2.87, 2)
same('both: C', b['clustering']['out_neighbors_scc'], 0.26, 2)

# Winding et al. 2023
w = of['larva']
shares = w['source']['shares']
for column, share in (('ad', 66.6), ('aa', 25.8), ('dd', 5.8), ('da', 1.8)):
    same(f'larva: {column}', 100 * shares[column] / sum(shares.values()), share, 1)
same('larva: neurons', w['nodes'], 2952)
same('larva: connections', w['connections'], 110140)
same('larva: with self-connections', w['connections'] + w['source']['self_connections'], 110677)
same('larva: synapses', w['weight'] + w['source']['self_weight'], 352611)
same('larva: self-connections', w['source']['self_connections'], 537)

# Cook et al. 2019, counted in the README
same('cook: names', of['all']['nodes'], 448)
same('cook: chemical rows', of['cook']['source']['rows'] - of['cook']['source']['rows_filtered'], 4681)
same('cook: chemical, self', of['cook']['source']['self_connections'], 34)
e = of['electrical']
same('cook: electrical rows', e['source']['rows'] - e['source']['rows_filtered'], 2698)
same('cook: electrical, self', e['source']['self_connections'], 14)
same('cook: electrical, mutual', e['reciprocity']['mutual_pairs'], 1339)
same('cook: electrical, no reverse', e['reciprocity']['asymmetric_pairs'], 6)

census('chemical', [3077866, 409609, 55878, 7118, 8478, 12279, 3134, 3200, 1453, 65, 359, 385, 552, 180, 175, 48])
census('gap', [2541914, 0, 121580, 0, 0, 0, 0, 0, 0, 0, 3462, 0, 0, 0, 0, 170])
census('larva', [4008112378, 228057862, 39406865, 1318791, 1434271, 2433100, 786610, 683533, 287705, 20809, 150807,
                 58940, 133821, 61952, 92703, 41253])
print('\n'.join(bad) or 'all equal')
sys.exit(bool(bad))
PY
finish
