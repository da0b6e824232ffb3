#!/usr/bin/env bash
# exaconn connectome: the phantom's synapses come back exactly, a killed start goes on, inside a run as beside it, and
# tables that are wrong say where.
. "$EXACONN_SOURCE_DIR/tests/test_lib.sh"
spec=seed=7,shape=80x90x100,empty=0,synapses=0.6
truth=phantom:$spec:/labels
expect 0 -- "$EXACONN" phantom "$spec" --synapses "$work/synapses.csv"
connect() { "$EXACONN" connectome "$@"; }

# The phantom's own synapses, whole and cut.
expect 0 'segments' 'synapses in' -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/one"
count() { python3 - "$@" <<'PY'
import collections, csv, sys
want = collections.Counter((int(r['pre_id']), int(r['post_id'])) for r in csv.DictReader(open(sys.argv[1])))
got = {(int(r['pre']), int(r['post'])): int(r['synapses']) for r in csv.DictReader(open(sys.argv[2] + '/connections.csv'))}
sys.exit(not want or got != want)
PY
}
check "the known synapses, exactly" count "$work/synapses.csv" "$work/one"
check "none is rejected" test "$(wc -l < "$work/one/rejected.csv")" -eq 1
expect 0 -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/cut" --chunk 30,40,25
same() { # same FOLDER LIKE: all files but identity.txt, which says how it was cut
    check "$1 as $2" diff -rq -x identity.txt "$work/$1" "$work/$2"
}
same cut one
if command -v mpirun >/dev/null; then
    # Open MPI unloads its plugins before LeakSanitizer looks.
    expect 0 -- env ASAN_OPTIONS=detect_leaks=0 mpirun -n 3 "$EXACONN" connectome "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/ranks" --chunk 28
    same ranks one
fi
expect 0 'complete already' -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/cut" --chunk 30,40,25
expect 0 'complete already' -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/cut" # in other chunks
touch -d '2001-01-01' "$work/synapses.csv"
expect 0 'complete already' -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/cut" --chunk 30,40,25
expect 2 "something else: made of 'synapses: .*', now of 'min_synapses: 1'" 'name another folder$' -- connect "$truth" -o "$work/cut"
cp -r "$work/cut" "$work/begun"; rm "$work/begun/summary.json"
expect 2 "made of 'chunk: 30 40 25', now of 'chunk: 50 50 50'" 'or delete this one: it is not finished' -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -o "$work/begun" --chunk 50
expect 2 'image of a phantom.*' ':/labels' -- connect "phantom:$spec:/raw" -o "$work/image"
"$EXACONN" phantom seed=7,shape=60,empty=0 -o "$work/image.h5:/raw" >/dev/null
expect 0 'is .*image.h5:/raw. an image, and not' -- connect "$work/image.h5:/raw" -q -o "$work/image"
mkdir "$work/full" && touch "$work/full/x"
expect 2 'other things' -- connect "$truth" -o "$work/full"

# Killed on the way: what was counted is not counted again. A damaged journal costs what it hits.
slow=phantom:seed=7,shape=200,empty=0:/labels
"$EXACONN" connectome "$slow" -o "$work/killed" --chunk 40 2>/dev/null & pid=$!
for _ in $(seq 3000); do [ "$(find "$work/killed/journals" -name '*.journal' -size +20k 2>/dev/null | wc -l)" -ge 1 ] && break; sleep 0.01; done
kill -KILL $pid; wait $pid 2>/dev/null
check "nothing looks complete" test ! -e "$work/killed/summary.json"
python3 -c 'import glob, sys
p = glob.glob(sys.argv[1])[0]
b = bytearray(open(p, "rb").read()); b[150] ^= 1; open(p, "wb").write(b)' "$work/killed/journals/*.journal"
expect 0 'resumed: [1-9]' 'damaged' -- connect "$slow" -o "$work/killed" --chunk 40
expect 0 -- connect "$slow" -o "$work/whole"
same killed whole
check "no journals are left" test ! -e "$work/killed/journals"

