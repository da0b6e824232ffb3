#!/usr/bin/env bash
# exaconn circuit from the command line: options, refusals, what it writes.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"

# a small network: ring of ten with chords, one self-connection, a repeated row
{ echo 'Source,Target,Weight,Type'
  for i in 0 1 2 3 4 5 6 7 8 9; do
      echo "n$i , n$(((i + 1) % 10)),3,chemical"; echo "n$i,n$(((i + 3) % 10)),1,chemical"
  done
  echo 'n0,n0,5,chemical'; echo 'n1,n0,2,electrical'; echo 'n0,n1,2,chemical'; } > "$work/e.csv"
{ echo 'id,x,y,z'; for i in 0 1 2 3 4 5 6 7 8 9 10; do echo "n$i,$((i * 7 % 11)),$((i * i % 13)),$i"; done; } > "$work/n.csv"

expect 0 'nodes +10 ' 'connections +21 ' '1 nodes connect to themselves \(weight 5\)' '1 repeat a pair' \
    'M = 1 mutual, A = 19 asymmetric' 'reciprocity, pairs +0.05 ' 'null model|Null model mutual' 'small-world index' -- \
    "$EXACONN" circuit "$work/e.csv" --replicas 5
expect 0 'connections +20 ' '1 left out by --where' 'mean \(characteristic\)' -- \
    "$EXACONN" circuit "$work/e.csv" --where Type=chemical --null none
expect 0 'nodes +11 +all of .*n.csv; 1 without any' 'mean length, um' 'Null model distance' -- \
    "$EXACONN" circuit "$work/e.csv" --nodes "$work/n.csv" --voxel-size 40,8,8 --replicas 3 -o "$work/out"
check "all tables and figures are there" sh -c 'cd "$1" && ls circuit.json nodes.csv triads.csv null_models.csv rich_club.csv distance.csv communities.csv degrees.svg triads.svg communities.svg distance.svg >/dev/null' - "$work/out"
check "tables are whole, JSON is JSON, figures are XML" python3 - "$work/out" <<'PY'
import csv, json, pathlib, sys, xml.etree.ElementTree as tree
out = pathlib.Path(sys.argv[1])
c = json.loads((out / 'circuit.json').read_text())
assert c['nodes'] == 11 and c['connections'] == 21 and c['isolated_nodes'] == 1, c
assert sum(c['triads'].values()) == 11 * 10 * 9 // 6
for m in c['null_models']:  # what a model keeps has no z
    if m['model'] == 'mutual': assert m['mutual_pairs']['sd'] == 0 and m['mutual_pairs']['z'] is None
rows = list(csv.DictReader(open(out / 'nodes.csv')))
assert len(rows) == 11 and sum(int(r['out_degree']) for r in rows) == 21 and rows[10]['id'] == 'n9', rows
nulls = list(csv.DictReader(open(out / 'null_models.csv')))
assert any(r['model'] == 'mutual' and r['statistic'] == 'mutual_pairs' and r['z'] == 'NA' for r in nulls)
assert sum(int(r['pairs']) for r in csv.DictReader(open(out / 'distance.csv'))) == 110
for figure in out.glob('*.svg'): tree.parse(figure)
PY
expect 0 'undirected' 'connections +20 +unordered' -- "$EXACONN" circuit "$work/e.csv" --undirected --replicas 2
expect 0 'rich_club|"rich_club"' -- "$EXACONN" circuit "$work/e.csv" --only rich-club --json
expect 0 'from 4 random sources' '95 % confidence' -- "$EXACONN" circuit "$work/e.csv" --paths 4 --null none
expect 0 '1 connections are lighter|10 connections are lighter' -- "$EXACONN" circuit "$work/e.csv" --min-weight 2 --null none

# what exaconn connectome writes: its matrix is its table, its segments are nodes with positions
(cd "$work" && "$EXACONN" phantom seed=7,shape=64,synapses=1 --labels t.h5:/labels --synapses s.csv &&
    "$EXACONN" connectome t.h5:/labels --synapses s.csv --format exaconn-csv -o c) >/dev/null 2>&1 || exit 1
"$EXACONN" circuit "$work/c/connectome.h5" --null none --json -q | sed 1,2d > "$work/a"
"$EXACONN" circuit "$work/c/connections.csv" --null none --json -q | sed 1,2d > "$work/b"
check "matrix and table are one graph" cmp <(tail -n +2 "$work/a") <(tail -n +2 "$work/b")
expect 0 'all of .*segments.csv' 'mean length, um' -- \
    "$EXACONN" circuit "$work/c/connectome.h5" --nodes "$work/c/segments.csv" --null none