# Tables that are wrong.
head=pre_id,post_id,pre_z_vx,pre_y_vx,pre_x_vx,post_z_vx,post_y_vx,post_x_vx
refuse() { # refuse CODE PATTERN FORMAT TEXT [OPTION...]
    local code=$1 pattern=$2 format=$3
    printf '%b' "$4" > "$work/table"
    shift 4
    expect "$code" "$pattern" -- connect -s "$work/table" --format "$format" "$@" -o "$work/refused"
    check "no summary" test ! -e "$work/refused/summary.json"
    rm -rf "$work/refused"
}
refuse 4 "no column 'pre_z_vx' or '_nm'" exaconn-csv 'pre_id,post_id,z\n1,2,3\n'
refuse 4 'mixed units.*post_x_nm' exaconn-csv "${head%post_x_vx}post_x_nm\n1,2,1,1,1,1,1,1\n"
refuse 4 "line 3, column 'post_id'.*beyond 2\^64" exaconn-csv "$head\n9223372036854775809,18446744073709551615,1,1,1,1,1,1\n1,18446744073709551616,1,1,1,1,1,1\n"
refuse 4 "line 2.*'7.2e17' is no id" exaconn-csv "$head\n7.2e17,2,1,1,1,1,1,1\n"
refuse 4 "line 2.*'x' is no number" exaconn-csv "$head\n1,2,x,1,1,1,1,1\n"
refuse 4 'line 2: 3 fields, but the header has 8' exaconn-csv "$head\n1,2,3\n"
refuse 4 'line 2: a quoted field does not end' exaconn-csv "$head\n\"1,2\n"
refuse 4 'line 1: a zero byte' exaconn-csv 'pre_\0000id'
refuse 4 'is empty' exaconn-csv ''
refuse 4 'separated by commas' codex-csv 'pre_root_id;post_root_id\n'
refuse 4 'split_positions' cave-csv 'id,pre_pt_position\n' --units nm
refuse 2 '--table-voxel-size' cave-csv 'id\n' --units voxels
refuse 2 '--units nm or' cave-csv 'id\n'
refuse 2 'has no positions' codex-csv 'pre_root_id\n' --units nm
refuse 2 '--axes xyz' flyem-json '{}' --units voxels
refuse 2 'carry their axis' cave-csv 'id\n' --units nm --axes xyz
refuse 2 'says itself' exaconn-csv "$head\n" --units nm
refuse 4 'no "data"' flyem-json '{"a": 1}' --units voxels --axes xyz
refuse 4 'line 2, character.*the file ends here' flyem-json '{"data": [\n{"T-bar": {"location": [1, 2, 3], "body ID": 5}, "part' --units voxels --axes xyz
refuse 4 'body ID.*beyond 2' flyem-json '{"data": [{"T-bar": {"body ID": 99999999999999999999}}]}' --units voxels --axes xyz
refuse 4 'three numbers' flyem-json '{"data": [{"T-bar": {"location": [1, 2]}}]}' --units voxels --axes xyz
refuse 4 'no "T-bar"' flyem-json '{"data": [{"partners": []}]}' --units voxels --axes xyz
refuse 4 'nested more than' flyem-json "{\"a\": $(printf '[%.0s' $(seq 60))" --units voxels --axes xyz
refuse 4 "table' *: cannot open|cannot open" exaconn-hdf5 'no HDF5'
python3 -c 'print("pre_root_id,post_root_id,syn_count\n" + "1" * 2000000)' > "$work/long"
expect 4 'line 2: longer than 1048576 bytes' -- connect -s "$work/long" --format codex-csv -o "$work/refused"; rm -rf "$work/refused"
expect 2 'what kind of table' -- connect -s "$work/synapses.csv" -o "$work/refused"
expect 2 'about a table of synapses' -- connect "$truth" --units nm -o "$work/refused"
expect 2 'about a segmentation' -- connect -s "$work/synapses.csv" --format exaconn-csv --chunk 5 -o "$work/refused"
expect 2 'nothing to count' -- connect -o "$work/refused"
expect 2 'candidates are contact sites' -- connect "$truth" --no-sites --candidate-area 5 -o "$work/refused"
"$EXACONN_FIXTURE" volume "$work/v.h5" 30
expect 2 '--voxel-size Z,Y,X' -- connect "$work/v.h5:/labels" -o "$work/refused"
expect 0 'contacts' -- connect "$work/v.h5:/labels" --voxel-size 8,8,8 -o "$work/v"
expect 2 'labels are integers' -- connect "$work/v.h5:/nan" --voxel-size 8 -o "$work/refused"

# What can be read but not used is counted and listed; ids over 2^63 survive; autapses on demand.
printf '%s\n' "$head" '9223372036854775809,18446744073709551615,1,1,1,1,1,1' '9223372036854775809,18446744073709551615,1,1,1,1,1,1' '5,5,2,2,2,2,2,2' '0,5,1,1,1,1,1,1' '5,6,nan,1,1,1,1,1' > "$work/rows.csv"
expect 0 '1 of 5 rows do not count: duplicate' 'no_position' 'no_segment' 'autapse' -- connect -s "$work/rows.csv" --format exaconn-csv -o "$work/rows"
check "the large ids" grep -qx '9223372036854775809,18446744073709551615,1' "$work/rows/connections.csv"
check "the list" test "$(cut -d, -f1,2 "$work/rows/rejected.csv" | paste -sd' ')" = 'line,reason 3,duplicate 4,autapse 5,no_segment 6,no_position'
expect 0 -- connect -s "$work/rows.csv" --format exaconn-csv --autapses -o "$work/autapses"
check "the autapse" grep -qx '5,5,1' "$work/autapses/connections.csv"
printf '%s\n' valid,pre_pt_position_x,pre_pt_position_y,pre_pt_position_z,post_pt_position_x,post_pt_position_y,post_pt_position_z,pre_pt_root_id,post_pt_root_id t,1,1,1,2,2,2,7,8 f,1,1,1,2,2,3,7,8 > "$work/cave.csv"
expect 0 '1 of 2 rows do not count: invalid' -- connect -s "$work/cave.csv" --format cave-csv --units nm -o "$work/cave"
printf '%s\n' bodyId_pre,bodyId_post,weight 1,2,0 1,2,4 2,1,5 > "$work/weights.csv"
expect 0 '1 of 3 rows do not count: no_synapse' -- connect -s "$work/weights.csv" --format neuprint-csv --min-synapses 5 -o "$work/weights"
check "connections of fewer are left out" test "$(cat "$work/weights/connections.csv" | paste -sd' ')" = 'pre,post,synapses 2,1,5'
expect 0 -- connect "$truth" -s "$work/synapses.csv" --format exaconn-csv --min-synapses 2 -o "$work/two"
check "contacts count the synapses of the connections that are kept" python3 - "$work/one" "$work/two" <<'PY'
import csv, sys
def beside(folder):
    kept = {(r['pre'], r['post']): int(r['synapses']) for r in csv.DictReader(open(folder + '/connections.csv'))}
    touch = list(csv.DictReader(open(folder + '/contacts.csv')))
    for r in touch:
        assert int(r['synapses_ab']) == kept.get((r['a'], r['b']), 0) and int(r['synapses_ba']) == kept.get((r['b'], r['a']), 0), r
    return sum(int(r['synapses_ab']) + int(r['synapses_ba']) for r in touch)
sys.exit(not beside(sys.argv[1]) > beside(sys.argv[2]))
PY
awk -F, -v OFS=, 'NR > 1 { $6 += 90000 } { print }' "$work/synapses.csv" > "$work/far.csv"
expect 0 'most positions are outside' -- connect "$truth" -s "$work/far.csv" --format exaconn-csv -o "$work/far"

# Axes or units that are not what the table has give numbers all the same: what gives them away is asked about, -q or not.
question='are units, voxel size and axis order what the table has'
sed '1s/_z_vx/_T_vx/g; 1s/_x_vx/_z_vx/g; 1s/_T_vx/_x_vx/g' "$work/synapses.csv" > "$work/swapped.csv"
expect 0 "another segment than the table names in .*$question" -- connect "$truth" -s "$work/swapped.csv" --format exaconn-csv -q -o "$work/swapped"
sed '1s/_vx/_nm/g' "$work/synapses.csv" | cut -d, -f3- > "$work/nm.csv" # without ids
expect 0 "lie in one segment: $question" -- connect "$truth" -s "$work/nm.csv" --format exaconn-csv -q -o "$work/nm"
connect "$truth" -s "$work/synapses.csv" --format exaconn-csv -q -o "$work/right" 2> "$work/said"
check "nothing is asked of a table that is right" test ! -s "$work/said"

# Inside a run.
small_job_volume=phantom:seed=7,shape=40x48x40,empty=0
"$EXACONN" phantom seed=7,shape=40x48x40,empty=0 --synapses "$work/small.csv" >/dev/null
small_job "$work/job" '"chunks": {"shape": [40, 24, 40], "halo": [0, 10, 0]}' '"compute": {"threads": 1}' \
    "\"circuits\": {\"synapses\": \"$work/small.csv\", \"format\": \"exaconn-csv\", \"search_radius_nm\": 100}"
expect 0 'contacts of' 'circuits: ' -- "$EXACONN" run "$work/job/job.json"
check "it is whole" test -e "$work/job/run/circuits/summary.json"
check "segments as the run has them" cmp <(cut -d, -f1-11 "$work/job/run/segments.csv") "$work/job/run/circuits/segments.csv"
expect 0 -- connect "$work/job/run/segmentation.h5:/segmentation" -s "$work/small.csv" --format exaconn-csv --search-radius 100 -o "$work/beside" --chunk 20
check "beside it the same" diff -rq -x identity.txt -x summary.json "$work/job/run/circuits" "$work/beside"
if command -v mpirun >/dev/null; then # and on two ranks, after a stop before its end
    rm "$work/job/run/summary.json" "$work/job/run/circuits/summary.json"
    cp -r "$work/job/run/circuits" "$work/kept"
    expect 0 'done in' -- env ASAN_OPTIONS=detect_leaks=0 mpirun -n 2 "$EXACONN" run "$work/job/job.json"
    check "the same on two ranks" diff -rq -x summary.json "$work/kept" "$work/job/run/circuits"
fi
small_job "$work/job2" '"circuits": {"synapses": "absent.csv", "format": "cave-csv"}'
expect 1 'absent.csv' "name right" -- "$EXACONN" run "$work/job2/job.json"
expect 1 'absent.csv' -- "$EXACONN" plan "$work/job2/job.json"
printf 'pre_id,post_id\n1,2\n' > "$work/job2/few.csv"
small_job "$work/job2" "\"circuits\": {\"synapses\": \"$work/job2/few.csv\", \"format\": \"exaconn-csv\"}"
expect 4 "no column 'pre_z_vx' or" -- "$EXACONN" run "$work/job2/job.json"
expect 4 "no column 'pre_z_vx' or" -- "$EXACONN" plan "$work/job2/job.json"
small_job "$work/job2" "\"circuits\": {\"synapses\": \"$work/small.csv\"}"
expect 2 'circuits.format' -- "$EXACONN" run "$work/job2/job.json"
check "no folder was made" test ! -e "$work/job2/run"

finish