"$EXACONN" circuit "$work/c/connectome.h5" --nodes "$work/c/segments.csv" --null none --json -q > "$work/a"
"$EXACONN" circuit "$work/c/connectome.h5" --nodes "$work/c/segments.csv" --null none --json -q --voxel-size 16 > "$work/b"
check "the matrix says how large voxels are" cmp "$work/a" "$work/b"
for size in 40x4x4 '40;4;4' 40nm 40,4 40,4,0; do expect 2 'give nanometres as Z,Y,X' -- "$EXACONN" circuit "$work/e.csv" --nodes "$work/n.csv" --voxel-size "$size"; done
expect 2 'are 16,16,16 nm .*but 40,4,4 by --voxel-size' -- "$EXACONN" circuit "$work/c/connectome.h5" --nodes "$work/c/segments.csv" --voxel-size 40,4,4
expect 4 'segments.csv has positions' -- "$EXACONN" circuit "$work/c/connectome.h5" --nodes "$work/c/neurons.csv" --voxel-size 16
expect 0 'weight area_nm2' -- "$EXACONN" circuit "$work/c/connectome.h5" --weight area_nm2 --null none
expect 4 "no column 'size'" -- "$EXACONN" circuit "$work/c/connectome.h5" --weight size
expect 2 'is a matrix' -- "$EXACONN" circuit "$work/c/connectome.h5" --pre a
expect 4 'no file of|is not|format' -- "$EXACONN" circuit "$work/c/synapses.h5"

# a report is replaced only if that is wanted, and then nothing of the old one stays
touch "$work/out/mine"
expect 2 'has things in it' -- "$EXACONN" circuit "$work/e.csv" --null none -o "$work/out"
check "a refused report is left alone" test -e "$work/out/circuit.json" -a -e "$work/out/distance.csv"
expect 0 -- "$EXACONN" circuit "$work/e.csv" --only rich-club -o "$work/out" --force
check "the new report alone" test "$(ls "$work/out" | paste -sd' ')" = 'circuit.json degrees.svg mine nodes.csv rich_club.csv'

# the same bytes whatever the threads, and with rows in another order
"$EXACONN" circuit "$work/e.csv" --replicas 4 --json -q -t 1 > "$work/a"
"$EXACONN" circuit "$work/e.csv" --replicas 4 --json -q -t 3 > "$work/b"
check "threads change nothing" cmp "$work/a" "$work/b"
mkdir "$work/r" && { head -1 "$work/e.csv"; tail -n +2 "$work/e.csv" | tac; } > "$work/r/e.csv"
(cd "$work" && "$EXACONN" circuit e.csv --replicas 4 --json -q) > "$work/a"
(cd "$work/r" && "$EXACONN" circuit e.csv --replicas 4 --json -q) > "$work/b"
check "the order of rows changes nothing" cmp "$work/a" "$work/b"

# refusals
expect 1 'No such file|cannot open' -- "$EXACONN" circuit "$work/absent.csv"
expect 2 'EDGES|argument' -- "$EXACONN" circuit
expect 4 "there is no column 'x'; there are: Source, Target" -- "$EXACONN" circuit "$work/e.csv" --weight x
expect 2 "there is no 'triad'; choose of components, paths, triads" -- "$EXACONN" circuit "$work/e.csv" --only triad
expect 2 "there is no 'er'; choose of configuration" -- "$EXACONN" circuit "$work/e.csv" --null er
expect 2 'needs positions' -- "$EXACONN" circuit "$work/e.csv" --null distance
expect 2 '--only distance needs positions' -- "$EXACONN" circuit "$work/e.csv" --only distance
expect 2 'no meaning with --undirected' -- "$EXACONN" circuit "$work/e.csv" --undirected --null mutual
expect 2 'COLUMN=VALUE' -- "$EXACONN" circuit "$work/e.csv" --where Type
expect 2 'replicas 0' -- "$EXACONN" circuit "$work/e.csv" --replicas 0
expect 4 'no connection in the edge list' -- "$EXACONN" circuit "$work/e.csv" --where Type=none
expect 4 'n.csv.*id n0 is not|e.csv:2: id n0 is not in the table' -- sh -c 'printf "id\nn1\n" > "$2"; exec "$1" circuit "$3" --nodes "$2"' - "$EXACONN" "$work/few.csv" "$work/e.csv"
printf 'pre,post,weight\n1,2,3\n4,5,nan\n' > "$work/bad.csv"
expect 4 'bad.csv:3: .nan. in column .weight. is not a finite number' -- "$EXACONN" circuit "$work/bad.csv" -o "$work/none"
check "nothing is written of a bad table" sh -c '[ -z "$(ls -A "$1")" ]' - "$work/none"
finish
